"""What a spool's writer and the node that mirrors it say to each other, and how each proves that it knows the secret.

    owner   -> Hello      which spool, and a nonce
    mirror  -> Challenge  another nonce
    owner   -> Ready      sealed: it knows the secret
    mirror  -> Welcome    sealed: it knows the secret, too
    owner   -> Look       sealed, from here on all is: which segments are there before this number?
    mirror  -> Held       the newest of them and what their headers are like; asked again until one is the owner's
    owner   -> Begin      up to this segment they are the same; what is behind it is of no life that counts
    mirror  -> Ack        where what it has ends
    owner   -> Data, Ping each is answered by an Ack of what is on the mirror's disk
    mirror  -> Working    instead of an answer before Begin is answered: it takes longer
    mirror  -> Refusal    at any time, the last word; bare before the secret was proved

A message on the wire is four octets of length, the body, and 16 octets of HMAC-SHA256 over a count and the body when
it is sealed. Each direction has a key of its own, made of the secret and of both first messages, so nothing that was
heard can be said again, here or elsewhere. Nothing is encrypted.

Pure: no I/O, no clock; nonces are passed in. Rule R6.4. Whatever comes in is a message or a SpoolError.
"""

import hmac
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from aaad.errors import SpoolError
from aaad.spool.segment import SEGMENT_OCTETS_MAX, Position

VERSION = 2
NONCE_OCTETS = 32
LENGTH_OCTETS = 4
MAC_OCTETS = 16
DATA_OCTETS_MAX = 1 << 20  # of a segment in one message; a writer's greatest batch
MESSAGE_OCTETS_MAX = DATA_OCTETS_MAX + 256
BARE_OCTETS_MAX = 1024  # before the secret is proved nobody may make us read more
SECRET_OCTETS_MIN = 16
PRINT_OCTETS = 16
HELD_MAX = 256  # segments told of in one message
NUMBERS_END = 1 << 31  # segments are numbered below it

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
_Name = Annotated[str, msgspec.Meta(pattern=_NAME, max_length=63)]  # it becomes a folder's name
_Nonce = Annotated[bytes, msgspec.Meta(min_length=NONCE_OCTETS, max_length=NONCE_OCTETS)]
_Segment = Annotated[int, msgspec.Meta(ge=0, lt=NUMBERS_END)]
_Bound = Annotated[int, msgspec.Meta(ge=0, le=NUMBERS_END)]
_Print = Annotated[bytes, msgspec.Meta(max_length=PRINT_OCTETS)]
_Offset = Annotated[int, msgspec.Meta(ge=0, le=SEGMENT_OCTETS_MAX)]


class SecretError(SpoolError):
    """What was received was not sealed by who knows the secret."""


class Cause(StrEnum):
    """Why the mirror says no more."""

    NOT_PROVED = "secret"  # it is not the same one
    VERSION = "version"
    BUSY = "busy"  # too many connections
    SELF = "self"  # a node is no second disk for itself
    MALFORMED = "malformed"
    ORDER = "order"  # octets that do not follow what is there
    FULL = "full"  # its bound is reached
    DISK = "disk"  # it fails
    SILENT = "silent"
    REPLACED = "replaced"  # by a newer connection of the same spool
    HELD = "held"  # somebody else has the folder open


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Whose spool is to be mirrored."""

    version: int
    nonce: _Nonce
    node: _Name
    slot: _Name
    spool_id: UUID


class Challenge(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The other nonce."""

    nonce: _Nonce


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The owner knows the secret."""


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """The mirror knows the secret, too."""


class Data(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Octets of a segment file. Those at offset 0 begin it."""

    segment: _Segment
    offset: _Offset
    octets: Annotated[bytes, msgspec.Meta(max_length=DATA_OCTETS_MAX)]


