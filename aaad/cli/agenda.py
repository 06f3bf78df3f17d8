"""`aaad agenda …`: what comes due, seen and steered by operators.

Tasks of the ladder are made by planning, others are put on the agenda here; all are done by the nodes. Who puts a
change on the agenda needs the permission to make it at once, too. A dry run looks at all contracts as planning would,
says of each what would happen and why the rest would not, and writes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from aaad.agenda import steering
from aaad.agenda.ladder import Why
from aaad.agenda.planning import Line, Survey, survey
from aaad.agenda.runner import STATEMENT_LIMIT_S, Agenda
from aaad.agenda.workdays import date_of
from aaad.cli.moments import read_beginning, read_days
from aaad.cli.records import Desk, fail, refuse, show_list, working
from aaad.cli.terminal import Terminal
from aaad.clock import utc_now
from aaad.db.connection import Database, Queries
from aaad.orders.by_hand import disconnect_logins


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


KINDS: Mapping[str, str] = {
    "notice": _("notice"),
    "reduce": _("reduced speed"),
    "block": _("block"),
    "propose_termination": _("proposal to end the contract"),
    "unblock": _("unblock on payment"),
    "trust_end": _("end of a trust unlock"),
    "release_end": _("end of a release for a time"),
    "resume": _("end of a suspension"),
    "prepaid_end": _("end of prepaid time"),
    "disconnect": _("disconnect"),
    "change_plan": _("change of plan"),
    "block_by_hand": _("block by hand"),
    "unblock_by_hand": _("unblock by hand"),
    "cancel": _("cancellation"),
    "purge": _("cleaning of old tasks"),
}
STATES: Mapping[str, str] = {
    "todo": _("to do"),
    "held": _("held by the brake"),
    "done": _("done"),
    "failed": _("failed"),
    "cancelled": _("cancelled"),
}
# What an operator may put on the agenda, and the command that it stands for: its permission is asked for, too.
ADDABLE: Mapping[str, tuple[str, str]] = {
    "disconnect": ("disconnect", ""),
    "change-plan": ("change_plan", "contract change-plan"),
    "block": ("block_by_hand", "contract block"),
    "unblock": ("unblock_by_hand", "contract unblock"),
    "cancel": ("cancel", "contract cancel"),
}
REASONS: Mapping[Why, str] = {
    Why.DUE: _("{days} days after the due date {due}"),
    Why.NOT_YET: _("due date {due}: its days are not over"),
    Why.NOTICE_MISSING: _("no notice of the debt of {due} was given"),
    Why.NOTICE_YOUNG: _("the notice of the debt of {due} is too young"),
    Why.SWITCHED_OFF: _("switched off in the contract"),
    Why.PUT_OFF: _("put off in the contract"),
    Why.ON_TRUST: _("unblocked on trust"),
    Why.FORCED: _("the contract's status is forced"),
    Why.SUSPENDED: _("suspended at the client's wish"),
    Why.UNBLOCKED_TODAY: _("unblocked today"),
    Why.CLOSED_HOURS: _("outside the hours for blocks"),
    Why.CLOSED_DAY: _("no day for blocks"),
    Why.HOLIDAY: _("holiday"),
    Why.HOLIDAY_EVE: _("eve of a holiday"),
}
# Why a task was cancelled, waits or failed, besides those.
RESULTS: Mapping[str, str] = {
    "by_operator": _("by an operator"),
    "needless": _("needless by then"),
    "not_late": _("nothing is overdue any more"),
    "still_late": _("other debts are old enough to block"),
    "changed": _("it changed at that moment"),
    "busy": _("somebody is changing the contract"),
    "due": _("due"),
}
_HELD = _(
    "The brake holds {count} blocks of run {run}: `aaad agenda release {run}` lets them go, "
    "`aaad agenda cancel --run {run}` drops them."
)
_REASON_OF_END = _("its time is over")


class Filter(NamedTuple):
    """Which tasks are asked for; None: any."""

    state: str | None = None
    kind: str | None = None
    contract: str | None = None
    run: int | None = None
    with_ended: bool = False


class Addition(NamedTuple):
    """A task as it was typed."""

    kind: str
    at: str | None
    contract: str | None = None
    login: str | None = None
    plan: str | None = None
    reason: str | None = None


# --- seeing ---------------------------------------------------------------------------------------------------------


def list_tasks(terminal: Terminal, wanted: Filter, limit: int) -> None:
    """List tasks: what is to do or failed, or all there ever were; say what the brake holds."""
    rows, held = asyncio.run(_list(terminal, wanted, limit))
    _ = terminal.speak
    columns = {
        "id": _("number"),
        "what": _("what"),
        "contract_id": _("contract"),
        "client": _("client"),
        "when": _("when"),
        "state": _("state"),
        "result": _("result"),
        "created_by": _("operator"),
        "run_id": _("run"),
    }
    shown = rows if terminal.options.is_json else [_worded(terminal, row) for row in rows]
    show_list(terminal, shown, columns, limit, _style)
    if not terminal.options.is_json:
        for run_id, count in held.items():
            terminal.complain(_(_HELD, count=count, run=run_id))


async def _list(terminal: Terminal, wanted: Filter, limit: int) -> tuple[list[dict[str, Any]], dict[int, int]]:
    async with working(terminal) as desk:
        contract_id = await desk.resolve("contract", wanted.contract) if wanted.contract else None
        of_what = steering.Filter(wanted.state, wanted.kind, contract_id, wanted.run, with_ended=wanted.with_ended)
        queries = desk.store.queries
        return await steering.tasks(queries, of_what, limit + 1), await steering.held(queries)


def show_task(terminal: Terminal, number: int) -> None:
    """Show everything about a task."""
    row = asyncio.run(_task(terminal, number))
    if terminal.options.is_json:
        terminal.json(row)
        return
    _ = terminal.speak
    worded = _worded(terminal, row)
    labels = {
        "what": _("what"),
        "contract_id": _("contract"),
        "client": _("client"),
        "login": _("login"),
        "when": _("when"),
        "state": _("state"),
        "result": _("result"),
        "attempts": _("attempts"),
        "run_id": _("run"),
        "created_by": _("operator"),
        "created": _("written"),
        "ended": _("ended"),
        "ended_by": _("by"),
        "details": _("details"),
    }
    terminal.line(_("Task {number}", number=number), "bold")
    for key, label in labels.items():
        if worded.get(key) not in (None, ""):
            terminal.line(f"  {label}: {worded[key]}")


async def _task(terminal: Terminal, number: int) -> dict[str, Any]:
    _ = terminal.speak
    async with working(terminal) as desk:
        rows = await steering.tasks(desk.store.queries, steering.Filter(task_id=number, with_ended=True), 1)
        if not rows:
            fail(terminal, _("There is no task {number}.", number=number))
        return rows[0]


def _worded(terminal: Terminal, row: dict[str, Any]) -> dict[str, Any]:
    """Return a task with its codes in words."""
    _ = terminal.speak
    result = row["result"]
    known = RESULTS.get(result or "") or next((text for why, text in REASONS.items() if why.value == result), None)
    due = row["arguments"].get("due_on", "")
    return row | {
        "what": _(KINDS[row["kind"]]),
        "state": _(STATES[row["state"]]),
        "client": row["client"] or row["login"],
        "when": terminal.instant(row["ended_at"] or row["next_at"]),
        "result": _(known, due=due, days="") if known else result,
        "created": terminal.instant(row["created_at"]),
        "ended": terminal.instant(row["ended_at"]),
        "details": ", ".join(f"{key} {value}" for key, value in row["arguments"].items() if value is not None),
    }


def _style(row: dict[str, Any]) -> str:
    return "red" if row.get("result") and row.get("attempts", 0) > 1 else ""


# --- steering -------------------------------------------------------------------------------------------------------


def add(terminal: Terminal, addition: Addition) -> None:
    """Put a change on the agenda."""
    number, at = asyncio.run(_add(terminal, addition))
    _ = terminal.speak
    if terminal.options.is_json:
        terminal.json({"saved": True, "id": number, "due_at": at.isoformat()})
        return
    terminal.line(_("Data saved successfully"), "green")
    terminal.line(_("Task {number} at {at}.", number=number, at=terminal.instant(at)))


async def _add(terminal: Terminal, addition: Addition) -> tuple[int, datetime]:
    _ = terminal.speak
    kind, command = ADDABLE[addition.kind]
    is_whole = (addition.contract is None) != (addition.login is None)
    if not is_whole or (addition.login is not None and kind != "disconnect"):
        refuse(terminal, _("Name the contract with --contract; to disconnect, a login with --login instead."))
    if (addition.plan is None) == (kind == "change_plan"):
        refuse(terminal, _("--plan names the new plan of a change of plan, and of nothing else."))
    async with working(terminal) as desk:
        if command:
            await desk.permits.demand(command)
        contract_id = await desk.resolve("contract", addition.contract) if addition.contract else None
        login_id = await desk.resolve("login", addition.login) if addition.login else None
        if kind == "change_plan":
            contract = await desk.store.record("contract", contract_id or 0) or {}
            await desk.permits.refuse_if_active(contract, command)
        plan_id = await desk.resolve("plan", addition.plan) if addition.plan else None
        told = {"plan_id": plan_id, "reason": addition.reason}
        arguments = {key: value for key, value in told.items() if value is not None}
        at = await _moment(desk, addition, contract_id, login_id)
        return await steering.add(desk.store.queries, kind, contract_id, login_id, at, arguments), at


async def _moment(desk: Desk, addition: Addition, contract_id: int | None, login_id: int | None) -> datetime:
    """Return the instant that was typed, without a zone in that of the contract's branch; now if none was."""
    now = utc_now()
    if addition.at is None:
        return now
    moment = read_beginning("--at", addition.at, now)
    if moment.local is None:
        return moment.at
    zone = await steering.time_zone(desk.store.queries, contract_id, login_id)
    return moment.local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def cancel(terminal: Terminal, number: int | None, run: int | None) -> None:
    """Take a task, or all open ones of a run, off the agenda; they are not planned again."""
    _ = terminal.speak
    operator = terminal.operator
    if number is not None and run is None:
        count = _change(terminal, lambda queries: steering.cancel(queries, number, operator))
    elif run is not None and number is None:
        count = _change(terminal, lambda queries: steering.cancel_run(queries, run, operator))
    else:
        refuse(terminal, _("Name a task, or a run with --run."))
    if not count:
        fail(terminal, _("Nothing of that is to be done."))
    _told(terminal, _("Cancelled: {count}.", count=count), count)


