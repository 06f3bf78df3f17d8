"""What is wanted of a session that goes on, compared with what it has: nothing, a change, or its end.

Pure. The facts of now go through the one decision and the templates of the request path, so what is wanted is what a
redial would get; the password counts as right. Equal fingerprints: nothing is to be done. Carries out rules R4.3 to
R4.6 as far as sessions that go on are concerned:

- What is refused must go, and what cannot be changed while it lives must dial anew; a Hotspot session only if it is
  refused (rule R4.5).
- What only the clock changes holds a little later for each login, so that no hour begins with a storm (rule R4.4).
  Who has by then what he would have got at his own, later hour is left alone until it comes.
- Whoever is on nobody's list is no customer's fault: a damaged row, a missing plan, a reply too long end no session.
- A session that bears no Class of ours is brought in line by what changes, never because it bears none.
"""

from collections.abc import Mapping
from enum import IntEnum
from math import inf
from typing import NamedTuple

from aaad.orders.wish import SessionKey, Wish
from aaad.policy.codes import Credential, GrantState, Reason
from aaad.policy.decide import decide, standing
from aaad.policy.facts import LoginFacts
from aaad.policy.grant import Decision, Grant
from aaad.radius.forms import IPV6_LIST, NO_DIFFERENCE, Difference, Form, Wanted, compare, live_attributes, wanted
from aaad.radius.kinds import NasKind, kind_of
from aaad.radius.pool_book import of_nas
from aaad.radius.rulebook import Rulebook, reason_unsaid
from aaad.replica.record import NasRow

_SPREAD = 0x9E3779B1  # odd and far from a power of two: neighbouring numbers come to lie far apart
_NUMBER_MASK = 0xFFFFFFFF
_RIGHT = Credential.RIGHT

# Reasons for which a redial is refused or silent, but that are a trouble of ours or of the tables: nobody is cut.
_NOT_HIS = frozenset({Reason.PLAN_MISSING, Reason.RECORD_DAMAGED, Reason.REPLY_TOO_LONG, Reason.POOL_EXHAUSTED})
_CAUSES = {
    Reason.LOGIN_INACTIVE: "login_changed",
    Reason.LOGIN_DELETED: "login_deleted",
    Reason.UNKNOWN_LOGIN: "login_deleted",
    Reason.CLIENT_INACTIVE: "client_inactive",
    Reason.CONTRACT_SUSPENDED_VOLUNTARILY: "suspension",
    Reason.BLOCKED_MANUALLY: "block",
    Reason.BLOCKED_AUTOMATICALLY: "block",
    Reason.AWAITING_SIGNATURE: "block",
    Reason.ACCESS_DISABLED: "cancel",
    Reason.CONTRACT_NOT_SIGNED_YET: "cancel",
    Reason.CONTRACT_INACTIVE: "cancel",
    Reason.CONTRACT_BLACKLISTED: "cancel",
    Reason.CONTRACT_WITHDRAWN: "cancel",
    Reason.PREPAID_ENDED: "prepaid_end",
    Reason.TRUST_UNLOCK_ENDED: "trust_end",
    Reason.OUTSIDE_HOURS: "hours",
    Reason.DEVICE_NOT_ALLOWED: "mac",
    Reason.IN_USE_ELSEWHERE: "contest",
    Reason.GRANTED_WITH_NOTICE: "notice",
    Reason.GRANTED_LATE_PLAN: "late",
    Reason.GRANTED_CAP_PLAN: "cap",
}
_BLOCKED = Reason.GRANTED_BLOCKED


class Trigger(IntEnum):
    """Why a session is looked at."""

    CHANGE = 1  # something of its login, contract or client changed
    TERMS = 2  # plans, parameters, pools or concentrators did
    CLOCK = 3  # its decision held until now
    START = 4  # it began a moment ago
    SWEEP = 5  # all are looked at now and then


