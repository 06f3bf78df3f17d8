"""The brake's word on a cut that nobody counted when it was wished: a change that no CoA brought about (R8.4)."""

import asyncio

from aaad.clock import monotonic_s
from aaad.log import get_logger
from aaad.orders.carrying import Carrying
from aaad.orders.wish import ClaimedOrder
from aaad.replica.brake import BrakeLimits

_log = get_logger("orders")
_LIVE_COUNT_S = 60.0
_UNBRAKED = frozenset({"unblock", "operator"})  # what gives service back is never held, nor what a person asked for


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
