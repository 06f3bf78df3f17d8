"""Up to when accounting of each router is drained, and by how much its clock is wrong (rules R5.3, R10).

Pure. Gathered from what was committed, and taken from here every few seconds: a row of net.router is not worth
writing for each batch.
"""

from collections.abc import Iterable
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


class HeardRouters:
    """What was heard since it was taken last."""

    def __init__(self) -> None:
        """Nothing was heard yet."""
        self._at: dict[tuple[int, str, bytes], float] = {}
        self._stamped: dict[tuple[int, str, bytes], tuple[float, float]] = {}

    def note(self, records: Iterable[AccountingRecord]) -> None:
        """Note what records tell of their routers."""
        times, stamped = self._at, self._stamped
        for record in records:
            router = (record.nas_id, record.source_address, record.nas_identifier)
            at_s = times.get(router)
            if at_s is None and len(times) >= ROUTERS_MAX:
                continue
            if at_s is None or record.at_s > at_s:
                times[router] = record.at_s
            if record.event_timestamp:
                offset = (record.sent_at_s, record.event_timestamp - record.sent_at_s)
                if offset > stamped.get(router, _NEVER):
                    stamped[router] = offset

    def take(self) -> list[Heard]:
        """Return what was heard, in the routers' order, and forget it."""
        heard = [
            Heard(*router, at_s, self._stamped.get(router, (0.0, None))[1])
            for router, at_s in sorted(self._at.items())
        ]
        self._at, self._stamped = {}, {}
        return heard


_NEVER = (0.0, 0.0)
