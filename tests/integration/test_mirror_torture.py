"""Mirror torture: owner, drain and mirror are killed at any moment while the owner's disk fails now and then; in the
end the disk is lost. Of what was acknowledged with the mirror in step nothing is lost, and nothing counts twice.

Rule R6.4.
"""

import asyncio
import os
import shutil
import signal
import socket
import time
from pathlib import Path
from uuid import UUID

import pytest
from mirror_house import SECRET
from test_spool_torture import Torture, fork, judge_torture, write_for_ever

from aaad.metrics import CounterFile
from aaad.spool import mirror as mirror_module
from aaad.spool import mirror_course
from aaad.spool.adoption import adopt
from aaad.spool.mirror import Mirror
from aaad.spool.mirror_disk import kept_copies
from aaad.spool.mirror_server import MIRROR_SERVER_COUNTERS, MirrorServer
from aaad.spool.segment import START, Cut, Position


class MirrorTorture(Torture):
    """A third process keeps the copy; in the end what it has is all that there is."""

    def __init__(self, dsn: str, directory: Path, seed: int) -> None:
        super().__init__(dsn, directory, seed)
        self.directory = directory
        self.peer = socket.create_server(("127.0.0.1", 0))
        self.adopted = 0

    def beginnings(self):
        return [self.begin_writer, self.begin_drainer, self.begin_mirror]

    def _next_end(self, begin) -> float:
        return time.monotonic() + self._dice.uniform(0.05, 1.5)

    def begin_writer(self) -> int:
        self._lives += 1
        life = self._lives
        return fork(lambda: self._write(life))

    def _write(self, life: int) -> None:
        mirror_course.RETRY_S, mirror_course.RETRY_MAX_S, mirror_module.LOOK_S = 0.01, 0.02, 0.002
        mirror = Mirror(
            self.root / "radius-0", peer=self.peer.getsockname(), node="torture", secret=SECRET, timeout_s=0.5
        )
        write_for_ever(self.root, self._path, self._acks, life, mirror)

    def begin_mirror(self) -> int:
        return fork(lambda: asyncio.run(self._mirror()))

    async def _mirror(self) -> None:
        counters = CounterFile(self.directory / "mirror-0.cnt", MIRROR_SERVER_COUNTERS)
        await MirrorServer(
            self.peer.dup(),
            self.directory / "mirror",
            node="peer",
            secret=SECRET,
            bytes_max=1 << 30,
            counters=counters,
        ).run(asyncio.Event())

    def drain_to_the_end(self) -> None:
        """The disk is lost; what the mirror has becomes slots of a node that drains."""
        shutil.rmtree(self.root)
        rows = asyncio.run(self.fetch("SELECT spool_id, segment, position FROM net.spool_cursor"))
        cursors = {row[0]: Position(row[1], row[2]) for row in rows}
        sql = "SELECT spool_id, life, segment, position, last_segment FROM net.spool_handoff"
        cuts: dict[UUID, list[Cut]] = {}
        for spool_id, life, segment, offset, last in asyncio.run(self.fetch(sql)):
            cuts.setdefault(spool_id, []).append(Cut(life, Position(segment, offset), last))
        done = [
            adopt(kept, self.root, cursor=cursors.get(kept.spool_id, START), cuts=cuts.get(kept.spool_id, ()))
            for kept in kept_copies(self.directory / "mirror")
        ]
        self.adopted = sum(one.records for one in done)
        pid = self.begin_drainer()
        deadline, before = time.monotonic() + 30, None
        while (now := asyncio.run(self._applied())) != before:
            assert time.monotonic() < deadline, "the drain does not come to its end"
            before = now
            time.sleep(1.5)
        os.kill(pid, signal.SIGKILL)
        self._reap(pid)

    async def _applied(self):
        rows = await self.fetch("SELECT sum(count)::bigint FROM net.refusal")
        cursors = await self.fetch("SELECT segment, position FROM net.spool_cursor ORDER BY spool_id")
        return [rows[0][0], [tuple(row) for row in cursors]]


@pytest.mark.soak
@pytest.mark.parametrize("seed", [31, 32])
def test_r6_4_a_lost_disk_after_any_kills_loses_nothing_that_was_mirrored_and_doubles_nothing(dsn, tmp_path, seed):
    torture = MirrorTorture(dsn, tmp_path, seed)
    print(judge_torture(torture, kills=150), f"{torture.adopted} adopted")
    assert torture.adopted, "nothing was left to adopt: the drain was never behind"
