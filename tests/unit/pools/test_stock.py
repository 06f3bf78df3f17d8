"""How much a radius process has set aside of a pool: what it usually should, and more while a storm uses it up."""

import pytest

from aaad.pools.stock import FIRST_UNITS, STORM_S, STORM_UNITS, Stock
from aaad.replica.record import PoolRow

USUAL = 256


class Units:
    """A chunk as a stock sees it."""

    def __init__(self, count: int) -> None:
        self.count = self.free = count

    def take(self) -> int:
        self.free -= 1
        return self.count - self.free - 1


@pytest.fixture
def stock() -> Stock:
    row = PoolRow(
        pool_id=1, address_space=1, name="main", kind="radius", family="ipv4", prefix_length=32, state="active",
        adopting=False, valid_s=86400, reserve_size=USUAL, ipv4_pool_id=0, ipv6_pool_id=0, delegated_pool_id=0,
    )  # fmt: skip
    return Stock(row)


def claim(stock: Stock, now_s: float, most: int = 10_000) -> int:
    asked = stock.lacking(now_s)
    got = min(asked, most)
    if asked:
        stock.chunks.append(Units(got))
        stock.claimed(got, asked, now_s)
    return got


def use(stock: Stock, units: int) -> None:
    for _ in range(units):
        assert stock.take() is not None


def test_what_nobody_asked_for_has_little_and_what_is_used_the_usual(stock):
    assert claim(stock, 100.0) == FIRST_UNITS
    assert claim(stock, 100.0) == 0
    use(stock, 1)
    assert claim(stock, 100.1) == USUAL - FIRST_UNITS + 1
    assert claim(stock, 100.2) == 0, "a pool that has just come into use is no storm"
    assert stock.free == USUAL


def test_in_a_storm_claims_grow_and_shrink_again_after_it(stock):
    now_s = 100.0
    claim(stock, now_s)
    use(stock, 1)
    claim(stock, now_s)
    for _ in range(6):
        now_s += STORM_S / 10
        use(stock, stock.free)
        claim(stock, now_s)
    assert stock.free == STORM_UNITS
    use(stock, STORM_UNITS)
    assert claim(stock, now_s + 2 * STORM_S) == STORM_UNITS, "what the storm was about"
    use(stock, STORM_UNITS)
    assert claim(stock, now_s + 4 * STORM_S) == USUAL


def test_of_a_small_pool_nobody_claims_again_and_again(stock):
    now_s = 100.0
    for _ in range(6):
        now_s += STORM_S / 10
        use(stock, stock.free)
        claim(stock, now_s, most=100)
    assert stock.free <= USUAL
