"""Walks a whole spool from its first segment on and says what is in it: for `aaad spool verify` and `export`.

Reads only, takes no lock and publishes nothing, so it may run beside the process that writes and the role that
drains: of the segment being written it reads what is durable, and a segment that is removed meanwhile is passed
over. Every record's checksum is checked, every header, and that no sequence number is missing. Rule R6.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aaad.errors import SpoolError
from aaad.spool.directory import read_drained, read_header, read_tail, segment_numbers, segment_path
from aaad.spool.reader import SpoolReader
from aaad.spool.records import decode
from aaad.spool.segment import HEADER_OCTETS, START, Damage, Frame, Position, Tail

_PIECE_RECORDS = 4096


class Placed(NamedTuple):
    """A record and the segment that it stands in."""

    segment: int
    frame: Frame
    is_drained: bool  # as far as this node's files know


class Piece(NamedTuple):
    """What was read in one go."""

    segment: int
    records: list[Placed]
    damages: list[Damage]
    octets: int  # gone through


class SegmentReport(NamedTuple):
    """One segment as it was found."""

    number: int
    is_header_damaged: bool
    is_given_up: bool  # by its writer, before anything in it counted
    records: int
    undrained: int
    unreadable: int  # whole records that this version cannot read
    missing: int  # sequence numbers that stand nowhere
    damages: list[Damage]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong with it."""
        return not (self.is_header_damaged or self.unreadable or self.missing or self.damages)


def spool_slots(root: Path) -> list[str]:
    """Return the slots that have a spool; SpoolError if the folder cannot be read."""
    try:
        return sorted(path.name for path in root.iterdir() if path.is_dir())
    except OSError as error:
        raise SpoolError(f"{root}: {error.strerror}") from error


def spool_octets(directory: Path) -> int:
    """Return how much there is to walk through."""
    tail = read_tail(directory)
    if tail is None:
        return 0
    return sum(
        min(_size(directory, number), tail.position.offset if number == tail.position.segment else 1 << 62)
        for number in segment_numbers(directory)
    )


def walk(directory: Path) -> Iterator[Piece]:
    """Yield everything that is durable, in order; SpoolError if there is no spool."""
    reader = SpoolReader(directory)
    drained = (read_drained(directory) or Tail(START, 0)).position
    position = START
    try:
        while True:
            batch = reader.read(position, records_max=_PIECE_RECORDS)
            if batch.next == position:
                return
            records = [
                Placed(batch.segment, frame, Position(batch.segment, frame.end) <= drained) for frame in batch.frames
            ]
            begin = position.offset if position.segment == batch.segment else HEADER_OCTETS
            yield Piece(batch.segment, records, batch.damages, batch.next.offset - begin)
            position = batch.next
    finally:
        reader.close()


class Audit:
    """Gathers what `walk` yields into a report of each segment."""

    def __init__(self, directory: Path) -> None:
        """Begin before the first segment; which ones there are is asked now."""
        self._directory = directory
        self._numbers = segment_numbers(directory)
        tail = read_tail(directory)
        self._last = tail.position.segment if tail else 0
        self._next_sequence: int | None = None
        self._reports: dict[int, SegmentReport] = {}

    def add(self, piece: Piece) -> None:
        """Take a piece into account."""
        unreadable = missing = 0
        for placed in piece.records:
            sequence = placed.frame.sequence
            if self._next_sequence is not None and sequence > self._next_sequence:
                missing += sequence - self._next_sequence
            self._next_sequence = sequence + 1
            try:
                decode(placed.frame.payload)
            except SpoolError:
                unreadable += 1
        known = self._report(piece.segment)
        self._reports[piece.segment] = known._replace(
            is_given_up=False,
            records=known.records + len(piece.records),
            undrained=known.undrained + sum(not placed.is_drained for placed in piece.records),
            unreadable=known.unreadable + unreadable,
            missing=known.missing + missing,
            damages=known.damages + piece.damages,
        )

    def reports(self) -> list[SegmentReport]:
        """Return a report of each segment that was there at the beginning and still is."""
        return [self._report(number) for number in self._numbers if segment_path(self._directory, number).exists()]

    def _report(self, number: int) -> SegmentReport:
        if number not in self._reports:
            is_given_up = number < self._last  # nothing in it counted, or `add` would have been told
            self._reports[number] = SegmentReport(
                number, self._is_header_damaged(number), is_given_up, 0, 0, 0, 0, []
            )
        return self._reports[number]

    def _is_header_damaged(self, number: int) -> bool:
        try:
            return read_header(self._directory, number) is None
        except OSError:
            return segment_path(self._directory, number).exists()


def _size(directory: Path, number: int) -> int:
    try:
        return segment_path(directory, number).stat().st_size
    except FileNotFoundError:
        return 0
