"""What is wanted of a session that goes on, as a table: facts, what it has, why it is looked at."""

from math import inf
from uuid import UUID

import pytest

from aaad.orders.desired import Judge, Judgement, LiveSession, Occasion, OpenOrder, Trigger, delay_s
from aaad.policy.codes import AccessStatus, LoginFlag
from aaad.policy.decide import is_conditional
from aaad.policy.facts import LoginExtras, LoginFacts, PhaseFacts, PlanFacts, Speed
from aaad.radius.forms import Form
from aaad.radius.rulebook import Rulebook
from aaad.replica.record import BranchRow, NasRow, ParameterRow, PoolRow, Tables

NOW_S = 1_800_000_000.0
PLAN = PlanFacts(5, "50 mega", Speed("25M", "50M"), 0, 0, 300)
LIST = {"blocked_state": "S", "blocked_upload": "64k", "blocked_download": "64k", "blocked_address_list": "B"}
POOLS = LIST | {"blocked_ipv4_pool": "presos"}
CA, FULL = AccessStatus.BLOCKED_AUTOMATICALLY, AccessStatus.ACTIVE
PPPOE, HOTSPOT = "81000001", "80000001"


def login(**changes: object) -> LoginFacts:
    """A login in order with a fixed address, with changes."""
    in_order = LoginFlag.LOGIN_ACTIVE | LoginFlag.CLIENT_ACTIVE
    facts = LoginFacts(1, 2, 3, 5, 1, in_order, 2, 1, 0xC0000280)._replace(**changes)
    return facts._replace(flags=facts.flags | LoginFlag.CONDITIONAL) if is_conditional(facts) else facts


class Office:
    """Rules, and the forms that were seen."""

    def __init__(
        self, parameters: dict[str, str] | None = None, plans: list[PlanFacts] | None = None, **tables
    ) -> None:
        self.rules = Rulebook(lambda zone, at_s: -10_800)
        self.forms: dict[int, Form | None] = {}
        self.nas: NasRow | None = NasRow(1, "one", "192.0.2.1/32", b"s", b"", 0.0, "mikrotik", True, "auto", 900, 1)
        self.load(parameters, plans)

    def load(self, parameters=None, plans=None) -> None:
        rows = [ParameterRow(name, 0, value) for name, value in (parameters or {}).items()]
        tables = Tables(1, [self.nas], [], plans or [PLAN], rows, b"k" * 16, 3, [BranchRow(1, "America/Sao_Paulo")])
        self.rules.load(tables, NOW_S)

    def judge(
        self, facts: LoginFacts | None, session: LiveSession, trigger: Trigger = Trigger.CHANGE, **at: object
    ) -> Judgement:
        occasion = Occasion(trigger, **({"now_s": NOW_S} | at))  # type: ignore[arg-type]
        judgement = Judge(self.rules).judge(session, facts, self.nas, self.forms, occasion)
        self.forms.update(judgement.forms)
        return judgement

    def session(self, facts: LoginFacts, session_id: str = PPPOE, *, now_s: float = NOW_S, **known) -> LiveSession:
        """A session with the grant of these facts."""
        bare = LiveSession((UUID(int=1), 0), facts.login_id, 5, 1, session_id, 0, "", "", NOW_S - 600, None)
        bare = bare._replace(listed_prefixes=known.get("listed_prefixes", 0))
        wish = self.judge(facts, bare, now_s=now_s).wish
        return bare._replace(**({"fingerprint": wish.fingerprint if wish else None} | known))


def test_equal_grants_want_nothing_and_say_until_when() -> None:
    office = Office()
    session = office.session(login())
    assert office.judge(login(), session, Trigger.SWEEP) == Judgement(
        forms=((session.fingerprint, office.forms[session.fingerprint]),)
    )
    assert office.judge(login(access_ends_at_s=int(NOW_S) + 60), session).due_s == NOW_S + 60


