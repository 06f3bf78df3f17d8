"""From the rows of an accounting run to its section of bench/RESULTS.md: ratios, targets, misses, what was lost."""

import statistics
from collections.abc import Callable

import report

CLOSED, HALF, OPEN = "window 128", "half of the top rate", "a set rate"
PEER = "freeradius-sql"
_COLUMNS = (
    "runs", "acknowledged/s", "stored/s", "per CPU second", "p50 ms", "p99 ms", "drained after s", "cores used",
    "resent, lost, bad, missing",
)  # fmt: skip
_RATE_MIN, _PER_CPU_MIN, _P99_MAX_MS = 4.0, 5.0, 5.0


def stored_rate(row: report.Row) -> float:
    """Return records a second until the last of them stood in the table of sessions."""
    return row["answered"] / (row["seconds"] + row["settle_s"])


def ratios(run: report.Run, figure: Callable[[report.Row], float]) -> list[float]:
    """Return aaad's ratio to FreeRADIUS under saturation, one per round: neighbours in time are compared."""
    pairs = zip(run.of("aaad", CLOSED), run.of(PEER, CLOSED), strict=False)
    return [figure(ours) / figure(theirs) for ours, theirs in pairs if figure(ours) and figure(theirs)]


def markdown(run: report.Run, rate_per_s: float) -> str:
    """Return the section on accounting; `rate_per_s` is the set rate."""
    lines = ["## Accounting", "", "Written by `bench/accounting.py`; medians with [least–most] over the rounds. Each"]
    lines += [
        "record is acknowledged when it is durable. CPU: of all processes of a leg until the last record stands"
    ]
    lines += ["in its table of sessions: for aaad the drain into PostgreSQL is in it.", "", "### Ratios", ""]
    lines += _targets(run, rate_per_s)
    lines += ["", "### Microseconds of CPU a record", "", *_cost_table(run)]
    for phase in (CLOSED, HALF, OPEN):
        title = f"{rate_per_s:,.0f} records a second" if phase == OPEN else phase
        lines += ["", f"### At {title}", "", *_phase_table(run, phase)]
    lines += [*report.closing(run), "", "| leg | what |", "|---|---|"]
    lines += [f"| {leg} | {what} |" for leg, what in run.about.items()]
    return "\n".join(lines) + "\n"


def _targets(run: report.Run, rate_per_s: float) -> list[str]:
    lines = ["| aaad over FreeRADIUS | ratio | target | |", "|---|---|---|---|"]
    for title, figure, least in (
        ("acknowledged durable records a second", lambda row: row["rate"], _RATE_MIN),
        ("the same, until the last one is in PostgreSQL", stored_rate, None),
        ("records per CPU second, drain included", lambda row: row["per_cpu"] or 0.0, _PER_CPU_MIN),
    ):
        found = ratios(run, figure)
        verdict = report.judge(statistics.median(found) if found else None, least, None)
        wanted = f"≥ {least:g}" if least is not None else "–"
        lines.append(f"| {title} | {report.spread(found, report.two)} | {wanted} | {verdict} |")
    rows = run.of("aaad", OPEN)
    p99 = report.median(rows, "p99")
    verdict = "not measured" if p99 is None else "met" if p99 < _P99_MAX_MS else "**missed**"
    shown = report.column(rows, "p99", report.two)
    return [*lines, f"| p99 of aaad's answer at {rate_per_s:,.0f}/s, ms | {shown} | < {_P99_MAX_MS:g} | {verdict} |"]


def _cost_table(run: report.Run) -> list[str]:
    """Under saturation, by group of processes."""
    lines = ["| | all | of which |", "|---|---|---|"]
    for leg in run.about:
        if rows := run.of(leg, CLOSED):
            costs_us = {name: _cost_us(rows, name) for name in rows[0]["cpu_s"]}
            parts = ", ".join(f"{name} {cost_us:.1f}" for name, cost_us in costs_us.items())
            lines.append(f"| {leg} | {sum(costs_us.values()):.1f} | {parts} |")
    return lines


def _cost_us(rows: list[report.Row], group: str) -> float:
    return statistics.median(1e6 * row["cpu_s"][group] / row["answered"] for row in rows if row["answered"])


def _phase_table(run: report.Run, phase: str) -> list[str]:
    lines = ["| | " + " | ".join(_COLUMNS) + " |", "|---" * (len(_COLUMNS) + 1) + "|"]
    for leg in run.about:
        rows = run.of(leg, phase)
        if not rows:
            lines.append(f"| {leg} | 0 | not measured: {run.failures.get(leg, 'not asked for')} | | | | | | | |")
            continue
        trouble = ", ".join(str(sum(row[key] for row in rows)) for key in ("retransmits", "lost", "bad", "missing"))
        stored = report.spread([stored_rate(row) for row in rows], report.whole)
        lines.append(
            f"| {leg} | {len(rows)} | {report.column(rows, 'rate', report.whole)} | {stored} "
            f"| {report.column(rows, 'per_cpu', report.whole)} | {report.column(rows, 'p50', report.two)} "
            f"| {report.column(rows, 'p99', report.two)} | {report.column(rows, 'settle_s', report.two)} "
            f"| {report.cores(rows)} | {trouble} |"
        )
    return lines
