"""Which Accepts were followed by a session: the wait for its Accounting Start (rule R10).

Pure. An Accept after which no session begins within WAIT_S was not believed or could not be carried out. Where
nothing in the request proved the shared secret (CHAP without Message-Authenticator, rule R2.2), that is the only
sign that our answer is signed with another secret than the NAS has.

A Start that gets no answer is sent again: the sessions that began lately are remembered, and copies count nothing.

What is waited for is bounded; what finds no room, or falls into a second whose accounting could not be read in full,
is not judged.
"""

from aaad.radius.router_statistics import RouterStatistics
from aaad.radius.routers import Neighbourhood, Router

WAIT_S = 30.0
ROUTER_WAITING_MAX = 16_384
WAITING_MAX = 131_072
BEGUN_S = 30.0  # copies of a Start are known for so long, and at most twice as long
BEGUN_MAX = 32_768  # in so many seconds; accounting is looked at slower


_Session = tuple[int, str, bytes, bytes]  # a router's name and an Acct-Session-Id


class StartWatch:
    """Accepts whose session has yet to begin."""

    def __init__(self, neighbourhood: Neighbourhood) -> None:
        """Wait for nothing."""
        self._hood = neighbourhood
        self._waiting: dict[RouterStatistics, Router] = {}  # where something is waited for
        self._begun: set[_Session] = set()
        self._begun_before: set[_Session] = set()
        self._begun_since_s = 0.0

    def __len__(self) -> int:
        """Tell how many are waited for."""
        return sum(len(counts.waiting) for counts in self._waiting)

    def accepted(self, router: Router, session_id: bytes, now_s: float, is_proven: bool) -> None:
        """Wait for the session of an Accept; `is_proven`: the request proved the secret that signed the answer."""
        waiting = router.statistics.waiting
        if not waiting:
            self._waiting[router.statistics] = router
        elif session_id in waiting:
            del waiting[session_id]  # its new time is the latest, so it goes behind all others
        if len(waiting) < ROUTER_WAITING_MAX:
            waiting[session_id] = now_s if is_proven else -now_s

    def started(self, router: Router, session_id: bytes) -> None:
        """Take note of a Start that proved its router's secret, perhaps for the first time."""
        session = (router.nas.nas_id, router.source_address, router.identifier, session_id)
        if not self._was_awaited(router, session_id):
            if session in self._begun or session in self._begun_before:
                return
            router.statistics.starts_unmatched += 1
        if len(self._begun) >= BEGUN_MAX:
            self._begun_before, self._begun = self._begun, set()
        self._begun.add(session)

    def _was_awaited(self, router: Router, session_id: bytes) -> bool:
        if router.statistics.waiting.pop(session_id, None) is not None:
            return True
        stranger = self._hood.strangers.get((router.nas.nas_id, router.source_address))
        return stranger is not None and stranger.statistics.waiting.pop(session_id, None) is not None

    def forget(self, *, strangers_only: bool = False) -> None:
        """Judge nothing of what is waited for, or nothing of who proved no secret: Starts may have gone by unread."""
        for counts, router in list(self._waiting.items()):
            if not (strangers_only and router.is_kept and router.statistics is counts):
                counts.waiting.clear()
                del self._waiting[counts]

    def tick(self, now_s: float) -> None:
        """Count the Accepts whose session did not begin in time."""
        if now_s - self._begun_since_s >= BEGUN_S:
            self._begun_since_s = now_s
            self._begun_before, self._begun = self._begun, set()
        if len(self) > WAITING_MAX:
            self.forget()
        for counts, router in self._waiting.items():
            _expire(counts, router, now_s)
        self._waiting = {counts: router for counts, router in self._waiting.items() if counts.waiting}


def _expire(counts: RouterStatistics, router: Router, now_s: float) -> None:
    late = []
    for session_id, accepted_at_s in counts.waiting.items():
        if now_s - abs(accepted_at_s) < WAIT_S:
            break
        late.append(session_id)
    for session_id in late:
        accepted_at_s = counts.waiting.pop(session_id)
        counts.accepts_without_start += 1
        counts.without_start_at_s = abs(accepted_at_s)
        if accepted_at_s < 0:
            router.doubt(-accepted_at_s, accepts=1)
