"""Passwords of Access-Requests. Pure; PAP (RFC 2865, 5.2) and CHAP (RFC 2865, 5.3). MS-CHAP has its own module.

Comparisons take the same time whatever is wrong.
"""

from hmac import compare_digest

from aaad.policy.codes import Credential
from aaad.radius.integrity import SecretKeys, md5

_CHUNK = 16
_HIDDEN_MAX = 128  # RFC 2865, 5.2
_CHAP_SIZE = 17  # RFC 2865, 5.3: the CHAP Identifier and an MD5
_RIGHT, _WRONG = Credential.RIGHT, Credential.WRONG
_from_bytes = int.from_bytes


def pap_plaintext(keys: SecretKeys, request_authenticator: bytes, hidden: bytes) -> bytes:
    """Return what was hidden in a User-Password, padding included; `hidden` is 16 to 128 octets by 16."""
    shown = b""
    previous = request_authenticator
    for start in range(0, len(hidden), _CHUNK):
        state = keys.password_state.copy()
        state.update(previous)
        previous = hidden[start : start + _CHUNK]
        mask = int.from_bytes(state.digest(), "big") ^ int.from_bytes(previous, "big")
        shown += mask.to_bytes(_CHUNK, "big")
    return shown


def pap_size_allowed(hidden: bytes) -> bool:
    """Tell whether a User-Password has a length that RFC 2865, 5.2 allows."""
    return 0 < len(hidden) <= _HIDDEN_MAX and len(hidden) % _CHUNK == 0


def is_readable(shown: bytes) -> bool:
    """Tell whether a User-Password, shown with some secret, can be what somebody typed.

    Sixteen octets shown with a wrong secret are as good as random: one in a hundred has no control octet by chance.
    """
    typed = shown.rstrip(b"\0")
    for encoding in ("utf-8", "latin-1"):
        try:
            text = typed.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in text):
            return True
    return False


def verify_pap(
    keys: SecretKeys, request_authenticator: bytes, hidden: bytes, password: bytes, is_md5: int
) -> Credential:
    """Verify a User-Password against the stored password, or against its MD5 when that is what is stored."""
    if len(hidden) == _CHUNK and not is_md5 and 0 < len(password) <= _CHUNK:
        # What nearly every request is: one chunk. The stored password is hidden and compared.
        state = keys.password_state.copy()
        state.update(request_authenticator)
        mask = _from_bytes(state.digest(), "big") ^ _from_bytes(password.ljust(_CHUNK, b"\0"), "big")
        return _RIGHT if compare_digest(mask.to_bytes(_CHUNK, "big"), hidden) else _WRONG
    if not pap_size_allowed(hidden):
        return _WRONG
    shown = pap_plaintext(keys, request_authenticator, hidden)
    if is_md5:
        plain = shown.rstrip(b"\0")
        right = bool(plain) and compare_digest(md5(plain).digest(), password)
    else:
        right = bool(password) and compare_digest(shown, password.ljust(len(shown), b"\0"))
    return _RIGHT if right else _WRONG


def verify_chap(chap_password: bytes, challenge: bytes, password: bytes) -> Credential:
    """Verify a CHAP-Password against the stored password, which must not be an MD5; a challenge may have any length.

    An empty challenge fits nothing: whoever overheard one response could answer it.
    """
    if len(chap_password) != _CHAP_SIZE or not challenge or not password:
        return _WRONG
    expected = md5(chap_password[:1] + password + challenge).digest()
    return _RIGHT if compare_digest(expected, chap_password[1:]) else _WRONG
