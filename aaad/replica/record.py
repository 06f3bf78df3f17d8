"""The form of what the replica holds: the compiled record of a login, and the small tables.

Pure. A login's record is a fixed head and, for some logins, extras (both public: the journal stores them as the facts
of a decision), and a tail that holds the secrets. Integers are little endian. A record of another VERSION is refused:
a new version of the program rebuilds the replica.
"""

import unicodedata
from struct import Struct

import msgspec

from aaad.errors import ReplicaError, TablesUnreadable
from aaad.policy.codes import LoginFlag
from aaad.policy.facts import LoginExtras, LoginFacts, PlanFacts

VERSION = 6
# Behind the version stand the first fields of LoginFacts in their order, then the size of the extras.
_FACTS = Struct("<IIIIIIBBIQIIHHHHII")
_EXTRAS_SIZE = Struct("<H")
_VERSION_SIZE = 1
_EXTRAS_SIZE_AT = _VERSION_SIZE + _FACTS.size
HEAD_SIZE = _EXTRAS_SIZE_AT + _EXTRAS_SIZE.size
_DAMAGED = 0  # stands where others have their version
_LOGIN_ID = Struct("<I")
_NT_HASH_SIZE = 16
_SIZE_MIN = HEAD_SIZE + _NT_HASH_SIZE
_HEAD = Struct(_FACTS.format + "H")
_unpack_facts = _FACTS.unpack_from
_new_tuple = tuple.__new__
_MD5_FLAG = int(LoginFlag.PASSWORD_IS_MD5)
_FLAGS = LoginFacts._fields.index("flags")
_PLAN_ID = LoginFacts._fields.index("plan_id")
_MAC = LoginFacts._fields.index("mac")
_MAC_OCTETS = 6
_PLAN_AT, _IPV4_AT, _MAC_AT, _NAS_AT, _HOURS_AT = (
    _VERSION_SIZE + Struct("<" + _FACTS.format[1 : 1 + LoginFacts._fields.index(field)]).size
    for field in ("plan_id", "ipv4", "mac", "nas_id", "hours")
)
_NO_MAC, _NO_NAS = bytes(_NAS_AT - _MAC_AT), bytes(_HOURS_AT - _NAS_AT)
_HAS_ALIAS = int(LoginFlag.IS_MAC_LOGIN | LoginFlag.LOGIN_DELETED)
_IS_MAC_LOGIN = int(LoginFlag.IS_MAC_LOGIN)
_HEAD_FIELDS = LoginFacts._fields.index("extras")
EXTRAS_OCTETS_MAX = 4_096  # nothing longer fits into a reply
NAME_OCTETS_MAX = 253  # RFC 2865, 5: an attribute's value has at most 253 octets
_extras_encoder = msgspec.msgpack.Encoder()
_extras_decoder = msgspec.msgpack.Decoder(LoginExtras)


def encode(login: LoginFacts) -> bytes:
    """Compile a login.

    ReplicaError if the extras are too long for any reply.
    """
    extras = _extras_encoder.encode(login.extras) if login.extras is not None else b""
    if len(extras) > EXTRAS_OCTETS_MAX:
        raise ReplicaError(f"extras of {len(extras)} octets, allowed are {EXTRAS_OCTETS_MAX}")
    head = bytes((VERSION,)) + _HEAD.pack(*login[:_HEAD_FIELDS], len(extras))
    return head + extras + login.nt_hash + login.password


