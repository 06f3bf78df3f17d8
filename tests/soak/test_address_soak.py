"""The long proof of rule R7.2, by `make soak`: a million addresses given out and released by two nodes amid kill -9.

Nodes and PostgreSQL are killed all the while; half-way the primary dies for good and its synchronous standby is
promoted. No address may be held twice at any instant by the answers' own times, and none may leak.
"""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import asyncpg
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from address_torture import NODES, Torture, judge

from aaad.db.embedded import SUPERUSER, EmbeddedPostgres, _command, _end_orphans, _environment
from aaad.db.embedded_host import choose_place
from aaad.db.migrate import migrate

pytestmark = pytest.mark.soak
ANSWERS = int(os.environ.get("AAAD_SOAK_ANSWERS", "1000000"))
BLOWS = 40
READY_TIMEOUT_S = 60


async def run(dsn: str, sql: str) -> object:
    """Run one statement, once PostgreSQL takes it."""
    for _ in range(READY_TIMEOUT_S * 10):
        try:
            connection = await asyncpg.connect(dsn, timeout=5)
        except (OSError, asyncpg.PostgresError):
            await asyncio.sleep(0.1)
            continue
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()
    raise AssertionError(f"PostgreSQL did not come: {sql}")


class Standby:
    """A server that follows a primary until it is promoted; killed and started again like any other."""

    def __init__(self, directory: Path, primary: EmbeddedPostgres) -> None:
        directory.mkdir()
        self.place = choose_place(directory, "auto")
        self._data = self.place.home / "data"
        self.socket = self.place.home / "s"
        for folder in (self._data, self.socket):
            folder.mkdir(mode=0o700)
            os.chown(folder, self.place.account.uid, self.place.account.gid)
        self._log = directory / "postgresql.log"
        self._process: subprocess.Popen[bytes] | None = None
        copy = ["pg_basebackup", "-d", primary.dsn(), "-X", "stream", "-c", "fast", "-R", "-D", str(self._data)]
        subprocess.run(_command(self.place, "KILL", *copy), check=True, cwd="/", env=_environment(), timeout=120)

    def start(self) -> None:
        """Start it, or again after a crash."""
        _end_orphans(self._data)
        options = {"listen_addresses": "", "unix_socket_directories": str(self.socket), "port": "5432"}
        arguments = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                _command(self.place, "INT", "postgres", "-D", str(self._data), *arguments),
                stdout=log, stderr=log, cwd="/", env=_environment(), start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """Kill its postmaster; the others follow by themselves."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it in order."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)


class Cluster:
    """A primary and its standby behind one address, which is the living one's."""

    def __init__(self, directory: Path, primary: EmbeddedPostgres) -> None:
        self.primary = primary
        self.standby = Standby(directory / "standby", primary)
        self._link = directory / "c"
        self._is_promoted = False
        self._point(directory / "postgres" / "socket")

    @property
    def dsn(self) -> str:
        """The address that nodes are told."""
        return f"postgresql://{SUPERUSER}@/postgres?host={self._link}&port=5432"

    def _point(self, socket: Path) -> None:
        new = self._link.with_name("c.new")
        new.symlink_to(socket)
        new.rename(self._link)

    async def follow(self) -> None:
        """Have every commit wait for the standby from now on."""
        self.standby.start()
        await run(self.dsn, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        await run(self.dsn, "SELECT pg_reload_conf()")
        for _ in range(READY_TIMEOUT_S * 10):
            if await run(self.dsn, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"):
                return
            await asyncio.sleep(0.1)
        raise AssertionError("the standby does not follow")

    async def promote(self) -> None:
        """The primary dies for good."""
        assert self.primary.pid
        os.kill(self.primary.pid, signal.SIGKILL)
        dsn = f"postgresql://{SUPERUSER}@/postgres?host={self.standby.socket}&port=5432"
        assert await run(dsn, "SELECT pg_promote()")
        self._point(self.standby.socket)
        self._is_promoted = True

    async def crash(self, away_s: float) -> None:
        """Kill whoever is the primary, and start it again after a while."""
        if self._is_promoted:
            self.standby.kill()
        else:
            assert self.primary.pid
            os.kill(self.primary.pid, signal.SIGKILL)
        await asyncio.sleep(away_s)
        if self._is_promoted:
            await asyncio.to_thread(self.standby.start)
        else:
            await asyncio.to_thread(self.primary.start)


@pytest.mark.timeout(3 * 3600)
async def test_r7_2_a_million_addresses_none_held_twice_and_none_lost(tmp_path: Path):
    """Rule R7.2 and the promise of R7.3: a synchronous standby that is promoted has all that was answered."""
    random = Random(7)
    with EmbeddedPostgres(tmp_path / "postgres") as primary:
        await migrate(primary.dsn())
        cluster = Cluster(tmp_path, primary)
        torture = Torture(lambda: cluster.dsn, tmp_path, logins=4000)
        try:
            await torture.prepare("100.64.0.0/22", "100.64.64.0/24")
            await cluster.follow()
            for name in NODES:
                torture.start(name)
            for blow in range(1, BLOWS):
                await torture.until(ANSWERS * blow // BLOWS, timeout_s=1200)
                if blow == BLOWS // 2:
                    await cluster.promote()
                    continue
                kind = random.choice(("node", "node", "node", "postgres", "postgres", "both", "swap"))
                if kind in ("node", "both"):
                    torture.kill_and_start(random.choice(NODES))
                if kind in ("postgres", "both"):
                    await cluster.crash(random.uniform(0, 2))
                if kind == "swap":
                    torture.swap_logins()
            await torture.until(ANSWERS, timeout_s=1200)
            await asyncio.to_thread(torture.stop)
            used, free, size = await torture.accounts()
        finally:
            torture.end()
            cluster.standby.stop()
        verdict = judge(tmp_path)
        assert verdict.held_twice == []
        assert verdict.complaints == []
        assert verdict.given >= ANSWERS
        assert (used, used + free) == (0, size)
