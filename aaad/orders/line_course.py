"""What is done next about a line: read, ask, wait, or end.

Pure. The state is read first and nothing is asked where it is as wanted; a provider that only toggles is so never
asked twice for one change. After asking, what is read decides, not what was answered: a provider that says yes and
does nothing is found, and one that did it after we had stopped waiting is not asked again. For `settle_s` after
asking, what is read may be of before, and nothing is asked. What the customer or the provider made of a line (theft,
loss, misuse, cancelled) is left alone.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from aaad.orders.line_driver import OURS, State

ASKED_MAX = 12  # times for one wish
_WAIT_MIN_S, _WAIT_MAX_S = 1.0, 300.0


class LineStep(StrEnum):
    """What is done with a provider."""

    READ = "line_read"
    ASK = "line_ask"


class LineSaid(StrEnum):
    """What came of a step."""

    AS_WANTED = "as_wanted"
    AS_BEFORE = "as_before"
    NOT_OURS = "not_ours"  # a state that somebody else made
    DONE = "done"
    REFUSED = "refused"
    SILENT = "silent"
    UNSENT = "unsent"
    UNREADABLE = "unreadable"


class Told(NamedTuple):
    """One step of this turn, and what came of it."""

    step: LineStep
    said: LineSaid
    state: str = ""  # that was read


class LineTask(NamedTuple):
    """What is known before a turn begins."""

    wanted: str
    can_read: bool
    can_ask: bool  # the driver has a code for what is wanted
    asked: int  # how often for this wish
    asked_state: str  # what the provider was asked last, for whatever wish
    asked_ago_s: float | None  # None: nothing that was asked may happen yet
    settle_s: float
    age_s: float  # of the wish
    chance: float = 0.5  # 0 to 1


class LineWait(NamedTuple):
    """Go on later."""

    state: str  # todo or waiting
    why: str
    wait_s: float


class LineEnd(NamedTuple):
    """It is over."""

    state: str
    why: str = ""


LineMove = LineStep | LineWait | LineEnd


def judge(wanted: str, state: State) -> LineSaid:
    """Return what a state that was read is to what is wanted."""
    if state == wanted:
        return LineSaid.AS_WANTED
    return LineSaid.AS_BEFORE if state in OURS else LineSaid.NOT_OURS


def next_move(task: LineTask, told: Sequence[Told]) -> LineMove:
    """Return what to do after what was told in this turn."""
    if not told:
        if not task.can_ask:
            return LineEnd("given_up", "no_code")
        return LineStep.READ if task.can_read else LineStep.ASK
    last = told[-1]
    if last.step is LineStep.ASK:
        return LineStep.READ if task.can_read and last.said is not LineSaid.UNSENT else _without_reading(task, last)
    asked = next((one for one in told if one.step is LineStep.ASK), None)
    match last.said:
        case LineSaid.AS_WANTED if _may_happen_yet(task, last.state) and asked is None:
            return _later(task, "not_seen")  # what was asked for an older wish
        case LineSaid.AS_WANTED:
            return LineEnd("done", "" if asked is not None or task.asked else "was_so")
        case LineSaid.NOT_OURS:
            return LineEnd("superseded", "not_ours")
        case LineSaid.AS_BEFORE if asked is not None:
            return _later(task, _AFTER_ASKING.get(asked.said, "not_seen"))
        case LineSaid.AS_BEFORE:
            return _ask_again(task, last.state)
        case _:
            return LineWait("waiting" if asked is not None or task.asked else "todo", str(last.said), backoff_s(task))


_AFTER_ASKING = {LineSaid.REFUSED: "refused", LineSaid.SILENT: "silent"}


def _may_happen_yet(task: LineTask, state: str) -> bool:
    """Whether what was asked last has not been seen, and may come."""
    return task.asked_ago_s is not None and state != task.asked_state and task.asked_ago_s < task.settle_s


def _later(task: LineTask, why: str) -> LineWait:
    return LineWait("waiting", why, min(max(task.settle_s / 8, _WAIT_MIN_S), _WAIT_MAX_S))


def _ask_again(task: LineTask, state: str) -> LineMove:
    if _may_happen_yet(task, state):
        return _later(task, "not_seen")
    if task.asked >= ASKED_MAX:
        return LineEnd("given_up", "no_effect")
    if task.asked and task.asked_ago_s is not None and task.asked_ago_s < backoff_s(task):
        return LineWait("todo", "no_effect", backoff_s(task))
    return LineStep.ASK


def _without_reading(task: LineTask, last: Told) -> LineMove:
    if last.said is LineSaid.DONE:
        return LineEnd("unverified", "no_readback")
    if task.asked + 1 >= ASKED_MAX and last.said is not LineSaid.UNSENT:
        return LineEnd("given_up", str(last.said))
    return LineWait("todo", str(last.said), backoff_s(task))


def backoff_s(task: LineTask) -> float:
    """Return how long to wait: a third of the wish's age, with jitter, so that waits grow."""
    return min(max(task.age_s / 3, _WAIT_MIN_S), _WAIT_MAX_S) * (0.75 + task.chance / 2)
