"""A radius service that gives out addresses of pools: real UDP, a real replica on disk, a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, ip_network
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from nas_double import FRAMED_IP, Reply, access_request, checked
from radius_service import Client, Service, login, tables, write_replica_elsewhere
from radius_service import running as running_service

from aaad.db.connection import Database
from aaad.policy.facts import LoginFacts
from aaad.policy.lease import Lease, encode_leases
from aaad.pools.claims import BIND_LIMIT_S, CLAIM_COUNTERS, Claims
from aaad.pools.recent import Recent
from aaad.pools.reserve import Reserve
from aaad.pools.supply import CLAIM_LIMIT_S, SUPPLY_COUNTERS, PoolLedger, Supply
from aaad.radius import counters as names
from aaad.replica.record import NasRow, ParameterRow, PoolRow, Tables, encode

FRAMED_POOL, FRAMED_IPV6_PREFIX, DELEGATED_IPV6_PREFIX = 88, 97, 123
NODE = 3
COUNTERS = (*names.RADIUS_COUNTERS, *CLAIM_COUNTERS, *SUPPLY_COUNTERS)


def mac(number: int) -> bytes:
    """The device of a login."""
    return b"02:00:00:00:%02X:%02X" % (number >> 8, number & 255)


def logins(count: int, **changes: object) -> dict[bytes, LoginFacts]:
    """Logins u1, u2, ... without a fixed address."""
    return {b"u%d" % number: login(number, ipv4=0, **changes) for number in range(1, count + 1)}


def pool(pool_id: int = 1, name: str = "cgnat", family: str = "ipv4", **changes: Any) -> PoolRow:
    """A pool of ours."""
    length = {"ipv4": 32, "ipv6": 64, "delegated": 56}[family]
    values = {"kind": "radius", "prefix_length": length, "state": "active", "adopting": False, "valid_s": 3600}
    values |= {"reserve_size": 64, "address_space": 1} | changes
    return PoolRow(pool_id=pool_id, name=name, family=family, **values)


def small(pools: Sequence[PoolRow], **named: str) -> Tables:
    """The small tables; `named`: what the branch names."""
    nas = NasRow(1, "loopback", "127.0.0.0/8", b"testing123", b"", 0.0, "mikrotik", True, "auto", 2000, 1)
    parameters = [ParameterRow(name, 0, value) for name, value in named.items()]
    return msgspec.structs.replace(tables(), nases=[nas], parameters=parameters, pools=list(pools), node_number=NODE)


async def make_pool(db: asyncpg.Connection, row: PoolRow, *ranges: str) -> None:
    """Write a pool to PostgreSQL."""
    await db.execute(
        "INSERT INTO net.node (id, name, heartbeat_at) VALUES ($1, 'node-3', now()) ON CONFLICT DO NOTHING", NODE
    )
    await db.execute(
        "INSERT INTO net.pool (id, address_space, name, kind, family, prefix_length, state, valid_s, reserve_size) "
        "VALUES ($1, $2, $3, 'radius', $4, $5, $6, $7, $8)",
        row.pool_id,
        row.address_space,
        row.name,
        row.family,
        row.prefix_length,
        row.state,
        row.valid_s,
        row.reserve_size,
    )
    for text in ranges:
        network = ip_network(text)
        await db.execute(
            "INSERT INTO net.pool_range (pool_id, first, last) VALUES ($1, $2, $3)",
            row.pool_id, network.network_address, network.broadcast_address,
        )  # fmt: skip


def claims_of(dsn: str, reserve: Reserve, service: Service, slot: int = 0, facts_path: Path | None = None) -> Claims:
    """What a process of this slot binds addresses by."""

    def database(purpose: str, limit_s: float) -> Database:
        return Database(dsn, connect_timeout_s=1, statement_timeout_s=limit_s, application_name=f"test {purpose}")

    claiming, binding = database("claims", CLAIM_LIMIT_S), database("binds", BIND_LIMIT_S)
    supply = Supply(reserve, lambda node: PoolLedger(claiming, node, slot), service.counters, service.log, facts_path)
    return Claims(
        supply, lambda node: PoolLedger(binding, node, slot), Recent(),
        spool=service.spool, slot=slot, counters=service.counters, log=service.log,
    )  # fmt: skip


class House:
    """The service, who dials, and the ledger."""

    def __init__(self, dsn: str, directory: Path, service: Service, db: asyncpg.Connection, claims: Claims) -> None:
        self.dsn, self.directory, self.service, self.db, self.claims = dsn, directory, service, db, claims
        self.client = Client(service.auth)
        self.records: dict[bytes, bytes] = {}
        self.tables: Tables | None = None
        self._identifier = 0

    def request(self, name: bytes, device: bytes | None = None, **words: Any) -> bytes:
        """An Access-Request of a login from its device."""
        self._identifier = (self._identifier + 1) % 256
        device = mac(int(name[1:])) if device is None else device
        return access_request(name, identifier=self._identifier, calling_station_id=device, **words)

    async def dial(self, name: bytes, device: bytes | None = None, **words: Any) -> Reply:
        """Ask, and return the answer."""
        request = self.request(name, device, **words)
        return checked(await self.client.ask(request), request)

    async def address(self, name: bytes, device: bytes | None = None) -> str:
        """Dial, and return the IPv4 address that was given."""
        reply = await self.dial(name, device)
        assert reply.code == 2
        return str(IPv4Address(reply[FRAMED_IP]))

    async def leases(self, where: str = "state = 'bound'") -> dict[str, int]:
        """Which address the ledger says is whose."""
        rows = await self.db.fetch(f"SELECT address::text AS address, login_id FROM net.lease WHERE {where}")
        return {row["address"].removesuffix("/32"): row["login_id"] for row in rows}

    def show(self, leases: dict[int, list[Lease]], *, up_to: int) -> None:
        """Let the replica show these leases, and nothing of transactions from `up_to` on, as the feed would."""
        octets = {login_id: encode_leases(found) for login_id, found in leases.items()}
        write_replica_elsewhere(
            self.service.replica_directory, self.records, self.tables, octets, f"{up_to}:{up_to}:"
        )

    def supplied(self, pool_id: int = 1) -> int:
        """How many units of a pool are set aside."""
        stock = self.claims.supply.stocks.get(pool_id)
        return stock.free if stock else 0

    def client_from(self, address: str) -> Client:
        """Another concentrator."""
        return Client(self.service.auth, source=address)

    async def patient_dial(self, name: bytes) -> Reply:
        """Dial as a concentrator does: the same request again while there is no answer."""
        request = self.request(name)
        async with asyncio.timeout(15):
            while True:
                self.client.send(request)
                self.client.socket.settimeout(0.3)
                try:
                    return checked(await self.client.receive(), request)
                except TimeoutError:
                    continue
                finally:
                    self.client.socket.settimeout(2.0)

    async def patient_address(self, name: bytes) -> str:
        """Dial until there is an answer, and return the address."""
        return str(IPv4Address((await self.patient_dial(name))[FRAMED_IP]))

    async def dial_together(self, numbers: Iterable[int]) -> list[bytes]:
        """Dial all at once, sending again what is not answered; return the addresses that were given."""
        waiting = {request[1]: request for request in (self.request(b"u%d" % number) for number in numbers)}
        found: list[bytes] = []
        async with asyncio.timeout(20):
            while waiting:
                self.client.send(*waiting.values())
                while waiting:
                    self.client.socket.settimeout(0.5)
                    try:
                        reply = await self.client.receive()
                    except TimeoutError:
                        break
                    request = waiting.pop(reply[1], None)
                    if request is not None:
                        found.append(checked(reply, request)[FRAMED_IP])
        self.client.socket.settimeout(2.0)
        return found

    async def until_supplied(self, pool_id: int = 1, units: int = 1) -> None:
        """Wait until so much is set aside."""
        stocks = self.claims.supply.stocks
        await until(lambda: pool_id in stocks and stocks[pool_id].free >= units)


async def until(condition: Any, limit_s: float = 10) -> None:
    """Wait for something to come true."""
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def living(
    dsn: str,
    directory: Path,
    rows: Sequence[PoolRow],
    *,
    count: int = 20,
    slot: int = 0,
    asks: str = "",
    is_killed: bool = False,
    facts_path: Path | None = None,
    **options: Any,
) -> AsyncIterator[House]:
    """A house whose pools are in PostgreSQL already. What ends in `_pool` is what the branch names.

    `asks`: where the test itself asks the ledger, if the service cannot; `is_killed`: its reserve is not closed.
    """
    directory.mkdir(exist_ok=True)
    named = {key: options.pop(key) for key in list(options) if key.endswith("_pool")}
    facts = options.pop("logins", None) or logins(count)
    given = options.pop("small", None) or small(rows, **(named or {"ipv4_pool": rows[0].name}))
    records = {name: encode(one) for name, one in facts.items()}
    reserve = Reserve(directory / "reserve" / f"radius-{slot}")
    reserve.open()
    db = await asyncpg.connect(asks or dsn)
    found: list[Claims] = []

    def claims(service: Service) -> Claims:
        found.append(claims_of(dsn, reserve, service, slot, facts_path))
        return found[0]

    try:
        async with running_service(
            directory, logins=records, small=given, counter_names=COUNTERS, claims=claims, **options
        ) as service:
            house = House(dsn, directory, service, db, found[0])
            house.records, house.tables = records, given
            with house.client:
                yield house
    finally:
        if not is_killed:
            reserve.close()
        await db.close()
