"""`aaad sessions`: who is connected, who may be, and who was, as `net.every_session` tells it (rules R5.3, R9.1)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from ipaddress import ip_interface
from typing import Any, NamedTuple

from aaad.cli.cluster import opened
from aaad.cli.moments import read_beginning
from aaad.cli.records import Desk
from aaad.cli.session_words import (
    CAUSE_NAMES,
    ENDS_OF_CAUSES,
    EVIDENCE,
    cause_text,
    duration_text,
    end_text,
    evidence_text,
    instant_text,
    iso_text,
    octets_text,
    state_text,
)
from aaad.cli.sheets import Column, Document, plain, refuse_both_forms, show_table, write_csv
from aaad.cli.terminal import Terminal
from aaad.clock import utc_now
from aaad.erp.complaints import MAC_FORM
from aaad.erp.store import Store
from aaad.erp.validate import mac as read_mac
from aaad.errors import InvalidValue, MistypedError
from aaad.sessions.reports import LIVE_STATES, Reports, Wanted, Whose, short_name

_CLOSED_SINCE_DEFAULT = "24h"
_ID_MAX = 2**31 - 1
_STYLES = {"suspended": "yellow", "closed": "dim"}


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


_ADDRESS_ALLOWED = _(
    "{option}: {word} is not valid. Allowed: an IPv4 or IPv6 address, or a network or prefix with its length"
)

_CAUSE_ALLOWED = _("{option}: {word} is not valid. Allowed: a number of Acct-Terminate-Cause, or one of {allowed}")
_CAUSE_DIGITS = 9

# Of a session in JSON and CSV, in this order.
NAMES = (
    "session", "state", "user_name", "login_id", "login", "client_id", "client", "contract_id", "plan_id", "plan",
    "nas_id", "nas", "source_address", "nas_identifier", "address_space", "nas_port", "nas_port_id",
    "called_station_id", "calling_station_id", "mac", "circuit_id", "acct_session_id",
    "ipv4", "ipv4_evidence", "ipv6_prefix", "ipv6_prefix_evidence",
    "delegated_ipv6_prefix", "delegated_ipv6_prefix_evidence",
    "time_zone", "started_at", "start_seen", "heard_at", "ended_at", "ended_latest", "certain_duration_s",
    "possible_duration_s", "end_evidence", "end_evidence_text", "terminate_cause", "terminate_cause_text",
    "interim_s", "octets_in", "octets_out", "packets_in", "packets_out", "records",
)  # fmt: skip
COUNT_NAMES = ("by", "id", "name", "end_evidence", "terminate_cause", "open", "suspended", "closed")


class Filter(NamedTuple):
    """What was typed; None: any."""

    login: str | None = None
    client: str | None = None
    contract: str | None = None
    nas: str | None = None
    plan: str | None = None
    address: str | None = None
    mac: str | None = None
    state: str | None = None  # None: not closed
    since: str | None = None
    cause: str | None = None

    @property
    def is_closed(self) -> bool:
        """Whether it asks for what has ended."""
        return self.state == "closed" or (self.state is None and self.cause is not None)


class Room(NamedTuple):
    """What a reading command has in its hands."""

    desk: Desk
    reports: Reports


@asynccontextmanager
async def reading(terminal: Terminal) -> AsyncIterator[Room]:
    """Open a transaction that sees one moment and writes nothing."""
    async with opened(terminal.config) as database, database.transaction(readonly=True) as transaction:
        yield Room(Desk(terminal, Store(transaction)), Reports(transaction))


async def whose(desk: Desk, word: str) -> Whose:
    """Return whose sessions a word means: a login's, also of a deleted one, else of a name that is no login's."""
    if found := await desk.store.find("login", word):
        return Whose(login_ids=[row.id for row in found])
    if word.isdecimal() and word.isascii() and 0 < int(word) <= _ID_MAX:
        return Whose(login_ids=[int(word)])  # of a login whose row is gone
    return Whose(user_name=word)


def list_sessions(terminal: Terminal, typed: Filter, limit: int, *, is_csv: bool) -> None:
    """List sessions."""
    refuse_both_forms(terminal, is_csv=is_csv)
    now = utc_now()

    async def find() -> list[dict[str, Any]]:
        async with reading(terminal) as room:
            wanted = await _wanted(room.desk, typed, now)
            return await room.reports.sessions(wanted, limit + 1)

    rows = [document(terminal, row, now) for row in asyncio.run(find())]
    shown, is_more = rows[:limit], len(rows) > limit
    if terminal.options.is_json:
        terminal.json(shown)
    elif is_csv:
        write_csv(NAMES, shown)
    else:
        show_table(terminal, _columns(terminal, is_closed=typed.is_closed), shown, _style)
    _ = terminal.speak
    if is_more:
        terminal.complain(_("There are more than {limit}: see --limit.", limit=limit))


def count_sessions(terminal: Terminal, typed: Filter, *, is_csv: bool) -> None:
    """Count sessions by concentrator, by plan and, of closed ones, by how they ended."""
    refuse_both_forms(terminal, is_csv=is_csv)

    async def find() -> list[dict[str, Any]]:
        async with reading(terminal) as room:
            return await room.reports.counts(await _wanted(room.desk, typed, utc_now()))

    rows = asyncio.run(find())
    if terminal.options.is_json:
        terminal.json({by: [row for row in rows if row["by"] == by] for by in ("all", "nas", "plan", "end")})
    elif is_csv:
        write_csv(COUNT_NAMES, rows)
    else:
        _show_counts(terminal, rows)


async def _wanted(desk: Desk, typed: Filter, now: datetime) -> Wanted:
    """Return what was typed, looked up; MistypedError names the option that is wrong."""
    wanted = Wanted(
        address=_address(typed.address),
        mac=_mac(typed.mac),
        states=("closed",) if typed.is_closed else (typed.state,) if typed.state else LIVE_STATES,
    )
    if typed.cause is not None:
        ends, causes = _cause(typed.cause)
        wanted = wanted._replace(ends=ends, causes=causes)
    since = read_beginning("--since", typed.since, now) if typed.since is not None else None
    resolve = desk.resolve
    wanted = wanted._replace(
        nas_id=await resolve("nas", typed.nas) if typed.nas is not None else None,
        plan_id=await resolve("plan", typed.plan) if typed.plan is not None else None,
        client_id=await resolve("client", typed.client) if typed.client is not None else None,
        contract_id=await resolve("contract", typed.contract) if typed.contract is not None else None,
    )
    if typed.login is not None:
        wanted = wanted._replace(whose=await whose(desk, typed.login))
    if not typed.is_closed:
        return wanted._replace(started_since=since)
    if since is None and not wanted.is_of_few:
        since = read_beginning("--since", _CLOSED_SINCE_DEFAULT, now)
    return wanted._replace(ended_since=since)


def _address(word: str | None) -> str | None:
    if word is None:
        return None
    try:
        return str(ip_interface(word).network)
    except ValueError:
        raise MistypedError(_ADDRESS_ALLOWED, option="--address", word=repr(word)) from None


def _mac(word: str | None) -> str | None:
    if word is None:
        return None
    try:
        return read_mac(word)
    except InvalidValue:
        raise MistypedError(MAC_FORM) from None


def _cause(word: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return how an end is known and which cause of a Stop a word means: a restart of the NAS is both."""
    folded = word.strip().lower()
    if folded in EVIDENCE:
        return (folded,), ()
    is_number = folded.isascii() and folded.isdecimal() and len(folded) <= _CAUSE_DIGITS
    cause = int(folded) if is_number else CAUSE_NAMES.get(folded)
    if cause is None:
        allowed = ", ".join([*EVIDENCE, *CAUSE_NAMES])
        raise MistypedError(_CAUSE_ALLOWED, option="--cause", word=repr(word), allowed=allowed)
    return (ENDS_OF_CAUSES[cause],) if cause in ENDS_OF_CAUSES else (), (cause,)


