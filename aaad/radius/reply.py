"""What a grant becomes: the attributes of an Accept, and the Class that every Accept carries.

Pure. All that grants of one kind of concentrator, plan, state, phase and branch have in common is encoded once, in a
ReplyTemplate; a login adds its address, its extras and its ends. A grant is complete (rule R4.3): the blocked state
says its own rate, a pool or a list, and for IPv6 a pool or a profile; nothing of the plan or login that would pass by
them goes along. Class (rule R4.6) joins an Accept to its session on any node.

Attributes: RFC 2865, 5; RFC 2548, 2.4; RFC 2869, 5.16 and 5.18; RFC 3162, 2; RFC 4818; RFC 6911; network.md 1.3, 1.4.
Session-Timeout serves the end of prepaid time (rule R4.4): speeds that change by the clock are not ended by it.
"""

from functools import lru_cache
from hashlib import blake2s
from hmac import compare_digest
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from zlib import crc32

from aaad.policy.codes import GrantState, MppePolicy
from aaad.policy.facts import LoginExtras, Speed
from aaad.policy.grant import Grant, Leases
from aaad.policy.parameters import BranchPolicy, learn_flags
from aaad.radius.kinds import NasKind
from aaad.radius.packet import (
    VALUE_SIZE_MAX,
    Attribute,
    attribute,
    integer_attribute,
    vendor_attribute,
)
from aaad.radius.pool_book import (
    NO_BOOK,
    PLAIN_NAS,
    Chosen,
    GrantPools,
    NasPools,
    PoolBook,
    Source,
    of_blocked,
    of_branch,
    of_plan,
    with_ipv4,
)
from aaad.radius.rates import rate_attributes
from aaad.replica.secret_attributes import without_secrets
from aaad.sessions.grant_class import (
    CLASS_BODY,
    CLASS_SIGNATURE_SIZE,
    CLASS_SIZE,
    CLASS_VERSION,
    ClassFacts,
    class_facts,
)

_SERVICE_FRAMED = 2
_PROTOCOL_PPP = 1
_FRAMED_IP_HEADER = bytes((Attribute.FRAMED_IP_ADDRESS, 6))
_FRAMED_ROUTE, _FRAMED_IPV6_ROUTE, _FILTER_ID = 22, 99, 11
_FRAMED_IPV6_PREFIX, _DELEGATED_IPV6_PREFIX = 97, 123
_MICROSOFT, _MPPE_POLICY, _MPPE_TYPES = 311, 7, 8
# MS-MPPE-Encryption-Types is a set of bits (RFC 2548, 2.4.5): 40 bits is 2, 128 bits is 4. Who demands encryption
# does not want the weak one.
_MPPE_TYPES_OF = {MppePolicy.ALLOWED: 6, MppePolicy.REQUIRED: 4}
_MPPE_TYPES_SIZE = 12
_MPPE_TYPES_HEADER = bytes((26, _MPPE_TYPES_SIZE)) + _MICROSOFT.to_bytes(4, "big") + bytes((_MPPE_TYPES, 6))
_MPPE_128_BITS = (4).to_bytes(4, "big")
_SESSION_TIMEOUT_SIZE = 6
_JITTER_STEPS = 64  # a power of two
_JITTER_MASK = _JITTER_STEPS - 1
_INTERIM_MIN_S = 60
_INTERIM_JITTER = 0.1  # of the interval, both ways
_END_JITTER = 0.1  # of the time left, one way
_END_JITTER_MAX_S = 300
_SPREAD = 0x9E3779B1  # odd and far from a power of two: neighbouring numbers come to lie far apart
_NUMBER_MASK = 0xFFFFFFFF
_BLOCKED, _NOTICE = int(GrantState.BLOCKED), int(GrantState.NOTICE)

_CLASS_HEADER = bytes((Attribute.CLASS, CLASS_SIZE + 2))
_pack_class = CLASS_BODY.pack
_CLASS_BODY_SIZE = CLASS_BODY.size


