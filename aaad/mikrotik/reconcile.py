"""Who is connected by a router's own tables, and who is by ours: where the two differ.

Values only. A session is the same by its Acct-Session-Id; where the router does not say one, as it does not for
Hotspot, by user name and address. What is too new to be in both is left out, and so are sessions of which the router
has no table: DHCP's and its own administrators'. Several routers may stand behind one NAS entry, and routers that
nobody named are all called alike: only what is surely of the router that was asked is missed there (rule R2.1).
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from aaad.mikrotik.applied import Active, ActiveKind, canonical, same_session

UNDRAINED_S = 30.0  # so long a Start may take until it is here
_WITHOUT_TABLE = ("82", "83")  # how RouterOS's Acct-Session-Ids of DHCP and of its own logins begin
_MAC_DIGITS = 12


class Difference(StrEnum):
    """How the router's tables and ours differ."""

    NOT_HERE = "not_here"  # there, and not open here
    NOT_THERE = "not_there"  # open here, and not there
    OTHER_ADDRESS = "other_address"
    OTHER_MAC = "other_mac"


class Ours(NamedTuple):
    """A session that is open here."""

    family: UUID
    life: int
    user_name: str
    session_id: str
    nas_identifier: str
    source: str  # address of its router; empty: its NAS entry is one address only
    ipv4: str  # empty: none
    mac: str
    age_s: float  # since it began
    heard_s: float  # since it was last heard


class Differing(NamedTuple):
    """One difference: what is there, what is here."""

    difference: Difference
    there: Active | None
    here: Ours | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of it."""

    differing: tuple[Differing, ...]
    equal_count: int
    local_count: int  # there without RADIUS: not ours to know
    new_count: int  # too new to be judged
    other_count: int  # open here, of other routers behind the same entry, or of services that have no table


def compare(there: Iterable[Active], here: Collection[Ours], identity: str, at: str = "") -> Comparison:
    """Compare what a router of this name, asked at this address, has with what is open here of its NAS entry."""
    found = _Found(here)
    pairs = [(row, found.same_as(row)) for row in there]
    mine = _of_this_router(here, [one for _, one in pairs if one is not None], identity, at)
    differing: list[Differing] = []
    met: set[tuple[UUID, int]] = set()
    equal = local = new = 0
    for row, one in pairs:
        if one is not None:
            met.add((one.family, one.life))
            differences = list(_differences(row, one))
            differing += differences
            equal += not differences
        elif not row.is_radius:
            local += 1
        elif row.uptime_s is not None and row.uptime_s < UNDRAINED_S:
            new += 1
        else:
            differing.append(Differing(Difference.NOT_HERE, row, None))
    for one in mine:
        if (one.family, one.life) in met:
            continue
        if one.age_s < UNDRAINED_S:
            new += 1
        else:
            differing.append(Differing(Difference.NOT_THERE, None, one))
    return Comparison(tuple(differing), equal, local, new, len(here) - len(mine))


class _Found:
    """What is open here, by user name."""

    def __init__(self, here: Iterable[Ours]) -> None:
        self._by_name: dict[str, list[Ours]] = {}
        for one in here:
            if not one.session_id.startswith(_WITHOUT_TABLE):
                self._by_name.setdefault(one.user_name.casefold(), []).append(one)

    def same_as(self, row: Active) -> Ours | None:
        return next((one for one in self._by_name.get(row.name.casefold(), ()) if _is_same(row, one)), None)


def _of_this_router(here: Iterable[Ours], met: Iterable[Ours], identity: str, at: str) -> list[Ours]:
    """Return what is surely of the router: by its name and address, or as what was found in its tables."""
    routers = {(one.nas_identifier, one.source) for one in met}
    routers |= {(name, source) for name in (identity, "") for source in ("", at)}
    return [
        one
        for one in here
        if (one.nas_identifier, one.source) in routers and not one.session_id.startswith(_WITHOUT_TABLE)
    ]


def _is_same(row: Active, one: Ours) -> bool:
    if row.session_id:
        return same_session(row.session_id, one.session_id)
    if row.kind is ActiveKind.HOTSPOT:
        return row.address == canonical(one.ipv4)
    return row.address == canonical(one.ipv4) and _digits(row.caller) == _digits(one.mac)


def _differences(row: Active, one: Ours) -> Iterator[Differing]:
    if row.address and one.ipv4 and row.address != canonical(one.ipv4):
        yield Differing(Difference.OTHER_ADDRESS, row, one)
    there, here = _digits(row.caller), _digits(one.mac)
    if len(there) == len(here) == _MAC_DIGITS and there != here:
        yield Differing(Difference.OTHER_MAC, row, one)


def _digits(mac: str) -> str:
    """Return the digits of a MAC; nothing of what is none, such as a tunnel's peer."""
    plain = mac.lower().replace(":", "").replace("-", "")
    is_mac = len(plain) == _MAC_DIGITS and all(digit in "0123456789abcdef" for digit in plain)
    return plain if is_mac else ""
