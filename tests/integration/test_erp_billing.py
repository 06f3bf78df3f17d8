"""What follows from receivables, billing types and statuses: oldest_open_due, access_ends_at, trust unlock."""

import asyncio
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from aaad.db.connection import Database, Queries
from aaad.db.migrate import MIGRATIONS_DIRECTORY, migrate
from aaad.errors import StoreError

PROVIDER = """
INSERT INTO erp.branch (name, time_zone) VALUES ('Matriz', 'America/Sao_Paulo'), ('Manaus', 'America/Manaus');
INSERT INTO erp.plan (name, upload, download) VALUES ('Fibra 100', '50M', '100M');
INSERT INTO erp.client (branch_id, kind, name) VALUES (1, 'E', 'Ana'), (1, 'E', 'Bia');
INSERT INTO erp.contract (client_id, branch_id, plan_id, status)
VALUES (1, 1, 1, 'A'), (1, 2, 1, 'A'), (2, 1, 1, 'A');
INSERT INTO erp.billing_type (name, payment, prepaid_grace_days) VALUES ('Mensal', 'Pos', 5), ('Pré-pago', 'Pre', 2);
"""
TITLES = "INSERT INTO erp.receivable (client_id, contract_id, amount, due_on) VALUES "
SINGLES_COUNT = "INSERT INTO erp.parameter (name, branch_id, value) VALUES ('single_receivables_block', 1, 'S')"
MAY, JUNE, JULY = date(2026, 5, 10), date(2026, 6, 10), date(2026, 7, 10)


def open_database(dsn: str) -> Database:
    return Database(dsn, connect_timeout_s=5, statement_timeout_s=30, application_name="test")


@pytest.fixture
async def database(dsn):
    database = open_database(dsn)
    await database.execute(PROVIDER)
    yield database
    await database.close()


@pytest.fixture
async def other(dsn):
    database = open_database(dsn)
    yield database
    await database.close()


async def dues(database: Queries) -> list[date | None]:
    return [row[0] for row in await database.fetch("SELECT oldest_open_due FROM erp.contract ORDER BY id")]


async def value(database: Queries, sql: str, *args: object) -> object:
    row = await database.fetchrow(sql, *args)
    assert row is not None
    return row[0]


UPSERT = """
INSERT INTO erp.receivable (id, client_id, contract_id, amount, due_on)
VALUES (1, 1, 2, 1, '2026-01-01'), (9, 2, 3, 1, '2026-01-02')
ON CONFLICT (id) DO UPDATE SET contract_id = 2, due_on = excluded.due_on
"""
# From the titles of May, June and July of contract 1, and one of June of contract 3: what each statement makes of it.
STEPS = [
    ("SELECT 1", [MAY, None, JUNE]),
    ("UPDATE erp.receivable SET status = 'R', paid_on = '2026-05-01' WHERE id = 1", [JUNE, None, JUNE]),
    ("UPDATE erp.receivable SET status = 'C' WHERE id = 1", [JUNE, None, JUNE]),
    ("UPDATE erp.receivable SET status = 'P' WHERE id = 1", [MAY, None, JUNE]),
    ("UPDATE erp.receivable SET released = false WHERE id = 1", [JUNE, None, JUNE]),
    ("UPDATE erp.receivable SET renegotiated = true WHERE id = 1", [JUNE, None, JUNE]),
    ("UPDATE erp.receivable SET awaiting_confirmation = true WHERE id = 1", [JUNE, None, JUNE]),
    ("UPDATE erp.receivable SET due_on = '2026-08-10' WHERE id = 1", [JUNE, None, JUNE]),
    ("UPDATE erp.receivable SET contract_id = 2 WHERE id = 1", [JUNE, MAY, JUNE]),
    ("UPDATE erp.receivable SET client_id = 2, contract_id = 3 WHERE id = 1", [JUNE, None, MAY]),
    ("UPDATE erp.receivable SET kind = 'single' WHERE id = 1", [JUNE, None, JUNE]),
    ("UPDATE erp.receivable SET id = 9 WHERE id = 1", [MAY, None, JUNE]),
    ("UPDATE erp.receivable SET status = 'R', paid_on = now()", [None, None, None]),
    ("DELETE FROM erp.receivable WHERE id IN (1, 4)", [JUNE, None, None]),
    ("TRUNCATE erp.receivable", [None, None, None]),
    (UPSERT, [JUNE, date(2026, 1, 1), date(2026, 1, 2)]),
    (TITLES + "(1, 2, 1, '2026-01-01'), (1, 1, 1, '2026-01-02')", [date(2026, 1, 2), date(2026, 1, 1), JUNE]),
    ("UPDATE erp.contract SET client_id = 2 WHERE id = 1", [None, None, JUNE]),  # the old owner's debt is his
    # Nobody writes the day but the triggers.
    ("UPDATE erp.contract SET oldest_open_due = '2026-01-01'", [MAY, None, JUNE]),
    ("UPDATE erp.contract SET oldest_open_due = NULL", [MAY, None, JUNE]),
]  # fmt: skip


async def test_the_oldest_open_due_follows_every_change_of_a_title(database: Database):
    await database.execute(
        TITLES + "(1, 1, 9.9, $1), (1, 1, 9.9, $2), (1, 1, 9.9, $3), (2, 3, 9.9, $2)", MAY, JUNE, JULY
    )
    for sql, expected in STEPS:
        with pytest.raises(RuntimeError):
            async with database.transaction() as transaction:
                await transaction.execute(sql)
                assert await dues(transaction) == expected, sql
                raise RuntimeError  # the next one begins as this one did


OF_CLIENT = "receivable_contract_of_client"
UPSERT_OWN = """
INSERT INTO erp.receivable (id, client_id, contract_id, amount, due_on) VALUES (1, 1, 1, 9.9, '2026-05-10')
ON CONFLICT (id) DO UPDATE SET client_id = 1, contract_id = 1, amount = 5
"""


