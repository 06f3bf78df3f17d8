"""A node for the torture of the ledger: claims, gives out, answers from a copy, and writes each answer down first.

Run as a process that may be killed at any moment: `address_node.py DSN DIRECTORY NAME POOL SHARD SHARDS LOGINS SEED`.
What it answered stands in a file of its own before anybody could have heard it, with the time; so does the end of a
session before the release is asked for. It keeps to rule R7.2 as a radius process does: marks in a file before use,
a copy that follows the ledger, a reserve for when PostgreSQL is away. It ends all sessions when it is told to stop.

What a process sent before it was killed, or its connection was cut, PostgreSQL may carry out much later. A radius
process never gives back what it marked, so that such a statement meets only its own. This one does, for the sake of a
small pool: so it first ends the connections of the dead, and what they asked for has happened by then, or never will.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import deque
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

from aaad.db.connection import Database
from aaad.errors import StoreError
from aaad.pools.address import parse_unit, unit_text
from aaad.pools.store import LedgerStore, Outcome, Wish

BATCH = 64
CHUNK = 128
LOW = 96
KEPT = 32  # of the reserve, for when PostgreSQL is away: however fast the machine is, there is something then
POLL_S = 0.05
START_S = 0.1
CONNECTED_MAX = 500
VALID_S = 86_400
REDIAL_SHARE = 0.3
DEADLOCK = "40P01"

ENSURE = """
INSERT INTO net.lease AS known (address_space, address, pool_id, state, login_id, offered_at, valid_until, device)
SELECT 1, address::cidr, $1, 'bound', login_id, now(), now() + interval '1 day', login_id
FROM unnest($2::text[], $3::integer[]) AS given (address, login_id) ORDER BY address
ON CONFLICT (address_space, address) DO UPDATE SET state = 'bound', released_at = NULL, free_from = NULL,
    valid_until = greatest(known.valid_until, excluded.valid_until), changed = pg_current_xact_id()
WHERE known.login_id = excluded.login_id
RETURNING login_id
"""
CONNECTIONS = """
SELECT pid, application_name FROM pg_stat_activity WHERE application_name LIKE 'node.%' AND pid <> pg_backend_pid()
"""
SETTLE = "UPDATE net.node SET settled = $2::text::pg_snapshot WHERE id = $1"
RELEASE = """
SELECT net.release_leases(array_agg(lease.address_space), array_agg(lease.address), array_agg(lease.changed))
FROM unnest($1::text[], $2::integer[]) AS ended (address, login_id)
JOIN net.lease ON lease.address_space = 1 AND lease.address = ended.address::cidr AND lease.login_id = ended.login_id
"""
RELEASE_OTHERS = """
SELECT net.release_leases(array_agg(address_space), array_agg(address), array_agg(changed)) FROM net.lease
WHERE state = 'bound' AND login_id % $1 = $2 AND NOT login_id = ANY ($3::integer[])
"""
FOLLOW = """
SELECT login_id, state, address::text AS address, pg_current_snapshot()::text AS snapshot FROM net.lease
WHERE changed >= $1::text::xid8 AND login_id % $2 = $3
UNION ALL SELECT NULL, NULL, NULL, pg_current_snapshot()::text
"""


class Marks:
    """What this process set aside and used, in a file that outlives it."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text().splitlines() if path.exists() else []
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if not lines or not lines[0].startswith("L"):
            lines = [f"L {uuid4()}"]
            self._write(lines[0])
        self.life = UUID(lines[0].split()[1])
        self.used: set[int] = set()
        units: dict[int, int] = {}
        for line in lines[1:]:
            words = line.split()
            match words[0]:
                case "C":
                    units.update((int(number), int(words[1])) for number in words[2:])
                    self.used.difference_update(map(int, words[2:]))
                case "U":
                    self.used.update(map(int, words[1:]))
                case "F":
                    self.used.difference_update(map(int, words[1:]))
        self.free = deque((reserve, number) for number, reserve in units.items() if number not in self.used)

    def _write(self, line: str) -> None:
        os.write(self._file, (line + "\n").encode())

    def claimed(self, reserve_id: int, numbers: list[int]) -> None:
        self._write(f"C {reserve_id} {' '.join(map(str, numbers))}")
        self.free.extend((reserve_id, number) for number in numbers)

    def take(self, how_many: int, kept: int) -> list[tuple[int, int]]:
        taken = [self.free.popleft() for _ in range(min(how_many, max(0, len(self.free) - kept)))]
        if taken:
            self._write(f"U {' '.join(str(number) for _, number in taken)}")
        return taken

    def unused(self, units: list[tuple[int, int]]) -> None:
        if units:
            self._write(f"F {' '.join(str(number) for _, number in units)}")
            self.free.extendleft(units)


