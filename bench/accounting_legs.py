"""What the bench compares in accounting: each acknowledges a record when it is durable. One leg per program."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import asyncpg
import generator
import report
from accounting_load import AccountingLoad
from legs import FreeradiusSql
from node import Node, Ports
from servers import Postgres, check_port_is_free, end, wait_until

_HERE = Path(__file__).resolve().parent
_THREADS = 16  # the best of 8, 16, 32 on a machine with two cores
_DRAIN_TIMEOUT_S = 600.0
COUNT_RECORDS = "SELECT coalesce(sum(records), 0) FROM net.every_session"  # distinct ones


class AccountingLeg(Protocol):
    """One program to measure. `start` raises ServerError when it cannot run here."""

    name: str
    about: str
    port: int
    gives_class: bool  # its Accepts carry a Class, which the sessions' records then say

    def start(self, scratch: Path, logins: int) -> None: ...

    def stop(self) -> None: ...

    def roots(self) -> dict[str, list[int]]: ...

    def before(self, load: AccountingLoad) -> None:
        """Do what comes before the records of this load and is not measured: its logins, a checkpoint."""

    def settle(self) -> None:
        """Return when every acknowledged record is in the table of sessions."""

    def missing(self, row: report.Row) -> int:
        """Return how many of the records that were acknowledged since `before` the table does not tell of."""


class FreeradiusAccounting(FreeradiusSql):
    """FreeRADIUS that writes each record to radacct before it answers: stock queries, schema and indexes."""

    variant = "accounting"
    gives_class = False

    def __init__(self, port_base: int, threads: int = _THREADS) -> None:
        super().__init__(
            port_base,
            port_base + 2,
            name="freeradius-sql",
            about=f"FreeRADIUS, radacct by its stock queries and indexes, {threads} threads, own PostgreSQL",
            threads=threads,
        )
        self.port = port_base + 1
        self._auth_port = port_base
        self._stops = 0

    def environment(self) -> dict[str, str]:
        return super().environment() | {"FR_PORT": str(self._auth_port), "FR_ACCT_PORT": str(self.port)}

    def before(self, load: AccountingLoad) -> None:
        self._stops = self._count_stops()
        self.postgres.run_sql("radius", "-c", "CHECKPOINT")

    def settle(self) -> None:
        """A record is in radacct when it is answered."""

    def missing(self, row: report.Row) -> int:
        return max(0, row["sequences"] - (self._count_stops() - self._stops))

    def _count_stops(self) -> int:
        return int(self.postgres.run_sql("radius", "-c", "SELECT count(acctstoptime) FROM radacct"))


class DurablePrototype:
    """The bare responder that commits a batch of records by one statement before it answers them."""

    name = "prototype"
    about = "bare Python responder, `limits/pydurable.py`: one table with three indexes, own PostgreSQL"
    gives_class = False

    def __init__(self, port_base: int) -> None:
        self.port = port_base
        self._database_port = port_base + 1
        self.postgres: Postgres | None = None
        self._process: subprocess.Popen | None = None
        self._stops = 0

    def start(self, scratch: Path, logins: int) -> None:
        check_port_is_free(self.port)
        folder = scratch / self.name
        folder.mkdir()
        self.postgres = Postgres(folder / "pg", self._database_port)
        self.postgres.start()
        self.start_process()

    def start_process(self, *more: str) -> None:
        """Start the responder, which makes its tables; `more` are arguments."""
        dsn = f"postgresql://postgres@/postgres?host={self.postgres.directory}&port={self._database_port}"
        command = [sys.executable, str(_HERE / "limits" / "pydurable.py"), str(self.port), "--dsn", dsn, *more]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        wait_until(self._process.stdout.readline, self.name, self._process)

    def stop(self) -> None:
        self.stop_process()
        if self.postgres is not None:
            self.postgres.stop()

    def stop_process(self) -> None:
        """End the responder alone."""
        end(self._process)

    def roots(self) -> dict[str, list[int]]:
        return {"prototype": [self._process.pid], "postgres": [self.postgres.pid]}

    def before(self, load: AccountingLoad) -> None:
        self._stops = self._count_stops()
        self.postgres.run_sql("postgres", "-c", "CHECKPOINT")

    def settle(self) -> None:
        """A record is in the table when it is answered."""

    def missing(self, row: report.Row) -> int:
        return max(0, row["sequences"] - (self._count_stops() - self._stops))

    def _count_stops(self) -> int:
        return int(self.postgres.run_sql("postgres", "-c", "SELECT count(stop_time) FROM session"))


class AaadAccounting:
    """A whole node of aaad with everything on, and its own PostgreSQL; its sessions begin with logins."""

    name = "aaad"
    about = "aaad, a whole node: spool synced before the answer, drained and folded into its own PostgreSQL"
    gives_class = True

    def __init__(self, ports: Ports) -> None:
        self.port = ports.acct
        self._ports = ports
        self._node: Node | None = None
        self._records = 0

    def start(self, scratch: Path, logins: int) -> None:
        self._node = Node(scratch / "node", self._ports, logins)
        self._node.start()

    def stop(self) -> None:
        if self._node is not None:
            self._node.stop()

    def roots(self) -> dict[str, list[int]]:
        return self._node.roots()

    def before(self, load: AccountingLoad) -> None:
        if load.class_file is not None:
            generator.load(load.logins_arguments(self._ports.auth))
        self.settle()
        self._records = self._count_records()
        asyncio.run(execute(self._node.dsn, "CHECKPOINT"))

    def settle(self) -> None:
        self._node.spools.wait_until_drained(_DRAIN_TIMEOUT_S)

    def missing(self, row: report.Row) -> int:
        return max(0, row["acct_response"] - (self._count_records() - self._records))

    def _count_records(self) -> int:
        return asyncio.run(execute(self._node.dsn, COUNT_RECORDS))


async def execute(dsn: str, statement: str) -> int:
    """Run one statement and return its one figure, 0 when it has none."""
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval(statement) or 0)
    finally:
        await connection.close()


def accounting_legs(port_base: int) -> list[AccountingLeg]:
    """Return every leg, in the order in which they are measured. Ports from `port_base` on."""
    return [
        DurablePrototype(port_base),
        FreeradiusAccounting(port_base + 10),
        AaadAccounting(Ports(port_base + 20, port_base + 21, port_base + 22)),
    ]
