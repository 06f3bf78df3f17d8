"""What nearly nobody does at the same time, and must still neither lose a unit nor give it twice (rule R7)."""

import asyncio
import fcntl
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from pool_house import House, Process, house_of, units, wish

from aaad.db.statements import load_statements
from aaad.errors import StoreError
from aaad.pools import takeover
from aaad.pools.adoption import look_at_adoption
from aaad.pools.keeping import RESERVES_AT_ONCE
from aaad.pools.keeping import SQL as KEEPING
from aaad.pools.retired import RetiredSlots
from aaad.pools.store import Outcome

TAKEOVER = load_statements(Path(takeover.__file__).with_name("takeover.sql"))


@pytest.fixture
async def house(dsn):
    async with house_of(dsn) as made:
        yield made


async def range_of(house: House) -> int:
    return await house.value("SELECT min(id) FROM net.pool_range")


async def include(house: House, exclusion: int) -> None:
    await house.database.execute("DELETE FROM net.pool_exclusion WHERE id = $1", exclusion)


async def drained(house: House, node: int, seconds: float) -> None:
    """Let a node be drained until so many seconds from now, by its own clock."""
    await house.database.execute(
        "UPDATE net.node SET drain_watermark = now() + $2 * interval '1 second' WHERE id = $1", node, seconds
    )


async def take_back(house: House) -> int:
    row = await house.database.fetchrow(KEEPING.take_back_reserves, RESERVES_AT_ONCE)
    return row["units"]


async def test_a_reserve_with_excluded_units_stays_its_processs(house: House):
    """Its process may not have heard of the exclusion, and would have the unit beside who claims it afterwards."""
    pool = await house.pool("100.64.0.0/30", quarantine_s=0)
    one, two = Process(house.database, await house.node("n1")), Process(house.database, await house.node("n2"))
    claimed = await one.claim(pool, 4)
    await one.bind(*(wish(pool, 7 + place, claimed, place) for place in (0, 1)))
    excluded = await house.exclude(await range_of(house), 2, 4)
    assert await one.claim(pool, 4) is None
    await include(house, excluded)
    await house.hears(one.node, two.node)
    assert await two.claim(pool, 4) is None
    assert [bound.outcome for bound in await one.bind(wish(pool, 9, claimed, 2))] == [Outcome.NEW]
    assert await house.unaccounted(pool) == 0


async def test_giving_back_leaves_a_reserve_what_was_excluded_meanwhile(house: House):
    pool = await house.pool("100.64.0.0/30", quarantine_s=0)
    one, two = Process(house.database, await house.node("n1")), Process(house.database, await house.node("n2"))
    claimed = await one.claim(pool, 4)
    excluded = await house.exclude(await range_of(house), 0, 1)  # while it is on its way to a login
    await one.store.give_back(claimed.reserve_id, claimed.units[1:], 4)
    await include(house, excluded)
    await house.hears(one.node, two.node)
    assert claimed.units[0] not in (await two.claim(pool, 4)).units
    assert [bound.outcome for bound in await one.bind(wish(pool, 9, claimed, 0))] == [Outcome.NEW]


async def test_an_exclusion_that_is_not_written_takes_nothing_away(house: House):
    pool = await house.pool("100.64.0.0/30", quarantine_s=0)
    process = Process(house.database, await house.node())
    claimed = await process.claim(pool, 4)
    await process.bind(*(wish(pool, 7 + place, claimed, place) for place in range(4)))
    assert await process.claim(pool, 4) is None  # its reserve is used up, and gone
    await house.exclude(await range_of(house), 0, 1)
    await house.release("100.64.0.0/32", "100.64.0.1/32")
    await house.database.execute(
        "INSERT INTO net.pool_exclusion (range_id, from_unit, until_unit) "
        "SELECT min(id), 0, 2 FROM net.pool_range ON CONFLICT DO NOTHING"
    )
    assert await house.unaccounted(pool) == 0


async def test_a_claim_and_the_end_of_an_exclusion_lose_nothing_between_them(house: House, dsn: str):
    pool = await house.pool("100.64.0.0/30", quarantine_s=0)
    process = Process(house.database, await house.node())
    claimed = await process.claim(pool, 4)
    await process.bind(*(wish(pool, 7 + place, claimed, place) for place in range(4)))
    excluded = await house.exclude(await range_of(house), 0, 2)
    await house.release("100.64.0.0/32", "100.64.0.1/32", "100.64.0.2/32")
    await house.hears(process.node)
    operator = await asyncpg.connect(dsn)
    transaction = operator.transaction()
    await transaction.start()
    await operator.execute("DELETE FROM net.pool_exclusion WHERE id = $1", excluded)
    assert (await process.claim(pool, 4)).units == units("100.64.0.0/32", "100.64.0.1/32", "100.64.0.2/32")
    await transaction.commit()
    await operator.close()
    assert await house.unaccounted(pool) == 0


