"""Attributes as text, for those who read decisions: names and values by the dictionary (`dictionary_data`).

Pure. Octets come from outside or from an old journal, so nothing here raises: what fits no kind is shown as
hexadecimal digits, what is unknown by its number. What hides or proves a password or key is never shown.
"""

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address

from aaad.radius.dictionary_data import ATTRIBUTES, VENDORS, DictionaryAttribute

HIDDEN = "***"
_VENDOR_SPECIFIC = 26
_VENDOR_HEADER = 4
_ATTRIBUTE_HEADER = 2
_TAG_MAX = 0x1F
_NUMBER_SIZE = 4

_BY_CODE: dict[tuple[int, int], DictionaryAttribute] = {
    (attribute.vendor, attribute.code): attribute for attribute in ATTRIBUTES
}
# (vendor, code). What a reply may carry of these is left out of journals, too.
SECRETS = frozenset(
    {
        *((0, code) for code in (2, 3, 60, 69, 70, 79, 80)),  # passwords, challenges, EAP, Message-Authenticator
        *((311, code) for code in (1, 2, 3, 4, 5, 6, 11, 12, 16, 17, 25, 26, 27)),  # MS-CHAP and MPPE keys
        *((14988, code) for code in (7, 16, 20)),  # keys of wireless networks
    }
)


def decode(attributes: bytes) -> list[tuple[str, str]]:
    """Return the name and value of each attribute, in order."""
    shown = []
    for vendor, code, value in split(attributes):
        attribute = _BY_CODE.get((vendor, code))
        name = attribute.name if attribute else _number_name(vendor, code)
        if (vendor, code) in SECRETS:
            shown.append((name, HIDDEN))
        elif attribute is None:
            shown.append((name, _hexadecimal(value)))
        else:
            tag, text = _text(attribute, value)
            shown.append((f"{name}:{tag}" if tag else name, text))
    return shown


def split(attributes: bytes) -> list[tuple[int, int, bytes]]:
    """Return vendor (0: none), code and value of each attribute, those in vendor attributes one by one.

    A vendor attribute that does not have the form which RFC 2865, 5.26 recommends is one of vendor 0; the rest of
    octets that are cut off is left out.
    """
    found: list[tuple[int, int, bytes]] = []
    for code, value in _attributes(attributes):
        inner = _attributes(value[_VENDOR_HEADER:]) if code == _VENDOR_SPECIFIC else []
        if inner and sum(len(one) + _ATTRIBUTE_HEADER for _, one in inner) == len(value) - _VENDOR_HEADER:
            vendor = int.from_bytes(value[:_VENDOR_HEADER], "big")
            found += [(vendor, kind, one) for kind, one in inner]
        else:
            found.append((0, code, value))
    return found


def without_secrets(attributes: bytes) -> bytes:
    """Return encoded attributes without those that hold a secret; vendor attributes go whole."""
    kept = []
    at = 0
    while at + 1 < len(attributes) and attributes[at + 1] >= _ATTRIBUTE_HEADER:
        one = attributes[at : at + attributes[at + 1]]
        if not any((vendor, code) in SECRETS for vendor, code, _ in split(one)):
            kept.append(one)
        at += len(one)
    return b"".join(kept)


def _attributes(octets: bytes) -> list[tuple[int, bytes]]:
    found = []
    at = 0
    while at + 1 < len(octets):
        size = octets[at + 1]
        if size < _ATTRIBUTE_HEADER or at + size > len(octets):
            break
        found.append((octets[at], octets[at + _ATTRIBUTE_HEADER : at + size]))
        at += size
    return found


def _number_name(vendor: int, code: int) -> str:
    return f"{VENDORS.get(vendor, f'Vendor-{vendor}')}-Attr-{code}" if vendor else f"Attr-{code}"


def _text(attribute: DictionaryAttribute, value: bytes) -> tuple[int, str]:
    """Return the tag (0: none) and the text of a value."""
    kind, tag = attribute.kind, 0
    if kind == "tagged_integer" and len(value) == _NUMBER_SIZE:
        tag, value, kind = value[0], b"\0" + value[1:], "integer"
    elif kind == "tagged_string":
        if value and 0 < value[0] <= _TAG_MAX:
            tag, value = value[0], value[1:]
        kind = "string"
    return tag, _plain_text(kind, value, attribute.values)


def _plain_text(kind: str, value: bytes, names: dict[str, int]) -> str:
    match kind, len(value):
        case "string", _:
            return _string(value)
        case "integer", 4:
            number = int.from_bytes(value, "big")
            return next((name for name, known in names.items() if known == number), str(number))
        case "ipaddr", 4:
            return str(IPv4Address(value))
        case "ipv6addr", 16:
            return str(IPv6Address(value))
        case "ipv6prefix", size if 2 <= size <= 18 and value[1] <= 128:  # RFC 3162, 2.3
            return f"{IPv6Address(value[2:].ljust(16, bytes(1)))}/{value[1]}"
        case "date", 4:
            return datetime.fromtimestamp(int.from_bytes(value, "big"), UTC).isoformat()
        case _:
            return _hexadecimal(value)


def _string(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return _hexadecimal(value)
    return text if text.isprintable() else _hexadecimal(value)


def _hexadecimal(value: bytes) -> str:
    return "0x" + value.hex()
