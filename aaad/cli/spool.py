"""`aaad spool …`: what lies on this node's disk alone, whether it is whole, and what it says (rule R6).

Reads the files of this node, so it needs no role that runs and works with PostgreSQL away; it needs the rights of the
account that the node runs as. Nothing here changes a spool. Records hold no password, and what hides or proves one
among a request's attributes is not shown either.
"""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from aaad.cli.cluster import opened
from aaad.cli.moments import read_beginning, read_end
from aaad.cli.records import fail
from aaad.cli.session_words import octets_text
from aaad.cli.sheets import Column, Document, refuse_both_forms, show_table, write_csv
from aaad.cli.terminal import Terminal
from aaad.clock import utc_now, wall_s
from aaad.daemon.node_facts import read_all_counters
from aaad.errors import ConfigError, SpoolError, StoreError
from aaad.radius.dictionary import decode as decode_attributes
from aaad.sessions.reports import Moment, Reports
from aaad.spool.audit import Audit, Placed, SegmentReport, spool_octets, spool_slots, walk
from aaad.spool.directory import has_writer, occupied_octets
from aaad.spool.mirror_course import Stage
from aaad.spool.mirror_disk import Kept, kept_copies
from aaad.spool.mirror_superseded import superseded, superseded_octets
from aaad.spool.records import Accounting, decode
from aaad.spool.status import SpoolStatus, read_status
from aaad.words import printable

_CONDEMNED = "aaad_spool_segments_condemned_total"
_WANTED, _STAGE = "aaad_spool_mirror_wanted", "aaad_spool_mirror_stage"
_STAGES = {int(stage): stage.name.lower() for stage in Stage}
_SHOW_NAMES = (
    "slot", "is_written", "records_at_risk", "records_undrained", "mirror", "octets_undrained", "oldest_age_s",
    "append_rate_per_s", "segments",
    "disk_bytes", "condemned", "set_aside", "set_aside_bytes",
)  # fmt: skip
_VERIFY_NAMES = (
    "slot", "segment", "is_whole", "records", "undrained", "unreadable", "missing", "damaged_places",
    "damaged_octets", "is_header_damaged", "is_given_up",
)  # fmt: skip
_NOT_SHOWN = {"attributes", "secret_fingerprint"}  # the one is shown by name, the other is of a secret


class Span(NamedTuple):
    """Records appended from `first` on and before `until`; None: any."""

    first: float | None
    until: float | None


# --- show -----------------------------------------------------------------------------------------------------------


def show_spools(terminal: Terminal, *, is_csv: bool) -> None:
    """Show what each slot's spool holds, and what of this node waits in PostgreSQL."""
    refuse_both_forms(terminal, is_csv=is_csv)
    config = terminal.local_config
    root = config.node.state_dir / "spool"
    counters = read_all_counters(config.node.state_dir / "counters")
    rows = []
    for slot in spool_slots(root):
        try:
            status = read_status(root / slot, now_s=wall_s())
        except SpoolError:
            continue  # no spool yet
        except OSError as error:
            raise SpoolError(f"{root / slot}: {error.strerror}") from error
        rows.append(_status_row(status, counters.get(slot) or {}, root / slot))
    copies = [_copy_row(kept) for kept in kept_copies(config.node.state_dir / "mirror")]
    deferred, problem = _deferred(terminal)
    if terminal.options.is_json:
        document = {"node": config.node.name, "spools": rows, "copies": copies}
        terminal.json({**document, "deferred": deferred, "database_problem": problem})
    elif is_csv:
        write_csv(_SHOW_NAMES, rows)
    else:
        _show(terminal, rows, deferred, problem)
        _show_copies(terminal, copies)


def _copy_row(kept: Kept) -> dict[str, Any]:
    try:
        return {
            "node": kept.node,
            "slot": kept.slot,
            "spool_id": str(kept.spool_id),
            "is_written": has_writer(kept.directory),
            "disk_bytes": occupied_octets(kept.directory),
            "superseded": len(superseded(kept.directory)),
            "superseded_bytes": superseded_octets(kept.directory),
        }
    except OSError as error:
        raise SpoolError(f"{kept.directory}: {error.strerror}") from error


