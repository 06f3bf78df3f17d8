"""Binds addresses to logins for one radius process, in micro-batches (rule R7.2).

Who wants something waits for one statement, that of all who came while the one before was under way. While PostgreSQL
is away, or late, the same unit goes into the spool instead, and its login is answered once the record is safe: one
mechanism, not two. Units come from what `supply` has set aside beforehand.

Everything is bounded: a batch, the time of a statement, tries. Never gives a unit to two logins: it is marked on the
disk before it is in any statement, record or answer. There is no task, future or coroutine of one login alone.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

from aaad import clock
from aaad.errors import StoreError
from aaad.log import Log
from aaad.pools.address import Unit
from aaad.pools.recent import BY_SPOOL, Recent
from aaad.pools.reserve import Chunk
from aaad.pools.store import NO_CANDIDATE, Batch, Bound, Outcome, Terms
from aaad.pools.supply import Counts, Ledger, Supply
from aaad.pools.want import Lack, Want
from aaad.replica.record import PoolRow
from aaad.replica.snapshot import Snapshot
from aaad.spool.records import AddressBound, encode

BATCH_MAX = 1_000
# A statement costs what some dozens of rows in it cost: while many want something, they are let come together.
GATHER_FROM, GATHER_S = 32, 0.001
BIND_LIMIT_S = 0.25  # of the statement: an answer is due soon after
AWAY_S = 1.0  # after PostgreSQL did not answer in time it is left alone for so long
TRIES_MAX = 8  # candidates that turned out to be somebody's
_TOLD_AT_ONCE = 64
_LOOK_EVERY_S = 0.5
_FIRST_LOOK_EVERY_S = 0.01
_LAST_WAIT_S = 1.0
_IPV4 = 0
BOUND_NEW, BOUND_AGAIN, BOUND_BY_SPOOL = (f"aaad_pool_bound_total|how={how}" for how in ("new", "again", "spool"))
REFUSED_UNITS = "aaad_pool_candidates_refused_total"
BINDINGS_FAILED = "aaad_pool_bindings_failed_total"
CLAIM_COUNTERS = (BOUND_NEW, BOUND_AGAIN, BOUND_BY_SPOOL, REFUSED_UNITS, BINDINGS_FAILED)
_AGAIN, _LOST = Outcome.AGAIN, Outcome.LOST
_NOTHING_BOUND = Bound(Outcome.NONE, None)

_Row = tuple[Want, int, PoolRow, Chunk | None, int]  # who wants what, and the candidate: a place in a chunk


class Spool(Protocol):
    """Where records go."""

    def append(self, record: bytes, done: Callable[[bool], None] | None = None) -> bool:
        """Take a record; False if there is no room."""


class Claims:
    """What the logins of one process wait for."""

    def __init__(
        self,
        supply: Supply,
        ledger_of: Callable[[int], Ledger | None],
        recent: Recent,
        *,
        spool: Spool,
        slot: int,
        counters: Counts,
        log: Log,
    ) -> None:
        """Wire them; `ledger_of` makes the ledger for our id in net.node, on a connection of its own, or none."""
        self.supply = supply
        self._ledger_of = ledger_of
        self._ledger: Ledger | None = None
        self._node = 0
        self.recent = recent
        self._spool = spool
        self._slot = slot
        self._counters = counters
        self._log = log
        self._waiting: list[Want] = []
        self._asked = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told: deque[tuple[_Row, Unit, bool]] = deque()
        self._is_called = False
        self._unsafe = 0  # records on their way to the disk
        self._told_all = asyncio.Event()
        self._is_tried = asyncio.Event()  # whether PostgreSQL is there
        self._away_until_s = 0.0
        self.is_away = False
        self.seen: Callable[[], Snapshot | None] = _no_snapshot
        self.awaited: Callable[[list[Want]], list[Want]] = _all  # who no longer waits takes no place (rule R3.3)
        self.on_settled: Callable[[list[Want]], None] = _nobody
        supply.on_fed = self._fed
        supply.on_lack = self._lacking

    def load(self, pools: dict[int, PoolRow], node: int) -> None:
        """Take over the pools there are, and our id in net.node."""
        if node != self._node:
            self._node = node
            self._ledger = self._ledger_of(node)
        self.supply.load(pools, node)

    def ask(self, want: Want) -> None:
        """Let a want wait for the next batch."""
        self._waiting.append(want)
        if not self._asked.is_set():
            self._asked.set()

    @property
    def waiting(self) -> int:
        """How many wait for a batch."""
        return len(self._waiting)

    async def run(self, stopping: asyncio.Event) -> None:
        """Settle what is wanted, until told to stop and nothing waits."""
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            connected = group.create_task(self._keep_connected())
            supplied = group.create_task(self.supply.run(stopping))
            ended = group.create_task(self._wake_at_end(stopping))
            while not stopping.is_set() or self._waiting:
                await self._asked.wait()
                self._asked.clear()
                while self._waiting:
                    batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
                    try:
                        await self._settle(batch)
                    except Exception:  # noqa: BLE001  our own bug costs this batch, whose copies try again
                        self._log.exception("bug", while_="binding addresses")
                    if len(batch) >= GATHER_FROM:
                        await asyncio.sleep(GATHER_S)
            await self._await_told()
            for task in (connected, supplied, ended):
                task.cancel()

    async def _await_told(self) -> None:
        """Wait for what is on its way to the disk, but not for ever."""
        try:
            async with asyncio.timeout(_LAST_WAIT_S):
                while self._unsafe:
                    self._told_all.clear()
                    await self._told_all.wait()
        except TimeoutError:
            self._log.error("addresses.unanswered", records=self._unsafe)

    async def _wake_at_end(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._asked.set()

    async def _keep_connected(self) -> None:
        """Keep the connection by which bindings are made, so that none waits for connecting."""
        while True:
            ledger = self._ledger
            if ledger is not None and not ledger.is_connected:
                try:
                    await ledger.connect()
                    self.is_away = False
                except StoreError as error:
                    self._note_away(error)
                except Exception:  # noqa: BLE001  our own bug, or the driver's, must not end the process
                    self._log.exception("bug", while_="connecting for bindings")
                self._is_tried.set()
            await asyncio.sleep(_LOOK_EVERY_S if self._is_tried.is_set() else _FIRST_LOOK_EVERY_S)

    # --- a batch ------------------------------------------------------------------------------------------------

    async def _settle(self, batch: list[Want]) -> None:
        rows = self._rows(batch)
        ledger = self._ledger
        is_doubtful = False
        if ledger is not None and not self._is_tried.is_set():  # the process has just begun
            await clock.pause(self._is_tried, BIND_LIMIT_S)
        if ledger is not None and ledger.is_connected and clock.monotonic_s() >= self._away_until_s:
            try:
                transaction, others = await ledger.bind_batch(_batch(rows), self.supply.life)
            except StoreError as error:
                self._counters.add(BINDINGS_FAILED)
                self._away_until_s = clock.monotonic_s() + AWAY_S
                self._note_away(error)
                is_doubtful = error.may_have_committed
            else:
                self._bound(rows, others, transaction)
                return
        self._write(rows, is_doubtful=is_doubtful)

    def _rows(self, batch: list[Want]) -> list[_Row]:
        """Take a candidate for all that is wanted; of two wants of one login the second waits for the next batch."""
        rows: list[_Row] = []
        logins: set[int] = set()
        take = self.supply.take
        for want in self.awaited(batch):
            login_id = want.login_id
            if login_id in logins:
                self.ask(want)
                continue
            logins.add(login_id)
            for place, pool in want.missing:
                chunk, at = take(pool.pool_id) or _NOTHING
                rows.append((want, place, pool, chunk, at))
        return rows

    def _bound(self, rows: list[_Row], others: dict[int, Bound], transaction: int) -> None:
        """Give each its candidate, but for `others`, by their places."""
        now_s, seen, note = clock.wall_s(), self.seen(), self.recent.note
        hungry: list[_Row] = []
        again = refused = 0
        for place_of_row, row in enumerate(rows):
            want, place, pool, chunk, at = row
            other = others.get(place_of_row) if others else None
            if other is None and chunk is not None:
                chunk.unsettled -= 1
                unit: Unit | None = chunk.unit(at)
            else:
                outcome, unit = other or _NOTHING_BOUND
                if outcome is not _AGAIN:
                    refused += 1
                    self._unbound(row, outcome, hungry)
                    continue
                again += 1
                if chunk is not None:
                    chunk.put_back(at)
            assert unit is not None
            want.give(place, pool.pool_id, unit)
            note(want.login_id, pool.pool_id, want.device, unit, now_s + pool.valid_s, transaction, seen)
        self._counters.add(BOUND_NEW, len(rows) - again - refused)
        self._counters.add(BOUND_AGAIN, again)
        self._tell_settled(rows)
        for want, _, pool, _, _ in hungry:
            self.supply.starve(want, pool.pool_id)

    def _unbound(self, row: _Row, outcome: Outcome, hungry: list[_Row]) -> None:
        """See to a wish that got nothing: another candidate, or a claim, or nothing at all."""
        want, place, _, chunk, _ = row
        if chunk is None:
            want.is_hungry = True
            hungry.append(row)
            return
        chunk.unsettled -= 1
        self._counters.add(REFUSED_UNITS)
        if outcome is _LOST:
            self.supply.lose(chunk)
        want.tries += 1
        if want.tries >= TRIES_MAX:
            want.lack(place, Lack.IMPOSSIBLE)

    def _tell_settled(self, rows: list[_Row]) -> None:
        """Tell who has all that can be had; who has to try again waits for the next batch."""
        settled: list[Want] = []
        last: Want | None = None
        for row in rows:
            want = row[0]
            if want is last:
                continue
            last = want
            units, lacks = want.units, want.lacks
            if len(want.missing) == 1 and units[row[1]] is not None:  # the usual case
                want.missing = _NOTHING_MISSING
                settled.append(want)
                continue
            left = [wanted for wanted in want.missing if units[wanted[0]] is None and lacks[wanted[0]] is None]
            want.missing = left
            if not left or lacks[_IPV4] is not None:
                settled.append(want)
            elif not want.is_hungry:
                self.ask(want)
        if settled:
            self.on_settled(settled)

    # --- what waits for a claim ---------------------------------------------------------------------------------

    def _fed(self, wants: list[Want]) -> None:
        for want in wants:
            want.is_hungry = False
            self.ask(want)

    def _lacking(self, wants: list[Want], pool_id: int, lack: Lack) -> None:
        settled: list[Want] = []
        for want in wants:
            want.is_hungry = False
            left = []
            for place, pool in want.missing:
                if pool.pool_id == pool_id:
                    want.lack(place, lack)
                else:
                    left.append((place, pool))
            want.missing = left
            if not left or want.lacks[_IPV4] is not None:
                settled.append(want)
            else:
                self.ask(want)
        if settled:
            self.on_settled(settled)

    # --- without PostgreSQL -------------------------------------------------------------------------------------

    def _write(self, rows: list[_Row], *, is_doubtful: bool) -> None:
        """Let the spool have what PostgreSQL does not take now. What has no candidate cannot be had.

        `is_doubtful`: perhaps PostgreSQL has taken it. Then no unit goes to another login, whatever becomes of this.
        """
        now_s = clock.wall_s()
        for row in rows:
            want, place, _, chunk, at = row
            if chunk is None:
                want.lack(place, Lack.IMPOSSIBLE)
            elif want.lacks[_IPV4] is not None:  # no answer will come of it
                _return(chunk, at, is_doubtful=is_doubtful)
            else:
                record = encode(_record(row, chunk, self._node, self._slot, now_s))
                if self._spool.append(record, partial(self._tell, row, chunk.unit(at))):
                    want.unsafe += 1
                    self._unsafe += 1
                else:
                    _return(chunk, at, is_doubtful=is_doubtful)
                    want.lack(place, Lack.IMPOSSIBLE)
        settled = []
        for want in dict.fromkeys(row[0] for row in rows):
            want.missing = []
            if not want.unsafe:
                settled.append(want)
        if settled:
            self.on_settled(settled)

    def _tell(self, row: _Row, unit: Unit, is_safe: bool) -> None:
        """Note what became of a record. Called in the spool's thread, for a whole batch in a row."""
        self._told.append((row, unit, is_safe))
        if not self._is_called and self._loop is not None:
            self._is_called = True
            self._loop.call_soon_threadsafe(self._take_told)

    def _take_told(self) -> None:
        """Give what is safe; some at a time, so that the sockets are not left alone."""
        self._is_called = False  # before the first is taken out: what comes from now on calls again
        told, seen, now_s = self._told, self.seen(), clock.wall_s()
        settled: list[Want] = []
        for _ in range(min(len(told), _TOLD_AT_ONCE)):
            (want, place, pool, chunk, _), unit, is_safe = told.popleft()
            if chunk is not None:
                chunk.unsettled -= 1
            if is_safe:
                want.give(place, pool.pool_id, unit)
                valid_until_s = now_s + pool.valid_s
                self.recent.note(want.login_id, pool.pool_id, want.device, unit, valid_until_s, BY_SPOOL, seen)
                self._counters.add(BOUND_BY_SPOOL)
            else:  # perhaps it is on the disk all the same: the unit stays marked
                want.lack(place, Lack.IMPOSSIBLE)
            want.unsafe -= 1
            self._unsafe -= 1
            if not want.unsafe:
                settled.append(want)
        if told and not self._is_called and self._loop is not None:
            self._is_called = True
            self._loop.call_soon(self._take_told)
        if settled:
            self.on_settled(settled)
        if not self._unsafe:
            self._told_all.set()

    def _note_away(self, error: StoreError) -> None:
        if not self.is_away:  # once: an hour without PostgreSQL must not fill the log
            self._log.warning("database.away", purpose="addresses of logins", error=str(error))
        self.is_away = True


