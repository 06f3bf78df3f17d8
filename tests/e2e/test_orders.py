"""From an SQL COMMIT to what the routers before a whole node have: blocked, changed, and back, whatever dies then."""

import json
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence

import pytest
from nodes import Node, eventually
from order_network import Network

RATES = {1: "50M/100M", 2: "100M/200M", 3: "150M/300M", 4: "250M/500M", 5: "350M/700M"}  # of the plans
ACCESS = "UPDATE erp.contract SET access_status = $2 WHERE id = ANY ($1::integer[])"
BLOCKED_STATE = "UPDATE erp.contract SET branch_id = 3 WHERE id = ANY ($1::integer[])"
PLAN = "UPDATE erp.contract SET plan_id = $2 WHERE id = ANY ($1::integer[])"
ADDRESS = "UPDATE erp.login SET ipv4 = ipv4 + 65536 WHERE id = ANY ($1::integer[])"
STATES = "SELECT state, answers FROM net.network_order WHERE user_name = $1 ORDER BY id"
COUNT = 130
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


@pytest.fixture(scope="module")
def routers(prepared: Node) -> Iterator[Network]:
    """A router with all customers of these tests; one in ten came by a Hotspot."""
    prepared.sql(PLAN, ids(*range(COUNT)), 1)
    prepared.sql(BLOCKED_STATE, ids(11, 19, 29))
    prepared.start()
    with Network(prepared, count=COUNT, methods=("pap",) * 9 + ("hotspot-pap",)) as network:
        yield network


@pytest.fixture
def network(routers: Network, node: Node) -> Iterator[Network]:
    """The same, with a node that answers, a router that does, and no order open."""
    routers.answer_again()
    routers.settle()
    yield routers
    routers.answer_again()


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


def test_a_contracts_block_and_its_end_are_seen_and_read_in_the_router(node: Node, network: Network) -> None:
    refused, held, other = 10, 11, 12
    before = network.up
    node.sql(ACCESS, ids(refused, held), "CM")
    node.sql(PLAN, ids(other), 2)
    eventually(lambda: refused not in network.up, within_s=10, what="he is cut")
    network.wait_for({held: "128k/256k", other: RATES[2]}, within_s=10)
    network.settle()
    assert outcomes(node, refused) == [("done", [("disconnect", "done"), ("read", "gone")])]
    assert "bloqueados" in network.lists(held)
    assert all(state == "done" and said[-1][0] == "read" for state, said in outcomes(node, held))
    assert network.up[other] is before[other], "a new speed cuts nobody"
    assert outcomes(node, other) == [("done", [("coa", "done"), ("read", "as_wanted")])]
    assert refused not in network.up, "who dials again is refused"
    node.sql(ACCESS, ids(refused, held), "A")
    network.wait_for({refused: RATES[1], held: RATES[1]}, within_s=10)
    network.settle()
    assert "bloqueados" not in network.lists(held)


def test_r4_5_the_end_of_a_block_never_disconnects_a_hotspot_customer(node: Node, network: Network) -> None:
    guests = (19, 29)
    before, cuts = network.up, network.cuts()
    node.sql(ACCESS, ids(*guests), "CM")
    network.wait_for(dict.fromkeys(guests, "128k/256k"))
    network.settle()
    assert "bloqueados" in network.lists(guests[0])
    node.sql(ACCESS, ids(*guests), "A")
    network.wait_for(dict.fromkeys(guests, RATES[1]))
    network.settle()
    assert [network.up[number] for number in guests] == [before[number] for number in guests]
    assert network.cuts() == cuts
    assert "bloqueados" not in network.lists(guests[0])


def test_r8_3_a_change_before_the_first_look_at_a_session_becomes_true_all_the_same(
    node: Node, network: Network
) -> None:
    number = 34
    network.redial(number)
    eventually(lambda: network.begun()[number] == 2, within_s=10, what="he dials")
    eventually(lambda: _is_known(node, network, number), within_s=10, what="his session is known")
    node.sql(ADDRESS, ids(number))
    eventually(lambda: network.begun()[number] == 3, within_s=20, what="he dials anew for his address")
    network.settle()
    assert network.up[number].address == bytes((100, 65, 1, number))


def _is_known(node: Node, network: Network, number: int) -> bool:
    session = network.up.get(number)
    return session is not None and bool(
        node.sql("SELECT FROM net.session WHERE acct_session_id = $1", session.session_id.decode())
    )


