"""How soon the network agrees: from the COMMIT that blocks a contract to its session's end in a router, read back.

    bench/orders.py [--single N] [--many N] [--rate R] [--limit S] [--scratch DIR]

On a throw-away node, customers of 20 concentrators, by a simulator that shares no code with the server: they obey
CoA- and Disconnect-Requests, and have an API that shows who is connected. First contracts are blocked one after the
other; then 10,000 by one UPDATE, with the brake's limits set for it, while other customers dial at a steady rate
from a process of their own, which tells how long they wait. Who is cut dials again and is refused, as in life.
"""

import argparse
import asyncio
import contextlib
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import generator
import sections

sys.path.insert(0, str(sections.HERE.parent))
sys.path.insert(0, str(sections.HERE.parent / "tests"))
sys.path.insert(0, str(sections.HERE.parent / "tests" / "e2e"))

from nodes import Node
from order_network import Network

_ROUTERS = 20
_OTHERS = 1_000  # who dial meanwhile
_WINDOW = 4_096
_PIECE_S = 5.0  # of their load: the worst piece is told
_QUIET_S = 10.0
_PAUSE_S = 0.05  # up to so long between two changes, at random
_BLOCK = "UPDATE erp.contract SET access_status = 'CM' WHERE id BETWEEN $1 AND $2"
_ENDS = """
SELECT contract_id - 1001 AS number, extract(epoch FROM ended_at)::float8 AS ended_at FROM net.network_order
WHERE contract_id BETWEEN $1 AND $2 AND kind = 'disconnect' AND state = 'done'
"""
_ANY = "SELECT count(*) FROM net.network_order WHERE contract_id BETWEEN $1 AND $2"
_TRUE = "SELECT count(*) FROM net.network_order WHERE contract_id BETWEEN $1 AND $2 AND state = 'done'"
_STATES = "SELECT state, count(*) FROM net.network_order GROUP BY state"
_FIRST_CONTRACT = 1001
_TEXT = """\
## Orders: from COMMIT to the network

{routers} concentrators with CoA and an API, {customers:,} customers who are connected; the simulator is on the same
machine. {machine}; aaad at commit {commit}; `bench/orders.py`.{busy}

| contracts blocked one after the other | p50 | p99 | longest | target |
|---|---|---|---|---|
{single}

| {many:,} contracts blocked by one UPDATE | | target |
|---|---|---|
{all}

Who is cut dials again and is refused: {rejects:,} refusals within that time. Cores used meanwhile: {cores}.
"""


@dataclass(frozen=True, slots=True)
class Single:
    """One contract after the other, in milliseconds from the COMMIT."""

    gone_ms: list[float]
    read_ms: list[float]


@dataclass(frozen=True, slots=True)
class Many:
    """All in one run."""

    count: int
    ordered_s: float  # until the last is ordered
    gone_s: float  # until the last session is gone
    true_s: float  # until the last one is read to be so
    quiet: dict[str, object]  # of those who dial before
    pieces: list[dict[str, object]]  # and meanwhile
    rejects: int
    cores: dict[str, float]


async def _one_by_one(network: Network, count: int) -> Single:
    online = network.reporting.simulation.online
    connection = await asyncpg.connect(network.node.dsn)
    committed: dict[int, float] = {}
    gone_ms = []
    try:
        for number in range(count):
            contract = _FIRST_CONTRACT + number
            await connection.execute(_BLOCK, contract, contract)
            begun, committed[number] = time.monotonic(), time.time()
            while number in online:
                if time.monotonic() - begun > 30:
                    raise SystemExit(f"contract {contract} is not blocked: {await connection.fetch(_STATES)}")
                await asyncio.sleep(0.001)
            gone_ms.append((time.monotonic() - begun) * 1000)
            await asyncio.sleep(random.random() * _PAUSE_S)
        rows = await _ended(connection, count)
    finally:
        await connection.close()
    return Single(gone_ms, [(row["ended_at"] - committed[row["number"]]) * 1000 for row in rows])


async def _ended(connection: asyncpg.Connection, count: int) -> list[asyncpg.Record]:
    for _ in range(300):
        rows = await connection.fetch(_ENDS, _FIRST_CONTRACT, _FIRST_CONTRACT + count - 1)
        if len(rows) == count:
            return rows
        await asyncio.sleep(0.2)
    raise SystemExit(f"only {len(rows)} of {count} orders ended: {await connection.fetch(_STATES)}")


