"""The simulator's sockets: carries datagrams between a simulation and real servers until it is over.

Each port of a concentrator is a socket of its own, bound to the concentrator's address and connected to its server,
so that the kernel lets nothing through that comes from elsewhere. What cannot be sent is lost, as on a wire.
"""

import contextlib
import errno
import ipaddress
import resource
import select
import socket
import threading
from collections.abc import Sequence
from typing import NamedTuple

from aaad import clock
from aaad.errors import AaadError
from aaad.simulator.nas import Concentrator, Line
from aaad.simulator.report import Report
from aaad.simulator.simulation import Simulation

_DATAGRAM_OCTETS = 4096
_DATAGRAMS_MAX = 64  # of one socket before the others have their turn
_EVENTS_MAX = 256
_BUFFER_OCTETS = 1 << 20
_LOOPBACK = "127.0.0.1"
_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EACCES, errno.EAFNOSUPPORT, errno.EMFILE, errno.ENETUNREACH}


class SimulatorError(AaadError):
    """The simulator cannot work on this machine as it was told to."""


class Server(NamedTuple):
    """A RADIUS server: an address and its two ports."""

    address: str
    auth_port: int
    acct_port: int


def simulate(simulation: Simulation, servers: Sequence[Server], stopping: threading.Event | None = None) -> Report:
    """Carry out a simulation until it is over; `stopping` lets nobody begin to dial any more.

    The concentrators ask the servers in this order; as many must be here as the simulation was told.
    """
    with contextlib.closing(_Sockets(simulation, servers)) as sockets:
        while True:
            now_s = clock.monotonic_s()
            if stopping is not None and stopping.is_set():
                simulation.stop()
            simulation.advance(now_s)
            sockets.send()
            if simulation.is_over(now_s):
                return simulation.finish(now_s, sockets.not_sent)
            sockets.receive(simulation.wait_s(now_s))


class _Sockets:
    """The sockets of all concentrators, opened when first needed."""

    def __init__(self, simulation: Simulation, servers: Sequence[Server]) -> None:
        self.not_sent = 0
        _allow_many_sockets()
        self._simulation = simulation
        self._servers = servers
        self._poll = select.epoll()
        self._by_line: dict[Line, socket.socket] = {}
        self._by_number: dict[int, tuple[socket.socket, Line]] = {}
        self._late: list[tuple[float, socket.socket, bytes, tuple[str, int]]] = []
        self._for_orders: dict[int, tuple[socket.socket, Concentrator]] = {}
        for concentrator in simulation.concentrators:
            if concentrator.nas.order_port:
                self._open_for_orders(concentrator)

    def send(self) -> None:
        """Send all that waits to be sent."""
        outbox = self._simulation.outbox
        while outbox:
            line, datagram = outbox.popleft()
            opened = self._by_line.get(line) or self._open(line)
            try:
                opened.send(datagram)
            except OSError:  # nobody there, or no room: lost, as on a wire
                self.not_sent += 1

    def receive(self, wait_s: float) -> None:
        """Wait for replies so long at most, and take what is there."""
        if self._late:
            self._answer_orders(clock.monotonic_s())
        for number, _ in self._poll.poll(wait_s, _EVENTS_MAX):
            if number in self._for_orders:
                self._obey(*self._for_orders[number])
                continue
            opened, line = self._by_number[number]
            for _ in range(_DATAGRAMS_MAX):
                try:
                    datagram = opened.recv(_DATAGRAM_OCTETS + 1)
                except BlockingIOError:
                    break
                except OSError:
                    continue  # an earlier datagram found nobody there; the next is read in its turn
                self._simulation.receive(line, datagram, clock.monotonic_s())

    def _obey(self, opened: socket.socket, concentrator: Concentrator) -> None:
        for _ in range(_DATAGRAMS_MAX):
            try:
                datagram, sender = opened.recvfrom(_DATAGRAM_OCTETS + 1)
            except BlockingIOError:
                break
            except OSError:
                continue
            now_s = clock.monotonic_s()
            answered = self._simulation.order(concentrator, datagram, now_s, sender[0])
            if answered is not None:
                self._late.append((answered[1], opened, answered[0], sender))
        self._answer_orders(clock.monotonic_s())

    def _answer_orders(self, now_s: float) -> None:
        """Send the answers whose time has come; a concentrator may be late with some."""
        waiting, self._late = self._late, []
        for at_s, opened, answer, sender in waiting:
            if at_s > now_s:
                self._late.append((at_s, opened, answer, sender))
                continue
            with contextlib.suppress(OSError):  # lost, as on a wire
                opened.sendto(answer, sender)

    def _open_for_orders(self, concentrator: Concentrator) -> None:
        nas = concentrator.nas
        address = nas.source or _LOOPBACK
        family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            opened.bind((address, nas.order_port))
        except OSError as error:
            opened.close()
            raise SimulatorError(f"orders at {address} port {nas.order_port}: {error.strerror or error}") from None
        self._for_orders[opened.fileno()] = opened, concentrator
        self._poll.register(opened.fileno(), select.EPOLLIN)

    def _open(self, line: Line) -> socket.socket:
        server, source = self._servers[line.server], line.owner.nas.source
        family = socket.AF_INET6 if ipaddress.ip_address(server.address).version == 6 else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_OCTETS)
            if source is not None:
                opened.bind((source, 0))
            opened.connect((server.address, server.acct_port if line.is_accounting else server.auth_port))
        except OSError as error:
            opened.close()
            if error.errno not in _NOT_HERE:
                raise
            raise SimulatorError(
                f"from {source or 'this machine'} to {server.address}: {error.strerror or error}"
            ) from None
        self._by_line[line] = opened
        self._by_number[opened.fileno()] = opened, line
        self._poll.register(opened.fileno(), select.EPOLLIN)
        return opened

    def close(self) -> None:
        """Close all of them."""
        for opened in self._by_line.values():
            opened.close()
        for opened, _ in self._for_orders.values():
            opened.close()
        self._poll.close()


def _allow_many_sockets() -> None:
    """Take as many descriptors as this process may have: each concentrator needs one, a busy one more."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
