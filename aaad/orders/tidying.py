"""Takes entries of ours out of routers' address lists when the session is over that they were written for.

What RADIUS puts into a list goes with its session; what the API wrote would stay, and hold for whoever gets the
address next. Each order remembers that it wrote some; a router that does not answer is asked again later. Where the
same customer is back at the same address, they are his, and go with his new session.
"""

from collections import defaultdict

from aaad.errors import RouterError
from aaad.log import get_logger
from aaad.mikrotik.connection import RouterAccess
from aaad.orders.carrying import Carrying, Leftover
from aaad.orders.steps import Steps

AGAIN_S = 60.0
_log = get_logger("orders")


class Tidying:
    """That of one runner."""

    def __init__(self, carrying: Carrying, steps: Steps) -> None:
        """Nothing is asked yet."""
        self._carrying = carrying
        self._steps = steps

    async def tidy(self) -> bool:
        """Take out what is left over, router by router; StoreError."""
        found = await self._carrying.leftovers(AGAIN_S)
        if not found:
            return False
        known = await self._carrying.concentrators({one.nas_id for one in found})
        over: list[int] = []
        routers: defaultdict[RouterAccess, list[Leftover]] = defaultdict(list)
        for one in found:
            nas = known.get(one.nas_id)
            access = None if nas is None or one.is_back else nas.api_of(one.source_address)
            if access is None:
                over.append(one.order_id)  # it is his again, or there is nobody to ask
            else:
                routers[access].append(one)
        for access, left in routers.items():
            try:
                await self._steps.tidy(access, {(address, one.note) for one in left for address in one.addresses})
            except RouterError as error:
                _log.warning("order.entries_left", nas_id=left[0].nas_id, sessions=len(left), error=str(error))
            else:
                over += [one.order_id for one in left]
        await self._carrying.forget_leftovers(over)
        return False
