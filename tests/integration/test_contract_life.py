"""The life of a contract and its logins: every state against every action, rules by parameter, and races."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
from accounting_records import INTERIM, START, STOP, T, accounting
from drain_house import House

from aaad.db.embedded import EmbeddedPostgres

SEED = """
INSERT INTO erp.branch (id, name, time_zone) VALUES (10, 'Matriz', 'America/Sao_Paulo');
INSERT INTO erp.plan (id, name, upload, download) VALUES (22, 'Reduzido', '512k', '1M');
INSERT INTO erp.plan (id, name, upload, download, late_after_days, late_plan_id) VALUES
    (20, 'Fibra 300', '150M', '300M', 10, 22), (21, 'Fibra 600', '300M', '600M', 0, NULL);
INSERT INTO erp.plan (id, name, upload, download, active) VALUES (23, 'Antigo', '1M', '1M', false);
INSERT INTO erp.client (id, branch_id, kind, name, document) VALUES
    (30, 10, 'F', 'Ana Souza', '52998224725'), (31, 10, 'J', 'Padaria Sol', '12ABC34501DE35');
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status, circuit) VALUES
    (40, 30, 10, 20, 'A', 'CHA000030-001');
INSERT INTO erp.login (id, contract_id, name, password, mac) VALUES
    (50, 40, 'ana@fibra', 'senha-ana', '00:1A:2B:3C:4D:5E');
"""
OPERATOR = "SET aaad.operator = 'maria'"
STATUSES = ("P", "A", "I", "N", "D")
ACCESSES = ("A", "D", "CM", "CA", "FA", "AA", "CE")
MISSING = 999_999
DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "erp-interface.md").read_text(encoding="utf-8")
STATES = {  # what erp.state_reason() may say
    *("contract_not_signed", "contract_inactive", "contract_blacklisted", "contract_withdrawn", "access_disabled"),
    *("blocked_manually", "blocked_automatically", "payment_late", "awaiting_signature"),
}


@pytest.fixture(scope="module")
def shared(postgres: EmbeddedPostgres, _template: str) -> str:
    """One database for all tests that ask by one connection."""
    dsn = postgres.dsn("contract_life")
    asyncio.run(execute(postgres.dsn(), f"CREATE DATABASE contract_life TEMPLATE {_template}"))
    asyncio.run(execute(dsn, SEED))
    return dsn


async def execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(sql)
    await connection.close()


@pytest.fixture
async def erp(request: pytest.FixtureRequest, shared: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection; to a database of the test's own if it has one, else all that it does is undone."""
    has_own = "dsn" in request.fixturenames
    connection = await asyncpg.connect(request.getfixturevalue("dsn") if has_own else shared)
    await connection.execute(OPERATOR)
    if has_own:
        await connection.execute(SEED)
        yield connection
    else:
        transaction = connection.transaction()
        await transaction.start()
        yield connection
        await transaction.rollback()
    await connection.close()


@contextlib.asynccontextmanager
async def refused(connection: asyncpg.Connection, error: type[asyncpg.PostgresError]) -> AsyncIterator[Any]:
    """Expect an error, which undoes what is done within alone."""
    with pytest.raises(error) as caught:
        async with connection.transaction():
            yield caught


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


async def test_every_answer_stands_in_the_documents(erp: asyncpg.Connection) -> None:
    sources = await erp.fetch(
        "SELECT proname AS name, prosrc AS text FROM pg_proc "
        "WHERE pronamespace = 'erp'::regnamespace AND prosrc LIKE '%AS answer (place%'"
    )
    assert {row["name"] for row in sources} > {call.partition("(")[0] for call in MODEL}
    said = {pair for row in sources for pair in re.findall(r"(\d+), '([a-z_]+)'\)", row["text"])}
    said |= {("109", word) for word in STATES}
    listed = {
        (code, word)
        for code, words in re.findall(r"^\| (\d+) \| (.*?) \|", DOCUMENT, re.MULTILINE)
        for word in re.findall(r"`(\w+)`", words)
    }
    listed |= {("0", word) for word in re.findall(r"^\| `erp\.\w+\(.*\| `(\w+)` \|$", DOCUMENT, re.MULTILINE)}
    assert said - listed == set()


async def test_the_history_names_the_operator(erp: asyncpg.Connection) -> None:
    await answer(erp, "block_contract(40)")
    row = await erp.fetchrow("SELECT text, operator, source FROM erp.history WHERE contract_id = 40")
    assert row is not None
    assert tuple(row) == ("access_status: A → CM", "maria", "system")


async def test_who_may_only_call_a_function_needs_no_rights_on_tables(erp: asyncpg.Connection) -> None:
    await erp.execute(
        "CREATE ROLE caller; GRANT USAGE ON SCHEMA erp TO caller;"
        "GRANT EXECUTE ON FUNCTION erp.block_contract, erp.change_owner, erp.generate_password, erp.delete_login "
        "TO caller"
    )
    try:
        await erp.execute("SET ROLE caller")
        assert await answer(erp, "block_contract(40)") == (0, "blocked")
        assert await answer(erp, "change_owner(40, 31, true)") == (0, "changed")
        assert (await ask(erp, "generate_password(50)"))["code"] == 0
        assert await answer(erp, "delete_login(50)") == (0, "deleted")
        for call in ("unblock_contract(40)", "random_password(16)", "hold_contract(40)"):
            async with refused(erp, asyncpg.InsufficientPrivilegeError):
                await erp.fetchrow(f"SELECT * FROM erp.{call}")
    finally:
        await erp.execute("RESET ROLE; DROP OWNED BY caller; DROP ROLE caller")


