"""The replica on disk: LMDB stores beside each other, of which the file `current` names the one in force.

    replica/current              the name of the generation in force, changed by an atomic rename
    replica/<generation>/        one LMDB environment

The sync role writes, every other role reads: a reader takes one transaction per wake-up and copies values. A
resync fills a new generation while the old one serves, renames `current`, and marks the old one as superseded;
readers see that mark at their next transaction and move over. A generation that `current` names is complete.

Never waits for PostgreSQL and never decides anything. LMDB allows one open environment per path and process.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from struct import error as StructError  # noqa: N812  the library's own name says too little
from typing import TYPE_CHECKING, NamedTuple

import lmdb
import msgspec

from aaad import clock
from aaad.errors import ReplicaError
from aaad.replica.record import VERSION, Tables, decode_tables, encode_tables

if TYPE_CHECKING:
    _Transaction = lmdb.Transaction[bytes]
    _Database = lmdb._Database

STORE_VERSION = 1
READERS_MAX = 126  # LMDB's own default: more than all processes of a node
_DATABASES_MAX = 8
_MARK = Struct("<HHQ?")  # store version, record version, tables' generation, superseded
_LOGIN_ID = Struct(">I")  # big endian: LMDB's order is the order of numbers
_SOURCE = Struct("<Q")
_PENDING = Struct("<Q?H")
_INSTANT = Struct("<d")
_MARK_KEY, _META_KEY, _TABLES_KEY = b"mark", b"meta", b"tables"


class ReplicaMeta(msgspec.Struct, frozen=True, array_like=True):
    """What a generation holds, and of which database at which snapshot.

    `count` and `digest` are those of PostgreSQL's rows as the feed has read them, held rows included.
    """

    snapshot: str  # pg_snapshot: every change that it sees is applied or held
    system_identifier: str  # the cluster's system identifier and the database's number
    timeline: str
    count: int
    digest: int  # exclusive or of every row's digest, 64 bits, unsigned
    applied_at_s: float
    node_number: int
    complete: bool = True
    hold_id: int = 0  # the row of net.hold that the held rows wait for; 0: not told yet
    held_nases: tuple[str, ...] = ()  # addresses of NAS entries that are served although the database lost them
    held_plans: tuple[int, ...] = ()


class Source(NamedTuple):
    """What stands in the store for one row of PostgreSQL. An empty name: the row is left out."""

    digest: int
    name: bytes  # folded: the key of its record


class Pending(NamedTuple):
    """A held change of one login: what PostgreSQL says while the store still serves what was."""

    digest: int
    is_present: bool  # False: PostgreSQL has no such row any more
    name: bytes
    record: bytes


class _Mark(NamedTuple):
    store_version: int
    record_version: int
    tables_generation: int
    is_superseded: bool


class _Databases(NamedTuple):
    login: "_Database"  # folded name -> record
    name: "_Database"  # login id -> Source
    meta: "_Database"
    held: "_Database"  # login id -> Pending
    cut_off: "_Database"  # login id -> when its access was last taken by an applied change, Unix seconds
    problem: "_Database"  # login id -> the name it would have; rows that cannot be served as they are


def _open_databases(environment: lmdb.Environment, *, create: bool) -> _Databases:
    return _Databases(*(environment.open_db(field.encode(), create=create) for field in _Databases._fields))


def _read_mark(data: bytes | None) -> _Mark | None:
    if data is None or len(data) != _MARK.size:
        return None
    mark = _Mark(*_MARK.unpack(data))
    return mark if (mark.store_version, mark.record_version) == (STORE_VERSION, VERSION) else None


def _decode_meta(data: bytes | None) -> ReplicaMeta:
    if data is None:
        raise ReplicaError("the replica has no description of itself")
    try:
        return msgspec.msgpack.decode(data, type=ReplicaMeta)
    except msgspec.DecodeError as error:
        raise ReplicaError(f"the replica's description cannot be read: {error}") from error


def _current_name(directory: Path) -> str | None:
    try:
        return (directory / "current").read_text().strip() or None
    except OSError:
        return None


def _no_record(_key: bytes) -> bytes | None:
    return None


class _OpenStore(NamedTuple):
    name: str
    environment: lmdb.Environment
    databases: _Databases


class ReplicaReader:
    """Reads the generation in force. `begin` and `end` stand around each wake-up; between them nothing moves."""

    def __init__(self, directory: Path) -> None:
        """Name the replica's directory; nothing is opened yet."""
        self._directory = directory
        self._store: _OpenStore | None = None
        self._transaction: _Transaction | None = None
        self._transaction_id = -1
        self._tables_generation = -1
        self._get: Callable[[bytes], bytes | None] = _no_record

    @property
    def complete(self) -> bool:
        """Whether there is a complete replica: only then does "unknown login" mean that (rule R3.1)."""
        return self._store is not None

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

    def name_of(self, login_id: int) -> bytes | None:
        """Return the folded name that a login is served under."""
        if self._transaction is None or self._store is None:
            return None
        data = self._transaction.get(_LOGIN_ID.pack(login_id), db=self._store.databases.name)
        return data[_SOURCE.size :] or None if data else None

    def tables(self) -> Tables:
        """Return the small tables; ReplicaError if there is no replica."""
        data = self._meta_value(_TABLES_KEY)
        if data is None:
            raise ReplicaError("there is no complete replica yet")
        return decode_tables(data)

    def meta(self) -> ReplicaMeta:
        """Return what the replica is a copy of; ReplicaError if there is none."""
        return _decode_meta(self._meta_value(_META_KEY))

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
        self._get = transaction.get

    def _look(self, transaction_id: int) -> bool:
        mark = _read_mark(self._meta_value(_MARK_KEY))
        if mark is None:
            raise ReplicaError("the replica has lost its mark")
        if mark.is_superseded and self._move():
            self._take()
            return self._look(self._transaction.id())  # type: ignore[union-attr]  # _take has set it
        # A superseded store whose successor is not there yet is looked at again at each wake-up.
        self._transaction_id = -1 if mark.is_superseded else transaction_id
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
        self.close()
        self._store = fresh
        self._transaction_id = self._tables_generation = -1
        return True