def retry(terminal: Terminal, number: int) -> None:
    """Let a task that failed, or waits, be tried at once."""
    count = _change(terminal, lambda queries: steering.retry(queries, number))
    _ = terminal.speak
    if not count:
        fail(terminal, _("Task {number} did not fail.", number=number))
    _told(terminal, _("Task {number} is tried again at once.", number=number), count)


def release(terminal: Terminal, run: int) -> None:
    """Let go what the brake holds of a run."""
    count = _change(terminal, lambda queries: steering.release(queries, run))
    _ = terminal.speak
    if not count:
        fail(terminal, _("The brake holds nothing of run {run}.", run=run))
    _told(terminal, _("Released: {count} blocks, in the hours and on the days for blocks.", count=count), count)


def _change(terminal: Terminal, act: Callable[[Queries], Awaitable[int]]) -> int:
    async def change() -> int:
        async with working(terminal) as desk:
            return await act(desk.store.queries)

    return asyncio.run(change())


def _told(terminal: Terminal, text: str, count: int) -> None:
    if terminal.options.is_json:
        terminal.json({"changed": count, "message": text})
    else:
        terminal.line(text, "green")


# --- running --------------------------------------------------------------------------------------------------------


def run(terminal: Terminal, limit: int, *, is_dry: bool) -> None:
    """Plan and do what is due, here and now; or only say what that would be, and why."""
    if is_dry:
        _show_survey(terminal, asyncio.run(_survey(terminal)), limit)
        return
    made, held, looked = asyncio.run(_run(terminal))
    _ = terminal.speak
    if terminal.options.is_json:
        terminal.json({"planned": made, "held": held, "looked_at": looked})
        return
    terminal.line(_("Planned: {planned}, held by the brake: {held}, looked at: {looked}.", planned=made, held=held,
                    looked=looked))  # fmt: skip


