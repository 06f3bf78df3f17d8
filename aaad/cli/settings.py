"""`aaad parameter …`: the provider's parameters, a closed list, in general and by branch."""

import asyncio
from typing import Any

from aaad.cli.records import fail, refuse_input, shown_value, working
from aaad.cli.terminal import Terminal
from aaad.erp.complaints import Complaint
from aaad.policy.parameters import GENERAL, PARAMETERS, Parameter, is_valid


def list_parameters(terminal: Terminal, search: str) -> None:
    """Show every parameter there is, with its value in general and what branches have instead."""
    _ = terminal.speak
    rows = asyncio.run(_set_values(terminal))
    listed = [_described(terminal, parameter, rows) for name, parameter in PARAMETERS.items() if search in name]
    if terminal.options.is_json:
        terminal.json(listed)
        return
    table = terminal.table(_("parameter"), _("value"), _("of branches"), _("default"), _("allowed"), _("meaning"))
    for entry in listed:
        branches = ", ".join(f"{branch}: {value}" for branch, value in entry["branches"].items())
        shown = [shown_value(terminal, entry[key]) for key in ("name", "value")]
        table.add(*shown, branches or "-", entry["default"] or "-", entry["allowed"], entry["meaning"])
    table.print()


async def _set_values(terminal: Terminal) -> list[dict[str, Any]]:
    async with working(terminal) as desk:
        return await desk.store.rows("list_parameters")


def _described(terminal: Terminal, parameter: Parameter, rows: list[dict[str, Any]]) -> dict[str, Any]:
    _ = terminal.speak
    mine = [row for row in rows if row["name"] == parameter.name]
    return {
        "name": parameter.name,
        "value": next((row["value"] for row in mine if row["branch"] is None), None),
        "branches": {row["branch"]: row["value"] for row in mine if row["branch"] is not None},
        "default": parameter.default,
        "allowed": _allowed(terminal, parameter),
        "meaning": _(parameter.description),
    }


def _allowed(terminal: Terminal, parameter: Parameter) -> str:
    _ = terminal.speak
    if parameter.maximum:
        return _("a whole number from {least} to {most}", least=parameter.minimum, most=parameter.maximum)
    return _(parameter.allowed)


def set_parameter(terminal: Terminal, name: str, value: str | None, branch: str | None) -> None:
    """Give a parameter a value, of a branch or in general; without a value what was set is taken away."""
    asyncio.run(_set_parameter(terminal, name, value, branch))
    _ = terminal.speak
    if terminal.options.is_json:
        document = {"saved": True, "message": _("Data saved successfully"), "warnings": []}
        terminal.json({**document, "name": name, "branch": branch, "value": value})
        return
    terminal.line(_("Data saved successfully"), "green")


async def _set_parameter(terminal: Terminal, name: str, value: str | None, branch: str | None) -> None:
    _ = terminal.speak
    parameter = PARAMETERS.get(name)
    if parameter is None:
        fail(terminal, _("There is no parameter {name}: see `aaad parameter list`.", name=name))
    async with working(terminal) as desk:
        branch_id = await desk.resolve("branch", branch) if branch else None
        if value is None:
            await desk.store.act("unset_parameter", name, branch_id)
            return
        if not is_valid(parameter, value, branch_id or GENERAL):
            refuse_input(terminal, [Complaint("", name, f"{name}: {_allowed(terminal, parameter)}")])
        await desk.store.act("set_parameter", name, branch_id, value)
