"""`aaad simulate`: concentrators and subscribers of the simulator dial a server, and what came of it is shown.

Exit code 1 unless every dial was accepted and every accepted subscriber is through.
"""

import ipaddress
import os
import re
import signal
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType

from aaad.cli.terminal import Terminal
from aaad.config import Config
from aaad.errors import AaadError, MistypedError
from aaad.simulator.fleet import Nases, Subscribers, mac_octets, methods_of
from aaad.simulator.network import Server, simulate
from aaad.simulator.report import MethodReport, Report, latency_ms
from aaad.simulator.simulation import Plan, Simulation
from aaad.simulator.subscriber import MAC_FORMATS

__all__ = ["Plan", "Wish", "nases_of", "run", "servers_of", "subscribers_of"]

_AUTH_PORT = 1812
_SHOWN_MAX = 10  # of the different values of one kind


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was typed."""

    server: str
    acct_port: int
    subscribers: Subscribers
    nases: Nases
    plan: Plan


def run(terminal: Terminal, wish: Wish) -> None:
    """Simulate, show what came of it, and end with 1 unless all of it is well."""
    servers = servers_of(wish.server, wish.acct_port, terminal.maybe_config)
    stopping = threading.Event()
    with _Interrupt(stopping):
        simulation = Simulation(wish.plan, wish.nases.make(), wish.subscribers.make(), len(servers), os.urandom)
        report = simulate(simulation, servers, stopping)
    if terminal.options.is_json:
        terminal.json(report.as_json())
    else:
        _show(terminal, report)
    total = report.all_methods
    if not total.dials or total.accepts - sum(total.flaws.values()) < total.dials:
        terminal.refuse()


class _Interrupt:
    """Ctrl-C once: nobody begins to dial any more; twice: as ever."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping

    def __enter__(self) -> None:
        self._former = signal.signal(signal.SIGINT, self._interrupt)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._former)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stopping.set()
        signal.signal(signal.SIGINT, self._former)


def nases_of(count: int, kind: str, secrets: str, source: str, *, must_encrypt: bool) -> Nases:
    """Return how to make the concentrators; the first one's address must be one."""
    if source:
        try:
            ipaddress.ip_address(source)
        except ValueError:
            raise MistypedError(_("--source: {word} is no IP address"), word=repr(source)) from None
    return Nases(count=count, kind=kind, secrets=secrets, first_source=source or None, must_encrypt=must_encrypt)


def subscribers_of(
    count: int,
    first: int,
    patterns: tuple[str, str],
    method: str,
    macs: tuple[str, str],
    *,
    is_mac_password: bool,
) -> Subscribers:
    """Return how to make the subscribers; `patterns` are names and passwords, `macs` the first one and the form."""
    first_mac, mac_format = macs
    try:
        mac_octets(first_mac)
    except ValueError:
        raise MistypedError(_("--macs: {word} is no MAC address"), word=repr(first_mac)) from None
    if mac_format not in MAC_FORMATS:
        forms = ", ".join(map(repr, MAC_FORMATS))
        raise MistypedError(_("--mac-format: {word} is none of {forms}"), word=repr(mac_format), forms=forms)
    return Subscribers(
        count=count,
        first=first,
        names=patterns[0],
        passwords=patterns[1],
        methods=methods_of(method),
        first_mac=first_mac,
        mac_format=mac_format,
        mac_password=None if is_mac_password else "",
    )


def servers_of(text: str, acct_port: int, config: Config | None) -> list[Server]:
    """Return the servers of `HOST[:PORT]`, more of them behind a comma; this node's own where nothing is named.

    Without a port of its own, accounting goes to the port behind that of authentication.
    """
    if not text:
        served = [address for address in config.radius.addresses if not address.is_unspecified] if config else []
        own = str(served[0]) if served else "127.0.0.1"
        auth, acct = (config.radius.auth_port, config.radius.acct_port) if config else (_AUTH_PORT, _AUTH_PORT + 1)
        return [Server(own, auth, acct_port or acct)]
    return [_server_of(part.strip(), acct_port) for part in text.split(",")]


