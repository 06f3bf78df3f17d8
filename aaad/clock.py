"""The only module that asks the clock; everything else is told `now`.

Wall time is Unix seconds (float) or aware UTC datetimes, monotonic time is seconds (float).
"""

import asyncio
import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

wall_s = time.time
monotonic_s = time.monotonic
monotonic_ns = time.monotonic_ns
wall_ns = time.time_ns


def utc_now() -> datetime:
    """Return the current instant as an aware datetime in UTC."""
    return datetime.now(UTC)


async def pause(wake: asyncio.Event, longest_s: float) -> None:
    """Wait for the event, but not longer than this."""
    try:
        async with asyncio.timeout(longest_s):
            await wake.wait()
    except TimeoutError:
        pass


def utc_offset_s(time_zone: str, at_s: float) -> int:
    """Return how many seconds a zone (IANA's name) is ahead of UTC at an instant; ValueError if there is none such."""
    try:
        offset = datetime.fromtimestamp(at_s, ZoneInfo(time_zone)).utcoffset()
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(f"there is no time zone {time_zone!r}") from error
    return int(offset.total_seconds()) if offset is not None else 0
