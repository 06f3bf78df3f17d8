"""Who asks: NAS entries, the routers seen behind them, and what each has asked in the last seconds.

Pure: no I/O and no clock. Rules R2.1 (a router is NAS entry, source address and NAS-Identifier), R2.2 (which
secret signs), R2.3 (the Message-Authenticator ratchet); duplicates by RFC 5080, 2.2.2.

Routers behind one address or prefix may each have a secret of their own: the entry's secrets are candidates, and the
one that a router proved stays with that router.

These are the objects of the request path, so they are plain mutable slots: a Peer lives for one source address
and port, a Router for as long as the process.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, NamedTuple

from aaad.radius.integrity import SecretKeys
from aaad.radius.kinds import kind_of
from aaad.radius.layout import ACCOUNTING_LAYOUTS_MAX, Layouts
from aaad.radius.pool_book import of_nas, terms_of
from aaad.radius.router_statistics import RouterStatistics
from aaad.replica.record import NasRow, RouterRow

RouterName = tuple[int, str, bytes]  # NAS entry, source address, NAS-Identifier (rule R2.1)
Source = tuple[Any, ...]  # as the kernel gives it: (address, port) and for IPv6 flow and scope

SECRETS_MAX = 4  # rule R2.2: at most 4 candidates a packet
ROUTERS_MAX = 65_536  # a NAS entry may be a prefix, so its routers need a bound
# Whoever proves nothing may be a forger, who invents ports, addresses and NAS-Identifiers. He pushes out others like
# him, never anybody who proved a secret.
UNPROVEN_PEERS_MAX = 4_096
STRANGERS_MAX = 1_024
STRANGER_TTL_S = 3_600.0
UNWATCHED_WINDOW_S = 60.0
_UNWATCHED_MIN = 3  # Accepts by which a window is judged
_IDENTIFIERS = 256


class Remembered(NamedTuple):
    """The last request on one Identifier of a peer."""

    authenticator: bytes
    reply: bytes | None  # None: in work, or dropped as late; empty: given up, a copy is decided anew
    first_arrival_s: float  # of the first copy: the deadline counts from here (rule R3.3)
    is_proven: bool = False  # it proved the secret that signed the reply: by a signature, a fitting password


class Accounted(NamedTuple):
    """The last Accounting-Request on one Identifier of a peer."""

    authenticator: bytes
    reply: bytes | None  # None: the disk has yet to confirm the record
    at_s: float


class Nas:
    """One NAS entry, made ready: its keys in the order in which they are tried."""

    __slots__ = (
        "_candidates",
        "accounting_layouts",
        "branch_id",
        "deadline_s",
        "enabled",
        "first_address",
        "is_prefix",
        "keys",
        "keys_end_s",
        "kind",
        "layouts",
        "may_arm",
        "name",
        "nas_id",
        "octets_swapped",
        "pools",
        "require_signature",
        "terms",
    )

    def __init__(self, row: NasRow, now_s: float, fingerprint_key: bytes = b"") -> None:
        """Make the keys of a row; each secret but the current one may have an end."""
        network = _network(row.address)
        self.nas_id = row.nas_id
        self.name = row.name
        self.kind = kind_of(row.kind)
        self.layouts = Layouts()
        self.accounting_layouts = Layouts(ACCOUNTING_LAYOUTS_MAX)
        self.branch_id = row.branch_id
        self.enabled = row.enabled
        self.octets_swapped = row.octets_swapped
        self.pools = of_nas(row)
        self.terms = terms_of(self.kind, self.pools)
        self.first_address = str(network.network_address)
        self.is_prefix = network.prefixlen < network.max_prefixlen
        self.require_signature = row.message_authenticator == "yes"
        self.may_arm = row.message_authenticator == "auto" and not self.is_prefix
        self.deadline_s = row.deadline_ms / 1000
        secrets = {row.secret: math.inf}
        for secret, until_s in ((row.secret_previous, row.secret_previous_until_s), *row.secrets):
            if secret:
                secrets[secret] = max(until_s, secrets.get(secret, 0.0))
        self._candidates = [(SecretKeys(secret, fingerprint_key), until_s) for secret, until_s in secrets.items()]
        self.keys: tuple[SecretKeys, ...] = ()
        self.keys_end_s = 0.0  # when the next of them ends
        self.expire(now_s)

    def expire(self, now_s: float) -> None:
        """Leave out the secrets whose time is over."""
        current = [(keys, until_s) for keys, until_s in self._candidates if now_s < until_s][:SECRETS_MAX]
        self.keys = tuple(keys for keys, _ in current)
        self.keys_end_s = min(until_s for _, until_s in current)

    def keys_like(self, keys: SecretKeys) -> SecretKeys | None:
        """Return the keys of this entry that hold the same secret."""
        return next((own for own in self.keys if own.same_secret(keys)), None)

    def keys_of(self, fingerprint: bytes) -> SecretKeys | None:
        """Return the keys of this entry that have this fingerprint."""
        return next((own for own in self.keys if own.fingerprint == fingerprint), None)


class Router:
    """One device behind a NAS entry, with what has been learned about it.

    Until it proves its secret it counts into the statistics of its address, and is kept by its peer only.
    """

    __slots__ = (
        "announce_at_s",
        "announced_at_s",
        "armed",
        "has_own_proof",
        "identifier",
        "is_kept",
        "journal_key",
        "last_heard_s",
        "locally_armed_at_s",
        "nas",
        "proven",
        "reset_at_s",
        "shared_fingerprint",
        "source_address",
        "statistics",
    )

    def __init__(
        self, nas: Nas, source_address: str, identifier: bytes, statistics: RouterStatistics | None = None
    ) -> None:
        """Start with nothing proven; `statistics` are those of its address."""
        self.is_kept = False
        self.nas = nas
        self.source_address = source_address
        self.identifier = identifier
        self.armed = False
        self.locally_armed_at_s = 0.0
        self.reset_at_s = 0.0
        self.proven = nas.keys[0]  # the secret that signs where nothing proves one (rule R2.2)
        self.has_own_proof = False  # this process saw the proof of it
        self.shared_fingerprint = b""  # of the secret that all nodes know of, or were told of here
        self.announced_at_s = 0.0
        self.announce_at_s = 0.0  # when it is due next
        self.last_heard_s = 0.0
        self.statistics = statistics or RouterStatistics()
        address = source_address.encode()
        self.journal_key = nas.nas_id.to_bytes(4, "little") + bytes((len(address),)) + address

    @property
    def claimed_name(self) -> tuple[int, str, bytes]:
        """What it says of itself, proven or not."""
        return (self.nas.nas_id, self.source_address, self.identifier)

    @property
    def name(self) -> tuple[int, str, bytes]:
        """NAS entry, source address and NAS-Identifier once its secret is proven.

        Before, anybody may invent the identifier, and behind a prefix the address too.
        """
        if self.is_kept:
            return self.claimed_name
        return (self.nas.nas_id, self.nas.first_address if self.nas.is_prefix else self.source_address, b"")

    def apply(self, row: RouterRow) -> None:
        """Take over what all nodes know; a reset by an operator also forgets what was armed here.

        The secret that was proven to another process counts unless one was proven here since (rule R2.2).
        """
        if row.reset_at_s != self.reset_at_s:
            self.reset_at_s = row.reset_at_s
            self.locally_armed_at_s = 0.0
        self.armed = row.armed_at_s > row.reset_at_s or self.locally_armed_at_s > 0.0
        if row.secret_fingerprint:
            self.shared_fingerprint = row.secret_fingerprint
            keys = self.nas.keys_of(row.secret_fingerprint)
            if keys is not None and (not self.has_own_proof or row.secret_proven_at_s > self.last_heard_s):
                self.proven, self.has_own_proof = keys, False

    def prove(self, keys: SecretKeys) -> None:
        """Take note that a datagram proved this secret."""
        self.proven, self.has_own_proof = keys, True

    def renew_secret(self) -> None:
        """Go on with the same secret by the entry's keys of now; if it is not among them, nothing is proven."""
        keys = self.nas.keys_like(self.proven)
        self.has_own_proof = self.has_own_proof and keys is not None
        self.proven = keys or self.nas.keys[0]

    def doubt(self, now_s: float, *, accepts: int = 0, resent: int = 0, unreadable: int = 0) -> None:
        """Count signs that its secret is another one than ours; a proof of its secret ends a row of them."""
        counts = self.statistics
        if max(counts.proven_at_s, self.last_heard_s) > counts.doubted_at_s:
            self._trust()
        counts.doubted_accepts += accepts
        counts.doubted_resent += resent
        counts.unreadable_passwords += unreadable
        counts.doubted_at_s = now_s
        if counts.unwatched_accepts:
            counts.unwatched_resent += resent
            # Each secret of the entry signs a copy in its turn, so only more copies than that say that none is right.
            if counts.unwatched_accepts >= _UNWATCHED_MIN and self._is_all_asked_again:
                counts.doubted_accepts += counts.unwatched_accepts
                counts.unwatched_accepts = counts.unwatched_resent = 0

    @property
    def _is_all_asked_again(self) -> bool:
        return self.statistics.unwatched_resent >= self.statistics.unwatched_accepts * len(self.nas.keys)

    def accepted_unwatched(self, now_s: float) -> None:
        """Count an Accept by CHAP without Acct-Session-Id: only copies tell whether the router reads it.

        They are judged by the minute: a row of Accepts that nobody asks for again ends all doubts.
        """
        counts = self.statistics
        if now_s - counts.unwatched_since_s > UNWATCHED_WINDOW_S and not (
            counts.unwatched_accepts and self._is_all_asked_again
        ):
            if counts.unwatched_accepts >= _UNWATCHED_MIN and 2 * counts.unwatched_resent < counts.unwatched_accepts:
                self._trust()
            counts.unwatched_since_s, counts.unwatched_accepts, counts.unwatched_resent = now_s, 0, 0
        counts.unwatched_accepts += 1

    def _trust(self) -> None:
        counts = self.statistics
        counts.doubted_accepts = counts.doubted_resent = counts.unreadable_passwords = 0
        counts.unwatched_accepts = counts.unwatched_resent = 0


