"""Sends orders to NASes and waits for their answers: one UDP socket for each of our own addresses.

What is sent again is the same octets with the same Identifier (RFC 5176, 2.3), which is free again when the answer
has come or its time is over. A NAS answers only who it knows as its server, so the caller names the address to send
from (rule R2.6). Everything is bounded: orders in work, Identifiers of one NAS, tries, time.

A shared socket is not told of ICMP. So what found no answer is sent once more on a socket of its own, which tells
whether somebody on the way refuses it: a port where nobody listens, a firewall.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, NamedTuple

from aaad import clock
from aaad.radius.dynauth import NoAnswer, Order, Verdict, encode, read
from aaad.radius.integrity import SecretKeys
from aaad.radius.kinds import NasKind
from aaad.radius.packet import PACKET_SIZE_MAX

RESEND_S = 0.2
TRIES_S = (0.4, 0.8, 1.2)  # how long each try of an order waits
KNOCK_S = 0.25
IN_WORK_MAX = 256
_IDENTIFIERS = 256
_DATAGRAMS_MAX = 32  # of one wake-up
_BUFFER_OCTETS = 1 << 20

Endpoint = tuple[str, int]  # address and port


class Way(NamedTuple):
    """How an order gets to a NAS: from which of our addresses, to where, signed with what, said in whose words."""

    local_address: str
    nas: Endpoint
    keys: SecretKeys
    kind: NasKind


@dataclass(slots=True, eq=False)
class _InWork:
    request: bytes
    way: Way
    answered: "asyncio.Future[Verdict]"


async def _nothing() -> None:
    pass


class DynauthClient:
    """Orders of one process on their way."""

    def __init__(self, *, in_work_max: int = IN_WORK_MAX) -> None:
        """Nothing is opened yet."""
        self._in_work_max = in_work_max
        self._sockets: dict[str, socket.socket] = {}
        self._in_work: dict[tuple[str, Endpoint, int], _InWork] = {}
        self._last_identifier: dict[tuple[str, Endpoint], int] = {}

    @property
    def in_work_count(self) -> int:
        """How many orders wait for an answer."""
        return len(self._in_work)

    async def ask(self, order: Order, attributes: bytes, way: Way, *, wait_s: float) -> Verdict | None:
        """Send an order until it is answered, for so long at most; None: no answer, or it could not be sent."""
        tries, rest_s = divmod(max(wait_s, 0.0), RESEND_S)
        waits_s = (RESEND_S,) * int(tries) + ((rest_s,) if rest_s > 0 else ())
        answer, _ = await self._exchange(order, attributes, way, waits_s)
        return answer if isinstance(answer, Verdict) else None

    async def carry(
        self,
        order: Order,
        attributes: bytes,
        way: Way,
        *,
        tries_s: Sequence[float] = TRIES_S,
        before_repeat: Callable[[], Awaitable[None]] = _nothing,
    ) -> Verdict | NoAnswer:
        """Send an order as often as there are tries; return what became of it, with why there is no answer.

        What `before_repeat` raises ends the tries: what was right to be sent once may not be right any more.
        """
        answer, request = await self._exchange(order, attributes, way, tries_s, before_repeat)
        if answer is NoAnswer.SILENT:
            return await _knock(request, way)
        return answer

    async def _exchange(
        self,
        order: Order,
        attributes: bytes,
        way: Way,
        waits_s: Sequence[float],
        before_repeat: Callable[[], Awaitable[None]] = _nothing,
    ) -> tuple[Verdict | NoAnswer, bytes]:
        """Send the same octets until they are answered, with these waits between; return the octets, too."""
        opened, kind = self._socket(way.local_address), way.kind
        identifier = self._free_identifier(way.local_address, way.nas)
        if opened is None or identifier is None or not waits_s:
            return NoAnswer.UNSENT, b""
        stamp_s = int(clock.wall_s()) if kind.stamps_orders else None
        request = encode(order, identifier, attributes, way.keys, is_signed=kind.signs_orders, stamp_s=stamp_s)
        if len(request) > PACKET_SIZE_MAX:
            return NoAnswer.UNSENT, b""
        answered: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        key = (way.local_address, way.nas, identifier)
        self._in_work[key] = _InWork(request, way, answered)
        try:
            for number, wait_s in enumerate(waits_s):
                if number:
                    await before_repeat()
                with suppress(OSError):  # no room, or no way to there for now: as if it were lost on its way
                    opened.sendto(request, way.nas)
                await asyncio.wait((answered,), timeout=wait_s)
                if answered.done():
                    return answered.result(), request
            return NoAnswer.SILENT, request
        finally:
            del self._in_work[key]

    def close(self) -> None:
        """Close the sockets; who waits gets no answer."""
        loop = asyncio.get_running_loop()
        for opened in self._sockets.values():
            loop.remove_reader(opened.fileno())
            opened.close()
        self._sockets.clear()

    def _free_identifier(self, local_address: str, nas: Endpoint) -> int | None:
        """Return the Identifier that this NAS has not seen for the longest time, None if all wait for answers."""
        if len(self._in_work) >= self._in_work_max:
            return None
        if len(self._last_identifier) > self._in_work_max * 16:  # only a memory of who was asked last
            self._last_identifier.clear()
        last = self._last_identifier.get((local_address, nas), clock.wall_ns() >> 10 & 0xFF)
        for step in range(1, _IDENTIFIERS + 1):
            identifier = (last + step) % _IDENTIFIERS
            if (local_address, nas, identifier) not in self._in_work:
                self._last_identifier[local_address, nas] = identifier
                return identifier
        return None

    def _socket(self, local_address: str) -> socket.socket | None:
        opened = self._sockets.get(local_address)
        if opened is None:
            is_ipv6 = ip_address(local_address).version == 6
            opened = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
            try:
                opened.setblocking(False)
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_OCTETS)
                opened.bind((local_address, 0))
            except OSError:  # not an address of this machine any more
                opened.close()
                return None
            self._sockets[local_address] = opened
            asyncio.get_running_loop().add_reader(opened.fileno(), self._reader(local_address, opened))
        return opened

    def _reader(self, local_address: str, opened: socket.socket) -> Callable[[], None]:
        def on_readable() -> None:
            for _ in range(_DATAGRAMS_MAX):
                try:
                    data, source = opened.recvfrom(PACKET_SIZE_MAX + 1)
                except OSError:
                    return
                self._take(local_address, data, source)

        return on_readable

    def _take(self, local_address: str, data: bytes, source: tuple[Any, ...]) -> None:
        found = self._in_work.get((local_address, (source[0], source[1]), data[1])) if len(data) > 1 else None
        if found is not None and not found.answered.done():
            verdict = read(data, found.request, found.way.keys, found.way.kind)
            if verdict is not None:
                found.answered.set_result(verdict)


async def _knock(request: bytes, way: Way) -> Verdict | NoAnswer:
    """Send a request once more, from a port of its own that is told of ICMP; a late answer counts."""
    is_ipv6 = ip_address(way.local_address).version == 6
    with socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM) as knocking:
        try:
            knocking.setblocking(False)
            knocking.bind((way.local_address, 0))
            knocking.connect(way.nas)
            knocking.send(request)
            await asyncio.sleep(KNOCK_S)  # nothing is read meanwhile: a loop would take ICMP for the socket's own end
            data = knocking.recv(PACKET_SIZE_MAX + 1)
        except BlockingIOError:
            return NoAnswer.SILENT
        except OSError:
            return NoAnswer.REJECTED
    return read(data, request, way.keys, way.kind) or NoAnswer.SILENT
