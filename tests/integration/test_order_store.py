"""Orders in PostgreSQL: the newest wish wins, one open order for each session, claims of nodes (rules R8.1, R8.2)."""

import asyncio
import re
from collections.abc import AsyncIterator

import asyncpg
import pytest
from session_rows import NOW, add_session

from aaad.db.connection import Database
from aaad.orders.by_hand import disconnect_logins
from aaad.orders.carrying import Carrying, Result, Room
from aaad.orders.store import Filter, OrderStore
from aaad.orders.wish import CAUSES, STATES, ClaimedOrder, SessionKey, Wish

SEED = """
INSERT INTO erp.branch (id, name) VALUES (1, 'Matriz');
INSERT INTO erp.client (id, branch_id, kind, name) VALUES (1, 1, 'E', 'Ana');
INSERT INTO erp.plan (id, name, upload, download) VALUES (1, 'p', '10M', '10M');
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status) VALUES (1, 1, 1, 1, 'A');
INSERT INTO erp.login (id, contract_id, name, password) VALUES (1, 1, 'ana', 'x');
INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'one', '192.0.2.1', 's'), (2, 'two', '192.0.2.2', 's');
INSERT INTO net.node (id, name, heartbeat_at) VALUES (1, 'n1', now()), (2, 'n2', now());
INSERT INTO net.router (id, nas_id, source_address, nas_identifier)
    SELECT nas_id * 10 + length(name), nas_id, ('192.0.2.' || nas_id)::inet, convert_to(name, 'UTF8')
    FROM unnest('{1,2}'::int[]) AS nas_id, unnest('{"",r1}'::text[]) AS name;
INSERT INTO net.nas_server (router_id, node_id, local_address, last_heard)
    SELECT router.id, node.id, '127.0.0.1', now() FROM net.router, net.node;
"""


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    await connection.execute(SEED)
    yield connection
    await connection.close()


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[OrderStore]:
    database = Database(dsn, connect_timeout_s=5, statement_timeout_s=10, application_name="test")
    yield OrderStore(database)
    await database.close()


async def session(db: asyncpg.Connection, nas_id: int = 1, **columns: object) -> SessionKey:
    family = await add_session(
        db, started=NOW, heard=NOW, login_id=1, nas_id=nas_id, source_address=f"192.0.2.{nas_id}", **columns
    )
    return family, 0


def change(key: SessionKey, fingerprint: int = 7, **more: object) -> Wish:
    wish = Wish(key, True, "change", "plan", False, True, fingerprint, (("Rate", "1M/2M"),), (), b"abc")
    return wish._replace(**more)


def gone(key: SessionKey, **more: object) -> Wish:
    return Wish(key, True, "disconnect", "block", True)._replace(**more)


async def claim(
    store: OrderStore, node_id: int = 1, count: int = 100, each: int = 8, rooms: dict[int, int] | None = None
) -> list[ClaimedOrder]:
    """What a node takes, as who carries orders out does."""
    known = {nas_id: Room(room, room) for nas_id, room in (rooms or {}).items()}
    taken = await Carrying(store._database).take(node_id, known, room=Room(each, each), count=count)
    return [one.order for one in taken]


async def save(store: OrderStore, node_id: int, order: ClaimedOrder, state: str, **became: object) -> bool:
    """Write down what became of it; False: it is another's, or there is another wish."""
    saved = await Carrying(store._database).save(node_id, [Result(order, state, **({"tried": 1} | became))])
    return bool(saved) and saved[0].is_current


async def test_a_wish_becomes_an_order_that_tells_its_session(db, store):
    key = await session(db, ipv4="10.0.0.5", acct_session_id="81a00001", nas_identifier=b"r1")
    (put,) = await store.put([change(key, needs=5)])
    (order,) = await claim(store)
    assert (put.state, order.order_id, order.session) == ("todo", put.order_id, key)
    assert (order.nas_id, order.source_address, order.nas_identifier) == (1, "192.0.2.1", b"r1")
    assert (order.acct_session_id, order.user_name, order.ipv4) == ("81a00001", "ana", "10.0.0.5")
    assert order.wanted == (("Rate", "1M/2M"),)
    assert (order.attributes, order.fingerprint, order.needs, order.state) == (b"abc", 7, 5, "doing")
    assert (order.login_id, order.contract_id) == (1, 1)


async def test_the_newest_wish_wins_and_the_same_one_moves_nothing(db, store):
    key = await session(db)
    (first,) = await store.put([change(key, 7)])
    assert await store.put([change(key, 7, cause="sweep")]) == []
    (second,) = await store.put([gone(key)])
    assert second.order_id == first.order_id
    assert await store.put([gone(key)]) == []
    (order,) = await claim(store)
    assert (order.kind, order.cause, order.fingerprint) == ("disconnect", "block", None)
    assert await db.fetchval("SELECT count(*) FROM net.network_order") == 1


