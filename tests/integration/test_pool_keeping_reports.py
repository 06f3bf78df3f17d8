"""What concentrators report is compared with the ledger: adopted, marked, found, settled (rules R7.1, R7.3)."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from ledger_rows import MINUTE, SECOND, Ledger, one_database, opened_ledger
from session_rows import DAY, HOUR, NOW, drained

from aaad.db.connection import Database
from aaad.pools import adopting, comparing
from aaad.pools.facts import read_ledger_facts
from aaad.pools.keeping import ADOPTED, FREED, MARKED
from aaad.pools.reports import PoolReports
from aaad.pools.store import LedgerStore

A, B = "100.64.0.1/32", "100.64.0.2/32"
OLD = {"started": NOW - HOUR}


@pytest.fixture(scope="module")
def dsn(postgres, _template):
    yield from one_database(postgres)


@pytest.fixture
async def ledger(dsn, tmp_path):
    async with opened_ledger(dsn, tmp_path) as opened:
        await opened.db.execute(
            "INSERT INTO net.router (id, nas_id, source_address, first_seen, last_seen) "
            "VALUES (1, 1, '192.0.2.1', $1, $1), (2, 2, '192.0.2.2', $1, $1)", NOW - 90 * DAY,
        )  # fmt: skip
        yield opened


@pytest.fixture
async def pool(ledger: Ledger) -> int:
    made = await ledger.pool("100.64.0.0", "100.64.0.15", made_at=NOW - 60 * DAY)
    await ledger.node()
    return made


# --- what was not given out here ----------------------------------------------------------------------------------


async def test_complaint_30_an_address_that_another_gave_out_is_found_and_nobody_gets_it(ledger, pool):
    """Two owners of a pool: what the other one gives out is marked, until nobody has it any more."""
    node = await ledger.node()
    family = await ledger.session("100.64.0.1", 1, **OLD)
    unknown = await ledger.session("100.64.0.3", None, **OLD)
    await ledger.run("reports", "reports")
    assert await ledger.state(A) == ("foreign", 1)
    assert await ledger.findings() == [("not_given", A, 1, None), ("not_given", "100.64.0.3/32", None, None)]
    assert ledger.counted(MARKED) == 2
    assert (await ledger.check())["p"]["reported"] == 2
    await ledger.claim(pool, node, 16)
    assert (await ledger.check())["p"]["reserved"] == 14
    for session in (family, unknown):
        await ledger.end(session)
    await ledger.run("reports", "leases")
    assert await ledger.findings() == []
    assert await ledger.state(A) == ("foreign", 1)  # for a while: it may only be silent
    await ledger.db.execute("UPDATE net.lease SET free_from = $1", NOW - SECOND)
    await ledger.run("leases")
    assert ledger.counted(FREED) == 2
    assert await ledger.of(A) == {}
    assert (await ledger.check())["p"]["reserved"] == 16


async def test_a_mark_stays_while_it_is_reported_and_then_what_was_given_out_before_is_free(ledger, pool):
    await ledger.claim(pool, await ledger.node(), 16)
    await ledger.db.execute("UPDATE net.reserve SET abandoned_at = $1", NOW - HOUR)
    await ledger.run("reserves")
    family = await ledger.session("100.64.0.1", 1, **OLD)
    await ledger.run("reports")
    assert await ledger.state(A) == ("foreign", 1)
    await ledger.db.execute("UPDATE net.lease SET free_from = $1 WHERE state = 'foreign'", NOW - SECOND)
    await ledger.run("leases")
    assert (await ledger.of(A))["free_from"] > NOW + 23 * HOUR
    await ledger.end(family)
    await ledger.db.execute("UPDATE net.lease SET free_from = $1 WHERE state = 'foreign'", NOW - SECOND)
    await ledger.run("leases")
    assert await ledger.state(A) == ("released", None)
    assert (await ledger.check())["p"]["resting"] == 1


async def test_a_finding_that_one_round_did_not_see_stays_while_the_address_is_reported(ledger, pool):
    """Its session may have been written to another block meanwhile; after a quarter of an hour it is over."""
    await ledger.lease(A, pool, 1, offered=NOW - HOUR)
    await ledger.session("100.64.0.1", 1, **OLD)
    await ledger.db.execute(
        "INSERT INTO net.address_finding (address_space, address, kind, login_id, last_seen) "
        "VALUES (1, $1::text::cidr, 'not_given', 1, now() - interval '14 minutes')",
        A,
    )
    await ledger.run("reports")
    await ledger.keeper.show()
    assert await ledger.findings() == [("not_given", A, 1, None)]
    assert read_ledger_facts(ledger.directory).findings == {"not_given": 1}
    await ledger.db.execute("UPDATE net.address_finding SET last_seen = last_seen - interval '2 minutes'")
    await ledger.run("reports")
    await ledger.keeper.show()
    assert await ledger.findings() == []
    assert read_ledger_facts(ledger.directory).findings == {}


async def test_complaint_32_no_address_is_none(ledger, pool):
    """It is neither marked nor taken for another one than the login was given."""
    await ledger.claim(pool, await ledger.node())
    for n, address in enumerate(("0.0.0.0", "255.255.255.254", "255.255.255.255"), 1):
        await ledger.lease(f"100.64.0.{n}/32", pool, n, offered=NOW - 2 * HOUR, valid_until=NOW)
        await ledger.session(address, n, **OLD)
    await ledger.run("ends", "leases", "reports")
    assert await ledger.findings() == []
    for n in (1, 2, 3):
        lease = await ledger.of(f"100.64.0.{n}/32")
        assert lease["state"] == "bound"
        assert lease["valid_until"] > NOW + 23 * HOUR


async def test_what_a_login_was_given_and_another_address_that_it_reports_instead_is_found(ledger, pool):
    await ledger.claim(pool, await ledger.node())
    await ledger.lease(A, pool, offered=NOW - 2 * HOUR)
    await ledger.session("10.9.9.9", **OLD)
    await ledger.run("reports")
    assert await ledger.findings() == [("other_address", "10.9.9.9/32", 1, None)]


async def test_complaint_31_an_address_of_another_stays_his_whoever_reports_it(ledger, pool):
    await ledger.db.execute("UPDATE erp.login SET ipv4 = '100.64.0.9' WHERE id = 3")
    await ledger.claim(pool, await ledger.node())
    await ledger.lease(A, pool, offered=NOW - DAY)
    await ledger.session("100.64.0.1", 1, started=NOW - DAY)
    await ledger.session("100.64.0.1", 2, **OLD)
    await ledger.session("100.64.0.9", 2, **OLD)
    await ledger.run("reports", "ends", "leases")
    assert await ledger.findings() == [("of_another", A, 2, 1), ("of_another", "100.64.0.9/32", 2, 3)]
    assert [await ledger.state(unit) for unit in (A, "100.64.0.9/32")] == [("bound", 1), ("fixed", 3)]


async def test_what_its_login_does_not_use_any_more_and_another_reports_is_marked_as_the_others(ledger, pool):
    await ledger.claim(pool, await ledger.node())
    await ledger.lease(A, pool, offered=NOW - DAY)
    await ledger.session("100.64.0.1", 2, **OLD)
    await ledger.run("leases")
    assert await ledger.state(A) == ("bound", 1)  # it is in use, and nobody's to give
    await ledger.run("reports")
    assert await ledger.state(A) == ("foreign", 2)
    await ledger.session("100.64.0.1", 3, **OLD)
    await ledger.run("reports")
    assert await ledger.state(A) == ("foreign", 2)
    assert ("twice", A, 3, 2) in await ledger.findings()


async def test_nothing_is_judged_before_what_may_tell_of_it_is_drained(ledger, pool):
    """What was bound while PostgreSQL was away is told by a spool that may be drained after the session's Start."""
    await ledger.session("100.64.0.1", 1, started=NOW - 30 * SECOND)
    await ledger.session("100.64.0.2", 2, **OLD)
    await drained(ledger.db, NOW - 2 * HOUR, "n2")
    await ledger.run("reports")
    assert await ledger.state(A) == await ledger.state(B) == (None, None)
    await ledger.lease(A, pool, offered=NOW - 30 * SECOND)
    await ledger.lease(B, pool, 2, offered=NOW - HOUR)
    await drained(ledger.db, NOW + HOUR, "n2")
    await drained(ledger.db, NOW + HOUR)
    await ledger.run("reports")
    assert await ledger.findings() == []
    assert await ledger.state(A) == ("bound", 1)


