"""Two nodes on one PostgreSQL: the one that carries orders out dies by kill -9, and the other one goes on."""

import os
import signal
from collections.abc import Iterator

import pytest
from nodes import Node, eventually
from order_network import Network
from test_orders import ADDRESS, OVER, PLAN, RATES, ids, outcomes, prepared

__all__ = ["prepared"]
COUNT = 60


@pytest.fixture
def beside(node: Node, tmp_path) -> Iterator[Node]:
    """A second node on the same PostgreSQL."""
    found = Node(tmp_path, node.logins)
    found.postgres = node.postgres
    found.run_dir.mkdir()
    text = node.config.read_text()
    for of_first, of_second in (
        ('name = "tested"', 'name = "beside"'),
        (str(node.folder / "state"), str(tmp_path / "state")),
        (str(node.run_dir), str(found.run_dir)),
        (f"auth_port = {node.auth_port}", f"auth_port = {found.auth_port}"),
        (f"acct_port = {node.acct_port}", f"acct_port = {found.acct_port}"),
        (f"port = {node.metrics_port}", f"port = {found.metrics_port}"),
    ):
        assert of_first in text
        text = text.replace(of_first, of_second)
    found.config.write_text(text)
    found.start()
    yield found
    found.stop()


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_r2_6_the_other_node_goes_on_when_the_routers_speak_to_it(node: Node, beside: Node) -> None:
    changed, redialled = range(40), range(40, COUNT)
    node.sql(PLAN, ids(*range(COUNT)), 1)
    with Network(node, count=COUNT, nodes=(beside,), interim_s=3) as network:
        some = network.changes() + network.cuts() + 3
        node.sql(PLAN, ids(*changed), 2)
        node.sql(ADDRESS, ids(*redialled))
        network.await_requests(some)
        assert node.process is not None
        for pid in (node.process.pid, *node.roles().values()):
            os.kill(pid, signal.SIGKILL)
        node.process.wait(20)
        node.process = None
        network.wait_for(dict.fromkeys(changed, RATES[2]), within_s=120)
        # A Disconnect may have to wait until the dead node counts as one (rule R8.2).
        eventually(lambda: all(network.begun()[number] > 1 for number in redialled), within_s=120, what="all redial")
        network.settle(60)
        begun = network.begun()
        assert {begun[number] for number in changed} == {1}, "a new speed cuts nobody"
        assert {begun[number] for number in redialled} == {2}, "each is cut once"
        assert {state for number in range(COUNT) for state, _ in outcomes(node, number)} <= OVER
