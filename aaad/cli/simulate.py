"""`aaad simulate`: concentrators and subscribers of the simulator dial a server, and what came of it is shown.

Exit code 1 unless every dial was accepted and every accepted subscriber is through.
"""

import ipaddress
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TypedDict

import msgspec

from aaad import clock
from aaad.cli.terminal import Terminal
from aaad.config import Config
from aaad.errors import AaadError, MistypedError
from aaad.simulator.accounting import Record
from aaad.simulator.apis import serve_apis
from aaad.simulator.fleet import Nases, Subscribers, mac_octets, methods_of
from aaad.simulator.nas import Concentrator, Exchange
from aaad.simulator.network import Server, simulate
from aaad.simulator.record_log import record_values
from aaad.simulator.report import AccountingReport, Latencies, MethodReport, PowerCutReport, Report, latency_ms
from aaad.simulator.request import StopCounters
from aaad.simulator.simulation import Plan, PowerCut, Simulation
from aaad.simulator.subscriber import MAC_FORMATS
from aaad.simulator.temper import tempers_of
from aaad.simulator.wire import Weather

__all__ = ["Plan", "Wish", "conditions_of", "nases_of", "run", "servers_of", "subscribers_of"]

_AUTH_PORT = 1812
_SHOWN_MAX = 10  # of the different values of one kind
_POWER_CUT = (0.0, 5.0, 0.0)  # at, off for, back within, in seconds
_CLOCK_AHEAD_S = 7200.0  # of the quirk
_QUIRKS: Mapping[str, Mapping[str, object]] = {  # what each makes of a concentrator
    "no-gigawords": {"has_gigawords": False},
    "same-ids": {"counts_boots": False},
    "clock-1970": {"starts_in_1970": True},
    "clock-ahead": {"clock_ahead_s": _CLOCK_AHEAD_S},
    "accounting-on": {"says_restarts": True},
    "delay-time": {"counts_delay": True},
    "no-delay-time": {"counts_delay": False},
    "stop-zero": {"stop_counters": StopCounters.ZERO},
    "stop-empty": {"stop_counters": StopCounters.NONE},
    "cookies": {"has_cookies": True},
    "lists-by-coa": {"coa_takes_lists": True},
}


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
    record_log: str = ""  # a file, or empty
    api_port: int = 0  # of the concentrators' APIs; 0: none


class Conditions(TypedDict):
    """The part of a plan that says what it is like out there."""

    octets_per_s: tuple[float, float]
    power_cuts: Sequence[PowerCut]
    weather: Weather | None


def run(terminal: Terminal, wish: Wish) -> None:
    """Simulate, show what came of it, and end with 1 unless all of it is well."""
    servers = servers_of(wish.server, wish.acct_port, terminal.maybe_config)
    stopping = threading.Event()
    epoch_s = clock.wall_s() - clock.monotonic_s()
    with _Interrupt(stopping), ExitStack() as files:
        simulation = Simulation(
            wish.plan,
            wish.nases.make(),
            wish.subscribers.make(),
            len(servers),
            os.urandom,
            epoch_s=epoch_s,
            tell=_record_log(wish.record_log, epoch_s, files) if wish.record_log else None,
        )
        if wish.api_port:
            serve_apis(simulation, wish.api_port, files, servers)
        report = simulate(simulation, servers, stopping)
    if terminal.options.is_json:
        terminal.json(report.as_json())
    else:
        _show(terminal, report)
    total = report.all_methods
    if not total.dials or total.accepts - sum(total.flaws.values()) < total.dials:
        terminal.refuse()


def _record_log(name: str, epoch_s: float, files: ExitStack) -> Callable[[Concentrator, Record, Exchange], None]:
    try:
        log = files.enter_context(Path(name).open("wb"))  # noqa: SIM115  the stack closes it
    except OSError as error:
        raise AaadError(f"{name}: {error.strerror or error}") from None

    def write(concentrator: Concentrator, record: Record, exchange: Exchange) -> None:
        log.write(msgspec.json.encode(record_values(concentrator, record, exchange, epoch_s)) + b"\n")

    return write


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


