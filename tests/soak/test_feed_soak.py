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


@pytest.mark.timeout(300)
async def test_a_hundred_thousand_logins(dsn: str, tmp_path: Path) -> None:
    """Changes are live within 1 s during a resync of them; a hold of all of them is accepted, and nothing stops."""
    await seed(dsn, 100_000)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.count("polls_total"), 60)
        node.feed._checksum.has_difference = True
        delays = []
        contract_id = 0
        while node.count("resyncs_total") < 2:
            contract_id += 1
            await sql.execute("UPDATE erp.contract SET plan_id = 2 WHERE id = $1", contract_id)
            name = f"user{contract_id:06d}"
            delays.append(await until(lambda name=name: node.login(name).plan_id == 2, 5.0))
        print(f"delay of {len(delays)} changes during a resync: max {max(delays):.3f} s")
        assert max(delays) < 1.0
        await sql.execute("UPDATE erp.client SET active = false")
        await until(lambda: node.count("held_logins") == 100_000, 60)
        assert node.standing("user000001") == "GRANTED"
        await until(lambda: node.meta.hold_id, 5)
        await sql.execute("UPDATE net.hold SET state = 'accepted', decided_at = now() WHERE state = 'open'")
        released_s = await until(lambda: node.count("held_logins") == 0, 60)
        print(f"a hold of 100,000 was released within {released_s:.1f} s")
        assert node.standing("user000001") == "CLIENT_INACTIVE"
        assert node.contents() == await expected_contents(dsn)
