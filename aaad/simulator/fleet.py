"""Makes concentrators and subscribers by the number, out of patterns such as `user%06d`.

Pure. A pattern holds at most one place for the number, `%d` or with leading zeros `%06d`; all else stands as it is.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from aaad.simulator.methods import METHODS, MIX, Method, Proof, Service
from aaad.simulator.mschap import Secret
from aaad.simulator.request import KINDS, Nas
from aaad.simulator.subscriber import MAC_FORMATS, Subscriber, format_mac

_PLACE = re.compile(r"%(?:0(\d{1,2}))?d")
_SPACE = " "
FIRST_MAC = "02:00:00:00:00:00"  # a locally administered address


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribers:
    """How to make subscribers."""

    count: int
    names: str = "user%06d"
    passwords: str = "pass%06d"
    methods: Sequence[str] = ("chap",)
    first: int = 0  # the number of the first one
    first_mac: str = FIRST_MAC
    mac_format: str = MAC_FORMATS[0]
    mac_password: str | None = ""  # what a Hotspot says for a MAC login; None: the MAC once more
    ports: str = "vlan100"
    circuits: str = ""

    def make(self) -> list[Subscriber]:
        """Return them; with several methods each next one dials with the next method."""
        methods = [METHODS[name] for name in self.methods]
        first_mac = int.from_bytes(mac_octets(self.first_mac), "big")
        return [
            self._one(number, methods[number % len(methods)], (first_mac + number & (1 << 48) - 1).to_bytes(6, "big"))
            for number in range(self.first, self.first + self.count)
        ]

    def _one(self, number: int, method: Method, mac: bytes) -> Subscriber:
        name, password = fill(self.names, number), fill(self.passwords, number)
        if method.proof is Proof.MAC:
            name = format_mac(mac, self.mac_format)
            password = name if self.mac_password is None else self.mac_password
            if method.service is Service.DHCP and self.mac_password == "":
                password = _SPACE  # RouterOS sends one space where no radius-password is set
        port, circuit = fill(self.ports, number), fill(self.circuits, number)
        return Subscriber(number, name, Secret(password), method, mac, port, circuit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nases:
    """How to make concentrators."""

    count: int = 1
    kind: str = "mikrotik"
    names: str = "simulated-%02d"
    secrets: str = "testing123"
    first_source: str | None = None  # of the first one; each next one has the next address
    must_encrypt: bool = False
    changes: Mapping[str, object] = field(default_factory=dict)  # fields of Nas that are other than usual

    def make(self) -> list[Nas]:
        """Return them."""
        first = None if self.first_source is None else ipaddress.ip_address(self.first_source)
        made = []
        for number in range(self.count):
            source = None if first is None else str(first + number)
            nas = Nas(
                fill(self.names, number),
                KINDS[self.kind],
                fill(self.secrets, number).encode(),
                source,
                source or "127.0.0.1",
                must_encrypt=self.must_encrypt,
            )
            made.append(replace(nas, **self.changes))  # type: ignore[arg-type]
        return made


def fill(pattern: str, number: int) -> str:
    """Return a pattern with the number in its place."""
    return _PLACE.sub(lambda place: str(number).zfill(int(place[1] or 1)), pattern, count=1)


def methods_of(name: str) -> tuple[str, ...]:
    """Return the methods that a name stands for: itself, or all of `mix`."""
    return MIX if name == "mix" else (name,)


def mac_octets(text: str) -> bytes:
    """Return the six octets of a device's address, however it is written; ValueError if it is none."""
    octets = bytes.fromhex(re.sub("[-:. ]", "", text))
    if len(octets) != 6:
        raise ValueError(f"{text!r} is no MAC address")
    return octets
