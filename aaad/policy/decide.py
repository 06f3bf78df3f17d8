"""The one decision: what a login gets, and why. RADIUS answers with it, `aaad why` explains with it.

Pure: no I/O, no clock, no RADIUS. Carries out rules R4.1 to R4.4 and, of R5.4, what holds between devices that fight.
The first of these that refuses is the reason: password, login, client, contract, voluntary suspension, access status,
end of a trust unlock, end of prepaid time, hours, bindings to NAS, port, circuit and device, another device that was
first, plan.

Two choices that no rule fixes: a trust unlock also lifts the plan for who is late, as long as it runs, since it is a
promise of the whole service; and "never reduced" and "not reduced until" go before an operator's reduction.
"""

from collections.abc import Mapping
from functools import lru_cache
from math import inf

from aaad.policy.calendar import ALL_HOURS, hours_later_s, hours_to_change, local_hour, midnight_s, next_change_s
from aaad.policy.codes import AccessStatus, ContractStatus, Credential, GrantState, LoginFlag, Reason, SpeedPhase
from aaad.policy.facts import Asked, LoginExtras, LoginFacts, PhaseFacts, PlanFacts, Speed
from aaad.policy.grant import Decision, Grant
from aaad.policy.parameters import BranchPolicy

_CONTRACT_REFUSALS: dict[int, Reason] = {
    ContractStatus.PRE_CONTRACT: Reason.CONTRACT_NOT_SIGNED_YET,
    ContractStatus.INACTIVE: Reason.CONTRACT_INACTIVE,
    ContractStatus.BLACKLISTED: Reason.CONTRACT_BLACKLISTED,
    ContractStatus.WITHDRAWN: Reason.CONTRACT_WITHDRAWN,
}
_BY_ACCESS: dict[int, Reason] = {
    AccessStatus.ACTIVE: Reason.GRANTED,
    AccessStatus.PAYMENT_LATE: Reason.GRANTED_WITH_NOTICE,
    AccessStatus.DISABLED: Reason.ACCESS_DISABLED,
    AccessStatus.BLOCKED_MANUALLY: Reason.BLOCKED_MANUALLY,
    AccessStatus.BLOCKED_AUTOMATICALLY: Reason.BLOCKED_AUTOMATICALLY,
    AccessStatus.AWAITING_SIGNATURE: Reason.AWAITING_SIGNATURE,
    AccessStatus.AWAITING_SIGNATURE_LEGACY: Reason.AWAITING_SIGNATURE,
}
# (contract status, access status) -> what they say by themselves. A pair that does not exist connects nobody.
_BY_STATUSES: dict[tuple[int, int], Reason] = {
    (contract, access): _CONTRACT_REFUSALS.get(contract, reason)
    for contract in ContractStatus
    for access, reason in _BY_ACCESS.items()
}
_CREDENTIAL_REFUSALS: dict[int, Reason] = {
    Credential.WRONG: Reason.WRONG_PASSWORD,
    Credential.MISSING: Reason.PASSWORD_MISSING,
    Credential.UNSUPPORTED: Reason.METHOD_UNSUPPORTED,
    Credential.NEEDS_CLEAR_PASSWORD: Reason.PASSWORD_STORED_AS_MD5,
    Credential.OTHER_DEVICE: Reason.MAC_LOGIN_FROM_OTHER_DEVICE,
}
# Who is refused for these is let into the blocked state where the branch has one.
_BLOCKED = frozenset(
    {
        Reason.BLOCKED_MANUALLY,
        Reason.BLOCKED_AUTOMATICALLY,
        Reason.TRUST_UNLOCK_ENDED,
        Reason.PREPAID_ENDED,
    }
)
# Members of an enum are looked up once, here: on the request path each look-up would cost as much as a comparison.
_FLAGS_CHECKED = int(
    LoginFlag.LOGIN_ACTIVE | LoginFlag.LOGIN_DELETED | LoginFlag.CLIENT_ACTIVE | LoginFlag.CONTRACT_SUSPENDED
)
_FLAGS_IN_ORDER = int(LoginFlag.LOGIN_ACTIVE | LoginFlag.CLIENT_ACTIVE)
_FLAGS_OF_ORDINARY = _FLAGS_CHECKED | int(LoginFlag.CONDITIONAL)
_LOGIN_ACTIVE = int(LoginFlag.LOGIN_ACTIVE)
_LOGIN_DELETED = int(LoginFlag.LOGIN_DELETED)
_CLIENT_ACTIVE = int(LoginFlag.CLIENT_ACTIVE)
_SUSPENDED = int(LoginFlag.CONTRACT_SUSPENDED)
_ON_TRUST = int(LoginFlag.ON_TRUST)
_CAP_REACHED = int(LoginFlag.CAP_REACHED)
_SPEED_REDUCED = int(LoginFlag.SPEED_REDUCED)
_NEVER_REDUCED = int(LoginFlag.NEVER_REDUCED)
_RIGHT = int(Credential.RIGHT)
_CONTRACT_ACTIVE = int(ContractStatus.ACTIVE)
_ACCESS_ACTIVE = int(AccessStatus.ACTIVE)
_PAYMENT_LATE = int(AccessStatus.PAYMENT_LATE)
_FULL, _NOTICE, _BLOCKED_STATE = GrantState.FULL, GrantState.NOTICE, GrantState.BLOCKED
_NORMAL, _REDUCED, _TURBO = SpeedPhase.NORMAL, SpeedPhase.REDUCED, SpeedPhase.TURBO
_GRANTED = Reason.GRANTED
_ON_TRUST_REASON = Reason.GRANTED_ON_TRUST
_AWAITING = Reason.AWAITING_SIGNATURE
_DAMAGED = Reason.RECORD_DAMAGED
_FIRST_REFUSAL = int(Reason.UNKNOWN_LOGIN)
_new_tuple = tuple.__new__

