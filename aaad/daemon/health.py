"""Judges from evidence whether the roles live: answers to the node's own questions, and what each role counts.

Pure: the evidence of one round comes in, a verdict goes out. A role is taken for hung only when nothing moves that
would move if it lived: questions that a flooded socket dropped, or that nobody may answer before there is a replica,
hang nobody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

GRACE_S = 15.0  # for the first sign of life of a role that starts on a busy machine
ROUND_MAX_S = 2.0  # longer rounds count as this long: when we stood still ourselves, nobody's silence proves anything
DEAF_LIMIT_S = 5.0  # for a process whose loop turns and that reads none of our questions

_HEARTBEAT = "aaad_role_heartbeat_seconds"
_ANSWERED = "aaad_radius_answered_total"
_DISCARDED = "aaad_radius_discarded_total"
_NO_REPLICA = "aaad_radius_discarded_total|cause=no_replica"
_MIRROR_WANTED = "aaad_spool_mirror_wanted"
_MIRROR_STAGE = "aaad_spool_mirror_stage"  # 0: away


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """One running process in one round: who it is, and what it has counted so far."""

    slot: str
    pid: int
    serves_radius: bool
    silence_limit_s: float
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one round came to."""

    is_answering: bool  # somebody's requests were answered
    lacks_replica: bool  # requests were read and not answered, because there is no complete replica (rule R3.1)
    hung: tuple[str, ...]  # slots whose process does nothing any more

    @property
    def is_healthy(self) -> bool:
        """Whether systemd may be told that all is well."""
        return (self.is_answering or self.lacks_replica) and not self.hung


@dataclass(slots=True)
class _Trace:
    """What was seen of one process."""

    pid: int
    heartbeat: int
    datagrams: int
    answered: int
    no_replica: int
    beat_at_s: float
    datagram_at_s: float
    first_beat_at_s: float | None = None


class Health:
    """Remembers of each process when it last moved."""

    def __init__(self, *, grace_s: float = GRACE_S, deaf_limit_s: float = DEAF_LIMIT_S) -> None:
        """Start without evidence."""
        self._grace_s = grace_s
        self._deaf_limit_s = deaf_limit_s
        self._missed_since_s: float | None = None
        self._judged_s: float | None = None
        self._watched_s = 0.0  # the time that we were awake ourselves; all times below are on this clock
        self._traces: dict[str, _Trace] = {}

    def judge(self, witnesses: Sequence[Witness], *, asked: int, unanswered: int, now_s: float) -> Verdict:
        """Judge one round in which so many questions were asked and so many of them not answered."""
        self._watched_s += min(now_s - self._judged_s, ROUND_MAX_S) if self._judged_s is not None else 0.0
        self._judged_s, now_s = now_s, self._watched_s
        self._traces = {witness.slot: self._trace(witness, now_s) for witness in witnesses}
        moved = [self._moved(witness, now_s) for witness in witnesses]
        is_answering = (asked > 0 and unanswered == 0) or any(answered for answered, _ in moved)
        lacks_replica = not is_answering and any(no_replica for _, no_replica in moved)
        if not unanswered:
            self._missed_since_s = None
        elif self._missed_since_s is None:
            self._missed_since_s = now_s
        hung = tuple(witness.slot for witness in witnesses if self._is_hung(witness, now_s))
        return Verdict(is_answering=is_answering, lacks_replica=lacks_replica, hung=hung)

    def _trace(self, witness: Witness, now_s: float) -> _Trace:
        """Return what is known of this process, afresh when it is another one than the round before."""
        known = self._traces.get(witness.slot)
        if known is not None and known.pid == witness.pid:
            return known
        counters = witness.counters
        return _Trace(
            pid=witness.pid,
            heartbeat=counters.get(_HEARTBEAT, 0),
            datagrams=_datagrams(counters),
            answered=counters.get(_ANSWERED, 0),
            no_replica=counters.get(_NO_REPLICA, 0),
            beat_at_s=now_s,
            datagram_at_s=now_s,
        )

    def _moved(self, witness: Witness, now_s: float) -> tuple[bool, bool]:
        """Bring the trace up to date; return whether it answered and whether it lacked a replica since last time."""
        trace, counters = self._traces[witness.slot], witness.counters
        heartbeat, datagrams = counters.get(_HEARTBEAT, 0), _datagrams(counters)
        if heartbeat != trace.heartbeat:
            trace.heartbeat, trace.beat_at_s = heartbeat, now_s
            trace.first_beat_at_s = trace.first_beat_at_s or now_s
        if datagrams != trace.datagrams:
            trace.datagrams, trace.datagram_at_s = datagrams, now_s
        answered, no_replica = counters.get(_ANSWERED, 0), counters.get(_NO_REPLICA, 0)
        moved = answered != trace.answered, no_replica != trace.no_replica
        trace.answered, trace.no_replica = answered, no_replica
        return moved

    def _is_hung(self, witness: Witness, now_s: float) -> bool:
        trace = self._traces[witness.slot]
        if trace.first_beat_at_s is None:
            return now_s - trace.beat_at_s > max(self._grace_s, witness.silence_limit_s)
        if now_s - trace.beat_at_s > witness.silence_limit_s:
            return True
        if not witness.serves_radius or self._missed_since_s is None:
            return False
        # Our own questions count as answered or discarded, so a process that reads its sockets moves every round.
        return now_s - max(self._missed_since_s, trace.datagram_at_s, trace.first_beat_at_s) > self._deaf_limit_s


def mirrors_away(witnesses: Sequence[Witness]) -> list[str]:
    """Return the slots whose spool has a mirror that is away: worth a word, and nobody is unhealthy by it (R6.4)."""
    return [one.slot for one in witnesses if one.counters.get(_MIRROR_WANTED) and not one.counters.get(_MIRROR_STAGE)]


def _datagrams(counters: Mapping[str, int]) -> int:
    return sum(value for name, value in counters.items() if name.partition("|")[0] in (_ANSWERED, _DISCARDED))
