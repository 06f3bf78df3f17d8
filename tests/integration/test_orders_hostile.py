"""Orders where others do harm: routers' words that no database takes, a PostgreSQL that stumbles, routers renamed."""

import asyncio

import pytest
from order_field import HURRY, OPEN, change, gone, housed

from aaad.errors import RouterTrap, StoreError
from aaad.orders import steps
from aaad.orders.carrying import Carrying
from aaad.replica.brake import BrakeLimits
from aaad.simulator.temper import Temper


@pytest.fixture
async def house(dsn, tmp_path):
    async with housed(dsn, tmp_path) as house:
        yield house


# What no jsonb takes: a NUL, and octets that are no text, which the API's words keep as surrogates.
WORDS = "no\x00such \udc80item"


async def test_a_routers_words_steer_no_terminal_and_stop_no_order(house, monkeypatch):
    async def refused(*_words, **_more):
        raise RouterTrap(WORDS)

    monkeypatch.setattr(steps, "remove_active", refused)
    deaf = await house.add_bras(1, secret=b"another")
    good = await house.add_bras(2)
    (bad,) = await house.order(gone(await house.begin(deaf)))
    (other,) = await house.order(gone(await house.begin(good, "81a00002", "bob", "100.64.0.2")))
    async with house.running():
        assert (await house.until(other))["state"] == "done"
        async with asyncio.timeout(5):
            while not (answers := (await house.row(bad))["answers"]):
                await asyncio.sleep(0.02)
    assert answers[-1]["text"].isprintable()


async def test_an_outcome_that_postgresql_does_not_take_costs_no_other_one(house, monkeypatch):
    """Whatever it is: the outcomes of other orders, saved with it, must not wait for it for ever."""

    async def refused(*_words, **_more):
        raise RouterTrap(WORDS)

    monkeypatch.setattr(steps, "remove_active", refused)
    monkeypatch.setattr(steps, "printable", str, raising=False)
    deaf = await house.add_bras(1, secret=b"another")
    good = await house.add_bras(2)
    (bad,) = await house.order(gone(await house.begin(deaf)))
    async with house.running() as runner:
        async with asyncio.timeout(5):
            while not runner.counters.cells[runner.counters.index["aaad_bugs_total"]]:
                await asyncio.sleep(0.02)
        (other,) = await house.order(gone(await house.begin(good, "81a00002", "bob", "100.64.0.2")))
        assert (await house.until(other))["state"] == "done"
        assert not runner._outcomes.waiting
    assert (await house.row(bad))["state"] in ("todo", "doing")


async def test_an_outcome_is_saved_as_soon_as_postgresql_takes_it_again(house, monkeypatch):
    """No other order comes to wake who saves."""
    save, failures = Carrying.save, 2

    async def failing(self, *words):
        nonlocal failures
        if failures:
            failures -= 1
            raise StoreError("PostgreSQL is away", may_have_committed=True)
        return await save(self, *words)

    monkeypatch.setattr(Carrying, "save", failing)
    bras = await house.add_bras()
    (order,) = await house.order(change(await house.begin(bras, granted={"rate_limit": "10M/20M"})))
    async with house.running():
        assert (await house.until(order, limit_s=5))["state"] == "done"
        assert (await house.steps(order)) == [("coa", "done"), ("read", "as_wanted")], "once"


# --- the brake of what a change comes to ----------------------------------------------------------------------------


async def test_r8_4_changes_that_come_to_cuts_are_held_when_they_are_too_many(house):
    """A plan's new speed for all, and routers that take no CoA: nobody has counted these cuts before."""
    bras = await house.add_bras()
    bras.temper(coa=Temper(nak=401))
    names = [(f"81a{number:05d}", f"u{number}", f"100.64.1.{number}") for number in range(1, 13)]
    keys = [await house.begin(bras, *name, granted={"rate_limit": "10M/20M"}) for name in names]
    orders = await house.order(*map(change, keys))
    async with house.running(HURRY._replace(brake=BrakeLimits(minimum_count=5))):
        async with asyncio.timeout(10):
            while await house.db.fetchval(
                "SELECT count(*) FROM net.network_order WHERE state NOT IN ('held', 'done')"
            ):
                await asyncio.sleep(0.05)
        rows = [await house.row(order) for order in orders]
        assert sorted(row["state"] for row in rows) == ["done"] * 5 + ["held"] * 7
        assert len(bras.sessions) == 7
        (run,) = {row["run_id"] for row in rows if row["state"] == "held"}
        late = await house.begin(bras, "81a00099", "late", "100.64.1.99", granted={"rate_limit": "10M/20M"})
        (unblock,) = await house.order(change(late, cause="unblock"))
        assert (await house.until(unblock))["state"] == "done", "what gives back is never held"
        assert await house.store.release(run) == 7
        for order in orders:
            assert (await house.until(order))["state"] == "done"
    assert not bras.sessions


