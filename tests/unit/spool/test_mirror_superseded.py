"""What is put aside of a copy: whole or not at all, and what may be precious is not pushed out by what hardly is."""

import errno
import os
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from aaad.spool.directory import segment_numbers, segment_path
from aaad.spool.mirror_disk import ALLOCATED_OCTETS, MirroredSpool, MirrorFull, Room
from aaad.spool.mirror_frames import Data
from aaad.spool.mirror_superseded import (
    SUPERSEDED_MAX,
    count_records,
    put_aside,
    put_end_aside,
    remove_oldest,
    superseded,
    superseded_octets,
)
from aaad.spool.segment import HEADER_OCTETS, START, Header, Position, checksum_seed, encode_frames, encode_header

ID = UUID("00000000-0000-4000-8000-000000000001")


def header(number: int, previous: Position = START) -> bytes:
    return encode_header(Header(ID, uuid4(), "radius-0", number, 1_000_000, previous, 0))


def put_segment(directory: Path, number: int, payload: bytes = b"counts") -> int:
    octets = header(number) + encode_frames(
        [(payload, 1)], offset=HEADER_OCTETS, sequence=0, seed=checksum_seed(ID, number)
    )
    segment_path(directory, number).write_bytes(octets)
    return len(octets)


def put_end(directory: Path, number: int) -> None:
    end = put_segment(directory, number)
    assert put_end_aside(directory, ID, number, begin=HEADER_OCTETS, end=end)


def kinds(directory: Path) -> list[bool]:
    return [lot.is_only_an_end for lot in superseded(directory)]


def test_ends_that_became_void_push_out_no_whole_segments(tmp_path: Path) -> None:
    put_segment(tmp_path, 2)
    assert put_aside(tmp_path, ID, behind=1) == [2]
    for _ in range(SUPERSEDED_MAX + 3):
        put_end(tmp_path, 1)
    assert kinds(tmp_path) == [False] + [True] * SUPERSEDED_MAX
    assert superseded(tmp_path)[0].number == 1
    assert count_records(superseded(tmp_path)[0].directory) == 1
    for _ in range(SUPERSEDED_MAX + 1):
        put_segment(tmp_path, 2)
        put_aside(tmp_path, ID, behind=1)
    assert sorted(kinds(tmp_path)) == [False] * SUPERSEDED_MAX + [True] * SUPERSEDED_MAX
    assert superseded(tmp_path)[0].number > 1, "of one kind the oldest goes"


def test_without_room_ends_go_before_whole_segments_that_are_older(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for age, folder in enumerate(folders):
        folder.mkdir()
        put_segment(folder, 2)
        put_aside(folder, ID, behind=1)
        put_end(folder, 1)
        for lot in superseded(folder):
            os.utime(lot.directory, (1e9 + 10 * lot.number + age, 1e9 + 10 * lot.number + age))
    left = []
    while remove_oldest(folders):
        left.append([kinds(folder) for folder in folders])
    assert left == [[[False], [False, True]], [[False], [False]], [[], [False]], [[], []]]


def no_room(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("fails", ["link", "fsync", "rename"])
def test_a_disk_without_room_leaves_no_part_of_a_lot_and_costs_no_older_one(tmp_path: Path, fails: str) -> None:
    for _ in range(SUPERSEDED_MAX):
        put_segment(tmp_path, 2)
        put_aside(tmp_path, ID, behind=1)
    for _ in range(SUPERSEDED_MAX):
        put_end(tmp_path, 1)
    end = put_segment(tmp_path, 1)
    before = superseded(tmp_path)
    for number in (2, 3):
        put_segment(tmp_path, number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*((Path, "rename") if fails == "rename" else (os, fails)), no_room)
        with pytest.raises(OSError, match="No space"):
            put_aside(tmp_path, ID, behind=1)
        if fails != "link":
            with pytest.raises(OSError, match="No space"):
                put_end_aside(tmp_path, ID, 1, begin=HEADER_OCTETS, end=end)
    assert superseded(tmp_path) == before
    assert len(list(tmp_path.glob("superseded.*"))) == len(before)
    assert segment_numbers(tmp_path) == [1, 2, 3], "what could not be put aside is still there"
    assert put_aside(tmp_path, ID, behind=1) == [2, 3]
    assert segment_numbers(superseded(tmp_path)[-1].directory) == [2, 3]


def test_a_lot_that_a_crash_left_unfinished_is_none_and_goes(tmp_path: Path) -> None:
    room = Room(tmp_path / "mirror", 1 << 30, lambda: 1e9)
    spool = MirroredSpool(room, node="n", slot="radius-0", spool_id=ID)
    put_segment(spool.directory, 1)
    spool.close()
    unfinished = spool.directory / "superseded.1.new"
    unfinished.mkdir()
    os.link(segment_path(spool.directory, 1), segment_path(unfinished, 1))
    assert superseded(spool.directory) == []
    assert superseded_octets(spool.directory) == 0, "it is counted where it was"
    assert not remove_oldest([spool.directory])
    MirroredSpool(room, node="n", slot="radius-0", spool_id=ID).close()
    assert not unfinished.exists()
    assert segment_numbers(spool.directory) == [1]


def test_what_a_crash_left_both_in_a_lot_and_in_the_copy_is_put_aside_once(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        put_segment(tmp_path, number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", no_room)
        with pytest.raises(OSError, match="No space"):
            put_aside(tmp_path, ID, behind=1)
    assert segment_numbers(tmp_path) == [1, 2, 3]
    assert put_aside(tmp_path, ID, behind=1) == [2, 3]
    assert segment_numbers(tmp_path) == [1]
    (lot,) = superseded(tmp_path)
    assert segment_numbers(lot.directory) == [2, 3]


def test_an_end_is_kept_once_however_often_its_owner_tries_again(tmp_path: Path) -> None:
    end = put_segment(tmp_path, 1)
    told = [put_end_aside(tmp_path, ID, 1, begin=HEADER_OCTETS, end=end) for _ in range(3)]
    assert told == [True, False, False]
    assert len(superseded(tmp_path)) == 1
    put_segment(tmp_path, 1)  # as long, and of another life
    assert put_end_aside(tmp_path, ID, 1, begin=HEADER_OCTETS, end=end)


def test_room_is_taken_for_an_end_that_is_kept(tmp_path: Path) -> None:
    size = 1_000_000

    def written(bytes_max: int) -> MirroredSpool:
        room = Room(tmp_path / str(bytes_max), bytes_max, lambda: 1e9)
        spool = MirroredSpool(room, node="n", slot="radius-0", spool_id=ID)
        spool.begin(0)
        spool.write(Data(1, 0, header(1)))
        for number in range(3):
            spool.write(Data(1, HEADER_OCTETS + number * size, bytes([1]) * size))
        try:
            spool.write(Data(2, 0, header(2, Position(1, HEADER_OCTETS + size))))
        finally:
            spool.close()
            assert room.occupied() <= bytes_max
        return spool

    with pytest.raises(MirrorFull):
        written(5 * ALLOCATED_OCTETS)
    spool = written(6 * ALLOCATED_OCTETS)
    (lot,) = superseded(spool.directory)
    assert 2 * size < lot.octets < 2 * size + 4 * HEADER_OCTETS, "not for what is a hole in it"
