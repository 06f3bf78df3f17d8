"""The brake's hold as rows of PostgreSQL, one open at most for all nodes (rule R1.3).

The feed opens it or joins the open one, and tells the figures together with the snapshot that they count. An operator
accepts those figures (`aaad replica accept`). One rule then makes all nodes answer alike: what the last accepted
hold's snapshot sees passes, on every node. A node that holds lets go of what has not changed since that snapshot; a
node that was away applies what it had not seen of it without asking; what came later is judged anew.
Where the change log cannot tell what came later (pruned, truncated, too much, another timeline), all is asked anew.

A node that builds its replica from nothing while a hold is open has nothing else to serve than what the others hold
back: it says so in its log and in the hold's row. Decides nothing: the brake is aaad/replica/brake.py.
"""

from dataclasses import dataclass
from datetime import datetime

from aaad.db.connection import Queries, Row
from aaad.errors import StoreError
from aaad.replica.layout import ReplicaMeta
from aaad.replica.source import STATEMENTS

OPEN = "open"
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
    built_meanwhile: tuple[str, ...]  # nodes that had nothing else to serve, and hold nothing of it


async def hold_status(database: Queries) -> Hold | None:
    """Return the open hold, else the last one, None if there was never one."""
    row = await database.fetchrow(STATEMENTS["find_hold"])
    return None if row is None else _hold(row)


async def accept_hold(database: Queries, operator: str, *, hold_id: int, count: int) -> Hold | None:
    """Let through one hold, on all nodes; None if it is not open, or would cut off more than `count` by now."""
    row = await database.fetchrow(STATEMENTS["accept_hold"], operator, hold_id, count)
    return None if row is None else _hold(row)


async def open_hold(database: Queries, meta: ReplicaMeta, *, cut_off_count: int, sample: list[str]) -> int:
    """Open the hold or join the open one with our figures; return its id."""
    row = await database.fetchrow(
        STATEMENTS["open_hold"],
        meta.node_number,
        "changes",
        cut_off_count,
        meta.count,
        sample,
        meta.snapshot,
        meta.accepted_id,
    )
    if row is None:
        raise StoreError("the hold was decided at this very moment")
    return int(row["id"])


async def note_built(database: Queries, node_number: int) -> int:
    """Say that this node built its replica from nothing; return the id of the hold that is open meanwhile, else 0."""
    row = await database.fetchrow(STATEMENTS["note_built"], node_number)
    return 0 if row is None else int(row["id"])


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
        built_meanwhile=tuple(row["built_meanwhile"]),
    )
