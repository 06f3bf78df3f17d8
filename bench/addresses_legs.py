"""What the bench compares in giving addresses: in PostgreSQL before the Accept tells it. One leg per program."""

import asyncio
import itertools
import time
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol

import asyncpg
import generator
from accounting_legs import DurablePrototype
from addresses_load import LoginLoad
from client import ACCEPT, PapClient
from legs import FREERADIUS, FreeradiusSql, stock_sql
from node import Node, Ports
from servers import ServerError, wait_until

POOL_SIZE = 131_072
_THREADS = 8  # the best of 4, 8, 16, 32 on a machine with two cores
_DRAIN_TIMEOUT_S = 600.0
_OBEYED_TIMEOUT_S = 120.0
_PROBES = 16  # logins beyond those that are measured
_POLL_S = 0.05
_FIRST, _POOLS_MAX = IPv4Address("10.0.0.0"), 2**24 // POOL_SIZE
_GONE = 1_000_000_000  # holders before the run: no login has these numbers

_ADD_POOL = """
INSERT INTO net.pool (name, kind, family, prefix_length, offer_s)
VALUES ($1, 'radius', 'ipv4', 32, 86400) RETURNING id
"""
# $1: the pool, $2: its first address, $3: how many, $4: whether each had a holder before, who gave it back a day ago.
_ADD_RANGE = """
INSERT INTO net.pool_range (pool_id, first, last, units, next)
VALUES ($1, $2::text::inet, $2::text::inet + ($3::bigint - 1), $3, CASE WHEN $4::boolean THEN $3 ELSE 0 END)
"""
_ADD_EARLIER = f"""
INSERT INTO net.lease (address_space, address, pool_id, state, login_id, device, nas_id, offered_at, valid_until,
    released_at, free_from)
SELECT 1, first + number, pool_id, 'released', {_GONE} + number, number + 1, 1,
    left_at - interval '1 hour', left_at, left_at, left_at
FROM net.pool_range, generate_series(0, units - 1) AS number,
    LATERAL (SELECT now() - interval '1 day' - (number * 7919 % 86400) * interval '1 second') AS gone (left_at)
WHERE pool_id = $1
"""
_RELEASE = """
UPDATE net.lease SET state = 'released', released_at = now(), free_from = now(), changed = pg_current_xact_id()
WHERE state = 'bound'
"""
# Whether the node has what was changed last: how far it has read is told in net.node.
_HEARD = """
SELECT coalesce(pg_visible_in_snapshot((SELECT changed FROM net.lease ORDER BY changed DESC LIMIT 1), snapshot), true)
    AND NOT EXISTS (SELECT FROM net.change WHERE NOT pg_visible_in_snapshot(xid, snapshot))
FROM net.node
"""
# Whether the leases of all sessions that ended were looked at.
_RELEASED = "SELECT NOT EXISTS (SELECT FROM net.session_end WHERE looks = 0)"
_HELD = """
SELECT coalesce(array_agg(login.name || ' ' || host(lease.address)), '{}')
FROM net.lease JOIN erp.login ON login.id = lease.login_id
WHERE lease.pool_id = $1 AND lease.state = 'bound'
"""
_IS_OF_POOL = """
SELECT EXISTS (SELECT FROM net.pool_range WHERE pool_id = $1 AND $2::text::inet BETWEEN first AND last)
"""


class AddressLeg(Protocol):
    """One program to measure. `start` raises ServerError when it cannot run here."""

    name: str
    about: str
    auth_port: int
    acct_port: int

    def start(self, scratch: Path, logins: int) -> None: ...

    def stop(self) -> None: ...

    def roots(self) -> dict[str, list[int]]: ...

    def before(self, *, recycled: bool) -> None:
        """Have nobody connected and a pool all of which is free; not measured. `recycled`: somebody had each of it.

        FreeRADIUS's pools are always so, the prototype's never is.
        """

    def settle(self) -> None:
        """Return when all that the answers were about is done."""

    def held(self) -> set[str]:
        """Return who holds which address by the tables in PostgreSQL, as `LoginLoad.given`."""

    def sessions(self) -> int:
        """Return how many sessions that are not ended are in PostgreSQL."""

    def after(self, load: LoginLoad) -> None:
        """Have the sessions that began end in order, if that is needed; not measured."""


