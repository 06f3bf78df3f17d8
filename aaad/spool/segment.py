"""The form of a spool segment: header, framed records, and finding the good ones again after damage.

Pure: no I/O, no clock. A segment is a preallocated file; its first block is the header, never rewritten, and
records follow, each aligned to 8 octets. A record's checksum covers where it stands (spool, segment, offset),
so neither a block that a disk put in the wrong place nor octets that a stranger placed inside a record's
payload can pass for a record. Rule R6; integers are little endian.
"""

from collections.abc import Iterable, Iterator
from struct import Struct
from struct import error as StructError  # noqa: N812  the library's own name says too little
from typing import NamedTuple
from uuid import UUID
from zlib import crc32

import msgspec

from aaad.errors import SpoolError

VERSION = 1
HEADER_OCTETS = 4096  # one block of its own: appending never rewrites the block that the header stands in
RECORD_OCTETS_MAX = 16384  # far above a RADIUS packet's 4096; bounds what a damaged length can claim
SEGMENT_OCTETS_MIN = 1 << 16
SEGMENT_OCTETS_MAX = 1 << 31  # an offset must fit the lower half of the published tail

_MAGIC = b"AAADSPL\n"
_MARKER = b"\xaa\xad\x5b\xd0"
_ALIGNMENT_OCTETS = 8
_SLOT_OCTETS_MAX = 32
# magic, version, spool, life, number, created (microseconds), previous segment, its valid end, first sequence, slot
_HEADER = Struct("<8sQ16s16sQQQQQ32s")
_CHECKSUM = Struct("<I")
_FRAME = Struct("<4sIIIQ")  # marker, checksum, length, time (Unix seconds), sequence
_FRAME_CHECKED = Struct("<IIQ")  # the part of the frame's head that the checksum covers
_TAIL = Struct("<QQ")

_pack_checked, _pack_checksum = _FRAME_CHECKED.pack, _CHECKSUM.pack
_unpack_frame = _FRAME.unpack_from
_CHECKED_OCTETS = _FRAME_CHECKED.size
_UNCHECKED_OCTETS = _FRAME.size - _CHECKED_OCTETS
_PADDINGS = tuple(bytes(-place % _ALIGNMENT_OCTETS) for place in range(_ALIGNMENT_OCTETS))

FRAME_OCTETS = _FRAME.size
OVERHEAD_OCTETS_MAX = FRAME_OCTETS + _ALIGNMENT_OCTETS - 1  # of a record: what a frame adds to it at most
TAIL_OCTETS = _TAIL.size


class Position(NamedTuple):
    """A place in a spool. Positions order as the records do."""

    segment: int
    offset: int


START = Position(0, 0)  # before the first segment; segments are numbered from 1


class Header(NamedTuple):
    """What a segment says about itself, and how far the one before it is valid."""

    spool_id: UUID
    life: UUID  # of the process that wrote it
    slot: str
    number: int
    created_us: int  # Unix microseconds
    previous: Position  # the segment before this one and its valid end; START for the first
    first_sequence: int


class Cut(NamedTuple):
    """What a writer said when it handed a batch over: of its life nothing behind `position` counts, up to a segment.

    So that octets of the batch which did reach the failing disk are not applied a second time.
    """

    life: UUID
    position: Position
    last_segment: int


class Tail(NamedTuple):
    """What is durable: everything before `position`; the next record gets `next_sequence`."""

    position: Position
    next_sequence: int


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One whole record and where it stands in its segment."""

    offset: int
    end: int
    sequence: int
    at_s: int  # Unix seconds at which it was appended
    payload: bytes


class Damage(NamedTuple):
    """Octets that are no record."""

    offset: int
    end: int


def encode_header(header: Header) -> bytes:
    """Return the header's block."""
    slot = header.slot.encode()
    if len(slot) > _SLOT_OCTETS_MAX:
        raise SpoolError(f"slot name {header.slot!r} is longer than {_SLOT_OCTETS_MAX} octets")
    body = _HEADER.pack(
        _MAGIC,
        VERSION,
        header.spool_id.bytes,
        header.life.bytes,
        header.number,
        header.created_us,
        header.previous.segment,
        header.previous.offset,
        header.first_sequence,
        slot,
    )
    return (body + _CHECKSUM.pack(crc32(body))).ljust(HEADER_OCTETS, b"\0")


