"""Accounting drained into a real PostgreSQL: what rows of net.session come of it (rules R2.4, R5, R6.1, R9.1)."""

import asyncio
import os
import signal
import time
from datetime import UTC, datetime
from itertools import permutations

import pytest
from accounting_records import INTERIM, MAC, OFF, ON, START, STOP, T, accounting, attribute, class_of
from drain_house import House, make_login
from test_drain import BrokenDisk, begin, put_one, serving

from aaad.db.embedded import EmbeddedPostgres
from aaad.db.migrate import migrate
from aaad.errors import StoreError
from aaad.sessions import drain as drain_module
from aaad.sessions.intake import Gathered
from aaad.sessions.ledger import Ledger
from aaad.sessions.record import read
from aaad.spool.records import Granted, RouterSeen


@pytest.fixture
async def postgres_of_its_own(tmp_path):
    """One that may be killed."""
    with EmbeddedPostgres(tmp_path / "pg", settings={"fsync": "on"}) as server:
        dsn = server.dsn("postgres")
        await migrate(dsn)
        yield server, dsn


def seen() -> RouterSeen:
    return RouterSeen(1, "192.0.2.7", b"bng", "198.51.100.1", T)


@pytest.fixture
async def house(dsn, tmp_path):
    made = House(dsn, tmp_path / "spool")
    await made.database.execute("INSERT INTO net.node (name) VALUES ('node-1')")
    await made.database.execute(
        "INSERT INTO net.nas (id, name, address, secret, address_space) VALUES (1, 'n', '192.0.2.0/24', 's', 3)"
    )
    yield made
    await made.database.close()


async def sessions(house: House, columns: str = "*", order: str = "started_at, heard_at") -> list[dict]:
    rows = await house.database.fetch(f"SELECT {columns} FROM net.session ORDER BY {order}")
    return [dict(row.items()) for row in rows]


def at(offset_s: float) -> datetime:
    return datetime.fromtimestamp(T + offset_s, UTC)


async def test_start_interim_and_stop_become_one_row(house):
    await make_login(house, 7)
    common = {"user": "login7", "ipv4": "100.64.0.7"}
    house.put(
        [
            accounting(START, T, **common),
            accounting(INTERIM, T + 300, time_s=300, octets=(1000, 9000), **common),
            accounting(STOP, T + 400, time_s=400, octets=(1500, 9900), cause=1, **common),
        ]
    )
    await house.drain_all()
    (row,) = await sessions(house)
    assert (row["login_id"], row["contract_id"], row["client_id"], row["plan_id"], row["branch_id"]) == (
        7,
        1,
        1,
        1,
        1,
    )
    assert (row["started_at"], row["heard_at"]) == (at(0), at(400))
    assert (row["ended_at"], row["ended_latest"], row["end_evidence"]) == (at(400), at(400), "stop")
    assert (row["octets_in"], row["octets_out"], row["session_time_s"]) == (1500, 9900, 400)
    assert (str(row["ipv4"]), row["ipv4_evidence"], row["mac"].lower()) == ("100.64.0.7", "reported", MAC.lower())
    assert (row["nas_id"], row["address_space"], row["terminate_cause"], row["records"]) == (1, 3, 1, 3)
    assert (row["acct_session_id"], row["user_name"], row["time_zone"]) == ("81a00001", "login7", "America/Sao_Paulo")


