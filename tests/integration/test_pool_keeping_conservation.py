"""Whatever happens to a pool, in whatever order: each unit is in one state, none is two people's, all come back."""

import random
from uuid import UUID

import pytest
from ledger_rows import Ledger, one_database, opened_ledger
from session_rows import HOUR, NOW

from aaad.db.connection import Database
from aaad.pools.address import Unit, unit_text
from aaad.pools.store import LedgerStore, Outcome, Wish

STEPS = 250
LOGINS = range(1, 10)
LATER = """
UPDATE net.lease SET free_from = free_from - interval '10 minutes', offered_at = offered_at - interval '10 minutes',
    released_at = released_at - interval '10 minutes', valid_until = valid_until - interval '10 minutes';
UPDATE net.session SET started_at = started_at - interval '10 minutes', heard_at = heard_at - interval '10 minutes',
    ended_at = ended_at - interval '10 minutes', ended_latest = ended_latest - interval '10 minutes';
UPDATE net.reserve SET abandoned_at = abandoned_at - interval '10 minutes'
"""


class Process:
    """One radius process: what it has set aside and not used yet, by reserve."""

    def __init__(self, door: Database, node: int, slot: int) -> None:
        self.store = LedgerStore(door, node, slot)
        self.lives = 0
        self.slot = slot
        self.units: list[tuple[int, Unit]] = []

    @property
    def life(self) -> UUID:
        return UUID(int=self.slot * 1000 + self.lives)


