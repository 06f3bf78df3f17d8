"""Tells which logins have used up the cap of their plan, in the column by which the decision gives them another plan.

Goes through the logins bit by bit, one node of the cluster at a time, and counts anew what each has used in its
period: so a late record, the end of the period and another plan are no special cases. Writes only what changed, by
an ordinary UPDATE that the change feed carries to every replica. Carries out the caps of rule R5.5.
"""

from pathlib import Path
from typing import NamedTuple

from aaad.db.connection import Database, Row, Transaction
from aaad.db.statements import load_statements
from aaad.sessions.periods import CapKind, cap_period, is_used_up

CHORE = "caps"
WINDOW = 500  # logins a bit: an index each, in the live sessions and in the months of the period
EVERY_S = 60.0
LOCK_WAIT_MS = 500

_SQL = load_statements(Path(__file__).parent / "keeping.sql")


class Looked(NamedTuple):
    """What one bit of work came to."""

    reached: int
    freed: int
    is_more: bool  # the round is not over


async def look_at_caps(database: Database, *, window: int = WINDOW) -> Looked:
    """Do the next bit, unless another node is at it or the round is over and the next is not due."""
    async with database.transaction("read_committed") as transaction:
        await transaction.execute(_SQL.limit_waits, str(LOCK_WAIT_MS))
        claimed = await transaction.fetchrow(_SQL.claim_chore, CHORE)
        if claimed is None:
            return Looked(0, 0, is_more=False)
        has_caps = await transaction.fetchrow(_SQL.has_caps)
        last = await transaction.fetchrow(_SQL.next_logins, claimed["cursor"], window)
        assert has_caps is not None
        assert last is not None
        if not has_caps["has_caps"] or last["last"] is None:
            await transaction.execute(_SQL.leave_chore, CHORE, 0, EVERY_S)
            return Looked(0, 0, is_more=False)
        rows = await transaction.fetch(_SQL.capped_logins, claimed["cursor"], last["last"])
        reached, freed = await _settle(transaction, rows)
        await transaction.execute(_SQL.leave_chore, CHORE, last["last"], 0.0)
        return Looked(reached, freed, is_more=True)


async def _settle(transaction: Transaction, rows: list[Row]) -> tuple[int, int]:
    """Write what is not as it should be; return how many caps were reached and how many are free again."""
    capped = [row for row in rows if row["cap_gigabytes"] is not None]
    periods = [cap_period(CapKind(row["cap_kind"]), row["today"], row["due_day"] or 1) for row in capped]
    used: dict[int, int] = {}
    if capped:
        counted = await transaction.fetch(
            _SQL.used_octets,
            [row["id"] for row in capped],
            [period.first for period in periods],
            [period.last for period in periods],
        )
        used = {row["login_id"]: row["octets"] for row in counted}
    wanted = {
        row["id"]: row["cap_gigabytes"] is not None and is_used_up(used.get(row["id"], 0), row["cap_gigabytes"])
        for row in rows
    }
    changed = sorted(row["id"] for row in rows if wanted[row["id"]] != row["cap_reached"])
    if not changed:
        return 0, 0
    await transaction.execute(_SQL.mark_caps)
    await transaction.execute(_SQL.set_caps, changed, [wanted[login_id] for login_id in changed])
    reached = sum(wanted[login_id] for login_id in changed)
    return reached, len(changed) - reached
