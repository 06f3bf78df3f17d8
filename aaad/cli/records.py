"""Adding, showing, listing, changing and deleting the ERP's records: what the commands of all of them share.

A command is one transaction: all complaints about what was typed are gathered and told at once, and nothing is
written unless everything can be. What a kind of record does besides stands in its own module, as a `Room`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple, NoReturn

from aaad.cli.cluster import opened
from aaad.cli.permits import Permits
from aaad.cli.terminal import Terminal, WrongInputError
from aaad.erp.complaints import MAC_FORM, MISSING, Complaint, complaint_of
from aaad.erp.fields import Field, Table
from aaad.erp.store import Store
from aaad.erp.validate import MAC_MESSAGE, hidden_document
from aaad.erp.values import Value
from aaad.errors import InvalidValue, StoreError

Words = Mapping[str, str | None]  # by column, as typed; None: not typed
_DOCUMENT_LENGTHS = (11, 14)


class Desk:
    """What a writing command has in its hands: the store, and the complaints so far."""

    def __init__(self, terminal: Terminal, store: Store) -> None:
        """Begin without complaints."""
        self.terminal = terminal
        self.store = store
        self.complaints: list[Complaint] = []
        self.warnings: list[str] = []
        self.shown_once: dict[str, str] = {}  # secrets that were made here
        self.permits = Permits(terminal, store.queries)

    async def read(self, table: Table, words: Words) -> dict[str, Value]:
        """Return the values of what was typed; what is wrong becomes a complaint."""
        row: dict[str, Value] = {}
        for field in table.fields:
            word = words.get(field.column)
            if word is None:
                continue
            if word == "" and field.is_nullable:
                row[field.column] = None
                continue
            try:
                row[field.column] = await self._value(field, word)
            except InvalidValue as error:
                self.complain(field, MAC_FORM if error.message == MAC_MESSAGE else "")
            except ValueError:
                self.complain(field)
        return row

    async def _value(self, field: Field, word: str) -> Value:
        parsed = field.parse(word)
        if not field.reference:
            return parsed
        found = await self.store.find(field.reference, word)
        if len(found) == 1:
            return found[0].id
        if found:
            self.complaints.append(Complaint(field.column, field.label, self._meanings(found)))
            return None
        raise ValueError(word)

    def complain(self, field: Field, allowed: str = "") -> None:
        """Note that a field is not as it must be."""
        self.complaints.append(Complaint(field.column, field.label, allowed or field.allowed))

    def require(self, table: Table, row: Mapping[str, Value]) -> None:
        """Note every required field that was not given: all at once (seed S4, line 4)."""
        told = {complaint.column for complaint in self.complaints}
        for field in table.fields:
            if field.is_required and row.get(field.column) is None and field.column not in told:
                self.complain(field, MISSING)

    def stop_if_wrong(self) -> None:
        """End with exit code 2 if anything was complained of."""
        if self.complaints:
            refuse_input(self.terminal, self.complaints)

    async def resolve(self, thing: str, word: str) -> int:
        """Return the id of what an argument names; end if it is nothing, or more than one thing."""
        found = await self.store.find(thing, word)
        _ = self.terminal.speak
        if not found:
            fail(self.terminal, _("There is no {thing} {word}.", thing=thing_name(self.terminal, thing), word=word))
        if len(found) > 1:
            fail(self.terminal, _("{word} is more than one: {meanings}", word=word, meanings=self._meanings(found)))
        return found[0].id

    def _meanings(self, found: list[Any]) -> str:
        return "; ".join(f"{row.id} {row.name}".strip() for row in found)


class Saved(NamedTuple):
    """A record as it was written."""

    record: dict[str, Any]
    warnings: list[str]
    shown_once: dict[str, str]


class Room(NamedTuple):
    """What is particular about a kind of record."""

    table: Table
    # Fills in what was not typed and checks what depends on several fields. The id is None for a new record.
    complete: Callable[[Desk, dict[str, Value], int | None], Awaitable[None]]
    # What is worth telling after writing; not a refusal.
    warn: Callable[[Desk, dict[str, Value], int], Awaitable[None]]
    show_more: Callable[[Terminal, dict[str, Any]], None]


async def nothing_more(desk: Desk, row: dict[str, Value], row_id: int | None) -> None:
    """Fill in nothing, warn of nothing."""


def nothing_to_show(terminal: Terminal, record: dict[str, Any]) -> None:
    """Show the fields only."""


@asynccontextmanager
async def working(terminal: Terminal) -> AsyncIterator[Desk]:
    """Open a transaction for a command, if the operator may; a refusal by a known rule becomes a complaint."""
    try:
        async with opened(terminal.config) as database, database.transaction("read_committed") as transaction:
            store = Store(transaction)
            await store.sign(terminal.operator)
            desk = Desk(terminal, store)
            await desk.permits.demand_command()
            yield desk
    except StoreError as error:
        complaint = complaint_of(error)
        if complaint is None:
            raise
        if complaint.column:
            refuse_input(terminal, [complaint])
        fail(terminal, terminal.speak(complaint.allowed))  # nothing typed was wrong: the state of things forbids it


def fail(terminal: Terminal, text: str, **facts: object) -> NoReturn:
    """End with exit code 1 and one line."""
    if terminal.options.is_json:
        terminal.json({"saved": False, "problem": text, **facts})
    else:
        terminal.complain(text)
    terminal.refuse()


def refuse(terminal: Terminal, text: str) -> NoReturn:
    """End with exit code 2 and one line: what was typed cannot be."""
    if terminal.options.is_json:
        terminal.json({"saved": False, "problem": text})
    else:
        terminal.complain(text)
    raise WrongInputError


def refuse_nothing(terminal: Terminal, words: Words) -> None:
    """End with exit code 2 if no field was typed."""
    if any(word is not None for word in words.values()):
        return
    _ = terminal.speak
    refuse(terminal, _("Nothing to change was given."))


def refuse_input(terminal: Terminal, complaints: list[Complaint]) -> NoReturn:
    """Tell everything that is wrong with what was typed, and end with exit code 2."""
    _ = terminal.speak
    if terminal.options.is_json:
        problems = [
            {
                "field": found.column or None,
                "option": found.option or None,
                "message": _(found.allowed, **found.values),
            }
            for found in complaints
        ]
        terminal.json({"saved": False, "problems": problems})
        raise WrongInputError
    for found in complaints:
        if found.allowed == MAC_FORM:
            terminal.complain(_(MAC_FORM))
        elif found.option:
            terminal.complain(
                _(
                    "{option} ({label}): {allowed}",
                    option=found.option,
                    label=_(found.label),
                    allowed=_(found.allowed, **found.values),
                )
            )
        else:
            terminal.complain(_(found.allowed, **found.values))
    raise WrongInputError


def thing_name(terminal: Terminal, thing: str) -> str:
    """Return what people call a kind of record."""
    _ = terminal.speak
    return {
        "branch": _("branch"),
        "client": _("client"),
        "plan": _("plan"),
        "contract": _("contract"),
        "login": _("login"),
        "nas": _("concentrator"),
        "nas_secret": _("further secret"),
        "router": _("router"),
        "router_administrator": _("router administrator"),
        "billing_type": _("billing type"),
        "contact": _("contact"),
        "address": _("address"),
        "receivable": _("receivable"),
        "operator": _("operator"),
        "lent_equipment": _("equipment"),
        "line": _("line"),
        "legal_hold": _("legal hold"),
        "pool": _("pool"),
        "lease": _("address in use"),
        "reserve": _("addresses set aside by a process of node"),
        "parameter": _("parameter of branch"),
    }.get(thing, thing)


# --- the commands ---------------------------------------------------------------------------------------------------


def add(terminal: Terminal, room: Room, words: Words) -> None:
    """Write a new record."""
    tell_saved(terminal, room.table.name, asyncio.run(_add(terminal, room, words)))


async def _add(terminal: Terminal, room: Room, words: Words) -> Saved:
    async with working(terminal) as desk:
        row = await desk.read(room.table, words)
        await desk.permits.demand_fields(room.table.name, row, is_new=True)
        await room.complete(desk, row, None)
        desk.require(room.table, row)
        desk.stop_if_wrong()
        row_id = await desk.store.insert(room.table, row)
        await room.warn(desk, row, row_id)
        return Saved(await _shown(desk, room.table.name, row_id), desk.warnings, desk.shown_once)


def edit(terminal: Terminal, room: Room, word: str, words: Words) -> None:
    """Change the fields that were typed; an empty word takes a field's value away."""
    refuse_nothing(terminal, words)
    tell_saved(terminal, room.table.name, asyncio.run(_edit(terminal, room, word, words)))


