"""The spool as the request path sees it: append, and be told once the record is safe.

One thread gathers everything that waits, writes it, syncs once and only then says so; the caller's own thread
never touches the disk. When the disk fails (or is full) the batch goes to `sync`, which commits it to PostgreSQL;
when that fails too the record is refused and said to be (rule R6.3). The disk is tried again with back-off.
Never keeps more waiting than its bounds, never says that a record is safe before it is.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from aaad.clock import monotonic_s, wall_s
from aaad.errors import SpoolError
from aaad.log import get_logger
from aaad.metrics import CounterFile
from aaad.spool.appender import WITHOUT_ROOM, Appender, Entry, Sync, Write
from aaad.spool.directory import forget_mirrored, read_drained
from aaad.spool.handoff import Handoff, HandoffClient
from aaad.spool.mirror import Mirror
from aaad.spool.segment import (
    HEADER_OCTETS,
    OVERHEAD_OCTETS_MAX,
    RECORD_OCTETS_MAX,
    SEGMENT_OCTETS_MAX,
    SEGMENT_OCTETS_MIN,
)

SPOOL_COUNTERS = [
    "aaad_spool_records_appended_total",
    "aaad_spool_syncs_total",
    "aaad_spool_disk_failures_total",
    "aaad_spool_segments_condemned_total",
    "aaad_spool_segments_removed_total",
    "aaad_spool_records_refused_total|reason=full",
    "aaad_spool_records_refused_total|reason=failed",
    "aaad_spool_handoffs_total|outcome=committed",
    "aaad_spool_handoffs_total|outcome=failed",
    "aaad_spool_records_at_risk",
]

PENDING_RECORDS_MAX = 16384
PENDING_OCTETS_MAX = 8 << 20
BATCH_RECORDS_MAX = 4096
BATCH_OCTETS_MAX = 1 << 20
GROUP_OCTETS_MAX = SEGMENT_OCTETS_MIN - HEADER_OCTETS  # framed: a group is never torn between two segments
# While who appends says that more is about to come, syncs begin so far apart: what comes meanwhile shares the next
# one, whose price is that of ten records.
SYNCS_APART_S = 0.001
LINGER_S = 0.02  # records for which nobody waits are gathered this long: fewer syncs in a storm of refusals
IDLE_S = 1.0  # an idle thread looks this often after its gauge and a broken disk
RETRY_INITIAL_S = 0.1
RETRY_MAX_S = 5.0
HANGS_AFTER_S = 1.0  # a disk that says neither yes nor no for so long takes nothing, as far as others are concerned
REFUSE_S = 1.0  # with disk and PostgreSQL both full or away, appends are refused at once for this long

Done = Callable[[bool], None]
_Group = tuple[list[Entry], int, Done | None]  # records, how much room they take framed, and who waits for them
_log = get_logger("spool")


class SpoolWriter:
    """The one writer of one slot's spool. `append` may be called from any thread."""

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes: int,
        bytes_max: int,
        handoff: Path | None = None,
        handoff_timeout_s: float = 1.0,
        mirror: Mirror | None = None,
        counters: CounterFile | None = None,
        write: Write = os.pwrite,
        sync: Sync = os.fdatasync,
    ) -> None:
        """Nothing is touched before `start`. The directory's name is the slot's."""
        if not SEGMENT_OCTETS_MIN <= segment_bytes <= SEGMENT_OCTETS_MAX:
            raise SpoolError(f"segment_bytes must lie in {SEGMENT_OCTETS_MIN}..{SEGMENT_OCTETS_MAX}")
        if bytes_max < 2 * segment_bytes:
            raise SpoolError("bytes_max must hold at least two segments")
        self._directory = directory
        self._appender = Appender(
            directory,
            slot=directory.name,
            segment_bytes=segment_bytes,
            bytes_max=bytes_max,
            write=write,
            sync=sync,
            copy=mirror.send if mirror is not None else None,
        )
        self._mirror = mirror
        self._batch_octets_max = min(BATCH_OCTETS_MAX, segment_bytes - HEADER_OCTETS)
        self._client = HandoffClient(handoff, timeout_s=handoff_timeout_s) if handoff is not None else None
        self._handoffs = 0
        self._counters = counters
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._pending: list[_Group] = []
        self._pending_records = self._pending_octets = 0
        self._waited_for = 0  # how many of the pending have somebody waiting
        self._is_more_coming = False
        self._is_idle = False
        self._began_s = 0.0  # the last batch
        self._is_stopping = False
        self._refuse_until_s = 0.0
        self._is_broken = False
        self._is_full = False
        self._is_taking = True
        self._at_work_since_s = 0.0  # 0: not with the disk or PostgreSQL
        self._look_at_s = 0.0
        self._retry_at_s = 0.0
        self._retry_after_s = RETRY_INITIAL_S
        self.thread_id: int | None = None  # the kernel's, of the thread that writes; None until it has looked
        self._thread = threading.Thread(target=self._run, name=f"spool-{directory.name}", daemon=True)

    def start(self) -> None:
        """Start the thread. A broken disk is no error here: it is tried again and again."""
        self._thread.start()
        if self._mirror is not None:
            self._mirror.start()

    def append(self, record: bytes, done: Done | None = None) -> bool:
        """Take a record; False if there is no room, and then `done` is never called.

        `done` is called in the writer's thread: True once the record is durable, False if it will never be.
        """
        return self.append_all((record,), done)

    def append_all(self, records: Sequence[bytes], done: Done | None, *, is_more_coming: bool = False) -> bool:
        """Take a group of records that become durable together or not at all; `done` is called once for all of them.

        `is_more_coming`: whoever appends will do so again at once, and the disk may wait a little for that.
        """
        longest = max(map(len, records))
        if longest > RECORD_OCTETS_MAX:
            raise SpoolError(f"a record of {longest} octets is longer than {RECORD_OCTETS_MAX}")
        octets = sum(map(len, records)) + OVERHEAD_OCTETS_MAX * len(records)
        if octets > GROUP_OCTETS_MAX:
            raise SpoolError(f"a group of {octets} octets is longer than {GROUP_OCTETS_MAX}")
        at_s = int(wall_s())
        group = ([(record, at_s) for record in records], octets, done)
        with self._lock:
            if (
                self._pending_records + len(records) > PENDING_RECORDS_MAX
                or self._pending_octets + octets > PENDING_OCTETS_MAX
                or self._is_stopping
                or (self._refuse_until_s and monotonic_s() < self._refuse_until_s)
            ):
                self._count("aaad_spool_records_refused_total|reason=full", len(records))
                return False
            self._pending.append(group)
            self._pending_records += len(records)
            self._pending_octets += octets
            if done is not None:
                self._waited_for += 1
                self._is_more_coming = is_more_coming
                if self._is_idle and (self._waited_for == 1 or not is_more_coming):
                    self._wake.notify()
            elif self._is_idle and len(self._pending) == 1:
                self._wake.notify()
        return True

    @property
    def is_taking(self) -> bool:
        """Whether a record would be stored now, on disk or in PostgreSQL, as far as the last try tells.

        What has not come to an end for long tells, too: a disk that hangs says no error.
        """
        since_s = self._at_work_since_s
        return self._is_taking and not (since_s and monotonic_s() - since_s > HANGS_AFTER_S)

    def stop(self, timeout_s: float) -> bool:
        """Write what waits, then end; False if that took longer than allowed."""
        with self._wake:
            self._is_stopping = True
            self._wake.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._guard(self._take_directory)
        self.thread_id = threading.get_native_id()
        while (batch := self._gather()) is not None:
            if batch:
                self._finish(batch, self._guard(lambda batch=batch: self._store(batch)))  # type: ignore[misc]
            self._guard(self._look_after)
        self._guard(self._end)

    def _end(self) -> bool:
        self._appender.close()
        if self._client is not None:
            self._client.close()
        if self._mirror is not None:
            self._mirror.close()
        return True

    def _guard(self, step: Callable[[], bool]) -> bool:
        """Our own bug must not end the thread: everybody would wait for ever."""
        self._at_work_since_s = monotonic_s()
        try:
            return step()
        except Exception:  # noqa: BLE001
            _log.exception("spool.bug", slot=self._directory.name)
            return False
        finally:
            self._at_work_since_s = 0.0

    def _gather(self) -> list[_Group] | None:
        """Wait for records and take a batch; empty after an idle while, None when stopped and all is written."""
        with self._wake:
            if not self._pending and not self._is_stopping:
                self._wait(IDLE_S)
            if self._pending and not self._waited_for and not self._is_stopping:
                self._wait(LINGER_S)
            if not self._pending:
                return None if self._is_stopping else []
            early_s = self._began_s + SYNCS_APART_S - monotonic_s()
            if self._is_more_coming and 0 < early_s <= SYNCS_APART_S and not self._is_stopping:
                self._wait(early_s)
            self._began_s = monotonic_s()
            return self._take()

    def _wait(self, timeout_s: float) -> None:
        self._is_idle = True
        self._wake.wait(timeout_s)
        self._is_idle = False

    def _take(self) -> list[_Group]:
        octets = records = count = waited_for = 0
        for entries, needed, done in self._pending:
            if records + len(entries) > BATCH_RECORDS_MAX or octets + needed > self._batch_octets_max:
                break
            octets += needed
            records += len(entries)
            count += 1
            waited_for += done is not None
        batch = self._pending[:count]
        del self._pending[:count]
        self._pending_records -= records
        self._pending_octets -= octets
        self._waited_for -= waited_for
        self._is_more_coming = False
        return batch

    def _finish(self, batch: list[_Group], is_stored: bool) -> None:
        self._is_taking = is_stored
        if not is_stored:
            self._count("aaad_spool_records_refused_total|reason=failed", sum([len(group[0]) for group in batch]))
        for _, _, done in batch:
            if done is not None:
                try:
                    done(is_stored)
                except Exception:  # noqa: BLE001  the caller's loop may be closed already
                    _log.exception("spool.bug", slot=self._directory.name)

    def _store(self, batch: list[_Group]) -> bool:
        """Put a batch on disk, else hand it over."""
        stored = [entry for entries, _, _ in batch for entry in entries]
        octets = sum([octets for _, octets, _ in batch])
        # The segment at hand may turn out broken: one fresh one is tried before the disk counts as broken.
        for _ in range(int(self._may_try()) if self._is_broken else 2):
            condemned = self._appender.condemned
            try:
                self._appender.append(stored, octets)
            except OSError as error:
                self._count("aaad_spool_segments_condemned_total", self._appender.condemned - condemned)
                self._note_broken(error)
            else:
                self._note_whole()
                if self._mirror is not None:
                    self._mirror.settle(len(stored), self._appender.tail)
                self._count("aaad_spool_records_appended_total", len(stored))
                self._count("aaad_spool_syncs_total")
                return True
        return self._hand_over(stored)

    def _may_try(self) -> bool:
        return monotonic_s() >= self._retry_at_s

    def _note_broken(self, error: OSError) -> None:
        self._count("aaad_spool_disk_failures_total")
        self._is_broken = True
        self._retry_at_s = monotonic_s() + self._retry_after_s
        self._retry_after_s = min(2 * self._retry_after_s, RETRY_MAX_S)
        self._is_full = error.errno in WITHOUT_ROOM
        _log.error("spool.condemned", slot=self._directory.name, error=str(error), tail=self._appender.tail.position)

    def _note_whole(self) -> None:
        if self._is_broken:
            _log.warning("spool.recovered", slot=self._directory.name, tail=self._appender.tail.position)
        self._is_broken = False
        self._retry_after_s = RETRY_INITIAL_S
        self._refuse_until_s = 0.0
        self._is_taking = True

    def _hand_over(self, stored: list[Entry]) -> bool:
        is_committed = self._client is not None and self._client.send(self._handoff(stored))
        if self._client is not None:
            self._count(f"aaad_spool_handoffs_total|outcome={'committed' if is_committed else 'failed'}")
        if not is_committed and self._is_full:
            self._refuse_until_s = monotonic_s() + REFUSE_S
        return is_committed

    def _handoff(self, stored: list[Entry]) -> Handoff:
        self._handoffs += 1
        cut = self._appender.cut
        return Handoff(
            # A spool whose very id cannot be read has written nothing in this life: any id does.
            spool_id=self._appender.spool_id or self._appender.life,
            life=self._appender.life,
            slot=self._directory.name,
            number=self._handoffs,
            segment=cut.position.segment,
            offset=cut.position.offset,
            last_segment=cut.last_segment,
            records=[record for record, _ in stored],
        )

    def _take_directory(self) -> bool:
        """Find the end of what lies there at the start, so that the drain may read it and trouble is told early."""
        try:
            self._appender.load()
        except OSError as error:
            self._note_broken(error)
        if self._mirror is None:
            with contextlib.suppress(OSError):  # what a mirror had may be gone by now
                forget_mirrored(self._directory)
        return True

    def _look_after(self) -> bool:
        """Try a broken disk although nothing is to be written; miss a folder that was removed; publish the gauge."""
        self._tell_removed()
        is_time = monotonic_s() >= self._look_at_s
        if is_time:
            self._look_at_s = monotonic_s() + IDLE_S
            self._look_at_place()
            if self._mirror is not None:
                self._mirror.look_after(self._appender.tail)
            self._publish_risk()
        if self._is_broken and self._may_try():
            try:
                self._appender.open_segment()
            except OSError as error:
                self._note_broken(error)
            else:
                self._note_whole()
        if is_time and self._is_broken:
            self._ask_sync()
        return True

    def _tell_removed(self) -> None:
        removed, self._appender.removed = self._appender.removed, 0
        if removed:
            self._count("aaad_spool_segments_removed_total", removed)
            _log.warning("spool.segments_removed", slot=self._directory.name, segments=removed, why="no room")

    def _ask_sync(self) -> None:
        """Find out by an empty batch whether sync would commit one: what asks whether we serve is told the truth."""
        self._is_taking = self._client is not None and self._client.send(self._handoff([]))
        if self._is_taking:
            self._refuse_until_s = 0.0

    def _look_at_place(self) -> None:
        if not self._is_broken and not self._appender.is_in_place:
            self._note_broken(OSError(errno.ESTALE, "the spool's files were removed"))
            self._retry_at_s = 0.0

    def _publish_risk(self) -> None:
        if self._counters is not None:
            with contextlib.suppress(OSError):  # the number is only a gauge
                self._set("aaad_spool_records_at_risk", self._records_at_risk())

    def _records_at_risk(self) -> int:
        drained = read_drained(self._directory)
        safe = drained.next_sequence if drained is not None else 0
        if self._mirror is not None:
            safe = max(safe, self._mirror.safe.next_sequence)
        return max(0, self._appender.tail.next_sequence - safe)

    def _count(self, name: str, amount: int = 1) -> None:
        if self._counters is not None:
            self._counters.add(name, amount)

    def _set(self, name: str, value: int) -> None:
        if self._counters is not None:
            self._counters.set(name, value)
