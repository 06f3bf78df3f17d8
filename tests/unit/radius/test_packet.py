"""Packets: every length is checked, nothing else is read; pyrad reads the same; a value or MalformedPacket."""

import random
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_double import ACCESS_REQUEST, packet, tlv, vendor
from pyrad.dictionary import Dictionary
from pyrad.packet import Packet

from aaad.errors import MalformedPacket
from aaad.radius.packet import (
    MIKROTIK_VENDOR,
    Attribute,
    attribute,
    integer_attribute,
    packet_length,
    value_at,
    values,
    vendor_attribute,
    walk,
    without,
)

AUTHENTICATOR = bytes(range(16))
SINGLE = (1, 2, 3, 31, 32, 44, 60, 80)

kinds = st.integers(0, 255).filter(lambda kind: kind not in SINGLE)
attribute_lists = st.lists(st.tuples(kinds, st.binary(min_size=0, max_size=253)), max_size=15)


def request(attributes: bytes, *, length: int | None = None, padding: bytes = b"") -> bytes:
    """A packet with these octets as attributes; `length` lies about its length."""
    whole = packet(ACCESS_REQUEST, 1, AUTHENTICATOR, attributes)
    if length is not None:
        whole = whole[:2] + length.to_bytes(2, "big") + whole[4:]
    return whole + padding


def read(data: bytes) -> dict[int, list[bytes]]:
    """All attributes, as the server reads them."""
    length = packet_length(data)
    positions = walk(data, length)
    found = {kind: values(data, length, kind) for kind in positions}
    for kind, at in positions.items():
        assert value_at(data, at) == found[kind][-1]
    return found


MALFORMED = {
    "nothing": b"",
    "19 octets": request(b"")[:19],
    "length field 0": request(b"", length=0),
    "length field 19": request(b"", length=19),
    "length field above the datagram": request(b"", length=21),
    "length field 4097": request(b"", length=4097, padding=bytes(4100)),
    "length field below the attributes": request(tlv(4, b"abcd"), length=22),
    "attribute length 0": request(b"\x04\x00"),
    "attribute length 1": request(b"\x04\x01"),
    "attribute length 0 before others": request(b"\x04\x00" + tlv(5, b"abcd")),
    "attribute past the end": request(b"\x04\x07abcd"),
    "attribute past the end into padding": request(b"\x04\x07abcd", padding=bytes(10)),
    "attribute without a length": request(tlv(5, b"abcd") + b"\x04"),
    "attribute whose length is in the padding": request(b"\x04", padding=b"\x02"),
    "two Message-Authenticators": request(tlv(80, bytes(16)) * 2),
    "Message-Authenticator of 15 octets": request(tlv(80, bytes(15))),
    "Message-Authenticator of 17 octets": request(tlv(80, bytes(17))),
    "empty Message-Authenticator": request(tlv(80, b"")),
    "two User-Names": request(tlv(1, b"a") + tlv(5, b"abcd") + tlv(1, b"b")),
    "two User-Passwords": request(tlv(2, bytes(16)) * 2),
    "two CHAP-Passwords": request(tlv(3, bytes(17)) * 2),
    "two NAS-Identifiers": request(tlv(32, b"a") * 2),
    "two Calling-Station-Ids": request(tlv(31, b"a") * 2),
    "Acct-Session-Id repeated": request(tlv(44, b"81a00001") * 2),
    "two CHAP-Challenges": request(tlv(60, bytes(16)) * 2),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_packets_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedPacket):
        walk(data, packet_length(data))


WELL_FORMED = {
    "no attributes": (b"", {}),
    "empty attribute": (tlv(1, b""), {1: [b""]}),
    "longest value": (tlv(1, b"x" * 253), {1: [b"x" * 253]}),
    "NUL and octets that are no UTF-8": (tlv(1, b"a\0\xff"), {1: [b"a\0\xff"]}),
    "vendor attribute of 6 octets": (tlv(26, b"\0\0\x3a\x8c"), {26: [b"\0\0\x3a\x8c"]}),
    "vendor TLV with length 0": (tlv(26, b"\0\0\x3a\x8c\x08\x00"), {26: [b"\0\0\x3a\x8c\x08\x00"]}),
    "vendor TLV with length 1": (tlv(26, b"\0\0\x3a\x8c\x08\x01"), {26: [b"\0\0\x3a\x8c\x08\x01"]}),
    "vendor TLV past the end": (tlv(26, b"\0\0\x3a\x8c\x08\x09ab"), {26: [b"\0\0\x3a\x8c\x08\x09ab"]}),
    "Framed-IPv6-Prefix with bits beyond": (tlv(97, b"\0\x20" + b"\xff" * 16), {97: [b"\0\x20" + b"\xff" * 16]}),
    "Framed-IPv6-Prefix in the short form": (tlv(97, b"\0\x20\x20\x01"), {97: [b"\0\x20\x20\x01"]}),
    "Proxy-State repeated": (tlv(33, b"a") + tlv(33, b"b"), {33: [b"a", b"b"]}),
}


