"""From what a person types to what a column holds: dates, numbers, switches, hours, lists.

Pure. Beside `validate`, which knows the forms of customers' data, this knows the forms of a command line. Each
function takes a word and returns what JSON can carry into the column, or raises ValueError: what is allowed is said
once, by the field (see `fields`).
"""

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address, ip_network

Value = str | int | bool | list[str] | list[int] | None
Parse = Callable[[str], Value]

_YES, _NO = ("S", "SIM", "Y", "YES"), ("N", "NAO", "NÃO", "NO")
_BRAZILIAN_DATE = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})")
_HOURS = re.compile(r"([0-9]{1,2})(?:-([0-9]{1,2}))?")
_AMOUNT_MAX = Decimal("99999999.99")
_DAY_HOURS = 24
_DAYS = (date(1970, 1, 2), date(2099, 12, 31))  # nodes count days in 16 bits


def yes_no(word: str) -> bool:
    """Return a switch that a boolean column holds."""
    if word.upper() in _YES:
        return True
    if word.upper() in _NO:
        return False
    raise ValueError(word)


def letter_of(*letters: str) -> Parse:
    """Return a parser of one of these codes, typed in any case."""

    def parse(word: str) -> Value:
        upper = word.upper()
        if upper in letters:
            return upper
        if upper in _YES and "S" in letters:
            return "S"
        if upper in _NO and "N" in letters:
            return "N"
        raise ValueError(word)

    return parse


def word_of(*words: str) -> Parse:
    """Return a parser of one of these words, typed exactly so."""

    def parse(word: str) -> Value:
        if word not in words:
            raise ValueError(word)
        return word

    return parse


def integer(least: int, most: int) -> Parse:
    """Return a parser of a whole number in a range."""

    def parse(word: str) -> Value:
        if not re.fullmatch(r"[0-9]{1,10}", word) or not least <= int(word) <= most:
            raise ValueError(word)
        return int(word)

    return parse


def day(word: str) -> str:
    """Return a date in ISO form, from that or from the Brazilian day/month/year."""
    if matched := _BRAZILIAN_DATE.fullmatch(word):
        found = date(int(matched[3]), int(matched[2]), int(matched[1]))
    elif re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", word):
        found = date.fromisoformat(word)
    else:
        raise ValueError(word)
    if not _DAYS[0] <= found <= _DAYS[1]:
        raise ValueError(word)
    return found.isoformat()


def instant(word: str) -> str:
    """Return an instant that is written as ISO 8601 says, with its distance from UTC."""
    read = datetime.fromisoformat(word)
    if read.tzinfo is None:
        raise ValueError("zone")
    return read.isoformat()


def amount(word: str) -> str:
    """Return an amount of money, with a decimal comma (then dots may part thousands) or a decimal point."""
    plain = word.replace(".", "").replace(",", ".") if "," in word else word
    try:
        value = Decimal(plain)
    except InvalidOperation:
        raise ValueError(word) from None
    if not re.fullmatch(r"[0-9]+(\.[0-9]{1,2})?", plain) or not 0 <= value <= _AMOUNT_MAX:
        raise ValueError(word)
    return str(value)


def hours(word: str) -> list[int]:
    """Return hours of the day, from such as `0-5,22,23`; 22-5 goes over midnight."""
    found: set[int] = set()
    for part in word.split(","):
        matched = _HOURS.fullmatch(part)
        if not matched or int(matched[1]) >= _DAY_HOURS or int(matched[2] or 0) >= _DAY_HOURS:
            raise ValueError(word)
        first, last = int(matched[1]), int(matched[2] or matched[1])
        found.update(range(first, last + 1) if first <= last else [*range(first, _DAY_HOURS), *range(last + 1)])
    return sorted(found)


def addresses(word: str) -> list[str]:
    """Return addresses, from a list with commas or semicolons between them; empty: none."""
    return [str(ip_address(part)) for part in _parts(word)]


def ipv6_prefix(word: str) -> str:
    """Return one IPv6 prefix."""
    if ":" not in word or "/" not in word:
        raise ValueError(word)
    return str(ip_network(word))


def prefixes(word: str) -> list[str]:
    """Return prefixes of either family, from a list with commas or semicolons between them."""
    return [str(ip_network(part)) for part in _parts(word)]


def texts(word: str) -> list[str]:
    """Return texts, from a list with commas or semicolons between them."""
    return _parts(word)


def one_line(word: str) -> str:
    """Return a text that is not empty, has no white space at its ends and nothing that is not printable."""
    if not word or word != word.strip(" \t\n\r\f\v\u00a0") or not word.isprintable():
        raise ValueError(word)
    return word


def passphrase(word: str) -> str:
    """Return a WPA2 passphrase."""
    if not re.fullmatch(r"[ -~]{8,63}", word):
        raise ValueError(word)
    return word


def share_of_speed(speed: str, percent: int) -> str:
    """Return so many hundredths of a speed such as 50M, at least 1k."""
    kilobits = int(speed[:-1]) * (1000 if speed.endswith("M") else 1) * percent // 100
    if kilobits and kilobits % 1000 == 0:
        return f"{kilobits // 1000}M"
    return f"{max(1, kilobits)}k"


def _parts(word: str) -> list[str]:
    if not word:
        return []
    parts = re.split(r"[;,]", word)
    if not all(part and part == part.strip() for part in parts):
        raise ValueError(word)
    return parts
