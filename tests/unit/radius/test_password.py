"""PAP: what pyrad hides is found, at every length RFC 2865 allows and no other; MD5 passwords; nothing empty fits."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_double import hidden
from pyrad.packet import AuthPacket

from aaad.policy.codes import Credential
from aaad.radius.integrity import SecretKeys
from aaad.radius.password import pap_plaintext, pap_size_allowed, verify_pap

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
