"""`aaad lease …`: who has an address, who had it, and taking one back (rule R7).

The ledger tells of now: one row for each address. Who had it before is told by the connections that reported it.
"""

import asyncio
from datetime import datetime
from ipaddress import ip_interface
from typing import Any, NamedTuple

from aaad.cli.pool_ranges import read_reason
from aaad.cli.pool_words import lease_state_text
from aaad.cli.records import fail, working
from aaad.cli.session_words import end_text, instant_text, iso_text, state_text
from aaad.cli.sheets import Column, Document, plain, refuse_both_forms, show_table, write_csv
from aaad.cli.terminal import Terminal
from aaad.errors import MistypedError
from aaad.pools.holdings import STATES, Holdings, Network, Wanted
from aaad.sessions.reports import short_name

NAMES = (
    "address_space", "address", "state", "pool_id", "pool", "login_id", "login", "client_id", "client", "mac",
    "nas_id", "nas", "offered_at", "valid_until", "released_at", "free_from", "is_free",
)  # fmt: skip
HOLDER_NAMES = (
    "session", "state", "user_name", "login_id", "login", "client_id", "client", "nas_id", "nas", "address_space",
    "mac", "time_zone", "started_at", "heard_at", "ended_at", "ended_latest", "end_evidence", "terminate_cause",
    "acct_session_id", "ipv4", "ipv6_prefix", "delegated_ipv6_prefix",
)  # fmt: skip
_STYLES = {"released": "dim", "foreign": "bold yellow"}
_MAC_MAX = 1 << 48
_INSTANTS = ("offered_at", "valid_until", "released_at", "free_from")


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


_ADDRESS_ALLOWED = _("{option}: {word} is not valid. Allowed: an IPv4 or IPv6 address, or a network with its length")


class Filter(NamedTuple):
    """What was typed; None: any."""

    pool: str | None = None
    login: str | None = None
    address: str | None = None
    space: int | None = None
    state: str | None = None


def read_network(option: str, word: str) -> Network:
    """Return an address or network as it was typed; MistypedError if it is none."""
    try:
        return ip_interface(word.strip()).network
    except ValueError:
        raise MistypedError(_ADDRESS_ALLOWED, option=option, word=repr(word)) from None


def list_leases(terminal: Terminal, typed: Filter, limit: int, *, is_csv: bool) -> None:
    """List what the ledger says, in order of the address."""
    refuse_both_forms(terminal, is_csv=is_csv)
    network = read_network("--address", typed.address) if typed.address is not None else None

    async def find() -> list[dict[str, Any]]:
        async with working(terminal) as desk:
            wanted = Wanted(
                pool_id=await desk.resolve("pool", typed.pool) if typed.pool is not None else None,
                login_id=await desk.resolve("login", typed.login) if typed.login is not None else None,
                network=network,
                address_space=typed.space,
                states=(typed.state,) if typed.state else STATES,
            )
            return await Holdings(desk.store.queries).leases(wanted, limit + 1)

    rows = asyncio.run(find())
    documents = [_document(row) for row in rows[:limit]]
    if terminal.options.is_json:
        terminal.json(documents)
    elif is_csv:
        write_csv(NAMES, documents)
    else:
        show_table(terminal, _columns(terminal), documents, lambda row: _STYLES.get(row["state"], ""))
    if len(rows) > limit and not terminal.options.is_json:
        _ = terminal.speak
        terminal.complain(_("There are more than {limit}: see --limit.", limit=limit))


def _document(row: dict[str, Any]) -> dict[str, Any]:
    """Return a lease as JSON has it; the device's MAC where it is known by that."""
    made: dict[str, Any] = {**row, "mac": mac_text(row.get("device"))}
    for name in _INSTANTS:
        made[name] = iso_text(row.get(name), "UTC")
    return {name: made.get(name) for name in NAMES}


def mac_text(device: int | None) -> str | None:
    """Return a device's MAC; None: it is known by something else, or not at all."""
    if not device or not 0 < device < _MAC_MAX:
        return None
    return ":".join(f"{octet:02X}" for octet in device.to_bytes(6, "big"))


