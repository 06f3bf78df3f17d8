"""Rule R7.2 in the radius service: addresses of our own pools, over real UDP and with a real PostgreSQL.

Complaints of field.md that are held here: 28 (several addresses to one client), 30 (two owners of a pool), 31 (a
fixed address given to another), 32 (0.0.0.0), 33 (delegated prefixes that accounting does not know), 35 (blocked in
IPv4, free in IPv6).
"""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import IPv6Address
from pathlib import Path

import asyncpg
import msgspec
import pytest
from address_house import (
    DELEGATED_IPV6_PREFIX,
    FRAMED_IPV6_PREFIX,
    FRAMED_POOL,
    House,
    living,
    logins,
    mac,
    make_pool,
    pool,
    small,
    until,
)
from nas_double import FRAMED_IP, REPLY_MESSAGE, checked, vendor
from radius_service import IN_ORDER, login

from aaad.errors import StoreError
from aaad.policy.codes import AccessStatus, Discard, LoginFlag, Reason
from aaad.policy.facts import LoginExtras
from aaad.policy.lease import Lease
from aaad.pools import claims as claims_module
from aaad.pools.claims import BOUND_AGAIN, BOUND_BY_SPOOL, BOUND_NEW, REFUSED_UNITS
from aaad.pools.stock import FIRST_UNITS
from aaad.pools.supply import GIVEN_BACK, RESERVE_LOST
from aaad.radius import counters as names
from aaad.radius.addresses import Counted
from aaad.radius.explain import explain
from aaad.spool.records import AddressBound, Granted
from aaad.words import Language, customer_text

FAR_S = 4_000_000_000
RANGE = "100.64.0.0/24"


@pytest.fixture(scope="module")
def shared_dsn(postgres, _template) -> Iterator[str]:
    """One database for all of these tests: each begins with no pool in it."""

    async def do(sql: str) -> None:
        connection = await asyncpg.connect(postgres.dsn())
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    asyncio.run(do(f"CREATE DATABASE addresses TEMPLATE {_template}"))
    yield postgres.dsn("addresses")
    asyncio.run(do("DROP DATABASE addresses WITH (FORCE)"))


@pytest.fixture
async def dsn(shared_dsn) -> str:
    connection = await asyncpg.connect(shared_dsn)
    for table in ("pool_exclusion", "reserve", "lease", "pool_shortage", "pool_range", "pool", "node"):
        await connection.execute(f"DELETE FROM net.{table}")
    await connection.close()
    return shared_dsn


@pytest.fixture
async def db(dsn):
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def house(dsn, db, tmp_path: Path) -> AsyncIterator[House]:
    """One pool, twenty logins, and units set aside."""
    await make_pool(db, pool(), RANGE)
    async with living(dsn, tmp_path, [pool()]) as found:
        await found.until_supplied()
        yield found


def device(number: int) -> int:
    return int(mac(number).replace(b":", b""), 16)


def lease(number: int, address: int, **changes: object) -> Lease:
    return Lease(1, device(number), FAR_S, 4, address, 32)._replace(**changes)


def bound_records(house: House) -> list[AddressBound]:
    return [record for record in house.service.spool if isinstance(record, AddressBound)]


@asynccontextmanager
async def away(house: House) -> AsyncIterator[None]:
    """PostgreSQL takes no connection of anybody else."""
    name = await house.db.fetchval("SELECT current_database()")
    mine = await house.db.fetchval("SELECT pg_backend_pid()")
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> $2"
    outside = await asyncpg.connect(house.dsn, database="postgres")
    try:
        await outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await outside.fetch(others, name, mine)
        await asyncio.sleep(0.05)
        yield
    finally:
        await outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await outside.close()


# --- new addresses --------------------------------------------------------------------------------------------------


