"""What this node knows of itself from its own files and kernel: for /metrics, for `aaad status`, for the heartbeat.

Reads only; asks no database, so it tells the same with PostgreSQL dead. One object per process, because LMDB
allows one open environment per path and process.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from aaad.daemon.kernel_sockets import KernelSocket, read_udp_sockets
from aaad.daemon.pool_facts import read_stocks
from aaad.daemon.router_facts import ROUTER_COUNTERS, RouterFacts, UnknownSource, read_routers, read_unknown_sources
from aaad.errors import ReplicaError
from aaad.metrics import read_counters
from aaad.orders.facts import FAILURES, ConcentratorFacts, read_facts
from aaad.pools.facts import STATES, LedgerFacts, read_ledger_facts
from aaad.pools.reported import Finding
from aaad.pools.supply import StockFacts
from aaad.replica.store import ReplicaReader
from aaad.spool.mirror_course import Stage
from aaad.spool.status import SpoolStatus, spool_statuses

POLLED_AT = "aaad_replica_polled_at_seconds"
HELD = "aaad_replica_held_logins"
WATERMARK_AT = "aaad_drain_watermark_at_seconds"
ROLE_HEARTBEAT = "aaad_role_heartbeat_seconds"
ROLE_SILENT_S = 5.0  # a role shows twice a second that its loop turns
_MICROSECONDS = 1e6

AllCounters = dict[str, dict[str, int] | None]  # by slot; None: the file cannot be read


class ReplicaFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The replica of this node. `age_s` is None until the feed has looked at PostgreSQL once."""

    is_complete: bool
    logins_count: int
    age_s: float | None
    applied_at_s: float | None
    held_count: int  # logins whose change the brake holds back


class SpoolFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One slot's spool: what lies on this disk alone."""

    slot: str
    records_undrained: int
    disk_bytes: int
    records_at_risk: int | None = None  # of the undrained, what no mirror has confirmed; None: of an older version
    oldest_age_s: float = 0.0  # of the oldest of these records
    set_aside_bytes: int = 0  # records that could not be applied


class SocketFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One UDP socket as the kernel counts it."""

    address: str
    port: int
    number: int
    queued_bytes: int
    dropped_count: int


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a node tells of itself without a database."""

    node: str
    version: str
    at_s: float  # Unix seconds
    replica: ReplicaFacts
    spools: list[SpoolFacts]
    watermark_age_s: float | None  # how old the oldest record may be that is not in PostgreSQL; None: not known
    sockets: list[SocketFacts]
    routers: list[RouterFacts]
    counters: AllCounters
    unknown_sources: list[UnknownSource] = []
    stocks: list[StockFacts] = []
    concentrators: list[ConcentratorFacts] = []  # that take orders
    ledger: LedgerFacts | None = None  # as its keeper saw it last; None: not yet


def role_ages_s(facts: NodeFacts) -> dict[str, float]:
    """Return how long ago each role's loop last showed that it turns, by slot."""
    return {
        slot: max(0.0, facts.at_s - values[ROLE_HEARTBEAT] / _MICROSECONDS)
        for slot, values in facts.counters.items()
        if values and values.get(ROLE_HEARTBEAT)
    }


class MirrorFacts(NamedTuple):
    """How the mirror of one slot's spool stands."""

    slot: str
    stage: Stage
    behind_bytes: int
    away_s: float  # since it was last in step; 0: it is


def mirrors(facts: NodeFacts) -> list[MirrorFacts]:
    """Return how the mirrors stand that are wanted, of the processes in use."""
    found = []
    for slot in role_ages_s(facts):
        values = facts.counters[slot] or {}
        if values.get("aaad_spool_mirror_wanted"):
            since_us = values.get("aaad_spool_mirror_away_since_seconds", 0)
            away_s = max(0.0, facts.at_s - since_us / _MICROSECONDS) if since_us else 0.0
            stage = Stage(min(values.get("aaad_spool_mirror_stage", 0), Stage.IN_STEP))
            found.append(MirrorFacts(slot, stage, values.get("aaad_spool_mirror_behind_bytes", 0), away_s))
    return found


class Gauge(NamedTuple):
    """One sample that does not come from a counter file."""

    name: str
    labels: tuple[str, ...]
    value: float


