"""What operators do to pools and leases, each within one transaction of the caller (rule R7).

Who has an address of a pool keeps it: what would take one away is refused, and says from whom. The last word is
PostgreSQL's, whose triggers refuse the same to every program; what is asked here before is who it concerns. A process
that has set aside what is excluded loses that part of its reserve: nothing of it can be bound any more. Never talks
to a concentrator.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

from aaad.db.connection import Queries, Row
from aaad.db.statements import load_statements
from aaad.errors import MistypedError, StoreError
from aaad.pools.address import Range, parse_range, parse_span, unit_text

SQL = load_statements(Path(__file__).with_name("operate.sql"))
HOLDERS_SHOWN = 5
_UNITS_MAX = 1 << 13  # of one reserve
_OVERLAPS_SHOWN = 3


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


class Pool(NamedTuple):
    """A pool, locked against other operators."""

    id: int
    address_space: int
    name: str
    kind: str
    family: str | None
    prefix_length: int | None
    gateway: str | None
    state: str
    adopting_since: datetime | None

    @property
    def ip_version(self) -> int:
        """4 or 6."""
        return 4 if self.family == "ipv4" else 6


class Part(NamedTuple):
    """A range of a pool: units of places below `next` were given out or set aside once."""

    id: int
    range: Range
    next: int


class Places(NamedTuple):
    """Places of a range, from `first` up to and not including `until`."""

    part: Part
    first: int
    until: int

    def ends(self) -> tuple[str, str]:
        """The first and the last address."""
        return _ends(self.part.range, self.first, self.until)


class Exclusion(NamedTuple):
    """Places of a range that are not given out."""

    id: int
    range_id: int
    first: int
    until: int
    why: str | None


class Holder(NamedTuple):
    """Who has an address, or had it so lately that not every node has heard of its release."""

    address: str
    state: str
    login_id: int | None
    login: str | None
    client: str | None
    nas: str | None
    valid_until: datetime | None
    free_from: datetime | None


class Holders(NamedTuple):
    """The first few of them, and how many there are."""

    few: list[Holder]
    total: int


class SetAside(NamedTuple):
    """Units that a process has set aside and that nobody was given yet."""

    id: int
    node: str | None  # None: one that an operator removed
    slot: int
    units: int
    silent_s: float | None


class Excluded(NamedTuple):
    """What came of an exclusion."""

    units: int  # that were not excluded before
    holders: Holders  # who keep theirs
    set_aside: list[SetAside]


NOBODY = Holders([], 0)


class InTheWayError(Exception):
    """Addresses cannot come or go: somebody has them. Carries who, which processes, which ranges of other pools."""

    def __init__(
        self,
        holders: Holders = NOBODY,
        set_aside: Sequence[SetAside] = (),
        ranges: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        super().__init__("somebody has them")
        self.holders = holders
        self.set_aside = set_aside
        self.ranges = ranges  # pool, first, last


class Operations:
    """What operators do to one pool, in their transaction."""

    def __init__(self, queries: Queries, pool: Pool, parts: list[Part]) -> None:
        """Work in this transaction, in which pool and ranges are locked."""
        self._queries = queries
        self.pool = pool
        self.parts = parts

    # --- ranges -----------------------------------------------------------------------------------------------------

    def read_range(self, text: str) -> Range:
        """Return a range as it was typed; MistypedError says what is wrong with it."""
        assert self.pool.prefix_length is not None
        return parse_range(text, self.pool.ip_version, self.pool.prefix_length)

    async def add_range(self, new: Range) -> None:
        """Write a new range; InTheWayError if a pool or a login of the same address space has some of it."""
        first, last = _ends(new, 0, new.units)
        space = self.pool.address_space
        rows = await self._queries.fetch(SQL.ranges_in_the_way, space, first, last, _OVERLAPS_SHOWN)
        if rows:
            raise InTheWayError(ranges=[(row["name"], row["first"], row["last"]) for row in rows])
        strangers = read_holders(
            await self._queries.fetch(SQL.strangers_within, space, first, last, new.prefix_length, HOLDERS_SHOWN)
        )
        if strangers.total:
            raise InTheWayError(strangers)
        await self._queries.fetchrow(SQL.add_range, self.pool.id, first, last)

    def places(self, text: str) -> list[Places]:
        """Return which units of the pool were typed; MistypedError if there is none."""
        version, first, last = parse_span(text)
        found = [
            Places(part, *touched)
            for part in self.parts
            if part.range.family == version and (touched := part.range.places_of(first, last)) is not None
        ]
        if not found:
            raise MistypedError(_("{text!r} is not in pool {pool}"), text=text, pool=self.pool.name)
        return found

    async def remove(self, places: Places) -> None:
        """Take a range, or its end, out of the pool; InTheWayError if somebody has some of it."""
        part = places.part
        if places.until < part.range.units:
            raise MistypedError(
                _("only a whole range or its end can be taken out: {first} is not the end of {range}"),
                first=places.ends()[1],
                range=part.range.text(),
            )
        if self.pool.state != "active" and not await self.unaware():
            await self.take_back_reserves()
        holders = await self.holders(places, with_own=False)
        aside = await self.set_aside(places)
        if holders.total or aside:
            raise InTheWayError(holders, aside)
        touching = [
            found for found in await self._exclusions() if found.range_id == part.id and found.until > places.first
        ]
        await self._queries.execute(SQL.delete_exclusions, [found.id for found in touching])
        if places.first == 0:
            await self._queries.fetchrow(SQL.delete_range, part.id)
            return
        for found in touching:
            await self._write_exclusion(part, found.first, min(found.until, places.first), found.why)
        await self._queries.fetchrow(SQL.shorten_range, part.id, _ends(part.range, 0, places.first)[1])

    # --- exclusions -------------------------------------------------------------------------------------------------

    async def exclude(self, places: Places, why: str | None) -> Excluded:
        """Give these units to nobody new; who has one keeps it."""
        known = [(found.first, found.until) for found in await self._exclusions() if found.range_id == places.part.id]
        gaps = list(_gaps(places.first, places.until, known))
        for first, until in gaps:
            await self._write_exclusion(places.part, first, until, why)
        aside = await self.set_aside(places)
        await self._queries.execute(SQL.abandon_reserves, [one.id for one in aside])
        return Excluded(sum(until - first for first, until in gaps), await self.holders(places, with_own=True), aside)

    async def include(self, places: Places) -> int:
        """Give units out again that were excluded; return how many."""
        touched = [
            found
            for found in await self._exclusions()
            if found.range_id == places.part.id and found.first < places.until and places.first < found.until
        ]
        await self._queries.execute(SQL.delete_exclusions, [found.id for found in touched])
        count = 0
        for found in touched:
            await self._write_exclusion(places.part, found.first, places.first, found.why)
            await self._write_exclusion(places.part, places.until, found.until, found.why)
            count += min(found.until, places.until) - max(found.first, places.first)
        return count

    async def _write_exclusion(self, part: Part, first: int, until: int, why: str | None) -> None:
        if first < until:
            await self._queries.fetchrow(SQL.add_exclusion, part.id, first, until, why)

    async def excluded_of(self, part: Part) -> list[tuple[int, int]]:
        """Return the places of a range that are not given out: from, up to and not including."""
        return [(found.first, found.until) for found in await self._exclusions() if found.range_id == part.id]

    async def _exclusions(self) -> list[Exclusion]:
        rows = await self._queries.fetch(SQL.exclusions_of_pool, self.pool.id)
        return [
            Exclusion(row["id"], row["range_id"], row["from_unit"], row["until_unit"], row["why"]) for row in rows
        ]

    # --- who has something ------------------------------------------------------------------------------------------

    async def holders(self, places: Places, *, with_own: bool) -> Holders:
        """Return who has any of these units; those that are a login's own for good, too, if they are asked for."""
        rows = await self._queries.fetch(
            SQL.holders_within, self.pool.address_space, *places.ends(), with_own, HOLDERS_SHOWN
        )
        return read_holders(rows)

    async def all_holders(self) -> Holders:
        """Return who has an address of the pool, but for those whose own it is for good."""
        return read_holders(await self._queries.fetch(SQL.holders_in_pool, self.pool.id, HOLDERS_SHOWN))

    async def set_aside(self, places: Places) -> list[SetAside]:
        """Return which processes have set some of these units aside, and how many at most that nobody has yet."""
        told = []
        for row in await self._queries.fetch(SQL.reserves_of_pool, self.pool.id):
            units = _common(row, places)
            if not units:
                continue
            known = await self._queries.fetch(SQL.known_units, self.pool.address_space, units)
            if count := len(units) - len(known):
                told.append(SetAside(row["id"], row["node"], row["slot"], count, row["silent_s"]))
        return told

    async def take_back_reserves(self) -> int:
        """Put what processes have set aside of a pool that they do not use any more back; return how many units."""
        reserves = await self._queries.fetch(SQL.reserves_of_pool, self.pool.id)
        await self._queries.execute(SQL.abandon_reserves, [row["id"] for row in reserves])
        row = _written(await self._queries.fetchrow(SQL.take_back_reserves, self.pool.id))
        return int(row["units"])

    async def ask_back(self) -> bool:
        """Ask processes for what they have set aside; False if there is nothing."""
        return await self._queries.fetchrow(SQL.ask_back, self.pool.id) is not None

    # --- states -----------------------------------------------------------------------------------------------------

    async def set_state(self, state: str, *before: str) -> bool:
        """Change the pool's state; False if it has none of those that lead there."""
        return await self._queries.fetchrow(SQL.set_pool_state, self.pool.id, state, list(before)) is not None

    async def unaware(self) -> list[tuple[str, float | None]]:
        """Return the nodes that have not heard of the pool's state yet, and for how long they are silent."""
        rows = await self._queries.fetch(SQL.all_nodes_know, self.pool.id)
        return [(row["name"], row["silent_s"]) for row in rows]

    async def begin_adopting(self) -> bool:
        """From now on only what is proven unused is given out (rule R7.3); False if it is so already."""
        return await self._queries.fetchrow(SQL.begin_adopting, self.pool.id) is not None

    async def end_adopting(self) -> bool:
        """Give out everything that the ledger calls free; False if the pool did so already."""
        return await self._queries.fetchrow(SQL.end_adopting, self.pool.id) is not None


