"""MS-CHAP: the vectors of the RFCs, what a request may carry, right and wrong responses, and what replies say."""

from hashlib import sha1

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mschap_peer import (
    ERROR,
    MPPE_KEYS,
    RECEIVE_KEY,
    SEND_KEY,
    SUCCESS_2,
    attributes_1,
    attributes_2,
    both_in_one,
    nt_hash,
    of_microsoft,
    response_1,
    response_2,
    session_key,
    shown,
)
from nas_double import attributes_of, packet, tlv, vendor

from aaad.policy.codes import Reason
from aaad.radius import mschap
from aaad.radius.integrity import SecretKeys
from aaad.radius.layout import Layout
from aaad.radius.mschap import Handshake, Verified, Verifier, find, is_supported
from aaad.simulator.mschap import Secret, authenticator_response, server_keys
from aaad.words import Language, customer_text

AUTHENTICATOR = bytes(range(16))
SECRET, KEYS = b"testing123", SecretKeys(b"testing123")
HASH = bytes.fromhex("44ebba8d5312b8d611474411f56989ae")  # of clientPass
HASH_HASH = bytes.fromhex("41c00c584bd2d91c4017a2a12fa59f3f")
CHALLENGE, PEER = bytes.fromhex("5b5d7c7d7b3f2f3e3c2c602132262628"), bytes.fromhex("21402324255e262a28295f2b3a337c7e")
RESPONSE = bytes.fromhex("82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df")
RFC_2759 = Handshake(2, CHALLENGE, b"\x01\x00" + PEER + bytes(8) + RESPONSE)
octets = st.binary(min_size=16, max_size=16)
passwords = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


def found(attributes: bytes) -> Handshake | None:
    """What is found in a request with these attributes."""
    data = packet(1, 1, AUTHENTICATOR, attributes)
    return find(data + b"padding", Layout(data + b"padding", len(data)).microsoft)


def verify(handshake: Handshake | None, name: bytes, hashed: bytes) -> Verified | None:
    assert handshake is not None
    return Verifier().verify(handshake, name, hashed)


def right(handshake: Handshake | None, name: bytes = b"User", hashed: bytes = HASH) -> Verified:
    """A handshake that must be right."""
    verified = verify(handshake, name, hashed)
    assert verified is not None
    return verified


def session_keys(verified: Verified) -> tuple[bytes, ...]:
    """The keys that a concentrator sends and receives with, as it reads them from a reply."""
    values = of_microsoft(attributes_of(bytes(20) + mschap.key_attributes(verified, KEYS, AUTHENTICATOR, 1)))
    return tuple(session_key(values[kind], AUTHENTICATOR, SECRET) for kind in (SEND_KEY, RECEIVE_KEY))


# --- the vectors ----------------------------------------------------------------------------------------------------


def test_the_vector_of_rfc_2759() -> None:
    verified = right(RFC_2759)
    assert verified == (2, 1, bytes.fromhex("d02e4386bce91226"), RESPONSE, HASH_HASH)
    ((_, value),) = attributes_of(bytes(20) + mschap.success_attribute(verified))
    assert value == vendor(311, SUCCESS_2, b"\x01S=407A5589115FD0D6209F510FE9C04566932CDA56")[2:]


def test_the_vector_of_rfc_3079() -> None:
    send, receive = session_keys(right(RFC_2759))
    assert send.hex() == "8b7cdc149b993a1ba118cb153f56dccb"
    assert receive.hex() == "d5f0e9521e3ea9589645e86051c82226"


@pytest.mark.parametrize(
    ("size", "fixed", "initial"),
    [
        (16, b"", "405cb2247a7956e6e211007ae27b22d4"),
        (8, b"\xd1\x26\x9e", "d1269ec49fa62e3e"),
        (8, b"\xd1", "d15c00c49fa62e3e"),
    ],
    ids=["128 bit", "40 bit", "56 bit"],
)
def test_the_first_session_keys_of_rfc_3079(size: int, fixed: bytes, initial: str) -> None:
    """Concentrator and device make them from the keys that we send (RFC 3079, 3.1): so both come to the same."""
    send, _ = session_keys(right(RFC_2759))
    key = sha1(send[:size] + bytes(40) + send[:size] + b"\xf2" * 40).digest()[:size]
    assert (fixed + key[len(fixed) :]).hex() == initial


@pytest.mark.parametrize(
    ("password", "challenge", "response"),
    [
        ("MyPw", "102db5df085d3041", "4e9d3c8f9cfd385d5bf4d3246791956ca4c351ab409a3d61"),
        ("bob", "b9634adc358b2ab3", "7a42408782f745ef90a86fd21b0d9294132750f4af66a419"),
    ],
)
def test_the_vectors_of_version_1(password: str, challenge: str, response: str) -> None:
    handshake = Handshake(1, bytes.fromhex(challenge), b"\x05\x01" + bytes(24) + bytes.fromhex(response))
    verified = right(handshake, b"anybody", nt_hash(password))
    assert (verified.version, verified.identifier) == (1, 5)
    assert mschap.success_attribute(verified) == b""


