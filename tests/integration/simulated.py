"""A simulation in one call, for tests that look at its sums only."""

import os
import threading
from collections.abc import Sequence

from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.network import Server, simulate
from aaad.simulator.report import Report
from aaad.simulator.simulation import Plan, Simulation


def simulated(
    servers: Sequence[Server],
    subscribers: Subscribers,
    nases: Nases,
    plan: Plan | None = None,
    stopping: threading.Event | None = None,
) -> Report:
    """Let these dial through those, and return the sums."""
    simulation = Simulation(plan or Plan(), nases.make(), subscribers.make(), len(servers), os.urandom)
    return simulate(simulation, servers, stopping)
