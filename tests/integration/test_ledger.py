"""The ledger: claims never meet, bindings are unique, and who may have an address when (rules R7.1, R7.2)."""

import asyncio
from ipaddress import IPv4Address, IPv6Network
from uuid import uuid4

import asyncpg
import pytest
from pool_house import DAY_S, House, Process, house_of, units, wish
from session_rows import NOW, add_session

from aaad.db.connection import Database
from aaad.pools.address import unit_text
from aaad.pools.store import Bound, Outcome


@pytest.fixture
async def house(dsn):
    async with house_of(dsn) as made:
        yield made


async def test_claims_are_chunks_that_never_meet_and_end_with_the_pool(house: House):
    pool = await house.pool("100.64.0.0/29", "100.64.1.0/30")
    one, two = Process(house.database, await house.node("n1")), Process(house.database, await house.node("n2"))
    claims = [await process.claim(pool, 5) for process in (one, two, one, two)]
    assert claims[3] is None
    assert claims[0].units == units(*(f"100.64.0.{place}/32" for place in range(5)))
    assert claims[1].units == units(*(f"100.64.0.{place}/32" for place in range(5, 8)))
    assert claims[2].units == units(*(f"100.64.1.{place}/32" for place in range(4)))
    assert await house.unaccounted(pool) == 0


async def test_of_no_pool_is_so_much_claimed_at_once_that_others_could_want_for_it(house: House):
    """At most its reserve's size, or a 64th of all where that is more."""
    process = Process(house.database, await house.node())
    large = await house.pool("100.64.0.0/22", name="large", reserve_size=8)
    small = await house.pool("100.65.0.0/28", name="small", reserve_size=8)
    assert len((await process.claim(large, 1000)).units) == 1024 // 64
    assert len((await process.claim(small, 1000)).units) == 8
    assert len((await process.claim(small, 3)).units) == 3


async def test_two_connections_that_claim_at_once_get_different_units(house: House, dsn: str):
    pool = await house.pool("100.64.0.0/24")
    databases = [Database(dsn, connect_timeout_s=5, statement_timeout_s=20, application_name="t") for _ in range(4)]
    processes = [Process(database, await house.node(f"n{at}")) for at, database in enumerate(databases)]
    claimed: list[tuple[int, int]] = []

    async def work(process: Process) -> None:
        while (found := await process.claim(pool, 7)) is not None:
            claimed.extend(found.units)

    async with asyncio.TaskGroup() as group:
        for process in processes:
            group.create_task(work(process))
    for database in databases:
        await database.close()
    assert sorted(claimed) == [(0x64400000 + place, 32) for place in range(256)]
    assert await house.unaccounted(pool) == 0


UNITS_OF_EVERY_KIND = [
    ("203.0.113.254/31", 32, ["203.0.113.254/32", "203.0.113.255/32"]),
    ("203.0.113.7/32", 32, ["203.0.113.7/32"]),
    ("203.0.113.128/28", 29, ["203.0.113.128/29", "203.0.113.136/29"]),
    ("2001:db8::/63", 64, ["2001:db8::/64", "2001:db8:0:1::/64"]),
    ("2001:db8:0:fe00::/55", 56, ["2001:db8:0:fe00::/56", "2001:db8:0:ff00::/56"]),
    ("fdff:ffff:ffff:ffff::/64", 64, ["fdff:ffff:ffff:ffff::/64"]),
    ("2001:db9::7/128", 128, ["2001:db9::7/128"]),
    ("2001:db9::ffff:ffff-2001:db9::1:0:0", 128, ["2001:db9::ffff:ffff/128", "2001:db9::1:0:0/128"]),
]


async def test_units_of_every_kind_are_claimed_bound_and_released(house: House):
    process = Process(house.database, await house.node())
    for place, (text, length, expected) in enumerate(UNITS_OF_EVERY_KIND):
        pool = await house.pool(text, name=f"p{place}", prefix_length=length, quarantine_s=0)
        family = 6 if ":" in text else 4
        claimed = await process.claim(pool, 10)
        assert claimed.units == units(*expected)
        assert claimed.family == family
        wishes = [wish(pool, 7 + place, claimed, place, family=family) for place in range(len(expected))]
        assert await process.bind(*wishes) == [Bound(Outcome.NEW, unit) for unit in claimed.units]
        assert await process.claim(pool, 10) is None
        assert await house.release(*expected) == len(expected)
        await house.hears(process.node)
        assert (await process.claim(pool, 10)).units == claimed.units
        assert await house.unaccounted(pool) == 0


