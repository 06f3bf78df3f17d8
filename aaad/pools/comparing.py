"""Compares what live sessions report with the ledger, a bit of the sessions at a time; judged in `reported.py`.

Ends findings that nobody sees any more, and forgets them after a while.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from aaad.db.connection import Database, Row, Transaction
from aaad.policy.lease import device_of
from aaad.pools.chore import SQL, count, next_bit
from aaad.pools.reported import Action, Report, Verdict, judge

REPORTS_BLOCKS = 1_000  # 8 MB: some 4,000 sessions, pages being filled to less than half
REPORTS_EVERY_S = 15.0
# On the average: a larger table has longer pauses, as reading it takes room in memory from the drain.
REPORTS_BLOCKS_PER_S = 2_000
SETTLED_S = 60.0  # before a session began all must be drained for so long, until what it reports is judged
SETTLE_LATEST_S = 900.0
FINDINGS_AT_ONCE = 1_000
FINDINGS_KEPT_S = 90 * 86_400.0
FOREIGN_S = 86_400  # how long a mark holds that belongs to no pool


class Compared(NamedTuple):
    """What came of a bit."""

    adopted: int = 0
    marked: int = 0
    opened: Sequence[dict[str, Any]] = ()
    adopting: Sequence[int] = ()  # pools that began to adopt
    is_more: bool = False


class _Judged(NamedTuple):
    row: Row
    verdict: Verdict

    @property
    def is_known(self) -> bool:
        """Whether the ledger has a row of it."""
        return self.row["state"] is not None

    @property
    def device(self) -> int:
        row = self.row
        mac = int(row["mac"].replace(":", ""), 16) if row["mac"] else 0
        return device_of(mac, row["calling_station_id"] or "", row["nas_id"], row["nas_port_id"] or "")


async def compare_reports(database: Database) -> Compared:
    """Compare the next sessions, if it is due and no other node is at it."""
    async with next_bit(database, "reports") as bit:
        if bit is None:
            return Compared()
        first, until = await bit.blocks(SQL.session_blocks, REPORTS_BLOCKS, REPORTS_EVERY_S)
        if not bit.is_more:
            bit.pause_s = max(bit.pause_s, until / REPORTS_BLOCKS_PER_S)
        rows = await bit.transaction.fetch(SQL.find_reports, first, until, SETTLED_S)
        judged = _first_of_each([_Judged(row, judge(_report(row))) for row in rows])
        compared = await _write(bit.transaction, judged)
        if not bit.is_more:
            await bit.transaction.execute(SQL.settle_findings, bit.began_at, SETTLE_LATEST_S, FINDINGS_AT_ONCE)
            await bit.transaction.execute(SQL.purge_findings, FINDINGS_KEPT_S, FINDINGS_AT_ONCE)
    return compared._replace(is_more=bit.is_more)


def _report(row: Row) -> Report:
    return Report(
        login_id=row["login_id"],
        is_settled=bool(row["is_settled"]),
        in_pool=row["pool_id"] is not None,
        is_adopting=bool(row["is_adopting"]),
        lived_before=row["lived_before"],
        is_of_its_reserve=row["is_of_its_reserve"],
        state=row["state"],
        holder_id=row["holder_id"],
        holder_lives=row["holder_lives"],
    )


def _first_of_each(judged: list[_Judged]) -> list[_Judged]:
    """Let the session that began last have an address that two report; the next round judges the other one."""
    judged.sort(key=lambda one: (one.row["address_space"], one.row["address"], -one.row["started_at"].timestamp()))
    kept: list[_Judged] = []
    taken: set[tuple[int, str]] = set()
    for one in judged:
        place = (one.row["address_space"], one.row["address"])
        if one.verdict.action is Action.NOTHING:
            kept.append(one)
        elif place not in taken:
            taken.add(place)
            kept.append(one)
    return kept


async def _write(transaction: Transaction, judged: list[_Judged]) -> Compared:
    binds = [one for one in judged if one.verdict.action is Action.BIND]
    marks = [one for one in judged if one.verdict.action is Action.MARK]
    adopted = await _bind(transaction, binds)
    marked = await _mark(transaction, marks)
    pools = sorted({one.row["pool_id"] for one in judged if one.verdict.adopts})
    begun = await transaction.fetch(SQL.begin_adoption, pools) if pools else []
    return Compared(adopted, marked, await _open_findings(transaction, judged), [row["pool_id"] for row in begun])


async def _bind(transaction: Transaction, binds: list[_Judged]) -> int:
    bound = 0
    known, new = [one for one in binds if one.is_known], [one for one in binds if not one.is_known]
    if known:
        tag = await transaction.execute(
            SQL.bind_known, *_places(known), _column(known, "changed"), _column(known, "pool_id"), *_holders(known),
            _column(known, "started_at"),
        )  # fmt: skip
        bound += count(tag)
    if new:
        tag = await transaction.execute(
            SQL.bind_new, *_places(new), _column(new, "pool_id"), *_holders(new), _column(new, "started_at")
        )
        bound += count(tag)
    return bound


async def _mark(transaction: Transaction, marks: list[_Judged]) -> int:
    marked = 0
    known, new = [one for one in marks if one.is_known], [one for one in marks if not one.is_known]
    if known:
        tag = await transaction.execute(
            SQL.mark_known, *_places(known), _column(known, "changed"), *_holders(known), FOREIGN_S
        )
        marked += count(tag)
    if new:
        marked += count(
            await transaction.execute(SQL.mark_new, *_places(new), _column(new, "pool_id"), *_holders(new))
        )
    return marked


async def _open_findings(transaction: Transaction, judged: list[_Judged]) -> list[dict[str, Any]]:
    """Open what was found, refresh what is known; return what is new."""
    found = [one for one in judged if one.verdict.finding is not None]
    if not found:
        return []
    rows = await transaction.fetch(
        SQL.open_findings,
        *_places(found),
        [str(one.verdict.finding) for one in found],
        _column(found, "login_id"),
        [one.row["holder_id"] if one.row["holder_id"] != one.row["login_id"] else None for one in found],
        _column(found, "nas_id"),
    )
    return [{name: value for name, value in row.items() if name != "is_new"} for row in rows if row["is_new"]]


def _column(judged: list[_Judged], name: str) -> list[Any]:
    return [one.row[name] for one in judged]


def _places(judged: list[_Judged]) -> tuple[list[Any], list[Any]]:
    return _column(judged, "address_space"), _column(judged, "address")


def _holders(judged: list[_Judged]) -> tuple[list[Any], list[int], list[Any]]:
    return _column(judged, "login_id"), [one.device for one in judged], _column(judged, "nas_id")