_NAS = (int(LoginFlag.NAS_BIND), int(LoginFlag.NAS_BIND_DEFAULT))
_PORT = (int(LoginFlag.PORT_BIND), int(LoginFlag.PORT_BIND_DEFAULT))
_CIRCUIT = (int(LoginFlag.CIRCUIT_BIND), int(LoginFlag.CIRCUIT_BIND_DEFAULT))
_MAC = (int(LoginFlag.MAC_BIND), int(LoginFlag.MAC_BIND_DEFAULT))
_FLAGS_OF_CONDITIONS = int(
    LoginFlag.CONTRACT_SUSPENDED | LoginFlag.ON_TRUST | LoginFlag.CAP_REACHED | LoginFlag.SPEED_REDUCED
)


def is_conditional(login: LoginFacts) -> bool:
    """Whether more of a login than its statuses and an open receivable may decide: LoginFlag.CONDITIONAL."""
    flags, extras = login.flags, login.extras
    return bool(
        flags & _FLAGS_OF_CONDITIONS
        or extras is not None
        or login.hours
        or login.access_ends_at_s
        or (login.nas_id and flags & (_NAS[0] | _NAS[1]))
        or (login.mac and flags & (_MAC[0] | _MAC[1]))
    )


def decide(
    login: LoginFacts,
    plans: Mapping[int, PlanFacts],
    policy: BranchPolicy,
    credential: int,
    asked: Asked,
    now_s: float,
) -> Decision:
    """Decide what a known login gets.

    A wrong password comes before every other reason: what stands in the contract is told to nobody who cannot
    prove who he is.

    Args:
        login: the facts; with LoginFlag.CONDITIONAL if `is_conditional` says so.
        plans: all that there are, by number.
        policy: of the login's branch.
        credential: what the proof of the password came to (Credential).
        asked: what else the request says; read only where the login is bound.
        now_s: Unix seconds.
    """
    if credential != _RIGHT:
        return Decision(_CREDENTIAL_REFUSALS[credential], None, inf)
    # The usual case the short way; calling the NamedTuples by their names would cost twice as much.
    if (
        login.access_status == _ACCESS_ACTIVE
        and login.flags & _FLAGS_OF_ORDINARY == _FLAGS_IN_ORDER
        and login.contract_status == _CONTRACT_ACTIVE
    ):
        plan = plans.get(login.plan_id)
        if (
            plan is not None
            and not (plan.late_after_days and login.oldest_due_day)
            and plan.reduced is None
            and plan.turbo is None
            and not plan.normal_hours
        ):
            grant = _new_tuple(Grant, (plan, plan.speed, _FULL, _NORMAL, login.ipv4, 0, None, policy, None))
            return _new_tuple(Decision, (_GRANTED, grant, inf))
    return _decide_whole(login, plans, policy, asked, now_s)


