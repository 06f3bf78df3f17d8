"""The drain against a real PostgreSQL: what each record becomes, and that it counts exactly once (rules R5.3, R6)."""

import asyncio
import errno
import json
import os
import shutil
import socket
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from drain_house import MAC, MINUTE, NODE, SEGMENT_BYTES, House, make_login

from aaad.sessions import drain as drain_module
from aaad.sessions import slot as slot_module
from aaad.sessions.handoff import HandoffServer
from aaad.spool.directory import read_drained, segment_numbers, segment_path
from aaad.spool.records import (
    BindingLearned,
    LoginRefused,
    MessageAuthenticatorArmed,
    NameRefused,
    Record,
    RouterSeen,
    encode,
)
from aaad.spool.status import spool_statuses
from aaad.spool.writer import SpoolWriter

AT_S = 1_700_000_000.0


@pytest.fixture
async def house(dsn, tmp_path):
    made = House(dsn, tmp_path / "spool")
    await made.database.execute("INSERT INTO net.node (name) VALUES ($1)", NODE)
    await made.database.execute(
        "INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'n', '192.0.2.0/24', 's')"
    )
    yield made
    await made.database.close()


def refused(login_id: int, *, count: int = 1, minute: int = MINUTE) -> LoginRefused:
    return LoginRefused(login_id, "wrong_password", minute, count)


def seen(*, nas_id: int = 1, at_s: float = AT_S, local_address: str = "198.51.100.1") -> RouterSeen:
    return RouterSeen(nas_id, "192.0.2.7", b"bng", local_address, at_s)


def names_refused(*, source: str = "192.0.2.7", count: int = 2, sample: tuple[str, ...] = ("jo***",)) -> NameRefused:
    return NameRefused(1, source, b"bng", "unknown_login", MINUTE, count, sample)


async def test_a_router_seen_becomes_router_and_server(house):
    house.put([seen(at_s=AT_S + 60), seen(at_s=AT_S), seen(at_s=AT_S + 5, local_address="")])
    await house.drain_all()
    row = await house.database.fetchrow(
        "SELECT host(source_address), nas_identifier, extract(epoch FROM last_seen)::float8 FROM net.router"
    )
    assert tuple(row) == ("192.0.2.7", b"bng", AT_S + 60)
    server = await house.database.fetchrow(
        "SELECT host(local_address), extract(epoch FROM last_heard)::float8, node.name "
        "FROM net.nas_server JOIN net.node ON node.id = node_id"
    )
    assert tuple(server) == ("198.51.100.1", AT_S + 60, NODE)


async def test_r2_2_the_secret_proven_last_is_stored_and_the_same_again_changes_nothing(house):
    async def stored(*proofs: tuple[float, bytes]) -> tuple[object, ...]:
        house.put([RouterSeen(1, "192.0.2.7", b"bng", "", AT_S + at_s, proof) for at_s, proof in proofs])
        await house.drain_all()
        row = await house.database.fetchrow(
            "SELECT secret_fingerprint, extract(epoch FROM secret_proven_at)::float8 - $1::float8 AS at_s, "
            "(SELECT count(*) FROM net.change WHERE kind = 'router') AS changes FROM net.router",
            AT_S,
        )
        return tuple(row)

    assert await stored((0, b"")) == (b"", None, 1)
    assert await stored((1, b"secret 1"), (0, b"secret 0")) == (b"secret 1", 1, 2)
    assert await stored((5, b"secret 1")) == (b"secret 1", 1, 2)
    assert await stored((6, b"")) == (b"secret 1", 1, 2)
    assert await stored((7, b"secret 2")) == (b"secret 2", 7, 3)
    assert await stored((3, b"secret 1")) == (b"secret 2", 7, 3), "another node's backlog"


async def test_a_router_of_a_deleted_nas_is_skipped_and_counted(house):
    house.put([seen(nas_id=99), refused(1)])
    await house.drain_all()
    assert await house.value("SELECT count(*) FROM net.router") == 0
    assert await house.refusals() == {1: 1}
    assert house.count("aaad_drain_skipped_total|kind=router_seen") == 1


