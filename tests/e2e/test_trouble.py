"""What a node does when what it stands on breaks: PostgreSQL killed, frozen, absent; each role killed."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from nodes import Node, eventually
from subscribers import ACCEPT, REJECT, Load, dial, is_recorded, longest_pause_s


def _block(node: Node, login: str, access_status: str) -> None:
    node.sql(
        "UPDATE erp.contract SET access_status = $2 WHERE id = (SELECT contract_id FROM erp.login WHERE name = $1)",
        login,
        access_status,
    )


def _code(node: Node, login: str) -> int | None:
    for _ in range(3):  # as a MikroTik tries
        code = dial(node.auth_port, login, login.replace("user", "pass"), timeout_s=0.3).code
        if code is not None:
            return code
    return None


def _changes_flow(node: Node, login: str) -> None:
    _block(node, login, "CM")
    eventually(lambda: _code(node, login) == REJECT, within_s=10, what="a block arrives")
    _block(node, login, "A")
    eventually(lambda: _code(node, login) == ACCEPT, within_s=10, what="an unblock arrives")


@contextmanager
def _routers_that_wait(node: Node, tries: int) -> Iterator[None]:
    """Tell the node that its routers try so often: what is older than they wait is late, and so are its copies."""

    def tell(told: int) -> None:
        node.sql("UPDATE net.nas SET tries = $1", told)
        _changes_flow(node, "user000013")  # so that was applied, too

    tell(tries)
    try:
        yield
    finally:
        tell(3)


def test_postgresql_killed_under_load_refuses_nobody_and_pauses_nothing(node: Node) -> None:
    with Load(node.auth_port, rate=300) as load:
        time.sleep(1)
        for pid in node.postgres_pids()[:1]:
            os.kill(pid, signal.SIGKILL)
        assert is_recorded(node.acct_port, b"while it is killed")
        time.sleep(3)
    assert len(load.done) > 800
    assert not [d for d in load.done if d.code != ACCEPT or d.bad_replies or not d.reply.is_signed_first]
    assert node.is_a_second(longest_pause_s(load.done))
    node.postgres.start()
    _changes_flow(node, "user000010")


def test_a_node_restarted_without_postgresql_answers(node: Node) -> None:
    node.stop()
    node.postgres.stop()
    node.start(wait=False)
    assert node.wait_answering() < max(5, 10 * node.starting_s())  # it waits for no limit of a connection
    assert is_recorded(node.acct_port, b"without it")
    assert _code(node, "user000011") == ACCEPT
    assert dial(node.auth_port, "user000011", "wrong").code == REJECT
    assert "granted" in node.aaad("--json", "why", "user000011").stdout
    node.postgres.start()
    _changes_flow(node, "user000011")


def test_a_frozen_postgresql_hangs_nothing(node: Node) -> None:
    pids = node.postgres_pids()
    with Load(node.auth_port, rate=200) as load:
        time.sleep(0.5)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            assert is_recorded(node.acct_port, b"while it is frozen")
            time.sleep(6)  # longer than every limit on a statement
            status = node.aaad("--json", "status")
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
    assert not [d for d in load.done if d.code != ACCEPT]
    assert node.is_a_second(longest_pause_s(load.done))
    assert status.returncode in (0, 1), status.stderr
    _changes_flow(node, "user000012")


@pytest.mark.parametrize("slot", ["radius-0", "sync-0", "control-0"])
def test_a_killed_role_is_back_within_a_second_and_nothing_queued_is_lost(node: Node, slot: str) -> None:
    eventually(lambda: slot in node.roles(), within_s=10, what=f"{slot} runs")
    before = node.roles()[slot]
    tries = 20  # they wait longer than a start takes where others compute
    with _routers_that_wait(node, tries), Load(node.auth_port, rate=100, tries=tries) as load:
        eventually(lambda: len(load.done) > 100, within_s=20, what="subscribers get in")
        starting_s = node.starting_s()
        os.kill(before, signal.SIGKILL)
        eventually(lambda: node.roles().get(slot, before) != before, within_s=20, what=f"{slot} is back")
        done = len(load.done)
        eventually(lambda: len(load.done) > done + 200, within_s=20, what="subscribers get in as before")
    assert not [d for d in load.done if d.code != ACCEPT]
    assert longest_pause_s(load.done) < max(1, 4 * starting_s)  # where others compute, all starts take longer
    assert node.process is not None and node.process.poll() is None
    log = node.log.read_text()
    assert '"role.' in log and "SIGKILL" in log and "lost" in log


def test_the_whole_node_killed_goes_on_with_what_is_there(node: Node) -> None:
    node.kill()
    node.start()
    assert _code(node, "user000014") == ACCEPT
    _changes_flow(node, "user000014")


def test_sigterm_ends_a_node_in_order(node: Node) -> None:
    with Load(node.auth_port, rate=100):
        time.sleep(0.5)
        assert node.stop() == 0
    assert "Traceback" not in node.log.read_text()
