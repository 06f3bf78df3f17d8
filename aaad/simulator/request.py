"""The attributes that a concentrator puts into its requests, in the order in which it does.

Pure. RouterOS: the manual's lists and what its debug log and captures show; accel-ppp: its source (`req.c`,
`auth.c`). Where Service-Type stands is part of a kind's look: a Hotspot says Login as a router's own login does, and
is told from it by NAS-Port-Type and Called-Station-Id.
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

USER_NAME, NAS_IP_ADDRESS, NAS_PORT, SERVICE_TYPE, FRAMED_PROTOCOL, FRAMED_IP_ADDRESS = 1, 4, 5, 6, 7, 8
CLASS, CALLED_STATION_ID, CALLING_STATION_ID, NAS_IDENTIFIER = 25, 30, 31, 32
ACCT_STATUS_TYPE, ACCT_DELAY_TIME, ACCT_INPUT_OCTETS, ACCT_OUTPUT_OCTETS, ACCT_SESSION_ID = 40, 41, 42, 43, 44
ACCT_AUTHENTIC, ACCT_SESSION_TIME, ACCT_INPUT_PACKETS, ACCT_OUTPUT_PACKETS = 45, 46, 47, 48
ACCT_TERMINATE_CAUSE, ACCT_INPUT_GIGAWORDS, ACCT_OUTPUT_GIGAWORDS = 49, 52, 53
NAS_PORT_TYPE, NAS_PORT_ID, NAS_IPV6_ADDRESS = 61, 87, 95
MIKROTIK, MIKROTIK_REALM, MIKROTIK_HOST_IP = 14988, 9, 10
MICROSOFT, MS_CHAP_DOMAIN = 311, 10
WISPR, WISPR_LOCATION_ID, WISPR_LOCATION_NAME, WISPR_LOGOFF_URL = 14122, 1, 2, 3
REDBACK, AGENT_CIRCUIT_ID = 2352, 97
LOGIN, FRAMED, PPP = 1, 2, 1
VIRTUAL, ETHERNET, WIRELESS = 5, 15, 19
AUTHENTIC_RADIUS, CAUSE_USER_REQUEST = 1, 1
_IPV4_OCTETS = 4
_DHCP_INTERFACE = 3  # NAS-Port of a DHCP server: the number of its interface
_PACKET_OCTETS = 1000  # a round number for the mean size of a customer's packets


class Status(Enum):
    """Acct-Status-Type."""

    START = 1
    STOP = 2
    INTERIM = 3


class Look(Enum):
    """Whose requests these look like."""

    ROUTEROS = auto()
    ACCEL_PPP = auto()


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


# RouterOS: 300 ms of old, 1100 ms in the manual of now; require-message-auth since 7.15. The number of tries is what
# its own counters suggest. accel-ppp: the defaults of its radius section.
KINDS: Mapping[str, NasKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            NasKind("mikrotik", Look.ROUTEROS, 1.1, 3, Place.LAST, demands_signature=True),
            NasKind("mikrotik-old", Look.ROUTEROS, 0.3, 3, Place.NOWHERE, demands_signature=False),
            NasKind(
                "accel-ppp",
                Look.ACCEL_PPP,
                3.0,
                3,
                Place.NOWHERE,
                demands_signature=False,
                has_session_in_access=False,
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


def access_attributes(nas: Nas, dial: Dial, authenticator: bytes) -> bytes:
    """Return the attributes of the Access-Request of a dial, Message-Authenticator apart."""
    answer = dial.answer.encode(authenticator, nas.secret)
    if nas.kind.look is Look.ACCEL_PPP:
        session = attribute(ACCT_SESSION_ID, dial.session_id) if nas.kind.has_session_in_access else b""
        return _accel_ppp(nas, dial, b"") + session + answer
    return (
        _HEADS[dial.subscriber.method.service](nas, dial)
        + answer
        + _hotspot_end(nas, dial)
        + _routeros_end(nas, dial)
    )


def authenticator_of(nas: Nas, dial: Dial, fresh: bytes) -> bytes:
    """Return the Request Authenticator: accel-ppp's is the challenge itself where that is CHAP's of 16 octets."""
    if nas.kind.look is Look.ACCEL_PPP and isinstance(dial.answer, ChapAnswer) and len(dial.answer.challenge) == 16:
        return dial.answer.challenge
    return fresh


def accounting_attributes(nas: Nas, dial: Dial, status: Status, age_s: float) -> bytes:
    """Return the attributes of an Accounting-Request about the session that a dial began."""
    echoed = b"".join(attribute(CLASS, found.value) for found in dial.attributes if found[:2] == (0, CLASS))
    kind = number(ACCT_STATUS_TYPE, status.value)
    cause = number(ACCT_TERMINATE_CAUSE, CAUSE_USER_REQUEST) if status is Status.STOP else b""
    if nas.kind.look is Look.ACCEL_PPP:
        session = number(ACCT_AUTHENTIC, AUTHENTIC_RADIUS) + attribute(ACCT_SESSION_ID, dial.session_id)
        return _accel_ppp(nas, dial, echoed) + kind + session + _counters(dial, age_s) + _granted(dial) + cause
    counted = b"" if status is Status.START else _counters(dial, age_s)
    end = counted + cause + number(ACCT_DELAY_TIME, 0) + _routeros_end(nas, dial)
    service = dial.subscriber.method.service
    if service is Service.HOTSPOT:
        return kind + _hotspot(nas, dial) + echoed + end
    if service in (Service.PPPOE, Service.TUNNEL):
        kind += number(ACCT_AUTHENTIC, AUTHENTIC_RADIUS) + _granted(dial)
    return _HEADS[service](nas, dial) + kind + echoed + end


def _granted(dial: Dial) -> bytes:
    address = next((found.value for found in dial.attributes if found[:2] == (0, FRAMED_IP_ADDRESS)), None)
    return b"" if address is None else attribute(FRAMED_IP_ADDRESS, address)


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


def _local_address(dial: Dial, network: int) -> bytes:
    """Return an address of a Hotspot or DHCP client before it is let in."""
    return struct.pack("!I", network + dial.subscriber.number % 0xFFFF + 1)


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


def _hotspot(nas: Nas, dial: Dial) -> bytes:
    address = _local_address(dial, 0x0A050000)  # 10.5.0.0/16
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
        + attribute(FRAMED_IP_ADDRESS, _local_address(dial, 0x0A060000))  # 10.6.0.0/16
        + (vendor_attribute(REDBACK, AGENT_CIRCUIT_ID, circuit) if circuit else b"")
    )


def _login(nas: Nas, dial: Dial) -> bytes:
    del nas
    return (
        number(SERVICE_TYPE, LOGIN)
        + attribute(USER_NAME, dial.subscriber.name.encode())
        + attribute(CALLING_STATION_ID, b"198.51.100.20")
    )


_HEADS: dict[Service, Callable[[Nas, Dial], bytes]] = {
    Service.PPPOE: _pppoe,
    Service.TUNNEL: _tunnel,
    Service.HOTSPOT: _hotspot,
    Service.DHCP: _dhcp,
    Service.LOGIN: _login,
}


def _routeros_end(nas: Nas, dial: Dial) -> bytes:
    domain, backslash, _ = dial.subscriber.name.partition("\\")
    is_ms_chap = dial.subscriber.method.proof in (Proof.MS_CHAP_1, Proof.MS_CHAP_2)
    told = vendor_attribute(MICROSOFT, MS_CHAP_DOMAIN, domain.encode()) if backslash and is_ms_chap else b""
    realm = nas.realm or (domain if told else "")  # where none is set, it is what MS-CHAP-Domain says
    if realm:
        told += vendor_attribute(MIKROTIK, MIKROTIK_REALM, realm.encode())
    return told + attribute(NAS_IDENTIFIER, nas.name.encode()) + _nas_address(nas)


def _nas_address(nas: Nas) -> bytes:
    packed = ipaddress.ip_address(nas.address).packed
    return attribute(NAS_IP_ADDRESS if len(packed) == _IPV4_OCTETS else NAS_IPV6_ADDRESS, packed)


def _accel_ppp(nas: Nas, dial: Dial, echoed: bytes) -> bytes:
    return (
        attribute(USER_NAME, dial.subscriber.name.encode())
        + attribute(NAS_IDENTIFIER, nas.name.encode())
        + _nas_address(nas)
        + number(NAS_PORT, dial.nas_port & 0xFFFFF)
        + attribute(NAS_PORT_ID, b"ppp%d" % (dial.nas_port & 0xFFFFF))
        + number(NAS_PORT_TYPE, VIRTUAL)
        + number(SERVICE_TYPE, FRAMED)
        + number(FRAMED_PROTOCOL, PPP)
        + attribute(CALLING_STATION_ID, format_mac(dial.subscriber.mac, "xx:xx:xx:xx:xx:xx").encode())
        + attribute(CALLED_STATION_ID, dial.subscriber.port_id.encode())
        + echoed
    )


def _counters(dial: Dial, age_s: float) -> bytes:
    received, sent = dial.octets_in, dial.octets_out
    return (
        number(ACCT_SESSION_TIME, int(age_s))
        + number(ACCT_INPUT_OCTETS, received & 0xFFFFFFFF)
        + number(ACCT_INPUT_GIGAWORDS, received >> 32)
        + number(ACCT_INPUT_PACKETS, received // _PACKET_OCTETS)
        + number(ACCT_OUTPUT_OCTETS, sent & 0xFFFFFFFF)
        + number(ACCT_OUTPUT_GIGAWORDS, sent >> 32)
        + number(ACCT_OUTPUT_PACKETS, sent // _PACKET_OCTETS)
    )
