"""Whether memory stays flat: an hour of accounting at 2,000 records a second.

    bench/memory.py [--seconds S] [--rate R] [--with-logins] [--logins N] [--port-base P] [--scratch DIR]

Looks at the private pages of each of the node's processes and compares the last fifth of the time with the second
one; it fails when a process grew, when the drain did not keep up, or when anything was lost. The machine has to be
its own: a process keeps what its largest batch took, and other programs' turns make batches larger. Loopback only.
"""

import argparse
import shutil
import sys
from pathlib import Path

import generator
import rounds
import sections
import steady
import steady_report
from accounting_load import AccountingLoad, next_tag
from node import Node, Ports
from servers import end_in_order_when_told


def main() -> None:
    """Run it and write the section."""
    arguments = _arguments()
    end_in_order_when_told()
    generator.build()
    scratch = rounds.make_scratch(arguments.scratch)
    base = arguments.port_base
    node = Node(scratch / "node", Ports(base, base + 1, base + 2), arguments.logins)
    try:
        node.start()
        load = AccountingLoad(
            port=node.ports.acct, logins=arguments.logins, time_s=arguments.seconds, rate_per_s=arguments.rate,
            tag=next_tag(), auth_port=node.ports.auth if arguments.with_logins else None,
        )  # fmt: skip
        found = steady.run(node, load, max(1.0, arguments.seconds / 360), "memory")
    finally:
        node.stop()
        if arguments.scratch is None:
            shutil.rmtree(scratch, ignore_errors=True)
    complaints = steady_report.complaints(found)
    complaints += [f"the memory of {name} grows" for name in steady_report.growing(found.samples)]
    text = _section(arguments, found, complaints)
    sections.write(sections.MEMORY, text, arguments.results)
    print(text)
    sys.exit(1 if complaints else 0)


def _section(arguments: argparse.Namespace, found: steady.Steady, complaints: list[str]) -> str:
    logins = ", each session with its login," if arguments.with_logins else ""
    lines = [
        "## Memory under steady accounting",
        "",
        f"{found.rate_per_s:,.0f} records a second{logins} for {arguments.seconds:,.0f} s; {sections.machine()};",
        f"commit {sections.commit()}; `{' '.join(['bench/memory.py', *sys.argv[1:]])}`.",
        "Private pages of each process. Flat: in the last fifth of the time at most 5 % or 2 MiB above the second.",
        "",
        "**Missed**: " + "; ".join(complaints) + "." if complaints else "Met.",
        "",
        *steady_report.memory_table(found.samples),
        "",
        *steady_report.summary(found),
        "",
        *steady_report.time_table(found),
    ]
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--rate", type=float, default=2000.0, help="records per second")
    parser.add_argument("--with-logins", action="store_true", help="each session begins with an Access-Request")
    parser.add_argument("--logins", type=int, default=100_000)
    parser.add_argument("--port-base", type=int, default=41950)
    parser.add_argument("--scratch", type=Path, help="a new folder that is kept; default: a temporary one")
    parser.add_argument("--results", type=Path, default=sections.RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
