"""The sockets of a node: planned from the configuration, opened once, adopted from a predecessor, kept.

A socket's name says what it is for, its port, address and place in its group: `auth-1812@192.0.2.1#0`, in IPv6
`auth-1812@2001-db8--1#0` (systemd allows no colon in the names of descriptors). Whoever inherits sockets finds them
by LISTEN_FDS and LISTEN_FDNAMES, the way of sd_listen_fds(3).

Never reads a datagram. Rule R3.7: with several radius processes each has one socket of a fixed SO_REUSEPORT group.
"""

import errno
import os
import socket
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from aaad.config import Config
from aaad.config_values import Address, endpoint
from aaad.errors import AaadError
from aaad.log import get_logger

FIRST_INHERITED = 3  # sd_listen_fds(3)
_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_BACKLOG = 128
_UNIX_MODE = 0o660  # whoever may enter run_dir and is of our group may ask

_log = get_logger("sockets")


class SocketError(AaadError):
    """A socket of the configuration cannot be opened here."""


class Purpose(StrEnum):
    """What a socket is for."""

    AUTH = "auth"
    ACCT = "acct"
    METRICS = "metrics"
    CONTROL = "control"
    SYNC = "sync"
    MIRROR = "mirror"


@dataclass(frozen=True, slots=True)
class SocketPlan:
    """One socket that the configuration wants. `address` is an IP address or, with port 0, a path."""

    purpose: Purpose
    address: str
    port: int = 0
    index: int = 0
    is_shared: bool = False

    @property
    def name(self) -> str:
        """The descriptor's name, allowed by systemd."""
        if self.is_unix:
            return self.purpose.value
        host, percent, scope = self.address.partition("%")
        return f"{self.purpose.value}-{self.port}@{host.replace(':', '-')}{percent}{scope}#{self.index}"

    @property
    def is_unix(self) -> bool:
        """Whether this is a unix socket."""
        return self.port == 0

    @property
    def kind(self) -> socket.SocketKind:
        """Datagram or stream."""
        return socket.SOCK_DGRAM if self.purpose in (Purpose.AUTH, Purpose.ACCT) else socket.SOCK_STREAM


@dataclass(frozen=True, slots=True)
class ServiceSocket:
    """A socket in the hands of a role."""

    purpose: Purpose
    address: str
    index: int
    socket: socket.socket


def planned(config: Config) -> tuple[SocketPlan, ...]:
    """Return every socket that this configuration wants."""
    radius = config.radius
    udp = [
        SocketPlan(purpose, str(address), port, index, is_shared=radius.processes > 1)
        for address in radius.addresses
        if _family_exists(address)
        for purpose, port in ((Purpose.AUTH, radius.auth_port), (Purpose.ACCT, radius.acct_port))
        for index in range(radius.processes)
    ]
    mirror = endpoint(config.spool.mirror_listen)
    return (
        *udp,
        *([SocketPlan(Purpose.MIRROR, *mirror)] if mirror else []),
        SocketPlan(Purpose.METRICS, str(config.metrics.address), config.metrics.port),
        SocketPlan(Purpose.CONTROL, str(config.node.run_dir / "control.sock")),
        SocketPlan(Purpose.SYNC, str(config.node.run_dir / "sync.sock")),
    )


def _family_exists(address: Address) -> bool:
    """Whether a wildcard can be served: "::" stands in the defaults, and not every machine has IPv6."""
    if not address.is_unspecified or address.version == 4:
        return True
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        _log.warning("socket.left_out", address=str(address), cause="this machine has no IPv6")
        return False
    return True


def inherited(environ: Mapping[str, str], pid: int) -> list[tuple[str, int]]:
    """Return the descriptors passed to this process, with their names; they are closed on exec from now on.

    LISTEN_PID is set by systemd and must be ours then; the supervisor of this program leaves it out, since it
    cannot know the number before the process exists.
    """
    if environ.get("LISTEN_PID", str(pid)) != str(pid) or not environ.get("LISTEN_FDS", "").isdecimal():
        return []
    count = int(environ["LISTEN_FDS"])
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    names += ["unknown"] * (count - len(names))
    found = list(zip(names, range(FIRST_INHERITED, FIRST_INHERITED + count), strict=False))
    for _, descriptor in found:
        os.set_inheritable(descriptor, False)
    return found


