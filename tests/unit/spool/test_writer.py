"""The writer: rule R6. Nothing is said to be safe that is not; a broken disk is left and taken up again."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest
from spool_disk import SEGMENT_BYTES, Answers, Disk, drained, newest, put, segments, writer

from aaad.errors import SpoolError
from aaad.metrics import CounterFile
from aaad.spool import writer as writer_module
from aaad.spool.directory import has_writer, read_header, read_tail, segment_numbers, segment_path, write_drained
from aaad.spool.reader import SpoolReader
from aaad.spool.retention import FOR_SURE_S, mark_drained
from aaad.spool.segment import HEADER_OCTETS, RECORD_OCTETS_MAX, Position, Tail, frame_octets
from aaad.spool.writer import SPOOL_COUNTERS, SpoolWriter


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "radius-0"


@pytest.fixture
def disk():
    return Disk()


def names(start: int, end: int) -> list[bytes]:
    return [b"record %d" % number for number in range(start, end)]


def test_an_acknowledged_record_can_be_read(directory):
    spool = writer(directory)
    assert put(spool, names(0, 5)) == dict.fromkeys(names(0, 5), True)
    assert drained(directory)[0] == names(0, 5)
    assert spool.stop(5)


def test_it_names_the_thread_that_writes_once_what_lies_there_was_looked_at(directory, monkeypatch):
    go_on, threads = threading.Event(), []
    monkeypatch.setattr("aaad.spool.appender.Appender.load", lambda _: go_on.wait(10))
    spool = writer(directory)
    spool.append(b"a", lambda _: threads.append(threading.get_native_id()))
    assert spool.thread_id is None
    go_on.set()
    assert spool.stop(10)
    assert threads == [spool.thread_id]


def test_records_come_in_order_over_many_segments(directory):
    spool = writer(directory)
    records = [b"%06d" % number + b"x" * 9_000 for number in range(40)]
    put(spool, records)
    spool.stop(5)
    assert len(segments(directory)) > 4
    assert drained(directory)[0] == records


def test_all_that_wait_share_one_sync(directory, disk):
    spool, answers = writer(directory, disk), Answers()
    put(spool, [b"first"])
    disk.gate.clear()
    spool.append(b"holds the disk", answers.of(b"holds the disk"))
    time.sleep(0.05)
    before = disk.syncs
    for record in names(0, 500):
        assert spool.append(record, answers.of(record))
    disk.gate.set()
    answers.wait(501)
    assert disk.syncs - before <= 2
    spool.stop(5)


def test_nothing_is_acknowledged_before_the_sync(directory, disk):
    spool, answers = writer(directory, disk), Answers()
    put(spool, [b"first"])
    disk.gate.clear()
    spool.append(b"waits", answers.of(b"waits"))
    time.sleep(0.1)
    assert answers.said == {}
    assert drained(directory)[0] == [b"first"]  # nor may it be drained
    disk.gate.set()
    assert answers.wait(1) == {b"waits": True}
    spool.stop(5)


def test_records_that_nobody_waits_for_are_gathered(directory, disk):
    spool = writer(directory, disk)
    put(spool, [b"first"])
    before = disk.syncs
    for record in names(0, 50):
        spool.append(record)
    spool.stop(5)
    assert drained(directory)[0] == [b"first", *names(0, 50)]
    assert disk.syncs - before <= 3


def test_the_disk_waits_only_while_more_is_said_to_come(directory, disk, monkeypatch):
    monkeypatch.setattr(writer_module, "SYNCS_APART_S", 60.0)
    spool, answers = writer(directory, disk), Answers()
    put(spool, names(0, 3))  # one after the other, and none is kept waiting
    before = disk.syncs
    for group in (names(3, 5), names(5, 7)):
        assert spool.append_all(group, answers.of(group[0]), is_more_coming=True)
    time.sleep(0.05)
    assert (answers.said, disk.syncs) == ({}, before)
    assert spool.append_all(names(7, 9), answers.of(b"the last"))
    assert answers.wait(3) == dict.fromkeys((b"record 3", b"record 5", b"the last"), True)
    assert disk.syncs == before + 1
    assert drained(directory)[0] == names(0, 9)
    spool.stop(5)


def test_more_that_does_not_come_is_not_waited_for_long(directory, disk, monkeypatch):
    monkeypatch.setattr(writer_module, "SYNCS_APART_S", 0.05)
    spool, answers = writer(directory, disk), Answers()
    for number in range(5):
        assert spool.append_all([b"%d" % number], answers.of(b"%d" % number), is_more_coming=True)
        answers.wait(number + 1)
    assert spool.append_all([b"the end"], answers.of(b"the end"), is_more_coming=True)
    assert spool.stop(5)
    assert drained(directory)[0] == [b"0", b"1", b"2", b"3", b"4", b"the end"]


def test_a_group_is_told_once_and_refused_whole(directory, disk):
    counters = CounterFile(directory.parent / "slot.cnt", SPOOL_COUNTERS)
    spool, answers = writer(directory, disk, counters=counters), Answers()
    assert spool.append_all(names(0, 5), answers.of(b"first"))
    assert answers.wait(1) == {b"first": True}
    disk.sync_error = errno.EIO
    assert spool.append_all(names(5, 9), answers.of(b"second"))
    assert answers.wait(2) == {b"first": True, b"second": False}
    assert drained(directory)[0] == names(0, 5)
    assert counters.cells[counters.index["aaad_spool_records_refused_total|reason=failed"]] == 4
    assert counters.cells[counters.index["aaad_spool_records_appended_total"]] == 5
    spool.stop(5)


def test_a_group_stands_in_one_segment_or_is_refused_at_once(directory):
    spool, answers = writer(directory), Answers()
    group = [b"%d" % number * 12_000 for number in range(4)]
    for number in range(5):
        assert spool.append_all(group, answers.of(b"%d" % number))
        answers.wait(number + 1)
    assert drained(directory)[0] == 5 * group
    assert segment_numbers(directory) == [1, 2, 3, 4, 5]
    with pytest.raises(SpoolError, match="group"):
        spool.append_all([*group, group[0], group[0]], answers.of(b"too long"))
    assert put(spool, [b"goes on"])
    spool.stop(5)


def test_r6_2_a_failed_sync_condemns_its_segment(directory, disk):
    """The batch is not retried on the same file; a fresh segment cuts off what stands there."""
    spool = writer(directory, disk)
    put(spool, names(0, 3))
    condemned = segment_path(directory, 1)
    end = read_tail(directory).position.offset
    disk.sync_error, disk.sync_errors_left = errno.EIO, 1
    put(spool, [b"after the failure"])
    assert segment_numbers(directory) == [1, 2]
    assert read_header(directory, 2).previous == (1, end)
    assert condemned.stat().st_size == end
    put(spool, names(3, 5))
    assert segment_numbers(directory) == [1, 2]
    assert drained(directory)[0] == [*names(0, 3), b"after the failure", *names(3, 5)]
    spool.stop(5)


def test_r6_2_octets_of_a_condemned_batch_never_come_out(directory, disk, monkeypatch):
    monkeypatch.setattr("aaad.spool.appender.Appender._release_unused", lambda *_: None)  # the tidying fails too
    spool = writer(directory, disk)
    put(spool, names(0, 3))
    disk.sync_error, disk.sync_errors_left = errno.EIO, 1
    put(spool, [b"once"])
    spool.stop(5)
    assert b"once" in segment_path(directory, 1).read_bytes()
    assert drained(directory)[0] == [*names(0, 3), b"once"]


def test_a_partly_written_batch_is_cut_off(directory, disk):
    spool = writer(directory, disk)
    put(spool, names(0, 3))
    disk.part_octets = 20
    answers = Answers()
    spool.append(b"torn", answers.of(b"torn"))
    assert answers.wait(1) == {b"torn": False}  # the fresh segment fails as well, nobody to hand over to
    disk.write_error = None
    time.sleep(writer_module.RETRY_INITIAL_S * 2.5)
    put(spool, [b"whole"])
    payloads, batches = drained(directory)
    assert payloads == [*names(0, 3), b"whole"]
    assert not any(batch.damages for batch in batches)
    spool.stop(5)


def test_a_broken_disk_refuses_and_is_taken_up_again(directory, disk):
    counters = CounterFile(directory.parent / "slot.cnt", SPOOL_COUNTERS)
    spool = writer(directory, disk, counters=counters)
    put(spool, [b"before"])
    disk.sync_error = errno.EIO
    assert put(spool, [b"lost"]) == {b"lost": False}
    disk.sync_error = None
    time.sleep(writer_module.RETRY_INITIAL_S * 2.5)
    assert put(spool, [b"after"]) == {b"after": True}
    spool.stop(5)
    assert drained(directory)[0] == [b"before", b"after"]
    assert counters.cells[counters.index["aaad_spool_records_refused_total|reason=failed"]] == 1
    assert counters.cells[counters.index["aaad_spool_records_appended_total"]] == 2
    assert counters.cells[counters.index["aaad_spool_segments_condemned_total"]] >= 1


def test_a_broken_disk_is_taken_up_without_traffic(directory, disk, monkeypatch):
    monkeypatch.setattr(writer_module, "IDLE_S", 0.05)
    spool = writer(directory, disk)
    put(spool, [b"before"])
    disk.sync_error = errno.EIO
    put(spool, [b"lost"])
    disk.sync_error = None
    deadline = time.monotonic() + 5
    while segment_numbers(directory) == [1]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    spool.stop(5)


def test_a_directory_that_cannot_be_made_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "IDLE_S", 0.05)
    (tmp_path / "spool").write_text("in the way")
    spool = writer(tmp_path / "spool" / "radius-0")
    assert put(spool, [b"lost"]) == {b"lost": False}
    (tmp_path / "spool").unlink()
    time.sleep(0.5)
    assert put(spool, [b"stored"]) == {b"stored": True}
    spool.stop(5)


def test_the_retries_of_a_broken_disk_leave_no_files_behind(directory, disk, monkeypatch):
    monkeypatch.setattr(writer_module, "RETRY_INITIAL_S", 0.0)
    monkeypatch.setattr(writer_module, "RETRY_MAX_S", 0.0)
    spool = writer(directory, disk)
    spool._retry_after_s = 0.0
    put(spool, [b"before"])
    disk.sync_error = errno.EIO
    put(spool, names(0, 20))
    deadline = time.monotonic() + 5  # what is refused is told before its files are gone
    while (directory / "fresh").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not (directory / "fresh").exists()
    assert segments(directory) == ["0000000001.segment"]
    disk.sync_error = None
    put(spool, [b"after"])
    spool.stop(5)
    assert drained(directory)[0] == [b"before", b"after"]


def test_a_full_directory_refuses_and_counts(directory):
    counters = CounterFile(directory.parent / "slot.cnt", SPOOL_COUNTERS)
    spool = writer(directory, bytes_max=2 * SEGMENT_BYTES, counters=counters)
    answers, record = Answers(), b"x" * 8_000
    for number in range(40):
        key = record + b"%d" % number
        if spool.append(key, answers.of(key)):
            answers.wait(len(answers.said) + 1)
    stored = [key for key, is_stored in answers.said.items() if is_stored]
    assert 10 < len(stored) < 20
    assert not spool.append(b"no room")
    assert drained(directory)[0] == stored
    assert sum(path.stat().st_size for path in directory.glob("*.segment")) <= 2 * SEGMENT_BYTES
    assert counters.cells[counters.index["aaad_spool_records_refused_total|reason=full"]] >= 20
    segment_path(directory, 1).unlink()  # the drain makes room
    time.sleep(writer_module.REFUSE_S * 1.3)
    assert put(spool, [b"room again"]) == {b"room again": True}
    spool.stop(5)


def fill_with_drained(directory, count: int, *, age_s: float, upto: int | None = None) -> None:
    """Leave segments of which all is in PostgreSQL since so long, up to where the drain says that it is."""
    for number in range(count):
        spool = writer(directory)
        put(spool, [b"drained %d" % number])
        spool.stop(5)
    for number in segment_numbers(directory):
        os.truncate(segment_path(directory, number), SEGMENT_BYTES)
        mark_drained(directory, number, now_s=time.time() - age_s)
    write_drained(directory, Tail(Position(upto or count + 1, HEADER_OCTETS), count))


def test_drained_segments_give_way_before_anything_is_refused(directory):
    """The drain removes them, but not while PostgreSQL is away: then the room is needed most."""
    fill_with_drained(directory, 3, age_s=FOR_SURE_S + 60)
    counters = CounterFile(directory.parent / "slot.cnt", SPOOL_COUNTERS)
    spool = writer(directory, bytes_max=4 * SEGMENT_BYTES, counters=counters)
    records = [b"%02d" % number + b"x" * 9_000 for number in range(20)]
    assert all(put(spool, records).values())
    spool.stop(5)
    assert segment_numbers(directory)[:2] == [3, 4]  # the oldest go, and no more of them than must
    assert drained(directory, start=Position(4, HEADER_OCTETS))[0] == records
    assert counters.cells[counters.index["aaad_spool_segments_removed_total"]] == 2


def test_drained_segments_give_way_on_a_full_disk(directory, monkeypatch):
    fill_with_drained(directory, 3, age_s=FOR_SURE_S + 60)
    allocate = os.posix_fallocate

    def allocate_in_little_room(descriptor: int, offset: int, length: int) -> None:
        if len(segments(directory)) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        allocate(descriptor, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", allocate_in_little_room)
    spool = writer(directory)
    assert put(spool, [b"in time"]) == {b"in time": True}
    spool.stop(5)
    assert segment_numbers(directory) == [3, 4]


@pytest.mark.parametrize(("age_s", "upto"), [(5.0, None), (7_200.0, 1)], ids=["just drained", "cursor went back"])
def test_r6_1_what_a_failover_may_want_again_never_gives_way_to_the_writer(directory, age_s, upto):
    fill_with_drained(directory, 3, age_s=age_s, upto=upto)
    spool = writer(directory, bytes_max=3 * SEGMENT_BYTES)
    assert put(spool, [b"no room"]) == {b"no room": False}
    spool.stop(5)
    assert segment_numbers(directory) == [1, 2, 3]


def test_r3_2_a_disk_that_hangs_takes_nothing(directory, disk, monkeypatch):
    """It says no error, and answers nobody: who asks whether we serve must not be told yes."""
    monkeypatch.setattr(writer_module, "HANGS_AFTER_S", 0.05)
    spool, answers = writer(directory, disk), Answers()
    put(spool, [b"first"])
    time.sleep(0.1)
    assert spool.is_taking  # idle is not hanging
    disk.gate.clear()
    spool.append(b"waits", answers.of(b"waits"))
    wait_for(lambda: not spool.is_taking)
    assert answers.said == {}
    disk.gate.set()
    assert answers.wait(1) == {b"waits": True}
    wait_for(lambda: spool.is_taking)
    spool.stop(5)


def test_the_waiting_records_are_bounded(directory, disk):
    spool, answers = writer(directory, disk), Answers()
    put(spool, [b"first"])
    disk.gate.clear()
    taken = sum(spool.append(b"x" * 1000) for _ in range(writer_module.PENDING_RECORDS_MAX + 100))
    assert taken < writer_module.PENDING_RECORDS_MAX
    assert taken * 1000 <= writer_module.PENDING_OCTETS_MAX + 2 * writer_module.BATCH_OCTETS_MAX
    disk.gate.set()
    assert spool.stop(20)
    assert len(drained(directory, records_max=1000)[0]) == taken + 1
    assert answers.said == {}


def test_the_records_of_waiting_groups_are_bounded(directory, disk):
    spool, answers = writer(directory, disk), Answers()
    put(spool, [b"first"])
    disk.gate.clear()
    group = [b"x"] * 1000
    taken = sum(spool.append_all(group, answers.of(b"%d" % number)) for number in range(40))
    assert taken * 1000 > writer_module.PENDING_RECORDS_MAX - 1000
    assert taken * 1000 <= writer_module.PENDING_RECORDS_MAX + writer_module.BATCH_RECORDS_MAX
    disk.gate.set()
    assert spool.stop(20)
    assert len(drained(directory, records_max=1000)[0]) == taken * 1000 + 1
    assert len(answers.said) == taken


def test_a_record_that_is_too_long_is_refused_at_once(directory):
    spool = writer(directory)
    with pytest.raises(SpoolError, match="longer"):
        spool.append(b"x" * (RECORD_OCTETS_MAX + 1))
    assert put(spool, [b"x" * RECORD_OCTETS_MAX])
    spool.stop(5)


@pytest.mark.parametrize("segment_bytes", [HEADER_OCTETS, 1 << 33])
def test_a_segment_size_that_cannot_work_is_refused(directory, segment_bytes):
    with pytest.raises(SpoolError, match="segment_bytes"):
        SpoolWriter(directory, segment_bytes=segment_bytes, bytes_max=1 << 30)


def test_a_bound_below_two_segments_is_refused(directory):
    with pytest.raises(SpoolError, match="two segments"):
        SpoolWriter(directory, segment_bytes=SEGMENT_BYTES, bytes_max=SEGMENT_BYTES)


def test_stop_writes_what_waits(directory):
    spool = writer(directory)
    for record in names(0, 1000):
        spool.append(record)
    assert spool.stop(5)
    assert drained(directory, records_max=100)[0] == names(0, 1000)
    assert not spool.append(b"too late")
    assert not has_writer(directory)


def test_a_callers_bug_does_not_end_the_thread(directory):
    spool, answers = writer(directory), Answers()

    def bug(_: bool) -> None:
        raise RuntimeError("the caller's loop is closed")

    spool.append(b"one", bug)
    assert put(spool, [b"two"], answers) == {b"two": True}
    spool.stop(5)


def test_a_new_life_never_appends_to_an_old_segment(directory):
    first = writer(directory)
    put(first, names(0, 3))
    first.stop(5)
    before = segment_path(directory, 1).read_bytes()
    second = writer(directory)
    put(second, names(3, 6))
    second.stop(5)
    assert segment_path(directory, 1).read_bytes() == before
    assert segment_numbers(directory) == [1, 2]
    assert read_header(directory, 1).life != read_header(directory, 2).life
    assert drained(directory)[0] == names(0, 6)


def test_the_sequence_goes_on_over_lives(directory):
    for start in (0, 3, 6):
        spool = writer(directory)
        put(spool, names(start, start + 3))
        spool.stop(5)
    _, batches = drained(directory)
    assert [frame.sequence for batch in batches for frame in batch.frames] == list(range(9))


def test_the_spools_id_stays(directory):
    ids = set()
    for _ in range(3):
        spool = writer(directory)
        put(spool, [b"x"])
        spool.stop(5)
        ids.add(SpoolReader(directory).spool_id)
    assert len(ids) == 1


def test_a_lost_id_file_is_made_again_from_a_header(directory):
    spool = writer(directory)
    put(spool, names(0, 2))
    spool.stop(5)
    spool_id = SpoolReader(directory).spool_id
    (directory / "spool_id").unlink()
    assert SpoolReader(directory).spool_id == spool_id
    spool = writer(directory)
    put(spool, names(2, 3))
    spool.stop(5)
    assert (directory / "spool_id").read_text().strip() == str(spool_id)
    assert drained(directory)[0] == names(0, 3)


def test_two_writers_of_one_directory_never_write_both(directory):
    first = writer(directory)
    put(first, [b"first"])
    second = writer(directory)
    assert put(second, [b"second"]) == {b"second": False}
    first.stop(5)
    second.stop(5)
    assert drained(directory)[0] == [b"first"]


def test_the_gauge_of_records_at_risk_counts_what_is_undrained(directory, monkeypatch):
    monkeypatch.setattr(writer_module, "IDLE_S", 0.02)
    counters = CounterFile(directory.parent / "slot.cnt", SPOOL_COUNTERS)
    spool = writer(directory, counters=counters)
    put(spool, names(0, 7))
    time.sleep(0.2)
    assert counters.cells[counters.index["aaad_spool_records_at_risk"]] == 7
    spool.stop(5)


def power_cut(directory, durable_end: int, *, torn: bool) -> None:
    """What a power cut may leave of the newest segment: nothing, or anything, behind the last sync."""
    path = newest(directory)
    data = bytearray(path.read_bytes())
    for block in range(durable_end // 512 * 512, len(data), 512):
        if not torn or block // 512 % 2:
            data[max(block, durable_end) : block + 512] = bytes(len(data[max(block, durable_end) : block + 512]))
    path.write_bytes(data)


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize("stale_tail", [False, True])
def test_after_a_power_cut_every_acknowledged_record_is_there(directory, disk, torn, stale_tail):
    """Nothing behind the last sync is promised, and the tail file may be as old as it likes."""
    spool, answers = writer(directory, disk), Answers()
    put(spool, names(0, 4))
    old_tail = (directory / "tail").read_bytes()
    put(spool, names(4, 8))
    durable = read_tail(directory).position.offset
    disk.gate.clear()
    for record in names(100, 140):
        spool.append(record, answers.of(record))
    time.sleep(0.1)
    assert answers.said == {}
    snapshot = directory.parent / "after" / "radius-0"
    shutil.copytree(directory, snapshot)
    if stale_tail:
        (snapshot / "tail").write_bytes(old_tail)
    power_cut(snapshot, durable, torn=torn)
    second = writer(snapshot)
    put(second, [b"new life"])
    second.stop(5)
    payloads, _ = drained(snapshot)
    assert [payload for payload in payloads if payload not in names(100, 140)] == [*names(0, 8), b"new life"]
    assert len(set(payloads)) == len(payloads)
    disk.gate.set()
    spool.stop(5)


@pytest.mark.parametrize("moves", [False, True])
def test_a_removed_folder_is_missed_at_once_and_begun_anew(directory, moves):
    spool = writer(directory)
    put(spool, names(0, 3))
    old_id = SpoolReader(directory).spool_id
    if moves:
        directory.rename(directory.with_name("elsewhere"))
        wait_for(directory.exists)
    else:
        shutil.rmtree(directory)
    records = [b"%04d" % number + bytes(9000) for number in range(20)]  # over several segments
    assert put(spool, records) == dict.fromkeys(records, True)
    assert SpoolReader(directory).spool_id != old_id
    assert drained(directory)[0] == records, "all that was acknowledged since is there"
    assert has_writer(directory)
    spool.stop(5)


def test_a_removed_folder_is_missed_without_any_record_and_told(directory, tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "IDLE_S", 0.05)
    counters = CounterFile(tmp_path / "counters", SPOOL_COUNTERS)
    spool = writer(directory, counters=counters)
    put(spool, names(0, 3))
    shutil.rmtree(directory)
    wait_for(lambda: directory.exists() and segments(directory) == ["0000000001.segment"])
    assert counters.cells[counters.index["aaad_spool_disk_failures_total"]] == 1
    put(spool, [b"after"])
    spool.stop(5)
    assert drained(directory)[0] == [b"after"]


@pytest.mark.parametrize("name", ["0000000001.segment", "tail", "spool_id"])
def test_one_removed_file_costs_no_more_than_itself(directory, name):
    spool = writer(directory)
    put(spool, names(0, 3))
    (directory / name).unlink()
    put(spool, names(3, 6))
    spool.stop(5)
    assert drained(directory)[0] == names(3 if name.endswith("segment") else 0, 6)


def wait_for(is_so) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


_FULL_DISK = """
import sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from spool_disk import Answers, drained, put, writer
from aaad.spool.directory import segment_path
directory = Path(sys.argv[1]) / "radius-0"
spool, answers, stored = writer(directory), Answers(), []
filler = (directory.parent / "filler").open("wb")
put(spool, [b"before"], answers)
try:
    while True:
        filler.write(bytes(4096)); filler.flush()