async def test_a_title_is_of_a_contract_of_its_client(database: Database):
    await database.execute(TITLES + "(1, 1, 9.9, $1), (1, 2, 9.9, $1)", MAY)
    for sql in (
        TITLES + "(2, 3, 9.9, '2026-05-10'), (1, 3, 9.9, '2026-05-10')",
        "UPDATE erp.receivable SET client_id = 2 WHERE id = 1",
        "UPDATE erp.receivable SET contract_id = 3 WHERE id = 1",
    ):
        assert await refusal(database, sql) == OF_CLIENT, sql
    await database.execute(
        "INSERT INTO erp.receivable (client_id, contract_id, amount, due_on, status, paid_on) "
        "VALUES (1, 3, 9.9, '2020-05-10', 'R', '2020-05-10')"  # from before the contract changed hands
    )
    await database.execute("UPDATE erp.contract SET client_id = 2 WHERE id = 1")
    # The old owner's title stays his, and who writes all that there is writes it again.
    for sql in (UPSERT_OWN, "UPDATE erp.receivable SET amount = 7, due_on = '2026-06-10' WHERE id = 1"):
        await database.execute(sql)
    assert await dues(database) == [None, MAY, None]


async def test_a_new_contract_has_no_due_day_of_its_own(database: Database):
    await database.execute(
        "INSERT INTO erp.contract (client_id, branch_id, oldest_open_due) VALUES (1, 1, '2026-01-01')"
    )
    assert await dues(database) == [None] * 4


SINGLE = "INSERT INTO erp.receivable (client_id, contract_id, kind, amount, due_on) VALUES (1, NULL, 'single', 1, $1)"
SINGLE_STEPS = [
    (SINGLES_COUNT, [MAY, None, None]),  # contract 2 is of another branch
    ("INSERT INTO erp.parameter (name, value) VALUES ('single_receivables_block', 'S')", [MAY, MAY, None]),
    (SINGLES_COUNT + "; UPDATE erp.parameter SET value = 'N'", [None, None, None]),
    (SINGLES_COUNT + "; UPDATE erp.parameter SET branch_id = 2", [None, MAY, None]),
    (SINGLES_COUNT + "; DELETE FROM erp.parameter", [None, None, None]),
    (SINGLES_COUNT + "; TRUNCATE erp.parameter", [None, None, None]),
    (SINGLES_COUNT + "; UPDATE erp.contract SET branch_id = 1 WHERE id = 2", [MAY, MAY, None]),
    (SINGLES_COUNT + "; UPDATE erp.contract SET client_id = 1 WHERE id = 3", [MAY, None, MAY]),
    (SINGLES_COUNT + "; UPDATE erp.receivable SET client_id = 2", [None, None, MAY]),
    (SINGLES_COUNT + "; UPDATE erp.receivable SET status = 'C'", [None, None, None]),
    (SINGLES_COUNT + "; UPDATE erp.receivable SET contract_id = 2", [None, None, None]),
    (SINGLES_COUNT + "; DELETE FROM erp.receivable", [None, None, None]),
    (SINGLES_COUNT + "; INSERT INTO erp.contract (client_id, branch_id) VALUES (1, 1)", [MAY, None, None, MAY]),
    ("INSERT INTO erp.contract (client_id, branch_id) VALUES (1, 1)", [None] * 4),
]


async def test_a_title_without_contract_counts_for_all_contracts_of_the_client_where_the_parameter_says_so(
    database: Database,
):
    await database.execute(SINGLE, MAY)
    assert await dues(database) == [None, None, None]
    for sql, expected in SINGLE_STEPS:
        with pytest.raises(RuntimeError):
            async with database.transaction() as transaction:
                await transaction.execute(sql)
                assert await dues(transaction) == expected, sql
                raise RuntimeError


async def test_two_writers_of_titles_of_one_contract_see_each_other(database: Database, other: Database):
    """One pays the old title while the other adds a new one: the new one's day must be what is left."""
    await database.execute(TITLES + "(1, 1, 1, $1)", MAY)
    async with database.transaction(isolation="read_committed") as first:
        await first.execute("UPDATE erp.receivable SET status = 'R', paid_on = now()")
        second = asyncio.create_task(other.execute(TITLES + "(1, 1, 1, $1)", JUNE))
        await until_waiting(first)
    await second
    assert (await dues(database))[0] == JUNE


async def test_who_cannot_see_anew_is_told_to_begin_again(database: Database, other: Database):
    """Also when the other's title did not change the contract's day."""
    await database.execute(TITLES + "(1, 1, 1, $1)", MAY)
    with pytest.raises(StoreError) as caught:
        async with database.transaction(isolation="repeatable_read") as transaction:
            await transaction.fetch("SELECT FROM erp.receivable")  # its snapshot
            await other.execute(TITLES + "(1, 1, 1, $1)", JUNE)
            await transaction.execute("UPDATE erp.receivable SET status = 'R', paid_on = now()")
    assert caught.value.sqlstate == "40001"
    assert (await dues(database))[0] == MAY


async def test_a_contract_and_a_clients_own_title_that_are_made_at_once_find_each_other(
    database: Database, other: Database
):
    await database.execute(SINGLES_COUNT)
    async with database.transaction(isolation="read_committed") as first:
        await first.execute("INSERT INTO erp.contract (client_id, branch_id) VALUES (1, 1)")
        second = asyncio.create_task(other.execute(SINGLE, MAY))
        await until_waiting(first)
    await second
    assert await dues(database) == [MAY, None, None, MAY]


async def test_the_parameter_and_a_single_title_that_are_written_at_once_find_each_other(
    database: Database, other: Database
):
    async with database.transaction(isolation="read_committed") as first:
        await first.execute(SINGLES_COUNT)
        second = asyncio.create_task(other.execute(SINGLE, MAY))
        await until_waiting(first)
    await second
    assert (await dues(database))[0] == MAY


