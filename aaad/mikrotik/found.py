"""What was observed of a router, as what the pools take over (`aaad.pools.adopt`).

Values only. Who is connected is believed before what the router's pools say is in use, since those name owners in
words of their own. Everything in use of IPv4 and of delegated prefixes is in what is read, so the rest is proven
unused there (rule R7.3); of the prefixes of links RouterOS tells only those of its own pools.
"""

from collections.abc import Iterator

from aaad.mikrotik.observe import Observation, Pool
from aaad.pools.address import WIDTHS, parse_unit
from aaad.pools.adopt import Found, FoundPool, Held, Unit, Witness, mac_number

_LINK_LENGTH = 64
_NONE = "0.0.0.0"  # noqa: S104  what a router writes where there is no address


def found_in(seen: Observation, nas_id: int, seen_at_s: float) -> Found:
    """Return what a router's customers have, and its pools."""
    held = list(_held(seen, nas_id, seen_at_s))
    taken = {one.unit for one in held}
    held += [one for one in _used(seen, nas_id, seen_at_s) if one.unit not in taken]
    delegated = {binding.pool for binding in seen.bindings}
    pools = [FoundPool(pool.name, "ipv4", pool.ranges, nas_id) for pool in seen.pools]
    pools += [FoundPool(pool.name, _family_of(pool, delegated), pool.ranges, nas_id) for pool in seen.prefix_pools]
    proven = ((nas_id, "ipv4"), (nas_id, "delegated"))
    return Found(tuple(pools), tuple(held), seen.unread_count, proven)


def _held(seen: Observation, nas_id: int, seen_at_s: float) -> Iterator[Held]:
    for one in seen.connected:
        if one.address and one.address != _NONE:
            mac = mac_number(one.caller)
            yield Held(one.name, _unit(one.address), Witness.ROUTER, nas_id, mac, seen_at_s)
    for binding in seen.bindings:
        mac = mac_number(binding.mac)
        yield Held(binding.customer, _unit(binding.prefix), Witness.ROUTER, nas_id, mac, seen_at_s)
    for lease in seen.leased:
        yield Held("", _unit(lease.address), Witness.ROUTER, nas_id, mac_number(lease.mac), seen_at_s)


def _used(seen: Observation, nas_id: int, seen_at_s: float) -> Iterator[Held]:
    for used in seen.used:
        mac = mac_number(used.customer)
        name = "" if mac else used.customer
        yield Held(name, _unit(used.prefix), Witness.ROUTER_POOL, nas_id, mac, seen_at_s)


def _unit(text: str) -> Unit:
    if "/" in text:
        return parse_unit(text)
    return parse_unit(f"{text}/{WIDTHS[6 if ':' in text else 4]}")


def _family_of(pool: Pool, delegated: set[str]) -> str:
    is_of_links = all(run.prefix_length == _LINK_LENGTH for run in pool.ranges) and pool.name not in delegated
    return "ipv6" if is_of_links else "delegated"