def _status_row(status: SpoolStatus, counters: dict[str, int], directory: Path) -> dict[str, Any]:
    return {
        "slot": status.slot,
        "is_written": status.is_written,
        "records_at_risk": status.records_at_risk,
        "records_undrained": status.undrained_records,
        "mirror": _STAGES[counters.get(_STAGE, 0)] if counters.get(_WANTED) else None,
        "octets_undrained": status.undrained_bytes,
        "oldest_age_s": round(status.oldest_age_s, 1),
        "append_rate_per_s": round(status.append_rate_per_s, 2),
        "segments": status.segments,
        "disk_bytes": status.occupied_bytes,
        "condemned": counters.get(_CONDEMNED),
        "set_aside": _lines(directory / "set_aside.jsonl"),
        "set_aside_bytes": status.set_aside_bytes,
    }


def _lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")  # bounded by its writer
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise SpoolError(f"{path}: {error.strerror}") from error


def _deferred(terminal: Terminal) -> tuple[int | None, str | None]:
    """Return how many records of this node wait in PostgreSQL, or why that is not known."""

    async def ask() -> int:
        async with opened(terminal.config) as database:
            return await Reports(database).deferred(terminal.config.node.name)

    try:
        return asyncio.run(ask()), None
    except (StoreError, ConfigError) as error:
        return None, terminal.problem(error)


def _show(terminal: Terminal, rows: list[dict[str, Any]], deferred: int | None, problem: str | None) -> None:
    _ = terminal.speak
    columns = [
        Column(_("slot"), lambda row: row["slot"]),
        Column(_("written now"), lambda row: _("yes") if row["is_written"] else _("no")),
        Column(_("records at risk"), lambda row: row["records_at_risk"]),
        Column(_("of them data"), lambda row: octets_text(terminal, row["octets_undrained"])),
        Column(_("oldest"), lambda row: terminal.age(row["oldest_age_s"]) if row["records_undrained"] else "-"),
        Column(_("records per second"), lambda row: row["append_rate_per_s"]),
        Column(_("segments"), lambda row: row["segments"]),
        Column(_("disk"), lambda row: octets_text(terminal, row["disk_bytes"])),
        Column(_("condemned"), lambda row: "?" if row["condemned"] is None else row["condemned"]),
        Column(_("set aside"), lambda row: row["set_aside"]),
    ]
    if any(row["mirror"] for row in rows):
        words = {"away": _("away"), "catching_up": _("catching up"), "in_step": _("in step")}
        columns[3:3] = [
            Column(_("undrained"), lambda row: row["records_undrained"]),
            Column(_("mirror"), lambda row: words.get(row["mirror"], "-")),
        ]
    show_table(terminal, columns, rows, lambda row: "yellow" if row["condemned"] or row["set_aside"] else "")
    at_risk = sum(row["records_at_risk"] for row in rows)
    terminal.line(_("{count} records lie on this disk alone.", count=at_risk), "bold")
    if deferred is None:
        terminal.line(_("PostgreSQL could not be asked: {problem}", problem=problem), "yellow")
    else:
        style = "yellow" if deferred else ""
        terminal.line(_("{count} records wait in PostgreSQL for rows that others hold.", count=deferred), style)


def _show_copies(terminal: Terminal, copies: list[dict[str, Any]]) -> None:
    """Show which spools of other nodes are mirrored here."""
    if not copies:
        return
    _ = terminal.speak
    terminal.line()
    columns = [
        Column(_("copy of node"), lambda row: row["node"]),
        Column(_("slot"), lambda row: row["slot"]),
        Column(_("written now"), lambda row: _("yes") if row["is_written"] else _("no")),
        Column(_("disk"), lambda row: octets_text(terminal, row["disk_bytes"])),
    ]
    if any(row["superseded"] for row in copies):
        columns.append(Column(_("put aside"), lambda row: octets_text(terminal, row["superseded_bytes"])))
    show_table(terminal, columns, copies, lambda row: "yellow" if row["superseded"] else "")


