"""What a concentrator does when it is told to change or to end a session: RFC 5176, as RouterOS and accel-ppp do it.

Pure. An order that is not signed by who has the secret gets no answer. A session must fit everything that names it;
what names no session is refused with the cause that its kind of concentrator gives, by which a server tells "gone"
from "wrong".
"""

import hashlib
import hmac
import struct
from collections.abc import Callable
from typing import NamedTuple

from aaad.simulator.accounting import Session
from aaad.simulator.nas import OrderCounters
from aaad.simulator.packet import MESSAGE_AUTHENTICATOR, VENDOR_SPECIFIC, attribute, number
from aaad.simulator.request import ACCT_SESSION_ID, FRAMED_IP_ADDRESS, NAS_IDENTIFIER, Look, Nas

DISCONNECT_REQUEST, COA_REQUEST = 40, 43
USER_NAME, NAS_IP_ADDRESS, PROXY_STATE, ERROR_CAUSE = 1, 4, 33, 101
MISSING_ATTRIBUTE, NAS_MISMATCH, SESSION_NOT_FOUND = 402, 403, 503
SESSION_NOT_FOUND_ON_ROUTEROS = 406
_HEAD = 20
_NAMES = (USER_NAME, ACCT_SESSION_ID, FRAMED_IP_ADDRESS)
_NAMES_MIN = 2  # RouterOS: one is not enough

Find = Callable[[bytes], Session | None]  # by Acct-Session-Id


class Obeyed(NamedTuple):
    """What an order came to: the answer, and which session it ended, if it ended one."""

    answer: bytes
    ended: Session | None = None


def obey(nas: Nas, datagram: bytes, find: Find, counters: OrderCounters) -> Obeyed | None:
    """Carry out an order; None: it gets no answer."""
    counters.requests += 1
    said = _verified(datagram, nas.secret)
    if said is None:
        counters.bad_requests += 1
        return None
    session, cause = _found(nas, said, find)
    code = datagram[0]
    if cause:
        counters.naks += 1
        counters.causes.append(cause)
        return Obeyed(_answer(code + 2, datagram, number(ERROR_CAUSE, cause) + _states(said), nas.secret))
    counters.acks += 1
    answer = _answer(code + 1, datagram, _states(said), nas.secret)
    return Obeyed(answer, session if code == DISCONNECT_REQUEST else None)


def _found(nas: Nas, said: list[tuple[int, bytes]], find: Find) -> tuple[Session | None, int]:
    """Return the session that an order names, or the cause for which it is refused."""
    is_routeros = nas.kind.look is Look.ROUTEROS
    names = {kind: value for kind, value in said if kind in _NAMES}
    for kind, value in said:
        if kind == NAS_IDENTIFIER and value != nas.name.encode():
            return None, NAS_MISMATCH
        if kind == NAS_IP_ADDRESS and is_routeros:
            return None, NAS_MISMATCH
    if len(names) < _NAMES_MIN or ACCT_SESSION_ID not in names:
        return None, MISSING_ATTRIBUTE
    session = find(names[ACCT_SESSION_ID])
    if (
        session is None
        or names.get(USER_NAME, session.subscriber.name.encode()) != session.subscriber.name.encode()
        or names.get(FRAMED_IP_ADDRESS, session.address) != session.address
    ):
        return None, SESSION_NOT_FOUND_ON_ROUTEROS if is_routeros else SESSION_NOT_FOUND
    return session, 0


def _verified(datagram: bytes, secret: bytes) -> list[tuple[int, bytes]] | None:
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
    said: list[tuple[int, bytes]] = []
    at = _HEAD
    while at < length:
        if at + 2 > length or data[at + 1] < 2 or at + data[at + 1] > length:
            return None
        kind, value = data[at], data[at + 2 : at + data[at + 1]]
        if kind == MESSAGE_AUTHENTICATOR:
            seen = unsigned[: at + 2] + bytes(16) + unsigned[at + 18 :]
            if len(value) != 16 or not hmac.compare_digest(hmac.digest(secret, seen, "md5"), value):
                return None
        elif kind != VENDOR_SPECIFIC:
            said.append((kind, value))
        at += data[at + 1]
    return said


def _states(said: list[tuple[int, bytes]]) -> bytes:
    return b"".join(attribute(kind, value) for kind, value in said if kind == PROXY_STATE)


def _answer(code: int, request: bytes, attributes: bytes, secret: bytes) -> bytes:
    head = struct.pack("!BBH", code, request[1], _HEAD + len(attributes))
    return head + hashlib.md5(head + request[4:_HEAD] + attributes + secret).digest() + attributes
