"""Live networks taken over (rules R7.3, R7.4): a simulated router with 5,000 customers, a FreeRADIUS's tables."""

from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from aaad.db.connection import Database
from aaad.metrics import CounterFile
from aaad.mikrotik.connection import RouterAccess, RouterConnection
from aaad.mikrotik.found import found_in
from aaad.mikrotik.observe import observe
from aaad.pools.address import unit_text
from aaad.pools.adopt import Found, Plan, Trouble, Wish, make_plan
from aaad.pools.adoption import look_at_adoption
from aaad.pools.freeradius import read_freeradius
from aaad.pools.keeping import POOL_KEEPING_COUNTERS, PoolKeeping
from aaad.pools.store import LedgerStore, Outcome
from aaad.pools.store import Wish as LedgerWish
from aaad.pools.takeover import Adopting, Applied
from aaad.simulator.routeros import Router, RouterosServer

LIVE, FEW = 5_000, 300
HOUSE = """
INSERT INTO erp.branch (id, name) VALUES (1, 'Matriz');
INSERT INTO erp.client (id, branch_id, kind, name) VALUES (1, 1, 'E', 'C');
INSERT INTO erp.plan (id, name, upload, download) VALUES (1, 'p', '1M', '1M');
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status) VALUES (1, 1, 1, 1, 'P');
INSERT INTO net.nas (id, name, address, secret) VALUES
    (1, 'bras-1', '192.0.2.1', 'x'), (2, 'bras-2', '192.0.2.2', 'x');
INSERT INTO erp.login (id, contract_id, name, password)
SELECT number, 1, 'user' || number, 'x' FROM generate_series(1, 400) AS number;
INSERT INTO erp.login (id, contract_id, name, password, mac) VALUES (6000, 1, 'device', 'x', '02:00:00:00:00:AA');
"""


class House:
    """A database with logins, and what the tests ask of it."""

    def __init__(self, dsn: str, connection: asyncpg.Connection) -> None:
        self.dsn = dsn
        self.connection = connection
        self.database = Database(dsn, connect_timeout_s=5, statement_timeout_s=30, application_name="test")
        self.adopting = Adopting(self.database)

    async def plan(self, *found: Found, **wish: Any) -> Plan:
        return make_plan(found, await self.adopting.know(found, Wish(**wish)), Wish(**wish))

    async def take_over(self, *found: Found, **wish: Any) -> tuple[Plan, Applied]:
        plan = await self.plan(*found, **wish)
        return plan, await self.adopting.apply(plan)

    async def look_at_adoption(self) -> None:
        await self.connection.execute("UPDATE net.chore SET due_at = now() WHERE name = 'adoption'")
        await look_at_adoption(self.database)

    async def released_after(self, time: str, folder: Path) -> int:
        """Let so much time of nobody's accounting pass, and the keeper look at all leases."""
        await self.connection.execute(
            "INSERT INTO net.node (name, drain_watermark) VALUES ('n', now() + interval '1 hour') "
            "ON CONFLICT DO NOTHING"
        )
        await self.connection.execute("UPDATE net.lease SET offered_at = offered_at - $1::text::interval", time)
        counters = CounterFile(folder / "keeper.cnt", POOL_KEEPING_COUNTERS)
        keeping = PoolKeeping(self.database, self.database, counters, folder)
        await self.connection.execute("UPDATE net.chore SET due_at = now(), cursor = 0 WHERE name = 'leases'")
        while await keeping.look_at_leases():
            pass
        return int(await self.connection.fetchval("SELECT count(*) FROM net.lease WHERE state = 'released'"))

    async def more_logins(self) -> None:
        await self.connection.execute(
            "INSERT INTO erp.login (id, contract_id, name, password) "
            "SELECT number, 1, 'user' || number, 'x' FROM generate_series(401, 5100) AS number"
        )

    async def leases(self) -> dict[str, tuple[str, int | None]]:
        rows = await self.connection.fetch("SELECT address::text, state, login_id FROM net.lease")
        return {row[0]: (row[1], row[2]) for row in rows}


