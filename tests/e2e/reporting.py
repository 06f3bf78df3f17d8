"""Sessions that are reported to a whole node, from a thread, with a log of every record; and the rows they become."""

import os
import threading
import time
from collections.abc import Sequence
from typing import Any

from nodes import Node, eventually
from session_reference import Row, errors, restart_errors

from aaad.simulator.accounting import Record
from aaad.simulator.fleet import Subscribers
from aaad.simulator.nas import Concentrator, Exchange
from aaad.simulator.network import Server, simulate
from aaad.simulator.record_log import record_values
from aaad.simulator.report import Report
from aaad.simulator.request import Nas
from aaad.simulator.simulation import Plan, Simulation
from aaad.spool.directory import find_spool_id, read_tail, segment_numbers

_ROWS = """
SELECT user_name, acct_session_id, convert_from(nas_identifier, 'UTF8') AS nas_identifier, records, session_time_s,
    octets_in, octets_out, start_seen, extract(epoch FROM started_at)::float8 AS started_at,
    extract(epoch FROM heard_at)::float8 AS heard_at, extract(epoch FROM ended_at)::float8 AS ended_at, end_evidence,
    terminate_cause, host(ipv4) AS address
FROM net.every_session
WHERE user_name = ANY($1)
"""
_END_S = 60.0


class Reporting:
    """A simulation of sessions before a node, from a thread, until `stop`; `log` holds what came of each record."""

    def __init__(
        self, node: Node, plan: Plan, nases: Sequence[Nas], subscribers: Subscribers, others: Sequence[Node] = ()
    ) -> None:
        """`others` are asked when the node is silent."""
        self.log: list[dict[str, Any]] = []
        who = subscribers.make()
        self.names = [subscriber.name for subscriber in who]
        self._epoch_s = time.time() - time.monotonic()
        self._servers = [Server("127.0.0.1", one.auth_port, one.acct_port) for one in (node, *others)]
        self.simulation = Simulation(
            plan, nases, who, len(self._servers), os.urandom, epoch_s=self._epoch_s, tell=self._tell
        )
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.report: Report | None = None

    def _tell(self, concentrator: Concentrator, record: Record, exchange: Exchange) -> None:
        self.log.append(record_values(concentrator, record, exchange, self._epoch_s))

    def _run(self) -> None:
        self.report = simulate(self.simulation, self._servers, self._stopping)

    def __enter__(self) -> "Reporting":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let nobody dial any more and wait until all have said that they leave."""
        self._stopping.set()
        self.wait()

    def wait(self) -> Report:
        """Wait until it is over."""
        self._thread.join(_END_S if self._stopping.is_set() else None)
        assert self.report is not None, "the simulation has failed, or does not come to its end"
        return self.report

    @property
    def acknowledged(self) -> int:
        return sum(told["acknowledged"] for told in self.log)


def wait_drained(node: Node, within_s: float = 30) -> float:
    """Wait until every record of this node's spool is in PostgreSQL; return how long it took."""
    return eventually(lambda: _is_drained(node), within_s=within_s, what="the spool is drained")


def _is_drained(node: Node) -> bool:
    cursors = {
        row["spool_id"]: (row["segment"], row["position"])
        for row in node.sql("SELECT spool_id, segment, position FROM net.spool_cursor")
    }
    directories = [path for path in (node.folder / "state" / "spool").iterdir() if path.is_dir()]
    assert directories
    for directory in directories:
        tail = read_tail(directory)
        if tail is None or tail.position.segment != segment_numbers(directory)[-1]:
            return False
        if cursors.get(find_spool_id(directory)) != tuple(tail.position):
            return False
    return True


def assert_nothing_lost_doubled_or_invented(node: Node, reporting: Reporting) -> list[Row]:
    """Compare every session of these subscribers with what was reported; return the rows."""
    rows = [Row(**dict(row)) for row in node.sql(_ROWS, reporting.names)]
    found = errors(rows, reporting.log) + restart_errors(rows, reporting.log)
    assert not found, f"{len(found)} of {len(rows)} sessions are wrong:\n" + "\n".join(found[:10])
    return rows
