"""What has to be looked at again, since it may not have been seen the first time.

Pure. Two nodes that begin sessions of one device in the same instant see nothing of each other's, nor do one that
begins a session and one that notes what its Accept granted; a session that somebody holds cannot be ended. So all of
these are looked at once more a second later, when that is over.
"""

from collections.abc import Iterable

from aaad.sessions.truth import Restart

FAMILIES_MAX = 50_000  # what finds no room is judged when a record of it comes
RESTARTS_MAX = 20_000
GRANTS_MAX = 50_000

Grant = tuple[int, int, int]  # node, slot, serial


_Generation = tuple[set[bytes], set[Restart], set[Grant]]


class Again:
    """Families, restarts and grants in two generations: what comes now, and what has waited long enough."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._coming: _Generation = (set(), set(), set())
        self._waiting: _Generation = (set(), set(), set())

    def add_families(self, families: Iterable[bytes]) -> None:
        """Judge sessions of these families once more."""
        coming = self._coming[0]
        for family in families:
            if len(coming) < FAMILIES_MAX:
                coming.add(family)

    def add_restarts(self, restarts: Iterable[Restart]) -> None:
        """Look once more for sessions that these restarts have ended."""
        coming = self._coming[1]
        for restart in restarts:
            if len(coming) < RESTARTS_MAX:
                coming.add(restart)

    def add_grants(self, grants: Iterable[Grant]) -> None:
        """Look once more for sessions of these grants that lack what was granted."""
        coming = self._coming[2]
        for grant in grants:
            if len(coming) < GRANTS_MAX:
                coming.add(grant)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not any(self._coming + self._waiting)

    def take(self) -> tuple[list[bytes], list[Restart], list[Grant]]:
        """Return what came before the last call; what comes from now on is of the next."""
        families, restarts, grants = self._waiting
        self._waiting, self._coming = self._coming, (set(), set(), set())
        return sorted(families), sorted(restarts), sorted(grants)
