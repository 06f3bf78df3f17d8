"""Ended sessions in partitions by month, and back: nothing slows down as history grows."""

from datetime import timedelta
from uuid import UUID

import asyncpg


def family(number: int) -> UUID:
    return UUID(int=number)


INSERT = """
INSERT INTO net.session (family, life, summary, acct_session_id, user_name, time_zone, nas_id, source_address,
    nas_identifier, started_at, start_seen, heard_at, ended_at, ended_latest, end_evidence, records)
VALUES ($1, $2, ''::bytea, '81', 'ana', 'America/Sao_Paulo', 1, '192.0.2.1', ''::bytea,
    $3::timestamptz - interval '1 hour', true, $3, $3, $3, 'stop', 2)
"""
TO_HISTORY = """
WITH gone AS (DELETE FROM net.session WHERE family = $1 RETURNING *) INSERT INTO net.session_history SELECT * FROM gone
"""


async def test_a_session_comes_back_whole(dsn):
    db = await asyncpg.connect(dsn)
    ended = await db.fetchval("SELECT now() - interval '2 days'")
    await db.execute(INSERT, family(1), 0, ended)
    before = await db.fetch("SELECT * FROM net.session")
    await db.execute(TO_HISTORY, family(1))
    assert await db.fetch("SELECT * FROM net.recall_session($1, $2)", [family(1)], ended) == before
    assert await db.fetch("SELECT * FROM net.session") == before
    assert await db.fetch("SELECT FROM net.session_history") == []
    assert await db.fetch("SELECT * FROM net.recall_session($1)", [family(1)]) == []
    await db.close()


async def test_what_ended_before_is_not_meant(dsn):
    db = await asyncpg.connect(dsn)
    ended = await db.fetchval("SELECT now() - interval '2 days'")
    await db.execute(INSERT, family(1), 0, ended)
    await db.execute(TO_HISTORY, family(1))
    recall = "SELECT count(*) FROM net.recall_session($1, $2::timestamptz + $3)"
    assert await db.fetchval(recall, [family(1)], ended, timedelta(seconds=1)) == 0
    assert await db.fetchval(recall, [family(1)], ended, timedelta(0)) == 1
    await db.close()


async def test_lives_whose_numbers_came_again_get_others(dsn):
    db = await asyncpg.connect(dsn)
    at = await db.fetchval("SELECT now() - interval '2 days'")
    for hours in (0, 3):
        await db.execute(INSERT, family(1), 0, at + timedelta(hours=hours))
        await db.execute(TO_HISTORY, family(1))
    await db.execute(INSERT, family(1), 0, at + timedelta(hours=6))
    recalled = await db.fetch("SELECT life, ended_at FROM net.recall_session($1)", [family(1)])
    assert sorted(row["ended_at"] for row in recalled) == [at, at + timedelta(hours=3)]
    assert sorted(row["life"] for row in await db.fetch("SELECT life FROM net.session")) == [0, 1, 2]
    await db.close()
