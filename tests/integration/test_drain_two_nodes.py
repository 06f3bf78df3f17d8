"""Two nodes drain records of the same sessions while everything goes wrong at once, and the rows are those of a fold
that knows nothing of it (rules R4.6, R6.1, R9.1).

Records come twice, in any order, at either node. Both drains are ended in the midst of whatever they do, a stranger
holds rows, and sessions that ended are moved to history at once, to be brought back by the next record.
"""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from accounting_records import INTERIM, START, STOP, accounting, class_of
from drain_house import House, make_login
from reference_fold import rows as rows_of

from aaad.errors import StoreError
from aaad.sessions import drain as drain_module
from aaad.sessions import slot as slot_module
from aaad.spool.records import Accounting, Granted

ZONE = "America/Sao_Paulo"
USERS = 50
NODES = ("node-1", "node-2")
# A drain that died is followed by one that joins what was granted: only sessions that have it are moved.
MOVE = """
WITH due AS (
    SELECT ctid FROM net.session
    WHERE ended_at IS NOT NULL AND (grant_serial IS NULL OR delegated_ipv6_prefix IS NOT NULL)
    LIMIT 50 FOR UPDATE SKIP LOCKED
), gone AS (DELETE FROM net.session WHERE ctid = ANY(ARRAY(SELECT ctid FROM due)) RETURNING *)
INSERT INTO net.session_history SELECT * FROM gone
"""
HOLD = "SELECT FROM net.session WHERE random() < 0.2 FOR UPDATE SKIP LOCKED"
FOUND = """
SELECT user_name, acct_session_id, grant_serial, octets_in, octets_out, session_time_s, records,
    coalesce(end_evidence = 'stop', false), delegated_ipv6_prefix::text
FROM net.every_session
"""


def lives_of(user: int, random: Random) -> tuple[list[Accounting], list[Granted]]:
    """Some sessions of one login after one another, ids used again; the half of them hours ago."""
    records, grants = [], []
    at_s = int(time.time()) - 30_000 + random.random() * 5_000
    for life in range(random.randint(1, 3)):
        serial = user * 10 + life
        own_class = class_of(login_id=user, serial=serial, node=2, slot=1) if random.random() < 0.7 else b""
        who = {"user": f"u{user}", "session": random.choice(["1", "1", f"{life}"]), "own_class": own_class}
        who |= {"mac": f"02:00:00:00:00:{user:02x}", "port": user}
        if own_class:
            grants.append(Granted(2, 1, serial, user, at_s, "", "", prefix_of(serial)))
        count = random.randint(1, 5)
        kinds = [START] + [INTERIM] * count + [STOP] * (random.random() < 0.8)
        for place, kind in enumerate(kinds):
            said = {"time_s": 300 * place, "octets": (1000 * place, 5000 * place), "gigawords": (0, 0)}
            records.append(accounting(kind, at_s + 300 * place, **who, **(said if place else {})))
        at_s += 300 * len(kinds) + random.choice([1, 50, 500])
    return records, grants


def prefix_of(serial: int) -> str:
    return f"2001:db8:{serial:x}:100::/56"


async def until_stopped(house: House, node: str, random: Random, stopping: asyncio.Event) -> None:
    """One drain after another, each ended in the midst of what it does."""
    while not stopping.is_set():
        drain = asyncio.create_task(house.drain(node=node).run(asyncio.Event()))
        await asyncio.sleep(0.2 + 1.5 * random.random())
        drain.cancel()
        with suppress(asyncio.CancelledError):
            await drain


async def move(house: House, stopping: asyncio.Event) -> None:
    database = house.connect()
    while not stopping.is_set():
        await database.execute(MOVE)
        await asyncio.sleep(0.05)
    await database.close()


async def hold(house: House, random: Random, stopping: asyncio.Event) -> None:
    database = house.connect()
    while not stopping.is_set():
        with suppress(StoreError):
            async with database.transaction("read_committed") as transaction:
                await transaction.execute(HOLD)
                await asyncio.sleep(0.6 * random.random())
        await asyncio.sleep(0.3)
    await database.close()


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 20))])
async def test_r6_1_two_nodes_kills_locks_and_history_end_in_the_rows_of_the_reference(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(drain_module, "LOOK_AFTER_S", 0.2)
    if seed % 2:
        monkeypatch.setattr(slot_module, "BATCH_RECORDS_MAX", 8)  # so the next batch is looked at before its turn
    random = Random(seed)
    houses = [House(dsn, tmp_path / node / "spool") for node in NODES if (tmp_path / node).mkdir() is None]
    one, _ = houses
    await one.database.execute("INSERT INTO net.node (name) SELECT unnest($1::text[])", NODES)
    await one.database.execute("INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'n', '192.0.2.0/24', 's')")
    await make_login(one, 1)  # and the contract of all
    lives = [lives_of(user, random) for user in range(1, USERS + 1)]
    records = [record for some, _ in lives for record in some]
    put = [*records, *random.sample(records, len(records) // 3), *(grant for _, some in lives for grant in some)]
    random.shuffle(put)

    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for house, node in zip(houses, NODES, strict=True):
            group.create_task(until_stopped(house, node, random, stopping))
        group.create_task(move(one, stopping))
        group.create_task(hold(one, random, stopping))
        for start in range(0, len(put), 30):
            random.choice(houses).put(put[start : start + 30])
            await asyncio.sleep(0.15)
        stopping.set()
    for house, node in zip(houses, NODES, strict=True):
        await house.drain_all(node=node)
        async with house.draining(node=node):
            await house.until("SELECT count(*) FROM net.spool_deferred WHERE node = '" + node + "'", 0)
            await asyncio.sleep(0.6)  # it looks again

    found = sorted(repr(tuple(row)) for row in await one.database.fetch(FOUND))
    assert found == sorted(repr(row) for row in map(expected, rows_of(records, ZONE)))
    assert [house.count("aaad_drain_set_aside_total|cause=refused") for house in houses] == [0, 0]
    assert not seed % 2 or sum(house.count("aaad_drain_foreseen_total") for house in houses) > USERS
    assert [house.count("aaad_bugs_total") for house in houses] == [0, 0]
    for house in houses:
        await house.database.close()


def expected(row: dict) -> tuple:
    serial = row["grant"][2] if row["grant"] else None
    amounts = row["octets_in"], row["octets_out"], row["session_time_s"], row["records"]
    prefix = prefix_of(serial) if serial else None
    return row["user_name"], row["acct_session_id"], serial, *amounts, row["ended_at"] is not None, prefix
