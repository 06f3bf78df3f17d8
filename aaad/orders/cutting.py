"""What is asked in the midst of an order: may it cut, if nobody counted that before (R8.4); is it the newest (R8.1).

It sends nothing, and never decides what is wished.
"""

import asyncio

from aaad.clock import monotonic_s
from aaad.errors import AaadError, StoreError
from aaad.log import get_logger
from aaad.orders.carrying import Carrying
from aaad.orders.wish import ClaimedOrder
from aaad.replica.brake import BrakeLimits

_log = get_logger("orders")
_LIVE_COUNT_S = 60.0
_UNBRAKED = frozenset({"unblock", "operator"})  # what gives service back is never held, nor what a person asked for


class TurnBackError(AaadError):
    """The concentrator of an order was found to be down before it was its turn, or something newer is wished."""


async def turn_back_if_newer(carrying: Carrying, node_id: int, order: ClaimedOrder) -> None:
    """Let what was sent once not be sent again, if it is not wished any more; without PostgreSQL nobody knows."""
    try:
        is_newest = await carrying.is_newest(node_id, order)
    except StoreError:
        return
    if not is_newest:
        raise TurnBackError


class CutBrake:
    """Asks PostgreSQL, one cut after the other, so that each counts."""

    def __init__(self, carrying: Carrying, limits: BrakeLimits) -> None:
        """Nothing is asked before the first cut."""
        self._carrying = carrying
        self._limits = limits
        self._turn = asyncio.Lock()
        self._live = (0, float("-inf"))  # sessions that go on, as of then
        self._held_run: int | None = None

    async def may_cut(self, order: ClaimedOrder, node_id: int) -> bool:
        """Tell whether this order may cut its session; False: it is held. StoreError: nobody could be asked."""
        if order.kind == "disconnect" or order.is_cutting or order.cause in _UNBRAKED:
            return True
        async with self._turn:
            now_s = monotonic_s()
            if now_s - self._live[1] > _LIVE_COUNT_S:
                self._live = (await self._carrying.count_live(), now_s)
            allowance = self._limits.allowance(self._live[0])
            is_allowed, run_id = await self._carrying.may_cut(
                node_id, order, allowance, self._limits.window_s, self._held_run
            )
        if not is_allowed and run_id is not None and run_id != self._held_run:
            self._held_run = run_id
            _log.error("orders.held", run=run_id, why="changes come to cuts", release=f"aaad order release {run_id}")
        return is_allowed
