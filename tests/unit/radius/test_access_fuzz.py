"""The access path under any octets: a reply that verifies or a cause of silence, and a journal that can be read."""

import random

from access_world import IN_ORDER, NOW_S, World, login, nas_row
from hypothesis import given, settings
from hypothesis import strategies as st
from nas_double import access_request, checked, fresh_authenticator, packet, sign, tlv, vendor

from aaad.policy.codes import Discard, LoginFlag
from aaad.radius.explain import explain
from aaad.replica.record import encode_damaged

LEARNS = LoginFlag.MAC_LEARN | LoginFlag.NAS_LEARN | LoginFlag.PORT_LEARN | LoginFlag.CIRCUIT_LEARN
# Kinds that decide something, and any other; values of the lengths that matter, and any other.
kinds = st.sampled_from([1, 2, 3, 4, 6, 7, 25, 26, 30, 31, 32, 33, 44, 60, 79, 80, 87]) | st.integers(0, 255)
values = (
    st.sampled_from([b"", b"alice", b"ALICE", b"eve", b"bob", bytes(16), bytes(17), b"\0", b"\xff" * 12, b"x" * 253])
    | st.binary(max_size=60)
    | st.binary(max_size=40).map(lambda octets: vendor(311, 25, octets)[2:])
)
bodies = st.lists(st.tuples(kinds, values), max_size=14).map(
    lambda pairs: b"".join(tlv(kind, value) for kind, value in pairs)
)


def world() -> World:
    """Logins of each sort, behind entries of each policy."""
    logins = {
        b"alice": login(),
        b"bob": login(login_id=8, flags=IN_ORDER | LEARNS | LoginFlag.PASSWORD_IS_MD5, nt_hash=b""),
        b"eve": encode_damaged(9),
    }
    policies = enumerate(("auto", "yes", "no"), start=1)
    return World(
        logins, nases=[nas_row(n, f"192.0.2.{n}/32", message_authenticator=policy) for n, policy in policies]
    )


def check_outcome(tested: World, data: bytes, host: int, now_s: float = NOW_S) -> None:
    """One datagram has one outcome that is allowed, and leaves a journal that can be read."""
    written = len(tested.journal)
    answer = tested.answer(data, source=(f"192.0.2.{host}", 1), now_s=now_s)
    if not isinstance(answer, Discard):
        length = int.from_bytes(data[2:4], "big")
        assert checked(answer, data[:length]).code in (2, 3)
    for _, _, body in tested.journal[written:]:
        explained = explain(body)
        assert (explained.reason is None) == isinstance(answer, Discard)


@settings(max_examples=300)
@given(bodies, st.sampled_from([1, 2, 3]), st.booleans(), st.binary(max_size=5))
def test_any_attributes_have_an_allowed_outcome(body: bytes, host: int, signed: bool, padding: bytes) -> None:
    data = packet(1, 7, fresh_authenticator(), body[:4000])
    check_outcome(world(), (sign(data) if signed else data) + padding, host)


@given(st.binary(max_size=100), st.sampled_from([1, 2, 3]))
def test_any_octets_have_an_allowed_outcome(data: bytes, host: int) -> None:
    check_outcome(world(), data, host)


def test_ten_thousand_damaged_requests_have_an_allowed_outcome() -> None:
    dice = random.Random(5080)
    tested = world()
    good = [
        access_request(),
        access_request(signed=False),
        access_request(b"bob", attributes=tlv(33, b"state") * 3),
        access_request(b"mallory", None, attributes=vendor(311, 25, bytes(50))),
    ]
    for number in range(10_000):
        data = bytearray(dice.choice(good))
        data[4:20] = fresh_authenticator()  # else it would be a copy
        for _ in range(dice.randint(1, 3)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        if dice.random() < 0.5 and len(data) > 38:  # signed anew, so that the damage gets further than the signature
            data = bytearray(sign(bytes(data[:2] + (len(data) - 18).to_bytes(2, "big") + data[4:20] + data[38:])))
        check_outcome(tested, bytes(data), number % 3 + 1, NOW_S + number / 100)
