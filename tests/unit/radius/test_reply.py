"""Replies: exact octets of what a grant gives at each kind of concentrator, Class by rule R4.6, fingerprints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_double import tlv, vendor

from aaad.policy.codes import GrantState, MppePolicy, SpeedPhase
from aaad.policy.facts import LoginExtras, PlanFacts, Speed
from aaad.policy.grant import Grant
from aaad.policy.parameters import BranchPolicy
from aaad.radius.kinds import KINDS
from aaad.radius.reply import (
    ClassSigner,
    accept_attributes,
    administrator_attributes,
    compile_reply,
    reject_attributes,
    session_end_s,
)
from aaad.sessions.grant_class import CLASS_SIZE, ClassFacts

KEY = b"k" * 16
NOW_S = 1_800_000_000.0
numbers = st.integers(0, 2**31 - 1)
SPEED = Speed("25M", "50M")
FULL, NOTICE, BLOCKED = GrantState.FULL, GrantState.NOTICE, GrantState.BLOCKED


def plan(**changes: object) -> PlanFacts:
    """A plan, with changes."""
    return PlanFacts(5, "50 mega", SPEED, 0, 0, 0)._replace(**changes)


def grant(
    *,
    state: GrantState = FULL,
    speed: Speed | None = SPEED,
    ipv4: int = 0,
    ends_at_s: int = 0,
    extras: LoginExtras | None = None,
    policy: dict[str, object] | None = None,
    **changes: object,
) -> Grant:
    """What is granted, with changes of the plan."""
    branch = BranchPolicy(1)._replace(**(policy or {}))
    return Grant(plan(**changes), speed, state, SpeedPhase.NORMAL, ipv4, ends_at_s, extras, branch)


def said(given: Grant, kind: str = "mikrotik", *, login_id: int = 0, ppp: bool = False) -> bytes:
    """The attributes of an Accept without its Class."""
    which = KINDS[kind]
    return accept_attributes(which, compile_reply(which, given), given, login_id, ppp, NOW_S)[0]


def fingerprint(given: Grant, kind: str = "mikrotik") -> int:
    which = KINDS[kind]
    return accept_attributes(which, compile_reply(which, given), given, 1, True, NOW_S)[1]


def integer(kind: int, number: int) -> bytes:
    return tlv(kind, number.to_bytes(4, "big"))


def signer(key: bytes = KEY, *, node: int = 3, slot: int = 1, serial: int = 1000) -> ClassSigner:
    """What signs Class values, with changes."""
    return ClassSigner(key, node=node, slot=slot, serial=serial)


RATE = vendor(14988, 8, b"25M/50M")
PPP = tlv(6, b"\0\0\0\2") + tlv(7, b"\0\0\0\1")
LIST, GROUP = 19, 3
DNS = ("192.0.2.53", "2001:db8::53", "192.0.2.54", "2001:db8::54", "192.0.2.55")

# --- what a plan and a branch give ----------------------------------------------------------------------------------

OF_A_PLAN = {
    "a rate alone": ({}, RATE),
    "Session-Timeout": ({"session_timeout_s": 86400}, RATE + integer(27, 86400)),
    "Idle-Timeout": ({"idle_timeout_s": 600}, RATE + integer(28, 600)),
    "both": ({"session_timeout_s": 1, "idle_timeout_s": 2**32 - 1}, RATE + tlv(28, b"\xff" * 4) + integer(27, 1)),
    "pools": (
        {"ipv4_pool": "four", "ipv6_pool": "six", "delegated_ipv6_pool": "pd"},
        RATE + tlv(100, b"six") + vendor(14988, 22, b"pd") + tlv(88, b"four"),
    ),
    "list": ({"address_list": "vip", "address_list_ipv6": "vip6"}, RATE + vendor(14988, LIST, b"vip")),
    "group": ({"group": "home"}, RATE + vendor(14988, GROUP, b"home")),
    "filters": ({"filter_ids": ("a.in", "b.out")}, RATE + tlv(11, b"a.in") + tlv(11, b"b.out")),
    "attributes": ({"attributes": tlv(62, b"\0\0\0\2")}, RATE + tlv(62, b"\0\0\0\2")),
    "MPPE allowed": ({"mppe": MppePolicy.ALLOWED}, RATE + vendor(311, 7, b"\0\0\0\1") + vendor(311, 8, b"\0\0\0\6")),
    "MPPE required": (
        {"mppe": MppePolicy.REQUIRED},
        RATE + vendor(311, 7, b"\0\0\0\2") + vendor(311, 8, b"\0\0\0\4"),
    ),
    "DNS": (
        {"dns": DNS},
        RATE
        + vendor(311, 28, b"\xc0\0\2\x35")
        + vendor(311, 29, b"\xc0\0\2\x36")
        + tlv(169, bytes.fromhex("20010db8000000000000000000000053"))
        + tlv(169, bytes.fromhex("20010db8000000000000000000000054")),
    ),
}


@pytest.mark.parametrize(("changes", "octets"), OF_A_PLAN.values(), ids=OF_A_PLAN.keys())
def test_a_plan_is_these_octets(changes: dict[str, object], octets: bytes) -> None:
    assert said(grant(**changes)) == octets
    assert said(grant(**changes), ppp=True) == PPP + octets


@pytest.mark.parametrize("extras", [None, LoginExtras()])
def test_r4_3_a_plan_that_limits_nothing_says_so_where_the_profile_would_limit(extras: LoginExtras | None) -> None:
    assert said(grant(speed=None, extras=extras)) == vendor(14988, 8, b"0/0")
    assert all(said(grant(speed=None, extras=extras), kind) == b"" for kind in set(KINDS) - {"mikrotik"})


def test_what_a_plan_leaves_out_the_branch_says() -> None:
    policy = {"ipv4_pool": "b4", "ipv6_pool": "b6", "delegated_ipv6_pool": "bpd", "dns": ("192.0.2.53",)}
    assert said(grant(policy=policy)) == (
        RATE + tlv(100, b"b6") + vendor(14988, 22, b"bpd") + vendor(311, 28, b"\xc0\0\2\x35") + tlv(88, b"b4")
    )
    of_plan = {"ipv4_pool": "p4", "ipv6_pool": "p6", "delegated_ipv6_pool": "ppd", "dns": ("192.0.2.54",)}
    assert said(grant(policy=policy, **of_plan)) == (
        RATE + tlv(100, b"p6") + vendor(14988, 22, b"ppd") + vendor(311, 28, b"\xc0\0\2\x36") + tlv(88, b"p4")
    )


def test_an_address_goes_before_a_pool_and_never_beside_it() -> None:
    assert said(grant(ipv4=0xC0000201, ipv4_pool="four")) == RATE + tlv(8, b"\xc0\0\2\1")


KIND_OCTETS = {
    "mikrotik": RATE
    + vendor(14988, LIST, b"vip")
    + tlv(100, b"six")
    + vendor(14988, 22, b"pd")
    + vendor(14988, GROUP, b"home")
    + tlv(11, b"a.in")
    + vendor(311, 28, b"\xc0\0\2\x35")
    + tlv(88, b"four"),
    "accel_ppp": tlv(11, b"50000/25000")
    + tlv(172, b"six")
    + tlv(171, b"pd")
    + vendor(311, 28, b"\xc0\0\2\x35")
    + tlv(88, b"four"),
    "huawei": b"".join(
        vendor(2011, code, rate.to_bytes(4, "big"))
        for code, rate in ((2, 25_000_000), (3, 25_000_000), (5, 50_000_000), (6, 50_000_000))
    )
    + tlv(100, b"six")
    + vendor(2011, 191, b"pd")
    + tlv(11, b"a.in")
    + vendor(2011, 135, b"\xc0\0\2\x35")
    + tlv(88, b"four"),
    "juniper": tlv(100, b"six")
    + vendor(4874, 161, b"pd")
    + tlv(11, b"a.in")
    + vendor(4874, 4, b"\xc0\0\2\x35")
    + tlv(88, b"four"),
    "cisco": tlv(100, b"six")
    + tlv(171, b"pd")
    + tlv(11, b"a.in")
    + vendor(311, 28, b"\xc0\0\2\x35")
    + tlv(88, b"four"),
    "other": vendor(14122, 7, (25_000_000).to_bytes(4, "big"))
    + vendor(14122, 8, (50_000_000).to_bytes(4, "big"))
    + tlv(100, b"six")
    + tlv(171, b"pd")
    + tlv(11, b"a.in")
    + vendor(311, 28, b"\xc0\0\2\x35")
    + tlv(88, b"four"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_told_in_its_own_attributes(kind: str) -> None:
    whole = grant(
        ipv4_pool="four",
        ipv6_pool="six",
        delegated_ipv6_pool="pd",
        address_list="vip",
        group="home",
        filter_ids=("a.in",),
        dns=("192.0.2.53",),
    )
    assert said(whole, kind) == KIND_OCTETS[kind]


@pytest.mark.parametrize(
    "changes",
    [
        {"session_timeout_s": 2**32},
        {"interim_interval_s": -1},
        {"ipv4_pool": "x" * 254},
        {"dns": ("192.0.2",)},
        {"speed": Speed("25G", "50M")},
        {"speed": Speed("9" * 240, "9" * 240)},
    ],
)
def test_a_plan_that_does_not_fit_is_an_error_of_that_plan(changes: dict[str, object]) -> None:
    with pytest.raises((ValueError, OverflowError)):
        compile_reply(KINDS["mikrotik"], grant(**changes))


# --- intervals and ends ---------------------------------------------------------------------------------------------


def interims(interval_s: int) -> list[int]:
    """What Acct-Interim-Interval is for many logins."""
    octets = [said(grant(interim_interval_s=interval_s), login_id=number)[len(RATE) :] for number in range(300)]
    assert all(one[:2] == b"\x55\x06" and len(one) == 6 for one in octets)
    return [int.from_bytes(one[2:], "big") for one in octets]


@pytest.mark.parametrize("interval_s", [60, 61, 300, 600, 3600])
def test_interims_are_spread_a_tenth_both_ways_and_never_below_a_minute(interval_s: int) -> None:
    seconds = interims(interval_s)
    assert min(seconds) == max(60, round(interval_s * 0.9))
    assert max(seconds) == round(interval_s * 1.1)
    assert len(set(seconds)) >= min(7, interval_s // 10)
    assert seconds == interims(interval_s)


def test_without_an_interval_there_is_none() -> None:
    assert said(grant(interim_interval_s=0), login_id=9) == RATE


def end_of(given: Grant, login_id: int) -> int:
    """What Session-Timeout says, which is said once."""
    octets, at, found = said(given, login_id=login_id), 0, []
    while at < len(octets):
        if octets[at] == 27:
            found.append(int.from_bytes(octets[at + 2 : at + 6], "big"))
        at += octets[at + 1]
    (seconds,) = found
    return seconds


LEFT_S = [1, 2, 59, 60, 600, 3600, 86_399, 86_400, 86_401, 90_000, 10_000_000]


@pytest.mark.parametrize("left_s", LEFT_S)
def test_r4_4_a_session_never_outlasts_prepaid_time_nor_the_branchs_cap(left_s: int) -> None:
    given = grant(ends_at_s=int(NOW_S) + left_s)
    seconds = [end_of(given, login_id) for login_id in range(1, 400)]
    limit = min(left_s, 86_400)
    earliest = limit - limit * 0.1 if left_s > 86_400 else limit - min(limit * 0.1, 300)
    assert max(seconds) <= limit
    assert min(seconds) >= max(1, int(earliest))
    assert seconds == [end_of(given, login_id) for login_id in range(1, 400)]


def test_r4_4_sessions_that_must_end_are_spread() -> None:
    capped = {end_of(grant(ends_at_s=int(NOW_S) + 10_000_000), login_id) for login_id in range(400)}
    at_the_end = {end_of(grant(ends_at_s=int(NOW_S) + 3600), login_id) for login_id in range(400)}
    assert len(capped) > 300
    assert len(at_the_end) > 150


def test_r4_4_the_plans_own_timeout_counts_when_it_is_shorter() -> None:
    for own_s, seconds in ((100, 100), (10**6, end_of(grant(ends_at_s=int(NOW_S) + 3600), 7))):
        assert end_of(grant(session_timeout_s=own_s, ends_at_s=int(NOW_S) + 3600), 7) == seconds


def test_r4_4_a_cap_of_nothing_caps_nothing() -> None:
    given = grant(ends_at_s=int(NOW_S) + 10**6, policy={"session_timeout_max_s": 0})
    assert session_end_s(given, 0, NOW_S) == 10**6


def test_r4_4_an_end_that_has_passed_is_one_second() -> None:
    assert end_of(grant(ends_at_s=int(NOW_S) - 5), 7) == 1


# --- states ---------------------------------------------------------------------------------------------------------

WHOLE = {
    "ipv4_pool": "p4",
    "ipv6_pool": "p6",
    "delegated_ipv6_pool": "ppd",
    "address_list": "vip",
    "group": "home",
    "filter_ids": ("a.in",),
    "attributes": tlv(62, b"\0\0\0\2"),
    "interim_interval_s": 600,
}
BLOCKED_SPEED = Speed("64k", "64k")
BLOCKED_RATE = vendor(14988, 8, b"64k/64k")
INTERIM = integer(85, 540)


def test_r4_3_the_blocked_state_is_whole_and_ipv6_does_not_escape() -> None:
    policy = {
        "blocked_ipv4_pool": "b4",
        "blocked_ipv6_pool": "b6",
        "blocked_delegated_ipv6_pool": "bpd",
        "blocked_group": "no-ipv6",
        "blocked_address_list": "blocked",
        "ipv6_pool": "normal6",
        "delegated_ipv6_pool": "normalpd",
    }
    assert said(grant(state=BLOCKED, speed=BLOCKED_SPEED, policy=policy, **WHOLE)) == (
        BLOCKED_RATE
        + vendor(14988, LIST, b"blocked")
        + tlv(100, b"b6")
        + vendor(14988, 22, b"bpd")
        + vendor(14988, GROUP, b"no-ipv6")
        + INTERIM
        + tlv(88, b"b4")
    )


def test_r4_3_without_a_pool_of_blocked_addresses_the_list_holds_the_address() -> None:
    policy = {"blocked_address_list": "blocked", "ipv6_pool": "normal6"}
    blocked = grant(state=BLOCKED, speed=BLOCKED_SPEED, policy=policy, ipv4=0xC0000201, **WHOLE)
    listed = BLOCKED_RATE + vendor(14988, LIST, b"blocked") + INTERIM
    assert said(blocked) == listed + tlv(8, b"\xc0\0\2\1")
    assert said(blocked._replace(ipv4=0)) == listed + tlv(88, b"p4")


def test_who_is_late_with_a_payment_has_all_of_his_plan_and_the_notice_list() -> None:
    late = grant(state=NOTICE, policy={"notice_address_list": "notice"}, address_list="vip", group="home")
    assert said(late) == (
        RATE + vendor(14988, LIST, b"vip") + vendor(14988, LIST, b"notice") + vendor(14988, GROUP, b"home")
    )
    assert said(grant(state=NOTICE)) == RATE


# --- what is a login's own ------------------------------------------------------------------------------------------

OWN = {
    "a speed": ({}, {"upload": "1M", "download": "2M"}, vendor(14988, 8, b"1M/2M")),
    "a pool": ({"ipv4_pool": "p4"}, {"ipv4_pool": "mine"}, RATE + tlv(88, b"mine")),
    "IPv6 pools": (
        {"ipv6_pool": "p6", "delegated_ipv6_pool": "ppd"},
        {"ipv6_pool": "mine6", "delegated_ipv6_pool": "minepd"},
        RATE + tlv(100, b"mine6") + vendor(14988, 22, b"minepd"),
    ),
    "prefixes instead of pools": (
        {"ipv6_pool": "p6", "delegated_ipv6_pool": "ppd"},
        {"ipv6_prefix": "2001:db8:1::/64", "delegated_ipv6_prefix": "2001:db8:ff00::/56", "ipv6_pool": "mine6"},
        RATE + tlv(97, bytes.fromhex("004020010db800010000")) + tlv(123, bytes.fromhex("003820010db8ff0000")),
    ),
    "routes": (
        {},
        {"routes": ("198.51.100.0/24", "2001:db8:2::/48")},
        RATE + tlv(22, b"198.51.100.0/24 0.0.0.0 1") + tlv(99, b"2001:db8:2::/48 :: 1"),
    ),
    "a list instead of the plan's": (
        {"address_list": "vip"},
        {"address_list": "mine"},
        RATE + vendor(14988, LIST, b"mine"),
    ),
    "attributes beside the plan's": (
        {"attributes": tlv(62, b"\0\0\0\2")},
        {"attributes": tlv(18, b"hello")},
        RATE + tlv(18, b"hello") + tlv(62, b"\0\0\0\2"),
    ),
    "DNS": (
        {"dns": DNS, "ipv4_pool": "p4"},
        {"dns": ("2001:db8::53", "192.0.2.9")},
        RATE
        + tlv(88, b"p4")
        + vendor(311, 28, b"\xc0\0\2\x09")
        + tlv(169, bytes.fromhex("20010db8000000000000000000000053")),
    ),
    "DNS of the plan": ({"dns": DNS[:1]}, {"routes": ()}, RATE + vendor(311, 28, b"\xc0\0\2\x35")),
    "nothing that is said": ({"ipv4_pool": "p4", "group": "home"}, {"port_id": "vlan7"}, RATE + tlv(88, b"p4")),
}


@pytest.mark.parametrize(("of_plan", "own", "octets"), OWN.values(), ids=OWN.keys())
def test_what_is_the_logins_own_takes_the_plans_place(
    of_plan: dict[str, object], own: dict[str, object], octets: bytes
) -> None:
    extras = LoginExtras(**own)
    speed = Speed(extras.upload or "25M", extras.download or "50M")
    found = said(grant(extras=extras, speed=speed, **of_plan), ppp=True)
    group = vendor(14988, GROUP, b"home") if "group" in of_plan else b""
    assert found == PPP + octets + group


def test_a_fixed_address_goes_before_the_logins_own_pool() -> None:
    given = grant(extras=LoginExtras(ipv4_pool="mine"), ipv4=0xC0000201)
    assert said(given) == RATE + tlv(8, b"\xc0\0\2\1")


def test_a_login_with_extras_has_the_same_ends_and_notice_as_any_other() -> None:
    policy = {"notice_address_list": "notice"}
    given = grant(
        state=NOTICE,
        extras=LoginExtras(address_list="mine"),
        ends_at_s=int(NOW_S) + 3600,
        policy=policy,
        session_timeout_s=50_000,
        interim_interval_s=600,
    )
    lists = vendor(14988, LIST, b"mine") + vendor(14988, LIST, b"notice")
    assert said(given) == RATE + lists + integer(27, 3600) + INTERIM


@pytest.mark.parametrize(
    "own", [{"ipv6_prefix": "192.0.2.0/24"}, {"routes": ("everywhere",)}, {"address_list": "x" * 254}]
)
def test_r3_1_what_of_a_login_cannot_be_said_is_an_error_of_that_login(own: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        said(grant(extras=LoginExtras(**own)))


@pytest.mark.parametrize("extras", [None, LoginExtras()])
def test_that_a_secret_is_said_is_told(extras: LoginExtras | None) -> None:
    secret = vendor(14988, 16, b"wireless secret")
    kind = KINDS["mikrotik"]
    for attributes in (b"", secret):
        one = grant(extras=extras, attributes=attributes)
        assert accept_attributes(kind, compile_reply(kind, one), one, 1, True, NOW_S)[2] is bool(attributes)


# --- router administrators ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "group", "octets"),
    [
        ("mikrotik", "full", vendor(14988, 3, b"full")),
        ("juniper", "noc", vendor(2636, 1, b"noc")),
        ("cisco", "15", vendor(9, 1, b"shell:priv-lvl=15")),
    ],
)
def test_r2_5_an_administrator_is_told_his_group(kind: str, group: str, octets: bytes) -> None:
    assert administrator_attributes(KINDS[kind], group) == octets


@pytest.mark.parametrize("kind", ["accel_ppp", "huawei", "other"])
def test_r2_5_where_a_group_cannot_be_told_there_is_no_administrator(kind: str) -> None:
    with pytest.raises(ValueError):
        administrator_attributes(KINDS[kind], "full")


# --- Class ----------------------------------------------------------------------------------------------------------


@given(numbers, numbers, numbers, st.integers(0, 2**32 - 1), numbers, st.integers(0, 255))
def test_r4_6_a_class_says_what_was_granted(
    login: int, contract: int, plan_id: int, fingerprint: int, node: int, slot: int
) -> None:
    made = signer(node=node, slot=slot).class_attribute(login, contract, plan_id, fingerprint)
    assert made[0] == 25
    assert made[1] == len(made) == CLASS_SIZE + 2
    assert signer(node=9, slot=9).verify(made[2:]) == ClassFacts(
        version=1,
        slot=slot,
        node=node,
        serial=1001,
        login_id=login,
        contract_id=contract,
        plan_id=plan_id,
        fingerprint=fingerprint,
        leases=0,
    )


def test_r4_6_a_class_has_at_most_60_octets() -> None:
    assert CLASS_SIZE <= 60


def test_every_class_has_a_serial_of_its_own() -> None:
    ours = signer()
    made = [ours.verify(ours.class_attribute(1, 2, 3, 4)[2:]) for _ in range(100)]
    assert [facts.serial for facts in made if facts] == list(range(1001, 1101))


def test_a_forged_class_is_refused() -> None:
    genuine = signer().class_attribute(1, 2, 3, 4)[2:]
    for place in range(len(genuine)):
        for bit in range(8):
            forged = bytearray(genuine)
            forged[place] ^= 1 << bit
            assert signer().verify(bytes(forged)) is None


@pytest.mark.parametrize("value", [b"", b"x", bytes(CLASS_SIZE), bytes(CLASS_SIZE - 1), bytes(253)])
def test_what_was_never_a_class_of_ours_is_refused(value: bytes) -> None:
    assert signer().verify(value) is None


def test_the_class_of_another_cluster_is_refused() -> None:
    assert signer().verify(signer(b"K" * 16).class_attribute(1, 2, 3, 4)[2:]) is None
    genuine = signer().class_attribute(1, 2, 3, 4)[2:]
    assert signer().verify(genuine + b"x") is None
    assert signer().verify(genuine[:-1]) is None


VARIANTS = {
    "as it is": grant(ipv4=1),
    "other address": grant(ipv4=2),
    "no address": grant(),
    "high address": grant(ipv4=0xFFFFFFFF),
    "other upload": grant(ipv4=1, speed=Speed("26M", "50M")),
    "other download": grant(ipv4=1, speed=Speed("25M", "51M")),
    "exchanged": grant(ipv4=1, speed=Speed("50M", "25M")),
    "interim": grant(ipv4=1, interim_interval_s=300),
    "session timeout": grant(ipv4=1, session_timeout_s=300),
    "idle timeout": grant(ipv4=1, idle_timeout_s=300),
    "pool": grant(ipv4_pool="p4"),
    "end": grant(ipv4=1, ends_at_s=1_900_000_000),
    "other end": grant(ipv4=1, ends_at_s=1_900_086_400),
    "extras": grant(ipv4=1, extras=LoginExtras(routes=("198.51.100.0/24",))),
    "other extras": grant(ipv4=1, extras=LoginExtras(routes=("203.0.113.0/24",))),
    "extras with an end": grant(ipv4=1, ends_at_s=1_900_000_000, extras=LoginExtras(routes=("203.0.113.0/24",))),
}


def test_the_fingerprint_differs_when_the_grant_does() -> None:
    assert len({fingerprint(given) for given in VARIANTS.values()}) == len(VARIANTS)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_of_one_plan_every_address_has_a_fingerprint_of_its_own(one: int, other: int) -> None:
    assert (fingerprint(grant(ipv4=one, ipv4_pool="p")) == fingerprint(grant(ipv4=other, ipv4_pool="p"))) == (
        one == other
    )


@pytest.mark.parametrize("given_", VARIANTS.values(), ids=VARIANTS.keys())
def test_the_fingerprint_is_equal_when_what_is_given_is(given_: Grant) -> None:
    renamed = given_._replace(plan=given_.plan._replace(plan_id=77, name="another name"))
    assert fingerprint(renamed) == fingerprint(given_)
    assert 0 <= fingerprint(given_) < 2**32


def test_r4_6_a_fingerprint_does_not_change_with_the_hour_nor_with_who_is_asked() -> None:
    kind = KINDS["mikrotik"]
    given_ = grant(ends_at_s=int(NOW_S) + 3600, interim_interval_s=300)
    template = compile_reply(kind, given_)
    prints = {
        accept_attributes(kind, template, given_, login_id, ppp, NOW_S + 60 * login_id)[1]
        for login_id in range(20)
        for ppp in (True, False)
    }
    assert len(prints) == 1


def test_a_reject_says_its_text_and_nothing_for_no_text() -> None:
    assert reject_attributes("Não") == tlv(18, "Não".encode())
    assert reject_attributes("") == b""


def test_a_text_that_is_too_long_ends_with_a_whole_letter() -> None:
    assert reject_attributes("a" * 252 + "ção") == tlv(18, b"a" * 252)
    assert reject_attributes("a" * 300) == tlv(18, b"a" * 253)


def test_the_key_shows_nowhere() -> None:
    assert "kkk" not in repr(signer())
    assert repr(signer()) == "ClassSigner(node=3, slot=1)"
