"""Prototype: durable answers from one bare Python process: no copies, no fold, no policy.

    pydurable.py PORT --dsn DSN [--connections N] [--auth-port PORT [--logins N]]

A record is committed in PostgreSQL before it is answered; so is a login's address, if it answers logins, too: logins
and the pool are in its memory. Whatever arrives while a batch is being committed makes up the next one (one upsert for
all of it). It shows what the design can reach; radload verifies its answers.
"""

import argparse
import asyncio
import gc
import socket
import struct
from _md5 import md5
from collections import deque

import asyncpg
import uvloop
from pyserver import SECRET, logins_table

BATCH_MAX = 2000
WAKE_UP = 64
SCHEMA = """
CREATE TABLE session (
  uniq text PRIMARY KEY, session_id text NOT NULL, username text NOT NULL, nas_ip inet NOT NULL, nas_port_id text,
  start_time timestamptz, update_time timestamptz, stop_time timestamptz, session_time bigint, in_octets bigint,
  out_octets bigint, called text, calling text, cause int, framed_ip inet);
CREATE INDEX ON session (start_time, username);
CREATE INDEX ON session (nas_ip, start_time) WHERE stop_time IS NULL;
CREATE TABLE lease (ip inet PRIMARY KEY, username text NOT NULL, calling text, nas_ip inet, expires timestamptz NOT NULL);
CREATE INDEX ON lease (username);
"""
UPSERT = """
INSERT INTO session (uniq, session_id, username, nas_ip, nas_port_id, start_time, update_time, stop_time, session_time,
   in_octets, out_octets, called, calling, cause, framed_ip)
SELECT u, s, n, '0.0.0.0'::inet + nas, p, to_timestamp(t - st), to_timestamp(t),
   CASE WHEN k = 2 THEN to_timestamp(t) END, st, i, o, cd, cg, CASE WHEN k = 2 THEN c END, '0.0.0.0'::inet + ip
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
   $9::bigint[], $10::text[], $11::text[], $12::int[], $13::bigint[], $14::int[])
   v(u, s, n, nas, p, t, st, i, o, cd, cg, c, ip, k)
ON CONFLICT (uniq) DO UPDATE SET update_time = excluded.update_time,
   stop_time = coalesce(session.stop_time, excluded.stop_time), session_time = excluded.session_time,
   in_octets = excluded.in_octets, out_octets = excluded.out_octets,
   cause = coalesce(excluded.cause, session.cause), framed_ip = excluded.framed_ip
"""
LEASE = """
INSERT INTO lease (ip, username, calling, nas_ip, expires)
SELECT '0.0.0.0'::inet + ip, n, c, '0.0.0.0'::inet + nas, now() + interval '1 hour'
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[]) v(ip, n, c, nas)
ON CONFLICT (ip) DO UPDATE SET username = excluded.username, calling = excluded.calling, nas_ip = excluded.nas_ip,
   expires = excluded.expires
"""
POOL_FIRST, POOL_SIZE = 0x0A000000, 131_072
ADDRESS_OCTETS = 6  # Framed-IP-Address, at the end of a login's ready attributes
_head = struct.Struct("!BBH")


class Committer:
    """Rows, and the answers that wait for them."""

    def __init__(self, answering: socket.socket, upsert: str) -> None:
        self._socket = answering
        self._upsert = upsert
        self._waiting: list[tuple[tuple, bytes, tuple]] = []
        self._wake = asyncio.Event()

    def add(self, row: tuple, reply: bytes, address: tuple) -> None:
        self._waiting.append((row, reply, address))
        self._wake.set()

    async def run(self, connection: asyncpg.Connection) -> None:
        statement = await connection.prepare(self._upsert)
        while True:
            await self._wake.wait()
            batch = self._waiting[:BATCH_MAX]
            del self._waiting[:BATCH_MAX]
            if not self._waiting:
                self._wake.clear()
            if batch:
                rows = {row[0]: row for row, _, _ in batch}  # the last one of a key wins within a batch
                await statement.fetch(*zip(*rows.values(), strict=True))
                for _, reply, address in batch:
                    self._socket.sendto(reply, address)


def attributes(data: bytes, length: int) -> dict[int, bytes]:
    """Return the values by type."""
    found = {}
    position = 20
    while position < length:
        size = data[position + 1]
        found[data[position]] = data[position + 2 : position + size]
        position += size
    return found


