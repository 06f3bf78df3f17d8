"""PostgreSQL's snapshots as texts, and where one stands who has taken over a part of what another one sees.

Pure. A snapshot is `xmin:xmax:xip,…`: it sees every transaction below xmax but those in xip, which were open.
"""

from typing import NamedTuple


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
