"""What a copy has of its owner's spool that the owner has no more: put aside in `superseded.N/`, kept for a while.

An owner whose disk fails gives segments up, dies, and gives their numbers to others: what the copy has of them is
void, was never acknowledged, and must not be taken for what comes under the same numbers. An owner whose disk was put
back from a backup looks the same from here, and then these are the only octets of acknowledged records. So they are
kept, in a spool's own form, for somebody to look at. Nothing drains them: PostgreSQL knows a place by spool, segment
and offset, so of two segments of one number it cannot tell which one it has. Rule R6.4.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from aaad.spool.directory import (
    PIECE_OCTETS,
    recover,
    segment_numbers,
    segment_path,
    sync_directory,
    write_spool_id,
)
from aaad.spool.reader import SpoolReader
from aaad.spool.segment import HEADER_OCTETS, START

SUPERSEDED_MAX = 8  # lots of one copy with whole segments, and as many with ends; the oldest goes first
SUPERSEDED_KEPT_S = 7 * 86_400.0
_STEM = "superseded."
_UNFINISHED = ".new"
_END = "only_an_end"  # says of which segment, and between which places
_BLOCK_OCTETS = 512  # as `stat` counts them


class Superseded(NamedTuple):
    """One lot that was put aside together."""

    number: int
    directory: Path

    @property
    def octets(self) -> int:
        """How much disk it takes."""
        return _disk_octets(self.directory)

    @property
    def is_only_an_end(self) -> bool:
        """Whether it has no whole segment. An unclean restart of its owner leaves such lots."""
        return (self.directory / _END).exists()

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
    """Return how much disk it takes, with what is being put aside."""
    try:
        return sum(_disk_octets(folder) for folder in directory.glob(f"{_STEM}*"))
    except FileNotFoundError:  # it goes while others look
        return 0


def _disk_octets(folder: Path) -> int:
    octets = 0
    try:
        for number in segment_numbers(folder):
            status = segment_path(folder, number).stat()
            if status.st_nlink == 1:  # else it is still in the copy, and counted there
                octets += min(status.st_size, status.st_blocks * _BLOCK_OCTETS)  # an end has a hole before it
    except FileNotFoundError:  # it goes while others look
        return octets
    return octets


def put_aside(directory: Path, spool_id: UUID, *, behind: int) -> list[int]:
    """Put every segment aside whose number is greater, durably; return their numbers."""
    numbers = [number for number in segment_numbers(directory) if number > behind]
    fresh = [number for number in numbers if not _lies_aside(directory, number)]
    if fresh:
        with _another_lot(directory, spool_id) as folder:
            for number in fresh:
                os.link(segment_path(directory, number), segment_path(folder, number))
    for number in reversed(numbers):  # whatever stops us, no gap is left
        segment_path(directory, number).unlink()
    if numbers:
        sync_directory(directory)
    return numbers


def _lies_aside(directory: Path, number: int) -> bool:
    """Whether something stopped us after a lot was finished, and before the segment went from the copy."""
    path = segment_path(directory, number)
    if path.stat().st_nlink == 1:
        return False
    others = [segment_path(one.directory, number) for one in superseded(directory)]
    return any(other.exists() and path.samefile(other) for other in others)


def put_end_aside(directory: Path, spool_id: UUID, number: int, *, begin: int, end: int) -> bool:
    """Keep what a segment has behind `begin`, which its successor's header declares void; False: it is kept already.

    Its owner tries again and again when there is no room for the successor.
    """
    with segment_path(directory, number).open("rb") as source:
        header = source.read(HEADER_OCTETS)
        said = f"{number} {begin} {end} {hashlib.sha256(header).hexdigest()}\n"
        if any(_text(one.directory / _END) == said for one in superseded(directory)):
            return False
        with _another_lot(directory, spool_id) as folder, segment_path(folder, number).open("wb") as target:
            (folder / _END).write_text(said)
            target.write(header)
            for offset in range(begin, end, PIECE_OCTETS):
                octets = os.pread(source.fileno(), min(PIECE_OCTETS, end - offset), offset)
                target.seek(offset)
                target.write(octets)
            target.flush()
            os.fsync(target.fileno())
    return True


def end_octets(begin: int, end: int) -> int:
    """Return how much disk it takes at most to keep the end of a segment."""
    return end - begin + 3 * HEADER_OCTETS  # its header, and at both ends a part of a block


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


@contextmanager
def _another_lot(directory: Path, spool_id: UUID) -> Iterator[Path]:
    """Give a folder to be filled. It is a lot once it is whole and durable; only then older ones go."""
    remove_unfinished(directory)
    known = superseded(directory)
    folder = directory / f"{_STEM}{known[-1].number + 1 if known else 1}"
    unfinished = folder.with_name(folder.name + _UNFINISHED)
    try:
        unfinished.mkdir(mode=0o700)
        write_spool_id(unfinished, spool_id)
        yield unfinished
        sync_directory(unfinished)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    sync_directory(directory)
    lots = superseded(directory)
    for is_end in (False, True):
        for one in [one for one in lots if one.is_only_an_end is is_end][:-SUPERSEDED_MAX]:
            shutil.rmtree(one.directory, ignore_errors=True)  # it may give way to others just now


def remove_unfinished(directory: Path) -> None:
    """Remove lots that were not finished: all in them is in the copy. The caller holds its lock."""
    for folder in directory.glob(f"{_STEM}*{_UNFINISHED}"):
        shutil.rmtree(folder)


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
    """Remove the oldest lot of all these copies, one that is only an end first; False if there is none."""
    found = []
    for directory in directories:
        try:
            for one in superseded(directory):
                found.append((not one.is_only_an_end, one.directory.stat().st_mtime, one.directory))
        except FileNotFoundError:
            continue
    if not found:
        return False
    shutil.rmtree(min(found)[-1], ignore_errors=True)
    return True
