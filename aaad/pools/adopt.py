"""Taking over addresses that are in use already: what was found becomes pools, ranges, leases and marks (rule R7.3).

Pure. What a router or an older RADIUS server says (`Found`), and what the ledger and the logins say (`Known`), become
a plan that can be shown and carried out (`takeover`). Nobody is dropped: an address that somebody uses becomes the
lease of his login, and one whose user is no login of ours is marked, so that nobody gets it. What the ledger says
already is never overruled: where it says another, that is a conflict, told and left as it is.

A pool of another name or other ranges is never made larger unless that was asked for: routers repeat a pool's name
for ranges of their own, and an address given out at the wrong one leads nowhere.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from aaad.pools.address import WIDTHS, Range, parse_span, unit_text

Unit = tuple[int, int, int]  # 4 or 6, number, prefix length
Family = str  # ipv4, ipv6, delegated

_LARGEST_SPREAD = 4096  # units of one pool that one larger prefix may be in
_MAC_DIGITS = 12
_NO_HOSTS = [parse_span(text)[1:] for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")]
_HOSTS_IPV6 = [parse_span(text)[1:] for text in ("2000::/3", "fc00::/7")]
_CONFLICTS_MAX = 100_000


class Witness(StrEnum):
    """Who says that an address is in use; an earlier one knows better."""

    ROUTER = "router"  # who is connected there, now
    ROUTER_POOL = "router_pool"  # what of its pools is in use
    LEASE = "lease"  # another server's table of leases
    SESSION = "session"  # another server's open sessions, some of which may have ended unheard


_ORDER = {witness: place for place, witness in enumerate(Witness)}


class Held(NamedTuple):
    """An address or a prefix that somebody has."""

    name: str  # as reported: a user name mostly, of a login or not
    unit: Unit
    witness: Witness
    nas_id: int | None = None
    mac: int = 0
    seen_at_s: float = 0.0  # in Unix seconds; the latest of one witness is believed


class FoundPool(NamedTuple):
    """A pool as it was found."""

    name: str
    family: Family
    ranges: tuple[Range, ...]
    nas_id: int | None = None


class Found(NamedTuple):
    """What one router, or one other server, says."""

    pools: tuple[FoundPool, ...] = ()
    held: tuple[Held, ...] = ()
    unread_count: int = 0
    # Of which families everything in use at this NAS is here: what is not is proven unused there.
    proven: tuple[tuple[int, Family], ...] = ()


class Login(NamedTuple):
    """Whose name it is."""

    id: int
    name: str


class LeaseFact(NamedTuple):
    """What the ledger says of a unit."""

    state: str  # bound, released, fixed, foreign
    login_id: int | None
    login_name: str = ""


class PoolFact(NamedTuple):
    """A pool of ours."""

    id: int
    name: str
    kind: str  # radius, nas, dualstack
    family: Family | None
    prefix_length: int | None
    ranges: tuple[Range, ...] = ()
    excluded: tuple[tuple[int, int, int], ...] = ()  # 4 or 6, first and last address


class Known(NamedTuple):
    """What PostgreSQL says of what was found, in one address space."""

    pools: tuple[PoolFact, ...]  # all of the address space
    logins: Mapping[tuple[str, int | None], Login]  # by name as reported and NAS; an empty name has none
    logins_by_mac: Mapping[int, Login]
    leases: Mapping[Unit, LeaseFact]


class Wish(NamedTuple):
    """What is to be made of it."""

    address_space: int = 1
    kind: str = "radius"  # nas: the router goes on giving out of its pools, which are named to it (rule R7.4)
    only: frozenset[str] = frozenset()  # names of pools as found; empty: all
    names: Mapping[str, str] = {}  # what they shall be called here
    families: Mapping[str, Family] = {}  # where a pool of IPv6 prefixes is not for what it looks like
    may_extend: bool = False  # a pool of ours may get ranges that it does not have
    is_final: bool = (
        False  # nobody else gives out of these pools any more: what was read whole proves the rest unused
    )


class Trouble(StrEnum):
    """Why something stays as it is."""

    OTHER_KIND = "other_kind"  # a pool of ours has the name and is of another kind, family or size
    OTHER_RANGES = "other_ranges"  # a pool of ours has the name and does not have these ranges
    OVERLAP = "overlap"  # another pool, `other`, has addresses of the range
    OF_ANOTHER = "of_another"  # the ledger says that `other` has the address
    TWICE = "twice"  # two report it; `other` was believed
    EXCLUDED = "excluded"  # it is not given out, and in use
    TOO_LARGE = "too_large"  # a prefix that holds more of a pool than anybody may have
    SAME_NAME = "same_name"  # two pools of one name and different families; `other` names this one alone
    NO_HOSTS = "no_hosts"  # addresses that no session may have


class Conflict(NamedTuple):
    """What does not fit."""

    trouble: Trouble
    subject: str  # a pool's name and range, or an address
    name: str = ""  # who has it, as reported
    other: str = ""
    login_id: int | None = None  # of who has it
    holder_id: int | None = None  # of `other`
    nas_id: int | None = None


class PlannedPool(NamedTuple):
    """A pool that is made, or gets ranges."""

    name: str
    kind: str
    family: Family
    prefix_length: int | None  # None for those of kind nas
    pool_id: int | None  # None: made
    ranges: tuple[Range, ...]  # new ones


class PlannedLease(NamedTuple):
    """A unit that is written to the ledger: a login's, or without one marked as somebody's unknown."""

    unit: Unit
    pool: str
    name: str  # as reported
    login: Login | None
    nas_id: int | None
    device: int
    is_known: bool  # the ledger says so already; it is only valid for longer

    @property
    def text(self) -> str:
        """The unit as PostgreSQL writes it."""
        return unit_text(*self.unit)


class Plan(NamedTuple):
    """What would be done."""

    wish: Wish
    pools: tuple[PlannedPool, ...]
    leases: tuple[PlannedLease, ...]
    kept: tuple[PlannedLease, ...]  # fixed addresses, used by whose they are
    outside: tuple[Held, ...]  # in no pool that is given out here
    unknown_names: tuple[str, ...]
    conflicts: tuple[Conflict, ...]
    unread_count: int
    proven: tuple[tuple[str, int], ...]  # pools, and NASes of which all their used units are known now

    @property
    def bound_count(self) -> int:
        """How many leases logins get that they did not have."""
        return sum(one.login is not None and not one.is_known for one in self.leases)

    @property
    def foreign_count(self) -> int:
        """How many units are marked as somebody's unknown that were not."""
        return sum(one.login is None and not one.is_known for one in self.leases)


