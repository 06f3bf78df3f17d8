"""A simulated router's API: a server that other programs log in to, in a thread of its own.

Both forms of login (the challenge before RouterOS 6.43), tags, `!empty` from 7.18, at most `sessions_max` sessions;
and what goes wrong with routers: rows that come slowly, one octet at a time, silence, a reset within a sentence, an
end with a reason, garbage. Shares no code with what asks routers.
"""

import asyncio
import contextlib
import hashlib
import hmac
import secrets
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from aaad.simulator.routeros_tables import HAS_EMPTY, PLAIN_LOGIN, Done, Router, Row, Trap
from aaad.simulator.routeros_words import Garbage, Reader, Sentence, encode_sentence

__all__ = ["Faults", "Router", "RouterosServer"]

_PIECE_OCTETS = 65536
_ROWS_IN_ONE_GO = 16  # before another command's rows have their turn
_START_S = 10.0
_WRONG_PASSWORD = "invalid user name or password (6)"  # noqa: S105
_OLD_WRONG_PASSWORD = "cannot log in"  # noqa: S105


@dataclass(slots=True)
class Faults:
    """What goes wrong, until it is changed."""

    segment_octets: int = 0  # so many octets in a TCP segment
    length_octets: int = 1  # of lengths, at least
    row_pause_s: float = 0.0
    rows_max: int | None = None  # after so many rows of a command one of these comes, else nothing any more
    is_reset: bool = False  # in mid-sentence
    fatal: str = ""
    garbage: bytes = b""
    is_silent: bool = False  # hears, and says nothing, not even at the login


class RouterosServer:
    """The API of one router; a context manager."""

    def __init__(
        self,
        router: Router,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        faults: Faults | None = None,
        sessions_max: int = 20,
    ) -> None:
        """Take what it is made of; it listens from `__enter__` on. Port 0: any, told by `port`."""
        self.router = router
        self.faults = faults or Faults()
        self.address, self.port = address, port
        self.sessions_max = sessions_max
        self.sessions_count = 0
        self.logins_count = 0
        self._tls = tls
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._failure: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="routeros", daemon=True)

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        if not self._ready.wait(_START_S) or self._failure is not None:
            raise RuntimeError("the simulated router does not listen") from self._failure
        return self

    def __exit__(self, *_: object) -> None:
        """End all connections."""
        if self._loop is not None and self._stopping is not None:
            with contextlib.suppress(RuntimeError):  # over already
                self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_START_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001  told by who waits for it
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._accept, self.address, self.port, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened = writer.get_extra_info("socket")
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sessions_count += 1
        try:
            if self.sessions_count <= self.sessions_max:
                await self._talk(_Session(self, reader, writer))
        except asyncio.CancelledError:
            pass  # the server ends
        finally:
            self.sessions_count -= 1
            writer.transport.abort()

    async def _talk(self, session: "_Session") -> None:
        try:
            await session.serve()
        except* (OSError, Garbage):
            pass  # the other side is gone, or no client of this protocol; or this one ended it


