"""A spool's mirror as its writer sees it: each batch goes to one peer node's disk, too, before it is answered (R6.4).

Two threads. The connector makes the connection and lets the mirror catch up from the segment files, while answers go
on without it. Then the writer's own thread takes the connection: it sends what it writes, and once its own disk has
confirmed a batch it waits until the mirror has, too, but no longer than `timeout_s` since it began; what takes longer
loses the mirror, and the connector begins again. So a customer never waits for a mirror in trouble more than once.
Nothing here ever fails a batch: whatever goes wrong, the record is as safe as without a mirror, and counted.
"""

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from aaad.clock import monotonic_s, wall_s
from aaad.errors import SpoolError
from aaad.log import get_logger
from aaad.metrics import CounterFile
from aaad.spool.directory import (
    find_spool_id,
    forget_mirrored,
    octets_between,
    read_mirrored,
    read_tail,
    write_mirrored,
)
from aaad.spool.mirror_course import Course, Stage, begin
from aaad.spool.mirror_frames import NUMBERS_END, SecretError
from aaad.spool.mirror_link import MirrorLink, Refused
from aaad.spool.mirror_pieces import Piece, Pieces, common_segment, first_wanted
from aaad.spool.segment import START, Position, Tail

MIRROR_COUNTERS = [
    "aaad_spool_unmirrored_records_total",
    "aaad_spool_mirror_wanted",
    "aaad_spool_mirror_stage",
    "aaad_spool_mirror_behind_bytes",
    "aaad_spool_mirror_away_since_seconds",
    *(
        f"aaad_spool_mirror_losses_total|cause={cause}"
        for cause in ("connection", "timeout", "refused", "secret", "spool", "bug")
    ),
]

CONNECT_S = 1.0
# A mirror that looks through what it has says each second that it is at it. It is away until then: nobody waits.
WORD_S = 5.0
LOOKED_THROUGH_S = 600.0
PIECE_S = 5.0  # a mirror that catches up keeps nobody waiting
PIECE_OCTETS = 1 << 18
PIECES_APART_S = 0.002  # answers go before catching up
TAKEN_OCTETS_MAX = 1 << 20  # what the writer's thread sends beside a batch when it takes a mirror over
PING_S = 1.0
LOOK_S = 0.05
STOP_S = 0.5

_Answer = TypeVar("_Answer")
_log = get_logger("spool")


