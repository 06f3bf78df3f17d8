"""Migrations: from nothing, from each state before, twice at once, and what is refused."""

import asyncio
import shutil
from pathlib import Path

import asyncpg
import pytest

from aaad.db import migrate as migrator
from aaad.db.migrate import MIGRATIONS_DIRECTORY, load_migrations, migrate, pending
from aaad.errors import StoreError

NAMES = [migration.name for migration in load_migrations()]


async def ask(dsn: str, sql: str) -> list:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


# Everything that tells one schema from another.
SHAPE = """
SELECT 'column', table_schema, table_name, column_name, data_type, is_nullable, coalesce(column_default, '')
FROM information_schema.columns WHERE table_schema IN ('erp', 'net')
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', '', ''
FROM pg_constraint WHERE connamespace IN ('erp'::regnamespace, 'net'::regnamespace)
UNION ALL
SELECT 'index', schemaname, indexname, indexdef, '', '', '' FROM pg_indexes WHERE schemaname IN ('erp', 'net')
UNION ALL
SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), '', '', ''
FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'function', oid::regprocedure::text, md5(pg_get_functiondef(oid)), '', '', '', ''
FROM pg_proc WHERE pronamespace IN ('erp'::regnamespace, 'net'::regnamespace)
ORDER BY 1, 2, 3, 4
"""


def copy_of_migrations(folder: Path, count: int) -> Path:
    folder.mkdir()
    for path in sorted(MIGRATIONS_DIRECTORY.glob("*.sql"))[:count]:
        shutil.copy(path, folder)
    return folder


async def test_an_empty_database_gets_everything_once(empty_dsn):
    assert await pending(empty_dsn) == NAMES
    assert await migrate(empty_dsn) == len(NAMES)
    assert await pending(empty_dsn) == []
    assert await migrate(empty_dsn) == 0
    rows = await ask(empty_dsn, "SELECT number, name FROM net.migration ORDER BY number")
    assert rows == list(enumerate(NAMES, 1))


async def test_asking_what_is_pending_changes_nothing(empty_dsn):
    await pending(empty_dsn)
    assert await ask(empty_dsn, "SELECT 1 FROM pg_namespace WHERE nspname = 'net'") == []


async def test_each_migration_applies_on_top_of_the_one_before_and_ends_in_the_same_schema(empty_dsn, dsn, tmp_path):
    for count in range(1, len(NAMES) + 1):
        folder = copy_of_migrations(tmp_path / str(count), count)
        assert await migrate(empty_dsn, folder) == 1
        assert await pending(empty_dsn, folder) == []
    assert await ask(empty_dsn, SHAPE) == await ask(dsn, SHAPE)


BEFORE_NETWORK = """
INSERT INTO erp.branch (id, name) VALUES (1, 'Matriz');
INSERT INTO erp.client (id, branch_id, kind, name) VALUES (1, 1, 'E', 'Ana');
INSERT INTO erp.contract (id, client_id, branch_id) VALUES (1, 1, 1);
INSERT INTO erp.login (id, contract_id, name, password, authentication, mac, auto_fill_mac, deleted_at) VALUES
    (1, 1, 'a', 'x', 'L', '001a2b3c4d5e', true, NULL), (2, 1, 'b', 'x', 'L', NULL, false, NULL),
    (3, 1, 'c', NULL, 'D', '001a2b3c4d5e', false, NULL), (4, 1, 'd', NULL, 'M', '001a2b3c4d5e', false, NULL),
    (5, 1, 'e', NULL, 'D', NULL, false, NULL);
INSERT INTO net.nas (id, name, address, secret, kind) VALUES (1, 'a', '192.0.2.1', 's', 'accel_ppp'),
    (2, 'b', '192.0.2.2', 's', 'mx');
"""


async def test_rows_of_before_the_bindings_keep_their_meaning(empty_dsn, tmp_path):
    await migrate(empty_dsn, copy_of_migrations(tmp_path / "before", NAMES.index("0007_network")))
    connection = await asyncpg.connect(empty_dsn)
    await connection.execute(BEFORE_NETWORK)
    await connection.close()
    await migrate(empty_dsn)
    logins = await ask(empty_dsn, "SELECT id, auto_fill_mac, mac_login FROM erp.login ORDER BY id")
    # Two of one device: the older one is found by it. Who has none is found by nothing, as before.
    assert logins == [(1, "S", False), (2, "N", False), (3, "N", True), (4, "N", False), (5, "N", False)]
    assert await ask(empty_dsn, "SELECT kind FROM net.nas ORDER BY id") == [("accel_ppp",), ("other",)]
    connection = await asyncpg.connect(empty_dsn)
    await connection.execute("UPDATE erp.login SET active = false")  # none is beyond being written
    await connection.close()


