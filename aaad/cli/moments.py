"""Times as operators type them for reports: a day, a month, a minute, an instant with its zone, or how long ago.

What is written without a zone means the time in each session's own zone (its branch's, as of its beginning): a report
from 2026-11-01 begins where that day began for the customer. What is written to the day means the whole day, as an
end, too. Legal questions are stricter: they refuse times without a zone.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from aaad.errors import MistypedError
from aaad.sessions.instants import read_zone
from aaad.sessions.reports import Moment

_AHEAD_MOST = timedelta(hours=14)  # no zone is farther from UTC, to the east
_BEHIND_MOST = timedelta(hours=12)  # and to the west
_YEARS = range(1990, 2200)
_MOMENT = re.compile(
    r"(?:(?P<year>\d{4})-(?P<month>\d{2})(?:-(?P<day>\d{2}))?"
    r"|(?:(?P<day_first>\d{2})/)?(?P<month_second>\d{2})/(?P<year_last>\d{4}))"
    r"(?:[T ](?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?(?: ?(?P<zone>\S.*))?)?",
    re.ASCII,
)
_AGO = re.compile(r"(\d{1,5})(s|min|h|d)", re.ASCII)
_AGO_UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days"}


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


_DAYS_ALLOWED = _("{option}: {word} is not valid. Allowed: a day or a month (2026-11-01, 01/11/2026, 2026-11)")
_ALLOWED = _(
    "{option}: {word} is not valid. Allowed: a day or a month (2026-11-01, 01/11/2026, 2026-11), a time "
    "(2026-11-01 10:30, with seconds or not) in the session's zone, or with a zone behind it "
    "(2026-11-01 10:30 -03:00, UTC, America/Manaus), or how long ago (30min, 2h, 7d)"
)


class _Local(NamedTuple):
    first: datetime  # without a zone
    until: datetime  # first that is not meant any more
    zone: str


def read_beginning(option: str, word: str, now: datetime) -> Moment:
    """Return the first instant that a word names; MistypedError names the option and says what is allowed."""
    return _read(option, word, now, is_end=False)


def read_end(option: str, word: str, now: datetime) -> Moment:
    """Return the instant at which what a word names is over; MistypedError as above."""
    return _read(option, word, now, is_end=True)


def read_days(option: str, word: str) -> tuple[date, date]:
    """Return the first and the last day of a day or month; MistypedError as above."""
    local = _local(word)
    if local is None or local.until - local.first < timedelta(days=1):
        raise MistypedError(_DAYS_ALLOWED, option=option, word=repr(word))
    return local.first.date(), (local.until - timedelta(days=1)).date()


def _read(option: str, word: str, now: datetime, *, is_end: bool) -> Moment:
    if ago := _AGO.fullmatch(word):
        return Moment(now - timedelta(**{_AGO_UNITS[ago[2]]: int(ago[1])}))
    local = _local(word)
    if local is None:
        raise MistypedError(_ALLOWED, option=option, word=repr(word))
    at = local.until if is_end else local.first
    if not local.zone:
        return _moment(at, is_end=is_end)
    try:
        zone = read_zone(local.zone)
    except MistypedError:
        raise MistypedError(_ALLOWED, option=option, word=repr(word)) from None
    return Moment(at.replace(tzinfo=zone).astimezone(UTC))


def _moment(local: datetime, *, is_end: bool) -> Moment:
    in_utc = local.replace(tzinfo=UTC)
    return Moment(in_utc + _BEHIND_MOST if is_end else in_utc - _AHEAD_MOST, local)


def _local(word: str) -> _Local | None:
    if not (found := _MOMENT.fullmatch(word.strip())):
        return None
    day = found["day"] or found["day_first"]
    if found["hour"] and not day:
        return None
    try:
        first = datetime(  # noqa: DTZ001  the zone is the session's, or comes behind it
            int(found["year"] or found["year_last"]),
            int(found["month"] or found["month_second"]),
            int(day or 1),
            int(found["hour"] or 0),
            int(found["minute"] or 0),
            int(found["second"] or 0),
        )
    except ValueError:
        return None
    if first.year not in _YEARS:
        return None
    if not day:
        until = (first + timedelta(days=32)).replace(day=1)
    elif not found["hour"]:
        until = first + timedelta(days=1)
    else:
        until = first + (timedelta(seconds=1) if found["second"] else timedelta(minutes=1))
    return _Local(first, until, found["zone"] or "")
