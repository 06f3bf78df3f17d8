"""When a pool will be exhausted, and whether it is time to say so.

Pure. What counts is the most that was in use on each day, since use swings with the hours. A line is laid through the
last weeks, and it is said when it will meet the pool's size; nothing is said where the days are too few, where use
does not grow, or where that lies beyond any plan. A line is all that it is: a new district connected at once is not
foreseen.
"""

from collections.abc import Sequence
from typing import NamedTuple

DAYS_MIN = 7  # a week has all its days in it
DAYS_MAX = 35
_HORIZON_DAYS = 3_650.0
_SWING_PERCENT = 1.0


class Outlook(NamedTuple):
    """What is to come."""

    growth_per_day: float | None  # units; None: too few days to tell
    days_left: float | None  # until nothing is left; None: not in sight


def outlook(days: Sequence[int], most_used: Sequence[int], used: int, size: int) -> Outlook:
    """Return a pool's outlook.

    Args:
        days: which days `most_used` is of, counted from today: 0, -1, ...
        most_used: the most that was in use on each.
        used: how much is in use now.
        size: of the pool.
    """
    # Today goes on: its peak may be still to come.
    seen = sorted((day, most) for day, most in zip(days, most_used, strict=True) if -DAYS_MAX <= day < 0)
    growth = _slope(seen) if len(seen) >= DAYS_MIN else None
    if used >= size:
        return Outlook(growth, 0.0)
    if growth is None or growth <= 0:
        return Outlook(growth, None)
    # From the last peak on: an hour at night must not make the pool look larger.
    left = max(0, size - max(used, seen[-1][1]))
    return Outlook(growth, left / growth if left <= growth * _HORIZON_DAYS else None)


def _slope(seen: Sequence[tuple[int, int]]) -> float:
    """Return the slope of the line with the least squares of distances."""
    mean_day = sum(day for day, _ in seen) / len(seen)
    mean_most = sum(most for _, most in seen) / len(seen)
    spread = sum((day - mean_day) ** 2 for day, _ in seen)
    return sum((day - mean_day) * (most - mean_most) for day, most in seen) / spread


def is_alarmed(used: int, size: int, alarm_percent: int, was_alarmed: bool) -> bool:
    """Whether a pool is used beyond its limit. What swings about the limit rings once."""
    limit = alarm_percent - _SWING_PERCENT if was_alarmed else alarm_percent
    return size > 0 and 100 * used >= limit * size
