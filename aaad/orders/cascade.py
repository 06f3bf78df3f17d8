"""What an order does next: from what its concentrator can do, what is wanted, and what was said so far.

Pure. The cascade of rule R8: CoA where it can say what differs, else Disconnect, else the router's own API; then the
lists of the router are read until they show it (rule R8.3). A router that says that it is done and is read to be as
before has failed that step, and the next one follows. Silence tells about the way, not about the order: after it no
other request goes that way. A Disconnect waits until every node has applied the change (rule R8.2), and one that only
changes something never cuts a Hotspot customer (rule R4.5). Another session on the router supersedes (rule R8.1).
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What an order is about."""

    CHANGE = "change"  # make it as decided
    LISTS = "lists"  # only the router's address lists differ, and only its API can write what is missing there
    DISCONNECT = "disconnect"  # it must go, or dial anew


class Step(StrEnum):
    """What can be done for an order."""

    COA = "coa"
    DISCONNECT = "disconnect"
    LISTS = "lists"  # entries of ours in the router's address lists
    API = "api"  # the session is removed by the router's API
    COOKIE = "cookie"  # a Hotspot cookie, by which who is refused would be let in again
    READ = "read"  # by the router's lists


class Said(StrEnum):
    """What came of a step."""

    DONE = "done"  # ACK, or done by the API
    GONE = "gone"  # the router says that it has no such session
    OTHER = "other"  # it has another session of that name
    REFUSED = "refused"  # NAK of another cause, or a trap
    SILENT = "silent"
    REJECTED = "rejected"  # the network says so: nobody listens, or a firewall forbids
    UNSENT = "unsent"  # not from here now
    AS_WANTED = "as_wanted"
    AS_BEFORE = "as_before"  # the session is there, and what was done shows no effect
    LISTS_DIFFER = "lists_differ"  # all is as wanted but the address lists
    NOTHING_TO_READ = "nothing_to_read"  # what was changed shows in no list
    UNREADABLE = "unreadable"  # the router's API did not answer


class State(StrEnum):
    """States of an order that the cascade leads to."""

    DUE = "todo"
    WAITING = "waiting"
    REDIAL = "redial"
    HELD = "held"
    DONE = "done"
    UNVERIFIED = "unverified"
    SUPERSEDED = "superseded"
    GONE = "gone"


class Told(NamedTuple):
    """A step and what came of it."""

    step: Step
    said: Said


class Task(NamedTuple):
    """All that the cascade knows of an order and its concentrator."""

    kind: Kind
    is_ppp: bool = True
    can_change: bool = True  # what differs can be said in a CoA, or there is nothing else to say
    can_name: bool = True  # the session can be told from others in a request
    has_way: bool = True  # this node is a server of that router, and the router has an address of its own
    is_behind_nat: bool = False  # it has none: several routers share it
    is_one_of_many: bool = False  # several routers share its address: who answers may be another one
    has_api: bool = True
    is_certain: bool = True  # what an ACK to a CoA says is all that differs
    is_known: bool = True  # all live nodes have applied the change (rule R8.2)
    is_repeated: bool = False  # somebody may have done some of it: look first
    is_heard_since: bool = False  # it reported after its router said that it is gone, or ended
    has_waited: bool = False  # a router said long ago that it is done, and could not be read since
    was_done: bool = False  # a router said that it did it, before this was taken anew
    is_silent: bool = False  # accounting is silent for longer than the session's own intervals allow
    has_lists: bool = False  # what is wanted has address lists, or there are lists that it must not be in

    @property
    def may_cut(self) -> bool:
        """Whether its session may be ended to have it so. The address of who is cut is free for its redial."""
        return self.kind is Kind.DISCONNECT or (self.kind is Kind.CHANGE and self.is_ppp)


class Do(NamedTuple):
    """Carry out a step."""

    step: Step


class Wait(NamedTuple):
    """Nothing more can be done now; `why` is a reason of the table of words."""

    state: State
    why: str
    is_failure: bool = True  # counts as an attempt: the next one waits longer


class End(NamedTuple):
    """It is over. `is_proven`: what is wanted was read; `is_session_over`: its session is known to have ended."""

    state: State
    why: str = ""
    is_proven: bool = False
    is_session_over: bool = False


Move = Do | Wait | End

