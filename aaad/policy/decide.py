"""The one decision: what a login gets, and why. RADIUS answers with it, `aaad why` explains with it.

Pure: no I/O, no clock, no RADIUS. The table of statuses is rule R4.1.
"""

from math import inf

from aaad.policy.codes import AccessStatus, ContractStatus, Credential, LoginFlag, Reason
from aaad.policy.facts import LoginFacts, PlanFacts
from aaad.policy.grant import Decision, Grant

_CONTRACT_REFUSALS: dict[int, Reason] = {
    ContractStatus.PRE_CONTRACT: Reason.CONTRACT_NOT_SIGNED_YET,
    ContractStatus.INACTIVE: Reason.CONTRACT_INACTIVE,
    ContractStatus.BLACKLISTED: Reason.CONTRACT_BLACKLISTED,
    ContractStatus.WITHDRAWN: Reason.CONTRACT_WITHDRAWN,
}
_ACCESS_REFUSALS: dict[int, Reason] = {
    AccessStatus.DISABLED: Reason.ACCESS_DISABLED,
    AccessStatus.BLOCKED_MANUALLY: Reason.BLOCKED_MANUALLY,
    AccessStatus.BLOCKED_AUTOMATICALLY: Reason.BLOCKED_AUTOMATICALLY,
    AccessStatus.AWAITING_SIGNATURE: Reason.AWAITING_SIGNATURE,
    AccessStatus.AWAITING_SIGNATURE_LEGACY: Reason.AWAITING_SIGNATURE,
}
_CREDENTIAL_REFUSALS: dict[int, Reason] = {
    Credential.WRONG: Reason.WRONG_PASSWORD,
    Credential.MISSING: Reason.PASSWORD_MISSING,
    Credential.UNSUPPORTED: Reason.METHOD_UNSUPPORTED,
}
# Members of an enum are looked up once, here: on the request path each look-up would cost as much as a comparison.
_FLAGS_CHECKED = int(
    LoginFlag.LOGIN_ACTIVE | LoginFlag.LOGIN_DELETED | LoginFlag.CLIENT_ACTIVE | LoginFlag.CONTRACT_SUSPENDED
)
_FLAGS_IN_ORDER = int(LoginFlag.LOGIN_ACTIVE | LoginFlag.CLIENT_ACTIVE)
_RIGHT = Credential.RIGHT
_GRANTED = Reason.GRANTED
_new_tuple = tuple.__new__
_DAMAGED = Reason.RECORD_DAMAGED


def _by_status(contract_status: int, access_status: int) -> Reason:
    if contract_status != ContractStatus.ACTIVE:
        return _CONTRACT_REFUSALS[contract_status]
    return _ACCESS_REFUSALS.get(access_status, _GRANTED)


# (contract status, access status) -> GRANTED or why not. Whole, so that a pair that does not exist connects nobody.
_STANDING_BY_STATUS: dict[tuple[int, int], Reason] = {
    (contract, access): _by_status(contract, access) for contract in ContractStatus for access in AccessStatus
}


def standing(login: LoginFacts) -> Reason:
    """Return GRANTED if this login may connect with the right password, else why not."""
    flags = login.flags
    if flags & _FLAGS_CHECKED != _FLAGS_IN_ORDER:
        if flags & LoginFlag.LOGIN_DELETED:
            return Reason.LOGIN_DELETED
        if not flags & LoginFlag.LOGIN_ACTIVE:
            return Reason.LOGIN_INACTIVE
        if not flags & LoginFlag.CLIENT_ACTIVE:
            return Reason.CLIENT_INACTIVE
        if login.contract_status == ContractStatus.ACTIVE:
            return Reason.CONTRACT_SUSPENDED_VOLUNTARILY
    return _STANDING_BY_STATUS.get((login.contract_status, login.access_status), _DAMAGED)


def decide(login: LoginFacts, plan: PlanFacts | None, credential: int) -> Decision:
    """Decide what a known login gets; `plan` is the login's own, None when it has none that exists.

    A wrong password comes before every other reason: what stands in the contract is told to nobody who cannot
    prove who he is.
    """
    if credential != _RIGHT:
        return Decision(_CREDENTIAL_REFUSALS[credential], None, inf)
    reason = standing(login)
    if reason is not _GRANTED:
        return Decision(reason, None, inf)
    if plan is None:
        return Decision(Reason.PLAN_MISSING, None, inf)
    # The usual end, made the short way: calling the NamedTuples by their names costs twice as much.
    return _new_tuple(Decision, (_GRANTED, _new_tuple(Grant, (plan, login.ipv4)), inf))
