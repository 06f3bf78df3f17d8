"""`aaad login …`: what is particular about logins: passwords, which are never arguments, and bindings.

A password comes from standard input or is made here, by the operating system's random numbers from letters and digits
that nobody confuses; only one that was made is ever shown, once.
"""

import asyncio
import secrets
from typing import Any, NamedTuple, NoReturn

from aaad.cli.own_addresses import complain_of_taken
from aaad.cli.plans import show_attributes, warn_of_lists
from aaad.cli.records import Desk, Room, Saved, Words, add, fail, show_list, tell_saved, working
from aaad.cli.terminal import Terminal
from aaad.erp import complaints, fields, validate, values
from aaad.erp.complaints import MISSING
from aaad.erp.permissions import as_from
from aaad.erp.values import Value
from aaad.errors import InvalidValue

ALPHABET = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # without 0 O o, 1 l I i
LENGTH_DEFAULT = 16
DEVICE = ("mac",)
BINDINGS = ("mac", "nas_id", "port_id", "circuit_id")
_LENGTH_PARAMETER = "password_length"
_WITH_PASSWORD = ("L", "H")  # PPPoE and Hotspot


def generate_password(length: int) -> str:
    """Return a password that can be read out over a telephone."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def needs_password(words: Words) -> bool:
    """Whether a new login of these words cannot be without a password."""
    try:
        authentication = fields.LOGIN.field("authentication").parse(words.get("authentication") or "")
        is_mac_login = values.yes_no(words.get("mac_login") or "N")
    except ValueError:
        return False  # it will be told
    return authentication in _WITH_PASSWORD and not is_mac_login


async def _complete(desk: Desk, row: dict[str, Value], row_id: int | None) -> None:
    before = await desk.store.record("login", row_id) if row_id is not None else None
    if before and before["deleted_at"] is not None:
        _refuse_deleted(desk.terminal, before)
    if before:
        await _demand_to_move(desk, before, row.get("contract_id"))
    name, password = row.get("name"), row.get("password")
    contract = await _contract_of(desk, row, row_id)
    branch_id = contract.get("branch_id")
    if isinstance(name, str) and await desk.store.parameter("block_accents_in_logins", branch_id) == "S":
        try:
            validate.login_name(name, accents_allowed=False)
        except InvalidValue:
            desk.complain(fields.LOGIN.field("name"))
    if isinstance(password, str) and row.get("password_md5") is True:
        _check_md5(desk, row, password)
    space = row.get("address_space") or (before or {}).get("address_space")
    await complain_of_taken(desk, row, row_id, space if isinstance(space, int) else 1)
    needs_password = row.get("authentication") in _WITH_PASSWORD and not row.get("mac_login")
    if row_id is None and needs_password and password is None:
        desk.complain(fields.LOGIN.field("password"), MISSING)


async def _demand_to_move(desk: Desk, login: dict[str, Any], contract_id: Value) -> None:
    """A login's contract is its plan, its owner and its state: another one is a change of each that differs."""
    if not isinstance(contract_id, int) or contract_id == login["contract_id"]:
        return
    before = await desk.store.record("contract", login["contract_id"]) or {}
    after = await desk.store.record("contract", contract_id) or {}
    commands = ["contract change-plan", *as_from(before, after.get("access_status"))]
    if after.get("client_id") != before.get("client_id"):
        commands.append("contract change-owner")
    await desk.permits.demand(*commands)


def _refuse_deleted(terminal: Terminal, login: dict[str, Any]) -> NoReturn:
    _ = terminal.speak
    fail(terminal, _("{name} is deleted already.", name=login["name"]))


def _check_md5(desk: Desk, row: dict[str, Value], password: str) -> None:
    try:
        row["password"] = validate.password_md5(password)
    except InvalidValue:
        desk.complain(fields.LOGIN.field("password"), MD5_FORM)


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


MD5_FORM = _("32 hexadecimal digits, since password_md5 is set")


async def _contract_of(desk: Desk, row: dict[str, Value], row_id: int | None) -> dict[str, Any]:
    contract_id = row.get("contract_id")
    if contract_id is None and row_id is not None:
        contract_id = (await desk.store.record("login", row_id) or {}).get("contract_id")
    return (await desk.store.record("contract", contract_id) or {}) if isinstance(contract_id, int) else {}


def _show_more(terminal: Terminal, record: dict[str, Any]) -> None:
    _ = terminal.speak
    if record["deleted_at"] is not None:
        terminal.line("  " + _("deleted: {at}", at=terminal.instant(record["deleted_at"])), "red")
    show_attributes(terminal, record)
    terminal.line(
        "  "
        + _("client {client_id} {client}, contract {status}/{access_status}",
            client_id=record["client_id"], client=record["client"],
            status=record["contract_status"], access_status=record["access_status"])
    )  # fmt: skip


