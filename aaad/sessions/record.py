"""An accounting record of the spool, read: which session it speaks of, when, and what it says.

Pure, and never fails over a value: what cannot be is taken as not said. Event time is by rule R5.1: receipt less
Acct-Delay-Time; Event-Timestamp takes its place if it lies within 300 s of that, and is kept in any case. Attributes:
RFC 2865, 5; RFC 2866, 5; RFC 2869, 5.1 to 5.3; RFC 3162, 2.3; RFC 4818, 3; RFC 6911, 3.1; RFC 4679, 3.3.1.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from hashlib import blake2b
from struct import Struct
from typing import Any, NamedTuple

from aaad.errors import SpoolError
from aaad.replica.record import fold_name
from aaad.sessions.attribute_text import readable, readable_all
from aaad.sessions.grant_class import CLASS_BODY, CLASS_SIZE, CLASS_VERSION, ClassFacts, class_facts
from aaad.spool.records import Accounting

EVENT_TIMESTAMP_WITHIN_S = 300.0  # rule R5.1
DELAY_MAX_S = 2_592_000  # 30 days: what is longer is no delay
SESSION_TIME_MAX_S = 315_360_000  # ten years: what is longer is no session's time
GIGAWORDS_MAX = 0xFFFFF  # four petabytes: what is more was never transferred
UNKNOWN = -1
_SIGNED_MAX = 2**31 - 1
_CLASS_BODY_SIZE = CLASS_BODY.size
_RECEIVED_AT_MAX_S = 2.0**33
_FAMILY_OCTETS = 16
_NO_IPV4 = frozenset((b"", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\xfe"))  # RFC 2865, 5.8: not yet known

_USER_NAME, _NAS_PORT, _FRAMED_IP_ADDRESS, _CLASS, _VENDOR_SPECIFIC = 1, 5, 8, 25, 26
_CALLED_STATION_ID, _CALLING_STATION_ID, _STATUS, _DELAY_TIME = 30, 31, 40, 41
_INPUT_OCTETS, _OUTPUT_OCTETS, _SESSION_ID, _SESSION_TIME = 42, 43, 44, 46
_INPUT_PACKETS, _OUTPUT_PACKETS, _TERMINATE_CAUSE = 47, 48, 49
_INPUT_GIGAWORDS, _OUTPUT_GIGAWORDS, _EVENT_TIMESTAMP = 52, 53, 55
_NAS_PORT_ID, _FRAMED_IPV6_PREFIX, _DELEGATED_IPV6_PREFIX, _FRAMED_IPV6_ADDRESS = 87, 97, 123, 168
_UNCOMMON = frozenset((_VENDOR_SPECIFIC, _FRAMED_IPV6_PREFIX, _DELEGATED_IPV6_PREFIX, _FRAMED_IPV6_ADDRESS))
_NONE_OF_THEM = ("", "", "")
NUMBERS = (
    *(_STATUS, _DELAY_TIME, _EVENT_TIMESTAMP, _SESSION_TIME, _TERMINATE_CAUSE, _NAS_PORT),
    *(_INPUT_OCTETS, _OUTPUT_OCTETS, _INPUT_PACKETS, _OUTPUT_PACKETS, _INPUT_GIGAWORDS, _OUTPUT_GIGAWORDS),
)
NUMBER_SIZE = 6
_TEXTS = (_USER_NAME, _SESSION_ID, _NAS_PORT_ID, _CALLED_STATION_ID, _CALLING_STATION_ID)
OCTETS = (*_TEXTS, _FRAMED_IP_ADDRESS, _CLASS)
SIZES = {_FRAMED_IP_ADDRESS: NUMBER_SIZE, _CLASS: CLASS_SIZE + 2}  # of those that count in one size only
# Agent-Circuit-Id of Redback, as RouterOS sends it, and of the ADSL Forum, each after the octets of its vendor.
_CIRCUIT_IDS = (((2352).to_bytes(4, "big"), 97), ((3561).to_bytes(4, "big"), 1))

_number = Struct("!2xI").unpack_from
_groups = Struct("!8H").unpack
_new_tuple = tuple.__new__
_new_state = blake2b(digest_size=_FAMILY_OCTETS).copy  # cheaper than to set up each anew
_DECIMAL = [str(octet) for octet in range(256)]


class Status(IntEnum):
    """Acct-Status-Type (RFC 2866, 5.1)."""

    START = 1
    STOP = 2
    INTERIM = 3
    ON = 7
    OFF = 8


_STATUSES: dict[int | None, Status] = {int(status): status for status in Status}
_START, _ON = Status.START, Status.ON


class AccountingRecord(NamedTuple):
    """What one record says. Texts are empty, numbers UNKNOWN and counters 0 where it says nothing."""

    status: Status
    family: bytes  # of user name and Acct-Session-Id; empty: of On and Off
    user_name: str
    acct_session_id: str
    class_body: bytes  # of a Class that is ours, without its signature
    nas_id: int
    source_address: str
    nas_identifier: bytes
    received_at_s: float
    sent_at_s: float  # receipt less Acct-Delay-Time
    at_s: float  # event time
    event_timestamp: int  # of the NAS's own clock, 0: none
    session_time_s: int
    octets_in: int  # what the customer sent, whatever the NAS calls it
    octets_out: int
    packets_in: int
    packets_out: int
    has_gigawords: bool
    terminate_cause: int
    nas_port: int
    nas_port_id: str
    called_station_id: str
    calling_station_id: str
    circuit_id: str
    ipv4: str
    ipv6_prefix: str
    delegated_ipv6_prefix: str

    @property
    def grant(self) -> ClassFacts | None:
        """What its Class says, None if it has none of ours."""
        return class_facts(self.class_body) if self.class_body else None

    @property
    def implied_start_s(self) -> float | None:
        """When its session began by our own clock, None if it does not tell.

        A time of 0 is what some NASes send when the line is lost: only a Start tells by it.
        """
        if self.status is _START:
            return self.sent_at_s
        return self.sent_at_s - self.session_time_s if self.session_time_s > 0 else None


def read(record: Accounting) -> AccountingRecord:
    """Read a record; SpoolError if it is not told which session or restart it speaks of."""
    data = record.attributes
    positions = walk(data)
    values: list[int | bytes | None] = []
    for kind in NUMBERS:
        at = positions.get(kind)
        values.append(_number(data, at)[0] if at is not None and data[at + 1] == NUMBER_SIZE else None)
    for kind in OCTETS:
        at = positions.get(kind)
        values.append(_value(data, at) if at is not None and data[at + 1] == SIZES.get(kind, data[at + 1]) else b"")
    return compose(record, values, uncommon(positions))


def compose(record: Accounting, values: Sequence[Any], positions: Mapping[int, int]) -> AccountingRecord:
    """Return what a record says: values of NUMBERS and OCTETS, None and empty where it says nothing, and `uncommon`.

    SpoolError if it is not told which session or restart it speaks of.
    """
    # fmt: off
    (
        number, delay_s, stamp, time_s, cause, port,
        low_in, low_out, packets_in, packets_out, high_in, high_out,
        name, session_id, port_id, called, calling, ipv4, class_body,
    ) = values
    # fmt: on
    status = _STATUSES.get(number)
    if status is None:
        raise SpoolError("accounting without a known Acct-Status-Type")
    if not record.has_own_class:
        class_body = b""
    elif not class_body or class_body[0] != CLASS_VERSION:
        class_body = _other_class(record.attributes)
    else:
        class_body = class_body[:_CLASS_BODY_SIZE]
    family = b""
    if status < _ON:
        if not session_id and not class_body:
            raise SpoolError("accounting without Acct-Session-Id and without a Class of ours")
        family = family_of(name, session_id)
    received_at_s = record.received_at_s
    if not 0 <= received_at_s <= _RECEIVED_AT_MAX_S:
        raise SpoolError("accounting received at no time")
    sent_at_s = received_at_s - delay_s if delay_s and delay_s <= DELAY_MAX_S else received_at_s
    at_s = float(stamp) if stamp and abs(stamp - sent_at_s) <= EVENT_TIMESTAMP_WITHIN_S else sent_at_s
    octets_in = _whole(low_in, high_in) if high_in else low_in or 0
    octets_out = _whole(low_out, high_out) if high_out else low_out or 0
    if record.octets_swapped:
        octets_in, octets_out, packets_in, packets_out = octets_out, octets_in, packets_out, packets_in
    user_name, acct_session_id, nas_port_id, called_id, calling_id = readable_all(
        (name, session_id, port_id, called, calling)
    )
    circuit_id, ipv6_prefix, delegated = (
        _uncommon_values(record.attributes, positions) if positions else _NONE_OF_THEM
    )
    # Each value by itself: this runs for every record, and what is spread is copied twice more.
    # fmt: off
    return _new_tuple(AccountingRecord, (
        status, family, user_name, acct_session_id, class_body,
        record.nas_id, record.source_address, record.nas_identifier, received_at_s, sent_at_s, at_s, stamp or 0,
        time_s if time_s is not None and time_s <= SESSION_TIME_MAX_S else UNKNOWN,
        octets_in, octets_out, packets_in or 0, packets_out or 0, high_in is not None or high_out is not None,
        cause if cause is not None and cause <= _SIGNED_MAX else UNKNOWN,
        port if port is not None else UNKNOWN,
        nas_port_id, called_id, calling_id, circuit_id, _ipv4(ipv4), ipv6_prefix, delegated,
    ))
    # fmt: on


def uncommon(positions: Mapping[int, int]) -> dict[int, int]:
    """Return where the attributes begin that few records have, and that are looked at one by one."""
    return {kind: at for kind, at in positions.items() if kind in _UNCOMMON}


def _uncommon_values(data: bytes, positions: Mapping[int, int]) -> tuple[str, str, str]:
    circuit_id = _circuit_id(data) if _VENDOR_SPECIFIC in positions else ""
    return circuit_id, _ipv6_prefix(data, positions), _prefix(data, positions, _DELEGATED_IPV6_PREFIX)


def _whole(low: int | None, high: int) -> int:
    """Return a counter of octets with its gigawords (RFC 2869, 5.1)."""
    return (low or 0) | high << 32 if high <= GIGAWORDS_MAX else 0


def family_of(user_name: bytes, acct_session_id: bytes) -> bytes:
    """Return the key under which records of a user name and an Acct-Session-Id are folded together."""
    state = _new_state()
    state.update(fold_name(user_name) + b"\0" + acct_session_id)
    return state.digest()


def walk(data: bytes) -> dict[int, int]:
    """Return where each kind of attribute begins, of repeated ones the last, after checking every length."""
    positions: dict[int, int] = {}
    at, end = 0, len(data)
    try:
        while at < end:
            positions[data[at]] = at
            size = data[at + 1]
            if size < 2:
                raise SpoolError("an attribute shorter than its own header")
            at += size
    except IndexError:
        raise SpoolError("an attribute cut off") from None
    if at != end:
        raise SpoolError("an attribute past the end")
    return positions


def _value(data: bytes, at: int) -> bytes:
    return data[at + 2 : at + data[at + 1]]


def _all(data: bytes, kind: int) -> list[bytes]:
    found = []
    at, end = 0, len(data)
    while at < end:
        if data[at] == kind:
            found.append(_value(data, at))
        at += data[at + 1]
    return found


def _other_class(data: bytes) -> bytes:
    """Return our Class without its signature, where a NAS or proxy has put others behind it."""
    for value in _all(data, _CLASS):
        if len(value) == CLASS_SIZE and value[0] == CLASS_VERSION:
            return value[:_CLASS_BODY_SIZE]
    return b""


def _ipv4(value: bytes) -> str:
    if value in _NO_IPV4:
        return ""
    a, b, c, d = value
    return f"{_DECIMAL[a]}.{_DECIMAL[b]}.{_DECIMAL[c]}.{_DECIMAL[d]}"


def _ipv6_prefix(data: bytes, positions: Mapping[int, int]) -> str:
    """Return Framed-IPv6-Prefix, without one Framed-IPv6-Address as a prefix of its own."""
    prefix = _prefix(data, positions, _FRAMED_IPV6_PREFIX)
    if prefix or _FRAMED_IPV6_ADDRESS not in positions:
        return prefix
    value = _value(data, positions[_FRAMED_IPV6_ADDRESS])
    return _ipv6_text(value, 128) if len(value) == 16 and any(value) else ""


def _prefix(data: bytes, positions: Mapping[int, int], kind: int) -> str:
    """Return an IPv6 prefix without bits behind it, which PostgreSQL would refuse; empty if there is none."""
    at = positions.get(kind)
    if at is None:
        return ""
    value = _value(data, at)
    if not 2 < len(value) <= 18 or not 0 < value[1] <= 128:
        return ""
    host_bits = 128 - value[1]
    number = int.from_bytes(value[2:].ljust(16, b"\0"), "big") >> host_bits << host_bits
    return _ipv6_text(number.to_bytes(16, "big"), value[1]) if number else ""


def _ipv6_text(octets: bytes, bits: int) -> str:
    a, b, c, d, e, f, g, h = _groups(octets)
    return f"{a:x}:{b:x}:{c:x}:{d:x}:{e:x}:{f:x}:{g:x}:{h:x}/{bits}"


def _circuit_id(data: bytes) -> str:
    for value in _all(data, _VENDOR_SPECIFIC):
        for vendor, code in _CIRCUIT_IDS:
            if value[:4] != vendor:
                continue
            at = 4
            while at + 1 < len(value) and 2 <= value[at + 1] <= len(value) - at:
                if value[at] == code:
                    return readable(value[at + 2 : at + value[at + 1]])
                at += value[at + 1]
    return ""
