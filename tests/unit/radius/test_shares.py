"""In a backlog nobody starves: max-min fair shares, only once the capacity is used up."""

import math

from hypothesis import given
from hypothesis import strategies as st

from aaad.radius.shares import Shares, fair_level


def answered(shares: Shares, source: str, times: int) -> int:
    """How many of so many requests of a source are answered."""
    return sum(shares.has_room_for(source) for _ in range(times))


def test_while_there_is_room_nobody_is_dropped_however_many_ask() -> None:
    shares = Shares(2_200)
    assert all(answered(shares, f"10.0.0.{number}", 1) for number in range(200))
    assert answered(shares, "bras", 2_000) == 2_000


def test_whoever_asks_for_little_is_answered_when_another_used_it_all_up() -> None:
    shares = Shares(1_000)
    shares.has_room_for("bras")
    assert answered(shares, "", 5_000) < 1_100
    assert answered(shares, "bras", 400) == 400
    shares.begin_second()
    assert answered(shares, "", 1_000) == 1_000


def test_a_source_alone_has_everything() -> None:
    assert answered(Shares(10), "bras", 500) == 500


@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=30), st.integers(1, 5_000))
def test_the_level_shares_all_there_is_and_cuts_only_those_above_it(asked: list[int], capacity: int) -> None:
    level = fair_level(asked, capacity)
    if sum(asked) <= capacity:
        assert level == math.inf
    else:
        assert math.isclose(sum(min(amount, level) for amount in asked), capacity)
