"""Rule R1.3: what cuts off, how much of it may pass."""

import math
from hashlib import md5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaad.policy.codes import AccessStatus, ContractStatus, LoginFlag
from aaad.policy.facts import LoginExtras, LoginFacts, PhaseFacts, PlanFacts, Speed
from aaad.policy.parameters import compile_policies
from aaad.replica.brake import (
    NO_TERMS,
    BrakeLimits,
    Terms,
    are_nases_over,
    gives_access,
    is_other_device,
    is_over,
    loses_access,
    lost_nases,
    lost_realms,
    repaired_nases,
    terms_of,
)
from aaad.replica.record import BranchRow, NasRow, ParameterRow, Tables

IN_ORDER = LoginFlag.LOGIN_ACTIVE | LoginFlag.CLIENT_ACTIVE
GOOD = LoginFacts(
    1, 1, 1, 1, 1, IN_ORDER, ContractStatus.ACTIVE, AccessStatus.ACTIVE, 0, nt_hash=b"n" * 16, password=b"secret"
)
HASHED = GOOD._replace(flags=IN_ORDER | LoginFlag.PASSWORD_IS_MD5, nt_hash=b"", password=md5(b"secret").digest())
BLOCKED = GOOD._replace(access_status=AccessStatus.BLOCKED_MANUALLY)
MAC_LOGIN = GOOD._replace(mac=5, flags=IN_ORDER | LoginFlag.IS_MAC_LOGIN)
WAITING = GOOD._replace(access_status=AccessStatus.AWAITING_SIGNATURE)
NOW_S = 1_000_000.0
OPEN_HANDED = [ParameterRow("blocked_state", 0, "S"), ParameterRow("let_in_awaiting_signature", 2, "S")]


def terms(*plan_ids: int) -> Terms:
    plans = [PlanFacts(plan_id, "plan", None, 0, 0, 0) for plan_id in plan_ids]
    return terms_of(
        Tables(
            1, [], [], plans, OPEN_HANDED, b"k" * 16, 1, [BranchRow(2, "America/Manaus"), BranchRow(3, "Nowhere")]
        ),
        NOW_S,
    )


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        (GOOD, True),
        (GOOD._replace(access_status=AccessStatus.PAYMENT_LATE), True),
        (HASHED, True),
        (None, False),
        (BLOCKED, False),  # although the blocked state lets him in
        (BLOCKED._replace(access_status=AccessStatus.BLOCKED_AUTOMATICALLY), False),
        (GOOD._replace(plan_id=0), False),
        (GOOD._replace(contract_status=ContractStatus.INACTIVE), False),
        (GOOD._replace(flags=LoginFlag.LOGIN_ACTIVE), False),
        (GOOD._replace(flags=IN_ORDER | LoginFlag.LOGIN_DELETED), False),
        (GOOD._replace(flags=IN_ORDER | LoginFlag.CONTRACT_SUSPENDED), False),
        (GOOD._replace(flags=IN_ORDER | LoginFlag.CONTRACT_SUSPENDED, suspended_from_day=30_000), True),
        (WAITING, False),
        (WAITING._replace(branch_id=2), True),
        (WAITING._replace(branch_id=3), False),
        (GOOD._replace(access_ends_at_s=int(NOW_S)), False),
        (GOOD._replace(access_ends_at_s=int(NOW_S) + 1), True),
        (GOOD._replace(flags=IN_ORDER | LoginFlag.ON_TRUST, trust_until_s=9, oldest_due_day=1), False),
        (GOOD._replace(flags=IN_ORDER | LoginFlag.ON_TRUST, trust_until_s=9), False),
        (GOOD._replace(flags=IN_ORDER | LoginFlag.ON_TRUST), True),
        # At some hour, from where he is bound to.
        (GOOD._replace(hours=1, mac=5, nas_id=5, flags=IN_ORDER | LoginFlag.MAC_BIND | LoginFlag.NAS_BIND), True),
        (GOOD._replace(extras=LoginExtras(port_id="a"), flags=IN_ORDER | LoginFlag.PORT_BIND), True),
        (GOOD._replace(access_status=0), False),
    ],
)
def test_who_has_access(login: LoginFacts | None, expected: bool) -> None:
    assert gives_access(login, terms(1, 2)) is expected
    assert not gives_access(login, terms(2))  # its plan is not there
    assert not gives_access(login, NO_TERMS)


