"""What a batch of accounting records makes of net.session: rows that begin, rows that change, rows that go.

Pure.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aaad.sessions.draft import Draft, Key, Owner, rounded
from aaad.sessions.fold import Folded, StoredLife
from aaad.sessions.record import AccountingRecord
from aaad.sessions.summary import SessionFacts
from aaad.sessions.truth import Ending


class Stored(NamedTuple):
    """A row as it was read."""

    life: StoredLife
    started_at_s: float
    kept: Ending | None  # what was thought of its end, if there was no Stop
    login_id: int | None
    has_grant: bool


class Batch:
    """Rows of many families."""

    def __init__(self) -> None:
        """Nothing is in it yet."""
        self.drafts: list[Draft] = []
        self.removed: list[tuple[Key, int]] = []  # with the version that was read
        self.undone: set[float] = set()  # instants at which sessions were thought to have begun
        self.of_several: list[bytes] = []  # families that have several lives
        self.unowned: list[tuple[Draft, AccountingRecord]] = []  # whose owner is still to be found, by a record

    def add(
        self,
        family: bytes,
        folded: Folded,
        rows: Mapping[int, Stored],
        records: Sequence[AccountingRecord],
        owner: Owner | None,
    ) -> None:
        """Take over what a family comes to; `owner` is that of a family which had no rows."""
        for life in folded.lives:
            draft = Draft(family, *life)
            row = rows.get(life.life)
            if row is None:
                if owner is not None and len(folded.lives) == 1:
                    draft.owner = owner
                else:
                    self.unowned.append((draft, _spokesman(draft.facts, records)))
            else:
                draft.login_id = row.login_id
                draft.kept = row.kept
                if draft.facts.grant_serial is not None and not row.has_grant:
                    self.unowned.append((draft, _spokesman(draft.facts, records)))
                if rounded(draft.facts.started_at) != row.started_at_s:
                    draft.is_moved = True
                    self.undone.add(row.started_at_s)
            self.drafts.append(draft)
        for gone in folded.removed:
            row = rows[gone]
            self.removed.append(((family, gone), row.life.version))
            self.undone.add(row.started_at_s)
        begun = sum(life.version == 0 for life in folded.lives)
        if len(rows) + begun > 1:
            self.of_several.append(family)


def _spokesman(facts: SessionFacts, records: Sequence[AccountingRecord]) -> AccountingRecord:
    """Return a record that tells whose this life of its family is."""
    for record in records:
        grant = record.grant
        if (grant.serial if grant is not None else None) == facts.grant_serial:
            return record
    return records[-1]
