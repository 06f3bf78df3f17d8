"""The throw-away node's own question to a RADIUS port: only a rightly signed Access-Accept counts."""

import hashlib
import hmac
import socket
import threading
from collections.abc import Callable

import pytest
from free_ports import free_port

from aaad.daemon.demo_probe import is_answering

SECRET = b"testing123"


def ask(answer: Callable[[bytes], bytes | None]) -> tuple[bool, bytes]:
    """Let the probe ask a server that answers so; return what the probe found and the request."""
    seen = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)

        def serve() -> None:
            request, peer = server.recvfrom(4096)
            seen.append(request)
            if (reply := answer(request)) is not None:
                server.sendto(reply, peer)

        thread = threading.Thread(target=serve)
        thread.start()
        found = is_answering("127.0.0.1", server.getsockname()[1], SECRET, timeout_s=0.3)
        thread.join()
    return found, seen[0]


def accept(request: bytes, code: int = 2, secret: bytes = SECRET) -> bytes:
    head = bytes([code, request[1], 0, 20])
    return head + hashlib.md5(head + request[4:20] + secret).digest()


def test_asks_a_status_server_with_a_right_message_authenticator():
    _, request = ask(accept)
    assert request[0] == 12
    assert int.from_bytes(request[2:4], "big") == len(request) == 38
    assert request[20:22] == bytes([80, 18])
    assert request[22:] == hmac.digest(SECRET, request[:22] + bytes(16), "md5")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (accept, True),
        (lambda request: None, False),
        (lambda request: b"", False),
        (lambda request: accept(request)[:19], False),
        (lambda request: accept(request, code=3), False),
        (lambda request: accept(request, secret=b"other"), False),
        (lambda request: accept(bytes([12, request[1] ^ 1]) + request[2:]), False),
    ],
    ids=["right", "silence", "empty", "cut off", "reject", "wrong secret", "another identifier"],
)
def test_only_a_right_answer_counts(answer: Callable[[bytes], bytes | None], found: bool):
    assert ask(answer)[0] is found


def test_nobody_listens():
    assert not is_answering("127.0.0.1", free_port(), SECRET, timeout_s=0.2)
