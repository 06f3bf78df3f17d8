"""Runs the jobs of a service that keeps something in PostgreSQL, each at its own pace.

A job is one bounded bit of work, repeated with pauses several times as long as itself while there is more to do, so
that who answers goes first. A failure waits for the job's next time and disturbs no other job; a bug in one job ends
none of the others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from aaad.clock import monotonic_s, pause
from aaad.errors import StoreError
from aaad.log import Log
from aaad.metrics import CounterFile

REST_FACTOR = 3.0  # after a bit of work so many times as long a pause: a quarter of one connection at most
RETRY_S = 60.0  # also of what a moment's lock kept from being done
_FAILED_S, _BROKEN_S = 0.5, 1.0  # at least, before the next time


class Job(NamedTuple):
    """One job: `act` does a bit and returns whether there is more to do at once."""

    name: str
    interval_s: float
    act: Callable[[], Awaitable[bool]]
    rest_factor: float = REST_FACTOR  # 0: what there is more to do cannot wait
    hint: asyncio.Event | None = None  # set: there is something to do, and perhaps the end has come


class Tally(NamedTuple):
    """Where failures are counted and told."""

    counters: CounterFile
    failed: str  # a counter with the label job
    bugs: str
    log: Log
    event: str  # of the log: `keeping` makes keeping.failed and keeping.broken


async def run_jobs(jobs: Iterable[Job], stopping: asyncio.Event, tally: Tally, retry_s: float = RETRY_S) -> None:
    """Run all jobs until told to stop."""
    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(repeat(job, stopping, tally, retry_s))


async def repeat(job: Job, stopping: asyncio.Event, tally: Tally, retry_s: float = RETRY_S) -> None:
    """Act now and at each interval, sooner while there is more to do; a failure waits for the next time."""
    is_away = False
    while not stopping.is_set():
        begun_s = monotonic_s()
        wait_s = job.interval_s
        try:
            if await job.act():
                wait_s = (monotonic_s() - begun_s) * job.rest_factor
            is_away = False
        except StoreError as error:
            tally.counters.add(f"{tally.failed}|job={job.name}")
            if not is_away:  # once: an hour without PostgreSQL must not fill the log
                tally.log.warning(f"{tally.event}.failed", job=job.name, error=str(error))
            is_away = True
            wait_s = max(min(job.interval_s, retry_s), _FAILED_S)
        except Exception:
            tally.counters.add(tally.bugs)
            tally.log.exception(f"{tally.event}.broken", job=job.name)
            wait_s = max(job.interval_s, _BROKEN_S)
        if job.hint is not None and wait_s > 0:
            await pause(job.hint, wait_s)
            job.hint.clear()
        elif wait_s > 0:
            await pause(stopping, wait_s)