def standing(login: LoginFacts, policy: BranchPolicy, now_s: float) -> Reason:
    """Return what the statuses say, apart from password, hours, bindings and plan.

    Of who is let into the blocked state it is what he is blocked for.
    """
    return _stand(login, policy, now_s)[0]


def open_hours(login: LoginFacts, plans: Mapping[int, PlanFacts], policy: BranchPolicy, now_s: float) -> int:
    """Return the hours of the day in which who proves his password gets the service, as 24 bits; 0 for none.

    Bindings apart; the blocked state is no service. Statuses, and which plan holds, are those of `now_s`.
    """
    reason, _ = _stand(login, policy, now_s)
    own_plan = plans.get(login.plan_id)
    if reason >= _FIRST_REFUSAL or own_plan is None:
        return 0
    plan = own_plan
    if now_s >= _late_from_s(login, own_plan, plans, policy, is_on_trust=reason is _ON_TRUST_REASON):
        plan = plans[own_plan.late_plan_id]
    elif login.flags & _CAP_REACHED and own_plan.cap_plan_id in plans:
        plan = plans[own_plan.cap_plan_id]
    of_plan = (plan.normal_hours or ALL_HOURS) | _hours(plan.reduced) | _hours(plan.turbo)
    return of_plan & (login.hours or ALL_HOURS)


def enforced_bindings(login: LoginFacts, policy: BranchPolicy) -> tuple[int, str, str, int]:
    """Return to which NAS, port, circuit and device a login is bound; 0 or empty where it is not."""
    flags, extras = login.flags, login.extras
    return (
        login.nas_id if _holds(flags, _NAS, policy.nas_bind) else 0,
        extras.port_id if extras is not None and _holds(flags, _PORT, policy.port_bind) else "",
        extras.circuit_id if extras is not None and _holds(flags, _CIRCUIT, policy.circuit_bind) else "",
        login.mac if _holds(flags, _MAC, policy.mac_bind) else 0,
    )


def _stand(login: LoginFacts, policy: BranchPolicy, now_s: float) -> tuple[Reason, float]:
    """Return the standing and until when it holds."""
    flags = login.flags
    if flags & _LOGIN_DELETED:
        return Reason.LOGIN_DELETED, inf
    if not flags & _LOGIN_ACTIVE:
        return Reason.LOGIN_INACTIVE, inf
    if not flags & _CLIENT_ACTIVE:
        return Reason.CLIENT_INACTIVE, inf
    reason = _BY_STATUSES.get((login.contract_status, login.access_status), _DAMAGED)
    if login.contract_status != _CONTRACT_ACTIVE:
        return reason, inf
    until_s = inf
    if flags & _SUSPENDED:
        is_suspended, until_s = _suspension(login, policy, now_s)
        if is_suspended:
            return Reason.CONTRACT_SUSPENDED_VOLUNTARILY, until_s
    if reason is _AWAITING and policy.let_in_awaiting_signature:
        reason = _GRANTED
    if reason >= _FIRST_REFUSAL:
        return reason, until_s
    if flags & _ON_TRUST:
        ends_s = _trust_ends_s(login, policy)
        if now_s >= ends_s:
            return Reason.TRUST_UNLOCK_ENDED, until_s
        reason, until_s = _ON_TRUST_REASON, min(until_s, ends_s)
    if login.access_ends_at_s:
        if now_s >= login.access_ends_at_s:
            return Reason.PREPAID_ENDED, until_s
        until_s = min(until_s, float(login.access_ends_at_s))
    return reason, until_s


def _suspension(login: LoginFacts, policy: BranchPolicy, now_s: float) -> tuple[bool, float]:
    """Return whether the contract is suspended now and when that changes; without dates it is for good."""
    begins_s = midnight_s(login.suspended_from_day, policy.utc_offset_s) if login.suspended_from_day else -inf
    ends_s = midnight_s(login.suspended_until_day + 1, policy.utc_offset_s) if login.suspended_until_day else inf
    if begins_s >= ends_s or now_s >= ends_s:
        return False, inf
    return (True, ends_s) if now_s >= begins_s else (False, begins_s)


