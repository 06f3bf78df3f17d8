"""What operators ask about sessions finds its rows by indexes, however long history is: 100,000 of a year."""

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from aaad.db.embedded import EmbeddedPostgres
from aaad.sessions.reports import SQL, Moment, Wanted, Whose, conditions

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
COLUMNS = """family, life, summary, acct_session_id, user_name, login_id, client_id, contract_id, plan_id, time_zone,
    nas_id, source_address, nas_identifier, mac, ipv4, started_at, start_seen, heard_at, ended_at, ended_latest,
    end_evidence, terminate_cause, octets_in, octets_out, days, day_octets_in, day_octets_out, records"""
# Of session n: 5,000 logins, each with a device and addresses of its own, at 20 concentrators.
OF_SESSION = """md5(n::text)::uuid, 0, '', n::text, 'user' || n % 5000, n % 5000, n % 5000, n % 5000, n % 7,
    'America/Sao_Paulo', n % 20, '192.0.2.1', '', ('020000' || lpad(to_hex(n % 5000), 6, '0'))::macaddr,
    CASE WHEN n % 5 = 0 THEN '100.64.0.0'::inet + n % 5000 END"""
FILL = f"""
INSERT INTO net.session ({COLUMNS})
SELECT {OF_SESSION}, now() - interval '1 day', true, now(), NULL, NULL, NULL, NULL, 1, 1, '{{}}', '{{}}', '{{}}', 2
FROM generate_series(1, 10000) AS n;
SELECT net.make_history_month(now() - month * interval '1 month') FROM generate_series(0, 12) AS month;
INSERT INTO net.session_history ({COLUMNS})
SELECT {OF_SESSION},
    ended - interval '5 hours', true, ended, ended, ended, 'stop', 1, 1, 1, ARRAY[ended::date], '{{1}}', '{{1}}', 2
FROM (
    SELECT n, now() - (100001 - n) * interval '1 year' / 90000 AS ended FROM generate_series(10001, 100000) AS n
) AS told;
ANALYZE net.session;
ANALYZE net.session_history;
"""


@pytest.fixture(scope="module")
def dsn_of_a_year(postgres: EmbeddedPostgres, _template: str) -> Iterator[str]:
    async def make() -> None:
        maker = await asyncpg.connect(postgres.dsn("postgres"))
        await maker.execute(f"CREATE DATABASE report_plans TEMPLATE {_template}")
        await maker.close()
        db = await asyncpg.connect(postgres.dsn("report_plans"))
        await db.execute(FILL)
        await db.close()

    asyncio.run(make())
    yield postgres.dsn("report_plans")


class Scan:
    """One table as a plan reads it."""

    def __init__(self, node: dict[str, Any]) -> None:
        self.table = node["Relation Name"]
        self.kind = node["Node Type"]
        # A bitmap's index stands below its table.
        self.index = next(
            (found["Index Name"] for found in [node, *node.get("Plans", [])] if "Index Name" in found), ""
        )

    def __repr__(self) -> str:
        return f"{self.kind} on {self.table}"


def scans_of(node: dict[str, Any]) -> Iterator[Scan]:
    if node.get("Relation Name", "").startswith("session"):
        yield Scan(node)
    for child in node.get("Plans", []):
        yield from scans_of(child)


async def scans(dsn: str, sql: str, *arguments: object) -> list[Scan]:
    """The scans of sessions' tables, planned as for one command: its arguments are known."""
    db = await asyncpg.connect(dsn, server_settings={"jit": "off"})
    try:
        (told,) = await db.fetchrow("EXPLAIN (FORMAT JSON) " + sql.rstrip().rstrip(";"), *arguments)
    finally:
        await db.close()
    return list(scans_of(json.loads(told)[0]["Plan"]))


def walked(found: list[Scan]) -> list[Scan]:
    return [scan for scan in found if scan.kind == "Seq Scan" and scan.table != "session_history_rest"]


