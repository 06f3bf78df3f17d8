"""The facts of a decision as the journal keeps them: how they are written down, and read again.

Pure. What is stored is what the decision was made from: the login's compiled record without its secrets, and the
request's attributes without anything that hides a password. It is never recomputed.
"""

from dataclasses import dataclass
from hashlib import blake2s
from struct import Struct
from struct import error as StructError  # noqa: N812  the library's own name says too little

from aaad.errors import AaadError, MalformedPacket
from aaad.policy.codes import Credential, Discard, Reason
from aaad.policy.facts import LoginFacts
from aaad.radius.packet import HEADER_SIZE, attribute, value_at, walk, without
from aaad.replica.record import HEAD_SIZE, decode

VERSION = 1
FLAG_SIGNED = 1
FLAG_NAME_MASKED = 2
FLAG_DISCARDED = 4  # the reason is a Discard
# version, reason, credential, flags, microseconds in the queue, octets of record
_BODY = Struct("<BBBBIB")
_pack = _BODY.pack
_QUEUED_US_MAX = 0xFFFFFFFF
_UNKNOWN_NAME = 1 << 63
_SECRET_LENGTH = 16
# User-Password, CHAP-Password, CHAP-Challenge, EAP-Message, Message-Authenticator and, because MS-CHAP lives there,
# every vendor attribute
_SECRET_KINDS = frozenset({2, 3, 26, 60, 79, 80})
_PASSWORD, _SIGNATURE = 2, 80


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


def public_attributes(data: bytes, length: int, positions: dict[int, int]) -> bytes:
    """Return a request's attributes without those that prove or hide a password."""
    if 3 in positions or 26 in positions or 60 in positions or 79 in positions:
        return without(data, length, _SECRET_KINDS)
    first = positions.get(_PASSWORD, length)
    second = positions.get(_SIGNATURE, length)
    if first > second:
        first, second = second, first
    if second == length:
        return data[HEADER_SIZE:first] + (data[first + data[first + 1] : length] if first != length else b"")
    return data[HEADER_SIZE:first] + data[first + data[first + 1] : second] + data[second + data[second + 1] : length]


def masked_attributes(data: bytes, length: int, name: bytes) -> bytes:
    """Return a request's attributes with an unknown name masked."""
    return attribute(1, mask(name).encode()) + without(data, length, _SECRET_KINDS | {1})


def encode(
    reason: int, credential: int, flags: int, queued_s: float, journal_key: bytes, record: bytes, attributes: bytes
) -> bytes:
    """Return a journal entry's body. `record` may be empty: then the login was not known."""
    queued_us = int(queued_s * 1e6)
    if not 0 <= queued_us <= _QUEUED_US_MAX:
        queued_us = 0 if queued_us < 0 else _QUEUED_US_MAX
    head = record[:HEAD_SIZE]
    return _pack(VERSION, reason, credential, flags, queued_us, len(head)) + journal_key + head + attributes


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


def explain(body: bytes) -> Explanation:
    """Read a journal entry's body; AaadError if it is not one of this version."""
    try:
        version, reason, credential, flags, queued_us, head_size = _BODY.unpack_from(body)
        if version != VERSION:
            raise AaadError(f"a journal entry of version {version}")
        at = _BODY.size
        nas_id = int.from_bytes(body[at : at + 4], "little")
        end = at + 5 + body[at + 4]
        source_address = body[at + 5 : end].decode()
        head = body[end : end + head_size]
        if len(head) not in (0, HEAD_SIZE):
            raise AaadError(f"a journal entry with {len(head)} octets of a login")
        attributes = body[end + head_size :]
        packet = bytes(HEADER_SIZE) + attributes
        positions = walk(packet, len(packet))
        discarded = bool(flags & FLAG_DISCARDED)
        facts = decode(head + bytes(_SECRET_LENGTH)) if head else None
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
        facts=facts._replace(nt_hash=b"", password=b"") if facts else None,
        user_name=shown(1),
        calling_station_id=shown(31),
        called_station_id=shown(30),
        nas_identifier=shown(32),
        nas_port_id=shown(87),
        acct_session_id=shown(44),
        is_ppp=7 in positions,
    )
