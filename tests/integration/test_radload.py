"""The load generator of the bench tells the truth: a server misbehaves in known ways, the counts must show it."""

import hashlib
import hmac
import json
import shutil
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "bench" / "radload"
SECRET = b"testing123"
ACCEPT, REJECT, ACCOUNTING_RESPONSE, CHALLENGE = 2, 3, 5, 11
USER_NAME, PASSWORD, FRAMED_ADDRESS, CLASS, STATUS_TYPE, MESSAGE_AUTHENTICATOR = 1, 2, 8, 25, 40, 80
DELAY, SESSION_ID, SESSION_TIME, EVENT_TIMESTAMP = 41, 44, 46, 55


@pytest.fixture(scope="module")
def radload(tmp_path_factory) -> Path:
    """radload, freshly built."""
    if not (shutil.which("gcc") and shutil.which("make") and Path("/usr/include/openssl/md5.h").exists()):
        pytest.skip("gcc, make or libssl-dev is missing: scripts/install-test-peers")
    folder = tmp_path_factory.mktemp("radload")
    subprocess.run(["make", "-s", "-C", str(SOURCE), f"BUILD={folder}", "check"], check=True, timeout=60)
    return folder / "radload"


class Server(threading.Thread):
    """behave(count so far, is it a first copy, datagram) -> [(code, attributes, what is false)]."""

    def __init__(self, behave, *, signs=True):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.05)
        self.port = self.socket.getsockname()[1]
        self.behave, self.signs = behave, signs
        self.seen, self.datagrams = {}, []
        self.stopping, self.repeats_are_equal = False, True
        self.start()

    def run(self):
        while not self.stopping:
            try:
                datagram, address = self.socket.recvfrom(4096)
            except TimeoutError:
                continue
            key = (address, datagram[1], datagram[4:20])
            first = key not in self.seen
            self.repeats_are_equal &= self.seen.setdefault(key, datagram) == datagram
            if first:
                self.datagrams.append(datagram)
            for code, attributes, false in self.behave(len(self.datagrams), first, datagram):
                self.socket.sendto(self.reply(datagram, code, attributes, false), address)

    def reply(self, request, code, attributes, false):
        body = attributes
        if self.signs:
            body = b"\x50\x12" + bytes(16) + attributes
            head = struct.pack("!BBH", code, request[1], 20 + len(body))
            signature = hmac.digest(SECRET, head + request[4:20] + body, "md5")
            body = b"\x50\x12" + (bytes(16) if false == "signature" else signature) + attributes
        head = struct.pack("!BBH", code, request[1], 20 + len(body))
        authenticator = hashlib.md5(head + request[4:20] + body + SECRET).digest()
        return head + (bytes(16) if false == "authenticator" else authenticator) + body


def accepting(count, first, datagram):
    """A server without fault: each login gets an address of its own."""
    return [
        (
            ACCEPT if datagram[0] == 1 else ACCOUNTING_RESPONSE,
            b"\x08\x06" + struct.pack("!I", 0x0A000000 + count),
            None,
        )
    ]


def attributes_of(datagram):
    position, found = 20, []
    while position < len(datagram):
        length = datagram[position + 1]
        found.append((datagram[position], datagram[position + 2 : position + length]))
        position += length
    assert position == len(datagram)
    return dict(found)


@pytest.fixture
def run(radload):
    """Run radload against a server and return exit status and figures."""

    def run_once(server, *arguments):
        address = f"127.0.0.1:{server.port}"
        command = [radload, "--json", "--quiet", "--auth", address, "--acct", address, *map(str, arguments)]
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=60)
        server.stopping = True
        server.join()
        server.socket.close()
        return done.returncode, json.loads(done.stdout)

    return run_once


def test_a_server_without_fault_gives_full_counts(run):
    status, found = run(Server(accepting), "--count", 500, "--window", 8)
    assert status == 0
    assert found["accept"] == found["requests"] == 500
    assert found["bad"] == found["lost"] == found["retransmits"] == 0


def test_message_authenticator_is_not_asked_of_the_server(run):
    status, found = run(Server(accepting, signs=False), "--count", 200, "--no-message-authenticator")
    assert (status, found["accept"]) == (0, 200)


def test_a_dropped_request_is_sent_again_unchanged_and_its_latency_counts_from_the_first_sending(run):
    server = Server(
        lambda count, first, datagram: [] if first and count % 10 == 0 else accepting(count, first, datagram)
    )
    _, found = run(server, "--count", 200, "--window", 16, "--timeout", 0.2)
    assert (found["retransmits"], found["lost"], found["accept"]) == (20, 0, 200)
    assert server.repeats_are_equal
    assert len(server.datagrams) == 200
    assert found["max"] >= 200


def test_silence_is_lost_after_three_tries(run):
    server = Server(lambda count, first, datagram: [] if count % 50 == 0 else accepting(count, first, datagram))
    status, found = run(server, "--count", 200, "--window", 1, "--timeout", 0.1)
    assert status == 1
    assert (found["lost"], found["retransmits"], found["accept"]) == (4, 8, 196)


