"""How a mirror stands: waited for only in step, tried again soon, and less often the more it flaps."""

from hypothesis import given
from hypothesis import strategies as st

from aaad.spool.mirror_course import RETRY_MAX_S, RETRY_S, STEADY_S, Course, Stage, begin


def test_away_then_catching_up_then_in_step_and_only_then_is_it_waited_for() -> None:
    course = begin(100.0)
    assert (course.stage, course.is_waited_for, course.may_try(100.0)) == (Stage.AWAY, False, True)
    course = course.connected(101.0)
    assert (course.stage, course.is_waited_for, course.may_try(200.0)) == (Stage.CATCHING_UP, False, False)
    course = course.reached(102.0)
    assert (course.stage, course.is_waited_for, course.may_try(200.0)) == (Stage.IN_STEP, True, False)
    course = course.lost(150.0, "timeout")
    assert (course.stage, course.cause, course.away_since_s) == (Stage.AWAY, "timeout", 150.0)
    assert not course.may_try(150.0 + RETRY_S - 0.01)
    assert course.may_try(150.0 + RETRY_S)


def test_in_step_is_reached_by_catching_up_only() -> None:
    course = begin(0.0)
    assert course.reached(1.0) == course
    in_step = course.connected(1.0).reached(2.0)
    assert in_step.connected(3.0) == in_step
    assert in_step.reached(3.0) == in_step


def test_away_since_is_when_it_was_last_in_step_whatever_was_tried_since() -> None:
    course = begin(0.0).connected(0.0).reached(0.0).lost(100.0, "connection")
    for at_s in (101.0, 102.0, 103.0):
        course = course.lost(at_s, "connection")
    assert (course.away_since_s, course.since_s) == (100.0, 100.0)
    course = course.connected(104.0).lost(105.0, "timeout")
    assert (course.away_since_s, course.since_s) == (100.0, 105.0)


def test_a_mirror_that_is_lost_soon_after_it_was_in_step_is_tried_less_and_less_often_and_a_steady_one_at_once() -> (
    None
):
    course, now_s, pauses = begin(0.0), 0.0, []
    for _ in range(7):
        course = course.connected(now_s).reached(now_s).lost(now_s + STEADY_S - 1, "timeout")
        now_s = course.retry_at_s
        pauses.append(course.pause_s)
    assert pauses == [2, 4, 8, 16, 16, 16, 16]
    assert pauses[-1] == RETRY_MAX_S
    course = course.lost(now_s, "connection")
    assert course.pause_s == RETRY_MAX_S, "that it cannot be reached does not make it steady"
    course = course.connected(now_s).reached(now_s).lost(now_s + STEADY_S, "timeout")
    assert course.pause_s == RETRY_S


STEPS = st.lists(st.tuples(st.sampled_from(["connected", "reached", "lost"]), st.floats(0, 100)), max_size=40)


@given(STEPS)
def test_whatever_happens_it_is_tried_again_in_bounded_time_and_waited_for_in_step_only(
    steps: list[tuple[str, float]],
) -> None:
    course, now_s = begin(0.0), 0.0
    for what, later_s in steps:
        now_s += later_s
        before = course
        course = course.lost(now_s, "x") if what == "lost" else getattr(course, what)(now_s)
        assert isinstance(course, Course)
        assert course.is_waited_for == (course.stage is Stage.IN_STEP)
        assert RETRY_S <= course.pause_s <= RETRY_MAX_S
        if what == "lost":
            assert RETRY_S <= course.retry_at_s - now_s <= RETRY_MAX_S
            assert course.may_try(now_s + RETRY_MAX_S)
        if course.stage is Stage.IN_STEP:
            assert before.stage in (Stage.CATCHING_UP, Stage.IN_STEP)
