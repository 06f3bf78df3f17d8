"""Two statements meet at a unit of the ledger: whoever comes second, it is in one place afterwards (rule R7.2)."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest
from pool_house import House, Process, house_of, units, wish

from aaad.db.connection import Database
from aaad.errors import StoreError
from aaad.pools.keeping import RESERVES_AT_ONCE
from aaad.pools.keeping import SQL as KEEPING
from aaad.pools.store import Bound, Outcome

ONE = "100.64.0.0/32"
CLAIM = "SELECT net.claim_units($1, $2, 0, $3, 4)"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
async def house(dsn):
    async with house_of(dsn) as made:
        yield made


@asynccontextmanager
async def other(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection for what another process does meanwhile."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def until_waiting(connection: asyncpg.Connection) -> None:
    """Wait until a statement waits for a lock; it is due at once, or never."""
    async with asyncio.timeout(10):
        while not await connection.fetchval(WAITING):
            await asyncio.sleep(0.01)


async def while_claimed(dsn: str, pool: int, node: int, meeting: Awaitable[object]) -> None:
    """Let something meet a claim that has deleted what it sets aside, and is not committed yet."""
    async with other(dsn) as claiming, other(dsn) as looking:
        transaction = claiming.transaction()
        await transaction.start()
        assert await claiming.fetchval(CLAIM, pool, node, uuid4()) is not None
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_awaited(meeting))
            await until_waiting(looking)
            await transaction.commit()
        assert task.done()


async def _awaited(meeting: Awaitable[object]) -> None:
    await meeting


async def half_used(house: House) -> tuple[int, Process, int]:
    """A pool whose first unit was given out and released, while another of the same reserve was not; the reserve."""
    pool = await house.pool("100.64.0.0/31", quarantine_s=0)
    process = Process(house.database, await house.node("n1"))
    claimed = await process.claim(pool, 2)
    await process.bind(wish(pool, 7, claimed))
    await house.release(ONE)
    return pool, process, claimed.reserve_id


async def test_what_is_given_back_while_another_claims_it_is_in_one_place(house: House, dsn: str):
    """By a process that does not know what became of it, as one that was killed: it is claimed, and stays so."""
    pool, one, reserve = await half_used(house)
    two = Process(house.database, await house.node("n2"))
    await house.hears(one.node, two.node)
    back = one.store.give_back(reserve, units(ONE, "100.64.0.1/32"), 4)
    await while_claimed(dsn, pool, two.node, back)
    assert await house.lease(ONE) is None
    assert await house.unaccounted(pool) == 0
    await house.hears(one.node, two.node)
    assert (await one.claim(pool, 4)).units == units("100.64.0.1/32")


async def test_what_is_taken_back_while_another_claims_it_is_in_one_place(house: House, dsn: str):
    """An abandoned reserve that goes back to its pool has units that were given out and released long ago."""
    pool, one, _ = await half_used(house)
    two = Process(house.database, await house.node("n2"))
    await house.hears(one.node, two.node)
    await one.store.abandon(uuid4())
    await house.database.execute("UPDATE net.node SET drain_watermark = now() + interval '61 seconds'")
    await while_claimed(dsn, pool, two.node, house.database.fetchrow(KEEPING.take_back_reserves, RESERVES_AT_ONCE))
    assert await house.value("SELECT array_agg(node_id) FROM net.reserve") == [two.node]
    assert await house.lease(ONE) is None
    assert await house.unaccounted(pool) == 0


async def test_what_is_included_again_while_another_claims_it_is_in_one_place(house: House, dsn: str):
    """The end of an exclusion puts into the ledger what claims went past."""
    pool = await house.pool("100.64.0.0/31", quarantine_s=0)
    one, two = Process(house.database, await house.node("n1")), Process(house.database, await house.node("n2"))
    claimed = await one.claim(pool, 2)
    await one.bind(wish(pool, 7, claimed), wish(pool, 8, claimed, 1))
    assert await one.claim(pool, 2) is None  # its reserve is used up, and gone
    excluded = await house.exclude(await house.value("SELECT id FROM net.pool_range"), 0, 1)
    await house.release(ONE)
    await house.hears(one.node, two.node)
    async with other(dsn) as operator, other(dsn) as claiming, other(dsn) as looking:
        async with operator.transaction(), asyncio.TaskGroup() as group:
            await operator.execute("SELECT FROM net.pool_exclusion FOR UPDATE")
            transaction = claiming.transaction()
            await transaction.start()
            assert await claiming.fetchval(CLAIM, pool, two.node, two.life) is not None
            including = group.create_task(operator.execute("DELETE FROM net.pool_exclusion WHERE id = $1", excluded))
            await until_waiting(looking)
            await transaction.commit()
        assert including.result() == "DELETE 1"
    assert await house.value("SELECT addresses::text[] FROM net.reserve") == [ONE]
    assert await house.lease(ONE) is None
    assert await house.unaccounted(pool) == 0


async def test_who_cannot_see_what_others_claim_gives_nothing_back(house: House, dsn: str):
    """Neither by a transaction that keeps a snapshot; our own statements do not, whatever is the default there."""
    _, _, reserve = await half_used(house)
    excluded = await house.exclude(await house.value("SELECT id FROM net.pool_range"), 1, 2)
    async with other(dsn) as erp:
        for statement, argument in (
            ("SELECT net.give_back($1, '{100.64.0.1/32}')", reserve),
            ("DELETE FROM net.pool_exclusion WHERE id = $1", excluded),
        ):
            with pytest.raises(asyncpg.SerializationError):
                async with erp.transaction(isolation="repeatable_read"):
                    await erp.execute(statement, argument)
        name = await erp.fetchval("SELECT quote_ident(current_database())")
        await erp.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    fresh = Database(dsn, connect_timeout_s=5, statement_timeout_s=5, application_name="test")
    try:
        told = await fresh.fetchrow("SELECT net.give_back($1, '{100.64.0.1/32}') AS given", reserve)
        assert told is not None
        assert told["given"] == 1
    finally:
        await fresh.close()


async def test_a_binding_that_is_carried_out_late_gives_nothing_of_an_abandoned_reserve(house: House, dsn: str):
    """Its process is gone, and so is its connection; PostgreSQL comes to the statement when others have the unit."""
    pool = await house.pool("100.64.0.0/30", quarantine_s=0)
    database = Database(dsn, connect_timeout_s=5, statement_timeout_s=20, application_name="late")
    one = Process(database, await house.node("n1"))
    two = Process(house.database, await house.node("n2"))
    claimed = await one.claim(pool, 4)
    await one.bind(wish(pool, 6, claimed, 3))  # the statement is prepared: the next one is sent as a whole
    pid = (await database.fetchrow("SELECT pg_backend_pid()"))[0]
    await house.database.execute("UPDATE net.node SET drain_watermark = now() + interval '61 seconds'")
    os.kill(pid, signal.SIGSTOP)
    try:
        binding = asyncio.ensure_future(one.bind(wish(pool, 7, claimed)))
        await asyncio.sleep(0.1)  # it is on its way
        binding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await binding
        await Process(house.database, one.node).store.abandon(uuid4())
        row = await house.database.fetchrow(KEEPING.take_back_reserves, RESERVES_AT_ONCE)
        await house.hears(one.node, two.node)
        anew = await two.claim(pool, 4)
    finally:
        os.kill(pid, signal.SIGCONT)
    async with asyncio.timeout(10):
        while await house.value("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid):
            await asyncio.sleep(0.01)
    assert (row["units"], anew.units) == (3, claimed.units[:3])
    assert await two.bind(wish(pool, 8, anew)) == [Bound(Outcome.NEW, anew.units[0])]
    assert await house.unaccounted(pool) == 0


async def test_a_ledger_that_contradicts_itself_may_have_bound_all_the_same(house: House):
    """Then nobody else may get these units: who is told so keeps them marked."""
    pool = await house.pool("100.64.0.0/31", quarantine_s=0)
    process = Process(house.database, await house.node("n1"))
    claimed = await process.claim(pool, 2)
    await house.database.execute(
        "CREATE OR REPLACE FUNCTION net.bind_batch(node integer, slot integer, life uuid, address_spaces integer[],"
        " pools integer[], nases integer[], seconds integer[], reserves bigint[], terms integer[], logins integer[],"
        " devices bigint[], candidates text[]) RETURNS TABLE (number integer, bound text) LANGUAGE sql"
        " AS $$ SELECT 0, '5' $$"
    )
    with pytest.raises(StoreError, match="another number") as told:
        await process.bind(wish(pool, 7, claimed))
    assert told.value.may_have_committed
