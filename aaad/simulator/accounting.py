"""Sessions as a concentrator reports them: Start, Interim-Update, Stop, and its own Accounting-On and -Off.

Pure. RFC 2866, 4.1 and 5; RFC 2869, 5.1 to 5.3 (Gigawords, Event-Timestamp). What stays the same in all reports of a
session is encoded once, when it begins: reports are what a concentrator sends most.
"""

import struct
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from aaad.simulator.granted import Granted, granted_of
from aaad.simulator.methods import Service
from aaad.simulator.packet import Attribute, attribute, number
from aaad.simulator.request import (
    ACCT_SESSION_ID,
    FRAMED_IP_ADDRESS,
    HEADS,
    NAS_IDENTIFIER,
    Look,
    Nas,
    StopCounters,
    accel_ppp_attributes,
    hotspot_attributes,
    local_address,
    nas_address,
    routeros_end,
)
from aaad.simulator.subscriber import Dial, Subscriber

CLASS, SESSION_TIMEOUT, INTERIM_INTERVAL = 25, 27, 85
ACCT_STATUS_TYPE, ACCT_DELAY_TIME, ACCT_INPUT_OCTETS, ACCT_OUTPUT_OCTETS = 40, 41, 42, 43
ACCT_AUTHENTIC, ACCT_SESSION_TIME, ACCT_INPUT_PACKETS, ACCT_OUTPUT_PACKETS = 45, 46, 47, 48
ACCT_TERMINATE_CAUSE, ACCT_INPUT_GIGAWORDS, ACCT_OUTPUT_GIGAWORDS, EVENT_TIMESTAMP = 49, 52, 53, 55
FRAMED_IPV6_PREFIX, DELEGATED_IPV6_PREFIX = 97, 123
_PREFIXES = (FRAMED_IPV6_PREFIX, DELEGATED_IPV6_PREFIX)
_AUTHENTIC_RADIUS = 1
_PACKET_OCTETS = 1000  # a round number for the mean size of a customer's packets
_RESTART_SESSION = b"00000000"  # RFC 2866, 5.5: every Accounting-Request has an Acct-Session-Id
_COUNTED = struct.Struct("!" + 5 * "BBI")
_NUMBER_MAX = 0xFFFFFFFF


class Status(Enum):
    """Acct-Status-Type."""

    START = 1
    STOP = 2
    INTERIM = 3
    ON = 7
    OFF = 8


class Cause(Enum):
    """Acct-Terminate-Cause, of which there are more."""

    USER_REQUEST = 1
    LOST_CARRIER = 2
    SESSION_TIMEOUT = 5
    ADMIN_RESET = 6
    NAS_ERROR = 9


@dataclass(slots=True, eq=False)
class Session:
    """A session that is up, and what all its reports have in common."""

    number: int  # of all sessions of a simulation, whatever Acct-Session-Id they have
    subscriber: Subscriber
    session_id: bytes
    began_at_s: float  # monotonic, as all instants here
    interim_s: float  # 0: no Interim-Updates
    granted: Granted  # and what orders have made of it
    ends_at_s: float | None  # None: when the subscriber likes
    address: bytes  # Framed-IP-Address, empty if it has none
    before: bytes  # the attributes that stand before Acct-Status-Type, between it and the counters, and behind
    between: bytes
    behind: bytes


class Record(NamedTuple):
    """One report: what a concentrator says of a session, or of itself."""

    status: Status
    at_s: float
    timestamp: int  # by the concentrator's clock
    session: Session | None = None  # None: it speaks of itself
    age_s: float = 0.0
    octets_in: int = 0
    octets_out: int = 0
    cause: Cause | None = None


