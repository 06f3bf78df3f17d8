"""Fixed addresses stand in the ledger: nothing collides with them, and the refusal says who has the address (R7)."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest
from pool_house import House, Process, house_of, units, wish

from aaad.errors import StoreError
from aaad.pools.store import Bound, Outcome


@pytest.fixture
async def house(dsn):
    async with house_of(dsn) as made:
        yield made


async def refusal(house: House, login_id: int, **columns: object) -> tuple[str, str | None]:
    with pytest.raises(StoreError) as caught:
        await house.change(login_id, **columns)
    return str(caught.value), caught.value.constraint


async def test_what_a_login_has_for_good_is_in_the_ledger_and_leaves_it_with_the_login(house: House):
    ana = await house.login(
        "ana", ipv4="203.0.113.7", ipv6_prefix="2001:db8::/64", delegated_ipv6_prefix="2001:db8:100::/56",
        routes="{198.51.100.0/29,2001:db8:200::/48}",
    )  # fmt: skip
    expected = {"203.0.113.7/32", "2001:db8::/64", "2001:db8:100::/56", "198.51.100.0/29", "2001:db8:200::/48"}
    held = "SELECT coalesce(array_agg(address::text), '{}') FROM net.lease WHERE state = 'fixed' AND login_id = $1"
    assert set(await house.value(held, ana)) == expected
    await house.change(ana, ipv6_prefix=None, routes="{198.51.100.0/29}", ipv4="203.0.113.8")
    assert set(await house.value(held, ana)) == {"203.0.113.8/32", "2001:db8:100::/56", "198.51.100.0/29"}
    await house.change(ana, name="ana2")
    await house.change(ana, address_space=2)
    assert (await house.lease("203.0.113.8/32", space=2))["login_id"] == ana
    assert await house.lease("203.0.113.8/32") is None
    await house.database.execute("UPDATE erp.login SET deleted_at = now() WHERE id = $1", ana)
    assert await house.value(held, ana) == []
    await house.database.execute("UPDATE erp.login SET deleted_at = NULL WHERE id = $1", ana)
    assert len(await house.value(held, ana)) == 3
    await house.database.execute("DELETE FROM erp.login WHERE id = $1", ana)
    assert await house.value("SELECT count(*) FROM net.lease") == 0


async def test_another_logins_fixed_address_is_refused_and_named(house: House):
    await house.login(
        "ana", ipv4="203.0.113.7", delegated_ipv6_prefix="2001:db8:100::/56", routes="{198.51.100.0/29}"
    )
    bia = await house.login("bia")
    ipv4 = "203.0.113.7/32 is the fixed address of login ana"
    assert await refusal(house, bia, ipv4="203.0.113.7") == (ipv4, "login_ipv4_unique")
    assert await refusal(house, bia, routes="{203.0.113.7/32}") == (ipv4, "login_routes_unique")
    words, constraint = await refusal(house, bia, ipv4="198.51.100.6")  # within the network behind another's device
    assert words == "198.51.100.6/32 overlaps: 198.51.100.0/29 is the fixed address of login ana"
    assert constraint == "login_ipv4_unique"
    words, constraint = await refusal(house, bia, ipv6_prefix="2001:db8:100:7::/64")
    assert words == "2001:db8:100:7::/64 overlaps: 2001:db8:100::/56 is the fixed address of login ana"
    assert constraint == "login_ipv6_prefix_unique"
    words, constraint = await refusal(house, bia, delegated_ipv6_prefix="2001:db8::/32")
    assert "2001:db8:100::/56 is the fixed address of login ana" in words
    assert constraint == "login_delegated_ipv6_prefix_unique"
    await house.change(bia, address_space=2, ipv4="203.0.113.7")  # rule R7.1
    assert (await refusal(house, bia, address_space=1))[1] == "login_ipv4_unique"


async def test_overlaps_are_found_behind_other_rows(house: House):
    """Between a network and one that it holds there may be any number of rows, of its own login also nested ones."""
    for space, wider in enumerate(
        ("2001:db8::/32", "2001:db8:100::/40", "2001:db8:100::/47", "2001:db8:100::/48"), 1
    ):
        await house.login(
            f"ana{space}", address_space=space, routes=f"{{{wider}}}", ipv6_prefix="2001:db8:100:1::/64"
        )
        for number in range(5):
            routes = f"{{2001:dc0:{number}::/48,203.0.113.{number}/32}}"
            await house.login(f"other{space}-{number}", address_space=space, routes=routes)
        bia = await house.login(f"bia{space}", address_space=space)
        words, _ = await refusal(house, bia, ipv6_prefix="2001:db8:100:8::/64")
        assert words == f"2001:db8:100:8::/64 overlaps: {wider} is the fixed address of login ana{space}"
        await house.change(bia, ipv6_prefix="2001:dba::/64")


async def test_a_lease_and_a_reserve_are_refused_and_named(house: House):
    pool = await house.pool("100.64.0.0/24", name="residencial")
    process = Process(house.database, await house.node("bras"))
    claimed = await process.claim(pool, 4)
    ana, bia = await house.login("ana"), await house.login("bia")
    await process.bind(wish(pool, ana, claimed))
    words, constraint = await refusal(house, bia, ipv4="100.64.0.0")
    assert words.startswith("100.64.0.0/32 is bound by login ana until 20")
    assert constraint == "login_ipv4_unique"
    words, _ = await refusal(house, bia, ipv4="100.64.0.1")
    assert words == (
        "100.64.0.1/32 is set aside by node bras, which may give it to any login of pool residencial. "
        "Choose another address of the pool, or exclude this one first."
    )
    await house.change(ana, ipv4="100.64.0.0")  # its own, for good from now on
    assert (await house.lease("100.64.0.0/32"))["state"] == "fixed"
    assert await process.bind(wish(pool, bia, claimed)) == [Bound(Outcome.TAKEN, None)]
    await house.change(bia, ipv4="100.64.0.9")  # never given out
    assert await house.unaccounted(pool) == 0


async def test_a_fixed_address_of_a_pool_is_skipped_by_claims_and_the_pools_again_afterwards(house: House):
    pool = await house.pool("100.64.0.0/29", quarantine_s=0)
    ana = await house.login("ana", ipv4="100.64.0.1")
    await house.login("bia", routes="{100.64.0.3/32}")
    process = Process(house.database, await house.node())
    claimed = await process.claim(pool, 4)
    assert claimed.units == units("100.64.0.0/32", "100.64.0.2/32")
    assert claimed.taken == units("100.64.0.1/32", "100.64.0.3/32")
    assert await house.unaccounted(pool) == 0
    await house.change(ana, ipv4="100.64.0.7")
    lease = await house.lease("100.64.0.1/32")
    assert (lease["state"], lease["login_id"], lease["pool_id"]) == ("released", ana, pool)
    assert (await process.claim(pool, 9)).units == units("100.64.0.4/32", "100.64.0.5/32", "100.64.0.6/32")
    assert await process.claim(pool, 9) is None  # a node that has not heard gives it to ana still, whatever the time
    await house.hears(process.node)
    assert (await process.claim(pool, 9)).units == units("100.64.0.1/32")
    assert await house.unaccounted(pool) == 0


async def test_what_was_fixed_ahead_of_the_claims_and_set_aside_is_not_claimed_twice(house: House):
    pool = await house.pool("100.64.0.0/29", quarantine_s=0)
    ana = await house.login("ana", ipv4="100.64.0.5")
    await house.change(ana, ipv4=None)
    one, two = Process(house.database, await house.node("n1")), Process(house.database, await house.node("n2"))
    await house.hears(one.node, two.node)
    await house.database.execute("UPDATE net.pool SET adopting_since = '2020-01-01'")
    assert (await one.claim(pool, 9)).units == units("100.64.0.5/32")
    await house.database.execute("UPDATE net.pool SET adopting_since = NULL")
    assert units("100.64.0.5/32")[0] not in (await two.claim(pool, 9)).units
    assert await house.unaccounted(pool) == 0


async def test_complaint_31_a_fixed_address_is_never_given_to_another(house: House):
    """field.md 4, item 31: a static address that is given out dynamically later. Fixed at any time, in any order."""
    pool = await house.pool("100.64.0.0/28", quarantine_s=0)
    process = Process(house.database, await house.node())
    fixed = {}
    for number in (3, 9, 15):
        fixed[await house.login(f"fixed{number}", ipv4=f"100.64.0.{number}")] = 0x64400000 + number
    given = []
    while (claimed := await process.claim(pool, 2)) is not None:
        asked = [wish(pool, 1000 + len(given) + at, claimed, at) for at in range(len(claimed.units))]
        given += [bound.unit[0] for bound in await process.bind(*asked)]
    assert sorted(given + list(fixed.values())) == list(range(0x64400000, 0x64400010))
    assert await house.unaccounted(pool) == 0


async def test_r7_2_what_a_node_may_still_give_to_its_last_login_is_not_free_by_being_excluded(house: House):
    """Rule R7.2: released, then excluded, an address is nobody else's until every node has heard of the release."""
    pool = await house.pool("100.64.0.0/29", quarantine_s=0)
    range_id = await house.value("SELECT id FROM net.pool_range")
    process = Process(house.database, await house.node())
    claimed = await process.claim(pool, 4)
    ana, bia = await house.login("ana"), await house.login("bia")
    await process.bind(wish(pool, ana, claimed))
    assert await house.release("100.64.0.0/32") == 1
    await house.exclude(range_id, 0, 1)
    words, _ = await refusal(house, bia, ipv4="100.64.0.0")
    assert words == "100.64.0.0/32 is not free of login ana yet"
    await house.hears(process.node)
    await house.change(bia, ipv4="100.64.0.0")
    assert await house.unaccounted(pool) == 0


