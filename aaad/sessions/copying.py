"""Rows of net.session in the form that PostgreSQL takes fastest: COPY's binary format.

Pure. Columns stand in an order of our own: first those that are never null, packed in one go. Instants are whole
microseconds, as PostgreSQL keeps them.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv6Network, ip_address
from struct import Struct
from typing import Any

from aaad.sessions.draft import NO_ADDRESSES, Draft, Owner, microseconds
from aaad.sessions.summary import progress

COLUMNS = (
    *("family", "life", "version", "nas_id", "address_space", "started_at", "start_seen", "heard_at"),
    *("session_time_s", "octets_in", "octets_out", "packets_in", "packets_out", "records"),
    *("login_id", "contract_id", "client_id", "plan_id", "branch_id"),
    *("grant_node", "grant_slot", "grant_serial", "grant_fingerprint"),
    *("summary", "acct_session_id", "user_name", "time_zone", "source_address", "nas_identifier"),
    *("nas_port", "nas_port_id", "called_station_id", "calling_station_id", "mac", "circuit_id"),
    *("ipv4", "ipv4_evidence", "ipv6_prefix", "ipv6_prefix_evidence"),
    *("delegated_ipv6_prefix", "delegated_ipv6_prefix_evidence"),
    *("ended_at", "ended_latest", "end_evidence"),
    *("terminate_cause", "interim_s", "nas_started_at", "nas_heard_at"),
    *("days", "day_octets_in", "day_octets_out", "address_changes"),
)

# Of sessions that only go on.
PROGRESS_COLUMNS = (
    *("family", "life", "version", "started_at", "start_seen", "heard_at", "session_time_s"),
    *("octets_in", "octets_out", "packets_in", "packets_out", "records"),
    *("summary", "ended_at", "ended_latest", "end_evidence"),
    *("terminate_cause", "interim_s", "nas_started_at", "nas_heard_at"),
    *("days", "day_octets_in", "day_octets_out"),
)

_ROWS_PER_PIECE = 100  # under a millisecond: PostgreSQL inserts one piece while the next is made

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_EPOCH_US = 946_684_800_000_000  # PostgreSQL's, 2000-01-01
_EPOCH_DAY = 10_957
_US = 1_000_000
_DATE, _BIGINT = 1082, 20  # their object ids in every PostgreSQL
_INET, _INET6 = 2, 3
_IPV6_GROUPS = 8
_HOST = Struct(">iBBBB").pack(8, _INET, 32, 0, 4)
_JSONB = b"\x01"  # the version of its binary form: text follows

# Each value behind its size.
_count = Struct(">h").pack(len(COLUMNS))
_fixed = Struct(">i16s ii ii ii ii iq i? iq iq iq iq iq iq ii".replace(" ", "")).pack
_progress_count = Struct(">h").pack(len(PROGRESS_COLUMNS))
_progress_fixed = Struct(">i16s ii ii iq i? iq iq iq iq iq iq ii".replace(" ", "")).pack
_integer = Struct(">ii").pack
_clocks = Struct(">iqiq").pack
_long = Struct(">iq").pack
_size = Struct(">i").pack
_five = Struct(">iiiiiiiiii").pack
_grant = Struct(">iiiiiqiq").pack
_groups = Struct(">8H").pack
# Three arrays of one element each. Their heads: octets, dimensions, whether nulls, type, length, first index, size.
_DATE_HEAD = Struct(">iiiiiii").pack(28, 1, 0, _DATE, 1, 1, 4)
_LONG_HEAD = Struct(">iiiiiii").pack(32, 1, 0, _BIGINT, 1, 1, 8)
_one_day = Struct(">28si28sq28sq").pack


_OPEN = _NULL * 3
_NO_GRANT = _NULL * 4
_NO_ADDRESS = _NULL * 2
_REPORTED = _size(8) + b"reported"
_REPORTED_ALONE = _REPORTED + _NO_ADDRESS + _NO_ADDRESS
_GRANTED = _size(7) + b"granted"
_UNOWNED = _NULL * 5
_NO_NUMBERS = {oid: _size(12) + Struct(">iii").pack(0, 0, oid) for oid in (_DATE, _BIGINT)}


def rows(drafts: Sequence[Draft]) -> Iterator[bytes]:
    """Return the rows as COPY takes them, in pieces. Columns of an owner are null where it stays as it is."""
    return _encoded(drafts, _add)


def _encoded(drafts: Sequence[Draft], add: Callable[[list[bytes], Draft], None]) -> Iterator[bytes]:
    yield _HEADER
    for start in range(0, len(drafts), _ROWS_PER_PIECE):
        pieces: list[bytes] = []
        for draft in drafts[start : start + _ROWS_PER_PIECE]:
            add(pieces, draft)
        yield b"".join(pieces)
    yield _TRAILER


def _add(pieces: list[bytes], draft: Draft) -> None:
    # fmt: off
    (
        session_id, user_name, _, _, _, zone, node, slot, serial, fingerprint, nas_id, source_address, nas_identifier,
        nas_port, nas_port_id, called, calling, mac, circuit, ipv4, ipv6_prefix, delegated,
        started_at, start_seen, heard_at, _, cause, interim_s, nas_started_at, nas_heard_at,
        time_s, octets_in, octets_out, packets_in, packets_out, days, day_in, day_out, records, changes,
    ) = draft.facts
    summary = draft.summary
    pieces += (
        _count,
        _fixed(
            16, draft.family, 4, draft.life, 4, draft.version or 1, 4, nas_id, 4, draft.address_space,
            8, microseconds(started_at) - _EPOCH_US, 1, start_seen, 8, microseconds(heard_at) - _EPOCH_US,
            8, time_s, 8, octets_in, 8, octets_out, 8, packets_in, 8, packets_out, 4, records,
        ),
        _owner(draft.owner),
        _NO_GRANT if serial is None else _grant(4, node, 4, slot, 8, serial, 8, fingerprint),
        _size(len(summary)),
        summary,
        _text(session_id),
        _text(user_name),
        _known_text(zone),
        _source(source_address),
        _identifier(nas_identifier),
        _NULL if nas_port is None else _long(8, nas_port),
        _NULL if nas_port_id is None else _known_text(nas_port_id),
        _NULL if called is None else _known_text(called),
        _NULL if calling is None else _text(calling),
        _NULL if mac is None else b"\0\0\0\x06" + bytes.fromhex(mac.replace(":", "")),
        _NULL if circuit is None else _text(circuit),
        _addresses(draft, ipv4, ipv6_prefix, delegated),
    )
    # fmt: on
    _add_end(pieces, draft, (cause, interim_s, nas_started_at, nas_heard_at, days, day_in, day_out))
    pieces.append(_NULL if changes is None else _octets(_JSONB + changes))


def _add_end(pieces: list[bytes], draft: Draft, said: tuple[Any, ...]) -> None:
    """Add what stands last in both forms: the end, intervals, the concentrator's own clock, days."""
    cause, interim_s, nas_started_at, nas_heard_at, days, day_in, day_out = said
    pieces += (
        _OPEN if draft.ended_at is None and draft.ending is None else _end(draft),
        _NULL if cause is None else _integer(4, cause),
        _NULL if interim_s is None else _integer(4, interim_s),
    )
    if nas_started_at is not None and nas_heard_at is not None:
        pieces.append(_clocks(8, nas_started_at * _US - _EPOCH_US, 8, nas_heard_at * _US - _EPOCH_US))
    else:
        for stamp in (nas_started_at, nas_heard_at):
            pieces.append(_NULL if stamp is None else _long(8, stamp * _US - _EPOCH_US))
    if len(days) == 1:
        pieces.append(_one_day(_DATE_HEAD, days[0] - _EPOCH_DAY, _LONG_HEAD, day_in[0], _LONG_HEAD, day_out[0]))
    else:
        pieces += (_dates(days), _longs(day_in), _longs(day_out))


