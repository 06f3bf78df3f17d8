"""Counter files: sums outlive the process and a change of names, damage costs the sums and nothing else."""

import multiprocessing
from pathlib import Path

import pytest

from aaad.metrics import LATENCY_BUCKETS, CounterFile, histogram, read_counters

NAMES = ("aaad_things_total|kind=one", "aaad_things_total|kind=two", "aaad_polled_at_seconds")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "counters" / "radius-0.cnt"


def filled(path: Path) -> bytes:
    """A file with 1, 2 and 3 in it; its octets."""
    counters = CounterFile(path, NAMES)
    for value, name in enumerate(NAMES, start=1):
        counters.set(name, value)
    return path.read_bytes()


def test_counts_are_seen_by_a_reader_at_once(path: Path) -> None:
    counters = CounterFile(path, NAMES)
    counters.add(NAMES[0])
    counters.add(NAMES[0], 5)
    counters.cells[counters.index[NAMES[1]]] += 2
    counters.set_seconds(NAMES[2], 1.25)
    expected = dict(zip(NAMES, (6, 2, 1_250_000), strict=True))
    assert read_counters(path) == expected
    assert read_counters(path) == expected


def test_sums_are_kept_across_opening_again(path: Path) -> None:
    filled(path)
    counters = CounterFile(path, NAMES)
    assert list(counters.cells) == [1, 2, 3]
    counters.add(NAMES[0])
    assert read_counters(path) == dict(zip(NAMES, (2, 2, 3), strict=True))


def test_sums_under_names_that_stay_are_kept_when_the_set_changes(path: Path) -> None:
    filled(path)
    counters = CounterFile(path, (NAMES[2], "aaad_new_total", NAMES[0]))
    assert list(counters.cells) == [3, 0, 1]


def test_another_order_of_names_keeps_every_sum(path: Path) -> None:
    filled(path)
    assert list(CounterFile(path, NAMES[::-1]).cells) == [3, 2, 1]


def test_a_file_that_is_cut_off_anywhere_begins_at_nought(path: Path) -> None:
    data = filled(path)
    for size in range(len(data)):
        path.write_bytes(data[:size])
        assert read_counters(path) is None, size
    path.write_bytes(data[:-3])
    assert list(CounterFile(path, NAMES).cells) == [0, 0, 0]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        bytes(4096),
        b"AAADCNT1",
        b"AAADCNT1\xff\xff\xff\xff",
        b"AAADCNT1\x05\0\0\0\x91\x01abc" + bytes(8),
    ],
)
def test_garbage_begins_at_nought(path: Path, data: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(data)
    assert read_counters(path) is None
    assert list(CounterFile(path, NAMES).cells) == [0, 0, 0]


def test_one_damaged_octet_is_no_exception(path: Path) -> None:
    data = filled(path)
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes((data[place] ^ 0xFF,)) + data[place + 1 :])
        found = read_counters(path)
        assert found is None or all(isinstance(value, int) for value in found.values())


def test_no_file_is_none(path: Path) -> None:
    assert read_counters(path) is None
    assert read_counters(path.parent) is None


def test_two_counters_of_one_name_are_a_mistake(path: Path) -> None:
    with pytest.raises(ValueError, match="one name"):
        CounterFile(path, ("a", "a"))


def test_a_count_fills_sixty_four_bits(path: Path) -> None:
    counters = CounterFile(path, NAMES)
    counters.set(NAMES[0], 2**64 - 1)
    assert read_counters(path) == dict(zip(NAMES, (2**64 - 1, 0, 0), strict=True))


def test_a_histogram_has_a_bucket_for_each_power_of_two() -> None:
    assert histogram("aaad_x_seconds")[0] == "aaad_x_seconds%0"
    assert len(histogram("aaad_x_seconds")) == LATENCY_BUCKETS


def _count_and_die(path: Path) -> None:
    CounterFile(path, NAMES).add(NAMES[0], 7)
    multiprocessing.current_process().kill()


def test_counts_outlive_a_killed_process(path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_count_and_die, args=(path,))
    process.start()
    process.join(30)
    assert list(CounterFile(path, NAMES).cells) == [7, 0, 0]
