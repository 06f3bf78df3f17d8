"""A database with contracts and live sessions, a node's feed, and the reconciler on what that feed has written."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

import asyncpg
from replica_node import Node, running
from session_rows import add_session

from aaad import clock
from aaad.db.connection import Database
from aaad.log import get_logger
from aaad.metrics import CounterFile
from aaad.orders.desired import LiveSession, Occasion, Trigger
from aaad.orders.looking import Looking
from aaad.orders.reconciler import RECONCILER_COUNTERS, Reconciler, ReconcilerSettings
from aaad.policy.calendar import zone_offset_s
from aaad.replica.brake import BrakeLimits
from aaad.replica.layout import ReplicaMeta, WriteTransaction
from aaad.replica.record import Tables

PPPOE, HOTSPOT = "81", "80"  # what Acct-Session-Ids of RouterOS begin with


class FedReplica:
    """What a feed of this process has written: LMDB opens a store once in each, so the feed's own is read."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._opened: AbstractContextManager[WriteTransaction] | None = None
        self._read: WriteTransaction | None = None
        self.tables_mark = ("", -1)

    @property
    def complete(self) -> bool:
        return self._node.feed._writer.current is not None

    def begin(self) -> bool:
        if self.complete:
            generation = self._node.feed._generation()
            self._opened = generation.read()
            self._read = self._opened.__enter__()
            self.tables_mark = (generation.folder.name, self._read.tables().generation)
        return True

    def end(self) -> None:
        if self._opened is not None:
            self._opened.__exit__(None, None, None)
        self._opened = self._read = None

    def name_of(self, login_id: int) -> bytes | None:
        assert self._read is not None
        source = self._read.source(login_id)
        return source.name or None if source else None

    def login(self, key: bytes) -> bytes | None:
        assert self._read is not None
        return self._read.record(key)

    def tables(self) -> Tables:
        assert self._read is not None
        return self._read.tables()

    def meta(self) -> ReplicaMeta:
        assert self._read is not None
        return self._read.meta()


