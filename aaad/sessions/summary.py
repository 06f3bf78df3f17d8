"""What is known of a session from the set of its records: a value that any two of can be merged.

Pure. `add` and `merge` are commutative, associative and idempotent: maxima, minima, and of what changes the latest by
event time, then by value. So the order of records, their repetition and how they come in batches make no difference
to `facts`. Counters never go down; a Stop without octets or with zeros takes nothing away. Two things are exact for
the newest only, to be bounded: repetitions are known among the newest RECENT_MAX records, and counters of 32 bits are
put in the order of Acct-Session-Time among the newest SAMPLES_MAX (rule R5.5, `counters.py`).

A session's address may change: each one is kept with when it was reported first and last (`held.py`).
"""

from collections.abc import Iterable
from math import inf
from struct import Struct
from typing import NamedTuple

import msgspec

from aaad.errors import SpoolError
from aaad.sessions.attribute_text import mac_of
from aaad.sessions.counters import Samples, day_of, highest_of_days, raise_day, raise_days
from aaad.sessions.grant_class import CLASS_BODY, GRANT_KEY
from aaad.sessions.held import Held, combined, encode_changes
from aaad.sessions.record import UNKNOWN, AccountingRecord, Status

VERSION = 1
RECENT_MAX = 64
_RECENT_OCTETS = 4
_RECENT_SIZE_MAX = RECENT_MAX * _RECENT_OCTETS
_INTERIMS_SEEN = 4  # so many of the newest records tell the interval
_STEPS_TELL = 3  # so many steps between them tell it whatever it is
_INTERVAL_MIN_S = 60  # RFC 2869, 5.16
_START, _STOP = Status.START, Status.STOP
_KIND = {Status.START: 0, Status.INTERIM: 1, Status.STOP: 2}
_KIND_BITS, _KIND_MASK = 3, 7
_INTERIM_KIND = 1
_TIMELESS = 4  # added to the kind of a record without Acct-Session-Time
_TIME_MASK = (1 << 29) - 1
_pack_identity = Struct("!I").pack
_IDENTITY_OF_START = _pack_identity(_KIND[Status.START])
_SPREAD = 0x9E3779B1


class Part(msgspec.Struct, array_like=True, gc=False):
    """Records that are of one session beyond doubt: of one grant, or of one router and one implied start."""

    grant: bytes = b""  # the Class, without its signature; empty: none of ours
    zone: str = ""
    user_name: str = ""
    acct_session_id: str = ""
    nas_id: int = 0
    source_address: str = ""
    nas_identifier: bytes = b""
    nas_port: int = UNKNOWN
    nas_port_id: str = ""
    called_station_id: str = ""
    calling_station_id: str = ""
    circuit_id: str = ""
    ipv4_at: float = -inf
    ipv4: str = ""
    ipv6_prefix_at: float = -inf
    ipv6_prefix: str = ""
    delegated_at: float = -inf
    delegated_ipv6_prefix: str = ""
    # When it began by our own clock, as each record with a time implies it; inf: none has one
    low_s: float = inf
    high_s: float = -inf
    timeless_s: float = inf  # when the first record without a time was sent
    implied_at: float = inf  # when it began by event time; of records without a time, their own
    start_at: float = inf
    start_stamp: int = 0
    heard_at: float = -inf  # of the latest record, whose router stands above
    heard_stamp: int = 0
    stop_time_s: int = UNKNOWN - 1  # that: no Stop
    stop_at: float = inf
    stop_cause: int = UNKNOWN
    session_time_s: int = 0
    octets_in: int = 0
    octets_out: int = 0
    packets_in: int = 0
    packets_out: int = 0
    days: bytes = b""
    has_gigawords: bool = False
    samples: Samples | None = None  # as long as there are no gigawords
    recent: bytes = b""  # identities of the newest records, ascending
    older: int = 0  # how many came before those
    # Since when the addresses above were reported; inf: not known
    ipv4_since: float = inf
    ipv6_prefix_since: float = inf
    delegated_since: float = inf
    earlier: list[Held] = []  # what it had besides, ascending


