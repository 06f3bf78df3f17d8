"""`aaad demo`: a whole node from nothing, ended in order, gone on with, and after kill -9 of everything."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from free_ports import free_port, free_ports

from aaad.daemon.demo import _choose_ports
from aaad.daemon.demo_probe import is_answering

REPOSITORY = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60
PASSWORD = "demo1234"


class Demo:
    """One run of the command."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "aaad", "demo", "--dir", directory, *options],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_ready(self) -> dict:
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return json.loads(line)

    def end(self) -> str:
        """Ask it to end; return all that it said."""
        self.process.send_signal(signal.SIGTERM)
        rest, said = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, said
        assert rest == "", "one line on standard output, no more"
        return said


def own_ports() -> list[str]:
    ports = zip(("--auth-port", "--acct-port", "--metrics-port"), free_ports(3), strict=True)
    return [str(word) for option in ports for word in option]


@contextmanager
def running(directory: Path, *options: str) -> Iterator[tuple[Demo, dict]]:
    demo = Demo(directory, *own_ports(), *options)
    try:
        yield demo, demo.wait_ready()
    finally:
        demo.process.kill()
        demo.process.wait()
        demo.process.stdout.close()
        demo.process.stderr.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict]:
    """One node for all that needs no start of its own, ended in order."""
    with running(tmp_path_factory.mktemp("shared"), "--logins", "4") as (demo, ready):
        yield ready
        demo.end()


def wait_until(condition, timeout_s: float = 20, what: str = "") -> None:
    give_up_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_at, f"not in time: {what}"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def all_gone(pids: dict[str, int]) -> bool:
    return not any(is_alive(pid) for pid in pids.values())


def radclient(ready: dict, name: str, password: str, code: str = "auth") -> str:
    done = subprocess.run(
        ["radclient", "-x", "-r", "1", "-t", "3", f"127.0.0.1:{ready['auth_port']}", code, "testing123"],
        input=f'User-Name = "{name}"\nUser-Password = "{password}"\nMessage-Authenticator = 0x00\n',
        capture_output=True,
        text=True,
        timeout=20,
    )
    return done.stdout + done.stderr


needs_radclient = pytest.mark.skipif(not shutil.which("radclient"), reason="no radclient (Debian: freeradius-utils)")


async def execute(dsn: str, sql: str, *arguments: object) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql, *arguments)
    finally:
        await connection.close()


def test_who_answers_goes_before_who_carries(shared: dict):
    niceness = {name: os.getpriority(os.PRIO_PROCESS, pid) for name, pid in shared["pids"].items()}
    assert niceness["radius-0"] <= niceness["supervisor"] < niceness["sync-0"] == niceness["control-0"]
    radius = shared["pids"]["radius-0"]
    first = 2 if _may_go_first() else 0
    wait_until(lambda: len(going_first(radius)) == first, what="the one that answers and the spool's go first")
    assert not first or radius in going_first(radius)
    assert not any(going_first(shared["pids"][name]) for name in ("supervisor", "sync-0", "control-0"))
    with urllib.request.urlopen(f"http://127.0.0.1:{shared['metrics_port']}/metrics", timeout=5) as answer:
        assert f'aaad_role_first_threads{{slot="radius-0"}} {first}.0\n' in answer.read().decode()


def going_first(pid: int) -> set[int]:
    """Return those of a process's threads that go before all ordinary ones."""
    threads = {int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()}
    return {thread for thread in threads if os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR}


def _may_go_first() -> bool:
    """Ask the kernel in a process of its own, as the radius role does."""
    if len(os.sched_getaffinity(0)) == 1:
        return False
    code = "import os; os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))"
    return not subprocess.run([sys.executable, "-c", code], capture_output=True).returncode


def test_says_what_is_ready(shared: dict):
    assert shared["ready"] is True
    assert set(shared) == {"ready", "auth_port", "acct_port", "metrics_port", "dsn", "config", "pids"}
    assert {"demo", "postgres", "supervisor", "radius-0", "sync-0", "control-0"} <= set(shared["pids"])
    assert all(is_alive(pid) for pid in shared["pids"].values())
    assert is_answering("127.0.0.1", shared["auth_port"], b"testing123")
    with urllib.request.urlopen(f"http://127.0.0.1:{shared['metrics_port']}/metrics", timeout=5) as answer:
        assert b"aaad_" in answer.read()


@needs_radclient
def test_a_real_client_is_accepted_with_the_right_attributes(shared: dict):
    said = radclient(shared, "user000001", "pass000001")
    assert "Received Access-Accept" in said
    assert "Framed-IP-Address = 100.64.1.1" in said
    assert re.search(r'Mikrotik-Rate-Limit = "100M/200M', said)
    interval = re.search(r"Acct-Interim-Interval = (\d+)", said)
    assert interval and abs(int(interval[1]) - 300) <= 30  # each login a little of its own
    assert "Message-Authenticator" in said