async def test_r2_3_the_ratchet_arms_once_and_not_over_an_operators_reset(house):
    def armed(at_s: float) -> MessageAuthenticatorArmed:
        return MessageAuthenticatorArmed(1, "192.0.2.7", b"bng", at_s)

    sql = "SELECT extract(epoch FROM armed_at)::float8 FROM net.router"
    house.put([armed(AT_S), armed(AT_S + 50)])
    await house.drain_all()
    first = await house.value(sql)
    house.put([armed(AT_S + 60)])
    await house.drain_all()
    assert await house.value(sql) == first
    await house.database.execute("UPDATE net.router SET reset_at = to_timestamp($1)", AT_S + 100)
    house.put([armed(AT_S + 90)])  # from the backlog: verified before the reset
    await house.drain_all()
    assert await house.value(sql) == first
    house.put([armed(AT_S + 110)])
    await house.drain_all()
    assert await house.value(sql) == AT_S + 110


async def test_refusals_add_up_over_batches_and_slots(house):
    for slot in ("radius-0", "radius-1"):
        for _ in range(2):
            house.put([refused(1, count=3), refused(2)], slot=slot)
    await house.drain_all()
    assert await house.refusals() == {1: 12, 2: 4}


async def test_r3_6_refused_names_need_a_router_and_keep_a_small_sample(house):
    house.put([seen()])
    house.put([names_refused(sample=(f"x{number}***",)) for number in range(9)])
    house.put([names_refused(source="192.0.2.99"), names_refused(sample=("a\0***",))])
    await house.drain_all()
    row = await house.database.fetchrow("SELECT count, sample FROM net.refusal_unknown")
    assert row["count"] == 20
    assert len(row["sample"]) == 5
    assert house.count("aaad_drain_skipped_total|kind=name_refused") == 1


async def test_a_binding_is_learned_only_where_it_is_wanted(house):
    bound, mac = "00:00:5E:00:53:AA", MAC
    await make_login(house, 1)
    await make_login(house, 2, auto_fill_mac="N")
    await make_login(house, 3, mac=bound)
    await make_login(house, 4, deleted_at="2024-01-01 00:00Z")
    house.put([BindingLearned(login_id, "mac", mac, AT_S) for login_id in (1, 2, 3, 4, 5)])
    async with house.draining():
        await house.until("SELECT mac FROM erp.login WHERE id = 1", mac)
        await house.until("SELECT count(*) FROM net.spool_deferred", 0)
    rows = await house.database.fetch("SELECT id, mac FROM erp.login ORDER BY id")
    assert [tuple(row) for row in rows] == [(1, mac), (2, None), (3, bound), (4, None)]


async def test_every_kind_of_binding_is_learned_as_the_login_or_its_branch_says(house):
    for login_id in range(1, 5):
        await make_login(house, login_id, auto_fill_mac="P")
    await house.database.execute("UPDATE erp.login SET auto_fill_port = 'S', auto_fill_circuit = 'N' WHERE id = 2")
    await house.database.execute(
        "UPDATE erp.login SET port_id = 'known', circuit_id = 'known', nas_id = 1 WHERE id = 3"
    )
    await house.database.execute("INSERT INTO net.nas (id, name, address, secret) VALUES (2, 'b', '192.0.2.8', 'x')")
    values = (("mac", MAC), ("nas", "2"), ("port", "vlan 10"), ("circuit", "olt-1 0/1/2:3"))
    records = [BindingLearned(login_id, kind, value, AT_S) for login_id in (1, 2, 3) for kind, value in values]
    columns = "SELECT mac, nas_id, port_id, circuit_id FROM erp.login WHERE id < 4 ORDER BY id"
    async with house.draining():
        house.put([*records, BindingLearned(4, "nas", "99", AT_S)])  # a concentrator that is gone binds nobody
        await house.until("SELECT port_id FROM erp.login WHERE id = 2", "vlan 10")
        await house.until("SELECT count(*) FROM net.spool_deferred", 0)
        nobody, known = (None, None, None, None), (None, 1, "known", "known")
        rows = [tuple(row) for row in await house.database.fetch(columns)]
        assert rows == [nobody, (None, None, "vlan 10", None), known]
        filled = "SELECT num_nonnulls(mac, nas_id, port_id, circuit_id) FROM erp.login WHERE id = 1"
        for count, (kind, _) in enumerate(values, 1):  # one parameter at a time fills one column
            await house.database.execute("INSERT INTO erp.parameter (name, value) VALUES ($1, 'S')", f"{kind}_learn")
            house.put(records)
            await house.until(filled, count)
            await house.until("SELECT count(*) FROM net.spool_deferred", 0)
            column = {"mac": "mac", "nas": "nas_id", "port": "port_id", "circuit": "circuit_id"}[kind]
            assert await house.value(f"SELECT {column} IS NOT NULL FROM erp.login WHERE id = 1")
    rows = [tuple(row) for row in await house.database.fetch(columns)]
    everything = (MAC, 2, "vlan 10", "olt-1 0/1/2:3")
    assert rows == [everything, (MAC, 2, "vlan 10", None), (MAC, 1, "known", "known")]
    assert await house.value("SELECT nas_id FROM erp.login WHERE id = 4") is None