def _trust_ends_s(login: LoginFacts, policy: BranchPolicy) -> float:
    """Return when a trust unlock ends: never before the day of the open receivable is over.

    Who has paid is on trust no more: with nothing overdue the database takes the mark away. Where no receivable is
    known, the ERP keeps them elsewhere, and the end alone counts.
    """
    if not login.trust_until_s:
        return inf
    if not login.oldest_due_day:
        return float(login.trust_until_s)
    return max(float(login.trust_until_s), midnight_s(login.oldest_due_day + 1, policy.utc_offset_s))


def _decide_whole(
    login: LoginFacts, plans: Mapping[int, PlanFacts], policy: BranchPolicy, asked: Asked, now_s: float
) -> Decision:
    reason, until_s = _stand(login, policy, now_s)
    is_blocked = False
    if reason >= _FIRST_REFUSAL:
        if not (policy.blocked_state and reason in _BLOCKED):
            return Decision(reason, None, until_s)
        is_blocked = True
    elif login.hours:
        until_s = min(until_s, next_change_s(login.hours, now_s, policy.utc_offset_s))
        if not login.hours >> local_hour(now_s, policy.utc_offset_s) & 1:
            return Decision(Reason.OUTSIDE_HOURS, None, until_s)
    refusal = _bound_elsewhere(login, policy, asked)
    if refusal is not None:
        return Decision(refusal, None, until_s)
    if login.extras is not None and now_s < login.extras.contest_until_s and not is_blocked:
        until_s = min(until_s, float(login.extras.contest_until_s))
        if asked.mac != login.extras.contest_mac:
            return Decision(Reason.IN_USE_ELSEWHERE, None, until_s)
    plan = plans.get(login.plan_id)
    if plan is None:
        return Decision(Reason.PLAN_MISSING, None, until_s)
    if is_blocked:
        return Decision(Reason.GRANTED_BLOCKED, _blocked_grant(login, plan, policy), until_s)
    return _granted(login, plans, plan, policy, now_s, reason, until_s)


def _bound_elsewhere(login: LoginFacts, policy: BranchPolicy, asked: Asked) -> Reason | None:
    """Return which enforced binding the request does not fit. Who does not say where he is fits none."""
    flags = login.flags
    if login.nas_id and _holds(flags, _NAS, policy.nas_bind) and asked.nas_id != login.nas_id:
        return Reason.NAS_NOT_ALLOWED
    extras = login.extras
    if extras is not None:
        if extras.port_id and _holds(flags, _PORT, policy.port_bind) and asked.port_id != extras.port_id:
            return Reason.PORT_NOT_ALLOWED
        if (
            extras.circuit_id
            and _holds(flags, _CIRCUIT, policy.circuit_bind)
            and asked.circuit_id != extras.circuit_id
        ):
            return Reason.CIRCUIT_NOT_ALLOWED
    if login.mac and _holds(flags, _MAC, policy.mac_bind) and asked.mac != login.mac:
        return Reason.DEVICE_NOT_ALLOWED
    return None


def _holds(flags: int, bits: tuple[int, int], by_default: bool) -> bool:
    always, as_branch_says = bits
    return bool(flags & always) or (by_default and bool(flags & as_branch_says))


def _blocked_grant(login: LoginFacts, plan: PlanFacts, policy: BranchPolicy) -> Grant:
    """Return the blocked state, whole (rule R4.3).

    Nothing of the login's own is in it but the fixed address, and that only where no pool of blocked addresses takes
    its place: routed networks and prefixes of its own would pass by the list.
    """
    speed = Speed(policy.blocked_upload, policy.blocked_download)
    ipv4 = 0 if policy.blocked_ipv4_pool else login.ipv4
    return Grant(plan, speed, _BLOCKED_STATE, _NORMAL, ipv4, 0, None, policy)


