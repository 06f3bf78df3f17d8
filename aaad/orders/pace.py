"""How fast orders go to one concentrator: so many at a time, so many a second, and none while it is down.

Pure: told the time and a random number. A concentrator that answers nothing collects its orders behind one probe, the
oldest of them, tried again after seconds; when it answers, all go at once, at its pace. An order that fails at a
concentrator that lives backs off by itself.
"""

from dataclasses import dataclass
from typing import NamedTuple

BACKOFF_INITIAL_S, BACKOFF_MAX_S = 1.0, 300.0
JITTER = 0.25  # a share of the wait, both ways: what failed together must not come again together


def backoff_s(attempts: int, chance: float) -> float:
    """Return how long to wait after so many attempts failed; `chance` is a random number from 0 to 1."""
    wait_s = min(BACKOFF_INITIAL_S * 2.0 ** min(max(attempts - 1, 0), 16), BACKOFF_MAX_S)
    return wait_s * (1 + JITTER * (2 * chance - 1))


class Limits(NamedTuple):
    """What one concentrator is asked at most, and how one that is down is tried."""

    at_once: int = 8
    each_second: float = 50.0
    in_hand: int = 200  # taken from the queue: at once, and those that wait to be read back
    lists_in_hand: int = 100  # of such as only write address lists
    lists_at_once: int = 2  # a router's API does one thing after the other
    suspect_s: float = 10.0  # a router that answers no request may yet answer by its API
    probe_initial_s: float = 1.0
    probe_max_s: float = 15.0  # so that all is done within a minute after it is back


@dataclass(slots=True)
class Pace:
    """One concentrator's, as this node sees it."""

    limits: Limits
    in_hand: int = 0
    lists_in_hand: int = 0  # such as only write address lists, which keep nobody else waiting
    answered_at_s: float = float("-inf")
    _credit: float = 1.0
    _credit_at_s: float = 0.0
    _probe_at_s: float = 0.0
    _probe_wait_s: float = 0.0
    is_down: bool = False
    _suspect_until_s: float = float("-inf")

    def room(self, now_s: float) -> int:
        """Return how many orders may be taken for it now: one if it is down and a probe is due."""
        if self.is_down:
            return int(now_s >= self._probe_at_s and not self.in_hand)
        return max(0, self.limits.in_hand - self.in_hand)

    def lists_room(self, now_s: float) -> int:
        """Return how many of those may be taken that only write address lists."""
        if self.is_down:
            return int(now_s >= self._probe_at_s and not self.lists_in_hand)
        return max(0, self.limits.lists_in_hand - self.lists_in_hand)

    def take(self, *, is_lists: bool) -> None:
        """Have one more in hand."""
        self.lists_in_hand += is_lists
        self.in_hand += not is_lists

    def leave(self, *, is_lists: bool) -> None:
        """Have it in hand no more."""
        self.lists_in_hand -= is_lists
        self.in_hand -= not is_lists

    def wait_s(self, now_s: float) -> float:
        """Take the right to send one request; return after how long it may go."""
        rate = self.limits.each_second
        if now_s > self._credit_at_s:
            self._credit = min(self._credit + (now_s - self._credit_at_s) * rate, float(self.limits.at_once))
            self._credit_at_s = now_s
        self._credit -= 1.0
        return max(0.0, -self._credit / rate)

    def answered(self, now_s: float) -> bool:
        """Take note that it said something; return whether it was down."""
        was_down, self.is_down = self.is_down, False
        self._suspect_until_s = float("-inf")
        self._probe_wait_s = 0.0
        self.answered_at_s = now_s
        return was_down

    def suspect(self, since_s: float, now_s: float) -> None:
        """Take note that a request begun then found no answer: until its other ways are tried, no more are sent."""
        if self.answered_at_s < since_s:
            self._suspect_until_s = now_s + self.limits.suspect_s

    def is_closed(self, now_s: float) -> bool:
        """Whether nothing new should be tried, since it is down or perhaps is."""
        return self.is_down or now_s < self._suspect_until_s

    def silent(self, since_s: float, now_s: float, chance: float) -> bool:
        """Take note that it said nothing to what was begun then; return whether it is down, by all that is known."""
        if self.answered_at_s >= since_s:
            return False  # it answered others meanwhile: it is about this one
        if not self.is_down or now_s >= self._probe_at_s:
            doubled_s = self._probe_wait_s * 2 or self.limits.probe_initial_s
            self._probe_wait_s = min(doubled_s, self.limits.probe_max_s)
            self._probe_at_s = now_s + self._probe_wait_s * (1 - JITTER * chance)
        self.is_down = True
        return True