def learned(login_id: int) -> BindingLearned:
    return BindingLearned(login_id, "mac", MAC, AT_S)


async def test_a_strangers_open_transaction_holds_up_what_it_touches_and_nothing_else(house, tmp_path, monkeypatch):
    """An ERP that updates a login, an operator that resets a router, and neither commits."""
    monkeypatch.setattr(drain_module, "LOOK_AFTER_S", 0.1)
    path, disk = tmp_path / "sync.sock", BrokenDisk()
    disk.is_broken = True
    armed = MessageAuthenticatorArmed(1, "192.0.2.7", b"bng", AT_S)
    for login_id in (7, 8):
        await make_login(house, login_id)
    house.put([seen()])
    await house.drain_all()
    stranger = house.connect()
    async with serving(house, path), house.draining():
        async with stranger.transaction("read_committed") as open_transaction:
            await open_transaction.execute("UPDATE erp.login SET password = 'other' WHERE id = 7")
            await open_transaction.execute("UPDATE net.router SET reset_at = to_timestamp(1)")
            await open_transaction.execute("SELECT FROM net.node, net.nas FOR UPDATE")
            house.put([learned(7), learned(8), *(refused(number) for number in range(1, 101))], slot="radius-1")
            await house.until("SELECT count(*) FROM net.refusal", 100, limit_s=3)
            await house.until("SELECT mac FROM erp.login WHERE id = 8", MAC, limit_s=3)
            house.put([seen(at_s=AT_S + 9), refused(101), armed], slot="radius-1")
            await house.until("SELECT count(*) FROM net.refusal", 101, limit_s=3)
            await house.until_counted("aaad_drain_undrained_records", 0, limit_s=3)
            spool = begin(house, path, disk)
            for record in (learned(7), refused(102), armed, seen(at_s=AT_S + 10)):
                assert await put_one(spool, record), "PostgreSQL lives: what is handed over is not lost"
            assert await house.value("SELECT mac FROM erp.login WHERE id = 7") is None
        await house.until("SELECT count(*) FROM net.spool_deferred", 0)
        disk.is_broken = False
        assert spool.stop(5)
    await stranger.close()
    assert await house.value("SELECT mac FROM erp.login WHERE id = 7") == MAC
    assert await house.refusals() == dict.fromkeys(range(1, 103), 1)
    router = await house.database.fetchrow(
        "SELECT armed_at IS NOT NULL, extract(epoch FROM last_seen) FROM net.router"
    )
    assert tuple(router) == (True, AT_S + 10)


@pytest.mark.parametrize("sqlstate", ["insufficient_privilege", "raise_exception"])
async def test_a_trigger_of_the_erp_that_refuses_costs_its_own_record_alone(house, tmp_path, monkeypatch, sqlstate):
    monkeypatch.setattr(drain_module, "LOOK_AFTER_S", 0.1)
    for login_id in (6, 7, 8):
        await make_login(house, login_id)
    await house.database.execute(
        "CREATE FUNCTION erp.mine() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'not this one' USING ERRCODE = '{sqlstate}'; END $$"
    )
    await house.database.execute(
        "CREATE TRIGGER mine BEFORE UPDATE ON erp.login FOR EACH ROW WHEN (OLD.id = 7) EXECUTE FUNCTION erp.mine()"
    )
    await house.database.execute(
        "CREATE TRIGGER mine BEFORE INSERT ON net.refusal FOR EACH ROW WHEN (NEW.login_id = 17) "
        "EXECUTE FUNCTION erp.mine()"
    )
    path, disk = tmp_path / "sync.sock", BrokenDisk()
    house.put([learned(6), learned(7), refused(16), refused(17), refused(18), learned(8)])
    async with serving(house, path), house.draining():
        await house.until("SELECT count(*) FROM erp.login WHERE mac IS NOT NULL", 2)
        await house.until("SELECT count(*) FROM net.spool_deferred", 0)
        await house.until_counted("aaad_drain_set_aside_total|cause=refused", 2)
        spool = begin(house, path, disk)
        assert await put_one(spool, refused(19))
        disk.is_broken = True
        assert await put_one(spool, refused(17))
        assert spool.stop(5)
        await house.until_counted("aaad_drain_set_aside_total|cause=refused", 3)
        await house.until("SELECT count(*) FROM net.refusal", 3)
    assert await house.refusals() == {16: 1, 18: 1, 19: 1}


