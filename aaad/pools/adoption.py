"""Begins and ends the adoption of pools by what PostgreSQL and routers tell (rule R7.3); decided in `adopting.py`."""

from typing import NamedTuple

from aaad.db.connection import Database, Queries, Row
from aaad.pools.adopting import INTERIM_S, Listening, Seen, awaited, may_have_lost
from aaad.pools.chore import SQL, next_bit

LOOK_EVERY_S = 20.0
_GAP_FACTOR = 2.5  # of intervals: who is silent for so long was not heard meanwhile (rule R5.3)


class Looked(NamedTuple):
    """What came of a look."""

    begun: list[int]  # pools that adopt from now on
    ended: list[int]  # pools that give out again whatever is free


async def look_at_adoption(database: Database) -> Looked:
    """Look whether PostgreSQL is another one than before, and whether all routers have been heard."""
    async with next_bit(database, "adoption") as bit:
        if bit is None:
            return Looked([], [])
        bit.pause_s = LOOK_EVERY_S
        begun = await _look_at_database(bit.transaction)
        await bit.transaction.execute(SQL.hear_routers, _GAP_FACTOR * INTERIM_S)
        done = [pool_id for pool_id, names in (await find_awaited(bit.transaction)).items() if not names]
        ended = await bit.transaction.fetch(SQL.end_adoption, done) if done else []
    return Looked(begun, [row["pool_id"] for row in ended])


async def _look_at_database(queries: Queries) -> list[int]:
    """Compare PostgreSQL with the one of the last look, and remember it; return the pools that begin to adopt."""
    row = await queries.fetchrow(SQL.read_cluster)
    assert row is not None
    now = Seen(row["system_identifier"], row["timeline"], row["waits"], row["now_s"])
    known = await queries.fetchrow(SQL.read_seen)
    before = None if known is None else Seen(*known)
    begun: list[Row] = []
    if may_have_lost(before, now):
        begun = await queries.fetch(SQL.begin_adoption_of_all)
        await queries.execute(SQL.forget_snapshots)
    # A standby that is copied to just now does not make earlier commits safe: who was not waited for stays so.
    await queries.execute(SQL.remember_seen, now.system_identifier, now.timeline, now.waits, row["standbys"])
    return [found["pool_id"] for found in begun]


async def find_awaited(queries: Queries) -> dict[int, list[str]]:
    """Return for each pool that adopts the NASes that it waits for."""
    rows = await queries.fetch(SQL.find_adopting)
    return awaited(
        Listening(
            row["pool_id"],
            row["adopting_since_s"],
            row["nas"],
            row["read_at_s"],
            row["routers"] or 0,
            row["heard_s"],
            row["interim_s"],
        )
        for row in rows
    )
