"""The agenda on a real PostgreSQL: payment, ladder, brake, two nodes at once, a node that dies."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import asyncpg
import pytest

from aaad.agenda import runner
from aaad.agenda.ladder import Why
from aaad.agenda.planning import survey
from aaad.agenda.runner import AGENDA_COUNTERS, Agenda
from aaad.db.connection import Database, Queries
from aaad.errors import StoreError
from aaad.metrics import CounterFile, read_counters

SEED = """
INSERT INTO erp.branch (id, name, time_zone) VALUES
    (10, 'Matriz', 'America/Sao_Paulo'), (11, 'Norte', 'America/Manaus');
INSERT INTO erp.plan (id, name, upload, download) VALUES (22, 'Reduzido', '512k', '1M');
INSERT INTO erp.plan (id, name, upload, download, late_after_days, late_plan_id) VALUES
    (20, 'Fibra 300', '150M', '300M', 0, NULL), (21, 'Fibra 600', '300M', '600M', 300, 22);
INSERT INTO erp.client (id, branch_id, kind, name) VALUES (30, 10, 'F', 'Ana Souza'), (31, 10, 'F', 'Bento Lima');
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status) VALUES
    (40, 30, 10, 20, 'A'), (41, 30, 10, 21, 'A'), (42, 31, 10, 20, 'A');
INSERT INTO erp.login (id, contract_id, name, password) VALUES (50, 40, 'ana@fibra', 'senha-ana');
INSERT INTO erp.parameter (name, value) VALUES
    ('no_block_days', ''), ('block_from_hour', '0'), ('block_until_hour', '24');
SELECT setval('erp.receivable_id_seq', 1000);
"""


class Erp:
    """What an ERP and a person do."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.connection: Any = None

    async def open(self) -> None:
        self.connection = await asyncpg.connect(self.dsn)
        await self.connection.execute(SEED)

    async def run(self, sql: str, *arguments: object) -> Any:
        return await self.connection.execute(sql, *arguments)

    async def owe(self, contract_id: int, days: int, *, client_id: int = 30, **more: Any) -> int:
        columns = {"client_id": client_id, "contract_id": contract_id, "amount": 99, **more}
        names = ", ".join(columns)
        places = ", ".join(f"${place}" for place in range(2, len(columns) + 2))
        return await self.connection.fetchval(
            f"INSERT INTO erp.receivable (due_on, {names})"
            f" VALUES (erp.today(10) - $1::integer, {places}) RETURNING id",
            days,
            *columns.values(),
        )

    async def pay(self, title: int) -> None:
        await self.run("UPDATE erp.receivable SET status = 'R', paid_on = current_date WHERE id = $1", title)

    async def notice(self, contract_id: int, days: int) -> None:
        """Somebody was told so many days ago."""
        code = await self.connection.fetchval(
            "SELECT code FROM erp.record_notice($1, 'sms', 'pague', 'id-1', now() - make_interval(days => $2))",
            contract_id,
            days,
        )
        assert code == 0

    async def access(self, contract_id: int = 40) -> str:
        return await self.connection.fetchval("SELECT access_status FROM erp.contract WHERE id = $1", contract_id)

    async def tasks(self, *columns: str) -> list[tuple[Any, ...]]:
        rows = await self.connection.fetch(
            f"SELECT {', '.join(columns)} FROM erp.task WHERE kind <> 'purge' ORDER BY kind, contract_id, id"
        )
        return [tuple(row) for row in rows]

    async def task(self, kind: str, contract_id: int | None = 40, **more: Any) -> int:
        columns = {"kind": kind, "contract_id": contract_id, **more}
        places = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
        return await self.connection.fetchval(
            f"INSERT INTO erp.task ({', '.join(columns)}) VALUES ({places}) RETURNING id", *columns.values()
        )


@pytest.fixture
async def erp(dsn: str) -> AsyncIterator[Erp]:
    erp = Erp(dsn)
    await erp.open()
    yield erp
    await erp.connection.close()


def door(erp: Erp, timeout_s: float = 20.0) -> Database:
    return Database(erp.dsn, connect_timeout_s=10, statement_timeout_s=timeout_s, application_name="test agenda")


@pytest.fixture
async def agenda(erp: Erp) -> AsyncIterator[Agenda]:
    database = door(erp)
    yield Agenda(database, None, "node-1")
    await database.close()


async def go(agenda: Agenda) -> Any:
    """Plan and do what is due."""
    planned = await agenda.plan(is_asked=True)
    await agenda.run_due()
    return planned


# --- payment --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"), [("CA", "A"), ("FA", "A"), ("CM", "CM"), ("D", "D"), ("AA", "AA"), ("A", "A")]
)
async def test_a_payment_unblocks_in_its_own_transaction(erp: Erp, before: str, after: str) -> None:
    title = await erp.owe(40, 40)
    await erp.run("UPDATE erp.contract SET access_status = $1 WHERE id = 40", before)
    await erp.pay(title)
    assert await erp.access() == after, "with no node running"


