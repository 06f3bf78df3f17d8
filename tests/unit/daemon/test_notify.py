"""What systemd hears: real datagrams on a real socket."""

import array
import os
import socket
from pathlib import Path

import pytest

from aaad.daemon.notify import Notifier, notifier_of


@pytest.fixture
def systemd(tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(5)
        yield ear


def test_every_message_is_in_systemds_words(systemd):
    notifier = Notifier(systemd.getsockname())
    notifier.ready()
    notifier.status("two\nlines")
    notifier.status("two\nlines")
    notifier.alive()
    notifier.stopping()
    notifier.forget("auth-1812@192.0.2.1#0")
    heard = [systemd.recv(1000).decode() for _ in range(5)]
    assert heard == [
        "READY=1",
        "STATUS=two lines",
        "WATCHDOG=1",
        "STOPPING=1",
        "FDSTOREREMOVE=1\nFDNAME=auth-1812@192.0.2.1#0",
    ]


def test_a_reload_begins_with_the_monotonic_time(systemd):
    Notifier(systemd.getsockname()).reloading()
    first, second = systemd.recv(1000).decode().split("\n")
    assert first == "RELOADING=1"
    assert second.startswith("MONOTONIC_USEC=")
    assert int(second.partition("=")[2]) > 0


def test_a_descriptor_is_stored_under_its_name(systemd):
    read_end, write_end = os.pipe()
    Notifier(systemd.getsockname()).store("pipe", read_end)
    message, ancillary, _, _ = systemd.recvmsg(1000, socket.CMSG_SPACE(4))
    assert message == b"FDSTORE=1\nFDNAME=pipe\nFDPOLL=0"
    (kept,) = array.array("i", ancillary[0][2])
    os.write(write_end, b"same")
    assert os.read(kept, 10) == b"same"
    for descriptor in (kept, read_end, write_end):
        os.close(descriptor)


def test_an_abstract_address_begins_with_an_at_sign():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(f"\0aaad-test-{os.getpid()}")
        ear.settimeout(5)
        Notifier(f"@aaad-test-{os.getpid()}").ready()
        assert ear.recv(100) == b"READY=1"


def test_without_systemd_nothing_happens():
    notifier = notifier_of({}, os.getpid())
    notifier.ready()
    notifier.store("x", 0)
    assert not notifier.is_heard
    assert notifier.watchdog_interval_s is None


def test_a_full_or_dead_systemd_stops_nobody(systemd, tmp_path: Path):
    notifier = Notifier(systemd.getsockname())
    for _ in range(5000):
        notifier.alive()
    (tmp_path / "notify").unlink()
    notifier.alive()
    assert systemd.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({"WATCHDOG_USEC": "15000000"}, 5.0),
        ({"WATCHDOG_USEC": "15000000", "WATCHDOG_PID": "42"}, 5.0),
        ({"WATCHDOG_USEC": "15000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
    ids=str,
)
def test_the_watchdog_is_fed_three_times_a_period(environ, interval_s):
    assert notifier_of(environ, 42).watchdog_interval_s == interval_s
