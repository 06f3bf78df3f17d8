"""Orders carried out: over UDP and the routers' API, until it is read that it is so (rule R8)."""

import pytest
from order_house import change, gone, housed


@pytest.fixture
async def house(dsn, tmp_path):
    async with housed(dsn, tmp_path) as house:
        yield house


async def test_39_throttled_without_being_dropped(house):
    """field.md 39: a CoA changes the speed, the session stays, and the router's queue shows it."""
    bras = await house.add_bras()
    key = await house.begin(bras, granted={"rate_limit": "10M/20M"})
    (order,) = await house.order(change(key, "1M/2M"))
    async with house.running():
        row = await house.until(order)
    assert (row["state"], await house.steps(order)) == ("done", [("coa", "done"), ("read", "as_wanted")])
    assert bras.granted("81a00001").rate_limit == "1M/2M"
    assert bras.sessions == {"81a00001"}
    applied = await house.db.fetchrow("SELECT fingerprint, evidence FROM net.session_applied")
    assert tuple(applied) == (7, "read")


async def test_a_disconnect_is_read_back(house):
    bras = await house.add_bras()
    key = await house.begin(bras)
    (order,) = await house.order(gone(key))
    async with house.running():
        row = await house.until(order)
    assert (row["state"], await house.steps(order)) == ("done", [("disconnect", "done"), ("read", "gone")])
    assert not bras.sessions
