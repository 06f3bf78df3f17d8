"""`aaad statement LOGIN`: "Extrato por período das conexões: Tempo, MAC ou Tráfego" (seed S2, line 204).

Whole sessions that were, or may have been, connected in the period, with their sums; what belongs to which day is
`aaad usage`. Works for logins that were deleted, too: their sessions outlive them.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from aaad.cli.moments import read_beginning, read_end
from aaad.cli.records import fail
from aaad.cli.session_words import cause_text, duration_text, instant_text, iso_text, octets_text
from aaad.cli.sessions import NAMES, connected_for, document, end_of, end_words, reading, when, whose
from aaad.cli.sheets import Column, Document, plain, refuse_both_forms, show_table, write_csv
from aaad.cli.terminal import Terminal
from aaad.clock import utc_now
from aaad.sessions.reports import Moment

_PERIOD_DEFAULT = timedelta(days=30)
_NOT_TOLD = {
    "login", "client", "plan", "nas_identifier", "address_space", "interim_s", "packets_in", "packets_out", "records"
}  # fmt: skip
_NAMES: tuple[str, ...] = tuple(name for name in NAMES if name not in _NOT_TOLD)
_DEVICE_NAMES: tuple[str, ...] = (
    "device",
    "sessions",
    "first_at",
    "last_at",
    "connected_s",
    "octets_in",
    "octets_out",
)
_STYLES = {"suspended": "yellow", "open": "green"}


class Period(NamedTuple):
    """From when, and until when exclusive."""

    first: Moment
    until: Moment


def read_period(since: str | None, until: str | None, now: datetime) -> Period:
    """Return what was typed; by default the last 30 days."""
    end = read_end("--to", until, now) if until is not None else Moment(now)
    if since is not None:
        return Period(read_beginning("--from", since, now), end)
    local = end.local - _PERIOD_DEFAULT if end.local else None
    return Period(Moment(end.at - _PERIOD_DEFAULT - (timedelta(days=2) if local else timedelta()), local), end)


def show_statement(
    terminal: Terminal, login: str, by: str, since: str | None, until: str | None, limit: int, *, is_csv: bool
) -> None:
    """Show a login's sessions of a period: in order of time, by device, or those with most traffic first."""
    refuse_both_forms(terminal, is_csv=is_csv)
    now = utc_now()
    period = read_period(since, until, now)
    if by == "mac":
        found = asyncio.run(_find_devices(terminal, login, period, limit + 1))
        rows, names = [_device(row) for row in found], _DEVICE_NAMES
    else:
        found = asyncio.run(_find_sessions(terminal, login, period, limit + 1, by_traffic=by == "traffic"))
        rows, names = [document(terminal, row, now) for row in found], _NAMES
    shown, totals = rows[:limit], _totals(found)
    if terminal.options.is_json:
        terminal.json({"login": login, "by": by, "rows": shown, "totals": totals})
    elif is_csv:
        write_csv(names, shown)
    else:
        show_table(terminal, _columns(terminal, by), shown, _style if by != "mac" else plain)
        _show_totals(terminal, totals)
    _ = terminal.speak
    if len(rows) > limit:
        terminal.complain(_("There are more than {limit}: see --limit.", limit=limit))


async def _find_sessions(
    terminal: Terminal, login: str, period: Period, limit: int, *, by_traffic: bool
) -> list[dict[str, Any]]:
    async with reading(terminal) as room:
        meant = await whose(room.desk, login)
        rows = await room.reports.statement(meant, period.first, period.until, by_traffic=by_traffic, limit=limit)
        if not rows and meant.user_name is not None:
            _refuse_unknown(terminal, login)
        return rows


async def _find_devices(terminal: Terminal, login: str, period: Period, limit: int) -> list[dict[str, Any]]:
    async with reading(terminal) as room:
        meant = await whose(room.desk, login)
        rows = await room.reports.devices(meant, period.first, period.until, limit=limit)
        if not rows and meant.user_name is not None:
            _refuse_unknown(terminal, login)
        return rows