# --- voluntary suspension: 30 to 120 days, once in 12 months, as the parameters say --------------------------------


async def set_parameter(connection: asyncpg.Connection, name: str, value: str) -> None:
    await connection.execute(
        "INSERT INTO erp.parameter (name, value) VALUES ($1, $2) "
        "ON CONFLICT ON CONSTRAINT parameter_unique DO UPDATE SET value = excluded.value",
        name,
        value,
    )


SUSPEND = "suspend_contract(40, $1, $2)"


@pytest.mark.parametrize(
    ("first", "length", "expected"),
    [
        (0, 30, (0, "suspended")),
        (0, 29, (125, "too_short")),
        (0, 120, (0, "suspended")),
        (0, 121, (125, "too_long")),
        (10, 60, (0, "suspended")),
        (-1, 60, (122, "in_the_past")),
        (5, 0, (122, "days_out_of_order")),
        (30_000, 60, (122, "days_out_of_order")),  # beyond what nodes count
    ],
)
async def test_a_suspension_is_as_long_as_the_rules_have_it(
    erp: asyncpg.Connection, first: int, length: int, expected: tuple[int, str]
) -> None:
    begins = await today(erp) + timedelta(first)
    ends = begins + timedelta(length - 1)
    told = await ask(erp, SUSPEND, begins, ends)
    assert (told["code"], told["reason"]) == expected
    row = await contract(erp)
    if expected[0]:
        assert (row["suspended"], told["begins_on"], told["ends_on"]) == (False, None, None)
    else:
        assert (
            (row["suspended_from"], row["suspended_until"]) == (begins, ends) == (told["begins_on"], told["ends_on"])
        )


@pytest.mark.parametrize("day", ["infinity", "-infinity", "5874897-12-31", "4713-01-01 BC", "2100-01-01"])
async def test_days_that_are_none_are_told(erp: asyncpg.Connection, day: str) -> None:
    for call in (f"'{day}'", f"NULL, '{day}'", f"'{day}', '{day}'"):
        assert await answer(erp, f"suspend_contract(40, {call})") == (122, "days_out_of_order")
    assert await answer(erp, f"suspend_contract(41, '{day}')") == (106, "contract_not_found")


async def test_a_block_by_hand_is_no_late_payment(erp: asyncpg.Connection) -> None:
    await answer(erp, "block_contract(40)")
    assert await answer(erp, "suspend_contract(40)") == (109, "blocked_manually")
    await set_parameter(erp, "suspension_needs_no_debt", "N")
    assert await answer(erp, "suspend_contract(40)") == (0, "suspended")
    assert await answer(erp, "resume_contract(40)") == (0, "resumed")
    assert (await contract(erp))["access_status"] == "CM"


async def test_without_days_a_suspension_is_from_today_as_long_as_allowed(erp: asyncpg.Connection) -> None:
    told = await ask(erp, "suspend_contract(40)")
    day = await today(erp)
    assert (told["begins_on"], told["ends_on"]) == (day, day + timedelta(119))
    assert await answer(erp, "suspend_contract(40)") == (107, "already_suspended")
    assert await answer(erp, SUSPEND, day, day + timedelta(119)) == (107, "already_suspended")


async def test_one_that_has_begun_gets_another_end_and_no_other_beginning(erp: asyncpg.Connection) -> None:
    day = await today(erp)
    await erp.execute(
        "UPDATE erp.contract SET suspended = true, suspended_from = $1::date, suspended_until = $1::date + 59 "
        "WHERE id = 40",
        day - timedelta(40),
    )
    assert await answer(erp, SUSPEND, day, None) == (122, "already_begun")
    assert await answer(erp, SUSPEND, None, day + timedelta(80)) == (125, "too_long")
    assert await answer(erp, SUSPEND, None, day + timedelta(79)) == (0, "suspended"), "120 days in all"
    assert (await contract(erp))["suspended_from"] == day - timedelta(40)
    assert await answer(erp, SUSPEND, None, day - timedelta(1)) == (122, "days_out_of_order")


async def test_once_in_twelve_months_and_what_never_began_does_not_count(erp: asyncpg.Connection) -> None:
    day = await today(erp)
    await erp.execute(
        "UPDATE erp.contract SET suspended_from = $1, suspended_until = $1 WHERE id = 40", day - timedelta(364)
    )
    soon = await ask(erp, SUSPEND, day, day + timedelta(59))
    assert (soon["code"], soon["reason"]) == (125, "too_soon")
    first = soon["allowed_on"]
    assert first == await erp.fetchval("SELECT ($1::date + interval '12 months')::date", day - timedelta(364))
    assert await answer(erp, SUSPEND, first, first + timedelta(59)) == (0, "suspended")
    assert await answer(erp, "resume_contract(40)") == (0, "resumed"), "called off before it began"
    assert (await contract(erp))["suspended_from"] == day - timedelta(364)
    assert await answer(erp, SUSPEND, day, day + timedelta(59)) == (125, "too_soon")
    assert await answer(erp, SUSPEND, first, first + timedelta(59)) == (0, "suspended"), "it did not count"


