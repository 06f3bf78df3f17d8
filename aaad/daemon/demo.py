"""A throw-away node below one folder: its own PostgreSQL, a provider's data, and the whole daemon on top.

    DIR/postgresql   the embedded server        DIR/aaad.toml   the configuration it was started with
    DIR/state        replica, spool, journal    DIR/aaad.log    what the daemon says
    DIR/run          its unix sockets (a link where the path would be too long)

When everything answers, one line of JSON goes to standard output, everything else to standard error. It ends in
order at SIGTERM, SIGINT and SIGHUP; what it started ends with it, however it dies; the next run goes on with what
is there. A PostgreSQL that crashed is started again, as a system's service manager would; one that somebody stopped
stays down. Not for production.
"""

import asyncio
import errno
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from aaad.clock import monotonic_s
from aaad.daemon.demo_data import DATABASE, LOGINS_MAX, prepare_database
from aaad.daemon.demo_probe import is_answering
from aaad.db.embedded import EmbeddedPostgres
from aaad.errors import AaadError, ConfigError, EmbeddedError

ADDRESS = "127.0.0.1"
SECRET = "testing123"  # noqa: S105  known to all: the node serves the loopback network only

_POSTGRES_SETTINGS = {"shared_buffers": "128MB", "max_wal_size": "1GB", "maintenance_work_mem": "128MB"}
_SOCKET_FOLDER_OCTETS_MAX = 90
_LOG_OCTETS_MAX = 64 * 1024 * 1024
_LOG_TAIL_LINES = 15
_ANSWER_TIMEOUT_S = 600  # a million logins are compiled first
_SUPERVISOR_STOP_S = 30
_PREDECESSOR_S = 60
_PORT_TIMEOUT_S = 2
_LOCK_DESCRIPTOR_MIN = 500
_RESTART_AFTER_S = 2
_PAUSE_S = 0.1
_EXIT_USAGE = 2  # as of every command
_FOREIGN_VARIABLES = ("AAAD_", "LISTEN_", "NOTIFY_", "WATCHDOG_", "CREDENTIALS_")
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _Stopped(BaseException):
    """A signal asked us to end. No error: it passes every `except Exception`."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the node answers, all on 127.0.0.1."""

    auth_port: int
    acct_port: int
    metrics_port: int


def run_demo(directory: Path, auth_port: int, acct_port: int, metrics_port: int, logins: int) -> int:
    """Run a throw-away node until a signal ends it; return the exit code. A port of 0 means a free one."""
    for number in _SIGNALS:
        signal.signal(number, _stop)
    try:
        _check_logins(logins)
        directory = directory.resolve()
        directory.mkdir(parents=True, exist_ok=True)
        with _hold(directory) as lock:
            ports = _choose_ports(auth_port, acct_port, metrics_port)
            with EmbeddedPostgres(directory / "postgresql", settings=_POSTGRES_SETTINGS) as postgres:
                _say(postgres.description)
                _say(asyncio.run(prepare_database(postgres.dsn("postgres"), postgres.dsn(DATABASE), logins, SECRET)))
                return _run_node(directory, ports, postgres, lock)
    except _Stopped:
        return 0
    except ConfigError as error:
        _say(str(error))
        return _EXIT_USAGE
    except (AaadError, OSError) as error:
        _say(str(error))
        return 1


def _check_logins(logins: int) -> None:
    if not 0 <= logins <= LOGINS_MAX:
        raise ConfigError("--logins", logins, f"0 to {LOGINS_MAX}")


def _stop(_number: int, _frame: object) -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # ending has begun, and every step of it is bounded
    raise _Stopped


def _say(text: str) -> None:
    print(f"aaad demo: {text}", file=sys.stderr, flush=True)


