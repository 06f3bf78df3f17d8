"""Rule R7.2 in the radius service: addresses of our own pools, over real UDP and with a real PostgreSQL."""

from pathlib import Path

import asyncpg
import pytest
from address_house import living, make_pool, pool

from aaad.radius import counters as names
from aaad.radius.addresses import Counted


@pytest.fixture
async def db(dsn):
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


async def test_who_dials_gets_an_address_of_the_pool_and_the_ledger_has_it(dsn, db, tmp_path: Path) -> None:
    await make_pool(db, pool(), "100.64.0.0/24")
    async with living(dsn, tmp_path, [pool()]) as house:
        await house.until_supplied()
        given = {await house.address(b"u%d" % number): number for number in range(1, 6)}
        assert len(given) == 5
        assert await house.leases() == given
        assert house.service.count(names.addresses(Counted.CLAIMED)) == 0  # counted once a second
