"""Which login a request means: the name as typed, the name as a device's address, the name with or without realm.

Pure. Rule R3.4 and the forms that network.md calls observed: RouterOS writes an address of a device in any of seven
ways for Hotspot, with lower-case ones for dot1x, in DHCP as a client identifier, in DHCPv6 as a DUID (RFC 8415, 11).
"""

from typing import Protocol

from aaad.policy.parameters import BranchPolicy
from aaad.replica.record import fold_name

_SEPARATORS = b":-. "
_DIGITS = 12
_HARDWARE_ETHERNET = b"1:"  # RouterOS writes the type of hardware before the address, without leading zeros
_DUID_LINK_LAYER, _DUID_LINK_LAYER_TIME = "00030001", "00010001"  # of Ethernet
_TIME_DIGITS = 8
_IDENTIFIER_OF_DUID, _IDENTIFIER_OF_DUID_DIGITS = "ff", 10  # RFC 4361, 6.1: the type, the IAID, the DUID
_TEXT_OCTETS_MAX = 64
_ANY_REALM = "*"


class LoginSource(Protocol):
    """Where compiled logins are found: the replica, within one wake-up's snapshot."""

    def login(self, key: bytes) -> bytes | None:
        """Return the record under a folded name."""
        ...

    def login_by_mac(self, mac: bytes) -> bytes | None:
        """Return the record of the login that authenticates by this device's address, 6 octets."""
        ...


def find(source: LoginSource, name: bytes, policy: BranchPolicy) -> bytes | None:
    """Return the record that a User-Name means, None if there is none.

    The name as typed comes first; then, if it looks like a device's address, the login of that device; then the
    name as the branch of the NAS has set it: without a realm of its list, or with its own where none was typed.
    """
    folded = fold_name(name)
    return source.login(folded) or find_otherwise(source, folded, policy)


def find_otherwise(source: LoginSource, folded: bytes, policy: BranchPolicy) -> bytes | None:
    """Return the record that a folded name means which is unknown as it was typed."""
    mac = mac_of(folded)
    record = source.login_by_mac(mac) if mac is not None else None
    if record is None:
        other = _by_realm(folded, policy)
        if other:
            record = source.login(other)
    return record


def _by_realm(folded: bytes, policy: BranchPolicy) -> bytes:
    """Return the other name that the branch's realm rules make of one; empty if they make none."""
    local, at_sign, realm = folded.rpartition(b"@")
    if not at_sign:
        realm, at_sign, local = folded.partition(b"\\")
    if at_sign:
        for stripped in policy.strip_realms:
            if stripped == _ANY_REALM or fold_name(stripped.encode()) == realm:
                return local
        return b""
    return folded + b"@" + fold_name(policy.default_realm.encode()) if policy.default_realm else b""


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


def mac_number(text: bytes) -> int:
    """Return a device's address as a number of 48 bits, 0 if the text is none."""
    return int.from_bytes(mac_of(text) or b"", "big")


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
