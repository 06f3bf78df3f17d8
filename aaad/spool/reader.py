"""Reads a spool in order, from a position that the caller keeps: whole, durable records only.

Of the segment being written it reads up to the published tail; of an older one up to where the next segment's
header says that it is valid. Damage is passed over and returned with the batch, never silently. It changes
nothing but the tail of a spool that no process writes any more.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from aaad.errors import SpoolError
from aaad.spool.directory import (
    PIECE_OCTETS,
    Contents,
    find_spool_id,
    is_adopted,
    lock_directory,
    read_header,
    read_piece,
    read_tail,
    recover,
    segment_numbers,
    segment_path,
)
from aaad.spool.segment import HEADER_OCTETS, Cut, Damage, Frame, Header, Position, Tail, checksum_seed, scan


class Batch(NamedTuple):
    """What lies between two positions, all in one segment."""

    segment: int
    next: Position  # read on from here, once this batch is committed
    frames: list[Frame]
    damages: list[Damage]
    is_start_missing: bool  # the segment asked for is gone; this is from the first that exists


class SpoolReader:
    """One spool's records."""

    def __init__(self, directory: Path) -> None:
        """SpoolError if the directory holds no spool (yet)."""
        self._directory = directory
        spool_id = find_spool_id(directory)
        if spool_id is None:
            raise SpoolError(f"{directory} holds no spool")
        self.spool_id: UUID = spool_id
        # What was drained beyond the end of a mirror was drained elsewhere: never read it from the beginning again.
        self._only_forwards = is_adopted(directory)
        self._headers: dict[int, Header | None] = {}
        self._ends: dict[int, int] = {}  # of sealed segments
        self._descriptor = -1
        self._open_number = -1

    def recover_abandoned(self) -> bool:
        """Publish the end of a spool that nobody writes; False if it has a writer, which has done so itself."""
        try:
            lock = lock_directory(self._directory)
        except BlockingIOError:
            return False
        try:
            recover(self._directory)
        finally:
            os.close(lock)
        return True

    def tail(self) -> Tail | None:
        """Return how far the records are durable."""
        return read_tail(self._directory)

    def read(
        self, start: Position, *, records_max: int, octets_max: int = PIECE_OCTETS, cuts: Sequence[Cut] = ()
    ) -> Batch:
        """Return the next records from `start`; a batch without any when there are none (yet)."""
        position, is_missing = start, False
        tail = read_tail(self._directory)
        if tail is None:
            return Batch(start.segment, start, [], [], False)
        if start.segment and not self._open(start.segment):
            position, is_missing = self._first_that_exists(start), True
            if self._only_forwards and position < start:
                return Batch(start.segment, start, [], [], False)
            if not self._open(position.segment):
                return Batch(start.segment, start, [], [], True)
        while True:
            end = self._end(position.segment, tail, cuts)
            if position.offset < end:
                length = min(octets_max, end - position.offset)
                return self._read_piece(position, length, end, records_max, is_missing)
            following = self._following(position.segment) if position.segment < tail.position.segment else None
            if following is None or following > tail.position.segment or not self._open(following):
                return Batch(position.segment, position, [], [], is_missing)
            position = Position(following, HEADER_OCTETS)

    def _read_piece(self, position: Position, length: int, end: int, records_max: int, is_missing: bool) -> Batch:
        piece = read_piece(self._descriptor, position.offset, length)
        # A file that was cut short behind our back: the missing octets are damage, not the end.
        piece = piece.ljust(length, b"\0")
        seed = checksum_seed(self.spool_id, position.segment)
        frames: list[Frame] = []
        damages: list[Damage] = []
        offset = position.offset
        for found in scan(piece, offset=offset, seed=seed, final=position.offset + length >= end):
            if isinstance(found, Frame):
                frames.append(found)
            else:
                damages.append(found)
            offset = found.end
            if len(frames) >= records_max:
                break
        return Batch(position.segment, Position(position.segment, offset), frames, damages, is_missing)

    def end(self, number: int, tail: Tail) -> int:
        """Return where what is durable of a segment ends."""
        return self._end(number, tail, ())

    def _end(self, number: int, tail: Tail, cuts: Sequence[Cut]) -> int:
        if number == tail.position.segment:
            end = tail.position.offset
        elif number < tail.position.segment:
            end = self._sealed_end(number)
        else:
            return HEADER_OCTETS  # published by nobody yet
        for cut in cuts:
            if number == cut.position.segment:
                end = min(end, cut.position.offset)
            elif cut.position.segment < number <= cut.last_segment:
                header = self._header(number)
                if header is not None and header.life == cut.life:
                    end = HEADER_OCTETS
        return end

    def _sealed_end(self, number: int) -> int:
        if number not in self._ends:
            self._ends = {kept: end for kept, end in self._ends.items() if kept > number}
            self._ends[number] = self._find_sealed_end(number)
        return self._ends[number]

    def _find_sealed_end(self, number: int) -> int:
        following = self._following(number)
        if number == 0 or following is None:
            return 0
        header = self._header(following)
        if header is not None and header.previous.segment == number:
            return header.previous.offset
        if header is not None and header.previous.segment < number:
            return HEADER_OCTETS  # the writer gave this one up before anything in it counted
        return Contents(self._directory, number, self.spool_id).end  # the next header is damaged: save what is whole

    def _header(self, number: int) -> Header | None:
        if number not in self._headers:
            self._headers = {kept: header for kept, header in self._headers.items() if kept >= number - 1}
            self._headers[number] = read_header(self._directory, number)
        return self._headers[number]

    def _following(self, number: int) -> int | None:
        return next((other for other in segment_numbers(self._directory) if other > number), None)

    def _first_that_exists(self, start: Position) -> Position:
        numbers = segment_numbers(self._directory)
        if not numbers:
            return start
        later = [number for number in numbers if number > start.segment]
        return Position((later or numbers)[0], HEADER_OCTETS)

    def _open(self, number: int) -> bool:
        if number == self._open_number:
            return True
        try:
            descriptor = os.open(segment_path(self._directory, number), os.O_RDONLY)
        except FileNotFoundError:
            return False
        self.close()
        self._descriptor, self._open_number = descriptor, number
        return True

    def close(self) -> None:
        """Let go of the segment at hand."""
        if self._open_number >= 0:
            os.close(self._descriptor)
            self._open_number = -1


