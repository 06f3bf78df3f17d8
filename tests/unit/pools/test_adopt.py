"""What becomes of addresses that were found in use: pools, leases, marks, and what does not fit."""

from typing import Any

import pytest

from aaad.pools.address import parse_range, parse_unit
from aaad.pools.adopt import (
    Found,
    FoundPool,
    Held,
    Known,
    LeaseFact,
    Login,
    Plan,
    PoolFact,
    Realms,
    Trouble,
    Wish,
    Witness,
    mac_number,
    make_plan,
    names_meant,
    units_meant,
)

ANA, BIA = Login(1, "ana"), Login(2, "bia")
RANGE = parse_range("100.64.0.0/24", 4, 32)
POOL = PoolFact(7, "pppoe", "radius", "ipv4", 32, (RANGE,))


def held(address: str, name: str = "ana", witness: Witness = Witness.ROUTER, **more: Any) -> Held:
    return Held(name, parse_unit(address if "/" in address else f"{address}/32"), witness, **more)


def known(*pools: PoolFact, leases: dict[str, LeaseFact] | None = None, **more: Any) -> Known:
    return Known(
        pools,
        {(login.name, nas): login for login in (ANA, BIA) for nas in (None, 3)},
        more.get("macs", {}),
        {parse_unit(address): fact for address, fact in (leases or {}).items()},
    )


def plan(*found: Held, of: Known | None = None, wish: Wish | None = None, pools: tuple[FoundPool, ...] = ()) -> Plan:
    return make_plan([Found(pools, found)], of if of is not None else known(POOL), wish or Wish())


def told(made: Plan) -> list[tuple[Trouble, str, str, str]]:
    return [(one.trouble, one.subject, one.name, one.other) for one in made.conflicts]


def test_who_is_connected_gets_his_lease_and_strangers_are_marked() -> None:
    made = plan(held("100.64.0.9", nas_id=3, mac=5), held("100.64.0.10", "who"), held("203.0.113.1", "bia"))
    assert [(one.text, one.pool, one.login, one.nas_id, one.device) for one in made.leases] == [
        ("100.64.0.9/32", "pppoe", ANA, 3, 5),
        ("100.64.0.10/32", "pppoe", None, None, 0),
    ]
    assert (made.bound_count, made.foreign_count) == (1, 1)
    assert made.unknown_names == ("who",)
    assert [one.unit for one in made.outside] == [parse_unit("203.0.113.1/32")]


def test_the_ledger_is_never_overruled() -> None:
    leases = {
        "100.64.0.1/32": LeaseFact("bound", 1, "ana"),
        "100.64.0.2/32": LeaseFact("bound", 2, "bia"),
        "100.64.0.3/32": LeaseFact("released", 2, "bia"),
        "100.64.0.4/32": LeaseFact("fixed", 1, "ana"),
        "100.64.0.5/32": LeaseFact("fixed", 2, "bia"),
        "100.64.0.6/32": LeaseFact("foreign", None),
        "203.0.113.1/32": LeaseFact("fixed", 2, "bia"),
    }
    addresses = [f"100.64.0.{last}" for last in range(1, 7)] + ["203.0.113.1"]
    made = plan(*(held(address) for address in addresses), of=known(POOL, leases=leases))
    assert [(one.text, one.is_known) for one in made.leases] == [
        ("100.64.0.1/32", True),
        ("100.64.0.3/32", False),
        ("100.64.0.6/32", False),
    ]
    assert [one.text for one in made.kept] == ["100.64.0.4/32"]
    assert told(made) == [
        (Trouble.OF_ANOTHER, address, "ana", "bia")
        for address in ("100.64.0.2/32", "100.64.0.5/32", "203.0.113.1/32")
    ]
    assert {(one.login_id, one.holder_id) for one in made.conflicts} == {(1, 2)}


def test_of_two_who_report_an_address_the_better_and_then_the_later_witness_is_believed() -> None:
    made = plan(
        held("100.64.0.1", "bia", Witness.SESSION, seen_at_s=9),
        held("100.64.0.1", "ana", Witness.ROUTER, seen_at_s=1),
        held("100.64.0.2", "ana", Witness.SESSION, seen_at_s=1),
        held("100.64.0.2", "bia", Witness.SESSION, seen_at_s=2),
        held("100.64.0.2", "bia", Witness.SESSION, seen_at_s=0),
    )
    assert [one.login for one in made.leases] == [ANA, BIA]
    assert told(made) == [
        (Trouble.TWICE, "100.64.0.1/32", "bia", "ana"),
        (Trouble.TWICE, "100.64.0.2/32", "ana", "bia"),
    ]


def test_what_is_excluded_stays_so_and_is_told() -> None:
    pool = POOL._replace(excluded=((4, RANGE.first + 1, RANGE.first + 1),))
    assert told(plan(held("100.64.0.1"), of=known(pool))) == [(Trouble.EXCLUDED, "100.64.0.1/32", "ana", "pppoe")]


