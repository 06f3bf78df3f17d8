"""Plans: which contracts have something due, which tasks that makes, and whether the brake lets the blocks go.

Planning is one transaction of one node at a time, and idempotent: a task's key says for which debt, day or end it
is, so that the next planning finds it there. All blocks of a planning are one run: with those of the last 24 hours
they are held together against the limits (rule R8.4), since nobody may be cut for standing first in it. What is
held waits for `aaad agenda release`, and later blocks join it. A dry run asks the same questions and writes
nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from aaad.agenda import store
from aaad.agenda.ladder import Action, Day, Verdict, Why, judge, warnings
from aaad.agenda.store import SQL, Known, Settings, Wanted
from aaad.agenda.workdays import date_of
from aaad.db.connection import Queries

EVERY_S = 300.0  # all contracts that owe are looked at; what must be quick does not wait for it
_DAY_S = 86_400
KIND_OF = {
    Action.NOTIFY: "notice",
    Action.REDUCE: "reduce",
    Action.BLOCK: "block",
    Action.PROPOSE_TERMINATION: "propose_termination",
}


class Line(NamedTuple):
    """One contract and what is to be said of one step, or of one end that the clock brings."""

    known: Known
    kind: str
    why: Why
    at_s: float | None
    due_day: int | None = None
    days: int | None = None


class Survey(NamedTuple):
    """What would be planned now, and why the rest is not."""

    lines: list[Line]
    wanted: list[Wanted]  # not known yet
    are_blocks_held: bool
    block_count: int  # new ones
    recent_count: int
    allowance: int
    warnings: list[str]


class Planned(NamedTuple):
    """What a planning came to."""

    made_count: int
    held_count: int
    run_id: int | None
    survey: Survey


async def survey(queries: Queries) -> Survey:
    """Look at all contracts; write nothing."""
    now = await store.now_s(queries)
    settings = await store.settings(queries)
    known = await store.facts(queries, await store.candidates(queries), now)
    lines = [line for one in known.values() for line in lines_of(one, settings, now)]
    due = [wanted_of(line, now) for line in lines if line.why is Why.DUE]
    due.append(_purge(now))
    old = await store.known_keys(queries, [task.key for task in due])
    wanted = [task for task in due if task.key not in old]
    block_count = sum(task.kind == "block" for task in wanted)
    recent = await store.count(queries, "recent_blocks")
    allowance = settings.values.brake().allowance(await store.count(queries, "active_contracts"))
    is_held = block_count > 0 and recent + block_count > allowance
    return Survey(lines, wanted, is_held, block_count, recent, allowance, _warnings(settings))


async def plan(queries: Queries, *, every_s: float = EVERY_S, is_asked: bool = False) -> Planned | None:
    """Plan in this transaction; None if another node does, or the next planning is not due and nobody asked."""
    if await queries.fetchrow(SQL.take_planning_now if is_asked else SQL.take_planning) is None:
        return None
    await queries.fetchrow(SQL.sign, store.SIGNATURE)
    found = await survey(queries)
    run_id = await _run(queries, found)
    state = "held" if found.are_blocks_held else "todo"
    rows = await store.put_tasks(
        queries,
        ((task, state, run_id) if task.kind == "block" else (task, "todo", None) for task in found.wanted),
    )
    await queries.execute(SQL.leave_planning, every_s)
    return Planned(len(rows), sum(row["state"] == "held" for row in rows), run_id, found)


async def _run(queries: Queries, found: Survey) -> int | None:
    if not found.block_count:
        return None
    row = await queries.fetchrow(SQL.held_run) if found.are_blocks_held else None
    row = row or await queries.fetchrow(SQL.open_run, not found.are_blocks_held)
    assert row is not None
    return int(row["id"])


def day_of(known: Known, settings: Settings, now: float) -> Day:
    """Return the branch of a contract at this moment."""
    branch_id = known.contract.branch_id
    return Day(now, settings.values.branch(branch_id), settings.workdays(branch_id, known.time_zone, now))


def lines_of(known: Known, settings: Settings, now: float) -> Iterator[Line]:
    """Say of a contract what is due and what waits."""
    day = day_of(known, settings, now)
    for verdict in judge(known.contract, settings.steps(known.billing_type_id), day):
        yield _line(known, verdict)
    if known.trust_ends_at is not None and known.contract.access_status in ("A", "FA"):
        kind = "release_end" if known.is_release else "trust_end"
        yield _end(known, kind, known.trust_ends_at.timestamp(), now)
    if known.suspended_until is not None:
        ends_s = day.begins_s((known.suspended_until - date_of(0)).days + 1)
        yield _end(known, "resume", ends_s, now)
    if known.access_ends_at is not None and known.contract.access_status in ("A", "FA"):
        yield _end(known, "prepaid_end", known.access_ends_at.timestamp(), now)


def _line(known: Known, verdict: Verdict) -> Line:
    return Line(known, KIND_OF[verdict.action], verdict.why, verdict.at_s, verdict.due_day, verdict.days)


def _end(known: Known, kind: str, ends_s: float, now: float) -> Line:
    return Line(known, kind, Why.DUE if ends_s <= now else Why.NOT_YET, ends_s)


def wanted_of(line: Line, now: float) -> Wanted:
    """Return the task of what is due."""
    contract = line.known.contract
    at_s = now if line.at_s is None else line.at_s
    marks = {
        "notice": f"{line.due_day}:{line.days}",
        "reduce": f"{line.due_day}",
        "block": f"{line.due_day}:{contract.unblocked_at_s or 0:.0f}",
        "propose_termination": f"{contract.blocked_at_s or 0:.0f}",
    }
    mark = marks.get(line.kind, f"{at_s:.0f}")
    arguments = {} if line.due_day is None else {"due_on": date_of(line.due_day).isoformat(), "days": line.days}
    return Wanted(line.kind, contract.contract_id, f"{line.kind}:{contract.contract_id}:{mark}", at_s, arguments)


def _purge(now: float) -> Wanted:
    return Wanted("purge", None, f"purge:{int(now // _DAY_S)}", now, {})


def _warnings(settings: Settings) -> list[str]:
    """Return what is short of Anatel's rule anywhere, each once."""
    steps = [step for ladder in settings.ladders.values() for step in ladder]
    branches: Iterable[int] = {0, *settings.values.branches}
    texts = (text for branch in sorted(branches) for text in warnings(steps, settings.values.branch(branch)))
    return list(dict.fromkeys(texts))


def by_contract(lines: Iterable[Line]) -> Mapping[int, list[Line]]:
    """Gather lines by contract."""
    gathered: dict[int, list[Line]] = {}
    for line in lines:
        gathered.setdefault(line.known.contract.contract_id, []).append(line)
    return gathered
