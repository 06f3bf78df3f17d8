"""Finds in PostgreSQL what tells of sessions' ends without a Stop, for a batch of sessions that begin or change.

What it tells is decided in `truth.py`. A session that only goes on needs none of this: what ended it before it was
heard would have been found then, and what comes later finds it.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from aaad.db.connection import Row, Transaction
from aaad.db.statements import load_statements
from aaad.sessions.arrays import array, keys, texts
from aaad.sessions.draft import Draft, Key, seconds
from aaad.sessions.truth import Ending, Lifetime, Restart, Router, find_ending

_SQL = load_statements(Path(__file__).with_name("sessions.sql"))
# How many sessions of one login on one device, or on one port, are looked at that began before a session did, and
# after it was heard. All were too many: they stay for an hour and a half, and who comes and goes has hundreds then.
NEIGHBOURS_MAX = 3

_STOP = "stop"
_Look = tuple[Lifetime, float]  # for those that had to do with a session, and with its beginning at that instant


class Rival(NamedTuple):
    """A session outside of the batch that may have to do with one in it."""

    lifetime: Lifetime
    version: int
    kept: Ending | None


class Verdict(NamedTuple):
    """What is thought now of the end of a session outside of the batch; None: that it lives."""

    family: bytes
    life: int
    version: int
    ending: Ending | None


class Judge:
    """Decides about the ends of one batch's sessions, and of those that they tell something of.

    `families` are those that have several lives, `gone` lives that became part of others, `undone` instants at which
    sessions were thought to have begun that did not begin then: what was thought of others because of that is void.
    """

    def __init__(
        self,
        transaction: Transaction,
        new: Sequence[Draft] = (),
        known: Sequence[Draft] = (),
        *,
        families: Sequence[bytes] = (),
        gone: Collection[Key] = (),
        undone: Collection[float] = (),
    ) -> None:
        """Nothing is read or decided yet."""
        self._transaction = transaction
        self._new = new
        self._known = known
        self._families = families
        self._gone = gone
        self._undone = undone
        self._drafts: dict[Key, Draft] | None = None
        self._rivals: dict[Key, Rival] = {}
        self._lifetimes: dict[Key, Lifetime] = {}  # of drafts that are judged
        self._past: list[Lifetime] = []  # of lives that are gone

    async def judge(self) -> list[Verdict]:
        """Set each draft's ending, and return what changes for sessions outside of the batch."""
        subjects = list(self._new)
        for draft in self._known:
            if draft.ended_at is None:
                draft.ending = draft.kept
            if draft.is_moved or (draft.kept is not None and (draft.needs_verdict or self._is_void(draft.kept))):
                subjects.append(draft)
        if not subjects:
            return []
        self._lifetimes = {draft.key: draft.lifetime() for draft in subjects}
        redated = [(self._lifetimes[draft.key], draft.began_before_s) for draft in subjects if draft.is_redated]
        await self._find([*_looks(self._lifetimes.values()), *redated], self._families)
        if self._past:  # where they were others may have ended because of them
            await self._find(_looks(self._past), ())
        if self._undone:
            await self._find_undone([*(lifetime for lifetime, _ in redated), *self._past])
        doubtful = {key: rival for key, rival in self._rivals.items() if self._is_void(rival.kept)}
        if doubtful:
            await self._find(_looks(rival.lifetime for rival in doubtful.values()), ())
        restarts = _by_router(
            await self._find_restarts([*self._lifetimes.values(), *(rival.lifetime for rival in doubtful.values())])
        )
        by_user = _by_user([*self._lifetimes.values(), *(rival.lifetime for rival in self._rivals.values())])
        for draft in subjects if self._drafts is None else [self._drafts[key] for key in self._lifetimes]:
            lifetime = self._lifetimes[draft.key]
            others = by_user[_user(lifetime)]
            if not lifetime.has_stop and (restarts or len(others) > 1 or draft.kept is not None):
                kept = None if self._is_void(draft.kept) else draft.kept
                draft.ending = find_ending(lifetime, others, restarts.get(lifetime.router, ()), kept)
        return [
            verdict
            for key, rival in self._rivals.items()
            if (verdict := self._verdict(rival, by_user, restarts if key in doubtful else {})) is not None
        ]

    async def judge_again(self) -> list[Verdict]:
        """Return what changes for sessions of the given families, none of which is in a batch, and their rivals."""
        rows = await self._transaction.fetch(_SQL.find_lives, keys(self._families))
        own = {(row[0], row[1]): _rival(row) for row in rows}
        if not own:
            return []
        self._rivals |= own
        await self._find(_looks(rival.lifetime for rival in own.values()), ())
        restarts = _by_router(await self._find_restarts([rival.lifetime for rival in own.values()]))
        by_user = _by_user([rival.lifetime for rival in self._rivals.values()])
        return [
            verdict
            for key, rival in self._rivals.items()
            if (verdict := self._verdict(rival, by_user, restarts if key in own else {})) is not None
        ]

    def _draft(self, key: Key) -> Draft | None:
        if self._drafts is None:
            self._drafts = {draft.key: draft for draft in (*self._new, *self._known)}
        return self._drafts.get(key)

    def _verdict(
        self, rival: Rival, by_user: dict[object, list[Lifetime]], restarts: dict[Router, list[Restart]]
    ) -> Verdict | None:
        lifetime = rival.lifetime
        if lifetime.has_stop:
            return None
        kept = None if self._is_void(rival.kept) else rival.kept
        ending = find_ending(lifetime, by_user[_user(lifetime)], restarts.get(lifetime.router, ()), kept)
        return Verdict(lifetime.family, lifetime.life, rival.version, ending) if ending != rival.kept else None

    def _is_void(self, kept: Ending | None) -> bool:
        return kept is not None and kept.latest_s in self._undone

    async def _find(self, looks: Sequence[_Look], families: Sequence[bytes]) -> None:
        lifetimes = [lifetime for lifetime, _ in looks]
        # Only who has neither login nor device is looked for by what he calls himself.
        rows = await self._transaction.fetch(
            _SQL.find_rivals,
            array([each.login_id for each in lifetimes]),
            texts([each.user_name if each.login_id is None else None for each in lifetimes]),
            array([each.mac for each in lifetimes]),
            texts([each.calling_station_id if each.mac is None else None for each in lifetimes]),
            array([each.router.nas_id for each in lifetimes]),
            array([each.nas_port or None for each in lifetimes]),
            array([each.heard_at_s for each in lifetimes]),
            array([began_s for _, began_s in looks]),
            NEIGHBOURS_MAX,
        )
        of_families = await self._transaction.fetch(_SQL.find_lives, keys(families)) if families else []
        self._note([*rows, *of_families])
        self._past += [_rival(row).lifetime for row in of_families if (row[0], row[1]) in self._gone]

    async def _find_undone(self, lifetimes: Sequence[Lifetime]) -> None:
        """Find who is thought to have ended when one of these began that did not begin then."""
        rows = await self._transaction.fetch(
            _SQL.find_undone,
            array([each.login_id for each in lifetimes]),
            texts([each.user_name if each.login_id is None else None for each in lifetimes]),
            array([each.router.nas_id for each in lifetimes]),
            array([each.nas_port or None for each in lifetimes]),
            sorted(self._undone),
        )
        self._note(rows)

    def _note(self, rows: Iterable[Row]) -> None:
        """Take these sessions into account: drafts of the batch as they will be, others as they are."""
        for row in rows:
            key = (row[0], row[1])
            draft = self._draft(key)
            if draft is not None:
                if key not in self._lifetimes:
                    self._lifetimes[key] = draft.lifetime()
            elif key not in self._gone:
                self._rivals[key] = _rival(row)

    async def _find_restarts(self, lifetimes: Iterable[Lifetime]) -> list[Restart]:
        open_ones = [each for each in lifetimes if not each.has_stop]
        if not open_ones:
            return []
        nas_ids = {each.router.nas_id for each in open_ones}
        since_s = min(each.heard_at_s for each in open_ones)
        rows = await self._transaction.fetch(_SQL.find_restarts, sorted(nas_ids), since_s)
        return [Restart(Router(row[0], row[1], row[2]), row[3], seconds(row[4])) for row in rows]


def _looks(lifetimes: Iterable[Lifetime]) -> list[_Look]:
    return [(lifetime, lifetime.started_at_s) for lifetime in lifetimes]


def _user(lifetime: Lifetime) -> object:
    return lifetime.user_name if lifetime.login_id is None else lifetime.login_id


def _by_router(restarts: Iterable[Restart]) -> dict[Router, list[Restart]]:
    routers: dict[Router, list[Restart]] = {}
    for restart in restarts:
        routers.setdefault(restart.router, []).append(restart)
    return routers


def _by_user(lifetimes: Iterable[Lifetime]) -> dict[object, list[Lifetime]]:
    users: dict[object, list[Lifetime]] = {}
    for lifetime in lifetimes:
        users.setdefault(_user(lifetime), []).append(lifetime)
    return users


def _rival(row: Row) -> Rival:
    lifetime = Lifetime(
        row[0],
        row[1],
        row[3],
        row[4],
        Router(row[5], row[6], row[7]),
        row[8],
        row[9],
        row[10],
        row[11],
        seconds(row[12]),
        seconds(row[13]),
        row[15] == _STOP,
    )
    kept = Ending(row[15], seconds(row[14])) if row[15] not in (None, _STOP) else None
    return Rival(lifetime, row[2], kept)
