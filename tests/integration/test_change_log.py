"""The change log (rule R1): one row for each key that changed, a hint to who listens, nothing for nothing."""

import asyncio

import asyncpg
import pytest

from aaad.db.connection import Database, Queries
from aaad.errors import StoreError

PROVIDER = """
INSERT INTO erp.branch (name) VALUES ('Matriz');
INSERT INTO erp.plan (name, upload, download) VALUES ('A', '50M', '100M'), ('B', '100M', '200M');
INSERT INTO erp.client (branch_id, kind, name) VALUES (1, 'E', 'Ana');
INSERT INTO erp.contract (client_id, branch_id, plan_id, status) VALUES (1, 1, 1, 'A'), (1, 1, 2, 'A');
INSERT INTO erp.login (contract_id, name, password) SELECT 1, 'user' || n, 'x' FROM generate_series(1, 3) AS n;
INSERT INTO net.nas (name, address, secret) VALUES ('bras', '192.0.2.0/24', 'testing123');
INSERT INTO net.router (nas_id, source_address) VALUES (1, '192.0.2.1');
INSERT INTO net.node (name) VALUES ('n1');
DELETE FROM net.change;
"""


@pytest.fixture
async def database(dsn):
    database = Database(dsn, connect_timeout_s=5, statement_timeout_s=10, application_name="test")
    await database.execute(PROVIDER)
    yield database
    await database.close()


async def changes_of(database: Queries, sql: str) -> list[tuple[str, int]]:
    """Run it and return what the log got, in order of kind and key; a key twice stands twice."""
    await database.execute("DELETE FROM net.change")
    await database.execute(sql)
    rows = await database.fetch("SELECT kind, key FROM net.change ORDER BY kind, key")
    return [(row["kind"], row["key"]) for row in rows]


HEARD_AGAIN = """
INSERT INTO net.router (nas_id, source_address) VALUES (1, '192.0.2.1')
ON CONFLICT ON CONSTRAINT router_unique DO UPDATE SET last_seen = now()
"""