async def test_r2_4_a_session_of_nobodys_is_recorded_in_the_days_of_its_concentrators_branch(house):
    await house.database.execute("INSERT INTO erp.branch (id, name, time_zone) VALUES (5, 'W', 'America/Manaus')")
    await house.database.execute("UPDATE net.nas SET branch_id = 5")
    await house.database.execute(
        "INSERT INTO net.nas (id, name, address, secret) VALUES (2, 'b', '198.51.100.7', 's')"
    )
    house.put(
        [
            accounting(START, T, user="nobody", session="1"),
            accounting(START, T + 1, user="nobody", session="2", nas_id=2, source="198.51.100.7"),
            accounting(START, T + 2, user="nobody", session="3", nas_id=99, source="198.51.100.9"),
            accounting(START, T + 3, user="", session="4", mac=""),
            accounting(START, T + 4, user="\N{SNOWMAN} \0", session="5", mac="garbage"),
        ]
    )
    await house.drain_all()
    rows = await sessions(
        house, "acct_session_id, time_zone, address_space, user_name, login_id, client_id, branch_id, mac"
    )
    assert [(row["acct_session_id"], row["time_zone"], row["address_space"]) for row in rows] == [
        ("1", "America/Manaus", 3),
        ("2", "America/Sao_Paulo", 1),
        ("3", "America/Sao_Paulo", 1),
        ("4", "America/Manaus", 3),
        ("5", "America/Manaus", 3),
    ]
    assert {(row["login_id"], row["client_id"], row["branch_id"]) for row in rows} == {(None, None, None)}
    assert rows[4]["user_name"] == "0x" + "\N{SNOWMAN} \0".encode().hex()
    assert rows[4]["mac"] is None


async def test_whose_a_session_is_stays_as_it_was_at_its_beginning(house):
    """By its Class: as of the Accept, whatever became of login, contract and plan until it was drained (R4.6)."""
    for login_id in (7, 8):
        await make_login(house, login_id)
    await house.database.execute("INSERT INTO erp.client (id, branch_id, kind, name) VALUES (2, 1, 'E', 'D')")
    await house.database.execute("INSERT INTO erp.contract (id, client_id, branch_id, plan_id) VALUES (2, 2, 1, 1)")
    granted = class_of(login_id=7, contract_id=2, plan_id=44, serial=9, node=3, slot=2)
    house.put(
        [
            accounting(START, T, user="login8", session="1", own_class=granted),
            accounting(START, T + 1, user="login8", session="2", own_class=class_of(login_id=9, contract_id=99)),
            accounting(START, T + 2, user="login8", session="3"),
        ]
    )
    await house.drain_all()
    await house.database.execute("UPDATE erp.login SET contract_id = 2 WHERE id = 8")
    house.put([accounting(INTERIM, T + 302, user="login8", session="3", time_s=300)])
    await house.drain_all()
    rows = await sessions(
        house, "login_id, contract_id, client_id, plan_id, branch_id, grant_node, grant_slot, grant_serial, records"
    )
    assert [tuple(row.values()) for row in rows] == [
        (7, 2, 2, 44, 1, 3, 2, 9, 1),
        (9, 99, None, 1, None, 1, 0, 1, 1),
        (8, 1, 1, 1, 1, None, None, None, 2),
    ]


async def test_a_class_that_comes_later_tells_whose_it_is(house):
    await make_login(house, 7)
    first = [accounting(START, T, user="x", session="1")]
    then = [accounting(INTERIM, T + 300, user="x", session="1", time_s=300, own_class=class_of(login_id=7))]
    for batches in ((first, then), (then, first)):
        for batch in batches:
            house.put(batch)
            await house.drain_all()
        (row,) = await sessions(house, "login_id, contract_id, client_id, plan_id, branch_id, grant_serial, records")
        assert tuple(row.values()) == (7, 1, 1, 1, 1, 1, 2)
        await house.database.execute("TRUNCATE net.session")


async def test_r3_4_names_are_found_as_typed_then_as_a_device_then_by_the_branchs_realms(house):
    for login_id in (7, 8, 9):
        await make_login(house, login_id)
    await house.database.execute(
        "UPDATE erp.login SET authentication = 'M', mac_login = true, mac = 'AA:BB:CC:00:00:01' WHERE id = 8"
    )
    await house.database.execute("INSERT INTO erp.parameter (name, value) VALUES ('strip_realms', 'isp.example')")
    names = {
        "LOGIN7": 7,
        "aabb.cc00.0001": 8,
        "AA-BB-CC-00-00-01": 8,
        "login9@isp.example": 9,
        "ISP.example\\login9": 9,
        "login9@other.example": None,
        "login10": None,
    }
    house.put([accounting(START, T + place, user=name, session=str(place)) for place, name in enumerate(names)])
    await house.drain_all()
    assert {row["user_name"]: row["login_id"] for row in await sessions(house)} == names
    await house.database.execute("UPDATE erp.login SET deleted_at = now() WHERE id = 7")
    house.put([accounting(START, T + 100, user="login7", session="x")])
    await house.drain_all()
    assert (await sessions(house))[-1]["login_id"] == 7, "a name is never given to another one"


