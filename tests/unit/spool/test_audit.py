"""Walking a whole spool: what is whole, damaged, missing, given up; nothing is changed beside a living writer."""

import os
from itertools import count

import pytest
from spool_disk import SEGMENT_BYTES, Disk, put, writer

from aaad.errors import SpoolError
from aaad.spool.audit import Audit, spool_octets, spool_slots, walk
from aaad.spool.directory import read_tail, segment_numbers, segment_path, write_drained
from aaad.spool.records import LoginRefused, encode
from aaad.spool.segment import FRAME_OCTETS, HEADER_OCTETS, Position, Tail

numbers = count(1)


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "radius-0"


def records(how_many: int, padding: int = 0) -> list[bytes]:
    """Each another one, of one size."""
    return [
        encode(LoginRefused(1_000_000 + next(numbers), "x" * padding, 29_000_000, 1)) for _number in range(how_many)
    ]


def audited(directory):
    audit = Audit(directory)
    for piece in walk(directory):
        audit.add(piece)
    return audit.reports()


def change(path, offset, octets):
    descriptor = os.open(path, os.O_WRONLY)
    os.pwrite(descriptor, octets, offset)
    os.close(descriptor)


def state_of(directory):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(directory.iterdir())}


def test_what_is_whole_is_whole_and_nothing_is_changed_beside_a_living_writer(directory):
    spool = writer(directory)
    put(spool, records(20))
    before = state_of(directory)
    (report,) = audited(directory)
    assert report.is_whole
    assert (report.number, report.records, report.undrained, report.is_given_up) == (1, 20, 20, False)
    assert state_of(directory) == before
    put(spool, records(1))  # and it goes on writing
    assert audited(directory)[0].records == 21
    spool.stop(5)


def test_a_record_with_a_wrong_checksum_is_damage_and_its_number_is_missing(directory):
    for _life in range(2):
        spool = writer(directory)
        put(spool, records(3))
        spool.stop(5)
    change(segment_path(directory, 1), HEADER_OCTETS + FRAME_OCTETS + 2, b"\xff")
    first, second = audited(directory)
    assert not first.is_whole
    assert len(first.damages) == 1
    assert (first.records, first.missing) == (2, 0)  # the first of all: nobody knows how many were before
    change(segment_path(directory, 2), HEADER_OCTETS + FRAME_OCTETS + 2, b"\xff")
    _first, second = audited(directory)
    assert (second.records, second.missing, len(second.damages)) == (2, 1, 1)


def test_a_damaged_header_is_told_and_the_records_behind_it_are_read(directory):
    for _life in range(2):
        spool = writer(directory)
        put(spool, records(3))
        spool.stop(5)
    change(segment_path(directory, 1), 0, b"\xff")
    first, second = audited(directory)
    assert first.is_header_damaged
    assert not first.is_whole
    assert [first.records, second.records] == [3, 3]
    assert second.is_whole


def test_whole_records_that_this_version_cannot_read_are_counted(directory):
    spool = writer(directory)
    put(spool, [*records(1), b"\x92\xcc\xfe\x01", *records(1)])
    spool.stop(5)
    (report,) = audited(directory)
    assert (report.records, report.unreadable, report.is_whole) == (3, 1, False)


def test_a_segment_that_its_writer_gave_up_counts_for_nothing_and_is_no_damage(directory):
    disk = Disk()
    spool = writer(directory, disk)
    put(spool, records(1))
    disk.sync_error, disk.sync_errors_left = 5, 2
    assert not all(put(spool, records(1)).values())
    disk.sync_error = None
    while not all(put(spool, records(1)).values()):
        pass
    spool.stop(5)
    reports = audited(directory)
    assert all(report.is_whole for report in reports)
    assert sum(report.records for report in reports) == 2
    assert [report.number for report in reports] == segment_numbers(directory)


def test_what_is_drained_as_far_as_the_files_know(directory):
    spool = writer(directory)
    put(spool, records(4))
    spool.stop(5)
    second = next(walk(directory)).records[1].frame
    write_drained(directory, Tail(Position(1, second.end), 2))
    assert [placed.is_drained for placed in next(walk(directory)).records] == [True, True, False, False]
    assert audited(directory)[0].undrained == 2


def test_a_spool_of_several_segments_is_walked_whole_and_the_way_is_known_before(directory):
    spool = writer(directory)
    put(spool, records(30, 8000))
    spool.stop(5)
    assert len(segment_numbers(directory)) > 2
    pieces = list(walk(directory))
    assert sum(len(piece.records) for piece in pieces) == 30
    assert sum(piece.octets for piece in pieces) <= spool_octets(directory) <= SEGMENT_BYTES * 5
    tail = read_tail(directory)
    assert tail is not None
    assert pieces[-1].segment == tail.position.segment


def test_segments_that_are_removed_meanwhile_are_passed_over(directory):
    spool = writer(directory)
    put(spool, records(30, 8000))
    spool.stop(5)
    audit = Audit(directory)
    pieces = walk(directory)
    audit.add(next(pieces))
    segment_path(directory, 1).unlink()
    segment_path(directory, 2).unlink()
    for piece in pieces:
        audit.add(piece)
    assert [report.number for report in audit.reports()] == segment_numbers(directory)


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(SpoolError, match="No such file"):
        spool_slots(tmp_path / "spool")
    (tmp_path / "radius-0").mkdir()
    assert spool_slots(tmp_path) == ["radius-0"]
    assert list(tmp_path.iterdir()) == [tmp_path / "radius-0"]
