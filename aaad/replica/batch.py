"""One poll's changes into the store: rows, tables, sums and snapshot in one write transaction.

Runs in the store's thread. Knows no PostgreSQL: what was read of it comes as values.
"""

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass, field

from msgspec.structs import replace

from aaad.replica.apply import (
    Access,
    Applied,
    apply_logins,
    held_changes,
    keep_named_plans,
    merge_nases,
    recent_cut_offs,
    release,
)
from aaad.replica.brake import NO_TERMS, Acceptance, BrakeLimits, terms_of
from aaad.replica.compile import LoginChange
from aaad.replica.layout import ReplicaMeta, WriteTransaction
from aaad.replica.leases import LeaseChanges
from aaad.replica.merge import MergedTerms, keep_unusable, merge_terms, new_unusable
from aaad.replica.record import Tables, UnusableRow
from aaad.replica.store import Generation

RELEASE_SLICE = 20_000  # of one transaction: an accepted hold of a million logins must not fill the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one poll read."""

    snapshot: str
    changes: list[LoginChange]
    tables: Tables | None  # None: none of them changed
    accepted_id: int = 0  # the last accepted row of net.hold
    acceptance: Acceptance | None = None  # what that lets through; None: nothing new
    are_nases_exempt: bool = False  # an operator, or another brake, let every change of a NAS entry pass
    are_terms_exempt: bool = False  # likewise of plans, parameters and branches
    leases: LeaseChanges | None = None  # None: the ledger was not read

    @property
    def is_empty(self) -> bool:
        """Whether it changes nothing but the snapshots."""
        return not self.changes and self.tables is None and (self.leases is None or not self.leases.values)

    def move(self, meta: ReplicaMeta, now_s: float) -> ReplicaMeta:
        """Return what the generation is a copy of with it."""
        lease_snapshot = meta.lease_snapshot if self.leases is None else self.leases.snapshot
        return replace(meta, snapshot=self.snapshot, lease_snapshot=lease_snapshot, applied_at_s=now_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of a batch."""

    meta: ReplicaMeta
    applied_count: int = 0
    released_count: int = 0
    newly_held_count: int = 0
    held_count: int = 0  # logins and NAS entries, and what plans and parameters would cut off
    unusable_count: int = 0
    problems: list[tuple[int, str]] = field(default_factory=list)
    unusable_rows: list[UnusableRow] = field(default_factory=list)  # of the small tables, not told yet
    leases_applied: int = 0  # logins whose leases were read again
    unusable_leases: Collection[int] = ()  # logins of leases that cannot be read
    retry_ids: tuple[int, ...] = ()


def write_batch(
    generation: Generation, meta: ReplicaMeta, batch: Batch, limits: BrakeLimits, now_s: float
) -> Written:
    """Bring the generation to the batch's snapshot."""
    released = _Released()
    held_before = len(meta.held_nases) + meta.held_terms
    if batch.acceptance is not None:
        released = _release(generation, meta, batch.acceptance)
        meta = replace(meta, hold_id=0)  # what is held still came later, is judged once more, and told anew
    meta = replace(batch.move(meta, now_s), accepted_id=batch.accepted_id)
    with generation.write() as write:
        if batch.leases is not None:
            write.put_leases(batch.leases.values)
        changes = {change.login_id: change for change in batch.changes}
        if batch.acceptance is not None:
            changes = {change.login_id: change for change in held_changes(write)} | changes
        served = write.tables() if batch.tables is not None or changes else None
        terms = _merge_terms(write, meta, served, batch, limits, now_s)
        applied = apply_logins(
            write,
            changes.values(),
            count=meta.count,
            digest=meta.digest,
            access=_access(served, terms, now_s),
            limits=limits,
            now_s=now_s,
            judges_held=batch.acceptance is not None,
        )
        meta = replace(meta, count=applied.count, digest=applied.digest)
        unusable_rows: list[UnusableRow] = []
        if served is not None and terms is not None:
            unusable_rows = new_unusable(served, terms.tables)
            meta = _write_tables(write, meta, served, terms, batch, limits, now_s)
        write.put_meta(meta)
        written = _written(write, meta, applied, released.count)
        newly_held = max(0, len(meta.held_nases) + meta.held_terms - held_before)
        return dataclasses.replace(
            written,
            newly_held_count=written.newly_held_count + newly_held,
            unusable_rows=unusable_rows,
            retry_ids=tuple({*applied.retry_ids, *released.retry_ids}),
            leases_applied=len(batch.leases.values) if batch.leases is not None else 0,
            unusable_leases=batch.leases.unusable_ids if batch.leases is not None else (),
        )


def _access(served: Tables | None, terms: MergedTerms | None, now_s: float) -> Access:
    if served is None:
        return Access(NO_TERMS, NO_TERMS)
    served_terms = terms_of(served, now_s)
    return Access(served_terms, served_terms if terms is None else terms_of(terms.tables, now_s))


def _merge_terms(
    write: WriteTransaction,
    meta: ReplicaMeta,
    served: Tables | None,
    batch: Batch,
    limits: BrakeLimits,
    now_s: float,
) -> MergedTerms | None:
    """Decide about plans, parameters and branches, and count in the window whom those that pass cut off."""
    if served is None or batch.tables is None:
        return None
    is_accepted = batch.acceptance is not None and not batch.acceptance.has_term_changes
    terms = merge_terms(
        write,
        served,
        keep_unusable(served, batch.tables),
        is_held=meta.held_terms > 0 and batch.acceptance is None,
        is_exempt=is_accepted or (batch.are_terms_exempt and not meta.held_terms),
        recent_count=recent_cut_offs(write, limits, now_s),
        limits=limits,
        now_s=now_s,
    )
    for login_id in terms.cut_off_ids:
        write.put_cut_off(login_id, now_s)
    return terms


def _written(write: WriteTransaction, meta: ReplicaMeta, applied: Applied, released_count: int) -> Written:
    return Written(
        meta=meta,
        applied_count=applied.applied_count,
        released_count=released_count,
        newly_held_count=applied.newly_held_count,
        held_count=write.pending_count() + len(meta.held_nases) + meta.held_terms,
        unusable_count=write.problem_count() + meta.unusable_rows,
        problems=applied.problems,
        retry_ids=applied.retry_ids,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Released:
    count: int = 0
    retry_ids: tuple[int, ...] = ()


def _release(generation: Generation, meta: ReplicaMeta, acceptance: Acceptance) -> _Released:
    """Apply what is held and accepted, a slice at a time; a crash between two slices goes on where it stopped."""
    with generation.read() as read:
        login_ids = [login_id for login_id in read.pending_ids() if login_id not in acceptance.changed_logins]
    retry_ids: set[int] = set()
    for start in range(0, len(login_ids), RELEASE_SLICE):
        with generation.write() as write:
            applied = release(write, login_ids[start : start + RELEASE_SLICE], count=meta.count, digest=meta.digest)
            retry_ids.update(applied.retry_ids)
    return _Released(count=len(login_ids), retry_ids=tuple(retry_ids))


def _write_tables(
    write: WriteTransaction,
    meta: ReplicaMeta,
    served: Tables,
    terms: MergedTerms,
    batch: Batch,
    limits: BrakeLimits,
    now_s: float,
) -> ReplicaMeta:
    fresh = terms.tables
    is_accepted = batch.acceptance is not None and not batch.acceptance.has_nas_changes
    merged = merge_nases(
        served,
        replace(fresh, generation=served.generation),
        held=() if is_accepted else meta.held_nases,
        lost_before=meta.lost_nases,
        limits=limits,
        now_s=now_s,
        is_exempt=is_accepted or batch.are_nases_exempt,
    )
    tables = keep_named_plans(write, served, merged.tables)
    if tables != served:
        write.put_tables(replace(tables, generation=served.generation + 1))
    return replace(
        meta,
        node_number=fresh.node_number,
        held_nases=merged.held_nases,
        lost_nases=merged.lost_nases,
        held_terms=terms.held_count,
        unusable_rows=len(fresh.unusable),
    )


def write_meta(generation: Generation, meta: ReplicaMeta) -> Written:
    """Write only what the generation is a copy of."""
    with generation.write() as write:
        write.put_meta(meta)
        return _written(write, meta, Applied(count=0, digest=0, applied_count=0, newly_held_count=0), 0)


def held_sample(generation: Generation, meta: ReplicaMeta, limit: int) -> list[str]:
    """Return a few of what is held, for an operator to recognise."""
    with generation.read() as read:
        names = [f"login {login_id}" for login_id in read.pending_ids(limit)]
    terms = ["plans, parameters or branches"] if meta.held_terms else []
    return [*terms, *(f"NAS {address}" for address in meta.held_nases[:limit]), *names][:limit]
