"""Ends sessions of which another one told, when it began, and nobody saw it (rule R5.2).

When a session begins the drain looks at the few of its customer and device, or port, that began just before it. Who
began earlier, and was heard while many others came and went, is not among them; nor does it matter, as long as he is
heard. But when he falls silent, what ended him must not depend on the order in which all of them were drained. So
this goes through the sessions bit by bit, one node of the cluster at a time, and lets those be judged that one
look into an index finds to have been followed by another.
"""

from pathlib import Path
from typing import NamedTuple

from aaad.db.connection import Database
from aaad.db.statements import load_statements
from aaad.sessions.ends import save_verdicts
from aaad.sessions.verdicts import Judge

CHORE = "overlooked"
BLOCKS = 1_000  # 8 MB
EVERY_S = 600.0
# Not heard for 2.5 of its own intervals, or for an hour: those that came after it go into history not much later.
SILENT_S = 3_600.0
FAMILIES_MAX = 1_000  # judged in one bit; what finds no room waits for the next round

_SQL = load_statements(Path(__file__).parent / "keeping.sql")


class Looked(NamedTuple):
    """What one bit of work came to."""

    ended: int
    is_more: bool  # the round is not over


async def look_at_overlooked(database: Database) -> Looked:
    """Do the next bit, unless another node is at it or the round is over and the next is not due."""
    async with database.transaction("read_committed") as transaction:
        claimed = await transaction.fetchrow(_SQL.claim_chore, CHORE)
        if claimed is None:
            return Looked(0, is_more=False)
        first = int(claimed["cursor"])
        size = await transaction.fetchrow(_SQL.session_blocks)
        assert size is not None
        rows = await transaction.fetch(_SQL.find_overlooked, first, first + BLOCKS, SILENT_S, FAMILIES_MAX)
        ended = 0
        if rows:
            families = {row[0] for row in rows}
            found = await Judge(transaction, families=sorted(families)).judge_again()
            # Of their rivals not all that tells of their end was looked for.
            verdicts = [verdict for verdict in found if verdict.family in families]
            ended = len(verdicts) - len(await save_verdicts(transaction, verdicts))
        is_more = first + BLOCKS < int(size["blocks"])
        await transaction.execute(
            _SQL.leave_chore, CHORE, first + BLOCKS if is_more else 0, 0.0 if is_more else EVERY_S
        )
    return Looked(ended, is_more)
