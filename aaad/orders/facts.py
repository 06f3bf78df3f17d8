"""What a node tells of concentrators that take orders, without asking a database: one file beside the counters (R10).

The role that carries orders out writes it whole every few seconds; who renders metrics reads it.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from aaad.words import printable

CONCENTRATORS_MAX = 1_000  # of a node: those in trouble first
FAILURES = ("refused", "silent", "rejected", "no_effect")
_SUFFIX = ".orders.json"


class ConcentratorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How one concentrator takes orders, since the process began."""

    slot: str = ""
    nas: str
    is_silent: bool = False  # to all: its orders wait behind one probe
    in_hand: int = 0
    failures: dict[str, int] = {}  # by FAILURES


def write_facts(path: Path, facts: Sequence[ConcentratorFacts]) -> None:
    """Write the file of one process; OSError."""
    worst = sorted(facts, key=lambda one: (not one.is_silent, -sum(one.failures.values())))[:CONCENTRATORS_MAX]
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(worst))
    fresh.replace(path)


def facts_path(counters: Path, slot: str) -> Path:
    """Return the file that a slot's process writes."""
    return counters / f"{slot}{_SUFFIX}"


def read_facts(counters: Path) -> list[ConcentratorFacts]:
    """Return what all processes of a node tell."""
    found: list[ConcentratorFacts] = []
    for path in sorted(counters.glob(f"*{_SUFFIX}")):
        try:
            told = msgspec.json.decode(path.read_bytes(), type=list[ConcentratorFacts])
        except (OSError, msgspec.MsgspecError):
            continue  # just being replaced, or of another version
        slot = path.name.removesuffix(_SUFFIX)
        found += [msgspec.structs.replace(one, slot=slot, nas=printable(one.nas)) for one in told]
    return found[:CONCENTRATORS_MAX]
