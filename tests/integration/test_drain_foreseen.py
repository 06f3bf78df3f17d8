"""Of a backlog it is found before a batch's turn what its sessions come to; what changes until then counts (R6.1)."""

import asyncio
import socket
import time

import msgspec
import pytest
from accounting_records import INTERIM, START, STOP, accounting
from drain_house import NODE, House, make_login
from test_drain_hardened import MOVE_ALL

from aaad.db.connection import Database
from aaad.sessions import folding as folding_module
from aaad.sessions import slot as slot_module
from aaad.sessions import store as store_module
from aaad.sessions.folding import Folding
from aaad.sessions.intake import Gathered
from aaad.sessions.ledger import Ledger
from aaad.sessions.record import AccountingRecord, read
from aaad.sessions.slot import Slot
from aaad.sessions.store import DrainStore
from aaad.spool.records import Accounting

T = float(int(time.time()) - 900)  # of what is older than an hour history is asked, which would find what is missed
LONG_AGO = T - 100_000
LOGINS = 12
BATCH = 6
ROWS = """
SELECT user_name, acct_session_id, login_id, contract_id, client_id, branch_id, time_zone, address_space, started_at,
    heard_at, ended_at, ended_latest, end_evidence, octets_in, octets_out, records, days, day_octets_in
FROM net.every_session ORDER BY user_name, acct_session_id, started_at
"""


@pytest.fixture
async def house(dsn, tmp_path, monkeypatch):
    monkeypatch.setattr(slot_module, "BATCH_RECORDS_MAX", BATCH)
    made = House(dsn, tmp_path / "spool")
    await made.database.execute("INSERT INTO net.node (name) VALUES ($1)", NODE)
    await made.database.execute(
        "INSERT INTO net.nas (id, name, address, secret, address_space) VALUES (1, 'n', '192.0.2.0/24', 's', 3)"
    )
    for login_id in range(1, LOGINS + 1):
        await make_login(made, login_id)
    await made.database.execute("UPDATE erp.branch SET time_zone = 'America/Manaus'")
    yield made
    await made.database.close()


def a_store(house: House, **changes) -> DrainStore:
    ahead = Database(house.dsn, connect_timeout_s=5, statement_timeout_s=5, application_name="test ahead")
    return DrainStore(house.database, **({"node": NODE, "foreseeing": ahead} | changes))


def of(login_id: int, status: int, after_s: float, *, began_s: float = T, **changes) -> Accounting:
    values = {"user": f"login{login_id}", "session": f"{login_id}", "mac": f"02:00:5E:00:53:{login_id:02x}"}
    values |= {"port": login_id, "time_s": int(after_s), "octets": (int(after_s), int(after_s))}
    return accounting(status, began_s + after_s, **(values | changes))


def backlog() -> list[Accounting]:
    """Each session in several batches, each batch with some that begin; the last ones push the first ones out."""
    records = [of(login_id, START, 0) for login_id in range(1, LOGINS + 1)]
    for step in range(1, 4):
        records += [of(login_id, INTERIM, 300 * step) for login_id in range(1, LOGINS + 1, step)]
        records += [of(1, START, 0, session=f"beside{step}"), of(2, START, 0, session=f"beside{step}")]
    records += [of(login_id, STOP, 1000) for login_id in range(2, LOGINS + 1, 2)]
    return records + [of(login_id, START, 1700, session=f"again{login_id}") for login_id in range(1, LOGINS + 1)]


async def take_all(slot: Slot) -> None:
    while await slot.advance():
        pass


async def take_backlog(house: House) -> None:
    house.put(backlog())
    slot = Slot(house.root / "radius-0", a_store(house), house.counters)
    await take_all(slot)
    slot.close()
    assert sum(row[15] for row in await rows(house)) == len(backlog())


async def rows(house: House) -> list[tuple]:
    return [tuple(row) for row in await house.database.fetch(ROWS)]


