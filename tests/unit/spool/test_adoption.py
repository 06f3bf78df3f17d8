"""A copy becomes a slot as whole as it was: on this file system or another one, and for the account of the node."""

import errno
import os
import shutil
from pathlib import Path
from uuid import UUID

import pytest

from aaad.spool.adoption import CopyHeld, Lot, adopt
from aaad.spool.directory import (
    Contents,
    is_adopted,
    lock_directory,
    read_header,
    read_tail,
    segment_numbers,
    segment_path,
)
from aaad.spool.mirror_disk import Kept, kept_copies
from aaad.spool.mirror_superseded import put_aside
from aaad.spool.reader import SpoolReader
from aaad.spool.segment import START, Position
from aaad.spool.writer import SpoolWriter


def make_copy(root: Path, records: int = 300) -> Kept:
    """A copy as a mirror leaves it: the segments and the id, and no tail."""
    made = root / "made"
    spool = SpoolWriter(made, segment_bytes=1 << 16, bytes_max=1 << 24)
    spool.start()
    for number in range(records):
        assert spool.append(b"%06d" % number + bytes(400))
    assert spool.stop(10)
    spool_id = UUID((made / "spool_id").read_text().strip())
    (made / "tail").unlink()
    folder = root / "mirror" / "n1" / f"radius-0.{spool_id}"
    folder.parent.mkdir(parents=True)
    made.rename(folder)
    (kept,) = kept_copies(root / "mirror")
    return kept


def payloads(directory: Path, cursor: Position = START) -> list[int]:
    reader, found = SpoolReader(directory), []
    while True:
        batch = reader.read(cursor, records_max=1000)
        found += [int(frame.payload[:6]) for frame in batch.frames]
        if batch.next == cursor:
            reader.close()
            return found
        cursor = batch.next


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_a_copy_becomes_a_slot_with_all_its_records_and_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_elsewhere: bool
) -> None:
    kept, root = make_copy(tmp_path), tmp_path / "spool"
    if is_elsewhere:
        monkeypatch.setattr(Path, "rename", to_another_file_system)
    told = adopt(kept, root, cursor=START, cuts=())
    assert (told.records, told.slot) == (300, f"n1.radius-0.{kept.spool_id.hex[:8]}")
    slot = root / told.slot
    assert payloads(slot) == list(range(300))
    tail = read_tail(slot)
    assert tail is not None
    assert tail.next_sequence == 300
    assert is_adopted(slot)
    assert not kept.directory.parent.exists()


def to_another_file_system(self: Path, target: Path) -> Path:
    if self.parent != target.parent:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    os.rename(self, target)
    return target


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_what_its_owner_had_no_more_goes_along_is_counted_and_not_drained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_elsewhere: bool
) -> None:
    kept, root = make_copy(tmp_path), tmp_path / "spool"
    numbers = segment_numbers(kept.directory)
    aside = len(payloads_of(kept.directory, numbers[-1]))
    assert put_aside(kept.directory, kept.spool_id, behind=numbers[-2]) == numbers[-1:]
    if is_elsewhere:
        monkeypatch.setattr(Path, "rename", to_another_file_system)
    told = adopt(kept, root, cursor=START, cuts=())
    assert (told.records, told.lots) == (300 - aside, (Lot("superseded.1", aside),))
    slot = root / told.slot
    assert payloads(slot) == list(range(300 - aside))
    assert payloads(slot / "superseded.1") == list(range(300 - aside, 300))
    assert not kept.directory.parent.exists()


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_a_copy_that_has_only_what_its_owner_had_no_more_becomes_a_slot_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_elsewhere: bool
) -> None:
    """An owner that was put back from a backup died before its first record: the copy itself has no end."""
    kept, root = make_copy(tmp_path), tmp_path / "spool"
    assert put_aside(kept.directory, kept.spool_id, behind=0)
    if is_elsewhere:
        monkeypatch.setattr(Path, "rename", to_another_file_system)
    told = adopt(kept, root, cursor=START, cuts=())
    assert (told.records, told.lots) == (0, (Lot("superseded.1", 300),))
    slot = root / told.slot
    assert payloads(slot / "superseded.1") == list(range(300))
    assert payloads(slot) == []
    assert not kept.directory.parent.exists()