def service_socket(name: str, descriptor: int) -> ServiceSocket | None:
    """Return the socket behind an inherited descriptor of ours, None if the name is not one of a socket."""
    purpose = name.partition("-")[0]
    if purpose not in {member.value for member in Purpose}:
        return None
    opened = socket.socket(fileno=descriptor)
    opened.setblocking(False)
    # Not by getsockname: a new member of a group is bound only when its process is ready.
    host, percent, scope = name.partition("@")[2].partition("#")[0].partition("%")
    address = host.replace("-", ":") + percent + scope if host else str(opened.getsockname())
    return ServiceSocket(Purpose(purpose), address, int(name.partition("#")[2] or 0), opened)


class SocketTable:
    """The supervisor's sockets by name."""

    def __init__(self) -> None:
        """Start with none."""
        self._open: dict[str, tuple[SocketPlan, socket.socket]] = {}
        self._held_back: set[str] = set()  # new members of groups that serve already: not bound yet

    def adopt(self, descriptors: Iterable[tuple[str, int]], plans: Iterable[SocketPlan]) -> list[str]:
        """Take over inherited sockets that fit a plan; close the others and return their names."""
        wanted = {plan.name: plan for plan in plans}
        refused = []
        for name, descriptor in descriptors:
            plan = wanted.get(name)
            try:
                found = socket.socket(fileno=descriptor)
            except OSError:  # not a socket: not ours, and nobody's
                os.close(descriptor)
                refused.append(name)
                continue
            if plan is None or name in self._open or not fits(found, plan):
                _log.warning("socket.not_taken_over", socket=name, cause="the configuration wants no such socket")
                found.close()
                refused.append(name)
            else:
                found.setblocking(False)
                self._open[name] = (plan, found)
        return refused

    def open_missing(self, plans: Iterable[SocketPlan], receive_buffer_bytes: int) -> list[str]:
        """Open what is wanted and not open; return the new names. On failure nothing has changed.

        A new member of a group that serves already is bound by `join`: from then on it gets its share of what
        arrives, so somebody must be there to read it.
        """
        fresh: dict[str, tuple[SocketPlan, socket.socket]] = {}
        try:
            for plan in plans:
                if plan.name not in self._open:
                    fresh[plan.name] = (plan, open_socket(plan, is_bound=not self._serves(plan)))
                elif plan.kind is socket.SOCK_DGRAM:
                    # Before its first fellow is bound: so a group grows while this one goes on.
                    self._open[plan.name][1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(plan.is_shared))
        except SocketError:
            for _, opened in fresh.values():
                opened.close()
            raise
        self._held_back |= {name for name, (plan, _) in fresh.items() if self._serves(plan)}
        self._open |= fresh
        for plan in plans:
            self._size_buffer(plan, receive_buffer_bytes)
        return list(fresh)

    def _serves(self, plan: SocketPlan) -> bool:
        """Whether another member of this socket's group is open."""
        place = (plan.purpose, plan.address, plan.port)
        return plan.is_shared and any(
            (other.purpose, other.address, other.port) == place for other, _ in self._open.values()
        )

    def join(self, names: Iterable[str]) -> None:
        """Let those of these sockets that were held back join their groups."""
        for name in self._held_back.intersection(names):
            self._held_back.discard(name)
            plan, opened = self._open[name]
            try:
                opened.bind(_endpoint(plan)[1])
            except OSError as error:
                _log.error("socket.not_joined", socket=name, error=_cause(error))
            else:
                _log.info("socket.joined", socket=name)

    def _size_buffer(self, plan: SocketPlan, wanted_bytes: int) -> None:
        if plan.kind is not socket.SOCK_DGRAM:
            return
        got = size_receive_buffer(self._open[plan.name][1], wanted_bytes)
        tell = _log.info if got >= wanted_bytes else _log.warning
        tell("socket.buffer_sized", socket=plan.name, wanted_bytes=wanted_bytes, got_bytes=got)

    def close_others(self, plans: Iterable[SocketPlan]) -> list[str]:
        """Close what is not wanted any more; return the names."""
        wanted = {plan.name for plan in plans}
        closed = [name for name in self._open if name not in wanted]
        for name in closed:
            self._open.pop(name)[1].close()
            self._held_back.discard(name)
            _log.info("socket.closed", socket=name)
        return closed

    def names(self) -> list[str]:
        """Return the names of all open sockets."""
        return list(self._open)

    def fileno(self, name: str) -> int:
        """Return the descriptor of one socket."""
        return self._open[name][1].fileno()

    def close(self) -> None:
        """Close all; unix sockets stay in the file system for a successor to replace."""
        self.close_others(())


