"""What came of a simulation: sums for each method, how long replies took, what was granted.

Pure. Sums only, bounded whatever is simulated: latencies are kept in steps of two per cent, of texts that a server
chooses (rates, lists, messages) the first so many kinds are told apart.
"""

import math
from collections import Counter
from dataclasses import dataclass, field

from aaad.simulator.methods import MICROSOFT, MS_CHAP_ERROR
from aaad.simulator.packet import ACCESS_ACCEPT, ACCESS_REJECT
from aaad.simulator.request import FRAMED_IP_ADDRESS, MIKROTIK
from aaad.simulator.subscriber import Dial

PERCENTILES = (50, 90, 99, 99.9)
_STEP = math.log(1.02)
_SHORTEST_S = 1e-6
_KINDS_MAX = 1000
_ADDRESSES_MAX = 2_000_000
_MANY = "(others)"
_REPLY_MESSAGE, _SESSION_TIMEOUT, _FRAMED_POOL, _INTERIM_INTERVAL = 18, 27, 88, 85
_RATE_LIMIT, _ADDRESS_LIST, _GROUP = 8, 19, 3


class Latencies:
    """Durations, to two per cent."""

    def __init__(self) -> None:
        """Begin without any."""
        self._steps: Counter[int] = Counter()
        self.count = 0
        self.longest_s = 0.0

    def add(self, duration_s: float) -> None:
        """Count one."""
        self._steps[math.ceil(math.log(max(duration_s, _SHORTEST_S)) / _STEP)] += 1
        self.count += 1
        self.longest_s = max(self.longest_s, duration_s)

    def percentile_s(self, percent: float) -> float | None:
        """Return the duration that so many per cent do not exceed, None if there is none."""
        left = math.ceil(self.count * percent / 100)
        for step in sorted(self._steps):
            left -= self._steps[step]
            if left <= 0:
                return min(math.exp(step * _STEP), self.longest_s)
        return None


@dataclass
class MethodReport:
    """What came of the dials of one method."""

    dials: int = 0
    accepts: int = 0
    rejects: int = 0
    challenges: int = 0
    given_up: int = 0  # no reply from any server
    resends: int = 0
    bad_replies: int = 0
    flaws: Counter[str] = field(default_factory=Counter)  # accepted, and of no use
    latencies: Latencies = field(default_factory=Latencies)

    def as_json(self) -> dict[str, object]:
        """Return the sums as JSON says them."""
        return {
            "dials": self.dials,
            "accepts": self.accepts,
            "rejects": self.rejects,
            "challenges": self.challenges,
            "given_up": self.given_up,
            "resends": self.resends,
            "bad_replies": self.bad_replies,
            "flaws": dict(self.flaws),
            "latency_ms": latency_ms(self.latencies),
        }


@dataclass
class AccountingReport:
    """Reports of one Acct-Status-Type. What was in work when the power failed is given up, too."""

    sent: int = 0
    acknowledged: int = 0
    resent: int = 0  # datagrams more than one to each server
    given_up: int = 0
    latencies: Latencies = field(default_factory=Latencies)

    def as_json(self) -> dict[str, object]:
        """Return the sums as JSON says them."""
        return {
            "sent": self.sent,
            "acknowledged": self.acknowledged,
            "resent": self.resent,
            "given_up": self.given_up,
            "latency_ms": latency_ms(self.latencies),
        }


@dataclass
class PowerCutReport:
    """What came of one concentrator's power cut: who was cut off, and when they were back."""

    nas: str
    cut_at_s: float
    cut_off: int = 0  # subscribers who were up, or dialled
    restored_at_s: float | None = None
    refused: int = 0  # dials of those
    last_back_at_s: float | None = None
    missing: set[int] = field(default_factory=set)  # their numbers

    def as_json(self, began_at_s: float) -> dict[str, object]:
        """Return it as JSON says it; instants count from the beginning."""
        restored_at_s, back_at_s = self.restored_at_s, self.last_back_at_s
        is_over = restored_at_s is not None and back_at_s is not None and not self.missing
        return {
            "nas": self.nas,
            "cut_at_s": round(self.cut_at_s - began_at_s, 3),
            "cut_off": self.cut_off,
            "refused": self.refused,
            "missing": len(self.missing),
            "restored_at_s": None if restored_at_s is None else round(restored_at_s - began_at_s, 3),
            "all_back_after_s": round(back_at_s - restored_at_s, 3) if is_over else None,  # type: ignore[operator]
        }


