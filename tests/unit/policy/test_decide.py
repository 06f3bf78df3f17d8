"""The decision, as a table: rule R4.1 for every contract status and access status, and what comes before what."""

from math import inf

import pytest

from aaad.policy.codes import (
    ACCESS_STATUS_LETTERS,
    CONTRACT_STATUS_LETTERS,
    AccessStatus,
    ContractStatus,
    Credential,
    LoginFlag,
    Reason,
)
from aaad.policy.decide import decide, standing
from aaad.policy.facts import LoginFacts, PlanFacts
from aaad.policy.grant import Decision, Grant

PLAN = PlanFacts(5, "50 mega", "25M", "50M", 0, 0, 300)
IN_ORDER = LoginFlag.LOGIN_ACTIVE | LoginFlag.CLIENT_ACTIVE

# Rows: contract status; columns: access status. Only A connects; CM and CA are refused until a parameter says that
# they get the blocked state instead.
TABLE = """
        A                        D                        CM                       CA                       FA                       AA                       CE
P       contract_not_signed_yet  contract_not_signed_yet  contract_not_signed_yet  contract_not_signed_yet  contract_not_signed_yet  contract_not_signed_yet  contract_not_signed_yet
A       granted                  access_disabled          blocked_manually         blocked_automatically    granted                  awaiting_signature       awaiting_signature
I       contract_inactive        contract_inactive        contract_inactive        contract_inactive        contract_inactive        contract_inactive        contract_inactive
N       contract_blacklisted     contract_blacklisted     contract_blacklisted     contract_blacklisted     contract_blacklisted     contract_blacklisted     contract_blacklisted
D       contract_withdrawn       contract_withdrawn       contract_withdrawn       contract_withdrawn       contract_withdrawn       contract_withdrawn       contract_withdrawn
"""  # noqa: E501


def pairs() -> list[tuple[str, str, str]]:
    columns, *rows = TABLE.strip().splitlines()
    return [
        (row.split()[0], access, reason)
        for row in rows
        for access, reason in zip(columns.split(), row.split()[1:], strict=True)
    ]


def login(**changes: object) -> LoginFacts:
    """A login in order, with changes."""
    facts = LoginFacts(
        login_id=1,
        contract_id=2,
        client_id=3,
        plan_id=PLAN.plan_id,
        branch_id=1,
        flags=IN_ORDER,
        contract_status=ContractStatus.ACTIVE,
        access_status=AccessStatus.ACTIVE,
        ipv4=0x64400001,
        nt_hash=b"n" * 16,
        password=b"wonderland",
    )
    return facts._replace(**changes)


def check(facts: LoginFacts, reason: Reason, *, credential: Credential = Credential.RIGHT) -> None:
    """A decision for this reason, complete in itself."""
    decision = decide(facts, PLAN, credential)
    grant = Grant(PLAN, facts.ipv4) if reason is Reason.GRANTED else None
    assert decision == Decision(reason, grant, inf)


@pytest.mark.parametrize(("contract", "access", "reason"), pairs())
def test_r4_1_every_contract_status_and_access_status(contract: str, access: str, reason: str) -> None:
    facts = login(contract_status=CONTRACT_STATUS_LETTERS[contract], access_status=ACCESS_STATUS_LETTERS[access])
    check(facts, Reason[reason.upper()])


def test_r4_1_the_table_is_whole() -> None:
    assert len({pair[:2] for pair in pairs()}) == len(ContractStatus) * len(AccessStatus)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (IN_ORDER | LoginFlag.LOGIN_DELETED, Reason.LOGIN_DELETED),
        (LoginFlag.LOGIN_DELETED, Reason.LOGIN_DELETED),
        (LoginFlag.CLIENT_ACTIVE, Reason.LOGIN_INACTIVE),
        (LoginFlag.LOGIN_ACTIVE, Reason.CLIENT_INACTIVE),
        (0, Reason.LOGIN_INACTIVE),
        (IN_ORDER | LoginFlag.CONTRACT_SUSPENDED, Reason.CONTRACT_SUSPENDED_VOLUNTARILY),
        (IN_ORDER | LoginFlag.PASSWORD_IS_MD5 | LoginFlag.LEARN_MAC, Reason.GRANTED),
    ],
)
def test_flags_refuse_with_their_own_reason(flags: int, reason: Reason) -> None:
    check(login(flags=flags), reason)


def test_a_suspended_contract_that_ended_is_refused_for_its_end() -> None:
    flags = IN_ORDER | LoginFlag.CONTRACT_SUSPENDED
    check(login(flags=flags, contract_status=ContractStatus.WITHDRAWN), Reason.CONTRACT_WITHDRAWN)
    check(login(flags=flags, access_status=AccessStatus.DISABLED), Reason.CONTRACT_SUSPENDED_VOLUNTARILY)


@pytest.mark.parametrize(
    ("credential", "reason"),
    [
        (Credential.WRONG, Reason.WRONG_PASSWORD),
        (Credential.MISSING, Reason.PASSWORD_MISSING),
        (Credential.UNSUPPORTED, Reason.METHOD_UNSUPPORTED),
    ],
)
@pytest.mark.parametrize(
    "facts",
    [
        login(),
        login(flags=LoginFlag.LOGIN_DELETED),
        login(access_status=AccessStatus.BLOCKED_AUTOMATICALLY),
        login(contract_status=ContractStatus.WITHDRAWN),
    ],
    ids=["in order", "deleted", "blocked", "withdrawn"],
)
def test_who_proves_nothing_is_told_nothing_of_the_contract(
    facts: LoginFacts, credential: Credential, reason: Reason
) -> None:
    check(facts, reason, credential=credential)


def test_a_login_without_a_plan_that_exists_is_refused() -> None:
    assert decide(login(), None, Credential.RIGHT) == Decision(Reason.PLAN_MISSING, None, inf)
    blocked = login(access_status=AccessStatus.BLOCKED_MANUALLY)
    assert decide(blocked, None, Credential.RIGHT).reason is Reason.BLOCKED_MANUALLY


@pytest.mark.parametrize(("contract", "access"), [(0, 1), (1, 0), (6, 1), (2, 0), (2, 8), (2, 255), (255, 255)])
def test_statuses_that_do_not_exist_connect_nobody(contract: int, access: int) -> None:
    assert standing(login(contract_status=contract, access_status=access)) is not Reason.GRANTED


def test_a_grant_is_exactly_what_a_granted_decision_has() -> None:
    for reason in (
        decide(login(contract_status=c, access_status=a), PLAN, Credential.RIGHT)
        for c in ContractStatus
        for a in AccessStatus
    ):
        assert (reason.grant is not None) == (reason.reason is Reason.GRANTED)


def test_a_password_shows_in_no_repr() -> None:
    facts = login(password=b"wonderland", nt_hash=b"secret hash 1234")
    for shown in (repr(facts), str(facts), f"{facts}", repr(decide(facts, PLAN, Credential.RIGHT))):
        assert "wonderland" not in shown
        assert "secret hash" not in shown
