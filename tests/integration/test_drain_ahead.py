"""A backlog's next batch is read while PostgreSQL takes the one before it; nothing void gets in by that (R6.1)."""

import asyncio
import shutil
from uuid import uuid4

import pytest
from drain_house import MINUTE, NODE, House

from aaad.errors import StoreError
from aaad.sessions import ahead as ahead_module
from aaad.sessions import slot as slot_module
from aaad.sessions.drain import Drain
from aaad.sessions.slot import Slot
from aaad.sessions.store import DrainStore
from aaad.spool.directory import read_drained
from aaad.spool.reader import SpoolReader
from aaad.spool.records import LoginRefused
from aaad.spool.segment import START, Tail

BATCH = 10


@pytest.fixture
async def house(dsn, tmp_path, monkeypatch):
    monkeypatch.setattr(slot_module, "BATCH_RECORDS_MAX", BATCH)
    made = House(dsn, tmp_path / "spool")
    await made.database.execute("INSERT INTO net.node (name) VALUES ($1)", NODE)
    yield made
    await made.database.close()


def refused(count: int) -> list[LoginRefused]:
    return [LoginRefused(number, "wrong_password", MINUTE, 1) for number in range(1, count + 1)]


def a_slot(house: House) -> Slot:
    return Slot(house.root / "radius-0", DrainStore(house.database, node=NODE), house.counters)


async def cut_off(house: House, after: int) -> None:
    """What follows this many records was handed over, as their writer's disk failed, by a batch that is applied."""
    reader = SpoolReader(house.root / "radius-0")
    place = reader.read(START, records_max=after).next
    reader.close()
    await house.database.execute(
        "INSERT INTO net.spool_handoff (spool_id, life, number, segment, position, last_segment) "
        "VALUES ($1, $2, 1, $3, $4, $3)",
        *(reader.spool_id, uuid4(), place.segment, place.offset),
    )


async def test_each_batch_of_a_backlog_is_read_while_the_one_before_it_is_taken(house, monkeypatch):
    read = []

    class Reader(SpoolReader):
        def read(self, *args, **changes):
            batch = super().read(*args, **changes)
            read.append(batch)
            return batch

    monkeypatch.setattr(slot_module, "SpoolReader", Reader)
    house.put(refused(5 * BATCH))
    slot = a_slot(house)
    counts = []
    for _ in range(5):
        assert await slot.advance()
        counts.append(len(read))
    assert not await slot.advance()
    slot.close()
    assert counts == [2, 3, 4, 5, 5]  # each once, all but the first before its turn
    assert await house.refusals() == dict.fromkeys(range(1, 5 * BATCH + 1), 1)


async def test_the_copy_of_the_cursor_is_as_new_as_the_batch(house):
    house.put(refused(3 * BATCH))
    slot = a_slot(house)
    for number in range(1, 4):
        assert await slot.advance()
        drained = read_drained(house.root / "radius-0")
        assert drained == Tail(slot._cursor, number * BATCH)
    slot.close()


async def test_r6_1_what_became_void_while_nobody_knew_whether_the_batch_before_it_was_taken_is_not_applied(
    house, monkeypatch
):
    class Store(DrainStore):
        is_lost = False

        async def apply(self, *args, **changes):
            skipped = await super().apply(*args, **changes)
            if self.is_lost:
                raise StoreError("the connection was lost", may_have_committed=True)
            return skipped

    monkeypatch.setattr(slot_module, "_SHRINK", 1)  # else what was read is too large for what is tried next
    house.put(refused(5 * BATCH))
    store = Store(house.database, node=NODE)
    slot = Slot(house.root / "radius-0", store, house.counters)
    assert await slot.advance()
    store.is_lost = True
    with pytest.raises(StoreError):
        await slot.advance()
    store.is_lost = False
    await cut_off(house, 2 * BATCH + 5)
    while await slot.advance():
        pass
    slot.close()
    assert await house.refusals() == dict.fromkeys(range(1, 2 * BATCH + 6), 1)


