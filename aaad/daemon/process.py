"""One role's process: started with its descriptors in place, watched through a pidfd.

posix_spawn, never fork: the supervisor runs an event loop. The child gets nothing but what is named: descriptors
from 3 on in the order given (LISTEN_FDS, LISTEN_FDNAMES), /dev/null as standard input, our standard error. It notices
our end, however it comes, by a pipe named `parent` whose other end only we hold; into a pipe named `warm` it writes
when it has loaded its code and is about to take its slot.
"""

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import aaad
from aaad.daemon.sockets import FIRST_INHERITED

PARENT = "parent"
WARM = "warm"
_SCRATCH = 512  # descriptors are copied above this first, so that placing one cannot overwrite another
_NOT_PASSED_ON = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def role_command(role: str, number: int, config_path: Path) -> list[str]:
    """Return the command line of a role: this program, by this interpreter, never a module of the current folder."""
    program = [sys.executable, "-P", "-m", "aaad", "role", role]
    return [*program, "--slot", str(number), "--config", str(config_path)]


class RoleProcess:
    """A running role. Must be made, and lives, within the event loop."""

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        descriptors: Sequence[tuple[str, int]],
        on_warm: Callable[[], None] = lambda: None,
    ) -> None:
        """Start the command; OSError if that cannot be done. `on_warm` is called when it has loaded its code."""
        read_end, self._parent_pipe = os.pipe2(os.O_CLOEXEC)
        self._warm_pipe, write_end = os.pipe2(os.O_CLOEXEC)
        try:
            self.pid = _spawn(command, environ, [(PARENT, read_end), (WARM, write_end), *descriptors])
        except OSError:
            os.close(self._parent_pipe)
            os.close(self._warm_pipe)
            raise
        finally:
            os.close(read_end)
            os.close(write_end)
        self._pidfd = os.pidfd_open(self.pid)
        self._warm, self._ended = asyncio.Event(), asyncio.Event()
        self._wait_status = 0
        self._on_warm = on_warm
        loop = asyncio.get_running_loop()
        loop.add_reader(self._pidfd, self._reap)
        loop.add_reader(self._warm_pipe, self._note_warm)

    def _note_warm(self) -> None:
        """Take the sign, or the end of the pipe: a process that died without one is waited for no longer."""
        asyncio.get_running_loop().remove_reader(self._warm_pipe)
        is_alive = os.read(self._warm_pipe, 1) != b""
        os.close(self._warm_pipe)
        self._warm.set()
        if is_alive:
            self._on_warm()

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        _, self._wait_status = os.waitpid(self.pid, 0)
        os.close(self._pidfd)
        os.close(self._parent_pipe)
        self._ended.set()

    async def wait_warm(self) -> None:
        """Wait until it has loaded its code, or is dead."""
        await self._warm.wait()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._ended.is_set()

    async def wait_ended(self) -> int:
        """Wait for its end; return the exit code, or the negative number of the signal that ended it."""
        await self._ended.wait()
        return os.waitstatus_to_exitcode(self._wait_status)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended: the pidfd cannot hit a stranger with the same number."""
        if self.is_running:
            signal.pidfd_send_signal(self._pidfd, number)


def _spawn(command: Sequence[str], environ: Mapping[str, str], descriptors: Sequence[tuple[str, int]]) -> int:
    own = {key: value for key, value in environ.items() if key not in _NOT_PASSED_ON}
    # The same code as ours, from wherever it was started.
    own["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(Path(aaad.__file__).parents[1]), environ.get("PYTHONPATH")])
    )
    own["LISTEN_FDS"] = str(len(descriptors))
    own["LISTEN_FDNAMES"] = ":".join(name for name, _ in descriptors)
    scratch: list[int] = []
    try:
        scratch += [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _SCRATCH) for _, descriptor in descriptors]
        places: list[tuple[int, int, int]] = [
            (os.POSIX_SPAWN_DUP2, copy, place) for place, copy in enumerate(scratch, FIRST_INHERITED)
        ]
        quiet = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        # A process group of its own: Ctrl-C at a terminal reaches the supervisor, which ends the roles in order.
        return os.posix_spawn(
            command[0],
            list(command),
            own,
            file_actions=[quiet, *places],
            setpgroup=0,
            setsigmask=[],
            setsigdef=_defaults(),
        )
    finally:
        for copy in scratch:
            os.close(copy)


def _defaults() -> list[signal.Signals]:
    return [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