async def test_one_that_was_ended_counts_from_its_first_day(erp: asyncpg.Connection) -> None:
    day = await today(erp)
    assert await answer(erp, "suspend_contract(40)") == (0, "suspended")
    assert await answer(erp, "resume_contract(40)") == (0, "resumed")
    row = await contract(erp)
    assert (row["suspended"], row["suspended_from"], row["suspended_until"]) == (False, day, day)
    assert await answer(erp, "suspend_contract(40)") == (125, "too_soon")
    await set_parameter(erp, "suspension_months_between", "0")
    assert await answer(erp, "suspend_contract(40)") == (0, "suspended")


async def test_the_rules_of_suspension_are_parameters(erp: asyncpg.Connection) -> None:
    day = await today(erp)
    await set_parameter(erp, "suspension_days_min", "5")
    await set_parameter(erp, "suspension_days_max", "0")
    await erp.execute(
        "INSERT INTO erp.receivable (client_id, contract_id, amount, due_on) VALUES (30, 40, 10, $1)",
        day - timedelta(1),
    )
    assert await answer(erp, SUSPEND, day, day + timedelta(4)) == (109, "payment_late")
    await set_parameter(erp, "suspension_needs_no_debt", "N")
    assert await answer(erp, SUSPEND, day, day + timedelta(3)) == (125, "too_short")
    assert await answer(erp, SUSPEND, day, day + timedelta(4)) == (0, "suspended")
    await set_parameter(erp, "suspension_months_between", "0")
    await answer(erp, "resume_contract(40)")
    told = await ask(erp, "suspend_contract(40)")
    assert (told["code"], told["ends_on"]) == (0, None), "no longest one: until it is resumed"
    await answer(erp, "resume_contract(40)")
    await set_parameter(erp, "allow_voluntary_suspension", "N")
    assert await answer(erp, "suspend_contract(40)") == (121, "not_allowed")


# --- releases -------------------------------------------------------------------------------------------------------


async def test_a_release_for_a_time_ends_by_itself_and_uses_no_trust_unlock_up(erp: asyncpg.Connection) -> None:
    await erp.execute("UPDATE erp.contract SET access_status = 'CA' WHERE id = 40")
    await erp.execute(
        "INSERT INTO erp.receivable (client_id, contract_id, amount, due_on) VALUES (30, 40, 10, current_date - 20)"
    )
    assert await answer(erp, "release_contract(40, 0)") == (122, "days_not_positive")
    told = await ask(erp, "release_contract(40, 9)")
    assert told["code"] == 0
    end = await erp.fetchval("SELECT erp.end_of_day(erp.today(10) + 1, 10)")
    assert told["released_until"] == end, "one day, whatever was asked for"
    source = await erp.fetchrow("SELECT access_status, trust_unlock_active, trust_unlock_until FROM net.login_source")
    assert source is not None
    assert tuple(source) == ("A", True, end), "what decides on the nodes"
    assert (await contract(erp))["released_at"] is not None
    await erp.execute("UPDATE erp.contract SET access_status = 'CA' WHERE id = 40")
    assert await answer(erp, "unlock_on_trust(40, 1)") == (0, "unlocked")
    assert (await contract(erp))["trust_unlock_used_for_due"] is not None
    await erp.execute("UPDATE erp.contract SET access_status = 'CA' WHERE id = 40")
    await set_parameter(erp, "temporary_release_days", "5")
    assert (await ask(erp, "release_contract(40, 3)"))["released_until"] == await erp.fetchval(
        "SELECT erp.end_of_day(erp.today(10) + 3, 10)"
    )
    await erp.execute("UPDATE erp.receivable SET status = 'R', paid_on = current_date")
    row = await contract(erp)
    assert (row["access_status"], row["trust_unlock_active"]) == ("A", False), "paid: nothing is for a time any more"


async def end_release(erp: asyncpg.Connection) -> None:
    """Let a release of a contract with a debt be over: the nodes say blocked, and its status is not CA again yet."""
    await erp.execute(
        "INSERT INTO erp.receivable (client_id, contract_id, amount, due_on) VALUES (30, 40, 10, current_date - 20);"
        "UPDATE erp.contract SET access_status = 'CA' WHERE id = 40;"
        "SELECT erp.release_contract(40);"
        "UPDATE erp.contract SET trust_unlock_until = now() - interval '1 minute' WHERE id = 40"
    )


