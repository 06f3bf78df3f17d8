"""Attributes as text, for those who read decisions: names and values by the dictionary (`dictionary_data`).

Pure. Octets come from outside or from an old journal, so nothing here raises: what fits no kind is shown as
hexadecimal digits, what is unknown by its number. What hides or proves a password or key is never shown.
"""

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address

from aaad.radius.dictionary_data import ATTRIBUTES, VENDORS, DictionaryAttribute
from aaad.replica.secret_attributes import SECRETS, split

HIDDEN = "***"
_TAG_MAX = 0x1F
_NUMBER_SIZE = 4

_BY_CODE: dict[tuple[int, int], DictionaryAttribute] = {
    (attribute.vendor, attribute.code): attribute for attribute in ATTRIBUTES
}


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