def parse(data: bytes) -> tuple[tuple, bytes] | None:
    """Return the row of a genuine record and its answer."""
    code, identifier, length = _head.unpack_from(data)
    if code != 4 or length != len(data) or md5(data[:4] + bytes(16) + data[20:] + SECRET).digest() != data[4:20]:
        return None
    found = attributes(data, length)

    def number(kind: int) -> int:
        return int.from_bytes(found.get(kind, b""), "big")

    session, name, nas = found[44].decode(), found[1].decode(), number(4)
    row = (
        f"{nas:08x}/{session}/{name}", session, name, nas, found[87].decode(), number(55), number(46),
        number(52) << 32 | number(42), number(53) << 32 | number(43), found[30].decode(), found[31].decode(),
        number(49), number(8), number(40),
    )  # fmt: skip
    head = _head.pack(5, identifier, 20)
    return row, head + md5(head + data[4:20] + SECRET).digest()


def responder(logins: int):
    """Return what gives the row and the Accept of a genuine login. Who comes again gets the same address."""
    table = logins_table(logins)
    free = deque(range(POOL_FIRST, POOL_FIRST + POOL_SIZE))
    leases: dict[bytes, int] = {}
    key = SECRET.ljust(64, b"\0")
    inner, outer = md5(bytes(b ^ 0x36 for b in key)), md5(bytes(b ^ 0x5C for b in key))
    password_key = md5(SECRET)
    from_bytes = int.from_bytes

    def hmac_md5(data: bytes) -> bytes:
        within, around = inner.copy(), outer.copy()
        within.update(data)
        around.update(within.digest())
        return around.digest()

    def answer(data: bytes) -> tuple[tuple, bytes] | None:
        code, identifier, length = _head.unpack_from(data)
        if code != 1 or length != len(data):
            return None
        found = attributes(data, length)
        signature = found.get(80)
        if signature is None:
            return None
        at = data.index(signature, 22)
        if hmac_md5(data[:at] + bytes(16) + data[at + 16 :]) != signature:
            return None
        authenticator, name = data[4:20], found[1]
        login = table.get(name)
        mask = password_key.copy()
        mask.update(authenticator)
        if login is None or from_bytes(mask.digest(), "big") ^ from_bytes(found[2], "big") != login[0]:
            return None  # only genuine logins are asked for
        address = leases.get(name)
        if address is None:
            address = leases[name] = free.popleft()
        rest = login[1][:-ADDRESS_OCTETS] + b"\x08\x06" + address.to_bytes(4, "big")
        head = _head.pack(2, identifier, 38 + len(rest))
        rest = b"\x50\x12" + hmac_md5(head + authenticator + b"\x50\x12" + bytes(16) + rest) + rest
        reply = head + md5(head + authenticator + rest + SECRET).digest() + rest
        return (address, name.decode(), found[31].decode(), from_bytes(found[4], "big")), reply

    return answer


def listen(port: int) -> socket.socket:
    """Return the socket of a port."""
    answering = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    answering.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    answering.bind(("127.0.0.1", port))
    answering.setblocking(False)
    return answering


def reader(answering: socket.socket, answer, committer: Committer):
    """Return the callback that reads up to so many datagrams a wake-up."""

    def on_readable() -> None:
        try:
            for _ in range(WAKE_UP):
                data, address = answering.recvfrom(4096)
                if (found := answer(data)) is not None:
                    committer.add(*found, address)
        except (BlockingIOError, InterruptedError):
            pass

    return on_readable


async def serve(ports: list[tuple], dsn: str, connections: int) -> None:
    """Answer until the process is ended; of each port what answers there, and the statement that comes before."""
    first = await asyncpg.connect(dsn)
    await first.execute(SCHEMA)
    await first.close()
    async with asyncio.TaskGroup() as tasks:
        for port, answer, upsert in ports:
            answering = listen(port)
            committer = Committer(answering, upsert)
            for _ in range(connections):
                tasks.create_task(committer.run(await asyncpg.connect(dsn)))
            asyncio.get_running_loop().add_reader(answering.fileno(), reader(answering, answer, committer))
        print("ready", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--connections", type=int, default=2)
    parser.add_argument("--auth-port", type=int, help="answer logins there, too, each with an address of a pool")
    parser.add_argument("--logins", type=int, default=100_000)
    arguments = parser.parse_args()
    ports = [(arguments.port, parse, UPSERT)]
    if arguments.auth_port is not None:
        ports.append((arguments.auth_port, responder(arguments.logins), LEASE))
    gc.collect()
    gc.freeze()
    uvloop.run(serve(ports, arguments.dsn, arguments.connections))


if __name__ == "__main__":
    main()
