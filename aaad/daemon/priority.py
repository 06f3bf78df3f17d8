"""Which of a node's processes the kernel lets go first on a busy machine.

An answer has milliseconds, a row in PostgreSQL has seconds. Who answers therefore has a higher niceness, and goes
before all others at once (SCHED_RR, sched(7)) where processors are left to the others: a thread that woke up and
waits until another has used up its slice loses milliseconds at each step of a packet. But only while it serves and
has little to do: what the kernel itself does for it in threads of its own, as writing to the disk, comes after it on
its processor, and would come too late if it never rested. Never a condition of serving: where it is not allowed the
process runs as every other does. Never by inheritance: threads that a thread starts while it goes first are ordinary.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from enum import Enum

from aaad import clock
from aaad.log import Log
from aaad.metrics import CounterFile

FIRST_THREADS = "aaad_role_first_threads"

LOOK_EVERY_S = 0.1
LOOK_OFTEN_EVERY_S = 0.02  # while at work
AT_WORK_SHARE = 0.1  # of a processor
BUSY_SHARE = 0.75  # who uses more for STRETCH_S does not go first: a short burst is what going first is for
STRETCH_S = 0.055  # three looks: so long who shares a processor with us may wait
CALM_S = 2.0  # so long nobody may have been busy before going first again
TRY_AGAIN_S = 2.0  # processors may be given to us or taken while we run
_FOR_ALL_ELSE = 1  # processors
_LOWEST = 1  # of SCHED_RR's priorities, and all that LimitRTPRIO of the unit allows


class Turn(Enum):
    """When a role's processes run, beside others that could; the value is their niceness above their parent's."""

    FIRST = -5
    LAST = 3


class Obstacle(Enum):
    """Why nobody goes first here."""

    PROCESSORS = "no processor would be left to all others"
    REFUSED = "the kernel does not allow it (LimitRTPRIO, CAP_SYS_NICE)"


def leaves_room(processes: int, processors: int) -> bool:
    """Return whether so many processes, each of which may fill a processor, leave one to all others."""
    return processes + _FOR_ALL_ELSE <= processors


class Going:
    """Whether a thread that would go first may, by how busy it was, and when to look again: pure."""

    def __init__(self, at_s: float, used_s: float) -> None:
        """`at_s` is now by any clock, `used_s` the processor time that the thread has used by now."""
        self._at_s = at_s
        self._used_s = used_s
        self._stretch_s = 0.0  # busy for so long at one go
        self._busy_at_s = at_s - CALM_S
        self.look_after_s = LOOK_EVERY_S

    def may_be_first(self, at_s: float, used_s: float) -> bool:
        """Return whether it may, now that it has used so much."""
        passed_s, worked_s = at_s - self._at_s, used_s - self._used_s
        self._at_s, self._used_s = at_s, used_s
        self._stretch_s = self._stretch_s + passed_s if worked_s > BUSY_SHARE * passed_s else 0.0
        if self._stretch_s >= STRETCH_S:
            self._busy_at_s = at_s
        self.look_after_s = LOOK_OFTEN_EVERY_S if worked_s > AT_WORK_SHARE * passed_s else LOOK_EVERY_S
        return at_s - self._busy_at_s >= CALM_S


def take(turn: Turn) -> bool:
    """Give this process the niceness of its turn; returns whether the kernel allowed it."""
    try:
        os.nice(turn.value)
    except OSError:
        return False
    return True


async def keep(
    stopping: asyncio.Event, processes: int, helper: Callable[[], int | None], counters: CounterFile, log: Log
) -> None:
    """Let this thread and its helper go first, until told to stop, where one of so many processes may.

    `helper` returns the kernel's number of the other thread, None while it is not to go first. This thread steps
    back while it is busy, the helper does not; both do where the processors no longer suffice, and at the end.
    """
    await clock.pause(stopping, LOOK_EVERY_S)  # what serving begins with is done by then
    own, going = threading.get_native_id(), Going(clock.monotonic_s(), clock.thread_s())
    await clock.pause(stopping, going.look_after_s)
    first: set[int] = set()
    told: Obstacle | None = None
    try:
        while not stopping.is_set():
            may_be_first = going.may_be_first(clock.monotonic_s(), clock.thread_s())
            obstacle = None if leaves_room(processes, _processors()) else Obstacle.PROCESSORS
            candidates = () if obstacle else (own if may_be_first else None, helper())
            wanted = {thread for thread in candidates if thread is not None}
            first = _arrange(first, wanted, counters)
            if first != wanted:
                obstacle = Obstacle.REFUSED
            if obstacle is not told:
                log.info("role.not_first" if obstacle else "role.goes_first", cause=obstacle and obstacle.value)
                told = obstacle
            await clock.pause(stopping, going.look_after_s if first else TRY_AGAIN_S)
    finally:
        _arrange(first, set(), counters)


def _arrange(first: set[int], wanted: set[int], counters: CounterFile) -> set[int]:
    """Let these threads go first and no others; returns those whom the kernel lets."""
    for thread in first - wanted:
        _go(thread, first=False)
    first = {thread for thread in wanted if thread in first or _go(thread, first=True)}
    counters.set(FIRST_THREADS, len(first))
    return first


def _processors() -> int:
    """Return how many processors this thread may use; a quota of their time does not bind who goes first."""
    try:
        return len(os.sched_getaffinity(0))
    except OSError:
        return 0  # nobody says that there are several


def _go(thread: int, *, first: bool) -> bool:
    policy, priority = (os.SCHED_RR, _LOWEST) if first else (os.SCHED_OTHER, 0)
    try:
        os.sched_setscheduler(thread, policy | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except OSError:
        return False
    return True
