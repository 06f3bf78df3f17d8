"""A whole node and a simulated router: the doctor finds it well, and both know the same people."""

import json
from contextlib import ExitStack

from free_ports import free_port
from nodes import Node, eventually
from reporting import Reporting
from test_simultaneous_use import OPEN

from aaad.mikrotik.doctor import Kind
from aaad.simulator.apis import serve_apis
from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.network import Server
from aaad.simulator.simulation import Plan

API = """
UPDATE net.nas SET coa_port = $1, api_port = $2, api_address = '127.0.0.1', api_tls = false, api_user = 'aaad',
    api_password = 'testing123'
WHERE name = 'demo'
"""


def test_the_doctor_and_the_comparison_before_a_living_router(node: Node) -> None:
    order_port, api_port = free_port(), free_port()
    node.sql(API, order_port, api_port)
    plan = Plan(has_accounting=True, stay_s=60, interim_s=1, redial_first_s=0.5)
    routers = Nases(count=1, names="pop-%02d", changes={"order_port": order_port}).make()
    who = Subscribers(count=5, first=310, methods=("pap",))
    with Reporting(node, plan, routers, who) as reporting, ExitStack() as stack:
        serve_apis(reporting.simulation, api_port, stack, [Server("127.0.0.1", node.auth_port, node.acct_port)])
        eventually(lambda: node.sql(OPEN, "user000314")[0][0] == 1, within_s=15, what="the sessions are known")
        doctor = node.aaad("--json", "nas", "doctor", "demo")
        found = {finding["kind"] for finding in json.loads(doctor.stdout)["findings"]}
        # What a simulated router cannot have: rules for the lists of this node's parameters.
        assert found <= {Kind.NO_RULE.value}, doctor.stdout
        compared = json.loads(node.aaad("--json", "nas", "reconcile", "demo").stdout)
        assert compared["differences"] == [], compared
        assert compared["equal"] + compared["too_new"] == 5, compared
