"""Random changes by several writers in random commit order: in the end the replica equals the database (R1.1)."""

import asyncio
import random
from pathlib import Path

import asyncpg
import pytest
from replica_node import Node, erp, expected_contents, expected_tables, running, seed, until

from aaad.replica.brake import BrakeLimits
from aaad.replica.record import Tables

WRITERS = 4
LOGINS = 80
# Statements are separated by empty lines. A device goes from login to login, and names change hands.
STATEMENTS = """
UPDATE erp.contract SET access_status = (ARRAY['A','CM','CA','FA','D'])[1 + {n} % 5] WHERE id = {own}

UPDATE erp.contract SET status = (ARRAY['A','I'])[1 + {n} % 2], suspended = {n} % 3 = 0 WHERE id = {own}

UPDATE erp.contract SET plan_id = 1 + {n} % 2 WHERE id IN ({own}, {other})

UPDATE erp.client SET active = NOT active WHERE id = {own}

UPDATE erp.client SET name = 'Nobody ' || {n} WHERE id = {own}

UPDATE erp.login SET password = 'p{n}' WHERE contract_id = {own}

UPDATE erp.login SET name = 'w{writer}.n{n}' WHERE id = {own}

UPDATE erp.login SET deleted_at = CASE WHEN deleted_at IS NULL THEN now() END WHERE contract_id = {own}

UPDATE erp.login SET contract_id = {other} WHERE id = {own}

DELETE FROM erp.login WHERE id = {own}

INSERT INTO erp.login (id, contract_id, name, password) VALUES (1000 + {n}, {own}, 'fresh{n}', 'x')

DELETE FROM erp.login WHERE id > 1000 AND contract_id = {own}

UPDATE erp.contract SET client_id = {other} WHERE id = {own}

UPDATE erp.contract SET speed_status = (ARRAY['N','R'])[1 + {n} % 2],
    late_speed = (ARRAY['S','N','P'])[1 + {n} % 3], not_reduced_until = date '2026-01-01' + {n} % 9,
    suspended_until = date '2026-02-01' + {n} % 9 WHERE id = {own}

UPDATE erp.contract SET ipv4_pool = nullif('c' || {n} % 3, 'c0'), ipv6_pool = 'c{n}' WHERE id = {own}

UPDATE erp.login SET ipv4_pool = nullif('l' || {n} % 3, 'l0') WHERE id = {own}

INSERT INTO net.pool (name, kind, family) VALUES ('p{writer}', 'nas', 'ipv4')
    ON CONFLICT (address_space, name) DO UPDATE SET valid_s = 300 + {n}

DELETE FROM net.pool WHERE name = 'p{writer}'

UPDATE erp.contract SET trust_unlock_active = {n} % 2 = 0, trust_unlock_until = now() WHERE id = {own}

UPDATE erp.login SET port_id = 'vlan {n}', bind_port = 'S', circuit_id = nullif('c' || {n} % 3, 'c0'),
    nas_id = 1, auto_fill_mac = (ARRAY['S','N','P'])[1 + {n} % 3] WHERE id = {own}

UPDATE erp.login SET access_hours = ARRAY[{n} % 24], cap_reached = NOT cap_reached, upload = '1{n}k',
    download = '9M', ipv6_prefix = ('2001:db8:' || to_hex({n}) || '::/64')::cidr,
    routes = ARRAY['10.{own}.0.0/24']::cidr[] WHERE id = {own}

UPDATE erp.login SET authentication = 'H', mac_login = {n} % 3 > 0, mac = '02' || lpad(to_hex({n}), 10,
    '0') WHERE id = {own}

UPDATE erp.login SET mac_login = false, mac = NULL WHERE mac = '02:AA:00:00:00:0{writer}';
UPDATE erp.login SET authentication = 'H', mac_login = true, mac = '02AA0000000{writer}' WHERE id = {other}

UPDATE erp.login SET mac_login = false, mac = NULL WHERE id = {own}

INSERT INTO erp.login_attribute (login_id, position, name, value) SELECT id, {n} % 5, 'Mikrotik-Address-List',
    'l{n}' FROM erp.login WHERE id = {own}

UPDATE erp.login_attribute SET value = 'm{n}', position = {n} % 7 WHERE login_id = {own}

DELETE FROM erp.login_attribute WHERE login_id IN ({own}, {other})

INSERT INTO erp.plan_phase (plan_id, phase, hours, upload, download) VALUES (10 + {writer}, 'turbo',
    ARRAY[{n} % 24], '1M', '1{n}k') ON CONFLICT (plan_id, phase) DO UPDATE SET download = excluded.download,
    active = {n} % 3 > 0

DELETE FROM erp.plan_phase WHERE plan_id = 10 + {writer}

INSERT INTO erp.plan_attribute (plan_id, name, value) VALUES (10 + {writer}, 'Filter-Id', 'f{n}')

DELETE FROM erp.plan_attribute WHERE plan_id = 10 + {writer}

UPDATE erp.plan SET dns = ARRAY['192.0.2.53', '2001:db8::{n}']::inet[], mppe = 'allowed',
    normal_hours = ARRAY[{n} % 24], upload_burst = '200M', is_limited = {n} % 2 = 0, late_after_days = {n} % 9,
    late_plan_id = 1 WHERE id = 10 + {writer}

INSERT INTO net.router_administrator (name, password) VALUES ('new{n}', 'x')

UPDATE net.router_administrator SET active = NOT active WHERE name = 'root{writer}'
""".strip().split("\n\n")