class FreeradiusPool(FreeradiusSql):
    """FreeRADIUS that gives addresses by its stock queries for them, and accounting by those for it."""

    variant = "sqlippool"
    schemas = (*FreeradiusSql.schemas, "ippool/postgresql/schema.sql")
    logins_file = "pool_logins.sql"
    _about = "stock queries of sqlippool with SKIP LOCKED, two SELECTs a login"

    def __init__(self, port_base: int) -> None:
        about = f"FreeRADIUS, {self._about}, {_THREADS} threads, own PostgreSQL"
        name = f"freeradius-{self.variant}"
        super().__init__(port_base, port_base + 2, name=name, about=about, threads=_THREADS)
        self.auth_port, self.acct_port = port_base, port_base + 1

    def prepare(self, folder: Path, logins: int) -> None:
        queries = stock_sql("ippool/postgresql/queries.conf").read_text()
        with_skip_locked = queries.replace('\nskip_locked = ""', '\nskip_locked = "SKIP LOCKED"')
        if with_skip_locked == queries:
            raise ServerError("FreeRADIUS's queries of sqlippool are not those that the bench knows")
        (folder / "ippool-queries.conf").write_text(with_skip_locked)
        super().prepare(folder, logins)

    def environment(self) -> dict[str, str]:
        return super().environment() | {"FR_ACCT_PORT": str(self.acct_port)}

    def before(self, *, recycled: bool) -> None:
        self.postgres.run_sql("radius", "-v", f"addresses={POOL_SIZE}", "-f", str(FREERADIUS / "pool.sql"))

    def settle(self) -> None:
        """All is in PostgreSQL when it is answered."""

    def held(self) -> set[str]:
        leases = "SELECT username || ' ' || host(framedipaddress) FROM radippool WHERE expiry_time > now()"
        return set(self._ask(leases))

    def sessions(self) -> int:
        return int(self._ask("SELECT count(*) FROM radacct WHERE acctstoptime IS NULL")[0])

    def after(self, load: LoginLoad) -> None:
        """The next `before` empties its tables."""

    def _ask(self, statement: str) -> list[str]:
        return self.postgres.run_sql("radius", "-c", statement).splitlines()


class FreeradiusTuned(FreeradiusPool):
    """The fastest that we could make of FreeRADIUS: one SELECT a login, its own stored procedure for the address."""

    variant = "mapippoolsp"
    schemas = (*FreeradiusPool.schemas, "ippool/postgresql/procedure.sql")
    _about = "its stored procedure for addresses, one SELECT a login"


class AddressPrototype(DurablePrototype):
    """The bare responder that writes the addresses of a batch by one statement before it tells them."""

    about = "bare Python responder, `limits/pydurable.py`: pool in memory, one upsert a batch, own PostgreSQL"

    def __init__(self, port_base: int) -> None:
        super().__init__(port_base)
        self.acct_port, self.auth_port = self.port, port_base + 2
        self._logins = 0

    def start(self, scratch: Path, logins: int) -> None:
        self._logins = logins
        super().start(scratch, logins)

    def start_process(self, *more: str) -> None:
        words = ("--auth-port", str(self.auth_port), "--logins", str(self._logins))
        super().start_process(*words, *more)

    def before(self, *, recycled: bool) -> None:
        self.stop_process()
        self.postgres.run_sql("postgres", "-c", "DROP TABLE session, lease", "-c", "CHECKPOINT")
        self.start_process()

    def held(self) -> set[str]:
        return set(self._ask("SELECT username || ' ' || host(ip) FROM lease"))

    def sessions(self) -> int:
        return int(self._ask("SELECT count(*) FROM session WHERE stop_time IS NULL")[0])

    def after(self, load: LoginLoad) -> None:
        """The next `before` makes its tables anew."""

    def _ask(self, statement: str) -> list[str]:
        return self.postgres.run_sql("postgres", "-c", statement).splitlines()