@pytest.fixture
async def house(dsn: str) -> AsyncIterator[House]:
    connection = await asyncpg.connect(dsn)
    await connection.execute(HOUSE)
    made = House(dsn, connection)
    yield made
    await made.database.close()
    await connection.close()


def big_router(live: int = FEW) -> Router:
    router = Router(identity="bras-1", aaad="secret")
    router.table("/ip/pool").put({"name": "pppoe", "ranges": "100.64.0.2-100.64.31.254"})
    router.table("/ipv6/pool").put({"name": "pd", "prefix": "2001:db8::/40", "prefix-length": "56"})
    first = int(ip_address("100.64.0.2"))
    for number in range(1, live + 1):
        mac = (0x020000000000 + number).to_bytes(6, "big").hex(":").upper()
        router.connect(
            f"user{number}", str(ip_address(first + number)), caller=mac, session=f"0x8{number:07x}", pool="pppoe"
        )
    for number in range(1, 101):
        router.table("/ipv6/dhcp-server/binding").put(
            {"address": f"2001:db8:0:{number:x}00::/56", "prefix-pool": "pd", "server": f"<pppoe-user{number}>"}
        )
    router.connect("visitor", "100.64.31.1", caller="", session="0x1", pool="pppoe")  # no login of ours
    router.connect("007", "100.64.31.2", caller="", session="0x2", pool="pppoe")
    router.table("/ip/dhcp-server/lease").put(
        {"address": "100.64.31.3", "mac-address": "02:00:00:00:00:AA", "status": "bound", "server": "lan"}
    )
    return router


async def read(router: Router, nas_id: int = 1) -> Found:
    with RouterosServer(router) as server:
        access = RouterAccess(address=server.address, port=server.port, user="aaad", password="secret", is_tls=False)
        asked = RouterConnection(access)
        seen = await observe(asked)
        await asked.close()
    return found_in(seen, nas_id, 1_000.0)


async def test_r7_3_a_router_with_5000_live_sessions_is_taken_over_and_nobody_is_dropped(house: House) -> None:
    await house.more_logins()
    router = big_router(LIVE)
    before = [dict(row) for row in router.table("/ppp/active").all_rows()]
    found = await read(router)
    dry = await house.plan(found)
    assert await house.leases() == {}
    assert (dry.bound_count, dry.foreign_count) == (LIVE + 100 + 1, 2)
    assert dry.unknown_names == ("007", "visitor")
    assert dry.proven == (("pd", 1), ("pppoe", 1))
    plan, applied = await house.take_over(found)
    assert plan == dry
    assert applied == Applied(2, 2, LIVE + 101, 2, 0, ())
    # Nobody is dropped: nothing was told to the router.
    assert router.changes == []
    assert router.table("/ppp/active").all_rows() == before
    leases = await house.leases()
    first = int(ip_address("100.64.0.2"))
    expected = {f"{ip_address(first + number)}/32": ("bound", number) for number in range(1, LIVE + 1)}
    expected |= {f"2001:db8:0:{number:x}00::/56": ("bound", number) for number in range(1, 101)}
    expected |= {"100.64.31.1/32": ("foreign", None), "100.64.31.2/32": ("foreign", None)}
    expected |= {"100.64.31.3/32": ("bound", 6000)}
    assert leases == expected
    pools = await house.connection.fetch(
        "SELECT name, kind, family, adopting_since IS NOT NULL AS adopts FROM net.pool"
    )
    assert {tuple(row) for row in pools} == {
        ("pppoe", "radius", "ipv4", True),
        ("pd", "radius", "delegated", True),
    }
    # Again: all of it is known, and nothing is written.
    rows = "SELECT address, xmin FROM net.lease ORDER BY address"
    written = await house.connection.fetch(rows)
    plan, applied = await house.take_over(found)
    assert plan.pools == ()
    assert applied == Applied(0, 0, 0, 0, LIVE + 103, ())
    assert await house.connection.fetch(rows) == written
    findings = await house.connection.fetch("SELECT address::text, kind FROM net.address_finding")
    assert {tuple(row) for row in findings} == {("100.64.31.1/32", "not_given"), ("100.64.31.2/32", "not_given")}