# --- what a request carries -----------------------------------------------------------------------------------------


def test_inner_attributes_are_found_in_one_vendor_attribute_or_in_two() -> None:
    for attributes in (attributes_1("secret"), attributes_2(b"alice", "secret")):
        assert found(attributes) == found(both_in_one(attributes)) is not None


def test_version_2_goes_before_version_1() -> None:
    both = attributes_1("secret") + vendor(311, 25, bytes(50))
    assert found(both) == (2, b"8 octets", bytes(50))


def test_a_user_name_with_an_attributes_octets_in_it_is_no_attribute() -> None:
    assert found(tlv(1, attributes_2(b"alice", "secret"))) is None


@pytest.mark.parametrize(
    "attributes",
    [
        b"",
        vendor(9, 25, bytes(50)),
        vendor(311, 11, b"8 octets"),
        vendor(311, 7, bytes(4)),
        tlv(26, b""),
        tlv(26, b"\0\0\1\x37"),
        tlv(26, b"\0\0\1\x37\x19"),
        tlv(26, b"\0\0\1\x37\x19\0"),
        tlv(26, b"\0\0\1\x37\x19\1"),
        tlv(26, b"\0\0\1\x37\x19\x34" + bytes(49)),
    ],
    ids=[
        "none",
        "another vendor",
        "challenge alone",
        "another kind",
        "empty",
        "no kind",
        "no size",
        "0",
        "1",
        "past",
    ],
)
def test_what_is_no_handshake(attributes: bytes) -> None:
    assert found(attributes) is None


def test_inner_attributes_before_a_damaged_one_count() -> None:
    whole = both_in_one(attributes_2(b"alice", "secret"))
    for damage in (b"\x07", b"\x07\0", b"\x07\1", b"\x07\xff"):
        assert found(bytes((26, len(whole) + len(damage))) + whole[2:] + damage) == found(whole)


def test_two_responses_or_challenges_are_as_good_as_none_that_fits() -> None:
    good = attributes_2(b"alice", "secret")
    hashed = nt_hash("secret")
    assert verify(found(good), b"alice", hashed)
    for more in (vendor(311, 25, bytes(50)), vendor(311, 11, bytes(16)), good):
        assert verify(found(good + more), b"alice", hashed) is None
        assert verify(found(more + good), b"alice", hashed) is None


@pytest.mark.parametrize("kind", [3, 4, 27])
def test_a_change_of_password_is_not_supported(kind: int) -> None:
    handshake = found(vendor(311, kind, bytes(70)))
    assert handshake is not None
    assert not is_supported(handshake)


def test_a_response_of_lan_manager_alone_is_not_supported_and_never_fits() -> None:
    handshake = found(attributes_1("secret", flags=0))
    assert handshake is not None
    assert not is_supported(handshake)
    assert verify(handshake, b"alice", nt_hash("secret")) is None


@pytest.mark.parametrize("size", [0, 1, 2, 25, 26, 49, 51, 74, 247])
@pytest.mark.parametrize("kind", [1, 25])
def test_responses_of_another_size_are_wrong(kind: int, size: int) -> None:
    challenge = bytes(8 if kind == 1 else 16)
    handshake = found(vendor(311, 11, challenge) + vendor(311, kind, b"\x01" * size))
    assert handshake is not None
    assert is_supported(handshake)
    assert verify(handshake, b"alice", HASH) is None


@pytest.mark.parametrize("size", [0, 1, 7, 9, 15, 17, 240])
def test_challenges_of_another_size_are_wrong(size: int) -> None:
    challenge = bytes(size)
    first, second = response_1("secret", challenge.ljust(8)), response_2(b"alice", "secret", challenge, bytes(16))
    assert verify(Handshake(1, challenge, first), b"alice", nt_hash("secret")) is None
    assert verify(Handshake(2, challenge, second), b"alice", nt_hash("secret")) is None


# --- right and wrong ------------------------------------------------------------------------------------------------


@given(passwords, passwords, octets, octets, st.binary(max_size=50).filter(lambda name: b"\\" not in name))
def test_only_the_right_password_name_and_challenge_fit(
    password: str, other: str, challenge: bytes, peer: bytes, name: bytes
) -> None:
    handshake = Handshake(2, challenge, response_2(name, password, challenge, peer))
    hashed = nt_hash(password)
    assert right(handshake, name, hashed).challenge
    assert (verify(handshake, name, nt_hash(other)) is not None) == (other == password)
    assert verify(handshake, name + b"x", hashed) is None
    assert verify(handshake._replace(challenge=bytes(a ^ 1 for a in challenge)), name, hashed) is None


