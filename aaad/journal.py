"""The journal: every decision of the last days with its facts, in mapped files of fixed size (rule R9.3).

One writer per process slot appends with two memory operations; the kernel brings the pages to the disk in its own
time, so entries survive a crash of the process at once and a crash of the machine but for the last seconds. Any
process may read at any time and sees an entry as soon as it is written. The whole is bounded: when the last segment
is full the oldest is deleted. When the disk gives no room, entries are dropped and counted, never waited for.

It never holds a secret: a body is public octets by contract (decoded by `aaad.radius.explain`). It is no truth
either: nothing is decided from it.

A segment file is a head (MAGIC, then a mark of 8 random octets) and entries one behind the other:

    mark, subject (unsigned 64 bits), wall time (float), body's length (16 bits), CRC-32 of body and subject, body

All little endian. The mark makes an entry findable by searching octets backwards for mark and subject, and cannot be
guessed by those who choose octets inside bodies (user names). An entry whose CRC does not fit is torn and is skipped.
"""

import fcntl
import heapq
import mmap
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from struct import Struct

from aaad.log import get_logger
from aaad.metrics import CounterFile

_MAGIC = b"AAADJNL1"
_MARK_OCTETS = 8
_SEGMENT_HEAD_OCTETS = len(_MAGIC) + _MARK_OCTETS
_HEAD = Struct("<QQdHI")
_HEAD_OCTETS = _HEAD.size
_KEY = Struct("<QQ")
_pack_into = _HEAD.pack_into
_crc32 = zlib.crc32
_SEED_MASK = 0xFFFFFFFF
BODY_OCTETS_MAX = 65_535  # the length field has 16 bits
SEGMENT_OCTETS_MIN = 128 * 1024  # so that the longest body always fits
_SEGMENTS_MIN = 2  # one to write, one to have something to read just after a change of segments
_LOOK_OCTETS = 4 * BODY_OCTETS_MAX  # where the first whole entry of a segment is looked for
_RETRY_S = 10.0  # how long a writer without room drops entries before it asks the disk again
_SUFFIX = ".journal"
_DROPPED = "aaad_journal_dropped_total"
JOURNAL_COUNTERS = (_DROPPED,)

_log = get_logger("journal")


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision as it was written."""

    at_s: float  # Unix seconds
    slot: str  # the process slot that decided, e.g. `radius-0`
    body: bytes


class Journal:
    """The journal of one process slot, for writing. `append` never raises for want of room and never waits."""

    def __init__(
        self, directory: Path, *, segment_bytes: int, bytes_max: int, counters: CounterFile | None = None
    ) -> None:
        """Go on behind the last entry of the last run, or begin. Without room it starts in the dropping state.

        `counters`, if given, is a file with JOURNAL_COUNTERS.
        """
        if segment_bytes < SEGMENT_OCTETS_MIN:
            raise ValueError(f"segment_bytes must be at least {SEGMENT_OCTETS_MIN}")
        self.dropped = 0
        self.problem: str | None = None  # why entries are being dropped now
        self._counters = counters
        self._directory = directory
        self._segment_octets = segment_bytes
        self._segments_max = max(_SEGMENTS_MIN, bytes_max // segment_bytes)
        self._map: mmap.mmap | None = None
        self._lock_descriptor = -1
        self._mark = 0
        self._position = 0
        self._size = 0  # 0 while there is no segment: then every append takes the slow way
        self._retry_at_s = 0.0
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self._resume():
                self._next_segment()
        except OSError as error:
            self._give_up(error, 0.0)

    def append(self, subject: int, at_s: float, body: bytes) -> None:
        """Write one entry. The body comes first and the mark with it last, so no reader finds half an entry."""
        start = self._position
        body_start = start + _HEAD_OCTETS
        end = body_start + len(body)
        if end > self._size or len(body) > BODY_OCTETS_MAX:
            self._append_slowly(subject, at_s, body)
            return
        mapped = self._map
        mapped[body_start:end] = body  # type: ignore[index]  # there is a map whenever _size is not 0
        _pack_into(mapped, start, self._mark, subject, at_s, len(body), _crc32(body, subject & _SEED_MASK))  # type: ignore[arg-type]
        self._position = end

    def close(self) -> None:
        """Let go of the segment; what was appended stays readable."""
        self._size = 0
        if self._map is not None:
            self._map.close()
            self._map = None
        if self._lock_descriptor >= 0:
            os.close(self._lock_descriptor)
            self._lock_descriptor = -1

    def _append_slowly(self, subject: int, at_s: float, body: bytes) -> None:
        if len(body) > BODY_OCTETS_MAX or (self.problem is not None and at_s < self._retry_at_s):
            self._drop()
            return
        try:
            self._next_segment()
        except OSError as error:
            self._drop()
            self._give_up(error, at_s)
            return
        self.append(subject, at_s, body)

    def _drop(self) -> None:
        self.dropped += 1
        if self._counters is not None:
            self._counters.add(_DROPPED)

    def _give_up(self, error: OSError, at_s: float) -> None:
        self.close()
        self.problem = f"{error.strerror or error}: {self._directory}"
        _log.error("journal.dropping", problem=self.problem, dropped=self.dropped)
        self._retry_at_s = at_s + _RETRY_S

    def _resume(self) -> bool:
        """Open the last segment behind its last whole entry; False if it must be left as it is."""
        paths = _segment_paths(self._directory)
        if not paths or paths[-1].stat().st_size != self._segment_octets:
            return False
        data = paths[-1].read_bytes()
        mark = _mark_of(data)
        if mark is None:
            return False
        last = data.rfind(mark)
        position = _SEGMENT_HEAD_OCTETS
        if last >= _SEGMENT_HEAD_OCTETS:
            entry = _entry_at(data, last, "")
            if entry is None:
                return False  # torn by a crash of the machine: what lies behind it is not known
            position = last + _HEAD_OCTETS + len(entry.body)
        return self._open(paths[-1], mark, position, os.O_RDWR)

    def _next_segment(self) -> None:
        """Delete what is over the bound, then make and open a fresh segment."""
        self.close()
        paths = _segment_paths(self._directory)
        number = int(paths[-1].stem, 16) + 1 if paths else 0
        for old in paths[: max(0, len(paths) - self._segments_max + 1)]:
            old.unlink(missing_ok=True)
        mark = os.urandom(_MARK_OCTETS)
        path = self._directory / f"{number:016x}{_SUFFIX}"
        try:
            opened = self._open(path, mark, _SEGMENT_HEAD_OCTETS, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        if not opened:
            raise OSError(f"{path} is in use by another process")

    def _open(self, path: Path, mark: bytes, position: int, flags: int) -> bool:
        """Map a segment whole; False if another process writes it."""
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Room is taken now: a full disk must be an error here and not a SIGBUS at some store later.
            os.posix_fallocate(descriptor, 0, self._segment_octets)
            if flags & os.O_CREAT:
                os.pwrite(descriptor, _MAGIC + mark, 0)
            self._map = mmap.mmap(descriptor, self._segment_octets)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            os.close(descriptor)
            raise
        self._lock_descriptor = descriptor
        self._mark = int.from_bytes(mark, "little")
        self._position = position
        self._size = self._segment_octets
        self.problem = None
        return True


class JournalReader:
    """All slots' journals below one directory, for reading: from any process, at any time."""

    def __init__(self, root: Path) -> None:
        """Nothing is opened until something is asked."""
        self._root = root

    def find(self, subject: int, limit: int) -> list[Entry]:
        """Return the last entries about a subject over all slots, newest first. Blocking: up to 0.1 s per 100 MiB."""
        slots = (_entries(directory, subject) for directory in _directories(self._root))
        found = islice(heapq.merge(*slots, key=_newest_first), limit)
        return sorted(found, key=_newest_first)  # a clock set back may have upset a slot's order

    def oldest_at_s(self) -> float | None:
        """Return the time of the oldest entry that is kept, to tell what "no request arrived" covers."""
        firsts = (_first_entry(slot) for slot in _directories(self._root))
        return min((entry.at_s for entry in firsts if entry is not None), default=None)


