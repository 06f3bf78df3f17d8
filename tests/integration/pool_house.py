"""A ledger with pools, nodes and processes that claim and bind, for tests of rule R7."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from aaad.db.connection import Database, Row
from aaad.pools.address import Unit, parse_unit
from aaad.pools.store import Bound, Claimed, LedgerStore, Wish

DAY_S = 86_400


class Process:
    """One radius process of a node, as the ledger sees it."""

    def __init__(self, database: Database, node: int, slot: int = 0, life: UUID | None = None) -> None:
        self.store = LedgerStore(database, node, slot)
        self.node = node
        self.life = life or uuid4()

    async def claim(self, pool_id: int, how_many: int) -> Claimed | None:
        return await self.store.claim(pool_id, how_many, self.life)

    async def bind(self, *wishes: Wish) -> list[Bound]:
        return await self.store.bind(wishes, self.life)


class House:
    """Rows of the ledger's tables, made and read as briefly as a test wants to say it."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def value(self, sql: str, *args: object):
        row = await self.database.fetchrow(sql, *args)
        return row[0] if row else None

    async def node(self, name: str = "n1") -> int:
        return await self.value("INSERT INTO net.node (name) VALUES ($1) RETURNING id", name)

    async def hears(self, *nodes: int) -> None:
        """Say that these nodes have applied everything up to now, and recorded nothing that is not drained."""
        await self.database.execute(
            "UPDATE net.node SET settled = pg_current_snapshot() WHERE id = ANY($1)", list(nodes)
        )

    async def pool(self, *ranges: str, name: str = "p", space: int = 1, **columns: object) -> int:
        """Make a pool of ranges such as 100.64.0.0/24, one address each unless prefix_length says otherwise."""
        family = columns.pop("family", "ipv6" if ":" in ranges[0] else "ipv4")
        length = columns.pop("prefix_length", 32 if family == "ipv4" else 64)
        pool_id = await self.value(
            "INSERT INTO net.pool (address_space, name, kind, family, prefix_length) "
            "VALUES ($1, $2, 'radius', $3, $4) RETURNING id", space, name, family, length,
        )  # fmt: skip
        for column, value in columns.items():
            await self.database.execute(f"UPDATE net.pool SET {column} = $2 WHERE id = $1", pool_id, value)
        for text in ranges:
            await self.add_range(pool_id, text)
        return pool_id

    async def add_range(self, pool_id: int, text: str) -> int:
        first, _, last = text.partition("-")
        return await self.value(
            "INSERT INTO net.pool_range (pool_id, first, last) SELECT $1, net.first_host($2::text::inet), "
            "net.last_host($3::text::inet) RETURNING id", pool_id, first, last or first,
        )  # fmt: skip

    async def exclude(self, range_id: int, from_unit: int, until_unit: int) -> int:
        return await self.value(
            "INSERT INTO net.pool_exclusion (range_id, from_unit, until_unit) VALUES ($1, $2, $3) RETURNING id",
            range_id, from_unit, until_unit,
        )  # fmt: skip

    async def login(self, name: str, **columns: object) -> int:
        login_id = await self.value(
            "INSERT INTO erp.login (contract_id, name, password) VALUES (1, $1, 'secret') RETURNING id", name
        )
        await self.change(login_id, **columns)
        return login_id

    async def change(self, login_id: int, **columns: object) -> None:
        """Set columns of a login in one statement; a text is read as PostgreSQL reads it."""
        if columns:
            words = ", ".join(
                f"{name} = {'NULL' if value is None else repr(value)}" for name, value in columns.items()
            )
            await self.database.execute(f"UPDATE erp.login SET {words} WHERE id = {login_id}")

    async def lease(self, address: str, space: int = 1) -> Row | None:
        return await self.database.fetchrow(
            "SELECT *, address::text AS text FROM net.lease WHERE address_space = $1 AND address = $2::text::cidr",
            space, address,
        )  # fmt: skip

    async def release(self, *addresses: str, space: int = 1) -> int:
        return await self.value(
            "SELECT net.release_leases($1, $2::text[]::cidr[])", [space] * len(addresses), list(addresses)
        )

    async def unaccounted(self, pool_id: int) -> int:
        """How many units of a pool are in no place, or in two: neither never given, nor aside, nor in the ledger."""
        return await self.value(
            """
            WITH unit AS (
                SELECT pool.address_space, pool.id AS pool_id, range.id AS range_id, number, range.next,
                    net.unit_address(range.first, pool.prefix_length, number) AS address
                FROM net.pool JOIN net.pool_range AS range ON range.pool_id = pool.id,
                    generate_series(0, range.units - 1) AS number
                WHERE pool.id = $1 AND NOT EXISTS (SELECT FROM net.pool_exclusion AS gone
                    WHERE gone.range_id = range.id AND number >= gone.from_unit AND number < gone.until_unit)
            ), aside AS (
                SELECT reserve.id, unit.address FROM net.reserve JOIN unit ON unit.range_id = reserve.range_id
                    AND unit.number >= reserve.from_unit AND unit.number < reserve.until_unit
                WHERE reserve.pool_id = $1
                    AND unit.address NOT IN (SELECT net.units_elsewhere(reserve))
                UNION ALL
                SELECT reserve.id, address FROM net.reserve, unnest(reserve.addresses) AS address
                WHERE reserve.pool_id = $1 AND address NOT IN (SELECT net.units_elsewhere(reserve))
            ), place AS (
                SELECT unit.address, (SELECT count(*) FROM aside WHERE aside.address = unit.address)
                    + (SELECT count(*) FROM net.lease WHERE lease.address_space = unit.address_space
                        AND lease.address = unit.address) AS places, unit.number >= unit.next AS is_new
                FROM unit
            )
            SELECT count(*) FROM place WHERE places <> 1 AND NOT (is_new AND places = 0)
            """,
            pool_id,
        )


@asynccontextmanager
async def house_of(dsn: str) -> AsyncIterator[House]:
    """Open a house in a migrated database, with a contract that logins may have."""
    database = Database(dsn, connect_timeout_s=5, statement_timeout_s=20, application_name="test")
    await database.execute(
        "INSERT INTO erp.branch (name) VALUES ('Matriz'); "
        "INSERT INTO erp.client (branch_id, kind, name) VALUES (1, 'E', 'Ana'); "
        "INSERT INTO erp.plan (name, upload, download) VALUES ('P', '10M', '20M'); "
        "INSERT INTO erp.contract (client_id, branch_id, plan_id, status) VALUES (1, 1, 1, 'A')"
    )
    try:
        yield House(database)
    finally:
        await database.close()


def wish(pool_id: int, login_id: int, claimed: Claimed | None = None, place: int = 0, **changes: object) -> Wish:
    """Ask for a unit of a claim; without one only for what the login had."""
    candidate: Unit | None = claimed.units[place] if claimed else None
    values = {"address_space": 1, "device": login_id * 1000, "nas_id": 1, "valid_s": DAY_S, "family": 4}
    reserve_id = claimed.reserve_id if claimed else 0
    return Wish(
        **(
            values
            | {"pool_id": pool_id, "login_id": login_id, "reserve_id": reserve_id, "candidate": candidate}
            | changes
        )
    )


def units(*texts: str) -> tuple[Unit, ...]:
    """Return units as claims hold them."""
    return tuple(parse_unit(text)[1:] for text in texts)