_NO_ANSWER = frozenset({Said.SILENT, Said.REJECTED, Said.UNSENT})
CUTS = frozenset({Step.DISCONNECT, Step.API})
_RADIUS = frozenset({Step.COA, Step.DISCONNECT})
LOOKS_MAX = 3  # at what a router said it had done, before it is taken to have no effect


def ways(task: Task) -> tuple[Step, ...]:
    """Return the steps that could bring an order about, best first."""
    found: list[Step] = []
    can_ask = task.has_way and task.can_name
    if task.kind is Kind.CHANGE and can_ask and task.can_change:
        found.append(Step.COA)
    if task.kind is not Kind.DISCONNECT and task.has_api and task.has_lists:
        found.append(Step.LISTS)
    if task.may_cut:
        if can_ask:
            found.append(Step.DISCONNECT)
        if task.has_api:
            found.append(Step.API)
    return tuple(found)


def while_waiting(task: Task) -> Move | None:
    """Return what becomes of an order that waits for accounting, None if it is time to go on with it.

    Without an API only accounting tells whether a session that its router ended, or does not know, lives.
    """
    if task.has_api or task.is_heard_since:
        return None
    if task.is_silent:
        if task.was_done:
            return End(State.DONE, "silent_since", is_session_over=True)
        return End(State.GONE, "silent_since", is_session_over=True)
    if task.has_waited:
        return End(State.UNVERIFIED, "no_api") if task.was_done else None
    return Wait(State.WAITING, "stop_awaited" if task.was_done else "no_such_session", is_failure=False)


def next_move(task: Task, told: Sequence[Told]) -> Move:
    """Return what to do after all that was said since the order was taken."""
    if not told:
        return Do(Step.READ) if task.is_repeated and task.has_api else _go_on(task, told)
    step, said = told[-1]
    match step:
        case Step.READ:
            return _after_reading(task, told, said)
        case Step.COOKIE:
            return _go_on(task, told)
        case Step.LISTS:
            return Do(Step.READ) if said is Said.DONE else _go_on(task, told)
        case Step.COA | Step.DISCONNECT:
            return _after_radius(task, told, said)
        case Step.API:
            return _after_api(task, told, said)


def _after_radius(task: Task, told: Sequence[Told], said: Said) -> Move:
    if said in (Said.DONE, Said.GONE) and task.has_api:
        return Do(Step.READ)
    if said is Said.GONE:
        return Wait(State.DUE, "identity") if task.is_heard_since else Wait(State.WAITING, "no_such_session")
    if said is Said.DONE:
        if told[-1].step is Step.DISCONNECT:
            return Wait(State.WAITING, "stop_awaited", is_failure=False)
        return _go_on(task, told) if _must_cut(task) else End(State.UNVERIFIED, "no_api")
    return _go_on(task, told)


def _must_cut(task: Task) -> bool:
    """Whether nothing but a redial makes sure of it: an ACK leaves it open, and no list shows it."""
    return not task.is_certain and task.may_cut and (task.has_way or task.has_api)


def _after_api(task: Task, told: Sequence[Told], said: Said) -> Move:
    match said:
        case Said.DONE:  # it looks again by itself
            return End(State.DONE, is_proven=True, is_session_over=True)
        case Said.GONE:
            return _over(task, told, Said.GONE)
        case Said.OTHER:
            return _over(task, told, Said.OTHER)
        case _:
            return _go_on(task, told)


def _over(task: Task, told: Sequence[Told], said: Said) -> End | Wait:
    """The router was read, and the session is not there: by us, or by itself."""
    was_cut = any(one.step in CUTS and one.said is Said.DONE for one in told)
    if task.is_one_of_many and not was_cut:
        return Wait(State.DUE, "one_of_many")  # it was perhaps read at another router, and lives at its own
    if task.kind is Kind.DISCONNECT or was_cut:
        return End(State.DONE, "" if was_cut else "was_gone", is_proven=True, is_session_over=True)
    if said is Said.OTHER:
        return End(State.SUPERSEDED, "other_session", is_session_over=True)
    return End(State.GONE, "was_gone", is_session_over=True)


