"""The supervisor with real processes, real sockets and a systemd of a few lines: nothing queued is lost, a dead role
is back within a second, a bad file changes nothing, and the watchdog proves answers."""

import array
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from free_ports import free_port, free_ports

from aaad.daemon.watchdog import WatchdogKey
from aaad.metrics import read_counters

ROOT = Path(__file__).parents[2]
STUB = Path(__file__).with_name("stub_node.py")
WATCHDOG_USEC = 900_000  # fed every 0.3 s


def wait_for(condition: Callable[[], object], what: str, limit_s: float = 30.0) -> None:
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, f"not within {limit_s} s: {what}"
        time.sleep(0.02)


class Systemd:
    """What the service manager does for a Type=notify service: hears, keeps descriptors, hands them on."""

    def __init__(self, path: Path) -> None:
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ear.bind(str(path))
        self.ear.setblocking(False)
        self.path = path
        self.heard: list[tuple[float, str]] = []
        self.kept: dict[str, int] = {}

    def listen(self) -> list[str]:
        while select.select([self.ear], [], [], 0)[0]:
            data, ancillary, _, _ = self.ear.recvmsg(4096, socket.CMSG_SPACE(4))
            lines = data.decode().split("\n")
            self.heard.append((time.monotonic(), data.decode()))
            fields = dict(line.split("=", 1) for line in lines)
            if "FDSTORE" in fields:
                (descriptor,) = array.array("i", ancillary[0][2])
                if fields["FDNAME"] in self.kept:  # systemd keeps the same socket once
                    os.close(descriptor)
                else:
                    self.kept[fields["FDNAME"]] = descriptor
            if "FDSTOREREMOVE" in fields and fields["FDNAME"] in self.kept:
                os.close(self.kept.pop(fields["FDNAME"]))
        return [message for _, message in self.heard]

    def said(self, begin: str) -> list[str]:
        return [message for message in self.listen() if message.startswith(begin)]

    def status(self) -> str:
        return (self.said("STATUS=") or [""])[-1]

    def feedings_since(self, moment_s: float) -> int:
        self.listen()
        return sum(message == "WATCHDOG=1" and at_s > moment_s for at_s, message in self.heard)

    def close(self) -> None:
        self.ear.close()
        for descriptor in self.kept.values():
            os.close(descriptor)


class Node:
    """A stub node on its own folder and ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.auth_port, self.acct_port, self.metrics_port = free_ports(3)
        self.config = folder / "aaad.toml"
        self.log_path = folder / "log"
        self.systemd = Systemd(folder / "notify")
        self.process: subprocess.Popen[bytes] | None = None
        self.start_s = 0.0  # how long its start took: how busy this machine is
        self.write_config()

    def write_config(self, radius: str = "", extra: str = "", addresses: str = "'127.0.0.1'") -> None:
        self.config.write_text(
            f"[node]\nname = 'stub'\nstate_dir = '{self.folder}/state'\nrun_dir = '{self.folder}/run'\n"
            "[database]\ndsn = 'postgresql://nobody@127.0.0.1:1/none'\n"
            "[supervisor]\ndrain_timeout_s = 1.0\n"
            f"[metrics]\nport = {self.metrics_port}\n{extra}\n"
            f"[radius]\naddresses = [{addresses}]\nacct_port = {self.acct_port}\n"
            + (radius or f"auth_port = {self.auth_port}\n")
        )

    def start(self) -> None:
        kept = self.systemd.kept
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "NOTIFY_SOCKET": str(self.systemd.path)}
        environ["WATCHDOG_USEC"] = str(WATCHDOG_USEC)
        if kept:
            environ |= {"LISTEN_FDS": str(len(kept)), "LISTEN_FDNAMES": ":".join(kept)}
        copies = [os.dup(descriptor) for descriptor in kept.values()]

        def place() -> None:
            high = [os.dup2(copy, 200 + number) for number, copy in enumerate(copies)]
            for number, copy in enumerate(high):
                os.dup2(copy, 3 + number)

        # A shell that becomes the program knows the number of the process before it: LISTEN_PID.
        line = 'export LISTEN_PID=$$; exec "$0" "$@"'
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", line, sys.executable, str(STUB), "run", str(self.config)],
                env=environ,
                stderr=log,
                pass_fds=range(3, 3 + len(copies)),
                preexec_fn=place,
            )
        for copy in copies:
            os.close(copy)

    def start_ready(self) -> None:
        before, began_s = len(self.systemd.said("READY=1")), time.monotonic()
        self.start()
        wait_for(lambda: len(self.systemd.said("READY=1")) > before, "READY=1")
        self.start_s = time.monotonic() - began_s

    def events(self, name: str) -> list[dict[str, object]]:
        lines = self.log_path.read_text().splitlines()
        return [event for line in lines if line.startswith("{") and (event := json.loads(line))["event"] == name]

    def counter(self, name: str) -> int:
        return (read_counters(self.folder / "state/counters/supervisor-0.cnt") or {})[name]

    def send_signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(10)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self.systemd.close()


@contextmanager
def client(port: int, address: str = "127.0.0.1") -> Iterator["Client"]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # all answers at once, while nobody reads
        opened.connect((address, port))
        opened.settimeout(5)
        yield Client(opened)


class Client:
    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened

    def send(self, text: str) -> None:
        self.socket.send(text.encode())

    def receive(self) -> tuple[str, int, str]:
        slot, pid, *text = self.socket.recv(4096).decode().split(" ", 2)
        return slot, int(pid), " ".join(text)

    def ask(self, text: str = "who") -> int:
        """Return the process that answers."""
        self.send(text)
        return self.receive()[1]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.close()


@pytest.fixture
def running(node: Node) -> Node:
    node.start_ready()
    return node


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node for tests that leave it as it was."""
    made = Node(tmp_path_factory.mktemp("shared"))
    made.start_ready()
    yield made
    made.close()