def fits(found: socket.socket, plan: SocketPlan) -> bool:
    """Whether an inherited socket is what the plan wants."""
    if found.type != plan.kind:
        return False
    if plan.is_unix:
        local_path = found.getsockname() if found.family == socket.AF_UNIX else None
        # The file may be gone although the socket lives: systemd clears /run/aaad when the service is stopped.
        return local_path == plan.address and _is_socket(Path(plan.address))
    family, address = _endpoint(plan)
    return found.family == family and found.getsockname()[:2] == address[:2]


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


def _endpoint(plan: SocketPlan) -> tuple[socket.AddressFamily, tuple[str, int]]:
    flags = socket.AI_NUMERICHOST | socket.AI_PASSIVE
    family, _, _, _, address = socket.getaddrinfo(plan.address, plan.port, type=plan.kind, flags=flags)[0]
    return family, address  # type: ignore[return-value]  # IPv6 has two numbers more, for link-local addresses


def open_socket(plan: SocketPlan, *, is_bound: bool = True) -> socket.socket:
    """Open one socket; SocketError says which and why."""
    try:
        return _open_unix(plan) if plan.is_unix else _open_internet(plan, is_bound=is_bound)
    except OSError as error:
        where = plan.address if plan.is_unix else f"{plan.address} port {plan.port}"
        raise SocketError(f"{plan.purpose.value}: cannot open {where}: {_cause(error)}") from None


def _cause(error: OSError) -> str:
    hints = {
        errno.EADDRINUSE: "another program has it",
        errno.EADDRNOTAVAIL: "this machine does not have the address",
        errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE; files need write permission",
    }
    hint = hints.get(error.errno or 0)
    return f"{error.strerror} ({hint})" if hint else str(error.strerror or error)


def _open_internet(plan: SocketPlan, *, is_bound: bool) -> socket.socket:
    family, address = _endpoint(plan)
    opened = socket.socket(family, plan.kind | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if plan.kind is socket.SOCK_STREAM:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(plan.is_shared))
            opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        if is_bound:
            opened.bind(address)
        if plan.kind is socket.SOCK_STREAM:
            opened.listen(_BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


def _open_unix(plan: SocketPlan) -> socket.socket:
    path = Path(plan.address)
    if _is_socket(path):
        path.unlink()  # of a predecessor: two nodes cannot share the folder, the supervisor holds a lock on it
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        # Before bind, so that it never has a wider mode; and after it, because bind takes off what the umask says.
        with suppress(OSError):
            os.fchmod(opened.fileno(), _UNIX_MODE)
        opened.bind(plan.address)
        path.chmod(_UNIX_MODE)
        opened.listen(_BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


def size_receive_buffer(opened: socket.socket, wanted_bytes: int) -> int:
    """Ask for a receive buffer, with force where allowed; return what was got in the same measure."""
    for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
        with suppress(OSError):  # force needs CAP_NET_ADMIN
            opened.setsockopt(socket.SOL_SOCKET, option, wanted_bytes)
        # The kernel doubles what is asked for, for its own bookkeeping, and tells the double (socket(7)).
        got = opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
        if got >= wanted_bytes:
            break
    return got
