"""The attributes that a concentrator puts into its requests, in the order in which it does; those of accounting
stand in `accounting.py`.

Pure. RouterOS: the manual's lists and what its debug log and captures show; accel-ppp: its source (`req.c`,
`auth.c`, `acct.c`). Where Service-Type stands is part of a kind's look: a Hotspot says Login as a router's own login
does, and is told from it by NAS-Port-Type and Called-Station-Id.
"""

import ipaddress
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType

from aaad.simulator.methods import ChapAnswer, Proof, Service
from aaad.simulator.packet import Place, attribute, number, vendor_attribute
from aaad.simulator.subscriber import Dial, format_mac
from aaad.simulator.temper import OBEDIENT, Temper

USER_NAME, NAS_IP_ADDRESS, NAS_PORT, SERVICE_TYPE, FRAMED_PROTOCOL, FRAMED_IP_ADDRESS = 1, 4, 5, 6, 7, 8
CALLED_STATION_ID, CALLING_STATION_ID, NAS_IDENTIFIER, ACCT_SESSION_ID = 30, 31, 32, 44
NAS_PORT_TYPE, NAS_PORT_ID, NAS_IPV6_ADDRESS = 61, 87, 95
MIKROTIK, MIKROTIK_REALM, MIKROTIK_HOST_IP = 14988, 9, 10
MICROSOFT, MS_CHAP_DOMAIN = 311, 10
WISPR, WISPR_LOCATION_ID, WISPR_LOCATION_NAME, WISPR_LOGOFF_URL = 14122, 1, 2, 3
REDBACK, AGENT_CIRCUIT_ID = 2352, 97
LOGIN, FRAMED, PPP = 1, 2, 1
VIRTUAL, ETHERNET, WIRELESS = 5, 15, 19
_IPV4_OCTETS = 4
_LOCAL_NETWORKS = {Service.HOTSPOT: 0x0A050000, Service.DHCP: 0x0A060000}  # 10.5.0.0/16 and 10.6.0.0/16
_DHCP_INTERFACE = 3  # NAS-Port of a DHCP server: the number of its interface


class Look(Enum):
    """Whose requests these look like."""

    ROUTEROS = auto()
    ACCEL_PPP = auto()


class StopCounters(Enum):
    """What a Stop says of octets and packets."""

    WHOLE = "whole"
    ZERO = "zero"  # as some do where the carrier is lost before they read them
    NONE = "none"  # the attributes are missing


@dataclass(frozen=True, slots=True)
class NasKind:
    """How a kind of concentrator asks, waits and judges replies."""

    name: str
    look: Look
    timeout_s: float  # until it sends again
    tries: int  # datagrams to one server
    place: Place  # of Message-Authenticator in its requests
    demands_signature: bool  # drops replies without Message-Authenticator
    has_session_in_access: bool = True  # Acct-Session-Id already in the Access-Request
    says_delay: bool = True  # Acct-Delay-Time stands in its reports
    counts_delay: bool = False  # and grows when one is sent again, which makes it another packet (RFC 2866, 4.1)
    tells_ipv6: bool = False  # a session's prefixes stand in its reports
    drops_unheard: bool = False  # ends a session whose Start or Interim-Update no server answers


# RouterOS: 300 ms of old, 1100 ms in the manual of now; require-message-auth since 7.15. The number of tries is what
# its own counters suggest; whether it counts Acct-Delay-Time is untested: the kinds differ, so that both are met.
# accel-ppp: the defaults of its radius section.
KINDS: Mapping[str, NasKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            NasKind("mikrotik", Look.ROUTEROS, 1.1, 3, Place.LAST, demands_signature=True, counts_delay=True),
            NasKind("mikrotik-old", Look.ROUTEROS, 0.3, 3, Place.NOWHERE, demands_signature=False),
            NasKind(
                "accel-ppp",
                Look.ACCEL_PPP,
                3.0,
                3,
                Place.NOWHERE,
                demands_signature=False,
                has_session_in_access=False,
                says_delay=False,
                tells_ipv6=True,
                drops_unheard=True,
            ),
        )
    }
)


