"""The composition root of the roles: each function builds one service out of plain values and runs it to its end.

Rooms are imported where they are used, so that a role's process loads its own code only and answers within half a
second of its start.
"""

import asyncio
import gc
import os
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from aaad.clock import pause
from aaad.config_values import endpoint
from aaad.daemon.context import RoleContext
from aaad.daemon.sockets import Purpose
from aaad.errors import StoreError
from aaad.log import get_logger

if TYPE_CHECKING:
    from aaad.db.connection import Database
    from aaad.pools.claims import Claims
    from aaad.pools.reserve import Reserve
    from aaad.radius.simultaneous import SimultaneousUse
    from aaad.replica.store import ReplicaReader
    from aaad.sessions.open_sessions import OpenSessions
    from aaad.spool.mirror import Mirror
    from aaad.spool.writer import SpoolWriter

ORDERS_ON_THEIR_WAY_MAX = 2_048  # many silent concentrators must not keep the others waiting
_CONNECTION_LOOKED_AT_S = 2.0
_SPOOL_STOP_S = 3.0  # a sync of a healthy disk takes milliseconds; the supervisor's limit stands behind this one


def program_version() -> str:
    """Return this program's version, also in a source tree that was never installed."""
    try:
        return version("aaad")
    except PackageNotFoundError:
        return "0"


def _database(
    context: RoleContext,
    purpose: str,
    statement_timeout_s: float | None = None,
    *,
    connect_timeout_s: float | None = None,
    plans_anew: bool = False,
) -> "Database":
    """Return a door of its own to PostgreSQL; nothing is connected yet."""
    from aaad.db.connection import Database

    database = context.config.database
    return Database(
        database.dsn.get_secret_value(),
        connect_timeout_s=connect_timeout_s or database.connect_timeout_s,
        statement_timeout_s=statement_timeout_s or database.statement_timeout_s,
        application_name=f"aaad {context.config.node.name} {purpose}",
        plans_anew=plans_anew,
    )


# --- radius ---------------------------------------------------------------------------------------------------------


def radius_counters() -> Sequence[str]:
    """Return the names that the radius role counts under."""
    from aaad.daemon.priority import FIRST_THREADS
    from aaad.journal import JOURNAL_COUNTERS
    from aaad.pools.claims import CLAIM_COUNTERS
    from aaad.pools.supply import SUPPLY_COUNTERS
    from aaad.radius.counters import RADIUS_COUNTERS
    from aaad.spool.mirror import MIRROR_COUNTERS
    from aaad.spool.writer import SPOOL_COUNTERS

    return (
        FIRST_THREADS,
        *RADIUS_COUNTERS,
        *CLAIM_COUNTERS,
        *SUPPLY_COUNTERS,
        *SPOOL_COUNTERS,
        *MIRROR_COUNTERS,
        *JOURNAL_COUNTERS,
    )


async def radius(context: RoleContext) -> None:
    """Answer RADIUS on this slot's sockets."""
    from aaad.daemon.router_facts import statistics_path, unknown_sources_path
    from aaad.journal import Journal
    from aaad.policy.codes import Reason
    from aaad.radius.datagrams import Listener
    from aaad.radius.server import RadiusService, Watchdog
    from aaad.radius.simultaneous import must_wait
    from aaad.replica.store import ReplicaReader
    from aaad.words import choose_language, customer_text

    config, state = context.config, context.config.node.state_dir
    language = choose_language(None, config.cli.language, os.environ)
    key = context.watchdog
    spool = _spool(context)
    spool.start()
    use, open_sessions = _simultaneous_use(context)
    reserve, claims = _claims(context, spool)
    service = RadiusService(
        listeners=[
            Listener(found.socket, found.address, is_accounting=found.purpose is Purpose.ACCT)
            for found in context.sockets_for(Purpose.AUTH, Purpose.ACCT)
        ],
        replica=ReplicaReader(state / "replica"),
        journal=Journal(
            state / "journal" / context.slot,
            segment_bytes=config.journal.segment_bytes,
            bytes_max=config.journal.bytes_max,
            counters=context.counters,
        ),
        spool=spool,
        counters=context.counters,
        log=get_logger("radius"),
        slot=context.number,
        peers_max=config.radius.peers_max,
        reject_messages={reason: customer_text(reason, language) for reason in Reason},
        watchdog=Watchdog(key.sources, key.secret) if key else None,
        statistics_path=statistics_path(state / "counters", context.slot),
        unknown_sources_path=unknown_sources_path(state / "counters", context.slot),
        claim=use.settle,
        must_wait=must_wait,
        claims=claims,
    )
    # The request path makes no reference cycles (a test holds that), so collecting would only make it pause.
    for step in (gc.collect, gc.freeze, gc.disable):
        step()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_keep_connected(open_sessions, context))
            group.create_task(_go_first(context, spool))  # has its turn when the sockets are open
            await service.run(context.stopping)
    finally:
        use.close()
        _close(reserve, context)
        if not await asyncio.to_thread(spool.stop, _SPOOL_STOP_S):
            context.log.error("spool.not_flushed", limit_s=_SPOOL_STOP_S)


