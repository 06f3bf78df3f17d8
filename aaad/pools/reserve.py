"""What a radius process has set aside of the pools, on its own disk: by it addresses are given without PostgreSQL.

A folder for each slot, in it a file for each claim: its units, and an octet for each that is set before the unit goes
into any answer. The files are mapped, so what was set survives kill -9 without a sync, and a process that starts
while PostgreSQL is away goes on where the last one stopped: nothing is given twice and nothing forgotten (rule R7.2).
After a power cut octets may be missing. Only what was closed in order, or written since this boot, is believed;
else another life begins, and PostgreSQL takes back what the old one had once the node's spool is drained.

Standards: none. Never asks PostgreSQL, never decides who gets a unit.
"""

import mmap
import os
import uuid
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from struct import Struct
from struct import error as StructError  # noqa: N812  the library's own name says too little
from typing import NamedTuple

import msgspec

from aaad.errors import ReserveError
from aaad.pools.address import Unit, unit_text

_MAGIC = b"AAADRSV1"
_HEAD = Struct("<8sQIIBBxxI")  # magic, reserve, pool, address space, 4 or 6, prefix length, units
_NUMBER = Struct(">QQ")  # of a unit's first address, the upper half first
_NUMBER_OCTETS = _NUMBER.size
_LIFE = "life"
_FREE, _USED = 0, 1
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Return what tells this run of the machine from all others; empty where the kernel does not say."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


class _Life(msgspec.Struct, frozen=True):
    """Whose the files are."""

    life: str
    boot: str
    is_closed: bool  # in order: every octet is on the disk
    node: int = 0  # our id in net.node: what a removed node had set aside goes to others


class Candidate(NamedTuple):
    """A unit that was taken out of a chunk, and not given to anybody yet."""

    chunk: "Chunk"
    place: int


class Chunk:
    """The units of one claim. Who takes one has it marked; what he did not need he puts back."""

    __slots__ = ("_map", "_marks_at", "_next", "_path", "address_space", "count", "family", "free", "numbers",
                 "pool_id", "prefix_length", "reserve_id", "unsettled")  # fmt: skip

    def __init__(self, path: Path, content: bytes | None = None) -> None:
        """Map a chunk's file; ReserveError if it is none. With `content` it is in memory only."""
        self._path = path
        if content is None:
            with path.open("r+b") as file:
                try:
                    self._map = mmap.mmap(file.fileno(), 0)
                except ValueError as error:
                    raise ReserveError(f"{path.name} is empty") from error
        else:
            self._map = mmap.mmap(-1, len(content))
            self._map[:] = content
        try:
            magic, self.reserve_id, self.pool_id, self.address_space, self.family, self.prefix_length, self.count = (
                _HEAD.unpack_from(self._map)
            )
        except StructError as error:
            raise ReserveError(f"{path.name} is cut off") from error
        self._marks_at = _HEAD.size + self.count * _NUMBER_OCTETS
        if magic != _MAGIC or len(self._map) != self._marks_at + self.count:
            raise ReserveError(f"{path.name} is no part of a reserve")
        if path.name != str(self.reserve_id):
            raise ReserveError(f"{path.name} is another's")
        halves = _NUMBER.iter_unpack(self._map[_HEAD.size : self._marks_at])
        self.numbers = [upper << 64 | lower for upper, lower in halves]
        self._next = 0
        self.free = self._map[self._marks_at :].count(_FREE)
        self.unsettled = 0  # taken, and whether somebody has them is not known yet

    def take(self) -> int:
        """Take a unit out, marked; return its place, -1 if none is left."""
        if not self.free:
            return -1
        at = self._map.find(b"\0", self._marks_at + self._next)
        if at < 0:
            at = self._map.find(b"\0", self._marks_at)
        self._map[at] = _USED
        place: int = at - self._marks_at
        self._next = place + 1
        self.free -= 1
        self.unsettled += 1
        return place

    def put_back(self, place: int) -> None:
        """Put a unit back that is in no answer, and that no statement has bound. Of a lost chunk it stays lost."""
        self.unsettled -= 1
        if self._map.closed:
            return
        self._map[self._marks_at + place] = _FREE
        self.free += 1
        self._next = min(self._next, place)

    def unit(self, place: int) -> Unit:
        """Return the unit of a place."""
        return self.numbers[place], self.prefix_length

    def take_all(self) -> list[int]:
        """Take out all that is free, to give it back."""
        found = [place for place, mark in enumerate(self._map[self._marks_at :]) if mark == _FREE]
        for place in found:
            self._map[self._marks_at + place] = _USED
        self.free = 0
        return found

    def withdraw(self, first: int, last: int) -> bool:
        """Mark what lies between two addresses as not to be given out; tell whether it has any of it, free or not."""
        size = 1 << ((32 if self.family == 4 else 128) - self.prefix_length)
        begin, end = bisect_right(self.numbers, first - size), bisect_right(self.numbers, last)
        for at in range(self._marks_at + begin, self._marks_at + end):
            if self._map[at] == _FREE:
                self._map[at] = _USED
                self.free -= 1
        return begin < end

    def flush(self) -> None:
        """Bring the marks to the disk."""
        self._map.flush()

    def close(self) -> None:
        """Unmap it; the file stays."""
        self._map.close()

    def remove(self) -> None:
        """Forget it for good."""
        self.free = 0
        self._map.close()
        self._path.unlink(missing_ok=True)

    def text(self, place: int) -> str:
        """Return a unit as PostgreSQL writes it."""
        return unit_text(self.family, self.numbers[place], self.prefix_length)


