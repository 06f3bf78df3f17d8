"""R5.4: devices that push each other out are found, the older one is kept, and every node hears of it."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from session_rows import add_session

from aaad.clock import wall_s
from aaad.db.connection import Database
from aaad.metrics import CounterFile
from aaad.policy.codes import Credential, Reason
from aaad.policy.decide import decide
from aaad.policy.facts import PlanFacts
from aaad.policy.parameters import compile_policies
from aaad.radius.simulation import AskedFacts
from aaad.replica.compile import compile_login, facts_of
from aaad.sessions.keeping import CONTESTS, CONTESTS_HELD, KEEPING_COUNTERS, Keeping

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
CONTEST = "SELECT mac::text, nas_id, other_mac::text, replacements, until - now() AS lasts FROM net.login_contest"
SEED = """
INSERT INTO erp.branch (id, name) VALUES (1, 'Matriz');
INSERT INTO erp.client (id, branch_id, kind, name) VALUES (1, 1, 'E', 'Ana');
INSERT INTO erp.plan (id, name, upload, download) VALUES (1, 'Fibra 50', '25M', '50M');
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status) VALUES (1, 1, 1, 1, 'A');
INSERT INTO erp.login (id, contract_id, name, password)
    VALUES (1, 1, 'alice', 'wonderland'), (2, 1, 'bob', 'builder');
"""
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def db(dsn):
    connection = await asyncpg.connect(dsn)
    await connection.execute(SEED)
    yield connection
    await connection.close()


@pytest.fixture
async def keeper(dsn, tmp_path):
    door = Database(dsn, connect_timeout_s=5, statement_timeout_s=10, application_name="test")
    yield Keeping(door, door, CounterFile(tmp_path / "control-0.cnt", KEEPING_COUNTERS))
    await door.close()


async def fight(db, *macs: str, login_id: int = 1) -> None:
    """Sessions a minute apart: each is told as replaced shortly after the next one's begin, the last a minute ago."""
    last = datetime.now(UTC) - MINUTE
    for number, mac in enumerate(macs):
        started = last - (len(macs) - 1 - number) * MINUTE
        ended = (
            {}
            if number == len(macs) - 1
            else {
                "ended_at": started + MINUTE,
                "ended_latest": started + MINUTE + timedelta(seconds=1),
                "end_evidence": "replaced",
            }
        )
        await add_session(db, started=started, heard=started, login_id=login_id, mac=mac, **ended)


async def look(db, keeper) -> None:
    await db.execute("UPDATE net.chore SET due_at = '-infinity' WHERE name = 'contests'")
    await keeper.look_at_contests()


def count(keeper, name: str) -> int:
    return keeper._counters.cells[keeper._counters.index[name]]


async def reason(db, mac: str) -> Reason:
    """What a node would decide of this device by what its feed reads."""
    row = await db.fetchrow("SELECT * FROM net.login_source WHERE login_id = 1")
    facts = facts_of(compile_login(row).record)
    plans = {1: PlanFacts(1, "Fibra 50", None, 0, 0, 0)}
    asked = AskedFacts(nas_id=1, mac=int(mac.replace(":", ""), 16), port_id="", circuit_id="")
    return decide(facts, plans, compile_policies([], {})[0], Credential.RIGHT, asked, wall_s()).reason


async def test_r5_4_five_replacements_keep_the_older_device(db, keeper):
    await fight(db, A, B, A, B, A)
    await look(db, keeper)
    assert await db.fetch(CONTEST) == []
    assert await reason(db, B) is Reason.GRANTED
    await db.execute("DELETE FROM net.session; DELETE FROM net.change")
    await fight(db, A, B, A, B, A, B)
    await look(db, keeper)
    (row,) = await db.fetch(CONTEST)
    assert row[:4] == (A, 1, B, 5)
    assert timedelta(minutes=9) < row["lasts"] <= timedelta(minutes=10)
    assert (count(keeper, CONTESTS), count(keeper, CONTESTS_HELD)) == (1, 1)
    changes = await db.fetch("SELECT kind, key FROM net.change")
    assert [tuple(change) for change in changes] == [("login", 1)]
    assert await reason(db, A) is Reason.GRANTED
    assert await reason(db, B) is Reason.IN_USE_ELSEWHERE


async def test_r5_4_the_same_rows_extend_nothing_and_a_new_replacement_does(db, keeper):
    await fight(db, A, B, A, B, A, B)
    await look(db, keeper)
    await db.execute("UPDATE net.login_contest SET until = now() + interval '5m'")
    await look(db, keeper)
    (row,) = await db.fetch(CONTEST)
    # For ten minutes after the last replacement, which was a minute ago.
    assert timedelta(minutes=8) < row["lasts"] <= timedelta(minutes=9)
    until = await db.fetchval("SELECT until FROM net.login_contest")
    await look(db, keeper)
    assert await db.fetchval("SELECT until FROM net.login_contest") == until
    assert count(keeper, CONTESTS) == 1


async def test_r5_4_it_ends_and_everybody_hears_of_it(db, keeper):
    await fight(db, A, B, A, B, A, B)
    await look(db, keeper)
    await db.execute(
        "DELETE FROM net.session; DELETE FROM net.change;"
        "UPDATE net.login_contest SET began_at = now() - interval '20m', until = now() - interval '1s'"
    )
    await look(db, keeper)
    assert await db.fetch(CONTEST) == []
    assert await db.fetchval("SELECT count(*) FROM net.change WHERE kind = 'login' AND key = 1") == 2
    assert await reason(db, B) is Reason.GRANTED
    assert count(keeper, CONTESTS_HELD) == 0


async def test_r5_4_who_may_be_connected_more_often_does_not_fight(db, keeper):
    await db.execute("UPDATE erp.login SET simultaneous_max = 2 WHERE id = 1")
    await fight(db, A, B, A, B, A, B, A, B)
    await fight(db, A, B, A, B, A, B, A, B, login_id=2)
    await look(db, keeper)
    assert await db.fetch("SELECT login_id FROM net.login_contest") == [(2,)]


async def test_only_one_node_looks_at_a_time(db, keeper, dsn):
    await fight(db, A, B, A, B, A, B)
    other = await asyncpg.connect(dsn)
    async with other.transaction():
        await other.fetch("SELECT FROM net.chore WHERE name = 'contests' FOR UPDATE")
        await keeper.look_at_contests()
        assert await db.fetch(CONTEST) == []
    await other.close()
    await keeper.look_at_contests()
    assert len(await db.fetch(CONTEST)) == 1
    await db.execute("DELETE FROM net.login_contest")
    await keeper.look_at_contests()
    assert await db.fetch(CONTEST) == [], "not due yet"