@contextmanager
def _hold(directory: Path) -> Iterator[int]:
    """Hold the folder. The daemon inherits the lock: who comes after a kill waits until the old one has drained."""
    opened = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    # The daemon counts the sockets that it inherits from 3 on: out of their way.
    lock = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, _LOCK_DESCRIPTOR_MIN)
    os.close(opened)
    try:
        if not _locked_within(lock, 0):
            _say("waiting for an earlier run in this folder to end")
            if not _locked_within(lock, _PREDECESSOR_S):
                raise EmbeddedError(f"{directory} is in use by another demo")
        yield lock
    finally:
        os.close(lock)


def _locked_within(lock: int, timeout_s: float) -> bool:
    give_up_at_s = monotonic_s() + timeout_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic_s() >= give_up_at_s:
                return False
            time.sleep(_PAUSE_S)
        else:
            return True


def _choose_ports(auth_port: int, acct_port: int, metrics_port: int) -> Ports:
    """Find free ports for 0, and tell at once which of the others is taken."""
    wanted = (
        ("--auth-port", auth_port, socket.SOCK_DGRAM),
        ("--acct-port", acct_port, socket.SOCK_DGRAM),
        ("--metrics-port", metrics_port, socket.SOCK_STREAM),
    )
    found = []
    with ExitStack() as held:  # all at once, so that no two are the same
        for option, port, kind in wanted:
            probe = held.enter_context(socket.socket(socket.AF_INET, kind))
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _bind(probe, option, port)
            found.append(probe.getsockname()[1])
    return Ports(*found)


def _bind(probe: socket.socket, option: str, port: int) -> None:
    """A process of a killed predecessor may hold its port for a moment still."""
    give_up_at_s = monotonic_s() + _PORT_TIMEOUT_S
    while True:
        try:
            return probe.bind((ADDRESS, port))
        except (OSError, OverflowError) as error:
            if monotonic_s() >= give_up_at_s or getattr(error, "errno", None) != errno.EADDRINUSE:
                raise ConfigError(option, port, f"a free port, or 0 for any ({error})") from None
            time.sleep(_PAUSE_S)


def _run_node(directory: Path, ports: Ports, postgres: EmbeddedPostgres, lock: int) -> int:
    with _run_folder(directory) as run_folder:
        config = _write_config(directory, run_folder, ports, postgres.dsn(DATABASE))
        with _supervisor(directory, config, lock) as supervisor:
            _wait_answering(directory, ports, supervisor)
            pids = {"demo": os.getpid(), "postgres": postgres.pid, "supervisor": supervisor.pid}
            ready = {"ready": True, **asdict(ports), "dsn": postgres.dsn(DATABASE), "config": str(config)}
            print(json.dumps({**ready, "pids": {**pids, **_role_pids(supervisor.pid)}}), flush=True)
            _say(_next_commands(ports, config, postgres))
            return _watch(directory, supervisor, postgres)


@contextmanager
def _run_folder(directory: Path) -> Iterator[Path]:
    """The folder of the daemon's unix sockets, whose paths must be short."""
    folder = directory / "run"
    if folder.is_symlink():  # of an earlier run that could not clean up
        shutil.rmtree(folder.readlink(), ignore_errors=True)
        folder.unlink()
    if len(os.fsencode(folder)) <= _SOCKET_FOLDER_OCTETS_MAX:
        folder.mkdir(mode=0o700, exist_ok=True)
        yield folder
        return
    short = Path(tempfile.mkdtemp(prefix="aaad-", dir="/tmp"))
    folder.symlink_to(short)
    try:
        yield short
    finally:
        shutil.rmtree(short, ignore_errors=True)
        folder.unlink(missing_ok=True)


def _write_config(directory: Path, run_folder: Path, ports: Ports, dsn: str) -> Path:
    quoted = json.dumps  # a basic string of TOML is written as one of JSON
    text = f"""\
# Written by `aaad demo` at each start.
[node]
name = "demo"
state_dir = {quoted(str(directory / "state"))}
run_dir = {quoted(str(run_folder))}

[database]
dsn = {quoted(dsn)}

[radius]
addresses = [{quoted(ADDRESS)}]
auth_port = {ports.auth_port}
acct_port = {ports.acct_port}

[metrics]
address = {quoted(ADDRESS)}
port = {ports.metrics_port}

[cli]
trust_local_account = true
"""
    config = directory / "aaad.toml"
    unfinished = config.with_suffix(".new")
    unfinished.touch(mode=0o600)
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(config)
    return config