async def test_what_is_deferred_is_bounded(house, monkeypatch):
    monkeypatch.setattr("aaad.sessions.store.DEFERRED_MAX", 2)
    monkeypatch.setattr("aaad.sessions.drain.Settler.settle", lambda _: asyncio.sleep(0))
    await make_login(house, 7)
    house.put([learned(7), learned(8)])
    await house.drain_all()
    house.put([refused(1), learned(9)])
    async with house.draining():
        await house.until("SELECT records_undrained FROM net.node", 2)
        await asyncio.sleep(0.3)
        assert await house.value("SELECT count(*) FROM net.spool_deferred") == 2
        await house.database.execute("DELETE FROM net.spool_deferred")  # room again
        await house.until("SELECT count(*) FROM net.refusal", 1)
        await house.until("SELECT count(*) FROM net.spool_deferred", 1)


async def test_what_is_deferred_makes_room_for_what_waits_for_it(house, monkeypatch):
    monkeypatch.setattr("aaad.sessions.store.DEFERRED_MAX", 2)
    for login_id in (7, 8, 9):
        await make_login(house, login_id)
    with monkeypatch.context() as nobody_settles:
        nobody_settles.setattr("aaad.sessions.drain.Settler.settle", lambda _: asyncio.sleep(0))
        house.put([learned(7), learned(8)])
        await house.drain_all()
    house.put([learned(9), refused(1)])
    async with house.draining():
        await house.until("SELECT count(*) FROM net.refusal", 1)
        await house.until("SELECT count(mac) FROM erp.login", 3)
    assert await house.value("SELECT count(*) FROM net.spool_deferred") == 0


async def test_what_nobody_can_read_is_set_aside_and_stops_nothing(house):
    house.put([refused(1), b"\xff not a record", LoginRefused(2, "x" * 99, MINUTE, 1), refused(3)])
    await house.drain_all()
    assert await house.refusals() == {1: 1, 3: 1}
    lines = [json.loads(line) for line in (house.root / "radius-0" / "set_aside.jsonl").read_text().splitlines()]
    assert [line["cause"] for line in lines] == ["undecodable", "unfit"]
    assert bytes.fromhex(lines[0]["octets"]) == b"\xff not a record"
    assert house.count("aaad_drain_set_aside_total|cause=undecodable") == 1
    assert house.count("aaad_drain_set_aside_total|cause=unfit") == 1


async def test_the_file_of_what_was_set_aside_is_bounded(house, monkeypatch):
    monkeypatch.setattr(slot_module, "SET_ASIDE_OCTETS_MAX", 2000)
    house.put([b"\xff" * 300] * 20 + [refused(1)])
    await house.drain_all()
    assert (house.root / "radius-0" / "set_aside.jsonl").stat().st_size <= 2000
    assert await house.refusals() == {1: 1}
    assert house.count("aaad_drain_set_aside_total|cause=undecodable") == 20


async def test_one_record_that_postgresql_refuses_costs_itself_alone(house):
    await house.database.execute("ALTER TABLE net.refusal ADD CONSTRAINT no_17 CHECK (login_id <> 17)")
    house.put([refused(number) for number in range(1, 40)])
    await house.drain_all()
    assert await house.refusals() == {number: 1 for number in range(1, 40) if number != 17}
    assert house.count("aaad_drain_set_aside_total|cause=refused") == 1


async def test_damage_on_disk_is_counted_and_passed_over(house):
    house.put([refused(number) for number in range(1, 11)])
    path = segment_path(house.root / "radius-0", 1)
    data = bytearray(path.read_bytes())
    data[4096 + 30] ^= 0xFF
    path.write_bytes(data)
    await house.drain_all()
    assert await house.refusals() == dict.fromkeys(range(2, 11), 1)
    assert house.count("aaad_drain_damaged_total") == 1
    assert house.count("aaad_drain_damaged_bytes_total") > 0


