"""How large a node is with very many logins, and how soon it answers after a start with PostgreSQL dead.

    bench/size.py [--logins N] [--starts N] [--port-base P] [--scratch DIR]

Size: what the replica occupies on the disk, and the memory of all the node's processes (private pages) above that of
a node with few logins. PostgreSQL's is not in it. Start: from starting `aaad run`, with PostgreSQL stopped, to the
arrival of the first Access-Accept.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import processes
import sections
from client import ACCEPT, PapClient
from node import Node, Ports
from servers import end, end_in_order_when_told, wait_until

_FEW = 1000
_LOADING_TIMEOUT_S = 1800
_ANSWER_TIMEOUT_S = 30.0
_OCTETS_PER_LOGIN_MAX = 1024
_START_MAX_S = 3.0


@dataclass(frozen=True, slots=True)
class Size:
    """What one node occupies."""

    disk_octets: int  # the replica's, as allocated
    memory_octets: int  # private pages of all processes but PostgreSQL's


def _measure(node: Node) -> Size:
    wait_until(lambda: _accepts(node, node.logins - 1), "the last login's Accept", node.process, _LOADING_TIMEOUT_S)
    roots = node.roots()
    postgres = processes.trees(roots["postgres"])
    own = [pid for pid in processes.trees(roots["rest"]) if pid not in postgres]
    memory_octets = sum(processes.memory_octets(pid)["Pss_Anon"] for pid in own)
    return Size(_disk_octets(node.directory), memory_octets)


def _accepts(node: Node, number: int) -> bool:
    client = PapClient(node.ports.auth, timeout_s=0.2)
    accepted = _is_accepted(client, number)
    client.close()
    return accepted


def _is_accepted(client: PapClient, number: int) -> bool:
    answer = client.ask(f"user{number:06d}", f"pass{number:06d}")
    return answer is not None and answer.code == ACCEPT


def _disk_octets(directory: Path) -> int:
    """Return what the stores occupy: the files are sparse."""
    return sum(512 * path.stat().st_blocks for path in directory.rglob("replica/**/*.mdb"))


def _start_without_database(node: Node, number: int) -> float:
    """Start the node's daemon alone and return the seconds to the first Accept."""
    with (node.directory.with_suffix(".run.log")).open("ab") as log:
        start = time.monotonic()
        command = [sys.executable, "-m", "aaad", "run", "--config", str(node.config)]
        daemon = subprocess.Popen(command, stdout=log, stderr=log, cwd=sections.HERE.parent)
    client = PapClient(node.ports.auth, timeout_s=0.02)
    try:
        wait_until(lambda: _is_accepted(client, number), "an Accept", daemon, _ANSWER_TIMEOUT_S)
        return time.monotonic() - start
    finally:
        client.close()
        end(daemon)


def main() -> None:
    """Measure a node with few logins, one with many, and starts of the latter."""
    arguments = _arguments()
    end_in_order_when_told()
    scratch = arguments.scratch or Path(tempfile.mkdtemp(prefix="aaad-size-"))
    scratch.mkdir(exist_ok=True)
    scratch.chmod(0o755)
    base = arguments.port_base
    few = Node(scratch / "few", Ports(base, base + 1, base + 2), _FEW)
    many = Node(scratch / "many", Ports(base, base + 1, base + 2), arguments.logins)
    sizes = []
    try:
        for node in (few, many):
            node.start(_LOADING_TIMEOUT_S)
            sizes.append(_measure(node))
            node.stop()
        starts_s = [_start_without_database(many, 7 * number) for number in range(arguments.starts)]
    finally:
        few.stop()
        many.stop()
        if arguments.scratch is None:
            shutil.rmtree(scratch, ignore_errors=True)
    text = _section(arguments.logins, *sizes, starts_s)
    sections.write(sections.SIZE, text, arguments.results)
    print(text)


def _section(logins: int, few: Size, many: Size, starts_s: list[float]) -> str:
    disk = many.disk_octets / logins
    memory = max(0, many.memory_octets - few.memory_octets) / logins
    shown_s = f"{statistics.median(starts_s):.2f} [{min(starts_s):.2f}–{max(starts_s):.2f}]"
    per_login = "met" if disk + memory < _OCTETS_PER_LOGIN_MAX else "**missed**"
    soon = "met" if max(starts_s) < _START_MAX_S else "**missed**"
    lines = [
        f"## {logins:,} logins on one node",
        "",
        f"{sections.machine()}; commit {sections.commit()}; `bench/size.py`. Memory: private pages of all processes",
        f"of the node above those of a node with {_FEW:,} logins ({few.memory_octets / 2**20:.0f} MiB).",
        "",
        "| | | target | |",
        "|---|---|---|---|",
        f"| replica on the disk, octets per login | {disk:.0f} | | |",
        f"| memory, octets per login | {memory:.0f} | | |",
        f"| both | {disk + memory:.0f} | < {_OCTETS_PER_LOGIN_MAX} | {per_login} |",
        f"| start to the first answer, PostgreSQL dead, s | {shown_s} | < {_START_MAX_S:g} | {soon} |",
    ]
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logins", type=int, default=1_000_000)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--port-base", type=int, default=41870)
    parser.add_argument("--scratch", type=Path, help="a folder that is kept; default: a temporary one")
    parser.add_argument("--results", type=Path, default=sections.RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
