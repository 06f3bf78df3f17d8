"""Which session each record of a family is of, and what its sessions come to: records in, rows out.

Pure. A family is a user name and an Acct-Session-Id, which a NAS uses again after a reboot (network.md 1.2) and pppd
within a second. Its records are told apart first into parts, each of one session beyond doubt:

- of a Class of ours: one part for each grant (rule R4.6), whatever address the records came from;
- without one, of one router: one part for all whose implied start (receipt less Acct-Delay-Time less
  Acct-Session-Time) lies within LINK_S of another's;
- without one and without a time of its own: each is a part, until what it belongs to is certain.

Then parts are grouped to lives, by all parts at once: one without Class belongs to the grant that began within
LINK_S of it on its router, one without time to the life that began last before it. Parts stay apart in the summary,
so a record that comes late changes the grouping as if it had come in time: the outcome is one of the set of records.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from zlib import crc32

import msgspec

from aaad.sessions.grant_class import GRANT_KEY
from aaad.sessions.record import AccountingRecord
from aaad.sessions.summary import (
    Part,
    SessionFacts,
    add,
    decode,
    encode,
    facts,
    grant_key,
    merge,
    part_of,
    started_at,
)

LINK_S = 120.0
TIMELESS_MAX = 8  # parts without a time of their own that a life keeps apart
_LIFE_MASK = 0x7FFFFFFF
_GRANTED, _TIMED, _TIMELESS = range(3)

_Router = tuple[int, bytes]
Origin = bytes | _Router  # see `origin`
Zones = Mapping[Origin, str]
_NO_ZONES: Zones = {}


class StoredLife(msgspec.Struct, frozen=True, gc=False):
    """One row of the family, as it was read."""

    life: int
    version: int
    summary: bytes


class FoldedLife(msgspec.Struct, frozen=True, gc=False):
    """One row of the family, as it is to be written. `version`: of the row that was read, 0: it is new."""

    life: int
    version: int
    summary: bytes
    part: Part  # what all its records tell together
    started_before: float  # when it began, as far as was known by the row that was read; of a new one, when it began
    only_goes_on: bool  # nothing has changed but what `progress` tells

    @property
    def facts(self) -> SessionFacts:
        """All columns that follow from its records."""
        return facts(self.part)


class Folded(msgspec.Struct, frozen=True, gc=False):
    """What a batch changes in a family."""

    lives: list[FoldedLife]  # those that are new or have changed
    removed: list[int]  # those that have become part of another
    began: tuple[AccountingRecord, ...] = ()  # that belong to nothing known of the family before
    without_zone: tuple[AccountingRecord, ...] = ()  # those of them whose zone is not known, one of each origin


@dataclass(slots=True)
class _Piece:
    part: Part
    lives: set[int] = field(default_factory=set)  # in whose rows it was stored


@dataclass(slots=True)
class _Group:
    pieces: list[_Piece]


def fold(
    stored: Sequence[StoredLife], records: Sequence[AccountingRecord], zone: str, zones: Zones = _NO_ZONES
) -> Folded:
    """Put records into the rows of their family; parts that begin now count their days in `zones`, else in `zone`.

    They do so for good: who does not know the zone of each beforehand looks at `without_zone`, and folds again.
    """
    if len(stored) > 1:
        return _of_many(stored, records, zone, zones)
    if stored:
        row = stored[0]
        life, version, summary = row.life, row.version, row.summary
        parts = decode(summary)
        if len(parts) > 1:
            return _of_many(stored, records, zone, zones)
        part = parts[0]
        rest = records
    else:
        first, *rest = records
        part = part_of(first, zone)
        life, version, summary = _new_name(part), 0, b""
    # What nearly all records are: of one session, and no other in the family.
    for record in rest:
        if not _is_of(part, record):
            return _of_many(stored, records, zone, zones)
    before, only_goes_on = started_at(part), version > 0
    for record in rest:
        if add(part, record):
            only_goes_on = False
    folded = encode([part])
    if folded == summary:
        return Folded([], [])
    return Folded([FoldedLife(life, version, folded, part, before, only_goes_on)], [])


def _is_of(part: Part, record: AccountingRecord) -> bool:
    """Tell whether a record is surely of a part: by its grant, without one by router and implied start."""
    if part.grant or record.class_body:
        return part.grant == record.class_body or part.grant[GRANT_KEY] == record.class_body[GRANT_KEY]
    start_s = record.implied_start_s
    return (
        start_s is not None
        and part.low_s - LINK_S <= start_s <= part.high_s + LINK_S
        and (record.nas_id, record.nas_identifier or record.source_address.encode()) == _router(part)
    )


def origin(record: AccountingRecord) -> Origin:
    """Return what a record's zone hangs on: its grant, without one its router."""
    return record.class_body[GRANT_KEY] or (record.nas_id, record.nas_identifier or record.source_address.encode())