async def operate(queries: Queries, pool_id: int) -> Operations:
    """Lock a pool and its ranges until the transaction ends."""
    row = _written(await queries.fetchrow(SQL.lock_pool, pool_id))
    pool = Pool(**dict(row.items()))
    parts = [_part(pool, found) for found in await queries.fetch(SQL.lock_ranges, pool_id)]
    return Operations(queries, pool, parts)


def _part(pool: Pool, row: Row) -> Part:
    assert pool.prefix_length is not None
    first, last = (int(ip_address(row[end])) for end in ("first", "last"))
    return Part(row["id"], Range(first, last, pool.prefix_length, pool.ip_version), row["next"])


def _written(row: Row | None) -> Row:
    if row is None:
        raise StoreError("PostgreSQL does not say what it wrote")
    return row


def read_holders(rows: Iterable[Row]) -> Holders:
    """Return who has addresses, of rows that count all of them."""
    found = [(Holder(*(row[name] for name in Holder._fields)), int(row["total"])) for row in rows]
    return Holders([holder for holder, _total in found], found[0][1] if found else 0)


def _common(reserve: Row, places: Places) -> list[str]:
    """Return the units that a reserve and these places have in common."""
    units = places.part.range
    if reserve["addresses"] is not None:
        return [unit for unit in reserve["addresses"] if _is_within(unit, places)]
    if reserve["range_id"] != places.part.id:
        return []
    first, until = max(reserve["from_unit"], places.first), min(reserve["until_unit"], places.until)
    return [unit_text(units.family, *units.unit_at(place)) for place in range(first, min(until, first + _UNITS_MAX))]


def _is_within(unit: str, places: Places) -> bool:
    address, units = ip_address(unit.partition("/")[0]), places.part.range
    if address.version != units.family or not units.first <= int(address) <= units.last:
        return False
    return places.first <= units.index_of(int(address)) < places.until


def _ends(units: Range, first: int, until: int) -> tuple[str, str]:
    """Return the first and the last address of places of a range."""
    name = IPv4Address if units.family == 4 else IPv6Address
    last = units.unit_at(until - 1)[0] + units.unit_size - 1
    return str(name(units.unit_at(first)[0])), str(name(last))


def _gaps(first: int, until: int, taken: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield what of a span is in none of these, which ascend and do not overlap."""
    for start, stop in taken:
        if stop <= first or start >= until:
            continue
        if first < start:
            yield first, start
        first = max(first, stop)
    if first < until:
        yield first, until
