"""A concentrator at work: its requests on their way, sent again when no reply comes, and what replies are worth.

Pure: datagrams and the time come in, datagrams to send are put into an outbox. RFC 2865, 3: a request sent again to
the same server is the same, octet for octet; to another server it is another request, with an Identifier and an
authenticator of its own. There are 256 Identifiers to a source port, so a busy concentrator opens more ports.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from aaad.simulator.methods import Asked, RandomOctets, answer, find_flaw
from aaad.simulator.packet import (
    ACCESS_ACCEPT,
    ACCESS_CHALLENGE,
    ACCESS_REJECT,
    ACCOUNTING_RESPONSE,
    Bad,
    access_request,
    accounting_request,
    decode_reply,
)
from aaad.simulator.request import (
    Nas,
    Status,
    access_attributes,
    accounting_attributes,
    authenticator_of,
    nas_port,
    session_id,
)
from aaad.simulator.subscriber import Dial, Subscriber

IDENTIFIERS = 256
PORTS_MAX = 64  # source ports to one server: 16,384 requests in work
_ACCESS_REPLIES = (ACCESS_ACCEPT, ACCESS_REJECT, ACCESS_CHALLENGE)
_ACCOUNTING_REPLIES = (ACCOUNTING_RESPONSE,)


@dataclass(slots=True, eq=False)
class Line:
    """One source port of a concentrator to one port of one server."""

    owner: "Concentrator"
    server: int
    is_accounting: bool
    in_work: dict[int, "Exchange"] = field(default_factory=dict)
    free: deque[int] = field(default_factory=lambda: deque(range(IDENTIFIERS)))  # the longest unused comes first


Outbox = deque[tuple[Line, bytes]]


@dataclass(slots=True, eq=False)
class Exchange:
    """A request on its way, and the dial that it belongs to. `status` is None for an Access-Request."""

    dial: Dial
    status: Status | None
    began_at_s: float
    age_s: float = 0.0  # of the session, for accounting
    server: int = 0
    tries: int = 0  # to this server
    tries_in_all: int = 0
    line: Line | None = None
    identifier: int = 0
    authenticator: bytes = b""
    datagram: bytes = b""
    secret: bytes = field(default=b"", repr=False)  # as it was when the request was made
    resend_at_s: float = 0.0
    is_answered: bool = False


@dataclass(slots=True)
class Counters:
    """What /radius monitor counts, and a little more."""

    resends: int = 0
    bad_replies: dict[Bad, int] = field(default_factory=dict)
    unexpected: int = 0  # replies to nothing that is in work: late, or a second copy
    no_identifier: int = 0  # requests that waited, all Identifiers of all ports being in use


class Concentrator:
    """One NAS and its servers, asked in their order."""

    def __init__(self, nas: Nas, servers: int, random_octets: RandomOctets, outbox: Outbox) -> None:
        """Begin with nothing on its way. Concentrators may share one outbox; `nas` may be changed at any time."""
        self.nas = nas
        self.counters = Counters()
        self.in_work_count = 0
        self._outbox = outbox
        self._servers = servers
        self._random_octets = random_octets
        self._lines: dict[tuple[int, bool], list[Line]] = {}
        self._timers: deque[tuple[float, Exchange]] = deque()  # in order: all wait for the same time
        self._waiting: deque[Exchange] = deque()
        self._sessions = 0

    @property
    def next_at_s(self) -> float | None:
        """When `expire` may have something to do next, None if never."""
        return self._timers[0][0] if self._timers else None

    def dial(self, subscriber: Subscriber, now_s: float) -> Dial:
        """Let a subscriber dial; return what will tell how it went."""
        self._sessions += 1
        service, proof = subscriber.method.service, subscriber.method.proof
        session = session_id(self.nas, service, self._sessions)
        made = answer(proof, subscriber.name.encode(), subscriber.secret, self._random_octets)
        dial = Dial(subscriber, session, nas_port(service, session, self._sessions), made, now_s)
        self.in_work_count += 1
        self._begin(Exchange(dial, None, now_s), now_s)
        return dial

    def account(self, dial: Dial, status: Status, now_s: float) -> None:
        """Report about a session: that it began, goes on or ended."""
        age_s = 0.0 if dial.ended_at_s is None else now_s - dial.ended_at_s
        self.in_work_count += 1
        self._begin(Exchange(dial, status, now_s, age_s), now_s)

    def receive(self, line: Line, datagram: bytes, now_s: float) -> Exchange | None:
        """Take a reply; return what it brought to its end, None if it is worth nothing."""
        exchange = line.in_work.get(datagram[1]) if len(datagram) > 1 else None
        if exchange is None:
            self.counters.unexpected += 1
            return None
        nas = self.nas
        codes = _ACCESS_REPLIES if exchange.status is None else _ACCOUNTING_REPLIES
        reply = decode_reply(
            datagram,
            exchange.authenticator,
            exchange.secret,
            codes,
            must_be_signed=nas.kind.demands_signature and exchange.status is None,
        )
        if isinstance(reply, Bad):
            self.counters.bad_replies[reply] = self.counters.bad_replies.get(reply, 0) + 1
            exchange.dial.bad_replies += 1
            return None
        exchange.is_answered = True
        self.in_work_count -= 1
        self._free(exchange)
        if exchange.status is None:
            dial = exchange.dial
            dial.reply, dial.ended_at_s = reply, now_s
            if reply.code == ACCESS_ACCEPT:
                name, secret = dial.subscriber.name.encode(), dial.subscriber.secret
                dial.flaw = find_flaw(
                    reply, Asked(dial.answer, name, secret, exchange.authenticator, exchange.secret, nas.must_encrypt)
                )
        self._serve_waiting(now_s)
        return exchange

    def expire(self, now_s: float) -> Iterator[Exchange]:
        """Send again what waited long enough; yield what is given up."""
        while self._timers and self._timers[0][0] <= now_s:
            at_s, exchange = self._timers.popleft()
            if exchange.line is None or exchange.resend_at_s != at_s:
                continue  # answered meanwhile
            if exchange.tries < self.nas.kind.tries:
                self.counters.resends += 1
                self._send(exchange, now_s)
                continue
            self._free(exchange)
            exchange.server += 1
            exchange.tries = 0
            if exchange.server < self._servers:
                self._begin(exchange, now_s)
                continue
            self.in_work_count -= 1
            if exchange.status is None:
                exchange.dial.ended_at_s = now_s
            self._serve_waiting(now_s)
            yield exchange

    def _begin(self, exchange: Exchange, now_s: float) -> None:
        """Make the request for its server and send it, or let it wait for an Identifier."""
        line = self._free_line(exchange)
        if line is None:
            self.counters.no_identifier += 1
            self._waiting.append(exchange)
            return
        nas, dial = self.nas, exchange.dial
        exchange.line, exchange.identifier = line, line.free.popleft()
        line.in_work[exchange.identifier] = exchange
        if exchange.status is None:
            dial.server = exchange.server
            authenticator = authenticator_of(nas, dial, self._random_octets(16))
            attributes = access_attributes(nas, dial, authenticator)
            exchange.datagram = access_request(
                exchange.identifier, authenticator, attributes, nas.secret, nas.kind.place
            )
        else:
            attributes = accounting_attributes(nas, dial, exchange.status, exchange.age_s)
            exchange.datagram = accounting_request(exchange.identifier, attributes, nas.secret)
        exchange.authenticator, exchange.secret = exchange.datagram[4:20], nas.secret
        self._send(exchange, now_s)

    def _send(self, exchange: Exchange, now_s: float) -> None:
        assert exchange.line is not None
        exchange.tries += 1
        exchange.tries_in_all += 1
        if exchange.status is None:
            exchange.dial.tries += 1
        exchange.resend_at_s = now_s + self.nas.kind.timeout_s
        self._timers.append((exchange.resend_at_s, exchange))
        self._outbox.append((exchange.line, exchange.datagram))

    def _free(self, exchange: Exchange) -> None:
        line = exchange.line
        assert line is not None
        del line.in_work[exchange.identifier]
        line.free.append(exchange.identifier)
        exchange.line = None

    def _free_line(self, exchange: Exchange) -> Line | None:
        """Return a port with an Identifier to spare, a new one if all are busy; None if there are too many."""
        lines = self._lines.setdefault((exchange.server, exchange.status is not None), [])
        for line in lines:
            if line.free:
                return line
        if len(lines) == PORTS_MAX:
            return None
        lines.append(Line(self, exchange.server, exchange.status is not None))
        return lines[-1]

    def _serve_waiting(self, now_s: float) -> None:
        while self._waiting and self._free_line(self._waiting[0]) is not None:
            self._begin(self._waiting.popleft(), now_s)
