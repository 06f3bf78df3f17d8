"""`aaad contract …`: what is particular about contracts: their states, each changed by one statement, and circuits.

Which state may follow which stands in the statements' conditions (`aaad/erp/queries.sql`): who comes second under a
race changes nothing and is told how things stand.
"""

import asyncio
from collections.abc import Callable
from datetime import date
from typing import Any, NamedTuple

from aaad.cli.records import Desk, Room, be_sure, fail, show_list, shown_value, working
from aaad.cli.terminal import Terminal
from aaad.erp import fields, validate
from aaad.erp.values import Value
from aaad.errors import InvalidValue


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


class Action(NamedTuple):
    """One change of a contract's state."""

    change: str  # of the store
    done: str  # said when it is done
    is_so: Callable[[dict[str, Any]], bool]  # the state is already what was asked for
    question: str = ""  # asked before; without it nothing is asked


ACTIONS = {
    "block": Action(
        "block_contract", _("Contract {contract} blocked."), lambda now: bool(now["access_status"] == "CM")
    ),
    "unblock": Action(
        "unblock_contract", _("Contract {contract} unblocked."), lambda now: bool(now["access_status"] == "A")
    ),
    "cancel": Action(
        "cancel_contract",
        _("Contract {contract} cancelled."),
        lambda now: bool(now["status"] == "D"),
        _("Cancel contract {contract} of {client}?"),
    ),
    "suspend": Action(
        "suspend_contract",
        _("Plan suspended successfully."),
        lambda now: bool(now["suspended"]),
        _("Suspend contract {contract} of {client}?"),
    ),
    "resume": Action("resume_contract", _("Contract {contract} resumed."), lambda now: not now["suspended"]),
    "activate": Action(
        "activate_contract",
        _("Contract {contract} activated."),
        lambda now: bool(now["status"] == "A" and now["access_status"] not in ("AA", "CE", "D")),
    ),
}
_CIRCUIT_GONE = _("the circuit {circuit} was of the old plan: name a new one with `aaad contract circuit`")


async def _complete(desk: Desk, row: dict[str, Value], row_id: int | None) -> None:
    """A new contract is of its client's branch; another plan does not take the old circuit along (seed S2, 241)."""
    client_id = row.get("client_id")
    if row_id is None:
        client = await desk.store.record("client", client_id) if isinstance(client_id, int) else None
        if client and "branch_id" not in row:
            row["branch_id"] = client["branch_id"]
        return
    before = await desk.store.record("contract", row_id) or {}
    changes_plan = "plan_id" in row and row["plan_id"] != before.get("plan_id")
    if changes_plan and before.get("circuit") and "circuit" not in row:
        row["circuit"] = None
        desk.warnings.append(desk.terminal.speak(_CIRCUIT_GONE, circuit=before["circuit"]))


async def _warn(desk: Desk, row: dict[str, Value], row_id: int) -> None:
    """Nothing to warn of that `_complete` did not."""


def _show_more(terminal: Terminal, record: dict[str, Any]) -> None:
    _ = terminal.speak
    if record["suspended"]:
        terminal.line("  " + _("suspended at the client's wish"), "yellow")
    if not record["logins"]:
        return
    table = terminal.table(_("login"), _("name"), _("authentication"), _("active"), _("IPv4"), _("MAC"), _("deleted"))
    for login in record["logins"]:
        columns = ("id", "name", "authentication", "active", "ipv4", "mac")
        deleted = terminal.instant(login["deleted_at"]) or "-"
        table.add(*(shown_value(terminal, login[column]) for column in columns), deleted)
    table.print()


ROOM = Room(fields.CONTRACT, _complete, _warn, _show_more)


class Filter(NamedTuple):
    """Which contracts are listed; None: any."""

    client: str | None
    plan: str | None
    status: str | None
    access_status: str | None


def list_contracts(terminal: Terminal, wanted: Filter, limit: int) -> None:
    """List contracts."""
    _ = terminal.speak

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            words = {"status": wanted.status, "access_status": wanted.access_status}
            codes = await desk.read(fields.CONTRACT, words)
            desk.stop_if_wrong()
            client = await desk.resolve("client", wanted.client) if wanted.client else None
            plan = await desk.resolve("plan", wanted.plan) if wanted.plan else None
            return await desk.store.rows(
                "list_contracts", client, plan, codes.get("status"), codes.get("access_status"), limit + 1
            )

    columns = {
        "id": _("contract"),
        "client": _("client"),
        "plan": _("plan"),
        "kind": _("kind"),
        "status": _("status"),
        "access_status": _("access"),
        "suspended": _("suspended"),
        "activated_on": _("active since"),
        "circuit": _("circuit"),
    }
    show_list(terminal, asyncio.run(find()), columns, limit)


