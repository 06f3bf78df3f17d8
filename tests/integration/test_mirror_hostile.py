"""A mirror among strangers and broken peers: who sends what he must not is told, counted and cut off at both ends."""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest
from mirror_house import OWNER, SECRET, TIMEOUT_S, Owner, Peer, until
from structlog.testing import capture_logs

from aaad.spool import mirror, mirror_disk, mirror_server
from aaad.spool.mirror_disk import kept_copies
from aaad.spool.mirror_frames import (
    BARE_OCTETS_MAX,
    NONCE_OCTETS,
    VERSION,
    Ack,
    Begin,
    Cause,
    Challenge,
    Data,
    Held,
    Hello,
    Look,
    Ping,
    Ready,
    Refusal,
    Seal,
    Welcome,
    Working,
    decode_message,
    encode_message,
    framed,
    seals,
)
from aaad.spool.mirror_link import MirrorLink, Refused
from aaad.spool.mirror_pieces import Piece
from aaad.spool.segment import HEADER_OCTETS, START, Header, Position, encode_header

HELLO = Hello(VERSION, bytes(NONCE_OCTETS), OWNER, "radius-0", uuid4())


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    with Peer(tmp_path / "peer").serving() as made:
        yield made


def receive(stream) -> bytes:
    return stream.read(int.from_bytes(stream.read(4), "little"))


class Stranger:
    """Speaks to a mirror as it likes."""

    def __init__(self, peer: Peer) -> None:
        self.socket = socket.create_connection(("127.0.0.1", peer.port), timeout=10)
        self.stream = self.socket.makefile("rb")
        self.outgoing: Seal | None = None

    def greet(self, hello: Hello = HELLO) -> bytes:
        body = encode_message(hello)
        self.socket.sendall(framed(body))
        answer = receive(self.stream)
        if isinstance(decode_message(answer), Challenge):
            self.outgoing, self.incoming = seals(SECRET, body, answer)
        return answer

    def prove(self) -> Welcome:
        self.greet()
        self.socket.sendall(self.outgoing.seal(Ready()))
        return self.heard()

    def heard(self):
        while (message := self.incoming.open(receive(self.stream))) == Working():
            pass
        return message

    def asked(self, message):
        self.socket.sendall(self.outgoing.seal(message))
        return self.heard()

    def begun(self) -> Ack:
        assert self.prove() == Welcome()
        return self.asked(Begin(0))

    def ending(self) -> Refusal | None:
        """What is said last before the connection ends."""
        last, opens = None, self.outgoing is not None
        while content := receive(self.stream):
            try:
                last = decode_message(content)
            except Exception:  # sealed
                last = self.incoming.open(content) if opens else None
        return last


BARE = {
    "no frame": b"GET / HTTP/1.1\r\n\r\n",
    "too long": (BARE_OCTETS_MAX + 1).to_bytes(4, "little"),
    "no message": framed(b"\xff" * 40),
    "not a greeting": framed(encode_message(Ping())),
    "data first": framed(encode_message(Data(1, 0, b"x"))),
}


@pytest.mark.parametrize("octets", BARE.values(), ids=BARE)
def test_a_stranger_is_told_counted_and_cut_off(peer: Peer, octets: bytes) -> None:
    stranger = Stranger(peer)
    stranger.socket.sendall(octets)
    assert stranger.ending() == Refusal(Cause.MALFORMED)
    assert peer.count("aaad_mirror_refused_total|cause=malformed") == 1
    assert kept_copies(peer.root) == []
    assert Stranger(peer).begun() == Ack(0, 0), "others are served"


def test_random_octets_at_any_point_end_that_connection_only(peer: Peer) -> None:
    with capture_logs() as told:
        for number in range(30):
            stranger = Stranger(peer)
            if number % 3:
                stranger.greet()
            if number % 3 == 2:
                stranger.socket.sendall(stranger.outgoing.seal(Ready()))
            stranger.socket.sendall(framed(os.urandom(20 + number)))
            stranger.ending()
    causes = [f"aaad_mirror_refused_total|cause={cause}" for cause in ("malformed", "secret")]
    assert sum(map(peer.count, causes)) == 30
    logged = sum(one["event"] == "mirror.refused" for one in told)
    assert 0 < logged <= 2 * mirror_server.REFUSALS_LOGGED_MAX, "the log cannot be filled from outside"
    assert Stranger(peer).begun().position == START


def test_another_version_is_told(peer: Peer) -> None:
    hello = msgspec.structs.replace(HELLO, version=VERSION + 1)
    assert decode_message(Stranger(peer).greet(hello)) == Refusal(Cause.VERSION)
    assert peer.count("aaad_mirror_refused_total|cause=version") == 1