class Summary(msgspec.Struct, array_like=True, gc=False):
    """What is stored of a session: its parts, mostly one."""

    version: int
    parts: list[Part]


class SessionFacts(NamedTuple):
    """The columns of net.session that follow from records. Instants are Unix seconds, days count from 1970-01-01."""

    acct_session_id: str
    user_name: str
    login_id: int | None  # this and the next two: what the Class says
    contract_id: int | None
    plan_id: int | None
    time_zone: str
    grant_node: int | None
    grant_slot: int | None
    grant_serial: int | None
    grant_fingerprint: int | None
    nas_id: int
    source_address: str
    nas_identifier: bytes
    nas_port: int | None
    nas_port_id: str | None
    called_station_id: str | None
    calling_station_id: str | None
    mac: str | None
    circuit_id: str | None
    ipv4: str | None
    ipv6_prefix: str | None
    delegated_ipv6_prefix: str | None
    started_at: float
    start_seen: bool
    heard_at: float
    ended_at: float | None  # of the Stop; None: none came
    terminate_cause: int | None
    interim_s: int | None
    nas_started_at: int | None
    nas_heard_at: int | None
    session_time_s: int
    octets_in: int
    octets_out: int
    packets_in: int
    packets_out: int
    days: tuple[int, ...]
    day_octets_in: tuple[int, ...]
    day_octets_out: tuple[int, ...]
    records: int
    address_changes: (
        bytes | None
    )  # JSON: of kinds that changed each address with when it was reported; None: none did


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Summary).decode
_unpack_class = CLASS_BODY.unpack
_decode_part = msgspec.msgpack.Decoder(Part).decode
_new_tuple = tuple.__new__


def encode(parts: list[Part]) -> bytes:
    """Return the octets that are stored."""
    return _encode(Summary(VERSION, parts))


def decode(data: bytes) -> list[Part]:
    """Return the parts; SpoolError if they cannot be read."""
    try:
        summary = _decode(data)
    except msgspec.DecodeError as error:
        raise SpoolError(f"a session's summary cannot be read: {error}") from error
    if summary.version != VERSION or not summary.parts:
        raise SpoolError(f"a session's summary of version {summary.version} cannot be read")
    return summary.parts


def part_of(record: AccountingRecord, zone: str) -> Part:
    """Return what one record says of its session.

    It is written out, as it runs for every session: `add` to an empty part says the same.
    """
    # fmt: off
    (
        status, _, user_name, acct_session_id, class_body, nas_id, source_address, nas_identifier, _, sent_at_s, at,
        stamp, time_s, octets_in, octets_out, packets_in, packets_out, has_gigawords, cause,
        nas_port, nas_port_id, called, calling, circuit_id, ipv4, ipv6_prefix, delegated,
    ) = record
    is_start, is_stop = status is _START, status is _STOP
    has_time = not is_start and time_s > 0
    low_s = sent_at_s if is_start else sent_at_s - time_s if has_time else inf
    part = Part(
        class_body, zone, user_name, acct_session_id, nas_id, source_address, nas_identifier,
        nas_port, nas_port_id, called, calling, circuit_id,
        at if ipv4 else -inf, ipv4, at if ipv6_prefix else -inf, ipv6_prefix, at if delegated else -inf, delegated,
        low_s, low_s if is_start or has_time else -inf, inf if is_start or has_time else sent_at_s,
        at - time_s if has_time else at, at if is_start else inf, stamp if is_start else 0, at, stamp,
        time_s if is_stop else UNKNOWN - 1, at if is_stop else inf, cause if is_stop else UNKNOWN,
        time_s if time_s > 0 else 0, octets_in, octets_out, packets_in, packets_out, b"", has_gigawords, None,
        _identity(status, stamp, time_s, octets_in, octets_out, packets_in, packets_out), 0,
        at if ipv4 else inf, at if ipv6_prefix else inf, at if delegated else inf,
    )
    # fmt: on
    if octets_in or octets_out:
        _add_octets(part, octets_in, octets_out, time_s, at)
    return part


