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
from aaad.pools.operate import HOLDERS_SHOWN, SQL, Holders, Operations, Part, read_holders

STATES = ("bound", "released", "fixed", "foreign")
_SEVERAL = 20
_LOOKED_AT = 256  # units at a time
_LOOKS_MAX = 64
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
        closest: dict[int, Row] = {}
        for row in rows:
            closest.setdefault(row["address_space"], row)
        return _dicts(closest.values())

    async def live_sessions(self, address_space: int, address: str) -> list[dict[str, Any]]:
        """Return connections that are not closed and have an address."""
        return _dicts(await self._queries.fetch(SQL.live_sessions_with, address_space, address, _SEVERAL))

    async def former_holders(self, network: Network, address_space: int | None, limit: int) -> list[dict[str, Any]]:
        """Return the connections that had an address, the latest first."""
        return _dicts(await self._queries.fetch(SQL.holders_of_address, str(network), address_space, limit))

    async def release(self, address_space: int, address: str, state: str) -> bool:
        """Take an address back, or forget what a concentrator reported; False if it is not so any more."""
        sql = SQL.free_foreign if state == "foreign" else SQL.release_lease
        row = await self._queries.fetchrow(sql, address_space, address)
        return bool(row and row["count"])

    async def free_from(self, address_space: int, address: str) -> datetime | None:
        """Return from when on another login may have an address, None if the ledger does not keep it."""
        row = await self._queries.fetchrow(SQL.free_from, address_space, address)
        return row["free_from"] if row else None

    async def tell(self, login_id: int | None, kind: str, text: str) -> None:
        """Write down what an operator did."""
        await self._queries.execute(SQL.tell, login_id, kind, text)

    async def pool_history(self, pool_id: int | None, limit: int) -> list[dict[str, Any]]:
        """Return what was changed in pools, the latest first."""
        return _dicts(await self._queries.fetch(SQL.pool_history, pool_id, limit))

    async def pools_with(self, first: str, last: str) -> set[int]:
        """Return the pools of any address space that have addresses from one to another."""
        return {row["pool_id"] for row in await self._queries.fetch(SQL.pools_with, first, last)}

    # --- a login's own ----------------------------------------------------------------------------------------------

    async def held_of(self, address_space: int, network: str, login_id: int | None) -> Holders:
        """Return who else has some of what a login shall have for good."""
        return read_holders(
            await self._queries.fetch(SQL.others_with, address_space, network, login_id, HOLDERS_SHOWN)
        )

    async def gateway_within(self, address_space: int, network: str) -> dict[str, Any] | None:
        """Return the first pool whose gateway lies in a network: its name, and the gateway."""
        row = await self._queries.fetchrow(SQL.gateway_within, address_space, network)
        return None if row is None else dict(row.items())

    async def pools_around(self, address_space: int, network: str) -> list[dict[str, Any]]:
        """Return the pools that give out some of a network: of which units, and who has set it aside, if anybody."""
        return _dicts(await self._queries.fetch(SQL.pools_around, address_space, network))

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
        """Give a login the next free unit of a pool as a route, its own for good; None if nothing is free.

        The route brings the ledger's row with it, which PostgreSQL writes before anybody else can.
        """
        for part in operations.parts:
            if new := await self._new_unit(operations, part):
                unit, place = new
                await self.add_route(login_id, unit)
                await self._queries.execute(SQL.move_next, part.id, place + 1)
                return unit
        row = await self._queries.fetchrow(SQL.resting_unit, operations.pool.id)
        if row is None:
            return None
        await self.add_route(login_id, row["address"])
        return str(row["address"])

    async def _new_unit(self, operations: Operations, part: Part) -> tuple[str, int] | None:
        """Return the first unit of a range that nobody ever had, and its place."""
        excluded = await operations.excluded_of(part)
        place, units = part.next, part.range
        for _look in range(_LOOKS_MAX):
            places: list[int] = []
            while place < units.units and len(places) < _LOOKED_AT:
                if jump := next((until for first, until in excluded if first <= place < until), None):
                    place = jump
                else:
                    places.append(place)
                    place += 1
            texts = [unit_text(units.family, *units.unit_at(each)) for each in places]
            rows = await self._queries.fetch(SQL.known_units, operations.pool.address_space, texts)
            known = {row["address"] for row in rows}
            if free := next((pair for pair in zip(texts, places, strict=True) if pair[0] not in known), None):
                return free
            if place >= units.units:
                return None
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
