"""Orders to a NAS about one session: CoA-Request and Disconnect-Request, and what its answer says.

Pure. RFC 5176: 2.3 and 3 (packets; a request sent again is the same, octet for octet), 3.4 (Message-Authenticator is
made before the Request Authenticator, in whose place zeros stand), 3.5 (Error-Cause), 6.3 (Event-Timestamp against
replays: only to kinds that want it, since a NAS with a wrong clock drops what bears one). What differs between
vendors stands in `kinds`. A CoA-Request that names a session and changes nothing is a probe: its ACK proves that the
session lives (rule R5.4); a NAK proves nothing but, by the causes of its kind, that there is no such session.
"""

from enum import IntEnum
from hmac import compare_digest
from ipaddress import IPv4Address
from struct import Struct
from typing import NamedTuple

from aaad.errors import MalformedPacket
from aaad.radius.integrity import SecretKeys
from aaad.radius.kinds import NasKind
from aaad.radius.lookup import mac_number
from aaad.radius.packet import HEADER_SIZE, VALUE_SIZE_MAX, attribute, packet_length, value_at, walk

_USER_NAME, _FRAMED_IP_ADDRESS, _ACCT_SESSION_ID, _MESSAGE_AUTHENTICATOR, _ERROR_CAUSE = 1, 8, 44, 80, 101
_EVENT_TIMESTAMP = 55
_ZEROS = bytes(16)
_UNSIGNED = bytes((_MESSAGE_AUTHENTICATOR, 18)) + _ZEROS
_NAMES_MIN = 2  # RouterOS wants two at least
_pack_header = Struct("!BBH").pack


class Order(IntEnum):
    """What is asked for. Each code's ACK and NAK are the next two (RFC 5176, 2.3)."""

    DISCONNECT = 40
    CHANGE = 43

    @property
    def ack(self) -> int:
        """The code of an answer that says: done."""
        return self + 1

    @property
    def nak(self) -> int:
        """The code of an answer that says: not done."""
        return self + 2


class Outcome(IntEnum):
    """What an answer says."""

    DONE = 1
    GONE = 2  # there is no such session
    REFUSED = 3  # for another cause: nothing is known of the session


class NoAnswer(IntEnum):
    """Why there is no answer of the NAS."""

    SILENT = 1  # nothing came: lost, another secret, or it does not take us for its server
    REJECTED = 2  # the way there says so by ICMP: nobody listens at that port, or a firewall forbids it
    UNSENT = 3  # it never left: not an address of this machine, or too much is on its way


ERROR_CAUSES = {  # RFC 5176, 3.5, RFC 6677; 406 is what RouterOS says of a session that it does not have
    201: "Residual Session Context Removed",
    202: "Invalid EAP Packet",
    401: "Unsupported Attribute",
    402: "Missing Attribute",
    403: "NAS Identification Mismatch",
    404: "Invalid Request",
    405: "Unsupported Service",
    406: "Unsupported Extension",
    407: "Invalid Attribute Value",
    501: "Administratively Prohibited",
    502: "Request Not Routable (Proxy)",
    503: "Session Context Not Found",
    504: "Session Context Not Removable",
    505: "Other Proxy Processing Error",
    506: "Resources Unavailable",
    507: "Request Initiated",
    508: "Multiple Session Selection Unsupported",
    509: "Location-Info-Required",
}


class Verdict(NamedTuple):
    """An answer that is the NAS's own."""

    outcome: Outcome
    error_cause: int = 0  # 0: none was told


class SessionName(NamedTuple):
    """By what a NAS may know a session. Empty: not known."""

    user_name: str
    session_id: str
    ipv4: str = ""


def session_attributes(kind: NasKind, name: SessionName) -> bytes:
    """Return the attributes that name a session to a NAS of this kind; empty if it could not be told from others."""
    found = {
        _USER_NAME: b""
        if kind.misreads_mac_names and mac_number(_octets(name.user_name))
        else _octets(name.user_name),
        _ACCT_SESSION_ID: _octets(name.session_id),
        _FRAMED_IP_ADDRESS: IPv4Address(name.ipv4).packed if name.ipv4 else b"",
    }
    said = [(code, found[code]) for code in kind.session_names if 0 < len(found[code]) <= VALUE_SIZE_MAX]
    is_unique = len(said) >= _NAMES_MIN and any(code == _ACCT_SESSION_ID for code, _ in said)
    return b"".join(attribute(code, value) for code, value in said) if is_unique else b""


def _octets(text: str) -> bytes:
    """Return a name's octets: what was no text is kept as digits (`attribute_text.readable`)."""
    if text.startswith("0x"):
        try:
            octets = bytes.fromhex(text[2:])
            octets.decode()
        except UnicodeDecodeError:
            return octets
        except ValueError:
            pass
    return text.encode()


def encode(
    order: Order, identifier: int, attributes: bytes, keys: SecretKeys, *, is_signed: bool, stamp_s: int | None = None
) -> bytes:
    """Return a whole request; `stamp_s` becomes its Event-Timestamp."""
    if stamp_s is not None:
        attributes = attribute(_EVENT_TIMESTAMP, stamp_s.to_bytes(4, "big")) + attributes
    body = _UNSIGNED + attributes if is_signed else attributes
    header = _pack_header(order, identifier, HEADER_SIZE + len(body))
    if is_signed:
        body = _UNSIGNED[:2] + keys.signature(header + _ZEROS + body) + attributes
    return header + keys.digest(header + _ZEROS + body) + body


def read(data: bytes, request: bytes, keys: SecretKeys, kind: NasKind) -> Verdict | None:
    """Return what an answer to this request says; None if it is none, or not by who has the secret.

    Its Message-Authenticator is verified if there is one (RFC 5176, 3.4); Error-Cause counts if it has 4 octets.
    """
    order = Order(request[0])
    try:
        length = packet_length(data)
        if data[0] not in (order.ack, order.nak) or data[1] != request[1]:
            return None
        positions = walk(data, length)
    except MalformedPacket:
        return None
    authenticator = request[4:HEADER_SIZE]
    if not compare_digest(keys.digest(data[:4] + authenticator + data[HEADER_SIZE:length]), data[4:HEADER_SIZE]):
        return None
    at = positions.get(_MESSAGE_AUTHENTICATOR)
    if at:
        signed = data[:4] + authenticator + data[HEADER_SIZE : at + 2] + _ZEROS + data[at + 18 : length]
        if not compare_digest(keys.signature(signed), data[at + 2 : at + 18]):
            return None
    if data[0] == order.ack:
        return Verdict(Outcome.DONE)
    cause_at = positions.get(_ERROR_CAUSE)
    value = value_at(data, cause_at) if cause_at else b""
    cause = int.from_bytes(value, "big") if len(value) == 4 else 0
    return Verdict(Outcome.GONE if cause in kind.gone_causes else Outcome.REFUSED, cause)
