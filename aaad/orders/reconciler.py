"""Turns what changes into orders: the change log, the clock, sessions that begin, and a sweep of all now and then.

One node of the cluster at a time does it, and another one takes over when that is silent. It follows the change log
by a cursor of its own, in PostgreSQL, and only as far as its own replica shows: what that shows is decided by the
facts that were changed, and the cursor moves when all that follows stands in orders. So nothing is lost, whoever dies
when; what is looked at twice changes nothing the second time. NOTIFY is a hint.

Only sessions of logins that were touched are looked at; where plans, parameters, pools or concentrators changed all
are, a few hundred at a time with pauses as long as the work, and so in the sweep, with longer ones. Carries out rules
R4.4 and R4.6, and R8.4 by the brake; R8.2 by the transaction that an order names.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from uuid import UUID

from aaad import clock
from aaad.db.connection import Database, Row
from aaad.errors import ReplicaError, StoreError
from aaad.log import Log
from aaad.metrics import CounterFile
from aaad.orders.desired import LiveSession, Trigger
from aaad.orders.due import DueLogins
from aaad.orders.looking import Looking, Position
from aaad.orders.ordering import (
    BUGS,
    HELD_FOR_S,
    ORDERING_COUNTERS,
    SQL,
    UNTOUCHED,
    Found,
    Ordering,
    OverError,
    Touched,
    chunks,
    session_of,
)
from aaad.orders.store import OrderStore
from aaad.orders.wish import SessionKey
from aaad.replica.brake import BrakeLimits
from aaad.replica.hints import follow_hints

RENEW_EVERY_S = 5.0
STAND_BY_S = 2.0
BEHIND_MAX_S = 10.0  # a replica that lags so long behind the cursor is not the one to decide by
HINTED_POLL_S = 0.02  # after a notification, until the replica shows what it told of
HINTED_FOR_S = 1.0
RETRY_S = 1.0
LOGINS_AT_ONCE = 1_000
SESSIONS_AT_ONCE = 500
STARTS_WINDOW_S = 20.0
STARTS_MAX = 5_000
REST_OF_SWEEP, REST_OF_TERMS = 7.0, 1.0  # pauses, of the time that the work took
REST_MIN_S = 0.02
FORMS_KEPT_S = 7 * 86_400.0
PRUNE_ROWS = 5_000

LAG = "aaad_orders_lag_seconds"
SWEPT_AT = "aaad_orders_swept_at_seconds"
FAILED = "aaad_orders_reconcile_failures_total"
RECONCILER_COUNTERS: tuple[str, ...] = (*ORDERING_COUNTERS, LAG, SWEPT_AT, FAILED)

_LOGIN_KINDS = frozenset({"login", "contract", "client"})
_POOL_KINDS = frozenset({"pool"})
_PLAN_KINDS = frozenset({"plan", "plan_phase", "plan_attribute"})
_TERM_KINDS = _POOL_KINDS | _PLAN_KINDS | {"parameter", "branch", "nas", "hold", "truncate"}
_FIRST: SessionKey = (UUID(int=0), -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcilerSettings:
    """What the configuration says."""

    poll_interval_s: float = 0.5
    sweep_interval_s: float = 300.0
    clock_spread_s: float = 300.0
    starts_interval_s: float = 2.0
    settle_s: float = 3.0  # a node may know this much earlier than this one what it let somebody in by
    clock_apart_max_s: float = 60.0  # from PostgreSQL's; who is further off decides nothing
    brake: BrakeLimits = field(default_factory=BrakeLimits)


@dataclass(slots=True)
class Pass:
    """All sessions, one after the other."""

    trigger: Trigger
    cause: str
    touched: Touched
    after: SessionKey = _FIRST
    is_holding_back: bool = False  # the brake held some of it: all that cuts is held from then on


class Reconciler:
    """The one of a node; that of one node at a time does something."""

    def __init__(
        self,
        database: Database,
        listening: Database,
        looking: Looking,
        *,
        node: str,
        counters: CounterFile,
        settings: ReconcilerSettings,
        log: Log,
    ) -> None:
        """Nothing is asked before `run`.

        Args:
            database: for what is read and written.
            listening: for notifications alone.
            looking: at sessions, by this node's replica.
            node: its name in net.node.
            counters: a file with RECONCILER_COUNTERS.
            settings: what the configuration says.
            log: where troubles and what is held back are told.
        """
        self._database = database
        self._listening = listening
        self._looking = looking
        self._due = DueLogins(2 * settings.sweep_interval_s + settings.clock_spread_s)
        self._ordering = Ordering(
            database,
            looking,
            self._due,
            counters=counters,
            limits=settings.brake,
            spread_s=settings.clock_spread_s,
            log=log,
        )
        self._node = node
        self._counters = counters
        self._settings = settings
        self._log = log
        self._wake = asyncio.Event()
        self._node_id = 0
        self._is_holding = False
        self._renewed_at_s = -inf
        self._ahead_s = 0.0  # the wall clock, of the other one
        self._is_clock_told = False
        self._is_unsure = False  # something failed: perhaps it was done, or another node was at it meanwhile
        self._cursor: Position | None = None
        self._is_caught_up = False
        self._behind_since_s: float | None = None
        self._hinted_until_s = -inf
        self._pass: Pass | None = None
        self._pass_due_s = -inf
        self._started_looked_at_s = -inf
        self._seen_starts: OrderedDict[SessionKey, None] = OrderedDict()
        self._is_away = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Reconcile until told to stop."""
        async with asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(follow_hints(self._listening, self._wake, self._log)),
                group.create_task(self._wake_at_end(stopping)),
            ]
            while not stopping.is_set():
                self._wake.clear()
                rest_s = await self._guarded_round()
                await clock.pause(self._wake, rest_s)
                if self._wake.is_set():
                    self._hinted_until_s = clock.monotonic_s() + HINTED_FOR_S
            for helper in helpers:
                helper.cancel()
        await self._leave()

    async def _wake_at_end(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._wake.set()

    async def _leave(self) -> None:
        """Let another node go on at once."""
        if self._is_holding:
            self._is_holding = False
            with suppress(StoreError):  # it is free in some seconds
                await self._database.execute(SQL.leave_reconciler, self._node_id)

    async def _guarded_round(self) -> float:
        """Do what is due; return how long to rest. Whatever fails is tried again."""
        try:
            rest_s = await self.round()
        except OverError:
            self._is_holding = False
            return STAND_BY_S
        except (StoreError, ReplicaError) as error:
            self._renewed_at_s, self._is_unsure = -inf, True
            self._counters.add(FAILED)
            if not self._is_away:  # once: an hour without PostgreSQL must not fill the log
                self._log.warning("orders.not_reconciled", error=str(error))
            self._is_away = True
        except Exception:  # noqa: BLE001  our bug: what it belongs to is looked at again
            self._counters.add(BUGS)
            self._log.exception("orders.broken")
            self._is_holding = False
        else:
            self._is_away = False
            return rest_s
        return RETRY_S

    # --- one round ------------------------------------------------------------------------------------------------

    async def round(self) -> float:
        """Do all that is due now; return how long to rest."""
        position = self._looking.position()
        if position is None or not await self._hold(position):
            return STAND_BY_S
        self._ordering.followed = position
        if not await self._follow_changes(position):
            return HINTED_POLL_S
        if await self._lags(position):
            return self._settings.poll_interval_s
        is_more = await self._follow_clock()
        await self._follow_starts()
        busy_s = await self._go_on_with_pass()
        if is_more:
            return 0.0
        rest_s = self._settings.poll_interval_s
        if clock.monotonic_s() < self._hinted_until_s:
            rest_s = HINTED_POLL_S
        if self._pass is not None:
            factor = REST_OF_SWEEP if self._pass.trigger is Trigger.SWEEP else REST_OF_TERMS
            rest_s = min(rest_s, max(REST_MIN_S, busy_s * factor))
        if (next_s := self._due.next_s) is not None:
            rest_s = min(rest_s, max(REST_MIN_S, next_s - clock.wall_s()))
        return rest_s

    async def _hold(self, position: Position) -> bool:
        """Be the one, or stay it; False: another node is."""
        now_s = clock.monotonic_s()
        has_jumped = abs(clock.wall_s() - now_s - self._ahead_s) > self._settings.clock_apart_max_s
        if self._is_holding and now_s - self._renewed_at_s < RENEW_EVERY_S and not has_jumped:
            return True
        row = await self._database.fetchrow(SQL.hold_reconciler, self._node, HELD_FOR_S)
        if row is None:
            self._is_holding = False
            return False
        if not await self._has_true_clock(row):
            return False
        self._renewed_at_s = now_s
        known = self._cursor.snapshot if self._cursor is not None else None
        is_another = self._is_unsure and row["snapshot"] != known  # whether the last move was made was not said
        self._is_unsure = False
        if not self._is_holding or is_another:
            self._is_holding = True
            self._node_id = self._ordering.node_id = row["node_id"]
            await self._take_over(row, position)
        return True

    async def _has_true_clock(self, row: Row) -> bool:
        """Tell whether this node's clock is PostgreSQL's, about: by a wrong one everybody's time would be over."""
        wall_s = clock.wall_s()
        apart_s = wall_s - row["database_s"]
        if abs(apart_s) <= self._settings.clock_apart_max_s:
            self._ahead_s = wall_s - clock.monotonic_s()
            self._is_clock_told = False
            return True
        if not self._is_clock_told:
            self._log.error("orders.clock_wrong", ahead_s=round(apart_s), left_to="another node")
            self._is_clock_told = True
        self._counters.add(FAILED)
        self._is_holding, self._node_id = True, row["node_id"]
        await self._leave()
        return False

    async def _keep_holding(self) -> None:
        """Say in the midst of long work that this node is at it; OverError if another one is by now."""
        now_s = clock.monotonic_s()
        if now_s - self._renewed_at_s < RENEW_EVERY_S:
            return
        if await self._database.fetchrow(SQL.fence_reconciler, self._node_id, HELD_FOR_S) is None:
            raise OverError
        self._renewed_at_s = now_s

    async def _take_over(self, row: Row, position: Position) -> None:
        """Go on where it was left; what was missed meanwhile is found by a look at all."""
        self._cursor = Position(row["snapshot"], row["origin"]) if row["snapshot"] else None
        cursor, reason = self._cursor, ""
        if cursor is None:
            reason = "first"
        elif cursor.origin != position.origin:
            reason = "another database"
        else:
            state = await self._state(cursor, position)
            if state["is_missed"]:
                reason = "changes were pruned"
        self._log.info("orders.reconciling", all_because=reason or None)
        if reason:
            self._cursor = None
        self._is_caught_up = False
        self._due.clear()
        self._pass = None
        self._pass_due_s = -inf

    async def _state(self, cursor: Position, position: Position) -> Row:
        row = await self._database.fetchrow(SQL.is_missed, cursor.snapshot, position.snapshot)
        if row is None:
            raise StoreError("net.change_horizon is empty")
        return row

    # --- the change log -------------------------------------------------------------------------------------------

    async def _follow_changes(self, position: Position) -> bool:
        """Turn what the replica shows since the cursor into orders; False: it does not show what is done already."""
        cursor = self._cursor
        if cursor is None or cursor.origin != position.origin:
            state = await self._state(position, position)
            self._begin_pass(Pass(Trigger.SWEEP, "sweep", Touched(state["newest_xid"], None, False)))
            await self._move(position)
            return True
        if cursor.snapshot == position.snapshot:
            return True
        if not self._is_caught_up and not await self._catches_up(cursor, position):
            return False
        if position.end < cursor.end:
            return True  # the replica of who was at it before was written later, with nothing new in it
        begun_s = clock.monotonic_s()
        kinds = {
            row["kind"]: row for row in await self._database.fetch(SQL.find_kinds, cursor.snapshot, position.snapshot)
        }
        if not _LOGIN_KINDS.isdisjoint(kinds):
            await self._follow_logins(cursor, position)
            lag_s = max(row["age_s"] for kind, row in kinds.items() if kind in _LOGIN_KINDS)
            self._counters.set_seconds(LAG, max(0.0, lag_s + clock.monotonic_s() - begun_s))
        if not _TERM_KINDS.isdisjoint(kinds):
            await self._follow_terms({kind: row for kind, row in kinds.items() if kind in _TERM_KINDS}, position)
        await self._move(position)
        return True

    async def _catches_up(self, cursor: Position, position: Position) -> bool:
        """Tell whether this replica shows what was shown to who was at it before: else nothing is decided by it."""
        row = await self._database.fetchrow(SQL.is_behind, cursor.snapshot, position.snapshot)
        assert row is not None
        now_s = clock.monotonic_s()
        if not row["is_behind"]:
            self._is_caught_up = True
            self._behind_since_s = None
            return True
        await self._bear_with(now_s)
        return False

    async def _lags(self, position: Position) -> bool:
        """Tell whether changes are long made that this replica does not show: by it nothing is looked for then."""
        row = await self._database.fetchrow(SQL.is_lagging, position.snapshot, self._settings.settle_s)
        assert row is not None
        if not row["is_lagging"]:
            self._behind_since_s = None
            return False
        await self._bear_with(clock.monotonic_s())
        return True

    async def _bear_with(self, now_s: float) -> None:
        """Wait for a replica that is behind, for a while; then another node is to try."""
        self._behind_since_s = since_s = now_s if self._behind_since_s is None else self._behind_since_s
        if now_s - since_s > BEHIND_MAX_S:
            self._log.warning("orders.replica_behind", left_to="another node")
            self._behind_since_s = None
            await self._leave()
            raise OverError

    async def _follow_logins(self, cursor: Position, position: Position) -> None:
        rows = await self._database.fetch(SQL.find_touched_logins, cursor.snapshot, position.snapshot)
        touched = {
            row["login_id"]: Touched(row["newest_xid"], row["run_id"] if row["is_exempt"] else None, row["is_exempt"])
            for row in rows
        }
        await self._look_at_logins(touched, Trigger.CHANGE)

    async def _follow_terms(self, kinds: dict[str, Row], position: Position) -> None:
        """Plans, parameters, pools or concentrators changed, or an operator let through what the replica held."""
        state = await self._state(position, position)
        is_exempt = all(row["is_exempt"] for row in kinds.values())
        if kinds.keys() == {"hold"}:
            if not state["is_accepted"]:
                return
            is_exempt = True
        cause = "parameter"
        if kinds.keys() <= _POOL_KINDS:
            cause = "pool"
        elif kinds.keys() <= _PLAN_KINDS | _POOL_KINDS:
            cause = "plan"
        if self._pass is not None and self._pass.trigger is Trigger.TERMS:
            is_exempt &= self._pass.touched.is_exempt  # what passed a brake takes nothing else along
            if self._pass.cause != cause:
                cause = "parameter"
        self._begin_pass(Pass(Trigger.TERMS, cause, Touched(state["newest_xid"], None, is_exempt)))

    async def _move(self, position: Position) -> None:
        row = await self._database.fetchrow(SQL.move_reconciler, self._node_id, position.snapshot, position.origin)
        if row is None:
            raise OverError
        self._cursor = position

    # --- the clock, and sessions that begin -----------------------------------------------------------------------

    async def _follow_clock(self) -> bool:
        """Look at who is due; return whether more are."""
        login_ids = self._due.take(clock.wall_s(), LOGINS_AT_ONCE)
        try:
            if login_ids:
                await self._look_at_logins(dict.fromkeys(login_ids, UNTOUCHED), Trigger.CLOCK)
        except (StoreError, ReplicaError):
            for login_id in login_ids:
                self._due.note(login_id, clock.wall_s(), clock.wall_s())
            raise
        return len(login_ids) == LOGINS_AT_ONCE

    async def _follow_starts(self) -> None:
        """Compare what sessions that just began were granted with what is decided now (rule R4.6)."""
        now_s = clock.monotonic_s()
        if now_s - self._started_looked_at_s < self._settings.starts_interval_s:
            return
        window_s = STARTS_WINDOW_S + self._settings.starts_interval_s + self._settings.settle_s
        rows = await self._database.fetch(SQL.find_sessions_begun, window_s, STARTS_MAX, self._settings.settle_s)
        fresh = [row for row in rows if (row["family"], row["life"]) not in self._seen_starts]
        if fresh:
            newest_xid = await self._newest_xid()
            touched = Touched(newest_xid, None, False)
            await self._look_at(map(session_of, fresh), Trigger.START, touched)
            for row in fresh:
                self._seen_starts[row["family"], row["life"]] = None
            while len(self._seen_starts) > 2 * STARTS_MAX:
                self._seen_starts.popitem(last=False)
        self._started_looked_at_s = now_s

    async def _newest_xid(self) -> int | None:
        position = self._cursor
        assert position is not None
        newest_xid: int | None = (await self._state(position, position))["newest_xid"]
        return newest_xid

    # --- all sessions ---------------------------------------------------------------------------------------------

    def _begin_pass(self, fresh: Pass) -> None:
        """Begin with all sessions anew: what was seen before the change was seen too early."""
        self._pass = fresh

    async def _go_on_with_pass(self) -> float:
        """Look at the next sessions of a pass; return how long that took."""
        begun_s = clock.monotonic_s()
        if self._pass is None:
            if begun_s < self._pass_due_s:
                return 0.0
            self._begin_pass(Pass(Trigger.SWEEP, "sweep", Touched(await self._newest_xid(), None, False)))
        going = self._pass
        assert going is not None
        rows = await self._database.fetch(
            SQL.find_sessions_after, *going.after, SESSIONS_AT_ONCE, self._settings.settle_s
        )
        going.is_holding_back = await self._look_at(
            (session_of(row) for row in rows if row["family"] is not None),
            going.trigger,
            going.touched,
            going.cause,
            is_holding_back=going.is_holding_back,
        )
        if rows:
            going.after = (rows[0]["last_family"], rows[0]["last_life"])
        else:
            self._pass = None
            self._pass_due_s = clock.monotonic_s() + self._settings.sweep_interval_s
            self._counters.set_seconds(SWEPT_AT, clock.wall_s())
            await self._prune()
        return clock.monotonic_s() - begun_s

    async def _prune(self) -> None:
        await OrderStore(self._database).prune()
        await self._database.execute(SQL.prune_forms, FORMS_KEPT_S, PRUNE_ROWS)

    # --- looking --------------------------------------------------------------------------------------------------

    async def _look_at_logins(self, touched: Mapping[int, Touched], trigger: Trigger) -> None:
        """Look at all sessions of these logins; all that is found is ordered together, so that the brake sees it."""
        found = Found()
        for login_ids in chunks(list(touched), LOGINS_AT_ONCE):
            await self._keep_holding()
            rows = await self._database.fetch(SQL.find_sessions_of, login_ids)
            await self._ordering.judge([session_of(row) for row in rows], trigger, touched, found)
        await self._ordering.write(found)

    async def _look_at(
        self,
        sessions: Iterable[LiveSession],
        trigger: Trigger,
        touched: Touched,
        cause: str = "",
        *,
        is_holding_back: bool = False,
    ) -> bool:
        found, listed = Found(), list(sessions)
        by_login = dict.fromkeys((session.login_id for session in listed), touched)
        await self._ordering.judge(listed, trigger, by_login, found, cause)
        return await self._ordering.write(found, is_holding_back=is_holding_back)
