"""Which sessions of a login are other devices' than the one that dials, and when devices push each other out.

Pure. Rule R5.4. The same device is the same MAC on the same router and port, or a retry with the same
Acct-Session-Id; NAS-Port is no port here: RouterOS counts it up with each session. Devices contest a login if they
take each other's place more than 4 times within 10 minutes; the one that was connected first is kept. There a device
is its MAC, wherever it dials: one that changes between two concentrators must not be kept out by itself.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

CONTEST_WINDOW_S = 600.0
CONTEST_LASTS_S = 600.0
REPLACEMENTS_MAX = 4
# A NAS that ends the older session itself says so in the same moment, before or after the newer one begins.
SAME_MOMENT_S = 5.0

RouterName = tuple[int, str, bytes]  # NAS entry, source address, NAS-Identifier (rule R2.1)


class OpenSession(NamedTuple):
    """A session that is open and heard of. Empty texts and a MAC of 0: not known."""

    key: tuple[bytes, int]
    router: RouterName
    session_id: str
    user_name: str
    mac: int = 0
    calling_station_id: str = ""
    port_id: str = ""
    ipv4: str = ""
    coa_address: str = ""
    coa_port: int = 0
    local_address: str = ""  # of this node, to which its router speaks; empty: to none


class Dialler(NamedTuple):
    """Who asks to be let in."""

    router: RouterName
    session_id: str
    mac: int
    calling_station_id: str
    port_id: str


def is_same_device(session: OpenSession, dialler: Dialler) -> bool:
    """Whether a session is of the device that dials: then it is about to end, or is this very one."""
    if session.router != dialler.router:
        return False
    if dialler.session_id and dialler.session_id == session.session_id:
        return True
    if session.port_id != dialler.port_id:
        return False
    if session.mac or dialler.mac:
        return session.mac == dialler.mac
    return bool(dialler.calling_station_id) and session.calling_station_id == dialler.calling_station_id


def of_other_devices(sessions: Iterable[OpenSession], dialler: Dialler) -> list[OpenSession]:
    """Return the sessions of other devices."""
    return [session for session in sessions if not is_same_device(session, dialler)]


class Lived(NamedTuple):
    """A session of a login as far as it matters who pushed out whom. `ended_s` None: it lives."""

    key: tuple[bytes, int]
    mac: int
    nas_id: int
    started_s: float
    ended_s: float | None


class Contest(NamedTuple):
    """Devices that push each other out: which one is kept, and the last of the others."""

    mac: int
    nas_id: int
    other_mac: int
    replacements: int
    last_s: float  # when the last of them began


def find_contest(sessions: Iterable[Lived], allowed: int, now_s: float) -> Contest | None:
    """Return the contest that some sessions of a login tell of, None if they tell of none.

    A device takes another's place when it begins a session, the session begun before is another device's, and as many
    other devices as are allowed were connected just then. So a device that dials again and again on a bad line beside
    one that stays connected contests nothing. The order in which the sessions are given does not matter.
    """
    ordered = sorted((each for each in sessions if each.mac), key=_begin)
    replaced: list[tuple[Lived, Sequence[Lived]]] = []
    for place in range(1, len(ordered)):
        new, earlier = ordered[place], ordered[:place]
        if not now_s - CONTEST_WINDOW_S <= new.started_s <= now_s or earlier[-1].mac == new.mac:
            continue
        connected = [each for each in earlier if each.mac != new.mac and _was_connected(each, new.started_s)]
        if len({each.mac for each in connected}) >= allowed:
            replaced.append((new, connected))
    if len(replaced) <= REPLACEMENTS_MAX:
        return None
    first = min((each for _, connected in replaced for each in connected), key=_begin)
    kept_at = max((each for each in ordered if each.mac == first.mac), key=_begin)
    other = max((each for each, _ in replaced if each.mac != first.mac), key=_begin)
    return Contest(first.mac, kept_at.nas_id, other.mac, len(replaced), replaced[-1][0].started_s)


def _begin(session: Lived) -> tuple[float, tuple[bytes, int]]:
    return session.started_s, session.key


def _was_connected(session: Lived, at_s: float) -> bool:
    return session.ended_s is None or session.ended_s >= at_s - SAME_MOMENT_S
