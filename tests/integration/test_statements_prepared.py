"""Every named statement of every store is one that PostgreSQL takes, and one that the code uses."""

import re
from pathlib import Path

import asyncpg
import pytest

from aaad.db.statements import load_statements

PACKAGE = Path(__file__).resolve().parents[2] / "aaad"
# Statements that are for the database of another server, and its tables.
ELSEWHERE = {"freeradius": Path(__file__).with_name("freeradius_tables.sql")}
FILES = sorted(path for path in PACKAGE.glob("**/*.sql") if path.parent.name != "migrations")


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
async def test_each_statement_can_be_prepared_and_is_used(dsn, path: Path):
    room = "\n".join(module.read_text(encoding="utf-8") for module in path.parent.glob("*.py"))
    connection = await asyncpg.connect(dsn)
    try:
        if path.stem in ELSEWHERE:
            await connection.execute(ELSEWHERE[path.stem].read_text())
        statements = load_statements(path)
        for sql in statements.values():
            if "CREATE TEMPORARY" in sql:  # others are of what it makes
                await connection.execute(sql)
        for name, sql in statements.items():
            try:
                await connection.prepare(sql)
            except asyncpg.PostgresError as error:
                pytest.fail(f"{path.parent.name}: {name}: {error}")
            assert re.search(rf"\b{name}\b", room), f"{path.parent.name}: {name} is not used"
    finally:
        await connection.close()
