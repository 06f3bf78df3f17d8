"""What a router says of itself: its pools and what of them is in use, who is connected, which prefixes are delegated.

Reads only; nothing is ever written to a router here. Pools that a router gives out of itself are known by this and
never by guess (rule R7.4); so are customers' IPv6 prefixes, of which RouterOS says nothing in its accounting. Tables
that a router does not have, IPv6 in an old one, are told in `missing`; rows that cannot be read are counted.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import NamedTuple, TypeVar

from aaad.errors import MistypedError, RouterTrap
from aaad.mikrotik.connection import RouterApi, Row
from aaad.pools.address import Range, parse_range

T = TypeVar("T")

_NOT_THERE = 0  # category: a missing item or command
_OWN_SERVICES = frozenset({"ppp", "pppoe", "l2tp", "pptp", "sstp", "ovpn", "hotspot", "dhcp"})
_LINK_LAYER_DUIDS = {"0001": 8, "0003": 4}  # by type: the octets before the MAC
_ETHERNET = "0001"
_MAC_OCTETS = 6


@dataclass(frozen=True, slots=True)
class Pool:
    """Addresses that the router gives out, or names to RADIUS."""

    name: str
    ranges: tuple[Range, ...]
    next_pool: str = ""


@dataclass(frozen=True, slots=True)
class Used:
    """One address or prefix of a pool that is in use. What owner and info are depends on whose it is."""

    pool: str
    prefix: str  # of an address, too
    owner: str
    info: str

    @property
    def customer(self) -> str:
        """The user name, or what stands in its place."""
        return self.info if self.owner.lower() in _OWN_SERVICES else self.owner


@dataclass(frozen=True, slots=True)
class Connected:
    """One customer who is connected now."""

    name: str
    service: str  # pppoe, l2tp, ..., hotspot
    address: str  # empty: none
    caller: str  # what it calls itself: a MAC, mostly
    session_id: str  # as in Acct-Session-Id; empty for Hotspot
    is_radius: bool


@dataclass(frozen=True, slots=True)
class Binding:
    """A prefix, or an address, that the router's DHCPv6 server has given."""

    prefix: str
    pool: str
    server: str
    customer: str  # of a server of one PPP connection: its user name; else empty
    duid: str
    mac: str  # in the DUID; empty: none
    status: str  # bound, offered, waiting; empty: does not say


@dataclass(frozen=True, slots=True)
class Leased:
    """An address that the router's DHCP server has given."""

    address: str
    mac: str
    host_name: str
    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """All of it, as it was in the moments of reading."""

    identity: str
    version: str
    board: str
    pools: tuple[Pool, ...] = ()
    prefix_pools: tuple[Pool, ...] = ()
    used: tuple[Used, ...] = ()
    connected: tuple[Connected, ...] = ()
    bindings: tuple[Binding, ...] = ()
    leased: tuple[Leased, ...] = ()
    missing: tuple[str, ...] = ()  # paths that this router does not have
    unread_count: int = 0  # rows that are not as they should be


class Figures(NamedTuple):
    """How full a pool of the router's own is (rule R7.4)."""

    name: str
    size: int
    used: int


@dataclass(slots=True)
class _Reading:
    """One round of reading, and what went wrong in it."""

    api: RouterApi
    missing: list[str] = field(default_factory=list)
    unread_count: int = 0

    async def rows(self, path: str, fields: str) -> list[Row]:
        try:
            return await self.api.rows(path, fields.split())
        except RouterTrap as trap:
            if trap.category != _NOT_THERE and "no such command" not in trap.message:
                raise
            self.missing.append(path)
            return []

    def each(self, rows: Iterable[Row], make: Callable[[Row], T]) -> tuple[T, ...]:
        made = []
        for row in rows:
            try:
                made.append(make(row))
            except (KeyError, ValueError, MistypedError):
                self.unread_count += 1
        return tuple(made)


