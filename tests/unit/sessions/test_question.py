"""The legal question as it is typed, and as tables of many hold it: nothing is guessed, all that is wrong is told."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Network

import pytest

from aaad.errors import MistypedError
from aaad.sessions.question import REQUESTS_MAX, Words, WrongLinesError, read_question, read_requests, read_target

NOW = datetime(2026, 11, 25, tzinfo=UTC)
NOTHING = Words("")


@pytest.mark.parametrize(
    ("word", "port", "address", "number"),
    [
        ("203.0.113.9", "", IPv4Address("203.0.113.9"), None),
        ("203.0.113.9:40123", "", IPv4Address("203.0.113.9"), 40123),
        (" 203.0.113.9 ", "40123", IPv4Address("203.0.113.9"), 40123),
        ("203.0.113.9/32", "", IPv4Address("203.0.113.9"), None),
        ("::ffff:203.0.113.9", "", IPv4Address("203.0.113.9"), None),
        ("2001:db8::1", "", IPv6Network("2001:db8::1/128"), None),
        ("[2001:db8::1]:443", "", IPv6Network("2001:db8::1/128"), 443),
        ("[2001:db8::1]", "443", IPv6Network("2001:db8::1/128"), 443),
        ("2001:DB8:0:5::/56", "", IPv6Network("2001:db8::/56"), None),
    ],
)
def test_addresses(word: str, port: str, address: object, number: int | None) -> None:
    assert read_target(word, port) == (address, number)


@pytest.mark.parametrize(
    ("word", "port"),
    [
        ("", ""),
        ("example.com", ""),
        ("203.0.113", ""),
        ("203.0.113.09", ""),
        ("203.0.113.9:", ""),
        ("203.0.113.9:0", ""),
        ("203.0.113.9:65536", ""),
        ("203.0.113.9:-1", ""),
        ("203.0.113.9:40123", "40123"),
        ("203.0.113.0/24", ""),
        ("[2001:db8::1", ""),
        ("[2001:db8::1]x", ""),
        ("[2001:db8::1]:", ""),
        ("[2001:db8::1]:1", "2"),
        ("fe80::1%eth0", ""),
        ("2001::/16", ""),
        ("203.0.113.9", "porta"),
        ("203.0.113.9", "²"),
        ("203.0.113.9", "1" * 9999),
    ],
)
def test_what_is_no_address_or_port_is_refused(word: str, port: str) -> None:
    with pytest.raises(MistypedError):
        read_target(word, port)


def test_addresses_are_written_back_as_people_write_them() -> None:
    for word in ("203.0.113.9:40123", "203.0.113.9", "2001:db8::1", "[2001:db8::1]:443", "2001:db8::/56"):
        assert str(read_target(word)) == word


def test_a_question_with_a_margin() -> None:
    question = read_question(
        Words("203.0.113.9", at="2026-11-20 03:15:22", zone="GMT-3", margin="5m", space="2"), NOW
    )
    assert question.space == 2
    assert question.said == "2026-11-20 03:15:22 (GMT-3)"
    assert question.searched.first == question.asked.first - timedelta(minutes=5)
    assert question.searched.last == question.asked.last + timedelta(minutes=5)


def test_a_question_about_a_range_includes_its_last_minute() -> None:
    question = read_question(Words("203.0.113.9", first="2026-11-20 03:15 Z", last="2026-11-20 03:25 Z"), NOW)
    assert question.asked.first == datetime(2026, 11, 20, 3, 15, tzinfo=UTC)
    assert question.asked.last == datetime(2026, 11, 20, 3, 25, 59, 999_999, tzinfo=UTC)


@pytest.mark.parametrize(
    "words",
    [
        Words("203.0.113.9"),
        Words("203.0.113.9", first="2026-11-20 03:15 Z"),
        Words("203.0.113.9", last="2026-11-20 03:15 Z"),
        Words("203.0.113.9", at="now", first="2026-11-20 03:15 Z", last="2026-11-20 03:16 Z"),
        Words("203.0.113.9", first="2026-11-20 03:15 Z", last="2026-11-20 03:10 Z"),
        Words("203.0.113.9", at="2026-11-26 03:15 Z"),
        Words("203.0.113.9", at="2026-11-20 03:15 Z", margin="a while"),
        Words("203.0.113.9", at="2026-11-20 03:15 Z", space="0"),
        Words("203.0.113.9", at="2026-11-20 03:15 Z", space="x"),
    ],
)
def test_what_asks_nothing_is_refused(words: Words) -> None:
    with pytest.raises(MistypedError):
        read_question(words, NOW)


def test_r9_2_a_table_as_a_spreadsheet_of_windows_writes_it() -> None:
    table = "Endereço IP;Porta;Data;Hora;Fuso;Referência\r\n203.0.113.9;40123;20/11/2026;03:15:22;GMT-3;1.a\r\n\r\n"
    (question,) = read_requests(table.encode("cp1252"), NOTHING, NOW)
    assert str(question.target) == "203.0.113.9:40123"
    assert question.asked.first == datetime(2026, 11, 20, 6, 15, 22, tzinfo=UTC)
    assert question.reference == "1.a"


def test_what_a_line_does_not_say_the_command_says() -> None:
    table = (
        "\ufeffip,at,zone,margin\n203.0.113.9,2026-11-20 03:15:22,,\n203.0.113.9,2026-11-20 03:15:22,UTC,1m\n"
        "203.0.113.9,,,\n"
    )
    common = Words("", zone="GMT-3", margin="5m", at="2026-11-19 00:00:00 Z")
    first, second, third = read_requests(table.encode(), common, NOW)
    assert first.asked.first == datetime(2026, 11, 20, 6, 15, 22, tzinfo=UTC)
    assert first.margin == timedelta(minutes=5)
    assert second.asked.first == datetime(2026, 11, 20, 3, 15, 22, tzinfo=UTC)
    assert second.margin == timedelta(minutes=1)
    assert third.asked.first == datetime(2026, 11, 19, tzinfo=UTC)


def test_r9_2_all_wrong_lines_are_told_by_their_numbers() -> None:
    table = "ip,at\n203.0.113.9,2026-11-20 03:15:22\n203.0.113.9,2026-11-20 03:15:22 Z\nhost,2026-11-20 03:15:22 Z\n"
    with pytest.raises(WrongLinesError) as caught:
        read_requests(table.encode(), NOTHING, NOW)
    assert [line for line, _ in caught.value.problems] == [2, 4]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"ip,at\n",
        b"at,port\n2026-11-20 03:15:22 Z,1\n",
        b"ip,address,at\n203.0.113.9,203.0.113.9,now\n",
        b"PK\x03\x04\x00\x00ip",
        b'ip,at\n"203.0.113.9,' + b"x" * 200_000,
        b"ip,at\n" + b"203.0.113.9,now\n" * (REQUESTS_MAX + 1),
    ],
)
def test_what_is_no_table_of_questions_is_refused(content: bytes) -> None:
    with pytest.raises((MistypedError, WrongLinesError)):
        read_requests(content, NOTHING, NOW)
