"""What a grant is: the blocked state whole, plans for who is late or used up the cap, speeds by the hour."""

from math import inf

import pytest
from policy_facts import (
    CAP_PLAN,
    DAY_S,
    HOUR_S,
    IN_ORDER,
    IPV4,
    LATE_PLAN,
    MIDNIGHT_S,
    NIGHT_PLAN,
    NOON_S,
    PLAN,
    POLICY,
    TODAY,
    decided,
    hours,
    login,
    with_extras,
)

from aaad.policy.codes import AccessStatus, GrantState, LoginFlag, Reason, SpeedPhase
from aaad.policy.facts import LoginFacts, PhaseFacts, PlanFacts, Speed
from aaad.policy.grant import Decision, Grant
from aaad.policy.parameters import BranchPolicy

BLOCKED_STATE = POLICY._replace(
    blocked_state=True, blocked_upload="128k", blocked_download="256k", blocked_address_list="blocked"
)
OWN = with_extras(
    upload="70M",
    download="80M",
    ipv6_prefix="2001:db8::/64",
    delegated_ipv6_prefix="2001:db8:1::/56",
    routes=("198.51.100.0/29",),
    attributes=b"\x1b\x06\0\0\0\1",
)


def granted(decision: Decision) -> Grant:
    """The grant of a decision that has one."""
    assert decision.grant is not None
    return decision.grant


def speed_of(facts: LoginFacts, plan: PlanFacts = PLAN, now_s: float = NOON_S) -> Speed | None:
    return granted(decided(facts, plan=plan, now_s=now_s)).speed


@pytest.mark.parametrize(("pool", "ipv4"), [("", IPV4), ("blocked-pool", 0)])
def test_r4_3_the_blocked_state_is_whole(pool: str, ipv4: int) -> None:
    """An explicit rate, an address by pool or list, and nothing of the login's own that would pass by the list."""
    policy = BLOCKED_STATE._replace(blocked_ipv4_pool=pool)
    turbo = PLAN._replace(
        turbo=PhaseFacts(0, Speed("1G", "1G"), 0), late_plan_id=LATE_PLAN.plan_id, late_after_days=1
    )
    blocked = login(
        access_status=AccessStatus.BLOCKED_AUTOMATICALLY,
        flags=IN_ORDER | LoginFlag.CAP_REACHED,
        oldest_due_day=TODAY - 40,
        access_ends_at_s=int(NOON_S) + 9 * DAY_S,
        extras=OWN,
    )
    grant = Grant(turbo, Speed("128k", "256k"), GrantState.BLOCKED, SpeedPhase.NORMAL, ipv4, 0, None, policy)
    assert decided(blocked, plan=turbo, policy=policy) == Decision(Reason.GRANTED_BLOCKED, grant, inf)


def test_notice_is_a_state_and_takes_nothing_away() -> None:
    decision = decided(login(access_status=AccessStatus.PAYMENT_LATE, extras=OWN))
    grant = Grant(PLAN, Speed("70M", "80M"), GrantState.NOTICE, SpeedPhase.NORMAL, IPV4, 0, OWN, POLICY)
    assert decision == Decision(Reason.GRANTED_WITH_NOTICE, grant, inf)


LATE = PLAN._replace(late_plan_id=LATE_PLAN.plan_id, late_after_days=5, cap_plan_id=CAP_PLAN.plan_id)


