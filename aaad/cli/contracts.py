"""`aaad contract …`: what is particular about the records of contracts, and their circuits.

What people do to a contract besides stands in `contract_life`.
"""

import asyncio
from typing import Any, NamedTuple

from aaad.cli.contract_life import CIRCUIT_GONE
from aaad.cli.records import Desk, Room, fail, show_list, shown_value, working
from aaad.cli.terminal import Terminal
from aaad.erp import fields, validate
from aaad.erp.permissions import as_from
from aaad.erp.values import Value
from aaad.errors import InvalidValue


async def _complete(desk: Desk, row: dict[str, Value], row_id: int | None) -> None:
    """A new contract is of its client's branch; another plan does not take the old circuit along (seed S2, 241)."""
    client_id = row.get("client_id")
    if row_id is None:
        client = await desk.store.record("client", client_id) if isinstance(client_id, int) else None
        if client and "branch_id" not in row:
            row["branch_id"] = client["branch_id"]
        return
    before = await desk.store.record("contract", row_id) or {}
    await desk.permits.refuse_if_active(before)
    await desk.permits.demand(*_ways_out(before, row))
    changes_plan = "plan_id" in row and row["plan_id"] != before.get("plan_id")
    if changes_plan and before.get("circuit") and "circuit" not in row:
        row["circuit"] = None
        desk.warnings.append(desk.terminal.speak(CIRCUIT_GONE, circuit=before["circuit"]))


def _ways_out(before: dict[str, Any], row: dict[str, Value]) -> tuple[str, ...]:
    """Return the commands that end a block or a suspension, where these columns could as well."""
    resuming = before.get("suspended") and any(
        row[column] != before.get(column) for column in ("suspended_from", "suspended_until") if column in row
    )
    access_status = row.get("access_status", before.get("access_status"))
    return (*as_from(before, access_status), *(("contract resume",) if resuming else ()))


async def _warn(desk: Desk, row: dict[str, Value], row_id: int) -> None:
    """Nothing to warn of that `_complete` did not."""


def _show_more(terminal: Terminal, record: dict[str, Any]) -> None:
    _ = terminal.speak
    if record["suspended"]:
        terminal.line("  " + _("suspended at the client's wish"), "yellow")
    if not record["logins"]:
        return
    table = terminal.table(_("login"), _("name"), _("authentication"), _("active"), _("IPv4"), _("MAC"), _("deleted"))
    for login in record["logins"]:
        columns = ("id", "name", "authentication", "active", "ipv4", "mac")
        deleted = terminal.instant(login["deleted_at"]) or "-"
        table.add(*(shown_value(terminal, login[column]) for column in columns), deleted)
    table.print()


ROOM = Room(fields.CONTRACT, _complete, _warn, _show_more)


class Filter(NamedTuple):
    """Which contracts are listed; None: any."""

    client: str | None
    plan: str | None
    status: str | None
    access_status: str | None


def list_contracts(terminal: Terminal, wanted: Filter, limit: int) -> None:
    """List contracts."""
    _ = terminal.speak

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            words = {"status": wanted.status, "access_status": wanted.access_status}
            codes = await desk.read(fields.CONTRACT, words)
            desk.stop_if_wrong()
            client = await desk.resolve("client", wanted.client) if wanted.client else None
            plan = await desk.resolve("plan", wanted.plan) if wanted.plan else None
            return await desk.store.rows(
                "list_contracts", client, plan, codes.get("status"), codes.get("access_status"), limit + 1
            )

    columns = {
        "id": _("contract"),
        "client": _("client"),
        "plan": _("plan"),
        "kind": _("kind"),
        "status": _("status"),
        "access_status": _("access"),
        "suspended": _("suspended"),
        "activated_on": _("active since"),
        "circuit": _("circuit"),
    }
    show_list(terminal, asyncio.run(find()), columns, limit)


def set_circuit(terminal: Terminal, word: str, name: str) -> None:
    """Give a contract a circuit, by default made of city, client and number (seed S2, lines 245 to 250)."""
    contract_id, circuit = asyncio.run(_set_circuit(terminal, word, name))
    _ = terminal.speak
    if terminal.options.is_json:
        terminal.json({"saved": True, "message": _("Circuit added"), "contract_id": contract_id, "circuit": circuit})
    else:
        terminal.line(_("Circuit added"), "green")
        terminal.line(circuit)


async def _set_circuit(terminal: Terminal, word: str, name: str) -> tuple[int, str]:
    async with working(terminal) as desk:
        contract_id = await desk.resolve("contract", word)
        row = await desk.read(fields.CONTRACT, {"circuit": name or None})
        desk.stop_if_wrong()
        circuit = str(row.get("circuit") or await _default_circuit(desk, contract_id))
        await desk.store.act("set_circuit", contract_id, circuit)
        return contract_id, circuit


async def _default_circuit(desk: Desk, contract_id: int) -> str:
    _ = desk.terminal.speak
    parts = await desk.store.row("circuit_parts", contract_id)
    assert parts is not None
    try:
        return validate.default_circuit(parts["city"] or "", parts["client_id"], parts["plan_number"])
    except InvalidValue:
        fail(
            desk.terminal,
            _("No circuit can be made of city {city} and client {client}: give its name.",
              city=parts["city"] or "-", client=parts["client_id"]),
        )  # fmt: skip
