"""Writes what was decided of the ends of sessions that sent no Stop; waits for nobody."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from aaad.db.connection import Transaction
from aaad.db.statements import load_statements
from aaad.sessions.arrays import keys
from aaad.sessions.verdicts import Verdict

_ENDS_PER_WORD = 500  # whoever looks at their leases takes a few words at a time

_SQL = load_statements(Path(__file__).with_name("sessions.sql"))


async def save_verdicts(transaction: Transaction, verdicts: Sequence[Verdict]) -> list[bytes]:
    """Write verdicts; returns families of which somebody holds or has changed a session: they stay as they are."""
    if not verdicts:
        return []
    by_key = {(verdict.family, verdict.life): verdict for verdict in verdicts}
    columns = zip(*[(each.family.hex(), each.life, each.version) for each in verdicts], strict=True)
    free = await transaction.fetch(_SQL.lock_rivals, *columns)
    ends = [by_key.pop((row[0], row[1])) for row in free]
    if ends:
        await transaction.execute(_SQL.end_rivals, *_end_columns(ends))
        await note_ends(transaction, [verdict.family for verdict in ends if verdict.ending is not None])
    return [family for family, _ in by_key]


async def note_ends(transaction: Transaction, families: Sequence[bytes]) -> None:
    """Leave word of sessions that have ended: their leases may be released."""
    for start in range(0, len(families), _ENDS_PER_WORD):
        await transaction.execute(_SQL.add_ends, keys(families[start : start + _ENDS_PER_WORD]))


def _end_columns(verdicts: Sequence[Verdict]) -> Iterable[Sequence[object]]:
    return zip(
        *[
            (
                verdict.family.hex(),
                verdict.life,
                verdict.version,
                verdict.ending.evidence if verdict.ending is not None else None,
                verdict.ending.latest_s if verdict.ending is not None else None,
            )
            for verdict in verdicts
        ],
        strict=True,
    )
