"""What a concentrator reports: attributes, counters, clocks, and what of it is the same when it is sent again."""

import dataclasses
import hashlib

import pytest
from simulator_world import SECRET, World, reply

from aaad.simulator.accounting import Cause, Record, Session, Status, session_of
from aaad.simulator.fleet import Subscribers
from aaad.simulator.nas import Concentrator
from aaad.simulator.record_log import record_values
from aaad.simulator.request import StopCounters

CLASS = b"\x19\x05abc"
GRANTED = CLASS + b"\x19\x03d" + b"\x08\x06\x64\x40\0\1" + b"\x55\x06\0\0\1\x2c" + b"\x1b\x06\0\0\x0e\x10"
PREFIXES = b"\x61\x0a\0\x40\x20\1\x0d\xb8\0\1" + b"\x7b\x0a\0\x38\x20\1\x0d\xb8\0\2"
EPOCH_S = 1_700_000_000.0


class Reporting(World):
    """A concentrator with one session up since second 1 of its time."""

    def __init__(self, kind: str = "mikrotik-old", method: str = "pap", servers: int = 1, **changes: object) -> None:
        super().__init__(kind, servers)
        nas = dataclasses.replace(self.concentrator.nas, **changes)
        self.concentrator = Concentrator(nas, servers, self.concentrator._random_octets, self.outbox, EPOCH_S)
        self.dial = self.concentrator.dial(Subscribers(count=1, methods=(method,)).make()[0], 0.0)
        ((line, request),) = self.sent()
        self.concentrator.receive(line, reply(request, attributes=GRANTED + PREFIXES, signed=True), 1.0)
        self.session: Session = session_of(nas, self.dial, 0, 1.0, None)

    def report(self, status: Status, at_s: float, octets: tuple[int, int] = (0, 0), **more: object) -> bytes:
        self.concentrator.report(status, at_s, self.session, octets, **more)
        return self.only()

    def only(self) -> bytes:
        ((line, datagram),) = self.sent()
        assert line.is_accounting
        return datagram


def read(attributes: bytes) -> list[tuple[int, bytes]]:
    found = []
    while attributes:
        found.append((attributes[0], attributes[2 : attributes[1]]))
        attributes = attributes[attributes[1] :]
    return found


def values(datagram: bytes) -> dict[int, int | bytes]:
    """Numbers of accounting as numbers, all else as octets; of a repeated attribute the last."""
    numbers = {40, 41, 42, 43, 45, 46, 47, 48, 49, 52, 53, 55}
    return {kind: int.from_bytes(value, "big") if kind in numbers else value for kind, value in read(datagram[20:])}


def test_the_authenticator_is_made_of_the_whole_report_and_the_secret() -> None:
    datagram = Reporting().report(Status.START, 1.0)
    assert datagram[0] == 4
    assert int.from_bytes(datagram[2:4], "big") == len(datagram)
    assert hashlib.md5(datagram[:4] + bytes(16) + datagram[20:] + SECRET).digest() == datagram[4:20]


PPP = [6, 7, 5, 61, 1, 31, 30, 87, 44]
COUNTED = [46, 42, 43, 47, 48]


@pytest.mark.parametrize(
    ("kind", "method", "status", "kinds"),
    [
        ("mikrotik-old", "pap", Status.START, [*PPP, 40, 45, 8, 25, 25, 41, 55, 32, 4]),
        ("mikrotik-old", "pap", Status.INTERIM, [*PPP, 40, 45, 8, 25, 25, *COUNTED, 52, 53, 41, 55, 32, 4]),
        ("mikrotik-old", "pap", Status.STOP, [*PPP, 40, 45, 8, 25, 25, *COUNTED, 52, 53, 49, 41, 55, 32, 4]),
        (
            "mikrotik-old",
            "hotspot",
            Status.STOP,
            [40, 61, 31, 30, 87, 1, 5, 44, 8, 26, 25, 25, *COUNTED, 52, 53, 49, 41, 55, 32, 4],
        ),
        ("mikrotik-old", "dhcp", Status.START, [61, 5, 31, 30, 87, 1, 8, 40, 44, 25, 25, 41, 55, 32, 4]),
        (
            "accel-ppp",
            "pap",
            Status.START,
            [1, 32, 4, 5, 87, 61, 6, 7, 31, 30, 25, 25, 40, 45, 44, *COUNTED, 52, 53, 55, 8, 97, 123],
        ),
    ],
)
def test_each_kind_reports_in_its_order(kind: str, method: str, status: Status, kinds: list[int]) -> None:
    cause = Cause.USER_REQUEST if status is Status.STOP else None
    assert [kind for kind, _ in read(Reporting(kind, method).report(status, 61.0, cause=cause)[20:])] == kinds


def test_what_the_accept_granted_comes_back() -> None:
    found = read(Reporting().report(Status.START, 1.0)[20:])
    assert [value for kind, value in found if kind == 25] == [b"abc", b"d"], "each Class, unchanged and in order"
    assert dict(found)[8] == b"\x64\x40\0\1"
    session = Reporting().session
    assert (session.interim_s, session.granted.session_timeout_s, session.address) == (300, 3600, b"\x64\x40\0\1")
    found = dict(read(Reporting("accel-ppp").report(Status.START, 1.0)[20:]))
    assert (found[97], found[123]) == (PREFIXES[2:10], PREFIXES[12:])


