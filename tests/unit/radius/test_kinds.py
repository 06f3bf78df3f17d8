"""Kinds of concentrators: which requests ask for a router's administration (rule R2.5), and their names."""

import pytest
from nas_double import tlv

from aaad.radius.kinds import KINDS, OTHER, kind_of
from aaad.radius.packet import walk

CALLED, PORT_TYPE, FRAMED = tlv(30, b"pppoe-srv1"), tlv(61, b"\0\0\0\x0f"), tlv(7, b"\0\0\0\1")
VIRTUAL, ASYNC = tlv(61, b"\0\0\0\5"), tlv(61, bytes(4))
ADDRESS = tlv(8, b"\xc0\0\2\1")


def service(number: int) -> bytes:
    return tlv(6, number.to_bytes(4, "big"))


def asks(kind: str, attributes: bytes) -> bool:
    data = bytes(20) + attributes
    return KINDS[kind].administration.fits(data, walk(data, len(data)))


@pytest.mark.parametrize("number", [1, 6, 7])
def test_r2_5_routeros_asks_for_administration_on_any_port_unless_a_hotspot_shows(number: int) -> None:
    assert asks("mikrotik", service(number))
    for port_type in (PORT_TYPE, VIRTUAL, ASYNC):
        assert asks("mikrotik", service(number) + port_type)
        for sign in (CALLED, ADDRESS, FRAMED):
            assert not asks("mikrotik", service(number) + port_type + sign)


@pytest.mark.parametrize("kind", set(KINDS) - {"mikrotik"})
@pytest.mark.parametrize("number", [1, 6, 7])
def test_r2_5_others_ask_for_it_on_a_line_of_their_own_and_never_framed(kind: str, number: int) -> None:
    assert asks(kind, service(number))
    assert asks(kind, service(number) + VIRTUAL)
    assert not asks(kind, service(number) + PORT_TYPE)
    assert not asks(kind, service(number) + FRAMED)


@pytest.mark.parametrize("kind", set(KINDS) - {"mikrotik"})
def test_r2_5_others_ask_for_it_without_service_type_on_a_line_of_their_own(kind: str) -> None:
    for line in (VIRTUAL, ASYNC):
        assert asks(kind, line)
        assert not asks(kind, line + FRAMED)
        assert not asks(kind, line + service(2))
    assert not asks(kind, PORT_TYPE)


def test_routeros_says_no_service_type_of_subscribers_only() -> None:
    assert not asks("mikrotik", VIRTUAL)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("attributes", [b"", service(2), service(5), service(10), tlv(6, b""), tlv(6, b"\2")])
def test_a_subscribers_request_asks_for_no_administration(kind: str, attributes: bytes) -> None:
    assert not asks(kind, attributes)


def test_kinds_are_those_of_the_table_and_any_other_name_is_other() -> None:
    assert set(KINDS) == {"mikrotik", "accel_ppp", "huawei", "juniper", "cisco", "other"}
    assert kind_of("a later one") is OTHER
    assert {kind.name for kind in KINDS.values() if kind.is_verified} == {"mikrotik", "accel_ppp"}
