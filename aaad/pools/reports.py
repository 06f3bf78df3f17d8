"""What operators ask about pools: how each is used, what is left, what does not fit together, what is waited for.

Every question is one bounded statement (`reports.sql`). Writes nothing.
"""

from pathlib import Path
from typing import Any

from aaad.db.connection import Queries, Row
from aaad.db.statements import load_statements
from aaad.pools.adoption import find_awaited

SQL = load_statements(Path(__file__).parent / "reports.sql")
_EXCLUSIONS_MAX = 1_000


class PoolReports:
    """Questions in one transaction, or one after the other."""

    def __init__(self, queries: Queries) -> None:
        """Ask here."""
        self._queries = queries

    async def pools(
        self, *, address_space: int | None = None, name: str | None = None, limit: int
    ) -> list[dict[str, Any]]:
        """Return pools of every kind with their figures as counted last: in the last minute, by a node that runs."""
        return _dicts(await self._queries.fetch(SQL.list_pools, address_space, name, limit))

    async def counted(self, pool_id: int) -> dict[str, Any] | None:
        """Return how a pool is used now, exactly; `unaccounted` is 0. None: it is not given out here."""
        row = await self._queries.fetchrow(SQL.count_pool, pool_id)
        return None if row is None else dict(row.items())

    async def ranges(self, pool_id: int) -> list[dict[str, Any]]:
        """Return what a pool consists of."""
        return _dicts(await self._queries.fetch(SQL.list_ranges, pool_id))

    async def exclusions(self, pool_id: int) -> list[dict[str, Any]]:
        """Return what of a pool is not given out."""
        return _dicts(await self._queries.fetch(SQL.list_exclusions, pool_id, _EXCLUSIONS_MAX))

    async def reserves(self, pool_id: int) -> list[dict[str, Any]]:
        """Return what each process of each node has set aside of a pool."""
        return _dicts(await self._queries.fetch(SQL.list_reserves, pool_id))

    async def findings(
        self, *, address_space: int | None = None, pool_id: int | None = None, limit: int
    ) -> list[dict[str, Any]]:
        """Return the addresses that are reported and of which the ledger says otherwise (`pool check`)."""
        return _dicts(await self._queries.fetch(SQL.list_findings, address_space, pool_id, limit))

    async def unaccounted(self, pool_id: int | None = None) -> list[dict[str, Any]]:
        """Return the pools of which a unit is in no state or in two, by a count of the whole ledger: none."""
        return _dicts(await self._queries.fetch(SQL.count_unaccounted, pool_id))

    async def awaited(self) -> dict[int, list[str]]:
        """Return for each pool that adopts the NASes that it waits for; an empty name: there is none to hear."""
        return await find_awaited(self._queries)

    async def standbys(self) -> dict[str, Any] | None:
        """Return how many standbys there are and whether commits wait for one, as seen last; None: not seen yet."""
        row = await self._queries.fetchrow(SQL.find_standbys)
        return None if row is None else dict(row.items())


def _dicts(rows: list[Row]) -> list[dict[str, Any]]:
    return [dict(row.items()) for row in rows]