def change_state(terminal: Terminal, name: str, word: str, words: dict[str, str | None], *, is_sure: bool) -> None:
    """Carry out one of ACTIONS; end with 1 if the contract's state does not allow it."""
    action = ACTIONS[name]
    _ = terminal.speak
    before = asyncio.run(_state(terminal, word))
    if action.question and not action.is_so(before):
        be_sure(terminal, _(action.question, contract=before["id"], client=before["client"]), is_sure=is_sure)
    is_done, now, warnings = asyncio.run(_change(terminal, action, before["id"], words))
    if not is_done and not action.is_so(now):
        _refuse(terminal, now)
    text = (
        _(action.done, contract=now["id"]) if is_done else _("Contract {contract} is so already.", contract=now["id"])
    )
    if terminal.options.is_json:
        terminal.json({"saved": True, "changed": is_done, "message": text, "warnings": warnings, "contract": now})
        return
    terminal.line(text, "green" if is_done else "")


async def _state(terminal: Terminal, word: str) -> dict[str, Any]:
    async with working(terminal) as desk:
        return await desk.store.record("contract", await desk.resolve("contract", word)) or {}


async def _change(
    terminal: Terminal, action: Action, contract_id: int, words: dict[str, str | None]
) -> tuple[bool, dict[str, Any], list[str]]:
    """Return whether it changed anything, and the contract after that."""
    async with working(terminal) as desk:
        row = await desk.read(fields.CONTRACT, words)
        desk.stop_if_wrong()
        is_done = await desk.store.act(action.change, contract_id, *(row.get(column) for column in words))
        return is_done, await desk.store.record("contract", contract_id) or {}, desk.warnings


def _refuse(terminal: Terminal, now: dict[str, Any]) -> None:
    _ = terminal.speak
    text = _(
        "Contract {contract} cannot be changed so: its status is {status}, its access status {access_status}.",
        contract=now["id"],
        status=now["status"],
        access_status=now["access_status"],
    )
    fail(terminal, text, status=now["status"], access_status=now["access_status"], suspended=now["suspended"])


def set_circuit(terminal: Terminal, word: str, name: str) -> None:
    """Give a contract a circuit, by default made of city, client and number (seed S2, lines 245 to 250)."""
    contract_id, circuit = asyncio.run(_set_circuit(terminal, word, name))
    _ = terminal.speak
    if terminal.options.is_json:
        terminal.json({"saved": True, "message": _("Circuit added"), "contract_id": contract_id, "circuit": circuit})
    else:
        terminal.line(_("Circuit added"), "green")
        terminal.line(circuit)


async def _set_circuit(terminal: Terminal, word: str, name: str) -> tuple[int, str]:
    async with working(terminal) as desk:
        contract_id = await desk.resolve("contract", word)
        row = await desk.read(fields.CONTRACT, {"circuit": name or None})
        desk.stop_if_wrong()
        circuit = str(row.get("circuit") or await _default_circuit(desk, contract_id))
        await desk.store.act("set_circuit", contract_id, circuit)
        return contract_id, circuit


async def _default_circuit(desk: Desk, contract_id: int) -> str:
    _ = desk.terminal.speak
    parts = await desk.store.row("circuit_parts", contract_id)
    assert parts is not None
    try:
        return validate.default_circuit(parts["city"] or "", parts["client_id"], parts["plan_number"])
    except InvalidValue:
        fail(
            desk.terminal,
            _("No circuit can be made of city {city} and client {client}: give its name.",
              city=parts["city"] or "-", client=parts["client_id"]),
        )  # fmt: skip


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
    is_done = answer["code"] == 0
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


async def _unlock_on_trust(terminal: Terminal, word: str, days: int | None) -> tuple[int, dict[str, Any]]:
    async with working(terminal) as desk:
        contract_id = await desk.resolve("contract", word)
        answer = await desk.store.row("trust_unlock", contract_id, days)
        assert answer is not None
        return contract_id, {
            key: value.isoformat() if isinstance(value, date) else value for key, value in answer.items()
        }