async def until_waiting(transaction: Queries) -> None:
    """Return when another connection waits for a lock."""
    async with asyncio.timeout(10):
        while not await value(transaction, "SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)


# What the day must be, said another way than the triggers do.
WRONG = """
SELECT contract.id, contract.oldest_open_due, min(title.due_on) FROM erp.contract
LEFT JOIN erp.receivable AS title ON title.client_id = contract.client_id
    AND (title.contract_id = contract.id OR title.contract_id IS NULL)
    AND title.status IN ('A', 'P') AND title.released AND NOT title.renegotiated AND NOT title.awaiting_confirmation
    AND (title.kind = 'recurring' OR 'S' = erp.parameter_value('single_receivables_block', contract.branch_id))
GROUP BY contract.id HAVING contract.oldest_open_due IS DISTINCT FROM min(title.due_on)
"""


def any_statement(random: Random) -> str:
    client, contract, branch = (
        random.randint(1, 2),
        random.choice([1, 2, 3, 4, "NULL"]),
        random.choice(["NULL", 1, 2]),
    )
    kind = "single" if contract == "NULL" else random.choice(["recurring", "recurring", "single"])
    title, day = f"id % 7 = {random.randint(0, 6)}", f"'2026-01-01'::date + {random.randint(0, 60)}"
    insert = (
        f"INSERT INTO erp.receivable (client_id, contract_id, kind, amount, due_on) SELECT {client}, {contract}, "
        f"'{kind}', 1, {day} + n FROM generate_series(1, {random.randint(1, 3)}) AS n"
    )
    parameter = (
        f"INSERT INTO erp.parameter (name, branch_id, value) VALUES ('single_receivables_block', {branch}, "
        f"'{random.choice('SN')}') ON CONFLICT (name, branch_id) DO UPDATE SET value = excluded.value"
    )
    move = f"contract_id = {contract}, kind = '{kind}', client_id = {client}"
    return random.choice([
        insert, insert, insert, parameter,
        f"UPDATE erp.receivable SET status = 'R', paid_on = now() WHERE {title}",
        f"UPDATE erp.receivable SET status = 'A', due_on = {day} WHERE {title}",
        f"UPDATE erp.receivable SET awaiting_confirmation = NOT awaiting_confirmation WHERE {title}",
        f"UPDATE erp.receivable SET {move} WHERE {title}",
        f"DELETE FROM erp.receivable WHERE {title}",
        f"UPDATE erp.contract SET client_id = {client}, branch_id = {random.randint(1, 2)} WHERE id = {contract}",
        f"INSERT INTO erp.contract (client_id, branch_id) VALUES ({client}, {random.randint(1, 2)})",
        "DELETE FROM erp.parameter WHERE branch_id IS NULL",
    ])  # fmt: skip


async def test_after_any_statements_the_day_is_what_the_titles_say(database: Database):
    random = Random(11)
    await database.execute("INSERT INTO erp.contract (client_id, branch_id) VALUES (2, 2)")
    for _ in range(150):
        sql = any_statement(random)
        try:
            await database.execute(sql)
        except StoreError as error:
            assert error.constraint == OF_CLIENT, error
        assert await database.fetch(WRONG) == [], sql


async def test_whatever_several_programs_write_at_once_the_day_is_what_the_titles_say(database: Database, dsn: str):
    await database.execute("INSERT INTO erp.contract (client_id, branch_id) VALUES (2, 2)")
    programs = [open_database(dsn) for _ in range(4)]

    async def write(program: Database, random: Random) -> int:
        done = 0
        for _ in range(20):
            isolation = random.choice(["read_committed", "serializable"])
            try:
                async with program.transaction(isolation=isolation) as transaction:
                    for _ in range(random.randint(1, 3)):
                        await transaction.execute(any_statement(random))
                done += 1
            except StoreError as error:
                assert error.sqlstate in ("40001", "40P01") or error.constraint == OF_CLIENT, error
        return done

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(write(one, Random(seed))) for seed, one in enumerate(programs)]
    finally:
        for one in programs:
            await one.close()
    assert sum(task.result() for task in tasks) > 20
    assert await database.fetch(WRONG) == []


async def test_many_titles_in_one_statement_take_seconds(database: Database):
    await database.execute(
        "INSERT INTO erp.client (branch_id, kind, name) SELECT 1, 'E', 'Ana' FROM generate_series(1, 20000)"
    )
    await database.execute(
        "INSERT INTO erp.contract (client_id, branch_id, plan_id, status) SELECT n, 1, 1, 'A' "
        "FROM generate_series(3, 20002) AS n"
    )
    for day in range(1, 8):  # enough for PostgreSQL to settle on kept plans
        await database.execute(TITLES + "(1, 1, 1, $1)", date(2026, 1, day))
    async with asyncio.timeout(30):
        await database.execute(
            "INSERT INTO erp.receivable (client_id, contract_id, amount, due_on) "
            "SELECT 3 + n % 20000, 4 + n % 20000, 9.9, '2026-05-10' FROM generate_series(0, 49999) AS n"
        )
        await database.execute("UPDATE erp.receivable SET status = 'R', paid_on = now() WHERE id % 10 = 0")
    assert await value(database, "SELECT count(*) FROM erp.receivable") == 50_007


# Prepaid access ----------------------------------------------------------------------------------------------


async def ends(database: Queries) -> list[datetime | None]:
    return [row[0] for row in await database.fetch("SELECT access_ends_at FROM erp.contract ORDER BY id LIMIT 2")]


def hour(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type]