async def test_one_batch_has_wishes_of_several_pools_concentrators_and_reserves(house: House):
    """What wishes have in common is said once: each must still get its own."""
    process = Process(house.database, await house.node())
    small = await house.pool("100.64.0.0/29", name="small", quarantine_s=0)
    wide = await house.pool("2001:db8::/40", name="wide", space=2, prefix_length=56)
    first, second, prefixes = [await process.claim(pool, 3) for pool in (small, small, wide)]
    await process.bind(wish(small, 9, first, 2))
    asked = [
        wish(small, 7, first, 0, nas_id=5, valid_s=900),
        wish(wide, 7, prefixes, 0, address_space=2, family=6),
        wish(small, 8, second, 0, nas_id=6),
        wish(small, 9, second, 1, nas_id=5, valid_s=900),
        wish(small, 10, nas_id=6),
        wish(small, 11, first, 1, reserve_id=12_345),
        wish(small, 12, first, 2, nas_id=5),
        wish(small, 13, second, 2),
    ]
    new, again = [Bound(Outcome.NEW, asked[place].candidate) for place in (0, 1, 2, 7)], first.units[2]
    others = [Bound(Outcome.AGAIN, again), *(Bound(why, None) for why in (Outcome.NONE, Outcome.LOST, Outcome.TAKEN))]
    assert await process.bind(*asked) == [*new[:3], *others, new[3]]
    rows = await house.database.fetch(
        "SELECT address::text, address_space, pool_id, login_id, nas_id, device, "
        "extract(epoch FROM valid_until - offered_at)::integer FROM net.lease ORDER BY login_id, address_space"
    )
    assert [tuple(row) for row in rows] == [
        ("100.64.0.0/32", 1, small, 7, 5, 7000, 900),
        ("2001:db8::/56", 2, wide, 7, 1, 7000, DAY_S),
        ("100.64.0.3/32", 1, small, 8, 6, 8000, DAY_S),
        ("100.64.0.2/32", 1, small, 9, 5, 9000, DAY_S),
        ("100.64.0.5/32", 1, small, 13, 1, 13_000, DAY_S),
    ]


async def test_exclusions_are_jumped_over_wherever_they_lie(house: House):
    pool = await house.pool("100.64.0.0/27")
    range_id = await house.value("SELECT id FROM net.pool_range")
    for span in ((0, 1), (3, 5), (5, 6), (9, 10), (31, 32)):
        await house.exclude(range_id, *span)
    process = Process(house.database, await house.node())
    found = []
    while (claimed := await process.claim(pool, 4)) is not None:
        assert len(claimed.units) <= 4
        found += [number - 0x64400000 for number, _ in claimed.units]
    assert found == [place for place in range(32) if place not in (0, 3, 4, 5, 9, 31)]
    assert await house.unaccounted(pool) == 0


async def test_a_reserve_is_used_up_when_all_its_units_are_in_the_ledger_and_nothing_else_counts(house: House):
    pool = await house.pool("100.64.0.0/29")
    process = Process(house.database, await house.node())
    await house.exclude(await house.value("SELECT id FROM net.pool_range"), 2, 4)
    await house.login("fixed", routes="{100.64.0.2/31}")
    claimed = await process.claim(pool, 8)
    used_up = "SELECT net.is_used_up(reserve) FROM net.reserve"
    for place in (0, 1, 2, 5):  # the last one among them
        await process.bind(wish(pool, 7 + place, claimed, place))
        assert not await house.value(used_up)
    await house.database.execute("UPDATE net.lease SET state = 'foreign' WHERE address = '100.64.0.1'")
    await process.bind(wish(pool, 7 + 3, claimed, 3), wish(pool, 7 + 4, claimed, 4))
    assert not await house.value(used_up), "a mark goes again"
    await house.database.execute("UPDATE net.lease SET state = 'bound' WHERE address = '100.64.0.1'")
    assert await house.value(used_up)
    whole = await house.pool("100.64.1.0/30", name="whole")
    claimed = await process.claim(whole, 4)
    used_up += f" WHERE pool_id = {whole}"
    for place in (3, 0, 1):
        await process.bind(wish(whole, 70 + place, claimed, place))
        assert not await house.value(used_up)
    await process.bind(wish(whole, 72, claimed, 2))
    assert await house.value(used_up)