async def test_the_gateway_of_a_pool_is_nobodys(house: House):
    await house.pool("100.64.0.0/29", name="centro", gateway="100.64.0.1")
    await house.pool("100.64.0.0/29", name="sul", space=2)
    ana = await house.login("ana")
    expected = ("100.64.0.1 is the gateway of pool centro", "login_ipv4_unique")
    assert await refusal(house, ana, ipv4="100.64.0.1") == expected
    assert await refusal(house, ana, routes="{100.64.0.0/29}") == (expected[0], "login_routes_unique")
    await house.change(ana, ipv4="100.64.0.1", address_space=2)


async def test_a_prefix_that_is_no_unit_of_the_pool_needs_an_exclusion(house: House):
    pool = await house.pool("2001:db8::/40", name="fibra", family="delegated", prefix_length=56)
    ana = await house.login("ana")
    words, _ = await refusal(house, ana, delegated_ipv6_prefix="2001:db8:10::/48")
    assert words == "2001:db8:10::/48 lies in pool fibra, which gives out /56. Exclude it from the pool first."
    words, _ = await refusal(house, ana, ipv6_prefix="2001:db8:10::/64")
    assert "lies in pool fibra" in words
    range_id = await house.value("SELECT id FROM net.pool_range")
    unit = await house.value("SELECT net.unit_number('2001:db8::', 56, '2001:db8:10::')")
    await house.exclude(range_id, unit, unit + 256)
    await house.change(ana, delegated_ipv6_prefix="2001:db8:10::/48")
    assert (await house.lease("2001:db8:10::/48"))["pool_id"] is None
    await house.change(ana, delegated_ipv6_prefix="2001:db8:9:ff00::/56")
    assert (await house.lease("2001:db8:9:ff00::/56"))["pool_id"] == pool


