"""Speeds as each kind of concentrator reads them; Mikrotik-Rate-Limit in its whole grammar, read back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_double import tlv, vendor

from aaad.policy.facts import Speed
from aaad.radius.kinds import RateStyle
from aaad.radius.rates import bits_per_s, rate_attributes, rate_limit

UNITS = {"": 1, "k": 1000, "M": 1_000_000}
GRAMMAR = re.compile(
    r"(?P<rate>\S+)(?: (?P<burst>\S+)(?: (?P<threshold>\S+)"
    r"(?: (?P<time>\S+)(?: (?P<priority>[1-8])(?: (?P<least>\S+))?)?)?)?)?"
)


def pair(text: str) -> tuple[int, int]:
    """Both sides of a pair in bits (or seconds); of one side alone both."""
    sides = [re.fullmatch(r"(\d+)([kM]?)", side) for side in text.split("/")]
    assert len(sides) in (1, 2)
    assert all(sides), text
    upload, download = (int(side[1]) * UNITS[side[2]] for side in (sides[0], sides[-1]) if side)
    return upload, download


def as_routeros_reads(text: str) -> dict[str, object]:
    """What RouterOS makes of a text, with what it assumes for what is absent (network.md 1.4)."""
    found = GRAMMAR.fullmatch(text)
    assert found is not None, text
    rate = pair(found["rate"])
    return {
        "rate": rate,
        "burst": pair(found["burst"]) if found["burst"] else (0, 0),
        "threshold": pair(found["threshold"]) if found["threshold"] else rate,
        "time": pair(found["time"]) if found["time"] else (1, 1),
        "priority": int(found["priority"]) if found["priority"] else 8,
        "least": pair(found["least"]) if found["least"] else rate,
        "fields": len(text.split(" ")),
    }


EXAMPLES = {
    Speed("128k", "128k"): "128k/128k",
    Speed("64k", "128M"): "64k/128M",
    Speed("1M", "2M", "2M", "4M"): "1M/2M 2M/4M",
    Speed("1M", "2M", "2M", "4M", "512k", "1M"): "1M/2M 2M/4M 512k/1M",
    Speed("1M", "2M", "2M", "4M", "512k", "1M", 10, 20): "1M/2M 2M/4M 512k/1M 10/20",
    Speed("1M", "2M", "2M", "4M", "", "", 10, 20): "1M/2M 2M/4M 1M/2M 10/20",
    Speed("10M", "50M", priority=5): "10M/50M 0/0 0/0 0/0 5",
    Speed("10M", "50M", "20M", "60M", priority=1): "10M/50M 20M/60M 10M/50M 1/1 1",
    Speed("10M", "50M", upload_guaranteed="1M", download_guaranteed="2M"): "10M/50M 0/0 0/0 0/0 8 1M/2M",
    Speed("10M", "50M", download_burst="60M"): "10M/50M 0/60M",
    Speed("10M", "50M", download_burst="60M", priority=3): "10M/50M 0/60M 0/50M 0/1 3",
    Speed("", "50M"): "0/50M",
}


@pytest.mark.parametrize(("speed", "text"), EXAMPLES.items())
def test_a_speed_is_as_short_as_it_can_be_said(speed: Speed, text: str) -> None:
    assert rate_limit(speed) == text


rates = st.builds("{}{}".format, st.integers(1, 9999), st.sampled_from(["", "k", "M"]))
maybe = st.just("") | rates
seconds = st.integers(0, 60)
speeds = st.builds(Speed, rates, rates, maybe, maybe, maybe, maybe, seconds, seconds, st.integers(0, 8), maybe, maybe)


@given(speeds)
def test_every_speed_reads_back_as_it_was_meant(speed: Speed) -> None:
    text = rate_limit(speed)
    read = as_routeros_reads(text)
    limit = bits_per_s(speed.upload), bits_per_s(speed.download)
    burst = bits_per_s(speed.upload_burst), bits_per_s(speed.download_burst)
    assert read["rate"] == limit
    assert read["burst"] == burst
    assert read["priority"] == (speed.priority or 8)
    for side in (0, 1):
        threshold = (speed.upload_threshold, speed.download_threshold)[side]
        time_s = (speed.upload_burst_time_s, speed.download_burst_time_s)[side]
        if burst[side]:
            assert read["threshold"][side] == (bits_per_s(threshold) if threshold else limit[side])
            assert read["time"][side] == (time_s or 1)
    if speed.upload_guaranteed or speed.download_guaranteed:
        assert read["least"] == (bits_per_s(speed.upload_guaranteed), bits_per_s(speed.download_guaranteed))
    else:
        assert read["fields"] < 6
    assert "G" not in text
    assert not re.search(r"  |^ | $|//|/ |/$", text)


@pytest.mark.parametrize("rate", ["50G", "50m", "-1", "1.5M", "50 M", "M", "٥M", "50M/1M"])
def test_what_is_no_rate_is_an_error(rate: str) -> None:
    for speed in (Speed(rate, "1M"), Speed("1M", rate), Speed("1M", "1M", upload_burst=rate)):
        with pytest.raises(ValueError):
            rate_limit(speed)


BURST = Speed("10M", "50M", "20M", "")
STYLES = {
    RateStyle.MIKROTIK: vendor(14988, 8, b"10M/50M 20M/0"),
    RateStyle.FILTER_ID_KBIT: tlv(11, b"50000/10000"),
    RateStyle.HUAWEI: b"".join(
        vendor(2011, code, mega.to_bytes(4, "big"))
        for code, mega in ((2, 10_000_000), (3, 20_000_000), (5, 50_000_000), (6, 50_000_000))
    ),
    RateStyle.WISPR: vendor(14122, 7, (10_000_000).to_bytes(4, "big"))
    + vendor(14122, 8, (50_000_000).to_bytes(4, "big")),
    RateStyle.NONE: b"",
}


@pytest.mark.parametrize("style", RateStyle)
def test_each_kind_reads_the_same_speed(style: RateStyle) -> None:
    assert rate_attributes(style, BURST) == STYLES[style]
    assert rate_attributes(style, None) == b""


def test_accel_ppp_never_takes_a_small_rate_for_no_limit() -> None:
    assert rate_attributes(RateStyle.FILTER_ID_KBIT, Speed("1", "1500")) == tlv(11, b"2/1")


def test_a_rate_beyond_32_bits_is_the_most_that_can_be_said() -> None:
    assert rate_attributes(RateStyle.WISPR, Speed("5000M", "")) == vendor(14122, 7, b"\xff" * 4)
