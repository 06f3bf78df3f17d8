"""The README's first customer is written by exactly the SQL that stands there."""

import re
from pathlib import Path

import asyncpg

README = Path(__file__).resolve().parents[2] / "README.md"


async def test_the_first_customer_of_the_readme(dsn: str):
    statements = re.findall(r"^ +((?:INSERT|UPDATE) .*?;)", README.read_text(), re.MULTILINE)
    assert len(statements) == 8
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements[:-2]:
            await connection.execute(statement)
        login = await connection.fetchrow("SELECT * FROM net.login_source")
        assert (login["name"], login["contract_status"], login["access_status"]) == ("maria", "A", "A")
        assert login["plan_id"] is not None
        for statement, expected in zip(statements[-2:], ("CM", "A"), strict=True):
            await connection.execute(statement)
            assert await connection.fetchval("SELECT access_status FROM net.login_source") == expected
    finally:
        await connection.close()
