"""The options of `aaad simulate` and what they mean together; the simulator is loaded when the command runs."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Literal

import typer
from typer import Option

from aaad.cli.terminal import Terminal
from aaad.words import Speaker

Method = Literal[
    "pap",
    "chap",
    "mschap",
    "mschapv2",
    "mix",
    "tunnel",
    "hotspot",
    "hotspot-pap",
    "mac",
    "dhcp",
    "router",
    "router-chap",
]
Kind = Literal["mikrotik", "mikrotik-old", "accel-ppp"]
Texts = list[str] | None
_SUBSCRIBERS_MAX, _NASES_MAX = 1_000_000, 10_000
_SECRET = "AAAD_RADTEST_SECRET"  # noqa: S105  of the environment
_KNOWN = "testing123"  # of the throw-away node, and of every tutorial


class Quirk(StrEnum):
    """What NASes do otherwise than their kind does."""

    NO_GIGAWORDS = "no-gigawords"
    SAME_IDS = "same-ids"
    CLOCK_1970 = "clock-1970"
    CLOCK_AHEAD = "clock-ahead"
    ACCOUNTING_ON = "accounting-on"
    DELAY_TIME = "delay-time"
    NO_DELAY_TIME = "no-delay-time"
    STOP_ZERO = "stop-zero"
    STOP_EMPTY = "stop-empty"
    COOKIES = "cookies"
    LISTS_BY_COA = "lists-by-coa"


Quirks = list[Quirk] | None


def add_simulate(
    app: typer.Typer, terminal: Terminal, _: Speaker, end: Callable[[Terminal, Callable[[], None]], None]
) -> None:
    """Add the command."""

    @app.command(help=_("Let simulated subscribers dial. Exit code 1 unless all of them get through."))
    def simulate(
        server: Annotated[str, Option(help=_("HOST:PORT, a second one behind a comma; default: this node"))] = "",
        acct_port: Annotated[int, Option(min=0, max=65_535, help=_("default: the port behind"))] = 0,
        secret: Annotated[str, Option(envvar=_SECRET, help=_("shared secret; %d is the NAS's number"))] = _KNOWN,
        kind: Annotated[Kind, Option(help=_("what the NASes are"))] = "mikrotik",
        nases: Annotated[int, Option(min=1, max=_NASES_MAX, help=_("how many NASes"))] = 1,
        source: Annotated[str, Option(help=_("address of the first NAS; the others have the next ones"))] = "",
        subscribers: Annotated[int, Option(min=1, max=_SUBSCRIBERS_MAX, help=_("how many subscribers"))] = 100,
        first: Annotated[int, Option(min=0, help=_("number of the first subscriber"))] = 0,
        names: Annotated[str, Option(help=_("their names; %06d is their number"))] = "user%06d",
        passwords: Annotated[str, Option(help=_("their passwords, likewise"))] = "pass%06d",
        method: Annotated[Method, Option(help=_("how they dial; mix: the first four in turn"))] = "chap",
        macs: Annotated[str, Option(help=_("MAC address of subscriber 0"))] = "02:00:00:00:00:00",
        mac_format: Annotated[str, Option(help=_("how MAC logins are written"))] = "XX:XX:XX:XX:XX:XX",
        is_mac_password: Annotated[bool, Option("--mac-as-password", help=_("it is their password, too"))] = False,
        rate: Annotated[float, Option(min=0, help=_("dials per second; 0: as fast as answers come"))] = 0,
        window: Annotated[float, Option(min=0, help=_("all dial once within so many seconds"))] = 0,
        duration: Annotated[float, Option(min=0, help=_("dial in turn for so many seconds; 0: once each"))] = 0,
        redial: Annotated[float, Option(min=0, help=_("who failed dials again after so many seconds"))] = 0,
        has_accounting: Annotated[bool, Option("--accounting", help=_("report sessions, too"))] = False,
        interim: Annotated[float, Option(min=0, help=_("seconds between reports; 0: as granted"))] = 0,
        stay: Annotated[float, Option(min=0, help=_("seconds that sessions stay up at the end"))] = 0,
        speed: Annotated[str, Option(help=_("of each session in Mbit/s, UPLOAD/DOWNLOAD"))] = "0.4/8",
        cuts: Annotated[Texts, Option("--power-cut", help=_("AT[/OFF[/BACK]] in seconds; may be repeated"))] = None,
        network: Annotated[str, Option(help=_("LOST/REPEATED/REORDERED datagrams in per cent"))] = "",
        quirks: Annotated[Quirks, Option("--quirk", help=_("what the NASes do else; may be repeated"))] = None,
        order_port: Annotated[int, Option(min=0, max=65_535, help=_("of the NASes, for CoA; 0: none"))] = 0,
        orders: Annotated[Texts, Option(help=_("[coa:|disconnect:]nak[=CAUSE]|idle|silent|late=S[*TIMES]"))] = None,
        api_port: Annotated[int, Option(min=0, max=65_535, help=_("of their RouterOS APIs, user aaad; 0: none"))] = 0,
        record_log: Annotated[str, Option(help=_("a file for a line of JSON on each record"))] = "",
        must_encrypt: Annotated[bool, Option("--require-encryption", help=_("MS-CHAP needs MPPE keys"))] = False,
    ) -> None:
        from aaad.cli import simulate as room

        def act() -> None:
            devices = macs, mac_format, is_mac_password
            wish = room.Wish(
                server=server,
                acct_port=acct_port,
                nases=room.nases_of(nases, kind, secret, source, quirks or (), must_encrypt, order_port, orders),
                subscribers=room.subscribers_of(subscribers, first, (names, passwords), method, devices),
                plan=room.Plan(
                    rate=subscribers / window if window else rate or None,
                    cycles_for_s=duration or None,
                    redial_first_s=redial or None,
                    has_accounting=has_accounting,
                    interim_s=interim or None,
                    stay_s=stay,
                    **room.conditions_of(speed, cuts or (), network),
                ),
                record_log=record_log,
                api_port=api_port,
            )
            room.run(terminal, wish)

        end(terminal, act)