async def test_r6_1_two_drains_of_one_spool_apply_each_record_once(house):
    house.put([refused(number) for number in range(1, 3001)])
    async with house.draining(), house.draining(), house.draining():
        await house.until("SELECT count(*) FROM net.refusal", 3000)
        await asyncio.sleep(0.3)
    assert await house.value("SELECT sum(count) FROM net.refusal") == 3000


async def test_r6_1_a_failover_that_lost_commits_is_drained_again(house):
    """The rows and the cursor go back together; the drain notices without being restarted, and though it is idle."""
    house.put([refused(1)])
    async with house.draining():
        await house.until("SELECT count(*) FROM net.refusal", 1)
        saved = await house.database.fetchrow("SELECT segment, position FROM net.spool_cursor")
        house.put([refused(number) for number in range(2, 50)])
        await house.until("SELECT count(*) FROM net.refusal", 49)
        async with house.database.transaction("read_committed") as transaction:
            await transaction.execute("DELETE FROM net.refusal WHERE login_id > 1")
            await transaction.execute("UPDATE net.spool_cursor SET segment = $1, position = $2", *saved)
        await house.until("SELECT count(*) FROM net.refusal", 49)
    assert set((await house.refusals()).values()) == {1}


async def test_r6_1_drained_segments_stay_and_undrained_ones_always(house, monkeypatch):
    monkeypatch.setattr(drain_module, "RETENTION_EVERY_S", 0.1)
    directory = house.root / "radius-0"
    for number in range(4):
        house.put([refused(number + 1)])
    await house.drain_all(keep_s=3600.0)
    assert segment_numbers(directory) == [1, 2, 3, 4]
    async with house.draining(keep_s=0.0):
        deadline = time.monotonic() + 5
        while segment_numbers(directory) != [4]:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


async def test_drained_segments_give_way_when_room_runs_out(house, monkeypatch):
    monkeypatch.setattr(drain_module, "RETENTION_EVERY_S", 0.1)
    for number in range(6):
        house.put([refused(number + 1)])
    async with house.draining(keep_s=3600.0, bytes_max=20_000):
        await asyncio.sleep(1.5)
    assert segment_numbers(house.root / "radius-0")[-1] == 6
    assert house.count("aaad_drain_segments_removed_total|when=early") >= 2


async def test_a_cursor_whose_segment_is_gone_goes_on_at_the_first_that_exists(house):
    house.put([refused(1)])
    await house.drain_all()
    house.put([refused(2)])
    house.put([refused(3)])
    for number in (1, 2):
        segment_path(house.root / "radius-0", number).unlink()
    await house.drain_all()
    assert await house.refusals() == {1: 1, 3: 1}
    assert house.count("aaad_drain_segments_missing_total") == 1


async def test_r5_3_the_watermark_stands_at_the_oldest_undrained_record(house, monkeypatch):
    monkeypatch.setattr(drain_module, "LOOK_AFTER_S", 0.1)
    house.put([refused(1)])
    await house.drain_all()
    await asyncio.sleep(0.2)
    now_s = time.time()
    age = "SELECT extract(epoch FROM now() - drain_watermark)::float8 FROM net.node"
    assert await house.value(age) < drain_module.WATERMARK_MARGIN_S + 3
    # A lock on its cursor: PostgreSQL answers, but the batch does not come through.
    other = house.connect()
    async with other.transaction("read_committed") as blocking:
        await blocking.execute("SELECT FROM net.spool_cursor FOR UPDATE")
        house.put([refused(2), refused(3)])
        monkeypatch.setattr(drain_module, "wall_s", lambda: time.time() + 60)  # it waits for a minute
        async with house.draining(statement_timeout_s=1.0):
            await house.until_counted("aaad_drain_undrained_records", 2)
            assert house.count("aaad_drain_watermark_at_seconds") <= (now_s + 1) * 1e6
            await blocking.execute("ROLLBACK; BEGIN")
            await house.until("SELECT count(*) FROM net.refusal", 3)
            await house.until("SELECT records_undrained FROM net.node", 0)
            await house.until_counted("aaad_drain_undrained_records", 0)
    await other.close()