def make_plan(found: Iterable[Found], known: Known, wish: Wish) -> Plan:
    """Return what would become of what was found."""
    all_found = list(found)
    conflicts: list[Conflict] = []
    pools = _plan_pools([pool for one in all_found for pool in one.pools], known, wish, conflicts)
    given_out = _ranges_given_out(known.pools, pools)
    # The order tells who is believed of several who report one unit.
    held = sorted(
        (one for each in all_found for one in each.held), key=lambda one: (_ORDER[one.witness], -one.seen_at_s)
    )
    placed = _Placed(known, given_out, conflicts)
    for one in held:
        placed.add(one)
    unknown = {lease.name for lease in placed.leases.values() if lease.login is None and lease.name}
    unmarked = {conflict.other for conflict in conflicts if conflict.trouble is Trouble.TOO_LARGE}
    proven = {
        (pool.name, nas_id)
        for each in all_found
        if not each.unread_count
        for nas_id, family in each.proven
        for pool in given_out.values()
        if pool.family == family and pool.name not in unmarked
    }
    return Plan(
        wish,
        tuple(pools),
        tuple(sorted(placed.leases.values(), key=lambda lease: lease.unit)),
        tuple(placed.kept),
        tuple(placed.outside),
        tuple(sorted(unknown)),
        tuple(conflicts[:_CONFLICTS_MAX]),
        sum(one.unread_count for one in all_found),
        tuple(sorted(proven)),
    )


