"""What a drain wrote last of each session that goes on, so that its next record need not read the row again.

Pure. Others may change a row at any time: who writes by this checks the row's version, and reads the row if it has
another one. What no version tells is a row that another drain has added to the family; so all is forgotten when
another drain has written anything. What a batch takes is gone from here and comes back when its transaction is
committed: a batch that fails leaves nothing behind. Bounded: what was written longest ago goes first.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import NamedTuple

SESSIONS_MAX = 100_000  # some 600 octets each


class Remembered(NamedTuple):
    """The only row of a family, of a session that had not ended."""

    life: int
    version: int
    summary: bytes
    login_id: int | None
    has_grant: bool


class Memory:
    """Rows by family, as they were committed."""

    def __init__(self, sessions_max: int = SESSIONS_MAX) -> None:
        """Nothing is known yet."""
        self._sessions_max = sessions_max
        self._traces: object = None
        self._rows: dict[bytes, Remembered] = {}
        self._written: dict[bytes, Remembered] = {}  # by the transaction that is open
        self.found = 0  # families of all batches that were known, and that were not
        self.missed = 0

    def __len__(self) -> int:
        """How many rows are known."""
        return len(self._rows)

    def begin(self, traces: object) -> None:
        """Begin a batch, in whose transaction these are the traces of others: all is forgotten if they are others."""
        self._written = {}
        if traces != self._traces:
            self._traces = traces
            self._rows.clear()

    def take(self, families: Iterable[bytes]) -> dict[bytes, Remembered]:
        """Return what is known of these families, and know it no more."""
        pop = self._rows.pop
        taken, asked = {}, 0
        for family in families:
            asked += 1
            row = pop(family, None)
            if row is not None:
                taken[family] = row
        self.found += len(taken)
        self.missed += asked - len(taken)
        return taken

    def note(self, rows: Mapping[bytes, Remembered]) -> None:
        """Take what the open transaction has written."""
        self._written.update(rows)

    def forget(self, families: Iterable[bytes]) -> None:
        """Know nothing of these families, whose rows are changed by something else than their records."""
        for family in families:
            self._rows.pop(family, None)
            self._written.pop(family, None)

    def forget_all(self) -> None:
        """Know nothing."""
        self._rows.clear()

    def keep(self) -> None:
        """Know what was written: it is committed."""
        self._rows.update(self._written)
        self._written = {}
        for family in list(islice(self._rows, max(0, len(self._rows) - self._sessions_max))):
            del self._rows[family]