async def _run(terminal: Terminal) -> tuple[int, int, int]:
    async with working(terminal):
        pass  # may he?
    config = terminal.config
    database = Database(
        config.database.dsn.get_secret_value(),
        connect_timeout_s=config.database.connect_timeout_s,
        statement_timeout_s=STATEMENT_LIMIT_S,
        application_name=f"aaad {config.node.name} agenda run",
    )
    try:
        agenda = Agenda(database, None, config.node.name, disconnect_logins)
        planned = await agenda.plan(is_asked=True)
        looked = await agenda.run_due()
    finally:
        await database.close()
    return (planned.made_count, planned.held_count, looked) if planned else (0, 0, looked)


async def _survey(terminal: Terminal) -> Survey:
    async with working(terminal) as desk:
        return await survey(desk.store.queries)


def _show_survey(terminal: Terminal, found: Survey, limit: int) -> None:
    _ = terminal.speak
    lines = sorted(found.lines, key=lambda line: (line.why is not Why.DUE, line.at_s or 0.0))
    rows = [_survey_row(terminal, line) for line in lines]
    if terminal.options.is_json:
        brake = {"held": found.are_blocks_held, "blocks": found.block_count, "recent": found.recent_count,
                 "allowance": found.allowance}  # fmt: skip
        terminal.json({"lines": rows, "new_tasks": len(found.wanted), "brake": brake,
                       "warnings": [_(text) for text in found.warnings]})  # fmt: skip
        return
    columns = {
        "contract": _("contract"),
        "client": _("client"),
        "what": _("what"),
        "would": _("now"),
        "reason": _("why"),
        "at": _("when"),
    }
    show_list(terminal, rows, columns, limit, lambda row: "bold" if row["is_due"] else "")
    if found.are_blocks_held:
        terminal.complain(
            _("The brake would hold all blocks: {blocks} new ones and {recent} of the last 24 hours are more than "
              "{allowance}.", blocks=found.block_count, recent=found.recent_count, allowance=found.allowance)
        )  # fmt: skip
    for text in found.warnings:
        terminal.complain(_("Warning: {warning}", warning=_(text)))


