"""Attributes as text: each kind of value, vendors, tags, what must not be shown; any octets at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_double import tlv, vendor

from aaad.radius.dictionary import HIDDEN, decode
from aaad.radius.dictionary_data import ATTRIBUTES
from aaad.replica.secret_attributes import SECRETS, split, without_secrets

SHOWN = {
    "string": (tlv(88, b"pool-1"), ("Framed-Pool", "pool-1")),
    "string with accents": (tlv(18, "Não".encode()), ("Reply-Message", "Não")),
    "string that is none": (tlv(88, b"\xff\xfe"), ("Framed-Pool", "0xfffe")),
    "string that steers a terminal": (tlv(88, b"\x1b[2J"), ("Framed-Pool", "0x1b5b324a")),
    "integer": (tlv(27, b"\0\1\x51\x80"), ("Session-Timeout", "86400")),
    "integer of another size": (tlv(27, b"\0\1"), ("Session-Timeout", "0x0001")),
    "named value": (tlv(6, b"\0\0\0\2"), ("Service-Type", "Framed-User")),
    "address": (tlv(8, b"\xc0\0\2\1"), ("Framed-IP-Address", "192.0.2.1")),
    "address of IPv6": (tlv(169, bytes(15) + b"\1"), ("DNS-Server-IPv6-Address", "::1")),
    "prefix": (tlv(97, b"\0\x40 \1\r\xb8\0\1\0\0"), ("Framed-IPv6-Prefix", "2001:db8:1::/64")),
    "prefix of no octets": (tlv(97, b"\0\0"), ("Framed-IPv6-Prefix", "::/0")),
    "prefix of 200 bits": (tlv(97, b"\0\xc8"), ("Framed-IPv6-Prefix", "0x00c8")),
    "octets": (tlv(25, b"\1\2"), ("Class", "0x0102")),
    "date": (tlv(55, b"\0\0\0\0"), ("Event-Timestamp", "1970-01-01T00:00:00+00:00")),
    "tagged string": (tlv(81, b"\1vlan7"), ("Tunnel-Private-Group-Id:1", "vlan7")),
    "tagged string without tag": (tlv(81, b"vlan7"), ("Tunnel-Private-Group-Id", "vlan7")),
    "tagged integer": (tlv(64, b"\2\0\0\x0d"), ("Tunnel-Type:2", "VLAN")),
    "vendor": (vendor(14988, 8, b"1M/2M"), ("Mikrotik-Rate-Limit", "1M/2M")),
    "unknown": (tlv(241, b"\1"), ("Attr-241", "0x01")),
    "unknown of a vendor": (vendor(14988, 250, b"\1"), ("Mikrotik-Attr-250", "0x01")),
    "unknown vendor": (vendor(99_999, 7, b"\1"), ("Vendor-99999-Attr-7", "0x01")),
    "vendor of another form": (tlv(26, b"\0\0\0\x09odd"), ("Attr-26", "0x000000096f6464")),
}


@pytest.mark.parametrize(("octets", "shown"), SHOWN.values(), ids=SHOWN.keys())
def test_an_attribute_is_shown_by_its_kind(octets: bytes, shown: tuple[str, str]) -> None:
    assert decode(octets) == [shown]


def test_attributes_are_shown_in_their_order_those_of_one_vendor_attribute_one_by_one() -> None:
    two = tlv(26, (14988).to_bytes(4, "big") + tlv(8, b"1M/2M") + tlv(19, b"vip"))
    assert decode(tlv(8, b"\xc0\0\2\1") + two) == [
        ("Framed-IP-Address", "192.0.2.1"),
        ("Mikrotik-Rate-Limit", "1M/2M"),
        ("Mikrotik-Address-List", "vip"),
    ]


def test_a_secret_is_never_shown() -> None:
    for vendor_id, code in SECRETS:
        octets = vendor(vendor_id, code, b"hush") if vendor_id else tlv(code, b"hush")
        ((_, text),) = decode(octets)
        assert text == HIDDEN
        assert without_secrets(tlv(8, b"abcd") + octets + tlv(88, b"p")) == tlv(8, b"abcd") + tlv(88, b"p")


def test_what_has_no_secret_is_left_as_it_is() -> None:
    octets = tlv(8, b"abcd") + vendor(14988, 8, b"1M/2M") + vendor(311, 7, b"\0\0\0\1")
    assert without_secrets(octets) == octets


def test_passwords_keys_and_challenges_of_the_dictionary_are_secrets() -> None:
    words = ("password", "key", "psk", "chap-response", "chap2-response", "challenge", "eap-message")
    named = {(one.vendor, one.code) for one in ATTRIBUTES if any(word in one.name.lower() for word in words)}
    assert named <= SECRETS


def test_no_secret_may_be_given() -> None:
    assert not [one.name for one in ATTRIBUTES if one.may_be_given and (one.vendor, one.code) in SECRETS]


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda octets: tlv(26, octets)))
def test_any_octets_can_be_shown(octets: bytes) -> None:
    for name, text in decode(octets):
        assert name
        assert text.isprintable()


@given(st.lists(st.tuples(st.integers(1, 255), st.binary(min_size=1, max_size=20))))
def test_every_attribute_of_whole_octets_is_shown(pairs: list[tuple[int, bytes]]) -> None:
    octets = b"".join(tlv(kind, value) for kind, value in pairs)
    assert len(split(octets)) >= len(pairs)