def progress_rows(drafts: Sequence[Draft]) -> Iterator[bytes]:
    """Return the rows of sessions that only go on, in pieces."""
    return _encoded(drafts, _add_progress)


def _add_progress(pieces: list[bytes], draft: Draft) -> None:
    # fmt: off
    (
        started_at, start_seen, heard_at, _, cause, interim_s, nas_started_at, nas_heard_at,
        time_s, octets_in, octets_out, packets_in, packets_out, days, day_in, day_out, records,
    ) = progress(draft.part)
    summary = draft.summary
    pieces += (
        _progress_count,
        _progress_fixed(
            16, draft.family, 4, draft.life, 4, draft.version,
            8, microseconds(started_at) - _EPOCH_US, 1, start_seen, 8, microseconds(heard_at) - _EPOCH_US,
            8, time_s, 8, octets_in, 8, octets_out, 8, packets_in, 8, packets_out, 4, records,
        ),
        _size(len(summary)),
        summary,
    )
    # fmt: on
    _add_end(pieces, draft, (cause, interim_s, nas_started_at, nas_heard_at, days, day_in, day_out))


def _owner(owner: Owner | None) -> bytes:
    if owner is None:
        return _UNOWNED
    numbers = owner.login_id, owner.contract_id, owner.client_id, owner.plan_id, owner.branch_id
    login_id, contract_id, client_id, plan_id, branch_id = numbers
    if login_id and contract_id and client_id and plan_id and branch_id:
        return _five(4, login_id, 4, contract_id, 4, client_id, 4, plan_id, 4, branch_id)
    return b"".join(_NULL if number is None else _integer(4, number) for number in numbers)


