"""What the feed reads of PostgreSQL, as values: where it stands, what changed, the rows themselves.

Every function that reads does so within the caller's one transaction, so all that it returns belongs to one snapshot.
Decides nothing; the one thing that it writes is what this node has applied.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from aaad.db.connection import Queries, Row
from aaad.db.statements import load_statements
from aaad.errors import StoreError
from aaad.replica.brake import Acceptance
from aaad.replica.compile import DIGEST_MASK, CompiledLogin, LoginChange, compile_login
from aaad.replica.compile_tables import (
    compile_administrator,
    compile_branch,
    compile_nas,
    compile_parameter,
    compile_plans,
    compile_pool,
    compile_router,
    compile_rows,
)
from aaad.replica.layout import LOGIN_IDS, ReplicaMeta
from aaad.replica.record import Tables, UnusableRow

STATEMENTS = load_statements(Path(__file__).with_name("queries.sql"))
_Value = TypeVar("_Value")
TOO_MANY_CHANGES = "too many changes to follow one by one"
ROWS_PER_READ = 2000  # of logins at a time: some 15 ms of work between two looks at the loop
NAS_KINDS = frozenset({"nas", "nas_secret"})
TABLE_KINDS = NAS_KINDS | frozenset(
    {
        "router",
        "plan",
        "plan_phase",
        "plan_attribute",
        "parameter",
        "branch",
        "setting",
        "router_administrator",
        "pool",
    }
)
TERM_KINDS = frozenset({"plan", "plan_phase", "parameter", "branch"})
LOGIN_KINDS = frozenset({"login", "contract", "client"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where PostgreSQL stands in this transaction."""

    snapshot: str
    system_identifier: str
    timeline: str
    at_s: float  # PostgreSQL's clock
    is_from_the_future: bool  # the snapshot asked about is newer than PostgreSQL itself
    is_pruned: bool  # changes since the snapshot asked about are not in the log any more
    is_log_strange: bool  # a dump was restored: the log speaks of another cluster's transactions
    hold_state: str  # of the hold asked about; empty: there is no such row
    accepted_id: int  # the last accepted hold; 0: none

    def reason_to_resync(self, meta: ReplicaMeta) -> str:
        """Return why changes cannot be followed from where the replica stands; empty if they can."""
        if self.system_identifier != meta.system_identifier:
            return "this is another database"
        if self.is_log_strange:
            return "a dump was restored: the change log is another cluster's"
        if self.timeline != meta.timeline:
            return "PostgreSQL is on another timeline"
        if self.is_from_the_future:
            return "PostgreSQL is older than the replica"
        if self.is_pruned:
            return "changes since the last poll were pruned from the log"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What changed since a snapshot, before any row is read again."""

    kinds: frozenset[str]
    logins: dict[int, bool]  # login id -> whether every change of it passed a run's brake or was accepted
    are_nases_exempt: bool  # likewise for all changes of NAS entries
    are_terms_exempt: bool  # likewise of plans, parameters and branches
    leases_of: frozenset[int]  # logins that lost a lease which the ledger does not know for theirs any more
    is_too_many: bool
    impossible_ids: frozenset[int]  # left out: no store can hold them
    newest_at_s: float | None  # when the newest change's transaction began, by PostgreSQL's clock

    @property
    def reason_to_resync(self) -> str:
        """Why they cannot be followed one by one; empty if they can."""
        if self.is_too_many:
            return TOO_MANY_CHANGES
        return "a table was truncated" if "truncate" in self.kinds else ""


async def read_head(queries: Queries, snapshot: str | None, hold_id: int) -> Head:
    """Return where PostgreSQL stands; StoreError if it is a standby, whose snapshots would lose changes."""
    row = await queries.fetchrow(STATEMENTS["read_head"], snapshot, hold_id)
    if row is None:
        raise StoreError("net.change_horizon is empty")
    if row["is_standby"]:
        raise StoreError("this server is a standby: only the primary is followed")
    return Head(
        snapshot=row["snapshot"],
        system_identifier=row["system_identifier"],
        timeline=row["timeline"],
        at_s=row["at_s"],
        is_from_the_future=bool(row["is_from_the_future"]),
        is_pruned=bool(row["is_pruned"]),
        is_log_strange=row["is_log_strange"],
        hold_state=row["hold_state"] or "",
        accepted_id=row["accepted_id"],
    )


async def tell_snapshot(queries: Queries, meta: ReplicaMeta) -> str:
    """Let all nodes know what is applied here, once a power cut cannot take it back; returns the command's tag."""
    of_leases = meta.lease_snapshot  # the older of the two, so what it sees of all else is applied, too
    told = meta.node_number, of_leases, meta.system_identifier, meta.timeline
    return await queries.execute(STATEMENTS["tell_snapshot"], *told)


