"""A concentrator at work: its requests on their way, sent again when no reply comes, and what replies are worth.

Pure: datagrams and the time come in, datagrams to send are put into an outbox. RFC 2865, 3: a request sent again to
the same server is the same, octet for octet; to another server it is another request, with an Identifier and an
authenticator of its own, and so is a report whose Acct-Delay-Time has grown (RFC 2866, 4.1). There are 256
Identifiers to a source port, so a busy concentrator opens more ports.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

from aaad.simulator.accounting import Cause, Record, Session, Status, record_attributes
from aaad.simulator.methods import Asked, RandomOctets, answer, find_flaw
from aaad.simulator.packet import (
    ACCESS_ACCEPT,
    ACCESS_CHALLENGE,
    ACCESS_REJECT,
    ACCOUNTING_RESPONSE,
    Bad,
    Reply,
    access_request,
    accounting_request,
    decode_reply,
)
from aaad.simulator.request import (
    Nas,
    access_attributes,
    authenticator_of,
    nas_port,
    session_id,
)
from aaad.simulator.subscriber import Dial, Subscriber

IDENTIFIERS = 256
PORTS_MAX = 64  # source ports to one server: 16,384 requests in work
_ACCESS_REPLIES = (ACCESS_ACCEPT, ACCESS_REJECT, ACCESS_CHALLENGE)
_ACCOUNTING_REPLIES = (ACCOUNTING_RESPONSE,)
_FIRST_CLOCK_S = 86_400  # what a RouterOS that knows no time starts with: 2 January 1970


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
    """A request on its way: of a dial, or with a report."""

    subject: Dial | Record
    server: int = 0
    tries: int = 0  # to this server
    resends: int = 0  # datagrams more than one to each server
    first_sent_at_s: float = 0.0
    last_sent_at_s: float = 0.0
    answered_at_s: float | None = None
    line: Line | None = None
    identifier: int = 0
    authenticator: bytes = b""
    datagram: bytes = b""
    secret: bytes = field(default=b"", repr=False)  # as it was when the request was made
    resend_at_s: float = 0.0

    @property
    def is_answered(self) -> bool:
        """Whether the reply came."""
        return self.answered_at_s is not None


@dataclass(slots=True)
class Counters:
    """What /radius monitor counts, and a little more."""

    resends: int = 0
    bad_replies: dict[Bad, int] = field(default_factory=dict)
    unexpected: int = 0  # replies to nothing that is in work: late, or a second copy
    no_identifier: int = 0  # requests that waited, all Identifiers of all ports being in use


@dataclass(slots=True)
class OrderCounters:
    """What /radius incoming counts."""

    requests: int = 0
    bad_requests: int = 0
    acks: int = 0
    naks: int = 0
    causes: list[int] = field(default_factory=list)  # of the NAKs; 0: told without one
    by_code: dict[int, int] = field(default_factory=dict)  # orders that were believed


class Concentrator:
    """One NAS and its servers, asked in their order."""

    def __init__(
        self, nas: Nas, servers: int, random_octets: RandomOctets, outbox: Outbox, epoch_s: float = 0.0
    ) -> None:
        """Begin with nothing on its way. Concentrators may share one outbox; `nas` may be changed at any time.

        `epoch_s` is the wall time of the instant that all others count from.
        """
        self.nas = nas
        self.counters = Counters()
        self.orders = OrderCounters()
        self.in_work_count = 0
        self.has_power = True
        self.hears_orders = True  # `/radius incoming accept`
        self.cookies: dict[str, bytes] = {}  # of Hotspot: the devices of those who come back by themselves
        self._outbox = outbox
        self._servers = servers
        self._random_octets = random_octets
        self._epoch_s = epoch_s
        self._started_at_s: float | None = None
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
        self._begin(Exchange(dial), now_s)
        return dial

    def report(
        self,
        status: Status,
        now_s: float,
        session: Session | None = None,
        octets: tuple[int, int] = (0, 0),
        cause: Cause | None = None,
    ) -> None:
        """Report that a session began, goes on or ended, after so many octets in and out; or that itself did."""
        age_s = 0.0 if session is None else now_s - session.began_at_s
        record = Record(status, now_s, self.clock(now_s), session, age_s, *octets, cause)
        self.in_work_count += 1
        self._begin(Exchange(record), now_s)

    def in_work(self) -> list[Exchange]:
        """Return all requests that have not come to their end."""
        sent = [line.in_work.values() for lines in self._lines.values() for line in lines]
        return [*chain.from_iterable(sent), *self._waiting]

    def cut_power(self) -> list[Exchange]:
        """Lose all that is in work, and return it; whoever replies to it replies to nobody."""
        lost = self.in_work()
        for lines in self._lines.values():
            for line in lines:
                line.free.extend(line.in_work)
                line.in_work.clear()
        self._waiting.clear()
        self._timers.clear()
        self.in_work_count, self.has_power = 0, False
        return lost

    def restore_power(self, now_s: float) -> None:
        """Start anew: count sessions from the first, one start further where it counts these."""
        self.has_power, self._started_at_s, self._sessions = True, now_s, 0
        if self.nas.counts_boots:
            self.nas = replace(self.nas, boot=self.nas.boot + 1)

    def receive(self, line: Line, datagram: bytes, now_s: float) -> Exchange | None:
        """Take a reply; return what it brought to its end, None if it is worth nothing."""
        exchange = line.in_work.get(datagram[1]) if len(datagram) > 1 else None
        if exchange is None:
            self.counters.unexpected += 1
            return None
        subject = exchange.subject
        is_access = isinstance(subject, Dial)
        reply = decode_reply(
            datagram,
            exchange.authenticator,
            exchange.secret,
            _ACCESS_REPLIES if is_access else _ACCOUNTING_REPLIES,
            must_be_signed=is_access and self.nas.kind.demands_signature,
        )
        if isinstance(reply, Bad):
            self.counters.bad_replies[reply] = self.counters.bad_replies.get(reply, 0) + 1
            if isinstance(subject, Dial):
                subject.bad_replies += 1
            return None
        exchange.answered_at_s = now_s
        self.in_work_count -= 1
        self._free(exchange)
        if isinstance(subject, Dial):
            self._end(subject, reply, exchange, now_s)
        self._serve_waiting(now_s)
        return exchange

    def _end(self, dial: Dial, reply: Reply, exchange: Exchange, now_s: float) -> None:
        dial.reply, dial.ended_at_s = reply, now_s
        if reply.code == ACCESS_ACCEPT:
            name, secret = dial.subscriber.name.encode(), dial.subscriber.secret
            authenticator, must_encrypt = exchange.authenticator, self.nas.must_encrypt
            asked = Asked(dial.answer, name, secret, authenticator, exchange.secret, must_encrypt)
            dial.flaw = find_flaw(reply, asked)

    def expire(self, now_s: float) -> Iterator[Exchange]:
        """Send again what waited long enough; yield what is given up."""
        while self._timers and self._timers[0][0] <= now_s:
            at_s, exchange = self._timers.popleft()
            if exchange.line is None or exchange.resend_at_s != at_s:
                continue  # answered meanwhile
            if exchange.tries < self.nas.kind.tries:
                self.counters.resends += 1
                exchange.resends += 1
                if self._counts_delay and isinstance(exchange.subject, Record):
                    self._free(exchange)
                    self._begin(exchange, now_s)
                else:
                    self._send(exchange, now_s)
                continue
            self._free(exchange)
            exchange.server += 1
            exchange.tries = 0
            if exchange.server < self._servers:
                self._begin(exchange, now_s)
                continue
            self.in_work_count -= 1
            if isinstance(exchange.subject, Dial):
                exchange.subject.ended_at_s = now_s
            self._serve_waiting(now_s)
            yield exchange

    @property
    def _counts_delay(self) -> bool:
        nas = self.nas
        return nas.kind.says_delay and (nas.kind.counts_delay if nas.counts_delay is None else nas.counts_delay)

    def clock(self, now_s: float) -> int:
        """Return the seconds since 1970 by its own clock."""
        if self._started_at_s is None:
            self._started_at_s = now_s
        if self.nas.starts_in_1970:
            return int(_FIRST_CLOCK_S + now_s - self._started_at_s)
        return int(self._epoch_s + now_s + self.nas.clock_ahead_s)

    def _begin(self, exchange: Exchange, now_s: float) -> None:
        """Make the request for its server and send it, or let it wait for an Identifier."""
        line = self._free_line(exchange)
        if line is None:
            self.counters.no_identifier += 1
            self._waiting.append(exchange)
            return
        nas, subject = self.nas, exchange.subject
        exchange.line, exchange.identifier = line, line.free.popleft()
        line.in_work[exchange.identifier] = exchange
        if isinstance(subject, Dial):
            subject.server = exchange.server
            authenticator = authenticator_of(nas, subject, self._random_octets(16))
            attributes = access_attributes(nas, subject, authenticator)
            exchange.datagram = access_request(
                exchange.identifier, authenticator, attributes, nas.secret, nas.kind.place
            )
        else:
            delay_s = int(now_s - subject.at_s) if self._counts_delay else 0
            attributes = record_attributes(nas, subject, delay_s)
            exchange.datagram = accounting_request(exchange.identifier, attributes, nas.secret)
        exchange.authenticator, exchange.secret = exchange.datagram[4:20], nas.secret
        self._send(exchange, now_s)

    def _send(self, exchange: Exchange, now_s: float) -> None:
        assert exchange.line is not None
        exchange.first_sent_at_s = exchange.first_sent_at_s or now_s
        exchange.last_sent_at_s = now_s
        exchange.tries += 1
        if isinstance(exchange.subject, Dial):
            exchange.subject.tries += 1
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
        is_accounting = isinstance(exchange.subject, Record)
        lines = self._lines.setdefault((exchange.server, is_accounting), [])
        for line in lines:
            if line.free:
                return line
        if len(lines) == PORTS_MAX:
            return None
        lines.append(Line(self, exchange.server, is_accounting))
        return lines[-1]

    def _serve_waiting(self, now_s: float) -> None:
        while self._waiting and self._free_line(self._waiting[0]) is not None:
            self._begin(self._waiting.popleft(), now_s)
