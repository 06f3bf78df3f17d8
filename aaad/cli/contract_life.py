"""`aaad contract block`, `cancel`, `suspend`, `change-plan` and the like: what people do to a contract.

Each is one SQL function that any program may call (docs/erp-interface.md): it holds the contract's row, so that of
two who come at once one does it, and answers with a code. Here its answer is put into words: the seeds' own where
they have some. What is so already is no mistake, what cannot be ends with 1, what was typed wrong with 2.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, NoReturn

from aaad import clock
from aaad.cli.records import Desk, be_sure, fail, refuse, working
from aaad.cli.terminal import Terminal
from aaad.erp import fields
from aaad.policy.parameters import PARAMETERS

_DONE, _IS_SO, _BAD_INPUT = 0, 107, 122
_FOR_GOOD = "9999-12-31"
Answer = dict[str, Any]


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


def _today() -> str:
    return datetime.fromtimestamp(clock.wall_s(), UTC).date().isoformat()


class Action(NamedTuple):
    """One change of a contract's state."""

    question: str  # of the store: the function's name
    done: str  # said when it is done
    sure: str = ""  # asked before; without it nothing is asked
    is_so: Callable[[Answer], bool] = lambda now: False  # then it is not asked


ACTIONS = {
    "activate": Action("activate_contract", _("Contract {contract} activated.")),
    "block": Action("block_contract", _("Contract {contract} blocked.")),
    "unblock": Action("unblock_contract", _("Contract {contract} unblocked.")),
    "notify": Action("notify_contract", _("Notice given: contract {contract} is late and still connects.")),
    "await-signature": Action("await_signature", _("Contract {contract} awaits its signature.")),
    "sign": Action("sign_contract", _("Contract {contract} signed.")),
    "cancel": Action(
        "cancel_contract",
        _("Contract {contract} cancelled."),
        _("Cancel contract {contract} of {client}?"),
        lambda now: bool(now["status"] == "D"),
    ),
    "suspend": Action(
        "suspend_contract",
        _("Plan suspended successfully."),
        _("Suspend contract {contract} of {client}?"),
        lambda now: bool(now["suspended"] and (now["suspended_until"] or _FOR_GOOD) >= _today()),
    ),
    "resume": Action("resume_contract", _("Contract {contract} resumed.")),
    "release": Action("release_contract", _("Contract {contract} released until {until}.")),
    "release-speed": Action(
        "release_from_reduction", _("Contract {contract} has its plan's full speed until {until}.")
    ),
}
_CHANGE_PLAN = Action("change_plan", _("Contract {contract} has the plan {plan} now."))
_CHANGE_OWNER = Action(
    "change_owner",
    _("Contract {contract} is {client}'s now."),
    _("Give contract {contract} of {client} to {other}?"),
)
CIRCUIT_GONE = _("the circuit {circuit} was of the old plan: name a new one with `aaad contract circuit`")
_STAYS_CLOSED = _("its access status is still {access_status}")

# Why not, where it is not the contract's own state.
_REFUSALS = {
    "not_allowed": _("Contracts are not suspended at the client's wish, since allow_voluntary_suspension is N."),
    "payment_late": _("A payment is late: a contract is suspended when it is paid."),
    "already_begun": _("The suspension has begun: its first day stays."),
    "in_the_past": _("The first day is over."),
    "days_out_of_order": _("The last day must lie neither before the first one nor before today."),
    "too_short": _("A suspension lasts at least {days_min} days."),
    "too_long": _("A suspension lasts at most {days_max} days."),
    "too_soon": _("The next suspension may begin on {allowed_on}."),
    "equipment_lent": _("Not cancelled: lent equipment was not returned: {equipment}."),
    "login_missing": _(
        "An internet contract needs a login to become active, since login_required_for_internet is S."
    ),
    "plan_not_sold": _("The plan {plan} is not sold any more."),
    "client_inactive": _("The client {client} is inactive."),
}


