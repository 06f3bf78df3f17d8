"""Concentrators changed in PostgreSQL while they ask: live within a second, and nobody is refused by a new secret."""

import hashlib
import json
import os
import socket
import struct
import time

import pytest
from nodes import Node, eventually
from subscribers import ACCEPT, Load, dial

OLD, NEW, FURTHER = b"testing123", b"a-new-secret", b"of-another-router"
ROTATE = (
    "UPDATE net.nas SET secret_previous = secret, secret_previous_until = now() + make_interval(secs => $2),"
    " secret = $1 WHERE name = 'demo'"
)


def is_answered(node: Node, *, secret: bytes = OLD, signed: bool = True) -> bool:
    dialled = dial(node.auth_port, "user000001", "pass000001", secret=secret, signed=signed, timeout_s=0.1)
    return dialled.code == ACCEPT


def test_r2_2_a_secret_is_rotated_under_load_without_one_refused_customer(node: Node) -> None:
    with Load(node.auth_port, rate=150) as load:
        time.sleep(0.5)
        node.sql(ROTATE, NEW.decode(), 60.0)
        time.sleep(1.2)  # the router does not know it yet
        load.secret = NEW
        time.sleep(0.8)
        node.sql("UPDATE net.nas SET secret_previous = NULL, secret_previous_until = NULL WHERE name = 'demo'")
        time.sleep(0.8)
        dialled = load.stop()
    try:
        assert len(dialled) > 300
        assert {one.code for one in dialled} == {ACCEPT}
        assert not any(one.bad_replies for one in dialled)
        assert not is_answered(node, secret=OLD)
        assert is_answered(node, secret=NEW)
    finally:
        node.sql(ROTATE, OLD.decode(), 60.0)  # without an end the brake would count a loss
        eventually(lambda: is_answered(node), within_s=10, what="the old secret counts again")


def test_r2_2_the_previous_secret_ends_by_the_clock(node: Node) -> None:
    node.sql(ROTATE, NEW.decode(), 3.0)
    begun = time.monotonic()
    try:
        eventually(lambda: is_answered(node, secret=NEW), within_s=10, what="the new secret counts")
        assert is_answered(node, secret=OLD)
        eventually(lambda: not is_answered(node, secret=OLD), within_s=5, what="the old secret ends")
        assert 2.5 < time.monotonic() - begun < 4.5
        assert is_answered(node, secret=NEW)
    finally:
        node.sql(ROTATE, OLD.decode(), 60.0)  # without an end the brake would count a loss
        eventually(lambda: is_answered(node), within_s=10, what="the old secret counts again")


def test_r2_2_after_a_second_rotation_the_router_with_the_first_secret_is_still_answered(node: Node) -> None:
    node.sql("UPDATE net.nas SET secret_previous = NULL, secret_previous_until = NULL")
    try:
        secrets = [OLD]
        for _ in range(2):  # the value that is shown once was lost
            rotated = node.aaad("nas", "rotate-secret", "demo", "--json")
            assert rotated.returncode == 0, rotated.stderr
            secrets.append(json.loads(rotated.stdout)["secret"].encode())
        eventually(lambda: is_answered(node, secret=secrets[-1]), within_s=10, what="the newest secret counts")
        assert [is_answered(node, secret=secret) for secret in secrets] == [True, True, True]
    finally:
        node.sql(ROTATE, OLD.decode(), 60.0)  # without an end the brake would count a loss
        node.sql("DELETE FROM net.nas_secret")
        eventually(lambda: is_answered(node), within_s=10, what="the old secret counts again")


def test_r2_1_two_routers_behind_one_address_with_different_secrets(node: Node) -> None:
    assert not is_answered(node, secret=FURTHER)
    node.sql("INSERT INTO net.nas_secret (nas_id, secret) SELECT id, $1 FROM net.nas", FURTHER.decode())
    eventually(lambda: is_answered(node, secret=FURTHER), within_s=10, what="the further secret counts")
    assert is_answered(node, secret=OLD)


