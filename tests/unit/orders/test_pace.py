"""How fast orders go to one concentrator, and what a silent one costs."""

import pytest

from aaad.orders.pace import BACKOFF_MAX_S, Limits, Pace, backoff_s

LIMITS = Limits(at_once=4, each_second=10.0, in_hand=20, probe_initial_s=1.0, probe_max_s=15.0)


@pytest.mark.parametrize(("attempts", "wait_s"), [(0, 1), (1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (10_000, 300)])
def test_waits_double_up_to_five_minutes(attempts: int, wait_s: float) -> None:
    assert backoff_s(attempts, 0.5) == wait_s
    assert backoff_s(attempts, 0.0) == wait_s * 0.75
    assert backoff_s(attempts, 1.0) == wait_s * 1.25
    assert BACKOFF_MAX_S == 300


def test_so_many_a_second_and_a_few_at_once_after_a_rest() -> None:
    pace = Pace(LIMITS)
    waits = [pace.wait_s(100.0) for _ in range(8)]
    assert waits[:4] == [0, 0, 0, 0]
    assert waits[4:] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert pace.wait_s(101.0) == 0.0


def test_one_probe_while_it_is_down_and_all_at_once_when_it_answers() -> None:
    pace = Pace(LIMITS)
    assert pace.room(100.0) == 20
    pace.in_hand = 1
    assert pace.silent(100.0, 103.0, 0.0)
    assert pace.is_down
    pace.in_hand = 0
    assert pace.room(103.5) == 0
    assert pace.room(104.0) == 1
    pace.in_hand = 1
    assert pace.room(104.0) == 0, "one at a time"
    assert pace.answered(105.0)
    assert pace.room(105.0) == 19
    assert not pace.answered(106.0)


def test_probes_come_seldom_but_never_more_than_fifteen_seconds_apart() -> None:
    pace, now_s, waits = Pace(LIMITS), 100.0, []
    for _ in range(8):
        pace.silent(now_s, now_s, 0.0)
        begun_s = now_s
        while not pace.room(now_s):
            now_s += 0.5
        waits.append(now_s - begun_s)
    assert waits == [1, 2, 4, 8, 15, 15, 15, 15]


def test_nothing_new_is_tried_while_one_that_found_no_answer_tries_its_other_ways() -> None:
    pace = Pace(LIMITS)
    pace.suspect(100.0, 103.0)
    assert pace.is_closed(103.0)
    assert not pace.is_closed(113.0)
    pace.answered(104.0)
    assert not pace.is_closed(104.0)
    pace.suspect(103.0, 105.0)
    assert not pace.is_closed(105.0), "others were answered since that one began"


def test_silence_while_others_are_answered_is_about_that_order() -> None:
    pace = Pace(LIMITS)
    pace.answered(102.0)
    assert not pace.silent(100.0, 103.0, 0.0)
    assert pace.room(103.0) == 20


def test_the_others_that_were_on_their_way_do_not_make_the_probe_later() -> None:
    pace = Pace(LIMITS)
    for _ in range(8):
        pace.silent(100.0, 103.0, 0.0)
    assert pace.room(104.0) == 1
