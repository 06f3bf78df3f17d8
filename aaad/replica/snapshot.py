"""Which transactions a replica shows, as the request path asks for it.

Pure. PostgreSQL's pg_snapshot, read (rules R1.1 and R7.2).
"""


class Snapshot:
    """Transactions up to somewhere."""

    __slots__ = ("_below", "_from", "_open", "origin", "text")

    def __init__(self, text: str, origin: tuple[str, str] = ("", "")) -> None:
        """Read its text; ValueError if it is none. `origin`: of which cluster and timeline the numbers are."""
        below, above, running = text.split(":")
        self.text = text
        self.origin = origin
        self._below = int(below)  # all of these are seen
        self._from = int(above)  # none of these is
        self._open = frozenset(map(int, filter(None, running.split(","))))

    def sees(self, transaction: int) -> bool:
        """Tell whether a committed transaction is seen."""
        return transaction < self._below or (transaction < self._from and transaction not in self._open)