async def _go_first(context: RoleContext, spool: "SpoolWriter") -> None:
    """Go before others, and let the spool's thread do so as soon as it has found the end of what lies there."""
    from aaad.daemon.priority import keep

    processes = context.config.radius.processes
    await keep(context.stopping, processes, lambda: spool.thread_id, context.counters, context.log)


def _spool(context: RoleContext) -> "SpoolWriter":
    """Return this slot's spool."""
    from aaad.spool.writer import SpoolWriter

    config = context.config
    return SpoolWriter(
        config.node.state_dir / "spool" / context.slot,
        segment_bytes=config.spool.segment_bytes,
        bytes_max=config.spool.bytes_max,
        handoff=config.node.run_dir / "sync.sock",
        mirror=_mirror(context),
        counters=context.counters,
    )


def _mirror(context: RoleContext) -> "Mirror | None":
    """Return who copies this slot's spool to another node, None if nobody does."""
    from aaad.spool.mirror import Mirror

    spool = context.config.spool
    peer = endpoint(spool.mirror)
    context.counters.set("aaad_spool_mirror_wanted", int(peer is not None))
    if peer is None or not spool.mirror_secret.get_secret_value():
        return None  # without a secret `aaad run` does not begin; if it is lost later, customers go on being answered
    return Mirror(
        context.config.node.state_dir / "spool" / context.slot,
        peer=peer,
        node=context.config.node.name,
        secret=spool.mirror_secret.get_secret_value().encode(),
        timeout_s=spool.mirror_timeout_s,
        counters=context.counters,
    )


def _close(reserve: "Reserve", context: RoleContext) -> None:
    """Close what is set aside in order; what a disk does not take must not keep the spool from its end."""
    try:
        reserve.close()
    except OSError as error:
        context.log.warning("reserve.not_closed", error=str(error))


def _claims(context: RoleContext, spool: "SpoolWriter") -> "tuple[Reserve, Claims]":
    """Return what this slot has set aside of pools, and who binds it to logins.

    Bindings are made on one connection, what is set aside is claimed on another.
    """
    from aaad.daemon.pool_facts import stocks_path
    from aaad.pools.claims import BIND_LIMIT_S, Claims
    from aaad.pools.recent import Recent
    from aaad.pools.reserve import Reserve
    from aaad.pools.supply import CLAIM_LIMIT_S, PoolLedger, Supply

    reserve = Reserve(context.config.node.state_dir / "reserve" / context.slot)
    is_usable = True
    try:
        if not reserve.open():
            context.log.info("reserve.new_life")
    except OSError as error:
        # An Accept without the address that is due would be no service: who has no lease that stands gets no answer.
        context.log.warning(
            "reserve.unusable", error=str(error), cost="no new addresses of our own pools are given out"
        )
        is_usable = False
    claiming = _database(context, "addresses claimed", CLAIM_LIMIT_S)
    binding = _database(context, "addresses bound", BIND_LIMIT_S)
    slot, counters, log = context.number, context.counters, get_logger("radius")
    facts_path = stocks_path(context.config.node.state_dir / "counters", context.slot)

    def ledger_on(database: "Database") -> "Callable[[int], PoolLedger | None]":
        return lambda node: PoolLedger(database, node, slot) if is_usable else None

    supply = Supply(reserve, ledger_on(claiming), counters, log, facts_path)
    return reserve, Claims(
        supply,
        ledger_on(binding),
        Recent(),
        spool=spool,
        slot=slot,
        counters=counters,
        log=log,
    )


