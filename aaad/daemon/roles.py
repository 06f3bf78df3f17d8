"""The roles of a node, and what happens inside a role's process from its first line to its exit code.

`ROLES` is the whole table: which services a role runs, which sockets it is given, which parts of the configuration
it reads. A service is an async callable in the role's TaskGroup; when one fails, the failure is logged, the others
are ended, and the process exits non-zero for the supervisor to start it again. A role ends by itself when its parent
is gone.
"""

import asyncio
import ctypes
import fcntl
import os
import select
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import uvloop

from aaad import clock
from aaad.config import Config, load_config, parse_config
from aaad.daemon import services
from aaad.daemon.context import RoleContext
from aaad.daemon.priority import Turn, take
from aaad.daemon.process import PARENT, WARM
from aaad.daemon.sockets import Purpose, ServiceSocket, inherited, service_socket
from aaad.daemon.watchdog import WatchdogKey
from aaad.errors import AaadError, ConfigError
from aaad.log import adopt_standard_logging, configure_log, get_logger, report_suppressed
from aaad.metrics import CounterFile

HEARTBEAT = "aaad_role_heartbeat_seconds"
CONFIG = "config"
WATCHDOG = "watchdog"

EXIT_FAILED, EXIT_CONFIG, EXIT_OCCUPIED = 1, 2, 75

_HEARTBEAT_S = 0.5
_REPORT_S = 10.0
_PREDECESSOR_S = 60.0  # how long a draining predecessor may hold the slot; beyond every drain_timeout_s
_SLOT_POLL_S = 0.01
_AFTER_DRAIN_S = 1.0
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15

Service = Callable[[RoleContext], Awaitable[None]]


class OccupiedError(AaadError):
    """Another process runs in this slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One kind of process."""

    name: str
    services: tuple[Service, ...]
    counter_names: Callable[[], Sequence[str]]
    modules: tuple[str, ...]  # loaded before the slot is taken, while a predecessor still serves
    purposes: frozenset[Purpose]
    sections: frozenset[str]  # a reload that changes one of these starts the role anew
    needs_database: bool = False  # where it is must be known; else it serves without, too
    silence_limit_s: float  # a loop that does not turn for so long hangs
    turn: Turn


_ALL = frozenset({"node", "log"})

ROLES: dict[str, Role] = {
    "radius": Role(
        name="radius",
        services=(services.radius,),
        counter_names=services.radius_counters,
        modules=(
            "aaad.radius.server",
            "aaad.replica.store",
            "aaad.spool.writer",
            "aaad.journal",
            "aaad.words",
            "aaad.radius.simultaneous",
        ),
        purposes=frozenset({Purpose.AUTH, Purpose.ACCT}),
        sections=_ALL | {"database", "radius", "spool", "journal", "cli"},
        silence_limit_s=5.0,
        turn=Turn.FIRST,
    ),
    "sync": Role(
        name="sync",
        services=(services.feed, services.drain, services.handoff),
        counter_names=services.sync_counters,
        modules=("aaad.replica.feed", "aaad.sessions.drain", "aaad.sessions.handoff"),
        purposes=frozenset({Purpose.SYNC}),
        sections=_ALL | {"database", "replica", "spool"},
        needs_database=True,
        silence_limit_s=60.0,
        turn=Turn.LAST,
    ),
    # A process of its own, and only where it is configured: another node's answers wait for it, so it must not stand
    # behind a fold of the drain.
    "mirror": Role(
        name="mirror",
        services=(services.mirror, services.mirror_keeping),
        counter_names=services.mirror_counters,
        modules=("aaad.spool.mirror_server", "aaad.sessions.mirrors"),
        purposes=frozenset({Purpose.MIRROR}),
        sections=_ALL | {"database", "spool"},
        silence_limit_s=60.0,
        turn=Turn.FIRST,
    ),
    "control": Role(
        name="control",
        services=(
            services.control,
            services.keeping,
            services.pool_keeping,
            services.ordering,
            services.order_running,
            services.line_running,
            services.agenda,
        ),
        counter_names=services.control_counters,
        modules=(
            "aaad.daemon.control",
            "aaad.sessions.keeping",
            "aaad.pools.keeping",
            "aaad.orders.reconciler",
            "aaad.orders.runner",
            "aaad.orders.lines",
            "aaad.agenda.runner",
        ),
        purposes=frozenset({Purpose.CONTROL, Purpose.METRICS}),
        # It tells the node's whole configuration, so every change is its own.
        sections=frozenset(Config.model_fields),
        needs_database=True,
        silence_limit_s=60.0,
        turn=Turn.LAST,
    ),
}


