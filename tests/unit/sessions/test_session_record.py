"""Reading a record: event time by rule R5.1, counters and their direction, addresses, texts, what cannot be."""

import pytest
from accounting_double import (
    INTERIM,
    NOON_S,
    OFF,
    ON,
    START,
    STOP,
    accounting,
    attribute,
    number,
    our_class,
    vendor,
)
from hypothesis import given
from hypothesis import strategies as st

from aaad.errors import SpoolError
from aaad.sessions.attribute_text import readable, readable_all
from aaad.sessions.grant_class import ClassFacts
from aaad.sessions.record import UNKNOWN, AccountingRecord, Status, read
from aaad.spool.records import Accounting


def said(**values: object) -> AccountingRecord:
    """An Interim-Update that says this, read."""
    return read(accounting(INTERIM, **values))  # type: ignore[arg-type]


# --- Which session --------------------------------------------------------------


@pytest.mark.parametrize(
    ("number_of_status", "status"), [(1, "START"), (2, "STOP"), (3, "INTERIM"), (7, "ON"), (8, "OFF")]
)
def test_statuses(number_of_status: int, status: str) -> None:
    assert read(accounting(number_of_status)).status is Status[status]


def test_a_family_is_of_user_name_whatever_its_case_and_session_id() -> None:
    families = {said(user=name).family for name in (b"joao", b"JOAO", b"Joao")}
    assert len(families) == 1
    assert len(families.pop()) == 16
    assert said(user=b"joaa").family != said(user=b"joao").family != said(session=b"81a00002").family
    assert said(user=b"jo", session=b"ao1").family != said(user=b"joao", session=b"1").family


def test_on_and_off_need_no_session() -> None:
    for status in (ON, OFF):
        record = read(accounting(status, user=None, session=None, called=b"pppoe1"))
        assert (record.family, record.called_station_id) == (b"", "pppoe1")


@pytest.mark.parametrize(
    "record",
    [
        accounting(None),
        accounting(9),
        accounting(0),
        accounting(None, more=attribute(40, b"\0\1")),
        accounting(START, session=None),
        accounting(START, NOON_S, more=b"\x2c"),
        accounting(START, NOON_S, more=b"\x2c\x01"),
        accounting(START, NOON_S, more=b"\x2c\x00"),
        accounting(START, NOON_S, more=b"\x2c\x05ab"),
        accounting(START, float("nan")),
        accounting(START, float("inf")),
        accounting(START, -1.0),
        accounting(START, 1e300),
    ],
)
def test_what_tells_neither_session_nor_restart_is_told_apart(record: Accounting) -> None:
    with pytest.raises(SpoolError):
        read(record)


def test_r4_6_a_class_of_ours_tells_the_session_where_its_id_is_missing() -> None:
    assert said(session=None, grant=5).grant.serial == 5  # type: ignore[union-attr]


def test_r4_6_class_says_what_was_granted() -> None:
    assert said(grant=77).grant == ClassFacts(1, 0, 1, 77, 7, 8, 9, 0xF00D, 0)
    assert said().grant is None
    assert said(grant=77).class_body == our_class(77)[:-8]


def test_r4_6_our_class_is_found_beside_strange_ones() -> None:
    for strange in (attribute(25, b"proxy"), attribute(25, b"\2" * 39)):
        assert said(grant=3, more=strange).grant.serial == 3  # type: ignore[union-attr]


def test_r4_6_a_class_that_was_not_proven_joins_nothing() -> None:
    assert read(accounting(INTERIM, more=attribute(25, our_class(3)))).grant is None


# --- When --------------------------------------------------------------


def test_r5_1_event_time_is_receipt_less_delay() -> None:
    record = said(received_at_s=NOON_S + 30.5, delay_s=30)
    assert (record.at_s, record.sent_at_s, record.received_at_s) == (NOON_S + 0.5, NOON_S + 0.5, NOON_S + 30.5)


@pytest.mark.parametrize("offset_s", [-300, -1, 0, 1, 300])
def test_r5_1_event_timestamp_is_used_within_300_s(offset_s: int) -> None:
    record = said(received_at_s=NOON_S + 40, delay_s=40, stamp=int(NOON_S) + offset_s)
    assert (record.at_s, record.event_timestamp) == (NOON_S + offset_s, NOON_S + offset_s)


@pytest.mark.parametrize("stamp", [1, 1_234, int(NOON_S) - 301, int(NOON_S) + 301, 2**32 - 1])
def test_r5_1_a_clock_of_1970_is_kept_and_not_used(stamp: int) -> None:
    record = said(received_at_s=NOON_S, stamp=stamp)
    assert (record.at_s, record.event_timestamp) == (NOON_S, stamp)


