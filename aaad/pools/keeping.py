"""Keeps the ledger of addresses true: leases follow their sessions, what is reported is compared, reserves come back.

Each job is a bounded bit, repeated with pauses several times as long, by whichever node holds its chore. None waits
for a row that somebody else holds, and none writes what was changed since it was read: who binds a lease again in the
same instant keeps it. Carries out rules R7.2 (validity, release, rest), R7.3 (pools that adopt), R5.3 (who is silent
keeps his address) and R4.3 (who is blocked, too). Answers nobody, and gives nothing out.
"""

import asyncio
from pathlib import Path

from aaad.clock import wall_s
from aaad.db.connection import Database, Row, Transaction
from aaad.db.jobs import Job, Tally, run_jobs
from aaad.log import get_logger
from aaad.metrics import CounterFile
from aaad.pools.adoption import look_at_adoption
from aaad.pools.chore import SQL, count, next_bit
from aaad.pools.comparing import compare_reports
from aaad.pools.facts import write_ledger_facts
from aaad.pools.reported import Finding
from aaad.pools.retired import RetiredSlots
from aaad.pools.use import count_use, read_facts

ENDS_EVERY_S = 2.0
ENDS_WORDS = 4  # some hundred ends each, as the drain writes them
ENDS_AT_ONCE = 2_000  # some 0.1 s; who ends all that were lost leaves many in one word
ENDS_AGAIN_S = 15.0  # who seems to have a lease still: nodes drain what ended in one instant one after the other
ENDS_LOOKS_MAX = 3  # then it is left to the round through the ledger
CHORE_POLL_S = 10.0  # whether the next round is due, or another node ended in the midst of this one
LEASES_BLOCKS = 250  # 2 MB: some 15,000 leases
LEASES_EVERY_S = 60.0  # half of the shortest validity is 150 s
FREED_ROWS = 500
RESERVES_EVERY_S = 10.0
RESERVES_AT_ONCE = 8
SLOTS_EVERY_S = 600.0
SHOW_EVERY_S = 10.0
CLOCKS_DIFFER_S = 30.0  # of nodes and PostgreSQL: a session may seem to begin before it was offered its address
# An Accept becomes a session within 30 s, or never (rule R10). A node may have answered from its copy just before it
# heard of the release.
REST_MIN_S = 60
FOREIGN_S = 86_400  # how long a mark holds that belongs to no pool

RELEASED = "aaad_pool_keeping_released_total"
EXTENDED = "aaad_pool_keeping_extended_total"
FREED = "aaad_pool_keeping_freed_total"
TAKEN_BACK = "aaad_pool_keeping_taken_back_total"
ADOPTED = "aaad_pool_keeping_adopted_total"
MARKED = "aaad_pool_keeping_marked_total"
FOUND = "aaad_pool_keeping_findings_total"
FAILED = "aaad_pool_keeping_failures_total"
BUGS = "aaad_bugs_total"
JOBS = ("ends", "leases", "reports", "reserves", "slots", "adoption", "use", "show")
POOL_KEEPING_COUNTERS: tuple[str, ...] = (
    RELEASED,
    EXTENDED,
    FREED,
    TAKEN_BACK,
    ADOPTED,
    MARKED,
    *(f"{FOUND}|kind={kind}" for kind in Finding),
    *(f"{FAILED}|job={job}" for job in JOBS),
    BUGS,
)

_Address = tuple[int, str]
_log = get_logger("pools")


