"""Long proofs of rule R1.1, run by `make soak`."""

import asyncio
import os
import random
import sys
from pathlib import Path
from time import monotonic

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from replica_node import Node, erp, expected_contents, running, seed, until

pytestmark = pytest.mark.soak
OPEN_FOR_S = float(os.environ.get("AAAD_SOAK_S", "600"))
CHANGES = 1000


@pytest.mark.timeout(OPEN_FOR_S + 300)
async def test_a_writer_open_for_ten_minutes_delays_nobody(dsn: str, tmp_path: Path) -> None:
    """A thousand changes are live within 1 s each; those of the open transaction within 1 s of its commit."""
    await seed(dsn, 2000)
    choice = random.Random(1)
    delays = []
    async with running(Node(dsn, tmp_path, poll_interval_s=0.5)) as node, erp(dsn) as stranger, erp(dsn) as sql:
        await until(lambda: node.meta)
        opened = stranger.transaction()
        await opened.start()
        await stranger.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 1501")
        end = monotonic() + OPEN_FOR_S
        for number in range(CHANGES):
            contract_id = choice.randint(1, 1500)
            plan_id = 3 - node.login(f"user{contract_id:06d}").plan_id
            await sql.execute("UPDATE erp.contract SET plan_id = $1 WHERE id = $2", plan_id, contract_id)
            name = f"user{contract_id:06d}"
            delays.append(await until(lambda name=name, plan_id=plan_id: node.login(name).plan_id == plan_id, 1.0))
            await asyncio.sleep(max(0.0, (end - monotonic()) / (CHANGES - number)))
        assert node.standing("user001501") == "GRANTED"
        await opened.commit()
        await until(lambda: node.standing("user001501") == "BLOCKED_MANUALLY", 1.0)
        assert node.contents() == await expected_contents(dsn)
    delays.sort()
    p50, p99 = delays[len(delays) // 2], delays[len(delays) * 99 // 100]
    print(f"delay of {CHANGES} changes: p50 {p50:.3f} s, p99 {p99:.3f} s, max {delays[-1]:.3f} s")
    assert p50 < 0.1
