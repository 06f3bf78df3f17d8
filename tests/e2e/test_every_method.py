"""Every method, service and kind of concentrator against a whole node: who should get in gets in, nobody else."""

import dataclasses
import os
from collections import Counter

import pytest
from nodes import Node, eventually
from subscribers import ACCEPT, REJECT

from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.network import Server, simulate
from aaad.simulator.report import Report
from aaad.simulator.request import KINDS
from aaad.simulator.simulation import Plan, Simulation
from aaad.simulator.subscriber import MAC_FORMATS

COUNT = 40
PPP_METHODS = ("pap", "chap", "mschap", "mschapv2")
MIKROTIK, RATE_LIMIT, GROUP = 14988, 8, 3


def dialled(
    node: Node, subscribers: Subscribers, nases: Nases | None = None, *, dead_server_first: bool = False
) -> tuple[Report, Simulation]:
    servers = [Server("127.0.0.1", 9, 9)] if dead_server_first else []
    servers.append(Server("127.0.0.1", node.auth_port, node.acct_port))
    chosen = (nases or Nases(must_encrypt=True)).make()
    if dead_server_first:  # so that the test need not wait as long as a router does
        chosen = [dataclasses.replace(one, kind=dataclasses.replace(one.kind, timeout_s=0.2)) for one in chosen]
    simulation = Simulation(Plan(), chosen, subscribers.make(), len(servers), os.urandom)
    return simulate(simulation, servers), simulation


def codes(simulation: Simulation) -> Counter[int | None]:
    return Counter(dial.code for dial in simulation.last.values())


