"""Orders carried out: over UDP and the routers' API, until it is read that it is so (rule R8)."""

import asyncio

import pytest
from order_field import change, gone, housed

from aaad.orders.counted import OLDEST_S, ended, open_in
from aaad.orders.facts import read_facts
from aaad.radius.integrity import SecretKeys
from aaad.radius.packet import walk
from aaad.simulator.temper import Temper


@pytest.fixture
async def house(dsn, tmp_path):
    async with housed(dsn, tmp_path) as house:
        yield house


async def test_39_throttled_without_being_dropped(house):
    """field.md 39: a CoA changes the speed, the session stays, and the router's queue shows it."""
    bras = await house.add_bras()
    key = await house.begin(bras, granted={"rate_limit": "10M/20M"})
    (order,) = await house.order(change(key, "1M/2M"))
    async with house.running():
        row = await house.until(order)
    assert (row["state"], await house.steps(order)) == ("done", [("coa", "done"), ("read", "as_wanted")])
    assert bras.granted("81a00001").rate_limit == "1M/2M"
    assert bras.sessions == {"81a00001"}
    applied = await house.db.fetchrow("SELECT fingerprint, evidence FROM net.session_applied")
    assert tuple(applied) == (7, "read")


async def test_a_disconnect_is_read_back(house):
    bras = await house.add_bras()
    key = await house.begin(bras)
    (order,) = await house.order(gone(key))
    async with house.running():
        row = await house.until(order)
    assert (row["state"], await house.steps(order)) == ("done", [("disconnect", "done"), ("read", "gone")])
    assert not bras.sessions


# --- field.md 4 -----------------------------------------------------------------------------------------------------


async def test_36_disconnect_acked_but_user_stays(house):
    """field.md 36: the router says ACK and does nothing; that is read, and its API ends the session."""
    bras = await house.add_bras()
    bras.temper(disconnect=Temper(is_idle=True))
    key = await house.begin(bras)
    (order,) = await house.order(gone(key))
    async with house.running() as runner:
        row = await house.until(order)
        assert runner.counters.cells[runner.counters.index["aaad_orders_no_effect_total"]]
    assert row["state"] == "done"
    steps = await house.steps(order)
    assert steps[:2] == [("disconnect", "done"), ("read", "as_before")]
    assert steps[-1] == ("api", "done")
    assert not bras.sessions


async def test_36_coa_acked_but_the_customer_is_as_before(house):
    """The same of a change: nothing in the queue, so the session has to dial anew."""
    bras = await house.add_bras()
    bras.temper(coa=Temper(is_idle=True))
    key = await house.begin(bras, granted={"rate_limit": "10M/20M"})
    (order,) = await house.order(change(key, "1M/2M"))
    async with house.running():
        row = await house.until(order)
    steps = await house.steps(order)
    assert steps[0] == ("coa", "done")
    assert set(steps[1:4]) == {("read", "as_before")}
    assert steps[4:] == [("disconnect", "done"), ("read", "gone")]
    assert row["state"] == "done"
    assert not bras.sessions
    assert await house.db.fetchval("SELECT count(*) FROM net.session_applied") == 0


async def test_36_without_an_api_a_customer_who_is_heard_again_was_not_cut(house):
    bras = await house.add_bras(api=False, kind="accel_ppp")
    bras.temper(disconnect=Temper(is_idle=True, times=1))
    key = await house.begin(bras)
    (order,) = await house.order(gone(key))
    async with house.running():
        row = await house.until(order, "waiting")
        assert row["step"] == "stop_awaited"
        await house.db.execute("UPDATE net.network_order SET changed_at = now() - interval '5 s'")
        await house.db.execute("UPDATE net.session SET heard_at = now()")
        async with asyncio.timeout(5):
            while bras.sessions:
                await asyncio.sleep(0.02)
        await house.db.execute("UPDATE net.session SET ended_at = now(), ended_latest = now(), end_evidence = 'stop'")
        row = await house.until(order)
    assert row["state"] == "done"
    assert await house.steps(order) == [("disconnect", "done"), ("disconnect", "done")]


async def test_36_without_an_api_who_was_heard_only_before_is_not_cut_again(house):
    bras = await house.add_bras(api=False, kind="accel_ppp")
    (order,) = await house.order(gone(await house.begin(bras)))
    await house.db.execute("UPDATE net.session SET heard_at = now()")
    async with house.running():
        await house.until(order, "waiting")
        await house.db.execute("UPDATE net.network_order SET next_at = now()")
        await asyncio.sleep(0.5)
    assert await house.steps(order) == [("disconnect", "done")]


