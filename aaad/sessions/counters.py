"""A session's octets by day, and how counters of 32 bits become whole ones (rule R5.5).

Pure. Days are those of the session's zone, counted from 1970-01-01; of each the highest counters reported on it are
kept, 18 octets a day. A NAS without gigawords begins at zero again after 2^32 octets (RFC 2869, 5.1): which of two
records came first only Acct-Session-Time tells, so the samples themselves are kept in its order.
"""

from bisect import bisect_left
from functools import lru_cache
from itertools import accumulate
from struct import Struct

import msgspec

from aaad.policy.calendar import zone_offset_s

SAMPLES_MAX = 256
_DAY_S = 86_400
_QUARTER_S = 900  # no zone has changed its offset but at a quarter of an hour since 1972
_DAY_MAX = 0xFFFF
_DAY = Struct("!HQQ")
_DAY_OCTETS = _DAY.size
_SAMPLE = Struct("!IIIH")
_SAMPLE_OCTETS = _SAMPLE.size
_COUNTER_MASK = 0xFFFFFFFF
_pack_day, _unpack_day = _DAY.pack, _DAY.unpack_from


def day_of(zone: str, at_s: float) -> int:
    """Return the day on which an instant lies in a zone; one that does not exist is taken as UTC."""
    return _day_of(zone, at_s // _QUARTER_S)


@lru_cache(maxsize=4096)
def _day_of(zone: str, quarter: float) -> int:
    at_s = quarter * _QUARTER_S
    try:
        offset_s = zone_offset_s(zone, at_s)
    except (ValueError, OverflowError):
        offset_s = 0
    return min(max(int((at_s + offset_s) // _DAY_S), 0), _DAY_MAX)


def raise_day(days: bytes, day: int, octets_in: int, octets_out: int) -> bytes:
    """Return the days with these counters reported on one of them."""
    at = len(days)
    while at:
        known, known_in, known_out = _unpack_day(days, at - _DAY_OCTETS)
        if known < day:
            break
        at -= _DAY_OCTETS
        if known == day:
            if octets_in <= known_in and octets_out <= known_out:
                return days
            highest_in = octets_in if octets_in > known_in else known_in
            highest_out = octets_out if octets_out > known_out else known_out
            raised = _pack_day(day, highest_in, highest_out)
            return days[:at] + raised + days[at + _DAY_OCTETS :] if len(days) > _DAY_OCTETS else raised
    return days[:at] + _pack_day(day, octets_in, octets_out) + days[at:]


def raise_days(days: bytes, others: bytes) -> bytes:
    """Return the higher counters of both for each day."""
    if not others or days == others:
        return days
    for day, octets_in, octets_out in _DAY.iter_unpack(others):
        days = raise_day(days, day, octets_in, octets_out)
    return days


def highest_of_days(days: bytes) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return days ascending, and beside each the highest counters reported until its end."""
    if len(days) == _DAY_OCTETS:
        day, octets_in, octets_out = _unpack_day(days)
        return (day,), (octets_in,), (octets_out,)
    if not days:
        return (), (), ()
    numbers, highest_in, highest_out = zip(*_DAY.iter_unpack(days), strict=True)
    return numbers, tuple(accumulate(highest_in, max)), tuple(accumulate(highest_out, max))


class Totals(msgspec.Struct, array_like=True, gc=False):
    """Where samples have come to: the last one's counters as they were sent, and what they are whole."""

    time_s: int = -1
    raw_in: int = 0
    raw_out: int = 0
    total_in: int = 0
    total_out: int = 0
    days: bytes = b""

    def go_on(self, time_s: int, octets_in: int, octets_out: int, day: int) -> None:
        """Take the next sample. A zero says nothing: it is what is sent where the count is lost."""
        again = time_s == self.time_s  # two of one instant: nothing wrapped between them
        if octets_in and not (again and octets_in < self.raw_in):
            self.total_in += octets_in - self.raw_in & _COUNTER_MASK
            self.raw_in = octets_in
        if octets_out and not (again and octets_out < self.raw_out):
            self.total_out += octets_out - self.raw_out & _COUNTER_MASK
            self.raw_out = octets_out
        self.time_s = time_s
        self.days = raise_day(self.days, day, self.total_in, self.total_out)


class Samples(msgspec.Struct, array_like=True, gc=False):
    """Counters of 32 bits in the order of Acct-Session-Time: what came before, the newest, what they come to."""

    before: Totals = msgspec.field(default_factory=Totals)
    kept: bytes = b""
    now: Totals = msgspec.field(default_factory=Totals)

    def add(self, time_s: int, day: int, octets_in: int, octets_out: int) -> None:
        """Put one sample where it belongs; one that is older than all that are kept comes too late."""
        sample = _SAMPLE.pack(time_s, octets_in, octets_out, day)
        kept = self.kept
        if sample > kept[-_SAMPLE_OCTETS:]:
            if time_s < self.before.time_s:
                return
            self.kept = kept + sample
            self.now.go_on(time_s, octets_in, octets_out, day)
        elif not self._insert(sample):
            return
        if len(self.kept) > SAMPLES_MAX * _SAMPLE_OCTETS:
            oldest = _SAMPLE.unpack_from(self.kept)
            self.before.go_on(*oldest)
            self.kept = self.kept[_SAMPLE_OCTETS:]

    def merge(self, other: "Samples") -> None:
        """Take the other's samples in; of what both follow, what lasted longer."""
        if other.before.time_s > self.before.time_s:
            self.before = _copy(other.before)
        samples = {*self._samples(), *other._samples()}
        kept = sorted(sample for sample in samples if _SAMPLE.unpack(sample)[0] >= self.before.time_s)
        for oldest in kept[:-SAMPLES_MAX]:
            self.before.go_on(*_SAMPLE.unpack(oldest))
        self.kept = b"".join(kept[-SAMPLES_MAX:])
        self._count()

    def _samples(self) -> list[bytes]:
        return [self.kept[at : at + _SAMPLE_OCTETS] for at in range(0, len(self.kept), _SAMPLE_OCTETS)]

    def _insert(self, sample: bytes) -> bool:
        samples = self._samples()
        place = bisect_left(samples, sample)
        if samples[place] == sample or _SAMPLE.unpack(sample)[0] < self.before.time_s:
            return False
        at = place * _SAMPLE_OCTETS
        self.kept = self.kept[:at] + sample + self.kept[at:]
        self._count()
        return True

    def _count(self) -> None:
        self.now = _copy(self.before)
        for sample in _SAMPLE.iter_unpack(self.kept):
            self.now.go_on(*sample)


def _copy(totals: Totals) -> Totals:
    return msgspec.structs.replace(totals)
