"""A spool's figures for `aaad status` and /metrics, from files alone: PostgreSQL and the roles may be away."""

from dataclasses import dataclass
from pathlib import Path

from aaad.errors import SpoolError
from aaad.spool.directory import (
    has_writer,
    occupied_octets,
    read_drained,
    read_header,
    read_tail,
    segment_numbers,
    segment_path,
)
from aaad.spool.reader import SpoolReader
from aaad.spool.segment import START, Tail


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolStatus:
    """How one slot's spool stands."""

    slot: str
    spool_id: str
    is_written: bool  # a process has it open for writing
    segments: int
    occupied_bytes: int
    undrained_records: int
    undrained_bytes: int
    oldest_age_s: float  # of the oldest undrained record; 0 when there is none
    append_rate_per_s: float  # over the life of the segment being written
    set_aside_bytes: int


def spool_statuses(root: Path, *, now_s: float) -> list[SpoolStatus]:
    """Return the status of every slot's spool below the root, in order of name."""
    slots = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    found = []
    for slot in slots:
        try:
            found.append(read_status(slot, now_s=now_s))
        except (OSError, SpoolError):
            continue  # no spool, one that is just being made, or one whose segment was just removed
    return found


def read_status(directory: Path, *, now_s: float) -> SpoolStatus:
    """Return one spool's status; SpoolError if the directory holds no spool."""
    reader = SpoolReader(directory)
    nothing = Tail(START, 0)
    tail, drained = read_tail(directory) or nothing, read_drained(directory) or nothing
    try:
        first = reader.read(drained.position, records_max=1).frames
    finally:
        reader.close()
    set_aside = directory / "set_aside.jsonl"
    return SpoolStatus(
        slot=directory.name,
        spool_id=str(reader.spool_id),
        is_written=has_writer(directory),
        segments=len(segment_numbers(directory)),
        occupied_bytes=occupied_octets(directory),
        undrained_records=tail.next_sequence - first[0].sequence if first else 0,
        undrained_bytes=_undrained_octets(directory, drained, tail) if first else 0,
        oldest_age_s=max(0.0, now_s - first[0].at_s) if first else 0.0,
        append_rate_per_s=_append_rate(directory, tail, now_s),
        set_aside_bytes=set_aside.stat().st_size if set_aside.exists() else 0,
    )


def _undrained_octets(directory: Path, drained: Tail, tail: Tail) -> int:
    begin, end = drained.position, tail.position
    if begin.segment == end.segment:
        return max(0, end.offset - begin.offset)
    between = [number for number in segment_numbers(directory) if begin.segment <= number < end.segment]
    whole = sum(segment_path(directory, number).stat().st_size for number in between)
    return whole - begin.offset + end.offset


def _append_rate(directory: Path, tail: Tail, now_s: float) -> float:
    if not tail.position.segment:
        return 0.0
    header = read_header(directory, tail.position.segment)
    if header is None:
        return 0.0
    return (tail.next_sequence - header.first_sequence) / max(1.0, now_s - header.created_us / 1e6)
