"""History at scale: ended sessions by month, back for a late record, dropped when their time is over."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from session_rows import DAY, HOUR, NOW, add_session, drained

from aaad.db.connection import Database
from aaad.db.statements import load_statements
from aaad.errors import StoreError
from aaad.metrics import CounterFile
from aaad.pools import comparing
from aaad.sessions import keeping
from aaad.sessions.keeping import BUGS, EXPIRED, FAILED, JOBS, KEEPING_COUNTERS, MOVED, PURGED, Keeping

SQL = load_statements(Path(keeping.__file__).with_name("keeping.sql"))
TO_HISTORY = """
WITH gone AS (DELETE FROM net.session WHERE ended_at IS NOT NULL RETURNING *)
INSERT INTO net.session_history SELECT * FROM gone
"""
RECALL = "SELECT family, life, ended_at FROM net.recall_session($1, $2)"
WHERE = "SELECT tableoid::regclass::text FROM net.session_history ORDER BY 1"


@pytest.fixture
async def db(dsn):
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def keeper(dsn, tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "MOVE_EVERY_S", 0.0)
    doors = [Database(dsn, connect_timeout_s=5, statement_timeout_s=10, application_name="test") for _ in range(2)]
    yield Keeping(*doors, CounterFile(tmp_path / "control-0.cnt", KEEPING_COUNTERS))
    for door in doors:
        await door.close()


def counted(keeper: Keeping, name: str) -> int:
    counters = keeper._counters
    return counters.cells[counters.index[name]]


async def names(db: asyncpg.Connection, sql: str, *args) -> list[str]:
    return [row[0] for row in await db.fetch(sql, *args)]


# --- back from history ----------------------------------------------------------------------------------------------


async def test_a_session_comes_back_whole(db):
    family = await add_session(db, started=NOW - 3 * DAY, heard=NOW - 2 * DAY, ended=True, octets_in=7)
    before = await db.fetch("SELECT * FROM net.session")
    await db.execute(TO_HISTORY)
    assert await db.fetch("SELECT * FROM net.recall_session($1, $2)", [family], NOW - 2 * DAY) == before
    assert await db.fetch("SELECT * FROM net.session") == before
    assert await db.fetch("SELECT FROM net.session_history") == []
    assert await db.fetch(RECALL, [family], NOW - 9 * DAY) == []


async def test_what_ended_before_is_not_meant(db):
    family = await add_session(db, started=NOW - 3 * DAY, heard=NOW - 2 * DAY, ended=True)
    other = await add_session(db, started=NOW - 3 * DAY, heard=NOW - DAY, ended=True)
    await db.execute(TO_HISTORY)
    assert await db.fetch(RECALL, [family], NOW - 2 * DAY + timedelta(seconds=1)) == []
    assert len(await db.fetch(RECALL, [family], NOW - 2 * DAY)) == 1
    assert await names(db, "SELECT family FROM net.session_history") == [other]


async def test_lives_whose_numbers_came_again_get_others(db):
    ends = [NOW - 3 * DAY, NOW - 2 * DAY]
    family = await add_session(db, started=NOW - 4 * DAY, heard=ends[0], ended=True)
    await db.execute(TO_HISTORY)
    await add_session(db, family=family, started=NOW - 3 * DAY, heard=ends[1], ended=True)
    await db.execute(TO_HISTORY)
    await add_session(db, family=family, started=NOW - DAY, heard=NOW)
    recalled = await db.fetch(RECALL, [family], NOW - 9 * DAY)
    assert sorted(row["ended_at"] for row in recalled) == ends
    rows = await db.fetch("SELECT life, ended_at FROM net.session")
    assert sorted(row["life"] for row in rows) == [0, 1, 2]
    assert {row["ended_at"] for row in rows if row["life"] == 0} == {None}


# --- months ---------------------------------------------------------------------------------------------------------


async def test_months_are_made_ahead_and_for_what_waits(db, keeper):
    ended = datetime(2025, 3, 31, 23, 30, tzinfo=UTC)
    await add_session(db, started=ended - HOUR, heard=ended, ended=True)
    in_rest = datetime(2025, 1, 1, tzinfo=UTC)
    await add_session(db, started=in_rest - HOUR, heard=in_rest, ended=True)
    await db.execute("INSERT INTO net.session_history SELECT * FROM net.session WHERE ended_at = $1", in_rest)
    await db.execute("DELETE FROM net.session WHERE ended_at = $1", in_rest)
    assert await names(db, WHERE) == ["net.session_history_rest"]
    assert not await keeper.make_months()
    months = await db.fetch("SELECT * FROM net.history_month ORDER BY since")
    assert [row["partition"] for row in months[:2]] == ["net.session_history_2025_01", "net.session_history_2025_03"]
    assert months[1]["since"] == datetime(2025, 3, 1, tzinfo=UTC)
    assert months[1]["until"] == datetime(2025, 4, 1, tzinfo=UTC)
    assert len(months) == 5
    assert months[2]["since"] <= NOW < months[2]["until"] == months[3]["since"]
    assert await names(db, WHERE) == ["net.session_history_2025_01"]
    await keeper.move_ended()
    assert await names(db, WHERE) == ["net.session_history_2025_01", "net.session_history_2025_03"]
    assert not await keeper.make_months()
    assert len(await db.fetch("SELECT FROM net.history_month")) == 5


async def test_a_months_partition_has_the_indexes_of_all(db, keeper):
    await keeper.make_months()
    rows = await db.fetch(
        "SELECT inhparent::regclass, count(*) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhparent "
        "WHERE relkind = 'I' GROUP BY 1"
    )
    assert len(rows) == 8
    assert {row["count"] for row in rows} == {4}  # the rest, and three months
    assert await db.fetchval("SELECT count(*) FROM pg_index WHERE indrelid::regclass::text LIKE '%history_20%'") == 24


async def test_two_nodes_make_each_month_once(dsn, db):
    others = [await asyncpg.connect(dsn) for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        made = [group.create_task(other.fetchval("SELECT net.make_history_months(12)")) for other in others]
    assert sum(task.result() for task in made) == 3
    for other in others:
        await other.close()


# --- moving ---------------------------------------------------------------------------------------------------------


async def test_r5_3_what_ended_a_while_ago_is_moved_as_far_as_all_nodes_are_drained(db, keeper):
    long_ago = await add_session(db, started=NOW - DAY, heard=NOW - 3 * HOUR, ended=True)
    lately = await add_session(db, started=NOW - DAY, heard=NOW - HOUR / 2, ended=True)
    await add_session(db, started=NOW - 9 * DAY, heard=NOW - 8 * DAY)  # it has not ended
    await drained(db, NOW, "n1")
    await drained(db, NOW - 3 * HOUR, "n2")
    await keeper.make_months()
    assert not await keeper.move_ended()
    assert await names(db, WHERE) == []
    await drained(db, NOW, "n2")
    assert not await keeper.move_ended()
    assert await names(db, "SELECT family FROM net.session_history") == [long_ago]
    assert lately in await names(db, "SELECT family FROM net.session")
    assert counted(keeper, MOVED) == 1


async def test_moving_goes_by_bounded_batches_oldest_first(db, keeper, monkeypatch):
    monkeypatch.setattr(keeping, "MOVE_ROWS", 2)
    for hours in (9, 7, 8):
        await add_session(db, started=NOW - DAY, heard=NOW - hours * HOUR, ended=True)
    assert await keeper.move_ended()
    assert await db.fetchval("SELECT max(ended_at) FROM net.session_history") == NOW - 8 * HOUR
    assert not await keeper.move_ended()
    assert await db.fetchval("SELECT count(*) FROM net.session") == 0


async def test_moving_goes_through_the_whole_table_bit_by_bit(db, keeper, monkeypatch):
    monkeypatch.setattr(keeping, "MOVE_BLOCKS", 1)
    monkeypatch.setattr(keeping, "MOVE_EVERY_S", 60.0)
    for _ in range(60):
        await add_session(db, started=NOW - DAY, heard=NOW - 3 * HOUR, ended=True)
    assert await db.fetchval("SELECT max(ctid) > '(2,0)' FROM net.session")
    assert await keeper.move_ended()
    assert 0 < await db.fetchval("SELECT count(*) FROM net.session") < 60
    while await keeper.move_ended():
        pass
    assert await db.fetchval("SELECT count(*) FROM net.session") == 0
    await add_session(db, started=NOW - DAY, heard=NOW - 3 * HOUR, ended=True)
    assert not await keeper.move_ended()  # the next round is not due
    assert await db.fetchval("SELECT count(*) FROM net.session") == 1


@pytest.mark.parametrize(
    ("behind_s", "undrained", "heard_s", "due_s", "waits"),
    [
        (5, 50_000, 1, 5, False),
        (20, 50_000, 1, 5, True),
        (7_000, 50_000, 1, 5, True),
        (20, 9_999, 1, 5, False),
        (20, 50_000, 70, 5, False),
        (20, 50_000, 1, 70, False),
    ],
)
async def test_what_can_wait_does_while_a_drain_that_lives_is_behind_but_not_for_ever(
    db, behind_s, undrained, heard_s, due_s, waits
):
    await db.execute(
        "INSERT INTO net.node (name, drain_watermark, records_undrained, heartbeat_at) "
        "VALUES ('other', now() - $1 * interval '1 second', $2, now() - $3 * interval '1 second')",
        *(behind_s, undrained, heard_s),
    )
    await db.execute("UPDATE net.chore SET due_at = now() - $1 * interval '1 second'", due_s)
    pools_sql = load_statements(Path(comparing.__file__).with_name("keeping.sql"))
    for claim in (SQL.claim_chore, pools_sql.claim_chore):
        rounds = ["lost", "overlooked", "reports", "move", "leases"]
        claimed = [name for name in rounds if await db.fetch(claim, name)]
        assert claimed == (rounds[3:] if waits else rounds)


async def test_a_month_that_is_made_while_sessions_move_into_it_is_no_failure(dsn, db, keeper):
    """The insert found the partition for the rest, waited for it, and it is not for this month any more."""
    await add_session(db, started=NOW - DAY, heard=NOW - 3 * HOUR, ended=True)
    other = await asyncpg.connect(dsn)
    try:
        making = other.transaction()
        await making.start()
        assert await other.fetchval("SELECT made FROM net.make_history_months(40) AS made")
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            moving = group.create_task(keeper.move_ended())
            waits = (
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT INTO net.session_history%'"
            )
            while not await db.fetchval(waits):
                await asyncio.sleep(0.02)
            await making.commit()
        assert moving.result() is True  # there is more to do at once
    finally:
        await other.close()
    await keeper.move_ended()
    assert await db.fetchval("SELECT count(*) FROM net.session_history") == 1


async def test_moving_waits_for_no_drain_and_a_drain_finds_what_is_being_moved(dsn, db, keeper):
    held = await add_session(db, started=NOW - DAY, heard=NOW - 3 * HOUR, ended=True)
    free = await add_session(db, started=NOW - DAY, heard=NOW - 3 * HOUR, ended=True)
    drain = await asyncpg.connect(dsn)
    async with drain.transaction():
        await drain.execute("SELECT FROM net.session WHERE family = $1 FOR UPDATE", held)
        await keeper.move_ended()
        assert await names(db, "SELECT family FROM net.session_history") == [free]
    mover = db.transaction()
    await mover.start()
    await db.execute(SQL.move_ended, 0, 100, 60.0, 10)

    async def look() -> list:
        async with drain.transaction():
            found = await drain.fetch("SELECT family FROM net.session WHERE family = $1 FOR UPDATE", held)
            return found or await drain.fetch(RECALL, [held], NOW - 2 * DAY)

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(look())
        await asyncio.sleep(0.2)
        await mover.commit()
    assert [row["family"] for row in looking.result()] == [held]
    await drain.close()


# --- retention (R9.2) -----------------------------------------------------------------------------------------------

OLD = NOW - 800 * DAY
HOLD = """
INSERT INTO net.legal_hold (login_id, address, nas_id, since, until, reason) VALUES ($1, $2, $3, $4, $5, 'order 7')
"""
ERP = """
INSERT INTO erp.branch (id, name) VALUES (1, 'Matriz');
INSERT INTO erp.client (id, branch_id, kind, name) VALUES (1, 1, 'E', 'Ana');
INSERT INTO erp.contract (id, client_id, branch_id) VALUES (1, 1, 1);
INSERT INTO erp.login (id, contract_id, name, password) VALUES (1, 1, 'ana', 'x'), (2, 1, 'bia', 'x');
INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'a', '192.0.2.1', 's'), (2, 'b', '192.0.2.2', 's');
"""


async def a_lived_year(db: asyncpg.Connection, months: range = range(1, 13)) -> None:
    """A session that ended in each of the months before this one."""
    for ago in months:
        year, month = divmod(NOW.year * 12 + NOW.month - 1 - ago, 12)
        ended = datetime(year, month + 1, 15, tzinfo=UTC)
        await add_session(db, started=ended - HOUR, heard=ended, ended=True, user_name="usual")


async def an_old_month(db: asyncpg.Connection, months: range = range(1, 13)) -> dict[str, object]:
    """Three sessions whose time is over, and one whose time is not."""
    await db.execute(ERP)
    await a_lived_year(db, months)
    found = {
        "ana": await add_session(db, started=OLD, heard=OLD + HOUR, ended=True, login_id=1, ipv4="100.64.0.1"),
        "bia": await add_session(
            db, started=OLD, heard=OLD + HOUR, ended=True, login_id=2, nas_id=2, ipv6_prefix="2001:db8:1::/64"
        ),
        "long": await add_session(
            db, started=OLD - 60 * DAY, heard=OLD, ended=True, user_name="x", delegated_ipv6_prefix="2001:db8:2::/56"
        ),
        "new": await add_session(db, started=NOW - 300 * DAY, heard=NOW - 299 * DAY, ended=True, login_id=1),
    }
    await db.execute("SELECT net.make_history_months(100)")
    await db.execute(TO_HISTORY)
    return found


async def left(db: asyncpg.Connection, found: dict[str, object]) -> set[str]:
    families = set(await names(db, "SELECT family FROM net.session_history"))
    return {name for name, family in found.items() if family in families}


async def test_months_whose_time_is_over_are_dropped_whole(db, keeper):
    found = await an_old_month(db)
    await keeper.expire_months()
    assert await left(db, found) == {"new"}
    assert counted(keeper, f"{EXPIRED}|outcome=dropped") == 1
    assert await db.fetchval("SELECT count(*) FROM net.history_month WHERE until < $1", NOW - 400 * DAY) == 0


@pytest.mark.parametrize("months", [range(0), range(4, 13)], ids=["two years on", "three months on"])
async def test_r9_2_a_clock_that_jumped_ahead_drops_nothing(db, keeper, months):
    """By such a clock nothing has ended of late: what lies in history is younger than it seems."""
    found = await an_old_month(db, months)
    await keeper.expire_months()
    assert await left(db, found) == set(found)
    assert counted(keeper, f"{EXPIRED}|outcome=doubted") == 1
    await a_lived_year(db)  # it was right
    await keeper.expire_months()
    assert await left(db, found) == {"new"}


async def test_r9_2_a_month_goes_when_both_clocks_say_so(db, keeper, monkeypatch):
    found = await an_old_month(db)
    monkeypatch.setattr(keeping, "wall_s", lambda: (NOW - 500 * DAY).timestamp())
    await keeper.expire_months()
    assert await left(db, found) == set(found)


async def test_the_parameter_says_how_long_and_never_less_than_a_year(db, keeper):
    found = await an_old_month(db)
    await db.execute("INSERT INTO erp.parameter (name, value) VALUES ('history_days', '900')")
    await keeper.expire_months()
    assert await left(db, found) == set(found)
    await db.execute("UPDATE erp.parameter SET value = '365' WHERE name = 'history_days'")
    await keeper.expire_months()
    assert await left(db, found) == {"new"}
    with pytest.raises(asyncpg.CheckViolationError):
        await db.execute("UPDATE erp.parameter SET value = '364' WHERE name = 'history_days'")
    month = await db.fetchval("SELECT partition::text FROM net.history_month ORDER BY since LIMIT 1")
    with pytest.raises(asyncpg.InvalidParameterValueError, match="a year at least"):
        await db.execute("SELECT net.expire_history_month($1::text::regclass, '364 days')", month)


async def test_a_month_is_not_dropped_before_its_last_session_is_old_enough(db):
    month = datetime(2024, 5, 1, tzinfo=UTC)
    await db.execute("SELECT net.make_history_month($1)", month)
    days = (NOW - datetime(2024, 6, 1, tzinfo=UTC)).days
    expire = "SELECT net.expire_history_month('net.session_history_2024_05', $1 * interval '1 day')"
    assert await db.fetchval(expire, days + 1) == "not due"
    assert await db.fetchval(expire, days) == "dropped"


@pytest.mark.parametrize(
    ("hold", "kept"),
    [
        ((None, None, None, None, None), {"ana", "bia", "long"}),
        ((1, None, None, None, None), {"ana"}),
        ((None, "100.64.0.0/24", None, None, None), {"ana"}),
        ((None, "2001:db8:1::1/128", None, None, None), {"bia"}),
        ((None, "2001:db8:2::/48", None, None, None), {"long"}),
        ((None, None, 2, None, None), {"bia"}),
        ((None, None, None, OLD - 40 * DAY, OLD - 39 * DAY), {"long"}),  # it ended a month later
        ((2, None, None, OLD + HOUR, None), {"bia"}),
        ((2, None, None, OLD + 2 * HOUR, None), set()),
        ((None, None, None, None, OLD), {"ana", "bia", "long"}),
        ((2, "100.64.0.1/32", None, None, None), set()),  # all that is said must fit
    ],
)
async def test_r9_2_a_legal_hold_keeps_what_it_names_and_nothing_else(db, keeper, hold, kept):
    found = await an_old_month(db)
    await db.execute(HOLD, *hold)
    for _ in range(2):
        await keeper.expire_months()
        assert await left(db, found) == kept | {"new"}
    assert await db.fetchval("SELECT count(*) FROM net.session_history_rest") == 0
    await db.execute("UPDATE net.legal_hold SET released_at = now(), released_by = '', release_reason = 'over'")
    await keeper.expire_months()
    assert await left(db, found) == {"new"}


async def test_r9_2_a_hold_that_was_released_keeps_nothing_beside_another_one(db, keeper):
    found = await an_old_month(db)
    await db.execute(HOLD, 1, None, None, None, None)
    await db.execute("UPDATE net.legal_hold SET released_at = now(), released_by = '', release_reason = 'over'")
    await db.execute(HOLD, 2, None, None, None, None)
    await keeper.expire_months()
    assert await left(db, found) == {"bia", "new"}


async def test_r9_2_what_is_kept_of_a_month_is_found_as_before(db, keeper):
    found = await an_old_month(db)
    await db.execute(HOLD, 1, None, None, None, None)
    before = await db.fetch("SELECT * FROM net.session_history WHERE login_id = 1 ORDER BY ended_at")
    partition = await db.fetchval("SELECT partition::text FROM net.history_month ORDER BY since LIMIT 1")
    await keeper.expire_months()
    assert counted(keeper, f"{EXPIRED}|outcome=reduced") == 1
    assert await db.fetch("SELECT * FROM net.session_history WHERE login_id = 1 ORDER BY ended_at") == before
    assert await db.fetchval("SELECT partition::text FROM net.history_month ORDER BY since LIMIT 1") == partition
    await keeper.expire_months()
    assert counted(keeper, f"{EXPIRED}|outcome=held") == 1
    assert [row["family"] for row in await db.fetch(RECALL, [found["ana"]], OLD)] == [found["ana"]]


async def test_r9_2_a_hold_that_comes_while_a_month_is_looked_through_stops_it(dsn, db, keeper):
    found = await an_old_month(db)
    clerk = await asyncpg.connect(dsn)
    async with clerk.transaction():
        await clerk.execute(HOLD, 1, None, None, None, None)
        with pytest.raises(StoreError):  # it waits for him a moment, and no longer
            await keeper.expire_months()
    await clerk.close()
    await keeper.expire_months()
    assert await left(db, found) == {"ana", "new"}


async def test_two_nodes_do_not_look_through_a_month_at_once(dsn, db, keeper):
    found = await an_old_month(db)
    other = await asyncpg.connect(dsn)
    async with other.transaction():
        month = await other.fetchval("SELECT partition::text FROM net.history_month ORDER BY since LIMIT 1")
        assert (await other.fetchrow(SQL.expire_history_month, month, 400))["outcome"] == "dropped"
        assert (await db.fetchrow(SQL.expire_history_month, month, 400))["outcome"] == "busy"
    assert (await db.fetchrow(SQL.expire_history_month, month, 400))["outcome"] is None
    await other.close()
    assert await left(db, found) == {"new"}


async def test_r9_2_a_hold_is_never_changed_or_deleted_and_history_tells_of_it(db):
    await db.execute("SET aaad.operator = 'maria'")
    await db.execute(HOLD, None, "192.0.2.7/32", None, None, None)
    for sql in (
        "UPDATE net.legal_hold SET reason = 'other'",
        "UPDATE net.legal_hold SET until = now()",
        "DELETE FROM net.legal_hold",
        "TRUNCATE net.legal_hold",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await db.execute(sql)
    await db.execute("SET aaad.operator = 'joana'")
    release = "UPDATE net.legal_hold SET released_at = now(), released_by = 'x', release_reason = 'order 8'"
    await db.execute(release)
    assert tuple(await db.fetchrow("SELECT created_by, released_by FROM net.legal_hold")) == ("maria", "joana")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await db.execute(release)
    told = await db.fetch("SELECT kind, text, operator, source FROM erp.history ORDER BY id")
    assert [tuple(row) for row in told] == [
        ("legal_hold_changed", "legal hold 1: added", "maria", "system"),
        ("legal_hold_changed", "legal hold 1: released", "joana", "system"),
    ]


async def test_grants_and_restarts_are_deleted_when_nothing_asks_for_them(db, keeper):
    grant = "INSERT INTO net.granted (node, slot, serial, login_id, at) VALUES (1, 0, $1, 1, $2)"
    restart = "INSERT INTO net.nas_restart VALUES (1, '192.0.2.1', '', '', $1, 'on')"
    await db.execute(grant, 1, NOW - 3 * DAY)
    await db.execute(grant, 2, NOW - DAY)
    await db.execute(restart, NOW - 401 * DAY)
    await db.execute(restart, NOW - 399 * DAY)
    await drained(db, NOW - 2 * DAY)  # a node that may still have the session of a grant in its spool
    await keeper.purge()
    assert await names(db, "SELECT serial FROM net.granted ORDER BY 1") == [1, 2]
    assert await names(db, "SELECT at FROM net.nas_restart") == [NOW - 399 * DAY]
    await drained(db, NOW)
    await keeper.purge()
    assert await names(db, "SELECT serial FROM net.granted") == [2]
    assert counted(keeper, f"{PURGED}|table=granted") == counted(keeper, f"{PURGED}|table=nas_restart") == 1


async def test_words_of_ends_that_nobody_takes_are_deleted_in_bounded_bits(db, keeper, monkeypatch):
    """A day of them at once would take longer than a statement may, and be tried again and again."""
    monkeypatch.setattr(keeping, "PURGE_ROWS", 2)
    await db.execute(
        "INSERT INTO net.session_end (at, families) "
        "SELECT now() - n * interval '25 minutes', '{}' FROM generate_series(1, 5) AS n"
    )
    left = "SELECT count(*)::integer FROM net.session_end"
    assert await keeper.purge()
    assert await db.fetchval(left) == 3
    assert not await keeper.purge()
    assert await db.fetchval(left) == 2
    assert counted(keeper, f"{PURGED}|table=session_end") == 3


# --- the service ----------------------------------------------------------------------------------------------------


async def test_all_jobs_run_by_themselves_until_told_to_stop(db, keeper):
    await add_session(db, started=NOW - DAY, heard=NOW - 3 * HOUR, ended=True)
    stopping = asyncio.Event()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(keeper.run(stopping))
        while not await db.fetchval("SELECT count(*) FROM net.session_history"):
            await asyncio.sleep(0.02)
        while await db.fetchval("SELECT count(*) FROM net.history_month") < 3:
            await asyncio.sleep(0.02)
        while await db.fetchval("SELECT count(*) FROM net.chore WHERE due_at > now()") < 2:
            await asyncio.sleep(0.02)
        stopping.set()
    assert {counted(keeper, f"{FAILED}|job={job}") for job in JOBS} == {0}
    assert counted(keeper, BUGS) == 0


async def test_without_postgresql_each_job_fails_by_itself_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "RETRY_S", 0.01)
    away = "postgresql://nobody@127.0.0.1:1/none"
    doors = [Database(away, connect_timeout_s=1, statement_timeout_s=1, application_name="test") for _ in range(2)]
    keeper = Keeping(*doors, CounterFile(tmp_path / "control-0.cnt", KEEPING_COUNTERS))
    stopping = asyncio.Event()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(keeper.run(stopping))
        while min(counted(keeper, f"{FAILED}|job={job}") for job in JOBS) < 2:
            await asyncio.sleep(0.01)
        stopping.set()
    assert counted(keeper, BUGS) == 0


# --- scale ----------------------------------------------------------------------------------------------------------

MANY = """
INSERT INTO {table} (family, life, summary, acct_session_id, user_name, login_id, time_zone, nas_id, source_address,
    nas_identifier, ipv4, started_at, start_seen, heard_at, interim_s, ended_at, ended_latest, end_evidence, records,
    days, day_octets_in, day_octets_out)
