"""Subscribers come and go on concentrators of every kind and every trouble of their own, while a node is tortured."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from blows import Blows
from nodes import Node
from reporting import Reporting, assert_nothing_lost_doubled_or_invented, wait_drained

from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.request import KINDS, Nas, StopCounters
from aaad.simulator.simulation import Plan, PowerCut
from aaad.simulator.wire import Weather

SUBSCRIBERS = 120
_LONGEST_S = 3600
_POWER_CUT_EVERY_S = 5
_PATIENT = replace(KINDS["mikrotik"], timeout_s=0.4, tries=5)  # so that a role that starts anew costs few records
_PATIENT_OLD = replace(KINDS["mikrotik-old"], tries=6)
_CHANGES = (
    {"kind": _PATIENT},
    {"kind": _PATIENT, "has_gigawords": False, "says_restarts": True},
    {"kind": _PATIENT, "counts_boots": False, "says_restarts": True, "starts_in_1970": True},
    {"kind": _PATIENT_OLD, "stop_counters": StopCounters.ZERO, "clock_ahead_s": 7200.0},
    {"kind": replace(KINDS["accel-ppp"], timeout_s=0.7), "stop_counters": StopCounters.NONE},
    {"kind": _PATIENT_OLD, "counts_delay": True, "clock_ahead_s": -3.0},
)


def nases() -> list[Nas]:
    """One of each."""
    made = Nases(count=len(_CHANGES), names="tortured-%02d").make()
    return [replace(nas, **changes) for nas, changes in zip(made, _CHANGES, strict=True)]


def check_torture(node: Node, strike: Callable[[Blows], None], *, seed: int, longest_s: float) -> str:
    """Let subscribers come and go while blows fall, and compare; return what happened."""
    cuts = range(3, _LONGEST_S, _POWER_CUT_EVERY_S)
    plan = Plan(
        rate=60,
        cycles_for_s=_LONGEST_S,
        redial_first_s=0.5,
        redial_longest_s=2,
        redials_max=1000,
        has_accounting=True,
        interim_s=1,  # not less: a record is told from others by its whole seconds
        octets_per_s=(2_000_000, 300_000_000),  # more than 32 bits hold within 15 s, never between two reports
        power_cuts=[PowerCut(at_s, off_s=1, nas=number % len(_CHANGES)) for number, at_s in enumerate(cuts)],
        weather=Weather(lost=0.01, repeated=0.03, reordered=0.05, late_s=0.4),
    )
    blows = Blows(node, seed, longest_s)
    with Reporting(node, plan, nases(), Subscribers(count=SUBSCRIBERS, methods=("pap", "chap"))) as reporting:
        time.sleep(1)
        strike(blows)
        if node.process is None or node.process.poll() is not None:
            node.start(wait=False)
        node.wait_answering()
        time.sleep(0.5)
    drained_s = wait_drained(node, within_s=60)
    rows = assert_nothing_lost_doubled_or_invented(node, reporting)
    assert reporting.acknowledged > 5 * blows.kills, "hardly anything was recorded"
    ends = dict(Counter(row.end_evidence for row in rows))
    return (
        f"{blows.kills} kills {dict(blows.killed)}, {dict(blows.others)}; {len(reporting.log)} records, "
        f"{reporting.acknowledged} acknowledged; {len(rows)} sessions, ends {ends}; drained in {drained_s:.1f} s"
    )