class Writer:
    """One program that writes rows of its own, a transaction of some statements at a time."""

    def __init__(self, number: int, sql: asyncpg.Connection, choice: random.Random) -> None:
        self._number = number
        self._sql = sql
        self._choice = choice

    def _own(self) -> int:
        return WRITERS * self._choice.randrange(LOGINS // WRITERS) + self._number + 1

    async def transact(self, serial: int) -> None:
        opened = self._sql.transaction()
        await opened.start()
        for step in range(self._choice.randint(1, 4)):
            statement = self._choice.choice(STATEMENTS).format(
                n=serial * 10 + step, own=self._own(), other=self._own(), writer=self._number
            )
            if self._choice.random() < 0.2:
                undone = self._sql.transaction()
                await undone.start()
                await self._sql.execute(statement)
                await undone.rollback()
            else:
                await self._sql.execute(statement)
            await asyncio.sleep(self._choice.random() * 0.02)
        if self._choice.random() < 0.15:
            await opened.rollback()
        else:
            await opened.commit()


@pytest.mark.parametrize("start", [1, 2])
async def test_the_replica_equals_the_database(start: int, dsn: str, tmp_path: Path) -> None:
    choice = random.Random(start)
    await seed(dsn, LOGINS)
    async with erp(dsn) as sql:
        await sql.execute(
            "INSERT INTO erp.plan (id, name, upload, download) SELECT n, n, '1M', '1M' FROM generate_series(10, 13) n"
        )
        await sql.execute(
            "INSERT INTO net.router_administrator (name, password) "
            "SELECT 'root' || n, 'x' FROM generate_series(0, 3) n"
        )
    brake = BrakeLimits(minimum_count=10**6)
    async with running(Node(dsn, tmp_path, brake=brake, poll_interval_s=0.05)) as node:
        await until(lambda: node.meta)
        async with erp(dsn) as one, erp(dsn) as two, erp(dsn) as three, erp(dsn) as four:
            writers = [Writer(number, sql, choice) for number, sql in enumerate((one, two, three, four))]
            for burst in range(5):
                async with asyncio.TaskGroup() as group:
                    for number, writer in enumerate(writers):
                        group.create_task(_write(writer, range(burst * 100 + number, burst * 100 + 32, WRITERS)))
                if burst == 2:
                    await one.execute("TRUNCATE erp.parameter")  # a resync in the middle
                expected = await expected_contents(dsn)
                await until(lambda expected=expected: node.contents() == expected, 2.0)
                wanted = tables_of(await expected_tables(dsn))
                await until(lambda wanted=wanted: tables_of(node.tables()) == wanted, 2.0)
        assert node.count("resyncs_total") == 2
        node.feed._checksum._due_s = 0.0
        finished = node.feed._checksum.finished_count
        await until(lambda: node.feed._checksum.finished_count > finished)
        assert not node.feed._checksum.has_difference


def tables_of(tables: Tables) -> tuple[object, ...]:
    return tables.plans, tables.parameters, tables.branches, tables.administrators, tables.nases, tables.pools


async def _write(writer: Writer, serials: range) -> None:
    for serial in serials:
        await writer.transact(serial)
