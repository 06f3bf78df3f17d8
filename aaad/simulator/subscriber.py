"""Subscribers, and each time that one dials.

Pure. What a subscriber does after a refusal is what routers at home do: dial again, less and less often.
"""

from dataclasses import dataclass, field

from aaad.simulator.methods import Answer, Flaw, Method
from aaad.simulator.mschap import Secret
from aaad.simulator.packet import ACCESS_ACCEPT, Attribute, Reply

# Of Hotspot's radius-mac-format, and dot1x's lower-case ones: how many digits stand together, and what between.
_UPPER = ((2, ":"), (2, "-"), (2, " "), (12, ""), (4, ":"), (6, ":"), (6, "-"))
_LOWER = ((2, ":"), (2, "-"), (12, ""))
MAC_FORMATS = tuple(
    separator.join([digit * size] * (12 // size))
    for digit, forms in (("X", _UPPER), ("x", _LOWER))
    for size, separator in forms
)
_BACK_OFF_MAX = 16  # doublings; more would only make a large number larger


def format_mac(mac: bytes, pattern: str) -> str:
    """Return a device's address in one of MAC_FORMATS: each X a digit, in capitals where it is one."""
    digits = iter(mac.hex())
    return "".join(
        next(digits).upper() if place == "X" else next(digits) if place == "x" else place for place in pattern
    )


def redial_after_s(failures: int, first_s: float, longest_s: float) -> float:
    """Return how long a subscriber waits after so many failures in a row: twice as long each time, to a limit."""
    return float(min(longest_s, first_s * 2 ** min(failures - 1, _BACK_OFF_MAX)))


@dataclass(frozen=True, slots=True, eq=False)
class Subscriber:
    """Who dials, and how. For a MAC login the name is the device's address as the concentrator writes it."""

    number: int
    name: str
    secret: Secret = field(repr=False)
    method: Method
    mac: bytes
    port_id: str = "vlan100"
    circuit_id: str = ""


@dataclass(slots=True, eq=False)
class Dial:
    """One time that a subscriber dials: what he answered to the challenge, and what came of it."""

    subscriber: Subscriber
    session_id: bytes
    nas_port: int
    answer: Answer = field(repr=False)
    began_at_s: float  # monotonic, as all instants here
    ended_at_s: float | None = None  # None: in work; given up if then there is no reply
    tries: int = 0  # datagrams sent, over all servers
    bad_replies: int = 0
    reply: Reply | None = None
    server: int = 0  # the one asked last, counted from 0
    flaw: Flaw | None = None

    @property
    def user(self) -> str:
        """The subscriber's name."""
        return self.subscriber.name

    @property
    def code(self) -> int | None:
        """The reply's code, None if none came."""
        return None if self.reply is None else self.reply.code

    @property
    def is_up(self) -> bool:
        """Whether the subscriber is through: accepted, and the server has proven itself where it must."""
        return self.code == ACCESS_ACCEPT and self.flaw is None

    @property
    def answered_at_s(self) -> float | None:
        """When the reply came, None if none did."""
        return None if self.reply is None else self.ended_at_s

    @property
    def latency_s(self) -> float | None:
        """From the first datagram to the reply that counted, None if none came."""
        return None if self.reply is None or self.ended_at_s is None else self.ended_at_s - self.began_at_s

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """The reply's attributes, but for Message-Authenticator."""
        return () if self.reply is None else self.reply.attributes