async def test_a_new_wish_begins_with_no_attempt(db, store):
    """What was tried in vain for the one before must not make it wait."""
    key = await session(db)
    await store.put([change(key, 7)])
    (order,) = await claim(store)
    assert await save(store, 1, order, "todo")
    await store.put([change(key, 9)])
    (order,) = await claim(store)
    assert (order.fingerprint, order.attempts) == (9, 0)


async def test_an_outcome_of_an_older_wish_ends_nothing_but_what_it_made_true_is_known(db, store):
    key = await session(db)
    await store.put([change(key, 7)])
    (order,) = await claim(store)
    await store.put([change(key, 9)])
    assert await claim(store, 2) == []  # one at a time, whatever is wished meanwhile
    assert not await save(store, 1, order, "done", answers=[{"said": "done"}], fingerprint=7)
    (again,) = await claim(store, 2)
    assert (again.order_id, again.fingerprint, again.attempts) == (order.order_id, 9, 1)
    assert await db.fetchval("SELECT fingerprint FROM net.session_applied") == 7
    assert await save(store, 2, again, "done", fingerprint=9, evidence="read")
    assert await db.fetchval("SELECT fingerprint FROM net.session_applied WHERE evidence = 'read'") == 9
    row = await store.find(order.order_id)
    assert row is not None
    assert (row["state"], row["is_open"], row["ended_at"] is not None) == ("done", False, True)


async def test_two_nodes_never_claim_the_same_and_a_dead_ones_claims_are_taken_over(db, store):
    keys = [await session(db, 1 + number % 2) for number in range(40)]
    await store.put([change(key) for key in keys])
    first, second = await asyncio.gather(claim(store, 1, count=20, each=20), claim(store, 2, count=20, each=20))
    assert len({order.order_id for order in (*first, *second)}) == 40
    assert await claim(store) == []
    await db.execute("UPDATE net.network_order SET claimed_until = now(), next_at = now() WHERE claimed_by = 1")
    taken = await claim(store, 2, count=40, each=40)
    assert {order.order_id for order in taken} == {order.order_id for order in first}
    assert not await save(store, 1, first[0], "done", fingerprint=7)  # it comes to life again
    assert await save(store, 2, taken[0], "todo")


async def test_a_nas_gives_no_more_than_its_share_and_one_that_is_down_none(db, store):
    keys = [await session(db, 1 if number < 30 else 2) for number in range(40)]
    await store.put([change(key) for key in keys])
    orders = await claim(store, each=8)
    assert sorted(order.nas_id for order in orders) == [1] * 8 + [2] * 8
    assert {order.nas_id for order in await claim(store, each=8, rooms={1: 0})} == {2}


async def test_no_disconnect_before_every_live_node_has_applied_the_change(db, store):
    """Rule R8.2; a CoA may go at once."""
    await db.execute("UPDATE net.node SET snapshot = pg_current_snapshot()")
    needs = int(await db.fetchval("SELECT pg_current_xact_id()::text"))
    stays, goes = await session(db), await session(db)
    await store.put([change(stays, needs=needs), gone(goes, needs=needs)])
    assert [order.session for order in await claim(store)] == [stays]
    await db.execute("UPDATE net.node SET snapshot = pg_current_snapshot() WHERE id = 1")
    assert await claim(store) == []
    await db.execute("UPDATE net.node SET snapshot = NULL WHERE id = 2")
    assert await claim(store) == [], "it has never said what it has applied"
    await db.execute("UPDATE net.node SET heartbeat_at = now() - interval '5 min' WHERE id = 2")
    assert [order.session for order in await claim(store)] == [goes]


async def test_a_node_that_only_its_feed_tells_of_is_waited_for(db, store):
    """Rule R8.2: it answers its routers, by what it has applied, while nothing keeps its heartbeat."""
    await db.execute("UPDATE net.node SET snapshot = pg_current_snapshot(), applied_at = now()")
    needs = int(await db.fetchval("SELECT pg_current_xact_id()::text"))
    key = await session(db)
    await store.put([gone(key, needs=needs)])
    await db.execute("UPDATE net.node SET snapshot = pg_current_snapshot() WHERE id = 1")
    for silence in ("interval '5 min'", "NULL::interval"):
        await db.execute(f"UPDATE net.node SET heartbeat_at = now() - {silence} WHERE id = 2")
        assert await claim(store) == []
    await db.execute("UPDATE net.node SET applied_at = now() - interval '5 min' WHERE id = 2")
    assert [order.session for order in await claim(store)] == [key]


async def test_what_nobody_has_begun_is_superseded_and_what_was_tried_is_not(db, store):
    fresh, held, tried = [await session(db) for _ in range(3)]
    await store.put([change(tried)])
    (order,) = await claim(store)
    await store.put([change(fresh), gone(held, is_held=True)])
    assert await store.supersede([fresh, held, tried]) == 2
    assert await save(store, 1, order, "todo", wait_s=5.0)
    assert await store.supersede([tried]) == 0
    states = {row["id"]: row["state"] for row in await store.list(Filter(), 10)}
    assert sorted(states.values()) == ["superseded", "superseded", "todo"]


