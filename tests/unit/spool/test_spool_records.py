"""Records of the spool: what is written is read again, and what is no record is a SpoolError."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaad.errors import SpoolError
from aaad.spool.records import (
    Accounting,
    AddressBound,
    BindingLearned,
    Granted,
    LoginRefused,
    MessageAuthenticatorArmed,
    NameRefused,
    Record,
    RouterSeen,
    decode,
    encode,
)

RECORDS = [
    RouterSeen(1, "192.0.2.1", b"bras-\xff", "192.0.2.250", 1.5),
    MessageAuthenticatorArmed(1, "2001:db8::1", b"", 1.5),
    LoginRefused(4, "wrong_password", 29_000_000, 12),
    NameRefused(1, "192.0.2.1", b"", "unknown_login", 29_000_000, 3, ("al***(5)",)),
    BindingLearned(4, "mac", "AA:BB:CC:DD:EE:01", 1.5),
    Accounting(1, "192.0.2.1", b"bras", 1.5, b"\x28\x06\0\0\0\1"),
    Granted(1, 0, 9, 4, 1.5, "100.64.0.7", "", "2001:db8::/56"),
    AddressBound(1, 0, 1.5, 1, 2, "100.64.0.7/32", 4, 0xAABBCCDDEEFF, 1, 86_400),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    assert decode(encode(record)) == record


def test_a_router_seen_of_an_older_segment_can_be_drained() -> None:
    older = msgspec.msgpack.encode([1, 1, "192.0.2.1", b"bras", "192.0.2.250", 1.5])
    assert decode(older) == RouterSeen(1, "192.0.2.1", b"bras", "192.0.2.250", 1.5, b"")


def test_tags_are_what_older_segments_hold() -> None:
    assert [msgspec.msgpack.decode(encode(record))[0] for record in RECORDS] == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_that_is_cut_off_is_a_spool_error(record: Record) -> None:
    data = encode(record)
    for size in range(len(data)):
        with pytest.raises(SpoolError):
            decode(data[:size])


@given(st.binary(max_size=60))
def test_any_octets_give_a_record_or_a_spool_error(data: bytes) -> None:
    with contextlib.suppress(SpoolError):
        assert isinstance(decode(data), Record)


def test_a_tag_of_a_later_program_is_a_spool_error() -> None:
    with pytest.raises(SpoolError):
        decode(msgspec.msgpack.encode([200, 1, 2, 3]))


def test_a_text_that_is_no_utf_8_is_a_spool_error() -> None:
    with pytest.raises(SpoolError):
        decode(encode(RECORDS[0]).replace(b"192.0.2.1", b"192.0.2.\xff"))