async def test_what_was_foreseen_comes_to_the_rows_that_come_without(house, monkeypatch):
    house.put(backlog())
    used = []
    real = folding_module._unchanged

    async def unchanged(queries, foreseen):
        same = await real(queries, foreseen)
        used.append((len(same.folds), len(same.owners)))
        return same

    monkeypatch.setattr(folding_module, "_unchanged", unchanged)
    slot = Slot(house.root / "radius-0", a_store(house), house.counters)
    await take_all(slot)
    slot.close()
    foreseen = await rows(house)
    assert len(used) > 5
    assert sum(folds for folds, _ in used) > 20
    assert sum(owners for _, owners in used) > 10
    await house.database.execute("DELETE FROM net.session; UPDATE net.spool_cursor SET segment = 0, position = 0")
    slot = Slot(house.root / "radius-0", a_store(house, foreseeing=None), house.counters)
    await take_all(slot)
    slot.close()
    assert await rows(house) == foreseen
    assert sum(row[15] for row in foreseen) == len(backlog())
    assert {(row[6], row[7]) for row in foreseen} == {("America/Manaus", 3)}


async def foresee(house: House, ledger: Ledger, *records: Accounting) -> Gathered:
    gathered = Gathered([read(record) for record in records])
    gathered.foreseen = await ledger.foresee(house.database, gathered.families)
    return gathered


async def write(house: House, ledger: Ledger, gathered: Gathered) -> None:
    async with house.database.transaction("read_committed") as transaction:
        await ledger.write(transaction, gathered)


def ended(status: int, after_s: float) -> AccountingRecord:
    return read(of(1, status, after_s, began_s=LONG_AGO))


async def counts(house: House) -> list[tuple]:
    rows = await house.database.fetch("SELECT user_name, records, end_evidence FROM net.session ORDER BY 1, 2")
    return [tuple(row) for row in rows]


async def test_a_session_that_another_drain_began_meanwhile_stays_one(house):
    """By its first record it would have another name: the concentrator's clock of sessions went back by a second."""
    ledger = Ledger()
    coming = await foresee(house, ledger, of(1, INTERIM, 300, time_s=301))
    assert coming.foreseen.folds
    await write(house, Ledger(), Gathered([read(of(1, START, 0))]))
    await write(house, ledger, coming)
    assert await counts(house) == [("login1", 2, None)]


async def test_a_session_beside_it_that_another_drain_began_meanwhile_stays_one(house):
    ledger = Ledger()
    await write(house, ledger, Gathered([read(of(1, START, 0))]))
    coming = await foresee(house, ledger, of(1, INTERIM, 900, time_s=301))
    await write(house, Ledger(), Gathered([read(of(1, START, 600, time_s=0))]))
    await write(house, ledger, coming)
    assert [records for _, records, _ in await counts(house)] == [1, 2]


async def test_what_another_drain_wrote_to_a_session_meanwhile_is_kept(house):
    ledger = Ledger()
    await write(house, ledger, Gathered([read(of(1, START, 0))]))
    coming = await foresee(house, ledger, of(1, INTERIM, 600))
    await write(house, Ledger(), Gathered([read(of(1, INTERIM, 300))]))
    await write(house, ledger, coming)
    assert await counts(house) == [("login1", 3, None)]


async def test_a_session_that_went_to_history_meanwhile_comes_back(house):
    ledger = Ledger()
    await write(house, ledger, Gathered([ended(START, 0), ended(STOP, 300)]))
    coming = await foresee(house, ledger, of(1, INTERIM, 200, began_s=LONG_AGO), of(2, INTERIM, 200))
    await house.database.execute(MOVE_ALL)
    await write(house, ledger, coming)
    assert await counts(house) == [("login1", 3, "stop"), ("login2", 1, None)]


