"""What a record costs with a million open sessions, beside a thousand.

    bench/open_sessions.py [--open N] [--few N] [--turns N] [--repeats N] [--rounds N] [--idle S] [--logins N]
                           [--port-base P] [--scratch DIR]

One node. A repeat is the same load in both cases: a few sessions get some Interim-Updates each, in turn. First these
few are all that the table holds, new ones in each repeat; then very many are opened, by their Starts, and each
repeat takes others of them, scattered. CPU of all the node's processes and PostgreSQL until the last record is in
its session's row, per record. What they use in the same time when no record comes is no record's cost: it is measured
before each round, taken off, and told apart. That is rounds through the table, which work for a while and rest for a
while: of a million sessions the longest takes two minutes with its rest, so both the time without records and the
repeats of a round have to last about that long. Loopback only.
"""

import argparse
import asyncio
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

import generator
import report
import rounds
import sections
from accounting_legs import execute
from accounting_load import CLOSED_WINDOW, next_tag
from node import Node, Ports
from servers import ServerError, end_in_order_when_told

_RATIO_MAX = 1.1  # "no more": so much is noise
_INTERVAL_S = 60  # between two interims of a session, as they tell it
_DRAIN_TIMEOUT_S = 1800.0
_LOADING_TIMEOUT_S = 1800.0
_COUNT_OPEN = "SELECT count(*) FROM net.session WHERE ended_at IS NULL"
_COUNT_RECORDS = "SELECT coalesce(sum(records), 0) FROM net.session"


class Case(NamedTuple):
    """So many open sessions, what was measured with them, and how many cores are used when no record comes."""

    sessions: int
    rows: list[report.Row]
    idle_cores: dict[str, float]


class Population:
    """So many sessions, open at once on one node, and their Interim-Updates."""

    def __init__(self, node: Node, sessions: int, first_user: int, turns: int) -> None:
        """They began so long ago that each of `turns` Interim-Updates has an age of its own."""
        self._node = node
        self._sessions = sessions
        self._tag = next_tag()
        self._first_user = first_user
        self._turns = turns
        self._used = 0
        self._began = int(time.time()) - _INTERVAL_S * (turns + 2)

    def open(self) -> None:
        """Forget all other sessions and send these ones' Starts; all are in the table when this returns."""
        asyncio.run(execute(self._node.dsn, "TRUNCATE net.session"))
        row = generator.load(self._arguments("S", self._sessions))
        self._node.spools.wait_until_drained(_DRAIN_TIMEOUT_S)
        opened = asyncio.run(execute(self._node.dsn, _COUNT_OPEN))
        if row["lost"] or opened != self._sessions:
            raise ServerError(f"{opened} of {self._sessions} sessions are open, {row['lost']} Starts were lost")

    def interims(self, sessions: int) -> report.Row:
        """Send those of so many sessions, never of the same again; account as `generator.measure` does."""
        arguments = self._arguments("I" * self._turns, sessions)
        arguments += ["--of", str(self._sessions), "--first", str(self._used), "--lag", str(sessions)]
        self._used += sessions
        return generator.measure(
            arguments, self._node.roots(), lambda: self._node.spools.wait_until_drained(_DRAIN_TIMEOUT_S)
        )

    def missing(self, rows: list[report.Row]) -> int:
        """Return how many acknowledged records the table does not tell of."""
        counted = asyncio.run(execute(self._node.dsn, _COUNT_RECORDS))
        return max(0, self._sessions + sum(row["answered"] for row in rows) - counted)

    def _arguments(self, stages: str, sessions: int) -> list[str]:
        words = ["--mode", "acct", "--stages", stages, "--acct", f"127.0.0.1:{self._node.ports.acct}"]
        words += ["--time", "7200", "--began", str(self._began), "--tag", str(self._tag)]
        words += ["--first-user", str(self._first_user), "--users", str(self._sessions)]
        return [*words, "--count", str(sessions), "--window", str(CLOSED_WINDOW), "--interval", str(_INTERVAL_S)]


def main() -> None:
    """Measure few, open many, measure those, and write the section."""
    arguments = _arguments()
    end_in_order_when_told()
    generator.build()
    scratch = rounds.make_scratch(arguments.scratch)
    base = arguments.port_base
    logins = arguments.logins or arguments.open + arguments.few
    node = Node(scratch / "node", Ports(base, base + 1, base + 2), logins)
    try:
        node.start(_LOADING_TIMEOUT_S)
        few = _measure_few(node, arguments)
        many = _measure_many(node, arguments)
    finally:
        node.stop()
        if arguments.scratch is None:
            shutil.rmtree(scratch, ignore_errors=True)
    text = section(arguments, few, many)
    sections.write(sections.OPEN_SESSIONS, text, arguments.results)
    print(text)
    sys.exit(1 if any(row["missing"] or row["lost"] for row in few.rows + many.rows) else 0)


def _idle_cores(node: Node, idle_s: float) -> dict[str, float]:
    """Return how many cores each group of processes uses while no record comes."""
    before, start = generator.used_s(node.roots()), time.monotonic()
    time.sleep(idle_s)
    after, took_s = generator.used_s(node.roots()), time.monotonic() - start
    return {group: (after[group] - before[group]) / took_s for group in after}