def test_terms_are_those_of_the_tables() -> None:
    found = terms(1, 2)
    assert found.plans.keys() == {1, 2}
    assert found.policies == compile_policies(OPEN_HANDED, {2: -14_400})
    assert found.now_s == NOW_S


@pytest.mark.parametrize(
    ("old", "new_name", "new", "expected"),
    [
        (GOOD, b"joe", GOOD, False),
        (GOOD, b"joe", GOOD._replace(plan_id=2, ipv4=7, contract_id=9, client_id=9), False),
        (GOOD, b"jim", GOOD, True),
        (GOOD, b"joe", GOOD._replace(password=b"other"), True),
        (GOOD, b"joe", HASHED, False),
        (HASHED, b"joe", GOOD, False),
        (HASHED, b"joe", GOOD._replace(password=b"other"), True),
        (MAC_LOGIN, b"joe", MAC_LOGIN, False),
        (MAC_LOGIN, b"joe", MAC_LOGIN._replace(mac=6), True),
        (MAC_LOGIN, b"joe", MAC_LOGIN._replace(flags=IN_ORDER), True),
        (GOOD, b"joe", MAC_LOGIN, False),
        (GOOD, b"joe", HASHED._replace(password=b"\0" * 16), True),
    ],
)
def test_what_a_device_must_be_told(old: LoginFacts, new_name: bytes, new: LoginFacts, expected: bool) -> None:
    assert is_other_device(b"joe", old, new_name, new) is expected


BOUND = GOOD._replace(
    mac=5,
    nas_id=6,
    extras=LoginExtras(port_id="p", circuit_id="c"),
    flags=IN_ORDER | LoginFlag.MAC_BIND | LoginFlag.NAS_BIND | LoginFlag.PORT_BIND | LoginFlag.CIRCUIT_BIND,
)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (GOOD, GOOD, False),
        (GOOD, None, True),
        (GOOD, BLOCKED, True),
        (BLOCKED, None, False),
        (GOOD, GOOD._replace(hours=1 << 3), True),
        (GOOD._replace(hours=1 << 3), GOOD, False),
        (GOOD._replace(hours=3), GOOD._replace(hours=1), True),
        (GOOD, BOUND, True),
        (BOUND, GOOD, False),
        (BOUND, BOUND, False),
        (BOUND, BOUND._replace(mac=9), True),
        (BOUND, BOUND._replace(nas_id=9), True),
        (BOUND, BOUND._replace(extras=LoginExtras(port_id="x", circuit_id="c")), True),
        (BOUND, BOUND._replace(extras=LoginExtras(port_id="p", circuit_id="x")), True),
        (BOUND._replace(flags=IN_ORDER), BOUND, True),
        (GOOD, BOUND._replace(flags=IN_ORDER), False),
        (GOOD, BOUND._replace(extras=None, nas_id=0, flags=IN_ORDER | LoginFlag.MAC_BIND_DEFAULT), True),
        (BLOCKED, BOUND, False),
    ],
)
def test_who_loses_access(old: LoginFacts, new: LoginFacts | None, expected: bool) -> None:
    assert loses_access(old, terms(1), new, terms(1)) is expected


def hourly(hours: int, *, phase_hours: int = 0, parameters: list[ParameterRow] | None = None) -> Terms:
    phase = PhaseFacts(phase_hours, Speed("1M", "1M"), 0) if phase_hours else None
    plan = PlanFacts(1, "plan", Speed("1M", "1M"), 0, 0, 0, normal_hours=hours, turbo=phase)
    return terms_of(Tables(1, [], [], [plan], parameters or [], b"k" * 16, 1), NOW_S)


def test_what_plans_and_parameters_take() -> None:
    assert loses_access(GOOD, hourly(0), GOOD, hourly(1 << 3))
    assert not loses_access(GOOD, hourly(1 << 3), GOOD, hourly(0))
    assert not loses_access(GOOD, hourly(1 | 2), GOOD, hourly(1, phase_hours=2))
    assert loses_access(GOOD, hourly(1, phase_hours=2), GOOD, hourly(1))
    own_hours = GOOD._replace(hours=2)
    assert not loses_access(own_hours, hourly(3), own_hours, hourly(2))
    unbound = [ParameterRow("mac_bind", 0, "N")]
    by_default = GOOD._replace(mac=5, flags=IN_ORDER | LoginFlag.MAC_BIND_DEFAULT)
    assert loses_access(by_default, hourly(0, parameters=unbound), by_default, hourly(0))
    assert not loses_access(by_default, hourly(0), by_default, hourly(0, parameters=unbound))
    assert hourly(0) == terms_of(
        Tables(9, [], [], [PlanFacts(1, "other", None, 5, 6, 7, dns=("::",))], [], b"", 1), NOW_S
    )