@dataclass(frozen=True, slots=True)
class Nas:
    """One concentrator: its kind, who it says it is, and the secret that it shares with the servers."""

    name: str  # NAS-Identifier
    kind: NasKind
    secret: bytes = field(repr=False)
    source: str | None = None  # the address that it sends from, None: the machine's own choice
    address: str = "127.0.0.1"  # NAS-IP-Address, or NAS-IPv6-Address
    boot: int = 10  # how often it has started, as the third digit of Acct-Session-Id tells
    realm: str = ""
    must_encrypt: bool = False  # require-encryption: an Accept without MPPE keys is of no use
    has_circuit_as_port: bool = False  # use-circuit-id-in-nas-port-id
    location: tuple[str, str] | None = None  # WISPr-Location-ID and -Name
    counts_boots: bool = True  # else each start gives the same Acct-Session-Ids again
    has_gigawords: bool = True  # else its counters begin anew after 4 GiB
    counts_delay: bool | None = None  # None: as its kind does
    says_restarts: bool = False  # Accounting-On, and -Off if there is time for it
    clock_ahead_s: float = 0.0
    starts_in_1970: bool = False  # has no clock that runs without power, and nobody who tells it the time
    stop_counters: StopCounters = StopCounters.WHOLE
    order_port: int = 0  # where it obeys CoA- and Disconnect-Requests, 0: nowhere (`/radius incoming accept=no`)
    order_sources: frozenset[str] = frozenset()  # who may give orders; empty: anybody with the secret
    coa: Temper = OBEDIENT  # how it takes CoA-Requests
    disconnect: Temper = OBEDIENT
    coa_takes_lists: bool = False  # Mikrotik-Address-List, too, which its manual does not list
    has_cookies: bool = False  # of Hotspot: whoever has none any more does not come back by himself


def access_attributes(nas: Nas, dial: Dial, authenticator: bytes) -> bytes:
    """Return the attributes of the Access-Request of a dial, Message-Authenticator apart."""
    answer = dial.answer.encode(authenticator, nas.secret)
    if nas.kind.look is Look.ACCEL_PPP:
        session = attribute(ACCT_SESSION_ID, dial.session_id) if nas.kind.has_session_in_access else b""
        return accel_ppp_attributes(nas, dial, b"") + session + answer
    return (
        HEADS[dial.subscriber.method.service](nas, dial) + answer + _hotspot_end(nas, dial) + routeros_end(nas, dial)
    )


def authenticator_of(nas: Nas, dial: Dial, fresh: bytes) -> bytes:
    """Return the Request Authenticator: accel-ppp's is the challenge itself where that is CHAP's of 16 octets."""
    if nas.kind.look is Look.ACCEL_PPP and isinstance(dial.answer, ChapAnswer) and len(dial.answer.challenge) == 16:
        return dial.answer.challenge
    return fresh


def session_id(nas: Nas, service: Service, count: int) -> bytes:
    """Return an Acct-Session-Id: RouterOS says the service, its start and a counter that wraps at a million."""
    if nas.kind.look is Look.ACCEL_PPP:
        return b"%016x" % (nas.boot << 48 | count)
    return b"%02x%x%05x" % (_SERVICE_DIGITS[service], nas.boot & 15, count & 0xFFFFF)


def nas_port(service: Service, session: bytes, count: int) -> int:
    """Return a NAS-Port as RouterOS numbers them."""
    if service is Service.HOTSPOT:
        return int(session, 16)
    return _DHCP_INTERFACE if service is Service.DHCP else 0xF00000 + (count & 0xFFFFF)


_SERVICE_DIGITS = {
    Service.PPPOE: 0x81,
    Service.TUNNEL: 0x81,
    Service.HOTSPOT: 0x80,
    Service.DHCP: 0x82,
    Service.LOGIN: 0x83,
}


def _mac(dial: Dial) -> bytes:
    return format_mac(dial.subscriber.mac, "XX:XX:XX:XX:XX:XX").encode()


def _port_id(nas: Nas, dial: Dial) -> bytes:
    subscriber = dial.subscriber
    has_circuit = nas.has_circuit_as_port and subscriber.circuit_id
    return attribute(NAS_PORT_ID, (subscriber.circuit_id if has_circuit else subscriber.port_id).encode())


def local_address(dial: Dial) -> bytes:
    """Return the address that a client of a Hotspot or of DHCP has by itself; who logs in to the router has none."""
    network = _LOCAL_NETWORKS.get(dial.subscriber.method.service)
    return b"" if network is None else struct.pack("!I", network + dial.subscriber.number % 0xFFFF + 1)


def _ppp_head(dial: Dial, port_type: int) -> bytes:
    return (
        number(SERVICE_TYPE, FRAMED)
        + number(FRAMED_PROTOCOL, PPP)
        + number(NAS_PORT, dial.nas_port)
        + number(NAS_PORT_TYPE, port_type)
        + attribute(USER_NAME, dial.subscriber.name.encode())
    )


def _pppoe(nas: Nas, dial: Dial) -> bytes:
    return (
        _ppp_head(dial, ETHERNET)
        + attribute(CALLING_STATION_ID, _mac(dial))
        + attribute(CALLED_STATION_ID, b"pppoe-in")
        + _port_id(nas, dial)
        + attribute(ACCT_SESSION_ID, dial.session_id)
    )


def _tunnel(nas: Nas, dial: Dial) -> bytes:
    peer = ipaddress.IPv4Address(0xCB007100 + dial.subscriber.number % 254 + 1)  # 203.0.113.0/24
    return (
        _ppp_head(dial, VIRTUAL)
        + attribute(CALLING_STATION_ID, str(peer).encode())
        + attribute(CALLED_STATION_ID, nas.address.encode())
        + attribute(ACCT_SESSION_ID, dial.session_id)
    )