def _open_store(directory: Path, name: str) -> _OpenStore | None:
    try:
        environment = lmdb.open(
            str(directory / name),
            map_size=0,  # the writer's
            max_dbs=_DATABASES_MAX,
            max_readers=READERS_MAX,
            readonly=True,
            create=False,
        )
    except lmdb.Error:
        return None
    try:
        databases = _open_databases(environment, create=False)
        with environment.begin(databases.meta) as transaction:
            if _read_mark(transaction.get(_MARK_KEY)) is not None:
                return _OpenStore(name, environment, databases)
    except lmdb.Error:
        pass
    environment.close()
    return None


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (lmdb.Error, OSError) as error:
        raise ReplicaError(f"the replica's store: {error}") from error


class WriteTransaction:
    """One write transaction on a generation: everything in it is seen at once, or never."""

    def __init__(self, transaction: "_Transaction", databases: _Databases) -> None:
        """Wrap LMDB's transaction."""
        self._transaction = transaction
        self._databases = databases

    def record(self, name: bytes) -> bytes | None:
        """Return the record served under a folded name."""
        return self._transaction.get(name, db=self._databases.login)

    def put_record(self, name: bytes, record: bytes) -> None:
        """Serve a record under a folded name."""
        self._transaction.put(name, record, db=self._databases.login)

    def delete_record(self, name: bytes) -> None:
        """Serve nothing under a folded name."""
        self._transaction.delete(name, db=self._databases.login)

    def source(self, login_id: int) -> Source | None:
        """Return what stands for a row of PostgreSQL."""
        data = self._transaction.get(_LOGIN_ID.pack(login_id), db=self._databases.name)
        return None if data is None else _decode_source(data)

    def put_source(self, login_id: int, source: Source) -> None:
        """Say what stands for a row of PostgreSQL."""
        data = _SOURCE.pack(source.digest) + source.name
        self._transaction.put(_LOGIN_ID.pack(login_id), data, db=self._databases.name)

    def delete_source(self, login_id: int) -> None:
        """Forget a row of PostgreSQL."""
        self._transaction.delete(_LOGIN_ID.pack(login_id), db=self._databases.name)

    def sources(self, after: int = 0) -> Iterator[tuple[int, Source]]:
        """Walk over every source with a larger login id, in order of login ids."""
        with self._transaction.cursor(db=self._databases.name) as cursor:
            if not cursor.set_range(_LOGIN_ID.pack(after + 1)):
                return
            for key, data in cursor:
                yield _LOGIN_ID.unpack(key)[0], _decode_source(data)

    def pending(self, login_id: int) -> Pending | None:
        """Return the held change of a login."""
        data = self._transaction.get(_LOGIN_ID.pack(login_id), db=self._databases.held)
        return None if data is None else _decode_pending(data)

    def put_pending(self, login_id: int, pending: Pending) -> None:
        """Hold a change."""
        data = _PENDING.pack(pending.digest, pending.is_present, len(pending.name)) + pending.name + pending.record
        self._transaction.put(_LOGIN_ID.pack(login_id), data, db=self._databases.held)

    def delete_pending(self, login_id: int) -> None:
        """Hold nothing for this login any more."""
        self._transaction.delete(_LOGIN_ID.pack(login_id), db=self._databases.held)

    def pending_ids(self, limit: int | None = None) -> list[int]:
        """Return the ids of held logins, in order."""
        found: list[int] = []
        with self._transaction.cursor(db=self._databases.held) as cursor:
            for key in cursor.iternext(keys=True, values=False):
                if limit is not None and len(found) >= limit:
                    break
                found.append(_LOGIN_ID.unpack(key)[0])
        return found

    def pending_count(self) -> int:
        """Return how many logins are held."""
        return int(self._transaction.stat(self._databases.held)["entries"])

    def cut_offs(self) -> dict[int, float]:
        """Return the logins whose access applied changes took, and when (the brake's window)."""
        with self._transaction.cursor(db=self._databases.cut_off) as cursor:
            return {_LOGIN_ID.unpack(key)[0]: _INSTANT.unpack(data)[0] for key, data in cursor}

    def put_cut_off(self, login_id: int, at_s: float) -> None:
        """Count a login in the brake's window."""
        self._transaction.put(_LOGIN_ID.pack(login_id), _INSTANT.pack(at_s), db=self._databases.cut_off)

    def delete_cut_off(self, login_id: int) -> None:
        """Take a login out of the brake's window."""
        self._transaction.delete(_LOGIN_ID.pack(login_id), db=self._databases.cut_off)

    def problems(self) -> dict[int, bytes]:
        """Return the rows that cannot be served as they are, with the names they would have."""
        with self._transaction.cursor(db=self._databases.problem) as cursor:
            return {_LOGIN_ID.unpack(key)[0]: data for key, data in cursor}

    def put_problem(self, login_id: int, name: bytes) -> None:
        """Note a row that cannot be served as it is."""
        self._transaction.put(_LOGIN_ID.pack(login_id), name, db=self._databases.problem)

    def delete_problem(self, login_id: int) -> None:
        """Forget that a row could not be served."""
        self._transaction.delete(_LOGIN_ID.pack(login_id), db=self._databases.problem)

    def problem_count(self) -> int:
        """Return how many rows cannot be served as they are."""
        return int(self._transaction.stat(self._databases.problem)["entries"])

    def meta(self) -> ReplicaMeta:
        """Return what the generation holds."""
        return _decode_meta(self._transaction.get(_META_KEY, db=self._databases.meta))

    def put_meta(self, meta: ReplicaMeta) -> None:
        """Say what the generation holds."""
        self._transaction.put(_META_KEY, msgspec.msgpack.encode(meta), db=self._databases.meta)

    def tables(self) -> Tables:
        """Return the small tables."""
        data = self._transaction.get(_TABLES_KEY, db=self._databases.meta)
        if data is None:
            raise ReplicaError("the generation has no tables")
        return decode_tables(data)

    def put_tables(self, tables: Tables) -> None:
        """Replace the small tables; every reader sees that they changed by their generation."""
        self._transaction.put(_TABLES_KEY, encode_tables(tables), db=self._databases.meta)
        self._put_mark(tables.generation, is_superseded=False)

    def supersede(self) -> None:
        """Tell every reader to move to the generation that `current` names."""
        mark = _read_mark(self._transaction.get(_MARK_KEY, db=self._databases.meta))
        self._put_mark(mark.tables_generation if mark else 0, is_superseded=True)

    def _put_mark(self, tables_generation: int, *, is_superseded: bool) -> None:
        data = _MARK.pack(STORE_VERSION, VERSION, tables_generation, is_superseded)
        self._transaction.put(_MARK_KEY, data, db=self._databases.meta)


