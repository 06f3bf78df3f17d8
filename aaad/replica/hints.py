"""Notifications of PostgreSQL, which wake the feed: hints only, so whatever fails here costs time and nothing else.

Also the bounded waits of the feed and of its helpers.
"""

import asyncio

from aaad.db.connection import Database
from aaad.errors import StoreError
from aaad.log import Log
from aaad.replica import source

CHANNEL = "aaad_change"
LISTEN_CHECK_S = 1.0
CLOSE_LIMIT_S = 0.5


async def follow_hints(database: Database, wake: asyncio.Event, log: Log) -> None:
    """Set `wake` at each notification, on a connection of its own, until cancelled."""
    is_listening = False
    while True:
        try:
            if is_listening:
                await database.fetchrow(source.STATEMENTS["keep_listening"])
            else:
                is_listening = True  # from now on each new connection listens by itself
                await database.listen(CHANNEL, wake.set)
        except StoreError:
            pass  # the poll tells it
        except Exception:
            log.exception("bug", while_="listening")
        await asyncio.sleep(LISTEN_CHECK_S)


async def take_leave(database: Database) -> None:
    """Close a connection, but do not wait for a frozen PostgreSQL: then it is cut."""
    try:
        async with asyncio.timeout(CLOSE_LIMIT_S):
            await database.close()
    except TimeoutError:
        pass
