"""The path of one datagram on the authentication port: from its octets to a reply, to silence, or to a wait.

Pure: octets, arrival and `now` come in, a value goes out; what it learns goes into the journal and the spool's
queue that it was given. The way of a packet is `answer` (who asks, is it whole and genuine, is it a copy) and
`_access` (which login, is the password right, what does it get); `finish` makes the reply of a decision that had to
wait, `_finish` that of any.

Standards: RFC 2865, 2 to 5; RFC 3579, 3.2; RFC 5080, 2.2.2 (duplicates); RFC 5997 (Status-Server).
Rules: R2.1 to R2.3, R2.5, R3.1 to R3.6, R4.6.
"""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Protocol
from zlib import crc32

from aaad.errors import MalformedPacket, ReplicaError
from aaad.policy.codes import Credential, Discard, Reason
from aaad.policy.decide import decide
from aaad.policy.facts import LoginFacts
from aaad.policy.grant import Decision, Grant
from aaad.pools.want import Lack, Want
from aaad.radius import explain, lookup
from aaad.radius.addresses import Addresses, granted_record
from aaad.radius.copies import GIVEN_UP, Copies
from aaad.radius.integrity import SecretKeys
from aaad.radius.layout import Layout
from aaad.radius.learned import Learned
from aaad.radius.mschap import Refusals
from aaad.radius.packet import (
    AUTHENTICATOR,
    PACKET_SIZE_MAX,
    Code,
    packet_length,
    proxy_states,
    walk,
)
from aaad.radius.pool_book import GrantPools
from aaad.radius.proof import Proof
from aaad.radius.reply import (
    ClassSigner,
    accept_attributes,
    administrator_attributes,
    reject_attributes,
    with_strong_types,
)
from aaad.radius.request import Answer, Leasing, Pending, Proven, Request
from aaad.radius.routers import Neighbourhood, Peer, Remembered, Source
from aaad.radius.rulebook import Rulebook, reason_unsaid
from aaad.radius.starts import StartWatch
from aaad.replica.record import (
    HEAD_SIZE,
    AdministratorRow,
    PoolRow,
    Tables,
    decode,
    fold_name,
    login_id_of,
    public_part,
)
from aaad.replica.secret_attributes import without_secrets

REPLY_TTL_S = 10.0  # RFC 5080, 2.2.2: at least 5 and at most 30 seconds
_REPLY_OVERHEAD = 20 + 18
_ATTRIBUTES_MAX = PACKET_SIZE_MAX - _REPLY_OVERHEAD
_ADMINISTRATOR_REFUSALS = {
    Credential.WRONG: Reason.WRONG_PASSWORD,
    Credential.MISSING: Reason.PASSWORD_MISSING,
    Credential.UNSUPPORTED: Reason.METHOD_UNSUPPORTED,
}
_SIGNED, _LEASED = explain.FLAG_SIGNED, explain.FLAG_LEASED
_EXHAUSTED = Decision(Reason.POOL_EXHAUSTED, None, inf)
_RIGHT = Credential.RIGHT
_new_tuple = tuple.__new__  # half the price of calling a NamedTuple by its name, for the two made per request
_BACKLOG_S = 0.1  # older than this on receipt, requests are piling up
_DISCARDS_TO_JOURNAL_PER_S = 20
_UNPROVEN_TO_JOURNAL_PER_S = 50  # what anybody can send must not push out what customers did
# Plain integers: looking up a member of an enum costs more than the comparison.
_MESSAGE_AUTHENTICATOR = 80
_SERVICE_FRAMED = b"\0\0\0\2"
_MS_CHAP_1 = 1
_ACCESS_REQUEST, _STATUS_SERVER = int(Code.ACCESS_REQUEST), int(Code.STATUS_SERVER)
_ACCEPT, _REJECT = int(Code.ACCESS_ACCEPT), int(Code.ACCESS_REJECT)