def _server_of(text: str, acct_port: int) -> Server:
    found = re.fullmatch(r"\[(?P<v6>[^]]+)\](?::(?P<p6>\d+))?|(?P<host>[^:]+)(?::(?P<port>\d+))?", text)
    if found is None:
        raise MistypedError(_("{word}: a server is HOST:PORT or [IPv6]:PORT"), word=repr(text))
    port = int(found["p6"] or found["port"] or _AUTH_PORT)
    if not 0 < port < 2**16 - 1:
        raise MistypedError(_("{word}: a port is 1 to 65534"), word=repr(text))
    return Server(_address_of(found["v6"] or found["host"]), port, acct_port or port + 1)


def _address_of(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)[0][4][0])
    except OSError as error:
        raise AaadError(f"{host!r}: {error.strerror or error}") from None


def _show(terminal: Terminal, report: Report) -> None:
    _ = terminal.speak
    table = terminal.table(
        _("method"),
        _("dials"),
        _("accepted"),
        _("refused"),
        _("no answer"),
        _("sent again"),
        _("bad replies"),
        "p50 ms",
        "p99 ms",
        "max ms",
    )
    for name, method in sorted(report.methods.items()):
        table.add(*_cells(name, method))
    table.print()
    if report.duration_s:
        rate = report.all_methods.dials / report.duration_s
        terminal.line(_("{seconds} s, {rate} dials/s", seconds=f"{report.duration_s:.2f}", rate=f"{rate:.0f}"))
    _show_grants(terminal, report)
    _show_faults(terminal, report)


def _cells(name: str, method: MethodReport) -> list[object]:
    milliseconds = latency_ms(method.latencies)
    shown = ["–" if milliseconds[key] is None else f"{milliseconds[key]:.1f}" for key in ("p50", "p99", "max")]
    counted = (method.dials, method.accepts, method.rejects, method.given_up, method.resends, method.bad_replies)
    return [name, *counted, *shown]


def _show_grants(terminal: Terminal, report: Report) -> None:
    _ = terminal.speak
    titles = {
        "rate_limit": _("rates"),
        "address_list": _("address lists"),
        "group": _("groups"),
        "pool": _("pools"),
    }
    if report.addresses_granted:
        terminal.line(_("addresses: {count}", count=report.addresses_different))
    for key, title in titles.items():
        _show_values(terminal, title, report.granted[key])
    for key, name in (("session_timeout", "Session-Timeout"), ("interim_interval", "Acct-Interim-Interval")):
        seconds = sorted(int(value) for value in report.granted[key] if value.isdecimal())
        if seconds:
            span = f"{seconds[0]}" if seconds[0] == seconds[-1] else f"{seconds[0]}–{seconds[-1]}"
            terminal.line(f"{name}: {span} s ×{report.granted[key].total()}")
    for key, title in (("reply_message", "Reply-Message"), ("ms_chap_error", "MS-CHAP-Error")):
        _show_values(terminal, title, report.refused[key])


def _show_values(terminal: Terminal, title: str, values: Mapping[str, int]) -> None:
    if values:
        shown = sorted(values.items(), key=lambda item: (-item[1], item[0]))
        more = f" … +{len(shown) - _SHOWN_MAX}" if len(shown) > _SHOWN_MAX else ""
        terminal.line(f"{title}: " + ", ".join(f"{text} ×{times}" for text, times in shown[:_SHOWN_MAX]) + more)


def _show_faults(terminal: Terminal, report: Report) -> None:
    """Say what a server should not do, and what of the simulator's own makes its figures doubtful."""
    _ = terminal.speak
    faults = {
        _("accepted, and of no use"): report.all_methods.flaws,
        _("replies that were dropped"): report.bad_replies,
        _("addresses granted to two"): report.addresses_granted_twice,
    }
    for title, values in faults.items():
        if values:
            _show_values(terminal, title, values)
    for text, times in (
        (_("late or repeated replies: {count}", count=report.unexpected_replies), report.unexpected_replies),
        (_("datagrams that could not be sent: {count}", count=report.not_sent), report.not_sent),
        (_("dials left out, their subscriber being busy: {count}", count=report.skipped), report.skipped),
        (_("requests that waited for an Identifier: {count}", count=report.no_identifier), report.no_identifier),
    ):
        if times:
            terminal.line(text, "yellow")
    for status, sums in report.accounting.items():
        terminal.line(
            _(
                "accounting {status}: {sent} sent, {unanswered} not answered",
                status=status,
                sent=sums.sent,
                unanswered=sums.unanswered,
            ),
            "yellow" if sums.unanswered else "",
        )