def _decode_source(data: bytes) -> Source:
    return Source(_SOURCE.unpack_from(data)[0], data[_SOURCE.size :])


def _decode_pending(data: bytes) -> Pending:
    try:
        digest, is_present, length = _PENDING.unpack_from(data)
    except StructError as error:
        raise ReplicaError("a held row is cut off") from error
    cut = _PENDING.size + length
    return Pending(digest, is_present, data[_PENDING.size : cut], data[cut:])


class Generation:
    """One generation open for writing. Its transactions belong to the thread that begins them."""

    def __init__(self, folder: Path, map_size_bytes: int, *, is_durable: bool = True) -> None:
        """Open or make the store; without `is_durable` a crash may damage it, which suits one being built."""
        self.folder = folder
        with _translated():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._environment = lmdb.open(
                str(folder),
                map_size=map_size_bytes,
                max_dbs=_DATABASES_MAX,
                max_readers=READERS_MAX,
                metasync=False,
                sync=is_durable,
                mode=0o600,
            )
            self._databases = _open_databases(self._environment, create=True)

    @contextmanager
    def write(self) -> Iterator[WriteTransaction]:
        """Write in one transaction: committed at the end, dropped whole by an exception."""
        with _translated(), self._environment.begin(write=True) as transaction:
            yield WriteTransaction(transaction, self._databases)

    @contextmanager
    def read(self) -> Iterator[WriteTransaction]:
        """Look at one snapshot; the methods that write fail."""
        with _translated(), self._environment.begin() as transaction:
            yield WriteTransaction(transaction, self._databases)

    def reap_readers(self) -> int:
        """Free the slots of readers that died; else their old snapshots keep pages for ever."""
        return int(self._environment.reader_check())

    def close(self, *, flush: bool = False) -> None:
        """Close it; with `flush` everything reaches the disk first."""
        if flush:
            self._environment.sync(True)
        self._environment.close()


