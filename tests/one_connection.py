"""Plain SQL for tests that have no loop of their own: one connection to each database, not one for each statement."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import asyncpg

T = TypeVar("T")
_all: list["OneConnection"] = []


@cache
def connection(dsn: str) -> "OneConnection":
    """The one connection to this database; it lasts until the end of the run."""
    made = OneConnection(dsn)
    _all.append(made)
    return made


def close_all() -> None:
    """Give them back."""
    for one in _all:
        one.close()
    _all.clear()
    connection.cache_clear()


class OneConnection:
    """Made when it is needed, and again when it was lost.

    It has a thread of its own: whether a test is sync or async, its own loop stays untouched.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._thread = ThreadPoolExecutor(1, "one-connection")
        self._runner = asyncio.Runner()
        self._connection: asyncpg.Connection | None = None

    def execute(self, script: str) -> None:
        """Run statements that take no arguments and answer nothing."""

        async def execute() -> None:
            await (await self._connected()).execute(script, timeout=60)

        self.run(execute())

    def fetch(self, text: str, *arguments: object) -> list[asyncpg.Record]:
        """Run one statement."""

        async def fetch() -> list[asyncpg.Record]:
            return await (await self._connected()).fetch(text, *arguments, timeout=60)

        return self.run(fetch())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it in the thread."""
        return self._thread.submit(self._runner.run, work).result()

    def close(self) -> None:
        """Let the server go on without it."""
        if self._connection is not None:
            self.run(self._connection.close(timeout=5))
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self._dsn, timeout=30)
        return self._connection