# --- pools ----------------------------------------------------------------------------------------------------------


def _plan_pools(found: Sequence[FoundPool], known: Known, wish: Wish, conflicts: list[Conflict]) -> list[PlannedPool]:
    of_ours = {pool.name: pool for pool in known.pools}
    taken = [(run, pool.name) for pool in known.pools if pool.kind == "radius" for run in pool.ranges]
    planned: dict[str, PlannedPool] = {}
    for pool in found:
        alone = f"{pool.name}/{pool.family}"  # RouterOS may have one of the same name for each family
        if wish.only and not wish.only & {pool.name, alone}:
            continue
        name = wish.names.get(alone, wish.names.get(pool.name, pool.name))
        family = wish.families.get(pool.name, pool.family) if pool.family != "ipv4" else pool.family
        ranges = tuple(_merged(pool.ranges))
        made = planned.get(name)
        if made is not None and made.family != family:
            if wish.kind == "radius":
                conflicts.append(Conflict(Trouble.SAME_NAME, f"{name} {_texts(ranges)}", other=alone))
            continue
        if made is not None and wish.kind == "radius" and not wish.may_extend and set(made.ranges) != set(ranges):
            conflicts.append(Conflict(Trouble.OTHER_RANGES, f"{name} {_texts(ranges)}", other=_texts(made.ranges)))
            continue
        changed = _plan_pool(name, family, ranges, of_ours.get(name), taken, wish, conflicts)
        if changed is not None:
            before = made.ranges if made is not None else ()
            planned[name] = changed._replace(ranges=before + changed.ranges)
            taken += [(run, name) for run in changed.ranges]
    return [pool for pool in planned.values() if pool.ranges or (pool.pool_id is None and pool.kind != "radius")]


def _plan_pool(
    name: str,
    family: Family,
    ranges: tuple[Range, ...],
    ours: PoolFact | None,
    taken: Iterable[tuple[Range, str]],
    wish: Wish,
    conflicts: list[Conflict],
) -> PlannedPool | None:
    is_given_out = wish.kind == "radius"
    length = ranges[0].prefix_length if is_given_out and ranges else None
    if ours is not None and (ours.kind, ours.family, ours.prefix_length) != (wish.kind, family, length):
        conflicts.append(Conflict(Trouble.OTHER_KIND, name, other=ours.name))
        return None
    if not is_given_out:
        return PlannedPool(name, wish.kind, family, None, ours.id if ours is not None else None, ())
    lacking = tuple(run for run in ranges if not any(_covers(other, run) for other, of in taken if of == name))
    if lacking and ours is not None and ours.ranges and not wish.may_extend:
        conflicts.append(Conflict(Trouble.OTHER_RANGES, f"{name} {_texts(lacking)}", other=_texts(ours.ranges)))
        return None
    free = []
    for run in lacking:
        other = next((of for other, of in taken if _overlap(other, run)), None)
        if other is not None:
            conflicts.append(Conflict(Trouble.OVERLAP, f"{name} {run.text()}", other=other))
        elif not _is_of_hosts(run):
            conflicts.append(Conflict(Trouble.NO_HOSTS, f"{name} {run.text()}"))
        else:
            free.append(run)
    return PlannedPool(name, wish.kind, family, length, ours.id if ours is not None else None, tuple(free))


def _merged(ranges: Iterable[Range]) -> Iterator[Range]:
    """Yield ranges in order, those that overlap as one."""
    before: Range | None = None
    for run in sorted(ranges):
        if before is None or not _overlap(before, run) or before.prefix_length != run.prefix_length:
            if before is not None:
                yield before
            before = run
        else:
            before = before._replace(last=max(before.last, run.last))
    if before is not None:
        yield before