@pytest.mark.parametrize(
    ("served", "fresh", "expected"),
    [
        ([], [("strip_realms", 0, "a")], 0),
        ([("strip_realms", 0, "a;b")], [("strip_realms", 0, "b;a")], 0),
        ([("strip_realms", 0, "a;b")], [("strip_realms", 0, "b")], 1),
        ([("strip_realms", 0, "a;b")], [("strip_realms", 0, "*")], 0),
        ([("strip_realms", 0, "*")], [("strip_realms", 0, "a")], 1),
        ([("strip_realms", 2, "a")], [], 1),
        ([("strip_realms", 0, "a"), ("strip_realms", 2, "b")], [("strip_realms", 0, "a")], 1),
        ([("default_realm", 0, "a")], [("default_realm", 0, "b")], 1),
        ([("default_realm", 0, "a")], [], 1),
        ([], [("default_realm", 0, "b")], 0),
    ],
)
def test_lost_realms(served: list[tuple[str, int, str]], fresh: list[tuple[str, int, str]], expected: int) -> None:
    old, new = (hourly(0, parameters=[ParameterRow(*row) for row in rows]) for rows in (served, fresh))
    assert lost_realms(old, new) == expected


@pytest.mark.parametrize(
    ("logins", "allowance"),
    [(0, 50), (10, 50), (999, 50), (1000, 50), (1020, 51), (100_000, 5000), (1_000_000, 50_000)],
)
def test_five_percent_but_at_least_fifty(logins: int, allowance: int) -> None:
    assert BrakeLimits().allowance(logins) == allowance
    assert not is_over(recent_count=0, cut_off_count=allowance, logins_count=logins, limits=BrakeLimits())
    assert is_over(recent_count=0, cut_off_count=allowance + 1, logins_count=logins, limits=BrakeLimits())
    assert is_over(recent_count=allowance, cut_off_count=1, logins_count=logins, limits=BrakeLimits())


@pytest.mark.parametrize(("recent", "fresh", "expected"), [(0, 1, False), (0, 2, True), (1, 1, True), (2, 0, False)])
def test_a_total_loss_of_two_is_held_however_few_there_are(recent: int, fresh: int, expected: bool) -> None:
    counts = {"recent_count": recent, "cut_off_count": fresh, "logins_count": 2}
    assert is_over(**counts, limits=BrakeLimits(), leaves_nobody=True) is expected
    assert not is_over(**counts, limits=BrakeLimits())


def test_the_window_has_one_open_end_and_forgets_nothing_when_the_clock_is_set_back() -> None:
    limits = BrakeLimits(window_s=300.0)
    assert limits.is_recent(1000.0, 1000.0)
    assert limits.is_recent(700.1, 1000.0)
    assert not limits.is_recent(700.0, 1000.0)
    assert limits.is_recent(1000.1, 1000.0)
    assert limits.is_recent(9999.0, 1000.0)


counts = st.integers(0, 2_000_000)


@given(counts, counts, counts, st.floats(0, 1), st.integers(1, 1000))
def test_what_passes_is_never_more_than_the_limit(
    recent: int, fresh: int, logins: int, share: float, least: int
) -> None:
    limits = BrakeLimits(share=share, minimum_count=least)
    if is_over(recent_count=recent, cut_off_count=fresh, logins_count=logins, limits=limits):
        assert fresh > 0
    else:
        assert fresh == 0 or recent + fresh <= max(least, share * logins)


@given(counts, counts, counts, counts)
def test_more_cut_offs_never_pass_where_fewer_are_held(recent: int, fewer: int, more: int, logins: int) -> None:
    fewer, more = sorted((fewer, more))
    held = [
        is_over(recent_count=recent, cut_off_count=count, logins_count=logins, limits=BrakeLimits())
        for count in (fewer, more)
    ]
    assert held != [True, False]


def nas(
    nas_id: int,
    *,
    secret: bytes = b"s",
    previous: bytes = b"",
    until_s: float = 0.0,
    enabled: bool = True,
    address: str = "",
    secrets: tuple[tuple[bytes, float], ...] = (),
) -> NasRow:
    return NasRow(
        nas_id,
        f"nas{nas_id}",
        address or f"10.0.0.{nas_id}/32",
        secret,
        previous,
        until_s,
        "mikrotik",
        enabled,
        "auto",
        900,
        0,
        secrets,
    )


