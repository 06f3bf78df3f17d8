"""Asks a line's provider over HTTP: one request, one connection, everything limited.

The whole request has one deadline, however slowly the answer comes; an answer has at most so many octets; redirects
are not followed, proxies of the environment not used, cookies not kept. By http.client in threads of our own, since
nothing here needs an HTTP client otherwise. Never logs and never tells what was sent.
"""

import asyncio
import http.client
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

from aaad import clock
from aaad.orders.line_driver import ANSWER_OCTETS_MAX, Driver, Fault, Reply, Request

THREADS = 16
_GRACE_S = 2.0  # a name server that does not answer keeps a thread; nobody waits for it


class LineClient:
    """The requests of one process."""

    def __init__(self) -> None:
        """Nothing is opened yet."""
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="line")

    async def ask(self, driver: Driver, request: Request) -> Reply | Fault:
        """Send a request and return what was answered."""
        exchange = _Exchange(driver, request)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(driver.timeout_s + _GRACE_S):
                watch = loop.call_later(driver.timeout_s, exchange.cut)
                try:
                    return await loop.run_in_executor(self._threads, exchange.run)
                finally:
                    watch.cancel()
        except TimeoutError:
            return exchange.fault
        finally:
            exchange.cut()  # also when we are cancelled

    def close(self) -> None:
        """Wait for nobody."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Exchange:
    """One request on one connection. `cut` ends it from another thread, whatever it waits for."""

    def __init__(self, driver: Driver, request: Request) -> None:
        self._driver, self._request = driver, request
        self._guard: socket.socket | None = None
        self._is_cut = Event()
        self.fault = Fault.UNSENT

    def cut(self) -> None:
        self._is_cut.set()
        guard, self._guard = self._guard, None
        if guard is not None:
            with suppress(OSError):
                guard.shutdown(socket.SHUT_RDWR)
            guard.close()

    def run(self) -> Reply | Fault:
        connection: http.client.HTTPConnection | None = None
        if self._is_cut.is_set():  # while it waited for a thread
            return self.fault
        try:
            connection = self._connect()
            if self._is_cut.is_set():
                return self.fault
            self.fault = Fault.SILENT
            request = self._request
            connection.request(request.method, request.path, request.body, {**request.headers, "Connection": "close"})
            return self._answer(connection)
        except http.client.HTTPException:
            return Fault.SILENT if self._is_cut.is_set() or self.fault is Fault.UNSENT else Fault.UNREADABLE
        except (OSError, ValueError):
            return self.fault
        finally:
            if connection is not None:
                connection.close()
            self.cut()

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._request.endpoint
        timeout_s = float(self._driver.timeout_s)
        connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        plain = socket.create_connection((host, port), timeout_s)
        try:
            self._guard = plain.dup()  # shutting this down ends the connection, in whatever hands it is
            if self._is_cut.is_set():
                self.cut()
            connection.sock = _secured(plain, self._driver, host) if self._request.is_tls else plain
        except BaseException:
            plain.close()
            raise
        return connection

    def _answer(self, connection: http.client.HTTPConnection) -> Reply | Fault:
        deadline_s = clock.monotonic_s() + self._driver.timeout_s
        response = connection.getresponse()
        pieces: list[bytes] = []
        octets = 0
        while piece := response.read1(16_384):
            pieces.append(piece)
            octets += len(piece)
            if octets > ANSWER_OCTETS_MAX:
                return Fault.UNREADABLE
            if self._is_cut.is_set() or clock.monotonic_s() > deadline_s:
                return Fault.SILENT
        if self._is_cut.is_set():
            return Fault.SILENT
        return Reply(response.status, b"".join(pieces))


def _secured(plain: socket.socket, driver: Driver, host: str) -> ssl.SSLSocket:
    context = ssl.create_default_context(cadata=driver.ca or None)
    if not driver.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain, server_hostname=host)
