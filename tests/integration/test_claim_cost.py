"""A claim and a binding cost the same in a small empty pool and in a large full one: pages are counted, not time."""

import json

import pytest
from pool_house import House, Process, house_of, wish

from aaad.pools.store import batch_of

CHUNK = 256
BATCH = 64


@pytest.fixture
async def house(dsn):
    async with house_of(dsn) as made:
        yield made


async def pages(house: House, sql: str, *args: object) -> int:
    """Return how many pages a statement touched, those within functions included."""
    row = await house.database.fetchrow(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", *args)
    plan = json.loads(row[0])[0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


async def claim_pages(house: House, pool: int, process: Process) -> int:
    sql = "SELECT net.claim_units($1::integer, $2::integer, 0, $3::uuid, $4::integer)"
    await house.database.fetch("SELECT net.claim_units(0, 0, 0, $1::uuid, 1)", process.life)  # plans are made
    return await pages(house, sql, pool, process.node, process.life, CHUNK)


async def bind_pages(house: House, pool: int, process: Process, first_login: int) -> int:
    (claimed, *_) = await process.store.load_reserves(process.life)
    wishes = [wish(pool, first_login + place, claimed, place) for place in range(BATCH)]
    are_long = {7, 10}  # reserves and devices
    columns = ", ".join(f"${n}::text::{'bigint' if n in are_long else 'integer'}[]" for n in range(3, 11))
    sql = f"SELECT net.bind_batch($1::integer, 0, $2::uuid, {columns}, $11::text::text[])"
    return await pages(house, sql, process.node, process.life, *batch_of(wishes).columns)


async def fill(house: House, pool: int, from_unit: int, until_unit: int, state: str) -> None:
    """Put units of a pool into the ledger as if they had been claimed and bound, and, if so, released."""
    await house.database.execute(
        """
        INSERT INTO net.lease (address_space, address, pool_id, state, login_id, device, offered_at, valid_until,
            released_at, free_from)
        SELECT 1, (range.first + number)::cidr, range.pool_id, $4, 1000000 + number, number, now(), now(),
            CASE $4 WHEN 'released' THEN now() END, CASE $4 WHEN 'released' THEN now() + number * interval '1 us' END
        FROM net.pool_range AS range, generate_series($2::integer, $3::integer - 1) AS number WHERE range.pool_id = $1
        """,
        pool, from_unit, until_unit, state,
    )  # fmt: skip
    await house.database.execute("UPDATE net.pool_range SET next = $2 WHERE pool_id = $1", pool, until_unit)


async def check_costs_alike(house: House, large: str, full: int, size: int) -> None:
    node = await house.node()
    await house.database.execute("UPDATE net.node SET settled = pg_current_snapshot()")
    empty = await house.pool("192.0.2.0/24", name="empty")
    of_empty = Process(house.database, node)
    new = await claim_pages(house, empty, of_empty)
    bound = await bind_pages(house, empty, of_empty, 1)

    resting = await house.pool("198.18.0.0/21", name="rested", quarantine_s=0)
    await fill(house, resting, 0, 2048, "released")
    await house.database.execute("UPDATE net.node SET settled = pg_current_snapshot()")
    again = await claim_pages(house, resting, Process(house.database, node))

    pool = await house.pool(large, name="large", quarantine_s=0)
    await fill(house, pool, 0, full, "bound")
    await house.database.execute("VACUUM ANALYZE net.lease")
    of_large = Process(house.database, node)
    assert await claim_pages(house, pool, of_large) <= new * 1.2 + 10
    assert (
        await bind_pages(house, pool, of_large, 1000) <= bound * 1.6 + 10
    )  # an index of so many rows is a level higher

    # Nothing of it was never given out; a hundredth was released.
    await house.database.execute("DELETE FROM net.reserve; UPDATE net.pool_range SET next = units")
    await fill(house, pool, full + CHUNK, size, "released")
    await house.database.execute("VACUUM ANALYZE net.lease")
    await house.database.execute("UPDATE net.node SET settled = pg_current_snapshot()")
    assert await claim_pages(house, pool, Process(house.database, node)) <= again * 1.6 + 10


async def test_a_pool_that_is_99_percent_full_claims_like_an_empty_one(house: House):
    await check_costs_alike(house, "100.64.0.0/16", 64_880, 65_536)


@pytest.mark.soak
async def test_a_slash_12_that_is_99_percent_full_claims_like_an_empty_slash_24(house: House):
    await check_costs_alike(house, "100.64.0.0/12", 1_038_090, 1_048_576)
