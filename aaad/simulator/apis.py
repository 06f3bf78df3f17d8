"""The RouterOS APIs of a simulation's concentrators: their tables show the very sessions that dial, and change them.

Who is connected is in /ppp/active or /ip/hotspot/active, with a queue for his rate and his entries in address lists,
and is cut by being removed there; `/radius incoming set accept=no` makes the concentrator deaf for orders. All else
is set up as a router should be that runs subscribers with RADIUS.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import IPv6Address, IPv6Network

from aaad import clock
from aaad.simulator.accounting import Session
from aaad.simulator.methods import Proof, Service
from aaad.simulator.nas import Concentrator
from aaad.simulator.network import Server, SimulatorError
from aaad.simulator.routeros import Router, RouterosServer
from aaad.simulator.routeros_tables import Row, Version
from aaad.simulator.simulation import Simulation
from aaad.simulator.subscriber import format_mac

APIS_MAX = 100  # each has a thread of its own
VERSION = (7, 20)
_USER = "aaad"
_LOOPBACK = "127.0.0.1"
_GUESTS = Service.HOTSPOT
_PPP = {Service.PPPOE: "pppoe", Service.TUNNEL: "l2tp"}
_ZONE_HOURS = -3  # America/Sao_Paulo
_UNITS = {"k": 1_000, "M": 1_000_000}
_DELEGATED_BITS, _DELEGATED_FROM = 56, int(IPv6Address("2001:db8::"))
_PERIODS = (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_BURST = ("burst-limit", "burst-threshold", "burst-time")


def serve_apis(
    simulation: Simulation,
    port: int,
    stack: ExitStack,
    servers: Sequence[Server] = (),
    version: Version = VERSION,
) -> list[Router]:
    """Let each concentrator's API listen at its own address until the stack is closed.

    The servers are those that it asks, as /radius says. Its account is `aaad`, with the RADIUS secret as password.
    """
    concentrators = simulation.concentrators
    if len(concentrators) > APIS_MAX:
        raise SimulatorError(f"no more than {APIS_MAX} concentrators can have an API")
    return [_serve(router_of(simulation, one, servers, version), one, port, stack) for one in concentrators]


def _serve(router: Router, concentrator: Concentrator, port: int, stack: ExitStack) -> Router:
    address = concentrator.nas.source or _LOOPBACK
    try:
        stack.enter_context(RouterosServer(router, address=address, port=port))
    except RuntimeError as error:
        raise SimulatorError(f"API at {address} port {port}: {error.__cause__ or error}") from None
    return router


def router_of(
    simulation: Simulation, concentrator: Concentrator, servers: Sequence[Server] = (), version: Version = VERSION
) -> Router:
    """Return the router that a simulated concentrator is, as its API shows it."""
    router = Router(version, identity=concentrator.nas.name)
    router.passwords[_USER] = concentrator.nas.secret.decode()
    _Tables(simulation, concentrator).tie(router)
    _set_up(router, concentrator, servers)
    return router


class _Tables:
    """The tables that show sessions, and what becomes of these by them."""

    def __init__(self, simulation: Simulation, concentrator: Concentrator) -> None:
        self._simulation = simulation
        self._concentrator = concentrator

    def tie(self, router: Router) -> None:
        """Let a router's tables show the concentrator's sessions."""
        for path, rows in (("/ppp/active", self._active), ("/ip/hotspot/active", self._guests)):
            router.table(path).source = rows
            router.table(path).removed = self._cut
        cookies = router.table("/ip/hotspot/cookie")
        cookies.source, cookies.removed = self._cookies, self._forget
        router.table("/queue/simple").source = self._queues
        lists = router.table("/ip/firewall/address-list")
        lists.source, lists.removed, lists.now = self._entries, self._leave_list, clock.monotonic_s
        router.table("/ipv6/firewall/address-list").now = clock.monotonic_s
        router.table("/ipv6/dhcp-server/binding").source = self._bindings
        incoming = router.table("/radius/incoming")
        incoming.changed, incoming.monitor = self._hear, self._counters
        router.table("/radius").monitor = self._statistics
        clocks = router.table("/system/clock")
        clocks.source = self._clock
        clocks.rows.clear()

    def _sessions(self, *services: Service) -> Iterator[Session]:
        for session in self._simulation.online.at(self._concentrator):
            if session.subscriber.method.service in services:
                yield session

    def _active(self) -> Iterator[Row]:
        for session in self._sessions(*_PPP):
            row = _named(session) | {"service": _PPP[session.subscriber.method.service], "caller-id": _mac(session)}
            row |= _address(session) | {"uptime": _uptime(session), "encoding": "", "radius": "true"}
            yield row | {"session-id": f"0x{session.session_id.decode()}", "limit-bytes-in": "0"}

    def _guests(self) -> Iterator[Row]:
        for session in self._sessions(_GUESTS):
            by = {Proof.MAC: "mac", Proof.PAP: "http-pap"}.get(session.subscriber.method.proof, "http-chap")
            row = {".id": f"*{session.number:X}", "server": "hotspot1", "user": session.subscriber.name}
            row |= _address(session) | {"mac-address": _mac(session), "login-by": by}
            yield row | {"uptime": _uptime(session), "radius": "true"}

    def _cut(self, row: Row) -> None:
        for session in self._simulation.online.at(self._concentrator):
            if f"*{session.number:X}" == row[".id"]:
                self._simulation.cut(session)

    def _cookies(self) -> Iterator[Row]:
        for name, mac in list(self._concentrator.cookies.items()):
            shown = format_mac(mac, "XX:XX:XX:XX:XX:XX")
            yield {".id": f"*{mac.hex().upper()}", "user": name, "mac-address": shown, "expires-in": "2d23h"}

    def _forget(self, row: Row) -> None:
        self._concentrator.cookies.pop(row["user"], None)

    def _queues(self) -> Iterator[Row]:
        for session in self._sessions(*_PPP, _GUESTS):
            if said := session.granted.rate_limit.split():
                service = _PPP.get(session.subscriber.method.service)
                name = f"<{service or 'hotspot'}-{session.subscriber.name}>"
                target = name if service else f"{_dotted(session)}/32"
                row = {".id": f"*E{session.number:06X}", "name": name, "target": target}
                row |= {"max-limit": _bits(said[0]), "limit-at": _bits(said[5]) if len(said) > 5 else "0/0"}
                row |= dict.fromkeys(_BURST, "0/0")
                row |= {name: _bits(value) for name, value in zip(_BURST, said[1:], strict=False)}
                priority = said[4] if len(said) > 4 else "8"
                yield row | {"priority": f"{priority}/{priority}", "dynamic": "true", "disabled": "false"}

    def _entries(self) -> Iterator[Row]:
        for session in self._sessions(*_PPP, _GUESTS):
            if session.address:
                for place, name in enumerate(session.granted.address_lists):
                    row = {".id": f"*A{session.number:06X}{place:X}", "list": name, "address": _dotted(session)}
                    yield row | {"dynamic": "true", "disabled": "false"}

    def _leave_list(self, row: Row) -> None:
        for session in self._sessions(*_PPP, _GUESTS):
            if row[".id"].startswith(f"*A{session.number:06X}"):
                left = tuple(name for name in session.granted.address_lists if name != row["list"])
                session.granted = session.granted._replace(address_lists=left)

    def _bindings(self) -> Iterator[Row]:
        for session in self._sessions(*_PPP):
            if prefix := _delegated(session):
                row = {".id": f"*D{session.number:06X}", "address": prefix, "disabled": "false", "status": "bound"}
                row |= {"server": f"<{_PPP[session.subscriber.method.service]}-{session.subscriber.name}>"}
                row |= {"prefix-pool": session.granted.delegated_pool, "dynamic": "true"}
                yield row | {"duid": f"0x00030001{session.subscriber.mac.hex()}"}

    def _hear(self, row: Row) -> None:
        self._concentrator.hears_orders = row["accept"] == "true"

    def _counters(self, row: Row) -> Row:
        orders = self._concentrator.orders
        counted = (orders.requests, orders.bad_requests, orders.acks, orders.naks)
        return dict(zip(("requests", "bad-requests", "acks", "naks"), map(str, counted), strict=True))

    def _statistics(self, row: Row) -> Row:
        counters = self._concentrator.counters
        bad = sum(counters.bad_replies.values())
        counted = {"pending": self._concentrator.in_work_count, "resends": counters.resends, "bad-replies": bad}
        return {name: str(count) for name, count in counted.items()}

    def _clock(self) -> Iterator[Row]:
        zone = timezone(timedelta(hours=_ZONE_HOURS))
        at = datetime.fromtimestamp(self._concentrator.clock(clock.monotonic_s()), UTC).astimezone(zone)
        row = {"date": at.strftime("%Y-%m-%d"), "time": at.strftime("%H:%M:%S"), "gmt-offset": "-03:00"}
        yield row | {"time-zone-name": "America/Sao_Paulo", "time-zone-autodetect": "true", "dst-active": "false"}


def _set_up(router: Router, concentrator: Concentrator, servers: Sequence[Server]) -> None:
    """Set a router up as it should be."""
    nas = concentrator.nas
    radius = router.table("/radius")
    for server in servers:
        ports = {"authentication-port": str(server.auth_port), "accounting-port": str(server.acct_port)}
        row = {"address": server.address, "service": "ppp,login,hotspot,dhcp", "secret": nas.secret.decode()}
        radius.put({**radius.defaults, **row, **ports, "timeout": f"{round(nas.kind.timeout_s * 1000)}ms"})
    for path, changed in (
        ("/radius/incoming", {"accept": "true" if nas.order_port else "false", "port": str(nas.order_port or 3799)}),
        ("/ppp/aaa", {"use-radius": "true", "interim-update": "5m", "enable-ipv6-accounting": "true"}),
        ("/system/ntp/client", {"enabled": "true", "status": "synchronized", "servers": "a.ntp.br"}),
    ):
        for row in router.table(path).all_rows():
            row.update({name: value for name, value in changed.items() if name in row})
    for row in router.table("/ip/hotspot/profile").all_rows():
        row.update({"use-radius": "true", "login-by": "http-chap"})
    router.table("/ip/hotspot").put(
        {"name": "hotspot1", "interface": "lan", "profile": "default", "disabled": "false"}
    )
    router.table("/interface/pppoe-server/server").put(
        {"service-name": "pppoe-in", "interface": "vlan100", "default-profile": "default", "disabled": "false"}
    )


def _named(session: Session) -> Row:
    return {".id": f"*{session.number:X}", "name": session.subscriber.name}


def _mac(session: Session) -> str:
    return format_mac(session.subscriber.mac, "XX:XX:XX:XX:XX:XX")


def _dotted(session: Session) -> str:
    return ".".join(str(octet) for octet in session.address)


def _address(session: Session) -> Row:
    return {"address": _dotted(session)} if session.address else {}


def _uptime(session: Session) -> str:
    left = max(int(clock.monotonic_s() - session.began_at_s), 0)
    shown = ""
    for unit, seconds in _PERIODS:
        count, left = divmod(left, seconds)
        shown += f"{count}{unit}" if count else ""
    return shown or "0s"


def _bits(pair: str) -> str:
    """Return a pair of rates as the API says them: plain numbers, the second one the first where it is left out."""
    upload, _slash, download = pair.partition("/")
    return "/".join(str(int(side.rstrip("kM")) * _UNITS.get(side[-1:], 1)) for side in (upload, download or upload))


def _delegated(session: Session) -> str:
    """Return the prefix that a session's own router has: a granted one, or one of the pool that was named."""
    granted = session.granted
    if len(granted.delegated_prefix) > 2:
        length, octets = granted.delegated_prefix[1], granted.delegated_prefix[2:].ljust(16, b"\0")
        return str(IPv6Network((octets, length), strict=False))
    if granted.delegated_pool:
        return str(IPv6Network((_DELEGATED_FROM + (session.number << 128 - _DELEGATED_BITS), _DELEGATED_BITS)))
    return ""