def _of_many(stored: Sequence[StoredLife], records: Sequence[AccountingRecord], zone: str, zones: Zones) -> Folded:
    pieces = [_Piece(part, {row.life}) for row in stored for part in decode(row.summary)]
    granted = {grant_key(piece.part): piece.part for piece in pieces if piece.part.grant}
    # Parts that become one must have counted their days in one zone.
    known: dict[Origin, str] = {_router(piece.part): piece.part.zone for piece in pieces if not piece.part.grant}
    began: list[AccountingRecord] = []
    without_zone: dict[Origin, AccountingRecord] = {}
    timed = [piece.part for piece in pieces if _rank(piece.part) == _TIMED]
    for record in records:
        key = record.class_body[GRANT_KEY]
        part = granted.get(key) if key else next((part for part in timed if _is_of(part, record)), None)
        if part is not None:
            add(part, record)
            continue
        place = origin(record)
        if place not in zones and place not in known:
            without_zone.setdefault(place, record)
        began.append(record)
        part = part_of(record, known.get(place) or zones.get(place, zone))
        pieces.append(_Piece(part))
        if key:
            granted[key] = part
    groups = _grouped(_joined(pieces))
    rows = {row.life: row for row in stored}
    lives = []
    taken = _named(groups, set(rows))
    for life, group in taken.items():
        parts = [piece.part for piece in group.pieces]
        summary = encode(parts)
        row = rows.get(life)
        if row is None or row.summary != summary:
            part = parts[0] if len(parts) == 1 else merge(parts)
            version, before = (row.version, begun_at(row)) if row is not None else (0, started_at(part))
            lives.append(FoldedLife(life, version, summary, part, before, False))
    return Folded(lives, [life for life in rows if life not in taken], tuple(began), tuple(without_zone.values()))


def begun_at(row: StoredLife) -> float:
    """Return when a session began, as far as is known by its row."""
    parts = decode(row.summary)
    return started_at(parts[0] if len(parts) == 1 else merge(parts))


# --- Parts: what is of one session beyond doubt ---------------------------------------------------------------------


def _rank(part: Part) -> int:
    if part.grant:
        return _GRANTED
    return _TIMED if part.low_s != inf else _TIMELESS


def _router(part: Part) -> _Router:
    return part.nas_id, part.nas_identifier or part.source_address.encode()


def _joined(pieces: list[_Piece]) -> list[_Piece]:
    """Return one piece for each grant, each implied start at a router, and each record without a time."""
    granted: dict[bytes, list[_Piece]] = {}
    timed: list[_Piece] = []
    timeless: dict[tuple[_Router, float, bytes, int], list[_Piece]] = {}
    for piece in pieces:
        part = piece.part
        rank = _rank(part)
        if rank == _GRANTED:
            granted.setdefault(grant_key(part), []).append(piece)
        elif rank == _TIMED:
            timed.append(piece)
        else:
            timeless.setdefault((_router(part), part.timeless_s, part.recent, part.older), []).append(piece)
    joined = [_one(same) for _, same in sorted(granted.items())]
    linked = _linked(timed)
    rest = []
    for _, same in sorted(timeless.items()):
        piece = _one(same)
        home = _surely_within(piece.part, linked)
        if home is None:
            rest.append(piece)
        else:
            home.part = merge((home.part, piece.part))
            home.lives |= piece.lives
    return joined + linked + rest


def _one(pieces: list[_Piece]) -> _Piece:
    if len(pieces) == 1:
        return pieces[0]
    return _Piece(merge(piece.part for piece in pieces), set().union(*(piece.lives for piece in pieces)))


def _linked(timed: list[_Piece]) -> list[_Piece]:
    """Join those of one router whose implied starts lie within LINK_S of each other's (single linkage)."""
    linked: list[list[_Piece]] = []
    router: _Router | None = None
    end_s = -inf
    for piece in sorted(timed, key=lambda piece: (_router(piece.part), piece.part.low_s)):
        part = piece.part
        if _router(part) == router and part.low_s <= end_s + LINK_S:
            linked[-1].append(piece)
            end_s = max(end_s, part.high_s)
        else:
            linked.append([piece])
            router, end_s = _router(part), part.high_s
    return [_one(pieces) for pieces in linked]


