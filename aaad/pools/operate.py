"""What operators do to pools and leases, each within one transaction of the caller (rule R7).

A pool keeps who has an address of it: what would take one away is refused, and says from whom. Units that processes
have set aside are taken back where a unit is excluded; a process hears of it when it next speaks to PostgreSQL, and
binds nothing meanwhile that it has lost. Never talks to a concentrator.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from aaad.db.connection import Queries, Row
from aaad.db.statements import load_statements
from aaad.errors import MistypedError, StoreError
from aaad.pools.address import WIDTHS, Range, parse_range, parse_span, unit_text

SQL = load_statements(Path(__file__).with_name("operate.sql"))
HOLDERS_SHOWN = 5
INCLUDED_MAX = 1 << 22  # units once given out, of one command
_UNITS_AT_ONCE = 1 << 16  # of a statement, which has its time limit
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

    @property
    def count(self) -> int:
        """How many."""
        return self.until - self.first

    def ends(self) -> tuple[str, str]:
        """The first and the last address."""
        return _ends(self.part.range, self.first, self.until)

    def keys(self) -> tuple[str, str]:
        """The least and the greatest that the ledger may have of these units, in its order."""
        first, last = self.ends()
        length, width = self.part.range.prefix_length, WIDTHS[self.part.range.family]
        return f"{first}/{length}", f"{last}/{width}"


class Exclusion(NamedTuple):
    """Places of a range that are not given out."""

    id: int
    range_id: int
    first: int
    until: int
    why: str | None


class Reserve(NamedTuple):
    """What a process has set aside: places of a range, or addresses that had been given before."""

    id: int
    range_id: int | None
    first: int | None
    until: int | None
    addresses: list[str] | None
    node: str
    slot: int
    silent_s: float | None


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


class TakenBack(NamedTuple):
    """Units that a process had set aside and does not have any more."""

    node: str
    slot: int
    units: int
    silent_s: float | None


class Excluded(NamedTuple):
    """What came of an exclusion."""

    units: int  # that were not excluded before
    holders: Holders  # who keep theirs
    taken_back: list[TakenBack]


class InTheWayError(Exception):
    """Units of a range cannot go: somebody has them. Carries who."""

    def __init__(self, holders: Holders, reserves: list[TakenBack]) -> None:
        super().__init__("in use")
        self.holders = holders
        self.reserves = reserves


class OverlapError(Exception):
    """Another pool, or this one, has some of a new range's addresses. Carries which: name, first, last."""

    def __init__(self, ranges: list[tuple[str, str, str]]) -> None:
        super().__init__("overlap")
        self.ranges = ranges


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

    async def add_range(self, new: Range) -> int:
        """Write a new range; OverlapError if a pool of the same address space has some of it."""
        first, last = _ends(new, 0, new.units)
        rows = await self._queries.fetch(SQL.ranges_in_the_way, self.pool.address_space, first, last, _OVERLAPS_SHOWN)
        if rows:
            raise OverlapError([(row["name"], row["first"], row["last"]) for row in rows])
        return await self._insert_range(new, 0)

    async def _insert_range(self, new: Range, following: int) -> int:
        first, last = _ends(new, 0, new.units)
        row = await self._queries.fetchrow(SQL.add_range, self.pool.id, first, last, new.units, following)
        return int(_written(row)["id"])

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
        """Take units out of the pool for good; InTheWayError if somebody has any."""
        await self._queries.fetchrow(SQL.forget_free, self.pool.address_space, *places.keys())
        reserves = await self._reserves()
        holders = await self.holders(places)
        aside = [_told(reserve, count) for reserve in reserves if (count := _touched(reserve, places))]
        if holders.total or aside:
            raise InTheWayError(holders, aside)
        part, (first, until) = places.part, (places.first, places.until)
        exclusions = [found for found in await self._exclusions() if found.range_id == part.id]
        await self._queries.execute(SQL.delete_exclusions, [found.id for found in exclusions])
        head = await self._keep_head(part, first, until, reserves)
        tail = await self._keep_tail(part, until, reserves, is_alone=head is None)
        for found in exclusions:
            if head is not None:
                await self._write_exclusion(head, found.first, min(found.until, first), found.why)
            if tail is not None:
                await self._write_exclusion(tail, max(found.first, until) - until, found.until - until, found.why)
        if head is None and tail is None:
            await self._queries.fetchrow(SQL.delete_range, part.id)

    async def _keep_head(self, part: Part, first: int, until: int, reserves: list[Reserve]) -> Part | None:
        """Let a range end before a place."""
        if first == 0:
            return None
        kept = part._replace(range=_piece(part.range, 0, first), next=min(part.next, first))
        await self._set_range(kept)
        return kept

    async def _keep_tail(self, part: Part, until: int, reserves: list[Reserve], *, is_alone: bool) -> Part | None:
        """Let what is left of a range begin at a place: in its own row, or in a new one."""
        if until == part.range.units:
            return None
        rest = Part(part.id, _piece(part.range, until, part.range.units), max(0, part.next - until))
        if is_alone:
            await self._set_range(rest)
        else:
            rest = rest._replace(id=await self._insert_range(rest.range, rest.next))
        for reserve in reserves:
            if reserve.range_id == part.id and reserve.first is not None and reserve.first >= until:
                assert reserve.until is not None
                await self._queries.execute(
                    SQL.shift_reserve, reserve.id, rest.id, reserve.first - until, reserve.until - until
                )
        return rest

    async def _set_range(self, part: Part) -> None:
        first, last = _ends(part.range, 0, part.range.units)
        await self._queries.fetchrow(SQL.set_range, part.id, first, last, part.range.units, part.next)

    # --- exclusions -------------------------------------------------------------------------------------------------

    async def exclude(self, places: Places, why: str | None) -> Excluded:
        """Never give these units out again; who has one keeps it."""
        known = [found for found in await self._exclusions() if found.range_id == places.part.id]
        gaps = list(_gaps(places.first, places.until, ((found.first, found.until) for found in known)))
        for first, until in gaps:
            await self._write_exclusion(places.part, first, until, why)
        taken_back = await self._take_back(places)
        await self._queries.fetchrow(SQL.forget_free, self.pool.address_space, *places.keys())
        return Excluded(sum(until - first for first, until in gaps), await self.holders(places), taken_back)

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
            first, until = max(found.first, places.first), min(found.until, places.until)
            await self._free(places.part.range, first, min(until, places.part.next))
            count += until - first
        return count

    async def _write_exclusion(self, part: Part, first: int, until: int, why: str | None) -> None:
        if first >= until:
            return
        await self._queries.fetchrow(SQL.add_exclusion, part.id, first, until, *_ends(part.range, first, until), why)

    async def excluded_of(self, part: Part) -> list[tuple[int, int]]:
        """Return the places of a range that are not given out: from, up to and not including."""
        return [(found.first, found.until) for found in await self._exclusions() if found.range_id == part.id]

    async def _exclusions(self) -> list[Exclusion]:
        rows = await self._queries.fetch(SQL.exclusions_of_pool, self.pool.id)
        return [
            Exclusion(row["id"], row["range_id"], row["from_unit"], row["until_unit"], row["why"]) for row in rows
        ]

    async def _free(self, units: Range, first: int, until: int) -> None:
        """Put units into the ledger as nobody's, so that they are given out in their turn."""
        if until - first > INCLUDED_MAX:
            raise MistypedError(
                _("these are more than {most} addresses that were given out before: include a part at a time"),
                most=INCLUDED_MAX,
            )
        for start in range(first, until, _UNITS_AT_ONCE):
            stop = min(until, start + _UNITS_AT_ONCE)
            texts = [_unit(units, place) for place in range(start, stop)]
            await self._queries.fetchrow(SQL.free_units, self.pool.address_space, self.pool.id, texts)

    # --- what processes have set aside ------------------------------------------------------------------------------

    async def _reserves(self) -> list[Reserve]:
        return [_reserve(row) for row in await self._queries.fetch(SQL.lock_reserves, self.pool.id)]

    async def _take_back(self, places: Places) -> list[TakenBack]:
        """Leave processes what they have set aside but for these units."""
        told = []
        for reserve in await self._reserves():
            if not _touched(reserve, places):
                continue
            units = await self._left_of(reserve)
            left = [unit for unit in units if not _is_within(unit, places)]
            await self._queries.execute(SQL.cut_reserve, reserve.id, left)
            if count := len(units) - len(left):
                told.append(_told(reserve, count))
        return told

    async def _left_of(self, reserve: Reserve) -> list[str]:
        """Return the units of a reserve that nobody was given."""
        if reserve.addresses is not None:
            units = reserve.addresses
        else:
            part = next(part for part in self.parts if part.id == reserve.range_id)
            assert reserve.first is not None
            assert reserve.until is not None
            units = [_unit(part.range, place) for place in range(reserve.first, reserve.until)]
        known = await self._queries.fetch(SQL.known_units, self.pool.address_space, units)
        given = {row["address"] for row in known}
        return [unit for unit in units if unit not in given]

    # --- who has something ------------------------------------------------------------------------------------------

    async def holders(self, places: Places) -> Holders:
        """Return who has any of these units."""
        return _holders(
            await self._queries.fetch(SQL.holders_within, self.pool.address_space, *places.keys(), HOLDERS_SHOWN)
        )

    async def all_holders(self) -> Holders:
        """Return who has an address of the pool."""
        return _holders(await self._queries.fetch(SQL.holders_in_pool, self.pool.id, HOLDERS_SHOWN))

    # --- states -----------------------------------------------------------------------------------------------------

    async def set_state(self, state: str, *before: str) -> bool:
        """Change the pool's state; False if it has none of those that lead there."""
        return await self._queries.fetchrow(SQL.set_pool_state, self.pool.id, state, list(before)) is not None

    async def unaware(self) -> list[tuple[str, float | None]]:
        """Return the nodes that have not heard of the pool's state yet, and for how long they are silent."""
        rows = await self._queries.fetch(SQL.all_nodes_know, self.pool.id)
        return [(row["name"], row["silent_s"]) for row in rows]

    async def dissolve_reserves(self) -> int:
        """Put what processes have set aside of a drained pool back into the ledger; return how many units."""
        count = 0
        for reserve in await self._reserves():
            units = await self._left_of(reserve)
            await self._queries.execute(SQL.delete_reserve, reserve.id)
            await self._queries.fetchrow(SQL.free_units, self.pool.address_space, self.pool.id, units)
            count += len(units)
        return count

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