def refusal(node: Node) -> str:
    """Reload, and return why the file was refused; the good file is put back."""
    before = len(node.events("config.refused"))
    node.send_signal(signal.SIGHUP)
    wait_for(lambda: len(node.events("config.refused")) > before, "the refusal")
    accepted = len(node.events("config.accepted"))
    node.write_config()
    node.send_signal(signal.SIGHUP)
    wait_for(lambda: len(node.events("config.accepted")) > accepted, "the good file")
    return str(node.events("config.refused")[-1]["error"])


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# --- a role dies ----------------------------------------------------------------------------------------------------


def test_a_killed_role_is_back_within_a_second_and_nothing_queued_is_lost(running: Node):
    with client(running.auth_port) as nas:
        first = nas.ask()
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: not is_alive(first), "its death")
        killed_s = time.monotonic()
        for number in range(300):
            nas.send(str(number))
        answers = [nas.receive() for _ in range(300)]
        # A second, on a machine that has nothing else to do; the whole node starts no sooner than one role.
        assert time.monotonic() - killed_s < max(2.0, 3 * running.start_s)
    assert [text for _, _, text in answers] == [str(number) for number in range(300)]
    assert {pid for _, pid, _ in answers} == {answers[0][1]}
    assert answers[0][1] != first
    assert running.counter("aaad_role_restarts_total|role=radius") == 1


def test_what_died_with_a_role_is_counted_and_told(running: Node):
    with client(running.auth_port) as nas:
        pid = nas.ask()
        for _ in range(3):
            nas.send("swallow")
        nas.ask()
        os.kill(pid, signal.SIGKILL)
        nas.ask()
        (event,) = running.events("role.killed")
        assert (event["slot"], event["signal"], event["lost_requests"]) == ("radius-0", "SIGKILL", 3)
        nas.send("swallow")
        os.kill(nas.ask(), signal.SIGKILL)  # what the first life lost is not counted again
        nas.ask()
    assert running.counter("aaad_role_lost_requests_total|role=radius") == 4


@pytest.mark.parametrize(("order", "event"), [("crash", "service.failed"), ("ended", "service.ended_unasked")])
def test_a_service_that_fails_is_told_and_its_role_starts_anew(running: Node, order: str, event: str):
    with client(running.auth_port) as nas:
        first = nas.ask(order)
        wait_for(lambda: not is_alive(first), "its end")
        assert nas.ask() != first
    (failed,) = running.events(event)
    assert failed["service"] == "radius"
    assert (order == "ended") or "RuntimeError: a bug of ours" in str(failed["exception"])
    (ended,) = running.events("role.failed")
    assert ended["exit_code"] == 1


def test_a_role_that_dies_again_and_again_is_started_less_and_less_often(node: Node):
    node.write_config(extra="[journal]\n")
    (node.folder / "state/counters").mkdir(parents=True)
    (node.folder / "state/counters/control-0.cnt.new").mkdir()  # any trouble at its start
    (node.folder / "state/counters/control-0.new").mkdir()
    node.start_ready()
    wait_for(lambda: len(node.events("role.restart_delayed")) >= 4, "four delays")
    waits = [event["wait_s"] for event in node.events("role.restart_delayed")][:4]
    assert waits == [0.1, 0.2, 0.4, 0.8]
    assert all(event["slot"] == "control-0" for event in node.events("role.failed"))
    with client(node.auth_port) as nas:  # the others do not suffer, and systemd is not told to kill all
        nas.ask()
    wait_for(lambda: "waiting to restart: control-0" in " ".join(node.systemd.said("STATUS=")), "the status")
    wait_for(lambda: node.systemd.feedings_since(0) > 0, "the watchdog is fed")
    assert node.stop() == 0