class Reserve:
    """The folder of one slot. One process at a time: who holds the slot."""

    def __init__(self, directory: Path, boot: str | None = None) -> None:
        """Name the folder; nothing is touched before `open`."""
        self._directory = directory
        self._boot = boot_id() if boot is None else boot
        self.life = ""
        self._is_kept = False  # the disk knows which life we lead
        self.node = 0  # not known yet
        self.chunks: dict[int, Chunk] = {}

    def open(self) -> bool:
        """Take over what is there; False: another life begins, and what the old ones had is not ours any more.

        On a full disk, too, there is a life, which ends with the process. OSError: nothing is known of the folder, so
        nothing may be given out.
        """
        try:
            return self._take_over()
        except OSError:
            self.chunks.clear()
            raise

    def _take_over(self) -> bool:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        known = self._read_life()
        is_known = known is not None and bool(known.boot) and (known.boot == self._boot or known.is_closed)
        self.life, self.node = (known.life, known.node) if is_known and known is not None else (str(uuid.uuid4()), 0)
        for path in self._directory.iterdir():
            if path.name == _LIFE:
                continue
            if is_known and path.name.isdecimal():
                try:
                    chunk = Chunk(path)
                except (OSError, ReserveError):
                    pass  # cut off while it was written: nothing of it was given out
                else:
                    self.chunks[chunk.reserve_id] = chunk
                    continue
            path.unlink(missing_ok=True)
        # On the disk before anything is given out: what a power cut leaves must not look closed.
        self._write_life(is_closed=False)
        return is_known

    def add(self, chunk: Chunk) -> Chunk:
        """Take up a chunk that was written."""
        self.chunks[chunk.reserve_id] = chunk
        return chunk

    def write(
        self,
        reserve_id: int,
        pool_id: int,
        address_space: int,
        family: int,
        units: Sequence[Unit],
        prefix_length: int,
    ) -> Chunk:
        """Write the file of a claim, in whatever thread; it is not among ours yet.

        What the disk does not take is kept in memory: our next process never had it.
        """
        path = self._directory / str(reserve_id)
        fresh = path.with_suffix(".new")
        head = _HEAD.pack(_MAGIC, reserve_id, pool_id, address_space, family, prefix_length, len(units))
        numbers = b"".join(number.to_bytes(_NUMBER_OCTETS, "big") for number, _ in units)
        content = head + numbers + bytes(len(units))
        try:
            fresh.write_bytes(content)
            fresh.replace(path)
            return Chunk(path)
        except OSError:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            return Chunk(path, content)

    def drop(self, chunk: Chunk) -> None:
        """Forget a chunk: it is used up, or not ours any more."""
        self.chunks.pop(chunk.reserve_id, None)
        chunk.remove()

    def close(self) -> None:
        """Close in order: with every mark on the disk the next process, after a boot too, goes on from here.

        OSError: perhaps they are not, and the next process goes on only in this run of the machine.
        """
        chunks = list(self.chunks.values())
        self.chunks.clear()
        for chunk in chunks:
            chunk.flush()
            chunk.close()
        if self._is_kept:
            self._store_life(is_closed=True)

    def begin_life(self) -> None:
        """Give up what is there: PostgreSQL knows another owner of it."""
        for chunk in list(self.chunks.values()):
            self.drop(chunk)
        self.life, self.node = str(uuid.uuid4()), 0
        self._write_life(is_closed=False)

    def belong_to(self, node: int) -> None:
        """Note as whose node's it was claimed, for the next process."""
        if node != self.node:
            self.node = node
            self._write_life(is_closed=False)

    def _read_life(self) -> _Life | None:
        try:
            return msgspec.json.decode((self._directory / _LIFE).read_bytes(), type=_Life)
        except (OSError, msgspec.DecodeError):
            return None

    def _write_life(self, *, is_closed: bool) -> None:
        """Write whose the files are. If the disk does not take it, nobody's after us; OSError: not even that."""
        try:
            self._store_life(is_closed=is_closed)
            self._is_kept = True
        except OSError:
            (self._directory / _LIFE).unlink(missing_ok=True)
            self._is_kept = False

    def _store_life(self, *, is_closed: bool) -> None:
        fresh = self._directory / (_LIFE + ".new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(_Life(self.life, self._boot, is_closed, self.node)))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._directory / _LIFE)
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
