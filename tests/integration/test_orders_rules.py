"""Rules R8.1, R8.2, R8.3, R8.5, R2.6 and R4.5 of orders, each by its number; nodes that die, NASes that are down."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from order_field import HURRY, change, gone, housed

from aaad.errors import StoreError
from aaad.simulator.temper import Temper

HERE = Path(__file__).parent


@pytest.fixture
async def house(dsn, tmp_path):
    async with housed(dsn, tmp_path) as house:
        yield house


# --- R8.1: router and Acct-Session-Id -------------------------------------------------------------------------------


async def test_r8_1_the_session_after_a_redial_is_never_cut(house):
    """The customer redialled just before: the router knows the old session no more; the new one is left in peace."""
    bras = await house.add_bras()
    key = await house.begin(bras, "81a00001", lives=False)
    bras.begin("81a00002", "ana")
    (order,) = await house.order(gone(key))
    async with house.running():
        row = await house.until(order)
    assert row["state"] == "done"
    assert bras.sessions == {"81a00002"}
    assert await house.db.fetchval("SELECT end_evidence FROM net.session") is None, "the Stop is on its way"


async def test_r8_1_a_redial_between_two_steps_is_not_cut_by_the_api(house):
    bras = await house.add_bras()
    bras.temper(disconnect=Temper(nak=404))
    key = await house.begin(bras, "81a00001", lives=False)
    bras.begin("81a00002", "ana")
    (order,) = await house.order(gone(key))
    async with house.running():
        row = await house.until(order)
    assert (row["state"], await house.steps(order)) == ("done", [("disconnect", "refused"), ("api", "other")])
    assert bras.sessions == {"81a00002"}


async def test_r8_1_another_session_supersedes_a_change(house):
    bras = await house.add_bras()
    key = await house.begin(bras, "81a00001", lives=False)
    bras.begin("81a00002", "ana", rate_limit="5M/5M")
    (order,) = await house.order(change(key))
    async with house.running():
        row = await house.until(order)
    assert (row["state"], await house.steps(order)) == ("superseded", [("coa", "gone"), ("read", "other")])
    assert bras.granted("81a00002").rate_limit == "5M/5M"
    assert await house.db.fetchval("SELECT end_evidence FROM net.session") == "gone"


async def test_r8_1_the_newest_wish_wins_over_one_in_work(house):
    bras = await house.add_bras()
    bras.nas.delay_s = 0.1
    key = await house.begin(bras, granted={"rate_limit": "10M/20M"})
    (order,) = await house.order(change(key, "1M/1M", 7))
    async with house.running():
        await house.until(order, "doing")
        await house.order(change(key, "2M/2M", 8))
        row = await house.until(order)
    assert row["state"] == "done"
    assert bras.granted("81a00001").rate_limit == "2M/2M"
    assert await house.db.fetchval("SELECT fingerprint FROM net.session_applied") == 8


async def test_r8_1_a_cut_that_is_not_wished_any_more_is_not_sent_again(house):
    """A router that wakes between two tries hears the newest wish only."""
    bras = await house.add_bras(api=False)
    bras.nas.is_silent = True
    key = await house.begin(bras, granted={"rate_limit": "10M/20M"})
    (order,) = await house.order(gone(key))
    async with house.running(HURRY._replace(tries_s=(0.3, 0.3, 0.3, 0.3, 0.3))):
        async with asyncio.timeout(10):
            while not bras.nas.heard:
                await asyncio.sleep(0.01)
        await house.order(change(key, "2M/2M", 8))
        bras.nas.is_silent = False
        await house.until(order)
    assert bras.sessions == {"81a00001"}
    assert bras.granted("81a00001").rate_limit == "2M/2M"


async def test_one_request_at_a_time_about_one_session(house):
    """accel-ppp answers no second one; a newer wish waits until the first was answered."""
    bras = await house.add_bras(kind="accel_ppp", api=False)
    bras.nas.delay_s = 0.12
    key = await house.begin(bras)
    async with house.running(HURRY._replace(tries_s=(0.5, 0.5, 0.5))):
        (order,) = await house.order(change(key, "1M/1M", 7, attributes=bytes((11, 6)) + b"1024"))
        await house.until(order, "doing")
        for fingerprint in (8, 9, 10):
            await house.order(
                change(key, "1M/1M", fingerprint, attributes=bytes((11, 6)) + b"%d000" % (fingerprint % 10))
            )
        row = await house.until(order)
    assert row["state"] == "unverified"
    assert len(bras.nas.heard) == 2, "the first wish and the newest"


async def test_what_was_claimed_when_postgresql_went_away_is_taken_again_at_once(house):
    """Its answer was lost, so nobody knows that the order is in hand: it must not wait until the claim is over."""
    bras = await house.add_bras()
    key = await house.begin(bras)
    async with house.running() as runner:
        find, failed = runner._carrying.concentrators, []

        async def die_once(nas_ids):
            if not failed:
                failed.append(nas_ids)
                raise StoreError("PostgreSQL is away")
            return await find(nas_ids)

        runner._carrying.concentrators = die_once
        (order,) = await house.order(gone(key))
        row = await house.until(order)
        assert failed
    assert row["state"] == "done"
    assert (await house.steps(order))[-2:] == [("disconnect", "done"), ("read", "gone")]


# --- R8.2: every live node has applied it ---------------------------------------------------------------------------


async def test_r8_2_no_disconnect_before_every_live_node_has_applied_the_change(house):
    bras = await house.add_bras()
    key = await house.begin(bras)
    needs = await house.db.fetchval("SELECT pg_current_xact_id()::text::bigint")
    await house.db.execute(
        "INSERT INTO net.node (id, name, heartbeat_at, snapshot) "
        "VALUES (2, 'n2', now(), ($1::text || ':' || $1::text || ':')::pg_snapshot)",
        str(needs),
    )
    await house.db.execute(
        "UPDATE net.node SET snapshot = pg_current_snapshot(), heartbeat_at = now() WHERE name = 'n1'"
    )
    (order,) = await house.order(gone(key, needs=needs))
    async with house.running():
        await asyncio.sleep(0.4)
        assert (await house.row(order))["state"] == "todo"
        assert not bras.nas.heard
        await house.db.execute("UPDATE net.node SET snapshot = pg_current_snapshot(), heartbeat_at = now()")
        assert (await house.until(order))["state"] == "done"


async def test_r8_2_a_change_that_has_to_cut_waits_for_all_nodes_too(house):
    bras = await house.add_bras()
    bras.temper(coa=Temper(nak=401))
    key = await house.begin(bras, granted={"rate_limit": "10M/20M"})
    needs = await house.db.fetchval("SELECT pg_current_xact_id()::text::bigint")
    await house.db.execute(
        "UPDATE net.node SET snapshot = ($1::text || ':' || $1::text || ':')::pg_snapshot", str(needs)
    )
    (order,) = await house.order(change(key, needs=needs))
    async with house.running():
        async with asyncio.timeout(5):
            while (await house.row(order))["step"] != "not_applied_everywhere":
                await asyncio.sleep(0.02)
        assert bras.sessions
        await house.db.execute("UPDATE net.node SET snapshot = pg_current_snapshot(), heartbeat_at = now()")
        assert (await house.until(order))["state"] == "done"
    assert not bras.sessions
    assert {datagram[0] for datagram in bras.nas.heard} == {43, 40}


# --- R8.3: read-back ------------------------------------------------------------------------------------------------


async def test_r8_3_one_list_is_read_for_all_orders_of_a_router_and_cycle(house):
    bras = await house.add_bras()
    keys = []
    for number in range(60):
        session = f"81a{number:05}"
        address = f"100.64.1.{number + 1}"
        keys.append(await house.begin(bras, session, f"user{number}", address, granted={"rate_limit": "10M/20M"}))
    orders = await house.order(*(change(key, "1M/2M") for key in keys))
    async with house.running(HURRY._replace(cycle_s=0.3)):
        for order in orders:
            assert (await house.until(order))["state"] == "done"
    assert {one.granted.rate_limit for one in bras.nas.sessions.values()} == {"1M/2M"}
    assert bras.reads <= 10, "not one for each of sixty orders"


async def test_r8_3_acked_and_not_verifiable_is_a_state_of_its_own(house):
    bras = await house.add_bras(api=False)
    key = await house.begin(bras, granted={"rate_limit": "10M/20M"})
    (order,) = await house.order(change(key))
    async with house.running():
        row = await house.until(order)
    assert (row["state"], row["step"]) == ("unverified", "no_api")
    assert tuple(await house.db.fetchrow("SELECT fingerprint, evidence FROM net.session_applied")) == (7, "acked")


async def test_r8_3_what_no_ack_makes_sure_of_is_redialled_where_nothing_can_be_read(house):
    bras = await house.add_bras(api=False)
    key = await house.begin(bras)
    (order,) = await house.order(change(key, is_certain=False))
    async with house.running():
        row = await house.until(order, "waiting")
    assert row["step"] == "stop_awaited"
    assert not bras.sessions


async def test_lists_that_a_coa_did_not_change_become_entries_of_ours_in_both_families(house):
    """RouterOS's manual does not list Mikrotik-Address-List among what a CoA changes."""
    bras = await house.add_bras()
    key = await house.begin(bras, granted={"rate_limit": "10M/20M"}, ipv6_prefix="2001:db8:1::/64")
    wanted = (
        ("Mikrotik-Rate-Limit", "1M/2M"),
        ("Mikrotik-Address-List", "blocked"),
        ("Address-List-IPv6", "blocked6"),
    )
    (order,) = await house.order(change(key, wanted=wanted, is_certain=False))
    async with house.running():
        row = await house.until(order)
        assert row["state"] == "done"
        assert [step for step, _ in await house.steps(order)] == ["coa", "read", "lists", "read"]
        entries = bras.router.table("/ip/firewall/address-list").rows.values()
        assert [(entry["list"], entry["address"], entry["comment"]) for entry in entries] == [
            ("blocked", "100.64.0.1", "aaad: login 1")
        ]
        entries = bras.router.table("/ipv6/firewall/address-list").rows.values()
        assert [(entry["list"], entry["address"]) for entry in entries] == [("blocked6", "2001:db8:1::/64")]
        assert bras.sessions == {"81a00001"}
        # Paid: our entries go, and the session stays.
        (order,) = await house.order(
            change(
                key, "10M/20M", 8, wanted=(("Mikrotik-Rate-Limit", "10M/20M"),), unsaid=wanted[1:], is_certain=False
            )
        )
        assert (await house.until(order))["state"] == "done"
    assert not bras.router.table("/ip/firewall/address-list").rows
    assert not bras.router.table("/ipv6/firewall/address-list").rows
    assert bras.sessions == {"81a00001"}