async def test_a_range_takes_fixed_addresses_in_and_refuses_what_it_could_not_skip(house: House):
    ana = await house.login("ana", ipv4="100.64.0.7", routes="{100.64.1.0/29}")
    with pytest.raises(StoreError) as caught:
        await house.pool("100.64.0.0/22")
    assert str(caught.value).startswith("100.64.1.0/29 is the fixed address of login ana")
    assert caught.value.constraint == "pool_range_free"
    pool = await house.pool("100.64.0.0/24", name="q")
    assert (await house.lease("100.64.0.7/32"))["pool_id"] == pool
    process = Process(house.database, await house.node())
    assert (await process.claim(pool, 9)).taken == units("100.64.0.7/32")
    await house.database.execute("DELETE FROM net.reserve; DELETE FROM net.pool_range")
    lease = await house.lease("100.64.0.7/32")
    assert (lease["pool_id"], lease["state"], lease["login_id"]) == (None, "fixed", ana)


async def test_a_claim_waits_for_no_open_transaction_and_leaves_out_what_it_fixes(house: House, dsn: str):
    """Rule R1.1's way: an open transaction of another program delays its own addresses only."""
    await house.database.execute("SET statement_timeout = '2s'")
    process = Process(house.database, await house.node())
    for place, committed in enumerate((True, False)):
        pool = await house.pool(f"100.64.{place}.0/29", name=f"p{place}")
        ana = await house.login(f"ana{place}")
        program = await asyncpg.connect(dsn)
        try:
            transaction = program.transaction()
            await transaction.start()
            await program.execute(f"UPDATE erp.login SET ipv4 = '100.64.{place}.2' WHERE id = $1", ana)
            claimed = await process.claim(pool, 4)
            assert claimed.units == units(*(f"100.64.{place}.{number}/32" for number in (0, 1, 3)))
            assert claimed.taken == units(f"100.64.{place}.2/32")
            await (transaction.commit() if committed else transaction.rollback())
        finally:
            await program.close()
        loaded = (await process.store.load_reserves(process.life))[-1]
        assert loaded.taken == (claimed.taken if committed else ())
        assert await house.unaccounted(pool) == 0