SELECT gen_random_uuid(), 0, '', n::text, 'u', n % 2000, 'America/Sao_Paulo', 1, '192.0.2.1', '',
    '10.0.0.0'::inet + n % 5000, at - interval '1 hour', true, at, 300, at, at, 'stop', 9,
    ARRAY[at::date], '{{1}}', '{{1}}'
FROM (SELECT n, now() - {age} AS at FROM generate_series(1, {rows}) AS n) AS made
"""


def scans(node: dict) -> list[tuple[str, str]]:
    found = [scan for child in node.get("Plans", []) for scan in scans(child)]
    return [*found, (node["Node Type"], node["Relation Name"])] if "Relation Name" in node else found


async def explained(db: asyncpg.Connection, sql: str, *args) -> list[tuple[str, str]]:
    plan = json.loads(await db.fetchval("EXPLAIN (FORMAT JSON) " + sql, *args))[0]["Plan"]
    return scans(plan)


async def test_nothing_looks_at_more_than_its_part_however_large_history_is(db):
    await db.execute("SELECT net.make_history_month(now() - n * interval '1 month') FROM generate_series(0, 12) AS n")
    await db.execute(MANY.format(table="net.session_history", age="n % 360 * interval '1 day'", rows=100_000))
    await db.execute(MANY.format(table="net.session", age="n % 7200 * interval '1 second'", rows=20_000))
    await db.execute("ANALYZE net.session, net.session_history")
    this_month = f"session_history_{NOW:%Y_%m}"

    moving = await explained(db, SQL.move_ended, 0, 100, 3600.0, 500)
    assert ("Tid Range Scan", "session") in moving
    assert ("Seq Scan", "session") not in moving
    closing = await explained(db, SQL.close_lost, 0, 100, 24)
    assert ("Tid Range Scan", "session") in closing
    assert ("Seq Scan", "session") not in closing
    looking = await explained(db, SQL.find_overlooked, 0, 100, 3600.0, 1000)
    assert ("Tid Range Scan", "session") in looking
    assert ("Seq Scan", "session") not in looking

    # What the drain asks for late records: the statement inside of net.recall_session(), planned with its values.
    family = await db.fetchval("SELECT family FROM net.session_history LIMIT 1")
    late = "DELETE FROM net.session_history WHERE family = ANY($1) AND ended_at >= $2 RETURNING *"
    recent = await explained(db, late, [family], datetime(NOW.year, NOW.month, 1, tzinfo=UTC))
    assert {table for _, table in recent} <= {this_month, "session_history", "session_history_rest"}
    everywhere = await explained(db, late, [family], NOW - 900 * DAY)
    assert len(everywhere) > 12
    assert not [scan for scan in everywhere if scan[0] == "Seq Scan" and scan[1] != "session_history_rest"]

    # Usage of a login: by index, and only in the months of its days.
    usage = "SELECT * FROM net.usage_day($1, $2, $3)"
    today = NOW.date()
    used = await explained(db, usage, 7, today - 5 * DAY, today)
    assert len({table for _, table in used}) <= 4
    assert "Seq Scan" not in {kind for kind, table in used if table != "session_history_rest"}
    counting = await db.fetch(
        "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) " + SQL.used_octets, [7, 8], [today - 5 * DAY] * 2, [today] * 2
    )
    text = "\n".join(row[0] for row in counting)
    assert "Seq Scan on session" not in text.replace("Seq Scan on session_history_rest", "")
    assert text.count("(never executed)") > 10  # months that are over are pruned when it runs
