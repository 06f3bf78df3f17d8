"""The agenda's rows: contracts as the ladder sees them, tasks, and what they do to contracts. No judgement."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from aaad.agenda.ladder import (
    BLOCK_DAYS,
    NOTICE_DAYS,
    Action,
    Contract,
    Since,
    Step,
    Title,
)
from aaad.agenda.terms import Values
from aaad.agenda.workdays import Workdays, day_number
from aaad.db.connection import Queries, Row
from aaad.db.statements import load_statements
from aaad.policy.calendar import BRASILIA_OFFSET_S, zone_offset_s

SQL = load_statements(Path(__file__).parent / "queries.sql")
GENERAL_LADDER = 0
SIGNATURE = "agenda"  # who writes, for the history
_FACTS_AT_ONCE = 2_000


class Known(NamedTuple):
    """A contract as it is, for the ladder and for what only the clock decides."""

    contract: Contract
    client: str
    time_zone: str
    billing_type_id: int | None
    oldest_due: date | None
    trust_ends_at: datetime | None
    is_release: bool  # what ends is a release by an operator, not a trust unlock
    suspended_until: date | None  # None also for a suspension without an end
    access_ends_at: datetime | None


class Settings(NamedTuple):
    """What is configured: parameters, ladders by billing type, holidays by branch."""

    values: Values
    ladders: Mapping[int, tuple[Step, ...]]
    holidays: Mapping[int, frozenset[int]]

    def steps(self, billing_type_id: int | None) -> tuple[Step, ...]:
        """Return a billing type's ladder, else the general one."""
        own = self.ladders.get(billing_type_id or GENERAL_LADDER)
        return self.ladders.get(GENERAL_LADDER, ()) if own is None else own

    def workdays(self, branch_id: int, time_zone: str, now_s: float) -> Workdays:
        """Return when blocks may fall in a branch."""
        terms = self.values.branch(branch_id)
        try:
            offset_s = zone_offset_s(time_zone, now_s)
        except ValueError:  # a zone that this system does not know: that of Brasília stands for it
            offset_s = BRASILIA_OFFSET_S
        holidays = self.holidays.get(0, frozenset()) | self.holidays.get(branch_id, frozenset())
        return Workdays(offset_s, terms.no_block_days, holidays, terms.from_hour, terms.until_hour)


class Task(NamedTuple):
    """A task that was claimed."""

    id: int
    kind: str
    contract_id: int | None
    login_id: int | None
    arguments: dict[str, Any]
    run_id: int | None
    attempts: int
    created_by: str


class Wanted(NamedTuple):
    """A task to be planned."""

    kind: str
    contract_id: int | None
    key: str
    due_s: float
    arguments: dict[str, Any]


class Outcome(NamedTuple):
    """What became of a task. State todo: not before `next_s`."""

    task_id: int
    state: str
    result: str = ""
    next_s: float = 0.0


async def now_s(queries: Queries) -> float:
    """Return PostgreSQL's moment, which all nodes share."""
    row = await queries.fetchrow(SQL.moment)
    assert row is not None
    return float(row["now_s"])


async def settings(queries: Queries) -> Settings:
    """Return what is configured."""

    class Value(NamedTuple):
        name: str
        branch_id: int
        value: str

    rows = [Value(row["name"], row["branch_id"], row["value"]) for row in await queries.fetch(SQL.parameters)]
    ladders: dict[int, list[Step]] = {}
    for row in await queries.fetch(SQL.steps):
        step = Step(Action(row["action"]), Since(row["since"]), row["days"])
        ladders.setdefault(row["billing_type_id"] or GENERAL_LADDER, []).append(step)
    holidays: dict[int, set[int]] = {}
    for row in await queries.fetch(SQL.holidays):
        holidays.setdefault(row["branch_id"], set()).add(row["day"])
    return Settings(
        Values.of(rows),
        {key: tuple(steps) for key, steps in ladders.items()},
        {branch: frozenset(days) for branch, days in holidays.items()},
    )


async def candidates(queries: Queries) -> list[int]:
    """Return the contracts of which something may be due."""
    return [row["id"] for row in await queries.fetch(SQL.candidates)]


async def facts(queries: Queries, contract_ids: Sequence[int], now: float) -> dict[int, Known]:
    """Return what is known of these contracts."""
    found: dict[int, Known] = {}
    for first in range(0, len(contract_ids), _FACTS_AT_ONCE):
        piece = list(contract_ids[first : first + _FACTS_AT_ONCE])
        for row in await queries.fetch(SQL.contract_facts, piece):
            found[row["id"]] = _known(row, now)
    return found


