"""A node under a steady load of accounting, looked at every few seconds: records not yet in PostgreSQL, memory."""

import asyncio
import dataclasses
import datetime as dt
import json
import subprocess
import time
from pathlib import Path

import asyncpg
import generator
import processes
import sections
from accounting_legs import COUNT_RECORDS, execute
from accounting_load import AccountingLoad
from node import Node
from servers import end
from steady_report import Sample, Steady

_WATERMARK = "SELECT extract(epoch FROM now() - min(drain_watermark))::float8 FROM net.node"
_DRAIN_TIMEOUT_S = 600.0
_POLL_S = 0.1


def run(node: Node, load: AccountingLoad, every_s: float, name: str) -> Steady:
    """Load the node and look at it; the looks are kept below bench/results/ under `name`."""
    path = sections.HERE / "results" / f"{dt.datetime.now():%Y%m%d-%H%M%S}.{name}.jsonl"
    path.parent.mkdir(exist_ok=True)
    before = asyncio.run(execute(node.dsn, COUNT_RECORDS))
    running = generator.begin(load.arguments())
    try:
        samples = asyncio.run(_watch(node, running, every_s, path))
    finally:
        end(running)  # when a look failed
    ended = time.monotonic()
    row = generator.finish(running)
    node.spools.wait_until_drained(_DRAIN_TIMEOUT_S)
    drained_after_s = time.monotonic() - ended
    missing = max(0, row["acct_response"] - (asyncio.run(execute(node.dsn, COUNT_RECORDS)) - before))
    return Steady(load.rate_per_s or 0.0, row, samples, drained_after_s, missing)


async def _watch(node: Node, running: subprocess.Popen[str], every_s: float, path: Path) -> list[Sample]:
    connection = await asyncpg.connect(node.dsn)
    begun, samples = time.monotonic(), []
    try:
        with path.open("w") as file:
            while running.poll() is None:
                await asyncio.sleep(_POLL_S)
                if time.monotonic() - begun < (len(samples) + 1) * every_s:
                    continue
                watermark_age_s = await connection.fetchval(_WATERMARK) or 0.0
                samples.append(_look(node, time.monotonic() - begun, watermark_age_s))
                file.write(json.dumps(dataclasses.asdict(samples[-1])) + "\n")
                file.flush()
    finally:
        await connection.close()
    return samples


def _look(node: Node, at_s: float, watermark_age_s: float) -> Sample:
    pids = node.slots() | {"supervisor": node.ready["pids"]["supervisor"]}
    memory = {name: _private(pid) for name, pid in pids.items()}
    memory["postgres"] = sum(_private(pid) for pid in processes.trees(node.roots()["postgres"]))
    return Sample(round(at_s, 1), node.spools.undrained(), round(watermark_age_s, 2), memory, pids)


def _private(pid: int) -> int:
    try:
        return processes.memory_octets(pid)["Pss_Anon"]
    except (FileNotFoundError, ProcessLookupError):
        return 0  # a backend that has just ended