ROOM = Room(fields.LOGIN, _complete, warn_of_lists, _show_more)


class Filter(NamedTuple):
    """Which logins are listed; None: any."""

    client: str | None
    contract: str | None
    search: str | None
    with_deleted: bool


def list_logins(terminal: Terminal, wanted: Filter, limit: int) -> None:
    """List logins."""
    _ = terminal.speak

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            client = await desk.resolve("client", wanted.client) if wanted.client else None
            contract = await desk.resolve("contract", wanted.contract) if wanted.contract else None
            return await desk.store.rows(
                "list_logins", client, contract, wanted.search, wanted.with_deleted, limit + 1
            )

    columns = {
        "id": _("login"),
        "name": _("name"),
        "client": _("client"),
        "contract_id": _("contract"),
        "authentication": _("authentication"),
        "active": _("active"),
        "contract_status": _("status"),
        "access_status": _("access"),
        "ipv4": _("IPv4"),
        "mac": _("MAC"),
        "deleted_at": _("deleted"),
    }
    show_list(terminal, asyncio.run(find()), columns, limit)


def add_login(terminal: Terminal, words: Words, *, is_generated: bool) -> None:
    """Write a new login, with a password made here if that was asked for."""

    async def complete(desk: Desk, row: dict[str, Value], row_id: int | None) -> None:
        contract_id = row.get("contract_id")
        made = await make_password(desk, contract_id if isinstance(contract_id, int) else None)
        row["password"] = desk.shown_once["password"] = made
        await _complete(desk, row, row_id)

    add(terminal, ROOM._replace(complete=complete) if is_generated else ROOM, words)


def set_password(terminal: Terminal, word: str, typed: str | None, *, is_wpa2: bool) -> None:
    """Give a login a password or WPA2 passphrase: what was typed, or with None one that is made and shown once."""
    column = "wpa2_passphrase" if is_wpa2 else "password"
    login, made = asyncio.run(_set_password(terminal, word, typed, column))
    tell_saved(terminal, "login", Saved(login, [], {column: made} if made else {}))


async def _set_password(terminal: Terminal, word: str, typed: str | None, column: str) -> tuple[dict[str, Any], str]:
    async with working(terminal) as desk:
        login = await desk.store.record("login", await desk.resolve("login", word)) or {}
        if column == "password" and typed is None:
            answer = await desk.store.row("generate_password", login["id"]) or {}
            return _changed(terminal, login, answer["code"] == 0), answer["password"] or ""
        made = "" if typed is not None else await make_password(desk, login["contract_id"])
        row = await desk.read(fields.LOGIN, {column: typed if typed is not None else made})
        if row.get(column) is None and not desk.complaints:
            desk.complain(fields.LOGIN.field(column))
        desk.stop_if_wrong()
        if column == "password":
            answer = await desk.store.row("set_password", login["id"], row[column]) or {}
            return _changed(terminal, login, answer["code"] == 0), ""
        return _changed(terminal, login, await desk.store.act("set_passphrase", login["id"], row[column])), made


def _changed(terminal: Terminal, login: dict[str, Any], is_done: bool) -> dict[str, Any]:
    """Return the login; what was typed is checked by then, so that only a deletion is in the way."""
    if not is_done:
        _refuse_deleted(terminal, login)
    return login


async def make_password(desk: Desk, contract_id: int | None) -> str:
    """Return a new password as long as the parameter of the contract's branch says."""
    contract = await desk.store.record("contract", contract_id) if contract_id else None
    length = await desk.store.parameter(_LENGTH_PARAMETER, contract["branch_id"] if contract else None)
    return generate_password(int(length) if length else LENGTH_DEFAULT)


def clear(terminal: Terminal, word: str, columns: tuple[str, ...]) -> None:
    """Take away what a login is bound to, so that it is free, and learned again where the login learns it."""
    record = asyncio.run(_clear(terminal, word, columns))
    tell_saved(terminal, "login", Saved(record, [], {}))


async def _clear(terminal: Terminal, word: str, columns: tuple[str, ...]) -> dict[str, Any]:
    async with working(terminal) as desk:
        login_id = await desk.resolve("login", word)
        before = await desk.store.record("login", login_id) or {}
        if before["deleted_at"] is not None:
            _refuse_deleted(terminal, before)
        if columns == DEVICE:
            answer = await desk.store.row("clear_mac", login_id) or {}
            if answer["reason"] == "mac_is_name":
                desk.complaints += filter(None, [complaints.explain("login_mac_login_with_mac")])
                desk.stop_if_wrong()
        else:
            row: dict[str, Value] = {column: None for column in columns if column in before}
            await desk.store.update(fields.LOGIN, login_id, row)
        return await desk.store.record("login", login_id) or {}
