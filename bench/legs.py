"""What the bench compares, each as an expert would run it and each with the same logins. One Leg per program."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from node import Node, Ports
from servers import Postgres, ServerError, check_port_is_free, end, wait_until

_HERE = Path(__file__).resolve().parent
FREERADIUS = _HERE / "peers" / "freeradius"
_STOCK = Path("/etc/freeradius/3.0")  # Debian's configuration: the stock schema and queries
_SQL_THREADS = 8  # the best of 4, 8, 16, 32 on a machine with two cores


class Leg(Protocol):
    """One program to measure. `start` raises ServerError when it cannot run here."""

    name: str
    about: str
    port: int
    methods: tuple[str, ...]  # which it can be asked by

    def start(self, scratch: Path, logins: int) -> None: ...

    def stop(self) -> None: ...

    def roots(self) -> dict[str, list[int]]: ...


class Prototype:
    """The bare responder in Python: no duplicates, no policy, no database."""

    name = "prototype"
    about = "bare Python responder, `limits/pyserver.py`"
    methods = ("pap", "chap")

    def __init__(self, port: int) -> None:
        self.port = port
        self._process: subprocess.Popen | None = None

    def start(self, scratch: Path, logins: int) -> None:
        check_port_is_free(self.port)
        command = [sys.executable, str(_HERE / "limits" / "pyserver.py"), str(self.port), "--logins", str(logins)]
        self._process = subprocess.Popen(command)

    def stop(self) -> None:
        end(self._process)

    def roots(self) -> dict[str, list[int]]:
        return {"prototype": [self._process.pid]}


class Freeradius:
    """FreeRADIUS 3.2 in the foreground, with a lean configuration of the bench's own."""

    variant = "files"
    methods = ("pap", "chap", "mschapv2")

    def __init__(self, port: int, *, name: str, about: str, threads: int, single: bool = False) -> None:
        self.port = port
        self.name = name
        self.about = about
        self._threads = threads
        self._single = single
        self._process: subprocess.Popen | None = None

    def start(self, scratch: Path, logins: int) -> None:
        check_port_is_free(self.port)
        folder = scratch / self.name
        folder.mkdir()
        self.prepare(folder, logins)
        environment = (
            os.environ
            | {
                "FR_SCRATCH": str(folder),
                "FR_CONFIG": str(FREERADIUS / "raddb"),
                "FR_STOCK": str(_STOCK),
                "FR_VARIANT": self.variant,
                "FR_THREADS": str(self._threads),
                "FR_PORT": str(self.port),
            }
            | self.environment()
        )
        command = ["freeradius", "-f", "-d", str(FREERADIUS / "raddb"), "-n", "radiusd"]
        output = (folder / "output").open("wb")
        try:
            self._process = subprocess.Popen(
                [*command, *(["-s"] if self._single else [])], env=environment, stdout=output, stderr=output
            )
        except FileNotFoundError:
            raise ServerError("no FreeRADIUS here: bench/install.sh installs it") from None
        finally:
            output.close()
        log = folder / "radius.log"
        try:
            wait_until(lambda: log.exists() and "Ready to process" in log.read_text(), self.name, self._process)
        except ServerError as error:
            errors = [line for line in log.read_text().splitlines() if "Error" in line] if log.exists() else []
            raise ServerError(f"{error}: {' '.join(errors)[-300:]}") from None

    def prepare(self, folder: Path, logins: int) -> None:
        """Write the users file: every login in memory."""
        with (folder / "users").open("w") as users:
            users.writelines(_users_entries(logins))

    def environment(self) -> dict[str, str]:
        return {"FR_PG_HOST": "", "FR_PG_PORT": "0"}

    def stop(self) -> None:
        end(self._process)

    def roots(self) -> dict[str, list[int]]:
        return {"freeradius": [self._process.pid]}


