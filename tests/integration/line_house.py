"""A provider of lines over real HTTP with every bad habit, and a database with one contract and its lines."""

import asyncio
import json
import threading
import time
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import asyncpg

from aaad.db.connection import Database
from aaad.metrics import CounterFile
from aaad.orders.line_course import LineStep
from aaad.orders.lines import LINE_COUNTERS, LineRunner, LineSettings

SECRET = "token-9f8e7d6c"
HURRY = LineSettings(poll_s=0.05, sweep_s=3600.0, count_s=0.2)


class Provider:
    """States of lines by identifier; `habits` say how it misbehaves."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []  # identifier, what was asked
        self.reads = 0
        self.seen_secrets: list[str] = []
        self.lies = 0  # so many times it says yes and does nothing; -1: always
        self.late_s = 0.0  # it does, and answers so long after
        self.delay_s = 0.0  # it answers nothing, and does so long after
        self.refuses = 0
        self.read_habit = ""
        self.redirects_to = ""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                provider.reads += 1
                provider.read(self)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                provider.act(self, json.loads(body))

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def read(self, handler: BaseHTTPRequestHandler) -> None:
        self.seen_secrets.append(handler.headers.get("Authorization", ""))
        state = self.states.get(handler.path.rpartition("/")[2], "?")
        match self.read_habit:
            case "garbage":
                answer(handler, 200, b"\x00\xff<html>" + SECRET.encode())
            case "huge":
                answer(handler, 200, b'{"state": "S", "x": "' + b"x" * 3_000_000 + b'"}')
            case "echo":
                answer(handler, 200, json.dumps({"state": f"no {SECRET}"}).encode())
            case "slow":
                handler.send_response(200)
                handler.send_header("Content-Length", "1000")
                handler.end_headers()
                try:
                    for _ in range(100):
                        handler.wfile.write(b" ")
                        time.sleep(0.1)
                except OSError:
                    pass
            case "no_http":
                handler.wfile.write(b"SSH-2.0-hello\r\n\r\n")
                handler.close_connection = True
            case _:
                answer(handler, 200, json.dumps({"state": state}).encode())

    def act(self, handler: BaseHTTPRequestHandler, said: dict[str, str]) -> None:
        identifier, code = said["id"], said.get("code", "toggle")
        self.asked.append((identifier, code))
        if self.redirects_to:
            handler.send_response(307)
            handler.send_header("Location", self.redirects_to)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if self.refuses:
            self.refuses -= 1
            answer(handler, 503, SECRET.encode())
            return
        if self.lies:
            self.lies -= self.lies > 0
            answer(handler, 200, b'{"ok": true}')
            return
        if self.delay_s:
            time.sleep(self.delay_s)
        now = self.states[identifier]
        self.states[identifier] = ("N" if now == "S" else "S") if code == "toggle" else code
        time.sleep(self.late_s)
        answer(handler, 200, b'{"ok": true}')


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    try:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
    except OSError:
        pass


class House:
    def __init__(self, dsn: str, db: asyncpg.Connection, provider: Provider, folder) -> None:
        self.dsn, self.db, self.provider, self.folder = dsn, db, provider, folder
        self.runners = 0

    async def driver(self, kind: str = "sip", *, toggle: bool = False, **columns: object) -> None:
        url = self.provider.url
        row: dict[str, object] = {
            "kind": kind,
            "url": f"{url}/line",
            "headers": json.dumps({"Authorization": "Bearer {secret}"}),
            "secret": SECRET,
            "body": '{"id": "{identifier}"}' if toggle else '{"id": "{identifier}", "code": "{code}"}',
            "codes": json.dumps({"active": "S", "partial": "BP", "blocked": "N"}),
            "is_toggle": toggle,
            "expected_pointer": "/ok",
            "expected_text": "true",
            "read_url": f"{url}/line/{{identifier}}",
            "read_pointer": "/state",
            "meanings": json.dumps({"S": "active", "N": "blocked", "BP": "partial_or_loss", "BR": "theft"}),
            "timeout_s": 1,
            "settle_s": 2,
        } | columns
        names = ", ".join(row)
        values = ", ".join(f"${place}" for place in range(1, len(row) + 1))
        await self.db.execute(f"INSERT INTO net.line_driver ({names}) VALUES ({values})", *row.values())

    async def line(self, kind: str = "sip", identifier: str = "2001", contract: int = 1, state: str = "S") -> int:
        self.provider.states[identifier] = state
        return await self.db.fetchval(
            "INSERT INTO erp.line (contract_id, kind, identifier) VALUES ($1, $2, $3) RETURNING id",
            contract, kind, identifier,
        )  # fmt: skip

    async def parameter(self, name: str, value: str = "S") -> None:
        await self.db.execute(
            "INSERT INTO erp.parameter (name, value) VALUES ($1, $2) ON CONFLICT (name, branch_id) "
            "DO UPDATE SET value = excluded.value", name, value,
        )  # fmt: skip

    async def access(self, status: str, contract: int = 1) -> None:
        await self.db.execute("UPDATE erp.contract SET access_status = $1 WHERE id = $2", status, contract)

    async def orders(self, line: int) -> list[asyncpg.Record]:
        return await self.db.fetch("SELECT * FROM net.network_order WHERE line_id = $1 ORDER BY id", line)

    async def row(self, line: int) -> asyncpg.Record:
        return await self.db.fetchrow("SELECT * FROM erp.line WHERE id = $1", line)

    async def until_over(self, line: int, within_s: float = 15.0) -> asyncpg.Record:
        """Wait until nothing is open of a line; return its last order."""
        async with asyncio.timeout(within_s):
            while True:
                orders = await self.orders(line)
                if orders and not any(order["is_open"] for order in orders):
                    return orders[-1]
                await asyncio.sleep(0.02)

    async def until_step(self, line: int, step: str, within_s: float = 10.0) -> asyncpg.Record:
        async with asyncio.timeout(within_s):
            while True:
                order = (await self.orders(line))[-1]
                if order["step"] == step:
                    return order
                await asyncio.sleep(0.02)

    def database(self) -> Database:
        return Database(self.dsn, connect_timeout_s=5, statement_timeout_s=5, application_name="lines")

    @asynccontextmanager
    async def running(self, node: str = "n1", settings: LineSettings = HURRY):
        self.runners += 1
        counters = CounterFile(self.folder / f"lines-{self.runners}.cnt", LINE_COUNTERS)
        database, stopping = self.database(), asyncio.Event()
        runner = LineRunner(database, node=node, counters=counters, settings=settings)
        task = asyncio.create_task(runner.run(stopping))
        try:
            yield counters
        finally:
            stopping.set()
            await task
            await database.close()


@asynccontextmanager
async def housed(dsn: str, folder):
    db = await asyncpg.connect(dsn)
    provider = Provider()
    await db.execute("INSERT INTO erp.branch (id, name) VALUES (1, 'Matriz')")
    await db.execute("INSERT INTO erp.client (id, branch_id, kind, name) VALUES (1, 1, 'F', 'Ana')")
    await db.execute(
        "INSERT INTO erp.contract (id, client_id, branch_id, kind, status) "
        "VALUES (1, 1, 1, 'T', 'A'), (2, 1, 1, 'T', 'A')"
    )
    await db.execute("INSERT INTO net.node (name) VALUES ('n1'), ('n2')")
    try:
        yield House(dsn, db, provider, folder)
    finally:
        provider.close()
        await db.close()


def steps(order: asyncpg.Record, step: LineStep | None = None) -> list[tuple[str, str]]:
    told = [(answer["step"], answer["said"]) for answer in json.loads(order["answers"])]
    return [one for one in told if step is None or one[0] == step]
