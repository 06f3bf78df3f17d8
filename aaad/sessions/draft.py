"""A row of net.session that a batch is about to write.

Pure. Instants are compared as they come back from PostgreSQL, which keeps whole microseconds.
"""

from datetime import datetime

import msgspec

from aaad.sessions.fold import FoldedLife
from aaad.sessions.summary import SessionFacts, ended_at, facts, started_at
from aaad.sessions.truth import Ending, Lifetime, Router

Key = tuple[bytes, int]  # family and life
Addresses = tuple[str | None, str | None, str | None]  # IPv4, IPv6 prefix, delegated prefix

NO_ADDRESSES: Addresses = (None, None, None)
_US = 1_000_000
_new_tuple = tuple.__new__


class Owner(msgspec.Struct, frozen=True, gc=False):
    """Whose a session is; None: not known."""

    login_id: int | None
    contract_id: int | None
    client_id: int | None
    plan_id: int | None
    branch_id: int | None
    time_zone: str


class Draft:
    """One session that begins or changes."""

    __slots__ = (
        *(
            "_facts",
            "address_space",
            "ended_at",
            "ending",
            "family",
            "granted",
            "heard_at",
            "is_moved",
            "is_redated",
            "kept",
        ),
        *("life", "login_id", "only_goes_on", "owner", "part", "started_before", "summary", "version"),
    )

    def __init__(self, family: bytes, folded: FoldedLife) -> None:
        """`version` is the row's that was read; 0: it is new."""
        self.family = family
        part = folded.part
        self.life, self.version, self.summary, self.part = folded.life, folded.version, folded.summary, part
        self.only_goes_on = folded.only_goes_on
        self.heard_at = part.heard_at
        self.ended_at = ended_at(part)  # by its own Stop
        self._facts: SessionFacts | None = None
        self.login_id: int | None = None
        self.owner: Owner | None = None  # to be written; None: as it is
        self.address_space = 1
        self.granted = NO_ADDRESSES
        # It began at another instant than was thought: what was concluded from that is void.
        self.started_before = folded.started_before
        self.is_redated = self.version > 0 and started_at(part) != self.started_before
        # It begins, or is not what or where it was: it and others have to be judged.
        self.is_moved = not self.only_goes_on or self.is_redated
        self.kept: Ending | None = None  # what was thought of its end
        self.ending: Ending | None = None  # what is thought of it now

    @property
    def key(self) -> Key:
        """Which row it is."""
        return self.family, self.life

    @property
    def facts(self) -> SessionFacts:
        """All columns that follow from its records."""
        if self._facts is None:
            self._facts = facts(self.part)
        return self._facts

    @property
    def has_ended(self) -> bool:
        """Whether it is written as ended, by its Stop or by evidence."""
        return self.ended_at is not None or self.ending is not None

    @property
    def needs_verdict(self) -> bool:
        """Whether other rows have to be looked at for its own end."""
        if self.ended_at is not None:
            return False
        return self.is_moved or (self.kept is not None and self.kept.latest_s < rounded(self.heard_at))

    @property
    def began_before_s(self) -> float:
        """When it was thought to have begun."""
        return rounded(self.started_before)

    def lifetime(self) -> Lifetime:
        """What counts for its end and for that of others."""
        facts = self.facts
        return Lifetime(
            self.family,
            self.life,
            self.login_id,
            facts.user_name,
            _new_tuple(Router, (facts.nas_id, facts.source_address, facts.nas_identifier)),
            facts.nas_port,
            facts.called_station_id,
            facts.calling_station_id,
            facts.mac,
            rounded(facts.started_at),
            rounded(self.heard_at),
            self.ended_at is not None,
        )


def rounded(at_s: float) -> float:
    """Return an instant as it comes back from PostgreSQL, so that both can be compared."""
    return round(at_s * _US) / _US


def microseconds(at_s: float) -> int:
    """Return an instant as finely as PostgreSQL keeps it."""
    return round(at_s * _US)


def seconds(at: datetime) -> float:
    """Return an instant that PostgreSQL gave as Unix seconds."""
    return at.timestamp()