class ReplyTemplate(NamedTuple):
    """What all grants of one kind of concentrator, plan, state, phase and branch have in common, encoded."""

    ppp: bytes  # all of `head` and the parts below but the IPv4 pool: for a login without extras, in a PPP request
    other: bytes  # the same for any other request
    ipv4_pool: bytes  # for who has no address
    interims: tuple[bytes, ...]  # Acct-Interim-Interval with each jitter
    fingerprint: int
    session_timeout_s: int  # if not 0, its attribute ends `ppp`, `other` and `tail`
    has_secret: bool  # so journals get a copy without it
    learn_flags: int  # by which of a login's flags something is learned when it gets this
    pools: GrantPools | None  # None: none of its pools can be ours
    # What the extras of a login may replace, and what stands around it.
    head_ppp: bytes
    head_other: bytes
    address_lists: bytes
    ipv6_pool: bytes
    delegated_ipv6_pool: bytes
    dns: bytes
    tail: bytes


def compile_reply(kind: NasKind, grant: Grant, book: PoolBook = NO_BOOK, at: NasPools = PLAIN_NAS) -> ReplyTemplate:
    """Encode what a grant has from its plan, NAS and branch; ValueError names what does not fit.

    A blocked state of which nothing can be said to this kind would be no block: a ValueError, too (rule R4.3).
    Of a login with extras speed and DNS servers may be its own: `accept_attributes` puts them in.
    """
    plan, policy, blocked = grant.plan, grant.policy, grant.state == _BLOCKED
    ppp = integer_attribute(Attribute.SERVICE_TYPE, _SERVICE_FRAMED) + integer_attribute(
        Attribute.FRAMED_PROTOCOL, _PROTOCOL_PPP
    )
    rate = b"" if grant.extras is not None else _rate(kind, grant.speed)
    lists = _state_lists(kind, grant)
    if blocked:
        if not holds_blocked_ipv4(kind, policy):
            raise ValueError(f"{kind.name}: the blocked state says neither pool nor list")
        if not (kind.address_list and policy.blocked_address_list) and not _blocked_pools(book, at, policy).ipv4:
            raise ValueError(f"{kind.name}: the blocked state's pool cannot be named, and there is no list")
        group = policy.blocked_group
        own = b""
    else:
        group = plan.group
        lists = _lists(kind, plan.address_list, plan.address_list_ipv6) + lists
        own = _filters(kind, plan.filter_ids) + plan.attributes
    pools = _grant_pools(grant, book, at)
    dns = _dns(kind, plan.dns or policy.dns)
    tail = (
        _texts(kind.group, group)
        + own
        + (dns if grant.extras is None else b"")
        + _mppe(plan.mppe)
        + _seconds(Attribute.IDLE_TIMEOUT, plan.idle_timeout_s)
        + _seconds(Attribute.SESSION_TIMEOUT, plan.session_timeout_s)
    )
    chosen = pools.chosen
    ipv4_pool = _told(kind.ipv4_pool, chosen.ipv4)
    ipv6_pool = _told(kind.ipv6_pool, chosen.ipv6)
    delegated = _told(kind.delegated_ipv6_pool, chosen.delegated)
    common = rate + lists + ipv6_pool + delegated + tail
    # Which address a pool of ours gives is no part of the grant; which pool it is, is.
    interim = _seconds(Attribute.ACCT_INTERIM_INTERVAL, plan.interim_interval_s)
    is_ours = bool(chosen.ours) or (grant.extras is not None and not book.is_empty)
    return ReplyTemplate(
        ppp=ppp + common,
        other=common,
        ipv4_pool=ipv4_pool,
        interims=_interims(plan.interim_interval_s),
        fingerprint=crc32(common + ipv4_pool + interim + chosen.marks),
        session_timeout_s=plan.session_timeout_s,
        has_secret=without_secrets(own) != own,
        learn_flags=learn_flags(grant.policy),
        pools=pools if is_ours else None,
        head_ppp=ppp,
        head_other=b"",
        address_lists=lists,
        ipv6_pool=ipv6_pool,
        delegated_ipv6_pool=delegated,
        dns=dns,
        tail=tail,
    )


