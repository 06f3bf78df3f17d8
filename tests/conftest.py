"""What all tests share: one real PostgreSQL of their own, and a fresh database for each test that asks."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Coroutine, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from one_connection import close_all, connection

from aaad.db.embedded import EmbeddedPostgres

# The same examples in every run, on however busy a machine: what random ones find belongs into a test of its own.
# `HYPOTHESIS_PROFILE=random` looks for new ones.
settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("random", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

_TEMPLATE = "aaad_template"
_numbers = count(1)

_MEMORY = Path("/dev/shm")
_MEMORY_OCTETS_MIN = 4 << 30  # it takes a few hundred MiB
_ABANDONED_S = 60.0


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL for this run, started once.

    It flushes nothing to the disk: hundreds of databases are made and dropped in it, each with a checkpoint, and what
    a killed process has written is in the kernel's hands. It lives in memory where there is plenty. Each database is
    700 files, and ext4 passes by all that were deleted in the last seconds, one by one, to find a place for a new
    one: half a second of computing for each test.
    """
    settings = {
        "fsync": "off",
        "full_page_writes": "off",
        "max_connections": "100",
        "max_prepared_transactions": "2",
        "shared_buffers": "32MB",
        "max_wal_size": "128MB",
        "autovacuum_naptime": "1h",
    }
    with _folder_for_postgres(tmp_path_factory) as folder, EmbeddedPostgres(folder, settings=settings) as server:
        yield server


@contextlib.contextmanager
def _folder_for_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if not os.access(_MEMORY, os.W_OK) or shutil.disk_usage(_MEMORY).free < _MEMORY_OCTETS_MIN:
        yield tmp_path_factory.mktemp("postgres")
        return
    for folder in _MEMORY.glob("aaad-tests-*"):
        _remove_abandoned(folder)
    with tempfile.TemporaryDirectory(prefix="aaad-tests-", dir=_MEMORY) as name:
        held = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(held, fcntl.LOCK_EX)
        yield Path(name)
        os.close(held)


def _remove_abandoned(folder: Path) -> None:
    """Remove what a killed run has left: nobody holds it."""
    with contextlib.suppress(OSError):
        found = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - os.fstat(found).st_mtime > _ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(found)


@pytest.fixture(scope="session")
def _template(postgres: EmbeddedPostgres, administration: "Administration") -> str:
    from aaad.db.migrate import migrate

    administration.execute(f"CREATE DATABASE {_TEMPLATE}")
    administration.run(migrate(postgres.dsn(_TEMPLATE)))
    return _TEMPLATE


@pytest.fixture
def dsn(administration: "Administration", _template: str) -> Iterator[str]:
    """A database with the current schema, for this test alone."""
    with administration.database(_template) as dsn:
        yield dsn


@pytest.fixture
def empty_dsn(administration: "Administration") -> Iterator[str]:
    """A database with nothing in it, for this test alone."""
    with administration.database("template1") as dsn:
        yield dsn


@pytest.fixture(scope="session")
def administration(postgres: EmbeddedPostgres) -> Iterator["Administration"]:
    """Who makes databases and drops them."""
    yield Administration(postgres)
    close_all()


class Administration:
    """One connection for all databases of the run: a new one for each costs as much as to drop a database."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._postgres = postgres
        self._connection = connection(postgres.dsn())

    @contextlib.contextmanager
    def database(self, template: str) -> Iterator[str]:
        """A copy of this one, by its files: by way of the log it costs twice as much."""
        name = f"test_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        yield self._postgres.dsn(name)
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, script: str) -> None:
        self._connection.execute(script)

    def run(self, work: Coroutine[Any, Any, object]) -> None:
        """Run it where no loop of a test is."""
        self._connection.run(work)
