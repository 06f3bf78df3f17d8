"""`aaad cgnat …`: the maps of carrier NAT. A map is ended and a new one added; what was valid stays as it was."""

import asyncio
import csv
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, NamedTuple

from aaad.cli.cluster import opened
from aaad.cli.terminal import Terminal
from aaad.cli.whois import tell_wrong_lines
from aaad.clock import utc_now
from aaad.db.connection import Transaction
from aaad.errors import MistypedError, StoreError
from aaad.sessions import whois
from aaad.sessions.cgnat import Block, Map, check_room, find_overlap, read_block, read_ports, read_range
from aaad.sessions.instants import in_utc, read_instant
from aaad.sessions.question import WrongLinesError, read_table

_CSV = ("private_ip", "public_ip", "port_start", "port_end")
_COLUMNS = {
    "private": ("private ip", "private", "ip privado", "privado", "internal ip", "ip interno"),
    "public": ("public ip", "public", "ip publico", "publico", "external ip", "ip externo"),
    "first": ("port start", "port first", "porta inicial", "start port", "porta inicio"),
    "last": ("port end", "port last", "porta final", "end port", "porta fim"),
}
_COLUMN_OF = {name: column for column, names in _COLUMNS.items() for name in names}


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


_REFUSED = {
    "cgnat_map_public_once": _("another map has some of these public addresses and ports in that time"),
    "cgnat_map_private_once": _("another map has some of these private addresses in that time"),
    "cgnat_map_name_no_outer_space": _("a map's name is not empty and has no space around it"),
    "cgnat_map_ends_after_start": _("a map does not end before it begins"),
}


class Typed(NamedTuple):
    """A new map as it was typed."""

    name: str
    private: str
    public: str
    ports: str
    ports_each: int
    layout: str
    space: int
    since: str


def add(terminal: Terminal, typed: Typed) -> None:
    """Write a new map."""
    private, public = read_range(typed.private), read_range(typed.public)
    new = Map(
        0,
        typed.name.strip(),
        typed.space,
        *private,
        *public,
        *read_ports(typed.ports),
        typed.ports_each,
        typed.layout,
        _instant(typed.since),
        None,
    )
    check_room(new)
    map_id = asyncio.run(_add(terminal, new))
    _ = terminal.speak
    if terminal.options.is_json:
        terminal.json({"saved": True, "id": map_id})
        return
    terminal.line(_("Data saved successfully"), "green")
    terminal.line(
        _(
            "map {number}: {privates} private addresses, {each} to a public one",
            number=map_id,
            privates=new.private_count,
            each=new.blocks_each,
        )
    )


async def _add(terminal: Terminal, new: Map) -> int:
    async with _working(terminal) as transaction:
        return await whois.add_map(transaction, new, terminal.operator)


def import_blocks(terminal: Terminal, path: Path, name: str, space: int, since: str) -> None:
    """Write the blocks of a generator's CSV as a map of a name; all of them or none."""
    blocks = _read_blocks(terminal, path)
    nowhere = IPv4Address(0)
    like = Map(0, name.strip(), space, nowhere, nowhere, nowhere, nowhere, 1, 1, 1, "fill", _instant(since), None)
    count = asyncio.run(_import(terminal, like, blocks))
    if terminal.options.is_json:
        terminal.json({"saved": True, "name": like.name, "count": count})
        return
    _ = terminal.speak
    terminal.line(_("Data saved successfully"), "green")
    terminal.line(_("{count} blocks of {name}", count=count, name=like.name))


async def _import(terminal: Terminal, like: Map, blocks: list[Block]) -> int:
    async with _working(terminal) as transaction:
        return await whois.add_blocks(transaction, like, blocks, terminal.operator)


def _read_blocks(terminal: Terminal, path: Path) -> list[Block]:
    try:
        content = path.read_bytes()
    except OSError as error:
        why = terminal.speak(error.strerror or str(error))
        raise MistypedError(_("{path}: {why}"), path=path, why=why) from None
    found: dict[Block, int] = {}
    problems: list[tuple[int, MistypedError]] = []
    try:
        table = read_table(content, _COLUMN_OF, ("private", "public", "first", "last"))
    except WrongLinesError as wrong:
        tell_wrong_lines(terminal, path, wrong)
    for line, row in table.rows:
        try:
            block = read_block(*(row.get(column, "") for column in ("private", "public", "first", "last")))
        except MistypedError as problem:
            problems.append((line, problem))
        else:
            found.setdefault(block, line)
    if overlap := find_overlap((line, block) for block, line in found.items()):
        problems.append(
            (overlap[1], MistypedError(_("a port is given to another one in line {line}"), line=overlap[0]))
        )
    if problems:
        tell_wrong_lines(terminal, path, WrongLinesError(problems))
    if not found:
        raise MistypedError(_("the table has no lines"))
    return list(found)


