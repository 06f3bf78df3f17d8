"""Simultaneous use of a login where its branch refuses it (rule R5.4): asks who is connected, and proves that he is.

What is granted waits for one statement, that of its micro-batch, and only if as many sessions of other devices are
open as the login may have, for a probe of each: a CoA-Request that names the session and changes nothing. Only so
many ACKs within the request's time, or from the last minute, refuse. Whatever is not known lets in: PostgreSQL away,
a NAS that is silent or does not take orders, one that says that the session is gone. There is always an answer.

Bounded: the time of the statement and of a probe, sessions and probes at a time, what is remembered.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from math import inf
from typing import Protocol

from aaad import clock
from aaad.errors import StoreError
from aaad.log import Log
from aaad.policy.codes import GrantState, Reason
from aaad.policy.facts import LoginFacts
from aaad.policy.grant import Decision, Grant
from aaad.radius import counters as names
from aaad.radius.dynauth import Order, Outcome, SessionName, Verdict, session_attributes
from aaad.radius.dynauth_client import DynauthClient, Way
from aaad.radius.packet import value_at
from aaad.radius.request import Pending, Request
from aaad.radius.routers import Router
from aaad.sessions.attribute_text import readable
from aaad.sessions.devices import Dialler, OpenSession, RouterName, of_other_devices
from aaad.sessions.open_sessions import SESSIONS_MAX, LoginUse

ASK_LIMIT_S = 0.25  # of the statement: an answer is due soon after
ASK_AGAIN_S = 2.0  # after PostgreSQL did not answer in time
FRESH_S = 60.0  # for how long an answer of a NAS counts
SILENT_S = 10.0  # for how long a NAS that did not answer is not asked again
ANSWER_SHARE = 0.75  # of the request's time: what comes later would not reach the NAS before it gives up
REMEMBERED_MAX = 4_096
PROVING_MAX = 1_024  # requests that wait for probes at a time
REFUSED = Decision(Reason.IN_USE_ELSEWHERE, None, inf)
_CALLING_STATION_ID = 31
_BLOCKED = GrantState.BLOCKED

Settled = Decision | Awaitable[Decision] | None
FindRouter = Callable[[RouterName], Router | None]


class Uses(Protocol):
    """Who tells what is open: `OpenSessions`."""

    @property
    def is_connected(self) -> bool:
        """Whether it can be asked now."""

    async def find(self, login_ids: Collection[int]) -> dict[int, LoginUse]:
        """Return what is open of these logins; StoreError if that is not known."""


class Counts(Protocol):
    """The process's counters, by name."""

    def add(self, name: str, amount: int = 1) -> None:
        """Count."""


def must_wait(login: LoginFacts, grant: Grant) -> bool:
    """Whether a grant has to be looked at here. The blocked state is no service that somebody could share."""
    return grant.policy.simultaneous_refuse and grant.state is not _BLOCKED


