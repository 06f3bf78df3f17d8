"""The facts of a decision as the journal keeps them: how they are written down, and read again.

Pure. What is stored is what the decision was made from and what was said: the login's compiled record without its
secrets, the request's attributes without anything that hides or proves a password, the reply's attributes without
session keys, and until when the same facts would have decided the same. It is never recomputed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2s
from struct import Struct
from struct import error as StructError  # noqa: N812  the library's own name says too little

from aaad.errors import AaadError, MalformedPacket
from aaad.policy.codes import Credential, Discard, Reason
from aaad.policy.facts import LoginFacts
from aaad.radius.dictionary import decode as named
from aaad.radius.layout import SECRET_KINDS
from aaad.radius.packet import HEADER_SIZE, attribute, value_at, walk, without
from aaad.replica.record import decode_public

VERSION = 2
FLAG_SIGNED = 1
FLAG_NAME_MASKED = 2
FLAG_DISCARDED = 4  # the reason is a Discard
FLAG_LEASED = 8  # behind the router's key stands which pools the addresses come from
# version, reason, credential, flags, microseconds in the queue, octets of the record's public part and of the reply,
# until when it holds
_BODY = Struct("<BBBBIHHd")
_pack = _BODY.pack
_QUEUED_US_MAX = 0xFFFFFFFF
_UNKNOWN_NAME = 1 << 63
_VENDOR_SPECIFIC = 26
_BOUNDED_OCTETS_MAX = 512
_POOL_ID_OCTETS = 4


def subject_of_login(login_id: int) -> int:
    """Return the journal's subject of a known login."""
    return login_id


def subject_of_name(name: bytes, key: bytes) -> int:
    """Return the journal's subject of an unknown name: keyed, so that a journal tells nobody what was typed."""
    return int.from_bytes(blake2s(name, key=key, digest_size=8).digest(), "little") | _UNKNOWN_NAME


def mask(name: bytes) -> str:
    """Return what may be shown of an unknown name: people type passwords there (rule R3.6)."""
    text = name.decode("utf-8", "replace")
    shown = text[:2] if len(text) > 4 else text[:1] if len(text) > 1 else ""
    return "".join(c if c.isprintable() else "?" for c in shown) + f"***({len(name)})"


def masked_attributes(data: bytes, length: int, name: bytes) -> bytes:
    """Return a request's attributes with an unknown name masked."""
    # Some vendors repeat the name in an attribute of their own, so none of those is kept.
    return attribute(1, mask(name).encode()) + without(data, length, SECRET_KINDS | {1, _VENDOR_SPECIFIC})


def bounded(attributes: bytes) -> bytes:
    """Return the first attributes of those given, whole ones: as much as is kept of a request that proves nothing."""
    if len(attributes) <= _BOUNDED_OCTETS_MAX:
        return attributes
    end = 0
    while end + attributes[end + 1] <= _BOUNDED_OCTETS_MAX:
        end += attributes[end + 1]
    return attributes[:end]


def pool_octets(pool_ids: Iterable[int]) -> bytes:
    """Return which pools addresses come from: in an entry with FLAG_LEASED this stands behind the router's key."""
    pools = [pool_id.to_bytes(_POOL_ID_OCTETS, "little") for pool_id in pool_ids]
    return bytes((len(pools),)) + b"".join(pools)


def encode(
    reason: int,
    credential: int,
    flags: int,
    queued_s: float,
    journal_key: bytes,
    facts: bytes,
    attributes: bytes,
    reply: bytes = b"",
    until_s: float = 0.0,
) -> bytes:
    """Return a journal entry's body.

    Args:
        reason: a Reason, or with FLAG_DISCARDED a Discard.
        credential: a Credential, 0 if none was looked at.
        flags: FLAG_ bits.
        queued_s: from the kernel's receipt to the decision.
        journal_key: the router's.
        facts: the public part of the login's record, empty if the login was not known.
        attributes: public ones of the request.
        reply: those of the reply, without secrets.
        until_s: when the same facts would decide otherwise; 0: nothing was decided from facts.
    """
    queued_us = int(queued_s * 1e6)
    if not 0 <= queued_us <= _QUEUED_US_MAX:
        queued_us = 0 if queued_us < 0 else _QUEUED_US_MAX
    head = _pack(VERSION, reason, credential, flags, queued_us, len(facts), len(reply), until_s)
    return head + journal_key + facts + reply + attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One decision as it was made."""

    reason: Reason | None  # None when there was no answer
    discard: Discard | None  # why there was no answer
    credential: Credential | None
    signed: bool
    queued_s: float  # from the kernel's receipt to the decision
    nas_id: int
    source_address: str
    facts: LoginFacts | None  # without secrets; None when the login was not known
    user_name: str  # masked when the login was not known
    calling_station_id: str
    called_station_id: str
    nas_identifier: str
    nas_port_id: str
    acct_session_id: str
    is_ppp: bool
    reply: tuple[tuple[str, str], ...]  # names and values of what was said
    pool_ids: tuple[int, ...]  # which pools of ours its addresses come from
    until_s: float  # when the same facts would have decided otherwise; math.inf: never; 0: decided from no facts


def explain(body: bytes) -> Explanation:
    """Read a journal entry's body; AaadError if it is not one of this version."""
    try:
        version, reason, credential, flags, queued_us, facts_size, reply_size, until_s = _BODY.unpack_from(body)
        if version != VERSION:
            raise AaadError(f"a journal entry of version {version}")
        at = _BODY.size
        nas_id = int.from_bytes(body[at : at + 4], "little")
        facts_at = at + 5 + body[at + 4]
        source_address = body[at + 5 : facts_at].decode()
        pool_ids: tuple[int, ...] = ()
        if flags & FLAG_LEASED:
            pools_at, facts_at = facts_at + 1, facts_at + 1 + body[facts_at] * _POOL_ID_OCTETS
            pool_ids = tuple(
                int.from_bytes(body[place : place + _POOL_ID_OCTETS], "little")
                for place in range(pools_at, facts_at, _POOL_ID_OCTETS)
            )
        reply_at = facts_at + facts_size
        attributes_at = reply_at + reply_size
        if attributes_at > len(body):
            raise AaadError("a journal entry that is cut off")
        packet = bytes(HEADER_SIZE) + body[attributes_at:]
        positions = walk(packet, len(packet))
        discarded = bool(flags & FLAG_DISCARDED)
        facts = decode_public(body[facts_at:reply_at]) if facts_size else None
        code = Discard(reason) if discarded else Reason(reason)
        shown_credential = Credential(credential) if credential else None
    except (StructError, IndexError, ValueError, MalformedPacket) as error:  # ValueError: text or code of no sense
        raise AaadError(f"not a journal entry: {error}") from error

    def shown(kind: int) -> str:
        return value_at(packet, positions[kind]).decode("utf-8", "replace") if kind in positions else ""

    return Explanation(
        reason=code if isinstance(code, Reason) else None,
        discard=code if isinstance(code, Discard) else None,
        credential=shown_credential,
        signed=bool(flags & FLAG_SIGNED),
        queued_s=queued_us / 1e6,
        nas_id=nas_id,
        source_address=source_address,
        facts=facts,
        user_name=shown(1),
        calling_station_id=shown(31),
        called_station_id=shown(30),
        nas_identifier=shown(32),
        nas_port_id=shown(87),
        acct_session_id=shown(44),
        is_ppp=7 in positions,
        reply=tuple(named(body[reply_at:attributes_at])),
        pool_ids=pool_ids,
        until_s=until_s,
    )
