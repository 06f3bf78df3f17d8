"""The replica on disk: LMDB stores beside each other, of which the file `current` names the one in force.

    replica/current              the name of the generation in force, changed by an atomic rename
    replica/<generation>/        one LMDB environment

The sync role writes, every other role reads: a reader takes one transaction per wake-up and copies values. A
resync fills a new generation while the old one serves, renames `current`, and marks the old one as superseded;
readers see that mark at their next transaction and move over. A generation that `current` names is complete.

Never waits for PostgreSQL and never decides anything. LMDB allows one open environment per path and process.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import lmdb

from aaad import clock
from aaad.errors import ReplicaError
from aaad.replica.layout import (
    DATABASES_MAX,
    LOGIN_ID,
    MARK_KEY,
    META_KEY,
    READERS_MAX,
    SOURCE,
    TABLES_KEY,
    Databases,
    ReplicaMeta,
    WriteTransaction,
    decode_meta,
    open_databases,
    read_mark,
    translated,
)
from aaad.replica.record import Tables, decode_tables
from aaad.replica.snapshot import Snapshot

if TYPE_CHECKING:
    from aaad.replica.layout import LmdbDatabase, LmdbTransaction


_login_key = LOGIN_ID.pack
LOCK_OCTETS = 8192  # what LMDB makes it for READERS_MAX readers; a longer file it takes as it is


def _current_name(directory: Path) -> str | None:
    try:
        return (directory / "current").read_text().strip() or None
    except OSError:
        return None


def _no_record(_key: bytes, _default: None = None, _db: object = None) -> bytes | None:
    return None


class _OpenStore(NamedTuple):
    name: str
    environment: lmdb.Environment
    databases: Databases


class ReplicaReader:
    """Reads the generation in force. `begin` and `end` stand around each wake-up; between them nothing moves."""

    def __init__(self, directory: Path) -> None:
        """Name the replica's directory; nothing is opened yet."""
        self._directory = directory
        self._store: _OpenStore | None = None
        self._transaction: LmdbTransaction | None = None
        self._transaction_id = -1
        self._tables_generation = -1
        self._get: Callable[..., bytes | None] = _no_record
        self._leases: LmdbDatabase | None = None
        self.snapshot: Snapshot | None = None  # up to where the generation in force shows leases

    @property
    def complete(self) -> bool:
        """Whether there is a complete replica: only then does "unknown login" mean that (rule R3.1)."""
        return self._store is not None

    @property
    def tables_mark(self) -> tuple[str, int]:
        """Which small tables the last `begin` has seen; another value, and they may be other ones."""
        return (self._store.name if self._store is not None else "", self._tables_generation)

    def open(self) -> bool:
        """Open the generation in force if there is one that this program can read; return whether there is."""
        return self._move()

    def begin(self) -> bool:
        """Begin a snapshot; return whether the small tables changed since the snapshot before."""
        if self._store is None and not self._move():
            return False
        try:
            self._take()
            transaction_id = self._transaction.id()  # type: ignore[union-attr]  # _take has set it
            if transaction_id == self._transaction_id:
                return False
            return self._look(transaction_id)
        except lmdb.Error as error:
            self.close()
            raise ReplicaError(f"the replica cannot be read: {error}") from error

    def login(self, key: bytes) -> bytes | None:
        """Return the record of a folded name."""
        try:
            return self._get(key)
        except lmdb.BadValsizeError:  # no name, or one longer than any that is stored
            return None

    def login_by_mac(self, mac: bytes) -> bytes | None:
        """Return the record of the login that is found by a device's address of 6 octets."""
        if self._transaction is None or self._store is None:
            return None
        name = self._transaction.get(mac, db=self._store.databases.mac) if mac else None
        return None if name is None else self.login(name)

    def name_of(self, login_id: int) -> bytes | None:
        """Return the folded name that a login is served under."""
        if self._transaction is None or self._store is None:
            return None
        data = self._transaction.get(LOGIN_ID.pack(login_id), db=self._store.databases.name)
        return data[SOURCE.size :] or None if data else None

    def leases(self, login_id: int) -> bytes | None:
        """Return a login's bound leases (aaad/policy/lease.py); None if it has none."""
        return self._get(_login_key(login_id), None, self._leases)

    def tables(self) -> Tables:
        """Return the small tables; ReplicaError if there is no replica."""
        data = self._meta_value(TABLES_KEY)
        if data is None:
            raise ReplicaError("there is no complete replica yet")
        return decode_tables(data)

    def meta(self) -> ReplicaMeta:
        """Return what the replica is a copy of; ReplicaError if there is none."""
        return decode_meta(self._meta_value(META_KEY))

    def end(self) -> None:
        """End the snapshot: its pages may be reused."""
        transaction = self._transaction
        if transaction is not None:
            self._get = _no_record
            self._transaction = None
            transaction.abort()

    def close(self) -> None:
        """Close what is open; `begin` would open it again."""
        self.end()
        if self._store is not None:
            self._store.environment.close()
            self._store = None

    def _meta_value(self, key: bytes) -> bytes | None:
        if self._transaction is None or self._store is None:
            return None
        return self._transaction.get(key, db=self._store.databases.meta)

    def _take(self) -> None:
        store = self._store
        assert store is not None
        self._transaction = transaction = store.environment.begin(store.databases.login)
        self._leases = store.databases.lease
        self._get = transaction.get

    def _look(self, transaction_id: int) -> bool:
        mark = read_mark(self._meta_value(MARK_KEY))
        if mark is None:
            raise ReplicaError("the replica has lost its mark")
        if mark.is_superseded and self._move():
            self._take()
            return self._look(self._transaction.id())  # type: ignore[union-attr]  # _take has set it
        # A superseded store whose successor is not there yet is looked at again at each wake-up.
        self._transaction_id = -1 if mark.is_superseded else transaction_id
        self.snapshot = _snapshot(self._meta_value(META_KEY), self.snapshot)
        changed = mark.tables_generation != self._tables_generation
        self._tables_generation = mark.tables_generation
        return changed

    def _move(self) -> bool:
        """Open the generation that `current` names unless it is open already; the old one stays if it fails."""
        name = _current_name(self._directory)
        if name is None or (self._store is not None and name == self._store.name):
            return False
        fresh = _open_store(self._directory, name)
        if fresh is None:
            return False
        if not _has_tables(fresh):
            fresh.environment.close()
            return False
        self.close()
        self._store = fresh
        self._transaction_id = self._tables_generation = -1
        return True


