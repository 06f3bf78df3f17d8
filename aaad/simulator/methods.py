"""How a subscriber proves who he is: what his concentrator sends for it, and what it asks of an Access-Accept.

Pure. RFC 2865, 2.2 and 5.3 (CHAP), RFC 2433, 2759 and 2548, 2 (MS-CHAP and its keys).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from aaad.simulator.mschap import Secret, authenticator_response, challenge_hash, server_keys
from aaad.simulator.packet import (
    Reply,
    attribute,
    hide_password,
    reveal_key,
    reveal_password,
    vendor_attribute,
)

USER_PASSWORD, CHAP_PASSWORD, CHAP_CHALLENGE = 2, 3, 60
MICROSOFT = 311
MS_CHAP_RESPONSE, MS_CHAP_ERROR, MS_CHAP_CHALLENGE, MS_CHAP_MPPE_KEYS = 1, 2, 11, 12
MS_MPPE_SEND_KEY, MS_MPPE_RECV_KEY, MS_CHAP2_RESPONSE, MS_CHAP2_SUCCESS = 16, 17, 25, 26
_KEYS_OCTETS = 32
_USE_NT_RESPONSE = 1

RandomOctets = Callable[[int], bytes]


class Service(Enum):
    """What the subscriber dials into."""

    PPPOE = auto()
    TUNNEL = auto()  # PPTP, L2TP, SSTP, OpenVPN
    HOTSPOT = auto()
    DHCP = auto()
    LOGIN = auto()  # the router itself


class Proof(Enum):
    """How he proves who he is."""

    PAP = auto()
    CHAP = auto()
    MS_CHAP_1 = auto()
    MS_CHAP_2 = auto()
    MAC = auto()  # he does not: his device's address is his name


class Method(NamedTuple):
    """A service and a proof, under the name that people type."""

    name: str
    service: Service
    proof: Proof


METHODS = {
    method.name: method
    for method in (
        Method("pap", Service.PPPOE, Proof.PAP),
        Method("chap", Service.PPPOE, Proof.CHAP),
        Method("mschap", Service.PPPOE, Proof.MS_CHAP_1),
        Method("mschapv2", Service.PPPOE, Proof.MS_CHAP_2),
        Method("tunnel", Service.TUNNEL, Proof.MS_CHAP_2),
        Method("hotspot", Service.HOTSPOT, Proof.CHAP),
        Method("hotspot-pap", Service.HOTSPOT, Proof.PAP),
        Method("mac", Service.HOTSPOT, Proof.MAC),
        Method("dhcp", Service.DHCP, Proof.MAC),
        Method("router", Service.LOGIN, Proof.MS_CHAP_2),
        Method("router-chap", Service.LOGIN, Proof.CHAP),
    )
}
MIX = ("pap", "chap", "mschap", "mschapv2")  # each takes the same name and password


class Flaw(Enum):
    """Why an Access-Accept does not bring the subscriber up."""

    NO_SUCCESS = "no MS-CHAP2-Success"
    WRONG_SUCCESS = "wrong MS-CHAP2-Success"
    NO_KEYS = "no MPPE keys"
    WRONG_KEYS = "wrong MPPE keys"


@dataclass(frozen=True, slots=True)
class Password:
    """PAP, and what stands in its place for a MAC login."""

    password: bytes

    def encode(self, authenticator: bytes, secret: bytes) -> bytes:
        """Return the attributes of the request."""
        return attribute(USER_PASSWORD, hide_password(self.password, authenticator, secret))


@dataclass(frozen=True, slots=True)
class ChapAnswer:
    """CHAP: an identifier, a challenge, and the peer's response to both."""

    identifier: int
    challenge: bytes
    response: bytes

    def encode(self, authenticator: bytes, secret: bytes) -> bytes:
        """Return the attributes of the request."""
        password = bytes((self.identifier,)) + self.response
        return attribute(CHAP_CHALLENGE, self.challenge) + attribute(CHAP_PASSWORD, password)


@dataclass(frozen=True, slots=True)
class MsChapAnswer:
    """MS-CHAPv1: the NT response; no LM response, as RFC 2433, 6, allows and everybody does."""

    identifier: int
    challenge: bytes
    nt_response: bytes

    def encode(self, authenticator: bytes, secret: bytes) -> bytes:
        """Return the attributes of the request."""
        response = bytes((self.identifier, _USE_NT_RESPONSE)) + bytes(24) + self.nt_response
        return vendor_attribute(MICROSOFT, MS_CHAP_CHALLENGE, self.challenge) + vendor_attribute(
            MICROSOFT, MS_CHAP_RESPONSE, response
        )


