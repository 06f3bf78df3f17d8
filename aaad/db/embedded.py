"""A PostgreSQL server of our own below one folder: for throw-away nodes and for tests, never for production.

It listens on a unix socket only, in a folder of mode 0700 that belongs to the account it runs as; who can
enter that folder is trusted, everybody else cannot connect at all. It ends when the program that started it
ends (also by SIGKILL), and starts again after a crash of anything. It changes no system setting.

    DIRECTORY/data            the cluster (or a link to it: aaad.db.embedded_host says when)
    DIRECTORY/socket          the socket's folder (or a link, where the path would be too long)
    DIRECTORY/postgresql.log  what the server says
    DIRECTORY/lock            held while somebody uses the folder
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from aaad.clock import monotonic_s
from aaad.db.embedded_host import Place, Source, choose_place
from aaad.errors import EmbeddedError

SUPERUSER = "postgres"
SOURCE_VARIABLE = "AAAD_EMBEDDED_POSTGRES"  # auto, system or packaged
SETTINGS_VARIABLE = "AAAD_EMBEDDED_SETTINGS"  # settings of PostgreSQL instead of ours: shared_buffers=1GB jit=off

_SOCKET_PATH_OCTETS_MAX = 107  # sun_path holds 108 with the final zero
_LOCK_TIMEOUT_S = 15  # a predecessor that was killed holds its lock for a moment still
_READY_TIMEOUT_S = 300  # recovery after a crash replays the log
_STOP_TIMEOUT_S = 60
_ORPHAN_TIMEOUT_S = 30
_PAUSE_S = 0.02
_DYING_S = 0.05  # who was killed this instant still counts as alive
_LOG_OCTETS_MAX = 8 * 1024 * 1024
_LOG_TAIL_LINES = 5

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "huge_pages": "off",
    "jit": "off",
    # Parallel queries want /dev/shm, which a container may have made tiny.
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # a failed statement's text may hold a password
}


class EmbeddedPostgres:
    """One server below one folder. Start it from a thread that lives as long as the server shall."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        source: Source | None = None,
    ) -> None:
        """Take the folder, the number in the socket's name, settings of PostgreSQL, and whose programs to use."""
        self._directory = directory.resolve()
        self._port = port or 5432
        self._settings = {**_SETTINGS, **(settings or {}), **_settings_of_environment()}
        self._source = source
        self._place: Place | None = None
        self._socket: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def pid(self) -> int | None:
        """The server's process, None while none runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def has_crashed(self) -> bool:
        """Whether it ran and ended otherwise than by an orderly stop, ours or somebody's."""
        return self._process is not None and self._process.poll() not in (None, 0)

    @property
    def description(self) -> str:
        """Whose programs run, and as whom. Known after the first start."""
        assert self._place is not None, "not started yet"
        return f"{self._place.binaries}, {self._place.account.description}"

    @property
    def programs(self) -> Path:
        """The folder with psql and the like. Known after the first start."""
        assert self._place is not None, "not started yet"
        return self._place.binaries.directory

    def dsn(self, database: str = "postgres") -> str:
        """Return the address of a database for asyncpg and psql."""
        assert self._socket is not None, "not started yet"
        return f"postgresql://{SUPERUSER}@/{quote(database)}?host={quote(str(self._socket))}&port={self._port}"

    def start(self) -> None:
        """Start, creating the cluster the first time; return when it answers. Does nothing if it runs."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_DYING_S)
            if self.pid is not None:
                return
        self._directory.mkdir(parents=True, exist_ok=True)
        self._acquire()
        try:
            self._place = choose_place(self._directory, self._source or _source_of_environment())
            data = self._place.home / "data"
            _end_orphans(data)
            if not data.is_dir():
                _initialise(self._place, data)
            self._socket = self._make_socket_folder(self._place)
            self._launch(self._place, data, self._socket)
            self._wait_ready(data)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop: connections are ended, everything committed is kept."""
        if self._process is not None:
            _end(self._process)
            self._process = None
        self._remove_distant_socket()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _acquire(self) -> None:
        """Hold the folder, so that whoever else is found in it is an orphan and may be ended."""
        if self._lock is not None:
            return
        lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        give_up_at = monotonic_s() + _LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if monotonic_s() > give_up_at:
                    os.close(lock)
                    raise EmbeddedError(f"{self._directory} is in use by another process") from None
                time.sleep(_PAUSE_S)
            else:
                self._lock = lock
                return

    def _make_socket_folder(self, place: Place) -> Path:
        self._remove_distant_socket()  # of an earlier run that could not clean up
        folder = place.home / "socket"
        # A predecessor's lock file names a process that may still be a zombie, which PostgreSQL takes for alive.
        shutil.rmtree(folder, ignore_errors=True)
        if len(os.fsencode(folder / f".s.PGSQL.{self._port}.lock")) > _SOCKET_PATH_OCTETS_MAX:
            folder = Path(tempfile.mkdtemp(prefix="aaad-", dir="/tmp"))
            (self._directory / "socket").symlink_to(folder)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
        os.chown(folder, place.account.uid, place.account.gid)
        return folder

    def _remove_distant_socket(self) -> None:
        link = self._directory / "socket"
        if link.is_symlink():
            shutil.rmtree(link.readlink(), ignore_errors=True)
            link.unlink()

    def _launch(self, place: Place, data: Path, socket: Path) -> None:
        quoted = str(socket).replace('"', '""')
        settings = {**self._settings, "unix_socket_directories": f'"{quoted}"', "port": str(self._port)}
        arguments = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        log = self._directory / "postgresql.log"
        if log.exists() and log.stat().st_size > _LOG_OCTETS_MAX:
            log.unlink()
        with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as output:
            self._process = subprocess.Popen(
                _command(place, "INT", "postgres", "-D", str(data), *arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for the one that started us, who stops us in order
            )

    def _wait_ready(self, data: Path) -> None:
        assert self._process is not None
        give_up_at = monotonic_s() + _READY_TIMEOUT_S
        while not _is_ready(data, self._process.pid):
            if self._process.poll() is not None:
                tail = (self._directory / "postgresql.log").read_text(errors="replace").splitlines()
                raise EmbeddedError("PostgreSQL did not start: " + " / ".join(tail[-_LOG_TAIL_LINES:]))
            if monotonic_s() > give_up_at:
                raise EmbeddedError(f"PostgreSQL was not ready in {_READY_TIMEOUT_S} s")
            time.sleep(_PAUSE_S)


def _source_of_environment() -> Source:
    match os.environ.get(SOURCE_VARIABLE, "auto"):
        case "auto":
            return "auto"
        case "system":
            return "system"
        case "packaged":
            return "packaged"
        case other:
            raise EmbeddedError(f"{SOURCE_VARIABLE}={other!r}: auto, system or packaged")


def _settings_of_environment() -> dict[str, str]:
    words = os.environ.get(SETTINGS_VARIABLE, "").split()
    for word in words:
        if not re.fullmatch(r"[a-z_.]+=\S+", word):
            raise EmbeddedError(f"{SETTINGS_VARIABLE}: {word!r}: name=value, with spaces between")
    return dict(word.split("=", 1) for word in words)


def _environment() -> dict[str, str]:
    """Return our environment without PostgreSQL's own variables, which would name another server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C.UTF-8"}


def _command(place: Place, on_parents_death: str, program: str, *arguments: str) -> list[str]:
    """The account comes first: changing it clears the signal that our own death sends."""
    ours = [*place.account.prefix, "setpriv", f"--pdeathsig={on_parents_death}", "--"]
    return [*ours, str(place.binaries.directory / program), *arguments]


def _initialise(place: Place, data: Path) -> None:
    """Make the cluster under another name first: a half-made one is never taken for a whole one."""
    unfinished = data.with_name("data.new")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(mode=0o700)
    os.chown(unfinished, place.account.uid, place.account.gid)
    options = [f"--username={SUPERUSER}", "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8"]
    try:
        subprocess.run(
            _command(place, "KILL", "initdb", *options, "--no-instructions", "-D", str(unfinished)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=_READY_TIMEOUT_S,
            cwd="/",
            env=_environment(),
        )
    except subprocess.CalledProcessError as error:
        raise EmbeddedError(f"initdb failed: {error.stderr.strip()}") from error
    unfinished.rename(data)


def _is_ready(data: Path, pid: int) -> bool:
    """The server writes its process and its state into postmaster.pid; line 8 tells when it takes connections."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _end(process: subprocess.Popen[bytes]) -> None:
    for way in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):  # fast, immediate, and what cannot be refused
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(way)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_TIMEOUT_S if way == signal.SIGINT else _STOP_TIMEOUT_S / 4)
            return


