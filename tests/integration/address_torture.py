"""Two nodes that give out a pool's addresses while they, and PostgreSQL, are killed; and the judge of their answers.

No address may be held by two logins at any instant, by the answers' own times; in the end nothing has leaked.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from address_node import read_events
from pool_house import House

from aaad.db.connection import Database
from aaad.errors import StoreError

NODES = ("one", "two")
NODE_PROGRAM = Path(__file__).with_name("address_node.py")
STOP_TIMEOUT_S = 60


class Verdict(NamedTuple):
    """What the records say."""

    answers: Counter[str]  # by how they were found
    ends: int
    held_twice: list[str]
    complaints: list[str]

    @property
    def given(self) -> int:
        """How many answers there were."""
        return self.answers.total()


def judge(directory: Path) -> Verdict:
    """Read all records in the order of their times, which one clock of the machine gave them."""
    events = read_events(directory)
    complaints = [f"{number} of {login} at {at}: {how}" for at, kind, login, number, how in events if kind == "X"]
    answers: Counter[str] = Counter()
    holders: dict[int, int] = {}
    held_twice = []
    ends = 0
    for at, kind, login, number, how in events:
        holder = holders.get(number)
        if kind == "A":
            answers[how] += 1
            if holder not in (None, login):
                held_twice.append(f"{number} at {at}: {login} ({how}) and {holder}")
            holders[number] = login
        elif kind == "S":
            ends += 1
            if holder == login:
                del holders[number]
    return Verdict(answers, ends, held_twice, complaints)


def count_answers(directory: Path) -> int:
    """Return about how many answers there are by now: a line has some 36 octets, every second one is an answer."""
    return sum(path.stat().st_size for path in directory.glob("*.answers")) // 72


class Torture:
    """The two nodes of one run; what is killed when is for the test to say."""

    def __init__(self, dsn: Callable[[], str], directory: Path, logins: int) -> None:
        """`dsn` may become another while it runs."""
        self.dsn = dsn
        self.directory = directory
        self.killed = 0
        self._logins = logins
        self._pool = 0
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._starts = 0
        self._swapped = False

    @contextlib.asynccontextmanager
    async def house(self):
        """Open the ledger."""
        database = Database(self.dsn(), connect_timeout_s=5, statement_timeout_s=120, application_name="torture")
        try:
            yield House(database)
        finally:
            await database.close()

    async def prepare(self, *ranges: str) -> None:
        """Make the nodes and the pool, whose addresses do not rest."""
        async with self.house() as house:
            for name in NODES:
                await house.node(name)
            self._pool = await house.pool(*ranges, quarantine_s=0)

    def start(self, name: str) -> None:
        """Start a node's process, with the logins that are its."""
        self._starts += 1
        shard = NODES.index(name) ^ self._swapped
        arguments = [self.dsn(), self.directory, name, self._pool, shard, len(NODES), self._logins, self._starts]
        with open(self.directory / f"{name}.log", "ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, NODE_PROGRAM, *map(str, arguments)], stdout=log, stderr=log,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )  # fmt: skip

    def kill(self, name: str) -> None:
        """Kill a node's process with -9."""
        process = self._processes[name]
        assert process.poll() is None, (self.directory / f"{name}.log").read_text()[-2000:]
        process.kill()
        process.wait()
        self.killed += 1

    def kill_and_start(self, name: str) -> None:
        """Kill a process; its successor goes on with its files."""
        self.kill(name)
        self.start(name)

    def swap_logins(self) -> None:
        """Kill both; from now on each dials by the other."""
        for name in NODES:
            self.kill(name)
        self._swapped = not self._swapped
        for name in NODES:
            self.start(name)

    async def until_answered(self, *ways: str, timeout_s: float) -> bool:
        """Wait until there are answers of all these ways, or for so long: not always is there an occasion."""
        wanted = {f" {how}\n".encode() for how in ways}
        give_up_at = time.monotonic() + timeout_s
        while wanted and time.monotonic() < give_up_at:
            texts = [path.read_bytes() for path in self.directory.glob("*.answers")]
            wanted = {line_end for line_end in wanted if not any(line_end in text for text in texts)}
            await asyncio.sleep(0.05)
        return not wanted

    async def until(self, answers: int, timeout_s: float) -> None:
        """Wait for so many answers."""
        give_up_at = time.monotonic() + timeout_s
        while count_answers(self.directory) < answers:
            for name, process in self._processes.items():
                assert process.poll() is None, (self.directory / f"{name}.log").read_text()[-2000:]
            assert time.monotonic() < give_up_at, f"{count_answers(self.directory)} answers only"
            await asyncio.sleep(0.05)

    def stop(self) -> None:
        """Have both end all sessions and themselves."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for name, process in self._processes.items():
            assert process.wait(STOP_TIMEOUT_S) == 0, (self.directory / f"{name}.log").read_text()[-2000:]

    def end(self) -> None:
        """Leave no process behind."""
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    async def accounts(self) -> tuple[int, int, int]:
        """Release what a killed process bound for nobody, return the reserves; return used, free and size."""
        async with self.house() as house:
            while True:
                with contextlib.suppress(StoreError):
                    await house.value(
                        "SELECT net.release_leases(array_agg(address_space), array_agg(address)) FROM net.lease "
                        "WHERE state = 'bound'"
                    )
                    break
            assert await house.unaccounted(self._pool) == 0
            await house.database.execute("UPDATE net.reserve SET abandoned_at = now()")
            await house.value("SELECT sum(net.return_reserve(id)) FROM net.reserve")
            assert await house.value("SELECT count(*) FROM net.reserve") == 0
            assert await house.unaccounted(self._pool) == 0
            used = await house.value("SELECT count(*) FROM net.lease WHERE state <> 'released'")
            free = await house.value("SELECT sum(units - next) FROM net.pool_range")
            free += await house.value("SELECT count(*) FROM net.lease WHERE state = 'released'")
            size = await house.value("SELECT sum(units) FROM net.pool_range")
            return used, int(free), int(size)
