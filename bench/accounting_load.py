"""What the bench sends to accounting ports: sessions side by side, each Start, Interim-Update and Stop (RFC 2866)."""

import dataclasses
import itertools
import time
from dataclasses import dataclass
from pathlib import Path

STAGES = "SIT"
LAG = 1000  # so many sessions begin between two reports of one
INTERVAL_S = 300  # between two reports of a session, as they tell it
CLOSED_WINDOW, OPEN_WINDOW = 128, 8192  # the latter is an upper bound only: there the rate rules
UNBOUNDED = 1_000_000_000
_tags = itertools.count(int(time.time()) * 8 & 0xFFFFFFFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountingLoad:
    """Records to one accounting port. `rate_per_s` None: closed loop; else so many records a second.

    With `auth_port` each session begins with its login there and says the Class of its Accept, else that of
    `class_file`, else none. `sessions` bounds their number: a Class of the file comes once.
    """

    port: int
    logins: int
    time_s: float
    rate_per_s: float | None = None
    sessions: int = UNBOUNDED
    tag: int = 0
    class_file: Path | None = None
    auth_port: int | None = None
    tick_s: float = 0.0

    def arguments(self) -> list[str]:
        """Return radload's arguments."""
        words = ["--mode", "acct", "--stages", STAGES]
        if self.auth_port is not None:
            words = ["--mode", "mixed", "--stages", "A" + STAGES, "--class", "--auth", f"127.0.0.1:{self.auth_port}"]
        words += ["--acct", f"127.0.0.1:{self.port}", *self._who()]
        words += ["--time", str(self.time_s), "--lag", str(LAG), "--interval", str(INTERVAL_S)]
        if self.class_file is not None:
            words += ["--class-file", str(self.class_file)]
        return [*words, *pace(self.rate_per_s, len(STAGES), self.tick_s)]

    def with_classes(self, path: Path) -> "AccountingLoad":
        """Return the same with the Class of logins asked for before; they are kept in that file."""
        return dataclasses.replace(self, class_file=path)

    def logins_arguments(self, auth_port: int) -> list[str]:
        """Return radload's arguments for the logins that these sessions begin with: they bring the Class values."""
        words = ["--mode", "auth-pap", "--auth", f"127.0.0.1:{auth_port}", *self._who(), "--time", "600"]
        return [*words, "--collect-class", str(self.class_file)]

    def _who(self) -> list[str]:
        return ["--users", str(self.logins), "--count", str(self.sessions), "--tag", str(self.tag)]


def pace(rate_per_s: float | None, stages: int, tick_s: float = 0.0) -> list[str]:
    """Return radload's arguments for so many packets a second, None: as many as are answered.

    What comes due within `tick_s` is sent together: a generator that wakes for each packet takes the servers' time.
    """
    if rate_per_s is None:
        return ["--window", str(CLOSED_WINDOW)]
    return ["--window", str(OPEN_WINDOW), "--rate", f"{rate_per_s / stages:.3f}", "--tick", str(tick_s)]


def next_tag() -> int:
    """Return what tells the sessions of one run from those of any other."""
    return next(_tags) & 0xFFFFFFFF
