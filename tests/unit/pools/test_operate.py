"""What of ranges, exclusions and reserves touches what."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaad.errors import MistypedError
from aaad.pools.address import Range, parse_range
from aaad.pools.holdings import around
from aaad.pools.operate import Operations, Part, Places, Pool, _common, _gaps

POOL = Pool(1, 1, "centro", "radius", "ipv4", 32, None, "active", None)
FIRST, SECOND = parse_range("100.64.0.0/24", 4, 32), parse_range("100.64.2.0/24", 4, 32)


def operations() -> Operations:
    return Operations(None, POOL, [Part(1, FIRST, 0), Part(2, SECOND, 0)])  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=8), st.integers(0, 60), st.integers(1, 30))
def test_gaps_are_what_nothing_has_taken(taken: list[tuple[int, int]], first: int, length: int) -> None:
    spans: list[tuple[int, int]] = []
    for start, size in sorted(taken):
        begin = max(start, spans[-1][1] if spans else 0)
        spans.append((begin, begin + size))
    found = [place for start, stop in _gaps(first, first + length, spans) for place in range(start, stop)]
    known = {place for start, stop in spans for place in range(start, stop)}
    assert found == [place for place in range(first, first + length) if place not in known]


def test_words_name_places_of_every_range_that_they_touch() -> None:
    found = operations().places("100.64.0.250-100.64.2.4")
    assert [(places.part.id, places.first, places.until, *places.ends()) for places in found] == [
        (1, 250, 256, "100.64.0.250", "100.64.0.255"),
        (2, 0, 5, "100.64.2.0", "100.64.2.4"),
    ]
    for words in ("100.64.1.0/24", "2001:db8::1", "100.64.0"):
        with pytest.raises(MistypedError):
            operations().places(words)


def test_ends_of_prefixes_are_their_first_and_last_address() -> None:
    places = Places(Part(1, parse_range("2001:db8::/48", 6, 56), 0), 1, 3)
    assert places.ends() == ("2001:db8:0:100::", "2001:db8:0:2ff:ffff:ffff:ffff:ffff")


def test_what_a_reserve_has_of_some_places() -> None:
    places = Places(Part(1, FIRST, 0), 8, 12)
    spanned = {"range_id": 1, "from_unit": 0, "until_unit": 10, "addresses": None}
    assert _common(spanned, places) == ["100.64.0.8/32", "100.64.0.9/32"]  # type: ignore[arg-type]
    assert _common({**spanned, "range_id": 2}, places) == []  # type: ignore[arg-type]
    assert _common({**spanned, "until_unit": 8}, places) == []  # type: ignore[arg-type]
    listed = {"range_id": None, "addresses": ["100.64.0.7/32", "100.64.0.11/32", "100.64.2.9/32", "2001:db8::/56"]}
    assert _common(listed, places) == ["100.64.0.11/32"]  # type: ignore[arg-type]


def test_a_network_lies_in_itself_and_in_shorter_ones() -> None:
    assert around(ip_network("100.64.0.0/10")) == ["100.0.0.0/8", "100.0.0.0/9", "100.64.0.0/10"]
    assert len(around(ip_network("2001:db8::1/128"))) == 128 - 16 + 1
    assert Range(0, 255, 32).units == 256
