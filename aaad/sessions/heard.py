"""Up to when accounting of each router is drained, and by how much its clock is wrong (rules R5.3, R10).

Pure. Gathered from what was committed, and taken from here every few seconds: a row of net.router is not worth
writing for each batch.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from aaad.sessions.record import AccountingRecord

ROUTERS_MAX = 20_000  # between two takings; what is heard of others is noted with their next record


class Heard(NamedTuple):
    """One router: event time of its latest record, its clock less ours at its latest record with a time."""

    nas_id: int
    source_address: str
    nas_identifier: bytes
    at_s: float
    clock_offset_s: float | None


@dataclass(slots=True)
class _Router:
    at_s: float
    stamped_at_s: float = 0.0  # when its latest record with a time was sent
    clock_offset_s: float | None = None  # as that says

    def note_clock(self, at_s: float, offset_s: float) -> None:
        """Note its clock less ours; of two records sent at once the greater one."""
        known_s = self.clock_offset_s
        if at_s > self.stamped_at_s or (at_s == self.stamped_at_s and (known_s is None or offset_s > known_s)):
            self.stamped_at_s, self.clock_offset_s = at_s, offset_s


class HeardRouters:
    """What was heard since it was taken last."""

    __slots__ = ("_routers",)

    def __init__(self) -> None:
        """Nothing was heard yet."""
        self._routers: dict[tuple[int, str, bytes], _Router] = {}

    def note(self, record: AccountingRecord) -> None:
        """Note what a record tells of its router."""
        key = (record.nas_id, record.source_address, record.nas_identifier)
        at_s, stamp = record.at_s, record.event_timestamp
        router = self._routers.get(key)
        if router is None:
            if len(self._routers) >= ROUTERS_MAX:
                return
            router = self._routers[key] = _Router(at_s)
        elif at_s > router.at_s:
            router.at_s = at_s
        if stamp:
            sent_at_s = record.sent_at_s
            router.note_clock(sent_at_s, stamp - sent_at_s)

    def merge(self, other: "HeardRouters") -> None:
        """Note what the other has noted."""
        for key, heard in other._routers.items():
            router = self._routers.get(key)
            if router is not None:
                router.at_s = max(router.at_s, heard.at_s)
                if heard.clock_offset_s is not None:
                    router.note_clock(heard.stamped_at_s, heard.clock_offset_s)
            elif len(self._routers) < ROUTERS_MAX:
                self._routers[key] = replace(heard)

    def take(self) -> list[Heard]:
        """Return what was heard, in the routers' order, and forget it."""
        heard = [
            Heard(*key, self._routers[key].at_s, self._routers[key].clock_offset_s) for key in sorted(self._routers)
        ]
        self._routers = {}
        return heard
