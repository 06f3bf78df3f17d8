"""Answers that nobody asked for: the same decision and attributes as those of a real request."""

import pytest
from access_world import IN_ORDER, NOW_S, PLANS, World, login, nas_row
from nas_double import access_request

from aaad.policy.codes import AccessStatus, Credential, LoginFlag, Reason
from aaad.policy.facts import LoginExtras, LoginFacts, PlanFacts, Speed
from aaad.radius.simulation import AskedFacts, Simulation, simulate
from aaad.replica.record import BranchRow, NasRow, ParameterRow, Tables
from aaad.words import Language, customer_text

MESSAGES = {reason: customer_text(reason, Language.PORTUGUESE) for reason in Reason}
OUR_MAC, OTHER_MAC = 0xAABBCCDDEE01, 0xAABBCCDDEE02


def simulated(facts: LoginFacts, parameters: dict[str, str] | None = None, **asked: object) -> Simulation:
    """What the tests' small world would answer."""
    tables = Tables(
        1,
        asked.pop("nases", [nas_row()]),
        [],
        asked.pop("plans", list(PLANS)),
        [ParameterRow(name, 0, value) for name, value in (parameters or {}).items()],
        b"key of a cluster",
        3,
        [BranchRow(1, "America/Sao_Paulo")],
    )
    return simulate(
        tables,
        facts,
        **{"now_s": NOW_S, "utc_offset_s": lambda *_: -10_800, "nas_id": 1, "reject_messages": MESSAGES} | asked,
    )


CASES: dict[str, tuple[dict[str, object], dict[str, str]]] = {
    "granted": ({}, {}),
    "no address": ({"ipv4": 0}, {"ipv4_pool": "home", "ipv6_pool": "six"}),
    "notice": ({"access_status": AccessStatus.PAYMENT_LATE}, {"notice_address_list": "notice"}),
    "blocked": (
        {"access_status": AccessStatus.BLOCKED_MANUALLY},
        {"blocked_state": "S", "blocked_address_list": "blocked", "blocked_group": "no-ipv6"},
    ),
    "refused": ({"access_status": AccessStatus.BLOCKED_MANUALLY}, {}),
    "prepaid": ({"access_ends_at_s": int(NOW_S) + 900}, {}),
    "extras": ({"extras": LoginExtras(upload="1M", download="2M", routes=("198.51.100.0/24",))}, {}),
    "no plan": ({"plan_id": 77}, {}),
    "damaged": ({"extras": LoginExtras(routes=("everywhere",))}, {}),
}


@pytest.mark.parametrize(("changes", "parameters"), CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("kind", ["mikrotik", "accel_ppp"])
@pytest.mark.parametrize("is_ppp", [True, False])
def test_it_says_what_a_real_request_is_answered(
    changes: dict[str, object], parameters: dict[str, str], kind: str, is_ppp: bool
) -> None:
    facts = login(**changes)
    world = World({b"alice": facts}, nases=[nas_row(kind=kind)], parameters=parameters)
    world.reply(access_request(framed=is_ppp))
    real = world.explained()
    found = simulated(facts, parameters, nases=[nas_row(kind=kind)], is_ppp=is_ppp)
    assert found.reason is real.reason
    assert tuple(found.attributes) == real.reply
    assert found.decision.until_s == real.until_s


BOUND = login(
    mac=OUR_MAC,
    nas_id=1,
    extras=LoginExtras(port_id="vlan7", circuit_id="olt 1"),
    flags=IN_ORDER | LoginFlag.MAC_BIND | LoginFlag.NAS_BIND | LoginFlag.PORT_BIND | LoginFlag.CIRCUIT_BIND,
)


def test_without_more_it_asks_from_where_the_login_is_bound() -> None:
    assert simulated(BOUND, nas_id=0).reason is Reason.GRANTED


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"asked": AskedFacts(mac=OTHER_MAC)}, Reason.DEVICE_NOT_ALLOWED),
        ({"asked": AskedFacts(port_id="vlan8")}, Reason.PORT_NOT_ALLOWED),
        ({"asked": AskedFacts(circuit_id="")}, Reason.CIRCUIT_NOT_ALLOWED),
        ({"nas_id": 2}, Reason.NAS_NOT_ALLOWED),
        ({"credential": Credential.WRONG}, Reason.WRONG_PASSWORD),
    ],
)
def test_it_asks_what_it_is_told_to_ask(asked: dict[str, object], reason: Reason) -> None:
    found = simulated(BOUND, **asked)
    assert found.reason is reason
    assert [name for name, _ in found.attributes] == ["Reply-Message"]


def test_a_kind_may_be_asked_for_without_a_nas() -> None:
    rows: list[NasRow] = []
    found = simulated(login(), nases=rows, nas_id=0, kind="huawei")
    assert ("Huawei-Input-Average-Rate", "25000000") in found.attributes


def test_what_of_the_tables_cannot_be_used_is_told() -> None:
    bad = PlanFacts(5, "bad", Speed("fast", "50M"), 0, 0, 0)
    found = simulated(login(), plans=[bad])
    assert found.reason is Reason.PLAN_MISSING
    assert found.problems[0].startswith("plan 5:")