def run_role(name: str, slot: int, config_path: Path) -> int:
    """Run one role's process to its end; return its exit code."""
    role = ROLES.get(name)
    if role is None:
        sys.stderr.write(f"aaad: there is no role {name!r}; roles are {', '.join(ROLES)}\n")
        return EXIT_CONFIG
    return run(role, slot, config_path)


def run(role: Role, number: int, config_path: Path) -> int:
    """Run this role as the process that we are."""
    slot = f"{role.name}-{number}"
    _die_with_parent(slot)
    found = dict(inherited(os.environ, os.getpid()))
    try:
        config = _config(found.pop(CONFIG, None), config_path, needs_database=role.needs_database)
        configure_log(config.log.level, config.log.format, slot=slot, pid=os.getpid())
        adopt_standard_logging()
        if _is_orphan(found.get(PARENT)):  # before the kernel was asked to tell us; its successor wants our sockets
            get_logger(role.name).warning("supervisor.lost")
            return 0
        if not take(role.turn):  # only a loss of time on a busy machine
            get_logger(role.name).info("role.without_priority")
        for module in role.modules:
            import_module(module)
        warm = found.pop(WARM, None)
        if warm is not None:
            os.write(warm, b"w")
            os.close(warm)
        with _slot_lock(config.node.state_dir, slot):
            context = RoleContext(
                role=role.name,
                number=number,
                config=config,
                counters=_open_counters(role, config, slot),
                log=get_logger(role.name),
                watchdog=_watchdog_key(found.pop(WATCHDOG, None)),
                parent=found.pop(PARENT, None),
                sockets=tuple(_sockets(found)),
            )
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_serve(role, context))
    except ConfigError as error:
        get_logger(role.name).error("config.refused", error=str(error))
        return EXIT_CONFIG
    except OccupiedError as error:
        get_logger(role.name).error("role.occupied", error=str(error))
        return EXIT_OCCUPIED
    except Exception:  # noqa: BLE001  the rim of the process: whatever it was is told, and the supervisor goes on
        get_logger(role.name).exception("role.broken")
        return EXIT_FAILED


def _die_with_parent(name: str) -> None:
    """Let the kernel end us with our parent, should the pipe not do it; and be told apart in ps and top."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    libc.prctl(_PR_SET_NAME, f"aaad {name}"[:15].encode(), 0, 0, 0)


def _is_orphan(descriptor: int | None) -> bool:
    """Tell whether the other end of our parent's pipe is gone; nothing is ever written to it."""
    if descriptor is None:
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _config(descriptor: int | None, path: Path, *, needs_database: bool) -> Config:
    """Return the configuration that the supervisor accepted; the file may have become bad since.

    The file of the DSN, too: that stops nobody who does not ask PostgreSQL.
    """
    if descriptor is None:
        return load_config(path, os.environ, needs_database=needs_database)
    return parse_config(_read_all(descriptor).decode(), os.environ, needs_database=needs_database)


def _read_all(descriptor: int) -> bytes:
    # By position: the descriptor's own offset is shared with every process that inherited it.
    data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    os.close(descriptor)
    return data