# --- R2.6: who may --------------------------------------------------------------------------------------------------


async def test_r2_6_only_a_node_that_the_router_knows_and_from_that_address(house):
    await house.db.execute("INSERT INTO net.node (id, name, heartbeat_at) VALUES (2, 'n2', now())")
    bras = await house.add_bras(node=2, api=False)
    await house.db.execute("UPDATE net.nas_server SET local_address = '127.0.0.22'")
    key = await house.begin(bras)
    (order,) = await house.order(gone(key))
    async with house.running(node="n1"):
        await asyncio.sleep(0.3)
        assert (await house.row(order))["state"] == "todo"
        assert not bras.nas.heard
        async with house.running(node="n2"):
            await house.until(order, "waiting")
    assert set(bras.nas.sources) == {"127.0.0.22"}


async def test_r2_6_of_several_addresses_of_a_node_the_one_heard_last_sends(house):
    bras = await house.add_bras(api=False)
    await house.db.execute(
        "INSERT INTO net.nas_server (router_id, node_id, local_address, last_heard) "
        "VALUES (1, 1, '127.0.0.33', now() - interval '1 day'), (1, 1, '127.0.0.34', now() + interval '1 s')"
    )
    (order,) = await house.order(gone(await house.begin(bras)))
    async with house.running():
        await house.until(order, "waiting")
    assert set(bras.nas.sources) == {"127.0.0.34"}