async def test_prepaid_access_ends_with_the_last_day_of_grace_in_the_branchs_zone(database: Database):
    await database.execute("UPDATE erp.contract SET billing_type_id = 2, paid_until = '2026-07-10'")
    assert await ends(database) == [hour(2026, 7, 13, 3), hour(2026, 7, 13, 4)]
    await database.execute("UPDATE erp.billing_type SET prepaid_grace_days = 3 WHERE id = 2")
    assert await ends(database) == [hour(2026, 7, 14, 3), hour(2026, 7, 14, 4)]
    await database.execute("UPDATE erp.branch SET time_zone = 'America/Noronha' WHERE id = 2")
    assert await ends(database) == [hour(2026, 7, 14, 3), hour(2026, 7, 14, 2)]
    await database.execute("UPDATE erp.contract SET branch_id = 1 WHERE id = 2")
    await database.execute("UPDATE erp.contract SET access_ends_at = '2030-01-01'")  # nobody writes it
    assert await ends(database) == [hour(2026, 7, 14, 3)] * 2
    await database.execute("UPDATE erp.contract SET paid_until = NULL WHERE id = 1")
    await database.execute("UPDATE erp.contract SET billing_type_id = 1 WHERE id = 2")
    assert await ends(database) == [None, None]
    await database.execute("UPDATE erp.contract SET paid_until = '2026-07-10' WHERE id = 1")
    await database.execute("UPDATE erp.billing_type SET payment = 'Pos' WHERE id = 2")
    assert await ends(database) == [None, None]
    await database.execute("UPDATE erp.billing_type SET payment = 'Pre'")
    assert await ends(database) == [hour(2026, 7, 14, 3), hour(2026, 7, 16, 3)]
    await database.execute("UPDATE erp.contract SET billing_type_id = NULL")
    assert await ends(database) == [None, None]
    await database.execute(
        "INSERT INTO erp.contract (id, client_id, branch_id, billing_type_id, paid_until) "
        "VALUES (9, 1, 1, 2, '2026-01-01')"
    )
    assert await value(database, "SELECT access_ends_at FROM erp.contract WHERE id = 9") == hour(2026, 1, 5, 3)


async def test_a_contract_that_is_made_while_its_billing_type_changes_gets_the_new_days(
    database: Database, other: Database
):
    async with database.transaction(isolation="read_committed") as first:
        await first.execute("UPDATE erp.billing_type SET prepaid_grace_days = 0 WHERE id = 2")
        second = asyncio.create_task(
            other.execute("UPDATE erp.contract SET billing_type_id = 2, paid_until = '2026-07-10' WHERE id = 1")
        )
        await until_waiting(first)
    await second
    assert (await ends(database))[0] == hour(2026, 7, 11, 3)


SETTINGS = [
    "UPDATE erp.billing_type SET prepaid_grace_days = prepaid_grace_days + 1",
    "UPDATE erp.branch SET time_zone = 'America/Noronha' WHERE id = 1",
]
FIRST_WRITES = [
    "UPDATE erp.contract SET late_speed = 'S' WHERE id = 1",
    "INSERT INTO erp.receivable (client_id, contract_id, amount, due_on) VALUES (1, 1, 1, '2026-01-01')",
    "SELECT erp.unlock_on_trust(1)",
]


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("first_write", FIRST_WRITES)
async def test_who_writes_contracts_and_who_changes_a_setting_do_not_wait_for_each_other(
    database: Database, other: Database, setting: str, first_write: str
):
    """Both write contract 1 and need the setting; one waits, and neither fails."""
    await database.execute("UPDATE erp.contract SET billing_type_id = 2, paid_until = '2026-07-10'")
    async with database.transaction(isolation="read_committed") as first:
        await first.execute(first_write)
        second = asyncio.create_task(other.execute(setting))
        await until_waiting(first)
        await first.execute("UPDATE erp.contract SET paid_until = '2026-07-11' WHERE id = 1")
    await second
    hours = (hour(2026, 7, 14, 2), hour(2026, 7, 15, 3))  # of Noronha; of São Paulo, a day more
    assert (await ends(database))[0] == hours["billing_type" in setting]


async def test_a_setting_does_not_wait_for_ever_for_a_strangers_transaction(database: Database, other: Database):
    async with database.transaction(isolation="read_committed") as first:
        await first.execute(FIRST_WRITES[0])
        with pytest.raises(StoreError, match="writing contracts") as caught:
            await other.execute(SETTINGS[0])
        assert caught.value.sqlstate == "55P03"
        await other.execute("UPDATE erp.billing_type SET block_days = 9")  # no contract follows from it


# Statuses ----------------------------------------------------------------------------------------------------


async def test_the_dates_of_a_contract_follow_its_statuses(database: Database):
    columns = (
        "blocked_at",
        "unblocked_at",
        "notice_at",
        "disabled_at",
        "activated_at",
        "activated_on",
        "cancelled_on",
    )
    for sql, expected in [
        ("UPDATE erp.contract SET access_status = 'CA'", {"blocked_at"}),
        ("UPDATE erp.contract SET access_status = 'CM'", {"blocked_at"}),
        ("UPDATE erp.contract SET access_status = 'A'", {"blocked_at", "unblocked_at"}),
        ("UPDATE erp.contract SET access_status = 'FA'", {"blocked_at", "unblocked_at", "notice_at"}),
        ("UPDATE erp.contract SET access_status = 'D'", {"blocked_at", "unblocked_at", "notice_at", "disabled_at"}),
        (
            "UPDATE erp.contract SET blocked_at = NULL, unblocked_at = NULL, notice_at = NULL, disabled_at = NULL",
            set(),
        ),
        ("UPDATE erp.contract SET status = 'I', cancellation_reason = 'moved'", {"cancelled_on"}),
        ("UPDATE erp.contract SET status = 'D'", {"cancelled_on"}),
        ("UPDATE erp.contract SET status = 'A'", {"activated_at", "activated_on"}),
    ]:
        await database.execute(sql)
        row = await database.fetchrow(f"SELECT {', '.join(columns)} FROM erp.contract WHERE id = 1")
        assert row is not None
        assert {name for name in columns if row[name] is not None} == expected, sql
    await database.execute("UPDATE erp.contract SET access_status = 'CA', blocked_at = '2026-01-01 00:00:00+00'")
    assert await value(database, "SELECT blocked_at FROM erp.contract") == hour(2026, 1, 1)
    await database.execute("UPDATE erp.contract SET access_status = 'CA'")
    assert await value(database, "SELECT blocked_at FROM erp.contract") == hour(2026, 1, 1)


# Trust unlock (R4.2) -----------------------------------------------------------------------------------------

YESTERDAY = "(now() AT TIME ZONE 'America/Sao_Paulo')::date - 1"
BLOCKED = f"{TITLES} (1, 1, 1, {YESTERDAY}); UPDATE erp.contract SET access_status = 'CA' WHERE id = 1"


