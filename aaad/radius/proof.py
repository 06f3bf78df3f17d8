"""What a request proves: by its Message-Authenticator which secret, by its password who it is.

Pure. RFC 2865, 5.2; RFC 3579, 3.2; rules R2.2 (which secret counts where nothing proves one) and R2.3 (a router that
signed once must always sign). What is proven of a router goes to those who keep it: the neighbourhood and the spool.
"""

from aaad.policy.codes import Credential, Discard, LoginFlag
from aaad.policy.facts import LoginFacts
from aaad.radius.integrity import SecretKeys
from aaad.radius.learned import ANNOUNCE_EVERY_S, Learned
from aaad.radius.password import verify_pap
from aaad.radius.request import Request
from aaad.radius.routers import Neighbourhood, Router

# Plain integers: looking up a member of an enum costs more than the comparison.
_USER_PASSWORD, _CHAP_PASSWORD, _VENDOR_SPECIFIC = 2, 3, 26
_PROXY_STATE, _EAP, _MESSAGE_AUTHENTICATOR = 33, 79, 80
_PASSWORD_IS_MD5 = int(LoginFlag.PASSWORD_IS_MD5)


class Proof:
    """Verifies requests, and remembers of their routers what that proved."""

    def __init__(self, neighbourhood: Neighbourhood, learned: Learned) -> None:
        """Tell `neighbourhood` and `learned` of every router that proves its secret."""
        self._hood = neighbourhood
        self._learned = learned

    def signature(
        self, data: bytes, length: int, positions: dict[int, int], router: Router, now_s: float
    ) -> SecretKeys | Discard | None:
        """Return the secret that the Message-Authenticator proves, None if nothing is proven yet."""
        nas = router.nas
        if not nas.enabled:
            return Discard.NAS_DISABLED
        at = positions.get(_MESSAGE_AUTHENTICATOR)
        if not at:
            # A proxy's state in an unsigned request is how CVE-2024-3596 is carried out; a NAS sends none.
            owed = nas.require_signature or (router.armed and nas.may_arm)
            if owed or _PROXY_STATE in positions or _EAP in positions:
                router.statistics.unsigned_dropped += 1
                router.statistics.unsigned_dropped_at_s = now_s
                return Discard.MESSAGE_AUTHENTICATOR_MISSING
            return None
        keys = router.proven
        if not keys.message_authenticator_fits(data, length, at):
            for keys in nas.keys:
                if keys is not router.proven and keys.message_authenticator_fits(data, length, at):
                    break
            else:
                router.statistics.bad_authenticators += 1
                router.statistics.bad_authenticators_at_s = now_s
                return Discard.BAD_MESSAGE_AUTHENTICATOR
        if router.proven is not keys or now_s - router.announced_at_s >= ANNOUNCE_EVERY_S:
            self._proven(router, keys, now_s)
        router.last_heard_s = now_s
        if nas.may_arm and not router.armed and _EAP not in positions:
            router.armed = True
            router.locally_armed_at_s = now_s
            self._learned.armed(router, now_s)
        return keys

    def credential(self, request: Request, login: LoginFacts, now_s: float) -> tuple[Credential, SecretKeys]:
        """Verify the password. In an unsigned request a password that fits also proves which secret is right."""
        data, positions, keys = request.data, request.positions, request.keys
        at = positions.get(_USER_PASSWORD)
        if not at:
            proof = keys or request.router.proven
            if _CHAP_PASSWORD in positions or _VENDOR_SPECIFIC in positions or _EAP in positions:
                return Credential.UNSUPPORTED, proof
            return Credential.MISSING, proof
        hidden = data[at + 2 : at + data[at + 1]]
        is_md5 = login.flags & _PASSWORD_IS_MD5
        if keys is not None:
            return verify_pap(keys, request.authenticator, hidden, login.password, is_md5), keys
        router = request.router
        for candidate in (router.proven, *router.nas.keys):
            credential = verify_pap(candidate, request.authenticator, hidden, login.password, is_md5)
            if credential is Credential.RIGHT:
                self._proven(router, candidate, now_s)
                if not request.peer.is_proven:
                    self._hood.admit(request.source, request.peer)
                return credential, candidate
        return Credential.WRONG, router.proven

    def _proven(self, router: Router, keys: SecretKeys, now_s: float) -> None:
        router.proven = keys
        self._hood.keep(router, now_s)
        self._learned.secret_proven(router, now_s)
