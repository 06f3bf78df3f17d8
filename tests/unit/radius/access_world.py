"""A small world around the access path: a replica of a few logins, one concentrator, lists of what was written."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from nas_double import SECRET, Reply, checked

from aaad.errors import ReplicaError
from aaad.policy.codes import Discard, LoginFlag, Reason
from aaad.policy.decide import is_conditional
from aaad.policy.facts import LoginFacts, PlanFacts, Speed
from aaad.policy.grant import Grant
from aaad.pools.recent import Recent
from aaad.pools.want import Want
from aaad.radius.access import AccessPath, Answer, Pending
from aaad.radius.addresses import Addresses
from aaad.radius.counters import RADIUS_COUNTERS, decided, positions_by_code
from aaad.radius.explain import Explanation, explain
from aaad.radius.learned import Learned
from aaad.radius.routers import Neighbourhood, Peer, Router
from aaad.replica.record import (
    AdministratorRow,
    BranchRow,
    NasRow,
    ParameterRow,
    PoolRow,
    RouterRow,
    Tables,
    decode,
    encode,
    fold_name,
)
from aaad.replica.snapshot import Snapshot
from aaad.spool.records import Record
from aaad.words import Language, customer_text

NOW_S = 1_800_000_000.0
SOURCE = ("192.0.2.1", 50_000)
CLASS_KEY = b"key of a cluster"
NT_HASH = bytes.fromhex("3e057cd123205aa168af5f121716b335")  # of wonderland; a test holds that it is
IN_ORDER = LoginFlag.LOGIN_ACTIVE | LoginFlag.CLIENT_ACTIVE
PLANS = [PlanFacts(5, "50 mega", Speed("25M", "50M"), 86400, 0, 300)]


def login(**changes: object) -> LoginFacts:
    """Login 1, alice with password wonderland, in order; with changes."""
    facts = LoginFacts(1, 2, 3, 5, 1, IN_ORDER, 2, 1, 0xC0000280, nt_hash=NT_HASH, password=b"wonderland")
    facts = facts._replace(**changes)
    return facts._replace(flags=facts.flags | LoginFlag.CONDITIONAL) if is_conditional(facts) else facts


def nas_row(nas_id: int = 1, address: str = "192.0.2.1/32", **changes: object) -> NasRow:
    """The concentrator's entry, with changes."""
    values = {
        "name": "bras-01",
        "secret": SECRET,
        "secret_previous": b"",
        "secret_previous_until_s": 0.0,
        "kind": "mikrotik",
        "enabled": True,
        "message_authenticator": "auto",
        "deadline_ms": 900,
        "branch_id": 1,
    } | changes
    return NasRow(nas_id=nas_id, address=address, **values)


class Replica:
    """Logins by folded name."""

    def __init__(self, logins: dict[bytes, LoginFacts | bytes], *, complete: bool = True) -> None:
        self.complete = complete
        self.records = {
            fold_name(name): facts if isinstance(facts, bytes) else encode(facts) for name, facts in logins.items()
        }

    def login(self, key: bytes) -> bytes | None:
        return self.records.get(key)

    def login_by_mac(self, mac: bytes) -> bytes | None:
        for record in self.records.values():
            with suppress(ReplicaError):
                login = decode(record)
                if login.flags & LoginFlag.IS_MAC_LOGIN and login.mac == int.from_bytes(mac, "big"):
                    return record
        return None


class Journal(list[tuple[int, float, bytes]]):
    """Entries as they were written."""

    def append(self, subject: int, at_s: float, body: bytes) -> None:  # type: ignore[override]
        super().append((subject, at_s, body))