def _grant_pools(grant: Grant, book: PoolBook, at: NasPools) -> GrantPools:
    """Return where the addresses of such grants come from; a login's own names go before them."""
    plan, policy, space = grant.plan, grant.policy, at.address_space
    levels = [of_plan(plan), at.names, of_branch(policy)]
    usual = book.choose(space, levels)
    if grant.state != _BLOCKED:
        return GrantPools(book, space, usual)
    blocked = _blocked_pools(book, at, policy)
    if blocked.ipv4:
        return GrantPools(book, space, blocked, fallback=usual)
    return GrantPools(book, space, with_ipv4(blocked, usual.ipv4))


def _blocked_pools(book: PoolBook, at: NasPools, policy: BranchPolicy) -> Chosen:
    return book.choose(at.address_space, [of_blocked(policy)])


def holds_blocked_ipv4(kind: NasKind, policy: BranchPolicy) -> bool:
    """Tell whether a pool or list holds the IPv4 of who is blocked: a rate alone would be a slow full service."""
    return bool(policy.blocked_ipv4_pool or (kind.address_list and policy.blocked_address_list))


def blocked_state_problem(kind: NasKind, policy: BranchPolicy) -> str:
    """Return what a branch's blocked state lacks at a kind of concentrator, and what to set; empty if it is whole."""
    if not policy.blocked_state:
        return ""
    if not holds_blocked_ipv4(kind, policy):
        needed = "blocked_ipv4_pool or blocked_address_list" if kind.address_list else "blocked_ipv4_pool"
        return f"who is blocked is refused, as {needed} is not set"
    if policy.blocked_ipv6_pool or policy.blocked_delegated_ipv6_pool or (kind.group and policy.blocked_group):
        return ""
    needed = "blocked_group, or " if kind.group else ""
    return f"nothing holds the IPv6 of who is blocked: set {needed}blocked_ipv6_pool and blocked_delegated_ipv6_pool"


def accept_attributes(
    kind: NasKind, template: ReplyTemplate, grant: Grant, login_id: int, ppp: bool, now_s: float
) -> tuple[bytes, int, bool]:
    """Return an Accept's attributes but for Class and signatures, their checksum, and whether a secret is among them.

    The checksum has 32 bits and is equal for equal grants. ValueError if something of a login's extras does not fit;
    PostgreSQL has checked it, so that is a damaged row.
    """
    ipv4, ends_at_s = grant.ipv4, grant.ends_at_s
    if grant.extras is not None:
        return _with_extras(kind, template, grant, grant.extras, login_id, ppp, now_s)
    compiled = template.ppp if ppp else template.other
    leases = grant.leases
    fingerprint = template.fingerprint
    if leases is None or not leases.has_ipv4:
        fingerprint ^= ipv4
    if ends_at_s:
        compiled = _with_end(compiled, template, grant, login_id, now_s)
        fingerprint ^= ends_at_s * _SPREAD & _NUMBER_MASK
    compiled += template.interims[login_id & _JITTER_MASK]
    compiled += _FRAMED_IP_HEADER + ipv4.to_bytes(4, "big") if ipv4 else template.ipv4_pool
    if leases is not None and leases.has_more:
        compiled += _leased(kind, leases)
    return compiled, fingerprint, template.has_secret


