"""What a router has applied: who is connected, at which rate, and which addresses stand in its lists.

Reads only, one list a call, as the read-back of orders wants it (rule R8.3); values stay the router's own words. Its
tables are said in its way: a session's id with 0x before it, rates as plain numbers of bits, IPv6 addresses as
prefixes. A table that a router does not have, IPv6's in an old one, is empty.
"""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from aaad.errors import RouterTrap
from aaad.mikrotik.connection import RouterApi, Row

TRUE = frozenset({"true", "yes"})
_NOT_THERE = 0  # category: a missing item or command
_PERIODS_S = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
# A router that is broken may say anything: numbers are bounded, and longer ones are none.
_PERIOD = re.compile(r"(\d{1,12})(ms|[wdhms])", re.ASCII)
_CLOCK = re.compile(r"(?<!\d)(\d{1,12}):(\d\d):(\d\d)", re.ASCII)
_RATE = re.compile(r"(\d{1,18})([kMG]?)", re.ASCII)
_SECONDS = re.compile(r"\d{1,12}", re.ASCII)
_UNITS = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_QUEUE_OF_SESSION = re.compile(r"(?:<[a-z0-9]+-|hs-<)(.*)>", re.DOTALL)
_NUMBERED = re.compile(r"(.*)-\d{1,4}", re.DOTALL)


class ActiveKind(StrEnum):
    """In which of a router's tables a session stands."""

    PPP = "ppp"
    HOTSPOT = "hotspot"


ACTIVE_PATHS = {ActiveKind.PPP: "/ppp/active", ActiveKind.HOTSPOT: "/ip/hotspot/active"}
_ACTIVE_FIELDS = {
    ActiveKind.PPP: (".id", "name", "service", "caller-id", "address", "uptime", "session-id", "radius"),
    ActiveKind.HOTSPOT: (".id", "user", "address", "mac-address", "uptime", "session-id", "radius"),
}
NAME_FIELDS = {ActiveKind.PPP: "name", ActiveKind.HOTSPOT: "user"}


class Active(NamedTuple):
    """A session as a router has it."""

    row_id: str  # never to be kept: a reboot gives it to another
    kind: ActiveKind
    name: str
    session_id: str  # as in Acct-Session-Id; empty where the router does not say it, as it does not for Hotspot
    address: str  # empty: none
    caller: str  # a MAC, mostly
    uptime_s: int | None  # None: not said
    is_radius: bool


class SessionRate(NamedTuple):
    """The queue that limits a session, in the words of the router: upload before download."""

    name: str  # of the user
    queue: str
    target: str
    max_limit: str
    limit_at: str
    burst_limit: str
    burst_threshold: str
    burst_time: str
    priority: str
    is_disabled: bool


class Entry(NamedTuple):
    """An address in one of a router's lists."""

    row_id: str
    list: str
    address: str  # canonical: without a prefix length where it is one address
    comment: str
    is_dynamic: bool  # a session's own, or one with a timeout: not in the router's flash
    is_disabled: bool


class Family(StrEnum):
    """Which of the two kinds of address lists."""

    IPV4 = "ip"
    IPV6 = "ipv6"


def family_of(address: str) -> Family:
    """Return in which kind of list an address or prefix stands; ValueError if it is none."""
    return Family.IPV6 if ip_network(address, strict=False).version == 6 else Family.IPV4


def list_path(family: Family) -> str:
    """Return the path of the address lists of a family."""
    return f"/{family}/firewall/address-list"


async def read_active(api: RouterApi, kinds: Iterable[ActiveKind] = tuple(ActiveKind)) -> tuple[Active, ...]:
    """Return everybody who is connected; RouterError."""
    found: list[Active] = []
    for kind in kinds:
        found += [_active(kind, row) for row in await rows_of(api, ACTIVE_PATHS[kind], _ACTIVE_FIELDS[kind])]
    return tuple(found)


async def find_active(api: RouterApi, kind: ActiveKind, name: str) -> tuple[Active, ...]:
    """Return the sessions of a user name; RouterError."""
    rows = await rows_of(api, ACTIVE_PATHS[kind], _ACTIVE_FIELDS[kind], [f"?{NAME_FIELDS[kind]}={name}"])
    return tuple(_active(kind, row) for row in rows)


async def read_rates(api: RouterApi) -> tuple[SessionRate, ...]:
    """Return the queues that sessions have, not those that somebody configured; RouterError."""
    fields = "name target max-limit limit-at burst-limit burst-threshold burst-time priority dynamic disabled"
    rows = await rows_of(api, "/queue/simple", fields.split(), ["?dynamic=true"])
    return tuple(rate for rate in map(_rate, rows) if rate is not None)


async def read_entries(
    api: RouterApi, family: Family, names: Sequence[str] = (), address: str = ""
) -> tuple[Entry, ...]:
    """Return what stands in the address lists of these names, of all if there are none; RouterError.

    `address`: only what the router writes just so.
    """
    where = [f"?list={name}" for name in names]
    where += ["?#" + "|" * (len(names) - 1)] if len(names) > 1 else []
    where += [f"?address={address}"] if address else []
    fields = (".id", "list", "address", "comment", "dynamic", "disabled")
    return tuple(_entry(row) for row in await rows_of(api, list_path(family), fields, where))