async def test_r7_2_who_dials_gets_an_address_and_the_ledger_has_it_before_the_answer(house: House) -> None:
    given = {await house.address(b"u%d" % number): number for number in range(1, 6)}
    assert len(given) == 5
    assert await house.leases() == given
    assert house.service.count(BOUND_NEW) == 5
    assert not bound_records(house)
    row = await house.db.fetchrow("SELECT *, valid_until - now() AS left FROM net.lease WHERE login_id = 3")
    assert (row["pool_id"], row["device"], row["nas_id"]) == (1, device(3), 1)
    assert 3590 < row["left"].total_seconds() < 3601


async def test_what_comes_together_is_bound_together_and_nobody_shares(house: House) -> None:
    requests = [house.request(b"u%d" % number) for number in range(1, 21)]
    house.client.send(*requests)
    replies = [await house.client.receive() for _ in requests]
    by_identifier = {request[1]: request for request in requests}
    given = [checked(reply, by_identifier[reply[1]])[FRAMED_IP] for reply in replies]
    assert len(set(given)) == 20
    assert b"\0\0\0\0" not in given, "complaint 32"
    assert len(await house.leases()) == 20


async def test_r3_3_a_copy_gets_the_same_octets_and_a_second_request_the_same_address(house: House) -> None:
    request = house.request(b"u1")
    house.client.send(request, request)
    reply = await house.client.receive()
    assert await house.client.ask(request) == reply
    address = checked(reply, request)[FRAMED_IP]
    for _ in range(3):  # complaint 28: no flip-flop
        assert (await house.dial(b"u1"))[FRAMED_IP] == address
    assert len(await house.leases()) == 1
    assert house.service.count(BOUND_NEW) == 1, "what this process bound itself needs no statement again"


async def test_complaint_28_two_requests_of_one_login_in_one_batch_get_one_address(house: House) -> None:
    requests = [house.request(b"u1") for _ in range(4)]
    house.client.send(*requests)
    by_identifier = {request[1]: request for request in requests}
    replies = [await house.client.receive() for _ in requests]
    assert len({checked(reply, by_identifier[reply[1]])[FRAMED_IP] for reply in replies}) == 1
    assert len(await house.leases()) == 1


async def test_another_device_of_the_login_gets_an_address_of_its_own(house: House) -> None:
    first, second = await house.address(b"u1"), await house.address(b"u1", mac(99))
    assert first != second
    assert (await house.address(b"u1"), await house.address(b"u1", mac(99))) == (first, second)


async def test_who_does_not_say_which_device_he_is_is_nobody_elses(house: House) -> None:
    request = house.request(b"u1", None)
    unknown = house.request(b"u1", b"")
    assert checked(await house.client.ask(request), request).code == 2
    assert checked(await house.client.ask(unknown), unknown).code == 2
    assert len(await house.leases()) == 2


# --- standing leases ------------------------------------------------------------------------------------------------


async def test_r7_2_a_standing_lease_is_answered_from_the_replica_without_postgresql(house: House) -> None:
    house.show({1: [lease(1, 0x64400005)]}, up_to=1)
    async with away(house):
        assert await house.address(b"u1") == "100.64.0.5"
    assert (house.service.count(BOUND_NEW), bound_records(house)) == (0, [])
    await house.service.counted(names.addresses(Counted.STANDING), 1)


@pytest.mark.parametrize(
    "found",
    [lease(2, 0x64400005), lease(1, 0x64400005, valid_until_s=1), lease(1, 0x64400005, pool_id=2)],
    ids=["another device's", "over", "of another pool"],
)
async def test_r7_2_no_other_lease_is_answered_from_the_replica(house: House, found: Lease) -> None:
    house.show({1: [found]}, up_to=1)
    assert await house.address(b"u1") != "100.64.0.5"
    assert house.service.count(BOUND_NEW) == 1