def test_a_disk_that_has_no_room_for_a_copy_leaves_no_part_of_it_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, root = make_copy(tmp_path), tmp_path / "spool"
    last, really = segment_numbers(kept.directory)[-1], shutil.copy2

    def full(source: Path, target: Path) -> None:
        if source.name == segment_path(Path(), last).name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        really(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", to_another_file_system)
        patch.setattr(shutil, "copy2", full)
        with pytest.raises(OSError, match="No space"):
            adopt(kept, root, cursor=START, cuts=())
    assert list(root.iterdir()) == []
    monkeypatch.setattr(Path, "rename", to_another_file_system)
    told = adopt(kept, root, cursor=START, cuts=())
    assert told.slot == f"n1.radius-0.{kept.spool_id.hex[:8]}"
    assert payloads(root / told.slot) == list(range(300))


def payloads_of(directory: Path, number: int) -> list[bytes]:
    contents = Contents(directory, number, SpoolReader(directory).spool_id)
    header = read_header(directory, number)
    assert header is not None
    return [b""] * (contents.last_sequence + 1 - header.first_sequence)


def test_a_folder_that_was_moved_away_is_held_by_nobody(tmp_path: Path) -> None:
    """Who opened the lock before it went must not take what he then writes for a spool."""
    folder = tmp_path / "copy"
    folder.mkdir()
    really = os.fstat

    def moved_meanwhile(descriptor: int) -> os.stat_result:
        if folder.exists():
            folder.rename(tmp_path / "moved")
        return really(descriptor)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(BlockingIOError):
        patch.setattr(os, "fstat", moved_meanwhile)
        lock_directory(folder)
    folder.mkdir()
    os.close(lock_directory(folder))


def test_what_postgresql_has_is_not_adopted_and_of_the_rest_only_the_rest_is_left(tmp_path: Path) -> None:
    kept, root = make_copy(tmp_path), tmp_path / "spool"
    reader = SpoolReader(kept.directory)
    adopt_later = segment_numbers(kept.directory)[-1]
    for beyond in (Position(adopt_later, 1 << 16), Position(adopt_later + 1, 4096)):
        assert adopt(kept, root, cursor=beyond, cuts=())[1:] == ("", 0, ())
        assert kept.directory.exists()
    cursor = reader.read(START, records_max=100).next
    reader.close()
    told = adopt(kept, root, cursor=cursor, cuts=())
    assert told.records == 200
    assert payloads(root / told.slot, cursor) == list(range(100, 300))


def test_what_is_adopted_is_never_read_backwards(tmp_path: Path) -> None:
    """Its owner had drained further than the copy goes: the next segment does not exist here, nor will it."""
    kept, root = make_copy(tmp_path), tmp_path / "spool"
    beyond = Position(segment_numbers(kept.directory)[-1] + 3, 4096)
    assert payloads(kept.directory, beyond) == [], "without an end nothing is read"
    slot = root / adopt(kept, root, cursor=START, cuts=()).slot
    assert payloads(slot, beyond) == []
    (slot / "adopted").unlink()
    assert payloads(slot, beyond) == list(range(300)), "as a spool of our own is whose files were removed"


def test_a_copy_that_is_written_stays_and_one_adopted_again_gets_a_slot_beside(tmp_path: Path) -> None:
    kept, root = make_copy(tmp_path), tmp_path / "spool"
    lock = lock_directory(kept.directory)
    with pytest.raises(CopyHeld):
        adopt(kept, root, cursor=START, cuts=())
    os.close(lock)
    first = adopt(kept, root, cursor=START, cuts=())
    kept.directory.mkdir(parents=True)
    for name in ("spool_id", segment_path(Path(), 1).name):
        (kept.directory / name).write_bytes((root / first.slot / name).read_bytes())
    assert adopt(kept, root, cursor=START, cuts=()).slot == f"{first.slot}.2"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away: NOT TRIED")
@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_what_root_adopts_is_the_account_s_that_the_node_runs_as(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_elsewhere: bool
) -> None:
    kept, root = make_copy(tmp_path, records=3), tmp_path / "spool"
    for path in (kept.directory, *kept.directory.iterdir()):
        os.chown(path, 12345, 12346)
    if is_elsewhere:
        monkeypatch.setattr(Path, "rename", to_another_file_system)
    slot = root / adopt(kept, root, cursor=START, cuts=()).slot
    assert {(path.stat().st_uid, path.stat().st_gid) for path in (root, slot, *slot.iterdir())} == {(12345, 12346)}
