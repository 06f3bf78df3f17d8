"""A drain that remembers what it wrote makes the same rows as one that reads everything, whatever others do."""

import asyncio
from contextlib import suppress

import pytest
from accounting_records import INTERIM, START, STOP, T, accounting, class_of
from drain_house import House

from aaad.errors import StoreError
from aaad.sessions.ledger import Ledger
from aaad.sessions.record import AccountingRecord, read
from aaad.sessions.reports import SQL as REPORTS
from aaad.spool.records import Granted

CLASS = class_of(login_id=7, serial=3)
MOVE = (
    "WITH gone AS (DELETE FROM net.session WHERE ended_at IS NOT NULL RETURNING *) "
    "INSERT INTO net.session_history SELECT * FROM gone"
)
SEEN = """
SELECT family, life, login_id, grant_serial, nas_port, ipv4::text, ipv6_prefix::text, started_at, heard_at, ended_at,
    end_evidence, session_time_s, octets_in, octets_out, days, records, summary
FROM net.every_session ORDER BY family, life
"""


@pytest.fixture
async def house(dsn, tmp_path):
    made = House(dsn, tmp_path / "spool")
    await made.database.execute(
        "INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'n', '192.0.2.0/24', 's')"
    )
    yield made
    await made.database.close()


def said(status: int, place: int, **more) -> AccountingRecord:
    """The record of a session that began at T, five minutes after the one before it."""
    amounts = {"time_s": 300 * place, "octets": (1000 * place, 2000 * place), "gigawords": (0, 0)} if place else {}
    return read(accounting(status, T + 300 * place, **{"own_class": CLASS, **amounts, **more}))


async def write(ledger: Ledger, database, *records: AccountingRecord, grants=()) -> None:
    async with database.transaction("read_committed") as transaction:
        await ledger.write(transaction, records, grants)


async def seen(house: House) -> list[tuple]:
    return [tuple(row) for row in await house.database.fetch(SEEN)]


async def closed(house: House) -> None:
    family = said(START, 0).family
    life = await house.value("SELECT life FROM net.session")
    assert len(await house.database.fetch(REPORTS.close_session, family.hex(), life, "why")) == 1


async def ended_and_moved(house: House) -> None:
    await house.database.execute(
        "UPDATE net.session SET "
        "version = version + 1, ended_at = heard_at, ended_latest = heard_at, end_evidence = 'lost'"
    )
    await house.database.execute(MOVE)


async def changed_elsewhere(house: House) -> None:
    await write(Ledger(), house.database, said(INTERIM, 4))


async def granted_elsewhere(house: House) -> None:
    grants = [Granted(1, 0, 3, 7, T, "", "2001:db8:3::/64", "")]
    await write(Ledger(), house.database, grants=grants)


async def nothing(house: House) -> None:
    """The drain goes on undisturbed."""


MEANWHILE = [nothing, closed, ended_and_moved, changed_elsewhere, granted_elsewhere]
NEXT = {
    "goes on": [said(INTERIM, 2), said(INTERIM, 3)],
    "said before": [said(INTERIM, 1), said(INTERIM, 3)],
    "ends": [said(STOP, 2, cause=1)],
    "has moved": [said(INTERIM, 2, port=9), said(INTERIM, 3, port=9)],
    "without Class": [said(INTERIM, 2, own_class=b""), said(INTERIM, 3)],
}


@pytest.mark.parametrize("meanwhile", MEANWHILE, ids=lambda each: each.__name__)
async def test_rows_are_those_of_a_drain_that_reads(house, meanwhile) -> None:
    for what, records in NEXT.items():
        results = []
        for ledger in (Ledger("node-1"), Ledger()):
            await house.database.execute("TRUNCATE net.session, net.session_history, net.granted")
            await write(ledger, house.database, said(START, 0))
            await write(ledger, house.database, said(INTERIM, 1))
            assert ledger.memory.found == (1 if ledger._drain_of else 0)
            await meanwhile(house)
            for record in records:
                await write(ledger, house.database, record)
            results.append(await seen(house))
        assert results[0] == results[1], what


