"""What must not stop the drain, nor cost a record: damaged rows, our own bugs, a schema in disorder, other drains.

Each of these was tried with a PostgreSQL of its own: rules R5.2, R5.5, R6.1 and R9.1.
"""

import asyncio
import time
from datetime import date

import pytest
from accounting_records import INTERIM, ON, START, STOP, T, accounting, class_of
from drain_house import House, make_login

import aaad.sessions.folding as folding_module
from aaad.errors import StoreError
from aaad.sessions import ahead as ahead_module
from aaad.sessions import copying
from aaad.sessions import drain as drain_module
from aaad.sessions.entries import entry_of, read_entry
from aaad.sessions.intake import Gathered
from aaad.sessions.ledger import Ledger
from aaad.sessions.record import AccountingRecord
from aaad.sessions.store import is_refused
from aaad.spool.records import Accounting, Granted, encode

MOVE_ALL = "WITH gone AS (DELETE FROM net.session RETURNING *) INSERT INTO net.session_history SELECT * FROM gone"


@pytest.fixture
async def house(dsn, tmp_path, monkeypatch):
    monkeypatch.setattr(drain_module, "LOOK_AFTER_S", 0.1)
    made = House(dsn, tmp_path / "spool")
    await made.database.execute("INSERT INTO net.node (name) VALUES ('node-1')")
    await made.database.execute(
        "INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'n', '192.0.2.0/24', 's')"
    )
    yield made
    await made.database.close()


async def sessions(house: House, columns: str) -> list[tuple]:
    rows = await house.database.fetch(f"SELECT {columns} FROM net.session ORDER BY user_name, started_at, life")
    return [tuple(row) for row in rows]


def said(record: Accounting) -> AccountingRecord:
    content = read_entry(encode(record)).content
    assert isinstance(content, AccountingRecord)
    return content


@pytest.mark.parametrize("summary", [b"", b"\xc1", b"\x92\x02\x91\x90"], ids=["empty", "damaged", "newer"])
async def test_a_session_that_cannot_be_read_holds_up_itself_alone(house, summary):
    """Its records wait in PostgreSQL for who can read it, or for who mends or removes the row."""
    house.put([accounting(START, T, user=user) for user in "abc"])
    await house.drain_all()
    good = await house.value("SELECT summary FROM net.session WHERE user_name = 'a'")
    await house.database.execute("UPDATE net.session SET summary = $1 WHERE user_name = 'a'", summary)
    house.put([accounting(INTERIM, T + 300, user=user, time_s=300) for user in "abc"])
    async with house.draining():
        await house.until("SELECT count(*) FROM net.session WHERE records = 2", 2)
        await asyncio.sleep(0.5)  # it is tried again and again
        assert await house.value("SELECT count(*) FROM net.spool_deferred") == 1
        house.put([accounting(STOP, T + 400, user=user, time_s=400) for user in "abc"])
        await house.until("SELECT count(*) FROM net.session WHERE end_evidence = 'stop'", 2)
        await house.database.execute("UPDATE net.session SET summary = $1 WHERE user_name = 'a'", good)
        await house.until("SELECT count(*) FROM net.spool_deferred", 0)
    assert await sessions(house, "user_name, records, end_evidence") == [(user, 3, "stop") for user in "abc"]


async def test_a_bug_over_one_record_stops_no_other(house, monkeypatch):
    real = folding_module.fold

    def stumble(stored, records, *args):
        if any(record.user_name == "b" for record in records):
            raise ZeroDivisionError
        return real(stored, records, *args)

    house.put([accounting(START, T + place, user=user) for place, user in enumerate("abcdefghijklmnop")])
    with monkeypatch.context() as broken:
        broken.setattr(folding_module, "fold", stumble)
        async with house.draining():
            await house.until("SELECT count(*) FROM net.session", 15)
            await asyncio.sleep(0.5)  # it is tried again and again
        assert await house.value("SELECT count(*) FROM net.spool_deferred") == 1
        assert house.count("aaad_bugs_total") > 0
    async with house.draining():
        await house.until("SELECT count(*) FROM net.session", 16)
        await house.until("SELECT count(*) FROM net.spool_deferred", 0)


