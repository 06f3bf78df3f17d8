"""Who is answered in a backlog when not all can be: max-min fair shares of one second (rule R3.3).

Pure. While the second's capacity lasts everybody is answered. Then whoever asks for little is still answered, and of
those who ask for more each gets as much as the others. A source that has it all to itself may have everything.
"""

import math
from collections.abc import Iterable

_GROWTH = 1.05  # the level is reckoned anew when so much more was asked for: it falls slowly, and costs a sort


class Shares:
    """What each source asked for in this second."""

    def __init__(self, capacity: int) -> None:
        """Share `capacity` a second."""
        self._capacity = capacity
        self.begin_second()

    def begin_second(self) -> None:
        """Forget what was asked for."""
        self._asked: dict[str, int] = {}
        self._total = 0
        self._level = math.inf
        self._level_due: float = self._capacity

    def has_room_for(self, source: str) -> bool:
        """Count one request of a source; tell whether it may be answered."""
        asked = self._asked[source] = self._asked.get(source, 0) + 1
        self._total += 1
        if self._total <= self._capacity or len(self._asked) == 1:
            return True
        if self._total > self._level_due:
            self._level = fair_level(self._asked.values(), self._capacity)
            self._level_due = self._total * _GROWTH
        return asked <= self._level


def fair_level(asked: Iterable[int], capacity: int) -> float:
    """Return how much each may have so that all together have `capacity`; infinite if that is enough for all."""
    wanted = sorted(asked)
    left = float(capacity)
    for position, amount in enumerate(wanted):
        share = left / (len(wanted) - position)
        if amount > share:
            return share
        left -= amount
    return math.inf
