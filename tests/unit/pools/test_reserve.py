"""Rule R7.2: what is set aside survives kill -9 and is given once; after a power cut another life begins."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aaad.errors import ReserveError
from aaad.pools.reserve import Chunk, Reserve, boot_id

UNITS = [(0x64400000 + place, 32) for place in range(5)]


def opened(directory: Path, boot: str = "boot") -> tuple[Reserve, bool]:
    reserve = Reserve(directory, boot)
    return reserve, reserve.open()


def filled(directory: Path) -> tuple[Reserve, Chunk]:
    reserve, _ = opened(directory)
    return reserve, reserve.add(reserve.write(7, 2, 1, 4, UNITS, 32))


def test_the_first_life_begins_with_nothing(tmp_path: Path) -> None:
    reserve, is_known = opened(tmp_path / "radius-0")
    assert (is_known, reserve.chunks) == (False, {})
    assert len(reserve.life) == 36


def test_each_unit_is_taken_once_and_what_is_put_back_again(tmp_path: Path) -> None:
    _, chunk = filled(tmp_path)
    assert [chunk.unit(chunk.take()) for _ in UNITS] == UNITS
    assert (chunk.take(), chunk.free, chunk.unsettled) == (-1, 0, 5)
    chunk.put_back(3)
    assert (chunk.free, chunk.take(), chunk.take()) == (1, 3, -1)
    assert chunk.text(3) == "100.64.0.3/32"


def test_r7_2_who_is_killed_leaves_what_he_took_marked(tmp_path: Path) -> None:
    first, chunk = filled(tmp_path)
    taken = [chunk.take(), chunk.take()]
    second, is_known = opened(tmp_path)  # the first was never closed
    assert is_known
    assert second.life == first.life
    found = second.chunks[7]
    assert (found.pool_id, found.address_space, found.family, found.free) == (2, 1, 4, 3)
    assert {found.take() for _ in range(3)}.isdisjoint(taken)


def test_r7_2_another_boot_is_another_life_unless_it_was_closed_in_order(tmp_path: Path) -> None:
    first, chunk = filled(tmp_path)
    chunk.take()
    after_power_cut, is_known = opened(tmp_path, "another boot")
    assert not is_known
    assert after_power_cut.life != first.life
    assert after_power_cut.chunks == {}
    assert [path.name for path in tmp_path.iterdir()] == ["life"]


def test_a_clean_end_is_believed_after_a_boot_and_only_once(tmp_path: Path) -> None:
    first, chunk = filled(tmp_path)
    chunk.take()
    first.close()
    second, is_known = opened(tmp_path, "second boot")
    assert is_known
    assert second.chunks[7].free == 4
    _, is_known = opened(tmp_path, "third boot")  # the second was not closed
    assert not is_known


def test_a_machine_that_does_not_say_its_boot_is_believed_after_a_clean_end_only(tmp_path: Path) -> None:
    filled(tmp_path)
    assert opened(tmp_path, "")[1] is False


def test_what_was_cut_off_while_it_was_written_is_no_reserve(tmp_path: Path) -> None:
    reserve, _ = filled(tmp_path)
    whole = (tmp_path / "7").read_bytes()
    (tmp_path / "8").write_bytes(whole[:-1])
    (tmp_path / "9").write_bytes(b"")
    (tmp_path / "10").write_bytes(whole[:10])
    (tmp_path / "11.new").write_bytes(whole)
    second, _ = opened(tmp_path)
    assert list(second.chunks) == [7]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["7", "life"]
    (tmp_path / "x").write_bytes(b"another file".ljust(200))
    with pytest.raises(ReserveError):
        Chunk(tmp_path / "x")
    reserve.close()


def test_what_is_dropped_is_gone_and_another_life_has_nothing(tmp_path: Path) -> None:
    reserve, chunk = filled(tmp_path)
    reserve.drop(chunk)
    assert opened(tmp_path)[0].chunks == {}
    other = reserve.add(reserve.write(8, 2, 1, 4, UNITS, 32))
    life = reserve.life
    reserve.begin_life()
    assert reserve.life != life
    assert opened(tmp_path)[0].life == reserve.life
    assert not (tmp_path / str(other.reserve_id)).exists()


def test_what_is_excluded_is_not_taken(tmp_path: Path) -> None:
    _, chunk = filled(tmp_path)
    chunk.take()
    assert chunk.withdraw(0x643FFFFF, 0x64400001) == 1, "one of both was taken already"
    assert [chunk.take() for _ in range(4)] == [2, 3, 4, -1]


def test_a_network_is_withdrawn_if_one_of_its_addresses_is_excluded(tmp_path: Path) -> None:
    reserve, _ = opened(tmp_path)
    homes = [(0x20010DB8 << 96 | place << 72, 56) for place in range(3)]
    chunk = reserve.add(reserve.write(1, 3, 1, 6, homes, 56))
    inside = homes[1][0] + 5
    assert chunk.withdraw(inside, inside) == 1
    assert [chunk.text(chunk.take()) for _ in range(2)] == ["2001:db8::/56", "2001:db8:0:200::/56"]


def test_a_full_disk_sets_aside_in_memory_what_dies_with_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve, _ = opened(tmp_path)

    def fails(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fails)
    chunk = reserve.add(reserve.write(7, 2, 1, 4, UNITS, 32))
    assert [chunk.take() for _ in UNITS] == [0, 1, 2, 3, 4]
    chunk.put_back(2)
    assert chunk.take() == 2
    assert opened(tmp_path)[0].chunks == {}, "nothing of it is given by a successor"
    reserve.close()


def test_the_boot_is_told_by_the_kernel() -> None:
    assert boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@settings(max_examples=40)
@given(steps=st.lists(st.sampled_from(["take", "put", "kill", "all", "withdraw"]), max_size=40))
def test_r7_2_no_order_of_steps_takes_a_unit_twice(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    directory = tmp_path_factory.mktemp("reserve")
    reserve, chunk = filled(directory)
    held: list[int] = []
    for step in steps:
        if step == "take":
            place = chunk.take()
            assert place not in held
            if place >= 0:
                held.append(place)
        elif step == "put" and held:
            chunk.put_back(held.pop(0))
        elif step == "kill":
            reserve, _ = opened(directory)
            chunk = reserve.chunks[7]
        elif step == "all":
            given_back = chunk.take_all()
            assert not set(given_back) & set(held)
            held += given_back
        elif step == "withdraw":
            chunk.withdraw(UNITS[4][0], UNITS[4][0])
        assert chunk.free <= len(UNITS) - len(held)
