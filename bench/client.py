"""A small RADIUS client of the bench's own (RFC 2865, PAP): asks, verifies the answer, gives its attributes.

It shares no code with aaad: an error must not cancel itself out. Loopback only, one request at a time.
"""

import hashlib
import hmac
import os
import socket
import struct
from dataclasses import dataclass

SECRET = b"testing123"
ACCEPT, REJECT = 2, 3
_MIKROTIK = 14988
_NAMES = {
    6: "Service-Type",
    7: "Framed-Protocol",
    8: "Framed-IP-Address",
    18: "Reply-Message",
    25: "Class",
    27: "Session-Timeout",
    28: "Idle-Timeout",
    80: "Message-Authenticator",
    85: "Acct-Interim-Interval",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A verified answer. `attributes` are (name, value) in the order in which they came."""

    code: int
    attributes: tuple[tuple[str, bytes], ...]

    def names(self) -> list[str]:
        """Return the names of the attributes, in order."""
        return [name for name, _ in self.attributes]

    def value(self, name: str) -> bytes | None:
        """Return the first value of this name."""
        return next((value for found, value in self.attributes if found == name), None)


class PapClient:
    """One socket to one server. `ask` gives None when no valid answer came in time."""

    def __init__(self, port: int, *, timeout_s: float = 1.0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._socket.settimeout(timeout_s)
        self._identifier = 0

    def close(self) -> None:
        self._socket.close()

    def ask(self, name: str, password: str) -> Answer | None:
        """Send one Access-Request and wait for its answer; strays are passed over."""
        self._identifier = (self._identifier + 1) % 256
        authenticator = os.urandom(16)
        try:
            self._socket.send(access_request(self._identifier, authenticator, name.encode(), password.encode()))
            while True:
                data = self._socket.recv(4096)
                if data[1] == self._identifier and _is_authentic(data, authenticator):
                    return Answer(data[0], tuple(_attributes(data)))
        except (TimeoutError, ConnectionRefusedError):
            return None


def access_request(identifier: int, authenticator: bytes, name: bytes, password: bytes) -> bytes:
    """Return a signed PAP Access-Request."""
    mask = hashlib.md5(SECRET + authenticator).digest()
    hidden = bytes(a ^ b for a, b in zip(password.ljust(16, b"\0"), mask, strict=True))  # at most 16 octets here
    return signed_request(identifier, authenticator, name, _attribute(2, hidden))


def signed_request(identifier: int, authenticator: bytes, name: bytes, proof: bytes) -> bytes:
    """Return a signed Access-Request in the form in which a MikroTik's PPPoE server sends it.

    `proof`: the attributes that prove the password.
    """
    body = (
        _attribute(6, b"\0\0\0\2")
        + _attribute(7, b"\0\0\0\1")
        + _attribute(5, b"\0\xf0\0\1")
        + _attribute(61, b"\0\0\0\x0f")
        + _attribute(1, name)
        + _attribute(31, b"E4:8D:00:00:00:01")
        + _attribute(30, b"pppoe-in")
        + _attribute(87, b"vlan100")
        + _attribute(44, authenticator.hex()[:14].encode())
        + _attribute(32, b"bench")
        + _attribute(4, b"\x0a\xff\0\1")
        + proof
    )
    head = struct.pack("!BBH", 1, identifier, 20 + 18 + len(body)) + authenticator
    signature = hmac.digest(SECRET, head + _attribute(80, bytes(16)) + body, "md5")
    return head + _attribute(80, signature) + body


def _attribute(kind: int, value: bytes) -> bytes:
    return bytes((kind, len(value) + 2)) + value


def _is_authentic(data: bytes, authenticator: bytes) -> bool:
    expected = hashlib.md5(data[:4] + authenticator + data[20:] + SECRET).digest()
    return expected == data[4:20]


def _attributes(data: bytes) -> list[tuple[str, bytes]]:
    found = []
    position = 20
    while position < len(data):
        kind, length = data[position], data[position + 1]
        value = data[position + 2 : position + length]
        if kind == 26 and int.from_bytes(value[:4], "big") == _MIKROTIK and value[4] == 8:
            found.append(("Mikrotik-Rate-Limit", value[6:]))
        else:
            found.append((_NAMES.get(kind, f"attribute {kind}"), value))
        position += length
    return found