CLOSED = ("closed",)
OF_FEW = [
    Wanted(whose=Whose([17])),
    Wanted(whose=Whose([17]), states=CLOSED),
    Wanted(whose=Whose(user_name="stranger")),
    Wanted(whose=Whose(user_name="stranger"), states=CLOSED),
    Wanted(mac="02:00:00:00:00:17"),
    Wanted(mac="02:00:00:00:00:17", states=CLOSED),
    Wanted(address="100.64.0.17/32"),
    Wanted(address="100.64.0.16/29", states=CLOSED),
    Wanted(address="2001:db8::/56"),
    Wanted(address="2001:db8::/56", states=CLOSED),
    Wanted(nas_id=3, states=CLOSED, ended_since=Moment(NOW - timedelta(hours=2))),
]


@pytest.mark.parametrize("wanted", OF_FEW, ids=str)
@pytest.mark.parametrize("statement", ["find_sessions", "count_sessions"])
async def test_lists_and_counts_of_few_walk_through_no_table(
    dsn_of_a_year: str, wanted: Wanted, statement: str
) -> None:
    found = await scans(dsn_of_a_year, SQL[statement], *conditions(wanted), 101)
    assert found
    assert walked(found) == []


async def test_live_sessions_are_asked_of_the_small_table_only(dsn_of_a_year: str) -> None:
    found = await scans(dsn_of_a_year, SQL.find_sessions, *conditions(Wanted(nas_id=3)), 101)
    assert {scan.table for scan in found} == {"session"}


async def test_closed_ones_of_a_time_are_asked_of_its_months_only(dsn_of_a_year: str) -> None:
    since = Moment(NOW - 40 * DAY)
    found = await scans(dsn_of_a_year, SQL.find_sessions, *conditions(Wanted(states=CLOSED, ended_since=since)), 101)
    months = {scan.table for scan in found} - {"session", "session_history_rest"}
    assert 1 <= len(months) <= 3


async def test_closed_ones_of_a_short_time_are_found_by_the_time(dsn_of_a_year: str) -> None:
    wanted = Wanted(states=CLOSED, ended_since=Moment(NOW - timedelta(hours=2)))
    found = await scans(dsn_of_a_year, SQL.find_sessions, *conditions(wanted), 101)
    assert {scan.table for scan in walked(found)} <= {"session"}  # small, and an index would cost each Stop much
    by_time = {scan.index for scan in found}
    assert re.search(r"session_history_\d{4}_\d{2}_ended_at_idx", " ".join(by_time))


@pytest.mark.parametrize("whose", [Whose([17]), Whose(user_name="stranger")], ids=str)
async def test_statements_and_usage_of_a_login_walk_through_no_table(dsn_of_a_year: str, whose: Whose) -> None:
    local = datetime(NOW.year - 1, 12, 1)
    period = (NOW - 30 * DAY, local, NOW, None)
    for sql, rest in ((SQL.statement_by_session, (True, 1_001)), (SQL.statement_by_device, (1_001,))):
        assert walked(await scans(dsn_of_a_year, sql, *whose, *period, *rest)) == []
    assert walked(await scans(dsn_of_a_year, SQL.live_sessions_of, *whose, 20)) == []
    usage = await scans(dsn_of_a_year, SQL.used_by_day, 17, date(NOW.year, 1, 1), date(NOW.year, 1, 31), 31)
    assert walked(usage) == []
    assert walked(await scans(dsn_of_a_year, SQL.usage_of_nobody, 17)) == []


async def test_a_session_is_found_by_its_short_name_by_keys(dsn_of_a_year: str) -> None:
    digits = "3f9a0c21be55"
    least, most = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
    assert walked(await scans(dsn_of_a_year, SQL.sessions_named, least, most, 0, 20)) == []
    closing = await scans(dsn_of_a_year, SQL.close_session, least, 0, "why")
    assert walked(closing) == []
