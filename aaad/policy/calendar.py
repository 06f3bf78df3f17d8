"""Days and hours of a branch: where an instant lies in its zone, and when a set of hours next begins or ends.

Pure. A zone is its offset from UTC (Brazil has had no summer time since 2019; who has one is given another offset
when it begins: `zone_offset_s`). A day is the number of days since 1970-01-01; a set of hours has bit 0 for 00:00
to 00:59.
"""

from datetime import datetime
from math import inf
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

ALL_HOURS = (1 << 24) - 1
_DAY_S = 86_400
_HOUR_S = 3_600
BRASILIA_OFFSET_S = -10_800  # where nothing better is known


def zone_offset_s(time_zone: str, at_s: float) -> int:
    """Return how many seconds a zone (IANA's name) is ahead of UTC at an instant; ValueError for no zone."""
    try:
        offset = datetime.fromtimestamp(at_s, ZoneInfo(time_zone)).utcoffset()
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(f"there is no time zone {time_zone!r}") from error
    return int(offset.total_seconds()) if offset is not None else 0


def local_hour(now_s: float, utc_offset_s: int) -> int:
    """Return which hour of the day it is there, 0 to 23."""
    return int((now_s + utc_offset_s) % _DAY_S // _HOUR_S)


def midnight_s(day: int, utc_offset_s: int) -> float:
    """Return the instant at which a day begins there."""
    return float(day * _DAY_S - utc_offset_s)


def hours_to_change(hours: int, hour: int) -> int:
    """Return in how many hours, from the start of this hour, being in the set or not will turn round; 0: never."""
    # Turned so that the present hour is bit 0, and seen as what differs from it.
    to_come = (hours >> hour | hours << (24 - hour)) & ALL_HOURS
    if to_come & 1:
        to_come ^= ALL_HOURS
    return (to_come & -to_come).bit_length() - 1 if to_come else 0


def hours_later_s(count: int, now_s: float, utc_offset_s: int) -> float:
    """Return the instant so many hours after the start of the present local hour."""
    return ((now_s + utc_offset_s) // _HOUR_S + count) * _HOUR_S - utc_offset_s


def next_change_s(hours: int, now_s: float, utc_offset_s: int) -> float:
    """Return when it will next be in a set of hours if it is not now, or out of it if it is; math.inf for never."""
    count = hours_to_change(hours, local_hour(now_s, utc_offset_s))
    return hours_later_s(count, now_s, utc_offset_s) if count else inf
