"""Days that triggers keep, where a transaction began before what it must count: told to begin again, never wrong."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from aaad.db.connection import Database, Transaction
from aaad.errors import StoreError

PROVIDER = """
INSERT INTO erp.branch (name) VALUES ('Matriz'), ('Norte');
INSERT INTO erp.client (branch_id, kind, name) VALUES (1, 'E', 'Ana'), (1, 'E', 'Bia');
INSERT INTO erp.contract (client_id, branch_id) VALUES (1, 1), (2, 1);
INSERT INTO erp.receivable (client_id, kind, amount, due_on) VALUES (2, 'single', 1, '2026-05-20');
"""
EMPTY = "TRUNCATE erp.branch, erp.parameter RESTART IDENTITY CASCADE;"
OWN_TITLE = "INSERT INTO erp.receivable (client_id, kind, amount, due_on) VALUES (1, 'single', 1, '2026-05-10')"
SINGLE_TITLE = OWN_TITLE.replace("(client_id,", "(contract_id, client_id,").replace("(1,", "(1, 1,")
NEW_CONTRACT = "INSERT INTO erp.contract (client_id, branch_id) VALUES (2, 1)"
FOREIGN_CONTRACT = "UPDATE erp.contract SET client_id = 2 WHERE id = 1"
COUNT = "INSERT INTO erp.parameter (name, branch_id, value) VALUES ('single_receivables_block', {}, 'S')"
COUNT_HERE, COUNT_ANYWHERE, COUNT_ELSEWHERE = COUNT.format(1), COUNT.format("NULL"), COUNT.format(2)
COUNT_NO_MORE = "DELETE FROM erp.parameter"

# What the day must be, said another way than the triggers do.
WRONG = """
SELECT contract.id, contract.oldest_open_due, min(title.due_on) FROM erp.contract
LEFT JOIN erp.receivable AS title ON title.client_id = contract.client_id AND title.is_open
    AND coalesce(title.contract_id, contract.id) = contract.id
    AND (title.kind = 'recurring' OR 'S' = erp.parameter_value('single_receivables_block', contract.branch_id))
