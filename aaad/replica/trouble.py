"""What goes wrong while the feed follows PostgreSQL: counted, told in few lines, and when it calls for a resync.

Nothing here waits or speaks to PostgreSQL.
"""

from aaad import clock
from aaad.errors import AaadError, StoreError, TablesUnreadable
from aaad.log import Log
from aaad.metrics import CounterFile

AWAY_TOLD_EVERY_S = 60.0
TABLES_UNREADABLE = "the small tables cannot be read"
FAILED_AGAIN = "two polls failed in the same way"


class Trouble:
    """The failures of one feed's polls."""

    def __init__(self, log: Log, counters: CounterFile) -> None:
        """Nothing went wrong yet."""
        self._log = log
        self._counters = counters
        self._last_bug = ""
        self._away_since_s: float | None = None  # None: the last poll succeeded
        self._away_told_at_s = 0.0

    def note_failure(self, error: Exception, resync_reason: str) -> str:
        """Count and tell a failed poll or resync; return the reason to resync that holds from now on."""
        self._counters.add("aaad_replica_poll_failures_total")
        if isinstance(error, StoreError):
            self._note_away(error)
        elif isinstance(error, AaadError):
            self._log.error("replica.write_failed", error=str(error))
            if isinstance(error, TablesUnreadable):
                return TABLES_UNREADABLE
        else:
            self._log.exception("bug", while_="following PostgreSQL")
            return self._after_bug(f"{type(error).__name__}: {error}", resync_reason)
        return resync_reason

    def note_success(self) -> None:
        """Say when PostgreSQL is back."""
        self._last_bug = ""
        if self._away_since_s is not None:
            away_s, self._away_since_s = clock.monotonic_s() - self._away_since_s, None
            self._log.info("replica.poll_succeeded", away_s=round(away_s, 1))

    def _after_bug(self, bug: str, resync_reason: str) -> str:
        """Read everything anew after the same bug twice: one change that we cannot digest must not stop the feed."""
        if bug == self._last_bug:
            self._last_bug = ""
            return FAILED_AGAIN
        self._last_bug = bug
        # If that did not help either, polls and resyncs are tried in turn.
        return "" if resync_reason == FAILED_AGAIN else resync_reason

    def _note_away(self, error: StoreError) -> None:
        """Say once that PostgreSQL is away, and then now and then: each second of it would fill the log."""
        now_s = clock.monotonic_s()
        if self._away_since_s is None:
            self._away_since_s = now_s
        elif now_s - self._away_told_at_s < AWAY_TOLD_EVERY_S:
            return
        self._away_told_at_s = now_s
        self._log.warning("replica.poll_failed", error=str(error), away_s=round(now_s - self._away_since_s, 1))
