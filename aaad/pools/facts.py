"""What the keeper tells of pools and the ledger to its own node: a file beside the counters (rule R10).

Written whole every few seconds by the control role, read for /metrics and `aaad status`, so that both ask no
database. What it says is as old as `at_s`.
"""

import os
from pathlib import Path

import msgspec

POOLS_MAX = 1_000  # more series than this help nobody
_FILE = "pools.json"
STATES = ("never", "reserved", "bound", "fixed", "reported", "resting", "free")


class PoolFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One pool of kind radius: how many of its units are in which state, as net.pool_count says."""

    address_space: int
    name: str
    size: int
    never: int  # given out to nobody yet
    reserved: int  # set aside by processes
    bound: int
    offered: int  # of the bound ones: those whose session has not begun
    fixed: int
    reported: int  # by NASes, and not given out here
    resting: int
    free: int
    counted_at_s: float
    alarm_percent: int
    is_alarmed: bool
    is_adopting: bool
    exhausted_at_s: float | None = None  # None: not in sight

    @property
    def used(self) -> int:
        """How many somebody has."""
        return self.bound + self.fixed + self.reported

    @property
    def unaccounted(self) -> int:
        """How many are in no state, or in two: always 0."""
        return self.size - self.used - self.never - self.reserved - self.resting - self.free


class LedgerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Pools, what does not fit together, and whether what is promised can be lost."""

    at_s: float
    pools: list[PoolFacts]
    findings: dict[str, int]  # that are open, by kind
    standbys: int = 0
    waits_for_standby: bool = False

    @property
    def may_lose_leases(self) -> bool:
        """Whether a standby could be promoted that lacks what was promised (rule R7.3)."""
        return self.standbys > 0 and not self.waits_for_standby


def write_ledger_facts(counters: Path, facts: LedgerFacts) -> None:
    """Replace the file."""
    path = counters / _FILE
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(facts))
    os.replace(fresh, path)


def read_ledger_facts(counters: Path) -> LedgerFacts | None:
    """Return what the keeper wrote last; None: nothing yet, or another version's."""
    try:
        return msgspec.json.decode((counters / _FILE).read_bytes(), type=LedgerFacts)
    except (OSError, msgspec.MsgspecError):
        return None