async def test_r7_1_two_address_spaces_have_the_same_addresses(ledger, pool):
    other = await ledger.pool("100.64.0.0", "100.64.0.15", name="q", space=2, made_at=NOW - 60 * DAY)
    node = await ledger.node()
    for each in (pool, other):
        await ledger.claim(each, node)
    await ledger.lease(A, pool, 1, offered=NOW - HOUR)
    await ledger.lease(A, other, 2, offered=NOW - HOUR, address_space=2, nas_id=3)
    await ledger.session("100.64.0.1", 1, **OLD)
    second = await ledger.session("100.64.0.1", 2, nas_id=3, source_address="192.0.2.3", address_space=2, **OLD)
    await ledger.run("reports", "leases", "ends")
    assert await ledger.findings() == []
    await ledger.end(second)
    await ledger.run("ends")
    assert (await ledger.of(A, 1))["state"] == "bound"
    assert (await ledger.of(A, 2))["state"] == "released"
    await ledger.check()


async def test_an_address_within_a_prefix_of_the_pool_marks_the_prefix(ledger):
    pool = await ledger.pool(
        "2001:db8::", "2001:db8:0:ff:ffff:ffff:ffff:ffff", length=64, family="ipv6", made_at=NOW - DAY
    )
    await ledger.node()
    await ledger.session(None, ipv6_prefix="2001:db8:0:1::5/128", ipv6_prefix_evidence="reported", **OLD)
    await ledger.run("reports")
    assert await ledger.state("2001:db8:0:1::/64") == ("foreign", 1)
    assert pool


