"""The reconciler: the clock, sessions that begin, the sweep, changes for all, the brake, restarts and troubles."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from order_house import HOTSPOT, PPPOE, FedReplica, OrderHouse, order_house, until
from replica_node import SEED, Node

from aaad import clock
from aaad.db.embedded import EmbeddedPostgres
from aaad.db.migrate import migrate
from aaad.errors import StoreError
from aaad.orders import ordering, reconciler
from aaad.orders.desired import Judge, LiveSession, Trigger, delay_s
from aaad.orders.store import OrderStore
from aaad.replica.brake import BrakeLimits
from aaad.replica.layout import ReplicaMeta

LENIENT = {"brake": BrakeLimits(minimum_count=1_000)}
BLOCK = "UPDATE erp.contract SET access_status = 'CA' WHERE id = {}"
UNBLOCK = "UPDATE erp.contract SET access_status = 'A' WHERE id = {}"
# The reduced phase of plan 2 begins at the next full hour, of the hour in which `Clock` stands.
NIGHT = """
INSERT INTO erp.plan_phase (plan_id, phase, hours, upload, download)
    VALUES (2, 'reduced', ARRAY[{}]::smallint[], '1M', '2M');
UPDATE erp.contract SET plan_id = 2;
"""
HOUR = 11  # in São Paulo, where the tests' clock stands
NOON_S = 1_800_000_000 // 86_400 * 86_400 + (HOUR + 3) * 3_600


def seed(logins: int) -> str:
    return SEED.replace("$N", str(logins))


class Clock:
    """The node's wall clock, which stands still until it is put on."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now_s = NOON_S + 3_000.0  # ten minutes to the next hour
        patch.setattr(clock, "wall_s", lambda: self.now_s)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


# --- the clock ------------------------------------------------------------------------------------------------------


async def test_r4_4_night_hours_change_speeds_by_orders_and_end_no_session(
    dsn, tmp_path: Path, stopped: Clock
) -> None:
    async with order_house(dsn, tmp_path, seed(2) + NIGHT.format(HOUR + 1)) as house, house.reconciling():
        pppoe, hotspot = await house.session(1, PPPOE), await house.session(2, HOTSPOT)
        await house.known()
        await house.idle()
        assert await house.orders() == {}
        stopped.now_s = NOON_S + 3_600.5
        for family in (pppoe, hotspot):
            order = await house.ordered(family)
            assert (order["kind"], order["cause"], order["is_certain"]) == ("change", "hours", True)
            assert "1M/2M" in order["wanted"]
            assert b"1M/2M" in order["attributes"]


async def test_r4_4_changes_by_the_clock_are_spread_whoever_finds_them(dsn, tmp_path: Path, stopped: Clock) -> None:
    """The sweep, too, leaves alone whose hour has not come; who dials has the new speed at once and keeps it."""
    settings = {"clock_spread_s": 300.0, "sweep_interval_s": 0.05}
    async with order_house(dsn, tmp_path, seed(41) + NIGHT.format(HOUR + 1), **settings) as house:
        families = await house.sessions(range(1, 41))
        async with house.reconciling():
            await house.known()
            for passed_s in (1.0, 100.0, 200.0, 299.9):
                stopped.now_s = NOON_S + 3_600.0 + passed_s
                if passed_s == 1.0:
                    dialled = await house.session(41, ago_s=-1.0)
                due = {login for login in families if delay_s(login, 300.0) <= passed_s}
                await house.has({"todo": len(due)} if due else {})
                await asyncio.sleep(0.3)  # some sweeps
                ordered = {login for login, family in families.items() if await house.order(family)}
                assert ordered == due
            assert len(due) == 40
            assert await house.order(dialled) is None


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (
            "UPDATE erp.contract SET trust_unlock_active = true, trust_unlock_until = to_timestamp({}) WHERE id = 1",
            "trust_end",
        ),
        ("UPDATE erp.login SET access_hours = ARRAY[11]::smallint[] WHERE id = 1", "hours"),
    ],
)
async def test_what_only_the_clock_ends_is_ended(
    dsn, tmp_path: Path, stopped: Clock, change: str, cause: str
) -> None:
    text = change.format(NOON_S + 3_500)
    async with order_house(dsn, tmp_path, seed(1) + text) as house, house.reconciling():
        family = await house.session(1)
        await house.known()
        await house.swept()
        assert await house.orders() == {}
        stopped.now_s = NOON_S + 3_601
        order = await house.ordered(family)
        assert (order["kind"], order["cause"], order["wanted_fingerprint"]) == ("disconnect", cause, None)
        assert order["needs"] is None  # every node has its own clock


