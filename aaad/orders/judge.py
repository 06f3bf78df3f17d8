"""What a router's lists say of one order's session: as wanted, as before, gone, or another one in its place.

Speaks to nobody. Rules R8.1 (a session is known by its Acct-Session-Id), R8.3. Only what lists show is judged: rates
and address lists. What a session was told besides, such as its timeouts, shows nowhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aaad.mikrotik.applied import (
    Active,
    ActiveKind,
    Entry,
    SessionRate,
    canonical,
    has_rate,
    rate_of,
    rates_by_name,
    same_session,
)
from aaad.mikrotik.enforce import is_ours
from aaad.orders.cascade import Kind, Said
from aaad.radius.forms import IPV6_LIST

RATE, LIST, LIST_IPV6 = "Mikrotik-Rate-Limit", "Mikrotik-Address-List", IPV6_LIST
ADDRESS = "Framed-IP-Address"
UPTIME_SLACK_S = 5.0

Pairs = Sequence[tuple[str, str]]


class Wants(NamedTuple):
    """Which lists an order needs to be read."""

    rates: bool = False
    lists: frozenset[str] = frozenset()
    lists_ipv6: frozenset[str] = frozenset()

    def __or__(self, other: "Wants") -> "Wants":
        """Return what both need."""
        return Wants(self.rates or other.rates, self.lists | other.lists, self.lists_ipv6 | other.lists_ipv6)


class Subject(NamedTuple):
    """The session that an order is about, and what is wanted of it."""

    kind: Kind
    is_ppp: bool
    user_name: str
    session_id: str
    address: str
    ipv6_prefixes: tuple[str, ...] = ()
    age_s: float = 0.0
    wanted: Pairs = ()
    unsaid: Pairs = ()  # told before, and not wanted any more

    @property
    def wants(self) -> Wants:
        """What must be read to judge it."""
        if self.kind is Kind.DISCONNECT:
            return Wants()
        names = {which: frozenset(_of(self.wanted, which) + _of(self.unsaid, which)) for which in (LIST, LIST_IPV6)}
        return Wants(bool(_of(self.wanted, RATE)), names[LIST], names[LIST_IPV6])

    @property
    def has_lists(self) -> bool:
        """Whether address lists are in question, and it has an address to stand in them."""
        wants = self.wants
        return bool((wants.lists and self.address) or (wants.lists_ipv6 and self.ipv6_prefixes))


class Placing(NamedTuple):
    """One address that must stand in a list, or must not."""

    name: str
    address: str
    is_in: bool


def placings(subject: Subject) -> list[Placing]:
    """Return which addresses of a session must stand in which lists, and in which not."""
    found: list[Placing] = []
    for which, addresses in ((LIST, (subject.address,)), (LIST_IPV6, subject.ipv6_prefixes)):
        wanted = _of(subject.wanted, which)
        left = [name for name in _of(subject.unsaid, which) if name not in wanted]
        for address in filter(None, addresses):
            found += [Placing(name, address, True) for name in wanted]
            found += [Placing(name, address, False) for name in left]
    return found


@dataclass(frozen=True, slots=True)
class Seen:
    """A router's lists, read in one go."""

    active: Mapping[str, Sequence[Active]]  # by name
    rates: Mapping[str, Sequence[SessionRate]] = field(default_factory=dict)
    placed: frozenset[tuple[str, str]] = frozenset()  # list and address
    by_us: frozenset[tuple[str, str]] = frozenset()  # of these what we wrote, or the router for a session of ours


def seen_of(active: Iterable[Active], rates: Iterable[SessionRate], entries: Iterable[Entry]) -> Seen:
    """Put what was read in order."""
    by_name: dict[str, list[Active]] = {}
    for row in active:
        by_name.setdefault(row.name, []).append(row)
    placed = [entry for entry in entries if not entry.is_disabled]
    by_us = [entry for entry in placed if is_ours(entry) or (entry.is_dynamic and not entry.comment)]
    return Seen(by_name, rates_by_name(rates), _places(placed), _places(by_us))


def _places(entries: Iterable[Entry]) -> frozenset[tuple[str, str]]:
    return frozenset((entry.list, entry.address) for entry in entries)


def judge(subject: Subject, seen: Seen) -> Said:
    """Return what the lists say of a session."""
    rows = [row for row in seen.active.get(subject.user_name, ()) if (row.kind is ActiveKind.PPP) == subject.is_ppp]
    meant = next((row for row in rows if _is_meant(row, subject)), None)
    if meant is None:
        return Said.OTHER if rows else Said.GONE
    if subject.kind is Kind.DISCONNECT or (subject.is_ppp and _has_another_address(meant, subject)):
        return Said.AS_BEFORE
    rates = _of(subject.wanted, RATE)
    if rates and not has_rate(rate_of(seen.rates, subject.user_name, subject.address, seen.active), rates[0]):
        return Said.AS_BEFORE
    places = placings(subject)
    for place in places:
        found = seen.placed if place.is_in else seen.by_us  # what an administrator put there is his
        if ((place.name, canonical(place.address)) in found) != place.is_in:
            return Said.LISTS_DIFFER
    return Said.AS_WANTED if rates or places else Said.NOTHING_TO_READ


def _is_meant(row: Active, subject: Subject) -> bool:
    """A row without an id, as Hotspot's, is the session if it has its address and is not younger."""
    if row.session_id:
        return same_session(row.session_id, subject.session_id)
    if not subject.address or row.address != canonical(subject.address) or row.uptime_s is None:
        return False
    return row.uptime_s + UPTIME_SLACK_S >= subject.age_s


def _has_another_address(row: Active, subject: Subject) -> bool:
    """Whether it lacks its own address, which no CoA gives: nobody knew that it was told another one."""
    wanted = _of(subject.wanted, ADDRESS)
    return bool(wanted and row.address) and row.address != canonical(wanted[0])


def _of(pairs: Pairs, name: str) -> list[str]:
    return [value for known, value in pairs if known == name and value]
