"""What goes wrong with a node, in turn or at random: roles, daemon, PostgreSQL killed; PostgreSQL frozen or away."""

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator

from nodes import Node

ROLES = ("radius-0", "radius-0", "sync-0", "sync-0", "control-0")  # the first two twice as often
KILLED_S = 2.0  # at most, until a PostgreSQL that was killed is started again


class Blows:
    """Strikes a node; counts what was killed with -9, and what else was done."""

    def __init__(self, node: Node, seed: int, longest_s: float) -> None:
        """PostgreSQL is frozen or stopped for so long at most each time."""
        self._node = node
        self._dice = random.Random(seed)
        self._longest_s = longest_s
        self.killed: Counter[str] = Counter()
        self.others: Counter[str] = Counter()

    @property
    def kills(self) -> int:
        """How many times something was killed."""
        return self.killed.total()

    def at_random(self, kills: int) -> None:
        """Strike until so much was killed."""
        blows: list[tuple[int, Callable[[], None]]] = [
            (6, self.kill_role),
            (2, self.kill_daemon),
            (3, self.kill_postgres),
            (2, self.kill_both),
            (1, self.freeze_postgres),
            (1, self.stop_postgres),
        ]
        while self.kills < kills:
            (blow,) = self._dice.choices([blow for _, blow in blows], [weight for weight, _ in blows])
            blow()
            time.sleep(self._dice.uniform(0.05, 0.8))

    def kill_role(self, slot: str | None = None) -> None:
        """Kill one role; the supervisor starts it anew."""
        slot = slot or self._dice.choice(ROLES)
        if (pid := self._node.roles().get(slot)) is not None:
            os.kill(pid, signal.SIGKILL)
            self.killed[slot] += 1

    def kill_daemon(self) -> None:
        """Kill the supervisor, which ends its roles, and start another."""
        self._node.kill()
        self.killed["daemon"] += 1
        self._node.start(wait=False)

    def kill_postgres(self) -> None:
        """Kill PostgreSQL, and start it after a while."""
        with self._killed_postgres():
            time.sleep(self._dice.uniform(0, min(self._longest_s, KILLED_S)))

    def kill_both(self) -> None:
        """Kill PostgreSQL and the daemon, which begins again while there is no PostgreSQL."""
        with self._killed_postgres():
            self.kill_daemon()
            time.sleep(self._dice.uniform(0, min(self._longest_s, KILLED_S)))

    @contextlib.contextmanager
    def _killed_postgres(self) -> Iterator[None]:
        pids = self._node.postgres_pids()
        if self._dice.random() < 0.5:
            del pids[1:]  # the postmaster alone: its children notice
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.killed["postgresql"] += 1
        yield
        self._node.postgres.start()

    def freeze_postgres(self, longest_s: float | None = None) -> None:
        """Let PostgreSQL neither answer nor end for a while."""
        pids = self._node.postgres_pids()
        self.others["frozen"] += 1
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            self._amid(longest_s or self._longest_s)
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def stop_postgres(self, longest_s: float | None = None) -> None:
        """Stop PostgreSQL in order, and start it after a while."""
        self._node.postgres.stop()
        self.others["stopped"] += 1
        try:
            self._amid(longest_s or self._longest_s)
        finally:
            self._node.postgres.start()

    def _amid(self, longest_s: float) -> None:
        """While PostgreSQL is away, roles die, too."""
        time.sleep(self._dice.uniform(longest_s / 2, longest_s))
        if self._dice.random() < 0.5:
            self.kill_role()
            time.sleep(self._dice.uniform(0, longest_s / 2))