@pytest.mark.parametrize("access", ["A", "FA"])
async def test_who_is_cut_off_since_a_release_is_over_is_let_in_again(
    erp: asyncpg.Connection, dsn: str, access: str
) -> None:
    await end_release(erp)
    await erp.execute("UPDATE erp.contract SET access_status = $1 WHERE id = 40", access)
    assert await answer(erp, "unblock_contract(40)") == (0, "unblocked")
    row = await contract(erp)
    assert (row["access_status"], row["trust_unlock_active"], row["trust_unlock_until"]) == ("A", False, None)
    assert await answer(erp, "unblock_contract(40)") == (107, "not_blocked")
    await erp.execute("DELETE FROM erp.receivable")
    await end_release(erp)
    await erp.execute("UPDATE erp.contract SET access_status = $1 WHERE id = 40", access)
    assert await answer(erp, "release_contract(40)") == (0, "released")
    assert await answer(erp, "release_contract(40)") == (107, "not_blocked")
    await erp.execute("UPDATE erp.contract SET trust_unlock_until = now() - interval '1 minute' WHERE id = 40")
    assert await answer(erp, "unlock_on_trust(40)") == (0, "unlocked"), "a release uses none up"
    assert await answer(erp, "unlock_on_trust(40)") == (107, "not_needed")
    await erp.execute("UPDATE erp.contract SET trust_unlock_until = now() - interval '1 minute' WHERE id = 40")
    assert await answer(erp, "unlock_on_trust(40)") == (113, "already_used")


async def test_a_release_lasts_until_the_day_of_its_title_is_over(erp: asyncpg.Connection) -> None:
    """As the nodes decide it."""
    await erp.execute(
        "INSERT INTO erp.receivable (client_id, contract_id, amount, due_on) VALUES (30, 40, 10, erp.today(10));"
        "UPDATE erp.contract SET access_status = 'CA' WHERE id = 40;"
        "SELECT erp.release_contract(40);"
        "UPDATE erp.contract SET trust_unlock_until = now() - interval '3 days' WHERE id = 40"
    )
    assert await answer(erp, "release_contract(40)") == (107, "not_blocked")


async def test_unblocking_takes_the_end_of_a_release_away(erp: asyncpg.Connection) -> None:
    await erp.execute("UPDATE erp.contract SET access_status = 'CA' WHERE id = 40")
    assert await answer(erp, "release_contract(40)") == (0, "released")
    assert await answer(erp, "unblock_contract(40)") == (0, "unblocked")
    assert (await contract(erp))["trust_unlock_active"] is False


async def test_a_block_by_hand_is_not_released_for_a_time(erp: asyncpg.Connection) -> None:
    await answer(erp, "block_contract(40)")
    assert await answer(erp, "release_contract(40)") == (109, "blocked_manually")
    assert await answer(erp, "sign_contract(40)") == (107, "already_signed")
    assert await answer(erp, "await_signature(40)") == (109, "blocked_manually"), "a signature would lift it"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("speed_status = 'N'", (107, "not_reduced")),
        ("speed_status = 'R'", (0, "released")),
        ("speed_status = 'R', late_speed = 'N'", (107, "not_reduced")),
        ("speed_status = 'R', plan_id = 21", (107, "not_reduced")),  # a plan that knows no other
        ("speed_status = 'R', not_reduced_until = current_date + 3", (107, "not_reduced")),
    ],
)
async def test_released_from_reduction(erp: asyncpg.Connection, change: str, expected: tuple[int, str]) -> None:
    await erp.execute(f"UPDATE erp.contract SET {change} WHERE id = 40")
    told = await ask(erp, "release_from_reduction(40, 90)")
    assert (told["code"], told["reason"]) == expected
    if told["code"] == 0:
        assert (
            told["not_reduced_until"] == await today(erp) + timedelta(5) == (await contract(erp))["not_reduced_until"]
        )
        assert await answer(erp, "release_from_reduction(40)") == (107, "not_reduced")


@pytest.mark.parametrize(("days_late", "code"), [(9, 107), (10, 0), (40, 0)])
async def test_who_is_late_long_enough_is_released_from_reduction(
    erp: asyncpg.Connection, days_late: int, code: int
) -> None:
    due = await today(erp) - timedelta(days_late)
    await erp.execute(
        "INSERT INTO erp.receivable (client_id, contract_id, amount, due_on) VALUES (30, 40, 10, $1)", due
    )
    assert (await ask(erp, "release_from_reduction(40)"))["code"] == code


# --- plan, owner, end -----------------------------------------------------------------------------------------------


async def test_another_plan_with_its_reason_and_without_the_circuit(erp: asyncpg.Connection) -> None:
    told = await ask(erp, "change_plan(40, 21, 'U')")
    assert (told["code"], told["circuit_taken"]) == (0, "CHA000030-001"), "S2-71"
    row = await contract(erp)
    assert (row["plan_id"], row["circuit"], row["inclusion_reason"]) == (21, None, "U")
    assert await erp.fetchval("SELECT plan_id FROM net.login_source") == 21
    texts = [row["text"] for row in await erp.fetch("SELECT text FROM erp.history WHERE kind = 'plan_changed'")]
    assert texts == ["plan: 20 → 21; reason: U"]
    assert await answer(erp, "change_plan(40, 21)") == (107, "already_so")
    assert await answer(erp, "change_plan(40, 99)") == (120, "plan_not_found")
    assert await answer(erp, "change_plan(40, NULL)") == (120, "plan_not_found")
    assert await answer(erp, "change_plan(40, 23)") == (121, "plan_not_sold")
    assert await answer(erp, "change_plan(40, 20, 'X')") == (122, "reason_unknown")