async def read_changes(queries: Queries, snapshot: str, limit: int) -> Changes:
    """Return what changed since a snapshot; more than `limit` rows of the log are too many to follow one by one."""
    rows = await queries.fetch(STATEMENTS["find_changes"], snapshot, limit)
    logins: dict[int, bool] = {}
    if sum(row["rows_count"] for row in rows) < limit:
        await _resolve_logins(queries, rows, logins)
    impossible_ids = frozenset(login_id for login_id in logins if login_id not in LOGIN_IDS)
    for login_id in impossible_ids:
        del logins[login_id]
    return Changes(
        kinds=frozenset(row["kind"] for row in rows),
        logins=logins,
        impossible_ids=impossible_ids,
        leases_of=frozenset(row["key"] for row in rows if row["kind"] == "lease" and row["key"] in LOGIN_IDS),
        are_nases_exempt={row["is_exempt"] for row in rows if row["kind"] in NAS_KINDS} == {True},
        are_terms_exempt={row["is_exempt"] for row in rows if row["kind"] in TERM_KINDS} == {True},
        is_too_many=sum(row["rows_count"] for row in rows) >= limit or len(logins) >= limit,
        newest_at_s=max((row["newest_at_s"] for row in rows), default=None),
    )


async def read_acceptance(queries: Queries, snapshot: str, limit: int) -> Acceptance | None:
    """Return what the last accepted hold lets through at a node that had seen `snapshot`.

    None if there is none, or if what changed since it cannot be told row by row: then everything is asked anew.
    """
    row = await queries.fetchrow(STATEMENTS["find_acceptance"], snapshot)
    if row is None or not row["is_followed"]:
        return None
    since = await read_changes(queries, row["snapshot"], limit)
    if since.is_too_many or "truncate" in since.kinds:
        return None
    return Acceptance(
        changed_logins=since.logins.keys(),
        has_nas_changes=not NAS_KINDS.isdisjoint(since.kinds),
        has_term_changes=not TERM_KINDS.isdisjoint(since.kinds),
        covers_unseen=bool(row["covers_unseen"]),
    )


async def _resolve_logins(queries: Queries, rows: Iterable[Row], logins: dict[int, bool]) -> None:
    """Fill in the logins of changed logins, contracts and clients."""
    changed: dict[str, dict[int, bool]] = {kind: {} for kind in LOGIN_KINDS}
    for row in rows:
        if row["kind"] in LOGIN_KINDS:
            changed[row["kind"]][row["key"]] = row["is_exempt"]
    logins.update(changed["login"])
    contracts, clients = changed["contract"], changed["client"]
    if not contracts and not clients:
        return
    for row in await queries.fetch(STATEMENTS["find_logins_of"], list(contracts), list(clients)):
        login_id = row["login_id"]
        is_exempt = contracts.get(row["contract_id"], True) and clients.get(row["client_id"], True)
        logins[login_id] = logins.get(login_id, True) and is_exempt


async def read_logins(queries: Queries, logins: dict[int, bool]) -> list[LoginChange]:
    """Read these logins again, by key."""
    login_ids = sorted(logins)
    changes: list[LoginChange] = []
    for start in range(0, len(login_ids), ROWS_PER_READ):
        chunk = login_ids[start : start + ROWS_PER_READ]
        rows = await queries.fetch(STATEMENTS["find_logins"], chunk)
        compiled = {row["login_id"]: compile_login(row) for row in rows}
        changes += (LoginChange(login_id, compiled.get(login_id), logins[login_id]) for login_id in chunk)
    return changes


async def read_exempt_logins(queries: Queries, snapshot: str) -> frozenset[int]:
    """Return the logins that only runs with a brake of their own have changed since a snapshot."""
    rows = await queries.fetch(STATEMENTS["find_exempt_logins"], snapshot)
    return frozenset(row["login_id"] for row in rows)


async def iterate_logins(queries: Queries) -> AsyncIterator[list[CompiledLogin]]:
    """Read every login in order of ids, so many at a time: memory does not grow with their number."""
    after = 0
    while rows := await queries.fetch(STATEMENTS["find_logins_after"], after, ROWS_PER_READ):
        after = rows[-1]["login_id"]
        yield [compile_login(row) for row in rows]


async def read_tables(queries: Queries, node_number: int) -> Tables:
    """Read the small tables whole. Their generation is 0: the store numbers them."""
    class_key = await queries.fetchrow(STATEMENTS["find_class_key"])
    unusable: list[UnusableRow] = []
    plans = compile_plans(
        await queries.fetch(STATEMENTS["find_plans"]),
        await queries.fetch(STATEMENTS["find_plan_phases"]),
        await queries.fetch(STATEMENTS["find_plan_attributes"]),
        unusable,
    )

    async def read(table: str, statement: str, compile_row: Callable[[Row], _Value]) -> list[_Value]:
        return compile_rows(table, await queries.fetch(STATEMENTS[statement]), compile_row, unusable)

    return Tables(
        generation=0,
        nases=await read("nas", "find_nases", compile_nas),
        routers=await read("router", "find_routers", compile_router),
        plans=plans,
        parameters=await read("parameter", "find_parameters", compile_parameter),
        class_key=bytes(class_key["value"]) if class_key is not None else b"",
        node_number=node_number,
        branches=await read("branch", "find_branches", compile_branch),
        administrators=await read("router_administrator", "find_administrators", compile_administrator),
        unusable=unusable,
        pools=await read("pool", "find_pools", compile_pool),
    )


async def digest_logins(queries: Queries) -> tuple[int, int]:
    """Return the count and the digest that every replica must come to at this snapshot."""
    row = await queries.fetchrow(STATEMENTS["digest_logins"])
    assert row is not None  # an aggregate without groups always has one row
    return int(row["count"]), int(row["digest"]) & DIGEST_MASK
