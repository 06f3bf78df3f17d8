"""Subscribers that dial: a small RADIUS client for the tests of whole nodes, sharing no code with aaad.radius.

It sends Access-Requests as a MikroTik does (PAP, Message-Authenticator, resent after a time, given up after a few
tries), verifies every reply, and keeps what it saw of each request.
"""

import contextlib
import hashlib
import hmac
import itertools
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

ACCEPT, REJECT = 2, 3
_RESEND_S = 0.3
_TRIES = 3


@dataclass
class Dialled:
    """One request and what came of it."""

    user: str
    sent_at: float
    tries: int = 1
    code: int | None = None  # None: given up
    answered_at: float | None = None
    forged: bool = False
    attributes: bytes = b""


@dataclass
class _InWork:
    dialled: Dialled
    datagram: bytes
    authenticator: bytes
    resend_at: float
    secret: bytes


def access_request(user: str, password: str, secret: bytes, identifier: int, *, signed: bool = True) -> bytes:
    """Return a PAP Access-Request in MikroTik's form."""
    authenticator = os.urandom(16)
    octets = password.encode().ljust(-(-max(len(password), 1) // 16) * 16, b"\0")
    hidden, previous = b"", authenticator
    for at in range(0, len(octets), 16):
        mask = hashlib.md5(secret + previous).digest()
        previous = bytes(a ^ b for a, b in zip(octets[at : at + 16], mask, strict=True))
        hidden += previous
    attributes = b"".join(
        bytes((kind, len(value) + 2)) + value
        for kind, value in (
            (6, b"\0\0\0\2"),
            (7, b"\0\0\0\1"),
            (5, b"\0\xf0\0\x08"),
            (61, b"\0\0\0\x0f"),
            (1, user.encode()),
            (31, b"02:00:5E:00:53:01"),
            (30, b"pppoe-in"),
            (87, b"vlan100"),
            (44, b"81a00001"),
            (2, hidden),
            (32, b"test-router"),
        )
    )
    if not signed:
        return struct.pack("!BBH", 1, identifier, 20 + len(attributes)) + authenticator + attributes
    header = struct.pack("!BBH", 1, identifier, 38 + len(attributes)) + authenticator
    signature = hmac.digest(secret, header + b"\x50\x12" + bytes(16) + attributes, "md5")
    return header + b"\x50\x12" + signature + attributes


def is_genuine(reply: bytes, request_authenticator: bytes, secret: bytes) -> bool:
    """Verify a reply's Response Authenticator, and its Message-Authenticator, which must be there and first."""
    expected = hashlib.md5(reply[:4] + request_authenticator + reply[20:] + secret).digest()
    if expected != reply[4:20] or reply[20:22] != b"\x50\x12":
        return False
    zeroed = reply[:4] + request_authenticator + b"\x50\x12" + bytes(16) + reply[38:]
    return hmac.digest(secret, zeroed, "md5") == reply[22:38]


@dataclass
class Load:
    """Subscribers dialling at a steady rate from a thread; `stop` returns everything that was dialled."""

    port: int
    rate: float
    secret: bytes = b"testing123"
    logins: int = 100
    password: Callable[[int], str] = lambda number: f"pass{number:06d}"
    done: list[Dialled] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Load":
        self._thread = threading.Thread(target=self._dial)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> list[Dialled]:
        self._stopping.set()
        self._thread.join(10)
        return self.done

    def _dial(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", self.port))
            sender.settimeout(0.005)
            in_work: dict[int, _InWork] = {}
            begun = time.monotonic()
            count = 0
            while not self._stopping.is_set() or in_work:
                now = time.monotonic()
                if not self._stopping.is_set() and now >= begun + count / self.rate:
                    self._begin(sender, in_work, count)
                    count += 1
                    continue
                self._receive(sender, in_work)
                self._resend(sender, in_work)

    def _begin(self, sender: socket.socket, in_work: dict[int, _InWork], count: int) -> None:
        identifier = count % 256
        if identifier in in_work:
            return
        number = count % self.logins
        user = f"user{number:06d}"
        datagram = access_request(user, self.password(number), self.secret, identifier)
        now = time.monotonic()
        in_work[identifier] = _InWork(Dialled(user, now), datagram, datagram[4:20], now + _RESEND_S, self.secret)
        _send(sender, datagram)

    def _receive(self, sender: socket.socket, in_work: dict[int, _InWork]) -> None:
        try:
            reply = sender.recv(4096)
        except OSError:
            return
        work = in_work.get(reply[1])
        if work is None:
            return
        if not is_genuine(reply, work.authenticator, work.secret):
            work.dialled.forged = True
            return
        del in_work[reply[1]]
        work.dialled.code, work.dialled.answered_at, work.dialled.attributes = reply[0], time.monotonic(), reply[20:]
        self.done.append(work.dialled)

    def _resend(self, sender: socket.socket, in_work: dict[int, _InWork]) -> None:
        now = time.monotonic()
        for identifier, work in list(in_work.items()):
            if now < work.resend_at:
                continue
            if work.dialled.tries >= _TRIES:
                del in_work[identifier]
                self.done.append(work.dialled)
                continue
            work.dialled.tries += 1
            work.resend_at = now + _RESEND_S
            _send(sender, work.datagram)


def _send(sender: socket.socket, datagram: bytes) -> None:
    with contextlib.suppress(OSError):  # nobody there for the moment: as on a wire, it is lost
        sender.send(datagram)


def longest_pause_s(dialled: list[Dialled]) -> float:
    """Return the longest time between two answers that followed each other."""
    moments = sorted(d.answered_at for d in dialled if d.answered_at is not None)
    return max((b - a for a, b in itertools.pairwise(moments)), default=float("inf"))


def dial(
    port: int, user: str, password: str, *, secret: bytes = b"testing123", timeout_s: float = 1.0, signed: bool = True
) -> Dialled:
    """Dial once, without resending."""
    datagram = access_request(user, password, secret, 7, signed=signed)
    dialled = Dialled(user, time.monotonic())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port))
        sender.settimeout(timeout_s)
        try:
            sender.send(datagram)
            reply = sender.recv(4096)
        except OSError:
            return dialled
    dialled.forged = not is_genuine(reply, datagram[4:20], secret)
    dialled.code, dialled.answered_at, dialled.attributes = reply[0], time.monotonic(), reply[20:]
    return dialled
