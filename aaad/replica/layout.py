"""The layout of one LMDB store: its databases, their keys and values, and the transaction that reads and writes them.

    login     folded name -> record (aaad/replica/record.py)
    mac       a device's address, 6 octets -> folded name of the login that is found by it
    name      login id -> digest of PostgreSQL's row, folded name it is served under
    meta      mark (versions, tables' generation, superseded), meta (ReplicaMeta), tables (Tables)
    held      login id -> what PostgreSQL says while the brake keeps what was
    cut_off   login id -> when an applied change took its access, for the brake's window
    problem   login id -> the name it would have; rows that cannot be served as they are
    lease     login id -> its bound leases (aaad/policy/lease.py)

A store of another version of this layout or of the records is none: the feed builds a new one.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from struct import Struct
from struct import error as StructError  # noqa: N812  the library's own name says too little
from typing import TYPE_CHECKING, NamedTuple

import lmdb
import msgspec

from aaad.errors import ReplicaError
from aaad.replica.record import VERSION, NasRow, Tables, decode_tables, encode_tables, mac_of

if TYPE_CHECKING:
    LmdbTransaction = lmdb.Transaction[bytes]
    LmdbDatabase = lmdb._Database

STORE_VERSION = 3
READERS_MAX = 126  # LMDB's own default: more than all processes of a node
DATABASES_MAX = 8
_MARK = Struct("<HHQ?")  # store version, record version, tables' generation, superseded
LOGIN_ID = Struct(">I")  # big endian: LMDB's order is the order of numbers
LOGIN_IDS = range(1, 1 << 31)  # which of PostgreSQL's integers a store can hold
SOURCE = Struct("<Q")
_PENDING = Struct("<Q?H")
_INSTANT = Struct("<d")
MARK_KEY, META_KEY, TABLES_KEY = b"mark", b"meta", b"tables"


class LostNas(msgspec.Struct, frozen=True, array_like=True):
    """A NAS entry that an applied change took, for the brake's window."""

    nas: NasRow  # as it was served
    at_s: float


class ReplicaMeta(msgspec.Struct, frozen=True, array_like=True):
    """What a generation holds, and of which database at which snapshot.

    `count` and `digest` are those of PostgreSQL's rows as the feed has read them, held rows included.
    """

    snapshot: str  # pg_snapshot: every change that it sees is applied or held
    system_identifier: str  # the cluster's system identifier, the numbers of the database and its change log
    timeline: str
    count: int
    digest: int  # exclusive or of every row's digest, 64 bits, unsigned
    applied_at_s: float
    node_number: int
    complete: bool = True
    hold_id: int = 0  # the row of net.hold that the held rows wait for; 0: not told yet
    accepted_id: int = 0  # the last accepted row of net.hold that is carried out here; 0: none
    held_nases: tuple[str, ...] = ()  # addresses of NAS entries that are served although the database lost them
    lost_nases: tuple[LostNas, ...] = ()  # of the last day: in the brake's window, or to be known when it is repaired
    held_terms: int = 0  # what plans, parameters and branches that are held would cut off; 0: none are held
    unusable_rows: int = 0  # of the small tables
    lease_snapshot: str = ""  # every change of a lease that it sees is applied; never newer than `snapshot`


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


class Mark(NamedTuple):
    """What a reader looks at after each change of the store."""

    store_version: int
    record_version: int
    tables_generation: int
    is_superseded: bool


class Databases(NamedTuple):
    """LMDB's handles of a store's databases; the fields' names are theirs."""

    login: "LmdbDatabase"  # folded name -> record
    name: "LmdbDatabase"  # login id -> Source
    meta: "LmdbDatabase"
    held: "LmdbDatabase"  # login id -> Pending
    cut_off: "LmdbDatabase"  # login id -> when its access was last taken by an applied change, Unix seconds
    problem: "LmdbDatabase"  # login id -> the name it would have; rows that cannot be served as they are
    mac: "LmdbDatabase"  # a device's address -> folded name
    lease: "LmdbDatabase"  # login id -> its bound leases


def open_databases(environment: lmdb.Environment, *, create: bool) -> Databases:
    """Open every database of a store."""
    return Databases(*(environment.open_db(field.encode(), create=create) for field in Databases._fields))


def read_mark(data: bytes | None) -> Mark | None:
    """Return a store's mark; None if it is of another version, or no mark."""
    if data is None or len(data) != _MARK.size:
        return None
    mark = Mark(*_MARK.unpack(data))
    return mark if (mark.store_version, mark.record_version) == (STORE_VERSION, VERSION) else None