@pytest.mark.parametrize(
    ("text", "length", "family"), [("100.64.0.0/29", 32, 4), ("100.64.0.0/26", 29, 4), ("2001:db8::/61", 64, 6)]
)
async def test_of_what_was_somebodys_before_a_reserve_knows_what_is_elsewhere(
    house: House, text: str, length: int, family: int
):
    pool = await house.pool(text, prefix_length=length, quarantine_s=0)
    process = Process(house.database, await house.node())
    everything = await process.claim(pool, 8)
    await process.bind(*(wish(pool, 7 + place, everything, place, family=family) for place in range(8)))
    await house.release(*(unit_text(family, *unit) for unit in everything.units))
    await house.hears(process.node)
    claimed = await process.claim(pool, 4)
    assert (len(claimed.units), claimed.family, claimed.taken) == (4, family, ())
    assert set(claimed.units) < set(everything.units)
    await process.bind(wish(pool, 100, claimed, 1, family=family))
    await process.store.give_back(claimed.reserve_id, [claimed.units[0]], family)
    later = await process.claim(pool, 5)
    assert set(later.units) == set(everything.units) - set(claimed.units[1:])
    first, _ = await process.store.load_reserves(process.life)
    assert first.taken == claimed.units[:2]
    assert first.units == claimed.units[2:]
    used_up = f"SELECT net.is_used_up(reserve) FROM net.reserve WHERE id = {claimed.reserve_id}"
    await process.bind(wish(pool, 103, claimed, 3, family=family))
    assert not await house.value(used_up)
    await process.bind(wish(pool, 102, claimed, 2, family=family))
    assert await house.value(used_up)
    await process.bind(wish(pool, 104, later, later.units.index(claimed.units[0]), family=family))
    assert await house.value(used_up)
    await house.database.execute("UPDATE net.lease SET state = 'foreign' WHERE login_id = 102")
    assert not await house.value(used_up), "a mark goes again"
    assert await house.unaccounted(pool) == 0


@pytest.mark.parametrize(("text", "length", "family"), [("100.64.0.0/30", 32, 4), ("2001:db8::/62", 64, 6)])
async def test_what_was_somebodys_before_and_a_session_reports_is_given_to_nobody(
    house: House, dsn: str, text: str, length: int, family: int
):
    """The ledger says that nobody has it; who is connected with it says otherwise (rule R7.3)."""
    pool = await house.pool(text, prefix_length=length, quarantine_s=0)
    process = Process(house.database, await house.node())
    everything = await process.claim(pool, 4)
    await process.bind(*(wish(pool, 7 + place, everything, place, family=family) for place in range(4)))
    names = [unit_text(family, *unit) for unit in everything.units]
    await house.release(*names)
    await house.hears(process.node)
    column, kind = ("ipv4", IPv4Address) if family == 4 else ("ipv6_prefix", IPv6Network)
    said = kind(names[2].removesuffix("/32"))
    connection = await asyncpg.connect(dsn)
    try:
        await add_session(connection, started=NOW, heard=NOW, address_space=1, **{column: said})
    finally:
        await connection.close()
    claimed = await process.claim(pool, 4)
    assert claimed.taken == (everything.units[2],)
    assert set(claimed.units) == set(everything.units) - {everything.units[2]}


async def test_a_large_hole_of_a_range_is_in_nobodys_reserve(house: House):
    pool = await house.pool("2001:db8::/40", prefix_length=56)
    range_id = await house.value("SELECT id FROM net.pool_range")
    await house.exclude(range_id, 3, 60_000)
    process = Process(house.database, await house.node())
    assert (await process.claim(pool, 10)).units == units(
        "2001:db8::/56", "2001:db8:0:100::/56", "2001:db8:0:200::/56"
    )
    claimed = await process.claim(pool, 10)
    assert len(claimed.units) == 10
    assert claimed.taken == ()


