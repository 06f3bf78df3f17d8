"""DES of one block under the three keys that MS-CHAP makes of an NT hash (RFC 2433, A.6: ChallengeResponse).

Pure. libcrypto's DES is called where it has one that gives the right answer; else DES is computed here (FIPS 46-3),
many hundred times slower. The key schedules of the logins seen last are kept: making them costs as much as
verifying a login. They are kept by the hash itself, so a changed password never meets an old schedule.
"""

import ctypes
import ctypes.util
from typing import Any

Schedules = tuple[Any, ...]
BLOCK_SIZE = 8
RESPONSE_SIZE = 3 * BLOCK_SIZE
SCHEDULES_MAX = 131_072  # logins; 0.8 kB each of those that use MS-CHAP, for a tenth of what such a request costs
_ENCRYPT = 1
_SCHEDULE_SIZE = 128  # of libcrypto's DES_key_schedule


class PureDes:
    """DES computed in Python."""

    @staticmethod
    def schedules(nt_hash: bytes) -> Schedules:
        """Return the sixteen round keys of each of the three keys."""
        return tuple(_round_keys(key) for key in keys_of(nt_hash))

    @staticmethod
    def response(schedules: Schedules, block: bytes) -> bytes:
        """Encrypt a block under each key; the results one behind the other."""
        return b"".join(_encrypt(round_keys, block) for round_keys in schedules)


class LibcryptoDes:
    """DES by libcrypto, for one thread. OSError or AttributeError where there is none.

    Results are made in one buffer. The functions have no types of arguments: ctypes then passes octets and references
    as they are, which costs half.
    """

    def __init__(self, name: str) -> None:
        """Take the functions from a library."""
        library = ctypes.PyDLL(name)  # each call is too short to let another thread run meanwhile
        self._set_key, self._encrypt = library.DES_set_key_unchecked, library.DES_ecb_encrypt
        self._set_key.restype = self._encrypt.restype = None
        self._result = (ctypes.c_char * RESPONSE_SIZE)()
        self._blocks = tuple(ctypes.byref(self._result, at) for at in range(0, RESPONSE_SIZE, BLOCK_SIZE))
        self._schedule = (ctypes.c_char * _SCHEDULE_SIZE)()

    def schedules(self, nt_hash: bytes) -> Schedules:
        """Return the octets of libcrypto's schedules of the three keys."""
        made, set_key = self._schedule, self._set_key
        first, second, third = keys_of(nt_hash)
        set_key(first, made)
        first = made.raw
        set_key(second, made)
        second = made.raw
        set_key(third, made)
        return first, second, made.raw

    def response(self, schedules: Schedules, block: bytes) -> bytes:
        """Encrypt a block under each key; the results one behind the other."""
        encrypt = self._encrypt
        under_first, under_second, under_third = self._blocks
        first, second, third = schedules
        encrypt(block, under_first, first, _ENCRYPT)
        encrypt(block, under_second, second, _ENCRYPT)
        encrypt(block, under_third, third, _ENCRYPT)
        return self._result.raw


# In each of three lanes of 64 bits 56 are spread: to 2 times 28, to 4 times 14, to 8 times 7.
_ONE_OF_EACH_LANE = 1 << 128 | 1 << 64 | 1
_HIGH_28, _LOW_28 = 0x00FFFFFFF0000000 * _ONE_OF_EACH_LANE, 0x000000000FFFFFFF * _ONE_OF_EACH_LANE
_HIGH_14, _LOW_14 = 0x0FFFC0000FFFC000 * _ONE_OF_EACH_LANE, 0x00003FFF00003FFF * _ONE_OF_EACH_LANE
_HIGH_7, _LOW_7 = 0x3F803F803F803F80 * _ONE_OF_EACH_LANE, 0x007F007F007F007F * _ONE_OF_EACH_LANE


