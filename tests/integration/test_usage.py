"""R5.5: usage by login and day, from the highest counters of each session and day; the caps that follow from it."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_rows import DAY, HOUR, NOW, add_session, reported

from aaad.db.connection import Database
from aaad.sessions.caps import look_at_caps

GB = 10**9
ERP = """
INSERT INTO erp.branch (id, name, time_zone) VALUES
    (1, 'Matriz', 'America/Sao_Paulo'), (2, 'Oeste', 'America/Rio_Branco');
INSERT INTO erp.client (id, branch_id, kind, name) VALUES (1, 1, 'E', 'Ana');
INSERT INTO erp.plan (id, name, upload, download) VALUES (10, 'Reduzido', '1M', '1M');
INSERT INTO erp.plan (id, name, upload, download, cap_gigabytes, cap_kind, cap_plan_id) VALUES
    (1, 'Mes', '50M', '100M', 100, 'M', 10), (2, 'Trinta', '50M', '100M', 100, 'U', 10),
    (3, 'Periodo', '50M', '100M', 100, 'P', 10), (4, 'Livre', '50M', '100M', NULL, NULL, NULL);
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status, due_day) VALUES
    (1, 1, 1, 1, 'A', NULL), (2, 1, 1, 2, 'A', NULL), (3, 1, 1, 3, 'A', NULL), (4, 1, 1, 4, 'A', NULL);