@pytest.mark.parametrize(
    "paid",
    [
        "UPDATE erp.receivable SET awaiting_confirmation = true",
        "UPDATE erp.receivable SET renegotiated = true",
        "UPDATE erp.receivable SET status = 'C'",
        "UPDATE erp.receivable SET due_on = current_date + 10",
        "DELETE FROM erp.receivable",
    ],
)
async def test_whatever_settles_the_debt_unblocks(erp: Erp, paid: str) -> None:
    await erp.owe(40, 40)
    await erp.run("UPDATE erp.contract SET access_status = 'CA' WHERE id = 40")
    await erp.run(paid)
    assert await erp.access() == "A"
    row = await erp.connection.fetchrow("SELECT unblocked_at FROM erp.contract WHERE id = 40")
    assert row["unblocked_at"] is not None


async def test_an_erp_that_writes_its_titles_anew_has_not_been_paid(erp: Erp) -> None:
    await erp.owe(40, 40)
    await erp.run("UPDATE erp.contract SET access_status = 'CA' WHERE id = 40")
    async with erp.connection.transaction():
        await erp.run("DELETE FROM erp.receivable")
        await erp.owe(40, 40)
    assert await erp.access() == "CA"


async def test_who_forces_the_status_keeps_it(erp: Erp) -> None:
    title = await erp.owe(40, 40)
    await erp.run("UPDATE erp.contract SET access_status = 'CA', force_access = 'S' WHERE id = 40")
    await erp.pay(title)
    assert await erp.access() == "CA"


async def test_a_payment_that_leaves_a_younger_debt_unblocks_at_once_by_the_agenda(erp: Erp, agenda: Agenda) -> None:
    title = await erp.owe(40, 40)
    await erp.owe(40, 3)
    await erp.run("UPDATE erp.contract SET access_status = 'CA' WHERE id = 40")
    await erp.pay(title)
    assert await erp.access() == "CA"
    assert await agenda.run_due() == 1, "no planning is needed"
    assert await erp.access() == "A"
    assert await erp.tasks("kind", "state", "ended_by") == [("unblock", "done", "node-1")]


async def test_a_payment_that_leaves_an_old_debt_does_not_unblock(erp: Erp, agenda: Agenda) -> None:
    title = await erp.owe(40, 40)
    await erp.owe(40, 20)
    await erp.run("UPDATE erp.contract SET access_status = 'CA' WHERE id = 40")
    await erp.pay(title)
    await agenda.run_due()
    assert await erp.access() == "CA"
    assert await erp.tasks("kind", "state", "result") == [("unblock", "cancelled", "still_late")]


async def test_a_payment_gives_the_full_speed_back_and_leaves_a_block_by_hand(erp: Erp) -> None:
    title = await erp.owe(40, 40)
    await erp.run(
        "UPDATE erp.contract SET access_status = 'CM', speed_status = 'R', reduced_at = now() WHERE id = 40"
    )
    await erp.pay(title)
    row = await erp.connection.fetchrow(
        "SELECT access_status, speed_status, reduced_at FROM erp.contract WHERE id = 40"
    )
    assert tuple(row) == ("CM", "N", None)


async def test_what_fails_after_a_payment_refuses_no_payment(erp: Erp, agenda: Agenda) -> None:
    title = await erp.owe(40, 40)
    await erp.run(
        "UPDATE erp.contract SET access_status = 'CA', speed_status = 'R', reduced_at = now() WHERE id = 40"
    )
    await erp.run(
        """CREATE FUNCTION erp.refuse() RETURNS trigger LANGUAGE plpgsql AS
            $f$ BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = 'check_violation'; END $f$;
        CREATE TRIGGER refuse BEFORE UPDATE OF access_status ON erp.contract FOR EACH ROW
            EXECUTE FUNCTION erp.refuse()"""
    )
    await erp.pay(title)
    assert await erp.connection.fetchval("SELECT status FROM erp.receivable WHERE id = $1", title) == "R"
    assert await erp.access() == "CA"
    await erp.run("DROP TRIGGER refuse ON erp.contract")
    await agenda.run_due()
    row = await erp.connection.fetchrow(
        "SELECT access_status, speed_status, reduced_at FROM erp.contract WHERE id = 40"
    )
    assert tuple(row) == ("A", "N", None)