@pytest.mark.parametrize("what", ["authenticator", "signature"])
def test_a_false_answer_is_bad_and_no_answer(run, what):
    server = Server(lambda count, first, _: [(ACCEPT, b"", what if count % 20 == 0 and first else None)])
    _, found = run(server, "--count", 200, "--window", 4, "--timeout", 0.1)
    assert (found["bad"], found["retransmits"], found["accept"]) == (10, 10, 200)


def test_a_second_answer_is_a_stray(run):
    _, found = run(Server(lambda *request: accepting(*request) * 2), "--count", 300, "--window", 4)
    assert (found["accept"], found["bad"]) == (300, 0)
    assert found["stray"] > 250


def test_rejects_are_unexpected_and_challenges_counted(run):
    status, found = run(Server(lambda *_: [(REJECT, b"", None)]), "--count", 50)
    assert (status, found["reject"], found["unexpected"]) == (1, 50, 50)
    _, found = run(Server(lambda *_: [(CHALLENGE, b"", None)]), "--count", 50)
    assert found["challenge"] == 50


def test_duplicate_addresses_are_found(run, tmp_path):
    path = tmp_path / "addresses"
    server = Server(lambda count, *_: [(ACCEPT, b"\x08\x06\x0a\0\0" + bytes([count % 100]), None)])
    _, found = run(server, "--count", 150, "--users", 150, "--window", 4, "--collect-ip", path)
    assert len({line.split()[0] for line in path.read_text().splitlines()}) == 150
    assert found["ip_duplicates"] == 50


def test_whole_logins_send_what_a_concentrator_would(run):
    server = Server(accepting)
    run(server, "--mode", "mixed", "--count", 40, "--users", 40, "--window", 4)
    stages, addresses = {}, {}
    for datagram in server.datagrams:
        attributes = attributes_of(datagram)
        assert {1, 4, 5, 6, 7, 30, 31, 32, 44, 61, 87} <= attributes.keys()
        name = attributes[USER_NAME]
        if datagram[0] == 1:
            stages.setdefault(name, []).append("auth")
            signature = attributes[MESSAGE_AUTHENTICATOR]
            unsigned = datagram.replace(signature, bytes(16))
            assert hmac.digest(SECRET, unsigned, "md5") == signature
            mask = hashlib.md5(SECRET + datagram[4:20]).digest()
            password = bytes(a ^ b for a, b in zip(attributes[PASSWORD], mask, strict=True)).rstrip(b"\0")
            assert password == name.replace(b"user", b"pass")
        else:
            stages.setdefault(name, []).append({1: "start", 2: "stop", 3: "interim"}[attributes[STATUS_TYPE][3]])
            addresses.setdefault(name, set()).add(attributes[FRAMED_ADDRESS])
            assert hashlib.md5(datagram[:4] + bytes(16) + datagram[20:] + SECRET).digest() == datagram[4:20]
            if attributes[STATUS_TYPE][3] == 2:
                assert {41, 42, 43, 46, 47, 48, 49, 52, 53, 55} <= attributes.keys()
    assert len(stages) == 40
    assert all(order == ["auth", "start", "interim", "stop"] for order in stages.values())
    assert len(set().union(*addresses.values())) == 40, "accounting carries the address of the Accept"


def test_open_loop_keeps_its_rate_and_its_time(run):
    begin = time.monotonic()
    _, found = run(Server(accepting), "--rate", 300, "--time", 1, "--count", 100000)
    assert 280 <= found["requests"] <= 301
    assert time.monotonic() - begin < 3


def test_open_loop_cannot_hide_a_stall_behind_a_small_window(run):
    def stall(count, first, datagram):
        if count == 100 and first:
            time.sleep(0.5)
        return accepting(count, first, datagram)

    _, found = run(Server(stall), "--rate", 400, "--time", 2, "--window", 4, "--count", 100000)
    assert found["p95"] > 250
    assert found["max"] >= 490


def accounting_of(server):
    """Return what each session reported, in the order in which it came: (stage, its place among all, attributes)."""
    found = {}
    for place, datagram in enumerate(server.datagrams):
        attributes = attributes_of(datagram)
        if datagram[0] == 4:
            stage = "STI"[attributes[STATUS_TYPE][3] - 1]
            found.setdefault(attributes[SESSION_ID], []).append((stage, place, attributes))
    return found


def number(attributes, kind):
    return int.from_bytes(attributes.get(kind, b""), "big")


def test_sessions_with_a_lag_live_side_by_side(run):
    server = Server(accepting)
    status, found = run(server, "--mode", "acct", "--count", 60, "--users", 60, "--window", 4, "--lag", 20)
    sessions = accounting_of(server)
    assert (status, found["requests"], found["sequences"], len(sessions)) == (0, 180, 60, 60)
    for reports in sessions.values():
        assert [stage for stage, _, _ in reports] == ["S", "I", "T"]
        places = [place for _, place, _ in reports]
        assert min(places[1] - places[0], places[2] - places[1]) >= 20, "at least as many began in between"
    middle = [attributes_of(datagram)[STATUS_TYPE][3] for datagram in server.datagrams[70:100]]
    assert {middle.count(kind) for kind in (1, 2, 3)} == {10}, "a mix of all stages"


