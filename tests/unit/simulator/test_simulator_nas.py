"""A concentrator: resends, Identifiers, second server, and which replies it believes."""

import dataclasses

import pytest
from simulator_world import World, reply

from aaad.simulator.fleet import Subscribers
from aaad.simulator.nas import IDENTIFIERS, PORTS_MAX
from aaad.simulator.packet import Bad
from aaad.simulator.report import Report
from aaad.simulator.request import KINDS
from aaad.simulator.subscriber import Subscriber

ALICE = Subscribers(count=1, methods=("pap",)).make()[0]


def test_a_request_is_sent_again_octet_for_octet_and_then_given_up() -> None:
    world = World()
    dial = world.concentrator.dial(ALICE, 100.0)
    ((line, first),) = world.sent()
    for at_s, copies in ((100.29, 0), (100.3, 1), (100.5, 0), (100.6, 1)):
        assert list(world.concentrator.expire(at_s)) == []
        assert world.sent() == [(line, first)] * copies, at_s
    (given_up,) = world.concentrator.expire(100.9)
    assert given_up.subject is dial
    assert (dial.tries, dial.code, dial.ended_at_s, dial.answered_at_s) == (3, None, 100.9, None)
    assert world.concentrator.in_work_count == 0
    assert world.concentrator.counters.resends == 2
    assert not line.in_work


@pytest.mark.parametrize(("kind", "timeout_s"), [("mikrotik", 1.1), ("mikrotik-old", 0.3), ("accel-ppp", 3.0)])
def test_each_kind_waits_as_it_does(kind: str, timeout_s: float) -> None:
    world = World(kind)
    world.concentrator.dial(ALICE, 0.0)
    assert world.concentrator.next_at_s == timeout_s
    assert KINDS[kind].tries == 3


def test_the_second_server_is_asked_by_another_request_for_the_same_session() -> None:
    world = World(servers=2)
    dial = world.concentrator.dial(ALICE, 0.0)
    ((line, first),) = world.sent()
    for at_s in (0.3, 0.6):
        list(world.concentrator.expire(at_s))
    world.sent()
    assert list(world.concentrator.expire(0.9)) == []
    ((other, second),) = world.sent()
    assert (line.server, other.server, dial.server) == (0, 1, 1)
    assert first[4:20] != second[4:20]
    assert dial.session_id in first
    assert dial.session_id in second
    assert world.concentrator.receive(other, reply(second), 1.0) is not None
    assert dial.is_up
    assert dial.latency_s == 1.0


def test_after_the_last_server_it_is_given_up() -> None:
    world = World(servers=2)
    dial = world.concentrator.dial(ALICE, 0.0)
    ended = [exchange for step in range(1, 30) for exchange in world.concentrator.expire(step * 0.1)]
    assert [exchange.subject for exchange in ended] == [dial]
    assert (dial.tries, dial.code) == (6, None)
    report = Report()
    report.add(dial)
    assert report.methods["pap"].resends == 4, "the first datagram to the second server is not sent again"


@pytest.mark.parametrize("code", [2, 3, 11])
def test_a_genuine_reply_ends_the_dial(code: int) -> None:
    world = World()
    dial = world.concentrator.dial(ALICE, 5.0)
    ((line, request),) = world.sent()
    exchange = world.concentrator.receive(line, reply(request, code, b"\x08\x06\1\2\3\4"), 5.25)
    assert exchange is not None
    assert (dial.code, dial.latency_s, dial.is_up) == (code, 0.25, code == 2)
    assert [(one.kind, one.value) for one in dial.attributes] == [(8, b"\1\2\3\4")]
    assert list(world.concentrator.expire(99.0)) == []
    assert world.sent() == []


def test_a_late_or_second_reply_is_worth_nothing() -> None:
    world = World()
    world.concentrator.dial(ALICE, 0.0)
    ((line, request),) = world.sent()
    world.concentrator.receive(line, reply(request), 0.1)
    assert world.concentrator.receive(line, reply(request), 0.2) is None
    assert world.concentrator.receive(line, b"", 0.2) is None
    assert world.concentrator.counters.unexpected == 2