async def test_what_lies_behind_many_excluded_units_is_found(house: House):
    pool = await house.pool("100.64.0.0/28", quarantine_s=0)
    process = Process(house.database, await house.node())
    claimed = await process.claim(pool, 16)
    await process.bind(*(wish(pool, 7 + place, claimed, place) for place in range(16)))
    excluded = await house.exclude(await range_of(house), 0, 15)
    for place in range(16):
        await house.release(f"100.64.0.{place}/32")
    await house.hears(process.node)
    assert (await process.claim(pool, 2)).units == units("100.64.0.15/32")
    await include(house, excluded)
    await house.hears(process.node)
    assert len((await process.claim(pool, 16)).units) == 15
    assert await house.unaccounted(pool) == 0


async def test_what_is_excluded_is_fixed_when_no_process_has_it_any_more(house: House):
    """A process that does not reach PostgreSQL gives it to anybody, however long it is excluded."""
    pool = await house.pool("100.64.0.0/30")
    process = Process(house.database, await house.node())
    claimed = await process.claim(pool, 4)
    await house.exclude(await range_of(house), 1, 2)
    login = await house.login("ana")
    with pytest.raises(Exception, match=r"100.64.0.1/32 is set aside by node n1"):
        await house.change(login, ipv4="100.64.0.1")
    await process.store.abandon(uuid4())
    await drained(house, process.node, 61)
    assert await take_back(house) == 3
    await house.change(login, ipv4="100.64.0.1")
    assert claimed.units[1] in units("100.64.0.1/32")


async def test_of_a_removed_node_what_is_set_aside_stays_so(house: House):
    """Neither may its range go, nor may it be fixed for a login: the node may live, and give it out."""
    pool = await house.pool("100.64.0.0/29")
    process = Process(house.database, await house.node())
    await process.claim(pool, 4)
    await house.database.execute("DELETE FROM net.node")
    login = await house.login("ana")
    with pytest.raises(Exception, match="is set aside by node that was removed"):
        await house.change(login, ipv4="100.64.0.1")
    with pytest.raises(Exception, match="has set aside addresses of it"):
        await house.database.execute("UPDATE net.pool_range SET last = '100.64.0.1'")


async def test_an_exclusion_stays_while_a_network_in_it_is_fixed(house: House):
    pool = await house.pool("100.64.0.0/24")
    excluded = await house.exclude(await range_of(house), 8, 16)
    login = await house.login("ana", routes="{100.64.0.8/29}")
    with pytest.raises(Exception, match=r"100.64.0.8/29 is the fixed address of login ana"):
        await include(house, excluded)
    await house.change(login, routes="{}")
    await include(house, excluded)
    process = Process(house.database, await house.node())
    assert units("100.64.0.8/32")[0] in (await process.claim(pool, 16)).units


async def test_what_was_fixed_in_an_exclusion_is_of_its_pool_when_that_ends(house: House):
    pool = await house.pool("100.64.0.0/30", quarantine_s=0)
    excluded = await house.exclude(await range_of(house), 1, 2)
    process = Process(house.database, await house.node())
    await process.claim(pool, 4)
    login = await house.login("ana", ipv4="100.64.0.1")
    await include(house, excluded)
    assert await house.unaccounted(pool) == 0
    await house.change(login, ipv4=None)
    assert await house.unaccounted(pool) == 0
    await house.hears(process.node)
    assert (await process.claim(pool, 4)).units == units("100.64.0.1/32")


async def test_r7_1_a_mark_goes_by_the_reserves_of_its_own_address_space(house: House):
    """Rule R7.1: another address space's reserve of the same address says nothing of this one's."""
    first = await house.pool("100.64.0.0/30", quarantine_s=0)
    second = await house.pool("100.64.0.0/30", name="q", space=2, quarantine_s=0)
    process = Process(house.database, await house.node())
    for pool, space in ((first, 1), (second, 2)):
        claimed = await process.claim(pool, 4)
        await process.bind(*(wish(pool, 7 + at, claimed, at, address_space=space) for at in range(4)))
    assert await process.claim(first, 4) is None  # its reserve is used up, and gone
    await house.release("100.64.0.1/32", space=2)
    await house.hears(process.node)
    assert (await process.claim(second, 4)).units == units("100.64.0.1/32")
    mark = "UPDATE net.lease SET state = 'foreign' WHERE address_space = 1 AND address = '100.64.0.1'"
    await house.database.execute(mark)
    free = "SELECT net.free_foreign(1, address, changed, '0') FROM net.lease WHERE state = 'foreign'"
    assert await house.value(free)
    assert (await house.lease("100.64.0.1/32"))["state"] == "released"
    assert await house.unaccounted(first) == 0


async def test_r7_3_what_was_excluded_is_not_proven_unused(house: House):
    """Rule R7.3: a pool that adopts gives out only what was released since then."""
    pool = await house.pool("100.64.0.0/30", quarantine_s=0)
    excluded = await house.exclude(await range_of(house), 1, 2)
    process = Process(house.database, await house.node())
    await process.claim(pool, 4)
    await house.database.execute("SELECT net.begin_adoption(ARRAY[$1::integer])", pool)
    await include(house, excluded)
    await house.hears(process.node)
    assert await process.claim(pool, 4) is None
    await house.database.execute("SELECT net.end_adoption(ARRAY[$1::integer])", pool)
    assert (await process.claim(pool, 4)).units == units("100.64.0.1/32")


