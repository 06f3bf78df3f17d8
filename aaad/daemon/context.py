"""What a service of a role is given."""

import asyncio
from dataclasses import dataclass, field

from aaad.config import Config
from aaad.daemon.sockets import Purpose, ServiceSocket
from aaad.daemon.watchdog import WatchdogKey
from aaad.log import Log
from aaad.metrics import CounterFile


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleContext:
    """One role's process: its configuration, its sockets, its counters, and the wish that it stop."""

    role: str
    number: int
    config: Config
    counters: CounterFile
    log: Log
    sockets: tuple[ServiceSocket, ...]
    watchdog: WatchdogKey | None = None
    parent: int | None = None  # the read end of the supervisor's pipe
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def slot(self) -> str:
        """The name of this process's slot: `radius-0`."""
        return f"{self.role}-{self.number}"

    def sockets_for(self, *purposes: Purpose) -> list[ServiceSocket]:
        """Return the sockets of these purposes."""
        return [found for found in self.sockets if found.purpose in purposes]
