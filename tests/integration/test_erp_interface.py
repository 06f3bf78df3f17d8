"""docs/erp-interface.md is true: its SQL runs with the rights it grants, and it names every column and rule."""

import re
from pathlib import Path

import asyncpg
import pytest

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "erp-interface.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```sql(?: refused=(\w+))?\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
GRANTS, *STEPS = EXAMPLES


@pytest.fixture
async def connection(dsn):
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.execute("RESET ROLE; DROP OWNED BY erp_writer; DROP ROLE erp_writer")
    await connection.close()


async def test_every_example_does_what_it_says(connection: asyncpg.Connection):
    await connection.execute(GRANTS[1])
    await connection.execute("SET ROLE erp_writer")
    for refused, sql in STEPS:
        if not refused:
            await connection.execute(sql)
            continue
        with pytest.raises(asyncpg.PostgresError) as caught:
            await connection.execute(sql)
        assert caught.value.constraint_name == refused, sql
    rows = await connection.fetch("SELECT contract_id, kind, text, operator FROM erp.history ORDER BY id")
    told = [tuple(row) for row in rows]
    assert (40, "contract_changed", "access_status: A → CA", "maria") in told
    assert (40, "note", "Promised to pay on Monday", "maria") in told
    assert (41, "contract_changed", "status: A → D", "maria") in told


async def test_a_marked_transaction_marks_its_changes(connection: asyncpg.Connection):
    await connection.execute(GRANTS[1])
    for refused, sql in STEPS:
        if not refused:
            await connection.execute(sql)
    marked = await connection.fetch(
        "SELECT change.kind, change.key FROM net.change JOIN net.run ON run.id = change.run_id AND run.brake_passed"
    )
    assert [tuple(row) for row in marked] == [("contract", 40)]


def section(table: str) -> str:
    return DOCUMENT.split(f"### {table}", 1)[1].split("\n### ", 1)[0]


async def test_every_column_and_every_rule_is_explained(connection: asyncpg.Connection):
    await connection.execute("CREATE ROLE erp_writer")
    columns = await connection.fetch(
        "SELECT table_schema || '.' || table_name AS of_table, column_name FROM information_schema.columns "
        "JOIN information_schema.tables USING (table_schema, table_name) "
        "WHERE table_type = 'BASE TABLE' AND (table_schema = 'erp' OR (table_schema, table_name) = ('net', 'nas'))"
    )
    assert len(columns) > 60
    missing = [tuple(row) for row in columns if f"`{row['column_name']}`" not in section(row["of_table"])]
    assert missing == []
    rules = await connection.fetch(
        "SELECT conrelid::regclass::text AS of_table, conname FROM pg_constraint "
        "WHERE contype = 'c' AND (connamespace = 'erp'::regnamespace OR conrelid = 'net.nas'::regclass)"
    )
    assert [tuple(row) for row in rows_without(rules)] == []


def rows_without(rules: list[asyncpg.Record]) -> list[asyncpg.Record]:
    return [row for row in rules if f"`{row['conname']}`" not in section(row["of_table"])]


async def test_every_rule_that_the_document_names_exists(connection: asyncpg.Connection):
    await connection.execute("CREATE ROLE erp_writer")
    named = set(re.findall(r"`((?:branch|client|plan|contract|login|parameter|history|nas)_\w+)`", DOCUMENT))
    known = {row[0] for row in await connection.fetch("SELECT conname FROM pg_constraint")}
    known |= {row[0] for row in await connection.fetch("SELECT indexname FROM pg_indexes")}
    known |= {row[0] for row in await connection.fetch("SELECT column_name FROM information_schema.columns")}
    source = " ".join(
        row[0] for row in await connection.fetch("SELECT prosrc FROM pg_proc WHERE proname ~ '^(check|guard)'")
    )
    assert {
        name for name in named - known if name not in source and not name.endswith(("_changed", "_deleted"))
    } == set()
