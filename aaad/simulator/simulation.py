"""The simulation itself: who dials when, what follows from how it went, and when all is over.

Pure: the clock's time comes in, datagrams go out through `outbox`. Everything in it is bounded by the number of
subscribers, of Identifiers, and by the plan's limits.
"""

import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from aaad.simulator.accounting import Cause, Record, Session, Status
from aaad.simulator.methods import RandomOctets, Service
from aaad.simulator.nas import Concentrator, Exchange, Line, Outbox
from aaad.simulator.online import Agenda, Online, Tell
from aaad.simulator.orders import obey
from aaad.simulator.packet import ACCESS_ACCEPT
from aaad.simulator.report import PowerCutReport, Report
from aaad.simulator.request import Nas
from aaad.simulator.subscriber import Dial, Subscriber, redial_after_s
from aaad.simulator.wire import Weather, Wire

_LOOK_EVERY_S = 0.005  # for timers: those of all concentrators are looked at together
_STARTS_MAX = 8  # dials begun before what they send leaves and replies are looked at
_UNANSWERED_MAX = 1000
_NO_POWER_S = 0.5  # until somebody whose concentrator has no power tries again
_ANNOUNCED_S = 1.0  # an Accounting-Off is sent so long before its concentrator goes


@dataclass(frozen=True, slots=True)
class PowerCut:
    """Concentrators lose their power: no Stop is sent, and afterwards everybody dials again."""

    at_s: float  # after the beginning
    off_s: float = 5.0  # until it has started again
    back_within_s: float = 0.0  # everybody dials again within so long, spread evenly
    nas: int | None = None  # its number, from 0; None: all of them
    is_announced: bool = False  # a restart rather: Accounting-Off is sent before


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
    stay_s: float = 0.0  # sessions stay up for so long when nobody dials any more
    octets_per_s: tuple[float, float] = (50_000, 1_000_000)  # of each session: upload, download
    power_cuts: Sequence[PowerCut] = ()
    weather: Weather | None = None  # None: the network carries everything at once
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
        *,
        epoch_s: float = 0.0,
        tell: Tell | None = None,
    ) -> None:
        """Spread the subscribers over the concentrators; `servers` is how many each of these asks in turn.

        `epoch_s` is the wall time of the instant that all others count from; `tell` is told what came of each report.
        """
        self.report = Report()
        self.outbox: Outbox = deque()
        self.last: dict[int, Dial] = {}
        self.log: deque[Dial] = deque(maxlen=plan.log_max)
        self._plan = plan
        self._subscribers = subscribers
        self._random_octets = random_octets
        self._there: Wire | None = None
        self._back: Wire | None = None
        made = self.outbox
        if plan.weather is not None:
            made = deque()
            self._there, self._back = (Wire(plan.weather, self._dice) for _ in range(2))
        self._made = made
        self.concentrators = [Concentrator(nas, servers, random_octets, made, epoch_s) for nas in nases]
        self.online = Online(
            self.report,
            interim_s=plan.interim_s,
            octets_per_s=plan.octets_per_s,
            ended=self._ended_by_itself,
            tell=tell,
        )
        self._unanswered: deque[tuple[Session, float]] = deque(maxlen=_UNANSWERED_MAX)  # orders, and until when
        self._cut: deque[Session] = deque()  # by the concentrators' APIs
        self._busy: set[int] = set()  # numbers of those who dial or wait to dial again
        self._failures: dict[int, int] = {}  # in a row
        self._missing: dict[int, PowerCutReport] = {}  # numbers of those whom a power cut threw out
        self._redials = Agenda()
        self._power = Agenda()
        self._begun_at_s: float | None = None
        self._started = 0
        self._look_at_s = 0.0
        self._is_stopping = False
        self._leaves_at_s: float | None = None  # when those who stayed up end their sessions
        self._leaving: deque[int] | None = None  # numbers; None: nobody leaves yet

    def advance(self, now_s: float) -> None:
        """Do what is due."""
        if self._begun_at_s is None:
            self._begun_at_s = self.report.began_at_s = now_s
            for cut in self._plan.power_cuts:
                self._plan_power_cut(cut, now_s)
        self._carry(now_s)
        self._start(now_s)
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + _LOOK_EVERY_S
            for concentrator in self.concentrators:
                for exchange in concentrator.expire(now_s):
                    self._end(concentrator, exchange, now_s)
        while self._cut:
            session = self._cut.popleft()
            if self.online.is_up(session):
                self.online.end(session.subscriber.number, Cause.ADMIN_RESET, now_s)
                self._ended_by_itself(session, now_s)
        for agenda in (self._power, self._redials, self.online.agenda):
            agenda.run(now_s)
        self._leave(now_s)
        self._carry(now_s)

    def receive(self, line: Line, datagram: bytes, now_s: float) -> None:
        """Take a reply that came to a concentrator's port."""
        if self._back is None:
            self._take(line, datagram, now_s)
            return
        self._back.put(line, datagram, now_s)
        self._carry(now_s)

    def order(
        self, concentrator: Concentrator, datagram: bytes, now_s: float, sender: str = ""
    ) -> tuple[bytes, float] | None:
        """Let a concentrator obey an order about a session; return its answer and when it leaves, None if none does.

        Whose session is ended by one dials again, as routers at home do.
        """
        if not concentrator.has_power or not concentrator.hears_orders:
            return None
        obeyed = obey(
            concentrator.nas,
            datagram,
            partial(self.online.find, concentrator),
            concentrator.orders,
            sender=sender,
            everyone=partial(self.online.at, concentrator),
            busy={session for session, until_s in self._unanswered if until_s > now_s},
        )
        if obeyed is None:
            return None
        if obeyed.late_s and obeyed.about is not None:
            self._unanswered.append((obeyed.about, now_s + obeyed.late_s))
        if obeyed.timed is not None:
            self.online.time(obeyed.timed, now_s)
        if obeyed.ended is not None:
            self.online.end(obeyed.ended.subscriber.number, Cause.ADMIN_RESET, now_s)
            self._ended_by_itself(obeyed.ended, now_s)
        return obeyed.answer, now_s + obeyed.late_s

    def cut(self, session: Session) -> None:
        """End a session soon, as its concentrator's own administrator does; may be called by another thread."""
        self._cut.append(session)

    def stop(self) -> None:
        """Let nobody begin to dial any more; what is in work is brought to its end."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._redials.clear()
        self._power.clear()
        self._busy = {
            exchange.subject.subscriber.number
            for concentrator in self.concentrators
            for exchange in concentrator.in_work()
            if isinstance(exchange.subject, Dial)
        }

    def is_over(self, now_s: float) -> bool:
        """Tell whether nothing is left to happen."""
        if self._begun_at_s is None or self._busy or self._is_starting(now_s) or self._leaving is None:
            return False
        return not self._leaving and not any(concentrator.in_work_count for concentrator in self.concentrators)

    def wait_s(self, now_s: float) -> float:
        """Return how long nothing will happen of itself, at most as long as timers are left alone."""
        wait_s = _LOOK_EVERY_S
        due = [agenda.next_at_s for agenda in (self._power, self._redials, self.online.agenda)]
        due += [wire.next_at_s for wire in (self._there, self._back) if wire is not None]
        wait_s = min(wait_s, *(at_s - now_s for at_s in due if at_s is not None), _LOOK_EVERY_S)
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

    # --- the network ------------------------------------------------------------------------------------------------

    def _carry(self, now_s: float) -> None:
        """Let the network carry what was made, where it does not carry everything at once."""
        if self._there is None or self._back is None:
            return
        for line, datagram in self._back.arrived(now_s):
            self._take(line, datagram, now_s)
        while self._made:
            self._there.put(*self._made.popleft(), now_s)
        self.outbox.extend(self._there.arrived(now_s))

    def _take(self, line: Line, datagram: bytes, now_s: float) -> None:
        exchange = line.owner.receive(line, datagram, now_s)
        if exchange is not None:
            self._end(line.owner, exchange, now_s)

    def _dice(self) -> float:
        return float(struct.unpack("!I", self._random_octets(4))[0] / 2**32)

    # --- dialling ---------------------------------------------------------------------------------------------------

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
        number, concentrator = subscriber.number, self._concentrator_of(subscriber)
        self._busy.add(number)
        if not concentrator.has_power:  # he dials when it is back
            self._redials.add(now_s + _NO_POWER_S, partial(self._dial, subscriber))
            return
        self.online.end(number, Cause.LOST_CARRIER if number % 2 else Cause.USER_REQUEST, now_s)
        concentrator.dial(subscriber, now_s)

    def _end(self, concentrator: Concentrator, exchange: Exchange, now_s: float) -> None:
        """Count what came to its end, and let follow what follows."""
        subject = exchange.subject
        if isinstance(subject, Record):
            self.online.close(concentrator, subject, exchange, now_s)
            return
        number = subject.subscriber.number
        self._busy.discard(number)
        self.report.add(subject)
        self._keep(subject)
        if subject.is_up:
            self._failures.pop(number, None)
        else:
            self._redial(subject.subscriber, now_s)
        self._note_return(subject, now_s)
        if self._plan.has_accounting and subject.code == ACCESS_ACCEPT:
            self.online.begin(subject, concentrator, now_s)

    def _keep(self, dial: Dial) -> None:
        number = dial.subscriber.number
        if number in self.last or len(self.last) < self._plan.kept_max:
            self.last[number] = dial
        self.log.append(dial)

    def _redial(self, subscriber: Subscriber, now_s: float) -> None:
        plan, number = self._plan, subscriber.number
        failures = self._failures.get(number, 0) + 1
        if plan.redial_first_s is None or failures > plan.redials_max or self._is_stopping:
            return
        at_s = now_s + redial_after_s(failures, plan.redial_first_s, plan.redial_longest_s)
        if (
            plan.cycles_for_s is not None
            and self._begun_at_s is not None
            and at_s > self._begun_at_s + plan.cycles_for_s + plan.stay_s
        ):
            return
        self._failures[number] = failures
        self._busy.add(number)
        self._redials.add(at_s, partial(self._dial, subscriber))

    def _ended_by_itself(self, session: Session, now_s: float) -> None:
        """Let a subscriber whose session ended without his wish dial again, as routers at home do."""
        if self._leaving is not None or session.subscriber.number in self._busy:
            return
        concentrator = self._concentrator_of(session.subscriber)
        is_guest = session.subscriber.method.service is Service.HOTSPOT
        if not (is_guest and concentrator.nas.has_cookies) or session.subscriber.name in concentrator.cookies:
            self._redial(session.subscriber, now_s)

    def _concentrator_of(self, subscriber: Subscriber) -> Concentrator:
        return self.concentrators[subscriber.number % len(self.concentrators)]

    # --- the end ----------------------------------------------------------------------------------------------------

    def _leave(self, now_s: float) -> None:
        """End what is still up when nobody dials any more and the time to stay is over, not all at once."""
        if self._leaving is None:
            if self._is_starting(now_s):
                return
            if self._leaves_at_s is None:
                self._leaves_at_s = now_s + self._plan.stay_s
            is_time = self._is_stopping or (now_s >= self._leaves_at_s and self._power.next_at_s is None)
            if self._busy or not is_time:
                return
            self._leaving = deque(self.online.numbers())
        room = self._plan.in_work_max - sum(concentrator.in_work_count for concentrator in self.concentrators)
        while self._leaving and room > 0:
            self.online.end(self._leaving.popleft(), Cause.USER_REQUEST, now_s)
            room -= 1

    # --- power cuts -------------------------------------------------------------------------------------------------

    def _plan_power_cut(self, cut: PowerCut, now_s: float) -> None:
        for number, concentrator in enumerate(self.concentrators):
            if cut.nas in (None, number):
                if cut.is_announced:
                    at_s = max(cut.at_s - _ANNOUNCED_S, 0)
                    self._power.add(now_s + at_s, partial(self.online.restarted, Status.OFF, concentrator))
                self._power.add(now_s + cut.at_s, partial(self._cut_power, cut, concentrator))

    def _cut_power(self, cut: PowerCut, concentrator: Concentrator, now_s: float) -> None:
        if not concentrator.has_power:
            return
        report = PowerCutReport(concentrator.nas.name, now_s)
        self.report.power_cuts.append(report)
        for exchange in concentrator.cut_power():
            if isinstance(exchange.subject, Record):
                self.online.close(concentrator, exchange.subject, exchange, now_s)
            else:
                exchange.subject.ended_at_s = now_s
                self.report.dials_cut_off += 1
                report.missing.add(exchange.subject.subscriber.number)
        customers = [one for one in self._subscribers if self._concentrator_of(one) is concentrator]
        report.missing |= {one.number for one in customers if self.online.lose(one.number)}
        report.cut_off = len(report.missing)
        self._busy |= report.missing  # they will dial again
        self._missing |= dict.fromkeys(report.missing, report)  # who is missing since an earlier one counts here now
        thrown_out = [one for one in customers if one.number in report.missing]
        restore = partial(self._restore_power, concentrator, report, thrown_out, cut.back_within_s)
        self._power.add(now_s + cut.off_s, restore)

    def _restore_power(
        self,
        concentrator: Concentrator,
        report: PowerCutReport,
        thrown_out: Sequence[Subscriber],
        within_s: float,
        now_s: float,
    ) -> None:
        report.restored_at_s = now_s
        concentrator.restore_power(now_s)
        if concentrator.nas.says_restarts:
            self.online.restarted(Status.ON, concentrator, now_s)
        for subscriber in thrown_out:
            self._redials.add(now_s + self._dice() * within_s, partial(self._dial, subscriber))

    def _note_return(self, dial: Dial, now_s: float) -> None:
        """Note that somebody whom a power cut threw out is back, or was refused."""
        report = self._missing.get(dial.subscriber.number)
        if report is not None and dial.is_up:
            del self._missing[dial.subscriber.number]
            report.missing.discard(dial.subscriber.number)
            report.last_back_at_s = now_s
        elif report is not None and dial.code is not None:
            report.refused += 1
