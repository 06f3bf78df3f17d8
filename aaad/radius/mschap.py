"""MS-CHAP, versions 1 and 2: what a request carries of it, whether it proves the password, and what the reply says.

Pure. RFC 2433 and RFC 2759 (the handshakes), RFC 2548 (their RADIUS attributes), RFC 3079 (keys of an encrypted
session). Of version 1 only the NT response counts, because LAN Manager's is broken in seconds; so no key of LAN
Manager's is sent, and a session of version 1 is encrypted with 128 bits or not at all. Changing a password by
MS-CHAP is not served. Passwords come as NT hashes, made when the replica was written; comparisons take the same
time whatever is wrong.
"""

from binascii import hexlify
from collections import deque
from collections.abc import Mapping
from hashlib import sha1
from hmac import compare_digest
from typing import NamedTuple

from aaad.policy.codes import Reason
from aaad.radius.des import SCHEDULES_MAX, Schedules, best
from aaad.radius.integrity import SecretKeys
from aaad.radius.layout import Layout
from aaad.radius.packet import VALUE_SIZE_MAX, vendor_attribute
from aaad.replica.compile import md4

MICROSOFT_VENDOR = 311
_VENDOR_SPECIFIC = 26
_NOTHING = slice(0, 0)
_VENDOR = MICROSOFT_VENDOR.to_bytes(4, "big")
_VENDOR_HEADER = 6  # octets of a vendor attribute before its first inner one
_RESPONSE, _ERROR, _CHALLENGE, _MPPE_KEYS, _SEND_KEY, _RECEIVE_KEY, _RESPONSE_2, _SUCCESS_2 = (
    *(1, 2, 11, 12),
    *(16, 17, 25, 26),
)
_CHANGES_OF_PASSWORD = frozenset({3, 4, 27})
_RESPONSE_SIZE = 50  # of both versions
_CHALLENGE_SIZES = {1: 8, 2: 16}
_USE_NT_RESPONSE = 1  # a flag of version 1
_BACKSLASH = 0x5C  # a number, because to look for octets takes far longer than for an octet

_SIGNING = b"Magic server to client signing constant"
_PADDING = b"Pad to make it do more than one iteration"
_MASTER_KEY = b"This is the MPPE Master Key"
_ZEROS_40, _F2_40 = bytes(40), b"\xf2" * 40
# As the server sees it: what it sends with is the client's receive key.
_SERVER_SENDS = (
    _ZEROS_40 + b"On the client side, this is the receive key; on the server side, it is the send key." + _F2_40
)
_SERVER_RECEIVES = (
    _ZEROS_40 + b"On the client side, this is the send key; on the server side, it is the receive key." + _F2_40
)
_OCTETS = tuple(bytes((octet,)) for octet in range(256))
_SUCCESS_HEADERS = tuple(  # by identifier
    bytes((_VENDOR_SPECIFIC, 51)) + _VENDOR + bytes((_SUCCESS_2, 45)) + identifier + b"S=" for identifier in _OCTETS
)
_KEY_SIZE = 16
_SIZE_BEFORE = _KEY_SIZE << 120  # in the first of 16 octets; a digest's first 15 follow it if shifted by 40 bits
_SEND_HEADER, _RECEIVE_HEADER = (
    bytes((_VENDOR_SPECIFIC, 42)) + _VENDOR + bytes((kind, 36)) for kind in (_SEND_KEY, _RECEIVE_KEY)
)
_KEYS_HEADER = bytes((_VENDOR_SPECIFIC, 40)) + _VENDOR + bytes((_MPPE_KEYS, 34))
_SALT_SIZE = 2
# RFC 2548, 2.4.2: a salt's top bit is always set. So the salt after 0x7FFF, which is 0x8000, is as good as 0.
_BOTH_SALTS, _NEXT, _TOP_BITS = 0x10001, 1, 0x80008000
_from_bytes = int.from_bytes
_new_tuple = tuple.__new__


class Handshake(NamedTuple):
    """What a request carries of MS-CHAP. Version 0: something of it that is no login, as a change of password."""

    version: int
    challenge: bytes  # of the concentrator; empty if there was none
    response: bytes  # the whole attribute's value

    def __repr__(self) -> str:
        """Say which version it is, never by what a password can be looked for."""
        return f"Handshake(version={self.version})"


