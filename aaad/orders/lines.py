"""Carries out orders about lines: takes what is due, lets `line_course` lead each, writes down what became of it.

Any node takes what is due, with SKIP LOCKED and for a time longer than a turn may take. That a provider is asked is
written before it is sent: whoever takes the order over from a node that died knows that it may happen yet, and reads
before he asks. What must be is found by triggers when contracts and lines change, in the same transaction, and by a
sweep for what changes for many at once (parameters, drivers). The brake (rule R8.4) holds what would block too many.

No secret leaves: answers that are kept have a word for what came of a step, and of what was read a short text.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from aaad import clock
from aaad.db.connection import Database, Row
from aaad.db.jobs import Job, Tally, repeat
from aaad.db.statements import load_statements
from aaad.errors import StoreError
from aaad.log import get_logger
from aaad.metrics import CounterFile
from aaad.orders.line_client import LineClient
from aaad.orders.line_course import (
    LineEnd,
    LineMove,
    LineSaid,
    LineStep,
    LineTask,
    LineWait,
    Told,
    judge,
    next_move,
)
from aaad.orders.line_driver import (
    Driver,
    Fault,
    Line,
    Reply,
    is_accepted,
    reading_of,
    request_to_do,
    request_to_read,
)
from aaad.orders.wish import ENDED_STATES, OPEN_STATES
from aaad.replica.brake import BrakeLimits

_log = get_logger("lines")
SQL = load_statements(Path(__file__).with_name("lines.sql"))

KINDS = ("block_line", "unblock_line")
FAILED = "aaad_orders_failures_total"
JOBS = ("take_lines", "sweep_lines", "count_lines")
BUGS = "aaad_bugs_total"
_FAULTS = {Fault.SILENT: LineSaid.SILENT, Fault.UNSENT: LineSaid.UNSENT, Fault.UNREADABLE: LineSaid.UNREADABLE}
SAID = {
    LineStep.READ: (
        LineSaid.AS_WANTED, LineSaid.AS_BEFORE, LineSaid.NOT_OURS, LineSaid.SILENT, LineSaid.UNSENT,
        LineSaid.UNREADABLE,
    ),
    LineStep.ASK: (LineSaid.DONE, LineSaid.REFUSED, LineSaid.SILENT, LineSaid.UNSENT, LineSaid.UNREADABLE),
}  # fmt: skip


def _step_counter(step: LineStep, said: LineSaid) -> str:
    return f"aaad_orders_steps_total|step={step}|said={said}"


LINE_COUNTERS: tuple[str, ...] = (
    *(_step_counter(step, said) for step, all_said in SAID.items() for said in all_said),
    *(f"aaad_orders_ended_total|kind={kind}|state={state}" for kind in KINDS for state in ENDED_STATES),
    *(f"aaad_open_orders|kind={kind}|state={state}" for kind in KINDS for state in OPEN_STATES),
    *(f"{FAILED}|job={job}" for job in JOBS),
    BUGS,
)


class LineSettings(NamedTuple):
    """How long things are waited for; tests are in more of a hurry."""

    poll_s: float = 1.0  # a notification shortens it
    sweep_s: float = 60.0
    count_s: float = 10.0
    give_up_s: float = 86_400.0
    at_once: int = 16
    at_once_each_kind: int = 4
    stop_s: float = 3.0
    no_driver_s: float = 60.0
    brake: BrakeLimits = BrakeLimits()


class TakenLine(NamedTuple):
    """An order that this node has, with its line and how that is asked."""

    order_id: int
    wish: int
    kind: str
    cause: str
    asked: int
    wanted: str
    age_s: float
    whole_age_s: float
    is_known: bool
    line: Line
    asked_state: str
    asked_ago_s: float | None
    driver: Driver | None


class _Course:
    """What became of an order in one turn."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.answers: list[dict[str, object]] = []
        self.read_state: str | None = None

    @property
    def asked(self) -> Told | None:
        return next((one for one in self.told if one.step is LineStep.ASK), None)


