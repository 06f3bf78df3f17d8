"""Which pool is meant: login and contract, plan, NAS, branch; kinds, spaces, dual-stack pools (rules R7, R4.3)."""

from itertools import product

import pytest

from aaad.policy.facts import LoginExtras
from aaad.radius.pool_book import NOTHING, Chosen, GrantPools, PoolBook, PoolNames, of_nas
from aaad.replica.record import NasRow, PoolRow


def row(pool_id: int, name: str, family: str = "ipv4", kind: str = "radius", **changes: object) -> PoolRow:
    values = {"address_space": 1, "prefix_length": {"ipv4": 32, "ipv6": 64, "delegated": 56, "": 0}[family]}
    values |= {"state": "active", "adopting": False, "valid_s": 86400, "reserve_size": 256} | changes
    return PoolRow(pool_id=pool_id, name=name, family=family, kind=kind, **values)


FOUR, LINK, HOME = row(1, "four"), row(2, "link", "ipv6"), row(3, "home", "delegated")
ROUTERS = row(4, "routers", kind="nas", prefix_length=0)
DUAL = row(5, "dual", "", "dualstack", ipv4_pool_id=1, ipv6_pool_id=4, delegated_pool_id=3)
ELSEWHERE = row(6, "four", address_space=7)
DRAINING, RETIRED = row(7, "draining", state="draining"), row(8, "retired", state="retired")
NETWORKS = row(9, "networks", prefix_length=29)
NESTED = row(10, "nested", "", "dualstack", ipv4_pool_id=5)
BOOK = PoolBook([FOUR, LINK, HOME, ROUTERS, DUAL, ELSEWHERE, DRAINING, RETIRED, NETWORKS, NESTED])


def sources(*names: str, space: int = 1) -> tuple[object, object, object]:
    return BOOK.level(space, PoolNames(*names))[:3]


@pytest.mark.parametrize(
    ("names", "meant"),
    [
        (("four",), (FOUR, "", "")),
        (("", "link", "home"), ("", LINK, HOME)),
        (("routers",), ("routers", "", "")),
        (("unheard-of", "also", "so"), ("unheard-of", "also", "so")),
        (("dual",), (FOUR, "routers", HOME)),
        (("", "dual"), (FOUR, "routers", HOME)),
        (("", "", "dual"), (FOUR, "routers", HOME)),
        (("dual", "link"), (FOUR, LINK, HOME)),
        (("other", "dual"), ("other", "routers", HOME)),
        (("draining",), (DRAINING, "", "")),
        (("link",), ("", "", "")),  # of another family
        (("retired",), ("", "", "")),
        (("networks",), ("", "", "")),
        (("nested",), ("", "", "")),
        ((), ("", "", "")),
    ],
)
def test_what_the_names_of_one_level_mean(names: tuple[str, ...], meant: tuple[object, ...]) -> None:
    assert sources(*names) == meant


def test_r7_1_a_name_is_of_its_address_space() -> None:
    assert sources("four", space=7) == (ELSEWHERE, "", "")
    assert sources("four", space=3) == ("four", "", "")
    assert sources("link", space=7) == ("link", "", "")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("link",), "pool link is of family ipv6 and named for ipv4"),
        (("", "", "four"), "pool four is of family ipv4 and named for delegated"),
        (("retired",), "pool retired is retired and still named"),
        (("networks",), "pool networks gives networks (/29) and is named for addresses"),
        (("nested",), "pool nested: dual stands for other pools itself"),
    ],
)
def test_a_name_that_cannot_be_meant_is_told(names: tuple[str, ...], told: str) -> None:
    assert BOOK.problems(1, PoolNames(*names)) == [told]


def test_names_in_order_have_no_problem() -> None:
    for names in (("four", "link", "home"), ("dual",), ("any", "of the", "router's"), ("draining",)):
        assert BOOK.problems(1, PoolNames(*names)) == []


LEVELS = ("login", "plan", "nas", "branch")


@pytest.mark.parametrize("named", list(product([False, True], repeat=4)))
def test_the_first_level_that_names_a_pool_decides(named: tuple[bool, ...]) -> None:
    """Login (its contract's are merged into it already), plan, NAS, branch."""
    names = [PoolNames(level if is_named else "") for level, is_named in zip(LEVELS, named, strict=True)]
    pools = GrantPools(BOOK, 1, BOOK.choose(1, names[1:]))
    expected = next((level for level, is_named in zip(LEVELS, named, strict=True) if is_named), "")
    assert pools.chosen_by(LoginExtras(ipv4_pool=names[0].ipv4)).ipv4 == expected


def test_each_family_is_decided_by_itself() -> None:
    chosen = BOOK.choose(1, [PoolNames("", "link"), PoolNames("routers"), PoolNames("four", "six", "home")])
    assert chosen[:3] == ("routers", LINK, HOME)
    assert chosen.ours == ((1, LINK), (2, HOME))


def test_a_dual_stack_pool_stands_behind_what_an_upper_level_names() -> None:
    chosen = BOOK.choose(1, [PoolNames("", "", "mine"), PoolNames("dual")])
    assert chosen[:3] == (FOUR, "routers", "mine")


def test_a_retired_pool_leaves_the_choice_to_the_next_level() -> None:
    assert BOOK.choose(1, [PoolNames("retired"), PoolNames("four")]).ipv4 == FOUR


def test_the_usual_case_is_made_ready() -> None:
    assert GrantPools(BOOK, 1, BOOK.choose(1, [PoolNames("four", "six")])).usual[0] is FOUR
    assert GrantPools(BOOK, 1, BOOK.choose(1, [PoolNames("dual")])).usual is None
    assert GrantPools(BOOK, 1, NOTHING).usual is None


def test_choices_of_other_pools_are_told_apart() -> None:
    marks = {
        BOOK.choose(1, [PoolNames(*names)]).marks for names in (("four",), ("draining",), ("", "link"), ("dual",))
    }
    assert len(marks) == 4
    assert Chosen().marks == b""


def test_a_login_names_a_fallback_too() -> None:
    pools = GrantPools(BOOK, 1, BOOK.choose(1, [PoolNames("draining")]), fallback=BOOK.choose(1, [PoolNames("four")]))
    assert pools.fallback_of(None) is FOUR
    assert pools.fallback_of(LoginExtras(ipv4_pool="routers")) == "routers"
    assert GrantPools(BOOK, 1, NOTHING).fallback_of(None) == ""


def test_a_nas_that_says_nothing_costs_nothing() -> None:
    nas = NasRow(1, "a", "192.0.2.1/32", b"s", b"", 0.0, "mikrotik", True, "auto", 900, 1)
    assert of_nas(nas) is None
    named = NasRow(1, "a", "192.0.2.1/32", b"s", b"", 0.0, "mikrotik", True, "auto", 900, 1, ipv4_pool="four")
    assert of_nas(named) == (1, ("four", "", ""))
