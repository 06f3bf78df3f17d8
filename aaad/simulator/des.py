"""DES of one block (FIPS 46-3), as MS-CHAP needs it: enciphering only, a key without its parity bits.

Pure. Own code on purpose: the server has another, and libcrypto may be built without DES. Slow as ciphers go (some
10 µs a block), which a simulator can afford: a subscriber's key schedules are made once.
"""

from collections.abc import Iterable, Sequence

Schedule = tuple[tuple[int, ...], ...]  # of each of the 16 rounds the eight six-bit pieces of its key

# The standard counts bits from the left, beginning with 1.
_CHOICE_1 = (
    *(57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36),
    *(63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4),
)
_CHOICE_2 = (
    *(14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2),
    *(41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32),
)
_SHIFTS = (1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1)
_INITIAL = tuple(start - 8 * step for start in (58, 60, 62, 64, 57, 59, 61, 63) for step in range(8))
_FINAL = tuple(_INITIAL.index(bit) + 1 for bit in range(1, 65))
_P = (
    *(16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10),
    *(2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25),
)
_SUBSTITUTIONS = (  # four rows of sixteen nibbles each
    "e4d12fb83a6c5907 0f74e2d1a6cb9538 41e8d62bfc973a50 fc8249175b3ea06d",
    "f18e6b34972dc05a 3d47f28ec01a69b5 0e7ba4d158c6932f d8a13f42b67c05e9",
    "a09e63f51dc7b428 d709346a285ecbf1 d6498f30b12c5ae7 1ad069874fe3b52c",
    "7de3069a1285bc4f d8b56f03472c1ae9 a690cb7df13e5284 3f06a1d8945bc72e",
    "2c417ab6853fd0e9 eb2c47d150fa3986 421bad78f9c5630e b8c71e2d6f09a453",
    "c1af92680d34e75b af427c9561de0b38 9ef528c3704a1db6 432c95fabe17608d",
    "4b2ef08d3c975a61 d0b7491ae35c2f86 14bdc37eaf680592 6bd814a7950fe23c",
    "d2846fb1a93e50c7 1fd8a374c56b0e92 7b419ce206adf358 21e74a8dfc90356b",
)


def _permuted(value: int, width: int, places: Iterable[int]) -> int:
    result = 0
    for place in places:
        result = result << 1 | value >> (width - place) & 1
    return result


def _by_octet(places: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return a permutation of 64 bits as eight tables, one for each octet of what goes in."""
    return tuple(
        tuple(_permuted(octet << (56 - 8 * index), 64, places) for octet in range(256)) for index in range(8)
    )


def _substituted(index: int) -> tuple[int, ...]:
    """Return one substitution and the permutation P behind it as a table of what six bits become."""
    rows = _SUBSTITUTIONS[index].split()
    return tuple(
        _permuted(int(rows[six >> 4 & 2 | six & 1][six >> 1 & 15], 16) << (28 - 4 * index), 32, _P)
        for six in range(64)
    )


_INITIAL_TABLES = _by_octet(_INITIAL)
_FINAL_TABLES = _by_octet(_FINAL)
_ROUND_TABLES = tuple(_substituted(index) for index in range(8))


def key_schedule(key: bytes) -> Schedule:
    """Return the round keys of a key of 7 octets, that is of 56 bits."""
    bits = int.from_bytes(key, "big")
    spread = 0
    for index in range(8):
        spread = spread << 8 | (bits >> (49 - 7 * index) & 127) << 1  # the parity bit is not looked at
    chosen = _permuted(spread, 64, _CHOICE_1)
    left, right = chosen >> 28, chosen & 0xFFFFFFF
    rounds = []
    for shift in _SHIFTS:
        left = (left << shift | left >> (28 - shift)) & 0xFFFFFFF
        right = (right << shift | right >> (28 - shift)) & 0xFFFFFFF
        whole = _permuted(left << 28 | right, 56, _CHOICE_2)
        rounds.append(tuple(whole >> (42 - 6 * index) & 63 for index in range(8)))
    return tuple(rounds)


def encipher(schedule: Schedule, block: bytes) -> bytes:
    """Return a block of 8 octets, enciphered."""
    mixed = 0
    for table, octet in zip(_INITIAL_TABLES, block, strict=True):
        mixed |= table[octet]
    left, right = mixed >> 32, mixed & 0xFFFFFFFF
    s1, s2, s3, s4, s5, s6, s7, s8 = _ROUND_TABLES
    for k1, k2, k3, k4, k5, k6, k7, k8 in schedule:
        wide = (right & 1) << 33 | right << 1 | right >> 31  # six bits of it overlap the next six by two
        left, right = (
            right,
            left
            ^ s1[wide >> 28 ^ k1]
            ^ s2[wide >> 24 & 63 ^ k2]
            ^ s3[wide >> 20 & 63 ^ k3]
            ^ s4[wide >> 16 & 63 ^ k4]
            ^ s5[wide >> 12 & 63 ^ k5]
            ^ s6[wide >> 8 & 63 ^ k6]
            ^ s7[wide >> 4 & 63 ^ k7]
            ^ s8[wide & 63 ^ k8],
        )
    mixed = 0
    for table, octet in zip(_FINAL_TABLES, (right << 32 | left).to_bytes(8, "big"), strict=True):
        mixed |= table[octet]
    return mixed.to_bytes(8, "big")
