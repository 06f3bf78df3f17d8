"""Accounting records as a concentrator sends them, for tests: values in, the spool's record out."""

import struct
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from aaad.spool.records import Accounting

START, STOP, INTERIM, ON, OFF = 1, 2, 3, 7, 8
DAY_S = 86_400
NOON_S = 1_800_014_400.0  # 2027-01-15 12:00 UTC
ZONE = "America/Sao_Paulo"


def attribute(kind: int, value: bytes) -> bytes:
    return bytes((kind, len(value) + 2)) + value


def number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("!I", value))


def vendor(number_of_vendor: int, kind: int, value: bytes) -> bytes:
    return attribute(26, struct.pack("!I", number_of_vendor) + attribute(kind, value))


def our_class(
    serial: int, *, node: int = 1, slot: int = 0, login: int = 7, contract: int = 8, plan: int = 9
) -> bytes:
    """A Class as this cluster makes it; who is genuine has been found out before it came to the spool."""
    return struct.pack("!BBIQIIIIB", 1, slot, node, serial, login, contract, plan, 0xF00D, 0) + b"signed!!"


def accounting(
    status: int | None,
    received_at_s: float = NOON_S,
    *,
    user: bytes | None = b"joao",
    session: bytes | None = b"81a00001",
    time_s: int | None = None,
    octets: tuple[int, int] | None = None,
    gigawords: bool = True,
    packets: tuple[int, int] | None = None,
    grant: int | None = None,
    delay_s: int | None = None,
    stamp: int | None = None,
    ipv4: str | None = None,
    ipv6_prefix: str | None = None,
    ipv6_address: str | None = None,
    delegated: str | None = None,
    cause: int | None = None,
    mac: bytes | None = None,
    called: bytes | None = None,
    port: int | None = None,
    port_id: bytes | None = None,
    nas_id: int = 1,
    source: str = "192.0.2.1",
    identifier: bytes = b"bng-1",
    swapped: bool = False,
    more: bytes = b"",
) -> Accounting:
    """An Accounting-Request as the spool holds it. None: it does not say so."""
    parts = [
        *([number(40, status)] if status is not None else []),
        *(attribute(kind, value) for kind, value in ((1, user), (44, session), (30, called), (31, mac)) if value),
        *([attribute(87, port_id)] if port_id else []),
        *(
            number(kind, value)
            for kind, value in ((46, time_s), (41, delay_s), (55, stamp), (49, cause))
            if value is not None
        ),
        *([number(5, port)] if port is not None else []),
    ]
    if octets is not None:
        parts += [number(kind, value & 0xFFFFFFFF) for kind, value in zip((42, 43), octets, strict=True)]
        if gigawords:
            parts += [number(kind, value >> 32) for kind, value in zip((52, 53), octets, strict=True)]
    if packets is not None:
        parts += [number(kind, value) for kind, value in zip((47, 48), packets, strict=True)]
    if grant is not None:
        parts.append(attribute(25, our_class(grant)))
    if ipv4 is not None:
        parts.append(attribute(8, IPv4Address(ipv4).packed))
    for kind, text in ((97, ipv6_prefix), (123, delegated)):
        if text is not None:
            network = IPv6Network(text)
            parts.append(attribute(kind, bytes((0, network.prefixlen)) + network.network_address.packed))
    if ipv6_address is not None:
        parts.append(attribute(168, IPv6Address(ipv6_address).packed))
    octets_of_all = b"".join(parts) + more
    return Accounting(nas_id, source, identifier, received_at_s, octets_of_all, grant is not None, swapped)
