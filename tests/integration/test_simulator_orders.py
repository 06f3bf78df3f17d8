"""The simulator's concentrators obey orders: judged by Debian's radclient, over the network of a simulation."""

import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from free_ports import free_port
from nas_double import SECRET
from simulated import simulated

from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.network import Server
from aaad.simulator.packet import attribute
from aaad.simulator.report import Report
from aaad.simulator.simulation import Plan

pytestmark = pytest.mark.skipif(
    shutil.which("radclient") is None, reason="radclient is missing (Debian's freeradius-utils has it): NOT TRIED"
)
ADDRESS = bytes((100, 64, 0, 1))
START, STOP, ADMIN_RESET = 1, 2, 6


class Stub:
    """A server that lets everybody in and hears every report, and keeps what it heard."""

    def __init__(self, grant: bytes = attribute(8, ADDRESS)) -> None:
        from aaad.radius.integrity import SecretKeys

        self.grant = grant

        self.keys = SecretKeys(SECRET)
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        self.reports: list[dict[int, bytes]] = []
        self.changed = threading.Condition()
        for opened in self.sockets:
            opened.bind(("127.0.0.1", 0))
            opened.settimeout(0.1)
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._serve, args=(number,)) for number in range(2)]

    @property
    def server(self) -> Server:
        return Server("127.0.0.1", *(opened.getsockname()[1] for opened in self.sockets))

    def _serve(self, number: int) -> None:
        while not self.stopping.is_set():
            try:
                data, source = self.sockets[number].recvfrom(4096)
            except TimeoutError:
                continue
            if number == 0:
                reply = self.keys.signed_reply(2, data[1], data[4:20], self.grant)
            else:
                with self.changed:
                    self.reports.append(_attributes(data))
                    self.changed.notify_all()
                header = bytes((5, data[1], 0, 20))
                reply = header + self.keys.digest(header + data[4:20])
            self.sockets[number].sendto(reply, source)

    def report(self, fits: Callable[[dict[int, bytes]], bool]) -> dict[int, bytes]:
        """The first report that fits."""
        with self.changed:
            assert self.changed.wait_for(lambda: any(map(fits, self.reports)), 5)
            return next(filter(fits, self.reports))


def _attributes(data: bytes) -> dict[int, bytes]:
    found, at = {}, 20
    while at < len(data):
        found[data[at]] = data[at + 2 : at + data[at + 1]]
        at += data[at + 1]
    return found


@contextmanager
def online(kind: str) -> Iterator[tuple[Stub, int, list[Report]]]:
    """One subscriber who stays up, and the port of his concentrator's orders."""
    stub, port, stopping, reports = Stub(), free_port(), threading.Event(), []
    plan = Plan(has_accounting=True, stay_s=60.0)
    nases = Nases(kind=kind, changes={"order_port": port})
    dialling = threading.Thread(
        target=lambda: reports.append(
            simulated([stub.server], Subscribers(count=1, methods=("pap",)), nases, plan, stopping)
        )
    )
    for thread in (*stub.threads, dialling):
        thread.start()
    try:
        yield stub, port, reports
    finally:
        stopping.set()
        dialling.join(10)
        stub.stopping.set()
        for thread in stub.threads:
            thread.join(5)
        for opened in stub.sockets:
            opened.close()


def radclient(port: int, kind: str, words: str, secret: bytes = SECRET) -> str:
    """What radclient prints."""
    command = ["radclient", "-x", "-r", "1", "-t", "1", f"127.0.0.1:{port}", kind, secret.decode()]
    return subprocess.run(command, input=words, capture_output=True, text=True, timeout=20, check=False).stdout


@pytest.mark.parametrize(("kind", "gone"), [("mikrotik", 406), ("accel-ppp", 503)])
def test_radclient_probes_and_ends_a_session(kind: str, gone: int) -> None:
    with online(kind) as (stub, port, _):
        start = stub.report(lambda report: report[40][-1] == START)
        session_id, name = start[44].decode(), start[1].decode()
        words = f'User-Name="{name}",Acct-Session-Id="{session_id}"'
        assert "Received CoA-ACK" in radclient(port, "coa", words)
        assert "Received CoA-ACK" in radclient(port, "coa", f"{words},Framed-IP-Address=100.64.0.1")
        for other in (f'User-Name="{name}",Acct-Session-Id="x{session_id}"', words.replace(name, "somebody")):
            answer = radclient(port, "coa", other)
            assert "Received CoA-NAK" in answer
            assert f"Error-Cause = {gone}" in answer or f"Error-Cause = {CAUSES[gone]}" in answer
        one_name = radclient(port, "coa", f'User-Name="{name}"')
        assert f"Received CoA-{'NAK' if kind == 'mikrotik' else 'ACK'}" in one_name, "RouterOS wants two"
        assert "Received Disconnect-ACK" in radclient(port, "disconnect", words)
        stop = stub.report(lambda report: report[40][-1] == STOP)
        assert stop[44].decode() == session_id
        assert stop[49][-1] == ADMIN_RESET
        assert "Received Disconnect-NAK" in radclient(port, "disconnect", words)


CAUSES = {406: "Unsupported-Extension", 503: "Session-Context-Not-Found"}


def test_a_wrong_secret_gets_no_answer() -> None:
    with online("mikrotik") as (stub, port, _):
        start = stub.report(lambda report: report[40][-1] == START)
        words = f'User-Name="{start[1].decode()}",Acct-Session-Id="{start[44].decode()}"'
        assert "Received" not in radclient(port, "disconnect", words, b"wrong")
        assert "Received CoA-ACK" in radclient(port, "coa", words)