async def test_what_gives_service_back_goes_before_what_waits_longer(erp: Erp, agenda: Agenda) -> None:
    await erp.run("UPDATE erp.contract SET access_status = 'CM' WHERE id = 40")
    await erp.task("block_by_hand", 41)
    await erp.run("UPDATE erp.task SET next_at = now() - interval '1 hour'")
    await erp.task("unblock_by_hand", 40)
    await agenda.run_due(batches_max=1)
    assert [await erp.access(40), await erp.access(41)] == ["A", "A"]
    await agenda.run_due()
    assert await erp.access(41) == "CM"


async def test_many_payments_in_one_statement_are_one_update(erp: Erp) -> None:
    await late_contracts(erp, 50)
    await erp.run("UPDATE erp.contract SET access_status = 'CA' WHERE id >= 100")
    await erp.run(
        """CREATE TABLE statements (at timestamptz);
        CREATE FUNCTION count_them() RETURNS trigger LANGUAGE plpgsql AS
            $f$ BEGIN INSERT INTO public.statements VALUES (now()); RETURN NULL; END $f$;
        CREATE TRIGGER count_them AFTER UPDATE OF access_status ON erp.contract FOR EACH STATEMENT
            EXECUTE FUNCTION count_them()"""
    )
    await erp.run("UPDATE erp.receivable SET status = 'R', paid_on = current_date")
    assert await blocked(erp) == 0
    assert await erp.connection.fetchval("SELECT count(*) FROM statements") == 1
    assert await erp.connection.fetchval("SELECT count(*) FROM net.payment") == 0


@pytest.mark.parametrize(("younger_days", "is_over"), [(3, True), (20, False)])
async def test_who_paid_what_he_was_trusted_for_is_not_blocked_at_its_end(
    erp: Erp, agenda: Agenda, younger_days: int, is_over: bool
) -> None:
    title = await erp.owe(40, 40)
    await erp.owe(40, younger_days)
    await erp.run("UPDATE erp.contract SET access_status = 'CA' WHERE id = 40")
    assert (await erp.connection.fetchrow("SELECT code FROM erp.unlock_on_trust(40, 1)"))["code"] == 0
    await erp.pay(title)
    await agenda.run_due()
    row = await erp.connection.fetchrow(
        "SELECT access_status, trust_unlock_active, trust_unlock_until IS NULL FROM erp.contract WHERE id = 40"
    )
    assert tuple(row) == ("A", not is_over, is_over)


async def test_a_contract_that_another_holds_keeps_nobody_waiting(erp: Erp) -> None:
    await late_contracts(erp, 3)
    database = door(erp, 2.0)
    agenda = Agenda(database, None, "node-1")
    other = await asyncpg.connect(erp.dsn)
    try:
        await agenda.plan(is_asked=True)
        await other.execute("BEGIN; UPDATE erp.contract SET do_not_block_until = '2100-01-01' WHERE id = 101")
        await agenda.run_due()
        assert await blocked(erp) == 2
        open_tasks = await erp.connection.fetch(
            "SELECT contract_id, attempts, result FROM erp.task WHERE state = 'todo'"
        )
        assert [tuple(row) for row in open_tasks] == [(101, 0, "busy")], "that is no failure"
        await other.execute("COMMIT")
        await erp.run("UPDATE erp.task SET next_at = now() WHERE state = 'todo'")
        await agenda.run_due()
        assert await blocked(erp) == 2, "what the other wrote is obeyed"
    finally:
        await other.close()
        await database.close()


# --- the ladder -----------------------------------------------------------------------------------------------------


async def test_from_notice_to_block_to_payment(erp: Erp, agenda: Agenda) -> None:
    title = await erp.owe(40, 20)
    await go(agenda)
    assert await erp.access() == "FA"
    told = await erp.connection.fetchrow("SELECT channel, due_on, amount, length(text_sha256) AS l FROM erp.notice")
    assert tuple(told)[0::2] == ("page", 99)
    said = await erp.connection.fetchval("SELECT sha256(convert_to(said, 'UTF8')) FROM erp.notice_text(40)")
    assert said == await erp.connection.fetchval("SELECT text_sha256 FROM erp.notice")
    await go(agenda)
    assert await erp.access() == "FA", "fifteen days after the notice at the earliest"
    await erp.notice(40, 15)
    await go(agenda)
    assert await erp.access() == "CA"
    assert await erp.tasks("kind", "state") == [("block", "done"), ("notice", "done")]
    operator = await erp.connection.fetchval("SELECT operator FROM erp.history WHERE text LIKE '%FA → CA%'")
    assert operator == "agenda"
    await erp.pay(title)
    assert await erp.access() == "A"


async def test_planning_again_makes_no_second_task(erp: Erp, agenda: Agenda) -> None:
    await erp.owe(40, 20)
    first = await agenda.plan(is_asked=True)
    again = await agenda.plan(is_asked=True)
    assert first is not None
    assert again is not None
    assert (first.made_count, again.made_count) == (2, 0)  # and the purge of the day
    assert await agenda.plan() is None, "the next one is not due"