async def test_r2_6_an_order_is_left_to_the_node_that_the_router_knows_while_that_one_lives(house):
    await house.db.execute("INSERT INTO net.node (id, name, heartbeat_at) VALUES (2, 'n2', now())")
    bras = await house.add_bras(node=2)
    key = await house.begin(bras)
    (order,) = await house.order(gone(key))
    async with house.running(node="n1"):
        await asyncio.sleep(0.3)
        assert (await house.row(order))["state"] == "todo"
        assert bras.sessions
        await house.db.execute("UPDATE net.node SET heartbeat_at = now() - interval '61 seconds' WHERE name = 'n2'")
        assert (await house.until(order))["state"] == "done"


async def test_r2_6_api_steps_are_any_nodes_where_none_that_it_knows_lives(house):
    await house.db.execute(
        "INSERT INTO net.node (id, name, heartbeat_at) VALUES (2, 'n2', now() - interval '1 hour')"
    )
    bras = await house.add_bras(node=2)
    key = await house.begin(bras)
    (order,) = await house.order(gone(key))
    async with house.running(node="n1"):
        row = await house.until(order)
    assert (row["state"], await house.steps(order)) == ("done", [("api", "done")])
    assert not bras.nas.heard


# --- R4.5: Hotspot --------------------------------------------------------------------------------------------------