@given(passwords, st.binary(min_size=8, max_size=8), st.integers(0, 255))
def test_version_1_fits_whatever_the_name(password: str, challenge: bytes, identifier: int) -> None:
    handshake = Handshake(1, challenge, response_1(password, challenge, identifier=identifier))
    assert right(handshake, b"anybody", nt_hash(password)).identifier == identifier
    assert verify(handshake, b"anybody", nt_hash(password + "x")) is None


@pytest.mark.parametrize("position", range(26, 50))
@pytest.mark.parametrize("version", [1, 2])
def test_every_octet_of_the_response_counts(version: int, position: int) -> None:
    handshake = found(attributes_1("secret") if version == 1 else attributes_2(b"alice", "secret"))
    assert handshake is not None
    response = bytearray(handshake.response)
    response[position] ^= 1
    assert verify(handshake, b"alice", nt_hash("secret"))
    assert verify(handshake._replace(response=bytes(response)), b"alice", nt_hash("secret")) is None


@pytest.mark.parametrize("typed", [b"User", b"PROVEDOR\\User", b"\\User"])
def test_the_domain_before_a_name_is_not_part_of_the_hash_and_case_is(typed: bytes) -> None:
    """network.md 6.1: without the domain, else as the peer typed it."""
    assert verify(RFC_2759, typed, HASH)
    assert verify(RFC_2759, typed.replace(b"User", b"user"), HASH) is None
    assert verify(RFC_2759, typed + b"@provedor", HASH) is None


def test_a_changed_password_meets_no_kept_schedule() -> None:
    verifier = Verifier()
    old, new = nt_hash("old"), nt_hash("new")
    with_old, with_new = found(attributes_2(b"alice", "old")), found(attributes_2(b"alice", "new"))
    assert with_old is not None
    assert with_new is not None
    for _ in range(2):
        assert verifier.verify(with_old, b"alice", old)
        assert verifier.verify(with_new, b"alice", old) is None
        assert verifier.verify(with_old, b"alice", new) is None
        assert verifier.verify(with_new, b"alice", new)


def test_what_is_kept_has_a_bound_and_loses_the_oldest() -> None:
    verifier = Verifier(kept_max=3)
    for _ in range(2):
        for number in range(5):
            handshake = found(attributes_2(b"alice", f"password {number}"))
            assert handshake is not None
            assert verifier.verify(handshake, b"alice", nt_hash(f"password {number}"))
            assert len(verifier._kept) <= 3
    assert list(verifier._kept) == [nt_hash(f"password {number}") for number in (2, 3, 4)]


def test_a_proof_shows_nothing() -> None:
    assert repr(right(RFC_2759)) == "Verified(version=2)"


# --- what replies say -----------------------------------------------------------------------------------------------


@given(st.binary(max_size=100), octets, passwords, st.binary(min_size=24, max_size=24), st.integers(0, 1 << 40))
def test_session_keys_come_out_again_and_their_salts_differ(
    secret: bytes, authenticator: bytes, password: str, nt_response: bytes, salt: int
) -> None:
    """RFC 2548, 2.4.2 and 2.4.3; the simulator's keys share no code with ours."""
    typed = Secret(password)
    verified = Verified(2, 1, b"8 octets", nt_response, typed.nt_hash_hash)
    attributes = mschap.key_attributes(verified, SecretKeys(secret), authenticator, salt)
    values = of_microsoft(attributes_of(bytes(20) + attributes))
    assert list(values) == [SEND_KEY, RECEIVE_KEY]
    salts = [int.from_bytes(value[:2], "big") for value in values.values()]
    assert salts == [number % 0x8000 | 0x8000 for number in (salt, salt + 1)]
    keys = tuple(session_key(value, authenticator, secret) for value in values.values())
    assert keys == server_keys(typed, nt_response)


@given(passwords, st.binary(min_size=24, max_size=24), st.binary(min_size=8, max_size=8), st.integers(0, 255))
def test_the_success_is_the_one_that_the_simulator_expects(
    password: str, nt_response: bytes, challenge: bytes, identifier: int
) -> None:
    typed = Secret(password)
    verified = Verified(2, identifier, challenge, nt_response, typed.nt_hash_hash)
    values = of_microsoft(attributes_of(bytes(20) + mschap.success_attribute(verified)))
    assert values == {SUCCESS_2: bytes((identifier,)) + authenticator_response(typed, nt_response, challenge)}


