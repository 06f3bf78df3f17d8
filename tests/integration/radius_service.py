"""A radius service in the test's own process: real UDP sockets on loopback and a real replica on disk."""

import asyncio
import pickle
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from nas_double import SECRET

from aaad.metrics import CounterFile
from aaad.policy.codes import Discard, LoginFlag, Reason
from aaad.policy.facts import LoginFacts, PlanFacts, Speed
from aaad.policy.grant import Grant
from aaad.pools.claims import Claims
from aaad.radius import counters as names
from aaad.radius.datagrams import Listener
from aaad.radius.server import RadiusService, Watchdog
from aaad.replica.layout import ReplicaMeta
from aaad.replica.record import NasRow, ParameterRow, Tables, encode
from aaad.replica.store import ReplicaReader, ReplicaWriter
from aaad.spool.records import Record
from aaad.words import Language, customer_text

SO_TIMESTAMPNS = 35
IN_ORDER = LoginFlag.LOGIN_ACTIVE | LoginFlag.CLIENT_ACTIVE
PLAN = PlanFacts(5, "50 mega", Speed("25M", "50M"), 0, 0, 300)


def login(login_id: int = 1, **changes: object) -> LoginFacts:
    """A login in order with password wonderland, with changes."""
    facts = LoginFacts(login_id, login_id, login_id, 5, 1, IN_ORDER, 2, 1, 0xC0000200 + login_id)
    return facts._replace(nt_hash=b"n" * 16, password=b"wonderland")._replace(**changes)


LOGINS = {b"alice": encode(login(1)), b"bob": encode(login(2))}


def tables(*, secret: bytes = SECRET, deadline_ms: int = 2000, generation: int = 1) -> Tables:
    """The small tables: everybody on loopback is a NAS."""
    nas = [
        NasRow(1, "loopback", "127.0.0.0/8", secret, b"", 0.0, "mikrotik", True, "auto", deadline_ms, 1),
        NasRow(2, "loopback 6", "::1/128", secret, b"", 0.0, "mikrotik", True, "auto", deadline_ms, 1),
    ]
    return Tables(generation, nas, [], [PLAN], [], b"key of a cluster", 3)


def write_replica(
    directory: Path,
    logins: dict[bytes, bytes],
    small: Tables,
    leases: dict[int, bytes] | None = None,
    lease_snapshot: str = "1:1:",
) -> None:
    """Make a generation with this in it and put it in force."""
    writer = ReplicaWriter(directory, 1 << 28)
    writer.open()
    built = writer.build()
    with built.write() as transaction:
        for name, record in logins.items():
            transaction.put_record(name, record)
        transaction.put_tables(small)
        transaction.put_leases(leases or {})
        meta = ReplicaMeta("1:1:", "test", "1", len(logins), 0, 1.0, small.node_number)
        transaction.put_meta(msgspec.structs.replace(meta, lease_snapshot=lease_snapshot))
    writer.swap(built)
    writer.close()


def write_replica_elsewhere(directory: Path, logins: dict[bytes, bytes], small: Tables, *leases: Any) -> None:
    """The same from another process, since LMDB opens an environment once in each."""
    program = (
        "import pickle, sys; from radius_service import write_replica; write_replica(*pickle.load(sys.stdin.buffer))"
    )
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    given = pickle.dumps((directory, logins, small, *leases))
    subprocess.run([sys.executable, "-c", program], input=given, env=environment, check=True, timeout=30)


class Recorder(list[tuple[int, float, bytes]]):
    """A journal in memory; its bug is that it cannot write down login 2, when asked to have one."""

    def __init__(self) -> None:
        self.broken_for: int | None = None

    def append(self, subject: int, at_s: float, body: bytes) -> None:  # type: ignore[override]
        if subject == self.broken_for:
            raise RuntimeError("a bug")
        super().append((subject, at_s, body))


class Lines(list[tuple[str, dict[str, Any]]]):
    """A log in memory."""

    def info(self, event: str, **values: object) -> None:
        self.append((event, values))

    warning = error = exception = info

    def events(self, event: str) -> list[dict[str, Any]]:
        return [values for name, values in self if name == event]


record_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(Record)


class Spool(list[Any]):
    """A spool in memory."""

    is_full = False
    is_failing = False
    is_taking = True

    def append(self, record: bytes, done: Callable[[bool], None] | None = None) -> bool:  # type: ignore[override]
        if self.is_full:
            return False
        if not self.is_failing:
            super().append(record_decoder.decode(record))
        if done is not None:
            done(not self.is_failing)
        return True

    def append_all(
        self, records: Sequence[bytes], done: Callable[[bool], None], *, is_more_coming: bool = False
    ) -> bool:
        for record in records[:-1]:
            self.append(record)
        return self.append(records[-1], done)


