"""Framing: whatever happens to the octets, only whole records come out, in order, and damage is told."""

from contextlib import suppress
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaad.errors import SpoolError
from aaad.spool.segment import (
    HEADER_OCTETS,
    RECORD_OCTETS_MAX,
    START,
    Damage,
    Frame,
    Header,
    Position,
    Tail,
    checksum_seed,
    decode_header,
    decode_tail,
    encode_frames,
    encode_header,
    encode_tail,
    frame_octets,
    scan,
)

SPOOL = UUID("6d3c6a52-1b53-4a3c-9c53-a6f7b0a7a001")
LIFE = UUID("6d3c6a52-1b53-4a3c-9c53-a6f7b0a7a002")
SEED = checksum_seed(SPOOL, 7)

payloads = st.lists(st.binary(max_size=90), min_size=1, max_size=12)


def header(**changes) -> Header:
    return Header(SPOOL, LIFE, "radius-0", 7, 1_700_000_000_000_000, Position(6, 5000), 42)._replace(**changes)


def framed(records: list[bytes], *, seed: int = SEED) -> bytes:
    data = b""
    for number, record in enumerate(records):
        data += encode_frames([(record, 100 + number)], offset=HEADER_OCTETS + len(data), sequence=number, seed=seed)
    return data


def scanned(data: bytes, *, final: bool = True) -> tuple[list[Frame], list[Damage]]:
    found = list(scan(data, offset=HEADER_OCTETS, seed=SEED, final=final))
    return [item for item in found if isinstance(item, Frame)], [item for item in found if isinstance(item, Damage)]


def spans(records: list[bytes]) -> list[tuple[int, int]]:
    """Where each record stands in the data."""
    edges = [0]
    for record in records:
        edges.append(edges[-1] + frame_octets(len(record)))
    return list(pairwise(edges))


def test_header_round_trip():
    assert decode_header(encode_header(header())) == header()
    assert len(encode_header(header())) == HEADER_OCTETS


@given(place=st.integers(0, 150), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_header_is_noticed(place, bit):
    block = bytearray(encode_header(header()))
    block[place] ^= 1 << bit
    with suppress(SpoolError):
        assert decode_header(bytes(block)) == header()  # beyond what the header holds


def test_a_header_of_zeros_or_cut_off_is_no_header():
    for block in (bytes(HEADER_OCTETS), b"", encode_header(header())[:50]):
        with pytest.raises(SpoolError):
            decode_header(block)


def test_a_slot_name_that_does_not_fit_is_refused():
    with pytest.raises(SpoolError, match="longer"):
        encode_header(header(slot="x" * 33))


@pytest.mark.parametrize("tail", [Tail(Position(1, 4096), 0), Tail(Position(2**31, 2**32 - 1), 2**60)])
def test_tail_round_trip(tail):
    assert decode_tail(encode_tail(tail)) == tail


def test_an_empty_tail_is_none():
    assert decode_tail(b"") is None
    assert decode_tail(encode_tail(Tail(START, 0))) is None


@given(payloads)
def test_what_was_framed_comes_out_whole(records):
    frames, damages = scanned(framed(records))
    assert [frame.payload for frame in frames] == records
    assert [frame.sequence for frame in frames] == list(range(len(records)))
    assert [frame.at_s for frame in frames] == [100 + number for number in range(len(records))]
    assert not damages
    assert all(frame.offset % 8 == 0 for frame in frames)


@given(records=payloads, cut=st.integers(0, 2000))
def test_any_cut_leaves_the_records_before_it(records, cut):
    data = framed(records)[:cut]
    frames, damages = scanned(data)
    whole = [record for record, (_, end) in zip(records, spans(records), strict=True) if end <= cut]
    assert [frame.payload for frame in frames] == whole
    used = sum(frame_octets(len(record)) for record in whole)
    assert damages == ([Damage(HEADER_OCTETS + used, HEADER_OCTETS + len(data))] if len(data) > used else [])


@given(records=payloads, place=st.integers(0, 5000), bit=st.integers(0, 7))
def test_any_flipped_bit_costs_its_own_record_only(records, place, bit):
    data = bytearray(framed(records))
    place %= len(data)
    data[place] ^= 1 << bit
    frames, damages = scanned(bytes(data))
    hit = next(number for number, (start, end) in enumerate(spans(records)) if start <= place < end)
    padding = place >= spans(records)[hit][0] + 24 + len(records[hit])  # between records nothing is checked
    expected = [record for number, record in enumerate(records) if padding or number != hit]
    assert [frame.payload for frame in frames] == expected
    start, end = spans(records)[hit]
    assert damages == ([] if padding else [Damage(HEADER_OCTETS + start, HEADER_OCTETS + end)])


@given(records=payloads, start=st.integers(0, 2000), junk=st.binary(min_size=1, max_size=300))
def test_overwritten_octets_never_yield_what_was_not_written(records, start, junk):
    data = bytearray(framed(records))
    start %= len(data)
    data[start : start + len(junk)] = junk[: len(data) - start]
    frames, damages = scanned(bytes(data))
    assert [(frame.sequence, frame.payload) for frame in frames] == [
        (frame.sequence, records[frame.sequence]) for frame in frames
    ]
    assert [frame.sequence for frame in frames] == sorted({frame.sequence for frame in frames})
    covered = sum(item.end - item.offset for item in [*frames, *damages])
    assert covered == len(data)  # nothing is passed over in silence


@given(records=payloads, size=st.integers(20_000, 30_000))
def test_reading_in_pieces_is_reading_at_once(records, size):
    data = framed(records * 40)
    frames, offset = [], 0
    while offset < len(data):
        piece = data[offset : offset + size]
        final = offset + len(piece) >= len(data)
        for found in scan(piece, offset=HEADER_OCTETS + offset, seed=SEED, final=final):
            frames.append(found)
            offset = found.end - HEADER_OCTETS
    assert frames == scanned(data)[0]


def test_a_record_inside_a_damaged_records_payload_is_not_believed():
    # An attacker who chooses a User-Name knows the format, but not the spool's id and not the place.
    forged = encode_frames([(b"forged", 1)], offset=HEADER_OCTETS + 24 + 16, sequence=9, seed=0)
    data = bytearray(framed([b"0123456789abcdef" + forged, b"next"]))
    data[25] ^= 1
    frames, _ = scanned(bytes(data))
    assert [frame.payload for frame in frames] == [b"next"]


def test_a_block_in_the_wrong_place_is_not_believed():
    data = framed([b"a" * 40, b"b" * 40])
    frames, damages = scanned(data[:64] + data[:64])
    assert [frame.payload for frame in frames] == [b"a" * 40]
    assert damages == [Damage(HEADER_OCTETS + 64, HEADER_OCTETS + 128)]


def test_another_segments_records_are_not_believed():
    assert scanned(framed([b"old"], seed=checksum_seed(SPOOL, 6)))[0] == []


def test_an_empty_and_a_greatest_record_pass():
    records = [b"", b"x" * RECORD_OCTETS_MAX, b""]
    assert [frame.payload for frame in scanned(framed(records))[0]] == records


def test_a_piece_that_ends_inside_a_record_says_nothing_about_it():
    data = framed([b"first", b"second"])
    frames, damages = scanned(data[:-8], final=False)
    assert [frame.payload for frame in frames] == [b"first"]
    assert damages == []


def test_preallocated_zeros_are_one_damage():
    data = framed([b"only"]) + bytes(100_000)
    assert scanned(data)[1] == [Damage(HEADER_OCTETS + 32, HEADER_OCTETS + 32 + 100_000)]
