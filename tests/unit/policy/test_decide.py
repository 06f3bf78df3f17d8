"""The decision: rule R4.1 whole as a table, what comes before what, and everything that refuses."""

from math import inf

import pytest
from policy_facts import (
    DAY_S,
    HOUR_S,
    IN_ORDER,
    IPV4,
    MAC,
    MIDNIGHT_S,
    NOON_S,
    PLAN,
    POLICY,
    TODAY,
    NeverAsked,
    Request,
    conditional,
    decided,
    hours,
    login,
    with_extras,
)

from aaad.policy.codes import (
    ACCESS_STATUS_LETTERS,
    CONTRACT_STATUS_LETTERS,
    AccessStatus,
    ContractStatus,
    Credential,
    GrantState,
    LoginFlag,
    Reason,
    SpeedPhase,
)
from aaad.policy.decide import decide, is_conditional, standing
from aaad.policy.facts import LoginFacts
from aaad.policy.grant import Decision, Grant

# Rule R4.1. Rows: contract status, then the parameters blocked_state and let_in_awaiting_signature (S or -); columns:
# access status.
TABLE = """
         A             D            CM             CA             FA            AA             CE
P --     unsigned      unsigned     unsigned       unsigned       unsigned      unsigned       unsigned
P S-     unsigned      unsigned     unsigned       unsigned       unsigned      unsigned       unsigned
P -S     unsigned      unsigned     unsigned       unsigned       unsigned      unsigned       unsigned
P SS     unsigned      unsigned     unsigned       unsigned       unsigned      unsigned       unsigned
A --     full          disabled     blocked-by-op  blocked-auto   full+notice   awaiting       awaiting
A S-     full          disabled     let-in-blocked let-in-blocked full+notice   awaiting       awaiting
A -S     full          disabled     blocked-by-op  blocked-auto   full+notice   full           full
A SS     full          disabled     let-in-blocked let-in-blocked full+notice   full           full
I --     inactive      inactive     inactive       inactive       inactive      inactive       inactive
I S-     inactive      inactive     inactive       inactive       inactive      inactive       inactive
I -S     inactive      inactive     inactive       inactive       inactive      inactive       inactive
I SS     inactive      inactive     inactive       inactive       inactive      inactive       inactive
N --     blacklisted   blacklisted  blacklisted    blacklisted    blacklisted   blacklisted    blacklisted
N S-     blacklisted   blacklisted  blacklisted    blacklisted    blacklisted   blacklisted    blacklisted
N -S     blacklisted   blacklisted  blacklisted    blacklisted    blacklisted   blacklisted    blacklisted
N SS     blacklisted   blacklisted  blacklisted    blacklisted    blacklisted   blacklisted    blacklisted
D --     withdrawn     withdrawn    withdrawn      withdrawn      withdrawn     withdrawn      withdrawn
D S-     withdrawn     withdrawn    withdrawn      withdrawn      withdrawn     withdrawn      withdrawn
D -S     withdrawn     withdrawn    withdrawn      withdrawn      withdrawn     withdrawn      withdrawn
D SS     withdrawn     withdrawn    withdrawn      withdrawn      withdrawn     withdrawn      withdrawn
"""
REASONS = {
    "full": Reason.GRANTED,
    "full+notice": Reason.GRANTED_WITH_NOTICE,
    "let-in-blocked": Reason.GRANTED_BLOCKED,
    "unsigned": Reason.CONTRACT_NOT_SIGNED_YET,
    "inactive": Reason.CONTRACT_INACTIVE,
    "blacklisted": Reason.CONTRACT_BLACKLISTED,
    "withdrawn": Reason.CONTRACT_WITHDRAWN,
    "disabled": Reason.ACCESS_DISABLED,
    "blocked-by-op": Reason.BLOCKED_MANUALLY,
    "blocked-auto": Reason.BLOCKED_AUTOMATICALLY,
    "awaiting": Reason.AWAITING_SIGNATURE,
}
STATES = {
    Reason.GRANTED: GrantState.FULL,
    Reason.GRANTED_WITH_NOTICE: GrantState.NOTICE,
    Reason.GRANTED_BLOCKED: GrantState.BLOCKED,
}


def cells() -> list[tuple[str, str, str, Reason]]:
    columns, *rows = TABLE.strip().splitlines()
    return [
        (row.split()[0], row.split()[1], access, REASONS[word])
        for row in rows
        for access, word in zip(columns.split(), row.split()[2:], strict=True)
    ]


