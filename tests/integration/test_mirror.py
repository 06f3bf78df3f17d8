"""The mirror of a spool (rule R6.4): what is answered is on two disks, or answered in time and counted as on one."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from uuid import UUID

import pytest
from mirror_house import OWNER, PEER, SECRET, TIMEOUT_S, Owner, Peer, assert_same_octets, until

from aaad.config import parse_config
from aaad.daemon import services
from aaad.daemon.context import RoleContext
from aaad.log import get_logger
from aaad.metrics import CounterFile
from aaad.spool import mirror, mirror_course, mirror_disk, mirror_server, writer
from aaad.spool.directory import read_mirrored, read_tail
from aaad.spool.mirror_course import Stage
from aaad.spool.mirror_disk import kept_copies
from aaad.spool.segment import Position

UNMIRRORED = "aaad_spool_unmirrored_records_total"


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at each second is looked at more often."""
    monkeypatch.setattr(writer, "IDLE_S", 0.1)
    monkeypatch.setattr(mirror_course, "RETRY_S", 0.2)


@pytest.fixture
def peer(tmp_path: Path) -> Peer:
    return Peer(tmp_path / "peer")


def test_r6_4_what_is_answered_is_on_the_peers_disk_octet_by_octet(tmp_path: Path, peer: Peer) -> None:
    with peer.serving():
        owner = Owner(tmp_path / "owner", peer)
        with owner.living():
            before = owner.count(UNMIRRORED)
            owner.put(*range(1, 300), padding=1000)  # several segments
            (kept,) = kept_copies(peer.root)
            assert (kept.node, kept.slot) == (OWNER, "radius-0")
            assert_same_octets(owner.directory, kept.directory)
            assert read_mirrored(owner.directory) == read_tail(owner.directory)
            assert owner.count(UNMIRRORED) == before
        assert_same_octets(owner.directory, kept.directory)


def test_an_owner_that_starts_again_goes_on_in_the_same_copy(tmp_path: Path, peer: Peer) -> None:
    with peer.serving():
        owner = Owner(tmp_path / "owner", peer)
        for life in range(3):
            with owner.living():
                owner.put(*range(1 + 30 * life, 31 + 30 * life))
        assert_same_octets(owner.directory, peer.copy())
    assert owner.count(UNMIRRORED) == 0


def test_a_new_spool_in_the_place_of_a_lost_one_has_a_copy_of_its_own(tmp_path: Path, peer: Peer) -> None:
    with peer.serving():
        owner = Owner(tmp_path / "owner", peer)
        with owner.living():
            owner.put(1, 2, 3)
        owner.directory.rename(tmp_path / "lost")
        with owner.living():
            owner.put(4, 5, 6)
        copies = {kept.directory for kept in kept_copies(peer.root)}
        assert len(copies) == 2
        (new,) = [copy for copy in copies if (copy / "spool_id").read_text() in _id(owner.directory)]
        assert_same_octets(owner.directory, new)
        (old,) = copies - {new}
        assert_same_octets(tmp_path / "lost", old)


def _id(directory: Path) -> str:
    return (directory / "spool_id").read_text()


def test_without_the_peer_answers_go_on_are_counted_and_it_catches_up_when_it_comes(
    tmp_path: Path, peer: Peer
) -> None:
    with peer.serving():
        pass  # to have a port
    owner = Owner(tmp_path / "owner", peer)
    with owner.living(in_step=False):
        owner.put(*range(1, 200), padding=1000)
        assert owner.count(UNMIRRORED) == 199
        until(lambda: owner.count("aaad_spool_records_at_risk") == 199, "all of it is at risk")
        until(lambda: owner.count("aaad_spool_mirror_behind_bytes") > 199_000, "it is told how much")
        with peer.serving():
            owner.until_in_step()
            owner.put(200)
            assert_same_octets(owner.directory, peer.copy())
            assert owner.count(UNMIRRORED) == 199
            until(lambda: owner.count("aaad_spool_records_at_risk") == 0, "nothing is at risk any more")
            assert owner.count("aaad_spool_mirror_stage") == Stage.IN_STEP
            assert owner.count("aaad_spool_mirror_away_since_seconds") == 0
            assert owner.count("aaad_spool_mirror_behind_bytes") == 0


