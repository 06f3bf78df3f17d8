"""erp.history: the system writes what changed, nobody rewrites it, and a note belongs to its author."""

import pytest

from aaad.db.connection import Database, Queries
from aaad.errors import StoreError

PROVIDER = """
INSERT INTO erp.branch (name) VALUES ('Matriz');
INSERT INTO erp.plan (name, upload, download) VALUES ('A', '50M', '100M'), ('B', '100M', '200M');
INSERT INTO erp.client (branch_id, kind, name) VALUES (1, 'F', 'Ana');
INSERT INTO erp.contract (client_id, branch_id, plan_id, status) VALUES (1, 1, 1, 'A'), (1, 1, 2, 'A');
INSERT INTO erp.login (contract_id, name, password) VALUES (1, 'ana', 'x'), (2, 'bia', 'x');
"""


@pytest.fixture
async def database(dsn):
    database = Database(dsn, connect_timeout_s=5, statement_timeout_s=10, application_name="test")
    await database.execute(PROVIDER)
    yield database
    await database.close()


async def told(database: Queries) -> list[tuple]:
    rows = await database.fetch(
        "SELECT client_id, contract_id, login_id, kind, text FROM erp.history WHERE source = 'system' ORDER BY id"
    )
    return [tuple(row) for row in rows]


async def test_creating_rows_writes_no_history(database: Database):
    assert await told(database) == []


BINDINGS = """
UPDATE erp.login SET bind_mac = 'S', port_id = 'vlan 7', access_hours = '{8,9}', dns = '{192.0.2.1}', plan_link = 'G',
    wpa2_passphrase = 'hunter22'
WHERE id = 1
"""
TOLD = [
    ("UPDATE erp.contract SET status = 'D' WHERE id = 2", (1, 2, None, "contract_changed", "status: A → D")),
    (
        "UPDATE erp.contract SET access_status = 'CA', plan_id = 2 WHERE id = 1",
        (1, 1, None, "contract_changed", "access_status: A → CA; plan: 1 → 2"),
    ),
    (
        "UPDATE erp.contract SET suspended = true, suspended_from = '2026-01-02' WHERE id = 1",
        (1, 1, None, "contract_changed", "suspended: false → true; suspended_from: - → 2026-01-02"),
    ),
    ("UPDATE erp.client SET active = false", (1, None, None, "client_changed", "active: true → false")),
    (
        "UPDATE erp.client SET document = '52998224725', name = 'Eva'",
        (1, None, None, "client_changed", "name: changed; document: changed"),
    ),
    (
        "UPDATE erp.login SET mac = '00-1A-2B-3C-4D-5E', ipv4 = '10.0.0.1' WHERE id = 1",
        (1, 1, 1, "login_changed", "ipv4: - → 10.0.0.1; mac: - → 00:1A:2B:3C:4D:5E"),
    ),
    ("UPDATE erp.login SET password = 'hunter22' WHERE id = 1", (1, 1, 1, "login_changed", "password: changed")),
    (
        BINDINGS,
        (
            1,
            1,
            1,
            "login_changed",
            (
                "bind_mac: P → S; port_id: - → vlan 7; access_hours: - → {8,9}; dns: {} → {192.0.2.1}; "
                "plan_link: - → G; wpa2_passphrase: changed"
            ),
        ),
    ),
    (
        "UPDATE erp.login SET delegated_ipv6_prefix = '2001:db8::/56', routes = '{10.0.0.0/24}' WHERE id = 1",
        (1, 1, 1, "login_changed", "delegated_ipv6_prefix: - → 2001:db8::/56; routes: {} → {10.0.0.0/24}"),
    ),
    ("DELETE FROM erp.login WHERE id = 2", (1, 2, 2, "login_deleted", "name: bia")),
]


async def test_a_change_is_told(database: Database):
    for sql, expected in TOLD:
        assert await within_nothing(database, sql, told) == [expected], sql


async def within_nothing(database: Database, sql: str, ask):
    """Run it, ask, and roll back."""
    with pytest.raises(RuntimeError):
        async with database.transaction() as transaction:
            await transaction.execute(sql)
            answer = await ask(transaction)
            raise RuntimeError
    return answer


