"""What the kernel says about our UDP sockets: datagrams dropped and octets queued (rule R10).

Reads /proc/net/udp and /proc/net/udp6; knows a socket by local address and port. Several sockets of one
SO_REUSEPORT group are told apart by their order of age.
"""

from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv6Address
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

_TABLES = (Path("/proc/net/udp"), Path("/proc/net/udp6"))
_LOCAL, _QUEUES, _INODE, _DROPS = 1, 4, 9, 12  # columns, proc(5)
_WORD_DIGITS = 8


class KernelSocket(NamedTuple):
    """One UDP socket as the kernel counts it. `number` orders sockets of the same address and port by age."""

    address: str
    port: int
    number: int
    queued_octets: int
    dropped: int


def read_udp_sockets(ports: Collection[int]) -> list[KernelSocket]:
    """Return every UDP socket of this machine's network namespace on these ports."""
    found: list[KernelSocket] = []
    for table in _TABLES:
        try:
            found += parse_udp_table(table.read_text(), ports)
        except OSError:
            continue  # no IPv6 here, or no /proc
    return found


def parse_udp_table(table: str, ports: Collection[int]) -> Iterator[KernelSocket]:
    """Yield the sockets on these ports from a table in the form of /proc/net/udp."""
    rows = []
    for line in table.splitlines()[1:]:
        columns = line.split()
        host, _, port = columns[_LOCAL].partition(":")
        if int(port, 16) in ports:
            queued = int(columns[_QUEUES].partition(":")[2], 16)
            rows.append((_address(host), int(port, 16), int(columns[_INODE]), queued, int(columns[_DROPS])))
    rows.sort()
    for (address, port), group in groupby(rows, key=lambda row: row[:2]):
        for number, (_, _, _, queued, dropped) in enumerate(group):
            yield KernelSocket(address, port, number, queued, dropped)


def _address(digits: str) -> str:
    """Decode the kernel's form: each 32-bit word in the machine's own order (little endian on all we run on)."""
    words = [digits[at : at + _WORD_DIGITS] for at in range(0, len(digits), _WORD_DIGITS)]
    octets = b"".join(bytes.fromhex(word)[::-1] for word in words)
    return str(IPv4Address(octets) if len(words) == 1 else IPv6Address(octets))