async def test_what_was_excluded_is_given_out_when_it_is_no_more(house: House):
    pool = await house.pool("100.64.0.0/30", quarantine_s=0)
    excluded = await house.exclude(await house.value("SELECT id FROM net.pool_range"), 1, 3)
    process = Process(house.database, await house.node())
    claimed = await process.claim(pool, 10)
    assert claimed.units == units("100.64.0.0/32", "100.64.0.3/32")
    assert await process.claim(pool, 10) is None
    await house.database.execute("DELETE FROM net.pool_exclusion WHERE id = $1", excluded)
    assert await process.claim(pool, 10) is None  # what was bound there before may still be believed in
    await house.hears(process.node)
    assert (await process.claim(pool, 10)).units == units("100.64.0.1/32", "100.64.0.2/32")


async def test_r7_1_two_address_spaces_have_the_same_range(house: House):
    """Rule R7.1: uniqueness is per address space and address; two pools of one space never overlap."""
    first, second = await house.pool("100.64.0.0/30"), await house.pool("100.64.0.0/30", name="q", space=2)
    process = Process(house.database, await house.node())
    claims = [await process.claim(pool, 4) for pool in (first, second)]
    assert claims[0].units == claims[1].units
    wishes = [wish(first, 7, claims[0]), wish(second, 8, claims[1], address_space=2)]
    assert {bound.outcome for bound in await process.bind(*wishes)} == {Outcome.NEW}
    assert (await house.lease("100.64.0.0/32"))["login_id"] == 7
    assert (await house.lease("100.64.0.0/32", space=2))["login_id"] == 8
    with pytest.raises(Exception, match="pool_range_once"):
        await house.pool("100.64.0.2/31", name="r")
    await house.pool("100.64.0.2/31", name="r", space=3)


async def test_r7_2_the_same_login_has_its_address_again_at_once(house: House):
    """Rule R7.2: also while it rests, and while no node has heard that it was released."""
    pool = await house.pool("100.64.0.0/24")
    process = Process(house.database, await house.node())
    claimed = await process.claim(pool, 10)
    assert await process.bind(wish(pool, 7, claimed)) == [Bound(Outcome.NEW, claimed.units[0])]
    # The same device redials before its old session is closed; another device of the login does not push it out.
    assert await process.bind(wish(pool, 7, claimed, 1)) == [Bound(Outcome.AGAIN, claimed.units[0])]
    assert await process.bind(wish(pool, 7, claimed, 1, device=5)) == [Bound(Outcome.NEW, claimed.units[1])]
    await house.release("100.64.0.0/32", "100.64.0.1/32")
    # Each device its own; a third one what is free first.
    other = Process(house.database, await house.node("n2"))
    assert await other.bind(wish(pool, 7, device=5)) == [Bound(Outcome.AGAIN, claimed.units[1])]
    assert await other.bind(wish(pool, 7, device=6)) == [Bound(Outcome.AGAIN, claimed.units[0])]
    assert await other.bind(wish(pool, 7, device=7)) == [Bound(Outcome.NONE, None)]
    assert await other.bind(wish(pool, 7, device=0)) == [Bound(Outcome.NONE, None)]
    assert (await house.lease("100.64.0.0/32"))["state"] == "bound"


async def test_r7_2_another_login_has_it_when_every_node_has_applied_the_release(house: House):
    """Rule R7.2: nodes that are heard make it free at once, after its rest; one that is not heard holds it."""
    pool = await house.pool("100.64.0.0/32", quarantine_s=0)
    near, far = await house.node("near"), await house.node("far")
    process = Process(house.database, near)
    claimed = await process.claim(pool, 10)
    await process.bind(wish(pool, 7, claimed))
    await house.hears(near, far)
    await house.release("100.64.0.0/32")
    assert await process.claim(pool, 10) is None  # neither has heard
    await house.hears(near)
    assert await process.claim(pool, 10) is None  # one has not
    await house.hears(far)
    assert (await process.claim(pool, 10)).units == claimed.units


async def test_r7_2_a_release_is_settled_with_a_node_when_its_older_answers_are_sessions(house: House):
    """Rule R7.2: what it answered from its copy before it heard is in its spool; so the spool counts, too."""
    pool = await house.pool("100.64.0.0/32", quarantine_s=0)
    process = Process(house.database, await house.node())
    claimed = await process.claim(pool, 10)
    await process.bind(wish(pool, 7, claimed))
    await house.release("100.64.0.0/32")
    applies = "UPDATE net.node SET snapshot = pg_current_snapshot()"
    drains = "UPDATE net.node SET drain_watermark = now() + $1::text::interval"
    await house.database.execute(applies)
    assert await process.claim(pool, 10) is None
    await house.database.execute(drains, "89 seconds")
    await house.database.execute(applies)
    assert await process.claim(pool, 10) is None
    await house.database.execute("INSERT INTO net.spool_deferred (node, record) VALUES ('n1', ' ')")
    await house.database.execute(drains, "91 seconds")
    assert await process.claim(pool, 10) is None, "a record waits for rows that somebody holds"
    await house.database.execute("DELETE FROM net.spool_deferred")
    await house.database.execute(drains, "92 seconds")
    assert (await process.claim(pool, 10)).units == claimed.units