async def test_deleting_a_concentrator_or_a_login_removes_no_session(house):
    await make_login(house, 7)
    house.put([seen(), accounting(START, T, user="login7")])
    await house.drain_all()
    await house.database.execute("DELETE FROM erp.login")
    await house.database.execute("DELETE FROM net.nas")
    house.put([accounting(INTERIM, T + 300, user="login7", time_s=300)])
    await house.drain_all()
    (row,) = await sessions(house, "login_id, nas_id, records")
    assert tuple(row.values()) == (7, 1, 2)


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
async def test_r9_1_what_an_accept_granted_is_joined_whichever_comes_first(house, order):
    """RouterOS leaves IPv6 out of accounting; what it reports counts before what was granted."""
    grant = class_of(login_id=7, serial=5, node=2, slot=1)
    records = [
        Granted(2, 1, 5, 7, T, "100.64.0.1", "2001:db8:0:7::/64", "2001:db8:70::/56"),
        accounting(START, T, own_class=grant),
        accounting(INTERIM, T + 300, time_s=300, own_class=grant, ipv4="100.64.0.99"),
    ]
    for batches in ([[records[place]] for place in order], [[records[place] for place in order]]):
        for batch in batches:
            house.put(batch)
            await house.drain_all()
        (row,) = await sessions(house)
        addresses = [
            (str(row[name]), row[f"{name}_evidence"]) for name in ("ipv4", "ipv6_prefix", "delegated_ipv6_prefix")
        ]
        assert addresses == [
            ("100.64.0.99", "reported"),
            ("2001:db8:0:7::/64", "granted"),
            ("2001:db8:70::/56", "granted"),
        ]
        await house.database.execute("TRUNCATE net.session, net.granted")


async def test_r9_1_an_ipv6_prefix_that_is_reported_is_kept_so(house):
    house.put([accounting(START, T, ipv4="100.64.0.1", ipv6_prefix="2001:db8:1::/64")])
    await house.drain_all()
    house.put([accounting(INTERIM, T + 300, time_s=300)])
    await house.drain_all()
    (row,) = await sessions(house, "ipv4, ipv4_evidence, ipv6_prefix, ipv6_prefix_evidence, delegated_ipv6_prefix")
    assert [str(value) for value in row.values()] == ["100.64.0.1", "reported", "2001:db8:1::/64", "reported", "None"]


async def test_a_late_record_brings_its_session_back_from_history(house):
    house.put([accounting(START, T), accounting(STOP, T + 100, time_s=100, octets=(10, 20), cause=1)])
    await house.drain_all()
    moved = "WITH gone AS (DELETE FROM net.session RETURNING *) INSERT INTO net.session_history SELECT * FROM gone"
    await house.database.execute(moved)
    house.put([accounting(START, T)])
    await house.drain_all()
    (row,) = await sessions(house)
    assert (row["records"], row["end_evidence"], row["octets_out"]) == (2, "stop", 20), "the Start was known"
    await house.database.execute(moved)
    house.put([accounting(INTERIM, T + 60, time_s=60, octets=(5, 6)), accounting(INTERIM, T + 90, time_s=90)])
    await house.drain_all()
    (row,) = await sessions(house)
    assert (row["records"], row["end_evidence"], row["session_time_s"]) == (4, "stop", 100)
    assert await house.value("SELECT count(*) FROM net.session_history") == 0