async def test_r7_2_who_comes_back_first_gets_his_last_address_again(house: House) -> None:
    first = await house.address(b"u1")
    await until(lambda: house.supplied() > FIRST_UNITS)  # now that the pool is used
    free = house.supplied()
    await house.db.execute(
        "UPDATE net.lease SET state = 'released', released_at = now(), free_from = now() + interval '1 hour', "
        "changed = pg_current_xact_id()"
    )
    transaction = await house.db.fetchval("SELECT pg_current_xact_id()::text::bigint")
    house.show({}, up_to=transaction)  # the replica has seen the release: what is in memory counts no more
    assert await house.address(b"u1") == first
    assert (house.service.count(BOUND_AGAIN), house.service.count(BOUND_NEW)) == (1, 1)
    assert house.supplied() == free, "the candidate that was not needed is free again"


async def test_r7_2_what_the_replica_has_seen_released_is_not_answered_from_memory(house: House) -> None:
    first = await house.address(b"u1")
    await house.db.execute("UPDATE net.lease SET login_id = 2, changed = pg_current_xact_id()")  # another's by now
    transaction = await house.db.fetchval("SELECT pg_current_xact_id()::text::bigint")
    assert await house.address(b"u1") == first, "the replica does not know better yet"
    house.show({}, up_to=transaction)
    assert await house.address(b"u1") != first


# --- without PostgreSQL ---------------------------------------------------------------------------------------------


async def test_r7_2_without_postgresql_new_logins_get_addresses_by_the_spool_and_none_twice(house: House) -> None:
    before = await house.address(b"u1")
    async with away(house):
        given = {await house.address(b"u%d" % number): number for number in range(1, 11)}
        assert given[before] == 1
        assert len(given) == 10
        written = bound_records(house)
        assert {record.address.removesuffix("/32"): record.login_id for record in written} == {
            address: number for address, number in given.items() if number != 1
        }
        assert (written[0].node, written[0].slot, written[0].pool_id, written[0].valid_s) == (3, 0, 1, 3600)
        assert written[0].device == device(written[0].login_id)
        assert {await house.address(b"u%d" % number): number for number in range(1, 11)} == given, "redialled"
    assert house.service.count(BOUND_BY_SPOOL) == 9
    assert len(await house.leases()) == 1


async def test_r3_1_with_postgresql_back_addresses_are_bound_again(house: House) -> None:
    async with away(house):
        await house.address(b"u1")
    await until(lambda: house.claims._ledger.is_connected)
    await until(lambda: not house.claims.is_away)
    await house.address(b"u2")
    assert list((await house.leases()).values()) == [2]


async def test_r7_2_a_late_postgresql_is_not_waited_for(house: House) -> None:
    other = await asyncpg.connect(house.dsn)
    try:
        async with other.transaction():
            await other.execute("LOCK TABLE net.lease IN ACCESS EXCLUSIVE MODE")
            first = await house.address(b"u1")
            second = await house.address(b"u2")
            assert first != second
    finally:
        await other.close()
    assert {record.address for record in bound_records(house)} == {f"{first}/32", f"{second}/32"}


