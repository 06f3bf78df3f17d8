"""Which days and hours blocks may fall in (rule R8.6): the days that a branch keeps free, and its business hours.

Pure. Days are numbers since 1970-01-01, as in `aaad.policy.calendar`. National holidays are known here (Good Friday
with them, which is one everywhere in practice); those of states and towns are rows of erp.holiday.
"""

from collections.abc import Set
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple

from aaad.policy.calendar import midnight_s

_EPOCH = date(1970, 1, 1)
_DAY_S, _HOUR_S = 86_400, 3_600
_SEARCH_DAYS = 60  # a calendar without an open day in so many has none
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_FIXED = frozenset({(1, 1), (4, 21), (5, 1), (9, 7), (10, 12), (11, 2), (11, 15), (12, 25)})
_BLACK_AWARENESS = (11, 20)
_BLACK_AWARENESS_SINCE = 2024  # law 14.759 of 2023


class Closed(StrEnum):
    """Why a moment is none for a block."""

    DAY = "no_block_day"
    HOLIDAY = "holiday"
    HOLIDAY_EVE = "holiday_eve"
    HOURS = "outside_hours"


class Workdays(NamedTuple):
    """When blocks may fall in a branch."""

    utc_offset_s: int
    free_days: frozenset[str] = frozenset()  # names of parameter no_block_days
    holidays: Set[int] = frozenset()  # besides the national ones
    from_hour: int = 8
    until_hour: int = 18

    def day_at(self, at_s: float) -> int:
        """Return which day it is there."""
        return int((at_s + self.utc_offset_s) // _DAY_S)

    def closed(self, at_s: float) -> Closed | None:
        """Return why a block may not fall in this moment, None if it may."""
        day = self.day_at(at_s)
        if why := self._closed_day(day):
            return why
        hour = int((at_s - midnight_s(day, self.utc_offset_s)) // _HOUR_S)
        return None if self.from_hour <= hour < self.until_hour else Closed.HOURS

    def opens_s(self, at_s: float) -> float | None:
        """Return the first moment for a block, from this one on; None if there is none in two months."""
        if self.closed(at_s) is None:
            return at_s
        first = self.day_at(at_s)
        for day in range(first, first + _SEARCH_DAYS):
            opening_s = midnight_s(day, self.utc_offset_s) + self.from_hour * _HOUR_S
            if opening_s >= at_s and self.closed(opening_s) is None:
                return opening_s
        return None

    def _closed_day(self, day: int) -> Closed | None:
        if _WEEKDAYS[(day + 3) % 7] in self.free_days:  # 1970-01-01 was a Thursday
            return Closed.DAY
        if "holiday" in self.free_days and self._is_holiday(day):
            return Closed.HOLIDAY
        if "holiday_eve" in self.free_days and self._is_holiday(day + 1):
            return Closed.HOLIDAY_EVE
        return None

    def _is_holiday(self, day: int) -> bool:
        return day in self.holidays or is_national_holiday(day)


def is_national_holiday(day: int) -> bool:
    """Whether all of Brazil has that day off."""
    when = _EPOCH + timedelta(days=day)
    month_day = (when.month, when.day)
    if month_day == _BLACK_AWARENESS:
        return when.year >= _BLACK_AWARENESS_SINCE
    return month_day in _FIXED or when == easter(when.year) - timedelta(days=2)


def easter(year: int) -> date:
    """Return Easter Sunday of a year of the Gregorian calendar (after Meeus, Jones and Butcher)."""
    century, of_century = divmod(year, 100)
    epact = (19 * (year % 19) + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (of_century // 4) - epact - of_century % 4) % 7
    shift = (year % 19 + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * shift + 114, 31)
    return date(year, month, day + 1)


def day_number(day: date) -> int:
    """Return a day as a number."""
    return (day - _EPOCH).days


def date_of(day: int) -> date:
    """Return a day's date."""
    return _EPOCH + timedelta(days=day)