async def test_a_changed_file_is_refused(empty_dsn, tmp_path):
    folder = copy_of_migrations(tmp_path / "x", 1)
    await migrate(empty_dsn, folder)
    (folder / f"{NAMES[0]}.sql").write_text("SELECT 1")
    with pytest.raises(StoreError, match=f"{NAMES[0]} was changed after it had been applied"):
        await migrate(empty_dsn, folder)
    with pytest.raises(StoreError, match="was changed"):
        await pending(empty_dsn, folder)


async def test_a_database_of_a_newer_program_is_left_alone(empty_dsn, tmp_path):
    await migrate(empty_dsn)
    assert await migrate(empty_dsn, copy_of_migrations(tmp_path / "older", len(NAMES) - 1)) == 0


async def test_a_gap_is_refused(dsn):
    connection = await asyncpg.connect(dsn)
    await connection.execute("DELETE FROM net.migration WHERE number = 1")
    await connection.close()
    with pytest.raises(StoreError, match="is missing in this database"):
        await migrate(dsn)


async def test_a_failing_migration_leaves_no_trace_and_keeps_those_before(empty_dsn, tmp_path):
    folder = copy_of_migrations(tmp_path / "x", 1)
    (folder / "0002_broken.sql").write_text("CREATE TABLE erp.half (id integer); SELECT 1/0;")
    with pytest.raises(StoreError, match="division by zero"):
        await migrate(empty_dsn, folder)
    assert await ask(empty_dsn, "SELECT number FROM net.migration") == [(1,)]
    assert await ask(empty_dsn, "SELECT to_regclass('erp.half')::text") == [(None,)]


async def test_two_migrators_at_once_share_the_work_of_one(empty_dsn):
    async with asyncio.TaskGroup() as group:
        both = [group.create_task(migrate(empty_dsn)) for _ in range(2)]
    assert sorted(task.result() for task in both) == [0, len(NAMES)]


async def test_a_migrator_does_not_wait_for_ever_for_another(empty_dsn, monkeypatch):
    monkeypatch.setattr(migrator, "LOCK_WAIT_S", 1)
    holder = await asyncpg.connect(empty_dsn)
    await holder.execute(f"SELECT pg_advisory_lock({migrator._LOCK_KEY})")
    with pytest.raises(StoreError, match="lock timeout"):
        await migrate(empty_dsn)
    await holder.close()


async def test_another_encoding_is_refused(postgres):
    connection = await asyncpg.connect(postgres.dsn())
    await connection.execute(
        "CREATE DATABASE test_latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    )
    with pytest.raises(StoreError, match="LATIN1: UTF8 is needed"):
        await migrate(postgres.dsn("test_latin"))
    await connection.execute("DROP DATABASE test_latin")
    await connection.close()


async def test_a_server_that_is_away_is_told(tmp_path):
    with pytest.raises(StoreError, match="away"):
        await migrate(f"postgresql://postgres@/x?host={tmp_path}")


@pytest.mark.parametrize("name", ["0002_first.sql", "1_first.sql", "0001-first.sql", "0001_First.sql"])
def test_files_are_numbered_from_one_without_a_gap(tmp_path, name):
    (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(StoreError, match=r"expected 0001_name\.sql"):
        load_migrations(tmp_path)


async def test_the_class_key_is_random_and_of_16_octets(empty_dsn, dsn):
    await migrate(empty_dsn)
    keys = [
        (await ask(one, "SELECT value FROM net.setting WHERE key = 'class_key'"))[0][0] for one in (empty_dsn, dsn)
    ]
    assert [len(key) for key in keys] == [16, 16]
    assert keys[0] != keys[1]


async def test_the_schema_works_in_a_database_of_another_locale(postgres):
    """Case folding and letters are ours: a database in locale C knows only those of ASCII."""
    connection = await asyncpg.connect(postgres.dsn())
    await connection.execute("CREATE DATABASE test_c ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    await migrate(postgres.dsn("test_c"))
    row = await ask(postgres.dsn("test_c"), "SELECT erp.fold_login('JOÃO'), erp.is_login_name('JOÃO'), lower('JOÃO')")
    assert row == [("joão", True, "joÃo")]
    await connection.execute("DROP DATABASE test_c")
    await connection.close()
