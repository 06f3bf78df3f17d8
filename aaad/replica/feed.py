"""The change feed (rule R1): keeps the replica true to PostgreSQL, or builds it anew.

A poll is one read-only transaction on the primary: where it stands, what changed since the last poll, those rows
again; then one write transaction of the store with rows, tables and snapshot together. Notifications only say when
to poll; a poll follows in any case. What cannot be followed change by change is a resync (aaad/replica/resync.py),
while the old generation goes on serving.

Survives whatever PostgreSQL does. Writes only the replica, this node's snapshot in net.node, and the brake's hold.
"""

import asyncio
import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from aaad import clock
from aaad.db.connection import Database, Queries
from aaad.errors import AaadError, StoreError
from aaad.log import get_logger
from aaad.metrics import CounterFile
from aaad.replica import holds, source
from aaad.replica.apply import PROBLEMS_TOLD_MAX
from aaad.replica.batch import Batch, Written, held_sample, write_batch, write_meta
from aaad.replica.brake import BrakeLimits
from aaad.replica.checksum import Checksum
from aaad.replica.hints import follow_hints, take_leave
from aaad.replica.layout import ReplicaMeta
from aaad.replica.leases import read_lease_changes
from aaad.replica.record import Tables
from aaad.replica.resync import Meanwhile, resync
from aaad.replica.store import Generation, ReplicaWriter
from aaad.replica.trouble import Trouble

FEED_COUNTERS = (
    "aaad_replica_polls_total",
    "aaad_replica_poll_failures_total",
    "aaad_replica_changes_applied_total",
    "aaad_replica_lease_changes_applied_total",
    "aaad_replica_resyncs_total",
    "aaad_replica_checksums_total",
    "aaad_replica_holds_total",
    "aaad_replica_held_logins",
    "aaad_replica_unusable_logins",
    "aaad_replica_unusable_leases_total",
    "aaad_replica_polled_at_seconds",
    "aaad_replica_lag_seconds",
)
CHANGES_MAX = 100_000  # in one poll; more is read faster as a whole, in memory that does not grow
MEANWHILE_CHANGES_MAX = 10_000  # in one poll during a resync, which shall end soon
CHANGES_DIVISOR = 5  # a replica of millions follows up to a fifth of its logins one by one
COALESCE_S = 0.01  # a storm of commits becomes 100 polls a second
BACKOFF_INITIAL_S = 0.05
BACKOFF_MAX_S = 1.0
STORE_BACKOFF_MAX_S = 30.0  # a full disk stays full, and each try of a resync reads the whole database
TELL_EVERY_S = 5.0  # other nodes wait for our snapshot (R8.2), so it moves on a quiet day, too
PERSIST_EVERY_S = 30.0  # the snapshot of a quiet day: else a restart would read the log of that day
REAP_READERS_EVERY_S = 10.0
TELL_RETRY_S = 1.0
BULK_TIMEOUT_S = 300.0  # of one statement over all logins: the digest of millions
EXEMPT_TIMEOUT_S = 60.0  # of one statement over a log of many changes
RESYNC_BACKOFF_INITIAL_S = 1.0  # after a resync that no poll could follow
RESYNC_BACKOFF_MAX_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSettings:
    """What the configuration says about the feed."""

    map_size_bytes: int
    poll_interval_s: float
    checksum_interval_s: float
    change_log_keep_s: float
    brake: BrakeLimits
    connect_timeout_s: float
    statement_timeout_s: float


