"""What kinds of concentrators there are, and how each wants to be told what a grant gives.

Pure data: whatever differs between vendors stands in a NasKind and nowhere else in the code. RouterOS and accel-ppp
are known from their manual and source; of the others the attributes' numbers are known, how they behave is not, and
`is_verified` says so. Rule R2.5: the look of a request for the router's own administration is data, too.

No kind has an attribute for IPv6 address lists that is known: RouterOS puts only the IPv4 address into the list of
Mikrotik-Address-List, and what keeps a blocked customer's IPv6 in is a pool or a profile (rule R4.3).
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

from aaad.policy.facts import Speed

_SERVICE_TYPE, _FRAMED_PROTOCOL, _FRAMED_IP_ADDRESS, _CALLED_STATION_ID, _NAS_PORT_TYPE = 6, 7, 8, 30, 61
_USER_NAME, _ACCT_SESSION_ID = 1, 44
_SESSION_TIMEOUT, _IDLE_TIMEOUT = 27, 28
_LOGIN, _ADMINISTRATIVE, _NAS_PROMPT = 1, 6, 7
_NO_SESSION, _NO_SESSION_ON_ROUTEROS = 503, 406  # Error-Cause: Session Context Not Found; measured on RouterOS
_PORT_VIRTUAL, _PORT_ASYNC = 5, 0


class RateStyle(IntEnum):
    """How a speed is told."""

    NONE = 0  # by a profile's name, which is an extra attribute of the plan
    MIKROTIK = 1  # Mikrotik-Rate-Limit, whole
    FILTER_ID_KBIT = 2  # Filter-Id `download/upload` in kbit/s
    HUAWEI = 3  # average and peak rates in bit/s
    WISPR = 4  # WISPr-Bandwidth-Max-Up and -Down in bit/s


class AttributeId(NamedTuple):
    """Which attribute: 0 as its vendor stands for those of the RFCs."""

    vendor: int
    code: int


class AdministrationLook(NamedTuple):
    """How a request for the router's own administration looks (rule R2.5)."""

    service_types: frozenset[int]
    absent: tuple[int, ...] = ()  # attributes that only a subscriber's request has
    port_types: frozenset[int] | None = None  # what NAS-Port-Type must be where there is one; None: anything
    is_without_service_type: bool = False  # also where none is said and NAS-Port-Type is one of `port_types`

    def fits(self, data: bytes, positions: Mapping[int, int]) -> bool:
        """Tell whether a walked request asks for administration."""
        at, port_at = positions.get(_SERVICE_TYPE), positions.get(_NAS_PORT_TYPE)
        if at is None:
            if not (self.is_without_service_type and port_at):
                return False
        elif _number(data, at) not in self.service_types:
            return False
        if any(kind in positions for kind in self.absent):
            return False
        return self.port_types is None or port_at is None or _number(data, port_at) in self.port_types


class LiveChanges(NamedTuple):
    """Which attributes a CoA-Request changes while a session lives. For any other the customer must dial anew."""

    ppp: frozenset[AttributeId] = frozenset()
    other: frozenset[AttributeId] = frozenset()  # of Hotspot and whatever else is no PPP
    # Taken, but no manual says that it has effect: an ACK proves nothing.
    unproven: frozenset[AttributeId] = frozenset()


NO_LIVE_CHANGES = LiveChanges()


class NasKind(NamedTuple):
    """One kind of concentrator."""

    name: str  # as in `net.nas.kind`
    is_verified: bool
    rate: RateStyle
    administration: AdministrationLook
    ipv4_pool: AttributeId = AttributeId(0, 88)  # Framed-Pool
    ipv6_pool: AttributeId = AttributeId(0, 100)  # Framed-IPv6-Pool
    delegated_ipv6_pool: AttributeId = AttributeId(0, 171)  # Delegated-IPv6-Prefix-Pool
    dns: tuple[AttributeId, ...] = (AttributeId(311, 28), AttributeId(311, 29))  # first and second
    dns_ipv6: AttributeId = AttributeId(0, 169)  # DNS-Server-IPv6-Address
    address_list: AttributeId | None = None
    address_list_ipv6: AttributeId | None = None
    group: AttributeId | None = None  # the profile of a subscriber
    administrator_group: AttributeId | None = None  # None: its administrators cannot be told what they may
    administrator_form: str = "{}"  # how the group stands in it
    # What a CoA- or Disconnect-Request names its session by (RFC 5176, 3). NAS-Identifier and NAS-IP-Address are in
    # none: at an address of its own a router needs no other name, and refuses what it does not take for its own.
    session_names: tuple[int, ...] = (_USER_NAME, _ACCT_SESSION_ID)
    gone_causes: frozenset[int] = frozenset({_NO_SESSION})  # Error-Causes that say that there is no such session
    signs_orders: bool = True  # Message-Authenticator in these requests, which RFC 5176 leaves open
    stamps_orders: bool = True  # Event-Timestamp in them, against replays; who has a wrong clock drops them then
    has_api: bool = False  # RouterOS's own, by which sessions are ended and what became of orders is read
    live: LiveChanges = NO_LIVE_CHANGES
    ppp_session_prefix: str = ""  # an Acct-Session-Id that does not begin so is of no PPP session
    # A User-Name that is a device's address is taken for another kind of session.
    misreads_mac_names: bool = False
    unlimited: Speed | None = None  # what is said of no limit, where leaving it out means the profile's (rule R4.3)

    def is_ppp(self, acct_session_id: str) -> bool:
        """Whether a session of this Acct-Session-Id is a PPP session."""
        return acct_session_id.lower().startswith(self.ppp_session_prefix)

    @property
    def tells_rate_by_filter_id(self) -> bool:
        """Whether a Filter-Id would be taken for a speed."""
        return self.rate is RateStyle.FILTER_ID_KBIT


