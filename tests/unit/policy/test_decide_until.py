"""Until when a decision holds: never too late, and never sooner than something changes (rule R4.4)."""

from math import inf, isfinite

from hypothesis import given, settings
from hypothesis import strategies as st
from policy_facts import (
    CAP_PLAN,
    DAY_S,
    HOUR_S,
    IN_ORDER,
    LATE_PLAN,
    MIDNIGHT_S,
    NIGHT_PLAN,
    PLAN,
    TODAY,
    Request,
    conditional,
    login,
)

from aaad.policy.codes import AccessStatus, ContractStatus, Credential, LoginFlag
from aaad.policy.decide import decide
from aaad.policy.facts import LoginExtras, PhaseFacts, PlanFacts, Speed
from aaad.policy.parameters import BranchPolicy

days = st.sampled_from([0, 0, *range(TODAY - 3, TODAY + 4)])
instants = st.sampled_from([0, 0, *(int(MIDNIGHT_S) + hours * HOUR_S + 777 for hours in range(-40, 60, 7))])
hour_sets = st.sampled_from([0, 0, 0x0000FF, 0xFFFF00, 0x0F0F0F, 0x800001, 0xFFFFFF])
sometimes = st.sampled_from([True, False, False])


def flags_of(*members: LoginFlag) -> st.SearchStrategy[int]:
    return st.sets(st.sampled_from(members)).map(lambda chosen: IN_ORDER | sum(chosen))


logins = st.builds(
    lambda has_own_speed, **fields: conditional(
        login(**fields)._replace(extras=LoginExtras(upload="9M", download="9M") if has_own_speed else None)
    ),
    has_own_speed=sometimes,
    flags=flags_of(
        LoginFlag.CONTRACT_SUSPENDED,
        LoginFlag.ON_TRUST,
        LoginFlag.CAP_REACHED,
        LoginFlag.SPEED_REDUCED,
        LoginFlag.NEVER_REDUCED,
        LoginFlag.MAC_BIND,
    ),
    contract_status=st.sampled_from([ContractStatus.ACTIVE] * 5 + [ContractStatus.WITHDRAWN]),
    access_status=st.sampled_from([AccessStatus.ACTIVE] * 5 + list(AccessStatus)),
    mac=st.sampled_from([0, 0, 9]),
    hours=hour_sets,
    oldest_due_day=days,
    not_reduced_until_day=days,
    suspended_from_day=days,
    suspended_until_day=days,
    access_ends_at_s=instants,
    trust_until_s=instants,
)
phases = st.none() | st.builds(
    PhaseFacts, hour_sets, st.none() | st.just(Speed("3M", "3M")), st.sampled_from([0, 99, NIGHT_PLAN.plan_id])
)


def plans_like(plan: PlanFacts, **fields: st.SearchStrategy[int]) -> st.SearchStrategy[PlanFacts]:
    return st.builds(
        lambda **changes: plan._replace(**changes), normal_hours=hour_sets, reduced=phases, turbo=phases, **fields
    )


plan_tables = st.builds(
    lambda own, late: {plan.plan_id: plan for plan in (own, late, CAP_PLAN, NIGHT_PLAN)},
    plans_like(
        PLAN,
        late_after_days=st.sampled_from([0, 1, 3]),
        late_plan_id=st.sampled_from([0, LATE_PLAN.plan_id]),
        cap_plan_id=st.sampled_from([0, CAP_PLAN.plan_id]),
    ),
    plans_like(LATE_PLAN),
)
policies = st.builds(
    BranchPolicy,
    branch_id=st.just(1),
    utc_offset_s=st.sampled_from([-10_800, 0, -18_000, 20_700]),  # Nepal is three quarters of an hour off
    blocked_state=st.booleans(),
    let_in_awaiting_signature=st.booleans(),
)


@settings(max_examples=300, deadline=None)
@given(logins, plan_tables, policies, st.floats(-2 * DAY_S, 2 * DAY_S), st.floats(0, 1))
def test_a_decision_holds_until_it_says_so_and_no_longer(
    facts,
    plans,
    policy,
    since_midnight_s,
    share,  # type: ignore[no-untyped-def]
) -> None:
    def at(now_s: float):  # type: ignore[no-untyped-def]
        return decide(facts, plans, policy, Credential.RIGHT, Request(), now_s)

    now_s = MIDNIGHT_S + since_midnight_s
    decision = at(now_s)
    until_s = decision.until_s
    assert until_s > now_s
    end_s = min(until_s, now_s + 9 * DAY_S)
    between = {now_s + share * (end_s - now_s), end_s - 0.001}
    between |= {now_s + hours * HOUR_S for hours in range(1, 60)}
    for moment_s in between:
        if now_s <= moment_s < end_s:
            assert at(moment_s) == decision
    if isfinite(until_s):
        later = at(until_s)
        assert later.until_s > until_s
        assert later != decision
        assert until_s == float(int(until_s))  # of what is given in seconds


@settings(max_examples=200, deadline=None)
@given(logins, plan_tables, policies, st.floats(-2 * DAY_S, 2 * DAY_S))
def test_the_short_way_decides_as_the_whole_one(facts, plans, policy, since_midnight_s) -> None:  # type: ignore[no-untyped-def]
    whole = facts._replace(flags=facts.flags | LoginFlag.CONDITIONAL)
    now_s = MIDNIGHT_S + since_midnight_s
    decisions = [decide(each, plans, policy, Credential.RIGHT, Request(), now_s) for each in (facts, whole)]
    assert decisions[0] == decisions[1]
    assert (decisions[0].grant is not None) == decisions[0].reason.is_grant


def test_nothing_that_the_clock_cannot_change_has_an_end() -> None:
    for credential in (Credential.WRONG, Credential.MISSING):
        assert decide(login(hours=1), {}, BranchPolicy(1), credential, Request(), MIDNIGHT_S).until_s == inf
