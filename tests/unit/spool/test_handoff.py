"""The writer's end of handing over: limited in time, and never taking silence for a yes."""

import socket
import threading
import time
from uuid import uuid4

import pytest

from aaad.errors import SpoolError
from aaad.spool.handoff import (
    MESSAGE_OCTETS_MAX,
    Handoff,
    HandoffAnswer,
    HandoffClient,
    decode_answer,
    decode_handoff,
    encode_message,
    message_length,
)
from aaad.spool.segment import Cut, Position

BATCH = Handoff(uuid4(), uuid4(), "radius-0", 7, 3, 4096, 5, [b"one", b"", b"\xff" * 2000])


def serve(path, *answers):
    """A server that gives each message its answer: octets, None to close, or a number of seconds to be silent."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(4)
    got: list[Handoff] = []

    def work() -> None:
        left = list(answers)
        while left:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as stream:
                while left and (head := stream.read(4)):
                    got.append(decode_handoff(stream.read(message_length(head))))
                    answer = left.pop(0)
                    if answer is None:
                        break
                    if isinstance(answer, float):
                        time.sleep(answer)
                        break
                    connection.sendall(answer)
        listener.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return got, thread


def yes(number: int = BATCH.number) -> bytes:
    return encode_message(HandoffAnswer(number, True))


def client(path, timeout_s: float = 2.0) -> HandoffClient:
    return HandoffClient(path, timeout_s=timeout_s)


def test_messages_round_trip():
    assert decode_handoff(encode_message(BATCH)[4:]) == BATCH
    assert decode_answer(yes()[4:]) == HandoffAnswer(7, True)
    assert BATCH.cut == Cut(BATCH.life, Position(3, 4096), 5)


@pytest.mark.parametrize("body", [b"", b"\xc0", b"\x93\x01\x02\x03", encode_message(BATCH)[4:-1]])
def test_nonsense_is_a_spool_error(body):
    with pytest.raises(SpoolError):
        decode_handoff(body)
    with pytest.raises(SpoolError):
        decode_answer(body)


def test_a_length_beyond_the_bound_is_refused():
    with pytest.raises(SpoolError, match="longer"):
        message_length((MESSAGE_OCTETS_MAX + 1).to_bytes(4, "little"))


def test_yes_is_yes_and_one_connection_serves_many(tmp_path):
    got, thread = serve(tmp_path / "s", yes(), yes())
    sender = client(tmp_path / "s")
    assert sender.send(BATCH)
    assert sender.send(BATCH)
    sender.close()
    thread.join(5)
    assert got == [BATCH, BATCH]


@pytest.mark.parametrize(
    "answer",
    [encode_message(HandoffAnswer(7, False)), yes(8), None, b"\xff\xff\xff\xff", b"\x01\0\0\0\xc0"],
    ids=["no", "of another batch", "closed", "too long", "nonsense"],
)
def test_everything_else_is_no(tmp_path, answer):
    serve(tmp_path / "s", answer)
    assert not client(tmp_path / "s").send(BATCH)


def test_nobody_there_is_no_at_once(tmp_path):
    start = time.monotonic()
    assert not client(tmp_path / "s", 5.0).send(BATCH)
    assert time.monotonic() - start < 1


def test_silence_is_no_within_the_limit(tmp_path):
    serve(tmp_path / "s", 1.5)
    start = time.monotonic()
    assert not client(tmp_path / "s", 0.2).send(BATCH)
    assert time.monotonic() - start < 1


def test_a_connection_that_died_while_idle_is_made_anew_and_the_batch_sent_again(tmp_path):
    got, thread = serve(tmp_path / "s", yes(), None, yes())
    sender = client(tmp_path / "s")
    assert sender.send(BATCH)
    assert sender.send(BATCH)
    thread.join(5)
    assert got == [BATCH] * 3
