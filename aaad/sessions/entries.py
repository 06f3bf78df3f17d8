"""A spool's record as the drain handles it: its octets, which may have to be kept for later, and what they say.

Pure.
"""

from functools import lru_cache
from ipaddress import ip_address

import msgspec

from aaad.errors import SpoolError
from aaad.sessions.changes import KINDS, check
from aaad.sessions.layouts import Layouts
from aaad.sessions.record import AccountingRecord
from aaad.spool.records import Accounting, Record, decode

_IDENTIFIER_MAX = 2**31 - 1
_IDENTIFIER_OCTETS_MAX = 253

_layouts = Layouts()

Content = Record | AccountingRecord


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One record. Accounting is read, all others are as they were written."""

    payload: bytes
    content: Content


def entry_of(payload: bytes, record: Record) -> Entry:
    """Take a decoded record; SpoolError if PostgreSQL could never take it."""
    if type(record) is Accounting:
        if not _is_router(record.nas_id, record.source_address, record.nas_identifier):
            raise SpoolError("accounting of no router")
        return Entry(payload, _layouts.read(record))
    check(record)
    return Entry(payload, record)


def read_entry(payload: bytes) -> Entry:
    """Take a record's octets; SpoolError if nobody can read them, or PostgreSQL could never take the record."""
    return entry_of(payload, decode(payload))


@lru_cache(4096)
def _is_router(nas_id: int, source_address: str, nas_identifier: bytes) -> bool:
    try:
        ip_address(source_address)
    except ValueError:
        return False
    is_known = 0 < nas_id <= _IDENTIFIER_MAX and len(nas_identifier) <= _IDENTIFIER_OCTETS_MAX
    return is_known and "%" not in source_address


def kind_of(content: type[Content]) -> str:
    """Return what a kind of record is called in metrics."""
    for kind, name in KINDS.items():
        if kind is content:
            return name
    return KINDS[Accounting]
