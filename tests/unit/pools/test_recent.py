"""Rule R7.2: what a process bound itself counts only while the replica cannot know better."""

import pytest

from aaad.pools import recent
from aaad.pools.recent import BY_SPOOL, Recent
from aaad.replica.snapshot import Snapshot

UNIT = (0x64400007, 32)
NOW_S = 1_800_000_000.0
FAR_S = NOW_S + 3600


def noted(transaction: int, seen: Snapshot | None, *, device: int = 9, valid_until_s: float = FAR_S) -> Recent:
    found = Recent()
    found.note(1, 2, device, UNIT, valid_until_s, transaction, seen)
    return found


BEFORE, AFTER = Snapshot("100:100:"), Snapshot("102:102:")


def test_r7_2_what_the_replica_does_not_show_yet_is_found() -> None:
    found = noted(101, BEFORE)
    assert found.find(1, 2, 9, NOW_S, BEFORE) == UNIT
    assert found.find(1, 2, 9, NOW_S, Snapshot("99:105:101")) == UNIT, "it was open then"


def test_r7_2_what_the_replica_shows_is_not_found_here_and_forgotten() -> None:
    found = noted(101, BEFORE)
    assert found.find(1, 2, 9, NOW_S, AFTER) is None
    assert found.find(1, 2, 9, NOW_S, BEFORE) is None


@pytest.mark.parametrize("asked", [(2, 2, 9), (1, 3, 9), (1, 2, 8)], ids=["login", "pool", "device"])
def test_it_is_nobody_elses(asked: tuple[int, int, int]) -> None:
    assert noted(101, BEFORE).find(*asked, NOW_S, BEFORE) is None


def test_a_device_that_is_not_known_is_never_found() -> None:
    assert noted(101, BEFORE, device=0).find(1, 2, 0, NOW_S, BEFORE) is None


def test_r7_2_it_counts_until_a_minute_before_its_end() -> None:
    found = noted(101, BEFORE, valid_until_s=NOW_S + 61)
    assert found.find(1, 2, 9, NOW_S, BEFORE) == UNIT
    assert found.find(1, 2, 9, NOW_S + 1, BEFORE) is None


def test_r7_2_what_went_into_the_spool_counts_while_the_replica_stands_still() -> None:
    found = noted(BY_SPOOL, BEFORE)
    assert found.find(1, 2, 9, NOW_S, BEFORE) == UNIT
    assert found.find(1, 2, 9, NOW_S, Snapshot("100:100:")) is None, "PostgreSQL is back: the ledger is asked"


@pytest.mark.parametrize("seen", [None, Snapshot("100:100:", ("another", "1"))])
def test_numbers_of_another_cluster_tell_nothing(seen: Snapshot | None) -> None:
    assert noted(101, BEFORE).find(1, 2, 9, NOW_S, seen) is None
    assert noted(101, None).find(1, 2, 9, NOW_S, BEFORE) is None


def test_it_is_bounded_and_keeps_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "ENTRIES_MAX", 3)
    found = Recent()
    for login_id in range(1, 10):
        found.note(login_id, 2, 9, UNIT, FAR_S, 101, BEFORE)
    kept = [login_id for login_id in range(1, 10) if found.find(login_id, 2, 9, NOW_S, BEFORE)]
    assert kept == [4, 5, 6, 7, 8, 9]


def test_a_snapshot_is_read() -> None:
    snapshot = Snapshot("10:20:12,15")
    assert [number for number in range(8, 22) if snapshot.sees(number)] == [8, 9, 10, 11, 13, 14, 16, 17, 18, 19]
    with pytest.raises(ValueError):
        Snapshot("10:20")
