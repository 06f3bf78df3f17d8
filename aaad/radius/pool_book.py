"""Which pools the names mean that logins, plans, NASes and branches give (rules R7 and R4.3).

Pure. A name is looked up in the address space of the NAS that asks. A pool of kind `radius` is ours: its addresses
are given out here. Any other name is one of the concentrator's, which is told it, known to `net.pool` or not. A pool
of kind `dualstack` stands for up to three others, in whichever field it is named; what its level names beside it goes
first. Login and contract, plan, NAS, branch: who names a pool of a family first decides it.
"""

from collections.abc import Iterable, Sequence
from sys import intern
from typing import NamedTuple

from aaad.policy.facts import LoginExtras, PlanFacts
from aaad.policy.grant import Leases
from aaad.policy.parameters import BranchPolicy
from aaad.radius.explain import pool_octets
from aaad.radius.kinds import NasKind
from aaad.replica.record import NasRow, PoolRow

FAMILIES = ("ipv4", "ipv6", "delegated")
IPV4, IPV6, DELEGATED = range(3)  # places in all that has one value for each family
_DUALSTACK, _OURS, _RETIRED = "dualstack", "radius", "retired"
_ONE_ADDRESS = 32
_REMEMBERED_MAX = 4_096
DEFAULT_SPACE = 1


class PoolNames(NamedTuple):
    """What one level names. Empty: nothing."""

    ipv4: str = ""
    ipv6: str = ""
    delegated: str = ""


class NasPools(NamedTuple):
    """What an entry says of its customers' addresses."""

    address_space: int
    names: PoolNames


PLAIN_NAS = NasPools(DEFAULT_SPACE, PoolNames())
NO_NAMES = PoolNames()
Source = PoolRow | str  # a pool of ours, or the name of one of the concentrator's; empty: nothing is said


class Chosen(NamedTuple):
    """Where the addresses of a grant come from, for each family."""

    ipv4: Source = ""
    ipv6: Source = ""
    delegated: Source = ""
    ours: tuple[tuple[int, PoolRow], ...] = ()  # the pools of ours among them, with their families' places
    marks: bytes = b""  # by which of ours one choice is told from another
    only_ipv4: PoolRow | None = None  # the one of ours, if it is for IPv4
    leases: Leases | None = None  # what there is to say of an address of that one


NOTHING = Chosen()


class PoolBook:
    """The pools that there are."""

    def __init__(self, rows: Iterable[PoolRow] = ()) -> None:
        """Take over the rows of `net.pool`."""
        rows = list(rows)
        self._by_name = {(row.address_space, row.name): row for row in rows}
        self._by_id = {row.pool_id: row for row in rows}
        self.ours = {row.pool_id: row for row in rows if row.kind == _OURS}
        self.is_empty = not rows
        self._levels: dict[tuple[int, PoolNames], Chosen] = {}

    def choose(self, space: int, levels: Sequence[PoolNames]) -> Chosen:
        """Return where each family's addresses come from; the first level that names something decides."""
        chosen = NOTHING
        for names in reversed(levels):
            if names != NO_NAMES:
                chosen = over(self.level(space, names), chosen)
        return chosen

    def level(self, space: int, names: PoolNames) -> Chosen:
        """Return what the names of one level mean in an address space."""
        found = self._levels.get((space, names))
        if found is None:
            if len(self._levels) >= _REMEMBERED_MAX:
                self._levels.clear()
            found = self._levels[space, names] = _chosen(self._expanded(space, names, []))
        return found

    def problems(self, space: int, names: PoolNames) -> list[str]:
        """Return what is wrong with the names of one level in an address space; such a name counts as none."""
        found: list[str] = []
        self._expanded(space, names, found)
        return found

    def _expanded(self, space: int, names: PoolNames, problems: list[str]) -> list[Source]:
        sources: list[Source] = ["", "", ""]
        members: list[Source] = ["", "", ""]
        for place, name in enumerate(names):
            row = self._by_name.get((space, name)) if name else None
            if row is None or row.kind not in (_OURS, _DUALSTACK):
                sources[place] = name
            elif row.kind == _OURS:
                sources[place] = _usable(row, place, problems)
            else:
                for at, member in enumerate(self._members(row, problems)):
                    members[at] = members[at] or member
        return [source or member for source, member in zip(sources, members, strict=True)]

    def _members(self, row: PoolRow, problems: list[str]) -> list[Source]:
        found: list[Source] = []
        for place, pool_id in enumerate((row.ipv4_pool_id, row.ipv6_pool_id, row.delegated_pool_id)):
            member = self._by_id.get(pool_id)
            if member is None:
                found.append("")
            elif member.kind == _DUALSTACK:
                problems.append(f"pool {row.name}: {member.name} stands for other pools itself")
                found.append("")
            else:
                found.append(_usable(member, place, problems) if member.kind == _OURS else member.name)
        return found