# --- the supervisor dies --------------------------------------------------------------------------------------------


def test_a_killed_supervisor_takes_its_roles_along_and_its_successor_reads_what_was_queued(running: Node):
    names = list(running.systemd.kept)
    assert f"auth-{running.auth_port}@127.0.0.1#0" in names
    assert len(names) == 5
    with client(running.auth_port) as nas:
        first = nas.ask()
        running.send_signal(signal.SIGKILL)
        running.process.wait(5)
        wait_for(lambda: not is_alive(first), "the end of the role")
        for number in range(300):
            nas.send(str(number))
        running.start_ready()
        answers = [nas.receive() for _ in range(300)]
    assert [text for _, _, text in answers] == [str(number) for number in range(300)]
    assert answers[0][1] != first
    (event,) = running.events("socket.taken_over")
    assert event["sockets"] == names


def test_a_kept_socket_that_the_configuration_no_longer_wants_is_given_up(running: Node):
    running.send_signal(signal.SIGKILL)
    running.process.wait(5)
    running.systemd.listen()
    old_name = f"auth-{running.auth_port}@127.0.0.1#0"
    running.auth_port = free_port()
    running.write_config()
    running.start_ready()
    with client(running.auth_port) as nas:
        nas.ask()
    running.systemd.listen()
    assert old_name not in running.systemd.kept
    assert f"auth-{running.auth_port}@127.0.0.1#0" in running.systemd.kept


def test_two_nodes_never_run_on_one_folder(shared: Node):
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    second = subprocess.run(
        [sys.executable, str(STUB), "run", str(shared.config)], env=environ, stderr=subprocess.PIPE, timeout=10
    )
    assert second.returncode == 1
    assert f"another aaad runs on {shared.folder}/state" in second.stderr.decode()


# --- signals --------------------------------------------------------------------------------------------------------


def test_a_bad_file_keeps_the_configuration_in_force_and_is_told(running: Node):
    with client(running.auth_port) as nas:
        first = nas.ask()
        running.write_config("auth_port = 99999\n")
        running.send_signal(signal.SIGHUP)
        wait_for(lambda: running.events("config.refused"), "the refusal")
        problem = "radius.auth_port: 99999 is not valid: a whole number from 1 to 65535"
        assert running.events("config.refused")[0]["error"] == problem
        assert running.counter("aaad_config_last_reload_successful") == 0
        wait_for(lambda: problem in running.systemd.status(), "the status line")
        assert nas.ask() == first
        os.kill(first, signal.SIGKILL)  # its successor reads what is in force, not what is in the file
        assert nas.ask() != first
        running.write_config()
        running.send_signal(signal.SIGHUP)
        wait_for(lambda: running.counter("aaad_config_last_reload_successful") == 1, "the good file")
    reloads = [message for message in running.systemd.listen() if message.startswith(("RELOADING", "READY"))]
    assert [message.partition("\n")[0] for message in reloads] == ["READY=1", *["RELOADING=1", "READY=1"] * 2]


def test_what_cannot_change_under_a_running_node_is_refused(shared: Node):
    shared.config.write_text(shared.config.read_text().replace("name = 'stub'", "name = 'other'"))
    assert refusal(shared) == "node.name: 'other' is not valid: stub until the service is restarted"


def test_a_good_file_opens_and_closes_addresses_and_loses_nothing(running: Node):
    with client(running.auth_port) as nas, client(running.auth_port, "127.0.0.2") as new:
        first = nas.ask()
        running.write_config(addresses="'127.0.0.1', '127.0.0.2'")
        running.send_signal(signal.SIGHUP)
        for number in range(200):
            nas.send(str(number))
            time.sleep(0.002)
        answers = [nas.receive() for _ in range(200)]
        assert [text for _, _, text in answers] == [str(number) for number in range(200)]
        assert {slot for slot, _, _ in answers} == {"radius-0"}
        second = new.ask()
        assert second != first
        wait_for(lambda: running.systemd.listen() and len(running.systemd.kept) == 7, "two more sockets kept")
        running.write_config()
        running.send_signal(signal.SIGHUP)
        wait_for(lambda: running.systemd.listen() and len(running.systemd.kept) == 5, "two sockets given up")
        assert nas.ask() not in (first, second)
        with pytest.raises(ConnectionRefusedError):
            new.ask()


