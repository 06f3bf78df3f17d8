"""Making a router do what was decided, by its API: end sessions, forget Hotspot cookies, keep address-list entries.

Each of these looks first, acts, and looks again, so that to do it twice is to do it once, and what the router only
said that it did is told apart (`WithoutEffect`). Sessions are ended by their Acct-Session-Id and never by name alone
(rule R8.1): who has redialled meanwhile is left in peace. An `.id` is used at once and never kept. Entries that are
not ours are never changed: ours carry a comment that begins with `aaad`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aaad.errors import RouterTrap
from aaad.mikrotik.applied import (
    ACTIVE_PATHS,
    Active,
    ActiveKind,
    Entry,
    Family,
    SessionRate,
    canonical,
    family_of,
    find_active,
    has_rate,
    list_path,
    rate_of,
    rates_by_name,
    read_active,
    read_entries,
    read_rates,
    rows_of,
    same_session,
)
from aaad.mikrotik.connection import RouterApi

__all__ = [
    "Active",
    "ActiveKind",
    "Added",
    "AlreadyThere",
    "Entry",
    "Family",
    "NotOurs",
    "NotThere",
    "OtherSession",
    "Removed",
    "SessionRate",
    "WithoutEffect",
    "add_entry",
    "has_rate",
    "list_entries",
    "rate_of",
    "rates_by_name",
    "read_active",
    "read_entries",
    "read_rates",
    "remove_active",
    "remove_cookies",
    "remove_entry",
]

OUR_MARK = "aaad"
COOKIE_PATH = "/ip/hotspot/cookie"
_NO_ITEM = 0  # category: gone between the look and the act
_SETTLING_S = (0.0, 0.1, 0.3, 1.0)  # a router takes its time to end a session: looks after these pauses
_UPTIME_SLACK_S = 5  # between a session's age as we know it and its uptime as the router does


@dataclass(frozen=True, slots=True)
class Removed:
    """It was there, and is no more."""


@dataclass(frozen=True, slots=True)
class NotThere:
    """There was nothing to remove."""


@dataclass(frozen=True, slots=True)
class OtherSession:
    """The user has another session than the one meant, which was not touched."""

    session_id: str  # of the other; empty where the router does not say it


@dataclass(frozen=True, slots=True)
class WithoutEffect:
    """The router said that it did it, and all is as before."""


@dataclass(frozen=True, slots=True)
class Added:
    """It was not there, and is now."""


@dataclass(frozen=True, slots=True)
class AlreadyThere:
    """It was there, by us or by somebody else."""

    is_ours: bool


@dataclass(frozen=True, slots=True)
class NotOurs:
    """It is somebody else's, and was not touched."""

    comment: str


async def remove_active(
    api: RouterApi,
    kind: ActiveKind | str,
    name: str,
    session_id: str,
    *,
    address: str = "",
    age_s: float | None = None,
    check: Callable[[], Awaitable[None]] | None = None,
) -> Removed | NotThere | OtherSession | WithoutEffect:
    """End the session of this Acct-Session-Id, and no other one, if `check` does not raise then; RouterError.

    Where the router does not say the id, as it does not for Hotspot, a row is believed to be the session if it has
    this address and is not younger than this age; without both it is another one.
    """
    kind = ActiveKind(kind)

    async def look() -> tuple[Active | None, Sequence[Active]]:
        rows = await find_active(api, kind, name)
        return next((row for row in rows if _is_meant(row, session_id, address, age_s)), None), rows

    meant, others = await look()
    if meant is None:
        return OtherSession(others[0].session_id) if others else NotThere()
    if check is not None:
        await check()
    await _remove(api, ACTIVE_PATHS[kind], meant.row_id)
    for pause_s in _SETTLING_S:
        await asyncio.sleep(pause_s)
        left, _ = await look()
        if left is None:
            return Removed()
    return WithoutEffect()


def _is_meant(row: Active, session_id: str, address: str, age_s: float | None) -> bool:
    if row.session_id:
        return same_session(row.session_id, session_id)
    if not address or row.address != canonical(address) or age_s is None or row.uptime_s is None:
        return False
    return row.uptime_s + _UPTIME_SLACK_S >= age_s


async def remove_cookies(api: RouterApi, name: str, mac: str = "") -> int:
    """Forget a Hotspot user's cookies, by which he would be let in without being asked for; return how many.

    To be done before his session is ended. With a MAC, those of other devices of his stay. RouterError.
    """
    rows = await rows_of(api, COOKIE_PATH, [".id", "user", "mac-address"], [f"?user={name}"])
    meant = [row for row in rows if not mac or _digits(row.get("mac-address", "")) == _digits(mac)]
    for row in meant:
        await _remove(api, COOKIE_PATH, row[".id"])
    return len(meant)


