"""Asks PostgreSQL, and through it every node, what one machine alone does not know.

Every wait is bounded; StoreError tells that PostgreSQL is away, and the caller goes on with its own node.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from aaad.clock import monotonic_s, pause
from aaad.config import Config
from aaad.daemon.testimony import Testimony
from aaad.db.connection import Database, Row
from aaad.db.statements import load_statements

NODE_LIVES_S = 30.0  # a node shows itself every 5 s; one that has not for so long is not waited for
_ANSWER_WAIT_S = 3.0
_QUESTION_LIFE_S = 15.0
_LOOK_AGAIN_S = 0.2  # a notification shortens it
_REFUSALS_SHOWN_S = 30 * 86_400.0
_ROWS_MAX = 1_000
_UNKNOWN_ROWS_MAX = 10

_SQL = load_statements(Path(__file__).parent / "queries.sql")


class Unheard(NamedTuple):
    """A node that was not heard, and for how long it has not shown itself (None: never)."""

    node: str
    silent_s: float | None


class Hearing(NamedTuple):
    """What all nodes said about a login, and what PostgreSQL has counted."""

    testimonies: list[Testimony]
    unheard: list[Unheard]
    login_id: int  # 0: no such login in PostgreSQL
    refusals: list[dict[str, Any]]
    unknown_names: list[dict[str, Any]]  # only if there is no such login


class Overview(NamedTuple):
    """The cluster as PostgreSQL knows it."""

    nodes: list[dict[str, Any]]
    routers: list[dict[str, Any]]
    hold: dict[str, Any] | None
    contests: list[dict[str, Any]]  # logins whose devices push each other out
    orders: dict[str, Any] | None  # how many are open and held, and the oldest one's age; None: no order is open


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Database]:
    """Open the door to PostgreSQL for one command."""
    database = Database(
        config.database.dsn.get_secret_value(),
        connect_timeout_s=config.database.connect_timeout_s,
        statement_timeout_s=config.database.statement_timeout_s,
        application_name="aaad cli",
    )
    try:
        yield database
    finally:
        await database.close()


async def hear(config: Config, login: str, limit: int) -> Hearing:
    """Ask every node about a login, and PostgreSQL what it has counted."""
    async with opened(config) as database:
        row = await database.fetchrow(_SQL.login_by_name, login)
        login_id = int(row["id"]) if row else 0
        question = {"login": login, "limit": limit, "login_id": login_id}
        testimonies, unheard = await _ask_nodes(database, question)
        if login_id:
            refusals = await database.fetch(_SQL.refusals_of_login, login_id, _REFUSALS_SHOWN_S)
            return Hearing(testimonies, unheard, login_id, _dicts(refusals), [])
        unknown = await database.fetch(_SQL.refusals_of_unknown_names, _REFUSALS_SHOWN_S, _UNKNOWN_ROWS_MAX)
        return Hearing(testimonies, unheard, 0, [], _dicts(unknown))


async def overview(config: Config) -> Overview:
    """Return nodes, NASes and routers, and the open hold if there is one."""
    async with opened(config) as database:
        nodes = await database.fetch(_SQL.nodes)
        routers = await database.fetch(_SQL.routers, _ROWS_MAX)
        hold = await database.fetchrow(_SQL.open_holds)
        contests = await database.fetch(_SQL.contests, _ROWS_MAX)
        orders = await database.fetchrow(_SQL.open_orders)
        return Overview(
            nodes=_dicts(nodes),
            routers=_dicts(routers),
            hold=_dict(hold) if hold else None,
            contests=_dicts(contests),
            orders=_dict(orders) if orders else None,
        )


async def node_silences(database: Database) -> dict[str, float | None]:
    """Return of every node for how long it has not shown itself; None: never."""
    return {str(row["name"]): row["heartbeat_age_s"] for row in await database.fetch(_SQL.nodes)}


async def free_message_authenticator(config: Config, nas: str) -> list[dict[str, Any]] | None:
    """Let a NAS's routers come without Message-Authenticator again (rule R2.3); None if there is no such NAS."""
    async with opened(config) as database:
        freed = await database.fetch(_SQL.free_message_authenticator, nas)
        if not freed and await database.fetchrow(_SQL.nas_exists, nas) is None:
            return None
        return _dicts(freed)


async def _ask_nodes(database: Database, body: dict[str, object]) -> tuple[list[Testimony], list[Unheard]]:
    answered = asyncio.Event()
    await database.listen("aaad_answer", answered.set)
    nodes = await node_silences(database)
    living = {name for name, silent_s in nodes.items() if silent_s is not None and silent_s < NODE_LIVES_S}
    asked = await database.fetchrow(_SQL.ask, "why", msgspec.json.encode(body).decode(), _QUESTION_LIFE_S)
    assert asked is not None
    give_up_at_s = monotonic_s() + _ANSWER_WAIT_S
    while True:
        answered.clear()
        found = _testimonies(await database.fetch(_SQL.answers, asked["id"]))
        if living <= set(found) or monotonic_s() > give_up_at_s:
            break
        await pause(answered, _LOOK_AGAIN_S)
    return list(found.values()), [Unheard(name, nodes[name]) for name in nodes if name not in found]


def _testimonies(rows: list[Row]) -> dict[str, Testimony]:
    found: dict[str, Testimony] = {}
    for row in rows:
        try:
            found[row["name"]] = msgspec.convert(msgspec.json.decode(row["body"])["answer"], Testimony)
        except (KeyError, msgspec.MsgspecError):
            continue  # a node of another version: it stays among the unheard
    return found


def _dicts(rows: list[Row]) -> list[dict[str, Any]]:
    return [_dict(row) for row in rows]


def _dict(row: Row) -> dict[str, Any]:
    return {key: _plain(value) for key, value in row.items()}


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