class Feed:
    """Follows one PostgreSQL into one replica directory. One per node: it is the store's only writer."""

    def __init__(
        self, dsn: str, directory: Path, *, node_name: str, counters: CounterFile, settings: FeedSettings
    ) -> None:
        """Connect to nothing and open nothing yet; `counters` holds at least FEED_COUNTERS."""
        self._dsn = dsn
        self._node_name = node_name
        self._counters = counters
        self._settings = settings
        self._log = get_logger("replica")
        self._trouble = Trouble(self._log, counters)
        self._writer = ReplicaWriter(directory, settings.map_size_bytes)
        self._thread = ThreadPoolExecutor(1, "replica")  # a write transaction of LMDB belongs to one thread
        self._database = self._connect("feed", settings.statement_timeout_s)
        self._listening = self._connect("feed notifications", settings.statement_timeout_s)
        self._telling = self._connect("feed report", settings.statement_timeout_s)
        self._wake = asyncio.Event()
        self._checksum = Checksum(
            lambda: self._connect("feed checksum", BULK_TIMEOUT_S),
            interval_s=settings.checksum_interval_s,
            change_log_keep_s=settings.change_log_keep_s,
            note_finished=self._note_checksum,
        )
        self._stopping = asyncio.Event()
        self._is_open = False
        self._meta: ReplicaMeta | None = None
        self._node_number = 0
        self._rereads_tables = True  # at the start: this node's number may be new
        self._retry_ids: tuple[int, ...] = ()
        self._resync_reason = ""
        self._held_count = 0
        self._is_resyncing = False
        self._resync_backoff_s = self._resync_due_s = 0.0
        self._is_hold_told = False
        self._told_hold_id: int | None = None  # what the report came to, for the loop to write down
        self._news = asyncio.Event()  # for the report
        self._told_at_s = self._persisted_at_s = self._flushed_at_s = self._reaped_at_s = 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow until `stopping` is set."""
        self._stopping = stopping
        try:
            async with asyncio.TaskGroup() as group:
                hints = follow_hints(self._listening, self._wake, self._log)
                helpers = [group.create_task(work) for work in (hints, self._report(), self._wake_at_end())]
                await self._follow(group)
                self._checksum.cancel()
                for helper in helpers:
                    helper.cancel()
        finally:
            await self._in_thread(self._writer.close)
            self._thread.shutdown()
            for database in (self._database, self._listening, self._telling):
                await take_leave(database)

    # --- the loop -----------------------------------------------------------------------------------------------

    async def _follow(self, group: asyncio.TaskGroup) -> None:
        backoff_s = BACKOFF_INITIAL_S
        while not self._stopping.is_set():
            began_s = clock.monotonic_s()
            self._wake.clear()
            try:
                await self._step(group)
            except Exception as error:  # noqa: BLE001  whatever it was, the next poll is due
                most_s = BACKOFF_MAX_S if isinstance(error, StoreError) else STORE_BACKOFF_MAX_S
                self._resync_reason = self._trouble.note_failure(error, self._resync_reason)
                self._checksum.cancel()
                self._checksum.hasten()
                await clock.pause(self._stopping, min(backoff_s, most_s))
                backoff_s = min(2 * backoff_s, most_s)
            else:
                backoff_s = BACKOFF_INITIAL_S
                self._trouble.note_success()
                await clock.pause(self._wake, self._settings.poll_interval_s)
                await asyncio.sleep(max(0.0, began_s + COALESCE_S - clock.monotonic_s()))

    async def _step(self, group: asyncio.TaskGroup) -> None:
        if not self._is_open:
            self._meta = await self._in_thread(self._writer.open)
            self._is_open = True
        meta, reason = self._meta, self._resync_reason
        if meta is None:
            reason = "there is no replica"
        elif not self._writer.is_intact():
            reason = "the replica's files are gone"
        elif self._checksum.has_difference:
            reason = "the checksum differs"
        if reason or not self._node_number:
            self._node_number = await self._register()
        if meta is None or reason:
            await self._await_resync()
            if self._stopping.is_set():
                return
            await self._resync(group, meta, reason)
        elif not await self._poll(group, meta):
            return  # a resync follows at once
        await self._keep_house()
        if not self._is_hold_told or self._persisted_at_s > self._told_at_s:
            self._news.set()

    async def _await_resync(self) -> None:
        """Wait while resyncs come to nothing: each reads the whole database."""
        wait_s = self._resync_due_s - clock.monotonic_s()
        if wait_s > 0:
            self._log.warning("replica.resync_delayed", wait_s=round(wait_s, 1))
            await clock.pause(self._stopping, wait_s)

    def _note_checksum(self) -> None:
        self._counters.add("aaad_replica_checksums_total")
        self._wake.set()  # a difference is cured at once

    async def _wake_at_end(self) -> None:
        await self._stopping.wait()
        self._wake.set()

    # --- one poll -----------------------------------------------------------------------------------------------

    async def _poll(self, group: asyncio.TaskGroup, meta: ReplicaMeta) -> bool:
        """Read what changed and apply it; False, with the reason noted, if only a resync helps."""
        async with self._database.transaction("repeatable_read", readonly=True) as queries:
            head = await source.read_head(queries, meta.snapshot, meta.hold_id)
            head_read_at_s = clock.monotonic_s()
            if self._has_to_resync(head.reason_to_resync(meta)):
                return False
            self._resync_backoff_s = self._resync_due_s = 0.0
            limit = max(CHANGES_MAX, meta.count // CHANGES_DIVISOR)
            changes = await source.read_changes(queries, meta.snapshot, limit)
            if self._has_to_resync(changes.reason_to_resync):
                return False
            is_checked = self._checksum.is_due
            batch = await self._read_batch(queries, meta, head, changes, is_checked=is_checked)
            leases = await read_lease_changes(queries, meta.lease_snapshot, head.snapshot, changes.leases_of)
            if self._has_to_resync(source.TOO_MANY_CHANGES if leases.is_too_many else ""):
                return False
            batch = dataclasses.replace(batch, leases=leases)
            if is_checked:
                await self._checksum.begin(group, queries)
        if is_checked and not self._needs_tables(meta, head, changes) and batch.tables is not None:
            await self._check_tables(meta, batch.tables)
        await self._apply(meta, batch, head)
        if not leases.is_complete:
            self._wake.set()
        for login_id in sorted(changes.impossible_ids)[:PROBLEMS_TOLD_MAX]:
            self._log.error("replica.row_unusable", login_id=login_id, problem="id: outside 1 to 2147483647")
        if self._meta is not None:
            self._checksum.expect(self._meta.count, self._meta.digest)
        if changes.newest_at_s is not None:
            passed_s = head.at_s - changes.newest_at_s + clock.monotonic_s() - head_read_at_s
            self._counters.set_seconds("aaad_replica_lag_seconds", max(0.0, passed_s))
        self._counters.add("aaad_replica_polls_total")
        self._counters.set_seconds("aaad_replica_polled_at_seconds", clock.wall_s())
        return True

    def _has_to_resync(self, reason: str) -> bool:
        """Note why only a resync helps, which follows at once; empty: nothing speaks for it."""
        self._resync_reason = reason
        if reason:
            self._wake.set()
        return bool(reason)

    def _needs_tables(self, meta: ReplicaMeta, head: source.Head, changes: source.Changes) -> bool:
        is_accepted = head.accepted_id != meta.accepted_id
        return self._rereads_tables or is_accepted or bool(changes.kinds & source.TABLE_KINDS)

    async def _check_tables(self, meta: ReplicaMeta, fresh: Tables) -> None:
        """Tell that the small tables had changed without a trace; the poll that read them applies it."""

        def read_served() -> Tables:
            with self._generation().read() as read:
                return read.tables()

        served: Tables = await self._in_thread(read_served)
        known = {plan.plan_id for plan in fresh.plans}  # a plan of held logins is kept without being known
        served = replace(served, plans=[plan for plan in served.plans if plan.plan_id in known])
        # With NASes or plans held they differ, and so with rows that cannot be compiled; that is told already.
        is_told = meta.held_nases or meta.held_terms or fresh.unusable
        if replace(fresh, generation=served.generation) != served and not is_told:
            self._log.error("replica.checksum_differs", of="tables")

    async def _read_batch(
        self, queries: Queries, meta: ReplicaMeta, head: source.Head, changes: source.Changes, *, is_checked: bool
    ) -> Batch:
        needs_tables = is_checked or self._needs_tables(meta, head, changes)
        is_accepted = head.accepted_id != meta.accepted_id
        logins = dict.fromkeys(self._retry_ids, False) | changes.logins
        return Batch(
            snapshot=head.snapshot,
            changes=await source.read_logins(queries, logins) if logins else [],
            tables=await source.read_tables(queries, self._node_number) if needs_tables else None,
            accepted_id=head.accepted_id,
            acceptance=await source.read_acceptance(queries, meta.snapshot, CHANGES_MAX) if is_accepted else None,
            are_nases_exempt=changes.are_nases_exempt,
            are_terms_exempt=changes.are_terms_exempt,
        )

    async def _apply(self, meta: ReplicaMeta, batch: Batch, head: source.Head) -> None:
        if meta.hold_id and head.hold_state != holds.OPEN:
            meta = replace(meta, hold_id=0)  # somebody decided it: what is held here, if anything, is told anew
            self._is_hold_told = False
        if not batch.is_empty:
            written = await self._in_thread(
                write_batch, self._generation(), meta, batch, self._settings.brake, clock.wall_s()
            )
            self._take_over(written)
            self._rereads_tables = False
            self._is_hold_told &= not self._held_count  # the snapshot of the figures, too, moves on
            self._retry_ids = written.retry_ids
            if self._retry_ids:
                self._wake.set()
        else:
            # Written now and then only: to read the log of a quiet minute again is harmless.
            self._meta = batch.move(meta, clock.wall_s())

    async def _resync(self, group: asyncio.TaskGroup, meta: ReplicaMeta | None, reason: str) -> None:
        self._log.warning("replica.resync_started", reason=reason)
        began_s = clock.monotonic_s()
        adopted = await self._database.fetchrow(source.STATEMENTS["adopt_change_log"])
        if adopted is not None and adopted["is_adopted"]:
            self._log.warning("replica.change_log_adopted")
        database = self._connect("feed resync", self._settings.statement_timeout_s)
        meanwhile = Meanwhile()
        self._is_resyncing = True
        follower = group.create_task(self._follow_meanwhile(meanwhile))

        async def end_meanwhile() -> None:
            meanwhile.end(self._wake)
            await asyncio.wait([follower])

        try:
            written: Written = await resync(
                database,
                self._writer,
                self._in_thread,
                meta=meta,
                reason=reason,
                node_number=self._node_number,
                limits=self._settings.brake,
                read_exempt=self._read_exempt,
                note_head=meanwhile.head.set_result,
                before_swap=end_meanwhile,
                stopping=self._stopping,
            )
        finally:
            self._is_resyncing = False
            await end_meanwhile()
            await take_leave(database)
        self._checksum.forget()
        if meta is not None and meta.system_identifier != written.meta.system_identifier:
            self._checksum.hasten()  # a dump that is still being restored leaves no trace in the log
        self._resync_reason = ""
        self._resync_backoff_s = min(RESYNC_BACKOFF_MAX_S, max(RESYNC_BACKOFF_INITIAL_S, 2 * self._resync_backoff_s))
        self._resync_due_s = clock.monotonic_s() + self._resync_backoff_s
        self._rereads_tables = False
        self._is_hold_told = False
        self._told_hold_id = None
        self._take_over(written)
        self._retry_ids = written.retry_ids
        if meta is None:
            await self._note_built(written.meta)
        self._counters.add("aaad_replica_resyncs_total")
        self._counters.set_seconds("aaad_replica_polled_at_seconds", clock.wall_s())
        self._wake.set()  # what was committed meanwhile
        self._log.info(
            "replica.resync_finished", logins=written.meta.count, seconds=round(clock.monotonic_s() - began_s, 3)
        )

    async def _follow_meanwhile(self, meanwhile: Meanwhile) -> None:
        """During a resync take changes into the old generation, as far as its log and the resync's tell them.

        The old one's stored snapshot stays, since what made the resync necessary is still missing there; after the
        swap an ordinary poll takes the same changes into the new one.
        """
        head, meta = await meanwhile.head, self._meta
        if head is None or meta is None or head.system_identifier != meta.system_identifier:
            return
        is_behind = head.timeline == meta.timeline and not head.is_from_the_future
        since = meta.snapshot if is_behind else head.snapshot
        while not meanwhile.is_over and self._writer.is_intact():
            self._wake.clear()
            try:
                since = await self._poll_meanwhile(self._meta or meta, since)
            except AaadError as error:
                self._log.warning("replica.poll_failed", error=str(error), while_="reading everything anew")
            except Exception:  # noqa: BLE001  our own bug: the resync goes on
                self._log.exception("bug", while_="following PostgreSQL during a resync")
                return
            if not meanwhile.is_over:
                await clock.pause(self._wake, self._settings.poll_interval_s)
                await asyncio.sleep(COALESCE_S)

    async def _poll_meanwhile(self, meta: ReplicaMeta, since: str) -> str:
        """Return up to which snapshot changes are applied."""
        async with self._database.transaction("repeatable_read", readonly=True) as queries:
            head = await source.read_head(queries, since, meta.hold_id)
            changes = await source.read_changes(queries, since, MEANWHILE_CHANGES_MAX)
            if changes.is_too_many:
                return head.snapshot  # the resync reads them, or the poll after it; the next ones are few again
            if meta.hold_id and head.hold_state != holds.OPEN:
                return since  # the poll after the swap sees to it
            head = dataclasses.replace(head, accepted_id=meta.accepted_id)  # the resync carries a newer one out
            batch = await self._read_batch(queries, meta, head, changes, is_checked=False)
        # Leases are left as they were: nobody is told that more of the ledger is applied here.
        await self._apply(meta, dataclasses.replace(batch, snapshot=meta.snapshot), head)
        return head.snapshot

    async def _read_exempt(self, snapshot: str) -> frozenset[int]:
        database = self._connect("feed resync", EXEMPT_TIMEOUT_S)
        try:
            return await source.read_exempt_logins(database, snapshot)
        finally:
            await take_leave(database)

    async def _note_built(self, meta: ReplicaMeta) -> None:
        try:
            hold_id = await holds.note_built(self._database, meta.node_number)
        except StoreError as error:
            self._log.error("replica.built_perhaps_during_hold", error=str(error))
        else:
            if hold_id:
                self._log.error("replica.built_during_hold", hold=hold_id, remedy="aaad replica status")

    def _take_over(self, written: Written) -> None:
        """Note what a write came to."""
        self._meta = written.meta
        self._persisted_at_s = clock.monotonic_s()
        if written.held_count != self._held_count:
            self._is_hold_told = False
        self._held_count = written.held_count
        self._counters.add("aaad_replica_changes_applied_total", written.applied_count + written.released_count)
        self._counters.set("aaad_replica_held_logins", written.held_count)
        self._counters.set("aaad_replica_unusable_logins", written.unusable_count)
        if written.newly_held_count:
            self._counters.add("aaad_replica_holds_total")
            self._log.error("replica.changes_held", held=written.held_count, remedy="aaad replica accept")
        if written.released_count:
            self._log.warning("replica.hold_released", released=written.released_count)
        for row in written.unusable_rows[:PROBLEMS_TOLD_MAX]:
            self._log.error("replica.row_unusable", table=row.table, row=row.key, problem=row.problem)
        self._counters.add("aaad_replica_lease_changes_applied_total", written.leases_applied)
        self._counters.add("aaad_replica_unusable_leases_total", len(written.unusable_leases))
        for login_id in sorted(written.unusable_leases)[:PROBLEMS_TOLD_MAX]:
            self._log.error("replica.lease_unusable", login_id=login_id)
        for login_id, problem in written.problems:
            self._log.error("replica.row_unusable", login_id=login_id, problem=problem)

    # --- what PostgreSQL is told --------------------------------------------------------------------------------

    async def _register(self) -> int:
        row = await self._database.fetchrow(source.STATEMENTS["register_node"], self._node_name)
        if row is None:
            raise StoreError("this node could not be registered in net.node")
        return int(row["id"])

    async def _report(self) -> None:
        """Tell the cluster what is applied and held here, in a task and on a connection of its own.

        A stranger's lock on net.node or net.hold makes this wait, and no change.
        """
        is_told = True
        while True:
            await clock.pause(self._news, TELL_EVERY_S)
            self._news.clear()
            try:
                await self._tell()
            except StoreError as error:
                if is_told:
                    self._log.warning("replica.report_failed", error=str(error))
                is_told = False
                await asyncio.sleep(TELL_RETRY_S)
            except Exception:  # noqa: BLE001  our own bug must not end the feed
                self._log.exception("bug", while_="reporting")
                await asyncio.sleep(TELL_RETRY_S)
            else:
                is_told = True

    async def _tell(self) -> None:
        meta = self._meta
        if meta is None:
            return
        if not self._is_hold_told and self._told_hold_id is None and not self._is_resyncing:
            await self._tell_hold(meta)
        now_s = clock.monotonic_s()
        if self._flushed_at_s <= self._persisted_at_s:
            await self._in_thread(lambda: self._generation().flush())
            self._flushed_at_s = now_s
        tag = await source.tell_snapshot(self._telling, meta)
        self._told_at_s = now_s
        if tag != "UPDATE 1":  # an operator removed this node, and here it is again
            self._node_number = 0
            self._rereads_tables = True

    async def _tell_hold(self, meta: ReplicaMeta) -> None:
        self._is_hold_told = True  # until the loop finds news meanwhile
        hold_id = 0
        try:
            if held_count := self._held_count:
                hold_id = await holds.open_hold(
                    self._telling,
                    meta,
                    cut_off_count=held_count,
                    sample=await self._in_thread(held_sample, self._generation(), meta, holds.SAMPLE_MAX),
                )
            elif meta.hold_id:
                await holds.close_hold(self._telling, meta.hold_id)
        except BaseException:
            self._is_hold_told = False
            raise
        if hold_id != meta.hold_id:
            self._told_hold_id = hold_id
            self._wake.set()

    async def _keep_house(self) -> None:
        now_s = clock.monotonic_s()
        meta = self._meta
        told_hold_id, self._told_hold_id = self._told_hold_id, None
        if meta is not None and told_hold_id is not None:
            meta = replace(meta, hold_id=told_hold_id)
            self._take_over(await self._in_thread(write_meta, self._generation(), meta))
        if meta is not None and now_s - self._persisted_at_s > PERSIST_EVERY_S:
            self._take_over(await self._in_thread(write_meta, self._generation(), meta))
        if now_s - self._reaped_at_s > REAP_READERS_EVERY_S:
            self._reaped_at_s = now_s
            await self._in_thread(self._generation().reap_readers)

    # --- small things -------------------------------------------------------------------------------------------

    def _generation(self) -> Generation:
        assert self._writer.current is not None  # there is one once there is a meta
        return self._writer.current

    def _connect(self, purpose: str, statement_timeout_s: float) -> Database:
        return Database(
            self._dsn,
            connect_timeout_s=self._settings.connect_timeout_s,
            statement_timeout_s=statement_timeout_s,
            application_name=f"aaad {purpose}",
        )

    async def _in_thread(self, function: Callable[..., Any], /, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)
