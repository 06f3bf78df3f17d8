"""The small server is bounded: connections, time, octets; and one bad conversation harms no other."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from aaad.daemon.metrics_endpoint import HttpAnswer
from aaad.daemon.stream_server import REQUEST_OCTETS_MAX, Converse, StreamServer


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    line = await reader.readline()
    if line == b"bug\n":
        raise RuntimeError("ours")
    if line == b"":
        raise EOFError
    writer.write(line)


@asynccontextmanager
async def serving(
    converse: Converse = echo, connections_max: int = 4, timeout_s: float = 5.0
) -> AsyncIterator[tuple[list[str], int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    turned_away: list[str] = []
    server = StreamServer(
        listener,
        converse,
        log=structlog.get_logger(),
        connections_max=connections_max,
        timeout_s=timeout_s,
        turned_away=lambda: turned_away.append("one"),
    )
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(stopping))
        yield turned_away, listener.getsockname()[1]
        stopping.set()


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await reader.read()
    except ConnectionError:
        return b"reset"
    finally:
        writer.close()


async def test_a_request_is_answered() -> None:
    async with serving() as (_, port):
        assert await ask(port, b"hello\n") == b"hello\n"


async def test_a_silent_peer_is_cut_off_in_time() -> None:
    async with serving(timeout_s=0.1) as (_, port), asyncio.timeout(2):
        assert await ask(port, b"no end of line") == b""


async def test_too_long_a_request_is_cut_off() -> None:
    async with serving() as (_, port), asyncio.timeout(2):
        assert await ask(port, b"x" * (4 * REQUEST_OCTETS_MAX)) in (b"", b"reset")
        assert await ask(port, b"hello\n") == b"hello\n"


async def test_above_the_bound_connections_are_turned_away_and_counted() -> None:
    async with serving(connections_max=2) as (turned_away, port), asyncio.timeout(5):
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert await ask(port, b"hello\n") in (b"", b"reset")
        assert len(turned_away) == 1
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.05)
        assert await ask(port, b"hello\n") == b"hello\n"


async def test_a_bug_is_logged_and_ends_one_conversation_only() -> None:
    with capture_logs() as logged:
        async with serving() as (_, port):
            assert await ask(port, b"bug\n") == b""
            assert await ask(port, b"hello\n") == b"hello\n"
    assert [entry["event"] for entry in logged] == ["conversation.failed"]


async def test_a_unix_socket_is_served_too(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    server = StreamServer(
        listener, echo, log=structlog.get_logger(), connections_max=2, timeout_s=1, turned_away=lambda: None
    )
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(stopping))
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        writer.write(b"hi\n")
        assert await reader.read() == b"hi\n"
        writer.close()
        stopping.set()


@pytest.mark.parametrize(
    "request_head", [b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /metrics?x=1 HTTP/1.0\r\n\r\n"]
)
async def test_http_over_a_real_socket(request_head: bytes) -> None:
    answer = HttpAnswer(lambda: b"aaad_up 1\n", lambda: None)
    async with serving(answer.converse) as (_, port):
        got = await ask(port, request_head)
        head, _, body = got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Length: 10" in head
        assert body == b"aaad_up 1\n"
        assert await ask(port, b"HEAD /healthz HTTP/1.1\r\n\r\n") != b""
