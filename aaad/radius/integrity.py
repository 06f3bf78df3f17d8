"""What a shared secret proves: authenticators of requests and replies.

Pure. RFC 2865, 3 (Response Authenticator), RFC 2866, 3 (Request Authenticator of accounting), RFC 3579, 3.2 and
RFC 5997, 3 (Message-Authenticator). The digests start from states that already hold the secret: one copy of a
state costs a third of a keyed start. CPython's own `_md5` is used where there is one, because an OpenSSL digest
object costs a microsecond more for such short texts.
"""

from collections.abc import Callable
from hashlib import blake2s
from hmac import compare_digest
from struct import Struct
from typing import Protocol

try:
    from _md5 import md5 as _md5
except ImportError:  # pragma: no cover  an interpreter built without its own MD5
    from hashlib import md5 as _md5


class Digest(Protocol):
    """A digest object of either library."""

    def copy(self) -> "Digest":
        """Return another with the same state."""

    def update(self, data: bytes, /) -> None:
        """Take in more octets."""

    def digest(self) -> bytes:
        """Return the digest of all octets so far."""


md5: Callable[[bytes], Digest] = _md5

_BLOCK = 64
_ZEROS = bytes(16)
_pack_header = Struct("!BBH").pack
_MESSAGE_AUTHENTICATOR_HEADER = b"\x50\x12"
_HEADER_SIZE = 20
_SIGNED_OVERHEAD = _HEADER_SIZE + 18
_ACCOUNTING_RESPONSE = 5
FINGERPRINT_SIZE = 8


class SecretKeys:
    """One shared secret, made ready. Its `repr` shows nothing."""

    __slots__ = ("_inner", "_outer", "_secret", "fingerprint", "password_state")

    def __init__(self, secret: bytes, fingerprint_key: bytes = b"") -> None:
        """Prepare the digest states of `secret`, and by a key of the cluster what tells it from others elsewhere."""
        key = (md5(secret).digest() if len(secret) > _BLOCK else secret).ljust(_BLOCK, b"\0")
        self._secret = secret
        self._inner = md5(bytes(octet ^ 0x36 for octet in key))
        self._outer = md5(bytes(octet ^ 0x5C for octet in key))
        self.password_state = md5(secret)  # RFC 2865, 5.2: MD5(secret + ...)
        self.fingerprint = b""
        if fingerprint_key:
            self.fingerprint = blake2s(
                secret, digest_size=FINGERPRINT_SIZE, key=fingerprint_key, person=b"secret"
            ).digest()

    def __repr__(self) -> str:
        """Say what it is and nothing of the secret."""
        return "SecretKeys()"

    def same_secret(self, other: "SecretKeys") -> bool:
        """Tell whether both were made from one secret."""
        return compare_digest(self._secret, other._secret)

    def message_authenticator_fits(self, data: bytes, length: int, at: int) -> bool:
        """Verify the Message-Authenticator that begins at `at` in a request (RFC 3579, 3.2)."""
        inner = self._inner.copy()
        inner.update(data[: at + 2] + _ZEROS + data[at + 18 : length])
        outer = self._outer.copy()
        outer.update(inner.digest())
        return compare_digest(outer.digest(), data[at + 2 : at + 18])

    def digest(self, data: bytes) -> bytes:
        """Return MD5 of some octets with the secret behind them."""
        return md5(data + self._secret).digest()

    def signature(self, data: bytes) -> bytes:
        """Return HMAC-MD5 of some octets by the secret: what a Message-Authenticator holds."""
        inner = self._inner.copy()
        inner.update(data)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    def accounting_authenticator_fits(self, data: bytes, length: int) -> bool:
        """Verify the Request Authenticator of an Accounting-Request (RFC 2866, 3)."""
        expected = md5(data[:4] + _ZEROS + data[20:length] + self._secret).digest()
        return compare_digest(expected, data[4:20])

    def accounting_signature_fits(self, data: bytes, length: int, at: int) -> bool:
        """Verify the Message-Authenticator at `at` in an Accounting-Request.

        It is made before the Request Authenticator, in whose place zeros stand then, as in RFC 5176, 3.4.
        """
        inner = self._inner.copy()
        inner.update(data[:4] + _ZEROS + data[20 : at + 2] + _ZEROS + data[at + 18 : length])
        outer = self._outer.copy()
        outer.update(inner.digest())
        return compare_digest(outer.digest(), data[at + 2 : at + 18])

    def accounting_reply(self, identifier: int, request_authenticator: bytes, attributes: bytes) -> bytes:
        """Return a whole Accounting-Response with its Response Authenticator (RFC 2866, 3)."""
        header = _pack_header(_ACCOUNTING_RESPONSE, identifier, _HEADER_SIZE + len(attributes))
        digest = md5(header + request_authenticator + attributes + self._secret).digest()
        return header + digest + attributes

    def signed_reply(self, code: int, identifier: int, request_authenticator: bytes, attributes: bytes) -> bytes:
        """Return a whole reply: Message-Authenticator first, then `attributes`, both authenticators filled in.

        The Message-Authenticator is made over the packet with the Request Authenticator in the header (RFC 3579,
        3.2); the Response Authenticator after it (RFC 2865, 3).
        """
        header = _pack_header(code, identifier, _SIGNED_OVERHEAD + len(attributes))
        inner = self._inner.copy()
        inner.update(header + request_authenticator + _MESSAGE_AUTHENTICATOR_HEADER + _ZEROS + attributes)
        outer = self._outer.copy()
        outer.update(inner.digest())
        body = _MESSAGE_AUTHENTICATOR_HEADER + outer.digest() + attributes
        return header + md5(header + request_authenticator + body + self._secret).digest() + body
