"""Writes into the ledger what processes gave out of their reserves while PostgreSQL was away (rule R7.2).

Within the drain's transaction; waits for nobody's rows: what somebody else holds is named to the caller, to be tried
again later. A record may come any number of times. Decides nothing: `bound.py` does.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from aaad.db.connection import Transaction
from aaad.db.statements import load_statements
from aaad.log import get_logger
from aaad.metrics import CounterFile
from aaad.sessions.bound import Judged, Key, Row, Verdict, judge, key_of, rounds_of
from aaad.spool.records import AddressBound

_SQL = load_statements(Path(__file__).with_name("addresses.sql"))
_TOLD_MAX = 20  # of one batch in the log

ADDRESS_COUNTERS = [
    f"aaad_drain_addresses_total|outcome={outcome}" for outcome in ("bound", "known", "late", "conflict")
]
_OUTCOMES = {Verdict.BIND: "bound", Verdict.KNOWN: "known", Verdict.LATE: "late"}

_log = get_logger("drain")


class Told(NamedTuple):
    """A record, and what the ledger made of it."""

    record: AddressBound
    judged: Judged


class Written(NamedTuple):
    """What became of a batch: all but those of addresses that somebody holds."""

    told: list[Told]
    held: set[Key]


async def write_bound(transaction: Transaction, records: Sequence[AddressBound]) -> Written:
    """Take records over into the ledger."""
    written = Written([], set())
    if not records:
        return written
    rows = await transaction.fetch(_SQL.find_pools, sorted({record.pool_id for record in records}))
    pools = {row["id"] for row in rows}
    for batch in rounds_of(records):
        free = [record for record in batch if key_of(record) not in written.held]
        if free:
            await _write_round(transaction, free, pools, written)
    findings = [told for told in written.told if told.judged.finding]
    if findings:
        await transaction.execute(_SQL.note_findings, *_finding_columns(findings))
    return written


async def _write_round(
    transaction: Transaction, records: list[AddressBound], pools: set[int], written: Written
) -> None:
    """Take over records of different addresses."""
    rows = await transaction.fetch(_SQL.lock_leases, *_columns(records)[:2])
    known = {(row[0], row[1]): Row(*row[2:]) for row in map(tuple, rows)}
    told = [Told(record, judge(record, known.get(key_of(record)), pools)) for record in records]
    added = [item for item in told if key_of(item.record) not in known]
    if added:
        states = ["bound" if item.judged.verdict is Verdict.BIND else "foreign" for item in added]
        made = await transaction.fetch(_SQL.add_leases, *_columns([item.record for item in added]), states)
        written.held.update({key_of(item.record) for item in added} - {(row[0], row[1]) for row in made})
    bound = [item.record for item in told if item.judged.verdict is Verdict.BIND and key_of(item.record) in known]
    if bound:
        await transaction.execute(_SQL.bind_known, *_columns(bound))
    written.told.extend(item for item in told if key_of(item.record) not in written.held)


def _columns(records: Sequence[AddressBound]) -> tuple[list[object], ...]:
    return (
        [record.address_space for record in records],
        [record.address for record in records],
        [record.pool_id for record in records],
        [record.login_id for record in records],
        [record.device for record in records],
        [record.nas_id for record in records],
        [record.at_s for record in records],
        [record.valid_s for record in records],
    )


def _finding_columns(findings: Sequence[Told]) -> tuple[list[object], ...]:
    # One row for each key of the table: the last one tells.
    last = {(key_of(item.record), item.judged.finding, item.record.login_id): item for item in findings}
    items = [last[key] for key in sorted(last)]
    return (
        [item.record.address_space for item in items],
        [item.record.address for item in items],
        [item.judged.finding for item in items],
        [item.record.login_id for item in items],
        [item.judged.holder_id for item in items],
        [item.record.nas_id for item in items],
        [item.record.at_s for item in items],
    )


def note_told(counters: CounterFile, told: Sequence[Told]) -> None:
    """Count what was committed, and tell loudly of each address that the ledger says otherwise of."""
    for item in told:
        counters.add(f"aaad_drain_addresses_total|outcome={_OUTCOMES.get(item.judged.verdict, 'conflict')}")
    for record, judged in [item for item in told if item.judged.finding][:_TOLD_MAX]:
        _log.error(
            "drain.address_conflict",
            finding=judged.finding,
            address=record.address,
            address_space=record.address_space,
            login_id=record.login_id,
            holder_id=judged.holder_id,
            nas_id=record.nas_id,
            remedy="aaad pool check",
        )