async def unlock(database: Queries, days: int | None = 2, contract_id: int = 1) -> tuple[int, str]:
    row = await database.fetchrow("SELECT code, reason FROM erp.unlock_on_trust($1, $2)", contract_id, days)
    assert row is not None
    return row["code"], row["reason"]


async def trust(database: Queries) -> tuple[str, bool, bool]:
    row = await database.fetchrow(
        "SELECT access_status, trust_unlock_active, trust_unlock_until IS NOT NULL FROM erp.contract WHERE id = 1"
    )
    assert row is not None
    return tuple(row)


NO_TRUST = "INSERT INTO erp.parameter (name, value) VALUES ('trust_unlock', 'N')"
PAID = "UPDATE erp.receivable SET status = 'R', paid_on = now()"
ANSWERS = [
    ("SELECT 1", (0, "unlocked")),
    ("UPDATE erp.contract SET access_status = 'A'", (107, "not_needed")),
    ("UPDATE erp.contract SET access_status = 'FA'", (107, "not_needed")),
    ("UPDATE erp.contract SET access_status = 'CM'", (109, "not_blocked_automatically")),
    ("UPDATE erp.contract SET access_status = 'D'", (109, "not_blocked_automatically")),
    ("UPDATE erp.contract SET access_status = 'AA'", (109, "not_blocked_automatically")),
    ("UPDATE erp.contract SET status = 'I'", (109, "contract_inactive")),
    ("UPDATE erp.contract SET status = 'N'", (109, "contract_inactive")),
    ("UPDATE erp.contract SET trust_unlock_restricted = true", (109, "not_allowed")),
    ("UPDATE erp.contract SET trust_unlock = 'N'", (109, "not_allowed")),
    (NO_TRUST, (109, "not_allowed")),
    (
        f"{NO_TRUST}; UPDATE erp.contract SET trust_unlock = 'S'",
        (0, "unlocked"),
    ),
    (f"UPDATE erp.contract SET trust_unlock_used_for_due = {YESTERDAY}", (113, "already_used")),
    (f"UPDATE erp.contract SET trust_unlock_used_for_due = {YESTERDAY} - 1", (0, "unlocked")),
    ("DELETE FROM erp.receivable", (0, "unlocked")),  # blocked, and nothing is open: once
    (
        f"DELETE FROM erp.receivable; UPDATE erp.contract SET trust_unlock_used_for_due = {YESTERDAY}",
        (113, "already_used"),  # no title is known that could have been paid
    ),
    (
        f"{PAID}; UPDATE erp.contract SET trust_unlock_used_for_due = {YESTERDAY}",
        (0, "unlocked"),
    ),
]


async def test_r4_2_the_answers_of_a_trust_unlock(database: Database):
    await database.execute(BLOCKED)
    assert await unlock(database, contract_id=99) == (106, "contract_not_found")
    for sql, expected in ANSWERS:
        with pytest.raises(RuntimeError):
            async with database.transaction() as transaction:
                await transaction.execute(sql)
                before = await trust(transaction)
                assert await unlock(transaction) == expected, sql
                assert await trust(transaction) == (("A", True, True) if expected[0] == 0 else before), sql
                raise RuntimeError
    with pytest.raises(StoreError, match="at least one day"):
        await unlock(database, 0)


async def test_r4_2_a_trust_unlock_lasts_to_the_end_of_its_last_day_and_no_longer_than_the_parameter_allows(
    database: Database,
):
    await database.execute(BLOCKED)
    today = await value(database, "SELECT erp.today(1)")
    for days, parameter, expected in [
        (2, None, 2),
        (9, None, 3),
        (None, None, 3),
        (9, "5", 5),
        (1, "5", 1),
        (None, "1", 1),
    ]:
        with pytest.raises(RuntimeError):
            async with database.transaction() as transaction:
                if parameter:
                    await transaction.execute(
                        "INSERT INTO erp.parameter (name, value) VALUES ('trust_unlock_days', $1)", parameter
                    )
                row = await transaction.fetchrow("SELECT * FROM erp.unlock_on_trust(1, $1)", days)
                assert row is not None
                last = row["unlocked_until"].astimezone(UTC) - timedelta(hours=3)  # midnight in São Paulo
                assert (last.date(), last.hour) == (today + timedelta(days=expected + 1), 0)
                assert row["due_on"] == today - timedelta(days=1)
                raise RuntimeError


async def test_r4_2_of_many_at_once_one_wins(database: Database, dsn: str):
    await database.execute(BLOCKED)
    others = [open_database(dsn) for _ in range(8)]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(unlock(one)) for one in others]
        assert sorted(task.result()[0] for task in tasks) == [0] + [107] * 7
    finally:
        for one in others:
            await one.close()
    assert await value(database, "SELECT count(*) FROM erp.history WHERE text LIKE '%trust_unlock_active%'") == 1


async def test_r4_2_once_until_that_title_is_paid(database: Database):
    await database.execute(BLOCKED)
    assert await unlock(database) == (0, "unlocked")
    await database.execute("UPDATE erp.contract SET access_status = 'CA' WHERE id = 1")
    assert await trust(database) == ("CA", False, False)  # who blocks ends it
    assert await unlock(database) == (113, "already_used")
    row = await database.fetchrow("SELECT due_on, unlocked_until FROM erp.unlock_on_trust(1)")
    assert row is not None
    assert (row["due_on"], row["unlocked_until"]) == (await value(database, "SELECT erp.today(1) - 1"), None)
    await database.execute("UPDATE erp.receivable SET status = 'R', paid_on = now()")
    # Taken back: as old as the one it was given for, so none again.
    await database.execute("UPDATE erp.receivable SET status = 'A', paid_on = NULL")
    await database.execute("UPDATE erp.contract SET access_status = 'CA' WHERE id = 1")
    assert await unlock(database) == (113, "already_used")
    await database.execute("UPDATE erp.receivable SET status = 'R', paid_on = now()")
    await database.execute(f"{TITLES} (1, 1, 1, {YESTERDAY} + 1)")
    await database.execute("UPDATE erp.contract SET access_status = 'CA' WHERE id = 1")
    assert await unlock(database) == (0, "unlocked")


