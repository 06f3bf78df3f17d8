"""Counts how pools are used, remembers the most of each day, and looks ahead (`outlook.py`)."""

from typing import Any

from aaad.clock import monotonic_s
from aaad.db.connection import Database, Queries, Row
from aaad.pools.chore import SQL, next_bit
from aaad.pools.facts import POOLS_MAX, LedgerFacts, PoolFacts
from aaad.pools.outlook import DAYS_MAX, is_alarmed, outlook

USE_EVERY_S = 60.0
_REST_FACTOR = 100.0  # counting reads the whole ledger: a hundredth of the time
COUNT_TIMEOUT_S = 120.0  # for the connection that counts
_POOLS_AT_ONCE = 100_000


async def count_use(database: Database) -> list[dict[str, Any]]:
    """Count, if it is due; return the pools that are used beyond their limit from now on."""
    begun_s = monotonic_s()
    async with next_bit(database, "pool_use") as bit:
        if bit is None:
            return []
        await bit.transaction.execute(SQL.count_pools)
        await bit.transaction.execute(SQL.note_days)
        await bit.transaction.execute(SQL.purge_days, DAYS_MAX)
        alarmed = await _look_ahead(bit.transaction)
        bit.pause_s = max(USE_EVERY_S, (monotonic_s() - begun_s) * _REST_FACTOR)
    return alarmed


async def _look_ahead(queries: Queries) -> list[dict[str, Any]]:
    rows = await queries.fetch(SQL.read_use, _POOLS_AT_ONCE)
    ahead = [outlook(row["days"], row["most_used"], _used(row), row["size"]) for row in rows]
    alarms = [is_alarmed(_used(row), row["size"], row["alarm_percent"], row["is_alarmed"]) for row in rows]
    await queries.execute(
        SQL.set_outlook,
        [row["pool_id"] for row in rows],
        [one.growth_per_day for one in ahead],
        [one.days_left for one in ahead],
        alarms,
    )
    return [
        {"pool": row["name"], "address_space": row["address_space"], "used": _used(row), "size": row["size"]}
        for row, alarm in zip(rows, alarms, strict=True)
        if alarm and not row["is_alarmed"]
    ]


def _used(row: Row) -> int:
    return int(row["bound"] + row["fixed"] + row["reported"])


async def read_facts(queries: Queries, now_s: float) -> LedgerFacts:
    """Return what is known of pools, for this node's metrics."""
    rows = await queries.fetch(SQL.read_use, POOLS_MAX)
    findings = await queries.fetch(SQL.count_findings)
    seen = await queries.fetchrow(SQL.read_standbys)
    return LedgerFacts(
        at_s=now_s,
        pools=[PoolFacts(**{field: row[field] for field in PoolFacts.__struct_fields__}) for row in rows],
        findings={row["kind"]: row["count"] for row in findings},
        standbys=seen["standbys"] if seen else 0,
        waits_for_standby=bool(seen and seen["waits"]),
    )
