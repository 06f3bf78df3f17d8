"""What a radius process sets aside beforehand, and what it leaves to others."""

import pytest

from aaad.pools.stock import Stock
from aaad.replica.record import PoolRow


@pytest.mark.parametrize(
    ("family", "length", "is_claimed"), [("ipv4", 32, True), ("ipv4", 29, False), ("delegated", 56, True)]
)
def test_s2_08_secondary_networks_are_left_to_who_gives_them_to_logins(
    family: str, length: int, is_claimed: bool
) -> None:
    stock = Stock(PoolRow(1, 1, "redes", "radius", family, length, "active", False, 86_400, 256))
    assert bool(stock.lacking(1.0)) is is_claimed
