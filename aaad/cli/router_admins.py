"""`aaad router-admin …`: who may log in to routers (rule R2.5); customers never do."""

import asyncio
from typing import Any

from aaad.cli.logins import generate_password
from aaad.cli.records import (
    Desk,
    Room,
    Saved,
    Words,
    add,
    nothing_more,
    nothing_to_show,
    show_list,
    tell_saved,
    working,
)
from aaad.cli.terminal import Terminal
from aaad.erp.network.tables import ROUTER_ADMINISTRATOR
from aaad.erp.values import Value

ROOM = Room(ROUTER_ADMINISTRATOR, nothing_more, nothing_more, nothing_to_show)
_PASSWORD_LENGTH = 20


def list_administrators(terminal: Terminal, search: str, limit: int) -> None:
    """List router administrators, all or those that a word fits."""
    _ = terminal.speak

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            return await desk.store.rows("list_router_administrators", search, limit + 1)

    columns = {
        "id": _("administrator"),
        "name": _("name"),
        "router_group": _("group"),
        "nas": _("concentrator"),
        "active": _("active"),
    }
    show_list(terminal, asyncio.run(find()), columns, limit)


def add_administrator(terminal: Terminal, words: Words, password: str | None) -> None:
    """Write a new administrator; without a password one is made and shown once."""

    async def complete(desk: Desk, row: dict[str, Value], row_id: int | None) -> None:
        if password is None:
            row["password"] = desk.shown_once["password"] = generate_password(_PASSWORD_LENGTH)

    add(terminal, ROOM._replace(complete=complete), {**words, "password": password})


def set_password(terminal: Terminal, word: str, password: str | None) -> None:
    """Give an administrator a new password; with None one is made and shown once."""
    tell_saved(terminal, "router_administrator", asyncio.run(_set_password(terminal, word, password)))


async def _set_password(terminal: Terminal, word: str, password: str | None) -> Saved:
    async with working(terminal) as desk:
        row_id = await desk.resolve("router_administrator", word)
        made = generate_password(_PASSWORD_LENGTH) if password is None else password
        row = await desk.read(ROUTER_ADMINISTRATOR, {"password": made})
        desk.stop_if_wrong()
        await desk.store.update(ROUTER_ADMINISTRATOR, row_id, row)
        record = await desk.store.record("router_administrator", row_id) or {}
        return Saved(record, [], {"password": made} if password is None else {})
