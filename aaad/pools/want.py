"""What one login needs from pools, on its way from the request path through the ledger and back.

Pure. A plain mutable object, because there is one for each login that needs a new address.
"""

from enum import IntEnum
from typing import Any

from aaad.pools.address import Unit
from aaad.replica.record import PoolRow


class Lack(IntEnum):
    """Why something that was wanted was not given."""

    EXHAUSTED = 1  # PostgreSQL says that nothing is free
    IMPOSSIBLE = 2  # nobody can say it now: a later try, or another server, may have it


Lacks = tuple[Lack | None, ...]
NO_LACKS: Lacks = (None, None, None)


class Want:
    """Units of some pools for a login's device. What has a value for each family has IPv4, link, delegated."""

    context: Any  # of who wants it
    origin: Any  # whence he was asked
    hungry_since_s: float
    __slots__ = (
        "context",
        "device",
        "hungry_since_s",
        "is_fallback",
        "is_hungry",
        "lacks",
        "login_id",
        "missing",
        "nas_id",
        "origin",
        "pool_ids",
        "tries",
        "units",
        "unsafe",
    )

    def __init__(self, login_id: int, device: int, nas_id: int, missing: list[tuple[int, PoolRow]]) -> None:
        """Want a unit of each of these pools; with each stands the place of its family."""
        self.login_id = login_id
        self.device = device
        self.nas_id = nas_id
        self.missing = missing  # what is still to be had
        self.units: list[Unit | None] = [None, None, None]
        self.pool_ids: tuple[int, ...] = ()  # where the units come from
        self.lacks: Lacks = NO_LACKS
        self.is_fallback = False  # what was wanted first could not be had
        self.is_hungry = False  # it waits for a claim
        self.tries = 0
        self.unsafe = 0  # records of the spool that it waits for

    def __repr__(self) -> str:
        """Show whose it is."""
        return f"Want(login_id={self.login_id}, missing={len(self.missing)})"

    def lack(self, place: int, why: Lack) -> None:
        """Note that there is no unit, and why."""
        self.lacks = (*self.lacks[:place], why, *self.lacks[place + 1 :])

    def give(self, place: int, pool_id: int, unit: Unit) -> None:
        """Note that there is a unit."""
        self.units[place] = unit
        self.pool_ids += (pool_id,)

    def ask_instead(self, place: int, pool: PoolRow) -> None:
        """Want a unit of another pool after all."""
        self.lacks = (*self.lacks[:place], None, *self.lacks[place + 1 :])
        self.missing = [(place, pool)]
        self.is_fallback = True
        self.tries = 0
