"""What a copy has of its owner's spool that the owner has no more: put aside in `superseded.N/`, kept for a while.

An owner whose disk fails gives segments up, dies, and gives their numbers to others: what the copy has of them is
void, was never acknowledged, and must not be taken for what comes under the same numbers. An owner whose disk was put
back from a backup looks the same from here, and then these are the only octets of acknowledged records. So they are
kept, in a spool's own form, for somebody to look at. Nothing drains them: PostgreSQL knows a place by spool, segment
and offset, so of two segments of one number it cannot tell which one it has. Rule R6.4.
"""

import os
import shutil
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from aaad.spool.directory import (
    PIECE_OCTETS,
    occupied_octets,
    recover,
    segment_numbers,
    segment_path,
    sync_directory,
    write_spool_id,
)
from aaad.spool.reader import SpoolReader
from aaad.spool.segment import HEADER_OCTETS, START

SUPERSEDED_MAX = 8  # of one copy; the oldest goes first
SUPERSEDED_KEPT_S = 7 * 86_400.0
_STEM = "superseded."


class Superseded(NamedTuple):
    """One lot that was put aside together."""

    number: int
    directory: Path

    @property
    def octets(self) -> int:
        """How much disk it takes."""
        return occupied_octets(self.directory) if self.directory.is_dir() else 0

    def is_due(self, now_s: float) -> bool:
        """Whether it was kept long enough."""
        return self.directory.stat().st_mtime + SUPERSEDED_KEPT_S <= now_s


def superseded(directory: Path) -> list[Superseded]:
    """Return what was put aside of a copy, the oldest first."""
    names = [name[len(_STEM) :] for name in os.listdir(directory) if name.startswith(_STEM)]
    return [
        Superseded(number, directory / f"{_STEM}{number}")
        for number in sorted(int(name) for name in names if name.isdecimal())
    ]


def superseded_octets(directory: Path) -> int:
    """Return how much disk it takes."""
    try:
        return sum(one.octets for one in superseded(directory))
    except FileNotFoundError:  # it goes while others look
        return 0


def put_aside(directory: Path, spool_id: UUID, *, behind: int) -> list[int]:
    """Put every segment aside whose number is greater, durably; return their numbers."""
    numbers = [number for number in segment_numbers(directory) if number > behind]
    if numbers:
        folder = _fresh_folder(directory, spool_id)
        for number in reversed(numbers):  # whatever stops us, no gap is left
            segment_path(directory, number).rename(segment_path(folder, number))
        sync_directory(folder)
        sync_directory(directory)
    return numbers


def put_end_aside(directory: Path, spool_id: UUID, number: int, *, begin: int, end: int) -> None:
    """Keep what a segment has behind `begin`, which its successor's header declares void."""
    folder = _fresh_folder(directory, spool_id)
    with segment_path(directory, number).open("rb") as source, segment_path(folder, number).open("wb") as target:
        target.write(source.read(HEADER_OCTETS))
        for offset in range(begin, end, PIECE_OCTETS):
            octets = os.pread(source.fileno(), min(PIECE_OCTETS, end - offset), offset)
            target.seek(offset)
            target.write(octets)
        target.flush()
        os.fsync(target.fileno())
    sync_directory(folder)
    sync_directory(directory)


def _fresh_folder(directory: Path, spool_id: UUID) -> Path:
    known = superseded(directory)
    for one in known[: max(0, len(known) - SUPERSEDED_MAX + 1)]:
        shutil.rmtree(one.directory)
    folder = directory / f"{_STEM}{known[-1].number + 1 if known else 1}"
    folder.mkdir(mode=0o700)
    write_spool_id(folder, spool_id)
    return folder


def count_records(directory: Path) -> int:
    """Return how many records a lot has that may have been acknowledged, and publish its end so that it can be read.

    What its owner gave up before it began another segment was not, and is passed over.
    """
    recover(directory)
    reader, position, records = SpoolReader(directory), START, 0
    try:
        while (batch := reader.read(position, records_max=1 << 16)).next != position:
            records += len(batch.frames)
            position = batch.next
    finally:
        reader.close()
    return records


def remove_oldest(directories: list[Path]) -> bool:
    """Remove the lot that was put aside first of all these copies; False if there is none."""
    found = []
    for directory in directories:
        try:
            found += [(one.directory.stat().st_mtime, one.directory) for one in superseded(directory)]
        except FileNotFoundError:
            continue
    if not found:
        return False
    shutil.rmtree(min(found)[1], ignore_errors=True)
    return True
