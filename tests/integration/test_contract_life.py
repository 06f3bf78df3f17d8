"""The life of a contract and its logins: every state against every action, rules by parameter, and races."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import date, timedelta
from itertools import product
from typing import Any, NamedTuple

import asyncpg
import pytest

SEED = """
INSERT INTO erp.branch (id, name, time_zone) VALUES (10, 'Matriz', 'America/Sao_Paulo');
INSERT INTO erp.plan (id, name, upload, download) VALUES (22, 'Reduzido', '512k', '1M');
INSERT INTO erp.plan (id, name, upload, download, late_after_days, late_plan_id) VALUES
    (20, 'Fibra 300', '150M', '300M', 10, 22), (21, 'Fibra 600', '300M', '600M', 0, NULL);
INSERT INTO erp.plan (id, name, upload, download, active) VALUES (23, 'Antigo', '1M', '1M', false);
INSERT INTO erp.client (id, branch_id, kind, name, document) VALUES
    (30, 10, 'F', 'Ana Souza', '52998224725'), (31, 10, 'J', 'Padaria Sol', '12ABC34501DE35');
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status, circuit) VALUES (40, 30, 10, 20, 'A', 'CHA000030-001');
INSERT INTO erp.login (id, contract_id, name, password, mac) VALUES (50, 40, 'ana@fibra', 'senha-ana', '00:1A:2B:3C:4D:5E');
SET aaad.operator = 'maria';
"""
STATUSES = ("P", "A", "I", "N", "D")
ACCESSES = ("A", "D", "CM", "CA", "FA", "AA", "CE")
MISSING = 999_999


@pytest.fixture
async def erp(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    await connection.execute(SEED)
    yield connection
    await connection.close()


async def ask(connection: asyncpg.Connection, call: str, *arguments: object) -> dict[str, Any]:
    row = await connection.fetchrow(f"SELECT * FROM erp.{call}", *arguments)
    assert row is not None
    return dict(row)


async def answer(connection: asyncpg.Connection, call: str, *arguments: object) -> tuple[int, str]:
    told = await ask(connection, call, *arguments)
    return told["code"], told["reason"]


async def contract(connection: asyncpg.Connection, contract_id: int = 40) -> asyncpg.Record:
    row = await connection.fetchrow("SELECT * FROM erp.contract WHERE id = $1", contract_id)
    assert row is not None
    return row


async def today(connection: asyncpg.Connection) -> date:
    return await connection.fetchval("SELECT erp.today(10)")


# --- every state against every action -------------------------------------------------------------------------------


class State(NamedTuple):
    status: str
    access: str
    suspended: bool


Outcome = tuple[int, State]


def activate(state: State) -> Outcome:
    if state.status == "D":
        return 109, state
    closed = state.access in ("AA", "CE", "D")
    if state.status == "A" and not closed:
        return 107, state
    return 0, state._replace(status="A", access="A" if closed else state.access)


def moved(state: State, sources: str, target: str, statuses: str, already: str) -> Outcome:
    """An action on the access status: from which states, to which, of which contracts."""
    if state.status not in statuses.split():
        return 109, state
    if state.access in already.split():
        return 107, state
    return (0, state._replace(access=target)) if state.access in sources.split() else (109, state)


def sign(state: State) -> Outcome:
    return moved(state, "AA CE", "A", "P A", "A FA CM CA")


def suspend(state: State) -> Outcome:
    if state.status != "A":
        return 109, state
    if state.suspended:
        return 107, state
    return (0, state._replace(suspended=True)) if state.access == "A" else (109, state)


def resume(state: State) -> Outcome:
    if state.status == "D":
        return 109, state
    return (0, state._replace(suspended=False)) if state.suspended else (107, state)


def cancel(state: State) -> Outcome:
    return (107, state) if state.status == "D" else (0, state._replace(status="D"))


def unchanged(state: State) -> Outcome:
    """What changes nothing of the three that the table is about."""
    return (109 if state.status == "D" else 0), state


def change_owner(state: State) -> Outcome:
    if state.status == "D":
        return 109, state
    access = "A" if state.access in ("CA", "FA") else state.access
    return 0, state._replace(access=access, suspended=False)


MODEL = {
    "activate_contract($1)": activate,
    "block_contract($1)": lambda state: moved(state, "A FA CA", "CM", "P A I N", "CM"),
    "unblock_contract($1)": lambda state: moved(state, "CM CA FA", "A", "P A I N", "A"),
    "notify_contract($1)": lambda state: moved(state, "A", "FA", "A", "FA"),
    "await_signature($1)": lambda state: moved(state, "A FA", "AA", "P A", "AA CE"),
    "sign_contract($1)": sign,
    "suspend_contract($1)": suspend,
    "resume_contract($1)": resume,
    "release_contract($1)": lambda state: moved(state, "CA", "A", "A", "A FA"),
    "release_from_reduction($1)": lambda state: (109 if state.status != "A" else 107, state),
    "change_plan($1, 21, 'U')": unchanged,
    "change_owner($1, 31)": change_owner,
    "cancel_contract($1)": cancel,
}


def states() -> Iterator[State]:
    for status, access, suspended in product(STATUSES, ACCESSES, (False, True)):
        yield State(status, access, suspended)


@pytest.mark.parametrize("call", MODEL)
async def test_every_state_against_every_action(erp: asyncpg.Connection, call: str) -> None:
    expected, found = {}, {}
    for number, state in enumerate(states(), 1000):
        await erp.execute(
            "INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status, access_status, suspended) "
            "VALUES ($1, 30, 10, 20, $2, $3, $4)",
            number,
            *state,
        )
        code, after = MODEL[call](state)
        expected[state] = (code, after)
        told = await ask(erp, call, number)
        row = await contract(erp, number)
        found[state] = (told["code"], State(row["status"], row["access_status"], row["suspended"]))
        assert told["reason"], state
        rows = await erp.fetchval("SELECT count(*) FROM erp.history WHERE contract_id = $1", number)
        assert (rows > 0) is (code == 0), (state, rows)
    assert found == expected


async def test_what_is_not_there_is_told_by_every_function(erp: asyncpg.Connection) -> None:
    for call in MODEL:
        assert await answer(erp, call, MISSING) == (106, "contract_not_found"), call
        assert await answer(erp, call, None) == (106, "contract_not_found"), call
    for call in ("clear_mac($1)", "set_password($1, 'word')", "generate_password($1)", "delete_login($1)"):
        assert await answer(erp, call, MISSING) == (120, "login_not_found"), call
        assert await answer(erp, call, None) == (120, "login_not_found"), call


async def test_the_history_names_the_operator(erp: asyncpg.Connection) -> None:
    await answer(erp, "block_contract(40)")
    row = await erp.fetchrow("SELECT text, operator, source FROM erp.history WHERE contract_id = 40")
    assert row is not None
    assert tuple(row) == ("access_status: A → CM", "maria", "system")