async def test_r7_3_new_logins_get_what_is_unused_and_only_once_that_is_proven(house: House) -> None:
    await house.more_logins()
    router, other = big_router(LIVE), Router(identity="bras-2", aaad="secret")
    found = [await read(router), await read(other, nas_id=2)]
    await house.connection.execute("INSERT INTO net.node (id, name) VALUES (9, 'n')")
    store, life = LedgerStore(house.database, 9, 0), uuid4()
    await house.take_over(*found)
    pool_id = await house.connection.fetchval("SELECT id FROM net.pool WHERE name = 'pppoe'")
    await house.look_at_adoption()
    assert await store.claim(pool_id, 64, life) is None  # nobody says that the old server gives out no more
    _, applied = await house.take_over(*found, is_final=True)
    assert applied.bound == 0
    await house.look_at_adoption()
    before = await house.leases()
    given = []
    while len(given) < 100:
        claimed = await store.claim(pool_id, 256, life)
        assert claimed is not None
        wishes = [
            LedgerWish(1, pool_id, 5_001 + number, 0, 1, 3600, 4, claimed.reserve_id, unit)
            for number, unit in enumerate(claimed.units[: 100 - len(given)], len(given))
        ]
        bound = await store.bind(wishes, life)
        assert {one.outcome for one in bound} == {Outcome.NEW}
        given += [unit_text(4, *one.unit) for one in bound if one.unit]
    assert len(set(given)) == 100
    assert not set(given) & before.keys()
    size = await house.connection.fetchrow("SELECT * FROM net.pool_count WHERE pool_id = $1", pool_id)
    parts = ("never", "reserved", "bound", "fixed", "reported", "resting", "free")
    assert size["size"] == sum(size[part] for part in parts) == 32 * 256 - 3
    assert (size["bound"], size["reported"]) == (LIVE + 101, 2)
    # What was taken over in a pool that is in order does not make it adopt once more.
    await house.take_over(*found)
    assert await house.connection.fetchval("SELECT count(*) FROM net.pool WHERE adopting_since IS NOT NULL") == 0


async def test_r7_3_what_was_taken_over_is_no_offer_that_nobody_took(house: House, tmp_path: Path) -> None:
    found = await read(big_router())
    await house.take_over(found)
    # Even where an operator says at once that it is enough, which has the keeper look at these leases.
    await house.connection.execute("SELECT net.end_adoption(ARRAY(SELECT id FROM net.pool))")
    assert await house.released_after("2 hours", tmp_path) == 0
    devices = "SELECT device FROM net.lease WHERE login_id = 7 AND family(address) = 4"
    assert await house.connection.fetchval(devices) == 0x020000000007
    # One whose session began here is no such lease any more, and is not made one again.
    await house.connection.execute("UPDATE net.lease SET offered_at = now(), valid_until = now() WHERE login_id = 7")
    await house.take_over(found)
    assert await house.connection.fetchval(
        "SELECT bool_and(offered_at <= now() AND valid_until > now()) FROM net.lease WHERE login_id = 7"
    )
    # Unheard for longer than that it goes, as every offer does.
    assert await house.released_after("2 days", tmp_path) == FEW + 101


