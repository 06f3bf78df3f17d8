"""Jobs of a service that are done again and again, each for itself, until it is told to stop."""

import asyncio
from collections.abc import Awaitable, Callable

from aaad import clock
from aaad.errors import StoreError
from aaad.log import Log
from aaad.metrics import CounterFile

_FAILED_S, _BROKEN_S = 0.5, 1.0  # at least, before the next try

Act = Callable[[], Awaitable[bool]]  # True: there is more, at once


class Jobs:
    """Those of one service: what PostgreSQL fails is tried again, and a bug in one ends no other one."""

    def __init__(
        self, service: str, counters: CounterFile, log: Log, *, failed: Callable[[str], str], bugs: str
    ) -> None:
        """`failed` names the counter of a job's failures; `service` what they are told of as."""
        self._service = service
        self._counters = counters
        self._log = log
        self._failed = failed
        self._bugs = bugs
        self._away: set[str] = set()

    async def every(
        self,
        job: str,
        interval_s: float,
        act: Act,
        stopping: asyncio.Event | None,
        hint: asyncio.Event | None = None,
    ) -> None:
        """Act again and again, at once where there is more; `hint` shortens the rest, `stopping` ends it."""
        while stopping is None or not stopping.is_set():
            rest_s = await self._once(job, interval_s, act)
            if rest_s <= 0:
                continue
            if hint is not None:
                await clock.pause(hint, rest_s)
                hint.clear()
            elif stopping is not None:
                await clock.pause(stopping, rest_s)
            else:
                await asyncio.sleep(rest_s)

    async def _once(self, job: str, interval_s: float, act: Act) -> float:
        """Act; return how long to rest."""
        try:
            is_more = await act()
        except StoreError as error:
            self._counters.add(self._failed(job))
            if job not in self._away:  # once: an hour without PostgreSQL must not fill the log
                self._log.warning(f"{self._service}.failed", job=job, error=str(error))
            self._away.add(job)
            return max(interval_s, _FAILED_S)
        except Exception:  # noqa: BLE001  our bug in one job must not end the others
            self._counters.add(self._bugs)
            self._log.exception(f"{self._service}.broken", job=job)
            return max(interval_s, _BROKEN_S)
        self._away.discard(job)
        return 0.0 if is_more else interval_s
