"""`aaad usage LOGIN`: what a login has used by day, by month, or of its plan's cap (rule R5.5).

Days are days of each session's own zone, and octets belong to the day that reported them; the rule itself is
PostgreSQL's `net.usage_day`, the cap's periods are `aaad/sessions/periods.py`. For a cap, upload and
download count together.
"""

import asyncio
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any, NamedTuple

from aaad.cli.moments import read_days
from aaad.cli.records import fail
from aaad.cli.session_words import instant_text, iso_text, octets_text
from aaad.cli.sessions import Room, reading, whose
from aaad.cli.sheets import Column, Document, plain, refuse_both_forms, show_table, write_csv
from aaad.cli.terminal import Terminal
from aaad.errors import MistypedError
from aaad.sessions.periods import OCTETS_PER_GIGABYTE, CapKind, Period, cap_period
from aaad.words import Language

_DAYS_DEFAULT, _MONTHS_DEFAULT, _DAYS_MAX = 30, 12, 3_660
_PERIODS_MAX = 130
_NAMES = {
    "day": ("day", "octets_in", "octets_out", "octets", "sessions"),
    "month": ("month", "octets_in", "octets_out", "octets"),
    "cap": ("first_day", "last_day", "octets_in", "octets_out", "octets", "cap_octets", "left_octets", "reached_on"),
}


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


CAP_KINDS = {
    "M": _("by calendar month"),
    "U": _("in the last 30 days"),
    "P": _("from one due day of the contract to the next"),
}
_ORDER_ALLOWED = _(
    "{option}: {word} is not valid. Allowed: a day not before the first, and {days} days in all at most"
)


class Asked(NamedTuple):
    """A login as it was found: which one, what is its cap, and the day it is there."""

    login_id: int
    cap: dict[str, Any]  # of `capped_login`; without a plan if the login is gone
    today: date


class Used(NamedTuple):
    """What a report is made of."""

    asked: Asked
    rows: list[dict[str, Any]]


def show_usage(
    terminal: Terminal, login: str, by: str, since: str | None, until: str | None, *, is_csv: bool
) -> None:
    """Show a login's usage; end with 1 if it is asked by a cap that its plan does not have."""
    refuse_both_forms(terminal, is_csv=is_csv)
    first = read_days("--from", since)[0] if since is not None else None
    last = read_days("--to", until)[1] if until is not None else None
    used = asyncio.run(_find(terminal, login, by, first, last))
    if terminal.options.is_json:
        terminal.json(_document(terminal, login, by, used))
    elif is_csv:
        write_csv(_NAMES[by], used.rows)
    else:
        _show(terminal, by, used)


async def _find(terminal: Terminal, login: str, by: str, first: date | None, last: date | None) -> Used:
    async with reading(terminal) as room:
        asked = await _ask(terminal, room, login)
        until = last or asked.today
        if by == "cap":
            if asked.cap.get("cap_gigabytes") is None:
                _ = terminal.speak
                fail(terminal, _("The plan of {login} has no cap.", login=login))
            return Used(asked, await _by_period(room, asked, first, until))
        since = first or (until - timedelta(days=_DAYS_DEFAULT - 1) if by == "day" else _months_before(until))
        _check_order(since, until)
        days = await room.reports.usage(asked.login_id, since, until)
        return Used(asked, [_day(row) for row in days] if by == "day" else _by_month(days))


async def _ask(terminal: Terminal, room: Room, login: str) -> Asked:
    meant = await whose(room.desk, login)
    for login_id in meant.login_ids or []:
        found = await room.reports.capped_login(login_id) or await room.reports.last_zone(login_id)
        if found:
            return Asked(login_id, found, found["today"])
    _ = terminal.speak
    return fail(terminal, _("There is no {thing} {word}.", thing=_("login"), word=login))


