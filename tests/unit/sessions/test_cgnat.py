"""Deterministic carrier NAT, both ways (RFC 7422): no port belongs to two, and what goes there comes back."""

from datetime import UTC, datetime
from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aaad.errors import MistypedError
from aaad.sessions.cgnat import (
    LAYOUTS,
    Block,
    Map,
    check_room,
    find_overlap,
    read_block,
    read_ports,
    read_range,
)

FROM = datetime(2026, 1, 1, tzinfo=UTC)


def map_of(private: str, public: str, ports_each: int, layout: str = "fill", ports: str = "1024-65535") -> Map:
    return Map(
        1, "m", 1, *read_range(private), *read_range(public), *read_ports(ports), ports_each, layout, FROM, None
    )


@st.composite
def maps(draw: st.DrawFn) -> Map:
    ports_each = draw(st.integers(1, 100) | st.integers(100, 3000))
    port_first = draw(st.integers(1, 60_000))
    port_last = (
        draw(st.integers(port_first + ports_each - 1, 65_535)) if port_first + ports_each <= 65_535 else 65_535
    )
    ports_each = min(ports_each, port_last - port_first + 1)
    publics = draw(st.integers(1, 20))
    room = publics * ((port_last - port_first + 1) // ports_each)
    privates = draw(st.integers(1, min(room, 80)))
    private = IPv4Address(draw(st.integers(0, 2**32 - 400)))
    public = IPv4Address(draw(st.integers(0, 2**32 - 400)))
    return Map(
        1,
        "m",
        1,
        private,
        private + privates - 1,
        public,
        public + publics - 1,
        port_first,
        port_last,
        ports_each,
        draw(st.sampled_from(LAYOUTS)),
        FROM,
        None,
    )


@settings(max_examples=60)
@given(maps())
def test_every_private_address_has_a_block_of_its_own_and_is_found_by_it(one: Map) -> None:
    check_room(one)
    taken: set[tuple[IPv4Address, int]] = set()
    for block in one.blocks():
        assert one.public_first <= block.public <= one.public_last
        assert one.port_first <= block.port_first <= block.port_last <= one.port_last
        assert block.port_last - block.port_first + 1 == one.ports_each
        assert (block.port_first - one.port_first) % one.ports_each == 0
        assert (block.public, block.port_first) not in taken
        taken.add((block.public, block.port_first))
        for port in (block.port_first, (block.port_first + block.port_last) // 2, block.port_last):
            assert one.private_of(block.public, port) == block.private
    assert len(taken) == one.private_count


@given(maps(), st.integers(1, 65_535), st.integers(0, 25))
def test_a_port_leads_to_who_has_it_and_back(one: Map, port: int, place: int) -> None:
    public = one.public_first + place
    private = one.private_of(public, port)
    if private is None:
        assert not any(
            block.public == public and block.port_first <= port <= block.port_last for block in one.blocks()
        )
        return
    block = one.block_of(private)
    assert block is not None
    assert block.public == public
    assert block.port_first <= port <= block.port_last


@settings(max_examples=30)
@given(maps())
def test_those_who_share_the_public_addresses_are_all(one: Map) -> None:
    shared = [private for place in range(one.public_count) for private in one.privates_of(one.public_first + place)]
    assert sorted(shared) == [one.private_first + index for index in range(one.private_count)]
    assert one.privates_of(one.public_last + 1) == []


def test_thirty_two_customers_on_an_address() -> None:
    one = map_of("100.64.0.0/26", "203.0.113.8/31", 2016)
    assert one.blocks_each == 32
    assert one.block_of(IPv4Address("100.64.0.0")) == Block(
        IPv4Address("100.64.0.0"), IPv4Address("203.0.113.8"), 1024, 3039
    )
    assert one.block_of(IPv4Address("100.64.0.31"))[2:] == (63520, 65535)
    assert one.block_of(IPv4Address("100.64.0.32"))[1:] == (IPv4Address("203.0.113.9"), 1024, 3039)
    assert one.private_of(IPv4Address("203.0.113.9"), 40123) == IPv4Address("100.64.0.51")
    assert one.private_of(IPv4Address("203.0.113.9"), 1023) is None
    assert one.block_of(IPv4Address("100.64.0.64")) is None


def test_as_netmap_rules_spread_them() -> None:
    one = map_of("100.64.0.0-100.64.0.7", "203.0.113.0/30", 30_000, "spread")
    assert one.block_of(IPv4Address("100.64.0.3"))[1:] == (IPv4Address("203.0.113.3"), 1024, 31023)
    assert one.block_of(IPv4Address("100.64.0.4"))[1:] == (IPv4Address("203.0.113.0"), 31024, 61023)
    assert one.privates_of(IPv4Address("203.0.113.1")) == [IPv4Address("100.64.0.1"), IPv4Address("100.64.0.5")]
    assert one.private_of(IPv4Address("203.0.113.1"), 61_024) is None  # left over


def test_a_map_needs_a_block_for_each() -> None:
    check_room(map_of("100.64.0.0/27", "203.0.113.8/32", 2016))
    with pytest.raises(MistypedError, match="33 private addresses do not fit"):
        check_room(map_of("100.64.0.0-100.64.0.32", "203.0.113.8/32", 2016))
    with pytest.raises(MistypedError, match="do not fit into the ports"):
        check_room(map_of("100.64.0.0/32", "203.0.113.8/32", 2016, ports="1024-2000"))


@pytest.mark.parametrize(
    "word", ["", "100.64.0.1/24", "100.64.0.9-100.64.0.1", "2001:db8::/64", "a-b", "100.64.0.0/33", "1-2-3"]
)
def test_wrong_ranges(word: str) -> None:
    with pytest.raises(MistypedError):
        read_range(word)


@pytest.mark.parametrize("word", ["", "1024", "0-10", "10-1", "1-65536", "a-b", "1-" + "9" * 9999, "²-³"])
def test_wrong_ports(word: str) -> None:
    with pytest.raises(MistypedError):
        read_ports(word)


def test_generators_blocks_that_have_a_port_in_common_are_found() -> None:
    blocks = [
        (2, read_block("100.64.0.1", "203.0.113.9", "1024", "2047")),
        (3, read_block("100.64.0.2", "203.0.113.9", "2048", "3071")),
        (4, read_block("100.64.0.3", "203.0.113.10", "1024", "2047")),
    ]
    assert find_overlap(blocks) is None
    assert find_overlap([*blocks, (5, read_block("100.64.0.4", "203.0.113.9", "3071", "3071"))]) == (3, 5)
    with pytest.raises(MistypedError):
        read_block("100.64.0.1", "2001:db8::1", "1", "2")
