"""Rules R1 and R7 against a real PostgreSQL: pools, who names them, and leases arrive in the replica."""

import asyncio
import random
from collections.abc import Iterable
from contextlib import AsyncExitStack
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import asyncpg
import pytest
from replica_node import Node, erp, expected_leases, expected_tables, running, seed, until

from aaad import clock
from aaad.db.connection import Queries
from aaad.policy.facts import LoginExtras
from aaad.policy.lease import encode_leases, find_lease
from aaad.replica import feed, leases
from aaad.replica.batch import Written
from aaad.replica.leases import LeaseChanges
from aaad.replica.record import PoolRow
from aaad.replica.source import STATEMENTS

LIMIT_S = 20.0
POOLS = """
INSERT INTO net.pool (id, name, kind, family, prefix_length, valid_s) VALUES
    (1, 'cgnat', 'radius', 'ipv4', 32, 900), (2, 'casa', 'radius', 'delegated', 56, 86400),
    (3, 'router', 'nas', 'ipv4', NULL, 86400);
INSERT INTO net.pool (id, name, kind, ipv4_pool_id, delegated_pool_id) VALUES (4, 'dual', 'dualstack', 1, 2);
"""


async def test_pools_and_who_names_them_arrive(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 3)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        await sql.execute(POOLS)
        await until(lambda: len(node.tables().pools) == 4)
        cgnat, casa, router, dual = node.tables().pools
        assert cgnat == PoolRow(1, 1, "cgnat", "radius", "ipv4", 32, "active", False, 900, 256)
        assert (casa.family, casa.prefix_length) == ("delegated", 56)
        assert (router.kind, router.prefix_length) == ("nas", 0)
        assert (dual.kind, dual.family) == ("dualstack", "")
        assert (dual.ipv4_pool_id, dual.ipv6_pool_id, dual.delegated_pool_id) == (1, 0, 2)
        await sql.execute("UPDATE net.pool SET state = 'draining', adopting_since = now() WHERE id = 1")
        await until(lambda: node.tables().pools[0].state == "draining" and node.tables().pools[0].adopting)
        await sql.execute("UPDATE net.nas SET ipv4_pool = 'cgnat', delegated_ipv6_pool = 'casa', address_space = 7")
        await until(lambda: node.tables().nases[0].address_space == 7)
        nas = node.tables().nases[0]
        assert (nas.ipv4_pool, nas.ipv6_pool, nas.delegated_ipv6_pool) == ("cgnat", "", "casa")
        assert (await expected_tables(dsn)).pools == node.tables().pools


async def test_a_contracts_pools_are_its_logins_unless_those_name_others(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 3)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        await sql.execute("UPDATE erp.login SET ipv4_pool = 'own' WHERE id = 2")
        await sql.execute(
            "UPDATE erp.contract SET ipv4_pool = 'contract', delegated_ipv6_pool = 'casa' WHERE id <= 2"
        )
        await until(lambda: (login := node.login("user000002")).extras and login.extras.delegated_ipv6_pool)
        assert node.login("user000001").extras == LoginExtras(ipv4_pool="contract", delegated_ipv6_pool="casa")
        assert node.login("user000002").extras == LoginExtras(ipv4_pool="own", delegated_ipv6_pool="casa")
        assert node.login("user000003").extras is None


# --- leases ---------------------------------------------------------------------------------------------------------

BIND = """
INSERT INTO net.lease (address_space, address, pool_id, state, login_id, device, offered_at, valid_until)
SELECT 1, ('100.64.0.0'::inet + n)::cidr, 1, 'bound', n, n, now(), now() + interval '1 hour'
FROM generate_series($1::integer, $2::integer) AS n
"""
OTHERS = """
INSERT INTO net.lease (address_space, address, pool_id, state, login_id, device, offered_at, valid_until) VALUES
    (1, '2001:db8:7::/56', 2, 'bound', 3, 77, now(), now() + interval '2 hours'),
    (2, '100.64.0.3', 1, 'bound', 3, 3, now(), 'infinity'),
    (1, '100.64.0.99', NULL, 'fixed', 3, 0, NULL, NULL), (1, '100.64.0.98', NULL, 'foreign', 2, 0, NULL, NULL)
"""
RELEASE = """
UPDATE net.lease SET state = 'released', released_at = now(), free_from = now(), changed = pg_current_xact_id()
WHERE login_id BETWEEN $1 AND $2 AND state = 'bound'
"""