async def test_what_an_operator_ordered_is_not_superseded(db, store):
    asked, other = [await session(db) for _ in range(2)]
    await db.execute("UPDATE net.session SET login_id = 77 WHERE family = $1", asked[0])
    await db.execute("UPDATE net.session SET login_id = 78 WHERE family = $1", other[0])
    assert await disconnect_logins(db, [77]) == 1
    assert await disconnect_logins(db, [77]) == 0  # it is ordered already
    assert await store.supersede([asked, other]) == 0
    (order,) = await store.list(Filter(), 10)
    assert (order["kind"], order["cause"], order["state"]) == ("disconnect", "operator", "todo")


async def test_orders_of_sessions_that_ended_are_over(db, store):
    ended, never_begun, lives = [await session(db) for _ in range(3)]
    await store.put([gone(ended)])
    (order,) = await claim(store)
    await save(store, 1, order, "todo")
    await store.put([gone(never_begun), gone(lives)])
    await db.execute(
        "UPDATE net.session SET ended_at = heard_at, ended_latest = heard_at, end_evidence = 'stop' "
        "WHERE family = ANY($1)", [ended[0], never_begun[0]],
    )  # fmt: skip
    assert sorted(one.state for one in await Carrying(store._database).close_ended()) == ["done", "gone"]
    assert await store.put([gone(ended)]) == []  # nothing is ordered of a session that is over
    assert [row["state"] for row in await store.list(Filter(("todo",)), 10)] == ["todo"]


async def test_word_is_left_of_a_session_that_its_router_does_not_have(db, store):
    """Its lease may be released."""
    over, lives = await session(db), await session(db, 2)
    await store.put([gone(over), gone(lives)])
    for order in await claim(store):
        await save(store, 1, order, "done", is_session_over=order.session == over)
    assert await db.fetch("SELECT families FROM net.session_end") == [([over[0]],)]
    assert await db.fetchval("SELECT end_evidence FROM net.session WHERE ended_at IS NOT NULL") == "gone"


async def test_the_brake_holds_and_an_operator_releases_or_drops(db, store):
    run = await db.fetchval("INSERT INTO net.run (kind) VALUES ('orders') RETURNING id")
    other = await db.fetchval("INSERT INTO net.run (kind) VALUES ('orders') RETURNING id")
    one, two = await session(db), await session(db)
    await store.put([gone(one, is_held=True, run_id=run), gone(two, is_held=True, run_id=other)])
    assert await claim(store) == []
    assert (await store.release(run), await store.drop(other, "maria")) == (1, 1)
    assert [order.session for order in await claim(store)] == [one]
    assert await db.fetchval("SELECT ended_by FROM net.network_order WHERE state = 'cancelled'") == "maria"


async def test_retry_cancel_show_and_the_last_sixteen_answers(db, store):
    key = await session(db)
    (put,) = await store.put([change(key)])
    for number in range(20):
        (order,) = await claim(store)
        assert await save(store, 1, order, "todo", wait_s=60.0, answers=[{"try": number}])
        assert await claim(store) == []
        assert await store.retry(put.order_id)
    (row,) = await store.list(Filter(login_id=1, contract_id=1, nas_id=1, cause="plan"), 10)
    assert (row["login"], row["client"], row["nas"]) == ("ana", "Ana", "one")
    shown = await store.find(put.order_id)
    assert shown is not None
    assert shown["answers"].count("try") == 16
    assert '"try": 19' in shown["answers"]
    assert await store.cancel(put.order_id, "maria")
    assert not await store.cancel(put.order_id, "maria")
    assert not await store.retry(put.order_id)


async def test_old_orders_and_what_was_applied_to_ended_sessions_are_pruned(db, store):
    key, lives = await session(db), await session(db)
    for each in (key, lives):
        await store.put([change(each)])
        (order,) = await claim(store)
        await save(store, 1, order, "done", fingerprint=7)
    await db.execute("UPDATE net.network_order SET ended_at = now() - interval '100 days' WHERE family = $1", key[0])
    await db.execute(
        "UPDATE net.session SET ended_at = heard_at, ended_latest = heard_at, end_evidence = 'stop' "
        "WHERE family = $1",
        key[0],
    )
    assert not await store.prune()
    assert [row["family"] for row in await db.fetch("SELECT family FROM net.network_order")] == [lives[0]]
    assert [row["family"] for row in await db.fetch("SELECT family FROM net.session_applied")] == [lives[0]]


async def test_code_and_schema_know_the_same_causes_and_states(db):
    for constraint, known in (("network_order_cause_known", CAUSES), ("network_order_state_known", STATES)):
        text = await db.fetchval("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = $1", constraint)
        assert sorted(re.findall(r"'(\w+)'", text)) == sorted(known)