async def test_37_bad_requests_of_another_secret_are_silence_and_the_api_does_it(house):
    """field.md 37: "Bad Requests=133, Acks=0"."""
    bras = await house.add_bras(secret=b"another")
    key = await house.begin(bras)
    (order,) = await house.order(gone(key))
    async with house.running():
        row = await house.until(order)
    assert (row["state"], await house.steps(order)) == ("done", [("disconnect", "silent"), ("api", "done")])
    assert bras.nas.counters.bad_requests >= 3
    assert not bras.sessions


@pytest.mark.parametrize(("until", "said"), [("1 hour", "done"), ("-1 hour", "silent")])
async def test_r2_2_the_previous_secret_signs_orders_while_it_is_believed(house, until, said):
    bras = await house.add_bras(api=False, secret=b"the previous one")
    key = await house.db.fetchval("SELECT value FROM net.setting WHERE key = 'class_key'")
    await house.db.execute(
        "UPDATE net.nas SET secret_previous = 'the previous one', secret_previous_until = now() + $1::text::interval",
        until,
    )
    await house.db.execute(
        "UPDATE net.router SET secret_fingerprint = $1, secret_proven_at = now()",
        SecretKeys(b"the previous one", bytes(key)).fingerprint,
    )
    (order,) = await house.order(gone(await house.begin(bras)))
    async with house.running(), asyncio.timeout(5):
        while not (row := await house.row(order))["answers"]:
            await asyncio.sleep(0.02)
    assert row["answers"][0]["said"] == said


async def test_37_nak_for_identity_is_told_by_its_cause_and_mended_by_the_api(house):
    bras = await house.add_bras()
    bras.temper(disconnect=Temper(nak=403))
    key = await house.begin(bras)
    (order,) = await house.order(gone(key))
    async with house.running():
        row = await house.until(order)
    assert row["state"] == "done"
    assert [(one["said"], one.get("error_cause")) for one in row["answers"]] == [("refused", 403), ("done", None)]


async def test_37_neither_nas_identifier_nor_nas_ip_address_is_ever_said(house):
    bras = await house.add_bras()
    key = await house.begin(bras)
    await house.order(gone(key))
    async with house.running():
        await house.until(await house.db.fetchval("SELECT id FROM net.network_order"))
    (heard,) = bras.nas.heard
    assert not {4, 32} & set(walk(heard, len(heard)))


@pytest.mark.parametrize("cause", [401, 402, 404, 503, 0])
async def test_each_nak_of_a_coa_leads_to_the_next_step(house, cause):
    bras = await house.add_bras()
    bras.temper(coa=Temper(nak=cause))
    key = await house.begin(bras, granted={"rate_limit": "10M/20M"})
    (order,) = await house.order(change(key))
    async with house.running():
        row = await house.until(order)
    assert row["state"] == "done"
    assert not bras.sessions
    assert (row["answers"][0]["step"], row["answers"][0].get("error_cause", 0)) == ("coa", cause)


@pytest.mark.parametrize(
    ("given", "state"),
    [("coa_address = $1, api_address = $1", "done"), ("api_address = $1", "done"), ("coa_address = $1", "waiting")],
)
async def test_38_behind_nat_waits_for_the_redial(house, given, state):
    """field.md 38 and R8.5: several routers behind one address, none with one of its own."""
    bras = await house.add_bras()
    key = await house.begin(bras)
    await house.db.execute(
        "INSERT INTO net.router (id, nas_id, source_address, nas_identifier) VALUES (9, 1, $1, 'another')",
        bras.address,
    )
    (order,) = await house.order(gone(key))
    async with house.running():
        row = await house.until(order, "redial")
        assert (row["step"], row["answers"]) == ("behind_nat", [])
        assert not bras.nas.heard
        assert bras.sessions
        # It has an address of its own from now on: a forwarded port, a tunnel.
        await house.db.execute(f"UPDATE net.nas SET {given}", bras.address)
        await house.until(order, state)
    assert not bras.sessions


async def test_38_the_redial_itself_ends_what_waits_for_it(house):
    bras = await house.add_bras()
    key = await house.begin(bras)
    await house.db.execute(
        "INSERT INTO net.router (id, nas_id, source_address, nas_identifier) VALUES (9, 1, $1, 'another')",
        bras.address,
    )
    (order,) = await house.order(gone(key))
    async with house.running():
        await house.until(order, "redial")
        await house.db.execute(
            "UPDATE net.session SET ended_at = now(), ended_latest = now(), end_evidence = 'replaced'"
        )
        row = await house.until(order)
    assert row["state"] == "gone"


