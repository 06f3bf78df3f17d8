"""Records built like one that was read before come out as if they were read attribute by attribute."""

from random import Random

import pytest

from aaad.errors import SpoolError
from aaad.sessions.layouts import SAME_LENGTH_MAX, Layouts
from aaad.sessions.record import read
from aaad.spool.records import Accounting

NUMBERS = (5, 41, 42, 43, 46, 47, 48, 49, 52, 53, 55, 61, 6)
TEXTS = (1, 44, 30, 31, 87, 4, 32)


def attribute(kind: int, value: bytes) -> bytes:
    return bytes((kind, len(value) + 2)) + value


def some_number(random: Random) -> bytes:
    return random.choice((0, 1, 299, 2**20, 2**31, 2**32 - 1, random.getrandbits(32), 1_700_000_000)).to_bytes(
        4, "big"
    )


def some_value(kind: int, random: Random) -> bytes:
    if kind in NUMBERS:
        return some_number(random)[: random.choice((4, 4, 4, 4, 4, 4, 3, 0))]
    match kind:
        case 40:
            return random.choice((1, 2, 3, 3, 3, 7, 8, 9)).to_bytes(4, "big")
        case 25:
            return bytes([random.choice((1, 1, 1, 2))]) + random.randbytes(random.choice((38, 38, 38, 5)))
        case 26:
            return (2352).to_bytes(4, "big") + attribute(97, b"olt 1/2")
        case 8:
            return random.choice((bytes(4), b"\x64\x40\0\7", b"\xff\xff\xff\xff", b"\1"))
        case 97 | 123:
            return bytes((0, random.choice((0, 48, 56, 64, 200)))) + random.randbytes(random.choice((8, 16)))
        case 168:
            return random.choice((bytes(16), random.randbytes(16), b"x"))
        case _:
            return random.choice((b"", b"joao", b"Maria", b"\xff\xfe", b" x ", b"a\0b", "é".encode()))


def some_record(kinds: list[int], random: Random) -> Accounting:
    data = b"".join(attribute(kind, some_value(kind, random)) for kind in kinds)
    received_at_s = random.choice((1_700_000_000.25, 1_700_000_100.0, 1_700_000_100.0, -1.0, 2.0**40))
    return Accounting(1, "192.0.2.7", b"bng", received_at_s, data, random.random() < 0.6, random.random() < 0.3)


def outcome(reader, record: Accounting) -> object:
    try:
        return reader(record)
    except SpoolError as error:
        return str(error)


def test_whatever_is_known_a_record_says_the_same():
    random = Random(7)
    layouts, alike = Layouts(), 0
    every = [40, *NUMBERS, *TEXTS, 25, 8, 97, 123, 168]
    for _ in range(150):
        kinds = [40, 1, 44, *random.sample(every, random.randint(2, 14))]
        if random.random() < 0.2:
            kinds.append(26)
        if random.random() < 0.8:
            kinds = list(dict.fromkeys(kinds))
        for _ in range(40):
            record = some_record(kinds, random)
            expected = outcome(read, record)
            assert outcome(layouts.read, record) == expected
            alike += not isinstance(expected, str)
    assert alike > 2000


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_what_is_cut_off_is_no_record(cut):
    data = attribute(40, (1).to_bytes(4, "big")) + attribute(44, b"81a00001") + attribute(1, b"joao")
    layouts = Layouts()
    layouts.read(Accounting(1, "192.0.2.7", b"", 1.7e9, data))
    with pytest.raises(SpoolError):
        layouts.read(Accounting(1, "192.0.2.7", b"", 1.7e9, data[:-cut]))


def test_no_more_layouts_are_kept_than_are_quickly_compared_with():
    layouts = Layouts()
    for first in range(2, 60):
        data = attribute(40, (1).to_bytes(4, "big")) + attribute(44, b"x" * first) + attribute(1, b"y" * (62 - first))
        record = Accounting(1, "192.0.2.7", b"", 1.7e9, data)
        assert layouts.read(record) == read(record) == layouts.read(record)
    assert sum(map(len, layouts._by_length.values())) == SAME_LENGTH_MAX