async def test_a_bug_in_reading_one_record_stops_no_other(house, monkeypatch):
    """It is deferred with its octets, for a program that can read it."""

    def stumble(payload, record):
        if entry_of(payload, record).content.user_name.encode() == b"b":
            raise ZeroDivisionError
        return entry_of(payload, record)

    monkeypatch.setattr(ahead_module, "entry_of", stumble)
    house.put([accounting(START, T + place, user=user) for place, user in enumerate("abcdefghijklmnop")])
    async with house.draining():
        await house.until("SELECT count(*) FROM net.session", 16)
    assert house.count("aaad_bugs_total") > 0
    assert await house.value("SELECT count(*) FROM net.spool_deferred") == 0


@pytest.mark.parametrize(
    ("breaking", "mending"),
    [
        ("ALTER TABLE net.session RENAME circuit_id TO other", "ALTER TABLE net.session RENAME other TO circuit_id"),
        ("ALTER TABLE net.session RENAME TO other", "ALTER TABLE net.other RENAME TO session"),
    ],
    ids=["column", "table"],
)
async def test_r6_1_a_schema_in_disorder_is_waited_for_and_costs_no_record(house, breaking, mending):
    house.put([accounting(START, T + place, user=f"u{place}") for place in range(30)])
    await house.database.execute(breaking)
    async with house.draining():
        await asyncio.sleep(1.5)
        assert house.count("aaad_drain_set_aside_total|cause=refused") == 0
        await house.database.execute(mending)
        await house.until("SELECT count(*) FROM net.session", 30)


async def test_r6_1_a_right_that_is_missing_is_waited_for(house):
    """What a trigger raises with the same code speaks of its record: see test_drain."""
    await house.database.execute("CREATE ROLE aaad_without_rights")
    try:
        with pytest.raises(StoreError) as refused:
            async with house.database.transaction("read_committed") as transaction:
                await transaction.execute("SET LOCAL ROLE aaad_without_rights")
                await transaction.fetch("SELECT FROM net.session")
    finally:
        await house.database.execute("DROP ROLE aaad_without_rights")
    assert refused.value.sqlstate == "42501"
    assert not is_refused(refused.value)


@pytest.mark.parametrize("order", ["class first", "class later", "together"])
async def test_r5_5_days_are_those_of_the_branch_whichever_record_tells_of_it_first(house, order):
    """One record with our Class and one without; midnight of Sao Paulo lies between, that of Rio Branco does not."""
    await make_login(house, 7)
    await house.database.execute("UPDATE erp.branch SET time_zone = 'America/Rio_Branco'")
    midnight_s = 1_700_017_200.0
    start = accounting(START, midnight_s - 300, user="login7", own_class=class_of(login_id=7))
    interim = accounting(INTERIM, midnight_s + 300, user="login7", time_s=600, octets=(10, 20), gigawords=(0, 0))
    for batch in {"class first": [[start], [interim]], "class later": [[interim], [start]]}.get(
        order, [[start, interim]]
    ):
        house.put(batch)
        await house.drain_all()
    assert await sessions(house, "time_zone, days, day_octets_in, records") == [
        ("America/Rio_Branco", [date(2023, 11, 14)], [10], 2)
    ]


@pytest.mark.parametrize("own_class", [b"", class_of(login_id=8, contract_id=2)])
async def test_r5_5_days_are_those_of_a_branch_that_was_made_a_moment_ago(house, own_class):
    """Branches are remembered for a while; what a session keeps for good is not taken from that."""
    await make_login(house, 7)
    house.put([accounting(START, T, user="login7")])
    async with house.draining():
        await house.until("SELECT count(*) FROM net.session", 1)
        for sql in (
            "INSERT INTO erp.branch (id, name, time_zone) VALUES (2, 'B2', 'America/Rio_Branco')",
            "INSERT INTO erp.contract (id, client_id, branch_id, plan_id) VALUES (2, 1, 2, 1)",
            "INSERT INTO erp.login (id, contract_id, name, password) VALUES (8, 2, 'Login8', 'pass')",
        ):
            await house.database.execute(sql)
        house.put([accounting(START, T + 1, user="LOGIN8", session="2", own_class=own_class)])
        await house.until("SELECT count(*) FROM net.session", 2)
    zones = dict(await sessions(house, "login_id, time_zone"))
    assert zones == {7: "America/Sao_Paulo", 8: "America/Rio_Branco"}