class NodeFiles:
    """The files of one node, for reading."""

    def __init__(
        self,
        state_dir: Path,
        *,
        node: str,
        version: str,
        ports: Collection[int],
        radius_processes: int | None = None,
        keeps_copies: bool = True,
        replica: ReplicaReader | None = None,
    ) -> None:
        """Name the node's state; nothing is opened yet.

        `radius_processes` None: every slot there is, is in use. `keeps_copies`: the role that mirrors other nodes'
        spools is in use. `replica`: the process's own reader, if it has one: a
        process opens a store once.
        """
        self.replica = replica or ReplicaReader(state_dir / "replica")
        self._counters = state_dir / "counters"
        self._spool = state_dir / "spool"
        self._node = node
        self._version = version
        self._ports = ports
        self._radius_processes = radius_processes
        self._keeps_copies = keeps_copies

    def facts(self, now_s: float) -> NodeFacts:
        """Read everything there is to know now."""
        counters = self.counters()
        return NodeFacts(
            node=self._node,
            version=self._version,
            at_s=now_s,
            replica=self._replica_facts(counters, now_s),
            spools=[_spool_facts(found) for found in spool_statuses(self._spool, now_s=now_s)],
            watermark_age_s=_age_s(counters, WATERMARK_AT, now_s),
            sockets=[_socket_facts(found) for found in read_udp_sockets(self._ports)],
            routers=self.routers(),
            counters=counters,
            unknown_sources=self.unknown_sources(),
            stocks=[stock for stock in read_stocks(self._counters) if not self._is_retired(stock.slot)],
            concentrators=read_facts(self._counters),
            ledger=read_ledger_facts(self._counters),
        )

    def counters(self) -> AllCounters:
        """Return what every slot has counted. One that is no longer in use keeps its sums and shows no life."""
        return {
            slot: _without_life(values) if values and self._is_retired(slot) else values
            for slot, values in read_all_counters(self._counters).items()
        }

    def routers(self) -> list[RouterFacts]:
        """Return the routers that the radius processes met."""
        return [router for router in read_routers(self._counters) if not self._is_retired(router.slot)]

    def unknown_sources(self) -> list[UnknownSource]:
        """Return the addresses that asked the radius processes and belong to no NAS entry."""
        return read_unknown_sources(self._counters)

    def _is_retired(self, slot: str) -> bool:
        """Whether the configuration has fewer processes now than when this slot was filled."""
        role, _, number = slot.rpartition("-")
        if role == "mirror":
            return not self._keeps_copies
        limit = self._radius_processes
        return limit is not None and role == "radius" and number.isdecimal() and int(number) >= limit

    def replica_age_s(self, now_s: float) -> float | None:
        """Return how long ago the feed last looked at PostgreSQL with success, None if it never did."""
        return _age_s(self.counters(), POLLED_AT, now_s)

    def _replica_facts(self, counters: AllCounters, now_s: float) -> ReplicaFacts:
        age_s = _age_s(counters, POLLED_AT, now_s)
        try:
            self.replica.begin()
            meta = self.replica.meta()
            self.replica.tables()  # without them nobody is answered
        except ReplicaError:
            return ReplicaFacts(is_complete=False, logins_count=0, age_s=age_s, applied_at_s=None, held_count=0)
        finally:
            self.replica.end()
        return ReplicaFacts(
            is_complete=meta.complete,
            logins_count=meta.count,
            age_s=age_s,
            applied_at_s=meta.applied_at_s,
            held_count=_highest(counters, HELD),
        )


def read_all_counters(directory: Path) -> AllCounters:
    """Return the counters of every slot, None for a file that cannot be read."""
    return {path.stem: read_counters(path) for path in sorted(directory.glob("*.cnt"))}


def _without_life(values: dict[str, int]) -> dict[str, int]:
    return {name: value for name, value in values.items() if name != ROLE_HEARTBEAT}


def _highest(counters: AllCounters, name: str) -> int:
    return max((values.get(name, 0) for values in counters.values() if values), default=0)


def _age_s(counters: AllCounters, name: str, now_s: float) -> float | None:
    at_us = _highest(counters, name)
    return max(0.0, now_s - at_us / _MICROSECONDS) if at_us else None