class Verified(NamedTuple):
    """A handshake that proved the password, with what its reply is made from. `repr` shows nothing of that."""

    version: int
    identifier: int
    challenge: bytes  # the 8 octets that were encrypted
    nt_response: bytes
    hash_hash: bytes  # MD4 of the NT hash

    def __repr__(self) -> str:
        """Say which version it is, never what session keys are made from."""
        return f"Verified(version={self.version})"


def find(data: bytes, found: Mapping[int, slice]) -> Handshake | None:
    """Return what a request carries of MS-CHAP; None if there is nothing that asks to be verified.

    Version 2 goes before version 1. Two attributes of one kind, of which one would have to be chosen, are as good as
    none that fits.

    Args:
        data: the request.
        found: where in it Microsoft's attributes stand (`Layout.microsoft`).
    """
    if _RESPONSE_2 in found:
        return _new_tuple(Handshake, (2, data[found.get(_CHALLENGE, _NOTHING)], data[found[_RESPONSE_2]]))
    if _RESPONSE in found:
        return _new_tuple(Handshake, (1, data[found.get(_CHALLENGE, _NOTHING)], data[found[_RESPONSE]]))
    return Handshake(0, b"", b"") if not _CHANGES_OF_PASSWORD.isdisjoint(found) else None


def is_supported(handshake: Handshake) -> bool:
    """Tell whether there is something to verify: not a change of password, nor LAN Manager's response alone."""
    version, _, response = handshake
    if version == 1:
        return len(response) != _RESPONSE_SIZE or response[1] == _USE_NT_RESPONSE
    return version == 2


class Verifier:
    """Verifies handshakes, and keeps what it computed of the logins seen last. One thread only."""

    def __init__(self, kept_max: int = SCHEDULES_MAX) -> None:
        """Keep the key schedules of at most so many logins."""
        self._kept: dict[bytes, tuple[Schedules, bytes]] = {}
        self._order: deque[bytes] = deque()  # to ask a dictionary of this size for its oldest key takes long
        self._kept_max = kept_max
        des = best()
        self._schedules, self._encrypted = des.schedules, des.response

    def verify(self, handshake: Handshake, name: bytes, nt_hash: bytes) -> Verified | None:
        """Return the proof, None if the response does not fit, or has not the length that it must have.

        Args:
            handshake: of version 1 or 2.
            name: User-Name as the peer typed it; a domain before it is not part of version 2's hash.
            nt_hash: of the password.
        """
        version, challenge, response = handshake
        if len(response) != _RESPONSE_SIZE or len(challenge) != _CHALLENGE_SIZES[version]:
            return None
        if version == 2:
            if _BACKSLASH in name:
                name = name.partition(b"\\")[2]
            challenge = sha1(response[2:18] + challenge + name).digest()[:8]  # RFC 2759, 8.2
        elif response[1] != _USE_NT_RESPONSE:
            return None
        schedules, hash_hash = self._kept.get(nt_hash) or self._prepared(nt_hash)
        expected = self._encrypted(schedules, challenge)  # RFC 2759, 8.5
        if not compare_digest(expected, response[26:]):
            return None
        return _new_tuple(Verified, (version, response[0], challenge, expected, hash_hash))

    def _prepared(self, nt_hash: bytes) -> tuple[Schedules, bytes]:
        if len(self._kept) >= self._kept_max:
            del self._kept[self._order.popleft()]
        self._order.append(nt_hash)
        prepared = self._kept[nt_hash] = (self._schedules(nt_hash), md4(nt_hash))
        return prepared


# --- the reply to a right password ----------------------------------------------------------------------------------


def success_attribute(verified: Verified) -> bytes:
    """Return MS-CHAP2-Success, by which the peer knows that we know the password, too; nothing in version 1."""
    version, identifier, challenge, nt_response, hash_hash = verified
    if version != 2:
        return b""
    digest = sha1(hash_hash + nt_response + _SIGNING).digest()  # RFC 2759, 8.7
    return _SUCCESS_HEADERS[identifier] + hexlify(sha1(digest + challenge + _PADDING).digest()).upper()


