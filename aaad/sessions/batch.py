"""What a batch of accounting records makes of net.session: rows that begin, rows that change, rows that go.

Pure. `insert_columns` and `update_columns` give them as the statements of `sessions.sql` take them: one array for
each column.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from aaad.sessions.draft import Draft, Key, Owner, rounded
from aaad.sessions.fold import Folded, StoredLife
from aaad.sessions.record import AccountingRecord
from aaad.sessions.summary import SessionFacts
from aaad.sessions.truth import Ending, Evidence

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_STOP = Evidence.STOP.value
_OPEN = (None, None, None)


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


_place = {name: place for place, name in enumerate(SessionFacts._fields)}
_IDENTITY = slice(_place["grant_node"], _place["heard_at"] + 1)
_AMOUNT = slice(_place["terminate_cause"], _place["packets_out"] + 1)


def insert_columns(drafts: Sequence[Draft]) -> list[Sequence[object]]:
    """Return the columns of rows that begin."""
    owners = list(zip(*[draft.owner for draft in drafts], strict=True))
    return [
        [draft.family.hex() for draft in drafts],
        [draft.life for draft in drafts],
        [draft.summary for draft in drafts],
        *owners[:5],
        [draft.address_space for draft in drafts],
        *zip(*[draft.granted for draft in drafts], strict=True),
        *_fact_columns(drafts),
    ]


def update_columns(drafts: Sequence[Draft]) -> list[Sequence[object]]:
    """Return the columns of rows that change. Owners are those that have become known just now."""
    owners = list(zip(*[draft.owner or _NOBODY for draft in drafts], strict=True))
    return [
        [draft.family.hex() for draft in drafts],
        [draft.life for draft in drafts],
        [draft.version for draft in drafts],
        [draft.summary for draft in drafts],
        *owners[:5],
        *_fact_columns(drafts),
    ]


_NOBODY = Owner(None, None, None, None, None, "")


def _fact_columns(drafts: Sequence[Draft]) -> list[Sequence[object]]:
    columns = list(zip(*[draft.facts for draft in drafts], strict=True))
    return [
        columns[_place["acct_session_id"]],
        columns[_place["user_name"]],
        columns[_place["time_zone"]],
        *columns[_IDENTITY],
        *zip(*[_end(draft) for draft in drafts], strict=True),
        *columns[_AMOUNT],
        [_days(days) for days in columns[_place["days"]]],
        [_numbers(octets) for octets in columns[_place["day_octets_in"]]],
        [_numbers(octets) for octets in columns[_place["day_octets_out"]]],
        columns[_place["records"]],
    ]


def _end(draft: Draft) -> tuple[float | None, float | None, str | None]:
    """Return until when it was connected for certain and perhaps, and how that is known (rule R9.1)."""
    ended_at = draft.facts.ended_at
    if ended_at is not None:
        return ended_at, ended_at, _STOP
    if draft.ending is None:
        return _OPEN
    return draft.facts.heard_at, draft.ending.latest_s, draft.ending.evidence


@lru_cache(1024)
def _days(days: tuple[int, ...]) -> str:
    return "{" + ",".join(date.fromordinal(_EPOCH_DAY + day).isoformat() for day in days) + "}"


def _numbers(numbers: tuple[int, ...]) -> str:
    return f"{{{numbers[0]}}}" if len(numbers) == 1 else "{" + ",".join(map(str, numbers)) + "}"
