"""Addresses under fire (rule R7): two nodes, one PostgreSQL, 50,000 addresses given out and released amid kill -9.

The long form, with a standby that is promoted, is `tests/soak/test_address_soak.py`.
"""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from address_node import Marks, Node
from address_torture import NODES, Torture, judge
from pool_house import house_of

from aaad.db.embedded import EmbeddedPostgres
from aaad.db.migrate import migrate

ANSWERS = 50_000


def test_the_judge_finds_what_is_held_twice(tmp_path: Path):
    (tmp_path / "a.answers").write_text("A 1.0 7 100 ledger\nS 2.0 7 100 -\nA 4.0 7 100 copy\n")
    (tmp_path / "b.answers").write_text("A 2.5 8 100 ledger\nS 3.0 8 100 -\n")
    assert judge(tmp_path).held_twice == []
    (tmp_path / "c.answers").write_text("A 4.5 9 100 ledger\nX 4.6 9 100 taken\n")
    verdict = judge(tmp_path)
    assert len(verdict.held_twice) == len(verdict.complaints) == 1
    assert (verdict.given, verdict.ends) == (4, 2)


def is_told_to_end(pid: int) -> bool:
    """Whether a stopped process would end as soon as it goes on."""
    pending = Path(f"/proc/{pid}/status").read_text().partition("ShdPnd:")[2].split()[0]
    return bool(int(pending, 16) & 1 << (signal.SIGTERM - 1))


async def test_a_killed_nodes_statement_is_carried_out_before_its_successor_begins_or_never(dsn: str, tmp_path: Path):
    """It was on its way when the process was killed; if PostgreSQL came to it late, others would have the unit."""
    async with house_of(dsn) as house:
        await house.node("one")
        pool = await house.pool("100.64.0.0/30", quarantine_s=0)
        killed, successor = (Node(dsn, tmp_path, "one", pool, (0, 1), 8, seed) for seed in (1, 2))
        await killed._begin()
        claimed = await killed.store.claim(pool, 4, killed.marks.life)
        assert claimed is not None
        killed.marks.claimed(claimed.reserve_id, [number for number, _ in claimed.units])
        # Prepared by this one, the next is sent as a whole.
        await killed._bind(list(zip([6], killed.marks.take(1, 0), strict=True)))
        row = await killed.database.fetchrow("SELECT pg_backend_pid()")
        os.kill(row[0], signal.SIGSTOP)
        try:
            binding = asyncio.ensure_future(killed._bind(list(zip([7], killed.marks.take(1, 0), strict=True))))
            await asyncio.sleep(0.1)  # it is on its way
            binding.cancel()
            await asyncio.wait({binding})
            successor.marks = Marks(tmp_path / "one.marks")
            beginning = asyncio.ensure_future(successor._begin())
            async with asyncio.timeout(30):
                while not (beginning.done() or is_told_to_end(row[0])):
                    await asyncio.sleep(0.01)
            assert not beginning.done()
        finally:
            os.kill(row[0], signal.SIGCONT)
        async with asyncio.timeout(10):
            await beginning
        assert await house.value("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", row[0]) == 0
        assert await house.value("SELECT count(*) FROM net.lease WHERE state = 'bound'") == 0
        assert await house.unaccounted(pool) == 0
        await successor.database.close()


@pytest.mark.timeout(240)
async def test_r7_2_no_address_is_held_twice_and_none_leaks_whatever_is_killed(tmp_path: Path):
    """Rule R7.2, by the recorded answers and their times: nodes and PostgreSQL are killed, logins change nodes."""
    with EmbeddedPostgres(tmp_path / "postgres", settings={"fsync": "off", "jit": "on"}) as postgres:
        await migrate(postgres.dsn())
        torture = Torture(postgres.dsn, tmp_path, logins=4000)
        await torture.prepare("100.64.0.0/22", "100.64.64.0/24")
        try:
            for name in NODES:
                torture.start(name)
            for step in range(1, 6):
                await torture.until(ANSWERS * step // 6, timeout_s=100)
                if step in (2, 4):
                    os.kill(postgres.pid, signal.SIGKILL)
                    if step == 4:
                        torture.kill_and_start(NODES[0])
                    await torture.until_answered("copy", "spool", timeout_s=10)
                    await asyncio.to_thread(postgres.start)
                elif step == 3:
                    torture.swap_logins()
                else:
                    torture.kill_and_start(NODES[step % 2])
            await torture.until(ANSWERS, timeout_s=100)
            for _ in range(5):  # once more, if there was no occasion for one of the two
                if await torture.until_answered("copy", "spool", timeout_s=0.1):
                    break
                os.kill(postgres.pid, signal.SIGKILL)
                await torture.until_answered("copy", "spool", timeout_s=10)
                await asyncio.to_thread(postgres.start)
            await asyncio.to_thread(torture.stop)
        finally:
            torture.end()
        used, free, size = await torture.accounts()
        verdict = judge(tmp_path)
        assert verdict.held_twice == []
        assert verdict.complaints == []
        assert verdict.given >= ANSWERS
        assert verdict.answers["ledger"] > 0
        assert min(verdict.answers[how] for how in ("copy", "spool")) > 0  # both ways without a round trip
        assert (used, used + free) == (0, size)