@pytest.mark.parametrize("session_id", [PPPOE, HOTSPOT])
def test_a_refusal_ends_both_services(session_id: str) -> None:
    office = Office()
    wish = office.judge(login(access_status=CA), office.session(login(), session_id)).wish
    assert wish is not None
    assert (wish.kind, wish.cause, wish.fingerprint, wish.is_cutting) == ("disconnect", "block", None, True)
    assert wish.is_ppp is (session_id == PPPOE)


@pytest.mark.parametrize(("session_id", "kind"), [(PPPOE, "disconnect"), (HOTSPOT, "change")])
def test_r4_5_only_a_refusal_ends_a_hotspot_session(session_id: str, kind: str) -> None:
    office = Office(POOLS)
    for before, after, cuts in ((FULL, CA, True), (CA, FULL, False)):
        session = office.session(login(access_status=before, ipv4=0), session_id)
        wish = office.judge(login(access_status=after, ipv4=0), session).wish
        assert wish is not None
        assert (wish.kind, wish.is_cutting) == (kind, cuts)
        assert wish.fingerprint is not None
        assert bool(wish.attributes) is (kind == "change")


def test_r4_3_a_full_blocked_pool_is_stood_in_for_and_orders_nothing() -> None:
    pool = PoolRow(1, 1, "presos", "radius", "ipv4", 32, "active", False, 86_400, 256, 0, 0, 0)
    office = Office()
    rows = [ParameterRow(name, 0, value) for name, value in POOLS.items()]
    branch = [BranchRow(1, "America/Sao_Paulo")]
    office.rules.load(Tables(1, [office.nas], [], [PLAN], rows, b"k" * 16, 3, branch, [], pools=[pool]), NOW_S)
    blocked = login(access_status=CA, ipv4=0xC0000280)
    session = office.session(blocked)
    assert office.judge(blocked, session).wish is None
    stood_in = session._replace(fingerprint=session.fingerprint ^ blocked.ipv4)
    assert office.judge(blocked, stood_in).wish is None
    assert office.judge(blocked, session._replace(fingerprint=1)).lacks_form == 1


def test_what_nobody_is_to_blame_for_ends_no_session() -> None:
    office = Office()
    session = office.session(login())
    assert office.judge(login(plan_id=99), session).wish is None  # its plan cannot be said
    assert office.judge(None, session).wish is None  # its row cannot be compiled
    office.nas = None
    assert office.judge(login(access_status=CA), session).wish is None  # its concentrator was deleted


def test_a_login_that_is_no_more_must_go() -> None:
    office = Office()
    session = office.session(login())._replace(is_login_known=False)
    wish = office.judge(None, session).wish
    assert wish is not None
    assert (wish.kind, wish.cause, wish.is_cutting) == ("disconnect", "login_deleted", True)


@pytest.mark.parametrize("trigger", list(Trigger))
def test_a_session_without_the_mark_is_brought_in_line_by_changes_alone(trigger: Trigger) -> None:
    office = Office()
    session = office.session(login(), fingerprint=None)
    granted, refused = (
        office.judge(login(), session, trigger).wish,
        office.judge(login(access_status=CA), session, trigger).wish,
    )
    assert (granted is not None) is (trigger in (Trigger.CHANGE, Trigger.CLOCK))
    assert (refused is not None) is (trigger not in (Trigger.START, Trigger.SWEEP))
    if granted is not None:
        assert (granted.kind, granted.is_certain) == ("change", trigger is Trigger.CLOCK)


@pytest.mark.parametrize("trigger", [Trigger.SWEEP, Trigger.START, Trigger.TERMS, Trigger.CLOCK])
def test_a_grant_that_nobody_knows_any_more_is_said_anew_and_cuts_nobody(trigger: Trigger) -> None:
    """As after an upgrade by which what a grant says is said otherwise: all sessions differ at once."""
    office = Office()
    office.forms[77] = None
    wish = office.judge(login(), office.session(login(), fingerprint=77), trigger).wish
    assert wish is not None
    assert (wish.kind, wish.is_certain, wish.is_cutting) == ("change", True, False)


