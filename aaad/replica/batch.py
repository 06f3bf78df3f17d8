"""One poll's changes into the store: rows, tables, sums and snapshot in one write transaction.

Runs in the store's thread. Knows no PostgreSQL: what was read of it comes as values.
"""

import dataclasses
from dataclasses import dataclass, field

from msgspec.structs import replace

from aaad.replica.apply import Applied, MergedTables, apply_logins, merge_tables, release
from aaad.replica.brake import BrakeLimits
from aaad.replica.compile import LoginChange
from aaad.replica.layout import ReplicaMeta, WriteTransaction
from aaad.replica.record import Tables
from aaad.replica.store import Generation

RELEASE_SLICE = 20_000  # of one transaction: an accepted hold of a million logins must not fill the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one poll read."""

    snapshot: str
    changes: list[LoginChange]
    tables: Tables | None  # None: none of them changed
    is_hold_accepted: bool = False  # an operator let through what is held


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of a batch."""

    meta: ReplicaMeta
    applied_count: int = 0
    released_count: int = 0
    newly_held_count: int = 0
    held_count: int = 0  # logins and NAS entries
    unusable_count: int = 0
    problems: list[tuple[int, str]] = field(default_factory=list)
    retry_ids: tuple[int, ...] = ()


def write_batch(
    generation: Generation, meta: ReplicaMeta, batch: Batch, limits: BrakeLimits, now_s: float
) -> Written:
    """Bring the generation to the batch's snapshot."""
    released = 0
    held_before = len(meta.held_nases)
    if batch.is_hold_accepted:
        released, meta = _release_all(generation, meta)
    meta = replace(meta, snapshot=batch.snapshot, applied_at_s=now_s)
    with generation.write() as write:
        applied = apply_logins(write, batch.changes, count=meta.count, digest=meta.digest, limits=limits, now_s=now_s)
        meta = replace(meta, count=applied.count, digest=applied.digest)
        if batch.tables is not None:
            meta = _write_tables(write, meta, batch.tables, is_accepted=batch.is_hold_accepted)
        write.put_meta(meta)
        written = _written(write, meta, applied, released)
        newly_held_nases = max(0, len(meta.held_nases) - held_before)
        return dataclasses.replace(written, newly_held_count=written.newly_held_count + newly_held_nases)


def _written(write: WriteTransaction, meta: ReplicaMeta, applied: Applied, released_count: int) -> Written:
    return Written(
        meta=meta,
        applied_count=applied.applied_count,
        released_count=released_count,
        newly_held_count=applied.newly_held_count,
        held_count=write.pending_count() + len(meta.held_nases),
        unusable_count=write.problem_count(),
        problems=applied.problems,
        retry_ids=applied.retry_ids,
    )


def _release_all(generation: Generation, meta: ReplicaMeta) -> tuple[int, ReplicaMeta]:
    """Apply everything that is held, a slice at a time; a crash between two slices goes on where it stopped."""
    released_count = 0
    while True:
        with generation.write() as write:
            login_ids = write.pending_ids(RELEASE_SLICE)
            release(write, login_ids, count=meta.count, digest=meta.digest)
            released_count += len(login_ids)
            if len(login_ids) < RELEASE_SLICE:
                meta = replace(meta, hold_id=0, held_nases=(), held_plans=())
                write.put_meta(meta)
                return released_count, meta


def _write_tables(write: WriteTransaction, meta: ReplicaMeta, fresh: Tables, *, is_accepted: bool) -> ReplicaMeta:
    served = write.tables()
    fresh = replace(fresh, generation=served.generation)
    merged = MergedTables(fresh, (), ())
    if not is_accepted:
        merged = merge_tables(served, fresh, held_nases=meta.held_nases, held_plans=meta.held_plans, keeps_lost=False)
    if merged.tables != served:
        write.put_tables(replace(merged.tables, generation=served.generation + 1))
    return replace(meta, node_number=fresh.node_number, held_nases=merged.held_nases, held_plans=merged.held_plans)


def write_meta(generation: Generation, meta: ReplicaMeta) -> Written:
    """Write only what the generation is a copy of."""
    with generation.write() as write:
        write.put_meta(meta)
        return _written(write, meta, Applied(count=0, digest=0, applied_count=0, newly_held_count=0), 0)


def held_sample(generation: Generation, meta: ReplicaMeta, limit: int) -> list[str]:
    """Return a few of what is held, for an operator to recognise."""
    with generation.read() as read:
        names = [f"login {login_id}" for login_id in read.pending_ids(limit)]
    return [*(f"NAS {address}" for address in meta.held_nases[:limit]), *names][:limit]
