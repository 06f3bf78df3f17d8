"""Whether the drain keeps up: minutes of accounting at three times the rate that FreeRADIUS bears for as long.

    bench/keepup.py [--seconds S] [--times N] [--rate R] [--with-logins] [--logins N] [--port-base P] [--scratch DIR]

First FreeRADIUS's own rate (stock queries into PostgreSQL, as in bench/accounting.py) over the same time, told by the
minute, since its table fills as ours does and it grows slower by that; unless --rate says records per second. Then a
node under that load, looked at every few seconds. It fails when more than some seconds of the load wait for the
drain, or anything is lost. Loopback only.
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
from accounting_legs import FreeradiusAccounting
from accounting_load import AccountingLoad, next_tag
from node import Node, Ports
from servers import end_in_order_when_told

_PEER_RUN_S = 60.0
_TICK_S = 0.001  # twelve records and more: the generator has no processor of its own


def main() -> None:
    """Measure FreeRADIUS, then the node, and write the section."""
    arguments = _arguments()
    end_in_order_when_told()
    generator.build()
    scratch = rounds.make_scratch(arguments.scratch)
    node = Node(scratch / "node", _ports(arguments.port_base), arguments.logins)
    try:
        peer = [] if arguments.rate else _peer_rates(arguments, scratch)
        rate_per_s = arguments.rate or arguments.times * sum(peer) / len(peer)
        node.start()
        found = steady.run(node, _load(node, arguments, rate_per_s), arguments.every, "keepup")
    finally:
        node.stop()
        if arguments.scratch is None:
            shutil.rmtree(scratch, ignore_errors=True)
    complaints = steady_report.complaints(found)
    text = _section(arguments, peer, found, complaints)
    sections.write(sections.KEEPING_UP, text, arguments.results)
    print(text)
    sys.exit(1 if complaints else 0)


def _ports(base: int) -> Ports:
    return Ports(base + 20, base + 21, base + 22)


def _load(node: Node, arguments: argparse.Namespace, rate_per_s: float) -> AccountingLoad:
    auth_port = node.ports.auth if arguments.with_logins else None
    return AccountingLoad(
        port=node.ports.acct, logins=arguments.logins, time_s=arguments.seconds, rate_per_s=rate_per_s,
        tag=next_tag(), auth_port=auth_port, tick_s=_TICK_S,
    )  # fmt: skip


def _peer_rates(arguments: argparse.Namespace, scratch: Path) -> list[float]:
    """Return the records per second that FreeRADIUS acknowledges at most, minute by minute, into one table."""
    peer = FreeradiusAccounting(arguments.port_base)
    rates = []
    try:
        peer.start(scratch, 1000)
        for _ in range(max(1, round(arguments.seconds / _PEER_RUN_S))):
            load = AccountingLoad(port=peer.port, logins=arguments.logins, time_s=_PEER_RUN_S, tag=next_tag())
            peer.before(load)
            rates.append(generator.load(load.arguments())["rate"])
    finally:
        peer.stop()
    print(f"FreeRADIUS: {', '.join(f'{rate:,.0f}' for rate in rates)} records/s", flush=True)
    return rates


def _section(arguments: argparse.Namespace, peer: list[float], found: steady.Steady, complaints: list[str]) -> str:
    told = "as asked"
    if peer:
        told = f"{arguments.times:g} times FreeRADIUS's {sum(peer) / len(peer):,.0f}/s over the same time"
    logins = "; each session begins with a login and says its Class" if arguments.with_logins else "; no logins"
    lines = [
        "## The drain keeps up",
        "",
        f"{found.rate_per_s:,.0f} records a second ({told}) for {arguments.seconds:,.0f} s{logins},",
        f"sent by the millisecond ({_TICK_S:g} s);",
        f"{sections.machine()}; commit {sections.commit()}; `{' '.join(['bench/keepup.py', *sys.argv[1:]])}`.",
        f"Target: never more than {steady_report.LAG_MAX_S:g} s of the load wait for the drain, and nothing is lost.",
        "",
        "**Missed**: " + "; ".join(complaints) + "." if complaints else "Met.",
        "",
        *([f"* FreeRADIUS by the minute: {', '.join(f'{rate:,.0f}' for rate in peer)} records/s."] if peer else []),
        *steady_report.summary(found),
        "",
        *steady_report.time_table(found),
    ]
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--times", type=float, default=3.0, help="of FreeRADIUS's rate")
    parser.add_argument("--rate", type=float, help="records per second, instead of measuring FreeRADIUS")
    parser.add_argument("--with-logins", action="store_true", help="each session begins with an Access-Request")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two looks")
    parser.add_argument("--logins", type=int, default=100_000)
    parser.add_argument("--port-base", type=int, default=41900)
    parser.add_argument("--scratch", type=Path, help="a new folder that is kept; default: a temporary one")
    parser.add_argument("--results", type=Path, default=sections.RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
