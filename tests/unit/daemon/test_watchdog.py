"""The node's own Status-Server: RFC 5997's example, forged answers, and real rounds over real sockets."""

import hashlib
import socket

import pytest

from aaad.daemon.watchdog import Prober, WatchdogKey, is_answer, sources_for, status_server

# RFC 5997, 6.1 (secret xyzzy5461)
SECRET = b"xyzzy5461"
REQUEST = bytes.fromhex("0cda00268a54f4686fb394c52866e302185d062350125a665e2e1e8411f3e243822097c84fa3")
ANSWER = bytes.fromhex("02da0014ef0d552a4bf2d693ec2b6fe8b5411d66")


def test_the_question_is_that_of_the_rfc():
    assert status_server(0xDA, REQUEST[4:20], SECRET) == REQUEST


def test_the_answer_of_the_rfc_is_believed():
    assert is_answer(ANSWER, 0xDA, REQUEST[4:20], SECRET)
    assert is_answer(ANSWER + b"padding", 0xDA, REQUEST[4:20], SECRET)


@pytest.mark.parametrize(
    "forged",
    [
        b"",
        ANSWER[:19],
        b"\x03" + ANSWER[1:],
        ANSWER[:1] + b"\xdb" + ANSWER[2:],
        ANSWER[:2] + b"\x00\x15" + ANSWER[4:],
        ANSWER[:2] + b"\x00\x00" + ANSWER[4:],
        ANSWER[:-1] + b"\x00",
    ],
)
def test_anything_else_is_not(forged: bytes):
    assert not is_answer(forged, 0xDA, REQUEST[4:20], SECRET)


def test_an_answer_under_another_secret_or_to_another_question_is_not_believed():
    assert not is_answer(ANSWER, 0xDA, REQUEST[4:20], b"other")
    assert not is_answer(ANSWER, 0xDA, bytes(16), SECRET)


def test_the_key_is_carried_whole_and_never_shown():
    key = WatchdogKey((("127.0.0.1", 40000), ("::1", 40001, 0, 0)), b"\x00secret\xff")
    assert WatchdogKey.decode(key.encode()) == key
    assert "secret" not in repr(key)


def answer(server: socket.socket, key: WatchdogKey, code: int = 2) -> tuple[object, ...]:
    request, source = server.recvfrom(4096)
    head = bytes([code]) + request[1:2] + b"\x00\x14"
    signature = hashlib.md5(head + request[4:20] + key.secret).digest()
    server.sendto(head + signature, source)
    return source


@pytest.fixture
def server():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.settimeout(5)
        yield opened


@pytest.fixture
def prober():
    opened = Prober()
    yield opened
    opened.close()


def test_who_answers_is_known_and_who_does_not_is_named(prober: Prober, server: socket.socket):
    silent = ("127.0.0.2", server.getsockname()[1])
    prober.begin_round([("127.0.0.1", silent[1]), silent])
    assert prober.asked == 2
    source = answer(server, prober.key)
    assert source in prober.key.sources
    assert prober.finish_round() == ([f"127.0.0.2 port {silent[1]}"], [])


def test_r3_2_the_accounting_port_is_asked_too_and_answers_with_its_own_code(prober: Prober, server: socket.socket):
    target = server.getsockname()
    for code, expected in ((5, []), (2, [f"127.0.0.1 port {target[1]}"])):
        prober.begin_round([], [target])
        assert prober.asked == 0, "logins do not hang on it"
        answer(server, prober.key, code)
        assert prober.finish_round() == ([], expected)


def test_an_ipv6_source_is_told_as_the_kernel_gives_it(prober: Prober):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
        server.bind(("::1", 0))
        server.settimeout(5)
        prober.begin_round([server.getsockname()[:2]])
        assert answer(server, prober.key) in prober.key.sources
    assert prober.finish_round() == ([], [])


def test_a_wildcard_socket_is_asked_at_the_loopback_address(prober: Prober, server: socket.socket):
    prober.begin_round([("0.0.0.0", server.getsockname()[1])])
    answer(server, prober.key)
    assert prober.finish_round() == ([], [])


def test_every_member_of_a_group_is_asked_and_one_that_is_silent_shows():
    """The kernel chooses a member by the source port, so one port would always ask the same process."""
    port = 0
    members = []
    for _ in range(3):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind(("127.0.0.1", port))
        opened.setblocking(False)
        port = opened.getsockname()[1]
        members.append(opened)
    prober = Prober(2 * sources_for(len(members)))
    assert len(prober.key.sources) >= 48
    prober.begin_round([("127.0.0.1", port)])
    answered = [answer_all(member, prober.key) for member in members[:2]]
    assert all(answered)
    assert prober.finish_round() == ([f"127.0.0.1 port {port}"], [])
    assert answer_all(members[2], prober.key)
    assert prober.finish_round() == ([], [])
    for opened in members:
        opened.close()
    prober.close()


def answer_all(server: socket.socket, key: WatchdogKey) -> int:
    count = 0
    while True:
        try:
            answer(server, key)
        except BlockingIOError:
            return count
        count += 1


def test_more_sources_keep_the_old_ones_and_the_secret(prober: Prober):
    before = prober.key
    prober.open_sources(4)
    assert set(before.sources) < set(prober.key.sources)
    assert prober.key.secret == before.secret
    prober.open_sources(1)
    assert len(prober.key.sources) >= 4


def test_a_late_answer_does_not_count_for_the_next_round(prober: Prober, server: socket.socket):
    target = server.getsockname()[:2]
    prober.begin_round([target])
    assert len(prober.finish_round().authentication) == 1
    prober.begin_round([target])
    answer(server, prober.key)  # the first question's
    assert len(prober.finish_round().authentication) == 1
    answer(server, prober.key)
    assert prober.finish_round() == ([], [])


def test_an_answer_from_elsewhere_does_not_count(prober: Prober, server: socket.socket):
    prober.begin_round([server.getsockname()])
    request, source = server.recvfrom(4096)
    head = b"\x02" + request[1:2] + b"\x00\x14"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.sendto(head + hashlib.md5(head + request[4:20] + prober.key.secret).digest(), source)
    assert len(prober.finish_round().authentication) == 1


def test_a_target_that_cannot_be_reached_counts_as_silent(prober: Prober):
    prober.begin_round([("127.0.0.1", 1)])
    prober.begin_round([("127.0.0.1", 1)])  # the kernel tells of the closed port now
    assert prober.finish_round() == (["127.0.0.1 port 1"], [])
