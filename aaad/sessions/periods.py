"""The period in which the traffic of a cap is counted: which days it is made of, and how much fits.

Pure: `today` is passed in, in the zone of the contract's branch. The kinds are the seeds' (tipo de franquia): M the
calendar month, U the last 30 days, P the contract's period from one due day to the next.

A gigabyte is 10^9 octets: the unit's legal meaning in Brazil (SI), and of one kind with the speeds, whose k and M are
powers of 1000. What counts is upload and download together.
"""

from calendar import monthrange
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple

OCTETS_PER_GIGABYTE = 10**9
_LAST_DAYS = 30


class CapKind(StrEnum):
    """In what the traffic is counted: `erp.plan.cap_kind`."""

    MONTH = "M"
    LAST_DAYS = "U"
    CONTRACT_PERIOD = "P"


class Period(NamedTuple):
    """Days, the first and the last included."""

    first: date
    last: date


def cap_period(kind: CapKind, today: date, due_day: int = 1) -> Period:
    """Return the period that `today` lies in.

    Args:
        kind: which period.
        today: in the zone of the contract's branch.
        due_day: of the contract, 1 to 31; in a shorter month it is that month's last day. Only CONTRACT_PERIOD
            asks for it.
    """
    if kind is CapKind.LAST_DAYS:
        return Period(today - timedelta(days=_LAST_DAYS - 1), today)
    day = due_day if kind is CapKind.CONTRACT_PERIOD else 1
    begins = _day_of_month(today.year, today.month, day)
    if begins > today:
        before = today.replace(day=1) - timedelta(days=1)
        begins = _day_of_month(before.year, before.month, day)
    after = begins.replace(day=1) + timedelta(days=32)
    return Period(begins, _day_of_month(after.year, after.month, day) - timedelta(days=1))


def is_used_up(octets: int, cap_gigabytes: int) -> bool:
    """Whether so much traffic reaches the cap."""
    return octets >= cap_gigabytes * OCTETS_PER_GIGABYTE


def _day_of_month(year: int, month: int, day: int) -> date:
    return date(year, month, min(day, monthrange(year, month)[1]))
