"""Keeps a radius process supplied with addresses: claims chunks beforehand, and gives back what it must not keep.

On a connection of its own, so that no login waits for it unless the reserve is empty. What others find nothing of is
given back, and so is what is of a pool that is being drained. What was excluded since, and what PostgreSQL says is
not ours any more, is given to nobody. Rules R7.2 and R7.3.

Waits for PostgreSQL and nothing else; while it is away the process lives on what is set aside.
"""

import asyncio
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

import msgspec

from aaad import clock
from aaad.db.connection import Database
from aaad.db.statements import load_statements
from aaad.errors import StoreError
from aaad.log import Log
from aaad.pools.address import Unit
from aaad.pools.reserve import Chunk, Reserve
from aaad.pools.stock import Stock
from aaad.pools.store import Batch, Bound, Claimed, LedgerStore
from aaad.pools.want import Lack, Want
from aaad.replica.record import PoolRow

CLAIM_LIMIT_S = 2.0  # of a statement
LOOK_EVERY_S = 1.0
LOOK_AFTER_EVERY_S = 1.0  # after exclusions, shortages, and what is ours no more
FACTS_EVERY_S = 5.0
STARVED_MAX_S = 0.4  # who waits longer for a claim is too late for his NAS
_OF_ALL = ("25006", "53")  # SQLSTATEs that concern every claim: read-only, nothing left of disk or memory
CLAIMED, CLAIMED_NOTHING, CLAIM_FAILED = (
    f"aaad_pool_claims_total|outcome={outcome}" for outcome in ("units", "nothing", "failed")
)
GIVEN_BACK = "aaad_pool_units_given_back_total"
RESERVE_LOST = "aaad_pool_reserves_lost_total"
RESERVE_FREE = "aaad_pool_reserve_addresses"
SUPPLY_COUNTERS = (CLAIMED, CLAIMED_NOTHING, CLAIM_FAILED, GIVEN_BACK, RESERVE_LOST, RESERVE_FREE)

_SQL = load_statements(Path(__file__).with_name("claims.sql"))


class StockFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one pool a process has set aside."""

    slot: str = ""
    space: int
    pool: str
    units: int  # that it can give out


class Counts(Protocol):
    """The process's counters, by name."""

    def add(self, name: str, amount: int = 1) -> None:
        """Count."""

    def set(self, name: str, value: int) -> None:
        """Set a gauge."""


class Ledger(Protocol):
    """What is asked of PostgreSQL: `PoolLedger`."""

    @property
    def is_connected(self) -> bool:
        """Whether it can be asked without connecting first."""

    async def connect(self) -> None:
        """Connect, or look whether the connection lives; StoreError if there is none now."""

    async def close(self) -> None:
        """End the connection."""

    async def claim(self, pool_id: int, how_many: int, life: uuid.UUID) -> Claimed | None:
        """Set aside units of a pool; None: nothing is free."""

    async def bind_batch(self, batch: Batch, life: uuid.UUID) -> tuple[int, dict[int, Bound]]:
        """Bind a micro-batch; tells in which transaction, and of whom did not get his candidate why."""

    async def give_back(self, reserve_id: int, units: Sequence[Unit], family: int) -> int:
        """Return units that nobody got."""

    async def abandon(self, life: uuid.UUID) -> int:
        """Give up all other lives' reserves."""

    async def own_reserves(self, life: uuid.UUID) -> set[int]:
        """Return which reserves are ours."""

    async def abandon_reserves(self, life: uuid.UUID, reserve_ids: Collection[int]) -> None:
        """Give up reserves."""

    async def exclusions(self, pool_ids: Collection[int]) -> list[tuple[int, int, int]]:
        """Return what is excluded: pool, first and last address."""

    async def shortages(self, pool_ids: Collection[int]) -> list[int]:
        """Return of which pools somebody found nothing."""

    async def tell_shortage(self, pool_id: int) -> bool:
        """Tell others that there is nothing; return whether a living process has some set aside."""


