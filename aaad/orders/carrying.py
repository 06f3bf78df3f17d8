"""Orders about sessions in PostgreSQL, for who carries them out: taking, what they stand on, what became of them.

Many at a time in each statement, so that a run of ten thousand costs PostgreSQL little. Never decides anything and
never speaks to a router. Rules R2.6, R8.1, R8.2 stand in the statements.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from aaad.db.connection import Database, Row, affected
from aaad.db.statements import load_statements
from aaad.mikrotik.connection import RouterAccess
from aaad.orders.store import claimed_order
from aaad.orders.wish import ENDED_STATES, ClaimedOrder
from aaad.radius.integrity import SecretKeys
from aaad.radius.kinds import NasKind, kind_of

CLAIM_S = 30.0
ROWS_MAX = 1_000
UNREADABLE_S = 600.0  # for so long what a router says it did waits for its API to come back

SQL = load_statements(Path(__file__).with_name("carrying.sql"))


class Ground(NamedTuple):
    """What an order stands on at the moment when it is taken."""

    local_address: str  # of this node, to which its router speaks; empty: to none
    is_shared: bool  # other routers speak from the same address: behind NAT, none has one of its own
    is_known: bool  # all live nodes have applied the change
    session_state: str  # open, suspended, closed
    is_heard_since: bool  # after the order's state changed last
    has_waited: bool
    ipv4: str
    ipv6_prefixes: tuple[str, ...]
    age_s: float  # of the session


class Taken(NamedTuple):
    """An order that this node has, with what it stands on."""

    order: ClaimedOrder
    ground: Ground
    answers: tuple[Mapping[str, Any], ...]  # to this wish, by whoever tried
    is_stale: bool  # somebody had it and did not say what became of it
    had_entries: bool = False  # entries of ours may stand in the router's address lists already


@dataclass(frozen=True, slots=True)
class Concentrator:
    """A NAS entry as orders need it."""

    nas_id: int
    name: str
    kind: NasKind
    coa_address: str  # empty: each router's own
    coa_port: int
    secrets: tuple[SecretKeys, ...] = field(repr=False)
    proven: Mapping[tuple[str, bytes], bytes]  # fingerprints, by source address and NAS-Identifier
    api: RouterAccess | None  # None: its kind has none, or nobody said as whom to ask it
    has_api_address: bool

    def keys_of(self, source_address: str, identifier: bytes) -> SecretKeys:
        """Return the secret that signs to one of its routers: that it proved last, else the entry's (rule R2.2)."""
        fingerprint = self.proven.get((source_address, identifier), b"")
        return next((keys for keys in self.secrets if keys.fingerprint == fingerprint), self.secrets[0])

    def api_of(self, source_address: str) -> RouterAccess | None:
        """Return how the API of one of its routers is reached."""
        if self.api is None or self.has_api_address:
            return self.api
        return replace(self.api, address=source_address)


class Result(NamedTuple):
    """What became of a taken order."""

    order: ClaimedOrder
    state: str
    why: str = ""
    wait_s: float = 0.0
    answers: Sequence[Mapping[str, object]] = ()
    tried: int = 0  # 1: something was said to the router
    fingerprint: int | None = None  # what is true now
    evidence: str = "acked"
    is_session_over: bool = False
    has_entries: bool = False  # entries of ours may stand in the router's address lists since


class Room(NamedTuple):
    """For how many orders of one concentrator there is room."""

    others: int
    lists: int  # such as only write address lists


class Leftover(NamedTuple):
    """What an order may have written into a router's address lists for a session that is over."""

    order_id: int
    nas_id: int
    source_address: str
    note: str  # of the entries: whose they are
    addresses: frozenset[str]  # that the same customer has now, if he is back
    lists: frozenset[str]  # that were written for him since
    is_open: bool  # what becomes of him is not known yet


class Saved(NamedTuple):
    """An order whose state was written."""

    order_id: int
    kind: str
    cause: str
    state: str
    age_s: float
    is_current: bool = True


class Open(NamedTuple):
    """How many orders are open."""

    state: str
    kind: str
    orders: int
    oldest_s: float


