"""An accounting record of the spool, read: which session it speaks of, when, and what it says.

Pure, and never fails over a value: what cannot be is taken as not said. Event time is by rule R5.1: receipt less
Acct-Delay-Time; Event-Timestamp takes its place if it lies within 300 s of that, and is kept in any case. Attributes:
RFC 2865, 5; RFC 2866, 5; RFC 2869, 5.1 to 5.3; RFC 3162, 2.3; RFC 4818, 3; RFC 6911, 3.1; RFC 4679, 3.3.1.
"""

from enum import IntEnum
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

from aaad.errors import SpoolError
from aaad.replica.record import fold_name
from aaad.sessions.attribute_text import readable
from aaad.sessions.grant_class import CLASS_BODY, CLASS_SIZE, CLASS_VERSION, ClassFacts, class_facts
from aaad.spool.records import Accounting

EVENT_TIMESTAMP_WITHIN_S = 300.0  # rule R5.1
DELAY_MAX_S = 2_592_000  # 30 days: what is longer is no delay
SESSION_TIME_MAX_S = 315_360_000  # ten years: what is longer is no session's time
GIGAWORDS_MAX = 0xFFFFF  # four petabytes: what is more was never transferred
UNKNOWN = -1
_SIGNED_MAX, _NUMBER_MAX = 2**31 - 1, 2**32 - 1
_CLASS_BODY_SIZE = CLASS_BODY.size
_RECEIVED_AT_MAX_S = 2.0**33
_FAMILY_OCTETS = 16
_NO_IPV4 = frozenset((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\xfe"))  # RFC 2865, 5.8: not yet known

_USER_NAME, _NAS_PORT, _FRAMED_IP_ADDRESS, _CLASS, _VENDOR_SPECIFIC = 1, 5, 8, 25, 26
_CALLED_STATION_ID, _CALLING_STATION_ID, _STATUS, _DELAY_TIME = 30, 31, 40, 41
_INPUT_OCTETS, _OUTPUT_OCTETS, _SESSION_ID, _SESSION_TIME = 42, 43, 44, 46
_INPUT_PACKETS, _OUTPUT_PACKETS, _TERMINATE_CAUSE = 47, 48, 49
_INPUT_GIGAWORDS, _OUTPUT_GIGAWORDS, _EVENT_TIMESTAMP = 52, 53, 55
_NAS_PORT_ID, _FRAMED_IPV6_PREFIX, _DELEGATED_IPV6_PREFIX, _FRAMED_IPV6_ADDRESS = 87, 97, 123, 168
# Agent-Circuit-Id of Redback, as RouterOS sends it, and of the ADSL Forum, each after the octets of its vendor.
_CIRCUIT_IDS = (((2352).to_bytes(4, "big"), 97), ((3561).to_bytes(4, "big"), 1))

_number = int.from_bytes
_groups = Struct("!8H").unpack
_new_tuple = tuple.__new__


class Status(IntEnum):
    """Acct-Status-Type (RFC 2866, 5.1)."""

    START = 1
    STOP = 2
    INTERIM = 3
    ON = 7
    OFF = 8


_STATUSES = {status.to_bytes(4, "big"): status for status in Status}
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
    values = _attributes(record.attributes)
    get = values.get
    status = _STATUSES.get(get(_STATUS, b""))
    if status is None:
        raise SpoolError("accounting without a known Acct-Status-Type")
    class_body = _class_body(record.attributes, get(_CLASS, b"")) if record.has_own_class else b""
    name, session_id = get(_USER_NAME, b""), get(_SESSION_ID, b"")
    family = b""
    if status < _ON:
        if not session_id and not class_body:
            raise SpoolError("accounting without Acct-Session-Id and without a Class of ours")
        family = family_of(name, session_id)
    received_at_s = record.received_at_s
    if not 0 <= received_at_s <= _RECEIVED_AT_MAX_S:
        raise SpoolError("accounting received at no time")
    delay_s = _number(get(_DELAY_TIME, b"")[:4])
    sent_at_s = received_at_s - delay_s if delay_s <= DELAY_MAX_S else received_at_s
    stamp = _number(get(_EVENT_TIMESTAMP, b"")[:4])
    at_s = float(stamp) if stamp and abs(stamp - sent_at_s) <= EVENT_TIMESTAMP_WITHIN_S else sent_at_s
    return _new_tuple(
        AccountingRecord,
        (
            status,
            family,
            readable(name),
            readable(session_id),
            class_body,
            record.nas_id,
            record.source_address,
            record.nas_identifier,
            received_at_s,
            sent_at_s,
            at_s,
            stamp,
            *_counters(values, record.octets_swapped),
            _said(get(_TERMINATE_CAUSE), _SIGNED_MAX),
            _said(get(_NAS_PORT), _NUMBER_MAX),
            readable(get(_NAS_PORT_ID, b"")),
            readable(get(_CALLED_STATION_ID, b"")),
            readable(get(_CALLING_STATION_ID, b"")),
            _circuit_id(record.attributes) if _VENDOR_SPECIFIC in values else "",
            _ipv4(get(_FRAMED_IP_ADDRESS)),
            _prefix(get(_FRAMED_IPV6_PREFIX)) or _ipv6_address(get(_FRAMED_IPV6_ADDRESS)),
            _prefix(get(_DELEGATED_IPV6_PREFIX)),
        ),
    )


def _counters(values: dict[int, bytes], swapped: bool) -> tuple[int, int, int, int, int, bool]:
    """Return time, octets and packets of both directions, and whether there are gigawords (RFC 2869, 5.1)."""
    get = values.get
    time_s = _said(get(_SESSION_TIME), SESSION_TIME_MAX_S)
    octets_in, octets_out = _number(get(_INPUT_OCTETS, b"")[:4]), _number(get(_OUTPUT_OCTETS, b"")[:4])
    packets_in, packets_out = _number(get(_INPUT_PACKETS, b"")[:4]), _number(get(_OUTPUT_PACKETS, b"")[:4])
    has_gigawords = _INPUT_GIGAWORDS in values or _OUTPUT_GIGAWORDS in values
    if has_gigawords:
        octets_in = _whole(octets_in, get(_INPUT_GIGAWORDS, b""))
        octets_out = _whole(octets_out, get(_OUTPUT_GIGAWORDS, b""))
    if swapped:
        return time_s, octets_out, octets_in, packets_out, packets_in, has_gigawords
    return time_s, octets_in, octets_out, packets_in, packets_out, has_gigawords


def _whole(octets: int, gigawords: bytes) -> int:
    high = _number(gigawords[:4])
    return octets | high << 32 if high <= GIGAWORDS_MAX else 0


def _said(value: bytes | None, highest: int) -> int:
    """Return a number that may be 0, UNKNOWN if there is none or it cannot be."""
    if value is None:
        return UNKNOWN
    number = _number(value[:4])
    return number if number <= highest else UNKNOWN


def family_of(user_name: bytes, acct_session_id: bytes) -> bytes:
    """Return the key under which records of a user name and an Acct-Session-Id are folded together."""
    return blake2b(fold_name(user_name) + b"\0" + acct_session_id, digest_size=_FAMILY_OCTETS).digest()


def _attributes(data: bytes) -> dict[int, bytes]:
    """Return the value of each kind of attribute, of repeated ones the last."""
    values: dict[int, bytes] = {}
    at, end = 0, len(data)
    try:
        while at < end:
            size = data[at + 1]
            if size < 2:
                raise SpoolError("an attribute shorter than its own header")
            values[data[at]] = data[at + 2 : at + size]
            at += size
    except IndexError:
        raise SpoolError("an attribute cut off") from None
    if at != end:
        raise SpoolError("an attribute past the end")
    return values


def _all(data: bytes, kind: int) -> list[bytes]:
    found = []
    at, end = 0, len(data)
    while at < end:
        if data[at] == kind:
            found.append(data[at + 2 : at + data[at + 1]])
        at += data[at + 1]
    return found


def _class_body(data: bytes, value: bytes) -> bytes:
    """Return our Class without its signature; a NAS or proxy may have put others beside it."""
    if len(value) == CLASS_SIZE and value[0] == CLASS_VERSION:
        return value[:_CLASS_BODY_SIZE]
    for other in _all(data, _CLASS):
        if len(other) == CLASS_SIZE and other[0] == CLASS_VERSION:
            return other[:_CLASS_BODY_SIZE]
    return b""


def _ipv4(value: bytes | None) -> str:
    if value is None or len(value) != 4 or value in _NO_IPV4:
        return ""
    a, b, c, d = value
    return f"{a}.{b}.{c}.{d}"


def _prefix(value: bytes | None) -> str:
    """Return an IPv6 prefix without bits behind it, which PostgreSQL would refuse; empty if there is none."""
    if value is None or not 2 < len(value) <= 18 or not 0 < value[1] <= 128:
        return ""
    host_bits = 128 - value[1]
    number = int.from_bytes(value[2:].ljust(16, b"\0"), "big") >> host_bits << host_bits
    return _ipv6_text(number.to_bytes(16, "big"), value[1]) if number else ""


def _ipv6_address(value: bytes | None) -> str:
    return _ipv6_text(value, 128) if value is not None and len(value) == 16 and any(value) else ""


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