def _snapshot(data: bytes | None, known: Snapshot | None) -> Snapshot | None:
    """Return up to where a store shows leases, the same object while that is the same."""
    try:
        meta = decode_meta(data)
        origin = (meta.system_identifier, meta.timeline)
        if known is not None and known.text == meta.lease_snapshot and known.origin == origin:
            return known
        return Snapshot(meta.lease_snapshot, origin) if meta.lease_snapshot else None
    except (ReplicaError, ValueError):
        return None


def _has_tables(store: _OpenStore) -> bool:
    """Whether its small tables can be read: without them nobody can be answered, so it is not complete."""
    try:
        with store.environment.begin(store.databases.meta) as transaction:
            decode_tables(transaction.get(TABLES_KEY) or b"")
    except (lmdb.Error, ReplicaError):
        return False
    return True


def _open_store(directory: Path, name: str) -> _OpenStore | None:
    try:
        environment = lmdb.open(
            str(directory / name),
            map_size=0,  # the writer's
            max_dbs=DATABASES_MAX,
            max_readers=READERS_MAX,
            readonly=True,
            create=False,
        )
    except lmdb.Error:
        return None
    try:
        databases = open_databases(environment, create=False)
        with environment.begin(databases.meta) as transaction:
            if read_mark(transaction.get(MARK_KEY)) is not None:
                return _OpenStore(name, environment, databases)
    except lmdb.Error:
        pass
    environment.close()
    return None


