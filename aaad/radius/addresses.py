"""The addresses of a grant that come from pools of ours: found in the replica, or to be claimed (rule R7.2).

Pure. A login whose lease still stands is answered at once, from the replica or from what this process bound itself;
for anybody else there is a Want, which `aaad/pools/claims.py` settles. IPv6 that cannot be had refuses nobody: it is
left out, counted and told. A pool of blocked addresses that has nothing left is no refusal either (rule R4.3): the
usual pool stands in, with the list.
"""

from collections.abc import Callable
from enum import IntEnum
from ipaddress import IPv4Address

from aaad.policy.facts import LoginExtras, LoginFacts
from aaad.policy.grant import Grant, Leases
from aaad.policy.lease import device_of, find_unit
from aaad.pools.address import Unit, unit_text
from aaad.pools.recent import Recent
from aaad.pools.want import NO_LACKS, Lack, Want
from aaad.radius.explain import pool_octets
from aaad.radius.lookup import mac_number
from aaad.radius.pool_book import DELEGATED, IPV4, IPV6, GrantPools
from aaad.radius.request import Request
from aaad.replica.record import PoolRow
from aaad.replica.snapshot import Snapshot
from aaad.sessions.attribute_text import readable
from aaad.spool.records import Granted

_NO_PREFIXES = ("", "")
_new_tuple = tuple.__new__


class Counted(IntEnum):
    """What is counted of addresses from pools of ours. `label` is its name in metrics."""

    STANDING = 0  # a lease that still held: nothing was asked
    CLAIMED = 1
    EXHAUSTED = 2  # refused: PostgreSQL said that nothing is free
    IMPOSSIBLE = 3  # no answer: nothing in the reserve, and PostgreSQL away
    WITHOUT_IPV6 = 4  # let in without a prefix that was due
    BLOCKED_FULL = 5  # blocked, and in the usual pool, as that of blocked addresses had nothing left

    @property
    def label(self) -> str:
        """The name in metrics: lower case, snake case."""
        return self.name.lower()


_STANDING, _CLAIMED = int(Counted.STANDING), int(Counted.CLAIMED)


class Addresses:
    """What the request path asks about pools of ours. Within the snapshot of its wake-up."""

    def __init__(
        self, leases: Callable[[int], bytes | None], seen: Callable[[], Snapshot | None], recent: Recent
    ) -> None:
        """Ask these.

        Args:
            leases: a login's bound leases in the replica.
            seen: the snapshot of the replica.
            recent: what this process bound itself.
        """
        self._leases = leases
        self._seen = seen
        self._recent = recent
        self.counts = [0] * len(Counted)  # until the service counts them

    def lease(
        self, request: Request, login: LoginFacts, grant: Grant, pools: GrantPools, now_s: float
    ) -> Grant | Want:
        """Return the grant with its addresses; or what has to be claimed for it."""
        if grant.extras is not None or pools.usual is None:
            return self._lease_each(request, login, grant, pools, now_s)
        pool, pool_id, leases = pools.usual
        plan, speed, state, phase, fixed, ends_at_s, extras, policy, _ = grant
        if fixed:
            return grant
        login_id = login.login_id
        data, layout = request[0], request[1]
        device = mac_number(data[layout.calling]) or _device(request)
        stored = self._leases(login_id)
        unit = find_unit(stored, pool_id, device, now_s) if stored is not None else None
        if unit is None:
            unit = self._recent.find(login_id, pool_id, device, now_s, self._seen())
            if unit is None:
                return Want(login_id, device, request.router.nas.nas_id, [(IPV4, pool)])
        self.counts[_STANDING] += 1
        return _new_tuple(Grant, (plan, speed, state, phase, unit[0], ends_at_s, extras, policy, leases))

    def _lease_each(
        self, request: Request, login: LoginFacts, grant: Grant, pools: GrantPools, now_s: float
    ) -> Grant | Want:
        """Do the same where several pools are ours, or a login's own decide."""
        extras = grant.extras
        chosen = pools.chosen if extras is None else pools.chosen_by(extras)
        login_id = login.login_id
        wanted = [(place, pool) for place, pool in chosen.ours if not _is_fixed(place, grant, extras)]
        if not wanted:
            return grant
        device = _device(request)
        stored = self._leases(login_id)
        missing: list[tuple[int, PoolRow]] = []
        units: list[Unit | None] = [None, None, None]
        pool_ids: tuple[int, ...] = ()
        for place, pool in wanted:
            units[place] = unit = self._standing(stored, login_id, pool.pool_id, device, now_s)
            if unit is None:
                missing.append((place, pool))
            else:
                pool_ids += (pool.pool_id,)
        if not missing:
            self.counts[_STANDING] += 1
            return _with(grant, units, pool_ids)
        want = Want(login_id, device, request.router.nas.nas_id, missing)
        want.units, want.pool_ids = units, pool_ids
        return want

    def settle(
        self, want: Want, login: LoginFacts, grant: Grant, pools: GrantPools, now_s: float
    ) -> Grant | Want | Lack:
        """Return the grant with what was claimed; what has to be claimed instead; or why there is no address."""
        lack = want.lacks[IPV4]
        if want.lacks is not NO_LACKS and (want.lacks[IPV6] or want.lacks[DELEGATED]):
            self.counts[Counted.WITHOUT_IPV6] += 1
        if lack is None:
            self.counts[_CLAIMED] += 1
            if pools.usual is not None and grant.extras is None:
                plan, speed, state, phase, _, ends_at_s, extras, policy, _ = grant
                number = want.units[IPV4][0]  # type: ignore[index]  # it lacks nothing
                return _new_tuple(
                    Grant, (plan, speed, state, phase, number, ends_at_s, extras, policy, pools.usual[2])
                )
            return _with(grant, want.units, want.pool_ids)
        if pools.fallback is None or want.is_fallback:
            self.counts[Counted.EXHAUSTED if lack is Lack.EXHAUSTED else Counted.IMPOSSIBLE] += 1
            return lack
        self.counts[Counted.BLOCKED_FULL] += 1
        if login.ipv4:
            given = _with(grant, want.units, want.pool_ids)
            return given._replace(ipv4=login.ipv4)
        source = pools.fallback_of(login.extras)
        if isinstance(source, str):
            given = _with(grant, want.units, want.pool_ids)
            assert given.leases is not None
            return given._replace(leases=given.leases._replace(ipv4_pool=source, has_more=True))
        stored = self._leases(want.login_id)
        unit = self._standing(stored, want.login_id, source.pool_id, want.device, now_s)
        if unit is not None:
            want.give(IPV4, source.pool_id, unit)
            return _with(grant, want.units, want.pool_ids)
        want.ask_instead(IPV4, source)
        return want

    def _standing(self, stored: bytes | None, login_id: int, pool_id: int, device: int, now_s: float) -> Unit | None:
        unit = find_unit(stored, pool_id, device, now_s) if stored is not None else None
        return unit or self._recent.find(login_id, pool_id, device, now_s, self._seen())


