"""What a request proves: by its Message-Authenticator which secret, by its password who it is.

Pure. RFC 2865, 5.2 and 5.3; RFC 2548; RFC 3579, 3.2; rules R2.2 (which secret counts where nothing proves one),
R2.3 (a router that signed once must always sign) and R3.4 (a device's address that somebody typed is no password).
What is proven of a router goes to those who keep it: the neighbourhood and the spool.

A request proves its password by one method. If it carries more, which RFC 2865, 4.1 and RFC 2548 forbid, the first of
PAP, CHAP, MS-CHAP version 2 and version 1 counts and the others are not looked at: a wrong one is not made good by
another that fits.
"""

from collections.abc import Sequence

from aaad.policy.codes import Credential, Discard, LoginFlag
from aaad.policy.facts import LoginFacts
from aaad.radius import mschap
from aaad.radius.integrity import SecretKeys
from aaad.radius.layout import Layout
from aaad.radius.learned import Learned
from aaad.radius.packet import value_at
from aaad.radius.password import is_readable, pap_plaintext, pap_size_allowed, verify_chap, verify_pap
from aaad.radius.request import Proven, Request
from aaad.radius.routers import Neighbourhood, Router
from aaad.replica.record import AdministratorRow
from aaad.sessions.attribute_text import mac_of

# Plain integers: looking up a member of an enum costs more than the comparison.
_USER_NAME, _CALLING_STATION_ID, _EAP = 1, 31, 79
_PASSWORD_IS_MD5 = int(LoginFlag.PASSWORD_IS_MD5)
_IS_MAC_LOGIN = int(LoginFlag.IS_MAC_LOGIN)
_RIGHT = Credential.RIGHT
_BEHIND_SIGNATURES = 38  # where a reply's attributes begin behind header and Message-Authenticator
_SALTS_PER_REPLY = 2
_new_tuple = tuple.__new__


