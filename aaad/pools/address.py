"""Arithmetic of addresses and prefixes: units of a range, one after the other, and how people write them.

Pure. A unit is what one login gets: an IPv4 address (/32) or a network, a prefix of IPv6 (/64, /56, ... /128). A
range is a run of units of one size; each has a place in it, counted from 0. Numbers instead of `ipaddress` objects,
since the request path holds thousands of them.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import NamedTuple

from aaad.errors import MistypedError

Unit = tuple[int, int]  # number of the first address, prefix length

UNITS_MAX = 2**40  # of one range: a /16 of /56, or a /24 of /64
WIDTHS = {4: 32, 6: 128}


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


def unit_text(family: int, number: int, prefix_length: int) -> str:
    """Return a unit as PostgreSQL writes a cidr: `100.64.0.7/32`, `2001:db8::/56`."""
    if family == 4:
        return f"{_upper_octets(number >> 8)}.{number & 255}/{prefix_length}"
    return f"{_ipv6(number)}/{prefix_length}"


@lru_cache(maxsize=4096)
def _upper_octets(number: int) -> str:
    """Return the first three octets of an IPv4 address: neighbours share them."""
    return f"{number >> 16}.{number >> 8 & 255}.{number & 255}"


@lru_cache(maxsize=4096)
def _ipv6(number: int) -> str:
    return str(IPv6Address(number))


def parse_unit(text: str) -> tuple[int, int, int]:
    """Return family (4 or 6), number and prefix length of a cidr; ValueError if it is none."""
    network = ip_network(text)
    return network.version, int(network.network_address), network.prefixlen


class Range(NamedTuple):
    """Units from `first`, the first address of the first one, to `last`, the last address of the last one."""

    first: int
    last: int
    prefix_length: int
    family: int = 4

    @property
    def unit_size(self) -> int:
        """How many addresses a unit has."""
        return 1 << (WIDTHS[self.family] - self.prefix_length)

    @property
    def units(self) -> int:
        """How many units there are."""
        return (self.last - self.first + 1) // self.unit_size

    def unit_at(self, place: int) -> Unit:
        """Return the unit of this place; IndexError beyond the ends."""
        if not 0 <= place < self.units:
            raise IndexError(place)
        return self.first + place * self.unit_size, self.prefix_length

    def index_of(self, address: int) -> int:
        """Return the place of the unit that holds this address; ValueError if it lies outside."""
        if not self.first <= address <= self.last:
            raise ValueError("not in this range")
        return (address - self.first) // self.unit_size

    def places_of(self, first: int, last: int) -> tuple[int, int] | None:
        """Return from which place on, and up to which, not included, units touch these addresses; None: no unit."""
        first, last = max(first, self.first), min(last, self.last)
        return None if first > last else (self.index_of(first), self.index_of(last) + 1)

    def text(self) -> str:
        """Return the range in the shortest form that `parse_range` reads back."""
        name = IPv4Address if self.family == 4 else IPv6Address
        size = self.last - self.first + 1
        if size & (size - 1) == 0 and self.first % size == 0:
            return f"{name(self.first)}/{WIDTHS[self.family] - size.bit_length() + 1}"
        return f"{name(self.first)}-{name(self.last)}"


def parse_span(text: str) -> tuple[int, int, int]:
    """Return family, first and last address of `100.64.0.0/22`, `100.64.0.10-100.64.0.99` or a single address."""
    words = re.split(r"\s*-\s*", text.strip())
    try:
        first, last = _network(words[0]), _network(words[-1])
    except ValueError:
        first = None
    if first is None or len(words) > 2:
        raise MistypedError(
            _("{text!r} is no range: 100.64.0.0/22, 100.64.0.10-100.64.0.99, 2001:db8::/40"), text=text
        )
    if first[0] != last[0]:
        raise MistypedError(_("{text!r} begins in one family and ends in another"), text=text)
    if first[1] > last[2]:
        raise MistypedError(_("{text!r} ends before it begins"), text=text)
    return first[0], first[1], last[2]


def _network(word: str) -> tuple[int, int, int]:
    network = ip_network(word)
    if "%" in word:  # a zone tells an interface of this machine
        raise ValueError(word)
    return network.version, int(network.network_address), int(network.broadcast_address)


def parse_range(text: str, family: int, prefix_length: int) -> Range:
    """Read what a person writes as a range of units of this size; MistypedError says what is wrong with it.

    A range's last unit may be given by its first address or by its last one.
    """
    version, first, last = parse_span(text)
    if version != family:
        raise MistypedError(_("{text!r} is not IPv{family}"), text=text, family=family)
    width = WIDTHS[family]
    if not 0 <= prefix_length <= width:
        raise MistypedError(_("/{length} is no prefix length of IPv{family}"), length=prefix_length, family=family)
    size = 1 << (width - prefix_length)
    if first % size:
        raise MistypedError(_("{text!r} does not begin where a /{length} begins"), text=text, length=prefix_length)
    if last % size == 0:
        last += size - 1
    if last % size != size - 1:
        raise MistypedError(_("{text!r} does not end where a /{length} ends"), text=text, length=prefix_length)
    found = Range(first, last, prefix_length, family)
    if found.units > UNITS_MAX:
        raise MistypedError(_("{text!r} has more than {most} units of /{length}"), text=text, most=UNITS_MAX,
                            length=prefix_length)  # fmt: skip
    return found


def parse_exclusion(text: str, within: Range) -> tuple[int, int]:
    """Return the places of a range (from, up to and not including) that what a person writes touches.

    A unit is excluded whole if one of its addresses is. MistypedError if it touches none.
    """
    version, first, last = parse_span(text)
    places = within.places_of(first, last) if version == within.family else None
    if places is None:
        raise MistypedError(_("{text!r} is not in {range}"), text=text, range=within.text())
    return places
