"""What a batch of the spool's records changes in PostgreSQL, folded to one value per key.

Pure. Many records of a batch speak of the same router or minute: each key is written once, in the order of the
keys, so that two drains never wait for each other crosswise. Also says which records cannot be written at all,
since one of them would refuse the whole batch.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Network, ip_address, ip_network

from aaad.errors import SpoolError
from aaad.spool.records import (
    Accounting,
    AddressBound,
    BindingLearned,
    Granted,
    LoginRefused,
    MessageAuthenticatorArmed,
    NameRefused,
    Record,
    RouterSeen,
)

SAMPLE_MAX = 5  # masked names kept per router, reason and minute (rule R3.6)
_SAMPLE_LENGTH_MAX = 253
_WHITE_SPACE = " \t\n\r\f\x0b\u00a0"  # what erp.is_trimmed calls so
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_REASON = re.compile(r"[a-z][a-z0-9_]{0,62}")
_MAC = re.compile(r"[0-9A-F][02468ACE](:[0-9A-F]{2}){5}")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_PORT_NAME_OCTETS_MAX = 512
BINDING_KINDS = ("mac", "nas", "port", "circuit")  # what is filled in by itself, in the order of writing
_IDENTIFIER_MAX = 2**31 - 1
_IDENTIFIER_OCTETS_MAX = 253
_FINGERPRINT_OCTETS = 8
_COUNT_MAX = 2**40
_SERIAL_MAX = 2**63 - 1
_SLOT_MAX = 2**15 - 1
_VALID_S_MAX = 2_592_000  # as net.pool has it
_AT_S_MAX = 2.0**33  # the year 2242: what lies behind it is no time

KINDS: dict[type[Record], str] = {
    RouterSeen: "router_seen",
    MessageAuthenticatorArmed: "message_authenticator_armed",
    LoginRefused: "login_refused",
    NameRefused: "name_refused",
    BindingLearned: "binding_learned",
    Accounting: "accounting",
    Granted: "granted",
    AddressBound: "address_bound",
}

RouterKey = tuple[int, str, bytes]  # NAS, source address, NAS-Identifier (rule R2.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """One value per key; times are Unix seconds, minutes are Unix minutes."""

    seen: dict[RouterKey, float] = field(default_factory=dict)
    proven: dict[RouterKey, tuple[float, bytes]] = field(default_factory=dict)  # when, and the secret's fingerprint
    servers: dict[tuple[RouterKey, str], float] = field(default_factory=dict)
    armed: dict[RouterKey, float] = field(default_factory=dict)
    refused_logins: dict[tuple[int, str, int], int] = field(default_factory=dict)
    refused_names: dict[tuple[RouterKey, str, int], tuple[int, frozenset[str]]] = field(default_factory=dict)
    bindings: dict[tuple[str, int], str] = field(default_factory=dict)  # of one of BINDING_KINDS, of a login


def check(record: Record) -> None:
    """SpoolError if PostgreSQL could never take this record."""
    match record:
        case RouterSeen():
            _check_router(record.nas_id, record.source_address, record.nas_identifier)
            _check_address(record.local_address, may_be_empty=True)
            _check_time(record.at_s)
            if len(record.secret_fingerprint) not in (0, _FINGERPRINT_OCTETS):
                raise SpoolError("not a fingerprint")
        case MessageAuthenticatorArmed():
            _check_router(record.nas_id, record.source_address, record.nas_identifier)
            _check_time(record.at_s)
        case LoginRefused():
            _check_identifier(record.login_id)
            _check_refusal(record.reason, record.minute, record.count)
        case NameRefused():
            _check_router(record.nas_id, record.source_address, record.nas_identifier)
            _check_refusal(record.reason, record.minute, record.count)
        case BindingLearned():
            _check_identifier(record.login_id)
            if not _is_binding(record.kind, record.value):
                raise SpoolError("not a binding that can be stored")
        case Granted():
            _check_granted(record)
        case AddressBound():
            _check_bound(record)
        case Accounting():  # read by itself, in `record.py`
            _check_router(record.nas_id, record.source_address, record.nas_identifier)


def _check_granted(record: Granted) -> None:
    _check_identifier(record.login_id)
    _check_time(record.at_s)
    if min(record.node, record.slot, record.serial) < 0 or record.serial > _SERIAL_MAX:
        raise SpoolError("not a grant")
    if max(record.node, record.slot) > _IDENTIFIER_MAX:
        raise SpoolError("not a grant")
    _check_address(record.ipv4, may_be_empty=True)
    for prefix in (record.ipv6_prefix, record.delegated_ipv6_prefix):
        try:
            if prefix:
                IPv6Network(prefix)
        except ValueError as error:
            raise SpoolError("not a prefix") from error


def _check_bound(record: AddressBound) -> None:
    for identifier in (record.node, record.address_space, record.pool_id, record.login_id, record.nas_id):
        _check_identifier(identifier)
    _check_time(record.at_s)
    if not 0 <= record.slot <= _SLOT_MAX or not 0 <= record.device < 2**63 or not 0 < record.valid_s <= _VALID_S_MAX:
        raise SpoolError("not a lease")
    try:
        ip_network(record.address)
    except ValueError as error:
        raise SpoolError("not a prefix") from error
    if "/" not in record.address or "%" in record.address:
        raise SpoolError("not a prefix")


def _is_binding(kind: str, value: str) -> bool:
    """Whether erp.login could take this value: the checks there, said here."""
    match kind:
        case "mac":
            return _MAC.fullmatch(value) is not None and value.strip("0:") != ""
        case "nas":
            return _NUMBER.fullmatch(value) is not None and int(value) <= _IDENTIFIER_MAX
        case "port" | "circuit":
            try:
                octets = len(value.encode())
            except UnicodeEncodeError:
                return False
            is_trimmed = value == value.strip(_WHITE_SPACE)
            return 0 < octets <= _PORT_NAME_OCTETS_MAX and is_trimmed and not _CONTROL.search(value)
        case _:
            return False


def _check_router(nas_id: int, source_address: str, nas_identifier: bytes) -> None:
    _check_identifier(nas_id)
    _check_address(source_address, may_be_empty=False)
    if len(nas_identifier) > _IDENTIFIER_OCTETS_MAX:
        raise SpoolError("NAS-Identifier too long")


def _check_identifier(identifier: int) -> None:
    if not 0 < identifier <= _IDENTIFIER_MAX:
        raise SpoolError("not an identifier")


def _check_address(address: str, *, may_be_empty: bool) -> None:
    if may_be_empty and not address:
        return
    try:
        ip_address(address)
    except ValueError as error:
        raise SpoolError("not an address") from error
    if "%" in address:
        raise SpoolError("an address with a zone")


def _check_time(at_s: float) -> None:
    if not math.isfinite(at_s) or not 0 <= at_s < _AT_S_MAX:
        raise SpoolError("not a time")


def _check_refusal(reason: str, minute: int, count: int) -> None:
    _check_time(minute * 60)
    if not _REASON.fullmatch(reason) or not 0 < count <= _COUNT_MAX:
        raise SpoolError("not a counted refusal")


def fold(records: Iterable[Record]) -> Changes:
    """Fold records that passed `check`. Their order does not matter, but for a login's first binding of a kind."""
    changes = Changes()
    for record in records:
        match record:
            case RouterSeen():
                _fold_seen(changes, record)
            case MessageAuthenticatorArmed():
                router = _router_key(record)
                changes.seen[router] = max(record.at_s, changes.seen.get(router, 0.0))
                changes.armed[router] = max(record.at_s, changes.armed.get(router, 0.0))
            case LoginRefused():
                key = (record.login_id, record.reason, record.minute)
                changes.refused_logins[key] = changes.refused_logins.get(key, 0) + record.count
            case NameRefused():
                _fold_name(changes, record)
            case BindingLearned():
                changes.bindings.setdefault((record.kind, record.login_id), record.value)
            case Accounting() | Granted() | AddressBound():
                pass  # sessions are folded by themselves, and the ledger is written as it is
    return changes


