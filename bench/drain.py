"""CPU of the drain for each accounting record: of its own process and of PostgreSQL with it.

    bench/drain.py [--sessions N] [--apart N] [--live N] [--profile FILE]

It writes a spool of Starts, Interim-Updates and Stops, a third each and mixed, those of a session `--apart` sessions
after one another, lets the real drain carry it into a real PostgreSQL that flushes as in life, and tells microseconds
of CPU for each record. `--live` sessions are there before and only stay. Others on the machine make the CPU slower.
"""

import argparse
import asyncio
import cProfile
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from struct import pack

import asyncpg
import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from processes import cpu_s

from aaad.db.connection import Database
from aaad.db.embedded import EmbeddedPostgres
from aaad.db.migrate import migrate
from aaad.metrics import CounterFile
from aaad.sessions.drain import DRAIN_COUNTERS, Drain, spare_collector
from aaad.spool.records import Accounting, encode
from aaad.spool.writer import SpoolWriter

_SETTINGS = {"shared_buffers": "1GB", "fsync": "on", "synchronous_commit": "on", "max_wal_size": "4GB"}
_START, _STOP, _INTERIM = 1, 2, 3
_ROUTERS = 8
_LOGINS_MIN = 20_000

_FILL = """
INSERT INTO erp.branch (id, name) VALUES (1, 'Bench');
INSERT INTO erp.plan (id, name, upload, download) VALUES (1, 'P', '50M', '50M');
INSERT INTO erp.client (id, branch_id, kind, name)
    SELECT n, 1, 'E', 'C ' || n FROM generate_series(1, {logins}) AS n;
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status)
    SELECT n, n, 1, 1, 'A' FROM generate_series(1, {logins}) AS n;
INSERT INTO erp.login (id, contract_id, name, password)
    SELECT n, n, 'user' || n, 'secret' FROM generate_series(1, {logins}) AS n;
INSERT INTO net.nas (id, name, address, secret) SELECT n, 'nas' || n, ('192.0.2.' || n)::cidr, 'secret'
    FROM generate_series(1, {routers}) AS n;
INSERT INTO net.router (nas_id, source_address, nas_identifier)
    SELECT n, ('192.0.2.' || n)::inet, 'bng' FROM generate_series(1, {routers}) AS n;
INSERT INTO net.node (name) VALUES ('bench');
"""


def _attribute(kind: int, value: bytes) -> bytes:
    return bytes((kind, len(value) + 2)) + value


