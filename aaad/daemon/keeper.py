"""Keeps one role's process running: starts it, restarts it with back-off, and says what its death cost.

Knows nothing about what the role does; what was lost is read from the counters that the role left in its file, which
survives it.
"""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from aaad import clock
from aaad.daemon.process import RoleProcess
from aaad.log import get_logger
from aaad.metrics import CounterFile, read_counters

HEALTHY_S = 60.0  # who lived so long has earned an immediate restart
WARM_LIMIT_S = 15.0  # for a successor to load its code on a busy machine, while its predecessor goes on
_TAKEN_IN = ("aaad_radius_received_total", "aaad_radius_accounting_received_total")
_DEALT_WITH = (
    "aaad_radius_answered_total",
    "aaad_radius_discarded_total",
    "aaad_radius_accounting_answered_total",
    "aaad_radius_accounting_discarded_total",
)

_log = get_logger("supervisor")


class Backoff:
    """How long to wait before the next start: nothing at first, then doubling up to a bound."""

    def __init__(self, *, initial_s: float, max_s: float, healthy_s: float = HEALTHY_S) -> None:
        """Start with a clean record."""
        self.initial_s = initial_s
        self.max_s = max_s
        self._healthy_s = healthy_s
        self._failures = 0

    def after(self, lived_s: float) -> float:
        """Return the wait after a process that lived so long."""
        if lived_s >= self._healthy_s:
            self._failures = 0
        self._failures += 1
        if self._failures == 1:
            return 0.0
        doublings = min(self._failures - 2, 32)  # far beyond any bound, and no overflow
        return min(self.initial_s * 2.0**doublings, self.max_s)


def restarts_counter(role: str) -> str:
    """Return the name of the counter of a role's restarts."""
    return f"aaad_role_restarts_total|role={role}"


def lost_counter(role: str) -> str:
    """Return the name of the counter of requests that died with a role."""
    return f"aaad_role_lost_requests_total|role={role}"


def sum_of(counters: dict[str, int], families: tuple[str, ...]) -> int:
    """Return the sum over all labels of some counters."""
    return sum(value for name, value in counters.items() if name.partition("|")[0] in families)


class Keeper:
    """One slot of a role: at most one process at a time, until it is retired."""

    def __init__(
        self,
        *,
        role: str,
        number: int,
        launch: Callable[[], RoleProcess],
        backoff: Backoff,
        counters_path: Path,
        counters: CounterFile,
    ) -> None:
        """Wire the slot; `launch` starts a process, `counters` are the supervisor's own."""
        self.role = role
        self.number = number
        self.slot = f"{role}-{number}"
        self.backoff = backoff
        self.process: RoleProcess | None = None
        self.started_s = 0.0
        self.next_start_s: float | None = None
        self._launch = launch
        self._counters_path = counters_path
        self._counters = counters
        self._is_retired = False
        self._is_replaced = False
        self._hurry = asyncio.Event()
        self._balance = 0
        self._asked_to_end = False
        self._successor: RoleProcess | None = None

    @property
    def is_running(self) -> bool:
        """Whether a process lives in this slot now."""
        return self.process is not None and self.process.is_running

    def read_counters(self) -> dict[str, int]:
        """Return what the role has counted, over all its lives."""
        return read_counters(self._counters_path) or {}

    async def run(self) -> None:
        """Keep a process running until retired."""
        self._balance = self._unsettled()
        while not self._is_retired:
            wait_s = await self._one_life()
            if wait_s > 0 and not self._is_retired:
                await self._pause(wait_s)

    async def _pause(self, wait_s: float) -> None:
        """Wait before the next start, unless the slot is retired or the configuration changed meanwhile."""
        self.next_start_s = clock.monotonic_s() + wait_s
        _log.warning("role.restart_delayed", slot=self.slot, wait_s=round(wait_s, 3))
        self._hurry.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._hurry.wait()
        self.next_start_s = None

    async def _one_life(self) -> float:
        """Run one process to its end; return how long to wait before the next."""
        self.started_s = clock.monotonic_s()
        self._is_replaced = self._asked_to_end = False
        try:
            self.process, self._successor = self._successor or self._launch(), None
        except OSError as error:
            _log.error("role.not_started", slot=self.slot, error=str(error))
            return self.backoff.after(0.0)
        _log.info("role.started", slot=self.slot, pid=self.process.pid)
        code = await self.process.wait_ended()
        lived_s = clock.monotonic_s() - self.started_s
        self._tell_end(code, lived_s)
        if self._is_retired:
            return 0.0
        self._counters.add(restarts_counter(self.role))
        return 0.0 if self._is_replaced else self.backoff.after(lived_s)

    def _unsettled(self) -> int:
        counters = self.read_counters()
        return sum_of(counters, _TAKEN_IN) - sum_of(counters, _DEALT_WITH)

    def _lost(self) -> int:
        """Return what was taken in and never dealt with since this was last asked."""
        before, self._balance = self._balance, self._unsettled()
        return max(0, self._balance - before)

    def _tell_end(self, code: int, lived_s: float) -> None:
        assert self.process is not None
        lost = self._lost() if code else 0  # who ended in order has finished what it held
        ended = {"slot": self.slot, "pid": self.process.pid, "lived_s": round(lived_s, 3), "lost_requests": lost}
        if lost:
            self._counters.add(lost_counter(self.role), lost)
        if self._asked_to_end and code in (0, -signal.SIGTERM):  # by the signal itself: it had not begun to serve
            _log.info("role.ended", **ended)
        elif code < 0:
            _log.error("role.killed", signal=_signal_name(-code), **ended)
        elif code > 0:
            _log.error("role.failed", exit_code=code, **ended)
        else:
            _log.error("role.ended_unasked", **ended)

    def ask_to_end(self) -> None:
        """Let the process finish what it holds and end."""
        self._asked_to_end = True
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once; a new one follows unless the slot is retired."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)

    async def end(self, limit_s: float) -> None:
        """Let the process end within the limit, kill it then."""
        if self.process is None or not self.process.is_running:
            return
        self.ask_to_end()
        try:
            async with asyncio.timeout(limit_s):
                await self.process.wait_ended()
        except TimeoutError:
            _log.error("role.drain_timeout", slot=self.slot, limit_s=limit_s)
            self.kill()
            await self.process.wait_ended()

    async def replace(self, limit_s: float) -> None:
        """Put a successor in the process's place: it loads its code first and waits for the slot, so nobody waits."""
        if self.is_running and self._successor is None:
            try:
                self._successor = self._launch()
            except OSError as error:
                _log.error("role.not_started", slot=self.slot, error=str(error))
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(WARM_LIMIT_S):
                        await self._successor.wait_warm()
        self._is_replaced = True
        self._hurry.set()
        await self.end(limit_s)

    async def retire(self, limit_s: float) -> None:
        """End the process in good order and keep the slot empty."""
        self._is_retired = True
        self._hurry.set()
        if self._successor is not None:
            self._successor.send_signal(signal.SIGKILL)
        await self.end(limit_s)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