def test_whose_former_grant_nobody_knows_dials_anew_for_a_block_that_a_change_cannot_make() -> None:
    for parameters, kind in ((LIST, "change"), (POOLS, "disconnect"), (LIST | {"blocked_group": "g"}, "disconnect")):
        office = Office(parameters)
        session = office.session(login(), fingerprint=77)
        assert office.judge(login(access_status=CA), session).lacks_form == 77
        office.forms[77] = None
        wish = office.judge(login(access_status=CA), session).wish
        assert wish is not None
        assert (wish.kind, wish.is_cutting, wish.is_certain) == (kind, True, wish.kind == "disconnect")
        back = office.judge(login(), session).wish
        assert back is not None
        assert (back.kind, back.is_cutting) == ("change", False)


# --- what is ordered already ----------------------------------------------------------------------------------------


def test_what_became_right_again_ends_what_nobody_began_and_undoes_what_was() -> None:
    office = Office()
    session = office.session(login())
    untouched = session._replace(order=OpenOrder("disconnect", None, is_begun=False))
    assert office.judge(login(), untouched).is_right
    begun = session._replace(order=OpenOrder("disconnect", None, is_begun=True))
    wish = office.judge(login(), begun).wish
    assert wish is not None
    assert (wish.kind, wish.cause, wish.fingerprint, wish.is_certain) == (
        "change",
        "unblock",
        session.fingerprint,
        False,
    )
    assert b"25M/50M" in wish.attributes
    being_undone = session._replace(order=OpenOrder("change", session.fingerprint, is_begun=True))
    judgement = office.judge(login(), being_undone)
    assert (judgement.wish, judgement.is_right) == (None, False)


# --- the clock ------------------------------------------------------------------------------------------------------


def test_r4_4_each_login_has_its_own_later_hour() -> None:
    midnight_s = (NOW_S // 86_400) * 86_400 + 3 * 3_600  # in São Paulo
    night = PLAN._replace(reduced=PhaseFacts(1, Speed("1M", "2M"), 0))
    office = Office(plans=[night])
    facts = login()
    shift_s = delay_s(1, 600.0)
    assert 60.0 < shift_s < 600.0
    day, dark = (office.session(facts, now_s=midnight_s + s) for s in (-10.0, 10.0))
    assert day.fingerprint != dark.fingerprint

    def at(session: LiveSession, later_s: float, trigger: Trigger) -> Judgement:
        return office.judge(facts, session, trigger, now_s=midnight_s + later_s, spread_s=600.0)

    for trigger in (Trigger.SWEEP, Trigger.CLOCK, Trigger.START, Trigger.TERMS):
        waits = at(day, shift_s - 1, trigger)
        assert (waits.wish, waits.due_s) == (None, midnight_s + shift_s)
        assert at(day, shift_s, trigger).wish is not None
        assert at(dark, 1.0, trigger).wish is None  # who dialled since then has it, and keeps it
    changed = at(day, shift_s, Trigger.CLOCK).wish
    assert changed is not None
    assert (changed.kind, changed.cause) == ("change", "hours")
    assert at(day, 1.0, Trigger.CHANGE).wish is not None  # looked at in any case


def test_delays_are_spread_evenly_over_neighbouring_numbers() -> None:
    delays = sorted(delay_s(number, 100.0) for number in range(1, 1_001))
    assert all(abs(found - place / 10) < 3.0 for place, found in enumerate(delays))
    assert {delay_s(number, 0.0) for number in range(10)} == {0.0}


def test_prepaid_time_that_was_prolonged_is_counted_from_the_sessions_beginning() -> None:
    office = Office()
    end_s = int(NOW_S) + 3_600
    session = office.session(login(access_ends_at_s=end_s))
    wish = office.judge(login(access_ends_at_s=end_s + 86_400), session).wish
    assert wish is not None
    assert (wish.kind, wish.is_certain, wish.is_cutting) == ("change", True, False)
    seconds = int(dict(wish.wanted)["Session-Timeout"])
    assert int.from_bytes(wish.attributes[-4:], "big") == seconds + 600


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        ({"flags": LoginFlag.CLIENT_ACTIVE}, "login_changed"),
        ({"flags": LoginFlag.LOGIN_ACTIVE}, "client_inactive"),
        ({"flags": LoginFlag.LOGIN_ACTIVE | LoginFlag.CLIENT_ACTIVE | LoginFlag.LOGIN_DELETED}, "login_deleted"),
        ({"flags": LoginFlag.LOGIN_ACTIVE | LoginFlag.CLIENT_ACTIVE | LoginFlag.CONTRACT_SUSPENDED}, "suspension"),
        ({"contract_status": 5}, "cancel"),
        ({"access_status": AccessStatus.DISABLED}, "cancel"),
        ({"access_status": AccessStatus.BLOCKED_MANUALLY}, "block"),
        ({"access_ends_at_s": int(NOW_S) - 1}, "prepaid_end"),
        ({"hours": 1 << 23}, "hours"),
        ({"extras": LoginExtras(contest_until_s=int(NOW_S) + 60, contest_mac=5)}, "contest"),
    ],
)
def test_each_refusal_has_a_cause_that_people_can_read(facts: dict, cause: str) -> None:
    office = Office()
    wish = office.judge(login(**facts), office.session(login())).wish
    assert wish is not None
    assert (wish.kind, wish.cause) == ("disconnect", cause)


