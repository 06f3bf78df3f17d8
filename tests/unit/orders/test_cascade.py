"""The cascade of orders: tables of what was said and what follows."""

from itertools import product

import pytest

from aaad.orders.cascade import (
    Do,
    End,
    Kind,
    Move,
    Said,
    State,
    Step,
    Task,
    Told,
    Wait,
    is_silent,
    next_move,
    while_waiting,
)

CHANGE, GO = Task(Kind.CHANGE), Task(Kind.DISCONNECT)
NO_API = {"has_api": False}
GUEST = {"is_ppp": False}
COA, DISCONNECT, API, READ, LISTS, COOKIE = (
    Step.COA,
    Step.DISCONNECT,
    Step.API,
    Step.READ,
    Step.LISTS,
    Step.COOKIE,
)


def told(*said: tuple[Step, Said]) -> list[Told]:
    return [Told(*one) for one in said]


BEFORE = (READ, Said.AS_BEFORE)
FIRST_STEPS: dict[str, tuple[Task, Move]] = {
    "a change is said": (CHANGE, Do(COA)),
    "who must go is disconnected": (GO, Do(DISCONNECT)),
    "a change that cannot be said needs a redial": (CHANGE._replace(can_change=False), Do(DISCONNECT)),
    "no way of this node, but the API": (GO._replace(has_way=False), Do(API)),
    "a session that cannot be named, but is known to the API": (GO._replace(can_name=False), Do(API)),
    "a change where only the API is left cuts": (CHANGE._replace(has_way=False), Do(API)),
    "lists go by the API before anybody is cut": (CHANGE._replace(has_way=False, has_lists=True), Do(LISTS)),
    "R8.5 behind NAT": (
        GO._replace(has_way=False, has_api=False, is_behind_nat=True),
        Wait(State.REDIAL, "behind_nat", False),
    ),
    "nobody here may, and there is no API": (
        GO._replace(has_way=False, has_api=False),
        Wait(State.DUE, "no_server_here"),
    ),
    "not to be told from others": (
        GO._replace(can_name=False, has_api=False),
        Wait(State.REDIAL, "not_nameable", False),
    ),
    "R4.5 a Hotspot change that cannot be said waits": (
        CHANGE._replace(can_change=False, **GUEST),
        Wait(State.REDIAL, "not_changeable", False),
    ),
    "R8.2 not applied everywhere": (
        GO._replace(is_known=False),
        Wait(State.DUE, "not_applied_everywhere", False),
    ),
    "R8.2 a CoA cuts nobody and need not wait": (CHANGE._replace(is_known=False), Do(COA)),
    "R4.5 the cookie goes first": (GO._replace(**GUEST), Do(COOKIE)),
    "no cookie without an API": (GO._replace(**GUEST, **NO_API), Do(DISCONNECT)),
    "who takes over looks first": (GO._replace(is_repeated=True), Do(READ)),
    "and begins anew where nothing can be read": (GO._replace(is_repeated=True, **NO_API), Do(DISCONNECT)),
}


@pytest.mark.parametrize(("task", "move"), FIRST_STEPS.values(), ids=FIRST_STEPS.keys())
def test_what_comes_first(task: Task, move: Move) -> None:
    assert next_move(task, ()) == move