# --- sessions that begin, and the sweep -----------------------------------------------------------------------------


async def test_r4_6_a_session_that_begins_with_the_grant_of_before_is_brought_in_line(dsn, tmp_path: Path) -> None:
    async with order_house(dsn, tmp_path, seed(2)) as house, house.reconciling():
        await house.session(2)
        await house.known()
        old = house.fingerprint(1)
        await house.db.execute("UPDATE erp.contract SET plan_id = 2 WHERE id = 1")
        await house.idle()
        order = await house.ordered(await house.session(1, grant_fingerprint=old))
        assert order["kind"] == "change"
        assert order["cause"] in {"start", "sweep"}, "a sweep that is on its way may come by first"
        refused = house.fingerprint(2)
        await house.db.execute(BLOCK.format(2))
        await house.idle()
        order = await house.ordered(await house.session(2, grant_fingerprint=refused))
        assert (order["kind"], order["cause"], order["is_cutting"]) == ("disconnect", "block", True)


async def test_the_sweep_finds_what_nobody_told(dsn, tmp_path: Path) -> None:
    async with order_house(dsn, tmp_path, seed(3), sweep_interval_s=0.1) as house, house.reconciling():
        families = await house.sessions([1, 2, 3], ago_s=3_600.0)
        await house.known()
        await house.db.execute("UPDATE erp.contract SET plan_id = 2 WHERE id = 3")
        other = await house.ordered(families[3])
        await house.db.execute(
            "INSERT INTO net.session_applied VALUES ($1, 0, $2, 'read')", families[1], other["wanted_fingerprint"]
        )
        order = await house.ordered(families[1])
        assert (order["kind"], order["cause"]) == ("change", "sweep")
        assert await house.order(families[2]) is None


async def test_a_session_without_the_mark_is_changed_by_changes_alone(dsn, tmp_path: Path) -> None:
    async with order_house(dsn, tmp_path, seed(3), sweep_interval_s=0.05) as house:
        await house.db.execute(BLOCK.format(3))
        await house.applied()
        families = await house.sessions([1, 2, 3], granted=False)
        async with house.reconciling():
            for _ in range(2):
                swept = house.count("sessions_looked_at_total|why=sweep")
                while house.count("sessions_looked_at_total|why=sweep") < swept + 6:
                    await asyncio.sleep(0.02)
            assert await house.orders() == {}
            await house.db.execute(BLOCK.format(1))
            await house.db.execute("UPDATE erp.contract SET plan_id = 2 WHERE id = 2")
            assert (await house.ordered(families[1]))["kind"] == "disconnect"
            order = await house.ordered(families[2])
            assert (order["kind"], order["is_certain"]) == ("change", False)
            assert await house.order(families[3]) is None


async def test_what_is_only_found_is_not_ordered_for_ever(dsn, tmp_path: Path) -> None:
    """Whatever lets a customer in who is refused here, or makes him differ, must not cut him at each dial."""
    async with order_house(dsn, tmp_path, seed(3), sweep_interval_s=0.05) as house, house.reconciling():
        families = await house.sessions([1, 2])
        await house.known()
        await house.db.execute(BLOCK.format("ANY('{1,2}')"))
        await house.has({"todo": 2})
        await house.db.execute(
            "UPDATE net.network_order SET ended_at = now(), state = 'cancelled' WHERE login_id = 2"
        )
        for turn in range(3):
            await house.db.execute(
                "UPDATE net.session SET ended_at = now(), ended_latest = now(), end_evidence = 'stop' "
                "WHERE login_id = 1"
            )
            await house.db.execute(
                "UPDATE net.network_order SET ended_at = now(), state = 'done' WHERE login_id = 1 AND is_open"
            )
            again = await house.session(1, grant_fingerprint=1)  # some node let it in once more
            if turn < 2:
                await house.ordered(again)
        swept = house.count("sessions_looked_at_total|why=sweep")
        while house.count("sessions_looked_at_total|why=sweep") < swept + 12:
            await asyncio.sleep(0.02)
        assert await house.order(again) is None
        assert await house.orders() == {"done": 3, "cancelled": 1}
        await house.db.execute("UPDATE erp.contract SET access_status = 'CM' WHERE id = 2")  # another change does
        await house.has({"done": 3, "cancelled": 1, "todo": 1})
        assert (await house.order(families[2]))["state"] == "todo"


