"""One slot's spool on its way into PostgreSQL: read a batch, fold it, commit rows and cursor together.

A record that nobody can read, or that PostgreSQL refuses for itself alone, is counted and set aside in a bounded
file; it never stops the drain. Damage on disk is counted and told.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from aaad.clock import monotonic_s, wall_s
from aaad.errors import StoreError
from aaad.log import get_logger
from aaad.metrics import CounterFile
from aaad.sessions.addresses import note_told
from aaad.sessions.ahead import Ahead, Parsed, SetAside, parse
from aaad.sessions.entries import kind_of
from aaad.sessions.intake import Intake
from aaad.sessions.store import CursorLost, DrainStore, Skipped, is_refused
from aaad.spool.directory import find_spool_id, read_drained, write_drained
from aaad.spool.reader import Batch, SpoolReader
from aaad.spool.retention import Removed, mark_drained, remove_drained
from aaad.spool.segment import START, Cut, Position, Tail

# What a batch costs beside its records is little with two thousand; but of a backlog several records may be of one
# session, which is read and written once for all that a batch has of it. Who hands over waits for a batch's end.
BATCH_RECORDS_MAX = 8000
BATCH_S = 0.75  # below the second for which a writer waits
BATCH_OCTETS_MAX = 4 << 20
SET_ASIDE_OCTETS_MAX = 16 << 20
_SHRINK = 10  # a refused batch is tried again in tenths, until the one record that is refused stands alone

_log = get_logger("drain")


class Oldest(NamedTuple):
    """The first record of a spool that is not in PostgreSQL yet, and how many there are from it on."""

    at_s: int
    records: int


class Slot:
    """Drains one spool. Every method raises StoreError when PostgreSQL does not answer, and may be called again."""

    def __init__(self, directory: Path, store: DrainStore, counters: CounterFile) -> None:
        """SpoolError if the directory holds no spool yet."""
        self._directory = directory
        self._store = store
        self._counters = counters
        self._reader = SpoolReader(directory)
        self.spool_id = self._reader.spool_id
        self._cursor: Position | None = None  # None: ask PostgreSQL
        copy = read_drained(directory)
        self._place = copy.position if copy is not None else START  # the cursor as last known
        self._cuts: list[Cut] = []
        self._records_max = BATCH_RECORDS_MAX
        self._ahead = Ahead()
        self._tail_seen: Tail | None = None
        self.is_behind = False  # there were more records than the last batch took

    def recover(self) -> None:
        """If no process writes this spool, find its end on disk: after a power cut the published one may be old."""
        try:
            self._reader.recover_abandoned()
        except OSError as error:  # a file system that turned read-only can still be drained
            _log.error("spool.unwritable", slot=self._directory.name, error=str(error))

    def forget_cursor(self) -> None:
        """Ask PostgreSQL where the cursor is before anything else is read."""
        self._cursor, self._tail_seen = None, None
        self._ahead.drop()  # another batch may have been handed over: what was read may be void by it

    def check_cursor(self, cursor: Position | None) -> None:
        """Compare with what PostgreSQL says now: after a failover that lost commits it is older."""
        if self._cursor is not None and cursor != self._cursor:
            _log.warning("drain.cursor_moved", slot=self._directory.name, was=self._cursor, now=cursor)
            self.forget_cursor()

    async def advance(self, *, may_read_ahead: bool = True) -> bool:
        """Apply one batch; False if there was nothing to apply."""
        self.is_behind = False
        try:
            return await self._advance(may_read_ahead)
        except CursorLost as error:
            self._counters.add("aaad_drain_cursor_lost_total")
            _log.info("drain.cursor_lost", slot=self._directory.name, error=str(error))
            self.forget_cursor()
            return True
        except StoreError:
            self.forget_cursor()  # whether it committed is known to PostgreSQL alone
            raise

    async def _advance(self, may_read_ahead: bool) -> bool:
        if self._cursor is None:
            cursor = await self._store.load_cursor(self.spool_id, self._directory.name)
            self._cuts = await self._store.load_cuts(self.spool_id)
            self._cursor = self._place = cursor
        tail = self._reader.tail()
        if tail == self._tail_seen:
            return False
        ahead = self._ahead.take(self._cursor, records_max=2 * self._records_max)
        batch, parsed = ahead or (await self._read(self._cursor), None)
        if batch.next == self._cursor:
            self._tail_seen = tail
            if tail is not None:
                self._leave_copy(Tail(self._cursor, tail.next_sequence))
            return False
        if find_spool_id(self._directory) != self.spool_id:
            return False  # somebody removed the folder: the tail may be of the spool that was begun in its place
        self.is_behind = tail is not None and batch.next < tail.position
        following = tail.next_sequence - batch.frames[-1].sequence - 1 if tail is not None and batch.frames else 0
        reads_ahead = may_read_ahead and following >= max(1, self._records_max // 2)
        await self._apply(self._cursor, batch, parsed, reads_ahead=reads_ahead)
        return True

    async def _read(self, start: Position) -> Batch:
        return await asyncio.to_thread(
            self._reader.read, start, records_max=self._records_max, octets_max=BATCH_OCTETS_MAX, cuts=self._cuts
        )

    async def _apply(self, cursor: Position, batch: Batch, parsed: Parsed | None, *, reads_ahead: bool) -> None:
        try:
            if parsed is None:
                parsed = await parse(batch.frames)
            taking = self._take(cursor, batch, parsed)
            if reads_ahead:
                foresee = partial(self._foresee, under_way=parsed.intake)
                await self._ahead.read_during(taking, batch.next, self._read, foresee)
            else:
                await taking
        except StoreError as error:
            # Smaller next time, also for a statement that took too long: less may come through.
            self._records_max = max(1, len(batch.frames) // _SHRINK)
            if not is_refused(error):
                raise
            if len(batch.frames) > 1:
                return
            parsed = Parsed(Intake(), [SetAside(frame, "refused", str(error)) for frame in batch.frames])
            unread: list[bytes] = []
        except Exception:  # noqa: BLE001  our bug in one record must not stop all others
            _log.exception("drain.bug", slot=self._directory.name, records=len(batch.frames))
            self._counters.add("aaad_bugs_total")
            self._records_max = max(1, len(batch.frames) // _SHRINK)
            if len(batch.frames) > 1:
                return
            parsed, unread = Parsed(Intake(), []), [frame.payload for frame in batch.frames]
        else:
            return
        # What is unread is kept in PostgreSQL, for a program that can read it.
        await self._take(cursor, batch, parsed, unread=unread)

    async def _foresee(self, intake: Intake, *, under_way: Intake) -> None:
        """Note with the next batch what it comes to, as far as that can be known now."""
        try:
            await self._store.foresee(intake, under_way=under_way)
            self._counters.add("aaad_drain_foreseen_total", len(intake.gathered.foreseen.folds))
        except (StoreError, TimeoutError) as error:
            self._counters.add("aaad_drain_foresight_failures_total")
            _log.warning("drain.foresight_failed", slot=self._directory.name, error=str(error) or "it took too long")
        except Exception:  # noqa: BLE001  our bug: the batch is dealt with in its turn
            _log.exception("drain.bug", slot=self._directory.name, while_="looking ahead")
            self._counters.add("aaad_bugs_total")

    def _fit(self, records: int, took_s: float) -> None:
        """Let the next batch take as many records as can be written in time."""
        if took_s > BATCH_S:
            self._records_max = max(BATCH_RECORDS_MAX // _SHRINK, int(records * BATCH_S / took_s))
        else:
            self._records_max = min(BATCH_RECORDS_MAX, 2 * self._records_max)

    async def _take(self, cursor: Position, batch: Batch, parsed: Parsed, *, unread: Sequence[bytes] = ()) -> None:
        """Commit a batch, and tell of it at once: nobody may end us in between."""
        began_s = monotonic_s()
        skipped = await self._store.apply(
            self.spool_id, cursor, batch.next, cuts=self._cuts, intake=parsed.intake, unread=unread
        )
        self._committed(cursor, batch, parsed, skipped)
        self._fit(len(batch.frames), monotonic_s() - began_s)

    def _committed(self, cursor: Position, batch: Batch, parsed: Parsed, skipped: Skipped) -> None:
        self._cursor = self._place = batch.next
        if batch.frames:
            self._leave_copy(Tail(batch.next, batch.frames[-1].sequence + 1))
        self._count(batch, parsed, skipped)
        if skipped.deferred:
            _log.warning("drain.deferred", slot=self._directory.name, records=skipped.deferred)
        if batch.is_start_missing:
            _log.error("drain.segment_missing", slot=self._directory.name, asked=cursor, continued=batch.segment)
        for damage in batch.damages:
            _log.error("spool.damaged", slot=self._directory.name, segment=batch.segment, **damage._asdict())
        try:
            self._set_aside(batch.segment, parsed.set_aside)
            if cursor.segment and batch.segment > cursor.segment:
                mark_drained(self._directory, cursor.segment, now_s=wall_s())
        except OSError as error:
            _log.error("spool.unwritable", slot=self._directory.name, error=str(error))

    def _count(self, batch: Batch, parsed: Parsed, skipped: Skipped) -> None:
        add = self._counters.add
        add("aaad_drain_batches_total")
        for kind, count in parsed.intake.counts().items():
            add(f"aaad_drain_records_total|kind={kind_of(kind)}", count)
        for item in parsed.set_aside:
            add(f"aaad_drain_set_aside_total|cause={item.cause}")
        add("aaad_drain_skipped_total|kind=router_seen", skipped.routers)
        add("aaad_drain_skipped_total|kind=name_refused", skipped.refused_names)
        note_told(self._counters, skipped.addresses)
        add("aaad_drain_segments_missing_total", int(batch.is_start_missing))
        add("aaad_drain_damaged_total", len(batch.damages))
        add("aaad_drain_damaged_bytes_total", sum(damage.end - damage.offset for damage in batch.damages))

    def _set_aside(self, segment: int, items: Sequence[SetAside]) -> None:
        if not items:
            return
        path = self._directory / "set_aside.jsonl"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            room = SET_ASIDE_OCTETS_MAX - os.fstat(descriptor).st_size
            for frame, cause, why in items:
                place = {"segment": segment, "offset": frame.offset, "sequence": frame.sequence, "at_s": frame.at_s}
                line = json.dumps({**place, "cause": cause, "why": why, "octets": frame.payload.hex()}) + "\n"
                room -= len(line)
                if room >= 0:
                    os.write(descriptor, line.encode())
            _log.error("drain.set_aside", slot=self._directory.name, records=len(items), was_room=room >= 0)
        finally:
            os.close(descriptor)

    def find_oldest(self) -> Oldest | None:
        """Return the first undrained record, and leave a copy of the cursor for status and gauges."""
        tail = self._reader.tail()
        if tail is None:
            return None
        first = self._reader.read(self._place, records_max=1, cuts=self._cuts).frames
        oldest = Oldest(first[0].at_s, tail.next_sequence - first[0].sequence) if first else None
        if self._cursor is not None:
            drained = first[0].sequence if first else tail.next_sequence
            self._leave_copy(Tail(self._cursor, drained))
        return oldest

    def _leave_copy(self, drained: Tail) -> None:
        with suppress(OSError):  # only gauges live by it
            write_drained(self._directory, drained)

    def remove_drained(self, on_disk: Position, *, now_s: float, keep_s: float, bytes_max: int) -> Removed:
        """Remove what was drained long enough ago; nothing while it is not known what PostgreSQL has.

        `on_disk` is the cursor that PostgreSQL cannot lose any more by crashing.
        """
        if self._cursor is None:
            return Removed(0, 0)
        before = min(self._cursor.segment, on_disk.segment)
        return remove_drained(self._directory, before=before, now_s=now_s, keep_s=keep_s, bytes_max=bytes_max)

    def close(self) -> None:
        """Let go of the files."""
        self._reader.close()
