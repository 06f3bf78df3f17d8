"""One connection to a router's API (RouterOS, plain or TLS), through librouteros.

The library gives lengths and transport; sentences are read here. So values stay the router's own words (a user name
`007` or `yes` is no number and no truth), octets that are no UTF-8 come back as they were, a `!trap` may carry
anything, and five thousand rows take a tenth of the time. One command at a time; rows, octets and time are bounded;
whatever leaves an answer half read, a timeout or a cancellation too, closes the connection, since the next command
would read the rest. Connects by itself, with a back-off during which calls fail at once.

With TLS, as it should be, the router's certificate must be issued for its address by who is trusted, or be the one of
the fingerprint, before anything is told to it. Passwords stand in no log, error or repr: the library's own sending,
which logs words, is not used.
"""

import asyncio
import hashlib
import hmac
import os
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from librouteros.connections import AsyncSocketTransport
from librouteros.exceptions import ProtocolError as LibraryError
from librouteros.protocol import decode_length, determine_length, encode_length

from aaad import clock
from aaad.errors import RouterError, RouterLoginRefused, RouterTrap, RouterUntrusted

PORT_TLS, PORT_PLAIN = 8729, 8728
BACKOFF_INITIAL_S, BACKOFF_MAX_S = 1.0, 60.0
ENCODING, KEPT = "utf-8", "surrogateescape"
_PIECE_OCTETS = 65536
_FIVE_OCTETS, _CONTROL = 0xF0, 0xF8  # first octets: of the longest form, and of no length at all
_GOODBYE_S = 1.0
_WORDS_MAX = 256  # of a sentence
_CATEGORIES = frozenset("01234567")  # of traps

Row = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterAccess:
    """Where a router's API is and as whom to log in."""

    address: str
    user: str
    password: str = field(repr=False)
    port: int | None = None  # None: the usual one
    is_tls: bool = True
    fingerprint: str = ""  # SHA-256 of its certificate, in hexadecimal; then neither name nor issuer counts
    authorities: str = field(default="", repr=False)  # in PEM; empty: those that this machine trusts

    @classmethod
    def of_nas(cls, row: Mapping[str, Any], address: str) -> "RouterAccess":
        """Return that of a row of net.nas that says as whom to ask."""
        return cls(
            address=address,
            port=row["api_port"],
            user=row["api_user"],
            password=row["api_password"],
            is_tls=row["api_tls"],
            fingerprint=row["api_fingerprint"] or "",
            authorities=row["api_ca"] or "",
        )

    @property
    def port_used(self) -> int:
        """The port, the usual one if none was said."""
        return self.port or (PORT_TLS if self.is_tls else PORT_PLAIN)

    @property
    def place(self) -> str:
        """Address and port, for people."""
        return f"[{self.address}]:{self.port_used}" if ":" in self.address else f"{self.address}:{self.port_used}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is waited for and kept at most."""

    connect_s: float = 5.0  # until the login is through
    silence_s: float = 10.0  # between two pieces of an answer
    command_s: float = 60.0
    rows: int = 200_000
    word_octets: int = 1 << 20
    answer_octets: int = 1 << 28
    backoff_max_s: float = BACKOFF_MAX_S  # between two tries to connect


class RouterApi(Protocol):
    """What can be asked of a router: all that the rooms that ask know of it."""

    async def rows(self, path: str, fields: Sequence[str] = (), where: Sequence[str] = ()) -> list[Row]:
        """Return the rows of a table, of these fields, that the query words fit; RouterError."""

    async def command(self, command: str, arguments: Mapping[str, str]) -> str:
        """Carry out a command that gives no rows; return what its end carries, such as the .id of an `add`."""

    async def watch(self, command: str, arguments: Mapping[str, str]) -> list[Row]:
        """Carry out a command that gives rows and is no `print`, such as `monitor` with `once`; RouterError."""


