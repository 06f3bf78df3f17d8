"""A speed as each kind of concentrator reads it.

Pure. Rates are texts like `50M` (network.md 1.4: k is 1,000, M is 1,000,000, of bits a second); an empty one, or 0,
limits nothing. Upload is what the router receives, so it stands before download.
"""

import re

from aaad.policy.facts import Speed
from aaad.radius.kinds import RateStyle
from aaad.radius.packet import MIKROTIK_VENDOR, attribute, vendor_attribute

_MIKROTIK_RATE_LIMIT = 8
_FILTER_ID = 11
_HUAWEI, _WISPR = 2011, 14122
_HUAWEI_INPUT, _HUAWEI_OUTPUT = (2, 3), (5, 6)  # average, peak
_WISPR_MAX_UP, _WISPR_MAX_DOWN = 7, 8
_RATE = re.compile(r"([0-9]+)([kM]?)", re.ASCII)
_UNITS = {"": 1, "k": 1_000, "M": 1_000_000}
_NUMBER_MAX = 0xFFFFFFFF
_PRIORITY_LOWEST = 8
_NO_RATE = "0"


def rate_attributes(style: RateStyle, speed: Speed | None) -> bytes:
    """Encode a speed; nothing for no limit. ValueError if it is none."""
    if speed is None or style is RateStyle.NONE:
        return b""
    if style is RateStyle.MIKROTIK:
        return vendor_attribute(MIKROTIK_VENDOR, _MIKROTIK_RATE_LIMIT, rate_limit(speed).encode())
    upload, download = bits_per_s(speed.upload), bits_per_s(speed.download)
    if style is RateStyle.FILTER_ID_KBIT:
        # accel-ppp reads download/upload in kbit/s, and 0 as no limit: what is less than one is still a limit.
        down, up = (-(-rate // 1_000) for rate in (download, upload))
        return attribute(_FILTER_ID, f"{down}/{up}".encode())
    if style is RateStyle.WISPR:
        return _number(_WISPR, _WISPR_MAX_UP, upload) + _number(_WISPR, _WISPR_MAX_DOWN, download)
    burst = bits_per_s(speed.upload_burst) or upload, bits_per_s(speed.download_burst) or download
    return b"".join(
        _number(_HUAWEI, code, rate)
        for codes, rates in ((_HUAWEI_INPUT, (upload, burst[0])), (_HUAWEI_OUTPUT, (download, burst[1])))
        for code, rate in zip(codes, rates, strict=True)
    )


def bits_per_s(rate: str) -> int:
    """Return a rate as a number, 0 for no limit; ValueError if it is none."""
    found = _RATE.fullmatch(rate or _NO_RATE)
    if found is None:
        raise ValueError(f"{rate!r} is no rate: digits, then k or M")
    return int(found[1]) * _UNITS[found[2]]


def rate_limit(speed: Speed) -> str:
    """Return a speed in the grammar of Mikrotik-Rate-Limit, as short as it can be said (network.md 1.4).

    Positions are fixed, so whatever stands before something that is said is said, too, as what the router would
    assume: of who has a burst its threshold is the rate and its time a second; 0 where there is no burst.
    """
    limit = _Side(speed.upload), _Side(speed.download)
    burst = _Side(speed.upload_burst), _Side(speed.download_burst)
    guaranteed = _Side(speed.upload_guaranteed), _Side(speed.download_guaranteed)
    thresholds, times = [], []
    for side, (threshold, time_s) in enumerate(
        (
            (speed.upload_threshold, speed.upload_burst_time_s),
            (speed.download_threshold, speed.download_burst_time_s),
        )
    ):
        has_burst = burst[side].bits > 0
        thresholds.append(_Side(threshold or (limit[side].text if has_burst else "")).text)
        times.append(str(time_s or int(has_burst)))
    fields = [
        _pair(*limit),
        _pair(*burst),
        "/".join(thresholds),
        "/".join(times),
        str(speed.priority or _PRIORITY_LOWEST),
        _pair(*guaranteed),
    ]
    said = [
        True,
        any(side.bits for side in burst),
        bool(speed.upload_threshold or speed.download_threshold),
        bool(speed.upload_burst_time_s or speed.download_burst_time_s),
        bool(speed.priority),
        any(side.bits for side in guaranteed),
    ]
    last = max(place for place, is_said in enumerate(said) if is_said)
    return " ".join(fields[: last + 1])


class _Side:
    """One rate of a pair, checked."""

    __slots__ = ("bits", "text")

    def __init__(self, text: str) -> None:
        self.text = text or _NO_RATE
        self.bits = bits_per_s(text)


def _pair(upload: _Side, download: _Side) -> str:
    return f"{upload.text}/{download.text}"


def _number(vendor: int, code: int, rate: int) -> bytes:
    """Encode a rate in bit/s; no limit is not said, and what does not fit into 32 bits is the most that does."""
    return vendor_attribute(vendor, code, min(rate, _NUMBER_MAX).to_bytes(4, "big")) if rate else b""
