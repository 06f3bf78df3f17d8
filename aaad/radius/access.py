"""The path of one datagram on the authentication port: from its octets to a reply, to silence, or to a wait.

Pure: octets, arrival and `now` come in, a value goes out; what it learns goes into the journal and the spool's
queue that it was given. The way of a packet is `answer` (who asks, is it whole and genuine, is it a copy) and
`_access` (which login, is the password right, what does it get); `finish` makes the reply of both a decision
taken at once and one that had to wait.

Standards: RFC 2865, 2 to 5; RFC 3579, 3.2; RFC 5080, 2.2.2 (duplicates); RFC 5997 (Status-Server).
Rules: R2.1 to R2.3, R3.1 to R3.6, R4.6.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from aaad.errors import MalformedPacket, ReplicaError
from aaad.policy.codes import Credential, Discard, LoginFlag, Reason
from aaad.policy.decide import decide
from aaad.policy.facts import LoginFacts, PlanFacts
from aaad.policy.grant import Decision, Grant
from aaad.radius import explain
from aaad.radius.integrity import SecretKeys
from aaad.radius.learned import Learned
from aaad.radius.packet import (
    AUTHENTICATOR,
    PACKET_SIZE_MAX,
    Code,
    packet_length,
    value_at,
    values,
    walk,
)
from aaad.radius.proof import Proof
from aaad.radius.reply import (
    ClassSigner,
    PlanReply,
    accept_attributes,
    compile_plan,
    grant_fingerprint,
    reject_attributes,
)
from aaad.radius.request import Answer, Pending, Request
from aaad.radius.routers import Neighbourhood, Peer, Remembered, Router, Source
from aaad.radius.starts import StartWatch
from aaad.replica.record import Tables, decode, fold_name, login_id_of

REPLY_TTL_S = 10.0  # RFC 5080, 2.2.2: at least 5 and at most 30 seconds
_REPLY_OVERHEAD = 20 + 18
_ATTRIBUTES_MAX = PACKET_SIZE_MAX - _REPLY_OVERHEAD
_GIVEN_UP = b""  # remembered as the reply of a request that is to be decided anew when its next copy comes
_new_tuple = tuple.__new__  # half the price of calling a NamedTuple by its name, for the two made per request
_BACKLOG_S = 0.1  # older than this on receipt, requests are piling up
_BACKLOG_ANSWERS_PER_S = 20_000  # what sources share in a backlog: below what one process can answer
_EMPTY = 2  # octets of an attribute without a value
_DISCARDS_TO_JOURNAL_PER_S = 20
# Plain integers: looking up a member of an enum costs more than the comparison.
_USER_NAME, _FRAMED_PROTOCOL, _CALLING_STATION_ID, _NAS_IDENTIFIER = 1, 7, 31, 32
_USER_PASSWORD, _PROXY_STATE, _ACCT_SESSION_ID, _MESSAGE_AUTHENTICATOR = 2, 33, 44, 80
_LEARN_MAC = int(LoginFlag.LEARN_MAC)
_ACCESS_REQUEST, _STATUS_SERVER = int(Code.ACCESS_REQUEST), int(Code.STATUS_SERVER)
_ACCEPT, _REJECT = int(Code.ACCESS_ACCEPT), int(Code.ACCESS_REJECT)


class Logins(Protocol):
    """Where compiled logins are found: the replica, within one wake-up's snapshot."""

    @property
    def complete(self) -> bool:
        """Whether every login of the database was loaded, so that an unknown one is really unknown."""

    def login(self, key: bytes) -> bytes | None:
        """Return the record under a folded name."""


class Recorder(Protocol):
    """Where decisions are written down: the journal."""

    def append(self, subject: int, at_s: float, body: bytes) -> None:
        """Write one entry."""


class Cells(Protocol):
    """The process's counters, by position."""

    def __getitem__(self, position: int, /) -> int:
        """Return a count."""

    def __setitem__(self, position: int, value: int, /) -> None:
        """Set a count."""