async def test_logins_that_name_their_plan_follow(erp: asyncpg.Connection) -> None:
    await erp.execute("UPDATE erp.login SET plan_id = 20 WHERE id = 50")
    assert await answer(erp, "change_plan(40, 21)") == (0, "changed")
    assert await erp.fetchval("SELECT plan_id FROM erp.login WHERE id = 50") == 21


async def test_another_owner_is_not_blocked_for_the_old_ones_debts(erp: asyncpg.Connection) -> None:
    await erp.execute(
        "INSERT INTO erp.receivable (client_id, contract_id, amount, due_on) VALUES (30, 40, 10, current_date - 40);"
        "UPDATE erp.contract SET access_status = 'CA' WHERE id = 40;"
        "SELECT erp.unlock_on_trust(40);"
        "UPDATE erp.contract SET access_status = 'CA' WHERE id = 40"
    )
    told = await ask(erp, "change_owner(40, 31)")
    assert (told["code"], told["old_client_id"]) == (0, 30)
    row = await contract(erp)
    assert (row["client_id"], row["access_status"], row["oldest_open_due"], row["inclusion_reason"]) == (
        31,
        "A",
        None,
        "L",
    )
    assert row["trust_unlock_used_for_due"] is None, "that promise was the old owner's"
    assert await erp.fetchval("SELECT status FROM erp.receivable") == "A", "it stays his debt"
    told_to = await erp.fetch("SELECT client_id, text FROM erp.history WHERE kind = 'owner_changed'")
    assert [tuple(row) for row in told_to] == [(30, "client: 30 → 31")]
    assert await answer(erp, "change_owner(40, 31)") == (107, "already_so")
    assert await answer(erp, "change_owner(40, 99)") == (120, "client_not_found")
    await erp.execute("UPDATE erp.client SET active = false WHERE id = 30")
    assert await answer(erp, "change_owner(40, 30)") == (121, "client_inactive")


async def test_another_owner_begins_anew_with_debts_of_his_own_too_but_for_a_block_by_hand(
    erp: asyncpg.Connection,
) -> None:
    """Who was given no notice is not blocked (Res. 765/2023, art. 70 and 71): the old owner's was not for him."""
    await set_parameter(erp, "single_receivables_block", "S")
    await erp.execute(
        "INSERT INTO erp.receivable (client_id, kind, amount, due_on) VALUES (31, 'single', 10, current_date - 40);"
        "UPDATE erp.contract SET access_status = 'CA', speed_status = 'R', do_not_block_until = current_date + 9,"
        " do_not_notice_until = current_date + 9, not_reduced_until = current_date + 9 WHERE id = 40;"
    )
    assert await answer(erp, "change_owner(40, 31)") == (0, "changed")
    row = await contract(erp)
    assert (row["access_status"], row["notice_at"], row["speed_status"]) == ("A", None, "N")
    assert [row[f"{name}_until"] for name in ("do_not_block", "do_not_notice", "not_reduced")] == [None] * 3, (
        "these were the old owner's"
    )
    await erp.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 40")
    assert await answer(erp, "change_owner(40, 30)") == (0, "changed")
    assert (await contract(erp))["access_status"] == "CM"


async def test_the_old_owners_titles_may_be_cancelled_with_the_change(erp: asyncpg.Connection) -> None:
    await erp.execute(
        "INSERT INTO erp.receivable (client_id, contract_id, amount, due_on, status, paid_on) VALUES "
        "(30, 40, 10, current_date - 40, 'A', NULL), (30, 40, 10, current_date - 70, 'R', current_date)"
    )
    assert await answer(erp, "change_owner(40, 31, true)") == (0, "changed")
    rows = await erp.fetch("SELECT status FROM erp.receivable ORDER BY due_on DESC")
    assert [row["status"] for row in rows] == ["C", "R"], "S2-65"


async def test_sessions_keep_the_owner_of_their_beginning(erp: asyncpg.Connection, dsn: str, tmp_path: Path) -> None:
    house = House(dsn, tmp_path / "spool")
    await erp.execute(
        "INSERT INTO net.node (name) VALUES ('node-1');"
        "INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'n', '192.0.2.0/24', 's')"
    )
    first = {"user": "ana@fibra", "session": "81a00001"}
    house.put([accounting(START, T, **first)])
    await house.drain_all()
    assert await answer(erp, "change_owner(40, 31)") == (0, "changed")
    house.put([accounting(INTERIM, T + 300, time_s=300, **first), accounting(STOP, T + 400, time_s=400, **first)])
    house.put([accounting(START, T + 500, user="ana@fibra", session="81a00002")])
    await house.drain_all()
    rows = await erp.fetch("SELECT client_id, contract_id FROM net.session ORDER BY started_at")
    assert [tuple(row) for row in rows] == [(30, 40), (31, 40)]
    await house.database.close()