async def test_domain_7_3_the_contract_of_the_title_is_blocked(erp: Erp, agenda: Agenda) -> None:
    await erp.owe(41, 40)
    await erp.notice(41, 20)
    await go(agenda)
    assert [await erp.access(one) for one in (40, 41, 42)] == ["A", "CA", "A"]


async def test_what_the_former_owner_was_told_blocks_no_new_one(erp: Erp, agenda: Agenda) -> None:
    await erp.notice(40, 20)
    await erp.run("SELECT erp.change_owner(40, 31)")
    await erp.owe(40, 40, client_id=31)
    await go(agenda)
    assert await erp.access() == "FA", "he is told first"


@pytest.mark.parametrize(("singles", "expected"), [("N", ["A", "A", "A"]), ("S", ["CA", "CA", "A"])])
async def test_domain_7_3_titles_of_the_client_by_parameter(
    erp: Erp, agenda: Agenda, singles: str, expected: list[str]
) -> None:
    await erp.run("INSERT INTO erp.parameter (name, value) VALUES ('single_receivables_block', $1)", singles)
    await erp.run(
        "INSERT INTO erp.receivable (client_id, kind, amount, due_on) VALUES (30, 'single', 9, current_date - 40)"
    )
    await erp.notice(40, 20)
    await erp.notice(41, 20)
    await go(agenda)
    assert [await erp.access(one) for one in (40, 41, 42)] == expected


@pytest.mark.parametrize(
    "switch",
    [
        "UPDATE erp.contract SET block_automatically = 'N' WHERE id = 40",
        "UPDATE erp.contract SET do_not_block_until = current_date + 1 WHERE id = 40",
        "UPDATE erp.contract SET force_access = 'S' WHERE id = 40",
        "UPDATE erp.contract SET access_status = 'CM' WHERE id = 40",
        "UPDATE erp.contract SET status = 'N' WHERE id = 40",
        "UPDATE erp.receivable SET status = 'R', paid_on = current_date",
        "UPDATE erp.receivable SET due_on = current_date",
        "INSERT INTO erp.parameter (name, value, branch_id) VALUES ('days_after_notice', '60', 10)",
    ],
)
async def test_what_changes_between_planning_and_doing_is_obeyed(erp: Erp, agenda: Agenda, switch: str) -> None:
    await erp.owe(40, 40)
    await erp.notice(40, 20)
    planned = await agenda.plan(is_asked=True)
    assert planned is not None
    assert planned.survey.block_count == 1
    await erp.run(switch)
    await agenda.run_due()
    assert await erp.access() in ("A", "CM")
    assert ("block", "cancelled") in await erp.tasks("kind", "state")


async def test_what_was_needless_is_planned_again_when_it_is_due_again(erp: Erp, agenda: Agenda) -> None:
    await erp.owe(40, 40)
    await erp.notice(40, 20)
    await agenda.plan(is_asked=True)
    await erp.run("UPDATE erp.contract SET block_automatically = 'N'")
    await agenda.run_due()
    await erp.run("UPDATE erp.contract SET block_automatically = 'S'")
    await go(agenda)
    assert await erp.access() == "CA"


async def test_r8_6_a_block_waits_for_a_day_that_allows_it(erp: Erp, agenda: Agenda) -> None:
    await erp.owe(40, 40)
    await erp.notice(40, 20)
    week = "monday;tuesday;wednesday;thursday;friday;saturday;sunday"
    await erp.run("UPDATE erp.parameter SET value = $1 WHERE name = 'no_block_days'", week)
    await go(agenda)
    assert (await erp.access(), await erp.tasks("kind")) == ("A", [])
    await erp.run("UPDATE erp.parameter SET value = '' WHERE name = 'no_block_days'")
    await agenda.plan(is_asked=True)
    await erp.run("UPDATE erp.parameter SET value = $1 WHERE name = 'no_block_days'", week)
    await agenda.run_due()
    assert await erp.tasks("kind", "state", "result") == [("block", "todo", "no_block_day")]
    await erp.run(
        "UPDATE erp.parameter SET value = '' WHERE name = 'no_block_days'; UPDATE erp.task SET next_at = now()"
    )
    await agenda.run_due()
    assert await erp.access() == "CA"


async def test_r8_6_holidays_of_the_branch(erp: Erp, agenda: Agenda) -> None:
    await erp.owe(40, 40)
    await erp.notice(40, 20)
    await erp.run("UPDATE erp.parameter SET value = 'holiday' WHERE name = 'no_block_days'")
    await erp.run(
        "INSERT INTO erp.holiday (branch_id, day, name) VALUES (10, erp.today(10), 'Aniversário da cidade')"
    )
    await go(agenda)
    assert await erp.access() == "A"
    await erp.run("UPDATE erp.holiday SET branch_id = 11")
    await go(agenda)
    assert await erp.access() == "CA"


