"""Accounting while what it stands on breaks: nothing acknowledged is lost, nothing counts twice, nothing is invented.

Short forms; the whole ones stand in `test_accounting_soak.py`. What came of each record is what its concentrator
knows of it; the fold that judges the rows is the tests' own.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from accounting_torture import check_torture
from blows import Blows
from nodes import Node, eventually
from power_cut import power_cut
from reporting import Reporting, assert_nothing_lost_doubled_or_invented, wait_drained

from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.simulation import Plan

DISK_OCTETS, SEGMENT_OCTETS = 8 << 20, 1 << 16
RECORDS_OF_SEGMENT = 330  # of 200 octets each, which is little


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node whose spool is on a disk of a few MiB, in small segments, if that can be."""
    node = Node(tmp_path_factory.mktemp("node"))
    node.prepare()
    node.config.write_text(node.config.read_text() + f"[spool]\nsegment_bytes = {SEGMENT_OCTETS}\n")
    spool = node.folder / "state" / "spool"
    spool.mkdir(parents=True, mode=0o700)
    options = f"size={DISK_OCTETS},mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(spool)], capture_output=True, check=False)
    try:
        yield node
    finally:
        node.end()
        if spool.is_mount():
            subprocess.run(["umount", str(spool)], check=True)


def test_r5_after_a_power_cut_all_get_in_at_once_and_no_record_is_lost(node: Node) -> None:
    """Field, 1: a stale session blocks a legitimate login; 4: sessions that never receive a Stop rot for ever."""
    found = power_cut(node, 200, first=200, rate=400, within_s=1, interim_s=1, settle_s=1.5)
    assert found.refused == 0
    rows = node.sql("SELECT DISTINCT end_evidence FROM net.every_session WHERE user_name >= 'user000200'")
    assert {row["end_evidence"] for row in rows} <= {"stop", "nas_restart", "replaced"}


def test_r6_kills_of_the_daemon_and_of_postgresql_lose_no_record_and_double_none(node: Node) -> None:
    def strike(blows: Blows) -> None:
        blows.kill_role("radius-0")
        blows.kill_role("sync-0")
        blows.kill_postgres()
        blows.freeze_postgres()
        blows.kill_both()
        blows.kill_role("sync-0")

    print(check_torture(node, strike, seed=1, longest_s=0.4))


def test_r6_a_disk_that_fills_and_empties_again_loses_nothing_acknowledged(node: Node) -> None:
    """Field, 21: a full disk is an outage. With PostgreSQL well it is none; without, nothing is promised."""
    spool = node.folder / "state" / "spool"
    if not spool.is_mount():
        pytest.skip("no tmpfs can be mounted here, which takes root: a disk that fills is NOT TRIED")
    plan = Plan(rate=200, cycles_for_s=60, redial_first_s=0.3, has_accounting=True, interim_s=1)
    routers = Nases(count=2, kind="mikrotik-old", names="filled-%02d").make()
    filler = spool / "filler"

    def goes_on(reporting: Reporting) -> None:
        enough = reporting.acknowledged + RECORDS_OF_SEGMENT
        eventually(lambda: reporting.acknowledged > enough, within_s=15, what="records are acknowledged")

    with Reporting(node, plan, routers, Subscribers(count=80, first=120, methods=("pap",))) as reporting:
        goes_on(reporting)
        fill(filler)
        goes_on(reporting)  # PostgreSQL takes what the disk does not
        node.postgres.stop()
        eventually(lambda: has_stopped(reporting), within_s=15, what="nothing is acknowledged that is nowhere")
        filler.unlink()
        goes_on(reporting)  # the disk takes what PostgreSQL does not
        node.postgres.start()
    wait_drained(node)
    assert_nothing_lost_doubled_or_invented(node, reporting)
    assert node.sql("SELECT FROM net.spool_handoff"), "PostgreSQL was not needed: the disk was not full"


def fill(filler: Path) -> None:
    """Let a file take what is left of the disk."""
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 14))


def has_stopped(reporting: Reporting) -> bool:
    """Tell whether for a while nothing was acknowledged, though much was given up."""
    log = list(reporting.log)
    last = [told["answered_at_s"] for told in log if told["acknowledged"]][-1]
    return sum(not told["acknowledged"] and told["at_s"] > last for told in log) > 50
