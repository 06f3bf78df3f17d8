"""Carries every slot's spool into PostgreSQL, for as long as the process lives (rules R5.3, R6.1).

Wakes by looking at the published tails, a few octets each. Whatever PostgreSQL does, it goes on by itself when
PostgreSQL is back: nothing is kept in memory but where to read on, and PostgreSQL is asked for that again.
"""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aaad.clock import monotonic_s, pause, wall_s
from aaad.db.connection import Database
from aaad.errors import SpoolError, StoreError
from aaad.log import get_logger
from aaad.metrics import CounterFile
from aaad.sessions.addresses import ADDRESS_COUNTERS
from aaad.sessions.changes import KINDS
from aaad.sessions.settle import Settler
from aaad.sessions.slot import Slot
from aaad.sessions.store import DrainStore
from aaad.spool.directory import find_spool_id
from aaad.spool.retention import Removed
from aaad.spool.segment import START

POLL_S = 0.05
GATHER_S = 0.5  # a batch costs what many more records in it would cost, too: so they are let come together
LOOK_AFTER_S = 1.0  # new slots, cursors, watermark
RETENTION_EVERY_S = 60.0
ROUTERS_NOTED_EVERY_S = 3.0
READ_AHEAD_SLOTS_MAX = 4  # some 18 MB each, with what is foreseen of it
RETRY_INITIAL_S = 0.1
RETRY_MAX_S = 2.0
HANDOFFS_KEPT_S = 2_592_000.0  # 30 days: no writer's life that handed over has segments left
# A record may stand this long between being appended and being published, on a disk in trouble.
WATERMARK_MARGIN_S = 5.0

DRAIN_COUNTERS = [
    "aaad_drain_batches_total",
    *(f"aaad_drain_records_total|kind={kind}" for kind in KINDS.values()),
    *(f"aaad_drain_set_aside_total|cause={cause}" for cause in ("undecodable", "unfit", "refused")),
    *(f"aaad_drain_skipped_total|kind={kind}" for kind in ("router_seen", "name_refused")),
    *ADDRESS_COUNTERS,
    "aaad_drain_segments_missing_total",
    "aaad_drain_damaged_total",
    "aaad_drain_damaged_bytes_total",
    "aaad_drain_cursor_lost_total",
    "aaad_drain_store_errors_total",
    "aaad_drain_foreseen_total",
    "aaad_drain_foresight_failures_total",
    *(f"aaad_drain_segments_removed_total|when={when}" for when in ("due", "early")),
    "aaad_drain_undrained_records",
    "aaad_drain_watermark_at_seconds",
    "aaad_bugs_total",
]

_COLLECTED_AFTER = 800_000  # values that are not freed yet: more than the batches at hand have at any time

_log = get_logger("drain")