async def test_r5_3_each_routers_latest_record_and_clock_are_published(house, monkeypatch):
    monkeypatch.setattr(drain_module, "LOOK_AFTER_S", 0.1)
    monkeypatch.setattr(drain_module, "ROUTERS_NOTED_EVERY_S", 0.1)
    sql = "SELECT extract(epoch FROM accounting_at)::float8 - $1::float8, clock_offset_s FROM net.router"
    house.put([seen(), accounting(START, T), accounting(INTERIM, T + 300, time_s=300, stamp=int(T) + 3900)])
    async with house.draining():
        await house.until("SELECT count(*) FROM net.router WHERE accounting_at IS NOT NULL", 1)
        row = await house.database.fetchrow(sql, T)
        assert tuple(row) == (300, 3600), "its clock is an hour fast, which moves no event"
        house.put([accounting(INTERIM, T + 100, time_s=100)])
        await house.until("SELECT sum(records) FROM net.session", 3)
        await asyncio.sleep(0.4)
    assert tuple(await house.database.fetchrow(sql, T)) == (300, 3600)


async def test_what_somebody_holds_holds_up_itself_alone(house, monkeypatch):
    """R5, R6: an operator's open transaction on one session; his others are drained, and later that one."""
    monkeypatch.setattr(drain_module, "LOOK_AFTER_S", 0.1)
    house.put([accounting(START, T + place, user=f"u{place}", session="1") for place in range(50)])
    await house.drain_all()
    stranger = house.connect()
    async with house.draining():
        async with stranger.transaction("read_committed") as held:
            await held.execute("SELECT FROM net.session WHERE user_name = 'u7' FOR UPDATE")
            house.put(
                [accounting(INTERIM, T + 300, user=f"u{place}", session="1", time_s=300) for place in range(50)]
            )
            await house.until("SELECT count(*) FROM net.session WHERE records = 2", 49, limit_s=4)
            house.put([accounting(STOP, T + 400, user=f"u{place}", session="1", time_s=400) for place in range(50)])
            await house.until("SELECT count(*) FROM net.session WHERE end_evidence = 'stop'", 49, limit_s=4)
            await house.until("SELECT count(*) FROM net.spool_deferred", 2)
        await house.until("SELECT count(*) FROM net.session WHERE end_evidence = 'stop'", 50)
        await house.until("SELECT count(*) FROM net.spool_deferred", 0)
    assert {row["records"] for row in await sessions(house)} == {3}


async def test_what_ended_while_somebody_held_it_is_ended_later(house, monkeypatch):
    monkeypatch.setattr(drain_module, "LOOK_AFTER_S", 0.1)
    house.put([accounting(START, T, session="1"), accounting(START, T, user="other", session="9", mac="", port=3)])
    await house.drain_all()
    stranger = house.connect()
    async with house.draining():
        async with stranger.transaction("read_committed") as held:
            await held.execute("SELECT FROM net.session FOR UPDATE")
            house.put([accounting(START, T + 50, session="2"), accounting(ON, T + 20, called="")])
            await house.until("SELECT count(*) FROM net.session", 3)
            await house.until("SELECT count(*) FROM net.nas_restart", 1)
            await asyncio.sleep(0.3)
            assert {row["end_evidence"] for row in await sessions(house)} == {None}
        await house.until("SELECT count(*) FROM net.session WHERE end_evidence = 'nas_restart'", 2)


async def test_r6_1_two_nodes_that_drain_records_of_the_same_sessions_lose_none(house, tmp_path):
    other = House(house.dsn, tmp_path / "other" / "spool")
    await other.database.execute("INSERT INTO net.node (name) VALUES ('node-2')")
    count, users = 40, 30
    for house_, odd in ((house, 0), (other, 1)):
        house_.put(
            [
                accounting(
                    INTERIM, T + 60 * step, user=f"u{user}", session="1", time_s=60 * step, octets=(step, step)
                )
                for step in range(1 + odd, count + 1, 2)
                for user in range(users)
            ]
        )
    async with house.draining(), other.draining(node="node-2"):
        await house.until("SELECT sum(records) FROM net.session", count * users, limit_s=30)
    rows = await sessions(house, "records, octets_in, session_time_s")
    assert [tuple(row.values()) for row in rows] == [(count, count, 60 * count)] * users
    assert await house.value("SELECT count(*) FROM net.spool_deferred") == 0
    await other.database.close()


