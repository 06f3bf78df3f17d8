"""Keeps the sessions: the live table small, history in months for as long as it must be, what is silent for too long
closed, what is not needed deleted, caps looked after.

Each job is a bounded statement or a bit of a round, repeated with pauses as long as its work, so that drain and
requests go first; a failure waits for its next time and disturbs no other job. Never waits for a row that somebody
else holds. Carries out rules R5.2 (ends that were overlooked), R5.3 (lost sessions), R5.4 (devices that fight), R5.5
(caps) and R9.2 (retention, legal hold).
"""

import asyncio
from pathlib import Path

from aaad.clock import wall_s
from aaad.db.connection import Database
from aaad.db.jobs import RETRY_S, Job, Tally, run_jobs
from aaad.db.statements import load_statements
from aaad.errors import StoreError
from aaad.log import get_logger
from aaad.metrics import CounterFile
from aaad.policy.parameters import PARAMETERS
from aaad.sessions.caps import look_at_caps
from aaad.sessions.contests import look_at_contests
from aaad.sessions.overlooked import look_at_overlooked

MOVE_AFTER_S = (
    5_400.0  # the drain looks into history for what is older than an hour; the rest is for clocks that differ
)
MOVE_ROWS = 500
MOVE_BLOCKS = 1_000  # 8 MB
MOVE_EVERY_S = 300.0  # a round through the table, which reads all of it
MONTHS_EVERY_S = 3_600.0
MONTHS_AT_ONCE = 12
EXPIRE_EVERY_S = 6 * 3_600.0
# Of the last twelve; a clock that jumped ahead leaves a hole behind it, and what it takes for old is not.
MONTHS_WITH_ENDS_MIN = 10
ENDS_KEPT_S = 3_600.0  # words of ends that no keeper of leases takes; he goes through the ledger besides
GRANTED_KEPT_S = 172_800.0  # as long as drained segments are kept, which may be drained again (rule R6.1)
PURGE_ROWS = 5_000
PURGE_EVERY_S = 60.0
LOST_BLOCKS = 1_000  # 8 MB
LOST_EVERY_S = 600.0
CHORE_POLL_S = 10.0  # whether the next round is due, or another node ended in the midst of this one
MAINTENANCE_TIMEOUT_S = 600.0  # for the connection that makes and drops months: looking for held sessions takes long

MOVED = "aaad_keeping_moved_total"
LOST = "aaad_keeping_lost_total"
OVERLOOKED = "aaad_keeping_overlooked_total"
MADE = "aaad_keeping_months_made_total"
EXPIRED = "aaad_keeping_months_expired_total"
PURGED = "aaad_keeping_purged_total"
CAPS = "aaad_keeping_caps_total"
CONTESTS = "aaad_keeping_contests_total"
CONTESTS_HELD = "aaad_contested_logins"
FAILED = "aaad_keeping_failures_total"
BUGS = "aaad_bugs_total"
OUTCOMES = ("dropped", "reduced", "held", "doubted")  # of a month whose time is over
JOBS = ("months", "move", "expire", "purge", "lost", "overlooked", "caps", "contests")
KEEPING_COUNTERS: tuple[str, ...] = (
    MOVED,
    LOST,
    OVERLOOKED,
    MADE,
    *(f"{EXPIRED}|outcome={outcome}" for outcome in OUTCOMES),
    *(f"{PURGED}|table={table}" for table in ("granted", "nas_restart", "session_end")),
    *(f"{CAPS}|to={state}" for state in ("reached", "free")),
    CONTESTS,
    CONTESTS_HELD,
    *(f"{FAILED}|job={job}" for job in JOBS),
    BUGS,
)

_SQL = load_statements(Path(__file__).parent / "keeping.sql")
_LOST_CHORE = "lost"
_MOVE_CHORE = "move"
_NOT_THIS_PARTITION = "23514"
_HISTORY_DAYS = int(PARAMETERS["history_days"].default)
_LOST_HOURS = int(PARAMETERS["session_lost_hours"].default)
_log = get_logger("keeping")


