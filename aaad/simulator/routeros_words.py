"""Words and sentences of the RouterOS API, as a router reads and writes them.

Pure. A sentence is words and a word of length nought; a word is its length, in one to five octets, and its octets.
A first octet of 0xF8 and more is reserved: who sends it is disconnected. Text is UTF-8, and octets that are none
come back as they were.
"""

_FORMS = ((0x80, 0x00), (0x4000, 0x8000), (0x200000, 0xC00000), (0x10000000, 0xE0000000), (1 << 32, 0xF000000000))
_FIRST_OCTETS = (0x80, 0xC0, 0xE0, 0xF0, 0xF8)  # below each: a length of so many octets
_WORD_OCTETS_MAX = 1 << 28

Sentence = list[str]


class Garbage(Exception):  # noqa: N818  what it is
    """The other side speaks another language."""


def encode_length(length: int, octets_least: int = 1) -> bytes:
    """Return a length in the shortest form, or in one of at least so many octets."""
    for octets, (end, mark) in enumerate(_FORMS, 1):
        if length < end and octets >= octets_least:
            return (length | mark).to_bytes(octets, "big")
    raise ValueError(length)


def encode_sentence(words: Sentence, octets_least: int = 1) -> bytes:
    """Return a sentence's octets; `octets_least` makes every length but the last of at least so many octets."""
    parts = []
    for word in words:
        octets = word.encode("utf-8", "surrogateescape")
        parts += [encode_length(len(octets), octets_least), octets]
    return b"".join([*parts, b"\x00"])


class Reader:
    """What came so far of the sentences of one connection."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._octets = bytearray()
        self._words: Sentence = []

    def feed(self, octets: bytes) -> list[Sentence]:
        """Take what came and return the sentences that are whole now; empty ones are passed over."""
        self._octets += octets
        sentences = []
        place = 0
        while (found := self._word(place)) is not None:
            word, place = found
            if word:
                self._words.append(word.decode("utf-8", "surrogateescape"))
            elif self._words:
                sentences.append(self._words)
                self._words = []
        del self._octets[:place]
        return sentences

    def _word(self, place: int) -> tuple[bytes, int] | None:
        if place >= len(self._octets):
            return None
        first = self._octets[place]
        size = next((octets for octets, end in enumerate(_FIRST_OCTETS, 1) if first < end), 0)
        if not size:
            raise Garbage(f"control octet {first:#x}")
        begin = place + size
        if len(self._octets) < begin:
            return None
        length = int.from_bytes(self._octets[place:begin], "big") - _FORMS[size - 1][1]
        if length > _WORD_OCTETS_MAX:
            raise Garbage(f"a word of {length} octets")
        end = begin + length
        return (bytes(self._octets[begin:end]), end) if len(self._octets) >= end else None