async def _edit(terminal: Terminal, room: Room, word: str, words: Words) -> Saved:
    async with working(terminal) as desk:
        row_id = await desk.resolve(room.table.name, word)
        row = await desk.read(room.table, words)
        await desk.permits.demand_fields(room.table.name, row, is_new=False)
        await room.complete(desk, row, row_id)
        desk.stop_if_wrong()
        await desk.store.update(room.table, row_id, row)
        await room.warn(desk, row, row_id)
        return Saved(await _shown(desk, room.table.name, row_id), desk.warnings, desk.shown_once)


def show(terminal: Terminal, room: Room, word: str) -> None:
    """Show everything about a record that may be shown."""
    record = asyncio.run(_show(terminal, room.table.name, word))
    if terminal.options.is_json:
        terminal.json(record)
        return
    _ = terminal.speak
    terminal.line(f"{_(room.table.label)} {record['id']}", "bold")
    for field in room.table.fields:
        value = record.get(field.column)
        if field.reference:
            name = record.get(field.column.removesuffix("_id"))
            value = f"{value} {name or ''}".strip() if value is not None else None
        if value is not None and not field.is_secret:
            terminal.line(f"  {_(field.label)}: {shown_value(terminal, value)}")
    room.show_more(terminal, record)


async def _show(terminal: Terminal, thing: str, word: str) -> dict[str, Any]:
    async with working(terminal) as desk:
        return await _shown(desk, thing, await desk.resolve(thing, word))