NO_BOOK = PoolBook()


def of_nas(row: NasRow) -> NasPools | None:
    """Return what a NAS entry says of its customers' addresses; None: nothing, in the first address space."""
    found = NasPools(row.address_space, PoolNames(row.ipv4_pool, row.ipv6_pool, row.delegated_ipv6_pool))
    return None if found == PLAIN_NAS else found


def terms_of(kind: NasKind, at: NasPools | None) -> str:
    """Return what tells NASes from each other to which a grant is said differently."""
    return intern(kind.name if at is None else f"{kind.name} {at!r}")


def of_plan(plan: PlanFacts) -> PoolNames:
    """Return what a plan names."""
    return PoolNames(plan.ipv4_pool, plan.ipv6_pool, plan.delegated_ipv6_pool)


def of_branch(policy: BranchPolicy) -> PoolNames:
    """Return what a branch names."""
    return PoolNames(policy.ipv4_pool, policy.ipv6_pool, policy.delegated_ipv6_pool)


def of_blocked(policy: BranchPolicy) -> PoolNames:
    """Return what a branch names for the blocked state."""
    return PoolNames(policy.blocked_ipv4_pool, policy.blocked_ipv6_pool, policy.blocked_delegated_ipv6_pool)


def with_ipv4(chosen: Chosen, source: Source) -> Chosen:
    """Return the same with another source of IPv4 addresses."""
    return _chosen([source, chosen.ipv6, chosen.delegated])


def over(upper: Chosen, lower: Chosen) -> Chosen:
    """Return what two levels come to: what the upper one does not name is the lower one's."""
    if not upper.ipv4 or not upper.ipv6 or not upper.delegated:
        return _chosen([own or other for own, other in zip(upper[:3], lower[:3], strict=True)])
    return upper


def names_of(extras: LoginExtras | None) -> PoolNames:
    """Return what a login names, or its contract."""
    return PoolNames(extras.ipv4_pool, extras.ipv6_pool, extras.delegated_ipv6_pool) if extras else NO_NAMES


class GrantPools:
    """The pools of all grants that one template is for; the login's own names go before them."""

    __slots__ = ("_book", "_known", "_space", "chosen", "fallback", "usual")

    def __init__(self, book: PoolBook, space: int, chosen: Chosen, fallback: Chosen | None = None) -> None:
        """Give what plan, NAS and branch say.

        `fallback`: what stands in for a pool of blocked addresses that has nothing left (rule R4.3).
        """
        self._book = book
        self._space = space
        self._known: dict[PoolNames, Chosen] = {}
        self.chosen = chosen
        self.fallback = fallback
        only, leases = chosen.only_ipv4, chosen.leases
        # A pool, its number and what there is to say of its addresses, where nothing but them comes from ours.
        self.usual = None if only is None or leases is None else (only, only.pool_id, leases)

    def chosen_by(self, extras: LoginExtras | None) -> Chosen:
        """Return where the addresses of a login with these extras come from."""
        return self._over(extras, self.chosen)

    def fallback_of(self, extras: LoginExtras | None) -> Source:
        """Return where the IPv4 address of such a login comes from if its pool has nothing; empty: nowhere."""
        return "" if self.fallback is None else self._over(extras, self.fallback).ipv4

    def _over(self, extras: LoginExtras | None, chosen: Chosen) -> Chosen:
        names = names_of(extras)
        if names == NO_NAMES:
            return chosen
        if chosen is not self.chosen:
            return over(self._book.level(self._space, names), chosen)
        found = self._known.get(names)
        if found is None:
            if len(self._known) >= _REMEMBERED_MAX:
                self._known.clear()
            found = self._known[names] = over(self._book.level(self._space, names), chosen)
        return found


def _usable(row: PoolRow, place: int, problems: list[str]) -> Source:
    """Return a pool of ours where it may be named; what may not counts as not named, and a problem is told."""
    if row.family != FAMILIES[place]:
        problems.append(f"pool {row.name} is of family {row.family} and named for {FAMILIES[place]}")
    elif place == IPV4 and row.prefix_length != _ONE_ADDRESS:
        problems.append(f"pool {row.name} gives networks (/{row.prefix_length}) and is named for addresses")
    elif row.state == _RETIRED:
        problems.append(f"pool {row.name} is retired and still named")
    else:
        return row
    return ""


def _chosen(sources: Sequence[Source]) -> Chosen:
    ours = tuple((place, source) for place, source in enumerate(sources) if isinstance(source, PoolRow))
    marks = b"".join(b"%d:%d;" % (place, pool.pool_id) for place, pool in ours)
    only = ours[0][1] if len(ours) == 1 and ours[0][0] == IPV4 else None
    leases = Leases(True, False, None, None, "", pool_octets((only.pool_id,))) if only else None
    return Chosen(sources[IPV4], sources[IPV6], sources[DELEGATED], ours, marks, only, leases)
