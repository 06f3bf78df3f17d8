"""The throw-away node's data in a real database: what is promised is there, once, and in every state."""

import asyncpg
import pytest

from aaad.daemon.demo_data import DATABASE, prepare_database
from aaad.db.embedded import EmbeddedPostgres


@pytest.fixture
async def demo_dsn(postgres: EmbeddedPostgres):
    yield postgres.dsn(DATABASE)
    connection = await asyncpg.connect(postgres.dsn())
    await connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    await connection.close()


async def test_seeds_once_and_goes_on_with_what_is_there(postgres: EmbeddedPostgres, demo_dsn: str):
    first = await prepare_database(postgres.dsn(), demo_dsn, 30, "testing123")
    assert first.startswith("30 numbered logins")
    connection = await asyncpg.connect(demo_dsn)
    try:
        await connection.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 1001")
        second = await prepare_database(postgres.dsn(), demo_dsn, 500, "testing123")
        assert second.startswith("going on with the data that is there: 30 numbered logins, not 500; ")
        same = await prepare_database(postgres.dsn(), demo_dsn, 30, "testing123")
        assert same == "going on with the data that is there: 30 numbered logins"
        assert await connection.fetchval("SELECT count(*) FROM erp.login WHERE name LIKE 'user%'") == 30
        assert await connection.fetchval("SELECT access_status FROM erp.contract WHERE id = 1001") == "CM"
        await _holds_what_is_promised(connection)
        await _leaves_room_for_more(connection)
    finally:
        await connection.close()


async def _holds_what_is_promised(connection: asyncpg.Connection) -> None:
    logins = await connection.fetch("SELECT * FROM net.login_source ORDER BY login_id")
    numbered = [login for login in logins if login["name"].startswith("user")]
    assert [login["name"] for login in numbered] == [f"user{number:06d}" for number in range(30)]
    assert [login["password"] for login in numbered] == [f"pass{number:06d}" for number in range(30)]
    assert len({login["ipv4"] for login in numbered}) == 30, "each a fixed address of its own"
    assert {login["plan_id"] for login in numbered} == set(range(1, 11))
    named = [login for login in logins if not login["name"].startswith("user")]
    assert {login["access_status"] for login in named} == {"A", "D", "CM", "CA", "FA", "AA", "CE"}
    assert {login["contract_status"] for login in named} == {"P", "A", "I", "N", "D"}
    for column in ("suspended", "deleted", "password_md5", "auto_fill_mac", "login_active", "client_active"):
        assert {login[column] for login in named} == {True, False}, column
    nas = await connection.fetchrow("SELECT address::text, secret FROM net.nas")
    assert tuple(nas) == ("127.0.0.0/8", "testing123")
    documents = await connection.fetch("SELECT kind, count(*), count(document) FROM erp.client GROUP BY kind")
    assert {kind: count == documented for kind, count, documented in documents} == {"F": True, "J": True, "E": False}


async def _leaves_room_for_more(connection: asyncpg.Connection) -> None:
    """A customer added by hand gets numbers that are free."""
    client = await connection.fetchval(
        "INSERT INTO erp.client (branch_id, kind, name) VALUES (1, 'E', 'New') RETURNING id"
    )
    contract = await connection.fetchval(
        "INSERT INTO erp.contract (client_id, branch_id, plan_id) VALUES ($1, 1, 1) RETURNING id", client
    )
    await connection.execute(
        "INSERT INTO erp.login (contract_id, name, password) VALUES ($1, 'new', 'new-password')", contract
    )


async def test_no_numbered_logins_at_all(postgres: EmbeddedPostgres, demo_dsn: str):
    assert (await prepare_database(postgres.dsn(), demo_dsn, 0, "testing123")).startswith("0 numbered")


async def test_more_than_a_million_get_longer_names_and_addresses_of_their_own(
    postgres: EmbeddedPostgres, demo_dsn: str
):
    """The three statements, told to make the last few of many: names do not collide, addresses stay in 100.64/10."""
    await prepare_database(postgres.dsn(), demo_dsn, 0, "testing123")
    connection = await asyncpg.connect(demo_dsn)
    try:
        from aaad.daemon import demo_data

        for name in ("add_numbered_clients", "add_numbered_contracts", "add_numbered_logins"):
            statement = demo_data._statements[name]
            assert "generate_series(0, $1::integer - 1)" in statement
            await connection.execute(
                statement.replace("generate_series(0,", f"generate_series({demo_data.LOGINS_MAX} - 3,"),
                demo_data.LOGINS_MAX,
            )
        rows = await connection.fetch("SELECT name, ipv4 <<= '100.64.0.0/10' FROM erp.login WHERE name LIKE 'user%'")
        assert sorted(map(tuple, rows)) == [(f"user{number}", True) for number in range(3_999_997, 4_000_000)]
    finally:
        await connection.close()
