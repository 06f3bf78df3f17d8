"""PostgreSQL's snapshots: which transactions one sees, and where stands who took over a part of what another sees.

Pure. A snapshot's text is `xmin:xmax:xip,…`: it sees every transaction below xmax but those in xip, which were open.
A replica shows what its own one sees (rules R1.1 and R7.2).
"""

from typing import NamedTuple


class Snapshot:
    """Transactions up to somewhere."""

    __slots__ = ("_below", "_from", "_open", "origin", "text")

    def __init__(self, text: str, origin: tuple[str, str] = ("", "")) -> None:
        """Read its text; ValueError if it is none. `origin`: of which cluster and timeline the numbers are."""
        self.text = text
        self.origin = origin
        self._below, self._from, xids = _parse(text)  # all below the first are seen, from the second on none is
        self._open = frozenset(xids)

    def sees(self, transaction: int) -> bool:
        """Tell whether a committed transaction is seen."""
        return transaction < self._below or (transaction < self._from and transaction not in self._open)


class Taken(NamedTuple):
    """Up to which transaction each of two ranges was taken over; None: wholly."""

    beyond: int | None  # the transactions from the older snapshot's xmax on
    open: int | None  # those that were open in it


def advance(old: str, new: str, taken: Taken) -> str:
    """Return the snapshot that sees what `old` sees and what was taken over of what `new` sees besides."""
    _, _, old_open = _parse(old)
    _, new_end, new_open = _parse(new)
    end = new_end if taken.beyond is None else taken.beyond + 1
    still_open = {xid for xid in new_open if xid < end}
    if taken.open is not None:
        still_open.update(xid for xid in old_open if xid > taken.open)
    xids = sorted(still_open)
    return f"{xids[0] if xids else end}:{end}:{','.join(map(str, xids))}"


def _parse(snapshot: str) -> tuple[int, int, list[int]]:
    start, end, xids = snapshot.split(":")
    return int(start), int(end), [int(xid) for xid in xids.split(",") if xid]