class Stranger:
    """One address behind a NAS entry, and what is counted of requests from there that prove no secret."""

    __slots__ = ("last_heard_s", "nas", "source_address", "statistics")

    def __init__(self, nas: Nas, source_address: str) -> None:
        """Begin at zero."""
        self.nas = nas
        self.source_address = source_address
        self.last_heard_s = 0.0
        self.statistics = RouterStatistics()


class Peer:
    """One source address and port, and the last request on each of its 256 Identifiers."""

    __slots__ = ("accounted", "heard_at_s", "in_work", "is_proven", "nas", "remembered", "router", "source_address")

    def __init__(self, nas: Nas, source_address: str) -> None:
        """Start with nothing remembered and no router known."""
        self.nas = nas
        self.source_address = source_address
        self.router: Router | None = None
        self.remembered: list[Remembered | None] = [None] * _IDENTIFIERS
        # The same of the accounting port: Identifiers count for each port apart. See `accounting`.
        self.accounted: dict[int, Accounted] = {}
        self.in_work = 0  # accounting records that the disk has yet to confirm
        self.is_proven = False  # a datagram from here proved a secret
        self.heard_at_s = 0.0


class Registry:
    """Every NAS entry by address: hosts first, then the longest prefix. IPv4 and IPv6."""

    def __init__(self, rows: Iterable[NasRow], now_s: float, fingerprint_key: bytes = b"") -> None:
        """Make every entry ready; a row without secret, with which anybody could sign, is left out and told."""
        self._hosts: dict[str, Nas] = {}
        self._prefixes: dict[tuple[int, int], dict[int, Nas]] = {}
        self.problems: list[str] = []
        self.keys_end_s = math.inf  # when the next secret of any entry ends
        for row in rows:
            if not row.secret:
                self.problems.append(f"NAS {row.nas_id} has no secret")
                continue
            try:
                network = _network(row.address)
            except ValueError as error:
                self.problems.append(f"NAS {row.nas_id}: {error}")
                continue
            nas = Nas(row, now_s, fingerprint_key)
            self.keys_end_s = min(self.keys_end_s, nas.keys_end_s)
            if nas.is_prefix:
                key = (network.version, network.prefixlen)
                self._prefixes.setdefault(key, {})[int(network.network_address)] = nas
            else:
                self._hosts[str(network.network_address)] = nas
        self._lengths = sorted(self._prefixes, reverse=True)

    def __iter__(self) -> Iterator[Nas]:
        """Go through all entries."""
        yield from self._hosts.values()
        for group in self._prefixes.values():
            yield from group.values()

    def expire(self, now_s: float) -> bool:
        """Leave out the secrets whose time is over; tell whether there were any."""
        if now_s < self.keys_end_s:
            return False
        for nas in self:
            if nas.keys_end_s <= now_s:
                nas.expire(now_s)
        self.keys_end_s = min((nas.keys_end_s for nas in self), default=math.inf)
        return True

    def find(self, source_address: str) -> Nas | None:
        """Return the entry that a datagram from this address belongs to."""
        nas = self._hosts.get(source_address)
        if nas is not None or not (self._prefixes or ":" in source_address):
            return nas
        address = ip_address(plain_address(source_address))
        nas = self._hosts.get(str(address))
        if nas is not None:
            return nas
        number = int(address)
        for version, length in self._lengths:
            if version == address.version:
                shift = address.max_prefixlen - length
                nas = self._prefixes[version, length].get(number >> shift << shift)
                if nas is not None:
                    return nas
        return None