def test_delegated_prefixes_are_units_of_their_pool() -> None:
    pool = PoolFact(8, "pd", "radius", "delegated", 56, (parse_range("2001:db8::/40", 6, 56),))
    made = plan(
        held("2001:db8:0:100::/56"),
        held("2001:db8:0:210::/60", "bia"),  # smaller than what is given out: nobody else gets the rest
        held("2001:db8:1::/54", "who"),
        held("2001:db8::/40", "who"),
        of=known(pool),
    )
    assert [(one.text, one.login) for one in made.leases] == [
        ("2001:db8:0:100::/56", ANA),
        ("2001:db8:0:200::/56", BIA),
        *(
            (f"2001:db8:1:{part}::/56" if part != "0" else "2001:db8:1::/56", None)
            for part in ("0", "100", "200", "300")
        ),
    ]
    assert told(made) == [(Trouble.TOO_LARGE, "2001:db8::/40", "who", "pd")]


def test_a_device_without_a_name_is_its_logins() -> None:
    made = plan(held("100.64.0.1", "", mac=5), held("100.64.0.2", "", mac=6), of=known(POOL, macs={5: BIA}))
    assert [one.login for one in made.leases] == [BIA, None]
    assert made.unknown_names == ()


# --- pools ----------------------------------------------------------------------------------------------------------

OTHER = parse_range("100.64.8.0/24", 4, 32)


def found(name: str, *ranges: str, family: str = "ipv4", length: int = 32) -> FoundPool:
    version = 4 if family == "ipv4" else 6
    return FoundPool(name, family, tuple(parse_range(text, version, length) for text in ranges))


def test_pools_are_made_of_what_was_found_and_only_of_what_is_wanted() -> None:
    pools = (found("pppoe", "100.64.0.0/24", "100.64.8.0/24"), found("hotspot", "10.5.0.0/24"))
    made = plan(
        held("100.64.8.1"), of=known(), wish=Wish(only=frozenset({"pppoe"}), names={"pppoe": "a"}), pools=pools
    )
    assert [(pool.name, pool.prefix_length, pool.pool_id, pool.ranges) for pool in made.pools] == [
        ("a", 32, None, (RANGE, OTHER))
    ]
    assert [one.pool for one in made.leases] == ["a"]
    again = known(PoolFact(1, "a", "radius", "ipv4", 32, (RANGE, OTHER)))
    assert plan(of=again, wish=Wish(names={"pppoe": "a"}, only=frozenset({"pppoe"})), pools=pools).pools == ()


def test_r7_4_pools_of_the_concentrator_are_named_and_none_of_their_addresses_is_ours() -> None:
    made = plan(held("100.64.0.1"), of=known(), wish=Wish(kind="nas"), pools=(found("pppoe", "100.64.0.0/24"),))
    assert [(pool.name, pool.kind, pool.ranges, pool.prefix_length) for pool in made.pools] == [
        ("pppoe", "nas", (), None)
    ]
    assert made.leases == ()
    assert len(made.outside) == 1
    ours = PoolFact(1, "pppoe", "nas", "ipv4", None)
    assert plan(of=known(ours), wish=Wish(kind="nas"), pools=(found("pppoe", "100.64.0.0/24"),)).pools == ()


@pytest.mark.parametrize(
    ("pool", "ours", "trouble"),
    [
        (found("pppoe", "100.64.8.0/24"), POOL, Trouble.OTHER_RANGES),
        (found("other", "100.64.0.0/16"), POOL, Trouble.OVERLAP),
        (found("pppoe", "2001:db8::/40", family="delegated", length=56), POOL, Trouble.OTHER_KIND),
        (found("pppoe", "100.64.0.0/24"), PoolFact(1, "pppoe", "dualstack", None, None), Trouble.OTHER_KIND),
    ],
)
def test_a_pool_of_ours_is_never_made_another(pool: FoundPool, ours: PoolFact, trouble: Trouble) -> None:
    made = plan(of=known(ours), pools=(pool,))
    assert [one.trouble for one in made.conflicts] == [trouble]
    assert not any(planned.ranges for planned in made.pools)


def test_two_routers_of_one_pool_name_and_other_ranges_are_not_mixed_unless_that_is_wanted() -> None:
    pools = (found("pppoe", "100.64.0.0/24"), found("pppoe", "100.64.8.0/24"))
    made = plan(of=known(), pools=pools)
    assert [one.trouble for one in made.conflicts] == [Trouble.OTHER_RANGES]
    assert [pool.ranges for pool in made.pools] == [(RANGE,)]
    made = plan(of=known(), pools=pools, wish=Wish(may_extend=True))
    assert [pool.ranges for pool in made.pools] == [(RANGE, OTHER)]
    made = plan(of=known(POOL), pools=pools, wish=Wish(may_extend=True))
    assert [(pool.pool_id, pool.ranges) for pool in made.pools] == [(7, (OTHER,))]