async def test_the_drain_outlives_its_connections(house):
    house.put([refused(1)])
    async with house.draining():
        await house.until("SELECT count(*) FROM net.refusal", 1)
        for number in range(2, 6):
            await house.database.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            house.put([refused(number)])
            await house.until("SELECT count(*) FROM net.refusal", number)
    assert await house.value("SELECT sum(count) FROM net.refusal") == 5


async def test_a_slow_postgresql_gets_smaller_batches_and_not_the_same_for_ever(house):
    await house.database.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.003); RETURN NEW; END'"
    )
    await house.database.execute(
        "CREATE TRIGGER slow BEFORE INSERT ON net.refusal FOR EACH ROW EXECUTE FUNCTION slow()"
    )
    house.put([refused(number) for number in range(1, 101)])
    async with house.draining(statement_timeout_s=0.2):
        await house.until("SELECT count(*) FROM net.refusal", 100, limit_s=15)
    assert house.count("aaad_drain_store_errors_total") > 0


async def test_a_file_system_that_turned_read_only_is_drained(house, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    house.put([refused(1), b"nobody can read this"])
    house.put([refused(2)])
    monkeypatch.setattr("aaad.spool.reader.lock_directory", refuse)
    monkeypatch.setattr("aaad.sessions.slot.write_drained", refuse)
    monkeypatch.setattr("aaad.sessions.slot.mark_drained", refuse)
    monkeypatch.setattr("aaad.sessions.slot.Slot._set_aside", refuse)
    await house.drain_all()
    assert await house.refusals() == {1: 1, 2: 1}


async def test_one_slot_that_postgresql_holds_up_does_not_hold_up_another(house):
    other = house.connect()
    house.put([seen()], slot="radius-0")
    await house.drain_all()
    await house.database.execute("DELETE FROM net.router")
    house.put([refused(1)], slot="radius-0")
    house.put([seen()], slot="radius-1")
    async with other.transaction("read_committed") as blocking:
        await blocking.execute("SELECT FROM net.spool_cursor FOR UPDATE")
        async with house.draining(statement_timeout_s=0.4):
            await house.until("SELECT count(*) FROM net.router", 1)
    await other.close()
    assert await house.refusals() == {}


async def test_a_slot_that_appears_later_is_found(house):
    async with house.draining():
        await asyncio.sleep(0.2)
        house.put([refused(1)], slot="radius-7")
        await house.until("SELECT count(*) FROM net.refusal", 1)
    assert await house.refusals() == {1: 1}


async def test_a_spool_that_was_begun_anew_is_followed(house):
    async with house.draining():
        house.put([refused(1)])
        await house.until("SELECT count(*) FROM net.refusal", 1)
        shutil.rmtree(house.root / "radius-0")
        house.put([refused(2)])
        await house.until("SELECT count(*) FROM net.refusal", 2)
    assert await house.value("SELECT count(*) FROM net.spool_cursor") == 2


async def test_a_spool_that_is_removed_under_its_writer_loses_nothing_that_came_later(house):
    spool = SpoolWriter(house.root / "radius-0", segment_bytes=SEGMENT_BYTES, bytes_max=1 << 30)
    spool.start()
    async with house.draining():
        assert await put_one(spool, refused(1))
        await house.until("SELECT count(*) FROM net.refusal", 1)
        shutil.rmtree(house.root / "radius-0")
        for number in range(2, 30):
            assert await put_one(spool, refused(number))
        await house.until("SELECT count(*) FROM net.refusal", 29)
    assert spool.stop(5)
    assert set((await house.refusals()).values()) == {1}


async def test_after_a_power_cut_a_slot_without_writer_is_drained_to_its_end(house):
    house.put([refused(1)])
    old_tail = (house.root / "radius-0" / "tail").read_bytes()
    await house.drain_all()
    spool = SpoolWriter(house.root / "radius-0", segment_bytes=SEGMENT_BYTES, bytes_max=1 << 30)
    spool.start()
    spool.append(encode(refused(2)))
    assert spool.stop(5)
    (house.root / "radius-0" / "tail").write_bytes(old_tail)
    await house.drain_all()
    assert await house.refusals() == {1: 1, 2: 1}


async def test_status_tells_depth_and_age_from_files_alone(house):
    house.put([refused(1), refused(2)])
    (status,) = spool_statuses(house.root, now_s=time.time() + 100)
    assert (status.slot, status.undrained_records, status.is_written) == ("radius-0", 2, False)
    assert 99 < status.oldest_age_s < 110
    assert status.undrained_bytes > 50
    assert status.append_rate_per_s > 0
    await house.drain_all()
    while read_drained(house.root / "radius-0") is None:
        await house.drain_all()
    (status,) = spool_statuses(house.root, now_s=time.time())
    assert (status.undrained_records, status.undrained_bytes, status.oldest_age_s) == (0, 0, 0.0)
    assert read_drained(house.root / "radius-0").next_sequence == 2


# --- handing over -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def serving(house: House, path: Path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(8)
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        server = HandoffServer(house.connect(), listener, node=NODE, counters=house.counters)
        group.create_task(server.run(stopping))
        try:
            yield
        finally:
            stopping.set()
    listener.close()
    with suppress(FileNotFoundError):
        path.unlink()


class BrokenDisk:
    """Takes what is written and fails to make it durable: the worst case, since the octets may be there after all."""

    def __init__(self) -> None:
        self.is_broken = False
        self.spares_headers = False
        self._offset = 0

    def write(self, descriptor: int, data: bytes, offset: int) -> int:
        self._offset = offset
        return os.pwrite(descriptor, data, offset)

    def sync(self, descriptor: int) -> None:
        if self.is_broken and (self._offset or not self.spares_headers):
            raise OSError(5, "Input/output error")


def begin(house: House, path: Path, disk: BrokenDisk) -> SpoolWriter:
    spool = SpoolWriter(
        house.root / "radius-0",
        segment_bytes=SEGMENT_BYTES,
        bytes_max=1 << 30,
        handoff=path,
        write=disk.write,
        sync=disk.sync,
    )
    spool.start()
    return spool


async def put_one(spool: SpoolWriter, record: Record) -> bool:
    said: list[bool] = []
    assert spool.append(encode(record), said.append)
    deadline = time.monotonic() + 10
    while not said:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)
    return said[0]