async def test_what_the_ledger_says_is_not_overruled_and_told(house: House) -> None:
    found = await read(big_router())
    plan, _ = await house.take_over(found)
    (mine, twin) = (lease for lease in plan.leases if lease.name in {"user1", "user2"} and lease.unit[0] == 4)
    await house.connection.execute("UPDATE net.lease SET login_id = 399 WHERE address = $1::text::cidr", mine.text)
    await house.connection.execute(
        "UPDATE net.lease SET state = 'released', released_at = now(), free_from = now() "
        "WHERE address = $1::text::cidr",
        twin.text,
    )
    plan, applied = await house.take_over(found)
    assert [(one.trouble, one.subject, one.name, one.other) for one in plan.conflicts] == [
        (Trouble.OF_ANOTHER, mine.text, "user1", "user399")
    ]
    assert applied.bound == 1  # the released one, by whose it was
    leases = await house.leases()
    assert (leases[mine.text], leases[twin.text]) == (("bound", 399), ("bound", 2))
    told = "SELECT login_id, holder_id FROM net.address_finding WHERE kind = 'of_another'"
    assert tuple(await house.connection.fetchrow(told)) == (1, 399)


async def test_what_somebody_else_got_since_the_plan_stays_his(house: House) -> None:
    found = await read(big_router())
    plan = await house.plan(found)
    await house.adopting.apply(plan._replace(leases=()))
    await house.connection.execute(
        "INSERT INTO net.lease (address_space, address, pool_id, state, login_id, offered_at, valid_until) "
        "SELECT 1, '100.64.0.3/32', id, 'bound', 399, now(), now() + interval '1 day' "
        "FROM net.pool WHERE name = 'pppoe'"
    )
    pools = await house.connection.fetch("SELECT id, name FROM net.pool")
    assert len(pools) == 2
    applied = await house.adopting.apply(plan._replace(pools=()))
    assert [(one.subject, one.name, one.other) for one in applied.lost] == [("100.64.0.3/32", "user1", "user399")]
    assert applied.bound == FEW + 100


async def test_r7_1_two_spaces_may_have_the_same_addresses(house: House) -> None:
    found = await read(big_router())
    await house.take_over(found)
    _, applied = await house.take_over(found, address_space=2)
    assert applied.bound == FEW + 101
    assert len(await house.connection.fetch("SELECT FROM net.lease")) == 2 * (FEW + 103)


async def test_r7_4_pools_of_a_concentrator_become_names_only(house: House) -> None:
    _, applied = await house.take_over(await read(big_router()), kind="nas")
    assert applied == Applied(2, 0, 0, 0, 0, ())
    assert await house.leases() == {}
    pools = await house.connection.fetch("SELECT name, kind, prefix_length FROM net.pool ORDER BY name")
    assert [tuple(row) for row in pools] == [("pd", "nas", None), ("pppoe", "nas", None)]


# --- FreeRADIUS -----------------------------------------------------------------------------------------------------

FREERADIUS = Path(__file__).with_name("freeradius_tables.sql").read_text()
ROWS = """
INSERT INTO radippool (pool_name, framedipaddress, nasipaddress, username, callingstationid, expiry_time)
SELECT 'main_pool', ('100.64.0.' || number)::inet, '192.0.2.1',
    CASE WHEN number <= 50 THEN 'user' || number ELSE '' END,
    '02:00:00:00:01:' || lpad(to_hex(number), 2, '0'),
    CASE WHEN number <= 50 THEN now() + interval '1 hour' ELSE now() - interval '1 day' END
FROM generate_series(1, 99) AS number WHERE number <> 60;
UPDATE radippool SET username = 'stranger' WHERE framedipaddress = '100.64.0.50';
INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctupdatetime, acctstoptime,
    framedipaddress, delegatedipv6prefix, callingstationid)
VALUES
    ('a', 'a', 'user60', '192.0.2.2', now() - interval '2 days', now(), NULL,
        '100.64.0.70', '2001:db8:0:100::/56', ''),
    ('b', 'b', 'user61', '192.0.2.1', now() - interval '9 days', now() - interval '8 days', NULL,
        '100.64.0.71', NULL, ''),
    ('c', 'c', 'user62', '192.0.2.1', now() - interval '2 days', now(), now(), '100.64.0.72', NULL, ''),
    ('d', 'd', 'user63', '192.0.2.1', now() - interval '1 hour', NULL, NULL, '100.64.0.1', NULL, ''),
    ('e', 'e', 'user64', '192.0.2.1', now() - interval '1 hour', NULL, NULL, '0.0.0.0', NULL, ''),
    ('f', 'f', 'user64', '198.51.100.9', now() - interval '1 hour', NULL, NULL, '198.51.100.200', NULL, '');
"""


