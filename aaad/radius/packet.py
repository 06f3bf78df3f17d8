"""The RADIUS packet: header, attributes in place, encoding (RFC 2865, 3 and 5; RFC 5997 for Status-Server).

Pure. A datagram is read where it lies: `walk` checks every length and notes where attributes begin, and nothing
is copied until somebody asks for a value.
"""

from enum import IntEnum
from struct import Struct

from aaad.errors import MalformedPacket

HEADER_SIZE = 20
PACKET_SIZE_MAX = 4096  # RFC 2865, 3
VALUE_SIZE_MAX = 253  # RFC 2865, 5
AUTHENTICATOR = slice(4, 20)
MIKROTIK_VENDOR = 14988

_unpack_length = Struct("!2xH").unpack_from


class Code(IntEnum):
    """Packet codes (RFC 2865, 4; RFC 2866, 4; RFC 5997, 3)."""

    ACCESS_REQUEST = 1
    ACCESS_ACCEPT = 2
    ACCESS_REJECT = 3
    ACCOUNTING_REQUEST = 4
    ACCOUNTING_RESPONSE = 5
    STATUS_SERVER = 12


class Attribute(IntEnum):
    """The attributes that the server itself reads or writes."""

    USER_NAME = 1
    USER_PASSWORD = 2
    CHAP_PASSWORD = 3
    NAS_PORT = 5
    SERVICE_TYPE = 6
    FRAMED_PROTOCOL = 7
    FRAMED_IP_ADDRESS = 8
    REPLY_MESSAGE = 18
    CLASS = 25
    VENDOR_SPECIFIC = 26
    SESSION_TIMEOUT = 27
    IDLE_TIMEOUT = 28
    CALLED_STATION_ID = 30
    CALLING_STATION_ID = 31
    NAS_IDENTIFIER = 32
    PROXY_STATE = 33
    ACCT_SESSION_ID = 44
    CHAP_CHALLENGE = 60
    EAP_MESSAGE = 79
    MESSAGE_AUTHENTICATOR = 80
    ACCT_INTERIM_INTERVAL = 85
    NAS_PORT_ID = 87


# Attributes of which a request has at most one (RFC 2865, 5.44; RFC 2869, 5.19) and that decide something here.
# Which of two would count is a question that must not arise.
_SINGLE = frozenset(
    int(kind)  # as plain numbers they are found faster
    for kind in (
        Attribute.USER_NAME,
        Attribute.USER_PASSWORD,
        Attribute.CHAP_PASSWORD,
        Attribute.CALLING_STATION_ID,
        Attribute.NAS_IDENTIFIER,
        Attribute.ACCT_SESSION_ID,
        Attribute.CHAP_CHALLENGE,
        Attribute.MESSAGE_AUTHENTICATOR,
    )
)
_MESSAGE_AUTHENTICATOR_SIZE = 18


def packet_length(data: bytes) -> int:
    """Return the packet's own length; octets of the datagram after it are padding (RFC 2865, 3).

    Raises:
        MalformedPacket: shorter than a header, longer than 4096 octets, or longer than the datagram.
    """
    if len(data) < HEADER_SIZE:
        raise MalformedPacket("shorter than a header")
    length: int = _unpack_length(data)[0]
    if length < HEADER_SIZE or length > PACKET_SIZE_MAX:
        raise MalformedPacket("length out of range")
    if length > len(data):
        raise MalformedPacket("cut off")
    return length


def walk(data: bytes, length: int) -> dict[int, int]:
    """Return where each kind of attribute begins (of repeated ones the last), after checking every length.

    Raises:
        MalformedPacket: an attribute shorter than 2 octets or past the end, or two of a kind that stands alone.
    """
    positions: dict[int, int] = {}
    at = HEADER_SIZE
    count = 0
    try:
        while at < length:
            size = data[at + 1]
            if size < 2:
                raise MalformedPacket("attribute shorter than its own header")
            positions[data[at]] = at
            at += size
            count += 1
    except IndexError:
        raise MalformedPacket("attribute cut off") from None
    if at != length:
        raise MalformedPacket("attribute past the end")
    if count != len(positions):
        _check_repeated(data, length)
    at = positions.get(80, 0)
    if at and data[at + 1] != _MESSAGE_AUTHENTICATOR_SIZE:
        raise MalformedPacket("Message-Authenticator is not 16 octets")
    return positions


def _check_repeated(data: bytes, length: int) -> None:
    seen = set()
    at = HEADER_SIZE
    while at < length:
        kind = data[at]
        if kind in _SINGLE:
            if kind in seen:
                raise MalformedPacket(f"two of {Attribute(kind).name}")
            seen.add(kind)
        at += data[at + 1]


def value_at(data: bytes, at: int) -> bytes:
    """Return the value of the attribute that begins at `at`."""
    return data[at + 2 : at + data[at + 1]]


def values(data: bytes, length: int, kind: int) -> list[bytes]:
    """Return every value of one kind of attribute, in the packet's order."""
    found = []
    at = HEADER_SIZE
    while at < length:
        if data[at] == kind:
            found.append(value_at(data, at))
        at += data[at + 1]
    return found


def proxy_states(data: bytes, length: int) -> bytes:
    """Return every Proxy-State of a walked packet as it stands, in order (RFC 2865, 5.33)."""
    found = []
    at = HEADER_SIZE
    while at < length:
        end = at + data[at + 1]
        if data[at] == Attribute.PROXY_STATE:
            found.append(data[at:end])
        at = end
    return b"".join(found)


def vendor_values(data: bytes, length: int, vendor: int, code: int) -> list[bytes]:
    """Return every value of one attribute of a vendor; what does not have the form of RFC 2865, 5.26 has none."""
    found = []
    header = vendor.to_bytes(4, "big")
    for octets in values(data, length, Attribute.VENDOR_SPECIFIC):
        if octets[:4] != header:
            continue
        at = 4
        while at + 1 < len(octets) and 2 <= octets[at + 1] <= len(octets) - at:
            if octets[at] == code:
                found.append(value_at(octets, at))
            at += octets[at + 1]
    return found


def without(data: bytes, length: int, kinds: frozenset[int]) -> bytes:
    """Return the attributes of a walked packet, leaving out some kinds."""
    parts = []
    at = HEADER_SIZE
    while at < length:
        size = data[at + 1]
        if data[at] not in kinds:
            parts.append(data[at : at + size])
        at += size
    return b"".join(parts)


def attribute(kind: int, value: bytes) -> bytes:
    """Encode one attribute; ValueError if the value is empty or longer than 253 octets."""
    if not 0 < len(value) <= VALUE_SIZE_MAX:
        raise ValueError(f"attribute {kind}: a value has 1 to {VALUE_SIZE_MAX} octets, not {len(value)}")
    return bytes((kind, len(value) + 2)) + value


def integer_attribute(kind: int, value: int) -> bytes:
    """Encode an attribute of type integer or IPv4 address."""
    return bytes((kind, 6)) + value.to_bytes(4, "big")


def vendor_attribute(vendor: int, kind: int, value: bytes) -> bytes:
    """Encode one vendor attribute in the form that RFC 2865, 5.26 recommends."""
    return attribute(Attribute.VENDOR_SPECIFIC, vendor.to_bytes(4, "big") + attribute(kind, value))