def plain_address(source_address: str) -> str:
    """Return an address as PostgreSQL writes it: IPv4 if it is one in IPv6's clothes, without a link's zone."""
    if ":" not in source_address:
        return source_address
    address = IPv6Address(source_address.partition("%")[0])
    return str(address.ipv4_mapped or address)


def _network(text: str) -> IPv4Network | IPv6Network:
    network = ip_network(text, strict=False)
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return IPv4Network((mapped, network.prefixlen - 96)) if mapped and network.prefixlen >= 96 else network


class Neighbourhood:
    """All peers and routers of one process, under the entries of the replica's tables."""

    def __init__(self, *, peers_max: int) -> None:
        """Know nobody yet."""
        self._peers_max = peers_max
        self._registry = Registry((), 0.0)
        self._pinned: dict[Source, Nas] = {}
        self._rows: dict[tuple[int, str, bytes], RouterRow] = {}
        # Ordered, because a plain dictionary steps over all that was deleted before it finds its oldest key.
        self.peers: OrderedDict[Source, Peer] = OrderedDict()
        self.unproven_peers: OrderedDict[Source, Peer] = OrderedDict()
        self.routers: dict[tuple[int, str, bytes], Router] = {}
        self.strangers: dict[tuple[int, str], Stranger] = {}
        self.proven_addresses: set[str] = set()  # from which a secret was proven, here or at another node

    def load(
        self, nases: Iterable[NasRow], routers: Iterable[RouterRow], now_s: float, fingerprint_key: bytes = b""
    ) -> list[str]:
        """Take over new tables; what was learned of routers whose entry stays is kept. Returns the problems.

        By `fingerprint_key` all processes of the cluster know which secret a router proved to one of them.
        """
        self._registry = Registry(nases, now_s, fingerprint_key)
        by_id = {nas.nas_id: nas for nas in self._registry}
        self._rows = {(row.nas_id, row.source_address, row.nas_identifier): row for row in routers}
        for key, router in list(self.routers.items()):
            nas = by_id.get(key[0])
            if nas is None:
                del self.routers[key]
                continue
            router.nas = nas
            router.renew_secret()
            row = self._rows.get(key)
            if row is not None:
                router.apply(row)
        self.proven_addresses = {name[1] for name in (*self._rows, *self.routers)}
        for peers in (self.peers, self.unproven_peers):
            for source, peer in list(peers.items()):
                nas = self._nas_of(source)
                if nas is None:
                    del peers[source]
                    continue
                peer.nas = nas
                peer.router = None  # found anew: its entry may be another now
        for name in [name for name in self.strangers if name[0] not in by_id]:
            del self.strangers[name]
        return self._registry.problems

    def pin(self, source: Source, nas: Nas) -> None:
        """Let one source address and port be known whatever the tables say: the supervisor's watchdog."""
        self._pinned[source[:2]] = nas  # without IPv6's flow and scope

    def _nas_of(self, source: Source) -> Nas | None:
        return self._pinned.get(source[:2]) or self._registry.find(source[0])

    def new_peer(self, source: Source, now_s: float) -> Peer | None:
        """Return the peer of a source that proved nothing yet, None for an unknown NAS."""
        peer = self.unproven_peers.get(source)
        if peer is None:
            nas = self._nas_of(source)
            if nas is None:
                return None
            if len(self.unproven_peers) >= UNPROVEN_PEERS_MAX:
                self.unproven_peers.popitem(last=False)  # the oldest
            peer = self.unproven_peers[source] = Peer(nas, plain_address(source[0]))
            peer.heard_at_s = now_s
        return peer

    def admit(self, source: Source, peer: Peer) -> None:
        """Keep the peer of a datagram that proved a secret; when there are too many, the oldest is forgotten."""
        peer.is_proven = True
        self.unproven_peers.pop(source, None)
        if len(self.peers) >= self._peers_max:
            self.peers.popitem(last=False)
        self.peers[source] = peer

    def router(self, peer: Peer, identifier: bytes) -> Router:
        """Return the router that a peer's request comes from, by its NAS-Identifier (empty: none was sent)."""
        router = peer.router
        if router is not None and router.identifier == identifier:
            if not router.is_kept:  # another datagram, from another port, may have proven its secret since
                router = peer.router = self.routers.get(router.claimed_name, router)
            return router
        router = peer.router = self.router_at(peer.nas, peer.source_address, identifier, peer.heard_at_s)
        return router

    def router_at(self, nas: Nas, source_address: str, identifier: bytes, now_s: float) -> Router:
        """Return the router of this name behind a NAS entry; one that proved nothing yet is not kept."""
        name = (nas.nas_id, source_address, identifier)
        router = self.routers.get(name)
        if router is None:
            router = Router(nas, source_address, identifier, self._stranger(nas, source_address, now_s).statistics)
            row = self._rows.get(name)
            if row is not None:  # it proved its secret to some node
                router.apply(row)
                self.keep(router, requests=0)
        return router

    def router_named(self, name: RouterName) -> Router | None:
        """Return a router that proved its secret, here or to another node; None if there is none of this name."""
        router = self.routers.get(name)
        if router is None and name in self._rows:
            nas = self._registry.find(name[1])
            if nas is not None and nas.nas_id == name[0]:
                router = self.router_at(nas, name[1], name[2], 0.0)
        return router

    def nas_at(self, source: Source) -> Nas | None:
        """Return the entry that a datagram from this address belongs to."""
        return self._registry.find(source[0])

    def _stranger(self, nas: Nas, source_address: str, now_s: float) -> "Stranger":
        """Return what is counted for an address from which nothing is proven."""
        name = (nas.nas_id, source_address)
        stranger = self.strangers.get(name)
        if stranger is None:
            stranger = Stranger(nas, source_address)
            if len(self.strangers) < STRANGERS_MAX:
                self.strangers[name] = stranger
        stranger.last_heard_s = now_s
        return stranger

    def keep(self, router: Router, now_s: float = 0.0, requests: int = 1) -> None:
        """Keep a router that proved its secret (rule R2.1), with the requests that are its own.

        What was wrong at its address before may have been this very router: it counts as put right.
        """
        if not router.is_kept and len(self.routers) < ROUTERS_MAX:
            router.is_kept = True
            router.statistics.requests -= requests
            router.statistics.proven_at_s = max(router.statistics.proven_at_s, now_s)
            router.statistics = RouterStatistics()
            router.statistics.requests = requests
            self.routers[router.name] = router
            self.proven_addresses.add(router.source_address)

    def expire_secrets(self, now_s: float) -> None:
        """Let secrets end by the clock: what a router proved with one of them is not believed any more."""
        if self._registry.expire(now_s):
            for router in self.routers.values():
                router.renew_secret()
            for peers in (self.peers, self.unproven_peers):
                for peer in peers.values():
                    if peer.router is not None:
                        peer.router.renew_secret()

    def forget_idle(self, now_s: float, peer_ttl_s: float) -> None:
        """Forget peers and strangers that were not heard for long."""
        for peers in (self.peers, self.unproven_peers):
            for source in [source for source, peer in peers.items() if now_s - peer.heard_at_s > peer_ttl_s]:
                del peers[source]
        for name in [name for name, one in self.strangers.items() if now_s - one.last_heard_s > STRANGER_TTL_S]:
            del self.strangers[name]
