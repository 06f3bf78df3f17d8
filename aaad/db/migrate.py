"""Brings a database up to the schema of this program: numbered SQL files, forward only.

Each file of `migrations/` runs once, in a transaction of its own, and is recorded with its checksum in
`net.migration`. A file that was changed after it ran is refused: what the database holds is then not what the file
says. Files that only the database knows are left alone: a newer program has been here, and old code works on the
new schema for one release. Two migrators at once: an advisory lock lets one work and the other find it done.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg

from aaad.db.connection import message_of, open_connection, split_hosts
from aaad.errors import StoreError

MIGRATIONS_DIRECTORY = Path(__file__).parent / "migrations"
SERVER_VERSION_MIN = 150000
CONNECT_TIMEOUT_S = 10
# A migration may rewrite a table of millions of rows; a frozen server must not hold us for ever.
MIGRATION_TIMEOUT_S = 1800
LOCK_WAIT_S = 300
_LOCK_KEY = 0x61616164  # "aaad"
_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, its name and what it does."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """The SHA-256 of its text, in hexadecimal."""
        return sha256(self.sql.encode()).hexdigest()


def load_migrations(directory: Path = MIGRATIONS_DIRECTORY) -> list[Migration]:
    """Return the files of a folder in order; StoreError unless they are numbered 1, 2, 3, …"""
    migrations: list[Migration] = []
    for path in sorted(directory.glob("*.sql")):
        matched = _FILE_NAME.fullmatch(path.name)
        if matched is None or int(matched[1]) != len(migrations) + 1:
            raise StoreError(f"migration {path.name}: expected {len(migrations) + 1:04d}_name.sql")
        migrations.append(Migration(int(matched[1]), path.stem, path.read_text(encoding="utf-8")))
    return migrations


async def migrate(dsn: str, directory: Path = MIGRATIONS_DIRECTORY) -> int:
    """Apply what is missing and return how many files that were."""
    migrations = load_migrations(directory)
    async with _connection(dsn) as connection:
        await _lock(connection)
        await connection.execute(_BOOTSTRAP)
        missing = _missing(migrations, await _applied(connection))
        for migration in missing:
            async with connection.transaction():
                await connection.execute(migration.sql)
                await connection.execute(
                    "INSERT INTO net.migration (number, name, checksum) VALUES ($1, $2, $3)",
                    migration.number,
                    migration.name,
                    migration.checksum,
                )
    return len(missing)


async def pending(dsn: str, directory: Path = MIGRATIONS_DIRECTORY) -> list[str]:
    """Return the names of the files that are still to be applied; changes nothing."""
    migrations = load_migrations(directory)
    async with _connection(dsn) as connection:
        known = await connection.fetchval("SELECT to_regclass('net.migration') IS NOT NULL")
        applied = await _applied(connection) if known else {}
    return [migration.name for migration in _missing(migrations, applied)]


_BOOTSTRAP = """
CREATE SCHEMA IF NOT EXISTS net;
CREATE TABLE IF NOT EXISTS net.migration (
    number integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
"""


def _missing(migrations: Sequence[Migration], applied: dict[int, str]) -> list[Migration]:
    for migration in migrations:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise StoreError(f"migration {migration.name} was changed after it had been applied to this database")
    missing = [migration for migration in migrations if migration.number not in applied]
    if missing and applied and missing[0].number < max(applied):
        raise StoreError(f"migration {missing[0].name} is missing in this database, although later ones are there")
    return missing


async def _applied(connection: Any) -> dict[int, str]:
    rows = await connection.fetch("SELECT number, checksum FROM net.migration")
    return {row["number"]: row["checksum"] for row in rows}


async def _lock(connection: Any) -> None:
    # The session's end frees it, whatever happens to us.
    await connection.execute(f"SET lock_timeout = '{LOCK_WAIT_S}s'")
    await connection.execute(f"SELECT pg_advisory_lock({_LOCK_KEY})")


@asynccontextmanager
async def _connection(dsn: str) -> AsyncIterator[Any]:
    connection = await _connect(dsn)
    try:
        async with asyncio.timeout(MIGRATION_TIMEOUT_S):
            await _check_server(connection)
            yield connection
    except TimeoutError as error:
        raise StoreError("PostgreSQL did not answer in time", may_have_committed=True) from error
    except asyncpg.PostgresError as error:
        raise StoreError(message_of(error), sqlstate=error.sqlstate) from error
    except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise StoreError(f"the connection to PostgreSQL was lost: {error}", may_have_committed=True) from error
    finally:
        connection.terminate()


async def _connect(dsn: str) -> Any:
    failure = StoreError("no host")
    for host in split_hosts(dsn):
        try:
            return await open_connection(host, CONNECT_TIMEOUT_S, {"application_name": "aaad migrate"})
        except StoreError as error:
            failure = error
    raise StoreError(f"PostgreSQL is away: {failure}") from failure


async def _check_server(connection: Any) -> None:
    version, encoding = await connection.fetchrow(
        "SELECT current_setting('server_version_num')::integer, current_setting('server_encoding')"
    )
    if version < SERVER_VERSION_MIN:
        raise StoreError(f"PostgreSQL {version // 10000} is too old: 15 or newer is needed")
    if encoding != "UTF8":
        raise StoreError(f"the database's encoding is {encoding}: UTF8 is needed (CREATE DATABASE … ENCODING 'UTF8')")