INSERT INTO erp.login (id, contract_id, name, password) SELECT n, n, 'l' || n, 'x' FROM generate_series(1, 4) AS n;
"""
USAGE = "SELECT day, octets_in, octets_out, sessions FROM net.usage_day($1, $2, $3)"
CAPS = "SELECT id FROM erp.login WHERE cap_reached ORDER BY id"


@pytest.fixture
async def db(dsn):
    connection = await asyncpg.connect(dsn)
    await connection.execute(ERP)
    yield connection
    await connection.close()


@pytest.fixture
async def door(dsn):
    database = Database(dsn, connect_timeout_s=5, statement_timeout_s=10, application_name="test")
    yield database
    await database.close()


def today(zone: str = "America/Sao_Paulo") -> date:
    return datetime.now(ZoneInfo(zone)).date()


async def usage(db: asyncpg.Connection, login: int, first: date, last: date) -> list[tuple]:
    return [tuple(row) for row in await db.fetch(USAGE, login, first, last)]


async def add_usage(db: asyncpg.Connection, login: int, days: dict[date, tuple[int, int]], **columns) -> None:
    """A live session that reported these counters."""
    await add_session(db, started=NOW - 40 * DAY, heard=NOW, login_id=login, **reported(days), **columns)


async def add_ended(db: asyncpg.Connection, login: int, days: dict[date, tuple[int, int]]) -> None:
    """A session in history that reported these counters."""
    heard = datetime.combine(max(days), datetime.min.time(), ZoneInfo("America/Sao_Paulo")) + HOUR
    family = await add_session(db, started=heard - 3 * DAY, heard=heard, ended=True, login_id=login, **reported(days))
    await db.execute("INSERT INTO net.session_history SELECT * FROM net.session WHERE family = $1", family)
    await db.execute("DELETE FROM net.session WHERE family = $1", family)


# --- days -----------------------------------------------------------------------------------------------------------

D1, D2, D3 = date(2026, 1, 30), date(2026, 1, 31), date(2026, 2, 1)


async def test_r5_5_a_day_has_its_highest_counter_less_those_of_earlier_days(db):
    await add_usage(db, 1, {D1: (10, 100), D2: (15, 100), D3: (40, 350)})
    assert await usage(db, 1, D1, D3) == [(D1, 10, 100, 1), (D2, 5, 0, 1), (D3, 25, 250, 1)]
    # What lies before the days that are asked for is still taken off.
    assert await usage(db, 1, D2, D3) == [(D2, 5, 0, 1), (D3, 25, 250, 1)]
    assert await usage(db, 1, D3 + DAY, D3 + 9 * DAY) == []
    assert await usage(db, 2, D1, D3) == []


async def test_r5_5_sessions_that_live_and_ended_are_summed(db):
    await add_usage(db, 1, {D2: (1, 2), D3: (3, 4)})
    await add_ended(db, 1, {D1: (10, 20), D2: (11, 20)})
    await add_ended(db, 1, {D2: (100, 200)})
    await add_ended(db, 2, {D2: (7, 7)})
    assert await usage(db, 1, D1, D3) == [(D1, 10, 20, 1), (D2, 102, 202, 3), (D3, 2, 2, 1)]


async def test_r5_5_a_day_of_any_zone_is_whole(db):
    """Sessions in history whose whole life lies in another day of UTC than in their own zone."""
    lives = [("America/Rio_Branco", 23, (1, 10)), ("Pacific/Kiritimati", 1, (2, 20))]
    for zone, hour, octets in lives:
        at = datetime.combine(D2, datetime.min.time(), ZoneInfo(zone)) + hour * HOUR
        assert at.astimezone(UTC).date() != D2
        family = await add_session(
            db, started=at, heard=at + timedelta(minutes=30), ended=True, login_id=1, time_zone=zone,
            **reported({D2: octets}),
        )  # fmt: skip
        await db.execute("INSERT INTO net.session_history SELECT * FROM net.session WHERE family = $1", family)
        await db.execute("DELETE FROM net.session WHERE family = $1", family)
    assert await usage(db, 1, D2, D2) == [(D2, 3, 30, 2)]


@given(st.dictionaries(st.dates(D1, D1 + timedelta(days=20)), st.tuples(*[st.integers(0, 2**62)] * 2), max_size=8))
def test_r5_5_the_sum_over_the_days_is_the_sessions_highest_counter(ask, days):
    days = dict(sorted(days.items()))
    found = ask(list(days), [value[0] for value in days.values()], [value[1] for value in days.values()])
    assert [row[0] for row in found] == list(days)
    for place in (1, 2):
        highest = 0
        for (_, counters), row in zip(days.items(), found, strict=True):
            assert row[place] == max(counters[place - 1] - highest, 0)
            highest = max(highest, counters[place - 1])
        assert sum(row[place] for row in found) == highest


@pytest.fixture(scope="module")
def ask(postgres, _template):
    """Ask net.session_usage()."""
    name = "usage_days"
    with asyncio.Runner() as runner:
        admin = runner.run(asyncpg.connect(postgres.dsn()))
        runner.run(admin.execute(f"CREATE DATABASE {name} TEMPLATE {_template}"))
        connection = runner.run(asyncpg.connect(postgres.dsn(name)))
        sql = "SELECT * FROM net.session_usage($1::date[], $2::bigint[], $3::bigint[])"
        yield lambda *args: runner.run(connection.fetch(sql, *args))
        runner.run(connection.close())
        runner.run(admin.execute(f"DROP DATABASE {name}"))
        runner.run(admin.close())


# --- caps -----------------------------------------------------------------------------------------------------------


async def look(db: asyncpg.Connection, door: Database, window: int = 500) -> tuple[int, int]:
    """Do one whole round; return how many caps were reached, and how many freed."""
    await db.execute("UPDATE net.chore SET due_at = '-infinity' WHERE name = 'caps'")
    reached = freed = 0
    for _ in range(100):
        looked = await look_at_caps(door, window=window)
        reached, freed = reached + looked.reached, freed + looked.freed
        if not looked.is_more:
            return reached, freed
    raise AssertionError("the round does not end")


async def capped(db: asyncpg.Connection) -> list[int]:
    return [row["id"] for row in await db.fetch(CAPS)]


async def test_r5_5_who_reaches_the_cap_of_his_plan_is_marked(db, door):
    for login in (1, 2, 3, 4):
        await add_usage(db, login, {today(): (30 * GB, 60 * GB)})
    assert await look(db, door) == (0, 0)
    for login in (1, 2, 3, 4):
        await add_usage(db, login, {today(): (GB, 9 * GB)})
    assert await look(db, door) == (3, 0)
    assert await capped(db) == [1, 2, 3]  # plan 4 has no cap
    assert await look(db, door) == (0, 0)


async def test_a_mark_is_a_change_like_any_other_that_the_brake_lets_pass(db, door):
    await add_usage(db, 1, {today(): (0, 100 * GB)})
    await look(db, door)
    change = await db.fetchrow(
        "SELECT change.kind, change.key, run.kind AS run FROM net.change JOIN net.run ON run.id = change.run_id "
        "WHERE run.brake_passed"
    )
    assert tuple(change) == ("login", 1, "caps")
    told = await db.fetchrow("SELECT text, source FROM erp.history WHERE login_id = 1")
    assert tuple(told) == ("cap_reached: false → true", "system")


async def test_r5_5_each_kind_of_cap_has_its_period(db, door):
    now = today()
    before_this_month = now.replace(day=1) - timedelta(days=1)
    due_tomorrow = (now + timedelta(days=1)).day
    await db.execute("UPDATE erp.contract SET due_day = $1 WHERE id = 3", now.day)
    for login in (1, 3):
        await add_ended(db, login, {before_this_month if login == 1 else now - timedelta(days=1): (0, 200 * GB)})
    await add_ended(db, 2, {now - timedelta(days=30): (0, 200 * GB)})
    assert await look(db, door) == (0, 0)
    await add_ended(db, 2, {now - timedelta(days=29): (0, 200 * GB)})
    await db.execute("UPDATE erp.contract SET due_day = $1 WHERE id = 3", due_tomorrow)
    assert await look(db, door) == (2, 0)
    assert await capped(db) == [2, 3]


@pytest.mark.parametrize(
    ("contract", "receivables", "expected"),
    [
        ({"due_day": 31}, [date(2026, 5, 10)], 31),
        ({}, [date(2026, 4, 5), date(2026, 5, 10)], 10),
        ({"activated_on": date(2026, 3, 17)}, [], 17),
        ({}, [], 1),
    ],
)
async def test_the_due_day_of_a_contract(db, contract, receivables, expected):
    for column, value in contract.items():
        await db.execute(f"UPDATE erp.contract SET {column} = $1 WHERE id = 3", value)
    for due_on in receivables:
        await db.execute(
            "INSERT INTO erp.receivable (client_id, contract_id, amount, due_on) VALUES (1, 3, 90, $1)", due_on
        )
    assert await db.fetchval("SELECT erp.due_day(3)") == expected
    with pytest.raises(asyncpg.CheckViolationError):
        await db.execute("UPDATE erp.contract SET due_day = 32")


FREED_BY = {
    "a higher cap": "UPDATE erp.plan SET cap_gigabytes = 101 WHERE id = 1",
    "no cap any more": "UPDATE erp.plan SET cap_gigabytes = NULL, cap_kind = NULL, cap_plan_id = NULL WHERE id = 1",
    "another plan": "UPDATE erp.contract SET plan_id = 4 WHERE id = 1",
    "no plan with a cap at all": "UPDATE erp.plan SET cap_gigabytes = NULL, cap_kind = NULL, cap_plan_id = NULL",
    "the period that ended": "UPDATE net.session SET days = ARRAY[days[1] - 31]",
    "records that came late": "UPDATE net.session SET days = ARRAY[days[1] - 31] || days, "
    "day_octets_in = '{0}' || day_octets_in, day_octets_out = '{1000000000}' || day_octets_out",
}


@pytest.mark.parametrize("change", FREED_BY)
async def test_r5_5_the_full_speed_comes_back(db, door, change):
    await add_usage(db, 1, {today(): (0, 100 * GB)})
    assert await look(db, door) == (1, 0)
    await db.execute(FREED_BY[change])
    assert await look(db, door) == (0, 1)
    assert await capped(db) == []


async def test_caps_go_by_the_day_of_the_branch(db, door):
    """Where it is another day than in UTC: the last 30 days are others there, at one of their two ends."""
    zone = next(name for name in ("Pacific/Kiritimati", "Etc/GMT+12") if today(name) != today("UTC"))
    await db.execute("UPDATE erp.branch SET time_zone = $1 WHERE id = 2", zone)
    await db.execute("UPDATE erp.contract SET branch_id = 2")
    now = today(zone)
    await add_usage(db, 2, {now - timedelta(days=29): (0, 50 * GB), now: (0, 100 * GB)}, time_zone=zone)
    assert await look(db, door) == (1, 0)
    assert await capped(db) == [2]


async def test_a_round_goes_on_where_it_was_left_by_whichever_node(dsn, db, door):
    for login in (1, 2, 3):
        await add_usage(db, login, {today(): (0, 100 * GB)})
    other = Database(dsn, connect_timeout_s=5, statement_timeout_s=10, application_name="test")
    found = [await look_at_caps(node, window=1) for node in (door, other, door, other, door)]
    assert [(looked.reached, looked.is_more) for looked in found] == [
        (1, True),
        (1, True),
        (1, True),
        (0, True),
        (0, False),
    ]
    assert await look_at_caps(door) == (0, 0, False)  # the next round is not due
    await other.close()


async def test_nobody_waits_for_a_login_that_the_erp_holds(dsn, db, door):
    for login in (1, 2):
        await add_usage(db, login, {today(): (0, 100 * GB)})
    erp = await asyncpg.connect(dsn)
    async with erp.transaction():
        await erp.execute("SELECT FROM erp.login WHERE id = 1 FOR UPDATE")
        await look(db, door)
        assert await capped(db) == [2]
    await erp.close()
    await look(db, door)
    assert await capped(db) == [1, 2]


async def test_a_deleted_login_is_left_alone(db, door):
    await add_usage(db, 1, {today(): (0, 100 * GB)})
    await db.execute("UPDATE erp.login SET deleted_at = now() WHERE id = 1")
    assert await look(db, door) == (0, 0)