async def test_r7_3_a_freeradius_is_taken_over(house: House, empty_dsn: str) -> None:
    other = await asyncpg.connect(empty_dsn)
    await other.execute(FREERADIUS)
    await other.execute(ROWS)
    await other.close()
    database = Database(empty_dsn, connect_timeout_s=5, statement_timeout_s=30, application_name="test")
    found, silent_count = await read_freeradius(database, await house.adopting.nas_ids(1))
    await database.close()
    assert silent_count == 1
    assert found.unread_count == 0
    assert [(pool.name, [run.text() for run in pool.ranges]) for pool in found.pools] == [
        ("main_pool", ["100.64.0.1-100.64.0.59", "100.64.0.61-100.64.0.99"])
    ]
    plan, applied = await house.take_over(found, names={"main_pool": "pppoe"})
    assert applied == Applied(1, 2, 50, 1, 0, ())
    assert plan.proven == ()
    assert [(one.trouble, one.subject, one.name, one.other) for one in plan.conflicts] == [
        (Trouble.TWICE, "100.64.0.1/32", "user63", "user1")
    ]
    assert {one.name for one in plan.outside} == {"user60", "user64"}  # of no pool of ours
    leases = await house.leases()
    assert leases["100.64.0.70/32"] == ("bound", 60)
    assert leases["100.64.0.50/32"] == ("foreign", None)
    nases = await house.connection.fetch("SELECT nas_id, count(*) FROM net.lease GROUP BY nas_id ORDER BY nas_id")
    assert [tuple(row) for row in nases] == [(1, 50), (2, 1)]


async def test_r7_3_prefixes_of_a_freeradius_are_pools_of_prefixes(house: House, empty_dsn: str) -> None:
    other = await asyncpg.connect(empty_dsn)
    await other.execute(FREERADIUS)
    await other.execute(
        "INSERT INTO radippool (pool_name, framedipaddress, username, expiry_time) "
        "SELECT 'pd', ('2001:db8:0:' || to_hex(n) || '00::/56')::inet, "
        "CASE n WHEN 3 THEN 'user3' ELSE '' END, now() + interval '1 hour' FROM generate_series(0, 15) AS n; "
        "INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, framedipaddress, "
        "delegatedipv6prefix) "
        "VALUES ('a', 'a', 'user4', '192.0.2.1', now(), '100.64.0.9/24', '2001:db8:0:400::1/56')"
    )
    await other.close()
    database = Database(empty_dsn, connect_timeout_s=5, statement_timeout_s=30, application_name="test")
    found, _ = await read_freeradius(database, {})
    await database.close()
    assert [(pool.name, pool.family, [run.text() for run in pool.ranges]) for pool in found.pools] == [
        ("pd", "delegated", ["2001:db8::/52"])
    ]
    _, applied = await house.take_over(found)
    assert (applied.bound, applied.lost) == (2, ())
    assert await house.leases() == {"2001:db8:0:300::/56": ("bound", 3), "2001:db8:0:400::/56": ("bound", 4)}


async def test_a_freeradius_without_one_of_the_tables_is_read_all_the_same(empty_dsn: str) -> None:
    database = Database(empty_dsn, connect_timeout_s=5, statement_timeout_s=30, application_name="test")
    assert (await read_freeradius(database, {})).found == Found()
    await database.close()
