"""The radius role's service: sockets in, sockets out, and the once-a-second chores around the request path.

This module owns the sockets and the clock of the path; what a datagram means is decided in `access`. One wake-up
takes up to WAKE_UP_MAX datagrams under one snapshot of the replica, answers each, and then sends all replies, so
that neither timers nor another socket wait long. A bug in one request is logged and costs that request only.

RFC 2865, 3 (ports). The accounting port has a module of its own (`accounting_port`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from aaad import clock
from aaad.errors import ReplicaError, StoreError
from aaad.log import Log
from aaad.metrics import CounterFile
from aaad.policy.calendar import zone_offset_s
from aaad.policy.codes import Discard, Reason
from aaad.policy.facts import LoginFacts
from aaad.policy.grant import Decision, Grant
from aaad.pools.claims import Claims
from aaad.pools.want import Want
from aaad.radius import counters as names
from aaad.radius.access import AccessPath, Recorder
from aaad.radius.accounting_port import AccountingPort, Spool
from aaad.radius.addresses import Addresses, Counted
from aaad.radius.datagrams import Allowance, Datagram, Listener, Sender, receive
from aaad.radius.learned import Learned
from aaad.radius.request import Pending, Request
from aaad.radius.routers import Nas, Neighbourhood, Router, RouterName, Source, plain_address
from aaad.radius.unknown_sources import UnknownSources
from aaad.replica.record import NasRow
from aaad.replica.store import ReplicaReader
from aaad.spool.records import LoginRefused, NameRefused, encode

WAKE_UP_MAX = 32
_TICK_S = 1.0
_TABLES_EVERY_S = 60.0  # tables are loaded anew at least so often
_STATISTICS_EVERY_S = 5.0
_CLAIMS_WAITING_MAX = 10_000
_FRESH_S = 0.05
_CLAIM_LIMIT_S = 0.8  # below the 900 ms after which a NAS gives up

Settled = Decision | Awaitable[Decision] | None  # decided, decided in a while, or impossible now
Claim = Callable[[Sequence[Pending], Callable[[RouterName], Router | None]], Awaitable[Sequence[Settled]]]


@dataclass(frozen=True, slots=True)
class Watchdog:
    """Who may ask Status-Server with the supervisor's own secret: exact source addresses and ports."""

    sources: tuple[Source, ...]
    secret: bytes

    def __repr__(self) -> str:
        """Show whom, never the secret."""
        return f"Watchdog(sources={self.sources!r})"