def test_r5_1_an_event_timestamp_is_measured_after_the_delay() -> None:
    assert said(received_at_s=NOON_S + 7200, delay_s=7200, stamp=int(NOON_S) + 7).at_s == NOON_S + 7


@pytest.mark.parametrize("delay_s", [2_592_001, 2**31, 2**32 - 1])
def test_a_delay_that_cannot_be_is_none(delay_s: int) -> None:
    assert said(delay_s=delay_s).at_s == NOON_S


@pytest.mark.parametrize(
    ("record", "start_s"),
    [
        (accounting(START, NOON_S, delay_s=3), NOON_S - 3),
        (accounting(START, NOON_S, time_s=60), NOON_S),
        (accounting(INTERIM, NOON_S, time_s=300, delay_s=3), NOON_S - 303),
        (accounting(STOP, NOON_S, time_s=300, stamp=int(NOON_S) - 100), NOON_S - 300),
        (accounting(STOP, NOON_S, time_s=0), None),
        (accounting(STOP, NOON_S), None),
        (accounting(INTERIM, NOON_S, time_s=2**32 - 1), None),
    ],
)
def test_the_implied_start_is_by_our_own_clock(record: Accounting, start_s: float | None) -> None:
    assert read(record).implied_start_s == start_s


@pytest.mark.parametrize(
    ("time_s", "read_as"), [(0, 0), (315_360_000, 315_360_000), (315_360_001, UNKNOWN), (2**32 - 1, UNKNOWN)]
)
def test_a_session_time_that_cannot_be_is_unknown(time_s: int, read_as: int) -> None:
    assert said(time_s=time_s).session_time_s == read_as


# --- How much --------------------------------------------------------------


def test_gigawords_are_the_upper_half() -> None:
    record = said(octets=(3 * 2**32 + 5, 2**32 - 1), packets=(8, 9))
    assert (record.octets_in, record.octets_out) == (3 * 2**32 + 5, 2**32 - 1)
    assert (record.packets_in, record.packets_out, record.has_gigawords) == (8, 9, True)


def test_gigawords_of_one_direction_are_enough() -> None:
    record = said(octets=(5, 6), gigawords=False, more=number(53, 1))
    assert (record.octets_in, record.octets_out, record.has_gigawords) == (5, 2**32 + 6, True)


def test_octets_that_were_never_transferred_say_nothing() -> None:
    record = said(octets=(2**64 - 1, 7))
    assert (record.octets_in, record.octets_out) == (0, 7)


def test_octets_are_swapped_for_a_nas_that_counts_the_other_way() -> None:
    record = said(octets=(1, 2 * 2**32), packets=(3, 4), swapped=True)
    assert (record.octets_in, record.octets_out, record.packets_in, record.packets_out) == (2 * 2**32, 1, 4, 3)


def test_nothing_said_is_nothing() -> None:
    record = said()
    assert (record.octets_in, record.octets_out, record.has_gigawords, record.session_time_s) == (
        0,
        0,
        False,
        UNKNOWN,
    )
    assert (record.terminate_cause, record.nas_port, record.event_timestamp, record.ipv4) == (UNKNOWN, UNKNOWN, 0, "")


@pytest.mark.parametrize(
    ("cause", "read_as"), [(1, 1), (2**31 - 1, 2**31 - 1), (2**31, UNKNOWN), (2**32 - 1, UNKNOWN)]
)
def test_causes(cause: int, read_as: int) -> None:
    assert said(cause=cause).terminate_cause == read_as


# --- Where and what --------------------------------------------------------------


def test_an_address_is_read() -> None:
    assert said(ipv4="100.64.255.7").ipv4 == "100.64.255.7"


@pytest.mark.parametrize("address", ["0.0.0.0", "255.255.255.255", "255.255.255.254"])
def test_what_stands_for_no_address_is_none(address: str) -> None:
    assert said(ipv4=address).ipv4 == ""


