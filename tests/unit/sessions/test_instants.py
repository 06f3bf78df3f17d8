"""Instants as orders write them: zones are never guessed, GMT-3 is three hours behind UTC (rule R9.2)."""

from datetime import UTC, datetime, timedelta

import pytest

from aaad.errors import MistypedError
from aaad.sessions.instants import Span, in_utc, in_zone, read_instant, read_margin, read_zone

AT = datetime(2026, 11, 20, 6, 15, 22, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(
    "word",
    [
        "2026-11-20 03:15:22 GMT-3",
        "2026-11-20 03:15:22 GMT -3",
        "2026-11-20 03:15:22 (GMT-03:00)",
        "2026-11-20 03:15:22 gmt-0300",
        "2026-11-20 03:15:22 UTC-3",
        "2026-11-20 03:15:22 UTC−3",
        "2026-11-20 03:15:22 UTC – 03:00",
        "2026-11-20T03:15:22-03:00",
        "2026-11-20T03:15:22-03",
        "2026-11-20 03:15:22 -0300",
        "2026-11-20T06:15:22Z",
        "2026-11-20 06:15:22 UTC",
        "2026-11-20 06:15:22 GMT",
        "2026-11-20 06:15:22 UTC+0",
        "2026-11-20 09:15:22 UTC+3",
        "20/11/2026 03:15:22 BRT",
        "20/11/2026 às 03h15m22s GMT-3",
        "20/11/2026, 03:15:22 America/Sao_Paulo",
        "20-11-2026 03:15:22 horário de Brasília",
        "20.11.2026 03:15:22 (horario de brasilia)",
        "20/11/2026 03:15:22 Hora oficial de Brasília",
        "20/11/2026 03:15:22 HORÁRIO LEGAL DE BRASÍLIA",
        "20/11/2026 02:15:22 horário de Manaus",
        "20/11/2026 01:15:22 horário do Acre",
        "20/11/2026 04:15:22 Fernando de Noronha",
        "20/11/2026 02:15:22 America/Manaus",
    ],
)
def test_r9_2_a_zone_is_understood_in_every_usual_form(word: str) -> None:
    assert read_instant(word) == Span(AT, AT + timedelta(seconds=1) - MICROSECOND)


@pytest.mark.parametrize(
    "word", ["2026-11-20 03:15:22", "20/11/2026 03:15", "2026-11-20T03:15:22.5", "20/11/2026 às 03h15"]
)
def test_r9_2_an_instant_without_a_zone_is_refused(word: str) -> None:
    with pytest.raises(MistypedError, match="time zone is missing"):
        read_instant(word)
    assert read_instant(word, "GMT-3").first.tzinfo is UTC


def test_its_own_zone_goes_before_the_common_one() -> None:
    assert read_instant("2026-11-20 06:15:22 Z", "GMT-3").first == AT


@pytest.mark.parametrize(
    ("word", "length"),
    [
        ("2026-11-20 03:15:22 GMT-3", timedelta(seconds=1)),
        ("2026-11-20 03:15 GMT-3", timedelta(minutes=1)),
        ("2026-11-20 03:15:22.5 GMT-3", timedelta(milliseconds=100)),
        ("2026-11-20 03:15:22,123456 GMT-3", MICROSECOND),
        ("2026-11-20 03:15:22.123456789 GMT-3", MICROSECOND),
    ],
)
def test_what_is_written_to_the_second_is_the_whole_second(word: str, length: timedelta) -> None:
    span = read_instant(word)
    assert span.last - span.first == length - MICROSECOND


@pytest.mark.parametrize(
    "word",
    [
        "",
        "yesterday",
        "2026-11-20 GMT-3",
        "03:15:22 GMT-3",
        "2026-13-20 03:15:22 GMT-3",
        "11/20/2026 03:15:22 GMT-3",
        "2026-02-29 03:15:22 GMT-3",
        "2026-11-20 24:00:00 GMT-3",
        "2026-11-20 23:59:60 GMT-3",
        "20/11/26 03:15:22 GMT-3",
        "20/11-2026 03:15:22 GMT-3",
        "2026-11-20 03:15:22 GMT-33",
        "2026-11-20 03:15:22 GMT-3:99",
        "2026-11-20 03:15:22 Etc/GMT+3",
        "2026-11-20 03:15:22 America/Chapeco",
        "2026-11-20 03:15:22 America/",
        "2026-11-20 03:15:22 ../../etc/passwd",
        "2026-11-20 03:15:22 horário de Londres",
        "2026-11-20 03:15:22 EST",
        "2026-11-20 03:15:22 -03:00 Z",
        "0001-01-01 00:00:00 GMT+3",
        "9999-12-31 23:59:59 GMT-3",
        "\ud800",
    ],
)
def test_what_cannot_be_told_is_refused(word: str) -> None:
    with pytest.raises(MistypedError):
        read_instant(word)


def test_brasilia_had_summer_time_until_2019() -> None:
    summer = read_instant("2018-01-15 12:00:00 horário de Brasília").first
    assert in_utc(summer) == "2018-01-15T14:00:00Z"
    assert in_zone(summer, "America/Sao_Paulo") == "2018-01-15T12:00:00-02:00"
    assert in_utc(read_instant("2018-07-15 12:00:00 horário de Brasília").first) == "2018-07-15T15:00:00Z"
    assert in_utc(read_instant("2018-01-15 12:00:00 GMT-3").first) == "2018-01-15T15:00:00Z"


def test_a_time_that_was_skipped_or_came_twice_is_refused_with_what_may_be_meant() -> None:
    with pytest.raises(MistypedError, match="never was"):
        read_instant("2018-11-04 00:30:00 America/Sao_Paulo")
    with pytest.raises(MistypedError, match=r"2018-02-17 23:30:00-02:00 or 2018-02-17 23:30:00-03:00"):
        read_instant("2018-02-17 23:30:00 America/Sao_Paulo")
    assert in_utc(read_instant("2018-02-17 23:30:00 -02:00").first) == "2018-02-18T01:30:00Z"
    assert in_utc(read_instant("2018-02-17 23:30:00 -03:00").first) == "2018-02-18T02:30:00Z"


def test_now_is_now() -> None:
    assert read_instant("now", now=AT) == read_instant(" Agora ", now=AT) == Span(AT, AT)
    with pytest.raises(MistypedError):
        read_instant("now")


@pytest.mark.parametrize(("word", "seconds"), [("90s", 90), ("5m", 300), ("5 min", 300), ("1h", 3600), ("0s", 0)])
def test_margins(word: str, seconds: int) -> None:
    assert read_margin(word) == timedelta(seconds=seconds)


@pytest.mark.parametrize("word", ["", "5", "-5m", "5x", "1.5h", "169h", "999999999999h"])
def test_wrong_margins(word: str) -> None:
    with pytest.raises(MistypedError):
        read_margin(word)


def test_a_zone_alone() -> None:
    assert read_zone("GMT-3").utcoffset(AT) == timedelta(hours=-3)
    with pytest.raises(MistypedError):
        read_zone("")


def test_spans() -> None:
    span = Span(AT, AT + timedelta(seconds=9))
    assert span.meets(AT - timedelta(seconds=5), AT)
    assert span.meets(AT + timedelta(seconds=9), None)
    assert not span.meets(AT - timedelta(seconds=5), AT - MICROSECOND)
    assert not span.meets(AT + timedelta(seconds=10), None)
    assert span.within(AT + timedelta(seconds=3), None) == Span(AT + timedelta(seconds=3), span.last)
    assert span.within(AT - timedelta(seconds=3), AT - MICROSECOND) is None


@pytest.mark.parametrize(
    "word",
    [
        "20/11/2026 00:15:22 GMT-3 (horário de Brasília)",
        "20/11/2026 00:15:22 (GMT-03:00) Brasília",
        "20/11/2026 00h15min22s GMT-3",
        "20/11/2026 às 00h15min22s (horário de Brasília)",
        "20/11/2026, 00h15m22 [UTC-3]",
    ],
)
def test_r9_2_as_orders_write_it(word: str) -> None:
    assert read_instant(word).first == datetime(2026, 11, 20, 3, 15, 22, tzinfo=UTC)


@pytest.mark.parametrize("word", ["20/11/2026 00h15 Z", "20/11/2026 00h15min UTC", "20/11/2026 00:15m (UTC)"])
def test_to_the_minute_in_letters(word: str) -> None:
    assert read_instant(word).last == datetime(2026, 11, 20, 0, 15, 59, 999_999, tzinfo=UTC)


def test_a_place_that_begins_with_an_m_is_no_minute() -> None:
    assert read_instant("20/11/2026 00:15Manaus").first == datetime(2026, 11, 20, 4, 15, tzinfo=UTC)


def test_two_zones_that_do_not_agree_are_refused() -> None:
    with pytest.raises(MistypedError, match="do not agree"):
        read_instant("20/11/2026 00:15:22 GMT-4 (horário de Brasília)")
    with pytest.raises(MistypedError):
        read_instant("20/11/2026 00:15:22 GMT-3 (lua)")
