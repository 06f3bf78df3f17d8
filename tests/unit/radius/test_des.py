"""DES under the keys of an NT hash: libcrypto's and our own are the same function, and that of the RFCs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mschap_peer import challenge_response

from aaad.radius.des import LibcryptoDes, PureDes, best

BEST = best()

# RFC 2433, B.1; RFC 2759, 9.2; the digest test of FreeRADIUS with password bob.
KNOWN = [
    ("fc156af7edcd6c0eddE3337d427f4eac", "102db5df085d3041", "4e9d3c8f9cfd385d5bf4d3246791956ca4c351ab409a3d61"),
    ("44ebba8d5312b8d611474411f56989ae", "d02e4386bce91226", "82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df"),
]


@pytest.mark.parametrize(("nt_hash", "challenge", "response"), KNOWN)
@pytest.mark.parametrize("des", [PureDes(), BEST], ids=["pure", "best"])
def test_the_vectors_of_the_rfcs(des: PureDes | LibcryptoDes, nt_hash: str, challenge: str, response: str) -> None:
    schedules = des.schedules(bytes.fromhex(nt_hash))
    assert des.response(schedules, bytes.fromhex(challenge)).hex() == response
    assert des.response(schedules, bytes.fromhex(challenge)).hex() == response  # schedules may be used again


@settings(max_examples=60)
@given(st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8))
def test_both_ways_are_the_same_function(nt_hash: bytes, block: bytes) -> None:
    pure = PureDes.response(PureDes.schedules(nt_hash), block)
    assert pure == BEST.response(BEST.schedules(nt_hash), block) == challenge_response(nt_hash, block)


def test_results_do_not_share_a_buffer() -> None:
    schedules = BEST.schedules(bytes(16))
    first = BEST.response(schedules, b"block: 1")
    second = BEST.response(schedules, b"block: 2")
    assert first != second
    assert first == BEST.response(schedules, b"block: 1")


def test_schedules_of_several_logins_do_not_share_a_buffer() -> None:
    """Each is as it was after others were made; and those of one serve another, as octets do."""
    hashes = [bytes((number,)) * 16 for number in (0x11, 0x22, 0x33)]
    schedules = [BEST.schedules(nt_hash) for nt_hash in hashes]
    for nt_hash, of_one in zip(hashes, schedules, strict=True):
        expected = challenge_response(nt_hash, b"block: 1")
        assert BEST.response(of_one, b"block: 1") == best().response(of_one, b"block: 1") == expected


def test_a_library_without_des_is_told() -> None:
    with pytest.raises((OSError, AttributeError)):
        LibcryptoDes("libc.so.6")


def test_where_libcrypto_has_des_it_is_the_one_that_serves() -> None:
    assert isinstance(BEST, LibcryptoDes)
