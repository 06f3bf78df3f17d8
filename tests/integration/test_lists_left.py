"""Address lists by the API: they keep nobody waiting, and what is written is taken out, whoever dies or pays."""

import asyncio
import json
from collections import Counter

import pytest
from order_field import HURRY, House, change, gone, housed
from session_rows import HOUR, NOW

from aaad.orders.by_hand import disconnect_logins
from aaad.orders.carrying import Carrying, Room
from aaad.orders.wish import IPV6_LIST, Wish

LISTS = "/ipv6/firewall/address-list"
PREFIX = "2001:db8:a::/64"


@pytest.fixture
async def house(dsn, tmp_path):
    async with housed(dsn, tmp_path) as house:
        yield house


def lists(key, name: str = "blocked6", fingerprint: int = 5, **more) -> Wish:
    wanted = ((IPV6_LIST, name),) if name else ()
    return Wish(key, True, "lists", "start", False, True, fingerprint, wanted)._replace(**more)


def entries(bras) -> set[tuple[str, str, str]]:
    return {(row["list"], row["address"], row["comment"]) for row in bras.router.table(LISTS).rows.values()}


def put_entry(bras, name: str, address: str, comment: str) -> None:
    bras.router.run(f"{LISTS}/add", {"list": name, "address": address, "comment": comment}, [])


async def until_entries(bras, expected: set[tuple[str, str, str]]) -> None:
    for _ in range(200):
        if entries(bras) == expected:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{entries(bras)} and not {expected}")


async def end(house: House, key) -> None:
    await house.db.execute(
        "UPDATE net.session SET ended_at = now(), ended_latest = now(), end_evidence = 'stop', version = version + 1 "
        "WHERE family = $1", key[0],
    )  # fmt: skip


@pytest.mark.parametrize("trouble", ["silent", "password", "down"])
async def test_lists_of_a_router_whose_api_is_dead_keep_no_other_order_waiting(house, trouble):
    """Hundreds of sessions begin with a list; then somebody pays."""
    bras = await house.add_bras()
    if trouble == "password":
        await house.db.execute("UPDATE net.nas SET api_password = 'another'")
    else:
        bras.faults.is_silent = True
    bras.nas.is_silent = trouble == "down"
    keys = [
        await house.begin(bras, f"81a{number:05}", f"u{number}", f"100.64.1.{number}", ipv6_prefix=PREFIX)
        for number in range(1, 251)
    ]
    payer = await house.begin(bras, "81b00001", "bob", "100.64.2.1", login_id=2)
    await house.order(*map(lists, keys))
    async with house.running(HURRY._replace(api_limits=HURRY.api_limits.__class__(connect_s=2.0, silence_s=2.0))):
        await asyncio.sleep(0.3)
        (order,) = await house.order(change(payer, cause="unblock"))
        if trouble == "down":
            await asyncio.sleep(1.0)
            bras.nas.is_silent = False
        async with asyncio.timeout(2.0):
            while bras.granted("81b00001").rate_limit != "1M/2M":
                await asyncio.sleep(0.02)
    assert (await house.row(order))["attempts"] <= 3


async def test_what_only_writes_lists_is_taken_last_and_in_a_room_of_its_own(house):
    bras = await house.add_bras()
    keys = [await house.begin(bras, f"81a{number:05}", f"u{number}", ipv6_prefix=PREFIX) for number in range(30)]
    await house.order(*map(lists, keys[:25]))
    await house.db.execute("UPDATE net.network_order SET next_at = now() - interval '1 hour'")
    await house.order(*map(gone, keys[25:]))
    carrying = Carrying(house.database)
    taken = await carrying.take(1, {1: Room(3, 4)}, room=Room(50, 50), count=10)
    assert Counter(one.order.kind for one in taken) == {"disconnect": 3, "lists": 4}
    taken = await carrying.take(1, {}, room=Room(50, 50), count=3)
    assert Counter(one.order.kind for one in taken) == {"disconnect": 2, "lists": 1}
    assert await carrying.take(1, {1: Room(9, 0)}, room=Room(50, 50), count=9) == []


async def test_what_a_killed_node_wrote_is_taken_out(house):
    """It died before it could say that it wrote: its order is another's, or its session is over."""
    bras = await house.add_bras()
    first = await house.begin(bras, ipv6_prefix=PREFIX)
    other = await house.begin(bras, "81a00002", "bob", "100.64.0.2", login_id=2, ipv6_prefix="2001:db8:b::/64")
    await house.order(lists(first), lists(other))
    assert len(await Carrying(house.database).take(1, {}, room=Room(9, 9), count=9)) == 2
    put_entry(bras, "blocked6", PREFIX, "aaad: login 1")
    put_entry(bras, "blocked6", "2001:db8:b::/64", "aaad: login 2")
    await house.db.execute("UPDATE net.network_order SET claimed_until = now() - interval '1 s', next_at = now()")
    await end(house, other)
    async with house.running():
        await until_entries(bras, {("blocked6", PREFIX, "aaad: login 1")})
        await house.db.execute("UPDATE net.network_order SET next_at = now() WHERE is_open")
        async with asyncio.timeout(5):
            while await house.db.fetchval("SELECT count(*) FROM net.network_order WHERE is_open"):
                await asyncio.sleep(0.02)
        await end(house, first)
        await until_entries(bras, set())


