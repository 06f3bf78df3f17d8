"""What a spool's writer and its mirror say: every message comes back, everything else is the documented error."""

from contextlib import suppress
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaad.errors import SpoolError
from aaad.spool.mirror_frames import (
    BARE_OCTETS_MAX,
    DATA_OCTETS_MAX,
    HELD_MAX,
    LENGTH_OCTETS,
    MAC_OCTETS,
    MESSAGE_OCTETS_MAX,
    NONCE_OCTETS,
    Ack,
    Begin,
    Cause,
    Challenge,
    Data,
    Deframer,
    Held,
    Hello,
    Look,
    Ping,
    Ready,
    Refusal,
    SecretError,
    Welcome,
    Working,
    decode_message,
    encode_message,
    frame_length,
    framed,
    seals,
)
from aaad.spool.segment import SEGMENT_OCTETS_MAX

ID = UUID("00000000-0000-4000-8000-000000000001")
HELLO = Hello(1, bytes(NONCE_OCTETS), "node-1", "radius-0", ID)
MESSAGES = [
    HELLO,
    Challenge(bytes(range(NONCE_OCTETS))),
    Ready(),
    Welcome(),
    Working(),
    Look(1 << 31),
    Held([]),
    Held([((1 << 31) - 1, bytes(16)), (1, b"")]),
    Held([(number, bytes(16)) for number in range(HELD_MAX)]),
    Begin(0),
    Data(1, 0, b"octets"),
    Data((1 << 31) - 1, SEGMENT_OCTETS_MAX, bytes(DATA_OCTETS_MAX)),
    Ping(),
    Ack(3, 99),
    *(Refusal(cause) for cause in Cause),
]
SECRET = b"a secret of both nodes"


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_comes_back_as_it_was(message) -> None:
    body = encode_message(message)
    assert decode_message(body) == message
    assert len(body) <= MESSAGE_OCTETS_MAX


@pytest.mark.parametrize(
    "changes",
    [
        {"node": "../.."},
        {"node": ""},
        {"node": ".hidden"},
        {"node": "a/b"},
        {"node": "n" * 64},
        {"slot": "radius-0/.."},
        {"slot": "a\nb"},
        {"nonce": b"short"},
    ],
)
def test_what_becomes_a_folder_cannot_lead_out_of_it_and_nonces_are_whole(changes: dict) -> None:
    with pytest.raises(SpoolError):
        decode_message(encode_message(msgspec.structs.replace(HELLO, **changes)))


TOO_GREAT = [
    Data(-1, 0, b""),
    Data(1 << 31, 0, b""),
    Data(1, SEGMENT_OCTETS_MAX + 1, b""),
    Data(1, 0, bytes(DATA_OCTETS_MAX + 1)),
    Ack(1, -1),
    Look((1 << 31) + 1),
    Held([(1, bytes(17))]),
    Held([(1, b"")] * (HELD_MAX + 1)),
    Begin(1 << 31),
]


@pytest.mark.parametrize("bad", TOO_GREAT, ids=range(len(TOO_GREAT)))
def test_places_and_lengths_are_bounded(bad) -> None:
    with pytest.raises(SpoolError):
        decode_message(encode_message(bad))


@given(st.binary(max_size=300))
def test_any_octets_are_a_message_or_the_documented_error(octets: bytes) -> None:
    try:
        message = decode_message(octets)
    except SpoolError:
        return
    assert decode_message(encode_message(message)) == message


@given(st.sampled_from(MESSAGES[:6]), st.integers(0, 200), st.integers(0, 255), st.integers(0, 40))
def test_a_damaged_message_is_a_message_or_the_documented_error(message, at: int, value: int, cut: int) -> None:
    body = bytearray(encode_message(message))
    body[at % len(body)] = value
    with suppress(SpoolError):
        found = decode_message(bytes(body[: len(body) - cut]))
        assert decode_message(encode_message(found)) == found


def test_depth_without_end_is_the_documented_error() -> None:
    with pytest.raises(SpoolError):
        decode_message(b"\x93\x05" + b"\x91" * 100_000)


# --- the secret -----------------------------------------------------------------------------------------------------


def pair(secret: bytes = SECRET, challenge: bytes = b"challenge"):
    return seals(secret, b"hello", challenge)


def content(sealed: bytes) -> bytes:
    return sealed[LENGTH_OCTETS:]


def test_what_is_sealed_is_opened_in_its_order_and_direction_only() -> None:
    (outgoing, _), (incoming, _) = pair(), pair()
    first, second = outgoing.seal(Ping()), outgoing.seal(Data(1, 0, b"x"))
    assert incoming.open(content(first)) == Ping()
    with pytest.raises(SecretError):
        incoming.open(content(first))  # said again
    (_, mirrors), (owners, _) = pair(), pair()
    with pytest.raises(SecretError):
        owners.open(content(mirrors.seal(Ping())))  # sent back
    (fresh, _) = pair()
    with pytest.raises(SecretError):
        fresh.open(content(second))  # one was left out


def test_another_secret_or_another_connection_opens_nothing() -> None:
    sealed = content(pair()[0].seal(Ready()))
    for other in (pair(secret=b"another secret of both"), pair(challenge=b"another challenge")):
        with pytest.raises(SecretError):
            other[0].open(sealed)


@given(st.integers(0, 63), st.integers(1, 255))
def test_one_changed_bit_is_seen(at: int, change: int) -> None:
    sealed = bytearray(content(pair()[0].seal(Data(1, 4096, b"octets of a segment"))))
    sealed[at % len(sealed)] ^= change
    with pytest.raises(SecretError):
        pair()[0].open(bytes(sealed))


@given(st.binary(max_size=40))
def test_too_few_octets_are_not_sealed(octets: bytes) -> None:
    with pytest.raises(SecretError):
        pair()[0].open(octets)


# --- frames ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=50), max_size=8), st.integers(1, 60))
def test_frames_come_out_whole_however_they_come_in(bodies: list[bytes], at_once: int) -> None:
    wire = b"".join(framed(body) for body in bodies)
    deframer, found = Deframer(), []
    for start in range(0, len(wire), at_once):
        deframer.add(wire[start : start + at_once])
        while (body := deframer.take()) is not None:
            found.append(body)
    assert found == bodies


def test_nobody_makes_us_read_more_than_allowed_and_little_before_the_secret_is_proved() -> None:
    assert frame_length((MESSAGE_OCTETS_MAX + MAC_OCTETS).to_bytes(4, "little"), is_sealed=True)
    with pytest.raises(SpoolError):
        frame_length((MESSAGE_OCTETS_MAX + MAC_OCTETS + 1).to_bytes(4, "little"), is_sealed=True)
    deframer = Deframer()
    deframer.add((BARE_OCTETS_MAX + 1).to_bytes(4, "little"))
    with pytest.raises(SpoolError):
        deframer.take()