CIRCUMVENTED = [
    "UPDATE erp.receivable SET awaiting_confirmation = true WHERE id = 1",  # as the client reports himself
    "UPDATE erp.receivable SET due_on = due_on + 1 WHERE id = 1",
    "UPDATE erp.receivable SET due_on = due_on + 90 WHERE id = 1",
    "UPDATE erp.receivable SET renegotiated = true WHERE id = 1",
    "UPDATE erp.receivable SET released = false WHERE id = 1",
    "UPDATE erp.receivable SET status = 'P' WHERE id = 1",
]
SETTLED = [
    "UPDATE erp.receivable SET status = 'R', paid_on = now() WHERE id = 1",
    "UPDATE erp.receivable SET status = 'C' WHERE id = 1",
    "DELETE FROM erp.receivable WHERE id = 1",
    "UPDATE erp.contract SET trust_unlock_used_for_due = NULL",
]


async def test_r4_2_only_the_payment_of_that_title_makes_another_possible(database: Database):
    await database.execute(f"{TITLES} (1, 1, 1, {YESTERDAY} - 3), (1, 1, 1, {YESTERDAY})")
    await database.execute("UPDATE erp.contract SET access_status = 'CA' WHERE id = 1")
    assert await unlock(database) == (0, "unlocked")
    await database.execute("UPDATE erp.contract SET access_status = 'CA' WHERE id = 1")
    for sql in CIRCUMVENTED + SETTLED:
        expected = (0, "unlocked") if sql in SETTLED else (113, "already_used")
        with pytest.raises(RuntimeError):
            async with database.transaction() as transaction:
                await transaction.execute(sql)
                assert await unlock(transaction) == expected, sql
                raise RuntimeError
    await database.execute(f"{SETTLED[0]}; {TITLES} (1, 1, 1, {YESTERDAY} - 9)")
    assert await unlock(database) == (113, "already_used"), "an older one is open"


async def test_r4_2_with_nothing_overdue_the_mark_goes(database: Database):
    await database.execute(f"{TITLES} (1, 1, 1, {YESTERDAY} - 3), (1, 1, 1, {YESTERDAY} + 1); {BLOCKED}")
    assert await unlock(database) == (0, "unlocked")
    await database.execute("UPDATE erp.receivable SET status = 'R', paid_on = now() WHERE id = 1")
    assert await trust(database) == ("A", True, True)  # yesterday's is still open
    await database.execute("UPDATE erp.receivable SET awaiting_confirmation = true WHERE id = 3")
    assert await trust(database) == ("A", False, False)  # today's is not late
    assert await value(database, "SELECT trust_unlock_used_for_due IS NOT NULL FROM erp.contract WHERE id = 1")


# States, addresses, operators, history -----------------------------------------------------------------------


async def test_receivables_have_the_states_and_colours_that_operators_know(database: Database):
    """S4-40 to S4-45, in the zone of the contract's branch."""
    await database.execute(
        f"INSERT INTO erp.receivable (client_id, contract_id, amount, due_on, status, paid_on, renegotiated) VALUES "
        f"(1, 1, 1, {YESTERDAY} + 2, 'A', NULL, false), (1, 1, 1, {YESTERDAY} + 1, 'P', NULL, false), "
        f"(1, 1, 1, {YESTERDAY}, 'A', NULL, false), (1, 1, 1, '2026-01-10', 'R', '2026-01-10', false), "
        f"(1, 1, 1, '2026-01-10', 'R', '2026-01-11', false), (1, 1, 1, '2026-01-10', 'A', NULL, true), "
        f"(1, 1, 1, '2026-01-10', 'C', NULL, false)"
    )
    await database.execute(SINGLE, MAY)
    rows = await database.fetch("SELECT state, colour FROM erp.receivable_state ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("a_vencer", "azul"), ("vence_hoje", "laranja"), ("vencido", "vermelho"),
        ("recebido_em_dia", "verde_claro"),
        ("recebido_em_atraso", "verde_escuro"), ("renegociado", "cinza"), ("cancelado", None),
        ("vencido", "vermelho"),
    ]  # fmt: skip
    # The same instant is another day elsewhere.
    await database.execute("UPDATE erp.branch SET time_zone = 'Pacific/Kiritimati' WHERE id = 1")
    days = await value(database, f"SELECT erp.today(1) - ({YESTERDAY} + 1)")
    row = await database.fetchrow("SELECT state FROM erp.receivable_state WHERE id = 2")
    assert row is not None
    assert row["state"] == ("vencido" if days else "vence_hoje")


async def test_an_address_is_found_however_it_is_spelt(database: Database):
    await database.execute(
        "UPDATE erp.client SET street = 'Rua São  João', street_number = '12', district = 'Centro' WHERE id = 1"
    )
    await database.execute(
        "INSERT INTO erp.address (contract_id, kind, street, street_number, district, city, state) "
        "VALUES (3, 'installation', 'RUA SA\u0303O JOA\u0303O', '12', 'CENTRO', 'Chapecó', 'SC')"
    )
    for street, found in [("rua sao joao", [1, 2]), ("Rua São João II", []), ("", [])]:
        rows = await database.fetch("SELECT erp.clients_at('12', $1, 'centro')", street)
        assert [row[0] for row in rows] == found, street
    assert await database.fetch("SELECT erp.clients_at('1', '2rua sao joao', 'centro')") == []
    await database.execute("SET enable_seqscan = off")
    plan = await database.fetch(
        "EXPLAIN SELECT FROM erp.client WHERE erp.address_key(street_number, street, district) = 'x'"
    )
    assert "client_by_address_key" in " ".join(row[0] for row in plan)


