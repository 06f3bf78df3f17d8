"""Measures accounting side by side in one run: FreeRADIUS writing to PostgreSQL, a bare prototype, aaad.

    bench/accounting.py [--rounds N] [--seconds S] [--set-rate R] [--no-class] [--legs A,B] [--logins N]
                        [--port-base P] [--scratch DIR]

Acknowledged durable records of a mix of Start, Interim-Update and Stop, of sessions that live side by side. CPU
counts until the last record stands in the table of sessions, and what was acknowledged is counted there. The rounds
go A B C … A B C …, so that what drifts on the machine meets all alike. Loopback only.
"""

import argparse
import datetime as dt
import shutil
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import accounting_report
import generator
import report
import rounds
import sections
from accounting_legs import AccountingLeg, accounting_legs
from accounting_load import CLOSED_WINDOW, INTERVAL_S, LAG, AccountingLoad, next_tag
from servers import POSTGRES_SETTINGS, end_in_order_when_told

_WARM_S = 2.0
_BEARS = 1.2  # a leg is asked at the set rate when its top rate is so much higher
_SETUP = """\
* Machine: {machine}; generator, servers and PostgreSQL share the cores, all on loopback.
* Versions: {versions}.
* Commands: `bench/install.sh` once, then `{command}`: {logins} logins, {rounds} rounds of {seconds} s in turn.
* Records: equal parts Start, Interim-Update and Stop with the attributes of a MikroTik's PPPoE server; {lag} sessions
  begin between two reports of one, so that a session's records come at different times, as in life, and they tell of
  {interval} s between two of them (Acct-Session-Time, Event-Timestamp, Acct-Delay-Time, counters). {classes}
* Window {window}: that many records in flight, closed loop. Set rates: open loop, latency from the time a record was
  due. Each run begins with a checkpoint.
* aaad runs as it ships: its radius role goes before others (SCHED_RR, niceness -5) where the machine allows that, as
  its unit file does; all others run as they are started.
* CPU: user and system time of all processes of a leg, its PostgreSQL's too (for aaad: supervisor and every role),
  until the last record stands in the table; the generator's is not in it.
* "Missing" are records that were acknowledged and that the table does not tell of: for aaad all records are counted
  (`sum(records)`), for the others the sessions with a Stop.
* FreeRADIUS is set up lean, which favours it: no request log, no detail file, SQL pool = threads. PostgreSQL has the
  same settings in all legs: {settings}.
* All legs are up at once; while one is asked the others wait, and what they use meanwhile counts as other programs'.
"""
_WITH_CLASS = (
    "aaad's carry\n  the Class of their own Accept, got before the run and not measured; the others give none."
)
_WITHOUT_CLASS = "None carries\n  a Class."


def main() -> None:
    """Run it all and write what was found; a leg that fails is reported and the others go on."""
    arguments = _arguments()
    end_in_order_when_told()
    generator.build()
    legs = [leg for leg in accounting_legs(arguments.port_base) if not arguments.legs or leg.name in arguments.legs]
    run = report.Run({leg.name: leg.about for leg in legs}, _setup(arguments))
    rows_path = sections.HERE / "results" / f"{dt.datetime.now():%Y%m%d-%H%M%S}.accounting.jsonl"
    rows_path.parent.mkdir(exist_ok=True)
    scratch = rounds.make_scratch(arguments.scratch)
    try:
        with ExitStack() as stack, rows_path.open("w") as rows_file:
            running = [leg for leg in legs if _start(leg, scratch, arguments, run, stack)]
            rounds.wait_until_quiet(running)
            _measure(arguments, run, running, scratch, rows_file)
    finally:
        if run.rows:
            text = accounting_report.markdown(run, arguments.set_rate)
            sections.write(sections.ACCOUNTING, text, arguments.results)
            print(text)
        if arguments.scratch is None:
            shutil.rmtree(scratch, ignore_errors=True)
    print(f"written: {arguments.results.name}, {rows_path.name}")
    sys.exit(1 if run.failures or any(row["missing"] for row in run.rows) else 0)


def _measure(
    arguments: argparse.Namespace, run: report.Run, legs: list[AccountingLeg], scratch: Path, rows_file: TextIO
) -> None:
    every_round = rounds.Rounds(run, rows_file, arguments.rounds)

    def measure(phase: str, asked: Iterable[AccountingLeg], rate_of: Callable[[AccountingLeg], float | None]) -> None:
        every_round.measure(
            phase, asked, lambda leg: _once(leg, _load(leg, arguments, scratch, arguments.seconds, rate_of(leg)))
        )

    def top_rate(leg: AccountingLeg) -> float:
        return report.median(run.of(leg.name, accounting_report.CLOSED), "rate") or 0.0

    measure(accounting_report.CLOSED, legs, lambda _: None)
    alive = [leg for leg in legs if leg.name not in run.failures]
    measure(accounting_report.HALF, alive, lambda leg: top_rate(leg) / 2)
    able = [leg for leg in alive if top_rate(leg) >= _BEARS * arguments.set_rate]
    measure(accounting_report.OPEN, able, lambda _: arguments.set_rate)


def _load(
    leg: AccountingLeg, arguments: argparse.Namespace, scratch: Path, time_s: float, rate_per_s: float | None
) -> AccountingLoad:
    load = AccountingLoad(
        port=leg.port, logins=arguments.logins, time_s=time_s, rate_per_s=rate_per_s, tag=next_tag(),
        sessions=arguments.logins,
    )  # fmt: skip
    return load.with_classes(scratch / f"{leg.name}.classes") if leg.gives_class and not arguments.no_class else load


def _once(leg: AccountingLeg, load: AccountingLoad) -> report.Row:
    leg.before(load)
    row = generator.measure(load.arguments(), leg.roots(), leg.settle)
    return row | {"missing": leg.missing(row)}


def _start(
    leg: AccountingLeg, scratch: Path, arguments: argparse.Namespace, run: report.Run, stack: ExitStack
) -> bool:
    def warm() -> report.Row:
        return _once(leg, _load(leg, arguments, scratch, _WARM_S, None))

    return rounds.start(leg, scratch, arguments.logins, run, stack, warm)


def _setup(arguments: argparse.Namespace) -> str:
    return _SETUP.format(
        machine=sections.machine(),
        versions=sections.versions(),
        settings=", ".join(f"{name} {value}" for name, value in POSTGRES_SETTINGS.items()),
        command=" ".join(["bench/accounting.py", *sys.argv[1:]]),
        logins=f"{arguments.logins:,}",
        rounds=arguments.rounds,
        seconds=f"{arguments.seconds:g}",
        lag=f"{LAG:,}",
        interval=INTERVAL_S,
        window=CLOSED_WINDOW,
        classes=_WITHOUT_CLASS if arguments.no_class else _WITH_CLASS,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logins", type=int, default=100_000, help="also the most sessions of one run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of one run")
    parser.add_argument("--set-rate", type=float, default=4000.0, help="records per second of the open loop")
    parser.add_argument("--no-class", action="store_true", help="aaad's sessions without the Class of an Accept")
    parser.add_argument("--legs", type=lambda text: text.split(","), help="only these, by name")
    parser.add_argument("--port-base", type=int, default=41900, help="50 ports of 127.0.0.1 from here on")
    parser.add_argument("--scratch", type=Path, help="a new folder that is kept; default: a temporary one")
    parser.add_argument("--results", type=Path, default=sections.RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
