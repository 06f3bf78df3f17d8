"""`aaad contact …` and `aaad address …`: other people of a client, and where something is installed or billed."""

import asyncio
from typing import Any

from aaad.cli.customers import warn_of_twins
from aaad.cli.records import Desk, Room, nothing_more, nothing_to_show, show_list, working
from aaad.cli.terminal import Terminal
from aaad.erp import reach
from aaad.erp.values import Value

CONTACTS = Room(reach.CONTACT, nothing_more, nothing_more, nothing_to_show)


async def _warn(desk: Desk, row: dict[str, Value], row_id: int | None) -> None:
    await warn_of_twins(desk, "twins_of_address", row_id)


ADDRESSES = Room(reach.ADDRESS, nothing_more, _warn, nothing_to_show)
_QUESTION = {"contact": "list_contacts", "address": "list_addresses"}
_TABLE = {"contact": reach.CONTACT, "address": reach.ADDRESS}


def list_of_client(terminal: Terminal, thing: str, client: str | None, limit: int) -> None:
    """List contacts or addresses, of one client or of all."""
    _ = terminal.speak

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            client_id = await desk.resolve("client", client) if client else None
            return await desk.store.rows(_QUESTION[thing], client_id, limit + 1)

    columns = {"id": _("number")} | {field.column: _(field.label) for field in _TABLE[thing].fields}
    show_list(terminal, asyncio.run(find()), columns, limit)