def _router_key(record: RouterSeen | MessageAuthenticatorArmed | NameRefused) -> RouterKey:
    # One address has several spellings; two keys for one row would refuse the statement.
    return (record.nas_id, str(ip_address(record.source_address)), record.nas_identifier)


def _fold_seen(changes: Changes, record: RouterSeen) -> None:
    router = _router_key(record)
    changes.seen[router] = max(record.at_s, changes.seen.get(router, 0.0))
    if record.secret_fingerprint:
        proof = (record.at_s, record.secret_fingerprint)
        changes.proven[router] = max(proof, changes.proven.get(router, proof))
    if record.local_address:
        server = (router, str(ip_address(record.local_address)))
        changes.servers[server] = max(record.at_s, changes.servers.get(server, 0.0))


def _fold_name(changes: Changes, record: NameRefused) -> None:
    key = (_router_key(record), record.reason, record.minute)
    count, sample = changes.refused_names.get(key, (0, frozenset[str]()))
    # PostgreSQL's text holds no NUL, and what an attacker typed must not stop the drain.
    added = {_CONTROL.sub("?", name)[:_SAMPLE_LENGTH_MAX] for name in record.sample}
    changes.refused_names[key] = (count + record.count, frozenset(sorted(sample | added)[:SAMPLE_MAX]))