class LineRunner:
    """The orders about lines that one node carries out."""

    def __init__(
        self, database: Database, *, node: str, counters: CounterFile, settings: LineSettings | None = None
    ) -> None:
        """Nothing is opened yet; `counters` have LINE_COUNTERS."""
        self._database = database
        self._node = node
        self._node_id = 0
        self._counters = counters
        self._settings = settings or LineSettings()
        self._client = LineClient()
        self._hint = asyncio.Event()
        self._in_hand: dict[int, asyncio.Task[None]] = {}
        self._turns: dict[str, asyncio.Semaphore] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Carry out orders until told to stop; what is in hand then has a moment to end."""
        settings = self._settings
        try:
            async with asyncio.TaskGroup() as group:
                take, sweep, count = JOBS
                jobs = (
                    Job(take, settings.poll_s, self._take_on(group), 0.0, self._hint),
                    Job(sweep, settings.sweep_s, self._sweep, 0.0),
                    Job(count, settings.count_s, self._count),
                )
                tally = Tally(self._counters, FAILED, BUGS, _log, "lines")
                chores = [group.create_task(repeat(job, stopping, tally)) for job in jobs]
                await self._listen()
                await stopping.wait()
                for chore in chores:
                    chore.cancel()
                if self._in_hand:
                    await asyncio.wait(list(self._in_hand.values()), timeout=settings.stop_s)
                for task in list(self._in_hand.values()):
                    task.cancel()
        finally:
            self._client.close()

    async def _listen(self) -> None:
        try:
            await self._database.listen("aaad_order", self._hint.set)
        except StoreError as error:  # the next connection will listen
            _log.warning("database.away", purpose="lines", error=str(error))

    # --- taking -----------------------------------------------------------------------------------------------------

    def _take_on(self, group: asyncio.TaskGroup) -> Callable[[], Awaitable[bool]]:
        async def take() -> bool:
            if not self._node_id:
                await self._settle_in()
            room = self._settings.at_once - len(self._in_hand)
            if not self._node_id or room <= 0:
                return False
            await self._brake()
            ids = [row["id"] for row in await self._database.fetch(SQL.take_lines, self._node_id, room)]
            if not ids:
                return False
            for row in await self._database.fetch(SQL.find_taken, ids, self._node_id):
                taken = _taken(row)
                self._in_hand[taken.order_id] = group.create_task(self._carry(taken))
            return True

        return take

    async def _settle_in(self) -> None:
        row = await self._database.fetchrow(SQL.find_node, self._node)
        if row is not None:
            await self._database.execute(SQL.release_claims, row["id"])
            self._node_id = row["id"]

    async def _brake(self) -> None:
        """Hold back what would block too many lines in one window (rule R8.4)."""
        limits = self._settings.brake
        row = await self._database.fetchrow(SQL.find_braked, limits.window_s)
        if row is None or row["blocked"] <= limits.allowance(row["lines"]):
            return
        held = await self._database.fetch(SQL.hold_lines)
        if held:
            _log.error("lines.held", run=held[0]["run_id"], orders=len(held), lines=row["lines"],
                       remedy=f"aaad order release {held[0]['run_id']}")  # fmt: skip

    async def _sweep(self) -> bool:
        row = await self._database.fetchrow(SQL.sweep_lines)
        if row is not None and row["moved"]:
            self._hint.set()
        return False

    # --- carrying out -----------------------------------------------------------------------------------------------

    async def _carry(self, taken: TakenLine) -> None:
        """Carry out one order as far as it goes now, and write down what became of it."""
        course = _Course()
        move: LineMove
        try:
            async with asyncio.timeout((taken.driver.timeout_s if taken.driver else 10) * 3 + 8):
                move = await self._lead(taken, course)
        except TimeoutError:
            move = LineWait("waiting", "too_long", 5.0)
        except StoreError:
            move = LineWait("waiting", "database_away", 5.0)
        except Exception:  # noqa: BLE001  nor one in one order
            self._counters.add(BUGS)
            _log.exception("lines.broken", order=taken.order_id)
            move = LineWait("todo", "bug", 60.0)
        try:
            if isinstance(move, LineWait) and taken.whole_age_s > self._settings.give_up_s:
                move = LineEnd("given_up", move.why)
            await self._save(taken, course, move)
        except StoreError as error:  # its claim ends, and somebody will look anew
            _log.warning("lines.not_saved", order=taken.order_id, error=str(error))
        finally:
            self._in_hand.pop(taken.order_id, None)
            self._hint.set()

    async def _lead(self, taken: TakenLine, course: _Course) -> LineMove:
        if not taken.is_known:
            return LineEnd("gone", "line_gone")
        driver = taken.driver
        if driver is None:
            return LineWait("todo", "no_driver", self._settings.no_driver_s)
        task = LineTask(
            wanted=taken.wanted,
            can_read=bool(driver.read_url),
            can_ask=request_to_do(driver, taken.line, taken.wanted) is not None,
            asked=taken.asked,
            asked_state=taken.asked_state,
            asked_ago_s=taken.asked_ago_s,
            settle_s=driver.settle_s,
            age_s=taken.age_s,
            chance=random.random(),  # noqa: S311
        )
        move = next_move(task, course.told)
        turn = self._turns.setdefault(driver.kind, asyncio.Semaphore(self._settings.at_once_each_kind))
        async with turn:
            while isinstance(move, LineStep):
                if move is LineStep.READ:
                    await self._read(taken, driver, course)
                elif not await self._ask(taken, driver, course):
                    return LineWait("waiting", "other_wish", 0.0)
                move = next_move(task, course.told)
        return move

    async def _read(self, taken: TakenLine, driver: Driver, course: _Course) -> None:
        request = request_to_read(driver, taken.line)
        assert request is not None
        line = taken.line
        if course.asked is not None:
            line = line._replace(made=(*line.made, taken.wanted))
        reply = await self._client.ask(driver, request)
        state, text = "", ""
        if isinstance(reply, Reply):
            reading = reading_of(driver, line, reply)
            text = reading.text
            said = LineSaid.UNREADABLE
            if reading.state is not None:
                said, state = judge(taken.wanted, reading.state), str(reading.state)
                course.read_state = state
        else:
            said = _FAULTS[reply]
        self._tell(taken, course, Told(LineStep.READ, said, state), text)

    async def _ask(self, taken: TakenLine, driver: Driver, course: _Course) -> bool:
        """Ask the provider; False: the order is another's, or wants something else by now."""
        request = request_to_do(driver, taken.line, taken.wanted)
        assert request is not None
        if not await self._mark(taken):
            return False
        reply = await self._client.ask(driver, request)
        if isinstance(reply, Reply):
            said = LineSaid.DONE if is_accepted(driver, reply) else LineSaid.REFUSED
            text = f"HTTP {reply.status}"
        else:
            said, text = _FAULTS[reply], ""
        self._tell(taken, course, Told(LineStep.ASK, said), text)
        return True

    async def _mark(self, taken: TakenLine) -> bool:
        """Write that the provider is asked now; False: that is not ours any more."""
        order = (taken.order_id, self._node_id, taken.wish)
        async with self._database.transaction("read_committed") as transaction:
            await transaction.execute(SQL.hold_line, taken.line.line_id)
            if await transaction.fetchrow(SQL.mark_tried, *order) is None:
                return False
            await transaction.execute(SQL.mark_asked, taken.line.line_id, taken.wanted)
        return True

    def _tell(self, taken: TakenLine, course: _Course, told: Told, text: str) -> None:
        course.told.append(told)
        self._counters.add(_step_counter(told.step, told.said))
        row: dict[str, object] = {
            "at": clock.utc_now().isoformat(timespec="milliseconds"),
            "node": self._node,
            "wish": taken.wish,
            "step": str(told.step),
            "said": str(told.said),
        }
        if text:
            row["text"] = text
        course.answers.append(row)

    # --- what became of it ------------------------------------------------------------------------------------------

    async def _save(self, taken: TakenLine, course: _Course, move: LineMove) -> None:
        assert not isinstance(move, LineStep)
        is_over = isinstance(move, LineEnd)
        is_done = is_over and move.state in ("done", "unverified")
        was_made = is_done and (course.asked is not None or taken.asked > 0)
        asked_state = taken.wanted if course.asked is not None else taken.asked_state
        is_settled = (
            is_done
            or (course.read_state is not None and course.read_state == asked_state)
            or (course.asked is not None and course.asked.said is LineSaid.UNSENT)
        )
        async with self._database.transaction("read_committed") as transaction:
            await transaction.execute(
                SQL.save_line,
                taken.line.line_id,
                course.read_state,
                taken.wanted if was_made else None,
                is_settled,
                taken.wanted if is_over and move.state == "unverified" else None,
                taken.order_id,
                self._node_id,
            )
            row = await transaction.fetchrow(
                SQL.save_order,
                taken.order_id,
                self._node_id,
                taken.wish,
                move.state,
                move.why or None,
                move.wait_s if isinstance(move, LineWait) else 0.0,
                json.dumps(course.answers),
                is_over,
            )
        if row is not None and row["is_current"] and is_over:
            self._counters.add(f"aaad_orders_ended_total|kind={row['kind']}|state={row['state']}")
            if row["state"] == "given_up":
                _log.warning("order.given_up", order=taken.order_id, kind=row["kind"], reason=move.why)

    async def _count(self) -> bool:
        """Tell how many are open in the cluster."""
        found = {(row["kind"], row["state"]): row["orders"] for row in await self._database.fetch(SQL.count_open)}
        for kind in KINDS:
            for state in OPEN_STATES:
                self._counters.set(f"aaad_open_orders|kind={kind}|state={state}", found.get((kind, state), 0))
        return False