async def test_r4_5_a_hotspot_unblock_never_disconnects(house):
    """Whatever the router says: NAK, ACK without effect, silence."""
    bras = await house.add_bras()
    key = await house.begin(bras, hotspot=True, granted={"rate_limit": "1M/1M"})
    async with house.running():
        for fingerprint, temper in enumerate((Temper(nak=401), Temper(is_idle=True), Temper(is_silent=True)), 7):
            bras.temper(coa=temper)
            (order,) = await house.order(change(key, "10M/20M", fingerprint, is_ppp=False, cause="unblock"))
            async with asyncio.timeout(5):
                while not (await house.row(order))["attempts"]:
                    await asyncio.sleep(0.02)
            assert bras.sessions == {"81a00001"}
        bras.temper(coa=Temper())
        await house.order(change(key, "10M/20M", 99, is_ppp=False, cause="unblock"))
        assert (await house.until(order))["state"] == "done"
    assert bras.granted("81a00001").rate_limit == "10M/20M"
    assert {datagram[0] for datagram in bras.nas.heard} == {43}


async def test_r4_5_a_refusal_at_a_hotspot_removes_the_cookie_before_the_session(house):
    bras = await house.add_bras()
    key = await house.begin(bras, hotspot=True)
    bras.router.table("/ip/hotspot/cookie").put({"user": "ana", "mac-address": "AA:BB:CC:DD:EE:01"})
    (order,) = await house.order(gone(key, is_ppp=False))
    async with house.running():
        row = await house.until(order)
    assert row["state"] == "done"
    assert (await house.steps(order))[0] == ("cookie", "done")
    assert not bras.router.table("/ip/hotspot/cookie").rows
    assert not bras.sessions


# --- a concentrator that is down, nodes that die --------------------------------------------------------------------


async def test_orders_of_a_concentrator_that_is_down_wait_behind_one_probe_and_end_in_the_newest_state(house):
    """Five hundred changes while it is away: when it answers all are true at once, in their last state only."""
    bras = await house.add_bras()
    keys = []
    for number in range(100):
        address = f"100.64.1.{number + 1}"
        keys.append(
            await house.begin(bras, f"81a{number:05}", f"u{number}", address, granted={"rate_limit": "9M/9M"})
        )
    bras.nas.is_silent = bras.faults.is_silent = True
    orders = await house.order(*(change(key, "1M/1M", 1) for key in keys))
    async with house.running() as runner:
        async with asyncio.timeout(10):
            while not runner.counters.cells[runner.counters.index["aaad_silent_concentrators"]]:
                await asyncio.sleep(0.02)
        for step in range(2, 6):
            assert len(await house.order(*(change(key, f"{step}M/{step}M", step) for key in keys))) == 100
        heard = len(bras.nas.heard)
        assert heard <= 80, "those that were on their way; the others wait without a try of their own"
        await asyncio.sleep(1.5)
        assert len(bras.nas.heard) - heard <= 40, "a probe every third of a second, not a hundred orders"
        bras.nas.heard.clear()
        bras.nas.is_silent = bras.faults.is_silent = False
        for order in orders:
            assert (await house.until(order, limit_s=20))["state"] == "done"
    assert {one.granted.rate_limit for one in bras.nas.sessions.values()} == {"5M/5M"}
    said = {datagram for datagram in bras.nas.heard if b"4M/4M" in datagram or b"1M/1M" in datagram}
    assert not said, "what is not wanted any more is never said"


async def test_an_order_that_fails_at_a_concentrator_that_lives_backs_off_by_itself(house):
    bras = await house.add_bras(api=False)
    bad = await house.begin(bras, "81a00001", "ana", lives=False)
    bras.temper(coa=Temper(nak=401, times=1), disconnect=Temper(nak=404, times=1))
    (order,) = await house.order(change(bad))
    async with house.running():
        async with asyncio.timeout(5):
            while (await house.row(order))["step"] != "refused":
                await asyncio.sleep(0.02)
        row = await house.row(order)
        assert (row["state"], row["attempts"]) == ("todo", 1)
        good = await house.begin(bras, "81a00002", "bob", "100.64.0.2", granted={"rate_limit": "9M/9M"})
        (other,) = await house.order(change(good))
        assert (await house.until(other, limit_s=0.9))["state"] == "unverified"


