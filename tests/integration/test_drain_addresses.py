"""Addresses given out while PostgreSQL was away come into the ledger (rule R7.2), against a real PostgreSQL."""

import asyncio
import random

import asyncpg
import pytest
from drain_house import House

from aaad.spool.records import AddressBound, RouterSeen

AT_S = 1_700_000_000.0
POOLS = """
INSERT INTO net.node (id, name) VALUES (1, 'node-1');
INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'n', '192.0.2.0/24', 's');
INSERT INTO net.pool (id, name, kind, family, prefix_length) VALUES
    (1, 'cgnat', 'radius', 'ipv4', 32), (2, 'casa', 'radius', 'delegated', 56);
"""
FOREIGN = "INSERT INTO net.lease (address_space, address, state) VALUES (1, '100.64.0.1', 'foreign')"
LEDGER = """
SELECT address::text, state, login_id, device, nas_id, pool_id,
    extract(epoch FROM offered_at)::float8 AS offered_at_s, extract(epoch FROM valid_until)::float8 AS valid_until_s
FROM net.lease ORDER BY address_space, address
"""
FINDINGS = "SELECT address::text, kind, login_id, holder_id, nas_id FROM net.address_finding ORDER BY address, kind"
RELEASED = """
INSERT INTO net.lease
    (address_space, address, pool_id, state, login_id, offered_at, valid_until, released_at, free_from)
SELECT 1, address::cidr, 1, 'released', login_id, to_timestamp(offered), to_timestamp(valid), to_timestamp(released),
    now()
FROM (VALUES
    ('100.64.0.1', 5, $1::float8 - 9, $1 + 900, $1 + 9),
    ('100.64.0.2', 6, $1 + 5, $1 + 905, $1 + 9),
    ('100.64.0.3', 6, $1 - 99, $1 + 1e6, $1 - 9),
    ('100.64.0.4', NULL, NULL, NULL, $1 + 9)
) AS given (address, login_id, offered, valid, released)
"""


@pytest.fixture
async def house(dsn, tmp_path):
    made = House(dsn, tmp_path / "spool")
    sql = await asyncpg.connect(dsn)
    await sql.execute(POOLS)
    await sql.close()
    yield made
    await made.database.close()


def bound(unit: int, login_id: int, *, at_s: float = 0.0, pool_id: int = 1, space: int = 1) -> AddressBound:
    return AddressBound(1, 0, AT_S + at_s, space, pool_id, f"100.64.0.{unit}/32", login_id, 77, 3, 86_400)


async def rows(house: House, sql: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in await house.database.fetch(sql)]


def outcomes(house: House) -> dict[str, int]:
    counts = {
        name: house.count(f"aaad_drain_addresses_total|outcome={name}")
        for name in ("bound", "known", "late", "conflict")
    }
    return {name: count for name, count in counts.items() if count}


async def test_r7_2_what_was_bound_while_postgresql_was_away_is_in_the_ledger(house):
    prefix = AddressBound(1, 0, AT_S, 1, 2, "2001:db8:0:700::/56", 5, 77, 3, 900)
    house.put([bound(7, 5), prefix, bound(7, 6, space=2), bound(7, 5, at_s=60)])
    await house.drain_all()
    end_s = AT_S + 86_400
    assert await rows(house, LEDGER) == [
        ("100.64.0.7/32", "bound", 5, 77, 3, 1, AT_S + 60, end_s + 60),
        ("2001:db8:0:700::/56", "bound", 5, 77, 3, 2, AT_S, AT_S + 900),
        ("100.64.0.7/32", "bound", 6, 77, 3, 1, AT_S, end_s),
    ]
    changed = await house.value("SELECT max(changed::text::bigint) FROM net.lease")
    house.put([bound(7, 5), bound(7, 5, at_s=60)], slot="radius-1")  # once more, by another spool
    await house.drain_all()
    assert await house.value("SELECT max(changed::text::bigint) FROM net.lease") == changed
    assert await rows(house, FINDINGS) == []
    assert outcomes(house) == {"bound": 3, "known": 1}
    assert house.count("aaad_drain_records_total|kind=address_bound") == 6


