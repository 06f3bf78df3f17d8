"""Which of a node's processes the kernel lets go first on a busy machine.

An answer has milliseconds, a row in PostgreSQL has seconds. Who answers therefore has a higher niceness, and goes
before all others at once (SCHED_RR, sched(7)) where processors are left to the others: a thread that woke up and
waits until another has used up its slice loses milliseconds at each step of a packet. But only while it has little
to do: what the kernel itself does for it in threads of its own, as writing to the disk, comes after it on its
processor, and would come too late if it never rested. Never a condition of serving: where it is not allowed the
process runs as every other does.
"""

import asyncio
import os
from enum import Enum

from aaad import clock

LOOK_EVERY_S = 0.1
BUSY_SHARE = 0.75  # of a processor: who uses more does not go first
CALM_S = 2.0  # so long nobody may have been busy before going first again
_FOR_ALL_ELSE = 1  # processors
_LOWEST = 1  # of SCHED_RR's priorities, and all that LimitRTPRIO of the unit allows


class Turn(Enum):
    """When a role's processes run, beside others that could; the value is their niceness above their parent's."""

    FIRST = -5
    LAST = 3


def leaves_room(processes: int, processors: int) -> bool:
    """Return whether so many processes, each of which may fill a processor, leave one to all others."""
    return processes + _FOR_ALL_ELSE <= processors


class Going:
    """Whether a thread that would go first may, by how busy it was: pure."""

    def __init__(self, at_s: float, used_s: float) -> None:
        """`at_s` is now by any clock, `used_s` the processor time that the thread has used by now."""
        self._at_s = at_s
        self._used_s = used_s
        self._busy_at_s = at_s - CALM_S

    def may_be_first(self, at_s: float, used_s: float) -> bool:
        """Return whether it may, now that it has used so much."""
        if used_s - self._used_s > BUSY_SHARE * (at_s - self._at_s):
            self._busy_at_s = at_s
        self._at_s, self._used_s = at_s, used_s
        return at_s - self._busy_at_s >= CALM_S


def take(turn: Turn) -> bool:
    """Give this process the niceness of its turn; returns whether the kernel allowed it."""
    try:
        os.nice(turn.value)
    except OSError:
        return False
    return True


async def keep(stopping: asyncio.Event, processes: int) -> None:
    """Let this thread, and those that it starts from now on, go first where one of so many processes may.

    Not before: who only starts has time. This thread steps back while it is busy; those that it has started do not.
    """
    if not (leaves_room(processes, _processors()) and _go(first=True)):
        await stopping.wait()
        return
    going, is_first = Going(clock.monotonic_s(), clock.thread_s()), True
    while not stopping.is_set():
        await asyncio.sleep(LOOK_EVERY_S)
        may_be_first = going.may_be_first(clock.monotonic_s(), clock.thread_s())
        if may_be_first is not is_first:
            is_first = may_be_first
            _go(first=is_first)


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except OSError:
        return 0  # nobody says that there are several


def _go(*, first: bool) -> bool:
    policy, priority = (os.SCHED_RR, _LOWEST) if first else (os.SCHED_OTHER, 0)
    try:
        os.sched_setscheduler(0, policy, os.sched_param(priority))
    except OSError:
        return False
    return True