def _with_extras(
    kind: NasKind,
    template: ReplyTemplate,
    grant: Grant,
    extras: LoginExtras,
    login_id: int,
    ppp: bool,
    now_s: float,
) -> tuple[bytes, int, bool]:
    rate = _rate(kind, grant.speed)
    lists = template.address_lists
    if extras.address_list or extras.address_list_ipv6:
        lists = _lists(kind, extras.address_list, extras.address_list_ipv6) + _state_lists(kind, grant)
    chosen = None if template.pools is None else template.pools.chosen_by(extras)
    ipv6 = template.ipv6_pool
    if extras.ipv6_prefix:
        ipv6 = _prefix(_FRAMED_IPV6_PREFIX, extras.ipv6_prefix)
    elif chosen is not None or extras.ipv6_pool:
        ipv6 = _told(kind.ipv6_pool, extras.ipv6_pool if chosen is None else chosen.ipv6)
    delegated = template.delegated_ipv6_pool
    if extras.delegated_ipv6_prefix:
        delegated = _prefix(_DELEGATED_IPV6_PREFIX, extras.delegated_ipv6_prefix)
    elif chosen is not None or extras.delegated_ipv6_pool:
        delegated = _told(
            kind.delegated_ipv6_pool, extras.delegated_ipv6_pool if chosen is None else chosen.delegated
        )
    if grant.ipv4:
        ipv4 = _FRAMED_IP_HEADER + grant.ipv4.to_bytes(4, "big")
    elif chosen is not None:
        ipv4 = _told(kind.ipv4_pool, chosen.ipv4)
    else:
        ipv4 = _texts(kind.ipv4_pool, extras.ipv4_pool) or template.ipv4_pool
    leased, leases = b"", grant.leases
    if leases is not None:
        leased = _leased(kind, leases)
        if leases.has_ipv4:
            leased, ipv4 = leased + ipv4, b""
    dns = _dns(kind, extras.dns) if extras.dns else template.dns
    own = rate + lists + ipv6 + delegated + ipv4 + _routes(extras.routes) + extras.attributes + dns
    tail = template.tail
    marks = chosen.marks if chosen is not None else b""
    fingerprint = crc32(own + marks + tail, template.fingerprint ^ grant.ends_at_s)
    if grant.ends_at_s:
        tail = _with_end(tail, template, grant, login_id, now_s)
    head = template.head_ppp if ppp else template.head_other
    has_secret = template.has_secret or without_secrets(extras.attributes) != extras.attributes
    return head + own + leased + tail + template.interims[login_id & _JITTER_MASK], fingerprint, has_secret


def session_end_s(grant: Grant, login_id: int, now_s: float) -> int:
    """Return in how many seconds a session that must end is told to (rule R4.4): at least 1.

    Never after the end and never longer than the branch's cap. What the cap cuts short ends up to a tenth earlier, so
    that the sessions of one morning do not all end the next; before the true end at most five minutes.
    """
    share = (login_id * _SPREAD & _NUMBER_MASK) / (_NUMBER_MASK + 1)
    left_s = grant.ends_at_s - now_s
    cap_s = grant.policy.session_timeout_max_s
    if left_s > cap_s > 0:
        return max(1, int(cap_s - share * _END_JITTER * cap_s))
    return max(1, int(left_s - share * min(_END_JITTER * left_s, _END_JITTER_MAX_S)))


def _with_end(compiled: bytes, template: ReplyTemplate, grant: Grant, login_id: int, now_s: float) -> bytes:
    """Put the earlier of the plan's Session-Timeout and the end of prepaid time in the plan's place."""
    seconds = session_end_s(grant, login_id, now_s)
    if template.session_timeout_s:
        seconds = min(seconds, template.session_timeout_s)
        compiled = compiled[:-_SESSION_TIMEOUT_SIZE]
    return compiled + integer_attribute(Attribute.SESSION_TIMEOUT, seconds)


def _state_lists(kind: NasKind, grant: Grant) -> bytes:
    policy = grant.policy
    if grant.state == _BLOCKED:
        return _lists(kind, policy.blocked_address_list, policy.blocked_address_list_ipv6)
    if grant.state == _NOTICE:
        return _lists(kind, policy.notice_address_list, policy.notice_address_list_ipv6)
    return b""


