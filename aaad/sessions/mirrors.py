"""Removes from the mirrors of other nodes' spools what PostgreSQL has, as the drain does with our own (R6.1, R6.4).

How far a spool is drained is asked of PostgreSQL, which its owner's drain tells it. Nothing is removed while that is
not known, nor before `keep_s` has passed since. What is not drained is never removed here.
"""

import asyncio
from pathlib import Path

from aaad.clock import pause, wall_s
from aaad.db.connection import Database
from aaad.errors import StoreError
from aaad.log import get_logger
from aaad.metrics import CounterFile
from aaad.sessions.store import DrainStore
from aaad.spool.directory import Contents, segment_numbers, segment_path, write_drained
from aaad.spool.mirror_disk import Kept, kept_copies, remove_copy
from aaad.spool.retention import remove_drained
from aaad.spool.segment import Position, Tail

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
        kept = await asyncio.to_thread(kept_copies, self._root)
        if not kept:
            return
        cursors = await self._store.flush_cursors([copy.spool_id for copy in kept])
        for copy in kept:
            cursor = cursors.get(copy.spool_id)
            if cursor is None:
                continue
            try:
                removed = await asyncio.to_thread(self._keep, copy, cursor)
            except OSError as error:  # one that cannot be read must not keep the others
                _log.error("mirror.unreadable", node=copy.node, slot=copy.slot, error=str(error))
            else:
                self._counters.add("aaad_mirror_segments_removed_total", removed)

    def _keep(self, copy: Kept, cursor: Position) -> int:
        directory, now_s = copy.directory, wall_s()
        write_drained(directory, Tail(cursor, 0))
        removed = remove_drained(
            directory, before=cursor.segment, now_s=now_s, keep_s=self._keep_s, bytes_max=_NO_BOUND
        ).removed
        numbers = segment_numbers(directory)
        if numbers and cursor.segment >= numbers[-1]:
            newest = segment_path(directory, numbers[-1])
            is_old = newest.stat().st_mtime + max(self._keep_s, self._every_s) <= now_s
            end = Contents(directory, numbers[-1], copy.spool_id).end if is_old else 0
            if is_old and cursor >= Position(numbers[-1], end) and remove_copy(copy):
                _log.info("mirror.removed", node=copy.node, slot=copy.slot)
                removed += 1
        return removed
