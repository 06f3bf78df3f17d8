"""What the kernel counts per UDP socket is read for our ports only, and real drops are seen."""

import socket

from aaad.daemon.kernel_sockets import KernelSocket, parse_udp_table, read_udp_sockets

HEAD = "  sl  local_address rem_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode ref pointer drops"
UDP = f"""{HEAD}
  100: 0100007F:0714 00000000:0000 07 00000000:00000A00 00:00000000 00000000     0        0 900 2 0000000000000000 17
  101: 0100007F:0714 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 800 2 0000000000000000 3
  102: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 700 2 0000000000000000 99
"""
UDP6 = f"""{HEAD}
  100: 000080FE00000000FF000000010000FE:0715 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 \
00000000     0        0 500 2 0000000000000000 0
"""


def test_sockets_of_other_ports_are_left_out_and_those_of_one_group_are_told_apart() -> None:
    assert list(parse_udp_table(UDP, {1812, 1813})) == [
        KernelSocket("127.0.0.1", 1812, 0, 0, 3),
        KernelSocket("127.0.0.1", 1812, 1, 2560, 17),
    ]


def test_ipv6_addresses_are_decoded() -> None:
    (found,) = parse_udp_table(UDP6, {1813})
    assert (found.address, found.port) == ("fe80::ff:fe00:1", 1813)


def test_real_drops_are_seen() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        receiver.bind(("127.0.0.1", 0))
        port = receiver.getsockname()[1]
        for _ in range(100):
            sender.sendto(bytes(500), ("127.0.0.1", port))
        (found,) = read_udp_sockets({port})
    assert found.address == "127.0.0.1"
    assert 0 < found.dropped < 100
    assert found.queued_octets > 0