except OSError:
    pass
for number in range(20):
    record = b"%d" % number + bytes(8000)
    if spool.append(record, answers.of(record)):
        answers.wait(len(answers.said) + 1)
assert not all(answers.said.values()), "a full disk takes everything"
filler.truncate(0); filler.close()
time.sleep(1.5)
put(spool, [b"after"], answers)
assert answers.said[b"after"], "the disk has room again"
spool.stop(5)
assert drained(directory)[0] == [record for record, is_stored in answers.said.items() if is_stored]
print("ok", sum(answers.said.values()), "of", len(answers.said))
"""


def test_a_full_file_system_refuses_and_recovers(tmp_path):
    """A real file system of 400 KiB, in a mount namespace of its own."""
    command = f'mount -t tmpfs -o size=400k none "{tmp_path}" && exec "$@"'
    here = os.path.dirname(__file__)
    flags = ["-m"] if os.getuid() == 0 else ["-r", "-m"]
    mounted = subprocess.run(["unshare", *flags, "sh", "-c", command, "sh", "true"], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no mount namespace of our own here, a full file system is NOT tested: {mounted.stderr!r}")
    result = subprocess.run(
        ["unshare", *flags, "sh", "-c", command, "sh", sys.executable, "-c", _FULL_DISK, str(tmp_path), here],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("ok")


def test_frames_take_little_room():
    assert frame_octets(60) == 88
