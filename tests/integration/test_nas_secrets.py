"""Further secrets of a NAS entry (R2.1, R2.2): live in the replica, never more than four, braked like entries."""

import math
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from replica_node import Node, erp, running, seed, until

ROTATE = "UPDATE net.nas SET secret_previous = 'old', secret_previous_until = now() + $1::interval WHERE id = 1"


async def test_r2_1_further_secrets_of_a_nas_arrive_with_their_ends_and_their_loss_is_braked(
    dsn: str, tmp_path: Path
) -> None:
    await seed(dsn, 10)
    async with running(Node(dsn, tmp_path)) as node, erp(dsn) as sql:
        await until(lambda: node.meta)
        await sql.execute(
            "INSERT INTO net.nas_secret (nas_id, secret, valid_until)"
            " VALUES (1, 'for ever', NULL), (1, 'for a time', '2100-01-01Z'), (1, 'over', '2001-01-01Z')"
        )
        await until(lambda: len(node.tables().nases[0].secrets) == 3)
        assert node.tables().nases[0].secrets == (
            (b"for ever", math.inf),
            (b"for a time", 4102444800.0),
            (b"over", 978307200.0),
        )
        await sql.execute("INSERT INTO net.nas (id, name, address, secret) VALUES (2, 'two', '192.0.2.1', 's')")
        await sql.execute("INSERT INTO net.nas_secret (nas_id, secret) VALUES (2, 'other')")
        await until(lambda: len(node.tables().nases) == 2 and node.tables().nases[1].secrets)
        await sql.execute("DELETE FROM net.nas_secret WHERE secret = 'over'")
        await until(lambda: len(node.tables().nases[0].secrets) == 2)
        await sql.execute("DELETE FROM net.nas_secret")
        await until(lambda: node.meta.held_nases)
        assert [len(nas.secrets) for nas in node.tables().nases] == [2, 1]


async def test_r2_2_a_nas_has_four_secrets_at_most(dsn: str) -> None:
    await seed(dsn, 1)
    async with erp(dsn) as sql:
        await sql.execute("INSERT INTO net.nas_secret (nas_id, secret) VALUES (1, 'a'), (1, 'b')")
        await sql.execute("INSERT INTO net.nas_secret (nas_id, secret, valid_until) VALUES (1, 'over', '2001-01-01')")
        await sql.execute(ROTATE, timedelta(days=1))
        for statement in (
            "INSERT INTO net.nas_secret (nas_id, secret) VALUES (1, 'c')",
            "UPDATE net.nas_secret SET valid_until = NULL WHERE secret = 'over'",
        ):
            with pytest.raises(asyncpg.CheckViolationError) as refused:
                await sql.execute(statement)
            assert refused.value.constraint_name == "nas_secret_at_most_four"
        await sql.execute(ROTATE, timedelta(0))
        await sql.execute("INSERT INTO net.nas_secret (nas_id, secret) VALUES (1, 'c')")
        with pytest.raises(asyncpg.CheckViolationError):
            await sql.execute(ROTATE, timedelta(days=1))
