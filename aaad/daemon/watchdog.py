"""The node's own question to its own ports: Status-Server with a secret that only this node's processes know.

A few lines of RADIUS of its own, so that an error of the server's codec cannot prove itself right. The secret is
random, lives as long as the supervisor and is handed to the radius role in memory, together with the exact source
addresses that may use it; it is never in an argument, a file or the environment.

RFC 5997 (Status-Server), RFC 2865, 3 (Response Authenticator), RFC 3579, 3.2 (Message-Authenticator).
"""

import hashlib
import hmac
import json
import os
import secrets
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, NamedTuple

_STATUS_SERVER = 12
_ACCESS_ACCEPT = 2
_ACCOUNTING_RESPONSE = 5
_HEADER = 20
_MESSAGE_AUTHENTICATOR_HEAD = bytes([80, 18])
_REPLY_SIZE_MAX = 4096
_REPLIES_READ_MAX = 128  # a round's replies, late ones of earlier rounds included
_SECRET_OCTETS = 16
_SOURCES_PER_PROCESS = 8
_SOURCES_MAX = 128  # descriptors are not free

Source = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class WatchdogKey:
    """Who may ask with the internal secret: exact sources as the kernel gives them, in IPv6 with flow and scope."""

    sources: tuple[Source, ...]
    secret: bytes

    def __repr__(self) -> str:
        """Show whom, never the secret."""
        return f"WatchdogKey(sources={self.sources!r})"

    def encode(self) -> bytes:
        """Return the octets that a role inherits in memory."""
        return json.dumps({"sources": self.sources, "secret": self.secret.hex()}).encode()

    @classmethod
    def decode(cls, data: bytes) -> "WatchdogKey":
        """Return the key in these octets of the supervisor's."""
        fields = json.loads(data)
        return cls(tuple(tuple(source) for source in fields["sources"]), bytes.fromhex(fields["secret"]))


def status_server(identifier: int, authenticator: bytes, secret: bytes) -> bytes:
    """Return a Status-Server packet with its Message-Authenticator."""
    length = _HEADER + 18
    head = bytes([_STATUS_SERVER, identifier]) + length.to_bytes(2, "big") + authenticator
    unsigned = head + _MESSAGE_AUTHENTICATOR_HEAD + bytes(16)
    return unsigned[:-16] + hmac.digest(secret, unsigned, "md5")


def is_answer(
    reply: bytes, identifier: int, authenticator: bytes, secret: bytes, *, is_accounting: bool = False
) -> bool:
    """Whether these octets are the genuine answer to a Status-Server with this identifier and authenticator."""
    code = _ACCOUNTING_RESPONSE if is_accounting else _ACCESS_ACCEPT
    if len(reply) < _HEADER or reply[0] != code or reply[1] != identifier:
        return False
    length = int.from_bytes(reply[2:4], "big")
    if not _HEADER <= length <= len(reply):
        return False
    signed = reply[:4] + authenticator + reply[_HEADER:length] + secret
    return hmac.compare_digest(reply[4:_HEADER], hashlib.md5(signed, usedforsecurity=False).digest())


def sources_for(processes: int) -> int:
    """Return from how many source ports to ask, so that the kernel's choice by hash reaches every process.

    Up to 16 processes, a given one is missed by all of them in one of 3,000 nodes.
    """
    return 1 if processes == 1 else min(_SOURCES_PER_PROCESS * processes, _SOURCES_MAX)


class Silent(NamedTuple):
    """The addresses and ports that did not answer each of a round's questions."""

    authentication: list[str]
    accounting: list[str]


class Prober:
    """Asks every RADIUS socket once a round, and knows which ones answered the round before."""

    def __init__(self, sources: int = 1) -> None:
        """Open sockets at each family's loopback address; a machine without IPv6 has none there."""
        self._secret = secrets.token_bytes(_SECRET_OCTETS)
        self._sockets: dict[int, list[socket.socket]] = {4: [], 6: []}
        self._identifier = 0
        # of this round's questions: target and asking socket -> authenticator, and whether it is of accounting
        self._waiting: dict[tuple[tuple[str, int], socket.socket], tuple[bytes, bool]] = {}
        self.asked = 0  # questions of this round to authentication ports
        self.open_sources(sources)

    def open_sources(self, count: int) -> None:
        """Have at least so many source ports in each family. The key is another one afterwards."""
        for version, family, address in ((4, socket.AF_INET, "127.0.0.1"), (6, socket.AF_INET6, "::1")):
            with suppress(OSError):
                while len(self._sockets[version]) < count:
                    opened = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                    try:
                        opened.bind((address, 0))
                    except OSError:
                        opened.close()
                        raise
                    self._sockets[version].append(opened)

    @property
    def key(self) -> WatchdogKey:
        """Who asks, and with which secret."""
        return WatchdogKey(tuple(opened.getsockname() for opened in self._all_sockets()), self._secret)

    def _all_sockets(self) -> list[socket.socket]:
        return [opened for sockets in self._sockets.values() for opened in sockets]

    def finish_round(self) -> Silent:
        """Read what came; return the targets that did not answer each of the last questions."""
        for opened in self._all_sockets():
            with suppress(OSError):
                for _ in range(_REPLIES_READ_MAX):
                    reply, source = opened.recvfrom(_REPLY_SIZE_MAX)
                    question = (source[:2], opened)
                    authenticator, is_accounting = self._waiting.get(question, (b"", False))
                    if authenticator and is_answer(
                        reply, self._identifier, authenticator, self._secret, is_accounting=is_accounting
                    ):
                        del self._waiting[question]
        silent = Silent([], [])
        for (target, _), (_, is_accounting) in self._waiting.items():
            names, name = silent[is_accounting], f"{target[0]} port {target[1]}"
            if name not in names:
                names.append(name)
        return silent

    def begin_round(self, targets: Iterable[tuple[str, int]], accounting: Iterable[tuple[str, int]] = ()) -> None:
        """Ask each address and port from each source; what was not answered before is forgotten."""
        self._identifier = (self._identifier + 1) % 256
        self._waiting = {}
        self._ask(targets, is_accounting=False)
        self.asked = len(self._waiting)
        self._ask(accounting, is_accounting=True)

    def _ask(self, targets: Iterable[tuple[str, int]], *, is_accounting: bool) -> None:
        for address, port in targets:
            target = (_reachable(address), port)
            for opened in self._sockets[ip_address(address).version]:
                authenticator = os.urandom(16)
                self._waiting[target, opened] = (authenticator, is_accounting)
                with suppress(OSError):  # then it counts as not answered
                    opened.sendto(status_server(self._identifier, authenticator, self._secret), target)

    def close(self) -> None:
        """Close the sockets."""
        for opened in self._all_sockets():
            opened.close()


def _reachable(address: str) -> str:
    """Return where a wildcard socket is asked: at its family's loopback address."""
    parsed = ip_address(address)
    if not parsed.is_unspecified:
        return address
    return "127.0.0.1" if parsed.version == 4 else "::1"