class PoolKeeping:
    """The jobs, over two doors to PostgreSQL."""

    def __init__(
        self,
        database: Database,
        counting: Database,
        counters: CounterFile,
        facts_directory: Path,
        retired: RetiredSlots | None = None,
    ) -> None:
        """Nothing is asked before `run`.

        Args:
            database: for what is short and often.
            counting: for counting all leases, with a longer limit: nothing else waits for it.
            counters: a file with POOL_KEEPING_COUNTERS.
            facts_directory: where the file for this node's metrics is kept.
            retired: radius processes that this node has no more.
        """
        self._database = database
        self._counting = counting
        self._counters = counters
        self._facts_directory = facts_directory
        self._retired = retired

    async def run(self, stopping: asyncio.Event) -> None:
        """Keep until told to stop."""
        jobs = (
            Job("ends", ENDS_EVERY_S, self.release_ended),
            Job("leases", CHORE_POLL_S, self.look_at_leases),
            Job("reports", CHORE_POLL_S, self.compare_reports),
            Job("reserves", RESERVES_EVERY_S, self.take_back_reserves),
            Job("slots", SLOTS_EVERY_S, self.give_up_slots),
            Job("adoption", CHORE_POLL_S, self.look_at_adoption),
            Job("use", CHORE_POLL_S, self.count_use),
            Job("show", SHOW_EVERY_S, self.show),
        )
        await run_jobs(jobs, stopping, Tally(self._counters, FAILED, BUGS, _log, "pool_keeping"))

    # --- the jobs: each returns whether there is more to do at once -------------------------------------------------

    async def release_ended(self) -> bool:
        """Release the addresses of sessions that have ended, each looked at once."""
        released: set[_Address] = set()
        async with next_bit(self._database, "lease_ends") as bit:
            if bit is None:
                return False
            words = await bit.transaction.fetch(SQL.take_ends, ENDS_WORDS)
            is_more = len(words) == ENDS_WORDS
            for looks in {word["looks"] for word in words}:
                families = [family for word in words if word["looks"] == looks for family in word["families"]]
                if rest := families[ENDS_AT_ONCE:]:
                    await bit.transaction.execute(SQL.leave_ends, rest, looks, 0.0)
                    is_more = True
                found = await bit.transaction.fetch(SQL.find_ended, families[:ENDS_AT_ONCE], CLOCKS_DIFFER_S)
                released |= await self._release(bit.transaction, [row for row in found if not row["is_used"]])
                again = {row["family"] for row in found if (row["address_space"], row["address"]) not in released}
                if again and looks + 1 < ENDS_LOOKS_MAX:
                    await bit.transaction.execute(SQL.leave_ends, list(again), looks + 1, ENDS_AGAIN_S)
        self._counters.add(RELEASED, len(released))
        return is_more

    async def look_at_leases(self) -> bool:
        """Go on through the ledger: extend what is used, release what nobody has, free marks that nobody reports."""
        async with next_bit(self._database, "leases") as bit:
            if bit is None:
                return False
            first, until = await bit.blocks(SQL.lease_blocks, LEASES_BLOCKS, LEASES_EVERY_S)
            transaction = bit.transaction
            extended = count(await transaction.execute(SQL.extend_leases, first, until))
            released = await self._release(transaction, await transaction.fetch(SQL.find_unused, first, until))
            await transaction.execute(SQL.refresh_foreign, first, until, FOREIGN_S)
            freed = await transaction.fetchrow(SQL.free_foreign, first, until, REST_MIN_S, FREED_ROWS)
            assert freed is not None
        self._counters.add(EXTENDED, extended)
        self._counters.add(RELEASED, len(released))
        self._counters.add(FREED, freed["freed"])
        return bit.is_more

    async def _release(self, transaction: Transaction, found: list[Row]) -> set[_Address]:
        """Release these leases, but for those that were changed since they were read; returns which."""
        if not found:
            return set()
        spaces, addresses, changed = (
            [row[column] for row in found] for column in ("address_space", "address", "changed")
        )
        rows = await transaction.fetch(SQL.release_leases, spaces, addresses, changed, REST_MIN_S)
        return {(row["address_space"], row["address"]) for row in rows}

    async def compare_reports(self) -> bool:
        """Go on through the sessions: what do they report that the ledger does not say?"""
        compared = await compare_reports(self._database)
        self._counters.add(ADOPTED, compared.adopted)
        self._counters.add(MARKED, compared.marked)
        for finding in compared.opened:
            self._counters.add(f"{FOUND}|kind={finding['kind']}")
            _log.warning("pool.finding", **finding)
        for pool_id in compared.adopting:
            _log.warning("pool.adopting", pool_id=pool_id, why="sessions live in it that began before")
        return compared.is_more

    async def take_back_reserves(self) -> bool:
        """Give what is left of abandoned reserves back to their pools."""
        async with next_bit(self._database, "reserves") as bit:
            if bit is None:
                return False
            row = await bit.transaction.fetchrow(SQL.take_back_reserves, RESERVES_AT_ONCE)
            assert row is not None
        self._counters.add(TAKEN_BACK, row["units"])
        return bool(row["reserves"] == RESERVES_AT_ONCE)

    async def give_up_slots(self) -> bool:
        """Give up what processes of this node set aside that it has no more."""
        reserves = 0 if self._retired is None else await self._retired.give_up()
        if reserves:
            _log.info("pool.slots_given_up", reserves=reserves)
        return False

    async def look_at_adoption(self) -> bool:
        """Begin and end the adoption of pools (rule R7.3)."""
        looked = await look_at_adoption(self._database)
        if looked.begun:
            _log.warning("pool.adopting", pool_ids=looked.begun, why="PostgreSQL may have lost what it had promised")
        if looked.ended:
            _log.info("pool.adopted", pool_ids=looked.ended, why="every concentrator was heard")
        return False

    async def count_use(self) -> bool:
        """Count how pools are used, and look ahead."""
        for pool in await count_use(self._counting):
            _log.warning("pool.nearly_full", **pool)
        return False

    async def show(self) -> bool:
        """Write down for this node's metrics what is known of pools."""
        facts = await read_facts(self._database, wall_s())
        await asyncio.to_thread(write_ledger_facts, self._facts_directory, facts)
        return False
