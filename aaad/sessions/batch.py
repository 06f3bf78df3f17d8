"""What a batch of accounting records makes of net.session: rows that begin, rows that change, rows that go.

Pure.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec

from aaad.sessions.draft import Draft, Key, Owner, rounded
from aaad.sessions.fold import Folded, StoredLife, begun_at
from aaad.sessions.record import AccountingRecord
from aaad.sessions.summary import SessionFacts
from aaad.sessions.truth import Ending


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A row as it was read."""

    life: StoredLife
    kept: Ending | None  # what was thought of its end, if there was no Stop
    login_id: int | None
    has_grant: bool


Rows = dict[bytes, list[Stored]]  # by family


State = tuple[bytes, int, int]  # of a row: family, life, and a sum of all that a fold goes by


class Foreseen(NamedTuple):
    """What families come to by rows that were read a while ago."""

    server: str  # on which that was
    stored: Rows
    states: frozenset[State]  # of these rows
    owners: dict[bytes, Owner]  # of those that had no rows
    folds: dict[bytes, Folded]  # of all

    def without(self, families: Collection[bytes]) -> "Foreseen":
        """Leave some out."""
        if not families:
            return self
        return Foreseen(
            self.server,
            {family: rows for family, rows in self.stored.items() if family not in families},
            frozenset(state for state in self.states if state[0] not in families),
            {family: owner for family, owner in self.owners.items() if family not in families},
            {family: folded for family, folded in self.folds.items() if family not in families},
        )


NOTHING_FORESEEN = Foreseen("", {}, frozenset(), {}, {})


class Batch:
    """Rows of many families."""

    def __init__(self) -> None:
        """Nothing is in it yet."""
        self.new: list[Draft] = []
        self.known: list[Draft] = []
        self.removed: list[tuple[Key, int]] = []  # with the version that was read
        self.undone: set[float] = set()  # instants at which sessions were thought to have begun
        self.of_several: list[bytes] = []  # families that have several lives
        self.unowned: list[tuple[Draft, AccountingRecord]] = []  # whose owner is still to be found, by a record

    @property
    def begun(self) -> list[Draft]:
        """Sessions that begin, or of which a Class of ours is known only now."""
        return self.new + [draft for draft, _ in self.unowned if draft.version]

    def add(
        self,
        family: bytes,
        folded: Folded,
        rows: Sequence[Stored],
        records: Sequence[AccountingRecord],
        owner: Owner | None,
    ) -> None:
        """Take over what a family comes to; `owner` is that of a family which had no rows."""
        lives = folded.lives
        count = len(rows)
        for life in lives:
            draft = Draft(family, life)
            if not life.version:
                count += 1
                self.new.append(draft)
                if owner is not None and len(lives) == 1:
                    draft.owner = owner
                else:
                    self.unowned.append((draft, _spokesman(draft.facts, records)))
                continue
            self.known.append(draft)
            row = rows[0] if len(rows) == 1 else _row(rows, life.life)
            draft.login_id, draft.kept = row.login_id, row.kept
            if draft.is_redated:
                self.undone.add(draft.began_before_s)
            if not life.only_goes_on and not row.has_grant and draft.facts.grant_serial is not None:
                self.unowned.append((draft, _spokesman(draft.facts, records)))
        for gone in folded.removed:
            row = _row(rows, gone)
            self.removed.append(((family, gone), row.life.version))
            self.undone.add(rounded(begun_at(row.life)))
        if count > 1:
            self.of_several.append(family)


def _row(rows: Sequence[Stored], life: int) -> Stored:
    return next(row for row in rows if row.life.life == life)


def _spokesman(facts: SessionFacts, records: Sequence[AccountingRecord]) -> AccountingRecord:
    """Return a record that tells whose this life of its family is."""
    for record in records:
        grant = record.grant
        if (grant.serial if grant is not None else None) == facts.grant_serial:
            return record
    return records[-1]
