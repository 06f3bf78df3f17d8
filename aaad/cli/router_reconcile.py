"""`aaad nas reconcile`: who is connected by a router's own tables and by ours, both ways.

Nothing is ever written to the router. With --write, sessions that are open here and that the router does not have
are closed as `gone`: the end is certain only until they were last heard, and a later record of one opens it again.
What is there and not here, and what differs, is only shown: accounting tells of it, or orders mend it.
"""

import asyncio
from collections import Counter
from typing import Any, NamedTuple

from aaad import clock
from aaad.cli.records import fail, working
from aaad.cli.router_api import access_of, connected
from aaad.cli.terminal import Terminal
from aaad.mikrotik.applied import Active, read_active
from aaad.mikrotik.connection import ENCODING, KEPT
from aaad.mikrotik.reconcile import Comparison, Difference, Differing, Ours, compare
from aaad.sessions.reports import Reports, short_name

_SESSIONS_MAX = 200_000
_SLACK_S = 5.0  # between a router's word and our clock


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


DIFFERENCES = {
    Difference.NOT_HERE: _("connected there, not known here"),
    Difference.NOT_THERE: _("open here, not connected there"),
    Difference.OTHER_ADDRESS: _("another address"),
    Difference.OTHER_MAC: _("another MAC"),
}


class Report(NamedTuple):
    """What was found, and which sessions were closed."""

    router: str
    compared: Comparison
    closed: set[tuple[Any, int]]


def reconcile(terminal: Terminal, word: str, limit: int, *, is_written: bool, at_most: int) -> None:
    """Show the differences, and with `is_written` close what is gone; end with 1 if there are any."""
    report = asyncio.run(_reconcile(terminal, word, is_written=is_written, at_most=at_most))
    if terminal.options.is_json:
        terminal.json(_document(report, limit))
    else:
        _show(terminal, report, limit, is_written=is_written)
    if any(
        one.here is None or (one.here.family, one.here.life) not in report.closed for one in report.compared.differing
    ):
        terminal.refuse()


def _is_closed(one: Differing, report: Report) -> bool:
    return one.here is not None and (one.here.family, one.here.life) in report.closed


async def _reconcile(terminal: Terminal, word: str, *, is_written: bool, at_most: int) -> Report:
    _ = terminal.speak
    async with working(terminal) as desk:
        nas_id = await desk.resolve("nas", word)
        access = await access_of(desk, nas_id)
        open_now = await Reports(desk.store.queries).open_of_nas(nas_id, _SESSIONS_MAX)
        before = {(row["family"], row["life"]) for row in open_now}
    asked_at_s = clock.monotonic_s()
    async with connected(access) as connection:
        there = await read_active(connection)
        identity = await connection.rows("/system/identity", ("name",))
    router = identity[0].get("name", "") if identity else ""
    async with working(terminal) as desk:
        reports = Reports(desk.store.queries)
        here = [_ours(row) for row in await reports.open_of_nas(nas_id, _SESSIONS_MAX)]
        compared = _settled(compare(there, here, router, access.address), before)
        gone = [one.here for one in compared.differing if one.difference is Difference.NOT_THERE and one.here]
        if not is_written or not gone:
            return Report(router, compared, set())
        if len(gone) > at_most:
            text = _(
                "{count} sessions would be closed, more than {most}: nothing was. If it is right: --at-most {count}",
                count=len(gone),
                most=at_most,
            )
            fail(terminal, text)
        history = f"not in the tables of router {_printable(router)}, asked by {_printable(terminal.operator)}"
        keys = [(one.family, one.life) for one in gone]
        asked_s = clock.monotonic_s() - asked_at_s + _SLACK_S
        return Report(router, compared, await reports.close_gone(keys, asked_s, history))


def _ours(row: dict[str, Any]) -> Ours:
    return Ours(
        row["family"],
        row["life"],
        row["user_name"],
        row["acct_session_id"],
        row["nas_identifier"].decode(ENCODING, KEPT),
        row["source"],
        row["ipv4"],
        row["mac"],
        row["age_s"],
        row["heard_s"],
    )


def _settled(compared: Comparison, before: set[tuple[Any, int]]) -> Comparison:
    """Leave out what has begun here while the router was asked."""
    differing = tuple(
        one
        for one in compared.differing
        if one.difference is not Difference.NOT_THERE or (one.here and (one.here.family, one.here.life) in before)
    )
    began = len(compared.differing) - len(differing)
    return Comparison(
        differing, compared.equal_count, compared.local_count, compared.new_count + began, compared.other_count
    )


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text).strip()


def _document(report: Report, limit: int) -> dict[str, object]:
    compared = report.compared
    return {
        "router": report.router,
        "equal": compared.equal_count,
        "without_radius": compared.local_count,
        "too_new": compared.new_count,
        "of_others": compared.other_count,
        "differing": len(compared.differing),
        "closed": len(report.closed),
        "differences": [
            {
                "difference": one.difference.value,
                "user_name": _name(one),
                "session": short_name(one.here.family, one.here.life) if one.here else None,
                "closed": _is_closed(one, report),
                "there": _there_values(one.there) if one.there else None,
                "here": {"session_id": one.here.session_id, "address": one.here.ipv4, "mac": one.here.mac}
                if one.here
                else None,
            }
            for one in compared.differing[:limit]
        ],
    }


def _there_values(there: Active) -> dict[str, object]:
    said = {"table": there.kind.value, "session_id": there.session_id, "address": there.address}
    return {**said, "mac": there.caller, "uptime_s": there.uptime_s}


def _name(one: Differing) -> str:
    return one.here.user_name if one.here else one.there.name if one.there else ""


def _show(terminal: Terminal, report: Report, limit: int, *, is_written: bool) -> None:
    _ = terminal.speak
    compared = report.compared
    if compared.differing:
        table = terminal.table(_("user name"), _("difference"), _("there"), _("here"), _("session"))
        for one in compared.differing[:limit]:
            there = f"{one.there.address} {one.there.caller} {one.there.session_id}".strip() if one.there else ""
            here = f"{one.here.ipv4} {one.here.mac} {one.here.session_id}".strip() if one.here else ""
            name = short_name(one.here.family, one.here.life) if one.here else ""
            table.add(_name(one), terminal.speak(DIFFERENCES[one.difference]), there, here, name)
        table.print()
        if len(compared.differing) > limit:
            terminal.complain(_("There are more than {limit}: see --limit.", limit=limit))
    counted = Counter(one.difference for one in compared.differing)
    terminal.line(
        _(
            "{router}: {equal} sessions are the same here and there, {not_here} only there, {not_there} only here.",
            router=report.router,
            equal=compared.equal_count,
            not_here=counted[Difference.NOT_HERE],
            not_there=counted[Difference.NOT_THERE],
        ),
        "" if compared.differing else "green",
    )
    if compared.new_count or compared.local_count or compared.other_count:
        terminal.line(
            _(
                "Not compared: {new} too new, {local} there without RADIUS, {other} of other routers or services.",
                new=compared.new_count,
                local=compared.local_count,
                other=compared.other_count,
            )
        )
    if is_written:
        terminal.line(_("{count} sessions closed here: their router does not have them.", count=len(report.closed)))
