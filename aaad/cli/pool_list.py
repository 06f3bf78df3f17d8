"""`aaad pool list`, `show`, `history`: what pools there are, how full they are, and who changed them."""

import asyncio
from typing import Any

from aaad.cli.pool_words import aside_text, family_text, kind_text, span_text, state_text
from aaad.cli.pools import naming_text
from aaad.cli.records import shown_value, working
from aaad.cli.sheets import Column, Document, plain, refuse_both_forms, show_table, write_csv
from aaad.cli.terminal import Terminal
from aaad.erp.network.tables import POOL
from aaad.pools.holdings import Holdings
from aaad.pools.operate import SetAside


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
    if names := naming_text(terminal, record["named_by"]):
        terminal.line("  " + _("named by: {names}", names=names))
    _show_parts(terminal, record)


async def _record(terminal: Terminal, word: str) -> dict[str, Any]:
    async with working(terminal) as desk:
        return await desk.store.record("pool", await desk.resolve("pool", word)) or {}


def _show_parts(terminal: Terminal, record: dict[str, Any]) -> None:
    _ = terminal.speak
    for part in record["ranges"]:
        text = _("range {span}: {units}, of which {given} were given out or set aside once",
                 span=span_text(part["first"], part["last"]), units=part["units"], given=part["next"])  # fmt: skip
        terminal.line("  " + text)
    for part in record["exclusions"]:
        text = _("excluded: {span} {why}", span=span_text(part["first"], part["last"]), why=part["why"] or "")
        terminal.line("  " + text.rstrip())
    sums: dict[tuple[str, int], int] = {}
    for reserve in record["reserves"]:
        key = (reserve["node"], reserve["slot"])
        sums[key] = sums.get(key, 0) + reserve["units"]
    if sums:
        aside = aside_text(terminal, [SetAside(0, *key, units, None) for key, units in sums.items()])
        terminal.line("  " + _("set aside by processes: {reserves}", reserves=aside))


def list_pools(terminal: Terminal, search: str, limit: int, *, is_csv: bool) -> None:
    """List pools with their figures."""
    refuse_both_forms(terminal, is_csv=is_csv)


__all__ = ["Column", "Document", "plain", "show_table", "write_csv"]