class Report:
    """The sums of a simulation."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.methods: dict[str, MethodReport] = {}
        self.accounting: dict[str, AccountingReport] = {}
        self.power_cuts: list[PowerCutReport] = []
        self.dials_cut_off = 0  # in work when their concentrator lost its power
        self.bad_replies: Counter[str] = Counter()
        self.unexpected_replies = 0
        self.no_identifier = 0
        self.not_sent = 0
        self.skipped = 0
        self.began_at_s: float | None = None
        self.ended_at_s: float | None = None
        self.granted: dict[str, Counter[str]] = {
            name: Counter()
            for name in ("rate_limit", "address_list", "group", "pool", "session_timeout", "interim_interval")
        }
        self.refused: dict[str, Counter[str]] = {"reply_message": Counter(), "ms_chap_error": Counter()}
        self.addresses_granted = 0
        self.addresses_granted_twice: Counter[str] = Counter()
        self._owners: dict[bytes, int] = {}

    @property
    def duration_s(self) -> float:
        """From the first datagram to the last event."""
        return 0.0 if self.began_at_s is None or self.ended_at_s is None else self.ended_at_s - self.began_at_s

    @property
    def addresses_different(self) -> int:
        """How many different addresses were granted."""
        return len(self._owners)

    @property
    def all_methods(self) -> MethodReport:
        """The sums over all methods; latencies stay apart."""
        total = MethodReport()
        for one in self.methods.values():
            for name in ("dials", "accepts", "rejects", "challenges", "given_up", "resends", "bad_replies"):
                setattr(total, name, getattr(total, name) + getattr(one, name))
            total.flaws.update(one.flaws)
        return total

    def add(self, dial: Dial) -> None:
        """Count a dial that has ended."""
        method = self.methods.setdefault(dial.subscriber.method.name, MethodReport())
        method.dials += 1
        method.resends += dial.tries - 1 - dial.server  # the first datagram to a second server is not sent again
        method.bad_replies += dial.bad_replies
        if dial.latency_s is None:
            method.given_up += 1
            return
        method.latencies.add(dial.latency_s)
        if dial.code == ACCESS_ACCEPT:
            method.accepts += 1
            if dial.flaw is not None:
                method.flaws[dial.flaw.value] += 1
            self._add_grant(dial)
        elif dial.code == ACCESS_REJECT:
            method.rejects += 1
            self._add_refusal(dial)
        else:
            method.challenges += 1

    def _add_grant(self, dial: Dial) -> None:
        assert dial.reply is not None
        for name, vendor, kind in (
            ("rate_limit", MIKROTIK, _RATE_LIMIT),
            ("address_list", MIKROTIK, _ADDRESS_LIST),
            ("group", MIKROTIK, _GROUP),
            ("pool", 0, _FRAMED_POOL),
        ):
            for value in dial.reply.all(kind, vendor):
                _count(self.granted[name], _text(value))
        for name, kind in (("session_timeout", _SESSION_TIMEOUT), ("interim_interval", _INTERIM_INTERVAL)):
            for value in dial.reply.all(kind):
                _count(self.granted[name], str(int.from_bytes(value, "big")))
        for address in dial.reply.all(FRAMED_IP_ADDRESS):
            self.addresses_granted += 1
            if len(self._owners) < _ADDRESSES_MAX:
                owner = self._owners.setdefault(address, dial.subscriber.number)
                if owner != dial.subscriber.number:
                    _count(self.addresses_granted_twice, ".".join(map(str, address)))

    def _add_refusal(self, dial: Dial) -> None:
        assert dial.reply is not None
        for value in dial.reply.all(_REPLY_MESSAGE):
            _count(self.refused["reply_message"], _text(value))
        for value in dial.reply.all(MS_CHAP_ERROR, MICROSOFT):
            _count(self.refused["ms_chap_error"], _text(value[1:]).partition(" ")[0])  # behind it is a challenge

    def as_json(self) -> dict[str, object]:
        """Return everything as JSON says it."""
        return {
            "duration_s": round(self.duration_s, 3),
            "dials_per_s": round(self.all_methods.dials / self.duration_s, 1) if self.duration_s else None,
            "methods": {name: method.as_json() for name, method in sorted(self.methods.items())},
            "bad_replies": dict(self.bad_replies),
            "unexpected_replies": self.unexpected_replies,
            "waited_for_identifier": self.no_identifier,
            "not_sent": self.not_sent,
            "skipped": self.skipped,
            "granted": {name: dict(values.most_common()) for name, values in self.granted.items()},
            "addresses": {
                "granted": self.addresses_granted,
                "different": self.addresses_different,
                "granted_to_two": dict(self.addresses_granted_twice.most_common()),
            },
            "refused": {name: dict(values.most_common()) for name, values in self.refused.items()},
            "accounting": {status: one.as_json() for status, one in self.accounting.items()},
            "power_cuts": [one.as_json(self.began_at_s or 0.0) for one in self.power_cuts],
            "dials_cut_off": self.dials_cut_off,
        }


def latency_ms(latencies: Latencies) -> dict[str, float | None]:
    """Return the percentiles and the longest in milliseconds."""
    found: dict[str, float | None] = {}
    for percent in PERCENTILES:
        value = latencies.percentile_s(percent)
        found[f"p{percent:g}"] = None if value is None else round(value * 1000, 3)
    return found | {"max": round(latencies.longest_s * 1000, 3) if latencies.count else None}


def _text(value: bytes) -> str:
    return value.decode(errors="backslashreplace")


def _count(counter: Counter[str], text: str) -> None:
    counter[text if text in counter or len(counter) < _KINDS_MAX else _MANY] += 1