async def test_r6_1_what_was_read_before_it_became_void_is_not_applied(house, monkeypatch):
    house.put(refused(5 * BATCH))
    slot = a_slot(house)
    assert await slot.advance()  # the second batch is at hand now
    await cut_off(house, 3 * BATCH + 5)
    while await slot.advance():
        pass
    slot.close()
    assert house.count("aaad_drain_cursor_lost_total") == 1
    assert await house.refusals() == dict.fromkeys(range(1, 3 * BATCH + 6), 1)


async def test_r6_1_what_was_read_by_a_cursor_that_moved_is_not_applied(house):
    house.put(refused(5 * BATCH))
    slot = a_slot(house)
    assert await slot.advance()
    assert await slot.advance()
    await house.database.execute("UPDATE net.spool_cursor SET segment = 0, position = 0")
    await house.database.execute("DELETE FROM net.refusal")
    while await slot.advance():
        pass
    slot.close()
    assert await house.refusals() == dict.fromkeys(range(1, 5 * BATCH + 1), 1)


async def test_a_bug_over_what_was_read_before_its_turn_is_told_once_it_has_its_turn(house, monkeypatch):
    def stumble(payload, record):
        if record.login_id == 2 * BATCH:
            raise ZeroDivisionError
        return real(payload, record)

    real = ahead_module.entry_of
    monkeypatch.setattr(ahead_module, "entry_of", stumble)
    house.put(refused(5 * BATCH))
    slot = a_slot(house)
    assert await slot.advance()
    assert house.count("aaad_bugs_total") == 0
    while await slot.advance():
        pass
    slot.close()
    assert house.count("aaad_bugs_total") > 0
    assert await house.value("SELECT count(*) FROM net.spool_deferred") == 1
    assert await house.value("SELECT count(*) FROM net.refusal") == 5 * BATCH - 1


async def test_what_was_committed_is_told_though_the_next_batch_is_still_being_read_when_the_program_ends(
    house, monkeypatch
):
    house.put([b"\xff nobody can read this", *refused(4 * BATCH)])
    slot = a_slot(house)
    real, reads, never = slot._read, [], asyncio.Event()

    async def read(start):
        reads.append(start)
        if len(reads) == 2:
            await never.wait()  # a disk in trouble
        return await real(start)

    monkeypatch.setattr(slot, "_read", read)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(slot.advance())
        await house.until("SELECT count(*) FROM net.refusal", BATCH - 1)
        await house.until_counted("aaad_drain_batches_total", 1)
        assert not task.done()
        task.cancel()
    slot.close()
    assert house.count("aaad_drain_set_aside_total|cause=undecodable") == 1
    assert (house.root / "radius-0" / "set_aside.jsonl").exists()


async def test_a_slot_is_not_behind_by_what_a_cut_made_void(house):
    house.put(refused(5 * BATCH))
    await cut_off(house, 3 * BATCH + 5)
    slot = a_slot(house)
    while await slot.advance():
        pass
    slot.close()
    assert not slot.is_behind
    assert await house.value("SELECT count(*) FROM net.refusal") == 3 * BATCH + 5


async def test_a_folder_that_vanishes_in_a_backlog_leaves_the_drain_no_busy_loop(house, monkeypatch):
    house.put(refused(50 * BATCH))
    passes = []
    real = Drain._pass

    async def counted(self):
        passes.append(self)
        if len(passes) == 5:
            shutil.rmtree(house.root / "radius-0")
        return await real(self)

    monkeypatch.setattr(Drain, "_pass", counted)
    async with house.draining():
        await asyncio.sleep(1)
    assert 5 < len(passes) < 200


async def test_what_was_read_before_its_turn_is_bounded_over_all_slots(house, monkeypatch):
    monkeypatch.setattr("aaad.sessions.drain.READ_AHEAD_SLOTS_MAX", 2)
    allowed = []
    real = Slot.advance

    async def told(self, *, may_read_ahead):
        allowed.append(may_read_ahead)
        return await real(self, may_read_ahead=may_read_ahead)

    monkeypatch.setattr(Slot, "advance", told)
    for slot in range(3):
        house.put(refused(5 * BATCH), slot=f"radius-{slot}")
    await house.drain_all()
    assert not all(allowed)
    assert await house.value("SELECT sum(count) FROM net.refusal") == 3 * 5 * BATCH