async def test_r7_2_what_the_ledger_says_otherwise_is_a_finding_and_is_not_lost(house):
    await house.database.execute(
        "INSERT INTO net.lease (address_space, address, pool_id, state, login_id, offered_at, valid_until) VALUES "
        "(1, '100.64.0.1', 1, 'bound', 9, now(), now() + interval '1 day'),"
        "(1, '100.64.0.2', NULL, 'fixed', 9, NULL, NULL), (1, '100.64.0.3', NULL, 'fixed', 5, NULL, NULL),"
        "(1, '100.64.0.4', NULL, 'foreign', 5, NULL, NULL)"
    )
    house.put([bound(1, 5), bound(2, 5), bound(3, 5), bound(4, 5), bound(9, 5, pool_id=77)])
    await house.drain_all()
    assert [row[:3] for row in await rows(house, LEDGER)] == [
        ("100.64.0.1/32", "bound", 9),
        ("100.64.0.2/32", "fixed", 9),
        ("100.64.0.3/32", "fixed", 5),
        ("100.64.0.4/32", "bound", 5),
        ("100.64.0.9/32", "foreign", 5),
    ]
    found = [
        ("100.64.0.1/32", "of_another", 5, 9, 3),
        ("100.64.0.2/32", "of_another", 5, 9, 3),
        ("100.64.0.9/32", "not_given", 5, None, 3),
    ]
    assert await rows(house, FINDINGS) == found
    assert outcomes(house) == {"bound": 1, "known": 1, "conflict": 3}
    house.put([bound(1, 5, at_s=60), bound(1, 5, at_s=-60)], slot="radius-1")
    await house.drain_all()
    assert await rows(house, FINDINGS) == found
    seen = "SELECT extract(epoch FROM last_seen)::float8 FROM net.address_finding WHERE address = '100.64.0.1'"
    assert await house.value(seen) == AT_S + 60


async def test_r7_2_what_comes_late_brings_nothing_back(house):
    await house.database.execute(RELEASED, AT_S)
    house.put([bound(unit, 5) for unit in (1, 2, 3, 4)])
    await house.drain_all()
    assert [row[:3] for row in await rows(house, LEDGER)] == [
        ("100.64.0.1/32", "released", 5),
        ("100.64.0.2/32", "released", 6),
        ("100.64.0.3/32", "bound", 5),
        ("100.64.0.4/32", "bound", 5),
    ]
    assert await house.value("SELECT array_agg(key) FROM net.change WHERE kind = 'lease'") == [6]
    valid_until_s = "SELECT extract(epoch FROM valid_until)::float8 FROM net.lease WHERE address = '100.64.0.3'"
    assert await house.value(valid_until_s) == AT_S + 1e6, "nodes may believe in it so long"
    assert outcomes(house) == {"bound": 2, "late": 2}


async def test_r7_2_a_row_that_somebody_holds_is_bound_later_and_holds_up_nothing(house):
    await house.database.execute(FOREIGN)
    other = house.connect()
    async with other.transaction("read_committed") as blocking:
        await blocking.execute("UPDATE net.lease SET nas_id = 1")
        await blocking.execute(FOREIGN.replace("0.1", "0.3"))
        house.put([bound(1, 5), bound(2, 5), RouterSeen(1, "192.0.2.7", b"bng", "", AT_S)])
        async with house.draining():
            await house.until("SELECT state FROM net.lease WHERE address = '100.64.0.2'", "bound")
            assert await house.value("SELECT count(*) FROM net.router") == 1
            assert await house.value("SELECT count(*) FROM net.spool_deferred") == 1
            house.put([bound(3, 5), bound(4, 5)], slot="radius-1")  # about to be inserted by somebody
            await house.until("SELECT count(*) FROM net.spool_deferred WHERE record IS NOT NULL", 3)
            await blocking.execute("COMMIT")
            await blocking.execute("BEGIN")
            await house.until("SELECT count(*) FROM net.lease WHERE state = 'bound'", 4)
            await house.until("SELECT count(*) FROM net.spool_deferred", 0)
    await other.close()
    assert await rows(house, FINDINGS) == []


async def test_r7_2_two_nodes_and_their_ledger_agree_in_any_order(house, dsn):
    """Many addresses, some told twice, some of two logins: each ends with one holder, if need be with a finding."""
    choice = random.Random(7)
    records = [bound(unit, 1 + unit % 9, at_s=float(unit)) for unit in range(1, 200)]
    records += [bound(unit, 100, at_s=unit + 0.5) for unit in range(1, 200, 7)]
    told = records + choice.sample(records, 60)
    choice.shuffle(told)
    house.put(told[::2])
    house.put(told[1::2], slot="radius-1")
    await asyncio.gather(house.drain_all(), House.drain_all(house, node="node-2"))
    holders = {row[0]: row[2] for row in await rows(house, LEDGER)}
    assert len(holders) == 199
    twice = {f"100.64.0.{unit}/32" for unit in range(1, 200, 7)}
    found = {row[0]: {row[2], row[3]} for row in await rows(house, FINDINGS)}
    assert found == {address: {holders[address], 100, *found[address]} for address in twice}
    assert all(len(pair) == 2 for pair in found.values())
    assert {holders[address] for address in holders.keys() - twice} == set(range(1, 10))