def test_what_a_session_tells_of_time_is_one_story(run):
    began = int(time.time()) - 100_000
    for more, age_s in ((("--lag", 5), 300), ((), 300), (("--began", began), 300), (("--interval", 0), 0)):
        server = Server(accepting)
        run(server, "--mode", "acct", "--stages", "SIIT", "--count", 20, "--users", 20, "--window", 4, *more)
        now_s = time.time()
        for reports in accounting_of(server).values():
            begins = {number(a, EVENT_TIMESTAMP) - number(a, SESSION_TIME) for _, _, a in reports}
            assert max(begins) - min(begins) <= 2
            assert "--began" not in more or begins == {began}
            assert [number(a, SESSION_TIME) // 100 for _, _, a in reports] == [age_s * n // 100 for n in range(4)]
            for _, _, a in reports:
                assert now_s - 10 < number(a, EVENT_TIMESTAMP) + number(a, DELAY) <= now_s + 1, "sent now"


def test_a_later_run_goes_on_with_the_sessions_of_an_earlier_one(run):
    began = int(time.time()) - 3600
    common = ("--tag", 7, "--users", 30, "--count", 30, "--mode", "acct", "--began", began)
    first, second = Server(accepting), Server(accepting)
    run(first, *common, "--stages", "S")
    run(second, *common, "--stages", "I")
    starts, interims = accounting_of(first), accounting_of(second)
    assert starts.keys() == interims.keys()
    for session, ((_, _, interim),) in interims.items():
        ((_, _, start),) = starts[session]
        assert start[USER_NAME] == interim[USER_NAME]
        assert number(interim, SESSION_TIME) == 300
        assert number(interim, EVENT_TIMESTAMP) == began + 300


def test_a_later_run_goes_on_with_some_of_many_sessions(run):
    common = ("--tag", 7, "--users", 40, "--mode", "acct", "--window", 1)
    opening, some, others = Server(accepting), Server(accepting), Server(accepting)
    run(opening, *common, "--stages", "S", "--count", 40)
    run(some, *common, "--stages", "I", "--count", 25, "--of", 40)
    run(others, *common, "--stages", "I", "--count", 15, "--of", 40, "--first", 25, "--age", 600)
    names = {session: reports[0][2][USER_NAME] for session, reports in accounting_of(opening).items()}
    first, rest = accounting_of(some), accounting_of(others)
    assert len(first) == 25
    assert first.keys() | rest.keys() == names.keys(), "each once"
    assert list(first) != sorted(first), "not in the order of their beginning"
    for session, ((_, _, interim),) in (first | rest).items():
        assert interim[USER_NAME] == names[session]
        assert number(interim, SESSION_TIME) == (900 if session in rest else 300)


def test_accounting_says_class_and_address_of_its_own_accept(run, tmp_path):
    def granting(count, first, datagram):
        name = attributes_of(datagram)[USER_NAME]
        said = bytes((CLASS, 2 + len(name))) + name + bytes((FRAMED_ADDRESS, 6, 10, 9)) + name[-2:]
        return [(ACCEPT if datagram[0] == 1 else ACCOUNTING_RESPONSE, said, None)]

    classes = tmp_path / "classes"
    common = ("--tag", 7, "--users", 30, "--count", 30, "--window", 4)
    run(Server(granting), *common, "--collect-class", classes)
    later, whole = Server(granting), Server(granting)
    run(later, *common, "--mode", "acct", "--class-file", classes, "--lag", 4)
    run(whole, *common, "--mode", "mixed", "--class", "--lag", 4)
    for server in (later, whole):
        reports = [attributes for session in accounting_of(server).values() for _, _, attributes in session]
        assert len(reports) == 90
        assert all(attributes[CLASS] == attributes[USER_NAME] for attributes in reports)
        assert all(attributes[FRAMED_ADDRESS][2:] == attributes[USER_NAME][-2:] for attributes in reports)


def test_a_session_with_a_lag_whose_login_fails_reports_nothing(run):
    def refusing(count, first, datagram):
        name = attributes_of(datagram)[USER_NAME]
        code = REJECT if name[-1] in b"02468" else ACCEPT
        return [(code if datagram[0] == 1 else ACCOUNTING_RESPONSE, b"", None)]

    server = Server(refusing)
    _, found = run(server, "--mode", "mixed", "--count", 40, "--users", 40, "--lag", 10, "--window", 4)
    assert (found["accept"], found["reject"], found["acct_response"]) == (20, 20, 60)
    names = {attributes[USER_NAME] for session in accounting_of(server).values() for _, _, attributes in session}
    assert all(name[-1] in b"13579" for name in names)


def test_the_rate_of_an_open_loop_with_a_lag_is_kept(run):
    _, found = run(
        Server(accepting),
        "--mode",
        "acct",
        "--lag",
        50,
        "--rate",
        100,
        "--time",
        1,
        "--count",
        100000,
        "--window",
        64,
    )
    assert 280 <= found["requests"] <= 303
