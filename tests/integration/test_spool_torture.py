"""Spool torture: writer and drainer are killed again and again, by others and at their own most delicate moments,
while the disk fails now and then. Every acknowledged record is applied exactly once, every other at most once.

The records say it themselves: each stands alone in its minute, so a row's count is how often it was applied.
"""

import asyncio
import errno
import os
import random
import select
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from aaad.db.connection import Database
from aaad.db.embedded import EmbeddedPostgres
from aaad.db.migrate import migrate
from aaad.metrics import CounterFile
from aaad.sessions import drain as drain_module
from aaad.sessions.drain import DRAIN_COUNTERS, Drain
from aaad.sessions.handoff import HANDOFF_COUNTERS, HandoffServer
from aaad.spool import writer as writer_module
from aaad.spool.directory import find_spool_id, read_tail, segment_numbers
from aaad.spool.mirror import Mirror
from aaad.spool.records import LoginRefused, RouterSeen, encode
from aaad.spool.writer import SpoolWriter

SEGMENT_BYTES = 1 << 16
LIFE_RECORDS_MAX = 50_000  # numbers set apart for one life of the writer
OUTSTANDING_MAX = 400
CRASH_SHARE = 0.003  # of the writer's calls to the disk at which it kills itself: before, amid or after
FAILURE_SHARE = 0.01  # of its syncs that fail, and with them all that follow for a while
FAILURE_S = 0.05
_ACK = struct.Struct("<q")


