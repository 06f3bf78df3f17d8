"""The copies of other nodes' spools on this node's disk: `mirror/NODE/SLOT.SPOOL_ID/`, in a spool's own form (R6.4).

Writes what an owner sends where it stands in his segment files, and makes it durable. Octets follow each other
without a gap; a segment begins with its header, which must be of that spool, and none is ever written over. Never
reads what a record says. All copies together take no more disk than allowed. A folder is held by its `lock` while a
connection writes it: nobody adopts it then.
"""

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from aaad.errors import SpoolError
from aaad.spool.directory import (
    PIECE_OCTETS,
    Contents,
    lock_directory,
    occupied_octets,
    read_header,
    read_piece,
    recover,
    segment_numbers,
    segment_path,
    sync_directory,
    write_spool_id,
)
from aaad.spool.mirror_frames import HELD_MAX, Data
from aaad.spool.mirror_pieces import header_print
from aaad.spool.mirror_superseded import (
    end_octets,
    put_aside,
    put_end_aside,
    remove_oldest,
    remove_unfinished,
    superseded_octets,
)
from aaad.spool.reader import undrained_records
from aaad.spool.retention import give_way
from aaad.spool.segment import (
    HEADER_OCTETS,
    START,
    Cut,
    Frame,
    Header,
    Position,
    checksum_seed,
    decode_header,
    scan,
)

ALLOCATED_OCTETS = 1 << 20  # room is taken ahead in such steps: a sync that need not note a new size is cheaper
_REMOVED = ".removed"

Sync = Callable[[int], None]


class MirrorFull(SpoolError):  # noqa: N818  reads as the sentence it prints
    """The bound of all copies together is reached, and nothing that is drained can give way."""


class OutOfOrder(SpoolError):  # noqa: N818  reads as the sentence it prints
    """Octets that do not follow what is there."""


class Kept(NamedTuple):
    """One copy on this disk."""

    node: str
    slot: str
    spool_id: UUID
    directory: Path


def kept_copies(root: Path) -> list[Kept]:
    """Return every copy below a root, in order of node and slot; folders that are none are passed over."""
    found = []
    for folder in sorted(root.glob("*/*.*")):
        slot, _, id_ = folder.name.rpartition(".")
        with suppress(ValueError):
            found.append(Kept(folder.parent.name, slot, UUID(id_), folder))
    return found


def copy_directory(root: Path, node: str, slot: str, spool_id: UUID) -> Path:
    """Return where the copy of a spool lies."""
    return root / node / f"{slot}.{spool_id}"


class Room:
    """What all copies below one root may take together. Asked in several threads; a look at the disk each time."""

    def __init__(self, root: Path, bytes_max: int, wall_s: Callable[[], float]) -> None:
        """Nothing is touched yet."""
        self.root = root
        self._bytes_max = bytes_max
        self._wall_s = wall_s
        self.removed = 0  # drained segments that gave way

    def occupied(self) -> int:
        """Return how many octets the copies take."""
        directories = [kept.directory for kept in kept_copies(self.root)]
        return sum(occupied_octets(directory) + superseded_octets(directory) for directory in directories)

    def take(self, octets: int) -> None:
        """Make sure that so much more fits; MirrorFull if it does not."""
        while self.occupied() + octets > self._bytes_max:
            directories = [kept.directory for kept in kept_copies(self.root)]
            if any(give_way(directory, now_s=self._wall_s()) for directory in directories):
                self.removed += 1
            elif not remove_oldest(directories):
                raise MirrorFull(f"the copies of other nodes' spools may take {self._bytes_max} octets")


