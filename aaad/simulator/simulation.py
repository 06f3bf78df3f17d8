"""The simulation itself: who dials when, what follows from how it went, and when all is over.

Pure: the clock's time comes in, datagrams go out through `outbox`. Everything in it is bounded by the number of
subscribers, of Identifiers, and by the plan's limits.
"""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from aaad.simulator.methods import RandomOctets
from aaad.simulator.nas import Concentrator, Exchange, Line, Outbox
from aaad.simulator.packet import ACCESS_ACCEPT
from aaad.simulator.report import AccountingReport, Report
from aaad.simulator.request import Nas, Status
from aaad.simulator.subscriber import Dial, Subscriber, redial_after_s

_LOOK_EVERY_S = 0.005  # for timers: those of all concentrators are looked at together
_STARTS_MAX = 8  # dials begun before what they send leaves and replies are looked at
_INTERIM_INTERVAL = 85
_UPLOAD_OCTETS_PER_S, _DOWNLOAD_OCTETS_PER_S = 50_000, 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to happen."""

    rate: float | None = None  # dials per second; None: as fast as replies come
    cycles_for_s: float | None = None  # subscribers dial again in turn for so long; None: each dials once
    redial_first_s: float | None = None  # the wait after a first failure; None: nobody dials again for that
    redial_longest_s: float = 60.0
    redials_max: int = 10  # of one subscriber in a row
    has_accounting: bool = False
    interim_s: float | None = None  # None: as granted
    in_work_max: int = 256  # dials in work at once where the rate sets no limit
    kept_max: int = 10_000  # subscribers whose last dial is kept
    log_max: int = 0  # dials kept, the latest ones


class Simulation:
    """Subscribers, each on one of the concentrators, dialling by a plan."""

    def __init__(
        self,
        plan: Plan,
        nases: Sequence[Nas],
        subscribers: Sequence[Subscriber],
        servers: int,
        random_octets: RandomOctets,
    ) -> None:
        """Spread the subscribers over the concentrators; `servers` is how many each of these asks in turn."""
        self.report = Report()
        self.outbox: Outbox = deque()
        self.last: dict[int, Dial] = {}
        self.log: deque[Dial] = deque(maxlen=plan.log_max)
        self._plan = plan
        self._subscribers = subscribers
        self.concentrators = [Concentrator(nas, servers, random_octets, self.outbox) for nas in nases]
        self._busy: set[int] = set()  # numbers of those who dial or wait to dial again
        self._failures: dict[int, int] = {}  # in a row
        self._up: dict[int, Dial] = {}  # sessions, with accounting only
        self._events: list[tuple[float, int, Dial, bool]] = []  # when, tie-breaker, whose, whether to dial again
        self._order = count()
        self._begun_at_s: float | None = None
        self._started = 0
        self._look_at_s = 0.0
        self._is_stopping = False
        self._has_said_stop = False

    def advance(self, now_s: float) -> None:
        """Do what is due."""
        if self._begun_at_s is None:
            self._begun_at_s = self.report.began_at_s = now_s
        self._start(now_s)
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + _LOOK_EVERY_S
            for concentrator in self.concentrators:
                for exchange in concentrator.expire(now_s):
                    self._end(exchange, now_s)
        while self._events and self._events[0][0] <= now_s:
            _, _, dial, is_redial = heapq.heappop(self._events)
            if is_redial:
                self._dial(dial.subscriber, now_s)
            else:
                self._report_interim(dial, now_s)
        if not self._busy and not self._has_said_stop and not self._is_starting(now_s):
            self._stop_sessions(now_s)

    def receive(self, line: Line, datagram: bytes, now_s: float) -> None:
        """Take a reply that came to a concentrator's port."""
        exchange = line.owner.receive(line, datagram, now_s)
        if exchange is not None:
            self._end(exchange, now_s)

    def stop(self) -> None:
        """Let nobody begin to dial any more; what is in work is brought to its end."""
        self._is_stopping = True
        for _, _, dial, is_redial in self._events:
            if is_redial:
                self._busy.discard(dial.subscriber.number)
        self._events = [event for event in self._events if not event[3]]
        heapq.heapify(self._events)

    def is_over(self, now_s: float) -> bool:
        """Tell whether nothing is left to happen."""
        if self._begun_at_s is None or self._busy or self._is_starting(now_s) or not self._has_said_stop:
            return False
        return not any(concentrator.in_work_count for concentrator in self.concentrators)

    def wait_s(self, now_s: float) -> float:
        """Return how long nothing will happen of itself, at most as long as timers are left alone."""
        wait_s = _LOOK_EVERY_S
        if self._events:
            wait_s = min(wait_s, self._events[0][0] - now_s)
        if self._plan.rate and self._begun_at_s is not None and self._is_starting(now_s):
            wait_s = min(wait_s, self._begun_at_s + self._started / self._plan.rate - now_s)
        return max(wait_s, 0.0)

    def finish(self, now_s: float, not_sent: int) -> Report:
        """Return the sums, the concentrators' own counters included."""
        report = self.report
        report.ended_at_s, report.not_sent = now_s, not_sent
        for concentrator in self.concentrators:
            counters = concentrator.counters
            report.unexpected_replies += counters.unexpected
            report.no_identifier += counters.no_identifier
            for bad, times in counters.bad_replies.items():
                report.bad_replies[bad.value] += times
        return report

    def _is_starting(self, now_s: float) -> bool:
        """Whether somebody is still to dial for the first time, or in turn."""
        if self._is_stopping or not self._subscribers:
            return False
        if self._plan.cycles_for_s is None:
            return self._started < len(self._subscribers)
        return self._begun_at_s is None or now_s < self._begun_at_s + self._plan.cycles_for_s

    def _start(self, now_s: float) -> None:
        for _ in range(_STARTS_MAX):
            if not self._is_starting(now_s) or not self._is_due(now_s):
                return
            subscriber = self._subscribers[self._started % len(self._subscribers)]
            self._started += 1
            if subscriber.number in self._busy:
                self.report.skipped += 1
                if self._plan.rate is None:
                    return  # all are busy
            else:
                self._dial(subscriber, now_s)

    def _is_due(self, now_s: float) -> bool:
        if self._plan.rate is None:
            return len(self._busy) < self._plan.in_work_max
        assert self._begun_at_s is not None
        return now_s >= self._begun_at_s + self._started / self._plan.rate

    def _dial(self, subscriber: Subscriber, now_s: float) -> None:
        former = self._up.pop(subscriber.number, None)
        if former is not None:
            self._account(former, Status.STOP, now_s)
        self._busy.add(subscriber.number)
        self._concentrator_of(subscriber).dial(subscriber, now_s)

    def _end(self, exchange: Exchange, now_s: float) -> None:
        """Count what came to its end, and let follow what follows."""
        dial = exchange.dial
        if exchange.status is not None:
            sums = self.report.accounting[exchange.status.name.lower()]
            if exchange.is_answered:
                sums.answered += 1
            else:
                sums.unanswered += 1
            return
        number = dial.subscriber.number
        self._busy.discard(number)
        self.report.add(dial)
        self._keep(dial)
        if dial.is_up:
            self._failures.pop(number, None)
        else:
            self._redial(dial, now_s)
        if self._plan.has_accounting and dial.code == ACCESS_ACCEPT:
            self._account(dial, Status.START, now_s)
            if dial.is_up:
                self._up[number] = dial
                self._plan_interim(dial, now_s)
            else:
                self._account(dial, Status.STOP, now_s)  # it drops just after its Start

    def _keep(self, dial: Dial) -> None:
        number = dial.subscriber.number
        if number in self.last or len(self.last) < self._plan.kept_max:
            self.last[number] = dial
        self.log.append(dial)

    def _redial(self, dial: Dial, now_s: float) -> None:
        plan, number = self._plan, dial.subscriber.number
        failures = self._failures.get(number, 0) + 1
        if plan.redial_first_s is None or failures > plan.redials_max or self._is_stopping:
            return
        at_s = now_s + redial_after_s(failures, plan.redial_first_s, plan.redial_longest_s)
        if (
            plan.cycles_for_s is not None
            and self._begun_at_s is not None
            and at_s > self._begun_at_s + plan.cycles_for_s
        ):
            return
        self._failures[number] = failures
        self._busy.add(number)
        heapq.heappush(self._events, (at_s, next(self._order), dial, True))

    def _plan_interim(self, dial: Dial, now_s: float) -> None:
        granted = dial.reply.find(_INTERIM_INTERVAL) if dial.reply is not None else None
        interval_s = self._plan.interim_s or int.from_bytes(granted or b"", "big")
        if interval_s:
            heapq.heappush(self._events, (now_s + interval_s, next(self._order), dial, False))

    def _report_interim(self, dial: Dial, now_s: float) -> None:
        if self._up.get(dial.subscriber.number) is dial:
            self._account(dial, Status.INTERIM, now_s)
            self._plan_interim(dial, now_s)

    def _stop_sessions(self, now_s: float) -> None:
        """End what is still up when nobody dials any more."""
        self._has_said_stop = True
        for dial in self._up.values():
            self._account(dial, Status.STOP, now_s)
        self._up.clear()

    def _account(self, dial: Dial, status: Status, now_s: float) -> None:
        age_s = 0.0 if dial.ended_at_s is None else now_s - dial.ended_at_s
        dial.octets_in, dial.octets_out = int(age_s * _UPLOAD_OCTETS_PER_S), int(age_s * _DOWNLOAD_OCTETS_PER_S)
        self.report.accounting.setdefault(status.name.lower(), AccountingReport()).sent += 1
        self._concentrator_of(dial.subscriber).account(dial, status, now_s)

    def _concentrator_of(self, subscriber: Subscriber) -> Concentrator:
        return self.concentrators[subscriber.number % len(self.concentrators)]