async def equal(dsn: str, node: Node) -> None:
    """Wait until the replica has what the ledger has."""
    expected = await expected_leases(dsn)
    await until(lambda: node.leases() == expected, LIMIT_S)


async def test_r7_2_leases_arrive_are_extended_and_vanish(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 5)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        await sql.execute(POOLS)
        await sql.execute(BIND, 1, 5)
        await until(lambda: len(node.leases()) == 5)
        assert find_lease(encode_leases(node.leases()[3]), 1, 3, clock.wall_s()).number == 0x64400003
        await sql.execute(OTHERS)
        await until(lambda: len(node.leases()[3]) == 3)
        unending, delegated, first = node.leases()[3]
        assert (delegated.family, delegated.prefix_length, delegated.device) == (6, 56, 77)
        assert delegated.number == int(IPv6Address("2001:db8:7::"))
        assert unending.valid_until_s > first.valid_until_s + 1e9
        await sql.execute(
            "UPDATE net.lease SET valid_until = valid_until + interval '1 day', changed = pg_current_xact_id() "
            "WHERE login_id = 1"
        )
        await until(lambda: node.leases()[1][0].valid_until_s > clock.wall_s() + 80_000)
        await sql.execute(RELEASE, 2, 3)
        await until(lambda: node.leases().keys() == {1, 4, 5})
        assert node.count("unusable_leases_total") == 0


async def test_r7_2_who_lost_a_lease_to_another_or_with_its_row_is_told_so(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 5)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        await sql.execute(POOLS)
        await sql.execute(BIND, 1, 5)
        await equal(dsn, node)
        await sql.execute("UPDATE net.lease SET login_id = 4, changed = pg_current_xact_id() WHERE login_id = 2")
        await until(lambda: node.leases().keys() == {1, 3, 4, 5})
        assert len(node.leases()[4]) == 2
        async with sql.transaction():  # released, and another's at once
            await sql.execute(RELEASE, 3, 3)
            await sql.execute("UPDATE net.lease SET state = 'bound', login_id = 1 WHERE login_id = 3")
        await until(lambda: node.leases().keys() == {1, 4, 5})
        await sql.execute("DELETE FROM net.lease WHERE login_id = 5")
        await until(lambda: node.leases().keys() == {1, 4})
        assert node.count("resyncs_total") == 1
        logged = await sql.fetch("SELECT key FROM net.change WHERE kind = 'lease' ORDER BY id")
        assert [row["key"] for row in logged] == [2, 3, 5]
        await sql.execute(RELEASE, 1, 9)
        await sql.execute("DELETE FROM net.lease")
        assert await sql.fetchval("SELECT count(*) FROM net.change WHERE kind = 'lease'") == 3


async def test_r7_2_a_lease_of_a_long_transaction_is_not_missed(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 9)
    async with running(Node(dsn, tmp_path, poll_interval_s=0.05)) as node, erp(dsn) as sql, erp(dsn) as slow:
        await until(lambda: node.meta)
        await sql.execute(POOLS)
        opened = slow.transaction()
        await opened.start()
        await slow.execute(BIND, 1, 3)
        for login_id in range(4, 10):
            await sql.execute(BIND, login_id, login_id)
            await until(lambda login_id=login_id: login_id in node.leases())
        assert node.leases().keys() == {4, 5, 6, 7, 8, 9}
        polls = node.count("polls_total")
        await until(lambda: node.count("polls_total") > polls + 2)
        await opened.commit()
        await equal(dsn, node)
        assert len(node.leases()) == 9