class ReplicaWriter:
    """The sync role's hand on the replica: the generation in force, the one being built, the swap."""

    def __init__(self, directory: Path, map_size_bytes: int) -> None:
        """Name the replica's directory; nothing is opened yet."""
        self._directory = directory
        self._map_size_bytes = map_size_bytes
        self.current: Generation | None = None

    def open(self) -> ReplicaMeta | None:
        """Open the generation in force and drop all others; None if there is none that can be used."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
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
        return Generation(self._directory / f"{clock.wall_ns():x}", self._map_size_bytes, is_durable=False)

    def swap(self, built: Generation) -> None:
        """Put a built generation in force; readers of the old one move at their next transaction."""
        old = self.current
        with _translated():
            built.close(flush=True)
            self._name_current(built.folder.name)
            self.current = Generation(built.folder, self._map_size_bytes)
        if old is not None:
            with old.write() as transaction:
                transaction.supersede()
            old.close()
            shutil.rmtree(old.folder, ignore_errors=True)

    def discard(self, built: Generation) -> None:
        """Drop a generation whose build failed."""
        built.close()
        shutil.rmtree(built.folder, ignore_errors=True)

    def close(self) -> None:
        """Close the generation in force."""
        if self.current is not None:
            self.current.close()
            self.current = None

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
                is_complete = _decode_meta(transaction.get(_META_KEY)).complete
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