@pytest.mark.parametrize(("contract", "parameters", "access", "reason"), cells())
def test_r4_1_every_contract_status_and_access_status(
    contract: str, parameters: str, access: str, reason: Reason
) -> None:
    facts = login(contract_status=CONTRACT_STATUS_LETTERS[contract], access_status=ACCESS_STATUS_LETTERS[access])
    policy = POLICY._replace(blocked_state=parameters[0] == "S", let_in_awaiting_signature=parameters[1] == "S")
    for case in (facts, facts._replace(flags=IN_ORDER | LoginFlag.CONDITIONAL)):  # the short way, and the whole
        decision = decided(case, policy=policy, asked=NeverAsked())
        assert decision.reason is reason
        assert decision.until_s == inf
        assert (decision.grant is not None) == reason.is_grant == (reason in STATES)
        if decision.grant is not None:
            assert decision.grant.state is STATES[reason]


def test_r4_1_the_table_is_whole() -> None:
    assert len({cell[:3] for cell in cells()}) == 4 * len(ContractStatus) * len(AccessStatus)


def test_the_ordinary_grant() -> None:
    grant = Grant(PLAN, PLAN.speed, GrantState.FULL, SpeedPhase.NORMAL, IPV4, 0, None, POLICY)
    assert decided(login()) == Decision(Reason.GRANTED, grant, inf)
    whole = login()._replace(flags=IN_ORDER | LoginFlag.CONDITIONAL)
    assert decided(whole) == Decision(Reason.GRANTED, grant, inf)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (IN_ORDER | LoginFlag.LOGIN_DELETED, Reason.LOGIN_DELETED),
        (LoginFlag.LOGIN_DELETED, Reason.LOGIN_DELETED),
        (LoginFlag.CLIENT_ACTIVE, Reason.LOGIN_INACTIVE),
        (LoginFlag.LOGIN_ACTIVE, Reason.CLIENT_INACTIVE),
        (0, Reason.LOGIN_INACTIVE),
        (IN_ORDER | LoginFlag.CONTRACT_SUSPENDED, Reason.CONTRACT_SUSPENDED_VOLUNTARILY),
        (IN_ORDER | LoginFlag.PASSWORD_IS_MD5 | LoginFlag.MAC_LEARN, Reason.GRANTED),
    ],
)
def test_flags_refuse_with_their_own_reason(flags: int, reason: Reason) -> None:
    assert decided(login(flags=flags)).reason is reason


@pytest.mark.parametrize(
    ("credential", "reason"),
    [
        (Credential.WRONG, Reason.WRONG_PASSWORD),
        (Credential.MISSING, Reason.PASSWORD_MISSING),
        (Credential.UNSUPPORTED, Reason.METHOD_UNSUPPORTED),
        (Credential.NEEDS_CLEAR_PASSWORD, Reason.PASSWORD_STORED_AS_MD5),
        (Credential.OTHER_DEVICE, Reason.MAC_LOGIN_FROM_OTHER_DEVICE),
    ],
)
@pytest.mark.parametrize(
    "facts",
    [
        login(),
        login(flags=LoginFlag.LOGIN_DELETED),
        login(access_status=AccessStatus.BLOCKED_AUTOMATICALLY),
        login(contract_status=ContractStatus.WITHDRAWN),
        login(hours=1),
    ],
    ids=["in order", "deleted", "blocked", "withdrawn", "at night only"],
)
def test_r3_5_who_proves_nothing_is_told_nothing_of_the_contract(
    facts: LoginFacts, credential: Credential, reason: Reason
) -> None:
    decision = decided(facts, credential=credential, asked=NeverAsked())
    assert decision == Decision(reason, None, inf)


def test_a_suspended_contract_that_ended_is_refused_for_its_end() -> None:
    flags = IN_ORDER | LoginFlag.CONTRACT_SUSPENDED
    ended = login(flags=flags, contract_status=ContractStatus.WITHDRAWN)
    assert decided(ended).reason is Reason.CONTRACT_WITHDRAWN
    disabled = login(flags=flags, access_status=AccessStatus.DISABLED)
    assert decided(disabled).reason is Reason.CONTRACT_SUSPENDED_VOLUNTARILY