def _record(session: int, status: int, base_s: float, logins: int) -> bytes:
    """A record as RouterOS sends it, of a session that began `session` milliseconds after the first."""
    login, router = session % logins + 1, session % _ROUTERS + 1
    time_s = {_START: 0, _INTERIM: 300, _STOP: 450}[status]
    data = b"".join(
        (
            _attribute(40, pack("!I", status)),
            _attribute(44, f"81{session:06x}".encode()),
            _attribute(1, f"user{login}".encode()),
            _attribute(6, pack("!I", 2)),
            _attribute(7, pack("!I", 1)),
            _attribute(5, pack("!I", 15_728_640 + session)),
            _attribute(61, pack("!I", 15)),
            _attribute(31, f"02:00:{login >> 16:02X}:{login >> 8 & 255:02X}:{login & 255:02X}:01".encode()),
            _attribute(30, b"pppoe-in"),
            _attribute(87, b"vlan101"),
            _attribute(8, (0x64400100 + login).to_bytes(4, "big")),
            _attribute(45, pack("!I", 1)),
            _attribute(4, bytes((192, 0, 2, router))),
            _attribute(32, b"bng"),
            _attribute(55, pack("!I", int(base_s) + session // 1000 + time_s)),
            _attribute(25, pack("!BBIQIIIIB", 1, 0, 1, session + 1, login, login, 1, 0xABCDEF, 0) + bytes(8)),
        )
    )
    if status != _START:
        octets = (session * 7919 % 1_000_000 + time_s * 1000, session * 104_729 % 9_000_000 + time_s * 9000)
        for kind, value in (
            (46, time_s),
            (42, octets[0]),
            (43, octets[1]),
            (47, octets[0] // 800),
            (48, octets[1] // 1200),
        ):
            data += _attribute(kind, pack("!I", value))
        data += _attribute(52, pack("!I", 0)) + _attribute(53, pack("!I", 0))
    if status == _STOP:
        data += _attribute(49, pack("!I", 1))
    at_s = base_s + session / 1000 + time_s
    return encode(Accounting(router, f"192.0.2.{router}", b"bng", at_s, data, True, False))


def _records(sessions: int, apart: int, first: int, base_s: float, logins: int = _LOGINS_MIN) -> Iterator[bytes]:
    for step in range(sessions + 2 * apart):
        for status, late in ((_START, 0), (_INTERIM, apart), (_STOP, 2 * apart)):
            if 0 <= step - late < sessions:
                yield _record(first + step - late, status, base_s, logins)


def _write(directory: Path, records: Iterator[bytes]) -> int:
    spool = SpoolWriter(directory, segment_bytes=1 << 24, bytes_max=1 << 36)
    spool.start()
    count = 0
    for record in records:
        while not spool.append(record):
            time.sleep(0.01)
        count += 1
    assert spool.stop(60)
    return count


async def _prepare(dsn: str, logins: int) -> None:
    await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    await connection.execute(_FILL.format(logins=logins, routers=_ROUTERS))
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


async def _drain(dsn: str, root: Path, counters: CounterFile, count: int) -> float:
    database = Database(dsn, connect_timeout_s=5, statement_timeout_s=30, application_name="bench")
    drain = Drain(database, root, node="bench", keep_s=3600, bytes_max=1 << 40, counters=counters)
    stopping = asyncio.Event()
    cell = counters.index["aaad_drain_records_total|kind=accounting"]
    goal = counters.cells[cell] + count
    began_s = time.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(drain.run(stopping))
        while counters.cells[cell] < goal:  # noqa: ASYNC110  counted in shared memory
            await asyncio.sleep(0.02)
        took_s = time.monotonic() - began_s
        stopping.set()
    await database.close()
    return took_s


def main() -> None:
    """Fill, drain, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=30_000, help="three records each")
    parser.add_argument("--apart", type=int, default=6_000, help="sessions between the records of one")
    parser.add_argument("--live", type=int, default=0, help="sessions that are there before")
    parser.add_argument("--profile", help="write a profile of the drain's process here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aaad-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        root = Path(folder) / "spool"
        with EmbeddedPostgres(Path(folder) / "pg", settings=_SETTINGS) as server:
            dsn = server.dsn("postgres")
            logins = max(_LOGINS_MIN, options.sessions + options.live)  # each dials once
            asyncio.run(_prepare(dsn, logins))
            counters = CounterFile(Path(folder) / "sync-0.cnt", DRAIN_COUNTERS)
            base_s = time.time() - 1000
            if options.live:
                starts = (_record(number, _START, base_s, logins) for number in range(options.live))
                uvloop.run(_drain(dsn, root, counters, _write(root / "radius-0", starts)))
            count = _write(root / "radius-0", _records(options.sessions, options.apart, options.live, base_s, logins))
            batches = counters.cells[counters.index["aaad_drain_batches_total"]]
            profiler = cProfile.Profile() if options.profile else None
            if profiler is not None:
                profiler.enable()
            spare_collector()
            own_s, pg_s = time.process_time(), cpu_s([server.pid])
            took_s = uvloop.run(_drain(dsn, root, counters, count))
            own_s, pg_s = time.process_time() - own_s, cpu_s([server.pid]) - pg_s
            batches = counters.cells[counters.index["aaad_drain_batches_total"]] - batches
            if profiler is not None:
                profiler.disable()
                profiler.dump_stats(options.profile)
            found = asyncio.run(_found(dsn))
    share = 1e6 / count
    print(
        f"{count} records in {batches} batches, {count / took_s:,.0f} a second; "
        f"CPU each: drain {own_s * share:.1f} µs, PostgreSQL {pg_s * share:.1f} µs, "
        f"together {(own_s + pg_s) * share:.1f} µs; {found}"
    )


async def _found(dsn: str) -> str:
    connection = await asyncpg.connect(dsn)
    row = await connection.fetchrow(
        "SELECT count(*), count(*) FILTER (WHERE end_evidence = 'stop'), sum(records), count(login_id), "
        "pg_size_pretty(pg_total_relation_size('net.session')), pg_size_pretty(pg_relation_size('net.session')), "
        "(SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'session') FROM net.session"
    )
    await connection.close()
    return "rows {}, stopped {}, records {}, owned {}, size {} ({} heap), HOT {}".format(*row)


if __name__ == "__main__":
    main()