# --- sticky -------------------------------------------------------------------------------------------------------


async def test_r7_2_a_session_that_a_node_let_in_from_its_copy_has_its_lease_again(ledger, pool):
    """The Stop of the session before released it in the same moment."""
    await ledger.claim(pool, await ledger.node())
    await ledger.lease(A, pool, offered=NOW - DAY)
    await ledger.end(await ledger.session("100.64.0.1", started=NOW - DAY))
    await ledger.run("ends")
    assert await ledger.state(A) == ("released", 1)
    await ledger.session("100.64.0.1", started=NOW)
    await ledger.run("reports")
    lease = await ledger.of(A)
    assert (lease["state"], lease["free_from"], lease["released_at"]) == ("bound", None, None)
    assert lease["valid_until"] > NOW + 23 * HOUR
    assert await ledger.findings() == []


async def test_a_session_of_who_has_it_in_his_reserve_is_bound(ledger, pool):
    """The node gave it out while PostgreSQL was away, and its word has not come."""
    node = await ledger.node()
    await ledger.claim(pool, node)
    await ledger.session("100.64.0.1", 1, grant_node=node, grant_slot=0, grant_serial=1, **OLD)
    await ledger.session("100.64.0.2", 2, grant_node=node, grant_slot=1, grant_serial=1, **OLD)
    await ledger.run("reports")
    assert await ledger.state(A) == ("bound", 1)
    assert await ledger.state(B) == ("foreign", 2)
    await ledger.check()


# --- claims -------------------------------------------------------------------------------------------------------


async def claimed(dsn: str, ledger: Ledger, pool: int, how_many: int = 16) -> list[int]:
    """Return the last octets of what a process may give out after a claim."""
    node = await ledger.node(until=NOW + HOUR)
    door = Database(dsn, connect_timeout_s=5, statement_timeout_s=5, application_name="test")
    try:
        found = await LedgerStore(door, node, 7).claim(pool, how_many, UUID(int=7))
    finally:
        await door.close()
    return [number & 255 for number, _ in found.units] if found else []


async def test_what_sessions_report_is_not_given_out_even_before_it_is_marked(dsn, ledger, pool):
    await ledger.session("100.64.0.1", 1, **OLD)
    await ledger.end(await ledger.session("100.64.0.2", 1, **OLD))
    assert await claimed(dsn, ledger, pool) == [0, *range(2, 16)]
    await ledger.check()


async def test_what_was_released_and_is_reported_is_not_given_out_either(dsn, ledger, pool):
    await ledger.claim(pool, await ledger.node(), 16, slot=1)
    for left in (A, B):
        await ledger.lease(left, pool, state="released", released_at=NOW - HOUR, free_from=NOW - HOUR)
    await ledger.session("100.64.0.1", 2, **OLD)
    assert await claimed(dsn, ledger, pool) == [2]


