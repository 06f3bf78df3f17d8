"""Pools, leases and what the keeper makes of them, for tests of the ledger."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
from session_rows import NOW, add_session, drained

from aaad.db.connection import Database
from aaad.db.embedded import EmbeddedPostgres
from aaad.metrics import CounterFile
from aaad.pools import keeping
from aaad.pools.keeping import POOL_KEEPING_COUNTERS, PoolKeeping

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
MAC = 0x020000000001
_numbers = count(1)
LOGINS = """
INSERT INTO erp.branch (id, name) VALUES (1, 'Matriz');
INSERT INTO erp.client (id, branch_id, kind, name) VALUES (1, 1, 'E', 'Ana');
INSERT INTO erp.plan (id, name, upload, download) VALUES (1, 'p', '10M', '10M');
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status)
    SELECT n, 1, 1, 1, 'A' FROM generate_series(1, 9) AS n;
INSERT INTO erp.login (id, contract_id, name, password)
    SELECT n, n, 'login' || n, 'x' FROM generate_series(1, 9) AS n;
INSERT INTO net.nas (id, name, address, secret, address_space)
    VALUES (1, 'a', '192.0.2.1', 's', 1), (2, 'b', '192.0.2.2', 's', 1), (3, 'c', '192.0.2.3', 's', 2);
"""
# One database for a module: making one for each test would take longer than all else that they do.
EMPTY = """
DELETE FROM net.address_finding;
DELETE FROM net.session;
DELETE FROM net.session_end;
DELETE FROM net.reserve;
UPDATE erp.login SET ipv4 = NULL WHERE ipv4 IS NOT NULL;
UPDATE erp.contract SET access_status = 'A' WHERE access_status <> 'A';
DELETE FROM net.lease;
DELETE FROM net.pool_exclusion;
DELETE FROM net.lease;
DELETE FROM net.pool_range;
DELETE FROM net.pool;
DELETE FROM net.node;
DELETE FROM net.router;
DELETE FROM net.database_seen;
UPDATE net.chore SET cursor = 0, due_at = '-infinity', began_at = NULL;
"""


class Ledger:
    """A database with pools, logins 1 to 9, and a keeper whose jobs are run one by one."""

    def __init__(self, db: asyncpg.Connection, keeper: PoolKeeping, counters: CounterFile, directory: Path) -> None:
        self.db = db
        self.keeper = keeper
        self.counters = counters
        self.directory = directory

    async def pool(
        self, first: str, last: str, *, name: str = "p", space: int = 1, length: int = 32, **columns: Any
    ) -> int:
        """Make a pool of one range, or another range of it; returns its id."""
        family = "ipv4" if "." in first else columns.pop("family", "delegated")
        columns = {
            "address_space": space,
            "name": name,
            "kind": "radius",
            "family": family,
            "prefix_length": length,
        } | columns
        places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
        pool_id = await self.db.fetchval(
            f"INSERT INTO net.pool ({', '.join(columns)}) VALUES ({places}) "
            "ON CONFLICT (address_space, name) DO UPDATE SET name = excluded.name RETURNING id",
            *columns.values(),
        )
        await self.db.execute(
            "INSERT INTO net.pool_range (pool_id, first, last, units) VALUES ($1, $2::text::inet, $3::text::inet, 1)",
            pool_id, first, last,
        )  # fmt: skip
        return pool_id

    async def node(self, name: str = "n1", until: datetime = NOW) -> int:
        """Let a node be drained until then, and have applied all that is committed; returns its id."""
        await drained(self.db, until, name)
        await self.db.execute("UPDATE net.node SET settled = pg_current_snapshot() WHERE name = $1", name)
        return await self.db.fetchval("SELECT id FROM net.node WHERE name = $1", name)

    async def claim(self, pool_id: int, node_id: int, how_many: int = 8, slot: int = 0) -> int | None:
        """Set addresses aside; returns the reserve."""
        life = "00000000-0000-0000-0000-00000000000" + str(slot)
        return await self.db.fetchval(
            "SELECT net.claim_units($1, $2, $3, $4::text::uuid, $5)", pool_id, node_id, slot, life, how_many
        )

    async def lease(
        self,
        address: str,
        pool_id: int,
        login_id: int = 1,
        *,
        offered: datetime = NOW,
        state: str = "bound",
        **columns: Any,
    ) -> None:
        """Write a lease as a claim does, below the range's next unit."""
        row: dict[str, Any] = {
            "address_space": 1,
            "pool_id": pool_id,
            "state": state,
            "login_id": login_id,
            "device": MAC,
            "nas_id": 1,
        }
        if state == "bound":
            row |= {"offered_at": offered, "valid_until": offered + timedelta(days=1)}
        row |= columns
        places = ", ".join(f"${number}" for number in range(2, len(row) + 2))
        await self.db.execute(
            f"INSERT INTO net.lease (address, {', '.join(row)}) VALUES ($1::text::cidr, {places})",
            address,
            *row.values(),
        )

    async def session(self, address: str | None, login_id: int | None = 1, **columns: Any):
        """Let a session live that reports this address; returns its family."""
        row: dict[str, Any] = {
            "login_id": login_id, "started": NOW - MINUTE, "heard": NOW, "mac": "02:00:00:00:00:01",
            "ipv4": address, "ipv4_evidence": "reported" if address else None,
        }  # fmt: skip
        return await add_session(self.db, **(row | columns))

    async def end(
        self,
        family: Any,
        at: datetime = NOW,
        evidence: str = "stop",
        latest: datetime | None = None,
        *,
        word_at: datetime = NOW,
        by: asyncpg.Connection | None = None,
    ) -> None:
        """Let a session have ended, and word of it be left."""
        db = by or self.db
        await db.execute(
            "UPDATE net.session SET ended_at = $2, ended_latest = $4, end_evidence = $3, version = version + 1 "
            "WHERE family = $1",
            family, at, evidence, latest or at,
        )  # fmt: skip
        await db.execute(
            "INSERT INTO net.session_end (at, look_from, families) VALUES ($1, $1, ARRAY[$2::uuid])", word_at, family
        )

    async def looks(self) -> list[int]:
        """Return of each word of an end how often it was looked at in vain."""
        return [row[0] for row in await self.db.fetch("SELECT looks FROM net.session_end ORDER BY 1")]

    async def let_time_pass(self) -> None:
        """Let it be time to look again at what could not be released."""
        await self.db.execute("UPDATE net.session_end SET look_from = now()")

    async def of(self, address: str, space: int = 1) -> dict[str, Any]:
        """Return a lease; empty: it has none."""
        row = await self.db.fetchrow(
            "SELECT * FROM net.lease WHERE address = $1::text::cidr AND address_space = $2", address, space
        )
        return dict(row) if row else {}

    async def state(self, address: str) -> tuple[str | None, int | None]:
        """Return a lease's state and login."""
        row = await self.of(address)
        return row.get("state"), row.get("login_id")

    async def findings(self) -> list[tuple[Any, ...]]:
        """Return the findings that are not settled: kind, address, login, holder."""
        rows = await self.db.fetch(
            "SELECT kind, address::text, login_id, holder_id FROM net.address_finding "
            "WHERE settled_at IS NULL ORDER BY 1, 2, 3"
        )
        return [tuple(row) for row in rows]

    async def run(self, *jobs: str) -> None:
        """Do a whole round of these jobs: ends, leases, reports, reserves, adoption, use."""
        acts = {
            "ends": self.keeper.release_ended,
            "leases": self.keeper.look_at_leases,
            "reports": self.keeper.compare_reports,
            "reserves": self.keeper.take_back_reserves,
            "adoption": self.keeper.look_at_adoption,
            "use": self.keeper.count_use,
        }
        for job in jobs:
            await self.db.execute("UPDATE net.chore SET due_at = '-infinity'")
            for _ in range(1000):
                if not await acts[job]():
                    break
            else:
                raise AssertionError("the round does not end")

    def counted(self, name: str) -> int:
        """Return what was counted."""
        return self.counters.cells[self.counters.index[name]]

    async def check(self) -> dict[str, dict[str, int]]:
        """Hold that each unit of each pool is in one state; returns how many are in which, by pool."""
        rows = await self.db.fetch(
            "SELECT pool.name, counted.* FROM net.pool_count AS counted JOIN net.pool ON pool.id = pool_id"
        )
        for row in rows:
            parts = [row[name] for name in ("never", "reserved", "bound", "fixed", "reported", "resting", "free")]
            assert sum(parts) == row["size"], dict(row)
            assert min(parts) >= 0, dict(row)
        return {row["name"]: dict(row) for row in rows}


