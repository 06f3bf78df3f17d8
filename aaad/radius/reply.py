"""Reply attributes, compiled once per plan, and the Class of every Accept.

Pure. Attributes: RFC 2865, 5; RFC 2869, 5.16; Mikrotik-Rate-Limit is rx/tx as the router sees it, so upload
stands before download. Class (rule R4.6) joins an Accept to its session on any node.
"""

from hashlib import blake2s
from hmac import compare_digest
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from aaad.policy.facts import PlanFacts
from aaad.policy.grant import Grant
from aaad.radius.packet import (
    MIKROTIK_VENDOR,
    VALUE_SIZE_MAX,
    Attribute,
    attribute,
    integer_attribute,
    vendor_attribute,
)

_SERVICE_FRAMED = 2
_PROTOCOL_PPP = 1
_MIKROTIK_RATE_LIMIT = 8
_FRAMED_IP_HEADER = bytes((Attribute.FRAMED_IP_ADDRESS, 6))

CLASS_VERSION = 1
# version, slot, node, serial of the grant, login, contract, plan, fingerprint of the grant, count of leases
_CLASS_BODY = Struct("!BBIQIIIIB")
_SIGNATURE_SIZE = 8
CLASS_SIZE = _CLASS_BODY.size + _SIGNATURE_SIZE
_CLASS_HEADER = bytes((Attribute.CLASS, CLASS_SIZE + 2))
_pack_class = _CLASS_BODY.pack


class PlanReply(NamedTuple):
    """What a plan puts into an Accept, for a PPP and for any other request, and its checksum."""

    ppp: bytes
    other: bytes
    fingerprint: int


def compile_plan(plan: PlanFacts) -> PlanReply:
    """Encode what a plan gives; ValueError names an attribute that does not fit."""
    rate = f"{plan.upload}/{plan.download}".encode()
    common = vendor_attribute(MIKROTIK_VENDOR, _MIKROTIK_RATE_LIMIT, rate)
    for kind, seconds in (
        (Attribute.ACCT_INTERIM_INTERVAL, plan.interim_interval_s),
        (Attribute.SESSION_TIMEOUT, plan.session_timeout_s),
        (Attribute.IDLE_TIMEOUT, plan.idle_timeout_s),
    ):
        if seconds:
            common += integer_attribute(kind, seconds)
    ppp = (
        integer_attribute(Attribute.SERVICE_TYPE, _SERVICE_FRAMED)
        + integer_attribute(Attribute.FRAMED_PROTOCOL, _PROTOCOL_PPP)
        + common
    )
    return PlanReply(ppp, common, crc32(common))


class ClassSigner:
    """Makes and verifies Class values with the cluster's key. Its `repr` shows nothing."""

    __slots__ = ("_keyed", "_slot", "node", "serial")

    def __init__(self, key: bytes, *, node: int, slot: int, serial: int) -> None:
        """Count grants from `serial` on; (node, slot, serial) must never come twice in a cluster."""
        self._keyed = blake2s(key=key, digest_size=_SIGNATURE_SIZE)
        self._slot = slot
        self.node = node
        self.serial = serial  # of the last grant

    def __repr__(self) -> str:
        """Say what it is and nothing of the key."""
        return f"ClassSigner(node={self.node}, slot={self._slot})"

    def class_attribute(self, login: int, contract: int, plan: int, fingerprint: int) -> bytes:
        """Return the Class attribute of the next grant."""
        self.serial = serial = self.serial + 1
        body = _pack_class(CLASS_VERSION, self._slot, self.node, serial, login, contract, plan, fingerprint, 0)
        signature = self._keyed.copy()
        signature.update(body)
        return _CLASS_HEADER + body + signature.digest()

    def verify(self, value: bytes) -> "ClassFacts | None":
        """Return what a Class value says, or None if this cluster did not make it."""
        if len(value) != CLASS_SIZE or value[0] != CLASS_VERSION:
            return None
        signature = self._keyed.copy()
        signature.update(value[: _CLASS_BODY.size])
        if not compare_digest(signature.digest(), value[_CLASS_BODY.size :]):
            return None
        return ClassFacts._make(_CLASS_BODY.unpack(value[: _CLASS_BODY.size]))


class ClassFacts(NamedTuple):
    """What a Class says of the grant that it was sent with."""

    version: int
    slot: int
    node: int
    serial: int
    login_id: int
    contract_id: int
    plan_id: int
    fingerprint: int
    leases: int


def accept_attributes(reply: PlanReply, grant: Grant, ppp: bool) -> bytes:
    """Return the attributes of an Accept, without Class and signatures."""
    compiled = reply.ppp if ppp else reply.other
    if grant.ipv4:
        return compiled + _FRAMED_IP_HEADER + grant.ipv4.to_bytes(4, "big")
    return compiled


def grant_fingerprint(reply: PlanReply, grant: Grant) -> int:
    """Return a checksum of all that a grant gives: 32 bits, equal for equal grants."""
    return (reply.fingerprint ^ grant.ipv4 * 0x9E3779B1) & 0xFFFFFFFF


def reject_attributes(message: str) -> bytes:
    """Return the attributes of a Reject with a Reply-Message; none for an empty text.

    A text that is too long is cut between letters: Reply-Message is UTF-8 (RFC 2865, 5.18).
    """
    octets = message.encode()[:VALUE_SIZE_MAX].decode(errors="ignore").encode()
    return attribute(Attribute.REPLY_MESSAGE, octets) if octets else b""
