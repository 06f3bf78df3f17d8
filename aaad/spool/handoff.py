"""How a batch reaches `sync` when the spool's own disk takes nothing (rule R6.3): message, octets, client.

One message each way on a stream socket: four octets of length, then msgpack. The client blocks its thread, but
never longer than it is told. A batch may be sent twice; its number within the writer's life lets the other side
apply it once.
"""

import socket
from pathlib import Path
from uuid import UUID

import msgspec

from aaad.clock import monotonic_s
from aaad.errors import SpoolError
from aaad.spool.segment import Cut, Position

LENGTH_OCTETS = 4
MESSAGE_OCTETS_MAX = 1 << 22  # a writer's greatest batch (1 MiB) with room


class Handoff(msgspec.Struct, frozen=True, array_like=True):
    """A batch that the spool could not take, and behind what its segments do not count."""

    spool_id: UUID
    life: UUID
    slot: str
    number: int  # counts up within the life
    segment: int
    offset: int
    last_segment: int
    records: list[bytes]

    @property
    def cut(self) -> Cut:
        """Behind what nothing of this life counts."""
        return Cut(self.life, Position(self.segment, self.offset), self.last_segment)


class HandoffAnswer(msgspec.Struct, frozen=True, array_like=True):
    """Whether the batch of that number is committed in PostgreSQL."""

    number: int
    applied: bool


_encoder = msgspec.msgpack.Encoder()
_handoff_decoder = msgspec.msgpack.Decoder(Handoff)
_answer_decoder = msgspec.msgpack.Decoder(HandoffAnswer)


def encode_message(message: Handoff | HandoffAnswer) -> bytes:
    """Return a message with its length in front."""
    body = _encoder.encode(message)
    return len(body).to_bytes(LENGTH_OCTETS, "little") + body


def message_length(head: bytes) -> int:
    """Return how many octets follow; SpoolError if that is more than allowed."""
    length = int.from_bytes(head, "little")
    if length > MESSAGE_OCTETS_MAX:
        raise SpoolError(f"a message of {length} octets is longer than {MESSAGE_OCTETS_MAX}")
    return length


def decode_handoff(body: bytes) -> Handoff:
    """Return the batch in a message's body; SpoolError if there is none."""
    try:
        return _handoff_decoder.decode(body)
    except msgspec.DecodeError as error:
        raise SpoolError(f"not a handed-over batch: {error}") from error


def decode_answer(body: bytes) -> HandoffAnswer:
    """Return the answer in a message's body; SpoolError if there is none."""
    try:
        return _answer_decoder.decode(body)
    except msgspec.DecodeError as error:
        raise SpoolError(f"not an answer to a handed-over batch: {error}") from error


class HandoffClient:
    """The writer's end: one connection, made anew when it broke."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        """Connect at the first batch."""
        self._path = path
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None

    def send(self, handoff: Handoff) -> bool:
        """Return whether the other side committed the batch within the time allowed."""
        deadline_s = monotonic_s() + self._timeout_s
        message = encode_message(handoff)
        for _ in range(2):  # a connection that stood idle may be dead: its other end was restarted
            was_connected = self._socket is not None
            try:
                answer = self._exchange(message, deadline_s)
            except (OSError, SpoolError):
                self.close()
                if was_connected:
                    continue
                return False
            return answer.applied and answer.number == handoff.number
        return False

    def _exchange(self, message: bytes, deadline_s: float) -> HandoffAnswer:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._limit(deadline_s)
            self._socket.connect(str(self._path))
        self._limit(deadline_s)
        self._socket.sendall(message)
        length = message_length(self._receive(LENGTH_OCTETS, deadline_s))
        return decode_answer(self._receive(length, deadline_s))

    def _receive(self, length: int, deadline_s: float) -> bytes:
        assert self._socket is not None
        data = bytearray()
        while len(data) < length:
            self._limit(deadline_s)
            piece = self._socket.recv(length - len(data))
            if not piece:
                raise ConnectionResetError("the other side closed")
            data += piece
        return bytes(data)

    def _limit(self, deadline_s: float) -> None:
        left_s = deadline_s - monotonic_s()
        if left_s <= 0:
            raise TimeoutError("the other side did not answer in time")
        assert self._socket is not None
        self._socket.settimeout(left_s)

    def close(self) -> None:
        """Drop the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