async def test_what_two_nodes_began_in_the_same_instant_is_judged_together_afterwards(house, monkeypatch):
    """Each batch sees nothing of the other's session of the same device."""
    monkeypatch.setattr(drain_module, "LOOK_AFTER_S", 0.1)
    await house.database.execute("INSERT INTO net.node (name, drain_watermark) VALUES ('node-2', now())")
    stranger, ledger = house.connect(), Ledger()
    house.put([accounting(START, T + 50, session="2")])
    async with house.draining():
        async with stranger.transaction("read_committed") as theirs:
            await ledger.write(theirs, Gathered([read(accounting(START, T, session="1"))]))
            await house.until("SELECT count(*) FROM net.session", 1)
        await house.until("SELECT end_evidence FROM net.session WHERE acct_session_id = '1'", "replaced")
    await stranger.close()
    assert [row["end_evidence"] for row in await sessions(house)] == ["replaced", None]


async def test_restarts_that_a_dead_drain_left_undone_are_taken_up(house, monkeypatch):
    monkeypatch.setattr(drain_module, "LOOK_AFTER_S", 0.1)
    now_s = time.time()
    house.put([accounting(START, now_s - 900)])
    await house.drain_all()
    await house.database.execute(
        "INSERT INTO net.nas_restart (nas_id, source_address, nas_identifier, at, kind) "
        "VALUES (1, '192.0.2.7', 'bng', to_timestamp($1), 'on')",
        now_s - 800,
    )
    async with house.draining():
        await house.until("SELECT end_evidence FROM net.session", "nas_restart")
    assert [row["end_evidence"] for row in await sessions(house)] == ["nas_restart"]


async def test_many_sessions_of_one_restart_end_by_and_by(house, monkeypatch):
    monkeypatch.setattr(drain_module, "LOOK_AFTER_S", 0.05)
    monkeypatch.setattr("aaad.sessions.ledger.RESTART_CLOSES_MAX", 30)
    house.put([accounting(START, T + place / 100, user=f"u{place}", session="1") for place in range(100)])
    house.put([accounting(OFF, T + 60, called="")])
    async with house.draining():
        await house.until("SELECT count(*) FROM net.session WHERE end_evidence = 'nas_restart'", 100)
    assert len(await sessions(house)) == 100


async def test_batches_that_take_too_long_become_smaller_and_lose_nothing(house, monkeypatch):
    monkeypatch.setattr("aaad.sessions.slot.BATCH_RECORDS_MAX", 100)
    monkeypatch.setattr("aaad.sessions.slot.BATCH_S", 0.0)
    house.put([accounting(START, T + place / 100, user=f"u{place}", session="1") for place in range(300)])
    async with house.draining():
        await house.until("SELECT sum(records)::integer FROM net.session", 300)
        assert house.count("aaad_drain_batches_total") == 1 + 200 // 10


async def test_r6_1_postgresql_killed_in_the_midst_loses_nothing_and_counts_nothing_twice(
    postgres_of_its_own, tmp_path, monkeypatch
):
    monkeypatch.setattr("aaad.sessions.slot.BATCH_RECORDS_MAX", 150)
    server, dsn = postgres_of_its_own
    house = House(dsn, tmp_path / "spool")
    await house.database.execute("INSERT INTO net.node (name) VALUES ('node-1')")
    count, users = 30, 100
    house.put(
        [
            accounting(INTERIM, T + 60 * step, user=f"u{user}", session="1", time_s=60 * step, octets=(step, step))
            for step in range(1, count + 1)
            for user in range(users)
        ]
    )
    async with house.draining(statement_timeout_s=2.0):
        for kill in range(4):
            deadline = time.monotonic() + 20
            while house.count("aaad_drain_batches_total") < 4 * kill + 1 and time.monotonic() < deadline:
                await asyncio.sleep(0.002)
            os.kill(server.pid, signal.SIGKILL)
            await asyncio.sleep(0.1)
            await asyncio.to_thread(server.start)
        await until_equal(house, "SELECT sum(records)::bigint FROM net.session", count * users)
        await asyncio.sleep(0.3)
    rows = await sessions(house, "records, octets_in, session_time_s")
    assert [tuple(row.values()) for row in rows] == [(count, count, 60 * count)] * users
    await house.database.close()


async def until_equal(house: House, sql: str, expected: object) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            found = await house.value(sql)
        except StoreError as error:
            found = error
        if found == expected:
            return
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.1)