async def test_a_session_of_history_of_which_a_record_comes_is_not_begun_anew(house):
    ledger = Ledger()
    await write(house, ledger, Gathered([ended(START, 0), ended(STOP, 300)]))
    await house.database.execute(MOVE_ALL)
    coming = await foresee(house, ledger, of(1, INTERIM, 200, began_s=LONG_AGO, time_s=201))
    assert coming.foreseen.folds
    await write(house, ledger, coming)
    assert await counts(house) == [("login1", 3, "stop")]


async def test_r7_1_in_which_address_space_it_is_is_known_in_the_batchs_turn(house):
    ledger = Ledger()
    coming = await foresee(house, ledger, of(1, START, 0))
    assert coming.foreseen.owners
    await write(house, ledger, coming)
    assert [row[7] for row in await rows(house)] == [3]


async def test_r2_4_who_is_not_known_yet_is_looked_for_in_the_batchs_turn(house):
    ledger = Ledger()
    coming = await foresee(house, ledger, of(LOGINS + 1, START, 0))
    await make_login(house, LOGINS + 1)
    await write(house, ledger, coming)
    assert [(row[2], row[6]) for row in await rows(house)] == [(LOGINS + 1, "America/Manaus")]


@pytest.mark.parametrize("is_listening", [True, False])
async def test_a_connection_that_cannot_be_had_is_tried_once_and_holds_up_nothing(house, is_listening):
    house.put(backlog())
    with socket.create_server(("127.0.0.1", 0)) as nobody:  # who is listened to by nobody waits
        port = nobody.getsockname()[1] if is_listening else 1
        nowhere = Database(
            f"postgresql://nobody@127.0.0.1:{port}/none",
            connect_timeout_s=0.5,
            statement_timeout_s=0.5,
            application_name="test",
        )
        slot = Slot(house.root / "radius-0", a_store(house, foreseeing=nowhere), house.counters)
        await take_all(slot)
    slot.close()
    assert sum(row[15] for row in await rows(house)) == len(backlog())
    assert house.count("aaad_drain_foresight_failures_total") == 1
    assert house.count("aaad_bugs_total") == 0


async def test_what_takes_too_long_is_given_up_and_tried_again_later(house, monkeypatch):
    async def hang(*_) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(store_module, "FORESEE_S", 0.1)
    monkeypatch.setattr(store_module, "FORESEE_AGAIN_S", 0.0)
    monkeypatch.setattr(Folding, "foresee", hang)
    await take_backlog(house)
    assert house.count("aaad_drain_foresight_failures_total") > 2
    assert house.count("aaad_drain_foreseen_total") == 0


async def test_a_connection_that_ends_in_between_is_made_anew(house, monkeypatch):
    monkeypatch.setattr(store_module, "FORESEE_AGAIN_S", 0.0)
    house.put(backlog())
    store = a_store(house)
    slot = Slot(house.root / "radius-0", store, house.counters)
    ended = 0
    while await slot.advance():
        ended += await house.value(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE application_name = 'test ahead' AND datname = current_database()"
        )
    slot.close()
    assert ended > 2
    assert sum(row[15] for row in await rows(house)) == len(backlog())
    assert house.count("aaad_drain_foreseen_total") > 10


async def test_a_bug_in_looking_ahead_costs_that_look_alone(house, monkeypatch):
    async def stumble(*_) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(store_module, "FORESEE_AGAIN_S", 0.0)
    monkeypatch.setattr(Folding, "foresee", stumble)
    await take_backlog(house)
    assert house.count("aaad_bugs_total") > 2
    assert await house.value("SELECT count(*) FROM net.spool_deferred") == 0


async def test_what_changes_between_the_look_and_the_writing_is_read_again(house, monkeypatch):
    ledger, other = Ledger(), house.connect()
    await write(house, ledger, Gathered([read(of(1, START, 0)), read(of(2, START, 0))]))
    coming = await foresee(house, ledger, of(1, INTERIM, 600), of(2, INTERIM, 600))
    real, looks = folding_module._unchanged, []

    async def unchanged(queries, foreseen):
        same = await real(queries, foreseen)
        looks.append(len(same.folds))
        if len(looks) == 1:
            async with other.transaction("read_committed") as transaction:
                await Ledger().write(transaction, Gathered([read(of(1, INTERIM, 300))]))
        return same

    monkeypatch.setattr(folding_module, "_unchanged", unchanged)
    await write(house, ledger, coming)
    await other.close()
    assert looks == [2, 1]
    assert await counts(house) == [("login1", 3, None), ("login2", 2, None)]