class World:
    """One access path and all that it touches."""

    def __init__(
        self,
        logins: dict[bytes, LoginFacts | bytes] | None = None,
        *,
        nases: Sequence[NasRow] | None = None,
        routers: Sequence[RouterRow] = (),
        plans: Sequence[PlanFacts] = PLANS,
        complete: bool = True,
        loaded: bool = True,
        peers_max: int = 100,
        must_wait: Callable[[LoginFacts, Grant], bool] | None = None,
        leases: Mapping[int, bytes] | None = None,
        **tables: Any,
    ) -> None:
        self.replica = Replica({b"alice": login()} if logins is None else logins, complete=complete)
        self._always = {"simultaneous_refuse": "S"} if must_wait is not None else {}
        self.journal = Journal()
        self.learned = Learned()
        index = {name: position for position, name in enumerate(RADIUS_COUNTERS)}
        self.cells = [0] * len(index)
        self._index = index
        self.hood = Neighbourhood(peers_max=peers_max)
        self.leases = dict(leases or {})
        self.seen = Snapshot("100:100:")
        self.recent = Recent()
        self.addresses = Addresses(self.leases.get, lambda: self.seen, self.recent)
        self.path = AccessPath(
            logins=self.replica,
            neighbourhood=self.hood,
            journal=self.journal,
            learned=self.learned,
            cells=self.cells,
            decided_at=positions_by_code(index, Reason),
            slot=1,
            first_serial=1000,
            reject_messages={reason: customer_text(reason, Language.PORTUGUESE) for reason in Reason},
            utc_offset_s=lambda time_zone, at_s: -10_800,
            must_wait=must_wait,
            addresses=self.addresses,
        )
        if loaded:
            self.load(nases=nases, routers=routers, plans=plans, **tables)

    def load(
        self,
        *,
        nases: Sequence[NasRow] | None = None,
        routers: Sequence[RouterRow] = (),
        plans: Sequence[PlanFacts] = PLANS,
        parameters: Mapping[str, str] | None = None,
        administrators: Sequence[AdministratorRow] = (),
        pools: Sequence[PoolRow] = (),
        class_key: bytes = CLASS_KEY,
        node_number: int = 3,
        now_s: float = NOW_S,
    ) -> list[str]:
        """Give the path new tables."""
        nases = [nas_row()] if nases is None else nases
        tables = Tables(
            1,
            list(nases),
            list(routers),
            list(plans),
            [ParameterRow(name, 0, value) for name, value in (self._always | dict(parameters or {})).items()],
            class_key,
            node_number,
            [BranchRow(1, "America/Sao_Paulo")],
            list(administrators),
            pools=list(pools),
        )
        return self.path.load(tables, now_s)

    def answer(
        self, data: bytes, *, source: tuple = SOURCE, arrived_s: float | None = None, now_s: float = NOW_S
    ) -> Answer:
        """Answer one datagram that arrived just now."""
        return self.path.answer(data, source, now_s if arrived_s is None else arrived_s, now_s)

    def reply(self, data: bytes, *, secret: bytes = SECRET, **when: object) -> Reply:
        """Answer one datagram with a reply that a concentrator of this secret believes."""
        return checked(self.answer(data, **when), data, secret)

    def counted(self, reason: Reason) -> int:
        """How many decisions were counted for a reason."""
        return self.cells[self._index[decided(reason)]]

    @property
    def router(self) -> Router:
        """The only router; what proved nothing counts for its address."""
        (router,) = {id(peer.router): peer.router for peer in self._peers() if peer.router}.values()
        return router

    def _peers(self) -> list[Peer]:
        return [*self.hood.peers.values(), *self.hood.unproven_peers.values()]

    def records(self) -> list[Record]:
        """Everything learned so far."""
        return self.learned.take(everything=True)

    def explained(self) -> Explanation:
        """The last entry of the journal."""
        return explain(self.journal[-1][2])

    def check_decided(
        self, data: bytes, reason: Reason, *, subject: int | None = 1, secret: bytes = SECRET, **when: object
    ) -> Reply:
        """One datagram is answered for this reason, counted once, and the journal says the same."""
        before, entries = self.counted(reason), len(self.journal)
        reply = self.reply(data, secret=secret, **when)
        assert reply.code == (2 if reason.is_grant else 3)
        assert self.counted(reason) == before + 1
        assert sum(self.cells) == self.counted_in_all()
        assert len(self.journal) == entries + 1
        if subject is not None:
            assert self.journal[-1][0] == subject
        assert self.explained().reason is reason
        return reply

    def counted_in_all(self) -> int:
        """How many decisions were counted."""
        return sum(self.counted(reason) for reason in Reason)

    def check_silent(self, data: bytes, cause: Discard, **when: object) -> None:
        """One datagram gets no answer for this cause and changes no count of decisions."""
        before = self.counted_in_all()
        assert self.answer(data, **when) is cause
        assert self.counted_in_all() == before

    def pending(self, data: bytes, **when: object) -> Pending:
        """One datagram whose grant has to be claimed."""
        answer = self.answer(data, **when)
        assert isinstance(answer, Pending)
        return answer

    def wanting(self, data: bytes, **when: object) -> Want:
        """One datagram whose login needs an address that it has not."""
        answer = self.answer(data, **when)
        assert isinstance(answer, Want)
        return answer