class RouterConnection:
    """The one connection to a router. Opened at the first call."""

    def __init__(self, access: RouterAccess, limits: Limits | None = None) -> None:
        """Take where it is; nothing is opened yet."""
        self._access = access
        self._limits = limits or Limits()
        self._sentences: _Sentences | None = None
        self._turn = asyncio.Lock()
        self._retry_at_s = 0.0
        self._backoff_s = BACKOFF_INITIAL_S
        self._last_failure = ""

    @property
    def is_connected(self) -> bool:
        """Whether it is open, as far as is known without asking."""
        return self._sentences is not None

    async def rows(self, path: str, fields: Sequence[str] = (), where: Sequence[str] = ()) -> list[Row]:
        """Return the rows of a table, of these fields, that the query words fit; RouterError."""
        words = [f"=.proplist={','.join(fields)}"] if fields else []
        answer = await self._ask([f"{path}/print", *words, *where])
        return answer.rows

    async def command(self, command: str, arguments: Mapping[str, str]) -> str:
        """Carry out a command that gives no rows; return what its end carries, such as the .id of an `add`."""
        answer = await self._ask([command, *(f"={name}={value}" for name, value in arguments.items())])
        return answer.end.get("ret", "")

    async def watch(self, command: str, arguments: Mapping[str, str]) -> list[Row]:
        """Carry out a command that gives rows and is no `print`, such as `monitor` with `once`; RouterError."""
        answer = await self._ask([command, *(f"={name}={value}" for name, value in arguments.items())])
        return answer.rows

    async def close(self) -> None:
        """End the connection. A later call would open it again."""
        sentences, self._sentences = self._sentences, None
        if sentences is not None:
            await sentences.say_goodbye()

    async def _ask(self, words: list[str]) -> "_Answer":
        async with self._held() as sentences:
            try:
                async with asyncio.timeout(self._limits.command_s):
                    return await sentences.ask(words)
            except TimeoutError:
                text = f"no end of the answer to {words[0]} within {self._limits.command_s:g} s"
                raise RouterError(f"{self._access.place}: {text}") from None

    @asynccontextmanager
    async def _held(self) -> AsyncIterator["_Sentences"]:
        try:
            async with asyncio.timeout(self._limits.command_s):
                await self._turn.acquire()
        except TimeoutError:
            raise RouterError(f"{self._access.place}: another command takes too long") from None
        try:
            if self._sentences is None:
                await self._connect()
            assert self._sentences is not None
            yield self._sentences
        except RouterTrap:
            raise
        except BaseException:  # cancelled, too: what else comes of the answer is not known
            self._abort()
            raise
        finally:
            self._turn.release()

    def _abort(self) -> None:
        sentences, self._sentences = self._sentences, None
        if sentences is not None:
            sentences.abort()

    async def _connect(self) -> None:
        now_s = clock.monotonic_s()
        if now_s < self._retry_at_s:
            raise RouterError(f"{self._access.place}: {self._last_failure}")
        try:
            self._sentences = await connect(self._access, self._limits)
        except RouterError as error:
            self._last_failure = str(error).removeprefix(f"{self._access.place}: ")
            self._retry_at_s = clock.monotonic_s() + self._backoff_s
            self._backoff_s = min(self._backoff_s * 2, self._limits.backoff_max_s)
            raise
        self._backoff_s = BACKOFF_INITIAL_S


async def connect(access: RouterAccess, limits: Limits) -> "_Sentences":
    """Open a connection, believe its certificate, and log in; RouterError if one of it fails."""
    sentences: _Sentences | None = None
    is_through = False
    try:
        async with asyncio.timeout(limits.connect_s):
            reader, writer = await asyncio.open_connection(
                access.address, access.port_used, ssl=_tls_of(access) if access.is_tls else None
            )
            sentences = _Sentences(access.place, AsyncSocketTransport(reader, writer), limits)
            _believe(access, writer)
            await _log_in(sentences, access)
        is_through = True
    except (OSError, RouterTrap) as error:
        raise _told(error, access, limits) from None
    finally:
        if sentences is not None and not is_through:
            sentences.abort()
    return sentences


def _told(error: OSError | RouterTrap, access: RouterAccess, limits: Limits) -> RouterError:
    """Return the failure to connect as one of ours, without anything that was sent."""
    if isinstance(error, RouterTrap):
        return RouterLoginRefused(f"{access.place}: {error.message}")
    if isinstance(error, TimeoutError):
        return RouterError(f"{access.place}: no login within {limits.connect_s:g} s")
    if isinstance(error, ssl.SSLCertVerificationError):  # an OSError, as every error of TLS
        return RouterUntrusted(f"{access.place}: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return RouterError(f"{access.place}: no TLS: {error.reason or error}")
    return RouterError(f"{access.place}: {os.strerror(error.errno) if error.errno else error}")


def _tls_of(access: RouterAccess) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=access.authorities or None)
    except ssl.SSLError:
        raise RouterUntrusted(f"{access.place}: the pinned authorities are no certificates") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if access.fingerprint:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # `_believe` looks at it instead
    return context


def _believe(access: RouterAccess, writer: asyncio.StreamWriter) -> None:
    if not access.is_tls or not access.fingerprint:
        return
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
    found = hashlib.sha256(certificate).hexdigest()
    if not hmac.compare_digest(found, access.fingerprint):
        raise RouterUntrusted(f"{access.place}: its certificate has the fingerprint {found}")


async def _log_in(sentences: "_Sentences", access: RouterAccess) -> None:
    """Log in: with the password, or with an answer to the challenge that RouterOS gives before 6.43."""
    answer = await sentences.ask(["/login", f"=name={access.user}", f"=password={access.password}"])
    if "ret" not in answer.end:
        return
    try:
        challenge = bytes.fromhex(answer.end["ret"])
    except ValueError:
        raise RouterError(f"{access.place}: a challenge that is none") from None
    digest = hashlib.md5(b"\x00" + access.password.encode() + challenge, usedforsecurity=False).hexdigest()
    await sentences.ask(["/login", f"=name={access.user}", f"=response=00{digest}"])


