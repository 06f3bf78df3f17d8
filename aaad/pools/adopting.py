"""When pools begin to adopt what lives in them, and when they end (rule R7.3).

Pure. A ledger that may have lost what it had promised, or that never knew what lives in the network, must not be
believed about what is free: until every NAS was heard for two interims, since then each live session has told its
address, or until all used addresses of it were read, or an operator says that it is enough.
"""

from collections.abc import Iterable
from typing import NamedTuple

INTERIMS = 2
INTERIM_S = 600  # of a NAS whose sessions tell no interval
# A standby takes over within minutes. Who was last seen longer ago may be a copy of then.
TAKEOVER_S = 600.0


class Seen(NamedTuple):
    """Which PostgreSQL it was, at one look."""

    system_identifier: str
    timeline: str
    waits: bool  # a commit waited for a standby
    at_s: float  # by its own clock


def may_have_lost(before: Seen | None, now: Seen) -> bool:
    """Whether PostgreSQL may have lost commits since the look before.

    A promoted standby for which every commit had waited has lost nothing. Another cluster is a restored dump, and one
    whose own memory is old was restored to then.
    """
    if before is None or (before.system_identifier, before.timeline) == (now.system_identifier, now.timeline):
        return False
    if before.system_identifier != now.system_identifier:
        return True
    return not before.waits or now.at_s - before.at_s > TAKEOVER_S


class Listening(NamedTuple):
    """What was heard of a NAS since a pool adopts."""

    pool_id: int
    adopting_since_s: float
    nas: str | None  # None: the address space has no NAS
    read_at_s: float | None  # when all addresses in use there were read
    routers: int  # that are known behind it
    heard_s: float | None  # how long the one heard least is heard without a gap
    interim_s: int | None  # the longest of its sessions

    @property
    def is_heard_out(self) -> bool:
        """Whether all that lives there has told its address."""
        if self.read_at_s is not None and self.read_at_s >= self.adopting_since_s:
            return True
        return self.routers > 0 and (self.heard_s or 0.0) >= INTERIMS * (self.interim_s or INTERIM_S)


def awaited(listened: Iterable[Listening]) -> dict[int, list[str]]:
    """Return for each pool that adopts the NASes that are still waited for; none: its adoption is over.

    Where there is no NAS nothing was heard, and nothing can be over.
    """
    found: dict[int, list[str]] = {}
    for one in listened:
        names = found.setdefault(one.pool_id, [])
        if one.nas is None:
            names.append("")
        elif not one.is_heard_out:
            names.append(one.nas)
    return found
