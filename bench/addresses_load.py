"""What the bench asks for addresses: logins, each of another subscriber, alone or with the Start that follows."""

from dataclasses import dataclass
from pathlib import Path

from accounting_load import CLOSED_WINDOW, OPEN_WINDOW

STORM_WINDOW = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginLoad:
    """Logins of `count` subscribers, each once, until `time_s` is over; their addresses are kept in `addresses`.

    `rate_per_s` None: closed loop; else so many a second. With `acct_port` each sends its Start there.
    """

    auth_port: int
    acct_port: int | None = None
    count: int
    rate_per_s: float | None = None
    time_s: float
    tag: int
    addresses: Path

    def arguments(self) -> list[str]:
        """Return radload's arguments."""
        words = ["--mode", "auth-pap"]
        if self.acct_port is not None:
            words = ["--mode", "mixed", "--stages", "AS", "--class", "--acct", f"127.0.0.1:{self.acct_port}"]
        words += ["--auth", f"127.0.0.1:{self.auth_port}", *self._who(), "--collect-ip", str(self.addresses)]
        words += ["--time", str(self.time_s)]
        words += ["--collect-class", str(self._classes())]
        if self.rate_per_s is not None:
            return [*words, "--window", str(OPEN_WINDOW), "--rate", f"{self.rate_per_s:.3f}"]
        return [*words, "--window", str(CLOSED_WINDOW if self.acct_port is None else STORM_WINDOW)]

    def stops(self) -> list[str]:
        """Return radload's arguments for the ends of the sessions that began."""
        words = ["--mode", "acct", "--stages", "T", "--acct", f"127.0.0.1:{self.acct_port}", *self._who()]
        return [*words, "--time", "600", "--class-file", str(self._classes())]

    def given(self) -> set[str]:
        """Return who was told which address, a line each: "user000007 10.0.0.7"."""
        return set(self.addresses.read_text().splitlines())

    def _who(self) -> list[str]:
        return ["--users", str(self.count), "--count", str(self.count), "--tag", str(self.tag)]

    def _classes(self) -> Path:
        return self.addresses.with_suffix(".classes")
