"""One simulated router, its RADIUS and its API: what independent clients change on one side shows on the other."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import librouteros
import pytest
from free_ports import free_port
from librouteros.exceptions import TrapError
from nas_double import SECRET
from test_simulator_orders import Stub

from aaad.simulator.apis import serve_apis
from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.network import simulate
from aaad.simulator.packet import attribute, vendor_attribute
from aaad.simulator.simulation import Plan, Simulation

PEERS = Path(__file__).resolve().parents[2] / ".peers"
MIKROTIK = 14988
GRANT = (
    attribute(8, bytes((100, 64, 0, 1)))
    + vendor_attribute(MIKROTIK, 8, b"5M/50M 10M/100M 4M/40M 10/10 3")
    + vendor_attribute(MIKROTIK, 19, b"late")
    + vendor_attribute(MIKROTIK, 22, b"pd")
)


class Dialled:
    """A simulated router with one subscriber who is connected, and a client of its API that is not ours."""

    def __init__(self, stub: Stub, simulation: Simulation, order_port: int, api: Any, api_port: int) -> None:
        self.stub, self.simulation, self.order_port, self.api, self.api_port = (
            stub,
            simulation,
            order_port,
            api,
            api_port,
        )
        self.concentrator = simulation.concentrators[0]

    @property
    def session(self) -> Any:
        return self.simulation.online.at(self.concentrator)[0]

    def rows(self, path: str) -> list[dict[str, Any]]:
        return list(self.api.path(path))

    def radclient(self, kind: str, words: str = "") -> str:
        if shutil.which("radclient") is None:
            pytest.skip("radclient is missing (Debian's freeradius-utils has it): NOT TRIED")
        session = self.session
        address = ".".join(map(str, session.address))
        names = f'User-Name="{session.subscriber.name}",Acct-Session-Id="{session.session_id.decode()}"'
        command = ["radclient", "-x", "-r", "1", "-t", "1", f"127.0.0.1:{self.order_port}", kind, SECRET.decode()]
        text = f"{names},Framed-IP-Address={address}{words}"
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=20, check=False).stdout


def eventually(holds: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + 8
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@contextmanager
def dialled(method: str = "pap", **changes: object) -> Iterator[Dialled]:
    stub, order_port, api_port, stopping = Stub(GRANT), free_port(), free_port(), threading.Event()
    nases = Nases(changes={"order_port": order_port, **changes}).make()
    plan = Plan(has_accounting=True, stay_s=60.0, redial_first_s=0.3)
    who = Subscribers(count=1, methods=(method,)).make()
    simulation = Simulation(plan, nases, who, 1, os.urandom)
    dialling = threading.Thread(target=simulate, args=(simulation, [stub.server], stopping))
    for thread in (*stub.threads, dialling):
        thread.start()
    try:
        with ExitStack() as stack:
            serve_apis(simulation, api_port, stack, [stub.server])
            eventually(lambda: len(simulation.online), "he is connected")
            api = librouteros.connect(
                "127.0.0.1", "aaad", SECRET.decode(), port=api_port, timeout=5, encoding="utf-8"
            )
            yield Dialled(stub, simulation, order_port, api, api_port)
            api.close()
    finally:
        stopping.set()
        dialling.join(10)
        stub.stopping.set()
        for thread in stub.threads:
            thread.join(5)
        for opened in stub.sockets:
            opened.close()


def test_a_session_is_in_every_table_of_its_router() -> None:
    with dialled() as one:
        session = one.session
        (active,) = one.rows("/ppp/active")
        assert (active["name"], active["service"], active["address"]) == ("user000000", "pppoe", "100.64.0.1")
        assert active["session-id"] == f"0x{session.session_id.decode()}"
        assert one.rows("/ip/hotspot/active") == []
        (queue,) = one.rows("/queue/simple")
        assert (queue["name"], queue["max-limit"], queue["burst-limit"]) == (
            *("<pppoe-user000000>", "5000000/50000000"),
            "10000000/100000000",
        )
        assert (queue["burst-time"], queue["priority"], queue["dynamic"]) == ("10/10", "3/3", True)
        (entry,) = one.rows("/ip/firewall/address-list")
        assert (entry["list"], entry["address"], entry["dynamic"]) == ("late", "100.64.0.1", True)
        (binding,) = one.rows("/ipv6/dhcp-server/binding")
        assert (binding["server"], binding["prefix-pool"]) == ("<pppoe-user000000>", "pd")
        assert binding["address"].startswith("2001:db8:")
        (radius,) = one.rows("/radius")
        server = one.stub.server
        assert (radius["address"], radius["authentication-port"]) == (server.address, server.auth_port)
        assert one.rows("/radius/incoming")[0]["port"] == one.order_port
        assert one.rows("/system/clock")[0]["gmt-offset"] == "-03:00"
        for path in ("/ppp/aaa", "/ppp/profile", "/ip/hotspot/profile", "/system/resource", "/system/ntp/client"):
            assert one.rows(path)
        assert one.rows("/ip/firewall/filter") == []


def test_an_order_shows_in_the_tables() -> None:
    with dialled(coa_takes_lists=True) as one:
        more = ',Mikrotik-Rate-Limit="9M/90M",Mikrotik-Address-List="blocked"'
        assert "Received CoA-ACK" in one.radclient("coa", more)
        assert one.rows("/queue/simple")[0]["max-limit"] == "9000000/90000000"
        assert one.rows("/ip/firewall/address-list")[0]["list"] == "blocked"
        before = one.session.session_id
        assert "Received Disconnect-ACK" in one.radclient("disconnect")
        one.stub.report(lambda report: report[40][-1] == 2 and report[44] == before)
        eventually(lambda: one.rows("/ppp/active"), "he dials again")
        assert one.session.session_id != before


def test_what_leaves_the_tables_leaves_the_session() -> None:
    with dialled() as one:
        before = one.session.session_id
        lists = one.api.path("/ip/firewall/address-list")
        lists.remove(one.rows("/ip/firewall/address-list")[0][".id"])
        assert one.rows("/ip/firewall/address-list") == []
        assert one.session.granted.address_lists == ()
        active = one.rows("/ppp/active")[0][".id"]
        one.api.path("/ppp/active").remove(active)
        stop = one.stub.report(lambda report: report[40][-1] == 2)
        assert (stop[44], stop[49][-1]) == (before, 6)
        with pytest.raises(TrapError, match="no such item"):
            one.api.path("/ppp/active").remove(active)


def test_static_rows_stand_beside_dynamic_ones() -> None:
    with dialled() as one:
        lists = one.api.path("/ip/firewall/address-list")
        with pytest.raises(TrapError, match="already have such entry"):
            lists.add(list="late", address="100.64.0.1")
        own = lists.add(list="blocked", address="100.64.0.1", comment="ours")
        assert [row["list"] for row in one.rows("/ip/firewall/address-list")] == ["late", "blocked"]
        lists.remove(own)
        lists.add(list="short", address="100.64.0.9", timeout="1s")
        assert one.rows("/ip/firewall/address-list")[-1]["dynamic"] is True
        eventually(lambda: len(one.rows("/ip/firewall/address-list")) == 1, "its time is over")
        six = one.api.path("/ipv6/firewall/address-list")
        six.add(list="blocked", address="2001:db8::1")
        assert one.rows("/ipv6/firewall/address-list")[0]["address"] == "2001:db8::1/128"
        with pytest.raises(TrapError, match="can not change dynamic"):
            queue = one.rows("/queue/simple")[0][".id"]
            one.api.path("/queue/simple").update(**{".id": queue, "max-limit": "1M/1M"})


def test_a_guest_has_his_own_tables_and_his_cookie() -> None:
    with dialled("hotspot", has_cookies=True) as one:
        (guest,) = one.rows("/ip/hotspot/active")
        assert (guest["user"], guest["address"]) == ("user000000", "10.5.0.1")
        assert "session-id" not in guest
        assert one.rows("/ppp/active") == []
        assert one.rows("/queue/simple")[0]["target"] == "10.5.0.1/32"
        (cookie,) = one.rows("/ip/hotspot/cookie")
        assert (cookie["user"], cookie["mac-address"]) == ("user000000", "02:00:00:00:00:00")
        one.api.path("/ip/hotspot/active").remove(guest[".id"])
        eventually(
            lambda: len(one.rows("/ip/hotspot/active")) == 1 and one.rows("/ip/hotspot/active") != [guest], "back"
        )
        one.api.path("/ip/hotspot/cookie").remove(one.rows("/ip/hotspot/cookie")[0][".id"])
        one.api.path("/ip/hotspot/active").remove(one.rows("/ip/hotspot/active")[0][".id"])
        eventually(lambda: not one.rows("/ip/hotspot/active"), "cut")
        time.sleep(0.6)
        assert one.rows("/ip/hotspot/active") == [], "without the cookie he has to log in himself"


def test_a_deaf_router_counts_nothing_and_hears_again() -> None:
    with dialled() as one:
        assert "Received CoA-ACK" in one.radclient("coa")
        list(one.api("/radius/incoming/set", accept="no"))
        assert "Received" not in one.radclient("coa")
        assert one.rows("/radius/incoming")[0]["accept"] is False
        assert next(iter(one.api("/radius/incoming/monitor", once="")))["requests"] == 1
        list(one.api("/radius/incoming/set", accept="yes"))
        assert "Received CoA-ACK" in one.radclient("coa")
        radius = one.rows("/radius")[0][".id"]
        assert next(iter(one.api("/radius/monitor", numbers=radius, once="")))["bad-replies"] == 0


def test_routeros_api_cuts_a_session() -> None:
    if (PEERS / "python").is_dir() and str(PEERS / "python") not in sys.path:
        sys.path.append(str(PEERS / "python"))
    routeros_api = pytest.importorskip("routeros_api", reason="RouterOS-api is not here: scripts/install-test-peers")
    with dialled() as one:
        pool = routeros_api.RouterOsApiPool(
            "127.0.0.1", username="aaad", password=SECRET.decode(), port=one.api_port, plaintext_login=True
        )
        active = pool.get_api().get_resource("/ppp/active")
        (row,) = active.get(name="user000000")
        active.remove(id=row["id"])
        assert one.stub.report(lambda report: report[40][-1] == 2)[49][-1] == 6
        pool.disconnect()


def test_the_port_is_free_again() -> None:
    with dialled() as one:
        port = one.api_port
    with socket.socket() as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(("127.0.0.1", port))
        assert opened.getsockname()[1] == port