def _columns(terminal: Terminal) -> list[Column]:
    _ = terminal.speak

    def until(row: Document) -> str:
        match row["state"]:
            case "bound":
                return terminal.instant(row["valid_until"])
            case "released":
                if row["is_free"]:
                    return _("free now")
                return _("rests until {at}", at=terminal.instant(row["free_from"]))
            case _:
                return ""

    return [
        Column(_("space"), lambda row: row["address_space"]),
        Column(_("address"), lambda row: row["address"]),
        Column(_("state"), lambda row: lease_state_text(terminal.speak, row["state"])),
        Column(_("login"), lambda row: row["login"] or (f"#{row['login_id']}" if row["login_id"] else "")),
        Column(_("client"), lambda row: row["client"] or ""),
        Column(_("pool"), lambda row: row["pool"] or ""),
        Column(_("concentrator"), lambda row: row["nas"] or ""),
        Column(_("MAC"), lambda row: row["mac"] or ""),
        Column(_("given"), lambda row: terminal.instant(row["offered_at"])),
        Column(_("until"), until),
    ]


# --- history --------------------------------------------------------------------------------------------------------


def show_history(terminal: Terminal, address: str, space: int | None, limit: int, *, is_csv: bool) -> None:
    """Show who has an address by the ledger, and the connections that had it; end with 1 if there is neither."""
    refuse_both_forms(terminal, is_csv=is_csv)
    network = read_network("ADDRESS", address)

    async def find() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        async with working(terminal) as desk:
            holdings = Holdings(desk.store.queries)
            now = await holdings.leases(Wanted(network=network, address_space=space), limit)
            return now, await holdings.former_holders(network, space, limit + 1)

    leases, sessions = asyncio.run(find())
    current = [_document(row) for row in leases]
    holders = [_holder(row) for row in sessions[:limit]]
    if terminal.options.is_json:
        terminal.json({"address": str(network), "ledger": current, "sessions": holders})
    elif is_csv:
        write_csv(HOLDER_NAMES, holders)
    else:
        _show_holders(terminal, current, holders)
        if len(sessions) > limit:
            _ = terminal.speak
            terminal.complain(_("There are more than {limit}: see --limit.", limit=limit))
    if not current and not holders:
        if not terminal.options.is_json:
            _ = terminal.speak
            terminal.complain(_("Nobody has {address}, and no connection had it.", address=address))
        terminal.refuse()


def _holder(row: dict[str, Any]) -> dict[str, Any]:
    instants = ("started_at", "heard_at", "ended_at", "ended_latest")
    made: dict[str, Any] = {
        **row,
        **{name: iso_text(row[name], row["time_zone"]) for name in instants},
        **{name: str(row[name]) if row[name] else None for name in ("ipv4", "ipv6_prefix", "delegated_ipv6_prefix")},
        "session": short_name(row["family"], row["life"]),
        "mac": str(row["mac"]).upper() if row["mac"] is not None else None,
    }
    return {name: made[name] for name in HOLDER_NAMES}


def _show_holders(terminal: Terminal, current: list[dict[str, Any]], holders: list[dict[str, Any]]) -> None:
    _ = terminal.speak
    terminal.line(_("The ledger now"), "bold")
    show_table(terminal, _columns(terminal), current, plain)
    terminal.line()
    terminal.line(_("Connections that had it, the latest first"), "bold")
    show_table(
        terminal,
        [
            Column(_("session"), lambda row: row["session"]),
            Column(_("login"), lambda row: row["login"] or row["user_name"]),
            Column(_("client"), lambda row: row["client"] or ""),
            Column(_("state"), lambda row: state_text(terminal.speak, row["state"])),
            Column(_("concentrator"), lambda row: row["nas"] or ""),
            Column(_("MAC"), lambda row: row["mac"] or ""),
            Column(_("began"), lambda row: _when(terminal, row, "started_at")),
            Column(_("ended"), lambda row: _when(terminal, row, "ended_at")),
            Column(_("why"), lambda row: end_text(terminal.speak, row["end_evidence"], row["terminate_cause"])),
        ],
        holders,
        plain,
    )


