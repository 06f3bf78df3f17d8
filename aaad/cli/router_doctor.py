"""`aaad nas doctor`: what is wrong with a router's settings for us, and the command of the router that mends each.

Nothing is written to the router: who knows it types the command. Ends with 1 if anything is wrong.
"""

import asyncio
import socket
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from aaad.cli.doctor_words import finding_text
from aaad.cli.local_node import LocalNode
from aaad.cli.records import fail, working
from aaad.cli.router_api import access_of, connected
from aaad.cli.terminal import Terminal
from aaad.config import Config
from aaad.daemon.router_problems import ProblemKind, find_router_problems
from aaad.errors import AaadError
from aaad.mikrotik.connection import RouterAccess
from aaad.mikrotik.doctor import Expected, Finding, ListUse, Weight, examine
from aaad.mikrotik.settings import RouterSettings, read_settings

_ROUTEROS = "mikrotik"
_ANY_PORT = 9  # of a socket that sends nothing
_LISTS = (  # parameter, family, whether who is in it is blocked
    ("blocked_address_list", "ip", True),
    ("blocked_address_list_ipv6", "ipv6", True),
    ("notice_address_list", "ip", False),
    ("notice_address_list_ipv6", "ipv6", False),
)
_SECRET_PROBLEMS = (ProblemKind.WRONG_SECRET, ProblemKind.SECRET_SEEMS_WRONG)


def examine_router(terminal: Terminal, word: str) -> None:
    """Show what is wrong with a router; end with 1 if anything is."""
    settings, findings = asyncio.run(_examine(terminal, word))
    if terminal.options.is_json:
        terminal.json(_document(terminal, settings, findings))
    else:
        _show(terminal, settings, findings)
    if findings:
        terminal.refuse()


async def _examine(terminal: Terminal, word: str) -> tuple[RouterSettings, tuple[Finding, ...]]:
    _ = terminal.speak
    async with working(terminal) as desk:
        nas_id = await desk.resolve("nas", word)
        access = await access_of(desk, nas_id)
        row = await desk.store.row("expected_of_router", nas_id)
    assert row is not None
    if row["kind"] != _ROUTEROS:
        fail(terminal, _("{nas} is no RouterOS: what its settings should be is not known here.", nas=row["name"]))
    async with connected(access) as connection:
        settings = await read_settings(connection)
    async with working(terminal) as desk:
        asked = [name for name in settings.secrets if _is_text(name)]
        names = [found["name"] for found in await desk.store.rows("logins_among", asked)]
    expected = replace(_expected(terminal, row, access), logins=frozenset(names))
    return settings, examine(settings, expected)


def _is_text(name: str) -> bool:
    """Tell whether a login could be called so: a router's names may be of any encoding."""
    return not any(sign == "\0" or "\ud800" <= sign <= "\udfff" for sign in name)


def _expected(terminal: Terminal, row: dict[str, Any], access: RouterAccess) -> Expected:
    config = terminal.config
    return Expected(
        servers=frozenset(row["servers"]) | _own_addresses(config, access),
        auth_port=config.radius.auth_port,
        acct_port=config.radius.acct_port,
        network=row["network"],
        order_port=row["coa_port"],
        timeout_ms=row["timeout_ms"],
        secrets=frozenset(row["secrets"]),
        unreadable=_unreadable(terminal, row["name"]),
        api_user=access.user,
        lists=tuple(
            ListUse(parameter, row[parameter], family, is_block)
            for parameter, family, is_block in _LISTS
            if row[parameter]
        ),
    )


def _own_addresses(config: Config, access: RouterAccess) -> frozenset[str]:
    """Return the addresses at which a router may reach this node; of 0.0.0.0, the one that looks its way."""
    told = frozenset(str(address) for address in config.radius.addresses if not address.is_unspecified)
    if told:
        return told
    family = socket.AF_INET6 if ip_address(access.address).version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as opened:
        try:
            opened.connect((access.address, _ANY_PORT))
        except OSError:
            return frozenset()
        return frozenset({str(opened.getsockname()[0])})


def _unreadable(terminal: Terminal, nas: str) -> int:
    """Return how many requests of a NAS did not fit its secret, as far as this node has heard."""
    try:
        facts = LocalNode(terminal.local_config).facts().facts
    except AaadError:
        return 0  # there is no node on this machine
    problems = find_router_problems(facts.routers, facts.at_s)
    return sum(problem.count for problem in problems if problem.nas == nas and problem.kind in _SECRET_PROBLEMS)


def _document(terminal: Terminal, settings: RouterSettings, findings: tuple[Finding, ...]) -> dict[str, object]:
    return {
        "router": settings.identity,
        "version": settings.version,
        "findings": [
            {
                "kind": finding.kind.value,
                "weight": finding.weight.value,
                "text": finding_text(terminal, finding),
                "facts": dict(finding.facts),
                "command": finding.command,
            }
            for finding in findings
        ],
    }


def _show(terminal: Terminal, settings: RouterSettings, findings: tuple[Finding, ...]) -> None:
    _ = terminal.speak
    terminal.line(_("{router}, RouterOS {version}", router=settings.identity, version=settings.version))
    if not findings:
        terminal.line(_("Nothing is wrong with its settings for us."), "green")
    for finding in findings:
        is_wrong = finding.weight is Weight.WRONG
        text = f"{'!' if is_wrong else '?'} {finding_text(terminal, finding)}"
        terminal.line(text, "bold red" if is_wrong else "yellow")
        terminal.verbatim(f"    {finding.command}")
