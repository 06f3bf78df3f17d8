"""What the supervisor tells systemd, and the descriptors that systemd keeps for it: sd_notify(3).

Never waits: a message that cannot be sent at once is dropped, since systemd reads them within its own time. Without
systemd (no NOTIFY_SOCKET) every call does nothing.
"""

import array
import socket
from collections.abc import Mapping, Sequence

from aaad import clock

_WATCHDOG_SHARE = 1 / 3  # systemd wants a sign at least every WATCHDOG_USEC; sd_watchdog_enabled(3) advises half


class Notifier:
    """Speaks to systemd, or to nobody."""

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        """Take the address of systemd's socket; `@` in front means the abstract namespace."""
        self.watchdog_interval_s = None if watchdog_s is None else watchdog_s * _WATCHDOG_SHARE
        self._address = None if address is None else f"\0{address[1:]}" if address.startswith("@") else address
        self._status = ""
        self._socket: socket.socket | None = None
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    @property
    def is_heard(self) -> bool:
        """Whether there is anybody to speak to."""
        return self._socket is not None

    def ready(self) -> None:
        """Say that the node serves."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows; said again only when it changed."""
        line = text.replace("\n", " ")
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def reloading(self) -> None:
        """Say that a reload begins; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={clock.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the node is going down as asked."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Feed systemd's watchdog."""
        self._send("WATCHDOG=1")

    def store(self, name: str, descriptor: int) -> None:
        """Give systemd a copy of a descriptor to keep for the successor. The same one again is no second copy."""
        self._send("FDSTORE=1", f"FDNAME={name}", "FDPOLL=0", descriptors=(descriptor,))

    def forget(self, name: str) -> None:
        """Let systemd close what it keeps under this name."""
        self._send("FDSTOREREMOVE=1", f"FDNAME={name}")

    def _send(self, *lines: str, descriptors: Sequence[int] = ()) -> None:
        if self._socket is None:
            return
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            self._socket.sendmsg(["\n".join(lines).encode()], rights, 0, self._address)
        except OSError:  # systemd's queue is full, or it is gone; the next sign comes within seconds
            return


def notifier_of(environ: Mapping[str, str], pid: int) -> Notifier:
    """Return the way to whoever started this process."""
    period = environ.get("WATCHDOG_USEC", "")
    is_ours = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
    watchdog_s = int(period) / 1e6 if period.isdecimal() and int(period) and is_ours else None
    return Notifier(environ.get("NOTIFY_SOCKET") or None, watchdog_s)