def test_r7_3_unused_is_proven_only_by_what_was_read_whole() -> None:
    pools = (found("pppoe", "100.64.0.0/24"),)
    whole = Found(pools, (), 0, ((3, "ipv4"), (3, "delegated")))
    assert make_plan([whole], known(), Wish()).proven == (("pppoe", 3),)
    assert make_plan([whole._replace(unread_count=1)], known(), Wish()).proven == ()
    large = Held("who", parse_unit("100.64.0.0/18"), Witness.ROUTER)
    pools = (found("pppoe", "100.64.0.0/16"),)
    assert make_plan([whole._replace(pools=pools, held=(large,))], known(), Wish()).proven == ()


# --- names ----------------------------------------------------------------------------------------------------------


def test_names_are_meant_as_the_branch_says() -> None:
    some, default = Realms(("isp.example",)), Realms((), "isp.example")
    assert names_meant("Ana", Realms(), str.lower) == ("ana",)
    assert names_meant("ana@ISP.example", some, str.lower) == ("ana@isp.example", "ana")
    assert names_meant("isp.example\\ana", some, str.lower) == ("isp.example\\ana", "ana")
    assert names_meant("ana@other", some, str.lower) == ("ana@other",)
    assert names_meant("ana@other", Realms(("*",)), str.lower) == ("ana@other", "ana")
    assert names_meant("ana", default, str.lower) == ("ana", "ana@isp.example")
    for none in ("", "a\0b", "a\udcff"):
        assert names_meant(none, default, str.lower) == ()


def test_macs_are_read_in_any_form() -> None:
    for text in ("AA:BB:CC:00:00:01", "aabb.cc00.0001", "aa-bb-cc-00-00-01", "AABBCC000001"):
        assert mac_number(text) == 0xAABBCC000001
    for text in ("", "10.0.0.1", "AA:BB:CC:00:00", "<pppoe-ana>", "zz:bb:cc:00:00:01"):
        assert mac_number(text) == 0


def test_units_are_looked_for_in_every_size_that_pools_have() -> None:
    assert list(units_meant(parse_unit("2001:db8:0:210::/60"), {56})) == [
        parse_unit("2001:db8:0:210::/60"),
        parse_unit("2001:db8:0:200::/56"),
    ]
    assert len(list(units_meant(parse_unit("2001:db8::/48"), {56}))) == 257
    assert len(list(units_meant(parse_unit("2001:db8::/40"), {56}))) == 1  # more than anybody may have


V4 = FoundPool("pppoe", "ipv4", (RANGE,))
V6 = FoundPool("pppoe", "delegated", (parse_range("2001:db8::/40", 6, 56),))


@pytest.mark.parametrize("may_extend", [False, True])
def test_pools_of_one_name_for_each_family_are_told_and_can_be_named_apart(may_extend: bool) -> None:
    made = plan(of=known(), pools=(V4, V6), wish=Wish(may_extend=may_extend))
    assert [(pool.name, pool.ranges) for pool in made.pools] == [("pppoe", (RANGE,))]
    assert told(made) == [(Trouble.SAME_NAME, "pppoe 2001:db8::/40", "", "pppoe/delegated")]
    apart = Wish(may_extend=may_extend, names={"pppoe/delegated": "pppoe-pd"})
    made = plan(of=known(), pools=(V4, V6), wish=apart)
    assert told(made) == []
    assert [(pool.name, pool.family, pool.prefix_length) for pool in made.pools] == [
        ("pppoe", "ipv4", 32),
        ("pppoe-pd", "delegated", 56),
    ]
    only = plan(of=known(), pools=(V4, V6), wish=Wish(only=frozenset({"pppoe/delegated"})))
    assert [(pool.name, pool.family) for pool in only.pools] == [("pppoe", "delegated")]
    names = plan(of=known(), pools=(V4, V6), wish=Wish(kind="nas"))
    assert [pool.name for pool in names.pools] == ["pppoe"]


def test_ranges_of_one_pool_that_overlap_become_one() -> None:
    twice = tuple(parse_range(text, 4, 32) for text in ("10.9.0.15-10.9.0.30", "10.9.0.10-10.9.0.20", "10.9.0.40"))
    made = plan(of=known(), pools=(FoundPool("two", "ipv4", twice), FoundPool("two", "ipv4", twice)))
    assert [run.text() for run in made.pools[0].ranges] == ["10.9.0.10-10.9.0.30", "10.9.0.40/32"]
    assert told(made) == []


def test_a_pool_of_which_nothing_can_be_had_is_not_made() -> None:
    link_local = FoundPool("ll", "ipv4", (parse_range("169.254.1.0/24", 4, 32),))
    unique = FoundPool("lab", "delegated", (parse_range("fd00::/48", 6, 56),))
    made = plan(pools=(V4, link_local, unique), wish=Wish(names={"pppoe": "other"}))
    assert [pool.name for pool in made.pools] == ["lab"]
    assert [(one[0], one[1]) for one in told(made)] == [
        (Trouble.OVERLAP, "other 100.64.0.0/24"),
        (Trouble.NO_HOSTS, "ll 169.254.1.0/24"),
    ]