def _newest_first(entry: Entry) -> float:
    return -entry.at_s


def _directories(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if path.is_dir())
    except OSError:
        return []


def _segment_paths(directory: Path) -> list[Path]:
    """Return a slot's segments, oldest first."""
    return sorted(directory.glob(f"*{_SUFFIX}"))


def _mark_of(data: bytes) -> bytes | None:
    if len(data) < _SEGMENT_HEAD_OCTETS or data[: len(_MAGIC)] != _MAGIC:
        return None
    return data[len(_MAGIC) : _SEGMENT_HEAD_OCTETS]


def _read(path: Path, octets: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(octets)
    except OSError:
        return b""  # deleted between the listing and now


def _entry_at(data: bytes, start: int, slot: str) -> Entry | None:
    """Return the entry that begins here, or None if it is torn."""
    body_start = start + _HEAD_OCTETS
    if body_start > len(data):
        return None
    _, subject, at_s, length, crc = _HEAD.unpack_from(data, start)
    body = data[body_start : body_start + length]
    if len(body) != length or _crc32(body, subject & _SEED_MASK) != crc:
        return None
    return Entry(at_s, slot, body)


def _entries(directory: Path, subject: int) -> Iterator[Entry]:
    """Yield a slot's entries about a subject, the last written first."""
    for path in reversed(_segment_paths(directory)):
        data = _read(path)
        mark = _mark_of(data)
        if mark is None:
            continue
        key = mark + subject.to_bytes(_KEY.size - _MARK_OCTETS, "little")
        end = len(data)
        while (start := data.rfind(key, _SEGMENT_HEAD_OCTETS, end)) >= 0:
            entry = _entry_at(data, start, directory.name)
            if entry is not None:
                yield entry
            end = start + len(key) - 1


def _first_entry(directory: Path) -> Entry | None:
    for path in _segment_paths(directory):
        data = _read(path, _LOOK_OCTETS)
        mark = _mark_of(data)
        start = -1 if mark is None else data.find(mark, _SEGMENT_HEAD_OCTETS)
        while start >= 0 and mark is not None:
            entry = _entry_at(data, start, directory.name)
            if entry is not None:
                return entry
            start = data.find(mark, start + 1)
    return None