def undrained_records(directory: Path, cursor: Position, tail: Tail, cuts: Sequence[Cut]) -> int:
    """Return how many records PostgreSQL does not have, by its cursor and its cuts; `tail` is the spool's end."""
    if not cursor < tail.position:
        return 0
    reader = SpoolReader(directory)
    try:
        first = _first_frame(reader, cursor, cuts)
        return 0 if first is None else _next_sequence(reader, directory, tail, cuts) - first.sequence
    finally:
        reader.close()


def _first_frame(reader: SpoolReader, position: Position, cuts: Sequence[Cut]) -> Frame | None:
    while (batch := reader.read(position, records_max=1, cuts=cuts)).next != position:
        if batch.frames:
            return batch.frames[0]
        position = batch.next  # damage
    return None


def _next_sequence(reader: SpoolReader, directory: Path, tail: Tail, cuts: Sequence[Cut]) -> int:
    """Return what follows the last record that counts: behind it a batch may stand that PostgreSQL took."""
    for number in reversed(segment_numbers(directory) if cuts else ()):
        position, last = Position(number, HEADER_OCTETS), None
        while (batch := reader.read(position, records_max=1 << 16, cuts=cuts)).segment == number:
            if batch.next == position:
                break
            position, last = batch.next, batch.frames[-1] if batch.frames else last
        if last is not None:
            return last.sequence + 1
    return tail.next_sequence
