"""Which attributes stand in a request, for each service and kind, and in which order."""

import dataclasses

import pytest
from simulator_world import octets

from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.nas import Concentrator
from aaad.simulator.subscriber import MAC_FORMATS, format_mac, redial_after_s

MAC = bytes.fromhex("aabbccddee01")


def read(attributes: bytes) -> list[tuple[int | tuple[int, int], bytes]]:
    found: list[tuple[int | tuple[int, int], bytes]] = []
    at = 0
    while at < len(attributes):
        kind, value = attributes[at], attributes[at + 2 : at + attributes[at + 1]]
        if kind == 26:
            found.append(((int.from_bytes(value[:4], "big"), value[4]), value[6:]))
        else:
            found.append((kind, value))
        at += attributes[at + 1]
    return found


def asked(method: str, kind: str = "mikrotik-old", **changes: object) -> list[tuple[int | tuple[int, int], bytes]]:
    subscriber = Subscribers(count=1, methods=(method,), first_mac="AA:BB:CC:DD:EE:01").make()[0]
    for_subscriber = {name: value for name, value in changes.items() if name in ("name", "circuit_id")}
    for_nas = {name: value for name, value in changes.items() if name not in for_subscriber}
    nas = dataclasses.replace(Nases(kind=kind).make()[0], **for_nas)
    outbox: list[tuple[object, bytes]] = []
    Concentrator(nas, 1, octets(), outbox).dial(dataclasses.replace(subscriber, **for_subscriber), 0.0)
    return read(outbox[0][1][20:])


PPP_HEAD = [6, 7, 5, 61, 1, 31, 30]
CHAP = [60, 3]


@pytest.mark.parametrize(
    ("method", "kinds"),
    [
        ("pap", [*PPP_HEAD, 87, 44, 2, 32, 4]),
        ("chap", [*PPP_HEAD, 87, 44, *CHAP, 32, 4]),
        ("mschap", [*PPP_HEAD, 87, 44, (311, 11), (311, 1), 32, 4]),
        ("mschapv2", [*PPP_HEAD, 87, 44, (311, 11), (311, 25), 32, 4]),
        ("tunnel", [*PPP_HEAD, 44, (311, 11), (311, 25), 32, 4]),
        ("hotspot", [61, 31, 30, 87, 1, 5, 44, 8, (14988, 10), *CHAP, 6, (14122, 3), 32, 4]),
        ("mac", [61, 31, 30, 87, 1, 5, 44, 8, (14988, 10), 2, 6, (14122, 3), 32, 4]),
        ("dhcp", [61, 5, 31, 30, 87, 1, 8, 2, 32, 4]),
        ("router", [6, 1, 31, (311, 11), (311, 25), 32, 4]),
        ("router-chap", [6, 1, 31, *CHAP, 32, 4]),
    ],
)
def test_router_os_sends_what_the_service_has_in_its_order(method: str, kinds: list[int]) -> None:
    assert [kind for kind, _ in asked(method)] == kinds


def test_since_7_15_router_os_signs_behind_all_else() -> None:
    assert [kind for kind, _ in asked("pap", "mikrotik")][-3:] == [32, 4, 80]


@pytest.mark.parametrize(("method", "password"), [("pap", [2]), ("chap", CHAP), ("mschapv2", [(311, 11), (311, 25)])])
def test_accel_ppp_sends_in_its_own_order(method: str, password: list[object]) -> None:
    assert [kind for kind, _ in asked(method, "accel-ppp")] == [1, 32, 4, 5, 87, 61, 6, 7, 31, 30, *password]


@pytest.mark.parametrize(
    ("method", "values"),
    [
        ("pap", {6: 2, 7: 1, 61: 15, 31: b"AA:BB:CC:DD:EE:01", 30: b"pppoe-in", 87: b"vlan100", 1: b"user000000"}),
        ("tunnel", {6: 2, 61: 5, 31: b"203.0.113.1", 30: b"127.0.0.1"}),
        ("hotspot", {6: 1, 61: 19, 31: b"AA:BB:CC:DD:EE:01", 30: b"hotspot1", 8: b"\x0a\5\0\1"}),
        ("mac", {1: b"AA:BB:CC:DD:EE:01"}),
        ("dhcp", {1: b"AA:BB:CC:DD:EE:01", 61: 15, 31: b"1:aa:bb:cc:dd:ee:01", 30: b"dhcp1"}),
        ("router", {6: 1, 1: b"user000000"}),
    ],
)
def test_values(method: str, values: dict[int, int | bytes]) -> None:
    found = dict(asked(method))
    for kind, value in values.items():
        assert found[kind] == (value if isinstance(value, bytes) else value.to_bytes(4, "big")), kind


def test_what_only_some_have() -> None:
    found = dict(asked("mschapv2", name="OFFICE\\ana"))
    assert (found[1], found[311, 10], found[14988, 9]) == (b"OFFICE\\ana", b"OFFICE", b"OFFICE")
    assert dict(asked("pap", realm="north"))[14988, 9] == b"north"
    assert (311, 10) not in dict(asked("pap", name="OFFICE\\ana"))
    found = dict(asked("hotspot", location=("br-01", "Centro")))
    assert (found[14122, 1], found[14122, 2]) == (b"br-01", b"Centro")
    assert dict(asked("dhcp", circuit_id="olt1/1/2"))[2352, 97] == b"olt1/1/2"
    assert dict(asked("pap", circuit_id="olt1/1/2"))[87] == b"vlan100"
    assert dict(asked("pap", circuit_id="olt1/1/2", has_circuit_as_port=True))[87] == b"olt1/1/2"
    found = dict(asked("pap", address="2001:db8::1"))
    assert 4 not in found
    assert found[95] == bytes.fromhex("20010db8000000000000000000000001")


@pytest.mark.parametrize(
    ("pattern", "written"),
    list(
        zip(
            MAC_FORMATS,
            (
                "AA:BB:CC:DD:EE:01",
                "AA-BB-CC-DD-EE-01",
                "AA BB CC DD EE 01",
                "AABBCCDDEE01",
                "AABB:CCDD:EE01",
                "AABBCC:DDEE01",
                "AABBCC-DDEE01",
                "aa:bb:cc:dd:ee:01",
                "aa-bb-cc-dd-ee-01",
                "aabbccddee01",
            ),
            strict=True,
        )
    ),
)
def test_mac_formats(pattern: str, written: str) -> None:
    assert format_mac(MAC, pattern) == written


@pytest.mark.parametrize(("failures", "wait_s"), [(1, 1.0), (2, 2.0), (5, 16.0), (7, 60.0), (1000, 60.0)])
def test_who_was_refused_dials_less_and_less_often(failures: int, wait_s: float) -> None:
    assert redial_after_s(failures, 1.0, 60.0) == wait_s
