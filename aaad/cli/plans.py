"""`aaad plan …`: what is particular about plans."""

import asyncio
from typing import Any

from aaad.cli.records import (
    Desk,
    Room,
    Saved,
    Words,
    fail,
    nothing_more,
    refuse_input,
    refuse_nothing,
    show_list,
    shown_value,
    tell_saved,
    working,
)
from aaad.cli.terminal import Terminal
from aaad.erp import fields, values
from aaad.erp.complaints import MISSING, Complaint, complaint_of_attribute
from aaad.erp.values import Value
from aaad.errors import StoreError


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


# The seeds' words (S2, line 164) where an option needs a value first: a phase of a plan its speeds.
NEEDS_VALUE = _("The option can be ticked only after giving the value or percentage.")
PHASES = ("reduced", "turbo")


def _show_more(terminal: Terminal, record: dict[str, Any]) -> None:
    _ = terminal.speak
    for phase in record["phases"]:
        terminal.line("  " + _("phase {phase}", phase=phase["phase"]), "bold")
        for field in fields.PLAN_PHASE.fields:
            if phase.get(field.column) is not None:
                terminal.line(f"    {_(field.label)}: {shown_value(terminal, phase[field.column])}")
    show_attributes(terminal, record)


def show_attributes(terminal: Terminal, record: dict[str, Any]) -> None:
    """Write the extra attributes of a plan or login."""
    for attribute in record["attributes"]:
        terminal.line(f"  {attribute['name']} = {attribute['value']}")


async def warn_of_lists(desk: Desk, row: dict[str, Value], row_id: int) -> None:
    """RADIUS has no attribute for the IPv6 address list of a plan or login: only the router's API fills it."""
    _ = desk.terminal.speak
    if row.get("address_list_ipv6"):
        option = fields.PLAN.field("address_list_ipv6").option
        desk.warnings.append(_("{name} has an effect only where aaad may use the concentrator's API.", name=option))


ROOM = Room(fields.PLAN, nothing_more, warn_of_lists, _show_more)


def list_plans(terminal: Terminal, search: str, limit: int) -> None:
    """List plans, all or those that a word fits."""
    _ = terminal.speak

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            return await desk.store.rows("list_plans", search, limit + 1)

    columns = {
        "id": _("plan"),
        "name": _("name"),
        "active": _("active"),
        "upload": _("upload"),
        "download": _("download"),
        "contracts_count": _("contracts"),
    }
    show_list(terminal, asyncio.run(find()), columns, limit)


def set_phase(terminal: Terminal, word: str, phase: str, words: Words, percent: int | None) -> None:
    """Write one of a plan's phases, its speeds given as such or as a percentage of the plan's."""
    refuse_nothing(terminal, {**words, "percent": None if percent is None else str(percent)})
    tell_saved(terminal, "plan", asyncio.run(_set_phase(terminal, word, phase, words, percent)))


async def _set_phase(terminal: Terminal, word: str, phase: str, words: Words, percent: int | None) -> Saved:
    async with working(terminal) as desk:
        plan = await desk.store.record("plan", await desk.resolve("plan", word)) or {}
        before = await desk.store.row("plan_phase", plan["id"], phase)
        row = await desk.read(fields.PLAN_PHASE, words)
        if percent is not None:
            row |= {way: values.share_of_speed(plan[way], percent) for way in ("upload", "download")}
        _check_phase(desk, row, before)
        desk.stop_if_wrong()
        if before:
            await desk.store.update(fields.PLAN_PHASE, before["id"], row)
        else:
            await desk.store.insert(fields.PLAN_PHASE, {**row, "plan_id": plan["id"], "phase": phase})
        return Saved(await desk.store.record("plan", plan["id"]) or {}, [], {})


def _check_phase(desk: Desk, row: dict[str, Value], before: dict[str, Any] | None) -> None:
    after = {**(before or {}), **row}
    if after.get("replacement_plan_id") is None and not (after.get("upload") and after.get("download")):
        desk.complaints.append(Complaint("", "", NEEDS_VALUE))
    if before is None and not row.get("hours"):
        desk.complain(fields.PLAN_PHASE.field("hours"), MISSING)


def delete_phase(terminal: Terminal, word: str, phase: str) -> None:
    """Take one of a plan's phases away."""
    _ = terminal.speak

    async def write() -> Saved:
        async with working(terminal) as desk:
            plan_id = await desk.resolve("plan", word)
            if not await desk.store.act("delete_plan_phase", plan_id, phase):
                fail(terminal, _("The plan has no such phase."))
            return Saved(await desk.store.record("plan", plan_id) or {}, [], {})

    tell_saved(terminal, "plan", asyncio.run(write()))


_ATTRIBUTE = {
    "plan": ("add_plan_attribute", "delete_plan_attribute"),
    "login": ("add_login_attribute", "delete_login_attribute"),
}


async def _add_attribute(desk: Desk, add: str, row_id: int, name: str, value: str) -> None:
    known = await desk.store.row("describe_attribute", name)
    try:
        await desk.store.act(add, row_id, name, value)
    except StoreError as error:
        if complaint := complaint_of_attribute(error, name, known):
            refuse_input(desk.terminal, [complaint])
        raise


def set_attribute(terminal: Terminal, thing: str, word: str, name: str, value: str | None) -> None:
    """Add an extra RADIUS attribute to a plan or login; without a value take all of that name away."""
    _ = terminal.speak

    async def write() -> Saved:
        async with working(terminal) as desk:
            row_id = await desk.resolve(thing, word)
            add, delete = _ATTRIBUTE[thing]
            if value is not None:
                await _add_attribute(desk, add, row_id, name, value)
            elif not await desk.store.act(delete, row_id, name):
                fail(terminal, _("It has no attribute {name}.", name=name))
            record = await desk.store.record(thing, row_id) or {}
            return Saved(record, [], {})

    tell_saved(terminal, thing, asyncio.run(write()))
