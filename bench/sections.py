"""bench/RESULTS.md is made of sections, one per tool; a run replaces its own and no other."""

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
SPEED, CHANGES, SIZE, ACCOUNTING = "1-speed", "2-changes", "3-size", "4-accounting"
KEEPING_UP, MEMORY, OPEN_SESSIONS, WHOIS = "5-keeping-up", "6-memory", "7-open-sessions", "8-whois"
ADDRESSES, ORDERS = "9-addresses", "91-orders"
_MARK = re.compile(r"^<!-- section (\S+) -->\n", re.MULTILINE)


def write(name: str, text: str, results: Path = RESULTS) -> None:
    """Put this section in the place of its last one; into another file, this one alone.

    ValueError: the file holds something, but no sections; it is left as it is.
    """
    if results.resolve() != RESULTS.resolve():
        results.write_text(text.strip() + "\n")
        return
    known = results.read_text() if results.exists() else ""
    kept = parted(known)
    if known.strip() and not kept:
        raise ValueError(f"{results.name} is not made of sections: put it aside, or write to another file")
    fresh = results.with_suffix(".new")
    fresh.write_text(joined(kept | {name: text}))
    fresh.replace(results)


def parted(results: str) -> dict[str, str]:
    """Return the sections of such a file, by name."""
    _, *rest = _MARK.split(results)
    return dict(zip(rest[::2], rest[1::2], strict=True))


def joined(parts: Mapping[str, str]) -> str:
    """Return the file of these sections, each behind a mark that tells its name and that no reader sees."""
    return "\n".join(
        ["# Measured\n", *(f"<!-- section {name} -->\n{parts[name].strip()}\n" for name in sorted(parts))]
    )


def machine() -> str:
    """Say in general words on what machine this runs."""
    memory_octets = 1024 * int(Path("/proc/meminfo").read_text().split()[1])
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores {platform.machine()}, {memory_octets / 2**30:.0f} GiB, {platform.system()}"


def versions() -> str:
    """Say what was measured with what: versions of the programs, the commit of aaad."""
    freeradius = first_line("freeradius", "-v").partition(",")[0].removeprefix("radiusd: ")
    python = f"Python {platform.python_version()}, uvloop {metadata.version('uvloop')}"
    return f"{freeradius}; {first_line('psql', '--version')}; {python}; aaad at commit {commit()}"


def first_line(*command: str) -> str:
    """Return the first line that a program prints."""
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[0].strip()
    except (OSError, IndexError):
        return f"{command[0]}: not here"


def commit() -> str:
    """Return the commit that is measured."""
    return first_line("git", "-C", str(HERE), "describe", "--always", "--dirty")