def _rate(kind: NasKind, speed: Speed | None) -> bytes:
    return rate_attributes(kind.rate, kind.unlimited if speed is None else speed)


def _lists(kind: NasKind, ipv4: str, ipv6: str) -> bytes:
    return _texts(kind.address_list, ipv4) + _texts(kind.address_list_ipv6, ipv6)


def _filters(kind: NasKind, filter_ids: tuple[str, ...]) -> bytes:
    """Return the plan's filters; none where Filter-Id means the speed."""
    if kind.tells_rate_by_filter_id:
        return b""
    return b"".join(attribute(_FILTER_ID, name.encode()) for name in filter_ids)


def _texts(which: tuple[int, int] | None, text: str) -> bytes:
    """Return one attribute with a text; nothing for an empty one, or where the kind has no such attribute."""
    return _one(which, text.encode()) if which is not None and text else b""


def _one(which: tuple[int, int], value: bytes) -> bytes:
    vendor, code = which
    return vendor_attribute(vendor, code, value) if vendor else attribute(code, value)


def _seconds(kind: int, seconds: int) -> bytes:
    return integer_attribute(kind, seconds) if seconds else b""


def _dns(kind: NasKind, servers: tuple[str, ...]) -> bytes:
    """Return the name servers: two of IPv4 at most, as that is how many have an attribute."""
    addresses = [ip_address(server) for server in servers]
    ipv4 = [address for address in addresses if isinstance(address, IPv4Address)]
    ipv6 = [address for address in addresses if not isinstance(address, IPv4Address)]
    first_two = (_one(which, address.packed) for which, address in zip(kind.dns, ipv4, strict=False))
    return b"".join((*first_two, *(_one(kind.dns_ipv6, address.packed) for address in ipv6)))


def _mppe(policy: int) -> bytes:
    if policy == MppePolicy.UNSAID:
        return b""
    said = MppePolicy(policy)
    return vendor_attribute(_MICROSOFT, _MPPE_POLICY, int(said).to_bytes(4, "big")) + vendor_attribute(
        _MICROSOFT, _MPPE_TYPES, _MPPE_TYPES_OF[said].to_bytes(4, "big")
    )


def with_strong_types(attributes: bytes) -> bytes:
    """Return an Accept's attributes with encryption of 128 bits alone: MS-CHAP version 1 has keys for no other."""
    at = 0
    while at < len(attributes):
        end = at + attributes[at + 1]
        if attributes[at : at + len(_MPPE_TYPES_HEADER)] == _MPPE_TYPES_HEADER:
            return attributes[: at + len(_MPPE_TYPES_HEADER)] + _MPPE_128_BITS + attributes[end:]
        at = end
    return attributes


def _told(which: tuple[int, int], source: Source) -> bytes:
    """Return the attribute that names one of the concentrator's pools; of ours it is told an address instead."""
    return _texts(which, source) if isinstance(source, str) else b""


def _leased(kind: NasKind, leases: Leases) -> bytes:
    """Encode what comes from pools of ours beside the IPv4 address."""
    said = _texts(kind.ipv4_pool, leases.ipv4_pool)
    for attribute_kind, unit in ((_FRAMED_IPV6_PREFIX, leases.ipv6), (_DELEGATED_IPV6_PREFIX, leases.delegated)):
        if unit is not None:
            number, length = unit
            size = (length + 7) // 8
            said += bytes((attribute_kind, 4 + size, 0, length)) + (number >> 128 - 8 * size).to_bytes(size, "big")
    return said


def _prefix(kind: int, text: str) -> bytes:
    """Encode an IPv6 prefix: a reserved octet, its length, and as many octets as it needs (RFC 3162, 2.3)."""
    network = IPv6Network(text)
    size = (network.prefixlen + 7) // 8
    return attribute(kind, bytes((0, network.prefixlen)) + network.network_address.packed[:size])


