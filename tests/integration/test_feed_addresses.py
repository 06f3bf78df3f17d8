"""Rules R1 and R7 against a real PostgreSQL: pools, who names them, and leases arrive in the replica."""

from pathlib import Path

from replica_node import Node, erp, expected_tables, running, seed, until

from aaad.policy.facts import LoginExtras
from aaad.replica.record import PoolRow

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
