"""Rows of sessions as the drain writes them, for tests of what becomes of them."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_DEFAULTS: dict[str, Any] = {
    "life": 0,
    "summary": b"",
    "acct_session_id": "81",
    "user_name": "ana",
    "time_zone": "America/Sao_Paulo",
    "nas_id": 1,
    "source_address": "192.0.2.1",
    "nas_identifier": b"",
    "start_seen": True,
    "records": 2,
}


async def add_session(
    db: asyncpg.Connection, *, started: datetime, heard: datetime, ended: bool = False, **columns: Any
) -> UUID:
    """Insert a session; with `ended` it had its Stop when it was last heard."""
    row = _DEFAULTS | {"family": uuid4(), "started_at": started, "heard_at": heard} | columns
    if ended:
        row = {"ended_at": heard, "ended_latest": heard, "end_evidence": "stop"} | row
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await db.execute(f"INSERT INTO net.session ({', '.join(row)}) VALUES ({places})", *row.values())
    return row["family"]


def reported(days: dict[date, tuple[int, int]]) -> dict[str, Any]:
    """Columns of the highest counters, in and out, that were reported until the end of each day."""
    return {
        "days": list(days),
        "day_octets_in": [octets_in for octets_in, _ in days.values()],
        "day_octets_out": [octets_out for _, octets_out in days.values()],
    }


async def drained(db: asyncpg.Connection, until: datetime, name: str = "n1") -> None:
    """Say how far a node is drained."""
    await db.execute(
        "INSERT INTO net.node (name, drain_watermark) VALUES ($1, $2) "
        "ON CONFLICT (name) DO UPDATE SET drain_watermark = $2",
        name,
        until,
    )
