"""Looks at sessions and writes what is wanted of them as orders, as long as this node is the one that does.

What fingerprints stand for (`net.grant_form`) is looked up where a session has another grant than is wanted, and kept
for later. The brake looks at a batch as a whole before any of it is written (rule R8.4).
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import NamedTuple, TypeVar

from aaad import clock
from aaad.db.connection import Database, Row, Transaction
from aaad.db.statements import load_statements
from aaad.errors import ReplicaError
from aaad.log import Log
from aaad.metrics import CounterFile
from aaad.orders.brake import Judged, Load, brake, is_counted, must_hold
from aaad.orders.desired import Judgement, LiveSession, Occasion, OpenOrder, Trigger
from aaad.orders.due import DueLogins
from aaad.orders.looking import Looking, Position
from aaad.orders.store import OrderStore
from aaad.orders.wish import CAUSES, SessionKey, Wish
from aaad.policy.codes import Reason
from aaad.radius.forms import Form
from aaad.replica.brake import BrakeLimits
from aaad.sessions.open_sessions import mac_number

HELD_FOR_S = 15.0  # so long after the last sign of a node another one takes over
WISHES_AT_ONCE = 1_000
LOOKED_AT_ONCE = 200  # between two looks at the loop
FORMS_KNOWN_MAX = 50_000
FORMS_TOLD_AGAIN_S = 86_400.0
LIVE_COUNT_S = 60.0

MADE = "aaad_orders_made_total"
SUPERSEDED = "aaad_orders_superseded_total"
HELD = "aaad_orders_held_back_total"
LOOKED = "aaad_orders_sessions_looked_at_total"
BUGS = "aaad_bugs_total"
ORDERING_COUNTERS: tuple[str, ...] = (
    *(f"{MADE}|cause={cause}" for cause in CAUSES),
    SUPERSEDED,
    HELD,
    BUGS,
    *(f"{LOOKED}|why={trigger.name.lower()}" for trigger in Trigger),
)

SQL = load_statements(Path(__file__).with_name("reconcile.sql"))
_Item = TypeVar("_Item")


class OverError(Exception):
    """Another node is at it by now."""


class Touched(NamedTuple):
    """Why a login's sessions are looked at."""

    newest_xid: int | None = None  # the transaction that every node must have applied before a Disconnect
    run_id: int | None = None
    is_exempt: bool = False  # its cause passed a brake of its own


UNTOUCHED = Touched()


@dataclass(slots=True)
class Found:
    """What looking at sessions came to."""

    judged: list[Judged] = field(default_factory=list)
    right: list[SessionKey] = field(default_factory=list)
    forms: dict[int, Form] = field(default_factory=dict)


