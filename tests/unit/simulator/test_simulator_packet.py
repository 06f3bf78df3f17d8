"""What the simulator makes of replies: it is as strict as the strictest concentrator, and never falls over."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaad.simulator.packet import (
    Attribute,
    Bad,
    Place,
    Reply,
    access_request,
    attribute,
    decode_reply,
    hide_password,
    reveal_key,
    reveal_password,
    vendor_attribute,
)

SECRET, AUTHENTICATOR = b"testing123", bytes(range(16))
SIGNATURE = attribute(80, bytes(16))


def reply(attributes: bytes, *, code: int = 2, secret: bytes = SECRET, signature_at: int | None = None) -> bytes:
    """A genuine reply; `signature_at` is where the value of a Message-Authenticator stands in its attributes."""
    head = bytes((code, 7)) + (20 + len(attributes)).to_bytes(2, "big")
    if signature_at is not None:
        signature = hmac.digest(secret, head + AUTHENTICATOR + attributes, "md5")
        attributes = attributes[:signature_at] + signature + attributes[signature_at + 16 :]
    return head + hashlib.md5(head + AUTHENTICATOR + attributes + secret).digest() + attributes


def decode(datagram: bytes, *, must_be_signed: bool = False) -> Reply | Bad:
    return decode_reply(datagram, AUTHENTICATOR, SECRET, (2, 3, 11), must_be_signed=must_be_signed)


def test_a_reply_says_its_attributes_and_where_its_signature_stood() -> None:
    body = attribute(8, b"\x64\x40\0\1") + vendor_attribute(14988, 8, b"10M/20M")
    expected = (Attribute(0, 8, b"\x64\x40\0\1"), Attribute(14988, 8, b"10M/20M"))
    assert decode(reply(body)) == Reply(2, expected)
    assert decode(reply(SIGNATURE + body, signature_at=2)) == Reply(2, expected, is_signed_first=True)
    assert decode(reply(body + SIGNATURE, signature_at=len(body) + 2)) == Reply(2, expected)


@pytest.mark.parametrize(
    ("datagram", "bad"),
    [
        (b"", Bad.MALFORMED),
        (reply(b"")[:19], Bad.MALFORMED),
        (b"\2\7\0\x13" + reply(b"")[4:], Bad.MALFORMED),
        (b"\2\7\0\x15" + reply(b"")[4:], Bad.MALFORMED),
        (reply(b"", code=5), Bad.WRONG_CODE),
        (reply(b"", secret=b"other"), Bad.WRONG_AUTHENTICATOR),
        (reply(attribute(8, b"\1\2\3\4"))[:-1] + b"\5", Bad.WRONG_AUTHENTICATOR),
        (reply(b"\x08"), Bad.MALFORMED),
        (reply(b"\x08\x00"), Bad.MALFORMED),
        (reply(b"\x08\x01"), Bad.MALFORMED),
        (reply(b"\x08\x06\1\2\3"), Bad.MALFORMED),
        (reply(SIGNATURE), Bad.WRONG_SIGNATURE),
        (reply(SIGNATURE + SIGNATURE, signature_at=2), Bad.MALFORMED),
        (reply(attribute(80, bytes(15))), Bad.MALFORMED),
    ],
)
def test_what_is_wrong_is_dropped_and_named(datagram: bytes, bad: Bad) -> None:
    assert decode(datagram) is bad


def test_a_reply_without_signature_is_dropped_by_who_demands_one() -> None:
    assert decode(reply(b""), must_be_signed=True) is Bad.UNSIGNED
    assert isinstance(decode(reply(SIGNATURE, signature_at=2), must_be_signed=True), Reply)


def test_octets_behind_the_length_are_padding() -> None:
    assert decode(reply(attribute(8, b"\1\2\3\4")) + b"\0\0") == Reply(2, (Attribute(0, 8, b"\1\2\3\4"),))


@pytest.mark.parametrize(
    "value", [b"", b"\0\0\x3a", b"\0\0\x3a\x8c\x08", b"\0\0\x3a\x8c\x08\x01", b"\0\0\x3a\x8c\x08\x09abc"]
)
def test_a_vendor_s_attribute_of_another_form_is_kept_whole(value: bytes) -> None:
    assert decode(reply(attribute(26, value))) == Reply(2, (Attribute(0, 26, value),))


def test_several_attributes_in_one_vendor_specific_are_told_apart() -> None:
    value = b"\0\0\x3a\x8c" + attribute(3, b"gold") + attribute(19, b"late")
    found = decode(reply(attribute(26, value)))
    assert isinstance(found, Reply)
    assert found.find(3, 14988) == b"gold"
    assert found.all(19, 14988) == [b"late"]
    assert found.find(19) is None


@given(st.binary(max_size=300))
def test_whatever_a_genuine_reply_holds_it_is_read_or_dropped(attributes: bytes) -> None:
    found = decode(reply(attributes))
    assert isinstance(found, Bad) or sum(len(value) for _, _, value in found.attributes) <= len(attributes)


@given(st.binary(max_size=200))
def test_noise_is_dropped(datagram: bytes) -> None:
    assert isinstance(decode(datagram), Bad)


@given(
    st.binary(max_size=128).filter(lambda password: not password.endswith(b"\0")), st.binary(min_size=16, max_size=16)
)
def test_a_hidden_password_comes_back(password: bytes, authenticator: bytes) -> None:
    hidden = hide_password(password, authenticator, SECRET)
    assert len(hidden) >= 16
    assert len(hidden) % 16 == 0
    assert reveal_password(hidden, authenticator, SECRET).rstrip(b"\0") == password


@pytest.mark.parametrize("hidden", [b"", b"\x80", b"\x80\1", b"\x80\1" + bytes(15), b"\x80\1" + bytes(32)])
def test_no_key_comes_out_of_what_is_none(hidden: bytes) -> None:
    assert reveal_key(hidden, AUTHENTICATOR, SECRET) is None


def test_a_request_is_signed_where_its_concentrator_signs() -> None:
    body = attribute(1, b"alice")
    first = access_request(7, AUTHENTICATOR, body, SECRET, Place.FIRST)
    last = access_request(7, AUTHENTICATOR, body, SECRET, Place.LAST)
    assert (first[20:22], last[27:29]) == (b"\x50\x12", b"\x50\x12")
    for whole, at in ((first, 22), (last, 29)):
        zeroed = whole[:at] + bytes(16) + whole[at + 16 :]
        assert hmac.digest(SECRET, zeroed, "md5") == whole[at : at + 16]
    assert access_request(7, AUTHENTICATOR, body, SECRET, Place.NOWHERE)[20:] == body
