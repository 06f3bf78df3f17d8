"""A house of orders: PostgreSQL, simulated concentrators with CoA and API, and who carries orders out."""

import asyncio
import json
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from order_nas import SECRET, OrderNas
from session_rows import NOW, add_session

from aaad.db.connection import Database
from aaad.metrics import CounterFile
from aaad.orders.counted import ORDER_COUNTERS
from aaad.orders.facts import facts_path
from aaad.orders.pace import Limits
from aaad.orders.runner import OrderRunner, Settings
from aaad.orders.steps import API_LIMITS
from aaad.orders.store import OrderStore
from aaad.orders.wish import Wish
from aaad.radius.dynauth_client import DynauthClient
from aaad.simulator.granted import Granted
from aaad.simulator.methods import METHODS
from aaad.simulator.routeros import Faults, Router, RouterosServer
from aaad.simulator.temper import Temper

HURRY = Settings(
    tidy_s=0.1,
    tidy_again_s=0.3,
    poll_s=0.05,
    look_after_s=0.1,
    count_s=0.2,
    cycle_s=0.05,
    known_s=0.0,
    waiting_s=0.5,
    not_applied_s=0.05,
    stop_s=0.5,
    tries_s=(0.05, 0.05, 0.05),
    limits=Limits(at_once=8, each_second=500.0, in_hand=200, probe_initial_s=0.1, probe_max_s=0.3),
    api_limits=API_LIMITS.__class__(connect_s=0.5, silence_s=0.5, command_s=1.0, backoff_max_s=0.2),
)
SEED = """
INSERT INTO erp.branch (id, name) VALUES (1, 'Matriz');
INSERT INTO erp.client (id, branch_id, kind, name) VALUES (1, 1, 'E', 'Ana');
INSERT INTO erp.plan (id, name, upload, download) VALUES (1, 'p', '10M', '10M');
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status) VALUES (1, 1, 1, 1, 'A');
INSERT INTO erp.login (id, contract_id, name, password) VALUES (1, 1, 'ana', 'x'), (2, 1, 'bob', 'x');
INSERT INTO net.node (id, name, heartbeat_at, snapshot) VALUES (1, 'n1', now(), pg_current_snapshot());
"""
OPEN = ("todo", "doing", "waiting", "redial", "held")


class Bras:
    """A concentrator with its CoA port and, if it is a RouterOS, its API: both about the same sessions."""

    def __init__(
        self, number: int, stack: ExitStack, *, kind: str = "mikrotik", api: bool = True, **words: Any
    ) -> None:
        self.number, self.address = number, f"127.0.1.{number}"
        self.nas = stack.enter_context(OrderNas(kind=kind.replace("_", "-"), address=self.address, **words))
        self.kind = kind
        self.reads = 0
        self.api: RouterosServer | None = None
        if api:
            router = Router(identity=f"bras-{number}", aaad="a secret")
            self.faults = Faults()
            self.router = router
            router.table("/ppp/active").source = self._active
            router.table("/ppp/active").removed = self._cut
            router.table("/ip/hotspot/active").source = self._guests
            router.table("/ip/hotspot/active").removed = self._cut
            router.table("/queue/simple").source = self._queues
            router.table("/ip/firewall/address-list").source = self._lists
            router.table("/ip/firewall/address-list").removed = self._leave_list
            self.api = stack.enter_context(RouterosServer(router, address=self.address, faults=self.faults))

    def begin(
        self, session_id: str, name: str, ipv4: str = "100.64.0.1", *, hotspot: bool = False, **granted: Any
    ) -> None:
        self.nas.begin(session_id, name, ipv4)
        session = self.nas.sessions[session_id.encode()]
        session.granted = Granted(**granted)
        if hotspot:
            session.subscriber.method = METHODS["hotspot-pap"]

    def temper(self, **tempers: Temper) -> None:
        """Take orders, `coa` or `disconnect`, like this from now on."""
        self.nas.nas = replace(self.nas.nas, **tempers)

    def granted(self, session_id: str) -> Granted:
        return self.nas.sessions[session_id.encode()].granted

    @property
    def sessions(self) -> set[str]:
        return {session_id.decode() for session_id in self.nas.sessions}

    def _all(self, hotspot: bool) -> list[Any]:
        return [
            one
            for one in list(self.nas.sessions.values())
            if (one.subscriber.method is not METHODS["pap"]) == hotspot
        ]

    def _active(self):
        self.reads += 1
        for one in self._all(False):
            row = {"name": one.subscriber.name, "service": "pppoe", "caller-id": "", "uptime": "1h", "radius": "true"}
            yield row | {"address": str(ip_address(one.address)), "session-id": f"0x{one.session_id.decode()}"}

    def _guests(self):
        for one in self._all(True):
            row = {"user": one.subscriber.name, "address": str(ip_address(one.address)), "uptime": "1h"}
            yield row | {"mac-address": "AA:BB:CC:DD:EE:01", "radius": "true"}

    def _queues(self):
        for one in list(self.nas.sessions.values()):
            if one.granted.rate_limit:
                name = f"<pppoe-{one.subscriber.name}>"
                rate = one.granted.rate_limit.replace("M", "000000").split()[0]
                yield {"name": name, "target": f"{ip_address(one.address)}/32", "max-limit": rate, "dynamic": "true"}

    def _lists(self):
        for one in list(self.nas.sessions.values()):
            for name in one.granted.address_lists:
                yield {"list": name, "address": str(ip_address(one.address)), "dynamic": "true", "comment": ""}

    def _leave_list(self, row: dict[str, str]) -> None:
        for one in list(self.nas.sessions.values()):
            if row["dynamic"] == "true" and str(ip_address(one.address)) == row["address"]:
                left = tuple(name for name in one.granted.address_lists if name != row["list"])
                one.granted = one.granted._replace(address_lists=left)

    def _cut(self, row: dict[str, str]) -> None:
        for session_id, one in list(self.nas.sessions.items()):
            if str(ip_address(one.address)) == row["address"]:
                del self.nas.sessions[session_id]


