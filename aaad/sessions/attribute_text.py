"""What NASes write as text: read as PostgreSQL keeps it, and devices' addresses in each of their forms.

Pure. The forms are those that network.md calls observed: RouterOS writes an address of a device in any of seven
ways for Hotspot, with lower-case ones for dot1x, in DHCP as a client identifier, in DHCPv6 as a DUID (RFC 8415, 11).
"""

from collections.abc import Sequence

_SEPARATORS = b":-. "
_DIGITS = 12
_HARDWARE_ETHERNET = b"1:"  # RouterOS writes the type of hardware before the address, without leading zeros
_DUID_LINK_LAYER, _DUID_LINK_LAYER_TIME = "00030001", "00010001"  # of Ethernet
_TIME_DIGITS = 8
_IDENTIFIER_OF_DUID, _IDENTIFIER_OF_DUID_DIGITS = "ff", 10  # RFC 4361, 6.1: the type, the IAID, the DUID
_TEXT_OCTETS_MAX = 64


def readable(value: bytes) -> str:
    """Return octets as PostgreSQL keeps them in a text: without space around; as digits if they are no text."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "0x" + value.hex()
    return text.strip() if text.isprintable() else "0x" + value.hex()


def readable_all(values: Sequence[bytes]) -> list[str]:
    """Return each as `readable` does; at once where all are plain words, as nearly all are."""
    joined = b" ".join(values)
    if joined.isascii() and (text := joined.decode()).isprintable():
        texts = text.split(" ")
        if len(texts) == len(values):
            return texts
    return [readable(value) for value in values]


def mac_of(text: bytes) -> bytes | None:
    """Return the six octets of a device's address in any of the forms that NASes write, None if it is none.

    Also found in a DHCP client identifier of type 1, in one that holds a DUID, and in a DUID, if it was made from
    an Ethernet address.
    """
    if len(text) > _TEXT_OCTETS_MAX or not text.isascii():
        return None
    if text[1:2] == b":":
        text = _with_leading_zeros(text)
    digits = text.translate(None, _SEPARATORS).decode()
    if len(digits) != _DIGITS:
        digits = _address_digits(digits)
    if not digits.isalnum():  # bytes.fromhex would pass over white space
        return None
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return None


def _with_leading_zeros(text: bytes) -> bytes:
    groups = text.split(b":")
    if {len(group) for group in groups} <= {1, 2}:
        return b"".join(group.rjust(2, b"0") for group in groups)
    return b"0" + text if text.startswith(_HARDWARE_ETHERNET) else text  # `1:AABBCCDDEEFF`


def _address_digits(digits: str) -> str:
    """Return the digits of the address within an identifier; empty if it has another form."""
    if len(digits) == _DIGITS + 2 and digits.startswith("01"):
        return digits[2:]
    if digits[:2].lower() == _IDENTIFIER_OF_DUID:
        digits = digits[_IDENTIFIER_OF_DUID_DIGITS:]
    if digits.startswith(_DUID_LINK_LAYER):
        digits = digits[len(_DUID_LINK_LAYER) :]
    elif digits.startswith(_DUID_LINK_LAYER_TIME):
        digits = digits[len(_DUID_LINK_LAYER_TIME) + _TIME_DIGITS :]
    else:
        return ""
    return digits if len(digits) == _DIGITS else ""
