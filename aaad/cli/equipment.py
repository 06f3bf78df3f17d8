"""`aaad equipment …`: what customers have of the provider, which may keep a contract from being cancelled."""

import asyncio
from typing import Any

from aaad.cli.records import Room, Saved, fail, nothing_more, nothing_to_show, show_list, tell_saved, working
from aaad.cli.terminal import Terminal
from aaad.erp import reach

ROOM = Room(reach.LENT_EQUIPMENT, nothing_more, nothing_more, nothing_to_show)


def list_equipment(
    terminal: Terminal, contract: str | None, search: str, limit: int, *, with_returned: bool = False
) -> None:
    """List what is lent, of one contract or of all, or what a part of its kind or number fits."""
    _ = terminal.speak

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            contract_id = await desk.resolve("contract", contract) if contract else None
            return await desk.store.rows("list_lent_equipment", contract_id, with_returned, search, limit + 1)

    columns = {"id": _("number"), "client": _("client")}
    columns |= {field.column: _(field.label) for field in reach.LENT_EQUIPMENT.fields}
    show_list(terminal, asyncio.run(find()), columns, limit)


def take_back(terminal: Terminal, number: int, day: str | None) -> None:
    """Write that something was returned; end with 1 if it was already."""
    tell_saved(terminal, "lent_equipment", Saved(asyncio.run(_take_back(terminal, number, day)), [], {}))


async def _take_back(terminal: Terminal, number: int, day: str | None) -> dict[str, Any]:
    _ = terminal.speak
    async with working(terminal) as desk:
        row_id = await desk.resolve("lent_equipment", str(number))
        row = await desk.read(reach.LENT_EQUIPMENT, {"returned_on": day})
        desk.stop_if_wrong()
        if not await desk.store.act("return_equipment", row_id, row.get("returned_on")):
            fail(terminal, _("Equipment {number} was returned already.", number=number))
        return await desk.store.record("lent_equipment", row_id) or {}
