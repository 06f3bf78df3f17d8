"""What operators ask about sessions: lists, counts, statements of a login, its usage, and closing one by hand.

Every question is one bounded statement (`reports.sql`) over `net.every_session`, which alone tells a session's state
(rule R5.3). Times without a zone mean the time in each session's own zone. Writes nothing but two ways to close one.
"""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from aaad.db.connection import Queries, Row
from aaad.db.statements import load_statements
from aaad.errors import StoreError

SQL = load_statements(Path(__file__).parent / "reports.sql")
SHORT_DIGITS = 12  # of a family: of 20 million sessions, one in ten million shares them with another
GROUPS_MAX = 10_000
LIVE_STATES = ("open", "suspended")


class Moment(NamedTuple):
    """An instant, or a local time in each session's own zone: then `at` lies before it in all (an end: after it)."""

    at: datetime
    local: datetime | None = None


class Whose(NamedTuple):
    """Sessions of these logins, or of a user name that is no login's; both None: anybody's."""

    login_ids: list[int] | None = None
    user_name: str | None = None


ANYBODY = Whose()


class Wanted(NamedTuple):
    """Which sessions are asked for; None: any."""

    whose: Whose = ANYBODY
    nas_id: int | None = None
    plan_id: int | None = None
    client_id: int | None = None
    contract_id: int | None = None
    address: str | None = None  # IPv4 or IPv6, or a prefix
    mac: str | None = None
    states: tuple[str, ...] = LIVE_STATES
    ended_since: Moment | None = None
    started_since: Moment | None = None
    ends: tuple[str, ...] | None = None  # how the end is known
    causes: tuple[int, ...] | None = None  # Acct-Terminate-Cause of the Stop

    @property
    def is_of_few(self) -> bool:
        """Whether an index leads to few sessions, however many there are."""
        return self.whose != ANYBODY or self.mac is not None or self.address is not None


class Reports:
    """Questions in one transaction, or one after the other."""

    def __init__(self, queries: Queries) -> None:
        """Ask here."""
        self._queries = queries

    async def sessions(self, wanted: Wanted, limit: int) -> list[dict[str, Any]]:
        """Return sessions: live ones by their beginning, ended ones by their end, newest first."""
        return _dicts(await self._queries.fetch(SQL.find_sessions, *conditions(wanted), limit))

    async def counts(self, wanted: Wanted) -> list[dict[str, Any]]:
        """Return how many there are by concentrator, by plan, by how they ended, and in all."""
        return _dicts(await self._queries.fetch(SQL.count_sessions, *conditions(wanted), GROUPS_MAX))

    async def statement(
        self, whose: Whose, first: Moment, until: Moment, *, by_traffic: bool, limit: int
    ) -> list[dict[str, Any]]:
        """Return the sessions of a period, each with the sums of all, also of those beyond the limit."""
        rows = await self._queries.fetch(
            SQL.statement_by_session, *whose, first.at, first.local, until.at, until.local, by_traffic, limit
        )
        return _dicts(rows)

    async def devices(self, whose: Whose, first: Moment, until: Moment, *, limit: int) -> list[dict[str, Any]]:
        """Return the devices of a period's sessions, the one that was connected last first."""
        rows = await self._queries.fetch(
            SQL.statement_by_device, *whose, first.at, first.local, until.at, until.local, limit
        )
        return _dicts(rows)

    async def named(self, family_digits: str, life: int, limit: int) -> list[dict[str, Any]]:
        """Return the sessions that a short name means: the first digits of a family, and a number in it."""
        least, most = (UUID(family_digits.ljust(32, filler)) for filler in "0f")
        return _dicts(await self._queries.fetch(SQL.sessions_named, least, most, life, limit))

    async def live(self, whose: Whose, limit: int) -> list[dict[str, Any]]:
        """Return the sessions of somebody that are not closed, the newest first."""
        return _dicts(await self._queries.fetch(SQL.live_sessions_of, *whose, limit))

    async def close(self, family: UUID, life: int, history: str) -> dict[str, Any] | None:
        """Close a session on an operator's word and write it down; None if it is closed or gone."""
        row = await self._queries.fetchrow(SQL.close_session, family, life, history)
        return _dict(row) if row else None

    async def open_of_nas(self, nas_id: int, limit: int) -> list[dict[str, Any]]:
        """Return the sessions of a NAS entry that are not closed."""
        return _dicts(await self._queries.fetch(SQL.open_sessions_of_nas, nas_id, limit))

    async def close_gone(
        self, sessions: Sequence[tuple[UUID, int]], asked_s: float, history: str
    ) -> set[tuple[UUID, int]]:
        """Close sessions that their router does not have, as it said so many seconds ago; return which were.

        Those that were heard since, or are closed already, are left as they are.
        """
        families, lives = [family for family, _ in sessions], [life for _, life in sessions]
        rows = await self._queries.fetch(SQL.close_gone, families, lives, asked_s, history)
        return {(row["family"], row["life"]) for row in rows}

    async def capped_login(self, login_id: int) -> dict[str, Any] | None:
        """Return a login's cap and its branch's day, None if there is no such login."""
        row = await self._queries.fetchrow(SQL.capped_login, login_id)
        return _dict(row) if row else None

    async def last_zone(self, login_id: int) -> dict[str, Any] | None:
        """Return zone and day of the last session of a login that is gone, None if it has none."""
        row = await self._queries.fetchrow(SQL.usage_of_nobody, login_id)
        return _dict(row) if row else None

    async def usage(self, login_id: int, first: date, last: date) -> list[dict[str, Any]]:
        """Return a login's octets of each day on which any were reported (rule R5.5)."""
        days = (last - first).days + 1
        return _dicts(await self._queries.fetch(SQL.used_by_day, login_id, first, last, days))

    async def deferred(self, node: str) -> int:
        """Return how many records of a node wait in PostgreSQL."""
        row = await self._queries.fetchrow(SQL.deferred_of_node, node)
        if row is None:
            raise StoreError("PostgreSQL does not say how many records wait")
        return int(row["records"])


def short_name(family: UUID, life: int) -> str:
    """Return what a session is called on the command line; it stays the same for the whole of its life."""
    return f"{family.hex[:SHORT_DIGITS]}-{life}"


def conditions(wanted: Wanted) -> tuple[object, ...]:
    """Return the first fifteen arguments of `find_sessions` and `count_sessions`."""
    ended, started = wanted.ended_since, wanted.started_since
    return (
        *wanted.whose,
        wanted.nas_id,
        wanted.plan_id,
        wanted.client_id,
        wanted.contract_id,
        wanted.address,
        wanted.mac,
        list(wanted.states),
        ended.at if ended else None,
        ended.local if ended else None,
        started.at if started else None,
        started.local if started else None,
        list(wanted.ends) if wanted.ends is not None else None,
        list(wanted.causes) if wanted.causes is not None else None,
    )


def _dicts(rows: list[Row]) -> list[dict[str, Any]]:
    return [_dict(row) for row in rows]


def _dict(row: Row) -> dict[str, Any]:
    return dict(row.items())
