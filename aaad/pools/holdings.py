"""What operators ask of the ledger, take back from it, and give a login for good (rule R7).

A lease that a session uses is not taken back unless an operator says why. A secondary network comes out of a pool and
is a route of its login: both are written at once, and the ledger keeps anybody else from having it.
"""

from collections.abc import Iterable
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Any, NamedTuple

from aaad.db.connection import Queries, Row
from aaad.pools.address import WIDTHS, unit_text
from aaad.pools.operate import SQL, Operations, Part

STATES = ("bound", "released", "fixed", "foreign")
_SEVERAL = 20
_TRIES_MAX = 4_096  # units that are not given out any more and that the ledger knows already
_SHORTEST = {4: 8, 6: 16}

Network = IPv4Network | IPv6Network


class Wanted(NamedTuple):
    """Which leases are asked for; None: any."""

    pool_id: int | None = None
    login_id: int | None = None
    network: Network | None = None
    address_space: int | None = None
    states: tuple[str, ...] = STATES


class Holdings:
    """Questions to the ledger, and what is taken back, in one transaction."""

    def __init__(self, queries: Queries) -> None:
        """Work here."""
        self._queries = queries

    async def leases(self, wanted: Wanted, limit: int) -> list[dict[str, Any]]:
        """Return what the ledger says, in order of the address."""
        first = last = None
        around: list[str] = []
        if wanted.network is not None:
            first, last, around = _keys(wanted.network)
        return _dicts(
            await self._queries.fetch(
                SQL.find_leases,
                wanted.pool_id,
                wanted.login_id,
                first,
                last,
                around,
                wanted.address_space,
                list(wanted.states),
                limit,
            )
        )

    async def lock(self, network: Network, address_space: int | None) -> list[dict[str, Any]]:
        """Return what the ledger says of an address: of itself or the unit it lies in, one row in each space."""
        rows = await self._queries.fetch(SQL.lock_leases, around(network), address_space)
        return _dicts({row["address_space"]: row for row in reversed(rows)}.values())

    async def live_sessions(self, address_space: int, address: str) -> list[dict[str, Any]]:
        """Return connections that are not closed and have an address."""
        return _dicts(await self._queries.fetch(SQL.live_sessions_with, address_space, address, _SEVERAL))

    async def former_holders(self, network: Network, address_space: int | None, limit: int) -> list[dict[str, Any]]:
        """Return the connections that had an address, the latest first."""
        return _dicts(await self._queries.fetch(SQL.holders_of_address, str(network), address_space, limit))

    async def release(self, address_space: int, address: str) -> datetime | None:
        """Take an address back; return from when on another login may have it, None if nobody has it."""
        row = await self._queries.fetchrow(SQL.release_lease, address_space, address)
        return row["free_from"] if row else None

    async def tell(self, login_id: int | None, kind: str, text: str) -> None:
        """Write down what an operator did."""
        await self._queries.execute(SQL.tell, login_id, kind, text)

    async def pool_history(self, pool_id: int | None, limit: int) -> list[dict[str, Any]]:
        """Return what was changed in pools, the latest first."""
        return _dicts(await self._queries.fetch(SQL.pool_history, pool_id, limit))

    # --- secondary networks -----------------------------------------------------------------------------------------

    async def concentrator_of(self, login_id: int) -> int | None:
        """Return the concentrator that a login is bound to, else the one at which it is connected."""
        row = await self._queries.fetchrow(SQL.concentrator_of, login_id)
        return row["nas_id"] if row else None

    async def secondary_pool(self, nas_id: int) -> dict[str, Any]:
        """Return a concentrator's pool of secondary networks: its name, and its id if there is one of that name."""
        row = await self._queries.fetchrow(SQL.secondary_pool, nas_id)
        assert row is not None
        return dict(row.items())

    async def networks_of(self, login_id: int) -> list[dict[str, Any]]:
        """Return the networks that a login has out of pools."""
        return _dicts(await self._queries.fetch(SQL.networks_of_login, login_id))

    async def add_route(self, login_id: int, network: str) -> bool:
        """Give a login a route; False if it has it."""
        return await self._queries.fetchrow(SQL.add_route, login_id, network) is not None

    async def remove_route(self, login_id: int, network: str) -> bool:
        """Take a route away from a login; False if it has no such one."""
        return await self._queries.fetchrow(SQL.remove_route, login_id, network) is not None

    async def take_network(self, operations: Operations, login_id: int) -> str | None:
        """Return the next free unit of a pool, which is this login's for good now; None if there is none."""
        for part in operations.parts:
            if unit := await self._take_new(operations, part, login_id):
                return unit
        row = await self._queries.fetchrow(SQL.take_free_unit, operations.pool.id, login_id)
        return row["address"] if row else None

    async def _take_new(self, operations: Operations, part: Part, login_id: int) -> str | None:
        excluded = await operations.excluded_of(part)
        place = part.next
        for _try in range(_TRIES_MAX):
            if jump := next((until for first, until in excluded if first <= place < until), None):
                place = jump
            if place >= part.range.units:
                return None
            unit = unit_text(part.range.family, *part.range.unit_at(place))
            place += 1
            row = await self._queries.fetchrow(
                SQL.take_unit, operations.pool.address_space, unit, operations.pool.id, login_id
            )
            if row is not None:
                await self._queries.execute(SQL.move_next, part.id, place)
                return unit
        return None


def around(network: Network) -> list[str]:
    """Return a network and all that it lies in, as the ledger has them."""
    return [
        str(network.supernet(new_prefix=length))
        for length in range(_SHORTEST[network.version], network.prefixlen + 1)
    ]


def _keys(network: Network) -> tuple[str, str, list[str]]:
    """Return the least and the greatest of what lies in a network, in the ledger's order, and what it lies in."""
    return str(network), f"{network.broadcast_address}/{WIDTHS[network.version]}", around(network)


def _dicts(rows: Iterable[Row]) -> list[dict[str, Any]]:
    return [dict(row.items()) for row in rows]