class OpenOrder(NamedTuple):
    """What is ordered of a session already."""

    kind: str
    fingerprint: int | None
    is_begun: bool  # somebody is at it, or was: it may have had its effect
    held_run: int | None = None  # the brake holds it back, in this run


class LiveSession(NamedTuple):
    """A session that goes on. It says what its request said (`policy.facts.Asked`)."""

    key: SessionKey
    login_id: int
    plan_id: int
    nas_id: int
    acct_session_id: str
    mac: int
    port_id: str
    circuit_id: str
    started_s: float
    fingerprint: int | None  # of the grant that it has; None: not known
    order: OpenOrder | None = None
    listed_prefixes: int = 0  # IPv6 prefixes that it has and its router's API can put in address lists
    is_login_known: bool = True  # False: PostgreSQL has no such login any more


class Occasion(NamedTuple):
    """Why it is looked at, and when."""

    trigger: Trigger
    now_s: float
    spread_s: float = 0.0  # over how long changes by the clock are spread
    cause: str = ""  # of a change of terms


class Judgement(NamedTuple):
    """What came of it."""

    wish: Wish | None = None
    is_right: bool = False  # it is as wanted: what is ordered and not begun is needless
    due_s: float = inf  # when to look again
    lacks_form: int | None = None  # what this fingerprint stands for has to be looked up first
    forms: tuple[tuple[int, Form], ...] = ()  # what fingerprints stand for, to be kept


Forms = Mapping[int, Form | None]  # None: looked up, and nobody knows
NOTHING = Judgement()


class _Case(NamedTuple):
    """One session, with all that is known."""

    session: LiveSession
    login: LoginFacts
    nas: NasRow
    kind: NasKind
    is_ppp: bool
    at: Occasion


class _Said(NamedTuple):
    """A decision, put as the session would be told it."""

    reason: Reason
    wanted: Wanted | None  # None: refused
    decision: Decision

    def is_had_by(self, session: LiveSession) -> bool:
        """Whether a session has just this."""
        return self.wanted is not None and session.fingerprint in self.wanted.alike


def delay_s(login_id: int, spread_s: float) -> float:
    """Return by how much later than for others the clock's changes hold for a login."""
    return (login_id * _SPREAD & _NUMBER_MASK) / (_NUMBER_MASK + 1) * spread_s


