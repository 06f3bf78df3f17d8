"""What one node can say about a login: what it decided, and what it would decide now (rule R9.3).

Past decisions come from the journal with the facts they were made from, never recomputed. Apart from them stands
what `decide` says now, on this node's replica, to somebody with the right password. Asks no database.
"""

import asyncio
from collections.abc import Iterable, Iterator
from math import inf

import msgspec

from aaad.clock import wall_s
from aaad.daemon.account import Account, account_of
from aaad.daemon.discards import Discards, RecentDiscards
from aaad.daemon.node_facts import NodeFacts, NodeFiles
from aaad.daemon.router_facts import UnknownSource
from aaad.daemon.router_problems import RouterProblem, find_router_problems
from aaad.errors import AaadError, ReplicaError
from aaad.journal import Entry, JournalReader
from aaad.policy.calendar import zone_offset_s
from aaad.policy.codes import GrantState, Reason
from aaad.policy.facts import LoginFacts
from aaad.policy.parameters import GENERAL, compile_policies
from aaad.radius.explain import explain, subject_of_login, subject_of_name
from aaad.radius.lookup import find, mac_number
from aaad.radius.simulation import AskedFacts, simulate
from aaad.replica.record import Tables, decode, fold_name, login_id_of
from aaad.words import Language, customer_text

ENTRIES_MAX = 100
"""Most decisions of one answer: a person reads it."""


