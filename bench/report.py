"""From the rows of a run to its section of bench/RESULTS.md: medians with range, ratios and targets, failures."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

Row = dict[str, object]
CLOSED, HALF, FIXED = "window", "half of the top rate", "fixed rate"
CHAP, MSCHAPV2 = "window, CHAP", "window, MS-CHAPv2 with MPPE keys"
_P99_TARGET_MS = 5.0


@dataclass(slots=True)
class Run:
    """All that one run brought. `failures` are legs that could not be measured, with the reason."""

    about: dict[str, str]  # leg -> what it is
    setup: str  # on machine, versions and commands, as a list in Markdown
    rows: list[Row] = field(default_factory=list)
    repeated: int = 0  # runs left out because other programs used too much of the machine
    replies: dict[str, list[str]] = field(default_factory=dict)  # leg -> attributes of its Accept
    failures: dict[str, str] = field(default_factory=dict)

    def of(self, leg: str, phase: str) -> list[Row]:
        """Return the rows of one leg in one phase, in the order of the rounds."""
        return [row for row in self.rows if row["leg"] == leg and row["phase"] == phase]


@dataclass(frozen=True, slots=True)
class Target:
    """aaad over a peer, in answers per CPU second of all server processes."""

    peers: tuple[str, ...]  # the best of these counts
    title: str
    least: float | None  # None: told only
    wish: float | None = None
    phase: str = CLOSED


_MEMORY = ("freeradius-files", "freeradius-files-single")
TARGETS = (
    Target(("prototype",), "PAP: bare prototype", 0.5, 0.6),
    Target(_MEMORY, "PAP: FreeRADIUS from memory", 1.2),
    Target(("freeradius-sql",), "PAP: FreeRADIUS with its stock queries", 15.0),
    Target(("prototype",), "CHAP: bare prototype", 0.5, 0.6, CHAP),
    Target(_MEMORY, "CHAP: FreeRADIUS from memory", 1.2, None, CHAP),
    Target(("freeradius-sql",), "CHAP: FreeRADIUS with its stock queries", 15.0, None, CHAP),
    Target(_MEMORY, "MS-CHAPv2 with MPPE keys: FreeRADIUS from memory", 1.0, None, MSCHAPV2),
    Target(("freeradius-sql",), "MS-CHAPv2 with MPPE keys: FreeRADIUS with its stock queries", None, None, MSCHAPV2),
)


def median(rows: list[Row], key: str) -> float | None:
    """Return the median of a figure, None without rows."""
    values = [row[key] for row in rows if row.get(key) is not None]
    return statistics.median(values) if values else None


def spread(values: list[float], form: Callable[[float], str]) -> str:
    """Return the median with [least–most]."""
    if not values:
        return "–"
    return f"{form(statistics.median(values))} [{form(min(values))}–{form(max(values))}]"


def column(rows: list[Row], key: str, form: Callable[[float], str]) -> str:
    """Return a figure's median with [least–most] over these rows."""
    return spread([row[key] for row in rows if row.get(key) is not None], form)


def whole(value: float) -> str:
    """Return a number without decimals."""
    return f"{value:,.0f}"


def two(value: float) -> str:
    """Return a number with two decimals."""
    return f"{value:.2f}"


def ratios(run: Run, target: Target) -> tuple[str, list[float]]:
    """Return the peer that was best and aaad's ratio to it, one per round: neighbours in time are compared."""
    best = max(target.peers, key=lambda peer: median(run.of(peer, target.phase), "per_cpu") or 0.0)
    pairs = zip(run.of("aaad", target.phase), run.of(best, target.phase), strict=False)
    return best, [
        ours["per_cpu"] / theirs["per_cpu"] for ours, theirs in pairs if ours["per_cpu"] and theirs["per_cpu"]
    ]


def judge(found: float | None, least: float | None, wish: float | None) -> str:
    """Say whether a figure reaches its target."""
    if found is None:
        return "not measured"
    if least is None:
        return "told only"
    if wish is not None and found >= wish:
        return "met, the wish too"
    return "met" if found >= least else "**missed**"


def _ratio_table(run: Run) -> list[str]:
    lines = ["| aaad over | ratio | target | |", "|---|---|---|---|"]
    for target in TARGETS:
        best, found = ratios(run, target)
        wanted = f"≥ {target.least:g}" if target.least is not None else "–"
        wanted += f", wish {target.wish:g}" if target.wish else ""
        verdict = judge(statistics.median(found) if found else None, target.least, target.wish)
        lines.append(f"| {target.title} (`{best}`) | {spread(found, two)} | {wanted} | {verdict} |")
    p99 = median(run.of("aaad", HALF), "p99")
    verdict = "not measured" if p99 is None else "met" if p99 < _P99_TARGET_MS else "**missed**"
    shown = column(run.of("aaad", HALF), "p99", two)
    return [*lines, f"| p99 at half of the top rate, ms | {shown} | < {_P99_TARGET_MS:g} | {verdict} |"]


def _phase_table(run: Run, phase: str) -> list[str]:
    lines = [
        "| | runs | requests/s | per CPU second | p50 ms | p99 ms | cores used | resent, lost, bad, wrong |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for leg in run.about:
        rows = run.of(leg, phase)
        if not rows:
            why = run.failures.get(leg, "run was ended before, or it cannot do this")
            lines.append(f"| {leg} | 0 | not measured: {why} | | | | | |")
            continue
        trouble = ", ".join(
            str(sum(row[key] for row in rows)) for key in ("retransmits", "lost", "bad", "unexpected")
        )
        lines.append(
            f"| {leg} | {len(rows)} | {column(rows, 'rate', whole)} | {column(rows, 'per_cpu', whole)} "
            f"| {column(rows, 'p50', two)} | {column(rows, 'p99', two)} | {cores(rows)} | {trouble} |"
        )
    return lines


def cores(rows: list[Row]) -> str:
    """Return how many cores each part of a leg used."""
    names = rows[0]["cpu_s"]
    return ", ".join(
        f"{name} {statistics.median(row['cpu_s'][name] / row['wall_s'] for row in rows):.2f}" for name in names
    )


def markdown(run: Run) -> str:
    """Return the section on speed."""
    lines = [
        "## Speed",
        "",
        "Written by `make bench`; every figure is a median with [least–most] over the rounds.",
        "",
    ]
    lines += [
        "### Ratios",
        "",
        "Answers per CPU second of all server processes and PostgreSQL together, window 64.",
        "",
    ]
    lines += _ratio_table(run)
    for phase in (CLOSED, CHAP, MSCHAPV2, HALF, FIXED):
        lines += ["", f"### At {phase}", "", *_phase_table(run, phase)]
    lines += [*closing(run), "", "| leg | what | attributes of its Accept |", "|---|---|---|"]
    lines += [f"| {leg} | {what} | {', '.join(run.replies.get(leg, ['–']))} |" for leg, what in run.about.items()]
    return "\n".join(lines) + "\n"


def closing(run: Run) -> list[str]:
    """Return what stands below the tables: what failed, and how it was made."""
    lines = []
    if run.failures:
        lines += ["", "### What failed", ""]
        lines += [f"* {leg}: {reason}" for leg, reason in run.failures.items()]
    others = spread([row["foreign_share"] for row in run.rows], lambda share: f"{share:.1%}")
    lines += ["", "### How it was made", "", run.setup.rstrip()]
    lines += [f"* Used by other programs during the runs: {others} of the machine."]
    return [
        *lines,
        f"* Runs made again because others used more, and left out whatever they gave: {run.repeated}.",
    ]