async def test_a_reserve_is_taken_back_when_nothing_of_its_node_is_on_its_way(house: House):
    """Clocks of nodes differ by a minute at most; a record may wait for rows that another program holds."""
    pool = await house.pool("100.64.0.0/30")
    process = Process(house.database, await house.node())
    await process.claim(pool, 4)
    await process.store.abandon(uuid4())
    await drained(house, process.node, 59)
    assert await take_back(house) == 0
    await drained(house, process.node, 61)
    await house.database.execute("INSERT INTO net.spool_deferred (node, record) VALUES ('n1', ' ')")
    assert await take_back(house) == 0
    await house.database.execute("DELETE FROM net.spool_deferred")
    assert await take_back(house) == 4


async def test_a_reserve_and_the_end_of_an_exclusion_lose_nothing_between_them(house: House, dsn: str):
    pool = await house.pool("100.64.0.0/30")
    process = Process(house.database, await house.node())
    await process.claim(pool, 4)
    excluded = await house.exclude(await range_of(house), 1, 2)
    await process.store.abandon(uuid4())
    await drained(house, process.node, 61)
    operator = await asyncpg.connect(dsn)
    transaction = operator.transaction()
    await transaction.start()
    await operator.execute("DELETE FROM net.pool_exclusion WHERE id = $1", excluded)
    await asyncio.wait_for(take_back(house), 10)  # waits for nobody
    await transaction.commit()
    await operator.close()
    assert await house.unaccounted(pool) == 0
    await take_back(house)
    assert await house.unaccounted(pool) == 0


@pytest.mark.parametrize("changed", ["timeline = '0000000A'", "system_identifier = '7/1'"])
async def test_r7_3_nothing_is_claimed_before_the_pools_adopt(house: House, changed: str):
    """Rule R7.3: within a second of a failover that lost commits a process claims, and the keeper looks later."""
    pool = await house.pool("100.64.0.0/24")
    process = Process(house.database, await house.node())
    await look_at_adoption(house.database)
    assert await process.claim(pool, 4) is not None
    await house.hears(process.node)
    await house.database.execute(f"UPDATE net.database_seen SET waits = false, {changed}")
    with pytest.raises(StoreError, match="may have lost"):
        await process.claim(pool, 4)
    await house.database.execute("UPDATE net.chore SET due_at = '-infinity'")
    assert (await look_at_adoption(house.database)).begun == [pool]
    assert await process.claim(pool, 4) is None, "nothing is proven unused"
    assert await house.value("SELECT settled FROM net.node") is None, "what a node had heard it had heard elsewhere"
    await house.database.execute("SELECT net.end_adoption(ARRAY[$1::integer])", pool)
    assert await process.claim(pool, 4) is not None


async def test_a_synchronous_standby_that_took_over_is_claimed_from_at_once(house: House):
    pool = await house.pool("100.64.0.0/24")
    process = Process(house.database, await house.node())
    await look_at_adoption(house.database)
    await house.database.execute("UPDATE net.database_seen SET waits = true, timeline = '0000000A'")
    assert await process.claim(pool, 4) is not None


async def test_what_a_slot_that_is_no_more_set_aside_comes_back(house: House, tmp_path: Path):
    """A node has four processes today and two tomorrow: what the others had is nobody's for ever."""
    pool = await house.pool("100.64.0.0/28")
    node = await house.node()
    lives = [Process(house.database, node, slot) for slot in range(4)]
    for process in lives:
        await process.claim(pool, 4)
    (tmp_path / "counters").mkdir()
    for slot in (1, 3):
        (tmp_path / "reserve" / f"radius-{slot}").mkdir(parents=True)
    retired = RetiredSlots(house.database, tmp_path, "n1", 2)
    with (tmp_path / "counters" / "radius-3.lock").open("w") as running:
        fcntl.flock(running, fcntl.LOCK_EX)
        assert await retired.give_up() == 1
    assert await house.value("SELECT array_agg(slot) FROM net.reserve WHERE abandoned_at IS NOT NULL") == [2]
    assert await retired.give_up() == 1
    assert [path.name for path in (tmp_path / "reserve").iterdir()] == ["radius-1"]
    await drained(house, node, 61)
    assert await take_back(house) == 8


async def test_what_was_fixed_once_and_is_adopted_ends_like_any_lease(house: House):
    pool = await house.pool("100.64.0.0/30")
    login = await house.login("ana", ipv4="100.64.0.1")
    await house.change(login, ipv4=None)
    assert await house.value("SELECT NOT isfinite(valid_until) FROM net.lease")
    await house.database.execute(TAKEOVER.adopt_units, 1, ["100.64.0.1/32"], ["p"], [login], [7], [None], 3600)
    assert await house.value("SELECT isfinite(valid_until) AND state = 'bound' FROM net.lease")
    assert await house.unaccounted(pool) == 0
