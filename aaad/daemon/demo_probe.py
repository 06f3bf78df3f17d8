"""Asks a RADIUS port whether it serves: one Status-Server (RFC 5997) and a check of the answer's signature.

Small and on its own: the throw-away node tells whether the daemon really answers, so nothing here is the
daemon's own code.
"""

import hashlib
import hmac
import secrets
import socket
import struct

_STATUS_SERVER = 12
_ACCESS_ACCEPT = 2
_MESSAGE_AUTHENTICATOR = 80
_HEAD = struct.Struct("!BBH16s")
_DATAGRAM_OCTETS_MAX = 4096


def is_answering(address: str, port: int, secret: bytes, timeout_s: float = 0.5) -> bool:
    """Return whether this authentication port answers a Status-Server with a right signature in time."""
    identifier = secrets.randbelow(256)
    authenticator = secrets.token_bytes(16)
    request = _request(identifier, authenticator, secret)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(timeout_s)
        try:
            client.connect((address, port))
            client.send(request)
            return _is_accept(client.recv(_DATAGRAM_OCTETS_MAX), identifier, authenticator, secret)
        except OSError:  # nobody listens yet, or no answer in time
            return False


def _request(identifier: int, authenticator: bytes, secret: bytes) -> bytes:
    attribute = bytes([_MESSAGE_AUTHENTICATOR, 18])
    head = _HEAD.pack(_STATUS_SERVER, identifier, _HEAD.size + 18, authenticator)
    return head + attribute + hmac.digest(secret, head + attribute + bytes(16), "md5")


def _is_accept(reply: bytes, identifier: int, authenticator: bytes, secret: bytes) -> bool:
    """RFC 2865, 3: Response Authenticator = MD5(code + identifier + length + request's + attributes + secret)."""
    if len(reply) < _HEAD.size:
        return False
    code, answered, length, signature = _HEAD.unpack_from(reply)
    signed = reply[:4] + authenticator + reply[_HEAD.size : length] + secret
    expected = hashlib.md5(signed, usedforsecurity=False).digest()
    return code == _ACCESS_ACCEPT and answered == identifier and hmac.compare_digest(signature, expected)
