"""Makes the copy of another node's spool one of this node's own, so that it is drained from here. Rule R6.4.

What PostgreSQL has is known by the spool's id and place, whoever drains, so nothing counts twice: neither what the
owner had drained, nor, should he come back, what is drained here. The folder becomes a slot as whole as it was: it is
held meanwhile, its end is published before anybody looks, and it is marked, since it may end before the place up to
which its owner had drained.
"""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from aaad.errors import SpoolError
from aaad.spool.directory import lock_directory, recover, sync_directory
from aaad.spool.mirror_disk import Kept
from aaad.spool.reader import SpoolReader
from aaad.spool.segment import Position, Tail


class Adopted(NamedTuple):
    """What became of one copy."""

    kept: Kept
    slot: str  # of this node, in which it is drained from now on; empty: PostgreSQL has all of it
    records: int  # to be drained


class CopyHeld(SpoolError):  # noqa: N818  reads as the sentence it prints
    """Its owner is connected, or another command works on it."""


def adopt(kept: Kept, spool_root: Path, *, cursor: Position) -> Adopted:
    """Make a copy a slot below this node's spool root; `cursor` is how far PostgreSQL has it."""
    try:
        lock = lock_directory(kept.directory)
    except BlockingIOError:
        raise CopyHeld(f"{kept.directory}: its owner is connected") from None
    try:
        tail = recover(kept.directory).tail
        _give_to_owner(kept.directory)
        records = _undrained(kept.directory, cursor, tail)
        if not records:
            return Adopted(kept, "", 0)
        _mark(kept)
        slot = _move(kept, spool_root)
    finally:
        os.close(lock)
    with suppress(OSError):  # it holds the copy of another slot
        kept.directory.parent.rmdir()
    return Adopted(kept, slot, records)


def _undrained(directory: Path, cursor: Position, tail: Tail) -> int:
    if not cursor < tail.position:
        return 0
    reader = SpoolReader(directory)
    try:
        first = reader.read(cursor, records_max=1).frames
    finally:
        reader.close()
    return tail.next_sequence - first[0].sequence if first else 0


def _mark(kept: Kept) -> None:
    with (kept.directory / "adopted").open("w") as file:
        file.write(f"{kept.node} {kept.slot}\n")
        file.flush()
        os.fsync(file.fileno())
    _give_to_owner(kept.directory)
    sync_directory(kept.directory)


def _give_to_owner(directory: Path) -> None:
    """What root has made in it must be the account's that the node runs as."""
    if os.geteuid() == 0:
        owner = directory.stat()
        for path in (directory, *directory.iterdir()):
            os.chown(path, owner.st_uid, owner.st_gid)


def _move(kept: Kept, spool_root: Path) -> str:
    if not spool_root.is_dir():
        spool_root.mkdir(mode=0o700)
        owner = kept.directory.stat()
        os.chown(spool_root, owner.st_uid, owner.st_gid)
    slot = stem = f"{kept.node}.{kept.slot}.{kept.spool_id.hex[:8]}"
    number = 1
    while (spool_root / slot).exists():  # adopted before, and its owner came back since
        number += 1
        slot = f"{stem}.{number}"
    target = spool_root / slot
    try:
        kept.directory.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(kept.directory, target)
        shutil.rmtree(kept.directory)
    sync_directory(spool_root)
    return slot


def _copy(source: Path, target: Path) -> None:
    """Copy to another file system. The drain sees it as a spool only once `tail` is there, which comes last."""
    target.mkdir(mode=0o700)
    lock = lock_directory(target)
    try:
        names = {path.name for path in source.iterdir()} - {"adopted", "lock", "tail"}
        for name in ("adopted", *sorted(names), "tail"):
            shutil.copy2(source / name, target / name)
            descriptor = os.open(target / name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        owner = source.stat()
        if os.geteuid() == 0:
            os.chown(target, owner.st_uid, owner.st_gid)
        _give_to_owner(target)
        sync_directory(target)
    finally:
        os.close(lock)