async def test_r6_3_a_broken_disk_hands_over_and_silence_only_when_both_fail(house, tmp_path):
    path, disk = tmp_path / "sync.sock", BrokenDisk()
    async with serving(house, path):
        spool = begin(house, path, disk)
        assert await put_one(spool, refused(1))
        disk.is_broken = True
        assert await put_one(spool, refused(2))
        assert await put_one(spool, refused(3))
        assert await house.refusals() == {2: 1, 3: 1}  # committed before the answer
    assert not await put_one(spool, refused(4))
    disk.is_broken = False
    await asyncio.sleep(0.6)
    assert await put_one(spool, refused(5))
    assert spool.stop(5)
    await house.drain_all()
    assert await house.refusals() == {1: 1, 2: 1, 3: 1, 5: 1}


async def test_r6_3_what_is_handed_over_is_on_postgresqls_disk_before_the_answer(house, tmp_path):
    """There is no copy of it in the spool, so it is not committed lazily, whatever the server's default is."""
    for sql in (
        "CREATE TABLE net.waited AS SELECT '' AS for_disk",
        (
            "CREATE FUNCTION net.tell_wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " UPDATE net.waited SET for_disk = current_setting('synchronous_commit'); RETURN NULL; END $$"
        ),
        "CREATE TRIGGER tell_wait AFTER INSERT OR UPDATE ON net.spool_handoff EXECUTE FUNCTION net.tell_wait()",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$",
    ):
        await house.database.execute(sql)
    path, disk = tmp_path / "sync.sock", BrokenDisk()
    async with serving(house, path):
        spool = begin(house, path, disk)
        disk.is_broken = True
        assert await put_one(spool, refused(1))
        assert spool.stop(5)
    assert await house.value("SELECT for_disk FROM net.waited") == "on"


@pytest.mark.parametrize("drains_all_the_time", [False, True])
async def test_r6_3_octets_that_did_reach_the_disk_are_not_applied_again(
    house, tmp_path, monkeypatch, drains_all_the_time
):
    """Handed over, then ended before a fresh segment cuts the batch off, and even the tidying was lost."""
    monkeypatch.setattr("aaad.spool.appender.Appender._release_unused", lambda *_: None)
    monkeypatch.setattr("aaad.spool.appender.Path.unlink", lambda *_: None)
    path, disk = tmp_path / "sync.sock", BrokenDisk()
    disk.spares_headers = True
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(house, path))
        spool = begin(house, path, disk)
        assert await put_one(spool, refused(1))
        if drains_all_the_time:  # it knows of no cut yet
            await stack.enter_async_context(house.draining())
            await house.until("SELECT count(*) FROM net.refusal", 1)
        disk.is_broken = True
        assert await put_one(spool, refused(2))
        assert spool.stop(5)
        for number in (1, 2):
            assert encode(refused(2)) in segment_path(house.root / "radius-0", number).read_bytes()
        house.put([refused(3)])
        if drains_all_the_time:
            await house.until("SELECT count(*) FROM net.refusal", 3)
    await house.drain_all()
    assert await house.refusals() == {1: 1, 2: 1, 3: 1}


