"""The periods of caps (R5.5; domain: tipo de franquia M, U and P)."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaad.sessions.periods import CapKind, cap_period, is_used_up

DAYS = st.dates(date(2020, 1, 1), date(2035, 12, 31))


@pytest.mark.parametrize(
    ("kind", "today", "due_day", "first", "last"),
    [
        ("M", date(2026, 2, 1), 1, date(2026, 2, 1), date(2026, 2, 28)),
        ("M", date(2024, 2, 29), 15, date(2024, 2, 1), date(2024, 2, 29)),
        ("M", date(2026, 12, 31), 10, date(2026, 12, 1), date(2026, 12, 31)),
        ("U", date(2026, 3, 1), 1, date(2026, 1, 31), date(2026, 3, 1)),
        ("P", date(2026, 7, 9), 10, date(2026, 6, 10), date(2026, 7, 9)),
        ("P", date(2026, 7, 10), 10, date(2026, 7, 10), date(2026, 8, 9)),
        ("P", date(2026, 1, 5), 10, date(2025, 12, 10), date(2026, 1, 9)),
        ("P", date(2026, 12, 10), 10, date(2026, 12, 10), date(2027, 1, 9)),
        # A due day that a month does not have is its last day.
        ("P", date(2026, 2, 27), 31, date(2026, 1, 31), date(2026, 2, 27)),
        ("P", date(2026, 2, 28), 31, date(2026, 2, 28), date(2026, 3, 30)),
        ("P", date(2026, 3, 30), 31, date(2026, 2, 28), date(2026, 3, 30)),
        ("P", date(2026, 3, 31), 31, date(2026, 3, 31), date(2026, 4, 29)),
        ("P", date(2024, 2, 29), 30, date(2024, 2, 29), date(2024, 3, 29)),
    ],
)
def test_r5_5_periods(kind, today, due_day, first, last):
    assert cap_period(CapKind(kind), today, due_day) == (first, last)


@given(DAYS, st.integers(1, 31), st.sampled_from([CapKind.MONTH, CapKind.CONTRACT_PERIOD]))
def test_r5_5_each_day_is_in_one_period_and_the_next_follows_at_once(today, due_day, kind):
    period = cap_period(kind, today, due_day)
    assert period.first <= today <= period.last
    assert cap_period(kind, period.first, due_day) == cap_period(kind, period.last, due_day) == period
    assert cap_period(kind, period.last + timedelta(days=1), due_day).first == period.last + timedelta(days=1)


@given(DAYS)
def test_r5_5_the_last_thirty_days_are_thirty_with_today(today):
    period = cap_period(CapKind.LAST_DAYS, today)
    assert period.last == today
    assert (period.last - period.first).days == 29


def test_a_gigabyte_is_a_thousand_million_octets():
    assert not is_used_up(499_999_999_999, 500)
    assert is_used_up(500_000_000_000, 500)
