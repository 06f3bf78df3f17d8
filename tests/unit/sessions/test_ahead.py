"""What was read before its turn counts only if it begins where its turn does."""

import asyncio

import pytest

from aaad.errors import SpoolError, StoreError
from aaad.sessions.ahead import Ahead, parse
from aaad.sessions.batch import Foreseen
from aaad.sessions.fold import Folded
from aaad.sessions.intake import Intake
from aaad.spool.reader import Batch
from aaad.spool.records import LoginRefused, encode
from aaad.spool.segment import Frame, Position

FORESEEN = Foreseen("", {}, frozenset(), {}, {b"family": Folded([], [])})
HERE, THERE = Position(1, 64), Position(1, 640)


def frame(payload: bytes) -> Frame:
    return Frame(64, 128, 7, 1_700_000_000, payload)


def batch(*frames: Frame, following: Position = THERE) -> Batch:
    return Batch(1, following, list(frames), [], is_start_missing=False)


async def work() -> str:
    await asyncio.sleep(0)
    return "done"


async def found(_: Position) -> Batch:
    return batch(frame(encode(LoginRefused(1, "wrong_password", 28_000_000, 1))), frame(b"nonsense"))


async def foresee(intake: Intake) -> None:
    intake.gathered.foreseen = FORESEEN


async def test_what_was_read_is_handed_over_once_and_only_where_it_begins():
    ahead = Ahead()
    assert await ahead.read_during(work(), HERE, found, foresee) == "done"
    taken = ahead.take(HERE, records_max=2)
    assert taken is not None
    assert taken[0] == await found(HERE)
    assert [entry.content.login_id for entry in taken[1].intake.now] == [1]
    assert [(item.cause, item.frame.payload) for item in taken[1].set_aside] == [("undecodable", b"nonsense")]
    assert taken[1].intake.gathered.foreseen is FORESEEN
    assert ahead.take(HERE, records_max=2) is None
    await ahead.read_during(work(), HERE, found, foresee)
    assert ahead.take(THERE, records_max=2) is None
    assert ahead.take(HERE, records_max=2) is None


async def test_what_has_become_too_large_meanwhile_is_read_again():
    ahead = Ahead()
    await ahead.read_during(work(), HERE, found, foresee)
    assert ahead.take(HERE, records_max=1) is None


async def test_what_is_dropped_is_not_handed_over():
    ahead = Ahead()
    await ahead.read_during(work(), HERE, found, foresee)
    ahead.drop()
    assert ahead.take(HERE, records_max=2) is None


async def test_the_works_error_is_raised_as_it_is():
    async def failing() -> None:
        await asyncio.sleep(0)
        raise StoreError("away", sqlstate="55P03")

    with pytest.raises(StoreError) as raised:
        await Ahead().read_during(failing(), HERE, found, foresee)
    assert raised.value.sqlstate == "55P03"


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), SpoolError("torn"), ZeroDivisionError()])
async def test_an_error_in_reading_is_left_to_the_batchs_turn(error):
    async def failing(_: Position) -> Batch:
        raise error

    ahead = Ahead()
    await ahead.read_during(work(), HERE, found, foresee)
    assert await ahead.read_during(work(), THERE, failing, foresee) == "done"
    assert ahead.take(THERE, records_max=2) is None


async def test_nothing_read_is_nothing_kept():
    async def nothing(start: Position) -> Batch:
        return batch(following=start)

    ahead = Ahead()
    await ahead.read_during(work(), HERE, nothing, foresee)
    assert ahead.take(HERE, records_max=2) is None


async def test_others_go_on_while_a_large_batch_is_parsed():
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with asyncio.TaskGroup() as group:
        task = group.create_task(other())
        parsed = await parse([frame(b"nonsense")] * 1_000)
        task.cancel()
    assert len(parsed.set_aside) == 1_000
    assert turns >= 9