class FreeradiusSql(Freeradius):
    """FreeRADIUS that asks its own PostgreSQL with the stock queries, five SELECTs a login."""

    variant = "sql"
    schemas: tuple[str, ...] = ("main/postgresql/schema.sql",)  # of FreeRADIUS, as Debian ships them
    logins_file = "logins.sql"

    def __init__(self, port: int, database_port: int, *, name: str, about: str, threads: int) -> None:
        super().__init__(port, name=name, about=about, threads=threads)
        self._database_port = database_port
        self.postgres: Postgres | None = None

    def prepare(self, folder: Path, logins: int) -> None:
        schemas = [stock_sql(name) for name in self.schemas]
        self.postgres = Postgres(folder / "pg", self._database_port)
        self.postgres.start()
        self.postgres.run_sql("postgres", "-c", "CREATE ROLE radius LOGIN SUPERUSER")
        self.postgres.run_sql("postgres", "-c", "CREATE DATABASE radius OWNER radius")
        for schema in schemas:
            self.postgres.run_sql("radius", "-f", str(schema))
        self.postgres.run_sql("radius", "-v", f"logins={logins}", "-f", str(FREERADIUS / self.logins_file))

    def environment(self) -> dict[str, str]:
        return {"FR_PG_HOST": str(self.postgres.directory), "FR_PG_PORT": str(self._database_port)}

    def stop(self) -> None:
        super().stop()
        if self.postgres is not None:
            self.postgres.stop()

    def roots(self) -> dict[str, list[int]]:
        return super().roots() | {"postgres": [self.postgres.pid]}


class Aaad:
    """A whole node of aaad with everything on, and its own PostgreSQL."""

    name = "aaad"
    methods = ("pap", "chap", "mschapv2")
    about = "aaad, a whole node: journal, counters, Message-Authenticator, feed, spool, own PostgreSQL"

    def __init__(self, ports: Ports) -> None:
        self.port = ports.auth
        self._ports = ports
        self._node: Node | None = None

    def start(self, scratch: Path, logins: int) -> None:
        self._node = Node(scratch / "node", self._ports, logins)
        self._node.start()

    def stop(self) -> None:
        if self._node is not None:
            self._node.stop()

    def roots(self) -> dict[str, list[int]]:
        return self._node.roots()


def all_legs(port_base: int) -> list[Leg]:
    """Return every leg, in the order in which they are measured. Ports from `port_base` on."""
    return [
        Prototype(port_base),
        Freeradius(port_base + 10, name="freeradius-files", about="FreeRADIUS, memory, 2 threads", threads=2),
        Freeradius(
            port_base + 20,
            name="freeradius-files-single",
            about="FreeRADIUS, memory, single process (-s)",
            threads=1,
            single=True,
        ),
        FreeradiusSql(
            port_base + 30,
            port_base + 31,
            name="freeradius-sql",
            about=f"FreeRADIUS, PostgreSQL by its stock queries, {_SQL_THREADS} threads, own PostgreSQL",
            threads=_SQL_THREADS,
        ),
        Aaad(Ports(port_base + 40, port_base + 41, port_base + 42)),
    ]


def stock_sql(name: str) -> Path:
    """Return one of the files on SQL that FreeRADIUS comes with."""
    path = _STOCK / "mods-config" / "sql" / name
    if not os.access(path, os.R_OK):
        raise ServerError(f"{path} cannot be read: bench/install.sh installs it, and root or its group may read it")
    return path


def _users_entries(logins: int) -> Iterator[str]:
    for i in range(logins):
        plan = i % 10 + 1
        address = f"100.{64 + (i >> 16)}.{i >> 8 & 255}.{i & 255}"
        yield (
            f'user{i:06d}\tCleartext-Password := "pass{i:06d}"\n'
            "\tService-Type := Framed-User,\n\tFramed-Protocol := PPP,\n\tAcct-Interim-Interval := 300,\n"
            f'\tMikrotik-Rate-Limit := "{10 * plan}M/{50 * plan}M",\n\tFramed-IP-Address := {address}\n\n'
        )