def test_who_knows_the_secret_cannot_break_the_order_or_another_spools_copy(peer: Peer) -> None:
    header = encode_header(Header(HELLO.spool_id, uuid4(), "radius-0", 1, 1, START, 0))
    for number, wrong in enumerate(
        (Data(1, HEADER_OCTETS, b"x"), Data(2, 0, header), Data(1, 0, b"no header"), Welcome(), HELLO), 1
    ):
        stranger = Stranger(peer)
        stranger.begun()
        stranger.socket.sendall(stranger.outgoing.seal(wrong))
        cause = Cause.ORDER if number < 3 else Cause.MALFORMED
        assert stranger.ending() == Refusal(cause), wrong
    assert peer.count("aaad_mirror_refused_total|cause=order") == 2
    stranger = Stranger(peer)
    stranger.begun()
    assert stranger.asked(Data(1, 0, header)) == Ack(1, HEADER_OCTETS)
    again = Stranger(peer)
    again.prove()
    assert again.asked(Look(2)).segments == [(1, hashlib.sha256(header).digest()[:16])]
    again.socket.sendall(again.outgoing.seal(Data(1, HEADER_OCTETS, b"before it is agreed where")))
    assert again.ending() == Refusal(Cause.MALFORMED)


def test_a_newer_connection_takes_the_place_of_one_whose_owner_is_gone(peer: Peer) -> None:
    older, newer = Stranger(peer), Stranger(peer)
    older.begun()
    assert newer.begun().position == START
    assert peer.count("aaad_mirror_refused_total|cause=replaced") == 1
    assert newer.asked(Ping()) == Ack(0, 0)


