"""The rounds of a comparison: every leg in turn, again and again, each run made again when others disturbed it."""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, TextIO

import processes
import report
from servers import ServerError

_FOREIGN_SHARE_MAX = 0.05  # of the machine; a run beside more than that says little
_ATTEMPTS_MAX = 3
_QUIET_CPU = 0.05  # of one core, all legs together
_QUIET_TIMEOUT_S = 60.0
TROUBLE = (OSError, ValueError, subprocess.SubprocessError, ServerError)


class Measured(Protocol):
    """What is compared, as far as the rounds know it."""

    name: str

    def start(self, scratch: Path, logins: int) -> None: ...

    def stop(self) -> None: ...

    def roots(self) -> dict[str, list[int]]: ...


class Rounds:
    """Each leg in turn, again and again; a leg that fails is left out from then on."""

    def __init__(self, run: report.Run, rows_file: TextIO, rounds: int) -> None:
        self._run = run
        self._rows_file = rows_file
        self._rounds = rounds

    def measure(self, phase: str, legs: Iterable[Measured], once: Callable[..., report.Row]) -> None:
        """Run `once` for each of these legs in every round."""
        legs = list(legs)
        for number in range(self._rounds):
            for leg in legs:
                if leg.name not in self._run.failures:
                    self._once(leg, phase, number, once)

    def _once(self, leg: Measured, phase: str, number: int, once: Callable[..., report.Row]) -> None:
        """Run it; when others used much of the machine meanwhile, again, and keep the run with the least of that."""
        attempts = []
        try:
            while len(attempts) < _ATTEMPTS_MAX and not (attempts and _is_undisturbed(attempts[-1])):
                attempts.append({"leg": leg.name, "phase": phase, "round": number} | once(leg))
                self._rows_file.write(json.dumps(attempts[-1]) + "\n")
                self._rows_file.flush()
        except TROUBLE as error:
            self._run.failures[leg.name] = f"{phase}, round {number + 1}: {error}"
            print(f"{leg.name}: {self._run.failures[leg.name]}", flush=True)
            return
        row = min(attempts, key=lambda attempt: attempt["foreign_share"])
        self._run.rows.append(row)
        self._run.repeated += len(attempts) - 1
        if not row["answered"]:
            self._run.failures[leg.name] = f"{phase}, round {number + 1}: nothing was answered"
        print(
            f"{phase:21} {number + 1} {leg.name:24} {row['rate']:>9,.0f}/s {row['per_cpu'] or 0:>9,.0f} per CPU s  "
            f"p50 {row['p50']:.2f} p99 {row['p99']:.2f} ms  lost {row['lost']} bad {row['bad']}  "
            f"others {row['foreign_share']:.0%}",
            flush=True,
        )


def _is_undisturbed(row: report.Row) -> bool:
    return row["foreign_share"] <= _FOREIGN_SHARE_MAX


def start(
    leg: Measured, scratch: Path, logins: int, run: report.Run, stack: ExitStack, warm: Callable[[], report.Row]
) -> bool:
    """Start one leg and warm it up; False and a noted failure when it cannot be measured."""
    print(f"{leg.name}: starting", flush=True)
    stack.callback(leg.stop)
    try:
        leg.start(scratch, logins)
        if warm()["answered"]:
            return True
        run.failures[leg.name] = "start: it answers nothing"
    except TROUBLE as error:
        run.failures[leg.name] = f"start: {error}"
    print(f"{leg.name}: {run.failures[leg.name]}", flush=True)
    leg.stop()
    return False


def wait_until_quiet(legs: Iterable[Measured]) -> None:
    """Let what the loading of logins left behind (autovacuum, checkpoints) come to its end, within a limit."""
    roots = [pid for leg in legs for pids in leg.roots().values() for pid in pids]
    deadline = time.monotonic() + _QUIET_TIMEOUT_S
    while time.monotonic() < deadline:
        before = processes.cpu_s(roots)
        time.sleep(2)
        if (processes.cpu_s(roots) - before) / 2 < _QUIET_CPU:
            return
    print("the servers did not become quiet; measuring all the same", flush=True)


def make_scratch(chosen: Path | None) -> Path:
    """Return the scratch folder; PostgreSQL's user must reach what is below it."""
    if chosen is None:
        folder = Path(tempfile.mkdtemp(prefix="aaad-bench-"))
    else:
        folder = chosen.resolve()
        folder.mkdir(parents=True)
    folder.chmod(0o755)
    return folder
