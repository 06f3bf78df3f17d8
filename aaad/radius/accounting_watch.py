"""What a datagram on the accounting port tells before accounting is recorded: it proves a secret, a session began.

Pure. The port stays silent: an Accounting-Response would say that the record is safe (RFC 2866, 2). The Request
Authenticator of accounting is made with the shared secret (RFC 2866, 3), so it proves the router's where CHAP proves
none (rules R2.1, R2.2), also of a disabled NAS (rule R2.4); and its Start ends the wait for a session (rule R10).
So much a second is looked at, so that accounting never takes the time of those who ask to be let in; less of
addresses from which no secret was ever proven, so that whoever invents addresses takes nothing from the others.
"""

from aaad.errors import MalformedPacket
from aaad.policy.codes import Discard
from aaad.radius.integrity import SecretKeys
from aaad.radius.learned import Learned
from aaad.radius.packet import Code, packet_length, value_at, walk
from aaad.radius.routers import Neighbourhood, Router, Source, plain_address
from aaad.radius.starts import StartWatch

LOOKED_AT_PER_S = 4_000
STRANGERS_LOOKED_AT_PER_S = 1_000
_ACCOUNTING_REQUEST = int(Code.ACCOUNTING_REQUEST)
_NAS_IDENTIFIER, _STATUS_TYPE, _SESSION_ID = 32, 40, 44
_START = (1).to_bytes(4, "big")


class AccountingWatch:
    """Listens to accounting for what it proves."""

    def __init__(self, neighbourhood: Neighbourhood, learned: Learned, starts: StartWatch) -> None:
        """Tell `neighbourhood` and `learned` of routers that prove their secret, `starts` of sessions that began."""
        self._hood = neighbourhood
        self._learned = learned
        self._starts = starts
        self._left = LOOKED_AT_PER_S
        self._left_for_strangers = STRANGERS_LOOKED_AT_PER_S

    def hear(self, data: bytes, source: Source, now_s: float) -> Discard:
        """Look at one datagram; returns why it gets no answer."""
        nas = self._hood.nas_at(source)
        if nas is None:
            return Discard.UNKNOWN_NAS
        address = plain_address(source[0])
        if not self._is_allowed(address):
            return Discard.OVERLOAD
        try:
            length = packet_length(data)
            if data[0] != _ACCOUNTING_REQUEST:
                return Discard.CODE_NOT_SERVED
            positions = walk(data, length)
        except MalformedPacket:
            return Discard.MALFORMED
        at = positions.get(_NAS_IDENTIFIER)
        router = self._hood.router_at(nas, address, value_at(data, at) if at else b"", now_s)
        keys = _proven(data, length, router)
        if keys is None:
            router.statistics.accounting_bad_authenticators += 1
            router.statistics.bad_authenticators_at_s = now_s
            return Discard.BAD_MESSAGE_AUTHENTICATOR
        self._note(router, keys, now_s)
        at = positions.get(_SESSION_ID)
        status = positions.get(_STATUS_TYPE)
        if at and status and value_at(data, status) == _START:
            self._starts.started(router, value_at(data, at))
        return Discard.CODE_NOT_SERVED

    def _is_allowed(self, address: str) -> bool:
        """Take one datagram off the second's allowance; what goes by unread must judge nobody."""
        if address in self._hood.proven_addresses:
            self._left -= 1
            if self._left < 0:
                self._starts.forget()
            return self._left >= 0
        self._left_for_strangers -= 1
        if self._left_for_strangers < 0:
            self._starts.forget(strangers_only=True)
        return self._left_for_strangers >= 0

    def _note(self, router: Router, keys: SecretKeys, now_s: float) -> None:
        self._hood.keep(router, now_s, requests=0)
        router.prove(keys)
        router.statistics.accounting_heard += 1
        router.statistics.proven_at_s = now_s
        self._learned.secret_proven(router, now_s)

    def tick(self, now_s: float) -> None:
        """Once a second: begin the second's allowance anew, and count the sessions that did not begin."""
        self._left = LOOKED_AT_PER_S
        self._left_for_strangers = STRANGERS_LOOKED_AT_PER_S
        self._starts.tick(now_s)


def _proven(data: bytes, length: int, router: Router) -> SecretKeys | None:
    """Return the secret that the Request Authenticator proves; what the router proved before is tried first."""
    if router.proven.accounting_authenticator_fits(data, length):
        return router.proven
    for keys in router.nas.keys:
        if keys is not router.proven and keys.accounting_authenticator_fits(data, length):
            return keys
    return None
