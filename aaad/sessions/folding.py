"""What a batch's records come to: their families' rows are read, owners of new sessions found, the records folded.

It is done in the batch's turn, within its transaction. Of a backlog it was done before, while PostgreSQL took the
batch before it (`foresee`), over another connection; then what has changed since is done again, and nothing else.
Writes nothing but sessions that history gives back.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from aaad.clock import wall_s
from aaad.db.connection import Queries, Row
from aaad.db.statements import load_statements
from aaad.errors import SpoolError
from aaad.sessions.arrays import keys
from aaad.sessions.batch import NOTHING_FORESEEN, Batch, Foreseen, Rows, State, Stored
from aaad.sessions.draft import Owner, seconds
from aaad.sessions.fold import Folded, StoredLife, fold, origin
from aaad.sessions.owners import DEFAULT_TIME_ZONE, Owners
from aaad.sessions.record import AccountingRecord
from aaad.sessions.truth import Ending

LIVE_KEPT_S = 3600.0  # an ended session stays in net.session at least so long: what is younger is not in history
RECALL_MARGIN_S = 600.0
_FOLDED_AT_ONCE = 100  # families: others of this process go on in between
_STOP = "stop"
_NO_LIVES: Sequence[StoredLife] = ()

_SQL = load_statements(Path(__file__).with_name("sessions.sql"))

Families = Mapping[bytes, Sequence[AccountingRecord]]


class UnreadableSessions(SpoolError):  # noqa: N818  reads as what it is
    """Rows of these families are damaged, or written by a newer program: nothing can be added to them here."""

    def __init__(self, families: Sequence[bytes], why: SpoolError) -> None:
        super().__init__(f"sessions that cannot be read: {why}")
        self.families = frozenset(families)


class Folding:
    """Folds batches, one after the other. Keeps nothing between them but what is dear to read again."""

    def __init__(self) -> None:
        """Nothing is read before the first batch."""
        self._owners = Owners()
        self.is_astray = False  # what was foreseen last was of another server

    async def foresee(self, queries: Queries, families: Families) -> Foreseen:
        """Return what most of these come to by the rows as they are now; history is not asked.

        Of the others all is left to the batch's turn: who is not known yet may be known by then, and lives in several
        zones ask for owners, too; what cannot be read is told then.
        """
        server = await _server(queries)
        stored, states = await _foresee_rows(queries, families)
        owners = await self._find_owners(queries, [family for family in families if family not in stored], families)
        unknown = {family for family, owner in owners.items() if owner.client_id is None}
        folds, asking, unreadable, _ = await _fold_each(
            {family: records for family, records in families.items() if family not in unknown}, stored, owners
        )
        return Foreseen(server, stored, states, owners, folds).without(unknown | asking.keys() | set(unreadable))

    async def draft(self, queries: Queries, families: Families, foreseen: Foreseen = NOTHING_FORESEEN) -> Batch:
        """Return the rows that these change. UnreadableSessions names all whose rows cannot be read."""
        same = await self._still_so(queries, foreseen) if foreseen.folds else foreseen
        stored = same.stored | await _read_rows(queries, [family for family in families if family not in same.folds])
        absent = {family: records for family, records in families.items() if family not in stored}
        recalled = await self._recall(queries, absent)
        stored |= recalled
        if recalled:
            same = same.without(recalled)
        begin = [family for family in absent if family not in recalled and family not in same.owners]
        owners = same.owners | await self._find_owners(queries, begin, families)
        rest = {family: records for family, records in families.items() if family not in same.folds}
        folds = same.folds | await self._fold_all(queries, rest, stored, owners)
        # What belongs to nothing that lives may be of a session in history that had the same id.
        began = {family: folded.began for family, folded in folds.items() if folded.began and family in stored}
        late = await self._recall(queries, began)
        if late:
            stored |= late
            folds |= await self._fold_all(queries, {family: families[family] for family in late}, stored, owners)
        batch = Batch()
        for family, records in families.items():
            batch.add(family, folds[family], stored.get(family, ()), records, owners.get(family))
        await self._own(queries, batch)
        return batch

    async def _still_so(self, queries: Queries, foreseen: Foreseen) -> Foreseen:
        """Return what was foreseen by rows that are as they were, with no other beside them."""
        self.is_astray = foreseen.server != await _server(queries)
        return NOTHING_FORESEEN if self.is_astray else await _unchanged(queries, foreseen)

    async def _find_owners(self, queries: Queries, begin: Sequence[bytes], families: Families) -> dict[bytes, Owner]:
        if not begin:
            return {}
        spokesmen = [families[family][0] for family in begin]
        return dict(zip(begin, await self._owners.find(queries, spokesmen), strict=True))

    async def _own(self, queries: Queries, batch: Batch) -> None:
        """Note whose the sessions that begin are, and in which address space."""
        if batch.unowned:
            found = await self._owners.find(queries, [record for _, record in batch.unowned])
            for (draft, _), owner in zip(batch.unowned, found, strict=True):
                draft.owner = owner
                draft.login_id = owner.login_id
        if batch.new:
            await self._owners.know(queries, {draft.part.nas_id for draft in batch.new})
        for draft in batch.new:
            draft.login_id = draft.owner.login_id if draft.owner is not None else None
            draft.address_space = self._owners.address_space(draft.part.nas_id)

    async def _recall(self, queries: Queries, families: Families) -> Rows:
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
        await queries.execute(_SQL.recall_sessions, keys(past), min(past.values()) - RECALL_MARGIN_S)
        # Read also if nothing was brought back: another drain may have been faster.
        return await _read_rows(queries, past)

    async def _fold_all(
        self, queries: Queries, families: Families, stored: Rows, owners: Mapping[bytes, Owner]
    ) -> dict[bytes, Folded]:
        """Fold each family. UnreadableSessions names all that cannot be."""
        folds, asking, unreadable, why = await _fold_each(families, stored, owners)
        if unreadable:
            raise UnreadableSessions(unreadable, why)
        for family, strangers in asking.items():
            found = await self._owners.find(queries, strangers)
            zones = {origin(each): whose.time_zone for each, whose in zip(strangers, found, strict=True)}
            folds[family] = fold(_lives(stored.get(family)), families[family], DEFAULT_TIME_ZONE, zones)
        return folds


class _Folds(NamedTuple):
    folds: dict[bytes, Folded]
    # Parts that begin beside others, which is rare: their days are days where these records' owners are.
    asking: dict[bytes, Sequence[AccountingRecord]]
    unreadable: list[bytes]
    why: SpoolError


async def _fold_each(families: Families, stored: Rows, owners: Mapping[bytes, Owner]) -> _Folds:
    """Fold each family, letting others go on in between."""
    folds: dict[bytes, Folded] = {}
    asking: dict[bytes, Sequence[AccountingRecord]] = {}
    unreadable, why = [], SpoolError()
    for count, (family, records) in enumerate(families.items(), 1):
        if not count % _FOLDED_AT_ONCE:
            await asyncio.sleep(0)
        lives = _lives(stored.get(family))
        owner = owners.get(family)
        try:
            folded = fold(lives, records, owner.time_zone if owner is not None else DEFAULT_TIME_ZONE)
        except SpoolError as error:
            unreadable.append(family)
            why = error
            continue
        folds[family] = folded
        strangers = folded.without_zone
        if strangers and (lives or len(strangers) > 1):
            asking[family] = strangers
    return _Folds(folds, asking, unreadable, why)


def _lives(rows: Sequence[Stored] | None) -> Sequence[StoredLife]:
    return [row.life for row in rows] if rows is not None else _NO_LIVES


async def _server(queries: Queries) -> str:
    row = await queries.fetchrow(_SQL.find_server)
    assert row is not None
    return str(row[0])


async def _unchanged(queries: Queries, foreseen: Foreseen) -> Foreseen:
    found = {(row[0], row[1], row[2]) for row in await queries.fetch(_SQL.find_states, keys(foreseen.folds))}
    changed = {family for family, _, _ in found ^ foreseen.states}
    return foreseen.without(changed) if changed else foreseen


async def _read_rows(queries: Queries, families: Collection[bytes]) -> Rows:
    return _sorted(await queries.fetch(_SQL.read_sessions, keys(families))) if families else {}


async def _foresee_rows(queries: Queries, families: Collection[bytes]) -> tuple[Rows, frozenset[State]]:
    rows = await queries.fetch(_SQL.foresee_sessions, keys(families))
    return _sorted(rows), frozenset((row[0], row[1], row[8]) for row in rows)


def _sorted(rows: Iterable[Row]) -> Rows:
    """Put rows to their families'."""
    stored: Rows = {}
    for row in rows:
        family, evidence = row[0], row[5]
        kept = Ending(evidence, seconds(row[4])) if evidence is not None and evidence != _STOP else None
        known = Stored(StoredLife(row[1], row[2], row[3]), kept, row[6], row[7] is not None)
        if family in stored:
            stored[family].append(known)
        else:
            stored[family] = [known]
    return stored
