"""A small bounded server for stream sockets that the supervisor opened: /metrics and the command line's socket.

One conversation per connection, each with a time limit; above the most connections new ones are closed at once and
counted. A peer that goes away or sends too much ends its own conversation and nothing else; our own bug in one is
logged with its traceback and ends that one only.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from structlog.typing import FilteringBoundLogger

Converse = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

REQUEST_OCTETS_MAX = 16_384  # the longest line or head that is read; no honest request of ours comes near


class StreamServer:
    """Serves one listening socket until it is told to stop."""

    def __init__(
        self,
        listener: socket.socket,
        converse: Converse,
        *,
        log: FilteringBoundLogger,
        connections_max: int,
        timeout_s: float,
        turned_away: Callable[[], None],
    ) -> None:
        """Take over the socket; `converse` reads one request and writes its answer."""
        self._turned_away = turned_away
        self._listener = listener
        self._converse = converse
        self._log = log
        self._connections_max = connections_max
        self._timeout_s = timeout_s
        self._open: set[asyncio.Task[None]] = set()

    async def serve(self, stopping: asyncio.Event) -> None:
        """Answer until `stopping` is set; conversations in work then end within their time limit."""
        async with asyncio.TaskGroup() as group:

            def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                if len(self._open) >= self._connections_max:
                    self._turned_away()
                    writer.transport.abort()
                    return
                task = group.create_task(self._guarded(reader, writer))
                self._open.add(task)
                task.add_done_callback(self._open.discard)

            start = asyncio.start_unix_server if self._listener.family == socket.AF_UNIX else asyncio.start_server
            server = await start(accept, sock=self._listener, limit=REQUEST_OCTETS_MAX)
            try:
                await stopping.wait()
            finally:
                server.close()

    async def _guarded(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._converse(reader, writer)
                await writer.drain()
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError, ValueError):
            pass  # gone, silent, or no request of ours
        except Exception:  # noqa: BLE001  a bug in one answer must not end the role
            self._log.exception("conversation.failed")
        finally:
            writer.close()
