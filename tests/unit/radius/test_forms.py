"""What a grant says to a session that goes on: the same as an Accept, and how it gets from one grant to another."""

import pytest
from access_world import CLASS_KEY, NOW_S, World, login, nas_row
from nas_double import CLASS, access_request, tlv, vendor

from aaad.policy.codes import AccessStatus, Credential, Reason
from aaad.policy.decide import decide
from aaad.policy.facts import LoginExtras, LoginFacts, PhaseFacts, PlanFacts, Speed
from aaad.radius.forms import IPV6_LIST, NO_DIFFERENCE, Difference, Form, compare, live_attributes, wanted
from aaad.radius.kinds import KINDS
from aaad.radius.pool_book import of_nas
from aaad.radius.reply import ClassSigner
from aaad.radius.rulebook import Rulebook
from aaad.radius.simulation import AskedFacts, _asked
from aaad.replica.record import BranchRow, ParameterRow, Tables

BLOCKED = {
    "blocked_state": "S",
    "blocked_upload": "64k",
    "blocked_download": "64k",
    "blocked_address_list": "BLOQUEADO",
    "notice_address_list": "AVISO",
}
PLAN = PlanFacts(5, "50 mega", Speed("25M", "50M"), 86400, 0, 300, reduced=PhaseFacts(1 << 3, Speed("1M", "1M"), 0))


@pytest.mark.parametrize(
    "facts",
    [
        login(),
        login(ipv4=0),
        login(access_status=AccessStatus.BLOCKED_AUTOMATICALLY),
        login(access_status=AccessStatus.PAYMENT_LATE),
        login(access_ends_at_s=int(NOW_S) + 7_200),
        login(extras=LoginExtras(upload="10M", download="20M", ipv4_pool="p", dns=("192.0.2.53",))),
        login(extras=LoginExtras(delegated_ipv6_prefix="2001:db8::/56", routes=("198.51.100.0/24",))),
    ],
    ids=("plain", "from a pool", "blocked", "notice", "prepaid", "extras", "networks"),
)
@pytest.mark.parametrize("is_ppp", [True, False], ids=("ppp", "hotspot"))
@pytest.mark.parametrize("kind", ["mikrotik", "accel_ppp", "huawei"])
def test_r4_6_a_grant_has_the_fingerprint_that_an_accepts_class_has(
    facts: LoginFacts, is_ppp: bool, kind: str
) -> None:
    parameters = BLOCKED | {"blocked_ipv4_pool": "presos"}
    nas = nas_row(kind=kind)
    world = World({b"alice": facts}, nases=[nas], plans=[PLAN], parameters=parameters)
    reply = world.reply(access_request(b"alice", b"wonderland", framed=is_ppp))
    assert reply.code == 2
    told = ClassSigner(CLASS_KEY, node=0, slot=0, serial=0).verify(reply[CLASS])
    assert told is not None
    rules = Rulebook(lambda zone, at_s: -10_800)
    rows = [ParameterRow(name, 0, value) for name, value in parameters.items()]
    rules.load(Tables(1, [nas], [], [PLAN], rows, CLASS_KEY, 3, [BranchRow(1, "America/Sao_Paulo")]), NOW_S)
    asked = _asked(facts, AskedFacts(1))
    decision = decide(facts, rules.plans, rules.policy(1), Credential.RIGHT, asked, NOW_S)
    assert decision.grant is not None
    template = rules.template(KINDS[kind], decision.grant, of_nas(nas))
    found = wanted(KINDS[kind], template, decision.grant, decision.reason, facts, is_ppp=is_ppp, now_s=NOW_S)
    assert found.fingerprint == told.fingerprint
    assert told.fingerprint in found.alike


# --- from one grant to another --------------------------------------------------------------------------------------

RATE, RATE_2 = vendor(14988, 8, b"1M/2M"), vendor(14988, 8, b"3M/4M")
LIST, LIST_2 = vendor(14988, 19, b"BLOQUEADO"), vendor(14988, 19, b"AVISO")
GROUP = vendor(14988, 3, b"sem-ipv6")
FILTER, FILTER_2 = tlv(11, b"a"), tlv(11, b"b")
TIMEOUT, TIMEOUT_2 = tlv(27, b"\0\0\0\x3c"), tlv(27, b"\0\0\0\x78")
POOL, POOL_2 = tlv(88, b"a"), tlv(88, b"b")
ADDRESS = tlv(8, b"\xc0\0\2\1")
INTERIM, DNS = tlv(85, b"\0\0\1\x2c"), vendor(311, 28, b"\xc0\0\2\x35")
OWN = vendor(14988, 27, b"x")
SAID = [("Mikrotik-Address-List", "BLOQUEADO")]


