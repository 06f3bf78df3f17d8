"""`aaad session disconnect` (seed S2-51, "Fechar Conexão Atual"): an operator ends a session in the network.

Writes an order and, if asked to, waits until it is read that it is so. Who is cut may dial anew at once: nothing of
the contract changes. What only ends the record of a session is `aaad session close`.
"""

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

from aaad.cli import order_words as words
from aaad.cli.cluster import opened
from aaad.cli.records import Desk, fail
from aaad.cli.session_close import find_session, printable_line, read_session_reason
from aaad.cli.terminal import NegativeAnswerError, Terminal
from aaad.clock import monotonic_s
from aaad.db.statements import load_statements
from aaad.erp.store import Store
from aaad.orders.store import OrderStore
from aaad.orders.wish import OPEN_STATES, Wish
from aaad.radius.kinds import kind_of
from aaad.sessions.reports import Reports, short_name

_LOOK_AGAIN_S = 0.1
_GOOD = frozenset({"done", "gone", "unverified"})

_SQL = load_statements(Path(__file__).parent / "queries.sql")


class _Ordered(NamedTuple):
    order_id: int
    session: dict[str, Any]
    name: str


def disconnect_session(terminal: Terminal, word: str, reason: str, wait_s: float) -> None:
    """Order that a session ends; wait for what becomes of it. Ends with 1 if it is not done within that time."""
    text = read_session_reason(reason)
    ordered, row = asyncio.run(_disconnect(terminal, word, text, wait_s))
    _say(terminal, ordered, row, is_awaited=wait_s > 0)


async def _disconnect(terminal: Terminal, word: str, reason: str, wait_s: float) -> tuple[_Ordered, dict[str, Any]]:
    async with opened(terminal.config) as database:
        async with database.transaction("read_committed") as transaction:
            store = Store(transaction)
            session = await find_session(Desk(terminal, store), Reports(transaction), word)
            name = short_name(session["family"], session["life"])
            await store.sign(terminal.operator)
            found = await transaction.fetchrow(_SQL.session_kind, session["family"], session["life"])
            if found is None:
                fail(terminal, terminal.speak("Session {name} is closed already.", name=name))
            is_ppp = kind_of(found["kind"] or "").is_ppp(session["acct_session_id"])
            wish = Wish((session["family"], session["life"]), is_ppp, "disconnect", "operator", is_cutting=False)
            await OrderStore(transaction).put([wish])
            order = await transaction.fetchrow(_SQL.open_order, session["family"], session["life"])
            assert order is not None
            told = f"session {name} ({session['acct_session_id']}, {session['user_name']}): {reason}"
            await transaction.execute(_SQL.note_disconnect, session["family"], session["life"], printable_line(told))
        ordered = _Ordered(order["id"], session, name)
        limit_s = monotonic_s() + wait_s
        while True:
            row = await OrderStore(database).find(ordered.order_id)
            assert row is not None
            if row["state"] not in OPEN_STATES or monotonic_s() >= limit_s:
                return ordered, dict(row.items())
            await asyncio.sleep(_LOOK_AGAIN_S)


def _say(terminal: Terminal, ordered: _Ordered, row: dict[str, Any], *, is_awaited: bool) -> None:
    _ = terminal.speak
    state = row["state"]
    if terminal.options.is_json:
        terminal.json(
            {
                "saved": True,
                "order": ordered.order_id,
                "session": ordered.name,
                "user_name": ordered.session["user_name"],
                "state": state,
                "reason": row["step"],
            }
        )
    else:
        reason = words.word(_, words.REASONS, row["step"])
        text = words.word(_, words.STATES, state)
        terminal.line(
            _(
                "Order {number} to disconnect session {name} of {login}: {state}.",
                number=ordered.order_id,
                name=ordered.name,
                login=ordered.session["user_name"],
                state=f"{text}: {reason}" if reason else text,
            ),
            "green" if state in _GOOD else "",
        )
        if state in OPEN_STATES:
            terminal.line(_("It goes on by itself: `aaad order show {number}`.", number=ordered.order_id))
    if is_awaited and state not in _GOOD:
        raise NegativeAnswerError
