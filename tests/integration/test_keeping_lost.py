"""R5.3: what is silent for too long is closed; nobody's session for our own silence, nor for its router's."""

import asyncio
from datetime import datetime, timedelta

import asyncpg
import pytest
from session_rows import DAY, HOUR, NOW, add_session, drained

from aaad.db.connection import Database
from aaad.metrics import CounterFile
from aaad.sessions import keeping
from aaad.sessions.keeping import KEEPING_COUNTERS, LOST, Keeping

MINUTE = timedelta(minutes=1)
INTERIM_S = 300
STATES = "SELECT family, state FROM net.every_session"
ENDED = "SELECT ended_at, ended_latest, end_evidence, version FROM net.session WHERE family = $1"
OPEN = (None, None, None, 1)


@pytest.fixture
async def db(dsn):
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "INSERT INTO erp.branch (id, name) VALUES (1, 'Matriz'), (2, 'Filial');"
        "INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'a', '192.0.2.1', 's')"
    )
    yield connection
    await connection.close()


@pytest.fixture
async def keeper(dsn, tmp_path):
    door = Database(dsn, connect_timeout_s=5, statement_timeout_s=10, application_name="test")
    yield Keeping(door, door, CounterFile(tmp_path / "control-0.cnt", KEEPING_COUNTERS))
    await door.close()


async def router(db: asyncpg.Connection, *heard: datetime) -> None:
    """Let the drain have heard the router at these instants, one after the other."""
    await db.execute(
        "INSERT INTO net.router (nas_id, source_address, nas_identifier, first_seen, last_seen, accounting_at) "
        "VALUES (1, '192.0.2.1', '', $1, $1, $1) ON CONFLICT DO NOTHING",
        heard[0],
    )
    for at in heard:
        await db.execute("UPDATE net.router SET accounting_at = greatest(accounting_at, $1::timestamptz)", at)


async def open_session(db: asyncpg.Connection, heard: datetime, **columns):
    return await add_session(db, started=NOW - 30 * DAY, heard=heard, **({"interim_s": INTERIM_S} | columns))


async def states(db: asyncpg.Connection) -> dict:
    return {row["family"]: row["state"] for row in await db.fetch(STATES)}


async def sweep(db: asyncpg.Connection, keeper: Keeping) -> None:
    """Do one whole round."""
    await db.execute("UPDATE net.chore SET due_at = '-infinity' WHERE name = 'lost'")
    for _ in range(1000):
        if not await keeper.close_lost():
            return
    raise AssertionError("the round does not end")


def often(since: datetime, until: datetime) -> list[datetime]:
    """A router of which something is heard each minute."""
    return [since + n * MINUTE for n in range(int((until - since) / MINUTE) + 1)]


async def test_r5_3_a_session_silent_for_a_day_ended_when_it_was_last_heard(db, keeper):
    heard = NOW - DAY - 13 * MINUTE
    lost = await open_session(db, heard)
    silent = await open_session(db, NOW - DAY - 12 * MINUTE)  # half a minute less than 2.5 intervals and a day
    fine = await open_session(db, NOW - 10 * MINUTE)
    await router(db, *often(NOW - HOUR, NOW))
    await drained(db, NOW)
    assert await states(db) == {lost: "suspended", silent: "suspended", fine: "open"}
    await sweep(db, keeper)
    assert tuple(await db.fetchrow(ENDED, lost)) == (heard, NOW, "lost", 2)
    assert tuple(await db.fetchrow(ENDED, silent)) == tuple(await db.fetchrow(ENDED, fine)) == OPEN
    assert keeper._counters.cells[keeper._counters.index[LOST]] == 1
    assert await states(db) == {lost: "closed", silent: "suspended", fine: "open"}


async def test_complaint_5_only_what_is_open_is_closed(db, keeper):
    heard = NOW - 3 * DAY
    closed = await open_session(db, heard, ended_at=heard, ended_latest=heard, end_evidence="stop")
    await router(db, NOW)
    before = await db.fetch("SELECT * FROM net.session")
    await sweep(db, keeper)
    assert await db.fetch("SELECT * FROM net.session") == before
    assert (await states(db))[closed] == "closed"


async def test_r5_3_a_session_without_interims_is_never_lost(db, keeper):
    family = await open_session(db, NOW - 30 * DAY, interim_s=None)
    await router(db, NOW)
    await sweep(db, keeper)
    assert tuple(await db.fetchrow(ENDED, family)) == OPEN
    assert (await states(db))[family] == "open"


async def test_r5_3_ages_stand_still_while_a_node_is_undrained(db, keeper):
    family = await open_session(db, NOW - 3 * DAY)
    await router(db, *often(NOW - HOUR, NOW))
    await drained(db, NOW, "n1")
    await drained(db, NOW - 3 * DAY + 10 * MINUTE, "n2")
    await sweep(db, keeper)
    assert tuple(await db.fetchrow(ENDED, family)) == OPEN
    assert (await states(db))[family] == "open"
    await drained(db, NOW, "n2")
    await sweep(db, keeper)
    assert tuple(await db.fetchrow(ENDED, family)) == (NOW - 3 * DAY, NOW, "lost", 2)