DONE = End(State.DONE, is_proven=True)
CUT = End(State.DONE, is_proven=True, is_session_over=True)
THEN: dict[str, tuple[Task, list[Told], Move]] = {
    "an ACK is read back": (CHANGE, told((COA, Said.DONE)), Do(READ)),
    "and is true then": (CHANGE, told((COA, Said.DONE), (READ, Said.AS_WANTED)), DONE),
    "R8.3 acked, not verifiable": (
        CHANGE._replace(**NO_API),
        told((COA, Said.DONE)),
        End(State.UNVERIFIED, "no_api"),
    ),
    "what an ACK leaves open is redialled": (
        CHANGE._replace(is_certain=False, **NO_API),
        told((COA, Said.DONE)),
        Do(DISCONNECT),
    ),
    "R4.5 but not at a Hotspot": (
        CHANGE._replace(is_certain=False, **NO_API, **GUEST),
        told((COA, Said.DONE)),
        End(State.UNVERIFIED, "no_api"),
    ),
    "in no list": (
        CHANGE,
        told((COA, Said.DONE), (READ, Said.NOTHING_TO_READ)),
        End(State.UNVERIFIED, "nothing_to_read"),
    ),
    "look again": (CHANGE, told((COA, Said.DONE), BEFORE), Do(READ)),
    "and again": (CHANGE, told((COA, Said.DONE), BEFORE, BEFORE), Do(READ)),
    "36: an ACK without effect": (CHANGE, told((COA, Said.DONE), BEFORE, BEFORE, BEFORE), Do(DISCONNECT)),
    "36: a Disconnect without effect": (GO, told((DISCONNECT, Said.DONE), BEFORE, BEFORE, BEFORE), Do(API)),
    "36: and R4.5": (
        CHANGE._replace(**GUEST),
        told((COA, Said.DONE), BEFORE, BEFORE, BEFORE),
        Wait(State.DUE, "no_effect"),
    ),
    "lists differ": (CHANGE, told((COA, Said.DONE), (READ, Said.LISTS_DIFFER)), Do(LISTS)),
    "lists are mended": (
        CHANGE,
        told((COA, Said.DONE), (READ, Said.LISTS_DIFFER), (LISTS, Said.DONE)),
        Do(READ),
    ),
    "lists cannot be mended": (
        CHANGE,
        told((COA, Said.DONE), (READ, Said.LISTS_DIFFER), (LISTS, Said.REFUSED)),
        Do(DISCONNECT),
    ),
    "37: NAK": (CHANGE, told((COA, Said.REFUSED)), Do(DISCONNECT)),
    "37: NAK, NAK": (CHANGE, told((COA, Said.REFUSED), (DISCONNECT, Said.REFUSED)), Do(API)),
    "37: NAK of all": (
        CHANGE,
        told((COA, Said.REFUSED), (DISCONNECT, Said.REFUSED), (API, Said.REFUSED)),
        Wait(State.DUE, "refused"),
    ),
    "silence tells about the way": (CHANGE, told((COA, Said.SILENT)), Do(API)),
    "silence without an API": (CHANGE._replace(**NO_API), told((COA, Said.SILENT)), Wait(State.DUE, "silent")),
    "a firewall": (GO._replace(**NO_API), told((DISCONNECT, Said.REJECTED)), Wait(State.DUE, "silent")),
    "not from here now": (GO._replace(**NO_API), told((DISCONNECT, Said.UNSENT)), Wait(State.DUE, "unsent")),
    "41: silence everywhere": (GO, told((DISCONNECT, Said.SILENT), (API, Said.SILENT)), Wait(State.DUE, "silent")),
    "gone is confirmed": (GO, told((DISCONNECT, Said.GONE)), Do(READ)),
    "gone before": (
        GO,
        told((DISCONNECT, Said.GONE), (READ, Said.GONE)),
        End(State.DONE, "was_gone", is_proven=True, is_session_over=True),
    ),
    "a change of who is gone": (
        CHANGE,
        told((COA, Said.GONE), (READ, Said.GONE)),
        End(State.GONE, "was_gone", is_session_over=True),
    ),
    "R8.1 another session": (
        CHANGE,
        told((COA, Said.GONE), (READ, Said.OTHER)),
        End(State.SUPERSEDED, "other_session", is_session_over=True),
    ),
    "37: it says gone, and is there": (GO, told((DISCONNECT, Said.GONE), BEFORE), Do(API)),
    "gone, without an API": (
        GO._replace(**NO_API),
        told((DISCONNECT, Said.GONE)),
        Wait(State.WAITING, "no_such_session"),
    ),
    "37: gone, and heard again": (
        GO._replace(is_heard_since=True, **NO_API),
        told((DISCONNECT, Said.GONE)),
        Wait(State.DUE, "identity"),
    ),
    "cut, and read": (GO, told((DISCONNECT, Said.DONE), (READ, Said.GONE)), CUT),
    "cut, and there again": (GO, told((DISCONNECT, Said.DONE), (READ, Said.OTHER)), CUT),
    "cut without an API": (
        GO._replace(**NO_API),
        told((DISCONNECT, Said.DONE)),
        Wait(State.WAITING, "stop_awaited", False),
    ),
    "the API cuts and looks by itself": (GO, told((DISCONNECT, Said.SILENT), (API, Said.DONE)), CUT),
    "the API finds another one": (
        GO,
        told((DISCONNECT, Said.SILENT), (API, Said.OTHER)),
        End(State.DONE, "was_gone", is_proven=True, is_session_over=True),
    ),
    "the API does nothing": (
        GO,
        told((DISCONNECT, Said.SILENT), (API, Said.AS_BEFORE)),
        Wait(State.DUE, "refused"),
    ),
    "acked and unreadable": (
        CHANGE,
        told((COA, Said.DONE), (READ, Said.UNREADABLE)),
        Wait(State.WAITING, "unreadable"),
    ),
    "unreadable for long": (
        CHANGE._replace(has_waited=True),
        told((COA, Said.DONE), (READ, Said.UNREADABLE)),
        End(State.UNVERIFIED, "unreadable"),
    ),
    "cut and unreadable": (
        GO,
        told((DISCONNECT, Said.DONE), (READ, Said.UNREADABLE)),
        Wait(State.WAITING, "stop_awaited", False),
    ),
    "taken over, as before": (GO._replace(is_repeated=True), told(BEFORE), Do(DISCONNECT)),
    "taken over, gone": (
        GO._replace(is_repeated=True),
        told((READ, Said.GONE)),
        End(State.DONE, "was_gone", is_proven=True, is_session_over=True),
    ),
    "taken over, right already, but nobody said so": (
        CHANGE._replace(is_repeated=True),
        told((READ, Said.AS_WANTED)),
        Do(COA),
    ),
    "taken over, right, and it was acked": (
        CHANGE._replace(is_repeated=True, was_done=True),
        told((READ, Said.AS_WANTED)),
        DONE,
    ),
    "taken over, unreadable": (GO._replace(is_repeated=True), told((READ, Said.UNREADABLE)), Do(DISCONNECT)),
    "the cookie is off": (GO._replace(**GUEST), told((COOKIE, Said.DONE)), Do(DISCONNECT)),
    "the cookie stays": (GO._replace(**GUEST), told((COOKIE, Said.SILENT)), Do(DISCONNECT)),
}


