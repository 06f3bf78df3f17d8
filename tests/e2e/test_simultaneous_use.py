"""R5.4 on a whole node: a login that is connected elsewhere, where its branch refuses that."""

from free_ports import free_port
from nodes import Node, eventually
from reporting import Reporting
from subscribers import ACCEPT, REJECT, dial

from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.simulation import Plan

NUMBER = 301
NAME, PASSWORD = f"user{NUMBER:06}", f"pass{NUMBER:06}"
OPEN = "SELECT count(*) FROM net.every_session WHERE user_name = $1 AND state = 'open'"


def test_r5_4_who_is_connected_elsewhere_is_refused_while_that_lives(node: Node) -> None:
    port = free_port()
    node.sql("UPDATE net.nas SET coa_port = $1 WHERE name = 'demo'", port)
    plan = Plan(has_accounting=True, stay_s=60, interim_s=1)
    routers = Nases(count=1, names="pop-%02d", changes={"order_port": port}).make()
    who = Subscribers(count=1, first=NUMBER, methods=("pap",))
    with Reporting(node, plan, routers, who) as reporting:
        eventually(lambda: node.sql(OPEN, NAME)[0][0] == 1, within_s=15, what="the session is known")
        assert dial(node.auth_port, NAME, PASSWORD).code == ACCEPT, "where nothing is said the newer one gets in"
        node.sql("INSERT INTO erp.parameter (name, value) VALUES ('simultaneous_refuse', 'S')")
        eventually(lambda: dial(node.auth_port, NAME, PASSWORD).code == REJECT, within_s=10, what="it is refused")
        why = node.aaad("why", NAME).stdout
        assert "connected from another device" in why, why
        assert dial(node.auth_port, "user000302", "pass000302").code == ACCEPT, "others are not concerned"
        assert reporting.simulation.concentrators[0].orders.acks >= 1
    eventually(lambda: node.sql(OPEN, NAME)[0][0] == 0, within_s=15, what="its end is known")
    assert dial(node.auth_port, NAME, PASSWORD).code == ACCEPT


def test_r5_4_postgresql_dead_keeps_nobody_out(node: Node) -> None:
    plan = Plan(has_accounting=True, stay_s=60, interim_s=1)
    port = node.sql("SELECT coa_port FROM net.nas WHERE name = 'demo'")[0][0]
    routers = Nases(count=1, names="pop-%02d", changes={"order_port": port}).make()
    with Reporting(node, plan, routers, Subscribers(count=1, first=NUMBER, methods=("pap",))):
        eventually(lambda: node.sql(OPEN, NAME)[0][0] == 1, within_s=15, what="the session is known")
        eventually(lambda: dial(node.auth_port, NAME, PASSWORD).code == REJECT, within_s=10, what="it is refused")
        node.postgres.stop()
        assert dial(node.auth_port, NAME, PASSWORD).code == ACCEPT
        node.postgres.start()
        eventually(lambda: dial(node.auth_port, NAME, PASSWORD).code == REJECT, within_s=20, what="it is asked again")