async def count(queries: Queries, question: str) -> int:
    """Return the number that one of the counting statements answers."""
    row = await queries.fetchrow(SQL[question])
    assert row is not None
    return int(row["count"])


async def put_tasks(queries: Queries, wanted: Iterable[tuple[Wanted, str, int | None]]) -> list[Row]:
    """Write tasks with their state and run, but those that are known."""
    rows = list(wanted)
    return await queries.fetch(
        SQL.put_tasks,
        [task.kind for task, _, _ in rows],
        [task.contract_id for task, _, _ in rows],
        [task.key for task, _, _ in rows],
        [task.due_s for task, _, _ in rows],
        [msgspec.json.encode(task.arguments).decode() for task, _, _ in rows],
        [state for _, state, _ in rows],
        [run_id for _, _, run_id in rows],
    )


async def known_keys(queries: Queries, keys: Sequence[str]) -> set[str]:
    """Return which of these tasks are known."""
    return {row["key"] for row in await queries.fetch(SQL.known_keys, list(keys))}


async def claim(queries: Queries, limit: int, ids: Sequence[int] | None, *, can_disconnect: bool) -> list[Task]:
    """Take due tasks of one kind for the transaction."""
    return [
        Task(
            row["id"],
            row["kind"],
            row["contract_id"],
            row["login_id"],
            msgspec.json.decode(row["arguments"]),
            row["run_id"],
            row["attempts"],
            row["created_by"],
        )
        for row in await queries.fetch(SQL.claim_tasks, limit, None if ids is None else list(ids), can_disconnect)
    ]


async def finish(queries: Queries, outcomes: Sequence[Outcome], node: str) -> None:
    """Write what became of tasks."""
    await queries.execute(
        SQL.finish_tasks,
        [found.task_id for found in outcomes],
        [found.state for found in outcomes],
        [found.result for found in outcomes],
        [found.next_s for found in outcomes],
        node,
    )


def _known(row: Row, now: float) -> Known:
    titles = zip(
        row["title_due_on"] or (),
        row["title_contract_id"] or (),
        row["title_is_single"] or (),
        row["title_of_renegotiation"] or (),
        strict=True,
    )
    workday = Workdays(_offset_s(row["time_zone"], now)).day_at(now)
    contract = Contract(
        contract_id=row["id"],
        branch_id=row["branch_id"],
        access_status=row["access_status"] if row["status"] == "A" else "",
        titles=tuple(
            Title(day_number(due_on), contract_id or None, is_single, of_renegotiation)
            for due_on, contract_id, is_single, of_renegotiation in titles
        ),
        notices_s=tuple(at.timestamp() for at in row["notices"] or ()),
        notice_days=_or(row["notice_days"], NOTICE_DAYS),
        block_days=_or(row["block_days"], BLOCK_DAYS),
        block_renegotiated_days=_or(row["block_renegotiated_days"], BLOCK_DAYS),
        block_automatically=row["block_automatically"],
        notice_automatically=row["notice_automatically"],
        late_speed=row["late_speed"],
        is_forced=row["is_forced"],
        do_not_block_until_day=_day(row["do_not_block_until"]),
        do_not_notice_until_day=_day(row["do_not_notice_until"]),
        not_reduced_until_day=_day(row["not_reduced_until"]),
        is_on_trust=row["is_on_trust"],
        is_suspended=row["suspended"]
        and (row["suspended_from"] is None or day_number(row["suspended_from"]) <= workday)
        and (row["suspended_until"] is None or day_number(row["suspended_until"]) >= workday),
        is_reduced=row["is_reduced"],
        blocked_at_s=_instant(row["blocked_at"]),
        unblocked_at_s=_instant(row["unblocked_at"]),
    )
    return Known(
        contract,
        row["client"],
        row["time_zone"],
        row["billing_type_id"],
        row["oldest_open_due"],
        row["trust_ends_at"],
        row["is_release"],
        row["suspended_until"] if row["suspended"] else None,
        row["access_ends_at"],
    )


def _offset_s(time_zone: str, now: float) -> int:
    try:
        return zone_offset_s(time_zone, now)
    except ValueError:
        return BRASILIA_OFFSET_S


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def _day(day: date | None) -> int | None:
    return None if day is None else day_number(day)


def _instant(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()