class Mirror:
    """One slot's mirror. The writer's thread calls `send`, `settle` and `look_after`; `safe` is what it has."""

    def __init__(
        self,
        directory: Path,
        *,
        peer: tuple[str, int],
        node: str,
        secret: bytes,
        timeout_s: float,
        counters: CounterFile | None = None,
    ) -> None:
        """Nothing is touched before `start`. The directory's name is the slot's."""
        self._directory = directory
        self._peer = peer
        self._node = node
        self._secret = secret
        self._timeout_s = timeout_s
        self._counters = counters
        self._course = begin(monotonic_s())
        self._link: MirrorLink | None = None  # in the writer's hands
        self._pieces: Pieces | None = None
        self._offered: MirrorLink | None = None  # by the connector
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._deadline_s = 0.0
        self._away_since_s = wall_s()
        self._trouble_told = ""
        self.safe = Tail(START, 0)  # the mirror has all before it
        self._thread = threading.Thread(target=self._connect, name=f"mirror-{directory.name}", daemon=True)

    def __repr__(self) -> str:
        """Never tell the secret."""
        return f"Mirror({self._directory.name} at {self._peer[0]}:{self._peer[1]})"

    @property
    def course(self) -> Course:
        """How it stands."""
        return self._course

    def start(self) -> None:
        """Begin to connect."""
        self._set("aaad_spool_mirror_wanted", 1)
        self._thread.start()

    def close(self) -> None:
        """Let go of the connection, and end the connector."""
        self._stopping.set()
        with self._lock:
            links, self._offered = (self._link, self._offered), None
        self._link = None
        for link in links:
            if link is not None:
                link.close()
        self._thread.join(STOP_S)

    # --- the writer's thread --------------------------------------------------------------------------------------

    def send(self, spool_id: UUID, segment: int, offset: int, octets: bytes) -> None:
        """Send what is about to be written here, if the mirror is in step."""
        if self._link is None and self._offered is None:
            return
        self._deadline_s = monotonic_s() + self._timeout_s
        self._guard(lambda: self._send(spool_id, Piece(segment, offset, octets)))

    def _send(self, spool_id: UUID, piece: Piece) -> None:
        link = self._taken_link()
        if link is None:
            return
        if link.spool_id != spool_id:
            raise SpoolError("another spool was begun")
        at = Position(piece.segment, piece.offset)
        if link.sent != at:  # a new segment, or taken over just now
            self._fill(link, at)
        link.send(piece, self._deadline_s)

    def settle(self, records: int, tail: Tail) -> None:
        """Wait until the mirror has what was sent; what it does not have in time is counted."""
        if self._link is not None:
            self._guard(self._settle, tail)
        if self._link is None:
            self._count("aaad_spool_unmirrored_records_total", records)

    def _settle(self, tail: Tail) -> None:
        assert self._link is not None
        if self._link.sent < tail.position:
            raise SpoolError(f"the mirror was sent {self._link.sent}, the spool has {tail.position}")
        self._link.settle(self._deadline_s)
        self._note_safe(tail)

    def look_after(self, tail: Tail) -> None:
        """Once a second: take a mirror that has caught up, miss one that is gone, publish the gauges."""
        if tail.position < self.safe.position:  # another spool was begun in the place of a lost one
            self.safe = Tail(START, 0)
        self._deadline_s = monotonic_s() + self._timeout_s
        self._guard(self._look_after, tail)
        with suppress(OSError):  # only gauges live by it
            self._publish(tail)

    def _look_after(self, tail: Tail) -> None:
        link = self._taken_link()
        if link is None:
            return
        if link.sent < tail.position:
            self._fill(link, tail.position)
        link.poll()
        if link.asked_s:
            if monotonic_s() - link.asked_s > PING_S:
                raise TimeoutError("the mirror does not answer")
        else:
            self._note_safe(tail)
            link.ping(self._deadline_s)

    def _taken_link(self) -> MirrorLink | None:
        """Return the connection, the one that the connector offers if there was none."""
        if self._link is None:
            with self._lock:
                self._link, self._offered = self._offered, None
                if self._link is not None:
                    self._course = self._course.reached(monotonic_s())
            if self._link is not None:
                _log.info("mirror.in_step", slot=self._directory.name, at=self._link.sent)
                self._trouble_told = ""
        return self._link

    def _fill(self, link: MirrorLink, place: Position) -> None:
        """Send what stands before a place and was not sent: a header, and what came since the connector looked.

        Too much of it is the connector's work again.
        """
        assert self._pieces is not None
        octets, until = 0, Tail(place, 0)
        while link.sent != place:
            piece = self._pieces.next(link.sent, until, PIECE_OCTETS)
            if piece is None:
                raise SpoolError(f"the mirror's copy goes on at {link.sent}, the spool at {place}")
            octets += len(piece.octets)
            if octets > TAKEN_OCTETS_MAX:
                raise SpoolError("the mirror fell behind while it was taken over")
            link.send(piece, self._deadline_s)

    def _note_safe(self, tail: Tail) -> None:
        if tail != self.safe:
            self.safe = tail
            with suppress(OSError):  # only gauges live by it
                write_mirrored(self._directory, tail)

    def _guard(self, step: Callable[..., None], *arguments: object) -> None:
        """Whatever a mirror does, or our own bug with it, must not fail a batch."""
        try:
            step(*arguments)
        except Exception as error:  # noqa: BLE001
            link, self._link = self._link, None
            if link is None:
                _log.error("mirror.bug", slot=self._directory.name, exc_info=error)
                return
            link.close()
            self._note_lost(error)

    # --- the connector's thread -----------------------------------------------------------------------------------

    def _connect(self) -> None:
        with suppress(OSError):  # who catches up never goes before who answers
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        while not self._stopping.wait(LOOK_S):
            if not self._course.may_try(monotonic_s()):
                continue
            link = None
            try:
                link = self._connected()
                if link is not None:
                    self._agree(link)
                    self._catch_up(link)
            except Exception as error:  # noqa: BLE001  our own bug must not end the thread
                if link is not None:
                    link.close()
                if not self._stopping.is_set():
                    self._note_lost(error)

    def _connected(self) -> MirrorLink | None:
        try:
            pieces = Pieces(self._directory)
        except (OSError, SpoolError):
            return None  # the writer has not begun yet
        self._pieces = pieces  # nobody has a link, so the writer does not look at it
        return MirrorLink(
            self._peer,
            node=self._node,
            slot=self._directory.name,
            spool_id=pieces.spool_id,
            secret=self._secret,
            limit_s=CONNECT_S,
        )

    def _agree(self, link: MirrorLink) -> None:
        """Find out with the mirror from where on it needs the spool. It looks through much, which takes long."""
        deadline_s, common, before = monotonic_s() + LOOKED_THROUGH_S, None, NUMBERS_END
        while common is None:
            link.look(before)
            held = self._told(link.held, deadline_s)
            _check_order(held, before)
            common = common_segment(self._directory, link.spool_id, held)
            before = held[-1][0] if held else 0
        if find_spool_id(self._directory) != link.spool_id:
            raise SpoolError("another spool was begun")  # what was compared may be of that one
        link.begin(common)
        has = self._told(link.begun, deadline_s)
        link.begin_at(first_wanted(self._directory, has))
        self._recall_safe(has)
        with self._lock:
            self._course = self._course.connected(monotonic_s())

    def _told(self, answer: Callable[[float], _Answer | None], deadline_s: float) -> _Answer:
        """Wait for an answer as long as the mirror says that it is at it, but not without end."""
        while True:
            told = answer(WORD_S)
            if self._stopping.is_set() or monotonic_s() > deadline_s:
                raise TimeoutError("the mirror does not come to an end of looking through what it has")
            if told is not None:
                return told

    def _recall_safe(self, has: Position) -> None:
        """What the mirror had before this process began counts, unless it has less by now."""
        safe = self.safe if self.safe.position.segment else (read_mirrored(self._directory) or self.safe)
        if has < safe.position:
            safe = Tail(START, 0)
            forget_mirrored(self._directory)
        self.safe = safe

    def _catch_up(self, link: MirrorLink) -> None:
        """Send what is missing, piece by piece, then offer the connection to the writer."""
        assert self._pieces is not None
        while not self._stopping.is_set():
            tail = read_tail(self._directory)
            piece = None if tail is None else self._pieces.next(link.sent, tail, PIECE_OCTETS)
            if piece is None:
                break
            link.send(piece, monotonic_s() + PIECE_S)
            link.settle(monotonic_s() + PIECE_S)
            if len(piece.octets) < PIECE_OCTETS and piece.end == tail.position:  # type: ignore[union-attr]
                break
            self._stopping.wait(PIECES_APART_S)
        with self._lock:
            if not self._stopping.is_set():
                self._offered = link
                return
        link.close()

    # --- both -----------------------------------------------------------------------------------------------------

    def _note_lost(self, error: Exception) -> None:
        cause, now_s = _cause(error), monotonic_s()
        with self._lock:
            was_in_step = self._course.is_waited_for
            self._course = self._course.lost(now_s, cause)
        if was_in_step:
            self._away_since_s = wall_s()
        self._count(f"aaad_spool_mirror_losses_total|cause={cause}")
        if cause == "bug":
            _log.error("mirror.bug", slot=self._directory.name, exc_info=error)
        elif was_in_step or self._trouble_told != str(error):  # once: an hour without a mirror must not fill the log
            self._trouble_told = str(error)
            _log.warning("mirror.away", slot=self._directory.name, cause=cause, error=str(error))

    def _publish(self, tail: Tail) -> None:
        stage = self._course.stage
        self._set("aaad_spool_mirror_stage", stage)
        link = self._link
        at = link.acked if link is not None else self.safe.position
        self._set("aaad_spool_mirror_behind_bytes", octets_between(self._directory, at, tail.position))
        if self._counters is not None:
            away_since_s = 0.0 if stage is Stage.IN_STEP else self._away_since_s
            self._counters.set_seconds("aaad_spool_mirror_away_since_seconds", away_since_s)

    def _count(self, name: str, amount: int = 1) -> None:
        if self._counters is not None:
            self._counters.add(name, amount)

    def _set(self, name: str, value: int) -> None:
        if self._counters is not None:
            self._counters.set(name, value)


def _check_order(held: Sequence[tuple[int, bytes]], before: int) -> None:
    """So that to ask again, for what is before the last one, comes to an end."""
    for number, _ in held:
        if number >= before:
            raise SpoolError(f"the mirror tells of segment {number}, where it was to tell of those before {before}")
        before = number


def _cause(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "timeout"
        case SecretError():
            return "secret"
        case Refused():
            return "secret" if error.cause == "secret" else "refused"
        case OSError():
            return "connection"
        case SpoolError():
            return "spool"
        case _:
            return "bug"
