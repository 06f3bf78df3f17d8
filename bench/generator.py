"""Builds radload and runs it against one server, with the CPU of that server's processes beside its figures."""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import processes
from servers import ServerError, end

_HERE = Path(__file__).resolve().parent
RADLOAD = _HERE / "build" / "radload"
_UNBOUNDED = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Load:
    """How to ask. `rate_per_s` None: closed loop, `window` in flight; else open loop, `window` at most.

    `method`: pap, chap or mschapv2.
    """

    window: int
    rate_per_s: float | None
    time_s: float
    method: str = "pap"


def build() -> None:
    """Compile radload and let it prove its vectors."""
    made = subprocess.run(["make", "-s", "-C", str(_HERE / "radload"), "check"], capture_output=True, text=True)
    if made.returncode:
        raise SystemExit(f"radload cannot be built; bench/install.sh installs gcc and libssl-dev\n{made.stderr}")


def run(port: int, logins: int, load: Load, roots: dict[str, list[int]]) -> dict[str, object]:
    """Ask for logins once and account for it as `measure` does."""
    arguments = ["--auth", f"127.0.0.1:{port}", "--users", str(logins), "--window", str(load.window)]
    arguments += ["--count", str(_UNBOUNDED), "--time", str(load.time_s)]
    arguments += ["--mode", f"auth-{load.method}"]
    if load.rate_per_s is not None:
        arguments += ["--rate", str(round(load.rate_per_s))]
    return measure(arguments, roots)


def measure(
    arguments: list[str], roots: dict[str, list[int]], settle: Callable[[], None] = lambda: None
) -> dict[str, object]:
    """Run radload once; `roots` are the process trees to account for, by name: a process counts for the first.

    `settle` returns when the servers have done all that the load was about: until then their CPU counts. `per_cpu` is
    answers per CPU second of all those trees: the fair figure where generator and server share the cores.
    `foreign_share` is the part of the machine that neither they nor the generator used.
    """
    before, machine_before, start = used_s(roots), processes.machine(), time.monotonic()
    row = load(arguments)
    load_s = time.monotonic() - start
    settle()
    wall_s = time.monotonic() - start
    machine_after, after = processes.machine(), used_s(roots)
    used = {name: round(after[name] - before[name], 3) for name in roots}
    server_s = sum(used.values())
    total_s = machine_after.total_s - machine_before.total_s
    idle_s = machine_after.idle_s - machine_before.idle_s
    return row | {
        "cpu_s": used,
        "server_cpu_s": round(server_s, 3),
        "per_cpu": round(row["answered"] / server_s, 1) if server_s else None,
        "wall_s": round(wall_s, 3),
        "settle_s": round(wall_s - load_s, 3),
        "foreign_share": round(max(0.0, total_s - idle_s - server_s - row["client_cpu"]) / total_s, 3),
    }


def load(arguments: list[str]) -> dict[str, object]:
    """Run radload to its end and return its figures."""
    return finish(begin(arguments))


def begin(arguments: list[str]) -> subprocess.Popen[str]:
    """Start radload; the caller ends it, or waits by `finish`."""
    return subprocess.Popen([RADLOAD, *arguments, "--json", "--quiet"], stdout=subprocess.PIPE, text=True)


def finish(running: subprocess.Popen[str]) -> dict[str, object]:
    """Wait for a run's end, which it sets itself, and return its figures."""
    try:
        output, _ = running.communicate()
    finally:
        end(running)  # when we are interrupted
    if not output:
        raise ServerError(f"radload: no figures, exit status {running.returncode}")
    return json.loads(output) | {"exit": running.returncode}


def used_s(roots: dict[str, list[int]]) -> dict[str, float]:
    """Return the CPU seconds of each group so far; a process below several roots counts for the first."""
    counted: set[int] = set()
    used = {}
    for name, pids in roots.items():
        tree = processes.trees(pids)
        used[name] = processes.seconds(ticks for pid, ticks in tree.items() if pid not in counted)
        counted |= tree.keys()
    return used