@pytest.mark.parametrize(
    ("changes", "is_late", "until_s"),
    [
        ({}, False, inf),
        ({"oldest_due_day": TODAY}, False, MIDNIGHT_S + 5 * DAY_S),
        ({"oldest_due_day": TODAY - 4}, False, MIDNIGHT_S + DAY_S),
        ({"oldest_due_day": TODAY - 4, "not_reduced_until_day": TODAY - 9}, False, MIDNIGHT_S + DAY_S),
        ({"oldest_due_day": TODAY - 5}, True, inf),
        ({"oldest_due_day": TODAY - 400}, True, inf),
        ({"oldest_due_day": TODAY - 5, "not_reduced_until_day": TODAY - 1}, True, inf),
        ({"oldest_due_day": TODAY - 5, "not_reduced_until_day": TODAY}, False, MIDNIGHT_S + DAY_S),
        ({"oldest_due_day": TODAY - 4, "not_reduced_until_day": TODAY + 9}, False, MIDNIGHT_S + 10 * DAY_S),
        ({"oldest_due_day": TODAY - 5, "flags": IN_ORDER | LoginFlag.NEVER_REDUCED}, False, inf),
        ({"flags": IN_ORDER | LoginFlag.SPEED_REDUCED}, True, inf),
        ({"flags": IN_ORDER | LoginFlag.SPEED_REDUCED | LoginFlag.NEVER_REDUCED}, False, inf),
        ({"flags": IN_ORDER | LoginFlag.SPEED_REDUCED, "not_reduced_until_day": TODAY}, False, MIDNIGHT_S + DAY_S),
        (
            {"oldest_due_day": TODAY - 9, "flags": IN_ORDER | LoginFlag.ON_TRUST, "trust_until_s": int(NOON_S) + 9},
            False,
            NOON_S + 9,
        ),
    ],
)
def test_the_plan_for_who_is_late(changes: dict[str, object], is_late: bool, until_s: float) -> None:
    decision = decided(login(**changes), plan=LATE)
    grant = granted(decision)
    assert (grant.plan, grant.speed) == ((LATE_PLAN, LATE_PLAN.speed) if is_late else (LATE, LATE.speed))
    assert (decision.reason is Reason.GRANTED_LATE_PLAN) == is_late
    assert decision.until_s == until_s


def test_who_is_late_keeps_the_notice_and_his_fixed_address_but_not_his_own_speed() -> None:
    late = login(oldest_due_day=TODAY - 5, access_status=AccessStatus.PAYMENT_LATE, extras=OWN)
    grant = Grant(LATE_PLAN, Speed("1M", "1M"), GrantState.NOTICE, SpeedPhase.NORMAL, IPV4, 0, OWN, POLICY)
    assert decided(late, plan=LATE) == Decision(Reason.GRANTED_LATE_PLAN, grant, inf)


def test_the_plan_for_who_used_up_the_cap() -> None:
    capped = login(flags=IN_ORDER | LoginFlag.CAP_REACHED, oldest_due_day=TODAY)
    decision = decided(capped, plan=LATE)
    assert decision.reason is Reason.GRANTED_CAP_PLAN
    assert granted(decision).plan is CAP_PLAN
    assert decision.until_s == MIDNIGHT_S + 5 * DAY_S  # then he is late, too
    late = decided(capped._replace(oldest_due_day=TODAY - 5), plan=LATE)
    assert late.reason is Reason.GRANTED_LATE_PLAN


def test_plans_that_do_not_exist_reduce_nobody() -> None:
    plan = PLAN._replace(late_plan_id=99, late_after_days=5, cap_plan_id=98)
    flags = IN_ORDER | LoginFlag.CAP_REACHED | LoginFlag.SPEED_REDUCED
    decision = decided(login(flags=flags, oldest_due_day=TODAY - 5), plan=plan)
    assert (decision.reason, decision.until_s) == (Reason.GRANTED, inf)
    assert granted(decision).plan == plan


PHASES = PLAN._replace(
    reduced=PhaseFacts(hours((12, 18)), Speed("5M", "10M"), 0),
    turbo=PhaseFacts(hours((0, 6), (17, 20)), None, NIGHT_PLAN.plan_id),
)


@pytest.mark.parametrize(
    ("hour", "phase", "speed", "next_hour"),
    [
        (0, SpeedPhase.TURBO, NIGHT_PLAN.speed, 6),
        (6, SpeedPhase.NORMAL, PLAN.speed, 12),
        (12, SpeedPhase.REDUCED, Speed("5M", "10M"), 17),
        (17, SpeedPhase.TURBO, NIGHT_PLAN.speed, 20),  # turbo goes before reduced
        (20, SpeedPhase.NORMAL, PLAN.speed, 24),
    ],
)
def test_r4_4_speeds_by_the_hour_end_no_session(
    hour: int, phase: SpeedPhase, speed: Speed | None, next_hour: int
) -> None:
    for facts in (login(), login()._replace(flags=IN_ORDER | LoginFlag.CONDITIONAL)):
        decision = decided(facts, plan=PHASES, now_s=MIDNIGHT_S + hour * HOUR_S)
        grant = granted(decision)
        assert (grant.phase, grant.speed, grant.ends_at_s) == (phase, speed, 0)
        assert grant.plan == PHASES
        assert decision.until_s == MIDNIGHT_S + next_hour * HOUR_S