async def test_r7_2_a_lease_that_its_session_has_again_ends_no_earlier_than_a_node_may_believe(ledger, pool):
    """The pool's validity was shortened meanwhile."""
    await ledger.claim(pool, await ledger.node())
    until = NOW + 10 * DAY
    await ledger.lease(A, pool, state="released", released_at=NOW, free_from=NOW + HOUR, valid_until=until)
    await ledger.session("100.64.0.1", started=NOW)
    await ledger.run("reports")
    lease = await ledger.of(A)
    assert (lease["state"], lease["valid_until"]) == ("bound", until)


# --- R7.3 ---------------------------------------------------------------------------------------------------------


async def adopting_pools(ledger: Ledger) -> list[str]:
    rows = await ledger.db.fetch("SELECT name FROM net.pool WHERE adopting_since IS NOT NULL ORDER BY name")
    return [row["name"] for row in rows]


async def hear(ledger: Ledger, router: int, since: datetime, until: datetime) -> None:
    """Let accounting of a router come every five minutes, and the keeper look each time."""
    at = since
    while at <= until:
        await ledger.db.execute("UPDATE net.router SET accounting_at = $1, last_seen = $1 WHERE id = $2", at, router)
        await ledger.run("adoption")
        at += 5 * MINUTE


async def test_r7_3_a_first_start_on_a_living_network(dsn, ledger):
    """Sessions that lived before are adopted, nothing that may be in use is given out until every NAS was heard."""
    await ledger.db.execute("UPDATE net.router SET first_seen = $1", NOW - MINUTE)
    await ledger.pool("100.64.0.0", "100.64.0.15", made_at=NOW - HOUR)
    pool = await ledger.db.fetchval("SELECT id FROM net.pool")
    await ledger.node()
    assert await adopting_pools(ledger) == []
    await ledger.session("100.64.0.1", 1, started=NOW - 9 * DAY, start_seen=False)
    await ledger.session("100.64.0.2", None, started=NOW - 9 * DAY, start_seen=False, user_name="desconhecida")
    await ledger.run("reports")
    assert await adopting_pools(ledger) == ["p"]
    assert await ledger.state(A) == ("bound", 1)
    assert await ledger.state(B) == ("foreign", None)
    assert ledger.counted(ADOPTED) == 1
    assert await claimed(dsn, ledger, pool) == []
    # What another one hears later is adopted, too, and is no finding.
    await ledger.session("100.64.0.3", 3, nas_id=2, source_address="192.0.2.2", started=NOW - 9 * DAY)
    await ledger.run("reports")
    assert await ledger.state("100.64.0.3/32") == ("bound", 3)
    assert {finding[2] for finding in await ledger.findings()} == {None}
    since = NOW + MINUTE
    await ledger.db.execute("UPDATE net.pool SET adopting_since = $1", NOW)
    await hear(ledger, 1, since, since + 30 * MINUTE)
    assert await adopting_pools(ledger) == ["p"]
    await hear(ledger, 2, since, since + 15 * MINUTE)
    assert await adopting_pools(ledger) == ["p"]
    await hear(ledger, 2, since + 20 * MINUTE, since + 20 * MINUTE)
    assert await adopting_pools(ledger) == []
    assert await claimed(dsn, ledger, pool) == [0, *range(4, 16)]
    await ledger.check()


async def test_r7_3_of_several_routers_of_one_nas_the_one_heard_least_counts(ledger, pool):
    await ledger.db.execute("INSERT INTO net.router (id, nas_id, source_address) VALUES (99, 1, '192.0.2.9')")
    await ledger.db.execute("UPDATE net.pool SET adopting_since = $1", NOW)
    since = NOW + MINUTE
    await hear(ledger, 2, since, since + 20 * MINUTE)
    await hear(ledger, 1, since, since + 30 * MINUTE)
    assert await adopting_pools(ledger) == ["p"]
    await hear(ledger, 99, since, since + 20 * MINUTE)
    assert await adopting_pools(ledger) == []