def test_a_peer_that_is_killed_costs_one_answer_its_time_at_most_and_comes_back(tmp_path: Path, peer: Peer) -> None:
    owner = Owner(tmp_path / "owner", peer)
    with peer.in_a_process() as pid, owner.living():
        owner.put(*range(1, 20))
        assert owner.count(UNMIRRORED) == 0
        os.kill(pid, signal.SIGKILL)
        owner.put(*range(20, 60))
        assert owner.longest_s < TIMEOUT_S + 0.3
        assert 39 <= owner.count(UNMIRRORED) <= 40
        with peer.serving():
            until(lambda: owner.mirror.course.cause != "" and kept_copies(peer.root) != [], "it is lost")
            owner.until_in_step()
            owner.put(60)
            assert_same_octets(owner.directory, peer.copy())


def test_r6_4_a_frozen_peer_is_waited_for_once_and_then_no_more(tmp_path: Path, peer: Peer) -> None:
    owner = Owner(tmp_path / "owner", peer)
    with peer.in_a_process() as pid, owner.living():
        owner.put(*range(1, 20))
        os.kill(pid, signal.SIGSTOP)
        begun_s = time.monotonic()
        owner.put(*range(20, 220))
        took_s = time.monotonic() - begun_s
        assert TIMEOUT_S <= owner.longest_s < TIMEOUT_S + 0.3
        assert took_s < TIMEOUT_S + 200 * 0.02, "it was waited for more than once"
        assert owner.count(UNMIRRORED) == 200
        assert owner.count("aaad_spool_mirror_losses_total|cause=timeout") >= 1
        os.kill(pid, signal.SIGCONT)
        owner.until_in_step()
        owner.put(220)
        assert owner.count(UNMIRRORED) == 200
        assert_same_octets(owner.directory, peer.copy())


def test_a_frozen_peer_is_missed_while_nothing_is_to_be_answered(tmp_path: Path, peer: Peer) -> None:
    owner = Owner(tmp_path / "owner", peer)
    with peer.in_a_process() as pid, owner.living():
        owner.put(1)
        os.kill(pid, signal.SIGSTOP)
        until(lambda: owner.mirror.course.stage is Stage.AWAY, "it is away")
        owner.put(2)
        assert owner.longest_s < TIMEOUT_S
        os.kill(pid, signal.SIGCONT)


def test_a_peer_with_another_secret_takes_nothing_and_both_sides_say_why(tmp_path: Path, peer: Peer) -> None:
    with peer.serving():
        owner = Owner(tmp_path / "owner", peer)
        with owner.living(in_step=False, secret=b"quite another secret"):
            owner.put(1)
            until(lambda: owner.count("aaad_spool_mirror_losses_total|cause=secret") > 0, "told")
            assert peer.count("aaad_mirror_refused_total|cause=secret") > 0
            assert kept_copies(peer.root) == []
            owner.put(2)
            assert owner.count(UNMIRRORED) == 2
            assert SECRET.decode() not in repr(owner.mirror)


def test_a_peer_without_room_refuses_is_told_of_and_answers_go_on(tmp_path: Path) -> None:
    peer = Peer(tmp_path / "peer", bytes_max=3 << 20)  # room is taken by the MiB
    with peer.serving():
        owner = Owner(tmp_path / "owner", peer)
        with owner.living():
            owner.put(*range(1, 270), padding=15_000)
            assert 20 < owner.count(UNMIRRORED) < 200
            assert peer.count("aaad_mirror_refused_total|cause=full") > 0
            assert owner.count("aaad_spool_mirror_losses_total|cause=refused") > 0
            assert owner.longest_s < TIMEOUT_S + 0.3
    assert sum(path.stat().st_size for path in peer.root.rglob("*.segment")) <= 3 << 20


