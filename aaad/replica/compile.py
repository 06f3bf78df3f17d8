"""From a row of PostgreSQL to a compiled record: what the request path must never compute again.

Makes the NT hash (MS-CHAP's form of a password, RFC 2433 and 2759) when the row is read, so that no request pays
for it; turns addresses, days and instants into numbers and letters into codes. A row that cannot be compiled is
marked: its login is refused with a reason of its own (rule R3.1) and never stops the feed. Never logs a value.
"""

import ctypes
import ctypes.util
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import lru_cache
from ipaddress import IPv4Address
from math import ceil
from operator import itemgetter
from struct import unpack
from typing import Any, NamedTuple, Protocol

from aaad.errors import AaadError, ReplicaError
from aaad.policy.codes import ACCESS_STATUS_LETTERS, CONTRACT_STATUS_LETTERS, LoginFlag
from aaad.policy.decide import is_conditional
from aaad.policy.facts import LoginExtras, LoginFacts
from aaad.replica import record
from aaad.replica.secret_attributes import without_secrets

_MASK = 0xFFFFFFFF
_MD4_BLOCK_OCTETS = 64
_MD4_DIGEST_OCTETS = 16
_MD5_DIGEST_OCTETS = 16
DIGEST_MASK = 0xFFFFFFFFFFFFFFFF  # PostgreSQL's bigint is signed, ours is not
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_DAY_MAX = 0xFFFF
_INSTANT_MAX = 0xFFFFFFFF
_MAC_DIGITS = 12
_TEXTS = (
    "port_id", "circuit_id", "upload", "download", "ipv4_pool", "ipv6_pool", "delegated_ipv6_pool", "ipv6_prefix",
    "delegated_ipv6_prefix", "address_list", "address_list_ipv6",
)  # fmt: skip  # the columns of LoginExtras that are texts


class Columns(Protocol):
    """A row of PostgreSQL, by column name."""

    def __getitem__(self, name: str, /) -> Any: ...


class CompiledLogin(NamedTuple):
    """One row as the store takes it."""

    login_id: int
    digest: int
    name: bytes  # folded; empty: the login cannot be served at all
    record: bytes
    problem: str  # empty: compiled; else which rule the row broke, without any value

    def __repr__(self) -> str:
        """Show which login it is, never the record with its password."""
        return f"CompiledLogin(login_id={self.login_id}, problem={self.problem!r})"


class LoginChange(NamedTuple):
    """One login to be brought up to date. `row` None: PostgreSQL has no such row any more."""

    login_id: int
    row: CompiledLogin | None
    is_exempt: bool


class RowUnusable(AaadError):  # noqa: N818  reads as the sentence it prints
    """A row cannot be compiled. The text names the column and the rule, never the value."""


def compile_login(row: Columns) -> CompiledLogin:
    """Compile one row of net.login_source; a row that cannot be is marked with the problem."""
    login_id = int(row["login_id"])
    digest = int(row["digest"]) & DIGEST_MASK
    name = b""
    try:
        name = key_of(row["name"])
        return CompiledLogin(login_id, digest, name, record.encode(_facts(row)), "")
    except RowUnusable as unusable:
        problem = str(unusable)
    except Exception as bug:  # noqa: BLE001  one row must never stop the feed, whatever is in it
        problem = f"cannot be compiled ({type(bug).__name__})"
    return CompiledLogin(login_id, digest, name, record.encode_damaged(login_id) if name else b"", problem)


def facts_of(data: bytes | None) -> LoginFacts | None:
    """Return the facts in a record; None if there is no record or it marks a row that cannot be used."""
    if data is None:
        return None
    try:
        return record.decode(data)
    except ReplicaError:
        return None


def nt_hash(password: str) -> bytes:
    """Return MD4 of the password in UTF-16LE (RFC 2433, A.5: NtPasswordHash)."""
    return md4(password.encode("utf-16-le"))


