"""How soon a committed change is obeyed: from COMMIT of plain SQL to the first answer that follows it.

    bench/changes.py [--changes N] [--logins N] [--port-base P] [--scratch DIR]

On a throw-away node, contracts are blocked and unblocked by UPDATE, one after the other, while their logins ask
again and again; measured to the arrival of the first answer that obeys. Then a part of it once more while a
stranger's transaction with writes of its own stays open.
"""

import argparse
import asyncio
import random
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import sections
from client import ACCEPT, REJECT, PapClient
from node import Node, Ports
from servers import end_in_order_when_told

_LIMIT_S = 5.0
_ASK_EVERY_S = 0.0005
_PAUSE_S = 0.05  # up to so long between two changes, at random: not in step with the feed's own clock
_UPDATE = "UPDATE erp.contract SET access_status = $1 WHERE id = (SELECT contract_id FROM erp.login WHERE name = $2)"
_STRANGER = "UPDATE erp.client SET name = name || ' (edited)' WHERE id = (SELECT max(id) FROM erp.client)"


@dataclass(frozen=True, slots=True)
class Found:
    """Delays in milliseconds, and how many changes were not obeyed within the limit."""

    title: str
    delays_ms: list[float]
    not_obeyed: int

    def row(self) -> str:
        """Return a row of the table."""
        if not self.delays_ms:
            return f"| {self.title} | 0 | – | – | – | {self.not_obeyed} |"
        p50, p99 = statistics.median(self.delays_ms), sorted(self.delays_ms)[int(len(self.delays_ms) * 0.99)]
        return (
            f"| {self.title} | {len(self.delays_ms)} | {p50:.1f} | {p99:.1f} | {max(self.delays_ms):.1f} "
            f"| {self.not_obeyed} |"
        )


async def _measure(title: str, dsn: str, port: int, count: int) -> Found:
    """Block and unblock `count` / 2 contracts in turn."""
    connection = await asyncpg.connect(dsn)
    client = PapClient(port)
    delays_ms, not_obeyed = [], 0
    try:
        for number in range(count):
            name = f"user{number // 2:06d}"
            status, wanted = ("CM", REJECT) if number % 2 == 0 else ("A", ACCEPT)
            await connection.execute(_UPDATE, status, name)
            delay_ms = _until_obeyed(client, name, wanted)
            if delay_ms is None:
                not_obeyed += 1
            else:
                delays_ms.append(delay_ms)
            await asyncio.sleep(random.random() * _PAUSE_S)
    finally:
        client.close()
        await connection.close()
    return Found(title, delays_ms, not_obeyed)


def _until_obeyed(client: PapClient, name: str, wanted: int) -> float | None:
    start = time.monotonic()
    while time.monotonic() - start < _LIMIT_S:
        answer = client.ask(name, name.replace("user", "pass"))
        if answer is not None and answer.code == wanted:
            return (time.monotonic() - start) * 1000
        time.sleep(_ASK_EVERY_S)
    return None


async def _measure_beside_a_stranger(dsn: str, port: int, count: int) -> Found:
    """The same while another transaction has written rows of the same tables and does not end."""
    stranger = await asyncpg.connect(dsn)
    transaction = stranger.transaction()
    await transaction.start()
    try:
        await stranger.execute(_STRANGER)
        return await _measure("a stranger's transaction with writes is open", dsn, port, count)
    finally:
        await transaction.rollback()
        await stranger.close()


async def _measure_both(node: Node, count: int) -> list[Found]:
    port = node.ports.auth
    alone = await _measure("nobody else", node.dsn, port, count)
    return [alone, await _measure_beside_a_stranger(node.dsn, port, max(2, count // 5))]


def main() -> None:
    """Run it and write the section."""
    arguments = _arguments()
    end_in_order_when_told()
    scratch = arguments.scratch or Path(tempfile.mkdtemp(prefix="aaad-changes-"))
    scratch.mkdir(exist_ok=True)
    scratch.chmod(0o755)
    base = arguments.port_base
    node = Node(scratch / "node", Ports(base, base + 1, base + 2), arguments.logins)
    try:
        node.start()
        found = asyncio.run(_measure_both(node, arguments.changes))
    finally:
        node.stop()
        if arguments.scratch is None:
            shutil.rmtree(scratch, ignore_errors=True)
    text = _section(arguments, found)
    sections.write(sections.CHANGES, text, arguments.results)
    print(text)
    sys.exit(1 if any(part.not_obeyed for part in found) else 0)


def _section(arguments: argparse.Namespace, found: list[Found]) -> str:
    about = f"{arguments.logins:,} logins; {sections.machine()}; commit {sections.commit()}; `bench/changes.py`."
    lines = [
        "## From COMMIT to the first answer that obeys",
        "",
        "Target: 100 ms as a rule, 1 s always. Contracts blocked and unblocked in turn by plain SQL; their logins",
        "ask about every millisecond.",
        about,
        "",
        "| | changes | p50 ms | p99 ms | longest ms | not obeyed in 5 s |",
        "|---|---|---|---|---|---|",
        *(part.row() for part in found),
    ]
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=1000)
    parser.add_argument("--logins", type=int, default=20_000, help="so many that the brake lets the blocks through")
    parser.add_argument("--port-base", type=int, default=41860)
    parser.add_argument("--scratch", type=Path, help="a folder that is kept; default: a temporary one")
    parser.add_argument("--results", type=Path, default=sections.RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