def test_a_node_is_no_mirror_of_itself(tmp_path: Path) -> None:
    peer = Peer(tmp_path / "peer", node=OWNER)
    with peer.serving(), Owner(tmp_path / "owner", peer).living(in_step=False) as owner:
        owner.put(1)
        until(lambda: peer.count("aaad_mirror_refused_total|cause=self") > 0, "refused")
        until(lambda: owner.count("aaad_spool_mirror_losses_total|cause=refused") > 0, "told")
        assert owner.count(UNMIRRORED) == 1


def test_a_slow_peer_is_waited_for_within_the_bound_and_a_too_slow_one_less_and_less_often(
    tmp_path: Path, peer: Peer
) -> None:
    with peer.serving(), Owner(tmp_path / "owner", peer).living() as owner:
        owner.put(1)
        peer.sync_s = 0.4 * TIMEOUT_S
        owner.put(2, 3, 4)
        assert owner.count(UNMIRRORED) == 0
        assert 0.4 * TIMEOUT_S <= owner.longest_s < TIMEOUT_S
        peer.sync_s = 2 * TIMEOUT_S
        begun_s = time.monotonic()
        while time.monotonic() - begun_s < 1.5:
            owner.put(100 + len(owner.answered))
        assert owner.longest_s < TIMEOUT_S + 0.3
        waited_for = owner.count("aaad_spool_mirror_losses_total|cause=timeout")
        assert 1 <= waited_for <= 4
        peer.sync_s = 0
        owner.until_in_step()
        owner.put(9999)
        assert_same_octets(owner.directory, peer.copy())


def test_another_spool_begun_while_the_process_lives_is_mirrored_too_and_at_risk_until_then(
    tmp_path: Path, peer: Peer
) -> None:
    with peer.serving():
        owner = Owner(tmp_path / "owner", peer)
        with owner.living():
            owner.put(*range(1, 50))
            owner.directory.rename(tmp_path / "lost")
            until(lambda: owner.directory.exists(), "another spool is begun")
            owner.put(50)
            until(lambda: len(kept_copies(peer.root)) == 2, "it has a copy, too")
            owner.until_in_step()
            owner.put(51)
            (new,) = [
                kept.directory for kept in kept_copies(peer.root) if _id(kept.directory) == _id(owner.directory)
            ]
            assert_same_octets(owner.directory, new)
            until(lambda: owner.count("aaad_spool_records_at_risk") == 0, "it is at no risk")


def test_a_mirror_that_answered_in_time_is_not_lost_because_our_own_disk_is_slow(tmp_path: Path, peer: Peer) -> None:
    disk_s = [0.0]

    def sync(descriptor: int) -> None:
        time.sleep(disk_s[0])
        os.fdatasync(descriptor)

    with peer.serving(), Owner(tmp_path / "owner", peer).living(sync=sync) as owner:
        owner.put(1)
        disk_s[0] = 1.5 * TIMEOUT_S
        owner.put(2, 3, 4)
        assert owner.count(UNMIRRORED) == 0
        assert owner.mirror.course.stage is Stage.IN_STEP


