"""How long "who had this address at that instant" takes, with very many ended sessions, while records pour in.

    bench/whois.py [--ended N] [--months N] [--queries N] [--rate R] [--logins N] [--port-base P] [--scratch DIR]

The history is made up by SQL, in partitions by month, before the node is asked; a scratch folder that is there
already keeps it for the next time. Each answer is compared with what is known of the session that it should name.
Questions of past months, then of sessions that live now. Loopback only.
"""

import argparse
import asyncio
import datetime as dt
import random
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import asyncpg
import generator
import history
import sections
from accounting_load import AccountingLoad, next_tag
from node import Node, Ports
from servers import end, end_in_order_when_told

from aaad.db.connection import Database
from aaad.sessions import whois
from aaad.sessions.instants import Span
from aaad.sessions.question import Question, Target

_P99_MAX_MS = 50.0
_PAUSE_S = 0.01
_WARM_S = 3.0
_FIRST_ADDRESS = IPv4Address("100.64.1.0")  # of the generator's sessions, as the ledger has them


@dataclass(frozen=True, slots=True)
class Asked:
    """What questions of one kind brought."""

    title: str
    took_ms: list[float]
    wrong: int

    def row(self) -> str:
        """Return a row of the table."""
        took = sorted(self.took_ms)
        p50, p99 = statistics.median(took), took[int(len(took) * 0.99)]
        verdict = "met" if p99 < _P99_MAX_MS else "**missed**"
        return f"| {self.title} | {len(took)} | {p50:.2f} | {p99:.2f} | {took[-1]:.2f} | {self.wrong} | {verdict} |"


async def _ask(database: Database, address: IPv4Address, at: dt.datetime) -> tuple[set[int], float]:
    """Return the logins that the answer names, and how long it took in milliseconds."""
    start = time.monotonic()
    here = await whois.standing(database, "")
    found = await whois.ask(database, Question(Target(address, None), Span(at, at)), here)
    return {one["login"]["id"] for one in found["candidates"]}, (time.monotonic() - start) * 1000


async def _ask_history(database: Database, months: list[history.Month], count: int) -> Asked:
    asked = Asked("of a past month", [], 0)
    wrong = 0
    for ended, at in history.questions(months, count):
        logins, took_ms = await _ask(database, ended.address, at)
        asked.took_ms.append(took_ms)
        wrong += logins != {ended.login_id}
        await asyncio.sleep(random.random() * _PAUSE_S)
    return Asked(asked.title, asked.took_ms, wrong)


async def _ask_now(database: Database, logins: int, count: int) -> Asked:
    """Addresses of the sessions that pour in, a while ago; several of them may have had one since."""
    took = []
    for _ in range(count):
        at = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=random.uniform(0, 30))
        took.append((await _ask(database, _FIRST_ADDRESS + random.randrange(logins), at))[1])
        await asyncio.sleep(random.random() * _PAUSE_S)
    return Asked("of the last half minute", took, 0)


async def _measure(node: Node, months: list[history.Month], arguments: argparse.Namespace) -> list[Asked]:
    database = Database(node.dsn, connect_timeout_s=5, statement_timeout_s=30, application_name="bench")
    load = AccountingLoad(
        port=node.ports.acct, logins=arguments.logins, time_s=3600, rate_per_s=arguments.rate, tag=next_tag()
    )
    running = generator.begin(load.arguments()) if arguments.rate else None
    try:
        await asyncio.sleep(_WARM_S)
        past = await _ask_history(database, months, arguments.queries)
        return [past, await _ask_now(database, arguments.logins, arguments.queries)]
    finally:
        end(running)
        if running is not None and running.stdout is not None:
            running.stdout.close()
        await database.close()


async def _fill(node: Node, months: list[history.Month]) -> int:
    connection = await asyncpg.connect(node.dsn)
    try:
        start, count = time.monotonic(), 0
        async for month in history.fill(connection, months):
            count += month.count
            print(f"{count:,} ended sessions, {time.monotonic() - start:.0f} s", flush=True)
        return await connection.fetchval("SELECT pg_database_size(current_database())")
    finally:
        await connection.close()


def main() -> None:
    """Fill, ask, and write the section."""
    arguments = _arguments()
    end_in_order_when_told()
    generator.build()
    scratch = arguments.scratch or Path(tempfile.mkdtemp(prefix="aaad-whois-"))
    scratch.mkdir(exist_ok=True)
    scratch.chmod(0o755)
    base = arguments.port_base
    node = Node(scratch / "node", Ports(base, base + 1, base + 2), arguments.logins)
    months = history.months_before(dt.datetime.now(dt.UTC), arguments.months, arguments.logins, arguments.ended)
    try:
        node.start()
        octets = asyncio.run(_fill(node, months))
        found = asyncio.run(_measure(node, months, arguments))
    finally:
        node.stop()
        if arguments.scratch is None:
            shutil.rmtree(scratch, ignore_errors=True)
    text = _section(arguments, months, octets, found)
    sections.write(sections.WHOIS, text, arguments.results)
    print(text)
    sys.exit(1 if any(kind.wrong for kind in found) else 0)


def _section(arguments: argparse.Namespace, months: list[history.Month], octets: int, found: list[Asked]) -> str:
    count = sum(month.count for month in months)
    lines = [
        "## Who had an address at an instant",
        "",
        f"{count:,} ended sessions in {len(months)} months ({octets / 2**30:.1f} GiB in all), {arguments.rate:,.0f}",
        f"records a second meanwhile; {sections.machine()}; commit {sections.commit()};",
        f"`{' '.join(['bench/whois.py', *sys.argv[1:]])}`. The whole answer, as `aaad whois` makes it; target:",
        f"p99 < {_P99_MAX_MS:g} ms.",
        "",
        "| | questions | p50 ms | p99 ms | longest ms | wrong | |",
        "|---|---|---|---|---|---|---|",
        *(kind.row() for kind in found),
    ]
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ended", type=int, default=20_000_000, help="ended sessions, rounded up")
    parser.add_argument("--months", type=int, default=11, help="whole months before this one, within the retention")
    parser.add_argument("--queries", type=int, default=2000, help="of each kind")
    parser.add_argument("--rate", type=float, default=2000.0, help="records per second meanwhile, 0: none")
    parser.add_argument("--logins", type=int, default=100_000)
    parser.add_argument("--port-base", type=int, default=41970)
    parser.add_argument("--scratch", type=Path, help="a folder that is kept, with its history; default: temporary")
    parser.add_argument("--results", type=Path, default=sections.RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