# --- verify ---------------------------------------------------------------------------------------------------------


def verify_spools(terminal: Terminal, slot: str | None, *, is_csv: bool) -> None:
    """Check every record of each spool; end with 1 if anything is damaged, missing or not readable."""
    refuse_both_forms(terminal, is_csv=is_csv)
    directories = _directories(terminal, slot)
    found: list[tuple[str, SegmentReport]] = []
    with _progress(terminal, sum(spool_octets(directory) for directory in directories)) as bar:
        for directory in directories:
            audit = Audit(directory)
            for piece in walk(directory):
                audit.add(piece)
                bar.done(piece.octets)
            found += [(directory.name, report) for report in audit.reports()]
    rows = [_report_row(name, report) for name, report in found]
    if terminal.options.is_json:
        terminal.json({"is_whole": all(row["is_whole"] for row in rows), "segments": rows})
    elif is_csv:
        write_csv(_VERIFY_NAMES, rows)
    else:
        _show_reports(terminal, rows)
    if not all(row["is_whole"] for row in rows):
        terminal.refuse()


def _report_row(slot: str, report: SegmentReport) -> dict[str, Any]:
    return {
        "slot": slot,
        "segment": report.number,
        "is_whole": report.is_whole,
        "records": report.records,
        "undrained": report.undrained,
        "unreadable": report.unreadable,
        "missing": report.missing,
        "damaged_places": len(report.damages),
        "damaged_octets": sum(damage.end - damage.offset for damage in report.damages),
        "damages": [[damage.offset, damage.end] for damage in report.damages],
        "is_header_damaged": report.is_header_damaged,
        "is_given_up": report.is_given_up,
    }


def _show_reports(terminal: Terminal, rows: list[dict[str, Any]]) -> None:
    _ = terminal.speak
    columns = [
        Column(_("slot"), lambda row: row["slot"]),
        Column(_("segment"), lambda row: row["segment"]),
        Column(_("records"), lambda row: row["records"]),
        Column(_("undrained"), lambda row: row["undrained"]),
        Column(_("found"), lambda row: _finding(terminal, row)),
    ]
    show_table(terminal, columns, rows, lambda row: "" if row["is_whole"] else "red")
    records = sum(row["records"] for row in rows)
    if all(row["is_whole"] for row in rows):
        terminal.line(_("{count} records, all whole.", count=records), "green")
    else:
        terminal.line(_("{count} records are whole; what is not stands above.", count=records), "red")


def _finding(terminal: Terminal, row: Document) -> str:
    _ = terminal.speak
    found = []
    if row["is_header_damaged"]:
        found.append(_("its header is damaged"))
    if row["damaged_places"]:
        places = ", ".join(f"{first}-{end}" for first, end in row["damages"][:5])
        found.append(_("{octets} octets are no records, at {places}", octets=row["damaged_octets"], places=places))
    if row["missing"]:
        found.append(_("{count} records are missing before or in it", count=row["missing"]))
    if row["unreadable"]:
        found.append(_("{count} records that this version cannot read", count=row["unreadable"]))
    if row["is_given_up"]:
        found.append(_("given up by its writer; nothing in it counts"))
    return "; ".join(found) or _("whole")


# --- export ---------------------------------------------------------------------------------------------------------


def export_spools(
    terminal: Terminal, target: str, slot: str | None, since: str | None, until: str | None, *, only_undrained: bool
) -> None:
    """Write records as JSON lines, to a new file that only its owner reads, or to standard output."""
    span = _span(since, until)
    directories = _directories(terminal, slot)
    octets = sum(spool_octets(directory) for directory in directories)
    count = 0
    with _opened(terminal, target) as file, _progress(terminal, octets) as bar:
        for directory in directories:
            for piece in walk(directory):
                for placed in piece.records:
                    if _is_wanted(placed, span, only_undrained=only_undrained):
                        file.write(record_line(directory.name, placed) + "\n")
                        count += 1
                bar.done(piece.octets)
    if target == "-":
        return
    _ = terminal.speak
    if terminal.options.is_json:
        terminal.json({"records": count, "file": target})
    else:
        terminal.line(_("{count} records written to {file}.", count=count, file=target))