def decode(record: bytes) -> LoginFacts:
    """Return the facts in a record; ReplicaError if it is of another version or cut off.

    An NT hash or an MD5, 16 octets, always stands behind the head: a shorter record is no empty password.
    """
    size = len(record)
    if size < _SIZE_MIN:
        raise ReplicaError(f"a record of {size} octets is too short")
    if record[0] != VERSION:
        raise ReplicaError(f"a record of version {record[0]} cannot be read by version {VERSION}")
    head = _unpack_facts(record, _VERSION_SIZE)
    extras, at = None, HEAD_SIZE
    if record[_EXTRAS_SIZE_AT] or record[_EXTRAS_SIZE_AT + 1]:
        at += _EXTRAS_SIZE.unpack_from(record, _EXTRAS_SIZE_AT)[0]
        if size < at + _NT_HASH_SIZE:
            raise ReplicaError(f"a record of {size} octets is too short")
        try:
            extras = _extras_decoder.decode(record[HEAD_SIZE:at])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ReplicaError(f"a record's extras cannot be read: {error}") from error
    if head[_FLAGS] & _MD5_FLAG:
        tail = (extras, b"", record[at:])
    else:
        tail = (extras, record[at : at + _NT_HASH_SIZE], record[at + _NT_HASH_SIZE :])
    # The named way, LoginFacts(*head, *tail), takes half a microsecond more on every request.
    return _new_tuple(LoginFacts, head + tail)


def public_part(record: bytes) -> bytes:
    """Return what a journal may store of a record: everything before the secrets; `decode_public` reads it."""
    if len(record) < _SIZE_MIN or record[0] != VERSION:
        return b""
    return record[: HEAD_SIZE + _EXTRAS_SIZE.unpack_from(record, _EXTRAS_SIZE_AT)[0]]


def decode_public(data: bytes) -> LoginFacts:
    """Return the facts in the public part of a record, without secrets; ReplicaError if they cannot be read."""
    return decode(data + bytes(_NT_HASH_SIZE))._replace(nt_hash=b"", password=b"")


def encode_damaged(login_id: int) -> bytes:
    """Return a record that tells only whose row cannot be compiled: no version decodes it (rule R3.1)."""
    return bytes((_DAMAGED,)) + _LOGIN_ID.pack(login_id)


def login_id_of(record: bytes) -> int:
    """Return whose record it is, also of a damaged one: in both the login's id stands behind the version.

    ReplicaError if the record is too short even for that.
    """
    if len(record) < _VERSION_SIZE + _LOGIN_ID.size:
        raise ReplicaError(f"a record of {len(record)} octets is nobody's")
    return int(_LOGIN_ID.unpack_from(record, _VERSION_SIZE)[0])


def plan_id_of(record: bytes) -> int:
    """Return which plan a record names; 0 if it is damaged, or of another version."""
    if len(record) < _SIZE_MIN or record[0] != VERSION:
        return 0
    plan_id: int = _unpack_facts(record, _VERSION_SIZE)[_PLAN_ID]
    return plan_id


def terms_key_of(record: bytes) -> object | None:
    """Return what plans and parameters decide about a login by: equal for logins of which they decide the same.

    None for a login that has to be looked at itself.
    """
    if len(record) < _SIZE_MIN or record[0] != VERSION or record[_EXTRAS_SIZE_AT] or record[_EXTRAS_SIZE_AT + 1]:
        return None
    # Whose it is, and which address, device and NAS it has, makes no difference; whether it has them does.
    has_mac = record[_MAC_AT:_NAS_AT] != _NO_MAC
    has_nas = record[_NAS_AT:_HOURS_AT] != _NO_NAS
    return record[_PLAN_AT:_IPV4_AT], has_mac, has_nas, record[_HOURS_AT:_EXTRAS_SIZE_AT]


def mac_of(record: bytes) -> bytes:
    """Return the address under which a login is found, too: its device's, if it logs in by that; else nothing."""
    if len(record) < _SIZE_MIN or record[0] != VERSION:
        return b""
    head = _unpack_facts(record, _VERSION_SIZE)
    if head[_FLAGS] & _HAS_ALIAS != _IS_MAC_LOGIN:
        return b""
    mac: bytes = head[_MAC].to_bytes(_MAC_OCTETS, "big")
    return mac


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
    # Further ones, of routers behind it; each until when (inf: for ever).
    secrets: tuple[tuple[bytes, float], ...] = ()
    octets_swapped: bool = False  # what it calls input goes to the customer
    address_space: int = 1  # of its customers' addresses (rule R7.1)
    ipv4_pool: str = ""  # names of pools, for who has none by login, contract and plan; empty: the branch's
    ipv6_pool: str = ""
    delegated_ipv6_pool: str = ""

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
    secret_fingerprint: bytes = b""  # of the secret that it proved last (rule R2.2); empty: unknown
    secret_proven_at_s: float = 0.0  # Unix seconds when that was first proven; 0: never