def test_a_replaced_role_serves_until_its_successor_has_loaded_its_code(running: Node):
    """So a reload costs the time of a drain, not that of a start."""
    with client(running.auth_port) as nas:
        first = nas.ask()
        running.write_config(f"auth_port = {running.auth_port}\npeers_max = 99")
        running.send_signal(signal.SIGHUP)
        wait_for(lambda: len(running.events("config.reloading")) == 1, "the reload")
        asked: list[int] = []
        longest_s = 0.0
        while not asked or asked[-1] == first:
            asked_s = time.monotonic()
            asked.append(nas.ask())
            longest_s = max(longest_s, time.monotonic() - asked_s)
            time.sleep(0.002)  # who loads its code meanwhile shall have the processor
            assert len(asked) < 100_000
    assert len(asked) > 20  # the old one went on meanwhile
    assert longest_s < 1.0
    wait_for(lambda: running.counter("aaad_role_restarts_total|role=radius") == 1, "the count")


def test_a_change_that_concerns_no_role_restarts_none(shared: Node):
    with client(shared.auth_port) as nas:
        first = nas.ask()
        shared.write_config(extra="[log]\nlevel = 'info'\n[journal]\nbytes_max = 100000000")
        accepted = len(shared.events("config.accepted"))
        shared.send_signal(signal.SIGHUP)
        wait_for(lambda: len(shared.events("config.accepted")) > accepted, "the reload")
        assert nas.ask() == first


def test_a_port_that_another_program_has_refuses_the_file(shared: Node):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, client(shared.auth_port) as nas:
        other.bind(("127.0.0.1", 0))
        shared.write_config(f"auth_port = {other.getsockname()[1]}\n")
        assert "another program has it" in refusal(shared)
        nas.ask()


def test_sigterm_lets_requests_in_work_finish(running: Node):
    with client(running.auth_port) as nas:
        nas.ask()
        nas.send("slow")
        time.sleep(0.1)
        assert running.stop() == 0
        assert nas.socket.recv(100) == b"late"
    assert running.systemd.said("STOPPING=1")
    assert [event["slot"] for event in running.events("role.ended")] == ["radius-0", "control-0"]


def test_a_role_that_does_not_finish_is_killed_at_the_limit(running: Node):
    with client(running.auth_port) as nas:
        nas.ask("stuck")
        began_s = time.monotonic()
        assert running.stop() == 0
    assert 0.9 < time.monotonic() - began_s < 5


# --- the watchdog ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["stopped", "deaf"])
def test_a_radius_that_answers_no_more_is_replaced_and_systemd_is_not_fed_meanwhile(running: Node, trouble: str):
    with client(running.auth_port) as nas:
        first = nas.ask()
        wait_for(lambda: running.systemd.feedings_since(0) >= 2, "the watchdog being fed")
        if trouble == "stopped":
            os.kill(first, signal.SIGSTOP)
        else:
            nas.ask("deaf")
        since_s = time.monotonic() + 0.5  # the round under way may still have been answered
        nas.send("queued")
        wait_for(lambda: running.events("role.hung"), "the verdict")
        judged_s = time.monotonic()
        _, second, text = nas.receive()
        assert (text, second == first) == ("queued", False)
        running.systemd.listen()
        fed = [at_s for at_s, message in running.systemd.heard if message == "WATCHDOG=1"]
        assert not [at_s for at_s in fed if since_s < at_s < judged_s]
        back_s = time.monotonic()
        wait_for(lambda: running.systemd.feedings_since(back_s) >= 2, "the watchdog being fed again")


def test_a_node_without_replica_keeps_systemds_trust_and_says_why(running: Node):
    """Rule R3.2: Status-Server goes unanswered as the requests do; restarting would bring no replica."""
    with client(running.auth_port) as nas:
        first = nas.ask("silent")
        since_s = time.monotonic()
        wait_for(lambda: running.systemd.feedings_since(since_s) >= 6, "the watchdog being fed")
        assert running.systemd.status().startswith("STATUS=no complete replica yet")
        assert nas.ask() == first


def test_r3_2_an_accounting_port_that_is_not_answered_is_told_and_restarts_nothing(running: Node):
    with client(running.auth_port) as nas:
        first = nas.ask()
        wait_for(lambda: running.systemd.status() == "STATUS=answering", "all being well")
        nas.ask("unrecorded")
        since_s = time.monotonic()
        where = f"127.0.0.1 port {running.acct_port}"
        wait_for(
            lambda: running.systemd.status() == f"STATUS=answering; accounting not answered at {where}", "being told"
        )
        wait_for(lambda: running.systemd.feedings_since(since_s) >= 6, "the watchdog being fed")
        assert nas.ask() == first
    (event,) = running.events("accounting.unanswered")
    assert event["at"] == [where]