def _simultaneous_use(context: RoleContext) -> "tuple[SimultaneousUse, OpenSessions]":
    """Return who settles what waits, and by what he asks PostgreSQL."""
    from aaad.radius.dynauth_client import DynauthClient
    from aaad.radius.simultaneous import ASK_LIMIT_S, SimultaneousUse
    from aaad.sessions.open_sessions import OpenSessions

    open_sessions = OpenSessions(_database(context, "radius", ASK_LIMIT_S), context.config.node.name)
    return SimultaneousUse(open_sessions, DynauthClient(), context.counters, get_logger("radius")), open_sessions


async def _keep_connected(open_sessions: "OpenSessions", context: RoleContext) -> None:
    """Keep the connection by which requests that wait ask PostgreSQL, so that none waits for connecting.

    What asyncpg leaves behind is in cycles, more so when it fails: the youngest objects are looked at for it.
    """
    is_away = False
    while context.config.database.dsn.get_secret_value() and not context.stopping.is_set():
        try:
            await open_sessions.keep_connected()
            is_away = False
        except StoreError as error:
            if not is_away:  # once: an hour without PostgreSQL must not fill the log
                context.log.warning("database.away", purpose="simultaneous use", error=str(error))
            is_away = True
        await pause(context.stopping, _CONNECTION_LOOKED_AT_S)
        gc.collect(0)
    await open_sessions.close()


# --- control --------------------------------------------------------------------------------------------------------


def control_counters() -> Sequence[str]:
    """Return the names that the control role counts under."""
    from aaad.agenda.runner import AGENDA_COUNTERS
    from aaad.daemon.control import CONTROL_COUNTERS
    from aaad.orders.counted import ORDER_COUNTERS
    from aaad.orders.lines import LINE_COUNTERS
    from aaad.orders.reconciler import RECONCILER_COUNTERS
    from aaad.pools.keeping import POOL_KEEPING_COUNTERS
    from aaad.sessions.keeping import KEEPING_COUNTERS

    return (
        *CONTROL_COUNTERS,
        *KEEPING_COUNTERS,
        *POOL_KEEPING_COUNTERS,
        *RECONCILER_COUNTERS,
        *ORDER_COUNTERS,
        *LINE_COUNTERS,
        *AGENDA_COUNTERS,
    )


async def control(context: RoleContext) -> None:
    """Keep the heartbeat, answer questions, serve the command line's socket and /metrics."""
    from aaad.daemon.control import PRUNE_TIMEOUT_S, Control
    from aaad.daemon.node_facts import NodeFiles
    from aaad.journal import JournalReader
    from aaad.words import choose_language

    config, node = context.config, context.config.node
    ports = (config.radius.auth_port, config.radius.acct_port)
    controls, metrics = context.sockets_for(Purpose.CONTROL), context.sockets_for(Purpose.METRICS)
    service = Control(
        node=node.name,
        version=program_version(),
        files=NodeFiles(
            node.state_dir,
            node=node.name,
            version=program_version(),
            ports=ports,
            radius_processes=config.radius.processes,
            keeps_copies=bool(config.spool.mirror_listen),
            replica=_replica(node.state_dir / "replica"),
        ),
        journal=JournalReader(node.state_dir / "journal"),
        database=_database(context, "control"),
        pruning=_database(context, "pruning", PRUNE_TIMEOUT_S),
        change_log_keep_s=config.replica.change_log_keep_s,
        control_listener=controls[0].socket if controls else None,
        metrics_listener=metrics[0].socket if metrics else None,
        counters=context.counters,
        log=get_logger("control"),
        language=choose_language(None, config.cli.language, os.environ),
    )
    await service.run(context.stopping)


@cache
def _replica(directory: Path) -> "ReplicaReader":
    """Return this process's reader of the replica: LMDB opens a store once in each process.

    Whoever uses it does so between `begin` and `end` without waiting in between.
    """
    from aaad.replica.store import ReplicaReader

    return ReplicaReader(directory)