def _granted(
    login: LoginFacts,
    plans: Mapping[int, PlanFacts],
    own_plan: PlanFacts,
    policy: BranchPolicy,
    now_s: float,
    reason: Reason,
    until_s: float,
) -> Decision:
    state = _NOTICE if login.access_status == _PAYMENT_LATE else _FULL
    plan = own_plan
    late_s = _late_from_s(login, own_plan, plans, policy, is_on_trust=reason is _ON_TRUST_REASON)
    if now_s >= late_s:
        reason, plan = Reason.GRANTED_LATE_PLAN, plans[own_plan.late_plan_id]
    else:
        until_s = min(until_s, late_s)
        if login.flags & _CAP_REACHED and own_plan.cap_plan_id in plans:
            reason, plan = Reason.GRANTED_CAP_PLAN, plans[own_plan.cap_plan_id]
    own_speed = _own_speed(login.extras, plan) if plan is own_plan else None
    phase, change_s = _phase(plan, now_s, policy.utc_offset_s, has_one_speed=own_speed is not None)
    until_s = min(until_s, change_s)
    if phase is None:
        return Decision(Reason.OUTSIDE_HOURS, None, until_s)
    speed = own_speed if own_speed is not None else _phase_speed(plan, plans, phase)
    ends_at_s = login.access_ends_at_s
    grant = _new_tuple(Grant, (plan, speed, state, phase, login.ipv4, ends_at_s, login.extras, policy, None))
    return _new_tuple(Decision, (reason, grant, until_s))


def _late_from_s(
    login: LoginFacts,
    plan: PlanFacts,
    plans: Mapping[int, PlanFacts],
    policy: BranchPolicy,
    *,
    is_on_trust: bool,
) -> float:
    """Return the instant from which the plan for who is late holds; math.inf for never."""
    flags = login.flags
    if plan.late_plan_id not in plans or flags & _NEVER_REDUCED:
        return inf
    if flags & _SPEED_REDUCED:
        day = 0
    elif plan.late_after_days and login.oldest_due_day and not is_on_trust:
        day = login.oldest_due_day + plan.late_after_days
    else:
        return inf
    if login.not_reduced_until_day:
        day = max(day, login.not_reduced_until_day + 1)
    return midnight_s(day, policy.utc_offset_s) if day else -inf


def _own_speed(extras: LoginExtras | None, plan: PlanFacts) -> Speed | None:
    """Return the login's own speed. Of the plan's, burst and guarantee do not fit it, and only its priority stays."""
    if extras is None or not (extras.upload or extras.download):
        return None
    of_plan = plan.speed if plan.speed is not None else Speed("", "")
    return Speed(extras.upload or of_plan.upload, extras.download or of_plan.download, priority=of_plan.priority)


def _phase(
    plan: PlanFacts, now_s: float, utc_offset_s: int, *, has_one_speed: bool
) -> tuple[SpeedPhase | None, float]:
    """Return which phase of a plan holds, None outside all its hours, and when that changes."""
    if plan.turbo is None and plan.reduced is None and not plan.normal_hours:
        return _NORMAL, inf
    hour = local_hour(now_s, utc_offset_s)
    phase, count = _phase_at(hour, plan.normal_hours, _hours(plan.reduced), _hours(plan.turbo), has_one_speed)
    return phase, hours_later_s(count, now_s, utc_offset_s) if count else inf


def _hours(phase: PhaseFacts | None) -> int:
    return 0 if phase is None else phase.hours or ALL_HOURS


@lru_cache(maxsize=4096)
def _phase_at(hour: int, normal: int, reduced: int, turbo: int, has_one_speed: bool) -> tuple[SpeedPhase | None, int]:
    """Return the phase, turbo before reduced before normal, and in how many hours it changes (0: never).

    Who has one speed at all hours is in the normal phase of a plan that is not closed.
    """
    reduced &= ~turbo
    is_open = (normal or ALL_HOURS) | turbo | reduced
    if has_one_speed:
        turbo = reduced = 0
    counts = [hours_to_change(hours, hour) for hours in (turbo, reduced, is_open)]
    count = min((count for count in counts if count), default=0)
    if turbo >> hour & 1:
        return _TURBO, count
    if reduced >> hour & 1:
        return _REDUCED, count
    return (_NORMAL if is_open >> hour & 1 else None), count


def _phase_speed(plan: PlanFacts, plans: Mapping[int, PlanFacts], phase: SpeedPhase) -> Speed | None:
    """Return a phase's own speed, or that of the plan that it names, or the plan's when there is none such."""
    facts = plan.turbo if phase is _TURBO else plan.reduced
    if phase is _NORMAL or facts is None:
        return plan.speed
    if facts.speed is not None:
        return facts.speed
    return plans.get(facts.plan_id, plan).speed