_BY_SERVICE_OR_LINE = AdministrationLook(  # Cisco says no Service-Type unless it is configured to
    frozenset((_LOGIN, _ADMINISTRATIVE, _NAS_PROMPT)),
    (_FRAMED_PROTOCOL,),
    frozenset((_PORT_VIRTUAL, _PORT_ASYNC)),
    is_without_service_type=True,
)
_MIKROTIK_GROUP = AttributeId(14988, 3)
_MIKROTIK_LIST = AttributeId(14988, 19)
_TIMES = frozenset({AttributeId(0, _SESSION_TIMEOUT), AttributeId(0, _IDLE_TIMEOUT)})
_FILTER = AttributeId(0, 11)  # Filter-Id
# network.md 1.6, from the manual: limits of octets (1, 2), rate (8), Ascend's rates, marks (11), advertisements (12,
# 13), filter, times, Port-Limit. Group is in the manual's list, too, but a blocked customer's IPv6 is held by which
# addresses a profile gives, and those of a session that goes on stay: so PPP dials anew for another group.
# Address-List is not in the list, and known to be taken for PPP (domain.md 3.2).
_ROUTEROS_LIVE = _TIMES | {_FILTER} | frozenset(AttributeId(14988, code) for code in (1, 2, 8))
_ROUTEROS_HOTSPOT = (
    _ROUTEROS_LIVE | {AttributeId(0, 62)} | frozenset(AttributeId(14988, code) for code in (11, 12, 13))
)
_HUAWEI_RATES = frozenset(AttributeId(2011, code) for code in (2, 3, 5, 6))

OTHER = NasKind("other", False, RateStyle.WISPR, _BY_SERVICE_OR_LINE)
KINDS: dict[str, NasKind] = {
    kind.name: kind
    for kind in (
        NasKind(
            "mikrotik",
            True,
            RateStyle.MIKROTIK,
            AdministrationLook(  # Hotspot says Login, too, but also the customer's address and its server's name
                frozenset((_LOGIN, _ADMINISTRATIVE, _NAS_PROMPT)),
                (_CALLED_STATION_ID, _FRAMED_PROTOCOL, _FRAMED_IP_ADDRESS),
            ),
            delegated_ipv6_pool=AttributeId(14988, 22),
            address_list=_MIKROTIK_LIST,
            group=_MIKROTIK_GROUP,
            administrator_group=_MIKROTIK_GROUP,
            session_names=(_USER_NAME, _ACCT_SESSION_ID, _FRAMED_IP_ADDRESS),  # Hotspot finds by address only
            gone_causes=frozenset({_NO_SESSION, _NO_SESSION_ON_ROUTEROS}),
            signs_orders=False,
            stamps_orders=False,
            has_api=True,
            misreads_mac_names=True,
            unlimited=Speed("0", "0"),
            live=LiveChanges(
                ppp=_ROUTEROS_LIVE | {AttributeId(529, 197), AttributeId(529, 255)},
                other=_ROUTEROS_HOTSPOT | {_MIKROTIK_GROUP},
                unproven=frozenset({_MIKROTIK_LIST}),
            ),
            ppp_session_prefix="81",  # network.md 1.2: the first two digits are the service
        ),
        NasKind(
            "accel_ppp",
            True,
            RateStyle.FILTER_ID_KBIT,
            _BY_SERVICE_OR_LINE,  # it asks for none; whoever does in its name is refused
            ipv6_pool=AttributeId(0, 172),  # Stateful-IPv6-Address-Pool
            signs_orders=False,
            stamps_orders=False,
            # network.md 1b, from its source: the shaper, and Session-Timeout where no Class is said.
            live=LiveChanges(
                ppp=frozenset({_FILTER, AttributeId(0, _SESSION_TIMEOUT)}),
                other=frozenset({_FILTER, AttributeId(0, _SESSION_TIMEOUT)}),
            ),
        ),
        NasKind(
            "huawei",
            False,
            RateStyle.HUAWEI,
            _BY_SERVICE_OR_LINE,
            delegated_ipv6_pool=AttributeId(2011, 191),
            dns=(AttributeId(2011, 135), AttributeId(2011, 136)),
            live=LiveChanges(ppp=_HUAWEI_RATES, other=_HUAWEI_RATES),  # as its users report; not verified
        ),
        NasKind(
            "juniper",
            False,
            RateStyle.NONE,
            _BY_SERVICE_OR_LINE,
            delegated_ipv6_pool=AttributeId(4874, 161),
            dns=(AttributeId(4874, 4), AttributeId(4874, 5)),
            administrator_group=AttributeId(2636, 1),  # Juniper-Local-User-Name: the template user
        ),
        NasKind(
            "cisco",
            False,
            RateStyle.NONE,
            _BY_SERVICE_OR_LINE,
            administrator_group=AttributeId(9, 1),
            administrator_form="shell:priv-lvl={}",  # so its groups are levels, 1 to 15
        ),
        OTHER,
    )
}


def kind_of(name: str) -> NasKind:
    """Return a kind by its name; of a name that this version does not know, what all have in common."""
    return KINDS.get(name, OTHER)


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at + 2 : at + data[at + 1]], "big")
