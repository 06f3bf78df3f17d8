"""A session closed by an operator's word: what its later records make of it (rule R9.1), from the spool on."""

from datetime import UTC, datetime

import pytest
from accounting_records import INTERIM, START, STOP, accounting
from drain_house import House

from aaad.clock import wall_s
from aaad.sessions.reports import Reports, Whose

NOW = float(int(wall_s()))


@pytest.fixture
async def house(dsn, tmp_path):
    made = House(dsn, tmp_path / "spool")
    await made.database.execute("INSERT INTO net.node (name) VALUES ('node-1')")
    await made.database.execute(
        "INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'n', '192.0.2.0/24', 's')"
    )
    yield made
    await made.database.close()


async def closed(house: House) -> None:
    """A session that began an hour ago and was heard half an hour ago, closed now by hand."""
    house.put([accounting(START, NOW - 3600), accounting(INTERIM, NOW - 1800, time_s=1800, octets=(10, 20))])
    await house.drain_all()
    reports = Reports(house.database)
    (session,) = await reports.live(Whose(user_name="joao"), 9)
    assert await reports.close(session["family"], session["life"], "session x: gone")
    assert await reports.close(session["family"], session["life"], "session x: again") is None


async def row(house: House) -> dict:
    (found,) = await house.database.fetch("SELECT * FROM net.every_session")
    return dict(found.items())


def at(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


async def test_what_was_sent_before_the_word_moves_what_is_certain_and_opens_nothing(house):
    await closed(house)
    house.put([accounting(INTERIM, NOW - 600, time_s=3000, octets=(15, 30))])
    await house.drain_all()
    found = await row(house)
    assert (found["end_evidence"], found["ended_at"]) == ("operator", at(NOW - 600))
    assert found["ended_latest"] >= at(NOW)
    assert found["octets_out"] == 30


async def test_a_record_that_is_later_than_the_word_opens_it_again(house):
    await closed(house)
    house.put([accounting(INTERIM, NOW + 900, time_s=4500, octets=(15, 30))])
    await house.drain_all()
    found = await row(house)
    assert (found["end_evidence"], found["ended_at"], found["octets_out"]) == (None, None, 30)


async def test_a_stop_says_it_better_than_the_operator(house):
    await closed(house)
    house.put([accounting(STOP, NOW - 300, time_s=3300, octets=(15, 30), cause=2)])
    await house.drain_all()
    found = await row(house)
    assert (found["end_evidence"], found["ended_at"], found["ended_latest"]) == ("stop", at(NOW - 300), at(NOW - 300))
