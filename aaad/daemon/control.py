"""The control role: the node's heartbeat, its answers to questions, pruning, the command line's socket, /metrics.

Each service guards itself: with PostgreSQL away the heartbeat, the questions and the pruning fail, are tried again,
and disturb neither the socket nor the metrics, which ask no database. Nothing here waits without a bound.

The command line's socket speaks one line of JSON each way per connection: {"ask": "status"} or
{"ask": "why", "login": NAME, "limit": N} or {"ask": "simulate", "login": NAME, "asked": {…}}. The answer is
{"answer": …} or {"problem": TEXT}.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from aaad.clock import pause, utc_now, wall_s
from aaad.daemon.metrics_endpoint import HttpAnswer, NodeCollector
from aaad.daemon.node_facts import NodeFacts, NodeFiles, mirrors
from aaad.daemon.stream_server import StreamServer
from aaad.daemon.testimony import Asked, Witness
from aaad.db.connection import Database, Row
from aaad.db.statements import load_statements
from aaad.errors import StoreError
from aaad.journal import JournalReader
from aaad.log import Log
from aaad.metrics import CounterFile
from aaad.spool.mirror_course import Stage
from aaad.words import Language

HEARTBEAT_INTERVAL_S = 5.0
QUESTION_POLL_S = 1.0  # a notification shortens it; one that is lost must not cost more
PRUNE_INTERVAL_S = 60.0
PRUNE_TIMEOUT_S = 120.0  # a log that grew for a day while nobody pruned is deleted in one statement
REFUSALS_KEEP_S = 90 * 86_400.0
_QUESTIONS_AT_ONCE = 16
_CONNECTIONS_MAX = 32
_CONVERSATION_TIMEOUT_S = 10.0
_SLOWER_AFTER_FAILURE_S = 1.0

HEARTBEAT_AT = "aaad_heartbeat_at_seconds"
ANSWERED = "aaad_questions_answered_total"
TURNED_AWAY = "aaad_control_turned_away_total"
BUGS = "aaad_bugs_total"
CONTROL_COUNTERS: tuple[str, ...] = (HEARTBEAT_AT, ANSWERED, TURNED_AWAY, BUGS)

_SQL = load_statements(Path(__file__).parent / "queries.sql")


class _Ask(msgspec.Struct, frozen=True):
    """A question from the command line, or the body of one from PostgreSQL with its kind."""

    ask: str
    login: str = ""
    limit: int = 20
    login_id: int = 0  # as the asker knows it from PostgreSQL; 0: not known
    asked: Asked = Asked()  # how it asks that is simulated


class Control:
    """The services of the control role, over plain values."""

    def __init__(
        self,
        *,
        node: str,
        version: str,
        files: NodeFiles,
        journal: JournalReader,
        database: Database,
        pruning: Database,
        change_log_keep_s: float,
        control_listener: socket.socket | None,
        metrics_listener: socket.socket | None,
        counters: CounterFile,
        log: Log,
        language: Language,
    ) -> None:
        """Wire the role.

        Args:
            node: this node's name in net.node.
            version: of this program.
            files: the node's own state.
            journal: of all slots.
            database: for the heartbeat and for questions.
            pruning: for pruning alone, with a longer limit (PRUNE_TIMEOUT_S): nothing else waits for it.
            change_log_keep_s: how long changes are kept.
            control_listener: the command line's unix socket; None: not served.
            metrics_listener: the socket of /metrics; None: not served.
            counters: a file with CONTROL_COUNTERS.
            log: where failures are told.
            language: in which customers are told why they are refused.
        """
        self._node = node
        self._version = version
        self._files = files
        self._witness = Witness(node, files, journal, language)
        self._database = database
        self._pruning = pruning
        self._change_log_keep_s = change_log_keep_s
        self._control_listener = control_listener
        self._metrics_listener = metrics_listener
        self._counters = counters
        self._log = log
        self._started_at = utc_now()
        self._asked = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until `stopping` is set."""
        await self._listen()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._wake_at_the_end(stopping))
            group.create_task(self._every("heartbeat", HEARTBEAT_INTERVAL_S, self._heartbeat, stopping))
            group.create_task(
                self._every("questions", QUESTION_POLL_S, self._answer_questions, stopping, self._asked)
            )
            group.create_task(self._every("pruning", PRUNE_INTERVAL_S, self._prune, stopping))
            if self._control_listener is not None:
                group.create_task(self._server(self._control_listener, self._converse).serve(stopping))
            if self._metrics_listener is not None:
                http = HttpAnswer(NodeCollector(self._facts).render, self._problem, self._remarks)
                group.create_task(self._server(self._metrics_listener, http.converse).serve(stopping))
        await self._database.close()
        await self._pruning.close()
        self._files.replica.close()

    def _server(self, listener: socket.socket, converse: Callable[..., Awaitable[None]]) -> StreamServer:
        return StreamServer(
            listener,
            converse,
            log=self._log,
            connections_max=_CONNECTIONS_MAX,
            timeout_s=_CONVERSATION_TIMEOUT_S,
            turned_away=lambda: self._counters.add(TURNED_AWAY),
        )

    async def _listen(self) -> None:
        try:
            await self._database.listen("aaad_question", self._asked.set)
        except StoreError as error:  # the next connection will listen
            self._log.warning("database.away", error=str(error))

    async def _every(
        self,
        service: str,
        interval_s: float,
        act: Callable[[], Awaitable[None]],
        stopping: asyncio.Event,
        hint: asyncio.Event | None = None,
    ) -> None:
        """Act now and at each interval, sooner at a hint, until told to stop; a failure waits for the next time."""
        is_away = False
        while not stopping.is_set():
            wait_s = interval_s
            if hint is not None:
                hint.clear()
            try:
                await act()
                is_away = False
            except StoreError as error:
                if not is_away:  # once: an hour without PostgreSQL must not fill the log
                    self._log.warning("database.away", service=service, error=str(error))
                is_away = True
                wait_s = max(interval_s, _SLOWER_AFTER_FAILURE_S)
            except Exception:  # noqa: BLE001  our bug in one service must not end the others
                self._counters.add(BUGS)
                self._log.exception("service.failed", service=service)
                wait_s = max(interval_s, _SLOWER_AFTER_FAILURE_S)
            await pause(stopping if hint is None else hint, wait_s)

    async def _wake_at_the_end(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._asked.set()

    async def _heartbeat(self) -> None:
        facts = self._facts()
        self._witness.note(facts)
        state = msgspec.json.encode({"replica": facts.replica, "spools": facts.spools}).decode()
        await self._database.fetchrow(_SQL.heartbeat, self._node, self._version, self._started_at, state)
        self._counters.set_seconds(HEARTBEAT_AT, wall_s())

    async def _answer_questions(self) -> None:
        for row in await self._database.fetch(_SQL.open_questions, self._node, _QUESTIONS_AT_ONCE):
            answer = await self._answer_to(_question(row))
            await self._database.execute(
                _SQL.answer_question, row["id"], self._node, msgspec.json.encode(answer).decode()
            )
            self._counters.add(ANSWERED)

    async def _prune(self) -> None:
        await self._pruning.execute(_SQL.prune_questions)
        await self._pruning.fetchrow(_SQL.prune_changes, self._change_log_keep_s)
        await self._pruning.execute(_SQL.prune_refusals, REFUSALS_KEEP_S)
        await self._pruning.execute(_SQL.prune_unknown_refusals, REFUSALS_KEEP_S)

    async def _answer_to(self, question: _Ask | None) -> dict[str, Any]:
        match question:
            case _Ask(ask="status"):
                return {"answer": msgspec.to_builtins(self._facts())}
            case _Ask(ask="why", login=login, limit=limit, login_id=login_id) if login:
                return {"answer": msgspec.to_builtins(await self._witness.testify(login, limit, login_id))}
            case _Ask(ask="simulate", login=login, asked=asked) if login:
                return {"answer": msgspec.to_builtins(await self._witness.simulate(login, asked))}
            case _:
                return {"problem": "this version knows no such question"}

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            question = msgspec.json.decode(await reader.readuntil(b"\n"), type=_Ask)
        except msgspec.MsgspecError:
            question = None
        writer.write(msgspec.json.encode(await self._answer_to(question)) + b"\n")

    def _facts(self) -> NodeFacts:
        return self._files.facts(wall_s())

    def _problem(self) -> str | None:
        return None if self._facts().replica.is_complete else "no complete replica yet"

    def _remarks(self) -> list[str]:
        """What a node that is well may say all the same (rule R6.4)."""
        found = mirrors(self._facts())
        return [f"mirror of {mirror.slot}: away" for mirror in found if mirror.stage is Stage.AWAY]


def _question(row: Row) -> _Ask | None:
    try:
        body = msgspec.json.decode(row["body"])
        return msgspec.convert({**body, "ask": row["kind"]}, _Ask)
    except (msgspec.MsgspecError, TypeError):
        return None