async def test_cancelling_takes_what_is_not_due_yet_along_and_may_end_the_client(erp: asyncpg.Connection) -> None:
    await erp.execute(
        "INSERT INTO erp.receivable (client_id, contract_id, amount, due_on) VALUES "
        "(30, 40, 10, current_date - 40), (30, 40, 10, current_date + 20)"
    )
    await set_parameter(erp, "inactivate_client_on_last_cancel", "S")
    assert await answer(erp, "cancel_contract(40, ' mudou')") == (122, "reason_malformed")
    assert await answer(erp, "cancel_contract(40, 'mudou', true)") == (0, "cancelled")
    row = await contract(erp)
    assert (row["status"], row["cancellation_reason"], row["cancelled_on"]) == ("D", "mudou", await today(erp))
    rows = await erp.fetch("SELECT status FROM erp.receivable ORDER BY due_on")
    assert [row["status"] for row in rows] == ["A", "C"]
    assert await erp.fetchval("SELECT active FROM erp.client WHERE id = 30") is False


LEND = "INSERT INTO erp.lent_equipment (contract_id, kind, identifier) VALUES (40, 'ONU', $1)"


async def test_nothing_is_cancelled_while_equipment_is_lent(erp: asyncpg.Connection) -> None:
    await erp.execute(LEND, "ZTEG1")
    await set_parameter(erp, "keep_plan_with_equipment", "S")
    assert await answer(erp, "cancel_contract(40)") == (123, "equipment_lent")
    for status in ("I", "D"):
        async with refused(erp, asyncpg.CheckViolationError) as caught:
            await erp.execute("UPDATE erp.contract SET status = $1 WHERE id = 40", status)
        assert caught.value.constraint_name == "contract_cancel_without_equipment"
    async with refused(erp, asyncpg.UniqueViolationError):
        await erp.execute(LEND, "ZTEG1")
    await erp.execute("UPDATE erp.lent_equipment SET returned_on = lent_on + 1")
    assert await answer(erp, "cancel_contract(40)") == (0, "cancelled")
    async with refused(erp, asyncpg.CheckViolationError) as caught:
        await erp.execute(LEND, "ZTEG2")
    assert caught.value.constraint_name == "lent_equipment_contract_living"
    rows = await erp.fetch("SELECT text FROM erp.history WHERE text LIKE 'equipment%' ORDER BY id")
    assert [row["text"] for row in rows] == ["equipment lent: ONU ZTEG1", "equipment returned: ONU ZTEG1"]


async def test_what_is_to_be_returned_some_day_is_lent_until_then(erp: asyncpg.Connection) -> None:
    await set_parameter(erp, "keep_plan_with_equipment", "S")
    await erp.execute(
        "INSERT INTO erp.lent_equipment (contract_id, kind, returned_on) VALUES (40, 'ONU', current_date + 30)"
    )
    assert await answer(erp, "cancel_contract(40)") == (123, "equipment_lent")
    await erp.execute("UPDATE erp.lent_equipment SET returned_on = current_date")
    assert await answer(erp, "cancel_contract(40)") == (0, "cancelled")


async def test_without_the_parameter_lent_equipment_is_no_matter(erp: asyncpg.Connection) -> None:
    await erp.execute(LEND, None)
    assert await answer(erp, "cancel_contract(40)") == (0, "cancelled")


async def test_a_contract_of_an_inactive_client_is_not_activated(erp: asyncpg.Connection) -> None:
    """Nothing of his connects: it would be said to be done and is not."""
    await set_parameter(erp, "inactivate_client_on_last_cancel", "S")
    await erp.execute("UPDATE erp.contract SET status = 'I' WHERE id = 40")
    assert await answer(erp, "activate_contract(40)") == (121, "client_inactive")
    await erp.execute("UPDATE erp.client SET active = true WHERE id = 30")
    assert await answer(erp, "activate_contract(40)") == (0, "activated")


async def test_activation_wants_a_login_and_may_begin_anew(erp: asyncpg.Connection) -> None:
    await erp.execute("UPDATE erp.contract SET status = 'P', activated_on = '2020-01-01' WHERE id = 40")
    await set_parameter(erp, "login_required_for_internet", "S")
    await erp.execute("UPDATE erp.login SET deleted_at = now() WHERE id = 50")
    assert await answer(erp, "activate_contract(40)") == (124, "login_missing")
    await erp.execute("UPDATE erp.login SET deleted_at = NULL WHERE id = 50")
    assert await answer(erp, "activate_contract(40)") == (0, "activated")
    assert (await contract(erp))["activated_on"] == date(2020, 1, 1)
    await erp.execute("UPDATE erp.contract SET status = 'P' WHERE id = 40")
    await set_parameter(erp, "reset_activation_date", "S")
    assert await answer(erp, "activate_contract(40)") == (0, "activated")
    assert (await contract(erp))["activated_on"] == await today(erp)


# --- logins ---------------------------------------------------------------------------------------------------------


async def test_a_login_is_freed_from_its_device(erp: asyncpg.Connection) -> None:
    assert await answer(erp, "clear_mac(50)") == (0, "cleared")
    assert await answer(erp, "clear_mac(50)") == (107, "already_so")
    await erp.execute("UPDATE erp.login SET authentication = 'M', mac = '00:1A:2B:3C:4D:5E' WHERE id = 50")
    assert await answer(erp, "clear_mac(50)") == (109, "mac_is_name")


