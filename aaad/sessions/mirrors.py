"""Removes from the mirrors of other nodes' spools what PostgreSQL has, as the drain does with our own (R6.1, R6.4).

How far a spool is drained is asked of PostgreSQL, which its owner's drain tells it. Nothing is removed while that is
not known, nor before `keep_s` has passed since. What is not drained is never removed here; what its owner
had no more stays for a week.
"""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

from aaad.clock import pause, wall_s
from aaad.db.connection import Database
from aaad.errors import StoreError
from aaad.log import get_logger
from aaad.metrics import CounterFile
from aaad.sessions.store import DrainStore
from aaad.spool.directory import segment_numbers, segment_path, write_drained
from aaad.spool.mirror_disk import Kept, kept_copies, remove_copy, sweep
from aaad.spool.mirror_superseded import superseded
from aaad.spool.retention import remove_drained
from aaad.spool.segment import HEADER_OCTETS, START, Cut, Position, Tail

KEEP_EVERY_S = 60.0
_NO_BOUND = 1 << 62  # who has no room asks for it himself

_log = get_logger("mirror")


class MirrorKeeping:
    """All copies below one root."""

    def __init__(
        self, database: Database, root: Path, *, node: str, keep_s: float, every_s: float, counters: CounterFile
    ) -> None:
        """Nothing is touched before `run`."""
        self._store = DrainStore(database, node=node)
        self._root = root
        self._keep_s = keep_s
        self._every_s = every_s
        self._counters = counters

    async def run(self, stopping: asyncio.Event) -> None:
        """Look after them until told to stop."""
        while not stopping.is_set():
            try:
                await self.look()
            except StoreError as error:
                _log.info("mirror.not_looked_after", error=str(error))
            except OSError as error:
                _log.error("mirror.unreadable", error=str(error))
            await pause(stopping, self._every_s)

    async def look(self) -> None:
        """Remove once what may go."""
        await asyncio.to_thread(sweep, self._root)
        kept = await asyncio.to_thread(kept_copies, self._root)
        if not kept:
            return
        cursors = await self._store.flush_cursors([copy.spool_id for copy in kept])
        for copy in kept:
            cuts = await self._store.load_cuts(copy.spool_id)
            try:
                removed = await asyncio.to_thread(self._keep, copy, cursors.get(copy.spool_id), cuts)
            except OSError as error:  # one that cannot be read must not keep the others
                _log.error("mirror.unreadable", node=copy.node, slot=copy.slot, error=str(error))
            else:
                self._counters.add("aaad_mirror_segments_removed_total", removed)

    def _keep(self, copy: Kept, known: Position | None, cuts: Sequence[Cut]) -> int:
        directory, now_s, cursor, removed = copy.directory, wall_s(), known or START, 0
        if known is not None:
            write_drained(directory, Tail(cursor, 0))
            removed = remove_drained(
                directory, before=cursor.segment, now_s=now_s, keep_s=self._keep_s, bytes_max=_NO_BOUND
            ).removed
        for one in superseded(directory):
            if one.is_due(now_s):
                shutil.rmtree(one.directory, ignore_errors=True)  # it may give way to others just now
        if self._may_be_through(directory, cursor, cuts, now_s) and remove_copy(copy, cursor=cursor, cuts=cuts):
            _log.info("mirror.removed", node=copy.node, slot=copy.slot)
            removed += 1
        return removed

    def _may_be_through(self, directory: Path, cursor: Position, cuts: Sequence[Cut], now_s: float) -> bool:
        """Whether a copy is worth being looked through: old, and with nothing in it that is plainly not drained."""
        numbers = segment_numbers(directory)
        newest = segment_path(directory, numbers[-1]) if numbers else directory
        if superseded(directory) or newest.stat().st_mtime + max(self._keep_s, self._every_s) > now_s:
            return False
        later = [number for number in numbers if number > cursor.segment]
        return all(
            segment_path(directory, number).stat().st_size <= HEADER_OCTETS
            or any(cut.position.segment < number <= cut.last_segment for cut in cuts)
            for number in later
        )