def keys_of(nt_hash: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the three DES keys of an NT hash: 7 octets each, the last filled with zeros, seven bits to the octet."""
    bits = int.from_bytes(b"\0" + nt_hash[:7] + b"\0" + nt_hash[7:14] + b"\0" + nt_hash[14:] + b"\0\0\0\0\0", "big")
    bits = (bits & _HIGH_28) << 4 | bits & _LOW_28
    bits = (bits & _HIGH_14) << 2 | bits & _LOW_14
    bits = (bits & _HIGH_7) << 1 | bits & _LOW_7
    keys = (bits << 1).to_bytes(24, "big")  # the lowest bit of each octet is parity, which nobody looks at
    return keys[:8], keys[8:16], keys[16:]


# --- FIPS 46-3: positions count from 1, from the left ---------------------------------------------------------------

_PERMUTED_CHOICE_1 = (
    *(57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36),
    *(63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4),
)
_PERMUTED_CHOICE_2 = (
    *(14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2),
    *(41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32),
)
_SHIFTS = (1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1)
_INITIAL = tuple(column - 8 * row for column in (58, 60, 62, 64, 57, 59, 61, 63) for row in range(8))
_FINAL = tuple(_INITIAL.index(position) + 1 for position in range(1, 65))
_PERMUTATION = (
    *(16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10),
    *(2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25),
)
# Each box as four rows of sixteen hexadecimal digits.
_BOXES = tuple(
    tuple(int(digit, 16) for digit in box.replace(" ", ""))
    for box in (
        "e4d12fb83a6c5907 0f74e2d1a6cb9538 41e8d62bfc973a50 fc8249175b3ea06d",
        "f18e6b34972dc05a 3d47f28ec01a69b5 0e7ba4d158c6932f d8a13f42b67c05e9",
        "a09e63f51dc7b428 d709346a285ecbf1 d6498f30b12c5ae7 1ad069874fe3b52c",
        "7de3069a1285bc4f d8b56f03472c1ae9 a690cb7df13e5284 3f06a1d8945bc72e",
        "2c417ab6853fd0e9 eb2c47d150fa3986 421bad78f9c5630e b8c71e2d6f09a453",
        "c1af92680d34e75b af427c9561de0b38 9ef528c3704a1db6 432c95fabe17608d",
        "4b2ef08d3c975a61 d0b7491ae35c2f86 14bdc37eaf680592 6bd814a7950fe23c",
        "d2846fb1a93e50c7 1fd8a374c56b0e92 7b419ce206adf358 21e74a8dfc90356b",
    )
)


def _permuted(value: int, size: int, positions: tuple[int, ...]) -> int:
    result = 0
    for position in positions:
        result = result << 1 | value >> (size - position) & 1
    return result


def _round_keys(key: bytes) -> tuple[int, ...]:
    chosen = _permuted(int.from_bytes(key, "big"), 64, _PERMUTED_CHOICE_1)
    left, right = chosen >> 28, chosen & 0xFFFFFFF
    keys = []
    for shift in _SHIFTS:
        left = (left << shift | left >> (28 - shift)) & 0xFFFFFFF
        right = (right << shift | right >> (28 - shift)) & 0xFFFFFFF
        keys.append(_permuted(left << 28 | right, 56, _PERMUTED_CHOICE_2))
    return tuple(keys)


def _substituted(half: int, round_key: int) -> int:
    ring = (half & 1) << 33 | half << 1 | half >> 31  # each group of four bits with its two neighbours
    result = 0
    for number, box in enumerate(_BOXES):
        six = ring >> (28 - 4 * number) & 0x3F ^ round_key >> (42 - 6 * number) & 0x3F
        result = result << 4 | box[(six & 0x20 | (six & 1) << 4) + (six >> 1 & 0xF)]
    return _permuted(result, 32, _PERMUTATION)


def _encrypt(round_keys: tuple[int, ...], block: bytes) -> bytes:
    value = _permuted(int.from_bytes(block, "big"), 64, _INITIAL)
    left, right = value >> 32, value & 0xFFFFFFFF
    for round_key in round_keys:
        left, right = right, left ^ _substituted(right, round_key)
    return _permuted(right << 32 | left, 64, _FINAL).to_bytes(BLOCK_SIZE, "big")


def _fitting_library() -> str | None:
    """Return the name of a libcrypto whose DES gives the right answer."""
    nt_hash, block = bytes(range(0x40, 0x50)), bytes(range(BLOCK_SIZE))
    right = PureDes.response(PureDes.schedules(nt_hash), block)
    for name in ("libcrypto.so.3", ctypes.util.find_library("crypto")):
        if name is None:
            continue
        try:
            found = LibcryptoDes(name)
        except (OSError, AttributeError):
            continue
        if found.response(found.schedules(nt_hash), block) == right:
            return name
    return None


_LIBRARY = _fitting_library()


def best() -> PureDes | LibcryptoDes:
    """Return the faster DES that there is, for one thread."""
    return PureDes() if _LIBRARY is None else LibcryptoDes(_LIBRARY)