class Judge:
    """Compares, by the rules that a rulebook holds now."""

    def __init__(self, rules: Rulebook) -> None:
        """`rules` must hold the tables that the logins' facts belong to."""
        self._rules = rules

    def judge(
        self, session: LiveSession, login: LoginFacts | None, nas: NasRow | None, forms: Forms, at: Occasion
    ) -> Judgement:
        """Return what is wanted of one session.

        Args:
            session: as it is known.
            login: its facts; None: the replica has none.
            nas: its concentrator; None: there is no such entry any more, so nobody to speak to.
            forms: what fingerprints stand for, as far as it was looked up.
            at: why and when.
        """
        if nas is None:
            return NOTHING
        kind = kind_of(nas.kind)
        is_ppp = kind.is_ppp(session.acct_session_id)
        if login is None:  # a row that cannot be compiled is no reason to cut anybody
            return NOTHING if session.is_login_known else _refuse(session, Reason.UNKNOWN_LOGIN, is_ppp)
        case = _Case(session, login, nas, kind, is_ppp, at)
        said = self._say(case, at.now_s)
        delayed_s = delay_s(login.login_id, at.spread_s)
        due_s = said.decision.until_s + delayed_s
        if said.reason in _NOT_HIS:
            return Judgement(due_s=due_s)
        if said.is_had_by(session):
            return _right(case, said, due_s)
        if delayed_s and at.trigger is not Trigger.CHANGE:  # at his own, later hour (rule R4.4)
            earlier = self._say(case, at.now_s - delayed_s)
            if earlier.is_had_by(session):
                return _right(case, earlier, earlier.decision.until_s + delayed_s)
        is_only_seen = at.trigger in (Trigger.START, Trigger.SWEEP)
        if session.fingerprint is None and (is_only_seen or (said.wanted and at.trigger is Trigger.TERMS)):
            return Judgement(due_s=due_s)
        if said.wanted is None:
            return _refuse(session, said.reason, is_ppp, due_s)
        told = None
        if session.fingerprint in said.wanted.as_accepted:
            told = said.wanted.form._replace(lists_ipv6="")
        elif session.fingerprint is not None:
            if session.fingerprint not in forms:
                return Judgement(lacks_form=session.fingerprint)
            told = forms[session.fingerprint]
        return self._differ(case, said, said.wanted, told, due_s)

    def _say(self, case: _Case, now_s: float) -> _Said:
        session, login, nas, kind, is_ppp, _ = case
        rules = self._rules
        decision = decide(login, rules.plans, rules.policy(login.branch_id), _RIGHT, session, now_s)
        grant = decision.grant
        if grant is None:
            return _Said(decision.reason, None, decision)
        try:
            template = rules.template(kind, grant, of_nas(nas))
            listed = session.listed_prefixes if kind.has_api else 0
            found = wanted(
                kind, template, grant, decision.reason, login, is_ppp=is_ppp, now_s=now_s, listed_prefixes=listed
            )
        except (ValueError, OverflowError):
            return _Said(reason_unsaid(login, grant, now_s), None, decision)
        return _Said(decision.reason, found, decision)

    def _differ(self, case: _Case, said: _Said, found: Wanted, told: Form | None, due_s: float) -> Judgement:
        """Return how it gets to what is wanted from what it was told."""
        session, login, _, kind, is_ppp, at = case
        grant = said.decision.grant
        assert grant is not None
        is_blocked = grant.state == GrantState.BLOCKED
        was_blocked = told is not None and told.reason is _BLOCKED
        if told is not None and not session.listed_prefixes:
            told = told._replace(lists_ipv6="")  # nobody could take it out of them
        difference = (
            _from_nothing(grant, at.trigger) if told is None else compare(kind, told, found.form, is_ppp=is_ppp)
        )
        if is_blocked and not was_blocked:
            cause = _CAUSES.get(standing(login, grant.policy, at.now_s), "block")
        else:
            is_other_plan = bool(session.plan_id) and session.plan_id != grant.plan.plan_id
            cause = _cause(said.reason, told, difference, at, is_other_plan=is_other_plan)
        if difference.needs_dial and is_ppp:
            is_cutting = is_blocked or not was_blocked
            wish = Wish(session.key, is_ppp, "disconnect", cause, is_cutting, fingerprint=found.fingerprint)
            wish = wish._replace(wanted=found.form.said, unsaid=difference.unsaid)
        elif told is not None and _is_in_lists(case, told, found.form):
            wish = _place(case, found, cause, difference)._replace(is_cutting=is_blocked and not was_blocked)
        elif difference.is_sayable:
            wish = _change(case, found, cause, difference)._replace(is_cutting=is_blocked and not was_blocked)
        else:
            return Judgement(is_right=session.order is not None, due_s=due_s)
        forms: tuple[tuple[int, Form], ...] = ((found.fingerprint, found.form),)
        if told is not None and session.fingerprint in found.as_accepted:
            forms += ((session.fingerprint, told),)
        return Judgement(wish, due_s=due_s, forms=forms)


def _is_in_lists(case: _Case, told: Form, form: Form) -> bool:
    """Whether IPv6 address lists are all that is to be changed, and nobody began anything else."""
    session, order = case.session, case.session.order
    if not session.listed_prefixes or (order is not None and order.is_begun and order.kind != "lists"):
        return False
    rest = compare(case.kind, told._replace(lists_ipv6=form.lists_ipv6), form, is_ppp=case.is_ppp)
    return rest == NO_DIFFERENCE and bool(form.lists_ipv6 or told.lists_ipv6)


