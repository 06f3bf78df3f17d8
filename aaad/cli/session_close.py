"""`aaad session close`: an operator says that a session has ended, where nothing else tells it (rule R9.1).

It disconnects nobody: it only ends what is recorded. The end is possible until now and certain until the session was
last heard, and like every end but a Stop's it is undone by a later record. What a session is called on the command
line is the first twelve digits of its family and its number, as `aaad sessions` shows it: 3f9a0c21be55-0.
"""

import asyncio
import re
from typing import Any, NoReturn

from aaad.cli.cluster import opened
from aaad.cli.records import Desk, fail
from aaad.cli.session_words import evidence_text, instant_text, iso_text
from aaad.cli.sessions import whose
from aaad.cli.terminal import Terminal
from aaad.erp.store import Store
from aaad.erp.values import one_line
from aaad.errors import MistypedError
from aaad.sessions.reports import SHORT_DIGITS, Reports, short_name

_NAME = re.compile(rf"([0-9a-f]{{{SHORT_DIGITS},32}})-([0-9]{{1,10}})")
_LIFE_MAX = 2**31 - 1
_SEVERAL = 20
_REASON_LENGTH_MAX = 500


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


_REASON_ALLOWED = _("{option}: {word} is not valid. Allowed: one line of 1 to {length} characters")


def close_session(terminal: Terminal, word: str, reason: str) -> None:
    """Close a session by hand; end with 1 if there is none, or more than one is meant, or it is closed already."""
    text = read_session_reason(reason)
    closed = asyncio.run(_close(terminal, word, text))
    _say(terminal, closed, text)


def read_session_reason(reason: str) -> str:
    """Return why a session is ended, as it goes into the history; MistypedError if it cannot."""
    try:
        text = one_line(reason)
    except ValueError:
        text = ""
    if not 0 < len(text) <= _REASON_LENGTH_MAX:
        raise MistypedError(_REASON_ALLOWED, option="--reason", word=repr(reason), length=_REASON_LENGTH_MAX)
    return text


async def _close(terminal: Terminal, word: str, reason: str) -> dict[str, Any]:
    async with opened(terminal.config) as database, database.transaction("read_committed") as transaction:
        store, reports = Store(transaction), Reports(transaction)
        session = await find_session(Desk(terminal, store), reports, word)
        name = short_name(session["family"], session["life"])
        await store.sign(terminal.operator)
        history = f"session {name} ({session['acct_session_id']}, {session['user_name']}): {reason}"
        closed = await reports.close(session["family"], session["life"], printable_line(history))
        if closed is None:
            return _refuse_closed(terminal, name)
        return {**session, **closed, "session": name}


def printable_line(text: str) -> str:
    """Ids and names come from routers: in the history they are one plain line."""
    return "".join(character if character.isprintable() else "?" for character in text).strip()


async def find_session(desk: Desk, reports: Reports, word: str) -> dict[str, Any]:
    """Return the one session that a word means; end with 1 otherwise."""
    _, terminal = desk.terminal.speak, desk.terminal
    if (named := _NAME.fullmatch(word.lower())) and int(named[2]) <= _LIFE_MAX:
        found = await reports.named(named[1], int(named[2]), _SEVERAL)
    else:
        found = await reports.live(await whose(desk, word), _SEVERAL)
    if not found:
        fail(
            terminal,
            _("There is no session {word}, and no login or user name {word} with one that is not closed.", word=word),
        )
    if len(found) > 1:
        names = ", ".join(
            f"{_full_name(session) if named else short_name(session['family'], session['life'])} "
            f"({instant_text(terminal, session['started_at'], session['time_zone'])})"
            for session in found
        )
        fail(terminal, _("{word} is more than one session: {names}", word=word, names=names))
    session = found[0]
    if session["state"] == "closed":
        _refuse_closed(terminal, short_name(session["family"], session["life"]), session["end_evidence"])
    return session


def _full_name(session: dict[str, Any]) -> str:
    return f"{session['family'].hex}-{session['life']}"


def _refuse_closed(terminal: Terminal, name: str, evidence: str | None = None) -> NoReturn:
    _ = terminal.speak
    words = evidence_text(terminal.speak, evidence)
    text = _("Session {name} is closed already.", name=name)
    fail(terminal, f"{text[:-1]}: {words}." if words else text)


def _say(terminal: Terminal, closed: dict[str, Any], reason: str) -> None:
    _ = terminal.speak
    zone = closed["time_zone"]
    if terminal.options.is_json:
        terminal.json(
            {
                "saved": True,
                "session": closed["session"],
                "user_name": closed["user_name"],
                "acct_session_id": closed["acct_session_id"],
                "ended_at": iso_text(closed["ended_at"], zone),
                "ended_latest": iso_text(closed["ended_latest"], zone),
                "end_evidence": "operator",
                "operator": terminal.operator,
                "reason": reason,
            }
        )
        return
    heard = (closed["now"] - closed["heard_at"]).total_seconds()
    terminal.line(
        _(
            "Session {name} of {login} closed: certainly connected until {certain}, perhaps until {possible}.",
            name=closed["session"],
            login=closed["user_name"],
            certain=instant_text(terminal, closed["ended_at"], zone),
            possible=instant_text(terminal, closed["ended_latest"], zone),
        ),
        "green",
    )
    terminal.line(_("Nobody was disconnected. A later record of it opens it again."))
    if closed["state"] == "open":
        terminal.complain(_("Warning: it was heard {age} ago and may live.", age=terminal.age(heard)))
