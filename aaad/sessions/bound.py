"""What the ledger makes of an address that a process gave out while PostgreSQL was away (rule R7.2).

Pure. The address came of the process's own reserve, so nobody else should have it. Should the ledger say otherwise it
is right, since others act by it: nothing of it is overwritten, and what does not fit is a finding. A record that is
late tells of the past: it brings nothing back that has ended, or that another has had since.
"""

from collections.abc import Collection, Iterable
from enum import Enum
from typing import NamedTuple

from aaad.spool.records import AddressBound

_SAME_S = 0.001  # PostgreSQL keeps microseconds

Key = tuple[int, str]  # address space, address


class Row(NamedTuple):
    """A row of the ledger; times are Unix seconds."""

    state: str
    login_id: int | None
    offered_at_s: float | None
    released_at_s: float | None


class Verdict(Enum):
    """What becomes of a record."""

    BIND = "bind"
    MARK = "mark"  # its pool is gone: nobody else may have it
    KNOWN = "known"
    LATE = "late"  # it has ended, or another has had it since
    CONFLICT = "conflict"  # another has it


class Judged(NamedTuple):
    """A verdict, and the finding that goes with it."""

    verdict: Verdict
    finding: str = ""  # a kind of net.address_finding; empty: none
    holder_id: int | None = None


def key_of(record: AddressBound) -> Key:
    """Return by what the ledger knows an address."""
    return record.address_space, record.address


def judge(record: AddressBound, row: Row | None, pools: Collection[int]) -> Judged:
    """Judge one record; `row` is what the ledger has of its address, `pools` which of the pools exist."""
    if row is None:
        return Judged(Verdict.BIND) if record.pool_id in pools else Judged(Verdict.MARK, "not_given")
    if row.state in ("bound", "fixed"):
        return _judge_held(record, row)
    is_own = row.login_id in (None, record.login_id)
    if row.state == "foreign":
        if not is_own:
            return Judged(Verdict.CONFLICT, "of_another", row.login_id)
        return Judged(Verdict.BIND) if record.pool_id in pools else Judged(Verdict.KNOWN, "not_given")
    if _is_over(record, row):
        return Judged(Verdict.LATE)
    if not is_own and _is_later(row.released_at_s, record):
        return Judged(Verdict.BIND, "of_another", row.login_id)  # both had it for a while
    return Judged(Verdict.BIND)


def _judge_held(record: AddressBound, row: Row) -> Judged:
    if row.login_id != record.login_id:
        return Judged(Verdict.CONFLICT, "of_another", row.login_id)
    if row.state == "fixed" or not _is_before(row.offered_at_s, record):
        return Judged(Verdict.KNOWN)
    return Judged(Verdict.BIND)


def _is_over(record: AddressBound, row: Row) -> bool:
    """Whether what a record tells of had ended when the address was released."""
    if row.login_id == record.login_id:
        return _is_later(row.released_at_s, record)
    return _is_later(row.offered_at_s, record)


def _is_later(at_s: float | None, record: AddressBound) -> bool:
    return at_s is not None and at_s > record.at_s + _SAME_S


def _is_before(at_s: float | None, record: AddressBound) -> bool:
    return at_s is None or at_s < record.at_s - _SAME_S


def rounds_of(records: Iterable[AddressBound]) -> list[list[AddressBound]]:
    """Return the records so that each address comes once in a list, in the order of keys, and older ones before.

    Of several for one login, one after the other, only the last counts.
    """
    of_key: dict[Key, list[AddressBound]] = {}
    for record in sorted(records, key=lambda record: (key_of(record), record.at_s, record.login_id, record.device)):
        before = of_key.setdefault(key_of(record), [])
        if before and before[-1].login_id == record.login_id:
            before[-1] = record
        else:
            before.append(record)
    most = max(map(len, of_key.values()), default=0)
    return [[found[place] for found in of_key.values() if place < len(found)] for place in range(most)]