def _mean(idles: list[dict[str, float]]) -> dict[str, float]:
    return {group: statistics.fmean(cores[group] for cores in idles) for group in idles[0]}


def _measure_few(node: Node, arguments: argparse.Namespace) -> Case:
    Population(node, arguments.few, 0, arguments.turns).open()
    rounds.wait_until_quiet([node])
    found, idles = [], []
    for number in range(arguments.rounds):
        rows, missing = [], 0
        idles.append(_idle_cores(node, arguments.idle))
        for _ in range(arguments.repeats):
            population = Population(node, arguments.few, 0, arguments.turns)
            population.open()
            rows.append(population.interims(arguments.few))
            missing += population.missing(rows[-1:])
        found.append(together(rows, missing, idles[-1]))
        _say(number, found[-1])
    return Case(arguments.few, found, _mean(idles))


def _measure_many(node: Node, arguments: argparse.Namespace) -> Case:
    population = Population(node, arguments.open, arguments.few, arguments.turns)
    population.open()
    rounds.wait_until_quiet([node])  # what the Starts left behind is not the Interim-Updates'
    found, every, idles = [], [], []
    for number in range(arguments.rounds):
        idles.append(_idle_cores(node, arguments.idle))
        rows = [population.interims(arguments.few) for _ in range(arguments.repeats)]
        every += rows
        found.append(together(rows, 0, idles[-1]))
        _say(number, found[-1])
    found[-1]["missing"] = population.missing(every)
    return Case(arguments.open, found, _mean(idles))


def _say(number: int, row: report.Row) -> None:
    print(f"round {number + 1}: {costs_us([row])[0]:.1f} us of CPU a record", flush=True)


def together(rows: list[report.Row], missing: int, idle_cores: dict[str, float]) -> report.Row:
    """Return the repeats of one round as one row, without what would have been used in that time anyhow."""
    found = {key: sum(row[key] for row in rows) for key in ("answered", "lost")}
    wall_s = sum(row["wall_s"] for row in rows)
    used = {group: sum(row["cpu_s"][group] for row in rows) - idle_cores[group] * wall_s for group in idle_cores}
    return found | {"cpu_s": used, "server_cpu_s": sum(used.values()), "missing": missing}


def costs_us(rows: list[report.Row], group: str | None = None) -> list[float]:
    """Return CPU microseconds per record, one per round: of one group of processes, None: of all."""
    return [1e6 * (row["server_cpu_s"] if group is None else row["cpu_s"][group]) / row["answered"] for row in rows]


def section(arguments: argparse.Namespace, few: Case, many: Case) -> str:
    """Return the section: cost per record beside each other, by group of processes."""
    ratio = statistics.median(costs_us(many.rows)) / statistics.median(costs_us(few.rows))
    lines = [
        "## Open sessions and the cost of a record",
        "",
        f"{sections.machine()}; commit {sections.commit()}; `{' '.join(['bench/open_sessions.py', *sys.argv[1:]])}`.",
        f"{few.rows[0]['answered']:,} Interim-Updates a round: {arguments.turns} each of {few.sessions:,} sessions,",
        f"many times over. These are all that are open, or others each time of {many.sessions:,}, scattered.",
        "Microseconds of CPU a record, the drain included, median with [least–most]; without what the processes use",
        f"in the same time when no record comes (the last line: per cent of a core, {arguments.idle:g} s before each",
        "round).",
        "",
        f"| | {few.sessions:,} open | {many.sessions:,} open |",
        "|---|---|---|",
    ]
    for group in (None, *few.rows[0]["cpu_s"]):
        cells = " | ".join(report.spread(costs_us(case.rows, group), report.two) for case in (few, many))
        lines.append(f"| {group or 'all'} | {cells} |")
    idle = " | ".join(f"{100 * sum(case.idle_cores.values()):.1f} %" for case in (few, many))
    lines.append(f"| when no record comes | {idle} |")
    missing = sum(row["missing"] + row["lost"] for row in few.rows + many.rows)
    judged = "met" if ratio <= _RATIO_MAX else "**missed**"
    return "\n".join(
        [*lines, "", f"Ratio {ratio:.2f}, target ≤ {_RATIO_MAX:g}: {judged}. Lost or missing: {missing}."]
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--open", type=int, default=1_000_000, help="open sessions, very many")
    parser.add_argument("--few", type=int, default=1000, help="open sessions, few; and those of one repeat")
    parser.add_argument("--turns", type=int, default=2, help="Interim-Updates of each session in a repeat")
    parser.add_argument("--repeats", type=int, default=60, help="of one round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--idle", type=float, default=120, metavar="S", help="without records, before each round")
    parser.add_argument("--logins", type=int, help="default: one for each session; others' sessions have no login")
    parser.add_argument("--port-base", type=int, default=41960)
    parser.add_argument("--scratch", type=Path, help="a new folder that is kept; default: a temporary one")
    parser.add_argument("--results", type=Path, default=sections.RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
