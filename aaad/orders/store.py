"""Orders in PostgreSQL: each change of state is one statement, whoever else changes the same order.

Wishes become orders here, and operators steer them; who carries orders out has statements of his own (`carrying`).
Never decides what is wanted and never speaks to a router. Rule R8.1 stands in the statements.
"""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from aaad.db.connection import Queries, Row, affected
from aaad.db.statements import load_statements
from aaad.orders.wish import ClaimedOrder, SessionKey, Wish

PRUNE_ROWS = 5_000
KEEP_S = 90 * 86_400.0
KEEP_LISTS_S = 7 * 86_400.0

SQL = load_statements(Path(__file__).with_name("queries.sql"))
Door = Queries


class PutOrder(NamedTuple):
    """An order that a wish made or changed."""

    order_id: int
    session: SessionKey
    state: str


class Filter(NamedTuple):
    """Which orders are asked for. None: all."""

    states: Sequence[str] | None = None
    login_id: int | None = None
    contract_id: int | None = None
    nas_id: int | None = None
    run_id: int | None = None
    cause: str | None = None


class OrderStore:
    """The orders, through one door."""

    def __init__(self, database: Door) -> None:
        """A Database, or a Transaction where several of these belong together."""
        self._database = database

    async def put(self, wishes: Sequence[Wish]) -> list[PutOrder]:
        """Order what is wished: at most one wish for each session. Returns what is new; the same again is not."""
        if not wishes:
            return []
        rows = await self._database.fetch(SQL.put_orders, *_columns(wishes))
        return [PutOrder(row["id"], (row["family"], row["life"]), row["state"]) for row in rows]

    async def supersede(self, sessions: Collection[SessionKey]) -> int:
        """End what nobody has begun, as it is so already; returns how many."""
        if not sessions:
            return 0
        families, lives = zip(*sessions, strict=True)
        return len(await self._database.fetch(SQL.supersede_orders, list(families), list(lives)))

    async def list(self, wanted: Filter, at_most: int) -> list[Row]:
        """Return orders, newest first."""
        return await self._database.fetch(
            SQL.list_orders,
            None if wanted.states is None else list(wanted.states),
            wanted.login_id,
            wanted.contract_id,
            wanted.nas_id,
            wanted.run_id,
            wanted.cause,
            at_most,
        )

    async def find(self, order_id: int) -> Row | None:
        """Return one order with all that is known of it."""
        return await self._database.fetchrow(SQL.find_order, order_id)

    async def retry(self, order_id: int) -> bool:
        """Let an open order be due now; False: it is over, held, or somebody is at it."""
        return await self._database.fetchrow(SQL.retry_order, order_id) is not None

    async def cancel(self, order_id: int, operator: str) -> bool:
        """End an open order without its being true; False: it is over."""
        return await self._database.fetchrow(SQL.cancel_order, order_id, operator) is not None

    async def release(self, run_id: int) -> int:
        """Let go what the brake holds back; returns how many orders."""
        row = await self._database.fetchrow(SQL.release_run, run_id)
        return int(row["released"]) if row is not None else 0

    async def drop(self, run_id: int, operator: str) -> int:
        """Cancel what the brake holds back; returns how many orders."""
        return affected(await self._database.execute(SQL.drop_run, run_id, operator))

    async def prune(self, keep_s: float = KEEP_S) -> bool:
        """Delete what ended long ago; returns whether there may be more."""
        orders = affected(await self._database.execute(SQL.prune_orders, keep_s, PRUNE_ROWS))
        lists = affected(await self._database.execute(SQL.prune_lists, min(keep_s, KEEP_LISTS_S), PRUNE_ROWS))
        applied = affected(await self._database.execute(SQL.prune_applied, PRUNE_ROWS))
        return PRUNE_ROWS in (orders, lists, applied)


def _columns(wishes: Sequence[Wish]) -> tuple[list[object], ...]:
    rows = [
        (
            *wish.session,
            wish.is_ppp,
            wish.kind,
            wish.cause,
            wish.is_cutting,
            wish.is_certain,
            wish.fingerprint,
            json.dumps(wish.wanted) if wish.fingerprint is not None else None,
            json.dumps(wish.unsaid) if wish.unsaid else None,
            wish.attributes if wish.kind == "change" else None,
            None if wish.needs is None else str(wish.needs),
            wish.run_id,
            "held" if wish.is_held else "todo",
            wish.is_found,
        )
        for wish in wishes
    ]
    return tuple(list(column) for column in zip(*rows, strict=True))


def claimed_order(row: Row) -> ClaimedOrder:
    """Return what a row of a claimed order says."""
    return ClaimedOrder(
        order_id=row["id"],
        wish=row["wish"],
        session=(row["family"], row["life"]),
        nas_id=row["nas_id"],
        source_address=_host(row["source_address"]),
        nas_identifier=row["nas_identifier"],
        acct_session_id=row["acct_session_id"],
        user_name=row["user_name"],
        mac=row["mac"] or "",
        ipv4=_host(row["ipv4"]),
        ipv6_prefix=_text(row["ipv6_prefix"]),
        delegated_ipv6_prefix=_text(row["delegated_ipv6_prefix"]),
        is_ppp=row["is_ppp"],
        login_id=row["login_id"],
        contract_id=row["contract_id"],
        kind=row["kind"],
        cause=row["cause"],
        is_cutting=row["is_cutting"],
        is_certain=row["is_certain"],
        fingerprint=row["wanted_fingerprint"],
        wanted=_said(row["wanted"]),
        unsaid=_said(row["unsaid"]),
        attributes=row["attributes"] or b"",
        needs=None if row["needs_text"] is None else int(row["needs_text"]),
        state=row["state"],
        step=row["step"] or "",
        attempts=row["attempts"],
        created_at=row["created_at"],
    )


def _said(text: str | None) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in json.loads(text)) if text else ()


def _host(address: object) -> str:
    """Return an address without the length that asyncpg may show."""
    return str(address).partition("/")[0] if address is not None else ""


def _text(value: object) -> str:
    return "" if value is None else str(value)
