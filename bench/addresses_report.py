"""From the rows of a run on addresses to its section of bench/RESULTS.md: ratios, targets, what went wrong."""

import statistics
from collections.abc import Callable, Iterable

import report

NEW, RECYCLED, STICKY = "new addresses", "addresses that others had", "leases that still stand"
OPEN, STORM = "a set rate", "the storm"
STOCK, TUNED, PROTOTYPE = "freeradius-sqlippool", "freeradius-mapippoolsp", "prototype"
TROUBLE = ("unexpected", "ip_duplicates", "no_ip", "moved", "missing")  # beside what is sent again, lost or bad
_PER_CPU_MIN = ((STOCK, 20.0), (TUNED, 8.0), (PROTOTYPE, 0.5))
_STORM_MAX, _P99_MAX_MS = 0.1, 5.0
_COLUMNS = (
    "runs", "logins/s", "per CPU second", "p50 ms", "p99 ms", "cores used", "resent, lost, bad",
    "refused, twice, without, moved, missing",
)  # fmt: skip


def has_trouble(row: report.Row) -> bool:
    """Return whether an address was told twice, or to nobody's knowledge, or not at all."""
    return any(row[key] for key in TROUBLE)


def ratios(run: report.Run, phase: str, peer: str, figure: str) -> list[float]:
    """Return aaad's ratio to a peer, one per round: neighbours in time are compared.

    Where aaad's addresses had an earlier holder, the peer's new ones count: FreeRADIUS's always had.
    """
    theirs = run.of(peer, NEW if phase == RECYCLED else phase)
    pairs = zip(run.of("aaad", phase), theirs, strict=False)
    return [ours[figure] / other[figure] for ours, other in pairs if ours[figure] and other[figure]]


def markdown(run: report.Run, rate_per_s: float, subscribers: int) -> str:
    """Return the section; `rate_per_s` is the set rate, `subscribers` those of the storm."""
    lines = ["## Addresses", "", "Written by `bench/addresses.py`; medians with [least–most] over the rounds. An"]
    lines += ["address is in PostgreSQL, durably, before the Accept tells it.", "", "### Ratios", ""]
    lines += _targets(run, rate_per_s, subscribers)
    lines += ["", "### Microseconds of CPU a login", "", *_cost_table(run)]
    for phase in (NEW, RECYCLED, STICKY, OPEN):
        title = f"{rate_per_s:,.0f} logins a second" if phase == OPEN else f"Window 128, {phase}"
        lines += ["", f"### {title}", "", *_phase_table(run, phase)]
    lines += ["", f"### Storm: {subscribers:,} subscribers, each a login with a new address and a Start", ""]
    lines += _storm_table(run)
    lines += [*report.closing(run), "", "| leg | what |", "|---|---|"]
    lines += [f"| {leg} | {what} |" for leg, what in run.about.items()]
    return "\n".join(lines) + "\n"


def _targets(run: report.Run, rate_per_s: float, subscribers: int) -> list[str]:
    lines = ["| aaad over | ratio | target | |", "|---|---|---|---|"]
    for peer, least in _PER_CPU_MIN:
        for phase in (NEW, RECYCLED):
            found = ratios(run, phase, peer, "per_cpu")
            verdict = report.judge(statistics.median(found) if found else None, least, None)
            title = f"logins per CPU second, {phase}: `{peer}`"
            lines.append(f"| {title} | {report.spread(found, report.two)} | ≥ {least:g} | {verdict} |")
    found = ratios(run, STORM, STOCK, "seconds")
    shown = report.spread(found, _three)
    title = f"storm of {subscribers:,}, time to the last one served: `{STOCK}`"
    lines.append(f"| {title} | {shown} | ≤ {_STORM_MAX:g} | {_at_most(found, _STORM_MAX)} |")
    resent = [row["retransmits"] for row in run.of("aaad", STORM)]
    verdict = "not measured" if not resent else "met" if not any(resent) else "**missed**"
    lines.append(f"| retransmissions in the storm | {sum(resent) if resent else '–'} | 0 | {verdict} |")
    p99 = [row["p99"] for row in run.of("aaad", OPEN)]
    verdict = _below(p99, _P99_MAX_MS)
    shown = report.spread(p99, report.two)
    return [*lines, f"| p99 of aaad's answer at {rate_per_s:,.0f}/s, ms | {shown} | < {_P99_MAX_MS:g} | {verdict} |"]