class Ping(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Is anybody there?"""


class Ack(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """Everything before this place is on the mirror's disk."""

    segment: _Segment
    offset: _Offset

    @property
    def position(self) -> Position:
        """Before what all is durable."""
        return Position(self.segment, self.offset)


class Refusal(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """The connection ends."""

    cause: Cause


class Working(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """What was asked takes longer; somebody is there."""


class Look(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """Which segments are there with a lower number?"""

    before: _Bound


class Held(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """Numbers of segments, the newest first, and a fingerprint of each one's header."""

    segments: Annotated[list[tuple[_Segment, _Print]], msgspec.Meta(max_length=HELD_MAX)]


class Begin(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """Up to this segment the copy is the owner's; what it has behind it is to be put aside."""

    segment: _Segment


Message = Hello | Challenge | Ready | Welcome | Data | Ping | Ack | Refusal | Working | Look | Held | Begin

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


def encode_message(message: Message) -> bytes:
    """Return a message's body."""
    return _encoder.encode(message)


def decode_message(body: bytes) -> Message:
    """Return the message in a body; SpoolError if there is none."""
    try:
        message: Message = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SpoolError(f"not a message about a mirror: {error}") from error
    return message


def framed(body: bytes) -> bytes:
    """Return a body as it goes over the wire."""
    return len(body).to_bytes(LENGTH_OCTETS, "little") + body


def frame_length(head: bytes, *, is_sealed: bool) -> int:
    """Return how many octets follow; SpoolError if these are more than anybody may send."""
    length = int.from_bytes(head, "little")
    if length > (MESSAGE_OCTETS_MAX + MAC_OCTETS if is_sealed else BARE_OCTETS_MAX):
        raise SpoolError(f"a message of {length} octets is longer than allowed")
    return length


class Seal:
    """One direction of a connection: seals in the order of sending, or opens in that of receiving."""

    def __init__(self, key: bytes) -> None:
        """Begin at the first message."""
        self._key = key
        self._count = 0

    def _mac(self, body: bytes) -> bytes:
        mac = hmac.digest(self._key, self._count.to_bytes(8, "little") + body, "sha256")
        self._count += 1
        return mac[:MAC_OCTETS]

    def seal(self, message: Message) -> bytes:
        """Return the next message as it goes over the wire."""
        body = encode_message(message)
        return framed(body + self._mac(body))

    def open(self, sealed: bytes) -> Message:
        """Return the message received next; SecretError if it is not the one that was sent next."""
        body, mac = sealed[:-MAC_OCTETS], sealed[-MAC_OCTETS:]
        if not hmac.compare_digest(mac, self._mac(body)):
            raise SecretError("a message is not sealed with the secret that is known here")
        return decode_message(body)


def seals(secret: bytes, hello: bytes, challenge: bytes) -> tuple[Seal, Seal]:
    """Return the owner's and the mirror's seal of a connection that began with these two bodies."""
    both = len(hello).to_bytes(8, "little") + hello + challenge
    owner = hmac.digest(secret, b"aaad mirror owner" + both, "sha256")
    mirror = hmac.digest(secret, b"aaad mirror peer" + both, "sha256")
    return Seal(owner), Seal(mirror)


class Deframer:
    """Takes what a socket yields and returns whole frames' contents."""

    def __init__(self) -> None:
        """Begin with bare messages; set `is_sealed` once the secret is in use."""
        self.is_sealed = False
        self._data = bytearray()

    def add(self, data: bytes) -> None:
        """Take octets."""
        self._data += data

    def take(self) -> bytes | None:
        """Return the next whole content, None if there is none yet; SpoolError if it would be too long."""
        if len(self._data) < LENGTH_OCTETS:
            return None
        end = LENGTH_OCTETS + frame_length(bytes(self._data[:LENGTH_OCTETS]), is_sealed=self.is_sealed)
        if len(self._data) < end:
            return None
        content = bytes(self._data[LENGTH_OCTETS:end])
        del self._data[:end]
        return content