async def test_r7_2_a_node_that_is_not_heard_holds_it_until_the_lease_is_over_or_it_is_removed(house: House):
    """Rule R7.2: until valid_until + 60 s, or until an operator removes that node."""
    pool = await house.pool("100.64.0.0/32", quarantine_s=0)
    near, far = await house.node("near"), await house.node("far")
    process = Process(house.database, near)
    claimed = await process.claim(pool, 10)
    await process.bind(wish(pool, 7, claimed))
    await house.hears(far)
    await house.release("100.64.0.0/32")
    await house.hears(near)
    assert await process.claim(pool, 10) is None
    await house.database.execute("UPDATE net.lease SET valid_until = now() - interval '59 seconds'")
    assert await process.claim(pool, 10) is None
    await house.database.execute("UPDATE net.lease SET valid_until = now() - interval '61 seconds'")
    claimed = await process.claim(pool, 10)
    await process.bind(wish(pool, 8, claimed))
    await house.release("100.64.0.0/32")
    await house.hears(near)
    assert await process.claim(pool, 10) is None
    await house.database.execute("DELETE FROM net.node WHERE name = 'far'")
    assert (await process.claim(pool, 10)).units == claimed.units


async def test_r7_2_a_released_address_rests_first(house: House):
    """Its quarantine: then the longest free goes first."""
    pool = await house.pool("100.64.0.0/30", quarantine_s=300)
    process = Process(house.database, await house.node())
    claimed = await process.claim(pool, 10)
    await process.bind(*(wish(pool, 7 + place, claimed, place) for place in range(4)))
    await house.release("100.64.0.2/32")
    await house.release("100.64.0.1/32")
    await house.hears(process.node)
    assert await process.claim(pool, 1) is None
    await house.database.execute("UPDATE net.lease SET free_from = free_from - interval '299 seconds'")
    assert await process.claim(pool, 1) is None
    await house.database.execute("UPDATE net.lease SET free_from = free_from - interval '2 seconds'")
    assert [(await process.claim(pool, 1)).units for _ in range(2)] == [
        units("100.64.0.2/32"),
        units("100.64.0.1/32"),
    ]


async def test_r7_2_it_rests_although_its_lease_is_long_over(house: House):
    """A quarantine that is longer than what was left of the validity, at a node that never heard of the release."""
    pool = await house.pool("100.64.0.0/32", quarantine_s=300)
    process = Process(house.database, await house.node())
    await process.bind(wish(pool, 7, await process.claim(pool, 1)))
    await house.release("100.64.0.0/32")
    await house.database.execute("UPDATE net.lease SET valid_until = now() - interval '1 hour'")
    assert await process.claim(pool, 1) is None
    await house.database.execute("UPDATE net.lease SET free_from = now()")
    assert (await process.claim(pool, 1)).units == units("100.64.0.0/32")


async def test_r7_2_one_statement_binds_all_families_of_a_micro_batch(house: House):
    """Rule R7.2: one upsert per micro-batch; each answer says what became of its wish."""
    pools = {
        "ipv4": await house.pool("100.64.0.0/24", name="v4"),
        "ipv6": await house.pool("2001:db8::/56", name="v6"),
        "delegated": await house.pool("2001:db8:f000::/40", name="pd", family="delegated", prefix_length=56),
    }
    process = Process(house.database, await house.node())
    claims = {kind: await process.claim(pool, 64) for kind, pool in pools.items()}
    wishes = [
        wish(pools[kind], login, claims[kind], login, family=4 if kind == "ipv4" else 6)
        for login in (9, 3, 5)
        for kind in ("delegated", "ipv4", "ipv6")
    ]
    answers = await process.bind(*wishes)
    assert answers == [Bound(Outcome.NEW, asked.candidate) for asked in wishes]
    again = await process.bind(*wishes[::-1], wish(pools["ipv4"], 99))
    assert again == [*[Bound(Outcome.AGAIN, asked.candidate) for asked in wishes[::-1]], Bound(Outcome.NONE, None)]