def _watchdog_key(descriptor: int | None) -> WatchdogKey | None:
    return None if descriptor is None else WatchdogKey.decode(_read_all(descriptor))


def _sockets(found: dict[str, int]) -> Iterator[ServiceSocket]:
    for name, descriptor in found.items():
        opened = service_socket(name, descriptor)
        if opened is None:
            os.close(descriptor)
        else:
            yield opened


def _open_counters(role: Role, config: Config, slot: str) -> CounterFile:
    names = tuple(dict.fromkeys([HEARTBEAT, *role.counter_names()]))
    return CounterFile(config.node.state_dir / "counters" / f"{slot}.cnt", names)


@contextmanager
def _slot_lock(state_dir: Path, slot: str) -> Iterator[None]:
    """Hold the slot: two processes writing one spool, journal or counter file would destroy it."""
    folder = state_dir / "counters"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / f"{slot}.lock").open("w") as file:
        limit_s = clock.monotonic_s() + _PREDECESSOR_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if clock.monotonic_s() > limit_s:
                    raise OccupiedError(f"another process runs in slot {slot} of {state_dir}") from None
                time.sleep(_SLOT_POLL_S)
            else:
                break
        yield


async def _serve(role: Role, context: RoleContext) -> int:
    """Run the services until told to stop; return the exit code."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, details: _tell_loop_error(context, details))
    loop.add_signal_handler(signal.SIGTERM, context.stopping.set)
    if context.parent is not None:
        # Nothing is ever written to the pipe: readable means that the other end is gone.
        loop.add_reader(context.parent, _orphaned, loop, context)
    try:
        async with asyncio.TaskGroup() as group:
            chores = group.create_task(_chores(context))
            served = [group.create_task(_guarded(service, context)) for service in role.services]
            context.log.info("role.serving")
            await context.stopping.wait()
            context.log.info("role.draining")
            late = await _drained(served, context.config.supervisor.drain_timeout_s)
            chores.cancel()
    except BaseExceptionGroup:
        return EXIT_FAILED  # each failure was told where it happened
    finally:
        report_suppressed()
    return EXIT_FAILED if late else 0


async def _drained(served: Sequence[asyncio.Task[None]], limit_s: float) -> bool:
    """Wait for the services to end, cancel what is late; return whether anything was."""
    _, late = await asyncio.wait(served, timeout=limit_s)
    for task in late:
        task.cancel()
    if late:
        # What does not even end when cancelled is ended by the supervisor, or here when that is gone.
        asyncio.get_running_loop().call_later(_AFTER_DRAIN_S, os._exit, EXIT_FAILED)
    return bool(late)


def _orphaned(loop: asyncio.AbstractEventLoop, context: RoleContext) -> None:
    assert context.parent is not None
    loop.remove_reader(context.parent)
    context.log.warning("supervisor.lost")
    context.stopping.set()


async def _guarded(service: Service, context: RoleContext) -> None:
    """Run one service; tell its failure with traceback, and take an early end for one."""
    try:
        await service(context)
    except Exception:
        context.log.exception("service.failed", service=service.__name__)
        raise
    if not context.stopping.is_set():
        context.log.error("service.ended_unasked", service=service.__name__)
        raise AaadError(f"{service.__name__} ended unasked")


async def _chores(context: RoleContext) -> None:
    """Show that the loop turns, and say what the log left out."""
    report_s = clock.monotonic_s()
    while True:
        context.counters.set_seconds(HEARTBEAT, clock.wall_s())
        if clock.monotonic_s() - report_s > _REPORT_S:
            report_s = clock.monotonic_s()
            report_suppressed()
        await asyncio.sleep(_HEARTBEAT_S)


def _tell_loop_error(context: RoleContext, details: dict[str, object]) -> None:
    error = details.get("exception")
    with suppress(Exception):
        context.log.error("loop.error", message=details.get("message"), exc_info=error)