class AccessPath:
    """The request path of one radius process. One thread only."""

    def __init__(
        self,
        *,
        logins: Logins,
        neighbourhood: Neighbourhood,
        journal: Recorder,
        learned: Learned,
        cells: Cells,
        decided_at: Sequence[int],
        slot: int,
        first_serial: int,
        reject_messages: Mapping[Reason, str],
        must_wait: Callable[[LoginFacts, Grant], bool] | None = None,
    ) -> None:
        """Wire the path.

        Args:
            logins: the replica.
            neighbourhood: NASes, routers and peers.
            journal: where every decision is written down.
            learned: what is to be written to PostgreSQL.
            cells: the process's counters.
            decided_at: where the count of decisions for a reason lies in `cells`, by the reason's number.
            slot: number of this process among the node's radius processes.
            first_serial: where grants are counted from; never reused by this slot of this node.
            reject_messages: what the customer's device is told, by reason (rule R3.5).
            must_wait: tells which grants need something that is not in the replica.
        """
        self._logins = logins
        self._hood = neighbourhood
        self._peers = neighbourhood.peers
        self._journal = journal
        self._learned = learned
        self._proof = Proof(neighbourhood, learned)
        self._cells = cells
        self._decided_at = decided_at
        self._slot = slot
        self._rejects = {reason: reject_attributes(reject_messages.get(reason, "")) for reason in Reason}
        self._must_wait = must_wait
        self.starts = StartWatch()
        self._plans: dict[int, tuple[PlanFacts, PlanReply]] = {}
        self._signer = ClassSigner(b"", node=0, slot=slot, serial=first_serial)  # nothing is granted before load()
        self._loaded = False
        self._name_key = b""
        self.resent = 0  # copies answered as before, until the service counts them
        self.status_answered = 0
        self._discards_to_journal = _DISCARDS_TO_JOURNAL_PER_S
        self._asked_in_backlog: dict[str, int] = {}

    def load(self, tables: Tables, now_s: float) -> list[str]:
        """Take over new tables. Returns what could not be taken over, in words."""
        problems = []
        plans: dict[int, tuple[PlanFacts, PlanReply]] = {}
        for plan in tables.plans:
            try:
                plans[plan.plan_id] = (plan, compile_plan(plan))
            except (ValueError, OverflowError) as error:
                problems.append(f"plan {plan.plan_id}: {error}")
        self._plans = plans
        problems += self._hood.load(tables.nases, tables.routers, now_s)
        if not self._loaded or (tables.class_key, tables.node_number) != (self._name_key, self._signer.node):
            self._loaded = True
            self._name_key = tables.class_key
            self._signer = ClassSigner(
                tables.class_key, node=tables.node_number, slot=self._slot, serial=self._signer.serial
            )
        return problems

    def answer(self, data: bytes, source: Source, arrived_s: float, now_s: float) -> Answer:
        """Answer one datagram, or say why there is none."""
        peer = self._peers.get(source)
        if peer is None:
            peer = self._hood.new_peer(source, now_s)
            if peer is None:
                return Discard.UNKNOWN_NAS if self._loaded else Discard.NO_REPLICA
        try:
            length = packet_length(data)
            if data[0] != _ACCESS_REQUEST:
                return self._status(data, length, source, peer, arrived_s, now_s)
            positions = walk(data, length)
        except MalformedPacket:
            return Discard.MALFORMED
        authenticator = data[AUTHENTICATOR]
        copy = peer.remembered[data[1]]
        if copy is not None:
            if copy.authenticator != authenticator or now_s - copy.first_arrival_s > REPLY_TTL_S:
                copy = None
            else:
                arrived_s = copy.first_arrival_s
        if now_s - arrived_s > _BACKLOG_S and (copy is None or not copy.reply):
            dropped = self._backlogged(data, peer, arrived_s, now_s)
            if dropped is not None:
                return self._discard(dropped, data, length, positions, peer, now_s)

        at = positions.get(_NAS_IDENTIFIER, 0)
        identifier = data[at + 2 : at + data[at + 1]] if at else b""
        router = peer.router
        if router is None or router.identifier != identifier:
            router = self._hood.router(peer, identifier)
        router.statistics.requests += 1
        keys = self._proof.signature(data, length, positions, router, now_s)
        if isinstance(keys, Discard):
            return self._discard(keys, data, length, positions, peer, now_s)
        if keys is not None and not peer.is_proven:
            self._hood.admit(source, peer)
        peer.heard_at_s = now_s
        if copy is not None and copy.reply != _GIVEN_UP:
            return self._again(data, peer, router, copy, signed=keys is not None)
        request = _new_tuple(Request, (data, length, authenticator, positions, source, peer, router, keys, arrived_s))
        return self._access(request, now_s)

    def _access(self, request: Request, now_s: float) -> Answer:
        """Find the login, verify the password, decide."""
        data = request.data
        at = request.positions.get(_USER_NAME, 0)
        name = data[at + 2 : at + data[at + 1]] if at else b""
        if not name:
            return self._refuse_name(request, name, Reason.NAME_INVALID, now_s)
        record = self._logins.login(fold_name(name))
        if record is None:
            if not self._logins.complete:
                return Discard.NO_REPLICA
            return self._refuse_name(request, name, Reason.UNKNOWN_LOGIN, now_s)
        try:
            login = decode(record)
        except ReplicaError:
            return self._refuse_damaged(request, login_id_of(record), now_s)
        credential, keys = self._proof.credential(request, login, now_s)
        plan = self._plans.get(login.plan_id)
        decision = decide(login, plan[0] if plan else None, credential)
        if self._must_wait is not None and decision.grant and self._must_wait(login, decision.grant):
            self._remember(request, None)
            return Pending(request, keys, login, record, credential, decision)
        return self.finish(request, keys, login, record, credential, decision, now_s)

    def finish(
        self,
        request: Request,
        keys: SecretKeys,
        login: LoginFacts,
        record: bytes,
        credential: Credential,
        decision: Decision,
        now_s: float,
    ) -> bytes:
        """Make, sign and remember the reply of a decision; write down what was decided and why."""
        reason, grant, _ = decision
        router = request.router
        plan = self._plans.get(login.plan_id)
        if grant is not None and plan is None:  # it went while the request waited
            reason, grant = Reason.PLAN_MISSING, None
        if grant is None or plan is None:
            code, attributes = _REJECT, self._rejects[reason]
        else:
            code, attributes = _ACCEPT, self._grant_attributes(request, login, plan[1], grant)
        if _PROXY_STATE in request.positions:
            states = _proxy_states(request)
            if grant is not None and len(attributes) + len(states) > _ATTRIBUTES_MAX:
                reason, grant = Reason.REPLY_TOO_LONG, None
                code, attributes = _REJECT, self._rejects[reason]
            attributes = _joined(attributes, states)
        data = request.data
        reply = keys.signed_reply(code, data[1], request.authenticator, attributes)
        request.peer.remembered[data[1]] = _new_tuple(Remembered, (request.authenticator, reply, request.arrived_s))
        self._cells[self._decided_at[reason]] += 1
        self._journal.append(
            login.login_id,
            now_s,
            explain.encode(
                reason,
                credential,
                request.keys is not None,
                now_s - request.arrived_s,
                router.journal_key,
                record,
                explain.public_attributes(data, request.length, request.positions),
            ),
        )
        if grant is None:
            router.statistics.refused += 1
            self._learned.login_refused(login.login_id, reason, now_s)
        else:
            router.statistics.granted += 1
            at = request.positions.get(_ACCT_SESSION_ID, 0)
            if at:
                is_proven = request.keys is not None or _USER_PASSWORD in request.positions
                self.starts.accepted(router, data[at + 2 : at + data[at + 1]], now_s, is_proven=is_proven)
            if login.flags & _LEARN_MAC and _CALLING_STATION_ID in request.positions:
                calling = value_at(data, request.positions[_CALLING_STATION_ID])
                self._learned.device_seen(login.login_id, calling, now_s)
        return reply

    def is_awaited(self, request: Request) -> bool:
        """Tell whether the NAS may still wait: it has not used the Identifier for another request since."""
        copy = request.peer.remembered[request.data[1]]
        return copy is not None and copy.authenticator == request.authenticator

    def give_up(self, request: Request) -> None:
        """Let the next copy of a request in work be decided anew: what this one needed could not be had."""
        if self.is_awaited(request):
            self._remember(request, _GIVEN_UP)

    # --- what is no Access-Request ------------------------------------------------------------------------------

    def _status(self, data: bytes, length: int, source: Source, peer: Peer, arrived_s: float, now_s: float) -> Answer:
        """Answer Status-Server while Access-Requests would be answered (rule R3.2, RFC 5997)."""
        if data[0] != _STATUS_SERVER:
            return Discard.CODE_NOT_SERVED
        if not peer.nas.enabled:
            return Discard.NAS_DISABLED
        at = walk(data, length).get(_MESSAGE_AUTHENTICATOR)
        if not at:
            return Discard.MESSAGE_AUTHENTICATOR_MISSING  # RFC 5997, 3: it must be there
        for keys in peer.nas.keys:
            if keys.message_authenticator_fits(data, length, at):
                if not self._logins.complete:
                    return Discard.NO_REPLICA
                if now_s - arrived_s > peer.nas.deadline_s:
                    return Discard.LATE
                peer.heard_at_s = now_s
                if not peer.is_proven:
                    self._hood.admit(source, peer)
                self.status_answered += 1
                return keys.signed_reply(_ACCEPT, data[1], data[AUTHENTICATOR], b"")
        return Discard.BAD_MESSAGE_AUTHENTICATOR

    # --- what is dropped ---------------------------------------------------------------------------------------

    def _discard(
        self, cause: Discard, data: bytes, length: int, positions: dict[int, int], peer: Peer, now_s: float
    ) -> Discard:
        """Let `why` know of a request of a known login that gets no answer; so many a second, the rest is counted."""
        at = positions.get(_USER_NAME)
        if self._discards_to_journal > 0 and at and data[at + 1] > _EMPTY:
            record = self._logins.login(fold_name(value_at(data, at)))
            if record is not None:
                self._discards_to_journal -= 1
                router = peer.router or self._hood.router(peer, b"")
                self._journal.append(
                    login_id_of(record),
                    now_s,
                    explain.encode(
                        cause,
                        0,
                        explain.FLAG_DISCARDED,
                        0.0,
                        router.journal_key,
                        record if _is_readable(record) else b"",
                        explain.public_attributes(data, length, positions),
                    ),
                )
        return cause

    # --- copies -------------------------------------------------------------------------------------------------

    def _remember(self, request: Request, reply: bytes | None) -> None:
        data = request.data
        request.peer.remembered[data[1]] = Remembered(request.authenticator, reply, request.arrived_s)

    def _backlogged(self, data: bytes, peer: Peer, first_arrival_s: float, now_s: float) -> Discard | None:
        """Drop what its NAS no longer waits for, and in a backlog what is over one source's share (rule R3.3).

        Copies of a late request are as late; a source alone may have everything.
        """
        if now_s - first_arrival_s > peer.nas.deadline_s:
            peer.remembered[data[1]] = Remembered(data[AUTHENTICATOR], None, first_arrival_s)
            peer.heard_at_s = now_s
            if peer.router is not None:
                peer.router.statistics.late += 1
            return Discard.LATE
        asked = self._asked_in_backlog.get(peer.source_address, 0) + 1
        self._asked_in_backlog[peer.source_address] = asked
        sources = len(self._asked_in_backlog)
        return Discard.OVERLOAD if sources > 1 and asked > _BACKLOG_ANSWERS_PER_S // sources else None

    def _again(self, data: bytes, peer: Peer, router: Router, copy: Remembered, *, signed: bool) -> Answer:
        """Answer a copy as before (RFC 5080, 2.2.2).

        Where nothing proved a secret, the NAS may have thrown the first reply away because another one signed it:
        the copy is answered with the next candidate (rule R2.2).
        """
        if copy.reply is None:
            return Discard.DUPLICATE_IN_WORK
        router.statistics.resent += 1
        self.resent += 1
        if not signed:
            router.doubt(copy.first_arrival_s, resent=1)
        if signed or len(router.nas.keys) == 1:
            return copy.reply
        code, identifier = copy.reply[0], copy.reply[1]
        versions = [
            keys.signed_reply(code, identifier, copy.authenticator, copy.reply[_REPLY_OVERHEAD:])
            for keys in router.nas.keys
        ]
        used = versions.index(copy.reply) if copy.reply in versions else -1
        reply = versions[(used + 1) % len(versions)]
        peer.remembered[data[1]] = copy._replace(reply=reply)
        return reply

    # --- what is said -------------------------------------------------------------------------------------------

    def _grant_attributes(self, request: Request, login: LoginFacts, compiled: PlanReply, grant: Grant) -> bytes:
        return self._signer.class_attribute(
            login.login_id, login.contract_id, login.plan_id, grant_fingerprint(compiled, grant)
        ) + accept_attributes(compiled, grant, _FRAMED_PROTOCOL in request.positions)

    def _refuse_name(self, request: Request, name: bytes, reason: Reason, now_s: float) -> bytes:
        """Refuse a request whose login is not known."""
        reply = self._reject(request, reason)
        self._learned.name_refused(request.router, reason, name, now_s)
        self._journal.append(
            explain.subject_of_name(fold_name(name), self._name_key),
            now_s,
            explain.encode(
                reason,
                0,
                explain.FLAG_NAME_MASKED | (request.keys is not None),
                now_s - request.arrived_s,
                request.router.journal_key,
                b"",
                explain.masked_attributes(request.data, request.length, name),
            ),
        )
        return reply

    def _refuse_damaged(self, request: Request, login_id: int, now_s: float) -> bytes:
        """Refuse a known login whose record cannot be read: a permanent fault of this login (rule R3.1)."""
        reason = Reason.RECORD_DAMAGED
        reply = self._reject(request, reason)
        self._learned.login_refused(login_id, reason, now_s)
        self._journal.append(
            login_id,
            now_s,
            explain.encode(
                reason,
                0,
                request.keys is not None,
                now_s - request.arrived_s,
                request.router.journal_key,
                b"",
                explain.public_attributes(request.data, request.length, request.positions),
            ),
        )
        return reply

    def _reject(self, request: Request, reason: Reason) -> bytes:
        """Make, sign, remember and count the Reject of a request without facts of its login."""
        attributes = self._rejects[reason]
        if _PROXY_STATE in request.positions:
            attributes = _joined(attributes, _proxy_states(request))
        keys = request.keys or request.router.proven
        reply = keys.signed_reply(_REJECT, request.data[1], request.authenticator, attributes)
        self._remember(request, reply)
        self._cells[self._decided_at[reason]] += 1
        request.router.statistics.refused += 1
        return reply

    def tick(self, now_s: float) -> None:
        """Once a second: forget what no NAS asks for any more, and begin the second's allowances anew."""
        self._hood.forget_idle(now_s, REPLY_TTL_S)
        self._discards_to_journal = _DISCARDS_TO_JOURNAL_PER_S
        self._asked_in_backlog.clear()


def _proxy_states(request: Request) -> bytes:
    """Return every Proxy-State of a request, unchanged and in order (RFC 2865, 5.33)."""
    return b"".join(
        bytes((_PROXY_STATE, len(value) + _EMPTY)) + value  # an empty one, too, that our own encoder would refuse
        for value in values(request.data, request.length, _PROXY_STATE)
    )


def _joined(attributes: bytes, states: bytes) -> bytes:
    """Return a reply's attributes and the Proxy-States behind them; where both do not fit, the latter alone.

    They always fit alone, because the request that had them was as long. Their sender needs them (RFC 2865, 5.33).
    """
    return attributes + states if len(attributes) + len(states) <= _ATTRIBUTES_MAX else states


def _is_readable(record: bytes) -> bool:
    try:
        decode(record)
    except ReplicaError:
        return False
    return True