def _is_of_hosts(run: Range) -> bool:
    """Whether PostgreSQL takes it for a range of a pool."""
    if run.family == 4:
        return not any(run.first <= last and first <= run.last for first, last in _NO_HOSTS)
    return any(first <= run.first and run.last <= last for first, last in _HOSTS_IPV6)


def _texts(ranges: Iterable[Range]) -> str:
    return ",".join(run.text() for run in ranges)


def _covers(one: Range, other: Range) -> bool:
    return one.family == other.family and one.first <= other.first and other.last <= one.last


def _overlap(one: Range, other: Range) -> bool:
    return one.family == other.family and one.first <= other.last and other.first <= one.last


def _ranges_given_out(ours: Iterable[PoolFact], planned: Iterable[PlannedPool]) -> "dict[tuple[int, int], _Given]":
    """Return the ranges of pools that are given out here, by family and first address."""
    given = {
        (run.family, run.first): _Given(run, pool.name, pool.family or "", pool.excluded)
        for pool in ours
        if pool.kind == "radius"
        for run in pool.ranges
    }
    for made in planned:
        given |= {(run.family, run.first): _Given(run, made.name, made.family, ()) for run in made.ranges}
    return given


class _Given(NamedTuple):
    run: Range
    name: str
    family: Family
    excluded: tuple[tuple[int, int, int], ...]


# --- units ----------------------------------------------------------------------------------------------------------


class _Placed:
    """What is held, put into pools."""

    def __init__(self, known: Known, given_out: Mapping[tuple[int, int], _Given], conflicts: list[Conflict]) -> None:
        self.leases: dict[Unit, PlannedLease] = {}
        self.kept: list[PlannedLease] = []
        self.outside: list[Held] = []
        self._known = known
        self._given_out = given_out
        self._starts = sorted(given_out)
        self._conflicts = conflicts
        self._seen: dict[Unit, str] = {}

    def add(self, held: Held) -> None:
        """Take one that is held; better witnesses come first."""
        given = self._range_of(held.unit)
        login = self._login_of(held)
        if given is None:
            self._add_outside(held, login)
            return
        units = _units(held.unit, given.run)
        if units is None:
            self._conflicts.append(Conflict(Trouble.TOO_LARGE, unit_text(*held.unit), held.name, given.name))
            return
        for unit in units:
            self._add_unit(held, unit, given, login)

    def _range_of(self, unit: Unit) -> _Given | None:
        family, number, _ = unit
        place = bisect_right(self._starts, (family, number))
        if not place or self._starts[place - 1][0] != family:
            return None
        given = self._given_out[self._starts[place - 1]]
        return given if number <= given.run.last else None

    def _login_of(self, held: Held) -> Login | None:
        if held.name:
            return self._known.logins.get((held.name, held.nas_id))
        return self._known.logins_by_mac.get(held.mac)

    def _add_outside(self, held: Held, login: Login | None) -> None:
        ledger = self._known.leases.get(held.unit)
        if ledger is not None and ledger.state == "fixed" and not _is_of(ledger, login):
            self._conflicts.append(_of_another(held, held.unit, ledger, login))
        elif ledger is not None and ledger.state == "fixed":
            self.kept.append(PlannedLease(held.unit, "", held.name, login, held.nas_id, held.mac, True))
        else:
            self.outside.append(held)

    def _add_unit(self, held: Held, unit: Unit, given: _Given, login: Login | None) -> None:
        who = login.name if login is not None else held.name
        if unit in self._seen:
            if self._seen[unit] != who and who:
                self._conflicts.append(Conflict(Trouble.TWICE, unit_text(*unit), held.name, self._seen[unit]))
            return
        self._seen[unit] = who
        ledger = self._known.leases.get(unit)
        lease = PlannedLease(unit, given.name, held.name, login, held.nas_id, held.mac, False)
        if ledger is None and _is_excluded(unit, given.excluded):
            self._conflicts.append(Conflict(Trouble.EXCLUDED, unit_text(*unit), held.name, given.name))
        elif ledger is None or ledger.state == "released":
            self.leases[unit] = lease
        elif ledger.state == "foreign":
            self.leases[unit] = lease._replace(is_known=login is None)
        elif not _is_of(ledger, login):
            self._conflicts.append(_of_another(held, unit, ledger, login))
        elif ledger.state == "fixed":
            self.kept.append(lease._replace(is_known=True))
        else:
            self.leases[unit] = lease._replace(is_known=True)


