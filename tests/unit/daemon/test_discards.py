"""What is recent of counters that only grow."""

from aaad.daemon.discards import HIDING, RECENT_S, Discards, RecentDiscards
from aaad.policy.codes import Discard
from aaad.radius.counters import UNWRITTEN, discarded


def counters(**causes: int) -> dict[str, dict[str, int] | None]:
    return {"radius-0": {discarded(Discard[cause.upper()]): count for cause, count in causes.items()}, "broken": None}


def test_before_the_first_sample_everything_is_told() -> None:
    assert RecentDiscards().until(counters(late=7)) == Discards(since_s=None, counts={"late": 7})


def test_only_what_came_since_the_oldest_sample_is_told() -> None:
    recent = RecentDiscards()
    recent.note(counters(late=7, overload=1), 1000.0)
    assert recent.until(counters(late=7, overload=1)) == Discards(since_s=1000.0, counts={})
    recent.note(counters(late=9, overload=1), 1300.0)
    assert recent.until(counters(late=10, overload=1)) == Discards(since_s=1000.0, counts={"late": 3})
    recent.note(counters(late=10, overload=1), 1001.0 + RECENT_S)
    assert recent.until(counters(late=10, overload=1)) == Discards(since_s=1300.0, counts={"late": 1})


def test_counters_that_began_anew_and_a_clock_that_went_back_tell_nothing_wrong() -> None:
    recent = RecentDiscards()
    recent.note(counters(late=7), 1000.0)
    assert recent.until(counters(late=2)).counts == {}
    recent.note(counters(late=2), 10.0)
    assert recent.until(counters(late=2)).counts == {}


def test_decisions_that_were_not_written_down_are_told_apart() -> None:
    recent = RecentDiscards()
    recent.note({"radius-0": {UNWRITTEN: 7}}, 1000.0)
    assert recent.until({"radius-0": {UNWRITTEN: 9}, "radius-1": {UNWRITTEN: 1}}) == Discards(
        since_s=1000.0, unwritten=3
    )
    assert recent.until({"radius-0": {UNWRITTEN: 2}}).unwritten == 0


def test_samples_are_few() -> None:
    recent = RecentDiscards()
    for second in range(5000):
        recent.note(counters(late=second), float(second))
    assert len(recent._samples) < 30


def test_what_costs_no_login_its_request_is_left_out() -> None:
    assert set(Discard) - set(HIDING) == {
        Discard.DUPLICATE_IN_WORK,
        Discard.CODE_NOT_SERVED,
        Discard.NOT_RECORDED,
    }


def test_samples_are_few_also_when_the_clock_goes_back_and_back() -> None:
    recent = RecentDiscards()
    for step in range(5000):
        recent.note(counters(late=step), 1e9 - step)
    assert len(recent._samples) < 30