async def ordering(context: RoleContext) -> None:
    """Turn changes, the clock and new sessions into orders, where this node is the one that does."""
    from aaad.orders.looking import Looking
    from aaad.orders.reconciler import Reconciler, ReconcilerSettings
    from aaad.policy.calendar import zone_offset_s
    from aaad.replica.brake import BrakeLimits

    orders, replica, node = context.config.orders, context.config.replica, context.config.node
    database, listening = _database(context, "orders", plans_anew=True), _database(context, "order notifications")
    settings = ReconcilerSettings(
        poll_interval_s=replica.poll_interval_s,
        sweep_interval_s=orders.sweep_interval_s,
        clock_spread_s=orders.clock_spread_s,
        brake=BrakeLimits(
            share=replica.brake_share, minimum_count=replica.brake_minimum, window_s=replica.brake_window_s
        ),
    )
    reconciler = Reconciler(
        database,
        listening,
        Looking(_replica(node.state_dir / "replica"), zone_offset_s),
        node=node.name,
        counters=context.counters,
        settings=settings,
        log=get_logger("orders"),
    )
    try:
        await reconciler.run(context.stopping)
    finally:
        await database.close()
        await listening.close()


async def keeping(context: RoleContext) -> None:
    """Keep the sessions: history by month, what is lost, what is deleted, caps."""
    from aaad.sessions.keeping import MAINTENANCE_TIMEOUT_S, Keeping

    database = _database(context, "keeping")
    maintenance = _database(context, "months", MAINTENANCE_TIMEOUT_S)
    try:
        await Keeping(database, maintenance, context.counters).run(context.stopping)
    finally:
        await database.close()
        await maintenance.close()


async def pool_keeping(context: RoleContext) -> None:
    """Keep the ledger of addresses: leases by their sessions, what is reported, reserves, how pools are used."""
    from aaad.pools.keeping import PoolKeeping
    from aaad.pools.retired import RetiredSlots
    from aaad.pools.use import COUNT_TIMEOUT_S

    database = _database(context, "pools")
    counting = _database(context, "pool use", COUNT_TIMEOUT_S)
    config, node = context.config, context.config.node
    retired = RetiredSlots(database, node.state_dir, node.name, config.radius.processes)
    keeper = PoolKeeping(database, counting, context.counters, node.state_dir / "counters", retired)
    try:
        await keeper.run(context.stopping)
    finally:
        await database.close()
        await counting.close()


async def order_running(context: RoleContext) -> None:
    """Carry out orders about sessions."""
    from aaad.orders.facts import facts_path
    from aaad.orders.runner import OrderRunner, Settings
    from aaad.radius.dynauth_client import DynauthClient
    from aaad.replica.brake import BrakeLimits

    database = _database(context, "orders", plans_anew=True)
    node, replica = context.config.node, context.config.replica
    brake = BrakeLimits(
        share=replica.brake_share, minimum_count=replica.brake_minimum, window_s=replica.brake_window_s
    )
    runner = OrderRunner(
        database,
        DynauthClient(in_work_max=ORDERS_ON_THEIR_WAY_MAX),
        node=node.name,
        counters=context.counters,
        settings=Settings(brake=brake),
        facts_path=facts_path(node.state_dir / "counters", context.slot),
    )
    try:
        await runner.run(context.stopping)
    finally:
        await database.close()


async def line_running(context: RoleContext) -> None:
    """Carry out orders about lines: SIP, mobile, TV."""
    from aaad.orders.lines import LineRunner, LineSettings
    from aaad.replica.brake import BrakeLimits

    database, replica = _database(context, "lines"), context.config.replica
    brake = BrakeLimits(
        share=replica.brake_share, minimum_count=replica.brake_minimum, window_s=replica.brake_window_s
    )
    settings = LineSettings(brake=brake)
    runner = LineRunner(database, node=context.config.node.name, counters=context.counters, settings=settings)
    try:
        await runner.run(context.stopping)
    finally:
        await database.close()


async def agenda(context: RoleContext) -> None:
    """Plan what comes due and do it, where no other node does."""
    from aaad.agenda.runner import STATEMENT_LIMIT_S, Agenda
    from aaad.orders.by_hand import disconnect_logins

    database = _database(context, "agenda", STATEMENT_LIMIT_S)
    planning = _database(context, "agenda planning", STATEMENT_LIMIT_S)
    node = context.config.node.name
    try:
        await Agenda(database, context.counters, node, disconnect_logins, planning).run(context.stopping)
    finally:
        await database.close()
        await planning.close()