# --- changes for all ------------------------------------------------------------------------------------------------


async def test_plans_and_parameters_change_all_that_have_them_and_nobody_else(dsn, tmp_path: Path) -> None:
    text = seed(4) + (
        "UPDATE erp.contract SET plan_id = 2 WHERE id > 2; UPDATE erp.contract SET access_status = 'CA' WHERE id = 2;"
        "INSERT INTO erp.parameter (name, value) VALUES ('blocked_state', 'S'), ('blocked_address_list', 'B'), "
        "('blocked_upload', '64k'), ('blocked_download', '64k');"
    )
    async with order_house(dsn, tmp_path, text) as house, house.reconciling():
        await house.sessions([1, 2, 3, 4])
        await house.known()
        await house.db.execute("UPDATE erp.plan SET download = '200M' WHERE id = 2")
        await house.has({"plan": 2}, "cause")
        await house.db.execute("UPDATE erp.parameter SET value = '128k' WHERE name = 'blocked_download'")
        await house.has({"plan": 2, "parameter": 1}, "cause")
        order = (await house.db.fetch("SELECT * FROM net.network_order WHERE cause = 'parameter'"))[0]
        assert (order["kind"], order["login_id"], order["is_cutting"]) == ("change", 2, False)


async def test_a_pool_of_ours_that_is_retired_is_left_by_a_redial(dsn, tmp_path: Path) -> None:
    text = seed(2) + (
        "INSERT INTO net.pool (id, name, kind, family, prefix_length) VALUES (1, 'ours', 'radius', 'ipv4', 32);"
        "UPDATE erp.plan SET ipv4_pool = 'ours' WHERE id = 1;"
        "INSERT INTO erp.parameter (name, value) VALUES ('ipv4_pool', 'nas');"
    )
    async with order_house(dsn, tmp_path, text) as house, house.reconciling():
        pppoe, hotspot = await house.session(1), await house.session(2, HOTSPOT)
        await house.known()
        await house.db.execute("UPDATE net.pool SET state = 'retired' WHERE id = 1")
        order = await house.ordered(pppoe)
        assert (order["kind"], order["cause"], order["is_cutting"]) == ("disconnect", "pool", True)
        assert order["wanted_fingerprint"] == house.fingerprint(1)
        assert await house.order(hotspot) is None  # rule R4.5


# --- the newest wish ------------------------------------------------------------------------------------------------


async def test_a_change_whose_transaction_was_open_meanwhile_is_not_missed(dsn, tmp_path: Path) -> None:
    async with order_house(dsn, tmp_path, seed(3), **LENIENT) as house:
        await house.sessions(range(1, 4))
        async with house.reconciling():
            await house.known()
            slow = await asyncpg.connect(dsn)
            async with slow.transaction():
                await slow.execute(BLOCK.format(1))
                await house.db.execute(BLOCK.format(2))
                await house.has({"todo": 1})
            await slow.close()
            await house.has({"todo": 2})
            assert await house.orders() == {"todo": 2}


async def test_of_changes_in_a_row_the_last_one_counts(dsn, tmp_path: Path) -> None:
    async with order_house(dsn, tmp_path, seed(1)) as house, house.reconciling():
        family = await house.session(1)
        await house.known()
        await house.db.execute("UPDATE erp.contract SET plan_id = 2 WHERE id = 1")
        first = await house.ordered(family)
        await house.db.execute(BLOCK.format(1))
        await house.has({"disconnect": 1}, "kind")
        await house.db.execute(UNBLOCK.format(1))
        await house.has({"change": 1}, "kind")
        order = await house.order(family)
        assert (order["id"], order["wish"], order["state"]) == (first["id"], 3, "todo")
        await house.db.execute("UPDATE erp.contract SET plan_id = 1 WHERE id = 1")
        await house.has({"superseded": 1})


async def test_what_was_begun_is_undone_by_saying_all_of_what_is_wanted(dsn, tmp_path: Path) -> None:
    """Nobody knows whether the block had its effect, so it does not count as had what was had before."""
    async with order_house(dsn, tmp_path, seed(1)) as house, house.reconciling():
        family = await house.session(1)
        await house.known()
        await house.db.execute("UPDATE erp.contract SET plan_id = 2 WHERE id = 1")
        await house.ordered(family)
        node_id = await house.db.fetchval("SELECT id FROM net.node")
        await house.db.execute(
            "UPDATE net.network_order SET claimed_by = $1, claimed_until = now() + interval '30 s', attempts = 1",
            node_id,
        )
        await house.db.execute("UPDATE erp.contract SET plan_id = 1 WHERE id = 1")
        await house.has({"2": 1}, "wish")
        order = await house.order(family)
        assert (order["kind"], order["wanted_fingerprint"]) == ("change", house.fingerprint(1))
        assert (order["state"], order["claimed_by"]) == ("todo", node_id)
        assert b"25M/50M" in order["attributes"]