def gauges(facts: NodeFacts) -> Iterator[Gauge]:
    """Yield a node's facts as metrics."""
    replica = facts.replica
    yield Gauge("aaad_node_info", (facts.node, facts.version), 1)
    yield Gauge("aaad_replica_complete", (), replica.is_complete)
    yield Gauge("aaad_replica_logins", (), replica.logins_count)
    if replica.age_s is not None:
        yield Gauge("aaad_replica_age_seconds", (), replica.age_s)
    if facts.watermark_age_s is not None:
        yield Gauge("aaad_drain_watermark_age_seconds", (), facts.watermark_age_s)
    for spool in facts.spools:
        yield Gauge("aaad_spool_undrained_records", (spool.slot,), spool.records_undrained)
        yield Gauge("aaad_spool_bytes", (spool.slot,), spool.disk_bytes)
    for found in facts.sockets:
        labels = (found.address, str(found.port), str(found.number))
        yield Gauge("aaad_udp_dropped_total", labels, found.dropped_count)
        yield Gauge("aaad_udp_queued_bytes", labels, found.queued_bytes)
    for router in facts.routers:
        is_proven = "true" if router.proven else "false"
        of_router = (router.slot, router.nas, router.source_address, router.nas_identifier, is_proven)
        for name, field in ROUTER_COUNTERS.items():
            yield Gauge(name, of_router, getattr(router, field))
        yield Gauge("aaad_router_last_heard_at_seconds", of_router, router.last_heard_s)
    for stock in facts.stocks:
        yield Gauge("aaad_pool_reserve_free_addresses", (stock.slot, str(stock.space), stock.pool), stock.units)
    for concentrator in facts.concentrators:
        of_concentrator = (concentrator.slot, concentrator.nas)
        yield Gauge("aaad_concentrator_orders_silent", of_concentrator, concentrator.is_silent)
        for failure in FAILURES:
            count = concentrator.failures.get(failure, 0)
            yield Gauge("aaad_concentrator_order_failures_total", (*of_concentrator, failure), count)
    for slot, role_age_s in role_ages_s(facts).items():
        yield Gauge("aaad_role_up", (slot,), role_age_s < ROLE_SILENT_S)
        yield Gauge("aaad_role_age_seconds", (slot,), role_age_s)
    for slot, values in facts.counters.items():
        yield Gauge("aaad_counters_readable", (slot,), values is not None)
    if facts.ledger is not None:
        yield from _ledger_gauges(facts.ledger)


def _ledger_gauges(ledger: LedgerFacts) -> Iterator[Gauge]:
    yield Gauge("aaad_pool_facts_at_seconds", (), ledger.at_s)
    yield Gauge("aaad_leases_at_risk", (), ledger.may_lose_leases)
    for kind in Finding:
        yield Gauge("aaad_address_findings", (kind,), ledger.findings.get(kind, 0))
    for pool in ledger.pools:
        of_pool = (str(pool.address_space), pool.name)
        for state in STATES:
            yield Gauge("aaad_pool_addresses", (*of_pool, state), getattr(pool, state))
        yield Gauge("aaad_pool_offered_addresses", of_pool, pool.offered)
        yield Gauge("aaad_pool_size_addresses", of_pool, pool.size)
        yield Gauge("aaad_pool_unaccounted_addresses", of_pool, pool.unaccounted)
        yield Gauge("aaad_pool_alarmed", of_pool, pool.is_alarmed)
        yield Gauge("aaad_pool_adopting", of_pool, pool.is_adopting)
        yield Gauge("aaad_pool_counted_at_seconds", of_pool, pool.counted_at_s)
        if pool.exhausted_at_s is not None:
            yield Gauge("aaad_pool_exhausted_at_seconds", of_pool, pool.exhausted_at_s)


def _spool_facts(status: SpoolStatus) -> SpoolFacts:
    return SpoolFacts(
        slot=status.slot,
        records_undrained=status.undrained_records,
        disk_bytes=status.occupied_bytes,
        records_at_risk=status.records_at_risk,
        oldest_age_s=status.oldest_age_s,
        set_aside_bytes=status.set_aside_bytes,
    )


def _socket_facts(found: KernelSocket) -> SocketFacts:
    return SocketFacts(
        address=found.address,
        port=found.port,
        number=found.number,
        queued_bytes=found.queued_octets,
        dropped_count=found.dropped,
    )
