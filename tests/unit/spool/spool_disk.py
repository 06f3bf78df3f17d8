"""A disk that fails when told: the writer's own edge, and what a power cut leaves of a directory."""

import errno
import os
import threading
import time
from pathlib import Path

from aaad.spool.directory import SUFFIX, segment_numbers, segment_path
from aaad.spool.reader import SpoolReader
from aaad.spool.segment import START, Cut, Position
from aaad.spool.writer import SpoolWriter

SEGMENT_BYTES = 1 << 16


class Disk:
    """pwrite and fdatasync that fail while a test says so, and remember what was made durable."""

    def __init__(self) -> None:
        self.write_error: int | None = None
        self.sync_error: int | None = None
        self.sync_errors_left: int | None = None  # None: as long as sync_error is set
        self.part_octets: int | None = None  # write only so much of the next batch, then fail
        self.syncs = 0
        self.writes = 0
        self.gate = threading.Event()
        self.gate.set()

    def write(self, descriptor: int, data: bytes, offset: int) -> int:
        self.writes += 1
        if self.part_octets is not None:
            os.pwrite(descriptor, data[: self.part_octets], offset)
            self.part_octets, self.write_error = None, errno.EIO
        if self.write_error is not None:
            raise OSError(self.write_error, os.strerror(self.write_error))
        return os.pwrite(descriptor, data, offset)

    def sync(self, descriptor: int) -> None:
        self.gate.wait(10)
        self.syncs += 1
        if self.sync_error is not None:
            if self.sync_errors_left is not None:
                self.sync_errors_left -= 1
                if self.sync_errors_left < 0:
                    self.sync_error = None
            if self.sync_error is not None:
                raise OSError(self.sync_error, os.strerror(self.sync_error))
        os.fdatasync(descriptor)


class Answers:
    """Collects what the writer says of each record."""

    def __init__(self) -> None:
        self.said: dict[bytes, bool] = {}

    def of(self, record: bytes):
        def done(is_stored: bool) -> None:
            assert record not in self.said, "a record is answered once"
            self.said[record] = is_stored

        return done

    def wait(self, count: int, *, limit_s: float = 10) -> dict[bytes, bool]:
        deadline = time.monotonic() + limit_s
        while len(self.said) < count:
            assert time.monotonic() < deadline, f"{len(self.said)} of {count} answered"
            time.sleep(0.002)
        return self.said


def writer(directory: Path, disk: Disk | None = None, **changes) -> SpoolWriter:
    settings = {"segment_bytes": SEGMENT_BYTES, "bytes_max": 1 << 30}
    if disk is not None:
        settings |= {"write": disk.write, "sync": disk.sync}
    made = SpoolWriter(directory, **(settings | changes))
    made.start()
    return made


def put(spool: SpoolWriter, records: list[bytes], answers: Answers | None = None) -> dict[bytes, bool]:
    """Append one by one, each waited for."""
    answers = answers or Answers()
    for record in records:
        before = len(answers.said)
        assert spool.append(record, answers.of(record))
        answers.wait(before + 1)
    return answers.said


def drained(directory: Path, *, start: Position = START, cuts: tuple[Cut, ...] = (), records_max: int = 3):
    """Read all there is, in small batches; returns (payloads, batches)."""
    reader, payloads, batches = SpoolReader(directory), [], []
    position = start
    while True:
        batch = reader.read(position, records_max=records_max, cuts=cuts)
        batches.append(batch)
        payloads += [frame.payload for frame in batch.frames]
        if batch.next == position:
            reader.close()
            return payloads, batches
        position = batch.next


def newest(directory: Path) -> Path:
    return segment_path(directory, segment_numbers(directory)[-1])


def segments(directory: Path) -> list[str]:
    return sorted(name for name in os.listdir(directory) if name.endswith(SUFFIX))