def key_of(name: str | None) -> bytes:
    """Return the folded name that a row is found under; RowUnusable if there is none."""
    try:
        key = record.fold_name((name or "").encode())
    except UnicodeEncodeError as error:
        raise RowUnusable("name: not valid Unicode") from error
    if not 0 < len(key) <= record.NAME_OCTETS_MAX:
        raise RowUnusable(f"name: {len(key)} octets, allowed are 1 to {record.NAME_OCTETS_MAX}")
    return key


def _facts(row: Columns) -> LoginFacts:
    password, hashed = _password(row)
    facts = LoginFacts(
        login_id=row["login_id"],
        contract_id=row["contract_id"],
        client_id=row["client_id"],
        plan_id=row["plan_id"] or 0,
        branch_id=row["branch_id"] or 0,
        flags=_flags(row),
        contract_status=_code(CONTRACT_STATUS_LETTERS, row["contract_status"], "contract status"),
        access_status=_code(ACCESS_STATUS_LETTERS, row["access_status"], "access status"),
        ipv4=_ipv4(row["ipv4"]),
        mac=_mac(row["mac"]),
        nas_id=row["nas_id"] or 0,
        hours=row["hours"],
        oldest_due_day=_day(row["oldest_open_due"], "oldest_open_due"),
        not_reduced_until_day=_day(row["not_reduced_until"], "not_reduced_until"),
        suspended_from_day=_day(row["suspended_from"], "suspended_from"),
        suspended_until_day=_day(row["suspended_until"], "suspended_until"),
        access_ends_at_s=_instant(row["access_ends_at"], "access_ends_at"),
        trust_until_s=_instant(row["trust_unlock_until"], "trust_unlock_until"),
        extras=_extras(row),
        nt_hash=hashed,
        password=password,
    )
    return facts._replace(flags=facts.flags | LoginFlag.CONDITIONAL) if is_conditional(facts) else facts


_FLAGS_BY_COLUMN = (
    ("login_active", int(LoginFlag.LOGIN_ACTIVE)),
    ("deleted", int(LoginFlag.LOGIN_DELETED)),
    ("client_active", int(LoginFlag.CLIENT_ACTIVE)),
    ("suspended", int(LoginFlag.CONTRACT_SUSPENDED)),
    ("password_md5", int(LoginFlag.PASSWORD_IS_MD5)),
    ("mac_login", int(LoginFlag.IS_MAC_LOGIN)),
    ("trust_unlock_active", int(LoginFlag.ON_TRUST)),
    ("cap_reached", int(LoginFlag.CAP_REACHED)),
)
_FLAGS_BY_LETTER = {
    "speed_status": {"N": 0, "R": int(LoginFlag.SPEED_REDUCED)},
    "late_speed": {"S": 0, "P": 0, "N": int(LoginFlag.NEVER_REDUCED)},
    "bind_mac": {"N": 0, "S": int(LoginFlag.MAC_BIND), "P": int(LoginFlag.MAC_BIND_DEFAULT)},
    "bind_nas": {"N": 0, "S": int(LoginFlag.NAS_BIND), "P": int(LoginFlag.NAS_BIND_DEFAULT)},
    "bind_port": {"N": 0, "S": int(LoginFlag.PORT_BIND), "P": int(LoginFlag.PORT_BIND_DEFAULT)},
    "bind_circuit": {"N": 0, "S": int(LoginFlag.CIRCUIT_BIND), "P": int(LoginFlag.CIRCUIT_BIND_DEFAULT)},
}
_FLAGS_OF_LEARNING = (  # the column to fill, and whether it is to be filled
    ("mac", "auto_fill_mac", {"N": 0, "S": int(LoginFlag.MAC_LEARN), "P": int(LoginFlag.MAC_LEARN_DEFAULT)}),
    ("nas_id", "auto_fill_nas", {"N": 0, "S": int(LoginFlag.NAS_LEARN), "P": int(LoginFlag.NAS_LEARN_DEFAULT)}),
    ("port_id", "auto_fill_port", {"N": 0, "S": int(LoginFlag.PORT_LEARN), "P": int(LoginFlag.PORT_LEARN_DEFAULT)}),
    (
        "circuit_id",
        "auto_fill_circuit",
        {"N": 0, "S": int(LoginFlag.CIRCUIT_LEARN), "P": int(LoginFlag.CIRCUIT_LEARN_DEFAULT)},
    ),
)


