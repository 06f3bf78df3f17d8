"""How PostgreSQL's small tables become those that are served: what the brake keeps, what a bad row leaves as it was.

Plans, phases, parameters and branches decide about many logins at once. If their change would cut off too many, they
go on being served as they were, all of them together, until an operator accepts it. Asks no clock and no database.
"""

from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from aaad.policy.facts import PlanFacts
from aaad.replica.apply import keep_named_plans
from aaad.replica.brake import BrakeLimits, Terms, access_hours, is_over, loses_access, lost_realms, terms_of
from aaad.replica.compile import facts_of
from aaad.replica.layout import WriteTransaction
from aaad.replica.record import (
    AdministratorRow,
    BranchRow,
    NasRow,
    ParameterRow,
    PoolRow,
    RouterRow,
    Tables,
    UnusableRow,
    login_id_of,
    row_key,
    terms_key_of,
)

VERDICTS_MAX = 100_000  # remembered during a count: most logins differ in nothing that decides

_Row = TypeVar("_Row", NasRow, RouterRow, PlanFacts, ParameterRow, BranchRow, AdministratorRow, PoolRow)


class MergedTerms(NamedTuple):
    """The small tables with the plans, parameters and branches to serve."""

    tables: Tables
    held_count: int = 0  # what those that are held would cut off: logins and realms; 0: nothing is held
    cut_off_ids: Iterable[int] = ()  # logins that those which pass cut off


def merge_terms(
    read: WriteTransaction,
    served: Tables,
    fresh: Tables,
    *,
    is_held: bool,
    is_exempt: bool,
    recent_count: int,
    limits: BrakeLimits,
    now_s: float,
) -> MergedTerms:
    """Take over PostgreSQL's plans, parameters and branches, or hold them as a whole.

    Looks at every login that is served, but only where something changed that decides about access.

    Args:
        read: the logins as they are served.
        served: what is served now.
        fresh: what PostgreSQL says.
        is_held: they are held already, and so they stay until they say the same again.
        is_exempt: an operator accepted them, or they passed another brake.
        recent_count: logins cut off in the window.
        limits: the brake's.
        now_s: Unix seconds.
    """
    old, new = terms_of(served, now_s), terms_of(keep_named_plans(read, served, fresh), now_s)
    if old == new or is_exempt:
        return MergedTerms(fresh)
    cut_off_ids, with_access_count, logins_count = _count(read.records(), old, new)
    realms_count = lost_realms(old, new)
    is_too_many = is_over(
        recent_count=recent_count,
        cut_off_count=len(cut_off_ids),
        logins_count=logins_count,
        limits=limits,
        leaves_nobody=len(cut_off_ids) == with_access_count,
    )
    if not (is_held or is_too_many or realms_count):
        return MergedTerms(fresh, 0, cut_off_ids)
    held = replace(
        fresh,
        plans=_with_new(served.plans, fresh.plans),
        parameters=served.parameters,
        branches=_with_new(served.branches, fresh.branches),
    )
    return MergedTerms(held, max(1, len(cut_off_ids) + realms_count))


def _count(records: Iterator[bytes], old: Terms, new: Terms) -> tuple["array[int]", int, int]:
    """Return who gets in now and would not any more, how many get in now, and how many there are."""
    cut_off_ids = array("I")
    with_access_count = logins_count = 0
    verdicts: dict[object, tuple[bool, bool]] = {}
    for record in records:
        logins_count += 1
        key = terms_key_of(record)
        verdict = verdicts.get(key) if key is not None else None
        if verdict is None:
            facts = facts_of(record)
            verdict = access_hours(facts, old) != 0, loses_access(facts, old, facts, new)
            if len(verdicts) >= VERDICTS_MAX:
                verdicts.clear()
            if key is not None:
                verdicts[key] = verdict
        has_access, is_cut_off = verdict
        with_access_count += has_access
        if is_cut_off:
            cut_off_ids.append(login_id_of(record))
    return cut_off_ids, with_access_count, logins_count


def _with_new(served: list[_Row], fresh: list[_Row]) -> list[_Row]:
    """Return the rows as they are served, and those that PostgreSQL has made since."""
    known = set(map(row_key, served))
    return served + [row for row in fresh if row_key(row) not in known]


def keep_unusable(served: Tables, fresh: Tables) -> Tables:
    """Go on serving what rows said before they could not be compiled any more."""
    bad = {(row.table, row.key) for row in fresh.unusable}
    if not bad:
        return fresh

    def kept(table: str, rows: Iterable[_Row]) -> list[_Row]:
        return [row for row in rows if (table, row_key(row)) in bad]

    addresses = {nas.address for nas in fresh.nases}
    return replace(
        fresh,
        nases=[*fresh.nases, *(nas for nas in kept("nas", served.nases) if nas.address not in addresses)],
        routers=[*fresh.routers, *kept("router", served.routers)],
        plans=sorted([*fresh.plans, *kept("plan", served.plans)], key=_plan_id),
        parameters=[*fresh.parameters, *kept("parameter", served.parameters)],
        branches=[*fresh.branches, *kept("branch", served.branches)],
        administrators=[*fresh.administrators, *kept("router_administrator", served.administrators)],
        pools=[*fresh.pools, *kept("pool", served.pools)],
    )


def _plan_id(plan: PlanFacts) -> int:
    return plan.plan_id


def new_unusable(served: Tables | None, tables: Tables) -> list[UnusableRow]:
    """Return the rows that cannot be compiled and were not told yet."""
    told = served.unusable if served is not None else []
    return [row for row in tables.unusable if row not in told]
