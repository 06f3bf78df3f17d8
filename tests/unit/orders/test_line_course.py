"""What is done next about a line, by what was told."""

import pytest

from aaad.orders.line_course import (
    ASKED_MAX,
    LineEnd,
    LineSaid,
    LineStep,
    LineTask,
    LineWait,
    Told,
    backoff_s,
    judge,
    next_move,
)
from aaad.orders.line_driver import State

READ, ASK = LineStep.READ, LineStep.ASK
TASK = LineTask(
    wanted="blocked", can_read=True, can_ask=True, asked=0, asked_state="", asked_ago_s=None, settle_s=30.0, age_s=0.0
)
AGAIN = TASK._replace(asked=1, asked_state="blocked", asked_ago_s=5.0)
BEFORE = Told(READ, LineSaid.AS_BEFORE, "active")
THERE = Told(READ, LineSaid.AS_WANTED, "blocked")


@pytest.mark.parametrize(
    ("task", "told", "move"),
    [
        (TASK, (), READ),
        (TASK, (BEFORE,), ASK),
        (TASK, (THERE,), LineEnd("done", "was_so")),
        (TASK, (BEFORE, Told(ASK, LineSaid.DONE)), READ),
        (TASK, (BEFORE, Told(ASK, LineSaid.SILENT)), READ),
        (TASK, (BEFORE, Told(ASK, LineSaid.REFUSED)), READ),
        (TASK, (BEFORE, Told(ASK, LineSaid.SILENT), THERE), LineEnd("done")),
        (TASK, (Told(READ, LineSaid.NOT_OURS, "theft"),), LineEnd("superseded", "not_ours")),
        (TASK._replace(can_ask=False), (), LineEnd("given_up", "no_code")),
        (TASK._replace(can_read=False), (), ASK),
        (TASK._replace(can_read=False), (Told(ASK, LineSaid.DONE),), LineEnd("unverified", "no_readback")),
        # Asked 5 s ago, and it may happen yet: only read.
        (AGAIN, (BEFORE,), LineWait("waiting", "not_seen", 3.75)),
        (AGAIN, (THERE,), LineEnd("done")),
        (AGAIN._replace(asked_ago_s=31.0, age_s=31.0), (BEFORE,), ASK),
        # Something else was asked for an older wish: what is as wanted may change yet, and what came of it is undone.
        (AGAIN._replace(asked=0, asked_state="active"), (THERE,), LineWait("waiting", "not_seen", 3.75)),
        (AGAIN._replace(asked=0, asked_state="active"), (BEFORE,), ASK),
        (AGAIN._replace(asked_ago_s=1e4, asked=ASKED_MAX), (BEFORE,), LineEnd("given_up", "no_effect")),
    ],
)
def test_next_move(task, told, move):
    assert next_move(task, told) == move


@pytest.mark.parametrize("said", [LineSaid.SILENT, LineSaid.UNSENT, LineSaid.UNREADABLE])
def test_who_cannot_read_does_not_ask(said):
    for task in (TASK, AGAIN, AGAIN._replace(asked_ago_s=1e5)):
        move = next_move(task, (Told(READ, said),))
        assert isinstance(move, LineWait)
        assert move.why == said


def test_nothing_is_asked_twice_in_a_turn():
    for said in (LineSaid.DONE, LineSaid.SILENT, LineSaid.REFUSED):
        move = next_move(TASK._replace(settle_s=0.0), (BEFORE, Told(ASK, said), BEFORE))
        assert isinstance(move, LineWait)
        assert move.wait_s >= 1.0


def test_waits_grow_and_are_bounded():
    waits = [backoff_s(TASK._replace(age_s=float(age), chance=0.5)) for age in (0, 3, 30, 300, 3_000, 86_400)]
    assert waits == sorted(waits)
    assert waits[0] == 1.0
    assert waits[-1] == 300.0


def test_a_state_of_somebody_else_is_neither_as_wanted_nor_to_be_changed():
    for state in State:
        for wanted in ("active", "partial", "blocked"):
            said = judge(wanted, state)
            if state == wanted:
                assert said is LineSaid.AS_WANTED
            elif state in (State.ACTIVE, State.PARTIAL, State.BLOCKED):
                assert said is LineSaid.AS_BEFORE
            else:
                assert said is LineSaid.NOT_OURS