class OrderHouse:
    """All of it. `clock_s` is how far the node's clock has been put on."""

    def __init__(self, dsn: str, directory: Path, db: asyncpg.Connection, node: Node, **settings: Any) -> None:
        self.dsn = dsn
        self.db = db
        self.node = node
        self.counters = CounterFile(directory / f"reconciler-{node.directory.name}.cnt", RECONCILER_COUNTERS)
        values: dict[str, Any] = {
            "poll_interval_s": 0.05,
            "sweep_interval_s": 3600.0,
            "clock_spread_s": 0.0,
            "starts_interval_s": 0.05,
            "settle_s": 0.0,
            "clock_apart_max_s": inf,
            "brake": BrakeLimits(minimum_count=1000),
        }
        self.settings = ReconcilerSettings(**(values | settings))
        self.looking = Looking(FedReplica(node), zone_offset_s)
        self._numbers = 0

    def reconciler(
        self, name: str = "node-a", replica: FedReplica | None = None
    ) -> tuple[Reconciler, list[Database]]:
        """A new one, and its doors."""
        doors = [
            Database(self.dsn, connect_timeout_s=2, statement_timeout_s=10, application_name=f"test {purpose}")
            for purpose in ("reconciler", "notifications")
        ]
        return Reconciler(
            doors[0],
            doors[1],
            Looking(replica or FedReplica(self.node), zone_offset_s),
            node=name,
            counters=self.counters,
            settings=self.settings,
            log=get_logger("orders"),
        ), doors

    @asynccontextmanager
    async def reconciling(self, name: str = "node-a", replica: FedReplica | None = None) -> AsyncIterator[Reconciler]:
        """Run one."""
        reconciler, doors = self.reconciler(name, replica)
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(reconciler.run(stopping))
            try:
                yield reconciler
            finally:
                stopping.set()
                async with asyncio.timeout(10):
                    await asyncio.wait([task])
                for door in doors:
                    await door.close()

    def count(self, name: str) -> int:
        return self.counters.cells[self.counters.index[f"aaad_orders_{name}"]]

    async def _mark(self) -> str:
        """Change nothing, in a transaction that the feed follows; return its number."""
        xid: str = await self.db.fetchval(
            "INSERT INTO net.change (kind, key) VALUES ('login', 2147483647) RETURNING xid::text"
        )
        await self.db.execute("NOTIFY aaad_change")
        return xid

    async def applied(self) -> None:
        """Wait until the replica shows all that is committed."""
        xid = int(await self._mark())
        await until(lambda: int(_position(self.looking).split(":")[1]) > xid)

    async def idle(self) -> None:
        """Wait until all that is committed was turned into orders."""
        xid, began = await self._mark(), monotonic()
        while not await self.db.fetchval(
            "SELECT coalesce(pg_visible_in_snapshot($1::text::xid8, snapshot), false) FROM net.order_reconciler", xid
        ):
            assert monotonic() - began < 10, "not reconciled within the limit"
            await asyncio.sleep(0.02)

    def fingerprint(self, login_id: int, service: str = PPPOE, **asked: Any) -> int | None:
        """What the login would be granted now."""
        session = LiveSession((UUID(int=1), 0), login_id, 0, 1, service + "000001", 0, "", "", 0.0, None)
        (judgement,) = self.looking.look([session._replace(**asked)], {}, Occasion(Trigger.CHANGE, clock.wall_s()))
        return judgement.wish.fingerprint if judgement.wish else None

    async def session(
        self, login_id: int, service: str = PPPOE, *, granted: bool = True, ago_s: float = 0.0, **columns: Any
    ) -> UUID:
        """A session that goes on, with the grant of now in its Class."""
        self._numbers += 1
        started = datetime.now(UTC) - timedelta(seconds=ago_s)
        values = {
            "login_id": login_id,
            "contract_id": login_id,
            "plan_id": 1,
            "acct_session_id": f"{service}{self._numbers:06x}",
            "user_name": f"user{login_id:06d}",
            "ipv4": f"10.0.{self._numbers >> 8}.{self._numbers & 255}",
            "ipv6_prefix": f"2001:db8:{self._numbers:x}::/64",
            "delegated_ipv6_prefix": f"2001:db8:ff:{self._numbers:x}00::/56",
            "source_address": "127.0.0.1",
        }
        if granted:
            asked = {"mac": int(columns.get("mac", "0").replace(":", ""), 16)}
            values["grant_fingerprint"] = self.fingerprint(login_id, service, **asked)
        return await add_session(self.db, started=started, heard=started, **(values | columns))

    async def sessions(self, login_ids: range | list[int], **columns: Any) -> dict[int, UUID]:
        """One session of each login."""
        return {login_id: await self.session(login_id, **columns) for login_id in login_ids}

    async def orders(self, what: str = "state") -> dict[str, int]:
        """How many orders there are, by one of their columns."""
        rows = await self.db.fetch(f"SELECT {what}::text AS of, count(*) FROM net.network_order GROUP BY 1")
        return {row["of"]: row["count"] for row in rows}

    async def has(self, expected: dict[str, int], what: str = "state", limit_s: float = 10.0) -> None:
        """Wait until there are just these orders."""
        began = monotonic()
        while (found := await self.orders(what)) != expected:
            assert monotonic() - began < limit_s, f"{found} and not {expected}"
            await asyncio.sleep(0.02)

    async def order(self, family: UUID) -> asyncpg.Record | None:
        """The newest order about a session."""
        return await self.db.fetchrow(
            "SELECT * FROM net.network_order WHERE family = $1 ORDER BY id DESC LIMIT 1", family
        )

    async def ordered(self, family: UUID, limit_s: float = 10.0) -> asyncpg.Record:
        """Wait for an order about a session."""
        began = monotonic()
        while (found := await self.order(family)) is None:
            assert monotonic() - began < limit_s, "no order within the limit"
            await asyncio.sleep(0.01)
        return found

    async def swept(self) -> None:
        """Wait until all sessions were looked at."""
        await until(lambda: self.count("swept_at_seconds") > 0)

    async def known(self) -> None:
        """Wait until what every session was granted is kept."""
        began = monotonic()
        while await self.db.fetchval(
            "SELECT count(*) FROM net.session WHERE ended_at IS NULL AND grant_fingerprint IS NOT NULL "
            "AND NOT EXISTS (SELECT FROM net.grant_form WHERE fingerprint = grant_fingerprint)"
        ):
            assert monotonic() - began < 10, "sessions that began are not known"
            await asyncio.sleep(0.02)


@asynccontextmanager
async def order_house(
    dsn: str, directory: Path, seed: str, *, fed: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[OrderHouse]:
    """Make one; nothing is reconciled yet. `fed`: settings of the feed."""
    db = await asyncpg.connect(dsn, server_settings={"synchronous_commit": "off"})
    try:
        await db.execute(seed)
        async with running(Node(dsn, directory, **({"poll_interval_s": 0.1} | (fed or {})))) as node:
            await until(lambda: node.meta is not None)
            yield OrderHouse(dsn, directory, db, node, **settings)
    finally:
        await db.close(timeout=5)


def _position(looking: Looking) -> str:
    position = looking.position()
    return position.snapshot if position is not None else "0:0:"


async def until(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    """Wait until it is true."""
    began = monotonic()
    while not condition():
        assert monotonic() - began < limit_s, "not within the limit"
        await asyncio.sleep(0.01)