async def test_r7_3_a_pool_made_where_sessions_live_adopts_from_its_beginning(dsn, ledger):
    await ledger.session("100.64.0.1", 1, **OLD)
    await ledger.session(None, 2, delegated_ipv6_prefix="2001:db8:0:100::/56", **OLD)
    pool = await ledger.pool("100.64.0.0", "100.64.0.15")
    await ledger.pool("2001:db8::", "2001:db8:0:ffff:ffff:ffff:ffff:ffff", name="v6", length=56)
    await ledger.pool("100.65.0.0", "100.65.0.15", name="empty")
    assert await adopting_pools(ledger) == ["p", "v6"]
    assert await claimed(dsn, ledger, pool) == []
    await ledger.run("reports")
    assert await ledger.state(A) == ("bound", 1)
    assert await ledger.state("2001:db8:0:100::/56") == ("bound", 2)
    assert await ledger.findings() == []


async def test_r7_3_while_it_adopts_only_what_was_released_since_is_given_out(dsn, ledger, pool):
    await ledger.claim(pool, await ledger.node(), 8, slot=1)
    await ledger.lease(A, pool, state="released", released_at=NOW - HOUR, free_from=NOW - HOUR)
    await ledger.lease(B, pool, 2, offered=NOW - DAY)
    await ledger.lease("100.64.0.3/32", pool, 3, offered=NOW - DAY)
    family = await ledger.session("100.64.0.2", 2, started=NOW - HOUR)
    await ledger.db.execute("UPDATE net.pool SET adopting_since = $1, quarantine_s = 0", NOW - MINUTE)
    await ledger.db.execute("UPDATE net.reserve SET abandoned_at = $1", NOW - HOUR)
    await ledger.end(family)
    await ledger.run("ends", "leases", "reserves")
    assert await ledger.state(B) == ("released", 2)
    assert await ledger.state("100.64.0.3/32") == ("bound", 3)  # its session may not have been heard yet
    await ledger.db.execute("UPDATE net.lease SET free_from = $1 WHERE state = 'released'", NOW)
    assert await claimed(dsn, ledger, pool) == [2]


async def test_r7_3_an_operator_or_a_reading_of_every_nas_ends_it(ledger, pool):
    await ledger.db.execute("UPDATE net.pool SET adopting_since = $1", NOW - MINUTE)
    await ledger.run("adoption")
    reports = PoolReports(ledger.keeper._database)
    assert await reports.awaited() == {pool: ["a", "b"]}
    await ledger.db.execute(
        "INSERT INTO net.adoption_reading (pool_id, nas_id, read_at, source) "
        "VALUES ($1, 1, $2, 'api'), ($1, 2, $3, 'api')", pool, NOW, NOW - HOUR,
    )  # fmt: skip
    await ledger.run("adoption")
    assert await reports.awaited() == {pool: ["b"]}
    assert await adopting_pools(ledger) == ["p"]
    await ledger.db.execute("UPDATE net.adoption_reading SET read_at = $1", NOW)
    await ledger.run("adoption")
    assert await adopting_pools(ledger) == []
    await ledger.db.execute("SELECT net.begin_adoption(ARRAY[$1::integer])", pool)
    assert await adopting_pools(ledger) == ["p"]
    await ledger.db.execute("SELECT net.end_adoption(ARRAY[$1::integer])", pool)
    await ledger.session("100.64.0.1", 1, started=NOW - 70 * DAY)
    await ledger.run("adoption", "reports")
    assert await adopting_pools(ledger) == []  # the operator's word holds


async def test_r7_3_another_postgresql_makes_every_pool_adopt(ledger, pool):
    await ledger.pool("100.65.0.0", "100.65.0.15", name="retired", state="retired")
    await ledger.run("adoption")
    assert await adopting_pools(ledger) == []
    await ledger.db.execute("UPDATE net.database_seen SET timeline = '0000000A', waits = true")
    await ledger.run("adoption")
    assert await adopting_pools(ledger) == []  # a synchronous standby took over
    await ledger.db.execute("UPDATE net.database_seen SET timeline = '0000000A', waits = false")
    await ledger.run("adoption")
    assert await adopting_pools(ledger) == ["p"]
    await ledger.db.execute("SELECT net.end_adoption(ARRAY[$1::integer])", pool)
    await ledger.db.execute("UPDATE net.database_seen SET system_identifier = '1', waits = true")
    await ledger.run("adoption")
    assert await adopting_pools(ledger) == ["p"]


# --- figures ------------------------------------------------------------------------------------------------------


