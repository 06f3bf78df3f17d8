"""Does tasks: each kind in one function, over a batch of that kind, within the transaction that claimed them.

Whatever was planned is judged anew first: who paid, was put off or let in on trust meanwhile is left alone, and the
task is cancelled as needless, free to be planned again. Blocks wait for business hours (rule R8.6). A payment lifts
CA and FA, never CM. The end of a trust unlock, of prepaid time and of a suspension need no task to be true, since
the decision goes by the clock (rule R4.2): tasks make status and history say so.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date

from aaad.agenda import store
from aaad.agenda.ladder import Why, still_blocks, still_tells
from aaad.agenda.planning import Line, day_of, lines_of
from aaad.agenda.store import SIGNATURE, SQL, Known, Outcome, Task
from aaad.db.connection import Queries

# Asks for the sessions of these logins to be ended; returns how many there are.
Disconnector = Callable[[Queries, Sequence[int]], Awaitable[int]]
_DONE, _IS_SO = 0, 107
_SOON_S = 5.0  # what changed between judging and writing is judged again
_HOUR_S = 3_600.0
_CLOSED = frozenset({Why.CLOSED_HOURS, Why.CLOSED_DAY, Why.HOLIDAY, Why.HOLIDAY_EVE})
_EFFECTS = {
    "notice": "give_notice",
    "reduce": "reduce_late",
    "block": "block_late",
    "propose_termination": "tell_proposal",
}
_ENDS = {
    "trust_end": "end_trust",
    "release_end": "end_trust",
    "resume": "end_suspension",
    "prepaid_end": "tell_prepaid_end",
}


async def carry(queries: Queries, tasks: Sequence[Task], disconnect: Disconnector | None) -> list[Outcome]:
    """Do a batch of tasks of one kind and run; return what became of each."""
    kind, run_id = tasks[0].kind, tasks[0].run_id
    is_planned = kind in _EFFECTS or kind in _ENDS or kind in ("unblock", "purge")
    if is_planned:
        await queries.fetchrow(SQL.sign, SIGNATURE)
    if run_id is not None:
        await queries.fetchrow(SQL.mark_run, run_id)
    if kind in _EFFECTS:
        return await _climb(queries, kind, tasks)
    if kind in _ENDS:
        tasks, busy = await _hold(queries, tasks, await store.now_s(queries))
        return busy + await _end(queries, kind, tasks)
    if kind == "unblock":
        return await _unblock(queries, tasks)
    if kind == "purge":
        await queries.execute(SQL.purge_tasks)
        return [Outcome(task.id, "done") for task in tasks]
    return [await _by_hand(queries, task, disconnect) for task in tasks]


async def _climb(queries: Queries, kind: str, tasks: Sequence[Task]) -> list[Outcome]:
    """A step of the ladder, where it is due still."""
    now = await store.now_s(queries)
    tasks, busy = await _hold(queries, tasks, now)
    settings = await store.settings(queries)
    known = await store.facts(queries, sorted(_contracts(tasks)), now)
    lines = {
        contract_id: [line for line in lines_of(one, settings, now) if line.kind == kind]
        for contract_id, one in known.items()
    }
    due = {
        contract_id: one
        for contract_id, one in known.items()
        if any(line.why is Why.DUE for line in lines[contract_id])
    }
    done = await _effect(queries, kind, due)
    return [*busy, *(_climbed(task, lines.get(task.contract_id or 0, []), done, now) for task in tasks)]


async def _hold(queries: Queries, tasks: Sequence[Task], now: float) -> tuple[list[Task], list[Outcome]]:
    """Lock the contracts of tasks; return the tasks whose contract is held, and what becomes of the others."""
    await queries.execute(SQL.share_contracts)
    held = {row["id"] for row in await queries.fetch(SQL.hold_contracts, sorted(_contracts(tasks)))}
    later = [Outcome(task.id, "todo", "busy", now + _SOON_S) for task in tasks if task.contract_id not in held]
    return [task for task in tasks if task.contract_id in held], later


async def _effect(queries: Queries, kind: str, due: dict[int, Known]) -> set[int]:
    if not due:
        return set()
    ids = sorted(due)
    if kind == "propose_termination":
        rows = await queries.fetch(SQL[_EFFECTS[kind]], ids)
    else:
        days: list[date | None] = [due[contract_id].oldest_due for contract_id in ids]
        rows = await queries.fetch(SQL[_EFFECTS[kind]], ids, days)
    return {row["id"] for row in rows}


def _climbed(task: Task, lines: Sequence[Line], done: set[int], now: float) -> Outcome:
    if task.contract_id in done:
        return Outcome(task.id, "done")
    if any(line.why is Why.DUE for line in lines):  # it changed between judging and writing
        return Outcome(task.id, "todo", "changed", now + _SOON_S)
    closed = next((line for line in lines if line.why in _CLOSED), None)
    if closed is not None:
        return Outcome(
            task.id,
            "todo",
            closed.why.value,
            max(closed.at_s or 0.0, now + _SOON_S) if closed.at_s else now + _HOUR_S,
        )
    return Outcome(task.id, "cancelled", lines[0].why.value if lines else "not_late")


async def _end(queries: Queries, kind: str, tasks: Sequence[Task]) -> list[Outcome]:
    rows = await queries.fetch(SQL[_ENDS[kind]], sorted(_contracts(tasks)))
    refused = {row["id"]: f"{row['code']} {row['reason']}" for row in rows if row.get("code", _DONE) != _DONE}
    done = {row["id"] for row in rows} - refused.keys()
    return [
        Outcome(task.id, "done")
        if task.contract_id in done
        else Outcome(task.id, "cancelled", refused.get(task.contract_id or 0, "needless"))
        for task in tasks
    ]


async def _unblock(queries: Queries, tasks: Sequence[Task]) -> list[Outcome]:
    """Who paid what he was blocked or trusted for, while something younger is open, is let in as any other."""
    now = await store.now_s(queries)
    tasks, outcomes = await _hold(queries, tasks, now)
    settings = await store.settings(queries)
    known = await store.facts(queries, sorted(_contracts(tasks)), now)
    free: dict[int, date | None] = {}
    trusted: dict[int, date | None] = {}
    for contract_id, one in known.items():
        day, steps = day_of(one, settings, now), settings.steps(one.billing_type_id)
        contract = one.contract
        if contract.is_on_trust and not still_blocks(contract, steps, day):
            trusted[contract_id] = one.oldest_due
        stays = still_blocks if contract.access_status == "CA" else still_tells
        if contract.access_status in ("CA", "FA") and not stays(contract, steps, day):
            free[contract_id] = one.oldest_due
    done: set[int] = set()
    for statement, found in (("free_of_trust", trusted), ("unblock_paid", free)):
        if found:
            done |= {row["id"] for row in await queries.fetch(SQL[statement], list(found), list(found.values()))}
    for task in tasks:
        if task.contract_id in done:
            outcomes.append(Outcome(task.id, "done"))
        elif task.contract_id in free:
            outcomes.append(Outcome(task.id, "todo", "changed", now + _SOON_S))
        else:
            outcomes.append(Outcome(task.id, "cancelled", "still_late"))
    return outcomes


async def _by_hand(queries: Queries, task: Task, disconnect: Disconnector | None) -> Outcome:
    """What an operator has put on the agenda; what the contract's state forbids then fails with its code."""
    await queries.fetchrow(SQL.sign, task.created_by)
    if task.kind == "disconnect":
        return await _disconnect(queries, task, disconnect)
    told = task.arguments
    arguments: dict[str, tuple[object, ...]] = {
        "change_plan": (task.contract_id, told.get("plan_id"), told.get("reason")),
        "block_by_hand": (task.contract_id,),
        "unblock_by_hand": (task.contract_id,),
        "cancel": (task.contract_id, told.get("reason"), bool(told.get("cancel_receivables"))),
    }
    statement = {
        "change_plan": SQL.change_plan,
        "block_by_hand": SQL.block_contract,
        "unblock_by_hand": SQL.unblock_contract,
        "cancel": SQL.cancel_contract,
    }[task.kind]
    row = await queries.fetchrow(statement, *arguments[task.kind])
    assert row is not None
    state = "done" if row["code"] in (_DONE, _IS_SO) else "failed"
    return Outcome(task.id, state, f"{row['code']} {row['reason']}")


async def _disconnect(queries: Queries, task: Task, disconnect: Disconnector | None) -> Outcome:
    assert disconnect is not None, "such tasks are not claimed without"
    rows = await queries.fetch(SQL.logins_of, task.contract_id, task.login_id)
    ended = await disconnect(queries, [row["id"] for row in rows])
    return Outcome(task.id, "done", f"sessions {ended}")


def _contracts(tasks: Sequence[Task]) -> set[int]:
    return {task.contract_id for task in tasks if task.contract_id is not None}
