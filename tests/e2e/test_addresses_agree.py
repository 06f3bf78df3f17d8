"""Addresses of our own pools while PostgreSQL is dead: by a whole node, from the first dial to the ledger."""

import os
import signal
import time
from ipaddress import IPv4Address

from nodes import Node, eventually
from subscribers import ACCEPT, dial

FRAMED_IP = 8
POOL = """
WITH made AS (
    INSERT INTO net.pool (name, kind, family, prefix_length) VALUES ('cgnat', 'radius', 'ipv4', 32) RETURNING id
)
INSERT INTO net.pool_range (pool_id, first, last) SELECT id, '100.100.0.0', '100.100.3.255' FROM made
"""
LEDGER = """
SELECT login.name, host(lease.address) AS address FROM net.lease JOIN erp.login ON login.id = lease.login_id
WHERE lease.state = 'bound'
"""


def _address(node: Node, number: int) -> str | None:
    """Dial as a MikroTik does, and return the address."""
    for _ in range(3):
        dialled = dial(node.auth_port, f"user{number:06}", f"pass{number:06}", timeout_s=0.3)
        if dialled.code is not None:
            assert dialled.code == ACCEPT
            assert dialled.reply is not None
            said = dialled.reply.find(FRAMED_IP)
            return str(IPv4Address(said)) if said is not None else None
    return None


def test_r7_2_postgresql_dead_known_and_new_logins_get_addresses_and_the_ledger_agrees_after(node: Node) -> None:
    node.sql(POOL)
    node.sql("UPDATE erp.login SET ipv4 = NULL, ipv4_pool = 'cgnat' WHERE name BETWEEN 'user000020' AND 'user000059'")
    eventually(lambda: (_address(node, 20) or "").startswith("100.100."), within_s=10, what="addresses of the pool")
    known = {number: _address(node, number) for number in range(20, 40)}
    time.sleep(2.5)  # what is set aside is filled up again
    for pid in node.postgres_pids()[:1]:
        os.kill(pid, signal.SIGKILL)
    assert {number: _address(node, number) for number in known} == known
    given = known | {number: _address(node, number) for number in range(40, 60)}
    node.kill()
    node.start(wait=False)
    node.wait_answering()
    assert {number: _address(node, number) for number in known} == known, "after kill -9 of the node, too"
    assert None not in given.values()
    assert len(set(given.values())) == len(given)
    node.postgres.start()
    expected = {(f"user{number:06}", address) for number, address in given.items()}
    eventually(
        lambda: {(row["name"], row["address"]) for row in node.sql(LEDGER)} == expected,
        within_s=20,
        what="the ledger says what was answered",
    )
    assert not node.sql("SELECT FROM net.address_finding")
