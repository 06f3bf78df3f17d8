"""Taking over what was found: reads what PostgreSQL knows of it, and carries out the plan (rule R7.3).

Pools and ranges are written in one transaction, leases in some of a thousand each, each idempotent by the ledger's
key: what was interrupted is done again. A login's lease that was offered by somebody else counts as offered
`GRACE_S` later than now, so that it is not taken back before its session has had a day to be heard of.
"""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from aaad.db.connection import Database, Queries, Row
from aaad.db.statements import load_statements
from aaad.pools.address import Range, parse_unit, unit_text
from aaad.pools.adopt import (
    Conflict,
    Found,
    Held,
    Known,
    LeaseFact,
    Login,
    Plan,
    PlannedLease,
    PlannedPool,
    PoolFact,
    Realms,
    Trouble,
    Unit,
    Wish,
    names_meant,
    units_meant,
)
from aaad.replica.record import fold_name

T = TypeVar("T")

GRACE_S = 86_400
_CHUNK = 1_000
_ASKED_AT_ONCE = 10_000
_MAC_OCTETS = 6

_SQL = load_statements(Path(__file__).with_name("takeover.sql"))


class Applied(NamedTuple):
    """What was done."""

    pools_made: int
    ranges_made: int
    bound: int  # leases of logins that were not theirs before
    foreign: int  # units marked as somebody's
    kept: int  # what the ledger said already
    lost: tuple[Conflict, ...]  # what somebody else got in the meantime


class Adopting:
    """Reads for a plan and carries it out."""

    def __init__(self, database: Database) -> None:
        """Work on this connection."""
        self._database = database

    async def know(self, found: Sequence[Found], wish: Wish) -> Known:
        """Return what PostgreSQL knows of what was found, all of it as of one instant."""
        held = [one for each in found for one in each.held]
        async with self._database.transaction(readonly=True) as transaction:
            pools = tuple(_pool_of(row) for row in await transaction.fetch(_SQL.find_pools, wish.address_space))
            ranges = [run for pool in pools for run in pool.ranges]
            ranges += [run for each in found for pool in each.pools for run in pool.ranges]
            return Known(
                pools,
                await _find_logins(transaction, held),
                await _find_by_mac(transaction, held),
                await _find_leases(transaction, held, ranges, wish.address_space),
            )

    async def nas_ids(self, address_space: int) -> dict[str, int]:
        """Return the NAS entries by their address, where that is one."""
        rows = await self._database.fetch(_SQL.find_nas_addresses, address_space)
        networks = [(row["id"], ip_network(row["address"])) for row in rows]
        return {str(network.network_address): nas_id for nas_id, network in networks if network.num_addresses == 1}

    async def apply(self, plan: Plan) -> Applied:
        """Carry out a plan. What was done before is found done."""
        async with self._database.transaction("read_committed") as transaction:
            pools_made, ranges_made = 0, 0
            for pool in plan.pools:
                pools_made += pool.pool_id is None
                ranges_made += await _make_pool(transaction, pool, plan.wish.address_space)
            await _begin_adoption(transaction, plan)
        counts = {"bound": 0, "foreign": 0, "kept": len(plan.kept)}
        lost: list[Conflict] = []
        for chunk in _chunks(plan.leases, _CHUNK):
            async with self._database.transaction("read_committed") as transaction:
                await _adopt(transaction, chunk, plan.wish.address_space, counts, lost)
        async with self._database.transaction("read_committed") as transaction:
            await _tell_conflicts(transaction, plan)
            if plan.wish.is_final:
                pools, nases = [pool for pool, _ in plan.proven], [nas_id for _, nas_id in plan.proven]
                await transaction.execute(_SQL.note_readings, plan.wish.address_space, pools, nases)
        return Applied(pools_made, ranges_made, **counts, lost=tuple(lost))


# --- reading --------------------------------------------------------------------------------------------------------


def _pool_of(row: Row) -> PoolFact:
    length = row["prefix_length"]
    ranges = tuple(
        Range(int(ip_address(first)), int(ip_address(last)), length, ip_address(first).version)
        for first, last in zip(row["firsts"], row["lasts"], strict=True)
    )
    excluded = tuple(
        (ip_address(first).version, int(ip_address(first)), int(ip_address(last)))
        for first, last in zip(row["excluded_firsts"], row["excluded_lasts"], strict=True)
    )
    return PoolFact(row["id"], row["name"], row["kind"], row["family"], length, ranges, excluded)


async def _find_logins(queries: Queries, held: Iterable[Held]) -> dict[tuple[str, int | None], Login]:
    realms = {row[0]: _realms(row[1], row[2]) for row in await queries.fetch(_SQL.find_realms)}
    general = realms.get(None, Realms())
    meant = {
        (one.name, one.nas_id): names_meant(one.name, realms.get(one.nas_id, general), _fold)
        for one in held
        if one.name
    }
    folded = sorted({name for names in meant.values() for name in names})
    found: dict[str, Login] = {}
    for asked in _chunks(folded, _ASKED_AT_ONCE):
        rows = await queries.fetch(_SQL.find_logins, asked)
        found |= {row["folded"]: Login(row["id"], row["name"]) for row in rows}
    logins = {}
    for key, names in meant.items():
        login = next((found[name] for name in names if name in found), None)
        if login is not None:
            logins[key] = login
    return logins


