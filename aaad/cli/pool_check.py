"""`aaad pool check`: the ledger against what concentrators report, and against itself (rules R7.3, R10)."""

import asyncio
from typing import Any

from aaad.cli.records import working
from aaad.cli.sheets import Column, Document, plain, refuse_both_forms, show_table, write_csv
from aaad.cli.terminal import Terminal
from aaad.pools.reports import PoolReports


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


KINDS = {
    "not_given": _("nobody was given it"),
    "of_another": _("it is another login's"),
    "other_address": _("its login was given another one"),
    "twice": _("two connections report it"),
}
NAMES = (
    "id", "address_space", "address", "kind", "pool", "login_id", "login", "holder_id", "holder", "nas",
    "lease_state", "first_seen", "last_seen",
)  # fmt: skip
_INSTANTS = ("first_seen", "last_seen")


def check(terminal: Terminal, word: str, limit: int, *, is_csv: bool) -> None:
    """Show what does not fit together; end with 1 if anything does not."""
    refuse_both_forms(terminal, is_csv=is_csv)
    found = asyncio.run(_look(terminal, word, limit))
    if terminal.options.is_json:
        terminal.json({**found, "findings": found["findings"][:limit]})
    elif is_csv:
        write_csv(NAMES, found["findings"][:limit])
    else:
        _show(terminal, found, limit)
    if found["findings"] or found["unaccounted"]:
        terminal.refuse()


async def _look(terminal: Terminal, word: str, limit: int) -> dict[str, Any]:
    async with working(terminal) as desk:
        reports = PoolReports(desk.store.queries)
        pool_id = await desk.resolve("pool", word) if word else None
        findings = await reports.findings(pool_id=pool_id, limit=limit + 1)
        return {
            "findings": [_document(row) for row in findings],
            "unaccounted": await reports.unaccounted(pool_id),
            "awaited": {str(pool): names for pool, names in (await reports.awaited()).items()},
            "standbys": await reports.standbys(),
        }


def _document(row: dict[str, Any]) -> dict[str, Any]:
    made = {**row, **{name: row[name].isoformat() for name in _INSTANTS}}
    return {name: made[name] for name in NAMES}


def _show(terminal: Terminal, found: dict[str, Any], limit: int) -> None:
    _ = terminal.speak
    if found["findings"]:
        show_table(terminal, _columns(terminal), found["findings"][:limit], plain)
        if len(found["findings"]) > limit:
            terminal.complain(_("There are more than {limit}: see --limit.", limit=limit))
    for pool in found["unaccounted"]:
        terminal.line(
            _(
                "Pool {pool}: of {size} addresses {count} are in no state, or (below zero) in two.",
                pool=pool["name"],
                size=pool["size"],
                count=pool["unaccounted"],
            ),
            "bold red",
        )
    standbys = found["standbys"]
    if standbys and standbys["standbys"] and not standbys["waits"]:
        terminal.line(
            _(
                "PostgreSQL has {count} standbys and commits wait for none of them: a promoted one may not know "
                "what was given out. Set synchronous_standby_names.",
                count=standbys["standbys"],
            ),
            "yellow",
        )
    if not found["findings"] and not found["unaccounted"]:
        terminal.line(_("What concentrators report is what the ledger says."), "green")


def _columns(terminal: Terminal) -> list[Column]:
    _ = terminal.speak

    def who(row: Document, name: str) -> str:
        return row[name] or (f"#{row[f'{name}_id']}" if row[f"{name}_id"] else "")

    return [
        Column(_("space"), lambda row: row["address_space"]),
        Column(_("address"), lambda row: row["address"]),
        Column(_("what is wrong"), lambda row: terminal.speak(KINDS.get(str(row["kind"]), str(row["kind"])))),
        Column(_("pool"), lambda row: row["pool"] or ""),
        Column(_("reported for"), lambda row: who(row, "login")),
        Column(_("by the ledger of"), lambda row: who(row, "holder")),
        Column(_("concentrator"), lambda row: row["nas"] or ""),
        Column(_("seen first"), lambda row: terminal.instant(row["first_seen"])),
        Column(_("seen last"), lambda row: terminal.instant(row["last_seen"])),
    ]
