"""One read for all that wait for a router's lists, and rest between reads of a router with many sessions (R8.3)."""

import asyncio
import time

from aaad.log import get_logger
from aaad.mikrotik.connection import Limits, RouterAccess, RouterConnection
from aaad.orders.judge import Wants
from aaad.orders.readback import REST_FACTOR, ReadBack
from aaad.simulator.routeros import Faults, Router, RouterosServer

PASSWORD = "senha"
CUSTOMERS, PAUSE_S = 10, 0.02


class Counts:
    """What was counted."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, name: str, amount: int = 1) -> None:
        self.count += amount


def slow_router() -> Router:
    made = Router((7, 20), aaad=PASSWORD)
    for number in range(CUSTOMERS):
        caller = f"AA:BB:CC:00:00:0{number}"
        made.connect(f"user{number}", f"100.64.0.{number + 1}", caller=caller, session=f"0x8100000{number}")
    return made


async def test_r8_3_a_router_that_is_slow_to_read_rests_between_reads() -> None:
    counts = Counts()
    with RouterosServer(slow_router(), faults=Faults(row_pause_s=PAUSE_S)) as server:
        access = RouterAccess(address=server.address, port=server.port, user="aaad", password=PASSWORD, is_tls=False)
        api = RouterConnection(access, Limits(connect_s=2.0, silence_s=2.0, command_s=10.0))
        async with asyncio.TaskGroup() as group:
            readback = ReadBack(group, counts, "reads", get_logger("test"), cycle_s=0.01)
            begun_s = time.monotonic()
            together = [readback.look("bras", api, Wants()) for _ in range(3)]
            for seen in await _all(group, together):
                assert len(seen.active) == CUSTOMERS
            took_s = time.monotonic() - begun_s
            assert counts.count == 1, "all who came together had one read"
            await readback.look("bras", api, Wants())
            again_s = time.monotonic() - begun_s
        await api.close()
    assert counts.count == 2
    least_s = CUSTOMERS * PAUSE_S
    assert took_s > least_s
    assert again_s > (REST_FACTOR + 1) * least_s, "it was left alone for three times as long as reading it took"


async def _all(group: asyncio.TaskGroup, looks: list) -> list:
    tasks = [group.create_task(look) for look in looks]
    return [await task for task in tasks]
