"""`aaad line …`: lines of contracts, what they must be, and what customers report of them."""

import asyncio
from typing import Any

from aaad.cli import order_words as words
from aaad.cli.records import Room, fail, nothing_more, show_list, working
from aaad.cli.terminal import Terminal
from aaad.erp import reach

_DONE = 0


def _show_more(terminal: Terminal, record: dict[str, Any]) -> None:
    _ = terminal.speak
    known = words.word(_, words.LINE_STATES, record["state"]) or _("not known yet")
    wanted = words.word(_, words.LINE_STATES, record["wanted"]) or _("as it is")
    report = words.word(_, words.LINE_REPORTS, record["own_report"])
    terminal.line("  " + _("client: {client}", client=record["client"]))
    terminal.line("  " + _("reported by the customer: {report}", report=report))
    terminal.line("  " + _("must be: {wanted}", wanted=wanted))
    terminal.line("  " + _("is, as its provider told last: {state}", state=known))
    if record["order_id"] is not None:
        state = words.word(_, words.STATES, record["order_state"])
        terminal.line("  " + _("order {number}: {state}", number=record["order_id"], state=state))
    if not record["has_driver"]:
        terminal.complain(words.word(_, words.REASONS, "no_driver"))


ROOM = Room(reach.LINE, nothing_more, nothing_more, _show_more)


def list_lines(
    terminal: Terminal, contract: str | None, kind: str | None, limit: int, *, only_differing: bool = False
) -> None:
    """List lines, of one contract or kind or of all."""
    _ = terminal.speak

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            contract_id = await desk.resolve("contract", contract) if contract else None
            return await desk.store.rows("list_lines", contract_id, kind, only_differing, limit + 1)

    rows = asyncio.run(find())
    if not terminal.options.is_json:
        rows = [
            row
            | {
                "kind": words.word(_, words.LINE_KINDS, row["kind"]),
                "wanted": words.word(_, words.LINE_STATES, row["wanted"]) or _("as it is"),
                "state": words.word(_, words.LINE_STATES, row["state"]) or _("not known yet"),
                "own_report": words.word(_, words.LINE_REPORTS, row["own_report"]),
            }
            for row in rows
        ]
    columns = {
        "id": _("number"), "contract_id": _("contract"), "client": _("client"), "kind": _("kind"),
        "identifier": _("line"), "own_report": _("reported"), "wanted": _("must be"), "state": _("is"),
        "read_at": _("read at"), "order_id": _("order"),
    }  # fmt: skip
    show_list(terminal, rows, columns, limit, lambda row: "yellow" if row["order_id"] is not None else "")


def report_line(terminal: Terminal, word: str, report: str) -> None:
    """Write what the customer says of a line; end with 1 if that is written already."""
    _ = terminal.speak

    async def write() -> tuple[int, dict[str, Any]]:
        async with working(terminal) as desk:
            line_id = await desk.resolve("line", word)
            answer = await desk.store.row("report_line", line_id, report)
            assert answer is not None
            return answer["code"], await desk.store.record("line", line_id) or {}

    code, record = asyncio.run(write())
    if code != _DONE:
        told = words.word(_, words.LINE_REPORTS, record["own_report"])
        fail(terminal, _("Line {line} is reported so already: {report}.", line=record["identifier"], report=told))
    if terminal.options.is_json:
        terminal.json({"saved": True, "line": record})
        return
    if report == "found":
        text = _("Line {line} was found: it follows its contract again.", line=record["identifier"])
    else:
        text = _("Line {line} is blocked until it is found, whatever is paid.", line=record["identifier"])
    terminal.line(text, "green")
    if not record["has_driver"]:
        terminal.complain(words.word(_, words.REASONS, "no_driver"))
