"""Rule R8.6: on which days and in which hours of its zone a branch blocks."""

from datetime import UTC, date, datetime

import pytest

from aaad.agenda.workdays import Closed, Workdays, day_number, easter, is_national_holiday

BRASILIA, MANAUS = -10_800, -14_400
DEFAULT = frozenset({"friday", "saturday", "sunday", "holiday", "holiday_eve"})


def at(text: str, offset_s: int = BRASILIA) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() - offset_s


@pytest.mark.parametrize(
    ("moment", "why"),
    [
        ("2026-11-23 08:00", None),  # a Monday
        ("2026-11-23 17:59", None),
        ("2026-11-23 07:59", Closed.HOURS),
        ("2026-11-23 18:00", Closed.HOURS),
        ("2026-11-27 10:00", Closed.DAY),  # Friday
        ("2026-11-28 10:00", Closed.DAY),
        ("2026-11-29 10:00", Closed.DAY),
        ("2026-11-02 10:00", Closed.HOLIDAY),
        ("2026-12-24 10:00", Closed.HOLIDAY_EVE),
        ("2025-11-20 10:00", Closed.HOLIDAY),  # a Thursday
        ("2025-11-19 10:00", Closed.HOLIDAY_EVE),
        ("2026-11-24 10:00", Closed.HOLIDAY),  # of the town
        ("2026-11-23 23:59", Closed.HOURS),
    ],
)
def test_r8_6_days_and_hours(moment: str, why: Closed | None) -> None:
    holidays = frozenset({day_number(date(2026, 11, 24))}) if moment.startswith("2026-11-24") else frozenset()
    assert Workdays(BRASILIA, DEFAULT, holidays).closed(at(moment)) is why


def test_r8_6_the_zone_is_the_branchs() -> None:
    moment = at("2026-11-23 08:30")
    assert Workdays(BRASILIA, DEFAULT).closed(moment) is None
    assert Workdays(MANAUS, DEFAULT).closed(moment) is Closed.HOURS  # it is 07:30 there


@pytest.mark.parametrize(
    ("moment", "opens"),
    [
        ("2026-11-23 10:00", "2026-11-23 10:00"),
        ("2026-11-23 19:00", "2026-11-24 08:00"),
        ("2026-11-26 18:00", "2026-11-30 08:00"),  # over the weekend
        ("2026-12-23 18:30", "2026-12-28 08:00"),  # over Christmas
    ],
)
def test_r8_6_when_it_opens(moment: str, opens: str) -> None:
    assert Workdays(BRASILIA, DEFAULT).opens_s(at(moment)) == at(opens)


def test_a_calendar_without_an_open_day_never_opens() -> None:
    assert Workdays(0, frozenset({"holiday"}), frozenset(), 9, 9).opens_s(at("2026-11-23 10:00")) is None


def test_without_days_blocks_fall_on_any() -> None:
    assert Workdays(BRASILIA, frozenset()).closed(at("2026-12-25 10:00")) is None


@pytest.mark.parametrize(
    ("year", "sunday"),
    [(2000, "2000-04-23"), (2024, "2024-03-31"), (2025, "2025-04-20"), (2026, "2026-04-05"), (2038, "2038-04-25")],
)
def test_easter(year: int, sunday: str) -> None:
    assert easter(year).isoformat() == sunday


@pytest.mark.parametrize(
    ("day", "is_one"),
    [
        ("2026-01-01", True),
        ("2026-04-03", True),  # Good Friday
        ("2026-04-21", True),
        ("2026-09-07", True),
        ("2023-11-20", False),  # the law is younger
        ("2024-11-20", True),
        ("2026-02-17", False),  # carnival is none by law
        ("2026-11-23", False),
    ],
)
def test_national_holidays(day: str, is_one: bool) -> None:
    assert is_national_holiday(day_number(date.fromisoformat(day))) is is_one