async def test_40_a_block_reaches_all_logins_of_the_contract(house):
    """field.md 40: the additional logins' sessions, at another concentrator and one that is down for a while, too."""
    one, two = await house.add_bras(1), await house.add_bras(2)
    first = await house.begin(one, "81a00001", "ana", "100.64.0.1")
    second = await house.begin(one, "81a00002", "bob", "100.64.0.2", login_id=2)
    third = await house.begin(two, "81a00003", "bob", "100.64.0.3", login_id=2)
    two.nas.is_silent = two.faults.is_silent = True
    orders = await house.order(gone(first), gone(second), gone(third))
    async with house.running() as runner:
        for order in [order for order in orders if (await house.row(order))["nas_id"] == 1]:
            assert (await house.until(order))["state"] == "done"
        assert two.sessions
        async with asyncio.timeout(5):
            while not runner.counters.cells[runner.counters.index["aaad_silent_concentrators"]]:
                await asyncio.sleep(0.02)
        two.nas.is_silent = two.faults.is_silent = False
        for order in orders:
            assert (await house.until(order))["state"] == "done"
    assert not one.sessions
    assert not two.sessions


async def test_41_an_api_that_hangs_costs_its_time_and_is_not_asked_without_end(house):
    """field.md 41: no timeout, silent drops, a router that hangs under repeated logins."""
    bras, other = await house.add_bras(1, coa_port=9), await house.add_bras(2)
    bras.faults.is_silent = True
    stuck = await house.begin(bras, "81a00001", "ana")
    key = await house.begin(other, "81a00002", "bob", "100.64.0.2", login_id=2)
    orders = await house.order(gone(stuck), gone(key))
    of = {(await house.row(order))["nas_id"]: order for order in orders}
    async with house.running():
        assert (await house.until(of[2]))["state"] == "done"
        row = await house.until(of[1], "todo")
        async with asyncio.timeout(10):
            while not (row := await house.row(of[1]))["answers"]:
                await asyncio.sleep(0.02)
        assert [one["said"] for one in row["answers"]][:2] == ["rejected", "silent"]
        assert "no login within" in row["answers"][1]["text"]
        await asyncio.sleep(1.0)
        assert bras.api.logins_count <= 8
        bras.faults.is_silent = False
        assert (await house.until(of[1]))["state"] == "done"
    assert not bras.sessions


async def test_r10_how_orders_end_and_the_age_of_the_oldest_open_one_are_counted(house):
    bras = await house.add_bras(api=False)
    (order,) = await house.order(change(await house.begin(bras, granted={"rate_limit": "10M/20M"})))
    needs = await house.db.fetchval("SELECT pg_current_xact_id()::text::bigint")
    await house.db.execute("UPDATE net.node SET heartbeat_at = now()")  # it has applied nothing
    for number, age, state in ((1, "10 minutes", "redial"), (2, "1 hour", "todo")):
        key = await house.begin(bras, f"81b0000{number}", f"user{number}", f"100.64.0.{number + 10}")
        (waits,) = await house.order(gone(key, needs=needs))
        await house.db.execute(
            "UPDATE net.network_order SET created_at = now() - $2::text::interval, state = $3 WHERE id = $1",
            waits,
            age,
            state,
        )

    async with house.running() as runner:

        def counted(name: str) -> int:
            return runner.counters.cells[runner.counters.index[name]]

        assert (await house.until(order))["state"] == "unverified"
        async with asyncio.timeout(5):
            while counted(OLDEST_S) < 3600 * 10**6 or not counted(ended("change", "unverified")):
                await asyncio.sleep(0.05)
        assert [counted(open_in("disconnect", state)) for state in ("todo", "redial")] == [1, 1]
        assert sum(counted(ended("change", state)) for state in ("done", "unverified")) == 1


async def test_each_concentrator_is_told_of_with_its_failures_and_no_customer(house):
    bras = await house.add_bras(api=False)
    bras.temper(coa=Temper(nak=401, times=1))
    key = await house.begin(bras)
    await house.order(change(key))
    async with house.running() as runner:
        path = runner._facts_path
        async with asyncio.timeout(5):
            while not any(one.failures for one in read_facts(path.parent)):
                await asyncio.sleep(0.05)
    (told,) = read_facts(path.parent)
    assert (told.slot, told.nas, told.is_silent, told.failures) == ("n1", "bras-1", False, {"refused": 1})
    assert b"ana" not in path.read_bytes()
