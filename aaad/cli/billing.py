"""`aaad billing-type …` and `aaad receivable …`: how contracts are paid, and what clients owe."""

import asyncio
from typing import Any, NamedTuple

from aaad.cli.records import Desk, Room, Saved, fail, nothing_more, nothing_to_show, show_list, tell_saved, working
from aaad.cli.terminal import Terminal
from aaad.erp import fields
from aaad.erp.values import Value

ROOM = Room(fields.BILLING_TYPE, nothing_more, nothing_more, nothing_to_show)


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


# The states of the view erp.receivable_state, as the seeds' screen has them (S4, lines 51 to 56).
STATES = {
    "a_vencer": _("not due yet (blue)"),
    "vence_hoje": _("due today (orange)"),
    "vencido": _("overdue (red)"),
    "recebido_em_dia": _("received in time (light green)"),
    "recebido_em_atraso": _("received late (dark green)"),
    "renegociado": _("renegotiated (grey)"),
    "cancelado": _("cancelled"),
}
STYLES = {
    "azul": "blue",
    "laranja": "dark_orange",
    "vermelho": "red",
    "verde_claro": "bright_green",
    "verde_escuro": "green",
    "cinza": "bright_black",
}


async def _complete(desk: Desk, row: dict[str, Value], row_id: int | None) -> None:
    """A receivable of a contract is of that contract's client; without a contract it is a single one."""
    contract_id = row.get("contract_id")
    if isinstance(contract_id, int) and "client_id" not in row:
        row["client_id"] = (await desk.store.record("contract", contract_id) or {}).get("client_id")
    row.setdefault("kind", "recurring" if contract_id else "single")


RECEIVABLES = Room(fields.RECEIVABLE, _complete, nothing_more, nothing_to_show)


def list_billing_types(terminal: Terminal, limit: int) -> None:
    """List billing types."""
    _ = terminal.speak

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            return await desk.store.rows("list_billing_types", limit + 1)

    columns = {"id": _("billing type")} | {field.column: _(field.label) for field in fields.BILLING_TYPE.fields}
    show_list(terminal, asyncio.run(find()), columns, limit)


class Filter(NamedTuple):
    """Which receivables are listed; None: any."""

    client: str | None
    contract: str | None
    with_settled: bool


def list_receivables(terminal: Terminal, wanted: Filter, limit: int) -> None:
    """List receivables with their states."""
    _ = terminal.speak

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            client = await desk.resolve("client", wanted.client) if wanted.client else None
            contract = await desk.resolve("contract", wanted.contract) if wanted.contract else None
            return await desk.store.rows("list_receivables", client, contract, wanted.with_settled, limit + 1)

    rows = asyncio.run(find())
    if not terminal.options.is_json:
        rows = [{**row, "state": _(STATES[row["state"]])} for row in rows]
    columns = {
        "id": _("receivable"),
        "client": _("client"),
        "contract_id": _("contract"),
        "kind": _("kind"),
        "amount": _("amount"),
        "due_on": _("due on"),
        "paid_on": _("paid on"),
        "state": _("state"),
    }
    show_list(terminal, rows, columns, limit, lambda row: STYLES.get(row["colour"], ""))


def settle(terminal: Terminal, number: int, *, paid_on: str | None, is_paid: bool) -> None:
    """Write that a receivable was paid, or cancel it; end with 1 if it is settled already."""
    tell_saved(terminal, "receivable", Saved(asyncio.run(_settle(terminal, number, paid_on, is_paid)), [], {}))


async def _settle(terminal: Terminal, number: int, paid_on: str | None, is_paid: bool) -> dict[str, Any]:
    _ = terminal.speak
    async with working(terminal) as desk:
        row_id = await desk.resolve("receivable", str(number))
        row = await desk.read(fields.RECEIVABLE, {"due_on": paid_on})
        desk.stop_if_wrong()
        if is_paid:
            is_done = await desk.store.act("pay_receivable", row_id, row.get("due_on"))
        else:
            is_done = await desk.store.act("cancel_receivable", row_id)
        if not is_done:
            fail(terminal, _("Receivable {number} is paid or cancelled already.", number=number))
        return await desk.store.record("receivable", row_id) or {}