def decode_meta(data: bytes | None) -> ReplicaMeta:
    """Return what a store is a copy of; ReplicaError if that cannot be read."""
    if data is None:
        raise ReplicaError("the replica has no description of itself")
    try:
        return msgspec.msgpack.decode(data, type=ReplicaMeta)
    except msgspec.DecodeError as error:
        raise ReplicaError(f"the replica's description cannot be read: {error}") from error


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of LMDB and the file system into ReplicaError."""
    try:
        yield
    except (lmdb.Error, OSError) as error:
        raise ReplicaError(f"the replica's store: {error}") from error


class WriteTransaction:
    """One write transaction on a generation: everything in it is seen at once, or never."""

    def __init__(self, transaction: "LmdbTransaction", databases: Databases) -> None:
        """Wrap LMDB's transaction."""
        self._transaction = transaction
        self._databases = databases

    def record(self, name: bytes) -> bytes | None:
        """Return the record served under a folded name."""
        return self._transaction.get(name, db=self._databases.login)

    def put_record(self, name: bytes, record: bytes) -> None:
        """Serve a record under a folded name, and under its device's address if it has one."""
        old = self._transaction.replace(name, record, db=self._databases.login)
        mac = mac_of(record)
        if old is not None:
            self._delete_alias(name, mac_of(old), mac)
        if mac:
            self._transaction.put(mac, name, db=self._databases.mac)

    def delete_record(self, name: bytes) -> None:
        """Serve nothing under a folded name."""
        old = self._transaction.pop(name, db=self._databases.login)
        if old is not None:
            self._delete_alias(name, mac_of(old), b"")

    def _delete_alias(self, name: bytes, old: bytes, new: bytes) -> None:
        """Forget an address that led to this name, but none that another login has taken meanwhile."""
        if old and old != new and self._transaction.get(old, db=self._databases.mac) == name:
            self._transaction.delete(old, db=self._databases.mac)

    def aliases(self) -> dict[bytes, bytes]:
        """Return under which addresses which names are found."""
        with self._transaction.cursor(db=self._databases.mac) as cursor:
            return dict(cursor)

    def records(self) -> Iterator[bytes]:
        """Walk over every record that is served."""
        with self._transaction.cursor(db=self._databases.login) as cursor:
            yield from cursor.iternext(keys=False, values=True)

    def source(self, login_id: int) -> Source | None:
        """Return what stands for a row of PostgreSQL."""
        data = self._transaction.get(LOGIN_ID.pack(login_id), db=self._databases.name)
        return None if data is None else _decode_source(data)

    def put_source(self, login_id: int, source: Source) -> None:
        """Say what stands for a row of PostgreSQL."""
        data = SOURCE.pack(source.digest) + source.name
        self._transaction.put(LOGIN_ID.pack(login_id), data, db=self._databases.name)

    def delete_source(self, login_id: int) -> None:
        """Forget a row of PostgreSQL."""
        self._transaction.delete(LOGIN_ID.pack(login_id), db=self._databases.name)

    def sources(self, after: int = 0) -> Iterator[tuple[int, Source]]:
        """Walk over every source with a larger login id, in order of login ids."""
        with self._transaction.cursor(db=self._databases.name) as cursor:
            if not cursor.set_range(LOGIN_ID.pack(after + 1)):
                return
            for key, data in cursor:
                yield LOGIN_ID.unpack(key)[0], _decode_source(data)

    def pending(self, login_id: int) -> Pending | None:
        """Return the held change of a login."""
        data = self._transaction.get(LOGIN_ID.pack(login_id), db=self._databases.held)
        return None if data is None else _decode_pending(data)

    def put_pending(self, login_id: int, pending: Pending) -> None:
        """Hold a change."""
        data = _PENDING.pack(pending.digest, pending.is_present, len(pending.name)) + pending.name + pending.record
        self._transaction.put(LOGIN_ID.pack(login_id), data, db=self._databases.held)

    def delete_pending(self, login_id: int) -> None:
        """Hold nothing for this login any more."""
        self._transaction.delete(LOGIN_ID.pack(login_id), db=self._databases.held)

    def pending_ids(self, limit: int | None = None) -> list[int]:
        """Return the ids of held logins, in order."""
        found: list[int] = []
        with self._transaction.cursor(db=self._databases.held) as cursor:
            for key in cursor.iternext(keys=True, values=False):
                if limit is not None and len(found) >= limit:
                    break
                found.append(LOGIN_ID.unpack(key)[0])
        return found

    def pending_count(self) -> int:
        """Return how many logins are held."""
        return int(self._transaction.stat(self._databases.held)["entries"])

    def cut_offs(self) -> dict[int, float]:
        """Return the logins whose access applied changes took, and when (the brake's window)."""
        with self._transaction.cursor(db=self._databases.cut_off) as cursor:
            return {LOGIN_ID.unpack(key)[0]: _INSTANT.unpack(data)[0] for key, data in cursor}

    def put_cut_off(self, login_id: int, at_s: float) -> None:
        """Count a login in the brake's window."""
        self._transaction.put(LOGIN_ID.pack(login_id), _INSTANT.pack(at_s), db=self._databases.cut_off)

    def delete_cut_off(self, login_id: int) -> None:
        """Take a login out of the brake's window."""
        self._transaction.delete(LOGIN_ID.pack(login_id), db=self._databases.cut_off)

    def problems(self) -> dict[int, bytes]:
        """Return the rows that cannot be served as they are, with the names they would have."""
        with self._transaction.cursor(db=self._databases.problem) as cursor:
            return {LOGIN_ID.unpack(key)[0]: data for key, data in cursor}

    def put_problem(self, login_id: int, name: bytes) -> None:
        """Note a row that cannot be served as it is."""
        self._transaction.put(LOGIN_ID.pack(login_id), name, db=self._databases.problem)

    def delete_problem(self, login_id: int) -> None:
        """Forget that a row could not be served."""
        self._transaction.delete(LOGIN_ID.pack(login_id), db=self._databases.problem)

    def problem_count(self) -> int:
        """Return how many rows cannot be served as they are."""
        return int(self._transaction.stat(self._databases.problem)["entries"])

    def put_leases(self, leases: Mapping[int, bytes]) -> None:
        """Replace these logins' bound leases; nothing: it has none."""
        pack = LOGIN_ID.pack
        with self._transaction.cursor(db=self._databases.lease) as cursor:
            cursor.putmulti([(pack(login_id), data) for login_id, data in leases.items() if data])
        for login_id, data in leases.items():
            if not data:
                self._transaction.delete(pack(login_id), db=self._databases.lease)

    def leases(self) -> Iterator[tuple[int, bytes]]:
        """Walk over all bound leases, in order of login ids."""
        with self._transaction.cursor(db=self._databases.lease) as cursor:
            for key, data in cursor:
                yield LOGIN_ID.unpack(key)[0], data

    def meta(self) -> ReplicaMeta:
        """Return what the generation holds."""
        return decode_meta(self._transaction.get(META_KEY, db=self._databases.meta))

    def put_meta(self, meta: ReplicaMeta) -> None:
        """Say what the generation holds."""
        self._transaction.put(META_KEY, msgspec.msgpack.encode(meta), db=self._databases.meta)

    def tables(self) -> Tables:
        """Return the small tables."""
        data = self._transaction.get(TABLES_KEY, db=self._databases.meta)
        if data is None:
            raise ReplicaError("the generation has no tables")
        return decode_tables(data)

    def put_tables(self, tables: Tables) -> None:
        """Replace the small tables; every reader sees that they changed by their generation."""
        self._transaction.put(TABLES_KEY, encode_tables(tables), db=self._databases.meta)
        self._put_mark(tables.generation, is_superseded=False)

    def supersede(self) -> None:
        """Tell every reader to move to the generation that `current` names."""
        mark = read_mark(self._transaction.get(MARK_KEY, db=self._databases.meta))
        self._put_mark(mark.tables_generation if mark else 0, is_superseded=True)

    def _put_mark(self, tables_generation: int, *, is_superseded: bool) -> None:
        data = _MARK.pack(STORE_VERSION, VERSION, tables_generation, is_superseded)
        self._transaction.put(MARK_KEY, data, db=self._databases.meta)


def _decode_source(data: bytes) -> Source:
    return Source(SOURCE.unpack_from(data)[0], data[SOURCE.size :])


def _decode_pending(data: bytes) -> Pending:
    try:
        digest, is_present, length = _PENDING.unpack_from(data)
    except StructError as error:
        raise ReplicaError("a held row is cut off") from error
    cut = _PENDING.size + length
    return Pending(digest, is_present, data[_PENDING.size : cut], data[cut:])
