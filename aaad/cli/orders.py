"""`aaad order …`: what must become so in the network, what routers answered, and steering it.

Shows what `aaad.orders` has written and changes an order's state by its statements; carries nothing out.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from aaad.cli import order_words as words
from aaad.cli.records import fail, working
from aaad.cli.sheets import Column, refuse_both_forms, show_table, write_csv
from aaad.cli.terminal import Terminal
from aaad.orders.store import Filter as OrderFilter
from aaad.orders.store import OrderStore
from aaad.orders.wish import OPEN_STATES

NAMES = (
    "id", "target", "kind", "cause", "state", "reason", "login_id", "login", "client", "contract_id", "nas_id", "nas",
    "user_name", "acct_session_id", "ipv4", "line_id", "line_kind", "line", "run_id", "attempts",
    "last_answer", "created_at", "next_at", "changed_at", "ended_at",
)  # fmt: skip
_INSTANTS = ("created_at", "next_at", "changed_at", "ended_at")
_STYLES = {"held": "bold yellow", "given_up": "bold red", "redial": "yellow", "waiting": "yellow", "done": "dim"}


class Filter(NamedTuple):
    """What was typed; None: any."""

    login: str | None = None
    contract: str | None = None
    nas: str | None = None
    state: str | None = None
    cause: str | None = None
    run: int | None = None
    is_all: bool = False


def list_orders(terminal: Terminal, typed: Filter, limit: int, *, is_csv: bool) -> None:
    """List orders, newest first: those that are open, unless others are asked for."""
    refuse_both_forms(terminal, is_csv=is_csv)

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            states = (typed.state,) if typed.state else None if typed.is_all else OPEN_STATES
            wanted = OrderFilter(
                states=states,
                login_id=await desk.resolve("login", typed.login) if typed.login is not None else None,
                contract_id=await desk.resolve("contract", typed.contract) if typed.contract is not None else None,
                nas_id=await desk.resolve("nas", typed.nas) if typed.nas is not None else None,
                run_id=typed.run,
                cause=typed.cause,
            )
            return [dict(row.items()) for row in await OrderStore(desk.store.queries).list(wanted, limit + 1)]

    rows = [_document(terminal, row) for row in asyncio.run(find())]
    if terminal.options.is_json:
        terminal.json(rows[:limit])
    elif is_csv:
        write_csv(NAMES, rows[:limit])
    else:
        show_table(terminal, _columns(terminal), rows[:limit], lambda row: _STYLES.get(row["state"], ""))
    if len(rows) > limit and not terminal.options.is_json:
        _ = terminal.speak
        terminal.complain(_("There are more than {limit}: see --limit.", limit=limit))


def show_order(terminal: Terminal, number: int) -> None:
    """Show an order with every answer that is kept."""
    row = asyncio.run(_find(terminal, number))
    document = _document(terminal, row)
    answers = json.loads(row["answers"])
    if terminal.options.is_json:
        wanted = json.loads(row["wanted"]) if row["wanted"] else None
        terminal.json({**document, "wanted": wanted, "answers": answers, "node": row["node"]})
        return
    _ = terminal.speak
    terminal.line(
        _(
            "Order {number}: {kind} of {login} at {nas}, for: {cause}.",
            number=number,
            kind=words.word(_, words.KINDS, row["kind"]),
            login=row["login"] or row["user_name"] or _line_name(terminal, row),
            nas=row["nas"] or "–",
            cause=words.word(_, words.CAUSES, row["cause"]),
        )
    )
    terminal.line(_state_line(terminal, row), _STYLES.get(row["state"], ""))
    if row["wanted"]:
        said = ", ".join(f"{name} {value}" for name, value in json.loads(row["wanted"]))
        terminal.line(_("Wanted: {said}", said=said or "–"))
    table = terminal.table(_("when"), _("node"), _("step"), _("answer"))
    for answer in answers:
        table.add(
            terminal.instant(answer.get("at")),
            answer.get("node", ""),
            words.word(_, words.STEPS, answer.get("step")),
            words.answer_text(_, answer),
        )
    table.print()


def retry_order(terminal: Terminal, number: int) -> None:
    """Let an open order be due now."""
    _ = terminal.speak

    async def retry() -> None:
        async with working(terminal) as desk:
            if not await OrderStore(desk.store.queries).retry(number):
                fail(terminal, await _why_not(terminal, OrderStore(desk.store.queries), number))

    asyncio.run(retry())
    _say(terminal, {"saved": True, "id": number}, _("Order {number} is due now.", number=number))


def cancel_order(terminal: Terminal, number: int) -> None:
    """End an open order without its being true."""
    _ = terminal.speak

    async def cancel() -> None:
        async with working(terminal) as desk:
            if not await OrderStore(desk.store.queries).cancel(number, terminal.operator):
                fail(terminal, await _why_not(terminal, OrderStore(desk.store.queries), number))

    asyncio.run(cancel())
    text = _("Order {number} is cancelled: the network stays as it is until something else changes.", number=number)
    _say(terminal, {"saved": True, "id": number}, text)


def release_run(terminal: Terminal, run: int, *, is_drop: bool) -> None:
    """Let go what the brake holds back of a run, or drop it."""
    _ = terminal.speak

    async def release() -> int:
        async with working(terminal) as desk:
            store = OrderStore(desk.store.queries)
            return await store.drop(run, terminal.operator) if is_drop else await store.release(run)

    count = asyncio.run(release())
    if not count:
        fail(terminal, _("Nothing of run {run} is held back.", run=run))
    text = _("{count} orders of run {run} are dropped.") if is_drop else _("{count} orders of run {run} go on.")
    _say(terminal, {"saved": True, "run": run, "orders": count}, text.format(count=count, run=run))


async def _find(terminal: Terminal, number: int) -> dict[str, Any]:
    async with working(terminal) as desk:
        row = await OrderStore(desk.store.queries).find(number)
        if row is None:
            fail(terminal, terminal.speak("There is no order {number}.", number=number))
        return dict(row.items())


async def _why_not(terminal: Terminal, store: OrderStore, number: int) -> str:
    _ = terminal.speak
    row = await store.find(number)
    if row is None:
        return _("There is no order {number}.", number=number)
    if row["state"] == "held":
        text = _("Order {number} is held back by the brake: `aaad order release {run}`.")
        return text.format(number=number, run=row["run_id"])
    if row["state"] in OPEN_STATES:
        return _("Somebody is at order {number} just now.", number=number)
    return _("Order {number} is over: {state}.", number=number, state=words.word(_, words.STATES, row["state"]))


def _line_name(terminal: Terminal, row: Mapping[str, Any]) -> str:
    if row["line_id"] is None:
        return ""
    kind = words.word(terminal.speak, words.LINE_KINDS, row["line_kind"])
    return f"{kind} {row['line'] or ''}".strip() or f"#{row['line_id']}"


def _state_line(terminal: Terminal, row: Mapping[str, Any]) -> str:
    _ = terminal.speak
    state, reason = words.word(_, words.STATES, row["state"]), words.word(_, words.REASONS, row["step"])
    text = f"{state}: {reason}" if reason else state
    if row["state"] in OPEN_STATES:
        return _(
            "State: {text}. Tried {count} times, due {at}.",
            text=text,
            count=row["attempts"],
            at=terminal.instant(row["next_at"]),
        )
    return _("State: {text}, since {at}.", text=text, at=terminal.instant(row["ended_at"]))


def _say(terminal: Terminal, document: Mapping[str, Any], text: str) -> None:
    if terminal.options.is_json:
        terminal.json(document)
    else:
        terminal.line(text, "green")


def _document(terminal: Terminal, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an order as JSON has it."""
    last = row.get("last_answer")
    answer = json.loads(last) if isinstance(last, str) else None
    made: dict[str, Any] = {**row, "reason": row.get("step"), "last_answer": answer}
    for name in _INSTANTS:
        made[name] = row[name].isoformat() if row.get(name) is not None else None
    if made.get("ipv4") is not None:
        made["ipv4"] = str(made["ipv4"])
    return {name: made.get(name) for name in NAMES}


def _columns(terminal: Terminal) -> list[Column]:
    _ = terminal.speak

    def stands(row: Mapping[str, Any]) -> str:
        state, reason = words.word(_, words.STATES, row["state"]), words.word(_, words.REASONS, row["reason"])
        return f"{state}: {reason}" if reason else state

    return [
        Column(_("order"), lambda row: row["id"]),
        Column(_("what"), lambda row: words.word(_, words.KINDS, row["kind"])),
        Column(_("why"), lambda row: words.word(_, words.CAUSES, row["cause"])),
        Column(_("login or line"), lambda row: row["login"] or row["user_name"] or _line_name(terminal, row)),
        Column(_("concentrator"), lambda row: row["nas"] or ""),
        Column(_("state"), stands),
        Column(_("tried"), lambda row: row["attempts"]),
        Column(_("last answer"), lambda row: words.answer_text(_, row["last_answer"]) if row["last_answer"] else ""),
        Column(_("made"), lambda row: terminal.instant(row["created_at"])),
    ]