class House:
    """The database, its orders and concentrators."""

    def __init__(self, dsn: str, db: asyncpg.Connection, tmp_path: Path, stack: ExitStack) -> None:
        self.dsn, self.db, self.tmp_path, self.stack = dsn, db, tmp_path, stack
        self.database = Database(dsn, connect_timeout_s=5, statement_timeout_s=10, application_name="test")
        self.store = OrderStore(self.database)

    async def add_bras(
        self, number: int = 1, *, node: int | None = 1, coa_port: int | None = None, **words: Any
    ) -> Bras:
        bras = Bras(number, self.stack, **words)
        await self.db.execute(
            "INSERT INTO net.nas (id, name, address, secret, kind, coa_port, api_port, api_tls, api_user, "
            "api_password) VALUES ($1, $2, $3::text::cidr, $4, $5, $6, $7, false, $8, $9)",
            number,
            f"bras-{number}",
            bras.address,
            SECRET.decode(),
            bras.kind,
            coa_port or bras.nas.port,
            bras.api.port if bras.api else None,
            "aaad" if bras.api else None,
            "a secret" if bras.api else None,
        )
        await self.db.execute(
            "INSERT INTO net.router (id, nas_id, source_address, nas_identifier, accounting_at) "
            "VALUES ($1, $1, $2, $3, now())",
            number,
            bras.address,
            b"bras-01",
        )
        if node is not None:
            await self.db.execute(
                "INSERT INTO net.nas_server (router_id, node_id, local_address, last_heard) "
                "VALUES ($1, $2, $3, now())",
                number,
                node,
                "127.0.0.1",
            )
        return bras

    async def begin(
        self, bras: Bras, session_id: str = "81a00001", name: str = "ana", ipv4: str = "100.64.0.1", *,
        lives: bool = True, hotspot: bool = False, granted: dict[str, Any] | None = None, **columns: Any,
    ) -> tuple[UUID, int]:  # fmt: skip
        """Begin a session, in the concentrator and as accounting tells of it."""
        if lives:
            bras.begin(session_id, name, ipv4, hotspot=hotspot, **(granted or {}))
        values = {
            "login_id": 1, "user_name": name, "acct_session_id": session_id, "nas_id": bras.number,
            "source_address": bras.address, "nas_identifier": b"bras-01", "ipv4": ipv4, "interim_s": 300,
            "started": NOW, "heard": NOW,
        } | columns  # fmt: skip
        return await add_session(self.db, **values), 0

    async def order(self, *wishes: Wish) -> list[int]:
        return [put.order_id for put in await self.store.put(wishes)]

    @asynccontextmanager
    async def running(self, settings: Settings = HURRY, node: str = "n1"):
        """Have a node that carries out orders."""
        counters = CounterFile(self.tmp_path / f"{node}.cnt", ORDER_COUNTERS)
        database = Database(self.dsn, connect_timeout_s=5, statement_timeout_s=10, application_name=node)
        runner = OrderRunner(
            database,
            DynauthClient(),
            node=node,
            counters=counters,
            settings=settings,
            facts_path=facts_path(self.tmp_path, node),
        )
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(runner.run(stopping))
            runner.counters = counters
            try:
                yield runner
            finally:
                stopping.set()
                await running
        await database.close()

    async def row(self, order_id: int) -> dict[str, Any]:
        row = dict(await self.db.fetchrow("SELECT * FROM net.network_order WHERE id = $1", order_id))
        row["answers"] = json.loads(row["answers"])
        return row

    async def until(self, order_id: int, *states: str, limit_s: float = 10.0) -> dict[str, Any]:
        """Wait until an order is in one of these states, over by default."""
        async with asyncio.timeout(limit_s):
            while True:
                row = await self.row(order_id)
                if row["state"] in states or (not states and row["state"] not in OPEN):
                    return row
                await asyncio.sleep(0.02)

    async def steps(self, order_id: int) -> list[tuple[str, str]]:
        return [(answer["step"], answer["said"]) for answer in (await self.row(order_id))["answers"]]


@asynccontextmanager
async def housed(dsn: str, tmp_path: Path):
    db = await asyncpg.connect(dsn)
    await db.execute(SEED)
    with ExitStack() as stack:
        house = House(dsn, db, tmp_path, stack)
        try:
            yield house
        finally:
            await house.database.close()
            await db.close()


def change(key: tuple[UUID, int], rate: str = "1M/2M", fingerprint: int = 7, **more: Any) -> Wish:
    """A CoA-Request of this rate."""
    said = rate.encode()
    attributes = bytes((26, 8 + len(said))) + (14988).to_bytes(4, "big") + bytes((8, 2 + len(said))) + said
    wanted = (("Mikrotik-Rate-Limit", rate),)
    wish = Wish(key, True, "change", "plan", False, True, fingerprint, wanted, (), attributes)
    return wish._replace(**more)


def gone(key: tuple[UUID, int], **more: Any) -> Wish:
    """A Disconnect-Request."""
    return Wish(key, True, "disconnect", "block", True)._replace(**more)
