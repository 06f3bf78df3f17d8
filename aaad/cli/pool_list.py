"""`aaad pool list`, `show`, `history`: what pools there are, how full they are, and who changed them."""

import asyncio
from ipaddress import ip_interface
from typing import Any

from aaad.cli.pool_words import aside_text, family_text, kind_text, span_text, state_text
from aaad.cli.pools import naming_text
from aaad.cli.records import Desk, shown_value, working
from aaad.cli.sheets import Column, Document, refuse_both_forms, show_table, write_csv
from aaad.cli.terminal import Terminal
from aaad.erp.network.tables import POOL
from aaad.errors import StoreError
from aaad.pools.holdings import Holdings
from aaad.pools.operate import SetAside
from aaad.pools.reports import PoolReports

_POOLS_MAX = 10_000
_INSTANTS = ("adopting_since", "counted_at", "alarm_since", "exhausted_at")
NAMES = (
    "id", "address_space", "name", "kind", "family", "prefix_length", "members", "gateway", "state", "adopting_since",
    "size", "used", "used_percent", "never", "reserved", "bound", "offered", "fixed", "reported", "resting", "free",
    "counted_at", "alarm_percent", "alarm_since", "exhausted_at", "growth_per_day",
)  # fmt: skip


def show_history(terminal: Terminal, word: str, limit: int) -> None:
    """Show what was changed in pools, the latest first."""
    _ = terminal.speak

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            pool_id = await desk.resolve("pool", word) if word else None
            return await Holdings(desk.store.queries).pool_history(pool_id, limit + 1)

    rows = asyncio.run(find())
    if terminal.options.is_json:
        terminal.json(rows[:limit])
        return
    table = terminal.table(_("number"), _("date"), _("history"), _("operator"), _("source"))
    for row in rows[:limit]:
        table.add(row["id"], terminal.instant(row["at"]), row["text"], row["operator"], row["source"])
    table.print()
    if len(rows) > limit:
        terminal.complain(_("There are more than {limit}: see --limit.", limit=limit))


def show_pool(terminal: Terminal, word: str) -> None:
    """Show everything about a pool."""
    record = asyncio.run(_record(terminal, word))
    if terminal.options.is_json:
        terminal.json(record)
        return
    _ = terminal.speak
    terminal.line(f"{_(POOL.label)} {record['id']}", "bold")
    for field in POOL.fields:
        value = record.get(field.column)
        if field.reference:
            value = f"{value} {record[field.column.removesuffix('_id')]}" if value is not None else None
        elif field.column == "kind":
            value = kind_text(terminal.speak, str(value))
        elif field.column == "family":
            value = family_text(terminal.speak, value) or None
        if value is not None:
            terminal.line(f"  {_(field.label)}: {shown_value(terminal, value)}")
    label = _("state")
    terminal.line(f"  {label}: {state_text(terminal.speak, record['state'])}")
    if record["adopting_since"]:
        at = terminal.instant(record["adopting_since"])
        terminal.line("  " + _("being adopted since {at}: only what is proven unused is given out", at=at), "yellow")
        if awaited := [name or _("no concentrator is known") for name in record["awaited"]]:
            terminal.line("  " + _("not heard for two interims yet: {names}", names=", ".join(awaited)), "yellow")
    if record["use"]:
        _show_use(terminal, record["use"])
    elif record["kind"] == "radius":
        terminal.line(
            "  " + _("too large to be counted just now: aaad pool list has the figures counted last"), "yellow"
        )
    if names := naming_text(terminal, record["named_by"]):
        terminal.line("  " + _("named by: {names}", names=names))
    _show_parts(terminal, record)


async def _record(terminal: Terminal, word: str) -> dict[str, Any]:
    async with working(terminal) as desk:
        pool_id = await desk.resolve("pool", word)
        record = await desk.store.record("pool", pool_id) or {}
        reports = PoolReports(desk.store.queries)
        awaited = await reports.awaited() if record["adopting_since"] else {}
        told = {
            **record,
            "reserves": await reports.reserves(pool_id),
            "use": None,
            "awaited": awaited.get(pool_id, []),
        }
    if record["kind"] == "radius":
        told["use"] = await _count(terminal, pool_id)
    return told


async def _count(terminal: Terminal, pool_id: int) -> dict[str, Any] | None:
    """Count how a pool is used now; None: it is so large that PostgreSQL's time limit comes first."""
    try:
        async with working(terminal) as desk:
            return await PoolReports(desk.store.queries).counted(pool_id)
    except StoreError:
        return None


def _show_use(terminal: Terminal, use: dict[str, Any]) -> None:
    _ = terminal.speak
    terminal.line(
        "  "
        + _(
            "{size} in all: {bound} in use ({offered} of them offered), {fixed} fixed, {reported} not given by us, "
            "{resting} resting, {reserved} set aside, {free} free",
            **{**use, "free": use["never"] + use["free"]},
        ),
        "bold",
    )
    if use["unaccounted"]:
        terminal.line("  " + _("{count} are in no state or in two: aaad pool check", count=use["unaccounted"]), "red")


