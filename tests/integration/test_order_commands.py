"""`aaad order …` and `aaad session disconnect`, with PostgreSQL and a simulated concentrator, in both languages."""

import asyncio
import json
import re
from typing import Any

import pytest
from order_field import change, gone, housed
from typing_person import type_line

from aaad.cli import order_words
from aaad.cli.options import Options
from aaad.orders.cascade import Said, Step
from aaad.orders.line_course import LineSaid, LineStep
from aaad.orders.wish import CAUSES, STATES
from aaad.simulator.temper import Temper


class Ran:
    def __init__(self, exit_code: int, output: str, complaint: str) -> None:
        self.exit_code, self.output, self.complaint = exit_code, output, complaint

    @property
    def json(self) -> Any:
        return json.loads(self.output)


@pytest.fixture
async def house(dsn, tmp_path):
    async with housed(dsn, tmp_path) as house:
        config = tmp_path / "aaad.toml"
        (tmp_path / "state" / "counters").mkdir(parents=True)
        folders = f'state_dir = "{tmp_path}/state"\nrun_dir = "{tmp_path}/run"\n'
        config.write_text(f'[node]\nname = "n1"\n{folders}[database]\ndsn = "{dsn}"\n')
        await house.db.execute(
            "INSERT INTO erp.operator_group (id, name, all_permissions) VALUES (81, 'all', true);"
            "INSERT INTO erp.operator (name, group_id) VALUES ('maria', 81)"
        )

        async def aaad(*words: str, language: str = "en", as_json: bool = False) -> Ran:
            result = await asyncio.to_thread(type_line, Options(config, language, as_json, "maria"), words)
            return Ran(result.exit_code, result.stdout, result.stderr)

        house.aaad = aaad
        yield house


async def test_s2_51_the_current_connection_is_closed_and_it_is_verified(house):
    """Seed S2-51, "Fechar Conexão Atual": Disconnect-Request, and it is looked whether it closed."""
    bras = await house.add_bras()
    await house.begin(bras)
    async with house.running():
        ran = await house.aaad("session", "disconnect", "ana", "--reason", "customer asks")
    assert ran.exit_code == 0, ran.complaint
    assert re.search(r"Order \d+ to disconnect session \S+ of ana: done\.", ran.output)
    assert not bras.sessions
    told = await house.db.fetchrow(
        "SELECT login_id, text, operator FROM erp.history WHERE kind = 'session_disconnected'"
    )
    assert (told["login_id"], told["operator"]) == (1, "maria")
    assert told["text"].endswith("customer asks")
    assert await house.db.fetchval("SELECT ended_at FROM net.session") is None, "what ends the record is its Stop"


async def test_a_disconnect_that_takes_longer_goes_on_and_says_so(house):
    bras = await house.add_bras(api=False)
    bras.nas.is_silent = True
    await house.begin(bras)
    async with house.running():
        ran = await house.aaad("session", "disconnect", "ana", "--reason", "x", "--wait", "0.5", as_json=True)
        assert ran.exit_code == 1
        assert ran.json["state"] in ("todo", "doing")  # between two tries, or in one
        assert ran.json["reason"] == "silent"
        shown = await house.aaad("order", "show", str(ran.json["order"]))
        assert "no answer: down, another secret" in shown.output
        assert "Disconnect-Request" in shown.output
        again = await house.aaad("session", "disconnect", "ana", "--reason", "x", "--wait", "0", as_json=True)
        assert again.exit_code == 0
        assert again.json["order"] == ran.json["order"], "one order for each session"


async def test_a_hotspot_session_is_known_by_its_id_and_loses_its_cookie(house):
    bras = await house.add_bras()
    await house.begin(bras, "80a00001", hotspot=True)
    bras.router.table("/ip/hotspot/cookie").put({"user": "ana", "mac-address": "AA:BB:CC:DD:EE:01"})
    async with house.running():
        ran = await house.aaad("session", "disconnect", "ana", "--reason", "x")
    assert ran.exit_code == 0, ran.output
    assert not bras.sessions
    assert not bras.router.table("/ip/hotspot/cookie").rows


async def test_there_is_nothing_to_disconnect_of_who_is_not_connected(house):
    ran = await house.aaad("session", "disconnect", "ana", "--reason", "x")
    assert ran.exit_code == 1
    assert "There is no session ana" in ran.complaint


