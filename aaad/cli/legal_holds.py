"""`aaad legal-hold …`: sessions that are kept beyond their time by an order (rule R9.2)."""

import asyncio
from typing import Any

from aaad.cli.records import Desk, Room, Saved, fail, nothing_more, nothing_to_show, show_list, tell_saved, working
from aaad.cli.terminal import Terminal
from aaad.erp.network.tables import LEGAL_HOLD
from aaad.erp.values import Value

_NARROWING = ("login_id", "address", "nas_id", "since", "until")


async def _warn(desk: Desk, row: dict[str, Value], row_id: int) -> None:
    _ = desk.terminal.speak
    if all(row.get(column) is None for column in _NARROWING):
        desk.warnings.append(_("This hold keeps all sessions, of everybody, for as long as it is not released."))


ROOM = Room(LEGAL_HOLD, nothing_more, _warn, nothing_to_show)


def list_holds(terminal: Terminal, limit: int, *, with_released: bool) -> None:
    """List holds, newest first: those in force, or all there ever were."""
    _ = terminal.speak

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            return await desk.store.rows("list_legal_holds", with_released, limit + 1)

    columns = {
        "id": _("legal hold"),
        "login": _("login"),
        "address": _("address"),
        "nas": _("concentrator"),
        "since": _("sessions from"),
        "until": _("sessions until"),
        "reason": _("legal order"),
        "created_by": _("operator"),
        "created_at": _("date"),
    }
    released = {"released_at": _("released"), "released_by": _("released by"), "release_reason": _("by which order")}
    show_list(terminal, asyncio.run(find()), columns | (released if with_released else {}), limit)


def release(terminal: Terminal, number: int, reason: str) -> None:
    """End a hold: what it alone kept goes with the next run over the months that are over."""
    tell_saved(terminal, "legal_hold", asyncio.run(_release(terminal, number, reason)))


async def _release(terminal: Terminal, number: int, reason: str) -> Saved:
    _ = terminal.speak
    async with working(terminal) as desk:
        if not await desk.store.act("release_legal_hold", number, reason):
            fail(terminal, _("There is no legal hold {number} in force.", number=number))
        record = await desk.store.record("legal_hold", number)
        return Saved(record or {}, [], {})