def _units(unit: Unit, run: Range) -> Iterable[Unit] | None:
    """Return the units of a range that this one is in, or that are in it; None: more than one may have."""
    family, number, length = unit
    first = number - (number - run.first) % run.unit_size
    if length >= run.prefix_length:
        return ((family, first, run.prefix_length),)
    size = 1 << (WIDTHS[family] - length)
    count = (min(number + size - 1, run.last) - first) // run.unit_size + 1
    if count > _LARGEST_SPREAD:
        return None
    return [(family, first + place * run.unit_size, run.prefix_length) for place in range(count)]


def units_meant(unit: Unit, lengths: Iterable[int]) -> Iterator[Unit]:
    """Yield the unit and those of pools of these prefix lengths that it is in, or that are in it."""
    family, number, length = unit
    yield unit
    for other in lengths:
        size = 1 << (WIDTHS[family] - other)
        if other < length:
            yield family, number - number % size, other
        elif other - length <= _LARGEST_SPREAD.bit_length() - 1:
            yield from ((family, number + place * size, other) for place in range(1 << (other - length)))


def _is_of(ledger: LeaseFact, login: Login | None) -> bool:
    return login is not None and ledger.login_id == login.id


def _of_another(held: Held, unit: Unit, ledger: LeaseFact, login: Login | None) -> Conflict:
    return Conflict(
        Trouble.OF_ANOTHER,
        unit_text(*unit),
        held.name,
        ledger.login_name or str(ledger.login_id or ""),
        login.id if login is not None else None,
        ledger.login_id,
        held.nas_id,
    )


def _is_excluded(unit: Unit, excluded: Iterable[tuple[int, int, int]]) -> bool:
    family, number, length = unit
    last = number + (1 << (WIDTHS[family] - length)) - 1
    return any(of == family and first <= last and number <= end for of, first, end in excluded)


def mac_number(text: str) -> int:
    """Return an Ethernet address in any of its forms as a number; 0 if it is none."""
    digits = "".join(letter for letter in text if letter not in ":-.")
    is_mac = len(digits) == _MAC_DIGITS and all(letter in "0123456789abcdefABCDEF" for letter in digits)
    return int(digits, 16) if is_mac else 0


# --- names ----------------------------------------------------------------------------------------------------------


class Realms(NamedTuple):
    """What a branch says of realms in user names (rule R3.4); folded."""

    stripped: Collection[str] = ()  # `*`: any
    default: str = ""


def names_meant(name: str, realms: Realms, fold: Callable[[str], str]) -> tuple[str, ...]:
    """Return the folded names that a reported name may mean, the likeliest first; none for what is no name."""
    if not name or "\0" in name or any("\ud800" <= letter <= "\udfff" for letter in name):
        return ()
    folded = fold(name)
    local, sign, realm = folded.rpartition("@")
    if not sign:
        realm, sign, local = folded.partition("\\")
    if sign:
        is_stripped = "*" in realms.stripped or realm in realms.stripped
        return (folded, local) if is_stripped and local else (folded,)
    return (folded, f"{folded}@{realms.default}") if realms.default else (folded,)