class MirroredSpool:
    """One copy, held for writing. Every method may raise OSError: then nothing since the last `write` counts."""

    def __init__(self, room: Room, *, node: str, slot: str, spool_id: UUID, sync: Sync = os.fdatasync) -> None:
        """Take the folder; BlockingIOError if somebody else has it. Nothing is written before `begin`."""
        self.directory = copy_directory(room.root, node, slot, spool_id)
        self._room = room
        self._slot = slot
        self._spool_id = spool_id
        self._sync = sync
        self._descriptor = -1
        self._allocated = 0
        self._found = 0  # where the last whole record ended in the segment at hand when it was opened
        self._is_torn = False  # something was written that is not known to be durable
        self.position = START
        self._superseded: list[int] = []  # of which segment the void end was put aside, and is not told yet
        for folder in (self.directory.parent, self.directory):
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                sync_directory(folder.parent)
        self._lock = lock_directory(self.directory)
        try:
            write_spool_id(self.directory, spool_id)
            remove_unfinished(self.directory)
        except BaseException:
            self.close()
            raise

    def held(self, before: int) -> list[tuple[int, bytes]]:
        """Return the newest segments below a number, and what their headers are like."""
        numbers = [number for number in segment_numbers(self.directory) if number < before]
        return [(number, self._print(number)) for number in reversed(numbers[-HELD_MAX:])]

    def _print(self, number: int) -> bytes:
        try:
            return header_print(self.directory, self._spool_id, number)
        except SpoolError:  # a bad sector, or bit rot: it is nobody's, is put aside and sent again
            return b""

    def begin(self, segment: int) -> list[int]:
        """Go on where the octets of this segment, or of the last one before it, end; return what was put aside."""
        aside = put_aside(self.directory, self._spool_id, behind=segment)
        self.position = contiguous_end(self.directory, self._spool_id)
        if self.position.offset:
            self._open(self.position.segment)
            self._sync(self._descriptor)  # what a killed process has written may not be on the disk yet
        return aside

    def write(self, data: Data) -> None:
        """Put these octets on the disk; OutOfOrder, MirrorFull or OSError if they are not there then."""
        end = Position(data.segment, data.offset + len(data.octets))
        if data.offset == 0:
            self._begin(data)
        elif (data.segment, data.offset) != self.position:
            raise OutOfOrder(f"octets for {data.segment}:{data.offset}, where {self.position} is the end")
        else:
            self._allocate(end.offset)
            self._write(data.octets, data.offset)
        self._sync(self._descriptor)
        if not os.fstat(self._descriptor).st_nlink:
            raise FileNotFoundError(errno.ENOENT, "the copy was removed", str(self.directory))
        self.position, self._is_torn = end, False

    def _begin(self, data: Data) -> None:
        """Begin a segment."""
        if data.segment <= self.position.segment:
            raise OutOfOrder(f"segment {data.segment}, where {self.position} is the end")
        header = decode_header(data.octets[:HEADER_OCTETS])
        if len(data.octets) < HEADER_OCTETS or (header.spool_id, header.number) != (self._spool_id, data.segment):
            raise OutOfOrder(f"segment {data.segment} begins with another one's header")
        self._close_segment()
        wanted, void_from = max(ALLOCATED_OCTETS, len(data.octets)), self._void_from(header)
        if void_from:
            wanted += end_octets(void_from, self.position.offset)
        self._room.take(wanted)
        if void_from:
            self._keep_void_end(void_from)
        path, fresh = segment_path(self.directory, data.segment), self.directory / "fresh"
        # Under its own name its header is always whole.
        self._descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._allocated = self._found = 0
        self._allocate(len(data.octets))
        self._write(data.octets, 0)
        self._sync(self._descriptor)
        fresh.replace(path)
        sync_directory(self.directory)

    def _void_from(self, header: Header) -> int:
        """Return from where on another life of the owner wrote what this one does not know; 0: no such end."""
        number, end = self.position
        if header.previous.segment != number or not HEADER_OCTETS <= header.previous.offset < end:
            return 0
        before = read_header(self.directory, number)
        return header.previous.offset if before is not None and before.life != header.life else 0

    def _keep_void_end(self, begin: int) -> None:
        """Keep it, before the new segment's header makes it void."""
        number, end = self.position
        if put_end_aside(self.directory, self._spool_id, number, begin=begin, end=end):
            self._superseded.append(number)

    def take_superseded(self) -> list[int]:
        """Return once of which segments something was put aside while they were written."""
        taken, self._superseded = self._superseded, []
        return taken

    def _open(self, number: int) -> None:
        path = segment_path(self.directory, number)
        path.chmod(0o600)  # if it was taken for drained: its owner goes on in it
        self._descriptor = os.open(path, os.O_WRONLY)
        self._allocated = os.fstat(self._descriptor).st_size
        is_behind = self._allocated > self.position.offset
        self._found = Contents(self.directory, number, self._spool_id).end if is_behind else 0

    def _allocate(self, end: int) -> None:
        if end <= self._allocated:
            return
        wanted = -(-end // ALLOCATED_OCTETS) * ALLOCATED_OCTETS
        if self._allocated:
            self._room.take(wanted - self._allocated)
        self._is_torn = True
        os.posix_fallocate(self._descriptor, 0, wanted)
        self._allocated = wanted

    def _write(self, octets: bytes, offset: int) -> None:
        written, self._is_torn = 0, True
        while written < len(octets):
            written += os.pwrite(self._descriptor, octets[written:], offset + written)

    def _close_segment(self) -> None:
        """Cut off the room that was taken ahead.

        What a failed sync has left in memory is not to be found there by a later look, either. Otherwise what was
        there before us stays: behind a block that cannot be read it may be whole.
        """
        if self._descriptor >= 0:
            end = self.position.offset
            with suppress(OSError):
                os.ftruncate(self._descriptor, end if self._is_torn else max(end, self._found))
            os.close(self._descriptor)
            self._descriptor, self._is_torn = -1, False

    def close(self) -> None:
        """Let go of the folder."""
        self._close_segment()
        os.close(self._lock)


def contiguous_end(directory: Path, spool_id: UUID) -> Position:
    """Return where the octets of the newest segment end that are whole from its beginning on.

    What a power cut left behind a gap was not confirmed by us: its owner sends it again.
    """
    numbers = segment_numbers(directory)
    if not numbers:
        return START
    number = numbers[-1]
    header = read_header(directory, number)
    if header is None or header.spool_id != spool_id:
        return Position(number, 0)
    end, seed = HEADER_OCTETS, checksum_seed(spool_id, number)
    with segment_path(directory, number).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while end < size:
            piece = read_piece(file.fileno(), end, min(PIECE_OCTETS, size - end))
            found = _whole(piece, end, seed, final=end + len(piece) >= size)
            if found == end:
                break
            end = found
    return Position(number, end)


def _whole(piece: bytes, offset: int, seed: int, *, final: bool) -> int:
    end = offset
    for found in scan(piece, offset=offset, seed=seed, final=final):
        if not isinstance(found, Frame):
            break
        end = found.end
    return end


def remove_copy(kept: Kept, *, cursor: Position, cuts: Sequence[Cut]) -> bool:
    """Remove a whole copy if nobody writes it and PostgreSQL has all of it; tell whether it is gone."""
    try:
        lock = lock_directory(kept.directory)
    except BlockingIOError:
        return False
    try:
        if undrained_records(kept.directory, cursor, recover(kept.directory).tail, cuts):
            return False
        discard(kept.directory)
    finally:
        os.close(lock)
    return True


def discard(directory: Path) -> None:
    """Remove a copy that the caller holds: who connects meanwhile begins another one, and finds none half removed."""
    gone = directory.with_name(directory.name + _REMOVED)
    directory.rename(gone)
    _remove(gone)


def sweep(root: Path) -> None:
    """Remove what is left of copies that were being removed when something stopped it."""
    for path in root.glob(f"*/*{_REMOVED}"):
        _remove(path)


def _remove(folder: Path) -> None:
    """Remove a folder that somebody else may be removing just now: a command and the daemon sweep the same ones."""
    while folder.exists():
        with suppress(FileNotFoundError):  # he came first: what is left is looked at anew
            shutil.rmtree(folder)