def _survey_row(terminal: Terminal, line: Line) -> dict[str, Any]:
    _ = terminal.speak
    is_due = line.why is Why.DUE
    due = date_of(line.due_day).isoformat() if line.due_day is not None else ""
    at = datetime.fromtimestamp(line.at_s, UTC) if line.at_s is not None else None
    if line.due_day is None:
        reason = _(_REASON_OF_END) if is_due else ""
    else:
        reason = _(REASONS[line.why], days=line.days, due=due)
    return {
        "contract": line.known.contract.contract_id,
        "client": line.known.client,
        "kind": line.kind,
        "what": _(KINDS[line.kind]),
        "is_due": is_due,
        "would": _("yes") if is_due else _("no"),
        "why": line.why.value,
        "reason": reason,
        "due_on": due or None,
        "at": at.isoformat() if at and terminal.options.is_json else terminal.instant(at),
    }


# --- holidays -------------------------------------------------------------------------------------------------------


def list_holidays(terminal: Terminal, limit: int, *, with_past: bool) -> None:
    """List the days off that were written; the national ones are known without."""

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            return await steering.holidays(desk.store.queries, limit + 1, with_past=with_past)

    _ = terminal.speak
    columns = {"id": _("number"), "day": _("day"), "name": _("name"), "branch": _("branch")}
    show_list(terminal, asyncio.run(find()), columns, limit)


def add_holiday(terminal: Terminal, day: str, name: str, branch: str | None) -> None:
    """Write a day off of a state or town, of one branch or of all."""
    first, last = read_days("DAY", day)
    _ = terminal.speak
    if first != last:
        refuse(terminal, _("A holiday is one day."))

    async def write() -> int:
        async with working(terminal) as desk:
            branch_id = await desk.resolve("branch", branch) if branch else None
            return await steering.add_holiday(desk.store.queries, branch_id, first, name.strip())

    number = asyncio.run(write())
    if not number:
        fail(terminal, _("That day is one already."))
    if terminal.options.is_json:
        terminal.json({"saved": True, "id": number})
    else:
        terminal.line(_("Data saved successfully"), "green")


def delete_holiday(terminal: Terminal, number: int) -> None:
    """Take a day off away."""
    count = _change(terminal, lambda queries: steering.delete_holiday(queries, number))
    _ = terminal.speak
    if not count:
        fail(terminal, _("There is no holiday {number}.", number=number))
    _told(terminal, _("Deleted: {count}.", count=count), count)
