"""The accounting sockets of a radius process, and the records that wait for the disk.

This module owns sockets, clock and spool of the accounting port; what a datagram means is decided in `accounting`.
A look at a socket takes a few datagrams, so that who asks to be let in is never far behind. Their records go to the
spool's thread together with those of the looks that follow at once, and with word whether they pour in; what one sync
of the disk made safe comes back together, and its answers are sent some at a time, those to one source by one call
where the kernel can. The first datagram after a while is read when it comes. While they pour in, the next look comes
with the answers to the last ones, or a little later: what arrives meanwhile shares a look, a sync and the way back,
which cost more than it does. Where very many come in a second it comes with answers only if these are many, too.
A bug in one datagram is logged and costs that datagram only.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from aaad import clock
from aaad.log import Log
from aaad.metrics import CounterFile
from aaad.policy.codes import Discard
from aaad.radius import counters as names
from aaad.radius.accounting import STATUSES, UNRECORDABLE, AccountingPath, Waiting
from aaad.radius.datagrams import Allowance, Datagram, Listener, Sender, receive
from aaad.radius.learned import Learned
from aaad.radius.routers import Neighbourhood, Source, plain_address
from aaad.radius.starts import StartWatch
from aaad.radius.unknown_sources import UnknownSources
from aaad.spool.segment import OVERHEAD_OCTETS_MAX

LOOK_MAX = 16  # who asks to be let in goes first
LOOK_AGAIN_S = 0.002
# Where very many come a look waits longer: it finds more, and what that saves is the drain's, as each look and each
# sync takes a processor from it. Records a second of this process: where that begins and ends.
LOOK_CROWDED_S = 0.006
LOOK_WITH_ANSWERS = 96  # in a crowd, since the look before: more than come in its time
CROWDED_PER_S, EASED_PER_S = 6_000, 4_500
POURING = 6  # records that go to the spool together, by which the disk had better wait a moment for more
_ANSWERS_AT_ONCE = 48  # of what one sync made safe
TOGETHER_MAX = 128  # records of looks that follow each other at once
_OCTETS_AT_ONCE = 1 << 15  # of the records that go to the spool together, as it counts; and those of the last one
_SETTLE_LIMIT_S = 2.0  # a disk that takes longer when the service ends leaves its NASes without an answer


class Spool(Protocol):
    """Where records go that are to be written to PostgreSQL."""

    @property
    def is_taking(self) -> bool:
        """Whether records are stored, on the disk or else in PostgreSQL, as far as is known."""

    def append(self, record: bytes, done: Callable[[bool], None] | None = None) -> bool:
        """Queue one record; False when there is no room. `done` tells, in another thread, whether it is safe."""

    def append_all(
        self, records: Sequence[bytes], done: Callable[[bool], None], *, is_more_coming: bool = False
    ) -> bool:
        """Queue some records that become safe together; `is_more_coming`: more will be appended at once."""


class AccountingPort:
    """Receives, records and answers. One thread but for what the spool's thread tells."""

    def __init__(
        self,
        neighbourhood: Neighbourhood,
        learned: Learned,
        starts: StartWatch,
        unknown_sources: UnknownSources,
        *,
        spool: Spool,
        counters: CounterFile,
        log: Log,
    ) -> None:
        """Wire the port to what both ports share; nothing is read before its readers are called."""
        self._path = path = AccountingPath(
            neighbourhood=neighbourhood,
            learned=learned,
            starts=starts,
            is_recording=lambda: spool.is_taking,
        )
        self.load = path.load
        self._spool = spool
        self._learned = learned
        self._unknown_sources = unknown_sources
        self._counters = counters
        self._cells = counters.cells
        self._log = log
        self._log_allowance = Allowance()
        self._sender = Sender(
            counters, log, self._log_allowance, answered=names.ACCOUNTING_ANSWERED, seconds=names.ACCOUNTING_SECONDS
        )
        index = counters.index
        self._received_at = index[names.ACCOUNTING_RECEIVED]
        self._recorded_at = {octets: index[names.accounting_record(label)] for octets, label in STATUSES.items()}
        self._discarded_at = [0] * (max(Discard) + 1)
        for cause in Discard:
            self._discarded_at[cause] = index[names.accounting_discarded(cause)]
        # What the spool's thread tells: appended there, taken out here.
        self._told: deque[tuple[Listener, list[Waiting], bool]] = deque()
        self._is_called = False
        self._loop: asyncio.AbstractEventLoop
        self._next_looks: dict[Listener, asyncio.TimerHandle] = {}  # of sockets into which they pour
        self._gathered: dict[Listener, tuple[list[Waiting], int]] = {}  # and octets: more comes at once
        self._is_closed = False
        self._is_crowded = False
        self._weighed_at_s = clock.monotonic_s()
        self._recorded = 0  # since then, or on the way to it
        self._answered = 0  # since the last look
        self._settled = asyncio.Event()

    def open(self, listener: Listener) -> None:
        """Read a socket from now on."""
        self._loop = asyncio.get_running_loop()
        self._sender.open(listener)
        self._loop.add_reader(listener.socket.fileno(), self._begin, listener)

    def _begin(self, listener: Listener) -> None:
        """Read the first datagram after a while, and look again from time to time until none comes any more."""
        self._loop.remove_reader(listener.socket.fileno())
        self._look(listener)

    def _look(self, listener: Listener) -> None:
        self._next_looks.pop(listener, None)
        self._answered = 0
        if self._is_closed:
            return
        try:
            count = self._read(listener)
        except Exception:  # noqa: BLE001  whatever our own bug was: a socket that nobody reads would cost all
            self._bug(("", 0))
            count = 1
        if count == LOOK_MAX:
            self._loop.call_soon(self._look, listener)
        elif count:
            pause_s = LOOK_CROWDED_S if self._is_crowded else LOOK_AGAIN_S
            self._next_looks[listener] = self._loop.call_later(pause_s, self._look, listener)
        else:
            self._loop.add_reader(listener.socket.fileno(), self._begin, listener)

    def _read(self, listener: Listener) -> int:
        """Read some datagrams and do what each asks for. Returns how many they were."""
        self._learned.local_address = listener.address
        answer = self._path.answer
        replies: list[Datagram] = []
        received = receive(listener, LOOK_MAX, self._receive_failed)
        group, octets = self._gathered.pop(listener) if listener in self._gathered else ([], 0)
        self._cells[self._received_at] += len(received)
        records = 0
        now_s = clock.wall_s()
        for data, source, arrived_s in received:
            try:
                outcome = answer(data, source, arrived_s, now_s)
                if isinstance(outcome, Waiting):
                    group.append(outcome)
                    records += 1
                    octets += len(outcome.record) + OVERHEAD_OCTETS_MAX
                    if octets > _OCTETS_AT_ONCE:
                        full, group, octets = group, [], 0
                        self._append(listener, full, is_more_coming=True)
                elif isinstance(outcome, bytes):
                    replies.append((outcome, source, arrived_s))
                else:
                    self._discard(outcome, source)
            except Exception:  # noqa: BLE001  our own bug costs this datagram only
                self._bug(source)
        self._recorded += records
        # Not for what brings no records: who sends one amid a flood of junk would wait for its end.
        if records == LOOK_MAX and len(group) < TOGETHER_MAX:
            self._gathered[listener] = group, octets
        elif group:
            self._append(listener, group, is_more_coming=len(group) >= POURING)
        if replies:  # last: a bug in sending them must not cost a record
            self._sender.send(listener, replies)
        return len(received)

    def _append(self, listener: Listener, group: list[Waiting], *, is_more_coming: bool) -> None:
        """Give the records of some looks to the spool."""
        records = [waiting.record for waiting in group]
        is_taken = False
        try:
            told = partial(self._tell, listener, group)
            is_taken = self._spool.append_all(records, told, is_more_coming=is_more_coming)
        finally:  # whatever our own bug was: what is in work and never told would be in work for ever
            if not is_taken:
                self._refuse(group)

    def _tell(self, listener: Listener, group: list[Waiting], is_safe: bool) -> None:
        """Note what became of a look's records. Called in the spool's thread, for a whole batch in a row."""
        self._told.append((listener, group, is_safe))
        if not self._is_called:
            self._is_called = True
            self._loop.call_soon_threadsafe(self._answer_told)

    def _answer_told(self) -> None:
        """Send the answers that the disk has allowed; some at a time, so that the sockets are not left alone."""
        self._is_called = False  # before the first is taken out: what comes from now on calls again
        told, path, cells, recorded_at = self._told, self._path, self._cells, self._recorded_at
        now_s = clock.wall_s()
        replies: list[Datagram] = []
        last: Listener | None = None
        left = _ANSWERS_AT_ONCE
        while told and left > 0:
            listener, group, is_safe = told.popleft()
            if len(group) > left:
                told.appendleft((listener, group[left:], is_safe))
                group = group[:left]
            left -= len(group)
            if not is_safe:
                self._refuse(group)
                continue
            if listener is not last:
                if last is not None:
                    self._sender.send(last, replies)
                    replies = []
                last = listener
            for waiting in group:
                replies.append((path.recorded(waiting, now_s), waiting.source, waiting.arrived_s))
                cells[recorded_at[waiting.status_type]] += 1
        if last is not None:
            self._sender.send(last, replies)
        if told and not self._is_called:
            self._is_called = True
            self._loop.call_soon(self._answer_told)
        if not path.in_work:
            self._settled.set()
        self._answered += _ANSWERS_AT_ONCE - left
        if not self._is_crowded or self._answered >= LOOK_WITH_ANSWERS:
            self._look_now()

    def _refuse(self, group: list[Waiting]) -> None:
        """Leave without an answer what neither disk nor PostgreSQL took."""
        for waiting in group:
            self._path.refused(waiting)
            self._discard(Discard.NOT_RECORDED, waiting.source)

    def _look_now(self) -> None:
        """Look at once where the next look is due soon: this process is awake, and the disk is free for what came."""
        due, self._next_looks = self._next_looks, {}
        for listener, look in due.items():
            look.cancel()
            self._look(listener)

    def _discard(self, cause: Discard, source: Source) -> None:
        self._cells[self._discarded_at[cause]] += 1
        if cause is Discard.UNKNOWN_NAS:
            self._unknown_sources.note(plain_address(source[0]), clock.wall_s())
        if self._log_allowance.allows(cause):
            self._log.info("accounting.discarded", cause=cause.label, source=source[0], port=source[1])

    def _receive_failed(self, listener: Listener, error: OSError) -> None:
        self._counters.add(names.RECEIVE_FAILED)
        self._log.warning("socket.receive_failed", address=listener.address, error=str(error))

    def _bug(self, source: Source) -> None:
        self._counters.add(names.BUGS)
        self._cells[self._discarded_at[Discard.BUG]] += 1
        if self._log_allowance.allows(Discard.BUG):
            self._log.exception("bug", while_="recording a datagram", source=source[0])

    def _weigh(self) -> None:
        since_s, self._weighed_at_s = self._weighed_at_s, clock.monotonic_s()
        per_s = self._recorded / max(self._weighed_at_s - since_s, 0.001)
        self._is_crowded, self._recorded = is_crowded(per_s, self._is_crowded), 0

    def close(self) -> None:
        """Read nothing any more; whoever opened the sockets takes them from the loop."""
        self._is_closed = True
        gathered, self._gathered = self._gathered, {}
        for listener, (group, _) in gathered.items():
            if group:
                self._append(listener, group, is_more_coming=False)

    async def settle(self) -> None:
        """Wait until what was taken in is answered, but not for ever."""
        try:
            async with asyncio.timeout(_SETTLE_LIMIT_S):
                while self._path.in_work:
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            self._log.error("accounting.unanswered", records=self._path.in_work)

    def tick(self, now_s: float) -> None:
        """Once a second: begin the second's allowances anew, and count what the path counted by itself."""
        path = self._path
        self._log_allowance.begin_second()
        self._weigh()
        path.tick(now_s)
        self._counters.add(names.ACCOUNTING_COPIES, path.copies)
        self._counters.add(names.ACCOUNTING_STATUS, path.status_answered)
        path.copies = path.status_answered = 0
        for cause in UNRECORDABLE:
            if path.unrecordable[cause]:
                self._counters.add(names.accounting_unrecordable(cause), path.unrecordable[cause])
                self._log.warning("accounting.unrecordable", missing=cause, requests=path.unrecordable[cause])
                path.unrecordable[cause] = 0


def is_crowded(per_s: float, was_crowded: bool) -> bool:
    """Tell by how many records came in a second whether they are very many."""
    return per_s > (EASED_PER_S if was_crowded else CROWDED_PER_S)