@pytest.mark.parametrize("phase", ["reduced", "turbo"])
def test_a_phase_without_hours_holds_all_day(phase: str) -> None:
    always = PLAN._replace(**{phase: PhaseFacts(0, Speed("5M", "5M"), 0)})
    decision = decided(login(), plan=always)
    assert granted(decision).speed == Speed("5M", "5M")
    assert decision.until_s == inf


def test_a_plan_is_open_in_its_phases_beside_its_normal_hours() -> None:
    plan = PHASES._replace(normal_hours=hours((8, 12)))
    reasons = [decided(login(), plan=plan, now_s=MIDNIGHT_S + hour * HOUR_S).reason for hour in range(24)]
    closed = [hour for hour, reason in enumerate(reasons) if reason is Reason.OUTSIDE_HOURS]
    assert closed == [6, 7, 20, 21, 22, 23]
    assert {reason for reason in reasons if reason is not Reason.OUTSIDE_HOURS} == {Reason.GRANTED}


def test_a_phase_whose_plan_does_not_exist_has_the_plans_own_speed() -> None:
    plan = PLAN._replace(turbo=PhaseFacts(0, None, 99), reduced=PhaseFacts(0, None, 0))
    assert speed_of(login(), plan) == PLAN.speed
    assert speed_of(login(), plan._replace(turbo=None)) == PLAN.speed
    assert speed_of(login(), plan._replace(turbo=PhaseFacts(0, None, NIGHT_PLAN.plan_id))) == NIGHT_PLAN.speed


def test_the_plan_for_who_is_late_has_its_own_phases() -> None:
    late_plan = LATE_PLAN._replace(reduced=PhaseFacts(hours((12, 13)), Speed("64k", "64k"), 0))
    decision = decided(login(oldest_due_day=TODAY - 5), plan=LATE, others=[late_plan])
    assert granted(decision).speed == Speed("64k", "64k")
    assert decision.until_s == NOON_S + HOUR_S


def test_a_plan_without_limits_has_none() -> None:
    assert speed_of(login(), PLAN._replace(speed=None)) is None
    assert speed_of(login(hours=hours((0, 24))), PLAN._replace(speed=None)) is None


BURST = Speed("25M", "50M", "30M", "60M", "20M", "40M", 8, 8, priority=3, upload_guaranteed="5M")


@pytest.mark.parametrize(
    ("upload", "download", "plan_speed", "speed"),
    [
        ("70M", "80M", BURST, Speed("70M", "80M", priority=3)),
        ("70M", "", BURST, Speed("70M", "50M", priority=3)),
        ("", "80M", BURST, Speed("25M", "80M", priority=3)),
        ("70M", "80M", None, Speed("70M", "80M")),
        ("", "", BURST, BURST),
    ],
)
def test_a_logins_own_speed_goes_before_the_plans(
    upload: str, download: str, plan_speed: Speed | None, speed: Speed
) -> None:
    own = login(extras=with_extras(upload=upload, download=download, address_list="vip"))
    assert speed_of(own, PLAN._replace(speed=plan_speed)) == speed


def test_who_has_his_own_speed_has_it_at_all_hours_that_the_plan_is_open() -> None:
    plan = PHASES._replace(normal_hours=hours((8, 12)))
    own = login(extras=OWN)
    decision = decided(own, plan=plan)
    assert granted(decision).speed == Speed("70M", "80M")
    assert granted(decision).phase is SpeedPhase.NORMAL
    assert decision.until_s == MIDNIGHT_S + 20 * HOUR_S
    assert decided(own, plan=plan, now_s=MIDNIGHT_S + 20 * HOUR_S).reason is Reason.OUTSIDE_HOURS


def test_hours_are_those_of_the_branch() -> None:
    acre = BranchPolicy(1, utc_offset_s=-5 * HOUR_S)
    decision = decided(login(), plan=PHASES, policy=acre)  # 10 o'clock there
    assert granted(decision).phase is SpeedPhase.NORMAL
    assert decision.until_s == NOON_S + 2 * HOUR_S
