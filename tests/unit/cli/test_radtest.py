"""radtest tells right answers from forged ones, from incomplete ones, and from silence."""

import hashlib
import hmac
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from aaad.cli import radtest
from aaad.cli.radtest import Target, ask, make_target
from aaad.config import parse_config

SECRET = b"testing123"
Behaviour = Callable[[bytes], list[bytes]]


def signed(
    request: bytes, code: int, attributes: bytes, *, secret: bytes = SECRET, message_authenticator: str
) -> bytes:
    """Return an answer to a request. `message_authenticator`: first, last, wrong or none."""
    blank = bytes((80, 18)) + bytes(16)
    body = {
        "first": blank + attributes,
        "wrong": blank + attributes,
        "last": attributes + blank,
        "none": attributes,
    }[message_authenticator]
    head = struct.pack("!BBH", code, request[1], 20 + len(body))
    if message_authenticator != "none":
        digest = hmac.digest(secret, head + request[4:20] + body, "md5")
        if message_authenticator == "wrong":
            digest = bytes(16)
        at = body.index(blank)
        body = body[: at + 2] + digest + body[at + 18 :]
    return head + hashlib.md5(head + request[4:20] + body + secret).digest() + body


@contextmanager
def server(behave: Behaviour) -> Iterator[tuple[Target, list[bytes]]]:
    """A peer on loopback that answers each datagram with what `behave` returns."""
    received: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(0.1)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    data, sender = peer.recvfrom(4096)
                except TimeoutError:
                    continue
                received.append(data)
                for answer in behave(data):
                    peer.sendto(answer, sender)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Target("127.0.0.1", peer.getsockname()[1], SECRET, True), received
        finally:
            ended.set()
            thread.join()


@pytest.fixture(autouse=True)
def _short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radtest, "TRY_TIMEOUT_S", 0.15)


def test_an_answer_in_order() -> None:
    address = bytes((8, 6, 192, 0, 2, 7))
    with server(lambda data: [signed(data, 2, address, message_authenticator="first")]) as (target, received):
        answer = ask("ana", "senha", target)
    assert (answer.problem, answer.code, answer.tries) == (None, "Access-Accept", 1)
    assert ("Framed-IP-Address", "192.0.2.7") in answer.attributes
    assert answer.is_message_authenticator_first
    assert b"senha" not in received[0]
    assert bytes((80, 18)) in received[0]


def test_a_message_authenticator_that_is_not_first_is_noticed() -> None:
    text = bytes((18, 5)) + b"abc"
    with server(lambda data: [signed(data, 3, text, message_authenticator="last")]) as (target, _):
        answer = ask("ana", "senha", target)
    assert (answer.problem, answer.code) == (None, "Access-Reject")
    assert not answer.is_message_authenticator_first


def test_an_answer_without_message_authenticator_is_a_problem() -> None:
    with server(lambda data: [signed(data, 2, b"", message_authenticator="none")]) as (target, _):
        assert ask("ana", "senha", target).problem == "message_authenticator_missing"


@pytest.mark.parametrize(
    "behave",
    [
        lambda data: [signed(data, 2, b"", secret=b"other", message_authenticator="first")],
        lambda data: [signed(data, 2, b"", message_authenticator="wrong")],
        lambda data: [b"garbage", b"", bytes(20)],
    ],
)
def test_forged_answers_are_told_from_silence(behave: Behaviour) -> None:
    with server(behave) as (target, _):
        assert ask("ana", "senha", target).problem == "bad_authenticator"


def test_a_right_answer_behind_a_forged_one_counts() -> None:
    def behave(data: bytes) -> list[bytes]:
        return [
            signed(data, 3, b"", secret=b"other", message_authenticator="first"),
            signed(data, 2, b"", message_authenticator="first"),
        ]

    with server(behave) as (target, _):
        assert ask("ana", "senha", target).code == "Access-Accept"


def test_a_silent_server_is_asked_again_with_the_same_packet() -> None:
    with server(lambda data: []) as (target, received):
        answer = ask("ana", "senha", target)
    assert (answer.problem, answer.tries) == ("silent", radtest.TRIES)
    assert len(received) == radtest.TRIES
    assert len(set(received)) == 1


def test_without_message_authenticator_when_asked_so() -> None:
    with server(lambda data: [signed(data, 2, b"", message_authenticator="first")]) as (target, received):
        ask("ana", "senha", Target(target.server, target.port, target.secret, False))
    assert bytes((80, 18)) not in received[0]


def test_where_to_ask() -> None:
    config = parse_config(
        '[database]\ndsn = "postgresql://a/b"\n[radius]\naddresses = ["0.0.0.0", "::"]\nauth_port = 11812\n', {}
    )
    assert make_target(config, "", 0, "s", is_signed=True) == Target("127.0.0.1", 11812, b"s", True)
    assert make_target(config, "192.0.2.1", 1, "s", is_signed=False) == Target("192.0.2.1", 1, b"s", False)
    assert make_target(None, "", 0, "s", is_signed=True).port == 1812
    named = parse_config('[database]\ndsn = "postgresql://a/b"\n[radius]\naddresses = ["192.0.2.9"]\n', {})
    assert make_target(named, "", 0, "s", is_signed=True).server == "192.0.2.9"
