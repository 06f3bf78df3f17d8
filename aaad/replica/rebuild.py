"""A resync: a whole new generation, compared login by login with the one that serves meanwhile.

Rows come in order of login ids, and so do the old generation's: one walk over both finds what is new, changed and
gone, in memory that does not grow. What would cut somebody off is first held; at the end, when the number is known,
the brake decides whether it stays held (rule R1.3). A node without an old generation holds nothing: it has nothing
else to serve.

Each method is one or more transactions of the store and runs in the store's thread. Asks no clock, no database.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from msgspec.structs import replace

from aaad.errors import TablesUnreadable
from aaad.replica.apply import (
    PROBLEMS_TOLD_MAX,
    Access,
    Applied,
    LoginBook,
    MergedTables,
    keep_named_plans,
    merge_nases,
    release,
)
from aaad.replica.brake import NO_TERMS, Acceptance, BrakeLimits, is_over, terms_of
from aaad.replica.compile import CompiledLogin
from aaad.replica.layout import WriteTransaction
from aaad.replica.merge import MergedTerms, keep_unusable, merge_terms, new_unusable
from aaad.replica.record import Tables, UnusableRow, login_id_of
from aaad.replica.store import FrozenGeneration, Generation

STEP_LOGINS = 5000  # of one transaction

_Pair = tuple[int, CompiledLogin | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemptions:
    """Who may be cut off without asking the brake."""

    login_ids: Set[int] = frozenset()  # changed by runs that passed their own brake, and by nothing else
    acceptance: Acceptance | None = None  # what an operator let through


class Rebuild:
    """One generation being built. Give it every login in order, then finish it."""

    def __init__(
        self,
        old: FrozenGeneration | None,
        new: Generation,
        exemptions: Exemptions,
        fresh: Tables,
        limits: BrakeLimits,
        now_s: float,
    ) -> None:
        """Begin with an empty new generation; `old` is compared with. `fresh`: PostgreSQL's small tables.

        Small tables of the old one that cannot be read are no obstacle: then PostgreSQL's are served.
        """
        self._old = old
        self._new = new
        self._exemptions = exemptions
        self._after = 0  # every login up to this id is done
        self._count = 0
        self._digest = 0
        self._fresh = array("I")  # cut off, and to be judged: 4 octets each
        self.problems: list[tuple[int, str]] = []
        self._cut_offs: dict[int, float] = {}
        self._with_access_count = 0  # who gets in now
        self._served_tables: Tables | None = None
        self._terms = MergedTerms(fresh)
        self._access = Access(NO_TERMS, NO_TERMS)
        if old is not None:
            with old.read() as transaction:
                self._cut_offs = transaction.cut_offs()
                with suppress(TablesUnreadable):
                    self._served_tables = transaction.tables()
                    self._terms = self._merge_terms(transaction, self._served_tables, fresh, limits, now_s)
            self._access = Access(terms_of(self._served_tables or fresh, now_s), terms_of(self._terms.tables, now_s))

    def _merge_terms(
        self, old: WriteTransaction, served: Tables, fresh: Tables, limits: BrakeLimits, now_s: float
    ) -> MergedTerms:
        acceptance = self._exemptions.acceptance
        return merge_terms(
            old,
            served,
            keep_unusable(served, fresh),
            is_held=old.meta().held_terms > 0 and acceptance is None,
            is_exempt=acceptance is not None and not acceptance.has_term_changes,
            recent_count=sum(limits.is_recent(at_s, now_s) for at_s in self._cut_offs.values()),
            limits=limits,
            now_s=now_s,
        )

    def add(self, rows: Sequence[CompiledLogin]) -> None:
        """Take the next rows of PostgreSQL, and whatever the old generation has before their end."""
        if not rows:
            return
        by_id = {row.login_id: row for row in rows}
        upto = rows[-1].login_id
        while gone := list(islice((found for found in self._old_ids(upto) if found not in by_id), STEP_LOGINS)):
            self._write([(login_id, None) for login_id in gone])
            self._after = gone[-1]
        self._write(list(by_id.items()))
        self._after = upto

    def add_leases(self, leases: Mapping[int, bytes]) -> None:
        """Take the leases of some logins."""
        with self._new.write() as new:
            new.put_leases(leases)

    def finish(self, limits: BrakeLimits, now_s: float) -> Applied:
        """Take the rest of the old generation as gone, and let the brake decide on all that was held."""
        while gone := list(islice(self._old_ids(None), STEP_LOGINS)):
            self._write([(login_id, None) for login_id in gone])
            self._after = gone[-1]
        with self._new.write() as new:
            for login_id in self._terms.cut_off_ids:
                new.put_cut_off(login_id, now_s)
        is_held = self._old is not None and self._is_over(self._old, limits, now_s)
        if not is_held:
            self._release_fresh(now_s)
        with self._new.read() as new:
            retry_ids = _retry_ids(new)
        return Applied(
            count=self._count,
            digest=self._digest,
            applied_count=self._count,
            newly_held_count=len(self._fresh) if is_held else 0,
            problems=self.problems,
            retry_ids=retry_ids,
        )

    def tables(self, limits: BrakeLimits, now_s: float, *, keeps_lost: bool) -> MergedTables:
        """Return the small tables of the new generation, whose logins are finished."""
        fresh, served = self._terms.tables, self._served_tables
        if self._old is None or served is None:
            return MergedTables(replace(fresh, generation=1))
        with self._old.read() as old:
            meta = old.meta()
        acceptance = self._exemptions.acceptance
        is_accepted = acceptance is not None and not acceptance.has_nas_changes
        merged = merge_nases(
            served,
            replace(fresh, generation=served.generation + 1),
            held=() if is_accepted else meta.held_nases,
            lost_before=meta.lost_nases,
            limits=limits,
            now_s=now_s,
            is_exempt=is_accepted,
            keeps_lost=keeps_lost,
        )
        with self._new.read() as new:
            tables = keep_named_plans(new, served, merged.tables)
        return merged._replace(tables=tables, held_terms=self._terms.held_count)

    def new_unusable(self) -> list[UnusableRow]:
        """Return the rows of the small tables that cannot be compiled and were not told yet."""
        return new_unusable(self._served_tables, self._terms.tables)

    def _old_ids(self, upto: int | None) -> Iterator[int]:
        if self._old is None:
            return
        with self._old.read() as old:
            for login_id, _ in old.sources(self._after):
                if upto is not None and login_id > upto:
                    return
                yield login_id

    def _write(self, pairs: Sequence[_Pair]) -> None:
        with self._new.write() as new:
            book = LoginBook(new, self._count, self._digest)
            if self._old is None:
                book.apply(pairs)
            else:
                with self._old.read() as old:
                    self._compare(old, new, book, pairs)
            self._count, self._digest = book.count, book.digest
            self.problems += book.problems[: PROBLEMS_TOLD_MAX - len(self.problems)]

    def _compare(self, old: WriteTransaction, new: WriteTransaction, book: LoginBook, pairs: Sequence[_Pair]) -> None:
        old_book = LoginBook(old, 0, 0)
        passed: list[_Pair] = []
        for login_id, row in pairs:
            served = old_book.served(login_id)
            self._with_access_count += self._access.has_access(served)
            was_held = old.pending(login_id) is not None
            if not self._access.is_cut_off(served, row) or self._is_accepted(login_id, was_held=was_held):
                passed.append((login_id, row))
            elif was_held and self._exemptions.acceptance is None and not self._access.gives_access(row):
                book.keep(login_id, served, row)
            elif login_id in self._exemptions.login_ids:
                passed.append((login_id, row))
            else:
                book.keep(login_id, served, row)
                self._fresh.append(login_id)
            if login_id in self._cut_offs and not self._access.gives_access(row):
                new.put_cut_off(login_id, self._cut_offs[login_id])
        book.apply(passed)

    def _is_accepted(self, login_id: int, *, was_held: bool) -> bool:
        acceptance = self._exemptions.acceptance
        if acceptance is None or login_id in acceptance.changed_logins:
            return False
        return was_held or acceptance.covers_unseen

    def _is_over(self, old: FrozenGeneration, limits: BrakeLimits, now_s: float) -> bool:
        with old.read() as transaction:
            logins_count = transaction.meta().count
            recent_count = sum(limits.is_recent(at_s, now_s) for at_s in self._cut_offs.values())
        return is_over(
            recent_count=recent_count,
            cut_off_count=len(self._fresh),
            logins_count=logins_count,
            limits=limits,
            leaves_nobody=len(self._fresh) == self._with_access_count,
        )

    def _release_fresh(self, now_s: float) -> None:
        for start in range(0, len(self._fresh), STEP_LOGINS):
            login_ids = self._fresh[start : start + STEP_LOGINS]
            with self._new.write() as new:
                release(new, login_ids, count=self._count, digest=self._digest)
                for login_id in login_ids:
                    new.put_cut_off(login_id, now_s)


def _retry_ids(new: WriteTransaction) -> tuple[int, ...]:
    """Return the logins that were left out for a name that nobody is served under in the end, or one that is held."""
    found: list[int] = []
    for login_id, name in new.problems().items():
        occupant = new.record(name) if name else None
        if name and (occupant is None or new.pending(login_id_of(occupant)) is not None):
            found.append(login_id)
    return tuple(found)