ATTRIBUTES = (
    "INSERT INTO erp.login_attribute (login_id, name, value) VALUES "
    "(1, 'Filter-Id', 'x'), (1, 'Filter-Id', 'y'), (2, 'Filter-Id', 'y');"
)
PHASE = (
    "INSERT INTO erp.plan_phase (id, plan_id, phase, hours, upload, download) "
    "VALUES (1, 2, 'turbo', '{0}', '1M', '1M')"
)
CASES = [
    ("INSERT INTO erp.login (id, contract_id, name, password) VALUES (4, 1, 'a', 'x'), (5, 1, 'b', 'x')",
     [("login", 4), ("login", 5)]),
    ("UPDATE erp.login SET active = false WHERE id < 3", [("login", 1), ("login", 2)]),
    ("DELETE FROM erp.login WHERE id > 1", [("login", 2), ("login", 3)]),
    ("UPDATE erp.login SET id = 9 WHERE id = 1", [("login", 1), ("login", 9)]),
    ("UPDATE erp.contract SET access_status = 'CA' WHERE id = 1", [("contract", 1)]),
    ("UPDATE erp.contract SET plan_id = 2 WHERE id = 1", [("contract", 1)]),
    ("UPDATE erp.client SET active = false", [("client", 1)]),
    ("UPDATE erp.plan SET upload = '1M' WHERE id = 2", [("plan", 2)]),
    ("UPDATE erp.branch SET time_zone = 'America/Manaus'", [("branch", 1)]),
    ("INSERT INTO erp.parameter (id, name, value) VALUES (1, 'document_required', 'N')", [("parameter", 1)]),
    ("UPDATE net.nas SET secret = 'other'", [("nas", 1)]),
    ("UPDATE net.nas SET octets_swapped = true", [("nas", 1)]),
    ("INSERT INTO net.router (id, nas_id, source_address) VALUES (2, 1, '192.0.2.2')", [("router", 2)]),
    ("UPDATE net.router SET armed_at = now()", [("router", 1)]),
    ("UPDATE net.router SET secret_fingerprint = '12345678', secret_proven_at = now()", [("router", 1)]),
    ("DELETE FROM net.nas", [("nas", 1), ("router", 1)]),
    ("UPDATE net.setting SET value = '\\x00'", [("setting", 1)]),
    ("INSERT INTO net.hold (id, kind, cut_off_count, logins_count) VALUES (1, 'block', 1, 1)", [("hold", 1)]),
    ("TRUNCATE erp.login CASCADE", [("truncate", 0)] * 2),
    ("TRUNCATE erp.contract CASCADE", [("truncate", 0)] * 3),
    (PHASE, [("plan_phase", 1)]),
    ("INSERT INTO erp.plan_attribute (id, plan_id, name, value) VALUES (1, 2, 'Filter-Id', 'x')",
     [("plan_attribute", 1)]),
    # An attribute names its login: the row itself may be gone when the nodes read.
    (ATTRIBUTES, [("login", 1), ("login", 2)]),
    (ATTRIBUTES + "UPDATE erp.login_attribute SET value = 'z' WHERE value = 'x'",
     [("login", 1), ("login", 1), ("login", 2)]),
    (ATTRIBUTES + "UPDATE erp.login_attribute SET login_id = 3 WHERE value = 'x'",
     [("login", 1), ("login", 1), ("login", 2), ("login", 3)]),
    (ATTRIBUTES + "UPDATE erp.login_attribute SET value = value, encoded = ''", [("login", 1), ("login", 2)]),
    (ATTRIBUTES + "DELETE FROM erp.login_attribute WHERE value = 'y'",
     [("login", 1), ("login", 1), ("login", 2), ("login", 2)]),
    ("INSERT INTO net.router_administrator (id, name, password) VALUES (1, 'root', 'x')",
     [("router_administrator", 1)]),
    ("UPDATE erp.login SET bind_mac = 'N', port_id = 'x' WHERE id = 1", [("login", 1)]),
    ("UPDATE erp.login SET dns = '{192.0.2.1}' WHERE id = 1", [("login", 1)]),
    ("UPDATE erp.plan SET address_list = 'x' WHERE id = 2", [("plan", 2)]),
    ("UPDATE erp.plan SET may_change_speed = false WHERE id = 2", [("plan", 2)]),
    # A statement that changes nothing, or nothing that matters to a node.
    ("UPDATE erp.login SET active = active", []),
    ("UPDATE erp.login SET active = false WHERE id = 99", []),
    ("DELETE FROM erp.login WHERE id = 99", []),
    ("INSERT INTO erp.login (contract_id, name) SELECT 1, 'x' WHERE false", []),
    ("UPDATE erp.login SET connection_type = 'F'", []),
    ("UPDATE erp.client SET city = 'Chapecó', name = 'Bia'", []),
    ("UPDATE erp.contract SET circuit = 'CHA000001-001' WHERE id = 1", []),
    ("UPDATE erp.plan SET active = false", []),
    ("UPDATE erp.login SET wpa2_passphrase = 'password'", []),
    ("UPDATE erp.login SET simultaneous_max = 2, plan_link = 'G', equipment_kind = 'P'", []),
    ("UPDATE net.router SET last_seen = now() + interval '1 minute'", []),
    (HEARD_AGAIN, []),
    ("UPDATE net.node SET heartbeat_at = now()", []),
    ("INSERT INTO net.refusal VALUES (1, 'wrong_password', now(), 1)", []),
]  # fmt: skip


async def test_a_statement_writes_each_key_once(database: Database):
    for sql, expected in CASES:
        with pytest.raises(RuntimeError):
            async with database.transaction() as transaction:
                assert await changes_of(transaction, sql) == expected, sql
                raise RuntimeError  # the next one begins as this one did


