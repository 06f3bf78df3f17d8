"""Carries out orders about sessions: takes what is due, lets the cascade lead each, writes down what became of it.

Any node takes what its routers take from it (rule R2.6), with SKIP LOCKED and for a time; what a node had that was
killed is taken over, and done again without effect, since an order names its session and each step looks first. At
each concentrator a few at a time and so many a second; one that is down has its orders wait behind one probe
(`pace`). What becomes of an order is written together with others; lost in between, it is found out anew.

Bounded: orders in hand, of each concentrator and in all; the time of one; what is kept of concentrators.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

from aaad import clock
from aaad.db.connection import Database
from aaad.db.jobs import Job, Tally, repeat
from aaad.errors import StoreError
from aaad.log import get_logger
from aaad.metrics import CounterFile
from aaad.mikrotik.connection import Limits as ApiLimits
from aaad.orders import counted
from aaad.orders.carrying import CLAIM_S, Carrying, Concentrator, Result, Room, Taken, note_of
from aaad.orders.cascade import (
    CUTS,
    Do,
    End,
    Kind,
    Move,
    Said,
    State,
    Step,
    Task,
    Told,
    Wait,
    is_silent,
    next_move,
    while_waiting,
)
from aaad.orders.cutting import CutBrake, TurnBackError, turn_back_if_newer
from aaad.orders.facts import ConcentratorFacts, write_facts
from aaad.orders.judge import Subject
from aaad.orders.outcomes import Outcomes
from aaad.orders.pace import Limits, Pace, backoff_s
from aaad.orders.readback import CYCLE_S, ReadBack
from aaad.orders.steps import API_LIMITS, Answer, Steps, Target
from aaad.orders.tidying import AGAIN_S, Tidying
from aaad.orders.wish import OPEN_STATES, ClaimedOrder
from aaad.radius.dynauth import SessionName, session_attributes
from aaad.radius.dynauth_client import TRIES_S, DynauthClient
from aaad.replica.brake import BrakeLimits

_log = get_logger("orders")
_TAKEN_AT_ONCE = 1_000
_TURNED_BACK_S = 1.0
_LONG_AGO_S = 0.5  # a customer who paid meanwhile would be cut


class Settings(NamedTuple):
    """How long things are waited for; tests are in more of a hurry."""

    poll_s: float = 0.5  # a notification shortens it
    look_after_s: float = 2.0
    count_s: float = 10.0
    tidy_s: float = 5.0  # entries of sessions that are over are taken out of routers' lists
    tidy_again_s: float = AGAIN_S
    give_up_s: float = 86_400.0
    carry_s: float = 25.0  # of one order at a time; less than the claim
    claim_s: float = CLAIM_S
    in_hand_max: int = 3_000
    cycle_s: float = CYCLE_S
    known_s: float = 10.0  # what a NAS entry says is read again then
    shut_s: float = 60.0  # a router that is alive and silent to CoA is asked by its API for so long
    waiting_s: float = 900.0  # for accounting to say whether a session lives
    not_applied_s: float = 0.3
    stop_s: float = 3.0
    tries_s: tuple[float, ...] = TRIES_S
    limits: Limits = Limits()
    brake: BrakeLimits = BrakeLimits()
    api_limits: ApiLimits = API_LIMITS


class OrderRunner:
    """The orders that one node carries out."""

    def __init__(
        self,
        database: Database,
        client: DynauthClient,
        *,
        node: str,
        counters: CounterFile,
        settings: Settings | None = None,
        facts_path: Path | None = None,
    ) -> None:
        """Nothing is opened yet; `counters` have ORDER_COUNTERS. `facts_path`: where concentrators are told of."""
        self._facts_path = facts_path
        self._failures: dict[int, Counter[str]] = {}
        self._database = database
        self._carrying = Carrying(database)
        self._client = client
        self._node = node
        self._node_id = 0
        self._counters = counters
        self._settings = settings or Settings()
        self._paces: dict[int, Pace] = {}
        self._concentrators: dict[int, tuple[Concentrator, float]] = {}
        self._turns: dict[tuple[int, bool], asyncio.Semaphore] = {}
        self._shut_until_s: dict[int, float] = {}
        self._outcomes = Outcomes(self._carrying, counters)
        self._brake = CutBrake(self._carrying, (settings or Settings()).brake)
        self._hint = asyncio.Event()
        self._to_save = asyncio.Event()
        self._in_hand: dict[int, asyncio.Task[None]] = {}
        self._is_more = False  # more was due than there was room for
        self._has_lost_some = False  # claimed, perhaps, without our knowing which

    async def run(self, stopping: asyncio.Event) -> None:
        """Carry out orders until told to stop; what is in hand then has a moment to end."""
        waits = self._settings
        try:
            async with asyncio.TaskGroup() as group:
                readback = ReadBack(group, self._counters, counted.READS, _log, cycle_s=waits.cycle_s)
                self._steps = Steps(self._client, readback, tries_s=waits.tries_s, limits=waits.api_limits)
                jobs = (
                    Job("take", waits.poll_s, self._take_on(group), 0.0, self._hint),
                    Job("look_after", waits.look_after_s, self._look_after),
                    Job("tidy", waits.tidy_s, Tidying(self._carrying, self._steps, again_s=waits.tidy_again_s).tidy),
                    Job("count", waits.count_s, self._count),
                )
                tally = Tally(self._counters, counted.FAILED, counted.BUGS, _log, "orders")
                saving = group.create_task(repeat(Job("save", 0.0, self._save, 0.0), asyncio.Event(), tally))
                chores = [group.create_task(repeat(job, stopping, tally)) for job in jobs]
                await self._listen()
                await stopping.wait()
                self._hint.set()
                await self._finish(chores)
                saving.cancel()
        finally:
            await self._steps.close()
            self._client.close()

    async def _listen(self) -> None:
        try:
            await self._database.listen("aaad_order", self._hint.set)
        except StoreError as error:  # the next connection will listen
            _log.warning("database.away", purpose="orders", error=str(error))

    async def _finish(self, chores: Sequence["asyncio.Task[None]"]) -> None:
        """Let what is in hand end, save it, and leave the rest to whoever comes."""
        for task in chores:
            task.cancel()
        if self._in_hand:
            await asyncio.wait(list(self._in_hand.values()), timeout=self._settings.stop_s)
        for task in list(self._in_hand.values()):
            task.cancel()
        try:
            while self._outcomes.waiting:
                await self._save_some()
            if self._node_id:
                await self._carrying.release_claims(self._node_id)
        except StoreError as error:
            _log.warning("orders.not_released", error=str(error))

    # --- taking -----------------------------------------------------------------------------------------------------

    def _take_on(self, group: asyncio.TaskGroup) -> Callable[[], Awaitable[bool]]:
        async def take() -> bool:
            if not self._node_id:
                await self._settle_in()
            room = self._settings.in_hand_max - len(self._in_hand) - len(self._outcomes.waiting)
            if not self._node_id or room <= 0:
                return False
            if self._has_lost_some:
                known = {*self._in_hand, *(result.order.order_id for result in self._outcomes.waiting)}
                await self._carrying.release_claims(self._node_id, known)
            self._has_lost_some = True  # until what is taken is in hand: PostgreSQL may die with the answer
            rooms, room_each = self._rooms()
            taken = await self._carrying.take(
                self._node_id,
                rooms,
                room=room_each,
                count=min(room, _TAKEN_AT_ONCE),
                for_s=self._settings.claim_s,
            )
            await self._learn({one.order.nas_id for one in taken})
            self._is_more = _is_full(taken, rooms, room_each)
            for one in taken:
                self._counters.add(counted.TAKEN)
                pace = self._pace(one.order.nas_id)
                pace.take(is_lists=one.order.kind == "lists")
                self._in_hand[one.order.order_id] = group.create_task(self._carry(one, pace, is_probe=pace.is_down))
            self._has_lost_some = False
            return bool(taken)

        return take

    def _rooms(self) -> tuple[dict[int, Room], Room]:
        """Return for how many there is room, at each concentrator known and at any other one.

        Half of all is kept free of orders that only write lists: of these there may be thousands at all routers.
        """
        now_s, limits = clock.monotonic_s(), self._settings.limits
        lists_in_hand = sum(pace.lists_in_hand for pace in self._paces.values())
        may_list = lists_in_hand < self._settings.in_hand_max // 2
        rooms = {
            nas_id: Room(pace.room(now_s), pace.lists_room(now_s) if may_list else 0)
            for nas_id, pace in self._paces.items()
        }
        return rooms, Room(limits.in_hand, limits.lists_in_hand if may_list else 0)

    async def _settle_in(self) -> None:
        """Learn our number; what this node had when it was killed is free at once."""
        node_id = await self._carrying.node_id(self._node)
        if node_id is not None:
            released = await self._carrying.release_claims(node_id)
            self._node_id = node_id
            if released:
                _log.info("orders.taken_up_again", orders=released)

    async def _learn(self, nas_ids: set[int]) -> None:
        """Read what NAS entries say, unless it was read a moment ago."""
        now_s = clock.monotonic_s()
        known = {nas_id for nas_id in nas_ids if nas_id in self._concentrators}
        fresh = {nas_id for nas_id in known if now_s - self._concentrators[nas_id][1] < self._settings.known_s}
        if nas_ids - fresh:
            for nas_id, found in (await self._carrying.concentrators(nas_ids - fresh)).items():
                self._concentrators[nas_id] = (found, now_s)

    def _pace(self, nas_id: int) -> Pace:
        return self._paces.setdefault(nas_id, Pace(self._settings.limits))

    # --- carrying out -----------------------------------------------------------------------------------------------

    async def _carry(self, taken: Taken, pace: Pace, *, is_probe: bool) -> None:
        """Carry out one order as far as it goes now."""
        begun_s = clock.monotonic_s()
        answers: list[Answer] = []
        move: Move
        try:
            async with asyncio.timeout(self._settings.carry_s):
                move = await self._cascade(taken, pace, answers, is_probe=is_probe)
        except TurnBackError:
            move = Wait(State.DUE, "silent", is_failure=False)
        except TimeoutError:
            move = Wait(State.DUE, "too_long")
        except StoreError:  # the brake could not be asked
            move = Wait(State.DUE, "brake_unasked")
        except Exception:  # noqa: BLE001  nor one in one order
            self._counters.add(counted.BUGS)
            _log.exception("orders.broken", order=taken.order.order_id)
            move = Wait(State.DUE, "bug")
        finally:
            pace.leave(is_lists=taken.order.kind == "lists")
            self._in_hand.pop(taken.order.order_id, None)
        self._outcomes.add(self._result(taken, move, answers, pace, begun_s))
        self._to_save.set()

    async def _cascade(self, taken: Taken, pace: Pace, answers: list[Answer], *, is_probe: bool) -> Move:
        found = self._concentrators.get(taken.order.nas_id)
        if found is None or taken.ground.session_state == "closed":
            return Wait(State.DUE, "session_over", is_failure=False)  # whoever looks after orders will end it
        target = _target(taken, found[0])
        task = self._task(taken, found[0], target)
        begun_s = clock.monotonic_s()
        told: list[Told] = []
        move = while_waiting(task) if taken.order.state == "waiting" else None
        if move is None:
            move = next_move(task, told)
        while isinstance(move, Do):
            if move.step in CUTS and not await self._brake.may_cut(taken.order, self._node_id):
                return Wait(State.HELD, "held_back", is_failure=False)
            is_meant = is_probe or bool(told)  # others turn back, if the router falls silent before it is their turn
            answer = await self._step(move.step, target, taken.order, pace, is_meant=is_meant)
            answers.append(answer)
            told.append(Told(answer.step, answer.said))
            self._note(told, pace, taken.order.nas_id, begun_s)
            move = next_move(task, told)
        return move

    async def _step(self, step: Step, target: Target, order: ClaimedOrder, pace: Pace, *, is_meant: bool) -> Answer:
        """Carry out a step when it is its turn at its concentrator; reading waits for nobody."""
        newest_only, meant_s = partial(turn_back_if_newer, self._carrying, self._node_id, order), clock.monotonic_s()
        if step is Step.READ:
            answer = await self._steps.act(step, target, newest_only)
        else:
            async with self._turn(order.nas_id, is_lists=step is Step.LISTS):
                await asyncio.sleep(pace.wait_s(clock.monotonic_s()))
                if pace.is_closed(clock.monotonic_s()) and not is_meant:
                    raise TurnBackError
                if step in CUTS and clock.monotonic_s() - meant_s > _LONG_AGO_S:
                    await newest_only()
                answer = await self._steps.act(step, target, newest_only)
        answer = answer._replace(at=clock.utc_now().isoformat(timespec="milliseconds"))
        self._counters.add(counted.answered(step, answer.said))
        return answer

    def _turn(self, nas_id: int, *, is_lists: bool) -> asyncio.Semaphore:
        """Return what bounds how many steps go on at a concentrator: a slow API keeps no CoA waiting."""
        limits = self._settings.limits
        at_once = limits.lists_at_once if is_lists else limits.at_once
        return self._turns.setdefault((nas_id, is_lists), asyncio.Semaphore(at_once))

    def _note(self, told: Sequence[Told], pace: Pace, nas_id: int, begun_s: float) -> None:
        """Take note whether the concentrator lives, and whether it is deaf to RADIUS only."""
        if told[-1].said in (Said.REFUSED, Said.SILENT, Said.REJECTED):
            self._failures.setdefault(nas_id, Counter())[told[-1].said] += 1
        if told[-1].said in (Said.SILENT, Said.REJECTED) and told[-1].step is not Step.LISTS:
            pace.suspect(begun_s, clock.monotonic_s())
        if told[-1].said in (Said.SILENT, Said.REJECTED, Said.UNSENT, Said.UNREADABLE):
            return
        now_s = clock.monotonic_s()
        if pace.answered(now_s):
            _log.info("concentrator.answers", nas_id=nas_id)
            self._hint.set()
        if told[-1].step in (Step.COA, Step.DISCONNECT):
            self._shut_until_s.pop(nas_id, None)
        elif any(
            one.step in (Step.COA, Step.DISCONNECT) and one.said in (Said.SILENT, Said.REJECTED) for one in told
        ):
            self._shut_until_s[nas_id] = now_s + self._settings.shut_s
        if told[-1].said is Said.AS_BEFORE and len(told) > 1 and told[-2].said is Said.DONE:
            self._counters.add(counted.NO_EFFECT)
            self._failures.setdefault(nas_id, Counter())["no_effect"] += 1

    def _task(self, taken: Taken, nas: Concentrator, target: Target) -> Task:
        order, ground = taken.order, taken.ground
        has_own_address = not ground.is_shared
        has_api = target.api is not None and (has_own_address or nas.has_api_address)
        has_way = bool(ground.local_address) and (has_own_address or bool(nas.coa_address))
        is_shut = clock.monotonic_s() < self._shut_until_s.get(order.nas_id, 0.0)
        kind = Kind(order.kind)
        if is_shut and has_api and (kind is Kind.DISCONNECT or order.is_ppp):
            has_way = False
        done = any(
            answer.get("said") == Said.DONE and answer.get("step") in (Step.COA, Step.DISCONNECT)
            for answer in taken.answers
        )
        return Task(
            kind=kind,
            is_ppp=order.is_ppp,
            can_change=kind is Kind.CHANGE,
            can_name=bool(target.names),
            has_way=has_way,
            is_behind_nat=ground.is_shared and not has_way and not has_api,
            is_one_of_many=ground.is_shared,
            has_api=has_api,
            is_certain=order.is_certain,
            is_known=ground.is_known,
            is_repeated=taken.is_stale or bool(taken.answers),
            is_heard_since=ground.is_heard_since,
            has_waited=ground.has_waited,
            was_done=done,
            is_silent=ground.session_state == "suspended",
            has_lists=target.subject.has_lists,
        )

    # --- what became of it ------------------------------------------------------------------------------------------

    def _result(self, taken: Taken, move: Move, answers: Sequence[Answer], pace: Pace, begun_s: float) -> Result:
        order = taken.order
        said = [self._answer_row(answer, order.wish) for answer in answers]
        tried = int(any(answer.said is not Said.UNSENT for answer in answers))
        has_entries = taken.had_entries or any(answer.step is Step.LISTS for answer in answers)
        if isinstance(move, End):
            is_true = order.fingerprint if order.kind != "disconnect" and not move.is_session_over else None
            return Result(
                order,
                move.state,
                move.why,
                answers=said,
                tried=tried,
                fingerprint=is_true if move.state in (State.DONE, State.UNVERIFIED) else None,
                evidence="read" if move.is_proven else "acked",
                is_session_over=move.is_session_over and (move.state is not State.DONE or move.why == "silent_since"),
                has_entries=has_entries,
            )
        assert isinstance(move, Wait)
        told = [Told(answer.step, answer.said) for answer in answers]
        # An API that is silent to lists tells nothing of the way by which all else goes, unless that is silent, too.
        is_told = order.kind != "lists" or pace.is_down
        is_down = is_told and is_silent(told) and self._went_silent(order.nas_id, pace, begun_s)
        is_down = is_down or (pace.is_down and not move.is_failure and move.why == "silent")
        return Result(
            order,
            move.state,
            move.why,
            wait_s=self._wait_s(taken, move, is_down=is_down),
            answers=said if not is_down or not order.attempts else said[-1:],
            tried=tried,
            has_entries=has_entries,
        )

    def _went_silent(self, nas_id: int, pace: Pace, begun_s: float) -> bool:
        was_down = pace.is_down
        is_down = pace.silent(begun_s, clock.monotonic_s(), random.random())  # noqa: S311
        if is_down and not was_down:
            _log.warning("concentrator.silent", nas_id=nas_id, cost="its orders wait until it answers a probe")
        return is_down

    def _wait_s(self, taken: Taken, move: Wait, *, is_down: bool) -> float:
        """Return when an order is due again. Those of a concentrator that is down are, as soon as it answers."""
        if is_down:
            return 0.0
        if move.why == "silent" and not move.is_failure:
            return _TURNED_BACK_S
        if move.why == "not_applied_everywhere":
            return self._settings.not_applied_s
        if move.state is State.WAITING and move.why in ("stop_awaited", "no_such_session"):
            return self._settings.waiting_s if not taken.ground.is_heard_since else 1.0
        return backoff_s(taken.order.attempts + 1, random.random())  # noqa: S311

    def _answer_row(self, answer: Answer, wish: int) -> dict[str, object]:
        row: dict[str, object] = {
            "at": answer.at,
            "node": self._node,
            "wish": wish,
            "step": str(answer.step),
            "said": str(answer.said),
        }
        if answer.error_cause:
            row["error_cause"] = answer.error_cause
        if answer.text:
            row["text"] = answer.text
        return row

    async def _save(self) -> bool:
        await self._to_save.wait()
        while self._outcomes.waiting:  # if it fails, the event stays: nobody else may come to set it
            await self._save_some()
        self._to_save.clear()
        return True

    async def _save_some(self) -> None:
        """Write down what became of some orders; while PostgreSQL is away they stay for the next time."""
        saved = await self._outcomes.save_some(self._node_id)
        if self._is_more or any(not one.is_current for one in saved):
            self._hint.set()

    # --- looking after them -----------------------------------------------------------------------------------------

    async def _look_after(self) -> bool:
        """End what is over, wake what may go on, give up what is hopeless."""
        ended = await self._carrying.close_ended()
        self._outcomes.count(ended)
        if await self._carrying.wake():
            self._hint.set()
        given_up = await self._carrying.give_up(self._settings.give_up_s)
        self._outcomes.count(given_up)
        for one in given_up:
            after = str(timedelta(seconds=round(one.age_s)))
            _log.warning("order.given_up", order=one.order_id, kind=one.kind, cause=one.cause, after=after)
        return False

    async def _count(self) -> bool:
        """Tell how many are open in the cluster, and which concentrators are down for this node."""
        found = {(row.kind, row.state): row for row in await self._carrying.count_open()}
        for kind in counted.KINDS:
            for state in OPEN_STATES:
                row = found.get((kind, state))
                self._counters.set(counted.open_in(kind, state), row.orders if row else 0)
        self._counters.set_seconds(counted.OLDEST_S, max((row.oldest_s for row in found.values()), default=0.0))
        self._counters.set(counted.DOWN, sum(pace.is_down for pace in self._paces.values()))
        self._tell_facts()
        return False

    def _tell_facts(self) -> None:
        if self._facts_path is None:
            return
        facts = [
            ConcentratorFacts(
                nas=self._concentrators[nas_id][0].name,
                is_silent=pace.is_down,
                in_hand=pace.in_hand + pace.lists_in_hand,
                failures=dict(self._failures.get(nas_id, {})),
            )
            for nas_id, pace in self._paces.items()
            if nas_id in self._concentrators
        ]
        try:
            write_facts(self._facts_path, facts)
        except OSError as error:  # on a full disk what was is read
            _log.warning("orders.facts_not_written", error=str(error))


def _is_full(taken: Sequence[Taken], rooms: Mapping[int, Room], room_each: Room) -> bool:
    """Whether some concentrator's room was taken up: more may be due."""
    shares = Counter((one.order.nas_id, one.order.kind == "lists") for one in taken)
    return any(
        share >= (room.lists if is_lists else room.others)
        for (nas_id, is_lists), share in shares.items()
        for room in (rooms.get(nas_id, room_each),)
    )


def _target(taken: Taken, nas: Concentrator) -> Target:
    """Return where an order goes; its session's addresses are those that accounting says now."""
    order, ground = taken.order, taken.ground
    address = ground.ipv4 or order.ipv4
    return Target(
        subject=Subject(
            kind=Kind(order.kind),
            is_ppp=order.is_ppp,
            user_name=order.user_name,
            session_id=order.acct_session_id,
            address=address,
            ipv6_prefixes=ground.ipv6_prefixes,
            age_s=ground.age_s,
            wanted=order.wanted,
            unsaid=order.unsaid,
        ),
        kind=nas.kind,
        keys=nas.keys_of(order.source_address, order.nas_identifier),
        local_address=ground.local_address,
        nas=(nas.coa_address or order.source_address, nas.coa_port),
        names=session_attributes(nas.kind, SessionName(order.user_name, order.acct_session_id, address)),
        changes=order.attributes,
        api=nas.api_of(order.source_address),
        note=note_of(order.login_id, order.user_name),
        mac=order.mac,
    )