class ParameterRow(msgspec.Struct, frozen=True, array_like=True):
    """One parameter; branch 0 is the general value."""

    name: str
    branch_id: int
    value: str


class BranchRow(msgspec.Struct, frozen=True, array_like=True):
    """One branch; 0 stands for NASes without a branch."""

    branch_id: int
    time_zone: str  # IANA name


class AdministratorRow(msgspec.Struct, frozen=True, array_like=True):
    """One person who may log in to routers (rule R2.5)."""

    administrator_id: int
    name: bytes  # folded
    password: bytes
    nt_hash: bytes
    group: str  # the router's user group: full, read, write, or one of its own
    nas_id: int  # 0: every NAS

    def __repr__(self) -> str:
        """Show who it is, never the password."""
        return f"AdministratorRow(administrator_id={self.administrator_id}, group={self.group!r})"


class PoolRow(msgspec.Struct, frozen=True, array_like=True):
    """One pool of addresses or prefixes, known by its name in its address space (rule R7)."""

    pool_id: int
    address_space: int
    name: str
    # radius: given out here; nas: by the concentrator, which is told the name; dualstack: up to three others.
    kind: str
    family: str  # ipv4, ipv6, delegated; empty for dualstack
    prefix_length: int  # of what one login gets; 0 if it is not given out here
    state: str  # active, draining, retired
    adopting: bool  # only what is proven unused is given out (rule R7.3)
    valid_s: int  # how long a lease holds
    reserve_size: int  # how many a process sets aside beforehand
    ipv4_pool_id: int = 0  # what a dualstack pool stands for; 0: none
    ipv6_pool_id: int = 0
    delegated_pool_id: int = 0


class UnusableRow(msgspec.Struct, frozen=True, array_like=True):
    """One row of a small table that cannot be compiled: it is served as it was last, or not at all."""

    table: str
    key: str  # of the row as it is served: what `row_key` gives
    problem: str  # which rule it broke, without any value


class Tables(msgspec.Struct, frozen=True, array_like=True):
    """Every small table, whole: written as one value, so a reader never sees half a change."""

    generation: int
    nases: list[NasRow]
    routers: list[RouterRow]
    plans: list[PlanFacts]
    parameters: list[ParameterRow]
    class_key: bytes  # 16 octets, one for the whole cluster: signs the Class attribute
    node_number: int  # this node's id in net.node
    branches: list[BranchRow] = []
    administrators: list[AdministratorRow] = []
    unusable: list[UnusableRow] = []
    pools: list[PoolRow] = []

    def __repr__(self) -> str:
        """Show how much there is, never a key."""
        return f"Tables(generation={self.generation}, nases={len(self.nases)}, plans={len(self.plans)})"


_SmallRow = NasRow | RouterRow | PlanFacts | ParameterRow | BranchRow | AdministratorRow | PoolRow


def row_key(row: _SmallRow) -> str:
    """Return by what a row of a small table is known again."""
    match row:
        case NasRow():
            return str(row.nas_id)
        case RouterRow():
            return f"{row.nas_id}/{row.source_address}/{row.nas_identifier!r}"
        case PlanFacts():
            return str(row.plan_id)
        case ParameterRow():
            return f"{row.name}/{row.branch_id}"
        case BranchRow():
            return str(row.branch_id)
        case AdministratorRow():
            return str(row.administrator_id)
        case PoolRow():
            return str(row.pool_id)


_tables_encoder = msgspec.msgpack.Encoder()
_tables_decoder = msgspec.msgpack.Decoder(Tables)


def encode_tables(tables: Tables) -> bytes:
    """Compile the small tables; ReplicaError if nobody could read them again."""
    data = _tables_encoder.encode(tables)
    try:
        _tables_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReplicaError(f"the small tables cannot be written: {error}") from error
    return data


def decode_tables(data: bytes) -> Tables:
    """Return the small tables; TablesUnreadable if they cannot be read."""
    try:
        return _tables_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TablesUnreadable(f"the replica's tables cannot be read: {error}") from error
