"""What a concentrator does when it is told to change or to end a session: RFC 5176, as RouterOS and accel-ppp do it.

Pure. An order that is not signed by who has the secret, or comes from who is no server of its, gets no answer. A
session must fit everything that names it; what names no session is refused with the cause that its kind of
concentrator gives, by which a server tells "gone" from "wrong". A CoA-Request changes what the session has (see
`granted`); how willingly orders are taken is the concentrator's `temper`.

RouterOS wants two names, finds a Hotspot's session by its address only, and takes a User-Name that is a device's
address for another kind of session. accel-ppp (`dm_coa.c`): every name given must fit; while one order about a
session is not answered, a second one gets no answer.
"""

import hashlib
import hmac
import re
import struct
from collections.abc import Callable, Container, Iterable
from typing import NamedTuple

from aaad.simulator.accounting import CLASS, SESSION_TIMEOUT, Session
from aaad.simulator.granted import changed_by_accel_ppp, changed_by_routeros
from aaad.simulator.methods import Service
from aaad.simulator.nas import OrderCounters
from aaad.simulator.packet import MESSAGE_AUTHENTICATOR, VENDOR_SPECIFIC, Attribute, attribute, number, vendor_pieces
from aaad.simulator.request import (
    ACCT_SESSION_ID,
    CALLING_STATION_ID,
    FRAMED_IP_ADDRESS,
    NAS_IDENTIFIER,
    NAS_IP_ADDRESS,
    USER_NAME,
    Look,
    Nas,
    packed_address,
)
from aaad.simulator.subscriber import format_mac
from aaad.simulator.temper import OBEDIENT, Temper

DISCONNECT_REQUEST, COA_REQUEST = 40, 43
PROXY_STATE, ERROR_CAUSE = 33, 101
UNSUPPORTED_ATTRIBUTE, MISSING_ATTRIBUTE, NAS_MISMATCH, INVALID_REQUEST, SESSION_NOT_FOUND = 401, 402, 403, 404, 503
SESSION_NOT_FOUND_ON_ROUTEROS = 406
_WITHOUT_CAUSE = 0
_HEAD = 20
_NAMES = (USER_NAME, ACCT_SESSION_ID, FRAMED_IP_ADDRESS, CALLING_STATION_ID)
_NAMES_MIN = 2  # RouterOS: one is not enough
_MAC = re.compile(rb"(?:[0-9A-F]{2}[:-]){5}[0-9A-F]{2}|[0-9A-F]{12}", re.IGNORECASE)

Find = Callable[[bytes], Session | None]  # by Acct-Session-Id


class Obeyed(NamedTuple):
    """What an order came to: the answer, and how late it is."""

    answer: bytes
    ended: Session | None = None
    timed: Session | None = None  # it was told when to end
    about: Session | None = None  # whichever of these, or neither
    late_s: float = 0.0


class Refused(NamedTuple):
    """Why an order is not carried out; 0: no cause is told."""

    cause: int


def obey(
    nas: Nas,
    datagram: bytes,
    find: Find,
    counters: OrderCounters,
    *,
    sender: str = "",
    everyone: Callable[[], Iterable[Session]] = tuple,
    busy: Container[Session] = (),
) -> Obeyed | None:
    """Carry out an order; None: it gets no answer. `busy` are the sessions of which another is not answered yet."""
    counters.requests += 1
    said = _verified(datagram, nas.secret)
    if said is None or (nas.order_sources and sender not in nas.order_sources):
        counters.bad_requests += 1
        return None
    temper = _temper(nas, datagram[0], counters)
    if temper.is_silent:
        return None
    found = Refused(temper.nak) if temper.nak is not None else _found(nas, said, find, everyone)
    if not isinstance(found, Refused):
        if nas.kind.look is Look.ACCEL_PPP and found in busy:
            return None
        if not temper.is_idle and datagram[0] == COA_REQUEST and not _change(nas, found, said):
            found = Refused(_WITHOUT_CAUSE)
    states = b"".join(attribute(kind, value) for vendor, kind, value in said if (vendor, kind) == (0, PROXY_STATE))
    if isinstance(found, Refused):
        counters.naks += 1
        counters.causes.append(found.cause)
        cause = number(ERROR_CAUSE, found.cause) if found.cause else b""
        return Obeyed(_answer(datagram[0] + 2, datagram, cause + states, nas.secret), late_s=temper.late_s)
    counters.acks += 1
    answer = _answer(datagram[0] + 1, datagram, states, nas.secret)
    done = None if temper.is_idle else found
    is_end = datagram[0] == DISCONNECT_REQUEST
    return Obeyed(
        answer, done if is_end else None, done if not is_end and tells_end(nas, said) else None, found, temper.late_s
    )


def tells_end(nas: Nas, said: list[Attribute]) -> bool:
    """Tell whether a CoA-Request says how long a session may last; accel-ppp reads that where no Class stands."""
    kinds = {kind for vendor, kind, _ in said if not vendor}
    return SESSION_TIMEOUT in kinds and (nas.kind.look is Look.ROUTEROS or CLASS not in kinds)