FURTHER = ((b"x", math.inf),)
ONE, TWO, THREE = nas(1), nas(2), nas(3)


@pytest.mark.parametrize(
    ("old", "new", "lost", "is_held"),
    [
        ([ONE], [ONE], set(), False),
        ([ONE], [nas(1, enabled=False)], {"10.0.0.1/32"}, False),
        ([ONE], [nas(1, address="10.0.0.9/32")], {"10.0.0.1/32"}, False),
        ([ONE], [nas(1, secret=b"new")], {"10.0.0.1/32"}, False),
        ([ONE], [nas(1, secret=b"new", previous=b"s", until_s=1000.1)], set(), False),
        ([ONE], [nas(1, secret=b"new", previous=b"s", until_s=1000.0)], {"10.0.0.1/32"}, False),
        (
            [ONE, TWO],
            [nas(1, secret=b"new", previous=b"s"), nas(2, secret=b"new", previous=b"s")],
            {"10.0.0.1/32", "10.0.0.2/32"},
            True,
        ),
        ([ONE], [], {"10.0.0.1/32"}, True),
        ([ONE], [nas(7, address="10.0.0.1/32")], set(), False),
        ([ONE], [nas(1, secret=b"new", secrets=((b"s", math.inf),))], set(), False),
        ([nas(1, secrets=FURTHER)], [ONE], {"10.0.0.1/32"}, False),
        ([nas(1, secrets=FURTHER)], [nas(1, secret=b"x", previous=b"s", until_s=1000.1)], set(), False),
        ([nas(1, secrets=((b"x", 1000.0),))], [ONE], set(), False),
        (  # rotated once more while the secret before is still valid
            [nas(1, secret=b"b", previous=b"a", until_s=1000.1), TWO],
            [nas(1, secret=b"c", previous=b"b", until_s=1000.1), TWO],
            {"10.0.0.1/32"},
            False,
        ),
        ([nas(1, secret=b"b", previous=b"a", until_s=1000.0)], [nas(1, secret=b"b")], set(), False),
        ([nas(1, secrets=FURTHER), nas(2, secrets=FURTHER)], [ONE, TWO], {"10.0.0.1/32", "10.0.0.2/32"}, True),
        ([ONE, TWO], [ONE], {"10.0.0.2/32"}, False),
        ([ONE, TWO], [], {"10.0.0.1/32", "10.0.0.2/32"}, True),
        ([ONE, TWO, THREE], [ONE, nas(2, enabled=False), nas(3, secret=b"x")], {"10.0.0.2/32", "10.0.0.3/32"}, True),
        ([ONE, nas(2, enabled=False)], [ONE], set(), False),
        ([], [ONE], set(), False),
    ],
)
def test_lost_concentrators(old: list[NasRow], new: list[NasRow], lost: set[str], is_held: bool) -> None:
    assert lost_nases(old, new, 1000.0) == lost
    assert are_nases_over(old, new, frozenset(lost)) is is_held


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (nas(1, secret=b"a"), {"10.0.0.1/32"}),
        (nas(1, secret=b"z", secrets=((b"a", math.inf),)), {"10.0.0.1/32"}),
        (nas(1, secret=b"c"), set()),
        (nas(1, secret=b"z"), set()),
        (nas(1, secret=b"a", enabled=False), set()),
    ],
)
def test_an_old_secret_put_back_is_a_repair(new: NasRow, expected: set[str]) -> None:
    lost = [nas(1, secret=b"b", previous=b"a", until_s=500.0)]
    assert repaired_nases(lost, [nas(1, secret=b"c")], [new], 1000.0) == expected
    assert repaired_nases([], [nas(1, secret=b"c")], [new], 1000.0) == set()
    assert repaired_nases(lost, [], [new], 1000.0) == set()


def test_concentrators_lost_one_by_one_count_in_one_window() -> None:
    everyone = [nas(number) for number in range(1, 7)]
    recent: set[str] = set()
    for number in range(1, 7):
        lost = frozenset({everyone[number - 1].address})
        is_held = are_nases_over(everyone[number - 1 :], everyone[number:], lost, frozenset(recent))
        assert is_held is (number > 3)  # half of the six may go
        if not is_held:
            recent |= lost
        else:
            break
    assert not are_nases_over(everyone[3:], everyone[3:], frozenset(), frozenset(recent))
