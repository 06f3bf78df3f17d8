"""From an SQL COMMIT to what the routers before a whole node have: blocked, changed, and back, whatever dies then."""

import json
import os
import random
import signal
import time
from collections.abc import Iterator

import pytest
from nodes import Node, eventually
from order_network import Network

RATES = {1: "50M/100M", 2: "100M/200M", 3: "150M/300M", 4: "250M/500M", 5: "350M/700M"}  # of the plans
ACCESS = "UPDATE erp.contract SET access_status = $2 WHERE id = ANY ($1::integer[])"
BLOCKED_STATE = "UPDATE erp.contract SET branch_id = 3 WHERE id = ANY ($1::integer[])"
PLAN = "UPDATE erp.contract SET plan_id = $2 WHERE id = ANY ($1::integer[])"
ADDRESS = "UPDATE erp.login SET ipv4 = ipv4 + 65536 WHERE id = ANY ($1::integer[])"
STATES = "SELECT state, answers FROM net.network_order WHERE user_name = $1 ORDER BY id"
OVER = {"done", "superseded", "gone"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node whose brake lets all through that these tests block."""
    node = Node(tmp_path_factory.mktemp("node"))
    node.prepare()
    with node.config.open("a") as config:
        config.write("[replica]\nbrake_minimum = 10000\n")
    yield node
    node.end()


def ids(*numbers: int) -> list[int]:
    """Return the contracts, or the logins, of these customers."""
    return [1001 + number for number in numbers]


def outcomes(node: Node, number: int) -> list[tuple[str, list[tuple[str, str]]]]:
    rows = node.sql(STATES, f"user{number:06}")
    return [(row["state"], [(one["step"], one["said"]) for one in json.loads(row["answers"])]) for row in rows]


def kill_all(node: Node) -> None:
    """Kill the supervisor and every role at once: nobody has time to put anything down."""
    assert node.process is not None
    for pid in (node.process.pid, *node.roles().values()):
        os.kill(pid, signal.SIGKILL)
    node.process.wait(20)
    node.process = None


def test_a_contracts_block_and_its_end_are_seen_and_read_in_the_router(node: Node) -> None:
    refused, held, other = 10, 11, 12
    node.sql(BLOCKED_STATE, ids(held))
    node.sql(PLAN, ids(refused, held, other), 1)
    with Network(node, first=10, count=3) as network:
        before = network.up
        node.sql(ACCESS, ids(refused, held), "CM")
        eventually(lambda: refused not in network.up, within_s=10, what="he is cut")
        eventually(lambda: network.rates().get(held) == "128k/256k", within_s=10, what="he has what the blocked have")
        network.settle()
        assert outcomes(node, refused) == [("done", [("disconnect", "done"), ("read", "gone")])]
        assert "bloqueados" in network.lists(held)
        assert all(state == "done" and said[-1][0] == "read" for state, said in outcomes(node, held))
        time.sleep(0.5)
        assert refused not in network.up, "who dials again is refused"
        node.sql(ACCESS, ids(refused, held), "A")
        node.sql(PLAN, ids(other), 2)
        eventually(lambda: network.rates().get(refused) == RATES[1], within_s=10, what="he is back")
        eventually(lambda: network.rates().get(held) == RATES[1], within_s=10, what="he has his speed again")
        eventually(lambda: network.rates().get(other) == RATES[2], within_s=10, what="he has his new speed")
        network.settle()
        assert "bloqueados" not in network.lists(held)
        assert network.up[other] is before[other], "a new speed cuts nobody"
        assert outcomes(node, other) == [("done", [("coa", "done"), ("read", "as_wanted")])]


def test_r4_5_the_end_of_a_block_never_disconnects_a_hotspot_customer(node: Node) -> None:
    node.sql(BLOCKED_STATE, ids(20, 21))
    node.sql(PLAN, ids(20, 21), 1)
    with Network(node, first=20, count=2, methods=("hotspot-pap",)) as network:
        node.sql(ACCESS, ids(20, 21), "CM")
        network.wait_for({20: "128k/256k", 21: "128k/256k"})
        network.settle()
        assert "bloqueados" in network.lists(20)
        blocked, cuts = network.up, network.cuts()
        node.sql(ACCESS, ids(20, 21), "A")
        network.wait_for({20: RATES[1], 21: RATES[1]})
        network.settle()
        assert network.up == blocked
        assert network.cuts() == cuts
        assert network.begun() == {20: 1, 21: 1}
        assert "bloqueados" not in network.lists(20)


def test_r8_1_a_redial_that_races_a_disconnect_is_not_cut(node: Node) -> None:
    number = 30
    with Network(node, first=number, count=1) as network:
        old, concentrator = network.up[number], network.concentrators[0]
        network.fall_silent()
        node.sql(ADDRESS, ids(number))
        eventually(lambda: network.cuts() > 0, within_s=10, what="he is to be cut for his new address")
        network.redial(number)
        eventually(lambda: network.up.get(number, old) is not old, within_s=10, what="he dials before that")
        fresh, asked = network.up[number], concentrator.orders.naks
        network.answer_again()
        network.settle()
        time.sleep(1.5)  # a try that was on its way is sent again
        assert network.up[number] is fresh
        assert concentrator.orders.acks == 0
        assert concentrator.orders.naks - asked <= 1
        assert network.begun() == {number: 2}
        assert {state for state, _ in outcomes(node, number)} <= OVER


def test_r8_3_a_change_before_the_first_look_at_a_session_is_read_to_be_undone_and_done(node: Node) -> None:
    with Network(node, first=34, count=1, is_looked_at=False) as network:
        node.sql(ADDRESS, ids(34))
        eventually(lambda: network.begun()[34] == 2, within_s=20, what="he dials anew for his address")
        network.settle()
        assert network.up[34].address == bytes((100, 65, 1, 34))


def test_killed_amid_orders_none_is_lost_and_none_done_twice_with_effect(node: Node) -> None:
    changed, redialled = range(40, 60), range(60, 70)
    node.sql(PLAN, ids(*changed, *redialled), 1)
    with Network(node, first=40, count=30) as network:
        for round_number, plan in enumerate((2, 3)):
            node.sql(PLAN, ids(*changed), plan)
            if not round_number:
                node.sql(ADDRESS, ids(*redialled))
            eventually(lambda: network.changes() + network.cuts() > 3, within_s=10, what="some are carried out")
            kill_all(node)
            node.start()
        network.wait_for(dict.fromkeys(changed, RATES[3]))
        network.settle()
        begun = network.begun()
        assert {begun[number] for number in changed} == {1}, "a new speed cuts nobody"
        assert {begun[number] for number in redialled} == {2}, "each is cut once"
        assert all(said for number in (*changed, *redialled) for said in outcomes(node, number))
        assert not node.sql("SELECT FROM net.network_order WHERE state NOT IN ('done', 'superseded', 'gone')")


def test_changes_while_postgresql_dies_become_true(node: Node) -> None:
    numbers = range(80, 100)
    node.sql(PLAN, ids(*numbers), 1)
    with Network(node, first=80, count=20) as network:
        node.sql(PLAN, ids(*numbers), 2)
        eventually(lambda: network.changes() > 3, within_s=10, what="some are carried out")
        for pid in node.postgres_pids():
            os.kill(pid, signal.SIGKILL)
        node.postgres.start()
        node.sql(PLAN, ids(*numbers[10:]), 3)
        wanted = dict.fromkeys(numbers[:10], RATES[2]) | dict.fromkeys(numbers[10:], RATES[3])
        network.wait_for(wanted)
        network.settle()
        assert set(network.begun().values()) == {1}


def test_a_router_that_was_down_gets_the_final_state_only(node: Node) -> None:
    _down(node, first=100, count=40, changes=80, down_s=2)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_ten_minutes_down_during_five_hundred_changes(node: Node) -> None:
    _down(node, first=150, count=100, changes=500, down_s=600)


def _down(node: Node, *, first: int, count: int, changes: int, down_s: float) -> None:
    """Change contracts while their router is down; each must be as it was changed last within a minute after that."""
    numbers = range(first, first + count)
    chance = random.Random(first)
    node.sql(PLAN, ids(*numbers), 1)
    with Network(node, first=first, count=count) as network:
        before, plans, blocked = network.up, dict.fromkeys(numbers, 1), set()
        network.fall_silent()
        for _ in range(changes):
            number = chance.choice(numbers)
            if chance.random() < 0.3:
                blocked ^= {number}
                node.sql(ACCESS, ids(number), "CM" if number in blocked else "A")
            else:
                plans[number] = chance.randint(1, 5)
                node.sql(PLAN, ids(number), plans[number])
            time.sleep(down_s / changes)
        assert set(network.up.values()) == set(before.values())
        assert set(network.rates().values()) == {RATES[1]}
        asked, cut = network.changes(), network.cuts()
        network.answer_again()
        took_s = network.wait_for({number: RATES[plans[number]] for number in numbers if number not in blocked})
        eventually(lambda: not blocked & network.up.keys(), within_s=60, what="the blocked are cut")
        took_s += network.settle(60)
        print(f"{changes} changes, true {took_s:.1f} s after the router is back")
        assert took_s < 60
        assert {number: one for number, one in before.items() if number not in blocked} == network.up, "nobody else"
        assert network.cuts() - cut <= len(blocked) + 2, "each once, and a probe"
        assert network.changes() - asked <= count + 2
        node.sql(ACCESS, ids(*numbers), "A")
