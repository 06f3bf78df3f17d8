"""What of a spool's own segment files its mirror does not have yet, piece by piece. Rule R6.4.

Reads what is durable here and nothing else: of the segment being written up to the published tail, of an older one up
to where the next one's header says that it is valid. What is drained, as far as this node's files know, is not sent:
PostgreSQL has it.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from aaad.errors import SpoolError
from aaad.spool.directory import read_drained, segment_numbers, segment_path
from aaad.spool.mirror_frames import PRINT_OCTETS
from aaad.spool.reader import SpoolReader
from aaad.spool.segment import HEADER_OCTETS, START, Position, Tail, decode_header


class Piece(NamedTuple):
    """Octets of a segment and where they stand; a header stands at offset 0."""

    segment: int
    offset: int
    octets: bytes

    @property
    def end(self) -> Position:
        """The place behind it."""
        return Position(self.segment, self.offset + len(self.octets))


def header_print(directory: Path, spool_id: UUID, number: int) -> bytes:
    """Return a fingerprint of a segment's header; empty if there is no such segment.

    SpoolError if the disk does not give the header that was written: it says nothing about what a copy has.
    """
    try:
        with segment_path(directory, number).open("rb") as file:
            block = file.read(HEADER_OCTETS)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise SpoolError(f"segment {number} cannot be read at 0: {error.strerror}") from error
    try:
        header = decode_header(block)
    except SpoolError as error:
        raise SpoolError(f"segment {number} cannot be read at 0: {error}") from error
    if (header.spool_id, header.number) != (spool_id, number):
        raise SpoolError(f"segment {number} cannot be read at 0: its header is another segment's")
    return hashlib.sha256(block).digest()[:PRINT_OCTETS]


def common_segment(directory: Path, spool_id: UUID, held: Sequence[tuple[int, bytes]]) -> int | None:
    """Return up to which segment a copy is this spool's; None: its segments before these must be looked at, too.

    `held` are segments of the copy, the newest first. Spool and copy have one past, and from some segment on each has
    its own. What the copy has before our first segment is drained and removed here: nothing speaks against it.
    SpoolError if one of ours, with which one of the copy's is to be compared, has no header any more: unless it is
    drained, the copy's must not be put aside for that.
    """
    for number, print_ in held:
        try:
            if print_ and print_ == header_print(directory, spool_id, number):
                return number
        except SpoolError:
            if number >= _drained(directory).segment:
                raise
    # Asked after that: what the drain removes meanwhile, from the oldest on, is missed above and not here.
    first = next(iter(segment_numbers(directory)), None)
    if first is not None and (not held or held[-1][0] < first):
        return first - 1
    return None if held else 0


def first_wanted(directory: Path, has: Position) -> Position:
    """Return from where on a mirror that has this much needs the spool."""
    drained = _drained(directory)
    if has.segment < drained.segment and segment_path(directory, drained.segment).exists():
        return Position(drained.segment, 0)
    return has


def _drained(directory: Path) -> Position:
    return (read_drained(directory) or Tail(START, 0)).position


class Pieces:
    """The durable octets of one spool, from any place on."""

    def __init__(self, directory: Path) -> None:
        """SpoolError if there is no spool."""
        self._directory = directory
        self._reader = SpoolReader(directory)
        self.spool_id = self._reader.spool_id

    def next(self, at: Position, until: Tail, octets_max: int) -> Piece | None:
        """Return what follows `at`, at most so much of it and a header whole; None at the end of what is durable.

        SpoolError if the disk does not give it.
        """
        for number in segment_numbers(self._directory):
            if not at.segment <= number <= until.position.segment:
                continue
            offset, end = at.offset if number == at.segment else 0, self._reader.end(number, until)
            is_given_up = end <= HEADER_OCTETS and number < until.position.segment  # with nothing in it that counts
            if offset < end and not (is_given_up and offset == 0):
                length = octets_max if offset else max(octets_max, HEADER_OCTETS)
                piece = self._read(number, offset, min(length, end - offset))
                if piece is not None:
                    return piece
        return None

    def _read(self, number: int, offset: int, length: int) -> Piece | None:
        try:
            with segment_path(self._directory, number).open("rb") as file:
                octets = os.pread(file.fileno(), length, offset)
        except FileNotFoundError:  # drained and removed in this moment
            return None
        except OSError as error:
            raise SpoolError(f"segment {number} cannot be read at {offset}: {error.strerror}") from error
        return Piece(number, offset, octets.ljust(length, b"\0"))