def _at_most(found: list[float], most: float) -> str:
    return "not measured" if not found else "met" if statistics.median(found) <= most else "**missed**"


def _below(found: list[float], limit: float) -> str:
    return "not measured" if not found else "met" if statistics.median(found) < limit else "**missed**"


def _three(value: float) -> str:
    return f"{value:.3f}"


def _cost_table(run: report.Run) -> list[str]:
    """Under saturation, by group of processes."""
    lines = ["| | | all | of which |", "|---|---|---|---|"]
    for leg in run.about:
        for phase in (NEW, RECYCLED, STICKY):
            if rows := [row for row in run.of(leg, phase) if row["answered"]]:
                costs_us = {name: _cost_us(rows, name) for name in rows[0]["cpu_s"]}
                parts = ", ".join(f"{name} {cost_us:.1f}" for name, cost_us in costs_us.items())
                lines.append(f"| {leg} | {phase} | {sum(costs_us.values()):.1f} | {parts} |")
    return lines


def _cost_us(rows: list[report.Row], group: str) -> float:
    return statistics.median(1e6 * row["cpu_s"][group] / row["answered"] for row in rows)


def _phase_table(run: report.Run, phase: str) -> list[str]:
    lines = _head(_COLUMNS)
    for leg in run.about:
        rows = run.of(leg, phase)
        if not rows:
            lines += [] if phase == RECYCLED and leg != "aaad" else [_not_measured(run, leg, len(_COLUMNS))]
            continue
        lines.append(
            f"| {leg} | {len(rows)} | {report.column(rows, 'rate', report.whole)} "
            f"| {report.column(rows, 'per_cpu', report.whole)} | {report.column(rows, 'p50', report.two)} "
            f"| {report.column(rows, 'p99', report.two)} | {report.cores(rows)} | {_network(rows)} | {_wrong(rows)} |"
        )
    return lines


def _storm_table(run: report.Run) -> list[str]:
    columns = ("runs", "last one served after s", "subscribers/s", "all in PostgreSQL after s", *_COLUMNS[2:])
    lines = _head(columns)
    for leg in run.about:
        rows = run.of(leg, STORM)
        if not rows:
            lines.append(_not_measured(run, leg, len(columns)))
            continue
        lines.append(
            f"| {leg} | {len(rows)} | {report.column(rows, 'seconds', report.two)} "
            f"| {report.column(rows, 'seq_rate', report.whole)} | {_spread_of(rows, stored_s, report.two)} "
            f"| {_spread_of(rows, _subscribers_per_cpu, report.whole)} | {report.column(rows, 'p50', report.two)} "
            f"| {report.column(rows, 'p99', report.two)} | {report.cores(rows)} | {_network(rows)} | {_wrong(rows)} |"
        )
    return lines


def stored_s(row: report.Row) -> float:
    """Return the seconds until the last Start stood in the table of sessions."""
    return row["seconds"] + row["settle_s"]


def _subscribers_per_cpu(row: report.Row) -> float:
    return row["sequences"] / row["server_cpu_s"] if row["server_cpu_s"] else 0.0


def _spread_of(
    rows: Iterable[report.Row], figure: Callable[[report.Row], float], form: Callable[[float], str]
) -> str:
    return report.spread([figure(row) for row in rows], form)


def _head(columns: tuple[str, ...]) -> list[str]:
    return ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]


def _not_measured(run: report.Run, leg: str, columns: int) -> str:
    return f"| {leg} | 0 | not measured: {run.failures.get(leg, 'not asked for')} " + "| " * (columns - 2) + "|"


def _network(rows: list[report.Row]) -> str:
    return _sums(rows, ("retransmits", "lost", "bad"))


def _wrong(rows: list[report.Row]) -> str:
    return _sums(rows, TROUBLE)


def _sums(rows: list[report.Row], keys: tuple[str, ...]) -> str:
    return ", ".join(str(sum(row[key] for row in rows)) for key in keys)