async def test_the_permissions_are_those_of_the_screens_and_one_denies(database: Database):
    rows = await database.fetch("SELECT id, name FROM erp.permission WHERE denies ORDER BY id")
    assert [tuple(row) for row in rows] == [(23, "Não Editar Combo Plano Habilitado")]
    assert await value(database, "SELECT array_agg(id ORDER BY id) FROM erp.permission") == list(range(1, 41))
    assert await value(database, "SELECT name FROM erp.permission WHERE id = 39") == "Ver Senha Login Radius"
    row = await database.fetchrow("SELECT name, denies FROM erp.permission WHERE id = 40")
    assert tuple(row) == ("Ver CPF e CNPJ nos Registros de Conexão", False)
    await database.execute(
        "INSERT INTO erp.operator_group (name, all_permissions) VALUES ('Suporte', false), ('Gerência', true), "
        "('x', true);"
        "INSERT INTO erp.operator_group_permission VALUES (1, 21), (3, 23);"
        "INSERT INTO erp.operator (name, group_id, active) VALUES ('maria', 1, true), ('joão', 2, true), "
        "('bia', 2, false), ('eva', NULL, true), ('zé', 3, true)"
    )
    for operator, permission, expected in [
        ("maria", "Mudar Plano", True), ("maria", "Tarefas", False), ("João", "Tarefas", True),
        ("joão", "Não Editar Combo Plano Habilitado", False), ("zé", "Não Editar Combo Plano Habilitado", True),
        ("bia", "Tarefas", False), ("eva", "Tarefas", False), ("nobody", "Tarefas", False), ("joão", "None", False),
    ]:  # fmt: skip
        assert await value(database, "SELECT erp.has_permission($1, $2)", operator, permission) is expected


async def test_the_history_tells_what_operators_ask_about_and_nothing_personal(database: Database):
    await database.execute(
        "INSERT INTO erp.contact (client_id, name, phone) VALUES (1, 'Secreto', '4933221100');"
        "UPDATE erp.contact SET name = 'Segredo'; UPDATE erp.contact SET name = name; DELETE FROM erp.contact;"
        "INSERT INTO erp.address (contract_id, kind, street, city, state) VALUES (3, 'billing', 'Rua', 'X', 'SC');"
        "INSERT INTO erp.parameter (name, branch_id, value) VALUES ('blocked_state', 1, 'N');"
        "UPDATE erp.parameter SET value = 'S'; UPDATE erp.parameter SET value = value; DELETE FROM erp.parameter;"
        "UPDATE erp.billing_type SET block_days = 20 WHERE id = 1; UPDATE erp.billing_type SET name = name;"
        "UPDATE erp.contract SET late_speed = 'N', cancellation_reason = 'Secreto', billing_type_id = 1 WHERE id = 1"
    )
    rows = await database.fetch("SELECT branch_id, client_id, contract_id, kind, text FROM erp.history ORDER BY id")
    assert [tuple(row) for row in rows] == [
        (None, 1, None, "client_changed", "contact: added"),
        (None, 1, None, "client_changed", "contact: changed"),
        (None, 1, None, "client_changed", "contact: removed"),
        (None, 2, 3, "contract_changed", "billing address: added"),
        (1, None, None, "parameter_changed", "blocked_state: - → N"),
        (1, None, None, "parameter_changed", "blocked_state: N → S"),
        (1, None, None, "parameter_changed", "blocked_state: S → -"),
        (None, None, None, "billing_type_changed", "Mensal: block_days: 15 → 20"),
        (1, 1, 1, "contract_changed", "billing_type: - → 1; late_speed: P → N; cancellation_reason: changed"),
    ]


async def test_the_change_log_names_contracts_by_what_nodes_decide_from(database: Database):
    await database.execute("DELETE FROM net.change")
    for sql, expected in [
        (TITLES + "(1, 1, 1, '2026-05-10')", [("contract", 1)]),
        (TITLES + "(1, 1, 1, '2026-06-10')", []),  # no older one
        ("UPDATE erp.contract SET billing_type_id = 2, paid_until = '2026-05-10' WHERE id = 2", [("contract", 2)]),
        ("UPDATE erp.billing_type SET prepaid_grace_days = 9", [("contract", 2)]),
        ("UPDATE erp.billing_type SET block_days = 9", []),
        ("UPDATE erp.contract SET force_access = 'S', do_not_block_until = '2026-01-01', logins_max = 2", []),
        *((f"UPDATE erp.contract SET {change} WHERE id = 3", [("contract", 3)]) for change in (
            "not_reduced_until = '2026-01-01'", "suspended_from = '2026-01-01'", "suspended_until = '2026-01-01'",
            "trust_unlock_until = now()", "trust_unlock_active = true", "late_speed = 'N'", "speed_status = 'R'",
        )),
    ]:  # fmt: skip
        await database.execute(sql)
        rows = await database.fetch("SELECT kind, key FROM net.change")
        assert [tuple(row) for row in rows] == expected, sql
        await database.execute("DELETE FROM net.change")


# Rules that a parameter or a contract switches on ------------------------------------------------------------

LOGIN = "INSERT INTO erp.login (contract_id, name, password) VALUES "
SWITCHED = [
    ("UPDATE erp.client SET active = false WHERE id = 1", "allow_inactive_client_with_contracts", "N",
     "client_inactive_without_contracts"),
    ("UPDATE erp.contract SET suspended = true WHERE id = 1", "allow_voluntary_suspension", "N",
     "contract_suspension_allowed"),
    ("INSERT INTO erp.contract (client_id, branch_id, suspended) VALUES (1, 1, true)", "allow_voluntary_suspension",
     "N", "contract_suspension_allowed"),
    ("INSERT INTO erp.contract (client_id, branch_id, status) VALUES (1, 1, 'A')", "login_required_for_internet",
     "S", "contract_active_with_login"),
]  # fmt: skip


async def test_what_a_parameter_forbids_is_refused_and_allowed_without_it(database: Database):
    for sql, name, letter, constraint in SWITCHED:
        for set_to, branch_id in ((None, None), ("S" if letter == "N" else "N", 1), (letter, 2), (letter, 1)):
            with pytest.raises((RuntimeError, StoreError)) as caught:
                async with database.transaction() as transaction:
                    if set_to:
                        await transaction.execute(
                            "INSERT INTO erp.parameter (name, value, branch_id) VALUES ($1, $2, $3)",
                            name, set_to, branch_id,
                        )  # fmt: skip
                    await transaction.execute(sql)
                    raise RuntimeError
            refused = caught.value.constraint if isinstance(caught.value, StoreError) else None
            assert refused == (constraint if (set_to, branch_id) == (letter, 1) else None), (sql, set_to, branch_id)


