"""Takes batches from writers whose disk takes nothing, and commits them before it answers (rule R6.3).

Listens on `sync.sock`. The same fold and the same statements as the drain's; a batch that comes twice is applied
once. When PostgreSQL is away the answer is no, at once: the writer then refuses, and the NAS tries again.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from aaad.clock import pause
from aaad.db.connection import Database
from aaad.errors import SpoolError, StoreError
from aaad.log import get_logger
from aaad.metrics import CounterFile
from aaad.sessions.addresses import note_told
from aaad.sessions.entries import read_entry
from aaad.sessions.intake import Intake
from aaad.sessions.store import DrainStore
from aaad.spool.handoff import (
    LENGTH_OCTETS,
    Handoff,
    HandoffAnswer,
    decode_handoff,
    encode_message,
    message_length,
)

CONNECTIONS_MAX = 64  # one for each writer of a node, with room
LOOK_AGAIN_EVERY_S = 1.0
ACCEPT_PAUSE_S = 0.1  # out of descriptors: the connections at hand go on

HANDOFF_COUNTERS = [
    *(f"aaad_handoff_batches_total|outcome={outcome}" for outcome in ("applied", "repeated", "failed")),
    "aaad_handoff_records_total",
    "aaad_handoff_unreadable_total",
]

_log = get_logger("drain")


class HandoffServer:
    """Serves the writers' connections. Its database must not be the drain's: a backlog would keep them waiting."""

    def __init__(self, database: Database, listener: socket.socket, *, node: str, counters: CounterFile) -> None:
        """Take over the listening socket."""
        self._store = DrainStore(database, node=node)
        self._listener = listener
        self._counters = counters
        self._looks_due = 0
        self._open: set[asyncio.Task[None]] = set()
        self._working: set[asyncio.Task[None]] = set()  # with a batch that is not answered yet

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until told to stop; a batch in work is finished."""
        self._listener.setblocking(False)
        async with asyncio.TaskGroup() as group:
            accepting = group.create_task(self._accept(stopping, group))
            while not stopping.is_set():
                await pause(stopping, LOOK_AGAIN_EVERY_S)
                await self._look_again()
            accepting.cancel()
            for task in self._open - self._working:
                task.cancel()

    async def _look_again(self) -> None:
        """The drain may have begun sessions of the same devices in the same instant."""
        if self._looks_due:
            try:
                await self._store.look_again()
            except StoreError:
                return
            self._looks_due -= 1

    async def _accept(self, stopping: asyncio.Event, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                _log.error("handoff.refused", error=str(error))
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            if len(self._open) >= CONNECTIONS_MAX:
                connection.close()
                continue
            task = group.create_task(self._serve(connection, stopping))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def _serve(self, connection: socket.socket, stopping: asyncio.Event) -> None:
        try:
            reader, writer = await asyncio.open_unix_connection(sock=connection)
        except OSError:
            connection.close()
            return
        try:
            while not stopping.is_set():
                length = message_length(await reader.readexactly(LENGTH_OCTETS))
                handoff = decode_handoff(await reader.readexactly(length))
                with self._at_work():
                    writer.write(encode_message(HandoffAnswer(handoff.number, await self._apply(handoff))))
                    await writer.drain()
        except (OSError, EOFError):
            pass  # the writer went away; what it did not hear of it sends again
        except SpoolError as error:
            _log.error("handoff.unreadable", error=str(error))
        except Exception:  # noqa: BLE001  a bug in one batch must not end the role
            _log.exception("handoff.bug")
        finally:
            writer.close()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self._working.add(task)
        try:
            yield
        finally:
            self._working.discard(task)

    async def _apply(self, handoff: Handoff) -> bool:
        intake, unread = self._read(handoff)
        try:
            skipped = await self._store.apply_handoff(handoff, intake, unread)
        except StoreError as error:
            self._counters.add("aaad_handoff_batches_total|outcome=failed")
            _log.warning("handoff.failed", slot=handoff.slot, records=len(handoff.records), error=str(error))
            return False
        if skipped is not None:
            note_told(self._counters, skipped.addresses)
            if skipped.deferred:
                _log.warning("drain.deferred", slot=handoff.slot, records=skipped.deferred)
        self._looks_due = 2  # the first one only waits
        outcome = "repeated" if skipped is None else "applied"
        self._counters.add(f"aaad_handoff_batches_total|outcome={outcome}")
        self._counters.add("aaad_handoff_records_total", len(handoff.records) if skipped is not None else 0)
        return True

    def _read(self, handoff: Handoff) -> tuple[Intake, list[bytes]]:
        """Return the records, and the octets of those that cannot be read: they are deferred, and nothing is lost."""
        intake, unread = Intake(), []
        for data in handoff.records:
            try:
                intake.add(read_entry(data))
            except Exception as error:  # noqa: BLE001  one record, or our bug over it, must not hold up the others
                self._counters.add("aaad_handoff_unreadable_total")
                _log.error("handoff.unreadable", slot=handoff.slot, error=repr(error))
                unread.append(data)
        return intake, unread
