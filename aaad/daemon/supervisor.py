"""The supervisor: opens every socket once, starts the roles, keeps them running, and ends them in order.

It reads no datagram, no database and no request's data; what it holds is small and old, so that it never has a reason
to die. If it does, the roles end by themselves, systemd keeps the sockets with what is queued in them, and hands
them to the successor.

`aaad run` comes here. Standards: sd_notify(3), sd_listen_fds(3), RFC 5997 (its watchdog). Rule R3.7.
"""

import asyncio
import fcntl
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from aaad import clock
from aaad.config import Config, parse_config, read_config_text, require_mirror_secret
from aaad.daemon.health import Health, Verdict, Witness, mirrors_away
from aaad.daemon.keeper import Backoff, Keeper, lost_counter, restarts_counter
from aaad.daemon.notify import notifier_of
from aaad.daemon.process import RoleProcess, role_command
from aaad.daemon.roles import CONFIG, EXIT_CONFIG, EXIT_FAILED, ROLES, WATCHDOG, Role
from aaad.daemon.sockets import Purpose, SocketPlan, SocketTable, inherited, planned
from aaad.daemon.watchdog import Prober, sources_for
from aaad.errors import AaadError, ConfigError
from aaad.log import adopt_standard_logging, configure_log, get_logger, report_suppressed
from aaad.metrics import CounterFile

PROBE_INTERVAL_S = 1.0
_FIRST_PROBES_S = 0.1  # until the node is ready for the first time
SLOT = "supervisor-0"
RELOADED = "aaad_config_last_reload_successful"
RELOADED_AT = "aaad_config_last_reload_at_seconds"
_FIXED = (("node", "state_dir"), ("node", "run_dir"), ("node", "name"))

Command = Callable[[str, int, Path], list[str]]

_log = get_logger("supervisor")


class NodeOccupiedError(AaadError):
    """Another supervisor runs on the same folders."""


def run_supervisor(
    config_path: Path,
    *,
    roles: Mapping[str, Role] = ROLES,
    command: Command = role_command,
    health: Health | None = None,
    probe_interval_s: float = PROBE_INTERVAL_S,
) -> int:
    """Run a node until it is told to stop; return the exit code. The keywords are for tests."""
    try:
        text = read_config_text(config_path)
        config = _accepted(text)
    except ConfigError as error:
        sys.stderr.write(f"aaad: {config_path}: {error}\n")
        return EXIT_CONFIG
    configure_log(config.log.level, config.log.format, slot=SLOT, pid=os.getpid())
    adopt_standard_logging()
    try:
        with _folders(config):
            supervisor = Supervisor(
                config_path, text, config, roles=roles, command=command, health=health or Health()
            )
            return asyncio.run(supervisor.run(probe_interval_s))
    except (AaadError, OSError) as error:
        _log.error("node.not_started", error=str(error))
        return EXIT_FAILED


def _accepted(text: str) -> Config:
    config = parse_config(text, os.environ)
    require_mirror_secret(config)
    return config


@contextmanager
def _folders(config: Config) -> Iterator[None]:
    """Make the node's folders and hold them against a second supervisor."""
    held = []
    try:
        for folder, mode in ((config.node.state_dir, 0o700), (config.node.run_dir, 0o750)):
            _make_folder(folder, mode)
            held.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            try:
                fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise NodeOccupiedError(f"another aaad runs on {folder}") from None
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)


