"""The owner's end of a mirror's connection: made, proved, and used within limits of time. Rule R6.4.

Whoever uses it blocks his thread, never longer than he says. Every trouble is an OSError, a SpoolError or a
`Refused`, and the connection is to be closed then.
"""

import os
import socket
from contextlib import suppress
from typing import TypeVar
from uuid import UUID

from aaad.clock import monotonic_s
from aaad.errors import SpoolError
from aaad.spool.mirror_frames import (
    NONCE_OCTETS,
    VERSION,
    Ack,
    Begin,
    Challenge,
    Data,
    Deframer,
    Held,
    Hello,
    Look,
    Message,
    Ping,
    Ready,
    Refusal,
    Welcome,
    Working,
    decode_message,
    encode_message,
    framed,
    seals,
)
from aaad.spool.mirror_pieces import Piece
from aaad.spool.segment import START, Position

_RECEIVED_OCTETS = 1 << 16
_ASKED_S = 1.0  # a few octets on a connection that was just made
_Expected = TypeVar("_Expected", bound=Message)


class Refused(SpoolError):  # noqa: N818  reads as the sentence it prints
    """The mirror said why it takes nothing. Carries the cause."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"the mirror refuses: {cause}")
        self.cause = cause


class MirrorLink:
    """One connection about one spool."""

    def __init__(self, peer: tuple[str, int], *, node: str, slot: str, spool_id: UUID, secret: bytes, limit_s: float):
        """Connect, and prove the secret to each other."""
        self.spool_id = spool_id
        self._deframer = Deframer()
        deadline_s = monotonic_s() + limit_s
        self._socket = socket.create_connection(peer, timeout=limit_s)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            hello = encode_message(Hello(VERSION, os.urandom(NONCE_OCTETS), node, slot, spool_id))
            self._send(framed(hello), deadline_s)
            challenge = self._content(deadline_s)
            self._expect(decode_message(challenge), Challenge)
            self._outgoing, self._incoming = seals(secret, hello, challenge)
            self._send(self._outgoing.seal(Ready()), deadline_s)
            # Until the mirror has proved the secret it may still refuse in the open, and reads of it stay short.
            content = self._content(deadline_s)
            if _is_bare_refusal(content):
                self._expect(decode_message(content), Welcome)
            self._expect(self._incoming.open(content), Welcome)
            self._deframer.is_sealed = True
        except BaseException:
            self.close()
            raise
        self.sent = self.acked = START
        self.asked_s = 0.0  # when something was sent that is not answered; 0: all is answered
        self._unanswered = 0

    def look(self, before: int) -> None:
        """Ask which segments the mirror has below a number."""
        self._send(self._outgoing.seal(Look(before)), monotonic_s() + _ASKED_S)

    def held(self, word_s: float) -> list[tuple[int, bytes]] | None:
        """Return what it has, the newest first, with a fingerprint of each header; None: it is still looking."""
        answer = self._word(Held, word_s)
        return None if answer is None else answer.segments

    def begin(self, segment: int) -> None:
        """Say up to which segment the mirror's copy is this spool's."""
        self._send(self._outgoing.seal(Begin(segment)), monotonic_s() + _ASKED_S)

    def begun(self, word_s: float) -> Position | None:
        """Return where the copy ends; None: the mirror is still looking."""
        answer = self._word(Ack, word_s)
        return None if answer is None else answer.position

    def _word(self, kind: type[_Expected], word_s: float) -> _Expected | None:
        message = self._incoming.open(self._content(monotonic_s() + word_s))
        return None if isinstance(message, Working) else self._expect(message, kind)

    def begin_at(self, place: Position) -> None:
        """Say from where on will be sent."""
        self.sent = self.acked = place

    def send(self, piece: Piece, deadline_s: float) -> None:
        """Send octets that follow what was sent."""
        self._ask(Data(piece.segment, piece.offset, piece.octets), deadline_s)
        self.sent = piece.end

    def ping(self, deadline_s: float) -> None:
        """Ask whether anybody is there."""
        self._ask(Ping(), deadline_s)

    def _ask(self, message: Message, deadline_s: float) -> None:
        if not self._unanswered:
            self.asked_s = monotonic_s()
        self._unanswered += 1
        self._send(self._outgoing.seal(message), deadline_s)

    def settle(self, deadline_s: float) -> None:
        """Wait until everything that was sent is on the mirror's disk; what was said by now is in time."""
        self.poll()
        while self._unanswered:
            self._take(self._content(deadline_s))

    def poll(self) -> None:
        """Take what has come, without waiting."""
        while self._unanswered:
            content = self._deframer.take()
            if content is not None:
                self._take(content)
                continue
            try:
                self._receive(socket.MSG_DONTWAIT)
            except BlockingIOError:
                return

    def _take(self, content: bytes) -> None:
        acked = self._expect(self._incoming.open(content), Ack)
        self._unanswered -= 1
        if not self._unanswered:
            if acked.position != self.sent:
                raise SpoolError(f"the mirror has {acked.position}, {self.sent} was sent")
            self.acked, self.asked_s = acked.position, 0.0

    def _expect(self, message: Message, kind: type[_Expected]) -> _Expected:
        if isinstance(message, kind):
            return message
        if isinstance(message, Refusal):
            raise Refused(message.cause)
        raise SpoolError(f"the mirror sent {type(message).__name__} instead of {kind.__name__}")

    def _send(self, data: bytes, deadline_s: float) -> None:
        self._limit(deadline_s)
        self._socket.sendall(data)  # its timeout is for all of it

    def _content(self, deadline_s: float) -> bytes:
        while (content := self._deframer.take()) is None:
            self._limit(deadline_s)
            self._receive()
        return content

    def _receive(self, flags: int = 0) -> None:
        received = self._socket.recv(_RECEIVED_OCTETS, flags)
        if not received:
            raise ConnectionResetError("the mirror closed the connection")
        self._deframer.add(received)

    def _limit(self, deadline_s: float) -> None:
        left_s = deadline_s - monotonic_s()
        if left_s <= 0:
            raise TimeoutError("the mirror did not answer in time")
        self._socket.settimeout(left_s)

    def close(self) -> None:
        """Drop the connection."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _is_bare_refusal(content: bytes) -> bool:
    try:
        return isinstance(decode_message(content), Refusal)
    except SpoolError:
        return False