_SWITCHES = (*(column for column, _ in _FLAGS_BY_COLUMN), *_FLAGS_BY_LETTER)
_FILLED = tuple(column for _, column, _ in _FLAGS_OF_LEARNING)
_of_switches = itemgetter(*_SWITCHES, *_FILLED)
_of_bound = itemgetter(*(bound for bound, _, _ in _FLAGS_OF_LEARNING))
_of_texts = itemgetter(*_TEXTS)
_SWITCH_COMBINATIONS_MAX = 4096  # of some hundreds that occur


def _flags(row: Columns) -> int:
    return _flags_of(_of_switches(row), tuple([value is None for value in _of_bound(row)]))


@lru_cache(_SWITCH_COMBINATIONS_MAX)
def _flags_of(switches: tuple[Any, ...], is_empty: tuple[bool, ...]) -> int:
    """Return the flags of some columns: the same few combinations stand in all rows."""
    values = dict(zip((*_SWITCHES, *_FILLED), switches, strict=True))
    flags = 0
    for column, flag in _FLAGS_BY_COLUMN:
        if values[column]:
            flags |= flag
    for column, letters in _FLAGS_BY_LETTER.items():
        flags |= _code(letters, values[column], column)
    for empty, (_, column, letters) in zip(is_empty, _FLAGS_OF_LEARNING, strict=True):
        if empty:
            flags |= _code(letters, values[column], column)
    return flags


def _extras(row: Columns) -> LoginExtras | None:
    """Return what only some logins have; None for all others: most have nothing of it."""
    texts, routes, attributes, dns = _of_texts(row), row["routes"], row["attributes"], row["dns"]
    contest_until = row["contest_until"]
    if not (any(texts) or routes or attributes or dns or contest_until):
        return None
    octets = bytes(attributes or b"")
    if without_secrets(octets) != octets:  # the journal stores what is compiled here
        raise RowUnusable("attributes: one of them is a key or password")
    found = {column: text or "" for column, text in zip(_TEXTS, texts, strict=True)}
    servers = tuple([server.partition("/")[0] for server in dns])  # a cast of inet tells the prefix length, too
    contest_until_s, contest_mac = _instant(contest_until, "contest_until"), _mac(row["contest_mac"])
    extras = LoginExtras(
        routes=tuple(routes),
        attributes=octets,
        dns=servers,
        contest_until_s=contest_until_s,
        contest_mac=contest_mac,
        **found,
    )
    if not all(type(text) is str for text in (*found.values(), *extras.routes)):
        raise RowUnusable("an extra column: not a text")
    return extras


def _day(value: date | None, column: str) -> int:
    if value is None:
        return 0
    day = value.toordinal() - _EPOCH_ORDINAL
    if not 0 < day <= _DAY_MAX:
        raise RowUnusable(f"{column}: not a day that nodes can count with")
    return day


def _instant(value: datetime | None, column: str) -> int:
    if value is None:
        return 0
    instant = ceil(value.timestamp())
    if not 0 < instant <= _INSTANT_MAX:
        raise RowUnusable(f"{column}: not an instant that nodes can count with")
    return instant


def _mac(value: str | None) -> int:
    digits = (value or "").replace(":", "")
    if not digits:
        return 0
    try:
        number = int(digits, 16)
    except ValueError as error:
        raise RowUnusable("mac: not hexadecimal") from error
    if len(digits) != _MAC_DIGITS:
        raise RowUnusable("mac: not 12 digits")
    return number