def test_a_reply_that_another_signed_is_dropped_and_the_right_one_still_counts() -> None:
    world = World()
    dial = world.concentrator.dial(ALICE, 0.0)
    ((line, request),) = world.sent()
    assert world.concentrator.receive(line, reply(request, secret=b"other"), 0.1) is None
    assert world.concentrator.receive(line, reply(request), 0.2) is not None
    assert (dial.bad_replies, dial.is_up) == (1, True)
    assert world.concentrator.counters.bad_replies == {Bad.WRONG_AUTHENTICATOR: 1}


@pytest.mark.parametrize(
    ("kind", "signed", "bad"),
    [
        ("mikrotik", False, Bad.UNSIGNED),
        ("mikrotik", True, None),
        ("mikrotik-old", False, None),
        ("accel-ppp", False, None),
    ],
)
def test_require_message_auth(kind: str, signed: bool, bad: Bad | None) -> None:
    world = World(kind)
    world.concentrator.dial(ALICE, 0.0)
    ((line, request),) = world.sent()
    exchange = world.concentrator.receive(line, reply(request, signed=signed), 0.1)
    assert (exchange is None) == (bad is not None)
    assert world.concentrator.counters.bad_replies == ({} if bad is None else {bad: 1})


def test_an_identifier_rests_as_long_as_it_can_before_it_is_used_again() -> None:
    world = World()
    for step in range(IDENTIFIERS + 1):
        world.concentrator.dial(ALICE, 0.0)
        ((line, request),) = world.sent()
        assert request[1] == step % IDENTIFIERS
        world.concentrator.receive(line, reply(request), 0.0)


def test_more_than_256_at_once_take_more_ports_and_beyond_all_ports_they_wait() -> None:
    world = World()
    for _ in range(IDENTIFIERS * PORTS_MAX + 3):
        world.concentrator.dial(ALICE, 0.0)
    sent = world.sent()
    assert len(sent) == IDENTIFIERS * PORTS_MAX
    lines = {line for line, _ in sent}
    assert len(lines) == PORTS_MAX
    assert len({(line, request[1]) for line, request in sent}) == len(sent)
    assert world.concentrator.counters.no_identifier == 3
    line, request = sent[1000]
    world.concentrator.receive(line, reply(request), 0.1)
    ((again, waited),) = world.sent()
    assert (again, waited[1]) == (line, request[1])
    assert len(list(world.concentrator.expire(9.0))) == 0
    while world.concentrator.in_work_count:
        list(world.concentrator.expire(world.concentrator.next_at_s))


def test_accel_ppp_uses_the_challenge_as_authenticator_and_keeps_its_session_to_itself() -> None:
    subscriber = Subscribers(count=1, methods=("chap",)).make()[0]
    world = World("accel-ppp")
    dial = world.concentrator.dial(subscriber, 0.0)
    ((_, request),) = world.sent()
    assert request[4:20] == dial.answer.challenge
    assert dial.session_id not in request
    assert len(dial.session_id) == 16


def test_sessions_are_numbered_as_router_os_does() -> None:
    world = World()
    dials = [world.concentrator.dial(ALICE, 0.0) for _ in range(2)]
    assert [dial.session_id for dial in dials] == [b"81a00001", b"81a00002"]
    hotspot: Subscriber = Subscribers(count=1, methods=("hotspot",)).make()[0]
    dial = world.concentrator.dial(hotspot, 0.0)
    assert dial.session_id == b"80a00003"
    assert dial.nas_port == 0x80A00003


def test_a_change_of_the_secret_counts_from_the_next_request_on() -> None:
    world = World()
    before = world.concentrator.dial(ALICE, 0.0)
    ((line, request),) = world.sent()
    world.concentrator.nas = dataclasses.replace(world.concentrator.nas, secret=b"new secret")
    after = world.concentrator.dial(ALICE, 0.0)
    ((_, other),) = world.sent()
    world.concentrator.receive(line, reply(request), 0.1)
    world.concentrator.receive(line, reply(other, secret=b"new secret"), 0.1)
    assert (before.is_up, after.is_up) == (True, True)
