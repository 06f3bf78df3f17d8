"""`aaad pool import`: addresses that are in use elsewhere are taken over, and nobody is dropped (rules R7.3, R7.4).

Routers tell their pools and who has what of them; a FreeRADIUS's database tells its radippool and the open sessions
of its radacct. What would be done is shown; it is done with --apply. Nothing is ever written to a router, or there.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aaad.cli.cluster import opened
from aaad.cli.records import working
from aaad.cli.router_api import access_of, connected
from aaad.cli.terminal import Terminal, WrongInputError
from aaad.clock import wall_s
from aaad.db.connection import Database
from aaad.db.statements import load_statements
from aaad.erp.network.tables import FAMILIES
from aaad.errors import MistypedError
from aaad.mikrotik.found import found_in
from aaad.mikrotik.observe import observe
from aaad.pools.adopt import Conflict, Found, Plan, PlannedPool, Trouble, Wish, make_plan
from aaad.pools.freeradius import read_freeradius
from aaad.pools.takeover import Adopting, Applied

DSN_VARIABLE = "AAAD_FREERADIUS_DSN"
_SHOWN = 20
_SQL = load_statements(Path(__file__).with_name("queries.sql"))


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


TROUBLES = {
    Trouble.OTHER_KIND: _("a pool of that name is here, of another kind, family or size; see --rename"),
    Trouble.OTHER_RANGES: _("a pool of that name has other ranges here: {other}; see --rename, --extend"),
    Trouble.OVERLAP: _("pool {other} has some of these addresses"),
    Trouble.OF_ANOTHER: _("{name} uses it, and by the ledger it is of {other}"),
    Trouble.TWICE: _("{name} is reported with it, too; {other} was believed"),
    Trouble.EXCLUDED: _("{name} uses it, and it is excluded from pool {other}"),
    Trouble.TOO_LARGE: _("{name} has it, and it holds more of pool {other} than one login can have"),
    Trouble.SAME_NAME: _("another pool of that name is of another family: --rename {other}=…"),
    Trouble.NO_HOSTS: _("addresses that no session may have: loopback, link-local, multicast"),
}
_NO_SOURCE = _("--router NAS (several times, if there are several) or --freeradius is required")
_NO_DSN = _("--freeradius: its database is said by the environment variable {variable}, since it has a password")
_PAIR_ALLOWED = _("{option}: {word} is not valid. Allowed: {form}")
_RENAME_FORM, _FAMILY_FORM = (
    _("the pool's name there, =, and its name here"),
    _("a pool's name there, =, and {families}"),
)


class Typed(NamedTuple):
    """What was typed."""

    routers: list[str]
    is_freeradius: bool
    only: list[str]
    renames: list[str]
    families: list[str]
    kind: str
    space: int
    may_extend: bool
    is_final: bool


class Report(NamedTuple):
    """What was planned, and done if it was to be."""

    plan: Plan
    silent_count: int
    applied: Applied | None


def import_pools(terminal: Terminal, typed: Typed, *, is_applied: bool) -> None:
    """Show what would be taken over, or take it over; end with 1 if something could not be."""
    if not typed.routers and not typed.is_freeradius:
        raise MistypedError(_NO_SOURCE)
    wish = Wish(
        typed.space,
        typed.kind,
        frozenset(typed.only),
        _pairs("--rename", typed.renames, terminal.speak(_RENAME_FORM)),
        _families(terminal, typed.families),
        typed.may_extend,
        typed.is_final,
    )
    report = asyncio.run(_import(terminal, typed, wish, is_applied=is_applied))
    if terminal.options.is_json:
        terminal.json(_document(terminal, report))
    else:
        _show(terminal, report)
    if report.plan.conflicts or (report.applied and report.applied.lost):
        terminal.refuse()


def _pairs(option: str, words: Sequence[str], form: str) -> dict[str, str]:
    pairs = {}
    for word in words:
        there, equals, here = word.partition("=")
        if not (there and equals and here):
            raise MistypedError(_PAIR_ALLOWED, option=option, word=repr(word), form=form)
        pairs[there] = here
    return pairs


def _families(terminal: Terminal, words: Sequence[str]) -> dict[str, str]:
    form = terminal.speak(_FAMILY_FORM, families=", ".join(FAMILIES))
    pairs = _pairs("--family", words, form)
    for pool, family in pairs.items():
        if family not in FAMILIES:
            raise MistypedError(_PAIR_ALLOWED, option="--family", word=repr(f"{pool}={family}"), form=form)
    return pairs


async def _import(terminal: Terminal, typed: Typed, wish: Wish, *, is_applied: bool) -> Report:
    _ = terminal.speak
    found = [await _read_router(terminal, word) for word in typed.routers]
    silent_count = 0
    async with opened(terminal.config) as database:
        await database.fetchrow(_SQL.sign_session, terminal.operator)
        adopting = Adopting(database)
        if typed.is_freeradius:
            terminal.complain(_("Reading the other server's tables …"))
            async with _freeradius(terminal) as other:
                reading = await read_freeradius(other, await adopting.nas_ids(wish.address_space))
            found.append(reading.found)
            silent_count = reading.silent_count
        plan = make_plan(found, await adopting.know(found, wish), wish)
        if not is_applied:
            return Report(plan, silent_count, None)
        terminal.complain(_("Writing {count} leases …", count=len(plan.leases)))
        return Report(plan, silent_count, await adopting.apply(plan))


async def _read_router(terminal: Terminal, word: str) -> Found:
    _ = terminal.speak
    async with working(terminal) as desk:
        nas_id = await desk.resolve("nas", word)
        access = await access_of(desk, nas_id)
    terminal.complain(_("Reading {router} …", router=word))
    async with connected(access) as connection:
        seen = await observe(connection)
    found = found_in(seen, nas_id, wall_s())
    terminal.complain(
        _(
            "{router}: {pools} pools, {held} addresses and prefixes in use.",
            router=seen.identity or word,
            pools=len(found.pools),
            held=len(found.held),
        )
    )
    return found


@asynccontextmanager
async def _freeradius(terminal: Terminal) -> AsyncIterator[Database]:
    dsn = terminal.environ.get(DSN_VARIABLE)
    if not dsn:
        terminal.complain(terminal.speak(_NO_DSN, variable=DSN_VARIABLE))
        raise WrongInputError
    limits = terminal.config.database
    database = Database(
        dsn,
        connect_timeout_s=limits.connect_timeout_s,
        statement_timeout_s=60.0,  # its tables are large and it is asked once
        application_name="aaad pool import",
    )
    try:
        yield database
    finally:
        await database.close()


# --- what is told ---------------------------------------------------------------------------------------------------


def _document(terminal: Terminal, report: Report) -> dict[str, Any]:
    plan, applied = report.plan, report.applied
    return {
        "applied": applied is not None,
        "pools": [{**pool._asdict(), "ranges": [run.text() for run in pool.ranges]} for pool in plan.pools],
        "leases": len(plan.leases),
        "bound": applied.bound if applied else plan.bound_count,
        "marked": applied.foreign if applied else plan.foreign_count,
        "kept": applied.kept if applied else len(plan.kept) + sum(lease.is_known for lease in plan.leases),
        "unknown_names": list(plan.unknown_names),
        "outside": [{"name": one.name, "unit": list(one.unit)} for one in plan.outside],
        "conflicts": [
            {**one._asdict(), "trouble": one.trouble.value, "message": _trouble_text(terminal, one)}
            for one in (*plan.conflicts, *(applied.lost if applied else ()))
        ],
        "unread": plan.unread_count,
        "silent_sessions": report.silent_count,
    }


def _trouble_text(terminal: Terminal, conflict: Conflict) -> str:
    return terminal.speak(TROUBLES[conflict.trouble], name=conflict.name or "-", other=conflict.other or "-")


def _show(terminal: Terminal, report: Report) -> None:
    _ = terminal.speak
    plan, applied = report.plan, report.applied
    for pool in plan.pools:
        terminal.line(_pool_text(terminal, pool))
    counts = {
        "bound": applied.bound if applied else plan.bound_count,
        "marked": applied.foreign if applied else plan.foreign_count,
        "kept": applied.kept if applied else len(plan.kept) + sum(lease.is_known for lease in plan.leases),
    }
    if applied:
        text = _(
            "{bound} addresses are their logins' now, {marked} are marked as somebody's, {kept} were so already."
        )
    else:
        text = _("{bound} addresses would be their logins', {marked} marked as somebody's, {kept} are so already.")
    terminal.line(text.format(**counts), "bold")
    _show_names(terminal, _("Names that are no login here:"), plan.unknown_names)
    if plan.outside:
        pairs = [f"{one.name or '-'}" for one in plan.outside]
        _show_names(terminal, _("In no pool that is given out here, left as they are:"), pairs)
    if plan.unread_count:
        terminal.complain(_("Warning: {count} rows could not be read.", count=plan.unread_count))
    if report.silent_count:
        text = _("{count} open sessions of the other server were not heard for a day and are left out.")
        terminal.complain(text.format(count=report.silent_count))
    conflicts = (*plan.conflicts, *(applied.lost if applied else ()))
    _show_conflicts(terminal, conflicts)
    if applied is None:
        terminal.line(_("Nothing was written. The same with --apply does it."))
    elif plan.pools or plan.leases:
        terminal.line(_("The pools are being adopted: aaad pool check tells what is waited for."))


def _pool_text(terminal: Terminal, pool: PlannedPool) -> str:
    _ = terminal.speak
    ranges = ", ".join(run.text() for run in pool.ranges)
    if pool.pool_id is None:
        return _("new pool {name}: {ranges}", name=pool.name, ranges=ranges or "-")
    return _("pool {name} gets: {ranges}", name=pool.name, ranges=ranges)


def _show_names(terminal: Terminal, title: str, names: Sequence[str]) -> None:
    _ = terminal.speak
    if not names:
        return
    shown = ", ".join(names[:_SHOWN])
    more = _("and {count} more", count=len(names) - _SHOWN) if len(names) > _SHOWN else ""
    terminal.line(f"{title} {shown} {more}".rstrip(), "yellow")


def _show_conflicts(terminal: Terminal, conflicts: Sequence[Conflict]) -> None:
    _ = terminal.speak
    if not conflicts:
        return
    terminal.line(_("Not taken over:"), "bold red")
    for conflict in conflicts[:_SHOWN]:
        terminal.line(f"  {conflict.subject}: {_trouble_text(terminal, conflict)}")
    rest = Counter(conflict.trouble.value for conflict in conflicts[_SHOWN:])
    for trouble, count in sorted(rest.items()):
        terminal.line("  " + _("and {count} more: {trouble} (all of them: --json)", count=count, trouble=trouble))