def nases_of(
    count: int,
    kind: str,
    secrets: str,
    source: str,
    quirks: Iterable[str] = (),
    must_encrypt: bool = False,
    order_port: int = 0,
    orders: Iterable[str] | None = None,
) -> Nases:
    """Return how to make the concentrators; the first one's address must be one."""
    if source:
        try:
            ipaddress.ip_address(source)
        except ValueError:
            raise MistypedError(_("--source: {word} is no IP address"), word=repr(source)) from None
    changes: dict[str, object] = {"must_encrypt": must_encrypt, "order_port": order_port}
    for quirk in quirks:
        changes |= _QUIRKS[quirk]
    for word in orders or ():
        try:
            changes |= tempers_of(word)
        except ValueError:
            text = _("--orders: {word} is none of nak, nak=CAUSE, idle, silent, late=SECONDS")
            raise MistypedError(text, word=repr(word)) from None
    return Nases(count=count, kind=kind, secrets=secrets, first_source=source or None, changes=changes)


def conditions_of(speed: str, power_cuts: Iterable[str], network: str) -> Conditions:
    """Return what it is like out there, as it was typed."""
    upload, download = _numbers("--speed", speed, 2, 2)
    cuts = []
    for text in power_cuts:
        typed = _numbers("--power-cut", text, 1, 3)
        at_s, off_s, back_within_s = *typed, *_POWER_CUT[len(typed) :]
        cuts.append(PowerCut(at_s, off_s, back_within_s))
    shares = [percent / 100 for percent in _numbers("--network", network, 1, 3)] if network else []
    return {
        "octets_per_s": (upload * 125_000, download * 125_000),
        "power_cuts": cuts,
        "weather": Weather(*shares) if shares else None,
    }


def _numbers(option: str, text: str, fewest: int, most: int) -> list[float]:
    """Return numbers that stand behind each other with a slash between."""
    found = re.findall(r"(?:^|/)(\d+(?:\.\d+)?)(?=/|$)", text)
    if len(found) != text.count("/") + 1 or not fewest <= len(found) <= most:
        raise MistypedError(
            _("{option}: {word} is not {count} numbers with / between them"),
            option=option,
            word=repr(text),
            count=f"{fewest}" if fewest == most else f"{fewest}–{most}",
        )
    return [float(number) for number in found]


def subscribers_of(
    count: int,
    first: int,
    patterns: tuple[str, str],
    method: str,
    devices: tuple[str, str, bool],
) -> Subscribers:
    """Return how to make the subscribers; `patterns` are names and passwords.

    `devices` is the first one's MAC, the form in which MAC logins are written, and whether it is their password, too.
    """
    first_mac, mac_format, is_mac_password = devices
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
    if report.accounting:
        _show_accounting(terminal, report.accounting)
    for cut in report.power_cuts:
        _show_power_cut(terminal, cut)
    _show_grants(terminal, report)
    _show_faults(terminal, report)


def _cells(name: str, method: MethodReport) -> list[object]:
    counted = (method.dials, method.accepts, method.rejects, method.given_up, method.resends, method.bad_replies)
    return [name, *counted, *_milliseconds(method.latencies)]


def _milliseconds(latencies: Latencies) -> list[str]:
    found = latency_ms(latencies)
    return ["–" if found[key] is None else f"{found[key]:.1f}" for key in ("p50", "p99", "max")]


def _show_accounting(terminal: Terminal, sums: Mapping[str, AccountingReport]) -> None:
    _ = terminal.speak
    table = terminal.table(
        _("record"),
        _("sent"),
        _("acknowledged"),
        _("sent again"),
        _("given up"),
        "p50 ms",
        "p99 ms",
        "max ms",
    )
    for status, one in sums.items():
        counted = (one.sent, one.acknowledged, one.resent, one.given_up)
        table.add(status, *counted, *_milliseconds(one.latencies))
    table.print()


def _show_power_cut(terminal: Terminal, cut: PowerCutReport) -> None:
    _ = terminal.speak
    if cut.missing or cut.restored_at_s is None or cut.last_back_at_s is None:
        terminal.line(
            _(
                "power cut at {nas}: {count} cut off, {missing} of them not back",
                nas=cut.nas,
                count=cut.cut_off,
                missing=len(cut.missing),
            ),
            "yellow" if cut.missing else "",
        )
        return
    terminal.line(
        _(
            "power cut at {nas}: {count} cut off, all back {seconds} s after it, refused meanwhile: {refused}",
            nas=cut.nas,
            count=cut.cut_off,
            seconds=f"{cut.last_back_at_s - cut.restored_at_s:.1f}",
            refused=cut.refused,
        ),
        "yellow" if cut.refused else "",
    )


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
