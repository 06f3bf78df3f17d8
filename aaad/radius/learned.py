"""What the request path learns and wants written to PostgreSQL: typed records for the spool.

Pure: it gathers, and the service hands the records to the spool's writer thread. Refusals are counted per minute
(rule R3.6), so a customer's device that redials for ever costs PostgreSQL a row a minute and not a row a try.
Everything is bounded; what finds no room is counted.
"""

from itertools import islice

from aaad.policy.codes import LoginFlag, Reason
from aaad.policy.facts import Asked, LoginFacts
from aaad.radius.explain import mask
from aaad.radius.routers import Router
from aaad.spool.records import (
    BindingLearned,
    Granted,
    LoginRefused,
    MessageAuthenticatorArmed,
    NameRefused,
    Record,
    RouterSeen,
)

ANNOUNCE_EVERY_S = 300.0  # how often a router that is heard is told again, to keep its "last seen" true
CHANGE_ANNOUNCED_EVERY_S = 30.0  # ... and when it proves another secret: two of one name would do so all the time
RECORDS_MAX = 10_000
# A binding is told once in so long, and at least once in twice as long: until the replica shows it, every Accept sees
# it anew. Not for longer, because what an operator clears is to be filled again.
BINDINGS_TOLD_S = 60.0
BINDINGS_MAX = 65_536
REFUSALS_MAX = 100_000
TAKE_MAX = 4_000  # counts given out at a time: a blocking day must not pause the answers
_SAMPLE_MAX = 5
_MAC_OCTETS = 6
_MAC_LEARN, _MAC_LEARN_DEFAULT = int(LoginFlag.MAC_LEARN), int(LoginFlag.MAC_LEARN_DEFAULT)
_NAS_LEARN, _NAS_LEARN_DEFAULT = int(LoginFlag.NAS_LEARN), int(LoginFlag.NAS_LEARN_DEFAULT)
_PORT_LEARN, _PORT_LEARN_DEFAULT = int(LoginFlag.PORT_LEARN), int(LoginFlag.PORT_LEARN_DEFAULT)
_CIRCUIT_LEARN, _CIRCUIT_LEARN_DEFAULT = int(LoginFlag.CIRCUIT_LEARN), int(LoginFlag.CIRCUIT_LEARN_DEFAULT)
_LEARNED = (
    (_MAC_LEARN | _MAC_LEARN_DEFAULT, "mac"),
    (_NAS_LEARN | _NAS_LEARN_DEFAULT, "nas"),
    (_PORT_LEARN | _PORT_LEARN_DEFAULT, "port"),
    (_CIRCUIT_LEARN | _CIRCUIT_LEARN_DEFAULT, "circuit"),
)


class _NameRefusals:
    """Refusals of unknown names at one router, for one reason, in one minute."""

    __slots__ = ("count", "sample")

    def __init__(self) -> None:
        self.count = 0
        self.sample: set[str] = set()