def key_attributes(verified: Verified, keys: SecretKeys, request_authenticator: bytes, salt: int) -> bytes:
    """Return the session keys' attributes, hidden with the shared secret (RFC 2548, 2.4.1 to 2.4.3).

    Of `salt` the lower 15 bits count; the next number is used, too.
    """
    version, _, _, nt_response, hash_hash = verified
    if version != 2:
        # What the RFC calls NT-Key is in the field MD4 of the NT hash: that is what RFC 3079, 2.2 begins with.
        plain = bytes(8) + hash_hash + bytes(8)
        return _KEYS_HEADER + _hidden(plain, keys, request_authenticator)
    # RFC 3079, 3.3: of each digest 128 bits count, with which the concentrator begins to send and to receive. Neither
    # from CPython's own SHA-1 nor from states kept ready, as with MD5: both were measured and are no faster here.
    master = sha1(hash_hash + nt_response + _MASTER_KEY).digest()[:_KEY_SIZE]
    send, receive = sha1(master + _SERVER_SENDS).digest(), sha1(master + _SERVER_RECEIVES).digest()
    salts = ((salt & 0x7FFF) * _BOTH_SALTS + _NEXT | _TOP_BITS).to_bytes(2 * _SALT_SIZE)
    send_salt, receive_salt = salts[:_SALT_SIZE], salts[_SALT_SIZE:]
    # RFC 2548, 2.4.2 and 2.4.3: a key's size before it, 15 zeros behind it; the first half is masked by the request's
    # authenticator and the salt. Both keys are hidden here: two calls would cost 0.3 us.
    copy = keys.password_state.copy
    state = copy()
    state.update(request_authenticator + send_salt)
    send_half = (_from_bytes(state.digest()) ^ (_from_bytes(send) >> 40 | _SIZE_BEFORE)).to_bytes(16)
    state = copy()
    state.update(request_authenticator + receive_salt)
    receive_half = (_from_bytes(state.digest()) ^ (_from_bytes(receive) >> 40 | _SIZE_BEFORE)).to_bytes(16)
    # The second half is masked by the first one as it was hidden; only its first octet is not zero.
    state = copy()
    state.update(send_half)
    send_mask = state.digest()
    state = copy()
    state.update(receive_half)
    receive_mask = state.digest()
    send_rest = _OCTETS[send_mask[0] ^ send[15]] + send_mask[1:]
    receive_rest = _OCTETS[receive_mask[0] ^ receive[15]] + receive_mask[1:]
    return b"".join(
        (_SEND_HEADER, send_salt, send_half, send_rest, _RECEIVE_HEADER, receive_salt, receive_half, receive_rest)
    )


def _hidden(plain: bytes, keys: SecretKeys, start: bytes) -> bytes:
    """Hide 32 octets as a User-Password is hidden, from `start` on."""
    first = _masked(plain[:16], keys, start)
    return first + _masked(plain[16:], keys, first)


def _shown(hidden: bytes, keys: SecretKeys, start: bytes) -> bytes:
    return _masked(hidden[:16], keys, start) + _masked(hidden[16:], keys, hidden[:16])


def _masked(octets: bytes, keys: SecretKeys, seed: bytes) -> bytes:
    state = keys.password_state.copy()
    state.update(seed)
    return (_from_bytes(state.digest(), "big") ^ _from_bytes(octets, "big")).to_bytes(16, "big")


def has_keys(attributes: bytes) -> bool:
    """Tell whether there are session keys in a reply's attributes, which another secret would show wrongly."""
    headers = (_SEND_HEADER, _RECEIVE_HEADER, _KEYS_HEADER)
    at = 0
    while at < len(attributes):
        if attributes[at : at + 8] in headers:
            return True
        at += attributes[at + 1]
    return False


