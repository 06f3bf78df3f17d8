"""The resync (rule R1.2): the whole database read in one snapshot into a new generation, then swapped in.

The old generation serves meanwhile and goes on being followed; what it was when the resync began is what the new one
is compared with. On a connection of its own the primary is read in chunks, so neither memory nor
a statement grows with the number of logins, and every statement has the ordinary limit. If anything fails, or the
process shall end, the half-built generation is dropped.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Set
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Protocol

from aaad import clock
from aaad.db.connection import Database, Queries
from aaad.errors import StoreError
from aaad.replica import holds, source
from aaad.replica.batch import Written
from aaad.replica.brake import Acceptance, BrakeLimits
from aaad.replica.layout import ReplicaMeta
from aaad.replica.leases import iterate_leases
from aaad.replica.rebuild import Exemptions, Rebuild
from aaad.replica.record import Tables
from aaad.replica.store import FrozenGeneration, Generation, ReplicaWriter

ACCEPTANCE_CHANGES_MAX = 1_000_000  # since the accepted hold; what is more is asked anew


class InThread(Protocol):
    """Runs a function in the store's thread."""

    def __call__(self, function: Callable[..., Any], /, *args: Any) -> Awaitable[Any]: ...


async def resync(
    database: Database,
    writer: ReplicaWriter,
    in_thread: InThread,
    *,
    meta: ReplicaMeta | None,
    reason: str,
    node_number: int,
    limits: BrakeLimits,
    read_exempt: Callable[[str], Awaitable[Set[int]]],
    note_head: Callable[[source.Head], None],
    before_swap: Callable[[], Awaitable[None]],
    stopping: asyncio.Event,
) -> Written:
    """Build a new generation and put it in force.

    Args:
        database: a connection that nobody else waits for.
        writer: the store; its current generation, if any, is compared with what PostgreSQL says.
        in_thread: runs a function in the store's thread.
        meta: what the current generation is a copy of, None if there is none.
        reason: why; after too many changes the log still tells which of them passed a brake of their own.
        node_number: this node's number in net.node.
        limits: the brake's.
        read_exempt: gives the logins that only runs with a brake of their own have changed since a snapshot; asked
            after this resync has its own, so that what it says holds for this one, too.
        note_head: told which snapshot is read.
        before_swap: awaited before the new generation is put in force; from then on nobody else may write.
        stopping: ends it early, with StoreError.
    """
    built: Generation = await in_thread(writer.build)
    old: FrozenGeneration | None = None
    try:
        if meta is not None and writer.current is not None:
            old = await in_thread(writer.current.freeze)
        async with _until(stopping), database.transaction("repeatable_read", readonly=True) as queries:
            head = await source.read_head(queries, meta.snapshot if meta else None, meta.hold_id if meta else 0)
            note_head(head)
            # Of another database neither the hold's number nor the snapshot means anything.
            is_same = meta is not None and meta.system_identifier == head.system_identifier
            exempt: Set[int] = frozenset()
            if meta is not None and reason == source.TOO_MANY_CHANGES:
                exempt = await read_exempt(meta.snapshot)
            tables = await source.read_tables(queries, node_number)
            exemptions = Exemptions(login_ids=exempt, acceptance=await _read_acceptance(queries, head, meta))
            rebuild = await in_thread(Rebuild, old, built, exemptions, tables, limits, clock.wall_s())
            async for rows in source.iterate_logins(queries):
                await in_thread(rebuild.add, rows)
            unusable_leases: set[int] = set()
            async for values in iterate_leases(queries, unusable_leases):
                await in_thread(rebuild.add_leases, values)
        await before_swap()
    except BaseException:
        await in_thread(_drop, writer, built, old)
        raise
    hold_id = meta.hold_id if meta is not None and is_same and head.hold_state == holds.OPEN else 0
    written: Written = await in_thread(_finish, writer, rebuild, (built, old), _Target(head, tables, hold_id), limits)
    return dataclasses.replace(written, unusable_leases=unusable_leases)


def _drop(writer: ReplicaWriter, built: Generation, old: FrozenGeneration | None) -> None:
    writer.discard(built)
    if old is not None:
        old.thaw()


async def _read_acceptance(queries: Queries, head: source.Head, meta: ReplicaMeta | None) -> Acceptance | None:
    """Return what an operator let through; nothing where another database's hold, or a lost one, would say so."""
    if meta is None or head.accepted_id == meta.accepted_id or head.is_from_the_future:
        return None
    if (head.system_identifier, head.timeline) != (meta.system_identifier, meta.timeline):
        return None
    return await source.read_acceptance(queries, meta.snapshot, ACCEPTANCE_CHANGES_MAX)


@asynccontextmanager
async def _until(stopping: asyncio.Event) -> AsyncIterator[None]:
    """End the block with StoreError as soon as the process shall end, whatever it waits for."""

    async def watch() -> None:
        await stopping.wait()
        raise StoreError("the resync was stopped, since this process ends")

    try:
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(watch())
            yield
            watcher.cancel()
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


class Meanwhile:
    """The time of one resync, as who goes on following must know it."""

    def __init__(self) -> None:
        """Begin before it is known which snapshot is read."""
        self.head: asyncio.Future[source.Head | None] = asyncio.get_running_loop().create_future()
        self.is_over = False

    def end(self, wake: asyncio.Event) -> None:
        """Let who follows end, too."""
        self.is_over = True
        if not self.head.done():
            self.head.set_result(None)
        wake.set()


class _Target(NamedTuple):
    head: source.Head
    tables: Tables
    hold_id: int


def _finish(
    writer: ReplicaWriter,
    rebuild: Rebuild,
    generations: tuple[Generation, FrozenGeneration | None],
    target: _Target,
    limits: BrakeLimits,
) -> Written:
    """Decide what stays held, describe the generation, put it in force."""
    built, old = generations
    try:
        written = _complete(rebuild, built, target, limits)
        if old is not None:
            old.thaw()
        writer.swap(built)
    except BaseException:
        _drop(writer, built, old)
        raise
    return written


def _complete(rebuild: Rebuild, built: Generation, target: _Target, limits: BrakeLimits) -> Written:
    now_s = clock.wall_s()
    applied = rebuild.finish(limits, now_s)
    merged = rebuild.tables(limits, now_s, keeps_lost=applied.newly_held_count > 0)
    meta = ReplicaMeta(
        snapshot=target.head.snapshot,
        system_identifier=target.head.system_identifier,
        timeline=target.head.timeline,
        count=applied.count,
        digest=applied.digest,
        applied_at_s=now_s,
        node_number=target.tables.node_number,
        hold_id=target.hold_id,
        accepted_id=target.head.accepted_id,
        held_nases=merged.held_nases,
        lost_nases=merged.lost_nases,
        held_terms=merged.held_terms,
        unusable_rows=len(merged.tables.unusable),
        lease_snapshot=target.head.snapshot,
    )
    with built.write() as write:
        write.put_tables(merged.tables)
        write.put_meta(meta)
        return Written(
            meta=meta,
            applied_count=applied.applied_count,
            newly_held_count=applied.newly_held_count,
            held_count=write.pending_count() + len(merged.held_nases) + merged.held_terms,
            unusable_count=write.problem_count() + meta.unusable_rows,
            problems=applied.problems,
            unusable_rows=rebuild.new_unusable(),
            retry_ids=applied.retry_ids,
        )
