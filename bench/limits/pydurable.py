"""Prototype: durable accounting from one bare Python process: no copies, no fold, no policy.

    pydurable.py PORT --dsn DSN [--connections N]

A record is committed in PostgreSQL before it is answered. Whatever arrives while a batch is being committed makes up
the next one (one upsert for all of it). It shows what the design can reach; radload verifies its answers.
"""

import argparse
import asyncio
import gc
import socket
import struct
from _md5 import md5

import asyncpg
import uvloop

SECRET = b"testing123"
BATCH_MAX = 2000
WAKE_UP = 64
SCHEMA = """
CREATE TABLE session (
  uniq text PRIMARY KEY, session_id text NOT NULL, username text NOT NULL, nas_ip inet NOT NULL, nas_port_id text,
  start_time timestamptz, update_time timestamptz, stop_time timestamptz, session_time bigint, in_octets bigint,
  out_octets bigint, called text, calling text, cause int, framed_ip inet);
CREATE INDEX ON session (start_time, username);
CREATE INDEX ON session (nas_ip, start_time) WHERE stop_time IS NULL;
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
_head = struct.Struct("!BBH")


class Committer:
    """Rows, and the answers that wait for them."""

    def __init__(self, answering: socket.socket) -> None:
        self._socket = answering
        self._waiting: list[tuple[tuple, bytes, tuple]] = []
        self._wake = asyncio.Event()

    def add(self, row: tuple, reply: bytes, address: tuple) -> None:
        self._waiting.append((row, reply, address))
        self._wake.set()

    async def run(self, connection: asyncpg.Connection) -> None:
        statement = await connection.prepare(UPSERT)
        while True:
            await self._wake.wait()
            batch = self._waiting[:BATCH_MAX]
            del self._waiting[:BATCH_MAX]
            if not self._waiting:
                self._wake.clear()
            if batch:
                rows = {row[0]: row for row, _, _ in batch}  # the last one of a session wins within a batch
                await statement.fetch(*zip(*rows.values(), strict=True))
                for _, reply, address in batch:
                    self._socket.sendto(reply, address)


def parse(data: bytes) -> tuple[tuple, bytes] | None:
    """Return the row of a genuine record and its answer."""
    code, identifier, length = _head.unpack_from(data)
    if code != 4 or length != len(data) or md5(data[:4] + bytes(16) + data[20:] + SECRET).digest() != data[4:20]:
        return None
    found = {}
    position = 20
    while position < length:
        size = data[position + 1]
        found[data[position]] = data[position + 2 : position + size]
        position += size

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


async def serve(port: int, dsn: str, connections: int) -> None:
    """Answer until the process is ended."""
    answering = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    answering.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    answering.bind(("127.0.0.1", port))
    answering.setblocking(False)
    committer = Committer(answering)

    def on_readable() -> None:
        try:
            for _ in range(WAKE_UP):
                data, address = answering.recvfrom(4096)
                if (found := parse(data)) is not None:
                    committer.add(*found, address)
        except (BlockingIOError, InterruptedError):
            pass

    first = await asyncpg.connect(dsn)
    await first.execute(SCHEMA)
    others = [await asyncpg.connect(dsn) for _ in range(connections - 1)]
    asyncio.get_running_loop().add_reader(answering.fileno(), on_readable)
    print("ready", flush=True)
    async with asyncio.TaskGroup() as tasks:
        for connection in (first, *others):
            tasks.create_task(committer.run(connection))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--connections", type=int, default=2)
    arguments = parser.parse_args()
    gc.freeze()
    uvloop.run(serve(arguments.port, arguments.dsn, arguments.connections))


if __name__ == "__main__":
    main()