async def test_a_candidate_that_somebody_has_is_taken_and_a_lost_reserve_gives_nothing(house: House):
    pool = await house.pool("100.64.0.0/24")
    process = Process(house.database, await house.node())
    claimed = await process.claim(pool, 10)
    other = Process(house.database, process.node, life=uuid4())
    assert await other.bind(wish(pool, 7, claimed)) == [Bound(Outcome.LOST, None)]  # of another life
    await process.bind(wish(pool, 7, claimed))
    assert await process.bind(wish(pool, 8, claimed)) == [Bound(Outcome.TAKEN, None)]
    assert await process.bind(wish(pool, 8, claimed, 1)) == [Bound(Outcome.NEW, claimed.units[1])]
    assert await other.store.abandon(other.life) == 1
    assert await process.bind(wish(pool, 9, claimed, 2)) == [Bound(Outcome.LOST, None)]
    assert await process.bind(wish(pool, 7, claimed, 2)) == [Bound(Outcome.AGAIN, claimed.units[0])]


async def test_what_a_process_left_is_loaded_by_its_successor_and_returned_once_it_is_abandoned(house: House):
    pool = await house.pool("100.64.0.0/29")
    process = Process(house.database, await house.node())
    claimed = await process.claim(pool, 6)
    await process.bind(wish(pool, 7, claimed, 2))
    successor = Process(house.database, process.node, life=process.life)
    (loaded,) = await successor.store.load_reserves(process.life)
    assert loaded.reserve_id == claimed.reserve_id
    assert loaded.taken == (claimed.units[2],)
    assert loaded.units == tuple(unit for unit in claimed.units if unit != claimed.units[2])
    assert await successor.store.give_back(claimed.reserve_id, [claimed.units[0]], 4) == 1
    assert await successor.store.give_back(claimed.reserve_id, [claimed.units[0]], 4) == 0
    await house.hears(process.node)
    heir = Process(house.database, process.node)
    assert await heir.store.abandon(heir.life) == 1
    assert await heir.store.load_reserves(heir.life) == []
    assert await house.unaccounted(pool) == 0
    assert await house.value("SELECT net.return_reserve(id) FROM net.reserve") == 4
    assert await house.value("SELECT count(*) FROM net.reserve") == 0
    assert (await heir.claim(pool, 9)).units == units("100.64.0.6/32", "100.64.0.7/32")
    assert len((await heir.claim(pool, 9)).units) == 5
    assert await house.unaccounted(pool) == 0


async def test_a_unit_that_was_set_aside_anew_does_not_go_back_with_its_first_reserve(house: House):
    """A reserve that is half used up lives on while what it gave out is released and claimed by another process."""
    pool = await house.pool("100.64.0.0/30", quarantine_s=0)
    one, two = Process(house.database, await house.node("n1")), Process(house.database, await house.node("n2"))
    claimed = await one.claim(pool, 4)
    await one.bind(wish(pool, 7, claimed))
    await house.release("100.64.0.0/32")
    await house.hears(one.node, two.node)
    anew = await two.claim(pool, 4)
    assert anew.units == units("100.64.0.0/32")
    assert await house.unaccounted(pool) == 0
    assert await one.store.give_back(claimed.reserve_id, claimed.units, 4) == 3
    assert await house.value("SELECT array_agg(node_id) FROM net.reserve") == [two.node]
    assert await two.bind(wish(pool, 8, anew)) == [Bound(Outcome.NEW, anew.units[0])]
    assert await house.unaccounted(pool) == 0


async def test_used_up_reserves_go_with_the_next_claim(house: House):
    pool = await house.pool("100.64.0.0/24")
    process = Process(house.database, await house.node())
    for number in range(5):
        claimed = await process.claim(pool, 4)
        await process.bind(*(wish(pool, 100 + number * 4 + place, claimed, place) for place in range(4)))
    assert await house.value("SELECT count(*) FROM net.reserve") == 1
    assert await house.unaccounted(pool) == 0


