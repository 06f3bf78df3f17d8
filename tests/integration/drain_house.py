"""One node's drain over a spool folder and a real PostgreSQL, for tests."""

import asyncio
import time
from contextlib import asynccontextmanager
from pathlib import Path

from aaad.db.connection import Database
from aaad.metrics import CounterFile
from aaad.sessions.drain import DRAIN_COUNTERS, Drain
from aaad.sessions.handoff import HANDOFF_COUNTERS
from aaad.spool.directory import find_spool_id, read_tail, segment_numbers
from aaad.spool.records import Record, encode
from aaad.spool.writer import SpoolWriter

NODE = "node-1"
MINUTE = 28_000_000
SEGMENT_BYTES = 1 << 16
MAC = "00:00:5E:00:53:01"


class House:
    """One node's drain over a spool root, and a hand on the database."""

    def __init__(self, dsn: str, root: Path) -> None:
        self.root = root
        self.dsn = dsn
        self.database = self.connect()
        self.counters = CounterFile(root.parent / "sync-0.cnt", [*DRAIN_COUNTERS, *HANDOFF_COUNTERS])
        self.stopping = asyncio.Event()

    def connect(self, statement_timeout_s: float = 5.0) -> Database:
        return Database(
            self.dsn, connect_timeout_s=5, statement_timeout_s=statement_timeout_s, application_name="test"
        )

    def drain(self, *, statement_timeout_s: float = 5.0, **changes) -> Drain:
        settings = {"node": NODE, "keep_s": 3600.0, "bytes_max": 1 << 40, "counters": self.counters}
        connections = self.connect(statement_timeout_s), self.connect(statement_timeout_s)
        return Drain(connections[0], self.root, foreseeing=connections[1], **(settings | changes))

    def count(self, name: str) -> int:
        return self.counters.cells[self.counters.index[name]]

    async def value(self, sql: str, *args):
        row = await self.database.fetchrow(sql, *args)
        return None if row is None else row[0]

    async def refusals(self) -> dict[int, int]:
        rows = await self.database.fetch("SELECT login_id, count FROM net.refusal ORDER BY login_id")
        return {row[0]: row[1] for row in rows}

    async def until(self, sql: str, expected, *, limit_s: float = 10) -> None:
        """Wait for an answer; the limit is in looks too, which take longer on a machine that others use."""
        deadline, looks = time.monotonic() + limit_s, limit_s / 0.025
        while (found := await self.value(sql)) != expected:
            looks -= 1
            assert looks > 0 or time.monotonic() < deadline, f"{found!r} instead of {expected!r}"
            await asyncio.sleep(0.02)

    async def until_counted(self, name: str, expected: int, *, limit_s: float = 10) -> None:
        deadline, looks = time.monotonic() + limit_s, limit_s / 0.0125
        while self.count(name) != expected:
            looks -= 1
            assert looks > 0 or time.monotonic() < deadline, f"{name} is {self.count(name)}"
            await asyncio.sleep(0.01)

    def put(self, records: list[Record | bytes], *, slot: str = "radius-0", **changes) -> None:
        """One life of a writer: append, wait, end."""
        settings = {"segment_bytes": SEGMENT_BYTES, "bytes_max": 1 << 30}
        spool = SpoolWriter(self.root / slot, **(settings | changes))
        spool.start()
        for record in records:
            assert spool.append(record if isinstance(record, bytes) else encode(record))
        assert spool.stop(10)

    @asynccontextmanager
    async def draining(self, **changes):
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.drain(**changes).run(stopping))
            try:
                yield
            finally:
                stopping.set()

    async def drain_all(self, **changes) -> None:
        """Drain until every cursor stands at its spool's tail."""
        async with self.draining(**changes):
            deadline = time.monotonic() + 15
            while not await self._is_drained():
                assert time.monotonic() < deadline, "not drained"
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.12)  # a pass that finds nothing

    async def _is_drained(self) -> bool:
        rows = await self.database.fetch("SELECT spool_id, segment, position FROM net.spool_cursor")
        cursors = {row[0]: (row[1], row[2]) for row in rows}
        directories = list(self.root.iterdir())
        return all(
            cursors.get(find_spool_id(path)) == read_tail(path).position and has_not_grown(path)
            for path in directories
        )


def has_not_grown(path: Path) -> bool:
    """Whether the published tail names the newest segment."""
    return read_tail(path).position.segment == segment_numbers(path)[-1]


async def make_login(house: House, login_id: int, **changes) -> None:
    values = {"mac": None, "auto_fill_mac": "S", "deleted_at": None} | changes
    for sql in (
        "INSERT INTO erp.branch (id, name) VALUES (1, 'B') ON CONFLICT DO NOTHING",
        "INSERT INTO erp.plan (id, name, upload, download) VALUES (1, 'P', '50M', '50M') ON CONFLICT DO NOTHING",
        "INSERT INTO erp.client (id, branch_id, kind, name) VALUES (1, 1, 'E', 'C') ON CONFLICT DO NOTHING",
        "INSERT INTO erp.contract (id, client_id, branch_id, plan_id) VALUES (1, 1, 1, 1) ON CONFLICT DO NOTHING",
    ):
        await house.database.execute(sql)
    await house.database.execute(
        "INSERT INTO erp.login (id, contract_id, name, password, mac, auto_fill_mac, deleted_at) "
        "VALUES ($1, 1, $2, 'pass', $3, $4, $5::text::timestamptz)",
        login_id,
        f"login{login_id}",
        values["mac"],
        values["auto_fill_mac"],
        values["deleted_at"],
    )
