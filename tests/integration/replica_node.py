"""A node's feed in the test's own process, and plain SQL as an ERP would write it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import asyncpg

from aaad import clock
from aaad.db.connection import Database
from aaad.metrics import CounterFile
from aaad.policy.decide import standing
from aaad.policy.facts import LoginFacts
from aaad.policy.lease import Lease, decode_leases
from aaad.policy.parameters import BranchPolicy
from aaad.replica.brake import BrakeLimits
from aaad.replica.compile import DIGEST_MASK, compile_login, facts_of
from aaad.replica.feed import FEED_COUNTERS, Feed, FeedSettings
from aaad.replica.layout import ReplicaMeta
from aaad.replica.record import Tables, mac_of
from aaad.replica.source import read_tables

SEED = """
INSERT INTO erp.branch (id, name) VALUES (1, 'Matriz');
INSERT INTO erp.client (id, branch_id, kind, name) SELECT n, 1, 'E', 'Client ' || n FROM generate_series(1, $N) n;
INSERT INTO erp.plan (id, name, upload, download)
    VALUES (1, 'Fibra 50', '25M', '50M'), (2, 'Fibra 100', '50M', '100M');
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status)
    SELECT n, n, 1, 1, 'A' FROM generate_series(1, $N) n;
INSERT INTO erp.login (id, contract_id, name, password)
    SELECT n, n, 'user' || lpad(n::text, 6, '0'), 'pass' || n FROM generate_series(1, $N) n;
INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'one', '127.0.0.0/8', 'testing123');
"""


class Node:
    """One node: its feed, and what its replica says."""

    def __init__(self, dsn: str, directory: Path, *, name: str = "node-a", **settings: object) -> None:
        self.counters = CounterFile(directory / f"{name}.cnt", FEED_COUNTERS)
        values: dict[str, object] = {
            "map_size_bytes": 1 << 30,
            "poll_interval_s": 0.2,
            "checksum_interval_s": 3600.0,
            "change_log_keep_s": 86400.0,
            "brake": BrakeLimits(minimum_count=50),
            "connect_timeout_s": 2.0,
            "statement_timeout_s": 2.0,
        }
        self.directory = directory / f"replica-{name}"
        self.feed = Feed(
            dsn,
            self.directory,
            node_name=name,
            counters=self.counters,
            settings=FeedSettings(**(values | settings)),  # type: ignore[arg-type]
        )
        self.stopping = asyncio.Event()

    @property
    def meta(self) -> ReplicaMeta | None:
        return self.feed._meta

    def count(self, name: str) -> int:
        return self.counters.cells[self.counters.index[f"aaad_replica_{name}"]]

    def login(self, name: str) -> LoginFacts | None:
        generation = self.feed._writer.current
        if generation is None:
            return None
        with generation.read() as read:
            return facts_of(read.record(name.encode()))

    def standing(self, name: str) -> str:
        facts = self.login(name)
        return "UNKNOWN" if facts is None else standing(facts, BranchPolicy(0), clock.wall_s()).name

    def tables(self) -> Tables:
        with self.feed._generation().read() as read:
            return read.tables()

    def aliases(self) -> dict[bytes, bytes]:
        with self.feed._generation().read() as read:
            return read.aliases()

    def held_ids(self) -> list[int]:
        with self.feed._generation().read() as read:
            return read.pending_ids()

    def leases(self) -> dict[int, list[Lease]]:
        with self.feed._generation().read() as read:
            return {login_id: decode_leases(data) for login_id, data in read.leases()}

    def contents(self) -> dict[bytes, bytes]:
        """Every record by its name, and the sums checked against them."""
        with self.feed._generation().read() as read:
            sources = dict(read.sources())
            pending = {login_id: read.pending(login_id) for login_id in read.pending_ids()}
            meta = read.meta()
            aliases = read.aliases()
            records = {source.name: read.record(source.name) for source in sources.values() if source.name}
        digests = {login_id: source.digest for login_id, source in sources.items() if login_id not in pending}
        digests |= {
            login_id: held.digest for login_id, held in pending.items() if held is not None and held.is_present
        }
        total = 0
        for digest in digests.values():
            total ^= digest
        assert (meta.count, meta.digest) == (len(digests), total)
        assert aliases == {mac_of(record): name for name, record in records.items() if mac_of(record or b"")}
        return records  # type: ignore[return-value]


@asynccontextmanager
async def running(node: Node) -> AsyncIterator[Node]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(node.feed.run(node.stopping))
        try:
            yield node
        finally:
            node.stopping.set()
            async with asyncio.timeout(10):
                await asyncio.wait([task])


async def until(condition: Callable[[], object], limit_s: float = 5.0) -> float:
    """Wait until it is true; return how long that took."""
    began = monotonic()
    while not condition():
        assert monotonic() - began < limit_s, "not within the limit"
        await asyncio.sleep(0.005)
    return monotonic() - began


@asynccontextmanager
async def erp(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn, server_settings={"synchronous_commit": "off"})  # sooner done
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


async def seed(dsn: str, logins: int) -> None:
    async with erp(dsn) as connection:
        await connection.execute(SEED.replace("$N", str(logins)))


async def expected_tables(dsn: str) -> Tables:
    """The small tables as they stand in the database; their generation is nobody's."""
    database = Database(dsn, connect_timeout_s=5, statement_timeout_s=30, application_name="test")
    try:
        async with database.transaction("repeatable_read", readonly=True) as queries:
            return await read_tables(queries, 1)
    finally:
        await database.close()


async def expected_leases(dsn: str) -> dict[int, list[Lease]]:
    """What a replica of this database must know of the ledger."""
    async with erp(dsn) as connection:
        rows = await connection.fetch(
            "SELECT login_id, pool_id, device, trunc(extract(epoch FROM valid_until))::bigint, address "
            "FROM net.lease WHERE state = 'bound' ORDER BY 4 DESC, address"
        )
    found: dict[int, list[Lease]] = {}
    for login_id, pool_id, device, valid_until_s, address in rows:
        number, length = int(address.network_address), address.prefixlen
        lease = Lease(pool_id, device, valid_until_s, address.version, number, length)
        found.setdefault(login_id, []).append(lease)
    return found


async def expected_contents(dsn: str) -> dict[bytes, bytes]:
    """What a replica of this database must hold, compiled from all rows at once."""
    async with erp(dsn) as connection:
        rows = await connection.fetch("SELECT * FROM net.login_source")
        total = await connection.fetchrow(
            "SELECT count(*) AS count, coalesce(bit_xor(digest), 0) AS digest FROM net.login_source"
        )
    compiled = [compile_login(row) for row in rows]
    digest = 0
    for login in compiled:
        digest ^= login.digest
    assert (total["count"], total["digest"] & DIGEST_MASK) == (len(compiled), digest)
    return {login.name: login.record for login in compiled}