class CrashingDisk:
    """The writer's edge: dies at any of its calls, with a part of the octets written, or fails."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._broken_until_s = 0.0

    def write(self, descriptor: int, data: bytes, offset: int) -> int:
        if self._dice.random() < CRASH_SHARE:
            os.pwrite(descriptor, data[: self._dice.randrange(len(data) + 1)], offset)
            die()
        return os.pwrite(descriptor, data, offset)

    def sync(self, descriptor: int) -> None:
        chance = self._dice.random()
        if chance < CRASH_SHARE:
            die()
        if chance > 1 - FAILURE_SHARE:
            self._broken_until_s = time.monotonic() + self._dice.random() * FAILURE_S
        if time.monotonic() < self._broken_until_s:
            raise OSError(errno.EIO, "Input/output error")
        os.fdatasync(descriptor)
        if chance > 1 - FAILURE_SHARE - CRASH_SHARE:
            die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fork(work: Callable[[], None]) -> int:
    """Run work in a process of its own. A life of it that does not end by SIGKILL is an error."""
    if (pid := os.fork()) != 0:
        return pid
    try:
        work()
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(3)


def write_for_ever(root: Path, handoff: Path, acks: int, life: int, mirror: Mirror | None = None) -> None:
    """With a mirror only what it has, too, is told to be acknowledged."""
    writer_module.RETRY_INITIAL_S, writer_module.RETRY_MAX_S = 0.01, 0.05
    dice = random.Random(life)
    disk = CrashingDisk(dice)
    spool = SpoolWriter(
        root / "radius-0",
        segment_bytes=SEGMENT_BYTES,
        bytes_max=1 << 30,
        handoff=handoff,
        handoff_timeout_s=0.3,
        mirror=mirror,
        write=disk.write,
        sync=disk.sync,
    )
    spool.start()
    answered = [0]

    def done_for(number: int):
        def done(is_stored: bool) -> None:
            answered[0] += 1
            if is_stored and (mirror is None or mirror.course.is_waited_for):
                os.write(acks, _ACK.pack(number))

        return done

    taken = 0
    for number in range(life * LIFE_RECORDS_MAX, (life + 1) * LIFE_RECORDS_MAX):
        taken += spool.append(encode(LoginRefused(1 + number % 9, "wrong_password", number, 1)), done_for(number))
        if dice.random() < 0.05:
            spool.append(encode(RouterSeen(1, f"192.0.2.{number % 200}", b"bng", "198.51.100.1", 1.7e9 + number)))
            time.sleep(dice.random() * 0.01)
        while taken - answered[0] > OUTSTANDING_MAX:
            time.sleep(0.001)


def drain_for_ever(root: Path, dsn: str, listener: socket.socket) -> None:
    drain_module.RETENTION_EVERY_S = 0.05

    def database() -> Database:
        return Database(dsn, connect_timeout_s=5, statement_timeout_s=5, application_name="torture")

    async def main() -> None:
        counters = CounterFile(root.parent / "sync-0.cnt", [*DRAIN_COUNTERS, *HANDOFF_COUNTERS])
        never = asyncio.Event()
        drain = Drain(database(), root, node="torture", keep_s=0.2, bytes_max=1 << 30, counters=counters)
        async with asyncio.TaskGroup() as group:
            group.create_task(drain.run(never))
            group.create_task(HandoffServer(database(), listener, node="torture", counters=counters).run(never))

    asyncio.run(main())


class Torture:
    """Keeps both processes alive and kills them; reads what the writer acknowledges."""

    def __init__(self, dsn: str, directory: Path, seed: int) -> None:
        self.root = directory / "spool"
        self._dsn = dsn
        self._dice = random.Random(seed)
        self._lives = 0
        self.kills = 0
        self.acknowledged: set[int] = set()
        self._read, self._acks = os.pipe()
        os.set_blocking(self._read, False)
        self._path = directory / "sync.sock"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._path))
        self._listener.listen(16)
        self.begun: dict[int, Callable[[], int]] = {}

    def beginnings(self) -> list[Callable[[], int]]:
        return [self.begin_writer, self.begin_drainer]

    def begin_writer(self) -> int:
        self._lives += 1
        life = self._lives
        return fork(lambda: write_for_ever(self.root, self._path, self._acks, life))

    def begin_drainer(self) -> int:
        return fork(lambda: drain_for_ever(self.root, self._dsn, self._listener))

    def run(self, kills: int, disturb: Callable[[int], None] = lambda _: None) -> None:
        """Kill at random until so many have died, by our hand or their own; `disturb` does what else goes wrong."""
        lives = [(begin, begin()) for begin in self.beginnings()]
        ends = [self._next_end(begin) for begin, _ in lives]
        while self.kills < kills:
            self._collect(0.005)
            for place, (begin, pid) in enumerate(lives):
                if time.monotonic() > ends[place]:
                    os.kill(pid, signal.SIGKILL)
                    self._reap(pid)
                elif os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                    self._reap(pid)
                else:
                    continue
                disturb(self.kills)
                lives[place] = (begin, begin())
                ends[place] = self._next_end(begin)
        for _, pid in lives:
            os.kill(pid, signal.SIGKILL)
            self._reap(pid)

    def _next_end(self, begin: Callable[[], int]) -> float:
        longest_s = 0.2 if begin == self.begin_writer else 0.4
        return time.monotonic() + self._dice.uniform(0.01, longest_s)

    def _reap(self, pid: int) -> None:
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), f"a process ended by itself: {status}"
        assert os.WTERMSIG(status) == signal.SIGKILL
        self.kills += 1
        self._collect(0)

    def _collect(self, wait_s: float) -> None:
        while select.select([self._read], [], [], wait_s)[0]:
            data = os.read(self._read, 65536)
            self.acknowledged.update(number for (number,) in _ACK.iter_unpack(data))
            wait_s = 0

    def drain_to_the_end(self) -> None:
        """With nobody killing: a last life of a drainer, until its cursor stands at the tail."""
        pid = self.begin_drainer()
        deadline = time.monotonic() + 30
        while not asyncio.run(self._is_drained()):
            assert time.monotonic() < deadline, "the drain stands still"
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        self._reap(pid)

    async def _is_drained(self) -> bool:
        directory = self.root / "radius-0"
        rows = await self.fetch(
            "SELECT segment, position FROM net.spool_cursor WHERE spool_id = $1", find_spool_id(directory)
        )
        tail = read_tail(directory)
        is_published = tail is not None and tail.position.segment == segment_numbers(directory)[-1]
        return is_published and [tuple(row) for row in rows] == [tuple(tail.position)]

    async def fetch(self, sql: str, *args):
        database = Database(self._dsn, connect_timeout_s=5, statement_timeout_s=30, application_name="torture")
        try:
            return await database.fetch(sql, *args)
        finally:
            await database.close()


def check_torture(
    dsn: str, directory: Path, kills: int, seed: int, disturb: Callable[[int], None] = lambda _: None
) -> str:
    return judge_torture(Torture(dsn, directory, seed), kills, disturb)


def judge_torture(torture: Torture, kills: int, disturb: Callable[[int], None] = lambda _: None) -> str:
    asyncio.run(torture.fetch("INSERT INTO net.node (name) VALUES ('torture')"))
    asyncio.run(torture.fetch("INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'n', '192.0.2.0/24', 's')"))
    torture.run(kills, disturb)
    torture.drain_to_the_end()
    rows = asyncio.run(
        torture.fetch(
            "SELECT (extract(epoch FROM minute) / 60)::bigint, sum(count)::bigint FROM net.refusal GROUP BY 1"
        )
    )
    applied = {row[0]: row[1] for row in rows}
    lost = torture.acknowledged - applied.keys()
    double = {number: times for number, times in applied.items() if times != 1}
    assert not lost, f"{len(lost)} acknowledged records were lost: {sorted(lost)[:5]}"
    assert not double, f"{len(double)} records were applied more than once: {sorted(double.items())[:5]}"
    assert len(torture.acknowledged) > 10 * kills, "the writer hardly wrote"
    (handed,) = asyncio.run(torture.fetch("SELECT count(*), coalesce(sum(number), 0) FROM net.spool_handoff"))
    return (
        f"{torture.kills} kills, {len(torture.acknowledged)} acknowledged, {len(applied)} applied, "
        f"{handed[1]} batches handed over by {handed[0]} lives"
    )


def test_r6_kills_lose_nothing_and_double_nothing(dsn, tmp_path):
    print(check_torture(dsn, tmp_path, kills=20, seed=1))


@pytest.mark.soak
@pytest.mark.parametrize("seed", [11, 12])
def test_r6_two_hundred_kills_lose_nothing_and_double_nothing(dsn, tmp_path, seed):
    print(check_torture(dsn, tmp_path, kills=200, seed=seed))


@pytest.mark.soak
def test_r6_kills_of_postgresql_too_lose_nothing_and_double_nothing(tmp_path):
    with EmbeddedPostgres(tmp_path / "postgres", settings={"fsync": "off"}) as server:
        asyncio.run(migrate(server.dsn()))
        done = [0]

        def disturb(kills: int) -> None:
            if kills // 15 > done[0]:
                done[0] += 1
                os.kill(server.pid, signal.SIGKILL)
                time.sleep(0.3)
                server.start()

        print(check_torture(server.dsn(), tmp_path, kills=150, seed=21, disturb=disturb), f"{done[0]} of PostgreSQL")
        assert done[0] >= 9