class Keeping:
    """The jobs, over two doors to PostgreSQL."""

    def __init__(self, database: Database, maintenance: Database, counters: CounterFile) -> None:
        """Nothing is asked before `run`.

        Args:
            database: for what is short and often.
            maintenance: for months, with a longer limit (MAINTENANCE_TIMEOUT_S): nothing else waits for it.
            counters: a file with KEEPING_COUNTERS.
        """
        self._database = database
        self._maintenance = maintenance
        self._counters = counters

    async def run(self, stopping: asyncio.Event) -> None:
        """Keep until told to stop."""
        jobs = (
            Job("months", MONTHS_EVERY_S, self.make_months),
            Job("move", CHORE_POLL_S, self.move_ended),
            Job("expire", EXPIRE_EVERY_S, self.expire_months),
            Job("purge", PURGE_EVERY_S, self.purge),
            Job("lost", CHORE_POLL_S, self.close_lost),
            Job("overlooked", CHORE_POLL_S, self.look_at_overlooked),
            Job("caps", CHORE_POLL_S, self.look_at_caps),
            Job("contests", CHORE_POLL_S, self.look_at_contests),
        )
        await run_jobs(jobs, stopping, Tally(self._counters, FAILED, BUGS, _log, "keeping"), RETRY_S)

    # --- the jobs: each returns whether there is more to do at once -------------------------------------------------

    async def make_months(self) -> bool:
        """Make the partitions of months to come, and of what waits without one."""
        row = await self._maintenance.fetchrow(_SQL.make_history_months, MONTHS_AT_ONCE)
        assert row is not None
        self._counters.add(MADE, row["made"])
        return bool(row["made"] >= MONTHS_AT_ONCE)

    async def move_ended(self) -> bool:
        """Move sessions in the next blocks of the table that ended a while ago into history."""
        try:
            return await self._move_some()
        except StoreError as error:
            if error.sqlstate != _NOT_THIS_PARTITION:
                raise
            return True  # their month was made in between: the next try finds it

    async def _move_some(self) -> bool:
        async with self._database.transaction("read_committed") as transaction:
            claimed = await transaction.fetchrow(_SQL.claim_chore, _MOVE_CHORE)
            if claimed is None:
                return False
            first = int(claimed["cursor"])
            size = await transaction.fetchrow(_SQL.session_blocks)
            assert size is not None
            moved = _count(
                await transaction.execute(_SQL.move_ended, first, first + MOVE_BLOCKS, MOVE_AFTER_S, MOVE_ROWS)
            )
            begins = first if moved == MOVE_ROWS else first + MOVE_BLOCKS
            is_more = begins < int(size["blocks"])
            await transaction.execute(
                _SQL.leave_chore, _MOVE_CHORE, begins if is_more else 0, 0.0 if is_more else MOVE_EVERY_S
            )
        self._counters.add(MOVED, moved)
        return is_more

    async def expire_months(self) -> bool:
        """Drop the months whose time is over, but for what is under a legal hold (rule R9.2)."""
        months = await self._maintenance.fetch(_SQL.expired_months, _HISTORY_DAYS, wall_s())
        if months and not await self._is_time_credible():
            self._counters.add(f"{EXPIRED}|outcome=doubted", len(months))
            return False
        for month in months:
            row = await self._maintenance.fetchrow(_SQL.expire_history_month, month["partition"], month["keep_days"])
            assert row is not None
            if row["outcome"] in OUTCOMES:
                self._counters.add(f"{EXPIRED}|outcome={row['outcome']}")
                _log.info("keeping.month_expired", month=month["partition"], outcome=row["outcome"])
        return False

    async def _is_time_credible(self) -> bool:
        """Tell whether history goes on up to now: what is dropped does not come back when a clock is put right."""
        row = await self._maintenance.fetchrow(_SQL.months_with_ends)
        assert row is not None
        is_credible = bool(row["months"] >= MONTHS_WITH_ENDS_MIN)
        if not is_credible:
            _log.warning("keeping.time_doubted", months_with_ends=row["months"], of=12, kept="all months")
        return is_credible

    async def purge(self) -> bool:
        """Delete grants, restarts and words of ends that nothing asks for any more."""
        granted = _count(await self._database.execute(_SQL.purge_granted, GRANTED_KEPT_S, PURGE_ROWS))
        self._counters.add(f"{PURGED}|table=granted", granted)
        restarts = _count(await self._database.execute(_SQL.purge_restarts, _HISTORY_DAYS))
        self._counters.add(f"{PURGED}|table=nas_restart", restarts)
        ends = _count(await self._database.execute(_SQL.purge_ends, ENDS_KEPT_S, PURGE_ROWS))
        self._counters.add(f"{PURGED}|table=session_end", ends)
        return PURGE_ROWS in (granted, ends)

    async def close_lost(self) -> bool:
        """Close sessions in the next blocks of the table that are silent for too long (rule R5.3)."""
        async with self._database.transaction("read_committed") as transaction:
            claimed = await transaction.fetchrow(_SQL.claim_chore, _LOST_CHORE)
            if claimed is None:
                return False
            first = int(claimed["cursor"])
            size = await transaction.fetchrow(_SQL.session_blocks)
            assert size is not None
            closed = await transaction.fetchrow(_SQL.close_lost, first, first + LOST_BLOCKS, _LOST_HOURS)
            assert closed is not None
            is_more = first + LOST_BLOCKS < int(size["blocks"])
            await transaction.execute(
                _SQL.leave_chore, _LOST_CHORE, first + LOST_BLOCKS if is_more else 0, 0.0 if is_more else LOST_EVERY_S
            )
        self._counters.add(LOST, closed["closed"])
        return is_more

    async def look_at_overlooked(self) -> bool:
        """End sessions in the next blocks of the table of whose end another one tells (rule R5.2)."""
        looked = await look_at_overlooked(self._database)
        self._counters.add(OVERLOOKED, looked.ended)
        return looked.is_more

    async def look_at_caps(self) -> bool:
        """Look at the caps of the next logins."""
        looked = await look_at_caps(self._database)
        self._counters.add(f"{CAPS}|to=reached", looked.reached)
        self._counters.add(f"{CAPS}|to=free", looked.freed)
        return looked.is_more

    async def look_at_contests(self) -> bool:
        """Look for devices that push each other out (rule R5.4)."""
        looked = await look_at_contests(self._database)
        self._counters.set(CONTESTS_HELD, looked.held_count)
        self._counters.add(CONTESTS, len(looked.begun))
        for login_id in looked.begun:
            _log.warning("login.contested", login_id=login_id, what="its devices push each other out")
        return False


def _count(tag: str) -> int:
    """Return how many rows a command tag speaks of: `INSERT 0 3`, `UPDATE 1`."""
    return int(tag.rpartition(" ")[2])