async def _all_at_once(network: Network, node: Node, arguments: argparse.Namespace) -> Many:
    first, last = _FIRST_CONTRACT + arguments.single, _FIRST_CONTRACT + arguments.single + arguments.many - 1
    quiet = generator.finish(_load(node, arguments, _QUIET_S))
    online, report = network.reporting.simulation.online, network.reporting.simulation.report
    roots = _roots(node)
    connection = await asyncpg.connect(node.dsn)
    stays, pieces = len(online) - arguments.many, []
    before, rejects = generator.used_s(roots), report.all_methods.rejects
    running = _load(node, arguments, _PIECE_S)
    try:
        await connection.execute(_BLOCK, first, last)
        begun = time.monotonic()
        ordered_s = gone_s = 0.0
        while True:
            passed_s = time.monotonic() - begun
            if not ordered_s and await _count(connection, _ANY, first, last) >= arguments.many:
                ordered_s = passed_s
            if not gone_s and len(online) <= stays:
                gone_s = passed_s
            if gone_s and await _count(connection, _TRUE, first, last) >= arguments.many:
                break
            if passed_s > arguments.limit:
                raise SystemExit(f"not within {arguments.limit} s: {await connection.fetch(_STATES)}")
            if running.poll() is not None:
                pieces.append(generator.finish(running))
                running = _load(node, arguments, _PIECE_S)
            await asyncio.sleep(0.1)
        true_s = time.monotonic() - begun
        after = generator.used_s(roots)
        cores = {name: round((after[name] - before[name]) / true_s, 2) for name in roots}
        rejects = report.all_methods.rejects - rejects
    finally:
        pieces.append(generator.finish(running))
        await connection.close()
    return Many(arguments.many, ordered_s, gone_s, true_s, quiet, pieces, rejects, cores)


async def _count(connection: asyncpg.Connection, statement: str, first: int, last: int) -> int:
    return int(await connection.fetchval(statement, first, last))


def _load(node: Node, arguments: argparse.Namespace, time_s: float):
    """Let other customers dial, from a process of its own."""
    words = ["--auth", f"127.0.0.1:{node.auth_port}", "--mode", "auth-pap", "--rate", str(arguments.rate)]
    words += ["--users", str(_OTHERS), "--first-user", str(arguments.single + arguments.many)]
    return generator.begin([*words, "--count", "1000000000", "--time", str(time_s), "--window", str(_WINDOW)])


def _roots(node: Node) -> dict[str, list[int]]:
    roles = {slot.rpartition("-")[0]: [pid] for slot, pid in node.roles().items()}
    return {"postgres": [node.postgres.pid], **roles}


@contextlib.contextmanager
def _network(folder: Path, arguments: argparse.Namespace) -> Iterator[tuple[Node, Network]]:
    customers = arguments.single + arguments.many
    folder.mkdir()
    node = Node(folder, customers + _OTHERS)
    try:
        node.prepare()
        with node.config.open("a") as config:
            config.write("[replica]\nbrake_minimum = 1000000\n")
        node.start()
        network = Network(
            node,
            routers=_ROUTERS,
            count=customers,
            rate=500,
            interim_s=300,
            redial_first_s=5,
            redial_longest_s=60,
        )
        with network:
            yield node, network
    finally:
        node.end()


def main() -> None:
    """Measure and write the section."""
    arguments = _arguments()
    generator.build()
    folder = Path(tempfile.mkdtemp(prefix="aaad-orders-", dir=arguments.scratch))
    folder.chmod(0o755)
    try:
        with _network(folder / "node", arguments) as (node, network):
            single = asyncio.run(_one_by_one(network, arguments.single))
            print(_single_rows(single), flush=True)
            many = asyncio.run(_all_at_once(network, node, arguments))
            print(_many_rows(many), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = _TEXT.format(
        routers=_ROUTERS,
        customers=arguments.single + arguments.many,
        machine=sections.machine(),
        commit=sections.commit(),
        busy=f" {arguments.note}" if arguments.note else "",
        single=_single_rows(single),
        many=many.count,
        all=_many_rows(many),
        rejects=many.rejects,
        cores=", ".join(f"{name} {used}" for name, used in many.cores.items()),
    )
    sections.write(sections.ORDERS, text, arguments.results)
    print(text)


def _single_rows(single: Single) -> str:
    return "\n".join(
        f"| until {title} | {statistics.median(found):.0f} ms | {sorted(found)[int(len(found) * 0.99)]:.0f} ms "
        f"| {max(found):.0f} ms | {target} |"
        for title, found, target in (
            ("its session is gone from the router", single.gone_ms, "p99 < 2 s"),
            ("that is read and written down", single.read_ms, "–"),
        )
    )


def _many_rows(many: Many) -> str:
    worst = max(many.pieces, key=lambda piece: piece["p99"])
    lost = sum(piece["lost"] + piece["bad"] for piece in many.pieces)
    return "\n".join(
        (
            f"| the last one is ordered after | {many.ordered_s:.1f} s | – |",
            f"| the last session is gone after | {many.gone_s:.1f} s | – |",
            f"| the last one is read to be so after | {many.true_s:.1f} s | < 60 s |",
            f"| others who dial, {many.quiet['rate']:.0f} a second: p99 before | {many.quiet['p99']:.1f} ms | – |",
            f"| the same meanwhile, the worst {_PIECE_S:.0f} s | {worst['p99']:.1f} ms | < 10 ms |",
            f"| of these lost or wrongly signed | {lost} | 0 |",
        )
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--single", type=int, default=200, help="contracts blocked one after the other")
    parser.add_argument("--many", type=int, default=10_000, help="contracts blocked by one UPDATE")
    parser.add_argument("--rate", type=int, default=500, help="others who dial per second meanwhile")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds after which it has failed")
    parser.add_argument("--note", default="", help="what else is to be said with the figures")
    parser.add_argument("--scratch", type=Path, help="where to keep the node meanwhile")
    parser.add_argument("--results", type=Path, default=sections.RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
