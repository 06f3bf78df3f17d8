"""`aaad history …`: what happened to a client, a contract or a login, by whom; and the notes of people.

The four fields of the seeds (S4, line 111): kind, date, text and operator. The database lets nobody change what the
system wrote, and a note only its author.
"""

import asyncio
from datetime import datetime
from typing import Any

from aaad.cli.records import fail, shown_value, working
from aaad.cli.terminal import Terminal
from aaad.words import Language

_HISTORY = {"client": "history_of_client", "contract": "history_of_contract", "login": "history_of_login"}
_NOTE = {"client": "note_on_client", "contract": "note_on_contract", "login": "note_on_login"}


def show_history(terminal: Terminal, thing: str, word: str, limit: int) -> None:
    """Show the last entries, newest first; a client's are those of its contracts and logins, too."""
    _ = terminal.speak

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            return await desk.store.rows(_HISTORY[thing], await desk.resolve(thing, word), limit + 1)

    rows = asyncio.run(find())
    if terminal.options.is_json:
        terminal.json(rows[:limit])
        return
    table = terminal.table(_("number"), _("kind"), _("date"), _("history"), _("operator"), _("source"))
    for row in rows[:limit]:
        table.add(row["id"], row["kind"], _instant(terminal, row["at"]), row["text"], row["operator"], row["source"])
    table.print()
    if len(rows) > limit:
        terminal.complain(_("There are more than {limit}: see --limit.", limit=limit))


def _instant(terminal: Terminal, at: datetime) -> str:
    pattern = "%d/%m/%Y %H:%M:%S %z" if terminal.language is Language.PORTUGUESE else "%Y-%m-%d %H:%M:%S %z"
    return at.astimezone().strftime(pattern)


def write_note(terminal: Terminal, thing: str, word: str, text: str) -> None:
    """Add a person's note (seed S4, line 110)."""

    async def write() -> int:
        async with working(terminal) as desk:
            row_id = await desk.resolve(thing, word)
            written = await desk.store.row(_NOTE[thing], row_id, text)
            assert written is not None
            return int(written["id"])

    _tell(terminal, asyncio.run(write()))


def edit_note(terminal: Terminal, number: int, text: str) -> None:
    """Change a note; only its author may, and nobody what the system wrote (seed S4, line 112)."""
    _ = terminal.speak

    async def write() -> None:
        async with working(terminal) as desk:
            if not await desk.store.act("edit_note", number, text):
                fail(terminal, _("There is no entry {number}.", number=number))

    asyncio.run(write())
    _tell(terminal, number)


def _tell(terminal: Terminal, number: int) -> None:
    _ = terminal.speak
    if terminal.options.is_json:
        terminal.json({"saved": True, "message": _("Data saved successfully"), "id": number})
        return
    terminal.line(_("Data saved successfully"), "green")
    terminal.line(_("entry {number}", number=shown_value(terminal, number)))
