"""A node in its own processes for tests of the command line, on a database of the tests' own PostgreSQL."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from free_ports import free_ports

ADDRESS = "127.0.0.1"


class ProcessNode:
    """One node: the whole daemon, or with `role` one role's process alone."""

    def __init__(self, directory: Path, dsn: str, name: str, *, role: str = "") -> None:
        """Write its configuration."""
        self.name = name
        self.dsn = dsn
        self.state_dir = directory / "state"
        self.run_dir = directory / "run"
        self.log = directory / "aaad.log"
        self.config_path = directory / "aaad.toml"
        self.auth_port, acct_port, self.metrics_port = free_ports(3)
        self._words = ["role", role, "--slot", "0"] if role else ["run"]
        self._process: subprocess.Popen[bytes] | None = None
        self.config_path.write_text(
            f'[node]\nname = "{name}"\nstate_dir = "{self.state_dir}"\nrun_dir = "{self.run_dir}"\n'
            f'[database]\ndsn = "{dsn}"\n[cli]\ntrust_local_account = true\n'
            f'[radius]\naddresses = ["{ADDRESS}"]\nauth_port = {self.auth_port}\nacct_port = {acct_port}\n'
            f"[metrics]\nport = {self.metrics_port}\n"
            # So that a hand full of logins can show the brake.
            "[replica]\nbrake_minimum = 1\nbrake_share = 0.0\nbrake_window_s = 1.0\nmap_size_bytes = 67108864\n"
            "[spool]\nsegment_bytes = 65536\n[journal]\nsegment_bytes = 1048576\n"
        )

    def start(self) -> None:
        """Start it; waits for nothing."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "aaad", "--config", str(self.config_path), *self._words],
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        """End it in order."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            assert self._process.wait(20) in (0, -signal.SIGTERM), self.log.read_text()[-2000:]


def wait_until(condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    """Wait for something to become true, but not for ever."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