@pytest.mark.parametrize("why", [Trigger.SWEEP, Trigger.START, Trigger.CLOCK, Trigger.CHANGE])
async def test_r8_2_a_look_that_shows_more_than_was_followed_waits_for_that_too(
    dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: Trigger
) -> None:
    """The replica goes on while sessions are fetched: what is decided by it, every node must have applied."""
    judge, blocked = ordering.Ordering.judge, []

    async def with_a_block_meanwhile(self: ordering.Ordering, sessions: list, trigger: Trigger, *rest: Any) -> None:
        if trigger is why and not blocked:
            xid = await house.db.fetchval(BLOCK.format(1) + " RETURNING pg_current_xact_id()::text")
            await house.applied()
            blocked.append(int(xid))
        await judge(self, sessions, trigger, *rest)

    async with order_house(dsn, tmp_path, seed(1)) as house:
        family = await house.session(1, ago_s=0.0 if why is Trigger.START else 3_600.0)
        monkeypatch.setattr(ordering.Ordering, "judge", with_a_block_meanwhile)
        async with house.reconciling() as running:
            if why in (Trigger.CLOCK, Trigger.CHANGE):
                await house.known()
                await house.swept()
            if why is Trigger.CLOCK:
                running._due.note(1, clock.wall_s(), clock.wall_s())
            if why is Trigger.CHANGE:
                await house.db.execute("UPDATE erp.contract SET plan_id = 2 WHERE id = 1")
            await until(lambda: blocked)
            order = await house.ordered(family)
            await house.idle()
            needs = await house.db.fetchval("SELECT needs::text FROM net.network_order WHERE id = $1", order["id"])
            assert order["kind"] == "disconnect"
            assert needs is not None and int(needs) >= blocked[0], "another node could let him in again"


# --- the brake ------------------------------------------------------------------------------------------------------


async def test_r8_4_what_would_cut_too_many_is_held_and_what_gives_back_is_not(dsn, tmp_path: Path) -> None:
    text = (
        seed(100)
        + "UPDATE erp.contract SET access_status = 'CM' WHERE id BETWEEN 61 AND 80; "
        + (
            "INSERT INTO erp.parameter (name, value) VALUES ('blocked_state', 'S'), ('blocked_address_list', 'B'), "
            "('blocked_upload', '64k'), ('blocked_download', '64k');"
        )
    )
    async with order_house(dsn, tmp_path, text, fed=LENIENT, brake=BrakeLimits(minimum_count=50)) as house:
        await house.sessions(range(1, 91))
        async with house.reconciling():
            await house.known()
            await house.db.execute(
                "UPDATE erp.contract SET access_status = CASE WHEN id <= 60 THEN 'CA' ELSE 'A' END WHERE id <= 80"
            )
            await house.has({"held": 60, "todo": 20})
            held = await house.db.fetch(
                "SELECT DISTINCT run_id FROM net.network_order JOIN net.run ON run.id = run_id "
                "WHERE run.kind = 'orders'"
            )
            assert len(held) == 1
            assert house.count("held_back_total") == 60
            await house.db.execute(BLOCK.format(90))  # one customer is blocked meanwhile
            await house.has({"held": 60, "todo": 21})
            await house.db.execute(UNBLOCK.format(1))  # and one of the held ones is given back
            await house.has({"held": 59, "todo": 21, "superseded": 1})
            store = OrderStore(house.reconciler()[1][0])
            assert await store.release(held[0]["run_id"]) == 59
            assert await house.orders() == {"todo": 80, "superseded": 1}


async def test_r8_4_a_run_that_passed_its_own_brake_passes_this_one(dsn, tmp_path: Path) -> None:
    async with order_house(dsn, tmp_path, seed(70), brake=BrakeLimits(minimum_count=10)) as house:
        await house.sessions(range(1, 66))
        async with house.reconciling():
            await house.known()
            run = await house.db.fetchval(
                "INSERT INTO net.run (kind, brake_passed) VALUES ('agenda', true) RETURNING id"
            )
            async with house.db.transaction():
                await house.db.execute(f"SET LOCAL aaad.run = {run}")
                await house.db.execute("UPDATE erp.contract SET access_status = 'CA' WHERE id <= 60")
            await house.has({"todo": 60})
            assert await house.orders("run_id") == {str(run): 60}
            await house.db.execute("UPDATE erp.contract SET access_status = 'CA' WHERE id BETWEEN 61 AND 65")
            await house.has({"todo": 65})  # nor does it leave less for others


