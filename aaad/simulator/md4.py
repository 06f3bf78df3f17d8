"""MD4 (RFC 1320), which an NT hash is made with. Pure; Python's hashlib has it only where libcrypto still does."""

import struct

_MASK = 0xFFFFFFFF
_START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
_SQUARE_ROOT_2, _SQUARE_ROOT_3 = 0x5A827999, 0x6ED9EBA1
_ROUND_1 = tuple(zip(range(16), (3, 7, 11, 19) * 4, strict=True))
_ROUND_2 = tuple(zip((0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), (3, 5, 9, 13) * 4, strict=True))
_ROUND_3 = tuple(zip((0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15), (3, 9, 11, 15) * 4, strict=True))


def md4(data: bytes) -> bytes:
    """Return the digest."""
    padded = data + b"\x80" + bytes((55 - len(data)) % 64) + struct.pack("<Q", 8 * len(data))
    state = _START
    for at in range(0, len(padded), 64):
        state = _compressed(state, struct.unpack_from("<16I", padded, at))
    return struct.pack("<4I", *state)


def _compressed(state: tuple[int, int, int, int], words: tuple[int, ...]) -> tuple[int, int, int, int]:
    a, b, c, d = state
    for index, shift in _ROUND_1:
        total = (a + (b & c | ~b & d) + words[index]) & _MASK
        a, b, c, d = d, (total << shift | total >> (32 - shift)) & _MASK, b, c
    for index, shift in _ROUND_2:
        total = (a + (b & c | b & d | c & d) + words[index] + _SQUARE_ROOT_2) & _MASK
        a, b, c, d = d, (total << shift | total >> (32 - shift)) & _MASK, b, c
    for index, shift in _ROUND_3:
        total = (a + (b ^ c ^ d) + words[index] + _SQUARE_ROOT_3) & _MASK
        a, b, c, d = d, (total << shift | total >> (32 - shift)) & _MASK, b, c
    return (
        (state[0] + a) & _MASK,
        (state[1] + b) & _MASK,
        (state[2] + c) & _MASK,
        (state[3] + d) & _MASK,
    )
