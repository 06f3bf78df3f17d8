"""The embedded PostgreSQL: as root and as a plain user, with whose programs ever, and after every kind of death."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from aaad.db import embedded_host
from aaad.db.embedded import EmbeddedPostgres
from aaad.errors import EmbeddedError

REPOSITORY = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")


def has(source: embedded_host.Source) -> bool:
    try:
        embedded_host.find_binaries(source)
    except EmbeddedError:
        return False
    return True


SOURCES = [
    pytest.param(source, marks=pytest.mark.skipif(not has(source), reason=f"no {source} PostgreSQL here"))
    for source in ("system", "packaged")
]


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every account reaches (pytest's own are root's alone)."""
    folder = Path(tempfile.mkdtemp(prefix="aaad-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def private_folder() -> Iterator[Path]:
    """A folder that only its owner reaches."""
    folder = Path(tempfile.mkdtemp(prefix="aaad-test-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def _made() -> Iterator[Path]:
    """A cluster that was started and stopped once: making one takes longer than most of these tests."""
    with tempfile.TemporaryDirectory(prefix="aaad-test-", dir="/tmp") as folder:
        with EmbeddedPostgres(Path(folder)):
            pass
        yield Path(folder) / "data"


@pytest.fixture
def used_folder(_made: Path, private_folder: Path) -> Path:
    """A folder that only its owner reaches, with a cluster in it where it can be copied."""
    if not _made.is_symlink():
        subprocess.run(["cp", "-a", _made, private_folder], check=True)  # its files stay their owner's
    return private_folder


def fetch(server: EmbeddedPostgres, sql: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(server.dsn(), timeout=10)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(ask())


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def wait_until(condition, timeout_s: float = 20) -> None:
    give_up_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_at, "not in time"
        time.sleep(0.02)


@pytest.mark.parametrize("source", SOURCES)
def test_keeps_what_was_committed_over_a_stop_and_over_a_kill(source: embedded_host.Source, private_folder: Path):
    with EmbeddedPostgres(private_folder, source=source) as server:
        fetch(server, "CREATE TABLE kept (id integer)")
        first = server.pid
        server.start()
        assert server.pid == first, "a second start does nothing"
    assert server.pid is None
    server.start()
    try:
        fetch(server, "INSERT INTO kept VALUES (1)")
        os.kill(server.pid, signal.SIGKILL)
        server.start()
        assert fetch(server, "SELECT count(*) FROM kept") == 1
        assert fetch(server, "SHOW fsync") == "on"
        assert fetch(server, "SELECT lower('JOSÉ')") == "josé", "letters with accents have two cases"
    finally:
        server.stop()


def test_psql_reaches_it_and_tcp_does_not(used_folder: Path):
    with EmbeddedPostgres(used_folder) as server:
        answer = subprocess.run(
            [server.programs / "psql", "-Atc", "SELECT 7", server.dsn()], capture_output=True, text=True, check=True
        )
        assert answer.stdout == "7\n"
        assert fetch(server, "SHOW listen_addresses") == ""
        socket = Path(str(fetch(server, "SHOW unix_socket_directories")).strip('"'))
        assert socket.stat().st_mode & 0o777 == 0o700


def test_a_long_path_gets_a_short_socket(private_folder: Path):
    deep = private_folder / ("d" * 120)
    with EmbeddedPostgres(deep) as server:
        assert fetch(server, "SELECT 1") == 1
        target = (deep / "socket").readlink()
        assert target.stat().st_mode & 0o777 == 0o700
    assert not target.exists()


def test_one_folder_serves_one_owner(used_folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("aaad.db.embedded._LOCK_TIMEOUT_S", 0.1)
    with EmbeddedPostgres(used_folder), pytest.raises(EmbeddedError, match="in use"):
        EmbeddedPostgres(used_folder).start()


def test_a_half_made_cluster_is_made_anew(private_folder: Path):
    (private_folder / "data.new").mkdir()
    (private_folder / "data.new" / "PG_VERSION").write_text("15\n")
    with EmbeddedPostgres(private_folder) as server:
        assert fetch(server, "SELECT 1") == 1


def test_a_strangers_process_number_in_postmaster_pid_does_not_stop_it(used_folder: Path):
    with EmbeddedPostgres(used_folder) as server:
        data = used_folder / "data"
        stale = (data / "postmaster.pid").read_text().splitlines()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        try:
            (data / "postmaster.pid").write_text("\n".join([str(stranger.pid), *stale[1:]]) + "\n")
            server.start()
            assert fetch(server, "SELECT 1") == 1
            assert stranger.poll() is None, "a stranger was ended"
            server.stop()
        finally:
            stranger.kill()


def test_an_operators_shell_in_the_clusters_folder_is_left_alone(used_folder: Path):
    with EmbeddedPostgres(used_folder) as server:
        fetch(server, "SELECT 1")
    with subprocess.Popen(["sleep", "60"], cwd=used_folder / "data") as shell:
        try:
            with EmbeddedPostgres(used_folder) as server:
                assert fetch(server, "SELECT 1") == 1
            assert shell.poll() is None, "a stranger was ended"
        finally:
            shell.kill()


def test_settings_of_the_environment_go_before_ours(used_folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AAAD_EMBEDDED_SETTINGS", "shared_buffers=96MB work_mem=5MB")
    with EmbeddedPostgres(used_folder) as server:
        assert fetch(server, "SELECT current_setting('shared_buffers') || current_setting('work_mem')") == "96MB5MB"
    monkeypatch.setenv("AAAD_EMBEDDED_SETTINGS", "shared_buffers")
    with pytest.raises(EmbeddedError, match="AAAD_EMBEDDED_SETTINGS: 'shared_buffers': name=value"):
        EmbeddedPostgres(used_folder)


def test_tells_why_it_does_not_start(used_folder: Path):
    server = EmbeddedPostgres(used_folder, settings={"shared_buffers": "nonsense"})
    with pytest.raises(EmbeddedError, match="shared_buffers"):
        server.start()
    assert server.pid is None


HOLDER = """
import sys, time
from pathlib import Path
from aaad.db.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""


def test_ends_with_the_program_that_started_it_and_the_next_one_goes_on(used_folder: Path):
    """Killed without a word, twice: once the holder alone, once the holder and the server at the same instant."""
    for also_the_server in (False, True):
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, used_folder], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        ) as holder:
            pid = int(holder.stdout.readline())
            holder.kill()
            if also_the_server:
                os.kill(pid, signal.SIGKILL)
        with EmbeddedPostgres(used_folder) as server:
            assert fetch(server, "SELECT 1") == 1
            wait_until(lambda pid=pid: gone(pid))


@as_root
@pytest.mark.parametrize("source", SOURCES)
def test_root_uses_another_account_where_it_reaches_the_folder(source: embedded_host.Source, public_folder: Path):
    binaries = embedded_host.find_binaries(source)
    if not any(embedded_host._can_run(account, binaries) for account in embedded_host._existing_accounts()):
        pytest.skip(f"no other account reaches {binaries}")
    with EmbeddedPostgres(public_folder, source=source) as server:
        owner = (public_folder / "data").stat().st_uid
        assert owner != 0
        assert f"as user {pwd.getpwuid(owner).pw_name}" in server.description
        assert Path(f"/proc/{server.pid}").stat().st_uid == owner
        assert fetch(server, "SELECT 1") == 1


@as_root
@pytest.mark.parametrize("source", SOURCES)
def test_root_uses_a_user_namespace_where_only_root_reaches(source: embedded_host.Source, private_folder: Path):
    if not embedded_host._can_run(embedded_host._namespace(), embedded_host.find_binaries(source)):
        pytest.skip("no user namespaces here")
    with EmbeddedPostgres(private_folder, source=source) as server:
        assert "user namespace" in server.description
        assert (private_folder / "data").stat().st_uid == 0
        assert fetch(server, "SELECT 1") == 1


@as_root
@pytest.mark.parametrize("source", SOURCES[1:])  # the system's programs are reached from everywhere
def test_root_goes_below_var_tmp_where_nothing_else_serves(
    source: embedded_host.Source, private_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(embedded_host, "_NAMESPACE", ("false",))
    with EmbeddedPostgres(private_folder, source=source) as server:
        assert "below /var/tmp/aaad-" in server.description
        fetch(server, "CREATE TABLE kept (id integer)")
        os.kill(server.pid, signal.SIGKILL)
    home = (private_folder / "data").resolve().parent
    try:
        with EmbeddedPostgres(private_folder, source=source) as again:
            assert fetch(again, "SELECT count(*) FROM kept") == 0
    finally:
        shutil.rmtree(home)


@as_root
@pytest.mark.parametrize("source", SOURCES)
def test_a_plain_user_starts_it_directly(source: embedded_host.Source, public_folder: Path):
    """The programs are copied to where `nobody` reaches them, if they are not there already."""
    nobody = pwd.getpwnam("nobody")
    account = embedded_host._other(nobody.pw_uid, nobody.pw_gid)
    binaries = embedded_host.find_binaries(source)
    if not embedded_host._can_run(account, binaries):
        binaries = embedded_host._copy(binaries, public_folder, account)
    folder = public_folder / "of-nobody"
    folder.mkdir()
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    child = os.fork()
    if child == 0:  # the venv's own Python may be out of nobody's reach: it is loaded already
        status = 1
        try:
            status = _start_as(nobody.pw_uid, nobody.pw_gid, folder, binaries)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (folder / "data").stat().st_uid == nobody.pw_uid
    with EmbeddedPostgres(folder, source=source) as server:
        assert "as user nobody" in server.description, "root goes on as the owner"
        assert fetch(server, "SELECT count(*) FROM kept") == 0


def _start_as(uid: int, gid: int, folder: Path, binaries: embedded_host.Binaries) -> int:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    embedded_host.find_binaries = lambda source, major=None: binaries
    with EmbeddedPostgres(folder) as server:
        fetch(server, "CREATE TABLE kept (id integer)")
        os.kill(server.pid, signal.SIGKILL)
        server.start()
        assert "as the invoking user nobody" in server.description
        return 0 if fetch(server, "SELECT count(*) FROM kept") == 0 else 2