def _routes(networks: tuple[str, ...]) -> bytes:
    """Encode networks behind the customer's device: destination, gateway (none: the customer's own) and metric."""
    return b"".join(
        attribute(_FRAMED_ROUTE, f"{network} 0.0.0.0 1".encode())
        if isinstance(network, IPv4Network)
        else attribute(_FRAMED_IPV6_ROUTE, f"{network} :: 1".encode())
        for network in map(ip_network, networks)
    )


@lru_cache(maxsize=64)
def _interims(interval_s: int) -> tuple[bytes, ...]:
    """Return Acct-Interim-Interval with each jitter, so that the interims of one morning do not keep in step."""
    if not interval_s:
        return (b"",) * _JITTER_STEPS
    integer_attribute(Attribute.ACCT_INTERIM_INTERVAL, interval_s)  # whether it fits at all
    factors = (1 + _INTERIM_JITTER * (2 * step / _JITTER_MASK - 1) for step in range(_JITTER_STEPS))
    seconds = (min(max(_INTERIM_MIN_S, round(interval_s * factor)), _NUMBER_MASK) for factor in factors)
    return tuple(integer_attribute(Attribute.ACCT_INTERIM_INTERVAL, each_s) for each_s in seconds)


class ClassSigner:
    """Makes and verifies Class values with the cluster's key. Its `repr` shows nothing."""

    __slots__ = ("_keyed", "_slot", "node", "serial")

    def __init__(self, key: bytes, *, node: int, slot: int, serial: int) -> None:
        """Count grants from `serial` on; (node, slot, serial) must never come twice in a cluster."""
        self._keyed = blake2s(key=key, digest_size=CLASS_SIGNATURE_SIZE)
        self._slot = slot
        self.node = node
        self.serial = serial  # of the last grant

    def __repr__(self) -> str:
        """Say what it is and nothing of the key."""
        return f"ClassSigner(node={self.node}, slot={self._slot})"

    def class_attribute(self, login: int, contract: int, plan: int, fingerprint: int) -> bytes:
        """Return the Class attribute of the next grant."""
        self.serial = serial = self.serial + 1
        body = _pack_class(CLASS_VERSION, self._slot, self.node, serial, login, contract, plan, fingerprint, 0)
        signature = self._keyed.copy()
        signature.update(body)
        return _CLASS_HEADER + body + signature.digest()

    def verify(self, value: bytes) -> ClassFacts | None:
        """Return what a Class value says, or None if this cluster did not make it."""
        return class_facts(value[:_CLASS_BODY_SIZE]) if self.is_own(value) else None

    def is_own(self, value: bytes) -> bool:
        """Tell whether this cluster made a Class value."""
        if len(value) != CLASS_SIZE or value[0] != CLASS_VERSION:
            return False
        signature = self._keyed.copy()
        signature.update(value[:_CLASS_BODY_SIZE])
        return compare_digest(signature.digest(), value[_CLASS_BODY_SIZE:])


def administrator_attributes(kind: NasKind, group: str) -> bytes:
    """Return what a router administrator's Accept says of his rights (rule R2.5).

    ValueError where the kind has no way to say it: an Accept without it would give the router's own default.
    """
    if kind.administrator_group is None:
        raise ValueError(f"{kind.name} is not told what an administrator may")
    return _one(kind.administrator_group, kind.administrator_form.format(group).encode())


def reject_attributes(message: str) -> bytes:
    """Return the attributes of a Reject with a Reply-Message; none for an empty text.

    A text that is too long is cut between letters: Reply-Message is UTF-8 (RFC 2865, 5.18).
    """
    octets = message.encode()[:VALUE_SIZE_MAX].decode(errors="ignore").encode()
    return attribute(Attribute.REPLY_MESSAGE, octets) if octets else b""