async def test_a_claim_of_a_dead_node_is_taken_over(house):
    bras = await house.add_bras()
    await house.db.execute("INSERT INTO net.node (id, name, heartbeat_at) VALUES (2, 'n2', now())")
    await house.db.execute(
        "INSERT INTO net.nas_server (router_id, node_id, local_address, last_heard) VALUES (1, 2, '127.0.0.1', now())"
    )
    key = await house.begin(bras)
    (order,) = await house.order(gone(key))
    await house.db.execute(
        "UPDATE net.network_order SET state = 'doing', claimed_by = 2, claimed_until = now() + interval '0.5 s'"
    )
    async with house.running(node="n1"):
        await asyncio.sleep(0.2)
        assert bras.sessions
        assert (await house.until(order))["state"] == "done"
    assert (await house.steps(order))[0] == ("read", "as_before"), "it looks first"


async def test_a_node_that_comes_back_takes_its_own_up_at_once(house):
    bras = await house.add_bras()
    key = await house.begin(bras)
    (order,) = await house.order(gone(key))
    await house.db.execute(
        "UPDATE net.network_order SET state = 'doing', claimed_by = 1, claimed_until = now() + interval '1 hour'"
    )
    async with house.running(node="n1"):
        assert (await house.until(order, limit_s=5))["state"] == "done"


async def test_two_nodes_share_the_work_and_nothing_is_done_twice(house):
    await house.db.execute("INSERT INTO net.node (id, name, heartbeat_at) VALUES (2, 'n2', now())")
    bras = await house.add_bras(api=False)
    await house.db.execute(
        "INSERT INTO net.nas_server (router_id, node_id, local_address, last_heard) VALUES (1, 2, '127.0.0.2', now())"
    )
    keys = [
        await house.begin(bras, f"81a{number:05}", f"u{number}", f"100.64.1.{number + 1}") for number in range(80)
    ]
    limits = HURRY.limits._replace(in_hand=5)
    async with house.running(HURRY._replace(limits=limits)), house.running(HURRY._replace(limits=limits), node="n2"):
        orders = await house.order(*(change(key) for key in keys))
        for order in orders:
            assert (await house.until(order))["state"] == "unverified"
    assert len(bras.nas.heard) == 80
    assert set(bras.nas.sources) == {"127.0.0.1", "127.0.0.2"}


async def test_nodes_killed_in_the_midst_lose_nothing_and_do_nothing_twice_with_effect(house):
    """A process with -9, again and again, while a hundred sessions are to go; who redialled is never cut."""
    bras = await house.add_bras()
    bras.nas.delay_s = 0.02
    keys = [
        await house.begin(bras, f"81a{number:05}", f"u{number}", f"100.64.1.{number + 1}") for number in range(100)
    ]
    orders = await house.order(*(gone(key) for key in keys))
    redialled = asyncio.create_task(_redial(bras))
    deaths = 0
    try:
        while deaths < 3:
            victim = await asyncio.to_thread(_start, house.dsn, house.tmp_path)
            limit = asyncio.get_running_loop().time() + 10
            left = await _left(house)
            while await _left(house) > left - 20 and asyncio.get_running_loop().time() < limit:
                await asyncio.sleep(0.01)
            victim.send_signal(signal.SIGKILL)
            await asyncio.to_thread(victim.wait)
            deaths += 1
        async with house.running():
            for order in orders:
                assert (await house.until(order, limit_s=20))["state"] == "done"
    finally:
        redialled.cancel()
    assert bras.sessions == {f"82a{number:05}" for number in range(100)}, "each went once, and each redial lives"


async def _left(house) -> int:
    return await house.db.fetchval("SELECT count(*) FROM net.network_order WHERE is_open")


async def _redial(bras) -> None:
    """Who is cut dials again at once, and has another Acct-Session-Id."""
    gone_before: set[str] = set()
    while True:
        here = bras.sessions
        for number in range(100):
            name = f"u{number}"
            if f"81a{number:05}" not in here and name not in gone_before:
                gone_before.add(name)
                bras.begin(f"82a{number:05}", name, f"100.64.2.{number + 1}")
        await asyncio.sleep(0.005)


def _start(dsn: str, tmp_path: Path) -> subprocess.Popen:
    words = [sys.executable, str(HERE / "order_runner_process.py"), dsn, str(tmp_path / "victim.cnt")]
    paths = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    return subprocess.Popen(words, env={**os.environ, "PYTHONPATH": paths})