def _months_before(day: date) -> date:
    months = day.year * 12 + day.month - 1 - (_MONTHS_DEFAULT - 1)
    return date(months // 12, months % 12 + 1, 1)


def _check_order(first: date, last: date) -> None:
    if not 0 <= (last - first).days < _DAYS_MAX:
        raise MistypedError(_ORDER_ALLOWED, option="--to", word=repr(last.isoformat()), days=_DAYS_MAX)


async def _by_period(room: Room, asked: Asked, first: date | None, last: date) -> list[dict[str, Any]]:
    """Return the periods of the cap from the one of `first` to the one of `last`; the last 30 days are one alone."""
    kind, due_day = CapKind(asked.cap["cap_kind"]), asked.cap["due_day"] or 1
    periods = [cap_period(kind, last, due_day)]
    if first is not None and kind is not CapKind.LAST_DAYS:
        _check_order(first, last)
        while periods[-1].first > first and len(periods) < _PERIODS_MAX:
            periods.append(cap_period(kind, periods[-1].first - timedelta(days=1), due_day))
    periods.reverse()
    days = await room.reports.usage(asked.login_id, periods[0].first, periods[-1].last)
    cap = asked.cap["cap_gigabytes"] * OCTETS_PER_GIGABYTE
    told = [_period(period, days, cap) for period in periods]
    # Of the last 30 days no single one is the day of it: what was used before them counted then, too.
    return [row | {"reached_on": None} for row in told] if kind is CapKind.LAST_DAYS else told


def _period(period: Period, days: Iterable[Document], cap: int) -> dict[str, Any]:
    within = [row for row in days if period.first <= row["day"] <= period.last]
    reached_on, used = None, 0
    for row in within:
        used += row["octets_in"] + row["octets_out"]
        if used >= cap and reached_on is None:
            reached_on = row["day"].isoformat()
    return {
        "first_day": period.first.isoformat(),
        "last_day": period.last.isoformat(),
        **_sums(within),
        "cap_octets": cap,
        "left_octets": max(0, cap - used),
        "reached_on": reached_on,
    }


def _day(row: Document) -> dict[str, Any]:
    return {"day": row["day"].isoformat(), **_sums([row]), "sessions": row["sessions"]}


def _by_month(days: Iterable[Document]) -> list[dict[str, Any]]:
    months: dict[str, list[Document]] = {}
    for row in days:
        months.setdefault(f"{row['day']:%Y-%m}", []).append(row)
    return [{"month": month, **_sums(rows)} for month, rows in months.items()]


def _sums(rows: Iterable[Document]) -> dict[str, int]:
    rows = list(rows)
    upload, download = (sum(row[name] for row in rows) for name in ("octets_in", "octets_out"))
    return {"octets_in": upload, "octets_out": download, "octets": upload + download}


def _document(terminal: Terminal, login: str, by: str, used: Used) -> dict[str, Any]:
    cap = used.asked.cap
    document: dict[str, Any] = {
        "login": cap.get("name", login),
        "login_id": used.asked.login_id,
        "by": by,
        "rows": used.rows,
        "totals": _sums(used.rows),
        "cap": None,
    }
    if cap.get("cap_gigabytes") is not None:
        document["cap"] = {
            "plan": cap["plan"],
            "gigabytes": cap["cap_gigabytes"],
            "kind": cap["cap_kind"],
            "kind_text": kind_text(terminal, cap),
            "cap_plan": cap["cap_plan"],
            "is_reached": cap["cap_reached"],
            "reached_at": iso_text(_reached_at(cap), cap["time_zone"]),
        }
    return document


def _reached_at(cap: dict[str, Any]) -> Any:
    """Return since when the cap holds as reached, None if it does not."""
    return cap["reached_at"] if cap["cap_reached"] else None


def _show(terminal: Terminal, by: str, used: Used) -> None:
    _ = terminal.speak
    amounts = [
        Column(_("download"), lambda row: octets_text(terminal, row["octets_out"])),
        Column(_("upload"), lambda row: octets_text(terminal, row["octets_in"])),
        Column(_("total"), lambda row: octets_text(terminal, row["octets"])),
    ]
    columns = {
        "day": [
            Column(_("day"), lambda row: day_text(terminal, row["day"])),
            *amounts,
            Column(_("connections"), lambda row: row["sessions"]),
        ],
        "month": [Column(_("month"), lambda row: row["month"]), *amounts],
        "cap": [
            Column(_("from"), lambda row: day_text(terminal, row["first_day"])),
            Column(_("to"), lambda row: day_text(terminal, row["last_day"])),
            *amounts,
            Column(_("cap"), lambda row: octets_text(terminal, row["cap_octets"])),
            Column(_("left"), lambda row: octets_text(terminal, row["left_octets"])),
            Column(_("reached on"), lambda row: day_text(terminal, row["reached_on"])),
        ],
    }[by]
    show_table(terminal, columns, used.rows, lambda row: "yellow" if row.get("reached_on") else plain(row))
    totals = _sums(used.rows)
    terminal.line()
    terminal.line(
        _(
            "download {download}, upload {upload}, in all {total}",
            download=octets_text(terminal, totals["octets_out"]),
            upload=octets_text(terminal, totals["octets_in"]),
            total=octets_text(terminal, totals["octets"]),
        ),
        "bold",
    )
    _show_cap(terminal, used.asked.cap)


def _show_cap(terminal: Terminal, cap: dict[str, Any]) -> None:
    _ = terminal.speak
    if cap.get("cap_gigabytes") is None:
        return
    terminal.line(
        _(
            "Plan {plan}: {gigabytes} GB {kind}, then {cap_plan}.",
            plan=cap["plan"],
            gigabytes=cap["cap_gigabytes"],
            kind=kind_text(terminal, cap),
            cap_plan=cap["cap_plan"],
        )
    )
    if cap["cap_reached"]:
        since = instant_text(terminal, _reached_at(cap), cap["time_zone"])
        text = _("The cap is reached since {at}.", at=since) if since else _("The cap is reached.")
        terminal.line(text, "yellow")


def kind_text(terminal: Terminal, cap: dict[str, Any]) -> str:
    """Return in what the traffic of a cap is counted."""
    english = CAP_KINDS[cap["cap_kind"]]
    return terminal.speak(english)


def day_text(terminal: Terminal, day: str | None) -> str:
    """Return a day as people write it; empty for none."""
    if day is None:
        return ""
    return f"{date.fromisoformat(day):%d/%m/%Y}" if terminal.language is Language.PORTUGUESE else day