async def _shown(desk: Desk, thing: str, row_id: int) -> dict[str, Any]:
    record = await desk.store.record(thing, row_id)
    assert record is not None
    return without_personal_data(record)


def delete(terminal: Terminal, room: Room, word: str, *, is_sure: bool) -> None:
    """Delete a record after asking; end with 1 if something is linked to it, and say what."""
    thing = room.table.name
    name, links = asyncio.run(_look_before_delete(terminal, thing, word))
    _ = terminal.speak
    if links:
        _refuse_linked(terminal, thing, name, links)
    be_sure(terminal, _("Delete {thing} {name}?", thing=thing_name(terminal, thing), name=name), is_sure=is_sure)
    row_id, remaining = asyncio.run(_delete(terminal, thing, word))
    if remaining:
        _refuse_linked(terminal, thing, name, remaining)
    if terminal.options.is_json:
        terminal.json({"deleted": True, "thing": thing, "id": row_id, "name": name})
    else:
        terminal.line(_("Deleted: {thing} {name}.", thing=thing_name(terminal, thing), name=name))


async def _look_before_delete(terminal: Terminal, thing: str, word: str) -> tuple[str, list[dict[str, Any]]]:
    async with working(terminal) as desk:
        row_id = await desk.resolve(thing, word)
        record = await desk.store.record(thing, row_id) or {}
        if record.get("deleted_at") is not None:
            _ = terminal.speak
            fail(terminal, _("{name} is deleted already.", name=record["name"]))
        return f"{row_id} {record.get('name') or record.get('client') or ''}".strip(), await desk.store.links(
            thing, row_id
        )