def session_of(nas: Nas, dial: Dial, sessions_before: int, now_s: float, interim_s: float | None) -> Session:
    """Return the session that an Access-Accept begins; `interim_s` is in place of what the Accept says, if given."""
    said = {found.kind: found.value for found in dial.attributes if not found.vendor}
    before, between, behind, address = _common(nas, dial, said.get(FRAMED_IP_ADDRESS, b""))
    granted_s = int.from_bytes(said.get(INTERIM_INTERVAL, b""), "big")
    granted = granted_of(dial.attributes)
    return Session(
        sessions_before + 1,
        dial.subscriber,
        dial.session_id,
        now_s,
        granted_s if interim_s is None else interim_s,
        granted,
        now_s + granted.session_timeout_s if granted.session_timeout_s else None,
        address,
        before,
        between,
        behind,
    )


def _common(nas: Nas, dial: Dial, granted: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Return what stands before Acct-Status-Type, between it and the counters, behind them, and the address."""
    echoed = _all(dial.attributes, CLASS)
    framed = attribute(FRAMED_IP_ADDRESS, granted) if granted else b""
    prefixes = b"".join(_all(dial.attributes, kind) for kind in _PREFIXES) if nas.kind.tells_ipv6 else b""
    authentic = number(ACCT_AUTHENTIC, _AUTHENTIC_RADIUS)
    if nas.kind.look is Look.ACCEL_PPP:
        named = authentic + attribute(ACCT_SESSION_ID, dial.session_id)
        return accel_ppp_attributes(nas, dial, echoed), named, framed + prefixes, granted
    service, end = dial.subscriber.method.service, routeros_end(nas, dial)
    if service is Service.HOTSPOT:
        return b"", hotspot_attributes(nas, dial) + echoed, end, local_address(dial)
    if service in (Service.PPPOE, Service.TUNNEL):
        return HEADS[service](nas, dial), authentic + framed + prefixes + echoed, end, granted
    return HEADS[service](nas, dial), attribute(ACCT_SESSION_ID, dial.session_id) + echoed, end, local_address(dial)


def _all(attributes: tuple[Attribute, ...], kind: int) -> bytes:
    return b"".join(attribute(kind, found.value) for found in attributes if found[:2] == (0, kind))


def record_attributes(nas: Nas, record: Record, delay_s: int) -> bytes:
    """Return the attributes of an Accounting-Request that tells this after so many seconds."""
    delay = number(ACCT_DELAY_TIME, delay_s) if nas.kind.says_delay else b""
    when = delay + number(EVENT_TIMESTAMP, record.timestamp & _NUMBER_MAX)
    status, session = number(ACCT_STATUS_TYPE, record.status.value), record.session
    if session is None:
        named = attribute(ACCT_SESSION_ID, _RESTART_SESSION)
        return status + named + when + attribute(NAS_IDENTIFIER, nas.name.encode()) + nas_address(nas)
    cause = b"" if record.cause is None else number(ACCT_TERMINATE_CAUSE, record.cause.value)
    return session.before + status + session.between + _counted(nas, record) + cause + when + session.behind


def _counted(nas: Nas, record: Record) -> bytes:
    is_start = record.status is Status.START
    if is_start and nas.kind.look is Look.ROUTEROS:
        return b""
    received, sent = record.octets_in, record.octets_out
    if record.status is Status.STOP and nas.stop_counters is not StopCounters.WHOLE:
        if nas.stop_counters is StopCounters.NONE:
            return number(ACCT_SESSION_TIME, int(record.age_s))
        received = sent = 0
    counted = _COUNTED.pack(
        *(ACCT_SESSION_TIME, 6, int(record.age_s)),
        *(ACCT_INPUT_OCTETS, 6, received & _NUMBER_MAX),
        *(ACCT_OUTPUT_OCTETS, 6, sent & _NUMBER_MAX),
        *(ACCT_INPUT_PACKETS, 6, received // _PACKET_OCTETS & _NUMBER_MAX),
        *(ACCT_OUTPUT_PACKETS, 6, sent // _PACKET_OCTETS & _NUMBER_MAX),
    )
    if not nas.has_gigawords:
        return counted
    return counted + number(ACCT_INPUT_GIGAWORDS, received >> 32) + number(ACCT_OUTPUT_GIGAWORDS, sent >> 32)