class RadiusService:
    """Answers RADIUS on the sockets it is given, until told to stop."""

    def __init__(
        self,
        *,
        listeners: Sequence[Listener],
        replica: ReplicaReader,
        journal: Recorder,
        spool: Spool,
        counters: CounterFile,
        log: Log,
        slot: int,
        peers_max: int,
        reject_messages: Mapping[Reason, str],
        watchdog: Watchdog | None = None,
        statistics_path: Path | None = None,
        unknown_sources_path: Path | None = None,
        claim: Claim | None = None,
        must_wait: Callable[[LoginFacts, Grant], bool] | None = None,
        claims: Claims | None = None,
    ) -> None:
        """Wire the service; nothing is read before `run`.

        Args:
            listeners: sockets of the authentication and the accounting port, non-blocking, with SO_TIMESTAMPNS.
            replica: opened by `run`, and again whenever it was not there.
            journal: gets every decision.
            spool: gets what is to be written to PostgreSQL.
            counters: a file with RADIUS_COUNTERS.
            log: where bugs, discarded datagrams and problems of the tables are told.
            slot: number of this process among the node's radius processes.
            peers_max: source addresses and ports remembered at a time.
            reject_messages: what the customer's device is told, by reason.
            watchdog: the supervisor's own probe.
            statistics_path: where counts per router are written every few seconds.
            unknown_sources_path: where so are the addresses that no NAS entry has.
            claim: settles what `must_wait` holds back, a batch at a time. For what is decided in a while nobody else
                waits; None in the result: no answer.
            must_wait: which grants need something that is not in the replica.
            claims: binds addresses of our own pools; None: none are given out.
        """
        self._listeners = listeners
        self._replica = replica
        self._spool = spool
        self._counters = counters
        self._cells = counters.cells
        self._log = log
        self._statistics_path, self._unknown_sources_path = statistics_path, unknown_sources_path
        self._unknown_sources = UnknownSources()
        self._learned = Learned()
        self._hood = Neighbourhood(peers_max=peers_max)
        if watchdog is not None:
            self._pin(watchdog)
        self._claims = claims
        self._addresses = None if claims is None else self._wired(claims)
        self._path = AccessPath(
            logins=replica,
            neighbourhood=self._hood,
            journal=journal,
            learned=self._learned,
            cells=self._cells,
            decided_at=names.positions_by_code(counters.index, Reason),
            slot=slot,
            first_serial=clock.wall_ns() // 1000,
            reject_messages=reject_messages,
            utc_offset_s=zone_offset_s,
            must_wait=must_wait,
            addresses=self._addresses,
        )
        of_both_ports = (self._hood, self._learned, self._path.starts, self._unknown_sources)
        self._accounting = AccountingPort(*of_both_ports, spool=spool, counters=counters, log=log)
        index = counters.index
        self._discarded_at = names.positions_by_code(index, Discard)
        self._received_at = index[names.RECEIVED]
        self._learned_at, self._safe_at = index[names.LEARNED], index[names.LEARNED_SAFE]
        self._learned_before = self._tell_lost()
        self._log_allowance = Allowance()
        self._sender = Sender(counters, log, self._log_allowance, names.ANSWERED, names.ANSWER_SECONDS)
        self._claim = claim
        self._waiting: list[tuple[Pending, Listener]] = []
        self._claim_wanted = asyncio.Event()
        self._tables_loaded_s = self._statistics_written_s = 0.0

    def _wired(self, claims: Claims) -> Addresses:
        """Return what finds standing leases; who wants something new is answered when it is bound."""
        replica = self._replica
        claims.seen = lambda: replica.snapshot
        claims.awaited = self._awaited
        claims.on_settled = self._answer_leased
        return Addresses(replica.leases, claims.seen, claims.recent)

    def _tell_lost(self) -> int:
        """Tell what a killed predecessor had learned and not handed over. Returns what was learned before us."""
        cells, lost_at = self._cells, self._counters.index[names.LEARNED_LOST]
        lost = cells[self._learned_at] - cells[self._safe_at] - cells[lost_at]
        if lost > 0:
            cells[lost_at] += lost
            self._log.warning("learned.lost", records=lost, what="refusals and other facts of the process before")
        return cells[self._learned_at]

    def _pin(self, watchdog: Watchdog) -> None:
        row = NasRow(0, "watchdog", "127.0.0.1/32", watchdog.secret, b"", 0.0, "aaad", True, "yes", 5000, 0)
        for source in watchdog.sources:
            self._hood.pin(source, Nas(row, 0.0))

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until `stopping` is set; then answer what is already in work and hand over what was learned."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            if listener.is_accounting:
                self._accounting.open(listener)
            else:
                self._sender.open(listener)
                loop.add_reader(listener.socket.fileno(), self._reader(listener))
        try:
            async with asyncio.TaskGroup() as group:
                chores = group.create_task(self._chores())
                group.create_task(self._waits(stopping, group))
                if self._claims is not None:
                    group.create_task(self._claims.run(stopping))
                await stopping.wait()
                self._close(loop)
                chores.cancel()
                self._claim_wanted.set()
                await self._accounting.settle()
        finally:
            self._close(loop)
            self._hand_over(everything=True)

    def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read nothing any more."""
        for listener in self._listeners:
            loop.remove_reader(listener.socket.fileno())
        self._accounting.close()

    # --- the wake-up --------------------------------------------------------------------------------------------

    def _reader(self, listener: Listener) -> Callable[[], None]:
        """Return what is called whenever an authentication socket has datagrams."""
        answer, failed = self._path.answer, self._receive_failed
        learned, replica, cells = self._learned, self._replica, self._cells
        wall_s, received_at, learned_at = clock.wall_s, self._received_at, self._learned_at

        def on_readable() -> None:
            learned.local_address = listener.address
            replies: list[Datagram] = []
            received = receive(listener, WAKE_UP_MAX, failed)
            cells[received_at] += len(received)  # at once: a crash on the way must not hide them
            try:
                self._begin()
                now_s = wall_s()
                for data, source, arrived_s in received:
                    try:
                        reply = answer(data, source, arrived_s, now_s)
                    except Exception:  # noqa: BLE001  our own bug costs this request only
                        self._bug(source)
                        continue
                    if reply.__class__ is bytes:
                        replies.append((reply, source, arrived_s))
                    else:
                        self._not_answered(reply, source, listener)
            finally:
                replica.end()
                cells[learned_at] = self._learned_before + learned.gathered
                self._sender.send(listener, replies)
                if learned.grants:
                    self._hand_over_grants()

        return on_readable

    def _receive_failed(self, listener: Listener, error: OSError) -> None:
        self._counters.add(names.RECEIVE_FAILED)
        self._log.warning("socket.receive_failed", address=listener.address, error=str(error))

    def _begin(self) -> None:
        """Take a snapshot of the replica; one that cannot be read answers like one that is not there."""
        try:
            if self._replica.begin():
                self._load_tables()
        except ReplicaError as error:
            self._log.error("replica.unreadable", error=str(error))

    def _not_answered(self, outcome: Discard | Pending | Want | bytes, source: Source, listener: Listener) -> None:
        if outcome.__class__ is Want:  # the most by far; isinstance of an enum takes three times as long
            outcome.origin = listener
            self._ask(outcome)
        elif isinstance(outcome, Discard):
            self._cells[self._discarded_at[outcome]] += 1
            if outcome is Discard.UNKNOWN_NAS:
                self._unknown_sources.note(plain_address(source[0]), clock.wall_s())
            if self._log_allowance.allows(outcome):
                self._log.info("datagram.discarded", cause=outcome.label, source=source[0], port=source[1])
        elif isinstance(outcome, Pending):
            self._counters.add(names.PENDING)
            if len(self._waiting) < _CLAIMS_WAITING_MAX:
                self._waiting.append((outcome, listener))
                self._claim_wanted.set()
            else:
                self._path.copies.give_up(outcome.request)
                self._cells[self._discarded_at[Discard.OVERLOAD]] += 1

    def _ask(self, want: Want) -> None:
        """Let a login wait for its addresses."""
        claims = self._claims
        assert claims is not None
        if claims.waiting < _CLAIMS_WAITING_MAX:
            claims.ask(want)
        else:
            self._path.copies.give_up(want.context[0])
            self._cells[self._discarded_at[Discard.OVERLOAD]] += 1

    def _bug(self, source: Source) -> None:
        self._counters.add(names.BUGS)
        self._cells[self._discarded_at[Discard.BUG]] += 1
        if self._log_allowance.allows(Discard.BUG):
            self._log.exception("bug", while_="answering a datagram", source=source[0])

    # --- what waits ---------------------------------------------------------------------------------------------

    async def _waits(self, stopping: asyncio.Event, group: asyncio.TaskGroup) -> None:
        """Settle what waits, a batch at a time: all that gathered while the batch before was under way."""
        while True:
            await self._claim_wanted.wait()
            self._claim_wanted.clear()
            batch, self._waiting = self._waiting, []
            now_s = clock.wall_s()
            await self._settle([entry for entry in batch if not self._is_late(entry[0].request, now_s)], group)
            if stopping.is_set() and not self._waiting:
                return

    async def _settle(self, batch: list[tuple[Pending, Listener]], group: asyncio.TaskGroup) -> None:
        settled = await self._claimed([pending for pending, _ in batch])
        for (pending, listener), decision in zip(batch, settled, strict=True):
            if isinstance(decision, Awaitable):
                group.create_task(self._settle_later(pending, listener, decision))
            else:
                self._settle_one(pending, listener, decision)

    async def _settle_later(self, pending: Pending, listener: Listener, decided: Awaitable[Decision]) -> None:
        try:
            decision: Decision | None = await decided
        except Exception:  # noqa: BLE001  our own bug costs this request only
            self._counters.add(names.BUGS)
            self._log.exception("bug", while_="claiming")
            decision = None
        self._settle_one(pending, listener, decision)

    def _settle_one(self, pending: Pending, listener: Listener, decision: Decision | None) -> None:
        try:
            self._finish(pending, listener, decision, clock.wall_s())
        except Exception:  # noqa: BLE001  our own bug costs this request only
            self._bug(pending.request.source)

    def _finish(self, pending: Pending, listener: Listener, decision: Decision | None, now_s: float) -> None:
        request = pending.request
        if decision is None:
            self._path.copies.give_up(request)
            self._cells[self._discarded_at[Discard.CLAIM_IMPOSSIBLE]] += 1
        elif not self._is_late(request, now_s):
            self._begin()
            try:
                reply = self._path.finish(*pending._replace(decision=decision), now_s)
            finally:
                self._replica.end()
            if isinstance(reply, Want):
                self._not_answered(reply, request.source, listener)
            else:
                self._sender.send(listener, [(reply, request.source, request.arrived_s)])

    def _answer_leased(self, wants: list[Want]) -> None:
        """Answer those whose addresses are bound, or cannot be had."""
        now_s = clock.wall_s()
        leased, learned = self._path.leased, self._learned
        replies: list[Datagram] = []
        listener: Listener | None = None
        try:
            self._begin()
            for want in wants:
                request = want.context[0]
                try:
                    if self._is_late(request, now_s):
                        continue
                    answer = leased(want, now_s)
                except Exception:  # noqa: BLE001  our own bug costs this request only
                    self._bug(request.source)
                    continue
                if answer.__class__ is not bytes:
                    self._not_answered(answer, request.source, want.origin)
                    continue
                if want.origin is not listener:
                    if listener is not None:
                        self._sender.send(listener, replies)
                        replies = []
                    listener = want.origin
                replies.append((answer, request.source, request.arrived_s))
        finally:
            self._replica.end()
            self._cells[self._learned_at] = self._learned_before + learned.gathered
            if listener is not None:
                self._sender.send(listener, replies)
            if learned.grants:
                self._hand_over_grants()

    def _awaited(self, wants: list[Want]) -> list[Want]:
        """Return those whose NAS still waits. Who came a moment ago is not looked at before he is answered."""
        now_s = clock.wall_s()
        fresh_s, is_late = now_s - _FRESH_S, self._is_late
        return [want for want in wants if want.context[0].arrived_s > fresh_s or not is_late(want.context[0], now_s)]

    def _is_late(self, request: Request, now_s: float) -> bool:
        """Tell, and count, that the NAS no longer waits: its time is over, or it asks for something else."""
        late = now_s - request.arrived_s > request.peer.nas.deadline_s or not self._path.copies.is_awaited(request)
        if late:
            self._cells[self._discarded_at[Discard.LATE]] += 1
        return late

    async def _claimed(self, batch: list[Pending]) -> Sequence[Settled]:
        """Ask for what the batch needs, within a bound: what cannot be had now gets no answer (rule R3.1).

        A bug in the claim costs its batch, whose copies try again.
        """
        if self._claim is None or not batch:
            return [None] * len(batch)
        try:
            async with asyncio.timeout(_CLAIM_LIMIT_S):
                settled = await self._claim(batch, self._hood.router_named)
            return [decision for _, decision in zip(batch, settled, strict=True)]
        except (TimeoutError, StoreError) as error:
            self._log.warning("claims.impossible", waiting=len(batch), error=str(error))
        except Exception:  # noqa: BLE001  see above
            self._counters.add(names.BUGS)
            self._log.exception("bug", while_="claiming")
        return [None] * len(batch)

    # --- chores -------------------------------------------------------------------------------------------------

    async def _chores(self) -> None:
        while True:
            try:
                now_s = clock.wall_s()
                self._chore(now_s)
                if now_s - self._statistics_written_s > _STATISTICS_EVERY_S:
                    self._statistics_written_s = now_s
                    await self._write_statistics(now_s)
            except Exception:  # noqa: BLE001  the next second's chores are due all the same
                self._counters.add(names.BUGS)
                self._log.exception("bug", while_="doing chores")
            await asyncio.sleep(_TICK_S)

    def _chore(self, now_s: float) -> None:
        self._log_allowance.begin_second()
        self._begin()
        if self._replica.complete and now_s - self._tables_loaded_s > _TABLES_EVERY_S:
            self._load_tables()
        self._replica.end()
        self._hood.expire_secrets(now_s)
        self._accounting.tick(now_s)
        self._path.tick(now_s)
        self._hand_over()

    def _load_tables(self) -> None:
        self._tables_loaded_s = clock.wall_s()
        try:
            tables = self._replica.tables()
            problems = self._path.load(tables, self._tables_loaded_s)
            self._accounting.load(tables)
            if self._claims is not None:
                self._claims.load(self._path.own_pools, tables.node_number)
        except (ReplicaError, ValueError, OSError) as error:
            problems = [str(error)]
        for problem in problems:
            self._log.error("tables.row_unusable", problem=problem)

    def _hand_over(self, *, everything: bool = False) -> None:
        """Give what was learned to the spool, and what the path counted by itself to the counters."""
        path = self._path
        self._counters.add(names.RESENT, path.copies.resent)
        self._counters.add(names.STATUS, path.status_answered)
        self._counters.add(names.UNWRITTEN, path.unwritten)
        path.copies.resent = path.status_answered = path.unwritten = 0
        self._cells[self._learned_at] = self._learned_before + self._learned.gathered
        if self._addresses is not None:
            for counted in Counted:
                self._counters.add(names.addresses(counted), self._addresses.counts[counted])
                self._addresses.counts[counted] = 0
        self._hand_over_grants()
        for record in self._learned.take(everything=everything):
            self._give(encode(record), record.count if isinstance(record, LoginRefused | NameRefused) else 1)
        if self._learned.uncounted:
            self._counters.add(names.REFUSALS_UNCOUNTED, self._learned.uncounted)
            self._learned.uncounted = 0
        if self._learned.dropped:
            self._counters.add(names.SPOOL_REFUSED, self._learned.dropped)
            self._learned.dropped = 0

    def _hand_over_grants(self) -> None:
        for record in self._learned.take_grants():
            self._give(encode(record), 1)

    def _give(self, record: bytes, amount: int) -> None:
        """Give a record to the spool that tells of so many facts."""
        if not self._spool.append(record, partial(self._note_safe, amount)):
            self._counters.add(names.SPOOL_REFUSED)
            self._counters.add(names.LEARNED_LOST, amount)

    def _note_safe(self, amount: int, is_safe: bool) -> None:
        """Count what is on the disk now. Called in the spool's thread, the only one to write this cell."""
        if is_safe:
            self._cells[self._safe_at] += amount

    async def _write_statistics(self, now_s: float) -> None:
        """Write what the other programs of this node read of it; on a full disk they read what was."""
        try:
            if self._statistics_path:
                await asyncio.to_thread(_write_json, self._statistics_path, self._statistics())
            if self._unknown_sources_path:
                self._unknown_sources.forget(now_s, lambda address: self._hood.nas_at((address,)) is not None)
                await asyncio.to_thread(_write_json, self._unknown_sources_path, self._unknown_sources.rows())
        except OSError as error:
            self._log.warning("statistics.not_written", error=str(error))

    def _statistics(self) -> list[dict[str, Any]]:
        """Return the counts of every router, and of every address from which nothing was proven."""
        kept = [
            {
                "nas_id": router.nas.nas_id,
                "nas": router.nas.name,
                "source_address": router.source_address,
                "nas_identifier": router.identifier.decode("utf-8", "replace"),
                "proven": True,
                "armed": router.nas.require_signature or (router.armed and router.nas.may_arm),
                "last_heard_s": router.last_heard_s,
                **router.statistics.as_dict(),
            }
            for router in self._hood.routers.values()
        ]
        strangers = [
            {
                "nas_id": stranger.nas.nas_id,
                "nas": stranger.nas.name,
                "source_address": stranger.source_address,
                "nas_identifier": "",
                "proven": False,
                "armed": stranger.nas.require_signature,
                "last_heard_s": stranger.last_heard_s,
                **stranger.statistics.as_dict(),
            }
            for stranger in self._hood.strangers.values()
            if stranger.statistics.requests or stranger.statistics.accounting_bad_authenticators
        ]
        return kept + strangers


def _write_json(path: Path, rows: list[dict[str, Any]]) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(rows))
    fresh.replace(path)