async def test_a_batch_that_comes_twice_is_applied_once(house, tmp_path):
    from uuid import uuid4

    from aaad.spool.handoff import Handoff, HandoffClient

    path, life = tmp_path / "sync.sock", uuid4()

    def batch(number: int, login_id: int) -> Handoff:
        return Handoff(life, life, "radius-0", number, 0, 0, 0, [encode(refused(login_id))])

    async with serving(house, path):
        client = HandoffClient(path, timeout_s=2)
        assert await asyncio.to_thread(client.send, batch(1, 1))
        assert await asyncio.to_thread(client.send, batch(1, 1))
        assert await asyncio.to_thread(client.send, batch(2, 2))
        assert not await asyncio.to_thread(client.send, batch(1, 1))  # so late that its writer has given it up
        client.close()
    assert await house.refusals() == {1: 1, 2: 1}
    assert house.count("aaad_handoff_batches_total|outcome=repeated") == 1


async def test_a_record_of_a_batch_that_nobody_can_read_is_kept(house, tmp_path):
    from uuid import uuid4

    from aaad.spool.handoff import Handoff, HandoffClient

    path, life = tmp_path / "sync.sock", uuid4()
    batch = Handoff(
        life, life, "radius-0", 1, 0, 0, 0, [encode(refused(1)), b"nobody reads this", encode(refused(2))]
    )
    async with serving(house, path):
        client = HandoffClient(path, timeout_s=2)
        assert await asyncio.to_thread(client.send, batch)
        client.close()
    assert await house.refusals() == {1: 1, 2: 1}
    assert house.count("aaad_handoff_unreadable_total") == 1
    assert await house.value("SELECT convert_from(record, 'UTF8') FROM net.spool_deferred") == "nobody reads this"


async def test_a_batch_of_a_dead_writer_is_refused_once_its_spool_was_drained_further(house, tmp_path):
    from uuid import uuid4

    from aaad.spool.handoff import Handoff, HandoffClient
    from aaad.spool.reader import SpoolReader

    path = tmp_path / "sync.sock"
    house.put([refused(1), refused(2)])
    await house.drain_all()
    spool_id = SpoolReader(house.root / "radius-0").spool_id
    late = Handoff(spool_id, uuid4(), "radius-0", 1, 1, 4096, 1, [encode(refused(2))])
    async with serving(house, path):
        client = HandoffClient(path, timeout_s=2)
        assert not await asyncio.to_thread(client.send, late)
        client.close()
    assert await house.refusals() == {1: 1, 2: 1}
    assert await house.value("SELECT count(*) FROM net.spool_handoff") == 0


async def test_a_hanging_sync_costs_no_more_than_the_limit(house, tmp_path):
    path, disk = tmp_path / "sync.sock", BrokenDisk()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(1)
    spool = begin(house, path, disk)
    assert await put_one(spool, refused(1))
    disk.is_broken = True
    start = time.monotonic()
    assert not await put_one(spool, refused(2))
    assert time.monotonic() - start < 2
    disk.is_broken = False
    assert spool.stop(5)
    listener.close()


async def test_nonsense_on_the_socket_ends_that_connection_only(house, tmp_path):
    path, disk = tmp_path / "sync.sock", BrokenDisk()
    async with serving(house, path):
        for nonsense in (b"\xff\xff\xff\xff", b"\x03\x00\x00\x00abc", b"\x01"):
            stranger = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            stranger.connect(str(path))
            stranger.sendall(nonsense)
            await asyncio.sleep(0.02)
            stranger.close()
        spool = begin(house, path, disk)
        disk.is_broken = True
        assert await put_one(spool, refused(1))
        disk.is_broken = False
        assert spool.stop(5)
    assert await house.refusals() == {1: 1}