def hidden_anew(attributes: bytes, request_authenticator: bytes, old: SecretKeys, new: SecretKeys) -> bytes:
    """Return a reply's attributes with the session keys in them hidden with another secret, all else as it was."""
    parts = []
    at = 0
    while at < len(attributes):
        end = at + attributes[at + 1]
        header = attributes[at : at + 8]
        if header in (_SEND_HEADER, _RECEIVE_HEADER):
            salt = attributes[at + 8 : at + 8 + _SALT_SIZE]
            start = request_authenticator + salt
            plain = _shown(attributes[at + 8 + _SALT_SIZE : end], old, start)
            parts.append(header + salt + _hidden(plain, new, start))
        elif header == _KEYS_HEADER:
            plain = _shown(attributes[at + 8 : end], old, request_authenticator)
            parts.append(header + _hidden(plain, new, request_authenticator))
        else:
            parts.append(attributes[at:end])
        at = end
    return b"".join(parts)


# --- the reply to a refusal -----------------------------------------------------------------------------------------

_AUTHENTICATION_FAILED, _NO_PERMISSION, _DISABLED, _RESTRICTED_HOURS = 691, 649, 647, 646
# Whatever else is told to the customer's device as a wrong password is one here, too: rule R3.5.
_ERROR_CODES: dict[Reason, int] = {
    Reason.LOGIN_INACTIVE: _DISABLED,
    Reason.CLIENT_INACTIVE: _DISABLED,
    Reason.CONTRACT_NOT_SIGNED_YET: _DISABLED,
    Reason.CONTRACT_INACTIVE: _DISABLED,
    Reason.CONTRACT_BLACKLISTED: _DISABLED,
    Reason.CONTRACT_WITHDRAWN: _DISABLED,
    Reason.CONTRACT_SUSPENDED_VOLUNTARILY: _DISABLED,
    Reason.ACCESS_DISABLED: _DISABLED,
    Reason.BLOCKED_MANUALLY: _DISABLED,
    Reason.BLOCKED_AUTOMATICALLY: _DISABLED,
    Reason.AWAITING_SIGNATURE: _DISABLED,
    Reason.PREPAID_ENDED: _DISABLED,
    Reason.TRUST_UNLOCK_ENDED: _DISABLED,
    Reason.OUTSIDE_HOURS: _RESTRICTED_HOURS,
    Reason.DEVICE_NOT_ALLOWED: _NO_PERMISSION,
    Reason.NAS_NOT_ALLOWED: _NO_PERMISSION,
    Reason.PORT_NOT_ALLOWED: _NO_PERMISSION,
    Reason.CIRCUIT_NOT_ALLOWED: _NO_PERMISSION,
    Reason.IN_USE_ELSEWHERE: _NO_PERMISSION,
    Reason.PLAN_MISSING: _NO_PERMISSION,
    Reason.REPLY_TOO_LONG: _NO_PERMISSION,
    Reason.POOL_EXHAUSTED: _NO_PERMISSION,
}
_NO_CHALLENGE = "0" * 32  # no retry is allowed, so none is given to answer
_ERROR_TEXT_MAX = VALUE_SIZE_MAX - _VENDOR_HEADER - 1


def error_code(reason: Reason) -> int:
    """Return what MS-CHAP calls a refusal (RFC 2759, 6)."""
    return _ERROR_CODES.get(reason, _AUTHENTICATION_FAILED)


def error_attribute(handshake: Handshake, reason: Reason, message: str) -> bytes:
    """Return the MS-CHAP-Error of a Reject; a message that is too long is cut between letters."""
    if not handshake.version:
        return b""
    text = f"E={error_code(reason)} R=0"
    if handshake.version == 2:
        text = f"{text} C={_NO_CHALLENGE} V=3 M={message}"
    octets = text.encode()[:_ERROR_TEXT_MAX].decode(errors="ignore").encode()
    return vendor_attribute(MICROSOFT_VENDOR, _ERROR, (handshake.response[:1] or b"\0") + octets)


class Refusals:
    """The MS-CHAP-Error of every reason, with what the customer's device is told."""

    def __init__(self, messages: Mapping[Reason, str]) -> None:
        """Take the texts by reason; what has none is told nothing but the code."""
        self._messages = messages

    def attribute(self, data: bytes, layout: Layout, reason: Reason) -> bytes:
        """Return the MS-CHAP-Error of a Reject to this request; nothing if the request has no MS-CHAP in it."""
        handshake = find(data, layout.microsoft)
        return error_attribute(handshake, reason, self._messages.get(reason, "")) if handshake else b""
