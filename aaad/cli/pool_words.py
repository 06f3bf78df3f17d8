"""What is said of pools and leases, in words: states, kinds, who has an address, who has set some aside."""

from collections.abc import Iterable
from typing import Any

from aaad.cli.terminal import Terminal
from aaad.erp.complaints import Complaint
from aaad.pools.operate import Holders, InTheWayError, SetAside
from aaad.words import Speaker


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


KINDS = {
    "radius": _("given out here (RAD)"),
    "nas": _("the concentrator's (CON)"),
    "dualstack": _("several in one (DUALSTACK)"),
}
POOL_STATES = {"active": _("active"), "draining": _("draining"), "retired": _("retired")}
FAMILIES = {"ipv4": "IPv4", "ipv6": "IPv6", "delegated": _("delegated IPv6")}
LEASE_STATES = {
    "bound": _("in use"),
    "released": _("released"),
    "fixed": _("fixed"),
    "foreign": _("not given by us"),
}
_OVERLAP = _("{text} is not free: {others}")
_RANGE = _("range")


def kind_text(speak: Speaker, kind: str) -> str:
    """Return a kind of pool as people say it."""
    return speak(KINDS.get(kind, kind))


def state_text(speak: Speaker, state: str) -> str:
    """Return a pool's state as people say it."""
    return speak(POOL_STATES.get(state, state))


def family_text(speak: Speaker, family: str | None) -> str:
    """Return a family as people say it."""
    return speak(FAMILIES.get(family, family)) if family else ""


def lease_state_text(speak: Speaker, state: str) -> str:
    """Return what the ledger says of an address."""
    return speak(LEASE_STATES.get(state, state))


def span_text(first: str, last: str) -> str:
    """Return a range as it may be typed."""
    return first if first == last else f"{first}-{last}"


def overlap_complaint(terminal: Terminal, text: str, error: InTheWayError) -> Complaint:
    """Return who has some of a new range."""
    told = [f"{span_text(first, last)} ({pool})" for pool, first, last in error.ranges]
    if error.holders.total:
        told.append(holders_text(terminal, error.holders))
    return Complaint("range", _RANGE, _OVERLAP, {"text": text, "others": "; ".join(told)})


def holders_text(terminal: Terminal, holders: Holders) -> str:
    """Return the first few who have addresses, and that there are more."""
    _ = terminal.speak
    told = [_holder_text(terminal, holder._asdict()) for holder in holders.few]
    if holders.total > len(told):
        told.append(_("and {count} more", count=holders.total - len(told)))
    return "; ".join(told)


def _holder_text(terminal: Terminal, holder: dict[str, Any]) -> str:
    _ = terminal.speak
    who = holder["login"] or (f"#{holder['login_id']}" if holder["login_id"] else "")
    match holder["state"]:
        case "foreign":
            text = _(
                "{address} (a concentrator reports it: {nas})", address=holder["address"], nas=holder["nas"] or "-"
            )
        case "released":
            text = _("{address} (of {login} until a moment ago)", address=holder["address"], login=who or "-")
        case _:
            text = f"{holder['address']} ({', '.join(part for part in (who, holder['client']) if part)})"
    return text


def aside_text(terminal: Terminal, aside: Iterable[SetAside]) -> str:
    """Return which processes had set how many aside."""
    _ = terminal.speak
    return ", ".join(
        _("{count} of {node} process {slot}", count=one.units, node=one.node or "-", slot=one.slot) for one in aside
    )


def nodes_text(terminal: Terminal, nodes: Iterable[tuple[str, float | None]]) -> str:
    """Return nodes with how long they are silent."""
    _ = terminal.speak
    return ", ".join(
        _("{node} (last heard {age} ago)", node=name, age=terminal.age(silent_s)) for name, silent_s in nodes
    )
