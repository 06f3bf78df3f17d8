"""A whole node: the daemon as it is run in life, on a PostgreSQL that a test may kill and freeze."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
from free_ports import free_ports
from subscribers import ACCEPT, dial

from aaad.daemon.demo_data import DATABASE, prepare_database
from aaad.db.embedded import EmbeddedPostgres

LOGINS = 400
_ANSWER_S = 60.0
_SETTINGS = {"shared_buffers": "32MB", "fsync": "off"}  # what a killed process has written is in the kernel's hands
_clusters: dict[int, Path] = {}  # one with so many logins, to be copied: making one takes seconds


class Node:
    """One node below one folder, with its own PostgreSQL; each part can be started and killed alone."""

    def __init__(self, folder: Path, logins: int = LOGINS) -> None:
        self.folder = folder
        self.logins = logins
        self.postgres = EmbeddedPostgres(folder / "postgresql", settings=_SETTINGS)
        self.config = folder / "aaad.toml"
        self.log = folder / "aaad.log"
        self.auth_port, self.acct_port, self.metrics_port = free_ports(3)
        self.process: subprocess.Popen[bytes] | None = None
        self._sql = Sql()
        self._short = tempfile.TemporaryDirectory(prefix="aaad-", dir="/tmp")  # a socket's path must be short
        self.run_dir = Path(self._short.name) / "run"

    @property
    def dsn(self) -> str:
        return self.postgres.dsn(DATABASE)

    def prepare(self) -> None:
        data = self.folder / "postgresql" / "data"
        if self.logins in _clusters:
            data.parent.mkdir()
            _copy(_clusters[self.logins], data)
        self.postgres.start()
        if self.logins not in _clusters:
            _in_thread(prepare_database(self.postgres.dsn("postgres"), self.dsn, self.logins, "testing123"))
            if not data.is_symlink():
                self.postgres.stop()
                copy = self.folder / "cluster"
                _copy(data, copy)
                _clusters[self.logins] = copy
                self.postgres.start()
        self.run_dir.mkdir()
        self.config.write_text(
            f'[node]\nname = "tested"\nstate_dir = "{self.folder / "state"}"\nrun_dir = "{self.run_dir}"\n'
            f'[database]\ndsn = "{self.dsn}"\n[cli]\ntrust_local_account = true\n'
            f'[radius]\naddresses = ["127.0.0.1"]\nauth_port = {self.auth_port}\nacct_port = {self.acct_port}\n'
            f"[metrics]\nport = {self.metrics_port}\n"
        )

    def start(self, *, wait: bool = True) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "aaad", "--config", str(self.config), "run"], stdout=log, stderr=log
            )
        if wait:
            self.wait_answering()

    def wait_answering(self) -> float:
        """Wait until a login is accepted; return how long that took in seconds."""
        begun = time.monotonic()
        while time.monotonic() - begun < _ANSWER_S:
            if dial(self.auth_port, "user000000", "pass000000", timeout_s=0.1).code == ACCEPT:
                return time.monotonic() - begun
            time.sleep(0.02)
        raise AssertionError("the node does not answer:\n" + self.log.read_text()[-3000:])

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        self.process = None
        return code

    def kill(self) -> None:
        """Kill the supervisor, and wait for its roles: they go on answering until they notice, a successor apart."""
        assert self.process is not None
        orphans = list(self.roles().values())
        self.process.kill()
        self.process.wait(20)
        self.process = None
        eventually(lambda: not any(_is_alive(pid) for pid in orphans), within_s=20, what="the roles end")

    def roles(self) -> dict[str, int]:
        """Return the pids of the roles by slot."""
        assert self.process is not None
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                if not entry.name.isdigit():
                    continue
                parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
                words = (entry / "cmdline").read_text().split("\0")
            except OSError:
                continue
            if parent == str(self.process.pid) and "role" in words:
                slot = words[words.index("--slot") + 1]
                found[f"{words[words.index('role') + 1]}-{slot}"] = int(entry.name)
        return found

    def sql(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        return self._sql.fetch(self.dsn, statement, *arguments)

    def aaad(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the CLI."""
        return subprocess.run(
            [sys.executable, "-m", "aaad", "--config", str(self.config), *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env={**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"},
        )

    def starting_s(self) -> float:
        """Return how long a process of this program takes to start, at this moment."""
        begun = time.monotonic()
        assert self.aaad("role", "--help").returncode == 0
        return time.monotonic() - begun

    def is_a_second(self, took_s: float) -> bool:
        """Tell whether that is less than a second, or where others compute, less than two starts of a process."""
        return took_s < 1 or took_s < 2 * self.starting_s()

    def postgres_pids(self) -> list[int]:
        """Return PostgreSQL's processes, the postmaster first."""
        postmaster = self.postgres.pid
        assert postmaster is not None
        children = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (entry / "stat").read_text().rsplit(")", 1)[1].split()[1] == str(
                    postmaster
                ):
                    children.append(int(entry.name))
            except OSError:
                continue
        return [postmaster, *children]

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)
        self._sql.close()
        self.postgres.stop()
        self._short.cleanup()


class Sql:
    """A connection that stays, for who asks again and again: a new one each time costs more than most answers.

    It has a thread of its own, and is made anew when PostgreSQL was killed.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "sql")
        self._runner = asyncio.Runner()
        self._connection: asyncpg.Connection | None = None

    def fetch(self, dsn: str, statement: str, *arguments: object) -> list[asyncpg.Record]:
        return self._thread.submit(self._runner.run, self._fetch(dsn, statement, *arguments)).result()

    async def _fetch(self, dsn: str, statement: str, *arguments: object) -> list[asyncpg.Record]:
        for _ in range(3):  # its end may have been told while nobody listened
            await asyncio.sleep(0)
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(dsn, timeout=10)
        return await self._connection.fetch(statement, *arguments, timeout=30)

    def close(self) -> None:
        if self._connection is not None:
            self._thread.submit(self._connection.terminate).result()
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()


def eventually(check: Callable[[], bool], *, within_s: float, what: str) -> float:
    """Wait until `check` holds; return how long it took in seconds."""
    begun = asked = time.monotonic()
    while asked - begun < within_s:
        if check():
            return time.monotonic() - begun
        time.sleep(max(0.01, time.monotonic() - asked))  # who computes shall have half of the time at least
        asked = time.monotonic()
    raise AssertionError(f"not within {within_s} s: {what}")


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _copy(cluster: Path, to: Path) -> None:
    """Copy a cluster that is stopped; its files stay their owner's."""
    subprocess.run(["cp", "-a", cluster, to], check=True)


def _in_thread(work):
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