async def test_what_was_so_before_the_parameter_came_stays(database: Database):
    await database.execute("UPDATE erp.contract SET suspended = true; UPDATE erp.client SET active = false")
    await database.execute(
        "INSERT INTO erp.parameter (name, value) VALUES ('allow_voluntary_suspension', 'N'), "
        "('allow_inactive_client_with_contracts', 'N'), ('login_required_for_internet', 'S')"
    )
    await database.execute(
        "UPDATE erp.contract SET suspended = true, status = 'A'; UPDATE erp.client SET active = false"
    )
    await database.execute("UPDATE erp.contract SET status = 'P', suspended = false WHERE id = 1")
    with pytest.raises(StoreError):
        await database.execute("UPDATE erp.contract SET status = 'A' WHERE id = 1")
    await database.execute(LOGIN + "(1, 'ana', 'x')")
    await database.execute("UPDATE erp.contract SET status = 'A' WHERE id = 1")


async def test_the_last_cancelled_contract_ends_the_client_where_the_parameter_says_so(
    database: Database, other: Database
):
    await database.execute("UPDATE erp.contract SET status = 'I' WHERE id = 3")
    assert await value(database, "SELECT active FROM erp.client WHERE id = 2")
    await database.execute("INSERT INTO erp.parameter (name, value) VALUES ('inactivate_client_on_last_cancel', 'S')")
    # The two of client 1 at once, by two programs.
    async with database.transaction(isolation="read_committed") as first:
        await first.execute("UPDATE erp.contract SET status = 'D' WHERE id = 1")
        second = asyncio.create_task(other.execute("UPDATE erp.contract SET status = 'I' WHERE id = 2"))
        await until_waiting(first)
        assert await value(first, "SELECT active FROM erp.client WHERE id = 1")
    await second
    assert not await value(database, "SELECT active FROM erp.client WHERE id = 1")


async def test_a_contract_has_no_more_logins_than_it_may(database: Database, other: Database):
    await database.execute("UPDATE erp.contract SET logins_max = 2 WHERE id = 1")
    await database.execute(LOGIN + "(1, 'a', 'x'), (2, 'b', 'x'), (2, 'c', 'x'), (2, 'd', 'x')")
    async with database.transaction(isolation="read_committed") as first:
        await first.execute(LOGIN + "(1, 'e', 'x')")
        second = asyncio.create_task(refusal(other, LOGIN + "(1, 'f', 'x')"))
        await until_waiting(first)
    assert await second == "login_within_logins_max"
    assert (
        await refusal(database, "UPDATE erp.login SET contract_id = 1 WHERE name = 'b'") == "login_within_logins_max"
    )
    await database.execute("UPDATE erp.login SET deleted_at = now() WHERE name = 'a'")
    await database.execute("UPDATE erp.login SET contract_id = 1 WHERE name = 'b'")
    assert await refusal(database, "UPDATE erp.login SET deleted_at = NULL") == "login_within_logins_max"
    await database.execute("UPDATE erp.contract SET logins_max = 1 WHERE id = 1")  # those there are stay
    await database.execute("UPDATE erp.login SET active = false, deleted_at = deleted_at, contract_id = contract_id")


async def refusal(database: Database, sql: str) -> str | None:
    with pytest.raises(StoreError) as caught:
        await database.execute(sql)
    return caught.value.constraint


# The migration on a database that is in use -------------------------------------------------------------------


async def test_what_was_written_before_the_closed_lists_is_kept_or_told(empty_dsn: str, tmp_path: Path):
    for path in sorted(MIGRATIONS_DIRECTORY.glob("000[1-5]_*.sql")):
        shutil.copy(path, tmp_path)
    await migrate(empty_dsn, tmp_path)
    database = open_database(empty_dsn)
    await database.execute(
        "INSERT INTO erp.branch (name) VALUES ('Matriz');"
        "INSERT INTO erp.client (branch_id, kind, name) VALUES (1, 'E', 'Ana');"
        "INSERT INTO erp.contract (client_id, branch_id, suspended_from, suspended_until) "
        "VALUES (1, 1, '1900-01-01', 'infinity'), (1, 1, '2026-01-01', NULL), (1, 1, '1900-01-01', NULL), "
        "(1, 1, 'infinity', NULL), (1, 1, NULL, '-infinity');"
        "INSERT INTO erp.branch (name, time_zone) VALUES (repeat('x', 127) || ' y', 'america/manaus'), "
        "('Norte', 'posix/America/Belem');"
        "INSERT INTO erp.parameter (name, branch_id, value) VALUES ('document_required', NULL, 'S'), "
        "('document_required', 1, 'P'), ('hello', 1, 'x'), ('ipv4_pool', NULL, 'clientes'), ('dns', NULL, 'none')"
    )
    await migrate(empty_dsn)
    rows = await database.fetch("SELECT suspended_from, suspended_until FROM erp.contract ORDER BY id")
    assert [tuple(row) for row in rows] == [
        (date(1970, 1, 2), date(2099, 12, 31)), (date(2026, 1, 1), None), (date(1970, 1, 2), None),
        (date(2099, 12, 31), None), (None, date(1970, 1, 2)),
    ]  # fmt: skip
    rows = await database.fetch("SELECT name, time_zone FROM erp.branch ORDER BY id OFFSET 1")
    assert [tuple(row) for row in rows] == [("x" * 127, "America/Manaus"), ("Norte", "America/Belem")]
    rows = await database.fetch("SELECT name, value FROM erp.parameter ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("document_required", "S"), ("document_required", "P"), ("ipv4_pool", "clientes"),
    ]  # fmt: skip
    rows = await database.fetch(
        "SELECT branch_id, text FROM erp.history WHERE kind = 'parameter_removed' ORDER BY id"
    )
    assert [tuple(row) for row in rows] == [
        (1, "hello = x: not a parameter, or not a value of it"),
        (None, "dns = none: not a parameter, or not a value of it"),
    ]
    await database.close()