@pytest.mark.parametrize("kind", KINDS)
def test_customers_get_through_by_every_method_of_ppp(node: Node, kind: str) -> None:
    """R4.3: the grant is complete; MS-CHAPv2: the server proves itself, and the keys are right."""
    nases = Nases(count=3, kind=kind, first_source="127.0.6.1", must_encrypt=True)
    report, simulation = dialled(node, Subscribers(count=COUNT, methods=PPP_METHODS), nases)
    assert {name: sums.accepts for name, sums in report.methods.items()} == dict.fromkeys(PPP_METHODS, COUNT // 4)
    assert not report.all_methods.flaws
    assert not report.bad_replies
    for dial in simulation.last.values():
        assert dial.is_up
        assert dial.reply is not None
        assert dial.reply.is_signed_first, "Message-Authenticator comes first"
        assert dial.reply.find(8) is not None
    assert report.addresses_different == COUNT
    assert not report.addresses_granted_twice


@pytest.mark.parametrize("method", [*PPP_METHODS, "tunnel", "hotspot", "hotspot-pap"])
def test_a_wrong_password_gets_nobody_in(node: Node, method: str) -> None:
    report, simulation = dialled(node, Subscribers(count=4, methods=(method,), passwords="wrong%06d"))
    assert codes(simulation) == {REJECT: 4}
    if method.startswith("ms") or method == "tunnel":
        assert report.refused["ms_chap_error"] == {"E=691": 4}


@pytest.mark.parametrize("method", ["tunnel", "hotspot", "hotspot-pap"])
def test_other_services_let_customers_in_too(node: Node, method: str) -> None:
    """R2.5: a Hotspot says Service-Type Login as a router's own login does, and is none."""
    _, simulation = dialled(node, Subscribers(count=8, methods=(method,)))
    assert all(dial.is_up for dial in simulation.last.values())


@pytest.mark.parametrize("method", ["router", "router-chap"])
def test_r2_5_customers_never_log_in_to_a_router_and_administrators_do(node: Node, method: str) -> None:
    _, simulation = dialled(node, Subscribers(count=4, methods=(method,)))
    assert codes(simulation) == {REJECT: 4}
    node.sql(
        "INSERT INTO net.router_administrator (name, password, router_group) VALUES ($1, 'of the tower', 'full')",
        method,
    )
    wish = Subscribers(count=1, names=method, passwords="of the tower", methods=(method,))
    eventually(lambda: codes(dialled(node, wish)[1]) == {ACCEPT: 1}, within_s=10, what="the administrator gets in")
    dial = dialled(node, wish)[1].last[0]
    assert dial.reply is not None
    assert dial.reply.find(GROUP, MIKROTIK) == b"full"
    as_customer = dataclasses.replace(wish, methods=("chap",))
    assert codes(dialled(node, as_customer)[1]) == {REJECT: 1}


def test_r3_4_devices_log_in_by_their_address_in_every_form(node: Node) -> None:
    """Logins 100 to 109 are of devices; the simulator's device of that number has that address."""
    node.sql(
        "UPDATE erp.login SET authentication = 'H', mac_login = true, password = NULL,"
        " mac = ('02:00:00:00:00:' || upper(lpad(to_hex(substr(name, 5)::integer), 2, '0')))"
        " WHERE name BETWEEN 'user000100' AND 'user000109'"
    )
    wish = Subscribers(first=100, count=10, methods=("mac",))
    eventually(lambda: codes(dialled(node, wish)[1]) == {ACCEPT: 10}, within_s=10, what="the devices get in")
    for mac_format in MAC_FORMATS:
        for password in ("", None):
            form = dataclasses.replace(wish, mac_format=mac_format, mac_password=password)
            assert codes(dialled(node, form)[1]) == {ACCEPT: 10}, mac_format
    unknown = dataclasses.replace(wish, first_mac="02:00:00:00:99:00")
    assert codes(dialled(node, unknown)[1]) == {REJECT: 10}


def test_a_device_with_a_password_must_say_it_too(node: Node) -> None:
    """RouterOS's mac-auth-password: one for all devices of a Hotspot."""
    node.sql(
        "UPDATE erp.login SET authentication = 'H', mac_login = true, password = 'of the lobby',"
        " mac = '02:00:00:00:00:6F' WHERE name = 'user000111'"
    )
    wish = Subscribers(first=111, count=1, methods=("mac",), mac_password="of the lobby")
    eventually(lambda: codes(dialled(node, wish)[1]) == {ACCEPT: 1}, within_s=10, what="the device gets in")
    assert codes(dialled(node, dataclasses.replace(wish, mac_password=""))[1]) == {REJECT: 1}


def test_r3_4_a_typed_device_address_is_no_password(node: Node) -> None:
    typed = Subscribers(
        first=110, count=1, names="02:00:00:00:00:6E", passwords="02:00:00:00:00:6E", first_mac="02:AA:00:00:00:00"
    )
    node.sql(
        "UPDATE erp.login SET authentication = 'H', mac_login = true, password = NULL, mac = '02:00:00:00:00:6E'"
        " WHERE name = 'user000110'"
    )
    own = Subscribers(first=110, count=1, methods=("mac",))
    eventually(lambda: codes(dialled(node, own)[1]) == {ACCEPT: 1}, within_s=10, what="the device itself gets in")
    for method in ("pap", "hotspot-pap"):
        assert codes(dialled(node, dataclasses.replace(typed, methods=(method,)))[1]) == {REJECT: 1}


def test_dhcp_clients_get_in_by_their_address(node: Node) -> None:
    node.sql(
        "UPDATE erp.login SET authentication = 'D', password = NULL,"
        " mac = ('02:00:00:00:00:' || upper(lpad(to_hex(substr(name, 5)::integer), 2, '0')))"
        " WHERE name BETWEEN 'user000120' AND 'user000123'"
    )
    wish = Subscribers(first=120, count=4, methods=("dhcp",))
    eventually(lambda: codes(dialled(node, wish)[1]) == {ACCEPT: 4}, within_s=10, what="the devices get their lease")
    assert codes(dialled(node, wish)[1]) == {ACCEPT: 4}


def test_a_wrong_secret_gets_nothing_by_any_method(node: Node) -> None:
    """R3.1: what is not signed with the NAS's secret is met with silence."""
    for method in PPP_METHODS:
        nases = Nases(kind="mikrotik", secrets="not the secret").make()
        quick = dataclasses.replace(nases[0], kind=dataclasses.replace(nases[0].kind, timeout_s=0.1, tries=2))
        subscribers = Subscribers(count=2, methods=(method,)).make()
        simulation = Simulation(Plan(), [quick], subscribers, 1, os.urandom)
        report = simulate(simulation, [Server("127.0.0.1", node.auth_port, node.acct_port)])
        assert codes(simulation) == {None: 2}
        assert not report.bad_replies


def test_the_second_server_is_asked_when_the_first_is_dead(node: Node) -> None:
    report, simulation = dialled(node, Subscribers(count=20), dead_server_first=True)
    assert codes(simulation) == {ACCEPT: 20}
    assert {dial.tries for dial in simulation.last.values()} == {4}
    assert report.methods["chap"].resends == 40


def test_r3_4_names_are_taken_in_any_case(node: Node) -> None:
    _, simulation = dialled(node, Subscribers(count=8, names="UsEr%06d", methods=PPP_METHODS))
    assert all(dial.is_up for dial in simulation.last.values())
