"""Looks at sessions that go on, with this node's replica: what is wanted of each, by the facts that it shows.

Reads the replica within one transaction for each handful of sessions and never waits in it. Speaks to no database.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from aaad.errors import ReplicaError
from aaad.log import get_logger
from aaad.orders.desired import NOTHING, Forms, Judge, Judgement, LiveSession, Occasion
from aaad.policy.facts import LoginFacts
from aaad.radius.rulebook import Rulebook
from aaad.replica.layout import ReplicaMeta
from aaad.replica.record import NasRow, Tables, decode

_log = get_logger("orders")


class Replica(Protocol):
    """What is asked of the replica: `ReplicaReader`."""

    @property
    def complete(self) -> bool:
        """Whether there is a complete one."""

    @property
    def tables_mark(self) -> tuple[str, int]:
        """Which small tables `begin` has seen."""

    def begin(self) -> bool:
        """Begin a snapshot."""

    def end(self) -> None:
        """End it."""

    def login(self, key: bytes) -> bytes | None:
        """Return the record of a folded name."""

    def name_of(self, login_id: int) -> bytes | None:
        """Return the folded name that a login is served under."""

    def tables(self) -> Tables:
        """Return the small tables."""

    def meta(self) -> ReplicaMeta:
        """Return what the replica is a copy of."""


class Position(NamedTuple):
    """Up to where the replica shows changes."""

    snapshot: str
    origin: str  # of which cluster and timeline

    @property
    def end(self) -> int:
        """The first transaction that it knows nothing of."""
        return int(self.snapshot.split(":")[1])


class Looking:
    """Sessions are looked at by what the replica shows now."""

    def __init__(self, replica: Replica, utc_offset_s: Callable[[str, float], int]) -> None:
        """Nothing is opened yet. `utc_offset_s` tells a zone's offset at an instant."""
        self._replica = replica
        self._rules = Rulebook(utc_offset_s)
        self._judge = Judge(self._rules)
        self._nases: dict[int, NasRow] = {}
        self._tables_mark: tuple[str, int] | None = None
        self._is_telling = True
        self.broken_count = 0  # sessions of the last look that could not be looked at by an error of ours

    def position(self) -> Position | None:
        """Return up to where changes are shown; None: there is no complete replica."""
        try:
            self._replica.begin()
            if not self._replica.complete:
                return None
            meta = self._replica.meta()
        finally:
            self._replica.end()
        return Position(meta.snapshot, f"{meta.system_identifier}/{meta.timeline}")

    def look(self, sessions: Sequence[LiveSession], forms: Forms, at: Occasion) -> list[Judgement]:
        """Return what is wanted of each; ReplicaError if there is no replica."""
        replica = self._replica
        try:
            replica.begin()
            if not replica.complete:
                raise ReplicaError("there is no complete replica")
            if replica.tables_mark != self._tables_mark:
                tables = replica.tables()
                self._rules.load(tables, at.now_s)
                self._nases = {row.nas_id: row for row in tables.nases}
                self._tables_mark = replica.tables_mark
            self._rules.keep_time(at.now_s)
            self.broken_count = 0
            judgements = [self._look(session, forms, at) for session in sessions]
            self._is_telling |= not self.broken_count
            return judgements
        finally:
            replica.end()

    def _look(self, session: LiveSession, forms: Forms, at: Occasion) -> Judgement:
        name = self._replica.name_of(session.login_id)
        record = self._replica.login(name) if name else None
        login: LoginFacts | None = None
        if record is not None:
            try:
                login = decode(record)
            except ReplicaError:
                return NOTHING
            if login.login_id != session.login_id:
                return NOTHING
        try:
            return self._judge.judge(session, login, self._nases.get(session.nas_id), forms, at)
        except Exception:  # noqa: BLE001  our bug with one session cuts nobody, and keeps no other one waiting
            self.broken_count += 1
            if self._is_telling:  # once: each sweep meets it again
                self._is_telling = False
                _log.exception("orders.broken", login_id=session.login_id)
            return NOTHING
