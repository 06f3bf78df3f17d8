"""Orders cost what is taken and saved, however many wait and are in hand: pages are counted, not time."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from aaad.db.connection import Database
from aaad.orders.carrying import Carrying, Result, Room
from aaad.orders.store import OrderStore
from aaad.orders.wish import Wish

ROUTERS, EACH = 20, 150
ROOM = 50  # in hand at each
QUIET = 60
PAGES_EACH = 40  # a page of each index that a row stands in, and its own, twice: it is locked, then written
PAGES_ANYHOW = 400
SEED = """
INSERT INTO erp.branch (id, name) VALUES (1, 'Matriz');
INSERT INTO erp.client (id, branch_id, kind, name) VALUES (1, 1, 'E', 'Ana');
INSERT INTO erp.plan (id, name, upload, download) VALUES (1, 'p', '10M', '10M');
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status) VALUES (1, 1, 1, 1, 'A');
INSERT INTO erp.login (id, contract_id, name, password) VALUES (1, 1, 'ana', 'x');
INSERT INTO net.node (id, name, heartbeat_at) VALUES (1, 'n1', now());
INSERT INTO net.nas (id, name, address, secret)
    SELECT number, 'nas ' || number, ('192.0.2.' || number)::cidr, 's' FROM generate_series(1, %(routers)s) AS number;
INSERT INTO net.router (id, nas_id, source_address, nas_identifier)
    SELECT id, id, host(address)::inet, '' FROM net.nas;
INSERT INTO net.nas_server (router_id, node_id, local_address, last_heard)
    SELECT id, 1, '127.0.0.1', now() FROM net.router;
INSERT INTO net.session (family, life, summary, acct_session_id, user_name, time_zone, login_id, nas_id,
        source_address, nas_identifier, start_seen, records, started_at, heard_at)
    SELECT gen_random_uuid(), 0, '', '81' || number, 'ana', 'UTC', 1, router.id, source_address, '', true, 1, now(),
        now()
    FROM net.router, generate_series(1, %(each)s) AS number;
"""


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    await connection.execute(SEED % {"routers": ROUTERS, "each": EACH})
    yield connection
    await connection.close()


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    door = Database(dsn, connect_timeout_s=5, statement_timeout_s=30, application_name="test", plans_anew=True)
    yield door
    await door.close()


async def pages(db: asyncpg.Connection) -> int:
    """Return how many pages of orders and of their indexes this database's other connections have asked for."""
    await db.execute("SELECT pg_stat_clear_snapshot()")
    return await db.fetchval(
        "SELECT heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read FROM pg_statio_all_tables "
        "WHERE relid = 'net.network_order'::regclass"
    )


class Meter:
    """Tells what the connection of the orders touched."""

    def __init__(self, db: asyncpg.Connection, database: Database) -> None:
        self._db = db
        self._database = database

    async def told(self) -> int:
        await self._database.execute("SELECT pg_stat_force_next_flush()")
        await self._database.execute("SELECT 1")
        return await pages(self._db)


@pytest.mark.parametrize("counted", ["never", "in a quiet hour", "as they come"])
async def test_what_is_taken_and_saved_is_what_it_costs(db, database, counted):
    carrying, meter = Carrying(database), Meter(db, database)
    keys = [(row["family"], 0) for row in await db.fetch("SELECT family FROM net.session")]
    wishes = [Wish(key, True, "disconnect", "block", True, needs=5) for key in keys]
    await db.execute("UPDATE net.node SET snapshot = pg_current_snapshot(), applied_at = now()")
    if counted == "in a quiet hour":
        await OrderStore(database).put(wishes[:QUIET])
        taken = await carrying.take(1, {}, room=Room(ROOM, ROOM), count=1_000)
        await carrying.save(1, [Result(one.order, "done", tried=1) for one in taken])
        await db.execute("ANALYZE net.network_order")
    for start in range(0, len(wishes), 500):
        await OrderStore(database).put(wishes[start : start + 500])
        if counted == "as they come" and not start:
            await db.execute("ANALYZE net.network_order")
    for _ in range(2):
        before = await meter.told()
        in_hand = await carrying.take(1, {}, room=Room(ROOM, ROOM), count=1_000)
        assert len(in_hand) == ROUTERS * ROOM
        taken_at = await meter.told()
        assert taken_at - before < PAGES_EACH * len(in_hand) + PAGES_ANYHOW
        assert (
            await carrying.take(
                1, dict.fromkeys(range(1, ROUTERS + 1), Room(0, 0)), room=Room(ROOM, ROOM), count=1_000
            )
            == []
        )
        full_at = await meter.told()
        assert full_at - taken_at < PAGES_ANYHOW, "no room: nothing is looked at"
        saved = await carrying.save(1, [Result(one.order, "done", tried=1) for one in in_hand])
        assert len(saved) == len(in_hand)
        assert await meter.told() - full_at < PAGES_EACH * len(in_hand) + PAGES_ANYHOW


async def test_what_is_in_hand_is_not_passed_over_at_each_take(db, database):
    carrying, meter = Carrying(database), Meter(db, database)
    keys = [(row["family"], 0) for row in await db.fetch("SELECT family FROM net.session")]
    await OrderStore(database).put([Wish(key, True, "disconnect", "block", True) for key in keys])
    for _ in range(ROUTERS * EACH // 1_000):
        assert len(await carrying.take(1, {}, room=Room(EACH, EACH), count=1_000)) == 1_000
    await db.execute("VACUUM net.network_order")
    before = await meter.told()
    assert await carrying.take(1, {}, room=Room(EACH, EACH), count=1_000) == []
    assert await meter.told() - before < PAGES_ANYHOW