async def test_a_plan_change_names_the_contract_and_those_logins_that_name_their_plan(database: Database):
    await database.execute("UPDATE erp.login SET plan_id = 1 WHERE id = 2")
    assert await changes_of(database, "UPDATE erp.contract SET plan_id = 2 WHERE id = 1") == [
        ("contract", 1),
        ("login", 2),
    ]


async def test_a_rolled_back_change_is_not_in_the_log(database: Database):
    with pytest.raises(RuntimeError):
        async with database.transaction() as transaction:
            await transaction.execute("UPDATE erp.login SET active = false")
            raise RuntimeError
    assert await database.fetch("SELECT FROM net.change") == []


async def test_a_change_carries_its_transaction_and_its_run(database: Database):
    async with database.transaction() as transaction:
        await transaction.execute("SET LOCAL aaad.run = 7")
        await transaction.execute("SAVEPOINT inner_one")
        await transaction.execute("UPDATE erp.client SET active = false")
        await transaction.execute("RELEASE inner_one")
        await transaction.execute("TRUNCATE erp.login CASCADE")
        xid = (await transaction.fetchrow("SELECT pg_current_xact_id()::text AS xid"))["xid"]
    await database.execute("UPDATE erp.client SET active = true")
    rows = await database.fetch("SELECT kind, run_id, xid::text = $1 AS same FROM net.change ORDER BY id", xid)
    # The attributes of logins went with them.
    expected = [("client", 7, True), ("truncate", 7, True), ("truncate", 7, True), ("client", None, False)]
    assert [tuple(row) for row in rows] == expected


async def test_a_run_that_is_no_id_is_refused_by_name(database: Database):
    for run in ("monday", "-1", "0", "1.5", "2147483648", "99999999999999999999"):
        with pytest.raises(StoreError) as caught:
            async with database.transaction() as transaction:
                await transaction.execute(f"SET LOCAL aaad.run = '{run}'")
                await transaction.execute("UPDATE erp.client SET active = false")
        assert str(caught.value).startswith(f'aaad.run is "{run}": it must be the id of a row of net.run')
        assert caught.value.sqlstate == "22023"
    await database.execute("SET aaad.run = 7")
    await database.execute("RESET aaad.run; UPDATE erp.client SET active = false")
    assert [row["run_id"] for row in await database.fetch("SELECT run_id FROM net.change")] == [None]


async def test_a_change_is_told_once_a_transaction_and_nothing_is_told_of_nothing(database: Database, dsn):
    heard: list[str] = []
    listener = await asyncpg.connect(dsn)
    for channel in ("aaad_change", "aaad_question", "aaad_answer"):
        await listener.add_listener(channel, lambda *message: heard.append(f"{message[2]}:{message[3]}"))

    async def told(sql: str) -> list[str]:
        heard.clear()
        await database.execute(sql)
        await database.execute("NOTIFY aaad_change, 'end'")
        async with asyncio.timeout(5):
            while "aaad_change:end" not in heard:
                await asyncio.sleep(0.01)
        return heard[:-1]

    assert await told("UPDATE erp.login SET active = false") == ["aaad_change:"]
    assert await told("UPDATE erp.login SET active = true; UPDATE erp.client SET active = false") == ["aaad_change:"]
    assert await told("UPDATE erp.login SET active = true") == []
    assert await told("UPDATE net.router SET last_seen = now()") == []
    assert await told("TRUNCATE erp.login CASCADE") == ["aaad_change:"]
    assert await told("INSERT INTO net.question (kind) VALUES ('why')") == ["aaad_question:"]
    assert await told("INSERT INTO net.answer (question_id, node_id, body) VALUES (1, 1, '{}')") == ["aaad_answer:"]
    await listener.close()


