"""Accounting records become rows of net.session, within the transaction that moves the spool's cursor.

The rows of a batch's families are read, folded with its records (`fold.py`), given an owner and an end, and written
where they still are what was read: who finds that another drain was faster reads and folds again. So two drains never
wait for each other's fold, and no order in which they take rows can lock them out crosswise for longer than
PostgreSQL's lock_timeout. Restarts of routers and addresses granted by Accepts are kept beside, since they may come
before the sessions that they speak of.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from uuid import UUID

from aaad.clock import wall_s
from aaad.db.connection import Transaction, affected
from aaad.db.statements import load_statements
from aaad.errors import SpoolError, StoreError
from aaad.sessions.again import Again, Grant
from aaad.sessions.arrays import array, keys
from aaad.sessions.batch import Batch, Stored
from aaad.sessions.copying import COLUMNS, PROGRESS_COLUMNS, progress_rows, rows
from aaad.sessions.draft import Draft, Owner, seconds
from aaad.sessions.ends import note_ends, save_verdicts
from aaad.sessions.fold import Folded, StoredLife, fold, origin
from aaad.sessions.intake import Gathered
from aaad.sessions.owners import DEFAULT_TIME_ZONE, Owners
from aaad.sessions.record import AccountingRecord, Status
from aaad.sessions.truth import Ending, Restart, Router
from aaad.sessions.verdicts import Judge, Verdict
from aaad.spool.records import Granted

READ_AGAIN_MAX = 5  # tries of one batch against other drains
LIVE_KEPT_S = 3600.0  # an ended session stays in net.session at least so long: what is younger is not in history
RECALL_MARGIN_S = 600.0
RESTART_CLOSES_MAX = 5_000  # sessions closed in one batch by restarts
_LOOKED_AT_ONCE = 2_000
_FOLDED_AT_ONCE = 100  # families: others of this process go on in between

_SQL = load_statements(Path(__file__).with_name("sessions.sql"))
_RESTART_KINDS = {Status.ON: "on", Status.OFF: "off"}
_STOP = "stop"
_NO_LIVES: Sequence[StoredLife] = ()
_EXISTS = "23505"
_NO_TABLE = ("42P01", "3F000")  # nor a schema for temporary ones

Families = Mapping[bytes, Sequence[AccountingRecord]]
Rows = dict[bytes, list[Stored]]


class _ReadAgain(StoreError):  # noqa: N818  says what is to be done
    """A row is not what was read: another drain was faster."""


class UnreadableSessions(SpoolError):  # noqa: N818  reads as what it is
    """Rows of these families are damaged, or written by a newer program: nothing can be added to them here."""

    def __init__(self, families: Sequence[bytes], why: SpoolError) -> None:
        super().__init__(f"sessions that cannot be read: {why}")
        self.families = frozenset(families)


class Ledger:
    """Writes batches of accounting. Keeps nothing between them but what is dear to read again."""

    def __init__(self) -> None:
        """Nothing is read before the first batch."""
        self._owners = Owners()
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
            await self._fold(transaction, {family: families[family] for family in sorted(families)})
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
    def has_to_look(self) -> bool:
        """Whether there is anything to look at again."""
        return not self._again.is_empty

    async def find_held(self, transaction: Transaction, families: Sequence[bytes]) -> set[bytes]:
        """Return the families of which somebody else holds a row; locks all others."""
        wanted = keys(families)
        free = {(row[0], row[1]) for row in await transaction.fetch(_SQL.lock_free_sessions, wanted)}
        found = await transaction.fetch(_SQL.read_sessions, wanted)
        return {row[0] for row in found if (row[0], row[1]) not in free}

    async def _fold(self, transaction: Transaction, families: Families) -> None:
        for _ in range(READ_AGAIN_MAX):
            await transaction.execute("SAVEPOINT fold")
            try:
                return await self._fold_once(transaction, families)
            except _ReadAgain:
                await transaction.execute("ROLLBACK TO SAVEPOINT fold")
            except StoreError as error:
                if error.sqlstate not in _NO_TABLE:
                    raise
                await transaction.execute("ROLLBACK TO SAVEPOINT fold")
                for sql in (_SQL.make_changed, _SQL.make_going_on):  # this connection has none yet
                    await transaction.execute(sql)
        raise StoreError("sessions of this batch change all the time")

    async def _fold_once(self, transaction: Transaction, families: Families) -> None:
        stored = await self._read(transaction, families)
        batch = await self._draft(transaction, families, stored)
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

    async def _read(self, transaction: Transaction, families: Families) -> Rows:
        stored = await _read_rows(transaction, families)
        unknown = {family: records for family, records in families.items() if family not in stored}
        return stored | await self._recall(transaction, unknown)

    async def _recall(self, transaction: Transaction, families: Families) -> Rows:
        """Bring back from history what these records may be of, and return what is known then of their families."""
        since_s = wall_s() - LIVE_KEPT_S
        past: dict[bytes, float] = {}
        for family, records in families.items():
            for record in records:
                at_s, time_s = record.at_s, record.session_time_s
                began_s = at_s - time_s if time_s > 0 else at_s
                if began_s < since_s:
                    past[family] = min(began_s, past.get(family, began_s))
        if not past:
            return {}
        await transaction.execute(_SQL.recall_sessions, keys(past), min(past.values()) - RECALL_MARGIN_S)
        # Read also if nothing was brought back: another drain may have been faster.
        return await _read_rows(transaction, past)

    async def _draft(self, transaction: Transaction, families: Families, stored: Rows) -> Batch:
        strangers = [family for family in families if family not in stored]
        owners: dict[bytes, Owner] = {}
        if strangers:
            spokesmen = [families[family][0] for family in strangers]
            owners = dict(zip(strangers, await self._owners.find(transaction, spokesmen), strict=True))
        folds = await self._fold_all(transaction, families, stored, owners)
        # What belongs to nothing that lives may be of a session in history that had the same id.
        began = {family: folded.began for family, folded in folds.items() if folded.began and family in stored}
        recalled = await self._recall(transaction, began)
        if recalled:
            stored |= recalled
            folds |= await self._fold_all(
                transaction, {family: families[family] for family in recalled}, stored, owners
            )
        batch = Batch()
        for family, folded in folds.items():
            batch.add(family, folded, stored.get(family, ()), families[family], owners.get(family))
        if batch.unowned:
            found = await self._owners.find(transaction, [record for _, record in batch.unowned])
            for (draft, _), owner in zip(batch.unowned, found, strict=True):
                draft.owner = owner
                draft.login_id = owner.login_id
        for draft in batch.new:
            draft.login_id = draft.owner.login_id if draft.owner is not None else None
            draft.address_space = self._owners.address_space(draft.part.nas_id)
        return batch

    async def _fold_all(
        self, transaction: Transaction, families: Families, stored: Rows, owners: dict[bytes, Owner]
    ) -> dict[bytes, Folded]:
        """Fold each family. UnreadableSessions names all that cannot be."""
        folds: dict[bytes, Folded] = {}
        unreadable, why = [], SpoolError()
        for count, (family, records) in enumerate(families.items(), 1):
            if not count % _FOLDED_AT_ONCE:
                await asyncio.sleep(0)
            rows = stored.get(family)
            lives = [row.life for row in rows] if rows is not None else _NO_LIVES
            owner = owners.get(family)
            try:
                folded = fold(lives, records, owner.time_zone if owner is not None else DEFAULT_TIME_ZONE)
                strangers = folded.without_zone
                if strangers and (lives or len(strangers) > 1):
                    # A part begins beside others, which is rare: its days are days where its owner is.
                    found = await self._owners.find(transaction, strangers)
                    zones = {origin(each): whose.time_zone for each, whose in zip(strangers, found, strict=True)}
                    folded = fold(lives, records, DEFAULT_TIME_ZONE, zones)
                folds[family] = folded
            except SpoolError as error:
                unreadable.append(family)
                why = error
        if unreadable:
            raise UnreadableSessions(unreadable, why)
        return folds

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


async def _read_rows(transaction: Transaction, families: Iterable[bytes]) -> Rows:
    rows = await transaction.fetch(_SQL.read_sessions, keys(families))
    stored: Rows = {}
    for family, life, version, summary, ended_latest, evidence, login_id, serial in rows:
        kept = Ending(evidence, seconds(ended_latest)) if evidence is not None and evidence != _STOP else None
        row = Stored(StoredLife(life, version, summary), kept, login_id, serial is not None)
        if family in stored:
            stored[family].append(row)
        else:
            stored[family] = [row]
    return stored


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
