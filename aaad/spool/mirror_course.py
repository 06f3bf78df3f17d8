"""How a spool's mirror stands: away, catching up, in step; and when it is tried again. Rule R6.4.

Only a mirror in step is waited for, and only until it misses its time once: then it is away, and answers go on
without it until it has all that the spool has. A value with transitions. Pure: no I/O, and the time is passed in.
"""

from enum import IntEnum
from typing import NamedTuple

RETRY_S = 1.0
# A mirror that is lost again soon after it was in step costs an answer its time each time: it is tried less often.
RETRY_MAX_S = 16.0
STEADY_S = 10.0


class Stage(IntEnum):
    """How far a mirror is; the number is the metric's."""

    AWAY = 0
    CATCHING_UP = 1
    IN_STEP = 2


class Course(NamedTuple):
    """How a mirror stands since when, why it is not in step, and when it may be tried again."""

    stage: Stage
    since_s: float  # of this stage
    away_since_s: float  # not in step since; without meaning when it is
    retry_at_s: float
    pause_s: float
    cause: str  # of the last loss; empty: none so far

    @property
    def is_waited_for(self) -> bool:
        """Whether an answer waits for this mirror."""
        return self.stage is Stage.IN_STEP

    def may_try(self, now_s: float) -> bool:
        """Whether a connection may be tried now."""
        return self.stage is Stage.AWAY and now_s >= self.retry_at_s

    def connected(self, now_s: float) -> "Course":
        """The mirror has said what it has."""
        if self.stage is not Stage.AWAY:
            return self
        return self._replace(stage=Stage.CATCHING_UP, since_s=now_s)

    def reached(self, now_s: float) -> "Course":
        """The mirror has all that the spool has."""
        if self.stage is not Stage.CATCHING_UP:
            return self
        return self._replace(stage=Stage.IN_STEP, since_s=now_s)

    def lost(self, now_s: float, cause: str) -> "Course":
        """The connection is gone, or given up, or could not be made."""
        was_in_step = self.stage is Stage.IN_STEP
        is_flapping = was_in_step and now_s - self.since_s < STEADY_S
        pause_s = min(2 * self.pause_s, RETRY_MAX_S) if is_flapping else RETRY_S if was_in_step else self.pause_s
        return Course(
            stage=Stage.AWAY,
            since_s=self.since_s if self.stage is Stage.AWAY else now_s,
            away_since_s=now_s if was_in_step else self.away_since_s,
            retry_at_s=now_s + pause_s,
            pause_s=pause_s,
            cause=cause,
        )


def begin(now_s: float) -> Course:
    """Return the course of a mirror that was never tried."""
    return Course(Stage.AWAY, now_s, now_s, now_s, RETRY_S, "")