def _make_folder(folder: Path, mode: int) -> None:
    """Make a folder with exactly this mode; one that is there stays as its maker wanted it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=mode)
    except FileExistsError:
        return
    folder.chmod(mode)  # the umask may have taken something off


class Supervisor:
    """One node's parent process."""

    def __init__(
        self,
        config_path: Path,
        text: str,
        config: Config,
        *,
        roles: Mapping[str, Role],
        command: Command,
        health: Health,
    ) -> None:
        """Take the accepted configuration; nothing is opened before `run`."""
        self._config_path = config_path
        self._config = config
        self._config_memory = _in_memory(CONFIG, text.encode())
        self._plans: tuple[SocketPlan, ...] = ()
        self._roles = roles
        self._command = command
        self._health = health
        self._notifier = notifier_of(os.environ, os.getpid())
        self._sockets = SocketTable()
        self._prober = Prober(sources_for(config.radius.processes))
        self._silent_accounting: list[str] = []  # where it is open and not answered: no restart would cure that
        self._watchdog_memory = _in_memory(WATCHDOG, self._prober.key.encode())
        self._keepers: dict[str, Keeper] = {}
        self._group = asyncio.TaskGroup()
        self._stopping = asyncio.Event()
        self._reload_wanted = asyncio.Event()
        self._is_ready = False
        self._alive_s = -math.inf  # when systemd's watchdog was last fed
        self._refused: str | None = None  # why the file on disk is not the configuration in force
        self._counters = self._open_counters()

    def _open_counters(self) -> CounterFile:
        names = [RELOADED, RELOADED_AT]
        for role in self._roles:
            names += [restarts_counter(role), lost_counter(role)]
        return CounterFile(self._config.node.state_dir / "counters" / f"{SLOT}.cnt", names)

    async def run(self, probe_interval_s: float) -> int:
        """Run the node until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_wanted.set)
        self._take_sockets()
        self._tell_reload(None)
        _log.info("node.starting", node=self._config.node.name, sockets=self._sockets.names())
        async with self._group:
            for role in self._roles.values():
                self._fill(role)
            chores = [
                self._group.create_task(self._watch(probe_interval_s)),
                self._group.create_task(self._reloads()),
            ]
            await self._stopping.wait()
            for chore in chores:
                chore.cancel()
            await self._stop()
        self._prober.close()
        _log.info("node.stopped")
        report_suppressed()
        return 0

    # --- sockets and roles --------------------------------------------------------------------------------------

    def _take_sockets(self) -> None:
        """Take over what systemd kept for us, open what is missing, and let systemd keep it all."""
        plans = planned(self._config)
        for name in self._sockets.adopt(inherited(os.environ, os.getpid()), plans):
            self._notifier.forget(name)
        taken_over = self._sockets.names()
        self._sockets.open_missing(plans, self._config.radius.receive_buffer_bytes)
        self._plans = plans
        if taken_over:
            _log.info("socket.taken_over", sockets=taken_over)
        for name in self._sockets.names():
            self._notifier.store(name, self._sockets.fileno(name))

    def _numbers(self, role: Role) -> range:
        if Purpose.AUTH in role.purposes:
            return range(self._config.radius.processes)
        return range(int(Purpose.MIRROR not in role.purposes or bool(self._config.spool.mirror_listen)))

    def _fill(self, role: Role) -> None:
        """Begin to keep a process in every slot of a role that has none yet."""
        limits = self._config.supervisor
        for number in self._numbers(role):
            if f"{role.name}-{number}" in self._keepers:
                continue
            keeper = Keeper(
                role=role.name,
                number=number,
                launch=lambda role=role, number=number: self._launch(role, number),  # type: ignore[misc]
                backoff=Backoff(initial_s=limits.backoff_initial_s, max_s=limits.backoff_max_s),
                counters_path=self._config.node.state_dir / "counters" / f"{role.name}-{number}.cnt",
                counters=self._counters,
            )
            self._keepers[keeper.slot] = keeper
            self._group.create_task(keeper.run())

    def _launch(self, role: Role, number: int) -> RoleProcess:
        descriptors = [(CONFIG, self._config_memory)]
        if Purpose.AUTH in role.purposes:
            descriptors.append((WATCHDOG, self._watchdog_memory))
        names = [plan.name for plan in self._plans if plan.purpose in role.purposes and plan.index == number]
        descriptors += [(name, self._sockets.fileno(name)) for name in names]
        command = self._command(role.name, number, self._config_path)
        return RoleProcess(command, os.environ, descriptors, on_warm=partial(self._sockets.join, names))

    async def _stop(self) -> None:
        """End the roles: those that take requests first, while the others can still take what they hand over."""
        _log.info("node.stopping")
        self._notifier.stopping()
        self._notifier.status("stopping: requests in work are finished")
        limit_s = self._config.supervisor.drain_timeout_s
        first = [keeper for keeper in self._keepers.values() if self._takes_requests(keeper)]
        last = [keeper for keeper in self._keepers.values() if not self._takes_requests(keeper)]
        for keepers in (first, last):
            async with asyncio.TaskGroup() as group:
                for keeper in keepers:
                    group.create_task(keeper.retire(limit_s))

    def _takes_requests(self, keeper: Keeper) -> bool:
        return Purpose.AUTH in self._roles[keeper.role].purposes

    # --- watching -----------------------------------------------------------------------------------------------

    async def _watch(self, interval_s: float) -> None:
        """Ask our own ports, look at what the roles count, and tell systemd, once a round."""
        while True:
            self._prober.begin_round(self._targets(Purpose.AUTH), self._targets(Purpose.ACCT))
            await asyncio.sleep(interval_s if self._is_ready else min(interval_s, _FIRST_PROBES_S))
            try:
                self._finish_round(interval_s)
                report_suppressed()
            except Exception:  # noqa: BLE001  our own bug must not end the node; systemd's watchdog stands behind
                _log.exception("bug", while_="judging the roles")

    def _finish_round(self, interval_s: float) -> None:
        unanswered, silent_accounting = self._prober.finish_round()
        if self._is_ready and bool(silent_accounting) != bool(self._silent_accounting):
            tell = _log.error if silent_accounting else _log.warning
            tell("accounting.unanswered" if silent_accounting else "accounting.answered", at=silent_accounting)
        self._silent_accounting = silent_accounting
        now_s = clock.monotonic_s()
        witnesses = self._witnesses()
        verdict = self._health.judge(witnesses, asked=self._prober.asked, unanswered=len(unanswered), now_s=now_s)
        for slot in verdict.hung:
            _log.error("role.hung", slot=slot, unanswered=unanswered)
            self._keepers[slot].kill()
        if verdict.is_healthy and not self._is_ready:
            self._is_ready = True
            self._notifier.ready()
            _log.info("node.ready", is_answering=verdict.is_answering)
        self._notifier.status(self._status(verdict, mirrors_away(witnesses)))
        wanted_s = self._notifier.watchdog_interval_s
        if wanted_s is not None and verdict.is_healthy and now_s - self._alive_s >= wanted_s - interval_s / 2:
            self._alive_s = now_s
            self._notifier.alive()

    def _targets(self, purpose: Purpose) -> list[tuple[str, int]]:
        return list(dict.fromkeys((plan.address, plan.port) for plan in self._plans if plan.purpose is purpose))

    def _witnesses(self) -> list[Witness]:
        return [
            Witness(
                slot=keeper.slot,
                pid=keeper.process.pid,
                serves_radius=self._takes_requests(keeper),
                silence_limit_s=self._roles[keeper.role].silence_limit_s,
                counters=keeper.read_counters(),
            )
            for keeper in self._keepers.values()
            if keeper.process is not None and keeper.is_running
        ]

    def _status(self, verdict: Verdict, mirrors: Sequence[str]) -> str:
        """Return the line for `systemctl status`."""
        if verdict.is_answering:
            parts = ["answering"]
        elif verdict.lacks_replica:
            parts = ["no complete replica yet: requests are not answered, PostgreSQL is waited for"]
        else:
            parts = ["not answering"]
        if verdict.is_answering and self._silent_accounting:
            parts.append(f"accounting not answered at {', '.join(self._silent_accounting)}")
        waiting = [keeper.slot for keeper in self._keepers.values() if not keeper.is_running]
        if waiting:
            parts.append(f"waiting to restart: {', '.join(waiting)}")
        if mirrors:
            parts.append(f"mirror away: {', '.join(mirrors)}")
        if self._refused is not None:
            parts.append(f"configuration on disk refused: {self._refused}")
        return "; ".join(parts)

    # --- reloading ----------------------------------------------------------------------------------------------

    async def _reloads(self) -> None:
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            if self._is_ready:
                self._notifier.reloading()
            try:
                await self._reload()
            except AaadError as error:
                self._tell_reload(str(error))
            except Exception:  # noqa: BLE001  our own bug must not end the node
                _log.exception("bug", while_="reloading the configuration")
            if self._is_ready:
                self._notifier.ready()

    async def _reload(self) -> None:
        """Read the file again and put it in force; an error leaves all as it was."""
        text = read_config_text(self._config_path)
        config = _accepted(text)
        _refuse_fixed(self._config, config)
        plans = planned(config)
        opened = self._sockets.open_missing(plans, config.radius.receive_buffer_bytes)
        await self._adopt_config(text, config, plans, opened)
        self._tell_reload(None)

    async def _adopt_config(
        self, text: str, config: Config, plans: tuple[SocketPlan, ...], opened: list[str]
    ) -> None:
        """Put a good configuration in force: the roles that read what changed start anew, sockets stay."""
        changed = {name for name in Config.model_fields if getattr(config, name) != getattr(self._config, name)}
        old_memory, self._config_memory = self._config_memory, _in_memory(CONFIG, text.encode())
        os.close(old_memory)
        self._config, self._plans = config, plans
        self._prober.open_sources(sources_for(config.radius.processes))  # for the roles that start from now on
        os.close(self._watchdog_memory)
        self._watchdog_memory = _in_memory(WATCHDOG, self._prober.key.encode())
        configure_log(config.log.level, config.log.format, slot=SLOT, pid=os.getpid())
        limits = config.supervisor
        for keeper in self._keepers.values():
            keeper.backoff.initial_s, keeper.backoff.max_s = limits.backoff_initial_s, limits.backoff_max_s
        affected = [role for role in self._roles.values() if role.sections & changed]
        _log.info("config.reloading", changed=sorted(changed), roles=[role.name for role in affected])
        for role in affected:
            async with asyncio.TaskGroup() as group:
                self._renew(role, group)
        self._close_unwanted()
        for name in opened:
            self._notifier.store(name, self._sockets.fileno(name))

    def _renew(self, role: Role, group: asyncio.TaskGroup) -> None:
        limit_s = self._config.supervisor.drain_timeout_s
        wanted = {f"{role.name}-{number}" for number in self._numbers(role)}
        for keeper in [keeper for keeper in self._keepers.values() if keeper.role == role.name]:
            group.create_task(keeper.replace(limit_s) if keeper.slot in wanted else self._retire(keeper, limit_s))
        self._fill(role)

    async def _retire(self, keeper: Keeper, limit_s: float) -> None:
        await keeper.retire(limit_s)
        del self._keepers[keeper.slot]
        self._close_unwanted()  # at once: nobody reads what still comes to its share of the group

    def _close_unwanted(self) -> None:
        for name in self._sockets.close_others(self._plans):
            self._notifier.forget(name)

    def _tell_reload(self, refused: str | None) -> None:
        self._refused = refused
        self._counters.set(RELOADED, int(refused is None))
        if refused is None:
            self._counters.set_seconds(RELOADED_AT, clock.wall_s())
            _log.info("config.accepted", path=str(self._config_path))
        else:
            _log.error("config.refused", path=str(self._config_path), error=refused, kept="the one before")


def _in_memory(name: str, data: bytes) -> int:
    """Return a descriptor of memory with this content: what roles inherit is in no file and no argument."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, data)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return descriptor


def _refuse_fixed(old: Config, new: Config) -> None:
    """Refuse what cannot change under a running node."""
    for section, key in _FIXED:
        before, after = getattr(getattr(old, section), key), getattr(getattr(new, section), key)
        if before != after:
            raise ConfigError(f"{section}.{key}", str(after), f"{before} until the service is restarted")