def add(part: Part, record: AccountingRecord) -> bool:
    """Put one more record into a part; returns whether that changes what the session is called, or where it is.

    It is written out, and takes the record apart at once, as it runs for every record: `merge` says the same.
    """
    # fmt: off
    (
        status, _, user_name, acct_session_id, _, nas_id, source_address, nas_identifier, _, sent_at_s, at, stamp,
        time_s, octets_in, octets_out, packets_in, packets_out, has_gigawords, cause,
        nas_port, nas_port_id, called, calling, circuit_id, ipv4, ipv6_prefix, delegated,
    ) = record
    # fmt: on
    is_renamed = _add_names(part, user_name, acct_session_id, nas_port, nas_port_id, called, calling, circuit_id)
    if ipv4 or ipv6_prefix or delegated:
        is_renamed |= _add_addresses(part, ipv4, ipv6_prefix, delegated, at)
    if at >= part.heard_at:
        is_renamed |= _add_latest(part, (nas_id, source_address, nas_identifier), at, stamp)
    implied_at = at
    if status is _START:
        start_s = sent_at_s
        if (at, stamp) < (part.start_at, part.start_stamp):
            part.start_at, part.start_stamp = at, stamp
    elif time_s > 0:
        start_s = sent_at_s - time_s
        implied_at -= time_s
    else:
        start_s = None
    _add_start(part, start_s, sent_at_s, implied_at)
    if status is _STOP and (time_s, -at, cause) > (part.stop_time_s, -part.stop_at, part.stop_cause):
        part.stop_time_s, part.stop_at, part.stop_cause = time_s, at, cause
    if time_s > part.session_time_s:
        part.session_time_s = time_s
    if packets_in > part.packets_in:
        part.packets_in = packets_in
    if packets_out > part.packets_out:
        part.packets_out = packets_out
    if has_gigawords and not part.has_gigawords:
        part.has_gigawords, part.samples = True, None
    if octets_in or octets_out:
        _add_octets(part, octets_in, octets_out, time_s, at)
    _note(part, _identity(status, stamp, time_s, octets_in, octets_out, packets_in, packets_out))
    return is_renamed


def _add_start(part: Part, start_s: float | None, sent_at_s: float, implied_at: float) -> None:
    if start_s is None:
        part.timeless_s = min(part.timeless_s, sent_at_s)
    else:
        if start_s < part.low_s:
            part.low_s = start_s
        if start_s > part.high_s:
            part.high_s = start_s
    if implied_at < part.implied_at:
        part.implied_at = implied_at


def _add_latest(part: Part, place: tuple[int, str, bytes], at: float, stamp: int) -> bool:
    known = part.nas_id, part.source_address, part.nas_identifier
    if at > part.heard_at:
        part.heard_at, part.heard_stamp = at, stamp
        is_elsewhere = place != known
    else:
        part.heard_stamp = max(stamp, part.heard_stamp)
        is_elsewhere = place > known
    if is_elsewhere:
        part.nas_id, part.source_address, part.nas_identifier = place
    return is_elsewhere


def _add_names(
    part: Part, name: str, session_id: str, nas_port: int, nas_port_id: str, called: str, calling: str, circuit: str
) -> bool:
    is_renamed = False
    if name > part.user_name:
        part.user_name, is_renamed = name, True
    if session_id > part.acct_session_id:
        part.acct_session_id, is_renamed = session_id, True
    if nas_port > part.nas_port:
        part.nas_port, is_renamed = nas_port, True
    if nas_port_id > part.nas_port_id:
        part.nas_port_id, is_renamed = nas_port_id, True
    if called > part.called_station_id:
        part.called_station_id, is_renamed = called, True
    if calling > part.calling_station_id:
        part.calling_station_id, is_renamed = calling, True
    if circuit > part.circuit_id:
        part.circuit_id, is_renamed = circuit, True
    return is_renamed