async def test_a_tombstone_is_a_deletion(database: Database):
    await database.execute("UPDATE erp.login SET deleted_at = '2026-01-02 03:04:05+00' WHERE id = 1")
    assert await told(database) == [(1, 1, 1, "login_deleted", "deleted_at: - → 2026-01-02 03:04:05+00")]


async def test_what_does_not_change_is_not_told(database: Database):
    await database.execute("UPDATE erp.contract SET status = status; UPDATE erp.login SET name = name")
    await database.execute("UPDATE erp.client SET city = 'Chapecó'")
    assert await told(database) == []


async def test_no_password_is_ever_told(database: Database):
    await database.execute("UPDATE erp.login SET password = 'hunter22', wpa2_passphrase = 'hunter22'")
    await database.execute("UPDATE erp.login SET password_md5 = true, password = repeat('ab', 16)")
    await database.execute("DELETE FROM erp.login")
    texts = " ".join(row[4] for row in await told(database))
    assert "hunter22" not in texts
    assert "abab" not in texts


async def test_the_operator_is_who_the_session_says_or_the_database_user(database: Database):
    await database.execute("UPDATE erp.contract SET status = 'I' WHERE id = 1")
    async with database.transaction() as transaction:
        await transaction.execute("SET LOCAL aaad.operator = 'maria'")
        await transaction.execute("UPDATE erp.contract SET status = 'A' WHERE id = 1")
    rows = await database.fetch("SELECT operator FROM erp.history ORDER BY id")
    assert [row["operator"] for row in rows] == ["postgres", "maria"]


async def refused(database: Database, sql: str, operator: str = "maria") -> str | None:
    with pytest.raises(StoreError) as caught:
        async with database.transaction() as transaction:
            await transaction.execute(f"SET LOCAL aaad.operator = '{operator}'")
            await transaction.execute(sql)
    assert caught.value.sqlstate == "42501"
    return caught.value.constraint


@pytest.fixture
async def note(database: Database) -> int:
    async with database.transaction() as transaction:
        await transaction.execute("SET LOCAL aaad.operator = 'maria'")
        row = await transaction.fetchrow(
            "INSERT INTO erp.history (client_id, kind, text) VALUES (1, 'note', 'called') "
            "RETURNING id, source, operator"
        )
    assert (row["source"], row["operator"]) == ("user", "maria")
    return row["id"]


async def test_the_systems_rows_never_change(database: Database):
    await database.execute("UPDATE erp.contract SET status = 'I' WHERE id = 1")
    for sql in (
        "UPDATE erp.history SET text = 'nothing'",
        "UPDATE erp.history SET source = 'user'",
        "DELETE FROM erp.history",
        "TRUNCATE erp.history",
    ):
        assert await refused(database, sql) == "history_append_only"


async def test_an_entry_by_interface_never_changes_either(database: Database):
    await database.execute("INSERT INTO erp.history (kind, text, source) VALUES ('note', 'x', 'api')")
    assert await refused(database, "UPDATE erp.history SET text = 'y'", operator="postgres") == "history_append_only"


async def test_not_even_the_owner_writes_as_the_system(database: Database):
    forged = "INSERT INTO erp.history (kind, text, source) VALUES ('login_changed', 'x', 'system')"
    assert await refused(database, forged) == "history_system_by_triggers"


async def test_a_note_may_be_corrected_by_its_author_only(database: Database, note: int):
    async with database.transaction() as transaction:
        await transaction.execute("SET LOCAL aaad.operator = 'maria'")
        await transaction.execute("UPDATE erp.history SET text = 'called twice'")
    assert (await database.fetchrow("SELECT text FROM erp.history"))["text"] == "called twice"
    edit = "UPDATE erp.history SET text = 'never called'"
    assert await refused(database, edit, operator="joana") == "history_note_of_author"


async def test_of_a_note_only_the_text_may_change_and_it_stays(database: Database, note: int):
    for sql in (
        "UPDATE erp.history SET at = now() - interval '1 day'",
        "UPDATE erp.history SET operator = 'joana'",
        "UPDATE erp.history SET source = 'system'",
        "UPDATE erp.history SET client_id = NULL",
        "DELETE FROM erp.history",
    ):
        assert await refused(database, sql) == "history_append_only"


async def test_history_outlives_what_it_tells_of(database: Database):
    await database.execute("DELETE FROM erp.login; DELETE FROM erp.contract; DELETE FROM erp.client")
    assert len(await told(database)) == 2