def _reserve(row: Row) -> Reserve:
    return Reserve(
        row["id"],
        row["range_id"],
        row["from_unit"],
        row["until_unit"],
        row["addresses"],
        row["node"],
        row["slot"],
        row["silent_s"],
    )


def _holders(rows: Iterable[Row]) -> Holders:
    found = [(Holder(*(row[name] for name in Holder._fields)), int(row["total"])) for row in rows]
    return Holders([holder for holder, _ in found], found[0][1] if found else 0)


def _told(reserve: Reserve, units: int) -> TakenBack:
    return TakenBack(reserve.node, reserve.slot, units, reserve.silent_s)


def _touched(reserve: Reserve, places: Places) -> int:
    """Return how many of these units a reserve has at most."""
    if reserve.addresses is not None:
        return sum(_is_within(unit, places) for unit in reserve.addresses)
    assert reserve.first is not None
    assert reserve.until is not None
    if reserve.range_id != places.part.id:
        return 0
    return max(0, min(reserve.until, places.until) - max(reserve.first, places.first))


def _is_within(unit: str, places: Places) -> bool:
    version, number = _place(unit)
    units = places.part.range
    if version != units.family or not units.first <= number <= units.last:
        return False
    return places.first <= units.index_of(number) < places.until


def _place(unit: str) -> tuple[int, int]:
    address = ip_address(unit.partition("/")[0])
    return address.version, int(address)


def _unit(units: Range, place: int) -> str:
    return unit_text(units.family, *units.unit_at(place))


def _ends(units: Range, first: int, until: int) -> tuple[str, str]:
    width = WIDTHS[units.family]
    last = units.unit_at(until - 1)[0] + units.unit_size - 1
    return tuple(
        unit_text(units.family, number, width).partition("/")[0] for number in (units.unit_at(first)[0], last)
    )  # type: ignore[return-value]


def _piece(units: Range, first: int, until: int) -> Range:
    last = units.unit_at(until - 1)[0] + units.unit_size - 1
    return units._replace(first=units.unit_at(first)[0], last=last)


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
