"""Reads routers' lists for orders that wait to be read back: one read for each router and cycle (rule R8.3).

Who comes while a router is being read gets the next read, since what he did may not show in this one. A router with
many sessions is left alone for three times as long as reading it took.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from aaad import clock
from aaad.errors import RouterError
from aaad.log import Log
from aaad.mikrotik.applied import Entry, Family, SessionRate, read_active, read_entries, read_rates
from aaad.mikrotik.connection import RouterApi
from aaad.orders.judge import Seen, Wants, seen_of

CYCLE_S = 1.0
REST_FACTOR = 3.0
CYCLES_MAX = 4_096  # routers remembered


class Counts(Protocol):
    """The process's counters, by name."""

    def add(self, name: str, amount: int = 1) -> None:
        """Count."""


@dataclass(slots=True)
class _Cycle:
    waiting: list[tuple["asyncio.Future[Seen | RouterError]", Wants]] = field(default_factory=list)
    is_running: bool = False
    next_at_s: float = 0.0


class ReadBack:
    """The reads of one process."""

    def __init__(
        self, group: asyncio.TaskGroup, counters: Counts, counter: str, log: Log, *, cycle_s: float = CYCLE_S
    ) -> None:
        """`group` runs the reads, `counter` counts them."""
        self._group = group
        self._log = log
        self._counters = counters
        self._counter = counter
        self._cycle_s = cycle_s
        self._cycles: dict[object, _Cycle] = {}

    async def look(self, key: object, api: RouterApi, wants: Wants) -> Seen:
        """Return a router's lists as they are from now on; RouterError."""
        if len(self._cycles) >= CYCLES_MAX:
            self._cycles = {known: cycle for known, cycle in self._cycles.items() if cycle.is_running}
        cycle = self._cycles.setdefault(key, _Cycle())
        answer: asyncio.Future[Seen | RouterError] = asyncio.get_running_loop().create_future()
        cycle.waiting.append((answer, wants))
        if not cycle.is_running:
            cycle.is_running = True
            self._group.create_task(self._run(cycle, api))
        seen = await answer
        if isinstance(seen, RouterError):
            raise RouterError(str(seen))
        return seen

    async def _run(self, cycle: _Cycle, api: RouterApi) -> None:
        try:
            while cycle.waiting:
                await asyncio.sleep(max(0.0, cycle.next_at_s - clock.monotonic_s()))
                served, cycle.waiting = cycle.waiting, []
                wants = Wants()
                for _, one in served:
                    wants |= one
                begun_s = clock.monotonic_s()
                self._counters.add(self._counter)
                seen: Seen | RouterError
                try:
                    seen = await _read(api, wants)
                except RouterError as error:
                    seen = error
                except Exception:  # noqa: BLE001  our bug in one read must not end the others
                    self._log.exception("orders.broken", step="read")
                    seen = RouterError("its lists could not be read by an error of this program")
                cycle.next_at_s = begun_s + max(self._cycle_s, REST_FACTOR * (clock.monotonic_s() - begun_s))
                for answer, _ in served:
                    if not answer.done():
                        answer.set_result(seen)
        finally:
            cycle.is_running = False


async def _read(api: RouterApi, wants: Wants) -> Seen:
    active = await read_active(api)
    rates: tuple[SessionRate, ...] = await read_rates(api) if wants.rates else ()
    entries: tuple[Entry, ...] = ()
    if wants.lists:
        entries += await read_entries(api, Family.IPV4, sorted(wants.lists))
    if wants.lists_ipv6:
        entries += await read_entries(api, Family.IPV6, sorted(wants.lists_ipv6))
    return seen_of(active, rates, entries)