async def test_r8_4_a_change_is_not_made_by_a_cut_while_nobody_counts_them(house, monkeypatch):
    async def away(*_words):
        raise StoreError("PostgreSQL is away")

    monkeypatch.setattr(Carrying, "may_cut", away)
    bras = await house.add_bras()
    bras.temper(coa=Temper(nak=401))
    (order,) = await house.order(change(await house.begin(bras, granted={"rate_limit": "10M/20M"})))
    async with house.running():
        async with asyncio.timeout(5):
            while len((await house.row(order))["answers"]) < 2:
                await asyncio.sleep(0.02)
    assert bras.sessions
    assert (await house.row(order))["state"] in OPEN


# --- what waited for long -------------------------------------------------------------------------------------------


DAYS_OLD = "UPDATE net.network_order SET created_at = now() - interval '3 d', wished_at = now() - interval '3 d'"


async def test_what_waited_for_days_has_a_day_from_when_it_goes_on(house):
    """It was held, or waited for a way to its router: it must not be given up in the moment when it may go on."""
    bras = await house.add_bras()
    run = await house.db.fetchval("INSERT INTO net.run (kind) VALUES ('orders') RETURNING id")
    held = await house.begin(bras)
    (released,) = await house.order(gone(held, is_held=True, run_id=run))
    (reachable,) = await house.order(gone(await house.begin(bras, "81a00002", "bob", "100.64.0.2")))
    await house.db.execute(DAYS_OLD)
    await house.db.execute(
        "UPDATE net.network_order SET state = 'redial', step = 'behind_nat' WHERE id = $1", reachable
    )
    carrying = Carrying(house.database)
    assert await house.store.release(run) == 1
    assert await carrying.wake() == 1
    assert await carrying.give_up(86_400) == []
    assert {(await house.row(order))["state"] for order in (released, reachable)} == {"todo"}


async def test_a_new_wish_and_a_retry_have_a_day_of_their_own(house):
    bras = await house.add_bras()
    key = await house.begin(bras)
    (order,) = await house.order(change(key))
    carrying = Carrying(house.database)
    for again in (house.order(gone(key)), house.store.retry(order)):
        await house.db.execute(DAYS_OLD)
        await again
        assert await carrying.give_up(86_400) == []
    await house.db.execute(DAYS_OLD)
    assert [one.order_id for one in await carrying.give_up(86_400)] == [order]


# --- routers renamed, routers behind NAT ----------------------------------------------------------------------------


async def test_r8_5_a_router_that_was_renamed_is_not_behind_nat(house):
    """Its sessions of before bear its former name, which is heard no more."""
    bras = await house.add_bras()
    (order,) = await house.order(gone(await house.begin(bras)))
    await house.db.execute("UPDATE net.router SET last_seen = now() - interval '2 h'")
    await house.db.execute(
        "INSERT INTO net.router (id, nas_id, source_address, nas_identifier, accounting_at, last_seen) "
        "VALUES (9, 1, $1, 'renamed', now(), now())",
        bras.address,
    )
    async with house.running():
        assert (await house.until(order))["state"] == "done"


async def test_r8_5_what_was_taken_for_nat_goes_on_when_the_other_router_is_heard_no_more(house):
    bras = await house.add_bras(api=False, kind="accel_ppp")
    (order,) = await house.order(gone(await house.begin(bras)))
    await house.db.execute("UPDATE net.router SET last_seen = now()")
    await house.db.execute(
        "INSERT INTO net.router (id, nas_id, source_address, nas_identifier, accounting_at, last_seen) "
        "VALUES (9, 1, $1, 'another', now(), now())",
        bras.address,
    )
    async with house.running():
        assert (await house.until(order, "redial"))["step"] == "behind_nat"
        await house.db.execute("UPDATE net.router SET last_seen = now() - interval '2 h' WHERE id = 9")
        assert (await house.until(order, "waiting"))["step"] == "stop_awaited"
    assert not bras.sessions


async def test_r8_5_one_of_many_routers_that_lacks_a_session_proves_nothing(house):
    """The one address that was given is that of one of them: the session lives at the other one."""
    bras = await house.add_bras()
    (order,) = await house.order(gone(await house.begin(bras, lives=False)))
    await house.db.execute(
        "INSERT INTO net.router (id, nas_id, source_address, nas_identifier, accounting_at, last_seen) "
        "VALUES (9, 1, $1, 'another', now(), now())",
        bras.address,
    )
    await house.db.execute("UPDATE net.nas SET api_address = $1, coa_address = $1", bras.address)
    async with house.running():
        async with asyncio.timeout(5):
            while not (await house.row(order))["answers"]:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        row = await house.row(order)
    assert (row["state"], row["step"]) == ("todo", "one_of_many")
    assert await house.db.fetchval("SELECT ended_at FROM net.session") is None