def _end_orphans(data: Path) -> None:
    """End what a killed predecessor left: its server, or that server's children, which die a moment later.

    Every process of a cluster has the cluster's folder as its working directory; so may a person's shell, which runs
    another program and is left alone. Only when none is left may a stale postmaster.pid be removed: it is what keeps
    two servers apart.
    """
    started_at = monotonic_s()
    while orphans := _processes_in(data):
        waited_s = monotonic_s() - started_at
        if waited_s > _ORPHAN_TIMEOUT_S:
            raise EmbeddedError(f"processes {orphans} still use {data}")
        postmaster = _stale_pid(data)
        if waited_s > _ORPHAN_TIMEOUT_S / 2:
            _signal(orphans, signal.SIGKILL)
        elif postmaster in orphans:
            _signal([postmaster], signal.SIGINT)
        time.sleep(_PAUSE_S * 5)
    if data.is_dir():
        (data / "postmaster.pid").unlink(missing_ok=True)


def _processes_in(folder: Path) -> list[int]:
    """Return PostgreSQL's processes in a folder, whichever installation's they are."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                if (process / "cwd").readlink() == folder and _runs_postgres(process):
                    found.append(int(process.name))
    return found


def _runs_postgres(process: Path) -> bool:
    # The kernel adds the word when an upgrade has replaced the program.
    return (process / "exe").readlink().name.removesuffix(" (deleted)") == "postgres"


def _stale_pid(data: Path) -> int:
    try:
        return int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return 0


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