async def test_r4_2_the_end_of_a_trust_unlock_and_of_a_release(erp: Erp, agenda: Agenda) -> None:
    for contract_id in (40, 41):
        await erp.owe(contract_id, 40)
        await erp.run("UPDATE erp.contract SET access_status = 'CA' WHERE id = $1", contract_id)
    assert (await erp.connection.fetchrow("SELECT code FROM erp.unlock_on_trust(40, 1)"))["code"] == 0
    assert (await erp.connection.fetchrow("SELECT code FROM erp.release_contract(41, 1)"))["code"] == 0
    await go(agenda)
    assert [await erp.access(one) for one in (40, 41)] == ["A", "A"]
    await erp.run(
        "UPDATE erp.contract SET trust_unlock_until = now() - interval '1 second' WHERE trust_unlock_active"
    )
    await go(agenda)
    assert [await erp.access(one) for one in (40, 41)] == ["CA", "CA"], "whatever the hour"
    assert await erp.tasks("kind", "contract_id", "state") == [("release_end", 41, "done"), ("trust_end", 40, "done")]


async def test_a_suspension_ends_and_prepaid_time_ends(erp: Erp, agenda: Agenda) -> None:
    await erp.run("INSERT INTO erp.billing_type (id, name, payment) VALUES (5, 'Pré', 'Pre')")
    await erp.run(
        "UPDATE erp.contract SET suspended = true, suspended_from = erp.today(10) - 40,"
        " suspended_until = erp.today(10) - 1 WHERE id = 40"
    )
    await erp.run("UPDATE erp.contract SET suspended = true, suspended_until = erp.today(10) WHERE id = 42")
    await erp.run("UPDATE erp.contract SET billing_type_id = 5, paid_until = erp.today(10) - 2 WHERE id = 41")
    await go(agenda)
    assert await erp.tasks("kind", "contract_id", "state") == [("prepaid_end", 41, "done"), ("resume", 40, "done")]
    rows = await erp.connection.fetch("SELECT id FROM erp.contract WHERE suspended")
    assert [row["id"] for row in rows] == [42], "the last day is not over"
    assert await erp.connection.fetchval("SELECT count(*) FROM erp.history WHERE kind = 'prepaid_ended'") == 1
    await go(agenda)
    assert len(await erp.tasks("id")) == 2


async def test_a_suspension_that_cannot_end_is_not_said_to_have_ended(erp: Erp, agenda: Agenda) -> None:
    await erp.run(
        "UPDATE erp.contract SET suspended = true, suspended_from = erp.today(10) - 40,"
        " suspended_until = erp.today(10) - 1 WHERE id = 40"
    )
    await agenda.plan(is_asked=True)
    await erp.run("UPDATE erp.contract SET status = 'D' WHERE id = 40")
    await agenda.run_due()
    assert await erp.tasks("kind", "state", "result", "key") == [
        ("resume", "cancelled", "109 contract_withdrawn", None)
    ]


async def test_termination_is_proposed_and_nothing_else(erp: Erp, agenda: Agenda) -> None:
    await erp.owe(40, 100)
    await erp.run(
        "UPDATE erp.contract SET access_status = 'CA', blocked_at = now() - interval '61 days' WHERE id = 40"
    )
    await go(agenda)
    assert await erp.tasks("kind", "state") == [("propose_termination", "done")]
    row = await erp.connection.fetchrow("SELECT status, access_status FROM erp.contract WHERE id = 40")
    assert tuple(row) == ("A", "CA")
    await go(agenda)
    assert len(await erp.tasks("id")) == 1


async def test_a_ladder_of_the_billing_type_reduces_first_and_a_payment_ends_it(erp: Erp, agenda: Agenda) -> None:
    await erp.run("INSERT INTO erp.billing_type (id, name) VALUES (5, 'Antiga')")
    await erp.run(
        "INSERT INTO erp.ladder_step (billing_type_id, action, since, days) VALUES"
        " (5, 'reduce', 'due', 10), (5, 'block', 'due', 60)"
    )
    await erp.run("UPDATE erp.contract SET billing_type_id = 5 WHERE id = 41")
    title = await erp.owe(41, 20)
    await erp.owe(42, 4, client_id=31)
    await go(agenda)
    assert await erp.tasks("kind", "contract_id") == [("reduce", 41)]
    row = "SELECT speed_status FROM erp.contract WHERE id = 41"
    assert await erp.connection.fetchval(row) == "R"
    await erp.pay(title)
    assert await erp.connection.fetchval(row) == "N"


# --- tasks of operators ---------------------------------------------------------------------------------------------