@dataclass(slots=True)
class _Answer:
    """What came of one command."""

    rows: list[Row] = field(default_factory=list)
    end: Row = field(default_factory=dict)


class _Sentences:
    """Sentences over the library's transport, read from a buffer; none is logged."""

    def __init__(self, place: str, transport: AsyncSocketTransport, limits: Limits) -> None:
        self._transport = transport
        self._place = place
        self._limits = limits
        self._octets = bytearray()
        self._read_to = 0  # of them
        self._answer_octets = 0

    async def ask(self, words: list[str]) -> _Answer:
        """Send a command and read its answer to the end; RouterTrap if it was refused, RouterError."""
        self._answer_octets = 0
        try:
            async with asyncio.timeout(self._limits.silence_s):
                await self._transport.write(b"".join([*map(_encoded, words), b"\x00"]))
        except TimeoutError:
            raise self._error(f"takes no octets for {self._limits.silence_s:g} s") from None
        except OSError as error:
            raise self._error(error.strerror or str(error)) from None
        return await self._read_answer()

    async def _read_answer(self) -> _Answer:
        answer = _Answer()
        traps: list[Row] = []
        while True:
            kind, words = await self._sentence()
            if kind == "!re":
                if len(answer.rows) >= self._limits.rows:
                    raise self._error(f"more than {self._limits.rows} rows")
                answer.rows.append(dict(_attributes(words)))
            elif kind == "!trap":
                traps.append(dict(_attributes(words)))
            elif kind == "!done":
                answer.end = dict(_attributes(words))
                break
            elif kind == "!fatal":
                raise self._error(", ".join(words) or "the router ended the connection")
            elif kind != "!empty":
                raise self._error(f"an answer that is none: {kind[:40]!r}")
        if traps:
            category = traps[0].get("category", "")
            message = "; ".join(trap.get("message", "no reason") for trap in traps)
            raise RouterTrap(message, int(category) if category in _CATEGORIES else None)
        return answer

    async def _sentence(self) -> tuple[str, tuple[str, ...]]:
        """Return the first word of the next sentence that has any, and its other words."""
        words: list[str] = []
        while True:
            word = self._next_word()
            if word is None:
                await self._read_more()
            elif word:
                if len(words) >= _WORDS_MAX:
                    raise self._error(f"a sentence of more than {_WORDS_MAX} words")
                words.append(word.decode(ENCODING, KEPT))
            elif words:
                return words[0], tuple(words[1:])

    def _next_word(self) -> bytes | None:
        """Return the next word of what was read, None if it is not whole yet."""
        begin, octets = self._read_to, self._octets
        if begin >= len(octets):
            return None
        size = self._length_octets(octets[begin])
        if begin + size > len(octets):
            return None
        written = bytes(octets[begin : begin + size])
        length = int.from_bytes(written[1:], "big") if written[0] == _FIVE_OCTETS else decode_length(written)
        if length > self._limits.word_octets:
            raise self._error(f"a word of {length} octets")
        end = begin + size + length
        if end > len(octets):
            return None
        self._read_to = end
        return bytes(octets[begin + size : end])

    def _length_octets(self, first: int) -> int:
        if first >= _CONTROL:
            raise self._error(f"the control octet {first:#x}")
        try:
            return 5 if first >= _FIVE_OCTETS else 1 + determine_length(bytes([first]))
        except LibraryError:
            raise self._error(f"the first octet {first:#x}") from None

    async def _read_more(self) -> None:
        del self._octets[: self._read_to]
        self._read_to = 0
        try:
            async with asyncio.timeout(self._limits.silence_s):
                came = await self._transport.reader.read(_PIECE_OCTETS)
        except TimeoutError:
            raise self._error(f"silent for {self._limits.silence_s:g} s") from None
        except OSError as error:
            raise self._error(error.strerror or str(error)) from None
        if not came:
            raise self._error("the connection ended")
        self._answer_octets += len(came)
        if self._answer_octets > self._limits.answer_octets:
            raise self._error(f"an answer of more than {self._limits.answer_octets} octets")
        self._octets += came

    def _error(self, text: str) -> RouterError:
        return RouterError(f"{self._place}: {text}")

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.writer.transport.abort()

    async def say_goodbye(self) -> None:
        """End the connection."""
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._transport.close()
        except (TimeoutError, OSError):
            pass
        finally:
            self.abort()


def _encoded(word: str) -> bytes:
    octets = word.encode(ENCODING, KEPT)
    return bytes(encode_length(len(octets))) + octets


def _attributes(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield names and values; a value may hold an equals sign, and be empty."""
    for word in words:
        if word.startswith("="):
            name, _, value = word[1:].partition("=")
            yield name, value
