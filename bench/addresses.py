"""Measures the giving of addresses side by side in one run: FreeRADIUS stock and tuned, a bare prototype, aaad.

    bench/addresses.py [--rounds N] [--seconds S] [--set-rate R] [--storm N] [--legs A,B] [--phases A,B] [--logins N]
                       [--port-base P] [--scratch DIR]

Logins, each of another subscriber who has no address yet, with the address in PostgreSQL, durably, before the Accept
tells it: as fast as they are answered, and at a set rate; logins whose lease still stands; and the storm of
subscribers who authenticate, get an address and send Start. Every address that an Accept told is looked for in the
table that must have it, and none may be told twice. The rounds go A B C … A B C …, so that what drifts on the machine
meets all alike. Loopback only.
"""

import argparse
import datetime as dt
import shutil
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import addresses_report as told
import generator
import report
import rounds
import sections
from accounting_load import CLOSED_WINDOW, next_tag
from addresses_legs import POOL_SIZE, AddressLeg, address_legs
from addresses_load import STORM_WINDOW, LoginLoad
from servers import POSTGRES_SETTINGS, end_in_order_when_told

_WARM_S = 2.0
_STORM_TIME_S = 300.0
_BEARS = 1.2  # a leg is asked at the set rate when its top rate is so much higher
_PHASES = {"new": told.NEW, "recycled": told.RECYCLED, "sticky": told.STICKY, "rate": told.OPEN, "storm": told.STORM}
_SETUP = """\
* Machine: {machine}; generator, servers and PostgreSQL share the cores, all on loopback.
* Versions: {versions}.
* Commands: `bench/install.sh` once, then `{command}`: {logins} logins, {rounds} rounds of {seconds} s in turn, or
  until each login was asked for once.
* Pool: {pool} IPv4 addresses, all free when a run begins. Those of FreeRADIUS had an earlier holder each, as on any
  morning (with empty user names its stored procedure is slower), and grow slower as a run goes on; aaad is measured
  with addresses never given before and, apart, with such that all had an earlier holder. No login has a fixed
  address, and none asks twice in a run.
* Leases that still stand: the logins of an unmeasured run before it ask once more; "moved" are those who then got
  another address.
* Window {window}: that many logins in flight, closed loop; the storm {storm_window} subscribers, each authenticates
  and then sends its Start. Set rate: open loop, latency from the time a login was due. A checkpoint before each run.
* aaad runs as it ships: its radius role goes before others (SCHED_RR, niceness -5) where the machine allows that, as
  its unit file does; all others run as they are started.
* CPU: user and system time of all processes of a leg, its PostgreSQL's too (for aaad: supervisor and every role),
  until the last Start stands in the table of sessions and the node has heard of its own leases; the generator's is
  not in it.
* "Refused": Rejects; "twice": addresses told to two subscribers of one run; "without": Accepts without an address;
  "missing": addresses told that the table does not give that subscriber, and acknowledged Starts without a session.
* FreeRADIUS is set up lean, which favours it: no request log, SQL pool = threads, SKIP LOCKED; for stock sqlippool
  without the stored procedure's index. PostgreSQL has the same settings in all legs: {settings}.
* All legs are up at once; while one is asked the others wait, and what they use meanwhile counts as other programs'.
"""


def main() -> None:
    """Run it all and write what was found; a leg that fails is reported and the others go on."""
    arguments = _arguments()
    end_in_order_when_told()
    generator.build()
    legs = [leg for leg in address_legs(arguments.port_base) if not arguments.legs or leg.name in arguments.legs]
    run = report.Run({leg.name: leg.about for leg in legs}, _setup(arguments))
    rows_path = sections.HERE / "results" / f"{dt.datetime.now():%Y%m%d-%H%M%S}.addresses.jsonl"
    rows_path.parent.mkdir(exist_ok=True)
    scratch = rounds.make_scratch(arguments.scratch)
    try:
        with ExitStack() as stack, rows_path.open("w") as rows_file:
            running = [leg for leg in legs if _start(leg, scratch, arguments, run, stack)]
            rounds.wait_until_quiet(running)
            _measure(arguments, run, running, scratch, rows_file)
    finally:
        if run.rows:
            text = told.markdown(run, arguments.set_rate, arguments.storm)
            sections.write(sections.ADDRESSES, text, arguments.results)
            print(text)
        if arguments.scratch is None:
            shutil.rmtree(scratch, ignore_errors=True)
    print(f"written: {arguments.results.name}, {rows_path.name}")
    sys.exit(1 if run.failures or any(told.has_trouble(row) for row in run.rows) else 0)