def test_the_password_is_never_reported() -> None:
    for kind in ("mikrotik", "accel-ppp"):
        for method in ("pap", "chap", "mschapv2"):
            assert not {2, 3, 60, 80} & set(values(Reporting(kind, method).report(Status.STOP, 2.0)))


def test_counters_have_gigawords_or_begin_anew() -> None:
    octets = 5 << 32 | 7, (1 << 32) - 1
    found = values(Reporting().report(Status.INTERIM, 91.9, octets))
    assert (found[46], found[42], found[52], found[43], found[53]) == (90, 7, 5, 0xFFFFFFFF, 0)
    assert (found[47], found[48]) == (21_474_836, 4_294_967)
    found = values(Reporting(has_gigawords=False).report(Status.INTERIM, 91.9, octets))
    assert (found[42], found[43]) == (7, 0xFFFFFFFF)
    assert not {52, 53} & set(found)


@pytest.mark.parametrize(
    ("how", "told"), [(StopCounters.WHOLE, (9, 8)), (StopCounters.ZERO, (0, 0)), (StopCounters.NONE, (None, None))]
)
def test_a_stop_may_leave_out_its_counters(how: StopCounters, told: tuple[int | None, int | None]) -> None:
    world = Reporting(stop_counters=how)
    found = values(world.report(Status.STOP, 61.0, (9, 8), cause=Cause.LOST_CARRIER))
    assert (found.get(42), found.get(43), found[46], found[49]) == (*told, 60, 2)
    assert values(world.report(Status.INTERIM, 61.0, (9, 8)))[42] == 9


@pytest.mark.parametrize(
    ("changes", "timestamp"),
    [
        ({}, int(EPOCH_S) + 61),
        ({"clock_ahead_s": 7200.0}, int(EPOCH_S) + 7261),
        ({"clock_ahead_s": -86_400.0}, int(EPOCH_S) - 86_339),
        ({"starts_in_1970": True}, 86_400),
    ],
)
def test_clocks_may_be_wrong(changes: dict[str, object], timestamp: int) -> None:
    world = Reporting(**changes)
    assert values(world.report(Status.INTERIM, 61.5))[55] == timestamp
    assert values(world.report(Status.INTERIM, 71.5))[55] == timestamp + 10


def test_a_clock_of_1970_begins_anew_with_each_start() -> None:
    world = Reporting(starts_in_1970=True)
    world.report(Status.INTERIM, 500.0)
    world.concentrator.cut_power()
    world.concentrator.restore_power(1000.0)
    assert values(world.report(Status.START, 1007.0))[55] == 86_407


@pytest.mark.parametrize(("kind", "says_it"), [("mikrotik", True), ("mikrotik-old", True), ("accel-ppp", False)])
def test_acct_delay_time_is_said_by_some(kind: str, says_it: bool) -> None:
    assert (41 in values(Reporting(kind).report(Status.START, 1.0))) == says_it


def resent(world: Reporting) -> list[bytes]:
    """The copies of what was sent last, each when its time has come."""
    datagrams: list[bytes] = []
    while len(datagrams) < world.concentrator.nas.kind.tries - 1:
        at_s = world.concentrator.next_at_s
        assert at_s is not None
        assert list(world.concentrator.expire(at_s)) == []
        datagrams += [datagram for _, datagram in world.sent()]
    return datagrams


def test_a_plain_resend_is_the_same_octet_for_octet() -> None:
    world = Reporting("mikrotik-old")
    first = world.report(Status.INTERIM, 61.0, (9, 9))
    assert resent(world) == [first, first]


def test_a_report_that_counts_its_delay_is_another_packet_each_time() -> None:
    """RFC 2866, 4.1: with another Acct-Delay-Time the Identifier and the authenticator are others, too."""
    world = Reporting("mikrotik")
    datagrams = [world.report(Status.INTERIM, 61.0, (9, 9)), *resent(world)]
    assert [values(datagram)[41] for datagram in datagrams] == [0, 1, 2]
    assert len({datagram[1] for datagram in datagrams}) == 3
    assert len({datagram[4:20] for datagram in datagrams}) == 3
    same = [{kind: value for kind, value in values(datagram).items() if kind != 41} for datagram in datagrams]
    assert same[0] == same[1] == same[2], "Event-Timestamp and counters are those of the event"


def test_a_reply_to_an_earlier_copy_that_was_another_packet_is_worth_nothing() -> None:
    world = Reporting("mikrotik")
    world.concentrator.report(Status.INTERIM, 61.0, world.session)
    ((line, first),) = world.sent()
    resent(world)
    assert world.concentrator.receive(line, reply(first, 5), 64.0) is None
    world = Reporting("mikrotik")
    world.concentrator.report(Status.INTERIM, 61.0, world.session)
    world.sent()
    second, third = resent(world)
    exchange = world.concentrator.receive(line_of(world), reply(third, 5), 64.0)
    assert exchange is not None
    assert (exchange.is_answered, exchange.resends) == (True, 2)
    assert second != third