def _refuse_unknown(terminal: Terminal, login: str) -> None:
    _ = terminal.speak
    fail(terminal, _("There is no login {login}, and no session of this name in the period.", login=login))


def _device(row: dict[str, Any]) -> dict[str, Any]:
    zone = row["time_zone"]
    return {
        "device": row["device"],
        "sessions": row["sessions"],
        "time_zone": zone,
        "first_at": iso_text(row["first_at"], zone),
        "last_at": iso_text(row["last_at"], zone),
        "connected_s": int(row["connected_s"]),
        "octets_in": row["octets_in"],
        "octets_out": row["octets_out"],
    }


def _totals(rows: list[dict[str, Any]]) -> dict[str, int]:
    first = rows[0] if rows else {}
    return {
        name: int(first.get(f"total_{name}") or 0) for name in ("sessions", "connected_s", "octets_in", "octets_out")
    }


def _columns(terminal: Terminal, by: str) -> list[Column]:
    """The titles are those of the screens that people know (Hotspot/PPPOE is Called-Station-Id)."""
    _ = terminal.speak
    traffic = [
        Column(_("Download"), lambda row: octets_text(terminal, row["octets_out"])),
        Column(_("Upload"), lambda row: octets_text(terminal, row["octets_in"])),
        Column(_("Total"), lambda row: octets_text(terminal, row["octets_in"] + row["octets_out"])),
    ]
    if by == "mac":
        return [
            Column(_("MAC"), lambda row: row["device"] or "-"),
            Column(_("Connections"), lambda row: row["sessions"]),
            Column(_("First connection"), lambda row: _when(terminal, row, "first_at")),
            Column(_("Last connected"), lambda row: _when(terminal, row, "last_at")),
            Column(_("Time connected"), lambda row: duration_text(terminal, row["connected_s"])),
            *traffic,
        ]
    who = [
        Column(_("Login"), lambda row: row["user_name"]),
        Column(_("MAC"), lambda row: row["mac"] or row["calling_station_id"] or "-"),
        Column(_("IP"), lambda row: row["ipv4"] or "-"),
        Column(_("Concentrator"), lambda row: row["nas"] or row["source_address"]),
    ]
    times = [
        Column(_("Connected at"), lambda row: when(terminal, row, "started_at")),
        Column(_("Disconnected at"), lambda row: end_of(terminal, row)),
        Column(_("Time connected"), lambda row: connected_for(terminal, row)),
    ]
    if by == "traffic":
        return [*who[:3], *times, *traffic]
    return [
        *who,
        Column(_("Hotspot/PPPOE"), lambda row: row["called_station_id"] or "-"),
        *times,
        Column(_("Reason of the end"), lambda row: _why(terminal, row)),
        Column(_("Framed IPv6 prefix"), lambda row: row["ipv6_prefix"] or "-"),
        Column(_("Delegated IPv6"), lambda row: row["delegated_ipv6_prefix"] or "-"),
    ]


def _why(terminal: Terminal, row: Document) -> str:
    """Return why it ended; a cause that came with another evidence is told, too."""
    words, cause = end_words(terminal, row), cause_text(terminal.speak, row["terminate_cause"])
    return f"{words}; {cause}" if cause and words and cause != words else words


def _when(terminal: Terminal, row: Document, name: str) -> str:
    return instant_text(terminal, datetime.fromisoformat(row[name]), row["time_zone"])


def _style(row: Document) -> str:
    return _STYLES.get(row["state"], "")


def _show_totals(terminal: Terminal, totals: dict[str, int]) -> None:
    _ = terminal.speak
    terminal.line()
    terminal.line(
        _(
            "{count} connections, {time} connected, download {download}, upload {upload}, in all {total}",
            count=totals["sessions"],
            time=duration_text(terminal, totals["connected_s"]),
            download=octets_text(terminal, totals["octets_out"]),
            upload=octets_text(terminal, totals["octets_in"]),
            total=octets_text(terminal, totals["octets_in"] + totals["octets_out"]),
        ),
        "bold",
    )
