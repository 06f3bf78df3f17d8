"""Keeps apart devices that push each other out (rule R5.4): finds them, marks their logins, and ends what is over.

What a contest is says `devices.py`; the mark goes by the change feed into every replica, where the decision reads it.
"""

from pathlib import Path
from typing import NamedTuple

from aaad.db.connection import Database, Row
from aaad.db.statements import load_statements
from aaad.sessions.devices import (
    CONTEST_LASTS_S,
    CONTEST_WINDOW_S,
    REPLACEMENTS_MAX,
    Contest,
    Lived,
    find_contest,
)
from aaad.sessions.open_sessions import mac_number

CONTESTS_EVERY_S = 20.0
LOGINS_AT_ONCE = 500
_SESSIONS_MAX = 64  # of one login
_CHORE = "contests"

_SQL = load_statements(Path(__file__).with_name("simultaneous.sql"))
_OF_CHORES = load_statements(Path(__file__).with_name("keeping.sql"))


class Looked(NamedTuple):
    """What came of a look."""

    begun: list[int]  # logins whose devices are kept apart from now on
    held_count: int  # contests that hold now


async def look_at_contests(database: Database) -> Looked:
    """Look at the logins that are busiest now, if it is due and no other node is at it."""
    begun = await _begin_contests(database)
    count = await database.fetchrow(_SQL.count_contests)
    assert count is not None
    return Looked(begun, count["count"])


async def _begin_contests(database: Database) -> list[int]:
    async with database.transaction("read_committed") as transaction:
        if await transaction.fetchrow(_OF_CHORES.claim_chore, _CHORE) is None:
            return []
        await transaction.execute(_SQL.end_contests, LOGINS_AT_ONCE)
        busy = await transaction.fetch(_SQL.find_busy_logins, CONTEST_WINDOW_S, REPLACEMENTS_MAX, LOGINS_AT_ONCE)
        rows = await transaction.fetch(
            _SQL.find_lived, sorted(row["login_id"] for row in busy), CONTEST_WINDOW_S, _SESSIONS_MAX
        )
        found = _contests(rows)
        held = await transaction.fetch(
            _SQL.hold_contests,
            list(found),
            [mac_text(contest.mac) for contest in found.values()],
            [contest.nas_id for contest in found.values()],
            [mac_text(contest.other_mac) for contest in found.values()],
            [contest.replacements for contest in found.values()],
            [contest.last_s for contest in found.values()],
            CONTEST_LASTS_S,
        )
        await transaction.execute(_OF_CHORES.leave_chore, _CHORE, 0, CONTESTS_EVERY_S)
    return [row["login_id"] for row in held if row["is_new"]]


def _contests(rows: list[Row]) -> dict[int, Contest]:
    """Return the contests of logins, in order of their ids."""
    sessions: dict[int, list[Lived]] = {}
    allowed: dict[int, int] = {}
    now_s = 0.0
    for row in rows:
        allowed[row["login_id"]], now_s = row["allowed"], row["now_s"]
        lived = Lived(
            (row["family"].bytes, row["life"]),
            mac_number(row["mac"]),
            row["nas_id"],
            row["started_s"],
            row["ended_s"],
        )
        sessions.setdefault(row["login_id"], []).append(lived)
    found = {login_id: find_contest(sessions[login_id], allowed[login_id], now_s) for login_id in sorted(sessions)}
    return {login_id: contest for login_id, contest in found.items() if contest is not None}


def mac_text(mac: int) -> str:
    """Return a device's address as PostgreSQL reads it."""
    return mac.to_bytes(6, "big").hex(":")
