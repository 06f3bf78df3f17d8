"""Rule R7.2 with a whole node: addresses of our own pool while PostgreSQL is killed, absent and back again."""

import os
import signal
import threading
from ipaddress import IPv4Address

import asyncpg
import pytest
from nodes import Node, eventually
from subscribers import ACCEPT, Load, dial

FRAMED_IP = 8
POOL = "100.64.0.0/20"
LEDGER = """
SELECT host(address) AS address, name FROM net.lease JOIN erp.login ON login.id = login_id WHERE state = 'bound'
"""
UNITS_AND_ROWS = """
SELECT sum(units) AS size,
    sum(units - next) + (SELECT coalesce(sum(net.count_left(reserve)), 0) FROM net.reserve)
        + (SELECT count(*) FROM net.lease WHERE pool_id IS NOT NULL) AS told
FROM net.pool_range
"""


@pytest.fixture(scope="module", autouse=True)
def pool(prepared: Node) -> None:
    """Nobody has an address of his own; all are given one of the branch's pool."""
    prepared.sql("UPDATE erp.login SET ipv4 = NULL")
    prepared.sql(
        "INSERT INTO net.pool (id, name, kind, family, prefix_length, valid_s) "
        "VALUES (1, 'cgnat', 'radius', 'ipv4', 32, 3600)"
    )
    prepared.sql(
        "INSERT INTO net.pool_range (pool_id, first, last) "
        f"VALUES (1, network('{POOL}'::cidr)::inet, broadcast('{POOL}'::cidr)::inet)"
    )
    prepared.sql("INSERT INTO erp.parameter (name, branch_id, value) VALUES ('ipv4_pool', NULL, 'cgnat')")


def address(node: Node, number: int) -> str:
    """Dial as a MikroTik tries; return the address that a login is given."""
    user, password = f"user{number:06}", f"pass{number:06}"
    for _ in range(3):
        found = dial(node.auth_port, user, password, timeout_s=0.3)
        if found.code == ACCEPT and found.reply is not None:
            (value,) = found.reply.all(FRAMED_IP)
            return str(IPv4Address(value))
    raise AssertionError(f"{user} is not let in")


def ledger(node: Node) -> set[tuple[str, str]]:
    """Who has which address; a login may have had to take another one when a process forgot the first."""
    return {(row["name"], row["address"]) for row in node.sql(LEDGER)}


def told(given: dict[int, str]) -> set[tuple[str, str]]:
    return {(f"user{number:06}", found) for number, found in given.items()}


def is_supplied(node: Node) -> bool:
    return bool(node.sql("SELECT FROM net.reserve WHERE pool_id = 1"))


def test_addresses_while_postgresql_is_killed_and_back(node: Node) -> None:
    eventually(lambda: is_supplied(node), within_s=20, what="units are set aside")
    before = {number: address(node, number) for number in range(5)}
    os.kill(node.postgres_pids()[0], signal.SIGKILL)
    while_dead = {number: address(node, number) for number in range(12)}
    assert {number: while_dead[number] for number in range(5)} == before, "who has one keeps it"
    os.kill(node.roles()["radius-0"], signal.SIGKILL)
    eventually(lambda: "radius-0" in node.roles(), within_s=10, what="the role is back")
    node.wait_answering()
    after_kill = {number: address(node, number) for number in range(12, 20)}
    given = [*while_dead.values(), *after_kill.values()]
    assert len(set(given)) == len(given), "none twice, whatever was killed"
    node.postgres.start()
    eventually(lambda: told(while_dead) | told(after_kill) <= ledger(node), within_s=20, what="the ledger agrees")
    eventually(lambda: not node.sql("SELECT FROM net.node WHERE records_undrained > 0"), within_s=20, what="drained")
    again = {number: address(node, number) for number in range(12, 20)}
    assert again == after_kill, "the ledger gives them again"
    assert not node.sql("SELECT FROM net.address_finding")


def test_a_node_that_starts_without_postgresql_gives_addresses_of_its_reserve(node: Node) -> None:
    known = address(node, 20)
    eventually(lambda: ("user000020", known) in ledger(node), within_s=10, what="it is bound")
    node.stop()
    node.postgres.stop()
    node.start(wait=False)
    node.wait_answering()
    given = {number: address(node, number) for number in range(21, 31)}
    assert len(set(given.values()) | {known}) == 11
    node.postgres.start()
    eventually(lambda: told(given) <= ledger(node), within_s=20, what="the ledger agrees")


def test_why_tells_the_pool_and_the_address(node: Node) -> None:
    given = address(node, 40)
    said = node.aaad("why", "user000040").stdout
    assert f"Framed-IP-Address = {given}" in said
    assert said.count("cgnat") == 2, "for what was answered, and for what would be answered now"
    shown = node.aaad("simulate-login", "user000040").stdout
    assert "cgnat" in shown


def test_many_dial_while_postgresql_dies_and_comes_back_and_nobody_shares(node: Node) -> None:
    stopping = threading.Event()

    def blows() -> None:
        while not stopping.wait(0.7):
            os.kill(node.postgres_pids()[0], signal.SIGKILL)
            if stopping.wait(0.7):
                return
            node.postgres.start()

    address(node, 0)  # of a pool that is in use the whole reserve is set aside
    set_aside = "SELECT sum(net.count_left(reserve)) >= 200 AS is_enough FROM net.reserve"
    eventually(lambda: node.sql(set_aside)[0]["is_enough"], within_s=10, what="the reserve is full")
    hand = threading.Thread(target=blows)
    with Load(node.auth_port, rate=150, logins=300) as load:
        hand.start()
        stopping.wait(4)
        stopping.set()
        hand.join(30)
    eventually(lambda: is_up(node), within_s=20, what="PostgreSQL is back")
    refused = [one for one in load.done if one.reply is not None and one.code != ACCEPT]
    assert not refused
    holders: dict[bytes, set[str]] = {}
    for one in load.done:
        if one.reply is not None:
            holders.setdefault(one.reply.all(FRAMED_IP)[0], set()).add(one.user)
    assert len(holders) > 200
    assert all(len(users) == 1 for users in holders.values()), "two logins were told one address"
    served = {one.user for one in load.done if one.reply is not None}
    assert len(served) >= 200
    eventually(lambda: served <= {name for name, _ in ledger(node)}, within_s=30, what="the ledger has all of them")
    eventually(lambda: conserved(node), within_s=20, what="nothing is lost: used, set aside and free are the size")


def is_up(node: Node) -> bool:
    """Start it if the last blow was the later one; its children take a moment to end."""
    try:
        node.sql("SELECT 1")
    except (OSError, asyncpg.PostgresError):
        if not node.postgres.pid or node.postgres.has_crashed:
            node.postgres.start()
        return False
    return True


def conserved(node: Node) -> bool:
    (row,) = node.sql(UNITS_AND_ROWS)
    return row["size"] == row["told"]
