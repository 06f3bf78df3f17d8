"""`aaad operator …` and `aaad permission …`: who works here, and the seeds' permissions.

What each of them does stands in `aaad.erp.permissions`. Who gives permissions could give himself any: so only an
operator whose group has all of them does, once there is one.
"""

import asyncio
from typing import Any

from aaad.cli.records import Desk, Room, fail, nothing_more, nothing_to_show, show_list, working
from aaad.cli.terminal import Terminal
from aaad.erp import fields
from aaad.erp.permissions import PERMISSIONS
from aaad.erp.values import Value

ALL = "all"


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


_SEES_DOCUMENTS = _("sees CPF and CNPJ in connection records")


async def _complete(desk: Desk, row: dict[str, Value], row_id: int | None) -> None:
    await desk.permits.demand_all()


ROOM = Room(fields.OPERATOR, _complete, nothing_more, nothing_to_show)


def list_operators(terminal: Terminal, limit: int) -> None:
    """List operators."""
    _ = terminal.speak

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            return await desk.store.rows("list_operators", limit + 1)

    columns = {
        "id": _("operator"),
        "name": _("name"),
        "full_name": _("full name"),
        "active": _("active"),
        "group": _("group"),
        "branch": _("branch"),
    }
    show_list(terminal, asyncio.run(find()), columns, limit)


def list_permissions(terminal: Terminal) -> None:
    """List the permissions and the groups that have them."""
    _ = terminal.speak

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            return await desk.store.rows("list_permissions")

    known = {one.number: one for one in PERMISSIONS}
    rows = asyncio.run(find())
    for row in rows:
        one = known.get(row["id"])
        row["meaning"] = _(one.meaning if one else _SEES_DOCUMENTS)
        row["commands"] = list(one.commands) if one else ["whois"]
    columns = {"id": _("number"), "name": _("permission"), "meaning": _("what it does"), "groups": _("groups")}
    show_list(terminal, rows, columns, len(rows))


def give(terminal: Terminal, group: str, permission: str, *, is_granted: bool) -> None:
    """Grant a group of operators a permission, or take it away; a group that is granted one first is made so."""

    async def write() -> tuple[str, bool]:
        async with working(terminal) as desk:
            await desk.permits.demand_all()
            is_all = permission == ALL
            permission_id = 0 if is_all else await desk.resolve("permission", permission)
            if is_granted and not await desk.store.find("operator_group", group):
                await desk.store.act("make_operator_group", group)
            group_id = await desk.resolve("operator_group", group)
            if is_all:
                return ALL, await desk.store.act("give_all", group_id, is_granted)
            if not is_granted:
                await _refuse_to_take_one_of_all(desk, group_id, permission_id)
            sql = "grant_permission" if is_granted else "take_permission"
            return str(permission_id), await desk.store.act(sql, group_id, permission_id)

    permission_id, is_changed = asyncio.run(write())
    _ = terminal.speak
    if terminal.options.is_json:
        document = {"saved": True, "message": _("Data saved successfully"), "changed": is_changed}
        terminal.json({**document, "group": group, "permission": ALL if permission == ALL else int(permission_id)})
        return
    terminal.line(_("Data saved successfully"), "green")
    if not is_changed:
        terminal.line(_("It was so already."))


async def _refuse_to_take_one_of_all(desk: Desk, group_id: int, permission_id: int) -> None:
    """End with exit code 1 where it would be said to be taken, and the group would have it as before."""
    if held := await desk.store.row("held_by_all", group_id, permission_id):
        _ = desk.terminal.speak
        text = _("The group {group} has all permissions: take them away first, `aaad permission deny {group} all`.",
                 group=held["name"])  # fmt: skip
        fail(desk.terminal, text)
