"""Puts batches of records on disk: opens, rotates and condemns segments. For one thread, which it may block.

Rules R6.2 and R6.3: a batch is durable when `append` returns; when it raises OSError nothing of the batch counts.
A segment on which anything failed is never written or synced again (after a failed fsync the kernel may have
thrown the pages away and call the next one a success): the next segment's header says how far it is valid.
Nothing is ever appended to a segment that an earlier life of the process opened. A folder that somebody removed
or moved away is given up, and a new spool with an id of its own begun in its place.
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID, uuid4

from aaad.clock import wall_ns, wall_s
from aaad.spool.directory import (
    lock_directory,
    occupied_octets,
    recover,
    segment_numbers,
    segment_path,
    sync_directory,
)
from aaad.spool.retention import give_way
from aaad.spool.segment import (
    HEADER_OCTETS,
    START,
    Cut,
    Header,
    Position,
    Tail,
    checksum_seed,
    encode_frames,
    encode_header,
    encode_tail,
)

Write = Callable[[int, bytes, int], int]  # os.pwrite
Sync = Callable[[int], None]  # os.fdatasync
Copy = Callable[[UUID, int, int, bytes], None]  # spool, segment, offset, octets that are about to be written there

Entry = tuple[bytes, int]  # a record and the Unix second at which it was appended

WITHOUT_ROOM = (errno.ENOSPC, errno.EDQUOT)

_LOCK_TRIES = 20  # the drain holds the lock for a moment when it looks at a spool without a writer
_LOCK_PAUSE_S = 0.05


class _Segment:
    """One open segment: its descriptor and how far it is durable."""

    def __init__(self, descriptor: int, number: int, seed: int) -> None:
        self.descriptor = descriptor
        self.number = number
        self.seed = seed
        self.end = HEADER_OCTETS


class Appender:
    """The segments of one spool, written in order."""

    def __init__(
        self,
        directory: Path,
        *,
        slot: str,
        segment_bytes: int,
        bytes_max: int,
        write: Write = os.pwrite,
        sync: Sync = os.fdatasync,
        copy: Copy | None = None,
    ) -> None:
        """Touch nothing yet: the disk may be the very thing that is broken. `copy` never raises."""
        self._directory = directory
        self._slot = slot
        self.life = uuid4()
        self._segment_bytes = segment_bytes
        self._bytes_max = bytes_max
        self._write = write
        self._sync = sync
        self._copy = copy
        self._lock: int | None = None
        self._tail_descriptor: int | None = None
        self._segment: _Segment | None = None
        self._last_number = 0
        self.condemned = 0
        self.removed = 0  # drained segments that gave way
        self.spool_id: UUID | None = None
        self.tail = Tail(START, 0)

    @property
    def cut(self) -> Cut:
        """Behind what, and up to which segment, nothing of this life counts so far."""
        return Cut(self.life, self.tail.position, self._last_number)

    def load(self) -> None:
        """Take the directory and find the end of what lies there; OSError if the disk does not let us."""
        if self.spool_id is not None:
            return
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._lock is None:
            self._lock = _lock_patiently(self._directory)
        recovered = recover(self._directory)
        if self._tail_descriptor is None:
            self._tail_descriptor = os.open(self._directory / "tail", os.O_WRONLY | os.O_CREAT, 0o600)
        self.tail = recovered.tail
        self._last_number = recovered.tail.position.segment
        self.spool_id = recovered.spool_id
        self._release_unused(recovered.tail.position)

    @property
    def is_in_place(self) -> bool:
        """Whether what is open still lies where the drain looks for it."""
        segment = self._segment
        return self._is_tail_in_place() and (
            segment is None or _is_at(segment.descriptor, segment_path(self._directory, segment.number))
        )

    def _is_tail_in_place(self) -> bool:
        return self._tail_descriptor is None or _is_at(self._tail_descriptor, self._directory / "tail")

    def append(self, batch: Sequence[Entry], octets: int) -> None:
        """Make these records durable and publish them; OSError if that is not so, and then none of them counts.

        `octets`: how much room they take framed.
        """
        segment = self._segment
        if segment is None or segment.end + octets > self._segment_bytes:
            segment = self.open_segment()
        try:
            self._append_to(segment, batch)
        except OSError:
            self._condemn(segment)
            raise

    def _append_to(self, segment: _Segment, batch: Sequence[Entry]) -> None:
        sequence = self.tail.next_sequence
        frames = encode_frames(batch, offset=segment.end, sequence=sequence, seed=segment.seed)
        if self._copy is not None and self.spool_id is not None:
            self._copy(self.spool_id, segment.number, segment.end, frames)  # on its way while our own disk works
        self._write_all(segment.descriptor, frames, segment.end)
        self._sync(segment.descriptor)
        assert self._tail_descriptor is not None
        if not os.fstat(segment.descriptor).st_nlink or not os.fstat(self._tail_descriptor).st_nlink:
            # Before the tail: the drain may still have the segment open, and the batch is stored once more elsewhere.
            raise OSError(errno.ESTALE, "the spool's files were removed")
        # The tail is written and not mapped: on a file system that turned read-only a store would be a SIGBUS.
        end = segment.end + len(frames)
        tail = Tail(Position(segment.number, end), sequence + len(batch))
        self._write_all(self._tail_descriptor, encode_tail(tail), 0)
        segment.end, self.tail = end, tail

    def _write_all(self, descriptor: int, data: bytes, offset: int) -> None:
        written = self._write(descriptor, data, offset)
        while written < len(data):  # a disk that runs full takes a part; the next try says why
            more = self._write(descriptor, data[written:], offset + written)
            if more == 0:
                raise OSError(errno.EIO, "the disk takes nothing")
            written += more

    def open_segment(self) -> _Segment:
        """Begin a fresh segment; OSError if the disk or the spool's bound does not let us."""
        if not self._is_tail_in_place():
            # The folder is gone with all that waited in it: another spool. If it is still there, a new life: what
            # this one handed over cuts off its own segments by their numbers.
            self.close()
            self.life = uuid4()
        self.load()
        assert self.spool_id is not None
        self._close_segment()
        while occupied_octets(self._directory) + self._segment_bytes > self._bytes_max:
            if not self._make_room():
                raise OSError(errno.EDQUOT, f"the spool's own bound of {self._bytes_max} octets is reached")
        self._last_number = max([self._last_number, *segment_numbers(self._directory)]) + 1
        number = self._last_number  # spent even if opening fails: a life never uses a number twice
        header = Header(
            spool_id=self.spool_id,
            life=self.life,
            slot=self._slot,
            number=number,
            created_us=wall_ns() // 1000,
            previous=self.tail.position,
            first_sequence=self.tail.next_sequence,
        )
        descriptor = self._create_somehow(number, encode_header(header))
        self._segment = _Segment(descriptor, number, checksum_seed(self.spool_id, number))
        return self._segment

    def _make_room(self) -> bool:
        has_room = give_way(self._directory, now_s=wall_s())
        self.removed += has_room
        return has_room

    def _create_somehow(self, number: int, header: bytes) -> int:
        """Make the file, on a full disk in the place of drained ones."""
        while True:
            try:
                return self._create(number, header)
            except OSError as error:
                if error.errno not in WITHOUT_ROOM or not self._make_room():
                    raise

    def _create(self, number: int, header: bytes) -> int:
        """Make the file under another name and rename it: under its own name its header is always whole."""
        fresh, path = self._directory / "fresh", segment_path(self._directory, number)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._segment_bytes)
            self._write_all(descriptor, header, 0)
            self._sync(descriptor)
            fresh.rename(path)
            sync_directory(self._directory, self._sync)
        except BaseException:
            os.close(descriptor)
            for leftover in (fresh, path):
                with contextlib.suppress(OSError):
                    leftover.unlink()
            raise
        return descriptor

    def _condemn(self, segment: _Segment) -> None:
        """Leave a segment on which something failed; what was durable before stays valid."""
        self._segment = None
        self.condemned += 1
        with contextlib.suppress(OSError):
            os.close(segment.descriptor)
        if segment.end == HEADER_OCTETS:
            # Nothing in it counts. If it cannot be removed it is passed over: no later header names it.
            with contextlib.suppress(OSError):
                segment_path(self._directory, segment.number).unlink()
        else:
            self._release_unused(Position(segment.number, segment.end))

    def _release_unused(self, end: Position) -> None:
        """Give back what was preallocated behind the valid end. Only tidiness: the next header says it too."""
        with contextlib.suppress(OSError):
            os.truncate(segment_path(self._directory, end.segment), end.offset)

    def _close_segment(self) -> None:
        if self._segment is not None:
            path = segment_path(self._directory, self._segment.number)
            if _is_at(self._segment.descriptor, path):
                self._release_unused(Position(self._segment.number, self._segment.end))
            os.close(self._segment.descriptor)
            self._segment = None

    def close(self) -> None:
        """Let go of the directory."""
        self._close_segment()
        self.tail, self._last_number = Tail(START, 0), 0
        for descriptor in (self._tail_descriptor, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._tail_descriptor = self._lock = self.spool_id = None


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _lock_patiently(directory: Path) -> int:
    for _ in range(_LOCK_TRIES - 1):
        try:
            return lock_directory(directory)
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE_S)
    return lock_directory(directory)