@pytest.mark.parametrize(
    ("first", "last", "is_suspended", "until_s"),
    [
        (0, 0, True, inf),
        (TODAY, 0, True, inf),
        (TODAY + 1, 0, False, MIDNIGHT_S + DAY_S),
        (0, TODAY, True, MIDNIGHT_S + DAY_S),
        (0, TODAY - 1, False, inf),
        (TODAY - 5, TODAY + 5, True, MIDNIGHT_S + 6 * DAY_S),
        (TODAY + 1, TODAY + 5, False, MIDNIGHT_S + DAY_S),
        (TODAY + 5, TODAY + 1, False, inf),
    ],
)
def test_a_voluntary_suspension_holds_on_its_days(first: int, last: int, is_suspended: bool, until_s: float) -> None:
    suspended = login(
        flags=IN_ORDER | LoginFlag.CONTRACT_SUSPENDED, suspended_from_day=first, suspended_until_day=last
    )
    decision = decided(suspended)
    assert decision.reason is (Reason.CONTRACT_SUSPENDED_VOLUNTARILY if is_suspended else Reason.GRANTED)
    assert decision.until_s == until_s


TRUSTED = IN_ORDER | LoginFlag.ON_TRUST


@pytest.mark.parametrize(
    ("ends_s", "due_day", "reason", "until_s"),
    [
        (NOON_S + 60, TODAY - 9, Reason.GRANTED_ON_TRUST, NOON_S + 60),
        (NOON_S, TODAY - 9, Reason.TRUST_UNLOCK_ENDED, inf),
        (NOON_S, TODAY, Reason.GRANTED_ON_TRUST, MIDNIGHT_S + DAY_S),  # the open title's day is not over
        (NOON_S, TODAY - 1, Reason.TRUST_UNLOCK_ENDED, inf),
        (NOON_S + 60, 0, Reason.GRANTED_ON_TRUST, NOON_S + 60),  # the ERP keeps its titles elsewhere
        (NOON_S, 0, Reason.TRUST_UNLOCK_ENDED, inf),
        (0, 0, Reason.GRANTED_ON_TRUST, inf),
        (0, TODAY - 9, Reason.GRANTED_ON_TRUST, inf),
    ],
)
def test_r4_2_a_trust_unlock_ends_by_itself(ends_s: float, due_day: int, reason: Reason, until_s: float) -> None:
    trusted = login(flags=TRUSTED, trust_until_s=int(ends_s), oldest_due_day=due_day)
    decision = decided(trusted)
    assert (decision.reason, decision.until_s) == (reason, until_s)
    let_in = decided(trusted, policy=POLICY._replace(blocked_state=True)).reason
    assert let_in is (Reason.GRANTED_BLOCKED if reason is Reason.TRUST_UNLOCK_ENDED else reason)


def test_a_trust_unlock_changes_nothing_for_who_is_blocked_again() -> None:
    blocked = login(flags=TRUSTED, trust_until_s=int(NOON_S) + 60, oldest_due_day=9, access_status=3)
    assert decided(blocked) == Decision(Reason.BLOCKED_MANUALLY, None, inf)


def test_r4_4_prepaid_time_ends_the_session_and_the_access() -> None:
    paid = login(access_ends_at_s=int(NOON_S) + 60)
    decision = decided(paid)
    assert decision.reason is Reason.GRANTED
    assert decision.grant is not None
    assert decision.grant.ends_at_s == decision.until_s == NOON_S + 60
    assert decided(paid, now_s=NOON_S + 60) == Decision(Reason.PREPAID_ENDED, None, inf)
    blocked = decided(paid, now_s=NOON_S + 60, policy=POLICY._replace(blocked_state=True))
    assert blocked.reason is Reason.GRANTED_BLOCKED
    assert blocked.grant is not None
    assert blocked.grant.ends_at_s == 0


def test_hours_of_the_login() -> None:
    office = login(hours=hours((8, 12), (13, 18)))
    assert decided(office, now_s=NOON_S - 1).reason is Reason.GRANTED
    assert decided(office, now_s=NOON_S - 1).until_s == NOON_S
    assert decided(office) == Decision(Reason.OUTSIDE_HOURS, None, NOON_S + HOUR_S)
    assert decided(office, now_s=MIDNIGHT_S + 20 * HOUR_S).until_s == MIDNIGHT_S + DAY_S + 8 * HOUR_S
    assert decided(login(hours=hours((0, 24)))).until_s == inf


def test_hours_of_the_plan() -> None:
    office = PLAN._replace(normal_hours=hours((8, 12)))
    assert decided(login(), plan=office, now_s=NOON_S - 1).until_s == NOON_S
    assert decided(login(), plan=office) == Decision(Reason.OUTSIDE_HOURS, None, MIDNIGHT_S + DAY_S + 8 * HOUR_S)


