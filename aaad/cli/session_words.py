"""What is said of sessions, in words: their state, how their end is known, its cause, instants, amounts.

Of an end two things are told apart (rule R9.1): until when a session was certainly connected, and until when it may
have been. Instants are shown in the session's own zone, with its offset.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

from aaad.cli.terminal import Terminal
from aaad.words import Language, Speaker

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")  # powers of 1000, as speeds and caps
_STEP = 1000


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


STATES = {"open": _("open"), "suspended": _("suspended: it is silent"), "closed": _("closed")}

# How the end is known: net.session.end_evidence.
EVIDENCE = {
    "stop": _("the concentrator said so (Stop)"),
    "nas_restart": _("the concentrator restarted"),
    "replaced": _("a newer session of the same customer or port took its place"),
    "id_reused": _("the concentrator used its number again"),
    "gone": _("seen gone on the concentrator"),
    "lost": _("silent for too long"),
    "operator": _("closed by an operator"),
}

# Acct-Terminate-Cause: RFC 2866, 5.10; from 19 on RFC 3580, 3.7 and RFC 4675's registry.
CAUSES = {
    1: _("disconnected by the customer (User-Request)"),
    2: _("signal lost (Lost-Carrier)"),
    3: _("service lost (Lost-Service)"),
    4: _("idle for too long (Idle-Timeout)"),
    5: _("time of the session over (Session-Timeout)"),
    6: _("disconnected by the provider (Admin-Reset)"),
    7: _("concentrator shut down by the provider (Admin-Reboot)"),
    8: _("fault of the port (Port-Error)"),
    9: _("fault of the concentrator (NAS-Error)"),
    10: _("ended by the concentrator (NAS-Request)"),
    11: _("the concentrator restarted (NAS-Reboot)"),
    12: _("port not needed any more (Port-Unneeded)"),
    13: _("port given to somebody else (Port-Preempted)"),
    14: _("port suspended (Port-Suspended)"),
    15: _("service not available (Service-Unavailable)"),
    16: _("called back (Callback)"),
    17: _("fault of the customer's equipment (User-Error)"),
    18: _("ended by the other side (Host-Request)"),
    19: _("the customer's equipment restarted (Supplicant-Restart)"),
    20: _("authenticating again failed (Reauthentication-Failure)"),
    21: _("port initialised again (Port-Reinitialized)"),
    22: _("port switched off by the provider (Port-Administratively-Disabled)"),
    23: _("the power failed (Lost-Power)"),
}


# What NASes call a cause, and in whose terms the end is known where no Stop came.
CAUSE_NAMES = {text.rsplit("(", 1)[1].rstrip(")").lower(): cause for cause, text in CAUSES.items()}
ENDS_OF_CAUSES = {11: "nas_restart"}


def state_text(speak: Speaker, state: str) -> str:
    """Return a session's state as people say it."""
    return speak(STATES.get(state, state))


def evidence_text(speak: Speaker, evidence: str | None) -> str:
    """Return how the end of a session is known; empty: it has not ended."""
    return speak(EVIDENCE.get(evidence, evidence)) if evidence else ""


def cause_text(speak: Speaker, cause: int | None) -> str:
    """Return the cause that the concentrator gave, empty if it gave none."""
    _ = speak
    if cause is None:
        return ""
    return _(CAUSES[cause]) if cause in CAUSES else _("cause {number}", number=cause)


def end_text(speak: Speaker, evidence: str | None, cause: int | None) -> str:
    """Return why a session ended: the cause of its Stop, else how its end is known; empty if it has not ended."""
    if evidence == "stop" and cause is not None:
        return cause_text(speak, cause)
    return evidence_text(speak, evidence)


def instant_text(terminal: Terminal, at: datetime | None, zone: str) -> str:
    """Return an instant in a zone, with that day's offset; empty for none."""
    if at is None:
        return ""
    local = at.astimezone(ZoneInfo(zone))
    is_portuguese = terminal.language is Language.PORTUGUESE
    offset = local.strftime("%z")
    return local.strftime(f"{'%d/%m/%Y' if is_portuguese else '%Y-%m-%d'} %H:%M:%S {offset[:3]}:{offset[3:5]}")


def iso_text(at: datetime | None, zone: str) -> str | None:
    """Return an instant in a zone as ISO 8601 writes it, for programs."""
    return None if at is None else at.astimezone(ZoneInfo(zone)).isoformat()


def duration_text(terminal: Terminal, seconds: float) -> str:
    """Return how long something took: 2 d 03:10:05."""
    _ = terminal.speak
    days, rest = divmod(int(max(0.0, seconds)), _DAY_S)
    clock = f"{rest // _HOUR_S:02d}:{rest % _HOUR_S // _MINUTE_S:02d}:{rest % _MINUTE_S:02d}"
    return _("{days} d {clock}", days=days, clock=clock) if days else clock


def octets_text(terminal: Terminal, octets: int) -> str:
    """Return an amount of data, in powers of 1000."""
    amount, unit = float(octets), 0
    while amount >= _STEP and unit + 1 < len(_UNITS):
        amount, unit = amount / _STEP, unit + 1
    text = f"{octets}" if unit == 0 else f"{amount:.2f}"
    return f"{text.replace('.', ',') if terminal.language is Language.PORTUGUESE else text} {_UNITS[unit]}"
