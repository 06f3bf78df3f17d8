"""How a batch of changes becomes the replica's next state: what is applied, what the brake sets aside.

Works on one write transaction of the store, so a batch is seen at once or never. A held login goes on being served
as it was, while `Pending` remembers what PostgreSQL says. Two rows never share a name: of two that fold to one, the
second is left out, counted and told, and tried again when the name is free. A plan that PostgreSQL has lost is kept
as long as a served record names it: without it, to be served means to be refused. Asks no clock and no database.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from aaad.policy.facts import LoginFacts, PlanFacts
from aaad.replica.brake import (
    BrakeLimits,
    Terms,
    are_nases_over,
    gives_access,
    is_other_device,
    is_over,
    loses_access,
    lost_nases,
    repaired_nases,
)
from aaad.replica.compile import CompiledLogin, LoginChange, facts_of
from aaad.replica.layout import LostNas, Pending, Source, WriteTransaction
from aaad.replica.record import NasRow, Tables, login_id_of, plan_id_of

REPAIRABLE_S = 86_400.0  # so long it is remembered which secrets a NAS entry lost
LOST_NASES_MAX = 10_000
PROBLEMS_TOLD_MAX = 20  # of one batch: an operator needs a few to see what is wrong


class Served(NamedTuple):
    """How a login is answered for now."""

    name: bytes
    record: bytes
    facts: LoginFacts | None


_NOT_SERVED = Served(b"", b"", None)


class Access(NamedTuple):
    """On what terms there is access."""

    served: Terms
    fresh: Terms  # as PostgreSQL says

    def has_access(self, served: Served) -> bool:
        """Whether who is served so gets in with his password."""
        return gives_access(served.facts, self.served)

    def gives_access(self, row: CompiledLogin | None) -> bool:
        """Whether a login with this row gets in with its password."""
        return row is not None and gives_access(facts_of(row.record), self.fresh)

    def is_cut_off(self, served: Served, row: CompiledLogin | None) -> bool:
        """Whether who gets in now would not get in with this row."""
        if served.facts is None or not self.has_access(served):
            return False
        facts = facts_of(row.record) if row is not None else None
        if row is None or facts is None or loses_access(served.facts, self.served, facts, self.fresh):
            return True
        return is_other_device(served.name, served.facts, row.name, facts)


class LoginBook:
    """The logins of one generation within one write transaction, with the sums over PostgreSQL's rows."""

    def __init__(self, write: WriteTransaction, count: int, digest: int) -> None:
        """Begin with the sums as they stand."""
        self._write = write
        self.count = count
        self.digest = digest
        self.problems: list[tuple[int, str]] = []
        self.freed: set[bytes] = set()

    def served(self, login_id: int) -> Served:
        """Return how a login is answered for now."""
        name, record = self._find(login_id)
        return Served(name, record, facts_of(record)) if name else _NOT_SERVED

    def apply(self, changes: Sequence[tuple[int, CompiledLogin | None]]) -> None:
        """Serve these logins as PostgreSQL says; what was held of them is forgotten.

        All old names are freed before any new one is taken, since names may change hands within one batch.
        """
        for login_id, row in changes:
            if self._account(login_id, row):
                self._write.delete_pending(login_id)
            name, _ = self._find(login_id)
            if name and (row is None or row.name != name):
                self._write.delete_record(name)
                self.freed.add(name)
        for login_id, row in changes:
            if row is None:
                self._write.delete_source(login_id)
                self._write.delete_problem(login_id)
            else:
                self._serve(row)

    def hold(self, login_id: int, row: CompiledLogin | None) -> None:
        """Go on serving what is served, and remember what PostgreSQL says."""
        self._account(login_id, row)
        name, _ = self._find(login_id)
        if name and (row is None or row.name != name):
            self.freed.add(name)  # PostgreSQL has it to give: who was left out for it shall get it
        pending = Pending(0, False, b"", b"") if row is None else Pending(row.digest, True, row.name, row.record)
        self._write.put_pending(login_id, pending)

    def keep(self, login_id: int, served: Served, row: CompiledLogin | None) -> None:
        """Hold a change in a new generation: serve what the old one served."""
        self.hold(login_id, row)
        is_free = self._write.record(served.name) is None
        self._write.put_source(login_id, Source(0, served.name if is_free else b""))
        if is_free:
            self._write.put_record(served.name, served.record)

    def _find(self, login_id: int) -> tuple[bytes, bytes]:
        """Return name and record that a login is served with; both empty if it is not."""
        source = self._write.source(login_id)
        record = self._write.record(source.name) if source is not None and source.name else None
        if source is None or record is None or login_id_of(record) != login_id:
            return b"", b""
        return source.name, record

    def _account(self, login_id: int, row: CompiledLogin | None) -> bool:
        """Put the row into the sums in place of what was known of it; return whether that was held."""
        pending = self._write.pending(login_id)
        source = self._write.source(login_id) if pending is None else None
        if pending is not None and pending.is_present:
            self.count -= 1
            self.digest ^= pending.digest
        elif source is not None:
            self.count -= 1
            self.digest ^= source.digest
        if row is not None:
            self.count += 1
            self.digest ^= row.digest
        return pending is not None

    def _serve(self, row: CompiledLogin) -> None:
        problem = row.problem
        name = row.name
        occupant = self._write.record(name) if name else None
        occupant_id = row.login_id if occupant is None else login_id_of(occupant)
        if occupant_id != row.login_id and not self._give_way(occupant_id, name):
            problem, name = f"name: folds to that of login {occupant_id}", b""
        self._write.put_source(row.login_id, Source(row.digest, name))
        if name:
            self._write.put_record(name, row.record)
            self.freed.discard(name)
        if problem:
            self._write.put_problem(row.login_id, row.name)
            self.problems.append((row.login_id, problem))
        else:
            self._write.delete_problem(row.login_id)

    def retry_ids(self) -> tuple[int, ...]:
        """Return the logins that were left out for a name that has come free here."""
        if not self.freed or not self._write.problem_count():
            return ()
        return tuple(login_id for login_id, name in self._write.problems().items() if name in self.freed)

    def _give_way(self, occupant_id: int, name: bytes) -> bool:
        """Free a name that a held login is still served under although PostgreSQL has given it to another."""
        pending = self._write.pending(occupant_id)
        if pending is None or pending.name == name:
            return False
        source = self._write.source(occupant_id)
        self._write.put_source(occupant_id, Source(source.digest if source else 0, b""))
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became of a batch."""

    count: int  # of PostgreSQL's rows as they are known now
    digest: int
    applied_count: int
    newly_held_count: int
    problems: list[tuple[int, str]] = field(default_factory=list)
    retry_ids: tuple[int, ...] = ()  # left out until now, because another had their name


def apply_logins(
    write: WriteTransaction,
    changes: Iterable[LoginChange],
    *,
    count: int,
    digest: int,
    access: Access,
    limits: BrakeLimits,
    now_s: float,
    judges_held: bool = False,
) -> Applied:
    """Apply a batch of changed logins; what would cut off too many is held.

    Args:
        write: the store.
        changes: the rows as PostgreSQL has them.
        count: of all rows until now.
        digest: of all rows until now.
        access: on what terms there is.
        limits: the brake's.
        now_s: Unix seconds.
        judges_held: judge also what is held already; else its fate is the hold's, even in a run.
    """
    book = LoginBook(write, count, digest)
    passed: list[tuple[int, CompiledLogin | None]] = []
    fresh: list[tuple[int, CompiledLogin | None]] = []
    exempt_ids: set[int] = set()
    for change in changes:
        served = book.served(change.login_id)
        if not access.is_cut_off(served, change.row):
            passed.append((change.login_id, change.row))
            if not access.has_access(served) and access.gives_access(change.row):
                write.delete_cut_off(change.login_id)  # who has access again counts in no window
        elif not judges_held and write.pending(change.login_id) is not None and not access.gives_access(change.row):
            book.hold(change.login_id, change.row)
        elif change.is_exempt:
            passed.append((change.login_id, change.row))
            exempt_ids.add(change.login_id)
        else:
            fresh.append((change.login_id, change.row))
    cut_off_ids = exempt_ids.union(login_id for login_id, _ in fresh)
    is_held = bool(fresh) and is_over(
        recent_count=recent_cut_offs(write, limits, now_s),
        cut_off_count=len(fresh),
        logins_count=count,
        limits=limits,
        leaves_nobody=_leaves_nobody(write, access, cut_off_ids),
    )
    if is_held:
        for login_id, row in fresh:
            book.hold(login_id, row)
    else:
        for login_id, _ in fresh:
            write.put_cut_off(login_id, now_s)
        passed += fresh
    book.apply(passed)
    return Applied(
        count=book.count,
        digest=book.digest,
        applied_count=len(passed),
        newly_held_count=len(fresh) if is_held else 0,
        problems=book.problems[:PROBLEMS_TOLD_MAX],
        retry_ids=book.retry_ids(),
    )


def _leaves_nobody(write: WriteTransaction, access: Access, cut_off_ids: Set[int]) -> bool:
    """Whether no other login that is served gives access; the first one found answers it."""
    return not any(
        gives_access(facts_of(record), access.served)
        for record in write.records()
        if login_id_of(record) not in cut_off_ids
    )


def recent_cut_offs(write: WriteTransaction, limits: BrakeLimits, now_s: float) -> int:
    """Return how many logins applied changes cut off in the window; forget those before it.

    What the clock, set back since, calls the future counts as of now: for one window, not for as long as it takes.
    """
    recent_count = 0
    for login_id, at_s in write.cut_offs().items():
        if limits.is_recent(at_s, now_s):
            recent_count += 1
            if at_s > now_s:
                write.put_cut_off(login_id, now_s)
        else:
            write.delete_cut_off(login_id)
    return recent_count


def release(write: WriteTransaction, login_ids: Sequence[int], *, count: int, digest: int) -> Applied:
    """Apply what is held of these logins."""
    book = LoginBook(write, count, digest)
    rows = [(login_id, _pending_row(write, login_id)) for login_id in login_ids]
    book.apply(rows)
    return Applied(
        count=book.count,
        digest=book.digest,
        applied_count=len(rows),
        newly_held_count=0,
        problems=book.problems[:PROBLEMS_TOLD_MAX],
        retry_ids=book.retry_ids(),
    )


def held_changes(write: WriteTransaction) -> list[LoginChange]:
    """Return what is held, as changes to be judged once more."""
    return [LoginChange(login_id, _pending_row(write, login_id), False) for login_id in write.pending_ids()]


def _pending_row(write: WriteTransaction, login_id: int) -> CompiledLogin | None:
    pending = write.pending(login_id)
    if pending is None or not pending.is_present:
        return None
    problem = "" if facts_of(pending.record) is not None else "cannot be compiled"
    return CompiledLogin(login_id, pending.digest, pending.name, pending.record, problem)


class MergedTables(NamedTuple):
    """The small tables to serve, what the brake keeps of the NAS entries, and what it counts in its window."""

    tables: Tables
    held_nases: tuple[str, ...] = ()
    lost_nases: tuple[LostNas, ...] = ()
    held_terms: int = 0  # what plans, parameters and branches that the brake keeps would cut off


def merge_nases(
    served: Tables,
    fresh: Tables,
    *,
    held: Iterable[str],
    lost_before: Iterable[LostNas],
    limits: BrakeLimits,
    now_s: float,
    is_exempt: bool = False,
    keeps_lost: bool = False,
) -> MergedTables:
    """Take over what PostgreSQL says, but for the losses of NAS entries that the brake holds.

    Who gets back a secret that he lost within a day loses nothing by it: that is a repair.

    Args:
        served: what is served now.
        fresh: what PostgreSQL says.
        held: addresses of entries that are held already.
        lost_before: entries that applied changes took.
        limits: the brake's.
        now_s: Unix seconds.
        is_exempt: the new losses passed another brake, or an operator accepted them.
        keeps_lost: hold every loss, because the logins' brake holds this resync.
    """
    lost_before = list(lost_before)
    repaired = repaired_nases([entry.nas for entry in lost_before], served.nases, fresh.nases, now_s)
    lost = lost_nases(served.nases, fresh.nases, now_s) - repaired
    still_lost = lost_nases([entry.nas for entry in lost_before], fresh.nases, now_s) - repaired
    window = [
        LostNas(entry.nas, min(entry.at_s, now_s))
        for entry in lost_before
        if entry.nas.address in still_lost and entry.at_s > now_s - REPAIRABLE_S
    ]
    already = lost.intersection(held)
    recent = frozenset(entry.nas.address for entry in window if limits.is_recent(entry.at_s, now_s))
    is_over = not is_exempt and are_nases_over(served.nases, fresh.nases, lost - already, recent)
    kept = lost if keeps_lost or is_over else already
    if not is_exempt:
        window += (LostNas(nas, now_s) for nas in served.nases if nas.address in lost - kept)
    nases = _merge_nases(served.nases, fresh.nases, kept)
    remembered = tuple(window[-LOST_NASES_MAX:])
    return MergedTables(msgspec.structs.replace(fresh, nases=nases), tuple(sorted(kept)), remembered)


def keep_named_plans(write: WriteTransaction, served: Tables, fresh: Tables) -> Tables:
    """Keep the plans that PostgreSQL has lost but a served record names (a held login's), and their stand-ins."""
    missing = {plan.plan_id for plan in served.plans} - {plan.plan_id for plan in fresh.plans}
    named: set[int] = set()
    if missing:
        for record in write.records():
            named.add(plan_id_of(record))
            if named >= missing:
                break
    for plan in served.plans:
        if plan.plan_id in missing & named:
            named = named.union(_stand_ins(plan))
    kept = [plan for plan in served.plans if plan.plan_id in missing & named]
    return msgspec.structs.replace(fresh, plans=sorted([*fresh.plans, *kept], key=_plan_id))


def _stand_ins(plan: PlanFacts) -> tuple[int, ...]:
    """Return the plans that hold in this one's place: when late, used up, or at some hours."""
    phases = tuple(phase.plan_id for phase in (plan.reduced, plan.turbo) if phase is not None)
    return (plan.late_plan_id, plan.cap_plan_id, *phases)


def _plan_id(plan: PlanFacts) -> int:
    return plan.plan_id


def _merge_nases(served: list[NasRow], fresh: list[NasRow], kept: frozenset[str]) -> list[NasRow]:
    """Put the kept entries beside the new ones; a new one of the same address or number has to wait."""
    keeping = [nas for nas in served if nas.address in kept]
    kept_ids = {nas.nas_id for nas in keeping}
    return [*keeping, *(nas for nas in fresh if nas.address not in kept and nas.nas_id not in kept_ids)]
