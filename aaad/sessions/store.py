"""The drain's statements: cursor and rows in one transaction, so that each record counts exactly once (rule R6.1).

A transaction takes its rows in one order everywhere: cursor, routers, servers, refusals, logins. The one that moves
a cursor never touches the ERP's rows and never waits long for anybody's: what would make it wait is deferred, that
is, kept in net.spool_deferred with the cursor's move, and applied later by itself (aaad/sessions/settle.py).
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from aaad.clock import monotonic_s, wall_s
from aaad.db.connection import Database, Row, Transaction, affected
from aaad.db.statements import load_statements
from aaad.errors import StoreError
from aaad.log import get_logger
from aaad.sessions.addresses import Told, Written, write_bound
from aaad.sessions.bound import key_of
from aaad.sessions.changes import BINDING_KINDS, SAMPLE_MAX, Changes, RouterKey, fold
from aaad.sessions.entries import Entry
from aaad.sessions.folding import UnreadableSessions
from aaad.sessions.heard import HeardRouters
from aaad.sessions.intake import Gathered, Intake
from aaad.sessions.ledger import Ledger
from aaad.sessions.record import AccountingRecord
from aaad.spool.handoff import Handoff
from aaad.spool.records import AddressBound
from aaad.spool.segment import Cut, Position

_SQL = load_statements(Path(__file__).with_name("queries.sql"))
_SESSIONS_SQL = load_statements(Path(__file__).with_name("sessions.sql"))
_BIND = dict(zip(BINDING_KINDS, (_SQL.bind_macs, _SQL.bind_nases, _SQL.bind_ports, _SQL.bind_circuits), strict=True))
_SAMPLE_SEPARATOR = "\x1f"

# Twice what a batch takes: PostgreSQL is in trouble, and the next batch had better have its turn. A statement that is
# under way then, or the ROLLBACK, may take its own time besides.
FORESEE_S = 1.5
FORESEE_STATEMENT_S = 1.0  # of connecting, too: below it, so that the next host gets its turn
FORESEE_AGAIN_S = 10.0  # after it took too long, or failed
LOCK_WAIT_MS = 200  # a writer that hands over waits a second in all
SETTLE_STATEMENT_MS = 1000  # what a trigger of the ERP may take: meanwhile nothing is drained
LOOKED_BACK_S = 172_800.0  # as long as drained segments are kept: what was read late is noted with its own time
DEFERRED_MAX = 100_000  # of one node; beyond it batches wait in the spool
_LOCKED = "55P03"
_TOLD_MAX = 5  # families in the log
# Classes of SQLSTATE that speak of the record: its data, integrity, a program's limits, what a trigger raises.
_REFUSING_CLASSES = ("22", "23", "44", "54", "P0")
# Those that speak of PostgreSQL's own state and pass: connection, transaction, rollback, resources, locks and other
# preconditions, operators, the system, internal. All others, as a missing column or right, speak of the schema: it is
# waited for somebody to mend it, unless a trigger says so of one record.
_PASSING_CLASSES = ("08", "25", "40", "53", "55", "57", "58", "XX")

_log = get_logger("drain")


class Skipped(NamedTuple):
    """Rows of a committed batch that found nothing to belong to, records put off for a later try, and addresses."""

    routers: int = 0
    refused_names: int = 0
    deferred: int = 0  # because of what others do; records that are always deferred are not counted
    addresses: Sequence[Told] = ()  # what the ledger made of each that was given out


class Deferred(NamedTuple):
    """One record in net.spool_deferred."""

    id: int
    record: bytes


class CursorLost(StoreError):  # noqa: N818  says what happened
    """The cursor, or what counts behind it, is not what this batch was read by: read again from there."""


def is_refused(error: StoreError) -> bool:
    """Return whether PostgreSQL refused what it was given, and would refuse it again."""
    sqlstate = str(error.sqlstate or "")
    if sqlstate.startswith(_REFUSING_CLASSES):
        return True
    return bool(sqlstate and error.within) and not sqlstate.startswith(_PASSING_CLASSES)


class DrainStore:
    """The drain's view of PostgreSQL."""

    def __init__(self, database: Database, *, node: str, foreseeing: Database | None = None) -> None:
        """`foreseeing`: another connection, to look over at what the next batch will meet; None: that is not done."""
        self._database = database
        self._foreseeing = foreseeing
        self._foresees_at_s = 0.0
        self._node = node
        self._ledger = Ledger()
        self._heard = HeardRouters()

    async def load_cursor(self, spool_id: UUID, slot: str) -> Position:
        """Return where this spool is drained to; a new spool gets its cursor here."""
        await self._database.execute(_SQL.make_cursor, spool_id, self._node, slot)
        row = await self._database.fetchrow(_SQL.find_cursor, spool_id)
        if row is None:
            raise StoreError("the cursor vanished while it was read")
        return Position(row[0], row[1])

    async def load_cursors(self, spool_ids: Sequence[UUID]) -> dict[UUID, Position]:
        """Return the cursors of these spools."""
        rows = await self._database.fetch(_SQL.load_cursors, spool_ids)
        return {row[0]: Position(row[1], row[2]) for row in rows}

    async def flush_cursors(self, spool_ids: Sequence[UUID]) -> dict[UUID, Position]:
        """Return the cursors of these spools once they are on PostgreSQL's disk, with all that they stand for.

        Batches are committed without waiting for that disk; this commit waits, for itself and all before it.
        """
        rows = await self._database.fetch(_SQL.touch_cursors, spool_ids)
        return {row[0]: Position(row[1], row[2]) for row in rows}

    async def load_cuts(self, spool_id: UUID) -> list[Cut]:
        """Return behind what handed-over batches made a spool's own octets void."""
        return [_cut(row) for row in await self._database.fetch(_SQL.load_cuts, spool_id)]

    async def apply(
        self,
        spool_id: UUID,
        before: Position,
        after: Position,
        *,
        cuts: Sequence[Cut],
        intake: Intake,
        unread: Sequence[bytes] = (),
    ) -> Skipped:
        """Apply or defer the records and move the cursor, or neither. CursorLost if somebody was here meanwhile.

        What is unread, because this program stumbles over it, is deferred as it is.
        """
        async with self._database.transaction("read_committed") as transaction:
            await transaction.execute(_SQL.commit_lazily)
            moved = await transaction.execute(_SQL.move_cursor, spool_id, *before, *after)
            if affected(moved) != 1:
                raise CursorLost("the cursor is not where this batch began")
            # Asked for under the cursor's lock: a batch may have been handed over since this one was read.
            if [_cut(row) for row in await transaction.fetch(_SQL.load_cuts, spool_id)] != list(cuts):
                raise CursorLost("a batch was handed over meanwhile")
            skipped = await self._take(transaction, intake, unread, defers_refused=False)
        self._heard.merge(intake.heard)
        return skipped

    async def foresee(self, intake: Intake, *, under_way: Intake) -> None:
        """Note with a batch what its sessions come to, but for those that the batch under way changes, too.

        StoreError, TimeoutError: nothing is noted, nor with the batches of the next seconds.
        """
        gathered, changing = intake.gathered, under_way.gathered.families
        families = {family: records for family, records in gathered.families.items() if family not in changing}
        now_s = monotonic_s()
        if self._foreseeing is None or not families or now_s < self._foresees_at_s:
            return
        self._foresees_at_s = now_s + FORESEE_AGAIN_S  # if this fails, however it does
        if self._ledger.is_astray:  # after a failover the connection may be to a server that nobody writes to
            await self._foreseeing.close()
        async with asyncio.timeout(FORESEE_S), self._foreseeing.transaction("read_committed", readonly=True) as look:
            await look.execute(_SQL.limit_waits, str(LOCK_WAIT_MS))
            gathered.foreseen = await self._ledger.foresee(look, families)
        self._foresees_at_s = 0.0

    async def apply_handoff(self, handoff: Handoff, intake: Intake, unread: Sequence[bytes] = ()) -> Skipped | None:
        """Apply or defer a batch that its writer could not put on disk; None if that was done before."""
        async with self._database.transaction("read_committed") as transaction:
            await transaction.execute(_SQL.commit_for_good)
            if handoff.spool_id != handoff.life:  # else its spool could not even be opened: there is no cursor
                await transaction.execute(_SQL.make_cursor, handoff.spool_id, self._node, handoff.slot)
                row = await transaction.fetchrow(_SQL.lock_cursor, handoff.spool_id)
                if row is None or Position(row[0], row[1]) > handoff.cut.position:
                    # Its writer is dead, and what it wrote may have been drained from the disk after all.
                    raise CursorLost("the spool is drained beyond this batch")
            noted = await transaction.execute(
                _SQL.note_handoff,
                handoff.spool_id,
                handoff.life,
                handoff.number,
                handoff.segment,
                handoff.offset,
                handoff.last_segment,
            )
            if affected(noted) == 0:
                row = await transaction.fetchrow(_SQL.find_handoff, handoff.spool_id, handoff.life)
                if row is None or row[0] != handoff.number:
                    raise CursorLost("a later batch of this writer came first")
                return None
            return await self._take(transaction, intake, unread, defers_refused=True)

    async def load_deferred(self, after: int, limit: int) -> list[Deferred]:
        """Return the next records of this node that were deferred."""
        rows = await self._database.fetch(_SQL.load_deferred, self._node, after, limit)
        return [Deferred(row[0], row[1]) for row in rows]

    async def settle(self, ids: Sequence[int], entries: Sequence[Entry]) -> Skipped:
        """Apply deferred records and delete them, or neither. CursorLost if somebody was here meanwhile.

        Those of sessions that somebody still holds stay, and nobody waits for him.
        """
        async with self._database.transaction("read_committed") as transaction:
            await transaction.execute(_SQL.limit_waits, str(LOCK_WAIT_MS))
            await transaction.execute(_SQL.limit_statements, str(SETTLE_STATEMENT_MS))
            held = await self._find_held(transaction, entries)
            addresses = await write_bound(transaction, _bindings(entries))
            free = [
                (id_, entry)
                for id_, entry in zip(ids, entries, strict=True)
                if _family(entry) not in held and not _is_held(entry, addresses)
            ]
            if affected(await transaction.execute(_SQL.delete_deferred, [id_ for id_, _ in free])) != len(free):
                raise CursorLost("deferred records were settled by somebody else")
            intake = Intake(entry for _, entry in free)
            skipped = await self._write(transaction, intake.now + intake.of_erp)
            if intake.of_sessions:
                await self._ledger.write(transaction, intake.gathered)
            return skipped._replace(addresses=addresses.told)

    async def drop_deferred(self, deferred: Deferred) -> None:
        """Give up a record that PostgreSQL refuses."""
        await self._database.execute(_SQL.delete_deferred, [deferred.id])

    async def forget_handoffs(self, older_than_s: float) -> None:
        """Forget lives of writers that handed over long ago."""
        await self._database.execute(_SQL.forget_handoffs, older_than_s)

    async def save_watermark(self, *, at_s: float, undrained: int) -> None:
        """Publish how far this node is drained (rule R5.3)."""
        await self._database.execute(_SQL.save_watermark, self._node, at_s, undrained)

    async def begin_looking(self) -> None:
        """Take up what this node, or another, may have left undone when it died."""
        async with self._database.transaction("read_committed") as transaction:
            await self._ledger.take_up(transaction, wall_s() - LOOKED_BACK_S)

    async def look_again(self) -> None:
        """Judge sessions once more that may not have been seen together, or that somebody held."""
        row = await self._database.fetchrow(_SESSIONS_SQL.is_alone, self._node)
        self._ledger.is_alone = row is not None and row[0]
        if not self._ledger.has_to_look:
            return
        async with self._database.transaction("read_committed") as transaction:
            await transaction.execute(_SQL.limit_waits, str(LOCK_WAIT_MS))
            await transaction.execute(_SQL.commit_lazily)
            await self._ledger.look_again(transaction)

    async def note_routers(self) -> None:
        """Publish up to when accounting of each router is drained (rule R5.3); waits for nobody."""
        heard = self._heard.take()
        if heard:
            await self._database.execute(_SESSIONS_SQL.note_routers, *zip(*heard, strict=True))

    async def _take(
        self, transaction: Transaction, intake: Intake, unread: Sequence[bytes], *, defers_refused: bool
    ) -> Skipped:
        """Write what can be written now and defer the rest.

        A savepoint for each, so that what holds up a router's row holds up neither addresses nor sessions.
        """
        await transaction.execute(_SQL.limit_waits, str(LOCK_WAIT_MS))
        skipped = Skipped()
        later: list[Entry] = []
        await transaction.execute("SAVEPOINT rows")
        try:
            skipped = await self._write(transaction, intake.now)
        except StoreError as error:
            if not _is_deferred(error, defers_refused):
                raise
            await transaction.execute("ROLLBACK TO SAVEPOINT rows")
            later = intake.now
        told: Sequence[Told] = ()
        if intake.of_ledger:
            told, held = await self._take_addresses(transaction, intake.of_ledger, defers_refused=defers_refused)
            later = later + held
        if intake.of_sessions:
            later = later + await self._take_sessions(transaction, intake, defers_refused=defers_refused)
        skipped = skipped._replace(deferred=len(later) + len(unread), addresses=told)
        await self._defer(transaction, [*unread, *(entry.payload for entry in later + intake.of_erp)])
        return skipped

    async def _take_addresses(
        self, transaction: Transaction, entries: list[Entry], *, defers_refused: bool
    ) -> tuple[Sequence[Told], list[Entry]]:
        """Write addresses; returns also the records to be deferred."""
        await transaction.execute("SAVEPOINT addresses")
        try:
            written = await write_bound(transaction, _bindings(entries))
        except StoreError as error:
            if not _is_deferred(error, defers_refused):
                raise
            await transaction.execute("ROLLBACK TO SAVEPOINT addresses")
            return (), entries
        return written.told, [entry for entry in entries if _is_held(entry, written)]

    async def _defer(self, transaction: Transaction, payloads: Sequence[bytes]) -> None:
        if payloads:
            done = await transaction.execute(_SQL.defer, self._node, payloads, DEFERRED_MAX)
            if affected(done) != len(payloads):
                raise StoreError(f"{DEFERRED_MAX} deferred records wait already")

    async def _take_sessions(self, transaction: Transaction, intake: Intake, *, defers_refused: bool) -> list[Entry]:
        """Write sessions, and return what has to wait: what concerns rows that somebody holds, or cannot be read."""
        entries, gathered = intake.of_sessions, intake.gathered
        later: list[Entry] = []
        was_locked = False
        await transaction.execute("SAVEPOINT sessions")
        while entries:
            try:
                await self._ledger.write(transaction, gathered)
            except UnreadableSessions as error:
                await transaction.execute("ROLLBACK TO SAVEPOINT sessions")
                families = [str(UUID(bytes=family)) for family in sorted(error.families)]
                _log.error("drain.sessions_unreadable", families=families[:_TOLD_MAX], error=str(error))
                later += [entry for entry in entries if _family(entry) in error.families]
                entries = [entry for entry in entries if _family(entry) not in error.families]
            except StoreError as error:
                if not _is_deferred(error, defers_refused):
                    raise
                await transaction.execute("ROLLBACK TO SAVEPOINT sessions")
                is_locked = error.sqlstate == _LOCKED and not was_locked
                was_locked = True
                held = await self._find_held(transaction, entries) if is_locked else set()
                if not held:
                    return later + entries
                later += [entry for entry in entries if _family(entry) in held]
                entries = [entry for entry in entries if _family(entry) not in held]
            else:
                break
            gathered = Gathered(entry.content for entry in entries)
        return later

    async def _find_held(self, transaction: Transaction, entries: Sequence[Entry]) -> set[bytes]:
        families = sorted({family for entry in entries if (family := _family(entry))})
        return await self._ledger.find_held(transaction, families) if families else set()

    async def _write(self, transaction: Transaction, entries: Sequence[Entry]) -> Skipped:
        changes = fold(entry.content for entry in entries if not isinstance(entry.content, AccountingRecord))
        routers = names = 0
        if changes.seen:
            done = await transaction.execute(_SQL.upsert_routers, *_seen_columns(changes))
            routers = len(changes.seen) - affected(done)
        if changes.servers:
            await transaction.execute(_SQL.upsert_servers, self._node, *_server_columns(changes))
        if changes.armed:
            await transaction.execute(_SQL.arm_routers, *_router_columns(changes.armed))
        if changes.refused_logins:
            refused = sorted(changes.refused_logins.items())
            columns = [[key[place] for key, _ in refused] for place in range(3)]
            await transaction.execute(_SQL.add_refusals, *columns, [count for _, count in refused])
        if changes.refused_names:
            done = await transaction.execute(_SQL.add_refusals_unknown, *_name_columns(changes), SAMPLE_MAX)
            names = len(changes.refused_names) - affected(done)
        if changes.bindings:
            await transaction.execute(_SQL.mark_learned)
        for kind in BINDING_KINDS:
            bindings = sorted((key[1], value) for key, value in changes.bindings.items() if key[0] == kind)
            if bindings:
                login_ids, values = [login_id for login_id, _ in bindings], [value for _, value in bindings]
                await transaction.execute(_BIND[kind], login_ids, values)
        return Skipped(routers, names)


