"""One Access-Request on its way: what the steps of the path hand to each other.

Pure values. NamedTuples, because the path makes one of each per request. What only some decisions read of a request
(`Asked` of the policy) is read from its octets when it is asked for, and costs nothing before.
"""

from collections.abc import Mapping
from typing import NamedTuple

from aaad.policy.codes import Credential, Discard
from aaad.policy.facts import LoginFacts
from aaad.policy.grant import Decision
from aaad.pools.want import Want
from aaad.radius.integrity import SecretKeys
from aaad.radius.layout import Layout
from aaad.radius.lookup import mac_number
from aaad.radius.mschap import Verified
from aaad.radius.packet import value_at, vendor_values
from aaad.radius.pool_book import GrantPools
from aaad.radius.routers import Peer, Router, Source
from aaad.sessions.attribute_text import readable

_NAS_PORT_ID, _VENDOR_SPECIFIC = 87, 26
_AGENT_CIRCUIT_IDS = (
    (2352, 97),
    (3561, 1),
)  # of Redback, as RouterOS sends it, and of the ADSL Forum (RFC 4679, 3.3.1)


class Request(NamedTuple):
    """One genuine, new Access-Request."""

    data: bytes
    layout: Layout
    authenticator: bytes
    source: Source
    peer: Peer
    router: Router
    keys: SecretKeys | None  # what a verified Message-Authenticator proved, None when there was none
    arrived_s: float  # of its first copy, Unix seconds

    def __repr__(self) -> str:
        """Show where it came from, never its octets: they hide or prove a password."""
        return f"Request(nas_id={self.nas_id}, source={self.source!r}, length={self.length})"

    @property
    def length(self) -> int:
        """The packet's octets: what is behind them is padding."""
        return self.layout.length

    @property
    def positions(self) -> Mapping[int, int]:
        """Where each kind of attribute begins, of repeated ones the last."""
        return self.layout.positions

    @property
    def nas_id(self) -> int:
        """The NAS entry that asks."""
        return self.router.nas.nas_id

    @property
    def mac(self) -> int:
        """The customer's device as a number of 48 bits, 0 if the request names none."""
        return mac_number(self.data[self.layout.calling])

    @property
    def port_id(self) -> str:
        """NAS-Port-Id, empty if there is none."""
        at = self.positions.get(_NAS_PORT_ID)
        return readable(value_at(self.data, at)) if at else ""

    @property
    def circuit_id(self) -> str:
        """Agent-Circuit-Id, empty if there is none."""
        if _VENDOR_SPECIFIC in self.positions:
            for vendor, code in _AGENT_CIRCUIT_IDS:
                for value in vendor_values(self.data, self.length, vendor, code):
                    return readable(value)
        return ""


class Proven(NamedTuple):
    """What a request's proof of the password came to."""

    credential: Credential
    keys: SecretKeys  # which secret signs the reply
    mschap: Verified | None  # what the reply to a right MS-CHAP response is made from


class Pending(NamedTuple):
    """A decided request before its reply is made; as an answer: what it grants has yet to be claimed."""

    request: Request
    proven: Proven
    login: LoginFacts
    record: bytes
    decision: Decision

    def __repr__(self) -> str:
        """Show whose it is, never the record with its password."""
        return f"Pending(login_id={self.login.login_id}, source={self.request.source!r})"


# The context of a Want: what was decided, as a Pending has it, and the pools that the grant is from.
Leasing = tuple[Request, Proven, LoginFacts, bytes, Decision, GrantPools]
Answer = bytes | Discard | Pending | Want