def _show_parts(terminal: Terminal, record: dict[str, Any]) -> None:
    _ = terminal.speak
    for part in record["ranges"]:
        text = _("range {span}: {units}, of which {given} were given out or set aside once",
                 span=span_text(part["first"], part["last"]), units=part["units"], given=part["next"])  # fmt: skip
        terminal.line("  " + text)
    for part in record["exclusions"]:
        text = _("excluded: {span} {why}", span=span_text(part["first"], part["last"]), why=part["why"] or "")
        terminal.line("  " + text.rstrip())
    for reserve in record["reserves"]:
        text = aside_text(terminal, [SetAside(0, reserve["node"], reserve["slot"], reserve["units_left"], None)])
        terminal.line("  " + _("set aside: {reserve}", reserve=text), "dim" if reserve["is_abandoned"] else "")


def list_pools(terminal: Terminal, search: str, limit: int, *, is_csv: bool) -> None:
    """List pools with their figures as counted last: in the last minute, where a node runs."""
    refuse_both_forms(terminal, is_csv=is_csv)

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            rows = await PoolReports(desk.store.queries).pools(limit=_POOLS_MAX)
            within = await _pools_of(desk, search) if search else set()
            return [row for row in rows if search.lower() in row["name"].lower() or row["id"] in within]

    rows = asyncio.run(find())
    documents = [_document(row) for row in rows[:limit]]
    if terminal.options.is_json:
        terminal.json(documents)
    elif is_csv:
        write_csv(NAMES, [{**one, "members": ";".join(one["members"] or [])} for one in documents])
    else:
        show_table(terminal, _columns(terminal), documents, _style)
        if len(rows) > limit:
            _ = terminal.speak
            terminal.complain(_("There are more than {limit}: see --limit.", limit=limit))


async def _pools_of(desk: Desk, word: str) -> set[int]:
    """Return the pools that have an address, if the word is one."""
    try:
        network = ip_interface(word).network
    except ValueError:
        return set()
    first, last = str(network.network_address), str(network.broadcast_address)
    return await Holdings(desk.store.queries).pools_with(first, last)


def _document(row: dict[str, Any]) -> dict[str, Any]:
    """Return a pool as JSON has it."""
    used = _used(row)
    made: dict[str, Any] = {
        **row,
        **{name: row[name].isoformat() if row[name] else None for name in _INSTANTS},
        "used": used,
        "used_percent": round(100 * used / row["size"], 2) if used is not None and row["size"] else None,
    }
    return {name: made[name] for name in NAMES}


def _used(row: Document) -> int | None:
    """Return how many units nobody else can have now; None: not counted."""
    if row["size"] is None:
        return None
    return int(row["bound"] + row["fixed"] + row["reported"] + row["resting"])


def _columns(terminal: Terminal) -> list[Column]:
    _ = terminal.speak

    def figure(name: str) -> Column:
        titles = {
            "size": _("size"),
            "bound": _("in use"),
            "fixed": _("fixed"),
            "reported": _("not ours"),
            "offered": _("offered"),
            "resting": _("resting"),
            "reserved": _("set aside"),
        }
        return Column(titles[name], lambda row: "" if row[name] is None else row[name])

    def percent(row: Document) -> str:
        return "" if row["used_percent"] is None else f"{row['used_percent']:.0f} %"

    def free(row: Document) -> object:
        return "" if row["size"] is None else row["never"] + row["free"]

    def full(row: Document) -> str:
        return terminal.instant(row["exhausted_at"])[:10]

    return [
        Column(_("number"), lambda row: row["id"]),
        Column(_("space"), lambda row: row["address_space"]),
        Column(_("name"), lambda row: row["name"]),
        Column(_("kind"), lambda row: kind_text(terminal.speak, row["kind"])),
        Column(_("family"), lambda row: _family(terminal, row)),
        Column(_("state"), lambda row: _state(terminal, row)),
        *(figure(name) for name in ("size", "bound", "fixed", "reported", "offered", "resting", "reserved")),
        Column(_("free"), free),
        Column(_("used"), percent),
        Column(_("full on"), full),
    ]


def _family(terminal: Terminal, row: Document) -> str:
    if row["members"]:
        return ", ".join(row["members"])
    length = f" /{row['prefix_length']}" if row["prefix_length"] else ""
    return family_text(terminal.speak, row["family"]) + length


def _state(terminal: Terminal, row: Document) -> str:
    _ = terminal.speak
    text = state_text(terminal.speak, row["state"])
    return _("{state}, being adopted", state=text) if row["adopting_since"] else text


def _style(row: Document) -> str:
    if row["alarm_since"]:
        return "bold red"
    return "dim" if row["state"] == "retired" else "yellow" if row["state"] == "draining" else ""
