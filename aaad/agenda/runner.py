"""Runs the agenda on a node: plans every five minutes, if no other node does, and does what is due within a second.

A task is done in the transaction that claims it (FOR UPDATE SKIP LOCKED): it is done once, by whichever node, and a
node that dies in the midst leaves it as it was. What PostgreSQL refuses of a batch is tried one by one, so that one
task's failure is its own; that one is tried again, later each time, and in the end it is `failed`, told, and waits
for an operator.
"""

import asyncio
from collections.abc import Sequence

from aaad.agenda import store
from aaad.agenda.carrying import Disconnector, carry
from aaad.agenda.planning import Planned, plan
from aaad.agenda.store import SQL, Task
from aaad.db.connection import Database
from aaad.db.jobs import RETRY_S, Job, Tally, run_jobs
from aaad.errors import StoreError
from aaad.log import get_logger
from aaad.metrics import CounterFile

STATEMENT_LIMIT_S = 30.0  # a batch writes hundreds of contracts, and all of them are looked at in one question
LOOK_EVERY_S = 1.0
PLAN_POLL_S = 10.0  # whether the next planning is due
BATCH = 500
BATCHES_AT_ONCE = 50
ATTEMPTS_MAX = 6
_RETRY_FIRST_S, _RETRY_FACTOR = 5.0, 4.0

KINDS = (
    *("notice", "reduce", "block", "propose_termination", "unblock", "trust_end", "release_end", "resume"),
    *("prepaid_end", "disconnect", "change_plan", "block_by_hand", "unblock_by_hand", "cancel", "purge"),
)
TASKS = "aaad_agenda_tasks_total"
RETRIED = "aaad_agenda_retries_total"
HELD = "aaad_agenda_held_back_total"
FAILED = "aaad_agenda_failures_total"
BUGS = "aaad_bugs_total"
_OUTCOMES = ("done", "failed", "cancelled")
_JOBS = ("plan", "run")
AGENDA_COUNTERS: tuple[str, ...] = (
    *(f"{TASKS}|kind={kind}|state={state}" for kind in KINDS for state in _OUTCOMES),
    RETRIED,
    HELD,
    *(f"{FAILED}|job={job}" for job in _JOBS),
    BUGS,
)
_log = get_logger("agenda")


class Agenda:
    """The agenda's jobs."""

    def __init__(
        self,
        database: Database,
        counters: CounterFile | None,
        node: str,
        disconnect: Disconnector | None = None,
        planning: Database | None = None,
    ) -> None:
        """Nothing is asked before `run`.

        Args:
            database: for tasks, and for planning without a door of its own.
            counters: a file with AGENDA_COUNTERS; None: nothing is counted.
            node: who did it, in erp.task.
            disconnect: asks for sessions to be ended; without it scheduled disconnects are left to others.
            planning: a long look at all contracts must keep no payment waiting.
        """
        self._database = database
        self._planning = planning or database
        self._counters = counters
        self._node = node
        self._disconnect = disconnect

    async def run(self, stopping: asyncio.Event) -> None:
        """Plan and do until told to stop."""
        assert self._counters is not None
        jobs = (Job("plan", PLAN_POLL_S, self._plan), Job("run", LOOK_EVERY_S, self._run_some))
        await run_jobs(jobs, stopping, Tally(self._counters, FAILED, BUGS, _log, "agenda"), RETRY_S)

    async def plan(self, *, is_asked: bool = False) -> Planned | None:
        """Plan once; None if another node is at it, or it is not time yet."""
        async with self._planning.transaction("read_committed") as transaction:
            planned = await plan(transaction, is_asked=is_asked)
        if planned is not None and planned.held_count:
            self._add(HELD, planned.held_count)
            found = planned.survey
            _log.error("agenda.held", run=planned.run_id, blocks=planned.held_count, recent=found.recent_count,
                       allowance=found.allowance, what="aaad agenda release lets them go")  # fmt: skip
        return planned

    async def run_due(self, batches_max: int = BATCHES_AT_ONCE) -> int:
        """Do what is due; return how many tasks were looked at."""
        looked = 0
        for _ in range(batches_max):
            count = await self._run_batch()
            if not count:
                break
            looked += count
        return looked

    async def _plan(self) -> bool:
        await self.plan()
        return False

    async def _run_some(self) -> bool:
        await self.run_due()
        return False

    async def _run_batch(self, ids: Sequence[int] | None = None) -> int:
        tasks: list[Task] = []
        try:
            async with self._database.transaction("read_committed") as transaction:
                tasks = await store.claim(transaction, BATCH, ids, can_disconnect=self._disconnect is not None)
                if not tasks:
                    return 0
                outcomes = await carry(transaction, tasks, self._disconnect)
                await store.finish(transaction, outcomes, self._node)
        except StoreError as error:
            if error.sqlstate is None or not tasks:  # PostgreSQL is away: nothing was tried
                raise
            await self._failed(tasks, str(error))
        except Exception as error:
            if not tasks:
                raise
            self._add(BUGS)
            _log.exception("agenda.broken", kind=tasks[0].kind, tasks=len(tasks))
            await self._failed(tasks, f"{type(error).__name__}: {error}")
        else:
            claimed = {task.id: task for task in tasks}
            for outcome in outcomes:
                self._tell(claimed[outcome.task_id], outcome.state, outcome.result)
        return len(tasks)

    async def _failed(self, tasks: Sequence[Task], text: str) -> None:
        if len(tasks) > 1:
            for task in tasks:
                await self._run_batch([task.id])
            return
        (task,) = tasks
        wait_s = _RETRY_FIRST_S * _RETRY_FACTOR**task.attempts
        row = await self._database.fetchrow(SQL.fail_task, task.id, text[:500], wait_s, ATTEMPTS_MAX, self._node)
        self._add(RETRIED)
        if row is not None:
            self._tell(task, row["state"], text)

    def _tell(self, task: Task, state: str, result: str) -> None:
        if state in _OUTCOMES:
            self._add(f"{TASKS}|kind={task.kind}|state={state}")
        if state == "failed":
            _log.error("agenda.task_failed", task=task.id, kind=task.kind, contract=task.contract_id, why=result)

    def _add(self, name: str, amount: int = 1) -> None:
        if self._counters is not None:
            self._counters.add(name, amount)
