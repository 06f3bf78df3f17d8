"""Signatures: pyrad agrees with every one of ours, one changed octet is noticed, secrets show nowhere."""

import hashlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_double import checked, packet, sign, tlv
from pyrad.packet import AcctPacket, AuthPacket

from aaad.radius.integrity import SecretKeys

secrets = st.binary(min_size=1, max_size=130)
authenticators = st.binary(min_size=16, max_size=16)
attributes = st.lists(st.tuples(st.integers(1, 25), st.binary(min_size=1, max_size=60)), max_size=6).map(
    lambda pairs: b"".join(tlv(kind, value) for kind, value in pairs)
)
LONG_SECRET = b"s" * 65  # longer than a block of MD5: HMAC uses its digest


@given(secrets, authenticators, attributes, st.integers(0, 255))
def test_a_genuine_request_is_genuine_and_a_changed_one_is_not(
    secret: bytes, authenticator: bytes, body: bytes, place: int
) -> None:
    data = sign(packet(1, 3, authenticator, body), secret)
    assert AuthPacket(packet=data, secret=secret).verify_message_authenticator()
    assert SecretKeys(secret).message_authenticator_fits(data, len(data), 20)
    changed = bytearray(data)
    changed[place % len(data)] ^= 1
    assert not SecretKeys(secret).message_authenticator_fits(bytes(changed), len(data), 20)


@given(secrets, authenticators, attributes, st.sampled_from([2, 3]))
def test_pyrad_verifies_every_reply(secret: bytes, authenticator: bytes, body: bytes, code: int) -> None:
    request = packet(1, 3, authenticator, b"")
    reply = SecretKeys(secret).signed_reply(code, 3, authenticator, body)
    assert checked(reply, request, secret).code == code
    assert reply[38:] == body


@pytest.mark.parametrize("size", [1, 63, 64, 65, 130])
def test_secrets_around_the_length_of_a_block_of_md5_sign_as_pyrad_does(size: int) -> None:
    secret = b"s" * size
    request = packet(1, 3, bytes(range(16)), b"")
    assert checked(SecretKeys(secret).signed_reply(2, 3, request[4:20], b""), request, secret)


def test_a_message_authenticator_need_not_stand_first() -> None:
    data = packet(1, 3, bytes(range(16)), tlv(1, b"alice") + tlv(80, bytes(16)) + tlv(5, b"abcd"))
    asked = AuthPacket(packet=data, secret=b"secret")
    asked._refresh_message_authenticator()
    whole = data[:29] + asked[80][0] + data[45:]
    assert SecretKeys(b"secret").message_authenticator_fits(whole, len(whole), 27)


@pytest.mark.parametrize("secret", [b"s", b"testing123", b"s" * 64, LONG_SECRET, "çédille".encode(), b"\0\xff"])
def test_accounting_is_verified_as_pyrad_signs_it(secret: bytes) -> None:
    request = AcctPacket(secret=secret, id=4, dict=None)
    request[1] = [b"alice"]
    data = request.RequestPacket()
    assert SecretKeys(secret).accounting_authenticator_fits(data + b"padding", len(data))
    assert not SecretKeys(secret).accounting_authenticator_fits(data[:-1] + b"f", len(data))


def test_same_secret_compares_secrets() -> None:
    assert SecretKeys(b"one").same_secret(SecretKeys(b"one"))
    assert not SecretKeys(b"one").same_secret(SecretKeys(b"other"))


def test_secrets_do_not_show() -> None:
    assert repr(SecretKeys(b"very secret")) == "SecretKeys()"
    assert not hasattr(SecretKeys(b"very secret"), "__dict__")


def test_hashlib_serves_where_the_interpreter_has_no_md5_of_its_own() -> None:
    program = (
        "import sys; sys.modules['_md5'] = None\n"
        "from aaad.radius.integrity import SecretKeys\n"
        "print(SecretKeys(b'secret').signed_reply(2, 1, bytes(16), b'').hex())"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert bytes.fromhex(printed.stdout) == SecretKeys(b"secret").signed_reply(2, 1, bytes(16), b"")
    assert hashlib.md5(b"").hexdigest() == "d41d8cd98f00b204e9800998ecf8427e"