def _when(terminal: Terminal, row: Document, name: str) -> str:
    at = row[name]
    return instant_text(terminal, datetime.fromisoformat(at) if at else None, row["time_zone"])


# --- release --------------------------------------------------------------------------------------------------------


def release(terminal: Terminal, address: str, space: int | None, reason: str | None, *, is_forced: bool) -> None:
    """Take an address back; end with 1 if a connection uses it, unless it is forced with a reason."""
    _ = terminal.speak
    network = read_network("ADDRESS", address)
    if is_forced and reason is None:
        raise MistypedError(FORCE_NEEDS_REASON)
    why = read_reason("--reason", reason) if reason is not None else ""

    async def write() -> dict[str, Any]:
        async with working(terminal) as desk:
            holdings = Holdings(desk.store.queries)
            lease = await _held(terminal, holdings, network, space, address)
            sessions = await holdings.live_sessions(lease["address_space"], lease["address"])
            if sessions and not is_forced:
                _refuse_used(terminal, lease, sessions)
            if not await holdings.release(lease["address_space"], lease["address"], lease["state"]):
                fail(terminal, _("Nobody has {address}: there is nothing to take back.", address=lease["address"]))
            text = f"lease {lease['address']} of pool {lease['pool'] or '-'} released"
            await holdings.tell(lease["login_id"], "lease_released", f"{text}: {why}" if why else text)
            free_from = await holdings.free_from(lease["address_space"], lease["address"])
            return {**lease, "free_from": free_from, "sessions": len(sessions)}

    done = asyncio.run(write())
    if terminal.options.is_json:
        answer = {name: done[name] for name in ("address_space", "address", "pool", "login_id", "login", "sessions")}
        terminal.json({"saved": True, **answer, "free_from": iso_text(done["free_from"], "UTC")})
        return
    terminal.line(
        _(
            "{address} of {login} was taken back; another login may have it from {at} on.",
            address=done["address"],
            login=done["login"] or "-",
            at=terminal.instant(done["free_from"]),
        ),
        "green",
    )
    if done["sessions"]:
        terminal.complain(
            _(
                "Warning: {count} connections with it are not closed. Close them: aaad session close.",
                count=done["sessions"],
            )
        )


FORCE_NEEDS_REASON = _("--force: a reason is required, which goes into the history: --reason TEXT")


async def _held(
    terminal: Terminal, holdings: Holdings, network: Network, space: int | None, word: str
) -> dict[str, Any]:
    """Return the one lease that is meant; end with 1 if it is none that can be taken back."""
    _ = terminal.speak
    found = await holdings.lock(network, space)
    if not found:
        fail(terminal, _("{address} is not in the ledger: nobody was given it.", address=word))
    if len(found) > 1:
        spaces = ", ".join(str(row["address_space"]) for row in found)
        fail(
            terminal, _("{address} is in several address spaces, say --space: {spaces}", address=word, spaces=spaces)
        )
    lease = found[0]
    if lease["state"] == "fixed":
        text = _("{address} is login {login}'s own: change the login (aaad login edit, aaad login secondary).",
                 address=lease["address"], login=lease["login"] or lease["login_id"])  # fmt: skip
        fail(terminal, text)
    return lease


def _refuse_used(terminal: Terminal, lease: dict[str, Any], sessions: list[dict[str, Any]]) -> None:
    _ = terminal.speak
    told = ", ".join(
        _(
            "{session} of {login} at {nas}, last heard {at}",
            session=short_name(session["family"], session["life"]),
            login=session["user_name"],
            nas=session["nas"] or "-",
            at=instant_text(terminal, session["heard_at"], session["time_zone"]),
        )
        for session in sessions
    )
    fail(
        terminal,
        _(
            "{address} is in use: {sessions}. If the connection is dead, --force --reason TEXT.",
            address=lease["address"],
            sessions=told,
        ),
        sessions=[short_name(session["family"], session["life"]) for session in sessions],
    )