def _add_addresses(part: Part, ipv4: str, prefix: str, delegated: str, at: float) -> bool:
    is_renamed = False
    if ipv4:
        if ipv4 != part.ipv4:
            is_renamed = _hold(part, Held(0, ipv4, at, at))
        else:
            if at > part.ipv4_at:
                part.ipv4_at = at
            if at < part.ipv4_since:
                part.ipv4_since, is_renamed = at, bool(part.earlier)
    if prefix:
        if prefix != part.ipv6_prefix:
            is_renamed |= _hold(part, Held(1, prefix, at, at))
        else:
            if at > part.ipv6_prefix_at:
                part.ipv6_prefix_at = at
            if at < part.ipv6_prefix_since:
                part.ipv6_prefix_since, is_renamed = at, is_renamed or bool(part.earlier)
    if delegated:
        if delegated != part.delegated_ipv6_prefix:
            is_renamed |= _hold(part, Held(2, delegated, at, at))
        else:
            if at > part.delegated_at:
                part.delegated_at = at
            if at < part.delegated_since:
                part.delegated_since, is_renamed = at, is_renamed or bool(part.earlier)
    return is_renamed


# Of each kind: its value, when that was reported last and first.
_ADDRESSES = (
    ("ipv4", "ipv4_at", "ipv4_since"),
    ("ipv6_prefix", "ipv6_prefix_at", "ipv6_prefix_since"),
    ("delegated_ipv6_prefix", "delegated_at", "delegated_since"),
)


def _held(part: Part, kind: int) -> list[Held]:
    """Return all addresses of a kind that a session had."""
    value, last_at, first_at = (getattr(part, name) for name in _ADDRESSES[kind])
    earlier = [held for held in part.earlier if held.kind == kind]
    return [*earlier, Held(kind, value, first_at, last_at)] if value else earlier


def _hold(part: Part, *more: Held) -> bool:
    """Take addresses of one kind to those that it had: what was reported last stands above, the rest beside."""
    kind = more[0].kind
    of_value, of_last, of_first = _ADDRESSES[kind]
    is_first = len(more) == 1 and not part.earlier and not getattr(part, of_value)
    *earlier, now = more if is_first else combined((*_held(part, kind), *more))
    setattr(part, of_value, now.value)
    setattr(part, of_last, now.last_at)
    setattr(part, of_first, now.first_at)
    if not is_first:
        part.earlier = sorted([held for held in part.earlier if held.kind != kind] + earlier)
    return True


def _address_changes(part: Part) -> bytes | None:
    if not part.earlier:
        return None
    return encode_changes(combined(_held(part, kind)) for kind in range(len(_ADDRESSES)))


def _add_octets(part: Part, octets_in: int, octets_out: int, time_s: int, at: float) -> None:
    if octets_in > part.octets_in:
        part.octets_in = octets_in
    if octets_out > part.octets_out:
        part.octets_out = octets_out
    day = day_of(part.zone, at)
    part.days = raise_day(part.days, day, octets_in, octets_out)
    if not part.has_gigawords and time_s >= 0:
        if part.samples is None:
            part.samples = Samples()
        part.samples.add(time_s, day, octets_in, octets_out)


def _identity(status: Status, stamp: int, time_s: int, *counters: int) -> bytes:
    """Return what tells a record from the others of its session, and orders them: time and status.

    A repeated record may have another Acct-Delay-Time (RFC 2866, 5.2), so neither it nor event time tells.
    """
    if status is _START:
        return _IDENTITY_OF_START
    kind, number = _KIND[status], time_s
    if number < 0:
        kind |= _TIMELESS
        number = stamp
        if not number:
            octets_in, octets_out, packets_in, packets_out = counters
            number = (octets_in * _SPREAD ^ octets_out) * _SPREAD ^ packets_in ^ packets_out
    return _pack_identity((number & _TIME_MASK) << _KIND_BITS | kind)


