"""Arithmetic of ranges: both families, first and last unit, exclusions, /31, /32, /64, /128, against `ipaddress`."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaad.errors import MistypedError
from aaad.pools.address import UNITS_MAX, WIDTHS, Range, parse_exclusion, parse_range, parse_unit, unit_text

ADDRESS = {4: IPv4Address, 6: IPv6Address}


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    family = draw(st.sampled_from((4, 6)))
    width = WIDTHS[family]
    length = draw(st.sampled_from((8, 16, 24, 29, 30, 31, 32) if family == 4 else (32, 48, 56, 60, 64, 96, 127, 128)))
    size = 1 << (width - length)
    units = 1 << length
    first = draw(st.one_of(st.integers(0, min(units, 3)), st.integers(0, units - 1)).filter(lambda n: n < units))
    count = draw(st.integers(1, min(units - first, 5000)))
    return Range(first * size, (first + count) * size - 1, length, family)


@given(ranges(), st.data())
def test_units_are_one_after_the_other_and_each_address_is_in_one(found: Range, data: st.DataObject):
    place = data.draw(st.integers(0, found.units - 1))
    number, length = found.unit_at(place)
    network = ip_network(unit_text(found.family, number, length))  # strict: it begins where such a network begins
    assert found.first <= number and int(network.broadcast_address) <= found.last
    assert found.index_of(number) == found.index_of(int(network.broadcast_address)) == place
    if place:
        before, _ = found.unit_at(place - 1)
        assert before + found.unit_size == number


@given(ranges())
def test_the_first_and_the_last_unit_are_the_ends(found: Range):
    assert found.unit_at(0) == (found.first, found.prefix_length)
    assert found.unit_at(found.units - 1)[0] + found.unit_size - 1 == found.last
    assert found.index_of(found.first) == 0
    assert found.index_of(found.last) == found.units - 1
    for outside in (-1, found.units):
        with pytest.raises(IndexError):
            found.unit_at(outside)
    for outside in (found.first - 1, found.last + 1):
        with pytest.raises(ValueError, match="range"):
            found.index_of(outside)


@given(ranges())
def test_what_is_written_is_read_back(found: Range):
    assert parse_range(found.text(), found.family, found.prefix_length) == found
    name = ADDRESS[found.family]
    last_unit, _ = found.unit_at(found.units - 1)
    assert parse_range(f"{name(found.first)} - {name(last_unit)}", found.family, found.prefix_length) == found


@given(ranges())
def test_a_unit_is_read_back(found: Range):
    number, length = found.unit_at(found.units - 1)
    assert parse_unit(unit_text(found.family, number, length)) == (found.family, number, length)


@given(ranges(), st.data())
def test_an_exclusion_takes_each_unit_that_it_touches_and_no_other(found: Range, data: st.DataObject):
    name = ADDRESS[found.family]
    highest = (1 << WIDTHS[found.family]) - 1
    low, high = sorted(
        data.draw(st.tuples(*[st.integers(max(0, found.first - 70_000), min(highest, found.last + 70_000))] * 2))
    )
    touched = range(max(low, found.first), min(high, found.last) + 1)
    if not touched:
        with pytest.raises(MistypedError):
            parse_exclusion(f"{name(low)}-{name(high)}", found)
        return
    begin, end = parse_exclusion(f"{name(low)}-{name(high)}", found)
    assert 0 <= begin < end <= found.units
    assert found.index_of(touched[0]) == begin
    assert found.index_of(touched[-1]) == end - 1


@pytest.mark.parametrize(
    ("text", "family", "length", "units", "first", "last"),
    [
        ("100.64.0.0/22", 4, 32, 1024, "100.64.0.0/32", "100.64.3.255/32"),
        ("100.64.0.10-100.64.0.99", 4, 32, 90, "100.64.0.10/32", "100.64.0.99/32"),
        ("203.0.113.7", 4, 32, 1, "203.0.113.7/32", "203.0.113.7/32"),
        ("203.0.113.6/31", 4, 32, 2, "203.0.113.6/32", "203.0.113.7/32"),
        ("203.0.113.0/24", 4, 31, 128, "203.0.113.0/31", "203.0.113.254/31"),
        ("203.0.113.0/24", 4, 29, 32, "203.0.113.0/29", "203.0.113.248/29"),
        ("255.255.255.255", 4, 32, 1, "255.255.255.255/32", "255.255.255.255/32"),
        ("2001:db8::/40", 6, 56, 65536, "2001:db8::/56", "2001:db8:ff:ff00::/56"),
        ("2001:db8:0:100::-2001:db8:0:1ff::", 6, 64, 256, "2001:db8:0:100::/64", "2001:db8:0:1ff::/64"),
        ("2001:db8:0:100::/64-2001:db8:0:1ff::/64", 6, 64, 256, "2001:db8:0:100::/64", "2001:db8:0:1ff::/64"),
        ("2001:db8::7", 6, 128, 1, "2001:db8::7/128", "2001:db8::7/128"),
        ("2001:db8::/112", 6, 128, 65536, "2001:db8::/128", "2001:db8::ffff/128"),
        ("2001:d00::/24", 6, 64, 2**40, "2001:d00::/64", "2001:dff:ffff:ffff::/64"),
    ],
)
def test_words_of_operators(text: str, family: int, length: int, units: int, first: str, last: str):
    found = parse_range(text, family, length)
    assert found.units == units
    assert unit_text(family, *found.unit_at(0)) == first
    assert unit_text(family, *found.unit_at(units - 1)) == last


@pytest.mark.parametrize(
    ("text", "family", "length"),
    [
        ("", 4, 32),
        ("100.64.0.0/33", 4, 32),
        ("100.64.0.1/22", 4, 32),  # does not say which is meant
        ("100.64.0.9-100.64.0.1", 4, 32),
        ("100.64.0.1-100.64.0.2-100.64.0.3", 4, 32),
        ("100.64.0.1-2001:db8::1", 4, 32),
        ("100.64.0.0/24", 6, 64),
        ("2001:db8::/64", 4, 32),
        ("100.64.0.4-100.64.0.15", 4, 29),  # begins within one
        ("100.64.0.0-100.64.0.11", 4, 29),  # ends within one
        ("2001:db8::/64", 6, 56),
        ("2001:d00::/23", 6, 64),  # more than anybody can count through
        ("100.64.0.0/24", 4, 33),
        ("100.64.0.0/24", 4, -1),
        ("fe80::1%eth0", 6, 128),
    ],
)
def test_what_is_no_range_is_refused(text: str, family: int, length: int):
    with pytest.raises(MistypedError):
        parse_range(text, family, length)


def test_the_most_units_of_a_range_fit_the_column():
    assert UNITS_MAX == 1099511627776  # net.pool_range.units
