"""The hourly checksum (rule R1.2): PostgreSQL counts and digests every login at a snapshot that a poll exported.

The feed goes on meanwhile; what the replica came to at that very snapshot is what the answer is compared with. Held
rows are no difference, since the replica's sums are those of PostgreSQL's rows as they were read. Afterwards the
change log is pruned. Decides nothing but whether there is a difference.
"""

import asyncio
from collections.abc import Callable

from aaad import clock
from aaad.db.connection import Database, Queries
from aaad.errors import StoreError
from aaad.log import get_logger
from aaad.replica import source

AFTER_START_S = 60.0  # a power cut may have cost the store its last transaction
AFTER_LOSS_S = 10.0  # a PostgreSQL that crashed with asynchronous commits may have lost some
LEAST_BETWEEN_S = 60.0
IMPORT_LIMIT_S = 5.0  # the poll waits so long for the other connection


class Checksum:
    """When the next comparison is due, the one that runs, and what came of the last."""

    def __init__(
        self,
        connect: Callable[[], Database],
        *,
        interval_s: float,
        change_log_keep_s: float,
        note_finished: Callable[[], None],
    ) -> None:
        """Make the first one due soon.

        Args:
            connect: gives a connection that nobody else waits for.
            interval_s: from one to the next.
            change_log_keep_s: how old a change must be to be pruned from the log.
            note_finished: called when one is finished; `has_difference` tells what it came to.
        """
        self._connect = connect
        self._interval_s = interval_s
        self._change_log_keep_s = change_log_keep_s
        self._note_finished = note_finished
        self._log = get_logger("replica")
        self._due_s = clock.monotonic_s() + min(AFTER_START_S, interval_s)
        self._begun_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self._expected: asyncio.Future[tuple[int, int]] | None = None
        self.has_difference = False
        self.finished_count = 0

    @property
    def is_due(self) -> bool:
        """Whether the next poll shall begin one."""
        return clock.monotonic_s() >= self._due_s and (self._task is None or self._task.done())

    def hasten(self) -> None:
        """Ask for one soon, because PostgreSQL was away."""
        now_s = clock.monotonic_s()
        least_s = self._begun_s + min(LEAST_BETWEEN_S, self._interval_s)
        self._due_s = min(self._due_s, max(least_s, now_s + min(AFTER_LOSS_S, self._interval_s)))

    async def begin(self, group: asyncio.TaskGroup, queries: Queries) -> None:
        """Begin one at the snapshot of this open transaction; returns when the other one has it, too."""
        row = await queries.fetchrow(source.STATEMENTS["export_snapshot"])
        assert row is not None  # a function's result
        self._begun_s = clock.monotonic_s()
        self._due_s = self._begun_s + self._interval_s
        imported = asyncio.Event()
        self._expected = asyncio.get_running_loop().create_future()
        self._task = group.create_task(self._run(row["name"], imported, self._expected))
        try:
            async with asyncio.timeout(IMPORT_LIMIT_S):
                await imported.wait()
        except TimeoutError:
            self.cancel()

    def expect(self, count: int, digest: int) -> None:
        """Tell what the replica came to at the snapshot of the one just begun, if there is one."""
        if self._expected is not None and not self._expected.done():
            self._expected.set_result((count, digest))
        self._expected = None

    def forget(self) -> None:
        """Drop what is known or running: the replica was built anew."""
        self.cancel()
        self.has_difference = False

    def cancel(self) -> None:
        """End the one that runs."""
        if self._task is not None:
            self._task.cancel()
        self._expected = None

    async def _run(self, snapshot: str, imported: asyncio.Event, expected: asyncio.Future[tuple[int, int]]) -> None:
        database = self._connect()
        try:
            async with database.transaction("repeatable_read", readonly=True) as queries:
                await queries.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")  # takes no parameter
                imported.set()
                found = await source.digest_logins(queries)
            self._compare(await expected, found)
            await database.fetchrow(source.STATEMENTS["prune_changes"], self._change_log_keep_s)
        except StoreError as error:
            self._log.warning("replica.checksum_failed", error=str(error))
            self.hasten()
        except Exception:  # noqa: BLE001  our own bug must not end the feed
            self._log.exception("bug", while_="comparing checksums")
        finally:
            imported.set()
            await database.close()

    def _compare(self, expected: tuple[int, int], found: tuple[int, int]) -> None:
        self.finished_count += 1
        if expected != found:
            self.has_difference = True
            self._log.error("replica.checksum_differs", replica_logins=expected[0], database_logins=found[0])
        self._note_finished()