async def test_scheduled_changes_are_done_when_they_are_due(erp: Erp, agenda: Agenda) -> None:
    await erp.task("change_plan", 40, arguments='{"plan_id": 21, "reason": "U"}', created_by="maria")
    await erp.task("block_by_hand", 41)
    await erp.task("unblock_by_hand", 41, next_at=await erp.connection.fetchval("SELECT now() + interval '1 hour'"))
    await erp.task("cancel", 42, arguments='{"reason": "mudou-se"}')
    await agenda.run_due()
    row = await erp.connection.fetchrow("SELECT plan_id, inclusion_reason FROM erp.contract WHERE id = 40")
    assert tuple(row) == (21, "U")
    assert await erp.access(41) == "CM"
    assert await erp.connection.fetchval("SELECT status FROM erp.contract WHERE id = 42") == "D"
    assert "maria" in [
        row["operator"]
        for row in await erp.connection.fetch("SELECT operator FROM erp.history WHERE text LIKE '%plan%'")
    ]
    assert await erp.tasks("kind", "state", "result") == [
        ("block_by_hand", "done", "0 blocked"),
        ("cancel", "done", "0 cancelled"),
        ("change_plan", "done", "0 changed"),
        ("unblock_by_hand", "todo", None),
    ]


async def test_what_the_contracts_state_forbids_fails_with_its_code(erp: Erp, agenda: Agenda) -> None:
    await erp.run("UPDATE erp.contract SET status = 'D' WHERE id = 40")
    await erp.task("change_plan", 40, arguments='{"plan_id": 21}')
    await erp.task("disconnect", 40)
    await agenda.run_due()
    assert await erp.tasks("kind", "state", "result") == [
        ("change_plan", "failed", "109 contract_withdrawn"),
        ("disconnect", "todo", None),  # left to who can end sessions
    ]


async def test_a_scheduled_disconnect_asks_for_the_logins_sessions(erp: Erp) -> None:
    asked: list[list[int]] = []

    async def disconnect(queries: Queries, logins: Any) -> int:
        asked.append(list(logins))
        return 1

    database = door(erp)
    await erp.task("disconnect", 40)
    await erp.task("disconnect", None, login_id=50)
    await Agenda(database, None, "node-1", disconnect).run_due()
    assert asked == [[50], [50]]
    assert await erp.tasks("state", "result") == [("done", "sessions 1")] * 2
    await database.close()


# --- the brake ------------------------------------------------------------------------------------------------------


async def late_contracts(erp: Erp, count: int, *, first: int = 100) -> None:
    """So many contracts that are due to be blocked."""
    await erp.run(
        f"""INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status)
            SELECT n, 31, 10, 20, 'A' FROM generate_series({first}, {first + count - 1}) AS n;
        INSERT INTO erp.receivable (client_id, contract_id, amount, due_on)
            SELECT 31, n, 50, erp.today(10) - 40 FROM generate_series({first}, {first + count - 1}) AS n;
        INSERT INTO erp.notice (contract_id, client_id, told_at, channel, text_sha256)
            SELECT n, 31, now() - interval '20 days', 'letter', sha256('x')
            FROM generate_series({first}, {first + count - 1}) AS n"""
    )


async def blocked(erp: Erp) -> int:
    return await erp.connection.fetchval("SELECT count(*) FROM erp.contract WHERE access_status = 'CA'")


async def test_r8_4_the_brake_holds_a_run_that_would_block_too_many(erp: Erp, agenda: Agenda) -> None:
    await late_contracts(erp, 51)
    planned = await go(agenda)
    assert (planned.held_count, await blocked(erp)) == (51, 0), "none of them, not the first fifty"
    await late_contracts(erp, 2, first=200)
    again = await go(agenda)
    assert (again.held_count, again.run_id, await blocked(erp)) == (2, planned.run_id, 0), "later ones join it"
    released = await erp.connection.fetch(runner.SQL.release_run, planned.run_id)
    assert len(released) == 53
    await agenda.run_due()
    assert await blocked(erp) == 53
    marked = await erp.connection.fetchval(
        "SELECT count(DISTINCT key) FROM net.change JOIN net.run ON run.id = change.run_id"
        " WHERE run.id = $1 AND run.brake_passed AND change.kind = 'contract'",
        planned.run_id,
    )
    assert marked == 53, "nodes and orders know that a brake was passed"
    await late_contracts(erp, 3, first=300)
    assert (await go(agenda)).held_count == 0, "what an operator let go counts no more"
    assert await blocked(erp) == 56


async def test_r8_4_many_small_runs_are_one_large_one(erp: Erp, agenda: Agenda) -> None:
    await late_contracts(erp, 30)
    assert (await go(agenda)).held_count == 0
    await late_contracts(erp, 30, first=200)
    assert (await go(agenda)).held_count == 30
    assert await blocked(erp) == 30