async def test_orders_are_listed_with_what_the_router_answered_in_words(house):
    bras = await house.add_bras(api=False)
    bras.temper(coa=Temper(nak=401), disconnect=Temper(nak=404))
    first = await house.begin(bras, granted={"rate_limit": "10M/20M"})
    second = await house.begin(bras, "81a00002", "bob", "100.64.0.2", login_id=2)
    (refused,) = await house.order(change(first))
    async with house.running():
        async with asyncio.timeout(5):
            while (await house.row(refused))["step"] != "refused":
                await asyncio.sleep(0.02)
    (held,) = await house.order(gone(second, is_held=True))
    listed = (await house.aaad("order", "list", as_json=True)).json
    assert [(row["id"], row["state"], row["reason"], row["login"]) for row in listed] == [
        (held, "held", None, "bob"),
        (refused, "todo", "refused", "ana"),
    ]
    assert listed[1]["last_answer"]["error_cause"] == 404
    table = (await house.aaad("order", "list", "--login", "ana")).output
    assert "Disconnect-NAK: 404 Invalid Request" in table
    assert "bob" not in table
    portuguese = (await house.aaad("order", "list", language="pt")).output
    assert "retida pelo freio" in portuguese
    assert (await house.aaad("order", "list", "--csv")).output.startswith("id,target,kind,cause,state")
    shown = (await house.aaad("order", "show", str(refused))).output
    assert "CoA-NAK: 401 Unsupported Attribute" in shown
    assert "Mikrotik-Rate-Limit 1M/2M" in shown
    assert (await house.aaad("order", "show", "99")).exit_code == 1


async def test_an_order_is_tried_at_once_or_cancelled(house):
    bras = await house.add_bras(api=False)
    key = await house.begin(bras)
    (order,) = await house.order(gone(key))
    await house.db.execute("UPDATE net.network_order SET next_at = now() + interval '1 hour', attempts = 9")
    assert (await house.aaad("order", "retry", str(order))).output == f"Order {order} is due now.\n"
    assert await house.db.fetchval("SELECT next_at <= now() FROM net.network_order")
    assert (await house.aaad("order", "cancel", str(order))).exit_code == 0
    row = await house.row(order)
    assert (row["state"], row["ended_by"]) == ("cancelled", "maria")
    again = await house.aaad("order", "retry", str(order))
    assert (again.exit_code, again.complaint) == (1, f"aaad: Order {order} is over: cancelled.\n")


async def test_r8_4_what_the_brake_holds_is_released_or_dropped(house):
    bras = await house.add_bras()
    first = await house.begin(bras)
    second = await house.begin(bras, "81a00002", "bob", "100.64.0.2", login_id=2)
    run = await house.db.fetchval("INSERT INTO net.run (kind) VALUES ('orders') RETURNING id")
    other = await house.db.fetchval("INSERT INTO net.run (kind) VALUES ('orders') RETURNING id")
    (released,) = await house.order(gone(first, is_held=True, run_id=run))
    (dropped,) = await house.order(gone(second, is_held=True, run_id=other))
    async with house.running():
        await asyncio.sleep(0.3)
        assert bras.sessions == {"81a00001", "81a00002"}
        assert (await house.aaad("order", "retry", str(released))).complaint == (
            f"aaad: Order {released} is held back by the brake: `aaad order release {run}`.\n"
        )
        assert (await house.aaad("order", "release", str(run))).output == f"1 orders of run {run} go on.\n"
        assert (await house.until(released))["state"] == "done"
        assert (await house.aaad("order", "release", str(other), "--drop")).exit_code == 0
        assert (await house.until(dropped))["state"] == "cancelled"
        assert (await house.aaad("order", "release", str(other))).exit_code == 1
    assert bras.sessions == {"81a00002"}


def test_every_code_has_words():
    assert set(order_words.STATES) == set(STATES)
    assert set(order_words.CAUSES) == set(CAUSES)
    assert set(order_words.STEPS) == {*Step, *LineStep}
    assert set(order_words.SAID) == {*Said, LineSaid.NOT_OURS}


async def test_status_says_in_a_line_how_many_orders_are_open_and_the_oldest(house):
    assert "Orders to the network" not in (await house.aaad("status")).output
    bras = await house.add_bras()
    run = await house.db.fetchval("INSERT INTO net.run (kind) VALUES ('orders') RETURNING id")
    await house.order(gone(await house.begin(bras)))
    await house.order(gone(await house.begin(bras, "81a00002", "bob", "100.64.0.2"), is_held=True, run_id=run))
    await house.db.execute("UPDATE net.network_order SET created_at = now() - interval '3 h' WHERE state = 'held'")
    ran = await house.aaad("status")
    assert not ran.complaint
    told = ran.output
    assert "Orders to the network: 2 open, 1 held by the brake; the oldest: 3 h." in told
    assert "! The brake holds back 1 orders: aaad order list --state held." in told
    orders = (await house.aaad("status", as_json=True)).json["cluster"]["orders"]
    assert (orders["open_count"], orders["held_count"]) == (2, 1)
    assert 10_790 < orders["oldest_age_s"] < 10_900
    told = (await house.aaad("status", language="pt")).output
    assert "Ordens à rede: 2 abertas, 1 seguradas pelo freio; a mais antiga: 3 h." in told
