"""Two whole nodes, one mirroring the other's spool, whose disk is lost with what it had acknowledged (rule R6.4)."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from free_ports import free_port
from nodes import Node, eventually
from reporting import Reporting, assert_nothing_lost_doubled_or_invented, wait_drained

from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.simulation import Plan
from aaad.spool.mirror_disk import kept_copies

SECRET = "a secret of both nodes"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The owner of the spool."""
    node = Node(tmp_path_factory.mktemp("owner"))
    node.prepare()
    yield node
    node.end()


@pytest.fixture
def pair(prepared: Node, tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    """The owner and its peer, on one PostgreSQL, in step."""
    owner, peer, port = prepared, Node(tmp_path, prepared.logins), free_port()
    peer.postgres = owner.postgres
    peer.run_dir.mkdir()
    text = owner.config.read_text()
    beside = text
    for of_owner, of_peer in (
        ('name = "tested"', 'name = "beside"'),
        (str(owner.folder / "state"), str(tmp_path / "state")),
        (str(owner.run_dir), str(peer.run_dir)),
        (f"auth_port = {owner.auth_port}", f"auth_port = {peer.auth_port}"),
        (f"acct_port = {owner.acct_port}", f"acct_port = {peer.acct_port}"),
        (f"port = {owner.metrics_port}", f"port = {peer.metrics_port}"),
    ):
        assert of_owner in beside
        beside = beside.replace(of_owner, of_peer)
    secret = f'mirror_secret = "{SECRET}"\n'
    peer.config.write_text(beside + f'[spool]\nmirror_listen = "127.0.0.1:{port}"\n{secret}')
    owner.config.write_text(text + f'[spool]\nmirror = "127.0.0.1:{port}"\n{secret}')
    peer.start()
    owner.start()
    yield owner, peer
    for node in (owner, peer):
        if node.process is not None:
            node.stop()


def is_in_step(node: Node) -> bool:
    return "mirror of radius-0: in step" in node.aaad("status").stdout


@pytest.mark.soak
def test_r6_4_no_session_of_a_lost_disk_is_lost_doubled_or_invented_once_its_mirror_is_adopted(
    pair: tuple[Node, Node],
) -> None:
    owner, peer = pair
    assert "mirror-0" in peer.roles()
    assert "mirror-0" not in owner.roles()
    eventually(lambda: is_in_step(owner), within_s=10, what="the mirror is in step")
    plan = Plan(rate=200, cycles_for_s=60, redial_first_s=0.3, has_accounting=True, interim_s=1)
    routers = Nases(count=2, kind="mikrotik-old", names="mirrored-%02d").make()
    subscribers = Subscribers(count=80, first=120, methods=("pap",))
    with Reporting(owner, plan, routers, subscribers, others=(peer,)) as reporting:

        def goes_on() -> None:
            enough = reporting.acknowledged + 200
            eventually(lambda: reporting.acknowledged > enough, within_s=15, what="records are acknowledged")

        goes_on()
        owner.postgres.stop()
        goes_on()  # what is acknowledged from here on is on two disks and nowhere else
        assert owner.process is not None
        for pid in (owner.process.pid, *owner.roles().values()):
            os.kill(pid, signal.SIGKILL)
        owner.process.wait(20)
        owner.process = None
        shutil.rmtree(owner.folder / "state")
        goes_on()  # the concentrators ask the other node
        owner.postgres.start()
    (kept,) = kept_copies(peer.folder / "state" / "mirror")
    told = peer.aaad("--json", "spool", "adopt", "tested", "--force", "--yes")
    assert told.returncode == 0, told.stdout + told.stderr
    assert json.loads(told.stdout)["adopted"][0]["records"] >= 200
    assert not kept.directory.exists()
    wait_drained(peer)
    assert_nothing_lost_doubled_or_invented(peer, reporting)
