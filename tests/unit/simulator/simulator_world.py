"""A concentrator without a network: what it sends is looked at, what it receives is made here."""

import hashlib
import hmac
from collections import deque
from itertools import count

from aaad.simulator.fleet import Nases
from aaad.simulator.nas import Concentrator, Line

SECRET = b"testing123"


def octets():
    """What is random in life, the same in each run and never the same twice."""
    numbers = count(1)
    return lambda size: hashlib.sha512(b"%d" % next(numbers)).digest()[:size]


class World:
    """A concentrator, its outbox, and a server that replies as a test says."""

    def __init__(self, kind: str = "mikrotik-old", servers: int = 1) -> None:
        self.outbox: deque[tuple[Line, bytes]] = deque()
        self.concentrator = Concentrator(Nases(kind=kind).make()[0], servers, octets(), self.outbox)

    def sent(self) -> list[tuple[Line, bytes]]:
        found = list(self.outbox)
        self.outbox.clear()
        return found


def reply(
    request: bytes, code: int = 2, attributes: bytes = b"", *, signed: bool = False, secret: bytes = SECRET
) -> bytes:
    body = (b"\x50\x12" + bytes(16) if signed else b"") + attributes
    head = bytes((code, request[1])) + (20 + len(body)).to_bytes(2, "big")
    if signed:
        body = b"\x50\x12" + hmac.digest(secret, head + request[4:20] + body, "md5") + attributes
    return head + hashlib.md5(head + request[4:20] + body + secret).digest() + body
