"""Starting and ending the programs of the bench: always our own children, by process id, below a scratch folder."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

START_TIMEOUT_S = 180
POSTGRES_SETTINGS = {  # of every leg, so that none has an advantage
    "max_connections": "100",
    "shared_buffers": "1GB",
    "effective_cache_size": "8GB",
    "random_page_cost": "1.1",
    "max_wal_size": "1GB",
    "jit": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
}
_STOP_TIMEOUT_S = 20


class ServerError(Exception):
    """A program of the bench cannot be started here; the text says why and what would help."""


def end_in_order_when_told() -> None:
    """Let SIGTERM end this program as Ctrl-C does, so that everything it started ends with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def wait_until(condition, what: str, process: subprocess.Popen | None = None, timeout_s: float = START_TIMEOUT_S):
    """Wait until `condition()` is true and return its value; ServerError when time is up or the process has ended."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        if process is not None and process.poll() is not None:
            raise ServerError(f"{what}: it ended with status {process.returncode}")
        time.sleep(0.05)
    raise ServerError(f"{what}: not within {timeout_s} s")


def end(process: subprocess.Popen | None, number: int = signal.SIGTERM) -> None:
    """End one of our own processes: by this signal, and SIGKILL when that is not enough."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(number)
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def check_port_is_free(port: int) -> None:
    """Say at once when another program has this UDP port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ServerError(f"UDP port {port} is taken: choose others with --port-base") from error


class Postgres:
    """A private PostgreSQL of the system's own binaries, tuned as an expert would, durable, on a Unix socket.

    initdb refuses root: as root it runs as the user `postgres`, who must reach the scratch folder.
    """

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port
        self._process: subprocess.Popen | None = None

    @property
    def pid(self) -> int:
        return int((self.directory / "data" / "postmaster.pid").read_text().split()[0])

    def start(self) -> None:
        binaries = self._binaries()
        data = self.directory / "data"
        self.directory.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            subprocess.run(["chown", "postgres", str(self.directory)], check=True)
        if len(str(self.directory)) > 80:
            raise ServerError(f"{self.directory} is too long for a Unix socket: choose a shorter --scratch")
        options = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"]
        self._run([str(binaries / "initdb"), "-D", str(data), *options])
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.directory),
            "port": str(self.port),
            **POSTGRES_SETTINGS,
        }
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        log = (self.directory.parent / "postgres.log").open("ab")
        self._process = subprocess.Popen(
            [*_as_postgres(), str(binaries / "postgres"), "-D", str(data), *flags], stdout=log, stderr=log, cwd="/"
        )
        log.close()
        wait_until(self._is_ready, "PostgreSQL of the bench", self._process)

    def stop(self) -> None:
        end(self._process, signal.SIGINT)  # "fast": does not wait for its clients

    def run_sql(self, database: str, *arguments: str) -> str:
        """Run psql with these arguments and return what it prints; ServerError with its words when it fails."""
        command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *self._address(), "-d", database]
        return self._run([*command, *arguments], ())

    def _binaries(self) -> Path:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
        if not found:
            raise ServerError("no PostgreSQL here: bench/install.sh installs it")
        return found[-1].parent

    def _address(self) -> list[str]:
        return ["-h", str(self.directory), "-p", str(self.port), "-U", "postgres"]

    def _is_ready(self) -> bool:
        return not subprocess.run(["pg_isready", "-q", *self._address()]).returncode

    def _run(self, command: list[str], prefix: tuple[str, ...] | None = None) -> str:
        done = subprocess.run(
            [*(_as_postgres() if prefix is None else prefix), *command], capture_output=True, text=True, cwd="/"
        )
        if done.returncode:
            raise ServerError(f"{Path(command[0]).name}: {done.stderr.strip()[-300:]}")
        return done.stdout.strip()


def _as_postgres() -> tuple[str, ...]:
    return ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups") if os.geteuid() == 0 else ()