class Carrying:
    """The statements, for one node."""

    def __init__(self, database: Database) -> None:
        """Nothing is asked yet."""
        self._database = database

    async def node_id(self, name: str) -> int | None:
        """Return the number of a node; None: it has never shown itself."""
        row = await self._database.fetchrow(SQL.find_node, name)
        return None if row is None else int(row["id"])

    async def release_claims(self, node_id: int, in_hand: Collection[int] = ()) -> int:
        """Let go what this node has claimed, but for what it has in hand; returns how many orders."""
        return affected(await self._database.execute(SQL.release_claims, node_id, list(in_hand)))

    async def take(
        self,
        node_id: int,
        rooms: Mapping[int, Room],
        *,
        room: Room,
        count: int,
        for_s: float = CLAIM_S,
    ) -> list[Taken]:
        """Take what is due, for each concentrator as many as there is room for; `room`: where none is told."""
        rows = await self._database.fetch(
            SQL.take_orders,
            node_id,
            list(rooms),
            [known.others for known in rooms.values()],
            room.others,
            count,
            for_s,
            [known.lists for known in rooms.values()],
            room.lists,
        )
        if not rows:
            return []
        found = await self._database.fetch(SQL.find_grounds, [row["id"] for row in rows], node_id, UNREADABLE_S)
        grounds = {row["id"]: _ground(row) for row in found}
        return [
            Taken(claimed_order(row), grounds[row["id"]], _answers(row), row["is_stale"], row["had_entries"])
            for row in rows
            if row["id"] in grounds
        ]

    async def concentrators(self, nas_ids: Collection[int]) -> dict[int, Concentrator]:
        """Return NAS entries with what signs to their routers."""
        ids = sorted(nas_ids)
        key = await self._database.fetchrow(SQL.find_fingerprint_key)
        proven: dict[int, dict[tuple[str, bytes], bytes]] = {}
        for row in await self._database.fetch(SQL.find_proven, ids):
            router = (row["source_address"], row["nas_identifier"])
            proven.setdefault(row["nas_id"], {})[router] = row["secret_fingerprint"]
        rows = await self._database.fetch(SQL.find_secrets, ids)
        signing = bytes(key["value"]) if key is not None else b""
        return {row["id"]: _concentrator(row, signing, proven.get(row["id"], {})) for row in rows}

    async def save(self, node_id: int, results: Sequence[Result]) -> list[Saved]:
        """Write down what became of taken orders; those that are another's by now are left out."""
        rows = await self._database.fetch(SQL.save_outcomes, node_id, *_columns(results))
        return [_saved(row, is_current=row["is_current"]) for row in rows]

    async def count_live(self) -> int:
        """Return how many sessions go on."""
        row = await self._database.fetchrow(SQL.count_live)
        assert row is not None
        return int(row["live_count"])

    async def may_cut(
        self, node_id: int, order: ClaimedOrder, allowance: int, window_s: float, run_id: int | None
    ) -> tuple[bool, int | None]:
        """Ask the brake whether a session may be ended for a change; else in which run that is held back."""
        row = await self._database.fetchrow(
            SQL.may_cut, order.order_id, node_id, order.wish, allowance, window_s, run_id
        )
        return (False, None) if row is None else (row["is_allowed"], row["run_id"])

    async def is_newest(self, node_id: int, order: ClaimedOrder) -> bool:
        """Whether this is still what is wished of its session, and this node's to do."""
        row = await self._database.fetchrow(SQL.is_newest, order.order_id, node_id, order.wish)
        return row is not None

    async def leftovers(self, wait_s: float) -> list[Leftover]:
        """Take what is to be taken out of routers' lists; it comes again after a while, if it is not forgotten."""
        rows = await self._database.fetch(SQL.take_leftovers, ROWS_MAX, wait_s, wait_s / 2)
        return [_leftover(row) for row in rows]

    async def forget_leftovers(self, orders: Sequence[int]) -> None:
        """Nothing of these orders stands in a router's lists any more."""
        await self._database.execute(SQL.forget_leftovers, list(orders))

    async def close_ended(self) -> list[Saved]:
        """End the orders about sessions that are over."""
        return [_saved(row) for row in await self._database.fetch(SQL.close_ended_orders, ROWS_MAX)]

    async def wake(self) -> int:
        """Let those go on that waited for accounting, or for a way; returns how many."""
        heard = affected(await self._database.execute(SQL.wake_heard))
        return heard + affected(await self._database.execute(SQL.wake_reachable))

    async def give_up(self, after_s: float) -> list[Saved]:
        """Give up what is open for so long."""
        return [_saved(row) for row in await self._database.fetch(SQL.give_up, after_s, ROWS_MAX)]

    async def count_open(self) -> list[Open]:
        """Return how many orders are open."""
        return [Open(*row.values()) for row in await self._database.fetch(SQL.count_open)]


def _ground(row: Row) -> Ground:
    return Ground(
        local_address=row["local_address"] or "",
        is_shared=row["is_shared"],
        is_known=row["is_known"],
        session_state=row["session_state"],
        is_heard_since=row["is_heard_since"],
        has_waited=row["has_waited"],
        ipv4=row["ipv4"] or "",
        ipv6_prefixes=tuple(prefix for prefix in (row["ipv6_prefix"], row["delegated_ipv6_prefix"]) if prefix),
        age_s=row["age_s"],
    )


def note_of(login_id: int | None, user_name: str) -> str:
    """Return what entries in address lists say of whose they are."""
    return f"login {login_id}" if login_id else user_name


def _leftover(row: Row) -> Leftover:
    return Leftover(
        row["id"],
        row["nas_id"],
        row["source_address"],
        note_of(row["login_id"], row["user_name"]),
        frozenset(row["addresses"]),
        frozenset(row["lists"]),
        row["is_open"],
    )


def _answers(row: Row) -> tuple[Mapping[str, Any], ...]:
    said = json.loads(row["answers"])
    return tuple(answer for answer in said if isinstance(answer, dict) and answer.get("wish") == row["wish"])


def _concentrator(row: Row, key: bytes, proven: Mapping[tuple[str, bytes], bytes]) -> Concentrator:
    kind = kind_of(row["kind"])
    api = None
    if kind.has_api and row["api_user"] and row["api_password"] is not None:
        api = RouterAccess.of_nas(dict(row), row["api_address"] or "")
    return Concentrator(
        nas_id=row["id"],
        name=row["name"],
        kind=kind,
        coa_address=row["coa_address"] or "",
        coa_port=row["coa_port"],
        secrets=tuple(SecretKeys(secret.encode(), key) for secret in row["secrets"]),
        proven=proven,
        api=api,
        has_api_address=row["api_address"] is not None,
    )


def _columns(results: Sequence[Result]) -> tuple[list[object], ...]:
    rows = [
        (
            result.order.order_id,
            result.order.wish,
            result.state,
            result.why or None,
            result.wait_s,
            json.dumps(list(result.answers)),
            result.state in ENDED_STATES,
            result.tried,
            result.fingerprint,
            result.evidence,
            result.is_session_over,
            result.has_entries,
        )
        for result in results
    ]
    return tuple(list(column) for column in zip(*rows, strict=True))


def _saved(row: Row, *, is_current: bool = True) -> Saved:
    return Saved(row["id"], row["kind"], row["cause"], row["state"], row["age_s"], is_current)
