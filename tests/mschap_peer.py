"""The peer's side of MS-CHAP: what a subscriber's device answers, and how a concentrator reads the session keys.

Like nas_double it shares nothing with `aaad.radius`. MD4 and DES are libcrypto's own; who has no libcrypto with both
cannot run the tests that need them, and says so.
"""

import ctypes
import ctypes.util
import hashlib

import pytest
from nas_double import attributes_of, tlv, vendor

MICROSOFT = 311
ERROR, MPPE_KEYS, SEND_KEY, RECEIVE_KEY, SUCCESS_2 = 2, 12, 16, 17, 26

try:
    _crypto = ctypes.CDLL(ctypes.util.find_library("crypto") or "libcrypto.so.3")
    _crypto.MD4, _crypto.DES_ecb_encrypt, _crypto.DES_set_key_unchecked  # noqa: B018
except (OSError, AttributeError):  # pragma: no cover
    pytest.skip("libcrypto has no MD4 and DES: MS-CHAP is not tested", allow_module_level=True)


def md4(data: bytes) -> bytes:
    """MD4 by libcrypto."""
    digest = ctypes.create_string_buffer(16)
    _crypto.MD4(data, ctypes.c_size_t(len(data)), digest)
    return digest.raw


def nt_hash(password: str) -> bytes:
    """RFC 2433, A.5."""
    return md4(password.encode("utf-16-le"))


def des(key: bytes, block: bytes) -> bytes:
    """DES of one block; the key's 56 bits are spread over 8 octets here."""
    bits = "".join(f"{octet:08b}" for octet in key)
    spread = bytes(int(bits[start : start + 7] + "0", 2) for start in range(0, 56, 7))
    schedule, result = ctypes.create_string_buffer(128), ctypes.create_string_buffer(8)
    _crypto.DES_set_key_unchecked(spread, schedule)
    _crypto.DES_ecb_encrypt(block, result, schedule, 1)
    return result.raw


def challenge_response(hashed: bytes, challenge: bytes) -> bytes:
    """RFC 2433, A.6."""
    key = hashed + bytes(5)
    return des(key[:7], challenge) + des(key[7:14], challenge) + des(key[14:], challenge)


def response_1(password: str, challenge: bytes, *, identifier: int = 1, flags: int = 1) -> bytes:
    """An MS-CHAP-Response's value."""
    return bytes((identifier, flags)) + bytes(24) + challenge_response(nt_hash(password), challenge)


def response_2(name: bytes, password: str, challenge: bytes, peer_challenge: bytes, *, identifier: int = 1) -> bytes:
    """An MS-CHAP2-Response's value; `name` without a domain."""
    hashed = hashlib.sha1(peer_challenge + challenge + name).digest()[:8]
    return bytes((identifier, 0)) + peer_challenge + bytes(8) + challenge_response(nt_hash(password), hashed)


def attributes_1(password: str, challenge: bytes = b"8 octets", **more: int) -> bytes:
    """What a request carries of MS-CHAP version 1."""
    return vendor(MICROSOFT, 11, challenge) + vendor(MICROSOFT, 1, response_1(password, challenge, **more))


def attributes_2(name: bytes, password: str, challenge: bytes = b"a challenge: 16.", **more: int) -> bytes:
    """What a request carries of MS-CHAP version 2."""
    response = response_2(name, password, challenge, b"of the peer: 16.", **more)
    return vendor(MICROSOFT, 11, challenge) + vendor(MICROSOFT, 25, response)


def both_in_one(attributes: bytes) -> bytes:
    """The same inner attributes in one Vendor-Specific attribute, as RFC 2548, 2 allows."""
    return tlv(
        26, MICROSOFT.to_bytes(4, "big") + b"".join(value[4:] for _, value in attributes_of(bytes(20) + attributes))
    )


def of_microsoft(attributes: list[tuple[int, bytes]]) -> dict[int, bytes]:
    """The Microsoft attributes of a reply by kind; each must be there once only."""
    found: dict[int, bytes] = {}
    for kind, value in attributes:
        if kind == 26 and value[:4] == MICROSOFT.to_bytes(4, "big"):
            assert value[4] not in found
            assert value[5] == len(value) - 4
            found[value[4]] = value[6:]
    return found


def shown(hidden: bytes, authenticator: bytes, secret: bytes, salt: bytes = b"") -> bytes:
    """What a concentrator reads from a hidden attribute (RFC 2548, 2.4.1 and 2.4.2)."""
    result, last = b"", authenticator + salt
    for start in range(0, len(hidden), 16):
        mask = hashlib.md5(secret + last).digest()
        last = hidden[start : start + 16]
        result += bytes(a ^ b for a, b in zip(mask, last, strict=True))
    return result


def session_key(value: bytes, authenticator: bytes, secret: bytes) -> bytes:
    """The key in an MS-MPPE-Send-Key or -Recv-Key; its salt's top bit must be set."""
    assert value[0] & 0x80
    plain = shown(value[2:], authenticator, secret, value[:2])
    assert plain[0] == 16
    assert plain[17:] == bytes(15)
    return plain[1:17]