async def rows_of(api: RouterApi, path: str, fields: Sequence[str] = (), where: Sequence[str] = ()) -> list[Row]:
    """Return rows, none where the router has no such table; RouterError."""
    try:
        return await api.rows(path, fields, where)
    except RouterTrap as trap:
        if trap.category != _NOT_THERE and "no such command" not in trap.message:
            raise
        return []


def same_session(one: str, other: str) -> bool:
    """Tell whether two ways to say an Acct-Session-Id say the same."""
    return one != "" and _plain_id(one) == _plain_id(other)


def _plain_id(session_id: str) -> str:
    plain = session_id.lower().removeprefix("0x")
    return plain.lstrip("0") or plain


def canonical(address: str) -> str:
    """Return an address, or a prefix that is more than one, in its one way to write it; other texts as they are."""
    try:
        network = ip_network(address, strict=False)
    except ValueError:
        return address  # a range, or a name that the router resolves
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def seconds_of(period: str) -> int | None:
    """Return the seconds of `1w2d3h4m5s`, `1d02:03:04` or `5s`; None if it is no period."""
    total, rest = 0, period
    if clock := _CLOCK.search(rest):
        hours, minutes, seconds = map(int, clock.groups())
        total, rest = 3600 * hours + 60 * minutes + seconds, rest[: clock.start()]
    if _PERIOD.sub("", rest) or not period:
        return int(period) if _SECONDS.fullmatch(period) else None
    return total + sum(int(count) * _PERIODS_S.get(unit, 0) for count, unit in _PERIOD.findall(rest))


def bits_of(rates: str) -> tuple[int, int] | None:
    """Return upload and download, in bits a second, of `10M/50M`, `10000000/50000000` or `10M`; None: no rates."""
    upload, slash, download = rates.partition("/")
    found = [_RATE.fullmatch(side) for side in (upload, download if slash else upload)]
    if found[0] is None or found[1] is None:
        return None
    return int(found[0][1]) * _UNITS[found[0][2]], int(found[1][1]) * _UNITS[found[1][2]]


def has_rate(rate: SessionRate | None, rate_limit: str) -> bool:
    """Tell whether a session's queue limits to what a Mikrotik-Rate-Limit says; None: it has no queue.

    Of the fields behind the first the burst alone counts: a router fills in what else is left out. No burst is one of
    0, that a burst of before may stand in for. Both rates 0 is no limit, and then there may be no queue.
    """
    said = rate_limit.split()
    wanted = bits_of(said[0]) if said else (0, 0)
    if rate is None or rate.is_disabled:
        return wanted == (0, 0)
    if bits_of(rate.max_limit) != wanted:
        return False
    burst = bits_of(said[1]) if len(said) > 1 else (0, 0)
    return bits_of(rate.burst_limit or "0/0") == burst


def rates_by_name(rates: Iterable[SessionRate]) -> dict[str, list[SessionRate]]:
    """Return the queues of each user name; the one of a second session, `<pppoe-NAME-1>`, behind NAME's own, too."""
    by_name: dict[str, list[SessionRate]] = {}
    for rate in rates:
        by_name.setdefault(rate.name, []).insert(0, rate)
        if numbered := _NUMBERED.fullmatch(rate.name):
            by_name.setdefault(numbered[1], []).append(rate)
    return by_name


def rate_of(
    by_name: Mapping[str, Sequence[SessionRate]], name: str, address: str = "", others: Container[str] = ()
) -> SessionRate | None:
    """Return the queue of a user's session, None if there is none.

    One whose target is the session's address comes first, then one of this very name, then one of a second session,
    unless `others` has somebody who is called just so.
    """
    found = by_name.get(name, ())
    return next(
        (rate for rate in found if address and rate.target == canonical(address)),
        next((rate for rate in found if rate.name == name or rate.name not in others), None),
    )


def _active(kind: ActiveKind, row: Row) -> Active:
    address, caller = row.get("address", ""), row.get("mac-address") or row.get("caller-id", "")
    with suppress(ValueError):  # then it is kept as it is said
        address = str(ip_address(address)) if address else ""
    return Active(
        row_id=row.get(".id", ""),
        kind=kind,
        name=row.get(NAME_FIELDS[kind]) or caller,
        session_id=row.get("session-id", "").lower().removeprefix("0x"),
        address=address,
        caller=caller,
        uptime_s=seconds_of(row.get("uptime", "")),
        is_radius=row.get("radius") in TRUE,
    )


def _rate(row: Row) -> SessionRate | None:
    found = _QUEUE_OF_SESSION.fullmatch(row.get("name", ""))
    if found is None:
        return None
    return SessionRate(
        name=found[1],
        queue=row["name"],
        target=canonical(row.get("target", "")),
        max_limit=row.get("max-limit", ""),
        limit_at=row.get("limit-at", ""),
        burst_limit=row.get("burst-limit", ""),
        burst_threshold=row.get("burst-threshold", ""),
        burst_time=row.get("burst-time", ""),
        priority=row.get("priority", ""),
        is_disabled=row.get("disabled") in TRUE,
    )


def _entry(row: Row) -> Entry:
    return Entry(
        row_id=row.get(".id", ""),
        list=row.get("list", ""),
        address=canonical(row.get("address", "")),
        comment=row.get("comment", ""),
        is_dynamic=row.get("dynamic") in TRUE,
        is_disabled=row.get("disabled") in TRUE,
    )
