"""A backlog's next batch is read while PostgreSQL takes the one before it; nothing void gets in by that (R6.1)."""

from uuid import uuid4

import pytest
from drain_house import MINUTE, NODE, House

from aaad.sessions import ahead as ahead_module
from aaad.sessions import slot as slot_module
from aaad.sessions.slot import Slot
from aaad.sessions.store import DrainStore
from aaad.spool.reader import SpoolReader
from aaad.spool.records import LoginRefused
from aaad.spool.segment import START

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
    taken, read = [], []

    class Store(DrainStore):
        async def apply(self, *args, **changes):
            taken.append(len(read))
            return await super().apply(*args, **changes)

    class Reader(SpoolReader):
        def read(self, *args, **changes):
            batch = super().read(*args, **changes)
            read.append(batch)
            return batch

    monkeypatch.setattr(slot_module, "SpoolReader", Reader)
    house.put(refused(5 * BATCH))
    slot = Slot(house.root / "radius-0", Store(house.database, node=NODE), house.counters)
    for _ in range(5):
        assert await slot.advance()
    assert not await slot.advance()
    slot.close()
    assert taken == [1, 2, 3, 4, 5]  # each was read once, all but the first before its turn
    assert await house.refusals() == dict.fromkeys(range(1, 5 * BATCH + 1), 1)


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