class PastDecision(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the journal. `problem` is set, and little else, if it cannot be read by this version."""

    at_s: float
    slot: str
    reason: str = ""  # label of a Reason; empty when there was no answer
    discard: str = ""  # label of a Discard; empty when there was an answer
    nas: str = ""
    nas_id: int = 0
    source_address: str = ""
    nas_identifier: str = ""
    nas_port_id: str = ""
    user_name: str = ""
    calling_station_id: str = ""
    called_station_id: str = ""
    acct_session_id: str = ""
    is_signed: bool = False  # the request carried a verified Message-Authenticator
    queued_s: float = 0.0
    is_ppp: bool = True
    account: Account | None = None
    reply: list[tuple[str, str]] = []  # what was said: names and values, without session keys
    pools: list[str] = []  # names of our own pools that its addresses were from
    until_s: float | None = None  # when the same facts would have decided otherwise; None: never
    problem: str = ""


class PresentDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What would be decided now, given the right password."""

    reason: str
    account: Account
    is_grant: bool = False
    plan: str = ""  # the one that holds: the login's own, or that for who is late or used up the cap
    state: str = ""  # full, notice or blocked; empty for a refusal
    reply: list[tuple[str, str]] = []
    pools: list[str] = []  # of ours, that it would get addresses from
    until_s: float | None = None
    at: str = ""  # the concentrator that it was decided for
    is_as_last: bool = False  # asked as the last request did; else as the login's bindings want it
    problems: list[str] = []  # what of the tables cannot be used


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """How somebody asks who is not there; None: as the login's bindings want it."""

    nas: str = ""  # the name of the NAS entry, instead of its number
    nas_id: int = 0
    kind: str = "mikrotik"  # of concentrator, where no entry is named
    mac: int | None = None
    port_id: str | None = None
    circuit_id: str | None = None
    is_ppp: bool = True
    is_as_last: bool = False  # taken from the last request


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """A node's answer to `simulate-login`."""

    node: str
    is_complete: bool
    login_id: int  # 0: this node knows no such login
    nas_names: list[str]  # the entries there are, for who named another
    decision: PresentDecision | None  # None also for a record that is damaged


class Testimony(msgspec.Struct, frozen=True, kw_only=True):
    """A node's answer to `why`."""

    node: str
    is_complete: bool  # False: the node has no complete replica, so "unknown" means nothing
    replica_age_s: float | None
    login_id: int  # 0: this node knows no login of this name
    now: PresentDecision | None
    past: list[PastDecision]  # newest first
    journal_since_s: float | None  # Unix seconds of the oldest entry kept; None: nothing is kept
    discarded: Discards = Discards()  # what never got as far as the journal
    router_problems: list[RouterProblem] = []
    unknown_sources: list[UnknownSource] = []  # who asks and is no concentrator


class Witness:
    """Answers for one node. One task at a time may ask it, since a replica reader has one transaction."""

    def __init__(self, node: str, files: NodeFiles, journal: JournalReader, language: Language) -> None:
        """Speak for a node by its files; `language` is that in which customers are told why they are refused."""
        self._language = language
        self._node = node
        self._files = files
        self._journal = journal
        self._discards = RecentDiscards()
        self._turn = asyncio.Lock()

    def note(self, facts: NodeFacts) -> None:
        """Look at the counters now and then, to tell later what is recent."""
        self._discards.note(facts.counters, facts.at_s)

    async def testify(self, login: str, limit: int, login_id: int = 0) -> Testimony:
        """Return what this node knows about a login name; `login_id` helps a node without a replica."""
        name = fold_name(login.encode("utf-8", "surrogateescape"))
        limit = max(1, min(limit, ENTRIES_MAX))
        async with self._turn:
            tables, facts, owner_id = self._find(name)
            subjects = _subjects(name, tables, owner_id or login_id)
            entries, since_s = await asyncio.to_thread(self._search, subjects, limit)
        past = list(_read(entries, tables))
        now = None
        if tables is not None and facts is not None:
            now = present_decision(facts, tables, now_s=wall_s(), language=self._language, asked=_as_last(past))
        return Testimony(
            node=self._node,
            is_complete=tables is not None,
            replica_age_s=self._files.replica_age_s(wall_s()),
            login_id=owner_id,
            now=now,
            past=past,
            journal_since_s=since_s,
            discarded=self._discards.until(self._files.counters()),
            router_problems=[
                problem
                for problem in find_router_problems(self._files.routers(), wall_s())
                if problem.kind.costs_logins
            ],
            unknown_sources=self._files.unknown_sources(),
        )

    async def simulate(self, login: str, asked: Asked) -> Simulated:
        """Return what a login would be answered that asks in this way, with the right password."""
        async with self._turn:
            tables, facts, owner_id = self._find(fold_name(login.encode("utf-8", "surrogateescape")))
        names = {nas.name: nas.nas_id for nas in tables.nases} if tables else {}
        decision = None
        if tables is not None and facts is not None and (not asked.nas or asked.nas in names):
            how = msgspec.structs.replace(asked, nas_id=names.get(asked.nas, asked.nas_id))
            decision = present_decision(facts, tables, now_s=wall_s(), language=self._language, asked=how)
        return Simulated(
            node=self._node,
            is_complete=tables is not None,
            login_id=owner_id,
            nas_names=sorted(names),
            decision=decision,
        )

    def _find(self, name: bytes) -> tuple[Tables | None, LoginFacts | None, int]:
        """Return the tables, the login's facts, and whose record it is (0: nobody's), also a damaged one."""
        replica = self._files.replica
        try:
            replica.begin()
            tables = replica.tables()
            record = find(replica, name, compile_policies(tables.parameters, {})[GENERAL])
        except ReplicaError:
            return None, None, 0
        finally:
            replica.end()
        if record is None:
            return tables, None, 0
        owner_id = login_id_of(record)
        try:
            return tables, decode(record), owner_id
        except ReplicaError:
            return tables, None, owner_id

    def _search(self, subjects: Iterable[int], limit: int) -> tuple[list[Entry], float | None]:
        found = [entry for subject in subjects for entry in self._journal.find(subject, limit)]
        found.sort(key=lambda entry: -entry.at_s)
        return found[:limit], self._journal.oldest_at_s()


def present_decision(
    login: LoginFacts, tables: Tables, *, now_s: float, language: Language, asked: Asked | None = None
) -> PresentDecision:
    """Return what this login would get now with the right password.

    `asked`: how it asks; None: as its bindings want it.
    """
    how = asked or Asked()
    found = simulate(
        tables,
        login,
        now_s=now_s,
        utc_offset_s=zone_offset_s,
        nas_id=how.nas_id,
        kind=how.kind,
        asked=AskedFacts(how.nas_id or None, how.mac, how.port_id, how.circuit_id),
        is_ppp=how.is_ppp,
        reject_messages={reason: customer_text(reason, language) for reason in Reason},
    )
    grant = found.decision.grant if found.reason.is_grant else None
    return PresentDecision(
        reason=found.reason.label,
        account=account_of(login),
        is_grant=grant is not None,
        plan=grant.plan.name if grant else "",
        state=GrantState(grant.state).name.lower() if grant else "",
        reply=found.attributes,
        pools=found.pools if grant else [],
        until_s=_instant(found.decision.until_s),
        at=next((nas.name for nas in tables.nases if nas.nas_id == (how.nas_id or login.nas_id)), ""),
        is_as_last=how.is_as_last,
        problems=found.problems,
    )


def _instant(at_s: float) -> float | None:
    return at_s if 0 < at_s < inf else None


def _as_last(past: Iterable[PastDecision]) -> Asked | None:
    """Return how the newest request that is known asked."""
    for decision in past:
        if not decision.problem and decision.nas_id:
            mac = mac_number(decision.calling_station_id.encode())
            return Asked(
                nas_id=decision.nas_id,
                mac=mac or None,
                port_id=decision.nas_port_id or None,
                is_ppp=decision.is_ppp,
                is_as_last=True,
            )
    return None


def _subjects(name: bytes, tables: Tables | None, login_id: int) -> list[int]:
    """Return under what the journal may know this name: as a login, and as a name that was unknown then."""
    subjects = [subject_of_login(login_id)] if login_id else []
    if tables is not None:
        subjects.append(subject_of_name(name, tables.class_key))
    return subjects


def _read(entries: Iterable[Entry], tables: Tables | None) -> Iterator[PastDecision]:
    names = {nas.nas_id: nas.name for nas in tables.nases} if tables else {}
    pools = {pool.pool_id: pool.name for pool in tables.pools} if tables else {}
    for entry in entries:
        try:
            found = explain(entry.body)
        except (AaadError, ValueError) as error:  # another version wrote it
            yield PastDecision(at_s=entry.at_s, slot=entry.slot, problem=str(error))
            continue
        yield PastDecision(
            at_s=entry.at_s,
            slot=entry.slot,
            reason=found.reason.label if found.reason else "",
            discard=found.discard.label if found.discard else "",
            nas=names.get(found.nas_id, ""),
            nas_id=found.nas_id,
            source_address=found.source_address,
            nas_identifier=found.nas_identifier,
            nas_port_id=found.nas_port_id,
            user_name=found.user_name,
            calling_station_id=found.calling_station_id,
            called_station_id=found.called_station_id,
            acct_session_id=found.acct_session_id,
            is_signed=found.signed,
            queued_s=found.queued_s,
            is_ppp=found.is_ppp,
            reply=list(found.reply),
            pools=[pools.get(pool_id, f"#{pool_id}") for pool_id in found.pool_ids],
            until_s=_instant(found.until_s),
            account=account_of(found.facts) if found.facts else None,
        )
