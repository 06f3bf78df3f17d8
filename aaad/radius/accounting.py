"""The path of one datagram on the accounting port: from its octets to a record for the spool, and to its answer.

Pure: octets, arrival and `now` come in; a reply, a cause of silence, or a record comes out whose reply is already
made and is sent once the disk has confirmed it (RFC 2866, 2). If the disk refuses it there is no answer, and the next
copy is recorded anew. Whatever proves its secret is recorded: of disabled NASes, of unknown and blocked logins
(rule R2.4). What a NAS may have given up waiting for is recorded and answered all the same: a record is never too
late to be true, and an answer that nobody waits for harms nobody.

What cannot be recorded at all (an Acct-Status-Type that is none of a session or restart, a session without
Acct-Session-Id and Class of ours) is acknowledged and counted: no server and no later try would do better, and a NAS
that gets no answer takes the whole server for dead. What is malformed or not genuine is no request and gets none.

Standards: RFC 2866, 2 to 5; RFC 2869, 5.14; RFC 5080, 2.2.2 (copies); RFC 5997 (Status-Server).
Rules: R2.1, R2.2, R2.4, R3.2, R3.3, R4.6, R10.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from aaad.errors import MalformedPacket
from aaad.policy.codes import Discard
from aaad.radius.integrity import SecretKeys
from aaad.radius.layout import Layout
from aaad.radius.learned import Learned
from aaad.radius.packet import AUTHENTICATOR, Code, packet_length, proxy_states, walk
from aaad.radius.reply import ClassSigner
from aaad.radius.routers import Accounted, Neighbourhood, Peer, Router, Source
from aaad.radius.shares import Shares
from aaad.radius.starts import StartWatch
from aaad.replica.record import Tables
from aaad.spool.records import Accounting, encode

COPIES_TTL_S = 10.0  # RFC 5080, 2.2.2: at least 5 and at most 30 seconds
IN_WORK_MAX = 8_192  # records that wait for the disk: half of what the spool has room for
IN_WORK_OF_PEER_MAX = 1_024  # ... of one source port, which has 256 Identifiers
STRANGERS_PER_S = 1_000  # datagrams looked at of all addresses from which no secret was ever proven
_BACKLOG_S = 0.1  # older than this on receipt, datagrams are piling up
_BACKLOG_PER_S = 10_000  # what routers share in a backlog: below what one process records beside the logins
# Plain integers: looking up a member of an enum costs more than the comparison.
_ACCOUNTING_REQUEST, _ACCOUNTING_RESPONSE = int(Code.ACCOUNTING_REQUEST), int(Code.ACCOUNTING_RESPONSE)
_STATUS_SERVER, _MESSAGE_AUTHENTICATOR = int(Code.STATUS_SERVER), 80
_START = b"\0\0\0\1"
STATUSES = {
    _START: "start",
    b"\0\0\0\2": "stop",
    b"\0\0\0\3": "interim_update",
    b"\0\0\0\7": "accounting_on",
    b"\0\0\0\x08": "accounting_off",
}
"""The Acct-Status-Types that are recorded (RFC 2866, 5.1), and their names."""
_OF_SESSIONS = frozenset(list(STATUSES)[:3])
UNRECORDABLE = ("status_type", "session_id")
"""Of what there is none that could be recorded."""
_new_tuple = tuple.__new__


class Waiting(NamedTuple):
    """A record for the spool, and the reply to send once it is safe."""

    record: bytes
    reply: bytes
    authenticator: bytes
    status_type: bytes
    source: Source
    peer: Peer
    arrived_s: float

    def __repr__(self) -> str:
        """Show where it came from."""
        return f"Waiting(source={self.source!r}, length={len(self.record)})"


Answer = bytes | Discard | Waiting


class AccountingPath:
    """The accounting port of one radius process. One thread only."""

    def __init__(
        self,
        *,
        neighbourhood: Neighbourhood,
        learned: Learned,
        starts: StartWatch,
        is_recording: Callable[[], bool],
    ) -> None:
        """Wire the path.

        Args:
            neighbourhood: NASes, routers and peers, those of the authentication port.
            learned: what is to be written to PostgreSQL of routers that prove their secret.
            starts: waits for the sessions of Accepts.
            is_recording: tells whether a record would be taken now, by the disk or else by PostgreSQL.
        """
        self._hood = neighbourhood
        self._peer_at = neighbourhood.peers.get
        self._learned = learned
        self._starts = starts
        self._is_recording = is_recording
        self._signer = ClassSigner(b"", node=0, slot=0, serial=0)
        self._loaded = False
        self._left_for_strangers = STRANGERS_PER_S
        self._shares = Shares(_BACKLOG_PER_S)
        self.in_work = 0  # records that the disk has yet to confirm
        self.copies = 0  # answered as before, until the service counts them
        self.status_answered = 0
        self.unrecordable = dict.fromkeys(UNRECORDABLE, 0)  # acknowledged, but nothing is recorded

    def load(self, tables: Tables) -> None:
        """Take over the key of the cluster's Classes; the NASes are the authentication path's to load."""
        self._signer = ClassSigner(tables.class_key, node=0, slot=0, serial=0)
        self._loaded = True

    def answer(self, data: bytes, source: Source, arrived_s: float, now_s: float) -> Answer:
        """Answer one datagram, hand out its record, or say why there is neither."""
        peer = self._peer_at(source) or self._hood.new_peer(source, now_s)
        if peer is None:
            return Discard.UNKNOWN_NAS if self._loaded else Discard.NO_REPLICA
        if not peer.is_proven and not self._may_look_at(peer):
            return Discard.OVERLOAD
        layouts = peer.nas.accounting_layouts
        layout = layouts.find(data)
        if layout is None:
            try:
                length = packet_length(data)
                if data[0] != _ACCOUNTING_REQUEST:
                    return self._status(data, length, source, peer, now_s)
                layout = Layout(data, length)
            except MalformedPacket:
                return Discard.MALFORMED
        authenticator = data[AUTHENTICATOR]
        copy = peer.accounted.get(data[1])
        if copy is not None and copy.authenticator == authenticator:
            if copy.reply is None:
                return Discard.DUPLICATE_IN_WORK
            if now_s - copy.at_s < COPIES_TTL_S:
                self.copies += 1
                return copy.reply
        if now_s - arrived_s > _BACKLOG_S and not self._has_share(peer):
            return self._overload()

        identifier = data[layout.identifier]
        router = peer.router
        if router is None or router.identifier != identifier or not router.is_kept:
            router = self._hood.router(peer, identifier)
        keys = _proven(data, layout, router)
        if keys is None:
            router.statistics.accounting_bad_authenticators += 1
            router.statistics.bad_authenticators_at_s = now_s
            return Discard.BAD_MESSAGE_AUTHENTICATOR
        if not layout.is_kept:
            layouts.keep(layout, data)
        self._note(router, keys, now_s)
        if not peer.is_proven:
            self._hood.admit(source, peer)
        peer.heard_at_s = now_s
        return self._record(data, layout, authenticator, source, peer, router, keys, arrived_s, now_s)

    def _record(
        self,
        data: bytes,
        layout: Layout,
        authenticator: bytes,
        source: Source,
        peer: Peer,
        router: Router,
        keys: SecretKeys,
        arrived_s: float,
        now_s: float,
    ) -> Answer:
        """Make the record of a genuine request, and its reply."""
        states = proxy_states(data, layout.length) if layout.has_proxy_state else b""
        reply = keys.accounting_reply(data[1], authenticator, states)
        status_type = data[layout.status_type]
        session_at = layout.session_id
        session_id = b"" if session_at is None else data[session_at]
        has_own_class = self._is_own(data, layout.classes)
        if status_type == _START and session_id:
            self._starts.started(router, session_id)
        if status_type not in STATUSES or (status_type in _OF_SESSIONS and not session_id and not has_own_class):
            self.unrecordable["status_type" if status_type not in STATUSES else "session_id"] += 1
            peer.accounted[data[1]] = _new_tuple(Accounted, (authenticator, reply, now_s))
            return reply
        if self.in_work >= IN_WORK_MAX or peer.in_work >= IN_WORK_OF_PEER_MAX:
            return self._overload()
        nas = router.nas
        record = encode(
            Accounting(
                nas.nas_id,
                router.source_address,
                router.identifier,
                arrived_s,
                layout.public_attributes(data),
                has_own_class,
                nas.octets_swapped,
            )
        )
        peer.accounted[data[1]] = _new_tuple(Accounted, (authenticator, None, now_s))
        peer.in_work += 1
        self.in_work += 1
        return _new_tuple(Waiting, (record, reply, authenticator, status_type, source, peer, arrived_s))

    def recorded(self, waiting: Waiting, now_s: float) -> bytes:
        """Return the reply to a record that is safe now; copies get the same from now on."""
        peer = waiting.peer
        self.in_work -= 1
        peer.in_work -= 1
        reply = waiting.reply
        copy = peer.accounted.get(reply[1])
        if copy is not None and copy.authenticator == waiting.authenticator:
            peer.accounted[reply[1]] = _new_tuple(Accounted, (waiting.authenticator, reply, now_s))
        return reply

    def refused(self, waiting: Waiting) -> None:
        """Let the next copy of a request be recorded anew: nobody took this record."""
        peer, identifier = waiting.peer, waiting.reply[1]
        self.in_work -= 1
        peer.in_work -= 1
        copy = peer.accounted.get(identifier)
        if copy is not None and copy.authenticator == waiting.authenticator:
            del peer.accounted[identifier]

    def tick(self, now_s: float) -> None:
        """Once a second: begin the second's allowances anew, and count the sessions that did not begin."""
        self._left_for_strangers = STRANGERS_PER_S
        self._shares.begin_second()
        self._starts.tick(now_s)

    # --- what is proven -----------------------------------------------------------------------------------------

    def _note(self, router: Router, keys: SecretKeys, now_s: float) -> None:
        """Take note that a router proved its secret."""
        if (
            router.proven is not keys
            or not router.is_kept
            or now_s >= router.announce_at_s
            or keys.fingerprint != router.shared_fingerprint
        ):
            self._hood.keep(router, now_s, requests=0)
            router.prove(keys)
            self._learned.secret_proven(router, now_s)
        router.has_own_proof = True
        router.last_heard_s = now_s
        statistics = router.statistics
        statistics.accounting_heard += 1
        statistics.proven_at_s = now_s

    def _is_own(self, data: bytes, classes: Sequence[slice]) -> bool:
        """Tell whether one of these Class attributes is of this cluster (rule R4.6)."""
        for at in classes:  # noqa: SIM110  a generator would cost as much as the rest
            if self._signer.is_own(data[at]):
                return True
        return False

    def _status(self, data: bytes, length: int, source: Source, peer: Peer, now_s: float) -> Answer:
        """Answer Status-Server while accounting would be answered (rule R3.2, RFC 5997, 4.2)."""
        if data[0] != _STATUS_SERVER:
            return Discard.CODE_NOT_SERVED
        at = walk(data, length).get(_MESSAGE_AUTHENTICATOR)
        if not at:
            return Discard.MESSAGE_AUTHENTICATOR_MISSING  # RFC 5997, 3: it must be there
        for keys in peer.nas.keys:
            if keys.message_authenticator_fits(data, length, at):
                peer.heard_at_s = now_s
                if not peer.is_proven:
                    self._hood.admit(source, peer)
                if self.in_work >= IN_WORK_MAX or not self._is_recording():
                    return Discard.NOT_RECORDED
                self.status_answered += 1
                return keys.signed_reply(_ACCOUNTING_RESPONSE, data[1], data[AUTHENTICATOR], b"")
        return Discard.BAD_MESSAGE_AUTHENTICATOR

    # --- what is dropped ----------------------------------------------------------------------------------------

    def _may_look_at(self, peer: Peer) -> bool:
        """Take a datagram of an address that proved nothing off the second's allowance: addresses can be invented.

        What goes by unread must judge nobody.
        """
        if peer.source_address in self._hood.proven_addresses:
            return True
        self._left_for_strangers -= 1
        if self._left_for_strangers < 0:
            self._starts.forget(strangers_only=True)
        return self._left_for_strangers >= 0

    def _has_share(self, peer: Peer) -> bool:
        """Tell whether this source may still be served in a backlog; strangers are one source (rule R3.3)."""
        is_known = peer.source_address in self._hood.proven_addresses
        return self._shares.has_room_for(peer.source_address if is_known else "")

    def _overload(self) -> Discard:
        """Drop a datagram of somebody who is known: it may have been the Start that is waited for."""
        self._starts.forget()
        return Discard.OVERLOAD


def _proven(data: bytes, layout: Layout, router: Router) -> SecretKeys | None:
    """Return the secret that the Request Authenticator proves; what the router proved before is tried first.

    A Message-Authenticator need not be there, but must fit.
    """
    length = layout.length
    keys = router.proven
    if not keys.accounting_authenticator_fits(data, length):
        for keys in router.nas.keys:
            if keys is not router.proven and keys.accounting_authenticator_fits(data, length):
                break
        else:
            return None
    at = layout.signature_at
    return keys if at is None or keys.accounting_signature_fits(data, length, at) else None
