"""How large many sessions at once are, and that they do not grow while they stay."""

import tracemalloc

import pytest
from simulator_world import octets, reply

from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.simulation import Plan, Simulation

GRANTED = b"\x19\x2a" + bytes(40) + b"\x08\x06\x64\x40\0\1" + b"\x55\x06\0\0\1\x2c"
SESSION_OCTETS_MAX = 2_000


def grown(sessions: int, interims: int) -> tuple[int, int, Simulation]:
    """Let so many sessions come up, report, and leave; return the memory that they took, and at their end."""
    subscribers = Subscribers(count=sessions, methods=("pap",)).make()
    nases = Nases(count=10, kind="mikrotik-old").make()
    plan = Plan(rate=100, has_accounting=True, interim_s=60, stay_s=60 * interims + 10, kept_max=100)
    tracemalloc.start()
    try:
        simulation = Simulation(plan, nases, subscribers, 1, octets())
        now_s, up = 1000.0, 0
        while not simulation.is_over(now_s):
            simulation.advance(now_s)
            while simulation.outbox:
                line, request = simulation.outbox.popleft()
                simulation.receive(line, reply(request, 2, GRANTED) if request[0] == 1 else reply(request, 5), now_s)
            now_s += 0.08
            if not up and len(simulation.online) == sessions:
                up = tracemalloc.get_traced_memory()[0]
        return up, tracemalloc.get_traced_memory()[1], simulation
    finally:
        tracemalloc.stop()


def assert_small(sessions: int, interims: int) -> None:
    up, largest, simulation = grown(sessions, interims)
    assert up < sessions * SESSION_OCTETS_MAX
    assert largest < up * 1.5, "they grew while they stayed"
    assert simulation.report.accounting["interim"].sent >= sessions * interims
    sums = simulation.report.accounting
    assert {status: one.acknowledged for status, one in sums.items()} == {
        "start": sessions,
        "interim": simulation.report.accounting["interim"].sent,
        "stop": sessions,
    }
    assert len(simulation.online) == 0


def test_a_session_takes_little_and_does_not_grow() -> None:
    assert_small(300, 2)


@pytest.mark.soak
def test_fifty_thousand_sessions_at_once() -> None:
    assert_small(50_000, 1)
