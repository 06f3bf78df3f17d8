"""What a process has bound itself, until the node's replica shows it (rule R7.2).

Pure. An entry counts only while the replica cannot know better: what was bound by PostgreSQL, while the replica's
snapshot does not see that transaction; what went into the spool, while the replica stands still. What the replica
has seen since may have been released, and be another's by now. Bounded: who is forgotten asks the ledger again.
"""

from typing import NamedTuple

from aaad.policy.lease import GUARD_S
from aaad.pools.address import Unit
from aaad.replica.snapshot import Snapshot

ENTRIES_MAX = 65_536  # and as many of the time before
BY_SPOOL = 0  # no transaction's number
_new_tuple = tuple.__new__


class _Entry(NamedTuple):
    unit: Unit
    valid_until_s: float
    transaction: int
    seen: Snapshot | None  # by the replica, when this was written


class Recent:
    """Entries by login, pool and device."""

    def __init__(self) -> None:
        """Know nothing."""
        self._entries: dict[tuple[int, int, int], _Entry] = {}
        self._before: dict[tuple[int, int, int], _Entry] = {}

    def note(
        self,
        login_id: int,
        pool_id: int,
        device: int,
        unit: Unit,
        valid_until_s: float,
        transaction: int,
        seen: Snapshot | None,
    ) -> None:
        """Remember a unit; a device that is not known (0) is no other's, so it would never be found."""
        if device:
            if len(self._entries) >= ENTRIES_MAX:
                self._before, self._entries = self._entries, {}
            self._entries[login_id, pool_id, device] = _new_tuple(_Entry, (unit, valid_until_s, transaction, seen))

    def find(self, login_id: int, pool_id: int, device: int, now_s: float, seen: Snapshot | None) -> Unit | None:
        """Return the unit that may be answered now; None: the ledger, or the replica, knows better."""
        entry = self._entry(login_id, pool_id, device)
        if entry is None or entry.valid_until_s - GUARD_S <= now_s:
            return None
        unit, _, transaction, seen_then = entry
        if transaction == BY_SPOOL:
            return unit if seen is seen_then else None
        if seen is None or seen_then is None or seen.origin != seen_then.origin or seen.sees(transaction):
            self._entries.pop((login_id, pool_id, device), None)
            self._before.pop((login_id, pool_id, device), None)
            return None
        return unit

    def _entry(self, login_id: int, pool_id: int, device: int) -> _Entry | None:
        key = (login_id, pool_id, device)
        return self._entries.get(key) or (self._before.get(key) if self._before else None)