def test_the_secret_of_the_watchdog_stands_in_no_argument_and_no_environment(shared: Node):
    with client(shared.auth_port) as nas:
        role = nas.ask()
    key = WatchdogKey.decode(_memory_of(shared.process.pid, "watchdog"))
    for pid in (role, shared.process.pid):
        seen = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
        is_seen = key.secret in seen or key.secret.hex().encode() in seen
        assert not is_seen
    names = [line.partition(b"=")[0] for line in Path(f"/proc/{role}/environ").read_bytes().split(b"\0")]
    assert not {b"NOTIFY_SOCKET", b"WATCHDOG_USEC", b"LISTEN_PID"} & set(names)


def _memory_of(pid: int, name: str) -> bytes:
    (found,) = [link for link in Path(f"/proc/{pid}/fd").iterdir() if os.readlink(link).startswith(f"/memfd:{name} ")]
    with found.open("rb") as memory:
        return memory.read()


# --- several processes ----------------------------------------------------------------------------------------------


def test_several_processes_each_have_their_own_sockets_and_lose_nothing_when_one_dies(node: Node):
    """Rule R3.7."""
    node.write_config(f"auth_port = {node.auth_port}\nprocesses = 2\n")
    node.start_ready()
    by_slot: dict[str, int] = {}
    nases = []
    for _ in range(24):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.connect(("127.0.0.1", node.auth_port))
        opened.settimeout(5)
        nases.append(Client(opened))
    for nas in nases:
        nas.send("who")
        slot, pid, _ = nas.receive()
        assert by_slot.setdefault(slot, pid) == pid
    assert set(by_slot) == {"radius-0", "radius-1"}
    os.kill(by_slot["radius-1"], signal.SIGKILL)
    wait_for(lambda: not is_alive(by_slot["radius-1"]), "its death")
    for nas in nases:
        nas.send("again")
    answers = {nas.receive()[:2] for nas in nases}
    assert ("radius-0", by_slot["radius-0"]) in answers
    assert len(answers) == 2
    for nas in nases:
        nas.socket.close()
    node.write_config()  # back to one process
    node.send_signal(signal.SIGHUP)
    wait_for(lambda: node.systemd.listen() and len(node.systemd.kept) == 5, "the group of one")
    with client(node.auth_port) as nas:
        nas.ask()
    assert node.stop() == 0


def test_a_second_process_takes_its_share_only_when_it_can_serve(node: Node, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STUB_LOADING_S", "1.0")
    node.start_ready()
    nases = []
    for _ in range(12):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.connect(("127.0.0.1", node.auth_port))
        opened.settimeout(5)
        nases.append(Client(opened))
    node.write_config(f"auth_port = {node.auth_port}\nprocesses = 2\n")
    node.send_signal(signal.SIGHUP)
    slots: set[str] = set()
    longest_s = 0.0
    limit_s = time.monotonic() + 20
    while len(slots) < 2:
        assert time.monotonic() < limit_s
        for nas in nases:
            asked_s = time.monotonic()
            nas.send("who")
            slots.add(nas.receive()[0])
            longest_s = max(longest_s, time.monotonic() - asked_s)
        time.sleep(0.01)
    assert longest_s < 1.0
    assert len(node.events("socket.joined")) == 2  # auth and acct
    for nas in nases:
        nas.socket.close()
    assert node.stop() == 0


def test_of_several_processes_the_one_that_is_deaf_is_replaced_and_no_other(node: Node):
    node.write_config(f"auth_port = {node.auth_port}\nprocesses = 2\n")
    node.start_ready()
    by_slot: dict[str, int] = {}
    nases: dict[str, Client] = {}
    for _ in range(24):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.connect(("127.0.0.1", node.auth_port))
        opened.settimeout(5)
        nas = Client(opened)
        nas.send("who")
        slot, by_slot[slot], _ = nas.receive()
        nases[slot] = nas
    for slot in ("radius-0", "radius-1"):
        nases[slot].ask("deaf")
        wait_for(lambda slot=slot: is_alive(by_slot[slot]) is False, f"the end of {slot}")
        by_slot[slot] = nases[slot].ask()
    assert [event["slot"] for event in node.events("role.hung")] == ["radius-0", "radius-1"]
    assert node.stop() == 0