@pytest.mark.parametrize(("task", "said", "move"), THEN.values(), ids=THEN.keys())
def test_what_follows(task: Task, said: list[Told], move: Move) -> None:
    assert next_move(task, said) == move


WAITING: dict[str, tuple[Task, Move | None]] = {
    "with an API it is read": (GO, None),
    "heard again: go on": (GO._replace(is_heard_since=True, **NO_API), None),
    "nothing yet": (GO._replace(was_done=True, **NO_API), Wait(State.WAITING, "stop_awaited", False)),
    "nothing yet of who is said to be gone": (
        GO._replace(**NO_API),
        Wait(State.WAITING, "no_such_session", False),
    ),
    "silent beyond its own intervals": (
        GO._replace(was_done=True, is_silent=True, **NO_API),
        End(State.DONE, "silent_since", is_session_over=True),
    ),
    "the router was right": (
        CHANGE._replace(is_silent=True, **NO_API),
        End(State.GONE, "silent_since", is_session_over=True),
    ),
    "no interims, no Stop, nothing": (
        GO._replace(was_done=True, has_waited=True, **NO_API),
        End(State.UNVERIFIED, "no_api"),
    ),
}


@pytest.mark.parametrize(("task", "move"), WAITING.values(), ids=WAITING.keys())
def test_what_becomes_of_who_waits_for_accounting(task: Task, move: Move | None) -> None:
    assert while_waiting(task) == move