async def test_r3_3_who_has_given_up_while_he_waited_takes_no_address(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    bind, is_slow, sent = house.claims._ledger.bind_batch, asyncio.Event(), asyncio.Event()

    async def bind_slowly(*args):
        is_slow.set()
        await sent.wait()
        return await bind(*args)

    monkeypatch.setattr(house.claims._ledger, "bind_batch", bind_slowly)
    house.client.send(house.request(b"u1"))
    await is_slow.wait()
    house.client.send(house.request(b"u2"))
    await until(lambda: house.claims.waiting == 1)
    (want,) = house.claims._waiting
    request, *others = want.context
    want.context = (request._replace(arrived_s=request.arrived_s - 60), *others)
    sent.set()
    await house.service.counted(Discard.LATE, 1)
    await house.client.receive()
    await house.address(b"u3")
    assert set((await house.leases()).values()) == {1, 3}


async def test_r3_1_with_nothing_set_aside_and_postgresql_away_there_is_silence_and_then_an_answer(
    house: House,
) -> None:
    async with away(house):
        while house.claims.supply.stocks[1].take() is not None:
            pass
        request = house.request(b"u1")
        house.client.send(request)
        assert await house.client.is_silent(0.3)
        await house.service.counted(Discard.CLAIM_IMPOSSIBLE, 1)
    assert explain(house.service.journal[-1][2]).discard is Discard.CLAIM_IMPOSSIBLE
    await house.until_supplied()
    assert checked(await house.client.ask(request), request).code == 2, "the copy is decided anew"


async def test_a_driver_that_fails_while_it_connects_ends_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise AttributeError("of a connection that went away meanwhile")

    ledger = house.claims._ledger
    with monkeypatch.context() as broken:
        broken.setattr(ledger, "connect", fail)
        await ledger.close()
        await asyncio.sleep(0.6)
        await house.address(b"u1")
        assert [record.login_id for record in bound_records(house)] == [1]
    await until(lambda: ledger.is_connected)
    await house.address(b"u2")
    assert set((await house.leases()).values()) == {2}


async def test_r6_2_what_is_not_safe_on_the_disk_is_not_answered(house: House) -> None:
    async with away(house):
        house.service.spool.is_failing = True
        house.client.send(house.request(b"u1"))
        assert await house.client.is_silent(0.3)
        house.service.spool.is_failing = False
        house.service.spool.is_full = True
        house.client.send(house.request(b"u2"))
        assert await house.client.is_silent(0.3)


async def test_r7_2_what_was_perhaps_bound_goes_to_nobody_else(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = house.claims._ledger
    bind = ledger.bind_batch

    async def bind_and_lose(*args):
        await bind(*args)
        raise StoreError("the connection was lost", may_have_committed=True)

    monkeypatch.setattr(ledger, "bind_batch", bind_and_lose)
    house.service.spool.is_full = True
    house.client.send(house.request(b"u1"))
    await house.service.counted(Discard.CLAIM_IMPOSSIBLE, 1)
    assert set((await house.leases()).values()) == {1}, "PostgreSQL had bound it"
    house.service.spool.is_full = False
    second = await house.address(b"u2")
    assert [record.login_id for record in bound_records(house)] == [2], "by the spool"
    assert second not in await house.leases(), "it is another's"


async def test_r7_2_a_process_that_starts_without_postgresql_lives_on_what_was_set_aside(
    dsn, db, tmp_path: Path
) -> None:
    await make_pool(db, pool(), RANGE)
    async with living(dsn, tmp_path, [pool()]) as house:
        await house.until_supplied()
        first = await house.address(b"u1")
    async with living("postgresql://nobody@127.0.0.1:1/nothing", tmp_path, [pool()], asks=dsn) as house:
        second = await house.address(b"u2")
        assert first != second
        assert [record.address for record in bound_records(house)] == [f"{second}/32"]


async def test_r7_2_two_lives_of_one_slot_give_nothing_twice(dsn, db, tmp_path: Path) -> None:
    """A process that was killed has marked what it gave: the next one goes on behind it, without PostgreSQL."""
    await make_pool(db, pool(), RANGE)
    given: list[str] = []
    for life in range(3):
        async with living(dsn, tmp_path, [pool()], is_killed=True) as house:
            await house.until_supplied()
            async with away(house):
                given += [await house.address(b"u%d" % number) for number in range(1 + 5 * life, 6 + 5 * life)]
    assert len(set(given)) == 15


# --- exhausted, tiny, draining --------------------------------------------------------------------------------------


async def test_r3_1_an_exhausted_pool_is_a_refusal_with_its_own_reason(dsn, db, tmp_path: Path) -> None:
    await make_pool(db, pool(), "100.64.0.0/30")
    async with living(dsn, tmp_path, [pool()]) as house:
        given = {await house.patient_address(b"u%d" % number) for number in range(1, 5)}
        assert given == {f"100.64.0.{last}" for last in range(4)}
        refused = await house.patient_dial(b"u5")
        assert refused.code == 3
        assert refused[REPLY_MESSAGE].decode() == customer_text(Reason.POOL_EXHAUSTED, Language.ENGLISH)
        assert house.service.count(Reason.POOL_EXHAUSTED) == 1
        assert explain(house.service.journal[-1][2]).reason is Reason.POOL_EXHAUSTED
        assert await house.address(b"u1") == "100.64.0.0" or (await house.leases())


async def test_a_tiny_pool_serves_several_processes_to_its_last_address(dsn, db, tmp_path: Path) -> None:
    await make_pool(db, pool(), "100.64.0.0/29")
    async with AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(living(dsn, tmp_path / str(slot), [pool()], slot=slot)) for slot in (0, 1)
        ]
        await until(lambda: one.claims.supply.stocks and two.claims.supply.stocks)
        await until(lambda: one.supplied() + two.supplied() == 8)
        rich, poor = (one, two) if one.supplied() else (two, one)
        given = [await rich.address(b"u1")]
        for number in range(2, 9):
            given.append(await poor.patient_address(b"u%d" % number))
        assert sorted(given) == [f"100.64.0.{last}" for last in range(8)], "complaint 30"
        assert rich.service.count(GIVEN_BACK) > 0
        assert (await poor.patient_dial(b"u9")).code == 3
        assert (await rich.patient_dial(b"u10")).code == 3


async def test_a_draining_pool_gives_nothing_new_and_who_has_an_address_keeps_it(house: House, db) -> None:
    first = await house.address(b"u1")
    await db.execute("UPDATE net.pool SET state = 'draining'")
    house.tables = msgspec.structs.replace(house.tables, generation=2, pools=[pool(state="draining")])
    house.show({1: [lease(1, int.from_bytes(bytes(map(int, first.split("."))), "big"))]}, up_to=1)
    await until(lambda: house.service.count(GIVEN_BACK) > 0)
    assert await house.address(b"u1") == first
    assert (await house.dial(b"u2")).code == 3
    assert house.service.count(Reason.POOL_EXHAUSTED) == 1
    await until(lambda: not house.supplied())
    await db.execute("UPDATE net.lease SET state = 'released', released_at = now(), free_from = now()")
    house.show({}, up_to=10**9)
    assert await house.address(b"u1") == first, "what he had last is his again"


async def test_what_is_excluded_while_it_is_set_aside_is_given_to_nobody(house: House, db) -> None:
    chunk = house.claims.supply.stocks[1].chunks[0]
    await db.execute(
        "INSERT INTO net.pool_exclusion (range_id, from_unit, until_unit, first, last) "
        "SELECT id, 3, 20, first + 3, first + 19 FROM net.pool_range"
    )
    stock = house.claims.supply.stocks[1]
    await until(lambda: chunk not in stock.chunks and stock.free)  # for good: others may rely on it
    given = [await house.address(b"u%d" % number) for number in range(1, 21)]
    assert not {f"100.64.0.{last}" for last in range(3, 20)} & set(given)


async def test_complaint_31_what_was_fixed_for_somebody_meanwhile_is_given_to_nobody_else(house: House, db) -> None:
    await db.execute(
        "INSERT INTO net.lease (address_space, address, state, login_id) VALUES (1, '100.64.0.0', 'fixed', 19)"
    )
    await db.execute("INSERT INTO net.lease (address_space, address, state) VALUES (1, '100.64.0.1', 'foreign')")
    assert await house.address(b"u1") == "100.64.0.2"
    assert house.service.count(REFUSED_UNITS) == 2


async def test_what_postgresql_says_is_not_ours_is_not_given(house: House, db) -> None:
    await db.execute("UPDATE net.reserve SET abandoned_at = now()")
    given = await house.address(b"u1")
    assert house.service.count(RESERVE_LOST) == 1
    assert int(given.rpartition(".")[2]) >= 32, "of a new claim"


async def test_who_has_an_address_gets_it_again_beside_one_whose_reserve_is_lost(house: House, db) -> None:
    first = await house.address(b"u1")
    await db.execute("UPDATE net.reserve SET abandoned_at = now()")
    asked = [house.request(b"u2"), house.request(b"u1")]
    house.client.send(*asked)
    given = {checked(await house.client.receive(), asked[1 - place])[FRAMED_IP] for place in (0, 1)}
    assert len(given) == 2
    assert house.service.count(names.BUGS) == 0
    assert (await house.leases())[first] == 1


async def test_a_range_that_a_stranger_holds_stops_the_claims_of_no_other_pool(dsn, db, tmp_path: Path) -> None:
    held, other = pool(reserve_size=1), pool(2, "other")
    await make_pool(db, held, RANGE)
    await make_pool(db, other, "100.65.0.0/24")
    facts = {
        **logins(9),
        b"u10": login(10, ipv4=0, flags=IN_ORDER | LoginFlag.CONDITIONAL, extras=LoginExtras(ipv4_pool="other")),
    }
    stranger = await asyncpg.connect(dsn)
    try:
        async with stranger.transaction():
            await stranger.execute("SELECT FROM net.pool_range WHERE pool_id = 1 FOR UPDATE")
            async with living(dsn, tmp_path, [held, other], logins=facts) as house:
                house.client.send(house.request(b"u1"))  # waits for it in vain
                await house.until_supplied(2)
                assert (await house.address(b"u10")).startswith("100.65.0.")
    finally:
        await stranger.close()


async def test_a_node_that_was_removed_begins_another_life(house: House, db) -> None:
    life = house.claims.supply.life
    await db.execute("INSERT INTO net.node (id, name, heartbeat_at) VALUES (4, 'node-4', now())")
    house.tables = msgspec.structs.replace(house.tables, generation=2, node_number=4)
    house.show({}, up_to=1)
    await until(lambda: house.claims.supply.node == 4 and house.supplied())
    assert house.claims.supply.life != life
    await house.address(b"u1")
    assert await db.fetchval("SELECT count(*) FROM net.reserve WHERE node_id = 4") > 0


# --- IPv6 -----------------------------------------------------------------------------------------------------------

LINK, HOME = pool(2, "link", "ipv6"), pool(3, "home", "delegated")
DUAL = pool(4, "dual", "ipv4", kind="dualstack", ipv4_pool_id=1, ipv6_pool_id=2, delegated_pool_id=3)
DUAL = msgspec.structs.replace(DUAL, family="", prefix_length=0)


async def with_ipv6(db, *, homes: str = "2001:db8:100::/40") -> None:
    await make_pool(db, pool(), RANGE)
    await make_pool(db, LINK, "2001:db8:8000::/48")
    await make_pool(db, HOME, homes)


def prefix(value: bytes) -> str:
    """What a prefix attribute says (RFC 3162, 2.3)."""
    assert value[0] == 0
    assert len(value) == 2 + -(-value[1] // 8)
    return f"{IPv6Address(value[2:].ljust(16, bytes(1)))}/{value[1]}"


@pytest.mark.parametrize("is_away", [False, True])
async def test_prefixes_of_the_link_and_delegated_ones_are_leases_too(dsn, db, tmp_path: Path, is_away: bool) -> None:
    await with_ipv6(db)
    async with living(dsn, tmp_path, [pool(), LINK, HOME, DUAL], ipv4_pool="dual") as house:
        for pool_id in (1, 2, 3):
            await house.until_supplied(pool_id)
        async with AsyncExitStack() as stack:
            if is_away:
                await stack.enter_async_context(away(house))
            reply = await house.dial(b"u1")
            again = await house.dial(b"u1")
        said = [(r[FRAMED_IP], r[FRAMED_IPV6_PREFIX], r[DELEGATED_IPV6_PREFIX]) for r in (reply, again)]
        assert said[0] == said[1]
        link, home = prefix(reply[FRAMED_IPV6_PREFIX]), prefix(reply[DELEGATED_IPV6_PREFIX])
        assert (link, home) == ("2001:db8:8000::/64", "2001:db8:100::/56")
        (told, _) = [record for record in house.service.spool if isinstance(record, Granted)]
        assert (told.login_id, told.ipv6_prefix, told.delegated_ipv6_prefix) == (1, link, home), "complaint 33"
        assert told.ipv4 == "100.64.0.0"
        if is_away:
            assert {record.address for record in bound_records(house)} == {"100.64.0.0/32", link, home}
        else:
            assert await house.leases() == {"100.64.0.0": 1, link: 1, home: 1}
        assert explain(house.service.journal[-1][2]).pool_ids == (1, 2, 3)


async def test_an_exhausted_pool_of_prefixes_refuses_nobody(dsn, db, tmp_path: Path) -> None:
    await with_ipv6(db, homes="2001:db8:100::/55")
    async with living(dsn, tmp_path, [pool(), LINK, HOME, DUAL], ipv4_pool="dual") as house:
        replies = [await house.patient_dial(b"u%d" % number) for number in range(1, 5)]
        assert [reply.code for reply in replies] == [2, 2, 2, 2]
        assert [len(reply.all(DELEGATED_IPV6_PREFIX)) for reply in replies] == [1, 1, 0, 0]
        await house.service.counted(names.addresses(Counted.WITHOUT_IPV6), 2)


async def test_an_address_or_prefix_of_the_logins_own_goes_before_any_pool(dsn, db, tmp_path: Path) -> None:
    await with_ipv6(db)
    extras = LoginExtras(delegated_ipv6_prefix="2001:db8:ffff::/56")
    own = {
        b"u1": login(1, ipv4=0xC0000201, extras=extras, flags=IN_ORDER | LoginFlag.CONDITIONAL),
        b"u2": login(2, ipv4=0xC0000202),
    }
    async with living(dsn, tmp_path, [pool(), LINK, HOME, DUAL], ipv4_pool="dual", logins=own) as house:
        await house.until_supplied(2)
        reply = await house.dial(b"u1")
        assert reply[FRAMED_IP] == b"\xc0\0\x02\x01"
        assert prefix(reply[DELEGATED_IPV6_PREFIX]) == "2001:db8:ffff::/56"
        assert list(await house.leases()) == [prefix(reply[FRAMED_IPV6_PREFIX])]


# --- who names a pool -----------------------------------------------------------------------------------------------


async def test_r7_1_two_address_spaces_have_the_same_range_each_for_itself(dsn, db, tmp_path: Path) -> None:
    here, there = pool(), pool(2, address_space=7)
    await make_pool(db, here, RANGE)
    await make_pool(db, there, RANGE)
    given = small([here, there], ipv4_pool="cgnat")
    elsewhere = msgspec.structs.replace(
        given.nases[0], nas_id=2, name="there", address="127.0.0.7/32", address_space=7
    )
    given = msgspec.structs.replace(given, nases=[*given.nases, elsewhere])
    async with living(dsn, tmp_path, [here, there], small=given) as house:
        await house.until_supplied(1)
        await house.until_supplied(2)
        first = await house.address(b"u1")
        with house.client_from("127.0.0.7") as client:
            request = house.request(b"u2")
            second = checked(await client.ask(request), request)[FRAMED_IP]
        assert (first, second) == ("100.64.0.0", bytes((100, 64, 0, 0)))
        rows = await house.db.fetch("SELECT address_space, login_id FROM net.lease ORDER BY address_space")
        assert [tuple(row) for row in rows] == [(1, 1), (7, 2)]


async def test_a_pool_of_the_concentrator_is_told_by_name_as_ever(dsn, db, tmp_path: Path) -> None:
    await make_pool(db, pool(), RANGE)
    nas_pool = msgspec.structs.replace(pool(2, "router"), kind="nas", prefix_length=0)
    async with living(dsn, tmp_path, [pool(), nas_pool], ipv4_pool="router") as house:
        reply = await house.dial(b"u1")
        assert (reply[FRAMED_POOL], reply.all(FRAMED_IP)) == (b"router", [])
        assert await house.leases() == {}


# --- the blocked state ----------------------------------------------------------------------------------------------

BLOCKED_SPEED = {"blocked_state": "S"}
ADDRESS_LIST = 19


def blocked_logins(count: int = 5):
    return logins(count, access_status=AccessStatus.BLOCKED_AUTOMATICALLY)


async def test_r4_3_the_blocked_state_has_its_own_pool_and_a_full_one_is_no_refusal(dsn, db, tmp_path: Path) -> None:
    walled = pool(5, "walled")
    await make_pool(db, pool(), RANGE)
    await make_pool(db, walled, "10.66.0.0/31")
    given = small(
        [pool(), walled],
        ipv4_pool="cgnat",
        blocked_state="S",
        blocked_ipv4_pool="walled",
        blocked_address_list="debt",
    )
    async with living(dsn, tmp_path, [pool(), walled], small=given, logins=blocked_logins()) as house:
        await house.until_supplied(1)
        replies = [await house.patient_dial(b"u%d" % number) for number in range(1, 5)]
        said = [".".join(map(str, reply[FRAMED_IP])) for reply in replies]
        assert said[:2] == ["10.66.0.0", "10.66.0.1"]
        assert all(address.startswith("100.64.0.") for address in said[2:])
        assert len(set(said)) == 4
        assert all(vendor(14988, ADDRESS_LIST, b"debt")[2:] in reply.all(26) for reply in replies)
        await until(lambda: house.service.count(names.addresses(Counted.BLOCKED_FULL)) >= 2)
        assert house.service.count(Reason.GRANTED_BLOCKED) == 4


async def test_complaint_35_who_is_blocked_gets_prefixes_of_the_blocked_pools_only(dsn, db, tmp_path: Path) -> None:
    await with_ipv6(db)
    walled = pool(6, "walled6", "delegated")
    await make_pool(db, walled, "2001:db8:f000::/44")
    given = small(
        [pool(), LINK, HOME, DUAL, walled], ipv4_pool="dual", blocked_state="S", blocked_address_list="debt",
        blocked_delegated_ipv6_pool="walled6",
    )  # fmt: skip
    async with living(dsn, tmp_path, [], small=given, logins=blocked_logins()) as house:
        await house.until_supplied(6)
        await house.until_supplied(1)
        reply = await house.dial(b"u1")
        assert prefix(reply[DELEGATED_IPV6_PREFIX]) == "2001:db8:f000::/56"
        assert reply.all(FRAMED_IPV6_PREFIX) == []
        assert reply[FRAMED_IP] == bytes((100, 64, 0, 0))


# --- together with the rest -----------------------------------------------------------------------------------------


async def test_the_path_leaves_no_cycles_behind(house: House) -> None:
    await house.address(b"u1")
    gc.collect()
    gc.disable()
    try:
        for number in range(2, 12):
            await house.address(b"u%d" % number)
        found = [one for one in gc.get_objects(0) if type(one).__module__.startswith("aaad.pools")]
        del found
        assert gc.collect(0) < 200  # of the test's own client and asyncpg, not one for each login
    finally:
        gc.enable()


async def test_what_is_set_aside_of_each_pool_is_told(dsn, db, tmp_path: Path) -> None:
    await make_pool(db, pool(), RANGE)
    path = tmp_path / "radius-0.pools.json"
    async with living(dsn, tmp_path, [pool()], facts_path=path) as house:
        await house.until_supplied()
        await until(path.exists)
        assert json.loads(path.read_bytes()) == [{"slot": "", "space": 1, "pool": "cgnat", "units": 32}]


async def test_a_storm_claims_more_than_the_reserve_and_keeps_within_one_statement_at_a_time(
    dsn, db, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims_module, "BATCH_MAX", 50)
    few = pool(reserve_size=4)
    await make_pool(db, few, "100.64.0.0/16")
    async with living(dsn, tmp_path, [few], count=250) as house:
        await house.until_supplied()
        given = set()
        for start in range(1, 251, 125):
            given |= set(await house.dial_together(range(start, start + 125)))
        assert len(given) == 250
        assert len(await house.leases()) == 250