async def test_another_drain_that_adds_a_row_to_the_family_is_seen(house, tmp_path) -> None:
    """What goes on by itself may belong to what another node has begun meanwhile."""
    ledger = Ledger("node-1")
    for place, kind in enumerate((START, INTERIM)):
        await write(ledger, house.database, said(kind, place, own_class=b""))
    other = House(house.dsn, tmp_path / "other" / "spool")
    other.put([accounting(INTERIM, T + 230 + 900, time_s=900, octets=(9, 9), gigawords=(0, 0))])
    await other.drain_all(node="node-2")
    assert await house.value("SELECT count(*) FROM net.session") == 2
    # Its beginning is uncertain by so much that both are one.
    between = accounting(INTERIM, T + 115 + 600, time_s=600, octets=(5, 5), gigawords=(0, 0))
    await write(ledger, house.database, read(between))
    assert [row[0] for row in await other.database.fetch("SELECT records FROM net.session")] == [4]
    await other.database.close()


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO net.spool_cursor (spool_id, node, slot) VALUES (gen_random_uuid(), 'node-2', 's')",
        "UPDATE net.spool_cursor SET position = position + 1, updated_at = clock_timestamp() WHERE node = 'node-2'",
        "UPDATE net.spool_handoff SET number = number + 1 WHERE number = 1",
        "DELETE FROM net.spool_deferred WHERE node = 'node-2'",
    ],
)
async def test_each_way_in_which_others_write_leaves_a_trace(house, change) -> None:
    for sql in (
        "INSERT INTO net.spool_cursor (spool_id, node, slot) VALUES (gen_random_uuid(), 'node-2', 's')",
        "INSERT INTO net.spool_handoff VALUES (gen_random_uuid(), gen_random_uuid(), 1, 0, 0, 0)",
        "INSERT INTO net.spool_deferred (node, record) VALUES ('node-2', '')",
    ):
        await house.database.execute(sql)
    ledger = Ledger("node-1")
    await write(ledger, house.database, said(START, 0))
    await write(ledger, house.database, said(INTERIM, 1))
    await house.database.execute(change)
    await write(ledger, house.database, said(INTERIM, 2))
    assert ledger.memory.found == 1
    await write(ledger, house.database, said(INTERIM, 3))
    assert ledger.memory.found == 2


async def test_what_goes_on_is_read_once(house) -> None:
    ledger = Ledger("node-1")
    for place in range(4):
        await write(ledger, house.database, said(INTERIM if place else START, place))
    assert (ledger.memory.found, len(ledger.memory)) == (3, 1)
    await write(ledger, house.database, said(STOP, 4))
    assert len(ledger.memory) == 0  # nothing is to come


async def test_what_is_rolled_back_is_not_remembered(house) -> None:
    ledger = Ledger("node-1")
    await write(ledger, house.database, said(START, 0))
    before = await seen(house)
    with suppress(ZeroDivisionError):
        async with house.database.transaction("read_committed") as transaction:
            await ledger.write(transaction, [said(INTERIM, 1)], [])
            raise ZeroDivisionError
    assert await seen(house) == before
    await write(ledger, house.database, said(INTERIM, 1))
    assert await house.value("SELECT records FROM net.session") == 2


async def test_a_commit_of_unknown_outcome_forgets_all(house) -> None:
    """PostgreSQL fails over and has lost what was committed last: it is drained again, and is no repetition."""
    ledger = Ledger("node-1")
    await write(ledger, house.database, said(START, 0))
    other = house.connect()
    await other.execute("CREATE TABLE standby AS SELECT * FROM net.session")
    await write(ledger, house.database, said(INTERIM, 1))
    await other.execute("DELETE FROM net.session")
    await other.execute("INSERT INTO net.session SELECT * FROM standby")
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'test'"
    )
    await asyncio.sleep(0.1)
    for _ in range(2):
        with suppress(StoreError):  # the first may find out that the connection is gone
            await write(ledger, house.database, said(INTERIM, 1))
            break
    assert await other.fetch("SELECT records, octets_in FROM net.session") == [(2, 1000)]
    await other.close()


async def test_many_sessions_of_which_somebody_changed_one_are_read_again(house) -> None:
    ledger = Ledger("node-1")
    many = [f"user{number}" for number in range(50)]
    for place in range(2):
        kind = INTERIM if place else START
        await write(ledger, house.database, *(said(kind, place, user=user, own_class=b"") for user in many))
    await house.database.execute(
        "UPDATE net.session SET version = version + 1, ended_at = heard_at, "
        "ended_latest = heard_at + interval '1 hour', end_evidence = 'operator' WHERE user_name = 'user7'"
    )
    await write(ledger, house.database, *(said(INTERIM, 2, user=user, own_class=b"") for user in many))
    rows = await house.database.fetch(
        "SELECT user_name, end_evidence, records FROM net.session ORDER BY version, user_name"
    )
    assert {row[2] for row in rows} == {3}
    assert [row[0] for row in rows if row[1] == "operator"] == ["user7"]