async def test_r5_3_ages_stand_still_while_a_whole_nas_is_silent(db, keeper):
    family = await open_session(db, NOW - 3 * DAY)
    await router(db, NOW - 3 * DAY + 5 * MINUTE)
    await drained(db, NOW)
    await sweep(db, keeper)
    assert tuple(await db.fetchrow(ENDED, family)) == OPEN
    assert (await states(db))[family] == "open"


async def test_r5_3_after_a_nas_was_silent_its_sessions_have_their_time_to_be_heard(db, keeper):
    """The first record after an outage makes nobody else's session two days older."""
    family = await open_session(db, NOW - 2 * DAY)
    back = NOW - HOUR
    await router(db, *often(NOW - 2 * DAY - HOUR, NOW - 2 * DAY), back)
    # The ordinary gaps of a small router after it change nothing of that.
    for minutes in (0, 4, 9, 12):
        await router(db, back + minutes * MINUTE)
        await drained(db, back + minutes * MINUTE)
        assert (await states(db))[family] == "open"
    await sweep(db, keeper)
    assert tuple(await db.fetchrow(ENDED, family)) == OPEN
    await router(db, back + 13 * MINUTE)
    await drained(db, back + 13 * MINUTE)
    assert (await states(db))[family] == "suspended"
    await sweep(db, keeper)
    assert tuple(await db.fetchrow(ENDED, family)) == OPEN


async def test_r5_3_silence_counts_from_when_the_nas_was_heard_again(db, keeper):
    family = await open_session(db, NOW - 9 * DAY)
    back = NOW - 2 * DAY
    await router(db, NOW - 9 * DAY, *(back + n * 10 * MINUTE for n in range(140)))
    await drained(db, NOW)
    await sweep(db, keeper)
    assert tuple(await db.fetchrow(ENDED, family)) == OPEN
    await router(db, *(back + n * 10 * MINUTE for n in range(140, 289)))
    await sweep(db, keeper)
    assert tuple(await db.fetchrow(ENDED, family)) == (NOW - 9 * DAY, NOW, "lost", 2)


async def test_a_router_heard_seldom_by_few_sessions_is_not_silent(db, keeper):
    """Gaps that are shorter than a session's own are no silence of the router."""
    dead = await open_session(db, NOW - 3 * DAY, interim_s=3600)
    await router(db, *(NOW - 3 * DAY + n * HOUR for n in range(73)))
    await drained(db, NOW)
    assert (await states(db))[dead] == "suspended"
    await sweep(db, keeper)
    assert (await db.fetchrow(ENDED, dead))["end_evidence"] == "lost"


async def test_the_parameter_says_for_how_long_by_branch(db, keeper):
    await db.execute(
        "INSERT INTO erp.parameter (name, branch_id, value) VALUES "
        "('session_lost_hours', NULL, '48'), ('session_lost_hours', 2, '12')"
    )
    of_branch = await open_session(db, NOW - 20 * HOUR, branch_id=2)
    in_general = await open_session(db, NOW - 30 * HOUR, branch_id=1)
    of_nobody = await open_session(db, NOW - 50 * HOUR)
    await router(db, *often(NOW - HOUR, NOW))
    await drained(db, NOW)
    await sweep(db, keeper)
    found = {row["family"] for row in await db.fetch("SELECT family FROM net.session WHERE end_evidence = 'lost'")}
    assert found == {of_branch, of_nobody}
    assert in_general not in found


async def test_a_round_goes_over_the_table_in_bounded_bits_one_node_at_a_time(dsn, db, keeper, monkeypatch):
    monkeypatch.setattr(keeping, "LOST_BLOCKS", 1)
    for _ in range(60):
        await open_session(db, NOW - 3 * DAY)
    await router(db, *often(NOW - HOUR, NOW))
    assert await keeper.close_lost()
    other = await asyncpg.connect(dsn)
    async with other.transaction():
        await other.execute("SELECT FROM net.chore FOR UPDATE")
        assert not await keeper.close_lost()
    await other.close()
    closed = await db.fetchval("SELECT count(*) FROM net.session WHERE end_evidence = 'lost'")
    assert 0 < closed < 60
    while await keeper.close_lost():
        pass
    assert await db.fetchval("SELECT count(*) FROM net.session WHERE end_evidence = 'lost'") == 60
    assert await db.fetchval("SELECT due_at > now() FROM net.chore WHERE name = 'lost'")


async def test_a_row_that_the_drain_holds_is_left_for_the_next_round(dsn, db, keeper):
    family = await open_session(db, NOW - 3 * DAY)
    await router(db, *often(NOW - HOUR, NOW))
    drain = await asyncpg.connect(dsn)
    async with drain.transaction():
        await drain.execute("UPDATE net.session SET heard_at = $1, version = version + 1", NOW)
        async with asyncio.timeout(5):
            await sweep(db, keeper)
    await drain.close()
    await sweep(db, keeper)
    assert tuple(await db.fetchrow(ENDED, family)) == (None, None, None, 2)
