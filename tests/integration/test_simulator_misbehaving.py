"""The simulator on a real network, against a server that is late, loses, forges, repeats, or is not there."""

import socket
import threading

import pytest
from free_ports import free_port
from misbehaving_server import reply, serving
from simulated import simulated

from aaad.simulator.fleet import Nases, Subscribers
from aaad.simulator.network import Server, SimulatorError
from aaad.simulator.report import Report
from aaad.simulator.simulation import Plan


def dialled(servers: list[Server], count: int = 20, *, plan: Plan | None = None, **nas: object) -> Report:
    return simulated(servers, Subscribers(count=count), Nases(**{"kind": "mikrotik-old", **nas}), plan)


def test_what_is_lost_is_asked_again_with_the_same_octets() -> None:
    with serving(lambda copies, request: [(0, reply(request))] if copies == 1 else []) as bad:
        report = dialled([bad.server])
    sums = report.methods["chap"]
    assert (sums.accepts, sums.resends, sums.given_up) == (20, 20, 0)
    assert all(bad.seen.count(request) == 2 for request in bad.seen)
    latency_s = sums.latencies.percentile_s(50)
    assert latency_s is not None
    assert latency_s > 0.29


def test_a_late_reply_to_the_first_copy_counts_and_what_follows_is_unexpected() -> None:
    with serving(lambda _copies, request: [(0.4, reply(request))]) as bad:
        report = dialled([bad.server], plan=Plan(rate=100))
    assert report.methods["chap"].accepts == 20
    assert report.methods["chap"].resends == 20


def test_forged_replies_are_dropped_and_the_genuine_one_behind_them_counts() -> None:
    with serving(lambda _copies, request: [(0, reply(request, forged=True)), (0, b"\2"), (0, reply(request))]) as bad:
        report = dialled([bad.server])
    assert report.methods["chap"].accepts == 20
    assert report.methods["chap"].bad_replies == 20
    assert report.bad_replies == {"wrong Message-Authenticator": 20}
    assert report.unexpected_replies == 20  # of one octet: it names no request


def test_repeated_replies_count_once() -> None:
    with serving(lambda _copies, request: [(0, reply(request))] * 3) as bad:
        report = dialled([bad.server])
    assert report.methods["chap"].dials == report.methods["chap"].accepts == 20
    assert 20 <= report.unexpected_replies <= 40  # what comes after the last dial's end is not read any more


def test_a_dead_first_server_costs_its_tries_and_then_the_second_one_is_asked() -> None:
    with (
        serving(lambda _copies, _request: []) as silent,
        serving(lambda _copies, request: [(0, reply(request))]) as good,
    ):
        report = dialled([silent.server, good.server], 5)
    assert len(silent.seen) == 15
    assert len(good.seen) == 5
    assert report.methods["chap"].accepts == 5
    assert report.methods["chap"].resends == 10


def test_nobody_there_is_as_on_a_wire() -> None:
    port = free_port()
    report = dialled([Server("127.0.0.1", port, port)], 3)
    assert (report.methods["chap"].given_up, report.methods["chap"].accepts) == (3, 0)


def test_replies_from_another_port_are_not_even_seen() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))

        def behave(_copies: int, request: bytes) -> list[tuple[float, bytes]]:
            for source in bad.sources:
                stranger.sendto(reply(request), source)
            return []

        with serving(behave) as bad:
            report = dialled([bad.server], 3)
    assert report.methods["chap"].given_up == 3


def test_each_nas_sends_from_its_own_address_and_over_ipv6_too() -> None:
    with serving(lambda _copies, request: [(0, reply(request))]) as good:
        simulated([good.server], Subscribers(count=9), Nases(count=3, first_source="127.0.9.1"))
        assert {address for address, _ in good.sources} == {"127.0.9.1", "127.0.9.2", "127.0.9.3"}
    with serving(lambda _copies, request: [(0, reply(request))], "::1") as good:
        assert simulated([good.server], Subscribers(count=2), Nases(first_source="::1")).all_methods.accepts == 2
        assert {source[0] for source in good.sources} == {"::1"}


def test_an_address_that_is_not_ours_is_told() -> None:
    with pytest.raises(SimulatorError, match=r"192\.0\.2\.1"):
        dialled([Server("127.0.0.1", 9, 9)], 1, first_source="192.0.2.1")


def test_more_at_once_than_one_port_has_identifiers() -> None:
    with serving(lambda copies, request: [(0, reply(request))] if not copies else [], at_least=600) as slow:
        report = dialled([slow.server], 600, plan=Plan(in_work_max=600), kind="accel-ppp")
    assert report.methods["chap"].accepts == 600
    assert len(slow.sources) == 3


def test_stopping_from_outside_ends_it_soon() -> None:
    stopping = threading.Event()
    with serving(lambda _copies, request: [(0, reply(request))]) as good:
        threading.Timer(0.3, stopping.set).start()
        report = simulated([good.server], Subscribers(count=5), Nases(), Plan(rate=50, cycles_for_s=60), stopping)
    assert 5 <= report.all_methods.accepts <= 25
    assert report.duration_s < 5
