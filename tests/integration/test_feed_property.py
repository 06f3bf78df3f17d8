"""Random changes by several writers in random commit order: in the end the replica equals the database (R1.1)."""

import asyncio
import random
from pathlib import Path

import asyncpg
import pytest
from replica_node import Node, erp, expected_contents, running, seed, until

from aaad.replica.brake import BrakeLimits

WRITERS = 4
LOGINS = 80
STATEMENTS = [
    "UPDATE erp.contract SET access_status = (ARRAY['A','CM','CA','FA','D'])[1 + {n} % 5] WHERE id = {own}",
    "UPDATE erp.contract SET status = (ARRAY['A','I'])[1 + {n} % 2], suspended = {n} % 3 = 0 WHERE id = {own}",
    "UPDATE erp.contract SET plan_id = 1 + {n} % 2 WHERE id IN ({own}, {other})",
    "UPDATE erp.client SET active = NOT active WHERE id = {own}",
    "UPDATE erp.client SET name = 'Nobody ' || {n} WHERE id = {own}",
    "UPDATE erp.login SET password = 'p{n}' WHERE contract_id = {own}",
    "UPDATE erp.login SET name = 'w{writer}.n{n}' WHERE id = {own}",
    "UPDATE erp.login SET deleted_at = CASE WHEN deleted_at IS NULL THEN now() END WHERE contract_id = {own}",
    "UPDATE erp.login SET contract_id = {other} WHERE id = {own}",
    "DELETE FROM erp.login WHERE id = {own}",
    "INSERT INTO erp.login (id, contract_id, name, password) VALUES (1000 + {n}, {own}, 'fresh{n}', 'x')",
    "DELETE FROM erp.login WHERE id > 1000 AND contract_id = {own}",
    "UPDATE erp.contract SET client_id = {other} WHERE id = {own}",
]


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
        assert node.count("resyncs_total") == 2
        node.feed._checksum._due_s = 0.0
        finished = node.feed._checksum.finished_count
        await until(lambda: node.feed._checksum.finished_count > finished)
        assert not node.feed._checksum.has_difference


async def _write(writer: Writer, serials: range) -> None:
    for serial in serials:
        await writer.transact(serial)