@pytest.mark.parametrize(("attributes", "expected"), WELL_FORMED.values(), ids=WELL_FORMED.keys())
def test_what_an_attribute_says_is_no_matter_of_the_walk(attributes: bytes, expected: dict[int, list[bytes]]) -> None:
    assert read(request(attributes)) == expected


def test_octets_behind_the_length_are_padding() -> None:
    assert read(request(tlv(5, b"abcd"), padding=tlv(1, b"mallory"))) == {5: [b"abcd"]}


def test_the_longest_packet_is_read_and_one_octet_more_is_not() -> None:
    longest = tlv(33, bytes(253)) * 15 + tlv(33, bytes(249))
    assert len(request(longest)) == 4096
    assert len(read(request(longest))[33]) == 16
    with pytest.raises(MalformedPacket):
        packet_length(request(longest + b"x"))


@given(attribute_lists, st.binary(max_size=8))
def test_any_attributes_come_back_as_they_were_written(pairs: list[tuple[int, bytes]], padding: bytes) -> None:
    data = request(b"".join(tlv(kind, value) for kind, value in pairs), padding=padding)
    expected = defaultdict(list)
    for kind, value in pairs:
        expected[kind].append(value)
    assert read(data) == expected


@given(attribute_lists, st.frozensets(st.integers(0, 255), max_size=5))
def test_leaving_out_kinds_keeps_all_others_in_order(
    pairs: list[tuple[int, bytes]], left_out: frozenset[int]
) -> None:
    data = request(b"".join(tlv(kind, value) for kind, value in pairs), padding=b"\x01\x03x")
    expected = b"".join(tlv(kind, value) for kind, value in pairs if kind not in left_out)
    assert without(data, packet_length(data), left_out) == expected


def pyrad_reads(data: bytes) -> dict[int, list[bytes]]:
    """All attributes as pyrad reads them, vendor attributes whole (it has no dictionary here)."""
    return dict(Packet(packet=data).items())


@given(attribute_lists)
def test_pyrad_reads_the_same(pairs: list[tuple[int, bytes]]) -> None:
    data = request(b"".join(tlv(kind, value) for kind, value in pairs))
    assert read(data) == pyrad_reads(data)


@given(st.binary(max_size=120).map(lambda body: packet(1, 2, AUTHENTICATOR, body)) | st.binary(max_size=200))
def test_any_octets_give_a_value_or_malformed(data: bytes) -> None:
    check_octets(data)


def check_octets(data: bytes) -> None:
    try:
        ours = read(data)
    except MalformedPacket:
        return
    assert ours == pyrad_reads(data)


def test_ten_thousand_damaged_packets_give_a_value_or_malformed() -> None:
    dice = random.Random(2865)
    good = request(
        tlv(80, bytes(16)) + tlv(1, b"alice") + tlv(2, bytes(16)) + vendor(14988, 8, b"5M/5M") + tlv(33, b"state")
    )
    for _ in range(10_000):
        data = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        check_octets(bytes(data[: dice.randint(0, len(data))] if dice.random() < 0.3 else data))


@given(st.integers(0, 255), st.binary(min_size=1, max_size=253))
def test_an_attribute_is_kind_length_and_value(kind: int, value: bytes) -> None:
    assert attribute(kind, value) == tlv(kind, value)


@pytest.mark.parametrize("value", [b"", b"x" * 254])
def test_a_value_of_no_octet_or_more_than_253_cannot_be_encoded(value: bytes) -> None:
    with pytest.raises(ValueError, match="1 to 253"):
        attribute(Attribute.REPLY_MESSAGE, value)


def test_numbers_are_four_octets_in_network_order() -> None:
    assert integer_attribute(27, 86400).hex() == "1b0600015180"
    with pytest.raises(OverflowError):
        integer_attribute(27, 1 << 32)
    with pytest.raises(OverflowError):
        integer_attribute(27, -1)


def test_pyrad_reads_a_vendor_attribute_of_ours(tmp_path) -> None:
    dictionary = tmp_path / "dictionary"
    dictionary.write_text(
        "VENDOR Mikrotik 14988\nBEGIN-VENDOR Mikrotik\nATTRIBUTE Mikrotik-Rate-Limit 8 string\nEND-VENDOR Mikrotik\n"
    )
    data = request(vendor_attribute(MIKROTIK_VENDOR, 8, b"10M/50M"))
    assert Packet(packet=data, dict=Dictionary(str(dictionary)))["Mikrotik-Rate-Limit"] == ["10M/50M"]


def test_a_vendor_value_has_at_most_247_octets() -> None:
    vendor_attribute(MIKROTIK_VENDOR, 8, b"x" * 247)
    with pytest.raises(ValueError):
        vendor_attribute(MIKROTIK_VENDOR, 8, b"x" * 248)