async def _delete(terminal: Terminal, thing: str, word: str) -> tuple[int, list[dict[str, Any]]]:
    async with working(terminal) as desk:
        row_id = await desk.resolve(thing, word)
        if links := await desk.store.links(thing, row_id):
            return row_id, links
        await desk.store.delete(thing, row_id)
        return row_id, []


def _refuse_linked(terminal: Terminal, thing: str, name: str, links: list[dict[str, Any]]) -> NoReturn:
    _ = terminal.speak
    listed = "; ".join(f"{thing_name(terminal, link['thing'])} {link['id']} {link['name']}".strip() for link in links)
    text = _(
        "{thing} {name} cannot be deleted: linked to it are {links}.",
        thing=thing_name(terminal, thing),
        name=name,
        links=listed,
    )
    fail(terminal, text[:1].upper() + text[1:], links=links)


def be_sure(terminal: Terminal, question: str, *, is_sure: bool) -> None:
    """Ask a person unless it was said already; where nobody can be asked it must be said."""
    _ = terminal.speak
    if is_sure:
        return
    if not terminal.is_interactive:
        terminal.complain(_("{question} Nobody can be asked here: say --yes.", question=question))
        raise WrongInputError
    if not terminal.confirm(question):
        fail(terminal, _("Nothing was changed."))


# --- answers --------------------------------------------------------------------------------------------------------


def tell_saved(terminal: Terminal, thing: str, saved: Saved) -> None:
    """Say that it is written, with the seeds' words, and what else is worth knowing."""
    _ = terminal.speak
    record = saved.record
    if terminal.options.is_json:
        document = {"saved": True, "message": _("Data saved successfully"), "warnings": saved.warnings}
        terminal.json({**document, thing: record, **saved.shown_once})
        return
    terminal.line(_("Data saved successfully"), "green")
    terminal.line(f"{thing_name(terminal, thing)} {record['id']} {record.get('name') or ''}".rstrip())
    for kind, word in saved.shown_once.items():
        if kind == "secret":
            terminal.line(_("The new secret, shown only now: {secret}", secret=word))
        else:
            terminal.line(_("The new password, shown only now: {password}", password=word))
    for warning in saved.warnings:
        terminal.complain(_("Warning: {warning}", warning=warning))


def without_personal_data(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with its CPF or CNPJ hidden but for the middle."""
    document = record.get("document")
    if isinstance(document, str) and len(document) in _DOCUMENT_LENGTHS:
        return {**record, "document": hidden_document(document)}
    return record


def shown_value(terminal: Terminal, value: object) -> str:
    """Return a value as people read it."""
    _ = terminal.speak
    match value:
        case None:
            return "-"
        case bool():
            return _("yes") if value else _("no")
        case datetime():
            return terminal.instant(value)
        case list():
            return ", ".join(str(item) for item in value)
        case _:
            return str(value)


def show_list(
    terminal: Terminal,
    rows: list[dict[str, Any]],
    columns: Mapping[str, str],
    limit: int,
    style_of: Callable[[dict[str, Any]], str] = lambda row: "",
) -> None:
    """Write a table of rows, each in its style, or all of them as JSON; say when there are more than asked for."""
    _ = terminal.speak
    more = len(rows) > limit
    rows = [without_personal_data(row) for row in rows[:limit]]
    if terminal.options.is_json:
        terminal.json(rows)
        return
    table = terminal.table(*columns.values())
    for row in rows:
        table.add(*(shown_value(terminal, row.get(column)) for column in columns), style=style_of(row))
    table.print()
    if more:
        terminal.complain(_("There are more than {limit}: see --limit.", limit=limit))