class Logins(Protocol):
    """Where compiled logins are found: the replica, within one wake-up's snapshot."""

    @property
    def complete(self) -> bool:
        """Whether every login of the database was loaded, so that an unknown one is really unknown."""

    def login(self, key: bytes) -> bytes | None:
        """Return the record under a folded name."""

    def login_by_mac(self, mac: bytes) -> bytes | None:
        """Return the record of the login that authenticates by this device's address."""


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
        utc_offset_s: Callable[[str, float], int],
        must_wait: Callable[[LoginFacts, Grant], bool] | None = None,
        addresses: Addresses | None = None,
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
            utc_offset_s: tells the offset of a zone at an instant.
            must_wait: tells which grants of a branch that refuses simultaneous use need what is not in the replica.
            addresses: finds what comes from pools of ours; None: nothing does.
        """
        self._logins = logins
        self._hood = neighbourhood
        self._peer_at = neighbourhood.peers.get
        self._journal = journal
        self._learned = learned
        self._proof = Proof(neighbourhood, learned, first_salt=first_serial)
        self._cells = cells
        self._decided_at = decided_at
        self._slot = slot
        self._rejects = {reason: reject_attributes(reject_messages.get(reason, "")) for reason in Reason}
        self._refusals = Refusals(reject_messages)
        self._rules = Rulebook(utc_offset_s)
        self._must_wait = must_wait or _nothing_waits
        self._addresses = addresses
        self._lease = addresses.lease if addresses is not None else _nothing_leased
        self.starts = StartWatch(neighbourhood)
        self.copies = Copies(neighbourhood)
        self._signer = ClassSigner(b"", node=0, slot=slot, serial=first_serial)  # nothing is granted before load()
        self._loaded = False
        self._name_key = b""
        self.status_answered = 0
        self.unwritten = 0  # decisions on what proved nothing, for which the journal had no room in their second
        self._discards_to_journal = _DISCARDS_TO_JOURNAL_PER_S
        self._unproven_to_journal = _UNPROVEN_TO_JOURNAL_PER_S

    def load(self, tables: Tables, now_s: float) -> list[str]:
        """Take over new tables. Returns what could not be taken over, in words."""
        problems = self._rules.load(tables, now_s)
        problems += self._hood.load(tables.nases, tables.routers, now_s, tables.class_key)
        if not self._loaded or (tables.class_key, tables.node_number) != (self._name_key, self._signer.node):
            self._loaded = True
            self._name_key = tables.class_key
            self._signer = ClassSigner(
                tables.class_key, node=tables.node_number, slot=self._slot, serial=self._signer.serial
            )
        return problems

    @property
    def own_pools(self) -> dict[int, PoolRow]:
        """The pools whose addresses are given out here."""
        return self._rules.book.ours

    def answer(self, data: bytes, source: Source, arrived_s: float, now_s: float) -> Answer:
        """Answer one datagram, or say why there is none."""
        peer = self._peer_at(source) or self._hood.new_peer(source, now_s)
        if peer is None:
            return Discard.UNKNOWN_NAS if self._loaded else Discard.NO_REPLICA
        layouts = peer.nas.layouts
        layout = layouts.find(data)
        if layout is None:
            try:
                length = packet_length(data)
                if data[0] != _ACCESS_REQUEST:
                    return self._status(data, length, source, peer, arrived_s, now_s)
                layout = Layout(data, length)
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
            dropped = self.copies.backlogged(data, peer, arrived_s, now_s)
            if dropped is not None:
                return self._discard(dropped, data, layout, peer, now_s)

        identifier = data[layout.identifier]
        router = peer.router
        if router is None or router.identifier != identifier or not router.is_kept:
            router = self._hood.router(peer, identifier)
        router.statistics.requests += 1
        keys = self._proof.signature(data, layout, router, now_s)
        if keys.__class__ is Discard:  # isinstance of an enum takes three times as long
            return self._discard(keys, data, layout, peer, now_s)
        if not layout.is_kept:
            layouts.keep(layout, data)
        if keys is not None and not peer.is_proven:
            self._hood.admit(source, peer)
        peer.heard_at_s = now_s
        if copy is not None and copy.reply != GIVEN_UP:
            return self.copies.again(data, peer, router, copy, signed=keys is not None)
        request = _new_tuple(Request, (data, layout, authenticator, source, peer, router, keys, arrived_s))
        return self._access(request, now_s)

    def _access(self, request: Request, now_s: float) -> Answer:
        """Find the login, verify the password, decide."""
        data, layout = request.data, request.layout
        nas = request.router.nas
        name = data[layout.name]
        if not name:
            return self._refuse_name(request, name, Reason.NAME_INVALID, now_s)
        folded = fold_name(name)
        is_administration = data[layout.service_type] != _SERVICE_FRAMED and nas.kind.administration.fits(
            data, layout.positions
        )
        if is_administration:
            administrator = self._rules.administrator(folded, nas.nas_id)
            if administrator is not None:
                return self._administer(request, folded, administrator, now_s)
        record = self._logins.login(folded)
        if record is None:
            record = lookup.find_otherwise(self._logins, folded, self._rules.policy(nas.branch_id))
        if record is None:
            if not self._logins.complete:
                return Discard.NO_REPLICA
            return self._refuse_name(request, name, Reason.UNKNOWN_LOGIN, now_s)
        try:
            login = decode(record)
        except ReplicaError:
            return self._refuse_login(request, login_id_of(record), b"", Reason.RECORD_DAMAGED, now_s)
        if is_administration:  # rule R2.5: no password of a customer opens a router
            reason = Reason.NOT_FOR_ROUTER_ADMINISTRATION
            return self._refuse_login(request, login.login_id, public_part(record), reason, now_s)
        proven = self._proof.credential(request, login, now_s)
        rules = self._rules
        policy = rules.policies.get(login.branch_id) or rules.general
        decision = decide(login, rules.plans, policy, proven.credential, request, now_s)
        grant = decision.grant
        if policy.simultaneous_refuse and grant is not None and self._must_wait(login, grant):
            self.copies.remember(request, None)
            return Pending(request, proven, login, record, decision)
        return self._finish(request, proven, login, record, decision, now_s)

    def finish(
        self, request: Request, proven: Proven, login: LoginFacts, record: bytes, decision: Decision, now_s: float
    ) -> bytes | Want:
        """Make the reply of a decision that had to wait; if the rules changed meanwhile, by those of now."""
        rules, grant = self._rules, decision.grant
        if grant is not None and not rules.is_current(grant):
            policy = rules.policy(login.branch_id)
            decision = decide(login, rules.plans, policy, proven.credential, request, now_s)
            if decision.grant is not None and decision.grant.state == grant.state:
                kept = decision.grant._replace(ipv4=grant.ipv4, leases=grant.leases)
                decision = decision._replace(grant=kept)
        return self._finish(request, proven, login, record, decision, now_s)

    def leased(self, want: Want, now_s: float) -> bytes | Want | Discard:
        """Make the reply of a login whose addresses were claimed; or what has to be claimed instead."""
        request, proven, login, record, decision, pools = want.context
        assert self._addresses is not None
        assert decision.grant is not None
        found = self._addresses.settle(want, login, decision.grant, pools, now_s)
        if found.__class__ is Want:
            return want
        if found is Lack.IMPOSSIBLE:
            self.copies.give_up(request)
            return self._discard(Discard.CLAIM_IMPOSSIBLE, request.data, request.layout, request.peer, now_s)
        if found is Lack.EXHAUSTED:
            decision = _EXHAUSTED
        else:
            decision = _new_tuple(Decision, (decision.reason, found, decision.until_s))
        return self.finish(request, proven, login, record, decision, now_s)

    def _finish(
        self, request: Request, proven: Proven, login: LoginFacts, record: bytes, decision: Decision, now_s: float
    ) -> bytes | Want:
        """Make, sign and remember the reply of a decision; write down what was decided and why."""
        # Taken apart at once: a look-up for each use would cost three times as much.
        data, layout, authenticator, _, peer, router, signed_by, arrived_s = request
        reason, grant, until_s = decision
        credential, keys, mschap = proven
        login_id = login.login_id
        states = proxy_states(data, layout.length) if layout.has_proxy_state else b""
        # A device's address without a password is no proof: anybody can send it (rule R3.4).
        proves = signed_by is not None or (credential is _RIGHT and login.password)
        if grant is not None:
            try:
                nas, kind = router.nas, router.nas.kind
                template = self._rules.template(kind, grant, nas.pools, nas.terms)
                if template.pools is not None and grant.leases is None:
                    leased = self._lease(request, login, grant, template.pools, now_s)
                    if isinstance(leased, Want):
                        return self._waiting(leased, (request, proven, login, record, decision, template.pools))
                    grant = leased
                kept, checksum, has_secret = accept_attributes(kind, template, grant, login_id, layout.is_ppp, now_s)
            except (ValueError, OverflowError):
                reason, grant = reason_unsaid(login, grant, now_s), None
            else:
                kept = kept if mschap is None or mschap.version != _MS_CHAP_1 else with_strong_types(kept)
                plan_id = grant.plan.plan_id
                said = self._signer.class_attribute(login_id, login.contract_id, plan_id, checksum) + kept
                if mschap is not None:
                    said += self._proof.success_attributes(request, proven, with_keys=True)
                if has_secret:
                    kept = without_secrets(kept)
                if len(said) + len(states) > _ATTRIBUTES_MAX:
                    reason, grant = Reason.REPLY_TOO_LONG, None
        is_proven = router.last_heard_s >= arrived_s  # the router proved its secret since this was sent
        if grant is None:
            code, (said, kept), leases = _REJECT, self._reject_attributes(request, reason), None
            router.statistics.refused += 1
            self._learned.login_refused(login_id, reason, now_s)
        else:
            code = _ACCEPT
            router.statistics.granted += 1
            if layout.session_id is not None:
                self.starts.accepted(router, data[layout.session_id], now_s, is_proven)
            elif not is_proven:
                router.accepted_unwatched(now_s)
            learns = login.flags & template.learn_flags
            leases = grant.leases
            if learns or grant.extras is not None or (leases is not None and leases.has_more):
                self._note_grant(request, login, grant, learns if proves else 0, now_s)
        reply = keys.signed_reply(code, data[1], authenticator, _joined(said, states) if states else said)
        peer.remembered[data[1]] = _new_tuple(Remembered, (authenticator, reply, arrived_s, is_proven))
        self._cells[self._decided_at[reason]] += 1
        if proves or self._has_room():
            asked = layout.public_attributes(data)
            facts = record[:HEAD_SIZE] if login.extras is None else public_part(record)
            flags = 0 if signed_by is None else _SIGNED
            asked = asked if proves else explain.bounded(asked)
            queued_s, key = now_s - arrived_s, router.journal_key
            flags, key = (flags, key) if leases is None else (flags | _LEASED, key + leases.noted)
            body = explain.encode(reason, credential, flags, queued_s, key, facts, asked, kept, until_s)
            self._journal.append(login_id, now_s, body)
        return reply

    def _waiting(self, want: Want, decided: Leasing) -> Want:
        """Let a request wait for its addresses; copies join it."""
        self.copies.remember(decided[0], None)
        want.context = decided
        return want

    def _note_grant(self, request: Request, login: LoginFacts, grant: Grant, learns: int, now_s: float) -> None:
        """Tell of IPv6 prefixes, as RouterOS's accounting may leave them out; learn what is to be learned."""
        told = granted_record(grant, self._signer.node, self._slot, self._signer.serial, login.login_id, now_s)
        if told is not None:
            self._learned.granted(told)
        if learns:
            self._learned.bindings_seen(login, learns, request, now_s)

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

    def _discard(self, cause: Discard, data: bytes, layout: Layout, peer: Peer, now_s: float) -> Discard:
        """Let `why` know of a request of a known login that gets no answer; so many a second, the rest is counted."""
        name = data[layout.name]
        if self._discards_to_journal > 0 and name:
            record = self._logins.login(fold_name(name))
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
                        public_part(record) if _is_readable(record) else b"",
                        explain.bounded(layout.public_attributes(data)),
                    ),
                )
        return cause

    def _has_room(self) -> bool:
        """Tell whether another decision on what proved nothing may be written down in this second; else count it."""
        if self._unproven_to_journal <= 0:
            self.unwritten += 1
            return False
        self._unproven_to_journal -= 1
        return True

    # --- what is said -------------------------------------------------------------------------------------------

    def _reject_attributes(self, request: Request, reason: Reason) -> tuple[bytes, bytes]:
        """Return what a Reject says, and of that what a journal may keep: no octets of MS-CHAP."""
        said = self._rejects[reason]
        if request.layout.microsoft:
            return said + self._refusals.attribute(request.data, request.layout, reason), said
        return said, said

    def _administer(self, request: Request, name: bytes, administrator: AdministratorRow, now_s: float) -> bytes:
        """Answer a router administrator (rule R2.5): his group, and nothing of what a subscriber gets."""
        proven = self._proof.administrator(request, administrator, now_s)
        reason = _ADMINISTRATOR_REFUSALS.get(proven.credential, Reason.GRANTED_ROUTER_ADMINISTRATOR)
        said = b""
        if reason.is_grant:
            try:
                said = administrator_attributes(request.router.nas.kind, administrator.group)
            except ValueError:
                reason = Reason.NOT_FOR_ROUTER_ADMINISTRATION
        if reason.is_grant:
            code, kept = _ACCEPT, said
            said = self._signer.class_attribute(0, 0, 0, crc32(said)) + said
            said += self._proof.success_attributes(request, proven, with_keys=False)
            request.router.statistics.granted += 1
        else:
            code, (said, kept) = _REJECT, self._reject_attributes(request, reason)
            request.router.statistics.refused += 1
            self._learned.name_refused(request.router, reason, name, now_s)
        self._note(request, explain.subject_of_name(name, self._name_key), reason, proven.credential, kept, now_s)
        return self._signed(request, proven.keys, code, said, reason)

    def _refuse_name(self, request: Request, name: bytes, reason: Reason, now_s: float) -> bytes:
        """Refuse a request whose login is not known."""
        self._learned.name_refused(request.router, reason, name, now_s)
        said, kept = self._reject_attributes(request, reason)
        subject = explain.subject_of_name(fold_name(name), self._name_key)
        self._note(request, subject, reason, 0, kept, now_s, unknown_name=name)
        request.router.statistics.refused += 1
        return self._signed(request, request.keys or request.router.proven, _REJECT, said, reason)

    def _refuse_login(self, request: Request, login_id: int, facts: bytes, reason: Reason, now_s: float) -> bytes:
        """Refuse a known login before its password was looked at, as for a permanent fault of it (rule R3.1)."""
        self._learned.login_refused(login_id, reason, now_s)
        said, kept = self._reject_attributes(request, reason)
        self._note(request, login_id, reason, 0, kept, now_s, facts=facts)
        request.router.statistics.refused += 1
        return self._signed(request, request.keys or request.router.proven, _REJECT, said, reason)

    def _signed(self, request: Request, keys: SecretKeys, code: int, said: bytes, reason: Reason) -> bytes:
        """Sign, remember and count a reply that was made without facts of a login."""
        if request.layout.has_proxy_state:
            said = _joined(said, proxy_states(request.data, request.length))
        reply = keys.signed_reply(code, request.data[1], request.authenticator, said)
        self.copies.remember(request, reply)
        self._cells[self._decided_at[reason]] += 1
        return reply

    def _note(
        self,
        request: Request,
        subject: int,
        reason: Reason,
        credential: int,
        kept: bytes,
        now_s: float,
        *,
        facts: bytes = b"",
        unknown_name: bytes | None = None,
    ) -> None:
        """Write down a decision that was made without facts of a login, or without all of them."""
        proves = request.keys is not None or credential == _RIGHT
        if not (proves or self._has_room()):
            return
        data, length = request.data, request.length
        flags = explain.FLAG_SIGNED if request.keys is not None else 0
        if unknown_name is None:
            attributes = request.layout.public_attributes(data)
        else:
            flags |= explain.FLAG_NAME_MASKED
            attributes = explain.masked_attributes(data, length, unknown_name)
        if not proves:
            attributes = explain.bounded(attributes)
        queued_s = now_s - request.arrived_s
        key = request.router.journal_key
        body = explain.encode(reason, credential, flags, queued_s, key, facts, attributes, kept)
        self._journal.append(subject, now_s, body)

    def tick(self, now_s: float) -> None:
        """Once a second: forget what no NAS asks for any more, and begin the second's allowances anew."""
        self._hood.forget_idle(now_s, REPLY_TTL_S)
        self._discards_to_journal = _DISCARDS_TO_JOURNAL_PER_S
        self.copies.begin_second()
        self._unproven_to_journal = _UNPROVEN_TO_JOURNAL_PER_S
        self._rules.keep_time(now_s)


def _joined(attributes: bytes, states: bytes) -> bytes:
    """Return a reply's attributes and the Proxy-States behind them; where both do not fit, the latter alone.

    They always fit alone, because the request that had them was as long. Their sender needs them (RFC 2865, 5.33).
    """
    return attributes + states if len(attributes) + len(states) <= _ATTRIBUTES_MAX else states


def _nothing_waits(_: LoginFacts, __: Grant) -> bool:
    return False


def _nothing_leased(_: Request, __: LoginFacts, grant: Grant, ___: GrantPools, ____: float) -> Grant | Want:
    return grant


def _is_readable(record: bytes) -> bool:
    try:
        decode(record)
    except ReplicaError:
        return False
    return True
