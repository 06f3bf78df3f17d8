"""When logins have to be looked at again because only the clock changes what is decided about them.

Pure. A heap in memory and no column: it would be written at each decision, to the busiest table there is, for what is
known again after one sweep. So it holds only what comes due before the sweep after the next one, and forgets no login
by being full: the next sweep finds it again.
"""

from heapq import heappop, heappush

ENTRIES_MAX = 200_000


class DueLogins:
    """Logins, each at the earliest instant that it was told of."""

    def __init__(self, horizon_s: float) -> None:
        """What is due later than `horizon_s` from now on is left to a later sweep."""
        self._horizon_s = horizon_s
        self._heap: list[tuple[float, int]] = []
        self._due: dict[int, float] = {}

    def __len__(self) -> int:
        """How many logins wait."""
        return len(self._due)

    def note(self, login_id: int, due_s: float, now_s: float) -> None:
        """Look at a login again then."""
        if due_s > now_s + self._horizon_s or due_s >= self._due.get(login_id, due_s + 1):
            return
        if len(self._heap) >= ENTRIES_MAX:
            return
        self._due[login_id] = due_s
        heappush(self._heap, (due_s, login_id))

    def clear(self) -> None:
        """Forget all: a look at everybody is due."""
        self._heap.clear()
        self._due.clear()

    def take(self, now_s: float, at_most: int) -> list[int]:
        """Take out who is due."""
        taken: list[int] = []
        while self._heap and self._heap[0][0] <= now_s and len(taken) < at_most:
            due_s, login_id = heappop(self._heap)
            if self._due.get(login_id) == due_s:
                del self._due[login_id]
                taken.append(login_id)
        return taken

    @property
    def next_s(self) -> float | None:
        """When the next one is due; None: nobody waits."""
        return self._heap[0][0] if self._heap else None
