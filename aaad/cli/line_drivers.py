"""`aaad line driver …`: how providers of lines are asked. Shows no secret and takes none as an argument."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from aaad.cli import order_words as words
from aaad.cli.records import fail, refuse, shown_value, working
from aaad.cli.terminal import Terminal

_PLAIN_HEADERS = frozenset({"accept", "content-type", "user-agent", "accept-language"})


class Typed(NamedTuple):
    """What was typed of a driver; None: nothing."""

    texts: Mapping[str, str | None]
    maps: Mapping[str, str | None]
    values: Mapping[str, bool | int | None]
    headers: tuple[str, ...] = ()
    statuses: str | None = None
    secret: str | None = None


def show_drivers(terminal: Terminal, kind: str | None) -> None:
    """Show how providers are asked; of headers the names only."""
    _ = terminal.speak

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            return [json.loads(row["record"]) if isinstance(row["record"], str) else row["record"]
                    for row in await desk.store.rows("show_line_driver", kind)]  # fmt: skip

    rows = asyncio.run(find())
    if kind is not None and not rows:
        fail(terminal, words.word(_, words.REASONS, "no_driver"))
    if terminal.options.is_json:
        terminal.json(rows)
        return
    for row in rows:
        terminal.line(words.word(_, words.LINE_KINDS, row["kind"]), "bold")
        for column, value in row.items():
            if column == "kind" or value in (None, [], {}):
                continue
            shown = ", ".join(f"{key}={text}" for key, text in value.items()) if isinstance(value, dict) else None
            terminal.line(f"  {column}: {shown if shown is not None else shown_value(terminal, value)}")


def set_driver(terminal: Terminal, kind: str, typed: Typed) -> None:
    """Write what was typed; a driver that is new needs a URL."""
    _ = terminal.speak
    changes: dict[str, Any] = {name: text or None for name, text in typed.texts.items() if text is not None}
    changes |= {name: value for name, value in typed.values.items() if value is not None}
    changes |= {name: _map(terminal, text) for name, text in typed.maps.items() if text is not None}
    headers = _headers(terminal, typed.headers)
    if typed.statuses is not None:
        changes["expected_statuses"] = _statuses(terminal, typed.statuses)
    if typed.secret is not None:
        changes["secret"] = _secret(terminal, typed.secret)
    if not changes and not headers:
        refuse(terminal, _("Nothing to change was given."))

    async def write() -> bool:
        async with working(terminal) as desk:
            if changes.get("url"):
                await desk.store.act("make_line_driver", kind, changes["url"])
            if headers:
                known = await desk.store.row("headers_of_line_driver", kind)
                merged = {**(json.loads(known["headers"]) if known else {}), **headers}
                changes["headers"] = {name: value for name, value in merged.items() if value}
            return bool(await desk.store.act("set_line_driver", kind, json.dumps(changes)))

    if not asyncio.run(write()):
        fail(terminal, _("This kind of line has no driver yet: say its --url."))
    if terminal.options.is_json:
        terminal.json({"saved": True, "kind": kind, "changed": sorted(changes)})
    else:
        terminal.line(_("Data saved successfully"), "green")


def _map(terminal: Terminal, text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in filter(None, text.split(",")):
        name, is_there, value = item.partition("=")
        if not is_there or not name.strip() or not value.strip():
            refuse(terminal, terminal.speak("{text} is not of the form NAME=VALUE,NAME=VALUE.", text=text))
        found[name.strip()] = value.strip()
    return found


def _headers(terminal: Terminal, typed: tuple[str, ...]) -> dict[str, str]:
    """Return headers; what may be a secret has to be said as {secret}, since others can read arguments."""
    _ = terminal.speak
    found: dict[str, str] = {}
    for item in typed:
        name, is_there, value = item.partition("=")
        if not is_there or not name:
            refuse(terminal, _("A header is NAME=VALUE."))
        if value and name.lower() not in _PLAIN_HEADERS and "{secret}" not in value:
            refuse(
                terminal, _("Header {name}: say its value with {{secret}} in it, and that by --secret -.", name=name)
            )
        found[name] = value
    return found


def _statuses(terminal: Terminal, text: str) -> list[int]:
    items = text.split(",")
    if not all(item.strip().isascii() and item.strip().isdecimal() and len(item.strip()) == 3 for item in items):
        refuse(terminal, terminal.speak("Expected are 1 to 16 statuses from 200 to 599."))
    return [int(item) for item in items]


def _secret(terminal: Terminal, source: str) -> str | None:
    _ = terminal.speak
    if source == "":
        return None
    if source != "-":
        refuse(terminal, _("A password is never an argument, where others can read it: say - and type it."))
    return terminal.read_secret(_("The provider's secret"))
