"""`aaad client …`: what is particular about clients: documents by kind, one branch for who has one, address twins."""

import asyncio
from typing import Any

from aaad.cli.records import Desk, Room, show_list, shown_value, working
from aaad.cli.terminal import Terminal
from aaad.erp import fields, validate
from aaad.erp.values import Value
from aaad.errors import InvalidValue

_CPF_LENGTH = 11
_ADDRESS = {"street", "street_number", "district"}


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


# What the validator may say of a document, beyond its form.
_DOCUMENT_COMPLAINTS = (
    _("the check digits of the CPF are wrong"),
    _("the check digits of the CNPJ are wrong"),
    _("a foreigner has no CPF or CNPJ"),
)
_SAME_ADDRESS = _("client {client} {name} has the same number, street and district")


async def _complete(desk: Desk, row: dict[str, Value], row_id: int | None) -> None:
    if row_id is None and "branch_id" not in row and (only := await desk.store.row("only_branch")):
        row["branch_id"] = only["id"]
    document = row.get("document")
    if isinstance(document, str):
        kind = row.get("kind") or await _kind_of(desk, row_id, document)
        row.setdefault("kind", kind)
        _check_document(desk, row, str(kind), document)


async def _kind_of(desk: Desk, row_id: int | None, document: str) -> str:
    """Return what the record says, or what the document's length says of a new one."""
    if row_id is not None and (record := await desk.store.record("client", row_id)):
        return str(record["kind"])
    return "F" if sum(character.isalnum() for character in document) <= _CPF_LENGTH else "J"


def _check_document(desk: Desk, row: dict[str, Value], kind: str, document: str) -> None:
    try:
        row["document"] = validate.document(kind, document)
    except InvalidValue as error:
        told = error.message if error.message in _DOCUMENT_COMPLAINTS else ""
        desk.complain(fields.CLIENT.field("document"), told)


async def _warn(desk: Desk, row: dict[str, Value], row_id: int) -> None:
    if _ADDRESS & row.keys():
        await warn_of_twins(desk, "same_address", row_id)


async def warn_of_twins(desk: Desk, question: str, row_id: int | None) -> None:
    """Tell of an address that another client has: a warning, not a refusal (seed S4, line 15)."""
    speak = desk.terminal.speak
    for twin in await desk.store.rows(question, row_id):
        desk.warnings.append(speak(_SAME_ADDRESS, client=twin["id"], name=twin["name"]))


def _show_more(terminal: Terminal, record: dict[str, Any]) -> None:
    _ = terminal.speak
    if not record["contracts"]:
        return
    table = terminal.table(
        _("contract"), _("plan"), _("kind"), _("status"), _("access"), _("active since"), _("circuit"), _("logins")
    )
    for contract in record["contracts"]:
        columns = ("id", "plan", "kind", "status", "access_status", "activated_on", "circuit", "logins")
        table.add(*(shown_value(terminal, contract[column]) for column in columns))
    table.print()


ROOM = Room(fields.CLIENT, _complete, _warn, _show_more)


def list_clients(terminal: Terminal, search: str, limit: int) -> None:
    """List clients, all or those that a word fits."""
    _ = terminal.speak

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            return await desk.store.rows("list_clients", search, limit + 1)

    columns = {
        "id": _("client"),
        "name": _("name"),
        "document": _("CPF or CNPJ"),
        "active": _("active"),
        "city": _("city"),
        "mobile_phone": _("mobile phone"),
        "contracts_count": _("contracts"),
    }
    show_list(terminal, asyncio.run(find()), columns, limit)