async def test_passwords_are_given_and_made_and_never_told_to_the_history(erp: asyncpg.Connection) -> None:
    assert await answer(erp, "set_password(50, 'nova senha 9')") == (0, "changed")
    for wrong in (" outer", "", "acentuação", "x" * 129, None):
        assert await answer(erp, "set_password(50, $1)", wrong) == (122, "password_malformed")
    assert await erp.fetchval("SELECT password FROM erp.login WHERE id = 50") == "nova senha 9"
    made = await ask(erp, "generate_password(50)")
    assert (made["code"], len(made["password"])) == (0, 16)
    await set_parameter(erp, "password_length", "40")
    again = await ask(erp, "generate_password(50)")
    assert len(again["password"]) == 40
    assert await erp.fetchval("SELECT password FROM erp.login WHERE id = 50") == again["password"]
    history = await erp.fetchval("SELECT string_agg(text, '') FROM erp.history")
    assert "password: changed" in history
    assert not any(word in history for word in ("nova senha", made["password"], again["password"]))
    row = await erp.fetchrow("SELECT password_md5 FROM erp.login WHERE id = 50")
    assert row is not None
    assert row["password_md5"] is False


async def test_every_letter_of_a_made_password_is_as_likely(erp: asyncpg.Connection) -> None:
    text = await erp.fetchval("SELECT string_agg(erp.random_password(64), '') FROM generate_series(1, 1000)")
    counts = {letter: text.count(letter) for letter in set(text)}
    assert set(counts) == set("abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789")
    expected = len(text) / 55
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_square < 140, "54 degrees of freedom: more never happens by chance"


async def test_a_deleted_login_is_a_tombstone(erp: asyncpg.Connection) -> None:
    assert await answer(erp, "delete_login(50)") == (0, "deleted")
    assert await answer(erp, "delete_login(50)") == (107, "already_deleted")
    for call in ("clear_mac(50)", "set_password(50, 'word')", "generate_password(50)"):
        assert await answer(erp, call) == (109, "login_deleted")
    assert (await ask(erp, "generate_password(50)"))["password"] is None
    async with refused(erp, asyncpg.UniqueViolationError):
        await erp.execute("INSERT INTO erp.login (contract_id, name, password) VALUES (40, 'ANA@fibra', 'x')")
    row = await erp.fetchrow("SELECT kind, operator FROM erp.history WHERE login_id = 50 ORDER BY id DESC LIMIT 1")
    assert row is not None
    assert tuple(row) == ("login_deleted", "maria"), "S2-52"


# --- many at once ---------------------------------------------------------------------------------------------------

RACES = {
    "activate_contract(40)": "UPDATE erp.contract SET status = 'P' WHERE id = 40",
    "block_contract(40)": "",
    "unblock_contract(40)": "UPDATE erp.contract SET access_status = 'CM' WHERE id = 40",
    "notify_contract(40)": "",
    "await_signature(40)": "",
    "sign_contract(40)": "UPDATE erp.contract SET access_status = 'AA' WHERE id = 40",
    "suspend_contract(40)": "",
    "resume_contract(40)": "UPDATE erp.contract SET suspended = true WHERE id = 40",
    "release_contract(40)": "UPDATE erp.contract SET access_status = 'CA' WHERE id = 40",
    "release_from_reduction(40)": "UPDATE erp.contract SET speed_status = 'R' WHERE id = 40",
    "change_plan(40, 21)": "",
    "change_owner(40, 31)": "",
    "cancel_contract(40)": "",
    "clear_mac(50)": "",
    "delete_login(50)": "",
}
CALLERS = 6
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
async def callers(dsn: str, erp: asyncpg.Connection) -> AsyncIterator[list[asyncpg.Connection]]:
    connections = [await asyncpg.connect(dsn) for _ in range(CALLERS)]
    yield connections
    for connection in connections:
        await connection.close()


async def at_once(callers: list[asyncpg.Connection], calls: list[str]) -> list[tuple[int, str]]:
    """Let each caller ask in a transaction of his own, all of them held at the row until all are there."""
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(answer(caller, call)) for caller, call in zip(callers, calls, strict=True)]
    return [task.result() for task in asking]


@pytest.mark.parametrize("call", RACES)
async def test_of_many_who_ask_at_once_one_does_it(
    erp: asyncpg.Connection, callers: list[asyncpg.Connection], call: str
) -> None:
    if RACES[call]:
        await erp.execute(RACES[call])
    blocker = erp.transaction()
    await blocker.start()
    await erp.execute(
        "SELECT FROM erp.contract WHERE id = 40 FOR UPDATE; SELECT FROM erp.login WHERE id = 50 FOR UPDATE"
    )
    racing = asyncio.ensure_future(at_once(callers, [call] * CALLERS))
    while True:  # until all of them wait for the row
        waiting = await erp.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        if waiting == CALLERS:
            break
        await asyncio.sleep(0.01)
    await blocker.rollback()
    codes = sorted(code for code, _reason in await racing)
    assert codes == [0] + [107] * (CALLERS - 1)