def _realms(stripped: str | None, default: str | None) -> Realms:
    return Realms(tuple(_fold(realm) for realm in (stripped or "").split(";") if realm), _fold(default or ""))


def _fold(name: str) -> str:
    return fold_name(name.encode()).decode()


async def _find_by_mac(queries: Queries, held: Iterable[Held]) -> dict[int, Login]:
    wanted = sorted({one.mac for one in held if one.mac and not one.name})
    found = {}
    for numbers in _chunks(wanted, _ASKED_AT_ONCE):
        words = {number.to_bytes(_MAC_OCTETS, "big").hex(":").upper(): number for number in numbers}
        for row in await queries.fetch(_SQL.find_logins_by_mac, list(words)):
            found[words[row["mac"]]] = Login(row["id"], row["name"])
    return found


async def _find_leases(
    queries: Queries, held: Iterable[Held], ranges: Iterable[Range], address_space: int
) -> dict[Unit, LeaseFact]:
    lengths = {family: {run.prefix_length for run in ranges if run.family == family} for family in (4, 6)}
    wanted = {unit for one in held for unit in units_meant(one.unit, lengths[one.unit[0]])}
    found = {}
    for units in _chunks(sorted(wanted), _ASKED_AT_ONCE):
        texts = [unit_text(*unit) for unit in units]
        for row in await queries.fetch(_SQL.find_leases, address_space, texts):
            fact = LeaseFact(row["state"], row["login_id"], row["name"] or "")
            found[parse_unit(row["address"])] = fact
    return found


# --- writing --------------------------------------------------------------------------------------------------------


async def _make_pool(queries: Queries, pool: PlannedPool, address_space: int) -> int:
    pool_id = pool.pool_id
    if pool_id is None:
        made = await queries.fetchrow(
            _SQL.make_pool, address_space, pool.name, pool.kind, pool.family, pool.prefix_length
        )
        assert made is not None
        pool_id = made["id"]
    for run in pool.ranges:
        name = IPv4Address if run.family == 4 else IPv6Address
        await queries.execute(_SQL.add_range, pool_id, str(name(run.first)), str(name(run.last)), run.units)
    return len(pool.ranges)


async def _begin_adoption(queries: Queries, plan: Plan) -> None:
    """Let pools give out only what is proven unused, from before the first lease on."""
    new = [pool.name for pool in plan.pools if pool.kind == "radius"]
    touched = sorted({lease.pool for lease in plan.leases if not lease.is_known})
    await queries.fetch(_SQL.begin_adoption, plan.wish.address_space, new, touched)


async def _adopt(
    queries: Queries,
    chunk: Sequence[PlannedLease],
    address_space: int,
    counts: dict[str, int],
    lost: list[Conflict],
) -> None:
    rows = await queries.fetch(
        _SQL.adopt_units,
        address_space,
        [lease.text for lease in chunk],
        [lease.pool for lease in chunk],
        [lease.login.id if lease.login is not None else None for lease in chunk],
        [lease.device for lease in chunk],
        [lease.nas_id for lease in chunk],
        GRACE_S,
    )
    done = {row["address"]: row for row in rows}
    strangers = []
    for lease in chunk:
        row = done[lease.text]
        login_id = lease.login.id if lease.login is not None else None
        if login_id is None and (row["is_written"] or row["state"] == "foreign"):
            strangers.append(lease)
        if lease.is_known or (not row["is_written"] and row["holder_id"] == login_id and row["state"] is not None):
            counts["kept"] += 1
        elif row["is_written"]:
            counts["foreign" if login_id is None else "bound"] += 1
        else:
            lost.append(Conflict(Trouble.OF_ANOTHER, lease.text, lease.name, row["holder"] or ""))
    await _note(queries, address_space, [(one.text, "not_given", None, None, one.nas_id) for one in strangers])


async def _tell_conflicts(queries: Queries, plan: Plan) -> None:
    found = [
        (conflict.subject, "of_another", conflict.login_id, conflict.holder_id, conflict.nas_id)
        for conflict in plan.conflicts
        if conflict.trouble is Trouble.OF_ANOTHER
    ]
    for chunk in _chunks(found, _CHUNK):
        await _note(queries, plan.wish.address_space, chunk)


_Finding = tuple[str, str, int | None, int | None, int | None]


async def _note(queries: Queries, address_space: int, findings: Sequence[_Finding]) -> None:
    if findings:
        columns = [list(column) for column in zip(*findings, strict=True)]
        await queries.execute(_SQL.note_findings, address_space, *columns)


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
