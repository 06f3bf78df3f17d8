"""The copies of other nodes' spools: octets in their order only, within the bound, whole after whatever happened."""

import errno
import hashlib
import os
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aaad.errors import SpoolError
from aaad.spool.directory import segment_numbers, segment_path, write_drained
from aaad.spool.mirror_disk import (
    ALLOCATED_OCTETS,
    MirroredSpool,
    MirrorFull,
    OutOfOrder,
    Room,
    contiguous_end,
    copy_directory,
    discard,
    kept_copies,
    sweep,
)
from aaad.spool.mirror_frames import Data
from aaad.spool.mirror_pieces import Pieces, common_segment, first_wanted, header_print
from aaad.spool.mirror_superseded import SUPERSEDED_MAX, count_records, superseded
from aaad.spool.reader import SpoolReader
from aaad.spool.retention import FOR_SURE_S, mark_drained
from aaad.spool.segment import (
    HEADER_OCTETS,
    START,
    Header,
    Position,
    Tail,
    checksum_seed,
    encode_frames,
    encode_header,
)

ID = UUID("00000000-0000-4000-8000-000000000001")
LIFE = uuid4()


def header(number: int, previous: Position = START, *, spool_id: UUID = ID, life: UUID = LIFE) -> bytes:
    return encode_header(Header(spool_id, life, "radius-0", number, 1_000_000, previous, 0))


def frames(number: int, offset: int, *payloads: bytes) -> bytes:
    return encode_frames([(one, 1) for one in payloads], offset=offset, sequence=0, seed=checksum_seed(ID, number))


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path / "mirror", 1 << 30, lambda: 1e9)


def take(room: Room, **changes) -> MirroredSpool:
    spool = MirroredSpool(room, **({"node": "n", "slot": "radius-0", "spool_id": ID} | changes))
    spool.begin(1 << 20)
    return spool


def test_octets_follow_each_other_and_a_segment_begins_with_its_own_header(room: Room) -> None:
    spool = take(room)
    for bad in (
        Data(1, HEADER_OCTETS, b"x"),  # without a header
        Data(0, 0, header(0)),
        Data(1, 0, header(2)),
        Data(1, 0, header(1, spool_id=uuid4())),
        Data(1, 0, header(1)[:100]),
        Data(1, 0, bytes(HEADER_OCTETS)),
    ):
        with pytest.raises(SpoolError):
            spool.write(bad)
        assert spool.position == START
    spool.write(Data(1, 0, header(1)))
    for bad in (Data(1, HEADER_OCTETS + 8, b"x"), Data(1, 8, b"x"), Data(2, HEADER_OCTETS, b"x")):
        with pytest.raises(OutOfOrder):
            spool.write(bad)
    octets = frames(1, HEADER_OCTETS, b"one", b"two")
    spool.write(Data(1, HEADER_OCTETS, octets))
    end = Position(1, HEADER_OCTETS + len(octets))
    assert spool.position == end
    spool.write(Data(5, 0, header(5, end)))  # numbers may be left out
    with pytest.raises(OutOfOrder):
        spool.write(Data(4, 0, header(4)))
    spool.close()
    assert segment_path(spool.directory, 1).stat().st_size == end.offset
    (kept,) = kept_copies(room.root)
    assert (kept.node, kept.slot, kept.spool_id) == ("n", "radius-0", ID)


def test_what_lies_behind_a_gap_is_asked_for_again(room: Room) -> None:
    """A power cut may keep the later one of two writes and not the earlier."""
    spool = take(room)
    spool.write(Data(1, 0, header(1)))
    first = frames(1, HEADER_OCTETS, b"first")
    spool.write(Data(1, HEADER_OCTETS, first))
    end = spool.position
    spool.close()
    later = frames(1, end.offset + 64, b"later")
    with segment_path(spool.directory, 1).open("r+b") as file:
        os.pwrite(file.fileno(), later, end.offset + 64)
    assert contiguous_end(spool.directory, ID) == end
    again = take(room)
    assert again.position == end
    again.close()


