"""The ledger of addresses in PostgreSQL, as one radius process uses it (rule R7.2).

A process claims units beforehand, in chunks, and binds each to a login in one statement for all that wait. What two
processes claim is never the same, by one UPDATE of a range's counter or by rows that are deleted; what is bound is
unique by the ledger's primary key. Nothing here waits for another program's open transaction.

Every call may be repeated after a StoreError, whether it had committed or not: a claim that was lost is found again
by `load_reserves`, a binding by its login and device, and what was given back twice is in the ledger once.
"""

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_aton, inet_pton
from struct import Struct
from typing import NamedTuple
from uuid import UUID

from aaad.db.connection import Database, Row, affected
from aaad.db.statements import load_statements
from aaad.errors import StoreError
from aaad.pools.address import WIDTHS, Unit, unit_text

CLAIMS_MAX = 64  # in a row, while all that they bring is fixed for somebody already

_SQL = load_statements(Path(__file__).with_name("ledger.sql"))


class Claimed(NamedTuple):
    """One row of net.reserve: units that are this process's to give out, in the order of their addresses."""

    reserve_id: int
    pool_id: int
    address_space: int
    family: int  # 4 or 6
    units: tuple[Unit, ...]  # free
    taken: tuple[Unit, ...]  # somebody's already, or about to be: not to be given out


class Wish(NamedTuple):
    """What one request needs of one pool. Without a candidate only what the login had before can be bound."""

    address_space: int
    pool_id: int
    login_id: int
    device: int
    nas_id: int
    valid_s: int
    family: int  # 4 or 6
    reserve_id: int
    candidate: Unit | None


class Terms(NamedTuple):
    """What most wishes of a batch have in common."""

    address_space: int
    pool_id: int
    nas_id: int
    valid_s: int
    reserve_id: int  # of the candidates; 0: there is none


class Batch:
    """The wishes of one statement, in columns as PostgreSQL reads them: at most one for each login and pool.

    A candidate is named as `unit_text` writes it, and NULL if there is none.
    """

    __slots__ = ("_places", "candidates", "devices", "logins", "terms")

    def __init__(self) -> None:
        """Have none."""
        self._places: dict[Terms, int] = {}
        self.terms: list[int] = []  # of each wish the number of its terms, from 1
        self.logins: list[int] = []
        self.devices: list[int] = []
        self.candidates: list[str] = []

    def number_of(self, terms: Terms) -> int:
        """Return the number of these terms, which they keep."""
        return self._places.setdefault(terms, len(self._places) + 1)

    @property
    def columns(self) -> list[str]:
        """The terms' columns, then the wishes'."""
        wishes = (map(str, self.terms), map(str, self.logins), map(str, self.devices), self.candidates)
        return [*_terms_columns(*self._places), *["{" + ",".join(column) + "}" for column in wishes]]


@lru_cache(maxsize=256)  # mostly those of the batch before
def _terms_columns(*terms: Terms) -> tuple[str, ...]:
    """Return terms in columns."""
    return tuple(["{" + ",".join(map(str, column)) + "}" for column in zip(*terms, strict=True)])


class Outcome(Enum):
    """What became of a wish."""

    NEW = "new"  # its candidate is bound
    AGAIN = "again"  # what the login has or had last; the candidate is still free
    TAKEN = "taken"  # another has the candidate
    LOST = "lost"  # its reserve is not this process's any more: nothing of it may be given out
    NONE = "none"  # no candidate, and the login has nothing in this pool


class Bound(NamedTuple):
    """The answer to a wish. The unit is None unless the outcome is NEW or AGAIN."""

    outcome: Outcome
    unit: Unit | None


_NONE, _TAKEN, _LOST = (Bound(outcome, None) for outcome in (Outcome.NONE, Outcome.TAKEN, Outcome.LOST))
_NEW, _AGAIN = Outcome.NEW, Outcome.AGAIN
NO_CANDIDATE = "NULL"
_IPV4 = Struct(">I")