class PoolLedger(LedgerStore):
    """The ledger with what a process asks about its reserves."""

    def __init__(self, database: Database, node: int, slot: int) -> None:
        """`node` is our id in net.node."""
        super().__init__(database, node, slot)
        self._own = (node, slot)

    @property
    def is_connected(self) -> bool:
        """Whether it can be asked without connecting first."""
        return self._database.is_connected

    async def connect(self) -> None:
        """Connect, or look whether the connection lives; StoreError if there is none now."""
        await self._database.fetchrow(_SQL.say_nothing)

    async def close(self) -> None:
        """End the connection."""
        await self._database.close()

    async def own_reserves(self, life: uuid.UUID) -> set[int]:
        """Return which reserves are ours."""
        return {row["id"] for row in await self._database.fetch(_SQL.find_own_reserves, *self._own, life)}

    async def abandon_reserves(self, life: uuid.UUID, reserve_ids: Collection[int]) -> None:
        """Give up reserves; while a pool is adopting nobody can say what is free of it (rule R7.3)."""
        await self._database.execute(_SQL.abandon_own_reserves, *self._own, life, list(reserve_ids))

    async def exclusions(self, pool_ids: Collection[int]) -> list[tuple[int, int, int]]:
        """Return what is excluded: pool, first and last address."""
        rows = await self._database.fetch(_SQL.find_exclusions, list(pool_ids))
        return [(row["pool_id"], int(ip_address(row["first"])), int(ip_address(row["last"]))) for row in rows]

    async def shortages(self, pool_ids: Collection[int]) -> list[int]:
        """Return of which pools somebody found nothing lately."""
        return [row["pool_id"] for row in await self._database.fetch(_SQL.find_shortages, list(pool_ids))]

    async def tell_shortage(self, pool_id: int) -> bool:
        """Tell others that there is nothing; return whether a living process has some set aside."""
        await self._database.execute(_SQL.tell_shortage, pool_id)
        row = await self._database.fetchrow(_SQL.is_set_aside, pool_id, *self._own)
        return bool(row and row["is_set_aside"])