def _temper(nas: Nas, code: int, counters: OrderCounters) -> Temper:
    temper = nas.coa if code == COA_REQUEST else nas.disconnect
    counters.by_code[code] = counters.by_code.get(code, 0) + 1
    return OBEDIENT if temper.times and counters.by_code[code] > temper.times else temper


def _change(nas: Nas, session: Session, said: list[Attribute]) -> bool:
    """Give a session what a CoA-Request says; False if that fails."""
    if nas.kind.look is Look.ROUTEROS:
        session.granted = changed_by_routeros(session.granted, said, takes_lists=nas.coa_takes_lists)
        return True
    granted = changed_by_accel_ppp(session.granted, said)
    if granted is None:
        return False
    session.granted = granted
    return True


def _found(
    nas: Nas, said: list[Attribute], find: Find, everyone: Callable[[], Iterable[Session]]
) -> Session | Refused:
    """Return the session that an order names, or why it is refused."""
    names = {kind: value for vendor, kind, value in said if not vendor and kind in _NAMES}
    is_routeros = nas.kind.look is Look.ROUTEROS
    for vendor, kind, value in said:
        if (vendor, kind) == (0, NAS_IDENTIFIER) and value != nas.name.encode():
            return Refused(NAS_MISMATCH)
        if (vendor, kind) == (0, NAS_IP_ADDRESS) and (is_routeros or value != packed_address(nas)):
            return Refused(NAS_MISMATCH)
    if is_routeros:
        return _found_by_routeros(names, find, everyone)
    if not names:
        return Refused(SESSION_NOT_FOUND)
    candidates = everyone() if ACCT_SESSION_ID not in names else filter(None, [find(names[ACCT_SESSION_ID])])
    return next((session for session in candidates if _fits(session, names)), Refused(SESSION_NOT_FOUND))


def _found_by_routeros(
    names: dict[int, bytes], find: Find, everyone: Callable[[], Iterable[Session]]
) -> Session | Refused:
    if len(names) < _NAMES_MIN:
        return Refused(MISSING_ATTRIBUTE)
    if _MAC.fullmatch(names.get(USER_NAME, b"")):  # it looks for a wireless client of this address
        return Refused(SESSION_NOT_FOUND_ON_ROUTEROS)
    if ACCT_SESSION_ID in names:
        session = find(names[ACCT_SESSION_ID])
    else:
        session = next((one for one in everyone() if _fits(one, names)), None)
    if session is None or not _fits(session, names) or (_is_guest(session) and FRAMED_IP_ADDRESS not in names):
        return Refused(SESSION_NOT_FOUND_ON_ROUTEROS)
    return session


def _is_guest(session: Session) -> bool:
    return session.subscriber.method.service is Service.HOTSPOT


def _fits(session: Session, names: dict[int, bytes]) -> bool:
    """Tell whether a session fits each name that is given."""
    own = {
        USER_NAME: session.subscriber.name.encode(),
        ACCT_SESSION_ID: session.session_id,
        FRAMED_IP_ADDRESS: session.address,
    }
    if not all(own[kind] == value for kind, value in names.items() if kind in own):
        return False
    caller = names.get(CALLING_STATION_ID)
    return caller is None or caller.upper() == format_mac(session.subscriber.mac, "XX:XX:XX:XX:XX:XX").encode()


def _verified(datagram: bytes, secret: bytes) -> list[Attribute] | None:
    """Return the attributes of an order that is whole and signed with the secret, else None."""
    if len(datagram) < _HEAD or datagram[0] not in (DISCONNECT_REQUEST, COA_REQUEST):
        return None
    length = struct.unpack_from("!H", datagram, 2)[0]
    if not _HEAD <= length <= len(datagram):
        return None
    data = datagram[:length]
    unsigned = data[:4] + bytes(16) + data[_HEAD:]
    if not hmac.compare_digest(hashlib.md5(unsigned + secret).digest(), data[4:_HEAD]):
        return None
    said: list[Attribute] = []
    at = _HEAD
    while at < length:
        if at + 2 > length or data[at + 1] < 2 or at + data[at + 1] > length:
            return None
        kind, value = data[at], data[at + 2 : at + data[at + 1]]
        if kind == MESSAGE_AUTHENTICATOR:
            seen = unsigned[: at + 2] + bytes(16) + unsigned[at + 18 :]
            if len(value) != 16 or not hmac.compare_digest(hmac.digest(secret, seen, "md5"), value):
                return None
        elif kind == VENDOR_SPECIFIC:
            said += vendor_pieces(value)
        else:
            said.append(Attribute(0, kind, value))
        at += data[at + 1]
    return said


def _answer(code: int, request: bytes, attributes: bytes, secret: bytes) -> bytes:
    head = struct.pack("!BBH", code, request[1], _HEAD + len(attributes))
    return head + hashlib.md5(head + request[4:_HEAD] + attributes + secret).digest() + attributes
