"""Octets by day, and counters of 32 bits made whole in the order of Acct-Session-Time (rule R5.5)."""

from itertools import permutations
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from aaad.sessions.counters import SAMPLES_MAX, Samples, highest_of_days, raise_day, raise_days

WHOLE = 2**32
days = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2**40), st.integers(0, 2**40)), max_size=12)


def kept(reported: list[tuple[int, int, int]]) -> bytes:
    known = b""
    for day, octets_in, octets_out in reported:
        known = raise_day(known, day, octets_in, octets_out)
    return known


@given(days, days)
def test_days_keep_the_highest_whatever_the_order(
    one: list[tuple[int, int, int]], other: list[tuple[int, int, int]]
) -> None:
    together = one + other
    numbers = sorted({day for day, _, _ in together})
    so_far = [[entry for entry in together if entry[0] <= day] for day in numbers]
    expected = (
        tuple(numbers),
        tuple(max(entry[1] for entry in entries) for entries in so_far),
        tuple(max(entry[2] for entry in entries) for entries in so_far),
    )
    assert highest_of_days(kept(together)) == expected
    assert kept(together[::-1]) == kept(together)
    assert raise_days(kept(one), kept(other)) == kept(together) == raise_days(kept(other), kept(one))
    assert raise_days(kept(one), kept(one)) == kept(one)


def test_nothing_reported_is_no_day() -> None:
    assert highest_of_days(b"") == ((), (), ())


def test_samples_in_any_order_and_again_come_to_the_same() -> None:
    reported = [(100, 1, 4_000_000_000, 7), (200, 1, 5, 8), (200, 2, 6, 8), (300, 2, 0, 9), (400, 2, 4, 10)]
    for order in permutations(reported):
        samples = Samples()
        for sample in (*order, *order):
            samples.add(*sample)
        assert (samples.now.total_in, samples.now.total_out) == (2 * WHOLE + 4, 10)


def test_two_samples_of_one_moment_are_no_wrap() -> None:
    samples = Samples()
    samples.add(100, 1, 5, 9)
    samples.add(100, 1, 6, 8)
    assert (samples.now.total_in, samples.now.total_out) == (6, 9)


def test_samples_are_bounded_and_what_came_before_counts_on() -> None:
    samples = Samples()
    count = SAMPLES_MAX * 3
    for number in range(1, count + 1):
        samples.add(number, number // 100, (number * (WHOLE - 1)) % WHOLE, number)
    assert (samples.now.total_in, samples.now.total_out) == (count * (WHOLE - 1), count)
    assert len(samples.kept) == SAMPLES_MAX * 14
    before = samples.now.total_in
    samples.add(1, 0, 5, 5)
    assert (samples.now.total_in, len(samples.kept)) == (before, SAMPLES_MAX * 14)


@given(st.randoms(use_true_random=False), st.integers(1, 200))
def test_merged_samples_are_those_of_both(random: Random, count: int) -> None:
    step = random.randrange(1, 2**31)
    reported = [(n * 300, n // 5, n * step % WHOLE, n) for n in range(1, count)]
    one, other, both = Samples(), Samples(), Samples()
    for sample in reported:
        random.choice((one, other)).add(*sample)
        both.add(*sample)
    one.add(*reported[0]) if reported else None
    other.merge(one)
    assert (other.now, other.kept, other.before) == (both.now, both.kept, both.before)


def test_of_long_ones_what_lasted_longer_stays() -> None:
    short, long = Samples(), Samples()
    for number in range(1, 10):
        short.add(number, 0, number, number)
    for number in range(10, 10 + SAMPLES_MAX + 50):
        long.add(number, 0, number, number)
    long.merge(short)
    assert (long.now.total_in, len(long.kept)) == (SAMPLES_MAX + 59, SAMPLES_MAX * 14)
    other = Samples()
    other.merge(long)
    assert other == long
