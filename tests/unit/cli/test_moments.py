"""Times typed for reports: what is meant without a zone, ends that are included, and what is refused."""

from datetime import UTC, date, datetime, timedelta

import pytest

from aaad.cli.moments import read_beginning, read_days, read_end
from aaad.errors import MistypedError
from aaad.sessions.reports import Moment

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("word", "local"),
    [
        ("2026-11-01", datetime(2026, 11, 1)),
        ("01/11/2026", datetime(2026, 11, 1)),
        ("2026-11", datetime(2026, 11, 1)),
        ("11/2026", datetime(2026, 11, 1)),
        ("2026-11-01 10:30", datetime(2026, 11, 1, 10, 30)),
        ("2026-11-01T10:30:15", datetime(2026, 11, 1, 10, 30, 15)),
        ("01/11/2026 10:30", datetime(2026, 11, 1, 10, 30)),
    ],
)
def test_without_a_zone_it_is_local_time_and_the_instant_beside_it_lies_before_it_everywhere(word, local):
    read = read_beginning("--from", word, NOW)
    assert read.local == local
    assert read.at == local.replace(tzinfo=UTC) - timedelta(hours=14)


@pytest.mark.parametrize(
    ("word", "until"),
    [
        ("2026-11-01", datetime(2026, 11, 2)),
        ("2026-12", datetime(2027, 1, 1)),
        ("2026-11-01 10:30", datetime(2026, 11, 1, 10, 31)),
        ("2026-11-01 10:30:15", datetime(2026, 11, 1, 10, 30, 16)),
        ("31/12/2026", datetime(2027, 1, 1)),
    ],
)
def test_an_end_includes_all_that_is_written(word, until):
    read = read_end("--to", word, NOW)
    assert read.local == until
    assert read.at == until.replace(tzinfo=UTC) + timedelta(hours=12)


@pytest.mark.parametrize(
    ("word", "at"),
    [
        ("2026-11-01 10:30 -03:00", datetime(2026, 11, 1, 13, 30, tzinfo=UTC)),
        ("2026-11-01 10:30 GMT-3", datetime(2026, 11, 1, 13, 30, tzinfo=UTC)),
        ("2026-11-01T10:30Z", datetime(2026, 11, 1, 10, 30, tzinfo=UTC)),
        ("2026-11-01 10:30 UTC", datetime(2026, 11, 1, 10, 30, tzinfo=UTC)),
        ("2026-11-01 10:30 America/Manaus", datetime(2026, 11, 1, 14, 30, tzinfo=UTC)),
        ("2018-12-01 10:30 America/Sao_Paulo", datetime(2018, 12, 1, 12, 30, tzinfo=UTC)),  # summer time
        ("2h", NOW - timedelta(hours=2)),
        ("30min", NOW - timedelta(minutes=30)),
        ("7d", NOW - timedelta(days=7)),
    ],
)
def test_with_a_zone_or_as_how_long_ago_it_is_an_instant(word, at):
    assert read_beginning("--since", word, NOW) == Moment(at)


@pytest.mark.parametrize(
    "word",
    [
        "", "yesterday", "2026", "2026-13-01", "2026-02-30", "2026-11-01 25:00", "2026-11 10:30", "1026-01-01",
        "2026-11-01 10:30 Mars/Olympus", "2026-11-01 10:30 Etc/GMT+3", "2026-11-01 10:30 +15:00", "2026-11-01 -03:00",
        "20261101", "1000000d", "２０２６-11-01",
    ],
)  # fmt: skip
def test_what_cannot_be_names_the_option_and_what_is_allowed(word):
    with pytest.raises(MistypedError) as told:
        read_beginning("--since", word, NOW)
    assert str(told.value).startswith(f"--since: {word!r}")
    assert "Allowed" in str(told.value)


def test_days_for_usage_are_days_or_months():
    assert read_days("--from", "2026-02") == (date(2026, 2, 1), date(2026, 2, 28))
    assert read_days("--from", "03/02/2026") == (date(2026, 2, 3), date(2026, 2, 3))
    for word in ("2026-02-03 10:00", "7d", "x"):
        with pytest.raises(MistypedError, match="--from"):
            read_days("--from", word)