@needs_radclient
@pytest.mark.parametrize(
    ("name", "password", "answer"),
    [
        ("user000001", "wrong", "Access-Reject"),
        ("nobody.here", PASSWORD, "Access-Reject"),
        ("ana.pereira", PASSWORD, "Access-Accept"),
        ("ANA.PEREIRA", PASSWORD, "Access-Accept"),
        ("bruno.costa", PASSWORD, "Access-Reject"),
        ("carla.dias", PASSWORD, "Access-Reject"),
        ("daniel.rocha", PASSWORD, "Access-Accept"),
        ("elisa.nunes", PASSWORD, "Access-Reject"),
        ("leandro.moura", PASSWORD, "Access-Reject"),
        ("nelson.cardoso", PASSWORD, "Access-Reject"),
        ("prefeitura-01", PASSWORD, "Access-Accept"),
        ("josé.conceição", PASSWORD, "Access-Accept"),
        ("rita.souza", PASSWORD, "Access-Accept"),
        ("sergio.lopes", PASSWORD, "Access-Accept"),
        ("yuri.matos", PASSWORD, "Access-Accept"),
        ("zilda.faria", PASSWORD, "Access-Reject"),
        ("caio.brito", PASSWORD, "Access-Reject"),
    ],
)
def test_each_state_gets_its_answer(name: str, password: str, answer: str, shared: dict):
    assert f"Received {answer}" in radclient(shared, name, password)


@needs_radclient
async def test_it_goes_on_after_an_orderly_end_after_kill_9_of_everything_and_of_itself_alone(tmp_path: Path):
    directory = tmp_path / ("x" * 100) / 'a "strange" näme'  # too long for the path of a socket, too
    with running(directory, "--logins", "20") as (demo, ready):
        await execute(ready["dsn"], "UPDATE erp.contract SET access_status = 'CM' WHERE id = 1002")
        wait_until(lambda: "Access-Reject" in radclient(ready, "user000001", "pass000001"), 5, "the block")
        demo.end()
        assert all_gone(ready["pids"])
    with running(directory, "--logins", "999") as (_, ready):
        assert "Access-Reject" in radclient(ready, "user000001", "pass000001"), "the block outlives a restart"
        await execute(ready["dsn"], "UPDATE erp.contract SET access_status = 'A' WHERE id = 1002")
        wait_until(lambda: "Access-Accept" in radclient(ready, "user000001", "pass000001"), 5, "the release")
        for pid in ready["pids"].values():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: all_gone(ready["pids"]), what="what was killed is gone")
    with running(directory) as (demo, ready):
        assert "Access-Accept" in radclient(ready, "user000001", "pass000001"), "after kill -9 of everything"
        demo.process.kill()
        # At once, while the old node still drains: the next run waits for it.
        with running(directory) as (next_demo, again):
            assert all_gone(ready["pids"]), "what it started ended with it"
            assert "Access-Accept" in radclient(again, "user000019", "pass000019")
            assert "going on with the data that is there" in next_demo.end()


@needs_radclient
def test_postgresql_killed_logins_go_on_and_it_comes_back(shared: dict):
    os.kill(shared["pids"]["postgres"], signal.SIGKILL)
    assert "Access-Accept" in radclient(shared, "user000002", "pass000002")

    def is_back() -> bool:
        import asyncio

        try:
            asyncio.run(execute(shared["dsn"], "SELECT 1"))
        except (OSError, asyncpg.PostgresError):
            return False
        return True

    wait_until(is_back, what="PostgreSQL")


def test_a_port_of_0_is_any_and_each_another():
    found = _choose_ports(0, 0, 0)
    assert len({0, found.auth_port, found.acct_port, found.metrics_port}) == 4
    told = free_port()
    assert _choose_ports(0, told, 0).acct_port == told


def test_a_port_in_use_is_named(tmp_path: Path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        demo = Demo(tmp_path, "--auth-port", port, "--acct-port", "0", "--metrics-port", "0")
        said = demo.process.communicate(timeout=30)
    assert demo.process.returncode == 2
    assert port in said[1] and "--auth-port" in said[1]


def test_too_many_logins_are_a_usage_error(tmp_path: Path):
    demo = Demo(tmp_path, *own_ports(), "--logins", "99999999")
    said = demo.process.communicate(timeout=30)
    assert (demo.process.returncode, said[0]) == (2, "")
    assert "--logins: 99999999 is not valid: 0 to 4000000" in said[1]