def test_r8_1_a_redial_that_races_a_disconnect_is_not_cut(node: Node, network: Network) -> None:
    number = 30
    old, counted = network.up[number], network.concentrators[0].orders
    network.fall_silent()
    cuts, acks = network.cuts(), counted.acks
    node.sql(ADDRESS, ids(number))
    eventually(lambda: network.cuts() > cuts, within_s=10, what="he is to be cut for his new address")
    network.redial(number)
    eventually(lambda: network.up.get(number, old) is not old, within_s=10, what="he dials before that")
    fresh, asked = network.up[number], network.cuts()
    network.answer_again()
    network.settle()
    eventually(lambda: network.cuts() > asked, within_s=3, what="a try that was on its way is sent again")
    assert network.up[number] is fresh
    assert counted.acks == acks
    assert network.begun()[number] == 2
    assert {state for state, _ in outcomes(node, number)} <= OVER


def test_killed_amid_orders_none_is_lost_and_none_done_twice_with_effect(node: Node, network: Network) -> None:
    changed, redialled = range(40, 58), [60, 61, 62, 63, 64, 65]
    for plan in (2, 3):
        some = network.changes() + network.cuts() + 3
        node.sql(PLAN, ids(*changed), plan)
        if plan == 2:
            node.sql(ADDRESS, ids(*redialled))
        network.await_requests(some)
        kill_all(node)
        node.start()
    network.wait_for(dict.fromkeys(changed, RATES[3]))
    network.settle()
    begun = network.begun()
    assert {begun[number] for number in changed} == {1}, "a new speed cuts nobody"
    assert {begun[number] for number in redialled} == {2}, "each is cut once"
    assert all(outcomes(node, number) for number in (*changed, *redialled))
    assert {state for number in (*changed, *redialled) for state, _ in outcomes(node, number)} <= OVER


def test_changes_while_postgresql_dies_become_true(node: Node, network: Network) -> None:
    numbers = range(70, 88)
    some = network.changes() + network.cuts() + 3
    node.sql(PLAN, ids(*numbers), 2)
    network.await_requests(some)
    for pid in node.postgres_pids():
        os.kill(pid, signal.SIGKILL)
    node.postgres.start()
    node.sql(PLAN, ids(*numbers[9:]), 3)
    network.wait_for(dict.fromkeys(numbers[:9], RATES[2]) | dict.fromkeys(numbers[9:], RATES[3]))
    network.settle()
    begun = network.begun()
    assert {begun[number] for number in numbers} == {1}


def test_a_router_that_was_down_gets_the_final_state_only(node: Node, network: Network) -> None:
    assert true_after_silence_s(node, network, range(90, 129), changes=80, down_s=2) < 60


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_ten_minutes_down_during_five_hundred_changes(node: Node, network: Network) -> None:
    assert true_after_silence_s(node, network, range(90, 129), changes=500, down_s=600) < 60


def true_after_silence_s(
    node: Node, network: Network, numbers: Sequence[int], *, changes: int, down_s: float
) -> float:
    """Change contracts while their router is down; return how long after it all are as changed last."""
    chance = random.Random(changes)
    before, plans, blocked = network.up, dict.fromkeys(numbers, 1), set()
    network.fall_silent()
    for _ in range(changes):
        number = chance.choice(numbers)
        if chance.random() < 0.3 and number % 10 != 9:
            blocked ^= {number}
            node.sql(ACCESS, ids(number), "CM" if number in blocked else "A")
        else:
            plans[number] = chance.randint(1, 5)
            node.sql(PLAN, ids(number), plans[number])
        time.sleep(down_s / changes)
    time.sleep(1)  # an order that was asked for less than half a second ago goes on its way without being asked again
    assert network.up == before
    assert {network.rates()[number] for number in numbers} == {RATES[1]}
    asked, cut = network.changes(), network.cuts()
    network.answer_again()
    took_s = network.wait_for({number: RATES[plans[number]] for number in numbers if number not in blocked})
    took_s += eventually(lambda: not blocked & network.up.keys(), within_s=60, what="the blocked are cut")
    took_s += network.settle(60)
    print(f"{changes} changes, true {took_s:.1f} s after the router is back")
    assert {number: one for number, one in before.items() if number not in blocked} == network.up, "nobody else"
    assert network.cuts() - cut <= len(blocked) + 2, "each once, and a probe"
    assert network.changes() - asked <= len(numbers) + 2
    node.sql(ACCESS, ids(*numbers), "A")
    eventually(lambda: len(network.up) == len(before), within_s=10, what="all are back")
    node.sql(PLAN, ids(*numbers), 1)
    network.wait_for(dict.fromkeys(numbers, RATES[1]))
    return took_s