async def test_r8_4_what_an_operator_let_through_in_the_replica_is_not_held_again(dsn, tmp_path: Path) -> None:
    strict = {"brake": BrakeLimits(minimum_count=10)}
    async with order_house(dsn, tmp_path, seed(100), fed=strict, brake=BrakeLimits(minimum_count=10)) as house:
        await house.sessions(range(1, 61))
        async with house.reconciling():
            await house.known()
            await house.db.execute("UPDATE erp.contract SET access_status = 'CA' WHERE id <= 60")
            await until(lambda: len(house.node.held_ids()) == 60)
            await house.idle()
            assert await house.orders() == {}  # nobody is refused, so nobody has to go
            while not await house.db.fetchval(
                "UPDATE net.hold SET state = 'accepted', decided_at = now() "
                "WHERE state = 'open' AND cut_off_count = 60 RETURNING id"
            ):
                await asyncio.sleep(0.05)
            await house.has({"todo": 60})


async def test_r8_4_what_is_ordered_already_is_not_counted_again(dsn, tmp_path: Path) -> None:
    """A concentrator is down and its blocks wait: each sweep finds them, and holds nobody for it."""
    settings = {"brake": BrakeLimits(minimum_count=10, window_s=0.01), "sweep_interval_s": 0.05}
    async with order_house(dsn, tmp_path, seed(30), fed=LENIENT, **settings) as house:
        await house.sessions(range(1, 21), ago_s=3_600.0)
        async with house.reconciling():
            await house.known()
            for first in (1, 6, 11, 16):
                await house.db.execute(
                    f"UPDATE erp.contract SET access_status = 'CA' WHERE id BETWEEN {first} AND {first + 4}"
                )
                await house.has({"todo": first + 4})
                await asyncio.sleep(0.1)
            swept = house.count("sessions_looked_at_total|why=sweep")
            while house.count("sessions_looked_at_total|why=sweep") < swept + 60:
                await asyncio.sleep(0.02)
            assert house.count("held_back_total") == 0
            assert await house.orders() == {"todo": 20}
            assert await house.db.fetchval("SELECT count(*) FROM net.run WHERE kind = 'orders'") == 0


def in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a look at all sessions take longer than the brake's window of a tenth of a second."""
    monkeypatch.setattr(reconciler, "SESSIONS_AT_ONCE", 4)
    go_on = reconciler.Reconciler._go_on_with_pass

    async def slowly(self: reconciler.Reconciler) -> float:
        await asyncio.sleep(0.15)
        return await go_on(self)

    monkeypatch.setattr(reconciler.Reconciler, "_go_on_with_pass", slowly)