def _after_reading(task: Task, told: Sequence[Told], said: Said) -> Move:
    acted = _last_act(told)
    match said:
        case Said.GONE | Said.OTHER:
            return _over(task, told, said)
        case Said.AS_WANTED | Said.NOTHING_TO_READ:
            if said is Said.AS_WANTED and task.kind is Kind.LISTS:
                return End(State.DONE, is_proven=True)
            # What no list shows may be as before: what is read to be right proves nothing before it was said.
            if not (task.was_done or any(one.said is Said.DONE for one in told if one.step is Step.COA)):
                return _go_on(task, told)
            if said is Said.AS_WANTED:
                return End(State.DONE, is_proven=True)
            return _go_on(task, told) if _must_cut(task) else End(State.UNVERIFIED, "nothing_to_read")
        case Said.UNREADABLE:
            return _unread(task, told, acted)
        case _:
            return _as_before(task, told, acted, said)


def _unread(task: Task, told: Sequence[Told], acted: Told | None) -> Move:
    if acted is None or acted.said not in (Said.DONE, Said.GONE):
        return _go_on(task, told)
    if acted.said is Said.GONE:
        return Wait(State.WAITING, "no_such_session")
    if acted.step in CUTS:
        return Wait(State.WAITING, "stop_awaited", is_failure=False)
    return End(State.UNVERIFIED, "unreadable") if task.has_waited else Wait(State.WAITING, "unreadable")


def _as_before(task: Task, told: Sequence[Told], acted: Told | None, said: Said) -> Move:
    """The session is there and not as wanted: look again for a while, then the step had no effect."""
    if acted is None or acted.said is not Said.DONE:
        return _go_on(task, told)  # it was read beforehand, or to learn whether it is gone
    if said is Said.LISTS_DIFFER and all(one.step is not Step.LISTS for one in told):
        return Do(Step.LISTS)
    looks = 0
    for one in reversed(told):
        if one.step is not Step.READ:
            break
        looks += 1
    return Do(Step.READ) if looks < LOOKS_MAX else _go_on(task, told)


def _last_act(told: Sequence[Told]) -> Told | None:
    return next((one for one in reversed(told) if one.step not in (Step.READ, Step.COOKIE)), None)


def _go_on(task: Task, told: Sequence[Told]) -> Move:
    """Return the first way that was not tried, or why there is none."""
    tried = {one.step for one in told}
    is_way_closed = any(one.step in _RADIUS and (one.said in _NO_ANSWER or one.said is Said.GONE) for one in told)
    possible = ways(task)
    for way in possible:
        if way in tried or (way in _RADIUS and is_way_closed):
            continue
        if way in CUTS and not task.is_known:
            return Wait(State.DUE, "not_applied_everywhere", is_failure=False)
        if way in CUTS and _has_cookie(task) and Step.COOKIE not in tried:
            return Do(Step.COOKIE)
        return Do(way)
    if not possible:
        return _no_way(task)
    return _failed(told)


def _has_cookie(task: Task) -> bool:
    return task.kind is Kind.DISCONNECT and not task.is_ppp and task.has_api


def _no_way(task: Task) -> Wait:
    if task.is_behind_nat:
        return Wait(State.REDIAL, "behind_nat", is_failure=False)
    if not task.has_way:
        return Wait(State.DUE, "no_server_here")
    if not task.can_name:
        return Wait(State.REDIAL, "not_nameable", is_failure=False)
    return Wait(State.REDIAL, "not_changeable", is_failure=False)


def _failed(told: Sequence[Told]) -> Wait:
    """All was tried. What the last router's word was says what is wrong."""
    acts = [one for one in told if one.step is not Step.READ]
    if any(one.said is Said.DONE and one.step is not Step.COOKIE for one in acts):
        return Wait(State.DUE, "no_effect")
    if acts and all(one.said is Said.UNSENT for one in acts):
        return Wait(State.DUE, "unsent")
    if acts and all(one.said in _NO_ANSWER for one in acts):
        return Wait(State.DUE, "silent")
    return Wait(State.DUE, "refused")


def is_silent(told: Sequence[Told]) -> bool:
    """Whether a router answered nothing at all: perhaps it is down, and its other orders can wait with this one."""
    acts = [one for one in told if one.said is not Said.UNSENT]
    silent = (Said.SILENT, Said.REJECTED, Said.UNREADABLE)
    return bool(acts) and all(one.said in silent for one in acts)
