"""The journal: what is appended is found at once, bounded, and survives crashes and damage."""

import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aaad import journal as journal_module
from aaad.journal import BODY_OCTETS_MAX, JOURNAL_COUNTERS, SEGMENT_OCTETS_MIN, Journal, JournalReader
from aaad.metrics import CounterFile

SEGMENT = SEGMENT_OCTETS_MIN


def open_journal(root: Path, slot: str = "radius-0", segments: int = 4) -> Journal:
    return Journal(root / slot, segment_bytes=SEGMENT, bytes_max=SEGMENT * segments)


def bodies(root: Path, subject: int, limit: int = 1000) -> list[bytes]:
    return [entry.body for entry in JournalReader(root).find(subject, limit)]


def test_entries_are_found_at_once_newest_first_and_only_of_their_subject(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.append(7, 100.5, b"first")
    journal.append(8, 101.0, b"other")
    journal.append(7, 102.0, b"second")
    entries = JournalReader(tmp_path).find(7, 10)
    assert [(entry.at_s, entry.slot, entry.body) for entry in entries] == [
        (102.0, "radius-0", b"second"),
        (100.5, "radius-0", b"first"),
    ]
    assert bodies(tmp_path, 7, limit=1) == [b"second"]
    assert bodies(tmp_path, 9) == []


def test_several_slots_are_merged_by_time(tmp_path: Path) -> None:
    first, second = open_journal(tmp_path, "radius-0"), open_journal(tmp_path, "radius-1")
    for at_s in range(10):
        (first if at_s % 2 else second).append(1, float(at_s), b"%d" % at_s)
    assert bodies(tmp_path, 1, limit=4) == [b"9", b"8", b"7", b"6"]


def test_a_missing_root_holds_nothing(tmp_path: Path) -> None:
    assert JournalReader(tmp_path / "absent").find(1, 5) == []
    assert JournalReader(tmp_path / "absent").oldest_at_s() is None


def test_a_new_process_goes_on_behind_the_last_entry(tmp_path: Path) -> None:
    for run in range(20):
        journal = open_journal(tmp_path)
        journal.append(1, float(run), b"run %d" % run)
        journal.close()
    assert len(list((tmp_path / "radius-0").iterdir())) == 1
    assert bodies(tmp_path, 1) == [b"run %d" % run for run in reversed(range(20))]
    assert JournalReader(tmp_path).oldest_at_s() == 0.0


def test_it_is_bounded_and_forgets_the_oldest(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, segments=3)
    for number in range(20_000):
        journal.append(1, float(number), b"%0100d" % number)
    files = list((tmp_path / "radius-0").iterdir())
    assert len(files) == 3
    assert sum(path.stat().st_size for path in files) == 3 * SEGMENT
    kept = [int(body) for body in bodies(tmp_path, 1, limit=20_000)]
    assert kept == list(range(19_999, 19_999 - len(kept), -1))
    assert len(kept) > 2 * SEGMENT // 140
    assert JournalReader(tmp_path).oldest_at_s() == float(kept[-1])
    assert journal.dropped == 0


def test_the_segment_is_private(tmp_path: Path) -> None:
    open_journal(tmp_path)
    (path,) = (tmp_path / "radius-0").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=st.lists(st.tuples(st.integers(16, 5000), st.binary(min_size=1, max_size=40)), max_size=6))
