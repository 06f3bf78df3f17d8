"""The brake's hold as rows of PostgreSQL, one open at most for all nodes (rule R1.3).

The feed opens it or joins the open one; an operator accepts it (`aaad replica accept`); every node sees that at its
next poll and applies what it had set aside. Decides nothing: the brake is aaad/replica/brake.py.
"""

from dataclasses import dataclass
from datetime import datetime

from aaad.db.connection import Queries, Row
from aaad.errors import StoreError
from aaad.replica.source import STATEMENTS

OPEN = "open"
ACCEPTED = "accepted"
SAMPLE_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One hold, open or decided."""

    hold_id: int
    kind: str  # changes or resync
    state: str  # open, accepted, superseded
    opened_at: datetime
    cut_off_count: int  # logins (and NAS entries) that would lose service
    logins_count: int  # of all
    sample: tuple[str, ...]
    decided_at: datetime | None
    decided_by: str | None


async def hold_status(database: Queries) -> Hold | None:
    """Return the open hold, else the last one, None if there was never one."""
    row = await database.fetchrow(STATEMENTS["find_hold"])
    return None if row is None else _hold(row)


async def accept_hold(database: Queries, operator: str) -> Hold | None:
    """Let through what is held, on all nodes; None if nothing is held."""
    row = await database.fetchrow(STATEMENTS["accept_hold"], operator)
    return None if row is None else _hold(row)


async def open_hold(
    database: Queries, *, node_number: int, kind: str, cut_off_count: int, logins_count: int, sample: list[str]
) -> int:
    """Open the hold or join the open one with our numbers; return its id."""
    row = await database.fetchrow(STATEMENTS["open_hold"], node_number, kind, cut_off_count, logins_count, sample)
    if row is None:
        raise StoreError("the hold was decided at this very moment")
    return int(row["id"])


async def close_hold(database: Queries, hold_id: int) -> None:
    """Close an open hold for which nothing waits any more."""
    await database.execute(STATEMENTS["close_hold"], hold_id)


def _hold(row: Row) -> Hold:
    return Hold(
        hold_id=row["id"],
        kind=row["kind"],
        state=row["state"],
        opened_at=row["opened_at"],
        cut_off_count=row["cut_off_count"],
        logins_count=row["logins_count"],
        sample=tuple(row["sample"]),
        decided_at=row["decided_at"],
        decided_by=row["decided_by"],
    )