def change_state(
    terminal: Terminal,
    name: str,
    word: str,
    words: dict[str, str | None],
    more: tuple[object, ...] = (),
    *,
    is_sure: bool,
) -> None:
    """Carry out one of ACTIONS; end with 1 if the contract's state does not allow it.

    Args:
        terminal: the surroundings.
        name: which action.
        word: what names the contract.
        words: what was typed for columns of the contract, in the order of the function's arguments.
        more: the function's further arguments.
        is_sure: whether a person said so already.
    """
    action = ACTIONS[name]
    before = asyncio.run(_state(terminal, word))
    if action.sure and not action.is_so(before):
        question = terminal.speak(action.sure, contract=before["id"], client=before["client"])
        be_sure(terminal, question, is_sure=is_sure)

    async def change(desk: Desk) -> tuple[int, tuple[object, ...]]:
        row = await desk.read(fields.CONTRACT, words)
        desk.stop_if_wrong()
        return before["id"], (*(row.get(column) for column in words), *more)

    _carry_out(terminal, action, change, client=before["client"])


def change_plan(terminal: Terminal, word: str, plan: str, why: str | None) -> None:
    """Give a contract another plan, with the reason for it; the circuit goes with the old one (seed S2, line 241)."""

    async def change(desk: Desk) -> tuple[int, tuple[object, ...]]:
        contract_id = await desk.resolve("contract", word)
        await desk.permits.refuse_if_active(await desk.store.record("contract", contract_id) or {})
        plan_id = await desk.resolve("plan", plan)
        row = await desk.read(fields.CONTRACT, {"inclusion_reason": why})
        desk.stop_if_wrong()
        return contract_id, (plan_id, row.get("inclusion_reason"))

    _carry_out(terminal, _CHANGE_PLAN, change, plan=plan)


def change_owner(
    terminal: Terminal, word: str, client: str, *, with_receivables_cancelled: bool, is_sure: bool
) -> None:
    """Give a contract to another client; sessions keep whose they were when they began."""
    before, other = asyncio.run(_look_at_owners(terminal, word, client))
    if before["client_id"] != other["id"]:
        _ = terminal.speak
        question = _(_CHANGE_OWNER.sure, contract=before["id"], client=before["client"], other=other["name"])
        be_sure(terminal, question, is_sure=is_sure)

    async def change(desk: Desk) -> tuple[int, tuple[object, ...]]:
        return before["id"], (other["id"], with_receivables_cancelled)

    _carry_out(terminal, _CHANGE_OWNER, change, client=other["name"])


async def _look_at_owners(terminal: Terminal, word: str, client: str) -> tuple[Answer, Answer]:
    async with working(terminal) as desk:
        contract_id = await desk.resolve("contract", word)
        client_id = await desk.resolve("client", client)
        return await desk.store.record("contract", contract_id) or {}, await desk.store.record(
            "client", client_id
        ) or {}


async def _state(terminal: Terminal, word: str) -> Answer:
    async with working(terminal) as desk:
        return await desk.store.record("contract", await desk.resolve("contract", word)) or {}


def _carry_out(terminal: Terminal, action: Action, change: Callable[[Desk], Any], **told: object) -> None:
    answer, now, warnings = asyncio.run(_change(terminal, action, change))
    _ = terminal.speak
    if answer["code"] not in (_DONE, _IS_SO):
        _refuse(terminal, answer, now, told)
    until = answer.get("released_until") or answer.get("not_reduced_until")
    shown = terminal.instant(until) if until is not None and hasattr(until, "hour") else until
    is_done = answer["code"] == _DONE
    text = (
        _(action.done, contract=now["id"], until=shown, **told)
        if is_done
        else _("Contract {contract} is so already.", contract=now["id"])
    )
    if terminal.options.is_json:
        facts = {"changed": is_done, "message": text, "warnings": warnings}
        terminal.json({"saved": True, **facts, **_plain(answer), "contract": now})
        return
    terminal.line(text, "green" if is_done else "")
    for warning in warnings:
        terminal.complain(_("Warning: {warning}", warning=warning))