@dataclass(frozen=True, slots=True)
class MsChap2Answer:
    """MS-CHAPv2: the peer's own challenge and its NT response."""

    identifier: int
    challenge: bytes
    peer_challenge: bytes
    nt_response: bytes

    def encode(self, authenticator: bytes, secret: bytes) -> bytes:
        """Return the attributes of the request."""
        response = bytes((self.identifier, 0)) + self.peer_challenge + bytes(8) + self.nt_response
        return vendor_attribute(MICROSOFT, MS_CHAP_CHALLENGE, self.challenge) + vendor_attribute(
            MICROSOFT, MS_CHAP2_RESPONSE, response
        )


Answer = Password | ChapAnswer | MsChapAnswer | MsChap2Answer


def answer(proof: Proof, user_name: bytes, secret: Secret, random_octets: RandomOctets) -> Answer:
    """Return what a peer answers to a fresh challenge of its concentrator."""
    match proof:
        case Proof.PAP | Proof.MAC:
            return Password(secret.password.encode())
        case Proof.CHAP:
            identifier, challenge = random_octets(1)[0], random_octets(16)
            response = hashlib.md5(bytes((identifier,)) + secret.password.encode() + challenge).digest()
            return ChapAnswer(identifier, challenge, response)
        case Proof.MS_CHAP_1:
            challenge = random_octets(8)
            return MsChapAnswer(random_octets(1)[0], challenge, secret.challenge_response(challenge))
        case Proof.MS_CHAP_2:
            challenge, peer_challenge = random_octets(16), random_octets(16)
            hashed = challenge_hash(peer_challenge, challenge, user_name)
            return MsChap2Answer(random_octets(1)[0], challenge, peer_challenge, secret.challenge_response(hashed))


@dataclass(frozen=True, slots=True)
class Asked:
    """What a reply is judged by: the request that it answers, and whether the concentrator must encrypt."""

    answer: Answer
    user_name: bytes
    secret: Secret
    authenticator: bytes
    shared_secret: bytes
    must_encrypt: bool = False


def find_flaw(reply: Reply, asked: Asked) -> Flaw | None:
    """Return why this Access-Accept does not bring the subscriber up, or None if it does."""
    match asked.answer:
        case MsChap2Answer() as made:
            return _flaw_of_version_2(reply, made, asked)
        case MsChapAnswer():
            return _flaw_of_version_1(reply, asked)
        case Password() | ChapAnswer():
            return None


def _flaw_of_version_1(reply: Reply, asked: Asked) -> Flaw | None:
    hidden = reply.find(MS_CHAP_MPPE_KEYS, MICROSOFT)
    if hidden is None:
        return Flaw.NO_KEYS if asked.must_encrypt else None
    if len(hidden) != _KEYS_OCTETS:
        return Flaw.WRONG_KEYS
    keys = reveal_password(hidden, asked.authenticator, asked.shared_secret)
    # RFC 2548, 2.4.1: LM key of 8 octets, NT key of 16, padding. The LM key is of no use without an LM response.
    return None if keys[8:24] == asked.secret.nt_hash_hash else Flaw.WRONG_KEYS


def _flaw_of_version_2(reply: Reply, made: MsChap2Answer, asked: Asked) -> Flaw | None:
    success = reply.find(MS_CHAP2_SUCCESS, MICROSOFT)
    if success is None:
        return Flaw.NO_SUCCESS
    hashed = challenge_hash(made.peer_challenge, made.challenge, asked.user_name)
    expected = bytes((made.identifier,)) + authenticator_response(asked.secret, made.nt_response, hashed)
    if success[: len(expected)] != expected:  # a message may follow
        return Flaw.WRONG_SUCCESS
    hidden = [reply.find(kind, MICROSOFT) for kind in (MS_MPPE_SEND_KEY, MS_MPPE_RECV_KEY)]
    if hidden == [None, None]:
        return Flaw.NO_KEYS if asked.must_encrypt else None
    keys = tuple(
        None if value is None else reveal_key(value, asked.authenticator, asked.shared_secret) for value in hidden
    )
    return None if keys == server_keys(asked.secret, made.nt_response) else Flaw.WRONG_KEYS
