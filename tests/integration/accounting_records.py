"""Accounting records as a concentrator's packets put them into the spool, made by hand."""

from collections.abc import Mapping
from ipaddress import IPv6Network, ip_address
from struct import pack

from aaad.spool.records import Accounting

START, STOP, INTERIM, ON, OFF = 1, 2, 3, 7, 8
T = 1_700_000_000.0
MAC = "02:00:5E:00:53:01"


def attribute(kind: int, value: bytes) -> bytes:
    return bytes((kind, len(value) + 2)) + value


def number(kind: int, value: int) -> bytes:
    return attribute(kind, pack("!I", value))


def class_of(
    *, login_id: int, serial: int = 1, node: int = 1, slot: int = 0, contract_id: int = 1, plan_id: int = 1
) -> bytes:
    """A Class as our Accepts carry it; its signature was verified before the record was written."""
    return pack("!BBIQIIIIB", 1, slot, node, serial, login_id, contract_id, plan_id, 0xABCDEF01, 0) + bytes(8)


def accounting(
    status: int,
    at_s: float,
    *,
    user: str = "joao",
    session: str = "81a00001",
    time_s: int | None = None,
    octets: tuple[int, int] | None = None,
    gigawords: tuple[int, int] | None = None,
    cause: int | None = None,
    mac: str = MAC,
    port: int | None = 15_728_648,
    called: str = "pppoe1",
    ipv4: str = "",
    ipv6_prefix: str = "",
    own_class: bytes = b"",
    delay_s: int = 0,
    stamp: int = 0,
    nas_id: int = 1,
    source: str = "192.0.2.7",
    identifier: bytes = b"bng",
    swapped: bool = False,
    rest: Mapping[int, bytes] | None = None,
) -> Accounting:
    """A record that was received at `at_s` and `delay_s` later than it speaks of."""
    data = number(40, status)
    if status < ON:
        data += attribute(1, user.encode()) + attribute(44, session.encode())
        if mac:
            data += attribute(31, mac.encode())
        if port is not None:
            data += number(5, port)
    if called:
        data += attribute(30, called.encode())
    if time_s is not None:
        data += number(46, time_s)
    for kinds, values in (((42, 43), octets), ((52, 53), gigawords)):
        if values is not None:
            data += number(kinds[0], values[0]) + number(kinds[1], values[1])
    if cause is not None:
        data += number(49, cause)
    if ipv4:
        data += attribute(8, ip_address(ipv4).packed)
    if ipv6_prefix:
        prefix = IPv6Network(ipv6_prefix)
        data += attribute(97, bytes((0, prefix.prefixlen)) + prefix.network_address.packed)
    if own_class:
        data += attribute(25, own_class)
    if delay_s:
        data += number(41, delay_s)
    if stamp:
        data += number(55, stamp)
    for kind, value in (rest or {}).items():
        data += attribute(kind, value)
    return Accounting(nas_id, source, identifier, at_s + delay_s, data, bool(own_class), swapped)
