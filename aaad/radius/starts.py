"""Which Accepts were followed by a session: the wait for its Accounting Start (rule R10).

Pure. An Accept after which no session begins within WAIT_S was not believed or could not be carried out. Where
nothing in the request proved the shared secret (CHAP without Message-Authenticator, rule R2.2), that is the only
sign that our answer is signed with another secret than the NAS has.

What is waited for is bounded; what finds no room, or falls into a second whose accounting could not be read in full,
is not judged.
"""

from aaad.radius.routers import Router

WAIT_S = 30.0
WAITING_MAX = 65_536

Key = tuple[int, str, bytes]  # NAS entry, source address, Acct-Session-Id


class StartWatch:
    """Accepts whose session has yet to begin."""

    def __init__(self) -> None:
        """Wait for nothing."""
        self._waiting: dict[Key, tuple[float, Router, bool]] = {}  # in the order of their times

    def __len__(self) -> int:
        """Tell how many are waited for."""
        return len(self._waiting)

    def accepted(self, router: Router, session_id: bytes, now_s: float, *, is_proven: bool) -> None:
        """Wait for the session of an Accept; `is_proven`: the request proved the secret that signed the answer."""
        waiting = self._waiting
        if len(waiting) < WAITING_MAX:
            waiting[router.nas.nas_id, router.source_address, session_id] = (now_s, router, is_proven)

    def started(self, router: Router, session_id: bytes) -> None:
        """Take note of a Start that proved its router's secret."""
        if self._waiting.pop((router.nas.nas_id, router.source_address, session_id), None) is None:
            router.statistics.starts_unmatched += 1

    def forget(self) -> None:
        """Judge nothing of what is waited for: Starts may have gone by unread."""
        self._waiting.clear()

    def tick(self, now_s: float) -> None:
        """Count the Accepts whose session did not begin in time."""
        waiting = self._waiting
        late = []
        for key, (accepted_at_s, _, _) in waiting.items():
            if now_s - accepted_at_s < WAIT_S:
                break
            late.append(key)
        for key in late:
            accepted_at_s, router, is_proven = waiting.pop(key)
            router.statistics.accepts_without_start += 1
            router.statistics.without_start_at_s = accepted_at_s
            if not is_proven:
                router.doubt(accepted_at_s, accepts=1)