OTHER = Request(nas_id=9, mac=9, port_id="ether9", circuit_id="olt 9")
NAMELESS = Request(nas_id=9, mac=0, port_id="", circuit_id="")
BINDINGS = [
    ("nas", {"nas_id": 3}, Reason.NAS_NOT_ALLOWED),
    ("port", {"extras": with_extras(port_id="ether1")}, Reason.PORT_NOT_ALLOWED),
    ("circuit", {"extras": with_extras(circuit_id="olt 0/1/2")}, Reason.CIRCUIT_NOT_ALLOWED),
    ("mac", {"mac": MAC}, Reason.DEVICE_NOT_ALLOWED),
]


@pytest.mark.parametrize(("kind", "bound", "reason"), BINDINGS)
def test_bindings_refuse_what_does_not_fit(kind: str, bound: dict[str, object], reason: Reason) -> None:
    always = IN_ORDER | LoginFlag[f"{kind.upper()}_BIND"]
    by_branch = IN_ORDER | LoginFlag[f"{kind.upper()}_BIND_DEFAULT"]
    lenient = POLICY._replace(**{f"{kind}_bind": False})
    for asked in (OTHER, NAMELESS):
        assert decided(login(flags=always, **bound), asked=asked) == Decision(reason, None, inf)
        assert decided(login(flags=always, **bound), asked=asked, policy=lenient).reason is reason
        assert decided(login(flags=by_branch, **bound), asked=asked).reason is reason
        assert decided(login(flags=by_branch, **bound), asked=asked, policy=lenient).reason is Reason.GRANTED
        assert decided(login(flags=IN_ORDER, **bound), asked=asked).reason is Reason.GRANTED  # never enforced
        assert decided(login(flags=always), asked=asked).reason is Reason.GRANTED  # bound to nothing
    assert decided(login(flags=always, **bound)).reason is Reason.GRANTED


def test_who_is_not_bound_is_not_looked_at() -> None:
    flags = IN_ORDER | LoginFlag.NAS_BIND | LoginFlag.MAC_BIND | LoginFlag.PORT_BIND | LoginFlag.CIRCUIT_BIND
    assert decided(login(flags=flags, oldest_due_day=1), asked=NeverAsked()).reason is Reason.GRANTED


def test_who_is_blocked_needs_his_bindings_but_not_his_hours() -> None:
    policy = POLICY._replace(blocked_state=True)
    bound = login(
        flags=IN_ORDER | LoginFlag.MAC_BIND, mac=MAC, hours=hours((0, 1)), access_status=AccessStatus.BLOCKED_MANUALLY
    )
    assert decided(bound, policy=policy).reason is Reason.GRANTED_BLOCKED
    assert decided(bound, policy=policy, asked=OTHER).reason is Reason.DEVICE_NOT_ALLOWED


ORDER = [
    ({"flags": LoginFlag.LOGIN_DELETED}, Reason.LOGIN_DELETED),
    ({"flags": LoginFlag.CLIENT_ACTIVE}, Reason.LOGIN_INACTIVE),
    ({"flags": LoginFlag.LOGIN_ACTIVE}, Reason.CLIENT_INACTIVE),
    ({"contract_status": ContractStatus.INACTIVE}, Reason.CONTRACT_INACTIVE),
    ({"suspended_from_day": TODAY}, Reason.CONTRACT_SUSPENDED_VOLUNTARILY),
    ({"access_status": AccessStatus.DISABLED}, Reason.ACCESS_DISABLED),
    ({"trust_until_s": 1, "oldest_due_day": 1}, Reason.TRUST_UNLOCK_ENDED),
    ({"access_ends_at_s": 1}, Reason.PREPAID_ENDED),
    ({"hours": 1}, Reason.OUTSIDE_HOURS),
    ({"nas_id": 8}, Reason.NAS_NOT_ALLOWED),
    ({"extras": with_extras(port_id="x", circuit_id="x")}, Reason.PORT_NOT_ALLOWED),
    ({"extras": with_extras(circuit_id="x")}, Reason.CIRCUIT_NOT_ALLOWED),
    ({"mac": 8}, Reason.DEVICE_NOT_ALLOWED),
    ({"plan_id": 0}, Reason.PLAN_MISSING),
]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_the_first_of_several_refusals_is_the_reason(first: int) -> None:
    """Whoever is refused for this reason and for all later ones is told this one."""
    changes: dict[str, object] = {}
    for later, _ in reversed(ORDER[first:]):
        changes |= later
    flags = int(changes.pop("flags", IN_ORDER))  # type: ignore[call-overload]
    suspended = LoginFlag.CONTRACT_SUSPENDED if "suspended_from_day" in changes else 0
    bound = (
        LoginFlag.ON_TRUST | LoginFlag.NAS_BIND | LoginFlag.MAC_BIND | LoginFlag.PORT_BIND | LoginFlag.CIRCUIT_BIND
    )
    facts = login(flags=flags | bound | suspended, **changes)
    plans = {PLAN.plan_id: PLAN}
    assert decide(facts, plans, POLICY, Credential.RIGHT, Request(), NOON_S).reason is ORDER[first][1]


