"""`aaad nas …`: concentrators and their secrets, and what is wrong with their routers.

A secret comes from standard input or is made here; only one that was made is ever shown, once. A new secret takes the
old one's place at once and the old one is believed for a time, so that nobody is refused while the router is changed.
"""

import asyncio
from typing import Any, NoReturn

import msgspec

from aaad.cli.local_node import LocalNode
from aaad.cli.logins import generate_password
from aaad.cli.records import Desk, Room, Saved, Words, add, fail, nothing_more, show_list, tell_saved, working
from aaad.cli.router_words import router_problem_text, unknown_source_text
from aaad.cli.terminal import Terminal
from aaad.daemon.router_problems import RouterProblem, find_router_problems
from aaad.erp.network.tables import NAS, NAS_SECRET
from aaad.erp.values import Value
from aaad.errors import AaadError, StoreError

SECRET_LENGTH = 24  # 140 bits
_HOUR_S = 3600.0


def _show_more(terminal: Terminal, record: dict[str, Any]) -> None:
    """Show further secrets by their notes, the routers that were seen, and what is wrong with them."""
    _, line = terminal.speak, terminal.line
    for text in _previous_secrets(terminal, record):
        line("  " + text)
    if record["routers"]:
        table = terminal.table(_("router"), _("identifier"), _("last heard"), _("clock"), "Message-Authenticator")
        for router in record["routers"]:
            demanded = _("demanded") if router["is_armed"] else record["message_authenticator"]
            off_s = router["clock_offset_s"]
            clock = "" if off_s is None else f"{off_s:+.0f} s"
            address, heard = router["source_address"], terminal.age(router["silent_s"])
            table.add(address, router["nas_identifier"], heard, clock, demanded)
        table.print()
    try:
        problems = _problems(terminal, record["name"])
    except AaadError:
        return  # there is no node on this machine
    for problem in problems:
        line(f"! {router_problem_text(terminal, problem)}", "bold yellow")


def _previous_secrets(terminal: Terminal, record: dict[str, Any]) -> list[str]:
    """Tell each secret that is believed besides the entry's own, and until when."""
    _ = terminal.speak
    told = []
    if record["is_previous_valid"]:
        until = terminal.instant(record["secret_previous_until"])
        told.append(_("the previous secret is believed until {at}", at=until))
    for secret in record["secrets"]:
        which = _("further secret {id}: {note}", id=secret["id"], note=secret["note"] or "-")
        until = terminal.instant(secret["valid_until"])
        if not until:
            told.append(_("{which}, believed without an end", which=which))
        elif secret["is_valid"]:
            told.append(_("{which}, believed until {until}", which=which, until=until))
        else:
            told.append(_("{which}, not believed any more since {until}", which=which, until=until))
    return told


ROOM = Room(NAS, nothing_more, nothing_more, _show_more)


def list_nases(terminal: Terminal, search: str, limit: int) -> None:
    """List concentrators, all or those that a word fits."""
    _ = terminal.speak

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            return await desk.store.rows("list_nases", search, limit + 1)

    columns = {
        "id": _("concentrator"),
        "name": _("name"),
        "address": _("address"),
        "kind": _("kind"),
        "enabled": _("enabled"),
        "message_authenticator": "Message-Authenticator",
        "branch": _("branch"),
        "secrets_count": _("secrets"),
        "routers_count": _("routers"),
    }
    show_list(terminal, asyncio.run(find()), columns, limit)


def add_nas(terminal: Terminal, words: Words, secret: str | None) -> None:
    """Write a new concentrator; without a secret one is made and shown once."""

    async def complete(desk: Desk, row: dict[str, Value], row_id: int | None) -> None:
        if secret is None:
            row["secret"] = desk.shown_once["secret"] = generate_password(SECRET_LENGTH)

    add(terminal, ROOM._replace(complete=complete), {**words, "secret": secret})


def rotate_secret(terminal: Terminal, word: str, secret: str | None, hours: float) -> None:
    """Give a concentrator a new secret; the old one is believed for so many hours more."""
    tell_saved(terminal, "nas", asyncio.run(_rotate(terminal, word, secret, hours)))


async def _rotate(terminal: Terminal, word: str, secret: str | None, hours: float) -> Saved:
    _ = terminal.speak
    async with working(terminal) as desk:
        nas_id = await desk.resolve("nas", word)
        made = await _read_secret(desk, secret)
        changed = await _write_rotation(desk, nas_id, word, made, hours)
        if changed is None:
            fail(terminal, _("That is its secret already."))
        record = await desk.store.record("nas", nas_id) or {}
        until = terminal.instant(changed["secret_previous_until"])
        told = (
            _("set the new secret in the router before {at}: until then the old one is believed, too", at=until)
            if until
            else _("the old secret is not believed any more: set the new one in the router now")
        )
        others = _previous_secrets(terminal, {**record, "is_previous_valid": False})
        return Saved(record, [told, *others], {"secret": made} if secret is None else {})