def _cut(row: Row) -> Cut:
    return Cut(UUID(str(row["life"])), Position(row["segment"], row["position"]), row["last_segment"])


def _bindings(entries: Sequence[Entry]) -> list[AddressBound]:
    return [entry.content for entry in entries if isinstance(entry.content, AddressBound)]


def _is_held(entry: Entry, written: Written) -> bool:
    return isinstance(entry.content, AddressBound) and key_of(entry.content) in written.held


def _is_deferred(error: StoreError, defers_refused: bool) -> bool:
    return error.sqlstate == _LOCKED or (defers_refused and is_refused(error))


def _family(entry: Entry) -> bytes:
    return entry.content.family if isinstance(entry.content, AccountingRecord) else b""


def _router_columns(routers: Mapping[RouterKey, float]) -> tuple[list[object], ...]:
    ordered = sorted(routers.items())
    keys = [key for key, _ in ordered]
    return ([key[0] for key in keys], [key[1] for key in keys], [key[2] for key in keys], [at for _, at in ordered])


def _seen_columns(changes: Changes) -> tuple[list[object], ...]:
    proven = [changes.proven.get(key, (0.0, b"")) for key in sorted(changes.seen)]
    return (*_router_columns(changes.seen), [fingerprint for _, fingerprint in proven], [at for at, _ in proven])


def _server_columns(changes: Changes) -> tuple[list[object], ...]:
    ordered = sorted(changes.servers.items())
    routers = [router for (router, _), _ in ordered]
    return (
        [router[0] for router in routers],
        [router[1] for router in routers],
        [router[2] for router in routers],
        [local_address for (_, local_address), _ in ordered],
        [at for _, at in ordered],
    )


def _name_columns(changes: Changes) -> tuple[list[object], ...]:
    ordered = sorted(changes.refused_names.items(), key=lambda item: item[0])
    routers = [router for (router, _, _), _ in ordered]
    return (
        [router[0] for router in routers],
        [router[1] for router in routers],
        [router[2] for router in routers],
        [reason for (_, reason, _), _ in ordered],
        [minute for (_, _, minute), _ in ordered],
        [count for _, (count, _) in ordered],
        [_SAMPLE_SEPARATOR.join(sorted(sample)) for _, (_, sample) in ordered],
    )