def line_of(world: Reporting):
    (line,) = world.concentrator._lines[0, True]
    return line


def test_a_reply_is_believed_only_with_the_right_authenticator_and_code() -> None:
    world = Reporting()
    world.concentrator.report(Status.STOP, 61.5, world.session)
    ((line, datagram),) = world.sent()
    assert world.concentrator.receive(line, reply(datagram, 2), 62.0) is None, "an Accept answers no report"
    assert world.concentrator.receive(line, reply(datagram, 5, secret=b"other"), 62.0) is None
    exchange = world.concentrator.receive(line, reply(datagram, 5), 62.0)
    assert exchange is not None
    assert exchange.is_answered


def test_it_is_given_up_after_the_tries_to_the_last_server() -> None:
    world = Reporting("mikrotik", servers=2)
    world.concentrator.report(Status.STOP, 61.0, world.session)
    given_up = []
    while world.concentrator.next_at_s is not None:
        given_up += world.concentrator.expire(world.concentrator.next_at_s)
    sent = world.sent()
    assert [line.server for line, _ in sent] == [0, 0, 0, 1, 1, 1]
    assert [values(datagram)[41] for _, datagram in sent] == [0, 1, 2, 3, 4, 5]
    (exchange,) = given_up
    assert (exchange.is_answered, exchange.resends) == (False, 4)


@pytest.mark.parametrize("kind", ["mikrotik", "accel-ppp"])
def test_a_concentrator_speaks_of_itself(kind: str) -> None:
    world = Reporting(kind)
    for status, number in ((Status.ON, 7), (Status.OFF, 8)):
        world.concentrator.report(status, 5.0)
        found = values(world.only())
        assert (found[40], found[32], found[4]) == (number, b"simulated-00", b"\x7f\0\0\1")
        assert 44 in found, "RFC 2866, 5.5: every Accounting-Request has an Acct-Session-Id"
        assert not {1, 8, 25, 31, 42, 46} & set(found)


def test_a_power_cut_loses_what_is_in_work_and_the_numbers_begin_anew() -> None:
    world = Reporting()
    world.concentrator.report(Status.INTERIM, 61.0, world.session)
    ((line, datagram),) = world.sent()
    subscriber = world.dial.subscriber
    world.concentrator.dial(subscriber, 61.0)
    lost = world.concentrator.cut_power()
    assert [type(exchange.subject).__name__ for exchange in lost] == ["Record", "Dial"] or len(lost) == 2
    assert world.concentrator.in_work_count == 0
    assert world.concentrator.receive(line, reply(datagram, 5), 61.1) is None
    assert list(world.concentrator.expire(99.0)) == []
    world.concentrator.restore_power(100.0)
    assert world.concentrator.dial(subscriber, 101.0).session_id == b"81b00001"
    for _ in range(16):
        world.concentrator.cut_power()
        world.concentrator.restore_power(200.0)
    assert world.concentrator.dial(subscriber, 201.0).session_id == b"81b00001", "there are sixteen digits"
    world = Reporting(counts_boots=False)
    world.concentrator.cut_power()
    world.concentrator.restore_power(100.0)
    assert world.concentrator.dial(subscriber, 101.0).session_id == world.dial.session_id == b"81a00001"


def test_the_log_tells_of_a_record_and_what_became_of_it() -> None:
    world = Reporting("mikrotik", stop_counters=StopCounters.ZERO)
    world.concentrator.report(Status.INTERIM, 61.5, world.session, (9, 5 << 32))
    ((line, datagram),) = world.sent()
    exchange = world.concentrator.receive(line, reply(datagram, 5), 61.75)
    assert exchange is not None
    record = exchange.subject
    assert isinstance(record, Record)
    told = record_values(world.concentrator, record, exchange, EPOCH_S)
    assert told == {
        "status": "interim",
        "acknowledged": True,
        "nas": "simulated-00",
        "source": None,
        "at_s": EPOCH_S + 61.5,
        "event_timestamp": int(EPOCH_S) + 61,
        "resends": 0,
        "last_sent_at_s": EPOCH_S + 61.5,
        "answered_at_s": EPOCH_S + 61.75,
        "attributes": datagram[20:].hex(),
        "session": 1,
        "acct_session_id": "81a00001",
        "user_name": "user000000",
        "session_time_s": 60,
        "octets_in": 9,
        "octets_out": 5 << 32,
        "cause": None,
        "address": "100.64.0.1",
        "interim_s": 300,
    }
    world.concentrator.report(Status.STOP, 62.0, world.session, (10, 11), Cause.LOST_CARRIER)
    (exchange,) = world.concentrator.cut_power()
    assert isinstance(exchange.subject, Record)
    told = record_values(world.concentrator, exchange.subject, exchange, EPOCH_S)
    assert (told["acknowledged"], told["answered_at_s"], told["cause"], told["octets_in"]) == (False, None, 2, None)