def test_of_several_newer_connections_the_newest_has_the_copy_whoever_they_wait_for(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest is not through with what it looks through; those between have a dead owner, too."""
    monkeypatch.setattr(mirror_server, "WORD_S", 0.05)
    may_end, really, looks = threading.Event(), mirror_disk.contiguous_end, []
    takes: list[object] = []

    def slowly(directory: Path, spool_id: UUID) -> Position:
        looks.append(directory)
        assert may_end.wait(20)
        return really(directory, spool_id)

    def taken(*arguments: object, **settings: object) -> mirror_disk.MirroredSpool:
        takes.append(settings["slot"])
        return mirror_disk.MirroredSpool(*arguments, **settings)

    monkeypatch.setattr(mirror_disk, "contiguous_end", slowly)
    monkeypatch.setattr(mirror_server, "MirroredSpool", taken)
    oldest, *between, newest = [Stranger(peer) for _ in range(4)]
    oldest.prove()
    oldest.socket.sendall(oldest.outgoing.seal(Begin(0)))
    until(lambda: len(looks) == 1, "the oldest looks")
    for stranger in (*between, newest):
        assert stranger.prove() == Welcome()
        assert stranger.incoming.open(receive(stranger.stream)) == Working(), "it waits"
    may_end.set()
    assert newest.asked(Begin(0)) == Ack(0, 0)
    assert newest.asked(Ping()) == Ack(0, 0)
    assert peer.count("aaad_mirror_refused_total|cause=held") == 0
    until(lambda: peer.count("aaad_mirror_refused_total|cause=replaced") == 3, "each of the others is replaced")
    assert (len(takes), len(looks)) == (2, 2), "for a connection that is replaced nobody touches it"
    last = Stranger(peer)
    assert last.begun() == Ack(0, 0), "and the newest is seen by who comes later"


def test_who_says_nothing_is_let_go_and_connections_are_bounded(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_server, "CONNECTIONS_MAX", 3)
    monkeypatch.setattr(mirror_server, "GREETING_S", 0.3)
    silent = [Stranger(peer) for _ in range(3)]
    time.sleep(0.05)
    assert Stranger(peer).ending() == Refusal(Cause.BUSY)
    assert [stranger.ending() for stranger in silent] == [Refusal(Cause.SILENT)] * 3
    assert Stranger(peer).begun().position == START


# --- the owner's end ------------------------------------------------------------------------------------------------


@contextmanager
def false_peer(answer):
    """A peer that does what it must not, with each connection in turn."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopping = threading.Event()

    def serve() -> None:
        while not stopping.is_set():
            connection, _ = listener.accept()
            with connection, suppress(OSError, ValueError):
                connection.settimeout(2)
                answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stopping.set()
        socket.create_connection(listener.getsockname()).close()
        thread.join(5)
        listener.close()


def challenged(connection: socket.socket) -> tuple[Seal, Seal]:
    """Go through the greeting as a mirror with the right secret."""
    stream = connection.makefile("rb")
    hello = receive(stream)
    challenge = encode_message(Challenge(bytes(NONCE_OCTETS)))
    connection.sendall(framed(challenge))
    receive(stream)
    return seals(SECRET, hello, challenge)


def greeted(connection: socket.socket, mirror: Seal) -> None:
    """Go on as a mirror that has nothing."""
    connection.sendall(mirror.seal(Welcome()))
    for answer in (Held([]), Ack(0, 0)):
        connection.recv(1 << 16)
        connection.sendall(mirror.seal(answer))


FALSE = {
    "closes": (lambda connection: None, "connection"),
    "garbage": (lambda connection: connection.sendall(b"220 mail.example ESMTP\r\n"), "spool"),
    "too long": (lambda connection: connection.sendall(b"\xff" * 4), "spool"),
    "says no": (lambda connection: connection.sendall(framed(encode_message(Refusal(Cause.BUSY)))), "refused"),
    "welcome at once": (lambda connection: connection.sendall(framed(encode_message(Welcome()))), "spool"),
    "does not know the secret": (
        lambda connection: (challenged(connection), connection.sendall(framed(encode_message(Welcome())))),
        "secret",
    ),
    "tells of the same segments without end": (
        lambda connection: (
            mirror := challenged(connection)[1],
            connection.sendall(mirror.seal(Welcome())),
            [(connection.recv(1 << 16), connection.sendall(mirror.seal(Held([(9, b"")])))) for _ in range(9)],
        ),
        "spool",
    ),
    "tells of segments in no order": (
        lambda connection: (
            mirror := challenged(connection)[1],
            connection.sendall(mirror.seal(Welcome())),
            [
                (connection.recv(1 << 16), connection.sendall(mirror.seal(Held([(5, b""), (9, b"")]))))
                for _ in range(9)
            ],
        ),
        "spool",
    ),
    "confirms what was not sent": (
        lambda connection: (
            mirror := challenged(connection)[1],
            greeted(connection, mirror),
            connection.recv(1 << 16),
            connection.sendall(mirror.seal(Ack(9, 9))),
        ),
        "spool",
    ),
}


@pytest.mark.parametrize(("answer", "cause"), FALSE.values(), ids=FALSE)
def test_a_false_peer_costs_no_answer_and_is_told(tmp_path: Path, answer, cause: str) -> None:
    peer = Peer(tmp_path / "peer")
    with false_peer(answer) as peer.port:
        owner = Owner(tmp_path / "owner", peer)
        with owner.living(in_step=False):
            owner.put(1)
            until(lambda: owner.count(f"aaad_spool_mirror_losses_total|cause={cause}") > 0, f"lost: {cause}")
            owner.put(2)
            assert owner.count("aaad_spool_unmirrored_records_total") == 2
            assert owner.longest_s < TIMEOUT_S + 0.3


def test_a_peer_that_never_comes_to_an_end_of_what_it_has_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "LOOKED_THROUGH_S", 0.5)

    def answer(connection: socket.socket) -> None:
        seal = challenged(connection)[1]
        connection.sendall(seal.seal(Welcome()))
        for number in range(1 << 20, 0, -1):
            if not connection.recv(1 << 16):
                return
            connection.sendall(seal.seal(Held([(number, b"")])))
            time.sleep(0.01)

    peer = Peer(tmp_path / "peer")
    with false_peer(answer) as peer.port:
        owner = Owner(tmp_path / "owner", peer)
        with owner.living(in_step=False):
            owner.put(1)
            until(lambda: owner.count("aaad_spool_mirror_losses_total|cause=timeout") > 0, "given up", limit_s=3)
            owner.put(2)
            assert owner.count("aaad_spool_unmirrored_records_total") == 2


def test_a_link_that_has_to_wait_keeps_its_time(peer: Peer) -> None:
    link = MirrorLink(
        ("127.0.0.1", peer.port), node=OWNER, slot="radius-0", spool_id=HELLO.spool_id, secret=SECRET, limit_s=2
    )
    link.look(9)
    assert link.held(1) == []
    link.begin(0)
    assert link.begun(1) == Position(0, 0)
    link.ping(time.monotonic() + 1)
    link.settle(time.monotonic() + 1)
    assert link.asked_s == 0
    link.send(Piece(1, HEADER_OCTETS, b"x"), time.monotonic() + 1)
    with pytest.raises(Refused, match="order"):
        link.settle(time.monotonic() + 2)
    with pytest.raises(TimeoutError):
        link.send(Piece(1, 0, b""), time.monotonic() - 1)
    link.close()