def one_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Make a database with the current schema, for all tests of a module."""
    name = f"ledger_{next(_numbers)}"

    def run(sql: str) -> None:
        async def execute() -> None:
            db = await asyncpg.connect(postgres.dsn())
            await db.execute(sql)
            await db.close()

        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, execute()).result()

    run(f"CREATE DATABASE {name} TEMPLATE aaad_template")
    yield postgres.dsn(name)
    run(f"DROP DATABASE {name} WITH (FORCE)")


@asynccontextmanager
async def opened_ledger(dsn: str, directory: Path) -> AsyncIterator[Ledger]:
    """Open a ledger with logins and concentrators, and no pool yet."""
    db = await asyncpg.connect(dsn)
    if await db.fetchval("SELECT count(*) FROM erp.login"):
        await db.execute(EMPTY)
    else:
        await db.execute(LOGINS)
    door = Database(dsn, connect_timeout_s=5, statement_timeout_s=10, application_name="test")
    counters = CounterFile(directory / "control-0.cnt", POOL_KEEPING_COUNTERS)
    try:
        yield Ledger(db, PoolKeeping(door, door, counters, directory), counters, directory)
    finally:
        await door.close()
        await db.close()


assert keeping.REST_MIN_S <= 300  # what these tests take for the rest of an ordinary pool
