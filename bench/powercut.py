"""How soon all customers are back after a power cut: all concentrators lose it at once, nobody has said goodbye.

    bench/powercut.py [--subscribers N] [--within S] [--rate R] [--scratch DIR]

On a throw-away node the subscribers dial, report, lose their sessions without a Stop, and dial again within a few
seconds, by a simulator that shares no code with the server; then the same once more while PostgreSQL is dead from the
cut until all are back. Every session is compared with what was reported, by the tests' own fold
(`tests/e2e/session_reference.py`): one lost record, or one customer who is refused, and it fails.
"""

import argparse
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

import sections

sys.path.insert(0, str(sections.HERE.parent))
sys.path.insert(0, str(sections.HERE.parent / "tests"))
sys.path.insert(0, str(sections.HERE.parent / "tests" / "e2e"))

from nodes import Node
from power_cut import Found, kill_postgres_until_all_are_back, power_cut

_SECTION = "9-power-cut"
_TEXT = """\
## After a power cut

All {subscribers} customers of 10 concentrators lose their sessions without a Stop; 1 s later the power is back,
Accounting-On is sent, and all dial again within {within:g} s, as MikroTik does: again after 1.1 s, three times, then
a redial. The simulator uses one core of the same machine. {machine}; aaad at commit {commit}.

| PostgreSQL | all back after | refused | dials, p99 | longest | records, acknowledged | lost | drained after |
|---|---|---|---|---|---|---|---|
{rows}

Lost: acknowledged records that are in no session, after a comparison of all sessions with all that was reported.
"""


def main() -> None:
    """Measure, compare, and write the section."""
    arguments = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="aaad-powercut-", dir=arguments.scratch))
    rows = []
    try:
        for title, is_dead in (("well", False), ("dead from the cut until all are back", True)):
            rows.append(_row(title, _measure(folder / title[:4], arguments, is_postgres_dead=is_dead)))
            print(rows[-1], flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sections.write(
        _SECTION,
        _TEXT.format(
            subscribers=f"{arguments.subscribers:,}",
            within=arguments.within,
            machine=sections.machine(),
            commit=sections.commit(),
            rows="\n".join(rows),
        ),
    )


def _measure(folder: Path, arguments: argparse.Namespace, *, is_postgres_dead: bool) -> Found:
    folder.mkdir()
    node = Node(folder, arguments.subscribers)
    meanwhile = partial(kill_postgres_until_all_are_back, node) if is_postgres_dead else lambda _: None
    try:
        node.prepare()
        node.start()
        return power_cut(
            node,
            arguments.subscribers,
            rate=arguments.rate,
            within_s=arguments.within,
            interim_s=20,
            settle_s=10,
            meanwhile=meanwhile,
        )
    finally:
        node.end()


def _row(title: str, found: Found) -> str:
    return (
        f"| {title} | {found.all_back_after_s:.1f} s | {found.refused} | {found.p99_ms:.0f} ms "
        f"| {found.longest_ms:.0f} ms | {found.records:,}, {found.acknowledged:,} | 0 | {found.drained_s:.1f} s |"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subscribers", type=int, default=10_000)
    parser.add_argument("--within", type=float, default=10.0, help="all dial again within so many seconds")
    parser.add_argument("--rate", type=float, default=800.0, help="dials per second at the beginning")
    parser.add_argument("--scratch", type=Path, help="where to keep the node meanwhile")
    return parser.parse_args()


if __name__ == "__main__":
    main()