def test_a_peer_that_looks_through_much_is_away_meanwhile_and_delays_no_answer(
    tmp_path: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes longer than a connection may, and says that it is at it; who is silent is given up."""
    monkeypatch.setattr(mirror, "CONNECT_S", 0.3)
    monkeypatch.setattr(mirror, "WORD_S", 0.5)
    monkeypatch.setattr(mirror_server, "WORD_S", 0.1)
    may_end, really = threading.Event(), mirror_disk.contiguous_end

    def slowly(directory: Path, spool_id: UUID) -> Position:
        assert may_end.wait(20)
        return really(directory, spool_id)

    monkeypatch.setattr(mirror_disk, "contiguous_end", slowly)
    with peer.serving(), Owner(tmp_path / "owner", peer).living(in_step=False) as owner:
        until(lambda: kept_copies(peer.root) != [], "it is connected")
        begun_s = time.monotonic()
        while time.monotonic() - begun_s < 1.5:
            owner.put(1 + len(owner.answered))
            time.sleep(0.01)
        assert owner.longest_s < TIMEOUT_S
        assert owner.mirror.course.stage is Stage.AWAY
        assert owner.mirror.course.cause == "", "it was never given up"
        assert owner.count(UNMIRRORED) == len(owner.answered)
        may_end.set()
        owner.until_in_step()
        owner.put(9999)
        assert owner.count(UNMIRRORED) == len(owner.answered) - 1
        assert_same_octets(owner.directory, peer.copy())


def test_an_owner_whose_copy_is_still_looked_through_for_its_last_connection_waits_for_that(
    tmp_path: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_server, "WORD_S", 0.1)
    may_end, really = threading.Event(), mirror_disk.contiguous_end
    looks: list[str] = []

    def slowly(directory: Path, spool_id: UUID) -> Position:
        looks.append("begun")
        assert may_end.wait(20)
        return really(directory, spool_id)

    monkeypatch.setattr(mirror_disk, "contiguous_end", slowly)
    with peer.serving():
        owner = Owner(tmp_path / "owner", peer)
        with owner.living(in_step=False):
            until(lambda: len(looks) == 1, "it looks")
        with owner.living(in_step=False):
            time.sleep(0.5)
            assert len(looks) == 1, "one after the other"
            may_end.set()
            owner.until_in_step()
            owner.put(1)
            assert owner.mirror.course.cause == ""
            assert_same_octets(owner.directory, peer.copy())


# --- as the daemon runs it ------------------------------------------------------------------------------------------


def configured(tmp_path: Path, spool: str) -> tuple[Path, str]:
    text = (
        f"[node]\nname = '{PEER}'\nstate_dir = '{tmp_path}/state'\nrun_dir = '{tmp_path}/run'\n"
        f"[database]\ndsn = 'postgresql://nobody@127.0.0.1:1/none'\n[spool]\n{spool}\n"
    )
    path = tmp_path / "aaad.toml"
    path.write_text(text)
    return path, text


def test_the_role_mirror_serves_the_socket_that_it_inherits_with_postgresql_away_and_ends_in_order(
    tmp_path: Path, peer: Peer
) -> None:
    path, _ = configured(tmp_path, f"mirror_listen = '127.0.0.1:1814'\nmirror_secret = '{SECRET.decode()}'")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer.port, inherited = listener.getsockname()[1], os.dup2(listener.fileno(), 100)
        line = 'export LISTEN_PID=$$; exec "$0" "$@"'
        process = subprocess.Popen(
            ["/bin/sh", "-c", line, sys.executable, "-m", "aaad", "role", "mirror", "--slot", "0", "--config", path],
            env=os.environ | {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "mirror-1814@127.0.0.1#0"},
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[3],
            preexec_fn=lambda: os.dup2(inherited, 3) and None,
        )
        os.close(inherited)
        try:
            with Owner(tmp_path / "owner", peer).living() as owner:
                owner.put(*range(1, 50))
                assert owner.count(UNMIRRORED) == 0
                (kept,) = kept_copies(tmp_path / "state" / "mirror")
                assert_same_octets(owner.directory, kept.directory)
                process.send_signal(signal.SIGTERM)
                _, told = process.communicate(timeout=20)
                owner.put(50)
                assert owner.count(UNMIRRORED) == 1
        finally:
            process.kill()
    assert process.returncode == 0, told
    assert SECRET.decode() not in told


@pytest.mark.parametrize(
    ("spool", "expected"),
    [
        ("", "None"),
        (f"mirror = '192.0.2.9:1814'\nmirror_secret = '{SECRET.decode()}'", "Mirror(radius-0 at 192.0.2.9:1814)"),
        ("mirror = '192.0.2.9:1814'", "None"),  # its secret was lost: customers go on being answered
    ],
)
def test_the_radius_role_has_the_mirror_that_is_configured_and_none_without_a_secret(
    tmp_path: Path, spool: str, expected: str
) -> None:
    counters = CounterFile(tmp_path / "radius-0.cnt", services.radius_counters())
    context = RoleContext(
        role="radius",
        number=0,
        config=parse_config(configured(tmp_path, spool)[1], {}),
        counters=counters,
        log=get_logger("radius"),
        sockets=(),
    )
    assert repr(services._mirror(context)) == expected
    assert counters.cells[counters.index["aaad_spool_mirror_wanted"]] == bool(spool)
