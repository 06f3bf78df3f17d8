"""Accounting records become rows of net.session, within the transaction that moves the spool's cursor.

The rows of a batch's families are read and folded with its records (`folding.py`), given an end, and written where
they still are what was read: who finds that another drain was faster reads and folds again. So two drains never wait
for each other's fold, and no order in which they take rows can lock them out crosswise for longer than PostgreSQL's
lock_timeout. Restarts of routers and addresses granted by Accepts are kept beside, since they may come before the
sessions that they speak of.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from uuid import UUID

from aaad.db.connection import Queries, Transaction, affected
from aaad.db.statements import load_statements
from aaad.errors import StoreError
from aaad.sessions.again import Again, Grant
from aaad.sessions.arrays import array, keys
from aaad.sessions.batch import Batch, Foreseen
from aaad.sessions.copying import COLUMNS, PROGRESS_COLUMNS, progress_rows, rows
from aaad.sessions.draft import Draft, seconds
from aaad.sessions.ends import note_ends, save_verdicts
from aaad.sessions.folding import Families, Folding
from aaad.sessions.intake import Gathered
from aaad.sessions.record import AccountingRecord, Status
from aaad.sessions.truth import Restart, Router
from aaad.sessions.verdicts import Judge, Verdict
from aaad.spool.records import Granted

READ_AGAIN_MAX = 5  # tries of one batch against other drains
RESTART_CLOSES_MAX = 5_000  # sessions closed in one batch by restarts
_LOOKED_AT_ONCE = 2_000

_SQL = load_statements(Path(__file__).with_name("sessions.sql"))
_RESTART_KINDS = {Status.ON: "on", Status.OFF: "off"}
_EXISTS = "23505"
_NO_TABLE = ("42P01", "3F000")  # nor a schema for temporary ones


class _ReadAgain(StoreError):  # noqa: N818  says what is to be done
    """A row is not what was read: another drain was faster."""


class Ledger:
    """Writes batches of accounting. Keeps nothing between them but what is dear to read again."""

    def __init__(self) -> None:
        """Nothing is read before the first batch."""
        self._folding = Folding()
        self._foreseeing = Folding()  # another connection's, which knows branches at another time
        self._again = Again()
        self.is_alone = False  # no other drain writes sessions: what a batch does not see is not there

    async def write(self, transaction: Transaction, gathered: Gathered) -> None:
        """Write a batch.

        StoreError, UnreadableSessions: nothing of it counts, and the transaction has to be rolled back.
        """
        families, restarts, grants = gathered.families, gathered.restarts, gathered.grants
        if grants:
            await transaction.execute(_SQL.add_granted, *_grant_columns(grants))
        if restarts:
            await transaction.execute(_SQL.add_restarts, *_restart_columns(restarts))
        if families:
            in_order = {family: families[family] for family in sorted(families)}
            await self._fold(transaction, in_order, gathered.foreseen)
        if grants:
            accepts = {(grant.node, grant.slot, grant.serial) for grant in grants}
            left = await _join_granted(transaction, accepts)
            self._again.add_grants(left if self.is_alone else accepts)
        if restarts:
            await _end_restarted(transaction, _restarts(restarts))
            self._again.add_restarts(_restarts(restarts))

    async def take_up(self, transaction: Transaction, since_s: float) -> None:
        """Look again at what restarted or was granted lately: who noted it may have died before all was done."""
        rows = await transaction.fetch(_SQL.load_restarts, since_s)
        self._again.add_restarts(Restart(Router(row[0], row[1], row[2]), row[3], seconds(row[4])) for row in rows)
        rows = await transaction.fetch(_SQL.load_granted, since_s)
        self._again.add_grants((row[0], row[1], row[2]) for row in rows)

    async def look_again(self, transaction: Transaction) -> None:
        """Judge what may not have been seen a while ago. To be called every second or so."""
        families, restarts, grants = self._again.take()
        try:
            for start in range(0, len(families), _LOOKED_AT_ONCE):
                judge = Judge(transaction, families=families[start : start + _LOOKED_AT_ONCE])
                await self._save_verdicts(transaction, await judge.judge_again())
            if restarts and not await _end_restarted(transaction, restarts):
                self._again.add_restarts(restarts)
            for start in range(0, len(grants), _LOOKED_AT_ONCE):
                self._again.add_grants(await _join_granted(transaction, grants[start : start + _LOOKED_AT_ONCE]))
        except StoreError:
            self._again.add_families(families)
            self._again.add_restarts(restarts)
            self._again.add_grants(grants)
            raise

    @property
    def is_astray(self) -> bool:
        """Whether what was foreseen of the last batch was of another server than the one it was written to."""
        return self._folding.is_astray

    @property
    def has_to_look(self) -> bool:
        """Whether there is anything to look at again."""
        return not self._again.is_empty

    async def find_held(self, transaction: Transaction, families: Sequence[bytes]) -> set[bytes]:
        """Return the families of which somebody else holds a row; locks all others."""
        wanted = keys(families)
        free = {(row[0], row[1]) for row in await transaction.fetch(_SQL.lock_free_sessions, wanted)}
        found = await transaction.fetch(_SQL.read_sessions, wanted)
        return {row[0] for row in found if (row[0], row[1]) not in free}

    async def foresee(self, queries: Queries, families: Families) -> Foreseen:
        """Return what most sessions of a batch come to that will be written later (`Folding.foresee`)."""
        return await self._foreseeing.foresee(queries, families)

    async def _fold(self, transaction: Transaction, families: Families, foreseen: Foreseen) -> None:
        for _ in range(READ_AGAIN_MAX):
            await transaction.execute("SAVEPOINT fold")
            try:
                return await self._fold_once(transaction, families, foreseen)
            except _ReadAgain:
                await transaction.execute("ROLLBACK TO SAVEPOINT fold")
            except StoreError as error:
                if error.sqlstate not in _NO_TABLE:
                    raise
                await transaction.execute("ROLLBACK TO SAVEPOINT fold")
                for sql in (_SQL.make_changed, _SQL.make_going_on):  # this connection has none yet
                    await transaction.execute(sql)
        raise StoreError("sessions of this batch change all the time")

    async def _fold_once(self, transaction: Transaction, families: Families, foreseen: Foreseen) -> None:
        batch = await self._folding.draft(transaction, families, foreseen)
        await self._find_granted(transaction, batch)
        judge = Judge(
            transaction,
            batch.new,
            batch.known,
            families=batch.of_several,
            gone=[key for key, _ in batch.removed],
            undone=batch.undone,
        )
        verdicts = await judge.judge()
        await self._save(transaction, batch)
        await note_ends(transaction, [draft.family for draft in batch.new + batch.known if draft.has_ended])
        await self._save_verdicts(transaction, verdicts)
        if not self.is_alone:
            self._again.add_families(draft.family for draft in batch.new)
            self._again.add_grants(grant for draft in batch.begun if (grant := _grant(draft)) is not None)

    async def _find_granted(self, transaction: Transaction, batch: Batch) -> None:
        """Addresses of the Accepts of sessions that begin: accounting may leave them out (rule R9.1)."""
        wanted: dict[Grant, list[Draft]] = {}
        for draft in batch.begun:
            grant = _grant(draft)
            if grant is not None:
                wanted.setdefault(grant, []).append(draft)
        if wanted:
            for row in await transaction.fetch(_SQL.find_granted, *map(array, zip(*wanted, strict=True))):
                for draft in wanted[row[0], row[1], row[2]]:
                    draft.granted = (row[3], row[4], row[5])

    async def _save(self, transaction: Transaction, batch: Batch) -> None:
        if batch.removed:
            columns = zip(*[(key[0].hex(), key[1], version) for key, version in batch.removed], strict=True)
            await _execute(transaction, _SQL.remove_sessions, columns, len(batch.removed))
        if batch.new:
            await self._insert(transaction, batch.new)
        going_on = [draft for draft in batch.known if draft.only_goes_on]
        if going_on:
            await transaction.copy("session_going_on", PROGRESS_COLUMNS, progress_rows(going_on), schema="pg_temp")
            await _execute(transaction, _SQL.update_going_on, (), len(going_on))
        changed = [draft for draft in batch.known if not draft.only_goes_on]
        if changed:
            await transaction.copy("session_changed", COLUMNS, rows(changed), schema="pg_temp")
            await _execute(transaction, _SQL.update_changed, (), len(changed))

    async def _insert(self, transaction: Transaction, drafts: Sequence[Draft]) -> None:
        try:
            await transaction.copy("session", COLUMNS, rows(drafts), schema="net")
        except StoreError as error:
            if error.sqlstate == _EXISTS:
                raise _ReadAgain("another drain began a session meanwhile") from error
            raise

    async def _save_verdicts(self, transaction: Transaction, verdicts: Sequence[Verdict]) -> None:
        self._again.add_families(await save_verdicts(transaction, verdicts))


async def _end_restarted(transaction: Transaction, restarts: Sequence[Restart]) -> bool:
    """End what these restarts have ended; whether nothing is left to be done."""
    columns = list(zip(*[(*restart.router, *restart[1:]) for restart in set(restarts)], strict=True))
    await transaction.execute(_SQL.prefer_hashes)
    rows = await transaction.fetch(_SQL.find_restarted, *columns, RESTART_CLOSES_MAX)
    await transaction.execute(_SQL.prefer_keys)
    if not rows:
        return True
    await note_ends(transaction, [UUID(row[0]).bytes for row in rows])
    done = affected(await transaction.execute(_SQL.close_restarted, *zip(*rows, strict=True)))
    return done == len(rows) < RESTART_CLOSES_MAX


async def _join_granted(transaction: Transaction, grants: Collection[Grant]) -> list[Grant]:
    """Give sessions the addresses that their Accepts granted; returns the grants of those that somebody holds."""
    rows = await transaction.fetch(_SQL.join_granted, *map(array, zip(*sorted(grants), strict=True)))
    return [(row[0], row[1], row[2]) for row in rows]


def _grant(draft: Draft) -> Grant | None:
    facts = draft.facts
    node, slot, serial = facts.grant_node, facts.grant_slot, facts.grant_serial
    if node is None or slot is None or serial is None:
        return None
    return node, slot, serial


async def _execute(transaction: Transaction, sql: str, columns: Iterable[object], count: int) -> None:
    if affected(await transaction.execute(sql, *columns)) != count:
        raise _ReadAgain("another drain changed a session meanwhile")


def _grant_columns(grants: Sequence[Granted]) -> Iterable[Sequence[object]]:
    return zip(
        *[
            (
                grant.node,
                grant.slot,
                grant.serial,
                grant.login_id,
                grant.at_s,
                grant.ipv4,
                grant.ipv6_prefix,
                grant.delegated_ipv6_prefix,
            )
            for grant in grants
        ],
        strict=True,
    )


def _restart_columns(restarts: Sequence[AccountingRecord]) -> list[Sequence[object]]:
    rows = {
        (
            record.nas_id,
            record.source_address,
            record.nas_identifier,
            record.called_station_id,
            record.at_s,
            _RESTART_KINDS[record.status],
        )
        for record in restarts
    }
    return list(zip(*sorted(rows), strict=True))


def _restarts(records: Sequence[AccountingRecord]) -> list[Restart]:
    return [
        Restart(
            Router(record.nas_id, record.source_address, record.nas_identifier),
            record.called_station_id,
            record.at_s,
        )
        for record in records
    ]
