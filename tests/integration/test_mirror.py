"""The mirror of a spool (rule R6.4): what is answered is on two disks, or answered in time and counted as on one."""

import os
import signal
import time
from pathlib import Path

import pytest
from mirror_house import OWNER, SECRET, TIMEOUT_S, Owner, Peer, assert_same_octets, until

from aaad.spool.directory import read_mirrored, read_tail
from aaad.spool.mirror_course import Stage
from aaad.spool.mirror_disk import kept_copies

UNMIRRORED = "aaad_spool_unmirrored_records_total"


@pytest.fixture
def peer(tmp_path: Path) -> Peer:
    return Peer(tmp_path / "peer")


def test_r6_4_what_is_answered_is_on_the_peers_disk_octet_by_octet(tmp_path: Path, peer: Peer) -> None:
    with peer.serving():
        owner = Owner(tmp_path / "owner", peer)
        with owner.living():
            before = owner.count(UNMIRRORED)
            owner.put(*range(1, 2500))  # several segments
            (kept,) = kept_copies(peer.root)
            assert (kept.node, kept.slot) == (OWNER, "radius-0")
            assert_same_octets(owner.directory, kept.directory)
            assert read_mirrored(owner.directory) == read_tail(owner.directory)
            assert owner.count(UNMIRRORED) == before
        assert_same_octets(owner.directory, kept.directory)