@pytest.mark.parametrize(
    ("octets", "prefix"),
    [
        ("0038 20010db800ab", "2001:db8:ab:0:0:0:0:0/56"),
        ("0040 20010db8000100020000000000000000", "2001:db8:1:2:0:0:0:0/64"),
        ("0080 20010db8000000000000000000000001", "2001:db8:0:0:0:0:0:1/128"),
        ("0038 20010db8ffffffffffffffffffffffff", "2001:db8:ffff:ff00:0:0:0:0/56"),
        ("0081 20010db8", ""),
        ("0000 20010db8", ""),
        ("0040 0000000000000000", ""),
        ("0040 20010db80000000000000000000000000000", ""),
        ("0040", ""),
        ("00", ""),
    ],
)
def test_prefixes(octets: str, prefix: str) -> None:
    value = bytes.fromhex(octets)
    assert said(more=attribute(97, value)).ipv6_prefix == prefix
    assert said(more=attribute(123, value)).delegated_ipv6_prefix == prefix


def test_an_ipv6_address_is_a_prefix_of_its_own_where_there_is_none() -> None:
    assert said(ipv6_address="2001:db8::7").ipv6_prefix == "2001:db8:0:0:0:0:0:7/128"
    assert said(ipv6_address="2001:db8::7", ipv6_prefix="2001:db8::/64").ipv6_prefix == "2001:db8:0:0:0:0:0:0/64"
    assert said(ipv6_address="::").ipv6_prefix == ""


@pytest.mark.parametrize("circuit", [vendor(2352, 97, b"OLT1 1/2/3"), vendor(3561, 1, b"OLT1 1/2/3")])
def test_circuits_of_both_vendors(circuit: bytes) -> None:
    assert said(more=vendor(14988, 9, b"realm") + circuit).circuit_id == "OLT1 1/2/3"
    assert said(more=circuit + vendor(14988, 9, b"realm")).circuit_id == "OLT1 1/2/3"


@pytest.mark.parametrize(
    "strange", [attribute(26, b"\0\0\x0d\xe9\1"), attribute(26, b"\0\0\x0d\xe9\1\1a"), attribute(26, b"x")]
)
def test_a_vendor_attribute_of_another_form_is_no_circuit(strange: bytes) -> None:
    assert said(more=strange).circuit_id == ""


def test_ports_and_stations() -> None:
    record = said(port=2**32 - 1, port_id=b" vlan100 ", called=b"pppoe-srv1", mac=b"1A:BB:CC:DD:EE:01")
    assert (record.nas_port, record.nas_port_id, record.called_station_id) == (2**32 - 1, "vlan100", "pppoe-srv1")
    assert record.calling_station_id == "1A:BB:CC:DD:EE:01"


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"a\0b", "0x610062"),
        (b"\xff\xfe", "0xfffe"),
        ("João".encode(), "João"),
        (b"a\nb", "0x610a62"),
        (b"\0" * 253, "0x" + "00" * 253),
    ],
)
def test_what_postgresql_cannot_keep_becomes_readable(octets: bytes, text: str) -> None:
    record = said(user=octets, session=octets, called=octets, mac=octets, port_id=octets)
    texts = {
        record.user_name,
        record.acct_session_id,
        record.called_station_id,
        record.calling_station_id,
        record.nas_port_id,
    }
    assert texts == {text}


def integers(value: int | bytes) -> bytes:
    return b"".join(
        number(kind, value) if isinstance(value, int) else attribute(kind, value)
        for kind in (5, 8, 41, 42, 43, 46, 47, 48, 49, 52, 53, 55)
    )


@pytest.mark.parametrize("value", [0, 1, 2**31, 2**32 - 1, b"", b"\1", b"\1\2\3", b"\xff" * 5, b"\xff" * 253])
def test_no_number_breaks_anything(value: int | bytes) -> None:
    record = said(more=integers(value))
    assert 0 <= record.octets_in < 2**53
    assert 0 <= record.packets_out < 2**32
    assert -1 <= record.terminate_cause < 2**31
    assert -1 <= record.nas_port < 2**32
    assert 0 <= record.event_timestamp < 2**32
    assert abs(record.at_s - NOON_S) <= 2_592_300


@given(st.binary(max_size=200), st.booleans())
def test_any_octets_are_read_or_refused(octets: bytes, own: bool) -> None:
    for attributes in (octets, accounting(INTERIM).attributes + octets):
        try:
            record = read(Accounting(1, "192.0.2.1", b"bng-1", NOON_S, attributes, own))
        except SpoolError:
            continue
        assert all(text.isprintable() for text in record if isinstance(text, str))


@given(st.lists(st.one_of(st.binary(max_size=6), st.text("ab é\n ", max_size=4).map(str.encode)), max_size=6))
def test_texts_read_at_once_are_those_read_one_by_one(values: list[bytes]) -> None:
    assert readable_all(values) == [readable(value) for value in values]