async def test_who_paid_and_dialled_anew_with_his_own_prefix_is_in_the_list_no_more(house):
    bras = await house.add_bras()
    put_entry(bras, "blocked6", "2001:db8:cc::/64", "by hand")
    put_entry(bras, "blocked6", "2001:db8:dd::/64", "")
    first = await house.begin(bras, delegated_ipv6_prefix="2001:db8:f00::/56")
    (order,) = await house.order(lists(first))
    by_hand = {("blocked6", "2001:db8:cc::/64", "by hand"), ("blocked6", "2001:db8:dd::/64", "")}
    async with house.running():
        await house.until(order)
        assert entries(bras) == by_hand | {("blocked6", "2001:db8:f00::/56", "aaad: login 1")}
        await end(house, first)
        bras.nas.sessions.clear()
        await house.begin(bras, "81a00009", delegated_ipv6_prefix="2001:db8:f00::/56", started=NOW - HOUR)
        await until_entries(bras, by_hand)


async def test_who_is_connected_keeps_what_was_written_for_him(house):
    """Two sessions of one login, and the first ends; what is ordered of the other is waited for."""
    bras = await house.add_bras()
    first = await house.begin(bras, ipv6_prefix=PREFIX)
    other = await house.begin(bras, "81a00002", ipv4="100.64.0.2", ipv6_prefix="2001:db8:b::/64", started=NOW - HOUR)
    kept = {("blocked6", "2001:db8:b::/64", "aaad: login 1")}
    async with house.running():
        for order in await house.order(lists(first), lists(other)):
            await house.until(order)
        await house.order(lists(other, "elsewhere", 6, is_held=True))
        await end(house, first)
        await asyncio.sleep(0.5)
        assert entries(bras) == kept | {("blocked6", PREFIX, "aaad: login 1")}
        await house.db.execute("UPDATE net.network_order SET state = 'cancelled', ended_at = now() WHERE is_open")
        await until_entries(bras, kept)


async def test_a_prefix_that_came_later_is_taken_out_too(house):
    bras = await house.add_bras()
    key = await house.begin(bras, ipv6_prefix=None)
    await house.db.execute("UPDATE net.session SET ipv6_prefix = $1::text::cidr", PREFIX)
    (order,) = await house.order(lists(key))
    await house.db.execute("UPDATE net.network_order SET ipv6_prefix = NULL")
    async with house.running():
        await house.until(order)
        assert entries(bras) == {("blocked6", PREFIX, "aaad: login 1")}
        await end(house, key)
        await until_entries(bras, set())


@pytest.mark.parametrize("kind", ["change", "lists"])
async def test_a_newer_wish_takes_out_what_the_older_one_wrote(house, kind):
    """A blocked session begins, its list is being written, and the customer pays."""
    bras = await house.add_bras()
    key = await house.begin(bras, ipv6_prefix=PREFIX)
    (order,) = await house.order(lists(key))
    await Carrying(house.database).take(1, {}, room=Room(9, 9), count=9)
    put_entry(bras, "blocked6", PREFIX, "aaad: login 1")
    await house.order(change(key, fingerprint=9) if kind == "change" else lists(key, "customers", 9))
    row = await house.row(order)
    assert (row["wish"], json.loads(row["unsaid"])) == (2, [[IPV6_LIST, "blocked6"]])
    await house.db.execute("UPDATE net.network_order SET claimed_until = now() - interval '1 s', next_at = now()")
    async with house.running():
        assert (await house.until(order))["state"] == "done"
    assert entries(bras) == (set() if kind == "change" else {("customers", PREFIX, "aaad: login 1")})


async def test_lists_never_take_the_place_of_what_an_operator_cuts(house):
    bras = await house.add_bras()
    key = await house.begin(bras, ipv6_prefix=PREFIX)
    await disconnect_logins(house.database, [1])
    assert await house.order(lists(key, is_found=True)) == []
    assert await house.order(change(key, is_found=True)) == []
    assert await house.order(lists(key)) == []
    (row,) = await house.db.fetch("SELECT kind, cause, wish FROM net.network_order")
    assert tuple(row) == ("disconnect", "operator", 1)
    assert await house.order(change(key)), "the customer's own change is a newer wish"


async def test_what_only_wrote_lists_is_not_kept_for_long(house):
    """There is one for each session that begins."""
    bras = await house.add_bras()
    keys = [await house.begin(bras, f"81a{number:05}", f"u{number}") for number in range(4)]
    wishes = [*map(lists, keys[:3]), change(keys[3])]
    done, cancelled, wrote, changed = [(await house.order(wish))[0] for wish in wishes]
    await house.db.execute(
        "UPDATE net.network_order SET state = CASE id WHEN $1 THEN 'cancelled' ELSE 'done' END, "
        "ended_at = now() - interval '8 days', has_entries = id = $2", cancelled, wrote,
    )  # fmt: skip
    await house.store.prune()
    left = {row["id"] for row in await house.db.fetch("SELECT id FROM net.network_order")}
    assert left == {cancelled, wrote, changed}
    assert done not in left
