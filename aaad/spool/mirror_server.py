"""Keeps copies of other nodes' spools: the mirror's end of the connections (rule R6.4).

One connection per spool; a newer one of the same spool takes the older one's place, whose owner is dead or starts
anew. Each must prove the secret before more than a greeting is read of it. Looking through what is there takes long
if it is much: one copy at a time, in a thread of its own, while its owner is told that somebody is at it. Octets are
confirmed once they are on this disk, which is used in threads. Whoever sends what he must not is told so, counted and
cut off; nothing that comes in ends this service.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from aaad.clock import monotonic_s, pause, wall_s
from aaad.errors import SpoolError
from aaad.log import get_logger
from aaad.metrics import CounterFile
from aaad.spool.mirror_disk import MirroredSpool, MirrorFull, OutOfOrder, Room, Sync
from aaad.spool.mirror_frames import (
    LENGTH_OCTETS,
    NONCE_OCTETS,
    VERSION,
    Ack,
    Begin,
    Cause,
    Challenge,
    Data,
    Held,
    Hello,
    Look,
    Message,
    Ping,
    Ready,
    Refusal,
    Seal,
    SecretError,
    Welcome,
    Working,
    decode_message,
    encode_message,
    frame_length,
    framed,
    seals,
)

CONNECTIONS_MAX = 64
GREETING_S = 5.0
SILENCE_S = 15.0  # an owner asks every second whether we are there
WORD_S = 1.0  # who waits for us is told so often that we are at it
REPLACING_S = 600.0  # until the one before is through with what it looks through
PUBLISH_EVERY_S = 5.0
REFUSALS_LOGGED_MAX = 10  # in PUBLISH_EVERY_S; all are counted

MIRROR_SERVER_COUNTERS = [
    "aaad_mirror_batches_total",
    "aaad_mirror_octets_total",
    *(f"aaad_mirror_refused_total|cause={cause}" for cause in Cause),
    "aaad_mirror_segments_removed_total",
    "aaad_mirror_segments_superseded_total",
    "aaad_mirror_open_connections",
    "aaad_mirror_bytes",
]

_Found = TypeVar("_Found")
_log = get_logger("mirror")


class _Refused(Exception):  # noqa: N818  reads as the sentence it prints
    """The connection ends, and the other side is told why."""

    def __init__(self, cause: Cause, why: str) -> None:
        super().__init__(why)
        self.cause = cause


class _Connection:
    """One owner's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.outgoing: Seal | None = None
        self.incoming: Seal | None = None
        self.is_proved = False
        self.is_replaced = False
        self.ended = asyncio.Event()

    async def content(self, limit_s: float) -> bytes:
        async with asyncio.timeout(limit_s):
            head = await self.reader.readexactly(LENGTH_OCTETS)
            return await self.reader.readexactly(frame_length(head, is_sealed=self.is_proved))

    async def message(self, limit_s: float) -> Message:
        content = await self.content(limit_s)
        return decode_message(content) if self.incoming is None else self.incoming.open(content)

    def say(self, message: Message) -> None:
        is_sealed = self.outgoing is not None and self.is_proved
        self.writer.write(self.outgoing.seal(message) if is_sealed else framed(encode_message(message)))  # type: ignore[union-attr]

    def say_working(self) -> None:
        """Say that an answer is on its way, if anybody is there to hear it."""
        if not self.writer.transport.is_closing():
            self.say(Working())


