"""PAP as pyrad hides it, at every length RFC 2865 allows and no other; MD5 passwords; CHAP; nothing empty fits."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_double import hidden
from pyrad.packet import AuthPacket

from aaad.policy.codes import Credential
from aaad.radius.integrity import SecretKeys
from aaad.radius.password import pap_plaintext, pap_size_allowed, verify_chap, verify_pap

SECRET = b"xyzzy5461"
AUTHENTICATOR = bytes(range(16))
RIGHT, WRONG = Credential.RIGHT, Credential.WRONG


def verify(sent: bytes, stored: bytes, *, is_md5: int = 0) -> Credential:
    """Verify a User-Password's octets against what is stored."""
    return verify_pap(SecretKeys(SECRET), AUTHENTICATOR, sent, stored, is_md5)


def by_pyrad(password: bytes) -> bytes:
    """What pyrad makes of a password."""
    return AuthPacket(secret=SECRET, authenticator=AUTHENTICATOR).PwCrypt(password)


@pytest.mark.parametrize("size", range(1, 129))
def test_what_pyrad_hides_is_right_and_its_neighbours_are_wrong(size: int) -> None:
    password = bytes(33 + position % 90 for position in range(size))
    sent = by_pyrad(password)
    digest = hashlib.md5(password).digest()
    assert verify(sent, password) is RIGHT
    assert verify(sent, digest, is_md5=16) is RIGHT
    for other in (password[:-1] + b"\x7f", password + b"x", password[:-1]):
        assert verify(sent, other) is WRONG
        assert verify(sent, hashlib.md5(other).digest(), is_md5=16) is WRONG


@given(st.binary(min_size=1, max_size=128).filter(lambda password: password[-1] != 0))
def test_the_plaintext_comes_back_with_padding(password: bytes) -> None:
    shown = pap_plaintext(SecretKeys(SECRET), AUTHENTICATOR, hidden(password, AUTHENTICATOR, SECRET))
    assert len(shown) % 16 == 0
    assert shown.rstrip(b"\0") == password
    assert hidden(password, AUTHENTICATOR, SECRET) == by_pyrad(password)


@pytest.mark.parametrize("size", [0, 1, 15, 17, 31, 100, 127, 129, 144, 160, 240, 253])
def test_lengths_that_the_rfc_does_not_allow_are_wrong(size: int) -> None:
    assert not pap_size_allowed(bytes(size))
    assert verify(bytes(size), b"x" * size) is WRONG
    assert verify(bytes(size), hashlib.md5(b"x" * size).digest(), is_md5=16) is WRONG


def test_chunks_of_padding_behind_the_password_do_no_harm() -> None:
    assert verify(hidden(b"short".ljust(48, b"\0"), AUTHENTICATOR, SECRET), b"short") is RIGHT


@pytest.mark.parametrize("chunks", [1, 2, 8])
def test_an_empty_password_never_fits(chunks: int) -> None:
    sent = hidden(bytes(16 * chunks), AUTHENTICATOR, SECRET)
    assert verify(sent, b"") is WRONG
    assert verify(sent, hashlib.md5(b"").digest(), is_md5=16) is WRONG
    assert verify(sent, b"", is_md5=16) is WRONG


def test_another_secret_is_a_wrong_password() -> None:
    assert verify(hidden(b"password", AUTHENTICATOR, b"another"), b"password") is WRONG


def test_the_md5_itself_is_no_password() -> None:
    digest = hashlib.md5(b"password").digest()
    assert verify(hidden(digest, AUTHENTICATOR, SECRET), digest, is_md5=16) is WRONG


@pytest.mark.parametrize("stored", [b"", b"short", bytes(15), bytes(17)])
def test_a_stored_md5_of_another_size_never_fits(stored: bytes) -> None:
    assert verify(hidden(stored or b"x", AUTHENTICATOR, SECRET), stored, is_md5=16) is WRONG


# --- CHAP: RFC 2865, 5.3 --------------------------------------------------------------------------------------------


def chap_password(password: bytes, challenge: bytes, *, identifier: int = 7) -> bytes:
    """What a concentrator passes on."""
    return bytes((identifier,)) + hashlib.md5(bytes((identifier,)) + password + challenge).digest()


@given(st.binary(min_size=1, max_size=60), st.binary(min_size=1, max_size=253), st.integers(0, 255))
def test_chap_fits_with_a_challenge_of_any_length(password: bytes, challenge: bytes, identifier: int) -> None:
    sent = chap_password(password, challenge, identifier=identifier)
    assert verify_chap(sent, challenge, password) is RIGHT
    assert verify_chap(sent, challenge + b"\0", password) is WRONG
    assert verify_chap(sent, challenge, password + b"x") is WRONG
    assert verify_chap(bytes((identifier ^ 1,)) + sent[1:], challenge, password) is WRONG


@pytest.mark.parametrize("position", range(17))
def test_every_octet_of_a_chap_password_counts(position: int) -> None:
    sent = bytearray(chap_password(b"password", AUTHENTICATOR))
    assert verify_chap(bytes(sent), AUTHENTICATOR, b"password") is RIGHT
    sent[position] ^= 1
    assert verify_chap(bytes(sent), AUTHENTICATOR, b"password") is WRONG


@pytest.mark.parametrize("size", [0, 1, 16, 18, 33, 253])
def test_chap_passwords_of_another_length_are_wrong(size: int) -> None:
    sent = chap_password(b"password", AUTHENTICATOR).ljust(size, b"\0")[:size]
    assert verify_chap(sent, AUTHENTICATOR, b"password") is WRONG


def test_nothing_empty_fits_in_chap() -> None:
    assert verify_chap(chap_password(b"", AUTHENTICATOR), AUTHENTICATOR, b"") is WRONG
    assert verify_chap(chap_password(b"password", b""), b"", b"password") is WRONG
