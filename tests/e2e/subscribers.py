"""Subscribers that dial a whole node in the tests: one, or many at a steady rate, by the simulator.

They wait as long as an old RouterOS does, and take only replies that are signed, as a new one does.
"""

import hashlib
import itertools
import os
import socket
import threading
from collections.abc import Sequence

from aaad.simulator.fleet import Subscribers
from aaad.simulator.methods import METHODS
from aaad.simulator.mschap import Secret
from aaad.simulator.network import Server, simulate
from aaad.simulator.packet import ACCESS_ACCEPT, ACCESS_REJECT, Place
from aaad.simulator.request import Look, Nas, NasKind
from aaad.simulator.simulation import Plan, Simulation
from aaad.simulator.subscriber import Dial, Subscriber

ACCEPT, REJECT = ACCESS_ACCEPT, ACCESS_REJECT
SECRET = b"testing123"
_RESEND_S, _TRIES = 0.3, 3
_LOG_MAX = 1_000_000
_LONGEST_S = 600.0


def nas(
    secret: bytes = SECRET,
    *,
    timeout_s: float = _RESEND_S,
    tries: int = _TRIES,
    signed: bool = True,
    name: str = "test",
) -> Nas:
    """A router that signs its requests, or does not, and takes signed replies only."""
    place = Place.FIRST if signed else Place.NOWHERE
    return Nas(name, NasKind("tested", Look.ROUTEROS, timeout_s, tries, place, demands_signature=True), secret)


class Load:
    """Subscribers dialling in turn at a steady rate from a thread; `stop` returns everything that was dialled."""

    def __init__(
        self,
        port: int,
        rate: float,
        *,
        secret: bytes = SECRET,
        logins: int = 100,
        methods: Sequence[str] = ("pap",),
        tries: int = _TRIES,
    ) -> None:
        plan = Plan(rate=rate, cycles_for_s=_LONGEST_S, log_max=_LOG_MAX)
        who = Subscribers(count=logins, methods=methods).make()
        self._simulation = Simulation(plan, [nas(secret, tries=tries)], who, 1, os.urandom)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=simulate, args=(self._simulation, [_server(port)], self._stopping))

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def secret(self) -> bytes:
        """The router's secret; a change of it counts from the next dial on."""
        return self._simulation.concentrators[0].nas.secret

    @secret.setter
    def secret(self, secret: bytes) -> None:
        self._simulation.concentrators[0].nas = nas(secret)

    @property
    def done(self) -> list[Dial]:
        """What was dialled and has come to its end."""
        return list(self._simulation.log)

    def stop(self) -> list[Dial]:
        self._stopping.set()
        self._thread.join(10)
        return self.done


def dial(
    port: int, user: str, password: str, *, secret: bytes = SECRET, timeout_s: float = 1.0, signed: bool = True
) -> Dial:
    """Dial once by PAP, without resending."""
    who = Subscriber(0, user, Secret(password), METHODS["pap"], bytes.fromhex("02005e005301"))
    router = nas(secret, timeout_s=timeout_s, tries=1, signed=signed)
    simulation = Simulation(Plan(), [router], [who], 1, os.urandom)
    simulate(simulation, [_server(port)])
    return simulation.last[0]


def longest_pause_s(dialled: list[Dial]) -> float:
    """Return the longest time between two answers that followed each other."""
    moments = sorted(one.answered_at_s for one in dialled if one.answered_at_s is not None)
    return max((b - a for a, b in itertools.pairwise(moments)), default=float("inf"))


def _server(port: int) -> Server:
    return Server("127.0.0.1", port, port + 1)


def is_recorded(port: int, session: bytes, *, timeout_s: float = 2.0) -> bool:
    """Report the Start of a session; tell whether a genuine answer says that it is recorded (RFC 2866, 3)."""
    body = b"".join(
        bytes((kind, len(value) + 2)) + value
        for kind, value in ((40, b"\0\0\0\1"), (1, b"user000010"), (44, session), (32, b"bras-01"))
    )
    head = b"\x04\x09" + (20 + len(body)).to_bytes(2, "big")
    authenticator = hashlib.md5(head + bytes(16) + body + SECRET).digest()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as router:
        router.settimeout(timeout_s)
        router.connect(("127.0.0.1", port))
        router.send(head + authenticator + body)
        try:
            reply = router.recv(4096)
        except OSError:
            return False
    return reply[:2] == b"\x05\x09" and reply[4:20] == hashlib.md5(reply[:4] + authenticator + SECRET).digest()
