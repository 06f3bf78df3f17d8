"""Which login a request means: the name as typed, the name as a device's address, the name with or without realm.

Pure. Rule R3.4.
"""

from typing import Protocol

from aaad.policy.parameters import BranchPolicy
from aaad.replica.record import fold_name
from aaad.sessions.attribute_text import mac_of

_ANY_REALM = "*"
_USUAL_OCTETS, _DIGITS, _COLON = 17, 12, ord(":")  # AA:BB:CC:DD:EE:FF


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


def mac_number(text: bytes) -> int:
    """Return a device's address as a number of 48 bits, 0 if the text is none."""
    if len(text) == _USUAL_OCTETS and text[1] != _COLON:  # most write it so, and `mac_of` would take twice as long
        digits = text.translate(None, b":-")
        if len(digits) == _DIGITS and digits.isalnum():
            try:
                return int(digits, 16)
            except ValueError:
                return 0
    return int.from_bytes(mac_of(text) or b"", "big")