_NOTHING: tuple[None, int] = (None, 0)
_NOTHING_MISSING: list[tuple[int, PoolRow]] = []  # nobody adds to it


def _return(chunk: Chunk, at: int, *, is_doubtful: bool) -> None:
    """Return a candidate that nobody got; one that PostgreSQL has bound perhaps stays marked."""
    if is_doubtful:
        chunk.unsettled -= 1
    else:
        chunk.put_back(at)


def _batch(rows: list[_Row]) -> Batch:
    """Return the batch's columns. What is the same as of the row before, as it mostly is, is not looked at again."""
    batch = Batch()
    terms, logins, devices, candidates = batch.terms, batch.logins, batch.devices, batch.candidates
    last: tuple[PoolRow, int, Chunk | None] | None = None
    number = 0
    for want, _, pool, chunk, at in rows:
        if last is None or last[0] is not pool or last[1] != want.nas_id or last[2] is not chunk:
            last = (pool, want.nas_id, chunk)
            reserve_id = 0 if chunk is None else chunk.reserve_id
            number = batch.number_of(Terms(pool.address_space, pool.pool_id, want.nas_id, pool.valid_s, reserve_id))
        terms.append(number)
        logins.append(want.login_id)
        devices.append(want.device)
        candidates.append(NO_CANDIDATE if chunk is None else chunk.text(at))
    return batch


def _record(row: _Row, chunk: Chunk, node: int, slot: int, now_s: float) -> AddressBound:
    want, _, pool, _, at = row
    return AddressBound(
        node,
        slot,
        now_s,
        pool.address_space,
        pool.pool_id,
        chunk.text(at),
        want.login_id,
        want.device,
        want.nas_id,
        pool.valid_s,
    )


def _all(wants: list[Want]) -> list[Want]:
    return wants


def _no_snapshot() -> Snapshot | None:
    return None


def _nobody(_: list[Want]) -> None:
    """Tell nobody."""
