"""Kinds of concentrators: which requests ask for a router's administration (rule R2.5), and their names."""

import pytest
from nas_double import tlv

from aaad.radius.kinds import KINDS, OTHER, kind_of
from aaad.radius.packet import walk

CALLED, PORT_TYPE, FRAMED = tlv(30, b"pppoe-srv1"), tlv(61, b"\0\0\0\x0f"), tlv(7, b"\0\0\0\1")
VIRTUAL = tlv(61, b"\0\0\0\5")


def service(number: int) -> bytes:
    return tlv(6, number.to_bytes(4, "big"))


def asks(kind: str, attributes: bytes) -> bool:
    data = bytes(20) + attributes
    return KINDS[kind].administration.fits(data, walk(data, len(data)))


@pytest.mark.parametrize("number", [1, 6, 7])
def test_r2_5_routeros_asks_for_administration_without_port_type_and_called_station(number: int) -> None:
    assert asks("mikrotik", service(number))
    assert not asks("mikrotik", service(number) + PORT_TYPE)
    assert not asks("mikrotik", service(number) + CALLED)


@pytest.mark.parametrize("kind", set(KINDS) - {"mikrotik"})
@pytest.mark.parametrize("number", [1, 6, 7])
def test_r2_5_others_ask_for_it_on_a_line_of_their_own_and_never_framed(kind: str, number: int) -> None:
    assert asks(kind, service(number))
    assert asks(kind, service(number) + VIRTUAL)
    assert not asks(kind, service(number) + PORT_TYPE)
    assert not asks(kind, service(number) + FRAMED)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("attributes", [b"", service(2), service(5), service(10), tlv(6, b""), tlv(6, b"\2")])
def test_a_subscribers_request_asks_for_no_administration(kind: str, attributes: bytes) -> None:
    assert not asks(kind, attributes)


def test_kinds_are_those_of_the_table_and_any_other_name_is_other() -> None:
    assert set(KINDS) == {"mikrotik", "accel_ppp", "huawei", "juniper", "cisco", "other"}
    assert kind_of("a later one") is OTHER
    assert {kind.name for kind in KINDS.values() if kind.is_verified} == {"mikrotik", "accel_ppp"}