def _password(row: Columns) -> tuple[bytes, bytes]:
    """Return the stored form of the password and its NT hash, which MD5 cannot give."""
    text = row["password"] or ""
    if not row["password_md5"]:
        try:
            return text.encode(), nt_hash(text)
        except UnicodeEncodeError as error:
            raise RowUnusable("password: not valid Unicode") from error
    try:
        octets = bytes.fromhex(text)
    except ValueError as error:
        raise RowUnusable("password: not the hexadecimal form of an MD5 digest") from error
    if len(octets) != _MD5_DIGEST_OCTETS:
        raise RowUnusable("password: not the hexadecimal form of an MD5 digest")
    return octets, b""


def _code(letters: Mapping[str, int], value: str | None, column: str) -> int:
    code = letters.get(value or "")
    if code is None:
        raise RowUnusable(f"{column}: not a known letter")
    return code


def _ipv4(value: object) -> int:
    if value is None:
        return 0
    address = getattr(value, "ip", value)  # an inet with a prefix length comes as an interface
    if isinstance(address, str):
        try:
            address = IPv4Address(address.partition("/")[0])
        except ValueError as error:
            raise RowUnusable("ipv4: not an IPv4 address") from error
    if not isinstance(address, IPv4Address):
        raise RowUnusable("ipv4: not an IPv4 address")
    return int(address)


def md4_pure(data: bytes) -> bytes:
    """Return MD4 of some octets (RFC 1320), computed here: for systems whose libcrypto has none."""
    state = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
    padding = b"\x80" + b"\0" * ((55 - len(data)) % _MD4_BLOCK_OCTETS)
    message = data + padding + (8 * len(data)).to_bytes(8, "little")
    for start in range(0, len(message), _MD4_BLOCK_OCTETS):
        state = _md4_block(state, unpack("<16I", message[start : start + _MD4_BLOCK_OCTETS]))
    return b"".join(word.to_bytes(4, "little") for word in state)


_State = tuple[int, int, int, int]
_IN_ORDER = tuple(range(16))
_ROUND_2 = (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)
_ROUND_3 = (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15)
_ROUNDS: tuple[tuple[Callable[[int, int, int], int], int, tuple[int, ...], tuple[int, ...]], ...] = (
    (lambda x, y, z: (x & y) | (~x & z), 0, _IN_ORDER, (3, 7, 11, 19)),
    (lambda x, y, z: (x & y) | (x & z) | (y & z), 0x5A827999, _ROUND_2, (3, 5, 9, 13)),
    (lambda x, y, z: x ^ y ^ z, 0x6ED9EBA1, _ROUND_3, (3, 9, 11, 15)),
)


def _md4_block(state: _State, words: tuple[int, ...]) -> _State:
    a, b, c, d = state
    for mix, constant, order, shifts in _ROUNDS:
        for step, position in enumerate(order):
            total = (a + mix(b, c, d) + words[position] + constant) & _MASK
            shift = shifts[step % 4]
            a, b, c, d = d, ((total << shift) | (total >> (32 - shift))) & _MASK, b, c
    return (
        (state[0] + a) & _MASK,
        (state[1] + b) & _MASK,
        (state[2] + c) & _MASK,
        (state[3] + d) & _MASK,
    )


def _md4_of_libcrypto() -> Callable[[bytes], bytes] | None:
    """Return libcrypto's own MD4, which needs no legacy provider; None where it is missing or wrong."""
    for name in ("libcrypto.so.3", ctypes.util.find_library("crypto")):
        if name is None:
            continue
        try:
            function = ctypes.CDLL(name).MD4
        except (OSError, AttributeError):
            continue
        function.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p)
        function.restype = ctypes.c_void_p

        def of_libcrypto(data: bytes, function: Any = function) -> bytes:
            digest = ctypes.create_string_buffer(_MD4_DIGEST_OCTETS)
            function(data, len(data), digest)
            return digest.raw

        if of_libcrypto(b"abc") == md4_pure(b"abc"):
            return of_libcrypto
    return None


md4: Callable[[bytes], bytes] = _md4_of_libcrypto() or md4_pure