async def test_r8_4_what_joins_a_run_as_it_is_released_waits_in_one_of_its_own(erp: Erp, agenda: Agenda) -> None:
    await late_contracts(erp, 51)
    run_id = (await go(agenda)).run_id
    other = await asyncpg.connect(erp.dsn)
    try:
        await other.execute("BEGIN")
        assert await other.fetch(runner.SQL.release_run, run_id)
        await late_contracts(erp, 60, first=200)
        planning = asyncio.create_task(agenda.plan(is_asked=True))
        await asyncio.sleep(0.3)
        await other.execute("COMMIT")
        planned = await planning
        assert planned is not None
        assert (planned.held_count, planned.run_id != run_id) == (60, True)
        assert len(await erp.connection.fetch(runner.SQL.release_run, planned.run_id)) == 60
    finally:
        await other.close()


async def test_r8_4_an_unblock_is_never_held(erp: Erp, agenda: Agenda) -> None:
    await late_contracts(erp, 60)
    await erp.run("UPDATE erp.contract SET access_status = 'CA' WHERE id >= 100")
    await erp.run("UPDATE erp.receivable SET status = 'R', paid_on = current_date")
    assert await blocked(erp) == 0


async def test_the_dry_run_says_what_would_happen_and_writes_nothing(erp: Erp, agenda: Agenda) -> None:
    await late_contracts(erp, 51)
    await erp.owe(40, 3)
    before = await erp.connection.fetchval("SELECT count(*) FROM erp.task")
    async with door(erp).transaction("read_committed") as transaction:
        found = await survey(transaction)
    assert (found.block_count, found.are_blocks_held, found.allowance, found.warnings) == (51, True, 50, [])
    lines = {(line.known.contract.contract_id, line.kind): line.why for line in found.lines}
    assert lines[40, "notice"] is Why.NOT_YET
    assert lines[40, "block"] is Why.NOTICE_MISSING
    assert lines[100, "block"] is Why.DUE
    assert await erp.connection.fetchval("SELECT count(*) FROM erp.task") == before
    await erp.run("INSERT INTO erp.parameter (name, value) VALUES ('days_after_notice', '10')")
    async with door(erp).transaction("read_committed") as transaction:
        assert "15" in (await survey(transaction)).warnings[0]


# --- nodes ----------------------------------------------------------------------------------------------------------


