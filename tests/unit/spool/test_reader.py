"""Reading a spool: up to what is durable, over damage, gaps and segments that were given up."""

import errno
import os
from uuid import uuid4

import pytest
from spool_disk import drained, put, writer

from aaad.errors import SpoolError
from aaad.spool import directory as directory_module
from aaad.spool.directory import HEADER_OCTETS, read_header, read_tail, segment_path
from aaad.spool.reader import SpoolReader
from aaad.spool.segment import START, Cut, Damage, Position, encode_header


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "radius-0"


def fill(directory, lives: list[list[bytes]]) -> None:
    for records in lives:
        spool = writer(directory)
        put(spool, records)
        spool.stop(5)


def change(path, offset: int, octets: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    os.pwrite(descriptor, octets, offset)
    os.close(descriptor)


def test_a_directory_without_a_spool_is_refused(tmp_path):
    with pytest.raises(SpoolError, match="no spool"):
        SpoolReader(tmp_path)


def test_a_spool_without_records_gives_an_empty_batch(directory):
    writer(directory).stop(5)
    assert SpoolReader(directory).read(START, records_max=9) == (0, START, [], [], False)


def test_reading_goes_on_where_it_was_left(directory):
    fill(directory, [[b"a", b"b", b"c"], [b"d"]])
    reader = SpoolReader(directory)
    first = reader.read(START, records_max=2)
    assert [frame.payload for frame in first.frames] == [b"a", b"b"]
    second = reader.read(first.next, records_max=2)
    assert [frame.payload for frame in second.frames] == [b"c"]  # a batch never spans two segments
    third = reader.read(second.next, records_max=2)
    assert [frame.payload for frame in third.frames] == [b"d"]
    assert reader.read(third.next, records_max=2).next == third.next
    reader.close()


def test_a_reader_follows_a_living_writer(directory):
    spool, reader = writer(directory), None
    position, seen = START, []
    for number in range(30):
        put(spool, [b"%d" % number * 4000])
        reader = reader or SpoolReader(directory)
        batch = reader.read(position, records_max=9)
        position = batch.next
        seen += [frame.payload for frame in batch.frames]
    spool.stop(5)
    assert seen == [b"%d" % number * 4000 for number in range(30)]


def test_more_than_one_piece_is_read(directory):
    spool = writer(directory, segment_bytes=1 << 22)
    records = [b"%04d" % number * 3000 for number in range(240)]
    put(spool, records)
    spool.stop(5)
    assert segment_path(directory, 1).stat().st_size > 2 * directory_module.PIECE_OCTETS
    assert drained(directory, records_max=1000)[0] == records


def test_damage_is_passed_over_and_told(directory):
    fill(directory, [[b"a" * 40, b"b" * 40, b"c" * 40]])
    change(segment_path(directory, 1), HEADER_OCTETS + 64 + 30, b"\xff")
    payloads, batches = drained(directory)
    assert payloads == [b"a" * 40, b"c" * 40]
    assert batches[0].damages == [Damage(HEADER_OCTETS + 64, HEADER_OCTETS + 128)]


def test_a_segment_that_was_cut_short_is_damage_and_not_the_end(directory):
    fill(directory, [[b"a", b"b"], [b"c"]])
    os.truncate(segment_path(directory, 1), HEADER_OCTETS + 40)
    payloads, batches = drained(directory)
    assert payloads == [b"a", b"c"]
    assert [damage for batch in batches for damage in batch.damages] == [
        Damage(HEADER_OCTETS + 32, HEADER_OCTETS + 64)
    ]


def test_blocks_that_the_disk_cannot_read_are_damage(directory, monkeypatch):
    fill(directory, [[b"%02d" % number + b"x" * 1000 for number in range(20)]])
    read = os.pread

    def failing(descriptor: int, length: int, offset: int) -> bytes:
        if offset <= 12_288 < offset + length:
            raise OSError(errno.EIO, "Input/output error")
        return read(descriptor, length, offset)

    monkeypatch.setattr(directory_module.os, "pread", failing)
    payloads, batches = drained(directory, records_max=100)
    assert 10 < len(payloads) < 20
    assert any(batch.damages for batch in batches)
    assert payloads[0][:2] == b"00"
    assert payloads[-1][:2] == b"19"


def test_with_the_next_header_damaged_all_that_is_whole_is_read(directory):
    fill(directory, [[b"a", b"b"], [b"c"], [b"d"]])
    change(segment_path(directory, 2), 20, b"\xff\xff")
    assert read_header(directory, 2) is None
    assert drained(directory)[0] == [b"a", b"b", b"c", b"d"]


def test_a_segment_that_no_later_header_names_counts_for_nothing(directory):
    """It was made by a writer that gave it up, and could not be removed."""
    fill(directory, [[b"a"], [b"given up"], [b"b"]])
    header = read_header(directory, 3)
    change(segment_path(directory, 3), 0, encode_header(header._replace(previous=read_header(directory, 2).previous)))
    assert drained(directory)[0] == [b"a", b"b"]


def test_a_segment_beyond_the_published_tail_is_not_read(directory):
    fill(directory, [[b"a"]])
    tail = (directory / "tail").read_bytes()
    fill(directory, [[b"b"]])
    (directory / "tail").write_bytes(tail)
    assert drained(directory)[0] == [b"a"]


def test_without_a_tail_nothing_is_read(directory):
    fill(directory, [[b"a"]])
    (directory / "tail").unlink()
    assert drained(directory)[0] == []


def test_an_abandoned_spool_is_recovered_but_never_a_written_one(directory):
    spool = writer(directory)
    put(spool, [b"a"])
    tail = read_tail(directory)
    (directory / "tail").write_bytes(b"")
    reader = SpoolReader(directory)
    assert not reader.recover_abandoned()
    spool.stop(5)
    assert reader.recover_abandoned()
    assert read_tail(directory) == tail


@pytest.mark.parametrize(
    ("start", "expected"), [(Position(1, 5000), [b"b", b"c"]), (Position(99, 5000), [b"b", b"c"])]
)
def test_a_start_that_is_gone_is_told(directory, start, expected):
    fill(directory, [[b"a"], [b"b"], [b"c"]])
    segment_path(directory, 1).unlink()
    payloads, batches = drained(directory, start=start)
    assert payloads == expected
    assert [batch.is_start_missing for batch in batches] == [True, False, False]


def test_the_very_first_start_misses_nothing(directory):
    fill(directory, [[b"a"], [b"b"]])
    segment_path(directory, 1).unlink()
    payloads, batches = drained(directory)
    assert payloads == [b"b"]
    assert not batches[0].is_start_missing


def test_a_cut_ends_its_segment_and_voids_that_lifes_later_ones(directory):
    fill(directory, [[b"a", b"handed over"], [b"handed over"], [b"b"]])
    life = read_header(directory, 2).life
    cut = Cut(life, Position(1, HEADER_OCTETS + 32), 3)
    assert drained(directory, cuts=(cut,))[0] == [b"a", b"b"]
    assert drained(directory, cuts=(cut._replace(life=uuid4()),))[0] == [b"a", b"handed over", b"b"]