class Ordering:
    """The orders of the one node that makes them now."""

    def __init__(
        self,
        database: Database,
        looking: Looking,
        due: DueLogins,
        *,
        counters: CounterFile,
        limits: BrakeLimits,
        spread_s: float,
        log: Log,
    ) -> None:
        """Nothing is asked yet. `due` is told when a login has to be looked at again."""
        self._database = database
        self._looking = looking
        self._due = due
        self._counters = counters
        self._limits = limits
        self._spread_s = spread_s
        self._log = log
        self.node_id = 0
        self.followed: Position | None = None  # changes up to here are followed before anything is looked at
        self._forms: dict[int, Form | None] = {}
        self._kept: set[int] = set()
        self._kept_since_s = -inf
        self._live = (0, -inf)  # sessions that go on, as of then

    async def judge(
        self,
        sessions: Sequence[LiveSession],
        trigger: Trigger,
        touched: Mapping[int, Touched],
        found: Found,
        cause: str = "",
    ) -> None:
        """Look at sessions and add what is found. `touched`: by login, whoever is not there was not."""
        self._counters.add(f"{LOOKED}|why={trigger.name.lower()}", len(sessions))
        for some in chunks(sessions, LOOKED_AT_ONCE):
            at = Occasion(trigger, clock.wall_s(), self._spread_s, cause)
            lacking = self._take(some, touched, found, at)
            if lacking:
                await self._look_up_forms({fingerprint: None for fingerprint, _ in lacking})
                self._take([session for _, session in lacking], touched, found, at)
            await asyncio.sleep(0)

    def _take(
        self, sessions: Sequence[LiveSession], touched: Mapping[int, Touched], found: Found, at: Occasion
    ) -> list[tuple[int, LiveSession]]:
        """Add what is found of each; return those of which it must be known first what they were told."""
        lacking = []
        judgements = self._looking.look(sessions, self._forms, at)
        self._counters.add(BUGS, self._looking.broken_count)
        for session, judgement in zip(sessions, judgements, strict=True):
            if judgement.lacks_form is not None:
                lacking.append((judgement.lacks_form, session))
            else:
                self._due.note(session.login_id, judgement.due_s, at.now_s)
                _add(found, session, judgement, touched.get(session.login_id, UNTOUCHED), at.trigger)
        return lacking

    async def _look_up_forms(self, fingerprints: Mapping[int, None]) -> None:
        if len(self._forms) + len(fingerprints) > FORMS_KNOWN_MAX:
            self._forms.clear()
        self._forms.update(fingerprints)
        for row in await self._database.fetch(SQL.find_forms, list(fingerprints)):
            form = Form(row["attributes"], row["pools"], row["lists_ipv6"], Reason(row["reason"]))
            self._forms[row["fingerprint"]] = form

    async def write(self, found: Found, *, is_holding_back: bool = False) -> bool:
        """Write what was found; return whether the brake held what cuts. OverError if another node is at it by now.

        `is_holding_back`: it held what was found before with the same look at all sessions.
        """
        await self._keep_forms(found.forms)
        for right in chunks(found.right, WISHES_AT_ONCE):
            async with self._writing() as transaction:
                self._counters.add(SUPERSEDED, await OrderStore(transaction).supersede(right))
        judged = await self._needing(found.judged)
        wishes, is_held_back = await self._braked(judged, is_holding_back=is_holding_back)
        for some in chunks(wishes, WISHES_AT_ONCE):
            async with self._writing() as transaction:
                put = await OrderStore(transaction).put(some)
            causes = {wish.session: wish.cause for wish in some}
            for order in put:
                self._counters.add(f"{MADE}|cause={causes[order.session]}")
        return is_held_back

    async def _needing(self, batch: Sequence[Judged]) -> Sequence[Judged]:
        """Let wishes need all that the replica shows, if it shows more by now than was followed (rule R8.2).

        They may be due to that already, and whoever follows it finds them ordered.
        """
        if not batch:
            return batch
        position = self._looking.position()
        if position is None:
            raise ReplicaError("there is no complete replica")
        if position == self.followed:
            return batch
        newest = await self._database.fetchrow(SQL.find_newest_change, position.snapshot)
        if newest is None:
            return batch
        newest_xid = newest["newest_xid"]
        return [
            judged._replace(wish=judged.wish._replace(needs=max(judged.wish.needs or 0, newest_xid)))
            for judged in batch
        ]

    async def _keep_forms(self, found: Mapping[int, Form]) -> None:
        now_s = clock.monotonic_s()
        if now_s - self._kept_since_s > FORMS_TOLD_AGAIN_S or len(self._kept) > 4 * FORMS_KNOWN_MAX:
            self._kept.clear()
            self._kept_since_s = now_s
        fresh = [(fingerprint, form) for fingerprint, form in found.items() if fingerprint not in self._kept]
        for forms in chunks(fresh, WISHES_AT_ONCE):
            async with self._writing() as transaction:
                await transaction.execute(SQL.put_forms, *_form_columns(forms))
            self._kept.update(fingerprint for fingerprint, _ in forms)
            for fingerprint, _ in forms:  # nobody knew them, perhaps
                self._forms.pop(fingerprint, None)

    async def _braked(self, batch: Sequence[Judged], *, is_holding_back: bool) -> tuple[list[Wish], bool]:
        """Return the wishes of a batch; if it cuts too many, those that cut are held back, and True."""
        if not any(map(is_counted, batch)):
            return brake(batch, None), is_holding_back
        load = await self._load()
        if not is_holding_back and not must_hold(batch, load, self._limits):
            return brake(batch, None), False
        async with self._writing() as transaction:
            run = await transaction.fetchrow(SQL.open_held_run)
        assert run is not None
        held_count = sum(map(is_counted, batch))
        self._counters.add(HELD, held_count)
        self._log.error(
            "orders.held",
            run=run["run_id"],
            orders=held_count,
            sessions=load.live_count,
            cut_lately=load.recent_count,
            release=f"aaad order release {run['run_id']}",
        )
        return brake(batch, run["run_id"]), True

    async def _load(self) -> Load:
        now_s = clock.monotonic_s()
        if now_s - self._live[1] > LIVE_COUNT_S:
            live = await self._database.fetchrow(SQL.count_live)
            assert live is not None
            self._live = (live["live_count"], now_s)
        recent = await self._database.fetchrow(SQL.count_cutting, self._limits.window_s)
        assert recent is not None
        return Load(self._live[0], recent["recent_count"])

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[Transaction]:
        """Open a transaction in which this node is the one until it ends."""
        async with self._database.transaction("read_committed") as transaction:
            if await transaction.fetchrow(SQL.fence_reconciler, self.node_id, HELD_FOR_S) is None:
                raise OverError
            yield transaction


def _add(found: Found, session: LiveSession, judgement: Judgement, why: Touched, trigger: Trigger) -> None:
    for fingerprint, form in judgement.forms:
        found.forms.setdefault(fingerprint, form)
    if judgement.is_right:
        found.right.append(session.key)
    if judgement.wish is not None and not _is_ordered(session.order, judgement.wish):
        wish = judgement.wish._replace(
            needs=why.newest_xid, run_id=why.run_id, is_found=trigger in (Trigger.START, Trigger.SWEEP)
        )
        held_run = session.order.held_run if session.order is not None and trigger is not Trigger.CHANGE else None
        found.judged.append(Judged(wish, why.is_exempt, held_run))


def _is_ordered(order: OpenOrder | None, wish: Wish) -> bool:
    """Whether just this is ordered already: the brake must not count it each time it is found."""
    return order is not None and (order.kind, order.fingerprint) == (wish.kind, wish.fingerprint)


def session_of(row: Row) -> LiveSession:
    """Return a session of net.live_session."""
    order = None
    if row["order_kind"] is not None:
        order = OpenOrder(row["order_kind"], row["order_fingerprint"], row["is_order_begun"], row["held_run_id"])
    return LiveSession(
        key=(row["family"], row["life"]),
        login_id=row["login_id"],
        plan_id=row["plan_id"] or 0,
        nas_id=row["nas_id"],
        acct_session_id=row["acct_session_id"],
        mac=mac_number(row["mac"]),
        port_id=row["nas_port_id"] or "",
        circuit_id=row["circuit_id"] or "",
        started_s=row["started_at"].timestamp(),
        fingerprint=row["fingerprint"],
        order=order,
        listed_prefixes=row["listed_prefixes"],
        is_login_known=row["is_login_known"],
    )


def _form_columns(forms: Sequence[tuple[int, Form]]) -> tuple[list[object], ...]:
    rows = [(key, form.attributes, form.pools, form.lists_ipv6, int(form.reason)) for key, form in forms]
    return tuple(list(column) for column in zip(*rows, strict=True))


def chunks(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """Return items so many at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
