"""A process's reserve on a disk that is full, and with files that are not what they say (rule R7.2)."""

import errno
from pathlib import Path

import pytest

from aaad.pools.reserve import Reserve

UNITS = [(0x64400000 + number, 32) for number in range(4)]


def opened(directory: Path) -> tuple[Reserve, bool]:
    reserve = Reserve(directory, boot="this-boot")
    return reserve, reserve.open()


def with_chunk(directory: Path) -> Reserve:
    reserve, _ = opened(directory)
    reserve.add(reserve.write(7, 1, 1, 4, UNITS, 32))
    return reserve


def no_room(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_was_set_aside_is_the_next_process_too(tmp_path: Path) -> None:
    before = with_chunk(tmp_path)
    assert before.chunks[7].take() == 0
    after, is_known = opened(tmp_path)
    assert (is_known, after.life, after.chunks[7].free) == (True, before.life, 3)


def test_r7_2_on_a_full_disk_a_claim_is_kept_in_memory_and_no_later_process_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve, _ = opened(tmp_path)
    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", no_room)
        chunk = reserve.add(reserve.write(7, 1, 1, 4, UNITS, 32))
    assert [chunk.take() for _ in range(5)] == [0, 1, 2, 3, -1]
    assert opened(tmp_path)[0].chunks == {}
    reserve.close()


@pytest.mark.parametrize("is_closed", [False, True])
def test_r7_2_a_start_on_a_full_disk_goes_on_and_is_believed_by_nobody_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_closed: bool
) -> None:
    before = with_chunk(tmp_path)
    if is_closed:
        before.close()
    with monkeypatch.context() as full:
        full.setattr(Reserve, "_store_life", no_room)
        reserve, is_known = opened(tmp_path)
    assert is_known
    assert reserve.chunks[7].take() == 0
    reserve.close()
    after, is_known = opened(tmp_path)
    assert (is_known, after.chunks) == (False, {})
    assert after.life != reserve.life


def test_r7_2_of_a_folder_that_cannot_be_touched_nothing_is_given_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_chunk(tmp_path)
    monkeypatch.setattr(Reserve, "_store_life", no_room)
    monkeypatch.setattr(Path, "unlink", no_room)
    reserve = Reserve(tmp_path, boot="this-boot")
    with pytest.raises(OSError, match="No space"):
        reserve.open()
    assert reserve.chunks == {}


@pytest.mark.parametrize("damage", ["copied", "cut", "empty", "lengthened"])
def test_r7_2_a_file_that_is_not_what_it_says_is_thrown_away(tmp_path: Path, damage: str) -> None:
    with_chunk(tmp_path).close()
    file = tmp_path / "7"
    data = file.read_bytes()
    if damage == "copied":
        (tmp_path / "8").write_bytes(data)
    else:
        file.write_bytes({"cut": data[:-1], "empty": b"", "lengthened": data + b"x"}[damage])
    reserve, _ = opened(tmp_path)
    assert list(reserve.chunks) == ([7] if damage == "copied" else [])
    assert {path.name for path in tmp_path.iterdir()} == {"life", *map(str, reserve.chunks)}


def test_r7_2_of_a_chunk_that_is_lost_nothing_comes_back(tmp_path: Path) -> None:
    reserve = with_chunk(tmp_path)
    chunk = reserve.chunks[7]
    place = chunk.take()
    reserve.drop(chunk)
    chunk.put_back(place)
    assert (chunk.take(), chunk.unsettled) == (-1, 0)