async def test_owners_are_found_while_their_nas_moves_to_a_branch_that_was_made_a_moment_ago(house):
    await make_login(house, 7)
    house.put([accounting(START, T, user="login7")])
    async with house.draining():
        await house.until("SELECT count(*) FROM net.session", 1)
        async with house.database.transaction("read_committed") as transaction:
            for sql in (
                "INSERT INTO erp.branch (id, name, time_zone) VALUES (2, 'B2', 'America/Rio_Branco')",
                "UPDATE net.nas SET branch_id = 2",
                "INSERT INTO erp.contract (id, client_id, branch_id, plan_id) VALUES (2, 1, 2, 1)",
                "INSERT INTO erp.login (id, contract_id, name, password) VALUES (8, 2, 'login8', 'pass')",
            ):
                await transaction.execute(sql)
        house.put(
            [
                accounting(
                    START, T + 1, user=f"login{number}", session=f"8100000{number}", mac=f"02:00:5E:00:53:0{number}"
                )
                for number in (7, 8)
            ]
        )
        await house.until("SELECT count(*) FROM net.session", 3)
    owners = dict(await sessions(house, "acct_session_id, login_id"))
    assert (owners["81000007"], owners["81000008"]) == (7, 8)


async def test_a_bug_in_making_one_sessions_row_stops_no_other_and_ends_no_connection(house, monkeypatch):
    def stumble(pieces, draft):
        if draft.facts.acct_session_id == "81000005":
            raise ZeroDivisionError
        real(pieces, draft)

    real = copying._add
    monkeypatch.setattr(copying, "_add", stumble)
    house.put([accounting(START, T, user=f"u{n}", session=f"81{n:06x}", mac="") for n in range(300)])
    backends = set()
    async with house.draining():
        while await house.value("SELECT count(*) FROM net.session") < 299:
            rows = await house.database.fetch("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
            backends |= {row[0] for row in rows}
            await asyncio.sleep(0.01)
        await house.until("SELECT count(*) FROM net.spool_deferred", 1)
    assert len(backends) <= 3, "the test's own and the drain's two"
    assert house.count("aaad_bugs_total") > 0


async def test_r5_2_a_thousand_routers_that_restart_at_once(house):
    """Routers behind one NAS entry: a power cut of a quarter. Not each session is held against each restart."""
    await house.database.execute(
        "INSERT INTO net.session (family, life, summary, acct_session_id, user_name, time_zone, nas_id,"
        " source_address, nas_identifier, started_at, start_seen, heard_at, records)"
        " SELECT gen_random_uuid(), 1, '', 's', 'u', 'UTC', 1, '10.0.0.0'::inet + router, '', to_timestamp($1), true,"
        " to_timestamp($1), 1 FROM generate_series(1, 1000) AS router, generate_series(1, 20)",
        T,
    )
    routers = [f"10.0.{router >> 8}.{router & 255}" for router in range(1, 1001)]
    house.put([accounting(ON, T + 100, called="", source=source, identifier=b"") for source in routers])
    async with house.draining():
        await house.until("SELECT count(*) FROM net.session WHERE end_evidence IS NULL", 0, limit_s=30)
    assert house.count("aaad_drain_store_errors_total") == 0


async def test_a_session_that_two_drains_bring_back_from_history_stays_one(house):
    house.put([accounting(START, T), accounting(STOP, T + 100, time_s=100, cause=1)])
    await house.drain_all()
    await house.database.execute("UPDATE net.session SET life = 5")  # named by what was known of it first
    await house.database.execute(MOVE_ALL)
    family = await house.value("SELECT family FROM net.session_history")
    other, ledger = house.connect(), Ledger()

    async def write() -> None:
        async with house.database.transaction("read_committed") as transaction:
            await ledger.write(transaction, Gathered([said(accounting(INTERIM, T + 60, time_s=60))]))

    async with asyncio.TaskGroup() as group, other.transaction("read_committed") as transaction:
        await transaction.fetch("SELECT FROM net.recall_session(ARRAY[$1::uuid])", family)
        group.create_task(write())
        await asyncio.sleep(0.3)
    await other.close()
    assert await sessions(house, "life, records, end_evidence") == [(5, 3, "stop")]


@pytest.mark.parametrize("is_first", [True, False], ids=["session first", "grant first"])
async def test_r9_1_what_two_nodes_note_in_the_same_instant_is_joined_afterwards(house, is_first):
    """One drains the Start while the other drains what the Accept granted: neither sees the other's."""
    start = said(accounting(START, T, own_class=class_of(login_id=7, serial=5, node=2, slot=1)))
    granted = Granted(2, 1, 5, 7, T, "", "", "2001:db8:70::/56")
    one, other = house.connect(), house.connect()
    drains = [(one, Ledger(), Gathered([start])), (other, Ledger(), Gathered([granted]))]
    (first, ledger, content), (second, other_ledger, other_content) = drains if is_first else drains[::-1]
    async with first.transaction("read_committed") as transaction:
        await ledger.write(transaction, content)
        async with second.transaction("read_committed") as inner:
            await other_ledger.write(inner, other_content)
    assert await sessions(house, "delegated_ipv6_prefix") == [(None,)]
    for _ in range(2):
        async with first.transaction("read_committed") as transaction:
            await ledger.look_again(transaction)
    ((prefix,),) = await sessions(house, "delegated_ipv6_prefix::text")
    assert prefix == "2001:db8:70::/56"
    await one.close()
    await other.close()


async def test_r9_1_a_grant_whose_session_somebody_holds_is_joined_afterwards(house):
    house.put([accounting(START, T, own_class=class_of(login_id=7, serial=5, node=2, slot=1))])
    await house.drain_all()
    stranger = house.connect()
    async with house.draining():
        async with stranger.transaction("read_committed") as held:
            await held.execute("SELECT FROM net.session FOR UPDATE")
            house.put([Granted(2, 1, 5, 7, T, "", "", "2001:db8:70::/56")])
            await house.until("SELECT count(*) FROM net.granted", 1)
            await asyncio.sleep(0.3)
        await house.until("SELECT delegated_ipv6_prefix::text FROM net.session", "2001:db8:70::/56")
    await stranger.close()
    assert await sessions(house, "delegated_ipv6_prefix::text") == [("2001:db8:70::/56",)]


async def test_r9_1_what_was_granted_is_of_both_sessions_that_a_nas_begins_with_it(house):
    grant = class_of(login_id=7, serial=5, node=2, slot=1)
    house.put([Granted(2, 1, 5, 7, T, "", "", "2001:db8:70::/56")])
    house.put([accounting(START, T + place, session=str(place), own_class=grant) for place in range(2)])
    await house.drain_all()
    assert await sessions(house, "delegated_ipv6_prefix::text") == [("2001:db8:70::/56",)] * 2


async def test_r9_1_a_drain_that_died_before_it_joined_is_followed_by_one_that_does(house):
    house.put([accounting(START, T, own_class=class_of(login_id=7, serial=5, node=2, slot=1))])
    await house.drain_all()
    await house.database.execute(
        "INSERT INTO net.granted (node, slot, serial, login_id, at, delegated_ipv6_prefix) "
        "VALUES (2, 1, 5, 7, to_timestamp($1), '2001:db8:70::/56')",
        time.time() - 80_000,
    )
    async with house.draining():
        await house.until("SELECT delegated_ipv6_prefix::text FROM net.session", "2001:db8:70::/56")
    assert await sessions(house, "delegated_ipv6_prefix::text") == [("2001:db8:70::/56",)]


@pytest.mark.parametrize("has_class", [True, False])
async def test_history_is_asked_also_if_another_session_of_the_id_began_at_that_time(house, has_class):
    """An id that is used again within minutes, and hours later a record of the first one: one row of each."""
    first, second = (class_of(login_id=7, serial=serial) if has_class else b"" for serial in (1, 2))
    house.put([accounting(START, T, own_class=first), accounting(STOP, T + 100, time_s=100, own_class=first)])
    await house.drain_all()
    await house.database.execute(MOVE_ALL)
    house.put([accounting(START, T + 300, own_class=second)])
    await house.drain_all()
    house.put([accounting(INTERIM, T + 60, time_s=60, own_class=first)])
    await house.drain_all()
    assert await sessions(house, "records, end_evidence") == [(3, "stop"), (1, None)]
    assert await house.value("SELECT count(*) FROM net.session_history") == 0