def _note(part: Part, identity: bytes) -> None:
    """Put an identity among the newest, unless it is there; what was pushed out is counted once and for all."""
    recent = part.recent
    if identity > recent[-_RECENT_OCTETS:]:
        recent += identity
    else:
        at = 0
        end = len(recent)
        while at < end and recent[at : at + _RECENT_OCTETS] < identity:
            at += _RECENT_OCTETS
        if recent[at : at + _RECENT_OCTETS] == identity:
            return
        recent = recent[:at] + identity + recent[at:]
    if len(recent) > _RECENT_SIZE_MAX:
        recent = recent[_RECENT_OCTETS:]
        part.older += 1
    part.recent = recent


def merge(parts: Iterable[Part]) -> Part:
    """Return one part that knows what all of these know; they stay as they are."""
    first, *others = parts
    merged = _decode_part(_encode(first))
    for other in others:
        _merge_into(merged, other)
    return merged


def _merge_into(part: Part, other: Part) -> None:
    part.grant = max(part.grant, other.grant)
    part.zone = min(part.zone, other.zone)
    place = other.heard_at, other.nas_id, other.source_address, other.nas_identifier
    if place > (part.heard_at, part.nas_id, part.source_address, part.nas_identifier):
        part.nas_id, part.source_address, part.nas_identifier = place[1:]
    if (other.heard_at, other.heard_stamp) > (part.heard_at, part.heard_stamp):
        part.heard_at, part.heard_stamp = other.heard_at, other.heard_stamp
    for kind in range(len(_ADDRESSES)):
        if held := _held(other, kind):
            _hold(part, *held)
    for name in _HIGHEST:
        setattr(part, name, max(getattr(part, name), getattr(other, name)))
    for name in _LEAST:
        setattr(part, name, min(getattr(part, name), getattr(other, name)))
    if (other.start_at, other.start_stamp) < (part.start_at, part.start_stamp):
        part.start_at, part.start_stamp = other.start_at, other.start_stamp
    stop = other.stop_time_s, -other.stop_at, other.stop_cause
    if stop > (part.stop_time_s, -part.stop_at, part.stop_cause):
        part.stop_time_s, part.stop_at, part.stop_cause = other.stop_time_s, other.stop_at, other.stop_cause
    part.days = raise_days(part.days, other.days)
    if part.has_gigawords:
        part.samples = None
    elif other.samples is not None:
        if part.samples is None:
            part.samples = Samples()
        part.samples.merge(other.samples)
    part.older += other.older
    for at in range(0, len(other.recent), _RECENT_OCTETS):
        _note(part, other.recent[at : at + _RECENT_OCTETS])


_HIGHEST = (
    *("user_name", "acct_session_id", "nas_port", "nas_port_id", "called_station_id", "calling_station_id"),
    *("circuit_id", "high_s", "session_time_s", "octets_in", "octets_out", "packets_in", "packets_out"),
    "has_gigawords",
)
_LEAST = ("low_s", "timeless_s", "implied_at")


class Progress(NamedTuple):
    """The part of SessionFacts that changes while a session goes on."""

    started_at: float
    start_seen: bool
    heard_at: float
    ended_at: float | None
    terminate_cause: int | None
    interim_s: int | None
    nas_started_at: int | None
    nas_heard_at: int | None
    session_time_s: int
    octets_in: int
    octets_out: int
    packets_in: int
    packets_out: int
    days: tuple[int, ...]
    day_octets_in: tuple[int, ...]
    day_octets_out: tuple[int, ...]
    records: int


def started_at(part: Part) -> float:
    """Return when the session began: by its Start, else by what the other records tell."""
    began_at, heard_at, stop_at = part.start_at, part.heard_at, part.stop_at
    if began_at == inf:
        began_at = part.implied_at
    if heard_at < began_at:
        began_at = heard_at
    return stop_at if stop_at < began_at else began_at


def ended_at(part: Part) -> float | None:
    """Return when its Stop says that it ended, None without one."""
    return part.stop_at if part.stop_time_s >= UNKNOWN else None