@contextmanager
def _supervisor(directory: Path, config: Path, lock: int) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon itself, as a service manager starts it."""
    log = directory / "aaad.log"
    if log.exists() and log.stat().st_size > _LOG_OCTETS_MAX:
        log.unlink()
    # Nothing of ours may name another database, configuration or service manager.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_VARIABLES)}
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig=TERM", "--", sys.executable, "-m", "aaad", "--config", config, "run"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            pass_fds=(lock,),
            start_new_session=True,  # Ctrl-C is for us, who end it in order
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_SUPERVISOR_STOP_S)
        except subprocess.TimeoutExpired:
            _say("the supervisor did not end in time and is killed")
            process.kill()
            process.wait()


def _wait_answering(directory: Path, ports: Ports, supervisor: subprocess.Popen[bytes]) -> None:
    give_up_at_s = monotonic_s() + _ANSWER_TIMEOUT_S
    while not is_answering(ADDRESS, ports.auth_port, SECRET.encode()):
        if supervisor.poll() is not None:
            raise EmbeddedError(_ended(directory, supervisor))
        if monotonic_s() > give_up_at_s:
            raise EmbeddedError(f"the node did not answer in {_ANSWER_TIMEOUT_S} s; see {directory / 'aaad.log'}")
        time.sleep(_PAUSE_S)


def _ended(directory: Path, supervisor: subprocess.Popen[bytes]) -> str:
    tail = (directory / "aaad.log").read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
    return "\n  ".join([f"the daemon ended with exit code {supervisor.returncode}:", *tail])


def _role_pids(supervisor: int) -> dict[str, int]:
    """Return the supervisor's children by slot, as their command lines name them: `... role NAME --slot N`."""
    found = {}
    for process in Path("/proc").iterdir():
        try:
            parent = (process / "stat").read_text().rsplit(")", 1)[1].split()[1]
            words = (process / "cmdline").read_text().split("\0")
        except (OSError, IndexError):
            continue  # no process, or one that has just ended
        if parent == str(supervisor) and "role" in words and "--slot" in words:
            name, slot = words[words.index("role") + 1], words[words.index("--slot") + 1]
            found[f"{name}-{slot}"] = int(process.name)
    return dict(sorted(found.items()))


def _next_commands(ports: Ports, config: Path, postgres: EmbeddedPostgres) -> str:
    aaad = f"{sys.executable} -m aaad --config {config}"
    psql = f"{postgres.programs / 'psql'} '{postgres.dsn(DATABASE)}'"
    block = "UPDATE erp.contract SET access_status = 'CM' WHERE id = 1001"
    return f"""ready; Ctrl-C ends it. Try in another terminal:

  radtest user000000 pass000000 {ADDRESS}:{ports.auth_port} 0 {SECRET}      (Debian: freeradius-utils)
  {aaad} radtest user000000 pass000000
  {aaad} radtest bruno.costa demo1234
  {aaad} simulate --method mix --subscribers 100 --nases 3 --source 127.0.1.1
  {aaad} why bruno.costa
  {aaad} status
  {psql} -c "{block}"
  curl http://{ADDRESS}:{ports.metrics_port}/metrics
"""


def _watch(directory: Path, supervisor: subprocess.Popen[bytes], postgres: EmbeddedPostgres) -> int:
    """Stay until a signal raises _Stopped, or until the daemon ends by itself."""
    while supervisor.poll() is None:
        if postgres.has_crashed:
            _say(f"PostgreSQL was killed; starting it again in {_RESTART_AFTER_S} s")
            time.sleep(_RESTART_AFTER_S)
            postgres.start()
            _say("PostgreSQL is back")
        time.sleep(_PAUSE_S)
    _say(_ended(directory, supervisor))
    return 1