def _measure(
    arguments: argparse.Namespace, run: report.Run, legs: list[AddressLeg], scratch: Path, rows_file: TextIO
) -> None:
    every_round = rounds.Rounds(run, rows_file, arguments.rounds)

    def measure(phase: str, asked: Iterable[AddressLeg], once: Callable[[AddressLeg], report.Row]) -> None:
        if phase in arguments.phases:
            every_round.measure(phase, asked, once)

    def load(leg: AddressLeg, **more) -> LoginLoad:
        return _load(leg, arguments, scratch, **more)

    def bears(leg: AddressLeg) -> bool:
        return (report.median(run.of(leg.name, told.NEW), "rate") or 0.0) >= _BEARS * arguments.set_rate

    measure(told.NEW, legs, lambda leg: _new(leg, load(leg)))
    measure(told.RECYCLED, _ours(legs), lambda leg: _new(leg, load(leg), recycled=True))
    measure(told.STICKY, legs, lambda leg: _again(leg, load(leg), load(leg)))
    able = [leg for leg in legs if told.NEW not in arguments.phases or bears(leg)]
    measure(told.OPEN, able, lambda leg: _new(leg, load(leg, rate_per_s=arguments.set_rate)))
    measure(
        told.STORM,
        legs,
        lambda leg: _new(leg, load(leg, count=arguments.storm, acct_port=leg.acct_port, time_s=_STORM_TIME_S)),
    )


def _ours(legs: Iterable[AddressLeg]) -> list[AddressLeg]:
    return [leg for leg in legs if leg.name == "aaad"]


def _load(leg: AddressLeg, arguments: argparse.Namespace, scratch: Path, **more) -> LoginLoad:
    usual = {"count": arguments.logins, "time_s": arguments.seconds}
    addresses = scratch / f"{leg.name}.addresses"
    return LoginLoad(auth_port=leg.auth_port, tag=next_tag(), addresses=addresses, **(usual | more))


def _new(leg: AddressLeg, load: LoginLoad, *, recycled: bool = False) -> report.Row:
    """Measure logins who have no address yet."""
    leg.before(recycled=recycled)
    sessions = leg.sessions() if load.acct_port is not None else 0
    row = generator.measure(load.arguments(), leg.roots(), leg.settle)
    missing = len(load.given() - leg.held())
    if load.acct_port is not None:
        missing += max(0, row["acct_response"] - (leg.sessions() - sessions))
        leg.after(load)
    return row | {"missing": missing, "moved": 0}


def _again(leg: AddressLeg, first: LoginLoad, again: LoginLoad) -> report.Row:
    """Measure logins who have their address already."""
    leg.before(recycled=False)
    generator.load(first.arguments())
    leg.settle()
    had = first.given()
    row = generator.measure([*again.arguments(), "--count", str(len(had))], leg.roots(), leg.settle)
    return row | {"missing": len(again.given() - leg.held()), "moved": len(again.given() - had)}


def _start(leg: AddressLeg, scratch: Path, arguments: argparse.Namespace, run: report.Run, stack: ExitStack) -> bool:
    def warm() -> report.Row:
        return _new(leg, _load(leg, arguments, scratch, time_s=_WARM_S, acct_port=leg.acct_port))

    return rounds.start(leg, scratch, arguments.logins, run, stack, warm)


def _setup(arguments: argparse.Namespace) -> str:
    return _SETUP.format(
        machine=sections.machine(),
        versions=sections.versions(),
        settings=", ".join(f"{name} {value}" for name, value in POSTGRES_SETTINGS.items()),
        command=" ".join(["bench/addresses.py", *sys.argv[1:]]),
        logins=f"{arguments.logins:,}",
        rounds=arguments.rounds,
        seconds=f"{arguments.seconds:g}",
        pool=f"{POOL_SIZE:,}",
        window=CLOSED_WINDOW,
        storm_window=STORM_WINDOW,
    )


def _phases(text: str) -> list[str]:
    return [_PHASES[word] for word in text.split(",")]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logins", type=int, default=100_000, help="subscribers; each logs in once a run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of one run")
    parser.add_argument("--set-rate", type=float, default=4000.0, help="logins per second of the open loop")
    parser.add_argument("--storm", type=int, default=20_000, help="subscribers of the storm")
    parser.add_argument("--legs", type=lambda text: text.split(","), help="only these, by name")
    parser.add_argument("--phases", type=_phases, default=list(_PHASES.values()), help=f"of {','.join(_PHASES)}")
    parser.add_argument("--port-base", type=int, default=41950, help="50 ports of 127.0.0.1 from here on")
    parser.add_argument("--scratch", type=Path, help="a new folder that is kept; default: a temporary one")
    parser.add_argument("--results", type=Path, default=sections.RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
