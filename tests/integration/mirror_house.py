"""A peer that mirrors spools, over real sockets and a real disk, in a thread or a process; and the owner of one."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import msgspec

from aaad.metrics import CounterFile
from aaad.spool.directory import read_tail, segment_numbers, segment_path
from aaad.spool.mirror import MIRROR_COUNTERS, Mirror
from aaad.spool.mirror_course import Stage
from aaad.spool.mirror_disk import contiguous_end, kept_copies
from aaad.spool.mirror_server import MIRROR_SERVER_COUNTERS, MirrorServer
from aaad.spool.records import LoginRefused, encode
from aaad.spool.writer import SPOOL_COUNTERS, SpoolWriter

SECRET = b"a secret of both nodes"
SEGMENT_BYTES = 1 << 16
TIMEOUT_S = 0.25
OWNER, PEER = "node-1", "node-2"


def until(check: Callable[[], bool], what: str, limit_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not check():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.01)


class Peer:
    """The mirror's end, that may be stopped and begun again at the same port."""

    def __init__(self, folder: Path, *, bytes_max: int = 1 << 30, secret: bytes = SECRET, node: str = PEER) -> None:
        self.root = folder / "mirror"
        self.folder, self.bytes_max, self.secret, self.node = folder, bytes_max, secret, node
        folder.mkdir(parents=True, exist_ok=True)
        self.counters = CounterFile(folder / "mirror-0.cnt", MIRROR_SERVER_COUNTERS)
        self.port = 0
        self.sync_s = 0.0  # how long its disk takes
        self._pid = 0

    def _listen(self) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(16)
        self.port = listener.getsockname()[1]
        return listener

    async def _run(self, listener: socket.socket, stopping: asyncio.Event) -> None:
        server = MirrorServer(
            listener,
            self.root,
            node=self.node,
            secret=self.secret,
            bytes_max=self.bytes_max,
            counters=self.counters,
            sync=self._sync,
        )
        await server.run(stopping)

    def _sync(self, descriptor: int) -> None:
        time.sleep(self.sync_s)
        os.fdatasync(descriptor)

    @contextmanager
    def serving(self):
        """Serve in a thread."""
        loop, stopping, begun = asyncio.new_event_loop(), asyncio.Event(), self._listen()

        def run() -> None:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(self._run(begun, stopping))

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(stopping.set)
            thread.join(10)
            assert not thread.is_alive()

    @contextmanager
    def in_a_process(self):
        """Serve in a process of its own; yields its number."""
        listener = self._listen()
        pid = os.fork()
        if pid == 0:
            try:
                asyncio.run(self._run(listener, asyncio.Event()))
            finally:
                os._exit(3)
        listener.close()
        try:
            yield pid
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def count(self, name: str) -> int:
        return self.counters.cells[self.counters.index[name]]

    def copy(self) -> Path:
        (kept,) = kept_copies(self.root)
        return kept.directory


class Owner:
    """One life after another of a spool's writer with a mirror."""

    def __init__(self, folder: Path, peer: Peer, *, slot: str = "radius-0") -> None:
        self.directory = folder / "spool" / slot
        self.peer = peer
        self.counters = CounterFile(folder / "counters" / f"{slot}.cnt", [*SPOOL_COUNTERS, *MIRROR_COUNTERS])
        self.answered: list[int] = []
        self.longest_s = 0.0

    def writer(self, **changes) -> SpoolWriter:
        mirror = Mirror(
            self.directory,
            peer=("127.0.0.1", self.peer.port),
            node=OWNER,
            secret=changes.pop("secret", SECRET),
            timeout_s=changes.pop("timeout_s", TIMEOUT_S),
            counters=self.counters,
        )
        self.mirror = mirror
        settings = {"segment_bytes": SEGMENT_BYTES, "bytes_max": 1 << 30, "counters": self.counters}
        return SpoolWriter(self.directory, **(settings | changes), mirror=mirror)

    @contextmanager
    def living(self, *, in_step: bool = True, **changes):
        self.spool = self.writer(**changes)
        self.spool.start()
        try:
            if in_step:
                self.until_in_step()
            yield self
        finally:
            assert self.spool.stop(10)

    def until_in_step(self) -> None:
        """In step, or it will be with the next record."""
        until(lambda: self.mirror._offered is not None or self.mirror.course.stage is Stage.IN_STEP, "in step")

    def put(self, *numbers: int, padding: int = 0) -> None:
        """Append records one by one, each answered before the next: one login each, so that a row counts it."""
        for number in numbers:
            begun_s, done = time.monotonic(), threading.Event()
            said: list[bool] = []

            def answer(is_stored: bool, said: list[bool] = said, done: threading.Event = done) -> None:
                said.append(is_stored)
                done.set()

            assert self.spool.append(refused(number, padding), answer)
            assert done.wait(10)
            assert said == [True]
            self.longest_s = max(self.longest_s, time.monotonic() - begun_s)
            self.answered.append(number)

    def put_refused(self, number: int) -> None:
        """Append a record that nobody can store."""
        done, said = threading.Event(), []
        assert self.spool.append(refused(number), lambda is_stored: (said.append(is_stored), done.set()))
        assert done.wait(10)
        assert said == [False]

    def count(self, name: str) -> int:
        return self.counters.cells[self.counters.index[name]]


def refused(number: int, padding: int = 0) -> bytes:
    """A record; what pads it is a field of a later version, which this one passes over."""
    record = LoginRefused(number, "wrong_password", 28_000_000, 1)
    return msgspec.msgpack.encode([*msgspec.msgpack.decode(encode(record)), *([bytes(padding)] if padding else [])])


def assert_same_octets(owner: Path, copy: Path) -> None:
    """Every durable octet of the owner's segments that are there in both is the same in both, and none is missing."""
    tail = read_tail(owner)
    assert tail is not None
    numbers = segment_numbers(owner)
    assert segment_numbers(copy) == numbers
    for number in numbers:
        end = tail.position.offset if number == tail.position.segment else segment_path(owner, number).stat().st_size
        assert segment_path(copy, number).read_bytes()[:end] == segment_path(owner, number).read_bytes()[:end]
    (spool_id,) = {(folder / "spool_id").read_text().strip() for folder in (owner, copy)}
    assert contiguous_end(copy, UUID(spool_id)) >= tail.position
