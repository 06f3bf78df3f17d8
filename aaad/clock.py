"""The only module that asks the clock; everything else is told `now`.

Wall time is Unix seconds (float) or aware UTC datetimes, monotonic time is seconds (float).
"""

import asyncio
import time
from datetime import UTC, datetime

wall_s = time.time
monotonic_s = time.monotonic
monotonic_ns = time.monotonic_ns
wall_ns = time.time_ns
thread_s = time.thread_time  # processor time that the calling thread has used


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
