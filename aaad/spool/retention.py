"""When drained segments go (rule R6.1): they stay for a failover that lost commits, never an undrained one goes.

A drained segment is marked on itself: mode 0400, modified at the instant at which PostgreSQL had all of it. The drain
removes what was drained long enough ago, and sooner when room runs out. While PostgreSQL is away the drain removes
nothing, and then room is needed most: so a writer without room takes the oldest itself, if it was drained so long ago
that no failover can want it again, and not while PostgreSQL says that it does.
"""

import os
import stat
from pathlib import Path
from typing import NamedTuple

from aaad.spool.directory import occupied_octets, read_drained, segment_numbers, segment_path

_DRAINED_MODE = 0o400
_ROOM_SHARE = 0.75  # drained segments give way before they make the writer refuse
FOR_SURE_S = 600.0  # a standby that is further behind than this is no place for a failover


class Removed(NamedTuple):
    """How many segments went, and how many of them before their time, for want of room."""

    removed: int
    early: int


def mark_drained(directory: Path, number: int, *, now_s: float) -> None:
    """Note on a segment that all of it is in PostgreSQL since now."""
    path = segment_path(directory, number)
    try:
        os.utime(path, (now_s, now_s))
        path.chmod(_DRAINED_MODE)
    except FileNotFoundError:
        return


def remove_drained(directory: Path, *, before: int, now_s: float, keep_s: float, bytes_max: int) -> Removed:
    """Remove segments below number `before` that were drained `keep_s` ago, or sooner when room runs out."""
    drained = [number for number in segment_numbers(directory) if number < before]
    occupied = occupied_octets(directory) if drained else 0
    removed = early = 0
    for number in drained:
        path = segment_path(directory, number)
        try:
            status = path.stat()
            if not _is_marked(status):
                mark_drained(directory, number, now_s=now_s)
                status = path.stat()
            is_due = status.st_mtime + keep_s <= now_s
            if not (is_due or occupied > bytes_max * _ROOM_SHARE):
                continue
            path.unlink()
        except FileNotFoundError:  # the writer needed its room
            continue
        occupied -= status.st_size
        removed += 1
        early += not is_due
    return Removed(removed, early)


def give_way(directory: Path, *, now_s: float) -> bool:
    """Remove the oldest segment, if it was drained for sure; tell whether there is more room now."""
    drained = read_drained(directory)
    for number in segment_numbers(directory):
        if drained is None or number >= drained.position.segment:
            return False
        path = segment_path(directory, number)
        try:
            status = path.stat()
            if not _is_marked(status) or status.st_mtime + FOR_SURE_S > now_s:
                return False
            path.unlink()
        except FileNotFoundError:  # the drain came first
            continue
        return True
    return False


def _is_marked(status: os.stat_result) -> bool:
    return not stat.S_IMODE(status.st_mode) & stat.S_IWUSR
