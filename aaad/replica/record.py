"""The form of what the replica holds: the compiled record of a login, and the small tables.

Pure. A login's record is a fixed head (public: the journal stores it as the facts of a decision) and a tail
that holds the secrets. Integers are little endian. A record of another VERSION is refused: a new version of
the program rebuilds the replica.
"""

import unicodedata
from struct import Struct
from struct import error as StructError  # noqa: N812  the library's own name says too little

import msgspec

from aaad.errors import ReplicaError
from aaad.policy.codes import LoginFlag
from aaad.policy.facts import LoginFacts, PlanFacts

VERSION = 1
# version, contract status, access status, flags, login, contract, client, plan, branch, ipv4, digest;
# x are spare octets
_HEAD = Struct("<BBBxHxxIIIIIIQ")
HEAD_SIZE = _HEAD.size
_unpack = _HEAD.unpack_from
_NT_HASH_SIZE = 16
NAME_OCTETS_MAX = 253  # RFC 2865, 5: an attribute's value has at most 253 octets


def encode(login: LoginFacts, digest: int) -> bytes:
    """Compile a login. `digest` (unsigned, 64 bits) is PostgreSQL's checksum of the source row."""
    head = _HEAD.pack(
        VERSION,
        login.contract_status,
        login.access_status,
        login.flags,
        login.login_id,
        login.contract_id,
        login.client_id,
        login.plan_id,
        login.branch_id,
        login.ipv4,
        digest,
    )
    return head + login.nt_hash + login.password


def decode(record: bytes) -> LoginFacts:
    """Return the facts in a record; ReplicaError if it is of another version or cut off."""
    try:
        version, contract_status, access_status, flags, login, contract, client, plan, branch, ipv4, _ = _unpack(
            record
        )
    except StructError as error:
        raise ReplicaError(f"a record of {len(record)} octets is too short") from error
    if version != VERSION:
        raise ReplicaError(f"a record of version {version} cannot be read by version {VERSION}")
    if flags & LoginFlag.PASSWORD_IS_MD5:
        nt_hash, password = b"", record[HEAD_SIZE:]
    else:
        cut = HEAD_SIZE + _NT_HASH_SIZE
        nt_hash, password = record[HEAD_SIZE:cut], record[cut:]
    return LoginFacts(
        login, contract, client, plan, branch, flags, contract_status, access_status, ipv4, nt_hash, password
    )


def digest_of(record: bytes) -> int:
    """Return the checksum of the source row that a record was compiled from."""
    return int(_unpack(record)[-1])


def fold_name(name: bytes) -> bytes:
    """Return the key under which a login is found: as typed, case folded, Unicode composed (NFC).

    Octets that are no UTF-8 are folded as ASCII only: such a name can be asked for but never stored.
    """
    if name.isascii():
        return name.lower()
    try:
        return unicodedata.normalize("NFC", name.decode().lower()).encode()
    except UnicodeDecodeError:
        return name.lower()


class NasRow(msgspec.Struct, frozen=True, array_like=True):
    """One NAS entry: an address or prefix and its shared secrets."""

    nas_id: int
    name: str
    address: str  # an IPv4 or IPv6 network in CIDR form; a host has the full prefix length
    secret: bytes
    secret_previous: bytes  # empty: none
    secret_previous_until_s: float  # Unix seconds; 0: none
    kind: str
    enabled: bool
    message_authenticator: str  # auto, yes, no
    deadline_ms: int  # the NAS's timeout times its tries
    branch_id: int

    def __repr__(self) -> str:
        """Show what it is, never a secret."""
        return f"NasRow(nas_id={self.nas_id}, name={self.name!r}, address={self.address!r})"


class RouterRow(msgspec.Struct, frozen=True, array_like=True):
    """One router seen behind a NAS entry (rule R2.1)."""

    nas_id: int
    source_address: str
    nas_identifier: bytes
    armed_at_s: float  # Unix seconds when Message-Authenticator was first proven; 0: not
    reset_at_s: float  # Unix seconds of the operator's last reset; 0: never


class ParameterRow(msgspec.Struct, frozen=True, array_like=True):
    """One parameter; branch 0 is the general value."""

    name: str
    branch_id: int
    value: str


class Tables(msgspec.Struct, frozen=True, array_like=True):
    """Every small table, whole: written as one value, so a reader never sees half a change."""

    generation: int
    nases: list[NasRow]
    routers: list[RouterRow]
    plans: list[PlanFacts]
    parameters: list[ParameterRow]
    class_key: bytes  # 16 octets, one for the whole cluster: signs the Class attribute
    node_number: int  # this node's id in net.node

    def __repr__(self) -> str:
        """Show how much there is, never a key."""
        return f"Tables(generation={self.generation}, nases={len(self.nases)}, plans={len(self.plans)})"


_tables_encoder = msgspec.msgpack.Encoder()
_tables_decoder = msgspec.msgpack.Decoder(Tables)


def encode_tables(tables: Tables) -> bytes:
    """Compile the small tables."""
    return _tables_encoder.encode(tables)


def decode_tables(data: bytes) -> Tables:
    """Return the small tables; ReplicaError if they cannot be read."""
    try:
        return _tables_decoder.decode(data)
    except msgspec.DecodeError as error:
        raise ReplicaError(f"the replica's tables cannot be read: {error}") from error
