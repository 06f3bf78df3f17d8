"""The history that the bench makes up is what the bench says of it."""

import datetime as dt
import sys
from ipaddress import ip_address
from pathlib import Path

import asyncpg

BENCH = Path(__file__).resolve().parents[2] / "bench"


async def test_made_up_sessions_stand_in_the_table_as_computed(dsn: str, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", [str(BENCH), *sys.path])
    import history

    months = history.months_before(dt.datetime(2026, 3, 15, tzinfo=dt.UTC), 2, 20, 120)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "INSERT INTO net.nas (name, address, secret) VALUES ('bench', '127.0.0.0/8', 'secret')"
        )
        for _ in range(2):  # the second time they are there already
            assert [month async for month in history.fill(connection, months)] == months
        rows = await connection.fetch(
            "SELECT login_id, host(ipv4) AS address, started_at, ended_at, tableoid::regclass::text AS place "
            "FROM net.session_history ORDER BY login_id, started_at"
        )
        found = await connection.fetchval("SELECT count(DISTINCT mac) FROM net.session_history")
    finally:
        await connection.close()
    assert found == 20
    computed = {
        (ended.login_id, ended.address, f"net.{month.table}", ended.started_at, ended.ended_at)
        for month in months
        for number in range(20)
        for ended in (month.session(number, nth) for nth in range(3))
    }
    assert len(rows) == len(computed) == 120
    for row, (login_id, address, place, started_at, ended_at) in zip(rows, sorted(computed, key=_order), strict=True):
        assert (row["login_id"], ip_address(row["address"]), row["place"]) == (login_id, address, place)
        assert abs(row["started_at"] - started_at) + abs(row["ended_at"] - ended_at) < dt.timedelta(milliseconds=1)


def _order(session: tuple) -> tuple:
    return session[0], session[3]
