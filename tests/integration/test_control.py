"""The control role against PostgreSQL: heartbeat, questions, pruning; and without it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from aaad.daemon import control as control_room
from aaad.daemon.control import ANSWERED, CONTROL_COUNTERS, HEARTBEAT_AT, Control
from aaad.daemon.node_facts import NodeFiles
from aaad.db.connection import Database
from aaad.journal import JournalReader
from aaad.log import get_logger
from aaad.metrics import CounterFile
from aaad.words import Language


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_room, "HEARTBEAT_INTERVAL_S", 0.1)
    monkeypatch.setattr(control_room, "PRUNE_INTERVAL_S", 0.1)


def database(dsn: str) -> Database:
    return Database(dsn, connect_timeout_s=2, statement_timeout_s=2, application_name="test")


@asynccontextmanager
async def running(
    dsn: str, directory: Path, name: str = "node-1", change_log_keep_s: float = 3600.0
) -> AsyncIterator[tuple[CounterFile, Path]]:
    """A control role on its own, with an empty state directory."""
    path = directory / f"{name}.sock"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    counters = CounterFile(directory / "counters" / "control-0.cnt", CONTROL_COUNTERS)
    role = Control(
        node=name,
        version="1.2.3",
        files=NodeFiles(directory, node=name, version="1.2.3", ports=()),
        journal=JournalReader(directory / "journal"),
        database=database(dsn),
        pruning=database(dsn),
        change_log_keep_s=change_log_keep_s,
        control_listener=listener,
        metrics_listener=None,
        counters=counters,
        log=get_logger("control"),
        language=Language.ENGLISH,
    )
    stopping = asyncio.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(role.run(stopping))
        yield counters, path
        stopping.set()


async def eventually(check: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(10):
        while not (found := await check()):
            await asyncio.sleep(0.02)
    return found


async def ask(path: Path, request: bytes) -> Any:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return json.loads(answer)


async def test_the_heartbeat_makes_the_nodes_row_and_moves_it(dsn: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(dsn)
    async with running(dsn, tmp_path) as (counters, _):
        row = await eventually(lambda: connection.fetchrow("SELECT * FROM net.node WHERE name = 'node-1'"))
        assert row["version"] == "1.2.3"
        assert row["started_at"] <= row["heartbeat_at"]
        assert json.loads(row["state"])["replica"]["is_complete"] is False
        await eventually(
            lambda: connection.fetchval("SELECT true FROM net.node WHERE heartbeat_at > $1", row["heartbeat_at"])
        )
        assert counters.cells[counters.index[HEARTBEAT_AT]] > 0
    await connection.close()


async def test_questions_are_answered_by_every_node_once(dsn: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(dsn)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with running(dsn, tmp_path / "a", "node-a") as (counters, _), running(dsn, tmp_path / "b", "node-b"):
        await eventually(lambda: connection.fetchval("SELECT count(*) = 2 FROM net.node"))
        number = await connection.fetchval(
            """INSERT INTO net.question (kind, body) VALUES ('why', '{"login": "ana", "limit": 3}') RETURNING id"""
        )
        rows = await eventually(
            lambda: connection.fetch(
                "SELECT node.name, body FROM net.answer JOIN net.node ON node.id = node_id "
                "WHERE question_id = $1 AND (SELECT count(*) FROM net.answer) = 2",
                number,
            )
        )
        answers = {row["name"]: json.loads(row["body"])["answer"] for row in rows}
        assert set(answers) == {"node-a", "node-b"}
        assert answers["node-a"]["past"] == []
        assert answers["node-a"]["is_complete"] is False
        assert counters.cells[counters.index[ANSWERED]] == 1
    await connection.close()


@pytest.mark.parametrize("body", ['"text"', "{}", '{"login": 7}', '{"login": ""}', "[1]"])
async def test_a_question_that_is_none_gets_an_answer_all_the_same(dsn: str, tmp_path: Path, body: str) -> None:
    connection = await asyncpg.connect(dsn)
    async with running(dsn, tmp_path):
        await connection.execute("INSERT INTO net.question (kind, body) VALUES ('why', $1::jsonb)", body)
        answer = await eventually(lambda: connection.fetchval("SELECT body FROM net.answer"))
        assert "problem" in json.loads(answer)
    await connection.close()


async def test_old_questions_changes_and_refusals_are_pruned(dsn: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        """
        INSERT INTO net.question (kind, expires_at) VALUES ('why', now() - interval '1 hour');
        INSERT INTO net.change (kind, key, at) VALUES ('login', 1, now() - interval '2 hours'), ('login', 2, now());
        INSERT INTO net.refusal VALUES (1, 'wrong_password', now() - interval '91 days', 5),
                                       (1, 'wrong_password', now(), 5);
        """
    )
    gone = (
        "SELECT NOT EXISTS (SELECT FROM net.question) AND NOT EXISTS (SELECT FROM net.change WHERE key = 1)"
        " AND (SELECT count(*) FROM net.refusal) = 1"
    )
    async with running(dsn, tmp_path):
        await eventually(lambda: connection.fetchval(gone))
        assert await connection.fetchval("SELECT count(*) FROM net.change WHERE key = 2") == 1
    await connection.close()


@pytest.mark.parametrize(
    "request_line",
    [b"garbage\n", b"{}\n", b'{"ask": "everything"}\n', b'{"ask": "why"}\n', b'{"ask": "why", "limit": "x"}\n'],
)
async def test_garbage_on_the_socket_gets_a_problem(tmp_path: Path, request_line: bytes) -> None:
    async with running("postgresql://postgres@127.0.0.1:9/x", tmp_path) as (_, path):
        assert "problem" in await ask(path, request_line)


async def test_without_postgresql_the_socket_answers_and_the_role_ends_in_order(tmp_path: Path) -> None:
    async with running("postgresql://postgres@127.0.0.1:9/x", tmp_path) as (_, path):
        status = (await ask(path, b'{"ask": "status"}\n'))["answer"]
        assert status["node"] == "node-1"
        assert status["replica"]["is_complete"] is False
        why = (await ask(path, b'{"ask": "why", "login": "ana"}\n'))["answer"]
        assert why["past"] == []