async def test_r7_2_many_changes_are_taken_bit_by_bit_and_told_as_far_as_they_are_applied(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASES_PER_POLL", 10)
    await seed(dsn, 5)
    node, taken = Node(dsn, tmp_path, poll_interval_s=0.05), []
    take_over = node.feed._take_over

    def watched(written: Written) -> None:
        take_over(written)
        taken.append((len(node.leases()), written.meta.lease_snapshot))

    monkeypatch.setattr(node.feed, "_take_over", watched)
    async with running(node), erp(dsn) as sql, erp(dsn) as slow:
        await until(lambda: node.meta)
        await sql.execute(POOLS)
        opened = slow.transaction()
        await opened.start()
        await slow.execute(BIND, 501, 525)
        monkeypatch.setattr(feed, "read_lease_changes", read_when_all_are_seen)
        polls = node.count("polls_total")
        await until(lambda: node.count("polls_total") > polls + 1, LIMIT_S)
        for login_id in range(1, 101):
            await sql.execute(BIND, login_id, login_id)
        await sql.execute(BIND, 201, 300)  # of one transaction: taken at once
        await equal(dsn, node)
        assert {10, 20, 30, 90, 200} <= {size for size, _ in taken}
        await opened.commit()
        await equal(dsn, node)
        assert len(node.leases()) == 225
        for size, snapshot in taken:
            visible = "SELECT count(*) FROM net.lease WHERE pg_visible_in_snapshot(changed, $1::text::pg_snapshot)"
            assert await sql.fetchval(visible, snapshot) == size
        told = "SELECT count(*) FROM net.node, net.lease WHERE pg_visible_in_snapshot(changed, snapshot)"
        async with asyncio.timeout(LIMIT_S):
            while await sql.fetchval(told) < 225:  # a poll that finds nothing moves the snapshot on, too
                await asyncio.sleep(0.05)


async def read_when_all_are_seen(queries: Queries, since: str, now: str, also: Iterable[int]) -> LeaseChanges:
    """A poll may have begun amid the changes: it takes none, so that the steps are the same in every run."""
    seen = await queries.fetchrow("SELECT count(*) FROM net.lease")
    if seen is not None and seen["count"] < 200:
        return LeaseChanges(snapshot=since)
    return await leases.read_lease_changes(queries, since, now, also)


async def test_r1_2_what_one_transaction_changes_beyond_measure_is_read_as_a_whole(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASES_AT_ONCE_MAX", 500)
    monkeypatch.setattr(leases, "LEASES_PER_POLL", 100)
    monkeypatch.setattr(leases, "LEASES_PER_READ", 70)
    await seed(dsn, 5)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        await sql.execute(POOLS)
        await sql.execute(BIND, 1, 499)
        await equal(dsn, node)
        assert node.count("resyncs_total") == 1
        await sql.execute(BIND, 1001, 1500)
        await equal(dsn, node)
        await until(lambda: node.count("resyncs_total") == 2, LIMIT_S)
        await sql.execute("TRUNCATE net.lease")
        await until(lambda: node.count("resyncs_total") == 3, LIMIT_S)
        assert node.leases() == {}


async def test_r7_2_nothing_is_told_to_another_database(dsn: str, tmp_path: Path) -> None:
    await seed(dsn, 5)
    async with running(Node(dsn, tmp_path)) as node:
        await until(lambda: node.meta)
        meta, tell = node.meta, STATEMENTS["tell_snapshot"]
    async with erp(dsn) as sql:
        await sql.execute(tell, meta.node_number, "3:3:", meta.system_identifier, meta.timeline)
        assert await sql.fetchval("SELECT snapshot::text FROM net.node") == "3:3:"
        for changed in (("9/9/9", meta.timeline), (meta.system_identifier, "000000FF")):
            assert await sql.execute(tell, meta.node_number, "4:4:", *changed) == "UPDATE 1"
        future = "9000000000:9000000000:"
        await sql.execute(tell, meta.node_number, future, meta.system_identifier, meta.timeline)
        assert await sql.fetchval("SELECT snapshot::text FROM net.node") == "3:3:"


async def test_r1_2_a_node_that_comes_back_finds_what_was_bound_and_released_meanwhile(
    dsn: str, tmp_path: Path
) -> None:
    await seed(dsn, 5)
    async with erp(dsn) as sql:
        await sql.execute(POOLS)
        await sql.execute(BIND, 1, 20)
        async with running(Node(dsn, tmp_path)) as node:
            await until(lambda: node.meta)
            assert len(node.leases()) == 20  # at the first load
        await sql.execute(RELEASE, 5, 8)
        await sql.execute(BIND, 30, 33)
        again = Node(dsn, tmp_path)
        polls = again.count("polls_total")
        async with running(again):
            await until(lambda: again.count("polls_total") > polls)
            assert again.leases() == await expected_leases(dsn)
            assert again.count("resyncs_total") == 1  # that of its first start


# --- many at once ---------------------------------------------------------------------------------------------------

STEPS = """
CREATE TABLE step (id bigint GENERATED ALWAYS AS IDENTITY, address cidr, is_bound boolean,
    xid xid8 DEFAULT pg_current_xact_id());
"""
TAKE = """
WITH taken AS (
    INSERT INTO net.lease (address_space, address, pool_id, state, login_id, device, offered_at, valid_until)
    VALUES (1, ('100.64.0.0'::inet + $1::integer)::cidr, 1, 'bound', $2, $3, now(), now() + interval '1 hour')
    ON CONFLICT (address_space, address) DO UPDATE SET state = 'bound', device = excluded.device,
        valid_until = excluded.valid_until, changed = excluded.changed WHERE lease.state = 'released'
    RETURNING address
) INSERT INTO step (address, is_bound) SELECT address, true FROM taken
"""
MOVE = """
WITH moved AS (
    UPDATE net.lease SET login_id = $2, changed = pg_current_xact_id()
    WHERE address_space = 1 AND address = ('100.64.0.0'::inet + $1::integer)::cidr RETURNING address, state
) INSERT INTO step (address, is_bound) SELECT address, state = 'bound' FROM moved
"""
LEAVE = """
WITH left_ AS (
    UPDATE net.lease SET state = 'released', released_at = now(), free_from = now(), changed = pg_current_xact_id()
    WHERE address_space = 1 AND address = ('100.64.0.0'::inet + $1::integer)::cidr AND state = 'bound'
    RETURNING address
) INSERT INTO step (address, is_bound) SELECT address, false FROM left_
"""
# Bound in the replica although a release of it is told as applied, and nothing bound it since.
BROKEN = """
SELECT DISTINCT host(address)
FROM (SELECT DISTINCT ON (address) address, is_bound, xid FROM step ORDER BY address, id DESC) AS last
WHERE NOT is_bound AND pg_visible_in_snapshot(xid, $1::text::pg_snapshot) AND address = ANY ($2::cidr[])
"""


async def bind_and_release(sql: asyncpg.Connection, choice: random.Random, own: range, rounds: int) -> None:
    """Bind and release addresses of its own, and move them to others; some transactions take long or fail."""
    for _ in range(rounds):
        opened = sql.transaction()
        await opened.start()
        for _ in range(choice.choice((1, 1, 2, 9))):
            unit = choice.choice(own)
            match choice.randrange(9):
                case 0:
                    await sql.execute(MOVE, unit, choice.randrange(1, 61))
                case 1 | 2 | 3 | 4:
                    await sql.execute(TAKE, unit, 1 + unit % 60, choice.randrange(1, 4))
                case _:
                    await sql.execute(LEAVE, unit)
        await asyncio.sleep(choice.random() ** 4 * 0.3)
        await (opened.rollback() if choice.random() < 0.15 else opened.commit())


@pytest.mark.parametrize("start", [1, 2])
async def test_r7_2_the_replica_equals_the_ledger_and_no_release_is_told_before_it_is_applied(
    start: int, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASES_PER_POLL", 7)
    choice = random.Random(start)
    await seed(dsn, 5)
    node = Node(dsn, tmp_path, poll_interval_s=0.03)
    async with running(node), erp(dsn) as watcher, AsyncExitStack() as stack:
        await until(lambda: node.meta)
        await watcher.execute(POOLS + STEPS)
        programs = [await stack.enter_async_context(erp(dsn)) for _ in range(4)]
        writers = asyncio.gather(
            *(
                bind_and_release(sql, choice, range(1 + 50 * number, 51 + 50 * number), 60)
                for number, sql in enumerate(programs)
            )
        )
        checks = 0
        while not writers.done():
            told = await watcher.fetchval("SELECT snapshot::text FROM net.node")
            held = [f"{IPv4Address(lease.number)}/32" for of in node.leases().values() for lease in of]
            assert told is None or await watcher.fetch(BROKEN, told, held) == []
            checks += 1
            await asyncio.sleep(0.02)
        await writers
        await equal(dsn, node)
        assert checks > 10
        assert node.count("resyncs_total") == 1