ANSWERS = {
    COA: (Said.DONE, Said.GONE, Said.REFUSED, Said.SILENT, Said.REJECTED, Said.UNSENT),
    DISCONNECT: (Said.DONE, Said.GONE, Said.REFUSED, Said.SILENT, Said.REJECTED, Said.UNSENT),
    API: (Said.DONE, Said.GONE, Said.OTHER, Said.REFUSED, Said.SILENT, Said.AS_BEFORE),
    LISTS: (Said.DONE, Said.REFUSED, Said.SILENT),
    COOKIE: (Said.DONE, Said.REFUSED, Said.SILENT),
    READ: (
        Said.GONE,
        Said.OTHER,
        Said.AS_WANTED,
        Said.AS_BEFORE,
        Said.LISTS_DIFFER,
        Said.NOTHING_TO_READ,
        Said.UNREADABLE,
        Said.REFUSED,
    ),
}
FLAGS = (
    "is_ppp",
    "can_change",
    "has_way",
    "has_api",
    "is_certain",
    "is_known",
    "is_repeated",
    "has_lists",
    "was_done",
)
TASKS = [
    Task(kind, **dict(zip(FLAGS, values, strict=True)))
    for kind in Kind
    for values in product((False, True), repeat=len(FLAGS))
]


def test_whatever_is_answered_it_comes_to_an_end_and_keeps_the_rules() -> None:
    """Every task, every course of answers: at most a few steps, and R8.2 and R4.5 hold in each."""
    courses = 0
    for task in TASKS:
        open_courses: list[list[Told]] = [[]]
        while open_courses:
            course = open_courses.pop()
            move = next_move(task, course)
            if not isinstance(move, Do):
                courses += 1
                continue
            assert len(course) < 14, course
            cuts = move.step in (DISCONNECT, API)
            assert not (cuts and task.kind is Kind.CHANGE and not task.is_ppp), "R4.5"
            assert not (cuts and not task.is_known), "R8.2"
            assert task.has_way or move.step not in (COA, DISCONNECT), "R2.6"
            assert task.has_api or move.step in (COA, DISCONNECT)
            assert not (move.step is COA and task.kind is Kind.DISCONNECT)
            assert move.step is READ or all(one.step is not move.step for one in course), "each once"
            answers = ANSWERS[move.step]
            if len(course) > 2:  # the rest of a long course by what is worst
                answers = tuple(said for said in answers if said in (Said.DONE, Said.AS_BEFORE, Said.REFUSED))
            open_courses += [[*course, Told(move.step, said)] for said in answers]
    assert courses > 5_000


@pytest.mark.parametrize("said", [Said.GONE, Said.OTHER])
@pytest.mark.parametrize("task", [GO, CHANGE])
def test_r8_5_what_one_of_many_routers_lacks_may_live_at_another(task: Task, said: Said) -> None:
    shared = task._replace(is_one_of_many=True)
    assert next_move(shared, told((COA, Said.GONE), (READ, said))) == Wait(State.DUE, "one_of_many")
    assert isinstance(next_move(shared, told((DISCONNECT, Said.DONE), (READ, said))), End), (
        "who took the order had it"
    )


def test_only_who_answers_nothing_at_all_is_silent() -> None:
    assert is_silent(told((COA, Said.SILENT), (API, Said.SILENT)))
    assert is_silent(told((READ, Said.UNREADABLE), (DISCONNECT, Said.REJECTED)))
    assert not is_silent(told((COA, Said.SILENT), (API, Said.REFUSED)))
    assert not is_silent(told((COA, Said.UNSENT)))
    assert not is_silent([])