def form(attributes: bytes, pools: str = "", lists_ipv6: str = "") -> Form:
    return Form(attributes, pools, lists_ipv6, Reason.GRANTED)


DIAL = Difference(needs_dial=True, is_sayable=False, is_certain=True, unsaid=[])
SAY = Difference(needs_dial=False, is_sayable=True, is_certain=True, unsaid=[])
PERHAPS = SAY._replace(is_certain=False)


@pytest.mark.parametrize(
    ("told", "now", "ppp", "hotspot"),
    [
        (form(RATE), form(RATE), NO_DIFFERENCE, NO_DIFFERENCE),
        (form(RATE), form(RATE_2), SAY, SAY),
        (form(RATE + FILTER), form(RATE + FILTER_2), SAY, SAY),
        (form(RATE), form(RATE + FILTER), SAY, SAY),
        (form(RATE), form(RATE + LIST), PERHAPS, PERHAPS),
        (form(RATE + LIST), form(RATE), PERHAPS._replace(unsaid=SAID), PERHAPS._replace(unsaid=SAID)),
        (form(LIST), form(LIST_2), PERHAPS._replace(unsaid=SAID), PERHAPS._replace(unsaid=SAID)),
        (form(LIST + LIST_2), form(LIST_2), PERHAPS._replace(unsaid=SAID), PERHAPS._replace(unsaid=SAID)),
        (form(RATE), form(RATE + GROUP), DIAL, SAY),
        (form(TIMEOUT), form(TIMEOUT_2), SAY, SAY),
        (form(TIMEOUT), form(b""), NO_DIFFERENCE, NO_DIFFERENCE),
        (form(POOL), form(POOL_2), DIAL, DIAL),
        (form(POOL), form(ADDRESS), DIAL, DIAL),
        (form(b"", pools="ours"), form(b"", pools="others"), DIAL, DIAL),
        (form(RATE), form(RATE + INTERIM + DNS), NO_DIFFERENCE, NO_DIFFERENCE),
        (form(RATE), form(RATE + OWN), DIAL, DIAL),
        (form(POOL + RATE), form(POOL_2 + RATE_2), DIAL._replace(is_sayable=True), DIAL._replace(is_sayable=True)),
        (form(b"", lists_ipv6="A"), form(b"", lists_ipv6="B"), *[PERHAPS._replace(unsaid=[(IPV6_LIST, "A")])] * 2),
    ],
)  # fmt: skip
def test_what_routeros_can_change_while_a_session_lives(
    told: Form, now: Form, ppp: Difference, hotspot: Difference
) -> None:
    assert compare(KINDS["mikrotik"], told, now, is_ppp=True) == ppp
    assert compare(KINDS["mikrotik"], told, now, is_ppp=False) == hotspot


def test_a_filter_that_is_said_no_more_is_told() -> None:
    found = compare(KINDS["mikrotik"], form(FILTER), form(b""), is_ppp=True)
    assert found == PERHAPS._replace(unsaid=[("Filter-Id", "a")])


def test_other_kinds_say_their_own_rates_and_nothing_where_nothing_is_known() -> None:
    shaper = compare(KINDS["accel_ppp"], form(tlv(11, b"1/2")), form(tlv(11, b"3/4")), is_ppp=True)
    assert shaper == SAY
    huawei = compare(
        KINDS["huawei"], form(vendor(2011, 2, b"\0\0\0\1")), form(vendor(2011, 2, b"\0\0\0\2")), is_ppp=True
    )
    assert huawei == SAY
    assert compare(KINDS["juniper"], form(OWN), form(RATE), is_ppp=True).needs_dial


def test_a_coa_says_what_it_can_change_and_counts_from_the_sessions_beginning() -> None:
    said = ADDRESS + RATE + LIST + GROUP + TIMEOUT + INTERIM
    ppp = live_attributes(KINDS["mikrotik"], said, is_ppp=True, age_s=60.4)
    assert ppp == RATE + LIST + TIMEOUT_2
    hotspot = live_attributes(KINDS["mikrotik"], said, is_ppp=False, age_s=0.0)
    assert hotspot == RATE + LIST + GROUP + TIMEOUT
    assert live_attributes(KINDS["juniper"], said, is_ppp=True, age_s=0.0) == b""


@pytest.mark.parametrize(
    ("kind", "session_id", "is_ppp"),
    [("mikrotik", "81a00001", True), ("mikrotik", "80a00001", False), ("mikrotik", "82000001", False),
     ("accel_ppp", "0123456789abcdef", True)],
)  # fmt: skip
def test_the_service_is_told_by_the_session_id(kind: str, session_id: str, is_ppp: bool) -> None:
    assert KINDS[kind].is_ppp(session_id) is is_ppp
