"""Accounting while what it stands on breaks: nothing acknowledged is lost, nothing counts twice, nothing is invented.

Short forms; the whole ones stand in `test_accounting_soak.py`. What came of each record is what its concentrator
knows of it; the fold that judges the rows is the tests' own.
"""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from accounting_torture import torture
from blows import Blows
from nodes import Node, eventually
from power_cut import power_cut
from reporting import Reporting, assert_nothing_lost_doubled_or_invented, wait_drained

from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.simulation import Plan

FILLED_OCTETS = 3 << 20
LEFT_OCTETS = 160 << 10  # two segments and a part of one


def test_r5_after_a_power_cut_all_get_in_at_once_and_no_record_is_lost(node: Node) -> None:
    """Field, 1: a stale session blocks a legitimate login; 4: sessions that never receive a Stop rot for ever."""
    found = power_cut(node, 200, first=200, rate=400, within_s=1, interim_s=1)
    assert found.refused == 0
    rows = node.sql("SELECT DISTINCT end_evidence FROM net.every_session WHERE user_name >= 'user000200'")
    assert {row["end_evidence"] for row in rows} <= {"stop", "nas_restart", "replaced"}


def test_r6_kills_of_the_daemon_and_of_postgresql_lose_no_record_and_double_none(node: Node) -> None:
    def strike(blows: Blows) -> None:
        blows.kill_role("radius-0")
        blows.kill_role("sync-0")
        blows.kill_postgres()
        blows.freeze_postgres()
        blows.kill_daemon()
        time.sleep(0.5)
        blows.kill_both()
        blows.kill_role("sync-0")

    print(torture(node, strike, seed=1, longest_s=0.4))


@pytest.fixture
def small_spool(prepared: Node) -> Iterator[Path]:
    """The node's spool on a disk of a few MiB, with small segments; the daemon is not started."""
    spool = prepared.folder / "state" / "spool"
    if prepared.process is not None:
        prepared.stop()
    spool.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={FILLED_OCTETS},mode=0700", "tmpfs", str(spool)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a disk that fills is NOT TRIED, as no tmpfs can be mounted: {mounted.stderr.strip()}")
    config = prepared.config.read_text()
    prepared.config.write_text(config + "[spool]\nsegment_bytes = 65536\n")
    try:
        yield spool
    finally:
        if prepared.process is not None:
            prepared.stop()
        prepared.config.write_text(config)
        subprocess.run(["umount", str(spool)], check=True)


def test_r6_a_disk_that_fills_and_empties_again_loses_nothing_acknowledged(small_spool: Path, node: Node) -> None:
    """Field, 21: a full disk is an outage. With PostgreSQL well it is none; without, nothing is promised."""
    plan = Plan(rate=60, cycles_for_s=60, redial_first_s=0.3, has_accounting=True, interim_s=1)
    routers = Nases(count=2, kind="mikrotik-old", names="filled-%02d").make()
    filler = small_spool / "filler"

    def goes_on(reporting: Reporting) -> None:
        before = reporting.acknowledged
        eventually(lambda: reporting.acknowledged > before + 60, within_s=10, what="records are acknowledged")

    with Reporting(node, plan, routers, Subscribers(count=50, first=100, methods=("pap",))) as reporting:
        goes_on(reporting)
        _fill(filler, leave=0)
        goes_on(reporting)  # PostgreSQL takes what the disk does not
        node.postgres.stop()
        eventually(lambda: _has_stopped(reporting), within_s=10, what="nothing is acknowledged that is nowhere")
        filler.unlink()
        goes_on(reporting)  # the disk takes what PostgreSQL does not
        _fill(filler, leave=LEFT_OCTETS)
        eventually(lambda: _has_stopped(reporting), within_s=10, what="the spool fills the disk, and says so")
        filler.unlink()
        goes_on(reporting)
        node.postgres.start()
    wait_drained(node)
    assert_nothing_lost_doubled_or_invented(node, reporting)


def _fill(filler: Path, *, leave: int) -> None:
    """Let a file take what is left of the disk but for so many octets."""
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 14))
        except OSError:
            file.truncate(max(file.tell() - leave, 0))


def _has_stopped(reporting: Reporting) -> bool:
    """Tell whether nothing was acknowledged for a second, though much was given up."""
    last = [told["answered_at_s"] for told in reporting.log if told["acknowledged"]][-1]
    given_up = sum(not told["acknowledged"] and told["at_s"] > last for told in reporting.log)
    return given_up > 20 and time.time() - last > 1
