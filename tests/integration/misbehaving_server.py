"""A RADIUS server that does what a test says: late, lost, forged and repeated replies."""

import hashlib
import hmac
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aaad.simulator.network import Server

SECRET = b"testing123"
Behaviour = Callable[[int, bytes], list[tuple[float, bytes]]]


class MisbehavingServer(threading.Thread):
    """Replies as `behave(copies of this request so far, request)` says: each time a list of (delay, datagram).

    None is sent before `at_least` different requests are here.
    """

    def __init__(self, behave: Behaviour, address: str, at_least: int) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.settimeout(0.01)
        self.server = Server(address, self.socket.getsockname()[1], self.socket.getsockname()[1])
        self.behave, self.at_least, self.stopping = behave, at_least, False
        self.seen: list[bytes] = []
        self.sources: set[tuple[str, int]] = set()
        self._due: list[tuple[float, bytes, tuple[str, int]]] = []

    def run(self) -> None:
        while not self.stopping:
            try:
                request, source = self.socket.recvfrom(4096)
            except TimeoutError:
                self._send_due()
                continue
            copies = self.seen.count(request)
            self.seen.append(request)
            self.sources.add(source)
            now = time.monotonic()
            self._due += [(now + delay_s, datagram, source) for delay_s, datagram in self.behave(copies, request)]
            self._send_due()

    def _send_due(self) -> None:
        if len(self.seen) < self.at_least or len(set(self.seen)) < self.at_least:
            return
        now = time.monotonic()
        for one in [one for one in self._due if one[0] <= now]:
            self._due.remove(one)
            self.socket.sendto(one[1], one[2])


@contextmanager
def serving(behave: Behaviour, address: str = "127.0.0.1", at_least: int = 0) -> Iterator[MisbehavingServer]:
    """Run one; it ends with the block."""
    server = MisbehavingServer(behave, address, at_least)
    server.start()
    yield server
    server.stopping = True
    server.join(5)
    server.socket.close()


def reply(request: bytes, *, code: int = 2, forged: bool = False, attributes: bytes = b"") -> bytes:
    """A signed reply, with zeros for its signature if it is forged."""
    head = bytes((code, request[1])) + (38 + len(attributes)).to_bytes(2, "big")
    signature = hmac.digest(SECRET, head + request[4:20] + b"\x50\x12" + bytes(16) + attributes, "md5")
    body = b"\x50\x12" + (bytes(16) if forged else signature) + attributes
    return head + hashlib.md5(head + request[4:20] + body + SECRET).digest() + body
