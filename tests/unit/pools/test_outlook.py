"""When a pool will be exhausted: a line through the days, and silence where it says nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaad.pools.outlook import DAYS_MAX, DAYS_MIN, Outlook, is_alarmed, outlook

WEEK = list(range(-7, 0))


def test_use_that_grows_by_ten_a_day_meets_the_size_when_it_must() -> None:
    found = outlook(WEEK, [100, 110, 120, 130, 140, 150, 160], used=100, size=260)
    assert found == Outlook(pytest.approx(10), pytest.approx(10))  # from yesterday's peak, not from tonight's low


@pytest.mark.parametrize(
    ("days", "most", "used", "expected"),
    [
        (WEEK, [100] * 7, 100, Outlook(0, None)),
        (WEEK, [160, 150, 140, 130, 120, 110, 100], 100, Outlook(pytest.approx(-10), None)),
        (WEEK[1:], [1, 2, 3, 4, 5, 6], 6, Outlook(None, None)),
        ([], [], 0, Outlook(None, None)),
        ([*WEEK[1:], 0], [1, 2, 3, 4, 5, 6, 7], 7, Outlook(None, None)),  # today goes on
        ([], [], 260, Outlook(None, 0.0)),
        (WEEK, [1, 1, 1, 1, 1, 1, 2], 2, Outlook(pytest.approx(3 / 28), pytest.approx(258 * 28 / 3))),
        (WEEK, [0, 0, 0, 1, 0, 0, 0], 0, Outlook(pytest.approx(0), None)),
    ],
)
def test_what_is_said_and_what_is_not(days, most, used, expected) -> None:
    assert outlook(days, most, used, size=260) == expected


def test_what_lies_beyond_any_plan_is_not_said() -> None:
    found = outlook(WEEK, [1, 1, 1, 1, 1, 1, 2], used=2, size=1_000_000)
    assert found.growth_per_day == pytest.approx(3 / 28)
    assert found.days_left is None


@given(st.lists(st.tuples(st.integers(-60, 0), st.integers(0, 10**12)), max_size=60, unique_by=lambda pair: pair[0]),
       st.integers(0, 10**12), st.integers(0, 10**12))  # fmt: skip
def test_it_never_fails_and_never_says_the_past(samples, used: int, size: int) -> None:
    found = outlook([day for day, _ in samples], [most for _, most in samples], used, size)
    assert found.days_left is None or found.days_left >= 0
    if sum(-DAYS_MAX <= day < 0 for day, _ in samples) < DAYS_MIN:
        assert found.growth_per_day is None
    if used >= size:
        assert found.days_left == 0


@pytest.mark.parametrize(
    ("used", "was_alarmed", "rings"),
    [(899, False, False), (900, False, True), (899, True, True), (890, True, True), (889, True, False)],
)
def test_an_alarm_does_not_swing(used: int, was_alarmed: bool, rings: bool) -> None:
    assert is_alarmed(used, 1000, 90, was_alarmed) is rings


def test_an_empty_pool_rings_nothing() -> None:
    assert not is_alarmed(0, 0, 1, was_alarmed=False)
