"""A whole node, in its own processes, turns an SQL COMMIT into an order."""

import asyncio
from pathlib import Path

import asyncpg
from process_node import ProcessNode
from replica_node import SEED
from session_rows import NOW, add_session


async def test_a_node_orders_what_a_commit_changes(dsn: str, tmp_path: Path) -> None:
    node = ProcessNode(tmp_path, dsn, "node-1")
    db = await asyncpg.connect(dsn)
    try:
        await db.execute(SEED.replace("$N", "3"))
        family = await add_session(
            db, started=NOW, heard=NOW, login_id=1, contract_id=1, user_name="user000001", acct_session_id="81000001"
        )
        node.start()
        async with asyncio.timeout(60):
            while not await db.fetchval("SELECT snapshot IS NOT NULL FROM net.order_reconciler"):
                await asyncio.sleep(0.1)
            await db.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 1")
            while not (order := await db.fetchrow("SELECT * FROM net.network_order")):
                await asyncio.sleep(0.05)
        assert (order["family"], order["kind"], order["cause"]) == (family, "disconnect", "block")
        node.stop()
    finally:
        await db.close()