class MirrorServer:
    """Serves the owners of spools that are mirrored here."""

    def __init__(
        self,
        listener: socket.socket,
        root: Path,
        *,
        node: str,
        secret: bytes,
        bytes_max: int,
        counters: CounterFile,
        sync: Sync = os.fdatasync,
    ) -> None:
        """Take over the listening socket. `node` is this one's own name."""
        self._listener = listener
        self._room = Room(root, bytes_max, wall_s)
        self._node = node
        self._secret = secret
        self._counters = counters
        self._sync = sync
        self._open: set[_Connection] = set()
        self._by_spool: dict[tuple[str, str, UUID], _Connection] = {}
        self._refusals_left = REFUSALS_LOGGED_MAX
        self._looker = ThreadPoolExecutor(1, "mirror-look")  # who looks through must not keep the others' disk busy

    def __repr__(self) -> str:
        """Never tell the secret."""
        return f"MirrorServer({self._node})"

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until told to stop; what is being written then is finished."""
        async with asyncio.TaskGroup() as group:

            def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                connection = _Connection(reader, writer)
                self._open.add(connection)
                group.create_task(self._guarded(connection))

            server = await asyncio.start_server(accept, sock=self._listener)
            try:
                while not stopping.is_set():
                    with suppress(OSError):  # a copy that is taken away just now, or cannot be read
                        self._publish(await asyncio.to_thread(self._room.occupied))
                    await pause(stopping, PUBLISH_EVERY_S)
                    self._refusals_left = REFUSALS_LOGGED_MAX
            finally:
                server.close()
                for connection in self._open:
                    connection.writer.transport.abort()
        self._looker.shutdown()
        self._publish(0)

    def _publish(self, octets: int) -> None:
        self._counters.set("aaad_mirror_open_connections", len(self._by_spool))
        self._counters.set("aaad_mirror_bytes", octets)

    async def _guarded(self, connection: _Connection) -> None:
        """Serve one connection; tell and count what ends it, and go on with the others."""
        try:
            await self._serve(connection)
        except _Refused as error:
            self._refuse(connection, error.cause, error)
        except SecretError as error:
            self._refuse(connection, Cause.NOT_PROVED, error)
        except OutOfOrder as error:
            self._refuse(connection, Cause.ORDER, error)
        except MirrorFull as error:
            self._refuse(connection, Cause.FULL, error)
        except SpoolError as error:
            self._refuse(connection, Cause.MALFORMED, error)
        except TimeoutError as error:
            self._refuse(connection, Cause.SILENT, error)
        except (EOFError, ConnectionError) as error:
            if connection.is_replaced:
                self._refuse(connection, Cause.REPLACED, error)
        except OSError as error:
            self._refuse(connection, Cause.DISK, error)
        except Exception:  # noqa: BLE001  a bug in one connection must not end the role
            _log.exception("mirror.bug")
        finally:
            self._open.discard(connection)
            connection.ended.set()
            connection.writer.close()

    def _refuse(self, connection: _Connection, cause: Cause, error: Exception) -> None:
        self._counters.add(f"aaad_mirror_refused_total|cause={cause}")
        if self._is_to_be_logged():
            source = str((connection.writer.get_extra_info("peername") or ("?",))[0])
            _log.warning("mirror.refused", source=source, cause=cause.value, error=str(error))
        if not connection.writer.transport.is_closing():
            connection.say(Refusal(cause))

    def _is_to_be_logged(self) -> bool:
        """A stranger who knocks without end must not fill the log."""
        self._refusals_left = max(-1, self._refusals_left - 1)
        return self._refusals_left >= 0

    async def _serve(self, connection: _Connection) -> None:
        hello = await self._greet(connection)
        connection.say(Welcome())
        key = (hello.node, hello.slot, hello.spool_id)
        # Before it waits: who comes meanwhile is to wait for this one, which is then replaced, too.
        older, self._by_spool[key] = self._by_spool.get(key), connection
        try:
            await self._replace(connection, older)
            spool = await self._take(connection, hello)
            try:
                await self._begin(connection, spool, hello)
                await self._copy(connection, spool, hello)
            finally:
                spool.close()
        finally:
            if self._by_spool.get(key) is connection:
                del self._by_spool[key]

    async def _greet(self, connection: _Connection) -> Hello:
        """Let the owner prove the secret, and be ready to prove it by the first sealed word."""
        if len(self._open) > CONNECTIONS_MAX:
            raise _Refused(Cause.BUSY, f"more than {CONNECTIONS_MAX} connections")
        limit_s = monotonic_s() + GREETING_S
        hello_body = await connection.content(GREETING_S)
        hello = decode_message(hello_body)
        if not isinstance(hello, Hello):
            raise SpoolError(f"{type(hello).__name__} instead of a greeting")
        if hello.version != VERSION:
            raise _Refused(Cause.VERSION, f"version {hello.version} is spoken there, {VERSION} here")
        challenge = encode_message(Challenge(os.urandom(NONCE_OCTETS)))
        connection.incoming, connection.outgoing = seals(self._secret, hello_body, challenge)
        connection.writer.write(framed(challenge))
        if not isinstance(await connection.message(limit_s - monotonic_s()), Ready):
            raise SpoolError("the greeting was not finished")
        connection.is_proved = True
        if hello.node == self._node:
            raise _Refused(Cause.SELF, "a node's own disk is no second one")
        return hello

    async def _replace(self, connection: _Connection, older: _Connection | None) -> None:
        if older is None:
            return
        older.is_replaced = True
        older.writer.transport.abort()
        async with asyncio.timeout(REPLACING_S):
            while not older.ended.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(WORD_S):
                        await older.ended.wait()
                connection.say_working()
        if connection.is_replaced:  # only now: who waits for this one relies on that nobody else has the copy then
            raise _Refused(Cause.REPLACED, "a newer connection came while it waited for an older one")

    async def _looked(self, connection: _Connection, step: Callable[[], _Found]) -> _Found:
        """Do what may take long, after those who asked before; who waits for it is told that somebody is there."""
        future = asyncio.get_running_loop().run_in_executor(self._looker, step)
        while not (await asyncio.wait((future,), timeout=WORD_S))[0]:
            connection.say_working()
        return future.result()

    async def _take(self, connection: _Connection, hello: Hello) -> MirroredSpool:
        def take() -> MirroredSpool:
            return MirroredSpool(
                self._room, node=hello.node, slot=hello.slot, spool_id=hello.spool_id, sync=self._sync
            )

        try:
            return await self._looked(connection, take)
        except BlockingIOError:
            raise _Refused(Cause.HELD, "another process has the copy open") from None

    async def _begin(self, connection: _Connection, spool: MirroredSpool, hello: Hello) -> None:
        """Let the owner see what is there until he knows from where on it is not his."""
        while True:
            message = await connection.message(SILENCE_S)
            match message:
                case Look(before):
                    connection.say(Held(await self._looked(connection, partial(spool.held, before))))
                    await connection.writer.drain()
                case Begin(segment):
                    self._tell_superseded(hello, await self._looked(connection, partial(spool.begin, segment)))
                    connection.say(Ack(*spool.position))
                    _log.info("mirror.begun", node=hello.node, slot=hello.slot, at=spool.position)
                    return
                case _:
                    raise SpoolError(f"{type(message).__name__} is nothing to begin with")

    def _tell_superseded(self, hello: Hello, numbers: list[int]) -> None:
        if numbers:
            self._counters.add("aaad_mirror_segments_superseded_total", len(numbers))
            _log.warning(
                "mirror.superseded", node=hello.node, slot=hello.slot, first=min(numbers), segments=len(numbers)
            )

    async def _copy(self, connection: _Connection, spool: MirroredSpool, hello: Hello) -> None:
        while True:
            message = await connection.message(SILENCE_S)
            match message:
                case Data():
                    await asyncio.to_thread(spool.write, message)
                    self._counters.add("aaad_mirror_batches_total")
                    self._counters.add("aaad_mirror_octets_total", len(message.octets))
                    removed, self._room.removed = self._room.removed, 0
                    self._counters.add("aaad_mirror_segments_removed_total", removed)
                    self._tell_superseded(hello, spool.take_superseded())
                case Ping():
                    pass
                case _:
                    raise SpoolError(f"{type(message).__name__} is nothing for a mirror")
            connection.say(Ack(*spool.position))
            await connection.writer.drain()
