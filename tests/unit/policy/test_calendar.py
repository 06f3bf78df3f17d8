"""Days and hours of a zone."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaad.policy.calendar import (
    ALL_HOURS,
    hours_to_change,
    local_hour,
    midnight_s,
    next_change_s,
    zone_offset_s,
)

JANUARY_2026_S = 1_767_225_600  # 2026-01-01 00:00 UTC, day 20,454
DAY = 20_454
BRASILIA, ACRE, FERNANDO, NEPAL = -10_800, -18_000, -7_200, 20_700


@pytest.mark.parametrize(("offset_s", "hour"), [(0, 0), (BRASILIA, 21), (ACRE, 19), (NEPAL, 5)])
def test_where_an_instant_lies(offset_s: int, hour: int) -> None:
    assert local_hour(JANUARY_2026_S, offset_s) == hour


@pytest.mark.parametrize("offset_s", [0, BRASILIA, ACRE, FERNANDO, NEPAL])
def test_midnight_is_the_first_instant_of_its_day(offset_s: int) -> None:
    begins_s = midnight_s(DAY, offset_s)
    assert begins_s == JANUARY_2026_S - offset_s
    assert (local_hour(begins_s, offset_s), local_hour(begins_s - 0.001, offset_s)) == (0, 23)


@pytest.mark.parametrize(
    ("hours", "hour", "expected"),
    [
        (0, 5, 0),
        (ALL_HOURS, 5, 0),
        (1 << 5, 5, 1),
        (1 << 5, 4, 1),
        (1 << 5, 6, 23),
        (0b111, 23, 1),
        (1 << 23 | 1, 23, 2),
        (1 << 23, 0, 23),
    ],
)
def test_hours_to_the_next_change(hours: int, hour: int, expected: int) -> None:
    assert hours_to_change(hours, hour) == expected


@given(st.integers(0, ALL_HOURS), st.floats(0, 4e9), st.sampled_from([0, BRASILIA, ACRE, NEPAL]))
def test_the_next_change_is_the_first_one(hours: int, now_s: float, offset_s: int) -> None:
    def is_in(moment_s: float) -> bool:
        return bool(hours >> local_hour(moment_s, offset_s) & 1)

    change_s = next_change_s(hours, now_s, offset_s)
    if change_s == inf:
        assert hours in (0, ALL_HOURS)
        return
    assert now_s < change_s <= now_s + 86_400
    assert is_in(change_s) != is_in(now_s)
    assert is_in(change_s - 0.001) == is_in(now_s)
    assert all(is_in(change_s - hour * 3600 - 1) == is_in(now_s) for hour in range(int(change_s - now_s) // 3600))


@pytest.mark.parametrize(
    ("zone", "offset_s"),
    [
        ("America/Sao_Paulo", BRASILIA),
        ("America/Manaus", -14_400),
        ("America/Rio_Branco", ACRE),
        ("America/Noronha", FERNANDO),
        ("Asia/Kathmandu", NEPAL),
    ],
)
def test_offsets_of_zones(zone: str, offset_s: int) -> None:
    assert zone_offset_s(zone, JANUARY_2026_S) == offset_s


@pytest.mark.parametrize("zone", ["Nowhere/Land", "", "../etc/passwd", "America", "a\0b"])
def test_a_zone_that_does_not_exist(zone: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        zone_offset_s(zone, JANUARY_2026_S)


def test_summer_time_is_another_offset() -> None:
    assert zone_offset_s("America/Sao_Paulo", 1_546_300_800) == -7_200  # January of 2019, the last summer time


@pytest.mark.parametrize(
    ("at_s", "offset_s"),
    [
        # Summer time began at 2018-11-04 03:00 UTC and ended at 2019-02-17 02:00 UTC.
        *((1_541_289_600, -10_800), (1_541_300_399, -10_800), (1_541_300_400, -7_200), (1_541_311_200, -7_200)),
        *((1_550_361_600, -7_200), (1_550_368_799, -7_200), (1_550_368_800, -10_800), (1_550_379_600, -10_800)),
    ],
)
def test_an_offset_changes_at_its_instant(at_s: float, offset_s: int) -> None:
    assert zone_offset_s("America/Sao_Paulo", at_s) == offset_s
