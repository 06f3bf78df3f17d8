"""A spool's next batch is read, parsed and folded as far as can be foreseen while PostgreSQL takes the one before it.

Of a backlog, that is; else there is no next batch yet. What was read ahead counts for nothing: it is dropped when
the batch before it did not move the cursor to where it begins, and what went wrong in reading it comes again when
the batch is read in its turn, and is told then.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

from aaad.errors import SpoolError
from aaad.sessions.entries import entry_of
from aaad.sessions.intake import Intake
from aaad.spool.reader import Batch
from aaad.spool.records import decode
from aaad.spool.segment import Frame, Position

PARSED_AT_ONCE = 100  # a millisecond: PostgreSQL's answers, the feed and others of this process come in between

_Answer = TypeVar("_Answer")


Read = Callable[[Position], Awaitable[Batch]]
Foresee = Callable[[Intake], Awaitable[None]]  # notes what it finds with the intake; raises nothing, and is bounded


class SetAside(NamedTuple):
    """A record that is not applied."""

    frame: Frame
    cause: str  # undecodable, unfit, refused
    why: str


class Parsed(NamedTuple):
    """A batch's records."""

    intake: Intake
    set_aside: list[SetAside]


class Ahead:
    """At most one batch that was read before its turn."""

    def __init__(self) -> None:
        """Nothing was read yet."""
        self._start: Position | None = None
        self._found: tuple[Batch, Parsed] | None = None

    def take(self, start: Position, *, records_max: int) -> tuple[Batch, Parsed] | None:
        """Hand over the batch if it begins there and has no more records; whatever it is, it is not kept."""
        found, self._found = self._found, None
        is_wanted = found is not None and start == self._start and len(found[0].frames) <= records_max
        return found if is_wanted else None

    def drop(self) -> None:
        """Forget it."""
        self._found = None

    async def read_during(self, work: Awaitable[_Answer], start: Position, read: Read, foresee: Foresee) -> _Answer:
        """Await some work, and read the batch from `start` and look at what it will meet in its pauses.

        Raises what the work raises. May take longer than the work: what is done now need not be done in the turn.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(start, read, foresee))
            outcome = await _outcome(work)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _read(self, start: Position, read: Read, foresee: Foresee) -> None:
        try:
            batch = await read(start)
            if batch.next == start:
                return
            parsed = await parse(batch.frames)
        except Exception:  # noqa: BLE001  whatever it is, it is met again and told when the batch has its turn
            self.drop()
        else:
            self._start, self._found = start, (batch, parsed)
            await foresee(parsed.intake)


async def _outcome(work: Awaitable[_Answer]) -> _Answer | Exception:
    """Await it; what it raises is a value: a group would wrap it."""
    try:
        return await work
    except Exception as error:  # noqa: BLE001  raised again by the caller
        return error


async def parse(frames: Sequence[Frame]) -> Parsed:
    """Read a batch's records, letting others go on in between."""
    parsed = Parsed(Intake(), [])
    for start in range(0, len(frames), PARSED_AT_ONCE):
        _parse_some(frames[start : start + PARSED_AT_ONCE], parsed)
        await asyncio.sleep(0)
    return parsed


def _parse_some(frames: Sequence[Frame], parsed: Parsed) -> None:
    add = parsed.intake.add
    for frame in frames:
        payload = frame.payload
        cause = "undecodable"
        try:
            record = decode(payload)
            cause = "unfit"
            entry = entry_of(payload, record)
        except SpoolError as error:
            parsed.set_aside.append(SetAside(frame, cause, str(error)))
        else:
            add(entry)