def progress(part: Part) -> Progress:
    """Return the columns that change while a session goes on."""
    octets_in, octets_out, days = part.octets_in, part.octets_out, part.days
    recent, cause = part.recent, part.stop_cause
    if part.samples is not None:
        octets_in = max(octets_in, part.samples.now.total_in)
        octets_out = max(octets_out, part.samples.now.total_out)
        days = raise_days(part.samples.now.days, days)
    numbers, day_octets_in, day_octets_out = highest_of_days(days)
    # fmt: off
    return _new_tuple(Progress, (
        started_at(part), part.start_at != inf, part.heard_at, ended_at(part), cause if cause >= 0 else None,
        _interim_s(recent), part.start_stamp or None, part.heard_stamp or None, part.session_time_s,
        octets_in, octets_out, part.packets_in, part.packets_out, numbers, day_octets_in, day_octets_out,
        part.older + len(recent) // _RECENT_OCTETS,
    ))
    # fmt: on


def facts(part: Part) -> SessionFacts:
    """Return the columns that follow from a session's records."""
    if part.grant:
        _, slot, node, serial, login_id, contract_id, plan_id, fingerprint, _ = _unpack_class(part.grant)
        grant: tuple[int | None, ...] = (node, slot, serial, fingerprint)
        owner: tuple[int | None, ...] = (login_id, contract_id, plan_id)
    else:
        grant, owner = _NO_GRANT, _NO_OWNER
    # fmt: off
    return _new_tuple(SessionFacts, (
        part.acct_session_id, part.user_name, *owner, part.zone, *grant,
        part.nas_id, part.source_address, part.nas_identifier,
        part.nas_port if part.nas_port >= 0 else None, part.nas_port_id or None, part.called_station_id or None,
        part.calling_station_id or None, _mac(part.calling_station_id), part.circuit_id or None,
        part.ipv4 or None, part.ipv6_prefix or None, part.delegated_ipv6_prefix or None,
        *progress(part), _address_changes(part),
    ))
    # fmt: on


_NO_GRANT = (None, None, None, None)
_NO_OWNER = (None, None, None)
_MAC_LENGTH, _MAC_DIGITS, _NO_MAC = 17, 12, "0" * 12


def _mac(calling_station_id: str) -> str | None:
    if not calling_station_id:
        return None
    if len(calling_station_id) == _MAC_LENGTH:  # as nearly all write it; the rest is looked at more closely
        digits = calling_station_id.replace(":", "")
        if len(digits) == _MAC_DIGITS and digits.isalnum():
            try:
                return bytes.fromhex(digits).hex(":") if digits != _NO_MAC else None
            except ValueError:
                return None
    octets = mac_of(calling_station_id.encode())
    return octets.hex(":") if octets is not None and any(octets) else None


_unpack_identities = {count: Struct(f"!{count}I").unpack_from for count in range(1, _INTERIMS_SEEN + 2)}


def _interim_s(recent: bytes) -> int | None:
    """Return the session's own interval: the middle one of those between its newest Interim-Updates and its Start."""
    count = min(len(recent) // _RECENT_OCTETS, _INTERIMS_SEEN + 1)
    if count < 2:
        return None
    steps, before = [], -1
    for identity in _unpack_identities[count](recent, len(recent) - count * _RECENT_OCTETS):
        if identity & _KIND_MASK <= _INTERIM_KIND:
            if before >= 0:
                steps.append((identity >> _KIND_BITS) - before)
            before = identity >> _KIND_BITS
    if len(steps) < _STEPS_TELL:  # a first update right after the Start tells of an address and not of an interval
        steps = [step for step in steps if step >= _INTERVAL_MIN_S]
    steps.sort()
    return (steps[len(steps) // 2] or None) if steps else None


def grant_key(part: Part) -> bytes:
    """Return which grant a part is of; empty: none is known."""
    return part.grant[GRANT_KEY]
