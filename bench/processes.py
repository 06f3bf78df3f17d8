"""What processes and the machine used, from /proc: CPU of whole process trees, memory, the machine's idle share.

CPU of a tree counts every living process in it and all children they have reaped, so that short-lived children
and PostgreSQL's backends are in. Reads only; touches no process.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Machine:
    """CPU seconds of the whole machine since its start."""

    total_s: float
    idle_s: float


def machine() -> Machine:
    """Read the machine's CPU seconds."""
    line = (_PROC / "stat").read_text().split("\n", 1)[0]
    user, nice, system, idle, iowait, irq, softirq, steal = (int(word) for word in line.split()[1:9])
    total = user + nice + system + idle + iowait + irq + softirq + steal
    return Machine(total / _TICKS_PER_S, (idle + iowait) / _TICKS_PER_S)


def _stat(pid: int) -> tuple[int, int] | None:
    """Return parent and CPU ticks (own and reaped children's) of a process, None if it is gone."""
    try:
        words = (_PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(words[1]), sum(int(word) for word in words[11:15])  # utime, stime, cutime, cstime


def _all() -> Iterator[tuple[int, int, int]]:
    for name in os.listdir(_PROC):
        if name.isdigit() and (found := _stat(int(name))):
            yield int(name), *found


def trees(roots: Iterable[int]) -> dict[int, int]:
    """Return every living process at or below the roots with its CPU ticks; a root that is gone is an error."""
    every = {pid: (parent, ticks) for pid, parent, ticks in _all()}
    found = {}
    for root in roots:
        if root not in every:
            raise ProcessLookupError(f"process {root} is gone")
        found[root] = every[root][1]
    grown = True
    while grown:
        fresh = {pid: ticks for pid, (parent, ticks) in every.items() if parent in found and pid not in found}
        found |= fresh
        grown = bool(fresh)
    return found


def seconds(ticks: Iterable[int]) -> float:
    """Return the sum of ticks in seconds."""
    return sum(ticks) / _TICKS_PER_S


def cpu_s(roots: Iterable[int]) -> float:
    """Return the CPU seconds that these trees have used so far."""
    return seconds(trees(roots).values())


def memory_octets(pid: int) -> dict[str, int]:
    """Return the fields of smaps_rollup (Pss, Pss_Anon, ...) in octets."""
    lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()[1:]
    fields = (line.split() for line in lines)
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in fields}


def command(pid: int) -> str:
    """Return a process's command line in one text, empty when it is gone."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