def hotspot_attributes(nas: Nas, dial: Dial) -> bytes:
    """Return how a Hotspot's requests begin."""
    address = local_address(dial)
    return (
        number(NAS_PORT_TYPE, WIRELESS)
        + attribute(CALLING_STATION_ID, _mac(dial))
        + attribute(CALLED_STATION_ID, b"hotspot1")
        + _port_id(nas, dial)
        + attribute(USER_NAME, dial.subscriber.name.encode())
        + number(NAS_PORT, dial.nas_port)
        + attribute(ACCT_SESSION_ID, dial.session_id)
        + attribute(FRAMED_IP_ADDRESS, address)
        + vendor_attribute(MIKROTIK, MIKROTIK_HOST_IP, address)
    )


def _hotspot_end(nas: Nas, dial: Dial) -> bytes:
    """Return what a Hotspot's Access-Request says behind the password."""
    if dial.subscriber.method.service is not Service.HOTSPOT:
        return b""
    location = b""
    if nas.location is not None:
        for kind, text in zip((WISPR_LOCATION_ID, WISPR_LOCATION_NAME), nas.location, strict=True):
            location += vendor_attribute(WISPR, kind, text.encode())
    logoff = vendor_attribute(WISPR, WISPR_LOGOFF_URL, b"http://10.5.0.1/logout")
    return number(SERVICE_TYPE, LOGIN) + location + logoff


def _dhcp(nas: Nas, dial: Dial) -> bytes:
    circuit = dial.subscriber.circuit_id.encode()
    return (
        number(NAS_PORT_TYPE, ETHERNET)
        + number(NAS_PORT, dial.nas_port)
        + attribute(CALLING_STATION_ID, b"1:" + format_mac(dial.subscriber.mac, "xx:xx:xx:xx:xx:xx").encode())
        + attribute(CALLED_STATION_ID, b"dhcp1")
        + _port_id(nas, dial)
        + attribute(USER_NAME, dial.subscriber.name.encode())
        + attribute(FRAMED_IP_ADDRESS, local_address(dial))
        + (vendor_attribute(REDBACK, AGENT_CIRCUIT_ID, circuit) if circuit else b"")
    )


def _login(nas: Nas, dial: Dial) -> bytes:
    del nas
    return (
        number(SERVICE_TYPE, LOGIN)
        + attribute(USER_NAME, dial.subscriber.name.encode())
        + attribute(CALLING_STATION_ID, b"198.51.100.20")
    )


HEADS: dict[Service, Callable[[Nas, Dial], bytes]] = {
    Service.PPPOE: _pppoe,
    Service.TUNNEL: _tunnel,
    Service.HOTSPOT: hotspot_attributes,
    Service.DHCP: _dhcp,
    Service.LOGIN: _login,
}


def routeros_end(nas: Nas, dial: Dial) -> bytes:
    """Return how RouterOS's requests end."""
    domain, backslash, _ = dial.subscriber.name.partition("\\")
    is_ms_chap = dial.subscriber.method.proof in (Proof.MS_CHAP_1, Proof.MS_CHAP_2)
    told = vendor_attribute(MICROSOFT, MS_CHAP_DOMAIN, domain.encode()) if backslash and is_ms_chap else b""
    realm = nas.realm or (domain if told else "")  # where none is set, it is what MS-CHAP-Domain says
    if realm:
        told += vendor_attribute(MIKROTIK, MIKROTIK_REALM, realm.encode())
    return told + attribute(NAS_IDENTIFIER, nas.name.encode()) + nas_address(nas)


def nas_address(nas: Nas) -> bytes:
    """Return NAS-IP-Address or NAS-IPv6-Address."""
    packed = packed_address(nas)
    return attribute(NAS_IP_ADDRESS if len(packed) == _IPV4_OCTETS else NAS_IPV6_ADDRESS, packed)


def packed_address(nas: Nas) -> bytes:
    """Return its address as octets."""
    return ipaddress.ip_address(nas.address).packed


def accel_ppp_attributes(nas: Nas, dial: Dial, echoed: bytes) -> bytes:
    """Return what accel-ppp's requests hold, but for the password or the report."""
    return (
        attribute(USER_NAME, dial.subscriber.name.encode())
        + attribute(NAS_IDENTIFIER, nas.name.encode())
        + nas_address(nas)
        + number(NAS_PORT, dial.nas_port & 0xFFFFF)
        + attribute(NAS_PORT_ID, b"ppp%d" % (dial.nas_port & 0xFFFFF))
        + number(NAS_PORT_TYPE, VIRTUAL)
        + number(SERVICE_TYPE, FRAMED)
        + number(FRAMED_PROTOCOL, PPP)
        + attribute(CALLING_STATION_ID, format_mac(dial.subscriber.mac, "xx:xx:xx:xx:xx:xx").encode())
        + attribute(CALLED_STATION_ID, dial.subscriber.port_id.encode())
        + echoed
    )
