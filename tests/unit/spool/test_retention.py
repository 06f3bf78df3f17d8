"""Drained segments stay for their time, and give way sooner only for want of room (rule R6.1)."""

import pytest
from spool_disk import put, writer

from aaad.spool import directory as directory_module
from aaad.spool import retention
from aaad.spool.directory import occupied_octets, segment_numbers, segment_path
from aaad.spool.retention import Removed, mark_drained, remove_drained

NOW_S = 2_000_000_000.0
KEEP_S = 172_800.0


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "radius-0"
    for number in range(5):
        spool = writer(path)
        put(spool, [b"%d" % number])
        spool.stop(5)
    return path


def remove(directory, *, before: int, now_s: float = NOW_S, bytes_max: int = 1 << 30) -> Removed:
    return remove_drained(directory, before=before, now_s=now_s, keep_s=KEEP_S, bytes_max=bytes_max)


def test_a_segment_stays_its_time_from_when_it_was_drained(directory):
    mark_drained(directory, 1, now_s=NOW_S)
    assert remove(directory, before=2, now_s=NOW_S + KEEP_S - 1) == (0, 0)
    assert remove(directory, before=2, now_s=NOW_S + KEEP_S) == (1, 0)
    assert segment_numbers(directory) == [2, 3, 4, 5]


def test_a_segment_drained_after_long_is_not_old_at_once(directory):
    """PostgreSQL was away for a week: the file is old, but drained only now."""
    assert remove(directory, before=4) == (0, 0)
    assert remove(directory, before=4, now_s=NOW_S + KEEP_S - 1) == (0, 0)
    assert remove(directory, before=4, now_s=NOW_S + KEEP_S) == (3, 0)


def test_a_segment_drained_a_second_time_begins_its_time_anew(directory):
    mark_drained(directory, 1, now_s=NOW_S)
    mark_drained(directory, 1, now_s=NOW_S + 100)
    assert remove(directory, before=2, now_s=NOW_S + KEEP_S + 50) == (0, 0)


def test_what_is_not_drained_never_goes(directory):
    for number in range(1, 6):
        mark_drained(directory, number, now_s=0.0)
    assert remove(directory, before=3, bytes_max=1) == (2, 0)
    assert segment_numbers(directory) == [3, 4, 5]


def test_the_oldest_drained_give_way_when_room_runs_out(directory):
    assert occupied_octets(directory) > 20_000
    removed = remove(directory, before=5, bytes_max=20_000)
    assert removed.removed == removed.early == 2
    assert segment_numbers(directory) == [3, 4, 5]


def test_marking_what_is_gone_already_is_no_error(directory):
    mark_drained(directory, 99, now_s=NOW_S)
    assert not segment_path(directory, 99).exists()


def test_a_segment_that_goes_meanwhile_is_no_error(directory, monkeypatch):
    """The writer may need its room in the same instant."""
    everything = segment_numbers(directory)
    segment_path(directory, 2).unlink()
    monkeypatch.setattr(directory_module, "segment_numbers", lambda _: everything)
    monkeypatch.setattr(retention, "segment_numbers", lambda _: everything)
    assert occupied_octets(directory) > 0
    for number in (1, 3):
        mark_drained(directory, number, now_s=NOW_S)
    assert remove(directory, before=4, now_s=NOW_S + KEEP_S) == (2, 0)
