"""The ledger of addresses in PostgreSQL, as one radius process uses it (rule R7.2).

A process claims units beforehand, in chunks, and binds each to a login in one statement for all that wait. What two
processes claim is never the same, by one UPDATE of a range's counter or by rows that are deleted; what is bound is
unique by the ledger's primary key. Nothing here waits for another program's open transaction.

Every call may be repeated after a StoreError, whether it had committed or not: a claim that was lost is found again
by `load_reserves`, a binding by its login and device, and what was given back twice is in the ledger once.
"""

from collections.abc import Sequence
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton
from typing import NamedTuple
from uuid import UUID

from aaad.db.connection import Database, Row, affected
from aaad.db.statements import load_statements
from aaad.pools.address import WIDTHS, Unit, parse_unit, unit_text

CLAIMS_MAX = 64  # in a row, while all that they bring is fixed for somebody already

_SQL = load_statements(Path(__file__).with_name("ledger.sql"))
_LOST = 0  # instead of a wish's number: a reserve that is ours no more


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


_NONE, _NEW, _AGAIN = Bound(Outcome.NONE, None), Outcome.NEW, Outcome.AGAIN
_POOL, _LOGIN = Wish._fields.index("pool_id"), Wish._fields.index("login_id")
_new_tuple = tuple.__new__


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
            claimed = await self._read(row["id"])
            if claimed is not None and claimed.units:
                return claimed
        return None

    async def load_reserves(self, life: UUID) -> list[Claimed]:
        """Return what an earlier process of this life has set aside. What it gave out unbound only its file tells."""
        rows = await self._database.fetch(_SQL.list_reserves, self._node, self._slot, life)
        found = [await self._read(row["id"]) for row in rows]
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
        return (await self.bind_within(wishes, life))[1]

    async def bind_within(self, wishes: Sequence[Wish], life: UUID) -> tuple[int, list[Bound]]:
        """Do the same, and tell in which transaction: until a replica shows that, it may not know of it."""
        columns = tuple(zip(*wishes, strict=True))
        if not columns:
            return 0, []
        keys = list(zip(columns[_LOGIN], columns[_POOL], strict=True))
        order = sorted(range(len(wishes)), key=keys.__getitem__)
        batch = [wishes[place] for place in order]
        spaces, pools, logins, devices, nases, seconds, families, reserves, units = zip(*batch, strict=True)
        candidates = [
            None if unit is None else unit_text(family, *unit) for family, unit in zip(families, units, strict=True)
        ]
        rows = await self._database.fetch(
            _SQL.bind_leases,
            self._node,
            self._slot,
            life,
            spaces,
            pools,
            logins,
            devices,
            nases,
            seconds,
            reserves,
            candidates,
        )
        again, made, lost, transaction = _told(rows)
        answers: list[Bound] = [_NONE] * len(wishes)
        for number, (place, space, candidate) in enumerate(zip(order, spaces, candidates, strict=True), 1):
            if number in again:
                answers[place] = _new_tuple(Bound, (_AGAIN, again[number]))
            elif candidate is None:
                continue
            elif (space, candidate) in made:
                answers[place] = _new_tuple(Bound, (_NEW, wishes[place].candidate))
            else:
                is_lost = wishes[place].reserve_id in lost
                answers[place] = Bound(Outcome.LOST if is_lost else Outcome.TAKEN, None)
        return transaction, answers

    async def _read(self, reserve_id: int) -> Claimed | None:
        row = await self._database.fetchrow(_SQL.read_reserve, reserve_id)
        return _claimed(row) if row else None


def _told(rows: Sequence[Row]) -> tuple[dict[int, Unit], set[tuple[int, str]], set[int], int]:
    again: dict[int, Unit] = {}
    made: set[tuple[int, str]] = set()
    lost: set[int] = set()
    transaction = 0
    for number, bound, transaction in rows:  # noqa: B007  it is the same in all
        if number < 0:
            made.add((-number, bound))
        elif number == _LOST:
            lost.add(int(bound))
        else:
            again[number] = _unit(bound)
    return again, made, lost, transaction


def _unit(text: str) -> Unit:
    """Return a unit as PostgreSQL wrote it: in a tenth of the time in which it could be doubted."""
    address, _, length = text.partition("/")
    packed = inet_pton(AF_INET6 if ":" in address else AF_INET, address)
    return int.from_bytes(packed, "big"), int(length)


def _claimed(row: Row) -> Claimed:
    taken = tuple(sorted(parse_unit(text)[1:] for text in row["taken"]))
    if row["addresses"] is not None:
        family = parse_unit(row["addresses"][0])[0]
        units = [parse_unit(text)[1:] for text in row["addresses"]]
    else:
        first = ip_address(row["first"])
        family, length = first.version, row["prefix_length"]
        size = 1 << (WIDTHS[family] - length)
        units = [(int(first) + place * size, length) for place in range(row["from_unit"], row["until_unit"])]
    elsewhere = set(taken)
    free = tuple(unit for unit in units if unit not in elsewhere)
    return Claimed(row["id"], row["pool_id"], row["address_space"], family, free, taken)
