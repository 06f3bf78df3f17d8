"""Sockets: planned, opened, sized, named, adopted; real ones on the loopback network."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from free_ports import free_port

from aaad.config import Config, parse_config
from aaad.daemon.sockets import (
    Purpose,
    SocketError,
    SocketPlan,
    SocketTable,
    fits,
    inherited,
    open_socket,
    planned,
    service_socket,
    size_receive_buffer,
)
from aaad.daemon.supervisor import _folders


def config(tmp_path: Path, radius: str = "") -> Config:
    text = f"[node]\nrun_dir = '{tmp_path}'\n[database]\ndsn = 'postgresql://x'\n[radius]\n{radius}\n"
    return parse_config(text, {})


def auth(port: int, index: int = 0, *, shared: bool = False) -> SocketPlan:
    return SocketPlan(Purpose.AUTH, "127.0.0.1", port, index, is_shared=shared)


@pytest.mark.parametrize(
    ("plan", "name"),
    [
        (SocketPlan(Purpose.AUTH, "192.0.2.1", 1812), "auth-1812@192.0.2.1#0"),
        (SocketPlan(Purpose.ACCT, "2001:db8::1", 1813, 3), "acct-1813@2001-db8--1#3"),
        (SocketPlan(Purpose.METRICS, "127.0.0.1", 9812), "metrics-9812@127.0.0.1#0"),
        (SocketPlan(Purpose.CONTROL, "/run/aaad/control.sock"), "control"),
    ],
)
def test_names_are_such_as_systemd_allows(plan: SocketPlan, name: str):
    """sd_pid_notify_with_fds(3): no control character, no colon, at most 255."""
    assert plan.name == name
    assert ":" not in name


def test_one_socket_is_planned_per_address_port_and_process(tmp_path: Path):
    plans = planned(config(tmp_path, "addresses = ['192.0.2.1', '2001:db8::1']\nprocesses = 2"))
    assert [plan.name for plan in plans] == [
        *(
            f"{purpose}@{address}#{index}"
            for address in ("192.0.2.1", "2001-db8--1")
            for purpose in ("auth-1812", "acct-1813")
            for index in (0, 1)
        ),
        "metrics-9812@127.0.0.1#0",
        "control",
        "sync",
    ]
    assert all(plan.is_shared == (plan.purpose in (Purpose.AUTH, Purpose.ACCT)) for plan in plans)


def test_a_single_process_shares_no_port(tmp_path: Path):
    """Rule R3.7: a group only where there are several processes; nobody else may join a port of ours."""
    assert not any(plan.is_shared for plan in planned(config(tmp_path)))


def test_a_datagram_socket_stamps_arrival_and_takes_no_other_family():
    plan = SocketPlan(Purpose.AUTH, "::1", free_port())
    with open_socket(plan) as opened, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        assert opened.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
        assert not opened.get_inheritable()
        assert not opened.getblocking()
        sender.sendto(b"x", opened.getsockname())
        _, ancillary, _, _ = opened.recvmsg(10, 100)
        assert [(level, kind, len(data)) for level, kind, data in ancillary] == [(socket.SOL_SOCKET, 35, 16)]


def test_what_was_got_for_a_buffer_is_told_in_the_measure_that_was_asked_in():
    with open_socket(auth(free_port())) as opened:
        # Not the double that the kernel tells. A buffer that was larger already may stay as it is.
        assert 100_000 <= size_receive_buffer(opened, 100_000) < 200_000
        assert 100_000 < size_receive_buffer(opened, 2**31 - 1) < 2**31 - 1


def test_a_socket_that_cannot_be_opened_is_named_with_the_cause():
    with open_socket(auth(free_port())) as opened:
        port = opened.getsockname()[1]
        with pytest.raises(SocketError, match=f"auth: cannot open 127.0.0.1 port {port}: .*another program has it"):
            open_socket(auth(port))
    with pytest.raises(SocketError, match="this machine does not have the address"):
        open_socket(SocketPlan(Purpose.AUTH, "192.0.2.77", free_port()))


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
def test_a_unix_socket_replaces_that_of_a_dead_predecessor_and_is_not_for_everyone(tmp_path: Path):
    plan = SocketPlan(Purpose.CONTROL, str(tmp_path / "control.sock"))
    open_socket(plan).close()
    with open_socket(plan) as opened, socket.socket(socket.AF_UNIX) as client:
        client.connect(plan.address)
        assert opened.accept()[0]
    assert stat.S_IMODE((tmp_path / "control.sock").stat().st_mode) == 0o660


@pytest.mark.usefixtures("_umask")
def test_the_nodes_folders_have_their_modes_whatever_the_umask(tmp_path: Path):
    text = (
        f"[node]\nstate_dir = '{tmp_path}/a/state'\nrun_dir = '{tmp_path}/a/run'\n[database]\ndsn = 'postgresql://x'"
    )
    made = parse_config(text, {})
    with _folders(made):
        modes = [stat.S_IMODE(folder.stat().st_mode) for folder in (made.node.state_dir, made.node.run_dir)]
    assert modes == [0o700, 0o750]


def test_a_file_that_is_no_socket_is_not_removed(tmp_path: Path):
    (tmp_path / "control.sock").write_text("precious")
    with pytest.raises(SocketError):
        open_socket(SocketPlan(Purpose.CONTROL, str(tmp_path / "control.sock")))
    assert (tmp_path / "control.sock").read_text() == "precious"


# --- inheritance ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "0"},
        {"LISTEN_FDS": "x"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
    ],
    ids=str,
)
def test_nothing_is_inherited_unless_it_is_for_us(environ):
    assert inherited(environ, pid=42) == []


def test_descriptors_are_inherited_by_name_and_closed_on_exec(monkeypatch):
    changed: list[tuple[int, bool]] = []
    monkeypatch.setattr(os, "set_inheritable", lambda descriptor, value: changed.append((descriptor, value)))
    environ = {"LISTEN_FDS": "3", "LISTEN_FDNAMES": "a:b", "LISTEN_PID": "42"}
    assert inherited(environ, pid=42) == [("a", 3), ("b", 4), ("unknown", 5)]
    assert changed == [(3, False), (4, False), (5, False)]


def test_a_table_adopts_what_fits_and_refuses_what_does_not():
    plan, other = auth(free_port()), auth(free_port())
    kept, stranger = open_socket(plan), open_socket(other)
    stream = socket.create_server(("127.0.0.1", 0))
    read_end, write_end = os.pipe()
    os.close(write_end)
    table = SocketTable()
    refused = table.adopt(
        [
            ("auth-1@203.0.113.1#0", stranger.detach()),
            (plan.name, os.dup(stream.fileno())),
            (plan.name, kept.detach()),
            ("pipe", read_end),
        ],
        [plan, auth(free_port())],
    )
    stream.close()
    assert refused == ["auth-1@203.0.113.1#0", plan.name, "pipe"]
    assert table.names() == [plan.name]
    open_socket(other).close()  # the refused one was closed
    table.close()


def test_datagrams_queued_before_adoption_are_read_after_it():
    plan = auth(free_port())
    first = open_socket(plan)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"queued", ("127.0.0.1", plan.port))
    table = SocketTable()
    assert table.adopt([(plan.name, first.detach())], [plan]) == []
    assert table.open_missing([plan], 65_536) == []
    found = service_socket(plan.name, os.dup(table.fileno(plan.name)))
    assert found is not None
    assert found.socket.recv(100) == b"queued"
    assert (found.purpose, found.address, found.index) == (Purpose.AUTH, "127.0.0.1", 0)
    found.socket.close()
    table.close()


def test_a_unix_socket_whose_file_is_gone_is_not_adopted(tmp_path: Path):
    plan = SocketPlan(Purpose.SYNC, str(tmp_path / "sync.sock"))
    with open_socket(plan) as opened:
        assert fits(opened, plan)
        (tmp_path / "sync.sock").unlink()
        assert not fits(opened, plan)


def test_a_failure_leaves_the_table_as_it_was():
    table = SocketTable()
    with open_socket(auth(free_port())) as occupied:
        taken = auth(occupied.getsockname()[1])
        free = auth(free_port())
        with pytest.raises(SocketError):
            table.open_missing([free, taken], 65_536)
    assert table.names() == []
    open_socket(free).close()


def test_a_group_grows_and_shrinks_around_a_socket_that_stays():
    """Rule R3.7, and a reload: the first member keeps what is queued in it."""
    port = free_port()
    table = SocketTable()
    table.open_missing([auth(port)], 65_536)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"queued", ("127.0.0.1", port))
    three = [auth(port, index, shared=True) for index in range(3)]
    assert table.open_missing(three, 65_536) == [plan.name for plan in three[1:]]
    assert os.read(table.fileno(three[0].name), 100) == b"queued"
    assert table.close_others([auth(port)]) == [plan.name for plan in three[1:]]
    table.open_missing([auth(port)], 65_536)
    with pytest.raises(SocketError):  # a group of one is closed to others again
        open_socket(auth(port, 1, shared=True))
    table.close()


def test_a_new_member_gets_its_share_only_when_it_joins():
    """So a group grows at a reload while the new process still loads its code."""
    port = free_port()
    table = SocketTable()
    table.open_missing([auth(port)], 65_536)
    pair = [auth(port, index, shared=True) for index in range(2)]
    table.open_missing(pair, 65_536)

    def received() -> list[int]:
        for _ in range(64):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"x", ("127.0.0.1", port))
        return [read_all(table.fileno(plan.name)) for plan in pair]

    assert received() == [64, 0]
    found = service_socket(pair[1].name, os.dup(table.fileno(pair[1].name)))
    assert found is not None
    table.join([plan.name for plan in pair])
    table.join([plan.name for plan in pair])  # a process that starts anew
    first, second = received()
    assert first + second == 64
    assert first and second
    assert found.address == "127.0.0.1"
    found.socket.close()
    table.close()


def read_all(descriptor: int) -> int:
    count = 0
    while True:
        try:
            os.read(descriptor, 100)
        except BlockingIOError:
            return count
        count += 1


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "::", "fe80::1%br-lan"])
def test_a_name_tells_its_address(address: str):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as unbound:
        name = SocketPlan(Purpose.AUTH, address, 1812, 2).name
        found = service_socket(name, os.dup(unbound.fileno()))
    assert found is not None
    assert (found.address, found.index) == (address, 2)
    found.socket.close()


def test_names_of_other_descriptors_are_no_sockets():
    assert service_socket("config", 0) is None
    assert service_socket("parent", 0) is None
