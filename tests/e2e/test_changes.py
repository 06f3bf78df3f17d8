"""From an SQL COMMIT to the next request that obeys it: always within a second, also behind an open one."""

import asyncio
import statistics
import time

import asyncpg
import pytest
from nodes import Node, eventually
from subscribers import ACCEPT, REJECT, dial

CHANGES = 60
BLOCK = "UPDATE erp.contract SET access_status = $2 WHERE id = (SELECT contract_id FROM erp.login WHERE name = $1)"


async def _delays_s(node: Node, changes: int) -> list[float]:
    connection = await asyncpg.connect(node.dsn)
    delays = []
    try:
        for number in range(changes):
            # Each login is blocked and then unblocked: a thousand blocks in a row are what the brake is for.
            login, password = f"user{number // 2 % 300:06d}", f"pass{number // 2 % 300:06d}"
            status, expected = ("A", ACCEPT) if number % 2 else ("CM", REJECT)
            await connection.execute(BLOCK, login, status)
            committed = time.monotonic()
            while (await asyncio.to_thread(dial, node.auth_port, login, password)).code != expected:
                assert time.monotonic() - committed < 5, f"{login} was not changed"
                await asyncio.sleep(0.005)  # the node shall have the processor
            delays.append(time.monotonic() - committed)
    finally:
        await connection.close()
    return delays


def _tell(name: str, delays: list[float]) -> None:
    ms = [delay * 1000 for delay in delays]
    cuts = statistics.quantiles(ms, n=100)
    print(f"{name}: {len(ms)} changes, p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, max {max(ms):.1f} ms")


def test_a_committed_change_is_obeyed_within_a_second(node: Node) -> None:
    delays = asyncio.run(_delays_s(node, CHANGES))
    _tell("no other transaction", delays)
    assert node.is_a_second(max(delays))


def test_a_strangers_open_transaction_delays_only_its_own_rows(node: Node) -> None:
    async def run() -> list[float]:
        stranger = await asyncpg.connect(node.dsn)
        transaction = stranger.transaction()
        await transaction.start()
        await stranger.execute(BLOCK, "user000350", "CM")
        try:
            delays = await _delays_s(node, CHANGES)
            assert dial(node.auth_port, "user000350", "pass000350").code == ACCEPT
        finally:
            await transaction.commit()
        eventually(
            lambda: dial(node.auth_port, "user000350", "pass000350").code == REJECT,
            within_s=10,
            what="the stranger's own change arrives after its commit",
        )
        await stranger.execute(BLOCK, "user000350", "A")
        await stranger.close()
        return delays

    delays = asyncio.run(run())
    _tell("behind an open transaction", delays)
    assert node.is_a_second(max(delays))


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_thousand_changes_are_each_obeyed_within_a_second(node: Node) -> None:
    delays = asyncio.run(_delays_s(node, 1000))
    _tell("a thousand changes", delays)
    assert node.is_a_second(max(delays))


@pytest.mark.soak
@pytest.mark.timeout(1500)
def test_a_thousand_changes_while_a_stranger_stays_open_for_ten_minutes(node: Node) -> None:
    async def run() -> list[float]:
        stranger = await asyncpg.connect(node.dsn)
        transaction = stranger.transaction()
        await transaction.start()
        await stranger.execute(BLOCK, "user000350", "CM")
        begun, delays = time.monotonic(), []
        while time.monotonic() - begun < 600:
            delays += await _delays_s(node, 100)
            await asyncio.sleep(50)
        await transaction.rollback()
        await stranger.close()
        return delays

    delays = asyncio.run(run())
    _tell("ten minutes behind an open transaction", delays)
    assert len(delays) >= 1000
    assert node.is_a_second(max(delays))


def test_an_update_without_where_is_held_and_let_through_when_accepted(node: Node) -> None:
    sample = ["user000000", "user000101", "user000202", "user000303"]

    def codes() -> set[int | None]:
        return {dial(node.auth_port, login, login.replace("user", "pass")).code for login in sample}

    node.sql("UPDATE erp.contract SET access_status = 'CM' WHERE access_status = 'A'")
    eventually(lambda: bool(node.sql("SELECT 1 FROM net.hold WHERE state = 'open'")), within_s=5, what="a hold")
    time.sleep(1)
    assert codes() == {ACCEPT}
    assert "user" not in node.aaad("replica", "status").stderr
    accepted = node.aaad("replica", "accept")
    assert accepted.returncode == 0, accepted.stderr
    eventually(lambda: codes() == {REJECT}, within_s=10, what="the accepted block arrives")
    node.sql("UPDATE erp.contract SET access_status = 'A' WHERE access_status = 'CM'")
    eventually(lambda: codes() == {ACCEPT}, within_s=10, what="the unblock needs nobody's leave")