class LedgerStore:
    """The ledger, for one process of a node."""

    def __init__(self, database: Database, node: int, slot: int) -> None:
        """`node` is our id in net.node."""
        self._database = database
        self._node = node
        self._slot = slot

    async def claim(self, pool_id: int, how_many: int, life: UUID) -> Claimed | None:
        """Set aside at most so many units of a pool; None: nothing of it is free now."""
        for _ in range(CLAIMS_MAX):
            row = await self._database.fetchrow(_SQL.claim_units, pool_id, self._node, self._slot, life, how_many)
            if row is None or row["id"] is None:
                return None
            claimed = await self._read(row["id"], is_new=True)
            if claimed is not None and claimed.units:
                return claimed
        return None

    async def load_reserves(self, life: UUID) -> list[Claimed]:
        """Return what an earlier process of this life has set aside. What it gave out unbound only its file tells."""
        rows = await self._database.fetch(_SQL.list_reserves, self._node, self._slot, life)
        found = [await self._read(row["id"], is_new=False) for row in rows]
        return [claimed for claimed in found if claimed is not None]

    async def abandon(self, life: UUID) -> int:
        """Give up all reserves but this life's; what is left of them goes back once this node is drained."""
        return affected(await self._database.execute(_SQL.abandon_reserves, self._node, self._slot, life))

    async def give_back(self, reserve_id: int, units: Sequence[Unit], family: int) -> int:
        """Return units of a reserve that nobody got to the pool; returns how many it had not had back yet."""
        texts = [unit_text(family, *unit) for unit in units]
        row = await self._database.fetchrow(_SQL.give_back, reserve_id, texts)
        return int(row["given"]) if row else 0

    async def bind(self, wishes: Sequence[Wish], life: UUID) -> list[Bound]:
        """Bind one micro-batch, and answer in its order.

        At most one wish for each login and pool, and each candidate once: a second one is for the next batch.
        """
        _, others = await self.bind_batch(batch_of(wishes), life)
        return [others.get(place) or Bound(_NEW, wish.candidate) for place, wish in enumerate(wishes)]

    async def bind_batch(self, batch: Batch, life: UUID) -> tuple[int, dict[int, Bound]]:
        """Bind a batch: each wish, by its place, gets its candidate but for those that are returned.

        Tells in which transaction, too: until a replica shows that, it may not know of it.
        """
        if not batch.logins:
            return 0, {}
        rows = await self._database.fetch(_SQL.bind_batch, self._node, self._slot, life, *batch.columns)
        made, transaction = int(rows[-1][1]), rows[-1][2]
        others: dict[int, Bound] = {}
        if made == len(batch.logins):
            return transaction, others
        for place, candidate in enumerate(batch.candidates):
            if candidate == NO_CANDIDATE:
                others[place] = _NONE
        for number, bound, _ in rows[:-1]:
            if number > 0:
                others[number - 1] = Bound(_AGAIN, _unit(bound))
            else:
                others[-number - 1] = _LOST if bound == "lost" else _TAKEN
        if made != len(batch.logins) - len(others):
            raise StoreError("the ledger bound another number of addresses than it tells of", may_have_committed=True)
        return transaction, others

    async def _read(self, reserve_id: int, *, is_new: bool) -> Claimed | None:
        row = await self._database.fetchrow(_SQL.read_reserve, reserve_id, is_new)
        return _claimed(row) if row else None


def batch_of(wishes: Sequence[Wish]) -> Batch:
    """Return wishes in columns."""
    batch = Batch()
    for space, pool_id, login_id, device, nas_id, valid_s, family, reserve_id, unit in wishes:
        batch.terms.append(batch.number_of(Terms(space, pool_id, nas_id, valid_s, reserve_id)))
        batch.logins.append(login_id)
        batch.devices.append(device)
        batch.candidates.append(NO_CANDIDATE if unit is None else unit_text(family, *unit))
    return batch


def _unit(text: str) -> Unit:
    """Return a unit as PostgreSQL wrote it: in a tenth of the time in which it could be doubted."""
    address, _, length = text.partition("/")
    packed = inet_pton(AF_INET6 if ":" in address else AF_INET, address)
    return int.from_bytes(packed, "big"), int(length)


def _units(listed: str) -> list[Unit]:
    """Return units as PostgreSQL wrote an array of them: IPv4 addresses, by the thousand in a storm, in one go."""
    texts = listed[1:-1].split(",")
    if ":" in listed or listed.count("/32") != len(texts):
        return list(map(_unit, texts))
    packed = b"".join(map(inet_aton, listed[1:-1].replace("/32", "").split(",")))
    return [(number, 32) for (number,) in _IPV4.iter_unpack(packed)]


def _claimed(row: Row) -> Claimed:
    taken = tuple(sorted(map(_unit, row["taken"])))
    if row["addresses"] is not None:
        family = 6 if ":" in row["addresses"] else 4
        units = _units(row["addresses"])
    else:
        address = ip_address(row["first"])
        first, family, length = int(address), address.version, row["prefix_length"]
        size = 1 << (WIDTHS[family] - length)
        begin, end = first + row["from_unit"] * size, first + row["until_unit"] * size
        units = [(number, length) for number in range(begin, end, size)]
    elsewhere = set(taken)
    free = tuple([unit for unit in units if unit not in elsewhere]) if taken else tuple(units)
    return Claimed(row["id"], row["pool_id"], row["address_space"], family, free, taken)