def _taken(row: Row) -> TakenLine:
    return TakenLine(
        order_id=row["id"],
        wish=row["wish"],
        kind=row["order_kind"],
        cause=row["cause"],
        asked=row["attempts"],
        wanted=row["wanted"],
        age_s=row["age_s"],
        whole_age_s=row["whole_age_s"],
        is_known=row["is_known"],
        line=Line(
            row["line_id"],
            row["contract_id"] or 0,
            row["identifier"] or "",
            tuple(state for state in (row["set_state"], row["asked_state"]) if state),
        ),
        asked_state=row["asked_state"] or "",
        asked_ago_s=row["asked_ago_s"],
        driver=driver_of(row) if row["kind"] is not None else None,
    )


def driver_of(row: Row) -> Driver:
    """Return a driver as its row says."""

    def texts(column: str) -> dict[str, str]:
        return {str(key): str(value) for key, value in json.loads(row[column]).items()}

    statuses: Sequence[int] = row["expected_statuses"]
    return Driver(
        kind=row["kind"],
        method=row["method"],
        url=row["url"],
        headers=texts("headers"),
        secret=row["secret"] or "",
        body=row["body"],
        codes=texts("codes"),
        is_toggle=row["is_toggle"],
        expected_statuses=tuple(statuses),
        expected_pointer=row["expected_pointer"] or "",
        expected_text=row["expected_text"] or "",
        read_method=row["read_method"],
        read_url=row["read_url"] or "",
        read_body=row["read_body"],
        read_pointer=row["read_pointer"] or "",
        meanings=texts("meanings"),
        timeout_s=row["timeout_s"],
        settle_s=row["settle_s"],
        verify_tls=row["verify_tls"],
        ca=row["ca"] or "",
    )
