"""A process that carries orders out as node n1, until it is killed."""

import asyncio
import sys
from pathlib import Path

from order_field import HURRY

from aaad.db.connection import Database
from aaad.metrics import CounterFile
from aaad.orders.counted import ORDER_COUNTERS
from aaad.orders.runner import OrderRunner
from aaad.radius.dynauth_client import DynauthClient


async def run(dsn: str, path: str) -> None:
    database = Database(dsn, connect_timeout_s=5, statement_timeout_s=10, application_name="victim")
    counters = CounterFile(Path(path), ORDER_COUNTERS)
    slow = HURRY._replace(limits=HURRY.limits._replace(at_once=4, each_second=60.0))
    await OrderRunner(database, DynauthClient(), node="n1", counters=counters, settings=slow).run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