def end_map(terminal: Terminal, which: str, at: str, *, is_mistake: bool) -> None:
    """End a map by its number, or all of a name; end with 1 if none goes on."""
    ended = asyncio.run(_end(terminal, which, None if is_mistake else _instant(at)))
    _ = terminal.speak
    if terminal.options.is_json:
        terminal.json({"ended": ended})
    elif ended:
        terminal.line(_("{count} maps were ended.", count=len(ended)))
    else:
        terminal.complain(_("There is no map {which} that goes on.", which=which))
    if not ended:
        terminal.refuse()


async def _end(terminal: Terminal, which: str, at: datetime | None) -> list[int]:
    map_id = _number(which)
    async with _working(terminal) as transaction:
        return await whois.end_maps(transaction, map_id, "" if map_id is not None else which, at, terminal.operator)


def list_maps(terminal: Terminal, name: str, *, has_ended: bool, limit: int) -> None:
    """List maps."""
    rows = asyncio.run(_list(terminal, name, has_ended=has_ended, limit=limit + 1))
    shown = [_plain(row) for row in rows[:limit]]
    if terminal.options.is_json:
        terminal.json(shown)
        return
    _ = terminal.speak
    table = terminal.table(
        _("number"),
        _("name"),
        _("space"),
        _("private"),
        _("public"),
        _("ports"),
        _("each"),
        _("layout"),
        _("from"),
        _("until"),
    )
    for row in shown:
        table.add(
            row["id"],
            row["name"],
            row["address_space"],
            _from_to(row["private_first"], row["private_last"]),
            _from_to(row["public_first"], row["public_last"]),
            f"{row['port_first']}-{row['port_last']}",
            row["ports_each"],
            row["layout"],
            row["valid_from"],
            row["valid_until"] or "-",
        )
    table.print()
    if len(rows) > limit:
        terminal.complain(_("There are more than {limit}: see --limit.", limit=limit))


async def _list(terminal: Terminal, name: str, *, has_ended: bool, limit: int) -> list[dict[str, Any]]:
    async with _working(terminal) as transaction:
        return await whois.list_maps(transaction, name, has_ended=has_ended, limit=limit)


def show_map(terminal: Terminal, map_id: int, address: str, *, is_csv: bool) -> None:
    """Show which private address has which ports: of one, or of all; end with 1 if there is no such one."""
    only = _address(address) if address else None
    found = asyncio.run(_find(terminal, map_id))
    _ = terminal.speak
    if found is None:
        terminal.complain(_("There is no map {which}.", which=map_id))
        terminal.refuse()
    blocks = [found.block_of(only)] if only else list(found.blocks())
    cells = [(str(one.private), str(one.public), one.port_first, one.port_last) for one in blocks if one]
    if not cells:
        terminal.complain(_("The map does not serve {address}.", address=address))
        terminal.refuse()
    if terminal.options.is_json:
        rows = [dict(zip(_CSV, row, strict=True)) for row in cells]
        terminal.json({**_plain(found._asdict()), "blocks": rows})
    elif is_csv:
        writer = csv.writer(sys.stdout)
        writer.writerows([_CSV, *cells])
    else:
        table = terminal.table(_("private"), _("public"), _("ports"))
        for private, public, first, last in cells:
            table.add(private, public, f"{first}-{last}")
        table.print()


async def _find(terminal: Terminal, map_id: int) -> Map | None:
    async with _working(terminal) as transaction:
        return await whois.find_map(transaction, map_id)


@asynccontextmanager
async def _working(terminal: Terminal) -> AsyncIterator[Transaction]:
    """Open a transaction; what the rules of maps refuse is said in words."""
    try:
        async with opened(terminal.config) as database, database.transaction("read_committed") as transaction:
            yield transaction
    except StoreError as error:
        if said := _REFUSED.get(error.constraint or ""):
            raise MistypedError(said) from None
        raise


def _instant(word: str) -> datetime:
    return read_instant(word, now=utc_now()).first


def _address(word: str) -> IPv4Address:
    try:
        return IPv4Address(word)
    except ValueError:
        raise MistypedError(_("{word} is no IPv4 address"), word=repr(word)) from None


def _number(word: str) -> int | None:
    is_number = word.isascii() and word.isdecimal() and len(word) <= 10 and int(word) < 2**31
    return int(word) if is_number else None


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: in_utc(value) if isinstance(value, datetime) else value for name, value in row.items()}


def _from_to(first: object, last: object) -> str:
    return str(first) if first == last else f"{first}-{last}"