COLUMNS = (
    "acct_session_id, user_name, nas_id, host(source_address), nas_identifier, nas_port, nas_port_id, "
    "called_station_id, calling_station_id, mac::text, circuit_id, host(ipv4), ipv6_prefix::text, "
    "delegated_ipv6_prefix::text, start_seen, terminate_cause, interim_s, "
    "extract(epoch FROM nas_started_at)::bigint, extract(epoch FROM nas_heard_at)::bigint, "
    "session_time_s, octets_in, octets_out, packets_in, packets_out, days::text, day_octets_in, day_octets_out, "
    "records, grant_node, grant_slot, grant_serial, grant_fingerprint, version"
)


async def test_every_column_says_what_the_records_said_whether_written_at_once_or_by_and_by(house):
    """Every kind of value: IPv6, circuit, several days, 64 bits, a NAS that speaks IPv6; and nothing of it."""
    day_s = 86_400
    rest = {
        87: b"vlan 10",
        123: bytes((0, 56)) + bytes.fromhex("20010db800070100") + bytes(8),
        26: (2352).to_bytes(4, "big") + attribute(97, b"olt-1 0/1/2:3"),
        47: (5).to_bytes(4, "big"),
    }
    common = {
        "user": "Maria",
        "source": "2001:db8::7",
        "identifier": b"\xff\0bng",
        "ipv4": "100.64.0.9",
        "port": 2**32 - 1,
        "ipv6_prefix": "2001:db8:1::/64",
        "own_class": class_of(login_id=2**31 - 1, serial=2**40, node=9, slot=3),
        "rest": rest,
    }
    full = [
        accounting(START, T, stamp=1000, **common),
        accounting(INTERIM, T + day_s, time_s=day_s, octets=(7, 8), gigawords=(1, 2), **common),
        accounting(INTERIM, T + 2 * day_s, time_s=2 * day_s, octets=(9, 8), gigawords=(1, 3), **common),
        accounting(STOP, T + 2 * day_s + 60, time_s=2 * day_s + 60, cause=10, stamp=2000, **common),
    ]
    bare = [accounting(INTERIM, T + 9, user="", session="s", mac="", port=None, called="")]
    expected = (
        "81a00001",
        "Maria",
        1,
        "2001:db8::7",
        b"\xff\0bng",
        2**32 - 1,
        "vlan 10",
        "pppoe1",
        MAC,
        MAC.lower(),
        "olt-1 0/1/2:3",
        "100.64.0.9",
        "2001:db8:1::/64",
        "2001:db8:7:100::/56",
        True,
        10,
        day_s,
        1000,
        2000,
        2 * day_s + 60,
        (1 << 32) + 9,
        (3 << 32) + 8,
        5,
        0,
        "{2023-11-15,2023-11-16}",
        [(1 << 32) + 7, (1 << 32) + 9],
        [(2 << 32) + 8, (3 << 32) + 8],
        4,
        9,
        3,
        2**40,
        0xABCDEF01,
    )
    nothing = (
        "s",
        "",
        1,
        "192.0.2.7",
        b"bng",
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        False,
        None,
        None,
        None,
        None,
        0,
        0,
        0,
        0,
        0,
        "{}",
        [],
        [],
        1,
        None,
        None,
        None,
        None,
    )
    for batches in ([[*full, *bare]], [[record] for record in [*bare, *full]]):
        for batch in batches:
            house.put(batch)
            await house.drain_all()
        found = await house.database.fetch(f"SELECT {COLUMNS} FROM net.session ORDER BY user_name DESC")
        whole, empty = map(tuple, found)
        assert whole[:-1] == expected
        assert empty[:-1] == nothing
        await house.database.execute("TRUNCATE net.session")


