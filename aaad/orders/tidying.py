"""Takes entries of ours out of routers' address lists when the session is over that they were written for.

What RADIUS puts into a list goes with its session; what the API wrote would stay, and hold for whoever gets the
address next. Each order remembers that it may have written some; a router that does not answer is asked again later.
Where the same customer is back, only what was written for his new session stays: he may have paid meanwhile.
"""

from collections import defaultdict

from aaad.errors import RouterError
from aaad.log import get_logger
from aaad.mikrotik.connection import RouterAccess
from aaad.orders.carrying import Carrying, Leftover
from aaad.orders.steps import Kept, Steps

AGAIN_S = 60.0
_log = get_logger("orders")


class Tidying:
    """That of one runner."""

    def __init__(self, carrying: Carrying, steps: Steps, *, again_s: float = AGAIN_S) -> None:
        """Nothing is asked yet. `again_s`: after which what is left is tried again."""
        self._carrying = carrying
        self._steps = steps
        self._again_s = again_s

    async def tidy(self) -> bool:
        """Take out what is left over, router by router; StoreError."""
        found = [one for one in await self._carrying.leftovers(self._again_s) if not one.is_open]
        if not found:
            return False
        known = await self._carrying.concentrators({one.nas_id for one in found})
        over: list[int] = []
        routers: defaultdict[RouterAccess, list[Leftover]] = defaultdict(list)
        for one in found:
            nas = known.get(one.nas_id)
            access = None if nas is None else nas.api_of(one.source_address)
            if access is None:
                over.append(one.order_id)  # there is nobody to ask
            else:
                routers[access].append(one)
        for access, left in routers.items():
            try:
                await self._steps.tidy(access, {one.note: Kept(one.addresses, one.lists) for one in left})
            except RouterError as error:
                _log.warning("order.entries_left", nas_id=left[0].nas_id, sessions=len(left), error=str(error))
            else:
                over += [one.order_id for one in left]
        await self._carrying.forget_leftovers(over)
        return False
