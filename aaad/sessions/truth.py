"""Whether a session that sent no Stop has ended all the same, and what tells so (rules R5.2, R9.1).

Pure. What ends a session here is evidence found in other rows: a restart of its router, a newer session of the same
login on the same device or port, a newer one that goes by its id. It is guessed, so it holds only until a record of
the session itself says that it was heard later; and since it is looked for among all rows each time one of them
begins or changes, it does not matter in which order they came.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

import msgspec


class Evidence(StrEnum):
    """How the end of a session is known: `net.session.end_evidence`."""

    STOP = "stop"
    NAS_RESTART = "nas_restart"
    REPLACED = "replaced"
    ID_REUSED = "id_reused"
    GONE = "gone"
    LOST = "lost"
    OPERATOR = "operator"


# Of what tells of one and the same instant, the first of these is said.
_RANK = {evidence: rank for rank, evidence in enumerate(Evidence)}


class Router(NamedTuple):
    """One device behind a NAS entry (rule R2.1)."""

    nas_id: int
    source_address: str
    nas_identifier: bytes


class Lifetime(msgspec.Struct, frozen=True, gc=False):
    """What of a session decides about its end and about that of others."""

    family: bytes
    life: int
    login_id: int | None
    user_name: str
    router: Router
    nas_port: int | None
    called_station_id: str | None
    calling_station_id: str | None
    mac: str | None
    started_at_s: float
    heard_at_s: float
    has_stop: bool


class Restart(NamedTuple):
    """An Accounting-On or -Off. Without Called-Station-Id it speaks of the whole router (RFC 2866, 4.1)."""

    router: Router
    called_station_id: str
    at_s: float


class Ending(NamedTuple):
    """The end of a session that sent no Stop: what tells so, and until when it may have been connected.

    That it was connected for certain is known until it was last heard.
    """

    evidence: str
    latest_s: float


def find_ending(
    session: Lifetime, others: Iterable[Lifetime], restarts: Iterable[Restart], kept: Ending | None = None
) -> Ending | None:
    """Return the earliest evidence of a session's end, None if nothing tells of one.

    `kept` is what was found before, or said by somebody else: it holds until the session is heard later.
    """
    found = [Ending(Evidence.NAS_RESTART, restart.at_s) for restart in restarts if _is_ended_by(session, restart)]
    for other in others:
        evidence = _told_by(session, other)
        if evidence is not None:
            found.append(Ending(evidence, other.started_at_s))
    if kept is not None and kept.latest_s >= session.heard_at_s:
        found.append(kept)
    return min(found, key=_order, default=None)


def _order(ending: Ending) -> tuple[float, int]:
    return ending.latest_s, _RANK[Evidence(ending.evidence)]


def _is_ended_by(session: Lifetime, restart: Restart) -> bool:
    """Rule R5.2: only of that router, of that Called-Station-Id if one is given, and begun before."""
    return (
        session.started_at_s < restart.at_s
        and session.heard_at_s <= restart.at_s
        and session.router == restart.router
        and restart.called_station_id in ("", session.called_station_id)
    )


def _told_by(session: Lifetime, other: Lifetime) -> Evidence | None:
    """What the beginning of another session says of the end of this one."""
    if other.started_at_s <= session.started_at_s or other.started_at_s < session.heard_at_s:
        return None
    if other.family == session.family:
        # The family is of name and id; ids are a router's own.
        is_same_nas = (other.router.nas_id, other.router.nas_identifier) == (
            session.router.nas_id,
            session.router.nas_identifier,
        )
        if is_same_nas and other.life != session.life:
            return Evidence.ID_REUSED
    return Evidence.REPLACED if is_same_user(session, other) and is_same_place(session, other) else None


def is_same_user(one: Lifetime, other: Lifetime) -> bool:
    """Whether both are of one login, or of one name that is no login's."""
    if one.login_id is None or other.login_id is None:
        return one.login_id is other.login_id and one.user_name == other.user_name
    return one.login_id == other.login_id


def is_same_place(one: Lifetime, other: Lifetime) -> bool:
    """Whether both are of one device, or on one port of one router: then they cannot both live."""
    if one.router == other.router and one.nas_port and one.nas_port == other.nas_port:
        return True  # port 0 is what routers say that do not count them
    if one.mac is not None or other.mac is not None:
        return one.mac == other.mac
    return bool(one.calling_station_id) and one.calling_station_id == other.calling_station_id