class AaadPool:
    """A whole node of aaad with everything on, and its own PostgreSQL; its NAS names a pool, no login has an address.

    Each run has a pool of its own, so that what the node has set aside of the one before does not come into it.
    """

    name = "aaad"
    about = "aaad, a whole node: reserve claimed beforehand, addresses bound in its own PostgreSQL before the Accept"

    def __init__(self, ports: Ports) -> None:
        self.auth_port, self.acct_port = ports.auth, ports.acct
        self._ports = ports
        self._node: Node | None = None
        self._logins = 0
        self._pools = itertools.count()
        self._pool_id = 0

    def start(self, scratch: Path, logins: int) -> None:
        self._logins = logins
        self._node = Node(scratch / "node", self._ports, logins + _PROBES)
        self._node.start()
        self._run("UPDATE erp.login SET ipv4 = NULL WHERE ipv4 IS NOT NULL AND name ~ '^user[0-9]+$'")
        self.settle()

    def stop(self) -> None:
        if self._node is not None:
            self._node.stop()

    def roots(self) -> dict[str, list[int]]:
        return self._node.roots()

    def before(self, *, recycled: bool) -> None:
        self.settle()
        self._run("UPDATE net.pool SET state = 'retired' WHERE id = $1", self._pool_id)
        self._run(_RELEASE)
        self.settle()  # every node has heard of it: the rows may go
        self._run("DELETE FROM net.lease")
        self._pool_id = self._add_pool(next(self._pools), recycled)
        self._run("UPDATE net.nas SET ipv4_pool = (SELECT name FROM net.pool WHERE id = $1)", self._pool_id)
        for statement in ("VACUUM ANALYZE net.lease", "VACUUM ANALYZE net.session", "CHECKPOINT"):
            self._run(statement)
        self._wait_until_obeyed()
        self.settle()

    def settle(self) -> None:
        """Wait until the drain and the feed have done all."""
        self._node.spools.wait_until_drained(_DRAIN_TIMEOUT_S)
        wait_until(lambda: self._run(_HEARD), "a node that hears of its own leases")

    def held(self) -> set[str]:
        return set(self._run(_HELD, self._pool_id))

    def sessions(self) -> int:
        return self._run("SELECT count(*) FROM net.session WHERE ended_at IS NULL")

    def after(self, load: LoginLoad) -> None:
        generator.load(load.stops())
        self.settle()
        wait_until(lambda: self._run(_RELEASED), "a keeper that has looked at what ended")

    def _add_pool(self, number: int, recycled: bool) -> int:
        if number >= _POOLS_MAX:
            raise ServerError(f"10.0.0.0/8 has {_POOLS_MAX} pools of this size")
        pool_id = self._run(_ADD_POOL, f"bench-{number}")
        self._run(_ADD_RANGE, pool_id, str(_FIRST + number * POOL_SIZE), POOL_SIZE, recycled)
        if recycled:
            self._run(_ADD_EARLIER, pool_id)
        return pool_id

    def _wait_until_obeyed(self) -> None:
        """Ask until a login gets an address of the pool, as some customer always does first."""
        client = PapClient(self._ports.auth)
        asked = itertools.cycle(range(self._logins, self._logins + _PROBES))
        deadline = time.monotonic() + _OBEYED_TIMEOUT_S
        try:
            while time.monotonic() < deadline:
                number = next(asked)
                answer = client.ask(f"user{number:06d}", f"pass{number:06d}")
                told = answer.value("Framed-IP-Address") if answer is not None and answer.code == ACCEPT else None
                if told is not None and self._run(_IS_OF_POOL, self._pool_id, ".".join(map(str, told))):
                    return
                time.sleep(_POLL_S)
        finally:
            client.close()
        raise ServerError("aaad gives no address of the pool that its NAS names")

    def _run(self, statement: str, *arguments: object):
        return asyncio.run(_run(self._node.dsn, statement, arguments))


async def _run(dsn: str, statement: str, arguments: tuple):
    """Run one statement and return its first value."""
    connection = await asyncpg.connect(dsn, timeout=30, command_timeout=600)
    try:
        return await connection.fetchval(statement, *arguments)
    finally:
        await connection.close()


def address_legs(port_base: int) -> list[AddressLeg]:
    """Return every leg, in the order in which they are measured. Ports from `port_base` on."""
    return [
        AddressPrototype(port_base),
        FreeradiusPool(port_base + 10),
        FreeradiusTuned(port_base + 20),
        AaadPool(Ports(port_base + 30, port_base + 31, port_base + 32)),
    ]