# --- sync -----------------------------------------------------------------------------------------------------------


def sync_counters() -> Sequence[str]:
    """Return the names that the sync role counts under."""
    from aaad.replica.feed import FEED_COUNTERS
    from aaad.sessions.drain import DRAIN_COUNTERS
    from aaad.sessions.handoff import HANDOFF_COUNTERS

    return (*FEED_COUNTERS, *DRAIN_COUNTERS, *HANDOFF_COUNTERS)


async def feed(context: RoleContext) -> None:
    """Keep the replica equal to PostgreSQL."""
    from aaad.replica.brake import BrakeLimits
    from aaad.replica.feed import Feed, FeedSettings

    node, database, replica = context.config.node, context.config.database, context.config.replica
    settings = FeedSettings(
        map_size_bytes=replica.map_size_bytes,
        poll_interval_s=replica.poll_interval_s,
        checksum_interval_s=replica.checksum_interval_s,
        change_log_keep_s=replica.change_log_keep_s,
        brake=BrakeLimits(
            share=replica.brake_share, minimum_count=replica.brake_minimum, window_s=replica.brake_window_s
        ),
        connect_timeout_s=database.connect_timeout_s,
        statement_timeout_s=database.statement_timeout_s,
    )
    service = Feed(
        database.dsn.get_secret_value(),
        node.state_dir / "replica",
        node_name=node.name,
        counters=context.counters,
        settings=settings,
    )
    await service.run(context.stopping)


async def drain(context: RoleContext) -> None:
    """Carry the spool into PostgreSQL."""
    from aaad.sessions.drain import Drain, spare_collector
    from aaad.sessions.store import FORESEE_STATEMENT_S

    node, spool = context.config.node, context.config.spool
    database = _database(context, "drain")
    foreseeing = _database(context, "drain ahead", FORESEE_STATEMENT_S, connect_timeout_s=FORESEE_STATEMENT_S)
    service = Drain(
        database,
        node.state_dir / "spool",
        foreseeing=foreseeing,
        node=node.name,
        keep_s=spool.keep_s,
        bytes_max=spool.bytes_max,
        counters=context.counters,
    )
    spare_collector()
    try:
        await service.run(context.stopping)
    finally:
        await database.close()
        await foreseeing.close()


async def handoff(context: RoleContext) -> None:
    """Take what a radius process cannot write to its disk."""
    from aaad.sessions.handoff import HandoffServer

    database = _database(context, "handoff")
    (listener,) = context.sockets_for(Purpose.SYNC)
    service = HandoffServer(database, listener.socket, node=context.config.node.name, counters=context.counters)
    try:
        await service.run(context.stopping)
    finally:
        await database.close()


# --- mirror ---------------------------------------------------------------------------------------------------------


def mirror_counters() -> Sequence[str]:
    """Return the names that the mirror role counts under."""
    from aaad.spool.mirror_server import MIRROR_SERVER_COUNTERS

    return MIRROR_SERVER_COUNTERS


async def mirror(context: RoleContext) -> None:
    """Keep copies of other nodes' spools."""
    from aaad.spool.mirror_server import MirrorServer

    spool, (listener,) = context.config.spool, context.sockets_for(Purpose.MIRROR)
    secret = spool.mirror_secret.get_secret_value()
    if not secret:
        context.log.error("mirror.without_secret")
        await context.stopping.wait()
        return
    server = MirrorServer(
        listener.socket,
        context.config.node.state_dir / "mirror",
        node=context.config.node.name,
        secret=secret.encode(),
        bytes_max=spool.mirror_bytes_max,
        counters=context.counters,
    )
    await server.run(context.stopping)


async def mirror_keeping(context: RoleContext) -> None:
    """Remove from these copies what PostgreSQL has."""
    from aaad.sessions.mirrors import KEEP_EVERY_S, MirrorKeeping

    if not context.config.database.dsn.get_secret_value():
        await context.stopping.wait()
        return
    database = _database(context, "mirror")
    keeping = MirrorKeeping(
        database,
        context.config.node.state_dir / "mirror",
        node=context.config.node.name,
        keep_s=context.config.spool.keep_s,
        every_s=KEEP_EVERY_S,
        counters=context.counters,
    )
    try:
        await keeping.run(context.stopping)
    finally:
        await database.close()
