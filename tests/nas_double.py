"""What a concentrator does: makes requests, checks replies. Written apart from the server's own code on purpose.

It shares nothing with `aaad.radius`, so an error there cannot cancel itself out here. Every reply that a test looks
at went through `checked`, which verifies it twice: with hashlib here, and with pyrad.
"""

import hashlib
import hmac
from dataclasses import dataclass
from itertools import count

from pyrad.packet import AuthPacket

ACCESS_REQUEST, ACCESS_ACCEPT, ACCESS_REJECT, ACCOUNTING_REQUEST, STATUS_SERVER = 1, 2, 3, 4, 12
USER_NAME, USER_PASSWORD, CHAP_PASSWORD, FRAMED_PROTOCOL, FRAMED_IP, REPLY_MESSAGE = 1, 2, 3, 7, 8, 18
CLASS, VENDOR_SPECIFIC, SESSION_TIMEOUT, CALLING_STATION_ID, NAS_IDENTIFIER, PROXY_STATE = 25, 26, 27, 31, 32, 33
CHAP_CHALLENGE, EAP_MESSAGE, MESSAGE_AUTHENTICATOR = 60, 79, 80
SECRET = b"testing123"
MAC = b"AA:BB:CC:DD:EE:01"

_authenticators = count(1)


def tlv(kind: int, value: bytes) -> bytes:
    """One attribute."""
    return bytes((kind, len(value) + 2)) + value


def vendor(vendor_id: int, kind: int, value: bytes) -> bytes:
    """One vendor attribute."""
    return tlv(VENDOR_SPECIFIC, vendor_id.to_bytes(4, "big") + tlv(kind, value))


def packet(code: int, identifier: int, authenticator: bytes, attributes: bytes) -> bytes:
    """Header and attributes."""
    return bytes((code, identifier)) + (20 + len(attributes)).to_bytes(2, "big") + authenticator + attributes


def fresh_authenticator() -> bytes:
    """A Request Authenticator that no test used before; the same in every run."""
    return hashlib.md5(b"authenticator %d" % next(_authenticators)).digest()


def hidden(password: bytes, authenticator: bytes, secret: bytes = SECRET) -> bytes:
    """A User-Password's value (RFC 2865, 5.2)."""
    padded = password.ljust(max(16, -(-len(password) // 16) * 16), b"\0")
    result, last = b"", authenticator
    for start in range(0, len(padded), 16):
        mask = hashlib.md5(secret + last).digest()
        last = bytes(a ^ b for a, b in zip(mask, padded[start : start + 16], strict=True))
        result += last
    return result


def sign(unsigned: bytes, secret: bytes = SECRET) -> bytes:
    """Put a Message-Authenticator in front of the attributes of a request (RFC 3579, 3.2)."""
    whole = packet(unsigned[0], unsigned[1], unsigned[4:20], tlv(MESSAGE_AUTHENTICATOR, bytes(16)) + unsigned[20:])
    return whole[:22] + hmac.digest(secret, whole, "md5") + whole[38:]


def access_request(
    name: bytes | None = b"alice",
    password: bytes | None = b"wonderland",
    *,
    secret: bytes = SECRET,
    identifier: int = 7,
    authenticator: bytes | None = None,
    signed: bool = True,
    framed: bool = True,
    nas_identifier: bytes | None = b"bras-01",
    calling_station_id: bytes | None = MAC,
    attributes: bytes = b"",
    code: int = ACCESS_REQUEST,
) -> bytes:
    """What a concentrator sends for one PPPoE login. None leaves an attribute out."""
    authenticator = fresh_authenticator() if authenticator is None else authenticator
    body = tlv(FRAMED_PROTOCOL, b"\0\0\0\1") if framed else b""
    for kind, value in (
        (USER_NAME, name),
        (CALLING_STATION_ID, calling_station_id),
        (USER_PASSWORD, None if password is None else hidden(password, authenticator, secret)),
        (NAS_IDENTIFIER, nas_identifier),
    ):
        if value is not None:
            body += tlv(kind, value)
    unsigned = packet(code, identifier, authenticator, body + attributes)
    return sign(unsigned, secret) if signed else unsigned


def status_server(*, secret: bytes = SECRET, identifier: int = 9, signed: bool = True) -> bytes:
    """A Status-Server (RFC 5997)."""
    unsigned = packet(STATUS_SERVER, identifier, fresh_authenticator(), b"")
    return sign(unsigned, secret) if signed else unsigned


def chap(authenticator: bytes, password: bytes = b"wonderland") -> bytes:
    """A CHAP-Password, the Request Authenticator being the challenge (RFC 2865, 5.3)."""
    return tlv(CHAP_PASSWORD, b"\x07" + hashlib.md5(b"\x07" + password + authenticator).digest())


def attributes_of(data: bytes) -> list[tuple[int, bytes]]:
    """Every attribute of a whole packet, in order."""
    found, at = [], 20
    while at < len(data):
        assert data[at + 1] >= 2
        assert at + data[at + 1] <= len(data)
        found.append((data[at], data[at + 2 : at + data[at + 1]]))
        at += data[at + 1]
    return found


@dataclass(frozen=True)
class Reply:
    """A reply whose signatures fit."""

    code: int
    attributes: list[tuple[int, bytes]]  # behind the Message-Authenticator

    def all(self, kind: int) -> list[bytes]:
        """The values of one kind of attribute."""
        return [value for found, value in self.attributes if found == kind]

    def __getitem__(self, kind: int) -> bytes:
        """The only value of one kind of attribute."""
        (value,) = self.all(kind)
        return value


def checked(reply: object, request: bytes, secret: bytes = SECRET) -> Reply:
    """Verify a reply as the concentrator would, and once more with pyrad; Message-Authenticator stands first."""
    assert isinstance(reply, bytes), f"no reply but {reply!r}"
    assert is_signed_with(reply, request, secret), "the reply is not signed with this secret"
    asked = AuthPacket(packet=request, secret=secret)
    assert asked.VerifyReply(asked.CreateReply(packet=reply), reply, enforce_ma=True)
    attributes = attributes_of(reply)
    assert attributes[0][0] == MESSAGE_AUTHENTICATOR
    return Reply(reply[0], attributes[1:])


def is_signed_with(reply: bytes, request: bytes, secret: bytes) -> bool:
    """Tell whether both authenticators of a reply to this request were made with this secret."""
    assert reply[1] == request[1]
    assert int.from_bytes(reply[2:4], "big") == len(reply) <= 4096
    seen = reply[:4] + request[4:20] + reply[20:]
    response = hashlib.md5(seen + secret).digest()
    message = hmac.digest(secret, seen[:22] + bytes(16) + seen[38:], "md5")
    return reply[20:22] == b"\x50\x12" and reply[4:20] == response and reply[22:38] == message