def record_line(slot: str, placed: Placed) -> str:
    """Return one record as a line of JSON, accounting attributes by name."""
    frame = placed.frame
    line: dict[str, Any] = {
        "slot": slot,
        "segment": placed.segment,
        "offset": frame.offset,
        "sequence": frame.sequence,
        "appended_at": datetime.fromtimestamp(frame.at_s, UTC).isoformat(),
        "is_drained": placed.is_drained,
    }
    try:
        record = decode(frame.payload)
    except SpoolError as error:
        line |= {"record": None, "octets": len(frame.payload), "problem": str(error)}
    else:
        names = (name for name in record.__struct_fields__ if name not in _NOT_SHOWN)
        line["record"] = type(record).__name__
        line["fields"] = {name: _shown(getattr(record, name)) for name in names}
        if isinstance(record, Accounting):
            line["fields"]["attributes"] = decode_attributes(record.attributes)
    return msgspec.json.encode(line).decode()


def _shown(value: object) -> object:
    return printable(value.decode("utf-8", "replace")) if isinstance(value, bytes) else value


def _is_wanted(placed: Placed, span: Span, *, only_undrained: bool) -> bool:
    at_s = placed.frame.at_s
    return (
        not (only_undrained and placed.is_drained)
        and (span.first is None or at_s >= span.first)
        and (span.until is None or at_s < span.until)
    )


def _span(since: str | None, until: str | None) -> Span:
    """Return what was typed; a spool has no zone but this machine's."""
    now = utc_now()
    first = read_beginning("--from", since, now) if since is not None else None
    end = read_end("--to", until, now) if until is not None else None
    return Span(_here_s(first), _here_s(end))


def _here_s(moment: Moment | None) -> float | None:
    if moment is None:
        return None
    at = moment.at if moment.local is None else moment.local.astimezone()
    return at.timestamp()


def _directories(terminal: Terminal, slot: str | None) -> list[Path]:
    root = terminal.local_config.node.state_dir / "spool"
    slots = spool_slots(root)
    if slot is None:
        return [root / name for name in slots if (root / name / "spool_id").exists()]
    aside = [f"{name}/{lot.directory.name}" for name in slots for lot in superseded(root / name)]
    if slot not in slots + aside:
        _ = terminal.speak
        known = ", ".join(slots + aside) or "-"
        fail(terminal, _("There is no spool {slot}. There are: {slots}", slot=slot, slots=known))
    return [root / slot]


@contextmanager
def _opened(terminal: Terminal, target: str) -> Iterator[TextIO]:
    if target == "-":
        yield sys.stdout
        return
    _ = terminal.speak
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        fail(terminal, _("{file}: it is there already.", file=target))
    except OSError as error:
        fail(terminal, f"{target}: {error.strerror}")
    with TextIOWrapper(os.fdopen(descriptor, "wb"), encoding="utf-8") as file:
        yield file


class Bar:
    """A progress bar on a person's terminal, nothing elsewhere."""

    def __init__(self, progress: Progress | None, octets: int) -> None:
        """Begin at nothing of so many octets."""
        self._progress = progress
        self._task = progress.add_task("", total=octets) if progress else None

    def done(self, octets: int) -> None:
        """Go on by so much."""
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, octets)


@contextmanager
def _progress(terminal: Terminal, octets: int) -> Iterator[Bar]:
    if not sys.stderr.isatty():
        yield Bar(None, octets)
        return
    _ = terminal.speak
    columns = (TextColumn(_("reading")), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Bar(progress, octets)
