"""A small world around the accounting path: one concentrator, and what a disk says is up to the test."""

import hashlib
from collections.abc import Sequence
from itertools import count
from typing import Any

import msgspec
from access_world import CLASS_KEY, NOW_S, SOURCE, nas_row
from nas_double import SECRET, attributes_of, tlv

from aaad.policy.codes import Discard
from aaad.radius.accounting import AccountingPath, Answer, Waiting
from aaad.radius.learned import Learned
from aaad.radius.reply import ClassSigner
from aaad.radius.routers import Neighbourhood
from aaad.radius.starts import StartWatch
from aaad.replica.record import NasRow, Tables
from aaad.spool.records import Accounting, Granted, Record

START, STOP, INTERIM, ON, OFF = 1, 2, 3, 7, 8
STATUS_TYPE, DELAY_TIME, SESSION_ID, CLASS, NAS_IDENTIFIER, USER_NAME = 40, 41, 44, 25, 32, 1

_numbers = count(1)
_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(Record | Accounting | Granted)


def accounting_packet(body: bytes, *, identifier: int = 9, secret: bytes = SECRET, code: int = 4) -> bytes:
    """A whole Accounting-Request, made here and not by the server's code (RFC 2866, 3)."""
    head = bytes((code, identifier)) + (20 + len(body)).to_bytes(2, "big")
    return head + hashlib.md5(head + bytes(16) + body + secret).digest() + body


def accounting_request(
    status: int | None = START,
    *,
    session: bytes | None = b"81a00001",
    name: bytes | None = b"alice",
    nas_identifier: bytes | None = b"bras-01",
    attributes: bytes = b"",
    identifier: int = 9,
    secret: bytes = SECRET,
) -> bytes:
    """What a concentrator sends. No two are copies of each other; None leaves an attribute out."""
    body = b""
    for kind, value in (
        (STATUS_TYPE, None if status is None else status.to_bytes(4, "big")),
        (USER_NAME, name),
        (SESSION_ID, session),
        (NAS_IDENTIFIER, nas_identifier),
        (DELAY_TIME, next(_numbers).to_bytes(4, "big")),
    ):
        if value is not None:
            body += tlv(kind, value)
    return accounting_packet(body + attributes, identifier=identifier, secret=secret)


def own_class(key: bytes = CLASS_KEY) -> bytes:
    """A Class attribute that this cluster gave."""
    return ClassSigner(key, node=3, slot=1, serial=7).class_attribute(1, 2, 5, 99)


def check_response(reply: object, request: bytes, secret: bytes = SECRET) -> list[tuple[int, bytes]]:
    """Verify an Accounting-Response as the concentrator would (RFC 2866, 3); return its attributes."""
    assert isinstance(reply, bytes), f"no reply but {reply!r}"
    assert (reply[0], reply[1], int.from_bytes(reply[2:4], "big")) == (5, request[1], len(reply))
    assert reply[4:20] == hashlib.md5(reply[:4] + request[4:20] + reply[20:] + secret).digest()
    return attributes_of(reply)


class AccountingWorld:
    """One accounting path and all that it touches."""

    def __init__(self, nases: Sequence[NasRow] | None = None, *, loaded: bool = True, peers_max: int = 100) -> None:
        self.hood = Neighbourhood(peers_max=peers_max)
        self.learned = Learned()
        self.starts = StartWatch(self.hood)
        self.is_recording = True
        self.path = AccountingPath(
            neighbourhood=self.hood,
            learned=self.learned,
            starts=self.starts,
            is_recording=lambda: self.is_recording,
        )
        if loaded:
            self.load([nas_row()] if nases is None else nases)

    def load(self, nases: Sequence[NasRow]) -> None:
        tables = Tables(1, list(nases), [], [], [], CLASS_KEY, 3)
        self.hood.load(tables.nases, tables.routers, NOW_S, tables.class_key)
        self.path.load(tables)

    def answer(
        self,
        data: bytes,
        *,
        source: tuple[Any, ...] = SOURCE,
        arrived_s: float | None = None,
        now_s: float = NOW_S,
    ) -> Answer:
        return self.path.answer(data, source, now_s if arrived_s is None else arrived_s, now_s)

    def waiting(self, data: bytes, **when: Any) -> Waiting:
        """One datagram whose record waits for the disk."""
        answer = self.answer(data, **when)
        assert isinstance(answer, Waiting), answer
        return answer

    def record(self, data: bytes, *, secret: bytes = SECRET, now_s: float = NOW_S, **when: Any) -> Accounting:
        """One datagram that is recorded and answered; returns its record."""
        waiting = self.waiting(data, now_s=now_s, **when)
        check_response(self.path.recorded(waiting, now_s), data, secret)
        record = _decoder.decode(waiting.record)
        assert isinstance(record, Accounting)
        return record

    def check_silent(self, data: bytes, cause: Discard, **when: Any) -> None:
        assert self.answer(data, **when) is cause