class _Session:
    """One connection."""

    def __init__(self, server: RouterosServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._router = server.router
        self._reader, self._writer = reader, writer
        self._turn = asyncio.Lock()  # of a sentence on the wire
        self._is_known = False
        self._challenge = b""
        self._running: dict[str, asyncio.Task[None]] = {}  # by tag
        self._cancelled: set[str] = set()  # tags

    async def serve(self) -> None:
        """Read sentences and answer them until the other side ends, or this one must."""
        sentences = Reader()
        async with asyncio.TaskGroup() as group:
            while octets := await self._reader.read(_PIECE_OCTETS):
                for sentence in sentences.feed(octets):
                    if self._server.faults.is_silent:
                        continue
                    if not await self._begin(sentence, group):
                        break
                else:
                    continue
                break
            for task in self._running.values():
                task.cancel()

    async def _begin(self, sentence: Sentence, group: asyncio.TaskGroup) -> bool:
        """Begin a command; tell whether the connection goes on."""
        command, words = sentence[0], sentence[1:]
        arguments, queries, tag = _parsed(words)
        if command == "/quit":
            await self._say(["!fatal", "session terminated on request"], "")
            return False
        if command == "/login":
            await self._log_in(arguments, tag)
        elif not self._is_known:
            await self._say(["!fatal", "not logged in"], "")
            return False
        elif command == "/cancel":
            for other in [arguments["tag"]] if "tag" in arguments else list(self._running):
                if other in self._running:
                    self._cancelled.add(other)
                    self._running[other].cancel()
            await self._say(["!done"], tag)
        elif tag:
            self._cancelled.discard(tag)
            self._running[tag] = group.create_task(self._carry_out(command, arguments, queries, tag))
            self._running[tag].add_done_callback(lambda _: self._running.pop(tag, None))
        else:
            await self._carry_out(command, arguments, queries, tag)
        return not self._writer.is_closing()

    async def _log_in(self, arguments: Row, tag: str) -> None:
        password = self._router.passwords.get(arguments.get("name", ""))
        if self._router.version >= PLAIN_LOGIN:
            self._is_known = password is not None and hmac.compare_digest(
                password.encode(), arguments.get("password", "").encode("utf-8", "surrogateescape")
            )
            wrong = _WRONG_PASSWORD
        elif "response" not in arguments:
            self._challenge = secrets.token_bytes(16)
            await self._say(["!done", f"=ret={self._challenge.hex()}"], tag)
            return
        else:
            right = hashlib.md5(b"\x00" + (password or "").encode() + self._challenge).hexdigest()
            self._is_known = password is not None and hmac.compare_digest("00" + right, arguments["response"])
            self._challenge = secrets.token_bytes(16)
            wrong = _OLD_WRONG_PASSWORD
        if self._is_known:
            self._server.logins_count += 1
        else:
            await self._say(["!trap", f"=message={wrong}"], tag)
        await self._say(["!done"], tag)

    async def _carry_out(self, command: str, arguments: Row, queries: list[str], tag: str) -> None:
        end = ["!done"]
        try:
            done = self._router.run(command, arguments, queries)
            if done.ret is not None:
                end.append(f"=ret={done.ret}")
            await self._tell(done, tag)
        except Trap as trap:
            category = [] if trap.category is None else [f"=category={trap.category}"]
            await self._say(["!trap", *category, f"=message={trap.message}"], tag)
        except asyncio.CancelledError:
            if tag not in self._cancelled:
                raise  # the connection ends
            await self._say(["!trap", "=category=2", "=message=interrupted"], tag)
        await self._say(end, tag)

    async def _tell(self, done: Done, tag: str) -> None:
        faults = self._server.faults
        for number, row in enumerate(done.rows):
            if faults.rows_max is not None and number >= faults.rows_max:
                await self._break_off(row)
            await self._say(["!re", *(f"={name}={value}" for name, value in row.items())], tag)
            if faults.row_pause_s or not number % _ROWS_IN_ONE_GO:
                await asyncio.sleep(faults.row_pause_s)
        if done.is_print and not done.rows and self._router.version >= HAS_EMPTY:
            await self._say(["!empty"], tag)

    async def _break_off(self, row: Row) -> None:
        """End the connection within an answer as the faults say, or say nothing any more."""
        faults = self._server.faults
        if faults.fatal:
            await self._say(["!fatal", faults.fatal], "")
        elif faults.is_reset:
            octets = encode_sentence(["!re", *(f"={name}={value}" for name, value in row.items())])
            self._writer.write(octets[: len(octets) // 2])
            await self._writer.drain()
            opened = self._writer.get_extra_info("socket")
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        elif faults.garbage:
            self._writer.write(faults.garbage)
            await self._writer.drain()
        else:
            await asyncio.Event().wait()
        raise ConnectionAbortedError

    async def _say(self, words: Sentence, tag: str) -> None:
        faults = self._server.faults
        octets = encode_sentence([*words, f".tag={tag}"] if tag else words, faults.length_octets)
        async with self._turn:
            for piece in _pieces(octets, faults.segment_octets or len(octets)):
                self._writer.write(piece)
                if faults.segment_octets:
                    await asyncio.sleep(0)
            await self._writer.drain()


def _pieces(octets: bytes, size: int) -> Iterator[bytes]:
    for place in range(0, len(octets), size):
        yield octets[place : place + size]


def _parsed(words: Sentence) -> tuple[Row, list[str], str]:
    """Return arguments, query words and tag."""
    arguments, queries, tag = {}, [], ""
    for word in words:
        if word.startswith("?"):
            queries.append(word)
        elif word.startswith("="):
            name, _, value = word[1:].partition("=")
            arguments[name] = value
        elif word.startswith(".tag="):
            tag = word.removeprefix(".tag=")
    return arguments, queries, tag
