"""A role's process by itself: started as systemd would start it, refused where it must be, ended with its parent."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STUB = Path(__file__).with_name("stub_node.py")
ENVIRON = {key: value for key, value in os.environ.items() if key != "AAAD_DATABASE_DSN"} | {"PYTHONPATH": str(ROOT)}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "aaad.toml"
    path.write_text(
        f"[node]\nname = 'stub'\nstate_dir = '{tmp_path}/state'\nrun_dir = '{tmp_path}/run'\n"
        "[database]\ndsn = 'postgresql://nobody@127.0.0.1:1/none'\n"
    )
    return path


def start(config: Path, descriptors: dict[str, int], role: str = "radius") -> subprocess.Popen[str]:
    line = 'export LISTEN_PID=$$; exec "$0" "$@"'
    places = [os.dup2(descriptor, 100 + number) for number, descriptor in enumerate(descriptors.values())]
    try:
        return subprocess.Popen(
            ["/bin/sh", "-c", line, sys.executable, str(STUB), "role", role, "--slot", "0", "--config", str(config)],
            env=ENVIRON | {"LISTEN_FDS": str(len(places)), "LISTEN_FDNAMES": ":".join(descriptors)},
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=range(3, 3 + len(places)),
            preexec_fn=lambda: [os.dup2(place, 3 + number) for number, place in enumerate(places)] and None,
        )
    finally:
        for place in places:
            os.close(place)


def test_systemd_could_start_a_role_and_its_parents_end_ends_it(config: Path):
    read_end, write_end = os.pipe()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as auth,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nas,
    ):
        auth.bind(("127.0.0.1", 0))
        nas.connect(auth.getsockname())
        nas.settimeout(10)
        process = start(config, {"auth-1812@127.0.0.1#0": auth.fileno(), "parent": read_end})
        os.close(read_end)
        nas.send(b"who")
        assert nas.recv(100).decode() == f"radius-0 {process.pid} who"
        assert Path(f"/proc/{process.pid}/comm").read_text() == "aaad radius-0\n"
        os.close(write_end)
        _, told = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "supervisor.lost" in told


def test_a_role_whose_parent_died_before_it_was_awake_ends_at_once(config: Path):
    """On a busy machine Python takes seconds to start; until then nobody tells it, and its sockets are held."""
    read_end, write_end = os.pipe()
    warm_read, warm_write = os.pipe()
    for gone in (write_end, warm_read):
        os.close(gone)
    process = start(config, {"parent": read_end, "warm": warm_write})
    os.close(read_end)
    os.close(warm_write)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "supervisor.lost" in told
    assert "role.broken" not in told


def test_a_role_ends_with_its_parent_even_without_a_pipe(config: Path, tmp_path: Path):
    """PR_SET_PDEATHSIG: the shell in between dies, and the kernel ends the role."""
    command = [sys.executable, str(STUB), "role", "control", "--slot", "0", "--config", str(config)]
    with (tmp_path / "log").open("w") as log:
        parent = subprocess.Popen(
            [sys.executable, "-c", f"import subprocess, time; subprocess.Popen({command!r}); time.sleep(60)"],
            env=ENVIRON,
            stderr=log,
        )
    end_s = time.monotonic() + 10
    while "role.serving" not in (tmp_path / "log").read_text():
        assert time.monotonic() < end_s
        time.sleep(0.02)
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    while "role.draining" not in (tmp_path / "log").read_text():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_a_slot_is_held_by_one_process_only(config: Path):
    """Two writers of one spool would destroy it."""
    first = start(config, {}, "control")
    assert first.stderr is not None
    while "role.serving" not in first.stderr.readline():
        pass
    impatient = (
        f"import sys; sys.path.insert(0, {str(STUB.parent)!r})\n"
        "import stub_node\nfrom pathlib import Path\nfrom aaad.daemon import roles\n"
        "roles._PREDECESSOR_S = 0.2\n"
        f"sys.exit(roles.run(stub_node.STUBS['control'], 0, Path({str(config)!r})))"
    )
    second = subprocess.run(
        [sys.executable, "-c", impatient], env=ENVIRON, stderr=subprocess.PIPE, text=True, timeout=20
    )
    assert second.returncode == 75
    assert "another process runs in slot control-0" in second.stderr
    first.terminate()
    first.communicate(timeout=10)
    assert first.returncode == 0


def test_a_role_that_does_not_exist_and_a_configuration_that_is_bad_are_told(config: Path):
    def run(role: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "aaad", "role", role, "--slot", "0", "--config", str(config)],
            env=ENVIRON,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            timeout=20,
        )

    unknown = run("monitor")
    assert unknown.returncode == 2
    assert "there is no role 'monitor'; roles are radius, sync, mirror, control" in unknown.stderr
    config.write_text("[radius]\nprocesses = 0\n[database]\ndsn = 'postgresql://x'\n")
    bad = run("radius")
    assert bad.returncode == 2
    assert "radius.processes: 0 is not valid: a whole number from 1 to 64" in bad.stderr
