"""How many records of a node's spools are not in PostgreSQL yet, read from the spools' own small files.

It costs the node nothing: the writer publishes how far its records are durable, the drain leaves a copy of its
cursor.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from servers import ServerError

from aaad.spool.directory import read_drained, read_tail

_POLL_S = 0.02


class Spools:
    """All spools below a node's folder of them."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def undrained(self) -> int:
        """Return the number of records that are durable here and not in PostgreSQL."""
        return sum(_undrained(path) for path in self._root.iterdir() if path.is_dir()) if self._root.is_dir() else 0

    def wait_until_drained(self, timeout_s: float) -> None:
        """Return when there is none; ServerError when that takes too long."""
        deadline = time.monotonic() + timeout_s
        while left := self.undrained():
            if time.monotonic() > deadline:
                raise ServerError(f"{left} records are not in PostgreSQL after {timeout_s:g} s")
            time.sleep(_POLL_S)


def _undrained(directory: Path) -> int:
    tail, drained = read_tail(directory), read_drained(directory)
    if tail is None:
        return 0
    return max(0, tail.next_sequence - (drained.next_sequence if drained is not None else 0))
