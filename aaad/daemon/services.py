"""The composition root of the roles: each function builds one service out of plain values and runs it to its end.

Rooms are imported where they are used, so that a role's process loads its own code only and answers within half a
second of its start.
"""

import asyncio
import gc
import os
from collections.abc import Coroutine, Sequence
from importlib.metadata import PackageNotFoundError, version

from aaad.daemon.context import RoleContext
from aaad.daemon.sockets import Purpose
from aaad.log import get_logger

_SPOOL_STOP_S = 3.0  # a sync of a healthy disk takes milliseconds; the supervisor's limit stands behind this one


def program_version() -> str:
    """Return this program's version, also in a source tree that was never installed."""
    try:
        return version("aaad")
    except PackageNotFoundError:
        return "0"


async def until_stopping(context: RoleContext, endless: Coroutine[object, object, None]) -> None:
    """Run what never ends by itself until the role is to stop, then cancel it."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(endless)
        stop = group.create_task(context.stopping.wait())
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        stop.cancel()


# --- radius ---------------------------------------------------------------------------------------------------------


def radius_counters() -> Sequence[str]:
    """Return the names that the radius role counts under."""
    from aaad.radius.counters import RADIUS_COUNTERS
    from aaad.spool.writer import SPOOL_COUNTERS

    return (*RADIUS_COUNTERS, *SPOOL_COUNTERS)


async def radius(context: RoleContext) -> None:
    """Answer RADIUS on this slot's sockets."""
    from aaad.journal import Journal
    from aaad.policy.codes import Reason
    from aaad.radius.server import Listener, RadiusService, Watchdog
    from aaad.replica.store import ReplicaReader
    from aaad.spool.writer import SpoolWriter
    from aaad.words import choose_language, customer_text

    config, state = context.config, context.config.node.state_dir
    language = choose_language(None, config.cli.language, os.environ)
    key = context.watchdog
    spool = SpoolWriter(
        state / "spool" / context.slot,
        segment_bytes=config.spool.segment_bytes,
        bytes_max=config.spool.bytes_max,
        handoff=config.node.run_dir / "sync.sock",
        counters=context.counters,
    )
    spool.start()
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
        ),
        spool=spool,
        counters=context.counters,
        log=get_logger("radius"),
        slot=context.number,
        peers_max=config.radius.peers_max,
        reject_messages={reason: customer_text(reason, language) for reason in Reason},
        watchdog=Watchdog(key.sources, key.secret) if key else None,
        statistics_path=state / "counters" / f"{context.slot}.routers.json",
    )
    # The request path makes no reference cycles (a test holds that), so collecting would only make it pause.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        await service.run(context.stopping)
    finally:
        if not await asyncio.to_thread(spool.stop, _SPOOL_STOP_S):
            context.log.error("spool.not_flushed", limit_s=_SPOOL_STOP_S)


# --- control --------------------------------------------------------------------------------------------------------


def control_counters() -> Sequence[str]:
    """Return the names that the control role counts under."""
    from aaad.daemon.control import CONTROL_COUNTERS

    return CONTROL_COUNTERS


async def control(context: RoleContext) -> None:
    """Keep the heartbeat, answer questions, serve the command line's socket and /metrics."""
    from aaad.daemon.control import PRUNE_TIMEOUT_S, Control
    from aaad.daemon.node_facts import NodeFiles
    from aaad.db.connection import Database
    from aaad.journal import JournalReader

    config = context.config
    node, database = config.node, config.database

    def connection(statement_timeout_s: float) -> Database:
        return Database(
            database.dsn.get_secret_value(),
            connect_timeout_s=database.connect_timeout_s,
            statement_timeout_s=statement_timeout_s,
            application_name=f"aaad {node.name} control",
        )

    ports = (config.radius.auth_port, config.radius.acct_port)
    controls, metrics = context.sockets_for(Purpose.CONTROL), context.sockets_for(Purpose.METRICS)
    service = Control(
        node=node.name,
        version=program_version(),
        files=NodeFiles(node.state_dir, node=node.name, version=program_version(), ports=ports),
        journal=JournalReader(node.state_dir / "journal"),
        database=connection(database.statement_timeout_s),
        pruning=connection(PRUNE_TIMEOUT_S),
        change_log_keep_s=config.replica.change_log_keep_s,
        control_listener=controls[0].socket if controls else None,
        metrics_listener=metrics[0].socket if metrics else None,
        counters=context.counters,
        log=get_logger("control"),
    )
    await service.run(context.stopping)


# --- sync -----------------------------------------------------------------------------------------------------------


def sync_counters() -> Sequence[str]:
    """Return the names that the sync role counts under."""
    return ()


async def feed(context: RoleContext) -> None:
    """Keep the replica equal to PostgreSQL."""
    await context.stopping.wait()


async def drain(context: RoleContext) -> None:
    """Carry the spool into PostgreSQL."""
    await context.stopping.wait()
