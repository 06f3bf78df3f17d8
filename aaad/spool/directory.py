"""What lies in one slot's spool directory, and the small files beside the segments.

    spool_id            16 octets as text: which spool this is, for good
    lock                held by the one writer while it lives
    tail                how far the records are durable, published by the writer
    drained             how far PostgreSQL has them, a copy for status and gauges; the truth is net.spool_cursor
    mirrored            how far the mirror has confirmed them, for status and gauges
    adopted             only in what was a mirror of another node's spool and is drained here now
    0000000001.segment  ...; mode 0400 and modified at the instant it was drained, once it is
    set_aside.jsonl     records that nobody could read, bounded

Knows names and octets, never what a record means. Reading is by pread, never by mapping: a truncated file or a
bad sector must be an error, not a signal.
"""

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid4

from aaad.errors import SpoolError
from aaad.spool.segment import (
    HEADER_OCTETS,
    RECORD_OCTETS_MAX,
    START,
    TAIL_OCTETS,
    Damage,
    Frame,
    Header,
    Position,
    Tail,
    checksum_seed,
    decode_header,
    decode_tail,
    encode_tail,
    frame_octets,
    scan,
)

SUFFIX = ".segment"
PIECE_OCTETS = 1 << 20
_BLOCK_OCTETS = 4096
assert frame_octets(RECORD_OCTETS_MAX) <= PIECE_OCTETS  # a piece always holds the greatest record


def segment_path(directory: Path, number: int) -> Path:
    """Return where segment `number` lies."""
    return directory / f"{number:010d}{SUFFIX}"


def segment_numbers(directory: Path) -> list[int]:
    """Return the numbers of the segments that exist, in order."""
    names = [name[: -len(SUFFIX)] for name in os.listdir(directory) if name.endswith(SUFFIX)]
    return sorted(int(name) for name in names if name.isdecimal())


def occupied_octets(directory: Path) -> int:
    """Return how much disk the segments take."""
    return sum(_size(segment_path(directory, number)) for number in segment_numbers(directory))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # drained segments go while others look
        return 0


def read_header(directory: Path, number: int) -> Header | None:
    """Return a segment's header, None if it is damaged; OSError if it cannot be read at all."""
    with segment_path(directory, number).open("rb") as file:
        block = file.read(HEADER_OCTETS)
    try:
        header = decode_header(block)
    except SpoolError:
        return None
    return header if header.number == number else None


def find_spool_id(directory: Path) -> UUID | None:
    """Return this spool's id from its file, else from its newest readable header, else None."""
    try:
        return UUID((directory / "spool_id").read_text().strip())
    except (FileNotFoundError, ValueError):
        pass
    for number in reversed(segment_numbers(directory)):
        if (header := read_header(directory, number)) is not None:
            return header.spool_id
    return None


def make_spool_id(directory: Path) -> UUID:
    """Return this spool's id; a new directory gets one, durable before it is used."""
    spool_id = find_spool_id(directory) or uuid4()
    write_spool_id(directory, spool_id)
    return spool_id