def test_until_when_is_never_for_who_has_no_conditions() -> None:
    office = Office()
    assert office.judge(login(), office.session(login())).due_s == inf


LISTED = {"plans": [PLAN._replace(address_list_ipv6="v6-one")]}


def test_a_session_that_begins_without_its_ipv6_list_gets_it_by_the_api_alone() -> None:
    """No attribute of RouterOS says an IPv6 list: the Accept's Class is of the rest."""
    office = Office(**LISTED)
    begun = office.session(login())  # what the Accept says
    wish = office.judge(login(), begun._replace(listed_prefixes=1), Trigger.START).wish
    assert wish is not None
    assert (wish.kind, wish.cause, wish.is_cutting, wish.attributes) == ("lists", "start", False, b"")
    assert (wish.wanted, wish.unsaid) == ([("Address-List-IPv6", "v6-one")], [])
    has = begun._replace(listed_prefixes=1, fingerprint=wish.fingerprint)
    assert office.judge(login(), has, Trigger.SWEEP).wish is None
    again = office.judge(login(), has._replace(listed_prefixes=2), Trigger.SWEEP).wish
    assert again is not None, "another prefix is known by now"
    assert again.kind == "lists"


def test_another_name_of_the_ipv6_list_alone_changes_lists_and_cuts_nobody() -> None:
    office = Office(**LISTED)
    begun = office.session(login(), listed_prefixes=1)
    assert begun.fingerprint is not None
    for plan, wanted, unsaid in (("v6-two", ["v6-two"], ["v6-one"]), ("", [], ["v6-one"])):
        office.load(plans=[PLAN._replace(address_list_ipv6=plan)])
        wish = office.judge(login(), begun, Trigger.TERMS, cause="plan").wish
        assert wish is not None
        assert (wish.kind, wish.cause, wish.is_cutting) == ("lists", "plan", False)
        assert ([name for _, name in wish.wanted], [name for _, name in wish.unsaid]) == (wanted, unsaid)


def test_who_has_no_ipv6_or_no_api_gets_no_orders_about_lists() -> None:
    office = Office(**LISTED)
    begun = office.session(login())
    assert office.judge(login(), begun, Trigger.START).wish is None
    listed = office.session(login(), listed_prefixes=1)
    assert office.judge(login(), listed._replace(listed_prefixes=0), Trigger.SWEEP).wish is None, "the API is gone"
