"""Every concentrator loses its power, and all customers dial again within seconds: how long until all are back."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from nodes import Node, eventually
from reporting import Reporting, assert_nothing_lost_doubled_or_invented, wait_drained

from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.simulation import Plan, PowerCut


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it."""

    subscribers: int
    within_s: float  # all dial again within this
    all_back_after_s: float  # from the power's return
    refused: int
    p99_ms: float  # of all dials
    longest_ms: float
    records: int
    acknowledged: int
    drained_s: float  # after the last record, until all are rows
    sessions: int


def power_cut(
    node: Node,
    subscribers: int,
    *,
    rate: float,
    within_s: float,
    interim_s: float,
    settle_s: float = 1,
    nases: int = 10,
    first: int = 0,
    meanwhile: Callable[[Reporting], None] = lambda _: None,
) -> Found:
    """Let all dial at a rate, cut the power, let them dial again within so long; lost records fail an assertion.

    `settle_s` is how long after the last dial the power fails: on a busy machine some take their time.
    `meanwhile` is called as soon as they dial.
    """
    up_s = subscribers / rate + settle_s
    plan = Plan(
        rate=rate,
        redial_first_s=1,
        has_accounting=True,
        interim_s=interim_s,
        power_cuts=[PowerCut(at_s=up_s, off_s=1, back_within_s=within_s)],
        stay_s=interim_s + 1,
    )
    routers = Nases(count=nases, names="pop-%02d", changes={"says_restarts": True}).make()
    with Reporting(
        node, plan, routers, Subscribers(count=subscribers, first=first, methods=("pap", "chap"))
    ) as reporting:
        meanwhile(reporting)
        report = reporting.wait()
    cuts, dials = report.power_cuts, report.all_methods
    assert [cut.nas for cut in cuts if cut.missing] == [], "some are not back"
    assert sum(cut.cut_off for cut in cuts) == subscribers, "not all were up when the power failed"
    assert dials.rejects == 0
    drained_s = wait_drained(node, within_s=120)
    rows = assert_nothing_lost_doubled_or_invented(node, reporting)
    assert len({(row.user_name, row.nas_identifier) for row in rows}) == subscribers
    latencies = [method.latencies for method in report.methods.values()]
    return Found(
        subscribers,
        within_s,
        max(cut.last_back_at_s - cut.restored_at_s for cut in cuts),
        sum(cut.refused for cut in cuts),
        max((one.percentile_s(99) or 0) * 1000 for one in latencies),
        max(one.longest_s * 1000 for one in latencies),
        len(reporting.log),
        reporting.acknowledged,
        drained_s,
        len(rows),
    )


def kill_postgres_until_all_are_back(node: Node, reporting: Reporting) -> None:
    """Let PostgreSQL die when the power fails, and come back after everybody."""
    cuts = reporting.simulation.report.power_cuts
    eventually(lambda: bool(cuts), within_s=120, what="the power fails")
    for pid in node.postgres_pids():
        os.kill(pid, signal.SIGKILL)
    eventually(
        lambda: all(cut.restored_at_s is not None and not cut.missing for cut in cuts),
        within_s=120,
        what="all are back",
    )
    node.postgres.start()
