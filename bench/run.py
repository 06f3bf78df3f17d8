"""Measures in one run on one machine: the bare prototype, FreeRADIUS from memory and from PostgreSQL, and aaad.

    bench/run.py [--logins N] [--rounds N] [--seconds S] [--fixed-rate R] [--legs A,B] [--port-base P] [--scratch DIR]

All legs are up at once and only one is asked at a time; the rounds go A B C … A B C …, so that what drifts on the
machine meets all alike. Writes bench/RESULTS.md and the raw rows below bench/results/. Loopback only.
"""

import argparse
import datetime as dt
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import generator
import report
import rounds
import sections
from client import ACCEPT, Answer, PapClient
from generator import Load
from legs import Leg, all_legs
from servers import ServerError, end_in_order_when_told, wait_until

_WINDOW = 64
_OPEN_WINDOW = 4096  # an upper bound only: in open loop the rate rules
_WARM_S = 2.0
_SETUP = """\
* Machine: {machine}; generator, servers and PostgreSQL share the cores, all on loopback.
* Versions: {versions}.
* Commands: `bench/install.sh` once, then `{command}`: {logins} logins user%06d/pass%06d,
  {rounds} rounds of {seconds} s in turn, fixed rate {fixed_rate}/s.
* Window 64: 64 requests in flight, closed loop. Set rates: open loop, latency from the time a request was due.
* aaad runs as it ships: its radius role goes before others (SCHED_RR, niceness -5) where the machine allows that, as
  its unit file does; all others run as they are started.
* CPU: user and system time of all processes of a leg, its PostgreSQL's too (for aaad: supervisor and every role); the
  generator's is not in it.
* FreeRADIUS is set up lean, which favours it: no request log, no proxying, SQL pool = threads; PostgreSQL has a
  Unix socket and the same settings in all legs. FreeRADIUS 3.2.1 puts no Message-Authenticator into its answers.
* All legs are up at once; while one is asked the others wait, and what they use meanwhile counts as other programs'.
"""


def main() -> None:
    """Run it all and write what was found; a leg that fails is reported and the others go on."""
    arguments = _arguments()
    end_in_order_when_told()
    generator.build()
    legs = [leg for leg in all_legs(arguments.port_base) if not arguments.legs or leg.name in arguments.legs]
    run = report.Run({leg.name: leg.about for leg in legs}, _setup(arguments))
    rows_path = sections.HERE / "results" / f"{dt.datetime.now():%Y%m%d-%H%M%S}.jsonl"
    rows_path.parent.mkdir(exist_ok=True)
    scratch = rounds.make_scratch(arguments.scratch)
    try:
        with ExitStack() as stack, rows_path.open("w") as rows_file:
            running = [leg for leg in legs if _start(leg, scratch, arguments.logins, run, stack)]
            rounds.wait_until_quiet(running)
            _measure(arguments, run, running, rows_file)
    finally:
        if run.rows:
            sections.write(sections.SPEED, report.markdown(run), arguments.results)
        if arguments.scratch is None:
            shutil.rmtree(scratch, ignore_errors=True)
    print(report.markdown(run))
    print(f"written: {arguments.results.name}, {rows_path.name}")
    sys.exit(1 if run.failures else 0)


def _measure(arguments: argparse.Namespace, run: report.Run, legs: list[Leg], rows_file: TextIO) -> None:
    every_round = rounds.Rounds(run, rows_file, arguments.rounds)

    def measure(phase: str, load_of: Callable[[Leg], Load]) -> None:
        loads = {leg.name: load_of(leg) for leg in legs if leg.name not in run.failures}
        able = [leg for leg in legs if leg.name in loads and loads[leg.name].method in leg.methods]
        every_round.measure(
            phase, able, lambda leg: generator.run(leg.port, arguments.logins, loads[leg.name], leg.roots())
        )

    measure(report.CLOSED, lambda _: Load(_WINDOW, None, arguments.seconds))
    measure(report.CHAP, lambda _: Load(_WINDOW, None, arguments.seconds, "chap"))
    measure(report.MSCHAPV2, lambda _: Load(_WINDOW, None, arguments.seconds, "mschapv2"))
    measure(report.HALF, lambda leg: _open(_top_rate(run, leg) / 2, arguments.seconds))
    measure(report.FIXED, lambda _: _open(arguments.fixed_rate, arguments.seconds))


def _start(leg: Leg, scratch: Path, logins: int, run: report.Run, stack: ExitStack) -> bool:
    """Start one leg, look at its answer, warm it up; False and a noted failure when it cannot be measured."""
    print(f"{leg.name}: starting", flush=True)
    stack.callback(leg.stop)
    try:
        leg.start(scratch, logins)
        run.replies[leg.name] = _first_accept(leg.port).names()
        generator.run(leg.port, logins, Load(_WINDOW, None, _WARM_S), leg.roots())
    except rounds.TROUBLE as error:
        run.failures[leg.name] = f"start: {error}"
        print(f"{leg.name}: {error}", flush=True)
        leg.stop()
        return False
    return True


def _first_accept(port: int) -> Answer:
    client = PapClient(port, timeout_s=0.2)
    try:
        answer = wait_until(lambda: client.ask("user000007", "pass000007"), "a first answer", timeout_s=20)
    finally:
        client.close()
    if answer.code != ACCEPT:
        raise ServerError(f"user000007 got code {answer.code}, not an Access-Accept")
    return answer


def _open(rate_per_s: float, time_s: float) -> Load:
    return Load(_OPEN_WINDOW, rate_per_s, time_s)


def _top_rate(run: report.Run, leg: Leg) -> float:
    return report.median(run.of(leg.name, report.CLOSED), "rate") or 0.0


def _setup(arguments: argparse.Namespace) -> str:
    return _SETUP.format(
        machine=sections.machine(),
        versions=sections.versions(),
        command=" ".join(["bench/run.py", *sys.argv[1:]]),
        logins=f"{arguments.logins:,}",
        rounds=arguments.rounds,
        seconds=f"{arguments.seconds:g}",
        fixed_rate=f"{arguments.fixed_rate:g}",
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logins", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one run")
    parser.add_argument(
        "--fixed-rate", type=float, default=1000.0, help="requests per second that every leg can bear"
    )
    parser.add_argument("--legs", type=lambda text: text.split(","), help="only these, by name")
    parser.add_argument("--port-base", type=int, default=41800, help="50 ports of 127.0.0.1 from here on")
    parser.add_argument("--scratch", type=Path, help="a new folder that is kept; default: a temporary one")
    parser.add_argument("--results", type=Path, default=sections.RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