def test_a_login_without_a_plan_that_exists_is_refused() -> None:
    policy = POLICY._replace(blocked_state=True)
    blocked = login(access_status=AccessStatus.BLOCKED_MANUALLY)
    for facts in (login(), blocked):
        assert decide(facts, {}, policy, Credential.RIGHT, Request(), NOON_S).reason is Reason.PLAN_MISSING
    assert decide(blocked, {}, POLICY, Credential.RIGHT, Request(), NOON_S).reason is Reason.BLOCKED_MANUALLY


@pytest.mark.parametrize(("contract", "access"), [(0, 1), (1, 0), (6, 1), (2, 0), (2, 8), (2, 255), (255, 255)])
def test_statuses_that_do_not_exist_connect_nobody(contract: int, access: int) -> None:
    facts = login(contract_status=contract, access_status=access)
    policy = POLICY._replace(blocked_state=True, let_in_awaiting_signature=True)
    assert standing(facts, policy, NOON_S) is Reason.RECORD_DAMAGED
    assert decided(facts, policy=policy) == Decision(Reason.RECORD_DAMAGED, None, inf)


def test_standing_tells_what_a_blocked_login_is_blocked_for() -> None:
    policy = POLICY._replace(blocked_state=True)
    blocked = login(access_status=AccessStatus.BLOCKED_AUTOMATICALLY, hours=1, mac=9)
    assert standing(blocked, policy, NOON_S) is Reason.BLOCKED_AUTOMATICALLY
    assert standing(login(access_ends_at_s=1), policy, NOON_S) is Reason.PREPAID_ENDED
    assert standing(login(hours=1, flags=IN_ORDER | LoginFlag.MAC_BIND, mac=9), policy, NOON_S) is Reason.GRANTED


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),
        ({"mac": MAC}, False),
        ({"flags": IN_ORDER | LoginFlag.MAC_BIND}, False),
        ({"flags": IN_ORDER | LoginFlag.MAC_BIND_DEFAULT, "mac": MAC}, True),
        ({"flags": IN_ORDER | LoginFlag.NAS_BIND, "nas_id": 3}, True),
        ({"extras": with_extras(port_id="x")}, True),
        ({"hours": 1}, True),
        ({"oldest_due_day": 1}, False),  # nearly everybody has a receivable open
        ({"access_ends_at_s": 1}, True),
        ({"not_reduced_until_day": 1}, False),
        ({"flags": IN_ORDER | LoginFlag.MAC_LEARN_DEFAULT | LoginFlag.NAS_LEARN}, False),
        ({"flags": IN_ORDER | LoginFlag.NEVER_REDUCED | LoginFlag.IS_MAC_LOGIN}, False),
        *(
            ({"flags": IN_ORDER | flag}, True)
            for flag in LoginFlag
            if flag.name.endswith(("SUSPENDED", "TRUST", "CAP_REACHED", "SPEED_REDUCED"))
        ),
    ],
)
def test_which_logins_are_decided_the_whole_way(changes: dict[str, object], expected: bool) -> None:
    facts = login()._replace(**changes)
    assert is_conditional(facts) is expected
    assert conditional(facts).flags & LoginFlag.CONDITIONAL == (LoginFlag.CONDITIONAL if expected else 0)


def test_a_password_shows_in_no_repr() -> None:
    facts = login(password=b"wonderland", nt_hash=b"secret hash 1234")
    for shown in (repr(facts), str(facts), f"{facts}", repr(decided(facts))):
        assert "wonderland" not in shown
        assert "secret hash" not in shown
