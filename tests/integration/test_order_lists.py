"""IPv6 address lists, which no attribute of RouterOS says: by the API alone, from a session's start to its end."""

import asyncio
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

from order_field import Bras
from order_house import PPPOE, OrderHouse, order_house
from test_orders_from_commit import carrying, dial_all, put_up, settled

LISTS = "/ipv6/firewall/address-list"
SEED = """
INSERT INTO erp.branch (id, name) VALUES (1, 'Matriz');
INSERT INTO erp.plan (id, name, upload, download, address_list_ipv6) VALUES (1, 'p', '10M', '10M', 'v6-one');
INSERT INTO erp.client (id, branch_id, kind, name) VALUES (1, 1, 'E', 'Ana');
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status, access_status)
    SELECT id, 1, 1, 1, 'A', 'A' FROM generate_series(1, 2) AS id;
INSERT INTO erp.login (id, contract_id, name, password)
    SELECT id, id, 'user' || lpad(id::text, 6, '0'), 'x' FROM generate_series(1, 2) AS id;
INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'one', '127.0.0.0/8', 'testing123');
"""


def entries(bras: Bras) -> set[tuple[str, str, str]]:
    rows = list(bras.router.table(LISTS).rows.values())
    return {(row["list"], row["address"], row["comment"]) for row in rows}


async def until_entries(bras: Bras, expected: set[tuple[str, str, str]]) -> None:
    for _ in range(400):
        if entries(bras) == expected:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{entries(bras)} and not {expected}")


async def end(house: OrderHouse, bras: Bras, family: object) -> None:
    """A session stops, as accounting tells of it."""
    session_id = await house.db.fetchval(
        "UPDATE net.session SET ended_at = now(), ended_latest = now(), end_evidence = 'stop', version = version + 1 "
        "WHERE family = $1 RETURNING acct_session_id",
        family,
    )
    bras.nas.sessions.pop(session_id.encode(), None)


async def test_a_session_is_in_its_ipv6_list_from_its_start_to_its_end(dsn: str, tmp_path: Path) -> None:
    async with order_house(dsn, tmp_path, SEED) as house:
        with ExitStack() as stack:
            bras = Bras(9, stack)
            await put_up(house, bras)
            await house.applied()
            first = await house.session(1, PPPOE, source_address=bras.address, ipv6_prefix="2001:db8:a::/64",
                                        delegated_ipv6_prefix=None)  # fmt: skip
            other = await house.session(2, PPPOE, source_address=bras.address, ipv6_prefix="2001:db8:b::/64",
                                        delegated_ipv6_prefix=None)  # fmt: skip
            async with AsyncExitStack() as running:
                await running.enter_async_context(house.reconciling())
                await house.known()
                await dial_all(house, bras)
                counters = await running.enter_async_context(carrying(house, tmp_path))
                both = {
                    ("v6-one", "2001:db8:a::/64", "aaad: login 1"),
                    ("v6-one", "2001:db8:b::/64", "aaad: login 2"),
                }
                await until_entries(bras, both)
                await settled(house)
                assert await house.orders("kind || ' ' || cause || ' ' || state") == {"lists start done": 2}

                # Another name alone: nobody is asked to change, nobody is cut.
                await house.db.execute("UPDATE erp.plan SET address_list_ipv6 = 'v6-two'")
                await until_entries(bras, {("v6-two", address, comment) for _, address, comment in both})
                await settled(house)
                assert await house.orders("kind") == {"lists": 4}
                assert len(bras.sessions) == 2

                # What the API wrote goes with the session; whoever has the address next is in no list by it.
                await end(house, bras, first)
                await until_entries(bras, {("v6-two", "2001:db8:b::/64", "aaad: login 2")})

                # His own again at once: the entry stays.
                await end(house, bras, other)
                again = await house.session(2, PPPOE, source_address=bras.address, ipv6_prefix="2001:db8:b::/64",
                                            delegated_ipv6_prefix=None)  # fmt: skip
                session_id, name, ipv4 = await house.db.fetchrow(
                    "SELECT acct_session_id, user_name, host(ipv4) FROM net.session WHERE family = $1", again
                )
                bras.begin(session_id, name, ipv4)
                await house.has({"lists": 5}, "kind")
                await settled(house)
                await until_entries(bras, {("v6-two", "2001:db8:b::/64", "aaad: login 2")})
                await end(house, bras, again)
                await until_entries(bras, set())
                async with asyncio.timeout(5):
                    while await house.db.fetchval("SELECT count(*) FROM net.network_order WHERE has_entries"):
                        await asyncio.sleep(0.05)
            assert not counters.cells[counters.index["aaad_bugs_total"]]