def bound(address: str = "127.0.0.1", *, is_accounting: bool = False) -> Listener:
    """A listener on a free port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    opened.bind((address, 0))
    return Listener(opened, address, is_accounting)


class Service:
    """A radius service and all that it was given."""

    def __init__(
        self,
        directory: Path,
        *,
        logins: dict[bytes, bytes] | None = LOGINS,
        small: Tables | None = None,
        addresses: Sequence[str] = ("127.0.0.1",),
        claim: Callable[..., Awaitable[Any]] | None = None,
        must_wait: Callable[[LoginFacts, Grant], bool] | None = None,
        watchdog: Watchdog | None = None,
        peers_max: int = 1000,
        spool: Any = None,
        counter_names: Sequence[str] = names.RADIUS_COUNTERS,
        claims: Callable[["Service"], Claims] | None = None,
    ) -> None:
        self.replica_directory = directory / "replica"
        small = small or tables()
        if must_wait is not None:  # nobody waits where no branch refuses simultaneous use
            small = msgspec.structs.replace(
                small, parameters=[*small.parameters, ParameterRow("simultaneous_refuse", 0, "S")]
            )
        if logins is not None:
            write_replica(self.replica_directory, logins, small)
        self.listeners = [bound(address) for address in addresses] + [bound(addresses[0], is_accounting=True)]
        self.journal, self.spool, self.log = Recorder(), Spool() if spool is None else spool, Lines()
        self.counters = CounterFile(directory / "radius-0.cnt", counter_names)
        self.statistics_path = directory / "radius-0.routers.json"
        self.unknown_sources_path = directory / "radius-0.unknown.json"
        self.stopping = asyncio.Event()
        self.replica = ReplicaReader(self.replica_directory)
        self.service = RadiusService(
            listeners=self.listeners,
            replica=self.replica,
            journal=self.journal,
            spool=self.spool,
            counters=self.counters,
            log=self.log,  # type: ignore[arg-type]
            slot=0,
            peers_max=peers_max,
            reject_messages={reason: customer_text(reason, Language.ENGLISH) for reason in Reason},
            watchdog=watchdog,
            statistics_path=self.statistics_path,
            unknown_sources_path=self.unknown_sources_path,
            claim=claim,
            must_wait=must_wait,
            claims=claims(self) if claims is not None else None,
        )

    @property
    def auth(self) -> tuple[Any, ...]:
        """Address and port of the first authentication socket."""
        return self.listeners[0].socket.getsockname()

    @property
    def acct(self) -> tuple[Any, ...]:
        """Address and port of the accounting socket."""
        return self.listeners[-1].socket.getsockname()

    def count(self, name: str | Reason | Discard) -> int:
        """One of the service's counts; a cause of silence counts on the authentication port."""
        if isinstance(name, Reason):
            name = names.decided(name)
        elif isinstance(name, Discard):
            name = names.discarded(name)
        return self.counters.cells[self.counters.index[name]]

    async def counted(self, name: str | Reason | Discard, value: int) -> None:
        """Wait until a count has come to this value, and not further."""
        async with asyncio.timeout(5):
            while self.count(name) < value:
                await asyncio.sleep(0.01)
        assert self.count(name) == value

    def close(self) -> None:
        """Give back what the test used."""
        self.replica.close()
        for listener in self.listeners:
            listener.socket.close()


@asynccontextmanager
async def running(directory: Path, **options: Any) -> AsyncIterator[Service]:
    """A service that runs for as long as the test needs it, and stops in order."""
    service = Service(directory, **options)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(service.service.run(service.stopping))
            try:
                yield service
            finally:
                service.stopping.set()
    finally:
        service.close()


class Client:
    """One source port. Blocking calls go to a thread, so that the service has the loop."""

    def __init__(self, destination: tuple[Any, ...], *, timeout_s: float = 2.0, source: str = "") -> None:
        family = socket.AF_INET6 if ":" in destination[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.settimeout(timeout_s)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(destination)

    def send(self, *datagrams: bytes) -> None:
        """Send without waiting for anything."""
        for data in datagrams:
            self.socket.send(data)

    async def receive(self) -> bytes:
        """Wait for one datagram; TimeoutError if none comes."""
        return await asyncio.to_thread(self.socket.recv, 5000)

    async def ask(self, data: bytes) -> bytes:
        """Send one request and wait for its answer."""
        self.send(data)
        return await self.receive()

    async def is_silent(self, wait_s: float = 0.2) -> bool:
        """Tell that nothing comes."""
        self.socket.settimeout(wait_s)
        try:
            await self.receive()
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(2.0)
        return False

    def __enter__(self) -> "Client":
        """Use it as a context."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the socket."""
        self.socket.close()
