"""The typed records of the spool: everything that the request path wants written to PostgreSQL.

Pure: msgpack arrays with a tag in front. A tag is never reused; fields are only ever added at the end with a
default, so that an old segment can be drained by a new program.
"""

import msgspec

from aaad.errors import SpoolError


class RouterSeen(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A router proved its secret (rule R2.1), and which of our addresses it speaks to (R2.6)."""

    nas_id: int
    source_address: str
    nas_identifier: bytes
    local_address: str
    at_s: float
    secret_fingerprint: bytes = b""  # which secret (rule R2.2); empty: written before there were fingerprints


class MessageAuthenticatorArmed(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A verified Message-Authenticator in an Access-Request arms the ratchet of that router (rule R2.3)."""

    nas_id: int
    source_address: str
    nas_identifier: bytes
    at_s: float


class LoginRefused(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A known login was refused so often in one minute, for one reason (rule R3.6)."""

    login_id: int
    reason: str  # a Reason's label
    minute: int  # Unix minutes
    count: int


class NameRefused(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Unknown names were refused so often at one router in one minute, with a small masked sample (R3.6)."""

    nas_id: int
    source_address: str
    nas_identifier: bytes
    reason: str
    minute: int
    count: int
    sample: tuple[str, ...]


class BindingLearned(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """A login with automatic filling connected so. `kind` is "mac", "nas" (its id in digits), "port" or "circuit"."""

    login_id: int
    kind: str
    value: str
    at_s: float


class Accounting(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """A genuine Accounting-Request, as it was received: Start, Interim-Update, Stop, On or Off (RFC 2866, 4.1).

    `attributes` are the packet's, whole and in order. `has_own_class`: its Class is one that this cluster signed
    (rule R4.6). `octets_swapped`: what the NAS calls input goes to the customer.
    """

    nas_id: int
    source_address: str
    nas_identifier: bytes
    received_at_s: float
    attributes: bytes
    has_own_class: bool = False
    octets_swapped: bool = False


class Granted(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """Addresses of an Accept which accounting may leave out: RouterOS does so with IPv6. Empty: none."""

    node: int
    slot: int
    serial: int
    login_id: int
    at_s: float
    ipv4: str
    ipv6_prefix: str
    delegated_ipv6_prefix: str


class AddressBound(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """A process gave an address of its own reserve to a login while PostgreSQL was away (rule R7.2)."""

    node: int
    slot: int
    at_s: float
    address_space: int
    pool_id: int
    address: str  # a cidr: 100.64.0.7/32
    login_id: int
    device: int
    nas_id: int
    valid_s: int


Record = (
    RouterSeen
    | MessageAuthenticatorArmed
    | LoginRefused
    | NameRefused
    | BindingLearned
    | Accounting
    | Granted
    | AddressBound
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


def encode(record: Record | Accounting | Granted | AddressBound) -> bytes:
    """Return a record's octets."""
    return _encoder.encode(record)


def decode(data: bytes) -> Record:
    """Return the record in these octets; SpoolError if there is none."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SpoolError(f"not a record: {error}") from error
