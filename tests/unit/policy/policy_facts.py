"""Facts for tests of the decision: a login in order, its plan, a request that fits it."""

from collections.abc import Iterable
from typing import NamedTuple

from aaad.policy.codes import AccessStatus, ContractStatus, Credential, LoginFlag
from aaad.policy.decide import decide, is_conditional
from aaad.policy.facts import LoginExtras, LoginFacts, PlanFacts, Speed
from aaad.policy.grant import Decision
from aaad.policy.parameters import BranchPolicy

IN_ORDER = int(LoginFlag.LOGIN_ACTIVE | LoginFlag.CLIENT_ACTIVE)
HOUR_S = 3600
DAY_S = 24 * HOUR_S
TODAY = 20_000
OFFSET_S = -3 * HOUR_S
MIDNIGHT_S = float(TODAY * DAY_S - OFFSET_S)  # at which TODAY begins in the branch
NOON_S = MIDNIGHT_S + 12 * HOUR_S
IPV4 = 0x64400001
MAC = 0x48A98A000001

PLAN = PlanFacts(5, "50 mega", Speed("25M", "50M"), 0, 0, 300)
LATE_PLAN = PlanFacts(6, "late", Speed("1M", "1M"), 0, 0, 300)
CAP_PLAN = PlanFacts(7, "cap", Speed("2M", "2M"), 0, 0, 300)
NIGHT_PLAN = PlanFacts(8, "night", Speed("80M", "80M"), 0, 0, 300)
POLICY = BranchPolicy(1, utc_offset_s=OFFSET_S)


class Request(NamedTuple):
    """What a request says beside name and password."""

    nas_id: int = 3
    mac: int = MAC
    port_id: str = "ether1"
    circuit_id: str = "olt 0/1/2"


class NeverAsked:
    """A request that nobody may look into."""

    def __getattr__(self, name: str) -> int:
        raise AssertionError(f"{name} was read")


def login(**changes: object) -> LoginFacts:
    """A login in order, with changes, and CONDITIONAL where the decision says so."""
    facts = LoginFacts(
        login_id=1,
        contract_id=2,
        client_id=3,
        plan_id=PLAN.plan_id,
        branch_id=1,
        flags=IN_ORDER,
        contract_status=ContractStatus.ACTIVE,
        access_status=AccessStatus.ACTIVE,
        ipv4=IPV4,
        nt_hash=b"n" * 16,
        password=b"wonderland",
    )
    return conditional(facts._replace(**changes))


def conditional(facts: LoginFacts) -> LoginFacts:
    """The facts as the replica compiles them."""
    return facts._replace(flags=facts.flags | LoginFlag.CONDITIONAL) if is_conditional(facts) else facts


def decided(
    facts: LoginFacts,
    *,
    plan: PlanFacts | None = PLAN,
    others: Iterable[PlanFacts] = (LATE_PLAN, CAP_PLAN, NIGHT_PLAN),
    policy: BranchPolicy = POLICY,
    credential: Credential = Credential.RIGHT,
    asked: Request | NeverAsked | None = None,
    now_s: float = NOON_S,
) -> Decision:
    """Decide, at noon of TODAY unless said otherwise."""
    plans = {other.plan_id: other for other in others}
    if plan is not None:
        plans[facts.plan_id] = plan
    return decide(facts, plans, policy, credential, asked if asked is not None else Request(), now_s)


def hours(*ranges: tuple[int, int]) -> int:
    """A set of hours: from the first to before the last."""
    return sum(1 << hour for first, last in ranges for hour in range(first, last))


def with_extras(**fields: object) -> LoginExtras:
    """Extras that have only these."""
    return LoginExtras()._replace(**fields)
