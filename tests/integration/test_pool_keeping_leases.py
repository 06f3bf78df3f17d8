"""Leases follow their sessions: extended, released, kept for who is silent or blocked (rules R7.2, R5.3, R4.3)."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from ledger_rows import MINUTE, SECOND, Ledger, one_database, opened_ledger
from session_rows import DAY, HOUR, NOW, drained

from aaad.errors import StoreError
from aaad.pools import keeping
from aaad.pools.chore import SQL
from aaad.pools.keeping import BUGS, EXTENDED, FAILED, JOBS, RELEASED, TAKEN_BACK
from aaad.sessions import keeping as sessions_keeping
from aaad.sessions.reports import Reports

A, B, C = "100.64.0.1/32", "100.64.0.2/32", "100.64.0.3/32"


@pytest.fixture(scope="module")
def dsn(postgres, _template):
    yield from one_database(postgres)


@pytest.fixture
async def ledger(dsn, tmp_path):
    async with opened_ledger(dsn, tmp_path) as opened:
        yield opened


@pytest.fixture
async def pool(ledger: Ledger) -> int:
    """A pool of which everything was set aside once and what is not leased has come back."""
    made = await ledger.pool("100.64.0.0", "100.64.0.7")
    node = await ledger.node()
    await ledger.claim(made, node)
    return made


async def test_who_uses_a_lease_is_asked_only_of_those_whose_time_it_is(ledger, pool):
    """It is by far the dearest question; in a large ledger nearly all leases are not concerned."""
    await ledger.lease(A, pool, offered=NOW)
    family = await ledger.session("100.64.0.1", started=NOW - HOUR)
    await ledger.end(family)
    refuse = (
        "CREATE OR REPLACE FUNCTION net.is_held(lease net.lease) RETURNS boolean LANGUAGE plpgsql STABLE "
        "AS $$ BEGIN RAISE 'asked'; END $$"
    )
    transaction = ledger.db.transaction()
    await transaction.start()
    try:
        await ledger.db.execute(refuse)
        for statement, arguments in (
            (SQL.extend_leases, (0, 1000)),
            (SQL.find_unused, (0, 1000)),
            (SQL.find_ended, ([family], keeping.CLOCKS_DIFFER_S)),
        ):
            assert await ledger.db.fetch(statement, *arguments) == []
        await ledger.db.execute("UPDATE net.lease SET valid_until = now()")
        with pytest.raises(asyncpg.RaiseError, match="asked"):
            await ledger.db.fetch(SQL.extend_leases, 0, 1000)
    finally:
        await transaction.rollback()


# --- the end of a session -----------------------------------------------------------------------------------------


async def test_r7_2_an_address_is_released_at_the_stop_and_rests(ledger, pool):
    await ledger.lease(A, pool, offered=NOW - HOUR)
    family = await ledger.session("100.64.0.1", started=NOW - HOUR)
    await ledger.run("ends", "leases")
    assert await ledger.state(A) == ("bound", 1)
    before = (await ledger.of(A))["changed"]
    await ledger.end(family)
    await ledger.run("ends")
    lease = await ledger.of(A)
    assert (lease["state"], lease["login_id"]) == ("released", 1)
    assert lease["free_from"] - lease["released_at"] == timedelta(seconds=300)
    assert int(lease["changed"]) > int(before)
    assert ledger.counted(RELEASED) == 1
    assert (await ledger.check())["p"]["resting"] == 1


async def test_an_address_rests_for_as_long_as_an_accept_may_take_to_become_a_session(ledger):
    pool = await ledger.pool("100.64.0.0", "100.64.0.7", quarantine_s=0)
    await ledger.claim(pool, await ledger.node())
    await ledger.lease(A, pool, offered=NOW - HOUR)
    await ledger.end(await ledger.session("100.64.0.1", started=NOW - HOUR))
    await ledger.run("ends")
    lease = await ledger.of(A)
    assert lease["free_from"] - lease["released_at"] == timedelta(seconds=keeping.REST_MIN_S)


async def test_r7_2_the_stop_of_the_session_before_releases_nothing_of_the_new_offer(ledger, pool):
    await ledger.lease(A, pool, offered=NOW)
    old = await ledger.session("100.64.0.1", started=NOW - HOUR)
    await ledger.end(old)
    await ledger.run("ends", "leases")
    assert await ledger.state(A) == ("bound", 1)
    await ledger.session("100.64.0.1", started=NOW)
    await ledger.run("ends", "leases")
    assert await ledger.state(A) == ("bound", 1)


async def test_r7_2_a_login_that_binds_again_in_the_same_instant_keeps_it(dsn, ledger, pool, monkeypatch):
    """What was read and has been changed since is not released."""
    await ledger.lease(A, pool, offered=NOW - HOUR)
    await ledger.end(await ledger.session("100.64.0.1", started=NOW - HOUR))
    before = ledger.keeper._release

    async def release_late(transaction, found):
        await ledger.db.execute("UPDATE net.lease SET offered_at = now(), changed = pg_current_xact_id()")
        return await before(transaction, found)

    monkeypatch.setattr(ledger.keeper, "_release", release_late)
    await ledger.run("ends")
    assert await ledger.state(A) == ("bound", 1)
    assert ledger.counted(RELEASED) == 0


async def test_no_job_waits_for_a_row_that_somebody_holds(dsn, ledger, pool):
    await ledger.lease(A, pool, offered=NOW - HOUR)
    await ledger.lease(B, pool, 2, offered=NOW - DAY)
    await ledger.lease(C, pool, 3, state="released", offered_at=NOW, released_at=NOW, free_from=NOW)
    await ledger.session("100.64.0.2", 2)
    await ledger.session("100.64.0.3", 3)
    await ledger.end(await ledger.session("100.64.0.1", started=NOW - HOUR))
    await ledger.db.execute("UPDATE net.reserve SET abandoned_at = $1", NOW - HOUR)
    binding = await asyncpg.connect(dsn)
    async with binding.transaction():
        await binding.execute("UPDATE net.lease SET nas_id = 2")
        await binding.execute("SELECT FROM net.reserve FOR UPDATE")
        async with asyncio.timeout(5):
            await ledger.run("ends", "leases", "reports", "reserves")
    await binding.close()
    assert [(await ledger.state(unit))[0] for unit in (A, B, C)] == ["bound", "bound", "released"]
    assert await ledger.db.fetchval("SELECT count(*) FROM net.reserve") == 1
    await ledger.run("ends", "leases", "reports")
    assert [(await ledger.state(unit))[0] for unit in (A, B, C)] == ["released", "bound", "bound"]


async def test_r7_2_an_offer_whose_session_never_began_comes_back(ledger, pool):
    await ledger.lease(A, pool, offered=NOW - 9 * MINUTE)
    await ledger.lease(B, pool, 2, offered=NOW - 11 * MINUTE)
    await ledger.run("leases")
    assert await ledger.state(A) == ("bound", 1)
    assert await ledger.state(B) == ("released", 2)


async def test_r5_3_no_offer_is_over_while_what_may_tell_of_its_session_is_undrained(ledger, pool):
    await ledger.lease(A, pool, offered=NOW - HOUR)
    await ledger.node("n2", NOW - 55 * MINUTE)
    await ledger.run("leases")
    assert await ledger.state(A) == ("bound", 1)
    await drained(ledger.db, NOW, "n2")
    await ledger.run("leases")
    assert await ledger.state(A) == ("released", 1)


async def test_r7_2_a_session_closed_by_evidence_gives_its_address_back(ledger, pool):
    """Who is lost ended when he was last heard: days ago, which is past what is looked for by time."""
    evidences = ("nas_restart", "replaced", "gone", "lost", "operator")
    for n, evidence in enumerate(evidences, 1):
        await ledger.lease(f"100.64.0.{n}/32", pool, n, offered=NOW - 3 * DAY)
        family = await ledger.session(f"100.64.0.{n}", n, started=NOW - 3 * DAY, heard=NOW - 2 * DAY)
        await ledger.end(family, NOW - 2 * DAY, evidence, NOW)
    await ledger.run("ends", "leases")
    for n, _ in enumerate(evidences, 1):
        assert await ledger.state(f"100.64.0.{n}/32") == ("released", n)


async def test_complaint_28_a_login_has_the_addresses_of_its_sessions_and_no_more(ledger, pool):
    """Two devices, two sessions: each end releases its own."""
    await ledger.lease(A, pool, offered=NOW - HOUR)
    await ledger.lease(B, pool, offered=NOW - HOUR, device=2)
    first = await ledger.session("100.64.0.1", started=NOW - HOUR)
    await ledger.session("100.64.0.2", started=NOW - HOUR, mac="00:00:00:00:00:02")
    await ledger.end(first)
    await ledger.run("ends", "leases")
    assert await ledger.state(A) == ("released", 1)
    assert await ledger.state(B) == ("bound", 1)


# --- each end is looked at once -----------------------------------------------------------------------------------


async def test_an_end_is_looked_at_once_and_its_word_is_gone(ledger, pool):
    """A burst of ends must not be worked on for longer than it takes to release what they had."""
    for n in (1, 2, 3):
        await ledger.lease(f"100.64.0.{n}/32", pool, n, offered=NOW - HOUR)
        await ledger.end(await ledger.session(f"100.64.0.{n}", n, started=NOW - HOUR))
    assert await ledger.db.fetchval("SELECT count(*) FROM net.session_end") == 3
    await ledger.run("ends")
    assert ledger.counted(RELEASED) == 3
    assert await ledger.db.fetchval("SELECT count(*) FROM net.session_end") == 0
    # What comes to be releasable without an end is the slow round's, and not looked at again and again.
    await ledger.db.execute(
        "UPDATE net.lease SET state = 'bound', released_at = NULL, free_from = NULL WHERE address = $1", A
    )
    await ledger.run("ends", "ends")
    assert ledger.counted(RELEASED) == 3
    await ledger.run("leases")
    assert ledger.counted(RELEASED) == 4


async def test_an_end_that_is_written_by_a_transaction_which_commits_late_is_not_missed(dsn, ledger, pool):
    """However long that takes, and whatever was looked at meanwhile."""
    await ledger.lease(A, pool, offered=NOW - DAY)
    await ledger.lease(B, pool, 2, offered=NOW - DAY)
    late = await ledger.session("100.64.0.1", started=NOW - DAY)
    soon = await ledger.session("100.64.0.2", 2, started=NOW - DAY)
    drain = await asyncpg.connect(dsn)
    async with drain.transaction():
        await ledger.end(late, word_at=NOW - 10 * MINUTE, by=drain)
        await ledger.run("ends")
        await ledger.end(soon)
        await ledger.run("ends", "ends")
        assert [(await ledger.state(unit))[0] for unit in (A, B)] == ["bound", "released"]
    await drain.close()
    await ledger.run("ends")
    assert (await ledger.state(A))[0] == "released"


async def test_what_could_not_be_released_is_looked_at_again_but_not_for_ever(ledger, pool):
    """Another session, whose end is not drained yet, has the address as far as is known."""
    await ledger.lease(A, pool, offered=NOW - HOUR)
    other = await ledger.session(None, started=NOW - HOUR)  # tells no address: it may have this one
    await ledger.end(await ledger.session("100.64.0.1", started=NOW - HOUR))
    await ledger.run("ends")
    await ledger.run("ends")
    assert await ledger.looks() == [1]
    await ledger.end(other)
    await ledger.run("ends")
    assert await ledger.state(A) == ("bound", 1)  # it is not its turn: the other's end says nothing of this address
    await ledger.let_time_pass()
    await ledger.run("ends")
    assert await ledger.state(A) == ("released", 1)
    assert await ledger.looks() == []


async def test_who_still_has_an_address_is_asked_of_it_a_few_times_and_then_in_his_turn(ledger, pool):
    await ledger.lease(A, pool, offered=NOW - HOUR)
    await ledger.session(None, started=NOW - HOUR)
    await ledger.end(await ledger.session("100.64.0.1", started=NOW - HOUR))
    for look in range(1, keeping.ENDS_LOOKS_MAX):
        await ledger.run("ends")
        assert await ledger.looks() == [look]
        await ledger.let_time_pass()
    await ledger.run("ends")
    assert await ledger.looks() == []
    assert await ledger.state(A) == ("bound", 1)


async def test_a_burst_of_ends_is_looked_at_in_bounded_bits(ledger, pool, monkeypatch):
    monkeypatch.setattr(keeping, "ENDS_WORDS", 1)
    await ledger.lease(A, pool, offered=NOW - HOUR)
    await ledger.lease(B, pool, 2, offered=NOW - HOUR)
    await ledger.end(await ledger.session("100.64.0.1", started=NOW - HOUR))
    await ledger.end(await ledger.session("100.64.0.2", 2, started=NOW - HOUR))
    assert await ledger.keeper.release_ended()
    assert ledger.counted(RELEASED) == 1
    await ledger.run("ends")
    assert ledger.counted(RELEASED) == 2


async def _word_of_many(ledger: Ledger, count: int) -> None:
    """Let one word tell of so many sessions, the first of which have ended and had A and B."""
    await ledger.db.execute(
        "INSERT INTO net.session_end (families) SELECT array_agg(family) FROM (SELECT family FROM net.session "
        "UNION ALL SELECT gen_random_uuid() FROM generate_series(1, $1)) AS told (family)",
        count - await ledger.db.fetchval("SELECT count(*) FROM net.session"),
    )


async def test_a_word_of_very_many_ends_is_looked_at_in_bounded_bits(ledger, pool, monkeypatch):
    """Who closes what was lost tells of all in one word; a statement that takes too long would be tried for ever."""
    monkeypatch.setattr(keeping, "ENDS_AT_ONCE", 1)
    for n, unit in enumerate((A, B), 1):
        await ledger.lease(unit, pool, n, offered=NOW - HOUR)
        await ledger.end(await ledger.session(f"100.64.0.{n}", n, started=NOW - HOUR))
    await ledger.db.execute("DELETE FROM net.session_end")
    await _word_of_many(ledger, 2)
    assert await ledger.keeper.release_ended()
    assert ledger.counted(RELEASED) == 1
    assert await ledger.looks() == [0]
    await ledger.run("ends")
    assert ledger.counted(RELEASED) == 2
    assert await ledger.looks() == []


async def test_what_is_left_for_later_is_left_in_words_of_bounded_length(ledger, pool):
    await _word_of_many(ledger, keeping.ENDS_AT_ONCE + 1_200)
    assert await ledger.keeper.release_ended()
    lengths = await ledger.db.fetch("SELECT cardinality(families) FROM net.session_end ORDER BY 1 DESC")
    assert [row[0] for row in lengths] == [500, 500, 200]
    await ledger.run("ends")
    assert await ledger.looks() == []


async def test_a_word_taken_by_who_fails_then_is_there_again(ledger, pool, monkeypatch):
    await ledger.lease(A, pool, offered=NOW - HOUR)
    await ledger.end(await ledger.session("100.64.0.1", started=NOW - HOUR))
    release = ledger.keeper._release

    async def release_and_lose(*arguments):
        done = await release(*arguments)
        await ledger.db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return done

    with monkeypatch.context() as patch:
        patch.setattr(ledger.keeper, "_release", release_and_lose)
        with pytest.raises(StoreError):
            await ledger.keeper.release_ended()
    assert await ledger.looks() == [0]
    assert await ledger.state(A) == ("bound", 1)
    assert ledger.counted(RELEASED) == 0
    await ledger.run("ends")
    assert await ledger.state(A) == ("released", 1)
    assert ledger.counted(RELEASED) == 1


async def _by_operator(ledger: Ledger, family: UUID) -> None:
    await Reports(ledger.db).close(family, 0, "ghost")


async def _by_its_router(ledger: Ledger, family: UUID) -> None:
    assert await Reports(ledger.db).close_gone([(family, 0)], 0.0, "its router has none")


async def _by_silence(ledger: Ledger, _: UUID) -> None:
    await ledger.db.execute(
        "INSERT INTO net.router (nas_id, source_address, accounting_at) VALUES (1, '192.0.2.1', $1)", NOW
    )
    row = await ledger.db.fetchrow(sessions_keeping._SQL.close_lost, 0, 1000, 24)
    assert row["closed"] == 1


@pytest.mark.parametrize("close", [_by_operator, _by_its_router, _by_silence])
async def test_whoever_ends_a_session_leaves_word_of_it(ledger, pool, close):
    """So nobody waits for the round through the ledger, which takes the longer the larger it is."""
    await ledger.lease(A, pool, offered=NOW - 3 * DAY)
    family = await ledger.session("100.64.0.1", started=NOW - 3 * DAY, heard=NOW - 2 * DAY, interim_s=300)
    await close(ledger, family)
    await ledger.run("ends")
    assert await ledger.state(A) == ("released", 1)


# --- who keeps his address ----------------------------------------------------------------------------------------


async def test_r5_3_who_is_silent_keeps_his_address(ledger, pool):
    await ledger.lease(A, pool, offered=NOW - 3 * DAY, valid_until=NOW - DAY)
    await ledger.session("100.64.0.1", started=NOW - 3 * DAY, heard=NOW - 2 * HOUR, interim_s=300)
    assert await ledger.db.fetchval("SELECT state FROM net.every_session") in ("open", "suspended")
    await ledger.run("ends", "leases")
    lease = await ledger.of(A)
    assert lease["state"] == "bound"
    assert lease["valid_until"] > NOW + 23 * HOUR


async def test_r7_2_a_lease_is_extended_at_half_its_life_and_not_before(ledger):
    valid_s, now = 900, datetime.now(UTC)  # of a Hotspot
    pool = await ledger.pool("100.64.0.0", "100.64.0.7", valid_s=valid_s)
    await ledger.claim(pool, await ledger.node())
    half = timedelta(seconds=valid_s / 2)
    await ledger.lease(A, pool, valid_until=now + half + 60 * SECOND)
    await ledger.lease(B, pool, 2, valid_until=now + half - 60 * SECOND)
    await ledger.lease(C, pool, 3, valid_until=now + half - 60 * SECOND)  # its session has not begun
    before = {unit: await ledger.of(unit) for unit in (A, C)}
    await ledger.session("100.64.0.1")
    await ledger.session("100.64.0.2", 2)
    await ledger.run("leases", "leases")
    assert {unit: await ledger.of(unit) for unit in (A, C)} == before
    assert (await ledger.of(B))["valid_until"] >= now + timedelta(seconds=valid_s)
    assert ledger.counted(EXTENDED) == 1


BLOCKS = {
    "by hand": "access_status = 'CM'",
    "by the agenda": "access_status = 'CA'",
    "trust is over": "trust_unlock_active = true, trust_unlock_until = now() - interval '1 minute'",
}
UNBLOCKED = "access_status = 'A', trust_unlock_active = false, trust_unlock_until = NULL"


@pytest.mark.parametrize("block", BLOCKS)
async def test_r4_3_who_is_blocked_has_his_own_address_again_afterwards(ledger, pool, block):
    blocked = await ledger.pool("10.0.0.0", "10.0.0.7", name="bloqueados")
    await ledger.claim(blocked, await ledger.node())
    await ledger.lease(A, pool, offered=NOW - DAY)
    await ledger.lease("10.0.0.1/32", blocked, offered=NOW - HOUR)
    await ledger.end(await ledger.session("100.64.0.1", started=NOW - DAY), NOW - HOUR)
    family = await ledger.session("10.0.0.1", started=NOW - HOUR)
    await ledger.db.execute(f"UPDATE erp.contract SET {BLOCKS[block]} WHERE id = 1")
    await ledger.run("ends", "leases")
    assert await ledger.state(A) == ("bound", 1)
    await ledger.db.execute(f"UPDATE erp.contract SET {UNBLOCKED} WHERE id = 1")
    await ledger.session("100.64.0.1", started=NOW - MINUTE)
    await ledger.end(family)
    await ledger.run("ends", "leases")
    assert await ledger.state(A) == ("bound", 1)
    assert await ledger.state("10.0.0.1/32") == ("released", 1)


@pytest.mark.parametrize(("mac", "state"), [("aa:bb:cc:00:00:01", "bound"), ("aa:bb:cc:00:00:02", "released")])
async def test_a_session_that_tells_no_address_holds_the_lease_of_its_own_device(ledger, pool, mac, state):
    await ledger.lease(A, pool, offered=NOW - DAY, device=0xAABBCC000001)
    family = await ledger.session("100.64.0.1", started=NOW - DAY)
    await ledger.session(None, started=NOW - HOUR, mac=mac)
    await ledger.end(family)
    await ledger.run("ends", "leases")
    assert await ledger.state(A) == (state, 1)


async def test_what_another_one_reports_is_not_released_when_its_own_session_ends(ledger, pool):
    await ledger.lease(A, pool, offered=NOW - DAY)
    family = await ledger.session("100.64.0.1", started=NOW - DAY)
    await ledger.session("100.64.0.1", 2, started=NOW - HOUR)
    await ledger.end(family)
    await ledger.run("ends")
    assert await ledger.state(A) == ("bound", 1)


@pytest.mark.parametrize("column", ["ipv6_prefix", "delegated_ipv6_prefix"])
async def test_r7_1_a_session_of_another_space_holds_no_prefix(ledger, column):
    length = 64 if column == "ipv6_prefix" else 56
    family = "ipv6" if column == "ipv6_prefix" else "delegated"
    prefix = f"2001:db8:0:100::/{length}"
    pool = await ledger.pool("2001:db8::", "2001:db8:0:ffff:ffff:ffff:ffff:ffff", length=length, family=family)
    await ledger.node()
    await ledger.lease(prefix, pool, offered=NOW - DAY)
    given = {column: prefix, f"{column}_evidence": "granted"}
    beside = {"nas_id": 3, "source_address": "192.0.2.3", "address_space": 2}
    await ledger.session(None, 2, started=NOW - DAY, **given, **beside)
    family = await ledger.session(None, started=NOW - DAY, **given)
    await ledger.run("ends", "leases")
    assert await ledger.state(prefix) == ("bound", 1)
    await ledger.end(family)
    await ledger.run("ends", "leases")
    assert await ledger.state(prefix) == ("released", 1)


async def test_complaint_34_a_nas_that_tells_no_ipv6_takes_nobodys_prefix_away(ledger):
    pool = await ledger.pool("2001:db8::", "2001:db8:0:ffff:ffff:ffff:ffff:ffff", length=56)
    await ledger.claim(pool, await ledger.node())
    await ledger.lease("2001:db8:0:100::/56", pool, offered=NOW - DAY, valid_until=NOW)
    family = await ledger.session("100.64.0.1", started=NOW - DAY)
    await ledger.run("ends", "leases")
    assert (await ledger.of("2001:db8:0:100::/56"))["valid_until"] > NOW + 23 * HOUR
    await ledger.end(family)
    await ledger.run("ends", "leases")
    assert await ledger.state("2001:db8:0:100::/56") == ("released", 1)


async def test_complaint_33_a_prefix_that_was_granted_and_is_not_reported_is_the_sessions(ledger):
    """The session has it from its Accept; it follows the session whatever accounting leaves out."""
    pool = await ledger.pool("2001:db8::", "2001:db8:0:ffff:ffff:ffff:ffff:ffff", length=56)
    await ledger.claim(pool, await ledger.node())
    unit = "2001:db8:0:200::/56"
    await ledger.lease(unit, pool, offered=NOW - DAY)
    family = await ledger.session(
        None, started=NOW - DAY, delegated_ipv6_prefix=unit, delegated_ipv6_prefix_evidence="granted"
    )
    await ledger.run("ends", "leases", "reports")
    assert await ledger.state(unit) == ("bound", 1)
    await ledger.end(family)
    await ledger.run("ends")
    assert await ledger.state(unit) == ("released", 1)


# --- reserves -----------------------------------------------------------------------------------------------------


async def test_an_abandoned_reserve_comes_back_when_its_node_is_drained(ledger, pool):
    node = await ledger.node()
    await ledger.lease(A, pool)
    await ledger.db.execute("UPDATE net.reserve SET abandoned_at = $1", NOW)
    await ledger.run("reserves")
    assert (await ledger.check())["p"]["reserved"] == 7
    await drained(ledger.db, NOW + MINUTE)  # by the node's clock, which may differ
    await ledger.run("reserves")
    assert (await ledger.check())["p"]["reserved"] == 7
    await drained(ledger.db, NOW + MINUTE + SECOND)
    await ledger.run("reserves")
    counted = (await ledger.check())["p"]
    assert (counted["reserved"], counted["free"], counted["bound"]) == (0, 7, 1)
    assert ledger.counted(TAKEN_BACK) == 7
    assert await ledger.claim(pool, node) is not None
    assert (await ledger.check())["p"]["reserved"] == 7


async def test_r7_2_reserves_of_a_node_that_an_operator_removed_come_back_after_a_lifes_time(ledger, pool):
    await ledger.node("n2")
    await ledger.db.execute("DELETE FROM net.node WHERE name = 'n1'")
    await ledger.run("reserves")
    assert (await ledger.check())["p"]["reserved"] == 8
    await ledger.db.execute("UPDATE net.reserve SET abandoned_at = $1", NOW - 25 * HOUR)
    await ledger.run("reserves")
    counted = (await ledger.check())["p"]
    assert (counted["reserved"], counted["free"]) == (0, 8)


# --- the service --------------------------------------------------------------------------------------------------


async def test_a_round_goes_over_the_ledger_in_bounded_bits_one_node_at_a_time(dsn, ledger, monkeypatch):
    monkeypatch.setattr(keeping, "LEASES_BLOCKS", 1)
    pool = await ledger.pool("100.64.0.0", "100.64.1.255")
    await ledger.claim(pool, await ledger.node(), 512)
    await ledger.db.execute(
        "INSERT INTO net.lease (address_space, address, pool_id, state, login_id, offered_at, valid_until) "
        "SELECT 1, '100.64.0.0'::inet + n, $1, 'bound', 1, $2, $2 FROM generate_series(0, 299) AS n",
        pool, NOW - DAY,
    )  # fmt: skip
    while not ledger.counted(RELEASED):
        assert await ledger.keeper.look_at_leases()
    other = await asyncpg.connect(dsn)
    async with other.transaction():
        await other.execute("SELECT FROM net.chore FOR UPDATE")
        assert not await ledger.keeper.look_at_leases()
    await other.close()
    assert ledger.counted(RELEASED) < 300
    while await ledger.keeper.look_at_leases():
        pass
    assert ledger.counted(RELEASED) == 300
    assert await ledger.db.fetchval("SELECT due_at > now() FROM net.chore WHERE name = 'leases'")


async def test_all_jobs_run_by_themselves_until_told_to_stop(ledger, pool):
    await ledger.lease(A, pool, offered=NOW - HOUR)
    stopping = asyncio.Event()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(ledger.keeper.run(stopping))
        while (await ledger.state(A))[0] != "released":
            await asyncio.sleep(0.02)
        while not (ledger.directory / "pools.json").exists():
            await asyncio.sleep(0.02)
        stopping.set()
    assert {ledger.counted(f"{FAILED}|job={job}") for job in JOBS} == {0}
    assert ledger.counted(BUGS) == 0
