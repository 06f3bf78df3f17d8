"""The ledger of addresses in PostgreSQL, as one radius process uses it (rule R7.2).

A process claims units beforehand, in chunks, and binds each to a login in one statement for all that wait. What two
processes claim is never the same, by one UPDATE of a range's counter or by rows that are deleted; what is bound is
unique by the ledger's primary key. Nothing here waits for another program's open transaction.

Every call may be repeated after a StoreError, whether it had committed or not: a claim that was lost is found again
by `load_reserves`, a binding by its login and device, and what was given back twice is in the ledger once.
"""

from collections.abc import Iterable, Sequence
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton
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
        if not wishes:
            return 0, []
        spaces, pools, logins, devices, nases, seconds, families, reserves, units = zip(*wishes, strict=True)
        candidates = [
            "NULL" if unit is None else unit_text(family, *unit) for family, unit in zip(families, units, strict=True)
        ]
        rows = await self._database.fetch(
            _SQL.bind_leases,
            self._node,
            self._slot,
            life,
            *(_array(map(str, column)) for column in (spaces, pools, logins, devices, nases, seconds, reserves)),
            _array(candidates),
        )
        made, transaction = int(rows[-1][1]), rows[-1][2]
        answers = [_NONE if unit is None else _new_tuple(Bound, (_NEW, unit)) for unit in units]
        for number, bound, _ in rows[:-1]:
            if number > 0:
                answers[number - 1] = _new_tuple(Bound, (_AGAIN, _unit(bound)))
            else:
                answers[-number - 1] = _LOST if bound == "lost" else _TAKEN
        if made != sum([outcome is _NEW for outcome, _ in answers]):
            raise StoreError("the ledger bound another number of addresses than it tells of")
        return transaction, answers

    async def _read(self, reserve_id: int) -> Claimed | None:
        row = await self._database.fetchrow(_SQL.read_reserve, reserve_id)
        return _claimed(row) if row else None


def _array(texts: Iterable[str]) -> str:
    """Return an array as PostgreSQL reads it, of texts that need no quotes."""
    return "{" + ",".join(texts) + "}"


def _unit(text: str) -> Unit:
    """Return a unit as PostgreSQL wrote it: in a tenth of the time in which it could be doubted."""
    address, _, length = text.partition("/")
    packed = inet_pton(AF_INET6 if ":" in address else AF_INET, address)
    return int.from_bytes(packed, "big"), int(length)


def _claimed(row: Row) -> Claimed:
    taken = tuple(sorted(map(_unit, row["taken"])))
    if row["addresses"] is not None:
        family = 6 if ":" in row["addresses"][0] else 4
        units = list(map(_unit, row["addresses"]))
    else:
        first = ip_address(row["first"])
        family, length = first.version, row["prefix_length"]
        size = 1 << (WIDTHS[family] - length)
        units = [(int(first) + place * size, length) for place in range(row["from_unit"], row["until_unit"])]
    elsewhere = set(taken)
    free = tuple([unit for unit in units if unit not in elsewhere]) if taken else tuple(units)
    return Claimed(row["id"], row["pool_id"], row["address_space"], family, free, taken)
