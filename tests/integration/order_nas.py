"""A concentrator on loopback that carries out orders about its sessions: what `aaad.simulator` makes of them."""

import asyncio
import socket
from types import SimpleNamespace

from aaad.simulator import orders
from aaad.simulator.granted import Granted
from aaad.simulator.methods import METHODS
from aaad.simulator.nas import OrderCounters
from aaad.simulator.request import KINDS, Nas

SECRET = b"testing123"


class OrderNas:
    """Sessions by Acct-Session-Id, each with a user name and an address; it may be silent, or slow."""

    def __init__(self, *, kind: str = "mikrotik", address: str = "127.0.0.1", secret: bytes = SECRET) -> None:
        self.nas = Nas("bras-01", KINDS[kind], secret)
        self.sessions: dict[bytes, SimpleNamespace] = {}
        self.counters = OrderCounters()
        self.heard: list[bytes] = []
        self.sources: list[str] = []
        self.is_silent = False
        self.unheard = 0  # of the next so many it hears nothing
        self.delay_s = 0.0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind((address, 0))

    @property
    def port(self) -> int:
        return self.socket.getsockname()[1]

    def begin(self, session_id: str, name: str, ipv4: str = "100.64.0.1") -> None:
        subscriber = SimpleNamespace(name=name, method=METHODS["pap"])
        self.sessions[session_id.encode()] = SimpleNamespace(
            session_id=session_id.encode(),
            subscriber=subscriber,
            address=socket.inet_aton(ipv4),
            granted=Granted(),
        )

    def __enter__(self) -> "OrderNas":
        asyncio.get_running_loop().add_reader(self.socket.fileno(), self._read)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self.socket.fileno())
        self.socket.close()

    def _read(self) -> None:
        datagram, source = self.socket.recvfrom(4096)
        self.heard.append(datagram)
        self.sources.append(source[0])
        if self.is_silent or self.unheard > 0:
            self.unheard -= 1
            return
        obeyed = orders.obey(self.nas, datagram, self.sessions.get, self.counters)
        if obeyed is not None:
            if obeyed.ended is not None:
                del self.sessions[obeyed.ended.session_id]
            asyncio.get_running_loop().call_later(self.delay_s, self._answer, obeyed.answer, source)

    def _answer(self, answer: bytes, source: tuple) -> None:
        if self.socket.fileno() >= 0:
            self.socket.sendto(answer, source)