# Who looks for what is being fixed waits at a gate before he looks.
GATE = """
ALTER FUNCTION net.units_being_fixed RENAME TO units_told;
CREATE FUNCTION net.units_being_fixed(aside net.reserve) RETURNS SETOF cidr LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1);
    RETURN QUERY SELECT net.units_told(aside);
END
$$;
"""


async def test_an_address_that_is_fixed_just_while_a_claim_looks_is_left_out(house: House, dsn: str):
    pool = await house.pool("100.64.0.0/29")
    process = Process(house.database, await house.node())
    ana = await house.login("ana")
    await house.database.execute(GATE)
    program, keeper = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    try:
        await keeper.execute("SELECT pg_advisory_lock(1)")
        transaction = program.transaction()
        await transaction.start()
        await program.execute("UPDATE erp.login SET ipv4 = '100.64.0.2' WHERE id = $1", ana)
        claiming = asyncio.create_task(process.claim(pool, 4))
        async with asyncio.timeout(10):
            while not await keeper.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
        await transaction.commit()
        await keeper.execute("SELECT pg_advisory_unlock(1)")
        claimed = await claiming
    finally:
        await program.close()
        await keeper.close()
    assert claimed.units == units(*(f"100.64.0.{number}/32" for number in (0, 1, 3)))
    assert claimed.taken == units("100.64.0.2/32")


@pytest.mark.parametrize("had_holders", [False, True])
async def test_claims_and_programs_that_fix_addresses_at_once_never_get_the_same(
    house: House, dsn: str, had_holders: bool
):
    """Each address is in a claim, or fixed, or refused; never two of them."""
    pool = await house.pool("100.64.0.0/24", quarantine_s=0)
    process = Process(house.database, await house.node())
    if had_holders:
        everything = await process.claim(pool, 256)
        await process.bind(*(wish(pool, 1000 + place, everything, place) for place in range(256)))
        await house.release(*(f"100.64.0.{number}/32" for number in range(256)))
        await house.hears(process.node)
    logins = [await house.login(f"login{number}") for number in range(40)]
    claimed: set[int] = set()
    fixed: set[int] = set()

    async def fix(shard: int) -> None:
        program = await asyncpg.connect(dsn)
        try:
            for place, login in enumerate(logins[shard::4]):
                number = 6 * (place * 4 + shard) + 3
                address = f"100.64.0.{number}"
                try:
                    async with program.transaction():
                        await program.execute(f"UPDATE erp.login SET ipv4 = '{address}' WHERE id = {login}")
                        await asyncio.sleep(0.002)
                    fixed.add(number)
                except (asyncpg.UniqueViolationError, asyncpg.SerializationError):
                    pass
        finally:
            await program.close()

    async def claim() -> None:
        while (found := await process.claim(pool, 4)) is not None:
            claimed.update(number & 255 for number, _ in found.units)

    async with asyncio.TaskGroup() as group:
        for shard in range(4):
            group.create_task(fix(shard))
        group.create_task(claim())
    assert fixed
    assert not claimed & fixed
    assert await house.unaccounted(pool) == 0
    rows = await house.database.fetch("SELECT host(address) AS host FROM net.lease WHERE state = 'fixed'")
    assert {int(row["host"].rpartition(".")[2]) for row in rows} == fixed


