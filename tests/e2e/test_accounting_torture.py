"""Accounting while all that it stands on is killed, frozen and stopped: nothing acknowledged is lost, nothing counts
twice, nothing is invented. What came of each record is what its concentrator knows of it.
"""

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from nodes import Node
from reporting import Reporting, assert_nothing_lost_doubled_or_invented, wait_drained

from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.request import KINDS, Nas, StopCounters
from aaad.simulator.simulation import Plan, PowerCut
from aaad.simulator.wire import Weather

SUBSCRIBERS = 72
_FAST = replace(KINDS["mikrotik"], timeout_s=0.5, tries=5)  # so that a role that starts anew costs few records


def nases() -> list[Nas]:
    """One of each kind, and of each kind of trouble."""
    changes = [
        {"kind": _FAST},
        {"kind": _FAST, "has_gigawords": False, "says_restarts": True},
        {"kind": _FAST, "counts_boots": False, "says_restarts": True, "starts_in_1970": True},
        {
            "kind": replace(KINDS["mikrotik-old"], tries=6),
            "stop_counters": StopCounters.ZERO,
            "clock_ahead_s": 7200.0,
        },
        {"kind": replace(KINDS["accel-ppp"], timeout_s=0.7), "stop_counters": StopCounters.NONE},
        {"kind": replace(KINDS["mikrotik-old"], tries=6), "counts_delay": True, "clock_ahead_s": -3.0},
    ]
    made = Nases(count=len(changes), names="bng-%02d").make()
    return [replace(nas, **change) for nas, change in zip(made, changes, strict=True)]


class Blows:
    """What goes wrong, at random: roles, the whole daemon, PostgreSQL, both; and PostgreSQL frozen or away."""

    def __init__(self, node: Node, seed: int, longest_s: float) -> None:
        self._node = node
        self._dice = random.Random(seed)
        self._longest_s = longest_s
        self.killed: Counter[str] = Counter()
        self.others: Counter[str] = Counter()

    @property
    def kills(self) -> int:
        """How many times something was killed with -9."""
        return self.killed.total()

    def one(self) -> None:
        """Strike once."""
        blows: list[tuple[int, Callable[[], None]]] = [
            (6, self._kill_role),
            (2, self._kill_daemon),
            (3, self._kill_postgres),
            (2, self._kill_both),
            (1, self._freeze_postgres),
            (1, self._stop_postgres),
        ]
        (blow,) = self._dice.choices([blow for _, blow in blows], [weight for weight, _ in blows])
        blow()

    def _kill_role(self) -> None:
        roles = self._node.roles()
        slot = self._dice.choice(["radius-0", "radius-0", "sync-0", "sync-0", "control-0"])
        if slot in roles:
            os.kill(roles[slot], signal.SIGKILL)
            self.killed[slot] += 1

    def _kill_daemon(self) -> None:
        self._node.kill()
        self.killed["daemon"] += 1
        self._node.start(wait=False)

    def _kill_postgres(self, *, with_daemon: bool = False) -> None:
        pids = self._node.postgres_pids()
        if self._dice.random() < 0.5:
            pids = pids[:1]  # the postmaster alone: its children notice
        for pid in pids:
            _kill(pid)
        self.killed["postgresql"] += 1
        if with_daemon:
            self._kill_daemon()
        time.sleep(self._dice.uniform(0, self._longest_s))
        self._node.postgres.start()

    def _kill_both(self) -> None:
        self._kill_postgres(with_daemon=True)

    def _freeze_postgres(self) -> None:
        pids = self._node.postgres_pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        self.others["frozen"] += 1
        try:
            self._amid(self._longest_s)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def _stop_postgres(self) -> None:
        self._node.postgres.stop()
        self.others["stopped"] += 1
        try:
            self._amid(self._longest_s)
        finally:
            self._node.postgres.start()

    def _amid(self, longest_s: float) -> None:
        """While PostgreSQL is away, the daemon is killed, too."""
        time.sleep(self._dice.uniform(longest_s / 2, longest_s))
        if self._dice.random() < 0.5:
            self._kill_role()
            time.sleep(self._dice.uniform(0, longest_s / 2))


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def torture(node: Node, *, kills: int, seed: int, rate: float, longest_s: float) -> str:
    """Let subscribers come and go while blows fall, and compare; return what happened."""
    plan = Plan(
        rate=rate,
        cycles_for_s=3600,
        redial_first_s=0.5,
        redial_longest_s=2,
        redials_max=1000,
        has_accounting=True,
        interim_s=1,
        octets_per_s=(2_000_000, 300_000_000),  # more than 32 bits hold within 15 s, never between two reports
        power_cuts=[PowerCut(at_s=at_s, off_s=1, nas=number % 6) for number, at_s in enumerate(range(4, 3600, 7))],
        weather=Weather(lost=0.01, repeated=0.03, reordered=0.05, late_s=0.4),
    )
    blows = Blows(node, seed, longest_s)
    dice = random.Random(seed)
    with Reporting(node, plan, nases(), Subscribers(count=SUBSCRIBERS, methods=("pap", "chap"))) as reporting:
        time.sleep(2)
        while blows.kills < kills:
            blows.one()
            time.sleep(dice.uniform(0.05, 0.8))
        time.sleep(1)
    if node.process is None or node.process.poll() is not None:
        node.start(wait=False)
    node.wait_answering()
    drained_s = wait_drained(node, within_s=60)
    rows = assert_nothing_lost_doubled_or_invented(node, reporting.log)
    assert reporting.acknowledged > 5 * kills
    ends = dict(Counter(row.end_evidence for row in rows))
    return (
        f"{blows.kills} kills {dict(blows.killed)}, {dict(blows.others)}; {len(reporting.log)} records, "
        f"{reporting.acknowledged} acknowledged; {len(rows)} sessions, ends {ends}; drained in {drained_s:.1f} s"
    )


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Node]:
    """A node of its own, whose sessions are all of one test."""
    node = Node(tmp_path)
    node.prepare()
    node.start()
    yield node
    node.end()


def test_r6_kills_of_the_daemon_and_of_postgresql_lose_no_record_and_double_none(fresh: Node) -> None:
    print(torture(fresh, kills=8, seed=1, rate=40, longest_s=0.5))


@pytest.mark.soak
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_r6_sixty_kills_while_postgresql_is_frozen_and_stopped_lose_no_record(fresh: Node, seed: int) -> None:
    print(torture(fresh, kills=60, seed=seed, rate=40, longest_s=10 if seed == 11 else 2))
