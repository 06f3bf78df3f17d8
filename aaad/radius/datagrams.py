"""UDP sockets as the radius process reads and writes them: a batch of datagrams, each with its arrival.

What may be logged of them each second is bounded here, too: anybody can send anything.
"""

import errno
import math
import socket
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import Struct

from aaad import clock
from aaad.log import Log
from aaad.metrics import LATENCY_BUCKETS, CounterFile
from aaad.policy.codes import Discard
from aaad.radius import counters as names
from aaad.radius.packet import PACKET_SIZE_MAX
from aaad.radius.routers import Source

Datagram = tuple[bytes, Source, float]  # octets, whence, arrival in Unix seconds

LOGGED_PER_S = 5  # discarded datagrams of one cause that are logged each second
_RECEIVE_SIZE = PACKET_SIZE_MAX + 1  # so that a longer datagram shows
_ANCILLARY_SIZE = socket.CMSG_SPACE(16)
_unpack_timestamp = Struct("@qq").unpack  # struct timespec of SO_TIMESTAMPNS
_SOL_UDP, _UDP_SEGMENT = 17, 103  # since Linux 4.18
_pack_size = Struct("=H").pack
TOGETHER_MAX = 64  # the kernel's bound
TOGETHER_OCTETS_MAX = 512  # each: fits into every interface's MTU, and all of them into one buffer
_NOT_TOGETHER = (errno.EIO, errno.EINVAL)
_FRESH_S = 0.005  # by how much a datagram may seem older than it is; deadlines are hundreds of milliseconds


@dataclass(frozen=True, slots=True)
class Listener:
    """One UDP socket: its local address, and whether it is for authentication or accounting."""

    socket: socket.socket
    address: str
    is_accounting: bool


class Allowance:
    """How much may be logged of each cause in this second."""

    def __init__(self) -> None:
        """Begin a second."""
        self._left: dict[Discard, int] = {}

    def allows(self, cause: Discard) -> bool:
        """Take one line off; tell whether it may be written."""
        left = self._left.get(cause, LOGGED_PER_S)
        self._left[cause] = left - 1
        return left > 0

    def begin_second(self) -> None:
        """Allow everything anew."""
        self._left.clear()


def receive(listener: Listener, count_max: int, failed: Callable[[Listener, OSError], None]) -> list[Datagram]:
    """Take the datagrams of one wake-up, each with its arrival.

    The kernel's word for each costs nearly a microsecond. But first in is first out: if the first one came just
    now, all others came since, and count as come with it. So each may seem a little older than it is, never
    younger. Otherwise some may be late, and the kernel is asked of each.
    """
    receive_one, simply = listener.socket.recvmsg, listener.socket.recvfrom
    received: list[Datagram] = []
    try:
        while len(received) < count_max:
            data, ancillary, _, source = receive_one(_RECEIVE_SIZE, _ANCILLARY_SIZE)
            arrived_s = _arrival_s(ancillary)
            received.append((data, source, arrived_s))
            if len(received) == 1 and 0 <= clock.wall_s() - arrived_s < _FRESH_S:
                for _ in range(count_max - 1):
                    data, source = simply(_RECEIVE_SIZE)
                    received.append((data, source, arrived_s))
    except BlockingIOError:
        pass
    except OSError as error:
        failed(listener, error)
    return received


def _arrival_s(ancillary: list[tuple[int, int, bytes]]) -> float:
    """Return when the kernel received a datagram; a kernel that does not tell: now."""
    if not ancillary:
        return clock.wall_s()
    seconds, nanoseconds = _unpack_timestamp(ancillary[0][2])
    arrived_s: float = seconds + nanoseconds * 1e-9
    return arrived_s


def can_send_together(opened: socket.socket) -> bool:
    """Tell whether `send_together` may be used; a kernel that does not know it would send one long datagram."""
    try:
        opened.getsockopt(_SOL_UDP, _UDP_SEGMENT)
    except OSError:
        return False
    return True


def send_together(opened: socket.socket, datagrams: Sequence[bytes], destination: Source) -> None:
    """Send up to TOGETHER_MAX datagrams of one length to one destination, for little more than the price of one.

    OSError if none was sent. EIO: not on the way to this destination, say through IPsec.
    """
    size = (_SOL_UDP, _UDP_SEGMENT, _pack_size(len(datagrams[0])))
    opened.sendmsg((b"".join(datagrams),), (size,), 0, destination)


class Sender:
    """Sends the replies of one port and counts them; those of one length to one source together, where that works."""

    def __init__(self, counters: CounterFile, log: Log, allowance: Allowance, answered: str, seconds: str) -> None:
        """Count in these cells: how many, and the histogram of how long after their request's arrival."""
        self._counters = counters
        self._log = log
        self._allowance = allowance
        self._answered_at = counters.index[answered]
        self._latency_at = counters.index[f"{seconds}%0"]
        self._together: set[Listener] = set()

    def open(self, listener: Listener) -> None:
        """Find out how much this socket can do."""
        if can_send_together(listener.socket):
            self._together.add(listener)

    def send(self, listener: Listener, replies: Sequence[Datagram]) -> None:
        """Send replies, each with whereto and when its request arrived."""
        if not replies:
            return
        if len(replies) == 1:
            failed = self._send_alike(listener, [replies[0][0]], replies[0][1])
        else:
            alike: defaultdict[tuple[Source, int], list[bytes]] = defaultdict(list)
            for reply, source, _ in replies:
                alike[source, len(reply)].append(reply)
            failed = sum([self._send_alike(listener, some, source) for (source, _), some in alike.items()])
        now_s = clock.wall_s()
        cells, counted_s, at = self._counters.cells, math.nan, self._latency_at
        for _, _, arrived_s in replies:
            if arrived_s != counted_s:  # of one wake-up most have one arrival
                counted_s = arrived_s
                at = self._latency_at + min(int((now_s - arrived_s) * 1e6).bit_length(), LATENCY_BUCKETS - 1)
            cells[at] += 1
        cells[self._answered_at] += len(replies) - failed

    def _send_alike(self, listener: Listener, replies: list[bytes], source: Source) -> int:
        """Send replies of one length to one source. Returns how many could not be sent."""
        if len(replies) == 1 or len(replies[0]) > TOGETHER_OCTETS_MAX:
            return self._send_each(listener, replies, source)
        failed = 0
        for start in range(0, len(replies), TOGETHER_MAX):
            some, refusal = replies[start : start + TOGETHER_MAX], None
            if listener in self._together:
                try:
                    send_together(listener.socket, some, source)
                    continue
                except OSError as error:
                    refusal = error.errno
            failed_of_some = self._send_each(listener, some, source)
            if refusal in _NOT_TOGETHER and not failed_of_some:  # else it is the source, which may be anybody's lie
                self._together.discard(listener)
            failed += failed_of_some
        return failed

    def _send_each(self, listener: Listener, replies: list[bytes], source: Source) -> int:
        send, failed = listener.socket.sendto, 0
        for reply in replies:
            try:
                send(reply, source)
            except OSError as error:  # out of reach, or the kernel has no room: the NAS asks again
                failed += 1
                self._counters.add(names.SEND_FAILED)
                if self._allowance.allows(Discard.OVERLOAD):
                    self._log.warning("reply.not_sent", source=source[0], error=str(error))
        return failed
