"""What a record costs with a million open sessions, beside a thousand.

    bench/open_sessions.py [--open N] [--few N] [--records N] [--rounds N] [--logins N] [--port-base P]
                           [--scratch DIR]

One node. Interim-Updates of a few open sessions; then very many are opened, by their Starts, and the same number of
Interim-Updates of those comes, each of another session, scattered over all. CPU of all the node's processes and
PostgreSQL until the last record is in its session's row, per record. Loopback only.
"""

import argparse
import asyncio
import shutil
import statistics
import sys
import time
from pathlib import Path

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


class Population:
    """So many sessions, open at once on one node, and their Interim-Updates."""

    def __init__(self, node: Node, sessions: int, first_user: int, records: int) -> None:
        """`records` bounds the Interim-Updates to come: the sessions began so long ago that each has its own age."""
        self._node = node
        self._sessions = sessions
        self._tag = next_tag()
        self._first_user = first_user
        self._interims = 0  # so far
        self._began = int(time.time()) - _INTERVAL_S * (records // sessions + 2)

    def open(self) -> None:
        """Send their Starts; all are in the table when this returns."""
        opened = asyncio.run(execute(self._node.dsn, _COUNT_OPEN))
        row = generator.load(self._arguments("S", self._sessions))
        self._node.spools.wait_until_drained(_DRAIN_TIMEOUT_S)
        opened = asyncio.run(execute(self._node.dsn, _COUNT_OPEN)) - opened
        if row["lost"] or opened != self._sessions:
            raise ServerError(f"{opened} of {self._sessions} sessions are open, {row['lost']} Starts were lost")

    def interims(self, records: int) -> report.Row:
        """Send so many, each session in turn, and account for them as `generator.measure` does."""
        turns = max(1, records // self._sessions)
        sessions = min(records, self._sessions)
        before = asyncio.run(execute(self._node.dsn, _COUNT_RECORDS))
        arguments = self._arguments("I" * turns, sessions)
        arguments += ["--of", str(self._sessions), "--age", str(self._interims // self._sessions * _INTERVAL_S)]
        arguments += ["--first", str(self._interims % self._sessions)]
        if turns > 1:
            arguments += ["--lag", str(sessions)]
        row = generator.measure(
            arguments, self._node.roots(), lambda: self._node.spools.wait_until_drained(_DRAIN_TIMEOUT_S)
        )
        self._interims += turns * sessions
        counted = asyncio.run(execute(self._node.dsn, _COUNT_RECORDS)) - before
        return row | {"missing": max(0, row["answered"] - counted)}

    def _arguments(self, stages: str, sessions: int) -> list[str]:
        words = [
            "--mode",
            "acct",
            "--stages",
            stages,
            "--acct",
            f"127.0.0.1:{self._node.ports.acct}",
            "--time",
            "7200",
        ]
        words += ["--first-user", str(self._first_user), "--users", str(self._sessions), "--tag", str(self._tag)]
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
        records = arguments.rounds * arguments.records
        few = _measure(Population(node, arguments.few, 0, records), node, arguments)
        many = _measure(Population(node, arguments.open, arguments.few, records), node, arguments)
    finally:
        node.stop()
        if arguments.scratch is None:
            shutil.rmtree(scratch, ignore_errors=True)
    text = section(arguments.few, arguments.open, logins, few, many)
    sections.write(sections.OPEN_SESSIONS, text, arguments.results)
    print(text)
    sys.exit(1 if any(row["missing"] or row["lost"] for row in few + many) else 0)


def _measure(population: Population, node: Node, arguments: argparse.Namespace) -> list[report.Row]:
    population.open()
    rounds.wait_until_quiet([node])
    found = []
    for number in range(arguments.rounds):
        found.append(population.interims(arguments.records))
        print(f"round {number + 1}: {1e6 / found[-1]['per_cpu']:.1f} us of CPU a record", flush=True)
    return found


def costs_us(rows: list[report.Row], group: str | None = None) -> list[float]:
    """Return CPU microseconds per record, one per round: of one group of processes, None: of all."""
    return [1e6 * (row["server_cpu_s"] if group is None else row["cpu_s"][group]) / row["answered"] for row in rows]


def section(few_count: int, many_count: int, logins: int, few: list[report.Row], many: list[report.Row]) -> str:
    """Return the section: cost per record beside each other, by group of processes."""
    ratio = statistics.median(costs_us(many)) / statistics.median(costs_us(few))
    lines = [
        "## Open sessions and the cost of a record",
        "",
        f"{logins:,} logins; {sections.machine()}; commit {sections.commit()};",
        f"`{' '.join(['bench/open_sessions.py', *sys.argv[1:]])}`.",
        f"{few[0]['answered']:,} Interim-Updates a round: of the {few_count:,} in turn; of the {many_count:,} each",
        "round others, scattered. Microseconds of CPU a record, the drain included, median with [least–most].",
        "",
        f"| | {few_count:,} open | {many_count:,} open |",
        "|---|---|---|",
    ]
    for group in (None, *few[0]["cpu_s"]):
        cells = " | ".join(report.spread(costs_us(rows, group), report.two) for rows in (few, many))
        lines.append(f"| {group or 'all'} | {cells} |")
    missing = sum(row["missing"] + row["lost"] for row in few + many)
    judged = "met" if ratio <= _RATIO_MAX else "**missed**"
    return "\n".join(
        [*lines, "", f"Ratio {ratio:.2f}, target ≤ {_RATIO_MAX:g}: {judged}. Lost or missing: {missing}."]
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--open", type=int, default=1_000_000, help="open sessions, very many")
    parser.add_argument("--few", type=int, default=1000, help="open sessions, few")
    parser.add_argument("--records", type=int, default=100_000, help="of one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--logins", type=int, help="default: one for each session; others' sessions have no login")
    parser.add_argument("--port-base", type=int, default=41960)
    parser.add_argument("--scratch", type=Path, help="a new folder that is kept; default: a temporary one")
    parser.add_argument("--results", type=Path, default=sections.RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