def _allocate_lock(path: Path) -> None:
    """Take the disk that the lock file needs before LMDB maps it: in a mapped file a full disk is a SIGBUS.

    Not while this process has the environment open: closing the file would end LMDB's own locks on it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_size < LOCK_OCTETS:
            os.posix_fallocate(descriptor, 0, LOCK_OCTETS)
    finally:
        os.close(descriptor)


class Generation:
    """One generation open for writing. Its transactions belong to the thread that begins them."""

    def __init__(self, folder: Path, map_size_bytes: int, *, is_durable: bool = True) -> None:
        """Open or make the store; without `is_durable` a crash may damage it, which suits one being built."""
        self.folder = folder
        with translated():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _allocate_lock(folder / "lock.mdb")
            self._environment = lmdb.open(
                str(folder),
                map_size=map_size_bytes,
                max_dbs=DATABASES_MAX,
                max_readers=READERS_MAX,
                metasync=False,
                sync=is_durable,
                mode=0o600,
            )
            self._databases = open_databases(self._environment, create=True)

    @contextmanager
    def write(self) -> Iterator[WriteTransaction]:
        """Write in one transaction: committed at the end, dropped whole by an exception."""
        with translated(), self._environment.begin(write=True) as transaction:
            yield WriteTransaction(transaction, self._databases)

    @contextmanager
    def read(self) -> Iterator[WriteTransaction]:
        """Look at one snapshot; the methods that write fail."""
        with translated(), self._environment.begin() as transaction:
            yield WriteTransaction(transaction, self._databases)

    def freeze(self) -> "FrozenGeneration":
        """Return what it holds now, for a long look while it is written to."""
        with translated():
            return FrozenGeneration(self._environment.begin(), self._databases)

    def flush(self) -> None:
        """Return when all that was written is on the disk, so that no power cut takes it back.

        A commit alone leaves open whether it is found again after one (LMDB's metasync is off).
        """
        with translated():
            self._environment.sync(True)

    def reap_readers(self) -> int:
        """Free the slots of readers that died; else their old snapshots keep pages for ever."""
        return int(self._environment.reader_check())

    def close(self, *, flush: bool = False) -> None:
        """Close it; with `flush` everything reaches the disk first."""
        if flush:
            self._environment.sync(True)
        self._environment.close()


class FrozenGeneration:
    """A generation as it was at one moment. Belongs to the thread that writes; thaw it before the store is closed."""

    def __init__(self, transaction: "LmdbTransaction", databases: Databases) -> None:
        """Made by `Generation.freeze`."""
        self._transaction = transaction
        self._databases = databases

    @contextmanager
    def read(self) -> Iterator[WriteTransaction]:
        """Look at that moment; the methods that write fail."""
        with translated():
            yield WriteTransaction(self._transaction, self._databases)

    def thaw(self) -> None:
        """Let go of it, so that its pages can be used again."""
        self._transaction.abort()


class ReplicaWriter:
    """The sync role's hand on the replica: the generation in force, the one being built, the swap."""

    def __init__(self, directory: Path, map_size_bytes: int) -> None:
        """Name the replica's directory; nothing is opened yet."""
        self._directory = directory
        self._map_size_bytes = map_size_bytes
        self._lock: int | None = None
        self.current: Generation | None = None

    def open(self) -> ReplicaMeta | None:
        """Open the generation in force and drop all others; None if there is none that can be used.

        ReplicaError while another process still writes: a predecessor that has not ended yet.
        """
        with translated():
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._acquire()
        name = _current_name(self._directory)
        self.current = self._open_complete(name) if name is not None else None
        for folder in self._directory.iterdir():
            if folder.is_dir() and (self.current is None or folder != self.current.folder):
                self._retire(folder)
        if self.current is None:
            return None
        with self.current.read() as transaction:
            return transaction.meta()

    def is_intact(self) -> bool:
        """Whether the generation in force is still there: somebody may have deleted the directory."""
        if self.current is None:
            return False
        return (
            _current_name(self._directory) == self.current.folder.name and (self.current.folder / "data.mdb").exists()
        )

    def build(self) -> Generation:
        """Return a new, empty generation beside the one in force."""
        folder = self._directory / f"{clock.wall_ns():x}"
        try:
            return Generation(folder, self._map_size_bytes, is_durable=False)
        except ReplicaError:
            shutil.rmtree(folder, ignore_errors=True)  # on a full disk each try would leave one more
            raise

    def swap(self, built: Generation) -> None:
        """Put a built generation in force; readers of the old one move at their next transaction."""
        old = self.current
        with translated():
            built.close(flush=True)
            self._name_current(built.folder.name)
            self.current = Generation(built.folder, self._map_size_bytes)
        if old is not None:
            with old.write() as transaction:
                transaction.supersede()
            old.close()
            shutil.rmtree(old.folder, ignore_errors=True)

    def discard(self, built: Generation) -> None:
        """Drop a generation whose build failed, unless it was named already: then only its opening failed."""
        built.close()
        if _current_name(self._directory) != built.folder.name:
            shutil.rmtree(built.folder, ignore_errors=True)

    def close(self) -> None:
        """Close the generation in force and let another process write."""
        if self.current is not None:
            self.current.close()
            self.current = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _acquire(self) -> None:
        """Become the only writer; the kernel takes that back when the process ends, however it ends."""
        if self._lock is not None:
            return
        with translated():
            descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise ReplicaError("another process writes this replica") from error
        self._lock = descriptor

    def _name_current(self, name: str) -> None:
        """Name the generation in force so that the name survives a power cut, too."""
        fresh = self._directory / "current.new"
        with fresh.open("w") as file:
            file.write(name + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._directory / "current")
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _open_complete(self, name: str) -> Generation | None:
        probe = _open_store(self._directory, name)
        if probe is None:
            return None
        try:
            with probe.environment.begin(probe.databases.meta) as transaction:
                is_complete = decode_meta(transaction.get(META_KEY)).complete
        except (lmdb.Error, ReplicaError):
            is_complete = False
        probe.environment.close()
        return Generation(self._directory / name, self._map_size_bytes) if is_complete else None

    def _retire(self, folder: Path) -> None:
        """Drop a generation that is not in force; whoever still reads it is told first."""
        try:
            left_over = Generation(folder, self._map_size_bytes)
            with left_over.write() as transaction:
                transaction.supersede()
            left_over.close()
        except ReplicaError:
            pass  # a damaged one has no readers worth telling
        shutil.rmtree(folder, ignore_errors=True)
