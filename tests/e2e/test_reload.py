"""SIGHUP on a whole node under load: a good file is put in force and refuses nobody, a bad one changes nothing."""

import os
import signal
import time

from nodes import Node, eventually
from subscribers import ACCEPT, Load, dial, longest_pause_s


def _reload(node: Node, text: str, says: str) -> None:
    before = node.log.read_text().count(says)
    node.config.write_text(text)
    assert node.process is not None
    node.process.send_signal(signal.SIGHUP)
    eventually(lambda: node.log.read_text().count(says) > before, within_s=30, what=says)


def test_every_role_starts_anew_under_load_and_refuses_nobody(node: Node) -> None:
    text = node.config.read_text()
    before = node.roles()
    with Load(node.auth_port, rate=300) as load:
        time.sleep(0.5)
        _reload(
            node, text + "[journal]\nsegment_bytes = 8388608\n[replica]\npoll_interval_s = 0.25\n", "config.accepted"
        )
        eventually(
            lambda: len(node.roles()) == 3 and not set(node.roles().values()) & set(before.values()),
            within_s=30,
            what="all roles are new",
        )
        time.sleep(1.5)
    assert not [done for done in load.done if done.code != ACCEPT]
    assert node.is_a_second(longest_pause_s(load.done))
    eventually(lambda: '"lost_requests": 0' in node.log.read_text(), within_s=20, what="the old ones have ended")
    assert "role.killed" not in node.log.read_text()


def test_a_second_process_and_a_second_address_answer_without_a_restart(node: Node) -> None:
    text = node.config.read_text()
    wider = text.replace('addresses = ["127.0.0.1"]', 'addresses = ["127.0.0.1", "127.0.0.2"]\nprocesses = 2')
    _reload(node, wider, "config.accepted")
    eventually(lambda: {"radius-0", "radius-1"} <= set(node.roles()), within_s=30, what="two radius processes")
    for _ in range(32):  # each dial has a source port of its own, and so a process
        eventually(
            lambda: dial(node.auth_port, "user000001", "pass000001", timeout_s=0.5).code == ACCEPT,
            within_s=20,
            what="both answer",
        )
    _reload(node, text, "config.accepted")
    eventually(lambda: "radius-1" not in node.roles(), within_s=30, what="one radius process")
    assert dial(node.auth_port, "user000001", "pass000001").code == ACCEPT


def test_a_bad_file_changes_nothing_and_is_told(node: Node) -> None:
    text = node.config.read_text()
    before = node.roles()
    _reload(node, text.replace("[metrics]", "[metrics]\nprot = 1"), "config.refused")
    assert node.roles() == before
    os.kill(before["radius-0"], signal.SIGKILL)  # its successor has the configuration in force
    eventually(
        lambda: node.roles().get("radius-0") not in (None, before["radius-0"]), within_s=20, what="a successor"
    )
    eventually(
        lambda: dial(node.auth_port, "user000002", "pass000002", timeout_s=0.5).code == ACCEPT,
        within_s=20,
        what="the successor answers",
    )
    assert "metrics.prot" in node.aaad("check").stderr
    _reload(node, text, "config.accepted")
