"""Who is up: sessions from their Access-Accept to their Stop, and the reports about them.

Pure. A session's octets grow with its age, at a rate that its subscriber's number changes a little, so that no two
have the same counters. What a report came to is counted and told to whoever wants to know (`tell`).
"""

import heapq
from collections.abc import Callable
from functools import partial
from itertools import count

from aaad.simulator.accounting import Cause, Record, Session, Status, session_of
from aaad.simulator.methods import Service
from aaad.simulator.nas import Concentrator, Exchange
from aaad.simulator.report import AccountingReport, Report
from aaad.simulator.subscriber import Dial

Tell = Callable[[Concentrator, Record, Exchange], None]


class Agenda:
    """What is to be done when."""

    def __init__(self) -> None:
        """Begin with nothing to do."""
        self._tasks: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()

    @property
    def next_at_s(self) -> float | None:
        """When the next is due, None if there is none."""
        return self._tasks[0][0] if self._tasks else None

    def add(self, at_s: float, task: Callable[[float], None]) -> None:
        """Do this then; it is told the time."""
        heapq.heappush(self._tasks, (at_s, next(self._order), task))

    def run(self, now_s: float) -> None:
        """Do what is due."""
        while self._tasks and self._tasks[0][0] <= now_s:
            heapq.heappop(self._tasks)[2](now_s)

    def clear(self) -> None:
        """Forget all of it."""
        self._tasks.clear()


class Online:
    """The sessions that are up, at most one of each subscriber."""

    def __init__(
        self,
        report: Report,
        *,
        interim_s: float | None,
        octets_per_s: tuple[float, float],
        ended: Callable[[Session, float], None],
        tell: Tell | None,
    ) -> None:
        """Begin without any. `ended` is told of each that ended by itself, `tell` of each report's end."""
        self.agenda = Agenda()
        self._report = report
        self._interim_s = interim_s
        self._upload, self._download = octets_per_s
        self._ended = ended
        self._tell = tell
        self._up: dict[int, tuple[Session, Concentrator]] = {}
        self._numbers: dict[tuple[Concentrator, bytes], int] = {}  # by Acct-Session-Id
        self._count = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._up)

    def __contains__(self, number: int) -> bool:
        """Tell whether the subscriber of this number is up."""
        return number in self._up

    def numbers(self) -> list[int]:
        """Return the numbers of all subscribers who are up."""
        return list(self._up)

    def find(self, concentrator: Concentrator, session_id: bytes) -> Session | None:
        """Return the session that a concentrator knows by this Acct-Session-Id."""
        found = self._up.get(self._numbers.get((concentrator, session_id), -1))
        return found[0] if found is not None and found[0].session_id == session_id else None

    def at(self, concentrator: Concentrator) -> list[Session]:
        """Return the sessions of a concentrator; may be asked by another thread."""
        return [session for session, of in list(self._up.values()) if of is concentrator]

    def begin(self, dial: Dial, concentrator: Concentrator, now_s: float) -> None:
        """Begin the session of a dial that was accepted; one that is of no use ends just after its Start."""
        session = session_of(concentrator.nas, dial, self._count, now_s, self._interim_s)
        self._count += 1
        self._up[dial.subscriber.number] = session, concentrator
        self._numbers[concentrator, session.session_id] = dial.subscriber.number
        self._say(Status.START, session, concentrator, now_s)
        if not dial.is_up:
            self.end(dial.subscriber.number, Cause.NAS_ERROR, now_s)
            return
        if session.interim_s:
            self.agenda.add(now_s + session.interim_s, partial(self._go_on, session))
        if concentrator.nas.has_cookies and dial.subscriber.method.service is Service.HOTSPOT:
            concentrator.cookies[dial.subscriber.name] = dial.subscriber.mac
        self._await_end(session)

    def _await_end(self, session: Session) -> None:
        if session.ends_at_s is not None:
            self.agenda.add(session.ends_at_s, partial(self._time_out, session))

    def time(self, session: Session, now_s: float) -> None:
        """Let a session end when an order says so: its Session-Timeout counts from then."""
        lasts_s = session.granted.session_timeout_s
        session.ends_at_s = now_s + lasts_s if lasts_s else None
        self._await_end(session)

    def end(self, number: int, cause: Cause, now_s: float) -> None:
        """End a subscriber's session, if he has one, by a Stop."""
        if (found := self._remove(number)) is not None:
            session, concentrator = found
            self._say(Status.STOP, session, concentrator, now_s, cause)

    def lose(self, number: int) -> bool:
        """End a subscriber's session without a word; tell whether he had one."""
        return self._remove(number) is not None

    def restarted(self, status: Status, concentrator: Concentrator, now_s: float) -> None:
        """Let a concentrator say that it starts, or that it is about to stop."""
        self._sums(status).sent += 1
        concentrator.report(status, now_s)

    def close(self, concentrator: Concentrator, record: Record, exchange: Exchange, now_s: float) -> None:
        """Count what came of a report; some concentrators drop a session of which no server wants to hear."""
        sums = self._sums(record.status)
        sums.resent += exchange.resends
        if exchange.answered_at_s is not None:
            sums.acknowledged += 1
            sums.latencies.add(exchange.answered_at_s - exchange.first_sent_at_s)
        else:
            sums.given_up += 1
        if self._tell is not None:
            self._tell(concentrator, record, exchange)
        session = record.session
        if exchange.is_answered or session is None or not concentrator.nas.kind.drops_unheard:
            return
        if concentrator.has_power and self.is_up(session):
            self.end(session.subscriber.number, Cause.NAS_ERROR, now_s)
            self._ended(session, now_s)

    def _remove(self, number: int) -> tuple[Session, Concentrator] | None:
        found = self._up.pop(number, None)
        if found is not None:
            session, concentrator = found
            self._numbers.pop((concentrator, session.session_id), None)
        return found

    def is_up(self, session: Session) -> bool:
        """Tell whether a session is still its subscriber's."""
        found = self._up.get(session.subscriber.number)
        return found is not None and found[0] is session

    def _go_on(self, session: Session, now_s: float) -> None:
        if self.is_up(session):
            self._say(Status.INTERIM, session, self._up[session.subscriber.number][1], now_s)
            self.agenda.add(now_s + session.interim_s, partial(self._go_on, session))

    def _time_out(self, session: Session, now_s: float) -> None:
        if self.is_up(session) and session.ends_at_s is not None and now_s >= session.ends_at_s:
            self.end(session.subscriber.number, Cause.SESSION_TIMEOUT, now_s)
            self._ended(session, now_s)

    def _say(
        self, status: Status, session: Session, concentrator: Concentrator, now_s: float, cause: Cause | None = None
    ) -> None:
        self._sums(status).sent += 1
        age_s, more = now_s - session.began_at_s, session.subscriber.number % 1000
        octets = int(age_s * self._upload), int(age_s * self._download)
        if status is not Status.START:
            octets = octets[0] + more, octets[1] + more
        concentrator.report(status, now_s, session, octets, cause)

    def _sums(self, status: Status) -> AccountingReport:
        return self._report.accounting.setdefault(status.name.lower(), AccountingReport())