async def test_cancelling_and_lending_at_once_never_both_succeed(
    erp: asyncpg.Connection, callers: list[asyncpg.Connection]
) -> None:
    await set_parameter(erp, "keep_plan_with_equipment", "S")
    for turn in range(10):
        number = 2000 + turn
        await erp.execute(
            "INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status) VALUES ($1, 30, 10, 20, 'A')",
            number,
        )

        async def lend(of_contract: int) -> bool:
            try:
                await callers[0].execute(
                    "INSERT INTO erp.lent_equipment (contract_id, kind) VALUES ($1, 'ONU')", of_contract
                )
            except asyncpg.CheckViolationError:
                return False
            return True

        async with asyncio.TaskGroup() as group:
            lending = group.create_task(lend(number))
            cancelling = group.create_task(answer(callers[1], "cancel_contract($1)", number))
        assert (lending.result(), cancelling.result()[0]) in {(True, 123), (False, 0)}


async def test_two_last_contracts_cancelled_at_once_end_their_client(
    erp: asyncpg.Connection, callers: list[asyncpg.Connection]
) -> None:
    await set_parameter(erp, "inactivate_client_on_last_cancel", "S")
    await erp.execute(
        "INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status) VALUES (41, 30, 10, 20, 'A')"
    )
    told = await at_once(callers[:2], ["cancel_contract(40)", "cancel_contract(41)"])
    assert [code for code, _reason in told] == [0, 0]
    assert await erp.fetchval("SELECT active FROM erp.client WHERE id = 30") is False


async def test_two_owners_at_once_and_titles_being_written_meanwhile(
    erp: asyncpg.Connection, callers: list[asyncpg.Connection]
) -> None:
    await set_parameter(erp, "single_receivables_block", "S")
    await erp.execute("INSERT INTO erp.client (id, branch_id, kind, name) VALUES (32, 10, 'E', 'Bo')")

    async def write_titles() -> None:
        for _ in range(10):
            await callers[2].execute(
                "INSERT INTO erp.receivable (client_id, kind, amount, due_on) "
                "SELECT id, 'single', 1, current_date - 9 FROM erp.client ORDER BY id"
            )

    async with asyncio.TaskGroup() as group:
        group.create_task(write_titles())
        for turn in range(10):
            told = await at_once(callers[:2], ["change_owner(40, 31)", "change_owner(40, 32)"])
            assert {code for code, _reason in told} <= {0, 107}, turn
    row = await contract(erp)
    due = await erp.fetchval("SELECT min(due_on) FROM erp.receivable WHERE client_id = $1", row["client_id"])
    assert row["oldest_open_due"] == due


async def test_who_finds_another_owner_begins_anew_without_the_clients_he_has_locked(
    erp: asyncpg.Connection, callers: list[asyncpg.Connection]
) -> None:
    """Titles of several clients lock them in the order of their ids: whoever holds 32 must not wait for 31."""
    await erp.execute("INSERT INTO erp.client (id, branch_id, kind, name) VALUES (32, 10, 'E', 'Bo')")
    former, titles, other = callers[:3]
    lock = "SELECT FROM erp.client WHERE id = {} FOR NO KEY UPDATE"
    await former.execute("BEGIN;" + lock.format(30))
    await former.execute("UPDATE erp.contract SET client_id = 31 WHERE id = 40")
    await titles.execute("BEGIN;" + lock.format(31))

    async def until_waiting_for(holder: asyncpg.Connection) -> None:
        async with asyncio.timeout(10):
            while [holder.get_server_pid()] != await erp.fetchval(
                "SELECT pg_blocking_pids($1)", other.get_server_pid()
            ):
                await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        asked = group.create_task(answer(other, "change_owner(40, 32)"))
        await until_waiting_for(former)
        await former.execute("COMMIT")
        await until_waiting_for(titles)
        await titles.execute(lock.format(32))
        await titles.execute("COMMIT")
    assert asked.result()[0] == 0
    assert (await contract(erp))["client_id"] == 32


@pytest.mark.parametrize("call", ["cancel_contract(40, NULL, true)", "change_owner(40, 31, true)"])
async def test_a_payment_meanwhile_is_neither_lost_nor_in_the_way(
    erp: asyncpg.Connection, callers: list[asyncpg.Connection], call: str
) -> None:
    """Who pays holds the title and wants the contract; who cancels titles must not come the other way."""
    await erp.execute(
        "INSERT INTO erp.receivable (id, client_id, contract_id, amount, due_on) VALUES "
        "(1, 30, 40, 10, current_date + 9), (2, 30, 40, 10, current_date + 40)"
    )
    payer, other = callers[:2]
    await payer.execute("BEGIN; SELECT FROM erp.receivable WHERE id = 1 FOR NO KEY UPDATE")
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(answer(other, call))
        while not await erp.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
        await payer.execute("UPDATE erp.receivable SET status = 'R', paid_on = current_date WHERE id = 1")
        await payer.execute("COMMIT")
    assert asked.result()[0] == 0
    rows = await erp.fetch("SELECT status FROM erp.receivable ORDER BY id")
    assert [row["status"] for row in rows] == ["R", "C"]