def _is_fixed(place: int, grant: Grant, extras: LoginExtras | None) -> bool:
    """Tell whether the login has an address or prefix of its own: that goes before any pool."""
    if place == IPV4:
        return bool(grant.ipv4)
    if extras is None:
        return False
    return bool(extras.ipv6_prefix if place == IPV6 else extras.delegated_ipv6_prefix)


def _with(grant: Grant, units: list[Unit | None], pool_ids: tuple[int, ...]) -> Grant:
    ipv4, ipv6, delegated = units
    plan, speed, state, phase, fixed, ends_at_s, extras, policy, _ = grant
    has_more = ipv6 is not None or delegated is not None
    leases = Leases(ipv4 is not None, has_more, ipv6, delegated, "", pool_octets(pool_ids))
    number = fixed if ipv4 is None else ipv4[0]
    return _new_tuple(Grant, (plan, speed, state, phase, number, ends_at_s, extras, policy, leases))


def own_pools(grant: Grant, pools: GrantPools | None) -> list[str]:
    """Return the names of the pools of ours that a grant's addresses come from."""
    if pools is None:
        return []
    chosen = pools.chosen if grant.extras is None else pools.chosen_by(grant.extras)
    return [pool.name for place, pool in chosen.ours if not _is_fixed(place, grant, grant.extras)]


def granted_record(grant: Grant, node: int, slot: int, serial: int, login_id: int, now_s: float) -> Granted | None:
    """Return what is told of a grant with IPv6 prefixes, as RouterOS's accounting may leave them out."""
    prefixes = said_prefixes(grant)
    if prefixes == _NO_PREFIXES:
        return None
    ipv4 = str(IPv4Address(grant.ipv4)) if grant.ipv4 else ""
    return Granted(node, slot, serial, login_id, now_s, ipv4, *prefixes)


def said_prefixes(grant: Grant) -> tuple[str, str]:
    """Return which prefixes a grant gives, of the link and delegated, the login's own or from pools; empty: none."""
    extras, leases = grant.extras, grant.leases
    ipv6, delegated = (extras.ipv6_prefix, extras.delegated_ipv6_prefix) if extras is not None else ("", "")
    if leases is not None:
        if leases.ipv6 is not None:
            ipv6 = unit_text(6, *leases.ipv6)
        if leases.delegated is not None:
            delegated = unit_text(6, *leases.delegated)
    return ipv6, delegated


def _device(request: Request) -> int:
    """Return what tells the customer's device from his others; 0: nothing does."""
    if mac := request.mac:
        return mac
    calling = readable(request.data[request.layout.calling])
    return device_of(0, calling, request.router.nas.nas_id, request.port_id)