def spare_collector() -> None:
    """Let the cycle collector come seldom: a batch's values are many, make no cycles and die together."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_AFTER, 20, 20)


class Drain:
    """All spools below one root, one batch of each in turn."""

    def __init__(
        self,
        database: Database,
        spool_root: Path,
        *,
        foreseeing: Database | None = None,
        node: str,
        keep_s: float,
        bytes_max: int,
        counters: CounterFile,
    ) -> None:
        """Nothing is read before `run`. `node` names this node's row of net.node; `foreseeing` as in DrainStore."""
        self._store = DrainStore(database, node=node, foreseeing=foreseeing)
        self._settler = Settler(self._store, counters)
        self._root = spool_root
        self._keep_s = keep_s
        self._bytes_max = bytes_max
        self._counters = counters
        self._slots: dict[str, Slot] = {}
        self._look_at_s = 0.0
        self._retention_at_s = 0.0
        self._routers_at_s = 0.0
        self._has_begun = False
        self._retry_s = RETRY_INITIAL_S
        self._is_away = False
        self._watermark_s = 0.0
        self._undrained = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Drain until told to stop."""
        try:
            while not stopping.is_set():
                pause_s = await self._pass()
                if pause_s:
                    await pause(stopping, pause_s)
        finally:
            for slot in self._slots.values():
                slot.close()

    async def _pass(self) -> float:
        """Give each slot its turn; returns how long to pause before the next pass."""
        is_time = monotonic_s() >= self._look_at_s
        try:
            if is_time:
                self._look_at_s = monotonic_s() + LOOK_AFTER_S
                await self._find_slots()
                self._measure()
            was_busy, held_up = await self._advance_what_can()
            if is_time:  # also when a batch is held up: settling may be what makes room for it
                await self._publish()
                await self._settler.settle()
            if held_up is not None:
                return self._note_away(held_up)
        except StoreError as error:
            return self._note_away(error)
        if self._is_away:
            self._is_away, self._retry_s = False, RETRY_INITIAL_S
            _log.info("drain.resumed")
        if any(slot.is_behind for slot in self._slots.values()):
            return 0.0
        return GATHER_S if was_busy else POLL_S

    async def _advance_what_can(self) -> tuple[bool, StoreError | None]:
        try:
            return await self._advance_all(), None
        except StoreError as error:
            return False, error

    def _note_away(self, error: StoreError) -> float:
        self._counters.add("aaad_drain_store_errors_total")
        if not self._is_away:
            self._is_away = True
            _log.warning("drain.waiting", error=str(error))
        gc.collect(0)  # a batch that failed leaves cycles behind, which hold all its values
        pause_s, self._retry_s = self._retry_s, min(2 * self._retry_s, RETRY_MAX_S)
        return pause_s

    async def _find_slots(self) -> None:
        directories = sorted(path for path in self._root.iterdir() if path.is_dir()) if self._root.is_dir() else []
        for directory in directories:
            with _told(directory.name):
                known = self._slots.get(directory.name)
                if known is not None:
                    if find_spool_id(directory) in (known.spool_id, None):
                        continue
                    known.close()  # somebody removed the folder, and its writer began another spool
                try:
                    slot = Slot(directory, self._store, self._counters)
                except SpoolError:
                    continue  # its writer has not begun yet
                await asyncio.to_thread(slot.recover)
                self._slots[directory.name] = slot

    async def _advance_all(self) -> bool:
        was_busy, failure = False, None
        are_few = sum(slot.is_behind for slot in self._slots.values()) <= READ_AHEAD_SLOTS_MAX
        for name, slot in self._slots.items():
            try:
                with _told(name):
                    was_busy = await slot.advance(may_read_ahead=are_few) or was_busy
            except StoreError as error:  # what holds up one slot's batch need not hold up another's
                failure = error
        if failure is not None:
            raise failure
        return was_busy

    def _measure(self) -> None:
        """The watermark: the oldest undrained record's time; with nothing undrained, the present less a margin."""
        self._watermark_s, self._undrained = wall_s() - WATERMARK_MARGIN_S, 0
        for name, slot in self._slots.items():
            with _told(name):
                oldest = slot.find_oldest()
                if oldest is not None:
                    self._watermark_s = min(self._watermark_s, float(oldest.at_s))
                    self._undrained += oldest.records
        self._counters.set("aaad_drain_undrained_records", self._undrained)
        self._counters.set_seconds("aaad_drain_watermark_at_seconds", self._watermark_s)

    async def _publish(self) -> None:
        await self._store.save_watermark(at_s=self._watermark_s, undrained=self._undrained)
        cursors = await self._store.load_cursors([slot.spool_id for slot in self._slots.values()])
        for slot in self._slots.values():
            slot.check_cursor(cursors.get(slot.spool_id))
        if not self._has_begun:
            await self._store.begin_looking()
            self._has_begun = True
        await self._store.look_again()
        if monotonic_s() >= self._routers_at_s:
            self._routers_at_s = monotonic_s() + ROUTERS_NOTED_EVERY_S
            await self._store.note_routers()
        if monotonic_s() >= self._retention_at_s:
            self._retention_at_s = monotonic_s() + RETENTION_EVERY_S
            await self._remove_drained()
            await self._store.forget_handoffs(HANDOFFS_KEPT_S)

    async def _remove_drained(self) -> None:
        on_disk = await self._store.flush_cursors([slot.spool_id for slot in self._slots.values()])
        for name, slot in self._slots.items():
            removed, position = Removed(0, 0), on_disk.get(slot.spool_id, START)
            with _told(name):
                removed = slot.remove_drained(
                    position, now_s=wall_s(), keep_s=self._keep_s, bytes_max=self._bytes_max
                )
            self._counters.add("aaad_drain_segments_removed_total|when=due", removed.removed - removed.early)
            self._counters.add("aaad_drain_segments_removed_total|when=early", removed.early)
            if removed.early:
                _log.warning("drain.segments_removed_early", slot=name, segments=removed.early)


@contextmanager
def _told(slot: str) -> Iterator[None]:
    """One slot's broken disk must not hold up the others."""
    try:
        yield
    except (OSError, SpoolError) as error:
        _log.error("spool.unreadable", slot=slot, error=str(error))
