"""What a command line's words become, and which are refused."""

import pytest

from aaad.erp import values
from aaad.erp.values import Parse, Value


@pytest.mark.parametrize(
    ("parse", "word", "value"),
    [
        (values.yes_no, "s", True),
        (values.yes_no, "não", False),
        (values.letter_of("S", "N", "P"), "p", "P"),
        (values.letter_of("S", "N", "P"), "sim", "S"),
        (values.letter_of("A", "CM"), "cm", "CM"),
        (values.word_of("Pre", "Pos"), "Pre", "Pre"),
        (values.integer(1, 8), "8", 8),
        (values.day, "29/02/2028", "2028-02-29"),
        (values.day, "2028-02-29", "2028-02-29"),
        (values.amount, "1.099,90", "1099.90"),
        (values.amount, "99.9", "99.9"),
        (values.amount, "0", "0"),
        (values.hours, "0-2,23", [0, 1, 2, 23]),
        (values.hours, "22-1", [0, 1, 22, 23]),
        (values.addresses, "8.8.8.8;2001:4860:4860::8888", ["8.8.8.8", "2001:4860:4860::8888"]),
        (values.addresses, "", []),
        (values.ipv6_prefix, "2001:DB8::/56", "2001:db8::/56"),
        (values.prefixes, "10.0.0.0/24,2001:db8::/64", ["10.0.0.0/24", "2001:db8::/64"]),
        (values.texts, "a,b", ["a", "b"]),
        (values.one_line, "Vila Nova", "Vila Nova"),
        (values.passphrase, "12345678", "12345678"),
    ],
)
def test_a_word_becomes_a_value(parse: Parse, word: str, value: Value) -> None:
    assert parse(word) == value


@pytest.mark.parametrize(
    ("parse", "word"),
    [
        (values.yes_no, "maybe"),
        (values.letter_of("A", "CM"), "S"),
        (values.word_of("Pre", "Pos"), "pre"),
        (values.integer(1, 8), "9"),
        (values.integer(1, 8), "-1"),
        (values.integer(0, 8), "٣"),
        (values.day, "29/02/2027"),
        (values.day, "0000-00-00"),
        (values.day, "2100-01-01"),
        (values.day, "20280229"),
        (values.amount, "1,234"),
        (values.amount, "-1"),
        (values.amount, "1e3"),
        (values.amount, "NaN"),
        (values.amount, ""),
        (values.hours, "24"),
        (values.hours, "1,,2"),
        (values.hours, ""),
        (values.addresses, "8.8.8.8, 1.1.1.1"),
        (values.addresses, "example.com"),
        (values.ipv6_prefix, "2001:db8::1"),
        (values.ipv6_prefix, "2001:db8::1/56"),
        (values.ipv6_prefix, "10.0.0.0/8"),
        (values.prefixes, "10.0.0.1/24"),
        (values.one_line, " Ana"),
        (values.one_line, "Ana\u00a0"),
        (values.one_line, "A\x1b[2Jna"),
        (values.passphrase, "1234567"),
        (values.passphrase, "ç" * 8),
    ],
)
def test_a_wrong_word_is_refused(parse: Parse, word: str) -> None:
    with pytest.raises(ValueError):
        parse(word)


@pytest.mark.parametrize(
    ("speed", "percent", "share"),
    [("50M", 150, "75M"), ("1M", 50, "500k"), ("512k", 25, "128k"), ("1k", 1, "1k"), ("100M", 33, "33M")],
)
def test_a_share_of_a_speed(speed: str, percent: int, share: str) -> None:
    assert values.share_of_speed(speed, percent) == share