def decode_header(block: bytes) -> Header:
    """Return the header in a segment's first block; SpoolError if it is damaged or of another version."""
    try:
        fields = _HEADER.unpack_from(block)
        (checksum,) = _CHECKSUM.unpack_from(block, _HEADER.size)
    except StructError as error:
        raise SpoolError("a segment's header is cut off") from error
    magic, version, spool, life, number, created, previous, previous_end, first, slot = fields
    if magic != _MAGIC or checksum != crc32(block[: _HEADER.size]):
        raise SpoolError("a segment's header is damaged")
    if version != VERSION:
        raise SpoolError(f"a segment of version {version} cannot be read by version {VERSION}")
    name = slot.rstrip(b"\0").decode()
    return Header(UUID(bytes=spool), UUID(bytes=life), name, number, created, Position(previous, previous_end), first)


def encode_tail(tail: Tail) -> bytes:
    """Return the published tail: position as segment << 32 | offset, then the next sequence."""
    return _TAIL.pack(tail.position.segment << 32 | tail.position.offset, tail.next_sequence)


def decode_tail(data: bytes) -> Tail | None:
    """Return the tail, None if there is none."""
    if len(data) < TAIL_OCTETS:
        return None
    position, next_sequence = _TAIL.unpack_from(data)
    return Tail(Position(position >> 32, position & 0xFFFFFFFF), next_sequence) if position else None


def checksum_seed(spool_id: UUID, number: int) -> int:
    """Return what every checksum of one segment starts from; known without its header."""
    return crc32(number.to_bytes(8, "little"), crc32(spool_id.bytes))


def frame_octets(length: int) -> int:
    """Return how much room a record of this length takes."""
    return -(-(FRAME_OCTETS + length) // _ALIGNMENT_OCTETS) * _ALIGNMENT_OCTETS


def encode_frames(entries: Iterable[tuple[bytes, int]], *, offset: int, sequence: int, seed: int) -> bytes:
    """Frame records, each with the Unix second at which it was appended, for the place at which they will stand."""
    parts: list[bytes] = []
    for payload, at_s in entries:
        length = len(payload)
        checked = _pack_checked(length, at_s, sequence)
        checksum = crc32(payload, crc32(checked, seed ^ offset))
        padding = _PADDINGS[(FRAME_OCTETS + length) % _ALIGNMENT_OCTETS]
        parts += (_MARKER, _pack_checksum(checksum), checked, payload, padding)
        offset += FRAME_OCTETS + length + len(padding)
        sequence += 1
    return b"".join(parts)


class _Open:
    """A frame that may go on beyond the octets at hand."""


_OPEN = _Open()


def _frame_at(data: bytes, start: int, base: int, seed: int, final: bool) -> Frame | _Open | None:
    if len(data) - start < FRAME_OCTETS:
        return None if final else _OPEN
    marker, checksum, length, at_s, sequence = _unpack_frame(data, start)
    if marker != _MARKER or length > RECORD_OCTETS_MAX:
        return None
    size = FRAME_OCTETS + length
    end = start + size + -size % _ALIGNMENT_OCTETS
    if end > len(data):
        return None if final else _OPEN
    checked = data[start + _UNCHECKED_OCTETS : start + size]
    if crc32(checked, seed ^ (base + start)) != checksum:
        return None
    return Frame(base + start, base + end, sequence, at_s, checked[_CHECKED_OCTETS:])


def _next_marker(data: bytes, start: int) -> int:
    while (found := data.find(_MARKER, start)) != -1:
        if found % _ALIGNMENT_OCTETS == 0:
            return found
        start = found + 1
    return len(data)


def scan(data: bytes, *, offset: int, seed: int, final: bool = True) -> Iterator[Frame | Damage]:
    """Yield the whole records in a piece of a segment, in order, and the damage between them.

    `offset` is where the piece begins, a multiple of 8. When it is not `final`, a record that may go on behind
    the piece ends the scan without a word: read on from the end of what was yielded. A piece of at least one
    greatest record always yields something.
    """
    start, damaged_from = 0, -1
    while start < len(data):
        frame = _frame_at(data, start, offset, seed, final)
        if frame is None:
            damaged_from = start if damaged_from < 0 else damaged_from
            start = _next_marker(data, start + _ALIGNMENT_OCTETS)
            continue
        if damaged_from >= 0:
            yield Damage(offset + damaged_from, offset + start)
            damaged_from = -1
        if isinstance(frame, _Open):
            return
        yield frame
        start = frame.end - offset
    if damaged_from >= 0:
        yield Damage(offset + damaged_from, offset + len(data))