async def test_r6_3_what_the_disk_does_not_take_becomes_the_same_rows(house, tmp_path):
    path, disk = tmp_path / "sync.sock", BrokenDisk()
    common = {"user": "joao", "session": "1"}
    async with serving(house, path), house.draining():
        spool = begin(house, path, disk)
        assert await put_one(spool, accounting(START, T, **common))
        await house.until("SELECT count(*) FROM net.session", 1)
        disk.is_broken = True
        assert await put_one(spool, accounting(INTERIM, T + 300, time_s=300, octets=(3, 4), **common))
        assert await put_one(spool, accounting(START, T + 400, user="joao", session="2"))
        assert await put_one(spool, accounting(ON, T + 500, called=""))
        assert spool.stop(5)
    rows = await sessions(house, "acct_session_id, octets_out, records, end_evidence")
    assert [tuple(row.values()) for row in rows] == [("1", 4, 2, "replaced"), ("2", 0, 1, "nas_restart")]


async def test_a_concentrator_made_just_now_gives_its_sessions_its_address_space(house):
    house.put([accounting(START, T, session="1")])
    async with house.draining():
        await house.until("SELECT count(*) FROM net.session", 1)
        await asyncio.sleep(0.6)
        await house.database.execute(
            "INSERT INTO net.nas (id, name, address, secret, address_space) VALUES (2, 'b', '198.51.100.7', 's', 9)"
        )
        house.put([accounting(START, T + 1, session="2", nas_id=2, source="198.51.100.7")])
        await house.until("SELECT count(*) FROM net.session WHERE address_space = 9", 1)
    assert [row["address_space"] for row in await sessions(house)] == [3, 9]


async def test_a_session_that_somebody_holds_does_not_slow_the_settling_of_others(house, monkeypatch):
    monkeypatch.setattr(drain_module, "LOOK_AFTER_S", 0.1)
    house.put([accounting(START, T + place, user=f"u{place}", session="1") for place in range(20)])
    await house.drain_all()
    strangers = [house.connect(), house.connect()]
    async with house.draining():
        async with strangers[0].transaction("read_committed") as held:
            await held.execute("SELECT FROM net.session WHERE user_name = 'u7' FOR UPDATE")
            async with strangers[1].transaction("read_committed") as briefly:
                await briefly.execute("SELECT FROM net.session WHERE user_name <> 'u7' FOR UPDATE")
                house.put(
                    [accounting(INTERIM, T + 300, user=f"u{place}", session="1", time_s=300) for place in range(20)]
                )
                await house.until("SELECT count(*) FROM net.spool_deferred", 20)
            await house.until("SELECT count(*) FROM net.session WHERE records = 2", 19, limit_s=3)
            await house.until("SELECT count(*) FROM net.spool_deferred", 1)
        await house.until("SELECT count(*) FROM net.spool_deferred", 0)
    assert {row["records"] for row in await sessions(house)} == {2}
    for stranger in strangers:
        await stranger.close()


async def test_of_each_end_word_is_left_for_the_leases(house):
    ended = (
        "SELECT user_name FROM net.session WHERE family IN (SELECT unnest(families) FROM net.session_end) ORDER BY 1"
    )
    begun = [accounting(START, T, user=user, session=user, mac="") for user in ("stops", "lives", "restarted")]
    begun[2] = accounting(START, T, user="restarted", session="restarted", mac="", source="192.0.2.8")
    house.put(begun)
    await house.drain_all()
    assert await house.database.fetch(ended) == []
    house.put(
        [
            accounting(STOP, T + 60, user="stops", session="stops", mac="", time_s=60, cause=1),
            accounting(ON, T + 90, source="192.0.2.8"),
        ]
    )
    await house.drain_all()
    assert [row[0] for row in await house.database.fetch(ended)] == ["restarted", "stops"]


async def test_a_session_that_goes_on_or_stops_is_written_in_its_place(house):
    """An index on a column that changes then would make each Stop write an entry of every index."""
    changing = {
        "ended_at",
        "ended_latest",
        "end_evidence",
        "heard_at",
        "summary",
        "version",
        "session_time_s",
        "records",
    }
    indexed = await house.value(
        "SELECT array_agg(attname::text) FROM pg_index JOIN pg_depend ON objid = indexrelid AND refobjid = indrelid "
        "JOIN pg_attribute ON attrelid = indrelid AND attnum = refobjsubid WHERE indrelid = 'net.session'::regclass"
    )
    assert {"login_id", "ipv4"} <= set(indexed)
    assert not changing & set(indexed)