async def test_pruning_forgets_by_age_and_remembers_up_to_where(database: Database):
    await database.execute("UPDATE erp.login SET active = false")
    await database.execute("UPDATE net.change SET at = now() - interval '2 days'")
    newest = (await database.fetchrow("SELECT max(xid::text::bigint) AS xid FROM net.change"))["xid"]
    await database.execute("UPDATE erp.client SET active = false")
    prune = "SELECT net.prune_changes('1 day') AS pruned"
    assert (await database.fetchrow(prune))["pruned"] == 3
    assert (await database.fetchrow(prune))["pruned"] == 0
    assert [row["kind"] for row in await database.fetch("SELECT kind FROM net.change")] == ["client"]
    row = await database.fetchrow("SELECT pruned_below::text::bigint AS below FROM net.change_horizon")
    assert row["below"] == newest + 1
    await database.execute("UPDATE net.change SET at = now() - interval '2 days', xid = '3'")
    assert (await database.fetchrow(prune))["pruned"] == 1
    row = await database.fetchrow("SELECT pruned_below::text::bigint AS below FROM net.change_horizon")
    assert row["below"] == newest + 1  # never back


async def test_a_change_log_of_another_cluster_is_adopted_once(database: Database):
    adopt = "SELECT net.adopt_change_log() AS adopted"
    await database.execute("UPDATE erp.client SET active = false")
    assert (await database.fetchrow(adopt))["adopted"] is False, "it is ours since the migration"
    assert len(await database.fetch("SELECT FROM net.change")) == 1
    await database.execute(  # as a dump brings them
        "UPDATE net.change_horizon SET identity = '7/8', pruned_below = '4611686018427387904';"
        "INSERT INTO net.change (kind, key, xid) VALUES ('truncate', 0, '3'), ('login', 1, '4611686018427387904')"
    )
    before = await database.fetchrow("SELECT pg_current_xact_id()::text::bigint AS xid")
    assert (await database.fetchrow(adopt))["adopted"] is True
    after = await database.fetchrow("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS xid")
    row = await database.fetchrow(
        "SELECT identity = net.change_log_identity() AS is_ours, pruned_below::text::bigint AS below "
        "FROM net.change_horizon"
    )
    assert row["is_ours"]
    assert before["xid"] < row["below"] <= after["xid"]
    assert await database.fetch("SELECT FROM net.change") == []
    assert (await database.fetchrow(adopt))["adopted"] is False


async def test_a_table_that_was_made_anew_has_another_identity(database: Database):
    ask = "SELECT net.change_log_identity() AS identity"
    before = (await database.fetchrow(ask))["identity"]
    await database.execute("ALTER TABLE net.change RENAME TO old; CREATE TABLE net.change (LIKE net.old)")
    assert (await database.fetchrow(ask))["identity"].split("/")[0] == before.split("/")[0]
    assert (await database.fetchrow(ask))["identity"] != before


async def test_a_program_needs_rights_on_its_own_tables_only(database: Database, dsn):
    await database.execute(
        "DO $$ BEGIN CREATE ROLE test_erp LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
        "GRANT USAGE ON SCHEMA erp TO test_erp; GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA erp TO test_erp;"
        "REVOKE ALL ON erp.history FROM test_erp"
    )
    async with database.transaction() as transaction:
        await transaction.execute("SET LOCAL ROLE test_erp")
        await transaction.execute("UPDATE erp.contract SET access_status = 'CA' WHERE id = 1")
        await transaction.execute("UPDATE erp.login SET mac = '00-1a-2b-3c-4d-5e', password = 'new' WHERE id = 1")
        await transaction.execute("INSERT INTO erp.client (branch_id, kind, name) VALUES (1, 'E', 'Bia')")
    kinds = [row["kind"] for row in await database.fetch("SELECT kind FROM net.change ORDER BY id")]
    assert kinds == ["contract", "login", "client"]
    with pytest.raises(StoreError) as caught:
        async with database.transaction() as transaction:
            await transaction.execute("SET LOCAL ROLE test_erp")
            await transaction.execute("DELETE FROM net.change")
    assert caught.value.sqlstate == "42501"
    await database.execute("DROP OWNED BY test_erp; DROP ROLE test_erp")
