"""Which addresses ask that belong to no NAS entry: so that an operator sees what a new concentrator sends from.

Pure. They get no answer (rule R3.1), and whoever forges addresses can neither make this grow nor push out an address
that asks again and again: the one that asked least goes first.
"""

from collections.abc import Callable
from typing import Any

SOURCES_MAX = 32
FORGOTTEN_S = 3_600.0


class UnknownSources:
    """The last few addresses that no entry has."""

    __slots__ = ("_sources",)

    def __init__(self) -> None:
        """Know of none."""
        self._sources: dict[str, list[float]] = {}  # how often it asked, when first and when last

    def note(self, source_address: str, now_s: float) -> None:
        """Count a datagram."""
        found = self._sources.get(source_address)
        if found is None:
            if len(self._sources) >= SOURCES_MAX:
                del self._sources[min(self._sources, key=self._sources.__getitem__)]
            self._sources[source_address] = [1, now_s, now_s]
        else:
            found[0] += 1
            found[2] = now_s

    def forget(self, now_s: float, is_known: Callable[[str], bool]) -> None:
        """Forget who fell silent, and who was registered meanwhile."""
        for address, (_count, _first_at_s, last_at_s) in list(self._sources.items()):
            if now_s - last_at_s > FORGOTTEN_S or is_known(address):
                del self._sources[address]

    def rows(self) -> list[dict[str, Any]]:
        """Return each address with its count and its times, in Unix seconds."""
        return [
            {"source_address": address, "count": count, "first_at_s": first_at_s, "last_at_s": last_at_s}
            for address, (count, first_at_s, last_at_s) in self._sources.items()
        ]