async def test_two_nodes_at_once_do_each_task_once(erp: Erp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BATCH", 7)
    await erp.run("INSERT INTO erp.parameter (name, value) VALUES ('block_brake_minimum', '1000')")
    await late_contracts(erp, 120)
    databases = [door(erp), door(erp)]
    nodes = [Agenda(database, None, f"node-{place}") for place, database in enumerate(databases)]
    async with asyncio.TaskGroup() as group:
        plans = [group.create_task(node.plan(is_asked=True)) for node in nodes]
    assert sum(plan.result().made_count for plan in plans if plan.result()) == 121  # with the purge
    async with asyncio.TaskGroup() as group:
        looked = [group.create_task(node.run_due()) for node in nodes]
    while any([await node.run_due() for node in nodes]):
        pass
    assert [one.result() > 0 for one in looked] == [True, True], "both had work"
    assert await blocked(erp) == 120
    assert await erp.connection.fetchval("SELECT count(*) FROM erp.history WHERE text LIKE '%A → CA%'") == 120
    assert {attempts for (attempts,) in await erp.tasks("attempts")} == {1}
    for database in databases:
        await database.close()


async def test_a_node_that_dies_in_the_midst_leaves_the_task_as_it_was(erp: Erp, agenda: Agenda) -> None:
    await erp.owe(40, 40)
    await erp.notice(40, 20)
    await agenda.plan(is_asked=True)
    dying = await asyncpg.connect(erp.dsn)
    await dying.execute("BEGIN")
    assert await dying.fetch(runner.SQL.claim_tasks, 10, None, True)
    await dying.execute("UPDATE erp.task SET state = 'done', ended_at = now() WHERE kind = 'block'")
    await dying.execute("UPDATE erp.contract SET do_not_block_until = NULL WHERE id = 41")
    await agenda.run_due()
    assert await erp.access() == "A", "another node has it"
    dying.terminate()
    for _ in range(100):
        await agenda.run_due()
        if await erp.access() == "CA":
            break
        await asyncio.sleep(0.05)
    assert await erp.access() == "CA"
    assert ("block", "done", "node-1") in await erp.tasks("kind", "state", "ended_by")


async def test_a_failure_is_of_its_task_alone_and_is_told_in_the_end(erp: Erp, agenda: Agenda) -> None:
    await late_contracts(erp, 3)
    await erp.run(
        """CREATE FUNCTION erp.refuse() RETURNS trigger LANGUAGE plpgsql AS
            $f$ BEGIN RAISE EXCEPTION 'not this one' USING ERRCODE = 'check_violation'; END $f$;
        CREATE TRIGGER refuse BEFORE UPDATE ON erp.contract FOR EACH ROW WHEN (NEW.id = 101)
            EXECUTE FUNCTION erp.refuse()"""
    )
    await go(agenda)
    assert await blocked(erp) == 2
    for _ in range(runner.ATTEMPTS_MAX):
        await erp.run("UPDATE erp.task SET next_at = now() WHERE state = 'todo'")
        await agenda.run_due()
    rows = await erp.connection.fetch("SELECT contract_id, attempts, result FROM erp.task WHERE state = 'failed'")
    assert [tuple(row) for row in rows] == [(101, runner.ATTEMPTS_MAX, "not this one")]


async def test_while_postgresql_is_away_no_attempt_is_counted(erp: Erp) -> None:
    await erp.owe(40, 40)
    away = Database(
        "postgresql://nobody@127.0.0.1:1/x", connect_timeout_s=1, statement_timeout_s=1, application_name="x"
    )
    with pytest.raises(StoreError):
        await Agenda(away, None, "node-1").run_due()


# --- notices --------------------------------------------------------------------------------------------------------


async def test_notices_are_evidence(erp: Erp) -> None:
    await erp.owe(40, 10)
    answer = "SELECT code, reason FROM erp.record_notice($1, $2, $3)"
    said = [
        tuple(await erp.connection.fetchrow(answer, *arguments))
        for arguments in ((40, "sms", "pague"), (99, "sms", "x"), (40, "pombo", "x"), (40, "sms", ""))
    ]
    assert said == [
        (0, "recorded"),
        (106, "contract_not_found"),
        (122, "channel_unknown"),
        (122, "text_missing"),
    ]
    row = await erp.connection.fetchrow("SELECT due_on, amount, operator FROM erp.notice")
    assert row["amount"] == 99
    assert isinstance(row["due_on"], date)
    for sql in ("UPDATE erp.notice SET told_at = now()", "DELETE FROM erp.notice"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await erp.run(sql)


async def test_a_notice_by_an_operator_starts_the_clock_too(erp: Erp) -> None:
    await erp.owe(40, 10)
    await erp.run("SELECT erp.notify_contract(40)")
    assert await erp.connection.fetchval("SELECT count(*) FROM erp.notice WHERE contract_id = 40") == 1


async def test_old_tasks_are_cleaned_away_and_notices_stay(erp: Erp, agenda: Agenda) -> None:
    for days in (399, 401):
        await erp.run(
            "INSERT INTO erp.task (kind, contract_id, state, ended_at) VALUES"
            " ('unblock', 40, 'done', now() - make_interval(days => $1))",
            days,
        )
    await erp.notice(40, 500)
    await go(agenda)
    await go(agenda)
    assert await erp.connection.fetchval("SELECT count(*) FROM erp.task WHERE kind = 'unblock'") == 1
    assert await erp.connection.fetchval("SELECT count(*) FROM erp.task WHERE kind = 'purge'") == 1
    assert await erp.connection.fetchval("SELECT count(*) FROM erp.notice") == 1


async def test_the_agenda_goes_on_by_itself(erp: Erp, tmp_path: Any) -> None:
    counters = CounterFile(tmp_path / "c", AGENDA_COUNTERS)
    database, stopping = door(erp), asyncio.Event()
    await erp.owe(40, 20)
    async with asyncio.TaskGroup() as group:
        group.create_task(Agenda(database, counters, "node-1").run(stopping))
        async with asyncio.timeout(30):
            while await erp.access() != "FA":
                await asyncio.sleep(0.05)
            await erp.task("block_by_hand", 41)
            while await erp.access(41) != "CM":
                await asyncio.sleep(0.05)
        stopping.set()
    await database.close()
    counted = read_counters(tmp_path / "c") or {}
    assert counted["aaad_agenda_tasks_total|kind=notice|state=done"] == 1
    assert counted["aaad_agenda_tasks_total|kind=block_by_hand|state=done"] == 1


async def test_a_long_look_at_all_contracts_keeps_no_task_waiting(erp: Erp, tmp_path: Any) -> None:
    counters = CounterFile(tmp_path / "c", AGENDA_COUNTERS)
    database, planning, stopping = door(erp), door(erp), asyncio.Event()
    await erp.task("block_by_hand", 41)
    async with asyncio.TaskGroup() as group, planning.transaction("read_committed"):
        group.create_task(Agenda(database, counters, "node-1", planning=planning).run(stopping))
        async with asyncio.timeout(5):
            while await erp.access(41) != "CM":
                await asyncio.sleep(0.05)
        stopping.set()
    assert await erp.access(41) == "CM"
    await database.close()
    await planning.close()
