"""Makes the copy of another node's spool one of this node's own, so that it is drained from here. Rule R6.4.

What PostgreSQL has is known by the spool's id and place, whoever drains, so nothing counts twice: neither what the
owner had drained, nor, should he come back, what is drained here. The folder becomes a slot as whole as it was: it is
held meanwhile, its end is published before anybody looks, and it is marked, since it may end before the place up to
which its owner had drained. What its owner had no more lies aside in it (`mirror_superseded`), not drained.
"""

import errno
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from aaad.errors import SpoolError
from aaad.spool.directory import lock_directory, recover, sync_directory
from aaad.spool.mirror_disk import Kept, discard
from aaad.spool.mirror_superseded import count_records, remove_unfinished, superseded
from aaad.spool.reader import undrained_records
from aaad.spool.segment import Cut, Position


class Lot(NamedTuple):
    """What the copy had of the owner's spool and its owner had no more."""

    name: str  # the folder's, in the slot
    records: int  # that may have been acknowledged


class Adopted(NamedTuple):
    """What became of one copy."""

    kept: Kept
    slot: str  # of this node, in which it is drained from now on; empty: PostgreSQL has all, and nothing is aside
    records: int  # to be drained
    lots: tuple[Lot, ...]  # what its owner did not have any more: nobody drains it


class CopyHeld(SpoolError):  # noqa: N818  reads as the sentence it prints
    """Its owner is connected, or another command works on it."""


def adopt(kept: Kept, spool_root: Path, *, cursor: Position, cuts: Sequence[Cut]) -> Adopted:
    """Make a copy a slot below this node's spool root; `cursor` and `cuts` tell what PostgreSQL has of it."""
    try:
        lock = lock_directory(kept.directory)
    except BlockingIOError:
        raise CopyHeld(f"{kept.directory}: its owner is connected") from None
    try:
        tail = recover(kept.directory).tail
        remove_unfinished(kept.directory)
        lots = tuple(Lot(one.directory.name, count_records(one.directory)) for one in superseded(kept.directory))
        _give_to_owner(kept.directory)
        records = undrained_records(kept.directory, cursor, tail, cuts)
        if not records and not lots:
            return Adopted(kept, "", 0, ())
        _mark(kept)
        slot = _move(kept, spool_root)
    finally:
        os.close(lock)
    with suppress(OSError):  # it holds the copy of another slot
        kept.directory.parent.rmdir()
    return Adopted(kept, slot, records, lots)


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
        for path in (directory, *directory.rglob("*")):
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
        discard(kept.directory)
    sync_directory(spool_root)
    return slot


def _copy(source: Path, target: Path) -> None:
    """Copy to another file system. The drain sees it as a spool only once `tail` is there, which comes last."""
    target.mkdir(mode=0o700)
    lock = lock_directory(target)
    try:
        names = {path.name for path in source.iterdir()} - {"adopted", "lock", "tail"}
        for one in superseded(source):
            names.discard(one.directory.name)
            (target / one.directory.name).mkdir(mode=0o700)
            for path in one.directory.iterdir():
                _copy_file(path, target / one.directory.name / path.name)
            sync_directory(target / one.directory.name)
        for name in ("adopted", *sorted(names), "tail"):
            if name != "tail" or (source / name).exists():  # there is none if all that it has lies aside
                _copy_file(source / name, target / name)
        owner = source.stat()
        if os.geteuid() == 0:
            os.chown(target, owner.st_uid, owner.st_gid)
        _give_to_owner(target)
        sync_directory(target)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)  # half of it is no slot, and the next try wants the name
        raise
    finally:
        os.close(lock)


def _copy_file(source: Path, target: Path) -> None:
    shutil.copy2(source, target)
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