class Supply:
    """The stocks of one process."""

    def __init__(
        self,
        reserve: Reserve,
        ledger_of: Callable[[int], Ledger | None],
        counters: Counts,
        log: Log,
        facts_path: Path | None = None,
    ) -> None:
        """`ledger_of` makes the ledger for our id in net.node. The reserve is open; else there is no ledger.

        `facts_path`: where other programs of this node read what is set aside of each pool.
        """
        self._reserve = reserve
        self._ledger_of = ledger_of
        self._ledger: Ledger | None = None
        self._counters = counters
        self._log = log
        self._low = asyncio.Event()
        self._is_settled_in = False  # PostgreSQL knows which life we lead
        self._is_away = False
        self._looked_after_s = 0.0
        self._facts_path = facts_path
        self._facts_written_s = 0.0
        self.node = 0
        self.stocks: dict[int, Stock] = {}
        # Called with who can be tried again, and with who gets nothing of a pool and why.
        self.on_fed: Callable[[list[Want]], None] = _nobody
        self.on_lack: Callable[[list[Want], int, Lack], None] = _nobody_lacks

    @property
    def life(self) -> uuid.UUID:
        """Of our reserve."""
        return uuid.UUID(self._reserve.life)

    def load(self, pools: Mapping[int, PoolRow], node: int) -> None:
        """Take over the pools there are, and our id in net.node."""
        if node != self.node:
            if self._reserve.node not in (0, node):  # an operator removed us, and what we had with it
                self._reserve.begin_life()
                self.stocks.clear()
            try:
                self._reserve.belong_to(node)
            except OSError as error:  # this process knows, the next one will ask PostgreSQL
                self._log.warning("reserve.not_written", error=str(error))
            self.node = node
            self._ledger = self._ledger_of(node)
            self._is_settled_in = False
        for pool_id, row in pools.items():
            stock = self.stocks.get(pool_id)
            if stock is None:
                stock = self.stocks[pool_id] = Stock(row)
                stock.chunks = [chunk for chunk in self._reserve.chunks.values() if chunk.pool_id == pool_id]
            stock.pool = row
        for pool_id in self.stocks.keys() - pools.keys():
            del self.stocks[pool_id]  # what is set aside of it PostgreSQL has deleted, or will ask back
        self._low.set()

    def take(self, pool_id: int) -> tuple[Chunk, int] | None:
        """Take a unit of a pool out, marked; None if there is none."""
        stock = self.stocks.get(pool_id)
        if stock is None:
            return None
        was_used, taken = stock.is_used, stock.take()
        if taken is None or not was_used or (2 * taken[0].free < taken[0].count and stock.chunks[-1] is taken[0]):
            self._low.set()
        return taken

    def starve(self, want: Want, pool_id: int) -> None:
        """Let a want wait for a claim."""
        stock = self.stocks.get(pool_id)
        now_s = clock.monotonic_s()
        if stock is None or not stock.is_given:
            self.on_lack([want], pool_id, Lack.EXHAUSTED)
        elif stock.free:  # claimed meanwhile
            self.on_fed([want])
        elif now_s < stock.refused_until_s:
            self.on_lack([want], pool_id, stock.last_lack)
        else:
            want.hungry_since_s = now_s
            stock.starved.append(want)
            if len(stock.starved) == 1:
                asyncio.get_running_loop().call_later(STARVED_MAX_S, self._let_go, pool_id)
            self._low.set()

    def lose(self, chunk: Chunk) -> None:
        """Give nothing of a chunk any more: it is not ours."""
        if self._reserve.chunks.get(chunk.reserve_id) is chunk:
            self._counters.add(RESERVE_LOST)
            self._log.warning("pool.reserve_lost", pool=chunk.pool_id, units=chunk.free)
            self._drop(chunk)

    async def run(self, stopping: asyncio.Event) -> None:
        """Claim what is lacking, until told to stop."""
        while not stopping.is_set():
            await clock.pause(self._low, LOOK_EVERY_S)
            self._low.clear()
            try:
                await self._step()
            except StoreError as error:
                self._note_away(error)
            except Exception:  # noqa: BLE001  our own bug: the reserve is filled in a while
                self._log.exception("bug", while_="claiming addresses")
                await asyncio.sleep(LOOK_EVERY_S)
            await self._tell_facts()

    async def _tell_facts(self) -> None:
        """Tell what is set aside, in all and of each pool."""
        stocks = list(self.stocks.values())
        self._counters.set(RESERVE_FREE, sum(stock.free for stock in stocks))
        now_s = clock.monotonic_s()
        if self._facts_path is None or now_s - self._facts_written_s < FACTS_EVERY_S:
            return
        self._facts_written_s = now_s
        rows = [StockFacts(space=s.pool.address_space, pool=s.pool.name, units=s.free) for s in stocks]
        try:
            await asyncio.to_thread(_write, self._facts_path, msgspec.json.encode(rows))
        except OSError as error:  # on a full disk they read what was
            self._log.warning("pool.facts_not_written", error=str(error))

    async def _step(self) -> None:
        ledger = self._ledger
        if ledger is None:
            return
        if not self._is_settled_in:
            await ledger.abandon(self.life)
            await self._look_after(ledger)
            self._is_settled_in = True
        for stock in sorted(self.stocks.values(), key=lambda stock: not stock.starved):
            how_many = stock.lacking(clock.monotonic_s())
            if how_many:
                await self._try_refill(ledger, stock, how_many)
        if clock.monotonic_s() - self._looked_after_s > LOOK_AFTER_EVERY_S:
            await self._look_after(ledger)
        if not ledger.is_connected:
            await ledger.connect()
        self._is_away = False

    async def _try_refill(self, ledger: Ledger, stock: Stock, how_many: int) -> None:
        """Claim for one pool. What hinders it alone, as a stranger's lock, does not hinder the others."""
        try:
            await self._refill(ledger, stock, how_many)
        except StoreError as error:
            if not _is_of_one_pool(error):
                raise
            if not stock.is_failing:  # once: an hour of it must not fill the log
                self._log.warning("pool.claim_failed", pool=stock.pool.name, error=str(error))
            stock.fail(clock.monotonic_s())
            self._end_hunger(stock, Lack.IMPOSSIBLE)

    async def _refill(self, ledger: Ledger, stock: Stock, how_many: int) -> None:
        pool = stock.pool
        stock.is_asked = True
        try:
            claimed = await ledger.claim(pool.pool_id, how_many, self.life)
        except StoreError:
            self._counters.add(CLAIM_FAILED)
            raise
        finally:
            stock.is_asked = False
        now_s = clock.monotonic_s()
        if claimed is None:
            self._counters.add(CLAIMED_NOTHING)
            stock.claimed(0, how_many, now_s)
            if stock.starved:
                is_aside = await ledger.tell_shortage(pool.pool_id)
                self._end_hunger(stock, stock.refuse(now_s, may_others_give_back=is_aside))
            return
        self._counters.add(CLAIMED)
        if (lost := self._reserve.chunks.get(claimed.reserve_id)) is not None:
            self.lose(lost)  # PostgreSQL has lost commits, and counts anew
        chunk = await self._keep(claimed, pool.prefix_length)
        if chunk is None:
            return
        stock.chunks.append(chunk)
        stock.claimed(len(claimed.units), how_many, now_s)
        self._drop_used_up()
        starved, stock.starved = stock.starved, []
        if starved:
            self.on_fed(starved)

    async def _keep(self, claimed: Claimed, prefix_length: int) -> Chunk | None:
        """Write a claim's file, beside the requests: a disk takes its time. None: it was another life's claim."""
        reserve, life = self._reserve, self._reserve.life
        chunk = await asyncio.to_thread(
            reserve.write,
            claimed.reserve_id,
            claimed.pool_id,
            claimed.address_space,
            claimed.family,
            claimed.units,
            prefix_length,
        )
        if reserve.life != life:
            chunk.remove()
            return None
        return reserve.add(chunk)

    def _drop_used_up(self) -> None:
        for chunk in [chunk for chunk in self._reserve.chunks.values() if not chunk.free and not chunk.unsettled]:
            self._drop(chunk)

    async def _look_after(self, ledger: Ledger) -> None:
        """Compare what is set aside here with what PostgreSQL says, and give back what must not be kept."""
        chunks = self._reserve.chunks
        known = await ledger.own_reserves(self.life)
        self._drop_used_up()  # before what is missed: a claim has PostgreSQL forget what is used up
        for chunk in [chunk for reserve_id, chunk in chunks.items() if reserve_id not in known]:
            self.lose(chunk)
        if unknown := known - chunks.keys():  # used up, or of a claim whose answer was lost
            await ledger.abandon_reserves(self.life, unknown)
        pool_ids = {chunk.pool_id for chunk in chunks.values() if chunk.free}
        if pool_ids:
            given_up = set()
            for pool_id, first, last in await ledger.exclusions(pool_ids):
                for chunk in [chunk for chunk in chunks.values() if chunk.pool_id == pool_id]:
                    if chunk.withdraw(first, last):
                        given_up.add(chunk)
            for chunk in given_up:  # until it is gone nobody can rely on what is excluded
                await self._give_back(ledger, chunk)
            for pool_id in await ledger.shortages(pool_ids):
                if (stock := self.stocks.get(pool_id)) is not None:
                    stock.become_short(clock.monotonic_s())
        for stock in list(self.stocks.values()):
            for chunk in stock.surplus(clock.monotonic_s()):
                await self._give_back(ledger, chunk)
        self._looked_after_s = clock.monotonic_s()

    async def _give_back(self, ledger: Ledger, chunk: Chunk) -> None:
        """Return what is free. If the answer is lost, so are the units to us: the reserve is given up as used up."""
        units = [chunk.unit(place) for place in chunk.take_all()]
        self._counters.add(GIVEN_BACK, await ledger.give_back(chunk.reserve_id, units, chunk.family))

    def _drop(self, chunk: Chunk) -> None:
        stock = self.stocks.get(chunk.pool_id)
        if stock is not None and chunk in stock.chunks:
            stock.chunks.remove(chunk)
        self._reserve.drop(chunk)

    def _note_away(self, error: StoreError) -> None:
        if not self._is_away:  # once: an hour without PostgreSQL must not fill the log
            self._log.warning("database.away", purpose="claims of addresses", error=str(error))
        self._is_away = True
        for stock in self.stocks.values():
            self._end_hunger(stock, Lack.IMPOSSIBLE)

    def _let_go(self, pool_id: int) -> None:
        """Let those go who have waited for a claim in vain."""
        stock = self.stocks.get(pool_id)
        if stock is None or not stock.starved:
            return
        before_s = clock.monotonic_s() - STARVED_MAX_S
        late = [want for want in stock.starved if want.hungry_since_s <= before_s]
        stock.starved = [want for want in stock.starved if want.hungry_since_s > before_s]
        if stock.starved:
            wait_s = stock.starved[0].hungry_since_s - before_s
            asyncio.get_running_loop().call_later(wait_s, self._let_go, pool_id)
        if late:
            self.on_lack(late, pool_id, Lack.IMPOSSIBLE)

    def _end_hunger(self, stock: Stock, lack: Lack) -> None:
        starved, stock.starved = stock.starved, []
        if starved:
            self.on_lack(starved, stock.pool.pool_id, lack)


def _is_of_one_pool(error: StoreError) -> bool:
    """Tell whether PostgreSQL answers, and refused this claim alone: somebody's lock, or a row that is amiss."""
    sqlstate = error.sqlstate or _OF_ALL[0]
    return not (error.may_have_committed or sqlstate.startswith(_OF_ALL))


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(data)
    fresh.replace(path)


def _nobody(_: list[Want]) -> None:
    """Tell nobody."""


def _nobody_lacks(_: list[Want], __: int, ___: Lack) -> None:
    """Tell nobody."""