GROUP BY contract.id HAVING contract.oldest_open_due IS DISTINCT FROM min(title.due_on)
"""


def open_database(dsn: str) -> Database:
    return Database(dsn, connect_timeout_s=5, statement_timeout_s=30, application_name="test")


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    database = open_database(dsn)
    await database.execute(PROVIDER)
    yield database
    await database.close()


@pytest.fixture
async def other(dsn: str) -> AsyncIterator[Database]:
    database = open_database(dsn)
    yield database
    await database.close()


@asynccontextmanager
async def begun(database: Database, isolation: str) -> AsyncIterator[Transaction]:
    async with database.transaction(isolation=isolation) as transaction:
        await transaction.fetch("SELECT FROM erp.branch")  # its snapshot
        yield transaction


MEETINGS = [
    # What is there before, what others commit meanwhile, and what the transaction that began before it writes.
    ("SELECT 1", COUNT_HERE, OWN_TITLE),
    ("SELECT 1", COUNT_ANYWHERE, OWN_TITLE),
    ("SELECT 1", COUNT_HERE, SINGLE_TITLE),
    ("SELECT 1", COUNT_HERE, NEW_CONTRACT),
    ("SELECT 1", COUNT_HERE, FOREIGN_CONTRACT),
    (COUNT_ELSEWHERE, COUNT_HERE, OWN_TITLE),
    (COUNT_HERE, COUNT_NO_MORE, OWN_TITLE),
    (COUNT_HERE, "UPDATE erp.parameter SET value = 'N'", SINGLE_TITLE),
    (COUNT_HERE, "TRUNCATE erp.parameter", NEW_CONTRACT),
    ("SELECT 1", OWN_TITLE, COUNT_HERE),
    ("SELECT 1", SINGLE_TITLE, COUNT_ANYWHERE),
    ("SELECT 1", NEW_CONTRACT, COUNT_HERE),
    ("SELECT 1", FOREIGN_CONTRACT, COUNT_HERE),
    (COUNT_HERE, OWN_TITLE, "UPDATE erp.parameter SET branch_id = 2"),
    (COUNT_HERE, OWN_TITLE, "INSERT INTO erp.contract (client_id, branch_id) VALUES (1, 1)"),
    (COUNT_HERE, OWN_TITLE, "UPDATE erp.contract SET client_id = 1 WHERE id = 2"),
    (COUNT_HERE, "INSERT INTO erp.contract (client_id, branch_id) VALUES (1, 1)", OWN_TITLE),
    (COUNT_HERE, "UPDATE erp.contract SET client_id = 1 WHERE id = 2", OWN_TITLE),
]  # fmt: skip


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_who_cannot_see_what_counts_is_told_to_begin_again(database: Database, other: Database, isolation: str):
    for before, meanwhile, then in MEETINGS:
        await database.execute(EMPTY + PROVIDER + before)
        with pytest.raises(StoreError) as caught:
            async with begun(database, isolation) as transaction:
                await other.execute(meanwhile)
                await transaction.execute(then)
        assert caught.value.sqlstate == "40001", (before, meanwhile, then)
        async with begun(database, isolation) as transaction:
            await transaction.execute(then)
        assert await database.fetch(WRONG) == [], (before, meanwhile, then)


async def test_who_looks_anew_with_each_statement_goes_on(database: Database, other: Database):
    for before, meanwhile, then in MEETINGS:
        await database.execute(EMPTY + PROVIDER + before)
        async with begun(database, "read_committed") as transaction:
            await other.execute(meanwhile)
            await transaction.execute(then)
        assert await database.fetch(WRONG) == [], (before, meanwhile, then)


async def test_what_does_not_count_for_it_tells_nobody_to_begin_again(database: Database, other: Database):
    async with begun(database, "repeatable_read") as transaction:
        for sql in (
            "INSERT INTO erp.parameter (name, value) VALUES ('trust_unlock', 'S')",
            "INSERT INTO erp.receivable (client_id, contract_id, amount, due_on) VALUES (2, 2, 1, '2026-05-10')",
            "UPDATE erp.client SET phone = '4933221100' WHERE id = 2",
            OWN_TITLE,
        ):
            await other.execute(sql)
        await transaction.execute(OWN_TITLE)
        await transaction.execute("INSERT INTO erp.contract (client_id, branch_id) VALUES (1, 1)")
    assert await database.fetch(WRONG) == []


async def test_nor_does_a_missing_mark_of_the_change_hide_it(database: Database, other: Database):
    await database.execute("TRUNCATE net.single_receivables_change")
    with pytest.raises(StoreError) as caught:
        async with begun(database, "repeatable_read") as transaction:
            await other.execute(COUNT_HERE)
            await transaction.execute(OWN_TITLE)
    assert caught.value.sqlstate == "40001"
    async with begun(database, "repeatable_read") as transaction:
        await transaction.execute(OWN_TITLE)
    assert await database.fetch(WRONG) == []


async def test_a_transaction_sees_what_it_wrote_itself(database: Database):
    async with begun(database, "serializable") as transaction:
        for sql in (
            OWN_TITLE, "SAVEPOINT a", COUNT_HERE, SINGLE_TITLE, "RELEASE SAVEPOINT a", NEW_CONTRACT,
            "SAVEPOINT b", COUNT_NO_MORE, "ROLLBACK TO SAVEPOINT b", FOREIGN_CONTRACT, COUNT_ANYWHERE,
        ):  # fmt: skip
            await transaction.execute(sql)
    assert await database.fetch(WRONG) == []


async def test_who_lets_single_titles_count_may_have_missed_only_what_was_committed(database: Database, dsn: str):
    """One that was under way and rolled back, and one that is under way still."""
    first, second = open_database(dsn), open_database(dsn)
    try:
        async with second.transaction("read_committed") as under_way:
            await under_way.execute("UPDATE erp.plan SET name = name; SELECT pg_current_xact_id()")
            with pytest.raises(RuntimeError):
                async with first.transaction("read_committed") as rolled_back:
                    await rolled_back.execute(OWN_TITLE)
                    raise RuntimeError
            async with begun(database, "repeatable_read") as transaction:
                with pytest.raises(RuntimeError):
                    async with first.transaction("read_committed") as rolled_back:
                        await rolled_back.execute(OWN_TITLE)
                        raise RuntimeError
                await transaction.execute(COUNT_HERE)
    finally:
        await first.close()
        await second.close()
    assert await database.fetch(WRONG) == []


PREPAID = """
INSERT INTO erp.billing_type (name, payment, prepaid_grace_days) VALUES ('Pré-pago', 'Pre', 2);
UPDATE erp.contract SET billing_type_id = 1, paid_until = '2026-07-10' WHERE id = 1;
"""
ONE_MORE_PREPAID = "UPDATE erp.contract SET billing_type_id = 1, paid_until = '2026-07-10' WHERE id = 2"


@pytest.mark.parametrize("change", [
    "UPDATE erp.billing_type SET prepaid_grace_days = 5",
    "UPDATE erp.branch SET time_zone = 'America/Manaus'",
])  # fmt: skip
async def test_the_end_of_prepaid_access_misses_no_contract_either(database: Database, other: Database, change: str):
    await database.execute(PREPAID)
    for then in (change, ONE_MORE_PREPAID):
        with pytest.raises(StoreError) as caught:
            async with begun(database, "repeatable_read") as transaction:
                await other.execute({change: ONE_MORE_PREPAID, ONE_MORE_PREPAID: change.replace("5", "6")}[then])
                await transaction.execute(then)
        assert caught.value.sqlstate == "40001", then
    async with begun(database, "repeatable_read") as transaction:
        await other.execute("UPDATE erp.plan SET name = name")
        await transaction.execute(
            "UPDATE erp.billing_type SET name = name || 'x'; UPDATE erp.branch SET name = name || 'x'"
        )
        await transaction.execute(change)
    rows = await database.fetch("SELECT DISTINCT access_ends_at FROM erp.contract")
    assert len(rows) == 1
