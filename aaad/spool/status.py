"""A spool's figures for `aaad status` and /metrics, from files alone: PostgreSQL and the roles may be away."""

from dataclasses import dataclass
from pathlib import Path

from aaad.errors import SpoolError
from aaad.spool.directory import (
    has_writer,
    occupied_octets,
    octets_between,
    read_drained,
    read_header,
    read_mirrored,
    read_tail,
    segment_numbers,
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
    records_at_risk: int  # of these, what no mirror has confirmed
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
    # What stands at the cursor may be void, which only PostgreSQL knows: the drain leaves word that it is through.
    if tail.next_sequence and drained.next_sequence == tail.next_sequence:
        first = []
    undrained = tail.next_sequence - first[0].sequence if first else 0
    set_aside = directory / "set_aside.jsonl"
    mirrored = read_mirrored(directory) or nothing
    return SpoolStatus(
        slot=directory.name,
        spool_id=str(reader.spool_id),
        is_written=has_writer(directory),
        segments=len(segment_numbers(directory)),
        occupied_bytes=occupied_octets(directory),
        undrained_records=undrained,
        records_at_risk=max(0, min(undrained, tail.next_sequence - mirrored.next_sequence)),
        undrained_bytes=octets_between(directory, drained.position, tail.position) if first else 0,
        oldest_age_s=max(0.0, now_s - first[0].at_s) if first else 0.0,
        append_rate_per_s=_append_rate(directory, tail, now_s),
        set_aside_bytes=set_aside.stat().st_size if set_aside.exists() else 0,
    )


def _append_rate(directory: Path, tail: Tail, now_s: float) -> float:
    if not tail.position.segment:
        return 0.0
    header = read_header(directory, tail.position.segment)
    if header is None:
        return 0.0
    return (tail.next_sequence - header.first_sequence) / max(1.0, now_s - header.created_us / 1e6)