async def test_how_pools_are_used_is_counted_told_and_alarmed(ledger):
    pool = await ledger.pool("100.64.0.0", "100.64.0.9", alarm_percent=40, made_at=NOW - DAY)
    await ledger.node()
    reports = PoolReports(ledger.keeper._database)
    await ledger.db.execute(
        "INSERT INTO net.pool_exclusion (range_id, from_unit, until_unit, first, last) "
        "SELECT id, 8, 10, first, last FROM net.pool_range"
    )
    await ledger.claim(pool, await ledger.node(), 4)
    await ledger.lease(A, pool, offered=datetime.now(UTC))
    await ledger.lease(B, pool, 2, offered=NOW - 2 * HOUR)
    await ledger.session("100.64.0.2", 2, **OLD)
    await ledger.session("100.64.0.5", 3, **OLD)
    await ledger.run("reports")
    for day in range(1, 10):
        await ledger.db.execute(
            "INSERT INTO net.pool_day VALUES ($1, (now() AT TIME ZONE 'UTC')::date - $2::integer, $3)", pool, day, 0
        )
    await ledger.run("use", "adoption")
    await ledger.keeper.show()
    facts = read_ledger_facts(ledger.directory)
    assert facts is not None
    (told,) = facts.pools
    assert (told.size, told.never, told.reserved, told.bound, told.offered, told.reported) == (8, 3, 2, 2, 1, 1)
    assert (told.used, told.unaccounted, told.is_alarmed, told.is_adopting) == (3, 0, False, False)
    assert facts.findings == {"not_given": 1}
    assert not facts.may_lose_leases
    await ledger.lease("100.64.0.3/32", pool, 4, offered=NOW)
    await ledger.db.execute(
        "UPDATE net.pool_day SET most_used = 10 + (day - (now() AT TIME ZONE 'UTC')::date) WHERE most_used = 0"
    )
    await ledger.run("use")
    (listed,) = await reports.pools(limit=9)
    assert listed["alarm_since"] is not None
    assert listed["growth_per_day"] == pytest.approx(1)
    assert listed["exhausted_at"] is not None
    counted = await reports.counted(pool)
    assert counted is not None
    assert (counted["reserved"], counted["unaccounted"]) == (1, 0)
    assert await reports.unaccounted() == []
    (finding,) = await reports.findings(pool_id=pool, limit=9)
    assert (finding["login"], finding["nas"], finding["pool"], finding["lease_state"]) == (
        "login3",
        "a",
        "p",
        "foreign",
    )
    (reserve,) = await reports.reserves(pool)
    assert (reserve["node"], reserve["slot"], reserve["units_left"]) == ("n1", 0, 1)
    assert [found["excluded"] for found in await reports.ranges(pool)] == [2]
    assert [found["units"] for found in await reports.exclusions(pool)] == [2]
    assert (await reports.standbys() or {})["standbys"] == 0


async def test_r10_the_most_of_a_day_stays_when_fewer_are_connected(ledger, pool):
    await ledger.claim(pool, await ledger.node(), 4)
    most = "SELECT most_used FROM net.pool_day WHERE day = (now() AT TIME ZONE 'UTC')::date"
    for left, at_most in ((A, 1), (B, 2)):
        await ledger.lease(left, pool, at_most, offered=NOW - HOUR)
        await ledger.run("use")
        assert await ledger.db.fetchval(most) == at_most
    await ledger.db.execute("UPDATE net.lease SET state = 'released', released_at = now(), free_from = now()")
    await ledger.run("use")
    assert await ledger.db.fetchval(most) == 2


def test_two_interims_are_what_a_nas_is_heard_for():
    assert timedelta(seconds=adopting.INTERIMS * adopting.INTERIM_S) == 20 * MINUTE


async def test_the_pause_after_a_round_grows_with_how_much_there_was_to_read(ledger, pool, monkeypatch):
    async def pause_s() -> float:
        row = await ledger.db.fetchrow(
            "SELECT extract(epoch FROM due_at - now())::float8 FROM net.chore WHERE name = 'reports'"
        )
        return row[0]

    await ledger.run("reports")
    assert 0 < await pause_s() <= comparing.REPORTS_EVERY_S
    monkeypatch.setattr(comparing, "REPORTS_BLOCKS_PER_S", comparing.REPORTS_BLOCKS / 3600)
    await ledger.run("reports")
    assert 3000 < await pause_s() <= 3600