async def test_two_wishes_of_one_login_in_a_batch_never_get_one_address(house: House):
    pool = await house.pool("100.64.0.0/24", quarantine_s=0)
    process = Process(house.database, await house.node())
    claimed = await process.claim(pool, 10)
    await process.bind(wish(pool, 7, claimed))
    await house.release("100.64.0.0/32")
    answers = await process.bind(wish(pool, 7, claimed, 1, device=1), wish(pool, 7, claimed, 2, device=2))
    given = [answer.unit for answer in answers if answer.unit]
    assert len(given) == len(set(given)) >= 1


async def test_a_pool_that_is_not_active_gives_nothing_new_and_keeps_who_has_an_address(house: House):
    pool = await house.pool("100.64.0.0/24")
    process = Process(house.database, await house.node())
    claimed = await process.claim(pool, 2)
    await process.bind(wish(pool, 7, claimed))
    for state in ("draining", "retired"):
        await house.database.execute("UPDATE net.pool SET state = $1", state)
        assert await process.claim(pool, 2) is None
        assert await process.bind(wish(pool, 7)) == [Bound(Outcome.AGAIN, claimed.units[0])]


async def test_r7_3_an_adopting_pool_gives_only_what_was_released_since(house: House):
    """Rule R7.3: new claims take only addresses that are proven unused."""
    pool = await house.pool("100.64.0.0/24", quarantine_s=0)
    process = Process(house.database, await house.node())
    claimed = await process.claim(pool, 2)
    await process.bind(wish(pool, 7, claimed), wish(pool, 8, claimed, 1))
    await house.release("100.64.0.0/32")
    await house.database.execute("UPDATE net.pool SET adopting_since = clock_timestamp()")
    await house.hears(process.node)
    assert await process.claim(pool, 2) is None
    await house.release("100.64.0.1/32")
    await house.hears(process.node)
    assert (await process.claim(pool, 2)).units == (claimed.units[1],)
    await house.database.execute("UPDATE net.pool SET adopting_since = NULL")
    assert (await process.claim(pool, 2)).units == units("100.64.0.2/32", "100.64.0.3/32")


async def test_nothing_waits_for_a_row_that_somebody_holds(house: House, dsn: str):
    pool = await house.pool("100.64.0.0/24", quarantine_s=0)
    process = Process(house.database, await house.node())
    claimed = await process.claim(pool, 10)
    await process.bind(wish(pool, 7, claimed), wish(pool, 8, claimed, 1))
    await house.release("100.64.0.0/32", "100.64.0.1/32")
    await house.hears(process.node)
    holder = await asyncpg.connect(dsn)
    try:
        async with holder.transaction():
            await holder.execute("SELECT FROM net.lease WHERE login_id = 7 FOR UPDATE")
            await house.database.execute("SET statement_timeout = '2s'")
            assert await process.bind(wish(pool, 7, claimed, 2)) == [Bound(Outcome.NEW, claimed.units[2])]
            await house.database.execute("UPDATE net.pool_range SET next = units")
            assert (await process.claim(pool, 10)).units == units("100.64.0.1/32")
    finally:
        await holder.close()


async def test_a_lease_never_ends_earlier_than_a_node_may_believe(house: House):
    pool = await house.pool("100.64.0.0/24")
    process = Process(house.database, await house.node())
    claimed = await process.claim(pool, 10)
    await process.bind(wish(pool, 7, claimed))
    until = (await house.lease("100.64.0.0/32"))["valid_until"]
    await process.bind(wish(pool, 7, claimed, valid_s=300))
    assert (await house.lease("100.64.0.0/32"))["valid_until"] == until
    await process.bind(wish(pool, 7, claimed, valid_s=200_000))
    assert (await house.lease("100.64.0.0/32"))["valid_until"] > until


async def test_a_release_of_what_was_bound_again_meanwhile_does_nothing(house: House):
    pool = await house.pool("100.64.0.0/24")
    process = Process(house.database, await house.node())
    await process.bind(wish(pool, 7, await process.claim(pool, 10)))
    seen = (await house.lease("100.64.0.0/32"))["changed"]
    await process.bind(wish(pool, 7))
    sql = "SELECT net.release_leases('{1}', '{100.64.0.0/32}', ARRAY[$1::text::xid8])"
    assert await house.value(sql, str(seen)) == 0
    assert await house.value(sql, str((await house.lease("100.64.0.0/32"))["changed"])) == 1
