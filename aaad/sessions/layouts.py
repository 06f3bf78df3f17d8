"""Reads accounting records that are built like one read before: same kinds of attributes, of the same lengths.

Pure but for what it remembers. A concentrator builds its records alike, so where each value stands is known by one
comparison of all headers at once, and all values are taken out at once. What they mean is said in `record.py` only.
"""

from collections.abc import Callable
from operator import itemgetter
from struct import Struct
from typing import Any, NamedTuple

from aaad.sessions.record import (
    NUMBER_SIZE,
    NUMBERS,
    OCTETS,
    SIZES,
    AccountingRecord,
    compose,
    read,
    uncommon,
    walk,
)
from aaad.spool.records import Accounting

LAYOUTS_MAX = 4096
SAME_LENGTH_MAX = 12  # each is compared with in turn

_Values = tuple[Any, ...]
_MISSING = (None, b"")  # for a number, for octets


class _Layout(NamedTuple):
    mask: int  # of the octets that are headers
    headers: int
    take: Callable[[bytes], _Values]
    order: Callable[[_Values], _Values]  # from that of the record to that of NUMBERS and OCTETS
    uncommon: dict[int, int]


class Layouts:
    """The layouts met so far."""

    def __init__(self) -> None:
        """None is known yet."""
        self._by_length: dict[int, list[_Layout]] = {}
        self._count = 0

    def read(self, record: Accounting) -> AccountingRecord:
        """Read a record; SpoolError as `record.read`."""
        data = record.attributes
        octets = int.from_bytes(data, "big")
        for mask, headers, take, order, positions in self._by_length.get(len(data), ()):
            if octets & mask == headers:
                return compose(record, order(take(data) + _MISSING), positions)
        said = read(record)
        self._learn(data)
        return said

    def _learn(self, data: bytes) -> None:
        same = self._by_length.setdefault(len(data), [])
        if self._count < LAYOUTS_MAX and len(same) < SAME_LENGTH_MAX:
            same.append(_layout_of(data))
            self._count += 1


def _layout_of(data: bytes) -> _Layout:
    """Return how a record is built whose lengths have been checked."""
    positions = walk(data)
    headers, mask = bytearray(len(data)), bytearray(len(data))
    form = "!"
    places: dict[int, int] = {}
    at = 0
    while at < len(data):
        kind, size = data[at], data[at + 1]
        mask[at : at + 2], headers[at : at + 2] = b"\xff\xff", data[at : at + 2]
        if positions[kind] == at and kind in NUMBERS and size == NUMBER_SIZE:
            places[kind] = len(places)
            form += "2xI"
        elif positions[kind] == at and kind in OCTETS and size == SIZES.get(kind, size):
            places[kind] = len(places)
            form += f"2x{size - 2}s"
        else:
            form += f"{size}x"
        at += size
    no_number, no_octets = len(places), len(places) + 1
    numbers = [places.get(kind, no_number) for kind in NUMBERS]
    octets = [places.get(kind, no_octets) for kind in OCTETS]
    return _Layout(
        int.from_bytes(mask, "big"),
        int.from_bytes(headers, "big"),
        Struct(form).unpack,
        itemgetter(*numbers, *octets),
        uncommon(positions),
    )