def _addresses(draft: Draft, ipv4: str | None, ipv6_prefix: str | None, delegated: str | None) -> bytes:
    if ipv4 is not None and ipv6_prefix is None and delegated is None and draft.granted == NO_ADDRESSES:
        return _host(ipv4) + _REPORTED_ALONE
    pieces = []
    encoders = (_host, _prefix, _prefix)
    for encoder, reported, granted in zip(encoders, (ipv4, ipv6_prefix, delegated), draft.granted, strict=True):
        if reported is not None:
            pieces.append(encoder(reported) + _REPORTED)
        elif granted is not None:
            pieces.append(encoder(granted) + _GRANTED)
        else:
            pieces.append(_NO_ADDRESS)
    return b"".join(pieces)


def _end(draft: Draft) -> bytes:
    """Return until when it was connected for certain and perhaps, and how that is known (rule R9.1)."""
    if draft.ended_at is not None:
        at = _long(8, microseconds(draft.ended_at) - _EPOCH_US)
        return at + at + b"\0\0\0\x04stop"
    if draft.ending is None:
        return _OPEN
    heard = _long(8, microseconds(draft.heard_at) - _EPOCH_US)
    latest = _long(8, microseconds(draft.ending.latest_s) - _EPOCH_US)
    return heard + latest + _known_text(draft.ending.evidence)


def _octets(data: bytes) -> bytes:
    return _size(len(data)) + data


def _text(text: str) -> bytes:
    data = text.encode()
    return _size(len(data)) + data


_known_text = lru_cache(8192)(_text)
_identifier = lru_cache(8192)(_octets)


@lru_cache(8192)
def _source(address: str) -> bytes:
    """Return the inet of a router, of which there are few."""
    return _host(address)


def _host(address: str) -> bytes:
    parts = address.split(".")
    if len(parts) == 4 and ":" not in address:
        return _HOST + bytes(map(int, parts))
    packed = ip_address(address).packed
    return _size(4 + len(packed)) + bytes((_INET6, len(packed) * 8, 0, len(packed))) + packed


def _prefix(prefix: str) -> bytes:
    address, _, bits = prefix.partition("/")
    groups = address.split(":")
    if len(groups) == _IPV6_GROUPS and "" not in groups and "." not in address:
        packed = _groups(*[int(group, 16) for group in groups])
        length = int(bits)
    else:
        network = IPv6Network(prefix)
        packed, length = network.network_address.packed, network.prefixlen
    return b"\0\0\0\x14" + bytes((_INET6, length, 1, 16)) + packed


def _dates(days: Sequence[int]) -> bytes:
    if not days:
        return _NO_NUMBERS[_DATE]
    return _array(_DATE, [_integer(4, day - _EPOCH_DAY) for day in days])


def _longs(numbers: Sequence[int]) -> bytes:
    if not numbers:
        return _NO_NUMBERS[_BIGINT]
    return _array(_BIGINT, [_long(8, number) for number in numbers])


_array_head = Struct(">iiiii").pack  # dimensions, whether nulls, type, length, first index


def _array(oid: int, items: Sequence[bytes]) -> bytes:
    body = _array_head(1, 0, oid, len(items), 1) + b"".join(items)
    return _size(len(body)) + body