def write_spool_id(directory: Path, spool_id: UUID) -> None:
    """Say durably which spool this is, if it is not said yet."""
    path = directory / "spool_id"
    if not path.exists() or path.read_text().strip() != str(spool_id):
        fresh = directory / "spool_id.new"
        with fresh.open("w") as file:
            file.write(f"{spool_id}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        sync_directory(directory)


def sync_directory(directory: Path, sync: Callable[[int], None] = os.fsync) -> None:
    """Make the directory's entries durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def read_tail(directory: Path) -> Tail | None:
    """Return the published tail, None if there is none."""
    return _read_small(directory / "tail")


def read_drained(directory: Path) -> Tail | None:
    """Return how far this spool was drained as far as the files know: position, first undrained sequence."""
    return _read_small(directory / "drained")


def write_tail(directory: Path, tail: Tail) -> None:
    """Publish how far the records are durable."""
    _write_small(directory / "tail", tail)


def write_drained(directory: Path, drained: Tail) -> None:
    """Leave a copy of the cursor for status and gauges. Not made durable: PostgreSQL has the truth."""
    _write_small(directory / "drained", drained)


def read_mirrored(directory: Path) -> Tail | None:
    """Return how far the mirror has confirmed this spool: position, first sequence that it may not have."""
    return _read_small(directory / "mirrored")


def write_mirrored(directory: Path, mirrored: Tail) -> None:
    """Leave a note of how far the mirror has confirmed this spool. Not made durable."""
    _write_small(directory / "mirrored", mirrored)


def forget_mirrored(directory: Path) -> None:
    """The mirror has nothing, or is none any more."""
    (directory / "mirrored").unlink(missing_ok=True)


def is_adopted(directory: Path) -> bool:
    """Return whether this was a mirror of another node's spool: it may end before what is drained."""
    return (directory / "adopted").exists()


def octets_between(directory: Path, begin: Position, end: Position) -> int:
    """Return how many octets of segments lie between two places."""
    if begin >= end:
        return 0
    if begin.segment == end.segment:
        return end.offset - begin.offset
    between = [number for number in segment_numbers(directory) if begin.segment <= number < end.segment]
    whole = sum(_size(segment_path(directory, number)) for number in between)
    return max(0, whole - begin.offset + end.offset)


def _write_small(path: Path, tail: Tail) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(descriptor, encode_tail(tail), 0)
    finally:
        os.close(descriptor)


def _read_small(path: Path) -> Tail | None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return decode_tail(os.pread(descriptor, TAIL_OCTETS, 0))
    finally:
        os.close(descriptor)


def lock_directory(directory: Path) -> int:
    """Become the only writer of this directory until the descriptor is closed; BlockingIOError if there is one."""
    return _lock(directory, fcntl.LOCK_EX)


def has_writer(directory: Path) -> bool:
    """Return whether some process writes this spool now."""
    try:
        os.close(_lock(directory, fcntl.LOCK_SH))
    except BlockingIOError:
        return True
    return False


def _lock(directory: Path, kind: int) -> int:
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        _check_in_place(descriptor, directory)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_in_place(descriptor: int, directory: Path) -> None:
    """Whoever moves or removes a folder holds its lock: one that is not the folder's any more says nothing."""
    try:
        if os.path.samestat(os.fstat(descriptor), (directory / "lock").stat()):
            return
    except FileNotFoundError:
        pass
    raise BlockingIOError(errno.EAGAIN, "the folder is being moved or removed", str(directory))


def read_piece(descriptor: int, offset: int, length: int) -> bytes:
    """Return octets of a file; blocks that the disk cannot read come back as zeros, which are no records."""
    try:
        return os.pread(descriptor, length, offset)
    except OSError:
        return b"".join(
            _read_block(descriptor, place, min(_BLOCK_OCTETS, offset + length - place))
            for place in range(offset, offset + length, _BLOCK_OCTETS)
        )


def _read_block(descriptor: int, offset: int, length: int) -> bytes:
    try:
        return os.pread(descriptor, length, offset)
    except OSError:
        return bytes(length)


class Contents:
    """What one sealed or abandoned segment holds: where its records end, and the last one's sequence."""

    def __init__(self, directory: Path, number: int, spool_id: UUID) -> None:
        """Scan the whole segment, however much of it is damaged; OSError if it cannot be opened."""
        self.end = HEADER_OCTETS
        self.last_sequence: int | None = None
        seed = checksum_seed(spool_id, number)
        with segment_path(directory, number).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            offset = HEADER_OCTETS
            while offset < size:
                piece = read_piece(file.fileno(), offset, min(PIECE_OCTETS, size - offset))
                offset = self._add(piece, offset, seed, final=offset + len(piece) >= size)

    def _add(self, piece: bytes, offset: int, seed: int, final: bool) -> int:
        end = offset
        for found in scan(piece, offset=offset, seed=seed, final=final):
            end = found.end
            match found:
                case Frame():
                    self.end, self.last_sequence = found.end, found.sequence
                case Damage():
                    pass
        return end


class Recovered(NamedTuple):
    """What a spool's directory holds when a writer, or the drain in its place, comes to it."""

    spool_id: UUID
    tail: Tail


def recover(directory: Path) -> Recovered:
    """Find the end of the newest segment and publish it. The caller holds the lock.

    The published tail itself is not trusted: after a power cut it may be older than what was made durable.
    What is found beyond it was never answered, or was handed over and is cut off by net.spool_handoff.
    """
    spool_id = make_spool_id(directory)
    numbers = segment_numbers(directory)
    if not numbers:
        return Recovered(spool_id, Tail(START, 0))
    newest = numbers[-1]
    contents = Contents(directory, newest, spool_id)
    if contents.last_sequence is not None:
        next_sequence = contents.last_sequence + 1
    else:
        header = read_header(directory, newest)
        next_sequence = header.first_sequence if header is not None else 0
    tail = Tail(Position(newest, contents.end), next_sequence)
    write_tail(directory, tail)
    return Recovered(spool_id, tail)