async def test_r8_4_what_is_held_stays_so_when_another_cut_takes_its_place(
    dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ever other wish, as each hour may make it, must not leak through the window little by little."""
    settings = {"brake": BrakeLimits(minimum_count=5, window_s=0.1)}
    async with order_house(dsn, tmp_path, seed(20), fed=LENIENT, **settings) as house:
        families = await house.sessions(range(1, 21), ago_s=3_600.0)
        async with house.reconciling():
            await house.known()
            await house.db.execute("UPDATE erp.plan SET ipv4_pool = 'one'")
            await house.has({"held": 20})
            runs = await house.orders("run_id")
            in_small_steps(monkeypatch)
            await house.db.execute("UPDATE erp.plan SET ipv4_pool = 'two'")
            await house.has({"2": 20}, "wish")
            assert await house.orders() == {"held": 20}
            assert await house.orders("run_id") == runs
            await house.db.execute(BLOCK.format(3))  # one customer's own change is judged for itself
            await house.has({"held": 19, "todo": 1})
            assert (await house.order(families[3]))["cause"] == "block"


async def test_r8_4_a_look_at_all_that_was_held_once_is_held_to_its_end(
    dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes longer than the window: what is left of it must not pass window by window."""
    settings = {"brake": BrakeLimits(minimum_count=3, window_s=0.1)}
    text = seed(24) + "UPDATE erp.contract SET plan_id = 2 WHERE id > 4 AND id % 4 > 1;"
    async with order_house(dsn, tmp_path, text, fed=LENIENT, **settings) as house:
        for number in range(1, 25):  # in the order in which they are looked at: four of plan 1, then two in each four
            await house.session(number, ago_s=3_600.0, family=UUID(int=number))
        async with house.reconciling():
            await house.swept()  # else the sweep, a look of its own, may meet the change first and let two pass
            in_small_steps(monkeypatch)
            await house.db.execute("UPDATE erp.plan SET ipv4_pool = 'one' WHERE id = 1")
            await until_async(lambda: house.db.fetchval("SELECT count(*) = 14 FROM net.network_order"))
            assert await house.orders() == {"held": 14}


async def until_async(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(15):
        while not await condition():
            await asyncio.sleep(0.05)


# --- restarts and troubles ------------------------------------------------------------------------------------------


async def test_what_changed_while_nobody_reconciled_is_ordered_by_who_comes(dsn, tmp_path: Path) -> None:
    async with order_house(dsn, tmp_path, seed(40), fed=LENIENT) as house:
        await house.sessions(range(1, 41), ago_s=3_600.0)
        async with house.reconciling():
            await house.known()
            await house.idle()
        await house.db.execute("UPDATE erp.contract SET plan_id = 2 WHERE id <= 20")
        await house.db.execute("UPDATE erp.contract SET access_status = 'CA' WHERE id > 30")
        await house.applied()
        async with house.reconciling():
            await house.has({"plan": 20, "block": 10}, "cause")
        assert await house.orders() == {"todo": 30}


async def test_who_comes_after_changes_were_pruned_knows_that_he_missed_some(dsn, tmp_path: Path) -> None:
    async with order_house(dsn, tmp_path, seed(1), fed=LENIENT) as house:
        (door, listening) = house.reconciler()[1]
        now = int(await house.db.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text"))

        async def is_missed(snapshot: str, pruned_below: int) -> bool:
            await house.db.execute("UPDATE net.change_horizon SET pruned_below = $1::text::xid8", str(pruned_below))
            row = await door.fetchrow(ordering.SQL.is_missed, snapshot, snapshot)
            assert row is not None
            return row["is_missed"]

        assert not await is_missed(f"{now - 9}:{now - 9}:", now - 9), "all that it knew nothing of is there"
        assert await is_missed(f"{now - 9}:{now - 9}:", now - 8)
        assert not await is_missed(f"{now - 9}:{now - 3}:{now - 9}", now - 9)
        assert await is_missed(f"{now - 9}:{now - 3}:{now - 9}", now - 8), "what was open then, and is over"
        assert await is_missed(f"{now + 900}:{now + 900}:", 0), "of another cluster"
        for one in (door, listening):
            await one.close()


async def test_who_dies_in_the_midst_of_writing_loses_and_doubles_nothing(
    dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ordering, "WISHES_AT_ONCE", 10)
    put, calls = OrderStore.put, 0

    async def put_until_it_fails(self: OrderStore, wishes: list) -> list:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise StoreError("the connection was lost")
        return await put(self, wishes)

    async with order_house(dsn, tmp_path, seed(60), fed=LENIENT) as house:
        await house.sessions(range(1, 41), ago_s=3_600.0)
        async with house.reconciling():
            await house.known()
            monkeypatch.setattr(OrderStore, "put", put_until_it_fails)
            await house.db.execute("UPDATE erp.contract SET access_status = 'CA' WHERE id <= 40")
            await house.has({"todo": 40})
        assert calls >= 3
        assert await house.orders("wish") == {"1": 40}


async def test_another_node_takes_over_from_one_that_is_silent(
    dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (ordering, reconciler):
        monkeypatch.setattr(module, "HELD_FOR_S", 1.0)
    monkeypatch.setattr(reconciler, "STAND_BY_S", 0.1)
    async with order_house(dsn, tmp_path, seed(4)) as house:
        await house.db.execute("INSERT INTO net.node (name) VALUES ('node-b')")
        await house.sessions([1, 2, 3, 4], ago_s=3_600.0)
        first, doors = house.reconciler()
        dying = asyncio.create_task(first.run(asyncio.Event()))
        await house.known()
        async with house.reconciling("node-b"):
            await house.db.execute("UPDATE erp.contract SET plan_id = 2 WHERE id = 1")
            await house.has({"todo": 1})
            assert await holder(house) == "node-a"
            for door in doors:
                await door.close()
            dying.cancel()
            await asyncio.wait([dying])
            await house.db.execute("UPDATE erp.contract SET plan_id = 2 WHERE id = 2")
            await house.has({"todo": 2})
            assert await holder(house) == "node-b"
        async with house.reconciling():  # who ends in order leaves at once
            await house.db.execute("UPDATE erp.contract SET plan_id = 2 WHERE id = 3")
            await house.has({"todo": 3}, limit_s=5.0)


async def test_a_failure_in_between_forgets_neither_what_is_looked_at_nor_who_is_due(
    dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: Clock
) -> None:
    """A look at all for a plan goes on as that, and the clock's changes need not wait for a sweep."""
    write, failures = ordering.Ordering.write, 0

    async def failing(self: ordering.Ordering, found: ordering.Found, **how: bool) -> bool:
        nonlocal failures
        if failures and found.judged:
            failures -= 1
            raise StoreError("the connection was lost")
        return await write(self, found, **how)

    monkeypatch.setattr(ordering.Ordering, "write", failing)
    monkeypatch.setattr(reconciler, "RETRY_S", 0.1)
    text = seed(3) + NIGHT.format(HOUR + 1) + "UPDATE erp.contract SET plan_id = 1 WHERE id > 1;"
    async with order_house(dsn, tmp_path, text) as house, house.reconciling():
        families = await house.sessions([1, 2, 3])
        await house.known()
        await house.swept()
        failures = 1
        stopped.now_s = NOON_S + 3_600.5
        assert (await house.ordered(families[1]))["cause"] == "hours"
        assert not failures
        failures = 1
        await house.db.execute("UPDATE erp.plan SET download = '200M' WHERE id = 1")
        await house.has({"hours": 1, "plan": 2}, "cause")
        assert not failures


class OldReplica(FedReplica):
    """A replica that shows nothing newer."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.begin()
        self._meta = super().meta()
        self.end()

    def meta(self) -> ReplicaMeta:
        return self._meta


async def test_a_node_that_is_behind_decides_nothing_and_leaves_it_to_another(
    dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "BEHIND_MAX_S", 0.3)
    monkeypatch.setattr(reconciler, "STAND_BY_S", 0.1)
    async with order_house(dsn, tmp_path, seed(3), sweep_interval_s=0.05) as house:
        await house.db.execute("INSERT INTO net.node (name) VALUES ('node-b')")
        await house.sessions([1, 2, 3], ago_s=3_600.0)
        old = OldReplica(house.node)
        async with house.reconciling():
            await house.known()
            await house.db.execute("UPDATE erp.contract SET plan_id = 2 WHERE id = 1")
            await house.has({"todo": 1})
        async with house.reconciling("node-b", old):
            while await holder(house) != "node-b":
                await asyncio.sleep(0.01)
            async with house.reconciling():
                await house.db.execute("UPDATE erp.contract SET plan_id = 2 WHERE id = 2")
                await house.has({"todo": 2})
                assert await holder(house) != "node-b"


class StuckReplica(OldReplica):
    """One whose feed stands still while changes come and other nodes apply them."""

    def __init__(self, node: Node, login_ids: list[int]) -> None:
        super().__init__(node)
        self.begin()
        self._names = {login_id: FedReplica.name_of(self, login_id) for login_id in login_ids}
        self._records = {name: FedReplica.login(self, name) for name in self._names.values() if name}
        self.end()

    def name_of(self, login_id: int) -> bytes | None:
        return self._names.get(login_id)

    def login(self, key: bytes) -> bytes | None:
        return self._records.get(key)


async def test_a_replica_that_stands_still_cuts_nobody_whom_another_node_let_in(dsn, tmp_path: Path) -> None:
    """A customer paid and dialled at another node: by this node's facts he is still blocked."""
    text = seed(2) + BLOCK.format(1)
    async with order_house(dsn, tmp_path, text, sweep_interval_s=0.05) as house:
        await house.session(2, ago_s=3_600.0)
        async with house.reconciling(replica=StuckReplica(house.node, [1, 2])):
            await house.known()
            await house.db.execute(UNBLOCK.format(1))
            await house.applied()
            looked = house.count("sessions_looked_at_total|why=start")
            paid = await house.session(1)
            await asyncio.sleep(0.5)  # some sweeps, some looks at who began
            assert await house.order(paid) is None
            assert house.count("sessions_looked_at_total|why=start") == looked
        async with house.reconciling():
            await house.known()
            assert await house.orders() == {}


async def test_a_session_that_began_this_moment_waits_for_what_its_node_may_have_known(dsn, tmp_path: Path) -> None:
    async with order_house(dsn, tmp_path, seed(2), settle_s=1.0) as house, house.reconciling():
        fresh = await house.session(1, grant_fingerprint=1)
        await asyncio.sleep(0.5)
        assert house.count("sessions_looked_at_total|why=start") == 0
        assert (await house.ordered(fresh))["cause"] == "start"


async def test_a_node_whose_clock_is_wrong_decides_nothing(
    dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By such a clock everybody's trust, prepaid time and hours would be over."""
    monkeypatch.setattr(reconciler, "STAND_BY_S", 0.1)
    text = seed(1) + (
        "UPDATE erp.contract SET trust_unlock_active = true, trust_unlock_until = now() + interval '1 day';"
    )
    settings = {"sweep_interval_s": 0.05, "clock_apart_max_s": 60.0}
    async with order_house(dsn, tmp_path, text, **settings) as house, house.reconciling():
        family = await house.session(1, ago_s=3_600.0)
        await house.known()
        true = clock.wall_s
        monkeypatch.setattr(clock, "wall_s", lambda: true() + 86_400 * 365)
        await asyncio.sleep(0.5)
        assert await house.orders() == {}
        monkeypatch.setattr(clock, "wall_s", true)
        await house.db.execute(BLOCK.format(1))
        await house.db.execute("UPDATE erp.contract SET trust_unlock_active = false, trust_unlock_until = NULL")
        assert (await house.ordered(family))["cause"] == "block"


async def test_looking_for_longer_than_the_hold_lasts_ends_all_the_same(
    dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred thousand logins that change at once are looked at for longer than a silent node is waited for."""
    for module in (ordering, reconciler):
        monkeypatch.setattr(module, "HELD_FOR_S", 0.5)
    monkeypatch.setattr(reconciler, "RENEW_EVERY_S", 0.1)
    monkeypatch.setattr(reconciler, "LOGINS_AT_ONCE", 1)
    judge = ordering.Ordering.judge

    async def slowly(self: ordering.Ordering, *words: object) -> None:
        await asyncio.sleep(0.15)
        await judge(self, *words)  # type: ignore[arg-type]

    async with order_house(dsn, tmp_path, seed(20), fed=LENIENT) as house:
        await house.sessions(range(1, 11), ago_s=3_600.0)
        async with house.reconciling():
            await house.known()
            monkeypatch.setattr(ordering.Ordering, "judge", slowly)
            await house.db.execute(BLOCK.format("ANY('{1,2,3,4,5,6,7,8,9,10}')"))
            await house.has({"todo": 10})
        assert await house.orders("cause") == {"block": 10}


async def test_one_session_that_cannot_be_looked_at_keeps_no_other_one_waiting(
    dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Judge.judge

    def poisoned(self: Judge, session: LiveSession, *words: object) -> object:
        if session.login_id == 1:
            raise KeyError("a bug")
        return judge(self, session, *words)  # type: ignore[arg-type]

    async with order_house(dsn, tmp_path, seed(5)) as house, house.reconciling():
        families = await house.sessions([1, 2], ago_s=3_600.0)
        await house.known()
        monkeypatch.setattr(Judge, "judge", poisoned)
        await house.db.execute(BLOCK.format("ANY('{1,2}')"))
        assert (await house.ordered(families[2]))["kind"] == "disconnect"
        assert await house.order(families[1]) is None
        assert house.counters.cells[house.counters.index["aaad_bugs_total"]] > 0


async def holder(house: OrderHouse) -> str:
    name: str = await house.db.fetchval("SELECT name FROM net.node JOIN net.order_reconciler ON node_id = node.id")
    return name


async def test_postgresql_killed_in_between_loses_no_order(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "own", settings={"shared_buffers": "16MB", "fsync": "off"}) as server:
        await migrate(server.dsn())
        async with order_house(server.dsn(), tmp_path, seed(60), fed=LENIENT) as house:
            await house.sessions(range(1, 61), ago_s=3_600.0)
            async with house.reconciling():
                await house.known()
                for contracts in ("<= 30", "> 30"):
                    erp = await asyncpg.connect(server.dsn())
                    await erp.execute(f"UPDATE erp.contract SET plan_id = 2 WHERE id {contracts}")
                    os.kill(server.pid, signal.SIGKILL)
                    server.start()
                house.db = await asyncpg.connect(server.dsn())
                await house.has({"todo": 60}, limit_s=60.0)
            assert await house.orders("wish") == {"1": 60}
            await house.db.close()