def test_r2_3_r2_4_a_nas_is_added_stops_signing_is_freed_disabled_and_deleted(node: Node) -> None:
    # Enough others, known early, so that the brake does not take what is disabled later for the loss of most.
    others = "INSERT INTO net.nas (name, address, secret) SELECT 'other-' || n, ('192.0.2.' || n)::cidr, 'x'"
    node.sql(f"{others} FROM generate_series(1, 4) AS n")
    added = node.aaad("nas", "add", "--name", "bras-1", "--address", "127.0.0.1", "--json")
    assert added.returncode == 0, added.stderr
    secret = json.loads(added.stdout)["secret"].encode()
    eventually(lambda: is_answered(node, secret=secret), within_s=10, what="the new entry counts before the prefix")
    assert not is_answered(node, secret=OLD)
    assert not is_answered(node, secret=secret, signed=False), "it has signed once"
    problem = "NAS bras-1 stopped sending Message-Authenticator"
    eventually(lambda: problem in node.aaad("nas", "problems").stdout, within_s=10, what="the problem is told")
    armed = "SELECT armed_at > coalesce(reset_at, '-infinity') AS armed FROM net.router WHERE armed_at IS NOT NULL"
    eventually(lambda: any(row["armed"] for row in node.sql(armed)), within_s=5, what="all nodes know")
    assert node.aaad("nas", "message-auth", "bras-1", "reset").returncode == 0
    took_s = eventually(
        lambda: is_answered(node, secret=secret, signed=False), within_s=10, what="the reset frees it"
    )
    assert node.is_a_second(took_s), "rule R2.3"
    eventually(lambda: problem not in node.aaad("nas", "problems").stdout, within_s=10, what="the problem is gone")

    node.sql("UPDATE net.nas SET enabled = false WHERE name = 'bras-1'")
    eventually(lambda: not is_answered(node, secret=secret), within_s=10, what="a disabled entry is silent")
    deleted = node.aaad("nas", "delete", "bras-1", "--yes")
    assert deleted.returncode == 0, deleted.stderr
    eventually(lambda: is_answered(node, secret=OLD), within_s=10, what="the prefix counts again")


@pytest.mark.soak
@pytest.mark.timeout(180)
def test_r10_a_wrong_secret_behind_chap_is_inferred_told_and_gone_when_put_right(node: Node) -> None:
    node.sql("DELETE FROM net.nas WHERE address = '127.0.0.1'")
    node.sql("INSERT INTO net.nas (name, address, secret) VALUES ('chap', '127.0.0.1', 'of other routers')")
    eventually(lambda: is_answered(node, secret=b"of other routers"), within_s=10, what="the entry counts")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as router:
        router.settimeout(1)
        router.connect(("127.0.0.1", node.auth_port))
        for request in [chap_request(number) for number in range(4)]:
            for _ in range(3):  # it does not believe our answers, so it asks again
                router.send(request)
                assert router.recv(4096)[0] == ACCEPT
    seems_wrong = "NAS chap: its secret seems wrong: 4 Accepts to CHAP"
    eventually(lambda: seems_wrong in node.aaad("status").stdout, within_s=60, what="the wrong secret is told")
    why = node.aaad("why", "user000001").stdout
    assert seems_wrong in " ".join(why.split())
    node.sql("UPDATE net.nas SET secret = 'right' WHERE name = 'chap'")

    def accounting_is_heard() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(accounting_start(b"right"), ("127.0.0.1", node.acct_port))
        return "its secret seems wrong" not in node.aaad("status").stdout

    eventually(accounting_is_heard, within_s=20, what="a proof ends it")


def chap_request(number: int) -> bytes:
    """An unsigned CHAP login of user000001, as a router of before RouterOS 7.15 sends it."""
    authenticator = os.urandom(16)
    proof = b"\x07" + hashlib.md5(b"\x07" + b"pass000001" + authenticator).digest()
    body = _attributes((1, b"user000001"), (3, proof), (7, b"\0\0\0\1"), (44, b"81a0%04d" % number), (32, b"old"))
    return struct.pack("!BBH", 1, number, 20 + len(body)) + authenticator + body


def accounting_start(secret: bytes) -> bytes:
    body = _attributes((40, b"\0\0\0\1"), (44, b"81a09999"), (32, b"old"))
    head = struct.pack("!BBH", 4, 1, 20 + len(body))
    return head + hashlib.md5(head + bytes(16) + body + secret).digest() + body


def _attributes(*pairs: tuple[int, bytes]) -> bytes:
    return b"".join(bytes((kind, len(value) + 2)) + value for kind, value in pairs)
