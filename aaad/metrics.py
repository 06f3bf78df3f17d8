"""Counters in shared memory: one mapped file per process slot, so that sums survive a crash.

A role adds to its own file with two plain memory operations and never speaks to anybody; the control role reads
every file and renders them for Prometheus. Names are written into the file, so a reader needs no other knowledge:

    aaad_radius_requests_total|code=access_request      a counter with one label
    aaad_replica_polled_at_seconds                      a gauge (no _total): microseconds, rendered as seconds
    aaad_radius_answer_seconds%12                       a histogram's bucket: values below 2**12 microseconds

Never a login's name, an address or another open set as a label (rule: labels come from enums).
"""

import mmap
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import msgspec

_MAGIC = b"AAADCNT1"
_HEADER_LENGTH_OCTETS = 4
_CELL_OCTETS = 8
LATENCY_BUCKETS = 25  # bucket n counts below 2**n microseconds; the last holds all that took over 8.4 s


def histogram(name: str) -> list[str]:
    """Return the names of one histogram's buckets."""
    return [f"{name}%{power}" for power in range(LATENCY_BUCKETS)]


class CounterFile:
    """The counters of one process slot. `cells[i]` is the value of `names[i]`, an unsigned 64-bit number."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        """Open the file or make it; sums under names that stay are kept when the set of names changes."""
        if len(set(names)) != len(names):
            raise ValueError("two counters of one name")
        self.names = tuple(names)
        self.index = {name: position for position, name in enumerate(self.names)}
        kept = read_counters(path)
        if kept is None or tuple(kept) != self.names:
            _write(path, self.names, kept or {})
        descriptor = os.open(path, os.O_RDWR)
        try:
            self._map = mmap.mmap(descriptor, 0)
        finally:
            os.close(descriptor)
        start = _cells_start(bytes(self._map[: len(_MAGIC) + _HEADER_LENGTH_OCTETS]))
        self.cells = memoryview(self._map)[start : start + _CELL_OCTETS * len(self.names)].cast("Q")

    def add(self, name: str, amount: int = 1) -> None:
        """Add to a counter by name; the request path uses `cells` and positions instead."""
        self.cells[self.index[name]] += amount

    def set_seconds(self, name: str, seconds: float) -> None:
        """Set a gauge of seconds."""
        self.cells[self.index[name]] = int(seconds * 1e6)

    def set(self, name: str, value: int) -> None:
        """Set a gauge that is a plain number."""
        self.cells[self.index[name]] = value


def _cells_start(head: bytes) -> int:
    length = int.from_bytes(head[len(_MAGIC) :], "little")
    end = len(_MAGIC) + _HEADER_LENGTH_OCTETS + length
    return -(-end // _CELL_OCTETS) * _CELL_OCTETS


def _write(path: Path, names: Sequence[str], kept: dict[str, int]) -> None:
    header = msgspec.msgpack.encode(list(names))
    head = _MAGIC + len(header).to_bytes(_HEADER_LENGTH_OCTETS, "little") + header
    head = head.ljust(_cells_start(head[: len(_MAGIC) + _HEADER_LENGTH_OCTETS]), b"\0")
    cells = b"".join(kept.get(name, 0).to_bytes(_CELL_OCTETS, "little") for name in names)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(head + cells)
    fresh.replace(path)


def read_counters(path: Path) -> dict[str, int] | None:
    """Return every counter of a file by name, or None if there is no such file or it cannot be read."""
    try:
        data = path.read_bytes()
        if data[: len(_MAGIC)] != _MAGIC:
            return None
        start = _cells_start(data[: len(_MAGIC) + _HEADER_LENGTH_OCTETS])
        header_start = len(_MAGIC) + _HEADER_LENGTH_OCTETS
        header_length = int.from_bytes(data[len(_MAGIC) : header_start], "little")
        names = msgspec.msgpack.decode(data[header_start : header_start + header_length], type=list[str])
        cells = struct.unpack_from(f"={len(names)}Q", data, start)
        return dict(zip(names, cells, strict=True))
    except (OSError, struct.error, msgspec.DecodeError, UnicodeDecodeError):
        return None
