"""A throw-away aaad node for the bench: `aaad demo`, everything on, with a PostgreSQL of its own."""

import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import processes
from servers import POSTGRES_SETTINGS, START_TIMEOUT_S, ServerError, check_port_is_free, end
from undrained import Spools

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Ports:
    """The node's ports on 127.0.0.1."""

    auth: int
    acct: int
    metrics: int


class Node:
    """`aaad demo` on a directory; `start` returns when it says that it is ready."""

    def __init__(self, directory: Path, ports: Ports, logins: int) -> None:
        self.directory = directory
        self.ports = ports
        self.logins = logins
        self.process: subprocess.Popen | None = None
        self.ready: dict[str, object] = {}

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        for port in (self.ports.auth, self.ports.acct):
            check_port_is_free(port)
        command = [sys.executable, "-m", "aaad", "demo", "--dir", str(self.directory), "--logins", str(self.logins)]
        command += ["--auth-port", str(self.ports.auth), "--acct-port", str(self.ports.acct)]
        command += ["--metrics-port", str(self.ports.metrics)]
        log_path = self.directory.with_suffix(".log")
        settings = " ".join(f"{name}={value}" for name, value in POSTGRES_SETTINGS.items())
        # Roles look for their program in no current folder; what is measured is what lies beside this tool.
        environment = {**os.environ, "AAAD_EMBEDDED_SETTINGS": settings, "PYTHONPATH": str(_ROOT)}
        with log_path.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=_ROOT, env=environment)
        self.ready = self._read_ready(timeout_s, log_path)

    def stop(self) -> None:
        end(self.process)

    @property
    def dsn(self) -> str:
        return str(self.ready["dsn"])

    def roots(self) -> dict[str, list[int]]:
        """Return the node's process trees by name, disjoint when counted in this order."""
        pids = self.ready["pids"]
        roles = {name: self.role(name) for name in ("radius", "sync")}
        return {"postgres": [pids["postgres"]], **roles, "rest": [self.process.pid]}

    @property
    def config(self) -> Path:
        return Path(str(self.ready["config"]))

    @property
    def spools(self) -> Spools:
        """What it has accepted and not yet written to PostgreSQL."""
        return Spools(self.directory / "state" / "spool")

    def role(self, name: str) -> list[int]:
        """Return the processes of one role."""
        return [pid for slot, pid in self.slots().items() if slot.rpartition("-")[0] == name]

    def slots(self) -> dict[str, int]:
        """Return the processes of all roles by slot ("radius-0"), as their command lines name them."""
        commands = {pid: processes.command(pid).split() for pid in processes.trees([self.process.pid])}
        return {
            f"{words[words.index('role') + 1]}-{words[words.index('--slot') + 1]}": pid
            for pid, words in commands.items()
            if {"role", "--slot"} <= set(words)
        }

    def _read_ready(self, timeout_s: float, log_path: Path) -> dict[str, object]:
        """Wait for the one JSON line that says: ready."""
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], timeout_s)
        line = self.process.stdout.readline() if readable else b""
        try:
            return json.loads(line)
        except ValueError:
            end(self.process)
            last = log_path.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing in its log"]
            raise ServerError(f"aaad demo did not become ready: {last[0][:300]}") from None