def _place(case: _Case, found: Wanted, cause: str, difference: Difference) -> Wish:
    """Return the wish for what only the router's API can do: no CoA says it, and a redial would not bring it."""
    return Wish(
        case.session.key,
        case.is_ppp,
        "lists",
        cause,
        is_cutting=False,
        fingerprint=found.fingerprint,
        wanted=[pair for pair in found.form.said if pair[0] == IPV6_LIST],
        unsaid=difference.unsaid,
    )


def _from_nothing(grant: Grant, trigger: Trigger) -> Difference:
    """Nobody knows what it was told. Whose block is by an address or a profile must dial anew for it.

    Unless it is his block, or his own change, an ACK is enough: it may be that all sessions are unknown at once, and
    that nothing differs at all.
    """
    policy = grant.policy
    held_by = (
        policy.blocked_ipv4_pool,
        policy.blocked_ipv6_pool,
        policy.blocked_delegated_ipv6_pool,
        policy.blocked_group,
    )
    is_blocked = grant.state == GrantState.BLOCKED
    is_certain = not is_blocked and trigger is not Trigger.CHANGE
    return Difference(is_blocked and any(held_by), is_sayable=True, is_certain=is_certain, unsaid=[])


def _right(case: _Case, said: _Said, due_s: float) -> Judgement:
    """It has what it shall have. What somebody began to do otherwise is said anew."""
    session, found = case.session, said.wanted
    assert found is not None
    forms = ((found.fingerprint, found.form),) if session.fingerprint == found.fingerprint else ()
    order = session.order
    if order is None or (order.is_begun and order.kind != "disconnect" and order.fingerprint in found.alike):
        return Judgement(due_s=due_s, forms=forms)
    if not order.is_begun:
        return Judgement(is_right=True, due_s=due_s, forms=forms)
    cause = "unblock" if order.kind == "disconnect" else _cause(said.reason, None, NO_DIFFERENCE, case.at)
    wish = _change(case, found, cause, NO_DIFFERENCE._replace(is_certain=False))
    return Judgement(wish, due_s=due_s, forms=((found.fingerprint, found.form),))


def _refuse(session: LiveSession, reason: Reason, is_ppp: bool, due_s: float = inf) -> Judgement:
    cause = _CAUSES.get(reason, "login_changed")
    return Judgement(Wish(session.key, is_ppp, "disconnect", cause, is_cutting=True), due_s=due_s)


def _change(case: _Case, found: Wanted, cause: str, difference: Difference) -> Wish:
    session, _, _, kind, is_ppp, at = case
    return Wish(
        session.key,
        is_ppp,
        "change",
        cause,
        is_cutting=False,
        is_certain=difference.is_certain,
        fingerprint=found.fingerprint,
        wanted=found.form.said,
        unsaid=difference.unsaid,
        attributes=live_attributes(kind, found.attributes, is_ppp=is_ppp, age_s=at.now_s - session.started_s),
    )


def _cause(
    reason: Reason, told: Form | None, difference: Difference, at: Occasion, *, is_other_plan: bool = False
) -> str:
    """Return why a grant became another one, for people. `told`: the one before, if that is known."""
    before = told.reason if told is not None else Reason.GRANTED
    if reason is not before:
        if before is _BLOCKED:
            return "unblock"
        if reason in _CAUSES:
            return _CAUSES[reason]
        if before is Reason.GRANTED_WITH_NOTICE:
            return "unblock"
        if before in _CAUSES:  # slower no more, for whichever cause it was: two may give the same speed
            return "speed"
    match at.trigger:
        case Trigger.CLOCK:
            return "hours"
        case Trigger.TERMS:
            return at.cause
        case Trigger.START:
            return "start"
        case Trigger.SWEEP:
            return "sweep"
        case Trigger.CHANGE:
            if is_other_plan:
                return "plan"
            return "speed" if difference.is_certain and not difference.needs_dial else "login_changed"