async def test_a_program_with_an_old_snapshot_cannot_fix_what_was_claimed_since(house: House, dsn: str):
    pool = await house.pool("100.64.0.0/24")
    process = Process(house.database, await house.node())
    ana = await house.login("ana")
    program = await asyncpg.connect(dsn)
    try:
        for number, isolation in ((2, "repeatable_read"), (12, "serializable")):
            transaction = program.transaction(isolation=isolation)
            await transaction.start()
            await program.execute("SELECT FROM erp.login")
            await process.claim(pool, 9)
            with pytest.raises(asyncpg.SerializationError):
                await program.execute(f"UPDATE erp.login SET ipv4 = '100.64.0.{number}' WHERE id = $1", ana)
            await transaction.rollback()
    finally:
        await program.close()
    assert await house.value("SELECT count(*) FROM net.lease") == 0


async def test_many_fixed_addresses_in_one_transaction_do_not_fill_the_lock_table(house: House):
    pool = await house.pool("10.0.0.0/16")
    await house.database.execute(
        "INSERT INTO erp.login (contract_id, name, password, ipv4) "
        "SELECT 1, 'bulk' || n, 'secret', '10.0.0.0'::inet + n FROM generate_series(1, 600) AS n"
    )
    process = Process(house.database, await house.node(), life=uuid4())
    claimed = await process.claim(pool, 300)
    assert claimed.units == units("10.0.0.0/32")
    assert await house.value("SELECT count(*) FROM net.lease WHERE pool_id = $1", pool) == 600


async def test_a_range_shrinks_and_goes_only_when_nobody_has_anything_of_it(house: House):
    pool = await house.pool("100.64.0.0/28", quarantine_s=0)
    process = Process(house.database, await house.node())
    claimed = await process.claim(pool, 10)
    ana = await house.login("ana")
    await process.bind(wish(pool, ana, claimed, 9))
    shrink = "UPDATE net.pool_range SET last = '100.64.0.7'"
    with pytest.raises(StoreError, match=r"100\.64\.0\.9/32 is bound by login ana"):
        await house.database.execute(shrink)
    await house.release("100.64.0.9/32")
    with pytest.raises(StoreError, match=r"100\.64\.0\.9/32 is not free of login ana yet"):
        await house.database.execute(shrink)
    await house.hears(process.node)
    with pytest.raises(StoreError, match="node n1 has set aside addresses of it"):
        await house.database.execute(shrink)
    await process.store.give_back(claimed.reserve_id, claimed.units, 4)
    await house.hears(process.node)
    await house.database.execute(shrink)
    assert await house.value("SELECT ARRAY[units, next] FROM net.pool_range") == [8, 8]
    assert await house.unaccounted(pool) == 0
    await house.database.execute("DELETE FROM net.pool_range; DELETE FROM net.pool")


NO_RANGES = [
    ("100.64.0.4-100.64.0.15", 29, "pool_range_whole_units"),
    ("100.64.0.0-100.64.0.11", 29, "pool_range_whole_units"),
    ("2001:db8::/64", 56, "pool_range_whole_units"),
    ("2001:db8::/66-2001:db8:0:0:8000::/66", 67, "pool_range_whole_units"),
    ("127.0.0.0/24", 32, "pool_range_of_hosts"),
    ("126.0.0.0-128.0.0.0", 32, "pool_range_of_hosts"),
    ("224.0.0.0/24", 32, "pool_range_of_hosts"),
    ("fe80::/64", 64, "pool_range_of_hosts"),
    ("100.64.0.9-100.64.0.1", 32, "pool_range_ascends"),
    ("2001:db8::-100.64.0.1", 64, "pool_range_of_family"),
]


async def test_ranges_that_cannot_be_are_refused(house: House):
    for place, (text, length, constraint) in enumerate(NO_RANGES):
        with pytest.raises(StoreError) as caught:
            await house.pool(text, name=f"p{place}", prefix_length=length)
        assert caught.value.constraint == constraint, text


async def test_a_pool_with_ranges_keeps_its_form(house: House):
    await house.pool("100.64.0.0/28")
    for column, value in (("address_space", "2"), ("prefix_length", "31"), ("kind", "'nas'")):
        with pytest.raises(StoreError) as caught:
            await house.database.execute(f"UPDATE net.pool SET {column} = {value}")
        assert caught.value.constraint == "pool_form_kept"
    await house.database.execute("UPDATE net.pool SET name = 'q', valid_s = 900")