class Proof:
    """Verifies requests, and remembers of their routers what that proved."""

    def __init__(self, neighbourhood: Neighbourhood, learned: Learned, first_salt: int = 0) -> None:
        """Tell `neighbourhood` and `learned` of every router that proves its secret.

        Salts of session keys are counted from `first_salt` on: a number that another process or start does not have.
        """
        self._hood = neighbourhood
        self._learned = learned
        self._mschap = mschap.Verifier()
        self._salt = first_salt

    def signature(self, data: bytes, layout: Layout, router: Router, now_s: float) -> SecretKeys | Discard | None:
        """Return the secret that the Message-Authenticator proves, None if nothing is proven yet."""
        nas = router.nas
        if not nas.enabled:
            return Discard.NAS_DISABLED
        at = layout.signature_at
        if at is None:
            # A proxy's state in an unsigned request is how CVE-2024-3596 is carried out; a NAS sends none.
            owed = nas.require_signature or (router.armed and nas.may_arm)
            if owed or layout.has_proxy_state or _EAP in layout.positions:
                router.statistics.unsigned_dropped += 1
                router.statistics.unsigned_dropped_at_s = now_s
                return Discard.MESSAGE_AUTHENTICATOR_MISSING
            return None
        keys = router.proven
        if not keys.message_authenticator_fits(data, layout.length, at):
            for keys in nas.keys:
                if keys is not router.proven and keys.message_authenticator_fits(data, layout.length, at):
                    break
            else:
                router.statistics.bad_authenticators += 1
                router.statistics.bad_authenticators_at_s = now_s
                return Discard.BAD_MESSAGE_AUTHENTICATOR
        if router.proven is not keys or now_s >= router.announce_at_s:
            self._proven(router, keys, now_s)
        router.last_heard_s = now_s
        if nas.may_arm and not router.armed and _EAP not in layout.positions:
            router.armed = True
            router.locally_armed_at_s = now_s
            self._learned.armed(router, now_s)
        return keys

    def credential(self, request: Request, login: LoginFacts, now_s: float) -> Proven:
        """Verify the password of a login; of one that authenticates by its device's address, first the device.

        Such a login needs a right password only if it has one: DHCP sends a space, and Hotspot what its profile says.
        """
        flags = login.flags
        if flags & _IS_MAC_LOGIN:
            if not is_own_device(request, login.mac):
                return Proven(Credential.OTHER_DEVICE, request.keys or request.router.proven, None)
            if not login.password:
                return Proven(_RIGHT, request.keys or request.router.proven, None)
        keys, hidden_at = request.keys, request.layout.password
        if hidden_at is not None and keys is not None:  # what nearly every request is, in as few steps as can be
            hidden = request.data[hidden_at]
            credential = verify_pap(keys, request.authenticator, hidden, login.password, flags & _PASSWORD_IS_MD5)
            return _new_tuple(Proven, (credential, keys, None))
        if hidden_at is None:
            return self._challenged(request, login.password, login.nt_hash, flags & _PASSWORD_IS_MD5)
        return self._verify(request, login.password, login.nt_hash, flags & _PASSWORD_IS_MD5, now_s)

    def administrator(self, request: Request, administrator: AdministratorRow, now_s: float) -> Proven:
        """Verify the password of a router administrator."""
        return self._verify(request, administrator.password, administrator.nt_hash, 0, now_s)

    def _verify(self, request: Request, password: bytes, nt_hash: bytes, is_md5: int, now_s: float) -> Proven:
        """Verify the password. In an unsigned request a User-Password that fits also proves which secret is right."""
        data, keys = request.data, request.keys
        hidden_at = request.layout.password
        if hidden_at is None:
            return self._challenged(request, password, nt_hash, is_md5)
        hidden = data[hidden_at]
        if keys is not None:
            credential = verify_pap(keys, request.authenticator, hidden, password, is_md5)
            return _new_tuple(Proven, (credential, keys, None))
        router = request.router
        for candidate in (router.proven, *router.nas.keys):
            credential = verify_pap(candidate, request.authenticator, hidden, password, is_md5)
            if credential is _RIGHT:
                self._proven(router, candidate, now_s)
                if not request.peer.is_proven:
                    self._hood.admit(request.source, request.peer)
                return Proven(credential, candidate, None)
        if pap_size_allowed(hidden) and not any(
            is_readable(pap_plaintext(candidate, request.authenticator, hidden)) for candidate in router.nas.keys
        ):
            router.doubt(now_s, unreadable=1)
        return Proven(Credential.WRONG, router.proven, None)

    def _challenged(self, request: Request, password: bytes, nt_hash: bytes, is_md5: int) -> Proven:
        """Verify CHAP or MS-CHAP, which prove no secret: what the router last proved signs the reply (rule R2.2)."""
        data, layout = request.data, request.layout
        keys = request.keys or request.router.proven
        credential, verified = Credential.MISSING, None
        if layout.chap_password is not None:
            credential = Credential.NEEDS_CLEAR_PASSWORD
            if not is_md5:
                challenge_at = layout.chap_challenge
                challenge = request.authenticator if challenge_at is None else data[challenge_at]
                credential = verify_chap(data[layout.chap_password], challenge, password)
            return _new_tuple(Proven, (credential, keys, None))
        handshake = mschap.find(data, layout.microsoft) if layout.microsoft else None
        if handshake is None:
            if _EAP in layout.positions:
                credential = Credential.UNSUPPORTED
        elif not mschap.is_supported(handshake):
            credential = Credential.UNSUPPORTED
        elif is_md5:
            credential = Credential.NEEDS_CLEAR_PASSWORD
        else:
            if password and nt_hash:
                verified = self._mschap.verify(handshake, data[layout.name], nt_hash)
            credential = _RIGHT if verified is not None else Credential.WRONG
        return Proven(credential, keys, verified)

    def success_attributes(self, request: Request, proven: Proven, *, with_keys: bool) -> bytes:
        """Return what the Accept of a right MS-CHAP response must carry; nothing for any other method.

        Args:
            request: the request.
            proven: what it proved.
            with_keys: whether the concentrator gets the keys that the session may be encrypted with.
        """
        verified = proven.mschap
        if verified is None:
            return b""
        attributes = mschap.success_attribute(verified)
        if with_keys:
            self._salt += _SALTS_PER_REPLY
            attributes += mschap.key_attributes(verified, proven.keys, request.authenticator, self._salt)
        return attributes

    def _proven(self, router: Router, keys: SecretKeys, now_s: float) -> None:
        router.prove(keys)
        self._hood.keep(router, now_s)
        self._learned.secret_proven(router, now_s)


def is_own_device(request: Request, mac: int) -> bool:
    """Tell whether User-Name and Calling-Station-Id are both the address of this device (rule R3.4)."""
    data, positions = request.data, request.positions
    named_at, calling_at = positions.get(_USER_NAME), positions.get(_CALLING_STATION_ID)
    if not named_at or not calling_at:
        return False
    named = mac_of(value_at(data, named_at))
    return named is not None and named == mac_of(value_at(data, calling_at)) and int.from_bytes(named, "big") == mac


def signed_by_next(reply: bytes, request_authenticator: bytes, candidates: Sequence[SecretKeys]) -> bytes:
    """Return a reply as it is with the candidate after the one that signed it (rule R2.2), session keys included.

    If none of them signed it, because the secrets were changed meanwhile, the first one signs; but a reply with
    session keys stays as it is, because nobody can hide them anew.
    """
    code, identifier, attributes = reply[0], reply[1], reply[_BEHIND_SIGNATURES:]
    for position, keys in enumerate(candidates):
        if keys.signed_reply(code, identifier, request_authenticator, attributes) == reply:
            following = candidates[(position + 1) % len(candidates)]
            shown = mschap.hidden_anew(attributes, request_authenticator, keys, following)
            return following.signed_reply(code, identifier, request_authenticator, shown)
    if mschap.has_keys(attributes):
        return reply
    return candidates[0].signed_reply(code, identifier, request_authenticator, attributes)