def _surely_within(part: Part, linked: Iterable[_Piece]) -> _Piece | None:
    """Return where a part without a time belongs whatever records may come yet, None if that cannot be said.

    No other start without Class can come to lie between: it would be linked to this one.
    """
    for piece in linked:
        other = piece.part
        if _router(other) == _router(part) and other.low_s <= part.timeless_s <= other.high_s + LINK_S:
            return piece
    return None


# --- Lives: which parts are of one session, as far as can be told ---------------------------------------------------


def _grouped(pieces: list[_Piece]) -> list[_Group]:
    granted = [_Group([piece]) for piece in pieces if _rank(piece.part) == _GRANTED]
    groups = list(granted)
    home_of: dict[int, _Group] = {id(group.pieces[0]): group for group in granted}
    timed = [piece for piece in pieces if _rank(piece.part) == _TIMED]
    for piece in timed:
        nearest = _nearest_grant(piece.part, granted)
        if nearest is None:
            nearest = _Group([])
            groups.append(nearest)
        nearest.pieces.append(piece)
        home_of[id(piece)] = nearest
    homeless: dict[_Router, _Group] = {}
    anchors = [piece for piece in pieces if _rank(piece.part) != _TIMELESS]
    for piece in pieces:
        if _rank(piece.part) != _TIMELESS:
            continue
        anchor = _begun_last_before(piece.part, anchors)
        if anchor is not None:
            home_of[id(anchor)].pieces.append(piece)
        else:
            homeless.setdefault(_router(piece.part), _Group([])).pieces.append(piece)
    groups += homeless.values()
    for group in groups:
        _bound(group)
    return groups


def _interval(part: Part) -> tuple[float, float]:
    return (part.low_s, part.high_s) if part.low_s != inf else (part.timeless_s, part.timeless_s)


def _nearest_grant(part: Part, granted: Iterable[_Group]) -> _Group | None:
    """Return the grant's life that a part without Class is of: the one that began nearest, within LINK_S."""
    best, best_distance = None, inf
    for group in granted:
        other = group.pieces[0].part
        low_s, high_s = _interval(other)
        distance = max(low_s - part.high_s, part.low_s - high_s, 0.0)
        if _router(other) == _router(part) and distance <= LINK_S and distance < best_distance:
            best, best_distance = group, distance
    return best


def _begun_last_before(part: Part, anchors: Iterable[_Piece]) -> _Piece | None:
    """Return of which other part one without a time is: what began last before it, or else at once after it."""
    best, best_key = None, -inf
    for piece in anchors:
        low_s, _ = _interval(piece.part)
        if _router(piece.part) != _router(part) or low_s > part.timeless_s + LINK_S:
            continue
        key = low_s if low_s <= part.timeless_s else -low_s
        if best is None or key > best_key:
            best, best_key = piece, key
    return best


def _bound(group: _Group) -> None:
    """Let the earliest parts without a time become one, where a life has too many."""
    timeless = [piece for piece in group.pieces if _rank(piece.part) == _TIMELESS]
    if len(timeless) > TIMELESS_MAX:
        timeless.sort(key=lambda piece: (piece.part.timeless_s, piece.part.recent))
        count = len(timeless) - TIMELESS_MAX + 1
        anchored = [piece for piece in group.pieces if _rank(piece.part) != _TIMELESS]
        group.pieces = [*anchored, _one(timeless[:count]), *timeless[count:]]


def _named(groups: list[_Group], stored: set[int]) -> dict[int, _Group]:
    """Give each life its name: that of the row where its surest part was stored, or a new one."""
    named: dict[int, _Group] = {}
    unnamed = groups
    for rank in (_GRANTED, _TIMED, _TIMELESS):
        rest = []
        for group in unnamed:
            known: set[int] = set().union(*(piece.lives for piece in group.pieces if _rank(piece.part) == rank))
            life = min(known - named.keys(), default=None)
            if life is None:
                rest.append(group)
            else:
                named[life] = group
        unnamed = rest
    for group in unnamed:
        life = _new_name(group.pieces[0].part)
        while life in named or life in stored:
            life = life + 1 & _LIFE_MASK
        named[life] = group
    return named


def _new_name(part: Part) -> int:
    """Return a number that no other life of the family is likely to have, also of those that history keeps."""
    return crc32(grant_key(part) or repr((_router(part), _interval(part)[0])).encode()) & _LIFE_MASK
