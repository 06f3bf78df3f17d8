"""The simulator's own codec of RADIUS: requests as octets, and replies taken apart as a strict concentrator does.

Pure: values in, values out, and no octet of a reply is believed before its authenticators fit. RFC 2865, 3, 5 and
5.2; RFC 2866, 3; RFC 2548, 2.4.2 (keys); RFC 3579, 3.2 (Message-Authenticator).
"""

import hashlib
import hmac
import struct
from collections.abc import Iterable
from enum import Enum, auto
from typing import NamedTuple

ACCESS_REQUEST, ACCESS_ACCEPT, ACCESS_REJECT = 1, 2, 3
ACCOUNTING_REQUEST, ACCOUNTING_RESPONSE, ACCESS_CHALLENGE = 4, 5, 11
MESSAGE_AUTHENTICATOR, VENDOR_SPECIFIC = 80, 26
DATAGRAM_OCTETS_MAX = 4096  # RFC 2865, 3
_HEAD, _BLOCK = 20, 16
_UNSIGNED = bytes((MESSAGE_AUTHENTICATOR, 18)) + bytes(16)
_VENDOR_OCTETS_MIN = 6


class Place(Enum):
    """Where a concentrator puts Message-Authenticator in its requests."""

    NOWHERE = auto()
    FIRST = auto()
    LAST = auto()


class Bad(Enum):
    """Why a reply is dropped, as if it had never come."""

    MALFORMED = "malformed"
    WRONG_CODE = "wrong code"
    WRONG_AUTHENTICATOR = "wrong Response Authenticator"
    WRONG_SIGNATURE = "wrong Message-Authenticator"
    UNSIGNED = "no Message-Authenticator"


class Attribute(NamedTuple):
    """One attribute of a reply; `vendor` is 0 for those of the RFCs."""

    vendor: int
    kind: int
    value: bytes


class Reply(NamedTuple):
    """A reply whose authenticators fit."""

    code: int
    attributes: tuple[Attribute, ...]
    is_signed_first: bool = False  # its first attribute is Message-Authenticator

    def all(self, kind: int, vendor: int = 0) -> list[bytes]:
        """Return the values of one kind of attribute, in order."""
        return [value for owner, found, value in self.attributes if found == kind and owner == vendor]

    def find(self, kind: int, vendor: int = 0) -> bytes | None:
        """Return the first value of one kind of attribute, or None."""
        return next((value for owner, found, value in self.attributes if found == kind and owner == vendor), None)


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute's octets."""
    return bytes((kind, len(value) + 2)) + value


def vendor_attribute(vendor: int, kind: int, value: bytes) -> bytes:
    """Return one vendor's attribute's octets."""
    return struct.pack("!BBIBB", VENDOR_SPECIFIC, len(value) + 8, vendor, kind, len(value) + 2) + value


def number(kind: int, value: int) -> bytes:
    """Return the octets of an attribute that holds a 32-bit number."""
    return struct.pack("!BBI", kind, 6, value)


def access_request(identifier: int, authenticator: bytes, attributes: bytes, secret: bytes, place: Place) -> bytes:
    """Return an Access-Request, signed where its concentrator signs."""
    if place is Place.NOWHERE:
        return struct.pack("!BBH", ACCESS_REQUEST, identifier, _HEAD + len(attributes)) + authenticator + attributes
    head = struct.pack("!BBH", ACCESS_REQUEST, identifier, _HEAD + len(_UNSIGNED) + len(attributes)) + authenticator
    unsigned = head + (_UNSIGNED + attributes if place is Place.FIRST else attributes + _UNSIGNED)
    signature = hmac.digest(secret, unsigned, "md5")
    if place is Place.LAST:
        return unsigned[:-16] + signature
    return unsigned[: _HEAD + 2] + signature + unsigned[_HEAD + 18 :]


def accounting_request(identifier: int, attributes: bytes, secret: bytes) -> bytes:
    """Return an Accounting-Request with the authenticator that RFC 2866, 3, asks for."""
    head = struct.pack("!BBH", ACCOUNTING_REQUEST, identifier, _HEAD + len(attributes))
    return head + hashlib.md5(head + bytes(16) + attributes + secret).digest() + attributes