class World:
    """Processes, logins that dial, strangers, and an operator, as a random sequence has it."""

    def __init__(self, ledger: Ledger, door: Database, nodes: list[int], pool: int, family: int, seed: int) -> None:
        self.ledger = ledger
        self.pool = pool
        self.family = family
        self.random = random.Random(seed)
        self.processes = [Process(door, node, slot) for slot, node in enumerate((*nodes, nodes[0]), 1)]
        self.held: dict[str, tuple[int, object]] = {}  # by whom, and his session
        self.offered: dict[str, int] = {}
        self.strangers: dict[str, object] = {}
        self.bound = 0

    async def step(self) -> None:
        acts = [self.dial] * 6 + [self.hang_up] * 4 + [self.keep] * 5 + [self.later] * 2
        acts += [
            self.claim,
            self.claim,
            self.power_cut,
            self.give_back,
            self.stranger,
            self.stranger_goes,
            self.operate,
            self.adopt,
        ]
        await self.random.choice(acts)()

    async def claim(self) -> None:
        process = self.random.choice(self.processes)
        claimed = await process.store.claim(self.pool, self.random.choice((1, 3, 6)), process.life)
        if claimed is not None:
            process.units += [(claimed.reserve_id, unit) for unit in claimed.units]
        everywhere = [unit for each in self.processes for _, unit in each.units]
        assert len(everywhere) == len(set(everywhere)), "set aside twice"

    async def dial(self) -> None:
        login = self.random.choice(LOGINS)
        process = self.random.choice(self.processes)
        if not process.units:
            return await self.claim()
        reserve, unit = process.units.pop(self.random.randrange(len(process.units)))
        wish = Wish(1, self.pool, login, login, 1, 86_400, self.family, reserve, unit)
        (told,) = await process.store.bind([wish], process.life)
        if told.outcome is Outcome.AGAIN:
            process.units.append((reserve, unit))
        if told.outcome in (Outcome.TAKEN, Outcome.LOST, Outcome.NONE) or told.unit is None:
            return None
        address = unit_text(self.family, *told.unit)
        assert self.held.get(address, (login, None))[0] == login, f"{address} is another's"
        assert self.offered.get(address, login) == login
        assert told.outcome is Outcome.AGAIN or address not in self.strangers, f"{address} is a stranger's"
        self.bound += 1
        self.offered[address] = login
        if self.random.random() < 0.8:
            await self.begin(address, login)
        return None

    async def begin(self, address: str, login: int) -> None:
        if address in self.held:
            await self.ledger.end(self.held.pop(address)[1], NOW, "replaced")
        self.held[address] = (login, await self.session(address, login))

    async def session(self, address: str, login: int | None) -> object:
        columns = {"mac": f"00:00:00:00:00:{login or 99:02x}", "started": NOW}
        if self.family == 4:
            return await self.ledger.session(address.removesuffix("/32"), login, **columns)
        return await self.ledger.session(
            None, login, delegated_ipv6_prefix=address, delegated_ipv6_prefix_evidence="reported", **columns
        )

    async def hang_up(self) -> None:
        if self.held:
            address = self.random.choice(sorted(self.held))
            await self.ledger.end(self.held.pop(address)[1])
            self.offered.pop(address, None)

    async def keep(self) -> None:
        await self.ledger.run(*self.random.sample(("ends", "leases", "reports", "reserves"), 2))

    async def later(self) -> None:
        """Ten minutes pass, in which no offer became a session."""
        await self.ledger.db.execute(LATER)
        await self.ledger.db.execute("UPDATE net.node SET settled = pg_current_snapshot()")
        self.offered = {address: login for address, (login, _) in self.held.items()}

    async def power_cut(self) -> None:
        process = self.random.choice(self.processes)
        process.lives += 1
        process.units = []
        await process.store.abandon(process.life)

    async def give_back(self) -> None:
        process = self.random.choice(self.processes)
        if process.units:
            reserve, unit = process.units.pop()
            await process.store.give_back(reserve, [unit], self.family)

    async def stranger(self) -> None:
        """Somebody has an address that nobody gave him."""
        place = self.random.randrange(24)
        address = await self.ledger.db.fetchval(
            "SELECT net.unit_address(first, prefix_length, $2)::text FROM net.pool_range "
            "JOIN net.pool ON pool.id = pool_id WHERE pool_id = $1", self.pool, place,
        )  # fmt: skip
        if address not in self.held and address not in self.offered and address not in self.strangers:
            self.strangers[address] = await self.session(address, None)
            for process in self.processes:  # he had it before they could use it, and they look before they answer
                process.units = [
                    (reserve, unit) for reserve, unit in process.units if unit_text(self.family, *unit) != address
                ]

    async def stranger_goes(self) -> None:
        if self.strangers:
            await self.ledger.end(self.strangers.pop(self.random.choice(sorted(self.strangers))))

    async def operate(self) -> None:
        """Exclude something that no process has set aside, or take it back."""
        db = self.ledger.db
        if await db.fetchval("SELECT count(*) FROM net.pool_exclusion"):
            await db.execute("DELETE FROM net.pool_exclusion")
        else:
            place = self.random.randrange(22)
            aside = {number for each in self.processes for _, (number, _) in each.units}
            if aside & {self.number(place), self.number(place + 1)}:
                return
            await db.execute(
                "INSERT INTO net.pool_exclusion (range_id, from_unit, until_unit, first, last) "
                "SELECT id, $2, $3, first, last FROM net.pool_range WHERE pool_id = $1",
                self.pool, place, place + 2,
            )  # fmt: skip

    def number(self, place: int) -> int:
        """Return the number of the unit at this place of the range."""
        return 0x64400000 + place if self.family == 4 else (0x20010DB8 << 96) + (place << 72)

    async def adopt(self) -> None:
        name = "begin_adoption" if self.random.random() < 0.2 else "end_adoption"
        await self.ledger.db.execute(f"SELECT net.{name}(ARRAY[$1::integer])", self.pool)

    async def end_all(self) -> None:
        """Everybody goes, every process dies, and time passes."""
        for _, session in self.held.values():
            await self.ledger.end(session)
        for session in self.strangers.values():
            await self.ledger.end(session)
        await self.ledger.db.execute("SELECT net.end_adoption(ARRAY[$1::integer])", self.pool)
        await self.ledger.db.execute("DELETE FROM net.pool_exclusion")
        await self.ledger.db.execute("UPDATE net.reserve SET abandoned_at = $1", NOW - HOUR)
        for _ in range(3):
            await self.ledger.db.execute(LATER)
            await self.ledger.db.execute("UPDATE net.lease SET free_from = $1 WHERE state = 'foreign'", NOW - HOUR)
            await self.ledger.run("reports", "ends", "leases", "reserves")
        await self.ledger.db.execute("UPDATE net.node SET settled = pg_current_snapshot()")
        await self.ledger.db.execute(LATER)


@pytest.fixture(scope="module")
def dsn(postgres, _template):
    yield from one_database(postgres)


@pytest.mark.parametrize(("seed", "family"), [(1, 4), (2, 6), (3, 4)])
async def test_complaint_29_of_two_nodes_each_unit_is_in_one_state_whatever_happens(dsn, tmp_path, seed, family):
    async with opened_ledger(dsn, tmp_path) as ledger:
        door = Database(dsn, connect_timeout_s=5, statement_timeout_s=10, application_name="test")
        if family == 4:
            pool = await ledger.pool("100.64.0.0", "100.64.0.23", made_at=NOW - HOUR)
        else:
            pool = await ledger.pool(
                "2001:db8::", "2001:db8:0:17ff:ffff:ffff:ffff:ffff", length=56, made_at=NOW - HOUR
            )
        nodes = [await ledger.node(name, NOW + 9 * HOUR) for name in ("n1", "n2")]
        world = World(ledger, door, nodes, pool, family, seed)
        try:
            for _ in range(STEPS):
                await world.step()
                await ledger.check()
            await world.end_all()
        finally:
            await door.close()
        counted = (await ledger.check())["p"]
        assert world.bound > STEPS / 15
        assert counted["never"] + counted["free"] == counted["size"] == 24, dict(counted)
