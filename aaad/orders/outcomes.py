"""What became of orders, written down many at a time: nothing is dropped because PostgreSQL is away.

An outcome that PostgreSQL refuses for its values is written alone, then without its answers, then given up aloud:
what one router says stops no other order.
"""

import asyncio
from collections.abc import Sequence

from aaad.errors import StoreError
from aaad.log import get_logger
from aaad.metrics import LATENCY_BUCKETS, CounterFile
from aaad.orders import counted
from aaad.orders.carrying import Carrying, Result, Saved

_log = get_logger("orders")
_SAVED_AT_ONCE = 500


class Outcomes:
    """Those of one runner that are not written yet; bounded by what it has in hand."""

    def __init__(self, carrying: Carrying, counters: CounterFile) -> None:
        """Nothing is written before `save_some`."""
        self.waiting: list[Result] = []
        self._carrying = carrying
        self._counters = counters
        self._turn = asyncio.Lock()

    def add(self, result: Result) -> None:
        """Keep one until it is written."""
        self.waiting.append(result)

    async def save_some(self, node_id: int) -> list[Saved]:
        """Write some of them; StoreError: PostgreSQL is away, and they stay for the next time."""
        async with self._turn:
            some = self.waiting[:_SAVED_AT_ONCE]
            saved: list[Saved] = []
            try:
                saved = await self._carrying.save(node_id, some) if some else []
            except StoreError as error:
                if not _is_about_values(error):
                    raise
                for one in some:
                    saved += await self._save_one(node_id, one)
            del self.waiting[: len(some)]
        self.count(saved)
        return saved

    async def _save_one(self, node_id: int, result: Result) -> list[Saved]:
        for tried in (result, result._replace(answers=())):
            try:
                return await self._carrying.save(node_id, [tried])
            except StoreError as error:
                if not _is_about_values(error):
                    raise
                self._counters.add(counted.BUGS)
                _log.error("order.not_saved", order=result.order.order_id, error=str(error))
        return []

    def count(self, saved: Sequence[Saved]) -> None:
        """Count those that have come to an end, and how long they took."""
        for one in saved:
            name = counted.ended(one.kind, one.state)
            if name in self._counters.index:
                self._counters.add(name)
                power = min(max(int(one.age_s * 1e6), 0).bit_length(), LATENCY_BUCKETS - 1)
                self._counters.add(f"{counted.SECONDS}%{power}")


def _is_about_values(error: StoreError) -> bool:
    """Whether PostgreSQL refused what it was given, which no second try makes better: data, constraints."""
    return (error.sqlstate or "")[:2] in ("22", "23")