async def _write_rotation(desk: Desk, nas_id: int, word: str, made: str, hours: float) -> dict[str, Any] | None:
    """Write the new secret; where the ones still believed leave no room for the old one, end and say what to do."""
    _ = desk.terminal.speak
    note = _("previous secret of an earlier rotation")
    before = await desk.store.record("nas", nas_id) or {}
    try:
        return await desk.store.row("rotate_secret", nas_id, made, hours * _HOUR_S, note)
    except StoreError as error:
        if error.constraint == "nas_secret_at_most_four":
            _refuse_for_room(desk.terminal, word, before)
        raise


def _refuse_for_room(terminal: Terminal, word: str, record: dict[str, Any]) -> NoReturn:
    _ = terminal.speak
    text = _(
        "{nas} has 4 secrets that are believed, and its old one has no room: wait for the end of one, or take away "
        "one that no router uses any more (`aaad nas secret delete {nas} NUMBER`, "
        "`aaad nas rotate-secret {nas} --end`). Nothing was changed.",
        nas=word,
    )
    fail(terminal, "\n".join([text, *_previous_secrets(terminal, record)]))


async def _read_secret(desk: Desk, secret: str | None) -> str:
    """Return the secret that was typed, or a new one."""
    row = await desk.read(NAS, {"secret": generate_password(SECRET_LENGTH) if secret is None else secret})
    desk.stop_if_wrong()
    return str(row["secret"])


def end_previous_secret(terminal: Terminal, word: str) -> None:
    """Believe the previous secret no more; end with 1 if there is none."""
    tell_saved(terminal, "nas", asyncio.run(_end_previous(terminal, word)))


async def _end_previous(terminal: Terminal, word: str) -> Saved:
    _ = terminal.speak
    async with working(terminal) as desk:
        nas_id = await desk.resolve("nas", word)
        if not await desk.store.act("end_previous_secret", nas_id):
            fail(terminal, _("It has no previous secret."))
        record = await desk.store.record("nas", nas_id) or {}
        return Saved(record, _previous_secrets(terminal, record), {})


def add_secret(terminal: Terminal, word: str, secret: str | None, note: str, hours: float) -> None:
    """Give a concentrator one more secret, for a router behind its address; 0 hours: for ever."""
    tell_saved(terminal, "nas_secret", asyncio.run(_add_secret(terminal, word, secret, note, hours)))


async def _add_secret(terminal: Terminal, word: str, secret: str | None, note: str, hours: float) -> Saved:
    async with working(terminal) as desk:
        nas_id = await desk.resolve("nas", word)
        row = await desk.read(NAS_SECRET, {"note": note or None})
        made = await _read_secret(desk, secret)
        added = await desk.store.row("add_secret", nas_id, made, row.get("note", ""), hours * _HOUR_S)
        record = {**(added or {}), "name": note}
        return Saved(record, [], {"secret": made} if secret is None else {})


def delete_secret(terminal: Terminal, word: str, number: int) -> None:
    """Take one of a concentrator's further secrets away."""
    tell_saved(terminal, "nas", asyncio.run(_delete_secret(terminal, word, number)))


async def _delete_secret(terminal: Terminal, word: str, number: int) -> Saved:
    _ = terminal.speak
    async with working(terminal) as desk:
        nas_id = await desk.resolve("nas", word)
        if not await desk.store.act("delete_secret", nas_id, number):
            fail(terminal, _("It has no further secret of the number {number}.", number=number))
        return Saved(await desk.store.record("nas", nas_id) or {}, [], {})


def show_problems(terminal: Terminal) -> None:
    """Show what is wrong between this node and its routers, and who asks and is none.

    Ends with 1 if anything is wrong with a router; an address that nobody knows may be anybody's.
    """
    _ = terminal.speak
    facts = LocalNode(terminal.local_config).facts().facts
    problems = find_router_problems(facts.routers, facts.at_s)
    told = [(found, router_problem_text(terminal, found)) for found in problems]
    strangers = [(source, unknown_source_text(terminal, source)) for source in facts.unknown_sources]
    if terminal.options.is_json:
        document = [{**msgspec.to_builtins(found), "text": text} for found, text in told]
        document += [
            {"kind": "unknown_source", **msgspec.to_builtins(source), "text": text} for source, text in strangers
        ]
        terminal.json(document)
    else:
        if not problems:
            terminal.line(_("Nothing is wrong with any router that this node hears."))
        for found, text in told:
            terminal.line(f"{terminal.clock(found.last_at_s)[:-4]} {text}")
        for _source, text in strangers:
            terminal.line(text)
    if problems:
        terminal.refuse()


def _problems(terminal: Terminal, nas: str | None = None) -> list[RouterProblem]:
    facts = LocalNode(terminal.local_config).facts().facts
    found = find_router_problems(facts.routers, facts.at_s)
    return [problem for problem in found if nas is None or problem.nas == nas]