async def add_entry(
    api: RouterApi, name: str, address: str, note: str = "", *, timeout_s: int = 0
) -> Added | AlreadyThere | NotOurs | WithoutEffect:
    """Have an address in a list, IPv4 or IPv6; one that is there already, whoever put it there, is well.

    With a timeout it is in the router's memory only, and wears no flash. One of ours that somebody switched off is
    switched on, and one that was another customer's bears this note from now on; one that is not ours and is off is
    told as `NotOurs`. RouterError; ValueError if it is no address.
    """
    family = family_of(address)
    there = await _find_entry(api, family, name, address)
    if there is not None:
        return await _switch_on(api, family, there, comment_of(note))
    words = {"list": name, "address": canonical(address), "comment": comment_of(note)}
    if timeout_s:
        words["timeout"] = f"{timeout_s}s"
    try:
        await api.command(f"{list_path(family)}/add", words)
    except RouterTrap as trap:
        if "already have" not in trap.message:
            raise
        there = await _find_entry(api, family, name, address, is_sought=True)
        return WithoutEffect() if there is None else await _switch_on(api, family, there, comment_of(note))
    there = await _find_entry(api, family, name, address, is_sought=True)
    return Added() if there is not None and not there.is_disabled else WithoutEffect()


async def _switch_on(
    api: RouterApi, family: Family, there: Entry, comment: str
) -> AlreadyThere | NotOurs | WithoutEffect:
    if not is_ours(there):
        return NotOurs(there.comment) if there.is_disabled else AlreadyThere(False)
    if not there.is_disabled and there.comment == comment:
        return AlreadyThere(True)
    await api.command(f"{list_path(family)}/set", {".id": there.row_id, "disabled": "no", "comment": comment})
    now = await _find_entry(api, family, there.list, there.address)
    return AlreadyThere(True) if now is not None and not now.is_disabled else WithoutEffect()


async def remove_entry(
    api: RouterApi, name: str, address: str, *, of_session: bool = False
) -> Removed | NotThere | NotOurs | WithoutEffect:
    """Take an address of ours out of a list; RouterError; ValueError if it is no address.

    With `of_session` also what the router itself put there for a session, since RADIUS told it to.
    """
    family = family_of(address)
    outcome: NotThere | Removed = NotThere()
    for _ in range(2):  # ours, and the session's own beside it
        there = await _find_entry(api, family, name, address, is_sought=outcome == NotThere())
        if there is None:
            return outcome
        if not is_ours(there) and not (of_session and there.is_dynamic and not there.comment):
            return NotOurs(there.comment) if outcome == NotThere() else outcome
        await _remove(api, list_path(family), there.row_id)
        outcome = Removed()
    left = await _find_entry(api, family, name, address)
    return WithoutEffect() if left is not None and (of_session or is_ours(left)) else outcome


async def list_entries(api: RouterApi, family: Family, names: Sequence[str] = ()) -> tuple[Entry, ...]:
    """Return the entries of ours, of these lists or of all; RouterError."""
    return tuple(entry for entry in await read_entries(api, family, names) if is_ours(entry))


def comment_of(note: str) -> str:
    """Return the comment of an entry of ours: whose it is, in one line."""
    plain = "".join(character if character.isprintable() else "?" for character in note).strip()
    return f"{OUR_MARK}: {plain}" if plain else OUR_MARK


def is_ours(entry: Entry) -> bool:
    """Tell whether we put an entry there."""
    return entry.comment == OUR_MARK or entry.comment.startswith(f"{OUR_MARK}: ")


async def _find_entry(
    api: RouterApi, family: Family, name: str, address: str, *, is_sought: bool = False
) -> Entry | None:
    """Return the entry of an address in a list: ours first, then any that is switched on.

    A list may hold thousands, so the router is asked for that address alone. With `is_sought` one that it writes in
    another way is looked for among all.
    """
    wanted = canonical(address)
    is_host = family is Family.IPV6 and "/" not in wanted
    written = f"{wanted}/128" if is_host else wanted  # as RouterOS shows it
    found = await read_entries(api, family, [name], written)
    if not found and is_sought:
        found = await read_entries(api, family, [name])
    meant = [entry for entry in found if entry.address == wanted]
    return min(meant, key=lambda entry: (not is_ours(entry), entry.is_disabled), default=None)


async def _remove(api: RouterApi, path: str, row_id: str) -> None:
    """Remove a row; one that has gone meanwhile is as well."""
    try:
        await api.command(f"{path}/remove", {".id": row_id})
    except RouterTrap as trap:
        if trap.category != _NO_ITEM and "no such item" not in trap.message:
            raise


def _digits(mac: str) -> str:
    return "".join(character for character in mac.lower() if character in "0123456789abcdef")