class SimultaneousUse:
    """The claims of one radius process."""

    def __init__(self, uses: Uses, client: DynauthClient, counters: Counts, log: Log) -> None:
        """Nothing is asked yet."""
        self._uses = uses
        self._client = client
        self._counters = counters
        self._log = log
        self._answers: OrderedDict[tuple[bytes, int], tuple[Verdict, float]] = OrderedDict()
        self._asked: dict[tuple[bytes, int], asyncio.Future[None]] = {}
        self._silent: dict[tuple[str, int], float] = {}  # until when
        self._away_until_s = 0.0
        self._proving = 0

    async def settle(self, batch: Sequence[Pending], find_router: FindRouter) -> Sequence[Settled]:
        """Decide what waits; what has to be proven first is an awaitable."""
        uses = await self._find({pending.login.login_id for pending in batch})
        return [self._settled(pending, uses.get(pending.login.login_id), find_router) for pending in batch]

    async def _find(self, login_ids: set[int]) -> dict[int, LoginUse]:
        if not self._uses.is_connected or clock.monotonic_s() < self._away_until_s:
            self._counters.add(names.SIMULTANEOUS_UNASKED, len(login_ids))
            return {}
        try:
            async with asyncio.timeout(ASK_LIMIT_S):
                return await self._uses.find(login_ids)
        except (TimeoutError, StoreError) as error:
            self._away_until_s = clock.monotonic_s() + ASK_AGAIN_S
            self._counters.add(names.SIMULTANEOUS_UNASKED, len(login_ids))
            self._log.warning("simultaneous.not_asked", let_in=len(login_ids), error=str(error) or "late")
            return {}

    def _settled(self, pending: Pending, use: LoginUse | None, find_router: FindRouter) -> Settled:
        if use is None or use.allowed > SESSIONS_MAX:
            return pending.decision
        others = of_other_devices(use.sessions, dialler_of(pending.request))
        now_s = clock.monotonic_s()
        others = [other for other in others if self._known(other, now_s) is not Outcome.GONE]
        if len(others) < use.allowed:
            return pending.decision
        alive = sum(self._known(other, now_s) is Outcome.DONE for other in others)
        if alive >= use.allowed:
            return REFUSED
        if self._proving >= PROVING_MAX:
            return pending.decision
        return self._prove(pending, others, use.allowed, find_router)

    async def _prove(
        self, pending: Pending, others: Sequence[OpenSession], allowed: int, find_router: FindRouter
    ) -> Decision:
        """Ask the NASes of all of them together. Who lives there is known before the request's time is over."""
        request = pending.request
        age_s = clock.wall_s() - request.arrived_s
        wait_s = request.peer.nas.deadline_s * ANSWER_SHARE - age_s
        self._proving += 1
        try:
            async with asyncio.TaskGroup() as group:
                for other in others:
                    group.create_task(self._probe(other, find_router(other.router), wait_s))
        finally:
            self._proving -= 1
        now_s = clock.monotonic_s()
        alive = sum(self._known(other, now_s) is Outcome.DONE for other in others)
        return REFUSED if alive >= allowed else pending.decision

    def _known(self, session: OpenSession, now_s: float) -> Outcome | None:
        answer = self._answers.get(session.key)
        return answer[0].outcome if answer is not None and now_s - answer[1] < FRESH_S else None

    async def _probe(self, session: OpenSession, router: Router | None, wait_s: float) -> None:
        """Ask the NAS of a session once, however many wait for it; remember what it says."""
        if (under_way := self._asked.get(session.key)) is not None:
            await asyncio.wait((under_way,), timeout=max(wait_s, 0.0))
            return
        nas = (session.coa_address, session.coa_port)
        now_s = clock.monotonic_s()
        if router is None or not session.local_address or not session.coa_port or self._silent.get(nas, 0.0) > now_s:
            return
        kind = router.nas.kind
        attributes = session_attributes(kind, SessionName(session.user_name, session.session_id, session.ipv4))
        if not attributes or self._known(session, now_s) is not None or wait_s <= 0:
            return
        done = self._asked[session.key] = asyncio.get_running_loop().create_future()
        try:
            self._counters.add(names.PROBES)
            way = Way(session.local_address, nas, router.proven, kind)
            verdict = await self._client.ask(Order.CHANGE, attributes, way, wait_s=wait_s)
            self._note(session, nas, verdict)
        finally:
            del self._asked[session.key]
            done.set_result(None)

    def _note(self, session: OpenSession, nas: tuple[str, int], verdict: Verdict | None) -> None:
        now_s = clock.monotonic_s()
        if verdict is None:
            self._counters.add(names.probed(None))
            if len(self._silent) >= REMEMBERED_MAX:
                self._silent.clear()
            self._silent[nas] = now_s + SILENT_S
            return
        self._counters.add(names.probed(verdict.outcome))
        self._silent.pop(nas, None)
        self._answers[session.key] = (verdict, now_s)
        self._answers.move_to_end(session.key)
        if len(self._answers) > REMEMBERED_MAX:
            self._answers.popitem(last=False)
        if verdict.outcome is Outcome.REFUSED:
            self._log.info("probe.refused", nas=nas[0], error_cause=verdict.error_cause)

    def close(self) -> None:
        """Close the sockets."""
        self._client.close()


def dialler_of(request: Request) -> Dialler:
    """Return who asks, in the form in which sessions are kept."""
    data, router = request.data, request.router
    at = request.positions.get(_CALLING_STATION_ID)
    session_id = request.layout.session_id
    return Dialler(
        (router.nas.nas_id, router.source_address, router.identifier),
        readable(data[session_id]) if session_id is not None else "",
        request.mac,
        readable(value_at(data, at)) if at else "",
        request.port_id,
    )
