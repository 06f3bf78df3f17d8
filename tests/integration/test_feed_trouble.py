"""The feed outlives what PostgreSQL and its own process do: killed, frozen, restarted, damaged."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic

import pytest
from replica_node import Node, erp, expected_contents, running, seed, until
from structlog.testing import capture_logs

from aaad.db.embedded import EmbeddedPostgres
from aaad.db.migrate import migrate
from aaad.replica.layout import TABLES_KEY


@pytest.fixture(scope="module")
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server that these tests may kill: what it wrote is in the kernel's hands."""
    settings = {"shared_buffers": "16MB", "fsync": "off"}
    with EmbeddedPostgres(tmp_path_factory.mktemp("own_postgres"), settings=settings) as server:
        yield server


async def own_database(server: EmbeddedPostgres, name: str) -> str:
    async with erp(server.dsn("postgres")) as sql:
        await sql.execute(f"CREATE DATABASE {name}")
    await migrate(server.dsn(name))
    return server.dsn(name)


@contextmanager
def frozen(server: EmbeddedPostgres) -> Iterator[None]:
    """Stop a server where it stands, the postmaster first so that it makes no more children."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    children = [int(pid) for pid in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()]
    for pid in children:
        _signal(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in [*children, server.pid]:
            _signal(pid, signal.SIGCONT)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # a worker that has just ended
        os.kill(pid, number)


async def test_postgresql_away_is_told_when_it_begins_and_when_it_ends(
    own_postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    dsn = await own_database(own_postgres, "away")
    with capture_logs() as logged:
        async with running(Node(dsn, tmp_path)) as node:
            await until(lambda: node.meta)
            own_postgres.stop()
            await until(lambda: node.count("poll_failures_total") >= 4)
            own_postgres.start()
            await until(lambda: [entry for entry in logged if entry["event"] == "replica.poll_succeeded"])
    told = [entry["event"] for entry in logged if entry["event"].startswith("replica.poll_")]
    assert told == ["replica.poll_failed", "replica.poll_succeeded"]


async def test_a_plan_that_cannot_be_compiled_is_served_as_it_was(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 100)
    with capture_logs() as logged:
        async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
            await until(lambda: node.meta)
            served = node.tables().plans[0]
            await sql.execute("ALTER TABLE erp.plan DROP CONSTRAINT plan_filter_ids_form")
            await sql.execute("UPDATE erp.plan SET filter_ids = '{{a,b},{c,d}}', download = '7M' WHERE id = 1")
            await until(lambda: node.count("unusable_logins") == 1)
            await sql.execute("UPDATE erp.plan SET download = '77M' WHERE id = 2")
            await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 1")
            await until(lambda: node.standing("user000001") == "BLOCKED_MANUALLY")
            assert [plan.speed.download for plan in node.tables().plans] == ["50M", "77M"]
            assert node.tables().plans[0] == served
            # What is stored and cannot be read, by whatever fault, is built anew.
            with node.feed._generation().write() as write:
                write._transaction.put(TABLES_KEY, b"\x91\xa1x", db=write._databases.meta)
            await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 2")
            await until(
                lambda: node.standing("user000002") == "BLOCKED_MANUALLY" and node.count("resyncs_total") == 2
            )
            await sql.execute("UPDATE erp.plan SET filter_ids = '{a}' WHERE id = 1")
            await until(lambda: node.count("unusable_logins") == 0 and len(node.tables().plans) == 2)
            assert node.tables().plans[0].filter_ids == ("a",)
    told = [entry for entry in logged if entry["event"] == "replica.row_unusable"]
    assert [(entry["table"], entry["row"]) for entry in told] == [("plan", "1")] * 2
    assert {entry["event"] for entry in logged if entry["log_level"] == "error"} == {
        "replica.row_unusable",
        "replica.write_failed",
    }


async def test_postgresql_killed_and_back(own_postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    dsn = await own_database(own_postgres, "killed")
    await seed(dsn, 100)
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.meta)
        before = node.contents()
        assert own_postgres.pid is not None
        os.kill(own_postgres.pid, signal.SIGKILL)
        await until(lambda: node.count("poll_failures_total"))
        failures, began = node.count("poll_failures_total"), monotonic()
        await asyncio.sleep(1.0)
        assert node.count("poll_failures_total") - failures <= 25 * (monotonic() - began)  # no busy loop
        assert node.contents() == before
        own_postgres.start()  # in this thread: the server is ended with the thread that started it
        async with erp(dsn) as sql:
            await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 1")
        await until(lambda: node.standing("user000001") == "BLOCKED_MANUALLY", 3.0)
        assert node.contents() == await expected_contents(dsn)
        assert node.count("resyncs_total") == 1
        async with erp(dsn) as sql:  # notifications are back, too
            await asyncio.sleep(1.5)
            await sql.execute("UPDATE erp.contract SET access_status = 'A' WHERE id = 1")
        await until(lambda: node.standing("user000001") == "GRANTED", 1.0)


async def test_postgresql_frozen_and_thawed(own_postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    dsn = await own_database(own_postgres, "frozen")
    await seed(dsn, 100)
    async with running(Node(dsn, tmp_path, statement_timeout_s=0.5, connect_timeout_s=0.5)) as node:
        await until(lambda: node.meta)
        with frozen(own_postgres):
            await until(lambda: node.count("poll_failures_total") >= 2)
            assert node.standing("user000001") == "GRANTED"
        async with erp(dsn) as sql:
            await sql.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 1")
        await until(lambda: node.standing("user000001") == "BLOCKED_MANUALLY", 3.0)


async def test_postgresql_frozen_at_the_end(own_postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    """A role that ends does not wait for a frozen server."""
    dsn = await own_database(own_postgres, "frozen_at_end")
    await seed(dsn, 10)
    node = Node(dsn, tmp_path, statement_timeout_s=0.5, connect_timeout_s=0.5)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(node))
        await until(lambda: node.meta)
        with frozen(own_postgres):
            began = monotonic()
            await stack.aclose()
            assert monotonic() - began < 4


async def test_postgresql_frozen_during_a_resync(own_postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch) -> None:
    """Neither the ordinary limit of a statement nor the end of the process waits for the whole database."""
    monkeypatch.setattr("aaad.replica.source.ROWS_PER_READ", 2)
    dsn = await own_database(own_postgres, "frozen_in_resync")
    await seed(dsn, 2000)
    for limit_s in (0.5, 60.0):
        node = Node(dsn, tmp_path, name=f"node-{limit_s}", statement_timeout_s=limit_s, connect_timeout_s=0.5)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(running(node))
            await until(lambda node=node: list(node.directory.glob("*/data.mdb")))
            await asyncio.sleep(0.1)  # in the midst of a thousand chunks
            with frozen(own_postgres):
                if limit_s < 1:
                    await until(lambda node=node: node.count("poll_failures_total"), 3.0)
                else:
                    await asyncio.sleep(0.1)
                assert node.meta is None
                began = monotonic()
                node.stopping.set()
                await stack.aclose()
                assert monotonic() - began < 4
        assert not list(node.directory.glob("*/data.mdb"))  # the half-built one is gone


async def test_started_without_postgresql(tmp_path: Path) -> None:
    node = Node("postgresql://nobody@127.0.0.1:9/none", tmp_path)
    async with running(node):
        await until(lambda: node.count("poll_failures_total") >= 2)
        assert node.meta is None


async def test_backends_cancelled_and_terminated(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 50)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        for number in range(1, 21):
            await sql.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await sql.execute("UPDATE erp.contract SET plan_id = 2 WHERE id = $1", number)
            await asyncio.sleep(0.03)
        await until(lambda: node.login("user000020").plan_id == 2, 3.0)
        assert node.contents() == await expected_contents(dsn)
        assert node.count("resyncs_total") == 1


async def test_a_damaged_store_is_rebuilt(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 20)
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.meta)
        directory = node.directory
    data = directory / (directory / "current").read_text().strip() / "data.mdb"
    data.write_bytes(b"\0" * 8192)
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.meta)
        assert node.contents() == await expected_contents(dsn)
        assert len([path for path in directory.iterdir() if path.is_dir()]) == 1


FEED_PROCESS = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from structlog.testing import capture_logs
from replica_node import Node
async def main():
    node = Node({dsn!r}, Path({directory!r}), poll_interval_s=0.05)
    await node.feed.run(asyncio.Event())
asyncio.run(main())
"""


async def test_the_feed_killed_at_random_points(dsn: str, tmp_path: Path) -> None:
    """kill -9 while it loads and while changes pour in: what is on disk is always whole, and catches up."""
    await seed(dsn, 3000)
    program = FEED_PROCESS.format(tests=str(Path(__file__).parent), dsn=dsn, directory=str(tmp_path))
    async with erp(dsn) as sql:
        for attempt in range(4):
            process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
            try:
                began = monotonic()
                while monotonic() - began < 0.35 + 0.13 * attempt:
                    await sql.execute(
                        "UPDATE erp.contract SET plan_id = 1 + (random() < 0.5)::int WHERE id % 7 = $1", attempt
                    )
                    await asyncio.sleep(0.01)
            finally:
                process.kill()
                process.wait()
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.count("polls_total"))
        expected = await expected_contents(dsn)
        await until(lambda: node.contents() == expected)
        assert len(node.contents()) == 3000