class Learned:
    """Gathers records until the service takes them."""

    def __init__(self) -> None:
        """Start empty."""
        self.local_address = ""  # of the socket whose datagrams are being answered
        self.uncounted = 0  # refusals that found no room
        self.dropped = 0  # records that found no room
        self.gathered = 0  # refusals and other facts taken in since the process began
        self.grants: list[Granted] = []  # not for the next second, but for now: evidence of who has an address
        self._records: list[Record] = []
        self._told: set[tuple[int, str, str]] = set()  # bindings: login, kind and value
        self._told_before: set[tuple[int, str, str]] = set()
        self._told_since_s = 0.0
        self._logins: dict[tuple[int, Reason, int], int] = {}
        self._names: dict[tuple[tuple[int, str, bytes], Reason, int], _NameRefusals] = {}

    def _add(self, record: Record) -> bool:
        if len(self._records) >= RECORDS_MAX:
            self.dropped += 1
            return False
        self.gathered += 1
        self._records.append(record)
        return True

    def secret_proven(self, router: Router, now_s: float) -> None:
        """Tell of a router that proved its secret: at first, when that changes, and every few minutes.

        With it goes the fingerprint, never the secret: where nothing proves one, all processes sign with this one.
        """
        router.last_heard_s = now_s
        fingerprint = router.proven.fingerprint
        if now_s < router.announce_at_s:
            if fingerprint == router.shared_fingerprint:
                return
            may_tell_at_s = router.announced_at_s + CHANGE_ANNOUNCED_EVERY_S
            if now_s < may_tell_at_s:
                router.announce_at_s = min(router.announce_at_s, may_tell_at_s)
                return
        router.announced_at_s = now_s
        router.announce_at_s = now_s + ANNOUNCE_EVERY_S
        router.shared_fingerprint = fingerprint
        name = router.claimed_name
        self._add(RouterSeen(*name, self.local_address, now_s, fingerprint))

    def armed(self, router: Router, now_s: float) -> None:
        """Tell all nodes that this router signs its requests (rule R2.3)."""
        self._add(MessageAuthenticatorArmed(router.nas.nas_id, router.source_address, router.identifier, now_s))

    def granted(self, record: Granted) -> None:
        """Tell of addresses that accounting may leave out."""
        if len(self.grants) >= RECORDS_MAX:
            self.dropped += 1
        else:
            self.gathered += 1
            self.grants.append(record)

    def login_refused(self, login_id: int, reason: Reason, now_s: float) -> None:
        """Count the refusal of a known login."""
        key = (login_id, reason, int(now_s // 60))
        if key in self._logins or len(self._logins) < REFUSALS_MAX:
            self.gathered += 1
            self._logins[key] = self._logins.get(key, 0) + 1
        else:
            self.uncounted += 1

    def name_refused(self, router: Router, reason: Reason, name: bytes, now_s: float) -> None:
        """Count the refusal of an unknown name at a router, with a small masked sample."""
        key = (router.name, reason, int(now_s // 60))
        refusals = self._names.get(key)
        if refusals is None:
            if len(self._names) >= REFUSALS_MAX:
                self.uncounted += 1
                return
            refusals = self._names[key] = _NameRefusals()
        self.gathered += 1
        refusals.count += 1
        if len(refusals.sample) < _SAMPLE_MAX:
            refusals.sample.add(mask(name))

    def bindings_seen(self, login: LoginFacts, flags: int, asked: Asked, now_s: float) -> None:
        """Tell of what is to be filled in by itself for a login that was let in: device, NAS, port and circuit.

        Only of a request that proved a secret or a password: what is learned binds, so a forger would lock out.

        `flags`: those of the login that its branch learns by (`learn_flags`); they are set only while there is
        nothing yet. What the request does not say is learned another time.
        """
        for bits, kind in _LEARNED:
            if flags & bits:
                value = _seen(kind, asked)
                if value:
                    self._binding_seen(login.login_id, kind, value, now_s)

    def _binding_seen(self, login_id: int, kind: str, value: str, now_s: float) -> None:
        told_for_s = now_s - self._told_since_s
        if told_for_s >= BINDINGS_TOLD_S or len(self._told) >= BINDINGS_MAX:
            self._told_since_s = now_s
            self._told_before, self._told = self._told if told_for_s < 2 * BINDINGS_TOLD_S else set(), set()
        binding = (login_id, kind, value)
        if (
            binding not in self._told
            and binding not in self._told_before
            and self._add(BindingLearned(login_id, kind, value, now_s))
        ):
            self._told.add(binding)

    def take_grants(self) -> list[Granted]:
        """Return the grants to be written now."""
        grants, self.grants = self.grants, []
        return grants

    def take(self, *, everything: bool = False) -> list[Record]:
        """Return what is to be written now.

        Counts are given out as they stand, to be added to those of the same minute: what a killed process had
        gathered and not handed over is a second's worth. At most TAKE_MAX of each kind, the others the next time;
        with `everything` all there is.
        """
        records, self._records = self._records, []
        limit = None if everything else TAKE_MAX
        for key in list(islice(self._logins, limit)):
            login_id, reason, minute = key
            records.append(LoginRefused(login_id, reason.label, minute, self._logins.pop(key)))
        for name_key in list(islice(self._names, limit)):
            (nas_id, source_address, identifier), reason, minute = name_key
            refusals = self._names.pop(name_key)
            sample = tuple(sorted(refusals.sample))
            records.append(
                NameRefused(nas_id, source_address, identifier, reason.label, minute, refusals.count, sample)
            )
        return records


def _seen(kind: str, asked: Asked) -> str:
    """Return what a request says of one kind of binding, as PostgreSQL writes it; empty if it says nothing."""
    match kind:
        case "mac":
            return asked.mac.to_bytes(_MAC_OCTETS, "big").hex(":").upper() if asked.mac else ""
        case "nas":
            return str(asked.nas_id) if asked.nas_id else ""
        case "port":
            return asked.port_id
        case _:
            return asked.circuit_id
