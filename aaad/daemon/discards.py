"""How many datagrams a node lately left without an answer, by cause: what `aaad why` cannot see in the journal.

The counters of the radius role are sums since ever; the difference to a sample of some minutes ago tells what is
going on now. Pure: counters and `now` come in.
"""

from collections import deque
from collections.abc import Mapping

import msgspec

from aaad.policy.codes import Discard

RECENT_S = 600.0
_SAMPLE_EVERY_S = 30.0
_SAMPLES_MAX = int(RECENT_S / _SAMPLE_EVERY_S) + 2
_PREFIX = "aaad_radius_discarded_total|cause="
_UNWRITTEN = "aaad_radius_unwritten_total"
# Not among them: copies of what is being answered, what is no Access-Request, and what only accounting meets.
HIDING = (
    Discard.MALFORMED,
    Discard.UNKNOWN_NAS,
    Discard.NAS_DISABLED,
    Discard.BAD_MESSAGE_AUTHENTICATOR,
    Discard.MESSAGE_AUTHENTICATOR_MISSING,
    Discard.LATE,
    Discard.NO_REPLICA,
    Discard.OVERLOAD,
    Discard.CLAIM_IMPOSSIBLE,
    Discard.BUG,
)
"""The causes that may have cost a login its request."""

Counters = Mapping[str, Mapping[str, int] | None]  # by slot


class Discards(msgspec.Struct, frozen=True, kw_only=True):
    """Datagrams without an answer: label of the cause, and how many. Causes without any are left out."""

    since_s: float | None = None  # Unix seconds; None: since the counters began
    counts: dict[str, int] = {}
    unwritten: int = 0  # answered, but not in the journal: they proved nothing, and there were too many of them


class RecentDiscards:
    """Samples of the counters, RECENT_S back at most."""

    def __init__(self) -> None:
        """Know nothing yet: what is asked before the first sample is told since ever."""
        # Bounded by count, too: a clock set back would keep samples from its future.
        self._samples: deque[tuple[float, dict[str, int]]] = deque(maxlen=_SAMPLES_MAX)

    def note(self, counters: Counters, now_s: float) -> None:
        """Take a sample, now and then."""
        if self._samples and 0 <= now_s - self._samples[-1][0] < _SAMPLE_EVERY_S:
            return
        self._samples.append((now_s, _sums(counters)))
        while now_s - self._samples[0][0] > RECENT_S:
            self._samples.popleft()

    def until(self, counters: Counters) -> Discards:
        """Return what came to the oldest sample since."""
        since_s, before = self._samples[0] if self._samples else (None, {})
        grown = {cause: count - before.get(cause, 0) for cause, count in _sums(counters).items()}
        unwritten = max(0, grown.pop(_UNWRITTEN))
        counts = {cause: count for cause, count in grown.items() if count > 0}
        return Discards(since_s=since_s, counts=counts, unwritten=unwritten)


def _sums(counters: Counters) -> dict[str, int]:
    names = {cause.label: _PREFIX + cause.label for cause in HIDING} | {_UNWRITTEN: _UNWRITTEN}
    return {label: sum((values or {}).get(name, 0) for values in counters.values()) for label, name in names.items()}
