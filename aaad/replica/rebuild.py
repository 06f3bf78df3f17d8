"""A resync: a whole new generation, compared login by login with the one that serves meanwhile.

Rows come in order of login ids, and so do the old generation's: one walk over both finds what is new, changed and
gone, in memory that does not grow. What would cut somebody off is first held; at the end, when the number is known,
the brake decides whether it stays held (rule R1.3). A node without an old generation holds nothing.

Each method is one or more transactions of the store and runs in the store's thread. Asks no clock, no database.
"""

from array import array
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import islice

from msgspec.structs import replace

from aaad.replica.apply import (
    PROBLEMS_TOLD_MAX,
    Applied,
    LoginBook,
    MergedTables,
    has_access,
    is_cut_off,
    merge_tables,
    release,
)
from aaad.replica.brake import BrakeLimits, is_over
from aaad.replica.compile import CompiledLogin
from aaad.replica.layout import WriteTransaction
from aaad.replica.record import Tables
from aaad.replica.store import FrozenGeneration, Generation

STEP_LOGINS = 5000  # of one transaction

_Pair = tuple[int, CompiledLogin | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemptions:
    """Who may be cut off without asking the brake."""

    login_ids: Set[int] = frozenset()  # changed by runs that passed their own brake, and by nothing else
    is_hold_accepted: bool = False  # an operator let through what the old generation holds


class Rebuild:
    """One generation being built. Give it every login in order, then finish it."""

    def __init__(self, old: FrozenGeneration | None, new: Generation, exemptions: Exemptions) -> None:
        """Begin with an empty new generation; `old` is compared with."""
        self._old = old
        self._new = new
        self._exemptions = exemptions
        self._after = 0  # every login up to this id is done
        self._count = 0
        self._digest = 0
        self._fresh = array("I")  # cut off, and to be judged: 4 octets each
        self.problems: list[tuple[int, str]] = []
        self._cut_offs: dict[int, float] = {}
        if old is not None:
            with old.read() as transaction:
                self._cut_offs = transaction.cut_offs()

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

    def finish(self, limits: BrakeLimits, now_s: float) -> Applied:
        """Take the rest of the old generation as gone, and let the brake decide on all that was held."""
        while gone := list(islice(self._old_ids(None), STEP_LOGINS)):
            self._write([(login_id, None) for login_id in gone])
            self._after = gone[-1]
        is_held = self._old is not None and self._is_over(self._old, limits, now_s)
        if not is_held:
            self._release_fresh(now_s)
        return Applied(
            count=self._count,
            digest=self._digest,
            applied_count=self._count,
            newly_held_count=len(self._fresh) if is_held else 0,
            problems=self.problems,
        )

    def tables(self, fresh: Tables, *, keeps_lost: bool) -> MergedTables:
        """Return the small tables of the new generation."""
        if self._old is None:
            return MergedTables(replace(fresh, generation=1), (), ())
        with self._old.read() as old:
            meta, served = old.meta(), old.tables()
        fresh = replace(fresh, generation=served.generation + 1)
        is_accepted = self._exemptions.is_hold_accepted
        if is_accepted and not keeps_lost:
            return MergedTables(fresh, (), ())
        return merge_tables(
            served,
            fresh,
            held_nases=() if is_accepted else meta.held_nases,
            held_plans=() if is_accepted else meta.held_plans,
            keeps_lost=keeps_lost,
        )

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
            is_cut = is_cut_off(served, row)
            is_held = is_cut and old.pending(login_id) is not None and not self._exemptions.is_hold_accepted
            if is_held and not has_access(row):
                book.keep(login_id, served, row)
            elif is_cut and not self._is_exempt(login_id, is_held=is_held, old=old):
                book.keep(login_id, served, row)
                self._fresh.append(login_id)
            else:
                passed.append((login_id, row))
            if login_id in self._cut_offs and not has_access(row):
                new.put_cut_off(login_id, self._cut_offs[login_id])
        book.apply(passed)

    def _is_exempt(self, login_id: int, *, is_held: bool, old: WriteTransaction) -> bool:
        if login_id in self._exemptions.login_ids:
            return True
        return not is_held and self._exemptions.is_hold_accepted and old.pending(login_id) is not None

    def _is_over(self, old: FrozenGeneration, limits: BrakeLimits, now_s: float) -> bool:
        with old.read() as transaction:
            logins_count = transaction.meta().count
            recent_count = sum(limits.is_recent(at_s, now_s) for at_s in self._cut_offs.values())
        return is_over(
            recent_count=recent_count, cut_off_count=len(self._fresh), logins_count=logins_count, limits=limits
        )

    def _release_fresh(self, now_s: float) -> None:
        for start in range(0, len(self._fresh), STEP_LOGINS):
            login_ids = self._fresh[start : start + STEP_LOGINS]
            with self._new.write() as new:
                release(new, login_ids, count=self._count, digest=self._digest)
                for login_id in login_ids:
                    new.put_cut_off(login_id, now_s)