async def test_r6_1_rows_of_another_server_count_for_nothing_though_they_have_the_same_version(house):
    """Before a failover the session had one record more, which was lost and drained again with another one."""
    ledger = Ledger()
    await write(house, ledger, Gathered([read(of(1, START, 0))]))
    await write(house, ledger, Gathered([read(of(1, INTERIM, 300))]))
    coming = await foresee(house, ledger, of(1, INTERIM, 900))
    await house.database.execute("DELETE FROM net.session")
    await write(house, ledger, Gathered([read(of(1, START, 0))]))
    await write(house, ledger, Gathered([read(of(1, INTERIM, 300)), read(of(1, INTERIM, 600))]))
    await write(house, ledger, coming)
    assert await counts(house) == [("login1", 4, None)]


async def test_what_another_server_told_counts_for_nothing_and_it_is_not_asked_again(house):
    """The connection stayed on a server that was taken out of service: whose a session is it knows of old."""
    house.put(backlog())
    store = a_store(house)
    real, asked = store._ledger.foresee, []

    async def foresee(queries, families):
        asked.append(await queries.fetchrow("SELECT pg_backend_pid()"))
        foreseen = await real(queries, families)
        owners = {family: msgspec.structs.replace(owner, login_id=99) for family, owner in foreseen.owners.items()}
        return foreseen._replace(server="another", owners=owners)

    store._ledger.foresee = foresee
    slot = Slot(house.root / "radius-0", store, house.counters)
    await take_all(slot)
    slot.close()
    assert 99 not in {row[2] for row in await rows(house)}
    assert sum(row[15] for row in await rows(house)) == len(backlog())
    assert len({row[0] for row in asked}) > 1


async def test_who_is_not_known_yet_gives_no_zone_to_what_begins_beside_a_session(house):
    """Its router's branch has another zone than his own."""
    await house.database.execute("INSERT INTO erp.branch (id, name, time_zone) VALUES (9, 'N', 'America/Noronha')")
    await house.database.execute(
        "INSERT INTO net.nas (id, name, address, secret, branch_id) VALUES (2, 'b', '198.51.100.7', 's', 9)"
    )
    ledger, late = Ledger(), LOGINS + 1
    await write(house, ledger, Gathered([read(of(late, START, 0))]))
    coming = await foresee(house, ledger, of(late, START, 10, nas_id=2, source="198.51.100.7"))
    await make_login(house, late)
    await write(house, ledger, coming)
    assert sorted(row[6] for row in await rows(house)) == ["America/Manaus", "America/Sao_Paulo"]


async def test_a_session_that_cannot_be_read_is_put_off_in_its_turn_and_no_other(house):
    await write(house, Ledger(), Gathered([read(of(login_id, START, 0)) for login_id in range(1, LOGINS + 1)]))
    await house.database.execute("UPDATE net.session SET summary = 'x' WHERE user_name = 'login5'")
    records = [of(login_id, INTERIM, 300 * step) for step in (1, 2, 3) for login_id in range(1, LOGINS + 1)]
    house.put(records)
    slot = Slot(house.root / "radius-0", a_store(house), house.counters)
    await take_all(slot)
    slot.close()
    assert house.count("aaad_drain_foreseen_total") > LOGINS
    assert {(name, records) for name, records, _ in await counts(house)} == {
        (f"login{login_id}", 1 if login_id == 5 else 4) for login_id in range(1, LOGINS + 1)
    }
    assert await house.value("SELECT count(*) FROM net.spool_deferred") == 3
    assert house.count("aaad_bugs_total") == 0