def test_damage_costs_only_the_entries_it_hits(tmp_path: Path, damage: list[tuple[int, bytes]]) -> None:
    root = tmp_path / os.urandom(4).hex()
    journal = open_journal(root)
    written = [b"entry %03d " % number * 4 for number in range(60)]
    starts = []
    for number, body in enumerate(written):
        starts.append(journal._position)
        journal.append(3, float(number), body)
    end = journal._position
    journal.close()
    (path,) = (root / "radius-0").iterdir()
    data = bytearray(path.read_bytes())
    before = bytes(data)
    for at, octets in damage:
        data[at : at + len(octets)] = octets
    path.write_bytes(data)
    stops = [*starts[1:], end]

    def guarded(octets: bytes, start: int, stop: int) -> bytes:
        return bytes(octets[start : start + 16] + octets[start + 24 : stop])  # all but the time, which no CRC covers

    whole = [
        body
        for body, start, stop in zip(written, starts, stops, strict=True)
        if guarded(data, start, stop) == guarded(before, start, stop)
    ]
    assert sorted(bodies(root, 3)) == whole
    again = open_journal(root)
    again.append(3, 1000.0, b"after the damage")
    assert bodies(root, 3, 1) == [b"after the damage"]
    again.close()


def test_octets_inside_a_body_cannot_pose_as_an_entry(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    forged = struct.pack("<QdHI", 7, 1.0, 0, 7) + b"x" * 20
    for _ in range(50):
        journal.append(5, 1.0, forged)
    assert bodies(tmp_path, 7) == []


def test_kill_9_loses_nothing_that_was_appended(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from aaad.journal import Journal\n"
        f"journal = Journal(pathlib.Path({str(tmp_path / 'radius-0')!r}),"
        f" segment_bytes={SEGMENT}, bytes_max={SEGMENT * 400})\n"
        "number = 0\n"
        "while True:\n"
        "    journal.append(1, float(number), b'%d' % number)\n"
        "    number += 1\n"
        "    if number % 1000 == 0: print(number, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = 0
    for line in process.stdout:
        acknowledged = int(line)
        if acknowledged >= 20_000:
            break
    seen_live = int(bodies(tmp_path, 1, 1)[0])
    process.send_signal(signal.SIGKILL)
    acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
    process.wait()
    kept = [int(body) for body in bodies(tmp_path, 1, 10_000_000)]
    assert kept == list(range(kept[0], -1, -1))
    assert kept[0] >= acknowledged - 1
    assert seen_live >= 19_999
    journal = open_journal(tmp_path, segments=400)
    journal.append(1, float(kept[0] + 1), b"%d" % (kept[0] + 1))
    assert int(bodies(tmp_path, 1, 1)[0]) == kept[0] + 1


def test_a_second_writer_of_a_slot_does_not_write_into_the_first_ones_segment(tmp_path: Path) -> None:
    first, second = open_journal(tmp_path), open_journal(tmp_path)
    for number in range(200):
        first.append(1, number + 0.0, b"first")
        second.append(1, number + 0.5, b"second")
    assert bodies(tmp_path, 1).count(b"first") == 200
    assert bodies(tmp_path, 1).count(b"second") == 200


def test_without_room_entries_are_dropped_counted_and_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal_module.os, "posix_fallocate", no_room)
        journal = open_journal(tmp_path)
        journal.append(1, 1000.0, b"lost")
        journal.append(1, 1001.0, b"lost")
        assert journal.dropped == 2
        assert journal.problem is not None
        assert "No space left" in journal.problem
    journal.append(1, 1002.0, b"lost: too early to ask again")
    journal.append(1, 1011.0, b"kept")
    assert journal.dropped == 3
    assert journal.problem is None
    assert bodies(tmp_path, 1) == [b"kept"]


def test_a_body_that_is_too_long_is_dropped_and_counted(tmp_path: Path) -> None:
    counters = CounterFile(tmp_path / "radius-0.cnt", JOURNAL_COUNTERS)
    journal = Journal(tmp_path / "radius-0", segment_bytes=SEGMENT, bytes_max=4 * SEGMENT, counters=counters)
    journal.append(1, 1.0, b"x" * (BODY_OCTETS_MAX + 1))
    journal.append(1, 2.0, b"x" * BODY_OCTETS_MAX)
    assert journal.dropped == counters.cells[0] == 1
    assert len(bodies(tmp_path, 1)) == 1


def test_a_segment_must_hold_the_longest_body(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least"):
        Journal(tmp_path, segment_bytes=1024, bytes_max=4096)