def document(terminal: Terminal, row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return a session as JSON has it: what is certain of its end, and what is possible."""
    zone = row["time_zone"]
    certain_until = row["ended_at"] or row["heard_at"]
    possible_until = row["ended_latest"] or max(now, row["heard_at"])
    texts = {name: _text(row[name]) for name in ("ipv4", "ipv6_prefix", "delegated_ipv6_prefix", "source_address")}
    instants = {name: iso_text(row[name], zone) for name in ("started_at", "heard_at", "ended_at", "ended_latest")}
    made: dict[str, Any] = {
        **row,
        **texts,
        **instants,
        "session": short_name(row["family"], row["life"]),
        "mac": str(row["mac"]).upper() if row["mac"] is not None else None,
        "certain_duration_s": int((certain_until - row["started_at"]).total_seconds()),
        "possible_duration_s": int((possible_until - row["started_at"]).total_seconds()),
        "end_evidence_text": evidence_text(terminal.speak, row["end_evidence"]) or None,
        "terminate_cause_text": cause_text(terminal.speak, row["terminate_cause"]) or None,
    }
    if "nas_identifier" in row:
        made["nas_identifier"] = row["nas_identifier"].decode("utf-8", "replace")
    return {name: made[name] for name in NAMES if name in made}


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def when(terminal: Terminal, session: Document, name: str) -> str:
    """Return one of a session's instants for people."""
    at = session[name]
    return instant_text(terminal, datetime.fromisoformat(at) if at else None, session["time_zone"])


def end_of(terminal: Terminal, session: Document) -> str:
    """Return when a session ended; where no Stop came, until when it was certainly and may have been connected."""
    _ = terminal.speak
    certain, possible = when(terminal, session, "ended_at"), when(terminal, session, "ended_latest")
    if certain == possible:
        return certain
    return _("{certain}, perhaps until {possible}", certain=certain, possible=possible)


def connected_for(terminal: Terminal, session: Document) -> str:
    """Return how long a session was connected: up to now if it is open, at least so long if that is not certain."""
    if session["state"] == "open":
        return duration_text(terminal, session["possible_duration_s"])
    certain = duration_text(terminal, session["certain_duration_s"])
    return certain if session["certain_duration_s"] == session["possible_duration_s"] else f"≥ {certain}"


def end_words(terminal: Terminal, session: Document) -> str:
    """Return why a session ended."""
    return end_text(terminal.speak, session["end_evidence"], session["terminate_cause"])


def addresses_of(session: Document) -> str:
    """Return a session's addresses in one cell."""
    return " ".join(
        session[name] for name in ("ipv4", "ipv6_prefix", "delegated_ipv6_prefix") if session[name] is not None
    )


def _columns(terminal: Terminal, *, is_closed: bool) -> list[Column]:
    _ = terminal.speak
    ends = [
        Column(_("ended"), lambda session: end_of(terminal, session)),
        Column(_("why"), lambda session: end_words(terminal, session)),
    ]
    states = [Column(_("state"), lambda session: state_text(terminal.speak, session["state"]))]
    return [
        Column(_("session"), lambda session: session["session"]),
        Column(_("login"), lambda session: session["login"] or session["user_name"]),
        *([] if is_closed else states),
        Column(_("concentrator"), lambda session: session["nas"] or session["source_address"]),
        Column(_("addresses"), addresses_of),
        Column(_("MAC"), lambda session: session["mac"] or session["calling_station_id"] or ""),
        Column(_("began"), lambda session: when(terminal, session, "started_at")),
        Column(_("connected for"), lambda session: connected_for(terminal, session)),
        Column(_("download"), lambda session: octets_text(terminal, session["octets_out"])),
        Column(_("upload"), lambda session: octets_text(terminal, session["octets_in"])),
        *(ends if is_closed else []),
    ]


def _style(session: Document) -> str:
    return _STYLES.get(session["state"], "")


def _show_counts(terminal: Terminal, rows: list[dict[str, Any]]) -> None:
    _ = terminal.speak
    total = next(row for row in rows if row["by"] == "all")
    terminal.line(
        _(
            "{open} open, {suspended} suspended, {closed} closed",
            open=total["open"],
            suspended=total["suspended"],
            closed=total["closed"],
        ),
        "bold",
    )
    numbers = [
        Column(_("open"), lambda row: row["open"]),
        Column(_("suspended"), lambda row: row["suspended"]),
        Column(_("closed"), lambda row: row["closed"]),
    ]
    for by, title in (("nas", _("concentrator")), ("plan", _("plan")), ("end", _("why"))):
        group = [row for row in rows if row["by"] == by]
        if not group:
            continue
        terminal.line()
        name = (
            Column(title, lambda row: end_text(terminal.speak, row["end_evidence"], row["terminate_cause"]))
            if by == "end"
            else Column(title, lambda row: row["name"] or (f"#{row['id']}" if row["id"] is not None else "-"))
        )
        show_table(terminal, [name, *numbers], group, plain)
