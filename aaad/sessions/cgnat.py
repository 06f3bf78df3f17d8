"""Deterministic carrier NAT (RFC 7422): which private address has which ports of which public address, computed.

Pure. A map gives each private address, in their order, one block of ports of one public address. `fill` fills one
public address after the other; `spread` gives the first block of every public address, then the second ones, as
netmap rules do. What is left over behind the last block belongs to nobody. No log of connections is needed.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from aaad.errors import MistypedError

LAYOUTS = ("fill", "spread")
PORT_MAX = 65_535


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


class Block(NamedTuple):
    """The ports of a public address that one private address has."""

    private: IPv4Address
    public: IPv4Address
    port_first: int
    port_last: int


class Map(NamedTuple):
    """One map, as it is stored: it never changes, only ends."""

    id: int
    name: str
    address_space: int
    private_first: IPv4Address
    private_last: IPv4Address
    public_first: IPv4Address
    public_last: IPv4Address
    port_first: int
    port_last: int
    ports_each: int
    layout: str
    valid_from: datetime
    valid_until: datetime | None  # exclusive

    @property
    def private_count(self) -> int:
        """How many private addresses it serves."""
        return int(self.private_last) - int(self.private_first) + 1

    @property
    def public_count(self) -> int:
        """How many public addresses it has."""
        return int(self.public_last) - int(self.public_first) + 1

    @property
    def blocks_each(self) -> int:
        """How many private addresses share one public address."""
        return (self.port_last - self.port_first + 1) // self.ports_each

    def block_of(self, private: IPv4Address) -> Block | None:
        """Return what a private address has; None if the map does not serve it."""
        index = int(private) - int(self.private_first)
        if not 0 <= index < self.private_count:
            return None
        public, block = (
            divmod(index, self.blocks_each)
            if self.layout == "fill"
            else (index % self.public_count, index // self.public_count)
        )
        first = self.port_first + block * self.ports_each
        return Block(private, self.public_first + public, first, first + self.ports_each - 1)

    def private_of(self, public: IPv4Address, port: int) -> IPv4Address | None:
        """Return who has a port of a public address; None if nobody has it."""
        if not self.port_first <= port <= self.port_last:
            return None
        return self._private_of(public, (port - self.port_first) // self.ports_each)

    def privates_of(self, public: IPv4Address) -> list[IPv4Address]:
        """Return all who share a public address, in the order of their ports."""
        shared: list[IPv4Address] = []
        for block in range(self.blocks_each):
            private = self._private_of(public, block)
            if private is None:
                break  # further blocks would belong to further private addresses
            shared.append(private)
        return shared

    def blocks(self) -> Iterator[Block]:
        """Return the whole map, one private address after the other."""
        for index in range(self.private_count):
            block = self.block_of(self.private_first + index)
            assert block is not None
            yield block

    def _private_of(self, public: IPv4Address, block: int) -> IPv4Address | None:
        place = int(public) - int(self.public_first)
        if not (0 <= place < self.public_count and block < self.blocks_each):
            return None
        index = place * self.blocks_each + block if self.layout == "fill" else block * self.public_count + place
        return self.private_first + index if index < self.private_count else None


class AddressRange(NamedTuple):
    """Addresses from the first to the last."""

    first: IPv4Address
    last: IPv4Address


def read_range(word: str) -> AddressRange:
    """Return a network such as 100.64.0.0/24, or addresses such as 100.64.0.1-100.64.0.254."""
    try:
        if "-" in word:
            first, last = (IPv4Address(part.strip()) for part in word.split("-", 1))
            if first <= last:
                return AddressRange(first, last)
        else:
            network = IPv4Network(word.strip())
            return AddressRange(network[0], network[-1])
    except ValueError:
        pass
    raise MistypedError(
        _("{word}: addresses are a network such as 100.64.0.0/24, or 100.64.0.1-100.64.0.254"), word=repr(word)
    )


def read_ports(word: str) -> tuple[int, int]:
    """Return ports such as 1024-65535."""
    first, dash, last = word.partition("-")
    if dash and _is_port(first) and _is_port(last) and int(first) <= int(last):
        return int(first), int(last)
    raise MistypedError(_("{word}: ports are such as 1024-65535"), word=repr(word))


def check_room(new: Map) -> None:
    """Refuse a map that has not a block for each private address."""
    if not 1 <= new.ports_each <= new.port_last - new.port_first + 1:
        raise MistypedError(_("{count} ports each do not fit into the ports"), count=new.ports_each)
    room = new.public_count * new.blocks_each
    if new.private_count > room:
        raise MistypedError(
            _("{privates} private addresses do not fit: {publics} public ones with {blocks} blocks each are {room}"),
            privates=new.private_count,
            publics=new.public_count,
            blocks=new.blocks_each,
            room=room,
        )


def read_block(private: str, public: str, port_first: str, port_last: str) -> Block:
    """Return a block that a generator wrote."""
    try:
        addresses = IPv4Address(private.strip()), IPv4Address(public.strip())
    except ValueError:
        raise MistypedError(_("{word}: no pair of IPv4 addresses"), word=repr(f"{private}, {public}")) from None
    return Block(*addresses, *read_ports(f"{port_first.strip()}-{port_last.strip()}"))


def find_overlap(blocks: Iterable[tuple[int, Block]]) -> tuple[int, int] | None:
    """Return the numbers of two different blocks that have a port of a public address in common, None if none do."""
    ordered = sorted(blocks, key=lambda item: (item[1].public, item[1].port_first, item[1].port_last))
    reach: tuple[int, Block] | None = None
    for number, block in ordered:
        if reach and reach[1].public == block.public and block.port_first <= reach[1].port_last:
            return reach[0], number
        reach = (number, block)
    return None


def _is_port(word: str) -> bool:
    plain = word.strip()
    return plain.isascii() and plain.isdecimal() and len(plain) <= len(str(PORT_MAX)) and 1 <= int(plain) <= PORT_MAX
