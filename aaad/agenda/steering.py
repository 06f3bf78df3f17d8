"""What people ask of the agenda and tell it, in one transaction each."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

import msgspec

from aaad.agenda.store import SQL
from aaad.db.connection import Queries


class Filter(NamedTuple):
    """Which tasks are asked for; None: any."""

    state: str | None = None
    kind: str | None = None
    contract_id: int | None = None
    run_id: int | None = None
    task_id: int | None = None
    with_ended: bool = False


async def tasks(queries: Queries, wanted: Filter, limit: int) -> list[dict[str, Any]]:
    """Return tasks, what is to be done first."""
    rows = await queries.fetch(
        SQL.list_tasks,
        wanted.state,
        wanted.with_ended,
        wanted.kind,
        wanted.contract_id,
        wanted.run_id,
        wanted.task_id,
        limit,
    )
    return [{**dict(row.items()), "arguments": msgspec.json.decode(row["arguments"])} for row in rows]


async def held(queries: Queries) -> dict[int, int]:
    """Return how many blocks the brake holds of each run."""
    return {row["run_id"]: row["count"] for row in await queries.fetch(SQL.held_counts)}


async def add(
    queries: Queries,
    kind: str,
    contract_id: int | None,
    login_id: int | None,
    at: datetime,
    arguments: Mapping[str, object],
) -> int:
    """Put a task on the agenda; return its number."""
    encoded = msgspec.json.encode(dict(arguments)).decode()
    row = await queries.fetchrow(SQL.add_task, kind, contract_id, login_id, at, encoded)
    assert row is not None
    return int(row["id"])


async def time_zone(queries: Queries, contract_id: int | None, login_id: int | None) -> str:
    """Return the zone of a contract's branch, or of a login's contract's."""
    row = await queries.fetchrow(SQL.zone_of, contract_id, login_id)
    assert row is not None
    return str(row["time_zone"])


async def cancel(queries: Queries, task_id: int, operator: str) -> int:
    """Take an open task off the agenda; planned ones are not planned again. Return how many that were."""
    return len(await queries.fetch(SQL.cancel_task, task_id, operator))


async def cancel_run(queries: Queries, run_id: int, operator: str) -> int:
    """The same of all open tasks of a run."""
    return len(await queries.fetch(SQL.cancel_run, run_id, operator))


async def retry(queries: Queries, task_id: int) -> int:
    """Let a task that failed, or waits, be tried at once."""
    return len(await queries.fetch(SQL.retry_task, task_id))


async def release(queries: Queries, run_id: int) -> int:
    """Let go what the brake holds of a run; return how many blocks."""
    return len(await queries.fetch(SQL.release_run, run_id))


async def holidays(queries: Queries, limit: int, *, with_past: bool) -> list[dict[str, Any]]:
    """Return the days off that were written."""
    return [dict(row.items()) for row in await queries.fetch(SQL.list_holidays, with_past, limit)]


async def add_holiday(queries: Queries, branch_id: int | None, day: date, name: str) -> int:
    """Write a day off; return its number, 0 if it is one already."""
    row = await queries.fetchrow(SQL.add_holiday, branch_id, day, name)
    return int(row["id"]) if row else 0


async def delete_holiday(queries: Queries, number: int) -> int:
    """Take a day off away; return how many that were."""
    return len(await queries.fetch(SQL.delete_holiday, number))
