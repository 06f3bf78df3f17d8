"""Work of the whole cluster on the ledger: whoever holds a chore's row does its next bit, where it was left.

Nobody waits for anybody: who finds the row held leaves the bit to its holder, and what a row's lock would keep
waiting for more than a moment is given up and tried again.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from aaad.db.connection import Database, Transaction
from aaad.db.statements import load_statements

SQL = load_statements(Path(__file__).with_name("keeping.sql"))
_WAIT = "200ms"


class Bit:
    """One bit of a chore, within its transaction. Set `cursor` and `pause_s` to say how it goes on."""

    def __init__(self, transaction: Transaction, cursor: int, began_at: datetime) -> None:
        """The chore stands at `cursor`, in a round that began then."""
        self.transaction = transaction
        self.first = cursor
        self.began_at = began_at
        self.cursor = 0
        self.pause_s = 0.0
        self.is_more = False

    async def blocks(self, sized_by: str, count: int, every_s: float) -> tuple[int, int]:
        """Take the next blocks of a table; after the last ones the round is over, and the next one waits."""
        size = await self.transaction.fetchrow(sized_by)
        assert size is not None
        until = self.first + count
        self.is_more = until < int(size["blocks"])
        self.cursor, self.pause_s = (until, 0.0) if self.is_more else (0, every_s)
        return self.first, until


@asynccontextmanager
async def next_bit(database: Database, name: str) -> AsyncIterator[Bit | None]:
    """Claim the next bit of a chore; None: it is not due, or somebody is at it."""
    async with database.transaction("read_committed") as transaction:
        await transaction.execute(SQL.limit_waits, _WAIT)
        claimed = await transaction.fetchrow(SQL.claim_chore, name)
        if claimed is None:
            yield None
            return
        bit = Bit(transaction, int(claimed["cursor"]), claimed["began_at"])
        yield bit
        await transaction.execute(SQL.leave_chore, name, bit.cursor, bit.pause_s, bit.began_at)


def count(tag: str) -> int:
    """Return how many rows a command tag speaks of: `INSERT 0 3`, `UPDATE 1`."""
    return int(tag.rpartition(" ")[2])