async def observe(api: RouterApi) -> Observation:
    """Read a router; RouterError if it does not answer."""
    reading = _Reading(api)
    identity = await reading.rows("/system/identity", "name")
    resource = await reading.rows("/system/resource", "version board-name")
    pools = await reading.rows("/ip/pool", "name ranges next-pool")
    prefix_pools = await reading.rows("/ipv6/pool", "name prefix prefix-length")
    used = await reading.rows("/ip/pool/used", "pool address owner info")
    used_prefixes = await reading.rows("/ipv6/pool/used", "pool prefix owner info")
    active = await reading.rows("/ppp/active", "name service caller-id address session-id radius")
    guests = await reading.rows("/ip/hotspot/active", "user address mac-address radius")
    bindings = await reading.rows("/ipv6/dhcp-server/binding", "address prefix-pool server duid status disabled")
    leased = await reading.rows(
        "/ip/dhcp-server/lease", "address mac-address active-address active-mac-address host-name server status"
    )
    connected = reading.each(active, _connected) + reading.each(guests, _guest)
    customers = {f"<{one.service}-{one.name}>": one.name for one in connected}
    return Observation(
        identity=identity[0].get("name", "") if identity else "",
        version=resource[0].get("version", "") if resource else "",
        board=resource[0].get("board-name", "") if resource else "",
        pools=reading.each(pools, _pool),
        prefix_pools=reading.each(prefix_pools, _prefix_pool),
        used=reading.each(used, _used) + reading.each(used_prefixes, _used),
        connected=connected,
        bindings=reading.each(
            (row for row in bindings if row.get("disabled") not in {"true", "yes"}),
            lambda row: _binding(row, customers),
        ),
        leased=reading.each((row for row in leased if row.get("status") == "bound"), _leased),
        missing=tuple(reading.missing),
        unread_count=reading.unread_count,
    )


def figures(seen: Observation) -> tuple[Figures, ...]:
    """Return how full each pool of the router is, by what the router says is in use."""
    counts: dict[str, int] = {}
    for one in seen.used:
        counts[one.pool] = counts.get(one.pool, 0) + 1
    return tuple(
        Figures(pool.name, sum(run.units for run in pool.ranges), counts.get(pool.name, 0))
        for pool in (*seen.pools, *seen.prefix_pools)
    )


def _pool(row: Row) -> Pool:
    ranges = tuple(parse_range(text, 4, 32) for text in row["ranges"].split(","))
    next_pool = row.get("next-pool", "")
    return Pool(row["name"], ranges, "" if next_pool == "none" else next_pool)


def _prefix_pool(row: Row) -> Pool:
    length = int(row.get("prefix-length") or row["prefix"].rpartition("/")[2])
    return Pool(row["name"], (parse_range(row["prefix"], 6, length),))


def _used(row: Row) -> Used:
    prefix = row.get("prefix") or row["address"]
    return Used(row["pool"], str(ip_network(prefix)), row.get("owner", ""), row.get("info", ""))


def _connected(row: Row) -> Connected:
    address = row.get("address", "")
    return Connected(
        name=row["name"],
        service=row.get("service", ""),
        address=str(ip_address(address)) if address else "",
        caller=row.get("caller-id", ""),
        session_id=row.get("session-id", "").removeprefix("0x"),
        is_radius=_is_true(row),
    )


def _guest(row: Row) -> Connected:
    mac = row.get("mac-address", "")
    return Connected(row.get("user") or mac, "hotspot", str(ip_address(row["address"])), mac, "", _is_true(row))


def _leased(row: Row) -> Leased:
    return Leased(
        str(ip_address(row.get("active-address") or row["address"])),
        row.get("active-mac-address") or row.get("mac-address", ""),
        row.get("host-name", ""),
        row.get("server", ""),
    )


def _binding(row: Row, customers: Mapping[str, str]) -> Binding:
    server, duid = row.get("server", ""), row.get("duid", "")
    customer = customers.get(server)
    if customer is None and server.startswith("<") and server.endswith(">"):
        customer = server[1:-1].partition("-")[2]  # connected no more, and its prefix not yet free
    return Binding(
        prefix=str(ip_network(row["address"])),
        pool=row.get("prefix-pool", ""),
        server=server,
        customer=customer or "",
        duid=duid,
        mac=mac_of_duid(duid),
        status=row.get("status", ""),
    )


def _is_true(row: Row) -> bool:
    return row.get("radius") in {"true", "yes"}


def mac_of_duid(duid: str) -> str:
    """Return the Ethernet address in a DUID of the two kinds that have one (RFC 8415, 11.2 and 11.4); else empty."""
    digits = duid.removeprefix("0x").replace(":", "").lower()
    skipped = _LINK_LAYER_DUIDS.get(digits[:4])
    if skipped is None or digits[4:8] != _ETHERNET or len(digits) != 2 * (skipped + _MAC_OCTETS):
        return ""
    try:
        return bytes.fromhex(digits[2 * skipped :]).hex(":").upper()
    except ValueError:
        return ""
