"""`aaad simulate-login LOGIN`: what a login would be answered now, to the attribute, without a concentrator.

Asks this machine's node, by its replica: the same decision and the same templates as the request path's. What is not
said of the request (which concentrator, device, port, circuit) is taken to be as the login's bindings want it.
"""

import asyncio

import msgspec

from aaad.cli.cluster import opened
from aaad.cli.local_node import LocalNode
from aaad.cli.permits import Permits, may_everything
from aaad.cli.terminal import Terminal
from aaad.cli.why import present_lines
from aaad.daemon.testimony import Asked
from aaad.errors import AaadError, MistypedError
from aaad.policy.codes import Reason
from aaad.radius.kinds import KINDS
from aaad.radius.lookup import mac_number
from aaad.words import reason_hint, reason_text


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


_NO_NAS = _("--nas: there is no {nas}; there are: {allowed}")
_NO_KIND = _("--kind: {kind} is not known; there are: {allowed}")
_NO_MAC = _("--mac: {mac} is no device's address; write AA:BB:CC:DD:EE:FF")


def simulate_login(terminal: Terminal, login: str, asked: Asked) -> None:
    """Answer, and end with 1 unless it would be let in.

    Who may is asked of PostgreSQL first: StoreError if that is away, and this machine does not trust its accounts.
    AaadError if the node has no complete replica, MistypedError if it knows no concentrator of this name.
    """
    _ = terminal.speak
    if not may_everything(terminal):
        asyncio.run(_demand(terminal))
    node = LocalNode(terminal.local_config)
    found = node.simulate(login, asked)
    if not found.is_complete:
        raise AaadError(_("Node {node} has no complete copy of the logins yet.", node=found.node))
    if asked.nas and asked.nas not in found.nas_names:
        allowed = ", ".join(found.nas_names) or "–"
        raise MistypedError(_NO_NAS, nas=repr(asked.nas), allowed=allowed)
    if terminal.options.is_json:
        terminal.json({"login": login, **msgspec.to_builtins(found)})
    elif found.decision is None:
        reason = Reason.RECORD_DAMAGED if found.login_id else Reason.UNKNOWN_LOGIN
        terminal.line(reason_text(reason, terminal.language), "red")
        terminal.line("  " + reason_hint(reason, terminal.language))
    else:
        for text, style in present_lines(terminal, found.node, found.decision):
            terminal.line(text, style)
        terminal.line("Access-Accept" if found.decision.is_grant else "Access-Reject", "bold")
        for name, value in found.decision.reply:
            terminal.line(f"  {name} = {value}")
    if found.decision is None or not found.decision.is_grant:
        terminal.refuse()


async def _demand(terminal: Terminal) -> None:
    async with opened(terminal.config) as database:
        await Permits(terminal, database).demand_command()


def asked_of(nas: str, kind: str, mac: str, port: str, circuit: str, *, is_ppp: bool) -> Asked:
    """Return how it asks, from the options; MistypedError names the one that is not valid."""
    if kind not in KINDS:
        raise MistypedError(_NO_KIND, kind=repr(kind), allowed=", ".join(KINDS))
    number = mac_number(mac.encode("utf-8", "replace")) if mac else None
    if number == 0:
        raise MistypedError(_NO_MAC, mac=repr(mac))
    return Asked(nas=nas, kind=kind, mac=number, port_id=port or None, circuit_id=circuit or None, is_ppp=is_ppp)