class Answers:
    """The record: A is an answer, S the end of a session, X what must never be."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def tell(self, kind: str, events: list[tuple[int, int]], how: str = "-") -> None:
        now = time.monotonic()
        text = "".join(f"{kind} {now:.6f} {login} {number} {how}\n" for login, number in events)
        os.write(self._file, text.encode())


class Node:
    """One process of a node, and its copy of the ledger."""

    def __init__(
        self, dsn: str, directory: Path, name: str, pool: int, shard: tuple[int, int], logins: int, seed: int
    ) -> None:
        self.database = Database(
            dsn, connect_timeout_s=2, statement_timeout_s=4, application_name=f"node.{os.getpid()}"
        )
        self.random = Random(seed)
        self.name, self.pool, self.shard, self.directory = name, pool, shard, directory
        self.marks = Marks(directory / f"{name}.marks")
        self.connected: dict[int, int] = {}
        for login, number in read_connected(directory).items():
            if login % shard[1] == shard[0]:
                self.connected[login] = number
        self.answers = Answers(directory / f"{name}.{os.getpid()}.answers")
        mine = [login for login in range(1, logins + 1) if login % shard[1] == shard[0]]
        self.idle = [login for login in mine if login not in self.connected]
        # What the ledger may not know of, and since when: it hears some time later, as of a session by its Start.
        self.spool = {login: (number, 0.0) for login, number in self.connected.items()}
        self.ended: dict[int, int] = {}
        self.copy: dict[int, set[int]] = {}
        self.followed = "0"
        self.settling: tuple[str, float] | None = None
        self.polled_at = 0.0
        self.id = 0
        self.is_told_to_stop = False
        self.is_alone = False  # no statement of an earlier connection is on its way

    async def run(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop)
        while not self.id:
            with contextlib.suppress(StoreError):
                await self._begin()
        parent = os.getppid()
        while not self.is_told_to_stop:
            if os.getppid() != parent:
                return  # nobody is left who would end it
            is_there = True
            try:
                await self._serve_ledger()
            except StoreError as error:
                # A node that begins tells of our sessions, too, in another order than we end them.
                if error.sqlstate and not error.sqlstate.startswith(("08", "57", DEADLOCK)):
                    raise  # PostgreSQL is there and refuses
                is_there = self.is_alone = False
                await asyncio.sleep(0.02)
            self._end_some()
            await self._begin_some(is_there)
        self.answers.tell("S", list(self.connected.items()))
        self.ended |= self.connected
        while True:
            with contextlib.suppress(StoreError):
                await self._serve_ledger(last=True)
                return

    def _stop(self) -> None:
        self.is_told_to_stop = True

    async def _end_the_dead(self) -> None:
        """End the connections of processes that are gone, and our own earlier ones."""
        while True:
            rows = await self.database.fetch(CONNECTIONS)
            dead = [row["pid"] for row in rows if not _lives(int(row["application_name"].partition(".")[2]))]
            if not dead:
                break
            await self.database.execute("SELECT pg_terminate_backend(pid) FROM unnest($1::integer[]) AS pid", dead)
            await asyncio.sleep(0.01)
        self.is_alone = True

    async def _begin(self) -> None:
        await self._end_the_dead()
        row = await self.database.fetchrow("SELECT id FROM net.node WHERE name = $1", self.name)
        assert row is not None
        self.store = LedgerStore(self.database, row["id"], 0)
        await self.store.abandon(self.marks.life)
        known = {number for _, number in self.marks.free} | self.marks.used
        for claimed in await self.store.load_reserves(self.marks.life):
            lost = [number for number, _ in claimed.units if number not in known]
            if lost:  # the claim was committed and nobody lived to hear it
                self.marks.claimed(claimed.reserve_id, lost)
            told = set(self.connected.values())  # what else was marked is nobody's, or the ledger knows whose it is
            unused = [unit for unit in claimed.units if unit[0] in self.marks.used and unit[0] not in told]
            if unused:
                await self.store.give_back(claimed.reserve_id, unused, 4)
        # What our predecessor answered and another node tells of now: else our copy would be settled without it.
        everybody = read_connected(self.directory)
        texts = [unit_text(4, number, 32) for number in everybody.values()]
        await self.database.fetch(ENSURE, self.pool, texts, list(everybody))
        # Sessions of which nobody was told, and ends of which the ledger was not.
        await self.database.execute(RELEASE_OTHERS, self.shard[1], self.shard[0], list(self.connected))
        self.id = row["id"]

    async def _serve_ledger(self, last: bool = False) -> None:
        if not self.is_alone:
            await self._end_the_dead()
        due = time.monotonic() - (0 if last else START_S)
        if given := {login: number for login, (number, at) in self.spool.items() if at < due}:
            texts = [unit_text(4, number, 32) for number in given.values()]
            rows = await self.database.fetch(ENSURE, self.pool, texts, list(given))
            missed = given.keys() - {row["login_id"] for row in rows}
            self.answers.tell("X", [(login, given[login]) for login in missed], "ledger-says-otherwise")
            for login in given:
                self.spool.pop(login)
        # Before the releases, so that who dials again at once is answered from a copy that has not heard of his.
        if last or time.monotonic() - self.polled_at > POLL_S:
            await self._follow()
        if self.ended:
            ended = dict(self.ended)
            await self.database.execute(RELEASE, [unit_text(4, number, 32) for number in ended.values()], list(ended))
            for login in ended:
                del self.ended[login]
                self.idle.append(login)
        while len(self.marks.free) < LOW and not last:
            claimed = await self.store.claim(self.pool, CHUNK, self.marks.life)
            if claimed is None:
                break
            self.marks.claimed(claimed.reserve_id, [number for number, _ in claimed.units])

    async def _follow(self) -> None:
        rows = await self.database.fetch(FOLLOW, self.followed, self.shard[1], self.shard[0])
        for login, state, address, _ in rows:
            if login is not None:
                number = parse_unit(address)[1]
                if state == "bound":
                    self.copy.setdefault(login, set()).add(number)
                else:
                    self.copy.get(login, set()).discard(number)
        snapshot = rows[-1]["snapshot"]
        self.followed = snapshot.split(":")[0]
        # Settled is a copy when all that was answered from an older one is in the ledger.
        if self.settling and all(at > self.settling[1] for _, at in self.spool.values()):
            await self.database.execute(SETTLE, self.id, self.settling[0])
            self.settling = None
        if self.settling is None:
            self.settling = snapshot, time.monotonic()
        self.polled_at = time.monotonic()

    def _end_some(self) -> None:
        if len(self.connected) < CONNECTED_MAX / 2:
            return
        ending = self.random.sample(list(self.connected.items()), min(BATCH, len(self.connected)))
        ending = [(login, number) for login, number in ending if login not in self.spool]
        self.answers.tell("S", ending)
        for login, number in ending:
            del self.connected[login]
            self.ended[login] = number

    async def _begin_some(self, is_there: bool) -> None:
        wanted = self._choose()
        at_once = []
        for login in list(wanted):
            numbers = self.copy.get(login)
            if numbers:  # sticky, without a round trip
                at_once.append((login, min(numbers)))
                wanted.remove(login)
        self._answer(at_once, "copy", to_tell=True)
        taken = self.marks.take(len(wanted), KEPT if is_there else 0)
        for login in wanted[len(taken) :]:
            self.idle.append(login)
        pairs = list(zip(wanted, taken, strict=False))
        if not pairs:
            await asyncio.sleep(0.002)
            return
        if not is_there:
            self._answer([(login, number) for login, (_, number) in pairs], "spool", to_tell=True)
            return
        try:
            await self._bind(pairs)
        except StoreError:  # whether it was committed or not: the candidate is nobody else's
            self.is_alone = False
            self._answer([(login, number) for login, (_, number) in pairs], "doubt", to_tell=True)

    async def _bind(self, pairs: list[tuple[int, tuple[int, int]]]) -> None:
        wishes = [
            Wish(1, self.pool, login, login, 1, VALID_S, 4, reserve, (number, 32))
            for login, (reserve, number) in pairs
        ]
        results = list(zip(pairs, await self.store.bind(wishes, self.marks.life), strict=True))
        self.marks.unused([unit for (_, unit), bound in results if bound.outcome is Outcome.AGAIN])
        self._answer([(login, bound.unit[0]) for (login, _), bound in results if bound.unit], "ledger")
        if missed := [(login, unit[1]) for (login, unit), bound in results if not bound.unit]:
            self.answers.tell("X", missed, "taken")  # a unit of ours that somebody has

    def _choose(self) -> list[int]:
        chosen = []
        for _ in range(min(BATCH, CONNECTED_MAX - len(self.connected), len(self.idle))):
            if self.random.random() > REDIAL_SHARE:
                place = self.random.randrange(len(self.idle))
                self.idle[place], self.idle[-1] = self.idle[-1], self.idle[place]
            chosen.append(self.idle.pop())  # else who ended last
        return chosen

    def _answer(self, given: list[tuple[int, int]], how: str, to_tell: bool = False) -> None:
        self.answers.tell("A", given, how)
        for login, number in given:
            self.connected[login] = number
            if to_tell:
                self.spool[login] = number, time.monotonic()


def _lives(pid: int) -> bool:
    """Tell whether a node's process lives; of our own connections only the one that asks is not a dead one's."""
    return pid != os.getpid() and Path(f"/proc/{pid}").exists()


def read_events(directory: Path) -> list[tuple[float, str, int, int, str]]:
    """Return time, kind, login, address and how of all that was written down. Half a line was told to nobody."""
    events = []
    for path in directory.glob("*.answers"):
        for line in path.read_text().split("\n")[:-1]:
            kind, at, login, number, how = line.split()
            events.append((float(at), kind, int(login), int(number), how))
    return sorted(events)


def read_connected(directory: Path) -> dict[int, int]:
    """Return who was answered last and has not ended, by everybody's record."""
    connected: dict[int, int] = {}
    for _, kind, login, number, _ in read_events(directory):
        if kind == "A":
            connected[login] = number
        elif kind == "S":
            connected.pop(login, None)
    return connected


def main() -> None:
    dsn, directory, name, pool, shard, shards, logins, seed = sys.argv[1:]
    node = Node(dsn, Path(directory), name, int(pool), (int(shard), int(shards)), int(logins), int(seed))
    asyncio.run(node.run())


if __name__ == "__main__":
    main()