def test_the_keys_of_version_1_are_hidden_like_a_password() -> None:
    """RFC 2548, 2.4.1: 8 octets of LAN Manager's key, which nobody gets, 16 octets, 8 zeros."""
    verified = right(found(attributes_1("clientPass")))
    values = of_microsoft(attributes_of(bytes(20) + mschap.key_attributes(verified, KEYS, AUTHENTICATOR, 1)))
    assert list(values) == [MPPE_KEYS]
    assert shown(values[MPPE_KEYS], AUTHENTICATOR, SECRET) == bytes(8) + HASH_HASH + bytes(8)


@pytest.mark.parametrize("version", [1, 2])
def test_keys_hidden_anew_are_the_same_under_the_other_secret(version: int) -> None:
    """Rule R2.2: a retransmission is answered with the other candidate, and its keys must be readable, too."""
    verified = right(RFC_2759 if version == 2 else found(attributes_1("clientPass")))
    others = tlv(25, b"class"), mschap.success_attribute(verified) + vendor(14988, 8, b"1M/1M") + tlv(33, b"")
    made = {
        secret: others[0] + mschap.key_attributes(verified, SecretKeys(secret), AUTHENTICATOR, 77) + others[1]
        for secret in (SECRET, b"another")
    }
    anew = mschap.hidden_anew(made[SECRET], AUTHENTICATOR, KEYS, SecretKeys(b"another"))
    assert anew == made[b"another"] != made[SECRET]
    assert mschap.has_keys(anew)
    assert not mschap.has_keys(b"".join(others))
    assert mschap.hidden_anew(b"".join(others), AUTHENTICATOR, KEYS, SecretKeys(b"another")) == b"".join(others)


def error_of(handshake: Handshake, reason: Reason, message: str) -> bytes:
    """The value of the MS-CHAP-Error of a refusal."""
    (value,) = of_microsoft(attributes_of(bytes(20) + mschap.error_attribute(handshake, reason, message))).values()
    return value


def test_the_error_of_each_version() -> None:
    """RFC 2433, 5 and RFC 2759, 6. No retry, so no challenge that it would answer."""
    handshake = RFC_2759._replace(response=b"\x09" + RFC_2759.response[1:])
    expected = b"\x09E=691 R=0 C=" + b"0" * 32 + b" V=3 M=Senha errada"
    assert error_of(handshake, Reason.WRONG_PASSWORD, "Senha errada") == expected
    assert error_of(handshake._replace(version=1), Reason.WRONG_PASSWORD, "Senha errada") == b"\x09E=691 R=0"


@pytest.mark.parametrize("reason", [reason for reason in Reason if not reason.is_grant])
def test_what_is_told_like_a_wrong_password_has_its_error_and_nothing_else_has(reason: Reason) -> None:
    """Rule R3.5: the texts that the customer's device gets draw the line, and MS-CHAP-Error must not blur it."""
    texts = {told: customer_text(told, Language.ENGLISH) for told in (reason, Reason.WRONG_PASSWORD)}
    assert (mschap.error_code(reason) == 691) == (texts[reason] == texts[Reason.WRONG_PASSWORD])


def test_the_codes_of_other_refusals() -> None:
    assert mschap.error_code(Reason.OUTSIDE_HOURS) == 646
    assert mschap.error_code(Reason.LOGIN_INACTIVE) == mschap.error_code(Reason.BLOCKED_AUTOMATICALLY) == 647
    assert mschap.error_code(Reason.PORT_NOT_ALLOWED) == mschap.error_code(Reason.PLAN_MISSING) == 649


@given(st.text(max_size=300), st.sampled_from(list(Reason)), st.binary(max_size=60))
def test_an_error_always_fits_and_is_utf_8(message: str, reason: Reason, response: bytes) -> None:
    value = error_of(Handshake(2, b"", response), reason, message.encode(errors="ignore").decode())
    assert value[:1] == (response[:1] or b"\0")
    assert len(value[1:].decode().encode()) <= 246


def test_refusals_answer_only_requests_with_ms_chap() -> None:
    refusals = mschap.Refusals({Reason.WRONG_PASSWORD: "bad"})
    for attributes, expected in (
        (attributes_2(b"alice", "secret", identifier=3), b"\x03E=691 R=0 C=" + b"0" * 32 + b" V=3 M=bad"),
        (attributes_1("secret", identifier=4), b"\x04E=691 R=0"),
    ):
        data = packet(1, 1, AUTHENTICATOR, attributes)
        assert refusals.attribute(data, Layout(data, len(data)), Reason.WRONG_PASSWORD) == vendor(
            311, ERROR, expected
        )
    for attributes in (tlv(2, bytes(16)), vendor(311, 27, bytes(70)), vendor(14988, 1, b"realm")):
        data = packet(1, 1, AUTHENTICATOR, attributes)
        assert refusals.attribute(data, Layout(data, len(data)), Reason.WRONG_PASSWORD) == b""