def hide_password(password: bytes, authenticator: bytes, secret: bytes) -> bytes:
    """Return a password as User-Password carries it: whole blocks of 16 octets, one at least."""
    padded = password.ljust(max(_BLOCK, -(-len(password) // _BLOCK) * _BLOCK), b"\0")
    hidden, last = b"", authenticator
    for at in range(0, len(padded), _BLOCK):
        last = _crossed(hashlib.md5(secret + last).digest(), padded[at : at + _BLOCK])
        hidden += last
    return hidden


def reveal_key(hidden: bytes, authenticator: bytes, secret: bytes) -> bytes | None:
    """Return a key out of MS-MPPE-Send-Key or MS-MPPE-Recv-Key, or None if it cannot have been made right."""
    salt, body = hidden[:2], hidden[2:]
    if len(salt) < 2 or not salt[0] & 0x80 or not body or len(body) % _BLOCK:
        return None
    clear = _revealed(body, authenticator + salt, secret)
    length = clear[0]
    if length > len(clear) - 1 or any(clear[1 + length :]):
        return None
    return clear[1 : 1 + length]


def reveal_password(hidden: bytes, authenticator: bytes, secret: bytes) -> bytes:
    """Return what was hidden as a User-Password is; MS-CHAP-MPPE-Keys are hidden so, too."""
    return _revealed(hidden, authenticator, secret)


def _revealed(body: bytes, start: bytes, secret: bytes) -> bytes:
    clear, last = b"", start
    for at in range(0, len(body), _BLOCK):
        block = body[at : at + _BLOCK]
        clear += _crossed(hashlib.md5(secret + last).digest(), block)
        last = block
    return clear


def _crossed(mask: bytes, block: bytes) -> bytes:
    return (int.from_bytes(mask, "big") ^ int.from_bytes(block, "big")).to_bytes(_BLOCK, "big")


def decode_reply(
    datagram: bytes, authenticator: bytes, secret: bytes, codes: Iterable[int], *, must_be_signed: bool = False
) -> Reply | Bad:
    """Return what a reply to the request with this authenticator says, or why it is dropped.

    Message-Authenticator is verified wherever it stands; a second one makes the reply malformed.
    """
    if len(datagram) < _HEAD:
        return Bad.MALFORMED
    length = datagram[2] << 8 | datagram[3]
    if not _HEAD <= length <= min(len(datagram), DATAGRAM_OCTETS_MAX):
        return Bad.MALFORMED
    data = datagram[:length]  # RFC 2865, 3: octets outside the range of the Length field are padding
    if data[0] not in codes:
        return Bad.WRONG_CODE
    expected = hashlib.md5(data[:4] + authenticator + data[_HEAD:] + secret).digest()
    if not hmac.compare_digest(expected, data[4:_HEAD]):
        return Bad.WRONG_AUTHENTICATOR
    walked = _walk(data)
    if walked is None:
        return Bad.MALFORMED
    attributes, signed_at = walked
    if signed_at is None:
        return Bad.UNSIGNED if must_be_signed else Reply(data[0], attributes)
    seen = data[:4] + authenticator + data[_HEAD:signed_at] + bytes(16) + data[signed_at + 16 :]
    if not hmac.compare_digest(hmac.digest(secret, seen, "md5"), data[signed_at : signed_at + 16]):
        return Bad.WRONG_SIGNATURE
    return Reply(data[0], attributes, is_signed_first=signed_at == _HEAD + 2)


def _walk(data: bytes) -> tuple[tuple[Attribute, ...], int | None] | None:
    """Return the attributes without Message-Authenticator and where its value begins; None if lengths are wrong."""
    found: list[Attribute] = []
    signed_at = None
    at, end = _HEAD, len(data)
    while at < end:
        if at + 2 > end or data[at + 1] < 2 or at + data[at + 1] > end:
            return None
        kind, stop = data[at], at + data[at + 1]
        if kind == MESSAGE_AUTHENTICATOR:
            if signed_at is not None or stop - at != 18:
                return None
            signed_at = at + 2
        elif kind == VENDOR_SPECIFIC:
            found += vendor_pieces(data[at + 2 : stop])
        else:
            found.append(Attribute(0, kind, data[at + 2 : stop]))
        at = stop
    return tuple(found), signed_at


def vendor_pieces(value: bytes) -> list[Attribute]:
    """Return each of a vendor's attributes; what has another form than RFC 2865, 5.26, recommends is kept whole."""
    if len(value) < _VENDOR_OCTETS_MIN:
        return [Attribute(0, VENDOR_SPECIFIC, value)]
    vendor, at = int.from_bytes(value[:4], "big"), 4
    pieces = []
    while at < len(value):
        if at + 2 > len(value) or value[at + 1] < 2 or at + value[at + 1] > len(value):
            return [Attribute(0, VENDOR_SPECIFIC, value)]
        pieces.append(Attribute(vendor, value[at], value[at + 2 : at + value[at + 1]]))
        at += value[at + 1]
    return pieces