async def _change(
    terminal: Terminal, action: Action, change: Callable[[Desk], Any]
) -> tuple[Answer, Answer, list[str]]:
    """Return the function's answer, the contract after it, and what is worth knowing."""
    _ = terminal.speak
    async with working(terminal) as desk:
        contract_id, arguments = await change(desk)
        answer = await desk.store.row(action.question, contract_id, *arguments)
        assert answer is not None
        now = await desk.store.record("contract", contract_id) or {}
        if answer["reason"] == "equipment_lent":
            lent = await desk.store.rows("lent_of_contract", contract_id)
            answer["equipment"] = ", ".join(row["name"] for row in lent)
        elif answer["reason"] in ("too_short", "too_long"):
            for name in ("days_min", "days_max"):
                parameter = PARAMETERS[f"suspension_{name}"]
                answer[name] = await desk.store.parameter(parameter.name, now["branch_id"]) or parameter.default
        if answer.get("circuit_taken"):
            desk.warnings.append(_(CIRCUIT_GONE, circuit=answer["circuit_taken"]))
        if action is _CHANGE_OWNER and answer["code"] == _DONE and now["access_status"] != "A":
            desk.warnings.append(_(_STAYS_CLOSED, access_status=now["access_status"]))
        return answer, now, desk.warnings


def _refuse(terminal: Terminal, answer: Answer, now: Answer, told: dict[str, object]) -> NoReturn:
    _ = terminal.speak
    english = _REFUSALS.get(answer["reason"])
    text = (
        _(english, **{**told, **_plain(answer)})
        if english
        else _(
            "Contract {contract} cannot be changed so: its status is {status}, its access status {access_status}.",
            contract=now["id"],
            status=now["status"],
            access_status=now["access_status"],
        )
    )
    state = {key: now[key] for key in ("status", "access_status", "suspended")}
    if answer["code"] != _BAD_INPUT:
        fail(terminal, text, **_plain(answer), **state)
    refuse(terminal, text, **_plain(answer), **state)


def _plain(answer: Answer) -> Answer:
    return {key: value.isoformat() if isinstance(value, date) else value for key, value in answer.items()}


# What erp.unlock_on_trust answers besides "unlocked", as IXC's codes and in words.
_TRUST_REFUSALS = {
    "contract_not_found": _("The contract was not found."),
    "contract_inactive": _("The contract is not active."),
    "not_needed": _("The contract is not blocked: no trust unlock is needed."),
    "not_blocked_automatically": _("Only a contract that is blocked automatically can be unblocked on trust."),
    "not_allowed": _("The contract or the parameter trust_unlock allows no trust unlock."),
    "already_used": _("The trust unlock was used for the receivable due on {due_on} and that is not paid."),
}


def unlock_on_trust(terminal: Terminal, word: str, days: int | None) -> None:
    """Unblock a contract on a promise (rule R4.2); end with 1 if it is not possible, with the code that says why."""
    contract_id, answer = asyncio.run(_unlock_on_trust(terminal, word, days))
    _ = terminal.speak
    is_done = answer["code"] == _DONE
    if is_done:
        text = _(
            "Contract {contract} unblocked on trust until {until}.",
            contract=contract_id,
            until=terminal.instant(answer["unlocked_until"]),
        )
    else:
        text = _(_TRUST_REFUSALS[answer["reason"]], due_on=answer["due_on"])
    if terminal.options.is_json:
        terminal.json({"saved": is_done, "message": text, "contract_id": contract_id, **answer})
    elif is_done:
        terminal.line(text, "green")
    else:
        terminal.complain(f"{answer['code']}: {text}")
    if not is_done:
        terminal.refuse()


async def _unlock_on_trust(terminal: Terminal, word: str, days: int | None) -> tuple[int, Answer]:
    async with working(terminal) as desk:
        contract_id = await desk.resolve("contract", word)
        answer = await desk.store.row("trust_unlock", contract_id, days)
        assert answer is not None
        return contract_id, _plain(answer)
