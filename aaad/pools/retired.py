"""Gives up what radius processes set aside that a node has no more: its configuration names fewer than before.

Under the slot's own lock, so that no process of it runs meanwhile, and first on the disk: should the slot ever be
filled again, its process must not believe what PostgreSQL has given to others since (rule R7.2).
"""

import asyncio
import fcntl
import os
import shutil
from pathlib import Path

from aaad.db.connection import Database, affected
from aaad.pools.chore import SQL


class RetiredSlots:
    """The slots of one node from `processes` on."""

    def __init__(self, database: Database, state_dir: Path, node: str, processes: int) -> None:
        """`node`: our name in net.node. Nothing is touched yet."""
        self._database = database
        self._state_dir = state_dir
        self._node = node
        self._processes = processes

    async def give_up(self) -> int:
        """Give up what is left there; return how many reserves."""
        rows = await self._database.fetch(SQL.find_retired_slots, self._node, self._processes)
        slots = {int(row["slot"]) for row in rows} | await asyncio.to_thread(self._kept)
        return sum([await self._give_up(slot) for slot in sorted(slots)])

    def _kept(self) -> set[int]:
        """Return which slots that are no more have a folder."""
        numbers = {path.name.removeprefix("radius-") for path in (self._state_dir / "reserve").glob("radius-*")}
        return {int(number) for number in numbers if number.isdecimal() and int(number) >= self._processes}

    async def _give_up(self, slot: int) -> int:
        with (self._state_dir / "counters" / f"radius-{slot}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # it still ends, or lives again
                return 0
            await asyncio.to_thread(_forget, self._state_dir / "reserve" / f"radius-{slot}")
            return affected(await self._database.execute(SQL.abandon_retired_slot, self._node, slot))


def _forget(folder: Path) -> None:
    if not folder.exists():
        return
    shutil.rmtree(folder)
    descriptor = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
