"""Lines whose order is another's, wants something else or was cancelled while a provider is asked."""

import asyncio
import threading
from http.server import BaseHTTPRequestHandler

import pytest
from line_house import House, housed, steps

from aaad.orders.line_course import LineStep
from aaad.orders.store import OrderStore


@pytest.fixture
async def house(dsn, tmp_path):
    async with housed(dsn, tmp_path) as house:
        yield house


class Gate:
    """Holds a provider's answers to reads back until it is opened."""

    def __init__(self, house: House) -> None:
        self.opened = threading.Event()
        read = house.provider.read

        def held(handler: BaseHTTPRequestHandler) -> None:
            self.opened.wait(5)
            read(handler)

        house.provider.read = held


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_an_outcome_of_an_older_wish_ends_nothing(house):
    """What was blocked when the customer paid is unblocked at once, not when the claim is over."""
    await house.driver()
    await house.parameter("block_sip_with_contract")
    line = await house.line()
    await house.access("CA")
    async with house.running():
        house.provider.late_s = 0.4
        await until(lambda: house.provider.asked)
        await house.access("A")
        house.provider.late_s = 0.0
        order = await house.until_over(line, within_s=8)
    assert (order["kind"], order["state"], order["wish"]) == ("unblock_line", "done", 2)
    assert [said for step, said in steps(order) if step == LineStep.ASK] == ["done", "done"]
    assert house.provider.states["2001"] == "S"


async def test_who_lost_the_order_writes_nothing_of_its_line(house):
    await house.driver()
    await house.parameter("block_sip_with_contract")
    line = await house.line()
    await house.access("CA")
    async with house.running():
        house.provider.late_s = 0.4
        await until(lambda: house.provider.asked)
        await house.db.execute(
            "UPDATE net.network_order SET claimed_by = (SELECT id FROM net.node WHERE name = 'n2'), "
            "claimed_until = now() + interval '1 hour'"
        )
    row = await house.row(line)
    assert (row["state"], row["set_state"], row["asked_state"]) == (None, None, "blocked")
    assert row["asked_at"] is not None, "whoever has it now knows that it may have happened"
    assert [order["state"] for order in await house.orders(line)] == ["doing"]


async def test_a_provider_is_not_asked_for_what_nobody_wants_any_more(house):
    await house.driver()
    await house.parameter("block_sip_with_contract")
    line = await house.line()
    await house.access("CA")
    gate = Gate(house)
    async with house.running():
        await until(lambda: house.provider.reads)
        await house.access("A")
        gate.opened.set()
        order = await house.until_over(line)
    assert (order["kind"], order["state"], order["wish"]) == ("unblock_line", "done", 2)
    assert not house.provider.asked


async def test_a_sweep_orders_nothing_anew_that_an_operator_cancelled(house):
    await house.driver()
    await house.parameter("block_sip_with_contract")
    line = await house.line()
    await house.access("CA")
    (order,) = await house.orders(line)
    database = house.database()
    assert await OrderStore(database).cancel(order["id"], "ana")
    await database.close()
    await house.db.execute("UPDATE net.network_order SET ended_at = now() - interval '1 year'")
    await house.db.execute("SELECT net.sweep_lines()")
    assert [order["state"] for order in await house.orders(line)] == ["cancelled"]
    await house.access("CM")
    assert [order["state"] for order in await house.orders(line)] == ["cancelled", "todo"], "another change does"
