"""Every reason that the decision can give is given, and the operator reads what it says in both languages."""

from typing import Any

import pytest
from policy_facts import (
    CAP_PLAN,
    IN_ORDER,
    LATE_PLAN,
    MAC,
    NOON_S,
    PLAN,
    POLICY,
    TODAY,
    Request,
    decided,
    login,
    with_extras,
)

from aaad.policy.codes import AccessStatus, ContractStatus, Credential, LoginFlag, Reason
from aaad.words import Language, reason_hint, reason_text

WITH_OTHERS = PLAN._replace(late_plan_id=LATE_PLAN.plan_id, late_after_days=5, cap_plan_id=CAP_PLAN.plan_id)
OTHER = Request(nas_id=9, mac=9, port_id="x", circuit_id="x")


def bound(flag: LoginFlag, **fields: object) -> dict[str, Any]:
    return {"facts": login(flags=IN_ORDER | flag, **fields), "asked": OTHER}


def proven(credential: Credential) -> dict[str, Any]:
    return {"facts": login(), "credential": credential}


def contract(**fields: object) -> dict[str, Any]:
    return {"facts": login(**fields)}


CASES: dict[Reason, dict[str, Any]] = {
    Reason.GRANTED: contract(),
    Reason.GRANTED_WITH_NOTICE: contract(access_status=AccessStatus.PAYMENT_LATE),
    Reason.GRANTED_BLOCKED: contract(access_status=AccessStatus.BLOCKED_MANUALLY)
    | {"policy": POLICY._replace(blocked_state=True)},
    Reason.GRANTED_LATE_PLAN: contract(oldest_due_day=TODAY - 5) | {"plan": WITH_OTHERS},
    Reason.GRANTED_CAP_PLAN: contract(flags=IN_ORDER | LoginFlag.CAP_REACHED) | {"plan": WITH_OTHERS},
    Reason.GRANTED_ON_TRUST: contract(
        flags=IN_ORDER | LoginFlag.ON_TRUST, oldest_due_day=TODAY - 5, trust_until_s=int(NOON_S) + 1
    ),
    Reason.WRONG_PASSWORD: proven(Credential.WRONG),
    Reason.PASSWORD_MISSING: proven(Credential.MISSING),
    Reason.METHOD_UNSUPPORTED: proven(Credential.UNSUPPORTED),
    Reason.PASSWORD_STORED_AS_MD5: proven(Credential.NEEDS_CLEAR_PASSWORD),
    Reason.MAC_LOGIN_FROM_OTHER_DEVICE: proven(Credential.OTHER_DEVICE),
    Reason.LOGIN_INACTIVE: contract(flags=LoginFlag.CLIENT_ACTIVE),
    Reason.LOGIN_DELETED: contract(flags=IN_ORDER | LoginFlag.LOGIN_DELETED),
    Reason.CLIENT_INACTIVE: contract(flags=LoginFlag.LOGIN_ACTIVE),
    Reason.CONTRACT_NOT_SIGNED_YET: contract(contract_status=ContractStatus.PRE_CONTRACT),
    Reason.CONTRACT_INACTIVE: contract(contract_status=ContractStatus.INACTIVE),
    Reason.CONTRACT_BLACKLISTED: contract(contract_status=ContractStatus.BLACKLISTED),
    Reason.CONTRACT_WITHDRAWN: contract(contract_status=ContractStatus.WITHDRAWN),
    Reason.CONTRACT_SUSPENDED_VOLUNTARILY: contract(flags=IN_ORDER | LoginFlag.CONTRACT_SUSPENDED),
    Reason.ACCESS_DISABLED: contract(access_status=AccessStatus.DISABLED),
    Reason.BLOCKED_MANUALLY: contract(access_status=AccessStatus.BLOCKED_MANUALLY),
    Reason.BLOCKED_AUTOMATICALLY: contract(access_status=AccessStatus.BLOCKED_AUTOMATICALLY),
    Reason.AWAITING_SIGNATURE: contract(access_status=AccessStatus.AWAITING_SIGNATURE),
    Reason.PREPAID_ENDED: contract(access_ends_at_s=int(NOON_S)),
    Reason.TRUST_UNLOCK_ENDED: contract(
        flags=IN_ORDER | LoginFlag.ON_TRUST, oldest_due_day=TODAY - 5, trust_until_s=int(NOON_S)
    ),
    Reason.OUTSIDE_HOURS: contract(hours=1),
    Reason.DEVICE_NOT_ALLOWED: bound(LoginFlag.MAC_BIND, mac=MAC),
    Reason.NAS_NOT_ALLOWED: bound(LoginFlag.NAS_BIND, nas_id=3),
    Reason.PORT_NOT_ALLOWED: bound(LoginFlag.PORT_BIND, extras=with_extras(port_id="ether1")),
    Reason.CIRCUIT_NOT_ALLOWED: bound(LoginFlag.CIRCUIT_BIND, extras=with_extras(circuit_id="olt")),
    Reason.IN_USE_ELSEWHERE: contract(extras=with_extras(contest_until_s=int(NOON_S) + 1, contest_mac=9)),
    Reason.PLAN_MISSING: contract(plan_id=0) | {"plan": None},
    Reason.RECORD_DAMAGED: contract(access_status=0),
}
# Given by the request path, before there are facts to decide from or after: its tests reach these.
BY_THE_PATH = {
    Reason.UNKNOWN_LOGIN,
    Reason.NAME_INVALID,
    Reason.REPLY_TOO_LONG,
    Reason.POOL_EXHAUSTED,
    Reason.GRANTED_ROUTER_ADMINISTRATOR,
    Reason.NOT_FOR_ROUTER_ADMINISTRATION,
}


def test_every_reason_is_reached() -> None:
    assert CASES.keys() | BY_THE_PATH == set(Reason)
    assert not CASES.keys() & BY_THE_PATH


@pytest.mark.parametrize("reason", CASES)
def test_the_decision_gives_it_and_both_languages_say_it(reason: Reason) -> None:
    found = decided(**CASES[reason]).reason
    assert found is reason
    for say in (reason_text, reason_hint):
        assert say(found, Language.ENGLISH) != say(found, Language.PORTUGUESE)
