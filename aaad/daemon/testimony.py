"""What one node can say about a login: what it decided, and what it would decide now (rule R9.3).

Past decisions come from the journal with the facts they were made from, never recomputed. Apart from them stands
what `decide` says now, on this node's replica, to somebody with the right password. Asks no database.
"""

import asyncio
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

import msgspec

from aaad.clock import wall_s
from aaad.daemon.discards import Discards, RecentDiscards
from aaad.daemon.node_facts import NodeFacts, NodeFiles
from aaad.daemon.router_problems import RouterProblem, find_router_problems
from aaad.errors import AaadError, ReplicaError
from aaad.journal import Entry, JournalReader
from aaad.policy.codes import Credential
from aaad.policy.decide import decide
from aaad.policy.facts import LoginFacts
from aaad.radius.explain import explain, subject_of_login, subject_of_name
from aaad.replica.record import Tables, decode, fold_name, login_id_of

ENTRIES_MAX = 100
"""Most decisions of one answer: a person reads it."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Identifiers and statuses of a login as a decision saw them; never a secret."""

    login_id: int
    contract_id: int
    client_id: int
    plan_id: int
    branch_id: int
    flags: int
    contract_status: int
    access_status: int
    ipv4: str  # empty: none


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
    account: Account | None = None
    problem: str = ""


class PresentDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What would be decided now, given the right password."""

    reason: str
    account: Account
    plan: str = ""
    rate: str = ""  # upload/download


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


class Witness:
    """Answers for one node. One task at a time may ask it, since a replica reader has one transaction."""

    def __init__(self, node: str, files: NodeFiles, journal: JournalReader) -> None:
        """Speak for a node by its files."""
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
            tables, now, owner_id = self._present(name)
            subjects = _subjects(name, tables, owner_id or login_id)
            past, since_s = await asyncio.to_thread(self._search, subjects, limit)
        return Testimony(
            node=self._node,
            is_complete=tables is not None,
            replica_age_s=self._files.replica_age_s(wall_s()),
            login_id=owner_id,
            now=now,
            past=list(_read(past, tables)),
            journal_since_s=since_s,
            discarded=self._discards.until(self._files.counters()),
            router_problems=[
                problem
                for problem in find_router_problems(self._files.routers(), wall_s())
                if problem.kind.costs_logins
            ],
        )

    def _present(self, name: bytes) -> tuple[Tables | None, PresentDecision | None, int]:
        """Return the tables, what would be decided now, and whose record it is (0: nobody's), also a damaged one."""
        replica = self._files.replica
        try:
            replica.begin()
            tables = replica.tables()
            record = replica.login(name)
        except ReplicaError:
            return None, None, 0
        finally:
            replica.end()
        if record is None:
            return tables, None, 0
        owner_id = login_id_of(record)
        try:
            return tables, present_decision(decode(record), tables), owner_id
        except ReplicaError:
            return tables, None, owner_id

    def _search(self, subjects: Iterable[int], limit: int) -> tuple[list[Entry], float | None]:
        found = [entry for subject in subjects for entry in self._journal.find(subject, limit)]
        found.sort(key=lambda entry: -entry.at_s)
        return found[:limit], self._journal.oldest_at_s()


def present_decision(login: LoginFacts, tables: Tables) -> PresentDecision:
    """Return what this login would get now with the right password."""
    plan = next((plan for plan in tables.plans if plan.plan_id == login.plan_id), None)
    decision = decide(login, plan, Credential.RIGHT)
    return PresentDecision(
        reason=decision.reason.label,
        account=_account(login),
        plan=plan.name if plan else "",
        rate=f"{plan.upload}/{plan.download}" if plan else "",
    )


def _subjects(name: bytes, tables: Tables | None, login_id: int) -> list[int]:
    """Return under what the journal may know this name: as a login, and as a name that was unknown then."""
    subjects = [subject_of_login(login_id)] if login_id else []
    if tables is not None:
        subjects.append(subject_of_name(name, tables.class_key))
    return subjects


def _read(entries: Iterable[Entry], tables: Tables | None) -> Iterator[PastDecision]:
    names = {nas.nas_id: nas.name for nas in tables.nases} if tables else {}
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
            account=_account(found.facts) if found.facts else None,
        )


def _account(login: LoginFacts) -> Account:
    return Account(
        login_id=login.login_id,
        contract_id=login.contract_id,
        client_id=login.client_id,
        plan_id=login.plan_id,
        branch_id=login.branch_id,
        flags=login.flags,
        contract_status=login.contract_status,
        access_status=login.access_status,
        ipv4=str(IPv4Address(login.ipv4)) if login.ipv4 else "",
    )