def test_what_a_failed_sync_left_in_memory_is_not_taken_for_durable(room: Room) -> None:
    is_broken = False

    def sync(descriptor: int) -> None:
        if is_broken:
            raise OSError(5, "Input/output error")

    spool = take(room, sync=sync)
    spool.write(Data(1, 0, header(1)))
    end, is_broken = spool.position, True
    with pytest.raises(OSError, match="Input/output"):
        spool.write(Data(1, HEADER_OCTETS, frames(1, HEADER_OCTETS, b"one")))
    spool.close()
    is_broken = False
    assert take(room).position == end


def test_what_is_whole_behind_a_bad_block_is_not_cut_off_by_who_only_looks(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner may be dead a moment later, or have drained it: then the next segment is what he sends."""
    spool = take(room)
    spool.write(Data(1, 0, header(1)))
    first = frames(1, HEADER_OCTETS, bytes(HEADER_OCTETS - 24), bytes(HEADER_OCTETS - 24), b"behind")
    spool.write(Data(1, HEADER_OCTETS, first))
    end = spool.position
    spool.close()
    really = os.pread

    def bad_block(descriptor: int, length: int, offset: int) -> bytes:
        if offset <= 2 * HEADER_OCTETS < offset + length:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return really(descriptor, length, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", bad_block)
        again = take(room)
        assert again.position == Position(1, 2 * HEADER_OCTETS), "from there on it is wanted again"
        again.close()
        again = take(room)
        size, at = ALLOCATED_OCTETS, again.position.offset
        with pytest.raises(MirrorFull), monkeypatch.context() as full:
            full.setattr(room, "_bytes_max", 0)
            again.write(Data(1, at, bytes(size)))
        again.write(Data(1, at, first[at - HEADER_OCTETS : at + 8 - HEADER_OCTETS]))  # the owner has it still
        again.close()
        again = take(room)
        again.write(Data(2, 0, header(2, end)))
        again.close()
    assert segment_path(again.directory, 1).stat().st_size == end.offset
    assert SpoolReader(again.directory).end(1, Tail(Position(2, HEADER_OCTETS), 0)) == end.offset


def test_what_a_killed_process_wrote_is_synced_before_it_is_said_to_be_there(room: Room) -> None:
    take(room).close()
    segment_path(copy_directory(room.root, "n", "radius-0", ID), 1).write_bytes(header(1))
    synced: list[int] = []
    take(room, sync=synced.append).close()
    assert synced


def test_a_failed_sync_leaves_nothing_to_be_found_though_whole_records_stood_behind(room: Room) -> None:
    take(room).close()
    path = segment_path(copy_directory(room.root, "n", "radius-0", ID), 1)
    first = frames(1, HEADER_OCTETS, b"first")
    gap_end = HEADER_OCTETS + len(first)
    path.write_bytes(header(1) + bytes(len(first)) + frames(1, gap_end, b"behind the gap"))
    is_broken = False

    def sync(descriptor: int) -> None:
        if is_broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    spool = take(room, sync=sync)
    is_broken = True
    with pytest.raises(OSError, match="Input/output"):
        spool.write(Data(1, HEADER_OCTETS, first))
    spool.close()
    assert take(room).position == Position(1, HEADER_OCTETS)


def test_the_room_that_a_killed_process_had_taken_ahead_is_given_back(room: Room) -> None:
    take(room).close()
    path = segment_path(copy_directory(room.root, "n", "radius-0", ID), 1)
    octets = header(1) + frames(1, HEADER_OCTETS, b"one")
    path.write_bytes(octets + bytes(ALLOCATED_OCTETS))
    take(room).close()
    assert path.read_bytes() == octets


def test_what_another_life_of_the_owner_does_not_know_is_put_aside_and_its_numbers_begin_anew(room: Room) -> None:
    """Its owner gave segments up before anything in them counted, died, and counts on from the one before."""
    spool = take(room)
    spool.write(Data(1, 0, header(1)))
    kept = frames(1, HEADER_OCTETS, b"counts")
    spool.write(Data(1, HEADER_OCTETS, kept))
    end = spool.position
    for number in (2, 3):
        spool.write(Data(number, 0, header(number, end)))
        spool.write(Data(number, HEADER_OCTETS, frames(number, HEADER_OCTETS, b"void")))
    with pytest.raises(OutOfOrder):
        spool.write(Data(2, 0, header(2, end, life=uuid4())))
    spool.close()
    again = MirroredSpool(room, node="n", slot="radius-0", spool_id=ID)
    assert again.held(1 << 31) == [(number, header_print(again.directory, ID, number)) for number in (3, 2, 1)]
    assert [number for number, _ in again.held(3)] == [2, 1]
    assert again.begin(1) == [2, 3]
    assert again.position == end
    again.write(Data(2, 0, header(2, end, life=uuid4())))
    again.close()
    (lot,) = superseded(again.directory)
    assert segment_numbers(lot.directory) == [2, 3]
    assert count_records(lot.directory) == 1, "that of the last one: whether it counted is not known"
    assert room.occupied() == 2 * HEADER_OCTETS + len(kept) + lot.octets
    assert contiguous_end(again.directory, ID) == Position(2, HEADER_OCTETS)


def test_the_end_of_a_segment_that_another_life_does_not_know_is_kept_before_it_is_made_void(room: Room) -> None:
    """So it is when the owner was put back from a backup: it was acknowledged."""
    spool = take(room)
    spool.write(Data(1, 0, header(1)))
    old = frames(1, HEADER_OCTETS, b"old")
    spool.write(Data(1, HEADER_OCTETS, old + frames(1, HEADER_OCTETS + len(old), b"new", b"newer")))
    same_life = Data(2, 0, header(2, Position(1, HEADER_OCTETS + len(old))))
    spool.write(same_life)
    assert (spool.take_superseded(), superseded(spool.directory)) == ([], []), "a batch that this life gave up"
    spool.begin(1)
    spool.write(Data(2, 0, header(2, Position(1, HEADER_OCTETS + len(old)), life=uuid4())))
    assert (spool.take_superseded(), spool.take_superseded()) == ([1], [])
    spool.close()
    lot = superseded(spool.directory)[-1]
    assert count_records(lot.directory) == 2
    batch = SpoolReader(lot.directory).read(START, records_max=9)
    assert [frame.payload for frame in batch.frames] == [b"new", b"newer"]


def test_what_is_put_aside_is_bounded_in_number_and_gives_way_when_there_is_no_room(tmp_path: Path) -> None:
    room = Room(tmp_path / "mirror", 5 * ALLOCATED_OCTETS, lambda: 1e9)
    for life in range(SUPERSEDED_MAX + 3):
        spool = MirroredSpool(room, node="n", slot="radius-0", spool_id=ID)
        spool.begin(0)
        spool.write(Data(1, 0, header(1, life=uuid4())))
        spool.write(Data(1, HEADER_OCTETS, bytes([life]) * 400_000))
        spool.close()
    lots = superseded(spool.directory)
    assert [lot.number for lot in lots] == list(range(3, 3 + SUPERSEDED_MAX))
    spool = take(room)
    spool.write(Data(2, 0, header(2, spool.position)))
    spool.write(Data(2, HEADER_OCTETS, bytes(1_000_000)))
    assert superseded(spool.directory) == lots
    spool.write(Data(3, 0, header(3, spool.position)))
    left = superseded(spool.directory)
    assert 0 < len(left) < SUPERSEDED_MAX
    assert left == lots[-len(left) :], "the oldest went first"
    assert segment_path(spool.directory, 1).exists()
    spool.close()


@pytest.mark.parametrize(
    ("own", "held", "expected"),
    [
        ([], [], 0),
        ([1, 2, 3], [], 0),
        ([5, 6], [], 4),
        ([1, 2, 3], [3, 2, 1], 3),
        ([1, 2, 3], [2, 1], 2),
        ([1, 2, 4], [4, -3, 2, 1], 4),  # given up here and never mentioned again
        ([1, 2, 3, 4], [-5, -4, -3, 2, 1], 2),
        ([1, 2], [-5, -4, -3], None),
        ([7, 8], [5, 4], 6),  # drained and removed here
        ([7, 8], [-8, -7, 5], 6),
        ([], [2, 1], None),
    ],
)
def test_up_to_where_a_copy_is_the_owners(
    tmp_path: Path, own: list[int], held: list[int], expected: int | None
) -> None:
    for number in own:
        segment_path(tmp_path, number).write_bytes(header(number))
    told = [(abs(number), b"other" if number < 0 else print_of(number)) for number in held]
    assert common_segment(tmp_path, ID, told) == expected


@pytest.mark.parametrize(
    "damaged",
    [bytes(HEADER_OCTETS), header(3)[:40] + b"\xff" + header(3)[41:], header(3)[:100], header(4), b""],
    ids=["zeros", "bit rot", "cut off", "another number", "empty"],
)
def test_a_damaged_header_at_the_owner_says_nothing_against_the_copy(tmp_path: Path, damaged: bytes) -> None:
    """The copy may be all that is left of that segment: as with a bad sector it is not put aside."""
    for number in (1, 2):
        segment_path(tmp_path, number).write_bytes(header(number))
    segment_path(tmp_path, 3).write_bytes(damaged)
    with pytest.raises(SpoolError, match=r"^segment 3 cannot be read at 0: "):
        common_segment(tmp_path, ID, [(number, print_of(number)) for number in (3, 2, 1)])
    with pytest.raises(SpoolError, match=r"^segment 2 cannot be read at 0: "):
        common_segment(tmp_path, uuid4(), [(2, print_of(2))])
    write_drained(tmp_path, Tail(Position(3, HEADER_OCTETS), 0))
    with pytest.raises(SpoolError, match=r"^segment 3 cannot be read at 0: "):
        common_segment(tmp_path, ID, [(3, print_of(3)), (2, print_of(2))])
    write_drained(tmp_path, Tail(Position(4, HEADER_OCTETS), 0))
    assert common_segment(tmp_path, ID, [(3, print_of(3)), (2, print_of(2))]) == 2, "PostgreSQL has all of it"
    assert common_segment(tmp_path, ID, [(3, b""), (2, print_of(2))]) == 2, (
        "the copy's own one is damaged: sent again"
    )
    assert common_segment(tmp_path, ID, [(2, print_of(2)), (1, print_of(1))]) == 2


def test_a_damaged_header_in_the_copy_is_nobodys(room: Room) -> None:
    spool = take(room)
    for number in (1, 2):
        spool.write(Data(number, 0, header(number, spool.position)))
    spool.close()
    segment_path(spool.directory, 2).write_bytes(bytes(HEADER_OCTETS))
    again = MirroredSpool(room, node="n", slot="radius-0", spool_id=ID)
    assert again.held(9) == [(2, b""), (1, print_of(1))]
    assert again.begin(1) == [2]
    again.close()


def print_of(number: int) -> bytes:
    return hashlib.sha256(header(number)).digest()[:16]


def test_nothing_is_confirmed_into_a_copy_that_was_removed(room: Room) -> None:
    spool = take(room)
    spool.write(Data(1, 0, header(1)))
    for path in spool.directory.iterdir():
        path.unlink()
    known = spool.position
    with pytest.raises(FileNotFoundError):
        spool.write(Data(1, HEADER_OCTETS, frames(1, HEADER_OCTETS, b"one")))
    assert spool.position == known
    spool.close()


@pytest.mark.parametrize("is_swept", [False, True])
def test_two_may_remove_the_same_copy_at_once(room: Room, monkeypatch: pytest.MonkeyPatch, is_swept: bool) -> None:
    """The daemon sweeps what a command is just removing: whoever comes second finds each thing gone."""
    spool = take(room)
    spool.write(Data(1, 0, header(1)))
    spool.close()
    aside = spool.directory / "superseded.1"
    aside.mkdir()
    (aside / "spool_id").touch()
    for name in ("unlink", "rmdir"):
        monkeypatch.setattr(os, name, second_of_two(getattr(os, name)))
    if is_swept:
        spool.directory.rename(spool.directory.with_name(spool.directory.name + ".removed"))
        sweep(room.root)
    else:
        discard(spool.directory)
    assert list(spool.directory.parent.iterdir()) == []


def second_of_two(remove):
    def removed(path, *, dir_fd=None) -> None:
        remove(path, dir_fd=dir_fd)
        raise FileNotFoundError(errno.ENOENT, "the other one came first", path)

    return removed


def test_two_do_not_write_one_copy(room: Room) -> None:
    spool = take(room)
    with pytest.raises(BlockingIOError):
        take(room)
    spool.close()
    take(room).close()


def test_without_room_what_is_drained_for_sure_gives_way_and_nothing_else(tmp_path: Path) -> None:
    now_s = 1e9
    room = Room(tmp_path / "mirror", 2 * ALLOCATED_OCTETS, lambda: now_s)
    spool = take(room)
    spool.write(Data(1, 0, header(1)))
    size = 400_000
    for offset in range(HEADER_OCTETS, HEADER_OCTETS + 3 * size, size):
        spool.write(Data(1, offset, bytes(size)))
    end = spool.position
    with pytest.raises(MirrorFull):
        spool.write(Data(2, 0, header(2, end)))
    spool.close()
    mark_drained(spool.directory, 1, now_s=now_s - FOR_SURE_S - 1)
    write_drained(spool.directory, Tail(Position(2, HEADER_OCTETS), 0))
    other = take(room, node="m", spool_id=(other_id := uuid4()))
    other.write(Data(1, 0, header(1, spool_id=other_id)))
    assert room.removed == 1
    assert not segment_path(spool.directory, 1).exists()
    other.close()


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.binary(max_size=300), max_size=6), min_size=1, max_size=4),
    st.integers(40, 900),
    st.integers(0, 30),
)
def test_pieces_of_any_size_make_the_same_segments_wherever_they_begin_again(
    tmp_path_factory: pytest.TempPathFactory, segments: list[list[bytes]], at_once: int, breaks_after: int
) -> None:
    folder = tmp_path_factory.mktemp("pieces")
    own, room = folder / "own", Room(folder / "mirror", 1 << 30, lambda: 0.0)
    own.mkdir()
    previous = START
    for number, payloads in enumerate(segments, 1):
        octets = header(number, previous) + frames(number, HEADER_OCTETS, *payloads)
        segment_path(own, number).write_bytes(octets + bytes(512))  # preallocated room
        previous = Position(number, len(octets))
    tail = Tail(previous, 99)
    sent = 0
    spool = take(room)
    pieces = Pieces(own)
    at = first_wanted(own, spool.position)
    while (piece := pieces.next(at, tail, at_once)) is not None:
        spool.write(Data(piece.segment, piece.offset, piece.octets))
        at, sent = piece.end, sent + 1
        if sent == breaks_after:  # the connection breaks, and another one begins where the copy says
            spool.close()
            spool = take(room)
            at = first_wanted(own, spool.position)
    spool.close()
    assert at == tail.position
    for number, payloads in enumerate(segments, 1):
        if not payloads and number < len(segments):
            assert not segment_path(spool.directory, number).exists(), "nothing in it counts"
            continue
        end = len(header(number)) + len(frames(number, HEADER_OCTETS, *payloads))
        copy = segment_path(spool.directory, number).read_bytes()
        assert copy[:end] == segment_path(own, number).read_bytes()[:end]
    assert SpoolReader(spool.directory).spool_id == ID


def test_what_cannot_be_read_here_is_no_fault_of_the_network(tmp_path: Path) -> None:
    octets = header(1) + frames(1, HEADER_OCTETS, b"one")
    segment_path(tmp_path, 1).write_bytes(octets)
    pieces = Pieces(tmp_path)
    segment_path(tmp_path, 1).unlink()
    segment_path(tmp_path, 1).mkdir()  # as a bad block: opens or reads fail otherwise than by absence
    with pytest.raises(SpoolError, match=r"^segment 1 cannot be read at 0: Is a directory$"):
        pieces.next(Position(1, 0), Tail(Position(1, len(octets)), 1), 512)
